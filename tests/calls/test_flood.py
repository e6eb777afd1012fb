"""A stranger's 10 000 REGISTER a second: calls go on, and the disk does not fill.

Ten seconds of it; with `--long`, as `make flood` runs it, a minute.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import click
import pytest

from callcenter.platform.core.log_files import LIMIT
from callcenter.telephony.calls.outcomes import Outcome
from tests.asterisk.switch import CONSULTANTS
from tests.calls.call_center import CLAIM_TIMEOUT, CallCenter, running_call_center
from tests.calls.disposable_stack import both_hear
from tests.calls.processes import running_watchdog
from tests.calls.talking import talking
from tests.services import new_database

RATE = 10_000  # a second
#: Bytes of Asterisk's two logs, of what they had before, and of what comes within a second or two.
MOST = 6 * LIMIT


@pytest.fixture
async def call_center(
    short_folder: Path, postgres: Path, redis_url: str, built_prompts: Path
) -> AsyncIterator[CallCenter]:
    with new_database(postgres) as database:
        async with (
            running_call_center(
                short_folder / "flood",
                built_prompts,
                ("line-1",),
                claim_timeout=CLAIM_TIMEOUT,
                database_url=database,
                redis_url=f"{redis_url}?db=8",
                wrap_up=0,
                telephone_networks=(f"{CONSULTANTS}/32",),
            ) as center,
            running_watchdog(center.settings),
        ):
            yield center


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(300)
async def test_a_flood_of_registers_disturbs_no_call(
    call_center: CallCenter, at_length: bool
) -> None:
    seconds = 60 if at_length else 10
    logs = call_center.settings.asterisk_folder / "log"
    most, callers = 0, 0
    async with talking(call_center, "+77040000001", "201") as talk:
        flood = await _begin_flood(call_center, seconds)
        while flood.returncode is None:
            callers += 1
            number = f"+7704001{callers:04}"
            async with call_center.caller(number) as caller:
                await call_center.hears(caller, "kk", "greeting")
            most = max(most, _size_of(logs))
        await both_hear(talk.caller, talk.consultant)
        said, _ = await flood.communicate()
    assert (await call_center.appeal("+77040000001")).outcome == Outcome.TALKED
    assert most < MOST
    megabytes = round(most / 1e6)
    click.echo(f"{said.decode().strip()}; {callers} callers served; {megabytes} MB of logs")


async def _begin_flood(call_center: CallCenter, seconds: int) -> asyncio.subprocess.Process:
    host, port = call_center.switch.sip
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.asterisk.flood"),
        *(host, str(port), str(RATE), str(seconds)),
        stdout=asyncio.subprocess.PIPE,
    )


def _size_of(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.iterdir() if each.is_file())
