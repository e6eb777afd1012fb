"""A new version is rolled in while calls are served, as docs/operations/running.md tells how."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio
from sqlalchemy import text

from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.prompts.build import build
from callcenter.telephony.reconciliation.jobs import account_for_calls
from tests.calls.call_center import CONSULTANT_TONE, CallCenter
from tests.calls.disposable_stack import (
    both_hear,
    connected,
    has_happened,
    lost_packets,
    lost_sound,
)
from tests.calls.processes import (
    Announced,
    ControllerProgram,
    running_controller_program,
    running_watchdog,
)
from tests.calls.talking import hears_tone, order
from tests.chaos.load import Load, at_work
from tests.polling import until
from tests.services import cut_short
from tests.versions import NEWER, Version

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.alone,
]
_BECAME = text("SELECT caller_number, outcome FROM appeal WHERE caller_number = ANY(:numbers)")
NOTICED = {None, Outcome.FALLBACK, Outcome.LOST_TO_A_FAULT}


@pytest.fixture(scope="session")
def built_prompts(built_prompts: Path, older: Version) -> Path:
    """Those of the older version too, as where it built them before this one did."""
    if older is not NEWER:
        with TemporaryDirectory() as var:
            before = Settings(_env_file=None, var=Path(var))
            command = (*older.program, "prompts", "build")
            place = {"CALLCENTER_VAR": var}
            subprocess.run(command, env=os.environ | older.also | place, cwd=var, check=True)
            build(before, lambda done, total: None)
            shutil.copytree(before.prompts, built_prompts, dirs_exist_ok=True)
        cut_short(built_prompts)
    return built_prompts


@pytest_asyncio.fixture(loop_scope="session")
async def watchdog(disposable: CallCenter, older: Version) -> AsyncIterator[Announced]:
    async with running_watchdog(
        disposable.settings, program=older.program, also=older.also
    ) as watchdog:
        yield watchdog


async def holder_of(call_center: CallCenter, extension: str) -> str:
    """Instance of the controller that holds this consultant's call; empty for none."""
    return str(await call_center.redis.hget("desk:holders", extension) or "")


async def replaced(call_center: CallCenter, line: ControllerProgram, version: Version) -> None:
    """It is of this version now, and another has the conversation if it had it."""
    holder = await holder_of(call_center, "201")
    await line.kill(signal.SIGTERM)
    line.becomes(version)
    await line.start()

    async def is_taken_over() -> bool:
        return await holder_of(call_center, "201") not in ("", holder)

    if line.name in holder:
        await until(is_taken_over, "another controller has the conversation")


async def ordered(call_center: CallCenter, what: str, older: Version) -> None:
    """Order it of the consultant's call, which either version may have.

    A version before proves no answer, and carries the order out.
    """
    with nullcontext() if older is NEWER else suppress(OperationFailed):
        await order(call_center, "201", what)


def in_turn(
    lines: Sequence[ControllerProgram], older: Version
) -> list[tuple[ControllerProgram, Version]]:
    """What each becomes: the newer version and, if that is another, the older one again."""
    there = [(line, NEWER) for line in lines]
    return there if older is NEWER else [*there, *((line, older) for line in lines)]


@pytest.mark.timeout(300)  # of which a version from a commit, that is not forked, takes half
@pytest.mark.parametrize("controllers", [1, 2])
async def test_controllers_are_replaced_one_by_one_and_nobody_notices(
    disposable: CallCenter, older: Version, watchdog: Announced, controllers: int
) -> None:
    """The only one is replaced in its place: who calls meanwhile is served by the fallback."""
    call_center, number = disposable, f"+7702040000{controllers}"
    async with AsyncExitStack() as stack:
        names = [f"line-{each}" for each in range(1, controllers + 1)]
        lines = [
            await stack.enter_async_context(
                running_controller_program(
                    call_center.settings, name, program=older.program, also=older.also
                )
            )
            for name in names
        ]
        consultant = await stack.enter_async_context(call_center.softphone("201"))
        await consultant.register()
        caller = await stack.enter_async_context(call_center.caller(number))
        leg = await connected(call_center, caller, consultant)
        await has_happened(call_center, number, CallEvent.RECORDING_STARTED)
        load = Load(call_center, controllers, ("202", "204"), talk=0.5)
        for extension in load.crew if controllers > 1 else ():
            await stack.enter_async_context(at_work(load, extension))
        turns = in_turn(lines, older)
        for line, version in turns:
            since = time.monotonic()
            for _ in range(3 if controllers > 1 else 0):
                load.begin()
            await replaced(call_center, line, version)
            await both_hear(caller, leg)
            assert lost_packets(caller, since) == lost_packets(leg, since) == 0
            assert lost_sound(leg, since) < 0.1
            await ordered(call_center, "hold", older)
            await has_happened(call_center, number, CallEvent.HELD)
            await ordered(call_center, "resume", older)
            await hears_tone(caller, CONSULTANT_TONE)
            if line is lines[-1] and older is not NEWER:
                await watchdog.kill(signal.SIGTERM)
                watchdog.becomes(version)
                await watchdog.start()
        await leg.hang_up()
        await caller.ended()
        for task in list(load.callers):
            await task
        appeal = await call_center.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    moments = await call_center.moments(appeal)
    assert moments.count(CallEvent.HELD) == moments.count(CallEvent.RESUMED) == len(turns)
    (recording,) = await call_center.recordings(appeal)
    assert recording.state == "closed"
    assert recording.ended_at is not None
    left, _ = call_center.recorded(recording)
    talked = (recording.ended_at - recording.started_at).total_seconds()
    assert abs(len(left) / 8000 - talked) < 0.5
    await nobody_noticed(call_center, load)


async def test_a_conversation_survives_rapid_replacement_of_controllers(
    disposable: CallCenter, watchdog: Announced
) -> None:
    """Each finds two dead ones: Asterisk names the consultant's leg with whoever called it too."""
    call_center, number = disposable, "+77020400003"
    async with AsyncExitStack() as stack:
        line = await stack.enter_async_context(
            running_controller_program(call_center.settings, "line-1")
        )
        consultant = await stack.enter_async_context(call_center.softphone("201"))
        await consultant.register()
        caller = await stack.enter_async_context(call_center.caller(number))
        leg = await connected(call_center, caller, consultant)
        await has_happened(call_center, number, CallEvent.RECORDING_STARTED)
        for _ in range(3):
            await replaced(call_center, line, NEWER)
        await both_hear(caller, leg)

        async def is_named_with_one() -> bool:
            named = await call_center.switch.applications()
            holder = (await holder_of(call_center, "201")).split()[-1]
            return [name for name, channels in named.items() if channels] == [holder]

        await until(is_named_with_one, "Asterisk names the channels with their holder alone")
        await order(call_center, "201", "hold")
        await has_happened(call_center, number, CallEvent.HELD)
        await order(call_center, "201", "resume")
        await hears_tone(caller, CONSULTANT_TONE)
        await leg.hang_up()
        await caller.ended()
        assert (await call_center.appeal(number)).outcome == Outcome.TALKED


async def nobody_noticed(call_center: CallCenter, load: Load) -> None:
    """Controllers served each of these callers, once. Who fell back has an appeal by CEL."""
    await call_center.switch.assert_no_resources_left()
    await account_for_calls(WorkerResources(call_center.settings, call_center.engine), timedelta())
    numbers = sorted(each.number for each in load.attempts)
    async with unit_of_work(call_center.engine) as connection:
        became = [tuple(row) for row in await connection.execute(_BECAME, {"numbers": numbers})]
    assert sorted(number for number, _ in became) == numbers
    assert {outcome for _, outcome in became}.isdisjoint(NOTICED), became
