"""Section of an appeal's page: who opened it and its recordings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.sections import CallSection
from callcenter.appeals.calls.store import AppealRow
from callcenter.audit_log.permissions import AuditLogPermission
from callcenter.platform.audit.actions import Action
from callcenter.platform.audit.queries import AuditFilter, find_entries
from callcenter.platform.audit.rules.hash_chain import Entry
from callcenter.platform.core.registry import offers
from callcenter.recordings import store

SHOWN = 20  # newest entries; the page of the log has all


@dataclass(frozen=True, slots=True)
class OpeningsOfAppeal:
    """The newest openings of an appeal and its recordings, and the subject of its own.

    `labels` are those of their actions, to be translated.
    """

    entries: Sequence[Entry]
    subject: str
    labels: Mapping[str, str]


async def read_openings(connection: AsyncConnection, row: AppealRow) -> OpeningsOfAppeal:
    """Read who opened the appeal, or listened to it, the newest first."""
    subject = f"appeal:{row.number}"
    recordings = [f"recording:{each.id}" for each in await store.of_appeal(connection, row.id)]
    labels = {each.value: each.label for each in offers(Action) if each.opens_personal_data}
    chosen = AuditFilter(actions=list(labels), subjects=[subject, *recordings])
    return OpeningsOfAppeal(await find_entries(connection, chosen, limit=SHOWN), subject, labels)


SECTION = CallSection("audit_log/openings.html", AuditLogPermission.READ_AUDIT_LOG, read_openings)
