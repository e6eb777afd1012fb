"""Access to recordings: which of them an actor may hear, and the reason of a playback.

With the permission to listen one hears the own conversations, and what other rooms open
(`AudibleRecordings`); those of the own team, and of all, by permissions of their own.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.platform.core.errors import InvalidRequest, NotFound
from callcenter.platform.core.registry import offers
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.refusals import record_refusal
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings import store
from callcenter.recordings.actions import RecordingAction
from callcenter.recordings.permissions import RecordingPermission
from callcenter.recordings.store import RecordingRow

#: A player asks for one listening in many parts: those within this time are one entry in the
#: audit log. Who goes on listening after it, comes back, or gives another reason, leaves another.
LISTENING_INTERVAL = timedelta(minutes=10)


class PlaybackReason(StrEnum):
    """The reason of a playback; `other` needs words of its own."""

    WORK = "work"  #: the work on its appeal
    COMPLAINT = "complaint"
    QUALITY = "quality"
    TRAINING = "training"
    DEMAND = "demand"  #: of the authority
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class AudibleRecordings:
    """Extension point: recordings that more people hear than their own and their team's.

    `select(connection, actor, ids)`: those of the stored recordings that this actor may hear.
    """

    select: Callable[[AsyncConnection, Actor, Sequence[UUID]], Awaitable[frozenset[UUID]]]


class NotPermitted(InvalidRequest):
    """This is the conversation of somebody whose recordings you may not hear."""


class PlaybackReasonRequired(InvalidRequest):
    """Say in words why you listen."""


def audit_detail(reason: PlaybackReason, words: str) -> dict[str, str]:
    """The reason in the form of the audit log.

    Raises PlaybackReasonRequired for `other` without words.
    """
    words = words.strip()
    if reason is PlaybackReason.OTHER and not words:
        raise PlaybackReasonRequired
    return {"reason": reason.value} | ({"words": words} if words else {})


async def audible(
    connection: AsyncConnection, actor: Actor, rows: Sequence[RecordingRow]
) -> frozenset[UUID]:
    """The ids of those recordings that are stored and that the actor may hear."""
    stored = [row.id for row in rows if row.state == "stored"]
    if not stored or actor.user is None or not actor.may(RecordingPermission.LISTEN):
        return frozenset()
    if actor.may(RecordingPermission.LISTEN_TO_ALL_TEAMS):
        return frozenset(stored)
    select = (
        store.of_own_team if actor.may(RecordingPermission.LISTEN_TO_TEAM) else store.of_oneself
    )
    found = await select(connection, recording_ids=stored, user_id=actor.user.id)
    for each in offers(AudibleRecordings):
        found |= await each.select(connection, actor, stored)
    return found


async def find_audible(engine: AsyncEngine, actor: Actor, recording_id: UUID) -> RecordingRow:
    """The stored recording with this id, which the actor may hear.

    Raises NotFound, and NotPermitted, which adds an entry to the audit log.
    """
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, recording_id)
        if row is None or row.state != "stored":
            raise NotFound("there is no stored recording with this id")
        is_audible = bool(await audible(connection, actor, [row]))
        if not is_audible:
            await record_refusal(
                connection,
                actor,
                RecordingAction.LISTENING_REFUSED,
                f"recording:{recording_id}",
                {"appeal": str(row.appeal_id), "why": _why_not(actor)},
            )
    if not is_audible:
        raise NotPermitted
    return row


def _why_not(actor: Actor) -> str:
    return "other_team" if actor.may(RecordingPermission.LISTEN_TO_TEAM) else "not_own"
