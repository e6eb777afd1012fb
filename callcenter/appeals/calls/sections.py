"""Extension point of the page of an appeal's call: sections of higher rooms."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.store import AppealRow
from callcenter.platform.core.registry import offers
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Permission


@dataclass(frozen=True, slots=True)
class CallSection:
    """Extension point: a section of the page of an appeal's call, above its recordings.

    `template` is one of the room, as ROOM/NAME.html.

    `read` gives it its `section`, or None: the section is not shown.
    """

    template: str
    permission: Permission
    read: Callable[[AsyncConnection, AppealRow], Awaitable[object | None]]


async def read_sections(
    connection: AsyncConnection, actor: Actor, row: AppealRow
) -> list[tuple[CallSection, object]]:
    """Sections that other rooms offer to this reader, each with what its template shows."""
    return [
        (section, content)
        for section in offers(CallSection)
        if actor.may(section.permission)
        if (content := await section.read(connection, row)) is not None
    ]
