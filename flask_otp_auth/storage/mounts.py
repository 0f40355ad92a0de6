"""Which file system a file is on: SQLite's locks don't work on those of a network."""

import os
import re

#: Where Linux lists what is mounted (proc(5)); other systems have no such file.
TABLE = "/proc/mounts"

_NETWORK = re.compile(
    r"nfs\d*|cifs|smb\d*|smbfs|afs|ncpfs|9p|ceph|glusterfs|lustre|gpfs|beegfs|orangefs|davfs"
    r"|fuse\.(sshfs|ceph|glusterfs|s3fs|rclone|gcsfuse|blobfuse2?|davfs2?|smbnetfs|juicefs|nfs)"
)

#: Spaces and such are written as three octal digits.
_ESCAPED = re.compile(r"\\([0-7]{3})")


def network_file_system(path: str) -> str | None:
    """Return the type of the network file system that a file is or would be on, or ``None``."""
    try:
        with open(TABLE, encoding="utf-8", errors="surrogateescape") as table:
            mounts = [line.split(" ") for line in table]
    except OSError:
        return None
    place = os.path.realpath(path)
    on = [(_plain(point), kind) for _, point, kind, *_ in mounts if _holds(_plain(point), place)]
    # The longest is the innermost; of two at one place the later one hides the other.
    kind = sorted(on, key=lambda mount: len(mount[0]))[-1][1] if on else ""
    return kind if _NETWORK.fullmatch(kind) else None


def _plain(point: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), point)


def _holds(point: str, place: str) -> bool:
    return place == point or place.startswith(point.rstrip("/") + "/")
