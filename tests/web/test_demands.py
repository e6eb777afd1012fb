"""Demands at the desk: the records officer, the head, the authority; in every language."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.audit.tables import audit_entry
from callcenter.demands.jobs import tend_bundles
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools
from callcenter.web.permissions import Role
from tests.demands.conftest import PDF
from tests.demands.recorded import sealed_talk
from tests.demands.test_disclosing import shell
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
    assert (await told_of(engine, "web:demand:letter_read")) == 2


async def told_of(engine: AsyncEngine, action: str) -> int:
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
        assert nothing.status_code == 400
        checked = await post(officer, f"{at}/check", at, version="2", reason="it", chosen=box)
        assert checked.status_code == 303
        assert (await post(officer, f"{at}/release", at, version="3")).status_code == 403
        # The head confirms the key and releases.
        (key,) = KEY.findall((await head.get("/demands")).text)
        await post(head, f"/demand-keys/{key}/confirm", "/demands")
        released = {"version": "3", "reason": "as demanded", "key_id": key}
        assert (await post(head, f"{at}/release", at, **released)).status_code == 303
        again = await post(head, f"{at}/release", at, **released)
        assert "Somebody else has moved this demand" in visible(again.text)
        await tend_bundles(Tools(settings, engine), datetime.now(UTC))
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


async def test_who_prepared_it_is_told_why_it_cannot_be_released(
    enter: Enter, settings: Settings, engine: AsyncEngine
) -> None:
    number, _ = await sealed_talk(settings, engine)
    async with enter(Role.HEAD) as head:
        head.headers["accept-language"] = "en"
        filed = await file(head, "/demands", appeal_number=number)
        at = filed.headers["location"]
        (box,) = BOX.findall((await head.get(at)).text)
        await post(head, f"{at}/check", at, version="2", reason="it", chosen=box)
        assert "a second person has to" in visible((await head.get(at)).text)


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


async def test_what_was_typed_wrongly_is_told_and_stays(enter: Enter, engine: AsyncEngine) -> None:
    async with enter(Role.RECORDS_OFFICER) as officer:
        officer.headers["accept-language"] = "en"
        for changed in WRONG:
            answer = await file(officer, "/demands", signatory="A. Somebody", **changed)
            assert answer.status_code == 400, changed
            assert "Nothing was registered." in visible(answer.text)
            assert 'value="A. Somebody"' in answer.text
        assert (await officer.get("/api/v1/demands")).json() == []


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
