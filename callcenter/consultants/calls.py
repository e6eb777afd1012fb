"""One's own call, in JSON below /api/v1/calls/mine: hold it, mute, pass it on."""

import asyncio
import logging
from typing import Annotated, Literal

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from callcenter.consultants import store
from callcenter.consultants.api import own_extension
from callcenter.consultants.dispatch import Dispatch
from callcenter.consultants.orders import Answer, Order
from callcenter.consultants.terms import Kind, terms
from callcenter.errors import AskedWrongly, WeFailed
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit, Site, Visit

TO_CONSULTANTS = frozenset({"consult", "transfer"})  #: orders that name a consultant, or a skill
KNOWN_WITHIN = 1.0  # seconds for the database to say whether there is such a one

log = logging.getLogger(__name__)

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
    "ring_again",
]
ToWhom = Annotated[str | None, Form(max_length=50)]
WhichLanguage = Annotated[Literal["kk", "ru"] | None, Form()]


class NobodyLikeThat(AskedWrongly):
    """There is no such consultant, or no such skill."""


class CallNow(BaseModel):
    """How your call stands."""

    caller: Literal["here", "aside"] = Field(description="aside: hears music, and nobody else")
    muted: bool = Field(description="nobody hears you")
    guest: Literal["none", "called", "here"] = Field(description="whom you have brought")
    urgent: str = Field("", description="silent: cannot speak; danger; empty: neither")
    keys: str = Field("", description="what the caller pressed in this conversation, the last 20")


@router.get("/api/v1/calls/mine", dependencies=[needs(Permission.OWN_DUTY)])
async def read_own_call(site: CurrentSite, visit: CurrentVisit) -> CallNow:
    """How your call stands."""
    extension = await own_extension(site, visit)
    status = Order("status", "self")
    return CallNow.model_validate(await Dispatch(site.redis).to_consultant(extension, status))


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
    you leave, and the caller is asked for a mark. `ring_again`: your telephone is rung once more,
    as when its page was loaded anew; the caller hears music meanwhile. Whoever does not answer, or
    leaves, lets the caller come back to you.
    """
    return CallNow.model_validate(await ordered(site, visit, what, to, language))


async def ordered(
    site: Site, visit: Visit, what: What, to: str | None, language: str | None
) -> Answer:
    """Have something done with one's own call, as a form tells it.

    Raises NobodyLikeThat, and what `Dispatch.to_consultant` raises.
    """
    extension = await own_extension(site, visit)
    if what in TO_CONSULTANTS and to:
        await _must_exist(site, to)
    detail = {"to": to, "language": language}
    order = Order(what, "self", {name: value for name, value in detail.items() if value})
    return await Dispatch(site.redis).to_consultant(extension, order)


async def _must_exist(site: Site, to: str) -> None:
    """Who can be named but never answers is not free; who cannot is a slip of the pen.

    A database that is away keeps nobody from passing a caller on.
    """
    code = to.split(":")[1] if to.startswith("skill:") else None
    try:
        async with asyncio.timeout(KNOWN_WITHIN), unit_of_work(site.engine) as connection:
            if code is not None:
                known = {each.code for each in await terms(connection, Kind.SKILL) if each.active}
            else:
                known = {each.extension for each in await store.active(connection)}
    except (WeFailed, SQLAlchemyError, OSError, TimeoutError) as exc:
        log.error("cannot tell whether there is %s: %s", to, type(exc).__name__)
        return
    if code is not None and code not in known:
        raise NobodyLikeThat(f"there is no skill {code}: {', '.join(sorted(known)) or 'none is'}")
    if code is None and to not in known:
        raise NobodyLikeThat(f"there is no consultant {to}")
