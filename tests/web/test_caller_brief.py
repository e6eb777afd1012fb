"""The brief of a caller: what was agreed stands on the workspace beside the call, masked."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.contact.service import set_calls_unwanted
from callcenter.platform.core.caller_id import mask
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.distributor import RedisCallDistributor
from callcenter.telephony.callbacks import store as callbacks
from callcenter.telephony.callers.care_plans import store as plans
from tests.demands.conftest import HEAD
from tests.web.browser import visible
from tests.web.conftest import CALLER, open_call
from tests.web.test_presence import consultant, distributor, post

__all__ = ["consultant", "distributor"]  # fixtures

AGREED = "Выслушать, не торопить"


async def test_a_message_that_nobody_heard_is_beside_the_call(
    consultant: httpx.AsyncClient, distributor: RedisCallDistributor, engine: AsyncEngine
) -> None:
    now = datetime.now(UTC)
    earlier_id, earlier = await open_call(engine, "call-0", now - timedelta(hours=2))
    await open_call(engine, "call-1", now)
    left_at = datetime(2026, 11, 24, 9, 5, tzinfo=UTC)
    async with unit_of_work(engine) as connection:
        await callbacks.promise_message(
            connection,
            recording_id=uuid4(),
            appeal_id=earlier_id,
            language="ru",
            urgent=False,
            arrived_at=left_at,
            promised_at=left_at,
        )
    assert (await post(consultant, "/api/v1/duty", state="ready")).status_code == 200
    await distributor.script("occupy", "call-1", "line-1", "201")
    consultant.headers["accept-language"] = "en"
    page = visible((await consultant.get("/workspace")).text)
    assert f"Message to hear {earlier}, 24.11.2026 14:05" in page


async def test_what_was_agreed_with_a_caller_is_beside_the_call(
    consultant: httpx.AsyncClient, distributor: RedisCallDistributor, engine: AsyncEngine
) -> None:
    now = datetime.now(UTC)
    _, earlier = await open_call(engine, "call-0", now - timedelta(days=9))
    await open_call(engine, "call-1", now)
    await set_calls_unwanted(engine, HEAD, earlier, unwanted=True)
    async with unit_of_work(engine) as connection:
        await plans.make(
            connection,
            number=CALLER,
            extension="201",
            times="по пятницам",
            note=AGREED,
            review_on=date(2027, 1, 1),
            author="user:test",
        )
    assert (await post(consultant, "/api/v1/duty", state="ready")).status_code == 200
    await distributor.script("occupy", "call-1", "line-1", "201")
    consultant.headers["accept-language"] = "en"
    page = visible((await consultant.get("/workspace")).text)
    for shown in (mask(CALLER), AGREED, "Asked not to be called", earlier, "Not closed: 1"):
        assert shown in page
    assert CALLER not in page
