"""Jobs of sealed numbers: those whose term is over are erased."""

import logging
from datetime import UTC, datetime

from procrastinate import JobContext

from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import jobs, tools_of
from callcenter.telephony.callers.sealed_numbers import store

log = logging.getLogger(__name__)


@jobs.periodic(cron="20 * * * *")
@jobs.task(name="sealed_numbers.erase", pass_context=True, queueing_lock="sealed_numbers.erase")
async def erase_expired(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Erase the sealed numbers whose term is over, every hour."""
    async with unit_of_work(tools_of(context).engine) as connection:
        erased = await store.erase_expired(connection, datetime.now(UTC))
    if erased:
        log.info("sealed numbers erased: %d, their term is over", erased)
