"""The center's keys, of recordings above all: public keys seal, private keys open.

A key is an X25519 identity of age (age-encryption.org/v1) in a file of its own,
`recordings/0001.key` in the folder of keys, as `age-keygen` writes it and `age -i` reads it. The
newest seals; the older ones open what was sealed with them. Keys of another purpose are in a folder
of that name beside.
"""

import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pyrage import IdentityError, RecipientError, x25519

from callcenter.platform.core.errors import DependencyUnavailable, InvalidRequest, OperationFailed
from callcenter.platform.core.secrets import OTHERS, shared_rights, write_once

MARK = "AGE-SECRET-KEY-"
RECORDINGS = "recordings"  #: the purpose of keys, unless another is named


class NoKey(DependencyUnavailable):
    """There is no key of recordings, or of what needs one: run `callcenter keys make`."""


@dataclass(frozen=True)
class Keys:
    """The keys of one purpose, the newest first; there is at least one."""

    identities: tuple[x25519.Identity, ...]
    recovery: tuple[x25519.Recipient, ...] = ()  #: kept elsewhere, for the day all others are lost

    @property
    def public(self) -> str:
        """The public key for sealing: `age1...`."""
        return str(self.identities[0].to_public())

    @property
    def recipients(self) -> list[x25519.Recipient]:
        return [self.identities[0].to_public(), *self.recovery]


def read(folder: Path, recovery: tuple[str, ...] = (), purpose: str = RECORDINGS) -> Keys:
    """Read all keys of this purpose from the folder of keys.

    Raises NoKey when there is none, InvalidRequest when one is open to others or is no key,
    OperationFailed when one cannot be read.
    """
    try:
        files = sorted((folder / purpose).glob("*.key"), reverse=True)
        identities = tuple(read_identity(file) for file in files)
    except OSError as exc:
        raise OperationFailed(f"cannot read the keys of {purpose}: {exc}") from exc
    if not identities:
        raise NoKey
    return Keys(identities, tuple(recipient(each) for each in recovery))


def make(folder: Path, purpose: str = RECORDINGS) -> str:
    """Make a new key for sealing, and return its public part. Raises OSError."""
    identity = x25519.Identity.generate()
    public = str(identity.to_public())
    now = datetime.now(UTC).isoformat(timespec="seconds")
    text = f"# created: {now}\n# public key: {public}\n{identity}\n"
    number = 1 + max((int(file.stem) for file in (folder / purpose).glob("*.key")), default=0)
    while True:
        file = folder / purpose / f"{number:04}.key"
        write_once(file, text)
        if file.read_text() == text:
            return public
        number += 1  # somebody else made one at this moment


def read_identity(file: Path) -> x25519.Identity:
    """The private key in a file as age-keygen writes it.

    Raises InvalidRequest when it is open to others than the group with which its folder is shared,
    or holds no key, OSError.
    """
    if file.stat().st_mode & OTHERS & ~(shared_rights(file.parent) & stat.S_IRGRP):
        raise InvalidRequest(f"{file} is open to other users: run `chmod 600 {file}`")
    lines = [line for line in file.read_text(errors="replace").split() if line.startswith(MARK)]
    try:
        [line] = lines
        return x25519.Identity.from_str(line)
    except (ValueError, IdentityError) as exc:
        raise InvalidRequest(f"{file} must hold one key as age-keygen writes it") from exc


def recipient(public: str) -> x25519.Recipient:
    """A public key of age. Raises InvalidRequest."""
    try:
        return x25519.Recipient.from_str(public)
    except RecipientError as exc:
        raise InvalidRequest(f"{public!r} is no public key of age (age1...)") from exc
