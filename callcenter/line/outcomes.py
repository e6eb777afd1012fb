"""What can become of a call (R25): the closed sets of its moments, outcomes and urgencies."""

from enum import StrEnum


class Moment(StrEnum):
    """A moment of a call that is kept, with its time, on the appeal."""

    RECEIVED = "received"  #: the switch offered the call to us
    ANSWERED = "answered"  #: the caller was answered
    GREETING = "greeting"  #: greeting and choice of language began
    LANGUAGE = "language"  #: language settled; detail: language, how (key or default)
    NOTICE = "notice"  #: notice of recording played; detail: whole (false: cut by a key)
    MENU = "menu"  #: main menu began
    CHOICE = "choice"  #: what the caller chose; detail: choice
    STATUS_TOLD = "status_told"  #: the caller was told how an appeal stands (R13)
    STATUS_NOT_TOLD = "status_not_told"  #: number and code did not fit: a consultant goes on
    BLOCKED = "blocked"  #: calls from this number are not taken for a time: the caller is told
    URGENT = "urgent"  #: the caller told why the call is urgent; detail: reason
    WAITING = "waiting"  #: the caller waits for a consultant
    NOBODY_SPEAKS = "nobody_speaks"  #: nobody at work does: the caller heard so; detail: language
    OTHER_LANGUAGE = "other_language"  #: agreed to a consultant in another; detail: language
    RINGING = "ringing"  #: a consultant's phone is being rung; detail: consultant
    UNANSWERED = "unanswered"  #: it was not answered; detail: consultant, why
    CONNECTED = "connected"  #: caller and consultant hear each other; detail: consultant
    HELD = "held"  #: the caller is set aside and hears music; detail: how (key, telephone, asked)
    RESUMED = "resumed"  #: the caller is back with the consultant
    MUTED = "muted"  #: the caller does not hear the consultant, who hears the caller
    UNMUTED = "unmuted"
    GUEST_CALLED = "guest_called"  #: by the consultant; detail: consultant or number, how
    GUEST_ANSWERED = "guest_answered"  #: and is with the consultant; detail: consultant or number
    GUEST_FAILED = "guest_failed"  #: the caller comes back; detail: why (left: was there before)
    TOGETHER = "together"  #: caller, consultant and guest hear each other
    TRANSFERRED = "transferred"  #: another consultant has the call; detail: consultant
    LEFT_OUTSIDE = "left_outside"  #: the caller is alone with somebody outside; detail: number
    SENT_BACK = "sent_back"  #: to the queue, by the consultant; detail: language
    CONSULTANT_LOST = "consultant_lost"  #: the consultant's telephone died; detail: consultant
    CALLER_LOST = "caller_lost"  #: the caller's leg ended without a goodbye
    KEY = "key"  #: key of a caller whose call is urgent, talking with a consultant; detail: key
    RECORDING_STARTED = "recording_started"  #: proved started; detail: recording
    RECORDING_STOPPED = "recording_stopped"  #: proved stopped; detail: recording
    RECORDING_FAILED = "recording_failed"  #: could not be proved started; detail: why
    CALLBACK_PROMISED = "callback_promised"  #: kept, then the caller was told; detail: number
    CALLBACK_NOT_ASKED = "callback_not_asked"  #: the caller did not say that calling is safe
    CALLBACK_CALLING = "callback_calling"  #: the number is being called; detail: attempt
    CALLBACK_CONFIRMED = "callback_confirmed"  #: who picked up said that the call was asked for
    CALLBACK_REPLACED = "callback_replaced"  #: by a later one for the number; detail: appeal
    MESSAGE_LEFT = "message_left"  #: and kept; detail: how it ended
    MESSAGE_EMPTY = "message_empty"  #: nothing was said: there is no message
    MESSAGE_PLAYED = "message_played"  #: a consultant hears it; detail: consultant
    MESSAGE_DONE = "message_done"  #: who heard it says that it is done; detail: consultant
    SUPERVISED = "supervised"  #: a supervisor is with it; detail: mode, by, supervisor
    SUPERVISION_ENDED = "supervision_ended"  #: detail: supervisor, why (was not reached)
    SURVEYED = "surveyed"  #: the caller judged the conversation; detail: mark, from 1 to 5
    REDIRECT_NOTICE = "redirect_notice"  #: notice of redirection to 1414 played to its end (R15)
    REDIRECT_RINGING = "redirect_ringing"  #: 1414 is being called
    REDIRECT_FAILED = "redirect_failed"  #: 1414 did not take the call; detail: why
    REDIRECTED = "redirected"  #: the caller is connected to 1414
    CALLING = "calling"  #: a consultant calls; detail: consultant, number (masked), how
    REACHED = "reached"  #: the called party answered; what follows is a conversation
    NOT_REACHED = "not_reached"  #: the called party did not answer; detail: why
    FALLBACK = "fallback"  #: served by the dialplan alone, our software being down
    ENDED = "ended"  #: detail: outcome, hung_up (consultant, if the consultant ended it)
    MENDED = "mended"  #: what the switch's own ledger says was put right here; detail: difference
    NOT_CALLED_BACK = "not_called_back"  #: the caller was cut off; detail: not_called, by
    HANG_UP_REASON = "hang_up_reason"  #: the consultant says why; detail: consultant, hang_up


class Outcome(StrEnum):
    """What became of a call: exactly one each."""

    LEFT_IN_GREETING = "left_in_greeting"  #: hung up before a language was settled
    LEFT_IN_MENU = "left_in_menu"  #: hung up between language and choice
    LEFT_WAITING = "left_waiting"  #: hung up while nobody was being rung
    LEFT_RINGING = "left_ringing"  #: hung up while a consultant's phone rang
    NOBODY_FREE = "nobody_free"  #: waited to the end, nobody took the call, 1414 neither
    TALKED = "talked"  #: spoke with a consultant
    INFORMED = "informed"  #: learnt how an appeal stands, from the line itself
    REDIRECTED = "redirected"  #: went to the Unified Contact Center
    CALLBACK = "callback"  #: will be called back, which was promised
    MESSAGE = "message"  #: left a message, which a consultant will hear
    FALLBACK = "fallback"  #: served by the dialplan alone
    BLOCKED = "blocked"  #: was told that calls from this number are not taken for a time
    NOT_REACHED = "not_reached"  #: of a call of ours: the called party did not answer
    DECLINED = "declined"  #: of a callback: whoever picked up did not want it
    GIVEN_UP = "given_up"  #: of a call of ours: the consultant left before anybody answered
    RECEIVED = "received"  #: of no call: it came in writing or in person
    LOST_TO_A_FAULT = "lost_to_a_fault"  #: our part or the switch failed


class Urgency(StrEnum):
    """Why a call goes before others, told by the caller's keys."""

    SILENT = "silent"  #: the caller cannot speak
    DANGER = "danger"  #: the caller is in danger
