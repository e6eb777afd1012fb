"""The sample of a night: of the stored ones alone, and of all of them with the same chance."""

from collections import Counter
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.sealing import sampling
from callcenter.recordings.sealing.sampling import some_stored

INSERT = text(
    """
    INSERT INTO recording (id, appeal_id, spool_name, state, started_at, sha256)
    SELECT id, :appeal, id::text, :state, :at, CASE :state WHEN 'stored' THEN '0' END
    FROM unnest(CAST(:ids AS uuid[])) AS id
    """
)
AT = datetime(2026, 11, 20, tzinfo=UTC)


async def written(connection: AsyncConnection, ids: list[UUID], state: str = "stored") -> None:
    appeal = {"appeal": uuid4(), "at": AT}
    await connection.execute(
        text(
            "INSERT INTO appeal (id, number, channel, caller_kind, received_at)"
            " SELECT :appeal, lpad(count(*)::text, 10, '0'), 'call', 'withheld', :at FROM appeal"
        ),
        appeal,
    )
    await connection.execute(INSERT, appeal | {"ids": ids, "state": state})


async def test_a_sample_has_so_many_different_stored_ones_or_all(engine: AsyncEngine) -> None:
    stored = [uuid4() for _ in range(300)]
    async with unit_of_work(engine) as connection:
        assert await some_stored(connection, 5, 0) == []
        await written(connection, stored)
        await written(connection, [uuid4() for _ in range(300)], "recording")
        for count in (1, 7, 200, 300, 1000):
            drawn = [row.id for row in await some_stored(connection, count, len(stored))]
            assert len(drawn) == len(set(drawn)) == min(count, 300)
            assert set(drawn) <= set(stored)


async def test_all_recordings_have_the_same_chance_to_be_sampled(engine: AsyncEngine) -> None:
    ids = [UUID(int=0), UUID(int=sampling.ALL_IDS - 1), *(uuid4() for _ in range(38))]
    drawn: Counter[UUID] = Counter()
    async with unit_of_work(engine) as connection:
        await written(connection, ids)
        for _ in range(400):
            drawn.update(row.id for row in await some_stored(connection, 10, len(ids)))
    assert drawn.total() == 4000
    assert all(50 < drawn[each] < 150 for each in ids)  # five standard deviations from 100
