"""CPU and memory are read from what the kernel tells."""

import os
import subprocess
import sys
import time

import pytest

from callcenter.platform.core.settings import Settings
from tests.bench.load import complaints_in, longest_queue
from tests.bench.machine import about
from tests.bench.usage import cpu_seconds, memory_bytes, parent_of, ticks_of
from tests.polling import NotInTime

STAT = "4711 (a (b) c) S 99 4711 4711 0 -1 4194560 1 0 0 0 17 5 3 2 20 0 1 0 1 1 1"
# The kernel shows whole ticks of 10 ms, of user and system time apart: less than was used.
BUSY = "import time\nwhile time.process_time() < 0.4: pass\n"


def test_time_is_counted_after_the_name_whatever_the_name_is() -> None:
    assert ticks_of(STAT) == 17 + 5 + 3 + 2
    assert parent_of(STAT) == 99


@pytest.mark.parametrize("how", ["living", "ended"])
def test_the_cpu_of_descendants_counts(how: str) -> None:
    end = "time.sleep(60)" if how == "living" else ""
    parent = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {BUSY + end!r}])\n"
        + ("" if how == "living" else "child.wait()\nprint('ended', flush=True)\n")
        + "time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            deadline = time.monotonic() + 20
            while (used := cpu_seconds({"it": process.pid})["it"]) < 0.3:
                if time.monotonic() > deadline:
                    raise NotInTime(f"only {used} s were counted")
                time.sleep(0.02)
        finally:
            os.killpg(process.pid, 9)


def test_memory_is_reported_by_name() -> None:
    used = memory_bytes({"we": os.getpid()})
    assert used["we"] > 1_000_000


def test_a_process_that_is_gone_uses_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert memory_bytes({"gone": process.pid}) == {"gone": 0}
    assert cpu_seconds({"gone": process.pid}) == {"gone": 0.0}


def test_the_longest_queue_is_read_from_what_the_switch_shows() -> None:
    shown = (
        "Processor                        Processed   In Queue  Max Depth  Low water High water\n"
        "stasis/m:channel:all-00000017         8123          0         12        450        500\n"
        "pjsip/default-00000003                 311          1        431        450        500\n"
        "\n2 taskprocessors\n"
    )
    assert longest_queue(shown) == 431
    assert longest_queue("") == 0


def test_complaints_are_found_in_all_logs(settings: Settings) -> None:
    logs = settings.var / "log"
    logs.mkdir(parents=True)
    (settings.asterisk_folder / "log").mkdir(parents=True)
    (logs / "line-1.log").write_text("12:00 INFO a fine\n12:01 ERROR a broken\n")
    (settings.asterisk_folder / "log" / "messages.log").write_text("WARNING[1] chan_pjsip.c: hm\n")
    assert complaints_in(settings) == [
        "line-1.log: 12:01 ERROR a broken",
        "messages.log: WARNING[1] chan_pjsip.c: hm",
    ]


def test_results_say_where_they_were_taken() -> None:
    reported = about("make bench")
    assert reported["command"] == "make bench"
    assert "cores" in reported["machine"]
    assert "Asterisk 22." in reported["versions"]
