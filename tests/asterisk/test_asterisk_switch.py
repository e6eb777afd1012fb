"""AsteriskSwitch on a real Asterisk: hang-ups amid originating, bridging, recording."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.calls.ports import LegHungUp, NotAnswered, RecordingUnconfirmed
from tests.asterisk.connected_node import ConnectedNode, called

pytestmark = pytest.mark.usefixtures("no_task_left")


@pytest.fixture
def sound(tmp_path: Path) -> str:
    """A fifth of a second of sound, as ARI names it."""
    (tmp_path / "short.sln").write_bytes(b"\x00\x10\x00\xf0" * 800)
    return f"sound:{tmp_path}/short"


async def test_an_event_may_come_before_its_requests_answer(
    controller: ConnectedNode,
) -> None:
    """Ids are ours and are listened for before asking, so no StasisStart is missed."""

    async def call() -> None:
        async with called(
            controller, "Local/silence@line/n", await controller.incoming(), "111", 10
        ):
            pass

    for _ in range(20):
        await call()
        await controller.calls[-1].hang_up()
    await controller.nothing_is_left()


async def over_and_over(operation: Callable[[], Awaitable[object]]) -> None:
    while True:
        await operation()


@pytest.mark.parametrize("operation", ["answer", "play", "key", "music"])
async def test_a_hangup_during_an_operation_ends_it_and_later_ones(
    controller: ConnectedNode, sound: str, operation: str
) -> None:
    async def music(call: Channel) -> None:
        async with call.music():
            await call.key(0.01)

    for _ in range(10):
        call = await controller.incoming()
        await call.answer()
        operations: dict[str, Callable[[], Awaitable[object]]] = {
            "answer": call.answer,
            "play": lambda call=call: call.play([sound]),  # type: ignore[misc]
            "key": lambda call=call: call.key(30),  # type: ignore[misc]
            "music": lambda call=call: music(call),  # type: ignore[misc]
        }
        running = asyncio.create_task(over_and_over(operations[operation]))
        await asyncio.sleep(0)
        await controller.caller_hangs_up(call)
        with pytest.raises(LegHungUp):
            await asyncio.wait_for(running, 10)
        with pytest.raises(LegHungUp):
            await operations[operation]()
        await call.wait_hangup()
        await call.hang_up()
    await controller.nothing_is_left()


async def test_a_hangup_while_a_telephone_rings_stops_the_ringing(
    controller: ConnectedNode,
) -> None:
    async def ring(call: Channel) -> None:
        async with called(controller, "Local/ringing@line/n", call, "111", 30):
            raise AssertionError("nobody answers")

    for _ in range(10):
        call = await controller.incoming()
        ringing = asyncio.create_task(ring(call))
        await asyncio.sleep(0)
        await controller.caller_hangs_up(call)
        await call.wait_hangup()
        ringing.cancel()
        await asyncio.gather(ringing, return_exceptions=True)
    await controller.nothing_is_left()


@pytest.mark.parametrize(
    ("extension", "reason"), [("busy", "busy"), ("declines", "refused"), ("ringing", "no_answer")]
)
async def test_a_telephone_that_is_not_answered_says_why(
    controller: ConnectedNode, extension: str, reason: str
) -> None:
    call = await controller.incoming()
    with pytest.raises(NotAnswered, match=reason):
        async with called(controller, f"Local/{extension}@line/n", call, "111", 1):
            raise AssertionError("nobody answers")
    await call.hang_up()
    await controller.nothing_is_left()


@pytest.mark.parametrize("who", ["caller", "consultant"])
async def test_a_hangup_while_two_are_being_connected_leaves_no_bridge(
    controller: ConnectedNode, who: str
) -> None:
    async def talk(call: Channel, other: Channel) -> None:
        async with controller.switch.connect(call, other):
            await asyncio.sleep(0)

    for _ in range(10):
        call = await controller.incoming()
        await call.answer()
        async with called(controller, "Local/silence@line/n", call, "111", 10) as other:
            talking = asyncio.create_task(over_and_over(lambda a=call, b=other: talk(a, b)))  # type: ignore[misc]
            await asyncio.sleep(0)
            if who == "caller":
                await controller.caller_hangs_up(call)
            else:
                await controller.ami.action({"Action": "Hangup", "Channel": other.name})
            with pytest.raises(LegHungUp if who == "caller" else NotAnswered):
                await asyncio.wait_for(talking, 10)
        await call.hang_up()
    await controller.nothing_is_left()


async def test_a_prompt_right_after_a_conversation_is_played_each_time(
    controller: ConnectedNode, tmp_path: Path
) -> None:
    """What is played while a bridge is being destroyed Asterisk may forget without a word."""
    (tmp_path / "click.sln").write_bytes(b"\x00\x10\x00\xf0" * 80)
    call = await controller.incoming()
    await call.answer()
    async with called(controller, "Local/silence@line/n", call, "111", 10) as other:
        for _ in range(50):
            async with controller.switch.connect(call, other):
                pass
            async with asyncio.timeout(30):
                await call.play([f"sound:{tmp_path}/click"])
    await call.hang_up()
    await controller.nothing_is_left()


@pytest.mark.parametrize("given_up_at", ["channels/called-", "bridges", "/addChannel"])
async def test_an_abandoned_request_leaves_nothing_of_what_it_did(
    controller: ConnectedNode, monkeypatch: pytest.MonkeyPatch, given_up_at: str
) -> None:
    async def talk(call: Channel) -> None:
        async with (
            called(controller, "Local/silence@line/n", call, "111", 10) as other,
            controller.switch.connect(call, other),
        ):
            await call.wait_hangup()

    ask = controller.ari.request

    async def request(method: str, path: str, *rest: object, **more: object) -> object:
        if method == "POST" and given_up_at in path and not talking.cancelling():
            asyncio.get_running_loop().call_soon(talking.cancel)
        return await ask(method, path, *rest, **more)  # type: ignore[arg-type]

    call = await controller.incoming()
    await call.answer()
    monkeypatch.setattr(controller.ari, "request", request)
    talking = asyncio.create_task(talk(call))
    with pytest.raises(asyncio.CancelledError):
        await talking
    await call.hang_up()
    await controller.nothing_is_left()


async def test_a_hangup_during_recording_leaves_a_closed_file_or_none(
    controller: ConnectedNode, tmp_path: Path
) -> None:
    for attempt in range(10):
        file = tmp_path / f"{attempt}.raw"
        call = await controller.incoming()
        await call.answer()
        starting = asyncio.create_task(controller.switch.start_recording(call, file))
        hanging_up = asyncio.create_task(controller.caller_hangs_up(call))
        with suppress(RecordingUnconfirmed):
            await starting
            await controller.switch.stop_recording(call, file)
        await hanging_up
        await call.wait_hangup()
    await controller.nothing_is_left()


async def test_no_called_number_is_logged_when_asterisk_refuses(
    controller: ConnectedNode, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(NotAnswered):
        async with controller.switch.call_number("+77010000000", "111", 5):
            raise AssertionError("this Asterisk has no SIP")
    assert "originate failed" in caplog.text
    assert "+77010000000" not in caplog.text
