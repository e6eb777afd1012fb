"""Who prepares, releases, builds, hands out or removes is killed after any step: nothing is lost
or given twice."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.audit.heads import key_from
from callcenter.audit.tables import audit_entry
from callcenter.demands import deeds, disclosures, findings, releasing, store
from callcenter.demands.jobs import tend_bundles
from callcenter.demands.matching import Wanted
from callcenter.demands.signing import SECRET, fingerprint
from callcenter.demands.states import State
from callcenter.demands.store import DemandRow, SomebodyElse
from callcenter.recordings import keys
from callcenter.recordings.holding import reasons_of
from callcenter.secrets import read_secret
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools
from callcenter.storage.objects import Objects
from callcenter.web.permissions import Role
from tests.demands.conftest import HEAD, OFFICER, filing, person
from tests.demands.recorded import sealed_talk
from tests.demands.test_disclosing import AUTHORITY, checked, new_key, newest, released
from tests.demands.test_registering import found
from tests.killing import dies_after
from tests.recordings.test_keeping import environment
from tests.services import CALLCENTER, filled

pytestmark = pytest.mark.slow

# Does one of these things.
DEED = """
import asyncio, sys
from datetime import UTC, datetime
from uuid import UUID
from callcenter.demands import deeds, releasing
from callcenter.demands.jobs import tend_bundles
from callcenter.demands.matching import Wanted
from callcenter.demands.states import Ground
from callcenter.settings import read_settings
from callcenter.storage.engine import open_database
from callcenter.storage.jobs import Tools
from tests.demands.conftest import HEAD, OFFICER, filing, person

what, number, version, key = sys.argv[1:]
settings = read_settings()
engine = open_database(settings)
asyncio.run(
    {
        "register": lambda: deeds.register(
            engine, OFFICER, filing(wanted=Wanted(appeal_number=number))
        ),
        "check": lambda: deeds.check(engine, OFFICER, number, int(version), [UUID(key)], "it"),
        "release": lambda: releasing.release(
            engine, HEAD, number, int(version), UUID(key), "as demanded"
        ),
        "search": lambda: deeds.search(engine, OFFICER, number, int(version)),
        "return": lambda: deeds.return_to_check(engine, HEAD, number, int(version), "again"),
        "refuse": lambda: deeds.refuse(
            engine, HEAD, number, int(version), Ground.NO_CONVERSATION, "none"
        ),
        "withdraw": lambda: deeds.withdraw(engine, OFFICER, number, int(version), "a letter"),
        "offer_again": lambda: releasing.release(
            engine, HEAD, number, int(version), UUID(key), "lost", again=True
        ),
        "acknowledge": lambda: releasing.acknowledge(
            engine, person("ministry"), number, int(version), "whole"
        ),
        "end_hold": lambda: deeds.end_hold(engine, HEAD, number, int(version), "closed"),
        "build": lambda: tend_bundles(Tools(settings, engine), datetime.now(UTC)),
        "hand_out": lambda: releasing.hand_out(engine, person("ministry"), number, "download"),
    }[what]()
)
"""


@pytest.fixture
def tools(settings: Settings, engine: AsyncEngine) -> Tools:
    return Tools(settings, engine)


async def killed(tools: Tools, step: str, what: str, number: str, version: int, key: str) -> None:
    about = (what, number, str(version), key)
    await dies_after(step, DEED, *about, env=environment(tools.settings))


@pytest.mark.parametrize("step", ["store.register", "findings.propose", "hold", "note"])
async def test_killed_while_registering_nothing_is_registered_or_frozen(
    tools: Tools, step: str
) -> None:
    number, recording_id = await sealed_talk(tools.settings, tools.engine)
    await killed(tools, f"callcenter.demands.deeds.{step}", "register", number, 0, "")
    async with unit_of_work(tools.engine) as connection:
        assert await store.running(connection) == []
        assert await reasons_of(connection, recording_id) == []
    wanted = Wanted(appeal_number=number)
    row = await deeds.register(tools.engine, OFFICER, filing(wanted=wanted))
    assert row.number.endswith("-0001")
    async with unit_of_work(tools.engine) as connection:
        assert await reasons_of(connection, recording_id) == [f"demand:{row.number}"]


@pytest.mark.parametrize("step", ["locked", "findings.choose", "take"])
async def test_killed_while_checking_nothing_is_chosen(tools: Tools, step: str) -> None:
    number, recording_id = await sealed_talk(tools.settings, tools.engine)
    wanted = Wanted(appeal_number=number)
    row = await deeds.register(tools.engine, OFFICER, filing(wanted=wanted))
    at = f"callcenter.demands.deeds.{step}"
    await killed(tools, at, "check", row.number, row.version, str(recording_id))
    assert await found(tools.engine, row.number) == row
    async with unit_of_work(tools.engine) as connection:
        assert await findings.matches(connection, row.id, chosen=True) == []
    await deeds.check(tools.engine, OFFICER, row.number, row.version, [recording_id], "it")
    assert (await found(tools.engine, row.number)).state == State.CHECKED


@pytest.mark.parametrize("step", ["Objects.remove", "disclosures.removed"])
async def test_killed_while_removing_a_bundle_it_is_gone_in_the_end(
    tools: Tools, tmp_path: Path, step: str
) -> None:
    row = await released(tools, tmp_path)
    await tend_bundles(tools, datetime.now(UTC))
    await deeds.withdraw(tools.engine, HEAD, row.number, row.version, "a letter")
    await killed(tools, f"callcenter.demands.building.{step}", "build", row.number, 0, "")
    await tend_bundles(tools, datetime.now(UTC))
    assert (await newest(tools, row)).removed_at is not None
    assert list(Objects(tools.settings.recordings).listed("disclosures")) == []


@pytest.mark.parametrize(
    "step",
    [
        "callcenter.demands.releasing.disclosures.key_for",
        "callcenter.demands.releasing.take",
        "callcenter.demands.releasing.disclosures.add",
    ],
)
async def test_killed_while_releasing_it_is_not_released(
    tools: Tools, tmp_path: Path, step: str
) -> None:
    row, key = await checked(tools), await new_key(tools.engine, tmp_path)
    await killed(tools, step, "release", row.number, row.version, str(key))
    assert await found(tools.engine, row.number) == row
    await releasing.release(tools.engine, HEAD, row.number, row.version, key, "as demanded")
    async with unit_of_work(tools.engine) as connection:
        assert len(await disclosures.of_demand(connection, row.id)) == 1


@pytest.mark.parametrize(
    "step",
    [
        "callcenter.demands.building._contents",
        "callcenter.demands.building._parts",
        "callcenter.demands.building.encrypt",
        "callcenter.demands.building.Objects.put",
        "callcenter.demands.building.disclosures.built",
    ],
)
async def test_killed_while_building_there_is_one_bundle_in_the_end(
    tools: Tools, tmp_path: Path, step: str
) -> None:
    row = await released(tools, tmp_path)
    await killed(tools, step, "build", row.number, row.version, "")
    assert (await newest(tools, row)).built_at is None
    await tend_bundles(tools, datetime.now(UTC))
    given = await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")
    (kept,) = Objects(tools.settings.recordings).listed("disclosures")
    assert (kept.name, kept.size) == (given.object_name, given.bytes)
    assert list(tools.settings.spool.iterdir()) == []


@pytest.mark.parametrize(
    "step",
    [
        "callcenter.demands.releasing.disclosures.taken",
        "callcenter.demands.releasing.take",
        "callcenter.demands.releasing.record",
    ],
)
async def test_killed_before_the_first_byte_nothing_counts_as_handed_over(
    tools: Tools, tmp_path: Path, step: str
) -> None:
    row = await released(tools, tmp_path)
    await tend_bundles(tools, datetime.now(UTC))
    await killed(tools, step, "hand_out", row.number, row.version, "")
    assert (await found(tools.engine, row.number)).state == State.RELEASED
    async with unit_of_work(tools.engine) as connection:
        query = select(audit_entry.c.id).where(audit_entry.c.action == "web:recording:disclosed")
        assert list(await connection.execute(query)) == []
    await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")
    assert (await found(tools.engine, row.number)).state == State.HANDED_OVER


async def brought_to(tools: Tools, folder: Path, state: State) -> tuple[DemandRow, str]:
    """A demand in that state, with a key that can be released to."""
    row, key = await checked(tools), str(await new_key(tools.engine, folder, "new.key"))
    if state is State.FOUND:
        await deeds.return_to_check(tools.engine, HEAD, row.number, row.version, "again")
    if state in (State.RELEASED, State.HANDED_OVER, State.ACKNOWLEDGED):
        first = await new_key(tools.engine, folder, "first.key")
        await releasing.release(tools.engine, HEAD, row.number, row.version, first, "demanded")
    if state in (State.HANDED_OVER, State.ACKNOWLEDGED):
        await tend_bundles(tools, datetime.now(UTC))
        await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")
    now = await found(tools.engine, row.number)
    if state is State.ACKNOWLEDGED:
        await releasing.acknowledge(tools.engine, AUTHORITY, row.number, now.version, "whole")
        now = await found(tools.engine, row.number)
    assert now.state == state
    return now, key


async def everything(tools: Tools) -> list[str]:
    """All that the register says of demands and whatever hangs on them, as text."""
    tables = ("demand", "demand_step", "demand_recording", "disclosure", "recording_hold")
    said = []
    async with unit_of_work(tools.engine) as connection:
        for table in (*tables, "audit_entry"):
            query = f"SELECT to_jsonb(it)::text FROM {table} AS it ORDER BY 1"  # noqa: S608
            said += list((await connection.execute(text(query))).scalars())
    return said


@pytest.mark.parametrize(
    ("what", "state", "step", "after"),
    [
        ("search", State.FOUND, "deeds.note", State.FOUND),
        ("return", State.CHECKED, "deeds.take", State.FOUND),
        ("refuse", State.CHECKED, "deeds.take", State.REFUSED),
        ("withdraw", State.RELEASED, "deeds.take", State.WITHDRAWN),
        ("offer_again", State.HANDED_OVER, "releasing.disclosures.add", State.RELEASED),
        ("acknowledge", State.HANDED_OVER, "releasing.take", State.ACKNOWLEDGED),
        ("end_hold", State.ACKNOWLEDGED, "deeds.take", State.ACKNOWLEDGED),
    ],
)
async def test_killed_before_the_end_of_any_other_deed_it_was_not_done(
    tools: Tools, tmp_path: Path, what: str, state: State, step: str, after: State
) -> None:
    row, key = await brought_to(tools, tmp_path, state)
    before = await everything(tools)
    await killed(tools, f"callcenter.demands.{step}", what, row.number, row.version, key)
    assert await everything(tools) == before
    # Whoever does it again, in a process that lives, does it.
    about = (what, row.number, str(row.version), key)
    again = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", DEED, *about), env=environment(tools.settings)
    )
    assert await again.wait() == 0
    now = await found(tools.engine, row.number)
    assert (now.state, now.version) == (after, row.version + 1)


Fault = Callable[[Settings], AbstractContextManager[None]]


@contextmanager
def lost_key(settings: Settings) -> Iterator[None]:
    away = settings.keys.rename(settings.keys.with_name("away"))
    yield
    away.rename(settings.keys)


@contextmanager
def wrong_key(settings: Settings) -> Iterator[None]:
    with lost_key(settings):
        keys.make(settings.keys)
        yield
        subprocess.run(("rm", "-r", settings.keys), check=True)


@pytest.mark.parametrize("fault", [lost_key, wrong_key])
async def test_while_it_cannot_be_built_nothing_is_offered_and_then_it_is(
    tools: Tools, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    row = await released(tools, tmp_path)
    with fault(tools.settings):
        await tend_bundles(tools, datetime.now(UTC))
        assert (await newest(tools, row)).built_at is None
        assert "waits" in caplog.text
        with pytest.raises(releasing.NotToBeTaken):
            await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")
    await tend_bundles(tools, datetime.now(UTC))
    await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")


async def test_with_a_key_that_the_authority_does_not_know_nothing_is_signed(
    tools: Tools, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As when the secret was lost, and made anew by whoever read it next."""
    first = await released(tools, tmp_path)
    await tend_bundles(tools, datetime.now(UTC))
    secret = tools.settings.secrets_folder / SECRET
    away = secret.rename(secret.with_name("away"))
    row = await checked(tools)
    key = await new_key(tools.engine, tmp_path, "other.key")
    await releasing.release(tools.engine, HEAD, row.number, row.version, key, "as demanded")
    await tend_bundles(tools, datetime.now(UTC))
    assert secret.exists()
    assert (await newest(tools, row)).built_at is None
    assert "bring back the secret" in caplog.text
    # Brought back, or told of.
    made = secret.rename(secret.with_name("made"))
    away.rename(secret)
    await tend_bundles(tools, datetime.now(UTC))
    assert (await newest(tools, row)).built_at is not None
    made.rename(secret)
    told = await asyncio.create_subprocess_exec(
        *CALLCENTER, "keys", "disclosures", "--told", env=environment(tools.settings)
    )
    assert await told.wait() == 0
    await releasing.release(
        tools.engine, HEAD, first.number, first.version, key, "signed anew", again=True
    )
    await tend_bundles(tools, datetime.now(UTC))
    assert (await newest(tools, first)).built_at is not None
    async with unit_of_work(tools.engine) as connection:
        query = select(audit_entry.c.subject).where(
            audit_entry.c.action == "command:signing_key:told"
        )
        (subject,) = (await connection.execute(query)).scalars()
    signing = key_from(read_secret(tools.settings.secrets_folder, SECRET), SECRET)
    assert subject == f"signing_key:{fingerprint(signing)}"


async def test_on_a_full_disk_a_bundle_waits_and_is_built_when_there_is_room(
    tools: Tools, tmp_path: Path, small_disk: Path
) -> None:
    row = await released(tools, tmp_path)
    filling = filled(small_disk, but=20_000)
    await tend_bundles(tools, datetime.now(UTC))
    assert (await newest(tools, row)).built_at is None
    filling.unlink()
    await tend_bundles(tools, datetime.now(UTC))
    given = await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")
    assert Objects(tools.settings.recordings).size(given.object_name) == given.bytes


async def test_a_bundle_that_the_store_does_not_give_does_not_count_as_taken(
    tools: Tools, tmp_path: Path
) -> None:
    row = await released(tools, tmp_path)
    kept = Objects(tools.settings.recordings)
    await releasing.must_be_there(tools.engine, kept, row.number)  # there is none to be asked for
    await tend_bundles(tools, datetime.now(UTC))
    await releasing.must_be_there(tools.engine, kept, row.number)
    file = tools.settings.recordings / (await newest(tools, row)).object_name
    whole = file.read_bytes()
    file.unlink()
    with pytest.raises(releasing.Away):
        await releasing.must_be_there(tools.engine, kept, row.number)
    file.write_bytes(whole[:-1])
    with pytest.raises(releasing.Away):
        await releasing.must_be_there(tools.engine, kept, row.number)


async def test_of_two_heads_who_release_at_once_one_does(tools: Tools, tmp_path: Path) -> None:
    row, key = await checked(tools), await new_key(tools.engine, tmp_path)
    heads = [person(name, Role.HEAD) for name in ("head", "deputy")]
    outcomes = await asyncio.gather(
        *(
            releasing.release(tools.engine, each, row.number, row.version, key, "as demanded")
            for each in heads
        ),
        return_exceptions=True,
    )
    assert {type(each) for each in outcomes} == {type(None), SomebodyElse}
    async with unit_of_work(tools.engine) as connection:
        assert len(await disclosures.of_demand(connection, row.id)) == 1


async def test_of_withdrawing_and_handing_over_at_once_one_is_done(
    tools: Tools, tmp_path: Path
) -> None:
    """And what was withdrawn was not disclosed, what was disclosed is not withdrawn."""
    row = await released(tools, tmp_path)
    await tend_bundles(tools, datetime.now(UTC))
    given, withdrawn = await asyncio.gather(
        releasing.hand_out(tools.engine, AUTHORITY, row.number, "download"),
        deeds.withdraw(tools.engine, HEAD, row.number, row.version, "a letter"),
        return_exceptions=True,
    )
    state = (await found(tools.engine, row.number)).state
    async with unit_of_work(tools.engine) as connection:
        query = select(audit_entry.c.id).where(audit_entry.c.action == "web:recording:disclosed")
        disclosed = bool(list(await connection.execute(query)))
    if isinstance(given, Exception):
        assert (type(withdrawn), state, disclosed) == (type(None), State.WITHDRAWN, False)
    else:
        assert (type(withdrawn), state, disclosed) == (SomebodyElse, State.HANDED_OVER, True)
