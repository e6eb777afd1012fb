"""Appeals that come otherwise than by telephone, that are split into parts, or joined (R7)."""

from collections.abc import Collection
from datetime import UTC, datetime
from enum import StrEnum
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals import store as appeals
from callcenter.appeals.callers import WITHHELD, read_caller
from callcenter.appeals.store import Opening
from callcenter.audit.actions import Action
from callcenter.errors import AskedWrongly
from callcenter.register import definitions, steps_store, store
from callcenter.register.handling import found, guards_of, note, seen, step
from callcenter.register.private import Keys
from callcenter.register.stages import ENDED, Stage, check_move
from callcenter.storage.engine import unit_of_work, within
from callcenter.web.site import Site, Visit
from callcenter.web.words import ZONE
from callcenter.workdays.calendar import YearNotEntered

#: On which an appeal may have come: days of appeals are counted from 2000 (`register.stretches`).
EARLIEST = datetime(2000, 1, 2, tzinfo=UTC)


class Channel(StrEnum):
    """How an appeal came, that no call of ours opened."""

    PORTAL = "portal"
    EMAIL = "email"
    PAPER = "paper"
    WALK_IN = "walk_in"
    VIDEO = "video"  #: a video conference
    MESSENGER = "messenger"


async def open_by_hand(
    site: Site,
    visit: Visit,
    *,
    channel: Channel,
    language: str,
    received_at: datetime,
    phone: str = "",
) -> str:
    """Open the appeal of a contact; its number. `received_at`: when it came, not in the future.

    It is to be registered on its legal date (APPC, 64(3)) by who opens it. Raises AskedWrongly.
    """
    now = datetime.now(UTC)
    if language not in ("kk", "ru"):
        raise AskedWrongly("the applicant's language is kk or ru")
    if received_at.tzinfo is None or not EARLIEST <= received_at <= now:
        raise AskedWrongly("an appeal came before now: correct the day and time")
    caller = read_caller(phone) if phone.strip() else WITHHELD
    if caller.kind == "unreadable":
        raise AskedWrongly("this is no telephone number: correct it, or leave it out")
    opening = Opening(uuid4(), None, channel.value, caller.kind, caller.number, received_at)
    async with unit_of_work(site.engine) as connection:
        [number] = await appeals.open_appeals(within(connection), [opening])
        await appeals.set_language(connection, appeal_id=opening.appeal_id, language=language)
        await appeals.close_appeal(
            connection, appeal_id=opening.appeal_id, outcome="received", ended_at=now
        )
        begun = await _begun(connection, visit, received_at)
        await store.change_row(connection, store.Record(opening.appeal_id), **begun)
        await note(connection, visit, Action.APPEAL_OPENED, number, channel=channel.value)
    return number


async def split(
    site: Site, visit: Visit, number: str, version: int, keys_of_part: Collection[str]
) -> str:
    """Make a part of an appeal an appeal of its own, with these fields of it; its number.

    Each part goes to its body (APPC, 65(2)). Raises AskedWrongly, Changed.
    """
    keys = Keys.read(site.settings)
    async with unit_of_work(site.engine) as connection:
        row = await found(connection, number)
        record = await seen(connection, keys, visit, row.id, version, {})
        if record.stage in ENDED or record.version == 0:
            raise AskedWrongly("only an appeal that is saved and goes on can be split")
        form = await definitions.form(connection)
        visible = form.visible(record.content, guards_of(visit))
        content = {key: visible[key] for key in keys_of_part if key in visible}
        if not content:
            raise AskedWrongly("choose what of the appeal the part is to have")
        part = Opening(
            uuid4(), None, row.channel, row.caller_kind, row.caller_number, row.received_at
        )
        [new] = await appeals.open_appeals(within(connection), [part])
        if row.language:
            await appeals.set_language(connection, appeal_id=part.appeal_id, language=row.language)
        await appeals.close_appeal(
            connection, appeal_id=part.appeal_id, outcome="received", ended_at=datetime.now(UTC)
        )
        made = await store.save(
            connection,
            keys,
            form,
            store.Record(part.appeal_id),
            kind=record.kind,
            content=content,
            guards=guards_of(visit),
            author=visit.who,
            known=content,
        )
        begun = await _begun(connection, visit, row.received_at)
        version = made.version + 1
        await store.change_row(connection, made, version=version, part_of=row.id, **begun)
        # In a version of its own: the same request that comes again makes no second part.
        await step(connection, visit, record, record.stage, f"split: {new}", {})
        await note(connection, visit, Action.RECORD_SPLIT, number, part=new)
    return new


async def join(
    site: Site, visit: Visit, number: str, version: int, into: str, reason: str
) -> store.Record:
    """Let an appeal go on within another one. Raises as moves do, and AskedWrongly."""
    keys = Keys.read(site.settings)
    async with unit_of_work(site.engine) as connection:
        row, other = await found(connection, number), await found(connection, into)
        record = await seen(connection, keys, visit, row.id, version, {})
        target = await store.find(connection, keys, other.id)
        if other.id == row.id or target.stage in ENDED:
            raise AskedWrongly("an appeal is joined to another one that goes on")
        check_move(record.stage, Stage.JOINED, record.standing, reason)
        await _hand_terms_over(connection, record, target)
        await step(connection, visit, record, Stage.JOINED, reason, {"joined_to": other.id})
        if target.version:  # else nobody has written anything there, and its page says who joined
            await steps_store.add_move(
                connection, other.id, visit.who, target.stage, target.stage, f"joined: {number}"
            )
        detail = {"before": record.stage.value, "after": Stage.JOINED.value, "into": into}
        await note(connection, visit, Action.RECORD_MOVED, number, **detail)
        return await store.find(connection, keys, row.id)


async def _begun(
    connection: AsyncConnection, visit: Visit, received_at: datetime
) -> dict[str, object]:
    """Whose an appeal is that no call is about, and until when something is done with it."""
    law = await definitions.law(connection)
    try:
        due = law.registered_on(received_at)
    except YearNotEntered:  # of years ago, or next: nobody waits for a calendar
        due = received_at.astimezone(ZONE).date()
    return {"owner": visit.who.removeprefix("user:"), "forward_due_on": due}


async def _hand_terms_over(
    connection: AsyncConnection, record: store.Record, target: store.Record
) -> None:
    """The terms that run for an appeal go on in the one that it is joined to, if they end sooner.

    Raises AskedWrongly when no term of an answer runs there: nobody would be alarmed any more.
    """
    if record.due_on is not None and target.registered_on is None:
        raise AskedWrongly("its term runs: join it to an appeal that is registered too")
    values: dict[str, object] = {}
    if record.due_on and target.due_on and record.due_on < target.due_on:
        values = {"due_on": record.due_on, "due_article": record.due_article}
    if record.notice_due_on is not None:
        due = min(record.notice_due_on, target.notice_due_on or record.notice_due_on)
        values["notice_due_on"] = due
    if values:
        await store.change_row(connection, target, **values)
