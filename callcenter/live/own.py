"""The page that a consultant works by: what one is doing, why no call comes, the own call, pausing.

It is open for as long as its events are taken, and the desk is told so: see `DutyDesk.seen`.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Form
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.consultants import store as consultants
from callcenter.consultants.api import (
    CurrentDesk,
    NotAConsultant,
    ReasonCode,
    checked_reason,
    own_extension,
)
from callcenter.consultants.calls import ToWhom, What, WhichLanguage, ordered
from callcenter.consultants.dispatch import Dispatch
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.orders import Answer, Order, OrderRefused
from callcenter.consultants.script import DeskClosed
from callcenter.consultants.states import State
from callcenter.consultants.terms import Kind, terms
from callcenter.consultants.wording import name_of
from callcenter.errors import AskedWrongly, CallcenterError
from callcenter.live import telephone
from callcenter.live.figures import Figures, OnDuty
from callcenter.live.store import appeal_of_call, appeal_of_message, last_appeal_of
from callcenter.live.watch import CurrentWatch, Watch
from callcenter.live.wording import Wording
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.events import EventStream
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page
from callcenter.web.site import CurrentSite, CurrentVisit, Site, language_of

SEEN_EVERY = 10.0  # seconds between two words to the desk that the page is open
CALL_EVERY = 2.0  # seconds between two looks at the call
CALL_LIMIT = 1.0  # seconds for the call to answer; what it is doing is not known then
SHIFT = timedelta(hours=12)  # within which a call that is over is still what one works on
SEE_OTHER = 303

log = logging.getLogger(__name__)

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.OWN_DUTY)])


@router.get("/duty")
async def duty(
    request: Request, site: CurrentSite, visit: CurrentVisit, watch: CurrentWatch
) -> Response:
    """What you are doing now."""
    try:
        extension = await own_extension(site, visit)
    except NotAConsultant:
        return page(request, "live/no_consultant.html")
    return await _page(request, site, extension, watch)


@router.post("/duty")
async def change(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    watch: CurrentWatch,
    desk: CurrentDesk,
    state: Annotated[Literal["ready", "paused", "signed_out"], Form()],
    reason: ReasonCode = None,
) -> Response:
    """Sign in or go on, pause, or sign out; what cannot be now is said on the page."""
    extension = await own_extension(site, visit)
    wanted = State(state)
    try:
        why = await checked_reason(site, wanted, reason)
        await desk.ask(extension, wanted, by="self", reason=why, page=True)
    except AskedWrongly:
        return await _page(request, site, extension, watch, wrong="duty")
    return RedirectResponse("/duty", SEE_OTHER)


@router.post("/duty/call/{what}")
async def change_call(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    watch: CurrentWatch,
    what: What,
    to: ToWhom = None,
    language: WhichLanguage = None,
) -> Response:
    """Do something with your call; what cannot be now is said on the page."""
    extension = await own_extension(site, visit)
    try:
        await ordered(site, visit, what, to, language)
    except AskedWrongly:
        return await _page(request, site, extension, watch, wrong="call")
    return RedirectResponse("/duty", SEE_OTHER)


@router.get("/duty/events")
async def duty_events(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    watch: CurrentWatch,
    desk: CurrentDesk,
) -> EventStream:
    """What stands on the page, as often as it is read; the desk is told that the page is open."""
    extension = await own_extension(site, visit)
    return EventStream(_events(site, watch, desk, extension, language_of(request)))


async def _page(
    request: Request, site: Site, extension: str, watch: Watch, *, wrong: str = ""
) -> Response:
    async with unit_of_work(site.engine) as connection:
        reasons = [each for each in await terms(connection, Kind.PAUSE_REASON) if each.active]
        in_browser = (await consultants.find(connection, extension)).in_browser
    figures, call = await watch.now(), await _call(site, extension)
    response = page(
        request,
        "live/duty.html",
        name_of=name_of,
        status=400 if wrong else 200,
        say=Wording(site.words[language_of(request)]),
        figures=figures,
        own=_own(figures, extension),
        call=call,
        talked=_appeal_of(call) or await _last(site, extension),
        reasons=reasons,
        wrong=wrong,
        in_browser=in_browser,
    )
    if in_browser:
        telephone.allow(site.settings, response)
    return response


async def _events(
    site: Site, watch: Watch, desk: DutyDesk, extension: str, language: str
) -> AsyncGenerator[str, None]:
    words = site.words[language]
    template = site.templates.get_template("live/duty_board.html")
    told = looked = float("-inf")
    call: Answer | None = None
    talked = await _last(site, extension)
    async with aclosing(watch.listen()) as readings:
        async for reading in readings:
            if time.monotonic() - told >= SEEN_EVERY:
                await _seen(desk, extension)
                told = time.monotonic()
            # The keys of a caller who cannot speak are words: they come with every reading.
            if time.monotonic() - looked >= (0 if call and call.get("urgent") else CALL_EVERY):
                call = await _call(site, extension)
                looked = time.monotonic()
                talked = _appeal_of(call) or talked
            own = _own(reading.figures, extension)
            yield template.render(
                _=words,
                say=Wording(words),
                figures=reading.figures,
                own=own,
                call=call,
                talked=talked,
            )


def _appeal_of(call: Answer | None) -> str | None:
    """What is written down of a call, during it and after it."""
    return None if call is None else call.get("appeal")


async def _last(site: Site, extension: str) -> str | None:
    """The appeal of the last call, which is still to be written down; None: it is not known."""
    since = datetime.now(UTC) - SHIFT
    try:
        async with asyncio.timeout(CALL_LIMIT), unit_of_work(site.engine) as connection:
            return await last_appeal_of(connection, extension, since)
    except (CallcenterError, SQLAlchemyError, OSError, TimeoutError):
        return None


async def _call(site: Site, extension: str) -> Answer | None:
    """How one's call stands and what its appeal is, or which message one hears.

    None: neither, or it is not known.
    """
    dispatch = Dispatch(site.redis)
    try:
        async with asyncio.timeout(CALL_LIMIT):
            held = await dispatch.held_by(extension)
            try:
                answer = await dispatch.to_call(held, Order("status", "self"))
            except OrderRefused:
                return await _message(site, held.id)
        return {**answer, **await _appeal(site, held.id)}
    except (CallcenterError, SQLAlchemyError, OSError, TimeoutError):
        return None


async def _appeal(site: Site, held: str) -> Answer:
    """The number of the call's appeal, if it is known; nothing else waits for it."""
    try:
        async with asyncio.timeout(CALL_LIMIT), unit_of_work(site.engine) as connection:
            number = await appeal_of_call(connection, held)
    except (CallcenterError, SQLAlchemyError, OSError, TimeoutError):
        return {}
    return {} if number is None else {"appeal": number}


async def _message(site: Site, held: str) -> Answer | None:
    async with unit_of_work(site.engine) as connection:
        number = await appeal_of_message(connection, held)
    return None if number is None else {"message": number}


async def _seen(desk: DutyDesk, extension: str) -> None:
    try:
        await desk.seen(extension)
    except DeskClosed as exc:
        log.error("the desk does not know that the page of %s is open: %s", extension, exc)


def _own(figures: Figures, extension: str) -> OnDuty | None:
    """None when it is not known now, or when this is no consultant any more."""
    if figures.desk is None:
        return None
    return next((each for each in figures.desk.consultants if each.extension == extension), None)
