"""Open files: as many as the calls need are allowed, or the start is refused."""

import asyncio
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from callcenter.commands.check import CHECKS, examine
from callcenter.launcher.port_check import with_free_ports
from callcenter.launcher.process_plan import ours
from callcenter.launcher.supervisor import environment
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.redis import open_redis
from callcenter.telephony.asterisk.open_files import (
    calls_at_once,
    files_needed,
    open_files_of_asterisk,
)
from callcenter.telephony.controller.alerts import OPEN_FILES_RUN_OUT
from callcenter.telephony.controller.open_files_monitor import check_open_files
from tests.asterisk.switch import CONSULTANTS, OPERATOR, PASSWORD
from tests.bench.sides import Product, Stock, until
from tests.bench.stock import extensions
from tests.bench.telephones import Callers, Consultants, PlacedCall
from tests.services import new_folder
from tests.web.test_work_lists import alerts

RATE = 15.0  # new callers a second
LONG = 280.0  # seconds that each waits: within the patience of the line
DEBIAN = 1024  #: the soft limit of its shells and units


def test_up_refuses_a_limit_that_is_too_low(settings: Settings) -> None:
    copy = with_free_ports(settings)
    refused = subprocess.run(
        ("prlimit", "--nofile=1024:1024", *ours("up")),
        env=environment(copy),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr == (
        "callcenter: Asterisk opens up to 1456 files for 100 calls at once, and may open 1024: "
        "raise its hard limit (LimitNOFILE= of its unit, `ulimit -Hn`), or let fewer call "
        f"(CALLCENTER_RTP_END={copy.rtp_start + 64 * 4 - 1})\n"
    )
    fewer = copy.model_copy(update={"rtp_end": copy.rtp_start + 64 * 4 - 1})
    assert files_needed(fewer) == 1024


# As Asterisk does: it says its pid in a file, and opens what it may.
GREEDY = """
import os, pathlib, sys, time
files = [open("/dev/null") for _ in range(int(sys.argv[2]))]
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
print(len(os.listdir("/proc/self/fd")) - 1, flush=True)
time.sleep(60)
"""


@contextmanager
def greedy(settings: Settings, opened: int) -> Iterator[int]:
    """A process in Asterisk's place with a limit of 100; yields how many files it has open."""
    file = settings.asterisk_folder / "run" / "asterisk.pid"
    file.parent.mkdir(parents=True)
    limited = ("prlimit", "--nofile=100:100", sys.executable, "-c", GREEDY, file, str(opened))
    with subprocess.Popen(limited, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


@pytest.mark.parametrize(("opened", "count"), [(70, 0), (77, 1)])
async def test_supervisors_are_alerted_before_open_files_run_out(
    settings: Settings, redis: Redis, opened: int, count: int
) -> None:
    assert open_files_of_asterisk(settings) is None
    with greedy(settings, opened) as number:
        files = open_files_of_asterisk(settings)
        assert files is not None
        assert (files.count, files.limit) == (number, 100)
        await check_open_files(settings, redis)
        await check_open_files(settings, redis)
        assert (await alerts(redis)).get(OPEN_FILES_RUN_OUT.key, 0) == count


def test_check_tells_of_an_asterisk_that_may_open_too_few(settings: Settings) -> None:
    check = CHECKS["telephone"]["files"]
    assert examine(check, with_free_ports(settings))[0] == "ok"  # of this shell: none runs
    with greedy(settings, 1):
        state, words = examine(check, with_free_ports(settings))
    assert state == "BAD"
    assert words.startswith("Asterisk opens up to 1456 files for 100 calls at once, and may open")


@pytest.fixture
def soft_limit(at_length: bool) -> Iterator[int]:
    """The soft limit of this process, and so of what it starts; a short run has a lower one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lower = DEBIAN if at_length else DEBIAN // 4
    resource.setrlimit(resource.RLIMIT_NOFILE, (lower, hard))
    yield lower
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.long
@pytest.mark.timeout(300)
async def test_more_callers_wait_than_the_soft_limit_lets(
    short_folder: Path, built_prompts: Path, soft_limit: int, at_length: bool
) -> None:
    count = 300 if at_length else 60
    (extension,) = extensions(1)
    side = Product(new_folder(short_folder / "files") / "v", built_prompts, Stock(1))
    redis = open_redis(side.settings)

    async def all_wait() -> bool:
        return bool(await redis.zcard("desk:waiting") >= count)

    try:
        await side.start()
        server = (str(side.settings.sip_address), side.settings.sip_port)
        async with (
            Consultants(server, CONSULTANTS, PASSWORD) as consultants,
            Callers(server, OPERATOR) as callers,
            asyncio.TaskGroup() as tasks,
        ):
            await consultants.register([extension])  # who takes the first of them
            await side.consultants_free()
            calls: list[PlacedCall] = []
            calling = []
            for _ in range(count + 1):
                calling.append(tasks.create_task(callers.call(LONG, calls)))
                await asyncio.sleep(1 / RATE)
            await until(all_wait, f"{count} callers wait", 60.0)
            files = open_files_of_asterisk(side.settings)
            for call in calling:
                call.cancel()
        assert [call.fault for call in calls if call.fault] == []
        assert files is not None
        assert soft_limit < files.count < files.limit
        assert files.limit >= files_needed(side.settings)
        assert files.count < files_needed(side.settings) * (count + 1) / calls_at_once(
            side.settings
        )
        log = (side.settings.asterisk_folder / "log" / "messages.log").read_text()
        assert "Too many open files" not in log
    finally:
        await redis.aclose()
        await side.stop()
