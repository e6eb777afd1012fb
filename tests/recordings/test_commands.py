"""`callcenter keys` and `callcenter recordings`, as an operator sees them; what the night says."""

import asyncio
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from redis.asyncio import Redis

from callcenter.cli import callcenter
from callcenter.platform.core.errors import CallcenterError
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.recordings.sealing import keys
from tests.recordings.test_erasure import altered, stored
from tests.recordings.test_sealing_worker import environment, keep, recorded, row_of, tools
from tests.storage.test_audit import at_work

__all__ = ["tools"]


def test_a_key_is_made_once_and_again_only_on_request(tmp_path: Path, database: str) -> None:
    there = {"CALLCENTER_VAR": str(tmp_path), "CALLCENTER_DATABASE_URL": database}

    def listed(*arguments: str) -> list[str]:
        done = CliRunner().invoke(callcenter, ["keys", "recordings", *arguments], env=there)
        assert done.exit_code == 0, done.output
        return done.output.splitlines()

    [first] = listed()
    assert first.endswith("seals and opens")
    assert listed() == [first]
    newer, older = listed("--new")
    assert newer.endswith("seals and opens")
    assert older == first.replace("seals and opens", "opens")
    assert keys.read(tmp_path / "keys").public == newer.split()[0]
    folder = tmp_path / "keys" / "recordings"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


def test_all_keys_and_secrets_are_made_before_the_first_start(
    tmp_path: Path, database: str
) -> None:
    there = {"CALLCENTER_VAR": str(tmp_path), "CALLCENTER_DATABASE_URL": database}

    def made() -> dict[Path, bytes]:
        done = CliRunner().invoke(callcenter, ["keys", "make"], env=there)
        assert done.exit_code == 0, done.output
        return {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()}

    first = made()
    names = {each.name for each in first}
    assert names >= {"register", "register_search", "second_factor", "audit", "0001.key"}
    assert made() == first


async def test_the_store_is_verified_and_quarantine_listed(
    tools: WorkerResources, monkeypatch: pytest.MonkeyPatch
) -> None:

    for key, value in environment(tools.settings).items():
        if key.startswith("CALLCENTER_"):
            monkeypatch.setenv(key, value)

    async def run(*arguments: str) -> tuple[str, str | None]:
        done = await asyncio.to_thread(CliRunner().invoke, callcenter, ["recordings", *arguments])
        assert done.exception is None or isinstance(done.exception, CallcenterError), done.exception
        return done.output, str(done.exception) if done.exception else None

    recording_id = await recorded(tools, b"")
    good = await recorded(tools)
    await keep(tools)
    said, failure = await run("verify")
    assert "every recording opens" in said
    assert failure is None
    assert "1 of 1 checked" in said
    foreign = tools.settings.spool / "foreign.raw"
    foreign.write_bytes(bytes(8000))
    os.utime(foreign, (0, 0))
    said, failure = await run("aside")
    assert f"{recording_id}  failed" in said
    assert "foreign foreign.raw  it belongs to no call" in said
    assert "3 recordings are in quarantine" in (failure or "")
    said, failure = await run("dealt-with", str(recording_id), "--reason", "Asterisk was killed")
    assert said == "1 are not in quarantine any more\n"
    said, failure = await run("dealt-with", str(recording_id), "--reason", "again")
    assert f"not in quarantine: {recording_id}" in (failure or "")
    said, failure = await run("aside")
    assert str(recording_id) not in said
    assert "2 recordings are in quarantine" in (failure or "")
    (tools.settings.recordings / ((await row_of(tools, good)).store_name or "")).unlink()
    said, failure = await run("verify", "--sample", "5")
    assert f"{good}  " in said
    assert "not in the store" in said
    assert "1 recordings are wrong" in (failure or "")


async def test_every_night_a_sample_is_verified_and_supervisors_are_alerted(
    tools: WorkerResources, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """As a worker does it."""
    good, bad = await stored(tools), await stored(tools)
    altered(tools.settings.recordings / ((await row_of(tools, bad)).store_name or ""))
    await at_work(tools, "recordings.verify")
    assert f"recording {bad}: This is not what was sealed." in caplog.text
    assert "recordings damaged: 1 stored" in caplog.text
    assert await redis.hget("desk:alarm_counts", "not_as_written") == "1"
    assert f"recording {good}: " not in caplog.text
