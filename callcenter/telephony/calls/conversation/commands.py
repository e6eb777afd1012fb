"""Runs a recorded conversation (R17) and executes the consultant's commands in it.

Commands come from in-call codes, the softphone's hold button or the API, and are executed in the
order of request.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto

from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.telephony.acd.rules.call_commands import CallCommand, CommandRefused
from callcenter.telephony.acd.rules.transfer_target import TransferTarget, parse_target
from callcenter.telephony.calls.call import Call, while_connected
from callcenter.telephony.calls.conversation.conversation import OVER, Conversation, conversation
from callcenter.telephony.calls.conversation.events import (
    CommandRequested,
    OngoingConversation,
    PartyAnswered,
    PartyLeft,
    PartyUnanswered,
)
from callcenter.telephony.calls.conversation.feature_codes import extension_of
from callcenter.telephony.calls.conversation.participants import (
    ConsultantParty,
    ExternalParty,
    ThirdParty,
    dial_external,
    ring_consultant,
)
from callcenter.telephony.calls.conversation.refer import is_refer
from callcenter.telephony.calls.conversation.supervision import (
    allow_supervision,
    reserve_supervisor,
)
from callcenter.telephony.calls.outcomes import CallEvent
from callcenter.telephony.calls.ports import TransferReport
from callcenter.telephony.calls.survey import may_survey
from callcenter.telephony.calls.urgency import collect_conversation_keys

#: Seconds from the prompt that a caller was left to a supervisor until that one surely knows.
SUPERVISOR_KNOWS_AFTER = 10.0

log = logging.getLogger(__name__)


class ConversationEnd(Enum):
    """How a conversation ended, the caller being connected."""

    TALKED = auto()  #: the consultant hung up
    REDIRECT = auto()  #: the consultant redirects to 1414
    SURVEY = auto()  #: the consultant offers the survey
    QUEUE = auto()  #: the consultant returned the caller to the queue
    LOST = auto()  #: the caller is alone, and no consultant meant that


async def run_conversation(
    call: Call, party: ConsultantParty | OngoingConversation
) -> ConversationEnd:
    """Connect caller and consultant, and run the conversation to its end, through transfers.

    An `OngoingConversation` is resumed. Raises LegHungUp when the caller hung up, NotAnswered when
    the consultant did before the two were connected.
    """
    async with (
        conversation(call, party, _COMMAND_HANDLERS) as talk,
        allow_supervision(talk),
    ):
        with collect_conversation_keys(call):
            return await while_connected(call.leg, _run_until_end(talk))


async def _run_until_end(talk: Conversation) -> ConversationEnd:
    """Handle commands and events one after another."""
    while True:
        match await talk.next():
            case CommandRequested() as request:
                end = await _execute(talk, request)
            case PartyAnswered(third_party):
                end = await _handle_third_party_answered(talk, third_party)
            case PartyUnanswered(why):
                end = await _handle_third_party_unanswered(talk, why)
            case PartyLeft(who) if who is talk.consultant:
                end = await _handle_consultant_left(talk, talk.consultant)
            case PartyLeft():
                end = await _handle_third_party_left(talk)
        if end is not None:
            return end


async def _execute(talk: Conversation, request: CommandRequested) -> ConversationEnd | None:
    """Execute a command and answer it; a refused code plays a prompt to the consultant."""
    command = request.command
    try:
        end = await _COMMAND_HANDLERS[command.what](talk, command)
        if _is_deliberate(command):
            talk.supervisor_knows_at = 0.0
        if is_refer(command):
            done = TransferReport.DONE if end else TransferReport.STARTED
            await talk.report_transfer(done)
        request.done(talk.state())
        return end
    except CommandRefused as exc:
        request.refuse(str(exc))
        if is_refer(command):
            await talk.report_transfer(TransferReport.REFUSED)
        if is_refer(command) or command.detail.get("how") == "key":
            await talk.play_to_consultant("not_now")
        return None
    except OperationFailed as exc:  # the conversation goes on
        log.error("command failed: call %s: %s: %s", talk.call.leg.id, command.what, exc)
        request.refuse("this failed: try again in a moment")
        if is_refer(command):
            await talk.report_transfer(TransferReport.REFUSED)
        talk.schedule_repair()
        return None
    finally:
        request.refuse(OVER)


# Events


async def _handle_third_party_answered(
    talk: Conversation, third_party: ThirdParty
) -> ConversationEnd | None:
    """Connect third party and consultant, or transfer the caller at once if blind."""
    if not await talk.admit(third_party):
        return await _handle_third_party_unanswered(talk, "left")
    talk.call.record.add_event(CallEvent.THIRD_PARTY_ANSWERED, **_party_detail(third_party))
    if isinstance(third_party, ConsultantParty) and (
        talk.is_blind_transfer or talk.consultant is None
    ):
        await _transfer_to(talk, third_party)
    return None


async def _handle_third_party_unanswered(talk: Conversation, why: str) -> ConversationEnd | None:
    """Give the caller back to the consultant."""
    talk.call.record.add_event(CallEvent.THIRD_PARTY_FAILED, why=why)
    await talk.dismiss_third_party()
    if talk.consultant is None:
        is_left = await _leave_to_supervisor(talk, is_lost=True)
        return None if is_left else ConversationEnd.LOST
    await talk.report_transfer(TransferReport.REFUSED)
    await talk.give_back()
    return None


async def _handle_third_party_left(talk: Conversation) -> ConversationEnd | None:
    """End a conversation of caller and third party alone; else take back the caller."""
    return (
        ConversationEnd.TALKED
        if talk.consultant is None
        else await _handle_third_party_unanswered(talk, "left")
    )


async def _handle_consultant_left(
    talk: Conversation, consultant: ConsultantParty
) -> ConversationEnd | None:
    """Leave the caller with whoever is there, or wait for a consultant who is being rung."""
    is_dead = consultant.leg.connection_lost
    is_lost = is_dead or talk.is_on_hold or time.monotonic() < talk.supervisor_knows_at
    await talk.release_consultant()
    match talk.third_party:
        case ConsultantParty() as third_party:
            await _transfer_to(talk, third_party)
            return None
        case None if talk.awaits_consultant:
            if is_dead:
                talk.call.record.add_event(CallEvent.CONSULTANT_LOST, consultant=consultant.name)
            return None
    if await _leave_to_supervisor(talk, is_lost=is_lost):
        return None
    match talk.third_party:
        case ExternalParty() as outside if await talk.recording.stop(is_final=False):
            await _leave_with(talk, outside)
            return None
        case None if not is_lost:
            return ConversationEnd.TALKED
    talk.call.record.add_event(CallEvent.CONSULTANT_LOST, consultant=consultant.name)
    await talk.dismiss_third_party()
    return ConversationEnd.LOST


async def _leave_to_supervisor(talk: Conversation, *, is_lost: bool) -> bool:
    """Make a supervisor who has joined the consultant; False: none has.

    Supervision ends then, an external party stays. A caller who `is_lost` is lost again when the
    supervisor hangs up at once, having done nothing with the call.
    """
    if talk.third_party is None:
        await talk.dismiss_third_party()  # who is only being called hears no caller unprepared
    supervisor = talk.claim_supervisor()
    if supervisor is None:
        return False
    await _transfer_to(talk, supervisor)
    await talk.play_to_consultant("caller_left_to_you")
    if is_lost:
        talk.supervisor_knows_at = time.monotonic() + SUPERVISOR_KNOWS_AFTER
    await reserve_supervisor(talk.call, supervisor)
    return True


async def _transfer_to(talk: Conversation, party: ConsultantParty) -> None:
    await talk.transfer_to(party)
    beside = {} if talk.third_party is None else _party_detail(talk.third_party)
    talk.call.record.add_event(CallEvent.TRANSFERRED, **(beside | {"consultant": party.name}))


async def _leave_with(talk: Conversation, third_party: ExternalParty) -> None:
    """Leave the caller alone with an external party, unrecorded and not supervised."""
    talk.end_supervision()
    await talk.unhold()
    talk.call.record.add_event(CallEvent.LEFT_OUTSIDE, **_party_detail(third_party))
    await talk.report_transfer(TransferReport.DONE)
    await talk.release_consultant()


# Commands


async def _hold(talk: Conversation, command: CallCommand) -> None:
    if command.detail.get("how") == "telephone":
        talk.is_held_by_telephone = True
    await talk.hold(**_source_detail(command))


async def _resume(talk: Conversation, command: CallCommand) -> None:
    """Take the caller off hold, not while there is a third party: their talk is private."""
    talk.is_held_by_telephone = False
    _require_no_third_party(talk)
    await talk.unhold(**_source_detail(command))


async def _hold_or_resume(talk: Conversation, command: CallCommand) -> None:
    await (_resume if talk.is_on_hold else _hold)(talk, command)


async def _mute(talk: Conversation, command: CallCommand) -> None:
    await talk.mute(True, **_source_detail(command))


async def _unmute(talk: Conversation, command: CallCommand) -> None:
    await talk.mute(False, **_source_detail(command))


async def _mute_or_unmute(talk: Conversation, command: CallCommand) -> None:
    await (_unmute if talk.is_muted else _mute)(talk, command)


async def _consult(talk: Conversation, command: CallCommand) -> None:
    """Attended transfer: the consultant talks with another one first, the caller on hold."""
    await _call_consultant(talk, command, hands_over=False)


async def _transfer(talk: Conversation, command: CallCommand) -> None:
    """Blind transfer: the caller goes to another consultant as soon as that one answers."""
    await _call_consultant(talk, command, hands_over=True)


async def _call_consultant(talk: Conversation, command: CallCommand, *, hands_over: bool) -> None:
    target = parse_target(command.detail.get("to", ""))
    if target is None:
        raise CommandRefused("unknown transfer target: use an extension or skill:NAME:LEVEL")
    _require_no_third_party(talk)
    await talk.hold(**_source_detail(command))
    talk.call.record.add_event(
        CallEvent.THIRD_PARTY_CALLED, **target.detail(), **_source_detail(command)
    )
    place = talk.call.next_place_id()
    calling = ring_consultant(talk.call, target, place)
    talk.call_third_party(calling, is_consultant=True, hands_over=hands_over)


async def _ring_again(talk: Conversation, command: CallCommand) -> None:
    """Ring the consultant's own telephone anew, as after its page was reloaded."""
    _require_no_third_party(talk)
    await talk.hold(**_source_detail(command))
    if talk.consultant is not None:
        target = TransferTarget(talk.consultant.name)
        talk.call.record.add_event(
            CallEvent.THIRD_PARTY_CALLED, **target.detail(), **_source_detail(command)
        )
        talk.ring_consultant_again()


async def _call(talk: Conversation, command: CallCommand) -> None:
    """Dial an external party: an interpreter, a state body, 102."""
    number = talk.call.may_call(command.detail.get("to", ""))
    if number is None:
        raise CommandRefused("this number may not be dialled")
    _require_no_third_party(talk)
    if "urgent" not in command.detail:  # that is of a body by the directory, whatever one wishes
        await talk.call.check_contact(number)
    await talk.hold(**_source_detail(command))
    talk.call.record.add_event(
        CallEvent.THIRD_PARTY_CALLED, number=mask(number), **_source_detail(command)
    )
    calling = dial_external(talk.call, number)
    talk.call_third_party(calling, is_consultant=False, hands_over=False)


async def _back(talk: Conversation, command: CallCommand) -> None:
    """Hang up the third party, and give the caller back to the consultant."""
    await talk.dismiss_third_party()
    await talk.give_back(**_source_detail(command))


async def _together(talk: Conversation, command: CallCommand) -> None:
    """Join caller, consultant and third party."""
    _require_third_party(talk)
    await talk.unhold(**_source_detail(command))
    talk.call.record.add_event(CallEvent.TOGETHER, **_source_detail(command))


async def _hand_over(talk: Conversation, command: CallCommand) -> None:
    """Transfer the caller to the third party."""
    replaced = command.detail.get("replaced")
    if replaced is not None and (
        talk.consultant is None or extension_of(replaced) != talk.consultant.name
    ):
        raise CommandRefused("this call of the telephone is not with the third party")
    match _require_third_party(talk):
        case ConsultantParty() as third_party:
            await _transfer_to(talk, third_party)
        case ExternalParty() as third_party:
            if not await _leave_to_supervisor(talk, is_lost=False):
                await _require_recording_stopped(talk)
                await _leave_with(talk, third_party)


async def _queue(talk: Conversation, command: CallCommand) -> ConversationEnd:
    """Return the caller to the queue with the time of arrival, maybe in another language."""
    _require_no_third_party(talk)
    language = command.detail.get("language")
    if language is not None:
        if language not in CALLER_LANGUAGES:
            raise CommandRefused("unknown language: use kk or ru")
        talk.call.other_language = language
    talk.call.record.add_event(
        CallEvent.SENT_BACK, language=talk.call.consultant_language, **_source_detail(command)
    )
    return ConversationEnd.QUEUE


async def _redirect(talk: Conversation, _command: CallCommand) -> ConversationEnd:
    """Redirect to 1414, unless the recording may be running still."""
    await _require_recording_stopped(talk)
    return ConversationEnd.REDIRECT


async def _take_over(talk: Conversation, _command: CallCommand) -> None:
    """Transfer the caller to a supervisor; the consultant goes to wrap-up."""
    taker, talk.takeover_party = talk.takeover_party, None
    if taker is None or not await talk.admit(taker):
        raise CommandRefused("no supervisor is there to take over")
    await talk.dismiss_third_party()
    await _transfer_to(talk, taker)
    await reserve_supervisor(talk.call, taker)


async def _record(talk: Conversation, _command: CallCommand) -> None:
    """Retry a recording that is unconfirmed."""
    await talk.retry_recording()


async def _reconcile(talk: Conversation, _command: CallCommand) -> None:
    await talk.reconcile_bridge()


async def _survey(talk: Conversation, _command: CallCommand) -> ConversationEnd:
    if not await may_survey(talk.call):
        raise CommandRefused("an urgent caller is not surveyed")
    return ConversationEnd.SURVEY


async def _report_state(talk: Conversation, _command: CallCommand) -> None:
    """Look whether the caller is heard; every command is answered with the state."""
    await talk.caller_audio.update()


def _require_no_third_party(talk: Conversation) -> None:
    if talk.third_party is not None or talk.awaits_third_party:
        raise CommandRefused("there is a third party in this call: end that first")


def _require_third_party(talk: Conversation) -> ThirdParty:
    if talk.third_party is None:
        raise CommandRefused("there is no third party in this call")
    return talk.third_party


async def _require_recording_stopped(talk: Conversation) -> None:
    """Raise CommandRefused while the recording may be running (field complaint 25)."""
    if not await talk.recording.stop(is_final=False):
        raise CommandRefused("the end of the recording is unconfirmed: the caller stays")


_COMMAND_HANDLERS: Mapping[
    str, Callable[[Conversation, CallCommand], Awaitable[ConversationEnd | None]]
] = {
    "status": _report_state,
    "hold": _hold,
    "resume": _resume,
    "hold_or_resume": _hold_or_resume,
    "mute": _mute,
    "unmute": _unmute,
    "mute_or_unmute": _mute_or_unmute,
    "ring_again": _ring_again,
    "consult": _consult,
    "transfer": _transfer,
    "call": _call,
    "back": _back,
    "together": _together,
    "hand_over": _hand_over,
    "queue": _queue,
    "redirect": _redirect,
    "survey": _survey,
    "record": _record,
    "as_told": _reconcile,
    "take_over": _take_over,
}


def _is_deliberate(command: CallCommand) -> bool:
    """Whether the consultant gave this command knowing whose call it is.

    Pages and second lines read the status by themselves, and a telephone's button holds and resumes
    any call.
    """
    is_button = command.what in ("hold", "resume") and command.detail.get("how") == "telephone"
    return command.by == "self" and command.what != "status" and not is_button


def _party_detail(third_party: ThirdParty) -> dict[str, str]:
    """Return the party as a detail of events."""
    return (
        {"consultant": third_party.name}
        if isinstance(third_party, ConsultantParty)
        else {"number": mask(third_party.name)}
    )


def _source_detail(command: CallCommand) -> dict[str, str]:
    """Return how it was requested, as a detail of events."""
    return {"how": command.detail.get("how", "asked")}
