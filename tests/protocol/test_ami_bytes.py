"""AMI's parser on bytes that Asterisk 22.10.1 really sent, cut in every way that TCP may cut them.

Only names, numbers and action ids were changed.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.asterisk.ami import Ami, Answer, Fields, Link, Refused, Unreachable
from callcenter.errors import AskedWrongly

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
    """What a connection writes to; remembers it, and answers nothing by itself."""

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


def link_to(wire: Wire, **events: Callable[[Fields], None]) -> Link:
    link = Link(events, lambda: None)
    link.connection_made(wire)
    return link


async def answer_to(action: dict[str, str], answer: bytes) -> Answer:
    """What `action` gives when Asterisk answers with these bytes (ID stands for the action's)."""
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


async def test_a_list_is_complete_only_at_its_end_and_holds_its_items() -> None:
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


async def test_a_refusal_says_what_was_asked_and_why_not() -> None:
    with pytest.raises(Refused, match=r"^MixMonitor: No such channel$"):
        await answer_to(
            {"Action": "MixMonitor", "Channel": "Local/none"},
            b"Response: Error\r\nActionID: ID\r\nMessage: No such channel\r\n\r\n",
        )


async def test_a_refused_command_says_what_the_command_printed() -> None:
    with pytest.raises(Refused, match="No such command 'nosuch'"):
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


async def test_an_event_of_an_action_that_was_answered_is_an_event() -> None:
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
    with pytest.raises(Unreachable, match="no answer"):
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


async def test_a_lost_connection_fails_what_is_unanswered_and_keeps_nothing_to_replay() -> None:
    wire = Wire()
    link = link_to(wire)
    asking = asyncio.create_task(link.ask({"Action": "Originate", "Channel": "Local/x"}, 5))
    await asyncio.sleep(0)
    link.connection_lost(None)
    with pytest.raises(Unreachable, match="Originate: the AMI connection was lost"):
        await asking
    assert link.responses == {}
    assert wire.aborted


async def test_asterisk_that_says_it_shuts_down_is_left_at_once() -> None:
    wire = Wire()
    link = link_to(wire)
    link.data_received(BANNER + b"Event: Shutdown\r\nShutdown: Cleanly\r\nRestart: False\r\n\r\n")
    assert wire.aborted
    with pytest.raises(Unreachable):
        await link.ask({"Action": "Ping"}, 5)


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
    assert "NewCallerid could not be handled" in caplog.text
    assert "7000" not in caplog.text


@given(
    key=st.sampled_from(["Channel", "Variable", "File", "Options"]),
    value=st.text().flatmap(
        lambda text: st.sampled_from("\r\n\0\x1b\x7f\x85").map(lambda bad: text + bad + text)
    ),
)
def test_a_control_character_in_a_value_is_refused_before_anything_is_sent(
    key: str, value: str
) -> None:
    async def ask() -> None:
        ami = Ami(port=1, user="line", secret="x")
        with pytest.raises(AskedWrongly, match=f"{key}: control characters"):
            await ami.action({"Action": "Originate", key: value})

    asyncio.run(ask())


@pytest.mark.parametrize("key", ["Channel: x\r\nAction", "", "Two words", "ActionID", "Канал"])
async def test_a_key_that_is_none_is_refused(key: str) -> None:
    ami = Ami(port=1, user="line", secret="x")
    with pytest.raises(AskedWrongly, match="has no key"):
        await ami.action({"Action": "Ping", key: "x"})


async def test_an_action_without_a_connection_says_why_and_is_not_kept_for_later() -> None:
    ami = Ami(port=1, user="line", secret="x")
    with pytest.raises(Unreachable, match=r"Ping: not connected to AMI at 127\.0\.0\.1:1"):
        await ami.action({"Action": "Ping"})
