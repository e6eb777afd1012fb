"""Records of appeals in JSON, taken further: steps, the law's terms, parts and joining."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from callcenter.register import handling, opening
from callcenter.register.api import Opened, Seen, Standing, standing, tagged
from callcenter.register.stages import Stage
from callcenter.web.access import needs
from callcenter.web.once import CurrentOnce
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(tags=["records"], dependencies=[needs(Permission.EDIT_APPEALS)])

Said = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")]


class Move(BaseModel):
    """To another stage; some moves need a reason."""

    after: Stage
    reason: Said = ""


class Extension(BaseModel):
    """A term put off, because facts must be established."""

    until: date
    reason: Said


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
async def move(
    site: CurrentSite,
    visit: CurrentVisit,
    once: CurrentOnce,
    response: Response,
    number: str,
    seen: Seen,
    to: Move,
) -> Standing:
    """Take an appeal to another stage. What it lacks for that is told in `missing` (400)."""

    async def deed() -> Standing:
        return standing(number, await handling.move(site, visit, number, seen, to.after, to.reason))

    return tagged(response, await once(Standing, deed))


@router.post("/api/v1/appeals/{number}/record/no-request")
async def close_without_request(
    site: CurrentSite, visit: CurrentVisit, once: CurrentOnce, response: Response, number: str
) -> Standing:
    """Silence, a prank, a wrong number: closed in one step, and nothing personal is kept."""

    async def deed() -> Standing:
        return standing(number, await handling.close_without_request(site, visit, number))

    return tagged(response, await once(Standing, deed))


@router.post("/api/v1/appeals/{number}/record/extension")
async def extend(
    site: CurrentSite,
    visit: CurrentVisit,
    once: CurrentOnce,
    response: Response,
    number: str,
    seen: Seen,
    extension: Extension,
) -> Standing:
    """Put the term of the answer off, once."""

    async def deed() -> Standing:
        return standing(
            number,
            await handling.extend(site, visit, number, seen, extension.until, extension.reason),
        )

    return tagged(response, await once(Standing, deed))


@router.post("/api/v1/appeals/{number}/record/danger-passed-on")
async def pass_danger_on(
    site: CurrentSite,
    visit: CurrentVisit,
    once: CurrentOnce,
    response: Response,
    number: str,
    seen: Seen,
    told: DangerPassedOn,
) -> Standing:
    """Note that somebody who can help at once has been told."""

    async def deed() -> Standing:
        return standing(number, await handling.pass_danger_on(site, visit, number, seen, told.whom))

    return tagged(response, await once(Standing, deed))


@router.post("/api/v1/appeals/{number}/record/parts", status_code=201)
async def split(
    site: CurrentSite,
    visit: CurrentVisit,
    once: CurrentOnce,
    response: Response,
    number: str,
    seen: Seen,
    part: Part,
) -> Opened:
    """Make a part of it an appeal of its own, with these fields of it."""

    async def deed() -> Opened:
        return Opened(number=await opening.split(site, visit, number, seen, part.keys))

    opened = await once(Opened, deed)
    response.headers["Location"] = f"/api/v1/appeals/{opened.number}/record"
    return opened


@router.post("/api/v1/appeals/{number}/record/join")
async def join(
    site: CurrentSite,
    visit: CurrentVisit,
    once: CurrentOnce,
    response: Response,
    number: str,
    seen: Seen,
    joining: Joining,
) -> Standing:
    """Let it go on within another appeal; the answer is how this one stands."""

    async def deed() -> Standing:
        return standing(
            number,
            await opening.join(site, visit, number, seen, joining.into, joining.reason),
        )

    return tagged(response, await once(Standing, deed))
