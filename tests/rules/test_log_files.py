"""Logs that others append to stay bounded, whoever writes and whatever the disk says."""

import asyncio
from pathlib import Path

import pytest

from callcenter.platform.core import log_files
from callcenter.platform.core.log_files import bound, keep_bounded
from tests.polling import until

LIMIT = 1000  # bytes


def size_of(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.iterdir())


def test_a_long_log_is_emptied_under_its_writer(tmp_path: Path) -> None:
    log = tmp_path / "messages.log"
    with log.open("a") as writer:
        writer.write("old\n" * 1000)
        writer.flush()
        bound(log, LIMIT)
        assert log.stat().st_size == 0
        writer.write("new\n")
    assert log.read_text() == "new\n"
    before = tmp_path / "messages.log.1"
    assert before.read_text() == "old\n" * 250
    assert before.stat().st_mode & 0o077 == 0


def test_a_log_that_cannot_be_moved_is_emptied_too(tmp_path: Path) -> None:
    log = tmp_path / "messages.log"
    log.write_text("old\n" * 1000)
    (tmp_path / "messages.log.1").mkdir()
    with pytest.raises(IsADirectoryError):
        bound(log, LIMIT)
    assert log.stat().st_size == 0


async def test_every_log_of_a_folder_stays_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "INTERVAL", 0.2)
    logs = [tmp_path / "one.log", tmp_path / "another.log"]
    short = tmp_path / "short.log"
    short.write_text("short\n")
    task = asyncio.create_task(keep_bounded(tmp_path, LIMIT))
    try:
        for _ in range(2):
            for each in logs:
                with each.open("a") as writer:
                    writer.write("line\n" * 1000)
            await until(lambda: all(each.stat().st_size == 0 for each in logs), "both are emptied")
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert short.read_text() == "short\n"
    assert size_of(tmp_path) == 2 * LIMIT + len("short\n")
