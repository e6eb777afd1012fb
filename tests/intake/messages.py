"""Messages in writing, and consultants who read them, for tests."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import insert, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.rules.channels import ContactChannel
from callcenter.consultants import reference_lists
from callcenter.consultants import store as consultants
from callcenter.consultants.reference_lists import ListEntry, ListKind
from callcenter.consultants.tables import consultant
from callcenter.intake import service
from callcenter.intake.rules.messages import WrittenMessage
from callcenter.intake.service import IntakeReceipt
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.tables import web_user
from callcenter.platform.storage.engine import unit_of_work
from tests.web.conftest import add_user

PORTAL = Actor(None, machine="portal")
TEXT = "Меня бьют в школе, помогите"


def message(message_id: str = "1", **changes: Any) -> WrittenMessage:
    """A message of a child by the portal."""
    said: dict[str, Any] = {
        "source": "machine:portal",
        "message_id": message_id,
        "channel": ContactChannel.PORTAL,
        "language": "ru",
        "received_at": datetime.now(UTC),
        "text": TEXT,
        "sender": "Аружан, 12 лет",
    }
    return WrittenMessage(**said | changes)


async def receive(
    engine: AsyncEngine,
    settings: Settings,
    message: WrittenMessage,
    actor: Actor = PORTAL,
    *,
    is_own: bool = False,
) -> IntakeReceipt:
    keys = RecordKeys.read(settings)
    return await service.receive(engine, keys, settings, actor, message, is_own=is_own)


async def rows(engine: AsyncEngine, query: str) -> list[tuple[Any, ...]]:
    async with unit_of_work(engine) as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


async def is_lock_awaited(engine: AsyncEngine) -> bool:
    """Whether a transaction of this database waits for a lock of another one."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return await rows(engine, waiting) != [(0,)]


async def change(engine: AsyncEngine, statement: str) -> None:
    async with unit_of_work(engine) as connection:
        await connection.execute(text(statement))


async def add_consultant(
    engine: AsyncEngine,
    extension: str,
    *languages: str,
    skills: Mapping[str, int] | None = None,
    role: Role = Role.CONSULTANT,
) -> Actor:
    """A consultant with this extension who speaks these languages: both, if none is said."""
    user, identity = await add_user(engine, f"reader-{extension}", role), uuid4()
    async with unit_of_work(engine) as connection:
        await connection.execute(
            insert(consultant).values(
                id=identity,
                extension=extension,
                name=extension,
                languages=list(languages or ("kk", "ru")),
                digest="-",
            )
        )
        linked = update(web_user).where(web_user.c.id == user.id)
        await connection.execute(linked.values(consultant_id=identity))
        for code in skills or {}:
            entry = ListEntry(code, "Заңгер", "Юрист", active=True)
            await reference_lists.put(connection, ListKind.SKILL, entry)
        await consultants.set_skills(connection, extension, skills or {})
    return Actor(user)
