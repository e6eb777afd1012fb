"""The room of recordings: what it registers."""

from redis.asyncio import Redis

from callcenter.platform.core.personal_data import Erasure, Permanent, PersonalData
from callcenter.platform.core.registry import Room
from callcenter.platform.storage.backup_folders import BackupFolder
from callcenter.platform.storage.jobs import WorkerLoop, WorkerResources
from callcenter.platform.storage.table_rights import TableRights
from callcenter.recordings.actions import RecordingAction
from callcenter.recordings.permissions import RecordingPermission
from callcenter.recordings.retention.service import BY_ORDER
from callcenter.recordings.tables import (
    recording,
    recording_erasure,
    recording_hold,
)


async def _seal(tools: WorkerResources, _redis: Redis) -> None:
    """Seal recordings that were closed."""
    from callcenter.recordings.sealing.worker import SealingWorker

    await SealingWorker(tools.settings, tools.engine).run()


ROOM = Room(
    name="recordings",
    web="callcenter.recordings.web_module",
    jobs=("callcenter.recordings.jobs",),
    offers=(
        *RecordingPermission,
        *RecordingAction,
        BY_ORDER,
        BackupFolder("keys", lambda settings: settings.keys),
        WorkerLoop("sealing", _seal),
        PersonalData(
            recording,
            ("store_name",),  # of the object: the conversation itself
            Erasure(
                "setting retention_days: then two people decide, unless a hold lasts",
                "callcenter.recordings.retention.service:decide_erasure",
            ),
        ),
        PersonalData(
            recording_erasure,
            ("reason", "decision"),
            Permanent("the proof of why a recording is gone"),
        ),
        TableRights(recording, controller="siu", worker="siu", web="su"),
        TableRights(recording_hold, worker="siu", web="siu"),
        TableRights(recording_erasure, worker="su", web="siu"),
    ),
)
