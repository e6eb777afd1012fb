"""Events, outcomes and urgencies of a call (R25), as closed sets. Values are stored."""

from collections.abc import Collection
from enum import StrEnum


class CallEvent(StrEnum):
    """Event of a call, stored with its time on the appeal."""

    RECEIVED = "received"  #: the switch offered the call to us
    REFUSED = "refused"  #: by the switch, before there was a channel; detail: why
    ANSWERED = "answered"  #: the caller was answered
    GREETING = "greeting"  #: greeting and choice of language began
    LANGUAGE = "language"  #: language settled; detail: language, how (key or default)
    NOTICE = "notice"  #: notice of recording played; detail: whole (false: cut by a key)
    MENU = "menu"  #: main menu began
    CHOICE = "choice"  #: what the caller chose; detail: choice
    STATUS_TOLD = "status_told"  #: the caller was told how an appeal stands (R13)
    STATUS_NOT_TOLD = "status_not_told"  #: number and proof did not match: to a consultant
    BLOCKED = "blocked"  #: the number is blocked: the caller was told
    URGENT = "urgent"  #: the caller signalled an urgency; detail: reason
    WAITING = "waiting"  #: the caller waits for a consultant
    NOBODY_SPEAKS = (
        "nobody_speaks"  #: no signed-in consultant: the caller heard so; detail: language
    )
    OTHER_LANGUAGE = "other_language"  #: agreed to a consultant in another; detail: language
    RINGING = "ringing"  #: a consultant's phone is being rung; detail: consultant
    UNANSWERED = "unanswered"  #: it was not answered; detail: consultant, why
    CONNECTED = "connected"  #: caller and consultant hear each other; detail: consultant
    HELD = "held"  #: the caller is on hold; detail: how (key, telephone, asked)
    RESUMED = "resumed"  #: the caller is back with the consultant
    MUTED = "muted"  #: the caller does not hear the consultant, who hears the caller
    UNMUTED = "unmuted"
    THIRD_PARTY_CALLED = "guest_called"  #: by the consultant; detail: consultant or number, how
    THIRD_PARTY_ANSWERED = "guest_answered"  #: talks with the consultant; detail as above
    THIRD_PARTY_FAILED = "guest_failed"  #: the caller is back; detail: why (left: was there)
    TOGETHER = "together"  #: caller, consultant and third party hear each other
    #: another consultant has the call; detail: consultant, number of an external party beside
    TRANSFERRED = "transferred"
    LEFT_OUTSIDE = "left_outside"  #: the caller is alone with an external party; detail: number
    SENT_BACK = "sent_back"  #: to the queue, by the consultant; detail: language
    CONSULTANT_LOST = "consultant_lost"  #: the consultant's telephone died; detail: consultant
    CALLER_LOST = "caller_lost"  #: the caller's leg ended without a hangup
    KEY = "key"  #: key of a caller whose call is urgent, talking with a consultant; detail: key
    RECORDING_STARTED = "recording_started"  #: confirmed; detail: recording
    RECORDING_STOPPED = "recording_stopped"  #: confirmed; detail: recording
    RECORDING_EMPTY = "recording_empty"  #: neither side sent a packet; detail: recording
    RECORDING_FAILED = "recording_failed"  #: no confirmation; detail: why
    ALERTED = "alerted"  #: supervisors were; detail: raises (id of the alert), language
    CALLBACK_PROMISED = "callback_promised"  #: stored, then the caller was told; detail: number
    CALLBACK_NOT_ASKED = "callback_not_asked"  #: the caller did not confirm that calling is safe
    CALLBACK_CALLING = "callback_calling"  #: the number is being called; detail: attempt
    CALLBACK_CONFIRMED = "callback_confirmed"  #: who answered confirmed the request
    CALLBACK_REPLACED = "callback_replaced"  #: by a later one for the number; detail: appeal
    MESSAGE_LEFT = "message_left"  #: voicemail recorded; detail: how it ended
    MESSAGE_EMPTY = "message_empty"  #: no speech: there is no voicemail
    MESSAGE_PLAYED = "message_played"  #: of versions that played it by telephone
    MESSAGE_DONE = "message_done"  #: closed by the consultant; detail: consultant
    SUPERVISED = "supervised"  #: a supervisor is with it; detail: mode, by, supervisor
    SUPERVISION_ENDED = "supervision_ended"  #: detail: supervisor, why (was not reached)
    SURVEYED = "surveyed"  #: the caller rated the conversation; detail: mark, from 1 to 5
    REDIRECT_NOTICE = "redirect_notice"  #: notice of redirection to 1414 played to its end (R15)
    REDIRECT_RINGING = "redirect_ringing"  #: 1414 is being called
    REDIRECT_FAILED = "redirect_failed"  #: 1414 did not take the call; detail: why
    REDIRECTED = "redirected"  #: the caller is connected to 1414
    CALLING = "calling"  #: a consultant calls; detail: consultant, number (masked), how
    REACHED = "reached"  #: the called party answered; a conversation follows
    NOT_REACHED = "not_reached"  #: the called party did not answer; detail: why
    FALLBACK = "fallback"  #: served by the dialplan alone, our software being down
    ENDED = "ended"  #: detail: outcome, hung_up (consultant, if the consultant ended it)
    MENDED = "mended"  #: repaired by reconciliation with CEL; detail: difference
    NOT_CALLED_BACK = "not_called_back"  #: decision on a dropped call; detail: not_called, by
    HANG_UP_REASON = "hang_up_reason"  #: of versions before dispositions


class Outcome(StrEnum):
    """Outcome of a call: exactly one each."""

    LEFT_IN_GREETING = "left_in_greeting"  #: hung up before a language was chosen
    LEFT_IN_MENU = "left_in_menu"  #: hung up between language and choice
    LEFT_WAITING = "left_waiting"  #: hung up while no telephone was ringing
    LEFT_RINGING = "left_ringing"  #: hung up while a consultant's phone rang
    NOBODY_FREE = "nobody_free"  #: neither a consultant nor 1414 took the call
    TALKED = "talked"  #: spoke with a consultant
    INFORMED = "informed"  #: heard the status of an appeal
    REDIRECTED = "redirected"  #: went to the Unified Contact Center
    CALLBACK = "callback"  #: requested a callback
    MESSAGE = "message"  #: left a voicemail
    FALLBACK = "fallback"  #: served by the dialplan alone
    BLOCKED = "blocked"  #: the number is blocked
    NOT_REACHED = "not_reached"  #: of an outbound call: the called party did not answer
    DECLINED = "declined"  #: of a callback: the called party did not want it
    GIVEN_UP = "given_up"  #: of an outbound call: the consultant left before the two talked
    RECEIVED = "received"  #: no call: the appeal came in writing or in person
    LOST_TO_A_FAULT = "lost_to_a_fault"  #: our part or the switch failed


def find_written_outcome(events: Collection[str]) -> Outcome | None:
    """The outcome that a call has by its events of these kinds; None before a conversation."""
    if CallEvent.REDIRECTED in events:
        return Outcome.REDIRECTED
    if CallEvent.CONNECTED in events:
        return Outcome.TALKED
    if CallEvent.CALLBACK_PROMISED in events:
        return Outcome.CALLBACK
    if CallEvent.MESSAGE_LEFT in events:
        return Outcome.MESSAGE
    return None


def find_lost_outcome(events: Collection[str], by_cel: Outcome | None) -> Outcome:
    """The outcome of a call that is over and has none: by events of these kinds, or by CEL.

    A callback or voicemail was registered before what was lost; the rest Asterisk's log knows
    better, unless it has nothing of an orderly end.
    """
    written = find_written_outcome(events)
    if written in (Outcome.CALLBACK, Outcome.MESSAGE):
        return written
    return by_cel or Outcome.LOST_TO_A_FAULT


class Urgency(StrEnum):
    """Urgency of a call, signalled by the caller's keys."""

    SILENT = "silent"  #: the caller cannot speak
    DANGER = "danger"  #: the caller is in danger
