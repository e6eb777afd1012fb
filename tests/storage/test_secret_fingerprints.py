"""A missing or other secret stops what would use it; only the first run makes one."""

import asyncio
import re
import shutil
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

import callcenter as package
from callcenter.bootstrap.data_secrets import (
    KEYS,
    RECORDINGS,
    WORDS,
    ensure_secrets,
)
from callcenter.cli import callcenter
from callcenter.commands import check
from callcenter.launcher.process_secrets import OF_WEB, OF_WORKER
from callcenter.launcher.supervisor import environment
from callcenter.platform.core.secrets import SecretMissing
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.secret_fingerprints import UNKNOWN, SecretMismatch
from callcenter.platform.storage.tables import secret_fingerprint
from tests import fork_server
from tests.services import CALLCENTER

ALL = (*WORDS, *KEYS)


@pytest.fixture
async def first_run(settings: Settings, engine: AsyncEngine) -> Settings:
    """A copy whose first run has made all secrets, as the web and `keys make` do at once."""
    shutil.rmtree(settings.secrets_folder)
    shutil.rmtree(settings.keys)
    await asyncio.gather(
        ensure_secrets(settings, engine, (*OF_WEB, RECORDINGS)),
        ensure_secrets(settings, engine, (*OF_WORKER, *KEYS)),
    )
    return settings


def file_of(settings: Settings, name: str) -> Path:
    if name in KEYS:
        return settings.keys / name / "0001.key"
    return settings.secrets_folder / name


def elsewhere(settings: Settings, folder: Path) -> Settings:
    """Another machine at the same database."""
    return Settings(
        _env_file=None,
        var=folder,
        database_url=settings.database_url,
        redis_url=settings.redis_url,
    )


async def fingerprints(engine: AsyncEngine) -> list[tuple[str, bytes, bytes]]:
    query = text("SELECT secret, fingerprint, salt FROM secret_fingerprint ORDER BY 1, 2")
    async with unit_of_work(engine) as connection:
        return [(row[0], row[1], row[2]) for row in await connection.execute(query)]


def test_every_secret_that_is_read_has_a_fingerprint() -> None:
    read = re.compile(r"(?:read|make)_secret\([\w.]+, f?\"(\w+)")
    named = {
        name
        for file in Path(package.__file__).parent.rglob("*.py")
        for name in read.findall(file.read_text())
    }
    assert {"ari", "ami", "hep", "register", "audit"} <= named
    assert named - {"ari", "ami", "hep", "operator_"} <= set(WORDS)


async def test_the_first_run_makes_each_secret_once(
    first_run: Settings, engine: AsyncEngine
) -> None:
    made = {name: file_of(first_run, name).read_text() for name in ALL}
    before = await fingerprints(engine)
    assert [name for name, *_ in before] == sorted(ALL)
    await ensure_secrets(first_run, engine, ALL)
    assert {name: file_of(first_run, name).read_text() for name in ALL} == made
    assert await fingerprints(engine) == before


@pytest.mark.parametrize("name", ALL)
async def test_a_missing_secret_is_never_made_anew(
    first_run: Settings, engine: AsyncEngine, name: str
) -> None:
    file = file_of(first_run, name)
    moved = file.rename(first_run.var / "moved")
    with pytest.raises(SecretMissing, match=str(file.parent)):
        await ensure_secrets(first_run, engine, ALL)
    assert not file.exists()
    moved.rename(file)
    await ensure_secrets(first_run, engine, ALL)


@pytest.mark.parametrize("name", WORDS)
async def test_another_secret_is_refused(
    first_run: Settings, engine: AsyncEngine, name: str
) -> None:
    file_of(first_run, name).write_text("of-another-copy\n")
    with pytest.raises(SecretMismatch, match=name):
        await ensure_secrets(first_run, engine, ALL)


async def test_a_rotated_secret_needs_its_older_words(
    first_run: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = file_of(first_run, "register")
    older = file.read_text().strip()
    file.write_text(f"newer {older}\n")
    await ensure_secrets(first_run, engine, ALL)
    for words in (older, "newer"):
        file.write_text(words)
        with pytest.raises(SecretMismatch, match="older key"):
            await ensure_secrets(first_run, engine, ALL)
    await command(first_run, monkeypatch, "keys", "accept", "register")
    await ensure_secrets(first_run, engine, ALL)
    async with unit_of_work(engine) as connection:
        audited = await connection.execute(text("SELECT action, subject FROM audit_entry"))
        assert [tuple(each) for each in audited] == [("command:secret:accepted", "secret:register")]


async def test_a_new_key_of_recordings_needs_the_older_ones(
    first_run: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await command(first_run, monkeypatch, "keys", "recordings", "--new")
    assert len(await fingerprints(engine)) == len(ALL) + 1
    file_of(first_run, RECORDINGS).unlink()
    with pytest.raises(SecretMismatch, match="older key"):
        await ensure_secrets(first_run, engine, ALL)
    with pytest.raises(SecretMismatch, match="older key"):
        await command(first_run, monkeypatch, "keys", "recordings", "--new")
    await command(first_run, monkeypatch, "keys", "accept", "recordings")
    await ensure_secrets(first_run, engine, ALL)


async def test_a_second_machine_needs_the_secrets_of_the_first(
    first_run: Settings, engine: AsyncEngine, tmp_path: Path
) -> None:
    second = elsewhere(first_run, tmp_path / "second")
    with pytest.raises(SecretMissing):
        await ensure_secrets(second, engine, ALL)
    assert not second.var.exists()
    shutil.copytree(first_run.secrets_folder, second.secrets_folder)
    shutil.copytree(first_run.keys, second.keys)
    await ensure_secrets(second, engine, ALL)


async def test_of_two_machines_at_once_one_makes_secrets(
    settings: Settings, engine: AsyncEngine, tmp_path: Path
) -> None:
    machines = [elsewhere(settings, tmp_path / name) for name in ("one", "two", "three")]
    done = await asyncio.gather(
        *(ensure_secrets(each, engine, ("register",)) for each in machines),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in done) == [
        "NoneType",
        "SecretMissing",
        "SecretMissing",
    ]
    assert [file_of(each, "register").exists() for each in machines] == [
        each is None for each in done
    ]


async def test_data_from_before_fingerprints_keep_their_secret(
    settings: Settings, engine: AsyncEngine
) -> None:
    unknown = {"secret": "register", "fingerprint": UNKNOWN, "salt": b""}
    async with unit_of_work(engine) as connection:
        await connection.execute(insert(secret_fingerprint), unknown)
    moved = file_of(settings, "register").rename(settings.var / "moved")
    with pytest.raises(SecretMissing):
        await ensure_secrets(settings, engine, ("register",))
    moved.rename(file_of(settings, "register"))
    await ensure_secrets(settings, engine, ("register",))
    [(_, fingerprint, _)] = await fingerprints(engine)
    assert fingerprint != UNKNOWN
    moved = file_of(settings, "register").rename(settings.var / "moved")
    with pytest.raises(SecretMissing):
        await ensure_secrets(settings, engine, ("register",))


async def test_fingerprints_of_one_word_differ_everywhere(
    settings: Settings, engine: AsyncEngine
) -> None:
    for name in ("register", "second_factor"):
        file_of(settings, name).write_text("qwerty\n")
    await ensure_secrets(settings, engine, ("register", "second_factor"))
    before = await fingerprints(engine)
    assert len({fingerprint for _, fingerprint, _ in before}) == 2
    async with unit_of_work(engine) as connection:
        await connection.execute(secret_fingerprint.delete())
    await ensure_secrets(settings, engine, ("register", "second_factor"))
    assert not {row[1] for row in before} & {row[1] for row in await fingerprints(engine)}


@pytest.mark.parametrize(("process", "name"), [("web", "register"), ("worker", "audit")])
@pytest.mark.parametrize("another", [False, True])
@pytest.mark.usefixtures("redis")
async def test_a_process_does_not_start_without_its_secret(
    first_run: Settings, process: str, name: str, another: bool
) -> None:
    file = file_of(first_run, name)
    if another:
        file.write_text("of-another-copy\n")
    else:
        file.unlink()
    started = await asyncio.to_thread(
        fork_server.run, (*CALLCENTER, process), environment(first_run)
    )
    assert (started.returncode, started.stdout) == (1, "")
    [line] = started.stderr.splitlines()
    fault = "is another than the database was written with" if another else "is missing"
    assert line.startswith(f"callcenter: the secret {file} {fault}")
    assert re.search(r": restore .*; see \"Secrets\" in docs/operations/running.md$", line)
    assert file.exists() == another


async def test_check_tells_of_secrets_that_are_not_right(
    first_run: Settings, database: str
) -> None:
    look = check.CHECKS["security"]["secrets"]

    async def shown() -> tuple[str, str]:
        return await asyncio.to_thread(check.examine, look, first_run)

    assert await shown() == ("ok", "8 are those that the database was written with")
    file = file_of(first_run, "second_factor")
    file.write_text("another\n")
    state, words = await shown()
    assert (state, str(file) in words) == ("BAD", True)
    file.unlink()
    assert (await shown())[0] == "BAD"
    assert not file.exists()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DELETE FROM secret_fingerprint WHERE secret = 'second_factor'")
    state, words = await shown()
    assert state == "ok"
    assert words.startswith("7 are those")
    assert "second_factor" in words


async def command(settings: Settings, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Run a command of `callcenter` on this copy. Raises what it raises."""
    for key, value in environment(settings).items():
        if key.startswith("CALLCENTER_"):
            monkeypatch.setenv(key, value)
    done = await asyncio.to_thread(CliRunner().invoke, callcenter, arguments)
    if done.exception is not None:
        raise done.exception
