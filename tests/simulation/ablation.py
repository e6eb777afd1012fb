"""Safeguards of the product, each taken out by itself: a simulation that misses it is too weak.

Each is a context manager within which one safeguard is gone. `tests/simulation/test_ablation.py`
finds each within a hundred seeds; `docs/decisions/0117` has the table.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.asterisk import ari
from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.asterisk.channel_registry import ChannelRegistry
from callcenter.telephony.asterisk.cluster import member_files, membership, orphaned_calls
from callcenter.telephony.asterisk.cluster.admission import AdmissionControl
from callcenter.telephony.asterisk.cluster.leaked_channels import LeakedChannelReaper
from callcenter.telephony.asterisk.cluster.member_files import MemberRecord
from callcenter.telephony.asterisk.cluster.membership import ClusterMembership
from callcenter.telephony.asterisk.cluster.orphaned_calls import (
    OrphanedCall,
    OrphanedChannels,
    TakeoverResult,
)
from callcenter.telephony.asterisk.cluster.watchdog import Watchdog
from callcenter.telephony.asterisk.fence import Fence
from callcenter.telephony.asterisk.node import AsteriskNode
from callcenter.telephony.calls.call_state import CallState
from callcenter.telephony.calls.journal.call_record import CallRecord
from callcenter.telephony.calls.journal.journal import Journal
from callcenter.telephony.controller.call_state_store import RedisCallStateStore
from callcenter.telephony.controller.lost_call_recovery import LostCallRecovery
from callcenter.telephony.controller.takeover import Takeover
from tests.simulation.host import Host
from tests.simulation.network import RawSocket
from tests.simulation.scenario import FaultKind

SILENCE = 1.4  # seconds without a turn after which the rule of before took a member for dead

Ablation = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Safeguard:
    """A safeguard, and what takes it out."""

    name: str
    decision: int  #: the number of the decision that it stands in
    without: Ablation
    found_at: int = 0  #: the first seed that finds it missing
    kinds: tuple[FaultKind, ...] = ()  #: the faults that it is for; empty: all that are drawn


def _replaced(owner: object, name: str, value: object) -> Ablation:
    return lambda: patch.object(owner, name, value)


async def _for_ever(*_: object, **__: object) -> None:
    await asyncio.Event().wait()


async def _nothing(*_: object, **__: object) -> None:
    pass


def _late_are_dead() -> AbstractContextManager[object]:
    """The rule before decision 82: whoever is silent is dead."""
    read, turned = member_files.read_members, dict[tuple[str, str], tuple[int, float]]()

    def read_members(folder: Any, but_for: str = "") -> Iterator[tuple[str, MemberRecord, bool]]:
        now = asyncio.get_running_loop().time()
        for name, record, is_alive in read(folder, but_for):
            seen = turned.get((but_for, name))
            if seen is None or seen[0] != record.ticks:
                seen = turned[but_for, name] = (record.ticks, now)
            yield name, record, is_alive and now - seen[1] <= SILENCE

    return patch.object(member_files, "read_members", read_members)


@contextmanager
def _claimed_by_all(folder: Any, instance: str) -> Iterator[bool]:
    yield True


@asynccontextmanager
async def _plain_timeout(seconds: float) -> Any:
    async with asyncio.timeout(seconds):
        yield


def _takes_over_once() -> AbstractContextManager[object]:
    original = ClusterMembership.with_claim

    async def with_claim(self: ClusterMembership, instance: str, action: Any) -> None:
        async def once(instance: str) -> None:
            try:
                await action(instance)
            except OperationFailed:
                self.forget(instance)

        await original(self, instance, once)

    return patch.object(ClusterMembership, "with_claim", with_claim)


async def _whole_at_any_rate(
    registry: ChannelRegistry, orphaned: OrphanedChannels
) -> TakeoverResult:
    return replace(await _take_over(registry, orphaned), half=frozenset())


_take_over = orphaned_calls.take_over


@contextmanager
def _forgotten() -> Iterator[None]:
    """Either of the two is enough: a state that is not in Redis is read from the appeal."""
    with (
        patch.object(RedisCallStateStore, "save", lambda *_: None),
        patch.object(LostCallRecovery, "reconstruct_state", _nothing),
    ):
        yield


@contextmanager
def _second_is_cut_off() -> Iterator[None]:
    with patch.object(membership, "MISSED_AFTER", -1.0), patch.object(ari, "LAST_DELAY", 3.0):
        yield


async def _take_over_in_passing(self: Takeover, instance: str, in_order: bool) -> None:
    await vars(Takeover)["_take_over"](self, instance, in_order)


async def _saved_state(self: Takeover, call: OrphanedCall) -> CallState | None:
    dependencies = vars(self)
    leg = call.leg.id
    state: CallState | None = await dependencies["_call_states"].load(leg)
    return state or await dependencies["_recovery"].reconstruct_state(leg)


def _resume_unopened(
    self: Journal, call_id: str, _caller: object, _began_at: object, state: CallState
) -> CallRecord:
    return self.resume_record(call_id, state)


@contextmanager
def _answers_given_up() -> Iterator[None]:
    with (
        patch.object(membership, "answer_within", _plain_timeout),
        patch.object(ari, "answer_within", _plain_timeout),
    ):
        yield


SAFEGUARDS = (
    Safeguard("lateness is not death", 82, _late_are_dead, found_at=11),
    Safeguard(
        "one alone has the claim",
        82,
        _replaced(member_files, "claimed", _claimed_by_all),
        found_at=8,
    ),
    Safeguard(
        "who was frozen asks first",
        82,
        _replaced(Fence, "is_fenced", property(lambda self: self._fenced.is_set())),
        found_at=10,
    ),
    Safeguard("sentinels kill", 82, _replaced(Host, "has_sentinels", False), found_at=5),
    Safeguard(
        "the frozen are dead after a while",
        82,
        _replaced(ClusterMembership, "_is_frozen", lambda *_: False),
        found_at=0,
    ),
    Safeguard(
        "who is cut off gives up",
        82,
        _replaced(ClusterMembership, "_is_cut_off", lambda *_: False),
        found_at=20,
    ),
    Safeguard("who connects again last is not cut off", 117, _second_is_cut_off, found_at=66),
    Safeguard(
        "the claim lasts until calls are whole",
        117,
        _replaced(Takeover, "take_over", _take_over_in_passing),
        found_at=6,
    ),
    Safeguard(
        "playbacks are stopped before a move",
        32,
        _replaced(orphaned_calls, "stop_playbacks", _nothing),
        found_at=2,
    ),
    Safeguard(
        "calls taken by halves are taken again",
        50,
        _replaced(orphaned_calls, "take_over", _whole_at_any_rate),
        found_at=5,
    ),
    Safeguard("states of calls are saved, or read from appeals", 32, _forgotten, found_at=0),
    Safeguard(
        "the watchdog hands over", 82, _replaced(Watchdog, "_unserved", lambda _: []), found_at=11
    ),
    Safeguard(
        "lost calls are closed", 59, _replaced(LostCallRecovery, "sweep", _for_ever), found_at=5
    ),
    Safeguard(
        "echoes find a deaf connection", 82, _replaced(ClusterMembership, "_listen", _for_ever)
    ),
    Safeguard("a resync compares", 37, _replaced(Channel, "catch_up", _nothing), found_at=6),
    Safeguard("answers that our lateness delays count", 82, _answers_given_up, found_at=13),
    Safeguard(
        "what nobody can restore is left to the fallback",
        117,
        _replaced(Takeover, "_leave_to_fallback", _nothing),
        found_at=25,
    ),
    Safeguard(
        "the claims of the frozen are released",
        117,
        _replaced(member_files, "release_claims", lambda *_: None),
        found_at=1,
        kinds=(FaultKind.FROZEN_TAKER,),
    ),
    Safeguard(
        "a conversation that nobody recorded goes on",
        117,
        _replaced(CallState, "with_unrecorded_start", lambda state, *_: state),
        kinds=(FaultKind.DEATH_AT_CONNECT,),
    ),
    Safeguard(
        "a conversation goes with its caller",
        117,
        _replaced(orphaned_calls, "_with_caller", lambda orphans, *_: orphans),
        found_at=26,
        kinds=(FaultKind.DEATH_IN_MOVE,),
    ),
    Safeguard(
        "bridges of the forgotten are ended",
        117,
        _replaced(orphaned_calls, "_is_forgotten", lambda *_: False),
        found_at=4,
        kinds=(FaultKind.RESTART, FaultKind.LEFT_IN_HANDOVER),
    ),
    Safeguard(
        "a takeover is tried again",
        82,
        _takes_over_once,
        found_at=25,
        kinds=(FaultKind.DEATH_IN_CUT,),
    ),
    Safeguard(
        "a call that is taken over is opened again",
        117,
        _replaced(Journal, "resume_call", _resume_unopened),
        kinds=(FaultKind.DEATH_AT_CLAIM,),
    ),
    Safeguard(
        "a state from before the talk is not believed",
        117,
        _replaced(Takeover, "_load_state", _saved_state),
        kinds=(FaultKind.OLD_REDIS,),
    ),
    Safeguard(
        "admission closes",
        83,
        _replaced(AdmissionControl, "observe", lambda *_: False),
        found_at=1,
        kinds=(FaultKind.PRESSURE,),
    ),
    Safeguard(
        "leaks are ended",
        52,
        _replaced(LeakedChannelReaper, "run", _for_ever),
        found_at=22,
        kinds=(FaultKind.SHORT_CUT,),
    ),
    Safeguard(
        "claims are settled",
        32,
        _replaced(AsteriskNode, "settle_claims", _nothing),
        found_at=40,
        kinds=(FaultKind.LATE_RESTART,),
    ),
    Safeguard(
        "what was not sent dies with its connection",
        37,
        _replaced(RawSocket, "setsockopt", lambda *_: None),
        found_at=8,
        kinds=(FaultKind.CUT,),
    ),
)
