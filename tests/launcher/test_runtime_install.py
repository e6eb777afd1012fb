"""The wheel and what is locked to run are all that runs, outside the clone too.

tests/launcher/test_up.py starts every process from the same installation.
"""

import asyncio
import re
import subprocess
from pathlib import Path
from zipfile import ZipFile

import pytest
from pydantic import SecretStr

from callcenter.cli import COMMANDS
from callcenter.commands.check import CHECKS
from callcenter.launcher.supervisor import environment
from callcenter.platform.core.settings import ROOT, Settings
from callcenter.platform.storage.jobs import WorkerResources
from tests.backup.conftest import offline_key, tools
from tests.backup.test_restore import empty, is_whole, lose, site

__all__ = ["empty", "offline_key", "site", "tools"]

pytestmark = pytest.mark.timeout(300)

#: What of the clone is the product, and what set-up adds to it.
NOT_OURS = {"__pycache__", "node_modules"}
PRODUCT = ("callcenter", "asterisk-conf", "dialplan", "migrations")
DATA_PREFIX = re.compile(r"^callcenter-[^/]+\.data/data/share/callcenter/")
BUNDLED = "callcenter/platform/web/packages/built/jssip.js"
# Also what a process imports only when it is used.
IMPORT_ALL = """
import importlib.util, pkgutil, callcenter
assert importlib.util.find_spec("pytest") is None, "the tools of tests are there"
names = [each.name for each in pkgutil.walk_packages(callcenter.__path__, "callcenter.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


@pytest.fixture
def installed(settings: Settings, empty_database: str) -> Settings:
    """Settings of a copy with a database without tables, of which nothing else runs."""
    return settings.model_copy(update={"database_url": SecretStr(empty_database)})


def run(
    settings: Settings, *command: str | Path, status: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, in a folder that is no clone."""
    done = subprocess.run(
        command,
        cwd=settings.var.parent,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done


def test_every_module_is_imported_without_the_tools_of_development(
    runtime: Path, settings: Settings
) -> None:
    assert int(run(settings, runtime / "python", "-c", IMPORT_ALL).stdout) > 300


def test_the_wheel_has_every_file_of_the_product(installation: Path) -> None:
    (wheel,) = installation.glob("*.whl")
    names = {DATA_PREFIX.sub("", name) for name in ZipFile(wheel).namelist()}
    product = {
        str(path.relative_to(ROOT))
        for folder in PRODUCT
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not NOT_OURS & set(path.parts)
    }
    assert BUNDLED in product
    assert {name for name in names if ".dist-info/" not in name} == product


def test_an_installation_migrates_renders_and_checks(runtime: Path, installed: Settings) -> None:
    program = runtime / "callcenter"
    listed = run(installed, program, "--help").stdout
    assert set(COMMANDS) <= set(re.findall(r"^  ([a-z-]+) ", listed, re.MULTILINE))
    run(installed, program, "migrate")
    run(installed, program, "render")
    checked = run(installed, program, "check", status=1).stdout  # no server runs but the database
    assert [line for line in checked.splitlines() if not line.startswith(" ")] == [*CHECKS]
    fit = set(re.findall(r"^  ok +(\S+)", checked, re.MULTILINE))
    assert {"asterisk", "calendar", "database", "rendered"} <= fit, checked


@pytest.mark.slow
async def test_an_installation_brings_a_lost_site_back(
    runtime: Path, site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    lost = await lose(site, empty)
    program = runtime / "callcenter"
    for command in (
        ("restore", "--identity", offline_key),
        ("audit", "verify"),
        ("recordings", "verify"),
    ):
        await asyncio.to_thread(run, empty, program, *command)
    await is_whole(empty, lost)


def test_state_of_an_installation_is_beside_its_environment(installation: Path) -> None:
    printed = "from callcenter.platform.core.settings import Settings; print(Settings().var)"
    python = (installation / ".venv" / "bin" / "python", "-c", printed)
    done = subprocess.run(python, cwd="/", env={}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(installation / "var")
