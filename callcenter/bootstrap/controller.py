"""Composition root of a controller: build leaves, then what uses and listens to them."""

import asyncio
import contextlib
import secrets
from collections.abc import Collection, Coroutine
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.status.lookup import SqlAppealStatusLookup
from callcenter.bootstrap.metrics import ControllerMetrics
from callcenter.consultants import store as consultants
from callcenter.consultants.presence import PresenceService
from callcenter.platform.core.background_tasks import BackgroundTasks
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.notify_listener import NotifyListener
from callcenter.requests.news import NEWS_SOURCES
from callcenter.telephony.acd.command_bus import (
    NO_CALL,
    CommandClient,
    CommandServer,
    read_order_keys,
)
from callcenter.telephony.acd.distributor import RedisCallDistributor
from callcenter.telephony.acd.order_audit import OrderAudit
from callcenter.telephony.acd.queue_position import RedisQueueMonitor
from callcenter.telephony.acd.rules.call_commands import (
    SUPERVISE,
    Answer,
    CallCommand,
    CommandRefused,
)
from callcenter.telephony.asterisk.ami import Ami
from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.asterisk.cluster.leaked_channels import LeakedChannelReaper
from callcenter.telephony.asterisk.fence import Fenced
from callcenter.telephony.asterisk.mixmonitor import MixMonitorRecorder
from callcenter.telephony.asterisk.node import AsteriskNode
from callcenter.telephony.asterisk.switch import AsteriskSwitch
from callcenter.telephony.calls.conversation.feature_codes import extension_of, find_code
from callcenter.telephony.calls.journal.journal import Journal
from callcenter.telephony.calls.journal.replay import OrphanedJournalReplayer
from callcenter.telephony.calls.journal.spool import JournalSpool, pending_spools
from callcenter.telephony.calls.prompts import Prompts
from callcenter.telephony.controller.account_provisioning import AccountProvisioning
from callcenter.telephony.controller.active_calls import ActiveCalls
from callcenter.telephony.controller.call_service import CallService
from callcenter.telephony.controller.call_state_store import RedisCallStateStore
from callcenter.telephony.controller.callback_dialer import CallbackDialer, CallbackHandler
from callcenter.telephony.controller.callback_scheduler import CallbackScheduler
from callcenter.telephony.controller.caller_cache import CallerCache
from callcenter.telephony.controller.dependencies import CallDependencies
from callcenter.telephony.controller.disk_monitor import DiskMonitor
from callcenter.telephony.controller.feature_codes import FeatureCodeService
from callcenter.telephony.controller.journal_writer import JournalWriter
from callcenter.telephony.controller.lost_call_recovery import LostCallRecovery
from callcenter.telephony.controller.open_files_monitor import watch_open_files
from callcenter.telephony.controller.outbound_calls import OutboundCalls
from callcenter.telephony.controller.presence_sync import PresenceSync
from callcenter.telephony.controller.second_line import SecondLine
from callcenter.telephony.controller.shutdown import GracefulShutdown
from callcenter.telephony.controller.supervision_guard import SupervisionGuard
from callcenter.telephony.controller.takeover import ResumedCall, Takeover
from callcenter.telephony.controller.telephone_monitor import TelephoneMonitor
from callcenter.telephony.reconciliation.cel_archive import lines_of
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from callcenter.telephony.reconciliation.fallback_calls import outcomes
from callcenter.wallboard.supervision_rights import may_supervise

REPLAY_TIMEOUT = 2.0  # seconds for what an earlier instance left on disk to be in the database
CONNECT_TIMEOUT = 30.0  # seconds within which a controller must be connected with Asterisk
FIRST_READ_TIMEOUT = 1.0  # seconds for roster and facts about callers; calls are served without


class ControllerProcess:
    """One `callcenter controller` process: claims calls, and runs each to its outcome."""

    def __init__(self, settings: Settings, name: str, engine: AsyncEngine, redis: Redis) -> None:
        self.settings = settings
        self.name = name
        #: The unique name of this run, in Asterisk, the distributor and the database.
        self.instance = f"{name}.{secrets.token_hex(4)}"
        self.engine = engine
        self.ready = asyncio.Event()
        self.calls = BackgroundTasks()
        self._feature_code_calls = BackgroundTasks()
        # Leaves: they use nothing else that is made here.
        self.active_calls = ActiveCalls()
        self.listener = NotifyListener(settings)
        self.callers = CallerCache(settings, engine, self.listener)
        self.call_states = RedisCallStateStore(redis)
        self.distributor = RedisCallDistributor(redis, self.instance, settings)
        self.journal_writer = JournalWriter(engine)
        self.ami = Ami(
            port=settings.ami_port,
            secret=read_secret(settings.secrets_folder, "ami"),
        )
        self.node = AsteriskNode(
            settings, self.instance, read_secret(settings.secrets_folder, "ari")
        )
        order_keys = read_order_keys(settings)
        order_audit = OrderAudit(engine, self.instance)
        # What uses the leaves.
        self.switch = AsteriskSwitch(settings, self.node, MixMonitorRecorder(self.ami))
        self.reaper = LeakedChannelReaper(self.node.ari, self.node.membership, self.node.channels)
        self.shutdown = GracefulShutdown(self.node, self.calls)
        self.telephone_monitor = TelephoneMonitor(self.node.channels, self.ami)
        queue = RedisQueueMonitor(redis)
        self.presence_sync = PresenceSync(
            self.distributor,
            queue,
            engine,
            self.ami.device_states,
            self.listener.subscribe(consultants.CHANGED),
        )
        self.accounts = AccountProvisioning(
            settings, engine, self.ami, self.listener.subscribe(consultants.CHANGED)
        )
        stores = (settings.journals, settings.recordings)
        self._redis = redis
        self.disk_monitor = DiskMonitor(redis, settings.spool, stores, self.active_calls)
        self.recovery = self._make_recovery()
        self.journal = Journal(
            self.journal_writer.write,
            JournalSpool(settings.journals, name, settings.journal_limit),
            save_state=self.call_states.save,
            run_when_owner=self.node.fence.run,
            on_drained=self.recovery.request_reconciliation,
        )
        self.replayer = OrphanedJournalReplayer(self.journal, settings.journals)
        # What serves calls.
        shared = CallDependencies(
            settings=settings,
            instance=self.instance,
            engine=engine,
            switch=self.switch,
            distributor=self.distributor,
            queue=queue,
            journal=self.journal,
            prompts=Prompts.load(settings),
            call_states=self.call_states,
            status_lookup=SqlAppealStatusLookup(engine, (NEWS_SOURCES,)),
            callers=self.callers,
            active_calls=self.active_calls,
        )
        self.call_service = CallService(shared, self.shutdown)
        self.outbound_calls = OutboundCalls(shared, self.call_service.make_outbound_call)
        self.second_line = SecondLine(shared, CommandClient(redis, order_keys))
        self.supervisions = SupervisionGuard(
            engine,
            self.active_calls,
            order_audit,
            may_supervise,
            self.listener.subscribe(consultants.CHANGED),
        )
        self.feature_codes = FeatureCodeService(shared, PresenceService(redis, settings))
        self.scheduler = CallbackScheduler(
            shared,
            CallbackHandler(shared, CallbackDialer(shared, self.call_service.make_callback_call)),
            self.listener,
        )
        self.takeover = Takeover(
            shared, self.recovery, self._resume, self.outbound_calls.end_lost_call
        )
        self.command_server = CommandServer(
            redis,
            self.instance,
            order_keys,
            self._dispatch_command,
            order_audit.record_refused,
            self.node.accepts_calls,
        )
        self._register_handlers()

    def _make_recovery(self) -> LostCallRecovery:
        settings = self.settings
        return LostCallRecovery(
            self.switch,
            self.engine,
            settings.spool,
            lambda: bool(pending_spools(settings.journals)),
            lambda calls, since: outcomes(lines_of(cel_file_of(settings), calls, since)),
        )

    def _register_handlers(self) -> None:
        """Say what listens to what: all that is called back is registered here."""
        self.node.channels.on_call(self._take_call)
        self.node.on_instance_dead(self.takeover.take_over)
        self.node.on_resynced(self.reaper.rescan)
        self.node.on_asterisk_restarted(self._end_calls_before_restart)
        self.ami.on_event("DeviceStateChange", self.presence_sync.device_changed)
        self.ami.on_event("Reload", self.presence_sync.reloaded)
        self.ami.on_connected(self._look_at_telephones)
        self.distributor.on_empty(self.presence_sync.refresh)
        self.distributor.on_withdrawn(self.switch.stop_ringing)

    def metrics(self) -> ControllerMetrics:
        """The metrics of this controller, read when they are scraped."""
        return ControllerMetrics(
            self.settings,
            self.active_calls,
            self.journal,
            self.node,
            self.ami,
            self.distributor,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve calls until `stop` is set; then hand over what is left, in order.

        Raises Fenced when the calls are another controller's, this one having been frozen or cut
        off.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.journal_writer.close)
            background = await stack.enter_async_context(asyncio.TaskGroup())
            writing = background.create_task(self.journal.run())
            # Before anything of this instance, which goes on with calls of the one before.
            await self.replayer.replay(of=self.name)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPLAY_TIMEOUT):
                    await self.journal.flush()
            stack.push_async_callback(self.presence_sync.tasks.end_all)  # no event comes by then
            await stack.enter_async_context(self.ami)
            # Before Asterisk has an application of ours: who is in it has a member file.
            membership = background.create_task(self.node.membership.run())
            jobs = [writing, *map(background.create_task, self._background_services())]
            await self.ami.ready(CONNECT_TIMEOUT)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIRST_READ_TIMEOUT):
                    await self.callers.wait_for_first_read()
                    await self.distributor.roster_loaded.wait()
            # Last: from now on Asterisk offers us calls, and our start is not to make them late.
            jobs.append(background.create_task(self.node.ari.run()))
            await self.node.ari.ready(CONNECT_TIMEOUT)
            scheduling = background.create_task(self.scheduler.run())
            self.ready.set()
            is_fenced = await self.shutdown.drain(stop, self.scheduler)
            scheduling.cancel()
            await asyncio.wait((scheduling,))
            await self.shutdown.end_calls()
            await self.journal.flush_or_spool()
            membership.cancel()
            await asyncio.wait((membership,))  # while there is a connection yet
            for job in jobs:
                job.cancel()
        if is_fenced:
            raise Fenced

    def _background_services(self) -> list[Coroutine[Any, Any, None]]:
        return [
            self.replayer.run(),
            self.distributor.run(),
            self.command_server.run(),
            self.call_states.run(),
            self.presence_sync.run(),
            self.accounts.run(),
            self.supervisions.run(),
            self.listener.run(),
            self.callers.run(),
            self.disk_monitor.run(),
            watch_open_files(self.settings, self._redis),
            self.reaper.run(),
            self.telephone_monitor.run(),
            self.recovery.sweep(lambda: self.node.membership.is_first),
        ]

    # Handlers

    async def _look_at_telephones(self) -> None:
        """Have roster, device states and accounts sent anew to an Asterisk that is there again."""
        self.presence_sync.refresh()
        self.listener.notify(consultants.CHANGED)

    def _end_calls_before_restart(self, at: datetime, ended: Collection[str]) -> None:
        """Have calls that ended with Asterisk end at that time, though we hear of it later."""
        for call in self.active_calls:
            if call.leg.id in ended:
                call.record.set_end_time(at)
        self.recovery.request_reconciliation()

    def _take_call(self, channel: Channel) -> None:
        if extension_of(channel.name) is None:
            self.calls.spawn(self.call_service.handle_incoming(channel))
        elif find_code(channel.dialled):
            self._feature_code_calls.spawn(self.feature_codes.serve(channel))
        else:
            self.calls.spawn(self._serve_dialled(channel))

    async def _serve_dialled(self, channel: Channel) -> None:
        if not await self.second_line.serve(channel):
            await self.outbound_calls.call_dialled(channel)

    def _resume(self, resumed: ResumedCall) -> None:
        self.calls.spawn(self.call_service.resume(resumed))

    async def _dispatch_command(self, call_id: str, command: CallCommand) -> Answer:
        if call_id == NO_CALL:
            begun: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self.calls.spawn(self.outbound_calls.call_requested(command, begun))
            return await begun
        call = self.active_calls.find(call_id)
        if call is None:
            raise CommandRefused("this call is over")
        if command.what == SUPERVISE:  # all others are the consultant's own, and events of the call
            return await self.supervisions.carry_out(call_id, command)
        return await call.commands.dispatch(command)
