"""The records office: the records officer sees what waits, and until when."""

from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from callcenter.demands import labels, queries
from callcenter.demands.permissions import DemandPermission
from callcenter.demands.rules import authorities
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentSite
from callcenter.platform.web.templating import page

router = APIRouter(
    include_in_schema=False, dependencies=[requires(DemandPermission.WORK_IN_RECORDS_OFFICE)]
)


@router.get("/records-office")
async def records_office(request: Request, site: CurrentSite) -> Response:
    """Demands by deadline with what each waits for, and counts of what waits elsewhere."""
    now = datetime.now(UTC)
    return page(
        request,
        "demands/records_office.html",
        office=await queries.records_office(site.engine, now),
        deadline_status=lambda row: queries.deadline_status(row, now).value,
        words=labels,
        in_english=authorities.in_english(),
    )
