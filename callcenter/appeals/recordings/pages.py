"""Pages of recordings: search, and the player of one."""

from datetime import date, timedelta
from http import HTTPStatus
from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Form, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.appeals.calls.labels import LANGUAGES, OUTCOMES
from callcenter.appeals.recordings import queries
from callcenter.appeals.recordings.queries import PAGE, RecordingFilter, RecordingHit
from callcenter.appeals.rules.number import parse
from callcenter.appeals.web.appeal_view import labels_for
from callcenter.platform.core import pagination
from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.errors import N_, InvalidRequest, NotFound
from callcenter.platform.core.timezone import midnight
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite
from callcenter.platform.web.form_fields import NO_NUL, Reason
from callcenter.platform.web.page_actions import DECIDED_MEANWHILE, action, words_for
from callcenter.platform.web.templating import page
from callcenter.recordings.extensions import find_kind
from callcenter.recordings.permissions import RecordingPermission
from callcenter.recordings.playback.access import PlaybackReason, find_audible
from callcenter.recordings.retention import service as retention
from callcenter.recordings.retention.pages import ERASURES, REFUSALS, show_erasures
from callcenter.recordings.retention.store import reasons_of

REASONS = {
    PlaybackReason.WORK: N_("work on the appeal"),
    PlaybackReason.COMPLAINT: N_("a complaint"),
    PlaybackReason.QUALITY: N_("quality of the conversation"),
    PlaybackReason.TRAINING: N_("training"),
    PlaybackReason.DEMAND: N_("a demand of the authority"),
    PlaybackReason.OTHER: N_("something else"),
}

NOT_HELD = N_("The recording is not held: say whose order it is, with its number and date.")
STILL_HELD = N_("The recording is still held: enter a reason.")

Typed = Annotated[str, Field(max_length=200, pattern=NO_NUL)]
Minutes = Annotated[int, Field(ge=0, le=1440)] | Literal[""]
FormName = Literal["erasure", "hold", "end"]
Order = Annotated[str, Form(max_length=retention.ORDER_LIMIT, pattern=NO_NUL)]

router = APIRouter(include_in_schema=False, dependencies=[requires(RecordingPermission.LISTEN)])
erasing = APIRouter(include_in_schema=False, dependencies=[requires(RecordingPermission.ERASE)])


class RecordingSearchForm(BaseModel):
    """Search form as a browser sends it: empty fields do not filter."""

    appeal: Typed = ""
    caller: Typed = ""
    consultant: Typed = ""
    since: date | Literal[""] = ""
    until: date | Literal[""] = ""
    language: Literal["", "kk", "ru"] = ""
    outcome: Annotated[str, Field(max_length=40, pattern="^[a-z_]*$")] = ""
    at_least: Minutes = ""
    at_most: Minutes = ""
    before: Annotated[str, Field(max_length=40)] = ""

    def to_filter(self, actor: Actor) -> RecordingFilter:
        """Return the filter, limited to recordings that the actor may hear.

        Raises InvalidRequest: a number that is none, or a day beyond the calendar.
        """
        everybody = actor.user is None or actor.may(RecordingPermission.LISTEN_TO_ALL_TEAMS)
        team = actor.may(RecordingPermission.LISTEN_TO_TEAM)
        person = None if everybody or actor.user is None else actor.user.id
        try:
            ends = self.until + timedelta(days=1) if self.until else None
        except OverflowError as exc:
            raise InvalidRequest("there is no day after this one") from exc
        return RecordingFilter(
            appeal_number=parse(self.appeal) if self.appeal.strip() else "",
            caller_number=_number(self.caller),
            consultant=self.consultant.strip(),
            since=midnight(self.since) if self.since else None,
            until=midnight(ends) if ends else None,
            language=self.language,
            outcome=self.outcome,
            shortest=_minutes(self.at_least),
            longest=_minutes(self.at_most),
            team_of=person if team else None,
            own_of=None if team else person,
        )


@router.get("/recordings")
async def former_list(form: Annotated[RecordingSearchForm, Query()]) -> Response:
    """Lead from where the search of recordings was, with what was typed there."""
    query = urlencode(form.model_dump(mode="json", exclude_defaults=True))
    return RedirectResponse(f"/search/recordings?{query}", HTTPStatus.PERMANENT_REDIRECT)


@router.get("/search/recordings")
async def recordings(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    form: Annotated[RecordingSearchForm, Query()],
) -> Response:
    """Search stored recordings that the actor may hear, the newest first; audited."""
    problem = False
    rows: list[RecordingHit] = []
    try:
        criteria = form.to_filter(actor)
    except InvalidRequest:
        problem = True
    else:
        rows = await queries.search(site.engine, actor, criteria, form.before)
    typed = {
        name: value
        for name, value in form.model_dump(mode="json", exclude={"before"}).items()
        if value != ""
    }
    older = None
    if len(rows) > PAGE:
        last = rows[PAGE - 1]
        older = urlencode(typed | {"before": pagination.write((last.started_at, last.id))})
    return page(
        request,
        "appeals/recordings.html",
        status=400 if problem else 200,
        say=labels_for(request, site),
        rows=rows[:PAGE],
        older=older,
        first=not form.before,
        typed=typed,
        problem=problem,
        spoken=LANGUAGES,
        outcomes=OUTCOMES,
    )


@router.get("/recordings/{recording_id}")
async def recording(
    request: Request, site: CurrentSite, actor: CurrentActor, recording_id: UUID
) -> Response:
    """Show the player; it requests the audio with the reason that the user gives."""
    return await _recording(request, site, actor, recording_id)


@erasing.post("/recordings/{recording_id}/erasure")
async def request_erasure(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    recording_id: UUID,
    reason: Reason = "",
    order: Order = "",
) -> Response:
    """Request the erasure of a recording, which another person decides on."""
    return await action(
        retention.request_erasure(site.engine, actor, recording_id, reason=reason, order=order),
        ERASURES,
        lambda refusal: _refused(
            request, site, actor, recording_id, refusal, "erasure", words_for(refusal, REFUSALS)
        ),
        reraise=(),
    )


@erasing.post("/recordings/{recording_id}/hold")
async def hold(
    request: Request, site: CurrentSite, actor: CurrentActor, recording_id: UUID, order: Order
) -> Response:
    """Hold a recording for a legal order."""
    return await action(
        retention.hold(site.engine, actor, recording_id, order),
        f"/recordings/{recording_id}",
        lambda refusal: _refused(request, site, actor, recording_id, refusal, "hold", NOT_HELD),
        reraise=(),
    )


@erasing.post("/recordings/{recording_id}/hold/end")
async def end_hold(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    recording_id: UUID,
    order: Order,
    reason: Reason,
) -> Response:
    """End the hold of a recording for an order."""
    return await action(
        retention.release(site.engine, actor, recording_id, order, reason),
        f"/recordings/{recording_id}",
        lambda refusal: _refused(request, site, actor, recording_id, refusal, "end", STILL_HELD),
        reraise=(),
    )


async def _refused(
    request: Request,
    site: AppContext,
    actor: Actor,
    recording_id: UUID,
    refusal: InvalidRequest,
    form: FormName,
    words: str,
) -> Response:
    """The page of a recording with words beside its form, or above when somebody was quicker.

    That of erasures, when the recording is erased.
    """
    try:
        if not isinstance(refusal, NotFound):
            return await _recording(request, site, actor, recording_id, form, words)
        return await _recording(request, site, actor, recording_id, problem=DECIDED_MEANWHILE)
    except NotFound as gone:
        return await show_erasures(request, site, words_for(gone, REFUSALS))


async def _recording(
    request: Request,
    site: AppContext,
    actor: Actor,
    recording_id: UUID,
    refused: FormName | None = None,
    problem: str | None = None,
) -> Response:
    """The page of a recording; `problem` says why the form `refused` was, or any."""
    await find_audible(site.engine, actor, recording_id)
    async with unit_of_work(site.engine) as connection:
        row = await queries.find_by_id(connection, recording_id)
        held = await reasons_of(connection, recording_id)
    if row is None:
        raise NotFound("there is no stored recording with this id")
    return page(
        request,
        "appeals/recording.html",
        status=400 if problem else 200,
        refused=refused,
        problem=problem,
        say=labels_for(request, site),
        row=row,
        reasons=REASONS,
        held=[find_kind(each) for each in held],
        by_order=retention.BY_ORDER,
    )


def _minutes(typed: Minutes) -> timedelta | None:
    return timedelta(minutes=typed) if isinstance(typed, int) else None


def _number(typed: str) -> str:
    """Return the number as appeals store it. Raises InvalidRequest: it is none."""
    if not typed.strip():
        return ""
    number = parse_caller_id("".join(typed.split())).number
    if number is None:
        raise InvalidRequest("this is not a telephone number")
    return number
