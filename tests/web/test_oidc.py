"""Sign-in by an organisation's provider: who comes in, as whom, and what is not believed."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from joserfc.jwk import RSAKey
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.bootstrap.web import application
from callcenter.launcher.port_check import free_port
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import external_identities, oidc_state, store
from callcenter.platform.identity.oidc_sign_in import read_oidc_sign_in
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from tests.web.browser import form_token, sign_in, visible
from tests.web.conftest import ORIGIN, PASSWORD, add_user, browse, furnished
from tests.web.oidc_provider import CLIENT, SECRET, Provider, serve
from tests.web.test_second_factor import enroll

ROLES = {"heads": "head", "line": "consultant", "line111-seniors": "senior"}


def with_provider(settings: Settings, issuer: str, **more: object) -> Settings:
    values: dict[str, object] = {
        "oidc_issuer": issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SecretStr(SECRET),
        "oidc_roles": ROLES,
        "public_url": ORIGIN,
    }
    return settings.model_copy(update=values | more)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    made = Provider()
    async with serve(made):
        yield made


@pytest.fixture
def app(
    routes: FastAPI, settings: Settings, engine: AsyncEngine, redis: Redis, provider: Provider
) -> FastAPI:
    return furnished(routes, with_provider(settings, provider.issuer), engine, redis)


async def begin(client: httpx.AsyncClient, back: str = "/search") -> str:
    """Where the browser is sent."""
    answer = await client.get("/sign-in/provider", params={"back": back})
    assert answer.status_code == 303
    return answer.headers["location"]


async def come_back(client: httpx.AsyncClient, code: str, state: str) -> httpx.Response:
    return await client.get("/sign-in/provider/back", params={"code": code, "state": state})


async def through(client: httpx.AsyncClient, provider: Provider) -> httpx.Response:
    """All the way there and back."""
    return await come_back(client, *provider.code(await begin(client)))


async def audited(engine: AsyncEngine) -> list[tuple[str, str, object]]:
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(
            select(audit_entry.c.action, audit_entry.c.subject, audit_entry.c.detail).order_by(
                audit_entry.c.id
            )
        )
        return [tuple(row) for row in rows]


async def why(engine: AsyncEngine) -> str:
    """Why the last sign-in was refused."""
    action, _, detail = (await audited(engine))[-1]
    assert action == "web:session:refused"
    assert isinstance(detail, dict)
    return str(detail["why"])


async def test_a_group_member_signs_in_with_our_second_factor(
    app: FastAPI, engine: AsyncEngine, provider: Provider
) -> None:
    async with browse(app) as client:
        assert "Ұйымыңыз" in visible((await client.get("/sign-in")).text)
        address = await begin(client)
        assert address.startswith(f"{provider.issuer}/authorize?")
        assert f"redirect_uri={ORIGIN}/sign-in/provider/back".replace(":", "%3A").replace(
            "/", "%2F"
        ) in address.replace("redirect_uri%3D", "redirect_uri=")
        entered = await come_back(client, *provider.code(address))
        assert entered.headers["location"] == "/second-factor?back=%2Fsearch"
        assert (await client.get("/search")).status_code == 303  # a head must have a factor
        await enroll(client)
        assert (await client.get("/search")).status_code == 200
    assert (await audited(engine))[0] == ("web:user:came", "user:anna", {"role": "head"})


async def test_a_providers_second_factor_counts_and_sign_out_returns_there(
    app: FastAPI, engine: AsyncEngine, provider: Provider
) -> None:
    provider.person["amr"] = ["pwd", "mfa"]
    async with browse(app) as client:
        assert (await through(client, provider)).headers["location"] == "/search"
        assert (await client.get("/search")).status_code == 200
        token = await form_token(client, "/search")
        left = await client.post("/sign-out", data={"form_token": token})
        assert left.headers["location"] == "/signed-out"
        page = await client.get("/signed-out")
        leaving = page.headers["refresh"].removeprefix("0; url=")
        assert leaving.startswith(f"{provider.issuer}/leave?client_id={CLIENT}&")
        assert (await client.get("/search")).status_code == 303
    assert [entry[0] for entry in await audited(engine)] == [
        "web:user:came",
        "web:session:started",
        "web:session:ended",
    ]


WRONG: dict[str, Callable[[Provider], Any]] = {
    "nonce": lambda provider: provider.changed.update(nonce="another"),
    "no nonce": lambda provider: provider.changed.update(nonce=None),
    "expired": lambda provider: provider.changed.update(exp=1_700_000_000),
    "no end": lambda provider: provider.changed.update(exp=None),
    "audience": lambda provider: provider.changed.update(aud="another"),
    "given to another": lambda provider: provider.changed.update(azp="another"),
    "for several": lambda provider: provider.changed.update(aud=[CLIENT, "another"]),
    "issuer": lambda provider: provider.changed.update(iss="http://127.0.0.1:1"),
    "subject": lambda provider: provider.changed.update(sub=""),
    "subject is no text": lambda provider: provider.changed.update(sub=7),
    "subject is endless": lambda provider: provider.changed.update(sub="x" * 256),
    "unsigned": lambda provider: setattr(provider, "sign", provider.unsigned),
    "public": lambda provider: setattr(provider, "sign", provider.signed_with_the_public_key),
    "key": lambda provider: setattr(provider, "key", RSAKey.generate_key(2048, {"kid": "first"})),
    "nonsense": lambda provider: setattr(provider, "sign", lambda _: "a.b.c"),
    "somebody else": lambda provider: setattr(provider, "userinfo", {"sub": "boris-1"}),
    "another's answer": lambda provider: provider.metadata.update(
        authorization_response_iss_parameter_supported=True
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_is_wrong_is_not_believed(
    app: FastAPI, engine: AsyncEngine, provider: Provider, wrong: str
) -> None:
    WRONG[wrong](provider)
    async with browse(app) as client:
        answer = await through(client, provider)
        assert answer.status_code == 401
        assert (await client.get("/search")).status_code == 303
    assert await why(engine) == "not_believed"
    async with unit_of_work(engine) as connection:
        assert await store.all_users(connection) == []


async def test_an_answer_counts_once_and_in_the_browser_that_began(
    app: FastAPI, engine: AsyncEngine, provider: Provider
) -> None:
    provider.person["amr"] = ["mfa"]
    async with browse(app) as client, browse(app) as other:
        code, state = provider.code(await begin(client))
        await begin(other)
        assert (await come_back(other, code, state)).status_code == 401
        assert (await come_back(other, code, "x")).status_code == 401
        assert await why(engine) == "out_of_date"
        stored = client.cookies["callcenter"]
        assert (await come_back(client, code, state)).status_code == 303
        # The same once more, also with the secret that the browser had then.
        client.cookies.clear()
        client.cookies.set("callcenter", stored)
        assert (await come_back(client, code, state)).status_code == 401
        assert await why(engine) == "not_believed"


async def test_nobody_makes_an_answer_for_a_browser_without_a_secret(
    app: FastAPI, engine: AsyncEngine, provider: Provider
) -> None:
    # What such a browser would have: a state that anybody can make.
    state = oidc_state.new_state("", "/", datetime.now(UTC))
    address = await app.state.site.oidc.provider.sign_in_address(
        state=state,
        nonce=oidc_state.nonce_of("", state),
        verifier=oidc_state.verifier_of("", state),
    )
    async with browse(app) as victim:
        assert (await come_back(victim, *provider.code(address))).status_code == 401
        victim.cookies.clear()
        victim.cookies.set("callcenter", "")
        assert (await come_back(victim, *provider.code(address))).status_code == 401
    assert await why(engine) == "out_of_date"


@pytest.mark.parametrize(
    "reported",
    [
        {"issuer": "https://sso.example.kz"},
        {"token_endpoint": "http://sso.example.kz/token"},
        {"jwks_uri": None},
        {"end_session_endpoint": "https://sso.example.kz/leave\r\nX: y"},
        {"userinfo_endpoint": 7},
        {"authorization_endpoint": "https://[sso"},
    ],
)
async def test_a_provider_that_describes_itself_wrongly_is_not_used(
    app: FastAPI, provider: Provider, reported: dict[str, object]
) -> None:
    provider.metadata.update(reported)
    async with browse(app) as client:
        assert (await client.get("/sign-in/provider")).status_code == 503
        assert "refresh" not in (await client.get("/signed-out")).headers


async def test_a_new_key_is_fetched_but_not_too_often(app: FastAPI, provider: Provider) -> None:
    provider.person["amr"] = ["mfa"]
    async with browse(app) as client:
        assert (await through(client, provider)).status_code == 303
    app.state.site.oidc.provider.keys_read_at = float("-inf")  # a while has passed
    provider.key = RSAKey.generate_key(2048, {"kid": "second"})
    provider.keys = [provider.key]
    async with browse(app) as client:
        assert (await through(client, provider)).status_code == 303
    provider.key = RSAKey.generate_key(2048, {"kid": "third"})
    for _ in range(3):
        async with browse(app) as client:
            assert (await through(client, provider)).status_code == 401
    assert provider.key_reads == 2


async def test_without_a_group_there_is_no_access(
    app: FastAPI, engine: AsyncEngine, provider: Provider
) -> None:
    provider.person |= {"groups": ["line"]}
    async with browse(app) as client, browse(app) as again:
        assert (await through(client, provider)).status_code == 303
        provider.person["groups"] = ["gardeners"]
        assert (await through(again, provider)).status_code == 401
        assert await why(engine) == "no_role"
        assert (await client.get("/search")).status_code == 303
        assert await is_entitled(engine) is False  # so the telephone is gone, too
        provider.person["groups"] = ["line"]
        assert (await through(again, provider)).status_code == 303
        assert await is_entitled(engine) is True
    provider.person |= {"sub": "new", "groups": []}
    async with browse(app) as client:
        answer = await through(client, provider)
        assert answer.status_code == 401
    assert (await audited(engine))[-1][1] == "unknown"


async def is_entitled(engine: AsyncEngine) -> bool:
    async with unit_of_work(engine) as connection:
        [anna] = await store.all_users(connection)
    return anna.entitled


async def test_the_role_follows_the_groups(
    app: FastAPI, engine: AsyncEngine, provider: Provider
) -> None:
    provider.person |= {"groups": ["line"]}
    async with browse(app) as client, browse(app) as again:
        await through(client, provider)
        provider.person["groups"] = ["line111-seniors", "line"]
        await through(again, provider)  # `line` comes first in the setting
        assert (await client.get("/search")).status_code == 200
        provider.person["groups"] = ["line111-seniors"]
        async with browse(app) as third:
            await through(third, provider)
        assert (await client.get("/search")).status_code == 303  # signed in as what she was
    async with unit_of_work(engine) as connection:
        [anna] = await store.all_users(connection)
    assert anna.role is Role.SENIOR
    assert ("web:user:role_followed", "user:anna", {"role": "senior"}) in await audited(engine)


async def test_the_name_of_somebody_here_proves_nothing(
    app: FastAPI, engine: AsyncEngine, provider: Provider
) -> None:
    provider.person |= {"groups": ["line"]}
    await add_user(engine, "anna", Role.ADMINISTRATOR)
    async with browse(app) as client:
        assert (await through(client, provider)).status_code == 401
    assert await why(engine) == "name"
    async with unit_of_work(engine) as connection:
        await external_identities.link(
            connection, name="anna", issuer=provider.issuer, subject="anna-1"
        )
    async with browse(app) as client:
        assert (await through(client, provider)).status_code == 303


async def test_who_is_shut_out_here_stays_out(
    app: FastAPI, engine: AsyncEngine, provider: Provider
) -> None:
    provider.person |= {"groups": ["line"]}
    async with browse(app) as client:
        await through(client, provider)
    async with unit_of_work(engine) as connection:
        await store.set_active(connection, name="anna", active=False)
    async with browse(app) as client:
        assert (await through(client, provider)).status_code == 401
    assert await why(engine) == "disabled"
    async with browse(app) as client:  # nor by a password: there is none
        for password in ("", "x"):
            assert (await sign_in(client, "anna", password)).status_code == 401


async def test_what_the_person_endpoint_tells_counts_too(app: FastAPI, provider: Provider) -> None:
    provider.person = {"sub": "anna-1", "amr": ["mfa"]}
    provider.userinfo = {"sub": "anna-1", "groups": "line", "preferred_username": "Anna K."}
    async with browse(app) as client:
        assert (await through(client, provider)).status_code == 303
        assert "anna-k" in visible((await client.get("/search")).text)


async def test_a_missing_provider_is_reported_and_passwords_offered(
    app: FastAPI, engine: AsyncEngine, provider: Provider
) -> None:
    provider.is_unavailable = True
    async with browse(app) as client:
        answer = await client.get("/sign-in/provider")
        assert answer.status_code == 503
        assert "<details open>" in answer.text
        assert (await client.get("/signed-out")).status_code == 200
        cancelled = await client.get("/sign-in/provider/back", params={"error": "access_denied"})
        assert cancelled.status_code == 401


async def test_with_passwords_for_few_others_are_refused(
    settings: Settings, engine: AsyncEngine, redis: Redis, provider: Provider
) -> None:
    few = with_provider(settings, provider.issuer, password_names=("rescue",))
    app = application(few, engine, redis)
    for name in ("rescue", "aigul"):
        await add_user(engine, name, Role.CONSULTANT)
    async with browse(app) as client:
        assert (await sign_in(client, "aigul", PASSWORD)).status_code == 401
        assert await why(engine) == "by_password"
        assert (await sign_in(client, "rescue", PASSWORD)).status_code == 303


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"public_url": None}, "PUBLIC_URL"),
        ({"public_url": "http://111.example.kz"}, "PUBLIC_URL"),
        ({"oidc_issuer": "http://sso.example.kz"}, "OIDC_ISSUER"),
        ({"oidc_issuer": None, "password_names": ("rescue",)}, "PASSWORD_NAMES"),
        ({"password_names": ()}, "PASSWORD_NAMES"),
        ({"oidc_roles": {}}, "OIDC_ROLES"),
        ({"oidc_roles": {"heads": "boss"}}, "OIDC_ROLES.*boss"),
        ({"oidc_scopes": "profile"}, "OIDC_SCOPES"),
    ],
)
def test_a_setting_that_is_wrong_stops_the_site_by_name(
    settings: Settings, wrong: dict[str, object], named: str
) -> None:
    with pytest.raises(InvalidRequest, match=named):
        read_oidc_sign_in(with_provider(settings, "https://sso.example.kz", **wrong))


async def test_with_a_provider_of_others(
    settings: Settings, engine: AsyncEngine, redis: Redis
) -> None:
    """A process that is not ours: `oidc-provider-mock`, on Authlib."""
    port = free_port()
    issuer = f"http://localhost:{port}"
    person = '{"sub": "anna-1", "preferred_username": "anna", "groups": ["line"]}'
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "oidc_provider_mock", "--host", "localhost", "--port", str(port)),
        *("--user-claims", person),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient() as there:
            async with asyncio.timeout(60):
                while True:
                    try:
                        await there.get(f"{issuer}/jwks")
                        break
                    except httpx.TransportError:
                        await asyncio.sleep(0.1)
            app = application(with_provider(settings, issuer), engine, redis)
            async with browse(app) as client:
                chosen = await there.post(await begin(client), data={"sub": "anna-1"})
                back = chosen.headers["location"]
                assert back.startswith(f"{ORIGIN}/sign-in/provider/back?")
                assert (await client.get(back)).headers["location"] == "/search"
                assert (await client.get("/search")).status_code == 200
                assert (await client.get(back)).headers["location"] == "/"
            async with browse(app) as client:
                await begin(client)
                assert (await client.get(back)).status_code == 401
    finally:
        process.terminate()
        await process.wait()
