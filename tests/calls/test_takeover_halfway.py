"""A takeover that fails halfway: who takes over dies itself, or loses what it needs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from callcenter.bootstrap.controller import ControllerProcess
from callcenter.platform.core.errors import OperationFailed
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.phone import Phone
from callcenter.telephony.asterisk.ari import AriUnavailable
from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CallCenter, running_controller
from tests.calls.disposable_stack import (
    all_is_stored,
    both_hear,
    connected,
    has_happened,
    held,
    sees,
)
from tests.calls.faulty_controllers import DYING
from tests.calls.processes import (
    ControllerProgram,
    OwnPostgres,
    OwnRedis,
    running_controller_program,
)
from tests.calls.talking import order
from tests.polling import until

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
]


@pytest.fixture
def call_center(disposable: CallCenter) -> CallCenter:
    return disposable


@dataclass(frozen=True)
class Callers:
    """One talks with 201, one waits in Russian, one is in the menu in Russian."""

    talks: SipCall
    leg: SipCall
    consultant: Phone
    waits: SipCall
    chooses: SipCall
    numbers: list[str]


@asynccontextmanager
async def callers(call_center: CallCenter, series: str) -> AsyncIterator[Callers]:
    numbers = [f"+7702080{series}{each}" for each in range(3)]
    async with AsyncExitStack() as stack:
        consultant = await stack.enter_async_context(call_center.softphone("201"))
        await consultant.register()
        calls = [await stack.enter_async_context(call_center.caller(number)) for number in numbers]
        talks, waits, chooses = calls
        leg = await connected(call_center, talks, consultant)
        await has_happened(call_center, numbers[0], CallEvent.RECORDING_STARTED)
        for each in (waits, chooses):
            await each.press("2")
            await call_center.hears(each, "ru", "emergency_hint")
        await waits.press("0")
        await has_happened(call_center, numbers[1], CallEvent.WAITING)
        yield Callers(talks, leg, consultant, waits, chooses, numbers)


async def all_are_served_on(call_center: CallCenter, those: Callers) -> None:
    """Everybody keeps language and place; nobody is lost, or served twice."""
    await asyncio.gather(
        call_center.hears(those.waits, "ru", "sorry_going_on", 20),
        call_center.hears(those.chooses, "ru", "sorry_going_on", 20),
    )
    await both_hear(those.talks, those.leg)
    await held(call_center, those.numbers[0], "201")
    await order(call_center, "201", "resume")
    await both_hear(those.talks, those.leg)
    await those.leg.hang_up()
    await those.talks.ended()
    for caller in (those.waits, those.chooses):
        if caller is those.chooses:
            await caller.press("1")
        again = await those.consultant.next_call(30)
        await again.answer()
        await both_hear(caller, again)
        await again.hang_up()
        await caller.ended()
    await all_is_stored(call_center, those.numbers)
    for number in those.numbers[1:]:
        assert (await call_center.appeal(number)).language == "ru"


@pytest.mark.parametrize("moved", [1, 3])
@pytest.mark.parametrize("who", ["a third", "the same, started again"])
async def test_what_one_that_is_killed_meanwhile_leaves_is_finished_by(
    call_center: CallCenter, line: ControllerProgram, who: str, moved: int
) -> None:
    program = (*DYING, str(moved))
    async with (
        callers(call_center, f"{len(who):02}{moved}") as those,
        running_controller_program(call_center.settings, "line-2", program=program) as dying,
        AsyncExitStack() as stack,
    ):
        third = ControllerProgram(call_center.settings, "line-3" if who == "a third" else "line-2")
        await line.kill()
        await dying.ended()
        stack.push_async_callback(third.kill)
        await third.start()
        await all_are_served_on(call_center, those)


Breaks = Callable[[], Awaitable[None]]


def fails_after_first(
    controller: ControllerProcess, monkeypatch: pytest.MonkeyPatch, fault: Breaks
) -> list[str]:
    """Have this happen once a first channel was taken over; the channels that were, in order."""
    adopt, taken = controller.node.channels.move_here, list[str]()

    async def adopt_one(reported: Mapping[str, Any], *, is_ours: bool) -> Channel:
        channel = await adopt(reported, is_ours=is_ours)
        taken.append(channel.id)
        if len(taken) == 1:
            await fault()
        return channel

    monkeypatch.setattr(controller.node.channels, "move_here", adopt_one)
    return taken


@pytest.mark.parametrize("how", ["the connection breaks", "the switch gives none more"])
async def test_what_could_not_be_taken_whole_is_taken_again_when(
    call_center: CallCenter, line: ControllerProgram, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    async with (
        callers(call_center, f"1{len(how)}") as those,
        running_controller(call_center.settings, "line-2") as other,
    ):
        await until(lambda: sees(other, "line-1"), "the two know of each other")

        async def break_off() -> None:
            if how == "the connection breaks":
                await other.node.ari.connect_again()
                raise AriUnavailable("the connection broke")
            raise OperationFailed("it does not come")

        taken = fails_after_first(other, monkeypatch, break_off)
        await line.kill()
        await all_are_served_on(call_center, those)
        assert taken.count(taken[0]) == 2, "the first one was taken again"


@pytest.mark.parametrize("what", ["Redis", "PostgreSQL"])
async def test_one_that_loses_a_server_meanwhile_finishes_it(
    call_center: CallCenter,
    line: ControllerProgram,
    monkeypatch: pytest.MonkeyPatch,
    redis_server: OwnRedis,
    postgres_server: OwnPostgres,
    what: str,
) -> None:
    async with (
        callers(call_center, f"2{len(what):02}") as those,
        running_controller(call_center.settings, "line-2") as other,
    ):
        await until(lambda: sees(other, "line-1"), "the two know of each other")

        async def lose() -> None:
            if what == "Redis":
                redis_server.pause()
            else:
                await asyncio.to_thread(postgres_server.pause)

        fails_after_first(other, monkeypatch, lose)
        await line.kill()
        try:
            await asyncio.gather(
                call_center.hears(those.waits, "ru", "sorry_going_on", 20),
                call_center.hears(those.chooses, "ru", "sorry_going_on", 20),
            )
            await both_hear(those.talks, those.leg)
        finally:
            if what == "Redis":
                redis_server.go_on()
            else:
                await asyncio.to_thread(postgres_server.go_on)
        await held(call_center, those.numbers[0], "201")
        await order(call_center, "201", "resume")
        await both_hear(those.talks, those.leg)
        await those.leg.hang_up()
        await those.talks.ended()
        for caller in (those.waits, those.chooses):
            await caller.hang_up()
        appeals = [await call_center.appeal(number) for number in those.numbers]
    assert appeals[0].outcome == Outcome.TALKED
    assert {appeal.language for appeal in appeals[1:]} == {"ru"}
    assert Outcome.LOST_TO_A_FAULT not in {appeal.outcome for appeal in appeals}
