"""The dialplan alone, without a controller, on a real Asterisk with telephones.

The state of this switch lies in a folder whose name needs every escape of the templates.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import pytest_asyncio

from callcenter.platform.core.settings import Settings
from callcenter.sipphone.audio import RATE, Pcm, encode, find, loudness, tone
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.errors import Refused
from callcenter.sipphone.phone import Phone
from callcenter.telephony.asterisk.config.renderer import SipAccount, apply
from tests.asterisk.switch import (
    CONSULTANTS,
    PASSWORD,
    STRANGER,
    UNIFIED_CENTER,
    Switch,
    account,
    with_free_ports,
)
from tests.polling import until
from tests.seeds import numpy_generator
from tests.services import new_folder

pytestmark = pytest.mark.asyncio(loop_scope="module")

ACCOUNTS = [account(extension, PASSWORD) for extension in ("1001", "1002")]

PROMPTS = [
    f"{language}/{prompt}"
    for prompt in (
        "greeting",
        "urgent_keys",
        "recording_notice",
        "queue_hold",
        "transfer_ecc",
        "tech_fault",
    )
    for language in ("kk", "ru")
]
WELCOME, NOTICE_OF_1414, FAULT = PROMPTS[:6], PROMPTS[8:10], PROMPTS[10:]


def sound_of(prompt: str) -> Pcm:
    """Noise, another for each prompt, so that each is known again in what a caller heard."""
    noise = numpy_generator(crc32(prompt.encode())).integers(-6000, 6000, RATE * 2 // 5)
    return noise.astype(np.int16)


def cel_events(switch: Switch, call_of: str) -> list[dict[str, str]]:
    """The events of the call that the caller of this number has placed, in order."""
    path = switch.settings.asterisk_folder / "log" / "cel-custom" / "ledger.jsonl"
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    calls = {
        each["linkedid"]
        for each in events
        if each["eventtype"] == "RECEIVED" and extra(each) == call_of
    }
    return [each for each in events if each["linkedid"] in calls]


async def all_cel_events(switch: Switch, call_of: str) -> list[dict[str, str]]:
    """The same, once the call is over in the CEL log too."""

    def is_over() -> bool:
        return "LINKEDID_END" in [each["eventtype"] for each in cel_events(switch, call_of)]

    await until(is_over, "the call is over in the CEL log")
    return cel_events(switch, call_of)


def recordings(switch: Switch) -> dict[Path, Pcm]:
    """Recordings in the spool: left and right of each."""
    files = switch.settings.spool.glob("fallback-*.raw")
    return {path: np.fromfile(path, "<i2").reshape(-1, 2) for path in files}


async def hears(call: SipCall, hertz: float) -> None:
    """Returns once this tone is what is heard in the call."""
    await until(lambda: loudness(call.heard.pcm()[-RATE:], hertz) > -25, f"{hertz} Hz is heard")


def extra(event: dict[str, str]) -> str:
    return str(json.loads(event["eventextra"])["extra"])


def marks(events: list[dict[str, str]]) -> list[tuple[str, str]]:
    """Events that the dialplan wrote: their names and contents."""
    return [
        (each["eventtype"], extra(each))
        for each in events
        if each["appname"] == "CELGenUserEvent" and each["eventtype"].startswith("FALLBACK")
    ]


def played(call: SipCall) -> list[str]:
    """The prompts that the caller has heard, in order."""
    heard = call.heard.pcm()
    matches = {prompt: find(heard, sound_of(prompt), seconds=None) for prompt in PROMPTS}
    # Noise that was not played is below 0.1; a packet that came late breaks the likeness in two.
    sure = [prompt for prompt, match in matches.items() if match.likeness > 0.3]
    return sorted(sure, key=lambda prompt: matches[prompt].begins_at)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(short_folder: Path) -> AsyncIterator[Switch]:
    settings = Settings(_env_file=None, var=new_folder(short_folder / "v (1);é #%s=>x"))
    switch = Switch(
        with_free_ports(settings, claim_timeout=0.1, ring_timeout=5, unified_ring_timeout=2),
        ACCOUNTS,
    )
    for prompt in PROMPTS:
        path = settings.prompts / f"{prompt}.alaw"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(sound_of(prompt), "PCMA"))
    (settings.prompts / "moh").mkdir()
    (settings.prompts / "moh" / "tone.alaw").write_bytes(encode(tone(300, 5), "PCMA"))
    async with switch:
        yield switch


@pytest_asyncio.fixture(loop_scope="module")
async def switch(running: Switch) -> AsyncIterator[Switch]:
    """One switch for all; no channel, bridge or open recording is left behind by a test."""
    yield running
    await running.assert_no_resources_left()


@pytest_asyncio.fixture(loop_scope="module")
async def consultant(switch: Switch) -> AsyncIterator[Phone]:
    async with Phone(
        server=switch.sip, address=CONSULTANTS, user="1001", password=PASSWORD
    ) as phone:
        await phone.register()
        yield phone


@pytest_asyncio.fixture(loop_scope="module")
async def center(switch: Switch) -> AsyncIterator[Phone]:
    """The Unified Contact Center."""
    port = switch.unified_center_port
    async with Phone(server=switch.sip, address=UNIFIED_CENTER, port=port, user="1414") as phone:
        yield phone


def caller(switch: Switch, number: str, display_name: str | None = None) -> Phone:
    return Phone(server=switch.sip, user=number, display_name=display_name)


@contextmanager
def missing(paths: list[Path]) -> Iterator[None]:
    """These files are away until the end of the block."""
    for path in paths:
        path.rename(path.with_suffix(".away"))
    try:
        yield
    finally:
        for path in paths:
            path.with_suffix(".away").rename(path)


async def test_a_language_key_is_the_short_way_to_the_queue(
    switch: Switch, consultant: Phone
) -> None:
    """As in the menus: who has chosen hears the notice in that language, and a consultant rings."""
    async with caller(switch, "+77010000021") as phone:
        call = await phone.call("111")
        await call.answered()
        call.send_silence()
        await until(lambda: played(call) == ["kk/greeting"], "the greeting has begun")
        await call.press("2")
        talk = await consultant.next_call(15)
        heard = played(call)
        assert heard == ["kk/greeting", "ru/recording_notice"]
        await talk.answer()
        await call.hang_up()
        await talk.ended()


async def test_a_consultants_call_is_recorded_in_two_channels(
    switch: Switch, consultant: Phone
) -> None:
    before = set(recordings(switch))
    async with caller(switch, "+77010000001") as phone:
        call = await phone.call("111")
        await call.answered()
        call.send_tone(440)
        talk = await consultant.next_call(15)
        assert played(call) == WELCOME
        await talk.answer()
        talk.send_tone(1000)
        await hears(call, 1000)
        await hears(talk, 440)
        await talk.hang_up()
        await call.ended()
    assert played(call) == WELCOME
    events = await all_cel_events(switch, "+77010000001")
    assert marks(events) == [
        ("FALLBACK_ENTERED", "TIMEOUT"),
        ("FALLBACK_WAITING", ""),
        ("FALLBACK_ENDED", "consultant=PJSIP/1001 redirected="),
    ]
    files = recordings(switch)
    (path,) = set(files) - before
    assert path.name == f"fallback-{events[0]['uniqueid']}.raw"
    left, right = files[path].T
    assert loudness(left, 440) > -30
    assert loudness(right, 1000) > -30
    assert loudness(left, 1000) < -50
    assert loudness(right, 440) < -50


async def test_with_no_telephone_the_caller_goes_to_1414_unrecorded(
    switch: Switch, center: Phone
) -> None:
    before = recordings(switch)
    async with caller(switch, "+77010000002") as phone:
        call = await phone.call("111")
        await call.answered()
        talk = await center.next_call(15)
        assert played(call) == WELCOME + NOTICE_OF_1414
        assert talk.invite is not None
        assert "+77010000002" in talk.invite.need("From")
        await talk.answer()
        talk.send_tone(1000)
        await hears(call, 1000)
        await talk.hang_up()
        await call.ended()
    assert played(call) == WELCOME + NOTICE_OF_1414
    assert marks(await all_cel_events(switch, "+77010000002")) == [
        ("FALLBACK_ENTERED", "TIMEOUT"),
        ("FALLBACK_WAITING", ""),
        ("FALLBACK_REDIRECTING", ""),
        ("FALLBACK_ENDED", "consultant= redirected=ANSWER"),
    ]
    assert all(not len(pcm) for path, pcm in recordings(switch).items() if path not in before)


async def test_a_caller_whom_1414_refuses_hears_of_the_fault(switch: Switch, center: Phone) -> None:
    async with caller(switch, "+77010000003") as phone:
        call = await phone.call("111")
        await call.answered()
        await (await center.next_call(15)).reject(486)
        await call.ended()
    assert played(call) == WELCOME + NOTICE_OF_1414 + FAULT
    assert marks(await all_cel_events(switch, "+77010000003"))[-2:] == [
        ("FALLBACK_REDIRECT_FAILED", "BUSY"),
        ("FALLBACK_ENDED", "consultant= redirected=BUSY"),
    ]


async def test_a_consultant_who_does_not_answer_is_passed_over(
    switch: Switch, consultant: Phone
) -> None:
    second = Phone(server=switch.sip, address=CONSULTANTS, user="1002", password=PASSWORD)
    async with caller(switch, "+77010000004") as phone, second:
        await second.register()
        call = await phone.call("111")
        await call.answered()
        await until(lambda: consultant.calls or second.calls, "one of the two is rung")
        first, other = (consultant, second) if consultant.calls else (second, consultant)
        await (await first.next_call()).reject(486)
        await (await other.next_call()).answer()
        await call.hang_up()
    last = marks(await all_cel_events(switch, "+77010000004"))[-1]
    taker = "1002" if first is consultant else "1001"
    assert last == ("FALLBACK_ENDED", f"consultant=PJSIP/{taker} redirected=")


async def shown(switch: Switch, command: str, has: Callable[[str], bool]) -> str:
    """What a command of the CLI shows, once it has this."""
    async with asyncio.timeout(40):
        while not has(output := await switch.cli(command)):
            await asyncio.sleep(0.2)
    return output


async def in_the_queue(switch: Switch, count: int) -> list[str]:
    """The channels of the callers in the queue, in its order, once there are so many."""
    shows = "queue show fallback"
    return re.findall(
        r"(\S+) \(wait", await shown(switch, shows, lambda it: it.count("(wait") == count)
    )


async def test_callers_leave_the_queue_of_all_members_for_leases(
    switch: Switch, consultant: Phone
) -> None:
    """Between two rings; as long as there are none they keep the order of arrival."""
    until_when, leases = (f"dialplan set global FALLBACK_LEASE{it} " for it in ("D_UNTIL", "S"))
    async with (
        caller(switch, "+77010000031") as first,
        caller(switch, "+77010000032") as second,
    ):
        calls = []
        for phone in (first, second):
            calls.append(await phone.call("111"))
            await calls[-1].answered()
            callers = await in_the_queue(switch, len(calls))
        for each in callers:
            await shown(switch, f"core show channel {each}", lambda it: "TURNS=" in it)
        assert await in_the_queue(switch, 2) == callers
        await switch.cli(f"{until_when} 9999999999")
        try:
            keys = "!fallback-keys!leased!"
            await shown(switch, "core show channels concise", lambda it: it.count(keys) == 2)
            assert not consultant.calls
            uniqueid = cel_events(switch, "+77010000032")[0]["uniqueid"]
            await switch.cli(f"{leases} <{uniqueid}=1001>")
            while (talk := await consultant.next_call(15)).is_over:
                pass
            await talk.answer()
        finally:
            await switch.cli(f"{until_when} 0")
            await switch.cli(f"{leases} 0")
        for call in calls:
            await call.hang_up()
    last = marks(await all_cel_events(switch, "+77010000032"))[-1]
    assert last == ("FALLBACK_ENDED", "consultant=PJSIP/1001 redirected=")


async def test_a_long_wait_is_announced_again_in_each_language(
    switch: Switch, consultant: Phone
) -> None:
    """Every second turn in the queue; the turns between are skipped here."""
    async with caller(switch, "+77010000033") as phone:
        call = await phone.call("111")
        await call.answered()
        (channel,) = await in_the_queue(switch, 1)
        await switch.cli(f"dialplan set chanvar {channel} TURNS 1")
        await until(lambda: played(call) == [*WELCOME, "kk/queue_hold"], "hears it")
        await switch.cli(f"dialplan set chanvar {channel} TURNS 3")
        both = [*WELCOME, "kk/queue_hold", "ru/queue_hold"]
        await until(lambda: played(call) == both, "hears it again, in the other language")
        assert await in_the_queue(switch, 1) == [channel]
        await call.hang_up()
    assert marks(await all_cel_events(switch, "+77010000033"))[-1] == (
        "FALLBACK_ENDED",
        "consultant= redirected=",
    )


async def test_a_caller_who_waits_hears_music_and_may_hang_up(
    switch: Switch, consultant: Phone
) -> None:
    async with caller(switch, "+77010000005") as phone:
        call = await phone.call("111")
        await call.answered()
        ringing = await consultant.next_call(15)
        await hears(call, 300)
        await call.hang_up()
        await ringing.ended()
    assert marks(await all_cel_events(switch, "+77010000005"))[-1] == (
        "FALLBACK_ENDED",
        "consultant= redirected=",
    )


async def test_missing_prompts_and_music_cut_nobody_off(switch: Switch, consultant: Phone) -> None:
    with missing(sorted(switch.settings.prompts.rglob("*.alaw"))):
        async with caller(switch, "+77010000006") as phone:
            call = await phone.call("111")
            await call.answered()
            talk = await consultant.next_call(15)
            await talk.answer()
            talk.send_tone(1000)
            await hears(call, 1000)
            await call.hang_up()


async def test_a_reload_disturbs_no_call_and_lets_new_consultants_in(
    switch: Switch, consultant: Phone
) -> None:
    more = SipAccount("1003", ACCOUNTS[0].digest)
    async with caller(switch, "+77010000007") as phone:
        call = await phone.call("111")
        await call.answered()
        talk = await consultant.next_call(15)
        await talk.answer()
        talk.send_tone(1000)
        changed = await apply(switch.settings, (*ACCOUNTS, more), reload=True)
        assert changed == ["accounts/pjsip.conf", "accounts/queues.conf"]
        assert "PJSIP/1003" in await switch.cli("queue show fallback")
        assert "1003/1003" in await switch.cli("pjsip show auths")
        assert await apply(switch.settings, ACCOUNTS, reload=True) == changed
        assert "1003" not in await switch.cli("pjsip show auths")
        await hears(call, 1000)
        assert not call.is_over
        assert f"1001/sip:1001@{CONSULTANTS}" in await switch.cli("pjsip show contacts")
        await call.hang_up()


@pytest.mark.parametrize("number", ["112", "11", "1111", "+7111", "s", "h", "fallback", "_X."])
async def test_the_trunk_reaches_111_and_nothing_else(number: str, switch: Switch) -> None:
    async with caller(switch, "+77010000008") as phone:
        with pytest.raises(Refused) as refused:
            await (await phone.call(number)).answered()
    assert refused.value.status == 404


@pytest.mark.parametrize("user", ["+77010000009", "operator", "unified-center", "1001", "1414"])
async def test_a_stranger_is_refused_and_logged(user: str, switch: Switch) -> None:
    async with Phone(server=switch.sip, address=STRANGER, user=user) as stranger:
        with pytest.raises(Refused) as refused:
            await (await stranger.call("111")).answered()
        assert refused.value.status == 401
        with pytest.raises(Refused):
            await stranger.register()
        address = f"{STRANGER}/{stranger.place[1]}"
    await until(lambda: switch.log("security.log").count(address) >= 2, "both are logged")


async def test_a_wrong_password_is_refused_and_logged(switch: Switch) -> None:
    async with Phone(
        server=switch.sip, address=STRANGER, user="1001", password="wrong"
    ) as stranger:
        with pytest.raises(Refused) as refused:
            await stranger.register()
        assert refused.value.status == 401
        address = f"{STRANGER}/{stranger.place[1]}"

    def is_logged() -> bool:
        failed = 'SecurityEvent="ChallengeResponseFailed"'
        lines = switch.log("security.log").splitlines()
        return any(failed in line and address in line for line in lines)

    await until(is_logged, "the wrong password is logged")


@pytest.mark.parametrize(
    ("number", "status"), [("111", 503), ("1002", 503), ("1414", 503), ("s", 404)]
)
async def test_a_consultant_can_call_nobody(
    number: str, status: int, switch: Switch, consultant: Phone
) -> None:
    """Numbers are for controllers to call, and none is there."""
    with pytest.raises(Refused) as refused:
        await (await consultant.call(number)).answered()
    assert refused.value.status == status


HOSTILE = [
    ('7701"},{"eventtype":"FORGED', "7701"),
    ("7702\r\nFORGED\r\n", "7702"),
    ("7703\\", "7703"),
    ("7704\\\"'", "7704"),
    ("7705\x01\x1b", "7705"),
    ("7706Әйгүл", "7706"),
    ("7707${SHELL(id)}", "7707"),
    ("+7708,${EXTEN}", "+7708"),
    ("7709" + "9" * 300, None),
]


@pytest.mark.parametrize(("number", "logged"), HOSTILE)
async def test_a_hostile_caller_breaks_no_line_of_cel(
    number: str, logged: str | None, switch: Switch, center: Phone
) -> None:
    name = 'x"},{\\"y\\\\ \t ${EXTEN} Айгүл'
    async with caller(switch, number, display_name=name) as phone:
        call = await phone.call("111")
        await call.answered()
        await call.hang_up()
    path = switch.settings.asterisk_folder / "log" / "cel-custom" / "ledger.jsonl"
    await switch.assert_no_resources_left()
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    (uniqueid,) = {each["uniqueid"] for each in events[-1:]}
    received = [each for each in events if each["uniqueid"] == uniqueid][1]
    assert received["eventtype"] == "RECEIVED"
    digits = extra(received)
    assert digits == logged if logged else digits.isdigit() and len(digits) < 100
    assert not [each for each in events if "FORGED" in each["eventtype"]]


ASSERTED = {"P-Asserted-Identity": "<sip:+77010000010@127.0.0.2>"}
ASSERTED_TEL = {"P-Asserted-Identity": "<tel:+77010000010>"}


@pytest.mark.parametrize(
    ("number", "headers"),
    [
        ("anonymous", {**ASSERTED, "Privacy": "id"}),
        ("anonymous", {**ASSERTED_TEL, "Privacy": "id"}),
        ("anonymous", {**ASSERTED, "Privacy": "user;id;critical"}),
        ("anonymous", ASSERTED),
        ("+77010000010", {**ASSERTED, "Privacy": "ID"}),
        ("+77010000010", {"Privacy": "id"}),
        ("+77010000010", {"Privacy": 'critical; "; user'}),
        ("+77010000010", {"Privacy": "header"}),
        ("+77010000010", {"Privacy": "${SHELL(id)}"}),
        (
            "anonymous",
            {"Remote-Party-ID": "<sip:+77010000010@127.0.0.2>;party=calling;privacy=full"},
        ),
        (
            "+77010000010",
            {"Remote-Party-ID": "<sip:+77010000010@127.0.0.2>;Privacy=FULL", "Privacy": "session"},
        ),
        (
            "+77010000010",
            {"Remote-Party-ID": '<sip:+77010000010@127.0.0.2>;privacy = "full"'},
        ),
        # Several headers of one name, whose case means nothing.
        ("+77010000010", {"Privacy": "session", "PRIVACY": "critical", "privacy": "id"}),
        (
            "+77010000010",
            {
                "Remote-Party-ID": "<sip:+77010000010@127.0.0.2>;privacy=off",
                "remote-party-id": "<sip:+77010000010@127.0.0.2>;privacy=uri",
            },
        ),
    ],
)
async def test_a_withheld_number_is_neither_logged_nor_sent_to_1414(
    number: str, headers: dict[str, str], switch: Switch, center: Phone
) -> None:
    path = switch.settings.asterisk_folder / "log" / "cel-custom" / "ledger.jsonl"
    start = path.stat().st_size if path.exists() else 0
    async with caller(switch, number) as phone:
        call = await phone.call("111", headers=headers)
        await call.answered()
        talk = await center.next_call(15)
        assert talk.invite is not None
        assert "77010000010" not in str(talk.invite)
        await call.hang_up()
    await switch.assert_no_resources_left()
    await until(lambda: b"LINKEDID_END" in path.read_bytes()[start:], "the call is over in CEL")
    events = [json.loads(line) for line in path.read_bytes()[start:].splitlines()]
    assert [extra(each) for each in events if each["eventtype"] == "RECEIVED"] == ["withheld"]
    assert "77010000010" not in json.dumps(events)


@pytest.mark.parametrize("privacy", ["none", "session", "history;critical", "identity"])
async def test_a_number_that_is_given_is_stored(privacy: str, switch: Switch) -> None:
    path = switch.settings.asterisk_folder / "log" / "cel-custom" / "ledger.jsonl"
    start = path.stat().st_size if path.exists() else 0
    async with caller(switch, "+77010000011") as phone:
        call = await phone.call("111", headers={**ASSERTED, "Privacy": privacy})
        await call.answered()
        await call.hang_up()
    await until(lambda: b"LINKEDID_END" in path.read_bytes()[start:], "the call is over in CEL")
    events = [json.loads(line) for line in path.read_bytes()[start:].splitlines()]
    received = [extra(each) for each in events if each["eventtype"] == "RECEIVED"]
    assert received == ["+77010000010"]
