"""Supervision of a conversation (listen, whisper, barge-in), audited before it begins."""

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import store as appeals
from callcenter.consultants import store as consultants
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import ENGAGED
from callcenter.consultants.service import NotAConsultant, find_own_extension
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.command_bus import CommandClient, first_id
from callcenter.telephony.acd.rules.call_commands import (
    SUPERVISE,
    Answer,
    CallCommand,
    SupervisionMode,
)
from callcenter.wallboard.actions import WallboardAction
from callcenter.wallboard.supervision_rights import audible_extensions


class SupervisorHasNoPhone(InvalidRequest):
    """You have no telephone here: `callcenter users link` gives you a consultant's."""


class OwnConversation(InvalidRequest):
    """This is your own conversation."""


class OtherTeam(InvalidRequest):
    """This consultant is of another team, whose conversations you may not hear."""


class SupervisorBusy(InvalidRequest):
    """You are in a call yourself."""


async def supervise(
    engine: AsyncEngine,
    presence: PresenceService,
    commands: CommandClient,
    actor: Actor,
    extension: str,
    mode: SupervisionMode,
    reason: str,
) -> Answer:
    """Join a consultant's conversation, change the mode, or leave it.

    Raises SupervisorHasNoPhone, OwnConversation, SupervisorBusy, OtherTeam, and what
    `CommandClient` raises. The audit log has the entry whatever the answer, for the supervisor may
    have heard something by then."""
    try:
        own = await find_own_extension(engine, actor)
    except NotAConsultant:
        raise SupervisorHasNoPhone from None
    if own == extension:
        raise OwnConversation
    if (await presence.of(own)).state in ENGAGED:
        raise SupervisorBusy
    call = await commands.find_active_call(extension)
    async with unit_of_work(engine) as connection:
        own_id = await consultants.id_of(connection, own)
        audible = await audible_extensions(connection, actor.grantee, own)
        is_permitted = audible is None or extension in audible or mode is SupervisionMode.LEAVE
        number = await appeals.number_of_call(connection, first_id(call.id))
        await audit_action(
            connection,
            actor,
            WallboardAction.SUPERVISED,
            f"appeal:{number or 'unknown'}",
            {
                "consultant": extension,
                "call": first_id(call.id),
                "mode": mode.value,
                "reason": reason,
                **({} if is_permitted else {"refused": "other_team"}),
            },
        )
    if not is_permitted:
        raise OtherTeam
    detail = {"mode": mode.value, "extension": own, "id": str(own_id)}
    if audible is not None:
        detail["hears"] = " ".join(sorted(audible))
    return await commands.send_to_call(call, CallCommand(SUPERVISE, actor.who, detail))
