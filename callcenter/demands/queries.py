"""Read models of demands, shared by pages and API."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.masking import store as masking
from callcenter.demands import bundle_builder, disclosures, matches_store, release, store
from callcenter.demands.actions import DemandAction
from callcenter.demands.disclosures import DisclosureRow, KeyRow
from callcenter.demands.letters import RefusalLetter, refusal_letter
from callcenter.demands.rules import deadlines
from callcenter.demands.rules.deadlines import DeadlineStatus
from callcenter.demands.rules.states import DemandState, RefusalGround
from callcenter.demands.rules.waiting import DemandWait, waits_for
from callcenter.demands.service import hold_reason
from callcenter.demands.store import DemandRow, Scan, StepRow
from callcenter.platform.core.errors import InvalidRequest, NotFound
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.actor import Actor, audit_action, name_of
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.retention import store as retention
from callcenter.recordings.sealing import quarantine_store

SHOWN = 50  #: demands that are at an end


@dataclass(frozen=True)
class DemandList:
    """Running demands, the first due at first; the newest others; keys."""

    running: list[DemandRow]
    others: list[DemandRow]
    keys: list[KeyRow]


@dataclass(frozen=True)
class DemandView:
    """A demand with its steps and matches.

    `offered` is its newest disclosure, `taken_with` the keys that have taken a bundle of it once,
    `held` whether its recordings are held from erasure.
    """

    row: DemandRow
    steps: list[StepRow]
    matches: list[matches_store.Match]
    preparers: set[str]
    keys: list[KeyRow]
    offered: DisclosureRow | None
    taken_with: set[UUID]
    held: bool


@dataclass(frozen=True)
class RunningDemand:
    """A running demand with its next act, by whomever.

    `is_new` while nobody of the center took a step in it.
    """

    row: DemandRow
    waits_for: DemandWait
    is_new: bool


@dataclass(frozen=True)
class RecordsOfficeView:
    """The work of the records officer: demands, the first due at first, and how much else."""

    demands: list[RunningDemand]
    quarantined: int
    erasures: int
    maskings: int
    unconfirmed_keys: int


def deadline_status(row: DemandRow, now: datetime) -> DeadlineStatus:
    """The status of the deadline of a running demand."""
    return deadlines.deadline_status(row.warn_at, row.due_at, now)


async def register(engine: AsyncEngine, *, own: bool = False) -> DemandList:
    """The register of demands, or (`own`) the authority's part of it."""
    mine = True if own else None
    async with unit_of_work(engine) as connection:
        return DemandList(
            await store.list_running(connection, from_authority=mine),
            await store.list_others(connection, limit=SHOWN, from_authority=mine),
            await disclosures.keys(connection),
        )


async def records_office(engine: AsyncEngine, now: datetime) -> RecordsOfficeView:
    """All that waits for the records officer."""
    async with unit_of_work(engine) as connection:
        running = await store.list_running(connection)
        keys = await disclosures.keys(connection)
        untouched = await store.list_untouched(connection)
        offers = await disclosures.newest_of_running(connection)
        return RecordsOfficeView(
            [
                RunningDemand(
                    row,
                    waits_for(
                        DemandState(row.state),
                        from_authority=row.from_authority,
                        has_key=any(key.usable for key in keys),
                        is_being_made=release.is_being_made(row, offers.get(row.id)),
                        is_offered=release.is_offered(
                            row, offers.get(row.id), row.hand_over_by, now
                        ),
                        hand_over_by=row.hand_over_by,
                    ),
                    row.id in untouched,
                )
                for row in running
            ],
            quarantined=await quarantine_store.count_quarantined(connection),
            erasures=len(await retention.list_waiting(connection)),
            maskings=len(await masking.list_pending(connection)),
            unconfirmed_keys=sum(
                key.confirmed_at is None and key.revoked_at is None for key in keys
            ),
        )


async def view(engine: AsyncEngine, actor: Actor, number: str, *, by: str) -> DemandView:
    """One demand, with an entry of the actor in the audit log. Raises NotFound."""
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, number)
        if row is None:
            raise NotFound("there is no demand with this number")
        offers = await disclosures.of_demand(connection, row.id)
        viewed = DemandView(
            row,
            await store.steps(connection, row.id),
            await matches_store.matches(connection, row.id),
            await store.preparers(connection, row.id),
            [key for key in await disclosures.keys(connection) if key.usable],
            offers[0] if offers else None,
            {offer.key_id for offer in offers if offer.taken_at is not None},
            await retention.is_held_for(connection, hold_reason(row)),
        )
        await audit_action(
            connection, actor, DemandAction.DEMAND_VIEWED, f"demand:{row.number}", {"by": by}
        )
    return viewed


async def newest_offers(
    engine: AsyncEngine, rows: list[DemandRow]
) -> dict[str, DisclosureRow | None]:
    """The newest disclosure of each demand, by its number."""
    async with unit_of_work(engine) as connection:
        found = {row.number: await disclosures.of_demand(connection, row.id) for row in rows}
    return {number: offers[0] if offers else None for number, offers in found.items()}


@dataclass(frozen=True)
class BundleOffer:
    """A bundle that can be downloaded now: its size, and the key that it is encrypted to."""

    bytes: int
    recipient: str


async def find_offer(engine: AsyncEngine, number: str, now: datetime) -> BundleOffer | None:
    """The bundle of a demand that can be downloaded now. Raises NotFound."""
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, number)
        if row is None:
            raise NotFound("there is no demand with this number")
        offers = await disclosures.of_demand(connection, row.id)
        if not offers or not release.is_offered(row, offers[0], "download", now):
            return None
        recipient = await disclosures.recipient_of(connection, offers[0].key_id)
    return BundleOffer(offers[0].bytes or 0, recipient)


async def scan(engine: AsyncEngine, actor: Actor, number: str) -> Scan:
    """The scan of a letter, with an entry in the audit log. Raises NotFound."""
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, number)
        if row is None:
            raise NotFound("there is no demand with this number")
        found = await store.scan_of(connection, row.id)
        await audit_action(connection, actor, DemandAction.DEMAND_SCAN_READ, f"demand:{row.number}")
    return found


async def letter(settings: Settings, engine: AsyncEngine, actor: Actor, number: str) -> bytes:
    """Our letter as PDF: the refusal, or the cover letter of the newest disclosure.

    With an entry in the audit log. Raises NotFound, InvalidRequest when there is no letter (yet).
    """
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, number)
        if row is None:
            raise NotFound("there is no demand with this number")
        offers = await disclosures.of_demand(connection, row.id)
        steps = await store.steps(connection, row.id)
    if row.state == DemandState.REFUSED.value:
        made = await asyncio.to_thread(refusal_letter, _refusal(row, steps))
    elif offers:
        made = await bundle_builder.letter(settings, engine, offers[0])
    else:
        raise InvalidRequest("there is no letter to a demand that is neither refused nor released")
    async with unit_of_work(engine) as connection:
        await audit_action(
            connection, actor, DemandAction.DEMAND_LETTER_READ, f"demand:{row.number}"
        )
    return made


def _refusal(row: DemandRow, steps: list[StepRow]) -> RefusalLetter:
    """The refusal letter: a refused demand has no disclosure, so it is the only letter."""
    refused = steps[-1]
    return RefusalLetter(
        number=f"{row.number}/1",
        on=refused.at.astimezone(ZONE).date(),
        to_kk=row.sender_kk,
        to_ru=row.sender_ru,
        letter_number=row.letter_number,
        letter_date=row.letter_date,
        ground=RefusalGround(row.refusal or ""),
        refused_by=name_of(refused.author),
    )


async def check_own(engine: AsyncEngine, number: str) -> None:
    """Check that the demand is the authority's own. Raises NotFound."""
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, number)
    if row is None or not row.from_authority:
        raise NotFound("there is no demand with this number")
