"""What was released is built, taken once by its receiver, and verified with public tools alone."""

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

from callcenter.audit.heads import key_from
from callcenter.audit.tables import audit_entry
from callcenter.demands import building, deeds, disclosures, releasing, store
from callcenter.demands.disclosures import DisclosureRow
from callcenter.demands.jobs import tend_bundles
from callcenter.demands.matching import Wanted
from callcenter.demands.releasing import NotToBeTaken
from callcenter.demands.signing import SECRET, public_pem
from callcenter.demands.states import IllegalMove, State
from callcenter.demands.store import DemandRow
from callcenter.errors import AskedWrongly
from callcenter.recordings.formats import Format
from callcenter.recordings.holding import held_for, reasons_of
from callcenter.secrets import read_secret
from callcenter.settings import ROOT, Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools
from callcenter.storage.objects import Objects
from callcenter.web.errors import NotFound
from callcenter.web.permissions import Role
from tests.demands.conftest import HEAD, OFFICER, filing, person
from tests.demands.recorded import sealed_talk
from tests.demands.test_registering import found

AUTHORITY = person("ministry", Role.AUTHORITY)


@pytest.fixture
def tools(settings: Settings, engine: AsyncEngine) -> Tools:
    return Tools(settings, engine)


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a receiver types, in a folder of theirs."""
    return subprocess.run(
        ["bash", "-euc", line], cwd=folder, capture_output=True, text=True, check=False
    )


async def new_key(engine: AsyncEngine, folder: Path, name: str = "authority.key") -> UUID:
    """A key of the authority, made with its own tool, that the head has confirmed."""
    made = shell(f"age-keygen -o {name} && age-keygen -y {name}", folder)
    await releasing.add_key(engine, AUTHORITY, made.stdout)
    async with unit_of_work(engine) as connection:
        key_id = (await disclosures.keys(connection))[0].id
    await releasing.confirm_key(engine, HEAD, key_id)
    return key_id


async def checked(tools: Tools, **changed: object) -> DemandRow:
    """A demand that waits for the second person."""
    kept_in = Format(tools.settings.recordings_format)
    number, recording_id = await sealed_talk(tools.settings, tools.engine, kept_in)
    row = await deeds.register(
        tools.engine, OFFICER, filing(wanted=Wanted(appeal_number=number), **changed)
    )
    await deeds.check(tools.engine, OFFICER, row.number, 2, [recording_id], "the one demanded")
    return await found(tools.engine, row.number)


async def released(tools: Tools, folder: Path, **changed: object) -> DemandRow:
    row = await checked(tools, **changed)
    key_id = await new_key(tools.engine, folder)
    await releasing.release(tools.engine, HEAD, row.number, row.version, key_id, "as demanded")
    return await found(tools.engine, row.number)


async def newest(tools: Tools, row: DemandRow) -> DisclosureRow:
    async with unit_of_work(tools.engine) as connection:
        return (await disclosures.of_demand(connection, row.id))[0]


def bundle(tools: Tools, row: DisclosureRow) -> bytes:
    return b"".join(Objects(tools.settings.recordings).stream(row.object_name))


def commands() -> str:
    """What the receiver is told to run each time."""
    told = (ROOT / "docs/operations/disclosures.md").read_text().split("## Each time")[1]
    return told.split("```")[1]


@pytest.mark.parametrize("kept_in", ["flac", "opus"])
async def test_the_receiver_opens_and_verifies_it_as_the_page_says(
    settings: Settings, engine: AsyncEngine, tmp_path: Path, kept_in: str
) -> None:
    tools = Tools(settings.model_copy(update={"recordings_format": kept_in}), engine)
    row = await released(tools, tmp_path)
    await tend_bundles(tools, datetime.now(UTC))
    given = await newest(tools, row)
    (tmp_path / "bundle.tar.age").write_bytes(bundle(tools, given))
    key = key_from(read_secret(tools.settings.secrets_folder, SECRET), SECRET)
    (tmp_path / "center.pem").write_text(public_pem(key))
    ran = shell(commands(), tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("Signature Verified Successfully") == 2
    assert ran.stdout.count(": OK") == 4
    manifest = json.loads((tmp_path / "manifest.json").read_text())
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
    told = {each["what"]: datetime.fromisoformat(each["at"]) for each in listed["custody"]}
    assert told["closed"] < told["sealed"] <= told["registered"]
    assert listed["file"].endswith(f".{kept_in}")
    about = soundfile.info(tmp_path / listed["file"])
    assert (about.channels, about.frames) == (2, 40_000)
    assert (about.subtype == "OPUS") is (kept_in == "opus")
    assert (tmp_path / "letter.pdf").read_bytes().startswith(b"%PDF-")
    # Whoever changes one byte is found out.
    with (tmp_path / "manifest.json").open("ab") as file:
        file.write(b" ")
    verify = [line for line in commands().splitlines() if "manifest" in line or "sum" in line]
    for line in verify:
        assert shell(line, tmp_path).returncode


async def test_it_is_taken_once_and_acknowledged_with_an_entry_for_each_recording(
    tools: Tools, tmp_path: Path
) -> None:
    row = await released(tools, tmp_path)
    with pytest.raises(NotToBeTaken):  # not built yet
        await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")
    await tend_bundles(tools, datetime.now(UTC))
    taken = await asyncio.gather(
        *(releasing.hand_out(tools.engine, AUTHORITY, row.number, "download") for _ in range(3)),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in taken) == [
        "DisclosureRow",
        "IllegalMove",
        "IllegalMove",
    ]
    async with unit_of_work(tools.engine) as connection:
        query = select(audit_entry.c.who).where(audit_entry.c.action == "web:recording:disclosed")
        assert list((await connection.execute(query)).scalars()) == ["user:ministry"]
    now = await found(tools.engine, row.number)
    assert now.state == State.HANDED_OVER
    await releasing.acknowledge(tools.engine, AUTHORITY, row.number, now.version, "all is whole")
    await tend_bundles(tools, datetime.now(UTC))
    assert (await newest(tools, row)).removed_at is not None
    assert list(Objects(tools.settings.recordings).listed("disclosures")) == []


async def test_nothing_is_disclosed_twice_to_a_key_nor_after_its_time(
    tools: Tools, tmp_path: Path
) -> None:
    row = await released(tools, tmp_path)
    await tend_bundles(tools, datetime.now(UTC))
    first = await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")
    now = await found(tools.engine, row.number)
    with pytest.raises(AskedWrongly, match="has taken the bundle once"):
        await releasing.release(
            tools.engine, HEAD, row.number, now.version, first.key_id, "lost", again=True
        )
    other = await new_key(tools.engine, tmp_path, "other.key")
    await releasing.release(tools.engine, HEAD, row.number, now.version, other, "lost", again=True)
    await tend_bundles(tools, datetime.now(UTC))
    assert (await newest(tools, row)).ordinal == 2
    async with unit_of_work(tools.engine) as connection:
        await connection.execute(text("UPDATE disclosure SET until = now() WHERE ordinal = 2"))
    with pytest.raises(NotToBeTaken):
        await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")
    await tend_bundles(tools, datetime.now(UTC))
    assert list(Objects(tools.settings.recordings).listed("disclosures")) == []


async def test_a_carrier_is_made_by_the_center_and_not_downloaded(
    tools: Tools, tmp_path: Path
) -> None:
    row = await released(tools, tmp_path, hand_over_by="carrier")
    await tend_bundles(tools, datetime.now(UTC))
    with pytest.raises(NotToBeTaken):
        await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")
    with pytest.raises(AskedWrongly, match="a text is missing"):
        await releasing.hand_out(tools.engine, OFFICER, row.number, "carrier")
    given = await releasing.hand_out(
        tools.engine, OFFICER, row.number, "carrier", "disk 17, to the courier A. Ahmetov"
    )
    printed = await building.letter(tools.settings, tools.engine, given)
    (tmp_path / "bundle.tar.age").write_bytes(bundle(tools, given))
    unpacked = shell("age -d -i authority.key bundle.tar.age | tar -x letter.pdf", tmp_path)
    assert unpacked.returncode == 0, unpacked.stderr
    assert (tmp_path / "letter.pdf").read_bytes() == printed
    now = await found(tools.engine, row.number)
    await releasing.acknowledge(
        tools.engine, OFFICER, row.number, now.version, "a letter of receipt, 03-2/119"
    )
    async with unit_of_work(tools.engine) as connection:
        steps = (await store.steps(connection, row.id))[-2:]
    assert [(each.step, each.author) for each in steps] == [
        ("handed_over", "user:officer"),
        ("acknowledged", "user:officer"),
    ]
    assert steps[0].reason.startswith("disk 17, to the courier A. Ahmetov; carrier, SHA-256 ")


async def test_what_was_handed_over_is_kept_until_its_time_or_until_the_head_ends_it(
    tools: Tools, tmp_path: Path
) -> None:
    rows, day = [], timedelta(days=1)
    for number in range(2):
        row = await checked(tools)
        key_id = await new_key(tools.engine, tmp_path, f"{number}.key")
        await releasing.release(tools.engine, HEAD, row.number, row.version, key_id, "demanded")
        await tend_bundles(tools, datetime.now(UTC))
        await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")
        rows.append(await found(tools.engine, row.number))
    await deeds.end_old_holds(tools.engine, datetime.now(UTC) + 9 * day, day)
    assert [await held(tools, row) for row in rows] == [True, True]  # not acknowledged yet
    for row in rows:
        with pytest.raises(IllegalMove):
            await deeds.end_hold(tools.engine, HEAD, row.number, row.version, "no need")
        await releasing.acknowledge(tools.engine, AUTHORITY, row.number, row.version, "whole")
    by_deed, by_rule = [await found(tools.engine, row.number) for row in rows]
    await deeds.end_hold(tools.engine, HEAD, by_deed.number, by_deed.version, "the case is closed")
    assert [await held(tools, row) for row in rows] == [False, True]
    with pytest.raises(AskedWrongly, match="nothing is held"):
        await deeds.end_hold(
            tools.engine, HEAD, by_deed.number, by_deed.version + 1, "the case is closed"
        )
    await deeds.end_old_holds(tools.engine, datetime.now(UTC) + day / 2, day)
    assert await held(tools, by_rule)
    for _ in range(2):
        await deeds.end_old_holds(tools.engine, datetime.now(UTC) + 2 * day, day)
    assert not await held(tools, by_rule)
    async with unit_of_work(tools.engine) as connection:
        last = (await store.steps(connection, by_rule.id))[-1]
        ended = audit_entry.c.action == "web:demand:hold_ended"
        assert len((await connection.execute(select(audit_entry.c.id).where(ended))).all()) == 2
    assert (last.step, last.state, last.author) == ("hold_ended", "acknowledged", "system:demands")


async def held(tools: Tools, row: DemandRow) -> bool:
    async with unit_of_work(tools.engine) as connection:
        return await held_for(connection, deeds.held_reason(row))


async def test_a_clock_that_was_put_back_hands_nothing_over_twice(
    tools: Tools, tmp_path: Path
) -> None:
    row = await released(tools, tmp_path)
    await tend_bundles(tools, datetime.now(UTC))
    await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")
    async with unit_of_work(tools.engine) as connection:  # all that is dated is in the future now
        await connection.execute(
            text(
                "UPDATE disclosure SET taken_at = taken_at + '1 day', until = until + '1 day', "
                "built_at = built_at + '1 day', released_at = released_at + '1 day'"
            )
        )
    with pytest.raises(IllegalMove):
        await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")


async def test_a_recording_under_two_demands_is_handed_over_for_each_by_itself(
    tools: Tools, tmp_path: Path
) -> None:
    """And is kept for the second when the hold of the first has ended."""
    number, recording_id = await sealed_talk(tools.settings, tools.engine)
    key_id = await new_key(tools.engine, tmp_path)
    rows = []
    for _ in range(2):
        row = await deeds.register(
            tools.engine, OFFICER, filing(wanted=Wanted(appeal_number=number))
        )
        await deeds.check(tools.engine, OFFICER, row.number, 2, [recording_id], "the one")
        await releasing.release(tools.engine, HEAD, row.number, 3, key_id, "as demanded")
        rows.append(row)
    await tend_bundles(tools, datetime.now(UTC))
    for row in rows:
        await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")
        now = await found(tools.engine, row.number)
        await releasing.acknowledge(tools.engine, AUTHORITY, row.number, now.version, "whole")
    first = await found(tools.engine, rows[0].number)
    await deeds.end_hold(tools.engine, HEAD, first.number, first.version, "closed")
    async with unit_of_work(tools.engine) as connection:
        assert await reasons_of(connection, recording_id) == [f"demand:{rows[1].number}"]
        disclosed = audit_entry.c.action == "web:recording:disclosed"
        assert len((await connection.execute(select(audit_entry.c.id).where(disclosed))).all()) == 2


async def test_only_a_confirmed_key_is_encrypted_to(tools: Tools, tmp_path: Path) -> None:
    row = await checked(tools)
    with pytest.raises(AskedWrongly, match="age1"):
        await releasing.add_key(tools.engine, AUTHORITY, "age1nonsense")
    key_id = await new_key(tools.engine, tmp_path)
    await releasing.revoke_key(tools.engine, HEAD, key_id)
    with pytest.raises(AskedWrongly, match="not confirmed, or revoked"):
        await releasing.release(tools.engine, HEAD, row.number, row.version, key_id, "well")
    assert (await found(tools.engine, row.number)).state == State.CHECKED


async def test_nobody_confirms_a_key_that_they_added(tools: Tools, tmp_path: Path) -> None:
    key_id = await new_key(tools.engine, tmp_path)
    await releasing.revoke_key(tools.engine, HEAD, key_id)
    public = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    await releasing.add_key(tools.engine, HEAD, public)
    async with unit_of_work(tools.engine) as connection:
        added = (await disclosures.keys(connection))[0]
    with pytest.raises(NotFound):
        await releasing.confirm_key(tools.engine, HEAD, added.id)


async def test_the_database_itself_refuses_a_release_by_one_person(
    tools: Tools, tmp_path: Path
) -> None:
    await released(tools, tmp_path)
    with pytest.raises(IntegrityError):
        async with unit_of_work(tools.engine) as connection:
            await connection.execute(text("UPDATE disclosure SET released_by = 'user:officer'"))


async def test_a_demand_withdrawn_half_way_is_not_handed_over(tools: Tools, tmp_path: Path) -> None:
    row = await released(tools, tmp_path)
    async with unit_of_work(tools.engine) as connection:
        (ordered,) = await disclosures.to_be_built(connection)
    await deeds.withdraw(tools.engine, OFFICER, row.number, row.version, "a letter")
    await building.build(tools, ordered)  # a worker was at it
    with pytest.raises(IllegalMove):
        await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")
    await tend_bundles(tools, datetime.now(UTC))
    assert list(Objects(tools.settings.recordings).listed("disclosures")) == []


async def test_a_bundle_that_is_ready_too_late_does_not_stay_in_the_store(
    tools: Tools, tmp_path: Path
) -> None:
    row = await released(tools, tmp_path)
    async with unit_of_work(tools.engine) as connection:
        (ordered,) = await disclosures.to_be_built(connection)
    await deeds.withdraw(tools.engine, OFFICER, row.number, row.version, "a letter")
    await tend_bundles(tools, datetime.now(UTC))
    await building.build(tools, ordered)  # a worker that was thought dead
    assert list(Objects(tools.settings.recordings).listed("disclosures")) == []


async def test_a_recording_that_is_not_what_it_was_is_not_handed_over(
    tools: Tools, tmp_path: Path
) -> None:
    row = await released(tools, tmp_path)
    async with unit_of_work(tools.engine) as connection:
        await connection.execute(text("UPDATE recording SET audio_sha256 = repeat('0', 64)"))
    await tend_bundles(tools, datetime.now(UTC))
    assert (await newest(tools, row)).built_at is None
    assert list(Objects(tools.settings.recordings).listed("disclosures")) == []
    async with unit_of_work(tools.engine) as connection:
        assert (await store.running(connection))[0].number == row.number
    assert row.due_at > datetime.now(UTC) + timedelta(hours=1)
