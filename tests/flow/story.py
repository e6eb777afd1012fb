"""Story of a call: what each party does, and the timings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from callcenter.telephony.calls.ports import NotAnswered

WAITING = "waiting"  #: in place of a prompt: what is pressed to the music of the queue


@dataclass(frozen=True)
class Story:
    """Script of all parties. A party with nothing left in it does nothing."""

    #: Keys that the caller presses after a prompt was asked; None is silence.
    presses: dict[str, Sequence[str | None]] = field(default_factory=dict)
    #: Keys that the caller presses while a prompt is being played.
    interrupts: dict[str, str] = field(default_factory=dict)
    #: What each consultant who is offered does: answers and presses these keys, or why not.
    consultants: Sequence[str | NotAnswered] = ()
    #: Whether 1414 answers (and hangs up after a while), each time it is called, or why not.
    unified_center: Sequence[str | NotAnswered] = ()
    #: Likewise the telephones of the network.
    network: Sequence[str | NotAnswered] = ()
    #: Languages of the consultants who are signed in.
    signed_in: frozenset[str] = frozenset({"kk", "ru"})
    #: Turns of the loop for which the caller waits when no consultant is free.
    patience: int = 0
    #: Whether the number is blocked.
    blocked: bool = False
    #: The caller's own number; None when it is withheld.
    number: str | None = "+77011234567"
    message_shortest: float = 0
    promises_succeed: bool = True
    recording_starts: bool = True
    recording_stops: bool = True
    recording_is_empty: bool = False
    survey_always: bool = False


@dataclass(frozen=True)
class _Times:
    key_timeout: float = 5
    ring_timeout: float = 15
    announce_every: float = 45
    ask_every: float = 120
    patience: float = 300
    urgent_rounds: int = 2
    urgent_alarm: float = 60
    unified_ring_timeout: float = 20
    message_limit: float = 120
    message_shortest: float = 0
    redirect_keys: str = "*14"
    survey_always: bool = False
    shown_number: str = "111"
    spool: Path = Path("/spool")


TIMES = _Times()
