"""Alerts about waiting callers and conversations, by language."""

from callcenter.platform.core.errors import N_
from callcenter.platform.monitoring.alerts import AlertKind
from callcenter.platform.monitoring.severity import AlertOwner, AlertSeverity
from callcenter.telephony.acd.rules.call_alerts import CallAlert

NOBODY_SIGNED_IN = AlertKind(
    "nobody_signed_in",
    N_("Somebody waits, and nobody at work speaks the language:"),
    path="/live/queue",
)
URGENT_WAITS = AlertKind(
    CallAlert.URGENT_WAITS.value,
    N_("Somebody in danger, or who cannot speak, waits for a consultant, the language:"),
    AlertSeverity.CRITICAL,
    path="/live/queue",
)
NOT_RECORDED = AlertKind(
    CallAlert.NOT_RECORDED.value,
    N_("A conversation is perhaps not recorded, its language:"),
    AlertSeverity.CRITICAL,
)
RECORDED_AGAIN = AlertKind(
    "recorded_again",
    N_("Such a conversation is recorded from now on, its language:"),
    AlertSeverity.NOTICE,
    passes=True,
)
NUMBER_NOT_SEALED = AlertKind(
    "number_not_sealed",
    N_("A withheld number was not stored for a trace: tell the administrator."),
    AlertSeverity.CRITICAL,
    owner=AlertOwner.ADMINISTRATOR,
)
CALL_NOT_RESTORED = AlertKind(
    "call_not_restored",
    N_(
        "A call could not be continued after a fault, and the reserve serves it: "
        "tell the administrator."
    ),
    AlertSeverity.CRITICAL,
    owner=AlertOwner.ADMINISTRATOR,
)
CALLBACK_OVERDUE = AlertKind(
    "callback_overdue",
    N_("A promised callback is overdue for half an hour, its language:"),
    AlertSeverity.NOTICE,
    path="/promises",
)
MESSAGE_OVERDUE = AlertKind(
    "message_overdue",
    N_("A message was heard by nobody for half an hour, its language:"),
    AlertSeverity.NOTICE,
    path="/promises",
)
URGENT_MESSAGE = AlertKind(
    "urgent_message",
    N_("Somebody in danger, or who cannot speak, left a message: hear it now. Its language:"),
    AlertSeverity.CRITICAL,
    path="/promises",
)
SHUT_OUT_TALKS = AlertKind(
    "shut_out_talks",
    N_("Somebody who was shut out is still in a conversation: listen to it, or take it over."),
    AlertSeverity.CRITICAL,
)

ALERTS = (
    NOBODY_SIGNED_IN,
    URGENT_WAITS,
    NOT_RECORDED,
    RECORDED_AGAIN,
    NUMBER_NOT_SEALED,
    CALL_NOT_RESTORED,
    CALLBACK_OVERDUE,
    MESSAGE_OVERDUE,
    URGENT_MESSAGE,
    SHUT_OUT_TALKS,
)
