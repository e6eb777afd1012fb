"""Safe contact on pages and in the API: what was said is noted, seen, and overridden."""

import re
from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.identity.permissions import Role
from tests.web.browser import form_token, visible
from tests.web.conftest import Call, Enter
from tests.web.test_letters import REQUESTED, enter_letter
from tests.web.test_records import WHOLE, rows, send

OVERRIDES = (
    "SELECT detail->>'way', detail->>'reason' FROM audit_entry"
    " WHERE action = 'web:appeal:wish_overridden' ORDER BY id"
)
GIVEN = "SELECT id FROM audit_entry WHERE action = 'web:record:receipt_given' ORDER BY id"
REFUSED = "SELECT subject FROM audit_entry WHERE action = 'web:access:refused' ORDER BY id"

#: The newest user is the only consultant; nobody is.
LINKED = (
    "UPDATE web_user SET consultant_id = (SELECT id FROM consultant)"
    " WHERE id = (SELECT id FROM web_user ORDER BY created_at DESC LIMIT 1) RETURNING id"
)
UNLINKED = "UPDATE web_user SET consultant_id = NULL RETURNING id"


async def note(client: httpx.AsyncClient, appeal: str, **said: str) -> httpx.Response:
    """Fill in the form of safe contact and send it."""
    token = await form_token(client, f"/appeals/{appeal}")
    return await client.post(
        f"/appeals/{appeal}/contact-wishes", data={"form_token": token, **said}
    )


async def test_what_a_person_said_is_noted_and_seen(
    enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    async with enter(Role.CONSULTANT) as client:
        client.headers["accept-language"] = "en"
        await send(client, call.number, version=0, **WHOLE)
        said = {"person": "applicant", "channel": "call", "number": "caller", "allowed": "true"}
        answer = await note(client, call.number, **said, start="09:00", end="11:00")
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/appeals/{call.number}#contact"
        await note(client, call.number, channel="sms", allowed="false")
        page = visible((await client.get(f"/appeals/{call.number}")).text)
        assert "Applicant · +7 701 *** ** 67 · By telephone: may be reached, 09:00–11:00" in page
        assert "Who got in touch · By text message: must not be reached" in page
        assert "say that 111 stays in the telephone's list of calls" in page
        api = f"/api/v1/appeals/{call.number}/contact-wishes"
        newest, oldest = (await client.get(api)).json()["wishes"]
        assert (newest["channel"], newest["allowed"]) == ("sms", False)
        assert (oldest["number"], oldest["start"]) == ("+7 701 *** ** 67", "09:00:00")
    [(detail,)] = await rows(
        engine,
        "SELECT detail FROM audit_entry WHERE action = 'web:appeal:contact_wish'"
        " ORDER BY id LIMIT 1",
    )
    assert detail == {
        "person": "applicant",
        "channel": "call",
        "allowed": True,
        "number": "+7 701 *** ** 67",
        "hours": "09:00-11:00",
    }


async def test_what_is_refused_says_whose_word_it_is(enter: Enter, call: Call) -> None:
    async with enter(Role.CONSULTANT) as client:
        client.headers["accept-language"] = "en"
        before = visible((await client.get(f"/appeals/{call.number}/panel")).text)
        assert "must not be reached" not in before
        await note(client, call.number, channel="sms", allowed="false")
        await note(client, call.number, channel="call", allowed="false")
        panel = (await client.get(f"/appeals/{call.number}/panel")).text
        above = visible(panel[: panel.index("data-draft")])
        said = r"recorded on [0-9.]+, [0-9:]+ \(consultant-[0-9a-f]+\)"
        assert re.search(rf"By telephone: must not be reached {said}", above)
        assert re.search(rf"By text message: must not be reached {said}", above)
        assert "By letter" not in above
        page = visible((await client.get(f"/appeals/{call.number}")).text)
        assert re.search(rf"This person asked not to be called.[^.]*[.] {said}", page)
        assert "111 stays in the telephone's list of calls" in page


async def test_a_word_that_says_nothing_is_refused_beside_the_form(
    enter: Enter, call: Call
) -> None:
    async with enter(Role.CONSULTANT) as client:
        client.headers["accept-language"] = "en"
        answer = await note(client, call.number, allowed="true", other="8 701")
        assert answer.status_code == 400
        assert "give a whole telephone number" in answer.text
        assert 'value="8 701"' in answer.text
        answer = await note(client, call.number, allowed="true", person="reporter")
        assert "choose the person" in answer.text


async def test_a_restriction_is_taken_back_with_a_reason_only(
    enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    opened = {"channel": "call", "allowed": "true"}
    async with enter(Role.CONSULTANT) as client:
        client.headers["accept-language"] = "en"
        assert (await note(client, call.number, **opened)).status_code == 303
        await note(client, call.number, allowed="false")
        refused = await note(client, call.number, **opened)
        assert refused.status_code == 400
        assert "say how you know that this person may be reached again" in refused.text
        answer = await note(client, call.number, **opened, reason="Said so on the telephone")
        assert answer.status_code == 303
    details = await rows(
        engine,
        "SELECT detail->>'reason' FROM audit_entry WHERE action = 'web:appeal:contact_wish'"
        " ORDER BY id",
    )
    assert details == [(None,), (None,), ("Said so on the telephone",)]


async def test_the_record_lifts_only_what_was_lifted_with_a_reason(
    enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    closed = WHOLE | {"f.applicant.safe_ways": ["none"]}
    opened = WHOLE | {"f.applicant.safe_ways": ["call"]}
    async with enter(Role.CONSULTANT) as client:
        client.headers["accept-language"] = "en"
        assert (await send(client, call.number, version=0, **closed)).status_code == 303
        refused = await send(client, call.number, version=1, **opened)
        assert refused.status_code == 400
        assert 'first record the new wish under "Safe contact"' in visible(refused.text)
        by_api = await client.patch(
            f"/api/v1/appeals/{call.number}/record",
            json={"content": {"applicant.safe_ways": None}},
            headers={"If-Match": '"1"', "X-Form-Token": await form_token(client, "/search")},
        )
        assert list(by_api.json()["faults"]) == ["applicant.safe_ways"]
        assert await rows(engine, "SELECT version FROM record") == [(1,)]
        said = {"person": "applicant", "channel": "call", "allowed": "true"}
        await note(client, call.number, **said, reason="Said so on the telephone")
        assert (await send(client, call.number, version=1, **opened)).status_code == 303


async def test_a_receipt_in_writing_needs_a_senior_when_unwanted(
    enter: Enter, head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await send(head, call.number, version=0, **WHOLE)
    await send(head, call.number, "move", version=1, after="registered")
    await note(head, call.number, channel="letter", allowed="false")
    receipt = f"/appeals/{call.number}/receipt"
    async with enter(Role.CONSULTANT) as client:
        shown = (await client.get(receipt)).text
        assert "просил ничего не давать ему в письменном виде" in shown
        assert 'name="reason"' not in shown
        assert "Ваше обращение поступило" in shown  # read out to whoever is on the line
        reported = (await client.get(f"/api/v1{receipt}")).json()
        assert reported["not_printed"].startswith("This person asked for nothing in writing")
        lines = ("received_at", "registered_on", "accepted_by", "due_on", "article", "code")
        assert [reported[each] for each in lines] == [None] * len(lines)
        assert reported["spoken"] in shown
    token = await form_token(head, receipt)
    said: dict[str, Any] = {"form_token": token, "reason": "Пришла за ним сама"}
    made = await head.post(f"{receipt}.pdf", data=said)
    assert made.content.startswith(b"%PDF")
    assert await rows(engine, OVERRIDES) == [("receipt_print", "Пришла за ним сама")]


async def test_a_wish_is_recorded_by_the_api(head: httpx.AsyncClient, call: Call) -> None:
    path = f"/api/v1/appeals/{call.number}/contact-wishes"
    token = await form_token(head, "/search")
    for wish, status in (
        ({"allowed": False, "channel": "call"}, 201),
        ({"allowed": True, "person": "affected1"}, 400),
        ({"allowed": True, "channel": "pigeon"}, 400),
    ):
        answer = await head.post(path, json=wish, headers={"X-Form-Token": token})
        assert answer.status_code == status, answer.text
    assert (await head.get(f"/api/v1/appeals/{call.number}")).json()["calls_unwanted"] is True
    [said] = (await head.get(path)).json()["wishes"]
    assert (said["person"], said["number"], said["channel"]) == ("", None, "call")


async def test_only_a_senior_calls_despite_a_wish_and_says_why(
    enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    page, path = f"/appeals/{call.number}", f"/appeals/{call.number}/ring-back"

    async def ring(client: httpx.AsyncClient, **said: str) -> httpx.Response:
        token = await form_token(client, page)
        return await client.post(path, data={"form_token": token, "despite_wish": "true", **said})

    async with enter(Role.CONSULTANT) as client:
        await note(client, call.number, allowed="false")
        await rows(engine, LINKED)
        assert (await ring(client, reason="I want to")).status_code == 403
        assert await rows(engine, REFUSED) == [(f"POST {path}",)]
    async with enter(Role.SENIOR) as client:
        client.headers["accept-language"] = "en"
        await rows(engine, UNLINKED)
        await rows(engine, LINKED)
        shown = visible((await client.get(page)).text)
        assert "This person asked not to be called." in shown
        assert "A senior may call" not in shown
        assert "say why this person is reached" in (await ring(client)).text
        # Nobody runs a controller here: the decision is written before it is asked.
        assert (await ring(client, reason="The child asked for it today")).status_code == 500
    assert await rows(engine, OVERRIDES) == [("outbound", "The child asked for it today")]


async def test_a_receipt_is_not_texted_but_for_a_seniors_reason(
    enter: Enter, head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await send(head, call.number, version=0, **WHOLE)
    await send(head, call.number, "move", version=1, after="registered")
    receipt, api = f"/appeals/{call.number}/receipt", f"/api/v1/appeals/{call.number}/receipt"
    assert (await head.get(api)).json()["sms"]
    await note(head, call.number, channel="sms", allowed="false")
    assert (await head.get(api)).json()["sms"] == ""
    async with enter(Role.CONSULTANT) as client:
        shown = (await client.get(receipt)).text
        assert "просил не слать ему СМС" in shown
        assert 'name="reason"' not in shown
    token = await form_token(head, receipt)
    given = await rows(engine, GIVEN)
    for form in (receipt, f"{receipt}.pdf"):
        refused = await head.post(form, data={"form_token": token, "reason": " "})
        assert (refused.status_code, await rows(engine, GIVEN)) == (400, given)
    said: dict[str, Any] = {"form_token": token, "reason": "Попросила сама"}
    assert "Обращение № " in (await head.post(receipt, data=said)).text
    assert await rows(engine, OVERRIDES) == [("receipt_sms", "Попросила сама")]


async def test_a_letter_against_a_wish_needs_a_senior(
    enter: Enter, head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await send(head, call.number, version=0, **WHOLE)
    await note(head, call.number, allowed="false")
    letter = REQUESTED | {"kind": "letter", "party": "applicant", "whom": "Сейтова"}
    async with enter(Role.CONSULTANT) as client:
        client.headers["accept-language"] = "en"
        refused = await enter_letter(client, call.number, letter)
        assert "This person asked not to get letters." in refused.text
        assert 'name="despite_wish"' not in refused.text
        forbidden = await enter_letter(client, call.number, letter | {"despite_wish": "Надо"})
        assert forbidden.status_code == 403
        assert await rows(engine, REFUSED) == [(f"POST /appeals/{call.number}/letters",)]
        assert (await enter_letter(client, call.number, REQUESTED)).status_code == 303
    meant = letter | {"despite_wish": "Ответ по закону"}
    assert (await enter_letter(head, call.number, meant)).status_code == 303
    assert await rows(engine, OVERRIDES) == [("letter", "Ответ по закону")]
