"""Masking personal data in JSON, below /api/v1: two people, each with a reason."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from pydantic import BaseModel

from callcenter.register import masking_deeds
from callcenter.register.masking import Ended
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(tags=["masking"], dependencies=[needs(Permission.MASK)])

Reason = Annotated[str, Form()]


class Waiting(BaseModel):
    """Something that was asked for, and what it would mask now."""

    asked: masking_deeds.Asked
    preview: masking_deeds.Preview


class Maskings(BaseModel):
    """What waits for a decision, the oldest first, and the rules in force."""

    waiting: list[Waiting]
    rules: list[masking_deeds.Asked]


@router.get("/api/v1/maskings")
async def list_maskings(site: CurrentSite) -> Maskings:
    """Requests and rules that wait, with what they would mask now; the rules in force."""
    async with unit_of_work(site.engine) as connection:
        return Maskings(
            waiting=[
                Waiting(asked=each, preview=await masking_deeds.preview(site, connection, each))
                for each in await masking_deeds.waiting(connection)
            ],
            rules=await masking_deeds.rules(connection),
        )


@router.post("/api/v1/maskings", status_code=201)
async def ask_for_rule(
    site: CurrentSite,
    visit: CurrentVisit,
    kind: Annotated[Ended, Form()],
    days: Annotated[int, Form()],
    reason: Reason,
) -> UUID:
    """Ask for a rule: appeals of this kind are masked so many days after they ended."""
    return await masking_deeds.ask_for_rule(site, visit, kind, days, reason)


@router.post("/api/v1/appeals/{number}/masking", status_code=201)
async def ask(site: CurrentSite, visit: CurrentVisit, number: str, reason: Reason) -> UUID:
    """Ask that the personal data of an appeal be masked."""
    [made] = await masking_deeds.ask(site, visit, [number], reason)
    return made


@router.post("/api/v1/maskings/{masking_id}/decision", status_code=204)
async def decide(
    site: CurrentSite,
    visit: CurrentVisit,
    masking_id: UUID,
    approve: Annotated[bool, Form()],
    reason: Reason,
) -> None:
    """Approve or refuse what another person asked for; of an appeal it is masked at once."""
    await masking_deeds.decide(site, visit, masking_id, approve=approve, reason=reason)


@router.post("/api/v1/maskings/{masking_id}/end", status_code=204)
async def end(site: CurrentSite, visit: CurrentVisit, masking_id: UUID, reason: Reason) -> None:
    """Let a rule end."""
    await masking_deeds.end_rule(site, visit, masking_id, reason)
