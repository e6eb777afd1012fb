"""Query parameters of the search and of lists, shared by pages and API."""

from datetime import date, timedelta
from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from callcenter.appeals.rules.states import AppealKind, AppealState
from callcenter.appeals.search.query import SearchFilter
from callcenter.platform.core.timezone import midnight

Code = Annotated[str, Field(max_length=40)]
Cursor = Annotated[str, Query(max_length=40, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]


class SearchQuery(BaseModel):
    """The filters of a search in the query string; an empty one matches everything."""

    q: Annotated[
        str, Field(max_length=200, description="number, telephone, ИИН, name or words")
    ] = ""
    stage: AppealState | Literal[""] = ""
    kind: AppealKind | Literal[""] = ""
    channel: Code = ""
    direction: Annotated[Code, Field(description="of the 13 of point 10 of the Rules")] = ""
    topic: Annotated[Code, Field(description="its parts count too")] = ""
    region: Code = ""
    district: Code = ""
    owner: Annotated[Code, Field(description="name of the user who answers for it")] = ""
    urgent: Annotated[bool, Field(description="a report of danger, or urgent otherwise")] = False
    since: date | Literal[""] = ""
    until: Annotated[
        date | Literal[""], Field(description="the last day, which counts (Asia/Almaty)")
    ] = ""
    by_deadline: bool = False


def search_filter(query: Annotated[SearchQuery, Query()]) -> SearchFilter:
    """The filter that a query string asks for."""
    since, until = query.since, query.until
    return SearchFilter(
        text=query.q,
        stages=(query.stage,) if query.stage else (),
        kind=query.kind or None,
        channel=query.channel,
        direction=query.direction,
        topic=query.topic,
        region=query.region,
        district=query.district,
        owner=query.owner.strip(),
        urgent=query.urgent,
        since=midnight(since) if since else None,
        until=midnight(until + timedelta(days=1)) if until and until != date.max else None,
        by_deadline=query.by_deadline,
    )


CurrentSearch = Annotated[SearchFilter, Depends(search_filter)]
