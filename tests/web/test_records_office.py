"""The records officer begins where everything that waits stands, the first due at first."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.demands import queries, release, service
from callcenter.demands.jobs import tend_bundles
from callcenter.demands.rules.deadlines import DeadlineTerm, DemandTimeUnit
from callcenter.demands.rules.waiting import DemandWait
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.recordings.retention import service as retention
from tests.demands.conftest import APPEAL, HEAD, OFFICER, demand_form
from tests.demands.test_disclosing import AUTHORITY, checked, new_key, released
from tests.demands.test_registering import found
from tests.recordings.test_sealing_worker import keep, recorded
from tests.web.browser import visible
from tests.web.conftest import Call, Enter
from tests.web.test_demands import file

ROW = re.compile(r"<tr><td.*?</tr>", re.S)


async def test_the_officer_begins_with_what_waits_elsewhere(
    enter: Enter, settings: Settings, engine: AsyncEngine, call: Call
) -> None:
    tools = WorkerResources(settings, engine)
    await recorded(tools)
    await keep(tools)
    await retention.request_erasure(engine, HEAD, call.recording, reason="an order", order="7")
    age = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    await release.add_key(engine, AUTHORITY, age)
    async with enter(Role.RECORDS_OFFICER) as officer:
        officer.headers["accept-language"] = "en"
        assert (await officer.get("/")).headers["location"] == "/records-office"
        shown = visible((await officer.get("/records-office")).text)
    for counted in (
        "Recordings set aside 1",
        "Erasing recordings 1",
        "Masking of personal data 0",
        "Keys of the authority to be confirmed 1",
    ):
        assert counted in shown


async def test_demands_stand_by_deadline_with_who_has_to_act(
    enter: Enter, settings: Settings, engine: AsyncEngine, tmp_path: Path
) -> None:
    tools = WorkerResources(settings, engine)

    def until(hours: int) -> DeadlineTerm:
        moment = datetime.now(UTC) + timedelta(hours=hours)
        return DeadlineTerm(DemandTimeUnit.MOMENT, moment=moment)

    keyless = await checked(tools, term=until(60))
    stranger = await service.register(engine, OFFICER, demand_form(sender="Кто-то", term=until(50)))
    no_key = await rows_of_the_office(enter)
    assert f"{keyless.number} a key of the authority that the head has confirmed" in no_key[1]
    offered = await released(tools, tmp_path, term=until(40))
    assert "nobody: the bundle is being made" in (await rows_of_the_office(enter))[0]
    await tend_bundles(tools, datetime.now(UTC))
    carried = await checked(tools, term=until(30), hand_over_by="carrier")
    key_id = await new_key(engine, tmp_path, "other.key")
    await release.release(engine, HEAD, carried.number, carried.version, key_id, "as demanded")
    await tend_bundles(tools, datetime.now(UTC))
    async with enter(Role.AUTHORITY) as authority:
        filed_by_page = await file(authority, "/authority/demands", appeal_number=APPEAL)
        assert filed_by_page.status_code == 303
    rows = await rows_of_the_office(enter)
    says = [
        f"{carried.number} you: hand the bundle over on a carrier",
        f"{offered.number} the authority: download the bundle",
        f"{stranger.number} the head: refuse it, it is not from the authorised body",
        f"{keyless.number} the head: release it",
        "new you: check the recordings that were found",
    ]
    assert len(rows) == len(says)
    for row, said in zip(rows, says, strict=True):
        assert said in row
    filed = await found(engine, re.findall(r"\d\d-\d{4}", rows[-1])[0])
    await service.search(engine, OFFICER, filed.number, filed.version)
    assert "new you" not in (await rows_of_the_office(enter))[-1]


async def test_a_bundle_nobody_took_in_time_waits_for_the_head(
    settings: Settings, engine: AsyncEngine, tmp_path: Path
) -> None:
    tools, now = WorkerResources(settings, engine), datetime.now(UTC)
    await released(tools, tmp_path)
    await tend_bundles(tools, now)
    for later, expected in ((0, DemandWait.TAKING), (2, DemandWait.NEW_OFFER)):
        office = await queries.records_office(engine, now + later * release.OFFER_EXPIRES_AFTER)
        assert [each.waits_for for each in office.demands] == [expected]


async def rows_of_the_office(enter: Enter) -> list[str]:
    """What each row of the page says."""
    async with enter(Role.RECORDS_OFFICER) as officer:
        officer.headers["accept-language"] = "en"
        page = (await officer.get("/records-office")).text
    return [visible(each) for each in ROW.findall(page)]
