"""An applicant writes on the portal and opens it again: sealed, once, without scripts."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import Message

from callcenter.appeals.rules.number import make
from callcenter.intake.drivers.portal.collector import collect
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import open_database
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.portal import store
from callcenter.portal.pages import (
    FORM_SIZE_LIMIT,
    FORM_TYPE,
    LARGE_AT_ONCE,
    LARGE_FORM,
    OPENING_LIMIT,
    portal_application,
)
from callcenter.portal.rules import TEXT_LIMIT, ReceiptSecret
from tests.appeals import read_all_rows
from tests.intake.messages import TEXT, rows
from tests.polling import until
from tests.portal.conftest import TOKEN, Visitor, found, visitor_of
from tests.services import changed

LARGEST_PAGE = 60_000  # bytes, with its style
EXIT = '<a class="leave" href="https://www.kazhydromet.kz/" rel="nofollow noreferrer" '
OPENED = re.compile(r'class="own">([^<]*)<')
HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')
#: Ninety-nine, with the rest of what is there.
MORE_OF_THE_FORM = (
    "INSERT INTO portal_message (id, form, year, sequence, urgent, received_at, sealed)"
    " SELECT gen_random_uuid(), form, year, sequence, urgent, received_at, sealed"
    " FROM portal_message, generate_series(1, 99) RETURNING 1"
)


@pytest.mark.parametrize(
    ("language", "other", "on_its_way", "arrived"),
    [
        ("kk", "ru", "жіберіліп жатыр", "орталыққа жетті"),
        ("ru", "kk", "ещё идёт в центр", "Центр это получил"),
    ],
)
async def test_what_was_written_is_opened_with_its_receipt_alone(
    visitor: Visitor,
    worker: WorkerResources,
    engine: AsyncEngine,
    language: str,
    other: str,
    on_its_way: str,
    arrived: str,
) -> None:
    number, words = await visitor.write(TEXT, language=language)
    assert len(words.split()) == 5
    opened = await visitor.open(number, words, language)
    assert found(OPENED, opened) == (TEXT,)
    assert on_its_way in opened.text
    stored = await read_all_rows(engine)
    for said in (TEXT, words):  # neither in clear, nor by their bytes
        assert said not in stored
        assert str(said.encode())[2:-1] not in stored
    await collect(worker)
    opened = await visitor.open(number, words.upper(), other if language == "ru" else language)
    assert found(OPENED, opened) == (TEXT,)
    assert arrived in (await visitor.open(number, words, language)).text
    taken = await rows(engine, "SELECT number, channel, language, outcome FROM appeal")
    assert taken == [(number, "portal", language, "received")]
    assert TEXT not in await read_all_rows(engine)


async def test_a_form_sent_by_many_at_once_is_one(visitor: Visitor, engine: AsyncEngine) -> None:
    token = await visitor.token()
    receipts = await asyncio.gather(*(visitor.write(TEXT, token) for _ in range(8)))
    assert len(set(receipts)) == 1
    assert await rows(engine, "SELECT count(*) FROM portal_message") == [(1,)]
    assert await rows(engine, "SELECT last FROM appeal_counter") == [(1,)]


async def test_other_words_in_the_same_form_have_the_same_receipt(
    visitor: Visitor, worker: WorkerResources, engine: AsyncEngine
) -> None:
    token = await visitor.token()
    first = await visitor.write(TEXT, token)
    assert await visitor.write("И ещё", token, danger="yes") == first
    assert await visitor.write(TEXT) != first
    await collect(worker)
    messages = "SELECT count(*), count(DISTINCT appeal_id) FROM intake_message"
    assert await rows(engine, messages) == [(3, 2)]
    opened = (await visitor.open(*first)).text
    assert opened.index(TEXT) < opened.index("И ещё") < opened.index("грозит опасность")


async def test_of_many_messages_the_newest_are_shown_first(visitor: Visitor) -> None:
    token = await visitor.token()
    texts = [f"Письмо {n}." for n in range(store.SHOWN_AT_ONCE + 2)]
    for each in texts:
        number, words = await visitor.write(each, token)
    newest = await visitor.open(number, words)
    assert OPENED.findall(newest.text) == texts[2:]
    assert "Показать более ранние" in newest.text
    hidden = dict(HIDDEN.findall(newest.text))
    assert hidden.keys() == {"number", "words", "older"}
    older = await visitor.client.post("/ru/r", data=hidden)
    assert OPENED.findall(older.text) == texts[:2]
    assert "Показать более ранние" not in older.text


async def test_nothing_is_older_than_the_message_of_another(visitor: Visitor) -> None:
    number, words = await visitor.write(TEXT)
    receipt = {"number": number, "words": words}
    for newest in ("", "x"):
        shown = await visitor.client.post("/ru/r", data={**receipt, "older": newest})
        assert found(OPENED, shown) == (TEXT,)
    shown = await visitor.client.post("/ru/r", data={**receipt, "older": str(uuid4())})
    assert shown.status_code == 400


async def test_a_form_sends_a_hundred_messages_a_day(visitor: Visitor, engine: AsyncEngine) -> None:
    token = await visitor.token()
    receipt = await visitor.write(TEXT, token)
    await rows(engine, MORE_OF_THE_FORM)
    refused = await visitor.send("И ещё", token)
    assert refused.status_code == 400
    assert "Столько сообщений с одной страницы" in refused.text
    assert "И ещё" in refused.text
    assert await visitor.write(TEXT, token) == receipt  # it is there already
    assert await visitor.write("И ещё") != receipt
    await rows(
        engine, "UPDATE portal_message SET received_at = now() - interval '25 h' RETURNING 1"
    )
    assert await visitor.write("И ещё", token) == receipt


async def test_wrong_numbers_and_wrong_words_are_answered_alike(visitor: Visitor) -> None:
    number, words = await visitor.write(TEXT)
    other_number, other_words = await visitor.write("Другое")
    answers = [
        await visitor.open(*typed)
        for typed in (
            (number, other_words),
            (other_number, words),
            (make(26, 9_999_999), words),  # given to nobody
            ("2600000000", words),
            (number, "арбуз"),
            (number[:-1] + str((int(number[-1]) + 1) % 10), words),
        )
    ]
    assert {each.status_code for each in answers} == {400}
    assert not [each for each in answers if TEXT in each.text]
    said = {re.sub(r'value="[^"]*"', "", each.text) for each in answers}
    assert len(said) == 1


async def test_guesses_keep_no_writer_waiting(visitor: Visitor) -> None:
    (number, _), (_, others) = await visitor.write(TEXT), await visitor.write("Другое")
    guesses = [asyncio.create_task(visitor.open(number, others)) for _ in range(OPENING_LIMIT + 30)]
    await visitor.write("И это")
    assert not all(each.done() for each in guesses)
    answered = Counter([(await each).status_code for each in guesses])
    assert answered == {400: OPENING_LIMIT, 503: 30}


async def test_slow_long_forms_are_taken_some_at_a_time(visitor: Visitor) -> None:
    """Those of a page or two always are, and a longer one than any says what to do."""
    go_on, begun, token = asyncio.Event(), 0, await visitor.token()
    long = f"form={token}&text={'a' * 2 * LARGE_FORM}"

    async def slowly() -> AsyncIterator[bytes]:
        nonlocal begun
        begun += 1
        yield long[:99].encode()
        await go_on.wait()
        yield long[99:].encode()

    async def send(content: str | AsyncIterator[bytes]) -> int:
        headers = {"Content-Type": FORM_TYPE, "Content-Length": str(len(long))}
        return (await visitor.client.post("/ru", content=content, headers=headers)).status_code

    slow = [asyncio.create_task(send(slowly())) for _ in range(LARGE_AT_ONCE)]
    await until(lambda: begun == LARGE_AT_ONCE, "all have begun")
    assert await send(slowly()) == 503
    await visitor.write("я" * 5000)
    go_on.set()
    assert {await each for each in slow} == {400}  # it is too long, and stays in the form
    assert await send(long) == 400
    longest = await visitor.write("😀" * TEXT_LIMIT)
    assert longest[0]
    answer = await visitor.client.post("/ru", data={"text": "я" * FORM_SIZE_LIMIT})
    assert "слишком длинн" in answer.text


@pytest.mark.parametrize("path", ["/ru", "/ru/r"])
async def test_a_form_in_chunks_is_refused_unread(visitor: Visitor, path: str) -> None:
    """They count, and not the length that stands beside them."""
    read = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(300):
            read += 1
            yield b"a" * 1024

    headers = {"Content-Type": FORM_TYPE, "Content-Length": "9", "Transfer-Encoding": "chunked"}
    answer = await visitor.client.post(path, content=chunks(), headers=headers)
    assert (answer.status_code, read) == (400, 0)


async def test_a_form_that_is_cut_off_is_no_fault(
    settings: Settings, engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """As when a telephone goes into a lift."""
    sent: list[Message] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/ru",
        "query_string": b"",
        "scheme": "http",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", FORM_TYPE.encode()),
            (b"content-length", b"9"),
        ],
    }

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def answer(message: Message) -> None:
        sent.append(message)

    await portal_application(settings, engine)(scope, receive, answer)
    assert sent[0]["status"] == 400
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []


async def test_pages_are_small_neutral_and_load_nothing_of_others(visitor: Visitor) -> None:
    loaded = [(await visitor.client.get(path)).content for path in ("/page.css", "/page.js")]
    receipt = await visitor.send(TEXT)
    pages = [await visitor.client.get(path) for path in ("/", "/kk", "/ru/s", "/ru/r", "/nothing")]
    for answer in (*pages, receipt, await visitor.open("1", "2"), await visitor.send("")):
        assert len(b"".join((answer.content, *loaded))) < LARGEST_PAGE
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        for alone in ("script-src 'self'; ", "connect-src 'self'; "):
            assert alone in policy
        assert not re.search(r"unsafe|http|\*|data:", policy)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "set-cookie" not in answer.headers
        assert EXIT in answer.text
        ours = answer.text.replace(EXIT, "").replace('<script src="/page.js" defer></script>', "")
        assert not re.search(
            r'<script|style="| on\w+=|(?:src|href|action|ping)="(?!/\w|tel:)', ours
        )
        assert re.findall("<title>(.*)</title>", answer.text) in (["Жазба"], ["Заметка"])
        for number in ("111", "102", "112"):
            assert f'href="tel:{number}"' in answer.text


async def test_a_page_speaks_the_language_of_the_browser(visitor: Visitor) -> None:
    for accepted, language in (("ru, kk;q=0.5", "ru"), ("kk-KZ", "kk"), ("en", "kk"), ("", "kk")):
        answer = await visitor.client.get("/", headers={"Accept-Language": accepted})
        assert f'<html lang="{language}">' in answer.text


async def test_the_portal_answers_to_its_own_name_alone(visitor: Visitor) -> None:
    answer = await visitor.client.get("/ru", headers={"Host": "127.0.0.1"})
    assert answer.status_code == 400


@pytest.mark.parametrize(("text", "status"), [("", 400), (" \r\n", 400), ("я" * 20_001, 400)])
async def test_what_is_refused_stays_in_the_form(
    visitor: Visitor, engine: AsyncEngine, text: str, status: int
) -> None:
    token = await visitor.token()
    answer = await visitor.send(text, token)
    assert answer.status_code == status
    assert TOKEN.findall(answer.text) == [token]
    assert text.strip() in answer.text
    assert await rows(engine, "SELECT count(*) FROM portal_message") == [(0,)]


async def test_another_language_shows_what_was_typed(visitor: Visitor, engine: AsyncEngine) -> None:
    token = await visitor.token("kk")
    answer = await visitor.send(TEXT, token, "ru", danger="yes", show="yes")
    assert (answer.status_code, TOKEN.findall(answer.text)) == (200, [token])
    assert '<html lang="ru">' in answer.text
    assert f"{TEXT}</textarea>" in answer.text
    assert "checked" in answer.text
    assert await rows(engine, "SELECT count(*) FROM portal_message") == [(0,)]
    for page in (answer, await visitor.send(TEXT, token)):  # no link leaves the words
        assert not re.search('href="/(kk|ru)"[^>]*lang=', page.text)


async def test_danger_is_sent_without_a_word(visitor: Visitor, engine: AsyncEngine) -> None:
    await visitor.write("", danger="yes")
    assert await rows(engine, "SELECT urgent FROM portal_message") == [(True,)]


async def test_without_the_database_nothing_typed_is_lost(
    settings: Settings, sealed_to_intake: None
) -> None:
    nowhere = changed(settings, database_url="postgresql://nobody@127.0.0.1:1/nowhere")
    engine = open_database(nowhere)
    visitor = visitor_of(nowhere, engine)
    async with visitor.client:
        token = await visitor.token()
        answer = await visitor.send('<b>Меня бьют</b> & "всё"', token, danger="yes")
        assert (answer.status_code, TOKEN.findall(answer.text)) == (503, [token])
        assert "&lt;b&gt;Меня бьют&lt;/b&gt; &amp; &#34;всё&#34;</textarea>" in answer.text
        assert "checked" in answer.text
        words = " ".join(ReceiptSecret(bytes(5)).words("ru"))
        opening = await visitor.open(make(26, 1), words)
        assert opening.status_code == 503
        assert f'value="{words}"' in opening.text
    await engine.dispose()


@pytest.mark.parametrize(
    ("path", "sent", "status"),
    [
        ("/en", None, 404),
        ("/ru/../appeals", None, 404),
        ("/sign-in", None, 404),
        ("/api/v1/session", None, 404),
        ("/%00", None, 404),
        ("/ru", {"data": {"form": "'; DROP TABLE", "text": TEXT}}, 200),
        ("/ru", {"files": {"text": ("a.exe", b"MZ")}}, 400),
        ("/ru", {"content": b"\xff\x00", "headers": {"Content-Type": "text/plain"}}, 400),
        ("/ru", {"data": {"text": "я" * FORM_SIZE_LIMIT}}, 413),
        ("/ru", {"data": {str(each): "" for each in range(50)}}, 400),
        ("/ru/r", {"data": {"number": "9" * 999, "words": "я" * 400}}, 400),
        ("/ru/r", {"data": {"number": "9" * 9999}}, 413),
        ("/ru", {"content": b"text=x", "headers": {"Content-Type": FORM_TYPE}}, 200),
        (
            "/ru",
            {
                "content": b"text=x",
                "headers": {"Content-Type": FORM_TYPE, "Content-Length": "six"},
            },
            400,
        ),
        (
            "/ru",
            {
                "content": b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\nx\r\n--b--',
                "headers": {"Content-Type": "multipart/form-data; boundary=b"},
            },
            400,
        ),
    ],
)
async def test_hostile_requests_are_answered(
    visitor: Visitor, path: str, sent: dict[str, object] | None, status: int
) -> None:
    client = visitor.client
    answer = await (client.get(path) if sent is None else client.post(path, **sent))  # type: ignore[arg-type]
    assert answer.status_code == status
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_killed_before_the_receipt_the_form_sent_again_gets_it(
    visitor: Visitor, worker: WorkerResources, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await visitor.token()

    async def kill(*_: object) -> None:
        raise httpx.TransportError("the process was killed here")

    with monkeypatch.context() as patched:
        patched.setattr(store, "give_receipt", kill)
        assert (await visitor.send(TEXT, token)).status_code == 500
    await collect(worker)
    [(number,)] = await rows(engine, "SELECT number FROM appeal")
    receipt = await visitor.write(TEXT, token)
    assert receipt[0] == number
    assert found(OPENED, await visitor.open(*receipt)) == (TEXT,)
    await collect(worker)
    assert await rows(engine, "SELECT count(*) FROM intake_message") == [(1,)]
