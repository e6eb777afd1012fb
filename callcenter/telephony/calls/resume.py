"""Resumes a call of a dead controller at its saved stage and brings it to its one outcome.

A conversation is not interrupted. A caller in any other stage hears a short apology, unless the
controller handed the call over in order, and keeps language, place and urgency.
"""

from callcenter.telephony.calls.call import Call, run_to_completion
from callcenter.telephony.calls.call_state import CallStage, CallState
from callcenter.telephony.calls.conversation.commands import ConversationEnd, run_conversation
from callcenter.telephony.calls.conversation.events import OngoingConversation
from callcenter.telephony.calls.inbound.flow import (
    greet_and_route,
    resolve_end,
    serve_choice,
    serve_until_outcome,
    with_outcome,
)
from callcenter.telephony.calls.inbound.menu import MenuChoice, main_menu, say_in_both
from callcenter.telephony.calls.inbound.redirect_to_1414 import resume_redirect
from callcenter.telephony.calls.inbound.voicemail import resume_voicemail
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.recording_session import RecordingSession
from callcenter.telephony.calls.urgency import URGENT_KEYS, interrupt_if_urgent


async def resume_call(
    call: Call, state: CallState, conversation: OngoingConversation | None, *, in_order: bool
) -> Outcome:
    """Resume a call; `conversation` is the ongoing one, if any.

    `in_order`: the call was handed over. Cancelling releases all that is held.
    """
    call.if_left = state.if_left
    return await with_outcome(call, _resume_stage(call, state, conversation, in_order))


async def _resume_stage(
    call: Call, state: CallState, conversation: OngoingConversation | None, in_order: bool
) -> Outcome:
    if conversation is None and state.recording and state.stage is not CallStage.MESSAGE:
        await run_to_completion(RecordingSession(call, state.recording_uuid).stop())
    match state.stage:
        case CallStage.TALKING if conversation is not None:
            return await _finish_conversation(call, await run_conversation(call, conversation))
        case CallStage.TALKING:  # the consultant hung up meanwhile
            return await _finish_conversation(call, ConversationEnd.TALKED)
        case CallStage.REDIRECTED if (
            conversation is not None and conversation.third_party is not None
        ):
            if conversation.is_unrecorded:
                call.record.add_event(CallEvent.REDIRECTED)
            await resume_redirect(call, conversation.bridge, conversation.third_party.leg)
            return Outcome.REDIRECTED
        case CallStage.REDIRECTED:  # 1414 hung up meanwhile
            return Outcome.REDIRECTED
        case CallStage.FAREWELL:
            await call.say("goodbye")
            return state.became
        case CallStage.MESSAGE if state.recording:
            await resume_voicemail(call, state.recording_uuid)
            return Outcome.MESSAGE
    if not in_order:
        await _play_apology(call)
    return await _serve_again(call, state.stage)


async def _finish_conversation(call: Call, end: ConversationEnd) -> Outcome:
    return await resolve_end(call, end) or await serve_until_outcome(call)


async def _play_apology(call: Call) -> None:
    if call.is_language_chosen:
        await call.say("sorry_going_on", until_key=False)
    else:
        await say_in_both(call, "sorry_going_on")


async def _serve_again(call: Call, stage: CallStage) -> Outcome:
    if stage is CallStage.OPENING and not call.is_language_chosen:
        return await greet_and_route(call)
    if stage is CallStage.OPENING:
        choice = await interrupt_if_urgent(call, URGENT_KEYS, main_menu(call, None))
        return await serve_choice(call, choice or MenuChoice.CONSULTANT)
    if stage is CallStage.REDIRECTING:
        return await serve_choice(call, MenuChoice.UNIFIED_CENTER)
    call.is_resumed = True
    return await serve_until_outcome(call)
