"""Who lives, who may act, and where a call is: the rules by which calls outlive a controller."""

import asyncio
from collections.abc import Mapping
from typing import cast
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.asterisk.ari import Ari
from callcenter.asterisk.lease import SURE, Fenced, Hold, Lease
from callcenter.asterisk.lives import BEAT, MISSED, Lives, Roll, Sign, read_sign
from callcenter.line.outcomes import Moment
from callcenter.line.whereabouts import Memory, Stage, Whereabouts, read


class Clock:
    """Seconds that pass when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_nobody_is_taken_for_dead_before_it_is_unsure_itself() -> None:
    assert (MISSED - 1) * BEAT > SURE


def test_who_is_silent_for_some_signs_of_mine_is_dead_and_not_for_time_that_passes() -> None:
    roll = Roll("line-1.a")
    roll.include(["line-1.a", "line-2.b", "line-3.c"])
    for serial in range(MISSED):
        assert roll.dead == set()
        roll.hear(Sign("line-2.b", serial))
        roll.hear(Sign("line-1.a", serial))
    assert roll.dead == {"line-3.c"}
    assert roll.serving == {"line-2.b"}
    roll.begin_anew()
    assert roll.dead == set()


def test_who_leaves_is_dead_at_once_and_who_does_not_serve_takes_nothing() -> None:
    roll = Roll("line-1.a")
    roll.hear(Sign("line-2.b", 1, leaves=True))
    roll.hear(Sign("line-3.c", 1, serves=False))
    assert roll.dead == {"line-2.b"}
    assert roll.serving == set()


def test_nobody_serves_from_the_last_sign_of_one_that_did_until_the_next() -> None:
    roll = Roll("watchdog-a")
    for serial in range(3):
        roll.hear(Sign("watchdog-a", serial, serves=False))
        roll.hear(Sign("watchdog-b", serial, serves=False))
    assert roll.unserved == 3
    assert roll.watching == {"watchdog-b"}
    roll.hear(Sign("line-1.a", 1))
    assert (roll.unserved, roll.serving) == (0, {"line-1.a"})
    roll.hear(Sign("watchdog-a", 4, serves=False))
    roll.hear(Sign("line-1.a", 2, leaves=True))
    assert (roll.unserved, roll.dead) == (1, {"line-1.a"})
    assert roll.silent("line-1.a") == MISSED
    roll.begin_anew()
    assert roll.unserved == roll.silent("line-1.a") == 0


@given(st.builds(Sign, st.text(), st.integers(), st.booleans(), st.booleans(), pid=st.integers()))
def test_a_sign_is_read_as_it_was_written(sign: Sign) -> None:
    assert read_sign(sign.written()) == sign


async def test_after_a_gap_deeds_wait_until_it_is_sure_and_are_done_in_order() -> None:
    clock, done = Clock(), list[int]()
    lease = Lease(clock)
    clock.now = SURE + 0.1
    lease.heard()  # buffered words do not hide the gap
    assert lease.hold is Hold.DOUBTFUL
    lease.when_sure(lambda: done.append(1))
    lease.when_sure(lambda: done.append(2))
    waiting = asyncio.create_task(lease.sure())
    await asyncio.sleep(0)
    assert (done, waiting.done()) == ([], False)
    lease.confirm()
    await waiting
    assert done == [1, 2]


async def test_whose_calls_are_anothers_does_nothing_for_good() -> None:
    clock, done = Clock(), list[int]()
    lease = Lease(clock)
    clock.now = SURE + 0.1
    lease.when_sure(lambda: done.append(1))
    lease.lose()
    lease.confirm()
    lease.when_sure(lambda: done.append(2))
    with pytest.raises(Fenced):
        await lease.sure()
    await lease.lost()
    assert done == []


class SlowSwitch:
    """Makes a bridge when told to, and says so later; knows which bridges there are."""

    application = "line-1.a"

    def __init__(self) -> None:
        self.asked, self.answers = asyncio.Event(), asyncio.Event()
        self.bridges = set[str]()

    async def request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, **how: object
    ) -> None:
        """As `Ari.request`, of bridges alone."""
        if method == "POST":
            self.bridges.add((query or {})["bridgeId"])
            self.asked.set()
            await self.answers.wait()
        else:
            self.bridges.remove(path.removeprefix("bridges/"))


async def test_who_is_stopped_while_it_claims_leaves_no_claim() -> None:
    async def nothing(*_: object) -> None: ...

    switch = SlowSwitch()
    lives = Lives(cast(Ari, switch), Lease(), nothing, list)
    taking = asyncio.create_task(lives._take("line-2.b"))
    await switch.asked.wait()
    taking.cancel()
    await asyncio.sleep(0)
    switch.answers.set()
    await asyncio.wait((taking,))
    assert (taking.cancelled(), switch.bridges) == (True, set())


def test_where_a_call_is_follows_from_its_moments_and_is_read_as_it_was_kept() -> None:
    kept: dict[str, str | None] = {}
    memory = Memory(Whereabouts(str(uuid4())), kept.__setitem__, "leg")
    memory.note(language="ru")
    memory.moment(Moment.WAITING, {})
    memory.moment(Moment.CONNECTED, {"consultant": "201"})
    memory.moment(Moment.RECORDING_STARTED, {"recording": "r"})
    memory.moment(Moment.HELD, {"how": "key"})
    memory.moment(Moment.GUEST_ANSWERED, {"consultant": "204"})
    now = memory.now
    assert (now.stage, now.language, now.consultant) == (Stage.TALKING, "ru", "201")
    assert (now.is_aside, now.guest, now.recording, now.is_proved) == (True, "204", "r", True)
    assert now.waits_since is not None
    assert read(kept["leg"] or "") == now
    memory.moment(Moment.TRANSFERRED, {"consultant": "204"})
    memory.moment(Moment.RECORDING_STOPPED, {"recording": "r"})
    assert (memory.now.consultant, memory.now.guest, memory.now.recording) == ("204", "", "")
    memory.over()
    assert kept == {"leg": None}


@given(st.text())
def test_what_is_not_where_a_call_is_is_nothing(written: str) -> None:
    assert read(written) is None


@pytest.mark.parametrize(
    "written", ['{"appeal": "x"}', '{"stage": "flying"}', "[]", "1", '{"appeal": 1}', '{"new": 1}']
)
def test_what_a_later_version_kept_is_nothing(written: str) -> None:
    assert read(written) is None
