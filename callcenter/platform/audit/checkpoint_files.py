"""The folder of checkpoints: one signed file a day, and the public key that verifies them."""

from collections.abc import Sequence
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

from callcenter.platform.audit.rules.checkpoints import (
    MARK,
    Checkpoint,
    NotSigned,
    fingerprint,
    read,
    sign,
)
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.secrets import write_once
from callcenter.platform.storage.backup_folders import BackupFolder

KEY = "key.pem"
CHECKPOINTS = BackupFolder("audit", lambda settings: settings.audit_heads)


class KeyMismatch(OperationFailed):
    """The folder of heads is of another secret: see docs/operations/running.md."""


@dataclass(frozen=True)
class CheckpointFolder:
    """The content of a folder: checkpoints, unsigned files, the fingerprint of the key."""

    heads: list[Checkpoint]
    not_signed: list[str]
    fingerprint: str | None  #: SHA-256 of the key's 32 bytes; None when there is no key

    def covers(self, entry: int) -> bool:
        """Whether a checkpoint covers this entry."""
        return any(head.entry >= entry for head in self.heads)

    def of_day(self, at: datetime) -> int:
        """The number of checkpoints of that day, unsigned ones included."""
        day = f"{at.astimezone(UTC):%Y-%m-%d}"
        signed = sum(head.at.astimezone(UTC).date().isoformat() == day for head in self.heads)
        return signed + sum(name.startswith(day) for name in self.not_signed)


def file_of(folder: Path, at: datetime, number: int = 1) -> Path:
    """The file of a checkpoint of a day (UTC); further ones of a day are numbered."""
    return folder / f"{at.astimezone(UTC):%Y-%m-%d}{f'-{number}' if number > 1 else ''}.head"


def write(folder: Path, key: Ed25519PrivateKey, head: Checkpoint, number: int = 1) -> None:
    """Sign a checkpoint and write it as that of its day; an existing one stays.

    Raises KeyMismatch, so that none is written that the key beside it does not verify; OSError.
    """
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    write_once(folder / KEY, public)
    if (folder / KEY).read_text() != public:
        raise KeyMismatch
    write_once(file_of(folder, head.at, number), sign(key, head) + "\n")


def find_superseded(folder: Path, after: int) -> list[Path]:
    """The checkpoints of entries after this one, which the log does not have. Raises OSError.

    For when it went back to that entry, by a restore.
    """
    found = []
    for file in sorted(folder.glob("*.head")):
        mark, _, rest = file.read_text(errors="replace").partition(" ")
        entry = rest.partition(" ")[0]
        if mark == MARK and entry.isdecimal() and int(entry) > after:
            found.append(file)
    return found


def move_superseded(files: Sequence[Path]) -> None:
    """Move these checkpoints into `superseded` beside them. Raises OSError."""
    for file in files:
        (file.parent / "superseded").mkdir(mode=0o700, exist_ok=True)
        file.rename(file.parent / "superseded" / file.name)


def read_all(folder: Path) -> CheckpointFolder:
    """Read all checkpoints of a folder, the oldest first.

    Raises OperationFailed when a file cannot be read.
    """
    try:
        files = {each.name: each.read_bytes() for each in sorted(folder.glob("*.head"))}
        key = _public(folder / KEY)
    except OSError as exc:
        raise OperationFailed(f"cannot read the signed heads in {folder}: {exc}") from exc
    if key is None:
        return CheckpointFolder([], list(files), None)
    heads: list[Checkpoint] = []
    not_signed: list[str] = []
    for name, content in files.items():
        try:
            heads.append(read(key, content.decode(errors="replace").removesuffix("\n")))
        except NotSigned:
            not_signed.append(name)
    return CheckpointFolder(heads, not_signed, fingerprint(key))


def _public(file: Path) -> Ed25519PublicKey | None:
    if not file.exists():
        return None
    try:
        key = load_pem_public_key(file.read_bytes())
    except ValueError as exc:
        raise OperationFailed(f"{file} holds no public key") from exc
    if not isinstance(key, Ed25519PublicKey):
        raise OperationFailed(f"{file} holds no public key of Ed25519")
    return key
