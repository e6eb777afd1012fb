"""The telephone against a real Asterisk."""

import asyncio
import time

import pytest

from callcenter.platform.core.errors import InvalidRequest
from callcenter.sipphone import audio
from callcenter.sipphone.errors import CallOver, Refused
from callcenter.sipphone.phone import Phone
from tests.polling import until
from tests.sipphone.exchange import PASSWORD, Exchange, melody
from tests.sipphone.telephones import consultants_phone, hears

# --- a call of ours ---


@pytest.mark.parametrize("codec", ["PCMA", "PCMU"])
@pytest.mark.parametrize("with_offer", [True, False])
async def test_own_tone_comes_back_from_an_echo(
    switch: Exchange, codec: audio.Codec, with_offer: bool
) -> None:
    async with Phone(server=switch.server, codecs=[codec]) as phone:
        call = await phone.call("echo", sdp=with_offer)
        await call.answered()
        call.send_tone(440)
        await hears(call, 440)
        call.send_tone(1250)
        await hears(call, 1250)
        call.send_silence()
        await until(lambda: audio.is_silent(call.heard.pcm()[-4000:]), "silence is heard")
        await call.hang_up()
    order = ["invite_sent", "trying", "answered", "first_rtp", "bye_sent", "ended"]
    assert sorted(order, key=call.moments.__getitem__) == order
    assert (call.ended_by, call.ended_reason) == ("us", "BYE")


async def test_a_telephone_that_stops_sending_hears_no_echo(caller: Phone) -> None:
    call = await caller.call("echo")
    await call.answered()
    await until(lambda: len(call.heard.packets) > 10, "the echo of silence")
    call.stop_sending()
    await until(lambda: time.monotonic() - (call.heard.last_packet_at or 0) > 0.3, "no more")
    call.send_tone(600)
    await hears(call, 600)
    assert call.heard.longest_gap() > 0.25


async def test_what_was_played_is_recognised_whole_and_nothing_else_is(caller: Phone) -> None:
    call = await caller.call("play")
    await call.answered()
    await until(lambda: len(call.heard.joined()) >= 8000 * 3, "three seconds are heard")
    assert audio.resembles(call.heard.joined(), melody(), seconds=None) > 0.99
    assert audio.resembles(call.heard.joined(), melody()[::-1].copy()) < 0.5


async def test_sound_before_the_answer_is_heard(caller: Phone) -> None:
    call = await caller.call("early")
    await call.answered()
    assert call.moments["answered"] - call.moments["first_rtp"] > 2.5
    assert audio.resembles(call.heard.joined(), melody(), seconds=None) > 0.99


@pytest.mark.parametrize(("number", "status"), [("busy", 486), ("nonesuch", 404)])
async def test_a_refused_call_tells_its_status(caller: Phone, number: str, status: int) -> None:
    call = await caller.call(number)
    with pytest.raises(Refused) as caught:
        await call.answered()
    assert (caught.value.method, caught.value.status) == ("INVITE", status)
    assert call.is_over
    assert call.ended_by == "them"
    assert "refused" in call.moments


async def test_the_switch_hangs_up(caller: Phone) -> None:
    call = await caller.call("brief")
    await call.answered()
    await call.ended()
    assert call.ended_by == "them"
    assert call.ended_reason is not None
    assert "cause=16" in call.ended_reason
    with pytest.raises(CallOver):
        await call.press("1")
    await call.hang_up()


async def test_own_names_and_headers_reach_the_other_side(
    switch: Exchange, consultant: Phone
) -> None:
    identity = {"P-Asserted-Identity": '"Айгүл" <sip:+77079999999@operator>'}
    async with Phone(server=switch.server, display_name="x") as caller:
        await caller.call("consultant", headers=identity)
        call = await consultant.next_call()
        assert call.invite is not None
        assert call.invite.need("From").startswith('"Айгүл" <sip:+77079999999@')


async def test_a_header_with_a_line_break_is_refused(caller: Phone) -> None:
    call = await caller.call("echo", headers={"X-Note": "a\r\nb"})
    with pytest.raises(InvalidRequest, match="X-Note"):
        await call.answered()
    assert call.ended_by == "us"


# --- keys ---


async def test_keys_pressed_in_both_ways_are_read_by_the_switch(switch: Exchange) -> None:
    async with Phone(server=switch.server, user="+77010000001") as phone:
        call = await phone.call("read")
        await call.answered()
        await call.press("12#3")
        await call.press("*9", how="info")
        await call.press("00", gap=0.06)
        await call.ended()
    assert "KEYS_+77010000001=12#3*900" in switch.cli("dialplan show globals")


async def test_keys_that_the_switch_sends_are_heard(caller: Phone) -> None:
    call = await caller.call("dial-keys")
    await call.answered()
    await until(lambda: call.heard.keys == "15#*9", "all keys are heard")


async def test_invalid_keys_and_keys_before_answer_are_refused(caller: Phone) -> None:
    call = await caller.call("ring")
    with pytest.raises(InvalidRequest, match="no key"):
        await call.press("1x")
    with pytest.raises(InvalidRequest, match="not answered"):
        await call.press("1")


# --- cancelling, holding ---


async def test_a_ringing_call_is_cancelled(caller: Phone) -> None:
    call = await caller.call("ring")
    await call.ringing()
    await call.cancel()
    assert call.ended_by == "us"
    with pytest.raises(Refused, match="487"):
        await call.answered()


async def test_a_call_is_cancelled_while_it_is_placed(caller: Phone) -> None:
    for number in ("ring", "echo"):
        call = await caller.call(number)
        await call.cancel()
        assert call.ended_by == "us"


async def test_a_limited_wait_leaves_the_call_as_it_is(caller: Phone) -> None:
    call = await caller.call("ring")
    with pytest.raises(TimeoutError, match=r"not answered within 0\.1 s"):
        await call.answered(0.1)
    with pytest.raises(TimeoutError, match=r"did not end within 0\.1 s"):
        await call.ended(0.1)
    with pytest.raises(TimeoutError, match="no call came in"):
        await caller.next_call(0.1)
    await call.hang_up()
    assert call.ended_by == "us"


async def test_a_held_call_is_silent_until_it_is_resumed(caller: Phone) -> None:
    call = await caller.call("echo")
    await call.answered()
    call.send_tone(440)
    await hears(call, 440)
    await call.hold()
    await until(
        lambda: time.monotonic() - (call.heard.last_packet_at or 0) > 0.3, "nothing is sent to us"
    )
    await call.resume()
    await hears(call, 440)
    assert call.moments["held"] < call.moments["resumed"]


# --- a call to us ---


async def test_two_telephones_talk(caller: Phone, consultant: Phone) -> None:
    ours = await caller.call("consultant")
    theirs = await consultant.next_call()
    await ours.ringing()
    await theirs.answer()
    await ours.answered()
    ours.send_tone(500)
    theirs.send_tone(900)
    await hears(ours, 900)
    await hears(theirs, 500)
    await theirs.hang_up()
    await ours.ended()
    assert (ours.ended_by, theirs.ended_by) == ("them", "us")
    order = ["invite_received", "answered_sent", "acknowledged", "bye_sent"]
    assert sorted(order, key=theirs.moments.__getitem__) == order


async def test_a_call_originated_by_the_switch_is_answered(
    switch: Exchange, consultant: Phone
) -> None:
    await asyncio.to_thread(
        switch.cli, f"channel originate PJSIP/201 application Playback {switch.folder}/melody"
    )
    call = await consultant.next_call()
    await call.answer()
    await call.ended()
    assert call.ended_by == "them"
    assert audio.resembles(call.heard.joined(), melody(), seconds=None) > 0.98


async def test_a_rejected_call_tells_the_caller_why(caller: Phone, consultant: Phone) -> None:
    ours = await caller.call("consultant")
    theirs = await consultant.next_call()
    await theirs.reject(486)
    with pytest.raises(Refused, match="486"):
        await ours.answered()
    assert theirs.ended_by == "us"
    with pytest.raises(CallOver):
        await theirs.answer()


async def test_hanging_up_what_rings_rejects_it(caller: Phone, consultant: Phone) -> None:
    ours = await caller.call("consultant")
    theirs = await consultant.next_call()
    await theirs.hang_up()
    with pytest.raises(Refused):
        await ours.answered()


async def test_the_called_side_sees_that_the_caller_gave_up(
    caller: Phone, consultant: Phone
) -> None:
    ours = await caller.call("consultant")
    theirs = await consultant.next_call()
    await ours.cancel()
    await theirs.ended()
    assert theirs.ended_by == "them"
    assert "cancel_received" in theirs.moments


async def test_a_telephone_may_keep_from_ringing(switch: Exchange, caller: Phone) -> None:
    async with consultants_phone(switch, rings=False) as phone:
        await phone.register()
        ours = await caller.call("consultant")
        theirs = await phone.next_call()
        with pytest.raises(TimeoutError, match="did not ring"):
            await ours.ringing(0.3)
        await theirs.answer()
        await ours.answered()


async def test_a_call_without_a_codec_in_common_is_refused(switch: Exchange, caller: Phone) -> None:
    async with Phone(
        address="127.0.0.4", server=switch.server, user="201", password=PASSWORD, codecs=[]
    ) as deaf:
        await deaf.register()
        call = await caller.call("consultant")
        with pytest.raises(Refused):
            await call.answered()
