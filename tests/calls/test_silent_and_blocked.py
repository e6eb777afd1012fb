"""Who cannot speak, who is in danger, and whose number is blocked, on the real Asterisk."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.notified_cache import notify
from callcenter.sipphone.call import SipCall
from callcenter.telephony.callers.blocklist import store as blocks
from callcenter.telephony.callers.blocklist.rules import BlockReason
from callcenter.telephony.callers.blocklist.store import Block
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.urgency import KEYS_PER_SECOND
from tests.calls.call_center import CallCenter, kinds
from tests.calls.talking import order
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


def shown(leg: SipCall) -> str:
    assert leg.invite is not None
    return leg.invite.need("From")


async def keys(call_center: CallCenter, number: str) -> list[str]:
    appeal = await call_center.live_appeal(number)
    assert appeal is not None
    return [e.detail["key"] for e in await call_center.events(appeal) if e.kind == CallEvent.KEY]


@asynccontextmanager
async def blocked(call_center: CallCenter, number: str) -> AsyncIterator[Block]:
    """The number is blocked, and every controller knows it."""
    async with unit_of_work(call_center.engine) as connection:
        made = await blocks.block(
            connection,
            number=number,
            length=timedelta(hours=1),
            reason=BlockReason.PRANKS,
            author="user:somebody",
        )
    await knows(call_center, number, blocked=True)
    yield made
    async with unit_of_work(call_center.engine) as connection:
        await blocks.lift(connection, made.id)
    await knows(call_center, number, blocked=False)


async def knows(call_center: CallCenter, number: str, *, blocked: bool) -> None:
    async def all_know() -> bool:
        return all(
            each.callers.blocklist.blocks(number) == blocked for each in call_center.controllers
        )

    await until(all_know, f"every controller knows that blocked is {blocked}")


async def test_who_cannot_speak_skips_the_menus_and_answers_by_key(call_center: CallCenter) -> None:
    number = "+77010004001"
    async with call_center.consultant("201") as consultant, call_center.caller(number) as caller:
        await call_center.hears(caller, "kk", "greeting")
        await caller.press("5")
        leg = await consultant.next_call()
        assert "111 kk SILENT" in shown(leg)
        await call_center.hears(caller, "kk", "silent_words")
        await leg.answer()
        await call_center.hears_something(leg)
        await caller.press("1", gap=0.3)
        await caller.press("2", how="info", gap=0.3)

        async def stored() -> bool:
            return await keys(call_center, number) == ["1", "2"]

        await until(stored, "the keys are on the appeal while the two talk")
        reported = await order(call_center, "201", "status")
        assert (reported["urgent"], reported["keys"]) == ("silent", "1 2")
        live = await call_center.live_appeal(number)
        assert live is not None
        assert list(live.urgent) == ["silent"]
        assert live.outcome is None
        await leg.hang_up()
        await call_center.hears(caller, "kk", "goodbye")
        await caller.ended()
    appeal = await call_center.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    seen = await call_center.moments(appeal)
    assert seen[:5] == kinds(
        CallEvent.RECEIVED,
        CallEvent.ANSWERED,
        CallEvent.GREETING,
        CallEvent.URGENT,
        CallEvent.LANGUAGE,
    )
    assert CallEvent.MENU not in seen


async def test_danger_in_the_menu_keeps_the_language(call_center: CallCenter) -> None:
    number = "+77010004002"
    async with call_center.consultant("202") as consultant, call_center.caller(number) as caller:
        await caller.press("28")
        leg = await consultant.next_call()
        assert "111 ru DANGER" in shown(leg)
        await call_center.hears(caller, "ru", "danger_words")
        await call_center.talk_shortly(leg)
        await caller.ended()
    appeal = await call_center.appeal(number)
    assert (appeal.outcome, list(appeal.urgent)) == (Outcome.TALKED, ["danger"])


async def test_two_stars_while_waiting_lead_to_the_queues_head(
    call_center: CallCenter,
) -> None:
    first, second, third = "+77010004003", "+77010004004", "+77010004013"
    async with (
        call_center.consultant("201") as consultant,
        call_center.caller(first) as talking,
        call_center.caller(second) as early,
        call_center.caller(third) as late,
    ):
        await talking.press("0")
        engaged = await consultant.next_call()
        await engaged.answer()
        await call_center.hears_something(engaged)
        await early.press("11")
        await call_center.hears(early, "kk", "connecting")
        await late.press("11")
        await call_center.hears(late, "kk", "connecting")
        await late.press("**")
        await call_center.hears(late, "kk", "danger_words")
        await engaged.hang_up()
        leg = await consultant.next_call()
        assert "111 kk DANGER" in shown(leg)
        await call_center.talk_shortly(leg)
        await late.ended()
        await call_center.talk_shortly(await consultant.next_call())
        await early.ended()
    assert list((await call_center.appeal(third)).urgent) == ["danger"]
    assert list((await call_center.appeal(second)).urgent) == []


async def test_two_stars_on_the_way_to_1414_reach_a_consultant(call_center: CallCenter) -> None:
    number = "+77010004005"
    async with (
        call_center.unified_center() as center,
        call_center.consultant("201") as consultant,
        call_center.caller(number) as caller,
    ):
        await caller.press("13")
        ringing = await center.next_call()
        await caller.press("**")
        leg = await consultant.next_call()
        await ringing.ended()
        await call_center.talk_shortly(leg)
        await caller.ended()
    appeal = await call_center.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    assert CallEvent.REDIRECTED not in await call_center.moments(appeal)


async def test_two_stars_in_the_conversation_mark_the_appeal(call_center: CallCenter) -> None:
    number = "+77010004006"
    async with call_center.consultant("201") as consultant, call_center.caller(number) as caller:
        await caller.press("0")
        leg = await consultant.next_call()
        assert "DANGER" not in shown(leg)
        await leg.answer()
        await call_center.hears_something(leg)
        await caller.press("7**")
        await caller.press("1", gap=0.3)
        await leg.hang_up()
        await caller.ended()
    appeal = await call_center.appeal(number)
    assert list(appeal.urgent) == ["danger"]
    # Keys of a caller whose call is not urgent are nobody's business.
    assert await keys(call_center, number) == ["1"]


async def test_a_flood_of_keys_leaves_few_on_the_appeal(call_center: CallCenter) -> None:
    number = "+77010004007"
    async with call_center.consultant("201") as consultant, call_center.caller(number) as caller:
        await caller.press("5")
        leg = await consultant.next_call()
        await leg.answer()
        await call_center.hears_something(leg)
        began = time.monotonic()
        for _ in range(6):
            await caller.press("12345", how="info", gap=0)
        took = time.monotonic() - began
        await leg.hang_up()
        await caller.ended()
    await call_center.appeal(number)
    stored = len(await keys(call_center, number))
    assert 0 < stored <= KEYS_PER_SECOND * (took + 1)


async def test_a_blocked_caller_hears_so_is_counted_and_never_connected(
    call_center: CallCenter,
) -> None:
    number = "+77010004008"
    async with call_center.consultant("201") as consultant, blocked(call_center, number):
        async with call_center.caller(number) as caller:
            await call_center.hears(caller, "kk", "blocked")
            await caller.press("0")
            await call_center.hears(caller, "ru", "blocked")
            await caller.press("5")
            await caller.ended()
        with pytest.raises(TimeoutError):
            await consultant.next_call(0.5)
    appeal = await call_center.appeal(number)
    assert appeal.outcome == Outcome.BLOCKED
    assert appeal.language is None
    assert await call_center.recordings(appeal) == []
    assert await call_center.moments(appeal) == kinds(
        CallEvent.RECEIVED, CallEvent.ANSWERED, CallEvent.BLOCKED, CallEvent.ENDED
    )
    async with call_center.consultant("201") as consultant, call_center.caller(number) as caller:
        await caller.press("0")
        await call_center.talk_shortly(await consultant.next_call())
        await caller.ended()
    assert (await call_center.appeal(number)).outcome == Outcome.TALKED


async def test_after_the_end_of_a_block_the_caller_comes_through(call_center: CallCenter) -> None:
    number = "+77010004018"
    async with blocked(call_center, number) as block:
        async with unit_of_work(call_center.engine) as connection:
            await connection.exec_driver_sql(
                "UPDATE blocked_number SET until = now() + interval '1 second' WHERE id = %s",
                (block.id,),
            )
            await notify(connection, blocks.CHANNEL)
        await knows(call_center, number, blocked=False)
        async with (
            call_center.consultant("201") as consultant,
            call_center.caller(number) as caller,
        ):
            await caller.press("0")
            leg = await consultant.next_call()
            assert "BLOCKED" not in shown(leg)
            await call_center.talk_shortly(leg)
            await caller.ended()
    assert (await call_center.appeal(number)).outcome == Outcome.TALKED


@pytest.mark.parametrize("pressed", ["8", "**"])
async def test_a_blocked_caller_in_danger_is_connected(
    call_center: CallCenter, pressed: str
) -> None:
    number = f"+770100040{9 + len(pressed):02}"
    async with (
        call_center.consultant("201") as consultant,
        blocked(call_center, number),
        call_center.caller(number) as caller,
    ):
        await call_center.hears(caller, "kk", "blocked")
        await caller.press(pressed)
        leg = await consultant.next_call()
        assert "111 kk DANGER BLOCKED" in shown(leg)
        await call_center.talk_shortly(leg)
        await caller.ended()
    appeal = await call_center.appeal(number)
    assert (appeal.outcome, list(appeal.urgent)) == (Outcome.TALKED, ["danger"])
    assert CallEvent.BLOCKED in await call_center.moments(appeal)


async def test_a_blocked_caller_who_hangs_up_counts_as_blocked(
    call_center: CallCenter,
) -> None:
    number = "+77010004012"
    async with blocked(call_center, number), call_center.caller(number) as caller:
        await call_center.hears(caller, "kk", "blocked")
    assert (await call_center.appeal(number)).outcome == Outcome.BLOCKED
