"""What came on paper is entered on a page, with its scans, and waits for whoever is to read it."""

import re
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.contact import service as contact
from callcenter.appeals.contact.rules import EVERY, SOMEBODY, ContactWish
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.followup import attachments
from callcenter.appeals.record import manual_intake
from callcenter.intake import service
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.objects import ObjectStoreUnavailable
from tests.intake.messages import add_consultant, change, message, receive, rows
from tests.web.browser import form_token, visible
from tests.web.conftest import Enter
from tests.web.test_attachments import PDF
from tests.web.test_search import found

LETTER = {
    "channel": "paper",
    "language": "kk",
    "received_at": "2026-11-20T10:15",
    "message_id": "form-1",
    "text": "Көршім баласын ұрады",
    "sender": "Асқар Серікұлы, Абай көшесі 1",
}
FIRST_PHONE, PHONE = "+77010000001", "+77012345678"
DONE = "written/done"
SCAN = {"file": ("scan.pdf", PDF, "application/pdf")}


async def enter_letter(
    client: httpx.AsyncClient, files: dict[str, Any] | None = None, **typed: str
) -> httpx.Response:
    token = await form_token(client, "/new-appeal")
    sent = LETTER | typed | {"form_token": token}
    return await client.post("/new-appeal", data=sent, files=files)


async def test_a_letter_with_its_scan_waits_to_be_read_once(
    head: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    head.headers["accept-language"] = "en"
    for _ in range(2):  # pressed twice
        entered = await enter_letter(head, SCAN)
        assert entered.status_code == 303
    assert await rows(engine, "SELECT channel, language FROM appeal") == [("paper", "kk")]
    assert await rows(engine, "SELECT state, type FROM record_attachment") == [("kept", "pdf")]
    assert await rows(engine, "SELECT holder, read_at FROM written_contact") == [(None, None)]
    page = visible((await head.get(entered.headers["location"])).text)
    for said in ("On paper: Асқар Серікұлы", LETTER["text"], "It is to be read by:"):
        assert said in page
    number = entered.headers["location"].removeprefix("/appeals/")
    assert number in (await head.get("/work", params={"list": "written"})).text
    assert await found(head, "Көршім") == [number]
    assert await found(head, "Серікұлы") == [number]


async def test_who_deals_with_a_letter_has_its_appeal_at_once(
    head: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    assert (await enter_letter(head, SCAN, dealt="me")).status_code == 303
    [(owner,)] = await rows(engine, "SELECT owner FROM record")
    assert owner.startswith("head-")
    held = "SELECT holder, read_at IS NOT NULL FROM written_contact"
    assert await rows(engine, held) == [(owner, True)]


async def test_a_letter_joins_the_appeal_that_is_named_for_sure(
    head: httpx.AsyncClient, web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    head.headers["accept-language"] = "en"
    first = await receive(web_engine, settings, message(phone=FIRST_PHONE))
    typed = {"joins": f" {first.number} ", "urgent": "yes", "phone": "8 701 234 56 78"}
    joined = await enter_letter(head, None, **typed)
    assert joined.headers["location"] == f"/appeals/{first.number}"
    assert await rows(engine, "SELECT urgent FROM written_contact") == [(True,)]
    assert await rows(engine, "SELECT caller_number FROM appeal") == [(FIRST_PHONE,)]


async def test_the_telephone_of_a_letter_is_masked_as_a_callers(
    enter: Enter,
    head: httpx.AsyncClient,
    web_engine: AsyncEngine,
    engine: AsyncEngine,
    settings: Settings,
) -> None:
    first = await receive(web_engine, settings, message(phone=FIRST_PHONE))
    path = f"/appeals/{first.number}"
    await enter_letter(head, None, joins=first.number, phone="8 701 234 56 78")
    [(message_id,)] = await rows(engine, "SELECT id FROM intake_message WHERE source = 'manual'")
    show = f"{path}/written/{message_id}/phone"
    for role in (Role.CONSULTANT, Role.SENIOR):
        async with enter(role) as reader:
            page = (await reader.get(path)).text
            assert "+7 701 *** ** 78" in page
            assert PHONE not in page
            assert (f'hx-post="{show}"' in page) is (role is Role.SENIOR)
            token = await form_token(reader, path)
            for reason in (" ", "перезвонить"):
                shown = await reader.post(show, data={"form_token": token, "reason": reason})
                assert (PHONE in shown.text) is (role is Role.SENIOR and reason != " ")
    looks = "SELECT detail ->> 'reason' FROM audit_entry WHERE action = 'web:number:shown'"
    assert await rows(engine, looks) == [("перезвонить",)]


async def test_the_telephone_of_a_letter_is_one_of_its_appeal(
    head: httpx.AsyncClient, web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    keys, actor = RecordKeys.read(settings), await add_consultant(engine, "2001")
    merged = await receive(web_engine, settings, message(phone=PHONE))
    target = await receive(web_engine, settings, message("2", phone=FIRST_PHONE))
    by = (web_engine, keys, actor)
    await manual_intake.merge(*by, merged.number, 1, target.number, "одно и то же")
    assert set(await found(head, "8 701 234 56 78")) == {target.number, merged.number}
    unsafe = ContactWish(SOMEBODY, None, EVERY, False, datetime.now(UTC))
    await contact.record_wish(web_engine, actor, target.number, unsafe)
    async with unit_of_work(engine) as connection:
        assert await contact.are_calls_unwanted(connection, PHONE)


async def test_danger_a_name_or_an_appeal_without_words_waits(
    head: httpx.AsyncClient, web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    first = await receive(web_engine, settings, message())
    await change(engine, "UPDATE written_contact SET done_at = now(), done_by = 'user:a'")
    for field, value in (("urgent", "yes"), ("sender", "Асқар"), ("joins", first.number)):
        typed = {"text": " ", "sender": "", "message_id": field} | {field: value}
        assert (await enter_letter(head, None, **typed)).status_code == 303
    waiting = "SELECT urgent FROM written_contact WHERE done_at IS NULL ORDER BY urgent"
    assert await rows(engine, waiting) == [(False,), (False,), (True,)]
    assert await rows(engine, "SELECT count(*) FROM appeal") == [(3,)]


@pytest.mark.parametrize(
    ("typed", "file", "said"),
    [
        ({"joins": "2600000000"}, None, "there is no appeal with this number"),
        ({"received_at": "2099-01-01T00:00"}, None, "an appeal came before now"),
        ({"text": "а" * 50_001}, None, "this message is too long"),
        ({}, ("virus.exe", b"MZ\x90\0" * 100, "application/pdf"), "files of this type"),
        ({}, ("empty.pdf", b"", "application/pdf"), "this file is empty"),
    ],
)
async def test_a_refusal_is_said_and_nothing_is_stored(
    head: httpx.AsyncClient,
    engine: AsyncEngine,
    typed: dict[str, str],
    file: tuple[str, bytes, str] | None,
    said: str,
) -> None:
    head.headers["accept-language"] = "en"
    refused = await enter_letter(head, {"file": file} if file else None, **typed)
    assert refused.status_code == 400
    assert said in visible(refused.text)
    assert LETTER["sender"] in refused.text  # nothing typed is lost
    assert await rows(engine, "SELECT 1 FROM appeal") == []


async def test_a_letter_killed_before_its_scan_is_completed_and_read(
    head: httpx.AsyncClient,
    engine: AsyncEngine,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def kill(*_: object) -> None:
        raise ObjectStoreUnavailable("killed before")

    with monkeypatch.context() as patched:
        patched.setattr(attachments, "store_content", kill)
        assert (await enter_letter(head, SCAN)).status_code == 500
    assert await rows(engine, "SELECT state FROM record_attachment") == [("arriving",)]
    await change(engine, "UPDATE written_contact SET holder = 'a', read_at = now()")
    assert (await enter_letter(head, SCAN)).status_code == 303
    assert await rows(engine, "SELECT state FROM record_attachment") == [("kept",)]
    assert await rows(engine, "SELECT read_at FROM written_contact") == [(None,)]
    assert await rows(engine, "SELECT count(*) FROM intake_message") == [(1,)]
    assert len(list(settings.recordings.rglob("*.age"))) == 1


async def test_older_messages_are_shown_on_request(
    head: httpx.AsyncClient,
    web_engine: AsyncEngine,
    engine: AsyncEngine,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "MESSAGES_PAGE", 2)
    head.headers["accept-language"] = "en"
    said = ["Первое", "Второе", "Третье"]
    for each in said:
        received = await receive(web_engine, settings, message(each, thread="a", text=each))
    path = f"/appeals/{received.number}"
    shown = (await head.get(path)).text
    assert [each in shown for each in said] == [False, True, True]
    assert shown.count("A written message came") == 3
    [address] = re.findall(r'hx-get="(/appeals/[^"]+/written\?after=[^"]+)"', shown)
    await receive(web_engine, settings, message("4", thread="a", text="Четвёртое"))
    older = (await head.get(address)).text
    assert [each in older for each in said] == [True, False, False]
    assert "hx-get" not in older
    looks = "SELECT count(*) FROM audit_entry WHERE detail ->> 'by' = 'written'"
    assert await rows(engine, looks) == [(1,)]


async def test_danger_stands_above_the_form_while_in_hand(
    head: httpx.AsyncClient, web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    head.headers["accept-language"] = "en"
    urgent = message("1", thread="a", is_urgent=True)
    number = (await receive(web_engine, settings, urgent)).number

    async def is_said() -> bool:
        page = visible((await head.get(f"/appeals/{number}")).text)
        return "The writer says: I am in danger now." in page

    assert await is_said()
    await change(engine, "UPDATE written_contact SET holder = 'a', read_at = now()")
    assert await is_said()
    await receive(web_engine, settings, message("2", thread="a", text="Скорее"))
    assert await is_said()
    done = "UPDATE written_contact SET done_at = now(), done_by = 'user:a' WHERE done_at IS NULL"
    await change(engine, done)
    assert not await is_said()
    await receive(web_engine, settings, message("3", thread="a", text="Спасибо"))
    assert not await is_said()
    await receive(web_engine, settings, message("4", thread="a", is_urgent=True))
    assert await is_said()


async def test_only_what_was_shown_is_taken_as_read(
    head: httpx.AsyncClient, web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    head.headers["accept-language"] = "en"
    number = (await receive(web_engine, settings, message("1", thread="a"))).number
    path = f"/appeals/{number}"

    async def read() -> dict[str, str]:
        page = (await head.get(path)).text
        return dict(re.findall(r'name="(form_token|newest)" value="([^"]+)"', page))

    seen = await read()
    await receive(web_engine, settings, message("2", thread="a", is_urgent=True, text="Скорее"))
    refused = await head.post(f"{path}/written/take", data=seen)
    assert "something there is still to be read" in visible(refused.text)
    assert "Скорее" in refused.text
    assert await rows(engine, "SELECT read_at FROM written_contact") == [(None,)]
    assert (await head.post(f"{path}/written/take", data=await read())).status_code == 303


async def test_a_letter_is_taken_given_back_and_done(
    enter: Enter, head: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    path = (await enter_letter(head)).headers["location"]
    async with enter(Role.CONSULTANT) as consultant:
        consultant.headers["accept-language"] = "en"

        async def press(action: str, **typed: str) -> httpx.Response:
            token = await form_token(consultant, path)
            data = {"form_token": token} | typed
            return await consultant.post(f"{path}/written/{action}", data=data)

        assert DONE not in (await head.get(path)).text  # nobody has read it
        taken = await press("take")
        assert taken.headers["location"] == f"{path}#written"
        assert DONE in (await head.get(path)).text
        number = path.removeprefix("/appeals/")
        mine = await consultant.get("/work", params={"list": "written_mine"})
        assert number in mine.text
        refused = await press("give-back", skill="astronaut")
        assert "there is no such skill" in visible(refused.text)
        assert (await press("give-back")).status_code == 303
        assert (await press("take")).status_code == 303
        assert (await press("done")).status_code == 303
        gone = await press("take")
        assert "nothing written waits here any more" in visible(gone.text)
