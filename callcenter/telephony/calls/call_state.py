"""Resumable state of a call, so that another controller can continue it after a crash.

It is derived from the events of the call and saved as it changes (`controller.call_state_store`);
the appeal's events say the same, a little later. It has no number and no name of a caller.
"""

import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any
from uuid import UUID

from callcenter.telephony.calls.outcomes import CallEvent, Outcome

#: Sequence numbers reserved for one controller's events of a call: its successor starts after them,
#: so that late events of a dead controller never share a number. Events that reconciliation adds
#: begin at 8 001, after fifteen controllers.
EVENTS_PER_INSTANCE = 500


class CallStage(StrEnum):
    """Stage of a call."""

    OPENING = "opening"  #: greeting, language, menu
    WAITING = "waiting"  #: for a consultant
    TALKING = "talking"  #: with a consultant, or with an external party
    MESSAGE = "message"  #: voicemail is recorded
    REDIRECTING = "redirecting"  #: 1414 is announced or dialled
    REDIRECTED = "redirected"  #: with 1414
    FAREWELL = "farewell"  #: the conversation is over


#: Outcome of a call in its farewell, by the event before.
_OUTCOMES = {CallEvent.MESSAGE_LEFT: Outcome.MESSAGE, CallEvent.CALLBACK_PROMISED: Outcome.CALLBACK}

#: Outcome if the caller leaves at this stage; in the farewell it is decided already.
_OUTCOME_IF_LEFT = {
    CallStage.OPENING: Outcome.LEFT_IN_GREETING,
    CallStage.WAITING: Outcome.LEFT_WAITING,
    CallStage.REDIRECTING: Outcome.LEFT_WAITING,
    CallStage.TALKING: Outcome.TALKED,
    CallStage.MESSAGE: Outcome.MESSAGE,
    CallStage.REDIRECTED: Outcome.REDIRECTED,
}

_STAGES = {
    CallEvent.CHOICE: CallStage.WAITING,
    CallEvent.WAITING: CallStage.WAITING,
    CallEvent.CONNECTED: CallStage.TALKING,
    CallEvent.TRANSFERRED: CallStage.TALKING,  # also after the first consultant was lost
    CallEvent.CONSULTANT_LOST: CallStage.WAITING,
    CallEvent.SENT_BACK: CallStage.WAITING,
    CallEvent.REDIRECT_NOTICE: CallStage.REDIRECTING,
    CallEvent.REDIRECT_FAILED: CallStage.WAITING,
    CallEvent.REDIRECTED: CallStage.REDIRECTED,
    CallEvent.MESSAGE_LEFT: CallStage.FAREWELL,
    CallEvent.CALLBACK_PROMISED: CallStage.FAREWELL,
    CallEvent.MESSAGE_EMPTY: CallStage.WAITING,
    CallEvent.SURVEYED: CallStage.FAREWELL,
}


@dataclass(frozen=True)
class CallState:
    """Saved state of a call. Times are epoch seconds, ids are texts.

    Field names are stored: versions read each other's.
    """

    appeal: str
    first: int = 1  #: sequence number of the first event of this controller
    outgoing: str = ""  #: id of the outbound call, if it is one
    is_callback: bool = False
    stage: CallStage = CallStage.OPENING
    language: str = ""  #: once it is chosen
    other_language: str = ""
    notice_heard: bool = False
    urgencies: tuple[str, ...] = ()
    waits_since: float | None = None
    lost_before: bool = False
    became: Outcome = Outcome.TALKED  #: the outcome, in the farewell
    consultant: str = ""  #: extension of the current or last consultant
    consultant_id: str = ""
    recording: str = ""  #: id of the running one
    is_proved: bool = False  #: the recording is confirmed
    is_aside: bool = False
    is_muted: bool = False
    guest: str = ""  #: extension or masked number of the third party

    def after(self, event: CallEvent, detail: dict[str, Any], at: float) -> "CallState":
        """Return the state after an event at the time `at`."""
        changes = _caller_changes(self, event, detail, at)
        changes |= _conversation_changes(self, event, detail)
        if event in _STAGES:
            is_redirect = event is CallEvent.CHOICE and detail["choice"] == "unified_center"
            changes["stage"] = CallStage.REDIRECTING if is_redirect else _STAGES[event]
        return replace(self, **changes) if changes else self

    @property
    def is_talking(self) -> bool:
        """Whether the caller is in a conversation, or with 1414."""
        return self.stage in (CallStage.TALKING, CallStage.REDIRECTED)

    def is_with(self, extensions: Collection[str | None]) -> bool:
        """Whether the caller talks with one of these; None is anybody outside the center."""
        return self.is_talking and any(
            each in (None, self.consultant, self.guest) for each in extensions
        )

    def with_unrecorded_start(self, extensions: Collection[str | None], at: float) -> "CallState":
        """Return the state with the conversation that the caller is in, though nothing says so.

        Its controller connected the caller with these, and ended before it could record that.
        Who was lost, or has sent the caller back, may be there for a moment more.
        """
        if self.is_talking or not extensions:
            return self
        consultants = [each for each in extensions if each not in (None, self.consultant)]
        if consultants:
            return self.after(CallEvent.CONNECTED, {"consultant": consultants[0]}, at)
        is_redirected = not any(extensions)
        return self.after(CallEvent.REDIRECTED, {}, at) if is_redirected else self

    @property
    def if_left(self) -> Outcome:
        """Outcome if the caller leaves now."""
        if self.stage is CallStage.OPENING and self.language:
            return Outcome.LEFT_IN_MENU
        return _OUTCOME_IF_LEFT.get(self.stage, self.became)

    @property
    def next_first(self) -> int:
        """Sequence number of the first event of the next controller."""
        return self.first + EVENTS_PER_INSTANCE

    @property
    def recording_uuid(self) -> UUID:
        """Id of the running recording. Raises ValueError when there is none."""
        return UUID(self.recording)

    def to_json(self) -> str:
        """Encode for `from_json`; fields that have their default are left out."""
        values = {k: v for k, v in vars(self).items() if k not in _DEFAULTS or v != _DEFAULTS[k]}
        return json.dumps(values, separators=(",", ":"))


#: Defaults of all fields but the appeal, which has none.
_DEFAULTS = {each.name: each.default for each in fields(CallState) if each.name != "appeal"}


def choose_state(
    saved: CallState | None, written: CallState | None, extensions: Collection[str | None]
) -> CallState | None:
    """Choose between the saved state and that of the appeal, by who is with the caller now.

    Redis may come back as it was some time ago, and an appeal is written a moment later than the
    state is saved. If neither knows who is there, the saved one counts.
    """
    if saved is None or written is None:
        return saved or written
    if not extensions or saved.is_with(extensions):
        return saved
    # Who talked last has been lost since, and the appeal does not have that yet.
    is_older = not saved.is_talking and saved.consultant == written.consultant
    if is_older or not written.is_with(extensions):
        return saved
    return replace(
        written,
        first=max(written.first, saved.first),
        language=written.language or saved.language,
        urgencies=tuple(dict.fromkeys((*written.urgencies, *saved.urgencies))),
    )


def from_json(text: str) -> CallState | None:
    """Decode a saved state; None when it cannot be read, as of a later version."""
    try:
        values = json.loads(text)
        values["stage"] = CallStage(values.get("stage", CallStage.OPENING))
        values["became"] = Outcome(values.get("became", Outcome.TALKED))
        values["urgencies"] = tuple(values.get("urgencies", ()))
        UUID(values["appeal"])
        return CallState(**values)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


class CallStateTracker:
    """Applies events to the state of one call and saves each change."""

    def __init__(
        self, now: CallState, save: Callable[[str, CallState | None], None], leg: str = ""
    ) -> None:
        """`save` gets the leg id and the state, None when over, and returns at once.

        Nothing is saved before there is a `leg`.
        """
        self.now = now
        self._save = save
        self._leg = leg
        self._saved: CallState | None = None

    def apply_event(self, event: CallEvent, detail: dict[str, Any]) -> None:
        """Apply an event that happened now."""
        self._set(self.now.after(event, detail, time.time()))

    def update(self, **changes: Any) -> None:
        """Change fields without an event."""
        self._set(replace(self.now, **changes))

    def set_leg(self, leg: str) -> None:
        """Save at this leg from now on."""
        self._leg = leg
        self._set(self.now)

    def clear(self) -> None:
        """Delete the saved state: the call is over."""
        if self._leg:
            self._save(self._leg, None)

    def _set(self, now: CallState) -> None:
        self.now = now
        if self._leg and now != self._saved:
            self._saved = now
            self._save(self._leg, now)


def _caller_changes(
    now: CallState, event: CallEvent, detail: dict[str, Any], at: float
) -> dict[str, Any]:
    match event:
        case CallEvent.NOTICE:
            return {"notice_heard": now.notice_heard or bool(detail.get("whole"))}
        case CallEvent.WAITING:
            since = at if now.waits_since is None else now.waits_since
            lost = now.lost_before or detail.get("why") == "lost_before"
            return {"waits_since": since, "lost_before": lost}
        case CallEvent.OTHER_LANGUAGE | CallEvent.SENT_BACK:
            other = detail["language"]
            return {"other_language": "" if other == now.language else other}
        case CallEvent.MESSAGE_LEFT | CallEvent.CALLBACK_PROMISED:
            return {"became": _OUTCOMES[event]}
        case _:
            return {}


def _conversation_changes(
    now: CallState, event: CallEvent, detail: dict[str, Any]
) -> dict[str, Any]:
    match event:
        case CallEvent.CONNECTED:
            return {**_NO_THIRD_PARTY, "consultant": detail["consultant"]}
        case CallEvent.TRANSFERRED:
            third_party = detail.get("number", "")
            return {"consultant": detail["consultant"], "guest": third_party, "is_muted": False}
        case CallEvent.LEFT_OUTSIDE:
            return {"consultant": "", "guest": detail["number"]}
        case CallEvent.HELD | CallEvent.RESUMED:
            return {"is_aside": event is CallEvent.HELD}
        case CallEvent.MUTED | CallEvent.UNMUTED:
            return {"is_muted": event is CallEvent.MUTED}
        case CallEvent.THIRD_PARTY_ANSWERED | CallEvent.THIRD_PARTY_FAILED:
            return {"guest": detail.get("consultant") or detail.get("number", "")}
        case CallEvent.RECORDING_STARTED:
            return {"recording": detail["recording"], "is_proved": True}
        case CallEvent.RECORDING_STOPPED if detail["recording"] == now.recording:
            return {"recording": "", "is_proved": False}
        case CallEvent.SENT_BACK | CallEvent.CONSULTANT_LOST | CallEvent.REDIRECT_NOTICE:
            return _NO_THIRD_PARTY
        case _:
            return {}


#: No third party, nobody on hold or muted.
_NO_THIRD_PARTY = {"guest": "", "is_aside": False, "is_muted": False}
