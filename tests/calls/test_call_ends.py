"""Every way a call can end, on the real Asterisk with real telephones (R1, R2, R15, R17, R25)."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from callcenter.appeals.calls.store import AppealRow
from callcenter.appeals.calls.tables import appeal
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.sealing.worker import SealingWorker
from callcenter.sipphone.audio import is_silent, loudness
from callcenter.telephony.asterisk.ari import AriUnavailable
from callcenter.telephony.asterisk.cluster.leaked_channels import SCAN_INTERVAL
from callcenter.telephony.asterisk.resource_ids import ORIGINATED_PREFIX
from callcenter.telephony.callers.sealed_numbers.opening import open_number
from callcenter.telephony.callers.sealed_numbers.tables import sealed_number
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.appeals import read_all_rows
from tests.calls.call_center import CALLER_TONE, CONSULTANT_TONE, CallCenter, kinds
from tests.calls.disposable_stack import has_happened
from tests.calls.stall_meter import Stalls
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

WITHHELD = "+77010009917"


async def test_a_russian_caller_and_consultant_are_recorded_apart(
    call_center: CallCenter,
) -> None:
    async with (
        call_center.consultant("202") as consultant,
        call_center.caller("+77010000001") as caller,
        Stalls() as stalls,
    ):
        await call_center.hears(caller, "kk", "greeting")
        await caller.press("2")
        await call_center.hears(caller, "ru", "emergency_hint")
        await caller.press("1")
        leg = await consultant.next_call()
        assert leg.invite is not None
        assert "111 ru" in leg.invite.need("From")
        await leg.answer()
        caller.send_tone(CALLER_TONE)
        leg.send_tone(CONSULTANT_TONE)
        await asyncio.sleep(1.5)
        await leg.hang_up()
        await call_center.hears(caller, "ru", "goodbye")
        await caller.ended()

    appeal = await call_center.appeal("+77010000001")
    assert appeal.outcome == Outcome.TALKED
    assert appeal.language == "ru"
    assert appeal.caller_kind == "number"
    assert appeal.consultant_extension == "202"
    seen = await call_center.moments(appeal)
    assert seen == kinds(
        CallEvent.RECEIVED,
        CallEvent.ANSWERED,
        CallEvent.GREETING,
        CallEvent.LANGUAGE,
        CallEvent.NOTICE,
        CallEvent.MENU,
        CallEvent.CHOICE,
        CallEvent.WAITING,
        CallEvent.RINGING,
        CallEvent.CONNECTED,
        CallEvent.RECORDING_STARTED,
        CallEvent.RECORDING_STOPPED,
        CallEvent.ENDED,
    )
    assert (await call_center.events(appeal))[-1].detail == {
        "outcome": Outcome.TALKED,
        "hung_up": "consultant",
    }
    (recording,) = await call_center.recordings(appeal)
    left, right = call_center.recorded(recording)
    middle = slice(len(left) // 3, 2 * len(left) // 3)
    assert loudness(left[middle], CALLER_TONE) > -30
    assert loudness(left[middle], CONSULTANT_TONE) < -60
    assert loudness(right[middle], CONSULTANT_TONE) > -30
    assert loudness(right[middle], CALLER_TONE) < -60
    events = {event.kind: event.at for event in await call_center.events(appeal)}
    talked = (events["recording_stopped"] - events["connected"]).total_seconds()
    assert abs(len(left) / 8000 - talked) < 0.1 + stalls.longest
    # What each heard is the other, and not themselves.
    assert loudness(caller.heard.pcm(), CONSULTANT_TONE) > -40
    assert not is_silent(leg.heard.pcm())


async def test_the_caller_ends_the_talk(call_center: CallCenter) -> None:
    async with (
        call_center.consultant("201") as consultant,
        call_center.caller("+77010000002") as caller,
    ):
        await caller.press("0")
        leg = await consultant.next_call()
        await leg.answer()
        await call_center.hears_something(leg)
        await caller.hang_up()
        await leg.ended()
    appeal = await call_center.appeal("+77010000002")
    assert appeal.outcome == Outcome.TALKED
    assert appeal.language == "kk"
    assert (await call_center.events(appeal))[-1].detail == {"outcome": Outcome.TALKED}
    (recording,) = await call_center.recordings(appeal)
    assert recording.ended_at is not None


async def test_a_conversation_in_which_neither_side_sends_is_marked(
    call_center: CallCenter,
) -> None:
    number = "+77010000033"
    async with call_center.consultant("201") as consultant, call_center.caller(number) as caller:
        await caller.press("0")
        leg = await consultant.next_call()
        for each in (caller, leg):
            each.stop_sending()
        await leg.answer()
        await has_happened(call_center, number, CallEvent.RECORDING_STARTED)
        await leg.hang_up()
        await caller.ended()
    appeal = await call_center.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    moments = await call_center.moments(appeal)
    assert moments[-3:] == [
        CallEvent.RECORDING_STOPPED,
        CallEvent.RECORDING_EMPTY,
        CallEvent.ENDED,
    ]
    (recording,) = await call_center.recordings(appeal)
    assert (recording.state, recording.fault) == ("empty", None)
    assert recording.ended_at is not None
    file = call_center.settings.spool / recording.spool_name
    assert file.stat().st_size == 0
    await SealingWorker(call_center.settings, call_center.engine).tidy()
    assert not file.exists()


async def test_hung_up_in_the_greeting(call_center: CallCenter) -> None:
    async with call_center.caller("+77010000003") as caller:
        await call_center.hears(caller, "kk", "greeting")
    assert (await call_center.appeal("+77010000003")).outcome == Outcome.LEFT_IN_GREETING


async def test_hung_up_in_the_menu(call_center: CallCenter) -> None:
    async with call_center.caller("+77010000004") as caller:
        await caller.press("1")
        await call_center.hears(caller, "kk", "emergency_hint")
    appeal = await call_center.appeal("+77010000004")
    assert appeal.outcome == Outcome.LEFT_IN_MENU
    assert appeal.language == "kk"


async def test_hung_up_waiting_with_music(call_center: CallCenter) -> None:
    async with call_center.paused_consultant("202"):
        async with call_center.caller("+77010000005") as caller:
            await caller.press("21")
            await call_center.hears(caller, "ru", "connecting")
            await call_center.hears(caller, "ru", "recording_notice")
            await call_center.hears(caller, "ru", "queue_hold")
        appeal = await call_center.appeal("+77010000005")
    assert appeal.outcome == Outcome.LEFT_WAITING
    assert CallEvent.RINGING not in await call_center.moments(appeal)


async def test_no_consultant_stays_on_the_line_after_a_lost_hangup(
    call_center: CallCenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every goodbye to a leg that we called is lost for a while, as on a machine that stalls."""
    lost: list[str] = []
    for controller in call_center.controllers:
        ari = controller.node.ari

        async def request(
            method: str, path: str, *rest: object, ask: Any = ari.request, **more: object
        ) -> object:
            if (
                method == "DELETE"
                and path.startswith(f"channels/{ORIGINATED_PREFIX}")
                and path not in lost
            ):
                lost.append(path)
                raise AriUnavailable("no answer")
            return await ask(method, path, *rest, **more)

        monkeypatch.setattr(ari, "request", request)
    async with (
        call_center.consultant("201") as consultant,
        call_center.caller("+77010000021") as caller,
    ):
        await caller.press("0")
        leg = await consultant.next_call()
        await leg.answer()
        await call_center.hears_something(leg)
        await caller.hang_up()
        await leg.ended(3 * SCAN_INTERVAL)
    assert len(lost) == 1
    assert (await call_center.appeal("+77010000021")).outcome == Outcome.TALKED


async def test_hung_up_while_a_consultant_rings(call_center: CallCenter) -> None:
    async with (
        call_center.consultant("201") as consultant,
        call_center.caller("+77010000006") as caller,
    ):
        await caller.press("11")
        leg = await consultant.next_call()
        await caller.hang_up()
        await leg.ended()
    assert (await call_center.appeal("+77010000006")).outcome == Outcome.LEFT_RINGING


async def test_an_unanswered_consultant_is_followed_by_the_next(
    call_center: CallCenter,
) -> None:
    async with (
        call_center.consultant("201") as first,
        call_center.consultant("204") as second,
        call_center.caller("+77010000007") as caller,
    ):
        await caller.press("11")
        missed = await first.next_call()
        leg = await second.next_call()
        await missed.ended()
        await call_center.talk_shortly(leg)
        await caller.ended()
    appeal = await call_center.appeal("+77010000007")
    assert appeal.outcome == Outcome.TALKED
    assert appeal.consultant_extension == "204"
    why = [e.detail for e in await call_center.events(appeal) if e.kind == CallEvent.UNANSWERED]
    assert why == [{"consultant": "201", "why": "no_answer"}]


async def test_a_consultant_who_refuses_is_followed_by_the_next(call_center: CallCenter) -> None:
    async with (
        call_center.consultant("201") as first,
        call_center.consultant("204") as second,
        call_center.caller("+77010000008") as caller,
    ):
        await caller.press("11")
        await (await first.next_call()).reject(486)
        leg = await second.next_call()
        await call_center.talk_shortly(leg)
        await caller.ended()
    why = [
        e.detail
        for e in await call_center.events(await call_center.appeal("+77010000008"))
        if e.kind == CallEvent.UNANSWERED
    ]
    assert why == [{"consultant": "201", "why": "busy"}]


async def test_only_a_consultant_who_speaks_the_language_is_rung(call_center: CallCenter) -> None:
    async with (
        call_center.consultant("202") as russian,
        call_center.caller("+77010000009") as caller,
    ):
        await caller.press("11")
        await call_center.hears(caller, "kk", "nobody_speaks_kk")
        with pytest.raises(TimeoutError):
            await russian.next_call(1.0)
    assert (await call_center.appeal("+77010000009")).outcome == Outcome.LEFT_WAITING


async def test_nobody_free_leads_to_1414_with_notice(call_center: CallCenter) -> None:
    async with call_center.unified_center() as center, call_center.caller("+77010000010") as caller:
        await caller.press("11")
        leg = await center.next_call(20)
        await call_center.hears(caller, "kk", "nobody_free")
        await call_center.talk_shortly(leg)
        await caller.ended()
    assert (await call_center.appeal("+77010000010")).outcome == Outcome.REDIRECTED


async def test_nobody_free_and_1414_neither(call_center: CallCenter) -> None:
    async with call_center.unified_center() as center, call_center.caller("+77010000011") as caller:
        await caller.press("11")
        await (await center.next_call(20)).reject(486)
        await call_center.hears(caller, "kk", "nobody_reached")
        await caller.ended(30)
    appeal = await call_center.appeal("+77010000011")
    assert appeal.outcome == Outcome.NOBODY_FREE
    failed = [
        e.detail for e in await call_center.events(appeal) if e.kind == CallEvent.REDIRECT_FAILED
    ]
    assert failed == [{"why": "busy"}]


async def test_a_caller_who_chooses_1414_hears_the_whole_notice(
    call_center: CallCenter,
) -> None:
    async with call_center.unified_center() as center, call_center.caller("+77010000012") as caller:
        await caller.press("23")
        leg = await center.next_call(20)
        notice = call_center.prompt("ru", "transfer_ecc")
        await call_center.hears(caller, "ru", "transfer_ecc")
        events = {
            e.kind: e.at for e in await call_center.events(await _live(call_center, "+77010000012"))
        }
        played = (events["redirect_notice"] - events["choice"]).total_seconds()
        assert played > len(notice) / 8000 - 0.1
        await leg.answer()
        caller.send_tone(CALLER_TONE)
        await asyncio.sleep(0.5)
        assert loudness(leg.heard.pcm(), CALLER_TONE) > -40
        await caller.hang_up()
        await leg.ended()
    appeal = await call_center.appeal("+77010000012")
    assert appeal.outcome == Outcome.REDIRECTED
    assert await call_center.recordings(appeal) == []


@pytest.mark.parametrize("refusal", [486, 603, 503, None])
async def test_when_1414_fails_the_caller_gets_a_consultant(
    call_center: CallCenter, refusal: int | None
) -> None:
    number = f"+7701000002{refusal or 0:03d}"[:12]
    async with (
        call_center.unified_center() as center,
        call_center.consultant("201") as consultant,
        call_center.caller(number) as caller,
    ):
        await caller.press("13")
        ringing = await center.next_call(20)
        if refusal is not None:
            await ringing.reject(refusal)
        await call_center.hears(caller, "kk", "transfer_failed_back")
        leg = await consultant.next_call(20)
        await call_center.talk_shortly(leg)
        await caller.ended()
    assert (await call_center.appeal(number)).outcome == Outcome.TALKED


async def test_the_consultant_redirects_to_1414_and_recording_stops_first(
    call_center: CallCenter,
) -> None:
    async with (
        call_center.unified_center() as center,
        call_center.consultant("201") as consultant,
        call_center.caller("+77010000013") as caller,
    ):
        await caller.press("0")
        leg = await consultant.next_call()
        await leg.answer()
        await call_center.hears_something(leg)
        await leg.press("*14")
        await leg.ended()
        received = await center.next_call(20)
        await call_center.hears(caller, "kk", "transfer_ecc")
        await received.answer()
        await call_center.hears_something(received)
        assert call_center.switch.open_recordings() == []
        await received.hang_up()
        await caller.ended()
    appeal = await call_center.appeal("+77010000013")
    assert appeal.outcome == Outcome.REDIRECTED
    seen = await call_center.moments(appeal)
    assert seen.index("recording_stopped") < seen.index("redirect_notice")
    assert seen.index("redirect_notice") < seen.index("redirect_ringing")
    assert seen.index("redirect_ringing") < seen.index("redirected")


async def test_no_key_twice_leads_to_a_consultant_in_kazakh(call_center: CallCenter) -> None:
    async with (
        call_center.consultant("203") as consultant,
        call_center.caller("+77010000014") as caller,
    ):
        leg = await consultant.next_call(90)
        await call_center.hears(caller, "ru", "err_noinput")
        await call_center.talk_shortly(leg)
        await caller.ended()
    appeal = await call_center.appeal("+77010000014")
    assert appeal.language == "kk"
    assert appeal.outcome == Outcome.TALKED


async def test_wrong_keys_twice_lead_to_a_consultant_in_kazakh(call_center: CallCenter) -> None:
    async with (
        call_center.consultant("203") as consultant,
        call_center.caller("+77010000015") as caller,
    ):
        await caller.press("7")
        await call_center.hears(caller, "kk", "err_invalid")
        await caller.press("#")
        leg = await consultant.next_call(30)
        await call_center.talk_shortly(leg)
        await caller.ended()
    assert (await call_center.appeal("+77010000015")).language == "kk"


async def test_keys_arrive_as_sip_info_too(call_center: CallCenter) -> None:
    async with call_center.caller("+77010000016") as caller:
        await caller.press("2", how="info")
        await call_center.hears(caller, "ru", "emergency_hint")
    assert (await call_center.appeal("+77010000016")).language == "ru"


async def test_withheld_numbers_and_names_of_syntax_break_no_call(
    call_center: CallCenter,
) -> None:
    phone = call_center.phone("anonymous")
    async with phone:
        call = await phone.call("111", headers={"P-Asserted-Identity": '"x\\";,$[" <sip:a@b>'})
        await call.answered()
        await call_center.hears(call, "kk", "greeting")

    async def ended() -> bool:
        return not any(controller.calls for controller in call_center.controllers)

    await until(ended, "the call is over")


@pytest.mark.parametrize(
    ("user", "headers"),
    [
        ("anonymous", {"P-Asserted-Identity": f"<sip:{WITHHELD}@127.0.0.2>", "Privacy": "id"}),
        (WITHHELD, {"Privacy": "id"}),
    ],
)
async def test_a_withheld_number_is_nowhere_but_sealed(
    user: str,
    headers: dict[str, str],
    call_center: CallCenter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    began_at = datetime.now(UTC)
    async with call_center.phone(user) as phone:
        call = await phone.call("111", headers=headers)
        await call.answered()
        await call_center.hears(call, "kk", "greeting")
    query = select(appeal.c.caller_kind).where(appeal.c.received_at >= began_at)
    found: list[str] = []

    async def is_stored() -> bool:
        async with unit_of_work(call_center.engine) as connection:
            found[:] = (await connection.execute(query)).scalars()
        return bool(found)

    await until(is_stored, "the appeal is in the register")
    assert found == ["withheld"]
    sealed: list[tuple[UUID, bytes]] = []

    async def is_sealed() -> bool:
        query = select(sealed_number.c.appeal_id, sealed_number.c.sealed).join(
            appeal, appeal.c.id == sealed_number.c.appeal_id
        )
        async with unit_of_work(call_center.engine) as connection:
            found = await connection.execute(query.where(appeal.c.received_at >= began_at))
            sealed[:] = [(row[0], row[1]) for row in found]
        return bool(sealed)

    await until(is_sealed, "the number is kept for a trace")
    [number] = [open_number(call_center.settings.keys, *each) for each in sealed]
    assert number == WITHHELD
    await call_center.assert_no_resources_left()
    digits = WITHHELD.removeprefix("+")
    assert digits not in await read_all_rows(call_center.engine)
    assert digits not in caplog.text
    var = call_center.settings.var
    files = [path for path in var.rglob("*") if path.is_file() and path.suffix != ".alaw"]
    assert [path.name for path in files if digits.encode() in path.read_bytes()] == []


async def _live(call_center: CallCenter, number: str) -> AppealRow:
    found: list[AppealRow] = []

    async def there() -> bool:
        appeal = await call_center.live_appeal(number)
        if appeal is not None and "redirect_notice" in await call_center.moments(appeal):
            found.append(appeal)
        return bool(found)

    await until(there, f"the appeal of {number} tells of the notice")
    return found[0]
