"""All rooms of the product, from those that others stand on to those above them."""

from callcenter.appeals.room import ROOM as APPEALS
from callcenter.audit_log.room import ROOM as AUDIT_LOG
from callcenter.backup.room import ROOM as BACKUP
from callcenter.bodies.room import ROOM as BODIES
from callcenter.configuration.room import ROOM as CONFIGURATION
from callcenter.consultants.room import ROOM as CONSULTANTS
from callcenter.demands.room import ROOM as DEMANDS
from callcenter.intake.room import ROOM as INTAKE
from callcenter.platform.audit.room import ROOM as AUDIT
from callcenter.platform.core.registry import register_rooms
from callcenter.platform.identity.room import ROOM as IDENTITY
from callcenter.platform.storage.room import ROOM as STORAGE
from callcenter.recordings.room import ROOM as RECORDINGS
from callcenter.reports.room import ROOM as REPORTS
from callcenter.requests.room import ROOM as REQUESTS
from callcenter.telephony.callbacks.room import ROOM as CALLBACKS
from callcenter.telephony.callers.blocklist.room import ROOM as BLOCKLIST
from callcenter.telephony.callers.care_plans.room import ROOM as CARE_PLANS
from callcenter.telephony.callers.sealed_numbers.room import ROOM as SEALED_NUMBERS
from callcenter.telephony.outbound.room import ROOM as OUTBOUND
from callcenter.telephony.reconciliation.room import ROOM as RECONCILIATION
from callcenter.telephony.room import ROOM as TELEPHONY
from callcenter.urgent_notifications.room import ROOM as URGENT_NOTIFICATIONS
from callcenter.users.room import ROOM as USERS
from callcenter.wallboard.room import ROOM as WALLBOARD
from callcenter.worker.room import ROOM as WORKER
from callcenter.working_calendar.room import ROOM as WORKING_CALENDAR
from callcenter.workspace.room import ROOM as WORKSPACE

ROOMS = (
    STORAGE,
    AUDIT,
    IDENTITY,
    WORKING_CALENDAR,
    CONFIGURATION,
    RECORDINGS,
    CONSULTANTS,
    APPEALS,
    USERS,
    TELEPHONY,
    OUTBOUND,
    CALLBACKS,
    CARE_PLANS,
    BLOCKLIST,
    SEALED_NUMBERS,
    RECONCILIATION,
    DEMANDS,
    BODIES,
    REQUESTS,
    URGENT_NOTIFICATIONS,
    AUDIT_LOG,
    INTAKE,
    WORKER,
    WALLBOARD,
    BACKUP,
    REPORTS,
    WORKSPACE,
)

register_rooms(ROOMS)
