"""Composition root: the only module that knows all rooms. Here a controller of calls is built."""

import asyncio
import contextlib
import secrets
from collections.abc import Collection, Coroutine
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.asterisk.ami import Ami
from callcenter.asterisk.channel import Channel
from callcenter.asterisk.channels import Channels
from callcenter.asterisk.lease import Fenced
from callcenter.asterisk.recorder import Recorder
from callcenter.asterisk.strays import Strays
from callcenter.asterisk.switchboard import Switchboard
from callcenter.consultants.desk import Desk
from callcenter.consultants.dispatch import NO_CALL, Mailbox
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.orders import Answer, Order, OrderRefused
from callcenter.consultants.standing import Queue
from callcenter.controller.attendance import Attendance
from callcenter.controller.callbacks import Callbacks, CallingBack
from callcenter.controller.disk import DiskWatch
from callcenter.controller.hearings import Hearings
from callcenter.controller.known import Known
from callcenter.controller.laying_out import AudioDesk
from callcenter.controller.leaving import Leaving
from callcenter.controller.memory import CallMemory
from callcenter.controller.outbound import CallsOut
from callcenter.controller.owed import Owed, Way
from callcenter.controller.presence import Presence
from callcenter.controller.recovery import Recovery
from callcenter.controller.serving import Serving
from callcenter.controller.takeover import Resumed, Takeover
from callcenter.controller.under_way import UnderWay
from callcenter.controller.writing import Writing
from callcenter.errands import Errands
from callcenter.figures import LineFigures
from callcenter.ledger.calls import outcomes
from callcenter.ledger.files import ledger_of
from callcenter.ledger.whole import lines_of
from callcenter.line.backlog import Backlog, waiting
from callcenter.line.codes import code_of, extension_of
from callcenter.line.inheritance import Inheritance
from callcenter.line.journal import Journal
from callcenter.line.prompts import Prompts
from callcenter.promises.states import Kind
from callcenter.register.progress import AppealsProgress
from callcenter.secrets import read_secret
from callcenter.settings import Settings

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
        self.memory = CallMemory(redis)
        self.mailbox = Mailbox(
            redis, self.life, self._give_order, lambda: self.leaving.calls_may_begin
        )
        self.known = Known(settings, engine)
        self.prompts = Prompts.load(settings)
        self.writing = Writing(engine)
        backlog = Backlog(settings.journals, name, settings.journal_limit)
        self.journal = Journal(self.writing.write, backlog)
        self.inheritance = Inheritance(self.journal, settings.journals)
        self.presence = Presence(self.desk, engine, lambda: self.ami.device_states())
        self.ami = self._ami()
        self.channels = self._channels()
        self.switchboard = Switchboard(settings, self.channels, Recorder(self.ami))
        self.strays = Strays(self.channels)
        self.journal.remember = self.memory.keep
        self.journal.when_sure = self.channels.lease.when_sure
        self.recovery = self._recovery()
        self.takeover = self._takeover()
        self.attendance = Attendance(
            self.desk, DutyDesk(redis, settings), self.channels, self.prompts, engine
        )
        self.calls = Errands()
        self.under_way = UnderWay()
        stores = (settings.journals, settings.recordings)
        self.disks = DiskWatch(redis, settings.spool, stores, self.under_way)
        self.leaving = Leaving(self.channels, self.calls)
        queue = Queue(redis)
        self.serving = self._serving(queue)
        self.owed = self._owed(queue, AudioDesk(settings, redis))
        self.calls_out = self._calls_out()
        self.ready = asyncio.Event()
        self._errands = Errands()

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

    def _channels(self) -> Channels:
        return Channels(
            self.settings,
            self.life,
            read_secret(self.settings.secrets_folder, "ari"),
            on_call=self._take_call,
            on_dead=lambda life, in_order: self.takeover.take(life, in_order),
        )

    def _recovery(self) -> Recovery:
        settings = self.settings
        return Recovery(
            self.switchboard,
            self.engine,
            settings.spool,
            lambda: bool(waiting(settings.journals)),
            lambda calls, since: outcomes(lines_of(ledger_of(settings), calls, since)),
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
        connected = {"ari": self.channels.ari.connected, "ami": self.ami.connected}
        return LineFigures(
            self.under_way,
            self.journal,
            connected,
            offers=lambda: self.desk.offers,
            unheard=lambda: self.channels.lease.unheard,
            takes_calls=lambda: self.leaving.calls_may_begin,
            watchdogs=lambda: self.channels.lives.roll.watching,
        )

    def _serving(self, queue: Queue) -> Serving:
        return Serving(
            self.settings,
            self.known,
            AppealsProgress(self.engine),
            self.journal,
            self.switchboard,
            self.desk,
            queue,
            self.prompts,
            self.leaving,
            self.under_way,
        )

    def _owed(self, queue: Queue, audio_desk: AudioDesk) -> Owed:
        calling = CallingBack(
            self.settings, self.journal, self.switchboard, self.serving.called_back, self.under_way
        )
        is_blocked = self.known.blocklist.blocks
        callbacks = Callbacks(self.settings, self.life, self.engine, self.desk, calling, is_blocked)
        hearings = Hearings(
            self.settings,
            self.life,
            self.engine,
            self.desk,
            self.switchboard,
            self.prompts,
            audio_desk,
            self.known.numbers,
            calling,
        )
        ways: dict[Kind, Way] = {Kind.CALLBACK: callbacks, Kind.MESSAGE: hearings}
        return Owed(self.life, self.engine, queue, ways)

    def _calls_out(self) -> CallsOut:
        return CallsOut(
            self.settings,
            self.known.numbers,
            self.desk,
            self.engine,
            self.journal,
            self.switchboard,
            self.prompts,
            self.serving.called_by_consultant,
            self.under_way,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve calls until `stop` is set; then hand over what is left, in order.

        Raises Fenced when another controller has taken the calls over, having heard nothing of
        this one.
        """
        self.desk.on_empty = self.presence.tell
        self.journal.when_caught_up = self.recovery.have_checked
        self.channels.when_died = self._switch_died
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
            jobs = [writing, *map(background.create_task, self._beside_calls())]
            signs = background.create_task(self.channels.lives.run())
            await self.ami.ready(START)
            await self.channels.ari.ready(START)
            keeping_promises = background.create_task(self.owed.run())
            self.ready.set()
            is_fenced = await self.leaving.until_over(stop, self.owed)
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

    def _beside_calls(self) -> list[Coroutine[Any, Any, None]]:
        return [
            self.inheritance.run(),
            self.desk.run(),
            self.mailbox.run(),
            self.memory.run(),
            self.presence.run(),
            self.known.run(),
            self.disks.run(),
            self.channels.ari.run(),
            self.strays.run(),
            self.recovery.sweep(),
        ]

    # What comes in

    def _switch_died(self, at: datetime, with_it: Collection[str]) -> None:
        """Calls ended with it; that we hear of it now, perhaps an hour later, is no matter."""
        for call in self.under_way:
            if call.leg.id in with_it:
                call.record.over_since(at)
        self.recovery.have_checked()

    def _take_call(self, channel: Channel) -> None:
        if extension_of(channel.name) is None:
            self.calls.begin(self.serving.serve(channel))
        elif code_of(channel.dialled):
            self._errands.begin(self.attendance.serve(channel))
        else:
            self.calls.begin(self.calls_out.dialled(channel))

    def _resume(self, left: Resumed) -> None:
        self.calls.begin(self.serving.go_on(left))

    async def _give_order(self, call_id: str, order: Order) -> Answer:
        if call_id == NO_CALL:
            begun: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self.calls.begin(self.calls_out.asked(order, begun))
            return await begun
        call = self.under_way.find(call_id)
        if call is None:
            raise OrderRefused("this call is over")
        return await call.orders.give(order)
