"""Every way out asks the rule of safe contact, and nobody is reached against their word."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as runs
from hypothesis import strategies as st
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls.tables import call_unwanted
from callcenter.appeals.contact import store as contact_store
from callcenter.appeals.contact.rules import (
    EVERY,
    SOMEBODY,
    ContactHours,
    ContactMeans,
    ContactWish,
    judge,
)
from callcenter.appeals.contact.service import ContactRefused
from callcenter.appeals.contact.ways import WayOut
from callcenter.appeals.record import personal_data
from callcenter.platform.core import registry
from callcenter.platform.core.registry import Room, offers
from callcenter.platform.core.settings import ROOT, Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.distributor import RedisQueuePlace
from callcenter.telephony.callbacks import store as callbacks
from callcenter.telephony.callbacks.store import CallbackRequest
from callcenter.telephony.controller.callback_dialer import CallbackDialer, CallbackHandler
from callcenter.telephony.controller.dependencies import CallDependencies
from callcenter.telephony.outbound.authorization import (
    OutboundRequest,
    authorize_third_party,
    begin,
)
from callcenter.telephony.outbound.rules import NumberPolicy
from tests.web.conftest import CALLER, Call
from tests.web.test_letters import REQUESTED, enter_letter
from tests.web.test_records import WHOLE, rows, send

NOW = datetime.now(UTC)
LOCAL = NOW.astimezone(ZONE)
OTHER = "+77019998877"
#: Hours that are now, and hours that are not.
OPEN = ContactHours((LOCAL - timedelta(hours=2)).time(), (LOCAL + timedelta(hours=2)).time())
CLOSED = ContactHours(OPEN.end, OPEN.start)


@dataclass(frozen=True)
class Center:
    """What the ways out of the center work with, and whom they reach: the caller of an appeal."""

    engine: AsyncEngine
    settings: Settings
    head: httpx.AsyncClient
    call: Call

    async def say(self, *wishes: ContactWish) -> None:
        """Have nothing said on the appeal but this."""
        await rows_deleted(self.engine)
        async with unit_of_work(self.engine) as connection:
            await contact_store.add(connection, self.call.id, wishes)


async def rows_deleted(engine: AsyncEngine) -> None:
    await rows(engine, "DELETE FROM contact_wish RETURNING id")


async def outbound(center: Center) -> bool:
    async with unit_of_work(center.engine) as connection:
        [[consultant]] = await rows(center.engine, "SELECT id FROM consultant")
        try:
            await begin(
                connection,
                NumberPolicy(),
                center.settings.model_copy(
                    update={"calls_by_consultant": 10**6, "calls_to_number": 10**6}
                ),
                OutboundRequest(CALLER),
                consultant_id=consultant,
                call_id=uuid4().hex,
            )
        except ContactRefused:
            return False
    return True


async def third_party(center: Center) -> bool:
    try:
        await authorize_third_party(center.engine, CALLER)
    except ContactRefused:
        return False
    return True


async def callback(center: Center) -> bool:
    called: list[str] = []

    class Dialer:
        async def call(self, _callback: Any, call: Any, *_: Any, **__: Any) -> None:
            called.append(call.number)

    long_ago = NOW - timedelta(days=900)
    request = CallbackRequest(uuid4(), center.call.id, CALLER, "ru", False, long_ago, long_ago)
    await rows(
        center.engine,
        "UPDATE promise SET state = 'closed', ended_at = now() WHERE state = 'open' RETURNING id",
    )
    async with unit_of_work(center.engine) as connection:
        await callbacks.promise_callback(connection, request)
        [claimed] = await callbacks.claim(connection, "a", datetime.now(UTC), 9)
    shared = SimpleNamespace(
        settings=center.settings,
        instance="a",
        engine=center.engine,
        distributor=None,
        callers=SimpleNamespace(blocklist=None),
    )
    handler = CallbackHandler(cast(CallDependencies, shared), cast(CallbackDialer, Dialer()))
    place = cast(RedisQueuePlace, SimpleNamespace(call_id=f"callback:{claimed.id}"))
    await handler.attempt(claimed, place, cast(Any, None))
    return called == [CALLER]


async def receipt_sms(center: Center) -> bool:
    [[registered]] = await rows(center.engine, "SELECT registered_on FROM record")
    assert registered is not None
    page = await center.head.get(f"/appeals/{center.call.number}/receipt")
    assert page.status_code == 200
    return "Обращение № " in page.text


async def receipt_print(center: Center) -> bool:
    path = f"/appeals/{center.call.number}/receipt"
    page = await center.head.get(path)
    answers = [await center.head.get(f"{each}.pdf") for each in (path, f"/api/v1{path}")]
    assert all(each.status_code in (200, 400) for each in answers)
    [printed] = {each.status_code == 200 for each in answers}
    assert (f'href="{path}.pdf"' in page.text) is printed
    assert ("Дата и время поступления" in page.text) is printed
    return printed


async def letter(center: Center) -> bool:
    said = REQUESTED | {"kind": "letter", "party": "applicant", "number": uuid4().hex[:8]}
    answer = await enter_letter(center.head, center.call.number, said)
    assert answer.status_code in (303, 400)
    return answer.status_code == 303


#: How each way out begins a contact with the caller of the appeal; false: it was refused.
WAYS: dict[str, Callable[[Center], Awaitable[bool]]] = {
    "outbound": outbound,
    "third_party": third_party,
    "callback": callback,
    "receipt_sms": receipt_sms,
    "receipt_print": receipt_print,
    "letter": letter,
}


@pytest.fixture
async def center(
    engine: AsyncEngine, settings: Settings, head: httpx.AsyncClient, call: Call
) -> Center:
    await send(head, call.number, version=0, **WHOLE)
    await send(head, call.number, "move", version=1, after="registered")
    return Center(engine, settings, head, call)


def word(
    allowed: bool,
    age: int = 1,
    *,
    person: str = SOMEBODY,
    number: str | None = None,
    channel: str = EVERY,
    hours: ContactHours | None = None,
) -> ContactWish:
    """Something that was said so many hours ago."""
    return ContactWish(person, number, channel, allowed, NOW - timedelta(hours=age), hours)


def histories(channel: ContactMeans) -> st.SearchStrategy[list[ContactWish]]:
    """What may have been said about an applicant, their caller's number and others, in order."""
    by_number = channel in (ContactMeans.CALL, ContactMeans.SMS)
    one = st.builds(
        word,
        st.booleans(),
        person=st.sampled_from([SOMEBODY, "applicant"]),
        number=st.sampled_from([None, CALLER] if by_number else [None]),
        channel=st.sampled_from([EVERY, channel, *ContactMeans]),
        hours=st.sampled_from([None, OPEN, CLOSED]),
    )
    return st.lists(one, max_size=6).map(
        lambda said: [
            replace(
                each,
                at=NOW - timedelta(hours=len(said) - place),
                hours=each.hours if each.allowed else None,
            )
            for place, each in enumerate(said)
        ]
    )


def untested() -> set[str]:
    """The ways out of all rooms that no test begins."""
    return {way.name for way in offers(WayOut)} - WAYS.keys()


async def obeys(center: Center, way: WayOut, said: list[ContactWish]) -> bool:
    """Whether this way out reaches the caller if, and only if, the rule allows it."""
    await center.say(*said)
    return await WAYS[way.name](center) is judge(said, way.channel, NOW).allowed


async def test_every_way_out_keeps_to_the_rule(center: Center) -> None:
    assert {each.name for each in offers(WayOut)} == set(WAYS)
    loop = asyncio.get_running_loop()

    @runs(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        way = data.draw(st.sampled_from(offers(WayOut)))
        said = data.draw(histories(way.channel))
        obeyed = asyncio.run_coroutine_threadsafe(obeys(center, way, said), loop).result(60)
        assert obeyed, way.name

    await asyncio.to_thread(holds)


async def test_a_number_that_was_opened_alone_gets_the_receipt(center: Center) -> None:
    await center.say(word(False, age=2), word(True, number=CALLER))
    assert await receipt_sms(center)
    await center.say(word(False, age=2, number=CALLER), word(True))
    assert not await receipt_sms(center), "a word about all numbers opens none that was closed"


@pytest.mark.parametrize("name", WAYS)
async def test_a_record_without_contact_closes_every_way(center: Center, name: str) -> None:
    assert await WAYS[name](center)
    version = 2
    for chosen, reached in ((["none"], False), (["call", "sms", "letter"], True)):
        if reached:
            await center.say()  # a field takes no restriction back: another word did
        saved = await send(
            center.head,
            center.call.number,
            version=version,
            **WHOLE | {"f.applicant.safe_ways": chosen},
        )
        assert saved.status_code == 303
        version += 1
        assert await WAYS[name](center) is reached


async def test_a_way_that_does_not_ask_is_found(
    center: Center, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def shout(_: Center) -> bool:
        return True

    shouting = WayOut("shout", ContactMeans.CALL, "no")
    unknown = WayOut("whisper", ContactMeans.CALL, "no")
    monkeypatch.setattr(registry, "registered", [Room("yard", offers=(shouting, unknown))])
    monkeypatch.setitem(WAYS, "shout", shout)
    assert untested() == {"whisper"}
    assert not await obeys(center, shouting, [word(False)])


#: What reaches people, and the files that do it: each belongs to a way out.
PRIMITIVES = {
    ".call_number(": {
        "telephony/calls/outbound/outbound_call.py": "outbound",
        "telephony/calls/outbound/callback.py": "callback",
        "telephony/calls/conversation/participants.py": "third_party",
    },
    ".sms()": {
        "appeals/templates/receipt.html": "receipt_sms",
        "appeals/web/record_api.py": "receipt_sms",
    },
    "render_receipt": {
        "appeals/web/downloads.py": "receipt_print",
        "appeals/status/receipt_pdf.py": "receipt_print",
    },
    "receipt.lines()": {
        "appeals/templates/receipt.html": "receipt_print",
        "appeals/status/receipt_pdf.py": "receipt_print",
    },
}
#: What rings somebody below these, and the only files that do: whoever else wants to, goes by them.
BELOW: dict[str, set[str]] = {
    "PJSIP/network": {"telephony/asterisk/switch.py"},
    ".originate(": {"telephony/asterisk/switch.py"},
    '"endpoint":': {"telephony/asterisk/switch.py"},
    '"Originate"': set(),
    "sendMessage": set(),
    # The telephones of consultants, and 1414 for a caller who is on the line.
    ".ring(": {
        "telephony/calls/conversation/participants.py",
        "telephony/calls/conversation/supervision.py",
        "telephony/calls/inbound/queueing.py",
        "telephony/controller/outbound_calls.py",
    },
    ".call_unified_center(": {"telephony/calls/inbound/redirect_to_1414.py"},
    # Alerts to staff that nobody has acknowledged; a word to the authority that something waits.
    "send_mail(": {"platform/mail/smtp.py", "wallboard/escalation.py", "demands/notices.py"},
    "post_json(": {"wallboard/escalation.py", "wallboard/webhook.py"},
}
#: The same in the dialplan: consultants, and 1414.
DIALLED = {"Dial(PJSIP/unified-center", "Dial(${MEMBERINTERFACE}"}
#: Libraries that reach other machines, and the files that do so; none of them writes to people. A
#: room that does is a way out, and stands above with its files.
CLIENTS: dict[str, set[str]] = {
    "aiohttp": {
        "demo/written_message.py",  # to our own portal
        "platform/identity/oidc_client.py",
        "platform/monitoring/http_status.py",
        "platform/monitoring/metrics_server.py",
        "telephony/asterisk/ari.py",
        "wallboard/webhook.py",
    },
    "aiosmtplib": {"platform/mail/smtp.py"},
    **dict.fromkeys(
        ("httpx", "requests", "urllib3", "smtplib", "imaplib", "twilio", "telegram"),
        cast(set[str], set()),
    ),
}


def test_nothing_reaches_people_but_the_ways_out() -> None:
    root = Path(registry.__file__).parents[2]
    texts = {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for pattern in ("*.py", "*.html")
        for path in root.rglob(pattern)
        if "node_modules" not in path.parts
    }
    # Telephones of our own, which belong to demo and tests.
    texts = {path: text for path, text in texts.items() if not path.startswith("sipphone/")}

    def users_of(used: str) -> set[str]:
        return {path for path, text in texts.items() if used in text}

    for primitive, files in PRIMITIVES.items():
        assert users_of(primitive) == set(files), primitive
        assert set(files.values()) <= set(WAYS)
    for primitive, users in BELOW.items():
        assert users_of(primitive) == users, primitive
    for library, users in CLIENTS.items():
        imported = users_of(f"import {library}") | users_of(f"from {library}")
        assert imported == users, library


def test_the_dialplan_dials_nobody_but_consultants_and_1414() -> None:
    for path in (ROOT / "dialplan").rglob("*"):
        dialplan = path.read_text(encoding="utf-8") if path.is_file() else ""
        found = re.findall(r"(?:Dial|Originate|Page|SendText|MessageSend)\([^,)]*", dialplan)
        assert set(found) <= DIALLED, path


async def test_a_word_about_all_numbers_binds_those_of_the_appeal(center: Center) -> None:
    phone = WHOLE | {"f.applicant.phone": "8 701 999 88 77"}
    await center.say(word(False, channel=ContactMeans.CALL))
    assert not await third_party(center)
    await authorize_third_party(center.engine, OTHER)  # of a body, for all that is known
    await send(center.head, center.call.number, version=2, **phone)
    with pytest.raises(ContactRefused):
        await authorize_third_party(center.engine, OTHER)


async def test_a_callback_requested_later_replaces_the_earlier_wish(center: Center) -> None:
    await center.say(word(False, 5))
    assert not await third_party(center)
    at = NOW - timedelta(hours=1)
    request = CallbackRequest(uuid4(), center.call.id, CALLER, "ru", False, at, at)
    async with unit_of_work(center.engine) as connection:
        await callbacks.promise_callback(connection, request)
    assert await third_party(center)
    assert await outbound(center)


async def test_a_refused_callback_ends_and_an_untimely_one_waits(center: Center) -> None:
    async def state() -> tuple[Any, ...]:
        [row] = await rows(
            center.engine,
            "SELECT state, attempts, due_at > now() FROM promise ORDER BY promised_at, due_at DESC",
        )
        return row

    await center.say(word(True, hours=CLOSED, number=CALLER))
    assert not await callback(center)
    assert await state() == ("open", 0, True)
    await rows(center.engine, "DELETE FROM promise RETURNING id")
    await center.say(word(False))
    assert not await callback(center)
    assert await state() == ("unwanted", 0, False)


@pytest.mark.parametrize("number", ["102", "112", "1414"])
async def test_services_are_called_whatever_was_said(center: Center, number: str) -> None:
    await center.say(word(False))
    await authorize_third_party(center.engine, number)


async def test_wishes_follow_a_part_and_a_join(center: Center) -> None:
    head, number = center.head, center.call.number
    await center.say(word(False, number=OTHER), word(True, hours=OPEN))
    part = await send(head, number, "split", version=2, key="content")
    assert part.status_code == 303
    counts = "SELECT count(*) FROM contact_wish GROUP BY appeal_id"
    assert await rows(center.engine, counts) == [(2,), (2,)]
    new = part.headers["location"].split("/")[2]
    joined = await send(head, new, "join", version=2, into=number, reason="Одно и то же")
    assert joined.status_code == 303
    assert sorted(await rows(center.engine, counts)) == [(2,), (4,)]


async def test_masking_leaves_a_closed_number_closed_of_no_appeal(center: Center) -> None:
    await center.say(
        word(False, 9, number=OTHER, person="applicant"),
        word(True, 8, number=OTHER, person="applicant"),
        word(False, 7, number=CALLER),
        word(False, 6),
    )
    async with unit_of_work(center.engine) as connection:
        await personal_data.erase(connection, center.call.id)
    remaining = "SELECT appeal_id, person, number, allowed, author FROM contact_wish"
    assert await rows(center.engine, remaining) == [(None, "", CALLER, False, "")]
    async with unit_of_work(center.engine) as connection:
        await contact_store.add(connection, center.call.id, [word(True, 0, number=CALLER)])
    assert [row[3] for row in await rows(center.engine, remaining)] == [True]


async def test_the_version_before_and_this_one_keep_one_list(center: Center) -> None:
    async with unit_of_work(center.engine) as connection:
        await connection.execute(
            insert(call_unwanted).values(number=CALLER, author="user:old", asked_at=NOW)
        )
    assert not await third_party(center)
    await rows(center.engine, "DELETE FROM call_unwanted RETURNING number")
    assert await third_party(center)
    async with unit_of_work(center.engine) as connection:
        await contact_store.add(connection, center.call.id, [word(False, 0, number=CALLER)])
    assert await rows(center.engine, "SELECT number FROM call_unwanted") == [(CALLER,)]
