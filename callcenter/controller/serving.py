"""How a call is served: made of what is known of it, and brought to its one outcome."""

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any

from callcenter.appeals.callers import read_caller
from callcenter.asterisk.channel import Channel
from callcenter.asterisk.switchboard import Switchboard
from callcenter.consultants.desk import Desk
from callcenter.consultants.dispatch import first_id
from callcenter.consultants.standing import Queue
from callcenter.controller.callbacks import PromiseRecord
from callcenter.controller.fallback import given_to_fallback
from callcenter.controller.known import Known
from callcenter.controller.leaving import Leaving
from callcenter.controller.takeover import Resumed
from callcenter.controller.under_way import UnderWay
from callcenter.dialling.beginning import Begun
from callcenter.errors import WeFailed
from callcenter.line.call import Call
from callcenter.line.flow import inbound_call
from callcenter.line.journal import Journal
from callcenter.line.outcomes import Outcome, Urgency
from callcenter.line.ports import Leg, Sounds
from callcenter.line.records import CallRecord, OutgoingRecord
from callcenter.line.resumption import resumed_call
from callcenter.promises.store import Claimed
from callcenter.register.progress import AppealsProgress
from callcenter.settings import Settings

log = logging.getLogger(__name__)


class Serving:
    """One controller's."""

    def __init__(
        self,
        settings: Settings,
        known: Known,
        progress: AppealsProgress,
        journal: Journal,
        switchboard: Switchboard,
        desk: Desk,
        queue: Queue,
        sounds: Sounds,
        leaving: Leaving,
        under_way: UnderWay,
    ) -> None:
        self.settings = settings
        self.sounds = sounds
        self._known = known
        self._progress = progress
        self._journal = journal
        self._switchboard = switchboard
        self._desk = desk
        self._queue = queue
        self._leaving = leaving
        self._under_way = under_way

    # Callers

    async def serve(self, channel: Channel) -> None:
        """Somebody who calls: a record, one outcome, nothing left in the switch."""
        caller = read_caller(channel.number)
        record = self._journal.opened(channel.id, caller)
        known = self._known
        call = self._call(
            channel,
            record,
            number=known.may_call(channel.number),
            progress=self._progress,
            blocked=known.blocklist.blocks(caller.number),
            lost_before=known.losses.include(caller),
            had_by=known.plans.named(caller.number) or known.losses.had_by(caller),
        )
        self._under_way.begin(call)
        outcome = await self._to_outcome(call, channel, record, inbound_call(call))
        if outcome is Outcome.LOST_TO_A_FAULT:
            known.losses.add(caller)

    async def go_on(self, left: Resumed) -> None:
        """A call of a controller that is no more, as `serve` has it."""
        channel, where = left.leg, left.where
        if where is None:
            await self.serve(channel)
            return
        caller = read_caller(channel.number)
        record = self._journal.resumed(channel.id, where)
        call = self._call(
            channel,
            record,
            number=self._known.may_call(channel.number),
            is_callback=where.is_callback,
            blocked=self._known.blocklist.blocks(caller.number),
            language=where.language or "kk",
            language_settled=bool(where.language),
            other_language=where.other_language or None,
            notice_heard=where.notice_heard,
            lost_before=where.lost_before,
            waits_since=where.waits_since,
            urgencies=[Urgency(each) for each in where.urgencies],
        )
        self._under_way.begin(call, *map(first_id, left.places))
        serving = resumed_call(call, where, left.found, in_order=left.in_order)
        await self._to_outcome(call, channel, record, serving)

    async def _to_outcome(
        self,
        call: Call,
        channel: Channel,
        record: CallRecord,
        serving: Coroutine[Any, Any, Outcome],
    ) -> Outcome:
        """Whatever happens to the call: one outcome, and nothing left in the switch."""
        outcome = Outcome.LOST_TO_A_FAULT
        try:
            with self._leaving.known(record.memory):
                outcome = await serving
            await channel.hang_up()
        except asyncio.CancelledError:
            leaving = given_to_fallback(channel, record, "shutdown", patient=False)
            outcome = await asyncio.shield(leaving)
            raise
        except WeFailed as exc:  # as when Redis or the switch is away
            log.error("call %s: %s; the dialplan goes on", channel.id, exc)
            outcome = await given_to_fallback(channel, record, type(exc).__name__)
        except Exception as exc:
            log.exception("call %s: our part failed; the dialplan goes on", channel.id)
            outcome = await given_to_fallback(channel, record, type(exc).__name__)
        finally:
            self._under_way.end(record)
            self._switchboard.channels.forget(channel)
            record.closed(outcome, hung_up=call.hung_up and outcome is Outcome.TALKED)
        return outcome

    # Whom we call

    def called_by_consultant(self, leg: Leg, record: OutgoingRecord, begun: Begun) -> Call:
        """The call of somebody whom a consultant called."""
        return self._call(
            leg,
            record,
            number=self._known.may_call(begun.call.number),
            language=begun.language or "kk",
            language_settled=True,
            notice_heard=True,
        )

    def called_back(self, leg: Leg, record: PromiseRecord, owed: Claimed, number: str) -> Call:
        """The call of whoever picked up when we called back."""
        call = self._call(
            leg,
            record,
            number=number,
            is_callback=True,
            language=owed.language,
            language_settled=True,
            waits_since=owed.arrived_at.timestamp(),
            urgencies=[Urgency(each) for each in owed.urgencies],
        )
        record.memory.note(is_callback=True, waits_since=call.waits_since)
        return call

    def _call(self, leg: Leg, record: CallRecord, **fields: Any) -> Call:
        """A call in our hands; `fields` are further ones of `Call`."""
        return Call(
            leg=leg,
            record=record,
            sounds=self.sounds,
            switch=self._switchboard,
            desk=self._desk,
            queue=self._queue,
            times=self.settings,
            may_call=self._known.may_call,
            is_in_need=partial(self._progress.is_in_need, record.appeal_id),
            **fields,
        )
