"""Which file system a file is on, as /proc/mounts tells it."""

from pathlib import Path

import pytest

from flask_otp_auth.storage import mounts
from flask_otp_auth.storage.mounts import network_file_system

TABLE = r"""proc /proc proc rw 0 0
/dev/sda1 / ext4 rw 0 0
nas:/home /home nfs4 rw 0 0
/dev/sdb1 /home/local xfs rw 0 0
nas:/odd /srv/odd\040name nfs rw 0 0
/dev/sdc1 /srv/hidden ext4 rw 0 0
//nas/share /srv/hidden cifs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/shop/codes.sqlite3", None),
        ("/home/shop/codes.sqlite3", "nfs4"),
        ("/homes/codes.sqlite3", None),
        ("/home/local/codes.sqlite3", None),
        ("/srv/odd name/codes.sqlite3", "nfs"),
        ("/srv/hidden/codes.sqlite3", "cifs"),
    ],
)
def test_the_innermost_mount_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, kind: str | None
) -> None:
    table = tmp_path / "mounts"
    table.write_text(TABLE)
    monkeypatch.setattr(mounts, "TABLE", str(table))
    assert network_file_system(path) == kind


@pytest.mark.parametrize("text", [None, ""])
def test_where_nothing_is_listed_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    table = tmp_path / "mounts"
    if text is not None:
        table.write_text(text)
    monkeypatch.setattr(mounts, "TABLE", str(table))
    assert network_file_system("/home/shop/codes.sqlite3") is None
