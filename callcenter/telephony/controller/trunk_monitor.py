"""Watch trunks of operators; alert of one that is not registered, or does not answer.

An operator sends calls to where its trunk is registered, and one that is away sends none: calls
that do not come leave no trace here. While Asterisk does not answer, nothing is said of trunks.
"""

import asyncio
import logging
from collections.abc import Mapping, Set
from typing import NamedTuple, NoReturn

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.platform.core.beats import until_beat
from callcenter.platform.core.errors import CallcenterError
from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.alerts import OPEN, forget_alerts, raise_alert_once
from callcenter.telephony.asterisk.trunks import read_reachability, read_registrations
from callcenter.telephony.controller.alerts import TRUNK_UNREACHABLE, TRUNK_UNREGISTERED

log = logging.getLogger(__name__)

#: Seconds: within it Asterisk, which has just started or was refused, tries twice (pjsip.conf.j2).
CHECK_INTERVAL = 60.0
REDIS_TIMEOUT = 1.0  # seconds
KINDS = {kind.key: kind for kind in (TRUNK_UNREGISTERED, TRUNK_UNREACHABLE)}


class TrunkFindings(NamedTuple):
    """Trunks as two looks in a row found them, by `KIND:OPERATOR`, what an alert is about."""

    missing: frozenset[str]  #: at the later look
    failed: frozenset[str]  #: at both
    present: frozenset[str]  #: at the later one


def compare(trunks: Mapping[str, bool], missing_before: Set[str]) -> TrunkFindings:
    """Compare with those that were missing at the look before."""
    present = frozenset(about for about, is_present in trunks.items() if is_present)
    missing = frozenset(trunks) - present
    return TrunkFindings(missing, missing & missing_before, present)


async def watch_trunks(settings: Settings, redis: Redis) -> NoReturn:
    """Check every minute until cancelled."""
    missing: Set[str] = frozenset()
    while True:
        await until_beat(CHECK_INTERVAL)  # at first too: two looks are never closer than that
        missing = await check_trunks(settings, redis, missing)


async def check_trunks(settings: Settings, redis: Redis, missing_before: Set[str]) -> Set[str]:
    """Alert of each trunk that has failed, once a day, until it is there again.

    Returns what is missing now; nothing when Asterisk does not answer.
    """
    try:
        trunks = await _read_trunks(settings)
    except CallcenterError as exc:
        log.warning("trunks not checked: %s", exc)
        return frozenset()
    found = compare(trunks, missing_before)
    try:
        async with asyncio.timeout(REDIS_TIMEOUT):
            for about in sorted(found.failed):
                kind, _, name = about.partition(":")
                log.critical("trunk failed: operator %s: %s", name, kind)
                await raise_alert_once(redis, KINDS[kind], "", about)
            opened = map(str, await redis.hkeys(OPEN))
            given_up = {each for each in opened if each.partition(":")[0] in KINDS} - found.missing
            await forget_alerts(redis, found.present | given_up)
    except (RedisError, OSError, TimeoutError) as exc:
        log.error("alert not raised: %s", str(exc) or "no answer")
    return found.missing


async def _read_trunks(settings: Settings) -> dict[str, bool]:
    registered = await read_registrations(settings)
    reachable = await read_reachability(settings)
    return {f"{TRUNK_UNREGISTERED.key}:{name}": is_so for name, is_so in registered.items()} | {
        f"{TRUNK_UNREACHABLE.key}:{name}": is_so for name, is_so in reachable.items()
    }
