"""One's own call, in JSON below /api/v1/calls/mine: hold it, mute, pass it on."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field

from callcenter.consultants.api import own_extension
from callcenter.consultants.dispatch import Dispatch
from callcenter.consultants.orders import Order
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(tags=["calls"])

What = Literal[
    "hold",
    "resume",
    "mute",
    "unmute",
    "hold_or_resume",
    "mute_or_unmute",
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
ToWhom = Annotated[str | None, Form(max_length=50)]
WhichLanguage = Annotated[Literal["kk", "ru"] | None, Form()]


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
    to: ToWhom = None,
    language: WhichLanguage = None,
) -> CallNow:
    """Do something with your call; the answer tells how it stands at once.

    `hold`: the caller hears music until you `resume`. `mute`: nobody hears you until you `unmute`.
    `hold_or_resume` and `mute_or_unmute` change from one to the other. `consult`: the consultant
    `to` is rung and talks with you, the caller hearing music; then you `hand_over`, bring all three
    `together`, or go `back` to the caller. `call` does the same with the telephone number `to`.
    `transfer`: the caller goes to the consultant `to` as soon as that one answers. A consultant is
    an extension, or whoever is free with a skill and speaks the language: `skill:lawyer`, or with
    a level at least `skill:lawyer:3`. `queue`: the caller waits again, in the old place, for
    somebody who speaks `language`. `redirect`: the caller is told so and goes to 1414. `survey`:
    you leave, and the caller is asked for a mark. Whoever does not answer, or leaves, lets the
    caller come back to you.
    """
    return await _ordered(site, visit, order_of(what, to, language))


def order_of(what: What, to: str | None, language: str | None) -> Order:
    """The order of a consultant for the own call, as a form tells it."""
    detail = {"to": to, "language": language}
    return Order(what, "self", {name: value for name, value in detail.items() if value})


async def _ordered(site: CurrentSite, visit: CurrentVisit, order: Order) -> CallNow:
    extension = await own_extension(site, visit)
    return CallNow.model_validate(await Dispatch(site.redis).to_consultant(extension, order))
