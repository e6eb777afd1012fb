"""The organisation's sign-in is asked again while people are here: what they lose, and when."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import store as consultants
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import external_identities, oidc_confirmations, store
from callcenter.platform.identity.oidc_confirmations import OidcConfirmations
from callcenter.platform.identity.oidc_sign_in import read_oidc_sign_in
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.tables import web_identity
from callcenter.platform.storage.engine import unit_of_work
from tests.web.browser import form_token
from tests.web.conftest import add_user, browse
from tests.web.oidc_provider import Provider
from tests.web.test_oidc import app, audited, provider, through, with_provider  # noqa: F401

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def anna(
    app: FastAPI,  # noqa: F811
    engine: AsyncEngine,
    provider: Provider,  # noqa: F811
) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of a consultant who signed in there, and has a softphone."""
    provider.person["groups"] = ["line"]
    provider.refreshes = "first"
    async with browse(app) as client:
        assert (await through(client, provider)).status_code == 303
        await add_telephone(engine)
        assert (await through(client, provider)).status_code == 303
        yield client


async def add_telephone(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        added = await consultants.add(
            connection, extension="201", name="Anna", languages=["kk"], digest="x"
        )
        await store.link_consultant(connection, name="anna", consultant_id=added.id)


@pytest.fixture
def confirmations(
    settings: Settings,
    web_engine: AsyncEngine,
    provider: Provider,  # noqa: F811
) -> OidcConfirmations:
    """As a web process has them, with everybody due at once."""
    return make(settings, web_engine, provider)


def make(
    settings: Settings, engine: AsyncEngine, at: Provider, **more: object
) -> OidcConfirmations:
    with_it = with_provider(settings, at.issuer, oidc_check_interval=300.0, **more)
    by = read_oidc_sign_in(with_it)
    assert by is not None
    return OidcConfirmations(with_it, engine, by)


async def pass_time(engine: AsyncEngine, **columns: datetime) -> None:
    """Everybody was last asked about, or confirmed, at another time."""
    async with unit_of_work(engine) as connection:
        await connection.execute(update(web_identity).values(checked_at=LONG_AGO, **columns))


async def what_is_left(client: httpx.AsyncClient, engine: AsyncEngine) -> tuple[bool, bool, bool]:
    """Whether there are a session, a telephone and offers."""
    has_session = (await client.get("/search")).status_code == 200
    async with unit_of_work(engine) as connection:
        telephones = await consultants.telephones(connection)
        return has_session, bool(telephones), bool(await consultants.active(connection))


ALL, NOTHING = (True, True, True), (False, False, False)


async def test_who_stays_in_a_group_keeps_all(
    anna: httpx.AsyncClient, engine: AsyncEngine, confirmations: OidcConfirmations
) -> None:
    """Twice, by the token that the provider gave for the one before."""
    for _ in range(2):
        await pass_time(engine)
        await confirmations.confirm_due()
        assert await what_is_left(anna, engine) == ALL


def leave_the_groups(at: Provider) -> None:
    at.person["groups"] = ["gardeners"]


def end_the_session(at: Provider) -> None:
    at.refreshes = "another"


@pytest.mark.parametrize(
    ("change", "why"), [(leave_the_groups, "no_role"), (end_the_session, "sign_in_ended")]
)
async def test_who_is_out_there_is_out_here(
    anna: httpx.AsyncClient,
    app: FastAPI,  # noqa: F811
    engine: AsyncEngine,
    provider: Provider,  # noqa: F811
    confirmations: OidcConfirmations,
    change: Callable[[Provider], None],
    why: str,
) -> None:
    change(provider)
    await confirmations.confirm_due()
    assert await what_is_left(anna, engine) == ALL  # not before the interval is over
    await pass_time(engine)
    await confirmations.confirm_due()
    assert await what_is_left(anna, engine) == NOTHING
    lost = ("web:user:entitlement_lost", "user:anna", {"why": why})
    assert (await audited(engine))[-1] == lost
    await confirmations.confirm_due()
    assert (await audited(engine))[-1] == lost
    provider.person["groups"] = ["line"]
    assert (await through(anna, provider)).status_code == 303
    assert await what_is_left(anna, engine) == ALL


async def test_another_group_is_another_role(
    anna: httpx.AsyncClient,
    engine: AsyncEngine,
    provider: Provider,  # noqa: F811
    confirmations: OidcConfirmations,
) -> None:
    provider.person["groups"] = ["line111-seniors"]
    await pass_time(engine)
    await confirmations.confirm_due()
    assert await what_is_left(anna, engine) == (False, True, True)
    async with unit_of_work(engine) as connection:
        user = await store.find_user(connection, "anna")
    assert user is not None
    assert user.role is Role.SENIOR


def refuse_us(at: Provider) -> None:
    at.refusal = "invalid_client"


def repeat_nothing(at: Provider) -> None:
    at.repeats_claims = False


def tell_of_somebody_else(at: Provider) -> None:
    at.person["sub"] = "boris-1"


@pytest.mark.parametrize("change", [refuse_us, repeat_nothing, tell_of_somebody_else])
async def test_a_provider_that_tells_nothing_takes_nothing(
    anna: httpx.AsyncClient,
    engine: AsyncEngine,
    provider: Provider,  # noqa: F811
    confirmations: OidcConfirmations,
    change: Callable[[Provider], None],
) -> None:
    change(provider)
    await pass_time(engine)
    await confirmations.confirm_due()
    assert await what_is_left(anna, engine) == ALL


async def test_who_is_unconfirmed_for_long_loses_all(
    anna: httpx.AsyncClient,
    engine: AsyncEngine,
    provider: Provider,  # noqa: F811
    confirmations: OidcConfirmations,
) -> None:
    """After signing out here, so that a softphone does not outlive its person."""
    await anna.post("/sign-out", data={"form_token": await form_token(anna, "/search")})
    recently = datetime.now(UTC) - oidc_confirmations.UNCONFIRMED_LIMIT + timedelta(hours=1)
    await pass_time(engine, confirmed_at=recently)
    await confirmations.confirm_due()
    assert await what_is_left(anna, engine) == (False, True, True)
    await pass_time(engine, confirmed_at=LONG_AGO)
    provider.is_unavailable = True
    await confirmations.confirm_due()
    assert await what_is_left(anna, engine) == (False, True, True)
    await pass_time(engine)
    provider.is_unavailable = False
    await confirmations.confirm_due()
    assert await what_is_left(anna, engine) == NOTHING
    assert (await audited(engine))[-1][2] == {"why": "unconfirmed"}


async def test_who_may_come_by_password_loses_the_session_alone(
    app: FastAPI,  # noqa: F811
    settings: Settings,
    engine: AsyncEngine,
    web_engine: AsyncEngine,
    provider: Provider,  # noqa: F811
) -> None:
    provider.person["groups"] = ["line"]
    provider.refreshes = "first"
    await add_user(engine, "anna", Role.CONSULTANT)
    async with unit_of_work(engine) as connection:
        await external_identities.link(
            connection, name="anna", issuer=provider.issuer, subject="anna-1"
        )
    await add_telephone(engine)
    confirmations = make(settings, web_engine, provider, password_names=("anna",))
    async with browse(app) as client:
        assert (await through(client, provider)).status_code == 303
        provider.refreshes = "another"
        await pass_time(engine)
        await confirmations.confirm_due()
        assert await what_is_left(client, engine) == (False, True, True)
