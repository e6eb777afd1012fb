"""The page that supervisors keep open: what is true now, and what they may do about it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.consultants import history
from callcenter.consultants.dispatch import NoCall
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.orders import Mode, OrderRefused
from callcenter.consultants.script import NotFree, NotOnRoster, NotSpoken, NotWaiting
from callcenter.consultants.sending import send
from callcenter.consultants.states import IllegalMove, State
from callcenter.errors import N_, AskedWrongly
from callcenter.live import directing, supervising
from callcenter.live.supervising import (
    InACall,
    Minutes,
    NoTelephone,
    OtherTeam,
    OwnConversation,
    ReasonGiven,
)
from callcenter.live.watch import CurrentWatch, Reading, Watch
from callcenter.live.wording import Wording
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.errors import NotFound
from callcenter.web.events import EventStream
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page
from callcenter.web.site import CurrentSite, CurrentVisit, Site, language_of

TEMPLATES = Path(__file__).parent / "templates"
SEE_OTHER = 303

#: What was refused, in the words of the pages; the first that fits counts.
REFUSED: tuple[tuple[type[AskedWrongly], str], ...] = (
    (NoTelephone, N_("You have no telephone here: ask the administrator to link you with one.")),
    (InACall, N_("You are in a call yourself.")),
    (OwnConversation, N_("This is your own conversation.")),
    (OtherTeam, N_("This consultant is of another team, whose conversations you may not hear.")),
    (NoCall, N_("This consultant is not with a caller now.")),
    (OrderRefused, N_("Not now: the conversation is over, or another supervisor is with it.")),
    (NotWaiting, N_("This caller does not wait any more.")),
    (NotSpoken, N_("This consultant does not speak the language of the caller.")),
    (NotFree, N_("This consultant cannot take a call now.")),
    (IllegalMove, N_("This consultant cannot be sent there from where they are now.")),
    (NotOnRoster, N_("There is no such consultant.")),
    (AskedWrongly, N_("This was not done: fill in the form again.")),
)

router = APIRouter(include_in_schema=False)


@router.get("/live", dependencies=[needs(Permission.VIEW_LIVE)])
async def live(
    request: Request, site: CurrentSite, visit: CurrentVisit, watch: CurrentWatch
) -> Response:
    """The figures now; a script keeps them up to date, without one the page loads itself anew."""
    say = Wording(site.words[language_of(request)])
    seen = await watch.look()
    floor = seen.floor if visit.may(Permission.DIRECT) else None
    return page(request, "live/live.html", say=say, figures=seen.figures, floor=floor)


@router.get("/live/events", dependencies=[needs(Permission.VIEW_LIVE)])
async def live_events(
    request: Request, site: CurrentSite, visit: CurrentVisit, watch: CurrentWatch
) -> EventStream:
    """What stands on the page, in the visitor's language, as often as it is read."""
    may_direct = visit.may(Permission.DIRECT)
    return EventStream(_events(site, watch, language_of(request), may_direct=may_direct))


async def _events(
    site: Site, watch: Watch, language: str, *, may_direct: bool
) -> AsyncGenerator[str, None]:
    words = site.words[language]
    template = site.templates.get_template("live/board.html")

    def board(reading: Reading) -> str:
        floor = reading.floor if may_direct else None
        say = Wording(words)
        return template.render(_=words, say=say, figures=reading.figures, floor=floor)

    async with aclosing(watch.listen()) as readings:
        async for reading in readings:
            yield reading.form(f"{language} {may_direct}", board)


@router.get("/live/consultants/{extension}", dependencies=[needs(Permission.SUPERVISE)])
async def consultant(
    request: Request, site: CurrentSite, watch: CurrentWatch, extension: str
) -> Response:
    """One consultant: what they are doing, and what a supervisor may do about it."""
    return await _consultant(request, site, watch, extension)


@router.post("/live/consultants/{extension}/duty", dependencies=[needs(Permission.SUPERVISE)])
async def change_duty(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    watch: CurrentWatch,
    extension: str,
    state: Annotated[Literal["paused", "signed_out"], Form()],
    reason: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Send somebody to a pause, or home."""
    try:
        await send(site, visit, extension, State(state), reason)
    except AskedWrongly as exc:
        return await _consultant(request, site, watch, extension, refused=exc)
    return RedirectResponse(f"/live/consultants/{extension}", SEE_OTHER)


@router.post(
    "/live/consultants/{extension}/supervision", dependencies=[needs(Permission.HEAR_CALLS)]
)
async def supervise(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    watch: CurrentWatch,
    extension: str,
    mode: Annotated[Mode, Form()],
    reason: ReasonGiven,
) -> Response:
    """Be with the conversation; the page says that one's own telephone rings."""
    try:
        answer = await supervising.supervise(site, visit, extension, mode, reason)
    except AskedWrongly as exc:
        return await _consultant(request, site, watch, extension, refused=exc)
    return await _consultant(
        request, site, watch, extension, mode=mode, state=answer["state"], reason=reason
    )


async def _consultant(
    request: Request,
    site: Site,
    watch: Watch,
    extension: str,
    *,
    refused: AskedWrongly | None = None,
    mode: Mode | None = None,
    state: str | None = None,
    reason: str = "",
) -> Response:
    try:
        duty = await DutyDesk(site.redis, site.settings).of(extension)
    except NotOnRoster:
        raise NotFound from None
    async with unit_of_work(site.engine) as connection:
        reasons = await history.pause_reasons(connection)
    seen = await watch.look()
    talks = seen.floor.talks if seen.floor else ()
    known = seen.figures.desk.consultants if seen.figures.desk else ()
    return page(
        request,
        "live/consultant.html",
        status=400 if refused else 200,
        say=Wording(site.words[language_of(request)]),
        figures=seen.figures,
        duty=duty,
        known=next((each for each in known if each.extension == extension), None),
        talk=next((each for each in talks if each.consultant == extension), None),
        reasons=reasons,
        mode=mode,
        state=state,
        reason=reason,
        refused=_words_of(refused),
    )


@router.get("/live/queue", dependencies=[needs(Permission.DIRECT)])
async def queue(request: Request, site: CurrentSite, watch: CurrentWatch) -> Response:
    """Who waits, and what may be done about it."""
    return await _queue(request, site, watch)


@router.post("/live/queue/hold", dependencies=[needs(Permission.DIRECT)])
async def hold_back(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    watch: CurrentWatch,
    queue: Annotated[str, Form(max_length=10)],
    minutes: Minutes,
    reason: ReasonGiven,
) -> Response:
    """Make no offers from a queue for a time."""
    try:
        await directing.hold_back(site, visit, queue, minutes, reason)
    except AskedWrongly as exc:
        return await _queue(request, site, watch, refused=exc)
    return RedirectResponse("/live/queue", SEE_OTHER)


@router.post("/live/queue/let-on", dependencies=[needs(Permission.DIRECT)])
async def let_on(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    watch: CurrentWatch,
    queue: Annotated[str, Form(max_length=10)],
) -> Response:
    """Make offers from it again."""
    try:
        await directing.let_on(site, visit, queue)
    except AskedWrongly as exc:
        return await _queue(request, site, watch, refused=exc)
    return RedirectResponse("/live/queue", SEE_OTHER)


@router.post("/live/queue/hand-out", dependencies=[needs(Permission.DIRECT)])
async def hand_out(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    watch: CurrentWatch,
    call: Annotated[str, Form(max_length=100)],
    extension: Annotated[str, Form(max_length=10)],
) -> Response:
    """Give somebody who waits to a consultant now."""
    try:
        await directing.hand_out(site, visit, call, extension)
    except AskedWrongly as exc:
        return await _queue(request, site, watch, refused=exc)
    return RedirectResponse("/live/queue", SEE_OTHER)


async def _queue(
    request: Request, site: Site, watch: Watch, *, refused: AskedWrongly | None = None
) -> Response:
    seen = await watch.look()
    known = seen.figures.desk.consultants if seen.figures.desk else ()
    return page(
        request,
        "live/queue.html",
        status=400 if refused else 200,
        say=Wording(site.words[language_of(request)]),
        now=seen.figures.at,
        floor=seen.floor,
        takers=[each for each in known if each.group in ("free", "wrap_up")],
        refused=_words_of(refused),
    )


def _words_of(refused: AskedWrongly | None) -> str | None:
    if refused is None:
        return None
    return next(words for family, words in REFUSED if isinstance(refused, family))
