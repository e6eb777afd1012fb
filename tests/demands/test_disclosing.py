"""What was released is built, taken once by its receiver, and verified as the page says."""

import asyncio
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import soundfile
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.commands import worker
from callcenter.demands import bundle_builder, disclosures, release, service, store
from callcenter.demands.disclosures import DisclosureRow
from callcenter.demands.jobs import tend_bundles
from callcenter.demands.release import NotAvailable
from callcenter.demands.rules.matching import SearchCriteria
from callcenter.demands.rules.signing import SECRET, fingerprint, public_pem
from callcenter.demands.rules.states import DemandState, IllegalDemandStep
from callcenter.demands.store import DemandRow
from callcenter.platform.audit import checkpoint_files
from callcenter.platform.audit import store as audit
from callcenter.platform.audit.jobs import sign_checkpoint
from callcenter.platform.audit.rules.checkpoints import key_from
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.errors import InvalidRequest, SelfApproval
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources, connected
from callcenter.platform.storage.objects import Objects
from callcenter.recordings.formats import Format
from callcenter.recordings.retention.store import is_held_for, reasons_of
from tests.demands.conftest import HEAD, OFFICER, PDF, demand_form, person
from tests.demands.recorded import CALLER, TALKED_AT, sealed_talk
from tests.demands.test_forged_bundles import SCRIPT, steps
from tests.demands.test_registering import found

AUTHORITY = person("ministry", Role.AUTHORITY)


@pytest.fixture
def tools(settings: Settings, engine: AsyncEngine) -> WorkerResources:
    return WorkerResources(settings, engine)


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a receiver types, in a folder of theirs."""
    return subprocess.run(
        ["bash", "-euc", line], cwd=folder, capture_output=True, text=True, check=False
    )


async def new_key(engine: AsyncEngine, folder: Path, name: str = "authority.key") -> UUID:
    """A key of the authority, made with its own tool, that the head has confirmed."""
    made = shell(f"age-keygen -o {name} && age-keygen -y {name}", folder)
    await release.add_key(engine, AUTHORITY, made.stdout)
    async with unit_of_work(engine) as connection:
        key_id = (await disclosures.keys(connection))[0].id
    await release.confirm_key(engine, HEAD, key_id)
    return key_id


async def checked(tools: WorkerResources, **changed: object) -> DemandRow:
    """A demand that waits for the second person."""
    stored_in = Format(tools.settings.recordings_format)
    number, recording_id = await sealed_talk(tools.settings, tools.engine, stored_in)
    row = await service.register(
        tools.engine, OFFICER, demand_form(criteria=SearchCriteria(appeal_number=number), **changed)
    )
    await service.check(tools.engine, OFFICER, row.number, 2, [recording_id], "the one demanded")
    return await found(tools.engine, row.number)


async def released(tools: WorkerResources, folder: Path, **changed: object) -> DemandRow:
    row = await checked(tools, **changed)
    key_id = await new_key(tools.engine, folder)
    await release.release(tools.engine, HEAD, row.number, row.version, key_id, "as demanded")
    return await found(tools.engine, row.number)


async def newest(tools: WorkerResources, row: DemandRow) -> DisclosureRow:
    async with unit_of_work(tools.engine) as connection:
        return (await disclosures.of_demand(connection, row.id))[0]


def bundle(tools: WorkerResources, row: DisclosureRow) -> bytes:
    return b"".join(Objects(tools.settings.recordings).stream(row.object_name))


@pytest.mark.parametrize("stored_in", ["flac", "opus"])
async def test_the_receiver_opens_and_verifies_it_as_the_page_says(
    settings: Settings, engine: AsyncEngine, tmp_path: Path, stored_in: str
) -> None:
    tools = WorkerResources(settings.model_copy(update={"recordings_format": stored_in}), engine)
    row = await released(tools, tmp_path)
    await tend_bundles(tools, datetime.now(UTC))
    given = await newest(tools, row)
    (tmp_path / "bundle.tar.age").write_bytes(bundle(tools, given))
    key = key_from(read_secret(tools.settings.secrets_folder, SECRET), SECRET)
    (tmp_path / "center.pem").write_text(public_pem(key))
    (tmp_path / "verify_bundle.py").write_bytes(SCRIPT.read_bytes())
    (tmp_path / "letter.pdf").write_bytes(PDF)
    typed = steps(row.number, fingerprint(key)).replace(" --key", " --letter letter.pdf --key")
    ran = shell(typed, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("VERIFIED / ПРОВЕРЕНО / РАСТАЛДЫ: 1 recordings in answer ")
    opened = tmp_path / "opened"
    manifest = json.loads((opened / "manifest.json").read_text())
    (listed,) = manifest["recordings"]
    assert manifest["demand"] == row.number
    assert manifest["answer"].startswith(f"{row.number}/1, ")
    assert (listed["consultant"], listed["began_at"]) == ("2001", "2026-11-20T14:00:00+05:00")
    assert [(each["what"], each["who"]) for each in listed["custody"]] == [
        ("recorded", "switch"),
        ("closed", "switch"),
        ("sealed", "system:keeper"),
        ("registered", "user:officer"),
        ("searched", "system:demands"),
        ("checked", "user:officer"),
        ("released", "user:head"),
    ]
    reported = {each["what"]: datetime.fromisoformat(each["at"]) for each in listed["custody"]}
    assert reported["closed"] < reported["sealed"] <= reported["registered"]
    assert listed["file"].endswith(f".{stored_in}")
    about = soundfile.info(opened / listed["file"])
    assert (about.channels, about.frames) == (2, 40_000)
    assert (about.subtype == "OPUS") is (stored_in == "opus")
    assert (opened / "letter.pdf").read_bytes().startswith(b"%PDF-")


async def test_a_release_asks_for_its_bundle_at_once(
    tools: WorkerResources, tmp_path: Path
) -> None:
    """By a job of its own: nobody waits for the next minute."""
    await released(tools, tmp_path)
    async with unit_of_work(tools.engine) as connection:
        waiting = text("SELECT task_name FROM procrastinate_jobs WHERE scheduled_at <= now()")
        assert list((await connection.execute(waiting)).scalars()) == ["demands.tend_bundles"]


async def test_a_bundle_says_how_far_it_is_made(tools: WorkerResources, tmp_path: Path) -> None:
    """Of two recordings the second cannot be read: half of the bundle was made."""
    first, second = [await sealed_talk(tools.settings, tools.engine) for _ in range(2)]
    between = SearchCriteria(
        caller_number=CALLER,
        since=TALKED_AT - timedelta(hours=1),
        until=TALKED_AT + timedelta(hours=1),
    )
    row = await service.register(tools.engine, OFFICER, demand_form(criteria=between))
    await service.check(tools.engine, OFFICER, row.number, 2, [first[1], second[1]], "both")
    key_id = await new_key(tools.engine, tmp_path)
    await release.release(tools.engine, HEAD, row.number, 3, key_id, "as demanded")
    assert (await newest(tools, row)).made_percent == 0
    (last, _) = sorted(
        Objects(tools.settings.recordings).list_objects(""), key=lambda each: each.name
    )
    Objects(tools.settings.recordings).remove(last.name)
    await tend_bundles(tools, datetime.now(UTC))
    given = await newest(tools, row)
    assert given.built_at is None
    assert 0 < given.made_percent < 100


async def test_a_bundle_is_taken_once_with_an_entry_a_recording(
    tools: WorkerResources, tmp_path: Path
) -> None:
    row = await released(tools, tmp_path)
    with pytest.raises(NotAvailable):  # not built yet
        await release.hand_out(tools.engine, AUTHORITY, row.number, "download")
    await tend_bundles(tools, datetime.now(UTC))
    taken = await asyncio.gather(
        *(release.hand_out(tools.engine, AUTHORITY, row.number, "download") for _ in range(3)),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in taken) == [
        "DisclosureRow",
        "IllegalDemandStep",
        "IllegalDemandStep",
    ]
    async with unit_of_work(tools.engine) as connection:
        query = select(audit_entry.c.who).where(audit_entry.c.action == "web:recording:disclosed")
        assert list((await connection.execute(query)).scalars()) == ["user:ministry"]
    now = await found(tools.engine, row.number)
    assert now.state == DemandState.HANDED_OVER
    await release.acknowledge(tools.engine, AUTHORITY, row.number, now.version, "all is whole")
    await tend_bundles(tools, datetime.now(UTC))
    assert (await newest(tools, row)).removed_at is not None
    assert list(Objects(tools.settings.recordings).list_objects("disclosures")) == []


async def test_a_disclosure_is_signed_in_the_audit_log_at_once(
    tools: WorkerResources, tmp_path: Path
) -> None:
    row = await released(tools, tmp_path)
    await tend_bundles(tools, datetime.now(UTC))
    await sign_checkpoint(tools, datetime.now(UTC))  # that of the day, before it
    await release.hand_out(tools.engine, AUTHORITY, row.number, "download")
    worker.load_jobs()
    async with connected(tools.settings) as app:
        await app.run_worker_async(
            wait=False, install_signal_handlers=False, additional_context={"tools": tools}
        )
    async with unit_of_work(tools.engine) as connection:
        last = await audit.last(connection)
    heads = checkpoint_files.read_all(tools.settings.audit_heads).heads
    assert last is not None
    assert last.id in [head.entry for head in heads]


async def test_nothing_is_disclosed_twice_to_a_key_or_late(
    tools: WorkerResources, tmp_path: Path
) -> None:
    row = await released(tools, tmp_path)
    await tend_bundles(tools, datetime.now(UTC))
    first = await release.hand_out(tools.engine, AUTHORITY, row.number, "download")
    now = await found(tools.engine, row.number)
    with pytest.raises(InvalidRequest, match="has taken the bundle once"):
        await release.release(
            tools.engine, HEAD, row.number, now.version, first.key_id, "lost", again=True
        )
    other = await new_key(tools.engine, tmp_path, "other.key")
    await release.release(tools.engine, HEAD, row.number, now.version, other, "lost", again=True)
    await tend_bundles(tools, datetime.now(UTC))
    assert (await newest(tools, row)).ordinal == 2
    async with unit_of_work(tools.engine) as connection:
        await connection.execute(text("UPDATE disclosure SET until = now() WHERE ordinal = 2"))
    with pytest.raises(NotAvailable):
        await release.hand_out(tools.engine, AUTHORITY, row.number, "download")
    await tend_bundles(tools, datetime.now(UTC))
    assert list(Objects(tools.settings.recordings).list_objects("disclosures")) == []


async def test_a_carrier_is_made_by_the_center_and_not_downloaded(
    tools: WorkerResources, tmp_path: Path
) -> None:
    row = await released(tools, tmp_path, hand_over_by="carrier")
    await tend_bundles(tools, datetime.now(UTC))
    with pytest.raises(NotAvailable):
        await release.hand_out(tools.engine, AUTHORITY, row.number, "download")
    with pytest.raises(InvalidRequest, match="a text is missing"):
        await release.hand_out(tools.engine, OFFICER, row.number, "carrier")
    given = await release.hand_out(
        tools.engine, OFFICER, row.number, "carrier", "disk 17, to the courier A. Ahmetov"
    )
    printed = await bundle_builder.letter(tools.settings, tools.engine, given)
    (tmp_path / "bundle.tar.age").write_bytes(bundle(tools, given))
    unpacked = shell("age -d -i authority.key bundle.tar.age | tar -x letter.pdf", tmp_path)
    assert unpacked.returncode == 0, unpacked.stderr
    assert (tmp_path / "letter.pdf").read_bytes() == printed
    now = await found(tools.engine, row.number)
    await release.acknowledge(
        tools.engine, OFFICER, row.number, now.version, "a letter of receipt, 03-2/119"
    )
    async with unit_of_work(tools.engine) as connection:
        steps = (await store.steps(connection, row.id))[-2:]
    assert [(each.step, each.author) for each in steps] == [
        ("handed_over", "user:officer"),
        ("acknowledged", "user:officer"),
    ]
    assert steps[0].reason.startswith("disk 17, to the courier A. Ahmetov; carrier, SHA-256 ")


async def test_disclosed_recordings_are_held_until_released(
    tools: WorkerResources, tmp_path: Path
) -> None:
    rows, day = [], timedelta(days=1)
    for number in range(2):
        row = await checked(tools)
        key_id = await new_key(tools.engine, tmp_path, f"{number}.key")
        await release.release(tools.engine, HEAD, row.number, row.version, key_id, "demanded")
        await tend_bundles(tools, datetime.now(UTC))
        await release.hand_out(tools.engine, AUTHORITY, row.number, "download")
        rows.append(await found(tools.engine, row.number))
    await service.end_old_holds(tools.engine, datetime.now(UTC) + 9 * day, day)
    assert [await held(tools, row) for row in rows] == [True, True]  # not acknowledged yet
    for row in rows:
        with pytest.raises(IllegalDemandStep):
            await service.end_hold(tools.engine, HEAD, row.number, row.version, "no need")
        await release.acknowledge(tools.engine, AUTHORITY, row.number, row.version, "whole")
    by_hand, by_rule = [await found(tools.engine, row.number) for row in rows]
    await service.end_hold(
        tools.engine, HEAD, by_hand.number, by_hand.version, "the case is closed"
    )
    assert [await held(tools, row) for row in rows] == [False, True]
    with pytest.raises(InvalidRequest, match="nothing is held"):
        await service.end_hold(
            tools.engine, HEAD, by_hand.number, by_hand.version + 1, "the case is closed"
        )
    await service.end_old_holds(tools.engine, datetime.now(UTC) + day / 2, day)
    assert await held(tools, by_rule)
    for _ in range(2):
        await service.end_old_holds(tools.engine, datetime.now(UTC) + 2 * day, day)
    assert not await held(tools, by_rule)
    async with unit_of_work(tools.engine) as connection:
        last = (await store.steps(connection, by_rule.id))[-1]
        ended = audit_entry.c.action == "web:demand:hold_ended"
        assert len((await connection.execute(select(audit_entry.c.id).where(ended))).all()) == 2
    assert (last.step, last.state, last.author) == ("hold_ended", "acknowledged", "system:demands")


async def held(tools: WorkerResources, row: DemandRow) -> bool:
    async with unit_of_work(tools.engine) as connection:
        return await is_held_for(connection, service.hold_reason(row))


async def test_a_clock_that_was_put_back_hands_nothing_over_twice(
    tools: WorkerResources, tmp_path: Path
) -> None:
    row = await released(tools, tmp_path)
    await tend_bundles(tools, datetime.now(UTC))
    await release.hand_out(tools.engine, AUTHORITY, row.number, "download")
    async with unit_of_work(tools.engine) as connection:  # all that is dated is in the future now
        await connection.execute(
            text(
                "UPDATE disclosure SET taken_at = taken_at + '1 day', until = until + '1 day', "
                "built_at = built_at + '1 day', released_at = released_at + '1 day'"
            )
        )
    with pytest.raises(IllegalDemandStep):
        await release.hand_out(tools.engine, AUTHORITY, row.number, "download")


async def test_a_recording_under_two_demands_is_disclosed_for_each(
    tools: WorkerResources, tmp_path: Path
) -> None:
    """And is kept for the second when the hold of the first has ended."""
    number, recording_id = await sealed_talk(tools.settings, tools.engine)
    key_id = await new_key(tools.engine, tmp_path)
    rows = []
    for _ in range(2):
        row = await service.register(
            tools.engine, OFFICER, demand_form(criteria=SearchCriteria(appeal_number=number))
        )
        await service.check(tools.engine, OFFICER, row.number, 2, [recording_id], "the one")
        await release.release(tools.engine, HEAD, row.number, 3, key_id, "as demanded")
        rows.append(row)
    await tend_bundles(tools, datetime.now(UTC))
    for row in rows:
        await release.hand_out(tools.engine, AUTHORITY, row.number, "download")
        now = await found(tools.engine, row.number)
        await release.acknowledge(tools.engine, AUTHORITY, row.number, now.version, "whole")
    first = await found(tools.engine, rows[0].number)
    await service.end_hold(tools.engine, HEAD, first.number, first.version, "closed")
    async with unit_of_work(tools.engine) as connection:
        assert await reasons_of(connection, recording_id) == [f"demand:{rows[1].number}"]
        disclosed = audit_entry.c.action == "web:recording:disclosed"
        assert len((await connection.execute(select(audit_entry.c.id).where(disclosed))).all()) == 2


async def test_only_a_confirmed_key_is_encrypted_to(tools: WorkerResources, tmp_path: Path) -> None:
    row = await checked(tools)
    with pytest.raises(InvalidRequest, match="age1"):
        await release.add_key(tools.engine, AUTHORITY, "age1nonsense")
    key_id = await new_key(tools.engine, tmp_path)
    await release.revoke_key(tools.engine, HEAD, key_id)
    with pytest.raises(InvalidRequest, match="not confirmed, or revoked"):
        await release.release(tools.engine, HEAD, row.number, row.version, key_id, "well")
    assert (await found(tools.engine, row.number)).state == DemandState.CHECKED


async def test_nobody_confirms_a_key_that_they_added(
    tools: WorkerResources, tmp_path: Path
) -> None:
    key_id = await new_key(tools.engine, tmp_path)
    await release.revoke_key(tools.engine, HEAD, key_id)
    public = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    await release.add_key(tools.engine, HEAD, public)
    async with unit_of_work(tools.engine) as connection:
        added = (await disclosures.keys(connection))[0]
    with pytest.raises(SelfApproval):
        await release.confirm_key(tools.engine, HEAD, added.id)
    async with unit_of_work(tools.engine) as connection:
        tries = select(audit_entry.c.who, audit_entry.c.subject).where(
            audit_entry.c.action == "web:approval:self_refused"
        )
        assert [tuple(row) for row in await connection.execute(tries)] == [
            (HEAD.who, f"authority_key:{added.id}")
        ]


async def test_the_database_itself_refuses_a_release_by_one_person(
    tools: WorkerResources, tmp_path: Path
) -> None:
    await released(tools, tmp_path)
    with pytest.raises(IntegrityError):
        async with unit_of_work(tools.engine) as connection:
            await connection.execute(text("UPDATE disclosure SET released_by = 'user:officer'"))


async def test_a_demand_withdrawn_half_way_is_not_handed_over(
    tools: WorkerResources, tmp_path: Path
) -> None:
    row = await released(tools, tmp_path)
    async with unit_of_work(tools.engine) as connection:
        (ordered,) = await disclosures.list_unbuilt(connection)
    await service.withdraw(tools.engine, OFFICER, row.number, row.version, "a letter")
    await bundle_builder.build(tools, ordered)  # a worker was at it
    with pytest.raises(IllegalDemandStep):
        await release.hand_out(tools.engine, AUTHORITY, row.number, "download")
    await tend_bundles(tools, datetime.now(UTC))
    assert list(Objects(tools.settings.recordings).list_objects("disclosures")) == []


async def test_a_bundle_ready_too_late_leaves_the_store(
    tools: WorkerResources, tmp_path: Path
) -> None:
    row = await released(tools, tmp_path)
    async with unit_of_work(tools.engine) as connection:
        (ordered,) = await disclosures.list_unbuilt(connection)
    await service.withdraw(tools.engine, OFFICER, row.number, row.version, "a letter")
    await tend_bundles(tools, datetime.now(UTC))
    await bundle_builder.build(tools, ordered)  # a worker that was thought dead
    assert list(Objects(tools.settings.recordings).list_objects("disclosures")) == []


async def test_an_altered_recording_is_not_disclosed(
    tools: WorkerResources, tmp_path: Path
) -> None:
    row = await released(tools, tmp_path)
    async with unit_of_work(tools.engine) as connection:
        await connection.execute(text("UPDATE recording SET audio_sha256 = repeat('0', 64)"))
    await tend_bundles(tools, datetime.now(UTC))
    assert (await newest(tools, row)).built_at is None
    assert list(Objects(tools.settings.recordings).list_objects("disclosures")) == []
    async with unit_of_work(tools.engine) as connection:
        assert (await store.list_running(connection))[0].number == row.number
    assert row.due_at > datetime.now(UTC) + timedelta(hours=1)
