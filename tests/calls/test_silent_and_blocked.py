"""Who cannot speak, who is in danger, and whose number is blocked, on the real Asterisk."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from callcenter.abuse import store as blocks
from callcenter.abuse.blocks import Reason
from callcenter.abuse.store import Block
from callcenter.demo.call import Call
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.urgency import KEYS_A_SECOND
from callcenter.storage.engine import unit_of_work
from tests.calls.house import House, kinds, until
from tests.calls.talking import order

pytestmark = pytest.mark.asyncio(loop_scope="session")


def shown(leg: Call) -> str:
    assert leg.invite is not None
    return leg.invite.need("From")


async def keys(house: House, number: str) -> list[str]:
    appeal = await house.live_appeal(number)
    assert appeal is not None
    return [e.detail["key"] for e in await house.events(appeal) if e.kind == Moment.KEY]


@asynccontextmanager
async def blocked(house: House, number: str) -> AsyncIterator[Block]:
    """The number is blocked, and every controller knows it."""
    async with unit_of_work(house.engine) as connection:
        made = await blocks.block(
            connection,
            number=number,
            length=timedelta(hours=1),
            reason=Reason.PRANKS,
            author="user:somebody",
        )
    await knows(house, number, blocked=True)
    yield made
    async with unit_of_work(house.engine) as connection:
        await blocks.lift(connection, made.id)
    await knows(house, number, blocked=False)


async def knows(house: House, number: str, *, blocked: bool) -> None:
    async def all_know() -> bool:
        return all(each.known.blocklist.blocks(number) == blocked for each in house.controllers)

    await until(all_know, f"every controller knows that blocked is {blocked}")


async def test_who_cannot_speak_skips_the_menus_and_answers_by_key(house: House) -> None:
    number = "+77010004001"
    async with house.consultant("201") as consultant, house.caller(number) as caller:
        await house.hears(caller, "kk", "greeting")
        await caller.press("5")
        leg = await consultant.next_call()
        assert "111 kk SILENT" in shown(leg)
        await house.hears(caller, "kk", "silent_words")
        await leg.answer()
        await house.hears_something(leg)
        await caller.press("1", gap=0.3)
        await caller.press("2", how="info", gap=0.3)

        async def kept() -> bool:
            return await keys(house, number) == ["1", "2"]

        await until(kept, "the keys are on the appeal while the two talk")
        told = await order(house, "201", "status")
        assert (told["urgent"], told["keys"]) == ("silent", "1 2")
        live = await house.live_appeal(number)
        assert live is not None
        assert list(live.urgent) == ["silent"]
        assert live.outcome is None
        await leg.hang_up()
        await house.hears(caller, "kk", "goodbye")
        await caller.ended()
    appeal = await house.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    seen = await house.moments(appeal)
    assert seen[:5] == kinds(
        Moment.RECEIVED, Moment.ANSWERED, Moment.GREETING, Moment.URGENT, Moment.LANGUAGE
    )
    assert Moment.MENU not in seen


async def test_danger_in_the_menu_keeps_the_language(house: House) -> None:
    number = "+77010004002"
    async with house.consultant("202") as consultant, house.caller(number) as caller:
        await caller.press("28")
        leg = await consultant.next_call()
        assert "111 ru DANGER" in shown(leg)
        await house.hears(caller, "ru", "danger_words")
        await house.talk_shortly(leg)
        await caller.ended()
    appeal = await house.appeal(number)
    assert (appeal.outcome, list(appeal.urgent)) == (Outcome.TALKED, ["danger"])


async def test_two_stars_while_waiting_lead_to_the_head_of_the_queue(house: House) -> None:
    first, second, third = "+77010004003", "+77010004004", "+77010004013"
    async with (
        house.consultant("201") as consultant,
        house.caller(first) as talking,
        house.caller(second) as early,
        house.caller(third) as late,
    ):
        await talking.press("0")
        engaged = await consultant.next_call()
        await engaged.answer()
        await house.hears_something(engaged)
        await early.press("11")
        await house.hears(early, "kk", "connecting")
        await late.press("11")
        await house.hears(late, "kk", "connecting")
        await late.press("**")
        await house.hears(late, "kk", "danger_words")
        await engaged.hang_up()
        leg = await consultant.next_call()
        assert "111 kk DANGER" in shown(leg)
        await house.talk_shortly(leg)
        await late.ended()
        await house.talk_shortly(await consultant.next_call())
        await early.ended()
    assert list((await house.appeal(third)).urgent) == ["danger"]
    assert list((await house.appeal(second)).urgent) == []


async def test_two_stars_on_the_way_to_1414_lead_to_a_consultant(house: House) -> None:
    number = "+77010004005"
    async with (
        house.unified_center() as center,
        house.consultant("201") as consultant,
        house.caller(number) as caller,
    ):
        await caller.press("13")
        ringing = await center.next_call()
        await caller.press("**")
        leg = await consultant.next_call()
        await ringing.ended()
        await house.talk_shortly(leg)
        await caller.ended()
    appeal = await house.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    assert Moment.REDIRECTED not in await house.moments(appeal)


async def test_two_stars_in_the_conversation_mark_the_appeal(house: House) -> None:
    number = "+77010004006"
    async with house.consultant("201") as consultant, house.caller(number) as caller:
        await caller.press("0")
        leg = await consultant.next_call()
        assert "DANGER" not in shown(leg)
        await leg.answer()
        await house.hears_something(leg)
        await caller.press("7**")
        await caller.press("1", gap=0.3)
        await leg.hang_up()
        await caller.ended()
    appeal = await house.appeal(number)
    assert list(appeal.urgent) == ["danger"]
    # Keys of a caller whose call is not urgent are nobody's business.
    assert await keys(house, number) == ["1"]


async def test_a_flood_of_keys_leaves_few_on_the_appeal(house: House) -> None:
    number = "+77010004007"
    async with house.consultant("201") as consultant, house.caller(number) as caller:
        await caller.press("5")
        leg = await consultant.next_call()
        await leg.answer()
        await house.hears_something(leg)
        began = time.monotonic()
        for _ in range(6):
            await caller.press("12345", how="info", gap=0)
        took = time.monotonic() - began
        await leg.hang_up()
        await caller.ended()
    await house.appeal(number)
    kept = len(await keys(house, number))
    assert 0 < kept <= KEYS_A_SECOND * (took + 1)


async def test_a_blocked_caller_hears_so_is_counted_and_never_connected(house: House) -> None:
    number = "+77010004008"
    async with house.consultant("201") as consultant, blocked(house, number):
        async with house.caller(number) as caller:
            await house.hears(caller, "kk", "blocked")
            await caller.press("0")
            await house.hears(caller, "ru", "blocked")
            await caller.press("5")
            await caller.ended()
        with pytest.raises(TimeoutError):
            await consultant.next_call(0.5)
    appeal = await house.appeal(number)
    assert appeal.outcome == Outcome.BLOCKED
    assert appeal.language is None
    assert await house.recordings(appeal) == []
    assert await house.moments(appeal) == kinds(
        Moment.RECEIVED, Moment.ANSWERED, Moment.BLOCKED, Moment.ENDED
    )
    async with house.consultant("201") as consultant, house.caller(number) as caller:
        await caller.press("0")
        await house.talk_shortly(await consultant.next_call())
        await caller.ended()
    assert (await house.appeal(number)).outcome == Outcome.TALKED


async def test_after_the_end_of_a_block_the_caller_comes_through(house: House) -> None:
    number = "+77010004018"
    async with blocked(house, number) as block:
        async with unit_of_work(house.engine) as connection:
            await connection.exec_driver_sql(
                "UPDATE blocked_number SET until = now() + interval '1 second' WHERE id = %s",
                (block.id,),
            )
        await knows(house, number, blocked=False)
        async with house.consultant("201") as consultant, house.caller(number) as caller:
            await caller.press("0")
            leg = await consultant.next_call()
            assert "BLOCKED" not in shown(leg)
            await house.talk_shortly(leg)
            await caller.ended()
    assert (await house.appeal(number)).outcome == Outcome.TALKED


@pytest.mark.parametrize("pressed", ["8", "**"])
async def test_a_blocked_caller_in_danger_is_connected(house: House, pressed: str) -> None:
    number = f"+770100040{9 + len(pressed):02}"
    async with (
        house.consultant("201") as consultant,
        blocked(house, number),
        house.caller(number) as caller,
    ):
        await house.hears(caller, "kk", "blocked")
        await caller.press(pressed)
        leg = await consultant.next_call()
        assert "111 kk DANGER BLOCKED" in shown(leg)
        await house.talk_shortly(leg)
        await caller.ended()
    appeal = await house.appeal(number)
    assert (appeal.outcome, list(appeal.urgent)) == (Outcome.TALKED, ["danger"])
    assert Moment.BLOCKED in await house.moments(appeal)


async def test_a_blocked_caller_who_hangs_up_at_once_is_counted_as_blocked(house: House) -> None:
    number = "+77010004012"
    async with blocked(house, number), house.caller(number) as caller:
        await house.hears(caller, "kk", "blocked")
    assert (await house.appeal(number)).outcome == Outcome.BLOCKED
