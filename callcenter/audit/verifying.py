"""Whether the audit log is as it was written: read whole, and held against the signed heads."""

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.audit.checking import Check
from callcenter.audit.head_files import Kept
from callcenter.audit.store import stored


async def faults(connection: AsyncConnection, kept: Kept) -> tuple[int, list[str]]:
    """The number of entries, and what is wrong with them or with the heads, in words.

    Needs 30 seconds for a million entries. Nothing is changed, and nobody has to wait.
    """
    check = Check(kept.heads)
    found = [f"{name}: not signed with the key beside it" for name in kept.not_signed]
    found += [
        str(fault) async for rows in stored(connection) for row in rows for fault in check.take(row)
    ]
    found += [str(fault) for fault in check.end()]
    return check.entries, found
