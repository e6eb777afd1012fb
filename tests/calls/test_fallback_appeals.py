"""Calls that no controller served become appeals, from the real switch to the register (R25).

A call center without controllers: the dialplan alone answers. The worker's jobs run in this one.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import soundfile

from callcenter.appeals.calls.store import AppealRow
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.recordings.sealing.sealed_store import SealedStore
from callcenter.recordings.sealing.worker import SealingWorker
from callcenter.sipphone.audio import loudness
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.phone import Phone
from callcenter.telephony.acd.distributor import PLAIN_RULES
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.reconciliation.cel_calls import CallRole
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from callcenter.telephony.reconciliation.jobs import account_for_calls
from callcenter.telephony.reconciliation.rules import DiscrepancyKind
from tests.asterisk.switch import CONSULTANTS, PASSWORD
from tests.calls.call_center import (
    CALLER_TONE,
    CONSULTANT_TONE,
    CallCenter,
    running_call_center,
    running_controller,
)
from tests.calls.processes import running_watchdog
from tests.calls.test_check_calls import agrees, compared
from tests.polling import until
from tests.services import new_database, new_folder

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHORT = 8000 * 3 // 10  # bytes of A-law: nobody listens to these prompts here
TALK = ["connected", "recording_started", "recording_stopped", "ended"]
BEGINNING = ["received", "answered", "fallback", "notice", "waiting"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def empty_call_center(
    short_folder: Path, postgres: Path, redis_url: str, built_prompts: Path
) -> AsyncIterator[CallCenter]:
    """A call center whose controllers are all away; they may come for a test."""
    prompts = new_folder(short_folder / "shortest") / "prompts"
    cut_short(built_prompts, prompts)
    with new_database(postgres) as database:
        async with running_call_center(
            short_folder / "empty",
            prompts,
            controllers=(),
            database_url=database,
            redis_url=f"{redis_url}?db=6",
            claim_timeout=0.2,
            key_timeout=1.0,
            ring_timeout=5.0,
            wrap_up=0,
            unified_ring_timeout=5.0,
        ) as call_center:
            yield call_center


@pytest_asyncio.fixture(loop_scope="module")
async def call_center(empty_call_center: CallCenter) -> AsyncIterator[CallCenter]:
    yield empty_call_center
    await empty_call_center.assert_no_resources_left()


@pytest_asyncio.fixture(loop_scope="module")
async def consultant(call_center: CallCenter) -> AsyncIterator[Phone]:
    async with Phone(
        address=CONSULTANTS, server=call_center.switch.sip, user="201", password=PASSWORD
    ) as phone:
        await phone.register()
        yield phone


def cut_short(prompts: Path, target: Path) -> None:
    shutil.copytree(prompts, target)
    for prompt in target.rglob("*.alaw"):
        prompt.write_bytes(prompt.read_bytes()[:SHORT])


def written_at(file: Path) -> float:
    return file.stat().st_mtime


def empty_recordings(call_center: CallCenter) -> list[str]:
    return [file.name for file in call_center.settings.spool.iterdir() if not file.stat().st_size]


def cel_events(call_center: CallCenter) -> list[dict[str, Any]]:
    lines = cel_file_of(call_center.settings).read_bytes().splitlines()
    return [json.loads(line) for line in lines]


async def work(call_center: CallCenter) -> None:
    """What a worker does once the calls of the test are over: account for them, keep recordings."""

    async def is_written() -> bool:
        events = cel_events(call_center)
        began = {each["linkedid"] for each in events if each["eventtype"] == "RECEIVED"}
        ended = {each["linkedid"] for each in events if each["eventtype"] == "LINKEDID_END"}
        return began <= ended

    await call_center.assert_no_resources_left()
    await until(is_written, "the CEL log has the end of every call")
    await account(call_center)


async def account(call_center: CallCenter) -> None:
    await account_for_calls(WorkerResources(call_center.settings, call_center.engine), timedelta())


async def talks_with(call_center: CallCenter, call: SipCall, consultant: Phone) -> SipCall:
    """The leg of the consultant who answers this caller, when they hear each other."""
    call.send_tone(CALLER_TONE)
    leg = await consultant.next_call(15)
    await leg.answer()
    leg.send_tone(CONSULTANT_TONE)
    await call_center.hears_something(leg)
    return leg


@asynccontextmanager
async def talking(
    call_center: CallCenter, number: str, consultant: Phone
) -> AsyncIterator[tuple[SipCall, SipCall]]:
    """A caller and a consultant who hear each other in the fallback."""
    async with call_center.phone(number) as phone:
        call = await phone.call("111")
        await call.answered()
        leg = await talks_with(call_center, call, consultant)
        yield call, leg


async def is_stored_in_two_channels(call_center: CallCenter, appeal: AppealRow) -> None:
    (recording,) = await call_center.recordings(appeal)
    sealing = SealingWorker(call_center.settings, call_center.engine)
    while await sealing.seal_closed():  # a batch of those of other tests may come first
        pass
    (recording,) = await call_center.recordings(appeal)
    assert recording.state == "stored", recording.fault
    assert recording.store_name is not None
    assert not (call_center.settings.spool / recording.spool_name).exists()
    with SealedStore(call_center.settings).open(recording.store_name) as audio:
        sound, rate = soundfile.read(audio, dtype="int16")
    left, right = np.asarray(sound).T
    assert rate == 8000
    assert len(left) > rate // 2
    assert loudness(left, CALLER_TONE) > -30
    assert loudness(right, CONSULTANT_TONE) > -30
    assert loudness(left, CONSULTANT_TONE) < -50
    assert loudness(right, CALLER_TONE) < -50


async def test_a_fallback_talk_has_an_appeal_and_a_recording(
    call_center: CallCenter, consultant: Phone
) -> None:
    async with talking(call_center, "+77020000001", consultant) as (call, leg):
        await asyncio.sleep(1)
        await leg.hang_up()
        await call.ended()
    await work(call_center)
    appeal = await call_center.appeal("+77020000001")
    assert appeal.outcome == Outcome.FALLBACK
    assert appeal.consultant_extension == "201"
    assert await call_center.moments(appeal) == BEGINNING + TALK
    await is_stored_in_two_channels(call_center, appeal)
    before = await call_center.events(appeal)
    await work(call_center)
    assert await call_center.events(appeal) == before
    assert await call_center.appeal("+77020000001") == appeal
    assert len(await call_center.recordings(appeal)) == 1


async def test_a_fallback_talk_in_which_neither_side_sends_is_marked(
    call_center: CallCenter, consultant: Phone
) -> None:
    async def are_connected() -> bool:
        events = cel_events(call_center)
        entered = [each for each in events if each["eventtype"] == "BRIDGE_ENTER"]
        return [each["linkedid"] for each in entered].count(events[-1]["linkedid"]) == 2

    async with call_center.phone("+77020000017") as phone:
        call = await phone.call("111")
        await call.answered()
        leg = await consultant.next_call(15)
        for each in (call, leg):
            each.stop_sending()
        await leg.answer()
        await until(are_connected, "the two are connected")
        await leg.hang_up()
        await call.ended()
    await work(call_center)
    appeal = await call_center.appeal("+77020000017")
    assert await call_center.moments(appeal) == [*BEGINNING, *TALK[:3], "recording_empty", "ended"]
    sealing = SealingWorker(call_center.settings, call_center.engine)
    await sealing.seal_closed()
    (recording,) = await call_center.recordings(appeal)
    assert (recording.state, recording.fault) == ("empty", None)
    await sealing.tidy()
    assert empty_recordings(call_center) == []


async def test_urgent_keys_go_first_and_are_on_the_appeal(
    call_center: CallCenter, consultant: Phone
) -> None:
    async def waits(callers: int) -> None:
        async def are_waiting() -> bool:
            return f"has {callers} calls" in await call_center.switch.cli("queue show fallback")

        await until(are_waiting, f"{callers} wait in the fallback's queue")

    async with (
        talking(call_center, "+77020000011", consultant) as (first, leg),
        call_center.phone("+77020000012") as early,
        call_center.phone("+77020000013") as endangered,
    ):
        waiting = await early.call("111")
        await waiting.answered()
        await waits(1)
        call = await endangered.call("111")
        await call.answered()
        await call_center.hears_something(call)
        await call.press("5")  # during the announcements
        await waits(2)
        await call.press("**")  # in the queue
        await asyncio.gather(leg.hang_up(), first.ended())
        next_leg = await consultant.next_call(15)
        assert next_leg.invite is not None
        assert "+77020000013" in next_leg.invite.need("From")
        await next_leg.answer()
        await call_center.hears_something(next_leg)
        await asyncio.gather(waiting.hang_up(), call.hang_up(), next_leg.ended())
    await work(call_center)
    appeal = await call_center.appeal("+77020000013")
    assert appeal.urgent == ["silent", "danger"]
    assert [
        each.detail for each in await call_center.events(appeal) if each.kind == CallEvent.URGENT
    ] == [{"reason": "silent"}, {"reason": "danger"}]
    moments = await call_center.moments(appeal)
    assert "notice" not in moments  # it was cut
    assert moments.count("waiting") == 1
    assert (await call_center.appeal("+77020000012")).urgent == []


async def test_fallback_rings_whom_the_distributor_leases(
    call_center: CallCenter, consultant: Phone
) -> None:
    """Controllers that claim nothing, and one who is signed out, but registered."""
    presence = PresenceService(call_center.redis, PLAIN_RULES)

    async def is_ready(extension: str) -> bool:
        return (await presence.of(extension)).state is PresenceState.READY

    async def is_leasing() -> bool:
        return "FALLBACK_LEASED_UNTIL" in await call_center.switch.cli("dialplan show globals")

    async def waits_for_lease() -> bool:
        return await call_center.redis.zcard("desk:waiting") == 1

    async def are_leases_over() -> bool:
        return not await call_center.redis.exists("desk:held", "desk:waiting", "desk:leases")

    settings = call_center.settings
    async with (
        running_controller(settings, "line-1") as controller,
        running_watchdog(settings) as watchdog,
        call_center.softphone("202") as signed_out,
        call_center.phone("+77020000021") as first,
        call_center.phone("+77020000022") as second,
    ):
        controller.node.stop_claiming()
        await signed_out.register()
        for extension in ("201", "202"):
            await until(partial(is_ready, extension), f"{extension} is ready")
        await presence.ask("202", PresenceState.SIGNED_OUT, by="user:test")
        await until(is_leasing, "the watchdog leases")
        call = await first.call("111")
        leg = await consultant.next_call(15)
        await leg.answer()
        await call_center.hears_something(leg)
        assert (await presence.of("201")).state is PresenceState.TALKING
        waiting = await second.call("111")
        await until(waits_for_lease, "the second caller waits for a lease")
        assert len(consultant.calls) == 1
        assert not signed_out.calls
        await watchdog.kill()
        other_leg = await signed_out.next_call(15)  # the distributor is silent: all are rung
        await other_leg.answer()
        await call_center.hears_something(other_leg)
        await asyncio.gather(leg.hang_up(), call.ended())
        await asyncio.gather(other_leg.hang_up(), waiting.ended())
        await presence.ask("202", PresenceState.READY, by="user:test")
        await until(are_leases_over, "what the watchdog held is free")
    await work(call_center)
    for number, extension in (("+77020000021", "201"), ("+77020000022", "202")):
        appeal = await call_center.appeal(number)
        assert (appeal.outcome, appeal.consultant_extension) == (Outcome.FALLBACK, extension)


async def test_a_fallback_call_to_1414_is_redirected_and_unrecorded(
    call_center: CallCenter,
) -> None:
    async with call_center.unified_center() as center, call_center.phone("+77020000002") as phone:
        call = await phone.call("111")
        await call.answered()
        call.send_silence()
        leg = await center.next_call(15)
        await leg.answer()
        await call_center.hears_something(leg)  # only now the switch has connected the two
        await leg.hang_up()
        await call.ended()
    await work(call_center)
    appeal = await call_center.appeal("+77020000002")
    assert appeal.outcome == Outcome.REDIRECTED
    assert await call_center.moments(appeal) == [
        *BEGINNING,
        "redirect_notice",
        "redirect_ringing",
        "redirected",
        "ended",
    ]
    assert await call_center.recordings(appeal) == []
    assert empty_recordings(call_center) == []


async def test_a_caller_who_left_in_the_greeting_has_an_appeal(call_center: CallCenter) -> None:
    async with call_center.caller("+77020000003") as call:
        await call.hang_up()
    await work(call_center)
    appeal = await call_center.appeal("+77020000003")
    assert appeal.outcome == Outcome.FALLBACK
    assert await call_center.moments(appeal) == ["received", "answered", "fallback", "ended"]
    assert appeal.ended_at is not None
    assert timedelta() < appeal.ended_at - appeal.received_at < timedelta(seconds=5)


async def test_a_call_that_is_going_on_is_left_alone(
    call_center: CallCenter, consultant: Phone
) -> None:
    async with talking(call_center, "+77020000004", consultant) as (call, _):
        await account(call_center)
        await account(call_center)
        assert await call_center.live_appeal("+77020000004") is None
        await call.hang_up()
    await work(call_center)
    assert (await call_center.appeal("+77020000004")).outcome == Outcome.FALLBACK


async def test_a_call_lost_with_asterisk_keeps_its_recording(
    call_center: CallCenter, consultant: Phone
) -> None:
    async with talking(call_center, "+77020000005", consultant) as (call, leg):
        # Asterisk writes a recording in steps of 32 KB, which is one second.
        file = max(call_center.settings.spool.glob("fallback-*.raw"), key=written_at)

        async def is_on_disk() -> bool:
            return file.stat().st_size > 0

        await until(is_on_disk, "some of the recording is on the disk")
        await call_center.switch.kill()
        await account(call_center)
        assert await call_center.live_appeal("+77020000005") is None  # nobody to ask
        await call_center.switch.start()
        await account(call_center)
        cel_log = cel_file_of(call_center.settings)
        cel_log.rename(cel_log.with_name("ledger.jsonl.1"))  # in it a call has no end
        call.send_silence()
        leg.send_silence()
    appeal = await call_center.appeal("+77020000005")
    assert appeal.outcome == Outcome.LOST_TO_A_FAULT
    assert appeal.consultant_extension == "201"
    assert await call_center.moments(appeal) == BEGINNING + TALK
    await is_stored_in_two_channels(call_center, appeal)
    (recording,) = await call_center.recordings(appeal)
    assert recording.duration_ms is not None
    assert recording.ended_at is not None
    lasted = recording.ended_at - recording.started_at
    assert abs(recording.duration_ms - lasted.total_seconds() * 1000) < 2


async def test_a_call_handed_to_the_fallback_gets_its_rest_once(
    call_center: CallCenter, consultant: Phone
) -> None:
    async with call_center.phone("+77020000006") as phone:
        async with running_controller(call_center.settings, "line-1"):
            call = await phone.call("111")
            await call.answered()
        leg = await talks_with(call_center, call, consultant)
        await asyncio.sleep(1)
        await leg.hang_up()
        await call.ended()
    given = await call_center.appeal("+77020000006")
    assert given.outcome == Outcome.FALLBACK
    moments = await call_center.moments(given)
    await work(call_center)
    appeal = await call_center.appeal("+77020000006")
    assert (appeal.number, appeal.outcome) == (given.number, Outcome.FALLBACK)
    assert appeal.consultant_extension == "201"
    assert appeal.ended_at is not None
    assert given.ended_at is not None
    assert appeal.ended_at > given.ended_at
    whole = await call_center.moments(appeal)
    assert whole == [*moments, "notice", "waiting", *TALK]
    await is_stored_in_two_channels(call_center, appeal)
    await work(call_center)
    assert await call_center.moments(appeal) == whole


async def test_a_call_being_claimed_as_its_controller_stops_falls_back(
    call_center: CallCenter, consultant: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_claimed = asyncio.Event()
    async with call_center.phone("+77020000016") as phone:
        async with running_controller(call_center.settings, "line-1") as ours:
            request = ours.node.ari.request

            async def request_late(method: str, path: str, *args: Any, **kwargs: Any) -> Any:
                if path == "events/claim":
                    is_claimed.set()
                    await asyncio.sleep(call_center.settings.claim_timeout / 2)
                return await request(method, path, *args, **kwargs)

            monkeypatch.setattr(ours.node.ari, "request", request_late)
            call = await phone.call("111")
            await is_claimed.wait()
        leg = await talks_with(call_center, call, consultant)
        await leg.hang_up()
        await call.ended()
    assert (await call_center.appeal("+77020000016")).outcome == Outcome.FALLBACK
    await work(call_center)


@pytest.mark.parametrize(
    ("keys", "variable"), [("8", "HEAD_START=300"), ("21", "CALLER_LANGUAGE=ru")]
)
async def test_who_waited_with_a_controller_waits_on_in_the_fallback(
    call_center: CallCenter, keys: str, variable: str
) -> None:
    """With place, urgency and language, and nothing of what was heard before is said again."""
    number = f"+7702000011{len(keys)}"
    async with call_center.phone(number) as phone:
        async with running_controller(call_center.settings, "line-1"):
            call = await phone.call("111")
            await call.answered()
            call.send_silence()
            await call_center.hears_something(call)
            await call.press(keys)
            await until(lambda: waits(call_center, number), "the caller waits with it")
        waiting = await call_center.live_appeal(number)
        assert waiting is not None
        began = next(e.at for e in await call_center.events(waiting) if e.kind == "waiting")
        since = f"WAITS_SINCE={int(began.timestamp())}"
        await until(lambda: has_variables(call_center, since, variable), "goes on there")
        await call.hang_up()
    assert (await call_center.appeal(number)).outcome == Outcome.FALLBACK
    written = cel_events(call_center)
    last = written[-1]["linkedid"]
    happened = [each["eventtype"] for each in written if each["linkedid"] == last]
    entered, began_to_wait = map(happened.index, ("FALLBACK_ENTERED", "FALLBACK_WAITING"))
    assert "STREAM_BEGIN" not in happened[entered:began_to_wait]
    await work(call_center)


async def waits(call_center: CallCenter, number: str) -> bool:
    appeal = await call_center.live_appeal(number)
    return appeal is not None and "waiting" in await call_center.moments(appeal)


async def has_variables(call_center: CallCenter, *variables: str) -> bool:
    channels = await call_center.switch.cli("core show channels concise")
    name = channels.partition("!")[0].strip()
    shown = (await call_center.switch.cli(f"core show channel {name}")).splitlines()
    return set(variables) <= set(shown)


async def test_a_call_served_by_a_controller_stays_as_it_is(
    call_center: CallCenter,
) -> None:
    async with running_controller(call_center.settings, "line-1"):
        async with call_center.caller("+77020000007") as call:
            await call.hang_up()
        given = await call_center.appeal("+77020000007")
        moments = await call_center.moments(given)
    await work(call_center)
    assert await call_center.appeal("+77020000007") == given
    assert await call_center.moments(given) == moments


async def test_twenty_calls_at_once_have_twenty_appeals_with_consecutive_numbers(
    call_center: CallCenter,
) -> None:
    callers = [f"+770300000{number:02}" for number in range(20)]

    async def one(number: str) -> None:
        async with call_center.phone(number) as phone:
            call = await phone.call("111")
            await call.answered()
            call.send_silence()
            await call.ended(30)

    await asyncio.gather(*map(one, callers))
    await call_center.assert_no_resources_left()
    await work(call_center)
    rows = [await call_center.appeal(number) for number in callers]
    assert {row.outcome for row in rows} == {Outcome.FALLBACK}
    sequence = sorted(int(row.number[2:9]) for row in rows)
    assert sequence == list(range(sequence[0], sequence[0] + 20))
    assert {"redirect_failed"} <= set(await call_center.moments(rows[-1]))
    assert empty_recordings(call_center) == []


async def test_what_only_asterisk_knew_differs_until_it_is_registered(
    call_center: CallCenter, consultant: Phone
) -> None:
    since = datetime.now(UTC)
    async with talking(call_center, "+77020000008", consultant) as (call, leg):
        await asyncio.sleep(3)  # longer than what is tolerated
        await leg.hang_up()
        await call.ended()
    await call_center.assert_no_resources_left()
    _, found = await compared(call_center, since)
    assert [each.kind for each in found] == [
        DiscrepancyKind.CALL_WITHOUT_APPEAL,
        DiscrepancyKind.FILE_WITHOUT_RECORDING,
    ]
    await work(call_center)
    assert await agrees(call_center, since) == {CallRole.IN: 1}
