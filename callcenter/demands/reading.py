"""Reading demands for somebody: what pages and API have in common."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.demands import building, disclosures, findings, store
from callcenter.demands.deeds import held_reason
from callcenter.demands.disclosures import DisclosureRow, KeyRow
from callcenter.demands.letters import Refusal, refusal_letter
from callcenter.demands.states import Ground, State
from callcenter.demands.store import DemandRow, Scan, StepRow
from callcenter.demands.terms import Standing, standing
from callcenter.errors import AskedWrongly
from callcenter.recordings.holding import held_for
from callcenter.storage.engine import unit_of_work
from callcenter.web.errors import NotFound
from callcenter.web.site import Site, Visit
from callcenter.workdays.calendar import ZONE

SHOWN = 50  #: demands that are at an end


@dataclass(frozen=True)
class Register:
    """Demands whose time runs, the first due at first; the newest others; keys."""

    running: list[DemandRow]
    others: list[DemandRow]
    keys: list[KeyRow]


@dataclass(frozen=True)
class Viewed:
    """All that is known of a demand; `offered` is its newest disclosure, `held` whether its
    recordings are kept from erasing."""

    row: DemandRow
    steps: list[StepRow]
    matches: list[findings.Match]
    preparers: set[str]
    keys: list[KeyRow]
    offered: DisclosureRow | None
    held: bool


def how_it_stands(row: DemandRow, now: datetime) -> Standing:
    """How a demand whose time runs stands to it."""
    return standing(row.warn_at, row.due_at, now)


async def register(engine: AsyncEngine, *, own: bool = False) -> Register:
    """The register, or (`own`) what the authority sees of it: its own."""
    mine = True if own else None
    async with unit_of_work(engine) as connection:
        return Register(
            await store.running(connection, from_authority=mine),
            await store.others(connection, limit=SHOWN, from_authority=mine),
            await disclosures.keys(connection),
        )


async def view(engine: AsyncEngine, visit: Visit, number: str, *, by: str) -> Viewed:
    """One demand, with an entry in the audit log that `visit` saw it. Raises NotFound."""
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, number)
        if row is None:
            raise NotFound("there is no demand with this number")
        offers = await disclosures.of_demand(connection, row.id)
        viewed = Viewed(
            row,
            await store.steps(connection, row.id),
            await findings.matches(connection, row.id),
            await store.preparers(connection, row.id),
            [key for key in await disclosures.keys(connection) if key.usable],
            offers[0] if offers else None,
            await held_for(connection, held_reason(row)),
        )
        await record(
            connection,
            who=visit.who,
            action=Action.DEMAND_VIEWED,
            subject=f"demand:{row.number}",
            detail={"by": by},
            from_address=visit.address,
        )
    return viewed


async def newest_offers(
    engine: AsyncEngine, rows: list[DemandRow]
) -> dict[str, DisclosureRow | None]:
    """The newest disclosure of each demand, by its number."""
    async with unit_of_work(engine) as connection:
        found = {row.number: await disclosures.of_demand(connection, row.id) for row in rows}
    return {number: offers[0] if offers else None for number, offers in found.items()}


async def scan(engine: AsyncEngine, visit: Visit, number: str) -> Scan:
    """The scan of a letter, with an entry in the audit log. Raises NotFound."""
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, number)
        if row is None:
            raise NotFound("there is no demand with this number")
        found = await store.scan_of(connection, row.id)
        await record(
            connection,
            who=visit.who,
            action=Action.DEMAND_SCAN_READ,
            subject=f"demand:{row.number}",
            from_address=visit.address,
        )
    return found


async def letter(site: Site, visit: Visit, number: str) -> bytes:
    """Our letter as PDF: that a demand is refused, or what goes with its newest disclosure.

    With an entry in the audit log. Raises NotFound, AskedWrongly when there is no letter (yet).
    """
    async with unit_of_work(site.engine) as connection:
        row = await store.find(connection, number)
        if row is None:
            raise NotFound("there is no demand with this number")
        offers = await disclosures.of_demand(connection, row.id)
        steps = await store.steps(connection, row.id)
    if row.state == State.REFUSED.value:
        made = await asyncio.to_thread(refusal_letter, _refusal(row, steps))
    elif offers:
        made = await building.letter(site.settings, site.engine, offers[0])
    else:
        raise AskedWrongly("there is no letter to a demand that is neither refused nor released")
    async with unit_of_work(site.engine) as connection:
        await record(
            connection,
            who=visit.who,
            action=Action.DEMAND_LETTER_READ,
            subject=f"demand:{row.number}",
            from_address=visit.address,
        )
    return made


def _refusal(row: DemandRow, steps: list[StepRow]) -> Refusal:
    """Refused demands have no disclosure: ours is the first letter to it, and the only one."""
    refused = steps[-1]
    return Refusal(
        number=f"{row.number}/1",
        on=refused.at.astimezone(ZONE).date(),
        to_kk=row.sender_kk,
        to_ru=row.sender_ru,
        letter_number=row.letter_number,
        letter_date=row.letter_date,
        ground=Ground(row.refusal or ""),
        refused_by=refused.author.removeprefix("user:"),
    )


async def own(engine: AsyncEngine, number: str) -> None:
    """Raises NotFound unless the demand is the authority's own."""
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, number)
    if row is None or not row.from_authority:
        raise NotFound("there is no demand with this number")
