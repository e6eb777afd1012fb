"""Side by side with the version before: what it is told, and who of the two takes over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from callcenter.telephony.asterisk.ari import Ari, AriRequestFailed
from callcenter.telephony.asterisk.cluster import former_heartbeats, member_files
from callcenter.telephony.asterisk.cluster.admission import AdmissionControl
from callcenter.telephony.asterisk.cluster.former_heartbeats import (
    FormerMembers,
    heartbeat_variables,
)
from callcenter.telephony.asterisk.cluster.member_files import MemberFile
from callcenter.telephony.asterisk.cluster.membership import ClusterMembership
from callcenter.telephony.asterisk.fence import Fence
from tests.polling import until
from tests.rules.test_membership import ADMITTED, LIMIT, HeardAsterisk

ME, OLD, OLD_WATCHDOG, DEAD = "line-1.new", "line-2.old", "watchdog-old", "line-3.dead"


class SharedAsterisk(HeardAsterisk):
    """Takes in what is sent to others, and keeps bridges and names of channels."""

    def __init__(self) -> None:
        super().__init__(ME)
        self.sent: list[dict[str, str]] = []
        self.bridges: set[str] = set()
        self.refused = 0  #: bridges that were there already
        self.named: dict[str, set[str]] = {}

    async def send_request(
        self, what: str, method: str, path: str, query: dict[str, str], body: Any, within: float
    ) -> None:
        if method == "POST":
            self.sent.append(body["variables"])
        else:
            await self.request(method, path, query)

    async def request(
        self, method: str, path: str, query: Any = None, *, body: Any = None, **how: object
    ) -> Any:
        match method, path.split("/"):
            case "GET", ["applications"]:
                return [{"name": n, "channel_ids": sorted(c)} for n, c in self.named.items()]
            case "DELETE", ["applications", name, "subscription"]:
                self.named[name].remove(query["eventSource"].removeprefix("channel:"))
                return {"name": name, "channel_ids": sorted(self.named[name])}
            case "DELETE", ["bridges", bridge]:
                self.bridges.remove(bridge)
            case "POST", ["bridges"]:
                if query["bridgeId"] in self.bridges:
                    self.refused += 1
                    raise AriRequestFailed("POST bridges: 409 exists", 409)
                self.bridges.add(query["bridgeId"])
            case _:
                return await super().request(method, path, query, body=body, **how)
        return []


class Member(ClusterMembership):
    """One of this version; `taken` are whom it took over from, and whether they left in order."""

    def __init__(self, asterisk: SharedAsterisk, folder: Path) -> None:
        self.taken: list[tuple[str, bool]] = []
        ari, admission = cast(Ari, asterisk), AdmissionControl(ADMITTED)
        super().__init__(ari, Fence(lambda: False), folder, self._take, admission)

    async def _take(self, instance: str, in_order: bool) -> None:
        self.taken.append((instance, in_order))


@asynccontextmanager
async def running(member: Member) -> AsyncIterator[None]:
    task = asyncio.create_task(member.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def nobody_falls_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """However late a test is."""
    monkeypatch.setattr(former_heartbeats, "SILENCE_LIMIT", 3600.0)


@pytest.fixture
def asterisk() -> SharedAsterisk:
    return SharedAsterisk()


@pytest.fixture
def former(asterisk: SharedAsterisk) -> FormerMembers:
    return FormerMembers(cast(Ari, asterisk))


@pytest.fixture
def member(asterisk: SharedAsterisk, tmp_path: Path) -> Member:
    return Member(asterisk, tmp_path)


def heartbeat(instance: str, *, serves: bool = True, leaves: bool = False) -> dict[str, Any]:
    variables = heartbeat_variables(instance, 7, serves=serves, leaves=leaves)
    return {"eventname": "life", "userevent": variables}


async def hear(
    former: FormerMembers, instance: str, *, serves: bool = True, leaves: bool = False
) -> None:
    """A heartbeat of this one, which is answered."""
    former.on_event(heartbeat(instance, serves=serves, leaves=leaves), ME, serves=True)
    await asyncio.sleep(0)


async def test_who_has_left_says_so_to_each_later_heartbeat(
    former: FormerMembers, asterisk: SharedAsterisk
) -> None:
    """Its process ends a moment later; they would wait two seconds for it to fall silent."""
    await hear(former, OLD)
    former.say_that_we_leave(ME)
    await hear(former, OLD)
    assert [each["leaves"] for each in asterisk.sent] == ["False", "True", "True"]
    assert [each["serves"] for each in asterisk.sent] == ["True", "False", "False"]


async def test_a_former_watchdog_that_left_watches_no_more(former: FormerMembers) -> None:
    await hear(former, OLD_WATCHDOG, serves=False)
    assert former.alive == {OLD_WATCHDOG}
    await hear(former, OLD_WATCHDOG, serves=False, leaves=True)
    assert former.alive == set()


async def test_one_version_alone_takes_over_from_a_dead_member(
    former: FormerMembers, asterisk: SharedAsterisk
) -> None:
    async with former.claimed(DEAD) as ours:
        assert (ours, asterisk.bridges) == (True, set())  # nobody of that version is there
    await hear(former, OLD)
    async with former.claimed(DEAD) as ours, former.claimed(DEAD) as again:
        assert (ours, again, asterisk.bridges) == (True, False, {f"estate-{DEAD}"})
    assert asterisk.bridges == set()


async def test_channels_we_hold_lose_the_names_of_the_dead(
    former: FormerMembers, asterisk: SharedAsterisk
) -> None:
    asterisk.named = {
        ME: {"caller", "consultant"},
        DEAD: {"consultant", "not-taken-over"},
        OLD: {"consultant"},
        "other": {"caller"},
    }
    await former.remove_names_of_dead({OLD})
    assert asterisk.named == {
        ME: {"caller", "consultant"},
        DEAD: {"not-taken-over"},
        OLD: {"consultant"},
        "other": {"caller"},
    }


async def test_a_member_waits_while_the_former_version_takes_over(
    member: Member, asterisk: SharedAsterisk, tmp_path: Path
) -> None:
    asterisk.named = {ME: {"consultant"}, DEAD: {"consultant"}}
    asterisk.bridges = {f"estate-{DEAD}"}
    MemberFile(tmp_path, DEAD).close(remove=False)
    member.on_event(heartbeat(OLD))
    async with running(member):
        await until(lambda: asterisk.refused > 1, limit=LIMIT)
        assert member.taken == []
        asterisk.bridges.clear()
        await until(lambda: not member.dead, limit=LIMIT)
    assert member.taken == [(DEAD, False)]
    assert (asterisk.named[DEAD], asterisk.bridges) == (set(), set())


async def test_names_of_dead_leave_what_the_former_version_took_over(
    member: Member, asterisk: SharedAsterisk
) -> None:
    """Its watchdog would hang up what is named with two dead controllers once this one leaves."""
    asterisk.named = {ME: set(), OLD: {"consultant"}, DEAD: {"consultant", "not-taken-over"}}
    member.on_event(heartbeat(OLD))
    member.on_event(heartbeat(DEAD, leaves=True))
    async with running(member):
        await until(lambda: asterisk.named[DEAD] == {"not-taken-over"}, limit=LIMIT)
    assert (member.taken, asterisk.named[OLD]) == ([], {"consultant"})


async def test_who_left_in_the_former_version_left_in_order(
    member: Member, asterisk: SharedAsterisk
) -> None:
    """Its callers hear no apology."""
    member.on_event(heartbeat(OLD, leaves=True))
    async with running(member):
        await until(lambda: bool(member.taken), limit=LIMIT)
    assert member.taken == [(OLD, True)]


async def test_a_member_listed_before_its_file_is_alive(
    member: Member, asterisk: SharedAsterisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asterisk lists a controller that has just started before its first turn is seen."""
    monkeypatch.setattr(former_heartbeats, "SILENCE_LIMIT", -1.0)
    asterisk.named = {ME: set(), OLD: {"caller"}}
    await member.look_for_former()
    file = MemberFile(tmp_path, OLD)
    member.turn()
    await asyncio.sleep(0)
    assert (member.alive, member.dead, member.taken) == ({OLD}, set(), [])
    file.close(remove=False)
    member.turn()
    assert (member.alive, member.dead) == (set(), {OLD})
    member_files.forget(tmp_path, OLD)  # as another does who has taken over from it
    member.turn()
    assert member.dead == set()
