"""Appeals with numbers of eleven digits, where ones of ten are typed, sent and shown."""

from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.rules.number import is_valid
from callcenter.platform.storage.engine import unit_of_work
from tests.appeals import numbers_given, opened
from tests.storage.test_status_lookup import appeal
from tests.web.conftest import RECEIVED, Call, open_call
from tests.web.test_records import WHOLE, send
from tests.web.test_search import found
from tests.web.test_status_api import ask, portal

__all__ = ["portal"]


@pytest.fixture
async def wide(engine: AsyncEngine, call: Call) -> str:
    """The number of an appeal beyond seven digits of the sequence; another appeal is there too."""
    async with unit_of_work(engine) as connection:
        await numbers_given(connection, 9_999_999, RECEIVED)
    _, number = await open_call(engine, "call-2", RECEIVED)
    assert len(number) == 11
    return number


def written(number: str) -> str:
    return f" {number[:2]}-{number[2:5]} {number[5:8]}.{number[8:]} "


async def test_an_appeal_of_eleven_digits_is_found_and_edited(
    head: httpx.AsyncClient, wide: str, call: Call
) -> None:
    led = await head.get("/search", params={"q": written(wide)})
    assert (led.status_code, led.headers["location"]) == (303, f"/appeals/{wide}")
    assert (await head.get(f"/appeals/{wide}")).status_code == 200
    assert (await head.get(f"/api/v1/appeals/{wide}")).json()["number"] == wide
    assert (await send(head, wide, version=0, **WHOLE)).status_code == 303
    assert await found(head, written(wide)) == [wide]
    assert await found(head, call.number) == [call.number]
    mistyped = wide[:-1] + str((int(wide[-1]) + 1) % 10)
    head.headers["accept-language"] = "en"
    page = await head.get("/search", params={"q": mistyped})
    assert "ten or eleven digits" in page.text
    answer = await head.get(f"/api/v1/appeals/{mistyped}")
    assert answer.status_code == 404


async def test_a_part_of_eleven_digits_is_shown_as_split_off(
    head: httpx.AsyncClient, wide: str, call: Call
) -> None:
    assert (await send(head, call.number, version=0, **WHOLE)).status_code == 303
    split = await send(head, call.number, "split", version=1, key="content")
    assert split.status_code == 303
    part = split.headers["location"].split("/")[2]
    assert len(part) == 11
    head.headers["accept-language"] = "en"
    assert (
        f"A part of it is an appeal of its own: {part}"
        in (await head.get(f"/appeals/{call.number}")).text
    )


async def test_the_portal_reads_an_appeal_of_eleven_digits(
    portal: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    async with unit_of_work(engine) as connection:
        await numbers_given(connection, 9_999_999, datetime.now(UTC))
    number = await appeal(engine)
    answer = await ask(portal, written(number).strip())
    assert (answer.json()["number"], len(number)) == (number, 11)


async def test_a_telephone_that_could_be_an_appeal_is_found(
    head: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    numbers = (f"8747{number}" for number in range(1_000_000, 9_999_999))
    typed = next(filter(is_valid, numbers))
    async with unit_of_work(engine) as connection:
        await opened(connection, RECEIVED, number=f"+7{typed[1:]}")
    assert len(await found(head, typed)) == 1
