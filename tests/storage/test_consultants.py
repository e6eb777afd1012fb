import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from callcenter.consultants import accounts, store
from callcenter.consultants.rules import skills
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import database_address, unit_of_work
from callcenter.telephony.asterisk.config.renderer import accounts_folder
from tests import fork_server
from tests.services import CALLCENTER

DIGEST = "0123456789abcdef" * 2


def command(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`callcenter consultants ...` as typed."""
    environment = os.environ | {
        "CALLCENTER_VAR": str(settings.var),
        "CALLCENTER_DATABASE_URL": settings.database,
    }
    return fork_server.run((*CALLCENTER, "consultants", *arguments), environment)


def sip_accounts(settings: Settings) -> str:
    return (accounts_folder(settings) / "pjsip.conf").read_text()


def test_the_digest_is_that_of_the_rfc() -> None:
    assert accounts.digest_of("101", "secret") == "ea4b721a303504abce7e8baffe482c78"


@given(st.text())
def test_an_extension_has_three_to_six_digits_and_nothing_else(extension: str) -> None:
    if re.fullmatch(r"[0-9]{3,6}", extension):
        assert accounts.check_extension(extension) == extension
    else:
        with pytest.raises(InvalidRequest):
            accounts.check_extension(extension)


@pytest.mark.parametrize("languages", [[], ["en"], ["kk", "en"], [""]])
def test_languages_are_those_of_the_line(languages: list[str]) -> None:
    with pytest.raises(InvalidRequest, match="kk, ru or both"):
        accounts.check_languages(languages)


def test_languages_are_stored_once_and_in_order() -> None:
    assert accounts.check_languages(["ru", "kk", "ru"]) == ("kk", "ru")


def test_passwords_made_are_strong_and_allowed() -> None:
    made = {accounts.new_password() for _ in range(100)}
    assert len(made) == 100
    assert all(accounts.check_password(each) == each for each in made)


@pytest.mark.parametrize(
    "password", ["", "short", "x" * 101, "пароль-пароль", "tab\tin-the-middle"]
)
def test_a_weak_or_odd_password_is_refused(password: str) -> None:
    with pytest.raises(InvalidRequest, match="12 to 100"):
        accounts.check_password(password)


async def test_active_consultants_are_read_back(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        second = await store.add(
            connection, extension="102", name=" Ерлан ", languages=["ru", "kk"], digest=DIGEST
        )
        first = await store.add(
            connection, extension="101", name="Айгүл", languages=["kk"], digest=DIGEST
        )
        assert (second.name, second.languages) == ("Ерлан", ("kk", "ru"))
        assert await store.active(connection) == [first, second]
        await store.set_active(connection, "101", False)
        assert await store.active(connection) == [second]
        assert [each.active for each in await store.everyone(connection)] == [False, True]


async def test_an_extension_is_given_once(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        await store.add(connection, extension="101", name="Айгүл", languages=["kk"], digest=DIGEST)
        with pytest.raises(InvalidRequest, match="extension 101 is taken"):
            await store.add(
                connection, extension="101", name="Ерлан", languages=["kk"], digest=DIGEST
            )
        assert [each.name for each in await store.everyone(connection)] == ["Айгүл"]


async def test_an_unknown_extension_is_named(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        with pytest.raises(InvalidRequest, match="no consultant has the extension 999"):
            await store.set_active(connection, "999", True)
        with pytest.raises(InvalidRequest, match="no consultant has the extension 999"):
            await store.set_digest(connection, "999", DIGEST)


def test_an_added_consultant_reaches_asterisk_with_the_password_shown(
    database: str, settings: Settings
) -> None:
    done = command(settings, "add", "201", "--name", "Айгүл", "--languages", "kk,ru")
    assert done.returncode == 0, done.stderr
    shown = re.search(r"password (\S+)", done.stdout)
    assert shown is not None
    assert "server 127.0.0.1:5060, UDP, user 201, realm asterisk" in done.stdout
    assert "`callcenter consultants password 201`" in done.stdout
    assert "set CALLCENTER_SIP_ADDRESS" in done.stdout
    assert accounts.digest_of("201", shown[1]) in sip_accounts(settings)
    assert shown[1] not in sip_accounts(settings)
    assert command(settings, "list").stdout.split() == ["201", "kk,ru", "active", "Айгүл"]


def test_a_disabled_consultant_leaves_asterisk_and_comes_back(
    database: str, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("a password of mine\n")
    digest = accounts.digest_of("201", "a password of mine")
    add = ("add", "201", "--name", "A", "--languages", "ru")
    added = command(settings, *add, "--password-file", str(tmp_path / "password"))
    assert added.stdout.startswith("added 201\n"), added.stderr
    assert digest in sip_accounts(settings)
    assert command(settings, "disable", "201").returncode == 0
    assert digest not in sip_accounts(settings)
    assert command(settings, "enable", "201").returncode == 0
    assert digest in sip_accounts(settings)


def test_every_change_by_command_leaves_an_audit_entry(database: str, settings: Settings) -> None:
    for arguments in (
        ("add", "201", "--name", "A", "--languages", "kk,ru"),
        ("skills", "201", "lawyer:3"),
        ("team", "201", "north"),
        ("telephone", "201", "browser"),
        ("password", "201"),
        ("disable", "201"),
        ("enable", "201"),
    ):
        assert command(settings, *arguments).returncode == 0, arguments
    assert command(settings, "disable", "999").returncode == 1  # nothing was changed: no entry
    assert entries(settings) == [
        ("added", {"languages": "kk,ru"}),
        ("skills_set", {"skills": "lawyer:3"}),
        ("team_set", {"team": "north"}),
        ("telephone_set", {"telephone": "browser"}),
        ("password_set", {}),
        ("disabled", {}),
        ("enabled", {}),
    ]


def entries(settings: Settings) -> list[tuple[str, dict[str, str]]]:
    """What the audit log has of consultant 201, by the last word of the action."""
    engine = create_engine(database_address(settings), poolclass=NullPool)
    query = select(audit_entry.c.action, audit_entry.c.detail).where(
        audit_entry.c.subject == "consultant:201"
    )
    with engine.connect() as connection:
        rows = connection.execute(query.order_by(audit_entry.c.id)).all()
    return [(row.action.removeprefix("command:consultant:"), row.detail) for row in rows]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "12", "--name", "A", "--languages", "kk"), "3 to 6 digits"),
        (("add", "201", "--name", "A", "--languages", "en"), "unknown language 'en'"),
        (("add", "201", "--name", " ", "--languages", "kk"), "printable characters"),
        (("add", "112", "--name", "A", "--languages", "kk"), "112 is the number of a service"),
        (("add", "111", "--name", "A", "--languages", "kk"), "111 is the line's own number"),
        (("disable", "201"), "no consultant has the extension 201"),
        (("password", "201", "--password-file", "/nothing"), "cannot read the password file"),
    ],
)
def test_an_invalid_request_is_one_clear_line(
    database: str, settings: Settings, arguments: tuple[str, ...], said: str
) -> None:
    done = command(settings, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_called_number_by_setting_is_no_extension(
    database: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCENTER_CALLED_NUMBERS", '["7X111"]')
    done = command(settings, "add", "72111", "--name", "A", "--languages", "kk")
    assert (done.returncode, done.stdout) == (1, "")
    assert "72111 is the line's own number, which people call" in done.stderr
    assert command(settings, "list").stdout == ""


def test_skills_are_set_by_command_without_redis(database: str, settings: Settings) -> None:
    assert command(settings, "add", "201", "--name", "A", "--languages", "ru").returncode == 0
    done = command(settings, "skills", "201", "lawyer:3", "children")
    assert done.returncode == 0, done.stderr
    assert "within a minute of Redis being there" in done.stdout
    assert "201 has children:1 lawyer:3" in done.stdout
    assert "children:1 lawyer:3" in command(settings, "list").stdout
    for wrong in (("201", "piloting:1"), ("201", "lawyer:6"), ("999", "lawyer:1")):
        refused = command(settings, "skills", *wrong)
        assert refused.returncode == 1, wrong
        assert "Traceback" not in refused.stderr
    assert "children:1 lawyer:3" in command(settings, "list").stdout


@given(st.dictionaries(st.from_regex(r"[a-z][a-z_]{1,39}", fullmatch=True), st.integers(1, 5)))
def test_skills_are_read_as_they_are_written(existing: dict[str, int]) -> None:
    assert skills.read_skills(skills.format_skills(existing)) == existing
