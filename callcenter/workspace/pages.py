"""Workspace page of a consultant: own presence, own call, pauses.

It counts as open while its events are read, see `PresenceService.report_page_open`.
"""

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.appeals.calls.labels import AppealLabels
from callcenter.appeals.form.service import read_form
from callcenter.appeals.labels import KINDS, STAGES, RecordLabels
from callcenter.appeals.rules.fields import Form as RecordForm
from callcenter.consultants import store as consultants
from callcenter.consultants.dependencies import CurrentPresenceService, ReasonCode
from callcenter.consultants.labels import name_of
from callcenter.consultants.permissions import ConsultantPermission
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.redis_script import DistributorUnavailable
from callcenter.consultants.reference_lists import ListKind, list_entries
from callcenter.consultants.rules.states import IllegalPresenceChange, PresenceState
from callcenter.consultants.service import (
    NotAConsultant,
    change_own_state,
    find_own_extension,
    prolong_own_wrap_up,
)
from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.platform.core.i18n import Translator
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite, language_of
from callcenter.platform.web.page_actions import SEE_OTHER, action
from callcenter.platform.web.sse import EventStream
from callcenter.platform.web.templating import page
from callcenter.telephony.acd.command_bus import CommandClient
from callcenter.telephony.acd.dependencies import CurrentCommands, commands_of
from callcenter.wallboard.dependencies import CurrentFeed
from callcenter.wallboard.labels import WallboardLabels
from callcenter.wallboard.live_feed import LiveFeed, LiveSnapshot
from callcenter.workspace.dependencies import ToWhom, What, WhichLanguage
from callcenter.workspace.own_call import OwnCall, OwnCallReader
from callcenter.workspace.own_day import read_own_day
from callcenter.workspace.service import (
    control_own_call,
    list_colleagues,
    request_help,
    request_next,
)
from callcenter.workspace.softphone_pages import allow_softphone
from callcenter.workspace.view import RUNG, WRAP_UP, find_own, make_view
from callcenter.workspace.written_offers import WrittenOffers

PAGE_OPEN_INTERVAL = 10.0  # seconds between two reports to the ACD that the page is open
CALL_POLLING_INTERVAL = 2.0  # seconds between two readings of a conversation
LONGER = 60.0  # seconds that are added each time that a consultant needs longer
HELD = 10.0  # seconds that wrap-up lasts at least from when the record was last seen unsaved
FIGURES_INTERVAL = 2.0  # seconds between two of who waits and is free: they change with every call
HEARTBEAT_INTERVAL = 1.4  # seconds at least; a page that hears nothing for 4 s says so
#: Services that are called by one press, each with its name.
EMERGENCY_SERVICES = {
    "102": N_("Police"),
    "103": N_("Ambulance"),
    "112": N_("Rescue service"),
}
#: Event of a page that shows the truth already.
UNCHANGED = "="

log = logging.getLogger(__name__)

router = APIRouter(include_in_schema=False, dependencies=[requires(ConsultantPermission.OWN_DUTY)])


@router.get("/duty")
@router.post("/duty")
@router.post("/duty/call/{what}")
@router.get("/duty/events")
@router.get("/duty/telephone")
async def moved(request: Request) -> Response:
    """Redirect the addresses of older versions: bookmarks, and pages that are open meanwhile."""
    path = request.url.path.replace("/duty", "/workspace", 1)
    return RedirectResponse(path, HTTPStatus.PERMANENT_REDIRECT)


@router.get("/workspace")
async def workspace(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    feed: CurrentFeed,
    sent: Literal["help"] | None = None,
) -> Response:
    """Your workspace; it says what was `sent`: a request for help."""
    try:
        extension = await find_own_extension(site.engine, actor)
    except NotAConsultant:
        return page(request, "workspace/no_consultant.html")
    return await _page(request, site, actor, extension, feed, is_helped=sent is not None)


@router.post("/workspace")
async def change(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    feed: CurrentFeed,
    presence: CurrentPresenceService,
    state: Annotated[Literal["ready", "paused", "signed_out"], Form()],
    reason: ReasonCode = None,
) -> Response:
    """Sign in or resume, pause, or sign out; an error is shown on the page."""
    extension = await find_own_extension(site.engine, actor)
    return await _answer(
        request,
        change_own_state(site.engine, presence, extension, PresenceState(state), reason, page=True),
        lambda _: _page(request, site, actor, extension, feed, wrong="duty"),
    )


@router.post("/workspace/longer")
async def prolong(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    feed: CurrentFeed,
    presence: CurrentPresenceService,
) -> Response:
    """Have the time after your conversation end later, within the center's limit."""
    extension = await find_own_extension(site.engine, actor)
    limit = site.settings.wrap_up_limit
    return await _answer(
        request,
        prolong_own_wrap_up(presence, extension, LONGER, limit),
        lambda _: _page(request, site, actor, extension, feed, wrong="longer"),
    )


@router.post("/workspace/call/{what}")
async def change_call(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    feed: CurrentFeed,
    commands: CurrentCommands,
    what: What,
    to: ToWhom = None,
    language: WhichLanguage = None,
) -> Response:
    """Send a command to your call; an error is shown on the page."""
    extension = await find_own_extension(site.engine, actor)
    return await _answer(
        request,
        control_own_call(site.engine, commands, actor, what, to, language),
        lambda _: _page(request, site, actor, extension, feed, wrong="call"),
    )


@router.post("/workspace/written/next")
async def offer_written(
    request: Request, site: CurrentSite, actor: CurrentActor, feed: CurrentFeed
) -> Response:
    """Have the next written contact offered to you."""
    extension = await find_own_extension(site.engine, actor)
    return await _answer(
        request,
        request_next(site.engine, site.settings, actor, extension),
        lambda _: _page(request, site, actor, extension, feed, wrong="written"),
    )


@router.get("/workspace/colleagues")
async def colleagues(
    request: Request, site: CurrentSite, actor: CurrentActor, feed: CurrentFeed
) -> Response:
    """Whom your call may be given to, as it is now: a part of the page."""
    extension = await find_own_extension(site.engine, actor)
    return page(
        request,
        "workspace/colleagues.html",
        name_of=name_of,
        colleagues=await list_colleagues(site.engine, await feed.now(), extension),
        say=WallboardLabels(site.words[language_of(request)]),
    )


@router.get("/workspace/day")
async def own_day(request: Request, site: CurrentSite, actor: CurrentActor) -> Response:
    """Your day until now: a part of the page."""
    extension = await find_own_extension(site.engine, actor)
    return page(
        request,
        "workspace/day.html",
        day=await read_own_day(site.engine, actor, extension),
        now=datetime.now(UTC),
        say=WallboardLabels(site.words[language_of(request)]),
    )


@router.post("/workspace/help")
async def call_for_help(
    request: Request, site: CurrentSite, actor: CurrentActor, feed: CurrentFeed
) -> Response:
    """Tell the supervisors that you need one."""
    extension = await find_own_extension(site.engine, actor)
    return await action(
        request_help(site.engine, site.redis, actor, extension),
        "/workspace?sent=help",
        lambda _: _page(request, site, actor, extension, feed, wrong="duty"),
    )


@router.get("/workspace/events")
async def workspace_events(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    feed: CurrentFeed,
    presence: CurrentPresenceService,
    commands: CurrentCommands,
) -> EventStream:
    """The changing parts of the page, pushed as they change; reports that the page is open."""
    extension = await find_own_extension(site.engine, actor)
    language = language_of(request)
    return EventStream(events(site, feed, presence, commands, actor, extension, language))


async def _answer(
    request: Request, call: Awaitable[object], show: Callable[[InvalidRequest], Awaitable[Response]]
) -> Response:
    """Await a service call and lead to the page; its own script, which stays, is not led.

    Browsers name what they fetch for (Fetch Metadata, Sec-Fetch-Dest).
    """
    done = await action(call, "/workspace", show)
    is_of_script = request.headers.get("sec-fetch-dest") == "empty"
    if done.status_code == SEE_OTHER and is_of_script:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return done


async def _page(
    request: Request,
    site: AppContext,
    actor: Actor,
    extension: str,
    feed: LiveFeed,
    *,
    wrong: str = "",
    is_helped: bool = False,
) -> Response:
    async with unit_of_work(site.engine) as connection:
        reasons = await list_entries(connection, ListKind.PAUSE_REASON)
        in_browser = (await consultants.find(connection, extension)).in_browser
    reader = OwnCallReader(site.engine, commands_of(request), actor, extension)
    now = await feed.poll()
    own = find_own(now.figures, extension)
    call = await reader.read(is_rung=own is not None and own.group == RUNG)
    response = page(
        request,
        "workspace/workspace.html",
        name_of=name_of,
        status=400 if wrong else 200,
        view=make_view(now, extension, actor.name, call, site.settings.wrap_up_limit),
        **_labels(site.words[language_of(request)], await read_form(site.engine)),
        reasons=[each for each in reasons if each.active],
        wrong=wrong,
        is_helped=is_helped,
        emergency=EMERGENCY_SERVICES,
        in_browser=in_browser,
    )
    if in_browser:
        allow_softphone(site.settings, response)
    return response


async def events(
    site: AppContext,
    feed: LiveFeed,
    presence: PresenceService,
    commands: CommandClient,
    actor: Actor,
    extension: str,
    language: str,
) -> AsyncGenerator[str, None]:
    """The parts as HTML when they differ from those sent last, else a heartbeat."""
    words = site.words[language]
    labels = _labels(words, await read_form(site.engine))
    template = site.templates.get_template("workspace/parts.html")
    reader = OwnCallReader(site.engine, commands, actor, extension)
    offers = WrittenOffers(site.engine, site.settings, actor, extension)
    limit = site.settings.wrap_up_limit
    call, shown = OwnCall(), None
    doing: tuple[str | None, str | None] | None = None
    reported_at = polled_at = sent_at = shown_at = float("-inf")
    async with aclosing(offers), aclosing(feed.listen()) as readings:
        async for reading in readings:
            now = time.monotonic()
            if now - reported_at >= PAGE_OPEN_INTERVAL:
                await _report_page_open(presence, extension)
                reported_at = now
            own = find_own(reading.figures, extension)
            # What is shown of a call is of the call that the consultant has by now.
            before, doing = doing, (reading.holders.get(extension), own.group if own else None)
            is_rung = own is not None and own.group == RUNG
            # The keys of a caller who cannot speak are words, who is called in danger joins at
            # once, and what may be done with a conversation is wanted from its beginning: they
            # come with every reading.
            awaits_state = call.place is not None and call.state is None and not is_rung
            is_urgent = (
                call.is_silent or call.is_in_danger or call.awaits_third_party or awaits_state
            )
            is_urgent = is_urgent and not call.is_over
            interval = 0 if is_urgent else CALL_POLLING_INTERVAL
            is_wrap_up = own is not None and own.group == WRAP_UP
            is_due = (is_wrap_up or not call.is_settled) and now - polled_at >= interval
            if doing != before or is_due:
                call = await reader.read(is_rung=is_rung)
                polled_at = time.monotonic()
            if is_wrap_up and call.is_unsaved:
                await _hold_wrap_up(presence, reading, extension, limit)
            view = make_view(reading, extension, actor.name, call, limit)
            offers.follow(view)
            is_own = shown is None or view.is_other_for_its_consultant(shown)
            if view != shown and (is_own or now - shown_at >= FIGURES_INTERVAL):
                yield template.render(_=words, view=view, **labels)
                shown, shown_at = view, time.monotonic()
            elif now - sent_at >= HEARTBEAT_INTERVAL:
                yield UNCHANGED
            else:
                continue
            sent_at = time.monotonic()


def _labels(words: Translator, form: RecordForm) -> dict[str, Any]:
    """Labels for the templates of the workspace."""
    return {
        "say_record": RecordLabels(words, form),
        "say": WallboardLabels(words),
        "say_appeal": AppealLabels(words),
        "kinds": KINDS,
        "stages": STAGES,
    }


async def _hold_wrap_up(
    presence: PresenceService, reading: LiveSnapshot, extension: str, limit: float
) -> None:
    """Put the end of wrap-up off a little, within the limit: no call over an unsaved record."""
    _, left = reading.wrap_up_of(extension) or (None, HELD)
    if left >= HELD:
        return
    try:
        await presence.prolong_wrap_up(extension, HELD - left, limit)
    except IllegalPresenceChange:  # it has ended meanwhile
        return
    except DistributorUnavailable as exc:
        log.error("wrap-up over an unsaved record not held, consultant %s: %s", extension, exc)


async def _report_page_open(presence: PresenceService, extension: str) -> None:
    try:
        await presence.report_page_open(extension)
    except DistributorUnavailable as exc:
        log.error("report of the open page failed, consultant %s: %s", extension, exc)
