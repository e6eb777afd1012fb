"""Watch the open files of Asterisk; alert supervisors before callers are refused for them."""

import asyncio
import logging

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.platform.core.beats import until_beat
from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.alerts import raise_alert_once
from callcenter.telephony.asterisk.open_files import open_files_of_asterisk
from callcenter.telephony.controller.alerts import OPEN_FILES_RUN_OUT

log = logging.getLogger(__name__)

CHECK_INTERVAL = 10.0  # seconds
ALERT_SHARE = 0.8  #: of what it may open
ALERT_INTERVAL = 3600  # seconds after which supervisors are alerted again of what lasts
REDIS_TIMEOUT = 1.0  # seconds


async def watch_open_files(settings: Settings, redis: Redis) -> None:
    """Check every ten seconds until cancelled."""
    while True:
        await check_open_files(settings, redis)
        await until_beat(CHECK_INTERVAL)


async def check_open_files(settings: Settings, redis: Redis) -> None:
    """Alert when Asterisk has almost as many files open as it may, once an hour."""
    files = await asyncio.to_thread(open_files_of_asterisk, settings)
    if files is None or files.share < ALERT_SHARE:
        return
    log.critical("open files run out: asterisk has %d of %d", files.count, files.limit)
    try:
        async with asyncio.timeout(REDIS_TIMEOUT):
            await raise_alert_once(redis, OPEN_FILES_RUN_OUT, "", "open_files", ALERT_INTERVAL)
    except (RedisError, OSError, TimeoutError) as exc:
        log.error("alert not raised: %s", str(exc) or "no answer")
