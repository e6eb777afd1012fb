"""Who was in which state when, on a real PostgreSQL."""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.consultants import state_history, store
from callcenter.consultants.rules.states import PresenceState
from callcenter.consultants.state_history import PresenceChange
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.storage.engine import unit_of_work

DIGEST = "0123456789abcdef" * 2
START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
SECONDS = st.integers(0, 1000)


async def hire(connection: AsyncConnection, extension: str) -> None:
    await store.add(connection, extension=extension, name="A", languages=["kk"], digest=DIGEST)


def change(
    at: int, state: PresenceState, reason: str | None = None, extension: str = "201"
) -> PresenceChange:
    return PresenceChange(extension, state, reason, START + timedelta(seconds=at), "self")


async def test_changes_are_stored_once_and_the_last_is_found(engine: AsyncEngine) -> None:
    changes = [change(1, PresenceState.READY), change(2, PresenceState.PAUSED, "lunch")]
    async with unit_of_work(engine) as connection:
        await hire(connection, "201")
        await hire(connection, "202")
        for _ in range(2):
            await state_history.save(
                connection, [*changes, change(3, PresenceState.READY, extension="999")]
            )
        assert await state_history.last_changes(connection) == {"201": changes[1]}
        rows = await connection.exec_driver_sql("SELECT count(*) FROM consultant_state")
        assert rows.scalar_one() == 2


async def test_a_working_day_adds_up(engine: AsyncEngine) -> None:
    day = [
        change(100, PresenceState.READY),
        change(160, PresenceState.TALKING),
        change(200, PresenceState.READY),
        change(300, PresenceState.PAUSED, "lunch"),
        change(350, PresenceState.PAUSED, "training"),
        change(400, PresenceState.SIGNED_OUT, "asked"),
    ]
    async with unit_of_work(engine) as connection:
        await hire(connection, "201")
        await state_history.save(connection, day)
        times = await state_history.time_in_states(
            connection, "201", START + timedelta(seconds=50), START + timedelta(seconds=360)
        )
    assert {key: lasted.total_seconds() for key, lasted in times.items()} == {
        (PresenceState.SIGNED_OUT, None): 50,
        (PresenceState.READY, None): 160,
        (PresenceState.TALKING, None): 40,
        (PresenceState.PAUSED, "lunch"): 50,
        (PresenceState.PAUSED, "training"): 10,
    }


def counted(
    changes: dict[int, tuple[PresenceState, str | None]], begin: int, end: int
) -> dict[tuple[PresenceState, str | None], int]:
    """The same, second by second."""
    lasted: dict[tuple[PresenceState, str | None], int] = defaultdict(int)
    for second in range(begin, end):
        past = [at for at in changes if at <= second]
        lasted[changes[max(past)] if past else (PresenceState.SIGNED_OUT, None)] += 1
    return dict(lasted)


async def test_times_in_states_are_those_counted_second_by_second(engine: AsyncEngine) -> None:
    loop = asyncio.get_running_loop()

    async def requested(
        changes: dict[int, tuple[PresenceState, str | None]], begin: int, end: int
    ) -> dict[tuple[PresenceState, str | None], timedelta]:
        async with unit_of_work(engine) as connection:
            await hire(connection, "201")
            await state_history.save(
                connection, [change(at, *what) for at, what in changes.items()]
            )
            times = await state_history.time_in_states(
                connection, "201", START + timedelta(seconds=begin), START + timedelta(seconds=end)
            )
            await connection.exec_driver_sql("DELETE FROM consultant_state")
            await connection.exec_driver_sql("DELETE FROM consultant")
        return times

    what = st.tuples(st.sampled_from(PresenceState), st.sampled_from((None, "lunch")))

    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.dictionaries(SECONDS, what, max_size=12), SECONDS, SECONDS)
    def add_up(changes: dict[int, tuple[PresenceState, str | None]], one: int, other: int) -> None:
        begin, end = sorted((one, other))
        future = asyncio.run_coroutine_threadsafe(requested(changes, begin, end), loop)
        times = {key: lasted.total_seconds() for key, lasted in future.result(30).items()}
        assert times == counted(changes, begin, end)

    await asyncio.to_thread(add_up)


async def test_the_center_keeps_the_reasons_of_pauses(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        reasons = await state_history.pause_reasons(connection)
        codes = {reason.code for reason in reasons}
        assert codes == {"lunch", "training", "recovery", "supervision", "technical"}
        assert all(reason.name_kk and reason.name_ru for reason in reasons)
        await connection.exec_driver_sql(
            "UPDATE pause_reason SET active = false WHERE code = 'training'"
        )
        await state_history.check_reason(connection, "lunch")
        for refused in ("training", "missed", ""):
            with pytest.raises(InvalidRequest, match="must be one of lunch"):
                await state_history.check_reason(connection, refused)
