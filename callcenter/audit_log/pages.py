"""The page of the audit log: by person, action, subject and time, and as a file."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from callcenter.appeals.rules.number import parse
from callcenter.audit_log import service
from callcenter.audit_log.labels import AuditLabels
from callcenter.audit_log.permissions import AuditLogPermission
from callcenter.audit_log.service import PAGE, TooManyEntries
from callcenter.platform.audit.queries import AuditFilter, EntryOrder
from callcenter.platform.audit.rules.hash_chain import Entry
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.timezone import ZONE, midnight
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite, language_of
from callcenter.platform.web.templating import page

router = APIRouter(include_in_schema=False)


class AuditSearchForm(BaseModel):
    """The search as it is typed, and the address of the page."""

    who: Annotated[str, Field(max_length=120)] = ""
    action: Annotated[str, Field(max_length=80)] = ""
    subject: Annotated[str, Field(max_length=120)] = ""
    since: date | Literal[""] = ""
    until: date | Literal[""] = ""
    order: EntryOrder = EntryOrder.NEWEST
    after: Annotated[int, Field(ge=1)] | None = None

    def typed(self) -> dict[str, str]:
        """The address of the search, without the place in it."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"after"})

    def to_filter(self) -> AuditFilter:
        """The conditions. Raises InvalidRequest: a mistyped number, a day beyond the calendar."""
        try:
            ends = self.until + timedelta(days=1) if self.until else None
        except OverflowError as exc:
            raise InvalidRequest("there is no day after this one") from exc
        return AuditFilter(
            who=_whole(self.who, "user:"),
            actions=[self.action] if self.action else (),
            subjects=[_subject(self.subject)] if self.subject.strip() else (),
            since=midnight(self.since) if self.since else None,
            until=midnight(ends) if ends else None,
        )


@router.get("/audit", dependencies=[requires(AuditLogPermission.READ_AUDIT_LOG)])
async def log(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    form: Annotated[AuditSearchForm, Query()],
) -> Response:
    """Search the audit log; the search is an entry in it."""
    try:
        chosen = form.to_filter()
    except InvalidRequest:
        return _page(request, site, form, (), is_mistyped=True)
    entries = await service.read_log(site.engine, actor, chosen, form.order, form.after)
    return _page(request, site, form, entries)


@router.post("/audit/export", dependencies=[requires(AuditLogPermission.EXPORT_AUDIT_LOG)])
async def export(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    form: Annotated[AuditSearchForm, Query()],
) -> Response:
    """The entries of a search as CSV."""
    say = AuditLabels(site.words[language_of(request)])
    try:
        pieces = await service.export_log(
            site.engine,
            actor,
            form.to_filter(),
            site.settings.export_limit,
            say.row,
            say.heading(),
        )
    except TooManyEntries:
        return _page(request, site, form, (), limit=site.settings.export_limit)
    name = f"audit-{datetime.now(ZONE):%Y-%m-%d-%H%M}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(pieces, media_type="text/csv; charset=utf-8", headers=headers)


def _page(
    request: Request,
    site: AppContext,
    form: AuditSearchForm,
    entries: Sequence[Entry],
    *,
    is_mistyped: bool = False,
    limit: int | None = None,
) -> Response:
    typed = form.typed()
    more = None
    if len(entries) > PAGE:
        more = urlencode(typed | {"after": entries[PAGE - 1].id})
    return page(
        request,
        "audit_log/log.html",
        status=400 if is_mistyped or limit else 200,
        say=AuditLabels(site.words[language_of(request)]),
        entries=entries[:PAGE],
        typed=typed,
        more=more,
        first=form.after is None,
        is_mistyped=is_mistyped,
        limit=limit,
        address=urlencode(typed),
        order=form.order.value,
        orders={each.value: urlencode(typed | {"order": each.value}) for each in EntryOrder},
    )


def _whole(typed: str, prefix: str) -> str:
    """A name as the log has it: a bare one is a user's."""
    name = typed.strip()
    return name if not name or ":" in name or name == "anonymous" else f"{prefix}{name}"


def _subject(typed: str) -> str:
    """A subject as the log has it: a bare number is an appeal's, a bare UUID a recording's."""
    text = typed.strip()
    if ":" in text or text.isalpha() or "_" in text:
        return text
    try:
        return f"recording:{UUID(text)}"
    except ValueError:
        return f"appeal:{parse(text)}"
