"""Composition root: the only module that knows all rooms. Here a controller of calls is built."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.abuse.blocklist import Blocklist
from callcenter.appeals.callers import read_caller
from callcenter.appeals.losses import Losses
from callcenter.asterisk.ami import Ami
from callcenter.asterisk.channel import Channel
from callcenter.asterisk.lease import Fenced
from callcenter.asterisk.recorder import Recorder
from callcenter.asterisk.strays import Strays
from callcenter.asterisk.switchboard import Switchboard
from callcenter.consultants.desk import Desk
from callcenter.consultants.dispatch import NO_CALL, Mailbox, first_id
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.orders import Answer, Order, OrderRefused
from callcenter.consultants.standing import Queue
from callcenter.controller.attendance import Attendance
from callcenter.controller.callbacks import Callbacks, CallingBack, PromiseRecord
from callcenter.controller.disk import DiskWatch
from callcenter.controller.fallback import given_to_fallback
from callcenter.controller.hearings import Hearings
from callcenter.controller.laying_out import AudioDesk
from callcenter.controller.leaving import Leaving
from callcenter.controller.memory import CallMemory
from callcenter.controller.outbound import CallsOut
from callcenter.controller.owed import Owed, Way
from callcenter.controller.presence import Presence
from callcenter.controller.recovery import Recovery
from callcenter.controller.takeover import Resumed, Takeover
from callcenter.controller.writing import Writing
from callcenter.dialling.beginning import Begun
from callcenter.dialling.numbers import NumberPolicy, NumberRefused
from callcenter.errors import WeFailed
from callcenter.figures import LineFigures
from callcenter.ledger.calls import outcomes
from callcenter.ledger.files import ledger_of
from callcenter.ledger.whole import lines_of
from callcenter.line.backlog import Backlog, waiting
from callcenter.line.call import Call
from callcenter.line.codes import code_of, extension_of
from callcenter.line.flow import inbound_call
from callcenter.line.inheritance import Inheritance
from callcenter.line.journal import Journal
from callcenter.line.outcomes import Outcome, Urgency
from callcenter.line.ports import Leg
from callcenter.line.prompts import Prompts
from callcenter.line.records import CallRecord, OutgoingRecord
from callcenter.line.resumption import resumed_call
from callcenter.line.whereabouts import Whereabouts
from callcenter.plans.book import Planbook
from callcenter.promises.states import Kind
from callcenter.promises.store import Claimed
from callcenter.register.progress import AppealsProgress
from callcenter.secrets import read_secret
from callcenter.settings import Settings

log = logging.getLogger(__name__)

INHERITED = 2.0  # seconds for what the life before left on disk to be in the database
START = 30.0  # seconds within which a controller must be connected with the switch


class Controller:
    """One `callcenter line` process: the calls that it has claimed, from claim to outcome."""

    def __init__(self, settings: Settings, name: str, engine: AsyncEngine, redis: Redis) -> None:
        self.settings = settings
        self.name = name
        #: The name of this life, by which the switch, the desk and the others know it.
        self.life = f"{name}.{secrets.token_hex(4)}"
        self.engine = engine
        self.desk = Desk(redis, self.life, settings)
        self.queue = Queue(redis)
        self.memory = CallMemory(redis)
        self.mailbox = Mailbox(
            redis, self.life, self._give_order, lambda: self.leaving.calls_may_begin
        )
        self.blocklist = Blocklist(settings, engine)
        self.plans = Planbook(settings, engine)
        self.progress = AppealsProgress(engine)
        self.losses = Losses(engine, timedelta(minutes=settings.return_limit))
        self.numbers = NumberPolicy(settings.numbers_allowed, settings.numbers_refused)
        self.prompts = Prompts.load(settings)
        self.writing = Writing(engine)
        backlog = Backlog(settings.journals, name, settings.journal_limit)
        self.journal = Journal(self.writing.write, backlog)
        self.inheritance = Inheritance(self.journal, settings.journals)
        self.presence = Presence(self.desk, engine, lambda: self.ami.device_states())
        self.ami = self._ami()
        self.switchboard = self._switchboard()
        self.strays = Strays(self.switchboard)
        self.lease = self.switchboard.lease
        self.journal.remember = self.memory.keep
        self.journal.when_sure = self.lease.when_sure
        self.recovery = Recovery(
            self.switchboard,
            engine,
            settings.spool,
            lambda: bool(waiting(settings.journals)),
            lambda calls, since: outcomes(lines_of(ledger_of(settings), calls, since)),
        )
        self.takeover = self._takeover()
        self.attendance = Attendance(
            self.desk, DutyDesk(redis, settings), self.switchboard, self.prompts, engine
        )
        self._under_way: dict[str, Call] = {}
        stores = (settings.journals, settings.recordings)
        self.disks = DiskWatch(redis, settings.spool, stores, self._under_way.values)
        self.owed = self._owed(AudioDesk(settings, redis))
        self.ready = asyncio.Event()
        self.calls: set[asyncio.Task[None]] = set()
        self.leaving = Leaving(self.switchboard, self.calls, self.owed)
        self.calls_out = self._calls_out()
        self._errands: set[asyncio.Task[None]] = set()

    def _ami(self) -> Ami:
        return Ami(
            port=self.settings.ami_port,
            user="callcenter",
            secret=read_secret(self.settings.secrets_folder, "ami"),
            events={
                "DeviceStateChange": self.presence.device_changed,
                "Reload": self.presence.reloaded,
            },
            on_connected=self.presence.tell,
        )

    def _switchboard(self) -> Switchboard:
        return Switchboard(
            self.settings,
            self.life,
            read_secret(self.settings.secrets_folder, "ari"),
            Recorder(self.ami),
            on_call=self._take_call,
            on_dead=lambda life, in_order: self.takeover.take(life, in_order),
        )

    def _takeover(self) -> Takeover:
        return Takeover(
            self.switchboard,
            self.desk,
            self.engine,
            self.recovery,
            self.memory,
            self._resume,
            turn_away=lambda channel: self.calls_out.turn_away(channel),
        )

    def figures(self) -> LineFigures:
        """What is told to whoever watches this controller."""
        connected = {"ari": self.switchboard.ari.connected, "ami": self.ami.connected}
        roll = self.switchboard.lives.roll
        return LineFigures(
            self._under_way.values,
            self.journal,
            connected,
            offers=lambda: self.desk.offers,
            unheard=lambda: self.lease.unheard,
            takes_calls=lambda: self.leaving.calls_may_begin,
            watchdogs=lambda: roll.watching,
        )

    def _owed(self, audio_desk: AudioDesk) -> Owed:
        calling = CallingBack(
            self.settings, self.journal, self.switchboard, self._called_back, self._under_way
        )
        callbacks = Callbacks(
            self.settings, self.life, self.engine, self.desk, calling, self.blocklist.blocks
        )
        hearings = Hearings(
            self.settings,
            self.life,
            self.engine,
            self.desk,
            self.switchboard,
            self.prompts,
            audio_desk,
            self.numbers,
            calling,
        )
        ways: dict[Kind, Way] = {Kind.CALLBACK: callbacks, Kind.MESSAGE: hearings}
        return Owed(self.life, self.engine, self.queue, ways)

    def _calls_out(self) -> CallsOut:
        return CallsOut(
            self.settings,
            self.numbers,
            self.desk,
            self.engine,
            self.journal,
            self.switchboard,
            self.prompts,
            self._conversation,
            self._under_way,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve calls until `stop` is set; then hand over what is left, in order.

        Raises Fenced when another controller has taken the calls over, having heard nothing of
        this one.
        """
        self.desk.on_empty = self.presence.tell
        self.journal.when_caught_up = self.recovery.have_checked
        self.switchboard.when_died = self._switch_died
        self.desk.on_withdrawn = self.switchboard.stop_ringing
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.writing.close)
            background = await stack.enter_async_context(asyncio.TaskGroup())
            writing = background.create_task(self.journal.run())
            # Before anything of this life, which goes on with calls of the one before.
            await self.inheritance.take(of=self.name)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INHERITED):
                    await self.journal.written()
            await stack.enter_async_context(self.ami)
            jobs = [
                writing,
                background.create_task(self.inheritance.run()),
                background.create_task(self.desk.run()),
                background.create_task(self.mailbox.run()),
                background.create_task(self.memory.run()),
                background.create_task(self.presence.run()),
                background.create_task(self.blocklist.run()),
                background.create_task(self.losses.run()),
                background.create_task(self.disks.run()),
                background.create_task(self.plans.run()),
                background.create_task(self.switchboard.ari.run()),
                background.create_task(self.strays.run()),
                background.create_task(self.recovery.sweep()),
            ]
            signs = background.create_task(self.switchboard.lives.run())
            await self.ami.ready(START)
            await self.switchboard.ari.ready(START)
            keeping_promises = background.create_task(self.owed.run())
            self.ready.set()
            is_fenced = await self.leaving.until_over(stop)
            keeping_promises.cancel()
            await asyncio.wait((keeping_promises,))
            await self.leaving.end_calls()
            await self.journal.safe()
            signs.cancel()
            await asyncio.wait((signs,))  # while there is a connection yet
            for job in jobs:
                job.cancel()
        if is_fenced:
            raise Fenced

    # Calls

    def _switch_died(self, at: datetime) -> None:
        """All calls ended with it; that we hear of it now, perhaps an hour later, is no matter."""
        for call in self._under_way.values():
            call.record.over_since(at)
        self.recovery.have_checked()

    def _spawn(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)

    def _take_call(self, channel: Channel) -> None:
        if extension_of(channel.name) is None:
            self._spawn(self._serve(channel), self.calls)
        elif code_of(channel.dialled):
            self._spawn(self.attendance.serve(channel), self._errands)
        else:
            self._spawn(self.calls_out.dialled(channel), self.calls)

    def _call(self, leg: Leg, record: CallRecord, **known: Any) -> Call:
        """A call in our hands; `known` are further fields of `Call`."""
        return Call(
            leg=leg,
            record=record,
            sounds=self.prompts,
            switch=self.switchboard,
            desk=self.desk,
            queue=self.queue,
            times=self.settings,
            may_call=self._may_call,
            is_in_need=partial(self.progress.is_in_need, record.appeal_id),
            **known,
        )

    async def _resume(self, left: Resumed) -> None:
        where = left.where
        again = self._serve(left.leg) if where is None else self._serve_on(left, where)
        self._spawn(again, self.calls)

    async def _serve_on(self, left: Resumed, where: Whereabouts) -> None:
        """A call of a controller that is no more, as `_serve` has it."""
        channel = left.leg
        caller = read_caller(channel.number)
        record = self.journal.resumed(channel.id, where)
        call = self._call(
            channel,
            record,
            number=self._may_call(channel.number),
            is_callback=where.is_callback,
            blocked=self.blocklist.blocks(caller.number),
            language=where.language or "kk",
            language_settled=bool(where.language),
            other_language=where.other_language or None,
            notice_heard=where.notice_heard,
            lost_before=where.lost_before,
            waits_since=where.waits_since,
            urgencies=[Urgency(each) for each in where.urgencies],
        )
        for place in (channel.id, *map(first_id, left.places)):
            self._under_way[place] = call
        await self._to_outcome(
            call, channel, record, resumed_call(call, where, left.found, in_order=left.in_order)
        )

    def _conversation(self, leg: Leg, record: OutgoingRecord, begun: Begun) -> Call:
        """The call of somebody whom a consultant called."""
        return self._call(
            leg,
            record,
            number=self._may_call(begun.call.number),
            language=begun.language or "kk",
            language_settled=True,
            notice_heard=True,
        )

    async def _serve(self, channel: Channel) -> None:
        """One call, whatever happens in it: a record, one outcome, nothing left in the switch."""
        caller = read_caller(channel.number)
        record = self.journal.opened(channel.id, caller)
        call = self._call(
            channel,
            record,
            number=self._may_call(channel.number),
            progress=self.progress,
            blocked=self.blocklist.blocks(caller.number),
            lost_before=self.losses.include(caller),
            had_by=self.plans.named(caller.number) or self.losses.had_by(caller),
        )
        self._under_way[channel.id] = call
        outcome = await self._to_outcome(call, channel, record, inbound_call(call))
        if outcome is Outcome.LOST_TO_A_FAULT:
            self.losses.add(caller)

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
            with self.leaving.known(record.memory):
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
            for known in [k for k, each in self._under_way.items() if each is call]:
                del self._under_way[known]
            self.switchboard.forget(channel)
            record.closed(outcome, hung_up=call.hung_up and outcome is Outcome.TALKED)
        return outcome

    def _called_back(self, leg: Leg, record: PromiseRecord, owed: Claimed, number: str) -> Call:
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

    def _may_call(self, number: str) -> str | None:
        """The number in E.164, or short, when the line may call it: allowed, and not blocked."""
        try:
            checked = self.numbers.check(number)
        except NumberRefused:
            return None
        return None if self.blocklist.blocks(checked) else checked

    async def _give_order(self, call_id: str, order: Order) -> Answer:
        if call_id == NO_CALL:
            begun: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self._spawn(self.calls_out.asked(order, begun), self.calls)
            return await begun
        call = self._under_way.get(first_id(call_id))
        if call is None:
            raise OrderRefused("this call is over")
        return await call.orders.give(order)
