"""Blocked numbers in JSON, below /api/v1."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from callcenter.platform.core.caller_id import mask
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentSite
from callcenter.telephony.callers.blocklist.permissions import BlocklistPermission
from callcenter.telephony.callers.blocklist.rules import BlockReason
from callcenter.telephony.callers.blocklist.service import list_blocks

router = APIRouter(tags=["abuse"], dependencies=[requires(BlocklistPermission.BLOCK_NUMBERS)])


class Block(BaseModel):
    """A number from which no calls are taken for a time."""

    id: UUID
    number: str = Field(description="masked")
    until: datetime
    reason: BlockReason
    author: str
    created_at: datetime


@router.get("/api/v1/blocked")
async def list_blocked(site: CurrentSite) -> list[Block]:
    """The blocks in force, by their end."""
    blocks, _ = await list_blocks(site.engine)
    return [
        Block(
            id=block.id,
            number=mask(block.number),
            until=block.until,
            reason=block.reason,
            author=block.author,
            created_at=block.created_at,
        )
        for block in blocks
    ]
