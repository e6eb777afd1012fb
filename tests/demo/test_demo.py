"""`callcenter demo` and `callcenter check` as a person runs them, on all real parts."""

import asyncio
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from callcenter.appeals.rules.number import is_valid
from callcenter.commands.check import CHECKS
from callcenter.commands.demo import demo_settings
from callcenter.launcher.port_check import with_free_ports
from callcenter.launcher.process_plan import ours, product
from callcenter.launcher.sandbox import can_confine
from callcenter.launcher.supervisor import ProcessSupervisor, environment
from callcenter.platform.core.settings import Settings
from tests.services import new_folder

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def copy(short_folder: Path, settings: Settings) -> Settings:
    """Settings of a copy that starts all its servers itself, in a folder with a short path."""
    var = new_folder(short_folder / "copy")
    return with_free_ports(settings, var=var, recordings=var / "recordings")


def test_the_demo_registers_with_no_operator(settings: Settings) -> None:
    operators = {"beeline": {"registrar": "sip:sip.example.kz", "user": "7172111"}}
    mine = with_free_ports(settings, operators=operators, operator_networks=("192.0.2.0/24",))
    demo = demo_settings(mine)
    assert demo.operators == {}
    assert [str(each) for each in demo.operator_networks] == ["127.0.0.2/32"]


# What runs in each part as it begins: somebody who has taken it over, and tries the keys.
THIEF = """
import os, pathlib, sys
if sys.argv[1:2] and sys.argv[1] in ("controller", "watchdog", "web", "portal", "worker"):
    try:
        pathlib.Path(os.environ["CALLCENTER_VAR"], "keys/recordings/0001.key").read_text()
        told = "has the key"
    except PermissionError:
        told = "is kept from the key"
    print("the thief", told, file=sys.stderr, flush=True)
"""


def test_the_demo_shows_a_call_its_appeal_and_its_recording(
    copy: Settings, tmp_path: Path, built_prompts: Path
) -> None:
    """And whoever takes over a controller does not get the keys (docs/decisions/0053)."""
    prompts = shutil.copytree(built_prompts, copy.var / "demo" / "prompts")
    (prompts / "kk" / "greeting.alaw").unlink()  # it builds what is missing
    (tmp_path / "sitecustomize.py").write_text(THIEF)
    done = subprocess.run(
        ours("demo"),
        env={**environment(copy), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = dict(
        line.split(maxsplit=1) for line in done.stdout.splitlines() if len(line.split()) > 1
    )
    assert is_valid(shown["number"])
    assert shown["outcome"] == "talked"
    assert shown["message"].endswith(", portal, ru")
    assert len(shown["receipt"].split()) == 5
    assert Path(shown["recording"]).read_bytes().startswith(b"age-encryption.org/v1\n")
    logs = copy.var / "demo" / "log"
    log_texts = {name: (logs / f"{name}.log").read_text() for name in ("web", "worker", *KEYLESS)}
    assert {name for name, text in log_texts.items() if "the thief has the key" in text} == (
        {"web", "worker"} if can_confine() else log_texts.keys()
    )
    if can_confine():
        assert all("the thief is kept from the key" in log_texts[name] for name in KEYLESS)


KEYLESS = ("watchdog", "line-1", "line-2", "portal")


@pytest.mark.slow
def test_a_demo_with_a_missing_step_fails_and_names_it(
    copy: Settings, tmp_path: Path, built_prompts: Path
) -> None:
    shutil.copytree(built_prompts, copy.var / "demo" / "prompts")
    # A worker that is not there: the recording never reaches the store.
    broken = tmp_path / "sitecustomize.py"
    broken.write_text(
        "import sys\nif sys.argv[1:2] == ['worker']:\n"
        "    from callcenter.launcher.sd_notify import ready\n    ready('idle')\n"
        "    import signal\n    signal.pause()\n"
    )
    packages = sysconfig.get_path("purelib")
    done = subprocess.run(
        ours("demo"),
        env={**environment(copy), "PYTHONPATH": f"{tmp_path}:{packages}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "the demo failed: not within 20 s: the appeal has its outcome" in done.stderr


@pytest.mark.slow
async def test_check_reports_faults_and_then_that_all_is_well(
    copy: Settings, whole_prompts: Path
) -> None:
    shutil.copytree(whole_prompts, copy.prompts)
    first = await call(copy, "check")
    assert first.returncode == 1
    assert "cannot reach the database" in first.stdout
    supervisor = ProcessSupervisor(copy, product, lambda line: None)
    await supervisor.start()
    try:
        lonely = await call(copy, "check")
        assert lonely.returncode == 1
        assert "no active consultant speaks kk, ru" in lonely.stdout
        add_consultantd = await call(
            copy, "consultants", "add", "201", "--name", "A", "--languages", "kk,ru"
        )
        assert add_consultantd.returncode == 0, add_consultantd.stderr
        well = await call(copy, "check")
        assert well.returncode == 0, well.stdout
        listed = well.stdout.splitlines()
        assert [line for line in listed if not line.startswith("  ")] == [*CHECKS]
        assert max(map(len, listed)) < 300
        assert any(line.split()[:2] == ["warn", "prompts"] for line in listed)
    finally:
        await supervisor.stop()


async def call(copy: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        ours(*arguments),
        env=environment(copy),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
