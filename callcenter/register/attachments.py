"""Files attached to an appeal: encrypted in the store, opened by those who may, with an entry.

The row is there before the file, so that a crash in between loses nothing: a worker looks whether
the file came whole (`attachments_checking`), and goes on with it or says that it did not. Where
there is a clamd, nobody can open a file before it was found clean.
"""

import asyncio
import hashlib
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import pyrage
from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.audit.actions import Action
from callcenter.errors import N_, AskedWrongly
from callcenter.recordings import keys as recording_keys
from callcenter.recordings.age import Altered
from callcenter.register import filetypes
from callcenter.register.handling import found, note
from callcenter.register.private import Keys
from callcenter.register.tables import record_attachment
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import enqueue_once
from callcenter.storage.objects import Objects
from callcenter.web.errors import NotFound
from callcenter.web.site import Site, Visit

MOST = 100  # files of one appeal
EMPTY = N_("this file is empty: choose another")
TOO_LARGE = N_("this file is too large: make it smaller, or send it in parts")
TOO_MANY = N_("this appeal has as many files as it can have")


class State(StrEnum):
    """Where a file stands. Only what is kept can be opened."""

    ARRIVING = "arriving"  #: on its way into the store
    WAITING = "waiting"  #: for clamd
    KEPT = "kept"
    ASIDE = "aside"  #: a virus is in it, or it cannot be checked; kept, and opened by nobody
    FAILED = "failed"  #: it did not come whole: it is to be sent again
    ERASED = "erased"  #: personal data were erased; the file is gone


#: That stand for their bytes: the same bytes are not kept twice.
THERE = (State.ARRIVING.value, State.WAITING.value, State.KEPT.value, State.ASIDE.value)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file. `name` is personal data; `checked_at` is None when no clamd has looked at it."""

    id: UUID
    appeal_id: UUID
    name: str
    type: str
    bytes: int
    sha256: str
    state: State
    author: str
    at: datetime
    checked_at: datetime | None
    why: str | None


async def add(site: Site, visit: Visit, number: str, name: str, content: bytes) -> Attachment:
    """Keep a file with the appeal; the one that is there already, if its bytes are the same.

    Raises AskedWrongly that says what is wrong with it; NotFound; NoKey and StoreFails: then it is
    not there.
    """
    if not content:
        raise AskedWrongly(EMPTY)
    if len(content) > site.settings.attachment_limit * 1024**2:
        raise AskedWrongly(TOO_LARGE)
    ending = await asyncio.to_thread(filetypes.recognize, content)
    keys = Keys.read(site.settings)
    async with unit_of_work(site.engine) as connection:
        row = await found(connection, number)
        sha256 = hashlib.sha256(content).hexdigest()
        known = await _same(connection, keys, row.id, sha256)
        if known is not None:
            return known
        identity = uuid4()
        await connection.execute(
            insert(record_attachment).values(
                id=identity,
                appeal_id=row.id,
                sealed_name=keys.seal(identity, {"name": filetypes.clean_name(name, ending)}),
                type=ending,
                bytes=len(content),
                sha256=sha256,
                state=State.ARRIVING.value,
                author=visit.who,
                at=datetime.now(UTC),
            )
        )
        await note(
            connection, visit, Action.ATTACHMENT_ADDED, number, attachment=str(identity), sha=sha256
        )
    await asyncio.to_thread(put, site.settings, identity, content)
    async with unit_of_work(site.engine) as connection:
        await arrived(connection, site.settings, identity)
        return await find(connection, keys, identity)


async def arrived(connection: AsyncConnection, settings: Settings, identity: UUID) -> None:
    """The file is in the store: from now on it is kept, or waits for clamd."""
    after = State.KEPT if settings.clamd is None else State.WAITING
    await change(connection, identity, State.ARRIVING, after)
    if after is State.WAITING:
        await enqueue_once(connection, "register.check_attachments")


async def of_appeal(connection: AsyncConnection, keys: Keys, appeal_id: UUID) -> list[Attachment]:
    """The files of an appeal in the order in which they came, those that are erased too."""
    query = select(record_attachment).where(record_attachment.c.appeal_id == appeal_id)
    rows = await connection.execute(query.order_by(record_attachment.c.at, record_attachment.c.id))
    return [_attachment(keys, row) for row in rows]


async def find(connection: AsyncConnection, keys: Keys, identity: UUID) -> Attachment:
    """The file with this id. Raises NotFound."""
    query = select(record_attachment).where(record_attachment.c.id == identity)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound("there is no file with this id")
    return _attachment(keys, row)


async def read(site: Site, visit: Visit, number: str, identity: UUID) -> tuple[Attachment, bytes]:
    """The file and its bytes, with an entry in the audit log before anybody has them.

    Raises NotFound, also for a file of another appeal and for one that is not kept.
    """
    keys = Keys.read(site.settings)
    async with unit_of_work(site.engine) as connection:
        row = await found(connection, number)
        attachment = await find(connection, keys, identity)
        if attachment.appeal_id != row.id or attachment.state is not State.KEPT:
            raise NotFound("there is no file to open with this id")
        await note(connection, visit, Action.ATTACHMENT_READ, number, attachment=str(identity))
    content = await asyncio.to_thread(opened, site.settings, identity)
    if hashlib.sha256(content).hexdigest() != attachment.sha256:
        raise Altered
    return attachment, content


async def change(
    connection: AsyncConnection, identity: UUID, before: State, after: State, **values: Any
) -> None:
    """From one state to another, unless somebody else has changed it."""
    await connection.execute(
        update(record_attachment)
        .where(record_attachment.c.id == identity, record_attachment.c.state == before.value)
        .values(state=after.value, **values)
    )


def put(settings: Settings, identity: UUID, content: bytes) -> None:
    """Encrypt the bytes to the center's key and keep them. Blocks. Raises NoKey, StoreFails."""
    ring = recording_keys.read(settings.keys, settings.recovery_keys)
    sealed = pyrage.encrypt(content, ring.recipients)
    Objects(settings.store).put(object_name(identity), io.BytesIO(sealed))


def opened(settings: Settings, identity: UUID) -> bytes:
    """The bytes as they came. Blocks. Raises NoKey, ObjectMissing, StoreFails, Altered."""
    ring = recording_keys.read(settings.keys, settings.recovery_keys)
    sealed = b"".join(Objects(settings.store).stream(object_name(identity)))
    try:
        return bytes(pyrage.decrypt(sealed, list(ring.identities)))
    except pyrage.DecryptError as exc:
        raise Altered from exc


def object_name(identity: UUID) -> str:
    """Its name in the store tells nothing."""
    return f"attachments/{identity.hex[:2]}/{identity}.age"


async def _same(
    connection: AsyncConnection, keys: Keys, appeal_id: UUID, sha256: str
) -> Attachment | None:
    """The file with these bytes that the appeal has. Raises AskedWrongly: it may have no more."""
    there = (record_attachment.c.appeal_id == appeal_id, record_attachment.c.state.in_(THERE))
    query = select(record_attachment).where(*there, record_attachment.c.sha256 == sha256)
    row = (await connection.execute(query.limit(1))).one_or_none()
    if row is not None:
        return _attachment(keys, row)
    count = select(func.count()).select_from(record_attachment).where(*there)
    if (await connection.execute(count)).scalar_one() >= MOST:
        raise AskedWrongly(TOO_MANY)
    return None


def _attachment(keys: Keys, row: Row[Any]) -> Attachment:
    return Attachment(
        row.id,
        row.appeal_id,
        keys.open(row.id, row.sealed_name).get("name", ""),
        row.type,
        row.bytes,
        row.sha256,
        State(row.state),
        row.author,
        row.at,
        row.checked_at,
        row.why,
    )
