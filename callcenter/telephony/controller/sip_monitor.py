"""Watch whether Asterisk answers SIP: it may hang there while ARI and AMI answer.

Then nobody calls in, every process is content, and calls that do not come leave no trace here.
"""

import asyncio
import logging
from typing import NoReturn

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.platform.core.beats import until_beat
from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.alerts import forget_alerts, raise_alert_once
from callcenter.telephony.asterisk.sip_probe import answers_sip
from callcenter.telephony.controller.alerts import SIP_UNANSWERED

log = logging.getLogger(__name__)

CHECK_INTERVAL = 30.0  # seconds, which a restart of Asterisk does not take
REDIS_TIMEOUT = 1.0  # seconds


async def watch_sip(settings: Settings, redis: Redis) -> NoReturn:
    """Check every half minute until cancelled."""
    answered = True
    while True:
        await until_beat(CHECK_INTERVAL)
        answered = await check_sip(settings, redis, answered)


async def check_sip(settings: Settings, redis: Redis, answered_before: bool) -> bool:
    """Alert of a second look in a row without an answer, once a day, until there is one.

    Returns whether there is one now.
    """
    try:
        answers = await answers_sip(settings)
    except OSError as exc:
        log.warning("sip not checked: %s", exc)
        return True
    try:
        async with asyncio.timeout(REDIS_TIMEOUT):
            if answers:
                await forget_alerts(redis, [SIP_UNANSWERED.key])
            elif not answered_before:
                log.critical("sip unanswered: asterisk answers no OPTIONS, nobody can call in")
                await raise_alert_once(redis, SIP_UNANSWERED, "", SIP_UNANSWERED.key)
    except (RedisError, OSError, TimeoutError) as exc:
        log.error("alert not raised: %s", str(exc) or "no answer")
    return answers
