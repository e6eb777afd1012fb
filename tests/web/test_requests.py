"""A request to a state body: composed from the record, previewed, handed over, followed (R23)."""

import asyncio
import hashlib
import re
from datetime import UTC, date, datetime, timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.followup import attachments
from callcenter.appeals.followup.attachments_store import Attachment
from callcenter.appeals.form.store import read_form
from callcenter.appeals.rules.fields import FieldType, Form, Section
from callcenter.platform.core.i18n import LANGUAGES
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.requests import store
from callcenter.requests.service import mark_late
from tests.appeals import read_all_rows
from tests.polling import until
from tests.rules.test_picture_copies import PLACE, photograph
from tests.web.browser import form_token, visible
from tests.web.conftest import Call, Enter, open_call
from tests.web.test_attachments import attach
from tests.web.test_letters import REQUESTED, enter_letter
from tests.web.test_masking import ask, decide
from tests.web.test_records import DECIDED, IDENTIFIER, rows
from tests.web.test_records import send as send_record
from tests.web.test_search import found
from tests.web.test_work_lists import put

RECORD: dict[str, Any] = {
    "kind": "statement",
    "f.content": "Муж бьёт, боюсь идти домой",
    "f.topics": ["violence_physical"],
    "f.direction": ["order"],
    "f.region": "710000000",
    "f.help": ["organizational"],
    "f.applicant.name": "Сейтова Айгүл",
    "f.applicant.phone": "+77012345667",
    "f.applicant.identifier": IDENTIFIER,
    "f.accused1.name": "Сейтов Серик",
} | DECIDED
WORDS = "Просим проверить и обеспечить безопасность."


async def post(client: httpx.AsyncClient, path: str, **values: Any) -> httpx.Response:
    token = await form_token(client, "/second-factor")
    return await client.post(path, data={"form_token": token, **values})


async def scalar(engine: AsyncEngine, query: str) -> Any:
    [(value,)] = await rows(engine, query)
    return value


async def change(engine: AsyncEngine, statement: str) -> None:
    async with unit_of_work(engine) as connection:
        await connection.exec_driver_sql(statement)


async def begin(client: httpx.AsyncClient, number: str, **values: str) -> str:
    """The address of a request that is begun."""
    chosen = {"body": "internal_affairs", "direction": "order", "language": "ru"} | values
    begun = await post(client, f"/appeals/{number}/requests", **chosen)
    assert begun.status_code == 303, visible(begun.text)
    return str(begun.headers["location"])


async def begin_written(client: httpx.AsyncClient, number: str, **values: str) -> str:
    """The address of a request of an appeal whose record is written first."""
    assert (await send_record(client, number, version=0, **RECORD)).status_code == 303
    return await begin(client, number, **values)


def version_in(page: str) -> str:
    match = re.search(r'name="version" value="(\d+)"', page)
    assert match is not None
    return match[1]


async def act(
    client: httpx.AsyncClient, path: str, action: str = "", **values: Any
) -> httpx.Response:
    """Send a form of the page of a request, in the version that the page has."""
    page = (await client.get(path)).text
    return await post(client, path + action, version=version_in(page), **values)


def preview(page: str) -> str:
    match = re.search(r'<textarea id="leaves"[^>]*>(.*?)</textarea>', page, re.DOTALL)
    assert match is not None
    return unescape(match[1])


def was_ready(page: str) -> str:
    """The text that was made ready by a step of the history, and is not what leaves."""
    match = re.search(r"<details>.*?<textarea[^>]*>(.*?)</textarea>", page, re.DOTALL)
    assert match is not None
    return unescape(match[1])


async def make_ready(client: httpx.AsyncClient, path: str) -> httpx.Response:
    page = (await client.get(path)).text
    match = re.search(r'name="sha256" value="(\w+)"', page)
    assert match is not None, visible(page)
    return await post(client, f"{path}/ready", version=version_in(page), sha256=match[1])


async def ready(client: httpx.AsyncClient, number: str) -> str:
    """The address of a request that is ready."""
    path = await begin_written(client, number)
    await act(client, path, words=WORDS, field=["content"])
    assert (await make_ready(client, path)).status_code == 303
    return path


async def step(client: httpx.AsyncClient, path: str, which: str, **values: Any) -> httpx.Response:
    return await act(client, path, "/steps", step=which, **{"reason": "по телефону"} | values)


async def hand_over(client: httpx.AsyncClient, path: str, dated: date | None = None) -> None:
    day = dated or datetime.now(ZONE).date()
    sent = await step(client, path, "sent", reference="ЗТ-2026-777", dated=day.isoformat())
    assert sent.status_code == 303, visible(sent.text)


async def test_a_request_is_composed_previewed_and_handed_over(
    engine: AsyncEngine, enter: Enter, call: Call
) -> None:
    async with enter(Role.CONSULTANT) as consultant:
        consultant.headers["accept-language"] = "en"
        path = await begin_written(consultant, call.number)
        page = (await consultant.get(path)).text
        assert WORDS not in page
        assert "checked" not in page  # it begins empty
        assert "Айгүл" not in preview(page)
        saved = await act(
            consultant, path, words=WORDS, field=["content", "applicant.name", "region"]
        )
        assert saved.headers["location"] == f"{path}#preview"
        shown = preview((await consultant.get(path)).text)
        assert f"Запрос по обращению № {call.number}" in shown
        assert "Министерство внутренних дел" in shown
        for said in (WORDS, "Муж бьёт", "Сейтова Айгүл", "Астана"):
            assert said in shown
        for hidden in ("7012345667", IDENTIFIER, "Серик", DECIDED["f.decision_reason"]):
            assert hidden not in shown
        assert (await make_ready(consultant, path)).status_code == 303
        taken = await consultant.get(f"{path}/text")
        assert taken.content.decode() == shown
        assert taken.headers["content-disposition"].startswith("attachment")
        await hand_over(consultant, path)
        page = visible((await consultant.get(path)).text)
        assert "ЗТ-2026-777" in page
        assert "Handed over by hand" in page
        assert await found(consultant, "ЗТ-2026-777") == [call.number]
        appeal = visible((await consultant.get(f"/appeals/{call.number}")).text)
        assert (
            "Request to a state body: Ministry of Internal Affairs. Handed over by hand." in appeal
        )
    stored = await read_all_rows(engine)
    for secret in (WORDS, "по телефону"):
        assert secret not in stored
    audited = await rows(
        engine,
        "SELECT action, detail->>'step', detail->>'sha256' FROM audit_entry"
        " WHERE action LIKE 'web:request:%' AND action <> 'web:request:viewed' ORDER BY id",
    )
    sha256 = await scalar(engine, "SELECT sha256 FROM body_request_step WHERE step = 'readied'")
    assert audited == [
        ("web:request:begun", None, None),
        ("web:request:composed", None, None),
        ("web:request:moved", "readied", sha256),
        ("web:request:taken", None, sha256),
        ("web:request:moved", "sent", sha256),
    ]
    text_hash = hashlib.sha256(shown.encode()).hexdigest()
    assert sha256 == hashlib.sha256(text_hash.encode()).hexdigest()


def markers(form: Form) -> dict[str, Any]:
    """A record with something of its own in each field that is typed, of every person."""
    roles = ("applicant", "representative", "reporter", "affected1", "accused1")
    keys = [
        key
        for field in form.fields
        if field.active and field.type in (FieldType.TEXT, FieldType.LONG_TEXT)
        for key in (
            [field.code]
            if field.section is Section.APPEAL
            else [f"{role}.{field.code}" for role in roles]
        )
    ]
    return {f"f.{key}": f"метка{number}ъ" for number, key in enumerate(keys, start=100)}


async def test_no_field_reaches_a_body_in_another_way(
    engine: AsyncEngine, head: httpx.AsyncClient, call: Call
) -> None:
    """R23: all that leaves is looked through for all that the appeal holds, but one field."""
    async with unit_of_work(engine) as connection:
        form = await read_form(connection)
    said = markers(form)
    said.pop("f.district", None)  # of a list
    assert len(said) > 20
    saved = await send_record(head, call.number, version=0, kind="statement", **said)
    assert saved.status_code == 303, visible(saved.text)
    await attach(head, call.number, "метка1ъ.txt", "метка2ъ".encode())
    note = {"party": "other", "whom": "метка3ъ", "post": "метка4ъ", "said": "метка5ъ"}
    await post(
        head,
        f"/appeals/{call.number}/oral-contacts",
        at=f"{datetime.now(ZONE):%Y-%m-%dT%H:%M}",
        **note,
    )
    await post(
        head,
        f"/appeals/{call.number}/record/remind",
        at=f"{datetime.now(ZONE) + timedelta(days=1):%Y-%m-%dT%H:%M}",
        about="метка6ъ",
    )
    assert "метка5ъ" in (await head.get(f"/appeals/{call.number}")).text
    path = await begin(head, call.number)
    for chosen in ("place", "affected1.name"):
        await act(head, path, words=WORDS, field=[chosen])
        assert re.findall(r"метка\d+ъ", preview((await head.get(path)).text)) == [
            said[f"f.{chosen}"]
        ]
    assert (await make_ready(head, path)).status_code == 303
    before = (await head.get(f"{path}/text")).content
    assert re.findall(r"метка\d+ъ", before.decode()) == [said["f.affected1.name"]]
    # What is changed in the record after it was ready does not leave either.
    changed = {key: f"{value}!" for key, value in said.items()}
    await send_record(head, call.number, version=1, kind="statement", **changed)
    assert (await head.get(f"{path}/text")).content == before
    await hand_over(head, path)
    assert (await head.get(f"{path}/text")).content == before


async def test_what_was_not_previewed_does_not_leave(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    path = await begin_written(head, call.number)
    await act(head, path, words=WORDS, field=["content"])
    page = (await head.get(path)).text
    seen = re.search(r'name="sha256" value="(\w+)"', page)
    assert seen is not None
    other = RECORD | {"f.content": "Муж ушёл"}
    assert (await send_record(head, call.number, version=1, **other)).status_code == 303
    late = await post(head, f"{path}/ready", version=version_in(page), sha256=seen[1])
    assert late.status_code == 412
    assert "Nothing was stored" in visible(late.text)
    assert "Муж ушёл" in preview(late.text)
    assert await rows(engine, "SELECT state FROM body_request") == [("drafted",)]
    assert await rows(engine, "SELECT 1 FROM body_request_step") == []
    assert (await make_ready(head, path)).status_code == 303


async def test_what_may_identify_somebody_is_cleared_by_hand(
    head: httpx.AsyncClient, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    path = await begin_written(head, call.number)
    words = f"{WORDS} Бьёт сейтов серик, звонить 8 701 234 56 67, ИИН {IDENTIFIER}."
    await act(head, path, words=words)
    page = (await head.get(path)).text
    assert "This may identify somebody" in visible(page)
    assert f"{path}/ready" not in page
    keys = [unescape(key) for key in re.findall(r'name="cleared" value="([^"]+)"', page)]
    assert keys == [
        "name:сейтов",
        "name:серик",
        "telephone:8 701 234 56 67",
        f"identifier:{IDENTIFIER}",
    ]
    # A chosen field may be said in words too; the rest is cleared one by one.
    await act(head, path, words=words, field=["applicant.phone"], cleared=keys[:2])
    page = (await head.get(path)).text
    assert f"{path}/ready" not in page
    refused = await post(head, f"{path}/ready", version=version_in(page), sha256="0" * 64)
    assert refused.status_code == 400
    await act(head, path, words=words, field=["applicant.phone"], cleared=keys)
    assert (await make_ready(head, path)).status_code == 303


async def test_a_further_field_leaves_with_a_reason_alone(
    head: httpx.AsyncClient, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    path = await begin_written(head, call.number)
    field = "applicant.identifier"
    refused = await act(head, path, words=WORDS, field=[field], key=[field], reason=[" "])
    assert refused.status_code == 400
    assert "has a reason" in visible(refused.text)
    assert WORDS in refused.text  # what was typed stays
    assert re.search(rf'value="{field}" checked', refused.text)
    why = "Найти в базе розыска"
    saved = await act(head, path, words=WORDS, field=[field], key=[field], reason=[why])
    assert saved.status_code == 303
    page = (await head.get(path)).text
    assert f'value="{why}"' in page
    assert IDENTIFIER in preview(page)
    assert why not in preview(page)
    assert (await act(head, path, words=WORDS, field=["nothing"])).status_code == 400


async def test_a_file_leaves_only_when_it_was_released_alone(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    path = await begin_written(head, call.number)
    names = ("ушиб Сейтовой.txt", "другое.txt")
    first, second = [
        (await attach(head, call.number, name, name.encode())).json()["id"] for name in names
    ]
    await act(head, path, words=WORDS)
    assert "txt" not in preview((await head.get(path)).text)
    assert (await act(head, path, f"/files/{first}", reason=" ")).status_code == 400
    released = await act(head, path, f"/files/{first}", reason="Видны следы побоев")
    assert released.status_code == 303
    shown = preview((await head.get(path)).text)
    assert "1.txt" in shown
    assert "ушиб" not in shown  # the name says whose it is
    assert (await act(head, path, f"/files/{uuid4()}", reason="-")).status_code == 400
    await act(head, path, f"/files/{second}", reason="Тоже")
    await act(head, path, f"/files/{second}/out")
    assert (await make_ready(head, path)).status_code == 303
    taken = await head.get(f"{path}/released/1.txt")
    assert taken.content == names[0].encode()
    assert 'filename="1.txt"' in taken.headers["content-disposition"]
    assert (await head.get(f"{path}/released/2.txt")).status_code == 404
    assert (await act(head, path, f"/files/{second}", reason="Поздно")).status_code == 400
    audited = await rows(
        engine,
        "SELECT detail->>'attachment' FROM audit_entry"
        " WHERE action = 'web:request:file_released' ORDER BY id",
    )
    assert audited == [(first,), (second,)]


async def test_a_picture_leaves_as_a_copy_without_its_place(
    head: httpx.AsyncClient, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    path = await begin_written(head, call.number)
    original = photograph("jpg")
    file, broken = [
        (await attach(head, call.number, "ушиб.jpg", content)).json()["id"]
        for content in (original, original[:300])
    ]
    await act(head, path, words=WORDS)
    for _ in range(2):  # it has one copy
        released = await act(head, path, f"/files/{file}", reason="Видны следы побоев")
        assert released.status_code == 303
    refused = await act(head, path, f"/files/{broken}", reason="Видны следы побоев")
    assert "this picture cannot be read" in visible(refused.text)
    page = (await head.get(path)).text
    assert f"{path}/files/{file}" not in page  # nor is it offered again
    looked_at = re.search(r'href="(/appeals/\d+/attachments/[\w-]+)">1\.jpg<', page)
    assert looked_at is not None
    assert (await make_ready(head, path)).status_code == 303
    taken = (await head.get(f"{path}/released/1.jpg")).content
    assert taken == (await head.get(looked_at[1])).content
    assert PLACE.encode() not in taken
    assert (await head.get(f"/appeals/{call.number}/attachments/{file}")).content == original


async def states_of_files(engine: AsyncEngine) -> list[str]:
    """The states of all attachments, the oldest first."""
    return [
        state for (state,) in await rows(engine, "SELECT state FROM record_attachment ORDER BY at")
    ]


async def release_picture(
    client: httpx.AsyncClient, engine: AsyncEngine, number: str, *requests: str
) -> tuple[str, str]:
    """The ids of a picture that was released into requests, and of its copy."""
    file = (await attach(client, number, "ушиб.jpg", photograph("jpg"))).json()["id"]
    for path in requests:
        released = await act(client, path, f"/files/{file}", reason="Видны следы побоев")
        assert released.status_code == 303
    [original, copy] = await rows(engine, "SELECT id::text FROM record_attachment ORDER BY at")
    assert original == (file,)
    return file, str(copy[0])


async def test_a_copy_goes_with_the_last_request_that_has_it(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    first = await begin_written(head, call.number)
    second, third = [await begin(head, call.number) for _ in range(2)]
    file, copy = await release_picture(head, engine, call.number, first, second)
    assert "ушиб (копия без EXIF).jpg" in (await head.get(f"/appeals/{call.number}")).text
    offered = (await head.get(third)).text
    assert f"{third}/files/{file}" in offered
    assert f"{third}/files/{copy}" not in offered
    for path, state in ((first, "kept"), (second, "erased")):
        assert (await act(head, path, f"/files/{copy}/out")).status_code == 303
        assert await states_of_files(engine) == ["kept", state]
    assert (await act(head, first, f"/files/{file}", reason="Снова")).status_code == 303
    assert await states_of_files(engine) == ["kept", "erased", "kept"]


async def test_a_copy_goes_with_the_last_draft_that_is_withdrawn(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    first = await begin_written(head, call.number)
    second = await begin(head, call.number)
    await release_picture(head, engine, call.number, first, second)
    for path, state in ((first, "kept"), (second, "erased")):
        assert (await step(head, path, "withdrawn")).status_code == 303
        assert await states_of_files(engine) == ["kept", state]


async def test_a_copy_goes_when_two_take_it_out_at_once(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    first = await begin_written(head, call.number)
    second = await begin(head, call.number)
    _, copy = await release_picture(head, engine, call.number, first, second)
    versions = {path: version_in((await head.get(path)).text) for path in (first, second)}
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )

    async def are_both_waiting() -> bool:
        return await rows(engine, waiting) == [(2,)]

    async with asyncio.TaskGroup() as group, unit_of_work(engine) as connection:
        await connection.exec_driver_sql("LOCK TABLE audit_entry IN EXCLUSIVE MODE")
        taking = [
            group.create_task(post(head, f"{path}/files/{copy}/out", version=version))
            for path, version in versions.items()
        ]
        await until(are_both_waiting, "both take it out")
    assert [each.result().status_code for each in taking] == [303, 303]
    assert await states_of_files(engine) == ["kept", "erased"]


async def test_a_copy_that_was_given_back_is_not_released(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await begin_written(head, call.number)
    second = await begin(head, call.number)
    file, copy = await release_picture(head, engine, call.number, first)
    add = attachments.add

    async def add_as_another_gives_it_back(*arguments: Any) -> Attachment:
        found = await add(*arguments)
        assert (await act(head, first, f"/files/{copy}/out")).status_code == 303
        return found

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(attachments, "add", add_as_another_gives_it_back)
        refused = await act(head, second, f"/files/{file}", reason="Видны следы побоев")
    assert refused.status_code == 412
    assert "Видны следы побоев" in refused.text  # what was typed stays
    assert (await act(head, second, f"/files/{file}", reason="Снова")).status_code == 303
    assert await states_of_files(engine) == ["kept", "erased", "kept"]


async def test_a_copy_that_a_letter_has_stays(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    path = await begin_written(head, call.number)
    _, copy = await release_picture(head, engine, call.number, path)
    letter = await enter_letter(head, call.number, REQUESTED | {"scan": copy})
    assert letter.status_code == 303
    assert (await act(head, path, f"/files/{copy}/out")).status_code == 303
    assert await states_of_files(engine) == ["kept", "kept"]


async def test_a_request_is_not_ready_while_its_file_is_checked(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    path = await begin_written(head, call.number)
    await act(head, path, words=WORDS)
    _, copy = await release_picture(head, engine, call.number, path)
    for state, said in (
        ("waiting", "A file is being checked for viruses"),
        ("aside", "A released file cannot be opened: take it out."),
    ):
        await put(
            engine,
            "UPDATE record_attachment SET state = :state WHERE id = CAST(:copy AS uuid)",
            state=state,
            copy=copy,
        )
        page = (await head.get(path)).text
        assert said in visible(page)
        assert f"{path}/ready" not in page
        assert f"/attachments/{copy}" not in page  # it would not be found
        assert (await act(head, path, "/ready", sha256="0" * 64)).status_code == 400
    await change(engine, "UPDATE record_attachment SET state = 'kept'")
    assert (await make_ready(head, path)).status_code == 303


async def test_files_of_what_was_taken_back_are_shown(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    path = await begin_written(head, call.number)
    await act(head, path, words=WORDS)
    _, copy = await release_picture(head, engine, call.number, path)
    sha256 = await scalar(engine, "SELECT sha256 FROM record_attachment ORDER BY at DESC LIMIT 1")
    assert (await make_ready(head, path)).status_code == 303
    assert (await step(head, path, "returned")).status_code == 303
    assert (await act(head, path, f"/files/{copy}/out")).status_code == 303
    page = (await head.get(path)).text
    [taken_back] = re.findall(r"<details>.*?</details>", page, re.DOTALL)
    assert "Видны следы побоев" in taken_back
    assert sha256 in taken_back
    assert (await step(head, path, "withdrawn")).status_code == 303
    assert await states_of_files(engine) == ["kept", "kept"]  # somebody may have it


async def test_parts_of_an_appeal_go_to_several_bodies(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    first = await begin_written(head, call.number)
    second = await begin(head, call.number, body="labour", direction="social", language="kk")
    await act(head, first, words=WORDS, field=["content"])
    await act(head, second, words="Жәрдемақы тағайындауды сұраймыз.", field=["region"])
    for path in (first, second):
        assert (await make_ready(head, path)).status_code == 303
    texts = [(await head.get(f"{path}/text")).text for path in (first, second)]
    assert "Муж бьёт" in texts[0]
    assert "Муж бьёт" not in texts[1]
    assert f"№ {call.number} жолданым бойынша сұрау салу" in texts[1]
    page = visible((await head.get(f"/appeals/{call.number}")).text)
    assert page.count("ready, waits to leave") == 2
    assert await rows(engine, "SELECT count(DISTINCT body) FROM body_request") == [(2,)]


async def test_a_body_that_refuses_names_who_is_competent(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    path = await ready(head, call.number)
    assert (await step(head, path, "accepted")).status_code == 400  # nobody has it yet
    await hand_over(head, path)
    assert (await step(head, path, "overdue")).status_code == 400  # by the clock alone
    for nobody in ("", "internal_affairs", "nowhere"):
        assert (await step(head, path, "refused", competent=nobody)).status_code == 400
    assert (await step(head, path, "accepted", reason=" ")).status_code == 400
    assert (await step(head, path, "refused", competent="justice")).status_code == 303
    page = (await head.get(path)).text
    assert "Competent, as it says: Ministry of Justice" in visible(page)
    assert f"/appeals/{call.number}/requests?body=justice&amp;direction=order" in page
    steps = await rows(engine, "SELECT step, author FROM body_request_step ORDER BY ordinal")
    assert [each[0] for each in steps] == ["readied", "sent", "refused"]
    assert all(str(author).startswith("user:") for _, author in steps)


async def test_an_appeal_is_with_a_body_that_has_its_request(
    head: httpx.AsyncClient, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    path = await ready(head, call.number)
    await send_record(head, call.number, "move", version=1, after="in_work")
    lacking = await send_record(head, call.number, "move", version=2, after="forwarded")
    assert "a request that was handed over to a state body" in visible(lacking.text)
    await hand_over(head, path)
    moved = await send_record(head, call.number, "move", version=2, after="forwarded")
    assert moved.status_code == 303
    assert (await step(head, path, "accepted")).status_code == 303
    await send_record(head, call.number, "move", version=3, after="answered")
    lacking = await send_record(head, call.number, "move", version=4, after="closed")
    assert "the answers of the bodies that have its requests" in visible(lacking.text)
    assert (await step(head, path, "answered", reason="Взят на учёт")).status_code == 303
    closed = await send_record(head, call.number, "move", version=4, after="closed")
    assert closed.status_code == 303
    late = await post(
        head, f"/appeals/{call.number}/requests", body="labour", direction="social", language="ru"
    )
    assert late.status_code == 400
    assert "this appeal has ended" in visible(late.text)


@pytest.mark.parametrize(
    ("last", "values"),
    [("answered", {}), ("refused", {"competent": "justice"}), ("withdrawn", {})],
)
async def test_an_appeal_without_a_body_is_in_work_again(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, last: str, values: dict[str, str]
) -> None:
    """R22: the body is no source of news any more."""
    head.headers["accept-language"] = "en"
    first = await ready(head, call.number)
    second = await begin(head, call.number, body="labour", direction="social")
    await act(head, second, words=WORDS)
    assert (await make_ready(head, second)).status_code == 303
    await send_record(head, call.number, "move", version=1, after="in_work")
    for path in (first, second):
        await hand_over(head, path)
    await send_record(head, call.number, "move", version=2, after="forwarded")
    for path, stage in ((first, "forwarded"), (second, "in_work")):
        assert (await step(head, path, last, **values)).status_code == 303
        assert await scalar(engine, "SELECT stage FROM record") == stage
    page = visible((await head.get(f"/appeals/{call.number}")).text)
    assert "With a state body → In work no state body has a request of it any more" in page
    audited = await rows(
        engine, "SELECT action, detail->>'step' FROM audit_entry ORDER BY id DESC LIMIT 3"
    )
    assert audited[1:] == [("web:request:moved", last), ("web:record:moved", None)]


async def test_a_ready_request_is_taken_back_and_composed_again(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    path = await ready(head, call.number)
    taken = (await head.get(f"{path}/text")).text
    assert (await act(head, path, words="Иное")).status_code == 400
    assert (await step(head, path, "returned")).status_code == 303
    assert (await head.get(f"{path}/text")).status_code == 404
    await act(head, path, words="Иное")
    page = (await head.get(path)).text
    assert "Иное" in preview(page)
    # Somebody may have taken it: what was ready stays with the step.
    assert was_ready(page) == taken
    assert (await make_ready(head, path)).status_code == 303
    await hand_over(head, path)
    page = (await head.get(path)).text
    assert "Иное" in preview(page)
    assert was_ready(page) == taken


async def test_what_was_withdrawn_before_it_left_is_not_taken(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    path = await begin_written(head, call.number)
    file = (await attach(head, call.number, "a.txt", b"a")).json()["id"]
    assert (await act(head, path, f"/files/{file}", reason="Видно")).status_code == 303
    await act(head, path, words=WORDS)
    assert (await make_ready(head, path)).status_code == 303
    for taken in ("text", "released/1.txt"):
        assert (await head.get(f"{path}/{taken}")).status_code == 200
    assert (await step(head, path, "withdrawn")).status_code == 303
    for taken in ("text", "released/1.txt"):
        assert (await head.get(f"{path}/{taken}")).status_code == 404
    page = (await head.get(path)).text
    assert "It was withdrawn before it left." in visible(page)
    assert WORDS in was_ready(page)


async def test_a_draft_is_withdrawn_and_nothing_of_it_was_erased(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    path = await begin_written(head, call.number)
    assert (await step(head, path, "withdrawn")).status_code == 303
    page = visible((await head.get(path)).text)
    assert "It was withdrawn before it left." in page
    assert "Erased" not in page


async def test_what_was_erased_is_not_handed_over(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    path = await ready(head, call.number)
    await change(engine, "UPDATE body_request_step SET package = NULL")
    proof = {"reference": "ЗТ-1", "dated": f"{datetime.now(ZONE):%Y-%m-%d}"}
    assert (await step(head, path, "sent", **proof)).status_code == 400
    assert (await step(head, path, "withdrawn")).status_code == 303


async def test_two_people_compose_one_request_without_loss(
    head: httpx.AsyncClient, call: Call
) -> None:
    path = await begin_written(head, call.number)
    assert (await post(head, path, version=1, words=WORDS)).status_code == 303
    late = await post(head, path, version=1, words="Другое")
    assert late.status_code == 412
    assert "Другое" in late.text  # what was typed
    assert WORDS in preview(late.text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"reference": " "},
        {"reference": "x" * 101},
        {"dated": ""},
        {"dated": "2020-01-01"},
        {"dated": f"{date.today() + timedelta(days=2)}"},
    ],
)
async def test_nothing_counts_as_sent_without_its_proof(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, wrong: dict[str, str]
) -> None:
    path = await ready(head, call.number)
    proof = {"reference": "ЗТ-1", "dated": f"{datetime.now(ZONE):%Y-%m-%d}"} | wrong
    assert (await step(head, path, "sent", **proof)).status_code == 400
    assert await rows(engine, "SELECT state, number FROM body_request") == [("waiting", None)]


async def test_an_answer_that_is_late_is_marked_and_listed(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    await change(engine, "UPDATE body SET working_hours = '24/7'")
    path = await ready(head, call.number)
    assert call.number in (await head.get("/work?list=requests_ready")).text
    await hand_over(head, path)
    assert call.number not in (await head.get("/work?list=requests_ready")).text
    [(due_on,)] = await rows(engine, "SELECT due_on FROM body_request")
    for day, state in (
        (due_on, "sent"),
        (due_on + timedelta(days=1), "overdue"),
        (due_on + timedelta(days=2), "overdue"),
        (due_on + timedelta(days=20), "very_overdue"),
        (due_on + timedelta(days=30), "very_overdue"),
    ):
        await mark_late(engine, day)
        assert await rows(engine, "SELECT state FROM body_request") == [(state,)]
    assert (await step(head, path, "accepted")).status_code == 303
    assert await rows(engine, "SELECT state FROM body_request") == [("very_overdue",)]
    assert "The answer is long overdue" in visible((await head.get(path)).text)
    await change(engine, "UPDATE body_request SET due_on = current_date - 3")
    assert call.number in (await head.get("/work?list=requests_late")).text
    assert (await step(head, path, "answered")).status_code == 303
    assert call.number not in (await head.get("/work?list=requests_late")).text
    clock = await rows(
        engine, "SELECT step FROM body_request_step WHERE author = 'system:requests' ORDER BY at"
    )
    assert clock == [("overdue",), ("very_overdue",)]
    audited = await rows(
        engine,
        "SELECT detail->>'body', detail->>'step' FROM audit_entry"
        " WHERE who = 'system:requests' ORDER BY id",
    )
    assert audited == [("internal_affairs", "overdue"), ("internal_affairs", "very_overdue")]


async def test_an_appeal_with_a_body_without_a_request_is_listed(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    """The version before noted that a body has it without any."""
    path = await ready(head, call.number)
    lacking = "/work?list=requests_lacking"
    assert call.number not in (await head.get(lacking)).text
    await change(engine, "UPDATE record SET stage = 'forwarded'")
    assert call.number in (await head.get(lacking)).text
    await hand_over(head, path)
    assert call.number not in (await head.get(lacking)).text


async def test_masking_erases_what_was_chosen_and_what_left(
    head: httpx.AsyncClient, enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    path = await ready(head, call.number)
    await hand_over(head, path)
    await change(engine, "UPDATE record SET stage = 'closed'")
    assert (await ask(head, call.number)).status_code == 303
    async with enter(Role.RECORDS_OFFICER) as officer:
        officer.headers["accept-language"] = "en"
        refused = await decide(officer, engine)
    assert "on its way or not answered" in visible(refused.text)
    await change(engine, "UPDATE record SET stage = 'contact'")
    await step(head, path, "withdrawn", reason="Не нужно Сейтовой")
    await send_record(head, call.number, "no-request", version=1, disposition="test")
    assert await rows(engine, "SELECT sealed FROM body_request") == [(None,)]
    stored = await rows(engine, "SELECT sealed, package FROM body_request_step")
    assert set(stored) == {(None, None)}
    page = visible((await head.get(path)).text)
    assert "Erased with the personal data of the appeal." in page
    assert "Withdrawn" in page


async def test_no_appeal_ends_while_a_request_waits_to_leave(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    path = await ready(head, call.number)
    draft = await begin(head, call.number)
    ending = {"version": 1, "disposition": "test"}
    refused = await send_record(head, call.number, "no-request", **ending)
    assert "the handing over of its requests that are ready" in visible(refused.text)
    assert (await step(head, path, "withdrawn")).status_code == 303
    assert (await send_record(head, call.number, "no-request", **ending)).status_code == 303
    # A draft is gone with the record that it chose from.
    assert await rows(engine, "SELECT DISTINCT state FROM body_request") == [("withdrawn",)]
    assert "It was withdrawn before it left." in visible((await head.get(draft)).text)


async def test_requests_go_on_in_the_appeal_that_goes_on(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    _, again = await open_call(engine, "call-2", datetime.now(UTC))
    await send_record(head, call.number, version=0, **RECORD)
    path = await begin_written(head, again)
    await send_record(head, again, "join", version=1, into=call.number, reason="Об одном")
    moved = path.replace(again, call.number)
    assert (await head.get(moved)).status_code == 200
    assert (await head.get(path)).status_code == 404
    assert moved in (await head.get(f"/appeals/{call.number}")).text


async def test_a_draft_chooses_anew_in_the_appeal_that_goes_on(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    _, again = await open_call(engine, "call-2", datetime.now(UTC))
    other = RECORD | {"f.applicant.name": "Оспанова Жанар"}
    assert (await send_record(head, call.number, version=0, **other)).status_code == 303
    draft, waiting = await begin_written(head, again), await begin(head, again)
    for path in (draft, waiting):
        await act(head, path, words=WORDS, field=["applicant.name"])
    assert (await make_ready(head, waiting)).status_code == 303
    await send_record(head, again, "join", version=1, into=call.number, reason="Об одном")
    draft, waiting = (path.replace(again, call.number) for path in (draft, waiting))
    assert "Сейтова Айгүл" in (await head.get(f"{waiting}/text")).text  # it was previewed so
    assert (await step(head, waiting, "returned")).status_code == 303
    for path in (draft, waiting):
        page = (await head.get(path)).text
        assert WORDS in preview(page)
        assert "Оспанова" not in preview(page)
        assert "checked" not in page


async def test_released_files_leave_from_their_own_appeal(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    _, again = await open_call(engine, "call-2", datetime.now(UTC))
    assert (await send_record(head, call.number, version=0, **RECORD)).status_code == 303
    waiting, draft = await begin_written(head, again), await begin(head, again)
    file = (await attach(head, again, "ушиб.txt", b"a")).json()["id"]
    for path in (waiting, draft):
        await act(head, path, words=WORDS)
        assert (await act(head, path, f"/files/{file}", reason="Видно")).status_code == 303
    assert (await make_ready(head, waiting)).status_code == 303
    await send_record(head, again, "join", version=1, into=call.number, reason="Об одном")
    draft, waiting = (path.replace(again, call.number) for path in (draft, waiting))
    link = f"/appeals/{again}/attachments/{file}"
    assert link in (await head.get(draft)).text
    assert (await head.get(link)).content == b"a"
    assert (await make_ready(head, draft)).status_code == 303
    for path in (waiting, draft):
        assert (await head.get(f"{path}/released/1.txt")).content == b"a"


@pytest.mark.parametrize(
    "wrong",
    [
        {"body": "nowhere"},
        {"body": ""},
        {"direction": "violence"},
        {"direction": "health_care"},
        {"language": "en"},
    ],
)
async def test_a_request_begins_with_a_body_and_a_direction(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, wrong: dict[str, str]
) -> None:
    chosen = {"body": "labour", "direction": "social", "language": "ru"}
    path = f"/appeals/{call.number}/requests"
    assert 'value="labour"' in (await head.get(path)).text  # its appeal has no direction yet
    assert (await post(head, path, **chosen)).status_code == 400  # nothing is written yet
    await send_record(head, call.number, version=0, **RECORD)
    assert (await post(head, path, **chosen | wrong)).status_code == 400
    assert await rows(engine, "SELECT 1 FROM body_request") == []
    for direction in ("order", "social"):  # of the record, and of the body
        assert (await post(head, path, **chosen | {"direction": direction})).status_code == 303


async def test_competent_bodies_are_offered_first(head: httpx.AsyncClient, call: Call) -> None:
    head.headers["accept-language"] = "en"
    await send_record(head, call.number, version=0, **RECORD)
    page = (await head.get(f"/appeals/{call.number}/requests")).text
    competent = re.search(r'<optgroup label="Competent by topic and place">(.*?)</optgroup>', page)
    assert competent is not None
    assert 'value="internal_affairs"' in competent[1]
    assert 'value="tourism_sport"' not in competent[1]
    assert re.findall(r'value="(\w+)" data-of-appeal selected', page) == ["order"]
    assert re.findall(r'value="(\w+)" data-of-appeal', page) == ["order"]
    assert 'value="labour" data-directions="social"' in page


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_request_of_another_appeal_is_not_there(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, language: str
) -> None:
    head.headers["accept-language"] = language
    _, other = await open_call(engine, "call-2", datetime.now(UTC))
    path = await begin_written(head, call.number)
    assert (await head.get(path)).status_code == 200
    assert (await head.get(path.replace(call.number, other))).status_code == 404


async def test_what_a_request_chose_is_read_with_its_own_id(
    head: httpx.AsyncClient, engine: AsyncEngine, settings: Settings, call: Call
) -> None:
    path = await ready(head, call.number)
    keys = RecordKeys.read(settings)
    async with unit_of_work(engine) as connection:
        [request] = await store.list_of_appeal(connection, keys, call.id)
        assert str(request.id) == path.rpartition("/")[2]
        assert request.draft.words == WORDS
        assert request.package is not None
        assert request.package.sha256 == request.sha256
