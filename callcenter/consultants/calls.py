"""One's own call, in JSON below /api/v1/calls/mine: hold it, mute, pass it on."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field

from callcenter.consultants.api import own_extension
from callcenter.consultants.dispatch import Dispatch
from callcenter.consultants.orders import Answer, Order
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(tags=["calls"])

What = Literal[
    "hold",
    "resume",
    "mute",
    "unmute",
    "consult",
    "transfer",
    "call",
    "back",
    "together",
    "hand_over",
    "queue",
    "redirect",
    "survey",
]


class CallNow(BaseModel):
    """How your call stands."""

    caller: Literal["here", "aside"] = Field(description="aside: hears music, and nobody else")
    muted: bool = Field(description="nobody hears you")
    guest: Literal["none", "called", "here"] = Field(description="whom you have brought")


@router.get("/api/v1/calls/mine", dependencies=[needs(Permission.OWN_DUTY)])
async def read_own_call(site: CurrentSite, visit: CurrentVisit) -> CallNow:
    """How your call stands."""
    return await _ordered(site, visit, Order("status", "self"))


@router.post("/api/v1/calls/mine/{what}", dependencies=[needs(Permission.OWN_DUTY)])
async def change_own_call(
    site: CurrentSite,
    visit: CurrentVisit,
    what: What,
    to: Annotated[str | None, Form(max_length=50)] = None,
    language: Annotated[Literal["kk", "ru"] | None, Form()] = None,
) -> CallNow:
    """Do something with your call; the answer tells how it stands at once.

    `hold`: the caller hears music until you `resume`. `mute`: nobody hears you until you
    `unmute`. `consult`: the consultant `to` is rung and talks with you, the caller hearing music;
    then you `hand_over`, bring all three `together`, or go `back` to the caller. `call` does the
    same with the telephone number `to`. `transfer`: the caller goes to the consultant `to` as soon
    as that one answers. A consultant is an extension, or whoever is free with a skill and speaks
    the language: `skill:lawyer`, or with its level at least `skill:lawyer:3`. `queue`: the caller waits again, in the old place, for somebody who speaks
    `language`. `redirect`: the caller is told so and goes to 1414. `survey`: you leave, and the
    caller is asked for a mark. Whoever does not answer, or leaves, lets the caller come back to
    you.
    """
    detail = {"to": to, "language": language}
    given = {name: value for name, value in detail.items() if value is not None}
    return await _ordered(site, visit, Order(what, "self", given))


async def _ordered(site: CurrentSite, visit: CurrentVisit, order: Order) -> CallNow:
    extension = await own_extension(site, visit)
    return _now(await Dispatch(site.redis).to_consultant(extension, order))


def _now(answer: Answer) -> CallNow:
    return CallNow.model_validate(answer)
