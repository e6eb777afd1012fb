"""Watch our registrations with operators; alert supervisors of a trunk that has none.

An operator sends calls to where its trunk is registered: calls that it cannot send leave no trace
here. While Asterisk does not answer, nothing is said of trunks.
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
from callcenter.platform.monitoring.alerts import find_settled, forget_alerts, raise_alert_once
from callcenter.telephony.asterisk.registrations import read_registrations
from callcenter.telephony.controller.alerts import TRUNK_UNREGISTERED

log = logging.getLogger(__name__)

#: Seconds: within it Asterisk, which has just started or was refused, tries twice (pjsip.conf.j2).
CHECK_INTERVAL = 60.0
REDIS_TIMEOUT = 1.0  # seconds


class TrunkFindings(NamedTuple):
    """Trunks as two looks in a row found them, by the names of their operators."""

    missing: frozenset[str]  #: not registered at the later look
    failed: frozenset[str]  #: not registered at either
    registered: frozenset[str]  #: at the later one


def compare(registrations: Mapping[str, bool], missing_before: Set[str]) -> TrunkFindings:
    """Compare with those that were missing at the look before."""
    registered = frozenset(name for name, is_registered in registrations.items() if is_registered)
    missing = frozenset(registrations) - registered
    return TrunkFindings(missing, missing & missing_before, registered)


async def watch_trunks(settings: Settings, redis: Redis) -> NoReturn:
    """Check every minute until cancelled."""
    missing: Set[str] = frozenset()
    while True:
        await until_beat(CHECK_INTERVAL)  # at first too: two looks are never closer than that
        missing = await check_trunks(settings, redis, missing)


async def check_trunks(settings: Settings, redis: Redis, missing_before: Set[str]) -> Set[str]:
    """Alert of each trunk that has failed, once a day, until it is registered again.

    Returns those that are missing now; none when Asterisk does not answer.
    """
    try:
        registrations = await read_registrations(settings)
    except CallcenterError as exc:
        log.warning("trunks not checked: %s", exc)
        return frozenset()
    found = compare(registrations, missing_before)
    try:
        async with asyncio.timeout(REDIS_TIMEOUT):
            for name in sorted(found.failed):
                log.critical("trunk not registered: operator %s", name)
                await raise_alert_once(redis, TRUNK_UNREGISTERED, "", _about(name))
            given_up = await find_settled(redis, TRUNK_UNREGISTERED.key, found.missing)
            await forget_alerts(redis, {*map(_about, found.registered), *given_up})
    except (RedisError, OSError, TimeoutError) as exc:
        log.error("alert not raised: %s", str(exc) or "no answer")
    return found.missing


def _about(name: str) -> str:
    return f"{TRUNK_UNREGISTERED.key}:{name}"
