"""Archive of a backup: a tar file, encrypted with age, that says itself what it holds.

`age -d` and `tar` open it without our software. `manifest.json` is its first member, and
`SHA256SUMS`, as `sha256sum -c` reads it, its last but one: an archive without it is not whole. The
last is its signature.
"""

import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from tarfile import BLOCKSIZE, NUL, TarFile, TarInfo
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pyrage import x25519

from callcenter.backup.signature import BadSignature, sign, signer_of
from callcenter.platform.core import age_stream
from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.platform.core.streams import PIECE, Sha256Writer
from callcenter.platform.storage.objects import Objects
from callcenter.recordings.sealing.age import AgeFile, Altered, WrongKey

SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
MARK = b"callcenter-backup-1\n"  #: nothing else that is ever signed with the key begins so
MODE = 0o600
BUFFER = 1024 * 1024  # bytes


class DamagedBackup(OperationFailed):
    """The backup is not what was written: take another one, or a copy of it."""


class WrongIdentity(InvalidRequest):
    """This private key does not open the backup: take that of CALLCENTER_RECOVERY_KEYS."""


class WrongSigner(InvalidRequest):
    """The backup was not made by this site."""


@dataclass(frozen=True)
class Member:
    """A file of an archive; `content` gives exactly `size` bytes, else packing it fails."""

    name: str
    size: int
    content: Iterable[bytes] = field(repr=False)
    modified_at: float = 0  #: seconds since the epoch

    @classmethod
    def of_bytes(cls, name: str, content: bytes) -> "Member":
        return cls(name, len(content), (content,))

    @classmethod
    def of_file(cls, name: str, file: BinaryIO, size: int, modified_at: float) -> "Member":
        """The first `size` bytes of a file, which may be growing."""
        return cls(name, size, _pieces(file, size), modified_at)


def encrypt(
    members: Iterable[Member],
    target: BinaryIO,
    recipients: Sequence[x25519.Recipient],
    key: Ed25519PrivateKey,
) -> None:
    """Write the archive of these members, signed with `key`, to `target`. It blocks.

    Raises what the members raise, OperationFailed when one is not as long as it says, and OSError.
    """
    age_stream.encrypt(_pack(members, key), target, recipients)


@contextmanager
def decrypted(
    objects: Objects, name: str, identities: Sequence[x25519.Identity]
) -> Iterator[TarFile]:
    """The archive of this name, to be read in any order.

    Raises WrongIdentity, DamagedBackup, ObjectMissing and ObjectStoreUnavailable.
    """
    try:
        raw = AgeFile(partial(objects.read, name), objects.size(name), identities)
        with (
            io.BufferedReader(raw, BUFFER) as plain,
            tarfile.open(fileobj=plain, mode="r:") as tar,
        ):
            yield tar
    except WrongKey as exc:
        raise WrongIdentity from exc
    except (Altered, tarfile.TarError, EOFError) as exc:
        raise DamagedBackup from exc


def verify(tar: TarFile, signer: str | None = None) -> str:
    """Read every member and compare it with SHA256SUMS; returns who signed it. It blocks.

    That is the SHA-256 of the key, as `callcenter audit verify` shows it. Raises DamagedBackup, and
    WrongSigner when it is not this `signer`.
    """
    signed_by = _signer_of(tar)
    check_signer(signed_by, signer)
    found: dict[str, str] = {}
    for info in tar:
        if info.name in (SUMS, SIGNATURE):
            continue
        content = Sha256Writer()
        for piece in _pieces(extract(tar, info), info.size):
            content.write(piece)
        found[info.name], _ = content.digest
    if read_sums(tar) != found:
        raise DamagedBackup
    return signed_by


def check_signer(signed_by: str, signer: str | None) -> None:
    """Raise WrongSigner when there is a `signer` who must have signed it, and did not."""
    if signer is not None and signer.lower() != signed_by:
        raise WrongSigner(f"this backup is signed by another key, with the SHA-256 {signed_by}")


def _signer_of(tar: TarFile) -> str:
    try:
        return signer_of(read(tar, SIGNATURE), MARK + read(tar, SUMS))
    except BadSignature as exc:
        raise DamagedBackup from exc


def read_sums(tar: TarFile) -> Mapping[str, str]:
    """SHA-256 of each member by its name. Raises DamagedBackup when they are not there."""
    lines = read(tar, SUMS).decode(errors="replace").splitlines()
    return {name: digest for digest, _, name in (each.partition("  ") for each in lines)}


def extract(tar: TarFile, info: TarInfo) -> BinaryIO:
    """The content of a member. Raises DamagedBackup when it is no file."""
    file = tar.extractfile(info)
    if file is None:
        raise DamagedBackup(f"{info.name} in the backup is no file")
    return file  # type: ignore[return-value]  # an IO[bytes]


def read(tar: TarFile, member: TarInfo | str) -> bytes:
    """The whole content of a small member. Raises DamagedBackup when it is not there."""
    try:
        return extract(tar, tar.getmember(member) if isinstance(member, str) else member).read()
    except KeyError as exc:
        raise DamagedBackup(f"there is no {member} in the backup") from exc


def _pack(members: Iterable[Member], key: Ed25519PrivateKey) -> Iterator[bytes]:
    lines: list[str] = []
    for member in members:
        content = Sha256Writer()
        yield _header(member)
        try:
            for piece in member.content:
                content.write(piece)
                yield piece
        except OSError as exc:  # what writes it is no part of this
            raise OperationFailed(
                f"cannot read {member.name} for the backup: {exc.strerror}"
            ) from exc
        yield _padding(member.size)
        lines.append(f"{content.digest[0]}  {member.name}\n")
    sums = "".join(lines).encode()
    for name, text in ((SUMS, sums), (SIGNATURE, sign(key, MARK + sums))):
        yield _header(Member.of_bytes(name, text)) + text + _padding(len(text))
    yield NUL * BLOCKSIZE * 2


def _header(member: Member) -> bytes:
    info = TarInfo(member.name)
    info.size, info.mtime, info.mode = member.size, int(member.modified_at), MODE
    return info.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return NUL * (-size % BLOCKSIZE)


def _pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Exactly `size` bytes of the file. Raises OperationFailed when there are fewer."""
    while size:
        piece = file.read(min(PIECE, size))
        if not piece:
            raise OperationFailed("a file became shorter while it was read: try again")
        size -= len(piece)
        yield piece
