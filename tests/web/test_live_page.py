"""The page of live figures: words, signs, and what is not known."""

import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.bootstrap.rooms import ROOMS
from callcenter.consultants.tables import consultant
from callcenter.platform.core import registry
from callcenter.platform.core.i18n import LANGUAGES
from callcenter.platform.core.registry import Room, register_rooms
from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.alerts import AlertKind, raise_alert
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.redis import open_redis
from callcenter.telephony.acd.alerts import NOBODY_SIGNED_IN
from callcenter.telephony.reconciliation.store import count_refused
from callcenter.wallboard.live_feed import LiveFeed
from tests.polling import until
from tests.web.browser import visible
from tests.web.live import line, person, sign_in, waiting


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_page_names_unknown_figures_and_shows_none(
    app: FastAPI, head: httpx.AsyncClient, redis: Redis, tmp_path: Path, language: str
) -> None:
    gone = open_redis(
        Settings(_env_file=None, redis_url=SecretStr(f"unix://{tmp_path / 'none.sock'}"))
    )
    site = app.state.site
    app.state.live_feed = LiveFeed(site.engine, gone, site.settings)
    head.headers["accept-language"] = language
    answer = await head.get("/live")
    reported = {
        "kk": "Кезек жүйесі жауап бермейді",
        "ru": "Система очереди не отвечает",
        "en": "The queue does not respond",
    }
    text = visible(answer.text)
    assert reported[language] in text
    assert answer.text.count('class="figure unknown"') == 2
    assert re.search(r'class="figure (calm|waiting|late)"', answer.text) is None
    assert (await head.get("/api/v1/live")).json()["desk"] is None
    await gone.aclose()


async def test_the_page_uses_words_and_signs_and_nothing_inline(
    head: httpx.AsyncClient, redis: Redis, settings: Settings
) -> None:
    head.headers["accept-language"] = "ru"
    async with line(redis, settings, "line-1", person("201", "ru")) as distributor:
        await sign_in(redis, settings, "201")
        await raise_alert(redis, NOBODY_SIGNED_IN, "kk")
        async with waiting(distributor, "kk", 90):

            async def shown() -> bool:
                return "▲ дольше 20 секунд" in visible((await head.get("/live")).text)

            await until(shown, "the long wait is on the page")
            answer = await head.get("/live")
    text = visible(answer.text)
    for part in ("1 Ожидают", "свободны: 1", "свободны: 0", "1 Свободны 201", "0 Не на смене"):
        assert part in text
    assert "никто не говорит на языке: Казахский" in text
    assert re.search(r"Самое долгое ожидание", text)
    assert re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=", answer.text) is None
    assert '<noscript><meta http-equiv="refresh"' in answer.text
    assert "connect-src 'self'" in answer.headers["content-security-policy"]


async def test_refused_calls_of_today_are_on_the_page(
    head: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    now = datetime.now(UTC)
    async with unit_of_work(engine) as connection:
        await count_refused(connection, Counter({(now, "operator", 488): 7}))
    head.headers["accept-language"] = "ru"
    answer = await head.get("/live")
    assert "7 Отклонённые звонки телефонная станция не смогла их обслужить" in visible(answer.text)
    assert (await head.get("/api/v1/live")).json()["today"]["refused"] == 7


async def test_an_alert_has_its_rooms_label_or_its_key(
    head: httpx.AsyncClient,
    redis: Redis,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tree_fell = AlertKind("tree_fell", "A tree fell in the garden.")
    monkeypatch.setattr(registry, "registered", [])
    await raise_alert(redis, tree_fell)  # without any room, as a controller does
    await raise_alert(redis, AlertKind("well_dry", "The label of nobody."))
    register_rooms([*ROOMS, Room("garden", offers=(tree_fell,))])
    head.headers["accept-language"] = "en"
    async with line(redis, settings, "line-1", person("201", "ru")):

        async def shown() -> bool:
            text = visible((await head.get("/live")).text)
            return "A tree fell in the garden." in text and "An alarm: well_dry" in text

        await until(shown, "both alerts are on the page")


async def test_the_names_of_consultants_are_escaped(
    app: FastAPI, engine: AsyncEngine, head: httpx.AsyncClient, redis: Redis, settings: Settings
) -> None:
    async with unit_of_work(engine) as connection:
        await connection.execute(
            insert(consultant).values(
                id=uuid4(), extension="201", name="<script>x", languages=["kk"], digest="-"
            )
        )
    async with line(redis, settings, "line-1", person("201")):
        page = (await head.get("/live")).text
    assert "&lt;script&gt;x" in page
    assert "<script>x" not in page
