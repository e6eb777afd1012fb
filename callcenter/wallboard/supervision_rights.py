"""Rights to hear conversations, as the database has them now."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.consultants import store as consultants
from callcenter.consultants.rules.teams import select_same_team
from callcenter.platform.identity.actor import name_of
from callcenter.platform.identity.permissions import Grantee
from callcenter.telephony.acd.rules.call_commands import CallCommand
from callcenter.wallboard.permissions import WallboardPermission


async def audible_extensions(
    connection: AsyncConnection, grantee: Grantee, own: str
) -> set[str] | None:
    """The extensions that a supervisor with the telephone `own` may listen to; None: all."""
    if grantee in WallboardPermission.HEAR_ALL_TEAMS.granted_to:
        return None
    teams = {each.extension: each.team for each in await consultants.everyone(connection)}
    return select_same_team(own, teams)


async def may_supervise(connection: AsyncConnection, order: CallCommand) -> bool:
    """Whether who gave this order may still hear all whom it names, by the same telephone."""
    person = await consultants.find_person(connection, UUID(order.detail["id"]))
    if person is None or person.name != name_of(order.by):
        return False
    if person.role not in WallboardPermission.HEAR_CALLS.granted_to:
        return False
    audible = await audible_extensions(connection, person.role, person.extension)
    heard = order.detail.get("hears")
    return audible is None or (heard is not None and audible.issuperset(heard.split()))
