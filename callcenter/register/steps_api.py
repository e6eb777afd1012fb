"""Records of appeals in JSON, taken further: steps, the law's terms, parts and joining."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from callcenter.register import handling, opening
from callcenter.register.api import CurrentStep, Opened, Standing, standing
from callcenter.register.stages import Stage
from callcenter.web.access import needs
from callcenter.web.once import CurrentOnce
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(tags=["records"], dependencies=[needs(Permission.EDIT_APPEALS)])
extending = APIRouter(tags=["records"], dependencies=[needs(Permission.EXTEND_TERMS)])

Said = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")]


class Move(BaseModel):
    """To another stage; some moves need a reason."""

    after: Stage
    reason: Said = ""


class Extension(BaseModel):
    """A term put off, because facts must be established."""

    until: date
    reason: Said


class Notice(BaseModel):
    """How the applicant was told of an extension: the way, and when."""

    how: Said


class DangerPassedOn(BaseModel):
    """Who was told of the danger: the body, and the name of the person on duty."""

    whom: Said


class Part(BaseModel):
    """Fields that an appeal of its own is to have."""

    keys: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=500)]


class Joining(BaseModel):
    """The appeal that it goes on in, and why."""

    into: Annotated[str, Field(max_length=20, pattern=r"^[^\x00]*$")]
    reason: Said


@router.post("/api/v1/appeals/{number}/record/moves")
async def move(step: CurrentStep, to: Move) -> Standing:
    """Take an appeal to another stage. What it lacks for that is told in `missing` (400)."""
    return await step(handling.move, to.after, to.reason)


@router.post("/api/v1/appeals/{number}/record/no-request")
async def close_without_request(
    site: CurrentSite, visit: CurrentVisit, once: CurrentOnce, response: Response, number: str
) -> Standing:
    """Silence, a prank, a wrong number: closed in one step, and nothing personal is kept."""

    async def deed() -> Standing:
        return standing(number, await handling.close_without_request(site, visit, number))

    now = await once(Standing, deed)
    response.headers["ETag"] = f'"{now.version}"'
    return now


@extending.post("/api/v1/appeals/{number}/record/extension")
async def extend(step: CurrentStep, extension: Extension) -> Standing:
    """Put the term of the answer off, once."""
    return await step(handling.extend, extension.until, extension.reason)


@router.post("/api/v1/appeals/{number}/record/extension/notice")
async def tell_of_extension(step: CurrentStep, notice: Notice) -> Standing:
    """Note that the applicant was told of the extension, within its term (`notice_due_on`)."""
    return await step(handling.tell_of_extension, notice.how)


@router.post("/api/v1/appeals/{number}/record/danger-passed-on")
async def pass_danger_on(step: CurrentStep, told: DangerPassedOn) -> Standing:
    """Note that somebody who can help at once has been told."""
    return await step(handling.pass_danger_on, told.whom)


@router.post("/api/v1/appeals/{number}/record/parts", status_code=201)
async def split(step: CurrentStep, part: Part) -> Opened:
    """Make a part of it an appeal of its own, with these fields of it."""

    async def deed() -> Opened:
        return Opened(
            number=await opening.split(step.site, step.visit, step.number, step.seen, part.keys)
        )

    opened = await step.once(Opened, deed)
    step.response.headers["Location"] = f"/api/v1/appeals/{opened.number}/record"
    return opened


@router.post("/api/v1/appeals/{number}/record/join")
async def join(step: CurrentStep, joining: Joining) -> Standing:
    """Let it go on within another appeal; the answer is how this one stands."""
    return await step(opening.join, joining.into, joining.reason)
