"""Who may hear which recording, and what those who listen say they do it for.

Whoever has the permission to listen hears the own conversations; those of the own team, and of
all, by permissions of their own.
"""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.audit.actions import Action
from callcenter.audit.store import record_once
from callcenter.errors import AskedWrongly
from callcenter.recordings import store
from callcenter.recordings.store import RecordingRow
from callcenter.storage.engine import unit_of_work
from callcenter.web.errors import NotFound
from callcenter.web.permissions import Permission
from callcenter.web.site import Site, Visit

#: A player asks for one listening in many parts: those within this time are one entry in the
#: audit log. Who goes on listening after it, comes back, or gives another reason, leaves another.
ONE_LISTENING = timedelta(minutes=10)


class Reason(StrEnum):
    """What a recording is listened to for; `other` needs words of its own."""

    WORK = "work"  #: the work on its appeal
    COMPLAINT = "complaint"
    QUALITY = "quality"
    TRAINING = "training"
    DEMAND = "demand"  #: of the authority
    OTHER = "other"


class NotYours(AskedWrongly):
    """This is the conversation of somebody whose recordings you may not hear."""


class NoReason(AskedWrongly):
    """Say in words why you listen."""


def given(reason: Reason, words: str) -> dict[str, str]:
    """The reason as the audit log has it. Raises NoReason: `other`, and not a word."""
    words = words.strip()
    if reason is Reason.OTHER and not words:
        raise NoReason
    return {"reason": reason.value} | ({"words": words} if words else {})


async def audible(
    connection: AsyncConnection, visit: Visit, rows: Sequence[RecordingRow]
) -> frozenset[UUID]:
    """Those of these recordings that this person may hear, and that are there to be heard."""
    stored = [row.id for row in rows if row.state == "stored"]
    if not stored or visit.user is None or not visit.may(Permission.LISTEN):
        return frozenset()
    if visit.may(Permission.LISTEN_TO_ALL_TEAMS):
        return frozenset(stored)
    of = store.of_own_team if visit.may(Permission.LISTEN_TO_TEAM) else store.of_oneself
    return await of(connection, recording_ids=stored, user_id=visit.user.id)


async def find_audible(site: Site, visit: Visit, recording_id: UUID) -> RecordingRow:
    """The stored recording with this id, which this person may hear.

    Raises NotFound, and NotYours, of which the audit log has an entry then.
    """
    async with unit_of_work(site.engine) as connection:
        row = await store.find(connection, recording_id)
        if row is None or row.state != "stored":
            raise NotFound("there is no stored recording with this id")
        may = bool(await audible(connection, visit, [row]))
        if not may:
            await record_once(
                connection,
                within=ONE_LISTENING,
                who=visit.who,
                action=Action.LISTENING_REFUSED,
                subject=f"recording:{recording_id}",
                detail={"appeal": str(row.appeal_id), "why": _why_not(visit)},
                from_address=visit.address,
            )
    if not may:
        raise NotYours
    return row


def _why_not(visit: Visit) -> str:
    return "other_team" if visit.may(Permission.LISTEN_TO_TEAM) else "not_own"
