"""The private Asterisk gets newer: a real one is restarted when it has no call, and else stays."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from callcenter.commands.check import Caution, look_at_tree
from callcenter.launcher.process_plan import asterisk
from callcenter.launcher.supervisor import LaunchPlan, ProcessSupervisor
from callcenter.platform.core.errors import DependencyUnavailable, OperationFailed
from callcenter.platform.core.settings import ROOT, Settings
from callcenter.sipphone.phone import Phone
from callcenter.telephony.asterisk import replacement
from callcenter.telephony.asterisk.config.private_tree import packages, stamp, unpacked_at
from callcenter.telephony.asterisk.config.renderer import make_switch_secrets, render, write
from callcenter.telephony.asterisk.open_files import process_of_asterisk
from tests.asterisk.switch import Switch, with_free_ports
from tests.launcher.rig import asterisk_tree
from tests.polling import until

OLDER, NEWER = "1:22.10.1-1", "1:22.10.1-2"


@pytest.fixture
def own_settings(settings: Settings, tmp_path: Path) -> Settings:
    """Settings with a private Asterisk; a call waits in its dialplan, for nobody claims it."""
    tree = asterisk_tree(tmp_path / "tree", OLDER)
    return with_free_ports(settings, claim_timeout=60, asterisk_tree=tree)


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    return asterisk_tree(tmp_path / "newer", NEWER)


@asynccontextmanager
async def supervised(settings: Settings) -> AsyncIterator[None]:
    """The real Asterisk as `callcenter up` runs it."""
    make_switch_secrets(settings)
    write(settings, render(settings, []))
    supervisor = ProcessSupervisor(
        settings, lambda each, context: LaunchPlan([[asterisk(each, context)]]), lambda _: None
    )
    await supervisor.start()
    try:
        yield
    finally:
        await supervisor.stop()


def pid(settings: Settings) -> int:
    return int(process_of_asterisk(settings).name)


async def replace(settings: Settings, newer: Path, within: float = 60) -> tuple[str, list[str]]:
    """What was done, and what was said and rendered meanwhile."""
    said: list[str] = []
    done = await asyncio.to_thread(
        replacement.replace,
        settings,
        newer,
        within=within,
        render=lambda: said.append("rendered"),
        say=said.append,
    )
    return done, said


def version(tree: Path) -> str:
    return packages(tree)["asterisk"]


def is_in_place(tree: Path, expected: str) -> bool:
    """Whether the tree has this version; between the two renames there is none to be read."""
    try:
        return version(tree) == expected
    except (FileNotFoundError, KeyError):
        return False


def trees(settings: Settings) -> dict[str, str]:
    """All that are left, and their versions."""
    folders = settings.asterisk_tree.parent.glob("*/usr")
    return {each.parent.name: version(each.parent) for each in folders}


async def test_it_is_restarted_after_the_last_call(own_settings: Settings, newer: Path) -> None:
    tree = own_settings.asterisk_tree
    sip = (str(own_settings.sip_address), own_settings.sip_port)
    async with supervised(own_settings), Phone(server=sip) as caller:
        before = pid(own_settings)
        first = await caller.call("111")
        await until(lambda: "trying" in first.moments, "a call is there")
        replacing = asyncio.create_task(replace(own_settings, newer))
        await until(lambda: is_in_place(tree, NEWER), "the newer one is in its place")
        second = await caller.call("111")  # also while it waits
        await until(lambda: "trying" in second.moments, "another call is there")
        await first.hang_up()
        assert pid(own_settings) == before
        await second.hang_up()
        done, said = await asyncio.wait_for(replacing, 60)
        assert pid(own_settings) != before
        assert done == "1 packages are newer, Asterisk is 22.10.1, and serves"
        assert said[0] == "rendered"
        assert said[1].startswith("waiting for a moment without a call: ")
        third = await caller.call("111")
        await until(lambda: "trying" in third.moments, "it takes calls")
        await third.hang_up()
    assert trees(own_settings) == {"tree": NEWER}


async def test_without_a_moment_free_of_calls_nothing_changes(
    own_settings: Settings, newer: Path
) -> None:
    switch = Switch(own_settings)
    async with switch, Phone(server=switch.sip) as caller:
        call = await caller.call("111")
        await until(lambda: "trying" in call.moments, "a call is there")
        with pytest.raises(OperationFailed, match="no moment without a call"):
            await replace(own_settings, newer, within=0)
        assert trees(own_settings) == {"tree": OLDER}
        await call.hang_up()
        another = await caller.call("111")
        await until(lambda: "trying" in another.moments, "it takes calls")
        await another.hang_up()


async def test_the_former_is_put_back_when_none_comes_up(
    own_settings: Settings, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replacement, "BOOT_TIMEOUT", 1.0)
    async with Switch(own_settings):  # nothing starts it again
        with pytest.raises(OperationFailed, match="whatever started it must start it now"):
            await replace(own_settings, newer)
    assert trees(own_settings) == {"tree": OLDER}


async def test_an_asterisk_that_is_not_fit_is_refused(own_settings: Settings, newer: Path) -> None:
    (newer / "usr" / "lib").unlink()
    with pytest.raises(DependencyUnavailable, match="there is none in"):
        await replace(own_settings, newer)
    assert version(own_settings.asterisk_tree) == OLDER


async def test_the_same_packages_restart_nothing(own_settings: Settings, tmp_path: Path) -> None:
    tree, same = own_settings.asterisk_tree, asterisk_tree(tmp_path / "same", OLDER)
    os.utime(stamp(tree), (0, 0))
    done, said = await replace(own_settings, same)
    assert done == f"Asterisk {OLDER} is the newest, and so are its libraries"
    assert said == []
    assert datetime.now(UTC) - unpacked_at(tree) < timedelta(minutes=10)
    assert trees(own_settings) == {"tree": OLDER}


async def test_one_that_does_not_run_is_replaced_at_once(
    own_settings: Settings, newer: Path
) -> None:
    done, said = await replace(own_settings, newer)
    assert done == "1 packages are newer, Asterisk is 22.10.1"
    assert said == []
    assert version(own_settings.asterisk_tree) == NEWER


def test_check_warns_of_an_asterisk_thirty_days_old() -> None:
    now = datetime.fromtimestamp(time.time(), UTC)
    assert look_at_tree(now - timedelta(days=29), now) == "renewed 29 days ago"
    with pytest.raises(Caution, match=r"renewed 31 days ago.*scripts/setup --renew"):
        look_at_tree(now - timedelta(days=31), now)


def test_every_package_of_the_real_tree_has_a_version() -> None:
    found = packages(ROOT / "var" / "asterisk-tree")
    assert {"asterisk", "asterisk-modules", "libc6", "libssl3t64"} <= set(found)
