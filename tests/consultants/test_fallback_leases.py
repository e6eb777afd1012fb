"""Leases for callers in the fallback, on a real Redis; Asterisk's part is played here."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

from redis.asyncio import Redis

from callcenter.consultants.rules.states import PresenceState
from callcenter.telephony.acd.distributor import PLAIN_RULES, RedisCallDistributor
from callcenter.telephony.asterisk.ami import Ami
from callcenter.telephony.asterisk.ari import Ari
from callcenter.telephony.asterisk.cluster.fallback_leases import FallbackLeases
from tests.consultants.distributors import (
    FREE,
    PATIENCE,
    consultant,
    distributor_and_presence,
    running_distributor,
    until_state,
)

LONGEST_EXPRESSION = 4095  # characters that Asterisk evaluates (VAR_BUF_SIZE); measured


class Dialplan:
    """Stands for ARI and AMI: has the global variables, and what callers say."""

    application = "watchdog-1"

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.sent_lists = 0  #: lists of offers
        self.connected = asyncio.Event()
        self.connected.set()
        self._hear: Callable[[Mapping[str, str]], None] | None = None

    def on_event(self, name: str, handler: Callable[[Mapping[str, str]], None]) -> None:
        assert name == "UserEvent"
        self._hear = handler

    def on_connected(self, handler: object) -> None:
        """Never connected anew."""

    async def request(self, method: str, path: str, query: Mapping[str, str], **_: Any) -> None:
        assert (method, path) == ("POST", "asterisk/variable")
        self.variables[query["variable"]] = query["value"]
        self.sent_lists += query["variable"] == "FALLBACK_LEASES"

    def say(self, call: str, stage: str, *, since: int = 1, urgent: int = 0) -> None:
        assert self._hear is not None
        given = {"Since": str(since), "Speaks": "", "Urgent": str(urgent)}
        self._hear({"UserEvent": "FallbackCaller", "Linkedid": call, "Stage": stage} | given)

    async def names(self, offers: str) -> None:
        """Returns once these are the offers."""
        async with asyncio.timeout(PATIENCE):
            while self.variables.get("FALLBACK_LEASES", "") != offers:
                await asyncio.sleep(0.01)

    async def has_flag(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while "FALLBACK_LEASED_UNTIL" not in self.variables:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def leasing(redis: Redis) -> AsyncIterator[Dialplan]:
    dialplan = Dialplan()
    ari, ami = cast("Ari", dialplan), cast("Ami", dialplan)
    running = asyncio.create_task(FallbackLeases(redis, ari, ami, PLAIN_RULES, 15).run())
    try:
        yield dialplan
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_only_who_is_signed_in_is_leased_and_once(redis: Redis) -> None:
    async with (
        distributor_and_presence(redis, PLAIN_RULES, "201", "202") as (_, presence),
        leasing(redis) as dialplan,
    ):
        await presence.ask("202", PresenceState.SIGNED_OUT, by="user:test")
        await dialplan.has_flag()
        dialplan.say("1.1", "waiting", since=1)
        dialplan.say("1.2", "waiting", since=2)
        await dialplan.names("<1.1=201>")
        dialplan.say("1.1", "ringing")
        await dialplan.names("")
        dialplan.say("1.1", "talking")
        await until_state(presence, "201", PresenceState.TALKING)
        assert await redis.zrange("desk:waiting", 0, -1) == ["1.2"]
        dialplan.say("1.1", "over")
        await dialplan.names("<1.2=201>")


async def test_an_unanswered_lease_rests_and_the_next_is_leased(redis: Redis) -> None:
    async with (
        distributor_and_presence(redis, PLAIN_RULES, "201", "202") as (_, presence),
        leasing(redis) as dialplan,
    ):
        dialplan.say("1.1", "waiting")
        await dialplan.names("<1.1=201>")
        dialplan.say("1.1", "ringing")
        dialplan.say("1.1", "unanswered")
        await until_state(presence, "201", PresenceState.READY)
        dialplan.say("1.1", "waiting")
        await dialplan.names("<1.1=202>")


async def test_many_offers_are_sent_together(redis: Redis) -> None:
    everybody = [str(number) for number in range(201, 221)]
    async with (
        distributor_and_presence(redis, PLAIN_RULES, *everybody) as (_, presence),
        leasing(redis) as dialplan,
    ):
        await dialplan.has_flag()
        for extension in everybody:
            dialplan.say(f"1.{extension}", "waiting", since=int(extension))
        await dialplan.names("".join(f"<1.{each}={each}>" for each in everybody))
        assert dialplan.sent_lists < 5  # each of the twenty once, before
        for extension in everybody:
            dialplan.say(f"1.{extension}", "ringing")
        await dialplan.names("")
        for extension in everybody:
            await until_state(presence, extension, PresenceState.RINGING)


async def test_no_list_of_offers_is_longer_than_asterisk_reads(redis: Redis) -> None:
    everybody = [str(number) for number in range(1001, 1301)]
    async with (
        distributor_and_presence(redis, PLAIN_RULES, *everybody),
        leasing(redis) as dialplan,
    ):
        await dialplan.has_flag()
        for extension in everybody:
            dialplan.say(f"1764291234.{extension}", "waiting", since=int(extension))
        async with asyncio.timeout(PATIENCE):
            while await redis.hlen("desk:held") < len(everybody):
                await asyncio.sleep(0.01)
        rung = set[str]()
        async with asyncio.timeout(PATIENCE):
            while len(rung) < len(everybody):
                offers = dialplan.variables.get("FALLBACK_LEASES", "")
                assert len(offers) < LONGEST_EXPRESSION - len(' : ".*<1764291234.1001=([0-9]+)>"')
                for call in set(re.findall("<([^=]+)=", offers)) - rung:
                    rung.add(call)
                    dialplan.say(call, "ringing")
                await asyncio.sleep(0.01)


async def test_an_urgent_caller_precedes_callers_of_controllers(redis: Redis) -> None:
    async with (
        running_distributor(redis, "line-1", consultant("201")) as distributor,
        leasing(redis) as dialplan,
        distributor.place("kept", "kk", arrived=900.0) as place,
    ):
        waiting = asyncio.create_task(place.wait_for_offer(PATIENCE))
        dialplan.say("1.2", "waiting", since=1000)
        dialplan.say("1.1", "waiting", since=1001, urgent=1)
        async with asyncio.timeout(PATIENCE):
            while await redis.zcard("desk:waiting") != 3:
                await asyncio.sleep(0.01)
        assert await redis.zrange("desk:waiting", 0, -1) == ["1.1", "kept", "1.2"]
        await distributor.update_devices({"201": FREE}, 1)
        await dialplan.names("<1.1=201>")
        dialplan.say("1.1", "over")
        assert await waiting is not None


async def test_without_a_controller_there_is_no_flag(redis: Redis) -> None:
    async with leasing(redis) as dialplan:
        dialplan.say("1.1", "waiting")
        async with asyncio.timeout(PATIENCE):
            while not await redis.zcard("desk:waiting"):
                await asyncio.sleep(0.01)
        assert "FALLBACK_LEASED_UNTIL" not in dialplan.variables
        await RedisCallDistributor(redis, "line-1").script("tick", "line-1")
        await dialplan.has_flag()
