"""Read model of the page of a record, audited when it is read."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.contact import service as contact
from callcenter.appeals.contact.rules import AppealNumbers, ContactMeans
from callcenter.appeals.contact.ways import RECEIPT_PRINT, RECEIPT_SMS, WayOut
from callcenter.appeals.extensions import (
    AppealReading,
    AppealSection,
    TimelineEntry,
    TimelineSource,
)
from callcenter.appeals.followup import reminders_store
from callcenter.appeals.followup.attachments_store import Attachment
from callcenter.appeals.followup.reminders_store import Reminder
from callcenter.appeals.followup.sections import read_files
from callcenter.appeals.form import presets_store
from callcenter.appeals.form.presets_store import Preset
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record import assignment, service, store, transitions_store
from callcenter.appeals.record.service import RecordView, audit_appeal, guards_of
from callcenter.appeals.record.store import Related
from callcenter.appeals.rules.edit_conflict import FieldChange
from callcenter.appeals.rules.fields import PEOPLE, PEOPLE_LIMIT
from callcenter.appeals.rules.receipt import Receipt
from callcenter.appeals.rules.states import ENDED, AppealState
from callcenter.appeals.search import query
from callcenter.appeals.search.query import SearchHit
from callcenter.appeals.web.record_keys import record_keys
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.registry import offers
from callcenter.platform.identity import store as users
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.context import AppContext


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A change of the content, a transition or an entry of a source, as the reader may see it."""

    at: datetime
    author: str
    differences: dict[str, FieldChange]
    before: AppealState | None = None
    after: AppealState | None = None
    reason: str = ""
    entry: TimelineEntry | None = None  #: of a source


@dataclass(frozen=True, slots=True)
class RecordDetails:
    """A record with its history, files, related appeals, open reminders and sections.

    The history has the newest first, where it is read; `earlier` are other appeals of the same
    person.

    Files are there for those who may see what is sensitive.
    """

    opened: RecordView
    history: list[HistoryEntry]
    earlier: list[SearchHit]
    attachments: Sequence[Attachment]
    related: Related
    reminders: Sequence[Reminder]
    sections: Sequence[tuple[AppealSection, object]]
    presets: Sequence[Preset]
    assignees: Sequence[str]  #: to whom this reader may give it

    @property
    def open_earlier(self) -> list[SearchHit]:
        """Open appeals of the same person: a repeated contact is merged into one of them."""
        return [each for each in self.earlier if AppealState(each.stage) not in ENDED]


async def read_details(
    site: AppContext, actor: Actor, number: str, *, with_history: bool
) -> RecordDetails:
    """Read a record with its details, with an entry in the audit log. Raises NotFound."""
    keys = record_keys(site)
    async with unit_of_work(site.engine) as connection:
        opened = await service.read_record(connection, keys, actor, number)
        reading = AppealReading(connection, keys, actor, opened.row.id)
        history = await _read_history(reading, opened) if with_history else []
        earlier = await query.find_of_same_person(connection, opened.row.id)
        files = await reading.once(read_files)
        related = await store.find_related(connection, opened.record)
        usable = await presets_store.list_presets(connection, active=True)
        open_reminders = await reminders_store.list_of_appeal(connection, keys, opened.row.id)
        assignees = (
            await assignment.find_assignees(connection)
            if actor.may(AppealPermission.ASSIGN_APPEALS)
            else []
        )
        sections = [
            (section, content)
            for section in offers(AppealSection)
            if actor.may(section.permission)
            if (content := await reading.once(section.read)) is not None
        ]
        await audit_appeal(connection, actor, AppealAction.APPEAL_VIEWED, number, by="record")
    return RecordDetails(
        opened,
        history,
        earlier,
        files,
        related,
        open_reminders,
        sections,
        usable,
        assignees,
    )


async def _read_history(reading: AppealReading, opened: RecordView) -> list[HistoryEntry]:
    """Changes, transitions and what rooms offer of an appeal, as far as this reader sees it."""
    connection, keys, appeal_id = reading.connection, reading.keys, reading.appeal_id
    content, guards = opened.record.content, guards_of(reading.actor)
    changes = [
        HistoryEntry(
            each.at, each.author, opened.form.visible_changes(each.differences, content, guards)
        )
        for each in await store.list_changes(connection, keys, appeal_id)
    ]
    steps = [
        HistoryEntry(each.at, each.author, {}, each.before, each.after, each.reason)
        for each in await transitions_store.list_of_record(connection, appeal_id)
    ]
    entries = [
        HistoryEntry(each.at, each.author, {}, entry=each)
        for source in offers(TimelineSource)
        if reading.actor.may(source.permission)
        for each in await reading.once(source.read)
    ]
    history = changes + steps + entries
    return sorted(history, key=lambda entry: entry.at, reverse=True)


@dataclass(frozen=True, slots=True)
class IssuedReceipt:
    """A receipt, and why it is neither texted nor printed: refusals, by the name of the way."""

    receipt: Receipt
    refusals: Mapping[str, str]

    def refusal(self, way: WayOut) -> str | None:
        """Why it does not go this way."""
        return self.refusals.get(way.name)


async def issue_receipt(
    site: AppContext,
    actor: Actor,
    number: str,
    *,
    only: WayOut | None = None,
    despite: str | None = None,
    is_given: bool = True,
) -> IssuedReceipt:
    """Issue the receipt of a registered appeal (APPC, 64(2)).

    With `only`, it goes that way or not at all; with `despite`, a senior's reason, it goes that
    way despite a wish. Where nothing `is_given`, as beside a form that was refused, the audit log
    says that the appeal was viewed. Raises NotFound, ContactRefused, and InvalidRequest when it is
    not registered.
    """
    opened = await service.open_record(site.engine, record_keys(site), actor, number)
    record = opened.record
    if record.registered_on is None:
        raise InvalidRequest("there is a receipt once the appeal is registered")
    async with unit_of_work(site.engine) as connection:
        accepted_by = await users.signature(connection, record.registered_by or "")
        refusals = {}
        for way in (RECEIPT_SMS, RECEIPT_PRINT):
            if way == only and despite is not None:
                await contact.override(connection, actor, way, f"appeal:{number}", despite)
                continue
            try:
                await _ask(connection, way, opened)
            except contact.ContactRefused as refusal:
                if way == only:
                    raise
                refusals[way.name] = str(refusal)
        if is_given:
            await audit_appeal(connection, actor, AppealAction.RECEIPT_GIVEN, number)
        else:
            await audit_appeal(connection, actor, AppealAction.APPEAL_VIEWED, number, by="receipt")
    receipt = Receipt(
        number=number,
        received_at=opened.row.received_at,
        registered_on=record.registered_on,
        accepted_by=accepted_by,
        due_on=record.due_on,
        article=record.due_article or "",
        code=record.receipt_code or "",
        language=opened.row.language or "kk",
    )
    return IssuedReceipt(receipt, refusals)


async def _ask(connection: AsyncConnection, way: WayOut, opened: RecordView) -> None:
    """Ask whether the applicant may be reached so, a text message at any number of theirs.

    Words about a number count the person's words about all numbers, and may lift them.
    """
    on_appeal = AppealNumbers.of(opened.row.caller_number, opened.record.content)
    numbers = {on_appeal.phones.get("applicant"), on_appeal.caller} - {None}
    if way.channel != ContactMeans.SMS or not numbers:
        await contact.ask(connection, way, appeal_id=opened.row.id, person="applicant")
        return
    for each in numbers:
        await contact.ask(connection, way, number=each)


def next_people(people: Container[str]) -> Iterator[str]:
    """Keys of people that may be added to these: one more of each role."""
    for part in PEOPLE:
        several = part in ("affected", "accused")
        keys = [f"{part}{number}" for number in range(1, PEOPLE_LIMIT + 1)] if several else [part]
        yield from [key for key in keys if key not in people][:1]
