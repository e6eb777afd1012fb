"""Pages of recordings: finding them, and the player of one."""

from datetime import date, timedelta
from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from callcenter.appeals import cursor, recorded
from callcenter.appeals.callers import read_caller
from callcenter.appeals.number import parse
from callcenter.appeals.reading import wording_for
from callcenter.appeals.recorded import PAGE, Question, Recorded
from callcenter.appeals.wording import LANGUAGES, OUTCOMES
from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.errors import N_, AskedWrongly
from callcenter.recordings import holding
from callcenter.recordings.listening import Reason, find_audible
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.errors import NotFound
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page
from callcenter.web.site import CurrentSite, CurrentVisit, Site, Visit
from callcenter.web.words import midnight

REASONS = {
    Reason.WORK: N_("work on the appeal"),
    Reason.COMPLAINT: N_("a complaint"),
    Reason.QUALITY: N_("quality of the conversation"),
    Reason.TRAINING: N_("training"),
    Reason.DEMAND: N_("a demand of the authority"),
    Reason.OTHER: N_("something else"),
}

Typed = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]
Minutes = Annotated[int, Field(ge=0, le=1440)] | Literal[""]

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.LISTEN)])


class Asked(BaseModel):
    """The form of the search as a browser sends it: what is empty does not matter."""

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

    def question(self, visit: Visit) -> Question:
        """Of the recordings that this person may hear.

        Raises AskedWrongly: a number that is none, or a day beyond the calendar."""
        everybody = visit.user is None or visit.may(Permission.LISTEN_TO_ALL_TEAMS)
        team = visit.may(Permission.LISTEN_TO_TEAM)
        person = None if everybody or visit.user is None else visit.user.id
        try:
            ends = self.until + timedelta(days=1) if self.until else None
        except OverflowError as exc:
            raise AskedWrongly("there is no day after this one") from exc
        return Question(
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
async def recordings(
    request: Request, site: CurrentSite, visit: CurrentVisit, asked: Annotated[Asked, Query()]
) -> Response:
    """Stored recordings that the person may hear, the newest first; what was asked is audited."""
    problem = False
    rows: list[Recorded] = []
    try:
        question = asked.question(visit)
    except AskedWrongly:
        problem = True
    else:
        rows = await _found(site, visit, question, asked.before)
    typed = {
        name: value
        for name, value in asked.model_dump(mode="json", exclude={"before"}).items()
        if value != ""
    }
    older = None
    if len(rows) > PAGE:
        last = rows[PAGE - 1]
        older = urlencode(typed | {"before": cursor.write((last.started_at, last.id))})
    return page(
        request,
        "appeals/recordings.html",
        status=400 if problem else 200,
        say=wording_for(request, site, visit),
        rows=rows[:PAGE],
        older=older,
        first=not asked.before,
        typed=typed,
        problem=problem,
        spoken=LANGUAGES,
        outcomes=OUTCOMES,
    )


@router.get("/recordings/{recording_id}")
async def recording(
    request: Request, site: CurrentSite, visit: CurrentVisit, recording_id: UUID
) -> Response:
    """The player; the audio is sent for by it, with the reason that the person gives."""
    await find_audible(site, visit, recording_id)
    async with unit_of_work(site.engine) as connection:
        row = await recorded.of_id(connection, recording_id)
        held = await holding.reasons_of(connection, recording_id)
    if row is None:
        raise NotFound("there is no stored recording with this id")
    return page(
        request,
        "appeals/recording.html",
        say=wording_for(request, site, visit),
        row=row,
        reasons=REASONS,
        held=[each.partition(":") for each in held],
    )


async def _found(site: Site, visit: Visit, question: Question, before: str) -> list[Recorded]:
    """One more than a page, if there are; asking is in the audit log unless for all."""
    place = cursor.read(before) if before else None
    filters = [
        name
        for name in Question.__slots__
        if name not in ("team_of", "own_of") and getattr(question, name) not in ("", None)
    ]
    async with unit_of_work(site.engine) as connection:
        rows = await recorded.find(connection, question, before=place, limit=PAGE + 1)
        if filters:
            await record(
                connection,
                who=visit.who,
                action=Action.RECORDINGS_SEARCHED,
                subject="recordings",
                detail={"filters": " ".join(filters), "found": len(rows)},
                from_address=visit.address,
            )
    return rows


def _minutes(typed: Minutes) -> timedelta | None:
    return timedelta(minutes=typed) if isinstance(typed, int) else None


def _number(typed: str) -> str:
    """The number as the register has it. Raises AskedWrongly: it is none."""
    if not typed.strip():
        return ""
    number = read_caller("".join(typed.split())).number
    if number is None:
        raise AskedWrongly("this is not a telephone number")
    return number
