"""The format of a bundle: a tar of named files, streamed and encrypted to an age key.

Nothing of it is on a disk or in memory as a whole unless it is encrypted. These functions block.
"""

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pyrage import RecipientError, x25519

from callcenter.demands.rules.manifest import sums
from callcenter.platform.core import age_stream
from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.platform.core.streams import PIECE


class ChecksumMismatch(OperationFailed):
    """A recording is not what the register says: nothing of this disclosure is handed over."""


@dataclass(frozen=True)
class BundleFile:
    """A file of the bundle; `open` is called when its turn comes."""

    name: str
    bytes: int
    sha256: str
    open: Callable[[], BinaryIO]


def part_of(name: str, content: bytes) -> BundleFile:
    """A file of the bundle from bytes in memory."""
    digest = hashlib.sha256(content).hexdigest()
    return BundleFile(name, len(content), digest, lambda: io.BytesIO(content))


def sign(key: Ed25519PrivateKey, listed: bytes, others: Sequence[BundleFile]) -> list[BundleFile]:
    """The files of a bundle: both signed lists first, so that nothing is unpacked before them."""
    summed_up = [
        part_of("manifest.json", listed),
        part_of("manifest.json.sig", key.sign(listed)),
        *others,
    ]
    summed = sums({part.name: part.sha256 for part in summed_up})
    return [
        part_of("SHA256SUMS", summed),
        part_of("SHA256SUMS.sig", key.sign(summed)),
        *summed_up,
    ]


def read_recipient(public: str) -> x25519.Recipient:
    """Parse a public age key. Raises InvalidRequest."""
    try:
        return x25519.Recipient.from_str(public.strip())
    except RecipientError as exc:
        raise InvalidRequest("a public key of age begins with age1: copy it as a whole") from exc


def encrypt(
    parts: Sequence[BundleFile],
    at: datetime,
    recipient: x25519.Recipient,
    target: BinaryIO,
    note: Callable[[int], None] = lambda percent: None,
) -> None:
    """Write the tar of the parts to `target`, encrypted; `note` gets each new percent.

    Raises ChecksumMismatch when a part is not of its size and SHA-256, what opening and reading it
    or `note` raises, and OSError, as when the disk is full; `target` is then to be thrown away.
    """
    age_stream.encrypt(_tar(parts, at, note), target, [recipient])


def _tar(parts: Sequence[BundleFile], at: datetime, note: Callable[[int], None]) -> Iterator[bytes]:
    whole, packed, noted = sum(part.bytes for part in parts), 0, None
    for part in parts:
        if (percent := 100 * packed // whole) != noted:
            noted = percent
            note(percent)
        packed += part.bytes
        info = tarfile.TarInfo(part.name)
        info.size, info.mode, info.mtime = part.bytes, 0o444, int(at.timestamp())
        yield info.tobuf(tarfile.USTAR_FORMAT)
        yield from _checked(part)
        yield bytes(-part.bytes % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _checked(part: BundleFile) -> Iterator[bytes]:
    digest, left = hashlib.sha256(), part.bytes
    with part.open() as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            left -= len(piece)
            yield piece
    if left or digest.hexdigest() != part.sha256:
        raise ChecksumMismatch
