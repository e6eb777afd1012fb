"""Rights to hear a call, read anew: by whatever somebody loses them."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.consultants import store as consultants
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import store as users
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.database_roles import DatabaseRole
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.rules.call_commands import SUPERVISE, CallCommand
from callcenter.wallboard.supervision_rights import may_supervise
from tests.services import opened_as

NAME = "aliya"


async def disable(connection: AsyncConnection) -> None:
    await users.set_active(connection, name=NAME, active=False)


async def leave_the_groups(connection: AsyncConnection) -> None:
    user = await users.find_user(connection, NAME)
    assert user is not None
    await users.set_entitled(connection, user.id, entitled=False)


async def disable_the_telephone(connection: AsyncConnection) -> None:
    await consultants.set_active(connection, "202", active=False)


async def demote(connection: AsyncConnection) -> None:
    await users.set_role(connection, name=NAME, role=Role.CONSULTANT)


async def take_the_telephone(connection: AsyncConnection) -> None:
    await users.link_consultant(connection, name=NAME, consultant_id=None)


async def move_whom_is_heard(connection: AsyncConnection) -> None:
    await consultants.set_team(connection, "201", "another")


async def promote(connection: AsyncConnection) -> None:
    await users.set_role(connection, name=NAME, role=Role.HEAD)


LOSSES = [
    disable,
    leave_the_groups,
    disable_the_telephone,
    demote,
    take_the_telephone,
    move_whom_is_heard,
]


@pytest.mark.parametrize("change", [*LOSSES, promote], ids=lambda change: change.__name__)
async def test_a_right_to_hear_ends_with_what_gave_it(
    settings: Settings,
    engine: AsyncEngine,
    change: Callable[[AsyncConnection], Awaitable[None]],
) -> None:
    """By the rights that a controller has in the database, and the head alone hears all."""
    async with unit_of_work(engine) as connection:
        for extension in ("201", "202"):
            await consultants.add(
                connection, extension=extension, name="A", languages=["kk"], digest="x"
            )
            await consultants.set_team(connection, extension, "a")
        await users.add_user(connection, name=NAME, role=Role.SENIOR, password_hash="")
        own = await consultants.id_of(connection, "202")
        await users.link_consultant(connection, name=NAME, consultant_id=own)
    detail = {"mode": "listen", "extension": "202", "id": str(own)}
    of_team = CallCommand(SUPERVISE, f"user:{NAME}", detail | {"hears": "201 202"}, "201")
    of_all = CallCommand(SUPERVISE, f"user:{NAME}", detail, "201")
    of_another = CallCommand(SUPERVISE, "user:boris", detail | {"hears": "201 202"}, "201")
    async with opened_as(DatabaseRole.CONTROLLER, settings) as controller:

        async def are_permitted() -> list[bool]:
            async with unit_of_work(controller) as connection:
                orders = (of_team, of_all, of_another)
                return [await may_supervise(connection, each) for each in orders]

        assert await are_permitted() == [True, False, False]
        async with unit_of_work(engine) as connection:
            await change(connection)
        hears_all = change is promote
        assert await are_permitted() == [hears_all, hears_all, False]
