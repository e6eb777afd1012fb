"""The sealed store: audio is encrypted at rest and decrypted in memory only.

These functions block.
"""

import io
import re
from dataclasses import asdict
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple
from uuid import UUID

import pyrage

from callcenter.platform.core.s3_url import S3Location
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.streams import PIECE, IteratorReader, Sha256Writer, digest_file
from callcenter.platform.storage.objects import Listed, Objects
from callcenter.recordings.formats import SEALED, Format, SealedObjectFacts
from callcenter.recordings.sealing import keys
from callcenter.recordings.sealing.age import AgeFile, Altered, WrongKey
from callcenter.recordings.sealing.audio import probe
from callcenter.recordings.sealing.spool import ID
from callcenter.recordings.sealing.tag import RecordingTag
from callcenter.recordings.store import SealResult

_NAME = re.compile(rf"\d{{4}}/\d\d/\d\d/({ID})[.](?:{'|'.join(Format)}){re.escape(SEALED)}")


def name_for(recording_id: UUID, started_at: datetime, written: Format = Format.FLAC) -> str:
    """The object name of a recording, without anything about people."""
    return f"{started_at.astimezone(UTC):%Y/%m/%d}/{recording_id}.{written}{SEALED}"


def read_name(name: str) -> UUID | None:
    """The recording in the name of an object, None when it is no recording's."""
    found = _NAME.fullmatch(name)
    return UUID(found[1]) if found else None


class SealedRecording(NamedTuple):
    """A recording as its sealed object alone tells of it; `tag` is None for old objects."""

    name: str
    facts: SealedObjectFacts
    duration_ms: int
    tag: RecordingTag | None

    def result(self, recording_id: UUID) -> SealResult:
        """The outcome of sealing it, as it was or would have been told."""
        return SealResult(
            recording_id,
            "stored",
            self.name,
            duration_ms=self.duration_ms,
            **asdict(self.facts),
        )


class SealedStore:
    """The store of recordings and the keys that open it. Made without touching either.

    Keys are read for each use, so a new key seals at once. `place` is another store than the first
    one, such as that of copies.
    """

    def __init__(self, settings: Settings, place: Path | S3Location | None = None) -> None:
        self._objects = Objects(place or settings.store)
        self._keys = settings.keys
        self._recovery = settings.recovery_keys
        self._spool = settings.spool

    def seal(self, audio: BinaryIO, name: str) -> SealedObjectFacts:
        """Encrypt the whole audio and put it as object `name`, replacing any older one.

        It was read back from the store and opened with a key of the center when this returns.
        Raises NoKey, ObjectStoreUnavailable, WrongKey, Altered, OSError (as when the spool's disk
        is full).
        """
        ring = self._ring()
        with TemporaryFile(dir=self._spool) as file:  # it has no name: a kill leaves nothing of it
            audio.seek(0)
            pyrage.encrypt_io(audio, file, ring.recipients)
            sealed = SealedObjectFacts(*digest_file(file), *digest_file(audio), ring.public)
            file.seek(0)
            self._objects.put(name, file)
        self.check(name, sealed)
        return sealed

    def check(self, name: str, sealed: SealedObjectFacts) -> None:
        """Read and open the whole object, and compare it with `sealed`.

        Raises Altered, WrongKey, NoKey, ObjectMissing when it differs; ObjectStoreUnavailable when
        it cannot be checked.
        """
        source, target = IteratorReader(self._objects.stream(name)), Sha256Writer()
        try:
            pyrage.decrypt_io(source, target, list(self._ring().identities))
        except (pyrage.DecryptError, OSError) as exc:  # which hide what `source` raised
            if source.failure is not None:
                raise source.failure from exc
            raise WrongKey if "No matching keys" in str(exc) else Altered from exc
        found = SealedObjectFacts(*source.content.digest, *target.digest, sealed.sealed_to)
        if found != sealed:
            raise Altered

    def open(self, name: str) -> BinaryIO:
        """The audio, decrypted in memory piece by piece as it is read; seekable.

        Raises NoKey, WrongKey, Altered, ObjectMissing, ObjectStoreUnavailable; reading does so as
        well. What wraps it for a C library loses these errors and sees an early end: compare the
        length."""
        return io.BufferedReader(self._age_file(name), PIECE)

    def inspect(self, name: str) -> SealedRecording:
        """Read, open and decode a whole object of which nothing is known.

        Raises as `open` does, and VerificationFailed when it is no recording.
        """
        content = Sha256Writer()
        for piece in self._objects.stream(name):
            content.write(piece)
        file = self._age_file(name)
        with io.BufferedReader(file, PIECE) as audio:
            facts = SealedObjectFacts(*content.digest, *digest_file(audio), file.opened_by)
            audio.seek(0)
            duration_ms, comment = probe(audio)
        return SealedRecording(name, facts, duration_ms, RecordingTag.parse(comment))

    def list_day(self, day: date) -> list[Listed]:
        """The objects of recordings that began on that day (UTC). Raises ObjectStoreUnavailable."""
        return list(self._objects.list_objects(f"{day:%Y/%m/%d}"))

    def reach(self) -> None:
        """Check that the store answers. Raises ObjectStoreUnavailable."""
        self._objects.reach()

    def copy_to(self, other: "SealedStore", name: str, sealed: SealedObjectFacts) -> None:
        """Copy the sealed object into another store, and read it back from there.

        No key is needed. Raises Altered when it is not what was sealed: then nothing is put. Raises
        ObjectMissing, ObjectStoreUnavailable, OSError.
        """
        with TemporaryFile(dir=self._spool) as file:
            for piece in self._objects.stream(name):
                file.write(piece)
            if digest_file(file) != (sealed.sha256, sealed.bytes):
                raise Altered
            file.seek(0)
            other._objects.put(name, file)  # noqa: SLF001 of this class too
        other.check_object(name, sealed)

    def check_object(self, name: str, sealed: SealedObjectFacts) -> None:
        """Read the whole object without opening it, and compare it with `sealed`.

        Raises Altered, ObjectMissing, ObjectStoreUnavailable.
        """
        content = Sha256Writer()
        for piece in self._objects.stream(name):
            content.write(piece)
        if content.digest != (sealed.sha256, sealed.bytes):
            raise Altered

    def remove(self, name: str) -> None:
        """Remove the object if it is there. Raises ObjectStoreUnavailable."""
        self._objects.remove(name)

    def _age_file(self, name: str) -> AgeFile:
        return AgeFile(
            partial(self._objects.read, name), self._objects.size(name), self._ring().identities
        )

    def _ring(self) -> keys.Keys:
        return keys.read(self._keys, self._recovery)
