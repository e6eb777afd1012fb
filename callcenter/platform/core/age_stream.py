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
    source, sink = IteratorReader(pieces), _Sink(target)
    try:
        pyrage.encrypt_io(source, sink, list(recipients))
    except Exception as exc:  # pyrage hides what `source` raised, and `sink`
        raise source.failure or sink.failure or OSError(str(exc)) from exc


class _Sink:
    """The target, and the error that it raised."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self.failure: OSError | None = None

    def write(self, piece: bytes) -> int:
        try:
            return self._target.write(piece)
        except OSError as exc:
            self.failure = exc
            raise

    def flush(self) -> None:
        self._target.flush()
