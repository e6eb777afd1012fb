"""Actions on backups."""

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_


class BackupAction(Action):
    """Actions on backups; the subject is `backup:NAME`."""

    MADE = "command:backup:made", N_("Backup made")
    #: The database is that of the backup; detail: taken_at, and what of it was lost or done again
    RESTORED = "command:backup:restored", N_("Site restored from a backup")
