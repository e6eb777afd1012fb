"""Blocked numbers in JSON, below /api/v1."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from callcenter.abuse.blocks import Reason
from callcenter.abuse.store import in_force
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite

router = APIRouter(tags=["abuse"], dependencies=[needs(Permission.BLOCK_NUMBERS)])


class Block(BaseModel):
    """A number from which no calls are taken for a time."""

    id: UUID
    number: str = Field(description="E.164")
    until: datetime
    reason: Reason
    author: str
    created_at: datetime


@router.get("/api/v1/blocked")
async def list_blocked(site: CurrentSite) -> list[Block]:
    """The blocks in force, the one that ends first at first."""
    async with unit_of_work(site.engine) as connection:
        blocks = await in_force(connection)
    return [
        Block(
            id=block.id,
            number=block.number,
            until=block.until,
            reason=block.reason,
            author=block.author,
            created_at=block.created_at,
        )
        for block in blocks
    ]
