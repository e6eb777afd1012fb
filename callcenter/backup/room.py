"""The room of backups: what it registers."""

from callcenter.backup.actions import BackupAction
from callcenter.backup.alerts import ALERTS
from callcenter.platform.core.registry import Room

ROOM = Room(name="backup", jobs=("callcenter.backup.jobs",), offers=(*BackupAction, *ALERTS))
