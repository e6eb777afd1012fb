"""Who is alive, who takes over, and what a sentinel kills."""

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.telephony.asterisk.ari import Ari
from callcenter.telephony.asterisk.cluster import member_files, membership, sentinel_program
from callcenter.telephony.asterisk.cluster.admission import (
    REOPEN_AFTER,
    AdmissionControl,
)
from callcenter.telephony.asterisk.cluster.member_files import (
    MemberFile,
    MemberFlag,
    MemberRecord,
    claimed,
    is_admitting,
    parse_record,
    read_members,
)
from callcenter.telephony.asterisk.cluster.membership import ClusterMembership
from callcenter.telephony.asterisk.cluster.sentinel_program import Diagnosis
from callcenter.telephony.asterisk.fence import UNSURE_AFTER, Fence, Fenced
from tests.polling import require_within, until

FLAGS = st.lists(st.sampled_from(list(MemberFlag))).map(lambda each: MemberFlag(sum(set(each))))
LIMIT = 60.0  # seconds: what spins must first get the processor
ADMITTED = 20.0  # seconds of lateness: this process is late for other reasons
#: A program that is a member as long as it lives: a folder, an instance.
MEMBER = """
import sys, time
from pathlib import Path
from callcenter.telephony.asterisk.cluster.member_files import MemberFile, MemberRecord
file = MemberFile(Path(sys.argv[1]), sys.argv[2])
file.publish(MemberRecord(ticks=1))
{then}
"""
WAITS, SPINS = "print(flush=True); time.sleep(60)", "print(flush=True)\nwhile True: pass"
#: A loop that turns until SIGUSR1: it has the processor then, and turns no more.
TURNS = """
import signal
signal.signal(signal.SIGUSR1, lambda *_: time.sleep(60))
print(flush=True)
for ticks in range(2, 1000):
    file.publish(MemberRecord(ticks=ticks))
    time.sleep(0.1)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "members"


def begin(folder: Path, then: str = WAITS) -> subprocess.Popen[bytes]:
    """A member line-9.a, which has told of itself."""
    program = (sys.executable, "-c", MEMBER.format(then=then), str(folder), "line-9.a")
    process = subprocess.Popen(program, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    return process


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder to which any user comes; the others of a test are open to their owner alone."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        Path(made).chmod(0o777)
        yield Path(made)


@pytest.fixture
def member(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = begin(folder)
    yield process
    process.kill()
    process.wait()


def living(folder: Path) -> dict[str, bool]:
    return {instance: is_alive for instance, _, is_alive in read_members(folder)}


# Member files


def test_a_member_is_alive_until_the_kernel_says_otherwise(
    folder: Path, member: subprocess.Popen[bytes]
) -> None:
    assert living(folder) == {"line-9.a": True}
    member.send_signal(signal.SIGSTOP)
    assert living(folder) == {"line-9.a": True}
    member.kill()
    member.wait()
    assert living(folder) == {"line-9.a": False}
    member_files.forget(folder, "line-9.a")
    assert living(folder) == {}


def test_only_one_takes_over_from_a_dead_member(folder: Path) -> None:
    own = MemberFile(folder, "line-1.a")
    own.close(remove=False)
    assert not member_files.is_taken_over(folder, "line-1.a")
    with claimed(folder, "line-1.a") as first, claimed(folder, "line-1.a") as second:
        assert (first, second) == (True, False)
        assert member_files.is_taken_over(folder, "line-1.a")
        assert living(folder) == {"line-1.a": False}
    with claimed(folder, "line-1.a") as again:
        assert again


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_a_member_of_another_user_is_seen_and_taken_over(open_to_all: Path) -> None:
    folder = open_to_all
    before = os.umask(0o077)  # as units have it
    own = MemberFile(folder, "line-1.a")
    os.umask(before)
    program_text = (
        "import sys; from pathlib import Path\n"
        "from callcenter.telephony.asterisk.cluster.member_files import claimed, read_members\n"
        "import os; os.setgid(61111); os.setuid(61111); folder = Path(sys.argv[1])\n"
        "print(*(alive for _, _, alive in read_members(folder)))\n"
        "with claimed(folder, 'line-1.a') as ours: print(ours)"
    )

    def seen() -> list[str]:
        program = (sys.executable, "-c", program_text, str(folder))
        return subprocess.run(program, check=True, capture_output=True, text=True).stdout.split()

    assert seen()[0] == "True"
    own.close(remove=False)
    assert seen() == ["False", "True"]


@given(
    st.builds(
        MemberRecord,
        FLAGS,
        st.integers(0, 2**64 - 1),
        st.floats(allow_nan=False),
        st.lists(st.from_regex(r"line-[0-9]\.[0-9a-f]{8}", fullmatch=True)).map(tuple),
    )
)
def test_a_record_is_read_as_it_was_written(record: MemberRecord) -> None:
    assert parse_record(record.pack()) == record


@given(st.binary(max_size=40))
def test_whatever_is_in_a_member_file_is_a_record(written: bytes) -> None:
    assert isinstance(parse_record(written), MemberRecord)


# The sentinel

LOOKS = st.lists(
    st.tuples(st.floats(0.01, 100), st.sampled_from("RSDI"), st.booleans()), max_size=200
)


@given(LOOKS)
def test_who_waits_for_the_processor_is_never_killed(looks: list[tuple[float, str, bool]]) -> None:
    diagnosis, now, ticks = Diagnosis(), 0.0, 1
    for passed, state, turned in looks:
        now += passed
        ticks += turned
        assert not diagnosis.look(now, state, 0.0, now, ticks)


def test_a_wait_that_is_not_over_is_no_hang() -> None:
    """The kernel counts a wait when it ends: these were read beside a loop with a nice of -20."""
    diagnosis, now = Diagnosis(), 0.0
    for ran, waited in [(27.98, 3068.0), *[(28.0, 5464.0)] * 12, (28.02, 13880.0)]:
        assert not diagnosis.look(now, "R", ran / 1000, waited / 1000, 1)
        now += diagnosis.pause


@given(st.lists(st.floats(0.01, 30), min_size=1), st.sampled_from("RS"))
def test_a_loop_that_turns_slowly_is_not_killed(passed: list[float], state: str) -> None:
    diagnosis, now = Diagnosis(), 0.0
    for ticks, seconds in enumerate(passed):
        now += seconds
        assert not diagnosis.look(now, state, now, 0.0, ticks + 1)


@pytest.mark.parametrize(
    ("state", "limit", "word"),
    [("T", 1.2, "stopped"), ("R", 4.4, "hanging"), ("S", 4.4, "hanging")],
)
def test_who_is_stopped_or_hangs_is_found_in_time(state: str, limit: float, word: str) -> None:
    """With the time that others need to see it: 2 s for one that is stopped, 5 s if it hangs."""
    diagnosis, now = Diagnosis(), 0.0
    diagnosis.look(now, "S", now, 0.0, 1)  # and at this moment it is stopped, or hangs
    found = ""
    while not found:
        now += diagnosis.pause
        found = diagnosis.look(now, state, now, 0.0, 1)
    assert (found, now + membership.TICK_INTERVAL <= limit + 0.4) == (word, True)


def test_a_beginner_or_slow_disk_reader_is_not_hanging() -> None:
    beginning, reading = Diagnosis(), Diagnosis()
    for step in range(100):
        assert not beginning.look(step * 0.4, "R", step * 0.4, 0.0, 0)
        assert not reading.look(step * 0.4, "D", 0.0, 0.0, 1)


SENTINEL = (sys.executable, "-I", "-S", sentinel_program.__file__)
#: A parent with its sentinel, as a member of whom nothing turns after the first time.
GUARDED = """
import os, subprocess, sys
subprocess.Popen({sentinel} + (str(os.getpid()), os.path.join(sys.argv[1], sys.argv[2])))
{then}
"""


def test_a_sentinel_of_who_has_ended_says_nothing(tmp_path: Path) -> None:
    gone = subprocess.Popen(("true",))
    gone.wait()
    command = (*SENTINEL, str(gone.pid), str(tmp_path / "member"))
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stderr == b""


def test_a_sentinel_kills_what_spins(folder: Path) -> None:
    process = begin(folder, GUARDED.format(sentinel=SENTINEL, then=SPINS))
    assert process.wait(LIMIT) == -signal.SIGKILL
    assert living(folder) == {"line-9.a": False}


#: As the last one, of another user, and where nobody sees the processes of others: a folder, an
#: instance, the sentinel's program.
HIDDEN = """
import os, struct, subprocess, sys, time
path = os.path.join(sys.argv[1], sys.argv[2])
open(path, "wb").write(struct.pack("=IQd", 0, 1, 0.0))
subprocess.Popen((sys.executable, "-I", "-S", sys.argv[3], str(os.getpid()), path))
print(*(each for each in os.listdir("/proc") if each == "1"), flush=True)
time.sleep(60)
"""
PYTHON = "/usr/bin/python3"  # which any user may run


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
@pytest.mark.skipif(not Path(PYTHON).exists(), reason="there is no Python for all users")
def test_a_sentinel_sees_its_own_where_processes_are_hidden(open_to_all: Path) -> None:
    """As under ProtectProc=invisible, with a user for each process."""
    program = shutil.copy(sentinel_program.__file__, open_to_all)
    hide = "mount -t proc -o hidepid=invisible proc /proc && exec setpriv"
    user = "--reuid 61111 --regid 61111 --clear-groups"
    arguments = (PYTHON, "-c", HIDDEN, str(open_to_all), "line-9.a", program)
    command = ("unshare", "--mount", "sh", "-c", f'{hide} {user} -- "$@"', "sh", *arguments)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        if not first and "mount" in process.stderr.read().decode():
            pytest.skip("this machine lets nobody mount /proc")
        assert first == b"\n"  # the first process of the machine is not seen
        process.send_signal(signal.SIGSTOP)
        assert process.wait(LIMIT) == -signal.SIGKILL


# The fence


class Clock:
    """Seconds that pass when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_after_a_gap_nothing_is_done_that_is_anothers() -> None:
    clock, taken, done = Clock(), [False], list[int]()
    fence = Fence(lambda: taken[0], clock)
    taken[0] = True
    fence.check()  # no gap: it is not even asked
    clock.now = UNSURE_AFTER + 0.1
    fence.run(lambda: done.append(1))
    with pytest.raises(Fenced):
        fence.check()
    await fence.wait_fenced()
    taken[0] = False
    fence.turn()
    assert (fence.is_fenced, done) == (True, [])


async def test_a_gap_in_which_nobody_took_over_changes_nothing() -> None:
    clock, done = Clock(), list[int]()
    fence = Fence(lambda: False, clock)
    clock.now = 10 * UNSURE_AFTER
    fence.run(lambda: done.append(1))
    fence.check()
    assert done == [1]


# Membership


class HeardAsterisk:
    """Sends the events that are asked for, unless it is deaf, and has no applications."""

    def __init__(self, application: str) -> None:
        self.application = application
        self.connected = asyncio.Event()
        self.connected.set()
        self.hear: Callable[[dict[str, Any]], None] = lambda _: None
        self.is_deaf = self.is_stuck = False
        self.requests: list[str] = []

    async def request(
        self, method: str, path: str, query: object = None, *, body: Any = None, **how: object
    ) -> list[object]:
        self.requests.append(f"{method} {path}")
        if self.is_stuck:
            await asyncio.Future()
        if method == "POST" and not self.is_deaf:
            self.hear({"eventname": path.rpartition("/")[2], "userevent": body["variables"]})
        return []

    async def connect_again(self) -> None: ...


@asynccontextmanager
async def member_of(
    folder: Path, instance: str, admitted: float = ADMITTED
) -> AsyncIterator[tuple[ClusterMembership, HeardAsterisk, list[tuple[str, bool]]]]:
    """A member that runs, its Asterisk, and from whom it took over."""
    asterisk, taken = HeardAsterisk(instance), list[tuple[str, bool]]()

    async def take_over(dead: str, in_order: bool) -> None:
        taken.append((dead, in_order))

    fence = Fence(lambda: member_files.is_taken_over(folder, instance))
    admission = AdmissionControl(admitted)
    it = ClusterMembership(cast(Ari, asterisk), fence, folder, take_over, admission)

    def hear(event: dict[str, Any]) -> None:
        it.heard()
        it.on_event(event)

    asterisk.hear = hear
    running = asyncio.create_task(it.run())
    try:
        yield it, asterisk, taken
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_one_of_two_takes_over_from_a_killed_member(
    folder: Path, member: subprocess.Popen[bytes]
) -> None:
    async with member_of(folder, "line-1.a") as (one, _, a), member_of(folder, "line-2.b") as b:
        await until(lambda: one.alive == {"line-2.b", "line-9.a"}, limit=LIMIT)
        assert one.serving == {"line-2.b"}
        member.kill()
        member.wait()
        await until(lambda: bool(a + b[2]), limit=LIMIT)
        await until(lambda: not one.dead | b[0].dead, limit=LIMIT)
        assert a + b[2] == [("line-9.a", False)]
        assert living(folder) == {"line-1.a": True, "line-2.b": True}
    assert living(folder) == {}


@pytest.mark.alone
@pytest.mark.parametrize(
    ("fault", "limit"), [(signal.SIGKILL, 2.0), (signal.SIGSTOP, 2.0), (signal.SIGUSR1, 5.0)]
)
async def test_a_death_is_noticed_by_another_in_time(
    folder: Path, fault: signal.Signals, limit: float
) -> None:
    """By the kernel, or by the sentinel that finds it stopped, or its loop standing still."""
    process = begin(folder, GUARDED.format(sentinel=SENTINEL, then=TURNS))
    try:
        async with member_of(folder, "line-1.a") as (one, _, taken):
            await until(lambda: one.alive == {"line-9.a"}, limit=LIMIT)
            begun_at = time.monotonic()
            process.send_signal(fault)
            await until(lambda: taken == [("line-9.a", False)], limit=LIMIT)
            require_within(time.monotonic() - begun_at, limit, f"{fault.name} is noticed")
    finally:
        process.kill()
        process.wait()


async def test_a_heartbeat_requests_nothing_but_its_echo(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No list: it grows with the calls, and came with every beat once."""
    for interval in ("TICK_INTERVAL", "ECHO_INTERVAL", "QUIET_ECHO_INTERVAL"):
        monkeypatch.setattr(membership, interval, 0.02)
    async with (
        member_of(folder, "line-1.a") as (one, asterisk, _),
        member_of(folder, "line-2.b") as (_, other, _),
    ):
        await until(lambda: one.alive == {"line-2.b"}, limit=LIMIT)
        await until(lambda: min(len(asterisk.requests), len(other.requests)) > 5, limit=LIMIT)
        assert {*asterisk.requests, *other.requests} == {"POST events/user/echo"}


async def test_a_member_whose_file_is_deleted_makes_it_anew(folder: Path) -> None:
    async with member_of(folder, "line-1.a") as (one, _, _), member_of(folder, "line-2.b") as it:
        await until(lambda: it[0].alive == {"line-1.a"}, limit=LIMIT)
        one.path.unlink()
        await until(lambda: living(folder) == {"line-1.a": True, "line-2.b": True}, limit=LIMIT)
        assert (it[0].dead, it[2]) == (set(), [])
    assert living(folder) == {}


async def test_an_unreadable_member_is_not_taken_for_dead(
    folder: Path, member: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when no file can be opened any more."""

    def fail(_: Path) -> list[str]:
        raise OSError(errno.EMFILE, "too many open files")

    async with member_of(folder, "line-1.a") as (one, _, taken):
        await until(lambda: one.alive == {"line-9.a"}, limit=LIMIT)
        with monkeypatch.context() as without_files:
            without_files.setattr("os.listdir", fail)
            one.turn()
            assert (one.alive, one.dead) == ({"line-9.a"}, set())
        member.kill()
        member.wait()
        await until(lambda: taken == [("line-9.a", False)], limit=LIMIT)


async def test_who_leaves_in_order_is_taken_over_from_at_once(folder: Path) -> None:
    async with member_of(folder, "line-1.a") as (_, _, taken), member_of(folder, "line-2.b") as it:
        await until(lambda: it[0].alive == {"line-1.a"}, limit=LIMIT)
        it[0].leave()
        await until(lambda: taken == [("line-2.b", True)], limit=LIMIT)
        assert it[0].alive == {"line-1.a"}


async def test_exactly_one_of_those_that_serve_is_first(folder: Path) -> None:
    async with member_of(folder, "line-2.b") as (second, _, _):
        await until(lambda: second.is_first, limit=LIMIT)
        async with member_of(folder, "line-1.a") as (first, _, _):
            await until(lambda: first.serving == {"line-2.b"}, limit=LIMIT)
            await until(lambda: (first.is_first, second.is_first) == (True, False), limit=LIMIT)
            first.stop_serving()
            await until(lambda: (first.is_first, second.is_first) == (False, True), limit=LIMIT)


async def test_a_watchdog_that_died_is_forgotten(folder: Path) -> None:
    MemberFile(folder, "watchdog-a").close(remove=False)
    async with member_of(folder, "line-1.a") as (_, _, taken):
        await until(lambda: living(folder) == {"line-1.a": True}, limit=LIMIT)
        assert taken == []


async def test_who_is_late_is_neither_dead_nor_fenced(
    folder: Path, member: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its loop does not turn for long, while somebody waits for the processor all the time."""
    monkeypatch.setattr(membership, "FROZEN_AFTER", 0.0)
    monkeypatch.setattr(membership, "cpu_pressure", time.monotonic)
    async with member_of(folder, "line-1.a") as (one, _, taken):
        for _ in range(5):
            one.on_event({})
            await asyncio.sleep(membership.TICK_INTERVAL)
        assert (one.alive, taken) == ({"line-9.a"}, [])


async def test_who_is_frozen_whole_is_taken_over_from(
    folder: Path, member: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one whose sentinel is stopped too: nobody waited for the processor meanwhile."""
    monkeypatch.setattr(membership, "FROZEN_AFTER", 0.5)
    monkeypatch.setattr(membership, "cpu_pressure", lambda: 0.0)
    async with member_of(folder, "line-1.a") as (_, _, taken):
        await until(lambda: taken == [("line-9.a", False)], limit=LIMIT)


async def test_what_a_frozen_member_had_claimed_is_taken_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "FROZEN_AFTER", 0.5)
    monkeypatch.setattr(membership, "cpu_pressure", lambda: 0.0)
    MemberFile(folder, "line-8.b").close(remove=False)
    frozen = MemberFile(folder, "line-9.a")
    frozen.publish(MemberRecord(ticks=1, claims=("line-8.b",)))
    with claimed(folder, "line-8.b") as is_its:
        assert is_its
        async with member_of(folder, "line-1.a") as (_, _, taken):
            await until(lambda: len(taken) == 2, limit=LIMIT)
        assert taken == [("line-9.a", False), ("line-8.b", False)]
    frozen.close(remove=True)


async def test_a_deaf_member_gives_calls_up_if_another_hears(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "CUT_OFF_AFTER", 1.0)
    monkeypatch.setattr(membership, "ECHO_INTERVAL", 0.1)
    monkeypatch.setattr(membership, "LATE_AFTER", 60.0)
    async with member_of(folder, "line-1.a") as (deaf, asterisk, _):
        deaf.heard()
        asterisk.is_deaf = True
        await until(lambda: deaf.seconds_since_heard > 2.0, limit=LIMIT)
        deaf.fence.check()  # alone it goes on trying
        async with member_of(folder, "line-2.b") as (_, _, taken):
            await deaf.fence.wait_fenced()
            assert taken == []  # not before its process has ended


async def test_who_never_heard_asterisk_gives_nothing_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "CUT_OFF_AFTER", 0.0)
    monkeypatch.setattr(membership, "MISSED_AFTER", -LIMIT)
    other = MemberFile(folder, "line-2.b")
    async with member_of(folder, "line-1.a") as (it, asterisk, _):
        asterisk.is_deaf = True
        await until(lambda: it.path.exists(), limit=LIMIT)
        for has_heard in (False, True):
            if has_heard:
                it.heard()
            hears = MemberRecord(flags=MemberFlag.SERVES, heard_at=time.monotonic())
            other.publish(hears)
            it.turn()
            assert it.fence.is_fenced == has_heard
    other.close(remove=True)


# Admission


LATENESS = st.lists(st.tuples(st.floats(0.01, 2), st.floats(0, 1)), min_size=1)


@given(LATENESS)
def test_admission_is_closed_when_late_and_opened_after_a_calm(
    observed: list[tuple[float, float]],
) -> None:
    control, now, late_at = AdmissionControl(0.25), 0.0, float("-inf")
    for passed, lateness in observed:
        now += passed
        before = control.is_closed
        has_changed = control.observe(now, lateness)
        late_at = now if lateness >= 0.25 else late_at
        assert has_changed == (control.is_closed != before)
        assert control.is_closed or lateness < 0.25
        is_opened = before and not control.is_closed
        assert not is_opened or now - late_at >= REOPEN_AFTER


def observe(control: AdmissionControl, begun: float, *latenesses: float) -> float:
    """Three observations a second, as a controller has; returns when the next is due."""
    for number, lateness in enumerate(latenesses):
        control.observe(begun + number / 3, lateness)
    return begun + len(latenesses) / 3


def closed(control: AdmissionControl) -> bool:
    return control.is_closed


def test_admission_is_closed_by_turns_that_stay_late() -> None:
    control = AdmissionControl(0.25)
    now = observe(control, 0.0, 0.2, *9 * [0.01])
    assert not closed(control)  # one late turn alone
    observe(control, now, *6 * [0.12])
    assert closed(control)


def test_admission_stays_closed_while_the_machine_is_strained() -> None:
    control = AdmissionControl(0.25)
    now = observe(control, 0.0, 0.3, *30 * [0.06])  # ten seconds, and never as late as it was
    assert closed(control)
    observe(control, now, *15 * [0.002])  # five: over two of them the strain leaves the mean
    assert not closed(control)


def test_admission_waits_longer_after_a_calm_that_did_not_last() -> None:
    control = AdmissionControl(0.25)
    now = observe(control, 0.0, 0.3, *18 * [0.002])
    assert not closed(control)
    now = observe(control, now, 0.3, *15 * [0.002])
    assert closed(control)
    observe(control, now, *6 * [0.002])  # seven seconds after the load's end
    assert not closed(control)


def test_after_an_overload_few_calls_are_claimed_at_first() -> None:
    """More each second: thirty at once made a controller late again."""
    control = AdmissionControl(0.25)
    assert all(control.admits(number / 30) for number in range(90))
    opened_at = observe(control, 3.0, 0.3)
    while closed(control):
        opened_at = observe(control, opened_at, 0.002)
    opened_at -= 1 / 3
    claimed = [control.admits(opened_at + number / 30) for number in range(35 * 30)]
    assert [sum(claimed[30 * each : 30 * each + 30]) for each in (0, 1, 2, 9)] == [1, 3, 5, 19]
    assert all(claimed[30 * 31 :])


async def test_admission_is_closed_while_asterisk_answers_nothing(folder: Path) -> None:
    async with member_of(folder, "line-1.a", admitted=3.0) as (one, asterisk, _):
        one.judge_lateness()
        asterisk.is_stuck = True
        await until(lambda: one.admission.is_closed, limit=LIMIT)


async def test_what_is_late_by_the_own_start_closes_nothing(folder: Path) -> None:
    async with member_of(folder, "line-1.a", admitted=0.2) as (one, _, _):
        for is_start_over in (False, True):
            await asyncio.sleep(0)  # it runs
            time.sleep(membership.TICK_INTERVAL + 0.3)  # noqa: ASYNC251 this is what is late
            await until(lambda: one.lateness > 0.2, limit=LIMIT)
            assert one.admission.is_closed == is_start_over
            one.judge_lateness()
            await until(lambda: one.lateness < 0.2, limit=LIMIT)


async def test_it_is_seen_when_no_member_admits_new_calls(folder: Path) -> None:
    async with member_of(folder, "line-1.a") as (one, _, _), member_of(folder, "line-2.b") as it:
        await until(lambda: one.alive == {"line-2.b"}, limit=LIMIT)
        one.judge_lateness()
        it[0].judge_lateness()
        assert not one.nobody_admits
        it[0].admission.observe(time.monotonic(), ADMITTED)
        await until(lambda: one.nobody_admits, limit=LIMIT)
        assert is_admitting(folder)  # the first is not late
        one.admission.observe(time.monotonic(), ADMITTED)
        await until(lambda: not is_admitting(folder), limit=LIMIT)
        await until(lambda: not one.nobody_admits, limit=LIMIT)  # it is late no more
