"""What controllers are told of telephones, and tell the desk, on the real Redis."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants.desk import PLAIN_RULES, Desk
from callcenter.controller.presence import LATE, Presence


class Telephone:
    """201 as the switch has it now, and how often that was asked."""

    def __init__(self) -> None:
        self.state = "NOT_INUSE"
        self.asked = 0

    async def states(self) -> Mapping[str, str]:
        self.asked += 1
        return {"PJSIP/201": self.state}


@pytest.fixture
def telephone() -> Telephone:
    return Telephone()


@pytest.fixture
async def presence(
    redis: Redis, engine: AsyncEngine, telephone: Telephone
) -> AsyncIterator[Presence]:
    made = Presence(Desk(redis, "line-1", PLAIN_RULES), engine, telephone.states)
    yield made
    await asyncio.gather(*made._errands)


def word(state: str, at: float, device: str = "PJSIP/201") -> dict[str, str]:
    return {"Device": device, "State": state, "Timestamp": f"{at:.6f}"}


async def settled(presence: Presence) -> None:
    while presence._errands:
        await asyncio.gather(*presence._errands)


async def test_of_words_that_come_together_the_newest_counts_whatever_comes_last(
    redis: Redis, presence: Presence
) -> None:
    now = time.time()
    presence.device_changed(word("INUSE", now))
    presence.device_changed(word("RINGING", now - 0.2))
    presence.device_changed(word("INUSE", now))
    await settled(presence)
    assert str(await redis.hget("desk:devices", "201")).endswith(" INUSE")


async def test_a_word_that_comes_alone_and_late_does_not_undo_a_newer_one(
    redis: Redis, presence: Presence
) -> None:
    now = time.time()
    for state, at in (("INUSE", now), ("NOT_INUSE", now - LATE / 2), ("INUSE", now)):
        presence.device_changed(word(state, at))
        await settled(presence)
        assert str(await redis.hget("desk:devices", "201")).endswith(" INUSE")


async def test_who_stood_still_for_minutes_asks_the_switch_once_and_believes_no_old_word(
    redis: Redis, presence: Presence, telephone: Telephone
) -> None:
    """As after SIGSTOP, with all that was told meanwhile; the desk would think of a set clock."""
    presence.device_changed(word("NOT_INUSE", time.time()))
    await settled(presence)
    for minutes in (5, 4, 3, 2):
        presence.device_changed(word("UNAVAILABLE", time.time() - 60 * minutes))
    await settled(presence)
    assert telephone.asked == 1
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
    redis: Redis, presence: Presence, telephone: Telephone, event: dict[str, str]
) -> None:
    presence.device_changed(event)
    await settled(presence)
    assert telephone.asked == 0
    assert not await redis.exists("desk:devices")
