"""What consultants are doing, in JSON below /api/v1: one's own, and a supervisor's view of all."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form
from pydantic import AwareDatetime, BaseModel, Field

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.consultants import history, store
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.states import ASKED, Duty, State, why_no_calls
from callcenter.errors import AskedWrongly
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.errors import SignInNeeded
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(tags=["consultants"])


class DutyNow(BaseModel):
    """What a consultant is doing. Times are in RFC 3339 with an offset."""

    extension: str
    state: State
    reason: str | None = Field(description="of a pause, or of being signed out")
    since: datetime
    by: str = Field(description="who made it so: self, desk or user:NAME")
    next: State | None = Field(description="asked for, and comes when the conversation ends")
    why_no_calls: str | None = Field(description="none: calls are offered; else the cause")


class Reason(BaseModel):
    """A reason of a pause that the center keeps."""

    code: str
    name_kk: str
    name_ru: str


class Lasted(BaseModel):
    """How long a consultant was in a state, for a reason."""

    state: State
    reason: str | None
    seconds: float


def duty_desk(site: CurrentSite) -> DutyDesk:
    """The desk of this site."""
    return DutyDesk(site.redis, site.settings)


CurrentDesk = Annotated[DutyDesk, Depends(duty_desk)]
ReasonCode = Annotated[str | None, Form(max_length=40)]


@router.get("/api/v1/pause-reasons", dependencies=[needs(Permission.SIGNED_IN)])
async def list_reasons(site: CurrentSite) -> list[Reason]:
    """The reasons that may be given for a pause."""
    async with unit_of_work(site.engine) as connection:
        reasons = await history.pause_reasons(connection)
    return [Reason(code=r.code, name_kk=r.name_kk, name_ru=r.name_ru) for r in reasons]


@router.get("/api/v1/duty", dependencies=[needs(Permission.OWN_DUTY)])
async def read_own(site: CurrentSite, visit: CurrentVisit, desk: CurrentDesk) -> DutyNow:
    """What you are doing, as the desk knows it."""
    return _now(await desk.of(await own_extension(site, visit)))


@router.post("/api/v1/duty", dependencies=[needs(Permission.OWN_DUTY)])
async def change_own(
    site: CurrentSite,
    visit: CurrentVisit,
    desk: CurrentDesk,
    state: Annotated[Literal["ready", "paused", "signed_out"], Form()],
    reason: ReasonCode = None,
) -> DutyNow:
    """Sign in or go on (`ready`), pause with a reason, or sign out."""
    extension = await own_extension(site, visit)
    wanted = State(state)
    why = await _checked_reason(site, wanted, reason)
    await desk.ask(extension, wanted, by="self", reason=why)
    return _now(await desk.of(extension))


@router.get("/api/v1/consultants/duty", dependencies=[needs(Permission.SUPERVISE)])
async def list_all(desk: CurrentDesk) -> list[DutyNow]:
    """What everybody is doing, by extension."""
    return [_now(duty) for duty in await desk.everyone()]


@router.post("/api/v1/consultants/{extension}/duty", dependencies=[needs(Permission.SUPERVISE)])
async def change_anothers(
    site: CurrentSite,
    visit: CurrentVisit,
    desk: CurrentDesk,
    extension: str,
    state: Annotated[Literal["paused", "signed_out"], Form()],
    reason: ReasonCode = None,
) -> DutyNow:
    """Send somebody to a pause, or home; that you did is in the audit log."""
    wanted = State(state)
    why = await _checked_reason(site, wanted, reason)
    async with unit_of_work(site.engine) as connection:
        await desk.ask(extension, wanted, by=visit.who, reason=why)
        await record(
            connection,
            who=visit.who,
            action=Action.DUTY_CHANGED,
            subject=f"consultant:{extension}",
            detail={"state": wanted.value, "reason": why},
            from_address=visit.address,
        )
    return _now(await desk.of(extension))


@router.get("/api/v1/consultants/{extension}/hours", dependencies=[needs(Permission.SUPERVISE)])
async def read_hours(
    site: CurrentSite, extension: str, begin: AwareDatetime, end: AwareDatetime
) -> list[Lasted]:
    """How long somebody was in each state; `end` is now at the latest."""
    end = min(end, datetime.now(UTC))
    if begin > end:
        raise AskedWrongly("the time must end after it begins, and begin in the past")
    async with unit_of_work(site.engine) as connection:
        await store.id_of(connection, extension)
        times = await history.time_in_states(connection, extension, begin, end)
    return [
        Lasted(state=state, reason=reason, seconds=lasted.total_seconds())
        for (state, reason), lasted in sorted(times.items(), key=str)
    ]


async def own_extension(site: CurrentSite, visit: CurrentVisit) -> str:
    """The extension of whoever asks. Raises AskedWrongly for somebody who is no consultant."""
    if visit.user is None:
        raise SignInNeeded
    async with unit_of_work(site.engine) as connection:
        extension = await store.extension_of_user(connection, visit.user.id)
    if extension is None:
        raise AskedWrongly("you are no consultant yet: `callcenter users link` makes you one")
    return extension


async def _checked_reason(site: CurrentSite, wanted: State, reason: str | None) -> str:
    if wanted is not State.PAUSED:
        return ASKED
    async with unit_of_work(site.engine) as connection:
        return await history.check_reason(connection, reason or "")


def _now(duty: Duty) -> DutyNow:
    return DutyNow(
        extension=duty.extension,
        state=duty.state,
        reason=duty.reason,
        since=datetime.fromtimestamp(duty.since, UTC),
        by=duty.by,
        next=duty.after,
        why_no_calls=why_no_calls(duty),
    )
