"""The folder of signed heads: a file a day, and the public key that they are verified with."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from callcenter.audit.heads import Head, NotSigned, read, sign
from callcenter.errors import WeFailed
from callcenter.secrets import write_once

KEY = "key.pem"


class AnotherKey(WeFailed):
    """The folder of heads has the public key of another secret: see docs/operations/running.md."""


@dataclass(frozen=True)
class Kept:
    """What a folder holds: the heads, which files are none, and the fingerprint of the key."""

    heads: list[Head]
    not_signed: list[str]
    fingerprint: str | None  #: SHA-256 of the key's 32 bytes; None when there is no key

    def of_day(self, at: datetime) -> int:
        """How many heads there are of that day, those that are none included."""
        day = f"{at.astimezone(UTC):%Y-%m-%d}"
        signed = sum(head.at.astimezone(UTC).date().isoformat() == day for head in self.heads)
        return signed + sum(name.startswith(day) for name in self.not_signed)


def file_of(folder: Path, at: datetime, number: int = 1) -> Path:
    """The file of a head of a day; days are those of UTC. More than one has who changes clocks."""
    return folder / f"{at.astimezone(UTC):%Y-%m-%d}{f'-{number}' if number > 1 else ''}.head"


def keep(folder: Path, key: Ed25519PrivateKey, head: Head, number: int = 1) -> None:
    """Sign a head and write it as that of its day; one that is there already stays.

    Raises AnotherKey, so that no head is written that the key beside it does not verify; OSError.
    """
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    write_once(folder / KEY, public)
    if (folder / KEY).read_text() != public:
        raise AnotherKey
    write_once(file_of(folder, head.at, number), sign(key, head) + "\n")


def read_all(folder: Path) -> Kept:
    """All heads of a folder, the oldest first. Raises WeFailed when a file cannot be read."""
    try:
        files = {each.name: each.read_bytes() for each in sorted(folder.glob("*.head"))}
        key = _public(folder / KEY)
    except OSError as exc:
        raise WeFailed(f"cannot read the signed heads in {folder}: {exc}") from exc
    if key is None:
        return Kept([], list(files), None)
    heads: list[Head] = []
    not_signed: list[str] = []
    for name, content in files.items():
        try:
            heads.append(read(key, content.decode(errors="replace").removesuffix("\n")))
        except NotSigned:
            not_signed.append(name)
    digest = hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()
    return Kept(heads, not_signed, digest)


def _public(file: Path) -> Ed25519PublicKey | None:
    if not file.exists():
        return None
    try:
        key = load_pem_public_key(file.read_bytes())
    except ValueError as exc:
        raise WeFailed(f"{file} holds no public key") from exc
    if not isinstance(key, Ed25519PublicKey):
        raise WeFailed(f"{file} holds no public key of Ed25519")
    return key
