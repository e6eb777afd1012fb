"""Actions on demands: each is one transaction with its step and its audit entry."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls.service import audit_shown_number
from callcenter.demands import disclosures, matches_store, store
from callcenter.demands.actions import DemandAction
from callcenter.demands.demand_form import DemandForm, read_text
from callcenter.demands.matches_store import TooManyMatches
from callcenter.demands.notices import DemandMatter, notify
from callcenter.demands.permissions import DemandPermission
from callcenter.demands.rules.states import DemandStep, NotAuthorised, RefusalGround, check_sender
from callcenter.demands.store import DemandRow
from callcenter.platform.core.errors import N_, InvalidRequest, NotFound
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.extensions import HoldKind
from callcenter.recordings.retention import store as retention

#: The actor of what happens by itself.
AUTOMATIC = Actor(None, command="demands")

BY_DEMAND = HoldKind(
    "demand",
    N_("Held for a demand:"),
    DemandPermission.HANDLE_DEMANDS,
    path="/demands/",
)


async def register(engine: AsyncEngine, actor: Actor, form: DemandForm) -> DemandRow:
    """Register a demand with its letter; search its recordings and hold them at once.

    It stays `registered` when too many recordings fit, which are frozen all the same, or when the
    sender is not the authorised body: nothing is opened for others.
    """
    async with unit_of_work(engine) as connection:
        row = await store.register(
            connection,
            letter=form.letter,
            criteria=form.criteria,
            scan=form.scan,
            author=actor.who,
        )
        detail = {
            "letter": f"{row.letter_number}, {row.letter_date}",
            "came_by": row.came_by,
            "due_at": row.due_at.isoformat(timespec="seconds"),
        }
        await audit_step(connection, actor, DemandStep.REGISTERED, row, row.ground, detail)
        # Recordings that the letter means are held from its registration on, never later.
        try:
            row = await _search(connection, AUTOMATIC, row)
        except TooManyMatches:
            fitting = await matches_store.find_fitting(connection, row.criteria)
            await retention.hold(connection, fitting, hold_reason(row))
            await notify(connection, row.id, DemandMatter.NARROWING)
        except NotAuthorised:
            pass
    return row


async def show_number(engine: AsyncEngine, actor: Actor, number: str, reason: str) -> str:
    """The number of the caller whom a demand names, whole; audited with the reason.

    Raises NotFound, Forbidden, InvalidRequest.
    """
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, number)
        if row is None or row.caller_number is None:
            raise NotFound("there is no demand with this number that names a caller")
        await audit_shown_number(connection, actor, f"demand:{number}", reason)
    return row.caller_number


async def search(engine: AsyncEngine, actor: Actor, number: str, version: int) -> None:
    """Search for recordings again.

    Raises NotFound, TooManyMatches, and InvalidRequest as `transition` does.
    """
    async with unit_of_work(engine) as connection:
        await _search(connection, actor, await lock_demand(connection, number, version))


async def check(
    engine: AsyncEngine,
    actor: Actor,
    number: str,
    version: int,
    chosen: Collection[UUID],
    reason: str,
) -> None:
    """Choose the found recordings to be handed over.

    Raises NotFound, InvalidRequest when one is not stored or was not found, and as `transition`
    does.
    """
    async with unit_of_work(engine) as connection:
        row = await lock_demand(connection, number, version)
        await matches_store.choose(connection, row.id, chosen)
        await transition(
            connection,
            actor,
            DemandStep.CHECKED,
            row,
            reason,
            recordings=" ".join(sorted(map(str, chosen))),
        )
        if not any(key.usable for key in await disclosures.keys(connection)):
            await notify(connection, row.id, DemandMatter.KEY)


async def return_to_check(
    engine: AsyncEngine, actor: Actor, number: str, version: int, reason: str
) -> None:
    """Send a checked demand back. Raises NotFound, and InvalidRequest as `transition` does."""
    async with unit_of_work(engine) as connection:
        row = await lock_demand(connection, number, version)
        await transition(connection, actor, DemandStep.RETURNED, row, reason)


async def refuse(
    engine: AsyncEngine,
    actor: Actor,
    number: str,
    version: int,
    ground: RefusalGround,
    reason: str,
) -> None:
    """Refuse a demand on a ground. Raises NotFound, and InvalidRequest as `transition` does."""
    async with unit_of_work(engine) as connection:
        row = await lock_demand(connection, number, version)
        await retention.release(connection, hold_reason(row))
        await transition(connection, actor, DemandStep.REFUSED, row, reason, ground=ground)
        if row.from_authority:
            await notify(connection, row.id, DemandMatter.REFUSED)


async def withdraw(
    engine: AsyncEngine, actor: Actor, number: str, version: int, reason: str
) -> None:
    """Note the withdrawal of a demand.

    Raises NotFound, and InvalidRequest as `transition` does.
    """
    async with unit_of_work(engine) as connection:
        row = await lock_demand(connection, number, version)
        await retention.release(connection, hold_reason(row))
        await transition(connection, actor, DemandStep.WITHDRAWN, row, reason)


async def end_hold(
    engine: AsyncEngine, actor: Actor, number: str, version: int, reason: str
) -> None:
    """End the hold of an acknowledged demand's recordings before its time.

    Raises NotFound, InvalidRequest when none is held, and as `transition` does.
    """
    async with unit_of_work(engine) as connection:
        row = await lock_demand(connection, number, version)
        held = await retention.release(connection, hold_reason(row))
        if not held:
            raise InvalidRequest("nothing is held for this demand any more")
        await transition(connection, actor, DemandStep.HOLD_ENDED, row, reason, recordings=held)


async def end_old_holds(engine: AsyncEngine, now: datetime, hold_period: timedelta) -> None:
    """End the holds of demands acknowledged longer ago than this. Repeatable."""
    async with unit_of_work(engine) as connection:
        numbers = await store.list_holding(connection, acknowledged_before=now - hold_period)
    for number in numbers:
        async with unit_of_work(engine) as connection:
            row = await lock_demand(connection, number)
            held = await retention.release(connection, hold_reason(row))
            if held:
                reason = f"{hold_period.days} days after the acknowledgement"
                await transition(
                    connection, AUTOMATIC, DemandStep.HOLD_ENDED, row, reason, recordings=held
                )


async def lock_demand(
    connection: AsyncConnection, number: str, version: int | None = None
) -> DemandRow:
    """A demand, locked for this transaction, of the version that the person saw.

    Raises NotFound, StaleDemand.
    """
    row = await store.lock(connection, number, version)
    if row is None:
        raise NotFound("there is no demand with this number")
    return row


async def _search(connection: AsyncConnection, actor: Actor, row: DemandRow) -> DemandRow:
    """Propose the recordings that fit, and hold them in the same transaction."""
    check_sender(DemandStep.SEARCHED, from_authority=row.from_authority)
    found = await matches_store.propose(connection, row.id, row.criteria)
    await retention.hold(connection, found, hold_reason(row))
    by = [name for name, value in asdict(row.criteria).items() if value is not None]
    return await transition(
        connection,
        actor,
        DemandStep.SEARCHED,
        row,
        f"{len(found)} fit",
        by=" ".join(by),
        found=len(found),
    )


def hold_reason(row: DemandRow) -> str:
    """The reason for which the recordings of a demand are held."""
    return BY_DEMAND.reason(row.number)


async def transition(
    connection: AsyncConnection,
    actor: Actor,
    step: DemandStep,
    row: DemandRow,
    reason: str,
    *,
    ground: RefusalGround | None = None,
    **detail: str | int,
) -> DemandRow:
    """Take a step of a locked demand, with its audit entry, as the last act of a transaction.

    Raises IllegalDemandStep, SelfApproval, NotAuthorised; InvalidRequest without a reason.
    """
    why = read_text(reason)
    moved = await store.take_step(
        connection,
        row,
        step,
        author=actor.who,
        reason=why,
        refusal=ground.value if ground else None,
    )
    if ground:
        detail["ground"] = ground.value
    await audit_step(connection, actor, step, moved, why, detail)
    return moved


async def audit_step(
    connection: AsyncConnection,
    actor: Actor,
    step: DemandStep,
    row: DemandRow,
    reason: str,
    detail: Mapping[str, str | int],
) -> None:
    action = DemandAction.named(f"web:demand:{step.value}")
    await audit_action(
        connection, actor, action, f"demand:{row.number}", {"reason": reason, **detail}
    )
