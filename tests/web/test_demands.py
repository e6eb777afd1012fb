"""Pages of demands: the records officer, the head, the authority; in every language."""

import base64
import hashlib
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.demands import release
from callcenter.demands.jobs import tend_bundles
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.errors import SelfApproval
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from tests.demands.conftest import OFFICER, PDF
from tests.demands.recorded import sealed_talk
from tests.demands.test_disclosing import checked, new_key, newest, released, shell
from tests.demands.test_forged_bundles import manual
from tests.web.browser import form_token, visible
from tests.web.conftest import Enter

BOX = re.compile(r'name="chosen" value="([0-9a-f-]{36})"')
KEY = re.compile(r'"/demand-keys/([0-9a-f-]{36})/confirm"')


async def post(client: httpx.AsyncClient, path: str, page: str, **data: str) -> httpx.Response:
    token = await form_token(client, page)
    return await client.post(path, data={"form_token": token, **data})


async def file(client: httpx.AsyncClient, path: str, **changed: str) -> httpx.Response:
    """Fill in the form of a demand and send it with its scan."""
    data = {
        "form_token": await form_token(client, path),
        "letter_number": "03-2/117",
        "letter_date": (date.today() - timedelta(days=1)).isoformat(),
        "ground": "п. 6",
        "signatory": "А. Ахметов",
        "came_by": "paper",
        "hand_over_by": "download",
        "received_at": "",
        "unit": "working_days",
        "count": "3",
    }
    scan = {"scan": ("letter.pdf", PDF + bytes(200_000), "application/pdf")}
    return await client.post(path, data=data | changed, files=scan)


async def test_a_refusal_has_a_letter_for_both_sides(
    enter: Enter, settings: Settings, engine: AsyncEngine
) -> None:
    async with (
        enter(Role.AUTHORITY) as authority,
        enter(Role.HEAD) as head,
    ):
        home = "/authority/demands"
        filed = await file(
            authority,
            home,
            caller_number="+77010000001",
            since="2026-11-20T10:00",
            until="2026-11-20T11:00",
        )
        assert filed.status_code == 303
        (listed,) = (await authority.get("/api/v1/authority/demands")).json()[:1]
        at = f"/demands/{listed['number']}"
        assert (await head.get(f"{at}/letter")).status_code == 400
        refused = {"version": "2", "reason": "none", "ground": "no_conversation"}
        assert (await post(head, f"{at}/refuse", at, **refused)).status_code == 303
        ours = await head.get(f"{at}/letter")
        theirs = await authority.get(f"{home}/{listed['number']}/letter")
    assert ours.headers["content-type"] == "application/pdf"
    assert ours.content.startswith(b"%PDF-")
    assert ours.content == theirs.content
    assert (await count_entries(engine, "web:demand:letter_read")) == 2


async def test_the_head_sees_which_keys_cannot_take_it_again(
    enter: Enter, settings: Settings, engine: AsyncEngine, tmp_path: Path
) -> None:
    tools = WorkerResources(settings, engine)
    row = await released(tools, tmp_path)
    at = f"/demands/{row.number}"
    async with enter(Role.HEAD) as head, enter(Role.AUTHORITY) as authority:
        head.headers["accept-language"] = authority.headers["accept-language"] = "en"
        for client, path in ((head, at), (authority, "/authority/demands")):
            assert "The bundle is being made: 0 %" in visible((await client.get(path)).text)
        await tend_bundles(tools, datetime.now(UTC))
        assert "is being made" not in visible((await head.get(at)).text)
        taken = await post(authority, f"/authority{at}/download", "/authority/demands")
        assert taken.status_code == 200
        shown = (await head.get(at)).text
        assert "each confirmed key has taken this bundle once" in visible(shown)
        assert 'name="again"' not in shown
        await new_key(engine, tmp_path, "other.key")
        shown = (await head.get(at)).text
        assert re.search(r"<option [^>]*disabled>[^<]*has taken this bundle once", shown)
        assert shown.count("<option value") == 1
        assert 'name="again"' in shown


async def test_refused_steps_and_downloads_leave_audit_entries(
    enter: Enter, settings: Settings, engine: AsyncEngine, tmp_path: Path
) -> None:
    """The same person who releases, a second download, and who may not download at all."""
    tools = WorkerResources(settings, engine)
    prepared = await checked(tools)
    row = await released(tools, tmp_path)
    await tend_bundles(tools, datetime.now(UTC))
    at, home = f"/authority/demands/{row.number}/download", "/authority/demands"
    async with enter(Role.AUTHORITY) as authority, enter(Role.RECORDS_OFFICER) as officer:
        assert (await post(authority, at, home)).status_code == 200
        assert (await post(authority, at, home)).status_code == 400
        assert (await post(officer, at, "/demands")).status_code == 403
        assert (await officer.post(at, data={"form_token": "old"})).status_code == 403
        assert (await authority.get("/api/v1/appeals")).status_code == 403
    key_id = (await newest(tools, row)).key_id
    with pytest.raises(SelfApproval):
        await release.release(engine, OFFICER, prepared.number, prepared.version, key_id, "my own")
    assert await refused(engine, "web:demand:step_refused") == [
        (f"demand:{row.number}", "handed_over"),
        (f"demand:{prepared.number}", "released"),
    ]
    assert await refused(engine, "web:access:refused") == [
        (f"POST {at}", None),
        ("GET /api/v1/appeals", None),
    ]


async def refused(engine: AsyncEngine, action: str) -> list[tuple[str, str | None]]:
    """Subjects and steps of the entries of refusals, in their order."""
    query = (
        select(audit_entry.c.subject, audit_entry.c.detail["step"].as_string())
        .where(audit_entry.c.action == action)
        .order_by(audit_entry.c.id)
    )
    async with unit_of_work(engine) as connection:
        return [(row[0], row[1]) for row in await connection.execute(query)]


async def test_the_authority_reads_the_steps_of_the_manual(enter: Enter) -> None:
    """In each language the same commands, script and hash: what forged bundles are tried by."""
    commands = manual().split("## Each time")[1].split("```")[1].strip().splitlines()
    async with enter(Role.AUTHORITY) as authority:
        script = await authority.get("/authority/verify_bundle.py")
        assert hashlib.sha256(script.content).hexdigest() in manual()
        for language, verdict in (("kk", "РАСТАЛДЫ"), ("ru", "ПРОВЕРЕНО"), ("en", "VERIFIED")):
            authority.headers["accept-language"] = language
            shown = visible((await authority.get("/authority/demands")).text)
            for each in (*commands, hashlib.sha256(script.content).hexdigest(), verdict):
                assert each in shown, f"{each} in {language}"
        key = await authority.get("/authority/center.pem")
    der = base64.b64decode("".join(key.text.splitlines()[1:-1]))
    assert hashlib.sha256(der).hexdigest() in shown


async def count_entries(engine: AsyncEngine, action: str) -> int:
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(
            select(audit_entry.c.id).where(audit_entry.c.action == action)
        )
        return len(rows.all())


async def test_a_demand_goes_its_whole_way_through_the_pages(
    enter: Enter, settings: Settings, engine: AsyncEngine, tmp_path: Path
) -> None:
    number, _ = await sealed_talk(settings, engine)
    recipient = shell("age-keygen -o authority.key && age-keygen -y authority.key", tmp_path)
    async with (
        enter(Role.AUTHORITY) as authority,
        enter(Role.RECORDS_OFFICER) as officer,
        enter(Role.HEAD) as head,
    ):
        for client in (authority, officer, head):
            client.headers["accept-language"] = "en"
        home = "/authority/demands"
        assert (await authority.get("/")).headers["location"] == home
        added = await post(authority, "/authority/keys", home, recipient=recipient.stdout)
        assert added.status_code == 303
        filed = await file(authority, home, appeal_number=number)
        assert filed.status_code == 303, filed.text
        (listed,) = (await authority.get("/api/v1/authority/demands")).json()
        at = f"/demands/{listed['number']}"
        # The officer checks.
        page = (await officer.get(at)).text
        assert "the number of the appeal" in visible(page)
        (box,) = BOX.findall(page)
        nothing = await post(officer, f"{at}/check", at, version="2", reason="all")
        assert (nothing.status_code, 'value="all"' in nothing.text) == (400, True)
        checked = await post(officer, f"{at}/check", at, version="2", reason="it", chosen=box)
        assert checked.status_code == 303
        assert (await post(officer, f"{at}/release", at, version="3")).status_code == 403
        # The head confirms the key and releases.
        (key,) = KEY.findall((await head.get("/demands")).text)
        for status in (303, 400):  # the second time it is confirmed already
            confirmed = await post(head, f"/demand-keys/{key}/confirm", "/demands")
            assert confirmed.status_code == status
        assert "Nothing was changed" in visible(confirmed.text)
        released = {"version": "3", "reason": "as demanded", "key_id": key}
        assert (await post(head, f"{at}/release", at, **released)).status_code == 303
        again = await post(head, f"{at}/release", at, **released)
        assert "Somebody else has moved this demand" in visible(again.text)
        await tend_bundles(WorkerResources(settings, engine), datetime.now(UTC))
        # The authority takes it once, opens it and acknowledges.
        taken = await post(authority, f"{home}/{listed['number']}/download", home)
        (tmp_path / "bundle.tar.age").write_bytes(taken.content)
        opened = shell("age -d -i authority.key bundle.tar.age | tar -t", tmp_path)
        assert "letter.pdf" in opened.stdout
        twice = await post(authority, f"{home}/{listed['number']}/download", home)
        assert twice.status_code == 400
        version = {"version": "5", "reason": "whole"}
        done = await post(authority, f"{home}/{listed['number']}/acknowledge", home, **version)
        assert done.status_code == 303
        whole = (await officer.get(f"/api/v1{at}")).json()
        assert whole["state"] == "acknowledged"
        assert [each["step"] for each in whole["steps"]][-3:] == [
            "released",
            "handed_over",
            "acknowledged",
        ]
        scanned = await officer.get(f"{at}/scan")
        assert scanned.content.startswith(PDF)
        assert scanned.headers["content-type"] == "application/pdf"
    async with unit_of_work(engine) as connection:
        seen = set((await connection.execute(select(audit_entry.c.action))).scalars())
    assert seen >= {"web:demand:viewed", "web:demand:scan_read", "web:authority_key:confirmed"}


async def test_who_prepared_it_reads_why_it_cannot_be_released(
    enter: Enter, settings: Settings, engine: AsyncEngine
) -> None:
    number, _ = await sealed_talk(settings, engine)
    async with enter(Role.HEAD) as head:
        head.headers["accept-language"] = "en"
        filed = await file(head, "/demands", appeal_number=number)
        at = filed.headers["location"]
        (box,) = BOX.findall((await head.get(at)).text)
        await post(head, f"{at}/check", at, version="2", reason="it", chosen=box)
        assert "a second person must" in visible((await head.get(at)).text)


WRONG: tuple[dict[str, str], ...] = (
    {},
    {"appeal_number": "1"},
    {"extension": "2001"},
    {"appeal_number": "x" * 5000},
    {"count": "many"},
    {"letter_date": "tomorrow"},
    {"unit": "years"},
    {"since": "now"},
)


async def test_what_was_typed_wrongly_is_explained_and_stays(
    enter: Enter, engine: AsyncEngine
) -> None:
    async with enter(Role.RECORDS_OFFICER) as officer:
        officer.headers["accept-language"] = "en"
        for changed in WRONG:
            answer = await file(officer, "/demands", signatory="A. Somebody", **changed)
            assert answer.status_code == 400, changed
            assert "Nothing was registered." in visible(answer.text)
            assert 'value="A. Somebody"' in answer.text
        assert (await officer.get("/api/v1/demands")).json() == []


async def test_a_demand_of_a_year_without_calendar_names_it(
    enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callcenter.working_calendar.store.packaged_years", dict)
    for role, path in (
        (Role.RECORDS_OFFICER, "/demands"),
        (Role.AUTHORITY, "/authority/demands"),
    ):
        async with enter(role) as client:
            client.headers["accept-language"] = "en"
            answer = await file(client, path, appeal_number="2600000014")
            assert answer.status_code == 400
            year = datetime.now(ZONE).year
            assert f"The working calendar of {year} is not entered" in visible(answer.text)


async def test_the_authority_sees_no_demand_of_others(enter: Enter) -> None:
    async with enter(Role.RECORDS_OFFICER) as officer, enter(Role.AUTHORITY) as authority:
        filed = await file(
            officer,
            "/demands",
            sender="Банк",
            extension="2001",
            since="2026-11-20T10:00",
            until="2026-11-20T12:00",
        )
        number = filed.headers["location"].rpartition("/")[2]
        assert (await authority.get("/api/v1/authority/demands")).json() == []
        home = "/authority/demands"
        data = {"version": "1", "reason": "x"}
        answer = await post(authority, f"{home}/{number}/withdraw", home, **data)
        assert answer.status_code == 404
        assert number not in answer.text
        assert (await officer.get(f"/api/v1/demands/{number}")).json()["state"] == "registered"


async def test_a_scan_that_is_too_large_is_refused(enter: Enter) -> None:
    async with enter(Role.RECORDS_OFFICER) as officer:
        token = await form_token(officer, "/demands")
        scan = {"scan": ("letter.pdf", PDF + bytes(12 * 1024 * 1024), "application/pdf")}
        answer = await officer.post("/demands", data={"form_token": token}, files=scan)
        assert answer.status_code == 413
