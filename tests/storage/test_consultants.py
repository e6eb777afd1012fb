import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import accounts, skills, store
from callcenter.errors import AskedWrongly
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from tests.services import CALLCENTER

DIGEST = "0123456789abcdef" * 2


def command(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`callcenter consultants ...` as typed."""
    environment = os.environ | {
        "CALLCENTER_VAR": str(settings.var),
        "CALLCENTER_DATABASE_URL": settings.database,
    }
    return subprocess.run(
        [*CALLCENTER, "consultants", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def sip_accounts(settings: Settings) -> str:
    return (settings.asterisk_folder / "etc" / "pjsip.conf").read_text()


def test_the_digest_is_that_of_the_rfc() -> None:
    assert accounts.digest_of("101", "secret") == "ea4b721a303504abce7e8baffe482c78"


@given(st.text())
def test_an_extension_has_three_to_six_digits_and_nothing_else(extension: str) -> None:
    if re.fullmatch(r"[0-9]{3,6}", extension):
        assert accounts.check_extension(extension) == extension
    else:
        with pytest.raises(AskedWrongly):
            accounts.check_extension(extension)


@pytest.mark.parametrize("languages", [[], ["en"], ["kk", "en"], [""]])
def test_languages_are_those_of_the_line(languages: list[str]) -> None:
    with pytest.raises(AskedWrongly, match="kk, ru or both"):
        accounts.check_languages(languages)


def test_languages_are_kept_once_and_in_order() -> None:
    assert accounts.check_languages(["ru", "kk", "ru"]) == ("kk", "ru")


def test_passwords_made_are_strong_and_allowed() -> None:
    made = {accounts.new_password() for _ in range(100)}
    assert len(made) == 100
    assert all(accounts.check_password(each) == each for each in made)


@pytest.mark.parametrize(
    "password", ["", "short", "x" * 101, "пароль-пароль", "tab\tin-the-middle"]
)
def test_a_weak_or_odd_password_is_refused(password: str) -> None:
    with pytest.raises(AskedWrongly, match="12 to 100"):
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
        with pytest.raises(AskedWrongly, match="extension 101 is taken"):
            await store.add(
                connection, extension="101", name="Ерлан", languages=["kk"], digest=DIGEST
            )
        assert [each.name for each in await store.everyone(connection)] == ["Айгүл"]


async def test_an_unknown_extension_is_named(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        with pytest.raises(AskedWrongly, match="no consultant has the extension 999"):
            await store.set_active(connection, "999", True)
        with pytest.raises(AskedWrongly, match="no consultant has the extension 999"):
            await store.set_digest(connection, "999", DIGEST)


def test_an_added_consultant_reaches_asterisk_with_the_password_shown(
    database: str, settings: Settings
) -> None:
    done = command(settings, "add", "101", "--name", "Айгүл", "--languages", "kk,ru")
    assert done.returncode == 0, done.stderr
    shown = re.search(r"password (\S+)", done.stdout)
    assert shown is not None
    assert accounts.digest_of("101", shown[1]) in sip_accounts(settings)
    assert shown[1] not in sip_accounts(settings)
    assert command(settings, "list").stdout.split() == ["101", "kk,ru", "active", "Айгүл"]


def test_a_disabled_consultant_leaves_asterisk_and_comes_back(
    database: str, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("a password of mine\n")
    digest = accounts.digest_of("101", "a password of mine")
    add = ("add", "101", "--name", "A", "--languages", "ru")
    added = command(settings, *add, "--password-file", str(tmp_path / "password"))
    assert added.stdout == "added 101\n", added.stderr
    assert digest in sip_accounts(settings)
    assert command(settings, "disable", "101").returncode == 0
    assert digest not in sip_accounts(settings)
    assert command(settings, "enable", "101").returncode == 0
    assert digest in sip_accounts(settings)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "12", "--name", "A", "--languages", "kk"), "3 to 6 digits"),
        (("add", "101", "--name", "A", "--languages", "en"), "unknown language 'en'"),
        (("add", "101", "--name", " ", "--languages", "kk"), "printable characters"),
        (("disable", "101"), "no consultant has the extension 101"),
        (("password", "101", "--password-file", "/nothing"), "cannot read the password file"),
    ],
)
def test_what_is_asked_wrongly_is_one_clear_line(
    database: str, settings: Settings, arguments: tuple[str, ...], said: str
) -> None:
    done = command(settings, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_skills_are_given_by_command_and_kept_though_redis_is_away(
    database: str, settings: Settings
) -> None:
    assert command(settings, "add", "101", "--name", "A", "--languages", "ru").returncode == 0
    done = command(settings, "skills", "101", "lawyer:3", "children")
    assert done.returncode == 0, done.stderr
    assert "within a minute of Redis being there" in done.stdout
    assert "101 has children:1 lawyer:3" in done.stdout
    assert "children:1 lawyer:3" in command(settings, "list").stdout
    for wrong in (("101", "piloting:1"), ("101", "lawyer:6"), ("999", "lawyer:1")):
        refused = command(settings, "skills", *wrong)
        assert refused.returncode == 1, wrong
        assert "Traceback" not in refused.stderr
    assert "children:1 lawyer:3" in command(settings, "list").stdout


@given(st.dictionaries(st.from_regex(r"[a-z][a-z_]{1,39}", fullmatch=True), st.integers(1, 5)))
def test_skills_are_read_as_they_are_written(known: dict[str, int]) -> None:
    assert skills.read_skills(skills.as_words(known)) == known
