"""Section of an appeal's page: who opened it and its recordings."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.calls.sections import CallSection
from callcenter.appeals.calls.store import AppealRow
from callcenter.audit_log.labels import ACTIONS
from callcenter.audit_log.permissions import AuditLogPermission
from callcenter.platform.audit.queries import AuditFilter, find_entries
from callcenter.platform.audit.rules.hash_chain import Entry
from callcenter.recordings import store
from callcenter.recordings.actions import RecordingAction

#: Actions by which somebody saw or heard what is personal.
OPENING = (
    AppealAction.APPEAL_VIEWED,
    AppealAction.ATTACHMENT_READ,
    AppealAction.NUMBER_SHOWN,
    AppealAction.PSYCHOLOGICAL_NOTES_OPENED,
    RecordingAction.RECORDING_LISTENED,
    RecordingAction.RECORDING_PLAYED,
    RecordingAction.LISTENING_REFUSED,
)
SHOWN = 20  # newest entries; the page of the log has all


@dataclass(frozen=True, slots=True)
class OpeningsOfAppeal:
    """The newest openings of an appeal and its recordings, and the subject of its own."""

    entries: Sequence[Entry]
    subject: str

    def label(self, entry: Entry) -> str:
        """The action of an entry, to be translated."""
        return ACTIONS[entry.action]


async def read_openings(connection: AsyncConnection, row: AppealRow) -> OpeningsOfAppeal:
    """Read who opened the appeal, or listened to it, the newest first."""
    subject = f"appeal:{row.number}"
    recordings = [f"recording:{each.id}" for each in await store.of_appeal(connection, row.id)]
    chosen = AuditFilter(
        actions=[action.value for action in OPENING], subjects=[subject, *recordings]
    )
    return OpeningsOfAppeal(await find_entries(connection, chosen, limit=SHOWN), subject)


SECTION = CallSection("audit_log/openings.html", AuditLogPermission.READ_AUDIT_LOG, read_openings)
