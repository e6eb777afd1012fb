"""Erasing by two people, what is held, what was plain, and whether the store is whole."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from callcenter.platform.core.errors import InvalidRequest, NotFound, SelfApproval
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.store import User
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.objects import Objects, ObjectStoreUnavailable
from callcenter.recordings import jobs
from callcenter.recordings.retention import service, store
from callcenter.recordings.sealing import keys, quarantine_store
from callcenter.recordings.sealing.reader import NotStored, open_recording
from callcenter.recordings.sealing.sealed_store import SealedStore
from callcenter.recordings.tables import recording
from tests.recordings.test_sealing_worker import AUDIO, START, keep, recorded, row_of, tools

__all__ = ["tools"]


def actor(name: str) -> Actor:
    return Actor(User(uuid4(), name, "-", Role.HEAD, True, START), "127.0.0.1")


OFFICER, HEAD = actor("officer"), actor("head")


async def stored(tools: WorkerResources) -> UUID:
    recording_id = await recorded(tools)
    await keep(tools)
    return recording_id


def objects(tools: WorkerResources) -> list[str]:
    return [file.name for file in tools.settings.recordings.rglob("*") if file.is_file()]


async def requested(tools: WorkerResources, recording_id: UUID) -> UUID:
    return await service.request_erasure(
        tools.engine, OFFICER, recording_id, reason="a court says so", order="17 of 24.11.2026"
    )


async def decided(tools: WorkerResources, erasure_id: UUID, *, approve: bool = True) -> None:
    await service.decide_erasure(tools.engine, HEAD, erasure_id, approve=approve, reason="checked")


async def states(tools: WorkerResources) -> list[str]:
    async with unit_of_work(tools.engine) as connection:
        rows = await connection.execute(text("SELECT state FROM recording_erasure"))
        return list(rows.scalars())


async def test_two_people_erase_a_recording_and_a_tombstone_stays(tools: WorkerResources) -> None:
    recording_id = await stored(tools)
    before = await row_of(tools, recording_id)
    erasure = await requested(tools, recording_id)
    with pytest.raises(SelfApproval):
        await service.decide_erasure(tools.engine, OFFICER, erasure, approve=True, reason="mine")
    await decided(tools, erasure)
    async with unit_of_work(tools.engine) as connection:
        with pytest.raises(NotStored):  # at once, before the object is gone
            await open_recording(connection, SealedStore(tools.settings), recording_id)
    await jobs.remove_erased(tools)
    await jobs.remove_erased(tools)
    assert objects(tools) == []
    after = await row_of(tools, recording_id)
    assert (after.state, after.store_name) == ("erased", None)
    assert (after.sha256, after.audio_sha256) == (before.sha256, before.audio_sha256)
    assert await states(tools) == ["done"]
    async with unit_of_work(tools.engine) as connection:
        log = await connection.execute(
            text("SELECT who, action, detail FROM audit_entry ORDER BY id")
        )
        assert [tuple(row) for row in log] == [
            (
                "user:officer",
                "web:recording:erasure_asked",
                {"reason": "a court says so", "order": "17 of 24.11.2026"},
            ),
            ("user:officer", "web:approval:self_refused", {}),
            (
                "user:head",
                "web:recording:erasure_approved",
                {"reason": "checked", "asked_by": "user:officer"},
            ),
        ]


async def test_the_database_itself_refuses_a_decision_by_the_requester(
    tools: WorkerResources,
) -> None:
    await decided(tools, await requested(tools, await stored(tools)))
    with pytest.raises(IntegrityError, match="two_persons"):
        await sql(tools, "UPDATE recording_erasure SET decided_by = asked_by")


async def test_an_unavailable_store_erases_later(
    tools: WorkerResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording_id = await stored(tools)
    await decided(tools, await requested(tools, recording_id))

    def refuse(self: Objects, name: str) -> None:
        raise ObjectStoreUnavailable

    with monkeypatch.context() as absent:
        absent.setattr(Objects, "remove", refuse)
        with pytest.raises(ObjectStoreUnavailable):
            await jobs.remove_erased(tools)
    assert await states(tools) == ["approved"]
    await jobs.remove_erased(tools)
    assert (await states(tools), objects(tools)) == (["done"], [])


async def test_erasing_removes_a_killed_workers_leftovers(tools: WorkerResources) -> None:
    recording_id = await stored(tools)
    (tools.settings.spool / (await row_of(tools, recording_id)).spool_name).write_bytes(AUDIO)
    await decided(tools, await requested(tools, recording_id))
    await jobs.remove_erased(tools)
    assert list(tools.settings.spool.iterdir()) == []


async def test_a_held_recording_is_not_erased_until_released(tools: WorkerResources) -> None:
    recording_id = await stored(tools)
    erasure = await requested(tools, recording_id)
    async with unit_of_work(tools.engine) as connection:
        await store.hold(connection, [recording_id], "demand:26-0001")
    with pytest.raises(service.OnLegalHold, match="demand:26-0001"):
        await decided(tools, erasure)
    assert (await row_of(tools, recording_id)).state == "stored"
    async with unit_of_work(tools.engine) as connection:
        await store.release(connection, "demand:26-0001")
    await decided(tools, erasure)
    assert (await row_of(tools, recording_id)).state == "erased"


async def test_a_hold_that_comes_while_somebody_approves_is_counted(tools: WorkerResources) -> None:
    recording_id = await stored(tools)
    erasure = await requested(tools, recording_id)
    async with unit_of_work(tools.engine) as connection:
        await store.hold(connection, [recording_id], "demand:26-0001")
        deciding = asyncio.create_task(decided(tools, erasure))
        await somebody_waits(tools)
    with pytest.raises(service.OnLegalHold):
        await deciding
    assert (await row_of(tools, recording_id)).state == "stored"


async def test_an_order_that_comes_too_late_finds_no_recording(tools: WorkerResources) -> None:
    recording_id = await stored(tools)
    async with unit_of_work(tools.engine) as connection:
        await store.mark_erased(connection, recording_id)
        holding = asyncio.create_task(
            service.hold(tools.engine, OFFICER, recording_id, "17 of 24.11.2026")
        )
        await somebody_waits(tools)
    with pytest.raises(NotFound):
        await holding


async def somebody_waits(tools: WorkerResources) -> None:
    """Until a transaction waits for another one."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(20):
        while True:
            async with unit_of_work(tools.engine) as connection:
                if (await connection.execute(waiting)).scalar_one():
                    return
            await asyncio.sleep(0.01)


async def test_of_two_who_ask_or_decide_at_once_one_does(tools: WorkerResources) -> None:
    recording_id = await stored(tools)
    asking = await asyncio.gather(
        *(requested(tools, recording_id) for _ in range(2)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in asking) == ["InvalidRequest", "UUID"]
    (erasure,) = (each for each in asking if isinstance(each, UUID))
    outcomes = await asyncio.gather(
        decided(tools, erasure, approve=True),
        decided(tools, erasure, approve=False),
        return_exceptions=True,
    )
    assert {type(each) for each in outcomes} == {type(None), NotFound}
    is_erased = (await row_of(tools, recording_id)).state == "erased"
    assert is_erased is (outcomes[0] is None)


async def test_a_refused_request_erases_nothing_and_may_be_made_again(
    tools: WorkerResources,
) -> None:
    recording_id = await stored(tools)
    erasure = await requested(tools, recording_id)
    with pytest.raises(InvalidRequest, match="already"):
        await requested(tools, recording_id)
    await decided(tools, erasure, approve=False)
    with pytest.raises(NotFound):
        await decided(tools, erasure)
    await jobs.remove_erased(tools)
    assert (await row_of(tools, recording_id)).state == "stored"
    assert len(objects(tools)) == 1
    await requested(tools, recording_id)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001])
async def test_nothing_is_requested_or_decided_without_a_reason(
    tools: WorkerResources, reason: str
) -> None:
    recording_id = await stored(tools)
    with pytest.raises(InvalidRequest, match="give a reason"):
        await service.request_erasure(
            tools.engine, OFFICER, recording_id, reason=reason, order=None
        )
    erasure = await requested(tools, recording_id)
    with pytest.raises(InvalidRequest, match="give a reason"):
        await service.decide_erasure(tools.engine, HEAD, erasure, approve=True, reason=reason)


async def test_what_is_not_stored_cannot_be_erased(tools: WorkerResources) -> None:
    for recording_id in (uuid4(), await recorded(tools)):
        with pytest.raises(NotFound):
            await requested(tools, recording_id)


@pytest.mark.parametrize(
    ("days", "age", "is_due"),
    [
        ({"talked": 30}, 31, True),
        ({"talked": 30}, 29, False),
        ({"*": 30}, 31, True),
        ({"*": 30, "talked": 60}, 31, False),
        ({"abandoned": 30}, 3000, False),
        ({}, 30_000, False),
        ({"complaint": 90, "talked": 30, "*": 1}, 89, False),
        ({"complaint": 90, "talked": 3000}, 91, True),
        ({"statement": 1, "talked": 3000}, 91, False),
    ],
)
async def test_rules_say_what_is_due_to_be_erased(
    tools: WorkerResources, days: dict[str, int], age: int, is_due: bool
) -> None:
    recording_id = await stored(tools)
    await sql(tools, "UPDATE appeal SET outcome = 'talked', ended_at = received_at")
    await sql(
        tools,
        "INSERT INTO record (appeal_id, version, kind, stage, content, extended, changed_at) "
        "SELECT id, 1, 'complaint', 'draft', '{}', false, now() FROM appeal",
    )
    now = START + timedelta(days=age)

    async def due() -> list[UUID]:
        async with unit_of_work(tools.engine) as connection:
            found = await store.list_expired(connection, days, now, limit=10)
            return [each.id for each in found]

    assert await due() == ([recording_id] if is_due else [])
    async with unit_of_work(tools.engine) as connection:
        await store.hold(connection, [recording_id], "legal")
    assert await due() == []
    async with unit_of_work(tools.engine) as connection:
        await store.release(connection, "legal")
    await requested(tools, recording_id)
    assert await due() == []


async def sql(tools: WorkerResources, statement: str) -> None:
    async with unit_of_work(tools.engine) as connection:
        await connection.execute(text(statement))


def gone(file: Path) -> None:
    file.unlink()


def altered(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


async def verified(tools: WorkerResources, sample: int | None = None) -> dict[UUID, str]:
    return await jobs.verify(
        tools.engine, tools.settings, sample=sample, progress=lambda checked, total: None
    )


@pytest.mark.parametrize("sample", [None, 3])
@pytest.mark.parametrize(
    ("harm", "reported"), [(gone, "not in the store"), (altered, "sealed"), (cut, "sealed")]
)
async def test_verifying_finds_what_is_missing_or_altered(
    tools: WorkerResources, harm: Callable[[Path], None], reported: str, sample: int | None
) -> None:
    good = await stored(tools)
    bad = await stored(tools)
    assert await verified(tools, sample) == {}
    harm(tools.settings.recordings / ((await row_of(tools, bad)).store_name or ""))
    found = await verified(tools, sample)
    assert list(found) == [bad]
    assert reported in found[bad]
    assert good not in found


async def test_verifying_without_a_key_says_so_and_blames_no_recording(
    tools: WorkerResources, settings: Settings
) -> None:
    await stored(tools)
    (settings.keys / "recordings" / "0001.key").unlink()
    with pytest.raises(keys.NoKey):
        await verified(tools)


async def make_plain(tools: WorkerResources) -> tuple[UUID, Path]:
    """A recording as it was stored before recordings were sealed."""
    recording_id = await stored(tools)
    row = await row_of(tools, recording_id)
    with SealedStore(tools.settings).open(row.store_name or "") as audio:
        flac = audio.read()
    name = (row.store_name or "").removesuffix(".age")
    plain = tools.settings.recordings / name
    plain.write_bytes(flac)
    (tools.settings.recordings / f"{name}.age").unlink()
    async with unit_of_work(tools.engine) as connection:
        await connection.execute(
            update(recording).values(
                store_name=name,
                sha256=row.audio_sha256,
                bytes=row.audio_bytes,
                audio_sha256=None,
                audio_bytes=None,
                sealed_to=None,
            )
        )
    return recording_id, plain


async def test_what_was_stored_plain_is_sealed(tools: WorkerResources) -> None:
    recording_id, plain = await make_plain(tools)
    content = plain.read_bytes()
    await jobs.seal_plain(tools)
    assert not plain.exists()
    async with unit_of_work(tools.engine) as connection:
        opened = await open_recording(connection, SealedStore(tools.settings), recording_id)
    with opened.audio as audio:
        assert audio.read() == content


async def test_sealing_what_was_plain_goes_on_after_a_kill(
    tools: WorkerResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when the plain file is gone, and the register does not know it yet."""
    recording_id, plain = await make_plain(tools)
    name = f"{plain.relative_to(tools.settings.recordings)}.age"
    with plain.open("rb") as audio:
        SealedStore(tools.settings).seal(audio, name)
    plain.unlink()
    await jobs.seal_plain(tools)
    row = await row_of(tools, recording_id)
    assert row.sealed_to is not None
    assert await verified(tools) == {}


async def test_an_altered_plain_file_stays_and_is_reported(
    tools: WorkerResources, caplog: pytest.LogCaptureFixture
) -> None:
    recording_id, plain = await make_plain(tools)
    plain.write_bytes(plain.read_bytes() + b"\0")
    await jobs.seal_plain(tools)
    assert plain.exists()
    assert (await row_of(tools, recording_id)).sealed_to is None
    assert "sealing failed" in caplog.text


async def test_what_failed_or_has_another_length_is_listed(tools: WorkerResources) -> None:
    right, short = await stored(tools), await stored(tools)
    empty = await recorded(tools, b"")
    await keep(tools)
    async with unit_of_work(tools.engine) as connection:
        for identity, seconds in ((right, 65), (short, 90)):
            await connection.execute(
                update(recording)
                .where(recording.c.id == identity)
                .values(ended_at=START + timedelta(seconds=seconds))
            )
        listed = {each.id: each.why for each in await quarantine_store.list_quarantined(connection)}
    assert set(listed) == {short, empty}
    assert "lasts 64.0 s, its conversation 90.0 s" in listed[short]
    assert "empty" in listed[empty]
