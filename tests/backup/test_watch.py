"""What is late or removed at the place of backups is alerted of, and a restore notices it."""

from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from redis.asyncio import Redis

from callcenter.backup import continuity, watch
from callcenter.backup.alerts import BACKUP_LATE, BACKUP_NOTE_REMOVED
from callcenter.backup.continuity import NotesMissing, Trust, write_notes
from callcenter.backup.place import name_of, open_place
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.objects import Objects
from callcenter.recordings.sealing import keys
from tests.backup.test_backup import made
from tests.backup.test_restore import key_of, mask, site, write
from tests.services import changed
from tests.storage.recorded import BUSY, TALKED, account
from tests.storage.test_audit import at_work

__all__ = ["site"]

ALERTS = "desk:alarm_counts"


async def read_erasures(tools: WorkerResources, place: Objects) -> int:
    today, trust = datetime.now(UTC).date(), Trust.of_key(key_of(tools))
    ring = keys.read(tools.settings.keys)
    return len(continuity.read_erasures(place, today, today, ring.identities, trust))


@pytest.mark.parametrize(
    "late",
    ["no backup", "one that was not read back", "an old backup", "no notes", "no log", "no place"],
)
async def test_what_is_late_at_the_place_is_alerted_of(
    site: WorkerResources, redis: Redis, late: str
) -> None:
    now = datetime.now(UTC)
    if late == "one that was not read back":
        open_place(site.settings).put(name_of(now), BytesIO(b"half of it"))
    elif late != "no backup":
        await made(site)
    if late != "no notes":
        await write_notes(site, now)
    tools = site
    if late == "an old backup":
        now += watch.BACKUP_AFTER
        await write_notes(site, now)
        now += timedelta(minutes=1)
    if late == "no log":
        tools = WorkerResources(changed(site.settings, backup_method="continuous"), site.engine)
    if late == "no place":
        place = f"{site.settings.secrets_folder / 'audit'}/no-folder"
        tools = WorkerResources(changed(site.settings, backups=place), site.engine)
    for _ in range(2):
        await watch.watch_backups(tools, redis, now)
    assert await redis.hgetall(ALERTS) == {BACKUP_LATE.key: "1"}


async def test_a_place_where_all_is_fresh_raises_no_alert(
    site: WorkerResources, redis: Redis
) -> None:
    await made(site)
    await write_notes(site, datetime.now(UTC))
    await watch.watch_backups(site, redis, datetime.now(UTC))
    assert await redis.hgetall(ALERTS) == {}


async def test_a_removed_note_is_noticed_and_written_anew(
    site: WorkerResources, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    write(site, TALKED)
    await account(site)
    await made(site)
    await mask(site, TALKED)
    now = datetime.now(UTC)
    await write_notes(site, now)
    place = open_place(site.settings)
    place.remove(f"erasures/{now:%Y-%m-%d}.jsonl.age")
    with pytest.raises(NotesMissing, match="is gone, or an older one"):
        await read_erasures(site, place)
    await at_work(site, "backup.watch")
    assert await redis.hget(ALERTS, BACKUP_NOTE_REMOVED.key) == "1"
    assert "note removed beside the backups" in caplog.text
    assert await read_erasures(site, place) == 1


async def test_an_older_note_of_the_day_is_noticed(site: WorkerResources) -> None:
    write(site, TALKED, BUSY)
    await account(site)
    await mask(site, TALKED)
    now, place = datetime.now(UTC), open_place(site.settings)
    await write_notes(site, now)
    name = f"erasures/{now:%Y-%m-%d}.jsonl.age"
    older = b"".join(place.stream(name))
    await mask(site, BUSY)
    await write_notes(site, now)
    place.put(name, BytesIO(older))
    with pytest.raises(NotesMissing, match=name):
        await read_erasures(site, place)
    trust = Trust(Trust.of_key(key_of(site)).signer, (name,))
    ring, today = keys.read(site.settings.keys), now.date()
    assert len(continuity.read_erasures(place, today, today, ring.identities, trust)) == 1


async def test_removed_numbers_are_noticed_and_count_again(
    site: WorkerResources, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    write(site, TALKED)
    await account(site)
    await made(site)
    await mask(site, TALKED)
    await write_notes(site, datetime.now(UTC))
    place = open_place(site.settings)
    place.remove(continuity.NUMBERS)
    for _ in range(2):
        await at_work(site, "backup.write_notes")
    assert await redis.hget(ALERTS, BACKUP_NOTE_REMOVED.key) == "1"
    assert "note removed beside the backups" in caplog.text
    place.remove(f"erasures/{datetime.now(UTC):%Y-%m-%d}.jsonl.age")
    with pytest.raises(NotesMissing):
        await read_erasures(site, place)
