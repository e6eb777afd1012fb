"""What a bundle says of itself: its manifest, and the sums that `sha256sum --check` reads."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from callcenter.workdays.calendar import ZONE

FORMAT = "callcenter-disclosure-1"
AUDIO = "FLAC, or Opus in Ogg, 8000 Hz; left channel: the caller, right channel: the consultant"


@dataclass(frozen=True)
class Custody:
    """One link of the chain: what happened to a recording, when, by whom and why."""

    at: str
    what: str
    who: str
    why: str


@dataclass(frozen=True)
class Disclosed:
    """A recording in the bundle. Times are ISO 8601 with the offset of Asia/Almaty."""

    file: str
    sha256: str
    bytes: int
    appeal: str
    consultant: str | None
    began_at: str
    ended_at: str
    length_ms: int
    custody: list[Custody]


def local(moment: datetime) -> str:
    """A moment as the manifest has it."""
    return moment.astimezone(ZONE).isoformat(timespec="seconds")


def manifest(about: Mapping[str, str], recordings: Sequence[Disclosed]) -> bytes:
    """The manifest: the same bytes for the same disclosure, whenever it is made."""
    content = {
        "format": FORMAT,
        **about,
        "audio": AUDIO,
        "recordings": [asdict(each) for each in recordings],
    }
    return json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n"


def sums(digests: Mapping[str, str]) -> bytes:
    """SHA-256 in hexadecimal by name of the file, as `sha256sum --check` reads it."""
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()
