"""A message is lost to nobody, and its audio to nobody else, whatever dies while it is heard."""

import asyncio

import pytest

from callcenter.promises.states import State
from tests.calls.house import House, until
from tests.calls.messages import (
    audio_keeper,
    heard_by,
    hears_message,
    left,
    nothing_lies_there,
    state_of,
)
from tests.calls.parts import Line, OwnPostgres, OwnRedis
from tests.calls.test_callbacks import PROCESS
from tests.calls.test_promises import forget_promises
from tests.calls.waiting import SEVERAL

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.alone,
]


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


async def test_a_message_whose_controller_is_killed_comes_again_and_its_audio_goes(
    house: House, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callcenter.worker.audio_keeping.TO_BEGIN", 1.0)
    async with audio_keeper(house):
        message_id = await left(house, "+77070000021", seconds=3.0)
        async with house.softphone("202") as consultant:
            await consultant.register()
            leg = await consultant.next_call(PROCESS)
            await hears_message(house, leg)
            await line.kill()
            assert list(house.settings.laid_out.iterdir())
            await nothing_lies_there(house)
            await line.start()
            await leg.ended(SEVERAL)
            again = await consultant.next_call(PROCESS)
            await hears_message(house, again)
            await again.hang_up()
        assert await heard_by(house, message_id) == ["consultant:202"] * 2
        assert await state_of(house, message_id) is State.OPEN
        await forget_promises(house)
        await nothing_lies_there(house)


async def test_nobody_is_rung_while_no_worker_lays_audio_out(house: House, line: Line) -> None:
    message_id = await left(house, "+77070000022")
    async with house.softphone("202") as consultant:
        await consultant.register()

        async def told() -> bool:
            return f"message {message_id} waits" in line.log.read_text()

        await until(told, "the log says that the message waits", SEVERAL)
        assert consultant.calls == []
        async with audio_keeper(house):
            leg = await consultant.next_call(PROCESS)
            await hears_message(house, leg)
            await leg.hang_up()
            await forget_promises(house)
            await nothing_lies_there(house)


async def test_nothing_is_heard_that_cannot_be_put_down(
    house: House, line: Line, postgres_server: OwnPostgres
) -> None:
    async with audio_keeper(house):
        message_id = await left(house, "+77070000023")
        async with house.softphone("202") as consultant:
            await consultant.register()
            leg = await consultant.next_call(PROCESS)
            await asyncio.to_thread(postgres_server.stop)
            try:
                await leg.answer()
                leg.send_silence()
                await house.hears(leg, "ru", "hearing_failed", SEVERAL)
                await leg.ended(SEVERAL)
            finally:
                await asyncio.to_thread(postgres_server.start)
            again = await consultant.next_call(PROCESS)
            await hears_message(house, again)
            await again.hang_up()
        assert await heard_by(house, message_id) == ["consultant:202"]
        await forget_promises(house)
        await nothing_lies_there(house)


async def test_an_emptied_redis_forgets_no_message(
    house: House, line: Line, redis_server: OwnRedis
) -> None:
    async with audio_keeper(house):
        message_id = await left(house, "+77070000024")
        await redis_server.kill()
        await redis_server.start()
        async with house.softphone("202") as consultant:
            await consultant.register()
            leg = await consultant.next_call(PROCESS)
            await hears_message(house, leg)
            await leg.hang_up()
        assert await state_of(house, message_id) is State.OPEN
        await forget_promises(house)
        await nothing_lies_there(house)
