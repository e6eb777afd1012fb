"""Service of consultants: their data, states and the center's lists, with audit entries."""

import logging
from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.consultants import reference_lists, store
from callcenter.consultants.actions import ConsultantAction
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.redis_script import DistributorScript, DistributorUnavailable
from callcenter.consultants.reference_lists import ListEntry, ListKind
from callcenter.consultants.roster import refresh_roster
from callcenter.consultants.rules.skills import format_skills
from callcenter.consultants.rules.states import ON_REQUEST, PresenceState
from callcenter.consultants.rules.teams import read_team
from callcenter.consultants.state_history import check_reason
from callcenter.platform.core.errors import InvalidRequest, SignInNeeded
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work

log = logging.getLogger(__name__)

_SAVED = {
    ListKind.SKILL: ConsultantAction.SKILL_KEPT,
    ListKind.PAUSE_REASON: ConsultantAction.PAUSE_REASON_KEPT,
}


class NotAConsultant(InvalidRequest):
    """you are no consultant yet: `callcenter users link` makes you one"""


class WrapUpLimitReached(InvalidRequest):
    """Wrap-up lasts as long as the center allows: take a pause instead."""


async def find_own_extension(engine: AsyncEngine, actor: Actor) -> str:
    """The extension of the consultant that the actor is linked with.

    Raises SignInNeeded, and NotAConsultant for a user without a consultant.
    """
    if actor.user is None:
        raise SignInNeeded
    async with unit_of_work(engine) as connection:
        extension = await store.extension_of_user(connection, actor.user.id)
    if extension is None:
        raise NotAConsultant
    return extension


async def change_own_state(
    engine: AsyncEngine,
    presence: PresenceService,
    extension: str,
    state: PresenceState,
    reason: str | None,
    *,
    page: bool = False,
) -> None:
    """Sign in, resume, pause for a reason of the center's list, or sign out.

    Raises InvalidRequest for another reason, and what `PresenceService.ask` raises.
    """
    why = ON_REQUEST
    if state is PresenceState.PAUSED:
        async with unit_of_work(engine) as connection:
            why = await check_reason(connection, reason or "")
    await presence.ask(extension, state, by="self", reason=why, page=page)


async def prolong_own_wrap_up(
    presence: PresenceService, extension: str, seconds: float, limit: float
) -> None:
    """Have the own wrap-up end later. Raises WrapUpLimitReached, and what the service raises."""
    if not await presence.prolong_wrap_up(extension, seconds, limit):
        raise WrapUpLimitReached


async def force_state(
    engine: AsyncEngine,
    presence: PresenceService,
    actor: Actor,
    extension: str,
    state: PresenceState,
    reason: str,
) -> None:
    """Pause another consultant, for a reason of the center's list, or sign one out.

    Raises InvalidRequest for another reason, and what `PresenceService.ask` raises.
    """
    async with unit_of_work(engine) as connection:
        is_pause = state is PresenceState.PAUSED
        why = await check_reason(connection, reason) if is_pause else ON_REQUEST
        await presence.ask(extension, state, by=actor.who, reason=why)
        await audit_action(
            connection,
            actor,
            ConsultantAction.DUTY_CHANGED,
            f"consultant:{extension}",
            {"state": state.value, "reason": why},
        )


async def change_consultant(
    engine: AsyncEngine,
    script: DistributorScript,
    actor: Actor,
    extension: str,
    languages: Sequence[str],
    skills: Mapping[str, int],
    team: str | None = None,
) -> None:
    """Replace a consultant's languages and skills, and the team ("": none; None: unchanged).

    Raises InvalidRequest, and then nothing is changed. The ACD follows as `push_roster` says.
    """
    async with unit_of_work(engine) as connection:
        await set_details(connection, actor, extension, languages, skills, team)
    await push_roster(engine, script)


async def set_details(
    connection: AsyncConnection,
    actor: Actor,
    extension: str,
    languages: Sequence[str],
    skills: Mapping[str, int],
    team: str | None,
) -> None:
    """Do what `change_consultant` does in this transaction; `push_roster` has to follow."""
    await store.set_languages(connection, extension, languages)
    await store.set_skills(connection, extension, skills)
    if team is not None:
        await store.set_team(connection, extension, read_team(team))
    await audit_action(
        connection,
        actor,
        ConsultantAction.CONSULTANT_CHANGED,
        f"consultant:{extension}",
        {
            "languages": ",".join(languages),
            "skills": format_skills(skills),
            **({} if team is None else {"team": read_team(team) or ""}),
        },
    )


async def put_entry(
    engine: AsyncEngine, script: DistributorScript, actor: Actor, kind: ListKind, entry: ListEntry
) -> None:
    """Add an entry to a list of the center, or change one. Raises InvalidRequest."""
    async with unit_of_work(engine) as connection:
        await reference_lists.put(connection, kind, entry)
        await audit_action(
            connection,
            actor,
            _SAVED[kind],
            f"{kind.value}:{entry.code}",
            {
                "kk": entry.name_kk,
                "ru": entry.name_ru,
                "active": entry.active,
                **({} if entry.key is None else {"key": entry.key}),
            },
        )
    await push_roster(engine, script)  # no consultant has a skill that is not used any more


async def push_roster(engine: AsyncEngine, script: DistributorScript) -> None:
    """Have the ACD follow at once what was changed.

    Without Redis a controller has it follow: within seconds of its return, or within a minute where
    PostgreSQL notifies nobody, as of a skill that is used no more.
    """
    try:
        await refresh_roster(engine, script)
    except DistributorUnavailable as exc:
        log.error("roster push failed, a controller repeats it: %s", exc)


# Accounts, in the caller's transaction. Controllers, which hear of it, provision Asterisk.


async def add_consultant(
    connection: AsyncConnection,
    actor: Actor,
    *,
    extension: str,
    name: str,
    languages: Sequence[str],
    digest: str,
) -> None:
    """Add a consultant. Raises InvalidRequest, as when the extension is taken."""
    await store.add(connection, extension=extension, name=name, languages=languages, digest=digest)
    detail = {"languages": ",".join(languages)}
    await _audit_account(connection, actor, "added", extension, **detail)


async def set_active(
    connection: AsyncConnection, actor: Actor, extension: str, *, active: bool
) -> None:
    """Enable a consultant, or shut the telephone out. Raises InvalidRequest."""
    await store.set_active(connection, extension, active)
    await _audit_account(connection, actor, "enabled" if active else "disabled", extension)


async def rename(connection: AsyncConnection, actor: Actor, extension: str, name: str) -> None:
    """Change the name that others see of a consultant. Raises InvalidRequest."""
    await store.set_name(connection, extension, name)
    await _audit_account(connection, actor, "renamed", extension)


async def set_digest(
    connection: AsyncConnection, actor: Actor, extension: str, digest: str
) -> None:
    """Set the digest of a softphone's new password. Raises InvalidRequest."""
    await store.set_digest(connection, extension, digest)
    await _audit_account(connection, actor, "password_set", extension)


async def set_telephone(
    connection: AsyncConnection, actor: Actor, extension: str, *, in_browser: bool
) -> None:
    """Set whether the telephone is the workspace page or a softphone. Raises InvalidRequest."""
    await store.set_in_browser(connection, extension, in_browser)
    detail = {"telephone": "browser" if in_browser else "softphone"}
    await _audit_account(connection, actor, "telephone_set", extension, **detail)


async def set_skills(
    connection: AsyncConnection, actor: Actor, extension: str, skills: Mapping[str, int]
) -> None:
    """Replace a consultant's skills. Raises InvalidRequest."""
    await store.set_skills(connection, extension, skills)
    detail = {"skills": format_skills(skills)}
    await _audit_account(connection, actor, "skills_set", extension, **detail)


async def set_team(
    connection: AsyncConnection, actor: Actor, extension: str, team: str | None
) -> None:
    """Set the team of a consultant or supervisor; None: no team. Raises InvalidRequest."""
    await store.set_team(connection, extension, team)
    await _audit_account(connection, actor, "team_set", extension, team=team or "")


async def _audit_account(
    connection: AsyncConnection, actor: Actor, action: str, extension: str, **detail: str
) -> None:
    await audit_action(
        connection,
        actor,
        ConsultantAction.named(f"{actor.source}:consultant:{action}"),
        f"consultant:{extension}",
        detail,
    )
