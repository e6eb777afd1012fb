"""The room of call handling: what it registers."""

from redis.asyncio import Redis

from callcenter.platform.core.registry import Room
from callcenter.platform.storage.backup_folders import BackupFolder
from callcenter.platform.storage.jobs import WorkerLoop, WorkerResources
from callcenter.telephony.acd.actions import OrderAction
from callcenter.telephony.acd.alerts import ALERTS as ACD_ALERTS
from callcenter.telephony.controller.alerts import ALERTS as CONTROLLER_ALERTS
from callcenter.telephony.reconciliation.cel_tail import CEL_LOG


async def _replay_journals(tools: WorkerResources, _redis: Redis) -> None:
    """Write to the database what dead controllers left on disk."""
    from callcenter.telephony.controller.journal_writer import replay_orphaned_journals

    await replay_orphaned_journals(tools.settings, tools.engine)


async def _watch_open_files(tools: WorkerResources, redis: Redis) -> None:
    """Alert when Asterisk has almost as many files open as it may."""
    from callcenter.telephony.controller.open_files_monitor import watch_open_files

    await watch_open_files(tools.settings, redis)


async def _watch_sip(tools: WorkerResources, redis: Redis) -> None:
    """Alert when Asterisk does not answer SIP."""
    from callcenter.telephony.controller.sip_monitor import watch_sip

    await watch_sip(tools.settings, redis)


async def _watch_trunks(tools: WorkerResources, redis: Redis) -> None:
    """Alert when a trunk is not registered with its operator."""
    from callcenter.telephony.controller.trunk_monitor import watch_trunks

    await watch_trunks(tools.settings, redis)


ROOM = Room(
    name="telephony",
    offers=(
        WorkerLoop("orphaned_journals", _replay_journals),
        WorkerLoop("open_files", _watch_open_files),
        WorkerLoop("sip", _watch_sip),
        WorkerLoop("trunks", _watch_trunks),
        *OrderAction,
        CEL_LOG,
        BackupFolder("voices", lambda settings: settings.voices),  # human recordings of prompts
        *ACD_ALERTS,
        *CONTROLLER_ALERTS,
    ),
)
