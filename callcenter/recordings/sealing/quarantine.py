"""Quarantine: recordings that failed or differ in length from their conversation.

Each stays there until an operator resolves it.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.recordings.actions import RecordingAction
from callcenter.recordings.sealing.quarantine_store import mark_resolved

LONGEST_TEXT = 1000  # characters


async def resolve(
    connection: AsyncConnection, actor: Actor, recording_ids: Collection[UUID], reason: str
) -> None:
    """Take recordings out of quarantine, with an entry in the audit log for each.

    Raises InvalidRequest when one is not there, or without a reason.
    """
    why = " ".join(reason.split())
    if not why or len(why) > LONGEST_TEXT or not why.isprintable():
        raise InvalidRequest(f"say what became of them, in up to {LONGEST_TEXT} characters")
    done = await mark_resolved(connection, recording_ids)
    if missing := set(recording_ids) - done:
        raise InvalidRequest(f"not in quarantine: {' '.join(sorted(map(str, missing)))}")
    by_page, by_command = RecordingAction.RECORDING_SETTLED, RecordingAction.RECORDING_DEALT_WITH
    action = by_page if actor.user else by_command
    for each in sorted(done):
        await audit_action(connection, actor, action, f"recording:{each}", {"reason": why})
