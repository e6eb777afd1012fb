"""Run one call from claim to outcome; guarantee exactly one outcome."""

import asyncio
import logging
from collections.abc import Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Any

from callcenter.appeals.contact.service import ContactRefused
from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.acd.command_bus import first_id
from callcenter.telephony.acd.rules.call_commands import CommandRefused
from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.asterisk.resource_ids import ORIGINATED_PREFIX
from callcenter.telephony.callbacks.store import ClaimedCallback
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.inbound.flow import inbound_call
from callcenter.telephony.calls.journal.call_record import CallRecord, OutboundRecord
from callcenter.telephony.calls.outcomes import Outcome, Urgency
from callcenter.telephony.calls.ports import Leg
from callcenter.telephony.calls.resume import resume_call
from callcenter.telephony.controller.callback_dialer import CallbackRecord
from callcenter.telephony.controller.dependencies import CallDependencies
from callcenter.telephony.controller.fallback import fallback_reason, hand_to_fallback
from callcenter.telephony.controller.number_sealer import NumberSealer
from callcenter.telephony.controller.shutdown import GracefulShutdown
from callcenter.telephony.controller.takeover import ResumedCall
from callcenter.telephony.outbound.authorization import AuthorizedCall, authorize_third_party

log = logging.getLogger(__name__)


class CallService:
    """Serves the calls of one controller, and makes the calls that others run."""

    def __init__(self, dependencies: CallDependencies, shutdown: GracefulShutdown) -> None:
        self.dependencies = dependencies
        self._shutdown = shutdown
        self._sealer = NumberSealer(
            dependencies.settings, dependencies.queue.alert_number_not_sealed
        )

    # Incoming calls

    async def handle_incoming(self, channel: Channel) -> None:
        """Serve a caller: one record, one outcome, nothing left in Asterisk."""
        caller = parse_caller_id(channel.number)
        record = self.dependencies.journal.open_call(channel.id, caller)
        self._sealer.begin(channel, record, caller)
        callers = self.dependencies.callers
        call = self._make_call(
            channel,
            record,
            number=callers.may_call(channel.number),
            status_lookup=self.dependencies.status_lookup,
            blocked=callers.blocklist.blocks(caller.number),
            previous_call_dropped=callers.recent_drops.contains(caller),
            preferred_consultant=callers.care_plans.find_consultant(caller.number)
            or callers.recent_drops.preferred_consultant(caller),
        )
        self.dependencies.active_calls.begin(call)
        outcome = await self._run_to_outcome(call, channel, record, inbound_call(call))
        if outcome is Outcome.LOST_TO_A_FAULT:
            callers.recent_drops.add(caller)

    async def resume(self, resumed: ResumedCall) -> None:
        """Serve on a call of a dead controller, as `handle_incoming` does."""
        channel, state = resumed.leg, resumed.state
        if state is None:
            await self.handle_incoming(channel)
            return
        caller = parse_caller_id(channel.number)
        journal = self.dependencies.journal
        if channel.id.startswith(ORIGINATED_PREFIX):
            record = journal.resume_record(channel.id, state)
        else:
            began_at = datetime.fromtimestamp(channel.began_at, UTC)
            record = journal.resume_call(channel.id, caller, began_at, state)
        self._sealer.begin(channel, record, caller)
        callers = self.dependencies.callers
        call = self._make_call(
            channel,
            record,
            number=callers.may_call(channel.number),
            is_callback=state.is_callback,
            blocked=callers.blocklist.blocks(caller.number),
            language=state.language or "kk",
            is_language_chosen=bool(state.language),
            other_language=state.other_language or None,
            recording_notice_played=state.notice_heard,
            previous_call_dropped=state.lost_before,
            waits_since=state.waits_since,
            urgencies=[Urgency(each) for each in state.urgencies],
        )
        self.dependencies.active_calls.begin(call, *map(first_id, resumed.places))
        serving = resume_call(call, state, resumed.conversation, in_order=resumed.in_order)
        await self._run_to_outcome(call, channel, record, serving)

    async def _run_to_outcome(
        self,
        call: Call,
        channel: Channel,
        record: CallRecord,
        serving: Coroutine[Any, Any, Outcome],
    ) -> Outcome:
        """Run to one outcome, whatever happens, and leave nothing in Asterisk."""
        outcome = Outcome.LOST_TO_A_FAULT
        try:
            with self._shutdown.track(record.state_tracker):
                outcome = await serving
            await channel.hang_up()
        except asyncio.CancelledError:
            leaving = hand_to_fallback(channel, record, "shutdown", patient=False)
            outcome = await asyncio.shield(leaving)
            raise
        except OperationFailed as exc:  # as when Redis or Asterisk is not available
            log.error("call handed to the dialplan's fallback: %s: %s", channel.id, exc)
            outcome = await hand_to_fallback(channel, record, fallback_reason(exc))
        except Exception as exc:
            log.exception("call handed to the dialplan's fallback: %s: our fault", channel.id)
            outcome = await hand_to_fallback(channel, record, fallback_reason(exc))
        finally:
            self.dependencies.active_calls.end(record)
            self.dependencies.switch.channels.untrack(channel)
            record.close(outcome, hung_up=call.consultant_hung_up and outcome is Outcome.TALKED)
        return outcome

    # Outgoing calls

    def make_outbound_call(self, leg: Leg, record: OutboundRecord, begun: AuthorizedCall) -> Call:
        """The call of a party whom a consultant called."""
        return self._make_call(
            leg,
            record,
            number=self.dependencies.callers.may_call(begun.call.number),
            language=begun.language or "kk",
            is_language_chosen=True,
            recording_notice_played=True,
        )

    def make_callback_call(
        self, leg: Leg, record: CallbackRecord, callback: ClaimedCallback, number: str
    ) -> Call:
        """The call of the party who picked up when we called back."""
        call = self._make_call(
            leg,
            record,
            number=number,
            is_callback=True,
            language=callback.language,
            is_language_chosen=True,
            waits_since=callback.arrived_at.timestamp(),
            urgencies=[Urgency(each) for each in callback.urgencies],
        )
        record.state_tracker.update(is_callback=True, waits_since=call.waits_since)
        return call

    def _make_call(self, leg: Leg, record: CallRecord, **fields: Any) -> Call:
        """A call in our hands; `fields` are further ones of `Call`."""
        shared = self.dependencies
        return Call(
            leg=leg,
            record=record,
            sounds=shared.prompts,
            switch=shared.switch,
            distributor=shared.distributor,
            queue=shared.queue,
            times=shared.settings,
            may_call=shared.callers.may_call,
            check_contact=self._check_contact,
            is_urgent_on_record=partial(shared.status_lookup.is_in_need, record.appeal_id),
            **fields,
        )

    async def _check_contact(self, number: str) -> None:
        try:
            await authorize_third_party(self.dependencies.engine, number)
        except ContactRefused as exc:
            raise CommandRefused(str(exc)) from exc
