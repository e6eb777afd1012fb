"""What the switch says of its calls, from its own lines alone. A rule, without I/O.

This is read apart from `calls.py`, on purpose: it is what the work of all our code is compared
with, so it goes by the channels that Asterisk made, and by nothing that the dialplan marked.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from callcenter.asterisk.ledger import Line

_ENDPOINT = re.compile(r"PJSIP/(.+)-[0-9a-f]{8}")
_CONSULTANT = re.compile(r"[0-9]{3,6}")
_TRUNK, _NETWORK = "operator", "network"
_BARE = {"CHAN_START", "HANGUP", "CHAN_END", "LINKEDID_END"}  # of a leg with which nothing was done
_SOUNDS = {"STREAM_BEGIN", "STREAM_END"}


class Way(StrEnum):
    """What a call of the switch is for us."""

    IN = "in"  #: somebody called 111: it has an appeal
    OUT = "out"  #: we called a number, a promised callback too: it has a row with its appeal
    CODE = "code"  #: a consultant dialled, and nobody was called: a code, or a refused number
    INSIDE = "inside"  #: only our own telephones, or a caller who left before anything was done


@dataclass(frozen=True, slots=True)
class Span:
    """A conversation: an applicant and a consultant heard each other."""

    began_at: datetime
    ended_at: datetime
    consultant: str  #: the extension


@dataclass(frozen=True, slots=True)
class SwitchCall:
    """All legs that belong together. `call_id` is the leg with which it began.

    `ended_at` is when the caller's leg ended, or the last leg of a call of ours; None: it goes on,
    or the switch died under it.
    """

    call_id: str
    way: Way
    legs: frozenset[str]
    began_at: datetime
    last_at: datetime
    ended_at: datetime | None
    conversations: tuple[Span, ...]


@dataclass(slots=True)
class _Read:
    """A call as far as its lines were read."""

    call_id: str
    began_at: datetime
    last_at: datetime
    endpoints: dict[str, str] = field(default_factory=dict)  # of its legs
    ended: dict[str, datetime] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)  # bridges of those who are in one
    is_served: bool = False
    together: tuple[datetime, str] | None = None
    conversations: list[Span] = field(default_factory=list)

    @property
    def applicant(self) -> str | None:
        """The leg of the caller, or of the number that was called first."""
        if self.endpoints.get(self.call_id) == _TRUNK:
            return self.call_id
        return next((leg for leg, name in self.endpoints.items() if name == _NETWORK), None)

    def take(self, line: Line) -> None:
        self.last_at = max(self.last_at, line.at)
        endpoint = _ENDPOINT.fullmatch(line.channel)
        self.endpoints.setdefault(line.channel_id, endpoint[1] if endpoint else "")
        self.is_served = self.is_served or line.event not in _BARE
        match line.event:
            case "BRIDGE_ENTER":
                self.where[line.channel_id] = line.extra.get("bridge_id", "")
            case "BRIDGE_EXIT":
                self.where.pop(line.channel_id, None)
            case "CHAN_END":
                self.where.pop(line.channel_id, None)
                self.ended[line.channel_id] = line.at
            case _:
                return
        self._note_who_talks(line.at)

    def _note_who_talks(self, at: datetime) -> None:
        applicant = self.applicant
        bridge = self.where.get(applicant) if applicant else None
        with_them = [
            self.endpoints[leg]
            for leg, other in self.where.items()
            if other == bridge and _CONSULTANT.fullmatch(self.endpoints[leg])
        ]
        if with_them and self.together is None:
            self.together = at, with_them[0]
        elif not with_them and self.together is not None:
            self.conversations.append(Span(self.together[0], at, self.together[1]))
            self.together = None

    def call(self) -> SwitchCall:
        way, ended_at = self._way(), None
        if way is Way.IN:
            ended_at = self.ended.get(self.call_id)
        elif self.endpoints.keys() == self.ended.keys():
            ended_at = max(self.ended.values())
        going_on = [Span(self.together[0], self.last_at, self.together[1])] if self.together else []
        return SwitchCall(
            self.call_id,
            way,
            frozenset(self.endpoints),
            self.began_at,
            self.last_at,
            ended_at,
            (*self.conversations, *going_on),
        )

    def _way(self) -> Way:
        first = self.endpoints.get(self.call_id, "")
        if first == _TRUNK:
            return Way.IN if self.is_served else Way.INSIDE
        if _NETWORK in self.endpoints.values():
            return Way.OUT
        # Legs that we call have ids that we chose; those who dial have the switch's own.
        is_dialled = self.call_id[:1].isdigit() and _CONSULTANT.fullmatch(first)
        return Way.CODE if is_dialled else Way.INSIDE


class Reading:
    """Lines of the ledger in their order, and the calls that they tell of."""

    def __init__(self) -> None:
        self._calls: dict[str, _Read] = {}

    def take(self, line: Line) -> None:
        """Add a line to its call."""
        if line.event in _SOUNDS:
            return
        call = self._calls.get(line.call_id)
        if call is None:
            call = self._calls[line.call_id] = _Read(line.call_id, line.at, line.at)
        call.take(line)

    def calls(self) -> Iterator[SwitchCall]:
        """In the order of their first lines."""
        return (call.call() for call in self._calls.values())
