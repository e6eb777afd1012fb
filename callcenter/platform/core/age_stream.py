"""Encryption with age (age-encryption.org/v1) of what is made piece by piece."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pyrage
from pyrage import x25519

from callcenter.platform.core.streams import IteratorReader


def encrypt(
    pieces: Iterator[bytes], target: BinaryIO, recipients: Sequence[x25519.Recipient]
) -> None:
    """Write the pieces to `target`, encrypted to all of these public keys. It blocks.

    Raises what `pieces` raises, and OSError, as when the disk is full; `target` is then to be
    thrown away.
    """
    source = IteratorReader(pieces)
    try:
        pyrage.encrypt_io(source, target, list(recipients))
    except Exception as exc:  # pyrage hides what `source` raised, and `target`
        raise source.failure or OSError(str(exc)) from exc
