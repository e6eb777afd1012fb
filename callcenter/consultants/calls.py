"""One's own call, in JSON below /api/v1/calls/mine: hold it, mute, pass it on."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from callcenter.consultants.api import own_extension
from callcenter.consultants.dispatch import Dispatch
from callcenter.consultants.orders import Answer, Order
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(tags=["calls"])

What = Literal["hold", "resume", "mute", "unmute", "redirect", "survey"]


class CallNow(BaseModel):
    """How your call stands."""

    caller: Literal["here", "aside"] = Field(description="aside: hears music, and nobody else")
    muted: bool = Field(description="nobody hears you")


@router.get("/api/v1/calls/mine", dependencies=[needs(Permission.OWN_DUTY)])
async def read_own_call(site: CurrentSite, visit: CurrentVisit) -> CallNow:
    """How your call stands."""
    return await _ordered(site, visit, Order("status", "self"))


@router.post("/api/v1/calls/mine/{what}", dependencies=[needs(Permission.OWN_DUTY)])
async def change_own_call(site: CurrentSite, visit: CurrentVisit, what: What) -> CallNow:
    """Do something with your call.

    `hold`: the caller hears music until you `resume`. `mute`: the caller does not hear you until
    you `unmute`. `redirect`: the caller is told so and goes to 1414. `survey`: you leave, and the
    caller is asked for a mark.
    """
    return await _ordered(site, visit, Order(what, "self"))


async def _ordered(site: CurrentSite, visit: CurrentVisit, order: Order) -> CallNow:
    extension = await own_extension(site, visit)
    return _now(await Dispatch(site.redis).to_consultant(extension, order))


def _now(answer: Answer) -> CallNow:
    return CallNow.model_validate(answer)
