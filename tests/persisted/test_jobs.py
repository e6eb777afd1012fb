"""Jobs that a version before has queued: the worker of this one does them."""

import inspect
from typing import Any

import psycopg
import pytest

from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.jobs import jobs
from tests.persisted.jobs import queue_every_job, queued
from tests.persisted.write import JOBS, read_written

ROWS: list[list[Any]] = read_written(JOBS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2])
def test_a_queued_job_has_its_task(row: list[Any]) -> None:
    name, arguments, *_ = row
    task = jobs.tasks[name]
    inspect.signature(task.func).bind("context", **arguments)


async def test_jobs_are_queued_as_they_were(settings: Settings, database: str) -> None:
    """The worker of the version before does them too, and locks keep both from doing one twice."""
    await queue_every_job(settings)
    with psycopg.connect(database) as connection:
        now = queued(connection)
    assert [row for row in ROWS if row not in now] == []
