"""Functions of the database by which the portal takes messages: one form is one number."""

import asyncio
from uuid import uuid4

import psycopg

from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.database_roles import DatabaseRole, in_role
from tests.polling import until

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
