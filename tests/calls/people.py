"""Users who are consultants of the tests' call center."""

from callcenter.consultants import store as consultants
from callcenter.platform.identity import store as users
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from tests.calls.call_center import CallCenter


async def add_person(
    call_center: CallCenter, extension: str, role: Role = Role.CONSULTANT, name: str = ""
) -> str:
    """The name of an active user who is that consultant and nobody else; as it was, if any."""
    name = name or f"person-{extension}"
    async with unit_of_work(call_center.engine) as connection:
        if await users.find_user(connection, name) is None:
            await users.add_user(connection, name=name, role=role, password_hash="")
        await users.set_active(connection, name=name, active=True)
        await users.set_role(connection, name=name, role=role)
        consultant = await consultants.id_of(connection, extension)
        await users.link_consultant(connection, name=name, consultant_id=consultant)
    return name
