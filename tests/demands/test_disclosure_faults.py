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

from callcenter.demands import disclosures, matches_store, release, service, store
from callcenter.demands.actions import DemandAction
from callcenter.demands.jobs import tend_bundles
from callcenter.demands.rules.matching import SearchCriteria
from callcenter.demands.rules.signing import SECRET, fingerprint
from callcenter.demands.rules.states import DemandState
from callcenter.demands.store import DemandRow, StaleDemand
from callcenter.platform.audit.rules.checkpoints import key_from
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.secrets import make_secret, read_secret
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.objects import Objects
from callcenter.recordings.retention.store import reasons_of
from callcenter.recordings.sealing import keys
from tests import fork_server
from tests.demands.conftest import HEAD, OFFICER, demand_form, person
from tests.demands.recorded import sealed_talk
from tests.demands.test_disclosing import AUTHORITY, checked, new_key, newest, released
from tests.demands.test_registering import found
from tests.process_killers import dies_after
from tests.recordings.test_sealing_worker import environment
from tests.services import CALLCENTER, filled

pytestmark = pytest.mark.slow

# Does one of these things.
ACTION = """
import asyncio, sys
from datetime import UTC, datetime
from uuid import UUID
from callcenter.demands import release, service
from callcenter.demands.jobs import tend_bundles
from callcenter.demands.rules.matching import SearchCriteria
from callcenter.demands.rules.states import RefusalGround
from callcenter.platform.core.settings import read_settings
from callcenter.platform.storage.engine import open_database
from callcenter.platform.storage.jobs import WorkerResources
from tests.demands.conftest import HEAD, OFFICER, demand_form, person

what, number, version, key = sys.argv[1:]
settings = read_settings()
engine = open_database(settings)
asyncio.run(
    {
        "register": lambda: service.register(
            engine, OFFICER, demand_form(criteria=SearchCriteria(appeal_number=number))
        ),
        "check": lambda: service.check(engine, OFFICER, number, int(version), [UUID(key)], "it"),
        "release": lambda: release.release(
            engine, HEAD, number, int(version), UUID(key), "as demanded"
        ),
        "search": lambda: service.search(engine, OFFICER, number, int(version)),
        "return": lambda: service.return_to_check(engine, HEAD, number, int(version), "again"),
        "refuse": lambda: service.refuse(
            engine, HEAD, number, int(version), RefusalGround.NO_CONVERSATION, "none"
        ),
        "withdraw": lambda: service.withdraw(engine, OFFICER, number, int(version), "a letter"),
        "offer_again": lambda: release.release(
            engine, HEAD, number, int(version), UUID(key), "lost", again=True
        ),
        "acknowledge": lambda: release.acknowledge(
            engine, person("ministry"), number, int(version), "whole"
        ),
        "end_hold": lambda: service.end_hold(engine, HEAD, number, int(version), "closed"),
        "build": lambda: tend_bundles(WorkerResources(settings, engine), datetime.now(UTC)),
        "hand_out": lambda: release.hand_out(engine, person("ministry"), number, "download"),
    }[what]()
)
"""


@pytest.fixture
def tools(settings: Settings, engine: AsyncEngine) -> WorkerResources:
    return WorkerResources(settings, engine)


async def killed(
    tools: WorkerResources, step: str, what: str, number: str, version: int, key: str
) -> None:
    about = (what, number, str(version), key)
    await dies_after(step, ACTION, *about, env=environment(tools.settings))


@pytest.mark.parametrize(
    "step", ["store.register", "matches_store.propose", "retention.hold", "audit_step"]
)
async def test_killed_while_registering_nothing_is_registered_or_frozen(
    tools: WorkerResources, step: str
) -> None:
    number, recording_id = await sealed_talk(tools.settings, tools.engine)
    await killed(tools, f"callcenter.demands.service.{step}", "register", number, 0, "")
    async with unit_of_work(tools.engine) as connection:
        assert await store.list_running(connection) == []
        assert await reasons_of(connection, recording_id) == []
    criteria = SearchCriteria(appeal_number=number)
    row = await service.register(tools.engine, OFFICER, demand_form(criteria=criteria))
    assert row.number.endswith("-0001")
    async with unit_of_work(tools.engine) as connection:
        assert await reasons_of(connection, recording_id) == [f"demand:{row.number}"]


@pytest.mark.parametrize("step", ["lock_demand", "matches_store.choose", "transition"])
async def test_killed_while_checking_nothing_is_chosen(tools: WorkerResources, step: str) -> None:
    number, recording_id = await sealed_talk(tools.settings, tools.engine)
    criteria = SearchCriteria(appeal_number=number)
    row = await service.register(tools.engine, OFFICER, demand_form(criteria=criteria))
    at = f"callcenter.demands.service.{step}"
    await killed(tools, at, "check", row.number, row.version, str(recording_id))
    assert await found(tools.engine, row.number) == row
    async with unit_of_work(tools.engine) as connection:
        assert await matches_store.matches(connection, row.id, chosen=True) == []
    await service.check(tools.engine, OFFICER, row.number, row.version, [recording_id], "it")
    assert (await found(tools.engine, row.number)).state == DemandState.CHECKED


@pytest.mark.parametrize("step", ["Objects.remove", "disclosures.mark_removed"])
async def test_a_kill_while_removing_a_bundle_ends_in_removal(
    tools: WorkerResources, tmp_path: Path, step: str
) -> None:
    row = await released(tools, tmp_path)
    await tend_bundles(tools, datetime.now(UTC))
    await service.withdraw(tools.engine, HEAD, row.number, row.version, "a letter")
    await killed(tools, f"callcenter.demands.bundle_builder.{step}", "build", row.number, 0, "")
    await tend_bundles(tools, datetime.now(UTC))
    assert (await newest(tools, row)).removed_at is not None
    assert list(Objects(tools.settings.recordings).list_objects("disclosures")) == []


@pytest.mark.parametrize(
    "step",
    [
        "callcenter.demands.release.disclosures.key_for",
        "callcenter.demands.release.transition",
        "callcenter.demands.release.disclosures.add",
    ],
)
async def test_killed_while_releasing_it_is_not_released(
    tools: WorkerResources, tmp_path: Path, step: str
) -> None:
    row, key = await checked(tools), await new_key(tools.engine, tmp_path)
    await killed(tools, step, "release", row.number, row.version, str(key))
    assert await found(tools.engine, row.number) == row
    await release.release(tools.engine, HEAD, row.number, row.version, key, "as demanded")
    async with unit_of_work(tools.engine) as connection:
        assert len(await disclosures.of_demand(connection, row.id)) == 1


@pytest.mark.parametrize(
    "step",
    [
        "callcenter.demands.bundle_builder.read_contents",
        "callcenter.demands.bundle_builder.parts_of",
        "callcenter.demands.bundle_builder.encrypt",
        "callcenter.demands.bundle_builder.Objects.put",
        "callcenter.demands.bundle_builder.disclosures.mark_built",
    ],
)
async def test_killed_while_building_there_is_one_bundle_in_the_end(
    tools: WorkerResources, tmp_path: Path, step: str
) -> None:
    row = await released(tools, tmp_path)
    await killed(tools, step, "build", row.number, row.version, "")
    assert (await newest(tools, row)).built_at is None
    await tend_bundles(tools, datetime.now(UTC))
    given = await release.hand_out(tools.engine, AUTHORITY, row.number, "download")
    (stored,) = Objects(tools.settings.recordings).list_objects("disclosures")
    assert (stored.name, stored.size) == (given.object_name, given.bytes)
    assert list(tools.settings.spool.iterdir()) == []


@pytest.mark.parametrize(
    "step",
    [
        "callcenter.demands.release.disclosures.mark_taken",
        "callcenter.demands.release.transition",
        "callcenter.demands.release.audit_action",
    ],
)
async def test_killed_before_the_first_byte_nothing_counts_as_handed_over(
    tools: WorkerResources, tmp_path: Path, step: str
) -> None:
    row = await released(tools, tmp_path)
    await tend_bundles(tools, datetime.now(UTC))
    await killed(tools, step, "hand_out", row.number, row.version, "")
    assert (await found(tools.engine, row.number)).state == DemandState.RELEASED
    async with unit_of_work(tools.engine) as connection:
        query = select(audit_entry.c.id).where(audit_entry.c.action == "web:recording:disclosed")
        assert list(await connection.execute(query)) == []
    await release.hand_out(tools.engine, AUTHORITY, row.number, "download")
    assert (await found(tools.engine, row.number)).state == DemandState.HANDED_OVER


async def brought_to(
    tools: WorkerResources, folder: Path, state: DemandState
) -> tuple[DemandRow, str]:
    """A demand in that state, with a key that can be released to."""
    row, key = await checked(tools), str(await new_key(tools.engine, folder, "new.key"))
    if state is DemandState.FOUND:
        await service.return_to_check(tools.engine, HEAD, row.number, row.version, "again")
    if state in (DemandState.RELEASED, DemandState.HANDED_OVER, DemandState.ACKNOWLEDGED):
        first = await new_key(tools.engine, folder, "first.key")
        await release.release(tools.engine, HEAD, row.number, row.version, first, "demanded")
    if state in (DemandState.HANDED_OVER, DemandState.ACKNOWLEDGED):
        await tend_bundles(tools, datetime.now(UTC))
        await release.hand_out(tools.engine, AUTHORITY, row.number, "download")
    now = await found(tools.engine, row.number)
    if state is DemandState.ACKNOWLEDGED:
        await release.acknowledge(tools.engine, AUTHORITY, row.number, now.version, "whole")
        now = await found(tools.engine, row.number)
    assert now.state == state
    return now, key


async def everything(tools: WorkerResources) -> list[str]:
    """All that the register says of demands and whatever hangs on them, as text.

    But for audit entries of steps that were refused: trying leaves one, and changes nothing.
    """
    tables = ("demand", "demand_step", "demand_recording", "disclosure", "recording_hold")
    entries = f"(SELECT * FROM audit_entry WHERE action <> '{DemandAction.DEMAND_STEP_REFUSED}')"  # noqa: S608
    said = []
    async with unit_of_work(tools.engine) as connection:
        for table in (*tables, entries):
            query = f"SELECT to_jsonb(it)::text FROM {table} AS it ORDER BY 1"  # noqa: S608
            said += list((await connection.execute(text(query))).scalars())
    return said


@pytest.mark.parametrize(
    ("what", "state", "step", "after"),
    [
        ("search", DemandState.FOUND, "service.audit_step", DemandState.FOUND),
        ("return", DemandState.CHECKED, "service.transition", DemandState.FOUND),
        ("refuse", DemandState.CHECKED, "service.transition", DemandState.REFUSED),
        ("withdraw", DemandState.RELEASED, "service.transition", DemandState.WITHDRAWN),
        ("offer_again", DemandState.HANDED_OVER, "release.disclosures.add", DemandState.RELEASED),
        ("acknowledge", DemandState.HANDED_OVER, "release.transition", DemandState.ACKNOWLEDGED),
        ("end_hold", DemandState.ACKNOWLEDGED, "service.transition", DemandState.ACKNOWLEDGED),
    ],
)
async def test_a_kill_before_any_commit_leaves_nothing_done(
    tools: WorkerResources,
    tmp_path: Path,
    what: str,
    state: DemandState,
    step: str,
    after: DemandState,
) -> None:
    row, key = await brought_to(tools, tmp_path, state)
    before = await everything(tools)
    await killed(tools, f"callcenter.demands.{step}", what, row.number, row.version, key)
    assert await everything(tools) == before
    # Whoever does it again, in a process that lives, does it.
    about = (what, row.number, str(row.version), key)
    command = (sys.executable, "-c", ACTION, *about)
    again = await fork_server.begin(command, environment(tools.settings))
    assert await again.wait() == 0
    now = await found(tools.engine, row.number)
    assert (now.state, now.version) == (after, row.version + 1)


Fault = Callable[[Settings], AbstractContextManager[None]]


@contextmanager
def lost_key(settings: Settings) -> Iterator[None]:
    absent = settings.keys.rename(settings.keys.with_name("away"))
    yield
    absent.rename(settings.keys)


@contextmanager
def wrong_key(settings: Settings) -> Iterator[None]:
    with lost_key(settings):
        keys.make(settings.keys)
        yield
        subprocess.run(("rm", "-r", settings.keys), check=True)


@pytest.mark.parametrize("fault", [lost_key, wrong_key])
async def test_an_unbuildable_bundle_is_offered_once_it_can_be(
    tools: WorkerResources, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    row = await released(tools, tmp_path)
    with fault(tools.settings):
        await tend_bundles(tools, datetime.now(UTC))
        assert (await newest(tools, row)).built_at is None
        assert "bundle not built" in caplog.text
        with pytest.raises(release.NotAvailable):
            await release.hand_out(tools.engine, AUTHORITY, row.number, "download")
    await tend_bundles(tools, datetime.now(UTC))
    await release.hand_out(tools.engine, AUTHORITY, row.number, "download")


async def test_nothing_is_signed_with_a_key_unknown_to_the_authority(
    tools: WorkerResources, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As when the secret was lost and made anew."""
    first = await released(tools, tmp_path)
    await tend_bundles(tools, datetime.now(UTC))
    secret = tools.settings.secrets_folder / SECRET
    absent = secret.rename(secret.with_name("away"))
    make_secret(secret.parent, SECRET)
    row = await checked(tools)
    key = await new_key(tools.engine, tmp_path, "other.key")
    await release.release(tools.engine, HEAD, row.number, row.version, key, "as demanded")
    await tend_bundles(tools, datetime.now(UTC))
    assert (await newest(tools, row)).built_at is None
    assert "Bring back the secret" in caplog.text
    # Brought back, or told of.
    made = secret.rename(secret.with_name("made"))
    absent.rename(secret)
    await tend_bundles(tools, datetime.now(UTC))
    assert (await newest(tools, row)).built_at is not None
    made.rename(secret)
    command = (*CALLCENTER, "keys", "disclosures", "--told")
    reported = await fork_server.begin(command, environment(tools.settings))
    assert await reported.wait() == 0
    await release.release(
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


async def test_on_a_full_disk_a_bundle_waits_for_room(
    tools: WorkerResources, tmp_path: Path, small_disk: Path
) -> None:
    row = await released(tools, tmp_path)
    filling = filled(small_disk, but=20_000)
    await tend_bundles(tools, datetime.now(UTC))
    assert (await newest(tools, row)).built_at is None
    filling.unlink()
    await tend_bundles(tools, datetime.now(UTC))
    given = await release.hand_out(tools.engine, AUTHORITY, row.number, "download")
    assert Objects(tools.settings.recordings).size(given.object_name) == given.bytes


async def test_a_bundle_that_the_store_withholds_is_not_taken(
    tools: WorkerResources, tmp_path: Path
) -> None:
    row = await released(tools, tmp_path)
    stored = Objects(tools.settings.recordings)
    await release.check_bundle_stored(
        tools.engine, stored, row.number
    )  # there is none to be asked for
    await tend_bundles(tools, datetime.now(UTC))
    await release.check_bundle_stored(tools.engine, stored, row.number)
    file = tools.settings.recordings / (await newest(tools, row)).object_name
    whole = file.read_bytes()
    file.unlink()
    with pytest.raises(release.BundleUnavailable):
        await release.check_bundle_stored(tools.engine, stored, row.number)
    file.write_bytes(whole[:-1])
    with pytest.raises(release.BundleUnavailable):
        await release.check_bundle_stored(tools.engine, stored, row.number)


async def test_of_two_heads_who_release_at_once_one_does(
    tools: WorkerResources, tmp_path: Path
) -> None:
    row, key = await checked(tools), await new_key(tools.engine, tmp_path)
    heads = [person(name, Role.HEAD) for name in ("head", "deputy")]
    outcomes = await asyncio.gather(
        *(
            release.release(tools.engine, each, row.number, row.version, key, "as demanded")
            for each in heads
        ),
        return_exceptions=True,
    )
    assert {type(each) for each in outcomes} == {type(None), StaleDemand}
    async with unit_of_work(tools.engine) as connection:
        assert len(await disclosures.of_demand(connection, row.id)) == 1


async def test_of_withdrawing_and_handing_over_at_once_one_is_done(
    tools: WorkerResources, tmp_path: Path
) -> None:
    """And what was withdrawn was not disclosed, what was disclosed is not withdrawn."""
    row = await released(tools, tmp_path)
    await tend_bundles(tools, datetime.now(UTC))
    given, withdrawn = await asyncio.gather(
        release.hand_out(tools.engine, AUTHORITY, row.number, "download"),
        service.withdraw(tools.engine, HEAD, row.number, row.version, "a letter"),
        return_exceptions=True,
    )
    state = (await found(tools.engine, row.number)).state
    async with unit_of_work(tools.engine) as connection:
        query = select(audit_entry.c.id).where(audit_entry.c.action == "web:recording:disclosed")
        disclosed = bool(list(await connection.execute(query)))
    if isinstance(given, Exception):
        assert (type(withdrawn), state, disclosed) == (type(None), DemandState.WITHDRAWN, False)
    else:
        assert (type(withdrawn), state, disclosed) == (StaleDemand, DemandState.HANDED_OVER, True)
