"""Hostile SIP is refused or ignored, and never stops the next caller (item 15)."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from callcenter.platform.core.settings import Settings
from callcenter.sipphone.phone import Phone
from tests.asterisk import hostile
from tests.asterisk.switch import OPERATOR, PASSWORD, STRANGER, Switch, account, with_free_ports
from tests.polling import until
from tests.seeds import SeededRandom


@pytest.fixture
async def switch(settings: Settings) -> AsyncIterator[Switch]:
    """A switch without controllers, whose fallback answers at once.

    When the test is over it must be the same process, and serve the next caller.
    """
    quick = with_free_ports(settings, claim_timeout=0.05)
    async with Switch(quick, [account("1001", PASSWORD)]) as running:
        before = running.pid
        yield running
        async with Phone(server=running.sip) as next_caller:
            call = await next_caller.call("111")
            await call.answered(5)
            await call.hang_up()
        assert running.is_running
        assert running.pid == before


async def calls_processed(switch: Switch) -> int:
    last = (await switch.cli("core show channels count")).strip().splitlines()[-1]
    return int(last.split()[0])


async def test_each_malformed_invite_is_answered_as_the_table_says(switch: Switch) -> None:
    expected = {name: status for name, (status, _) in hostile.MALFORMED.items()}
    assert await hostile.malformed_invites(switch.sip) == expected
    assert await calls_processed(switch) == 0


async def test_what_is_discarded_is_logged_without_its_text(switch: Switch) -> None:
    await hostile.malformed_invites(switch.sip)
    unreadable = len(hostile.UNREADABLE)
    await until(
        lambda: switch.log().count("Dropping") >= unreadable, "what is unreadable is logged"
    )
    log = switch.log() + switch.output()
    assert switch.log().count("Dropping") == unreadable
    assert "+77010000000" not in log, "of an operator's call no number is logged"
    assert "m=audio" not in log


async def test_an_odd_or_oversized_invite_is_served_all_the_same(
    switch: Switch,
) -> None:
    statuses = {
        name: await hostile.invite(switch.sip, mangle=mangle)
        for name, mangle in hostile.ODD.items()
    }
    assert statuses == dict.fromkeys(hostile.ODD, 200)


async def test_of_text_beside_sound_the_sound_alone_is_taken(switch: Switch) -> None:
    ports = await hostile.invite_with_text(switch.sip)
    assert ports[b"audio"] > 0
    assert ports == {b"audio": ports[b"audio"], b"text": 0}


@pytest.mark.parametrize("address", [OPERATOR, STRANGER])
async def test_garbage_is_ignored(switch: Switch, address: str) -> None:
    seed = SeededRandom(111)
    datagrams = [seed.randbytes(seed.randrange(1, 1400)) for _ in range(200)]
    datagrams += [b"\r\n\r\n", b"\0", b"GET / HTTP/1.1\r\n\r\n", b"INVITE sip:111 SIP/2.0\r\n\r\n"]
    assert await hostile.garbage(switch.sip, datagrams, address=address) is None
    assert await calls_processed(switch) == 0


async def test_unknown_codecs_are_refused_at_first_and_later(switch: Switch) -> None:
    assert await hostile.invite_with_unknown_codecs(switch.sip) == 488
    assert await hostile.reinvite_with_unknown_codecs(switch.sip) == 488


async def test_an_invite_that_came_on_two_ways_is_one_call(switch: Switch) -> None:
    assert await hostile.merged_invite(switch.sip) == {True: 200, False: 482}


async def test_a_call_without_an_offer_is_answered_with_one(switch: Switch) -> None:
    assert await hostile.invite_with_late_offer(switch.sip) == 200
    assert await hostile.invite_without_any_description(switch.sip) == 200


async def test_strangers_get_no_call_or_account_and_are_logged(switch: Switch) -> None:
    assert await hostile.stranger_calls(switch.sip) == 401
    assert await hostile.stranger_registers(switch.sip) == 401
    assert await hostile.stranger_registers(switch.sip, "nobody") == 401
    # The trunk's own way in, used by somebody else.
    assert await hostile.invite(switch.sip, address=STRANGER) == 401
    assert await calls_processed(switch) == 0
    said = ("ChallengeResponseFailed", "InvalidAccountID", f"/{STRANGER}/")

    def is_logged() -> bool:
        log = switch.log("security.log")
        return all(each in log for each in said)

    await until(is_logged, "each of them is in the log")


async def test_nothing_but_111_can_be_called(switch: Switch) -> None:
    numbers = [
        "112",
        "1111",
        "11",
        "1001",
        "s",
        "h",
        "fallback",
        "%24%7BEXTEN%7D",
        "*",
        "+77070000000",
    ]
    statuses = {number: await hostile.invite(switch.sip, number=number) for number in numbers}
    assert {number for number, status in statuses.items() if status not in (404, 484)} == set()
    assert await calls_processed(switch) == 0


@pytest.mark.alone
async def test_a_hundred_strangers_do_not_keep_a_caller_out(switch: Switch) -> None:
    async with Phone(server=switch.sip) as caller:
        flood = [hostile.stranger_calls(switch.sip) for _ in range(100)]
        strangers = asyncio.gather(*flood)
        call = await caller.call("111")
        await call.answered()
        await call.hang_up()
        assert set(await strangers) == {401}


async def test_fifty_callers_at_once_are_all_answered(switch: Switch) -> None:
    async with Phone(server=switch.sip) as callers:
        calls = [await callers.call("111") for _ in range(50)]
        await asyncio.gather(*(call.answered(20) for call in calls))
        await asyncio.gather(*(call.hang_up() for call in calls))


async def test_a_caller_who_holds_and_resumes_quickly_keeps_the_call(
    switch: Switch,
) -> None:
    async with Phone(server=switch.sip) as caller:
        call = await caller.call("111")
        await call.answered()
        for _ in range(10):
            await call.hold()
            await call.resume()
        assert not call.is_over


@pytest.mark.parametrize("claim_timeout", [0.05, 30], ids=["falling back", "offered"])
async def test_a_caller_may_cancel_at_any_moment(settings: Settings, claim_timeout: float) -> None:
    quick = with_free_ports(settings, claim_timeout=claim_timeout)
    async with Switch(quick) as switch, Phone(server=switch.sip) as caller:
        for delay in (0, 0.01, 0.03, 0.05, 0.06, 0.1):
            call = await caller.call("111")
            await until(lambda: "trying" in call.moments, "the switch knows of the call")  # noqa: B023
            await asyncio.sleep(delay)
            await call.hang_up()
            assert call.ended_by == "us"
