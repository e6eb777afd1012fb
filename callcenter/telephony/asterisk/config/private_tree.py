"""The private Asterisk: Debian's packages, unpacked into a folder that apt does not know."""

import gzip
import re
from datetime import UTC, datetime
from pathlib import Path

#: First line of a changelog of Debian: source package and version (deb-changelog(5)).
_ENTRY = re.compile(r"(?P<source>[a-z0-9][a-z0-9.+-]*) \((?P<version>[^)\s]+)\) ")


def stamp(tree: Path) -> Path:
    """The file whose time of change is when the tree was unpacked: nothing else writes it."""
    return tree / "var" / "lib" / "dpkg" / "status"


def unpacked_at(tree: Path) -> datetime:
    """The time at which the tree was unpacked, or last found as new as Debian's packages.

    Raises OSError. A copy tells it too if it keeps times, as `cp -a` and `tar` do.
    """
    return datetime.fromtimestamp(stamp(tree).stat().st_mtime, UTC)


def packages(tree: Path) -> dict[str, str]:
    """Versions of the packages in the tree, by name. Raises OSError.

    By their changelogs, which every package has (Debian Policy, 12.7): those that share the
    documentation of another have no folder of their own, and its version.
    """
    found = {}
    for folder in sorted((tree / "usr" / "share" / "doc").iterdir()):
        for name in ("changelog.Debian.gz", "changelog.gz"):
            if (folder / name).is_file() and (entry := _newest(folder / name)):
                found[folder.name] = entry["version"]
                break
    return found


def _newest(changelog: Path) -> re.Match[str] | None:
    with gzip.open(changelog, "rt", encoding="utf-8", errors="replace") as lines:
        return _ENTRY.match(lines.readline())
