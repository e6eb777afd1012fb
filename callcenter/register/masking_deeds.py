"""Masking personal data: one person asks, for an appeal or by a rule, and another one decides.

A person's request (law 94-V, article 24) is carried out in the moment of the decision. A rule is in
force from its decision on, and the worker masks by it every night. What the law keeps stays for
now: an approved request of it is refused with the reason, a rule comes back to it.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.tables import appeal
from callcenter.audit.actions import Action
from callcenter.audit.store import record as audit
from callcenter.errors import AskedWrongly
from callcenter.recordings.tables import recording
from callcenter.register import definitions, masking_store, store
from callcenter.register.handling import found
from callcenter.register.masking import (
    LEAST_DAYS,
    MOST_DAYS,
    Ended,
    Goes,
    IsKept,
    Keeps,
    SamePerson,
    check_reason,
    remaining,
)
from callcenter.register.merging import Changed
from callcenter.register.private import Keys
from callcenter.register.tables import masking
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools
from callcenter.web.errors import NotFound
from callcenter.web.site import Site, Visit

BATCH = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, or a rule: of one appeal (`number`), or of a kind so many days after its end."""

    id: UUID
    appeal_id: UUID | None
    number: str | None
    kind: Ended | None
    days: int | None
    state: str
    reason: str
    asked_by: str
    asked_at: datetime
    decided_by: str | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be masked now: how many appeals; how many stay, by what keeps them; how much goes
    beside the content of their records. Of one appeal: keys of its content that go, and what stays.
    """

    appeals: int
    kept: Mapping[Keeps, int]
    goes: Mapping[Goes, int]
    keys: Sequence[str] = ()
    recordings: int = 0  #: these are erased by themselves, see recordings.erasing


async def ask(site: Site, visit: Visit, numbers: Collection[str], reason: str) -> list[UUID]:
    """Ask for appeals of a person who wants the data erased. Raises AskedWrongly, NotFound."""
    reason = check_reason(reason)
    made = []
    try:
        async with unit_of_work(site.engine) as connection:
            for number in dict.fromkeys(numbers):
                row = await found(connection, number)
                made.append(await _add(connection, visit, reason, appeal_id=row.id))
                await _note(connection, visit, Action.MASKING_ASKED, _of(number), reason=reason)
    except IntegrityError as exc:
        raise AskedWrongly("it was asked for already: somebody else must decide") from exc
    return made


async def ask_for_rule(site: Site, visit: Visit, kind: Ended, days: int, reason: str) -> UUID:
    """Ask for a rule. Raises AskedWrongly."""
    reason = check_reason(reason)
    if not LEAST_DAYS <= days <= MOST_DAYS:
        raise AskedWrongly(f"a rule is of {LEAST_DAYS} to {MOST_DAYS} days")
    try:
        async with unit_of_work(site.engine) as connection:
            made = await _add(connection, visit, reason, kind=kind.value, days=days)
            subject = f"rule:{kind.value}"
            asked = Action.MASKING_ASKED
            await _note(connection, visit, asked, subject, reason=reason, days=days)
    except IntegrityError as exc:
        raise AskedWrongly("it was asked for already: somebody else must decide") from exc
    return made


async def decide(site: Site, visit: Visit, identity: UUID, *, approve: bool, reason: str) -> None:
    """Approve or refuse what another person asked for.

    Raises NotFound when nothing waits under this id, SamePerson, IsKept, AskedWrongly.
    """
    reason, now = check_reason(reason), datetime.now(UTC)
    async with unit_of_work(site.engine) as connection:
        waits = masking.c.id == identity, masking.c.state == "asked"
        locked = await connection.execute(select(masking.c.id).where(*waits).with_for_update())
        if locked.first() is None:
            raise NotFound("nothing waits for a decision under this id: look at the list again")
        [asked] = await _read(connection, masking.c.id == identity)
        if asked.asked_by == visit.who:
            raise SamePerson
        if approve and asked.kind is not None:
            await _end(connection, asked.kind)
        await connection.execute(
            update(masking)
            .where(masking.c.id == identity)
            .values(
                state="approved" if approve else "refused",
                decided_by=visit.who,
                decided_at=now,
                decision=reason,
            )
        )
        if approve and asked.appeal_id is not None:
            await masking_store.mask(
                connection,
                Keys.read(site.settings),
                await definitions.form(connection),
                asked.appeal_id,
                masking_id=identity,
                now=now,
            )
        action = Action.MASKING_APPROVED if approve else Action.MASKING_REFUSED
        detail: dict[str, str | int] = {"reason": reason, "asked_by": asked.asked_by}
        if asked.days is not None:
            detail["days"] = asked.days
        await _note(connection, visit, action, _subject(asked), **detail)


async def end_rule(site: Site, visit: Visit, identity: UUID, reason: str) -> None:
    """From now on nothing is masked by this rule. Raises NotFound, AskedWrongly."""
    reason = check_reason(reason)
    async with unit_of_work(site.engine) as connection:
        rules = await _read(connection, masking.c.id == identity, masking.c.state == "approved")
        if not rules or rules[0].kind is None:
            raise NotFound("no rule of this id is in force: look at the list again")
        await connection.execute(
            update(masking).where(masking.c.id == identity).values(state="ended")
        )
        subject = _subject(rules[0])
        await _note(connection, visit, Action.MASKING_ENDED, subject, reason=reason)


async def waiting(connection: AsyncConnection) -> list[Asked]:
    """What nobody has decided on, the oldest first."""
    return await _read(connection, masking.c.state == "asked")


async def rules(connection: AsyncConnection) -> list[Asked]:
    """The rules in force."""
    return await _read(connection, masking.c.state == "approved", masking.c.kind.is_not(None))


async def preview(site: Site, connection: AsyncConnection, asked: Asked) -> Preview:
    """What this would mask now, whoever decides so."""
    if asked.kind is not None and asked.days is not None:
        return await preview_rule(connection, asked.kind, asked.days)
    assert asked.appeal_id is not None  # noqa: S101 - the database checks it
    form = await definitions.form(connection)
    why = await masking_store.why_kept(connection, asked.appeal_id, datetime.now(UTC))
    record = await store.find(connection, Keys.read(site.settings), asked.appeal_id)
    stays = remaining(form, record.content)
    audible = select(func.count()).where(
        recording.c.appeal_id == asked.appeal_id, recording.c.state == "stored"
    )
    return Preview(
        appeals=0 if why else 1,
        kept=dict.fromkeys(why, 1),
        goes=await masking_store.counted_of(connection, form, asked.appeal_id),
        keys=[key for key in record.content if key not in stays],
        recordings=(await connection.execute(audible)).scalar_one(),
    )


async def preview_rule(connection: AsyncConnection, kind: Ended, days: int) -> Preview:
    """What a rule would mask now."""
    now = datetime.now(UTC)
    return Preview(*await masking_store.counted(connection, kind, days, now))


async def mask_by_rules(tools: Tools, now: datetime) -> int:
    """Mask what is due by the rules in force; how many appeals. Each is a transaction of its own,
    so this may be killed anywhere and repeated. Raises NotReady."""
    keys, done = await asyncio.to_thread(Keys.read, tools.settings), 0
    async with unit_of_work(tools.engine) as connection:
        in_force = await rules(connection)
        form = await definitions.form(connection)
    for rule in in_force:
        if rule.kind is None or rule.days is None:
            continue
        while True:
            async with unit_of_work(tools.engine) as connection:
                due = await masking_store.due(connection, rule.kind, rule.days, now, limit=BATCH)
            for appeal_id, number in due:
                with suppress(IsKept, Changed):  # since it was read: the next night looks again
                    async with unit_of_work(tools.engine) as connection:
                        await masking_store.mask(
                            connection, keys, form, appeal_id, masking_id=rule.id, now=now
                        )
                        await audit(
                            connection,
                            who=f"rule:{rule.kind.value}",
                            action=Action.RECORD_MASKED,
                            subject=_of(number),
                            detail={"masking": str(rule.id), "days": rule.days},
                        )
                    done += 1
            if len(due) < BATCH:
                break
    return done


async def _add(connection: AsyncConnection, visit: Visit, reason: str, **values: object) -> UUID:
    identity = uuid4()
    await connection.execute(
        insert(masking).values(
            id=identity,
            state="asked",
            reason=reason,
            asked_by=visit.who,
            asked_at=datetime.now(UTC),
            **values,
        )
    )
    return identity


async def _end(connection: AsyncConnection, kind: Ended) -> None:
    """A new rule of a kind takes the place of the one that is in force."""
    await connection.execute(
        update(masking)
        .where(masking.c.kind == kind.value, masking.c.state == "approved")
        .values(state="ended")
    )


async def _read(connection: AsyncConnection, *conditions: ColumnElement[bool]) -> list[Asked]:
    columns = ("appeal_id", "kind", "days", "state", "reason", "asked_by", "asked_at", "decided_by")
    query = (
        select(masking.c.id, appeal.c.number, *(masking.c[name] for name in columns))
        .select_from(masking.outerjoin(appeal, appeal.c.id == masking.c.appeal_id))
        .where(*conditions)
        .order_by(masking.c.asked_at, masking.c.id)
    )
    return [
        Asked(**dict(row) | {"kind": row["kind"] and Ended(row["kind"])})
        for row in (await connection.execute(query)).mappings()
    ]


def _of(number: str) -> str:
    return f"appeal:{number}"


def _subject(asked: Asked) -> str:
    return _of(asked.number) if asked.number else f"rule:{asked.kind}"


async def _note(
    connection: AsyncConnection,
    visit: Visit,
    action: Action,
    subject: str,
    **detail: str | int,
) -> None:
    await audit(
        connection,
        who=visit.who,
        action=action,
        subject=subject,
        detail=detail,
        from_address=visit.address,
    )
