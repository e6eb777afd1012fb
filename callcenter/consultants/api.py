"""What consultants are doing, in JSON below /api/v1: one's own, and a supervisor's view of all."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form
from pydantic import AwareDatetime, BaseModel, Field

from callcenter.consultants import history, managing, store, terms
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.sending import send
from callcenter.consultants.skills import read_skills
from callcenter.consultants.states import ASKED, Duty, State, why_no_calls
from callcenter.consultants.terms import Kind, Term
from callcenter.errors import AskedWrongly
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.errors import SignInNeeded
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(tags=["consultants"])


class NotAConsultant(AskedWrongly):
    """you are no consultant yet: `callcenter users link` makes you one"""


class DutyNow(BaseModel):
    """What a consultant is doing. Times are in RFC 3339 with an offset."""

    extension: str
    state: State
    reason: str | None = Field(description="of a pause, or of being signed out")
    since: datetime
    by: str = Field(description="who made it so: self, desk or user:NAME")
    next: State | None = Field(description="asked for, and comes when the conversation ends")
    why_no_calls: str | None = Field(description="none: calls are offered; else the cause")


class ListedTerm(BaseModel):
    """An entry of a list that the center keeps: a skill, or a reason of a pause."""

    code: str
    name_kk: str
    name_ru: str
    key: int | None = Field(None, description="of a reason: dialled after *12 it begins the pause")


class Person(BaseModel):
    """A consultant. `skills` are levels (5 is the best) by the code of the skill."""

    extension: str
    name: str
    languages: list[str]
    skills: dict[str, int]
    active: bool
    team: str | None = Field(description="whose supervisors hear its own")
    user: str | None = Field(description="who signs in to the pages as this consultant")


class Lasted(BaseModel):
    """How long a consultant was in a state, for a reason."""

    state: State
    reason: str | None
    seconds: float


def duty_desk(site: CurrentSite) -> DutyDesk:
    """The desk of this site."""
    return DutyDesk(site.redis, site.settings)


def typed_term(
    code: Annotated[str, Form(max_length=40)],
    name_kk: Annotated[str, Form(max_length=200)],
    name_ru: Annotated[str, Form(max_length=200)],
    active: Annotated[bool, Form()] = False,
    key: Annotated[int | None, Form(ge=0, le=9)] = None,
) -> Term:
    """An entry of a list as a form tells it; a box that is not ticked is not sent.

    `key` is of reasons of pauses: 0 is none, and one that is not sent stays as it is.
    """
    return Term(code, name_kk, name_ru, active, key)


CurrentDesk = Annotated[DutyDesk, Depends(duty_desk)]
ReasonCode = Annotated[str | None, Form(max_length=40)]


@router.get("/api/v1/pause-reasons", dependencies=[needs(Permission.SIGNED_IN)])
async def list_reasons(site: CurrentSite) -> list[ListedTerm]:
    """The reasons that may be given for a pause."""
    return await _in_use(site, Kind.PAUSE_REASON)


@router.get("/api/v1/skills", dependencies=[needs(Permission.SIGNED_IN)])
async def list_skills(site: CurrentSite) -> list[ListedTerm]:
    """The skills that consultants may have."""
    return await _in_use(site, Kind.SKILL)


@router.post("/api/v1/pause-reasons", dependencies=[needs(Permission.MANAGE_CONSULTANTS)])
async def put_reason(
    site: CurrentSite, visit: CurrentVisit, term: Annotated[Term, Depends(typed_term)]
) -> list[ListedTerm]:
    """Add a reason, or change the one of this code; answers all that are in use."""
    await managing.put_term(site, visit, Kind.PAUSE_REASON, term)
    return await _in_use(site, Kind.PAUSE_REASON)


@router.post("/api/v1/skills", dependencies=[needs(Permission.MANAGE_CONSULTANTS)])
async def put_skill(
    site: CurrentSite, visit: CurrentVisit, term: Annotated[Term, Depends(typed_term)]
) -> list[ListedTerm]:
    """Add a skill, or change the one of this code; answers all that are in use."""
    await managing.put_term(site, visit, Kind.SKILL, term)
    return await _in_use(site, Kind.SKILL)


@router.get("/api/v1/consultants", dependencies=[needs(Permission.MANAGE_CONSULTANTS)])
async def list_consultants(site: CurrentSite) -> list[Person]:
    """All consultants, active or not, by extension."""
    async with unit_of_work(site.engine) as connection:
        everyone = await store.everyone(connection)
        users = await store.users(connection)
    return [
        Person(
            extension=each.extension,
            name=each.name,
            languages=list(each.languages),
            skills=dict(each.skills),
            active=each.active,
            team=each.team,
            user=users.get(each.extension),
        )
        for each in everyone
    ]


@router.post("/api/v1/consultants/{extension}", dependencies=[needs(Permission.MANAGE_CONSULTANTS)])
async def change_consultant(
    site: CurrentSite,
    visit: CurrentVisit,
    extension: str,
    languages: Annotated[str, Form(max_length=20, description="kk, ru or kk,ru")],
    skills: Annotated[str, Form(max_length=2000, description="lawyer:3 children:1")] = "",
    team: Annotated[str | None, Form(max_length=200, description="without: as it is")] = None,
) -> list[Person]:
    """Give a consultant these languages and skills and no others, and this team ("": none).

    Answers all consultants.
    """
    await managing.change_consultant(
        site, visit, extension, languages.split(","), read_skills(skills), team
    )
    return await list_consultants(site)


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
    why = await checked_reason(site, wanted, reason)
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
    await send(site, visit, extension, State(state), reason or "")
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


async def _in_use(site: CurrentSite, kind: Kind) -> list[ListedTerm]:
    async with unit_of_work(site.engine) as connection:
        known = await terms.terms(connection, kind)
    return [
        ListedTerm(code=term.code, name_kk=term.name_kk, name_ru=term.name_ru, key=term.key)
        for term in known
        if term.active
    ]


async def own_extension(site: CurrentSite, visit: CurrentVisit) -> str:
    """The extension of whoever asks. Raises NotAConsultant for somebody who is none."""
    if visit.user is None:
        raise SignInNeeded
    async with unit_of_work(site.engine) as connection:
        extension = await store.extension_of_user(connection, visit.user.id)
    if extension is None:
        raise NotAConsultant
    return extension


async def checked_reason(site: CurrentSite, wanted: State, reason: str | None) -> str:
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
