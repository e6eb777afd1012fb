"""`callcenter keys` and `callcenter recordings`, as an operator sees them; what the night says."""

import asyncio
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from redis.asyncio import Redis

from callcenter.cli import callcenter
from callcenter.errors import CallcenterError
from callcenter.recordings import keys
from callcenter.storage.jobs import Tools
from tests.recordings.test_erasing import altered, stored
from tests.recordings.test_keeping import environment, keep, recorded, row_of, tools
from tests.storage.test_audit import at_work

__all__ = ["tools"]


def test_a_key_is_made_once_and_another_only_when_asked_for(tmp_path: Path) -> None:
    def listed(*arguments: str) -> list[str]:
        done = CliRunner().invoke(
            callcenter, ["keys", "recordings", *arguments], env={"CALLCENTER_VAR": str(tmp_path)}
        )
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


async def test_the_store_is_verified_and_what_was_set_aside_is_listed(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
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
    assert "3 recordings are set aside" in (failure or "")
    said, failure = await run("dealt-with", str(recording_id), "--reason", "Asterisk was killed")
    assert said == "1 are set aside no more\n"
    said, failure = await run("dealt-with", str(recording_id), "--reason", "again")
    assert f"not set aside: {recording_id}" in (failure or "")
    said, failure = await run("aside")
    assert str(recording_id) not in said
    assert "2 recordings are set aside" in (failure or "")
    (tools.settings.recordings / ((await row_of(tools, good)).store_name or "")).unlink()
    said, failure = await run("verify", "--sample", "5")
    assert f"{good}  " in said
    assert "not in the store" in said
    assert "1 recordings are wrong" in (failure or "")


async def test_every_night_a_sample_is_verified_and_supervisors_are_alarmed(
    tools: Tools, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """As a worker does it."""
    good, bad = await stored(tools), await stored(tools)
    altered(tools.settings.recordings / ((await row_of(tools, bad)).store_name or ""))
    await at_work(tools, "recordings.verify")
    assert f"recording {bad}: This is not what was sealed." in caplog.text
    assert "1 stored recordings are wrong" in caplog.text
    assert await redis.hget("desk:alarm_counts", "not_as_written") == "1"
    assert f"recording {good}: " not in caplog.text
