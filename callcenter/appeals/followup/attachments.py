"""Attachments of appeals: encrypted in the object store, every read audited.

The row is written before the file, so that a crash in between loses nothing: the worker
(`attachment_scanning`) finishes the upload, or marks it as failed. With a clamd no file can be
opened before it was found clean.
"""

import asyncio
import hashlib
import io
from uuid import UUID

import pyrage
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.followup import attachments_store as store
from callcenter.appeals.followup.attachments_store import Attachment, ScanState
from callcenter.appeals.record.service import audit_appeal, get_appeal, require_request
from callcenter.appeals.rules import filetypes
from callcenter.platform.core.errors import N_, InvalidRequest, NotFound
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import enqueue_once
from callcenter.platform.storage.objects import Objects
from callcenter.recordings.sealing import keys as recording_keys
from callcenter.recordings.sealing.age import Altered

FILE_LIMIT = 100  # files of one appeal
EMPTY = N_("this file is empty: choose another")
TOO_LARGE = N_("this file is too large: make it smaller, or send it in parts")
TOO_MANY = N_("this appeal has as many files as it can have")


async def add(
    engine: AsyncEngine,
    keys: RecordKeys,
    settings: Settings,
    actor: Actor,
    number: str,
    name: str,
    content: bytes,
) -> Attachment:
    """Attach a file to an appeal; returns the existing one if the bytes are the same.

    An upload that was interrupted is completed by the same bytes. Raises InvalidRequest that says
    what is wrong with it; NotFound; NoKey and ObjectStoreUnavailable: then it is not attached.
    """
    ending = await check_file(settings, content)
    async with unit_of_work(engine) as connection:
        file, is_new = await begin_upload(connection, keys, actor, number, name, ending, content)
        if is_new:
            await audit_upload(connection, actor, number, file)
    if file.state is not ScanState.ARRIVING:
        return file
    await asyncio.to_thread(store_content, settings, file.id, content)
    async with unit_of_work(engine) as connection:
        await finish_upload(connection, settings, file.id)
        return await store.find(connection, keys, file.id)


async def begin_upload(
    connection: AsyncConnection,
    keys: RecordKeys,
    actor: Actor,
    number: str,
    name: str,
    ending: str,
    content: bytes,
) -> tuple[Attachment, bool]:
    """Enter a file that was checked, before its bytes are stored; whether it is new.

    Whoever calls this audits a new one, last in the transaction (`audit_upload`). Returns the one
    with the same bytes, if there is one. Raises InvalidRequest, NotFound.
    """
    row = await get_appeal(connection, number)
    await require_request(connection, row.id)
    sha256 = hashlib.sha256(content).hexdigest()
    existing = await store.find_same(connection, keys, row.id, sha256)
    if existing is not None:
        return existing, False
    if await store.count_present(connection, row.id) >= FILE_LIMIT:
        raise InvalidRequest(TOO_MANY)
    identity = await store.insert_new(
        connection,
        keys,
        row.id,
        name=filetypes.clean_name(name, ending),
        ending=ending,
        size=len(content),
        sha256=sha256,
        author=actor.who,
    )
    return await store.find(connection, keys, identity), True


async def audit_upload(
    connection: AsyncConnection, actor: Actor, number: str, file: Attachment
) -> None:
    """Add the audit entry of a file that is new, last in its transaction."""
    action, which = AppealAction.ATTACHMENT_ADDED, str(file.id)
    await audit_appeal(connection, actor, action, number, attachment=which, sha=file.sha256)


async def check_file(settings: Settings, content: bytes) -> str:
    """The type of a file that may be attached. Raises InvalidRequest that says what is wrong."""
    if not content:
        raise InvalidRequest(EMPTY)
    if len(content) > settings.attachment_limit * 1024**2:
        raise InvalidRequest(TOO_LARGE)
    return await asyncio.to_thread(filetypes.recognize, content)


async def finish_upload(connection: AsyncConnection, settings: Settings, identity: UUID) -> None:
    """Mark a file as uploaded: it is available, or waits for clamd if there is one."""
    after = ScanState.AVAILABLE if settings.clamd is None else ScanState.WAITING
    await store.change_state(connection, identity, ScanState.ARRIVING, after)
    if after is ScanState.WAITING:
        await enqueue_once(connection, "register.check_attachments")


async def read(
    engine: AsyncEngine,
    keys: RecordKeys,
    settings: Settings,
    actor: Actor,
    number: str,
    identity: UUID,
) -> tuple[Attachment, bytes]:
    """Read an attachment with its bytes; the audit entry is committed before.

    Raises NotFound, also for a file of another appeal and for one that is not available.
    """
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        attachment = await store.find(connection, keys, identity)
        if attachment.appeal_id != row.id or attachment.state is not ScanState.AVAILABLE:
            raise NotFound("there is no file to open with this id")
        await audit_appeal(
            connection, actor, AppealAction.ATTACHMENT_READ, number, attachment=str(identity)
        )
    content = await asyncio.to_thread(open_content, settings, identity)
    if hashlib.sha256(content).hexdigest() != attachment.sha256:
        raise Altered
    return attachment, content


def store_content(settings: Settings, identity: UUID, content: bytes) -> None:
    """Encrypt the bytes to the center's key and store them. Blocks.

    Raises NoKey, ObjectStoreUnavailable.
    """
    ring = recording_keys.read(settings.keys, settings.recovery_keys)
    sealed = pyrage.encrypt(content, ring.recipients)
    Objects(settings.store).put(object_name(identity), io.BytesIO(sealed))


def open_content(settings: Settings, identity: UUID) -> bytes:
    """Read the decrypted bytes. Blocks.

    Raises NoKey, ObjectMissing, ObjectStoreUnavailable, Altered.
    """
    ring = recording_keys.read(settings.keys, settings.recovery_keys)
    sealed = b"".join(Objects(settings.store).stream(object_name(identity)))
    try:
        return bytes(pyrage.decrypt(sealed, list(ring.identities)))
    except pyrage.DecryptError as exc:
        raise Altered from exc


def object_name(identity: UUID) -> str:
    """Return the name in the object store; it reveals nothing."""
    return f"attachments/{identity.hex[:2]}/{identity}.age"
