"""JSON API of masking personal data, below /api/v1: two people, each with a reason."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field

from callcenter.appeals.masking import service, store
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.rules.masking import RuleScope
from callcenter.appeals.web.record_keys import record_keys
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite

router = APIRouter(tags=["masking"], dependencies=[requires(AppealPermission.MASK)])

Reason = Annotated[str, Form()]


class MaskingPreview(BaseModel):
    """Counts of the personal data that would be masked now.

    `kept`: appeals by the reason why they stay; `goes`: rows by the part of personal data.
    """

    appeals: int
    retained: dict[str, int] = Field(serialization_alias="kept")
    erased: dict[str, int] = Field(serialization_alias="goes")
    keys: list[str]
    recordings: int


class PendingRequest(BaseModel):
    """A request without a decision, and what it would mask now."""

    request: store.MaskingRequest = Field(serialization_alias="asked")
    preview: MaskingPreview


class Maskings(BaseModel):
    """Requests without a decision, the oldest first, and the rules in force."""

    waiting: list[PendingRequest]
    rules: list[store.MaskingRequest]


@router.get("/api/v1/maskings")
async def list_maskings(site: CurrentSite) -> Maskings:
    """List pending requests with what they would mask now, and the rules in force."""
    async with unit_of_work(site.engine) as connection:
        return Maskings(
            waiting=[
                PendingRequest(
                    request=each,
                    preview=MaskingPreview.model_validate(
                        await service.preview(connection, record_keys(site), each),
                        from_attributes=True,
                    ),
                )
                for each in await store.list_pending(connection)
            ],
            rules=await store.list_rules(connection),
        )


@router.post("/api/v1/maskings", status_code=201)
async def ask_for_rule(
    site: CurrentSite,
    actor: CurrentActor,
    kind: Annotated[RuleScope, Form()],
    days: Annotated[int, Form()],
    reason: Reason,
) -> UUID:
    """Request a rule: appeals of this kind are masked so many days after they ended."""
    return await service.request_rule(site.engine, actor, kind, days, reason)


@router.post("/api/v1/appeals/{number}/masking", status_code=201)
async def ask(site: CurrentSite, actor: CurrentActor, number: str, reason: Reason) -> UUID:
    """Request masking of the personal data of an appeal."""
    [identity] = await service.request_masking(site.engine, actor, [number], reason)
    return identity


@router.post("/api/v1/maskings/{masking_id}/decision", status_code=204)
async def decide(
    site: CurrentSite,
    actor: CurrentActor,
    masking_id: UUID,
    approve: Annotated[bool, Form()],
    reason: Reason,
) -> None:
    """Approve or refuse what another person requested; an appeal is masked at once."""
    await service.decide(
        site.engine, record_keys(site), actor, masking_id, approve=approve, reason=reason
    )


@router.post("/api/v1/maskings/{masking_id}/end", status_code=204)
async def end(site: CurrentSite, actor: CurrentActor, masking_id: UUID, reason: Reason) -> None:
    """End a rule."""
    await service.end_rule(site.engine, actor, masking_id, reason)
