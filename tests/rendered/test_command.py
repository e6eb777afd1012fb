"""`callcenter render` with the real database."""

import asyncio

import pytest
from click.testing import CliRunner

from callcenter.commands.render import command
from callcenter.consultants.store import add
from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import open_database, unit_of_work
from callcenter.telephony.asterisk.config.binary import configuration
from callcenter.telephony.asterisk.config.renderer import accounts_folder


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CALLCENTER_VAR", str(settings.var))
    return settings


@pytest.fixture
def ready(environment: Settings, database: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A database with one consultant. The command has a loop of its own, so has this."""
    monkeypatch.setenv("CALLCENTER_DATABASE_URL", database)
    asyncio.run(add_consultant(environment))
    return environment


async def add_consultant(settings: Settings) -> None:
    engine = open_database(settings)
    async with unit_of_work(engine) as connection:
        await add(connection, extension="1001", name="Aigul", languages=["kk"], digest="0a" * 16)
    await engine.dispose()


def test_render_writes_the_databases_consultants_once(
    ready: Settings,
) -> None:
    first = CliRunner().invoke(command, catch_exceptions=False)
    assert first.output.startswith("written: ")
    assert "[1001](telephone)" in (accounts_folder(ready) / "pjsip.conf").read_text("utf-8")
    second = CliRunner().invoke(command, ["--reload"], catch_exceptions=False)
    assert (second.exit_code, second.output) == (0, "nothing to change\n")


def test_check_tells_by_its_status_whether_anything_would_change(ready: Settings) -> None:
    checked = CliRunner().invoke(command, ["--check"], catch_exceptions=False)
    assert checked.exit_code == 1
    assert "+[1001](telephone)" in checked.output
    assert "0a0a" not in checked.output
    assert not configuration(ready).exists()
    CliRunner().invoke(command, catch_exceptions=False)
    again = CliRunner().invoke(command, ["--check"], catch_exceptions=False)
    assert (again.exit_code, again.output) == (0, "")


def test_a_database_that_is_not_there_is_said(
    environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCENTER_DATABASE_URL", f"postgresql://u@/d?host={environment.var}")
    with pytest.raises(DependencyUnavailable, match="cannot reach the database"):
        CliRunner().invoke(command, catch_exceptions=False)


def test_a_database_without_tables_is_said_with_what_to_do(
    environment: Settings, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCENTER_DATABASE_URL", empty_database)
    with pytest.raises(DependencyUnavailable, match="callcenter migrate"):
        CliRunner().invoke(command, catch_exceptions=False)
