"""Who was in which state when, on a real PostgreSQL."""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.consultants import history, store
from callcenter.consultants.history import Change
from callcenter.consultants.states import State
from callcenter.errors import AskedWrongly
from callcenter.storage.engine import unit_of_work

DIGEST = "0123456789abcdef" * 2
START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
SECONDS = st.integers(0, 1000)


async def hire(connection: AsyncConnection, extension: str) -> None:
    await store.add(connection, extension=extension, name="A", languages=["kk"], digest=DIGEST)


def change(at: int, state: State, reason: str | None = None, extension: str = "201") -> Change:
    return Change(extension, state, reason, START + timedelta(seconds=at), "self")


async def test_changes_are_kept_once_and_the_last_is_known(engine: AsyncEngine) -> None:
    changes = [change(1, State.READY), change(2, State.PAUSED, "lunch")]
    async with unit_of_work(engine) as connection:
        await hire(connection, "201")
        await hire(connection, "202")
        for _ in range(2):
            await history.keep(connection, [*changes, change(3, State.READY, extension="999")])
        assert await history.last_changes(connection) == {"201": changes[1]}
        rows = await connection.exec_driver_sql("SELECT count(*) FROM consultant_state")
        assert rows.scalar_one() == 2


async def test_a_working_day_adds_up(engine: AsyncEngine) -> None:
    day = [
        change(100, State.READY),
        change(160, State.TALKING),
        change(200, State.READY),
        change(300, State.PAUSED, "lunch"),
        change(350, State.PAUSED, "training"),
        change(400, State.SIGNED_OUT, "asked"),
    ]
    async with unit_of_work(engine) as connection:
        await hire(connection, "201")
        await history.keep(connection, day)
        times = await history.time_in_states(
            connection, "201", START + timedelta(seconds=50), START + timedelta(seconds=360)
        )
    assert {key: lasted.total_seconds() for key, lasted in times.items()} == {
        (State.SIGNED_OUT, None): 50,
        (State.READY, None): 160,
        (State.TALKING, None): 40,
        (State.PAUSED, "lunch"): 50,
        (State.PAUSED, "training"): 10,
    }


def counted(
    changes: dict[int, tuple[State, str | None]], begin: int, end: int
) -> dict[tuple[State, str | None], int]:
    """The same, second by second."""
    lasted: dict[tuple[State, str | None], int] = defaultdict(int)
    for second in range(begin, end):
        past = [at for at in changes if at <= second]
        lasted[changes[max(past)] if past else (State.SIGNED_OUT, None)] += 1
    return dict(lasted)


async def test_times_in_states_are_those_counted_second_by_second(engine: AsyncEngine) -> None:
    loop = asyncio.get_running_loop()

    async def asked(
        changes: dict[int, tuple[State, str | None]], begin: int, end: int
    ) -> dict[tuple[State, str | None], timedelta]:
        async with unit_of_work(engine) as connection:
            await hire(connection, "201")
            await history.keep(connection, [change(at, *what) for at, what in changes.items()])
            times = await history.time_in_states(
                connection, "201", START + timedelta(seconds=begin), START + timedelta(seconds=end)
            )
            await connection.exec_driver_sql("DELETE FROM consultant_state")
            await connection.exec_driver_sql("DELETE FROM consultant")
        return times

    what = st.tuples(st.sampled_from(State), st.sampled_from((None, "lunch")))

    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.dictionaries(SECONDS, what, max_size=12), SECONDS, SECONDS)
    def add_up(changes: dict[int, tuple[State, str | None]], one: int, other: int) -> None:
        begin, end = sorted((one, other))
        future = asyncio.run_coroutine_threadsafe(asked(changes, begin, end), loop)
        times = {key: lasted.total_seconds() for key, lasted in future.result(30).items()}
        assert times == counted(changes, begin, end)

    await asyncio.to_thread(add_up)


async def test_the_center_keeps_the_reasons_of_pauses(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        reasons = await history.pause_reasons(connection)
        codes = {reason.code for reason in reasons}
        assert codes == {"lunch", "training", "recovery", "supervision", "technical"}
        assert all(reason.name_kk and reason.name_ru for reason in reasons)
        await connection.exec_driver_sql(
            "UPDATE pause_reason SET active = false WHERE code = 'training'"
        )
        await history.check_reason(connection, "lunch")
        for refused in ("training", "missed", ""):
            with pytest.raises(AskedWrongly, match="must be one of lunch"):
                await history.check_reason(connection, refused)
