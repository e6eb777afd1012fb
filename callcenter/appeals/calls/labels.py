"""Words for screens: labels of the values of appeals, calls and their events."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from callcenter.appeals.calls.store import AppealRow, EventRow
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.errors import N_
from callcenter.platform.core.i18n import Translator, length
from callcenter.platform.identity.actor import name_of

_MASKED = re.compile(r"[0-9+* ]*")  # a number as events have it, see core.caller_id.mask

LANGUAGES = {"kk": N_("Kazakh"), "ru": N_("Russian")}

OUTCOMES = {
    "left_in_greeting": N_("Hung up during the greeting"),
    "left_in_menu": N_("Hung up in the menu"),
    "left_waiting": N_("Hung up while waiting"),
    "left_ringing": N_("Hung up while a consultant was being rung"),
    "nobody_free": N_("Nobody was free"),
    "talked": N_("Talked with a consultant"),
    "informed": N_("Heard the status of an appeal"),
    "redirected": N_("Redirected to 1414"),
    "callback": N_("Will be called back"),
    "message": N_("Left a message"),
    "fallback": N_("Served by the reserve"),
    "blocked": N_("Turned away, the number is blocked"),
    "not_reached": N_("The called party did not answer"),
    "declined": N_("The person who answered declined the call"),
    "given_up": N_("Given up before the conversation"),
    "received": N_("Received in writing or in person"),
    "lost_to_a_fault": N_("Lost to a fault"),
}

EVENTS = {
    "received": N_("Call received"),
    "refused": N_("The telephone exchange refused the call"),
    "answered": N_("Call answered"),
    "greeting": N_("Greeting and choice of language"),
    "language": N_("Language settled"),
    "notice": N_("Notice of recording"),
    "menu": N_("Menu"),
    "choice": N_("Choice in the menu"),
    "status_told": N_("The caller heard the status of an appeal"),
    "status_not_told": N_("Number and code of an appeal did not fit"),
    "blocked": N_("The caller heard that the number is blocked"),
    "urgent": N_("The call became urgent"),
    "waiting": N_("Waiting for a consultant"),
    "nobody_speaks": N_("Nobody at work spoke the caller's language"),
    "other_language": N_("Agreed to a consultant in the other language"),
    "ringing": N_("A consultant is being rung"),
    "unanswered": N_("The consultant did not answer"),
    "connected": N_("Talk with a consultant began"),
    "key": N_("The caller pressed a key"),
    "recording_started": N_("Recording started"),
    "recording_stopped": N_("Recording stopped"),
    "recording_empty": N_("Neither side sent any sound: there is nothing recorded"),
    "recording_failed": N_("Recording failed"),
    "alerted": N_("The supervisors were alerted"),
    "callback_promised": N_("A callback was promised"),
    "callback_not_asked": N_("The caller did not say that calling back is safe"),
    "callback_calling": N_("Calling back as promised"),
    "callback_confirmed": N_("The person who answered confirmed the callback"),
    "callback_replaced": N_("A later request for a callback replaced this one"),
    "message_left": N_("The caller left a message"),
    "message_empty": N_("The caller left no message: there was no speech"),
    "message_played": N_("A consultant hears the message"),
    "message_done": N_("The message was heard, and is done"),
    "supervised": N_("A supervisor is with the conversation"),
    "supervision_ended": N_("The supervisor left the conversation"),
    "held": N_("The caller was put on hold"),
    "resumed": N_("The caller was taken off hold"),
    "muted": N_("The consultant switched the microphone off"),
    "unmuted": N_("The consultant switched the microphone on"),
    "consultant_lost": N_("The consultant was lost"),
    "caller_lost": N_("The connection with the caller broke off"),
    "surveyed": N_("The caller judged the conversation"),
    "guest_called": N_("The consultant is calling somebody to the conversation"),
    "guest_answered": N_("The person called has answered"),
    "guest_failed": N_("The person called did not answer"),
    "together": N_("All three talk together"),
    "transferred": N_("Handed over to another consultant"),
    "left_outside": N_("Left with somebody outside the center"),
    "sent_back": N_("Sent back to the queue"),
    "redirect_notice": N_("Notice of redirection to 1414"),
    "redirect_ringing": N_("1414 is being called"),
    "redirect_failed": N_("1414 did not take the call"),
    "redirected": N_("Connected with 1414"),
    "calling": N_("A consultant calls"),
    "reached": N_("The called party answered"),
    "not_reached": N_("The called party did not answer"),
    "fallback": N_("Served by the reserve"),
    "ended": N_("Call ended"),
    "mended": N_("Corrected from the call log of Asterisk"),
    "not_called_back": N_("It was decided not to call back"),
    "hang_up_reason": N_("Why the consultant hung up"),
}

URGENCIES = {
    "silent": N_("cannot speak"),
    "danger": N_("in danger"),
}

# Keys by which a caller who cannot speak answers.
ANSWER_KEYS = {"1": N_("1, yes"), "2": N_("2, no")}

MODES = {
    "listen": N_("listens"),
    "whisper": N_("speaks to the consultant alone"),
    "join": N_("speaks with both"),
    "take_over": N_("takes the conversation over"),
}

CHOICES = {
    "consultant": N_("to speak with a consultant"),
    "status": N_("to learn how an appeal stands"),
    "unified_center": N_("public services (1414)"),
    "callback": N_("to be called back"),
    "message": N_("to leave a message"),
}

NUMBERS = {
    "own": N_("to the number of the call"),
    "other": N_("to another number"),
}

REASONS = {
    "no_answer": N_("no answer"),
    "busy": N_("busy"),
    "refused": N_("refused"),
    "unreachable": N_("unreachable"),
    "congestion": N_("the network was overloaded"),
    "left": N_("hung up at once"),
    "no_number": N_("not a telephone number"),
    "withdrawn": N_("given up"),
    "lost_before": N_("served first, for our fault ended the call before"),
    "not_claimed": N_("none of our software answered"),
    "stranded": N_("none of our software was left"),
    "overloaded": N_("all of our software was late"),
    "nothing_recorded": N_("nothing was recorded"),
    "recording_not_proved_stopped": N_("the recording could not be stopped for certain"),
    "not_free": N_("not free"),
    "failed": N_("our part failed"),
    "no_codec": N_("no common codec"),
    "not_understood": N_("it was not understood"),
    "no_room": N_("no room for another call"),
    "switch_failed": N_("a fault of the exchange"),
}

#: By the kind of alert.
ALERTS = {
    "urgent_waits": N_("the caller waits for long"),
    "not_recorded": N_("the conversation is perhaps not recorded"),
}

#: Of events of versions before dispositions.
HANGUP_REASONS = {
    "over": N_("played in full"),
    "silence": N_("nobody was heard"),
    "insults": N_("insults"),
    "prank": N_("a prank"),
    "wrong_number": N_("a wrong number"),
    "machine": N_("a machine calls"),
    "fault": N_("the sound failed"),
}

NO_CALLBACK_REASONS = {
    "unsafe": N_("it could harm the caller"),
    "spoke_again": N_("the caller has reached us since"),
    "no_need": N_("played in full before"),
    "not_reached": N_("was not reached, and is not called again"),
}

HUNG_UP = {"consultant": N_("the consultant hung up")}

MANNERS = {
    "key": N_("by key"),
    "limit": N_("at its longest"),
    "hung_up": N_("by hanging up"),
    "interrupted": N_("interrupted"),
    "default": N_("without a key"),
    "recovered": N_("found later"),
    "dialled": N_("dialled on the telephone"),
    "asked": N_("from the page"),
    "telephone": N_("by the button of the telephone"),
}


@dataclass(frozen=True)
class AppealLabels:
    """Labels in one language. Numbers of callers are masked."""

    words: Translator

    def language(self, row: AppealRow) -> str:
        return self._label(LANGUAGES, row.language) or "–"

    def caller(self, row: AppealRow) -> str:
        if row.caller_kind == "withheld":
            return self.words(N_("withheld"))
        return shown_number(row) or self.words(N_("unreadable"))

    def outcome(self, row: AppealRow) -> str:
        if row.outcome is None:
            return self.words(N_("in progress"))
        return self._label(OUTCOMES, row.outcome) or self.words(N_("other"))

    def urgent(self, row: AppealRow) -> str:
        """Format why the appeal is urgent; empty when it is not."""
        return ", ".join(self._label(URGENCIES, urgency) for urgency in row.urgent)

    def length(self, row: AppealRow) -> str:
        """Format the length of the whole call, with all its waiting."""
        return length(row.ended_at - row.received_at) if row.ended_at else "–"

    def event(self, event: EventRow) -> str:
        return self._label(EVENTS, event.kind) or self.words(N_("other"))

    def detail(self, event: EventRow) -> str:
        """Format the detail of an event; what has no words here is left out."""
        detail = event.detail
        parts = [
            self._label(LANGUAGES, detail.get("language")),
            self._label(CHOICES, detail.get("choice")),
            self._label(NUMBERS, detail.get("number")) or str(detail.get("number", "")),
            self.words(N_("attempt %(count)s"), count=detail["attempt"])
            if "attempt" in detail
            else "",
            self.words(N_("appeal %(number)s"), number=detail["appeal"])
            if "appeal" in detail
            else "",
            self._label(URGENCIES, detail.get("reason")),
            self._label(ANSWER_KEYS, detail.get("key")) or str(detail.get("key", "")),
            self._label(OUTCOMES, detail.get("outcome")),
            self._label(HUNG_UP, detail.get("hung_up")),
            self._label(HANGUP_REASONS, detail.get("hang_up")),
            self._label(NO_CALLBACK_REASONS, detail.get("not_called")),
            self.words(N_("consultant %(extension)s"), extension=detail["consultant"])
            if "consultant" in detail
            else "",
            self.words(N_("skill %(code)s"), code=detail["skill"]) if "skill" in detail else "",
            number if _MASKED.fullmatch(number := str(detail.get("number", ""))) else "",
            self.words(N_("mark %(mark)s"), mark=detail["mark"]) if "mark" in detail else "",
            self._label(MODES, detail.get("mode")),
            name_of(str(detail.get("by", ""))),
            self._label(REASONS, detail.get("why")),
            self._label(ALERTS, str(detail.get("raises", "")).partition(":")[0]),
            self._label(MANNERS, detail.get("how")),
            self.words(N_("cut short by a key")) if detail.get("whole") is False else "",
        ]
        return ", ".join(part for part in parts if part)

    def since_start(self, row: AppealRow, event: EventRow) -> str:
        return length(event.at - row.received_at)

    def audio_length(self, duration_ms: int) -> str:
        return length(timedelta(milliseconds=duration_ms))

    def _label(self, words: Mapping[str, str], value: object) -> str:
        message = words.get(value) if isinstance(value, str) else None
        return "" if message is None else self.words(message)


def shown_number(row: AppealRow) -> str | None:
    """Return the caller's number as everybody sees it; None if the network gave none.

    A masked number can be recognised but not dialled: +7 701 *** ** 67. Short numbers are those of
    services, and not masked. Whoever may see one whole gives a reason: `service.show_number`.
    """
    return None if row.caller_number is None else mask(row.caller_number)
