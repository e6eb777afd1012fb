"""JSON API of your own saved searches."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.search import saved_searches
from callcenter.appeals.web.record_keys import record_keys
from callcenter.appeals.web.search_query import CurrentSearch
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.platform.web.idempotency import CurrentOnce

router = APIRouter(tags=["records"], dependencies=[requires(AppealPermission.EDIT_APPEALS)])


class NewView(BaseModel):
    """The name of a search; one of yours that has it is replaced."""

    name: Annotated[str, Field(min_length=1, max_length=saved_searches.NAME_LENGTH_LIMIT)]


class SavedSearchStored(BaseModel):
    """The id of a saved search."""

    id: UUID


class View(SavedSearchStored):
    """A saved search."""

    name: str
    query: str = Field(description="give it to /api/v1/search behind `?`")


@router.get("/api/v1/search/views")
async def list_views(site: CurrentSite, actor: CurrentActor) -> list[View]:
    """List your saved searches, by name."""
    saved = await saved_searches.list_own(site.engine, record_keys(site), actor)
    return [View(id=each.id, name=each.name, query=each.query) for each in saved]


@router.post("/api/v1/search/views", status_code=201)
async def keep_view(
    site: CurrentSite,
    actor: CurrentActor,
    once: CurrentOnce,
    question: CurrentSearch,
    new: NewView,
) -> SavedSearchStored:
    """Save the search of the query string, as of /api/v1/search. You may save 30."""

    async def call() -> SavedSearchStored:
        return SavedSearchStored(
            id=(
                await saved_searches.save(site.engine, record_keys(site), actor, new.name, question)
            ).id
        )

    return await once(SavedSearchStored, call)


@router.delete("/api/v1/search/views/{view_id}", status_code=204)
async def drop_view(site: CurrentSite, actor: CurrentActor, view_id: UUID) -> None:
    """Delete a saved search; one that is not there, or not yours, is ignored."""
    await saved_searches.delete(site.engine, actor, view_id)
