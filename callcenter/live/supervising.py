"""Being with a conversation: the audit log has its entry before anything is heard."""

from typing import Annotated

from fastapi import Form
from pydantic import StringConstraints
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals import store as appeals
from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.consultants import store as consultants
from callcenter.consultants.dispatch import Dispatch, first_id
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.orders import SUPERVISE, Answer, Mode, Order
from callcenter.consultants.states import ENGAGED
from callcenter.consultants.teams import heard_by
from callcenter.errors import AskedWrongly
from callcenter.storage.engine import unit_of_work
from callcenter.web.errors import SignInNeeded
from callcenter.web.permissions import Permission
from callcenter.web.site import Site, Visit

Minutes = Annotated[float, Form(gt=0, le=60)]
ReasonGiven = Annotated[
    str,
    Form(),
    StringConstraints(strip_whitespace=True, min_length=3, max_length=200),
]


class NoTelephone(AskedWrongly):
    """You have no telephone here: `callcenter users link` gives you a consultant's."""


class OwnConversation(AskedWrongly):
    """This is your own conversation."""


class OtherTeam(AskedWrongly):
    """This consultant is of another team, whose conversations you may not hear."""


class InACall(AskedWrongly):
    """You are in a call yourself."""


async def supervise(site: Site, visit: Visit, extension: str, mode: Mode, reason: str) -> Answer:
    """Begin to be with a consultant's conversation, change how, or leave it.

    Raises NoTelephone, OwnConversation, InACall, OtherTeam, and what `Dispatch` raises. The audit
    log has the entry whatever the answer, for whoever asks may have heard something by then.
    """
    own = await _own_telephone(site, visit)
    if own == extension:
        raise OwnConversation
    if (await DutyDesk(site.redis, site.settings).of(own)).state in ENGAGED:
        raise InACall
    dispatch = Dispatch(site.redis)
    call = await dispatch.held_by(extension)
    async with unit_of_work(site.engine) as connection:
        own_id = await consultants.id_of(connection, own)
        heard = await _heard(connection, visit, own)
        may = heard is None or extension in heard or mode is Mode.LEAVE
        number = await appeals.number_of_call(connection, first_id(call.id))
        await record(
            connection,
            who=visit.who,
            action=Action.SUPERVISED,
            subject=f"appeal:{number or 'unknown'}",
            detail={
                "consultant": extension,
                "call": first_id(call.id),
                "mode": mode.value,
                "reason": reason,
                **({} if may else {"refused": "other_team"}),
            },
            from_address=visit.address,
        )
    if not may:
        raise OtherTeam
    detail = {"mode": mode.value, "extension": own, "id": str(own_id)}
    if heard is not None:
        detail["hears"] = " ".join(sorted(heard))
    order = Order(SUPERVISE, visit.who, detail)
    return await dispatch.to_call(call, order)


async def _heard(connection: AsyncConnection, visit: Visit, own: str) -> set[str] | None:
    """The extensions of those whom this supervisor may hear; None: everybody."""
    if visit.may(Permission.HEAR_ALL_TEAMS):
        return None
    teams = {each.extension: each.team for each in await consultants.everyone(connection)}
    return heard_by(own, teams)


async def _own_telephone(site: Site, visit: Visit) -> str:
    if visit.user is None:
        raise SignInNeeded
    async with unit_of_work(site.engine) as connection:
        own = await consultants.extension_of_user(connection, visit.user.id)
    if own is None:
        raise NoTelephone
    return own
