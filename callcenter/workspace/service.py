"""Commands of a consultant to the own call, whom it may be given to, and asking for help."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import store
from callcenter.consultants.redis_script import REDIS_TIMEOUT, DistributorUnavailable
from callcenter.consultants.reference_lists import ListEntry, ListKind, list_entries
from callcenter.consultants.service import find_own_extension
from callcenter.consultants.store import Consultant
from callcenter.intake import queue
from callcenter.platform.core.errors import Conflict, InvalidRequest, OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.monitoring.alerts import raise_alert
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.command_bus import CommandClient
from callcenter.telephony.acd.rules.call_commands import Answer, CallCommand
from callcenter.wallboard.rules import ConsultantFigures, Figures
from callcenter.workspace.actions import WorkspaceAction
from callcenter.workspace.alerts import HELP_REQUESTED

TO_CONSULTANTS = frozenset({"consult", "transfer"})  #: commands that name a consultant or a skill
TARGET_CHECK_TIMEOUT = 1.0  # seconds for the database to say whether the target exists

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Colleague:
    """Another consultant at work: what they are doing now, and their languages and skills."""

    now: ConsultantFigures
    account: Consultant

    @property
    def is_free(self) -> bool:
        return self.now.group == "free"


@dataclass(frozen=True, slots=True)
class Colleagues:
    """Whom a call may be given to. `free_by_skill` counts who is free now, of each skill."""

    people: Sequence[Colleague]
    free_by_skill: Mapping[str, int]
    skills: Mapping[str, ListEntry]  #: by code


class NoSuchTarget(InvalidRequest):
    """There is no such consultant, or no such skill."""


class NothingToRead(Conflict):
    """Nothing that is written waits for this consultant, who may have too many in hand."""


async def control_own_call(
    engine: AsyncEngine,
    commands: CommandClient,
    actor: Actor,
    command: str,
    to: str | None,
    language: str | None,
) -> Answer:
    """Send a command to the actor's own call; returns the state of the call.

    Raises NoSuchTarget, and what `CommandClient.send_to_consultant` raises.
    """
    extension = await find_own_extension(engine, actor)
    if command in TO_CONSULTANTS and to:
        await _check_target(engine, to)
    detail = {"to": to, "language": language}
    given = {name: value for name, value in detail.items() if value}
    return await commands.send_to_consultant(extension, CallCommand(command, "self", given))


async def request_help(engine: AsyncEngine, redis: Redis, actor: Actor, extension: str) -> None:
    """Alert the supervisors until one acknowledges that a consultant needs help; audited.

    Raises DistributorUnavailable.
    """
    subject, alert_id = f"consultant:{extension}", f"{HELP_REQUESTED.key}:{extension}"
    detail = {"raises": alert_id}
    async with unit_of_work(engine) as connection:
        await audit_action(connection, actor, WorkspaceAction.HELP_REQUESTED, subject, detail)
        try:
            async with asyncio.timeout(REDIS_TIMEOUT):
                await raise_alert(redis, HELP_REQUESTED, about=alert_id)
        except (RedisError, OSError, TimeoutError) as exc:
            raise DistributorUnavailable(f"help not requested: {exc or 'no answer'}") from exc


async def request_next(
    engine: AsyncEngine, settings: Settings, actor: Actor, extension: str
) -> None:
    """Have the next written contact offered to the actor. Raises NothingToRead."""
    if await queue.offer_next(engine, settings, actor, extension, is_requested=True) is None:
        raise NothingToRead


async def list_colleagues(engine: AsyncEngine, figures: Figures, own: str) -> Colleagues:
    """Whom a call may be given to: others at work, the free ones first, and skills of those."""
    async with unit_of_work(engine) as connection:
        consultants = {each.extension: each for each in await store.active(connection)}
        skills = {
            each.code: each
            for each in await list_entries(connection, ListKind.SKILL)
            if each.active
        }
    at_work = [
        Colleague(now, consultants[now.extension])
        for now in (figures.acd.consultants if figures.acd else ())
        if now.extension in consultants and now.extension != own and now.group != "signed_out"
    ]
    at_work.sort(key=lambda each: (not each.is_free, each.account.name))
    free = Counter(code for each in at_work if each.is_free for code in each.account.skills)
    offered = {code for each in at_work for code in each.account.skills}
    return Colleagues(at_work, {code: free[code] for code in skills if code in offered}, skills)


async def _check_target(engine: AsyncEngine, to: str) -> None:
    """Raise NoSuchTarget for an unknown skill or extension, which is a mistyped one.

    Without the database every target passes, so that transfers go on.
    """
    code = to.split(":")[1] if to.startswith("skill:") else None
    try:
        async with asyncio.timeout(TARGET_CHECK_TIMEOUT), unit_of_work(engine) as connection:
            if code is not None:
                entries = await list_entries(connection, ListKind.SKILL)
                targets = {each.code for each in entries if each.active}
            else:
                targets = {each.extension for each in await store.active(connection)}
    except (OperationFailed, SQLAlchemyError, OSError, TimeoutError) as exc:
        log.error("transfer target %s not checked: %s", to, type(exc).__name__)
        return
    if code is not None and code not in targets:
        raise NoSuchTarget(f"there is no skill {code}: {', '.join(sorted(targets)) or 'none is'}")
    if code is None and to not in targets:
        raise NoSuchTarget(f"there is no consultant {to}")
