"""A simulated controller, and a watchdog: the product's own classes on simulated servers.

What a controller has beside its calls (accounts, telephones, orders of pages, outbound calls) is
left out; the order in which it starts, serves and ends is its own (`ControllerProcess.run`).
"""

import asyncio
import secrets
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

from callcenter.bootstrap.controller import ControllerProcess
from callcenter.platform.core.background_tasks import BackgroundTasks
from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.asterisk.cluster.leaked_channels import LeakedChannelReaper
from callcenter.telephony.asterisk.cluster.watchdog import Watchdog
from callcenter.telephony.asterisk.node import AsteriskNode
from callcenter.telephony.asterisk.switch import AsteriskSwitch
from callcenter.telephony.calls.journal.journal import Journal
from callcenter.telephony.calls.journal.replay import OrphanedJournalReplayer
from callcenter.telephony.calls.journal.spool import JournalSpool, pending_spools
from callcenter.telephony.calls.outcomes import Outcome
from callcenter.telephony.controller.active_calls import ActiveCalls
from callcenter.telephony.controller.call_service import CallService
from callcenter.telephony.controller.call_state_store import RedisCallStateStore
from callcenter.telephony.controller.dependencies import CallDependencies
from callcenter.telephony.controller.lost_call_recovery import LostCallRecovery
from callcenter.telephony.controller.shutdown import GracefulShutdown
from callcenter.telephony.controller.takeover import Takeover
from tests.simulation.network import Network
from tests.simulation.servers import (
    Database,
    Distribution,
    QuietQueue,
    Recordings,
    RedisClient,
    RedisServer,
    SimulatedDistributor,
)

SECRET = "simulated"


@dataclass(frozen=True, slots=True)
class Servers:
    """What controllers use, for all of them."""

    network: Network
    redis: RedisServer
    distribution: Distribution
    database: Database
    recordings: Recordings
    settings: Settings
    outcomes_by_cel: Mapping[str, Outcome]
    on_not_restored: Callable[[str], None]  #: for the id of a call that was left to the fallback


class _NoTelephones:
    """In place of AMI: a controller starts it before it is a member."""

    async def __aenter__(self) -> "_NoTelephones":
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def ready(self, _timeout: float) -> None: ...


class _NoCallbacks:
    """In place of the scheduler of callbacks."""

    is_busy = False

    def stop_claiming(self) -> None: ...

    async def run(self) -> None:
        await asyncio.Event().wait()


class _NoAppeals:
    """In place of the look-up of appeals: nobody is in need, and no number is one."""

    async def is_in_need(self, _appeal: object) -> bool:
        return False

    def is_number(self, _typed: str) -> bool:
        return False


class _Callers:
    """In place of what is read of callers beforehand: nothing is known of anybody."""

    blocklist = SimpleNamespace(blocks=lambda _: False)
    care_plans = SimpleNamespace(find_consultant=lambda _: None)
    recent_drops = SimpleNamespace(
        contains=lambda _: False, preferred_consultant=lambda _: None, add=lambda _: None
    )

    def may_call(self, number: str) -> str:
        return number

    async def wait_for_first_read(self) -> None: ...


class _Sounds:
    def sound(self, language: str, prompt: str) -> str:
        return f"sound:{language}/{prompt}"


class SimulatedController(ControllerProcess):
    """One controller process; its start, order of services, calls and end are the product's."""

    def __init__(self, servers: Servers, name: str) -> None:
        settings = servers.settings
        self.settings = settings
        self.name = name
        self.instance = f"{name}.{secrets.token_hex(4)}"
        self.stop = asyncio.Event()
        self.ready = asyncio.Event()
        self.calls = BackgroundTasks()
        self._feature_code_calls = BackgroundTasks()
        self.active_calls = ActiveCalls()
        engine: Any = servers.database
        redis: Any = RedisClient(servers.network, servers.redis)
        self.call_states = RedisCallStateStore(redis)
        distributor: Any = SimulatedDistributor(
            servers.network, servers.distribution, self.instance
        )
        self.distributor = distributor
        self.journal_writer = cast(Any, servers.database)
        self.ami = cast(Any, _NoTelephones())
        self.callers = cast(Any, _Callers())
        self.scheduler = cast(Any, _NoCallbacks())
        self.presence_sync = cast(Any, SimpleNamespace(tasks=BackgroundTasks()))
        self.node = AsteriskNode(settings, self.instance, SECRET)
        self.switch = AsteriskSwitch(settings, self.node, servers.recordings)
        self.reaper = LeakedChannelReaper(self.node.ari, self.node.membership, self.node.channels)
        self.shutdown = GracefulShutdown(self.node, self.calls)
        self.recovery = LostCallRecovery(
            self.switch,
            engine,
            settings.spool,
            lambda: bool(pending_spools(settings.journals)),
            lambda calls, since: {
                each: servers.outcomes_by_cel[each]
                for each in calls
                if each in servers.outcomes_by_cel
            },
        )
        self.journal = Journal(
            servers.database.write,
            JournalSpool(settings.journals, name, settings.journal_limit),
            save_state=self.call_states.save,
            run_when_owner=self.node.fence.run,
            on_drained=self.recovery.request_reconciliation,
        )
        self.replayer = OrphanedJournalReplayer(self.journal, settings.journals)
        shared = CallDependencies(
            settings=settings,
            instance=self.instance,
            engine=engine,
            switch=self.switch,
            distributor=distributor,
            queue=cast(Any, QuietQueue(servers.on_not_restored)),
            journal=self.journal,
            prompts=_Sounds(),
            call_states=self.call_states,
            status_lookup=cast(Any, _NoAppeals()),
            callers=self.callers,
            active_calls=self.active_calls,
        )
        self.call_service = CallService(shared, self.shutdown)
        self.takeover = Takeover(shared, self.recovery, self._resume, _end_lost_call)
        self._register_handlers()

    def _register_handlers(self) -> None:
        self.node.channels.on_call(self._take_call)
        self.node.on_instance_dead(self.takeover.take_over)
        self.node.on_resynced(self.reaper.rescan)
        self.node.on_asterisk_restarted(self._end_calls_before_restart)

    def _end_calls_before_restart(self, at: datetime, ended: Collection[str]) -> None:
        super()._end_calls_before_restart(at, ended)

    def _background_services(self) -> list[Coroutine[Any, Any, None]]:
        return [
            self.replayer.run(),
            self.distributor.run(),
            self.call_states.run(),
            self.reaper.run(),
            self.recovery.sweep(lambda: self.node.membership.is_first),
        ]

    @property
    def call_ids(self) -> set[str]:
        """Ids of the calls that it serves now."""
        return {each.leg.id for each in self.active_calls}

    @property
    def is_fenced(self) -> bool:
        """Whether it has given its calls up; asks nobody, unlike the fence itself."""
        return has_given_up(self.node.fence)

    async def main(self) -> None:
        """Run as the process does, to its end."""
        await self.run(self.stop)


class SimulatedWatchdog(Watchdog):
    """The watchdog process."""

    def __init__(self, servers: Servers) -> None:
        super().__init__(servers.settings, SECRET, lambda: None)
        self.stop = asyncio.Event()
        self.instance = self.ari.application
        self.node = self

    @property
    def call_ids(self) -> set[str]:
        return set()

    @property
    def is_fenced(self) -> bool:
        return has_given_up(self.fence)

    async def main(self) -> None:
        await self.run(self.stop)


def has_given_up(fence: object) -> bool:
    """Whether a fence is closed, without its question to the others after a standstill."""
    fenced = vars(fence)["_fenced"]
    assert isinstance(fenced, asyncio.Event)
    return fenced.is_set()


async def _end_lost_call(channel: Channel) -> None:
    with suppress(Exception):
        await channel.hang_up()
