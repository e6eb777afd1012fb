"""Every way a call can end, on the real Asterisk with real telephones (R1, R2, R15, R17, R25)."""

import asyncio
from typing import Any

import pytest

from callcenter.appeals.store import AppealRow
from callcenter.asterisk.ari import Unreachable
from callcenter.asterisk.names import CALLED
from callcenter.asterisk.strays import EVERY
from callcenter.demo.sound import is_silent, loudness
from callcenter.line.outcomes import Moment, Outcome
from tests.calls.house import CALLER_TONE, CONSULTANT_TONE, House, kinds, until
from tests.calls.stalls import Stalls

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_russian_caller_talks_with_a_consultant_and_both_are_recorded_apart(
    house: House,
) -> None:
    async with (
        house.consultant("202") as consultant,
        house.caller("+77010000001") as caller,
        Stalls() as stalls,
    ):
        await house.hears(caller, "kk", "greeting")
        await caller.press("2")
        await house.hears(caller, "ru", "emergency_hint")
        await caller.press("1")
        leg = await consultant.next_call()
        assert leg.invite is not None
        assert "111 ru" in leg.invite.need("From")
        await leg.answer()
        caller.send_tone(CALLER_TONE)
        leg.send_tone(CONSULTANT_TONE)
        await asyncio.sleep(1.5)
        await leg.hang_up()
        await house.hears(caller, "ru", "goodbye")
        await caller.ended()

    appeal = await house.appeal("+77010000001")
    assert appeal.outcome == Outcome.TALKED
    assert appeal.language == "ru"
    assert appeal.caller_kind == "number"
    assert appeal.consultant_extension == "202"
    seen = await house.moments(appeal)
    assert seen == kinds(
        Moment.RECEIVED,
        Moment.ANSWERED,
        Moment.GREETING,
        Moment.LANGUAGE,
        Moment.NOTICE,
        Moment.MENU,
        Moment.CHOICE,
        Moment.WAITING,
        Moment.RINGING,
        Moment.CONNECTED,
        Moment.RECORDING_STARTED,
        Moment.RECORDING_STOPPED,
        Moment.ENDED,
    )
    assert (await house.events(appeal))[-1].detail == {
        "outcome": Outcome.TALKED,
        "hung_up": "consultant",
    }
    (recording,) = await house.recordings(appeal)
    left, right = house.recorded(recording)
    middle = slice(len(left) // 3, 2 * len(left) // 3)
    assert loudness(left[middle], CALLER_TONE) > -30
    assert loudness(left[middle], CONSULTANT_TONE) < -60
    assert loudness(right[middle], CONSULTANT_TONE) > -30
    assert loudness(right[middle], CALLER_TONE) < -60
    events = {event.kind: event.at for event in await house.events(appeal)}
    talked = (events["recording_stopped"] - events["connected"]).total_seconds()
    assert abs(len(left) / 8000 - talked) < 0.1 + stalls.longest
    # What each heard is the other, and not themselves.
    assert loudness(caller.heard.pcm(), CONSULTANT_TONE) > -40
    assert not is_silent(leg.heard.pcm())


async def test_the_caller_ends_the_talk(house: House) -> None:
    async with house.consultant("201") as consultant, house.caller("+77010000002") as caller:
        await caller.press("0")
        leg = await consultant.next_call()
        await leg.answer()
        await house.hears_something(leg)
        await caller.hang_up()
        await leg.ended()
    appeal = await house.appeal("+77010000002")
    assert appeal.outcome == Outcome.TALKED
    assert appeal.language == "kk"
    assert (await house.events(appeal))[-1].detail == {"outcome": Outcome.TALKED}
    (recording,) = await house.recordings(appeal)
    assert recording.ended_at is not None


async def test_hung_up_in_the_greeting(house: House) -> None:
    async with house.caller("+77010000003") as caller:
        await house.hears(caller, "kk", "greeting")
    assert (await house.appeal("+77010000003")).outcome == Outcome.LEFT_IN_GREETING


async def test_hung_up_in_the_menu(house: House) -> None:
    async with house.caller("+77010000004") as caller:
        await caller.press("1")
        await house.hears(caller, "kk", "emergency_hint")
    appeal = await house.appeal("+77010000004")
    assert appeal.outcome == Outcome.LEFT_IN_MENU
    assert appeal.language == "kk"


async def test_hung_up_waiting_with_music(house: House) -> None:
    async with house.paused_consultant("202"):
        async with house.caller("+77010000005") as caller:
            await caller.press("21")
            await house.hears(caller, "ru", "connecting")
            await house.hears(caller, "ru", "recording_notice")
            await house.hears(caller, "ru", "queue_hold")
        appeal = await house.appeal("+77010000005")
    assert appeal.outcome == Outcome.LEFT_WAITING
    assert Moment.RINGING not in await house.moments(appeal)


async def test_a_consultant_whom_the_switch_was_not_asked_to_hang_up_is_not_left_on_the_line(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every goodbye to a leg that we called is lost for a while, as on a machine that stalls."""
    lost: list[str] = []
    for controller in house.controllers:
        ari = controller.channels.ari

        async def request(
            method: str, path: str, *rest: object, ask: Any = ari.request, **more: object
        ) -> object:
            if method == "DELETE" and path.startswith(f"channels/{CALLED}") and path not in lost:
                lost.append(path)
                raise Unreachable("no answer")
            return await ask(method, path, *rest, **more)

        monkeypatch.setattr(ari, "request", request)
    async with house.consultant("201") as consultant, house.caller("+77010000021") as caller:
        await caller.press("0")
        leg = await consultant.next_call()
        await leg.answer()
        await house.hears_something(leg)
        await caller.hang_up()
        await leg.ended(3 * EVERY)
    assert len(lost) == 1
    assert (await house.appeal("+77010000021")).outcome == Outcome.TALKED


async def test_hung_up_while_a_consultant_rings(house: House) -> None:
    async with house.consultant("201") as consultant, house.caller("+77010000006") as caller:
        await caller.press("11")
        leg = await consultant.next_call()
        await caller.hang_up()
        await leg.ended()
    assert (await house.appeal("+77010000006")).outcome == Outcome.LEFT_RINGING


async def test_a_consultant_who_does_not_answer_is_followed_by_the_next(house: House) -> None:
    async with (
        house.consultant("201") as first,
        house.consultant("204") as second,
        house.caller("+77010000007") as caller,
    ):
        await caller.press("11")
        missed = await first.next_call()
        leg = await second.next_call()
        await missed.ended()
        await house.talk_shortly(leg)
        await caller.ended()
    appeal = await house.appeal("+77010000007")
    assert appeal.outcome == Outcome.TALKED
    assert appeal.consultant_extension == "204"
    why = [e.detail for e in await house.events(appeal) if e.kind == Moment.UNANSWERED]
    assert why == [{"consultant": "201", "why": "no_answer"}]


async def test_a_consultant_who_refuses_is_followed_by_the_next(house: House) -> None:
    async with (
        house.consultant("201") as first,
        house.consultant("204") as second,
        house.caller("+77010000008") as caller,
    ):
        await caller.press("11")
        await (await first.next_call()).reject(486)
        leg = await second.next_call()
        await house.talk_shortly(leg)
        await caller.ended()
    why = [
        e.detail
        for e in await house.events(await house.appeal("+77010000008"))
        if e.kind == Moment.UNANSWERED
    ]
    assert why == [{"consultant": "201", "why": "busy"}]


async def test_only_a_consultant_who_speaks_the_language_is_rung(house: House) -> None:
    async with house.consultant("202") as russian, house.caller("+77010000009") as caller:
        await caller.press("11")
        await house.hears(caller, "kk", "nobody_speaks_kk")
        with pytest.raises(TimeoutError):
            await russian.next_call(1.0)
    assert (await house.appeal("+77010000009")).outcome == Outcome.LEFT_WAITING


async def test_nobody_free_leads_to_1414_with_notice(house: House) -> None:
    async with house.unified_center() as center, house.caller("+77010000010") as caller:
        await caller.press("11")
        leg = await center.next_call(20)
        await house.hears(caller, "kk", "nobody_free")
        await house.talk_shortly(leg)
        await caller.ended()
    assert (await house.appeal("+77010000010")).outcome == Outcome.REDIRECTED


async def test_nobody_free_and_1414_neither(house: House) -> None:
    async with house.unified_center() as center, house.caller("+77010000011") as caller:
        await caller.press("11")
        await (await center.next_call(20)).reject(486)
        await house.hears(caller, "kk", "nobody_reached")
        await caller.ended(30)
    appeal = await house.appeal("+77010000011")
    assert appeal.outcome == Outcome.NOBODY_FREE
    failed = [e.detail for e in await house.events(appeal) if e.kind == Moment.REDIRECT_FAILED]
    assert failed == [{"why": "busy"}]


async def test_the_caller_chooses_1414_and_hears_the_notice_to_its_end(house: House) -> None:
    async with house.unified_center() as center, house.caller("+77010000012") as caller:
        await caller.press("23")
        leg = await center.next_call(20)
        notice = house.prompt("ru", "transfer_ecc")
        await house.hears(caller, "ru", "transfer_ecc")
        events = {e.kind: e.at for e in await house.events(await _live(house, "+77010000012"))}
        played = (events["redirect_notice"] - events["choice"]).total_seconds()
        assert played > len(notice) / 8000 - 0.1
        await leg.answer()
        caller.send_tone(CALLER_TONE)
        await asyncio.sleep(0.5)
        assert loudness(leg.heard.pcm(), CALLER_TONE) > -40
        await caller.hang_up()
        await leg.ended()
    appeal = await house.appeal("+77010000012")
    assert appeal.outcome == Outcome.REDIRECTED
    assert await house.recordings(appeal) == []


@pytest.mark.parametrize("refusal", [486, 603, 503, None])
async def test_when_1414_fails_the_caller_is_told_and_gets_a_consultant(
    house: House, refusal: int | None
) -> None:
    number = f"+7701000002{refusal or 0:03d}"[:12]
    async with (
        house.unified_center() as center,
        house.consultant("201") as consultant,
        house.caller(number) as caller,
    ):
        await caller.press("13")
        ringing = await center.next_call(20)
        if refusal is not None:
            await ringing.reject(refusal)
        await house.hears(caller, "kk", "transfer_failed_back")
        leg = await consultant.next_call(20)
        await house.talk_shortly(leg)
        await caller.ended()
    assert (await house.appeal(number)).outcome == Outcome.TALKED


async def test_the_consultant_redirects_to_1414_and_recording_stops_first(house: House) -> None:
    async with (
        house.unified_center() as center,
        house.consultant("201") as consultant,
        house.caller("+77010000013") as caller,
    ):
        await caller.press("0")
        leg = await consultant.next_call()
        await leg.answer()
        await house.hears_something(leg)
        await leg.press("*14")
        await leg.ended()
        received = await center.next_call(20)
        await house.hears(caller, "kk", "transfer_ecc")
        await received.answer()
        await house.hears_something(received)
        assert house.switch.open_recordings() == []
        await received.hang_up()
        await caller.ended()
    appeal = await house.appeal("+77010000013")
    assert appeal.outcome == Outcome.REDIRECTED
    seen = await house.moments(appeal)
    assert seen.index("recording_stopped") < seen.index("redirect_notice")
    assert seen.index("redirect_notice") < seen.index("redirect_ringing")
    assert seen.index("redirect_ringing") < seen.index("redirected")


async def test_no_key_twice_leads_to_a_consultant_in_kazakh(house: House) -> None:
    async with house.consultant("203") as consultant, house.caller("+77010000014") as caller:
        leg = await consultant.next_call(90)
        await house.hears(caller, "ru", "err_noinput")
        await house.talk_shortly(leg)
        await caller.ended()
    appeal = await house.appeal("+77010000014")
    assert appeal.language == "kk"
    assert appeal.outcome == Outcome.TALKED


async def test_wrong_keys_twice_lead_to_a_consultant_in_kazakh(house: House) -> None:
    async with house.consultant("203") as consultant, house.caller("+77010000015") as caller:
        await caller.press("7")
        await house.hears(caller, "kk", "err_invalid")
        await caller.press("#")
        leg = await consultant.next_call(30)
        await house.talk_shortly(leg)
        await caller.ended()
    assert (await house.appeal("+77010000015")).language == "kk"


async def test_keys_arrive_as_sip_info_too(house: House) -> None:
    async with house.caller("+77010000016") as caller:
        await caller.press("2", how="info")
        await house.hears(caller, "ru", "emergency_hint")
    assert (await house.appeal("+77010000016")).language == "ru"


async def test_a_withheld_number_and_a_name_full_of_syntax_do_not_break_a_call(
    house: House,
) -> None:
    phone = house.phone("anonymous")
    async with phone:
        call = await phone.call("111", headers={"P-Asserted-Identity": '"x\\";,$[" <sip:a@b>'})
        await call.answered()
        await house.hears(call, "kk", "greeting")

    async def ended() -> bool:
        return not any(controller.calls for controller in house.controllers)

    await until(ended, "the call is over")


async def _live(house: House, number: str) -> AppealRow:
    found: list[AppealRow] = []

    async def there() -> bool:
        appeal = await house.live_appeal(number)
        if appeal is not None and "redirect_notice" in await house.moments(appeal):
            found.append(appeal)
        return bool(found)

    await until(there, f"the appeal of {number} tells of the notice")
    return found[0]
