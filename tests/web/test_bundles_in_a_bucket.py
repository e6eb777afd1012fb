"""What the authority is given, when objects live in a bucket of S3: built, taken once, removed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import obstore
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.demands import release, service
from callcenter.demands.jobs import tend_bundles
from callcenter.demands.rules.states import DemandState
from callcenter.demands.store import DemandRow
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from tests.demands.conftest import HEAD, OFFICER
from tests.demands.test_disclosing import new_key, newest, released, shell
from tests.demands.test_disclosure_faults import ACTION
from tests.demands.test_registering import found
from tests.process_killers import dies_after
from tests.recordings.test_sealing_worker import environment
from tests.recordings.test_stores import in_bucket, on_s3
from tests.s3 import S3Server
from tests.web.browser import visible
from tests.web.conftest import Enter
from tests.web.test_demands import post

HOME = "/authority/demands"


@pytest.fixture
def settings(settings: Settings, s3: S3Server) -> Iterator[Settings]:
    """Of a center that has no store but a bucket, on a server that may be stopped."""
    settings = on_s3(settings, s3)
    yield settings
    s3.stop()
    s3.start()


@pytest.fixture
def tools(settings: Settings, engine: AsyncEngine) -> WorkerResources:
    return WorkerResources(settings, engine)


def bundles(tools: WorkerResources, s3: S3Server) -> list[str]:
    pages = obstore.list(in_bucket(tools, s3), "kept/disclosures")
    return [each["path"] for page in pages for each in page]


async def tend(tools: WorkerResources) -> None:
    await tend_bundles(tools, datetime.now(UTC))


async def download(authority: httpx.AsyncClient, row: DemandRow) -> httpx.Response:
    authority.headers["accept-language"] = "en"
    return await post(authority, f"{HOME}/{row.number}/download", HOME)


async def disclosed(tools: WorkerResources) -> int:
    query = text("SELECT count(*) FROM audit_entry WHERE action = 'web:recording:disclosed'")
    async with unit_of_work(tools.engine) as connection:
        return int((await connection.execute(query)).scalar_one())


async def test_it_is_built_taken_once_for_each_key_and_removed(
    enter: Enter, tools: WorkerResources, s3: S3Server, tmp_path: Path
) -> None:
    row = await released(tools, tmp_path)
    await tend(tools)
    given = await newest(tools, row)
    assert bundles(tools, s3) == [f"kept/{given.object_name}"]
    assert not tools.settings.recordings.exists()
    async with enter(Role.AUTHORITY) as authority:
        taken = await download(authority, row)
        (tmp_path / "bundle.tar.age").write_bytes(taken.content)
        opened = shell(
            "age -d -i authority.key bundle.tar.age | tar -x && cat SHA256SUMS", tmp_path
        )
        assert opened.returncode == 0, opened.stderr
        assert shell("sha256sum --check SHA256SUMS", tmp_path).stdout.count(": OK") == 4
        assert (await download(authority, row)).status_code == 400
        assert await disclosed(tools) == 1
        # Another key gets another bundle, the same key none.
        row = await found(tools.engine, row.number)
        about = (tools.engine, HEAD, row.number, row.version)
        with pytest.raises(InvalidRequest, match="has taken the bundle once"):
            await release.release(*about, given.key_id, "lost", again=True)
        await release.release(
            *about, await new_key(tools.engine, tmp_path, "other.key"), "lost", again=True
        )
        assert (await download(authority, row)).status_code == 400  # not built yet
        await tend(tools)
        second = await newest(tools, row)
        assert bundles(tools, s3) == [f"kept/{second.object_name}"]
        (tmp_path / "second").write_bytes((await download(authority, row)).content)
        assert shell("age -d -i authority.key second", tmp_path).returncode != 0
        assert shell("age -d -i other.key second | tar -t", tmp_path).returncode == 0
        version = str((await found(tools.engine, row.number)).version)
        whole = await post(
            authority, f"{HOME}/{row.number}/acknowledge", HOME, version=version, reason="whole"
        )
        assert whole.status_code == 303
    await tend(tools)
    assert bundles(tools, s3) == []


async def test_while_clamd_is_unavailable_files_wait_unforgotten(
    enter: Enter,
    tools: WorkerResources,
    s3: S3Server,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    row = await released(tools, tmp_path)
    s3.stop()
    await tend(tools)
    assert (await newest(tools, row)).built_at is None
    assert "bundle not built or removed" in caplog.text
    s3.start()
    await tend(tools)
    async with enter(Role.AUTHORITY) as authority:
        s3.stop()
        absent = await download(authority, row)
        assert absent.status_code == 400
        assert "nothing was handed over" in visible(absent.text)
        assert (await found(tools.engine, row.number)).state == DemandState.RELEASED
        assert await disclosed(tools) == 0
        s3.start()
        taken = await download(authority, row)
        assert len(taken.content) == (await newest(tools, row)).bytes
    now = await found(tools.engine, row.number)
    await release.acknowledge(tools.engine, OFFICER, row.number, now.version, "whole")
    s3.stop()
    await tend(tools)
    assert (await newest(tools, row)).removed_at is None
    s3.start()
    await tend(tools)
    assert (await newest(tools, row)).removed_at is not None
    assert bundles(tools, s3) == []


@pytest.mark.parametrize("is_built", [False, True])
async def test_of_what_was_withdrawn_nothing_stays_in_the_bucket(
    enter: Enter, tools: WorkerResources, s3: S3Server, tmp_path: Path, is_built: bool
) -> None:
    row = await released(tools, tmp_path)
    if is_built:
        await tend(tools)
    await service.withdraw(tools.engine, OFFICER, row.number, row.version, "a letter")
    await tend(tools)
    assert bundles(tools, s3) == []
    async with enter(Role.AUTHORITY) as authority:
        assert (await download(authority, row)).status_code == 400
    assert await disclosed(tools) == 0


@pytest.mark.slow
@pytest.mark.parametrize("step", ["obstore.put", "Objects.put"])
async def test_a_kill_while_storing_into_a_bucket_leaves_one(
    enter: Enter, tools: WorkerResources, s3: S3Server, tmp_path: Path, step: str
) -> None:
    row, place = await released(tools, tmp_path), tools.settings.recordings_url
    assert place is not None
    bucket = {"CALLCENTER_RECORDINGS_URL": place.get_secret_value()}
    about = ("build", row.number, str(row.version), "")
    env = environment(tools.settings) | bucket
    await dies_after(f"callcenter.platform.storage.objects.{step}", ACTION, *about, env=env)
    assert (await newest(tools, row)).built_at is None
    await tend(tools)
    given = await newest(tools, row)
    assert bundles(tools, s3) == [f"kept/{given.object_name}"]
    async with enter(Role.AUTHORITY) as authority:
        assert len((await download(authority, row)).content) == given.bytes
