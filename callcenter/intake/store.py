"""Written messages in PostgreSQL: found by keyed hashes, their words sealed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, Select, exists, func, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.tables import masked
from callcenter.intake.rules.messages import WrittenMessage
from callcenter.intake.tables import intake_message
from callcenter.platform.core.caller_id import mask

MESSAGES_PAGE = 50  # messages that are read and shown at once
SAME_LIMIT = 10  # newest messages with the very same words, in whatever appeals
ARRIVALS_LIMIT = 500  # newest messages that a timeline names

#: Of messages, the latest of which is shown first.
_ORDER = (intake_message.c.received_at, intake_message.c.stored_at, intake_message.c.id)


@dataclass(frozen=True, slots=True)
class MessageHashes:
    """Keyed hashes that a message is recognised by, also once its words are erased."""

    message: bytes
    text: bytes
    thread: bytes | None

    @classmethod
    def of(cls, keys: RecordKeys, message: WrittenMessage) -> "MessageHashes":
        """The keyed hashes of a message."""
        source, thread = message.source, message.thread
        return cls(
            cls.of_id(keys, source, message.message_id),
            keys.hash("intake_text", message.digest),
            keys.hash("intake_thread", f"{source}\0{thread}") if thread else None,
        )

    @staticmethod
    def of_id(keys: RecordKeys, source: str, message_id: str) -> bytes:
        """The keyed hash of the id that a source has given a message."""
        return keys.hash("intake_message", f"{source}\0{message_id}")


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message of an appeal. The words are personal data, and empty once they are erased.

    The `phone` is empty where it is that of the appeal, which its page has. `same_in` are other
    appeals in which the very same was written, the newest first; without words nothing is the same.
    """

    id: UUID
    channel: str
    is_urgent: bool
    received_at: datetime
    author: str
    text: str
    sender: str
    phone: str
    names: str
    is_erased: bool
    same_in: Sequence[str]

    @property
    def masked_phone(self) -> str:
        """The telephone as readers see it: as that of a caller."""
        return mask(self.phone)


async def lock(connection: AsyncConnection, hashes: MessageHashes) -> None:
    """Have others wait who bring the same message, or one of its conversation, until the end."""
    locks = {hashes.message} | ({hashes.thread} if hashes.thread else set())
    for each in sorted(locks):
        await connection.execute(
            select(func.pg_advisory_xact_lock(int.from_bytes(each[:8], "big", signed=True)))
        )


async def find_same(connection: AsyncConnection, hashes: MessageHashes) -> UUID | None:
    """The appeal of the very same message, which came before."""
    query = select(intake_message.c.appeal_id).where(
        intake_message.c.message_hash == hashes.message, intake_message.c.text_hash == hashes.text
    )
    found: UUID | None = (await connection.execute(query)).scalar_one_or_none()
    return found


async def find_conversation(connection: AsyncConnection, hashes: MessageHashes) -> UUID | None:
    """The appeal of the newest message of the conversation, or of an earlier wording of this."""
    is_of_it = intake_message.c.message_hash == hashes.message
    if hashes.thread is not None:
        is_of_it = or_(is_of_it, intake_message.c.thread_hash == hashes.thread)
    query = select(intake_message.c.appeal_id).where(is_of_it)
    newest = query.order_by(intake_message.c.stored_at.desc(), intake_message.c.id).limit(1)
    found: UUID | None = (await connection.execute(newest)).scalar_one_or_none()
    return found


async def find_by_id(connection: AsyncConnection, message_hash: bytes) -> UUID | None:
    """The appeal of the newest wording of a message, by the hash of its id."""
    query = select(intake_message.c.appeal_id).where(intake_message.c.message_hash == message_hash)
    newest = query.order_by(intake_message.c.stored_at.desc()).limit(1)
    found: UUID | None = (await connection.execute(newest)).scalar_one_or_none()
    return found


async def find_newest(connection: AsyncConnection, appeal_id: UUID) -> UUID | None:
    """The message of an appeal that was stored last, whenever it was received."""
    query = select(intake_message.c.id).where(intake_message.c.appeal_id == appeal_id)
    newest = query.order_by(intake_message.c.stored_at.desc(), intake_message.c.id).limit(1)
    found: UUID | None = (await connection.execute(newest)).scalar_one_or_none()
    return found


async def is_masked(connection: AsyncConnection, appeal_id: UUID) -> bool:
    """Whether personal data of an appeal were masked once."""
    query = select(exists().where(masked.c.appeal_id == appeal_id))
    return bool((await connection.execute(query)).scalar_one())


async def number_of(connection: AsyncConnection, appeal_id: UUID) -> str:
    """The number of an appeal that there is."""
    query = select(appeal.c.number).where(appeal.c.id == appeal_id)
    number: str = (await connection.execute(query)).scalar_one()
    return number


async def insert_message(
    connection: AsyncConnection,
    keys: RecordKeys,
    hashes: MessageHashes,
    appeal_id: UUID,
    message: WrittenMessage,
    *,
    author: str,
    at: datetime,
) -> UUID:
    """Insert a message; returns its id."""
    identity = uuid4()
    words = {name: getattr(message, name) for name in ("text", "sender", "phone", "names")}
    await connection.execute(
        insert(intake_message).values(
            id=identity,
            appeal_id=appeal_id,
            source=message.source,
            message_hash=hashes.message,
            text_hash=hashes.text,
            thread_hash=hashes.thread,
            channel=message.channel.value,
            urgent=message.is_urgent,
            received_at=message.received_at,
            stored_at=at,
            author=author,
            sealed=keys.seal(identity, words),
        )
    )
    return identity


async def list_messages(
    connection: AsyncConnection,
    keys: RecordKeys,
    of: Select[tuple[UUID]] | Sequence[UUID],
    *,
    after: UUID | None = None,
    limit: int = MESSAGES_PAGE,
) -> list[StoredMessage]:
    """Messages of some appeals, the latest first, `after` this one. Raises DecryptionFailed."""
    query = _select(of).order_by(*(each.desc() for each in _ORDER)).limit(limit)
    if after is not None:  # by its place, not by a count: others may come meanwhile
        last = intake_message.alias()
        place = tuple_(*(last.c[each.name] for each in _ORDER))
        query = query.join(last, last.c.id == after).where(tuple_(*_ORDER) < place)
    return [_stored(keys, row) for row in await connection.execute(query)]


async def find_message(
    connection: AsyncConnection,
    keys: RecordKeys,
    of: Select[tuple[UUID]] | Sequence[UUID],
    message_id: UUID,
) -> StoredMessage | None:
    """A message of one of these appeals. Raises DecryptionFailed."""
    query = _select(of).where(intake_message.c.id == message_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _stored(keys, row)


def _select(of: Select[tuple[UUID]] | Sequence[UUID]) -> Select[Any]:
    """Messages of some appeals, with what each is shown with."""
    same, its = intake_message.alias(), appeal.alias()
    same_in = (
        select(its.c.number)
        .join_from(same, its, its.c.id == same.c.appeal_id)
        .where(
            same.c.text_hash == intake_message.c.text_hash,
            same.c.appeal_id != intake_message.c.appeal_id,
        )
        .order_by(same.c.stored_at.desc())
        .limit(SAME_LIMIT)
        .scalar_subquery()
    )
    return (
        select(intake_message, func.array(same_in).label("same_in"), appeal.c.caller_number)
        .join(appeal, appeal.c.id == intake_message.c.appeal_id)
        .where(intake_message.c.appeal_id.in_(of))
    )


async def list_arrivals(
    connection: AsyncConnection, of: Select[tuple[UUID]]
) -> Sequence[tuple[datetime, str]]:
    """The newest messages of some appeals: when each came, and who handed it over."""
    query = (
        select(intake_message.c.received_at, intake_message.c.author)
        .where(intake_message.c.appeal_id.in_(of))
        .order_by(intake_message.c.received_at.desc())
        .limit(ARRIVALS_LIMIT)
    )
    return [(row.received_at, row.author) for row in await connection.execute(query)]


async def move(connection: AsyncConnection, appeal_id: UUID, into: UUID) -> None:
    """Move the messages of an appeal to the one that it goes on in."""
    await connection.execute(
        update(intake_message).where(intake_message.c.appeal_id == appeal_id).values(appeal_id=into)
    )


def _stored(keys: RecordKeys, row: Row[Any]) -> StoredMessage:
    words = keys.open(row.id, row.sealed)
    text, phone = words.get("text", ""), words.get("phone", "")
    return StoredMessage(
        id=row.id,
        channel=row.channel,
        is_urgent=row.urgent,
        received_at=row.received_at,
        author=row.author,
        text=text,
        sender=words.get("sender", ""),
        phone=phone if phone != row.caller_number else "",
        names=words.get("names", ""),
        is_erased=row.sealed is None,
        same_in=tuple(dict.fromkeys(row.same_in)) if text else (),
    )
