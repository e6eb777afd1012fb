"""How far an appeal has come, and every legal move from one stage to another (R9, R12, R13)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from callcenter.errors import N_, AskedWrongly, Conflict


class Kind(StrEnum):
    """What a contact turned out to be."""

    CONSULTATION = (
        "consultation"  #: answered at once, by informing, organizing or psychological help
    )
    STATEMENT = "statement"  #: заявление, өтініш
    COMPLAINT = "complaint"  #: жалоба, шағым
    DANGER = "danger"  #: a report of danger: goes on at once, whatever else is known
    STATUS = "status"  #: a question about an earlier appeal
    NO_REQUEST = "no_request"  #: silent, a prank, abuse, a wrong number: keeps no personal data


#: Those that the Administrative Code has terms for.
FORMAL = frozenset({Kind.STATEMENT, Kind.COMPLAINT})


class Stage(StrEnum):
    """Where the appeal stands; what the applicant is told of it (R13) follows from it."""

    CONTACT = "contact"  #: somebody got in touch; nothing is decided yet
    REGISTERED = "registered"  #: a formal appeal, with its receipt; the terms of the law run
    IN_WORK = "in_work"  #: the center works on it
    FORWARDED = "forwarded"  #: with a state body, which is the source of news from now on (R22)
    ANSWERED = "answered"  #: the answer is there and the applicant can have it
    CLOSED = "closed"  #: nothing more will be done
    NO_REQUEST = "no_request"  #: there was no request; nothing personal is kept
    JOINED = "joined"  #: goes on within another appeal


ENDED = frozenset({Stage.CLOSED, Stage.NO_REQUEST, Stage.JOINED})


class IllegalMove(Conflict):
    """An appeal cannot go from this stage to that one."""


class Missing(AskedWrongly):
    """The appeal lacks what this stage needs; `what` names it, to be translated."""

    def __init__(self, after: "Stage", what: list[str]) -> None:
        super().__init__(f"before it is {after.value} the appeal needs: {', '.join(what)}")
        self.what = what

    @property
    def told(self) -> dict[str, Any]:
        return {"missing": self.what}


@dataclass(frozen=True, slots=True)
class Move:
    """A legal move; `reasoned` ones need a reason in words."""

    before: Stage
    after: Stage
    reasoned: bool = False


MOVES: tuple[Move, ...] = (
    Move(Stage.CONTACT, Stage.REGISTERED),
    Move(Stage.CONTACT, Stage.IN_WORK),
    Move(Stage.CONTACT, Stage.CLOSED),
    Move(Stage.CONTACT, Stage.NO_REQUEST),
    Move(Stage.CONTACT, Stage.JOINED, reasoned=True),
    # What began as an anonymous contact may become a formal appeal, once the person gives a name.
    Move(Stage.IN_WORK, Stage.REGISTERED),
    Move(Stage.IN_WORK, Stage.FORWARDED),
    Move(Stage.IN_WORK, Stage.ANSWERED),
    Move(Stage.IN_WORK, Stage.CLOSED, reasoned=True),
    Move(Stage.IN_WORK, Stage.JOINED, reasoned=True),
    Move(Stage.REGISTERED, Stage.IN_WORK),
    Move(Stage.REGISTERED, Stage.FORWARDED),
    Move(Stage.REGISTERED, Stage.ANSWERED),
    Move(Stage.REGISTERED, Stage.CLOSED, reasoned=True),
    Move(Stage.REGISTERED, Stage.JOINED, reasoned=True),
    Move(Stage.FORWARDED, Stage.IN_WORK, reasoned=True),
    Move(Stage.FORWARDED, Stage.ANSWERED),
    Move(Stage.ANSWERED, Stage.CLOSED),
    Move(Stage.ANSWERED, Stage.IN_WORK, reasoned=True),
    Move(Stage.CLOSED, Stage.IN_WORK, reasoned=True),
    Move(Stage.NO_REQUEST, Stage.CONTACT, reasoned=True),
)
_BY_ENDS = {(move.before, move.after): move for move in MOVES}
PASSED_ON = N_("to be passed on to who can help at once: it is urgent")
NOT_AWAITED = N_("the answers that its letters wait for, or no day for them any more")


@dataclass(frozen=True, slots=True)
class Standing:
    """What a move asks of an appeal. `identified`: name, and ИИН/БИН or address (APPC, 63(2))."""

    kind: Kind | None
    identified: bool
    described: bool  #: the substance of the appeal is written down
    helped: bool  #: the kinds of help given are on the record (R3)
    decided: bool  #: how much help it needs and why is on the record (R9)
    registered: bool  #: it has its legal date already
    passed_on: bool = True  #: who can help at once was told, where it is urgent (R11)
    awaits: bool = False  #: the answer to a letter, until a day
    explained: bool = True  #: what is urgent or dangerous says why


def moves_from(stage: Stage) -> Iterable[Stage]:
    """Where an appeal can go from here."""
    return [move.after for move in MOVES if move.before is stage]


def check_move(before: Stage, after: Stage, standing: Standing, reason: str) -> None:
    """Raises IllegalMove that names both stages, or Missing that says what is missing."""
    move = _BY_ENDS.get((before, after))
    if move is None or (after is Stage.REGISTERED and standing.registered):
        raise IllegalMove(f"an appeal cannot go from {before.value} to {after.value}")
    if move.reasoned and not reason.strip():
        raise Missing(after, [N_("the reason for this step")])
    missing = [name for name, there in _needed(after, standing).items() if not there]
    if missing:
        raise Missing(after, missing)


def _needed(after: Stage, standing: Standing) -> dict[str, bool]:
    """What must be there before an appeal is in a stage, by what it is called."""
    if after is Stage.REGISTERED:
        return {
            N_("a kind that is registered (statement or complaint)"): standing.kind in FORMAL,
            N_("who the applicant is (name, and IIN, BIN or address)"): standing.identified,
            N_("its substance"): standing.described,
        }
    if after is Stage.NO_REQUEST:
        return {
            N_("to be of the kind without a request"): standing.kind is Kind.NO_REQUEST,
            NOT_AWAITED: not standing.awaits,
        }
    if after in (Stage.FORWARDED, Stage.ANSWERED):
        return {
            N_("its kind"): standing.kind is not None,
            N_("its substance"): standing.described,
        }
    if after is Stage.CLOSED:
        return {
            N_("its kind"): standing.kind not in (None, Kind.NO_REQUEST),
            N_("the kinds of help given"): standing.helped,
            N_("the decision how much help it needs, and why"): standing.decided,
            N_("what is urgent or dangerous"): standing.explained,
            PASSED_ON: standing.passed_on,
            NOT_AWAITED: not standing.awaits,
        }
    if after is Stage.JOINED:
        # Nobody looks for danger, or for an answer, in one that goes on within another.
        return {PASSED_ON: standing.passed_on, NOT_AWAITED: not standing.awaits}
    return {}
