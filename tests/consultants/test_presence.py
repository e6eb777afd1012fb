"""Device states from controllers to the distributor, on a real Redis."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.storage.notify_listener import Subscription
from callcenter.telephony.acd.distributor import PLAIN_RULES, RedisCallDistributor
from callcenter.telephony.acd.queue_position import RedisQueueMonitor
from callcenter.telephony.controller.presence_sync import STALE_AFTER, PresenceSync
from tests.polling import until


class Telephone:
    """Device state of 201 in the switch, and the number of requests for it."""

    def __init__(self) -> None:
        self.state = "NOT_INUSE"
        self.requests = 0

    async def states(self) -> Mapping[str, str]:
        self.requests += 1
        return {"PJSIP/201": self.state}


@pytest.fixture
def telephone() -> Telephone:
    return Telephone()


@pytest.fixture
async def presence(
    redis: Redis, engine: AsyncEngine, telephone: Telephone
) -> AsyncIterator[PresenceSync]:
    made = PresenceSync(
        RedisCallDistributor(redis, "line-1", PLAIN_RULES),
        RedisQueueMonitor(redis),
        engine,
        telephone.states,
        Subscription(),
    )
    yield made
    await asyncio.gather(*made.tasks)


def word(state: str, at: float, device: str = "PJSIP/201") -> dict[str, str]:
    return {"Device": device, "State": state, "Timestamp": f"{at:.6f}"}


async def settled(presence: PresenceSync) -> None:
    while presence.tasks:
        await asyncio.gather(*presence.tasks)


async def test_of_simultaneous_device_states_the_newest_counts(
    redis: Redis, presence: PresenceSync
) -> None:
    now = time.time()
    presence.device_changed(word("INUSE", now))
    presence.device_changed(word("RINGING", now - 0.2))
    presence.device_changed(word("INUSE", now))
    await settled(presence)
    assert str(await redis.hget("desk:devices", "201")).endswith(" INUSE")


async def test_a_late_device_state_does_not_undo_a_newer(
    redis: Redis, presence: PresenceSync
) -> None:
    now = time.time()
    for state, at in (("INUSE", now), ("NOT_INUSE", now - STALE_AFTER / 2), ("INUSE", now)):
        presence.device_changed(word(state, at))
        await settled(presence)
        assert str(await redis.hget("desk:devices", "201")).endswith(" INUSE")


async def test_after_a_standstill_asterisk_is_queried_and_events_ignored(
    redis: Redis, presence: PresenceSync, telephone: Telephone
) -> None:
    """As after SIGSTOP, with stale events queued, which look like a clock that was set."""
    presence.device_changed(word("NOT_INUSE", time.time()))
    await settled(presence)
    before = await redis.hget("desk:devices", "201")
    for minutes in (5, 4, 3, 2):
        presence.device_changed(word("UNAVAILABLE", time.time() - 60 * minutes))

    async def is_renewed() -> bool:
        return await redis.hget("desk:devices", "201") != before

    following = asyncio.create_task(presence.run())
    await until(is_renewed, "Asterisk is asked, and what it says is passed on")
    following.cancel()
    assert telephone.requests == 1
    assert str(await redis.hget("desk:devices", "201")).endswith(" NOT_INUSE")


@pytest.mark.parametrize(
    "event",
    [
        word("INUSE", 0, device="PJSIP/operator"),
        word("INUSE", 0, device="Queue:fallback"),
        word("INUSE", 0, device="201"),
        {"Device": "PJSIP/201", "State": "INUSE", "ActionID": "an item of a list, once more"},
    ],
)
async def test_what_is_no_telephone_of_a_consultant_is_nothing(
    redis: Redis, presence: PresenceSync, telephone: Telephone, event: dict[str, str]
) -> None:
    presence.device_changed(event)
    await settled(presence)
    assert telephone.requests == 0
    assert not await redis.exists("desk:devices")
