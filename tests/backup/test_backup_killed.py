"""A backup is killed after any step: what it left does not count, and the next one is whole."""

from pathlib import Path

import psutil
import pytest
from psycopg.conninfo import conninfo_to_dict

from callcenter.backup.place import list_backups, open_place
from callcenter.backup.watch import list_proven
from callcenter.launcher.supervisor import environment
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from tests.backup.test_restore import empty, is_whole, lose, restored, site
from tests.polling import until
from tests.process_killers import dies_after

__all__ = ["empty", "site"]

BACKUP = "from callcenter.cli import main\nmain()\n"


async def count_proven(tools: WorkerResources) -> int:
    """How many backups were read back, of those that there are."""
    async with unit_of_work(tools.engine) as connection:
        proven = await list_proven(connection)
    return sum(each.name in proven for each in list_backups(open_place(tools.settings)))


def is_dumping(settings: Settings) -> bool:
    """Whether a program of PostgreSQL still reads this site's database."""
    name = f"dbname={conninfo_to_dict(settings.database)['dbname']}"
    return any(
        name in " ".join(each.info["cmdline"] or ())
        for each in psutil.process_iter(["name", "cmdline"])
        if each.info["name"] == "pg_dump"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "is_left"),
    [
        ("callcenter.backup.service.read_facts", False),
        ("callcenter.backup.postgres_programs.dump", False),
        ("callcenter.backup.service._list_store", False),
        ("callcenter.backup.archive.encrypt", False),
        ("callcenter.platform.storage.objects.Objects.put", True),
        ("callcenter.backup.archive.verify", True),
        ("callcenter.backup.service.audit_action", True),  # that it is made: not committed
    ],
)
async def test_a_backup_killed_after_any_step_counts_for_nothing(
    site: WorkerResources, empty: Settings, offline_key: Path, step: str, is_left: bool
) -> None:
    await dies_after(step, BACKUP, "backup", env=environment(site.settings))
    await until(lambda: not is_dumping(site.settings), "its programs ended with it")
    assert bool(list_backups(open_place(site.settings))) == is_left
    assert await count_proven(site) == 0
    assert list(site.settings.packing.iterdir()) == []
    lost = await lose(site, empty)  # after a backup that nobody killed
    assert await count_proven(site) == 1
    done = await restored(empty, offline_key)
    assert done.exit_code == 0, done.output
    await is_whole(empty, lost)
