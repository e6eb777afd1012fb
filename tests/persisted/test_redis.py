"""What a version before keeps in Redis: controllers and pages of this one go on with it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.consultants.state_history import PresenceChange
from callcenter.telephony.acd.alerts import NOBODY_SIGNED_IN, URGENT_WAITS
from callcenter.telephony.acd.command_bus import ActiveCallRef
from callcenter.telephony.acd.distributor import RedisCallDistributor
from callcenter.telephony.acd.queue_control import QueueControl
from callcenter.telephony.acd.queue_position import RedisQueueMonitor
from callcenter.telephony.acd.rules.call_commands import Answer, CallCommand
from callcenter.telephony.acd.rules.transfer_target import TransferTarget
from callcenter.telephony.controller.alerts import DISK_FILLS
from callcenter.telephony.controller.call_state_store import RedisCallStateStore
from callcenter.wallboard.alert_groups import group_alerts
from callcenter.wallboard.store import read_distributor
from tests.consultants.distributors import PATIENCE
from tests.orders import command_client, command_server
from tests.persisted.calls import CALLS
from tests.persisted.distributor_state import (
    BY,
    CREW,
    INSTANCE,
    RULES,
    WHY,
    dump,
    fill,
    order,
    restore,
    shape,
)
from tests.persisted.write import REDIS, read_written

DUMPED: dict[str, Any] = read_written(REDIS)
#: Keys that came later: the version before leaves them alone.
NEW = ("desk:run", "desk:unanswered:", "desk:alarms:open", "desk:roster_read")
#: State, reason, by whom, telephone, and what comes after the conversation.
STATUSES = {
    "201": (PresenceState.OFFERED, None, "desk", "NOT_INUSE", None),
    "202": (PresenceState.SIGNED_OUT, "asked", "self", "NOT_INUSE", None),
    "203": (PresenceState.PAUSED, "lunch", BY, "UNAVAILABLE", None),
    "204": (PresenceState.TALKING, None, "self", "NOT_INUSE", None),
    "205": (PresenceState.TALKING, None, "desk", "INUSE", PresenceState.PAUSED),
    "206": (PresenceState.RINGING, None, "desk", "NOT_INUSE", None),
    "207": (PresenceState.WRAP_UP, None, "desk", "NOT_INUSE", None),
    "208": (PresenceState.READY, None, "self", "NOT_INUSE", None),
    "209": (PresenceState.READY, None, "desk", "NOT_INUSE", None),
    "210": (PresenceState.PAUSED, "lunch", BY, "NOT_INUSE", None),
}


@pytest.fixture
async def before(redis: Redis) -> Redis:
    """A Redis that a version before has filled."""
    await restore(redis, DUMPED)
    return redis


@pytest.fixture
async def distributor(before: Redis) -> AsyncIterator[RedisCallDistributor]:
    """A controller of this version that goes on in the place of the one that filled it."""
    opened = RedisCallDistributor(before, INSTANCE, RULES)
    await opened.now()  # time was lost: whatever ends after some seconds does so after as many
    await opened.update_roster(CREW)
    running = asyncio.create_task(opened.run())
    yield opened
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_is_put_back_is_what_was_there(before: Redis) -> None:
    assert await dump(before) == DUMPED


async def test_keys_and_what_they_hold_are_as_they_were(redis: Redis) -> None:
    """During an upgrade the version before reads them as well."""
    await fill(redis)
    dumped = await dump(redis)
    older = {key: entry for key, entry in dumped.items() if not key.startswith(NEW)}
    orders = f"orders:{INSTANCE}"  # has more fields now, see the test of an order
    assert shape(older | {orders: None}) == shape(DUMPED | {orders: None})


async def test_what_consultants_do_is_read(before: Redis) -> None:
    statuses = await PresenceService(before, RULES).everyone()
    reported = {d.extension: (d.state, d.reason, d.by, d.telephone, d.after) for d in statuses}
    assert reported == STATUSES
    assert [status.extension for status in statuses if status.resting] == ["209"]


@pytest.mark.parametrize(
    ("call", "language", "extension"), [("call-1", "ru", "201"), ("call-2", "kk", "206")]
)
async def test_an_offer_of_the_former_version_still_stands(
    distributor: RedisCallDistributor, call: str, language: str, extension: str
) -> None:
    async with distributor.place(call, language, target=TransferTarget(extension)) as place:
        offered = await place.wait_for_offer(PATIENCE)
    assert offered is not None
    assert offered.extension == extension


@pytest.mark.usefixtures("patient")
async def test_who_waits_is_served_by_who_is_idle(
    before: Redis, distributor: RedisCallDistributor
) -> None:
    queue, directing = RedisQueueMonitor(before), QueueControl(before, RULES)
    assert (await queue.position_of("call-7", "kk")).position == 2
    assert (await queue.position_of("call-6", "kk")).expected_wait == pytest.approx(42.5 / 4)
    async with distributor.place(
        "call-7", "kk", target=TransferTarget(skill="lawyer", level=3)
    ) as place:
        assert await place.wait_for_offer(0.05) is None  # all queues are held back
        await directing.resume_queue("all")
        assert (await PresenceService(before, RULES).of("208")).state is PresenceState.OFFERED
        assert (await queue.position_of("call-6", "kk")).position == 0  # it came first


async def test_queues_are_held_back_still(before: Redis, distributor: RedisCallDistributor) -> None:
    holds = {hold.queue: hold for hold in await QueueControl(before, RULES).paused_queues()}
    assert {(hold.queue, hold.by, hold.reason) for hold in holds.values()} == {
        ("ru", BY, WHY),
        ("all", BY, "short"),
    }
    assert 500 < holds["ru"].until - time.time() < 700


async def test_a_conversation_is_adopted_with_its_lease(
    before: Redis, distributor: RedisCallDistributor
) -> None:
    (consultant,) = (each for each in CREW if each.extension == "205")
    async with distributor.adopt(consultant, [], str(uuid4())) as place:
        assert place.call_id == "call-3"
    status = await PresenceService(before, RULES).of("205")
    assert (status.state, status.reason) == (
        PresenceState.PAUSED,
        "meeting",
    )  # as was asked for meanwhile


async def test_changes_are_written_down(before: Redis) -> None:
    stored: list[PresenceChange] = []
    done = asyncio.Event()

    async def keep(changes: Any) -> None:
        stored.extend(changes)
        done.set()

    handing = asyncio.create_task(PresenceService(before, RULES).drain_changes(keep))
    await asyncio.wait_for(done.wait(), PATIENCE)
    handing.cancel()
    await asyncio.gather(handing, return_exceptions=True)
    entries = [fields for _, fields in DUMPED["desk:changes"]["holds"]]
    assert stored == [
        PresenceChange(
            each["extension"],
            PresenceState(each["state"]),
            None if each["reason"] == "-" else each["reason"],
            datetime.fromtimestamp(float(each["at"]), UTC),
            each["by"],
        )
        for each in entries
    ]


@pytest.mark.parametrize("leg", CALLS)
async def test_where_a_call_is_is_read(before: Redis, leg: str) -> None:
    assert await RedisCallStateStore(before).load(leg) == CALLS[leg]


async def test_an_order_without_a_proof_is_refused_in_words(before: Redis) -> None:
    """It is in time: orders are dropped after seconds. The sender of a version before reads why."""
    given: list[tuple[str, CallCommand]] = []

    async def give(call: str, order: CallCommand) -> Answer:
        given.append((call, order))
        return {}

    mailbox = f"orders:{INSTANCE}"
    letter = json.loads(DUMPED[mailbox]["holds"][0])
    await before.lset(mailbox, 0, json.dumps(letter | {"until": time.time() + 5}))
    running = asyncio.create_task(command_server(before, INSTANCE, give).run())
    answered = await before.blpop([f"orders:answer:{letter['id']}"], timeout=PATIENCE)
    assert given == []
    assert answered is not None
    assert "no proof" in json.loads(answered[1])["refused"]
    held = await command_client(before).find_active_call("205")
    assert held == ActiveCallRef("call-3", INSTANCE, "205")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_an_order_has_all_that_a_version_before_reads(redis: Redis) -> None:
    await order(redis)
    letters = [json.loads(each) for each in await redis.lrange(f"orders:{INSTANCE}", 0, -1)]
    [former] = map(json.loads, DUMPED[f"orders:{INSTANCE}"]["holds"])
    unique = {"id", "until", "to", "proof"}
    assert [{name: each[name] for name in former.keys() - unique} for each in letters] == [
        {name: former[name] for name in former.keys() - unique}
    ]
    assert letters[0].keys() == former.keys() | unique


async def test_supervisors_see_the_alerts_and_who_waits(
    before: Redis, distributor: RedisCallDistributor
) -> None:
    now = await read_distributor(before, PresenceService(before, RULES))
    newest = [str(alert) for alert in await before.lrange("desk:alarms", 0, -1)]
    alerts = group_alerts(newest, {}, {}, json.loads(newest[0])["at"])  # as of then: they pass
    assert {alert.kind for alert in alerts} == {
        DISK_FILLS.key,
        URGENT_WAITS.key,
        NOBODY_SIGNED_IN.key,
    }
    assert {(call.call, call.language) for call in now.waiting} == {
        ("call-6", "kk"),
        ("call-7", "kk"),
        ("call-8", "ru"),
    }
