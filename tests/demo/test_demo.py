"""`callcenter demo` and `callcenter check` as a person runs them, on all real parts."""

import asyncio
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from callcenter.appeals.number import is_valid
from callcenter.settings import Settings
from callcenter.up.confinement import can_confine
from callcenter.up.ports import with_free_ports
from callcenter.up.product import ours, product
from callcenter.up.supervisor import Supervisor, environment
from tests.services import new_folder

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def copy(short_folder: Path, settings: Settings) -> Settings:
    """Settings of a copy that starts all its servers itself, in a folder with a short path."""
    var = new_folder(short_folder / "copy")
    return with_free_ports(settings, var=var, recordings=var / "recordings")


# What runs in each part as it begins: somebody who has taken it over, and tries the keys.
THIEF = """
import os, pathlib, sys
if sys.argv[1:2] and sys.argv[1] in ("line", "watchdog", "web", "worker"):
    try:
        pathlib.Path(os.environ["CALLCENTER_VAR"], "keys/recordings/0001.key").read_text()
        told = "has the key"
    except PermissionError:
        told = "is kept from the key"
    print("the thief", told, file=sys.stderr, flush=True)
"""


def test_the_demo_shows_a_call_its_appeal_and_its_recording(copy: Settings, tmp_path: Path) -> None:
    """And whoever takes over a controller does not get the keys (docs/decisions/0060)."""
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
    assert Path(shown["recording"]).read_bytes().startswith(b"age-encryption.org/v1\n")
    logs = copy.var / "demo" / "log"
    told = {name: (logs / f"{name}.log").read_text() for name in ("web", "worker", *KEYLESS)}
    assert {name for name, text in told.items() if "the thief has the key" in text} == (
        {"web", "worker"} if can_confine() else told.keys()
    )
    if can_confine():
        assert all("the thief is kept from the key" in told[name] for name in KEYLESS)


KEYLESS = ("watchdog", "line-1", "line-2")


@pytest.mark.slow
def test_a_demo_in_which_something_does_not_happen_fails_and_says_what(
    copy: Settings, tmp_path: Path, whole_prompts: Path
) -> None:
    shutil.copytree(whole_prompts, copy.var / "demo" / "prompts")
    # A worker that is not there: the recording never reaches the store.
    broken = tmp_path / "sitecustomize.py"
    broken.write_text(
        "import sys\nif sys.argv[1:2] == ['worker']:\n"
        "    from callcenter.up.notify import ready\n    ready('idle')\n"
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
async def test_check_says_what_is_wrong_and_then_that_all_is_well(
    copy: Settings, whole_prompts: Path
) -> None:
    shutil.copytree(whole_prompts, copy.prompts)
    first = await call(copy, "check")
    assert first.returncode == 1
    assert "cannot reach the database" in first.stdout
    supervisor = Supervisor(copy, product, lambda line: None)
    await supervisor.start()
    try:
        lonely = await call(copy, "check")
        assert lonely.returncode == 1
        assert "no active consultant speaks kk, ru" in lonely.stdout
        hired = await call(copy, "consultants", "add", "201", "--name", "A", "--languages", "kk,ru")
        assert hired.returncode == 0, hired.stderr
        well = await call(copy, "check")
        assert well.returncode == 0, well.stdout
        assert "kk/greeting" in well.stdout
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
