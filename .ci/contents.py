"""What `make dist` has built holds what git holds: the sdist all of it, the wheel the package."""

import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path
from zipfile import ZipFile

#: What the build adds to the sdist.
ADDED = {"PKG-INFO"}


def tracked() -> set[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True)
    return {name for name in listed.stdout.split("\0") if name}


def in_sdist(sdist: Path) -> set[str]:
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    return {name for name in names - ADDED if ".egg-info/" not in name}


def in_wheel(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def compare(built: Path, there: set[str], expected: Iterable[str]) -> list[str]:
    missing, added = set(expected) - there, there - set(expected)
    return [
        *(f"{built.name} lacks {name}" for name in sorted(missing)),
        *(f"{built.name} has {name}, which is not in git" for name in sorted(added)),
    ]


def main(folder: Path) -> None:
    if not Path(".git").exists():  # an unpacked sdist
        print("not a checkout of git: what was built is compared with nothing")
        return
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    everything, shipped = tracked(), in_wheel(wheel)
    modules = {name for name in everything & shipped if "/" not in name}
    package = {name for name in everything if name.startswith("flask_otp_auth/")} | modules
    faults = compare(sdist, in_sdist(sdist), everything) + compare(wheel, shipped, package)
    if faults:
        raise SystemExit("\n".join([*faults, "MANIFEST.in and pyproject.toml say what goes in."]))
    print(f"{sdist.name} and {wheel.name} hold what git holds")


main(Path(sys.argv[1]))
