"""Assembles CEL lines into calls with legs, conversations and times. Pure, without I/O.

Independent of `fallback_calls.py` on purpose: the work of all our code is compared with it, so it
uses the channels that Asterisk made, and no events of the dialplan.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from callcenter.telephony.reconciliation.cel import CelEvent

_ENDPOINT = re.compile(r"PJSIP/(.+)-[0-9a-f]{8}")
_CONSULTANT = re.compile(r"[0-9]{3,6}")
_TRUNK = re.compile(r"operator(-[a-z0-9]+)?")
_NETWORK = "network"
_LIFECYCLE = {"CHAN_START", "HANGUP", "CHAN_END", "LINKEDID_END"}  # a leg without application
_SOUNDS = {"STREAM_BEGIN", "STREAM_END"}


class CallRole(StrEnum):
    """The role of a CEL call."""

    IN = "in"  #: an inbound call to 111: it has an appeal
    OUT = "out"  #: an outbound call or callback: it has a row with its appeal
    CODE = "code"  #: a consultant dialled a feature code, or a refused number
    INSIDE = "inside"  #: only our own telephones, or a caller who left at once


@dataclass(frozen=True, slots=True)
class TalkSpan:
    """A conversation of an applicant and a consultant."""

    began_at: datetime
    ended_at: datetime
    consultant: str  #: the extension


@dataclass(frozen=True, slots=True)
class CelCall:
    """A call: all legs that belong together. `call_id` is the leg with which it began.

    `ended_at` is when the caller's leg ended, or the last leg of a call of ours; None: it goes on,
    or Asterisk crashed.
    """

    call_id: str
    role: CallRole
    legs: frozenset[str]
    began_at: datetime
    last_at: datetime
    ended_at: datetime | None
    conversations: tuple[TalkSpan, ...]


@dataclass(slots=True)
class _CelCallState:
    """The state of a call after the lines read so far."""

    call_id: str
    began_at: datetime
    last_at: datetime
    endpoints: dict[str, str] = field(default_factory=dict)  # of its legs
    ended: dict[str, datetime] = field(default_factory=dict)
    bridges: dict[str, str] = field(default_factory=dict)  # bridges of those who are in one
    is_served: bool = False
    talking: tuple[datetime, str] | None = None
    conversations: list[TalkSpan] = field(default_factory=list)

    @property
    def outside_leg(self) -> str | None:
        """The leg of the caller, or of the number that was called first."""
        if _TRUNK.fullmatch(self.endpoints.get(self.call_id, "")):
            return self.call_id
        return next((leg for leg, name in self.endpoints.items() if name == _NETWORK), None)

    def take(self, line: CelEvent) -> None:
        self.last_at = max(self.last_at, line.at)
        endpoint = _ENDPOINT.fullmatch(line.channel)
        self.endpoints.setdefault(line.channel_id, endpoint[1] if endpoint else "")
        self.is_served = self.is_served or line.event not in _LIFECYCLE
        match line.event:
            case "BRIDGE_ENTER":
                self.bridges[line.channel_id] = line.extra.get("bridge_id", "")
            case "BRIDGE_EXIT":
                self.bridges.pop(line.channel_id, None)
            case "CHAN_END":
                self.bridges.pop(line.channel_id, None)
                self.ended[line.channel_id] = line.at
            case _:
                return
        self._update_conversation(line.at)

    def _update_conversation(self, at: datetime) -> None:
        outside_leg = self.outside_leg
        bridge = self.bridges.get(outside_leg) if outside_leg else None
        with_them = [
            self.endpoints[leg]
            for leg, other in self.bridges.items()
            if other == bridge and _CONSULTANT.fullmatch(self.endpoints[leg])
        ]
        if with_them and self.talking is None:
            self.talking = at, with_them[0]
        elif not with_them and self.talking is not None:
            self.conversations.append(TalkSpan(self.talking[0], at, self.talking[1]))
            self.talking = None

    def call(self) -> CelCall:
        role, ended_at = self._role(), None
        if role is CallRole.IN:
            ended_at = self.ended.get(self.call_id)
        elif self.endpoints.keys() == self.ended.keys():
            ended_at = max(self.ended.values())
        going_on = (
            [TalkSpan(self.talking[0], self.last_at, self.talking[1])] if self.talking else []
        )
        return CelCall(
            self.call_id,
            role,
            frozenset(self.endpoints),
            self.began_at,
            self.last_at,
            ended_at,
            (*self.conversations, *going_on),
        )

    def _role(self) -> CallRole:
        first = self.endpoints.get(self.call_id, "")
        if _TRUNK.fullmatch(first):
            return CallRole.IN if self.is_served else CallRole.INSIDE
        if _NETWORK in self.endpoints.values():
            return CallRole.OUT
        # Legs that we call have ids that we chose; legs of dialling telephones have Asterisk's own.
        is_dialled = self.call_id[:1].isdigit() and _CONSULTANT.fullmatch(first)
        return CallRole.CODE if is_dialled else CallRole.INSIDE


class CelCallBuilder:
    """Builds calls from CEL lines, which are added in their order."""

    def __init__(self) -> None:
        self._calls: dict[str, _CelCallState] = {}

    def take(self, line: CelEvent) -> None:
        """Add a line to its call."""
        if line.event in _SOUNDS:
            return
        call = self._calls.get(line.call_id)
        if call is None:
            call = self._calls[line.call_id] = _CelCallState(line.call_id, line.at, line.at)
        call.take(line)

    def calls(self) -> Iterator[CelCall]:
        """The calls, in the order of their first lines."""
        return (call.call() for call in self._calls.values())
