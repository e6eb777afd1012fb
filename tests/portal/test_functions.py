"""Functions of the database by which the portal takes messages: one form is one number."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from callcenter.commands.check import CHECKS, examine
from callcenter.intake.drivers.portal.store import end_sessions
from callcenter.intake.jobs import LONGEST_HOLD
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.database_roles import DatabaseRole, in_role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from tests.polling import until
from tests.services import changed

RECEIVE = "SELECT * FROM portal_receive(%s, %s, false, 'sealed')"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"


async def test_a_form_sent_while_stored_gets_the_same_number(
    settings: Settings, database: str
) -> None:
    ours, sent = in_role(settings, DatabaseRole.PORTAL).database, (uuid4(), uuid4())
    first = await psycopg.AsyncConnection.connect(ours)
    second = await psycopg.AsyncConnection.connect(ours)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as owner:

        async def waits() -> bool:
            found = await owner.execute(WAITING, (second.info.backend_pid,))
            return await found.fetchone() == (1,)

        number = await (await first.execute(RECEIVE, sent)).fetchone()
        again = asyncio.create_task(second.execute(RECEIVE, sent))
        await until(waits, "the second waits for the first")
        await first.commit()
        assert await (await again).fetchone() == number
        await second.commit()
        for connection in (first, second):
            await connection.close()
        stored = await owner.execute("SELECT count(*) FROM portal_message")
        assert await stored.fetchone() == (1,)


async def test_who_holds_numbers_or_locks_is_ended(
    settings: Settings, worker: WorkerResources
) -> None:
    """By mistake: a thief takes turns on several, and is slowed down alone (decision 124)."""
    ours = in_role(settings, DatabaseRole.PORTAL).database

    async def end(older: timedelta) -> int:
        async with unit_of_work(worker.engine) as connection:
            return await end_sessions(connection, older)

    thieves = [await psycopg.AsyncConnection.connect(ours) for _ in range(3)]
    await thieves[0].execute(RECEIVE, (uuid4(), uuid4()))
    for thief, does in zip(thieves[1:], ("SELECT pg_advisory_lock(1)", "SELECT 1"), strict=True):
        await thief.execute(does)
        await thief.commit()
    assert await end(LONGEST_HOLD) == 0
    assert await end(timedelta()) == 2
    for thief in thieves[:2]:
        with pytest.raises(psycopg.OperationalError):
            await thief.execute("SELECT 1")
    await thieves[2].execute("SELECT 1")
    for thief in thieves:
        await thief.close()


async def test_an_owner_that_may_end_no_sessions_raises_nothing(
    settings: Settings, database: str
) -> None:
    """The worker asks each minute, before other things that it does."""
    end = "SELECT portal_end_sessions(interval '0')"
    ours = in_role(settings, DatabaseRole.PORTAL).database
    async with (
        await psycopg.AsyncConnection.connect(ours) as portal,
        await psycopg.AsyncConnection.connect(database) as owner,
    ):
        await portal.execute("SELECT 1")
        await owner.execute("CREATE ROLE sees_sessions; GRANT pg_read_all_stats TO sees_sessions")
        await owner.execute("ALTER FUNCTION portal_end_sessions(interval) OWNER TO sees_sessions")
        assert await (await owner.execute(end)).fetchone() == (0,)
        await owner.rollback()
        assert await (await owner.execute(end)).fetchone() == (1,)
        await portal.close()


def test_an_owner_that_may_end_no_sessions_is_reported(settings: Settings, database: str) -> None:
    ours, look = changed(settings, database_url=database), CHECKS["portal"]["sessions"]
    assert examine(look, ours) == ("ok", "the worker ends those that hold all others up")
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("ALTER FUNCTION portal_end_sessions(interval) OWNER TO callcenter_web")
    assert examine(look, ours)[0] == "warn"
