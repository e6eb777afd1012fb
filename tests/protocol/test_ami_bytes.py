"""AMI's parser on bytes of Asterisk 22.10.1, cut in every way that TCP may cut them.

Only names, numbers and action ids were changed.
"""

import asyncio
import selectors
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.platform.core.errors import InvalidRequest
from callcenter.telephony.asterisk.ami import (
    Ami,
    AmiActionFailed,
    AmiConnection,
    AmiUnavailable,
    Answer,
    Fields,
)

BANNER = b"Asterisk Call Manager/11.0.0\r\n"
DEVICE = (
    b"Event: DeviceStateChange\r\nPrivilege: call,all\r\nDevice: Custom:x\r\nState: INUSE\r\n\r\n"
)
RENAMED = (
    "Event: NewCallerid\r\nPrivilege: call,all\r\nChannel: Local/1@line-00000000;1\r\n"
    "CallerIDNum: 7000\r\nCallerIDName: Әйгерім Қуанышқызы\r\nConnectedLineName: \r\n\r\n"
).encode()
BOOTED = (
    b"Event: FullyBooted\r\nPrivilege: system,all\r\nUptime: 24\r\nLastReload: 24\r\n"
    b"Status: Fully Booted\r\n\r\n"
)
EVENTS = BANNER + BOOTED + RENAMED + DEVICE + DEVICE


class Wire(asyncio.Transport):
    """A transport that records what is written, and answers nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.aborted = False

    def write(self, data: Any) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True

    def action_id(self) -> bytes:
        return self.written.rpartition(b"ActionID: ")[2].partition(b"\r\n")[0]


def link_to(wire: Wire, **events: Callable[[Fields], None]) -> AmiConnection:
    link = AmiConnection(events, lambda: None)
    link.connection_made(wire)
    return link


async def answer_to(action: dict[str, str], answer: bytes) -> Answer:
    """The result of `action` after these bytes of Asterisk; ID is the action's."""
    wire = Wire()
    link = link_to(wire)
    asking = asyncio.create_task(link.ask(action, 5))
    await asyncio.sleep(0)
    link.data_received(BANNER + answer.replace(b"ID\r\n", wire.action_id() + b"\r\n"))
    return await asking


@given(cuts=st.lists(st.integers(0, len(EVENTS)), max_size=8).map(sorted))
def test_however_the_stream_is_cut_the_events_are_the_same(cuts: list[int]) -> None:
    async def received() -> list[Fields]:
        events: list[Fields] = []
        link = link_to(Wire(), NewCallerid=events.append, DeviceStateChange=events.append)
        for start, end in zip([0, *cuts], [*cuts, len(EVENTS)], strict=True):
            link.data_received(EVENTS[start:end])
        assert link.booted.is_set()
        return events

    renamed, *devices = asyncio.run(received())
    assert renamed["CallerIDName"] == "Әйгерім Қуанышқызы"
    assert [(event["Device"], event["State"]) for event in devices] == [("Custom:x", "INUSE")] * 2


async def test_a_character_cut_in_two_by_tcp_is_not_lost() -> None:
    events: list[Fields] = []
    link = link_to(Wire(), NewCallerid=events.append)
    middle = RENAMED.index("Қ".encode()) + 1
    link.data_received(BANNER + RENAMED[:middle])
    link.data_received(RENAMED[middle:])
    assert events[0]["CallerIDName"] == "Әйгерім Қуанышқызы"


async def test_a_list_is_complete_at_its_end_with_its_items() -> None:
    answer = await answer_to(
        {"Action": "DeviceStateList"},
        b"Response: Success\r\nActionID: ID\r\nEventList: start\r\n"
        b"Message: Device State Changes will follow\r\n\r\n"
        b"Event: DeviceStateChange\r\nActionID: ID\r\nDevice: PJSIP/201\r\nState: NOT_INUSE\r\n\r\n"
        b"Event: DeviceStateChange\r\nActionID: ID\r\nDevice: PJSIP/202\r\nState: INUSE\r\n\r\n"
        b"Event: DeviceStateListComplete\r\nActionID: ID\r\nEventList: Complete\r\n"
        b"ListItems: 2\r\n\r\n",
    )
    assert [(item["Device"], item["State"]) for item in answer.items] == [
        ("PJSIP/201", "NOT_INUSE"),
        ("PJSIP/202", "INUSE"),
    ]


async def test_what_came_while_we_stood_still_is_in_time() -> None:
    wire, loop = Wire(), asyncio.get_running_loop()
    link = link_to(wire)
    asking = asyncio.create_task(link.ask({"Action": "Ping"}, 0.1))
    await asyncio.sleep(0)
    answer = b"Response: Success\r\nActionID: %s\r\n\r\n" % wire.action_id()
    time.sleep(0.3)  # noqa: ASYNC251 this is the standstill
    # Timers come before what is to be read, as in uvloop.
    loop.call_later(0.01, link.data_received, BANNER + answer)
    assert (await asking).fields["Response"] == "Success"


async def test_a_silent_peer_is_no_answer() -> None:
    with pytest.raises(AmiUnavailable):
        await link_to(Wire()).ask({"Action": "Ping"}, 0.01)


async def test_a_list_may_be_empty() -> None:
    answer = await answer_to(
        {"Action": "DeviceStateList"},
        b"Response: Success\r\nActionID: ID\r\nEventList: start\r\nMessage: will follow\r\n\r\n"
        b"Event: DeviceStateListComplete\r\nActionID: ID\r\nEventList: Complete\r\n"
        b"ListItems: 0\r\n\r\n",
    )
    assert answer.items == ()


async def test_the_output_of_a_command_keeps_its_lines() -> None:
    answer = await answer_to(
        {"Action": "Command", "Command": "mixmonitor list x"},
        b"Response: Success\r\nActionID: ID\r\nMessage: Command output follows\r\n"
        b"Output: MixMonitor ID\tFile\r\nOutput: =====\r\nOutput: 0x7f9ee80053a0\t/a\r\n\r\n\r\n",
    )
    assert answer.output == "MixMonitor ID\tFile\n=====\n0x7f9ee80053a0\t/a"


async def test_a_refusal_names_the_request_and_the_reason() -> None:
    with pytest.raises(AmiActionFailed, match=r"^MixMonitor: No such channel$"):
        await answer_to(
            {"Action": "MixMonitor", "Channel": "Local/none"},
            b"Response: Error\r\nActionID: ID\r\nMessage: No such channel\r\n\r\n",
        )


async def test_a_refused_command_says_what_the_command_printed() -> None:
    with pytest.raises(AmiActionFailed, match="No such command 'nosuch'"):
        await answer_to(
            {"Action": "Command", "Command": "nosuch"},
            b"Response: Error\r\nActionID: ID\r\nMessage: Command output follows\r\n"
            b"Output: No such command 'nosuch' (type 'core show help nosuch')\r\n\r\n",
        )


@pytest.mark.parametrize("action", ["Originate", "PlayDTMF"])
async def test_actions_that_trip_panoramisk_are_answered(action: str) -> None:
    answer = await answer_to(
        {"Action": action},
        b"Response: Success\r\nActionID: ID\r\nMessage: Originate successfully queued\r\n\r\n",
    )
    assert answer.fields["Message"] == "Originate successfully queued"


async def test_an_event_after_its_actions_answer_is_an_event() -> None:
    events: list[Fields] = []
    wire = Wire()
    link = link_to(wire, OriginateResponse=events.append)
    asking = asyncio.create_task(link.ask({"Action": "Originate", "Async": "true"}, 5))
    await asyncio.sleep(0)
    tail = b"ActionID: " + wire.action_id() + b"\r\n\r\n"
    link.data_received(BANNER + b"Response: Success\r\n" + tail)
    link.data_received(b"Event: OriginateResponse\r\nResponse: Failure\r\n" + tail)
    await asking
    assert events[0]["Response"] == "Failure"


async def test_a_late_answer_to_a_forgotten_action_harms_nobody() -> None:
    events: list[Fields] = []
    wire = Wire()
    link = link_to(wire, DeviceStateChange=events.append)
    with pytest.raises(AmiUnavailable, match="no answer"):
        await link.ask({"Action": "DeviceStateList"}, 0.01)
    tail = b"ActionID: " + wire.action_id() + b"\r\n"
    link.data_received(BANNER + b"Response: Success\r\nEventList: start\r\n" + tail + b"\r\n")
    link.data_received(
        b"Event: DeviceStateChange\r\nDevice: a\r\nState: INUSE\r\n" + tail + b"\r\n"
    )
    link.data_received(
        b"Event: DeviceStateListComplete\r\nEventList: Complete\r\n" + tail + b"\r\n"
    )
    assert events == []
    link.data_received(DEVICE)
    assert len(events) == 1


async def test_a_lost_connection_fails_pending_actions_for_good() -> None:
    wire = Wire()
    link = link_to(wire)
    asking = asyncio.create_task(link.ask({"Action": "Originate", "Channel": "Local/x"}, 5))
    await asyncio.sleep(0)
    link.connection_lost(None)
    with pytest.raises(AmiUnavailable, match="Originate: the AMI connection was lost"):
        await asking
    assert link.responses == {}
    assert wire.aborted


async def test_asterisk_that_says_it_shuts_down_is_left_at_once() -> None:
    wire = Wire()
    link = link_to(wire)
    link.data_received(BANNER + b"Event: Shutdown\r\nShutdown: Cleanly\r\nRestart: False\r\n\r\n")
    assert wire.aborted
    with pytest.raises(AmiUnavailable):
        await link.ask({"Action": "Ping"}, 5)


class VirtualTime(asyncio.SelectorEventLoop):
    """A loop whose timers are due at once: only its own clock goes on."""

    def __init__(self) -> None:
        super().__init__(_NoWaiting(self))
        self.now = 0.0

    def time(self) -> float:
        return self.now


class _NoWaiting(selectors.SelectSelector):
    def __init__(self, loop: VirtualTime) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.now += timeout or 0.0
        return super().select(0)


class Answering(Wire):
    """A transport to an Asterisk that answers its first ping, and hangs then."""

    link: AmiConnection

    def write(self, data: Any) -> None:
        is_first = not self.written
        super().write(data)
        if is_first:
            answer = b"Response: Success\r\nPing: Pong\r\nActionID: %b\r\n\r\n" % self.action_id()
            asyncio.get_running_loop().call_soon(self.link.data_received, BANNER + answer)


def test_a_hung_peer_is_noticed_soon() -> None:
    loop = VirtualTime()

    async def watch() -> None:
        wire = Answering()
        wire.link = link_to(wire)
        with pytest.raises(AmiUnavailable, match="Ping: no answer"):
            await wire.link.watch()
        assert wire.written.count(b"Ping") == 2

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(watch())
    assert loop.now < 4.5  # callers in the fallback wait for it


async def test_a_peer_that_sends_no_line_ends_is_cut_off() -> None:
    wire = Wire()
    link = link_to(wire)
    for _ in range(70):
        link.data_received(b"x" * 1024)
    assert wire.aborted


async def test_a_callback_that_fails_does_not_cost_the_next_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    events: list[Fields] = []

    def fail(event: Fields) -> None:
        raise ValueError("broken")

    link = link_to(Wire(), NewCallerid=fail, DeviceStateChange=events.append)
    link.data_received(BANNER + RENAMED + DEVICE)
    assert len(events) == 1
    assert "AMI event not handled: NewCallerid" in caplog.text
    assert "7000" not in caplog.text


@given(
    key=st.sampled_from(["Channel", "Variable", "File", "Options"]),
    value=st.text().flatmap(
        lambda text: st.sampled_from("\r\n\0\x1b\x7f\x85").map(lambda bad: text + bad + text)
    ),
)
def test_a_control_character_is_refused_before_sending(key: str, value: str) -> None:
    async def ask() -> None:
        ami = Ami(port=1, secret="x")
        with pytest.raises(InvalidRequest, match=f"{key}: control characters"):
            await ami.action({"Action": "Originate", key: value})

    asyncio.run(ask())


@pytest.mark.parametrize("key", ["Channel: x\r\nAction", "", "Two words", "ActionID", "Канал"])
async def test_a_key_that_is_none_is_refused(key: str) -> None:
    ami = Ami(port=1, secret="x")
    with pytest.raises(InvalidRequest, match="has no key"):
        await ami.action({"Action": "Ping", key: "x"})


async def test_an_action_without_connection_fails_and_is_not_queued() -> None:
    ami = Ami(port=1, secret="x")
    with pytest.raises(AmiUnavailable, match=r"Ping: not connected to AMI at 127\.0\.0\.1:1"):
        await ami.action({"Action": "Ping"})
