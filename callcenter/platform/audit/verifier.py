"""Verifies the audit log of the database against its checkpoints."""

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.audit.checkpoint_files import CheckpointFolder
from callcenter.platform.audit.rules.verification import ChainVerification
from callcenter.platform.audit.store import is_guarded, read_log

NOT_GUARDED = (
    "a trigger that refuses changes of the audit log, or forged entries, is off, gone or another, "
    "or a rule or policy stands beside them"
)


async def find_faults(
    connection: AsyncConnection, checkpoints: CheckpointFolder
) -> tuple[int, list[str]]:
    """Count the entries, and list their faults, those of the checkpoints and of the triggers.

    Takes 30 seconds for a million entries. Nothing is changed or locked.
    """
    check = ChainVerification(checkpoints.heads)
    found = [f"{name}: not signed with the key beside it" for name in checkpoints.not_signed]
    found += [
        str(fault)
        async for rows in read_log(connection)
        for row in rows
        for fault in check.take(row)
    ]
    found += [str(fault) for fault in check.end()]
    if not await is_guarded(connection):
        found.append(NOT_GUARDED)
    return check.entries, found
