"""Calls that no controller served become appeals, from the real switch to the register (R25).

A house without controllers: the dialplan alone answers. The worker's jobs run in this process.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import soundfile

from callcenter.appeals.store import AppealRow
from callcenter.demo.call import Call
from callcenter.demo.phone import Phone
from callcenter.demo.sound import loudness
from callcenter.ledger.differences import Kind
from callcenter.ledger.files import ledger_of
from callcenter.ledger.heard import Way
from callcenter.ledger.jobs import account_for_calls
from callcenter.line.outcomes import Outcome
from callcenter.recordings.keeping import Keeper
from callcenter.recordings.vault import Vault
from callcenter.storage.jobs import Tools
from tests.asterisk.switch import CONSULTANTS, PASSWORD
from tests.calls.house import (
    CALLER_TONE,
    CONSULTANT_TONE,
    House,
    open_house,
    running_controller,
    until,
)
from tests.calls.test_check_calls import agrees, compared
from tests.services import new_database, new_folder

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHORT = 8000 * 3 // 10  # bytes of A-law: nobody listens to these prompts here
TALK = ["connected", "recording_started", "recording_stopped", "ended"]
BEGINNING = ["received", "answered", "fallback", "notice", "waiting"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def empty_house(
    short_folder: Path, postgres: Path, redis_url: str, built_prompts: Path
) -> AsyncIterator[House]:
    """A house whose controllers are all away; they may come for a test."""
    prompts = new_folder(short_folder / "shortest") / "prompts"
    cut_short(built_prompts, prompts)
    with new_database(postgres) as database:
        async with open_house(
            short_folder / "empty",
            prompts,
            controllers=(),
            database_url=database,
            redis_url=f"{redis_url}?db=6",
            claim_timeout=0.2,
            key_timeout=1.0,
            ring_timeout=5.0,
            wrap_up=0,
            unified_ring_timeout=2.0,
        ) as house:
            yield house


@pytest_asyncio.fixture(loop_scope="module")
async def house(empty_house: House) -> AsyncIterator[House]:
    yield empty_house
    await empty_house.nothing_left()


@pytest_asyncio.fixture(loop_scope="module")
async def consultant(house: House) -> AsyncIterator[Phone]:
    async with Phone(
        address=CONSULTANTS, server=house.switch.sip, user="201", password=PASSWORD
    ) as phone:
        await phone.register()
        yield phone


def cut_short(prompts: Path, target: Path) -> None:
    shutil.copytree(prompts, target)
    for prompt in target.rglob("*.alaw"):
        prompt.write_bytes(prompt.read_bytes()[:SHORT])


def written_at(file: Path) -> float:
    return file.stat().st_mtime


def empty_recordings(house: House) -> list[str]:
    return [file.name for file in house.settings.spool.iterdir() if not file.stat().st_size]


async def work(house: House) -> None:
    """What a worker does once the calls of the test are over: account for them, keep recordings."""

    async def is_written() -> bool:
        lines = ledger_of(house.settings).read_bytes().splitlines()
        events = [json.loads(line) for line in lines]
        began = {each["linkedid"] for each in events if each["eventtype"] == "RECEIVED"}
        ended = {each["linkedid"] for each in events if each["eventtype"] == "LINKEDID_END"}
        return began <= ended

    await house.nothing_left()
    await until(is_written, "the ledger has the end of every call")
    await account(house)


async def account(house: House) -> None:
    await account_for_calls(Tools(house.settings, house.engine), timedelta())


@asynccontextmanager
async def talking(house: House, number: str, consultant: Phone) -> AsyncIterator[tuple[Call, Call]]:
    """A caller and a consultant who hear each other in the fallback."""
    async with house.phone(number) as phone:
        call = await phone.call("111")
        await call.answered()
        call.send_tone(CALLER_TONE)
        leg = await consultant.next_call(15)
        await leg.answer()
        leg.send_tone(CONSULTANT_TONE)
        await house.hears_something(leg)
        yield call, leg


async def is_kept_in_two_channels(house: House, appeal: AppealRow) -> None:
    (recording,) = await house.recordings(appeal)
    await Keeper(house.settings, house.engine).keep_closed()
    (recording,) = await house.recordings(appeal)
    assert recording.state == "stored", recording.fault
    assert recording.store_name is not None
    assert not (house.settings.spool / recording.spool_name).exists()
    with Vault(house.settings).open(recording.store_name) as audio:
        sound, rate = soundfile.read(audio, dtype="int16")
    left, right = np.asarray(sound).T
    assert rate == 8000
    assert len(left) > rate // 2
    assert loudness(left, CALLER_TONE) > -30
    assert loudness(right, CONSULTANT_TONE) > -30
    assert loudness(left, CONSULTANT_TONE) < -50
    assert loudness(right, CALLER_TONE) < -50


async def test_a_talk_in_the_fallback_has_an_appeal_and_a_recording_in_two_channels(
    house: House, consultant: Phone
) -> None:
    async with talking(house, "+77020000001", consultant) as (call, leg):
        await asyncio.sleep(1)
        await leg.hang_up()
        await call.ended()
    await work(house)
    appeal = await house.appeal("+77020000001")
    assert appeal.outcome == Outcome.FALLBACK
    assert appeal.consultant_extension == "201"
    assert await house.moments(appeal) == BEGINNING + TALK
    await is_kept_in_two_channels(house, appeal)
    before = await house.events(appeal)
    await work(house)
    assert await house.events(appeal) == before
    assert await house.appeal("+77020000001") == appeal
    assert len(await house.recordings(appeal)) == 1


async def test_a_call_that_1414_took_was_redirected_with_notice_and_not_recorded(
    house: House,
) -> None:
    async with house.unified_center() as center, house.phone("+77020000002") as phone:
        call = await phone.call("111")
        await call.answered()
        call.send_silence()
        leg = await center.next_call(15)
        await leg.answer()
        await house.hears_something(leg)  # only now the switch has connected the two
        await leg.hang_up()
        await call.ended()
    await work(house)
    appeal = await house.appeal("+77020000002")
    assert appeal.outcome == Outcome.REDIRECTED
    assert await house.moments(appeal) == [
        *BEGINNING,
        "redirect_notice",
        "redirect_ringing",
        "redirected",
        "ended",
    ]
    assert await house.recordings(appeal) == []
    assert empty_recordings(house) == []


async def test_a_caller_who_hung_up_in_the_greeting_has_an_appeal(house: House) -> None:
    async with house.caller("+77020000003") as call:
        await call.hang_up()
    await work(house)
    appeal = await house.appeal("+77020000003")
    assert appeal.outcome == Outcome.FALLBACK
    assert await house.moments(appeal) == ["received", "answered", "fallback", "ended"]
    assert appeal.ended_at is not None
    assert timedelta() < appeal.ended_at - appeal.received_at < timedelta(seconds=5)


async def test_a_call_that_is_going_on_is_left_alone(house: House, consultant: Phone) -> None:
    async with talking(house, "+77020000004", consultant) as (call, _):
        await account(house)
        await account(house)
        assert await house.live_appeal("+77020000004") is None
        await call.hang_up()
    await work(house)
    assert (await house.appeal("+77020000004")).outcome == Outcome.FALLBACK


async def test_a_call_under_which_the_switch_died_was_lost_and_its_recording_is_kept(
    house: House, consultant: Phone
) -> None:
    async with talking(house, "+77020000005", consultant) as (call, leg):
        # Asterisk writes a recording in steps of 32 KB, which is one second.
        file = max(house.settings.spool.glob("fallback-*.raw"), key=written_at)

        async def is_on_disk() -> bool:
            return file.stat().st_size > 0

        await until(is_on_disk, "some of the recording is on the disk")
        await house.switch.kill()
        await account(house)
        assert await house.live_appeal("+77020000005") is None  # nobody to ask
        await house.switch.start()
        await account(house)
        ledger = ledger_of(house.settings)
        ledger.rename(ledger.with_name("ledger.jsonl.1"))  # in it a call has no end
        call.send_silence()
        leg.send_silence()
    appeal = await house.appeal("+77020000005")
    assert appeal.outcome == Outcome.LOST_TO_A_FAULT
    assert appeal.consultant_extension == "201"
    assert await house.moments(appeal) == BEGINNING + TALK
    await is_kept_in_two_channels(house, appeal)


async def test_a_call_that_a_controller_gave_to_the_fallback_gets_the_rest_once(
    house: House, consultant: Phone
) -> None:
    async with house.phone("+77020000006") as phone:
        async with running_controller(house.settings, "line-1", house.engine, house.redis):
            call = await phone.call("111")
            await call.answered()
            call.send_tone(CALLER_TONE)
        leg = await consultant.next_call(15)
        await leg.answer()
        leg.send_tone(CONSULTANT_TONE)
        await house.hears_something(leg)
        await asyncio.sleep(1)
        await leg.hang_up()
        await call.ended()
    given = await house.appeal("+77020000006")
    assert given.outcome == Outcome.FALLBACK
    moments = await house.moments(given)
    await work(house)
    appeal = await house.appeal("+77020000006")
    assert (appeal.number, appeal.outcome) == (given.number, Outcome.FALLBACK)
    assert appeal.consultant_extension == "201"
    assert appeal.ended_at is not None
    assert given.ended_at is not None
    assert appeal.ended_at > given.ended_at
    whole = await house.moments(appeal)
    assert whole == [*moments, "notice", "waiting", *TALK]
    await is_kept_in_two_channels(house, appeal)
    await work(house)
    assert await house.moments(appeal) == whole


async def test_a_call_that_a_controller_served_to_its_end_stays_as_it_is(house: House) -> None:
    async with running_controller(house.settings, "line-1", house.engine, house.redis):
        async with house.caller("+77020000007") as call:
            await call.hang_up()
        given = await house.appeal("+77020000007")
        moments = await house.moments(given)
    await work(house)
    assert await house.appeal("+77020000007") == given
    assert await house.moments(given) == moments


async def test_twenty_calls_at_once_have_twenty_appeals_with_consecutive_numbers(
    house: House,
) -> None:
    callers = [f"+770300000{number:02}" for number in range(20)]

    async def one(number: str) -> None:
        async with house.phone(number) as phone:
            call = await phone.call("111")
            await call.answered()
            call.send_silence()
            await call.ended()

    await asyncio.gather(*map(one, callers))
    await house.nothing_left()
    await work(house)
    rows = [await house.appeal(number) for number in callers]
    assert {row.outcome for row in rows} == {Outcome.FALLBACK}
    sequence = sorted(int(row.number[2:9]) for row in rows)
    assert sequence == list(range(sequence[0], sequence[0] + 20))
    assert {"redirect_failed"} <= set(await house.moments(rows[-1]))
    assert empty_recordings(house) == []


async def test_what_only_the_switch_knew_differs_until_it_is_accounted_for(
    house: House, consultant: Phone
) -> None:
    since = datetime.now(UTC)
    async with talking(house, "+77020000008", consultant) as (call, leg):
        await asyncio.sleep(3)  # longer than what is tolerated
        await leg.hang_up()
        await call.ended()
    await house.nothing_left()
    _, found = await compared(house, since)
    assert [each.kind for each in found] == [
        Kind.CALL_WITHOUT_APPEAL,
        Kind.FILE_WITHOUT_RECORDING,
    ]
    await work(house)
    assert await agrees(house, since) == {Way.IN: 1}
