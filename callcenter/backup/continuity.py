"""Notes beside the backups: numbers and erasures since, which a restore must not undo.

`numbers.json` has the last numbers of appeals, and how many lines the other notes have.
`erasures/DAY.jsonl.age` has the maskings of appeals, those that were closed as no request or opened
again, and the erasures of recordings of that day (UTC), encrypted as recordings are. The worker
writes both every minute, when they changed. A line is never taken out: a note that is gone, or an
older one, is noticed by that count.

The last line of a note, inside of the encryption, is this site's signature of its name and all
before. What is not so signed is never believed: the worker writes it anew from the database, and a
restore refuses it unless a person names it. These functions of files block.
"""

import asyncio
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from typing import TypeVar

import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pyrage import x25519
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.masking.store import MaskedAppeal, list_masked
from callcenter.appeals.record.no_request import ClosedAppeal, ReopenedAppeal, list_closed
from callcenter.backup.place import list_backups, open_place
from callcenter.backup.signature import BadSignature, sign, signer_of, signing_key
from callcenter.platform.audit.rules.checkpoints import fingerprint
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.objects import ObjectMissing, Objects
from callcenter.recordings.retention.store import ErasedRecording, list_erased
from callcenter.recordings.sealing import keys
from callcenter.recordings.sealing.keys import Keys

log = logging.getLogger(__name__)

NUMBERS = "numbers.json"
MARK = b"callcenter-note-1 "  #: nothing else that is ever signed with the key begins so
DAY = timedelta(days=1)
NOT_OURS = "note not signed by this site, written anew from the database: %s"
MARK_TERM = timedelta(minutes=10)  #: unchanged numbers are written anew after it

Erased = MaskedAppeal | ClosedAppeal | ReopenedAppeal | ErasedRecording

_Key = TypeVar("_Key", int, date)
_line: TypeAdapter[Erased] = TypeAdapter(Erased)


@dataclass(frozen=True)
class Trust:
    """Trust in notes: the signer whose are believed."""

    signer: str  #: SHA-256 of the key, in lower case
    unsigned: Collection[str] = ()  #: names of notes that are believed whoever wrote them

    @classmethod
    def of_key(cls, key: Ed25519PrivateKey) -> "Trust":
        """Notes of the site that has this key, and no others."""
        return cls(fingerprint(key.public_key()))


class NotesUnsigned(OperationFailed):
    """Notes beside the backups are not signed by the site that made the backup."""

    def __init__(self, names: Sequence[str], trust: Trust) -> None:
        options = " ".join(f"--unsigned-note {each}" for each in names)
        super().__init__(
            f"{', '.join(names)} beside the backups is not signed by the key with the SHA-256 "
            f"{trust.signer}: whoever can write there may have made it. Put a version of it there "
            f"that is, or read it and repeat with {options} "
            '(docs/operations/backup-reference.md, "Notes that are not signed")'
        )


class NotesMissing(OperationFailed):
    """Notes of erasures beside the backups are gone, or older ones were put in their place."""

    def __init__(self, names: Sequence[str]) -> None:
        options = " ".join(f"--unsigned-note {each}" for each in names)
        super().__init__(
            f"{', '.join(names)} beside the backups is gone, or an older one: erasures that "
            f"{NUMBERS} counts are not in it. Put the newest version of it there; if there is "
            f"none, repeat with {options}, and these erasures are not done again"
        )


class NumberMark(BaseModel):
    """The last numbers of appeals that were given by `at`: by the year, in two digits."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    last: dict[int, int]
    erasures: dict[date, int] = {}  #: lines of each day's note; of an earlier version none


async def write_notes(tools: WorkerResources, now: datetime, days: Collection[date] = ()) -> None:
    """Bring the notes up to date: numbers, and erasures of today, yesterday and `days`.

    Without the numbers, of all days since the oldest backup: nothing else counts those notes.
    Repeatable, safe to kill. Raises DependencyUnavailable, ObjectStoreUnavailable, NoKey,
    SecretMissing, OperationFailed when a note cannot be read.
    """
    settings, place = tools.settings, open_place(tools.settings)
    if await asyncio.to_thread(is_removed, place):
        log.critical("note removed beside the backups, written anew: %s", NUMBERS)
        oldest = (await asyncio.to_thread(list_backups, place))[0].taken_at.date()
        days = [oldest + DAY * number for number in range((now.date() - oldest).days + 1)]
    key = await asyncio.to_thread(signing_key, settings)
    ring = await asyncio.to_thread(keys.read, settings.keys, settings.recovery_keys)
    counts = dict[date, int]()
    for day in sorted({now.date() - DAY, now.date(), *days}):
        done = await _list_erased(tools.engine, day)
        if done:
            counts[day] = await asyncio.to_thread(_add_erasures, place, key, ring, day, done)
    async with unit_of_work(tools.engine) as connection:
        last = await appeals.read_counters(connection)
    mark = NumberMark(at=now, last=last, erasures=counts)
    await asyncio.to_thread(write_numbers, place, key, mark)


def is_removed(place: Objects) -> bool:
    """Whether there are backups and no numbers beside them. Raises ObjectStoreUnavailable."""
    try:
        place.size(NUMBERS)
    except ObjectMissing:
        return bool(list_backups(place))
    return False


def find_removed(place: Objects, key: Ed25519PrivateKey, since: date) -> list[date]:
    """Days since then whose notes of erasures were there, and are gone.

    Raises NotesUnsigned, ObjectStoreUnavailable, OperationFailed.
    """
    mark = read_numbers(place, Trust.of_key(key))
    counted = mark.erasures if mark else {}
    here = {each.name for each in place.list_objects("erasures")}
    return sorted(day for day in counted if day >= since and _name(day) not in here)


def write_numbers(place: Objects, key: Ed25519PrivateKey, mark: NumberMark) -> None:
    """Write the newest numbers when they changed, or are old; none of ours goes back."""
    try:
        before = read_numbers(place, Trust.of_key(key))
    except NotesUnsigned:
        before = None
        log.warning(NOT_OURS, NUMBERS)
    if before is not None:
        last, erasures = _merge(before.last, mark.last), _merge(before.erasures, mark.erasures)
        is_same = (last, erasures) == (before.last, before.erasures)
        if is_same and mark.at - before.at < MARK_TERM:
            return
        mark = mark.model_copy(update={"last": last, "erasures": erasures})
    content = mark.model_dump_json().encode()
    place.put(NUMBERS, BytesIO(_signed(key, NUMBERS, content)))


def read_numbers(place: Objects, trust: Trust) -> NumberMark | None:
    """The newest numbers, None when none were ever written.

    Raises NotesUnsigned, OperationFailed when they cannot be read.
    """
    try:
        note = b"".join(place.stream(NUMBERS))
        return NumberMark.model_validate_json(_believed(NUMBERS, note, trust))
    except ObjectMissing:
        return None
    except ValidationError as exc:
        raise OperationFailed(f"{NUMBERS} beside the backups cannot be read") from exc


def read_erasures(
    place: Objects, since: date, until: date, identities: Sequence[x25519.Identity], trust: Trust
) -> list[Erased]:
    """All erasures of these days, both included.

    Raises NotesUnsigned with all that are, NotesMissing with all that are gone or older, but for
    those in `trust.unsigned`; OperationFailed when one cannot be opened.
    """
    found, unsigned, missing = list[Erased](), list[str](), list[str]()
    mark = read_numbers(place, trust)
    for day in (since + DAY * number for number in range((until - since).days + 1)):
        name, counted = _name(day), mark.erasures.get(day, 0) if mark else 0
        try:
            done = _read_day(place, day, identities, trust)
        except NotesUnsigned:
            unsigned.append(name)
            continue
        found += done
        if len(done) < counted and name not in trust.unsigned:
            missing.append(name)
    if unsigned:
        raise NotesUnsigned(unsigned, trust)
    if missing:
        raise NotesMissing(missing)
    return found


async def _list_erased(engine: AsyncEngine, day: date) -> list[Erased]:
    since = datetime(day.year, day.month, day.day, tzinfo=UTC)
    async with unit_of_work(engine) as connection:
        return [
            *await list_masked(connection, since, since + DAY),
            *await list_closed(connection, since, since + DAY),
            *await list_erased(connection, since, since + DAY),
        ]


def _add_erasures(
    place: Objects, key: Ed25519PrivateKey, ring: Keys, day: date, done: Sequence[Erased]
) -> int:
    """Add lines to the note of that day; returns how many it has."""
    name = _name(day)
    try:
        before = _read_day(place, day, ring.identities, Trust.of_key(key))
    except NotesUnsigned:
        before = []
        log.warning(NOT_OURS, name)
    lines = {_line.dump_json(each) for each in (*before, *done)}
    if len(lines) > len(before):
        note = _signed(key, name, b"\n".join(sorted(lines)))
        place.put(name, BytesIO(pyrage.encrypt(note, ring.recipients)))
    return len(lines)


def _read_day(
    place: Objects, day: date, identities: Sequence[x25519.Identity], trust: Trust
) -> list[Erased]:
    try:
        sealed = b"".join(place.stream(_name(day)))
        note = pyrage.decrypt(sealed, list(identities))
        lines = _believed(_name(day), note, trust).splitlines()
        return [_line.validate_python(json.loads(each)) for each in lines]
    except ObjectMissing:
        return []
    except (pyrage.DecryptError, ValueError) as exc:
        raise OperationFailed(f"{_name(day)} beside the backups cannot be opened") from exc


def _merge(before: Mapping[_Key, int], after: Mapping[_Key, int]) -> dict[_Key, int]:
    """The larger count of each."""
    return {**after, **{each: max(count, after.get(each, 0)) for each, count in before.items()}}


def _signed(key: Ed25519PrivateKey, name: str, content: bytes) -> bytes:
    return content + b"\n" + sign(key, _text(name, content))


def _believed(name: str, note: bytes, trust: Trust) -> bytes:
    """The content of a note, which has a signature or has none. Raises NotesUnsigned."""
    content, _, signature = note.removesuffix(b"\n").rpartition(b"\n")
    try:
        signed_by = signer_of(signature, _text(name, content))
    except BadSignature:
        signed_by, content = None, note
    if signed_by != trust.signer and name not in trust.unsigned:
        raise NotesUnsigned([name], trust)
    return content


def _text(name: str, content: bytes) -> bytes:
    return MARK + name.encode() + b"\n" + content


def _name(day: date) -> str:
    return f"erasures/{day:%Y-%m-%d}.jsonl.age"
