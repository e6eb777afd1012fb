"""Intake of written messages: each opens an appeal or joins one, once (R7, R12)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.service import audit_shown_number
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.extensions import AppealReading, TimelineEntry
from callcenter.appeals.followup import attachments, attachments_store
from callcenter.appeals.followup.attachments_store import Attachment, ScanState
from callcenter.appeals.form.store import read_form
from callcenter.appeals.labels import CHANNELS
from callcenter.appeals.record import search_index
from callcenter.appeals.record import store as records
from callcenter.appeals.record.manual_intake import open_contact
from callcenter.appeals.record.service import audit_appeal, get_appeal
from callcenter.appeals.rules.states import AppealState
from callcenter.consultants.labels import name_of
from callcenter.consultants.permissions import ConsultantPermission
from callcenter.consultants.reference_lists import ListEntry, ListKind, list_entries
from callcenter.intake import queue, queue_store, store
from callcenter.intake.actions import IntakeAction
from callcenter.intake.rules.messages import WrittenMessage, normalize
from callcenter.intake.rules.queue import WrittenContact
from callcenter.intake.store import MESSAGES_PAGE, MessageHashes, StoredMessage
from callcenter.platform.core.errors import N_, InvalidRequest, NotFound
from callcenter.platform.core.i18n import DEFAULT, Translator
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.calls.outcomes import Urgency

SEARCHED_LIMIT = 20_000  # characters: their stems take a tenth of a second
SEARCHED_MESSAGES = 200  # newest ones, in which so many characters are looked for
NO_MESSAGE = "there is no message of yours with this id: send the message first"


class PersonalDataErased(InvalidRequest):
    """Personal data of this appeal were erased: what is written now is a new one."""


@dataclass(frozen=True, slots=True)
class IntakeReceipt:
    """The appeal of a message; not `is_new` where the very same message came before."""

    number: str
    is_new: bool


async def receive(
    engine: AsyncEngine,
    keys: RecordKeys,
    settings: Settings,
    actor: Actor,
    message: WrittenMessage,
    *,
    is_own: bool = False,
) -> IntakeReceipt:
    """Store a message with the appeal that it opens or joins: all of it, or nothing.

    It waits in the queue until somebody has read it, unless `is_own`: the actor has, and has it in
    hand, and the appeal, if nobody has. Raises Conflict when another has what is written there.

    It may be handed over again and by several at once: its own id and its words say whether it is
    the same. One that is edited is stored beside its earlier wording. It joins the appeal of its
    conversation, or the one that a person says it `joins`; what the writer `names` is for a person
    to decide. Raises InvalidRequest that says what is wrong with it, NotFound.
    """
    now = datetime.now(UTC)
    message = normalize(message, now)
    hashes = MessageHashes.of(keys, message)
    async with unit_of_work(engine) as connection:
        await store.lock(connection, hashes)
        before = await store.find_same(connection, hashes)
        if before is not None:
            return IntakeReceipt(await store.number_of(connection, before), is_new=False)
        joined = await _find_joined(connection, keys, message, hashes)
        appeal_id = joined or await _open(connection, message)
        number = await store.number_of(connection, appeal_id)
        identity = await store.insert_message(
            connection, keys, hashes, appeal_id, message, author=actor.who, at=now
        )
        if message.is_urgent:
            danger = [Urgency.DANGER.value]
            await appeals.add_urgencies(connection, appeal_id=appeal_id, urgent=danger)
        record = await records.find(connection, keys, appeal_id)
        if is_own and record.owner is None:
            await records.change_row(connection, record, owner=actor.name)
        await queue.enqueue(
            *(connection, settings, appeal_id, record.owner, message.language),
            received_at=message.received_at,
            now=now,
            is_urgent=message.is_urgent,
            read_by=actor.name if is_own else None,
        )
        form = await read_form(connection)
        await search_index.index(connection, keys, form, appeal_id, record.content)
        await audit_appeal(
            connection,
            actor,
            IntakeAction.MESSAGE_RECEIVED,
            number,
            message=str(identity),
            channel=message.channel.value,
            opened=joined is None,
            urgent=message.is_urgent,
            own=is_own,
        )
    return IntakeReceipt(number, is_new=True)


async def attach(
    engine: AsyncEngine,
    keys: RecordKeys,
    settings: Settings,
    actor: Actor,
    source: str,
    message_id: str,
    name: str,
    content: bytes,
    *,
    is_own: bool = False,
) -> Attachment:
    """Attach a file to the appeal of a message of this source, once; it is to be read there.

    It waits as the message does, unless `is_own`, until all of it is there and somebody has read
    it. What is refused, or comes again, changes nothing. Raises NotFound without the message,
    InvalidRequest that says what is wrong with the file, and as `attachments.add` does.
    """
    ending = await attachments.check_file(settings, content)
    async with unit_of_work(engine) as connection:
        found = await store.find_by_id(connection, MessageHashes.of_id(keys, source, message_id))
        if found is None:
            raise NotFound(NO_MESSAGE)
        goes_on = await _follow(connection, keys, found)
        number = await store.number_of(connection, goes_on)
        file, is_new = await attachments.begin_upload(
            *(connection, keys, actor, number, name, ending, content)
        )
        if is_new and not is_own:  # whoever completes it: it is read too early, or again
            await _have_read(connection, keys, settings, goes_on)
        if is_new:
            await attachments.audit_upload(connection, actor, number, file)
    if file.state is not ScanState.ARRIVING:
        return file
    await asyncio.to_thread(attachments.store_content, settings, file.id, content)
    async with unit_of_work(engine) as connection:
        if not is_own:  # first: whoever erases a file has locked its appeal before
            await _have_read(connection, keys, settings, await _follow(connection, keys, goes_on))
        await attachments.finish_upload(connection, settings, file.id)
        return await attachments_store.find(connection, keys, file.id)


async def list_numbers(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID
) -> Sequence[str]:
    """Telephones of messages, by which the appeal is found: of the newest, up to a limit."""
    messages = await store.list_messages(connection, keys, [appeal_id], limit=SEARCHED_MESSAGES)
    return [each.phone for each in messages if each.phone]


async def searchable(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID
) -> Sequence[str]:
    """Words of messages, by which the appeal is found: of the newest, up to limits."""
    messages = await store.list_messages(connection, keys, [appeal_id], limit=SEARCHED_MESSAGES)
    texts = " ".join(text for each in messages for text in (each.sender, each.text))
    return [texts[:SEARCHED_LIMIT]]


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Messages of an appeal, the latest first, of all or `after` one; it may have older ones."""

    after: UUID | None
    messages: Sequence[StoredMessage]
    has_older: bool

    def channel_name(self, words: Translator, message: StoredMessage) -> str:
        """The way by which a message came, in the language of the page."""
        return words.plain(CHANNELS.get(message.channel, message.channel))


@dataclass(frozen=True, slots=True)
class WrittenSection:
    """The latest messages of an appeal, and its contact, unless that is done.

    `is_danger_open` from a message of danger on until the contact is done, whatever is read or
    comes meanwhile. `skills` are those that a contact may be given back for; whoever `supervises`
    may for another.
    """

    latest: MessagePage
    newest: UUID | None  #: the message stored last, which whoever takes the contact has seen
    contact: WrittenContact | None
    is_danger_open: bool
    skills: Sequence[ListEntry]
    supervises: bool

    def skill_name(self, words: Translator, skill: ListEntry) -> str:
        """The name of a skill in the language of the page."""
        return name_of(words, skill.code, {"kk": skill.name_kk, "ru": skill.name_ru})


async def read_section(reading: AppealReading) -> WrittenSection | None:
    """Messages for the page of the appeal, and of what it is a part of; None: there are none."""
    connection = reading.connection
    newest = await store.find_newest(connection, reading.appeal_id)  # first: it is shown
    latest = await _read_page(connection, reading.keys, reading.appeal_id)
    if not latest.messages:
        return None
    entries = await list_entries(connection, ListKind.SKILL)
    contact = await queue_store.find_contact(connection, reading.appeal_id)
    return WrittenSection(
        latest,
        newest,
        contact,
        contact is not None
        and (
            contact.is_urgent  # also of an appeal that was joined to one whose contact was done
            or await queue_store.has_danger_since_done(connection, reading.appeal_id)
        ),
        [each for each in entries if each.active],
        reading.actor.may(ConsultantPermission.SUPERVISE),
    )


async def read_older(
    engine: AsyncEngine, keys: RecordKeys, actor: Actor, number: str, after: UUID
) -> MessagePage:
    """Messages of an appeal that are older than this one, with an entry in the audit log.

    Raises NotFound, DecryptionFailed.
    """
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        older = await _read_page(connection, keys, row.id, after)
        await audit_appeal(connection, actor, AppealAction.APPEAL_VIEWED, number, by="written")
    return older


async def show_phone(
    engine: AsyncEngine,
    keys: RecordKeys,
    actor: Actor,
    number: str,
    message_id: UUID,
    reason: str,
) -> str:
    """The telephone that a message came with, whole; audited with the reason.

    Raises NotFound, InvalidRequest without a reason, DecryptionFailed.
    """
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        continued = records.select_continued(row.id)
        message = await store.find_message(connection, keys, continued, message_id)
        if message is None or not message.phone:
            raise NotFound("there is no telephone of a message to show here")
        await audit_shown_number(connection, actor, f"appeal:{number}", reason)
    return message.phone


async def read_timeline(reading: AppealReading) -> Sequence[TimelineEntry]:
    """Messages in what was done about the appeal."""
    continued = records.select_continued(reading.appeal_id)
    return [
        TimelineEntry(at, author, N_("A written message came"))
        for at, author in await store.list_arrivals(reading.connection, continued)
    ]


async def _read_page(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID, after: UUID | None = None
) -> MessagePage:
    """Messages for the page of an appeal: its own, and those of what it is a part of."""
    continued = records.select_continued(appeal_id)
    some = await store.list_messages(
        connection, keys, continued, after=after, limit=MESSAGES_PAGE + 1
    )
    return MessagePage(after, some[:MESSAGES_PAGE], len(some) > MESSAGES_PAGE)


async def _find_joined(
    connection: AsyncConnection, keys: RecordKeys, message: WrittenMessage, hashes: MessageHashes
) -> UUID | None:
    """The appeal that a message joins; None: it opens one. Raises NotFound, InvalidRequest."""
    if message.joins:
        return await _follow(connection, keys, (await get_appeal(connection, message.joins)).id)
    found = await store.find_conversation(connection, hashes)
    if found is None:
        return None
    try:
        return await _follow(connection, keys, found)
    except PersonalDataErased:
        return None


async def _follow(connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID) -> UUID:
    """The appeal in which this one goes on, locked, with a record. Raises PersonalDataErased."""
    record = await records.find(connection, keys, appeal_id)
    while record.joined_to is not None:  # not locked: a merge has its own order
        record = await records.find(connection, keys, record.joined_to)
    record = await records.find(connection, keys, record.appeal_id, alone=True)
    if record.joined_to is not None:  # meanwhile
        return await _follow(connection, keys, record.joined_to)
    is_erased = record.stage is AppealState.NO_REQUEST
    if is_erased or await store.is_masked(connection, record.appeal_id):
        raise PersonalDataErased
    if record.version == 0:
        await records.change_row(connection, record)
    return record.appeal_id


async def _open(connection: AsyncConnection, message: WrittenMessage) -> UUID:
    contact = message.contact
    # That of a form whose first appeal was masked is used up.
    if contact.number and await appeals.find(connection, contact.number) is not None:
        contact = replace(contact, number="")
    appeal_id, _ = await open_contact(connection, contact, owner=None)
    return appeal_id


async def _have_read(
    connection: AsyncConnection, keys: RecordKeys, settings: Settings, appeal_id: UUID
) -> None:
    """Have a file of the appeal, which is locked, be read."""
    now, row = datetime.now(UTC), await appeals.find_by_id(connection, appeal_id)
    record = await records.find(connection, keys, appeal_id)
    language = row.language if row and row.language else DEFAULT
    await queue.enqueue(
        *(connection, settings, appeal_id, record.owner, language), received_at=now, now=now
    )
