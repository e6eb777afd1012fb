"""Where a call is, for whoever goes on with it when its controller is no more.

It is folded from what the call puts down of itself anyway, and kept as it changes
(`callcenter.controller.memory`); the moments on the appeal tell the same, a little later. No
number and no name of a caller is in it.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any
from uuid import UUID

from callcenter.line.outcomes import Moment, Outcome

#: Moments of one life of a call: those of the next one are numbered from here on, so that what a
#: dead controller has put down, or puts down yet, is never another moment with the same number.
#: After fifteen lives would come those of the ledger (8 001).
MOMENTS_OF_A_LIFE = 500


class Stage(StrEnum):
    """What a call is doing."""

    OPENING = "opening"  #: greeting, language, menu
    WAITING = "waiting"  #: for a consultant
    TALKING = "talking"  #: with a consultant, or with somebody whom the consultant left it to
    MESSAGE = "message"  #: the caller leaves a message
    REDIRECTING = "redirecting"  #: 1414 is announced, or called
    REDIRECTED = "redirected"  #: with 1414
    FAREWELL = "farewell"  #: the conversation is over


#: What became of a call of which no more is left than to say farewell.
_BECAME = {Moment.MESSAGE_LEFT: Outcome.MESSAGE, Moment.CALLBACK_PROMISED: Outcome.CALLBACK}

#: What becomes of a call whose caller leaves at this stage; of others it is what has become.
_LEFT = {
    Stage.OPENING: Outcome.LEFT_IN_GREETING,
    Stage.WAITING: Outcome.LEFT_WAITING,
    Stage.REDIRECTING: Outcome.LEFT_WAITING,
    Stage.TALKING: Outcome.TALKED,
    Stage.MESSAGE: Outcome.MESSAGE,
    Stage.REDIRECTED: Outcome.REDIRECTED,
}

_STAGES = {
    Moment.CHOICE: Stage.WAITING,
    Moment.WAITING: Stage.WAITING,
    Moment.CONNECTED: Stage.TALKING,
    Moment.CONSULTANT_LOST: Stage.WAITING,
    Moment.SENT_BACK: Stage.WAITING,
    Moment.REDIRECT_NOTICE: Stage.REDIRECTING,
    Moment.REDIRECT_FAILED: Stage.WAITING,
    Moment.REDIRECTED: Stage.REDIRECTED,
    Moment.MESSAGE_LEFT: Stage.FAREWELL,
    Moment.CALLBACK_PROMISED: Stage.FAREWELL,
    Moment.MESSAGE_EMPTY: Stage.WAITING,
    Moment.SURVEYED: Stage.FAREWELL,
}


@dataclass(frozen=True)
class Whereabouts:
    """All that is needed to go on. Times are epoch seconds, ids are texts."""

    appeal: str
    first: int = 1  #: the number of the first moment of this life
    outgoing: str = ""  #: of a call of ours: its id
    is_callback: bool = False
    stage: Stage = Stage.OPENING
    language: str = ""  #: once it is settled
    other_language: str = ""
    notice_heard: bool = False
    urgencies: tuple[str, ...] = ()
    waits_since: float | None = None
    lost_before: bool = False
    became: Outcome = Outcome.TALKED  #: should no more be left than to say farewell
    consultant: str = ""  #: the extension of who has, or had, the call
    consultant_id: str = ""
    recording: str = ""  #: the one that runs
    is_proved: bool = False  #: that it runs
    is_aside: bool = False
    is_muted: bool = False
    guest: str = ""  #: a consultant's extension, or a masked number, of who is with the consultant

    def after(self, moment: Moment, detail: dict[str, Any], at: float) -> "Whereabouts":
        """Where the call is after this moment, at `at`."""
        stage = _STAGES.get(moment, self.stage)
        if moment is Moment.CHOICE and detail["choice"] == "unified_center":
            stage = Stage.REDIRECTING
        of_caller = _changes_of_caller(self, moment, detail, at)
        return replace(self, stage=stage, **of_caller, **_changes_of_talk(self, moment, detail))

    @property
    def if_left(self) -> Outcome:
        """The outcome should the caller leave now."""
        if self.stage is Stage.OPENING and self.language:
            return Outcome.LEFT_IN_MENU
        return _LEFT.get(self.stage, self.became)

    @property
    def next_first(self) -> int:
        """The number of the first moment of the next life."""
        return self.first + MOMENTS_OF_A_LIFE

    @property
    def recording_uuid(self) -> UUID:
        """Raises ValueError when none runs."""
        return UUID(self.recording)

    def written(self) -> str:
        """What `read` reads: only what is not as it begins."""
        told = {k: v for k, v in vars(self).items() if k not in _PLAIN or v != _PLAIN[k]}
        return json.dumps(told, separators=(",", ":"))


#: How it begins, for all but the appeal, which has no beginning.
_PLAIN = {each.name: each.default for each in fields(Whereabouts) if each.name != "appeal"}


def read(written: str) -> Whereabouts | None:
    """Where a call is; None for what cannot be read, as of a later version."""
    try:
        told = json.loads(written)
        told["stage"] = Stage(told.get("stage", Stage.OPENING))
        told["became"] = Outcome(told.get("became", Outcome.TALKED))
        told["urgencies"] = tuple(told.get("urgencies", ()))
        UUID(told["appeal"])
        return Whereabouts(**told)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


class Memory:
    """Where one call is, kept as it changes."""

    def __init__(
        self, now: Whereabouts, keep: Callable[[str, str | None], None], leg: str = ""
    ) -> None:
        """`keep` is told the id of the leg and what to keep, and returns at once.

        Nothing is kept before there is a `leg`.
        """
        self.now = now
        self._keep = keep
        self._leg = leg
        self._kept = ""

    def moment(self, moment: Moment, detail: dict[str, Any]) -> None:
        """Something happened now."""
        self._become(self.now.after(moment, detail, time.time()))

    def note(self, **changes: Any) -> None:
        """Something became true that is no moment."""
        self._become(replace(self.now, **changes))

    def carried_by(self, leg: str) -> None:
        """It is kept at this leg from now on."""
        self._leg = leg
        self._become(self.now)

    def over(self) -> None:
        """The call is over."""
        if self._leg:
            self._keep(self._leg, None)

    def _become(self, now: Whereabouts) -> None:
        self.now = now
        written = now.written()
        if self._leg and written != self._kept:
            self._kept = written
            self._keep(self._leg, written)


def _changes_of_caller(
    now: Whereabouts, moment: Moment, detail: dict[str, Any], at: float
) -> dict[str, Any]:
    match moment:
        case Moment.NOTICE:
            return {"notice_heard": now.notice_heard or bool(detail.get("whole"))}
        case Moment.WAITING:
            since = at if now.waits_since is None else now.waits_since
            lost = now.lost_before or detail.get("why") == "lost_before"
            return {"waits_since": since, "lost_before": lost}
        case Moment.OTHER_LANGUAGE | Moment.SENT_BACK:
            other = detail["language"]
            return {"other_language": "" if other == now.language else other}
        case Moment.MESSAGE_LEFT | Moment.CALLBACK_PROMISED:
            return {"became": _BECAME[moment]}
        case _:
            return {}


def _changes_of_talk(now: Whereabouts, moment: Moment, detail: dict[str, Any]) -> dict[str, Any]:
    match moment:
        case Moment.CONNECTED:
            return {**_ALONE, "consultant": detail["consultant"]}
        case Moment.TRANSFERRED:
            return {"consultant": detail["consultant"], "guest": "", "is_muted": False}
        case Moment.LEFT_OUTSIDE:
            return {"consultant": "", "guest": detail["number"]}
        case Moment.HELD | Moment.RESUMED:
            return {"is_aside": moment is Moment.HELD}
        case Moment.MUTED | Moment.UNMUTED:
            return {"is_muted": moment is Moment.MUTED}
        case Moment.GUEST_ANSWERED | Moment.GUEST_FAILED:
            return {"guest": detail.get("consultant") or detail.get("number", "")}
        case Moment.RECORDING_STARTED:
            return {"recording": detail["recording"], "is_proved": True}
        case Moment.RECORDING_STOPPED if detail["recording"] == now.recording:
            return {"recording": "", "is_proved": False}
        case Moment.SENT_BACK | Moment.CONSULTANT_LOST | Moment.REDIRECT_NOTICE:
            return _ALONE
        case _:
            return {}


#: Nobody is with the consultant, who neither set the caller aside nor is muted.
_ALONE = {"guest": "", "is_aside": False, "is_muted": False}
