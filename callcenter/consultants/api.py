"""JSON API of consultants below /api/v1: presence, languages and skills, reference lists."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Form
from pydantic import AwareDatetime, BaseModel, Field

from callcenter.consultants import reference_lists, service, state_history, store
from callcenter.consultants.dependencies import (
    CurrentPresenceService,
    CurrentScript,
    EntryForm,
    ReasonCode,
)
from callcenter.consultants.permissions import ConsultantPermission
from callcenter.consultants.reference_lists import ListKind
from callcenter.consultants.rules.skills import read_skills
from callcenter.consultants.rules.states import PresenceState, PresenceStatus, why_no_calls
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.identity.permissions import SessionPermission
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite

router = APIRouter(tags=["consultants"])


class CurrentPresence(BaseModel):
    """The presence of a consultant. Times are in RFC 3339 with an offset."""

    extension: str
    state: PresenceState
    reason: str | None = Field(description="of a pause, or of being signed out")
    since: datetime
    by: str = Field(description="who made it so: self, desk or user:NAME")
    next: PresenceState | None = Field(
        description="asked for, and comes when the conversation ends"
    )
    why_no_calls: str | None = Field(description="none: calls are offered; else the cause")


class ListEntryModel(BaseModel):
    """An entry of a list of the center: a skill, or a reason of a pause."""

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


class StateDuration(BaseModel):
    """The time that a consultant spent in a state, for a reason."""

    state: PresenceState
    reason: str | None
    seconds: float


@router.get("/api/v1/pause-reasons", dependencies=[requires(SessionPermission.SIGNED_IN)])
async def list_reasons(site: CurrentSite) -> list[ListEntryModel]:
    """The reasons of pauses in use."""
    return await _active_entries(site, ListKind.PAUSE_REASON)


@router.get("/api/v1/skills", dependencies=[requires(SessionPermission.SIGNED_IN)])
async def list_skills(site: CurrentSite) -> list[ListEntryModel]:
    """The skills in use."""
    return await _active_entries(site, ListKind.SKILL)


@router.post(
    "/api/v1/pause-reasons", dependencies=[requires(ConsultantPermission.MANAGE_CONSULTANTS)]
)
async def put_reason(
    site: CurrentSite, script: CurrentScript, actor: CurrentActor, entry: EntryForm
) -> list[ListEntryModel]:
    """Add a reason, or change the one of this code; answers all that are in use."""
    await service.put_entry(site.engine, script, actor, ListKind.PAUSE_REASON, entry)
    return await _active_entries(site, ListKind.PAUSE_REASON)


@router.post("/api/v1/skills", dependencies=[requires(ConsultantPermission.MANAGE_CONSULTANTS)])
async def put_skill(
    site: CurrentSite, script: CurrentScript, actor: CurrentActor, entry: EntryForm
) -> list[ListEntryModel]:
    """Add a skill, or change the one of this code; answers all that are in use."""
    await service.put_entry(site.engine, script, actor, ListKind.SKILL, entry)
    return await _active_entries(site, ListKind.SKILL)


@router.get("/api/v1/consultants", dependencies=[requires(ConsultantPermission.MANAGE_CONSULTANTS)])
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


@router.post(
    "/api/v1/consultants/{extension}",
    dependencies=[requires(ConsultantPermission.MANAGE_CONSULTANTS)],
)
async def change_consultant(
    site: CurrentSite,
    script: CurrentScript,
    actor: CurrentActor,
    extension: str,
    languages: Annotated[str, Form(max_length=20, description="kk, ru or kk,ru")],
    skills: Annotated[str, Form(max_length=2000, description="lawyer:3 children:1")] = "",
    team: Annotated[str | None, Form(max_length=200, description="without: as it is")] = None,
) -> list[Person]:
    """Replace a consultant's languages and skills, and the team ("": none).

    Answers all consultants.
    """
    await service.change_consultant(
        site.engine, script, actor, extension, languages.split(","), read_skills(skills), team
    )
    return await list_consultants(site)


@router.get("/api/v1/duty", dependencies=[requires(ConsultantPermission.OWN_DUTY)])
async def read_own(
    site: CurrentSite, actor: CurrentActor, presence: CurrentPresenceService
) -> CurrentPresence:
    """Your own presence."""
    extension = await service.find_own_extension(site.engine, actor)
    return _presence_model(await presence.of(extension))


@router.post("/api/v1/duty", dependencies=[requires(ConsultantPermission.OWN_DUTY)])
async def change_own(
    site: CurrentSite,
    actor: CurrentActor,
    presence: CurrentPresenceService,
    state: Annotated[Literal["ready", "paused", "signed_out"], Form()],
    reason: ReasonCode = None,
) -> CurrentPresence:
    """Sign in or resume (`ready`), pause with a reason, or sign out."""
    extension = await service.find_own_extension(site.engine, actor)
    await service.change_own_state(site.engine, presence, extension, PresenceState(state), reason)
    return _presence_model(await presence.of(extension))


@router.get("/api/v1/consultants/duty", dependencies=[requires(ConsultantPermission.SUPERVISE)])
async def list_all(presence: CurrentPresenceService) -> list[CurrentPresence]:
    """The presence of all consultants, by extension."""
    return [_presence_model(status) for status in await presence.everyone()]


@router.post(
    "/api/v1/consultants/{extension}/duty", dependencies=[requires(ConsultantPermission.SUPERVISE)]
)
async def change_anothers(
    site: CurrentSite,
    actor: CurrentActor,
    presence: CurrentPresenceService,
    extension: str,
    state: Annotated[Literal["paused", "signed_out"], Form()],
    reason: ReasonCode = None,
) -> CurrentPresence:
    """Pause a consultant, or sign one out; the audit log names you."""
    await service.force_state(
        site.engine, presence, actor, extension, PresenceState(state), reason or ""
    )
    return _presence_model(await presence.of(extension))


@router.get(
    "/api/v1/consultants/{extension}/hours", dependencies=[requires(ConsultantPermission.SUPERVISE)]
)
async def read_hours(
    site: CurrentSite, extension: str, begin: AwareDatetime, end: AwareDatetime
) -> list[StateDuration]:
    """The time that a consultant spent in each state; `end` is now at the latest."""
    end = min(end, datetime.now(UTC))
    if begin > end:
        raise InvalidRequest("the time must end after it begins, and begin in the past")
    async with unit_of_work(site.engine) as connection:
        await store.id_of(connection, extension)
        times = await state_history.time_in_states(connection, extension, begin, end)
    return [
        StateDuration(state=state, reason=reason, seconds=length.total_seconds())
        for (state, reason), length in sorted(times.items(), key=str)
    ]


async def _active_entries(site: CurrentSite, kind: ListKind) -> list[ListEntryModel]:
    async with unit_of_work(site.engine) as connection:
        entries = await reference_lists.list_entries(connection, kind)
    return [
        ListEntryModel(code=entry.code, name_kk=entry.name_kk, name_ru=entry.name_ru, key=entry.key)
        for entry in entries
        if entry.active
    ]


def _presence_model(status: PresenceStatus) -> CurrentPresence:
    return CurrentPresence(
        extension=status.extension,
        state=status.state,
        reason=status.reason,
        since=datetime.fromtimestamp(status.since, UTC),
        by=status.by,
        next=status.after,
        why_no_calls=why_no_calls(status),
    )
