"""State machine of an appeal: its kinds, stages and legal transitions (R9, R12, R13)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from callcenter.platform.core.errors import N_, Conflict, InvalidRequest


class AppealKind(StrEnum):
    """The kind of an appeal."""

    CONSULTATION = (
        "consultation"  #: answered at once, by informing, organizing or psychological help
    )
    STATEMENT = "statement"  #: заявление, өтініш
    COMPLAINT = "complaint"  #: жалоба, шағым
    DANGER = "danger"  #: a report of danger: goes on at once, whatever else is known
    STATUS = "status"  #: a question about an earlier appeal
    NO_REQUEST = "no_request"  #: silent, a prank, abuse, a wrong number: keeps no personal data


class Disposition(StrEnum):
    """Which contact without a request it was: all that is kept of it."""

    SILENT = "silent"  #: nobody was heard
    PRANK = "prank"
    ABUSIVE = "abusive"  #: insults, threats
    WRONG_NUMBER = "wrong_number"  #: advertising and dialling machines too
    HUNG_UP = "hung_up"  #: the caller, before saying anything
    TEST = "test"  #: of the line or the telephone
    OFFICE = "office"  #: business of the center itself
    INFORMATION = "information"  #: given at once, to somebody who needed nothing more


#: Those that the Administrative Code has terms for.
FORMAL = frozenset({AppealKind.STATEMENT, AppealKind.COMPLAINT})


class AppealState(StrEnum):
    """The stage of an appeal; the status for the applicant (R13) follows from it."""

    CONTACT = "contact"  #: somebody got in touch; nothing is decided yet
    REGISTERED = "registered"  #: a formal appeal, with its receipt; the terms of the law run
    IN_WORK = "in_work"  #: the center works on it
    FORWARDED = "forwarded"  #: with a state body, which is the source of news from now on (R22)
    ANSWERED = "answered"  #: the answer is there and the applicant can have it
    CLOSED = "closed"  #: nothing more will be done
    NO_REQUEST = "no_request"  #: there was no request; nothing personal is kept
    JOINED = "joined"  #: goes on within another appeal


#: The reason, as it is stored, for which an appeal goes back into work by itself.
NO_BODY_HAS_IT = "no body has it"
ENDED = frozenset({AppealState.CLOSED, AppealState.NO_REQUEST, AppealState.JOINED})


class IllegalTransition(Conflict):
    """An appeal cannot go from this stage to that one."""


class MissingRequirements(InvalidRequest):
    """The appeal lacks what this stage needs; `what` names it, to be translated."""

    def __init__(self, after: "AppealState", what: list[str]) -> None:
        super().__init__(f"before it is {after.value} the appeal needs: {', '.join(what)}")
        self.what = what

    @property
    def problem_details(self) -> dict[str, Any]:
        return {"missing": self.what}


@dataclass(frozen=True, slots=True)
class Transition:
    """A legal transition; a `reasoned` one needs a reason in words."""

    before: AppealState
    after: AppealState
    reasoned: bool = False


MOVES: tuple[Transition, ...] = (
    Transition(AppealState.CONTACT, AppealState.REGISTERED),
    Transition(AppealState.CONTACT, AppealState.IN_WORK),
    Transition(AppealState.CONTACT, AppealState.CLOSED),
    Transition(AppealState.CONTACT, AppealState.NO_REQUEST),
    Transition(AppealState.CONTACT, AppealState.JOINED, reasoned=True),
    # What began as an anonymous contact may become a formal appeal, once the person gives a name.
    Transition(AppealState.IN_WORK, AppealState.REGISTERED),
    Transition(AppealState.IN_WORK, AppealState.FORWARDED),
    Transition(AppealState.IN_WORK, AppealState.ANSWERED),
    Transition(AppealState.IN_WORK, AppealState.CLOSED, reasoned=True),
    Transition(AppealState.IN_WORK, AppealState.JOINED, reasoned=True),
    Transition(AppealState.REGISTERED, AppealState.IN_WORK),
    Transition(AppealState.REGISTERED, AppealState.FORWARDED),
    Transition(AppealState.REGISTERED, AppealState.ANSWERED),
    Transition(AppealState.REGISTERED, AppealState.CLOSED, reasoned=True),
    Transition(AppealState.REGISTERED, AppealState.JOINED, reasoned=True),
    Transition(AppealState.FORWARDED, AppealState.IN_WORK, reasoned=True),
    Transition(AppealState.FORWARDED, AppealState.ANSWERED),
    Transition(AppealState.ANSWERED, AppealState.CLOSED),
    Transition(AppealState.ANSWERED, AppealState.IN_WORK, reasoned=True),
    Transition(AppealState.CLOSED, AppealState.IN_WORK, reasoned=True),
    Transition(AppealState.NO_REQUEST, AppealState.CONTACT, reasoned=True),
)
_BY_ENDS = {(move.before, move.after): move for move in MOVES}
ALL_READ = N_("all that is written there, read by you and in your hand")
PASSED_ON = N_("to be passed on to who can help at once: it is urgent")
DECIDED = N_("the decision how much help it needs, and why")
NOT_AWAITED = N_("the answers that its letters wait for, or no day for them any more")
SENT_TO_BODY = N_("a request that was handed over to a state body")
NOT_TO_LEAVE = N_("the handing over of its requests that are ready, or their withdrawal")
NOT_WITH_BODY = N_("the answers of the bodies that have its requests, or their withdrawal")


@dataclass(frozen=True, slots=True)
class TransitionFacts:
    """Facts for transitions. `identified`: name, and ИИН, БИН or address (APPC, 63(2))."""

    kind: AppealKind | None
    identified: bool
    described: bool  #: the substance of the appeal is written down
    helped: bool  #: the kinds of help given are on the record (R3)
    decided: bool  #: how much help it needs and why is on the record (R9)
    registered: bool  #: it has its legal date already
    passed_on: bool = True  #: who can help at once was told, where it is urgent (R11)
    all_read: bool = True  #: nothing of it is to be read by whoever moves it
    awaits: bool = False  #: the answer to a letter, until a day
    explained: bool = True  #: what is urgent or dangerous says why
    to_leave: bool = False  #: a request to a state body is ready, and nobody has handed it over
    with_body: bool = False  #: a state body has a request of it, and has not ended it


def moves_from(stage: AppealState) -> Iterable[AppealState]:
    """The stages that an appeal can move to from this one."""
    return [move.after for move in MOVES if move.before is stage]


def check_move(
    before: AppealState, after: AppealState, facts: TransitionFacts, reason: str
) -> None:
    """Check a transition. Raises IllegalTransition, MissingRequirements."""
    move = _BY_ENDS.get((before, after))
    if move is None or (after is AppealState.REGISTERED and facts.registered):
        raise IllegalTransition(f"an appeal cannot go from {before.value} to {after.value}")
    if move.reasoned and not reason.strip():
        raise MissingRequirements(after, [N_("the reason for this step")])
    missing = [name for name, there in _requirements(after, facts).items() if not there]
    if missing:
        raise MissingRequirements(after, missing)


def _requirements(after: AppealState, facts: TransitionFacts) -> dict[str, bool]:
    """The requirements of a stage by name, and whether they are met."""
    if after is AppealState.REGISTERED:
        return {
            N_("a kind that is registered (statement or complaint)"): facts.kind in FORMAL,
            N_("who the applicant is (name, and IIN, BIN or address)"): facts.identified,
            N_("its substance"): facts.described,
        }
    if after is AppealState.NO_REQUEST:
        return {
            ALL_READ: facts.all_read,
            N_("to be of the kind without a request"): facts.kind is AppealKind.NO_REQUEST,
            NOT_AWAITED: not facts.awaits,
            NOT_TO_LEAVE: not facts.to_leave,
            NOT_WITH_BODY: not facts.with_body,
        }
    if after in (AppealState.FORWARDED, AppealState.ANSWERED):
        return {
            N_("its kind"): facts.kind is not None,
            N_("its substance"): facts.described,
            DECIDED: facts.decided,
            SENT_TO_BODY: facts.with_body or after is AppealState.ANSWERED,
        }
    if after is AppealState.CLOSED:
        return {
            N_("its kind"): facts.kind not in (None, AppealKind.NO_REQUEST),
            N_("the kinds of help given"): facts.helped,
            DECIDED: facts.decided,
            N_("what is urgent or dangerous"): facts.explained,
            PASSED_ON: facts.passed_on,
            NOT_AWAITED: not facts.awaits,
            NOT_TO_LEAVE: not facts.to_leave,
            NOT_WITH_BODY: not facts.with_body,
        }
    if after is AppealState.JOINED:
        # Nobody looks for danger, or for an answer, in one that goes on within another.
        return {PASSED_ON: facts.passed_on, NOT_AWAITED: not facts.awaits}
    return {}
