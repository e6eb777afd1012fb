"""Scripts, styles and pictures: what a browser gets of them, and how."""

import gzip
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from callcenter.bootstrap.web import web_modules
from callcenter.platform.web.static_files import load_assets
from tests.web.conftest import Call, browse

ASSETS = load_assets(web_modules())


@pytest.fixture
async def anybody(routes: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A browser at the site without its database, which files do not need."""
    async with browse(routes) as client:
        yield client


async def transferred(anybody: httpx.AsyncClient, name: str) -> tuple[httpx.Headers, bytes]:
    """The headers and the body as they are sent."""
    async with anybody.stream("GET", f"/static/{name}") as answer:
        assert answer.status_code == 200
        return answer.headers, b"".join([each async for each in answer.aiter_raw()])


@pytest.mark.parametrize("accepted", ["gzip", "br, zstd, GZIP ; q=0.5", "gzip;q=1.000, *;q=0"])
async def test_scripts_and_styles_are_sent_compressed(
    anybody: httpx.AsyncClient, accepted: str
) -> None:
    for name in ("htmx.js", "style.css"):
        anybody.headers["accept-encoding"] = "identity"
        plain, whole = await transferred(anybody, name)
        anybody.headers["accept-encoding"] = accepted
        headers, sent = await transferred(anybody, name)
        own = {"content-encoding": "gzip", "content-length": str(len(sent))}
        assert dict(headers) == dict(plain) | own
        assert headers["vary"] == "Accept-Encoding"
        assert "immutable" in headers["cache-control"]
        assert gzip.decompress(sent) == whole == ASSETS[name].content
        assert len(sent) < len(whole)


@pytest.mark.parametrize("accepted", ["", "identity", "br", "xgzip", "gzip;q=0", "gzip; q=0.000,*"])
async def test_who_refuses_gzip_gets_files_as_they_are(
    anybody: httpx.AsyncClient, accepted: str
) -> None:
    anybody.headers["accept-encoding"] = accepted
    headers, sent = await transferred(anybody, "style.css")
    assert "content-encoding" not in headers
    assert headers["vary"] == "Accept-Encoding"  # a cache keeps it for those alone
    assert sent == ASSETS["style.css"].content


async def test_pictures_are_sent_as_they_are(anybody: httpx.AsyncClient) -> None:
    picture = next(name for name in ASSETS if name.endswith(".webp"))
    headers, sent = await transferred(anybody, picture)
    assert not {"content-encoding", "vary"} & set(headers)
    assert sent == ASSETS[picture].content


async def test_nothing_personal_is_compressed(head: httpx.AsyncClient, call: Call) -> None:
    head.headers["accept-encoding"] = "gzip, deflate, br, zstd"
    paths = ("/sign-in", "/search?q=111", f"/appeals/{call.number}", "/nowhere", "/api/v1/appeals")
    for path in paths:
        assert "content-encoding" not in (await head.get(path)).headers, path
