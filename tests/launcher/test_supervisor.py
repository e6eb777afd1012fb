import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from callcenter.launcher.managed_process import WAITS, ProcessSpec
from callcenter.launcher.port_check import LOOPBACK, Port, free_port, hold_port
from callcenter.launcher.processes import last_line
from callcenter.launcher.supervisor import LaunchStep, environment
from callcenter.platform.core.errors import DependencyUnavailable, InvalidRequest
from callcenter.platform.core.log_files import LIMIT
from callcenter.platform.core.settings import Settings, read_settings
from tests.launcher.rig import SERVES, Copy, joined, part, processes_of, script, wait_until_gone
from tests.polling import until

Making = Callable[..., Copy]


@pytest.fixture
async def copy_of(settings: Settings) -> AsyncIterator[Making]:
    """Makes copies that are stopped after the test, whatever became of it."""
    copies: list[Copy] = []

    def make(*stages: Sequence[ProcessSpec | LaunchStep]) -> Copy:
        copies.append(Copy(settings, *stages))
        return copies[-1]

    yield make
    for each in copies:
        await each.stop()
    wait_until_gone(settings.var)


async def test_each_process_is_announced_with_pid_and_address(copy_of: Making) -> None:
    copy = copy_of([part("first")], [part("second")])
    await copy.start()
    for name in ("first", "second"):
        assert copy.heard(name, "ready", f"pid {copy.child(name).pid} ", "nowhere")
        assert psutil.Process(copy.child(name).pid).is_running()


async def test_what_waits_for_a_person_keeps_nobody_from_serving(copy_of: Making) -> None:
    """As callers are served while a restore into the database is not finished."""
    waits = f"print('half restored', flush=True); raise SystemExit({WAITS})"
    copy = copy_of(
        [LaunchStep("step", script(waits))], [part("waits", waits)], [part("serves", SERVES)]
    )
    await copy.start()
    assert copy.heard("step", "left out: half restored")
    await until(lambda: copy.heard("waits", "died (half restored); starting it again"))
    assert copy.heard("serves", "ready")


async def test_each_part_has_its_turn_on_a_busy_processor(copy_of: Making) -> None:
    copy = copy_of([part("late", nice=3)], [part("plain")])  # anybody may ask for later than 0
    await copy.start()
    assert turns(copy.child("late").pid) == {3}
    assert turns(copy.child("plain").pid) == {0}


def turns(pid: int) -> set[int]:
    """Of the process, and of its session where the kernel shares the processor among those."""
    found = {psutil.Process(pid).nice()}
    with suppress(OSError):
        found.add(int(Path(f"/proc/{pid}/autogroup").read_text().rpartition("nice ")[2]))
    return found


async def test_stopping_leaves_no_process_or_descendant(
    copy_of: Making, settings: Settings
) -> None:
    forks = "import subprocess; subprocess.Popen(['sleep', '600'])"
    copy = copy_of([part("parent", joined(forks, SERVES))])
    await copy.start()
    assert len(processes_of(settings.var)) == 2
    await copy.stop()
    wait_until_gone(settings.var)


async def test_parts_stop_in_reverse_order(copy_of: Making, tmp_path: Path) -> None:
    report = tmp_path / "told"
    says_goodbye = """
        import pathlib, signal, sys
        from callcenter.launcher.sd_notify import ready
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        ready("nowhere")
        signal.sigwait([signal.SIGTERM])
        with pathlib.Path(sys.argv[2]).open("a") as file:
            file.write(sys.argv[1])
    """
    copy = copy_of(*([part(name, says_goodbye, name, report)] for name in "abc"))
    await copy.start()
    await copy.stop()
    assert report.read_text() == "cba"


async def test_a_held_port_is_never_free(copy_of: Making, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    hears = """
        import os, pathlib, socket, sys
        from callcenter.launcher.sd_notify import ready
        ready("nowhere")
        sock = socket.socket(fileno=int(os.environ["HELD"]))
        while data := sock.recv(100):
            with pathlib.Path(sys.argv[1]).open("ab") as file:
                file.write(data)
    """
    port = Port(socket.SOCK_DGRAM, LOOPBACK, free_port(socket.SOCK_DGRAM), "ITS_SETTING")
    copy = copy_of([part("other")], [part("hears", hears, heard, held_port=("HELD", port))])
    await copy.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((LOOPBACK, port.number))
        sender.send(b"1")
        await until(lambda: heard.exists() and heard.read_bytes() == b"1")
        before = copy.child("hears").pid
        copy.child("hears").kill()
        await until(lambda: not psutil.pid_exists(before))
        sender.send(b"2")
        with pytest.raises(DependencyUnavailable, match="in use"):
            hold_port(port)
        await until(lambda: heard.read_bytes() == b"12")
    await copy.stop()
    hold_port(port).close()


async def test_a_part_that_does_not_listen_is_killed(copy_of: Making, settings: Settings) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    copy = copy_of([part("deaf", joined(deaf, SERVES), stop_timeout=0.2)])
    await copy.start()
    await copy.stop()
    assert processes_of(settings.var) == []


async def test_a_process_with_a_stop_command_is_stopped_by_it(
    copy_of: Making, tmp_path: Path
) -> None:
    report = tmp_path / "told"
    stop_command = script(
        "import os, signal, sys; os.kill(int(open(sys.argv[1]).read()), signal.SIGINT)", report
    )
    notes_its_pid = """
        import os, pathlib, signal, sys
        from callcenter.launcher.sd_notify import ready
        pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored under nohup
        try:
            ready("nowhere")
            signal.pause()
        except KeyboardInterrupt:
            pathlib.Path(sys.argv[1]).write_text("stopped in its own way")
    """
    copy = copy_of([part("own", notes_its_pid, report, stop_command=stop_command)])
    await copy.start()
    await copy.stop()
    assert report.read_text() == "stopped in its own way"


async def test_a_dead_process_is_restarted_and_reported(copy_of: Making) -> None:
    copy = copy_of([part("mortal")])
    await copy.start()
    before = copy.child("mortal").pid
    copy.child("mortal").kill()
    await copy.child("mortal").serving(20)
    assert copy.child("mortal").pid != before
    assert copy.heard("mortal", "died (killed by SIGKILL); starting it again in 0.2 s")


async def test_the_pause_grows_while_a_part_keeps_dying(copy_of: Making, tmp_path: Path) -> None:
    once = """
        import pathlib, sys
        if pathlib.Path(sys.argv[1]).exists():
            sys.exit(3)
        pathlib.Path(sys.argv[1]).touch()
    """
    copy = copy_of([part("ill", joined(once, SERVES), tmp_path / "been here")])
    await copy.start()
    copy.child("ill").kill()
    await until(lambda: copy.heard("ill", "exit status 3", "0.8 s"))
    assert copy.heard("SIGKILL", "0.2 s")
    assert copy.heard("exit status 3", "0.4 s")


async def test_what_a_part_says_without_end_is_bounded(copy_of: Making, settings: Settings) -> None:
    copy = copy_of([part("chatty", joined(f"print('x' * {LIMIT + 1})", SERVES))])
    await copy.start()
    log = settings.var / "log" / "chatty.log"
    await until(lambda: log.stat().st_size == 0)
    assert log.with_name("chatty.log.1").stat().st_size == LIMIT


async def test_a_failed_start_shows_last_words_and_stops_the_others(
    copy_of: Making, settings: Settings
) -> None:
    copy = copy_of(
        [part("good")], [part("bad", "raise SystemExit('the disk is full\\n')"), part("other")]
    )
    with pytest.raises(DependencyUnavailable) as error:
        await copy.start()
    assert "bad cannot be started (exit status 1): the disk is full" in str(error.value)
    assert str(settings.var / "log" / "bad.log") in str(error.value)
    assert "\n" not in str(error.value)
    assert processes_of(settings.var) == []


async def test_a_part_that_never_serves_is_named(copy_of: Making) -> None:
    copy = copy_of([part("silent", "import signal; signal.pause()", start_timeout=0.3)])
    with pytest.raises(
        DependencyUnavailable, match=r"silent cannot be started \(not ready after 0\.3 s\)"
    ):
        await copy.start()


async def test_a_program_that_is_missing_is_named(copy_of: Making) -> None:
    copy = copy_of([ProcessSpec(name="ghost", command=["/nonexistent/ghost"])])
    with pytest.raises(DependencyUnavailable, match=r"/nonexistent/ghost.*No such file"):
        await copy.start()


async def test_a_step_that_fails_is_named_with_its_last_words(
    copy_of: Making, settings: Settings
) -> None:
    failing = LaunchStep("migrate", script("raise SystemExit('no such table')"))
    copy = copy_of([part("good")], [failing], [part("never")])
    with pytest.raises(
        DependencyUnavailable, match=r"migrate failed \(exit status 1\): no such table"
    ):
        await copy.start()
    assert not copy.heard("never")
    assert processes_of(settings.var) == []


async def test_a_step_comes_before_the_next_stage(copy_of: Making, tmp_path: Path) -> None:
    made = tmp_path / "made"
    step = LaunchStep(
        "make", script("import pathlib, sys; pathlib.Path(sys.argv[1]).touch()", made)
    )
    needs_it = joined("import os, sys; os.stat(sys.argv[1])", SERVES)
    copy = copy_of([step], [part("user", needs_it, made)])
    await copy.start()
    assert not copy.heard("died")


async def test_a_copy_runs_only_once(copy_of: Making) -> None:
    first, second = copy_of([part("one")]), copy_of([part("one")])
    await first.start()
    with pytest.raises(InvalidRequest, match=rf"already running in .* \(pid {os.getpid()}\)"):
        await second.start()
    assert psutil.Process(first.child("one").pid).is_running()
    await first.stop()
    await second.start()


async def test_stopping_during_a_restart_delay_does_not_restart(
    copy_of: Making, settings: Settings
) -> None:
    copy = copy_of([part("mortal")])
    await copy.start()
    copy.child("mortal").kill()
    await until(lambda: copy.heard("starting it again"))
    await copy.stop()
    assert processes_of(settings.var) == []
    with pytest.raises(InvalidRequest, match="no part called mortal"):
        copy.child("mortal")


async def test_a_process_gets_exactly_the_settings_of_its_copy(
    copy_of: Making, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCENTER_PATIENCE", "7")
    changed = Settings.model_validate(
        {
            **settings.model_dump(exclude_none=True),
            "operator_networks": ["10.0.0.0/8", "192.0.2.0/24"],
            "operators": {"kcell": {"networks": ["203.0.113.0/24"]}},
            "retention_days": {"*": 1825},
            "redirect_keys": "##9",
            "metrics_port": None,
            "web_port": 1234,
            "redis_url": "redis://:secret@192.0.2.1/0",
            "patience": 8,
        }
    )
    for key in [key for key in os.environ if key.startswith("CALLCENTER_")]:
        monkeypatch.delenv(key)
    for key, value in environment(changed).items():
        monkeypatch.setenv(key, value)
    assert read_settings() == changed


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("first\nit cannot be\n\n", "it cannot be"),
        ("  | OSError: no room\n  | \n  +----------------\n", "OSError: no room"),
        ("-----\n", ""),
    ],
)
def test_the_last_words_of_a_process_are_whole(log: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(log)
    assert last_line(tmp_path / "log") == words


def test_processes_need_no_language_of_the_machine(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "kk_KZ.UTF-8")
    monkeypatch.setenv("LANGUAGE", "kk")
    given = environment(settings)
    assert given["LC_ALL"] == "C.UTF-8"
    assert "LANGUAGE" not in given


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings.model_validate({"var": tmp_path / "file" / "var"})
    with pytest.raises(DependencyUnavailable, match=r"cannot write in .*CALLCENTER_VAR"):
        await Copy(settings).start()


async def test_a_folder_that_cannot_hold_sockets_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"CALLCENTER_VAR.*too long|too long.*CALLCENTER_VAR"):
        await Copy(Settings.model_validate({"var": Path("/tmp/" + "x" * 90)})).start()


def test_a_relative_folder_is_relative_to_the_starting_place() -> None:
    assert Settings.model_validate({"var": Path("var")}).var == Path.cwd() / "var"


def test_all_parts_die_with_a_supervisor_that_is_killed(settings: Settings, tmp_path: Path) -> None:
    program = tmp_path / "keeper.py"
    program.write_text(PROGRAM)
    command = script(f"import runpy; runpy.run_path({str(program)!r}, run_name='__main__')")
    with subprocess.Popen(command, env=environment(settings), start_new_session=True) as supervisor:
        try:
            started = settings.var / "started"
            limit = time.monotonic() + 20
            while not started.exists():
                assert supervisor.poll() is None
                assert time.monotonic() < limit
                time.sleep(0.02)
            assert len(processes_of(settings.var)) == 3
            supervisor.send_signal(signal.SIGKILL)
            supervisor.wait(10)
            wait_until_gone(settings.var)
        finally:
            supervisor.kill()


PROGRAM = """
import asyncio
from callcenter.platform.core.settings import read_settings
from tests.launcher.rig import Copy, part

async def keep():
    settings = read_settings()
    await Copy(settings, [part("one"), part("two")]).start()
    (settings.var / "started").touch()
    await asyncio.Event().wait()

asyncio.run(keep())
"""
