"""Searches that a person keeps by a name, in JSON: one's own, and nobody else's."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from callcenter.register import finding, views
from callcenter.register.searching import Question
from callcenter.web.access import needs
from callcenter.web.once import CurrentOnce
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(tags=["records"], dependencies=[needs(Permission.EDIT_APPEALS)])


class NewView(BaseModel):
    """The name of a search; one of yours that has it is replaced."""

    name: Annotated[str, Field(min_length=1, max_length=views.LONGEST)]


class Kept(BaseModel):
    """A search that was kept."""

    id: UUID


class View(Kept):
    """A kept search."""

    name: str
    query: str = Field(description="give it to /api/v1/search behind `?`")


@router.get("/api/v1/search/views")
async def list_views(site: CurrentSite, visit: CurrentVisit) -> list[View]:
    """The searches that you keep, by name."""
    kept = await views.of(site, visit)
    return [View(id=each.id, name=each.name, query=each.query) for each in kept]


@router.post("/api/v1/search/views", status_code=201)
async def keep_view(
    site: CurrentSite,
    visit: CurrentVisit,
    once: CurrentOnce,
    question: Annotated[Question, Depends(finding.asked)],
    new: NewView,
) -> Kept:
    """Keep a search: it stands in the address, as of /api/v1/search. You may keep 30."""

    async def deed() -> Kept:
        return Kept(id=(await views.keep(site, visit, new.name, question)).id)

    return await once(Kept, deed)


@router.delete("/api/v1/search/views/{view_id}", status_code=204)
async def drop_view(site: CurrentSite, visit: CurrentVisit, view_id: UUID) -> None:
    """Keep it no more; again, and of somebody else, it is nothing."""
    await views.drop(site, visit, view_id)
