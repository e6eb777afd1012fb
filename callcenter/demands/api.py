"""Demands in JSON, below /api/v1."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from callcenter.demands import queries
from callcenter.demands.permissions import DemandPermission
from callcenter.demands.store import DemandRow
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite

router = APIRouter(tags=["demands"])


class Demand(BaseModel):
    """A demand of the authority, without its search criteria."""

    number: str
    state: str
    letter_number: str
    sender_kk: str
    sender_ru: str
    received_at: datetime
    due_at: datetime = Field(description="until then it must be answered")
    hand_over_by: str
    refusal: str | None


class Step(BaseModel):
    """A step of a demand: what was done, by whom, when and why."""

    step: str
    state: str
    at: datetime
    author: str
    reason: str


class Found(BaseModel):
    """A recording that a demand matched, with the reasons."""

    recording_id: str
    appeal_number: str
    extension: str | None
    started_at: datetime
    reasons: list[str]
    chosen: bool
    other_demands: list[str]


class WholeDemand(Demand):
    """A demand with its steps and matched recordings."""

    steps: list[Step]
    recordings: list[Found]


@router.get("/api/v1/demands", dependencies=[requires(DemandPermission.HANDLE_DEMANDS)])
async def list_demands(site: CurrentSite) -> list[Demand]:
    """Running demands, the first due at first; then the newest others."""
    found = await queries.register(site.engine)
    return [_demand(row) for row in (*found.running, *found.others)]


@router.get(
    "/api/v1/demands/{demand_number}", dependencies=[requires(DemandPermission.HANDLE_DEMANDS)]
)
async def read_demand(site: CurrentSite, actor: CurrentActor, demand_number: str) -> WholeDemand:
    """One demand; reading it adds an entry to the audit log."""
    viewed = await queries.view(site.engine, actor, demand_number, by="api")
    return WholeDemand(
        **_demand(viewed.row).model_dump(),
        steps=[Step.model_validate(each, from_attributes=True) for each in viewed.steps],
        recordings=[
            Found(
                recording_id=str(each.recording_id),
                appeal_number=each.appeal_number,
                extension=each.extension,
                started_at=each.started_at,
                reasons=each.reasons,
                chosen=each.chosen,
                other_demands=each.other_demands,
            )
            for each in viewed.matches
        ],
    )


@router.get("/api/v1/authority/demands", dependencies=[requires(DemandPermission.FILE_DEMANDS)])
async def list_own(site: CurrentSite) -> list[Demand]:
    """The authority's own demands with their states."""
    found = await queries.register(site.engine, own=True)
    return [_demand(row) for row in (*found.running, *found.others)]


def _demand(row: DemandRow) -> Demand:
    return Demand.model_validate(row, from_attributes=True)
