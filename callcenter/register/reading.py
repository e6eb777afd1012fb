"""Reading a record for somebody, with what was done to it; that it was read is audited."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.audit.actions import Action
from callcenter.errors import AskedWrongly
from callcenter.register import (
    attachments,
    handling,
    letters_store,
    reminders,
    searching,
    steps_store,
    store,
)
from callcenter.register.attachments import Attachment
from callcenter.register.fields import PEOPLE, SEVERAL
from callcenter.register.handling import Opened, guards_of, note
from callcenter.register.letters_store import Kept
from callcenter.register.merging import Difference
from callcenter.register.private import Keys
from callcenter.register.receipt import Receipt
from callcenter.register.reminders import Reminder
from callcenter.register.searching import Found
from callcenter.register.stages import ENDED, Stage
from callcenter.register.store import Related
from callcenter.storage.engine import unit_of_work
from callcenter.web import store as users
from callcenter.web.permissions import Permission
from callcenter.web.site import Site, Visit


@dataclass(frozen=True, slots=True)
class Deed:
    """A change of the content or of a letter, or a step; only what the reader may see of it."""

    at: datetime
    author: str
    differences: dict[str, Difference]
    before: Stage | None = None
    after: Stage | None = None
    reason: str = ""
    letter: UUID | None = None  #: of which letter, if it is a change of one


@dataclass(frozen=True, slots=True)
class Read:
    """A record, its history with the newest first, other appeals of the same person, files,
    what belongs to it, and reminders that are not done.

    Files are there for those who may see what is sensitive, letters for those who may see what is
    personal.
    """

    opened: Opened
    history: list[Deed]
    earlier: list[Found]
    attachments: list[Attachment]
    related: Related
    reminders: Sequence[Reminder]
    letters: Sequence[Kept]

    @property
    def open_earlier(self) -> list[Found]:
        """Those of the same person that go on: a repeated contact is joined to one."""
        return [each for each in self.earlier if Stage(each.stage) not in ENDED]


async def read(site: Site, visit: Visit, number: str) -> Read:
    """The record with its history, and an entry in the audit log. Raises NotFound."""
    opened = await handling.open_record(site, visit, number)
    keys = Keys.read(site.settings)
    async with unit_of_work(site.engine) as connection:
        changes = await store.changes(connection, keys, opened.row.id)
        steps = await steps_store.moves(connection, opened.row.id)
        earlier = await searching.of_same_person(connection, opened.row.id)
        files = (
            await attachments.of_appeal(connection, keys, opened.row.id)
            if visit.may(Permission.SEE_SENSITIVE)
            else []
        )
        related = await store.related(connection, opened.record)
        open_reminders = await reminders.of_appeal(connection, keys, opened.row.id)
        is_personal = visit.may(Permission.SEE_PERSONAL)
        letters, letter_deeds = (
            await _letters(connection, keys, opened.row.id) if is_personal else ([], [])
        )
        await note(connection, visit, Action.APPEAL_VIEWED, number, by="record")
    guards = guards_of(visit)
    deeds = [
        Deed(
            each.at,
            each.author,
            opened.form.shown(each.differences, opened.record.content, guards),
        )
        for each in changes
    ] + [Deed(each.at, each.author, {}, each.before, each.after, each.reason) for each in steps]
    deeds += letter_deeds
    return Read(
        opened,
        sorted(deeds, key=lambda deed: deed.at, reverse=True),
        earlier,
        files,
        related,
        open_reminders,
        letters,
    )


async def _letters(
    connection: AsyncConnection, keys: Keys, appeal_id: UUID
) -> tuple[list[Kept], list[Deed]]:
    """Letters of an appeal, and what was done to them."""
    changes = await letters_store.changes(connection, keys, appeal_id)
    return await letters_store.of_appeal(connection, keys, appeal_id), [
        Deed(each.at, each.author, dict(each.differences), letter=letter)
        for letter, each in changes
    ]


async def receipt(site: Site, visit: Visit, number: str) -> Receipt:
    """The receipt of a registered appeal (APPC, 64(2)), with an entry in the audit log.

    Raises NotFound, and AskedWrongly when it is not registered.
    """
    opened = await handling.open_record(site, visit, number)
    record = opened.record
    if record.registered_on is None:
        raise AskedWrongly("there is a receipt once the appeal is registered")
    async with unit_of_work(site.engine) as connection:
        accepted_by = await users.signature(connection, record.registered_by or "")
        await note(connection, visit, Action.RECEIPT_GIVEN, number)
    return Receipt(
        number=number,
        received_at=opened.row.received_at,
        registered_on=record.registered_on,
        accepted_by=accepted_by,
        due_on=record.due_on,
        article=record.due_article or "",
        code=record.receipt_code or "",
        language=opened.row.language or "kk",
    )


def next_people(people: Container[str]) -> Iterator[str]:
    """Who may be added to these: one more of each part."""
    for part in PEOPLE:
        several = part in ("affected", "accused")
        keys = [f"{part}{number}" for number in range(1, SEVERAL + 1)] if several else [part]
        yield from [key for key in keys if key not in people][:1]
