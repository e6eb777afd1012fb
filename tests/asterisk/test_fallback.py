"""The dialplan alone, with no controller connected, on the real Asterisk with real telephones.

The state of this switch lies in a folder whose name needs every escape of the templates.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from callcenter.asterisk.render import SipAccount, apply, render, write
from callcenter.demo.call import Call
from callcenter.demo.faults import Refused
from callcenter.demo.phone import Phone
from callcenter.demo.sound import RATE, Pcm, encode, find, loudness, tone
from callcenter.settings import Settings
from tests.rendered.running import ACCOUNTS, PASSWORD, center_port, cli, running, settings_of, until

PROMPTS = [
    f"{language}/{prompt}"
    for prompt in ("greeting", "recording_notice", "queue_hold", "transfer_ecc", "tech_fault")
    for language in ("kk", "ru")
]
WELCOME, NOTICE_OF_1414, FAULT = PROMPTS[:4], PROMPTS[6:8], PROMPTS[8:]


def sound_of(prompt: str) -> Pcm:
    """Noise, another for each prompt, so that each is known again in what a caller heard."""
    noise = np.random.default_rng(crc32(prompt.encode())).integers(-6000, 6000, RATE * 2 // 5)
    return noise.astype(np.int16)


@dataclass
class Switch:
    settings: Settings

    @property
    def server(self) -> tuple[str, int]:
        return "127.0.0.1", self.settings.sip_port

    def ledger(self, call_of: str) -> list[dict[str, str]]:
        """The events of the call that the caller of this number has placed, in order."""
        path = self.settings.asterisk_folder / "log" / "cel-custom" / "ledger.jsonl"
        events = [json.loads(line) for line in path.read_bytes().splitlines()]
        calls = {
            each["linkedid"]
            for each in events
            if each["eventtype"] == "RECEIVED" and extra(each) == call_of
        }
        return [each for each in events if each["linkedid"] in calls]

    async def whole_ledger(self, call_of: str) -> list[dict[str, str]]:
        """The same, once the call is over in the ledger too."""
        await until(lambda: bool(self.ledger(call_of)[-1:]) and ended(self.ledger(call_of)))
        return self.ledger(call_of)

    def recordings(self) -> dict[Path, Pcm]:
        """What is in the spool: left and right of each recording."""
        files = self.settings.spool.glob("fallback-*.raw")
        return {path: np.fromfile(path, "<i2").reshape(-1, 2) for path in files}


def extra(event: dict[str, str]) -> str:
    return str(json.loads(event["eventextra"])["extra"])


def ended(events: list[dict[str, str]]) -> bool:
    return events[-1]["eventtype"] == "LINKEDID_END"


def marks(events: list[dict[str, str]]) -> list[tuple[str, str]]:
    """What the dialplan has marked: the names of the events and what they say."""
    return [
        (each["eventtype"], extra(each))
        for each in events
        if each["appname"] == "CELGenUserEvent" and each["eventtype"].startswith("FALLBACK")
    ]


def played(call: Call, prompts: list[str]) -> bool:
    """Whether the caller heard these prompts whole, in this order."""
    matches = [find(call.heard.pcm(), sound_of(each), seconds=None) for each in prompts]
    times = [match.begins_at for match in matches]
    return min(match.likeness for match in matches) > 0.8 and times == sorted(times)


@pytest.fixture(scope="module")
def switch(short_folder: Path) -> Iterator[Switch]:
    settings = settings_of(short_folder / "v (1);é #%s=>x")
    write(settings, render(settings, ACCOUNTS))
    for prompt in PROMPTS:
        path = settings.prompts / f"{prompt}.alaw"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(sound_of(prompt), "PCMA"))
    (settings.prompts / "moh").mkdir()
    (settings.prompts / "moh" / "tone.alaw").write_bytes(encode(tone(300, 5), "PCMA"))
    with running(settings):
        yield Switch(settings)


@pytest.fixture
async def clean(switch: Switch) -> AsyncIterator[None]:
    """No channel and no bridge is left behind by a test."""
    yield
    await until(lambda: cli(switch.settings, "core show channels count").startswith("0 active"))
    assert len(cli(switch.settings, "bridge show all").strip().splitlines()) == 1  # the heading


@pytest.fixture
async def consultant(switch: Switch, clean: None) -> AsyncIterator[Phone]:
    async with Phone(
        server=switch.server, address="127.0.0.9", user="1001", password=PASSWORD
    ) as phone:
        await phone.register()
        yield phone


@pytest.fixture
async def center(switch: Switch, clean: None) -> AsyncIterator[Phone]:
    """The Unified Contact Center."""
    port = center_port(switch.settings)
    async with Phone(server=switch.server, address="127.0.0.3", port=port, user="1414") as phone:
        yield phone


def caller(switch: Switch, number: str, **more: str) -> Phone:
    return Phone(server=switch.server, user=number, **more)  # type: ignore[arg-type]


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


async def test_a_consultant_takes_the_call_and_it_is_recorded_in_two_channels(
    switch: Switch, consultant: Phone
) -> None:
    before = set(switch.recordings())
    async with caller(switch, "+77010000001") as phone:
        call = await phone.call("111")
        await call.answered()
        call.send_tone(440)
        talk = await consultant.next_call(15)
        assert played(call, WELCOME)
        await talk.answer()
        talk.send_tone(1000)
        await until(lambda: loudness(call.heard.pcm()[-RATE:], 1000) > -20)
        await until(lambda: loudness(talk.heard.pcm()[-RATE:], 440) > -20)
        await talk.hang_up()
        await call.ended()
    assert not played(call, NOTICE_OF_1414)
    events = await switch.whole_ledger("+77010000001")
    assert marks(events) == [
        ("FALLBACK_ENTERED", "TIMEOUT"),
        ("FALLBACK_WAITING", ""),
        ("FALLBACK_ENDED", "consultant=PJSIP/1001 redirected="),
    ]
    recordings = switch.recordings()
    (path,) = set(recordings) - before
    assert path.name == f"fallback-{events[0]['uniqueid']}.raw"
    left, right = recordings[path].T
    assert loudness(left, 440) > -20
    assert loudness(right, 1000) > -20
    assert loudness(left, 1000) < -50
    assert loudness(right, 440) < -50


async def test_with_nobody_at_a_telephone_the_caller_goes_to_1414_with_notice_and_unrecorded(
    switch: Switch, center: Phone
) -> None:
    before = switch.recordings()
    async with caller(switch, "+77010000002") as phone:
        call = await phone.call("111")
        await call.answered()
        talk = await center.next_call(15)
        assert played(call, WELCOME + NOTICE_OF_1414)
        assert talk.invite is not None
        assert "+77010000002" in talk.invite.need("From")
        await talk.answer()
        talk.send_tone(1000)
        await until(lambda: loudness(call.heard.pcm()[-RATE:], 1000) > -20)
        await talk.hang_up()
        await call.ended()
    assert not played(call, FAULT)
    assert marks(await switch.whole_ledger("+77010000002")) == [
        ("FALLBACK_ENTERED", "TIMEOUT"),
        ("FALLBACK_WAITING", ""),
        ("FALLBACK_REDIRECTING", ""),
        ("FALLBACK_ENDED", "consultant= redirected=ANSWER"),
    ]
    assert all(not len(pcm) for path, pcm in switch.recordings().items() if path not in before)


async def test_a_caller_whom_1414_does_not_take_is_told_of_the_fault(
    switch: Switch, center: Phone
) -> None:
    async with caller(switch, "+77010000003") as phone:
        call = await phone.call("111")
        await call.answered()
        await (await center.next_call(15)).reject(486)
        await call.ended()
    assert played(call, WELCOME + NOTICE_OF_1414 + FAULT)
    assert marks(await switch.whole_ledger("+77010000003"))[-2:] == [
        ("FALLBACK_REDIRECT_FAILED", "BUSY"),
        ("FALLBACK_ENDED", "consultant= redirected=BUSY"),
    ]


async def test_a_consultant_who_does_not_answer_is_passed_over(
    switch: Switch, consultant: Phone
) -> None:
    second = Phone(server=switch.server, address="127.0.0.8", user="1002", password=PASSWORD)
    async with caller(switch, "+77010000004") as phone, second:
        await second.register()
        call = await phone.call("111")
        await call.answered()
        await until(lambda: bool(consultant.calls or second.calls), 15)
        first, other = (consultant, second) if consultant.calls else (second, consultant)
        await (await first.next_call()).reject(486)
        await (await other.next_call()).answer()
        await call.hang_up()
    last = marks(await switch.whole_ledger("+77010000004"))[-1]
    taker = "1002" if first is consultant else "1001"
    assert last == ("FALLBACK_ENDED", f"consultant=PJSIP/{taker} redirected=")


async def test_a_caller_who_waits_hears_music_and_may_hang_up(
    switch: Switch, consultant: Phone
) -> None:
    async with caller(switch, "+77010000005") as phone:
        call = await phone.call("111")
        await call.answered()
        ringing = await consultant.next_call(15)
        await until(lambda: loudness(call.heard.pcm()[-RATE:], 300) > -25)
        await call.hang_up()
        await ringing.ended()
    assert marks(await switch.whole_ledger("+77010000005"))[-1] == (
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
            await until(lambda: loudness(call.heard.pcm()[-RATE:], 1000) > -20)
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
        assert changed == ["pjsip.conf", "queues.conf"]
        assert "PJSIP/1003" in cli(switch.settings, "queue show fallback")
        assert "1003/1003" in cli(switch.settings, "pjsip show auths")
        assert await apply(switch.settings, ACCOUNTS, reload=True) == changed
        assert "1003" not in cli(switch.settings, "pjsip show auths")
        await until(lambda: loudness(call.heard.pcm()[-RATE:], 1000) > -20)
        assert not call.is_over
        assert "1001/sip:1001@127.0.0.9" in cli(switch.settings, "pjsip show contacts")
        await call.hang_up()


@pytest.mark.parametrize("number", ["112", "11", "1111", "+7111", "s", "h", "fallback", "_X."])
async def test_the_trunk_reaches_111_and_nothing_else(
    number: str, switch: Switch, clean: None
) -> None:
    async with caller(switch, "+77010000008") as phone:
        with pytest.raises(Refused) as refused:
            await (await phone.call(number)).answered()
    assert refused.value.status == 404


@pytest.mark.parametrize("user", ["+77010000009", "operator", "unified-center", "1001", "1414"])
async def test_a_stranger_is_refused_and_logged(user: str, switch: Switch, clean: None) -> None:
    log = switch.settings.asterisk_folder / "log" / "security.log"
    async with Phone(server=switch.server, address="127.0.0.66", user=user) as stranger:
        with pytest.raises(Refused) as refused:
            await (await stranger.call("111")).answered()
        assert refused.value.status == 401
        with pytest.raises(Refused):
            await stranger.register()
        address = f"127.0.0.66/{stranger.place[1]}"
    await until(lambda: log.read_text(encoding="utf-8").count(address) >= 2)


async def test_a_wrong_password_is_refused_and_logged(switch: Switch, clean: None) -> None:
    log = switch.settings.asterisk_folder / "log" / "security.log"
    async with Phone(
        server=switch.server, address="127.0.0.66", user="1001", password="wrong"
    ) as stranger:
        with pytest.raises(Refused) as refused:
            await stranger.register()
        assert refused.value.status == 401
        address = f"127.0.0.66/{stranger.place[1]}"
    failed = 'SecurityEvent="ChallengeResponseFailed"'
    await until(
        lambda: any(
            failed in line and address in line
            for line in log.read_text(encoding="utf-8").splitlines()
        )
    )


@pytest.mark.parametrize("number", ["111", "1002", "1414", "s"])
async def test_a_consultant_can_call_nobody(number: str, switch: Switch, consultant: Phone) -> None:
    with pytest.raises(Refused) as refused:
        await (await consultant.call(number)).answered()
    assert refused.value.status == 404


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


@pytest.mark.parametrize(("number", "kept"), HOSTILE)
async def test_a_hostile_caller_breaks_no_line_of_the_ledger(
    number: str, kept: str | None, switch: Switch, center: Phone
) -> None:
    name = 'x"},{\\"y\\\\ \t ${EXTEN} Айгүл'
    async with caller(switch, number, display_name=name) as phone:
        call = await phone.call("111")
        await call.answered()
        await call.hang_up()
    path = switch.settings.asterisk_folder / "log" / "cel-custom" / "ledger.jsonl"
    await until(lambda: cli(switch.settings, "core show channels count").startswith("0 active"))
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    (uniqueid,) = {each["uniqueid"] for each in events[-1:]}
    received = [each for each in events if each["uniqueid"] == uniqueid][1]
    assert received["eventtype"] == "RECEIVED"
    digits = extra(received)
    assert digits == kept if kept else digits.isdigit() and len(digits) < 100
    assert not [each for each in events if "FORGED" in each["eventtype"]]


async def test_a_withheld_number_is_not_in_the_ledger_nor_told_to_1414(
    switch: Switch, center: Phone
) -> None:
    headers = {"P-Asserted-Identity": "<sip:+77010000010@127.0.0.2>", "Privacy": "id"}
    async with caller(switch, "anonymous") as phone:
        call = await phone.call("111", headers=headers)
        await call.answered()
        talk = await center.next_call(15)
        assert talk.invite is not None
        assert "77010000010" not in str(talk.invite)
        await call.hang_up()
    events = await switch.whole_ledger("withheld")
    assert "77010000010" not in json.dumps(events)
