"""Wallboard pages of supervisors: live figures, alerts, one consultant, the queue."""

from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from callcenter.consultants import state_history
from callcenter.consultants.dependencies import CurrentPresenceService
from callcenter.consultants.permissions import ConsultantPermission
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.redis_script import LanguageNotSpoken, NotFree, NotOnRoster, NotWaiting
from callcenter.consultants.rules.states import IllegalPresenceChange, PresenceState
from callcenter.consultants.service import force_state
from callcenter.platform.core.errors import N_, InvalidRequest, NotFound
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite, language_of
from callcenter.platform.web.page_actions import action, run_action
from callcenter.platform.web.sse import EventStream
from callcenter.platform.web.templating import page
from callcenter.telephony.acd.command_bus import NoActiveCall
from callcenter.telephony.acd.dependencies import CurrentCommands
from callcenter.telephony.acd.rules.call_commands import Answer, CommandRefused, SupervisionMode
from callcenter.wallboard import join_call, queue_actions
from callcenter.wallboard.alert_actions import (
    AlertNotOpen,
    acknowledge_alert,
    list_acknowledged,
    list_open_alerts,
    take_alert,
)
from callcenter.wallboard.dependencies import (
    AlertGroupId,
    CurrentFeed,
    CurrentQueueControl,
    ReasonText,
    Seen,
)
from callcenter.wallboard.join_call import (
    OtherTeam,
    OwnConversation,
    SupervisorBusy,
    SupervisorHasNoPhone,
)
from callcenter.wallboard.labels import WallboardLabels
from callcenter.wallboard.live_feed import LiveFeed, LiveSnapshot
from callcenter.wallboard.permissions import WallboardPermission

#: Refusals in the words of the pages; the first that fits counts.
REFUSED: tuple[tuple[type[InvalidRequest], str], ...] = (
    (
        SupervisorHasNoPhone,
        N_("You have no telephone here: ask the administrator to link you with one."),
    ),
    (SupervisorBusy, N_("You are in a call yourself.")),
    (OwnConversation, N_("This is your own conversation.")),
    (OtherTeam, N_("This consultant is of another team, whose conversations you may not hear.")),
    (NoActiveCall, N_("This consultant is not with a caller now.")),
    (CommandRefused, N_("Not now: the conversation is over, or another supervisor is with it.")),
    (NotWaiting, N_("This caller does not wait any more.")),
    (LanguageNotSpoken, N_("This consultant does not speak the language of the caller.")),
    (NotFree, N_("This consultant cannot take a call now.")),
    (IllegalPresenceChange, N_("This consultant cannot be sent there from where they are now.")),
    (NotOnRoster, N_("There is no such consultant.")),
    (AlertNotOpen, N_("Somebody has acknowledged this alarm already.")),
    (InvalidRequest, N_("Nothing was changed: fill in the form again.")),
)

router = APIRouter(include_in_schema=False)


class PresenceForm(BaseModel):
    """The form to force a consultant's state."""

    state: Literal["paused", "signed_out"]
    reason: Annotated[str, Field(max_length=40)] = ""


class SupervisionForm(BaseModel):
    """The form to join a conversation."""

    mode: SupervisionMode
    reason: ReasonText


class QueuePauseForm(BaseModel):
    """The form to pause a queue."""

    queue: Annotated[str, Field(max_length=10)]
    minutes: Annotated[float, Field(gt=0, le=60)]
    reason: ReasonText


@router.get("/live", dependencies=[requires(WallboardPermission.VIEW_LIVE)])
async def live(
    request: Request, site: CurrentSite, actor: CurrentActor, feed: CurrentFeed
) -> Response:
    """The figures now; a script updates them, without one the page reloads itself."""
    say = WallboardLabels(site.words[language_of(request)])
    reading = await feed.poll()
    board = reading.board if actor.may(WallboardPermission.DIRECT) else None
    return page(
        request,
        "wallboard/live.html",
        say=say,
        figures=reading.figures,
        board=board,
        role=actor.grantee,
    )


@router.get("/live/events", dependencies=[requires(WallboardPermission.VIEW_LIVE)])
async def live_events(
    request: Request, site: CurrentSite, actor: CurrentActor, feed: CurrentFeed
) -> EventStream:
    """The changing part of the page, in the visitor's language, as often as it is read."""
    return EventStream(_events(site, feed, "board", language_of(request), actor))


async def _events(
    site: AppContext, feed: LiveFeed, part: str, language: str, actor: Actor
) -> AsyncGenerator[str, None]:
    words = site.words[language]
    may_direct, role = actor.may(WallboardPermission.DIRECT), actor.grantee
    template = site.templates.get_template(f"wallboard/{part}.html")

    def render(reading: LiveSnapshot) -> str:
        board = reading.board if may_direct else None
        say = WallboardLabels(words)
        return template.render(_=words, say=say, figures=reading.figures, board=board, role=role)

    async with aclosing(feed.listen()) as readings:
        async for reading in readings:
            yield reading.render(f"{part} {language} {role}", render)


@router.get("/live/alarms", dependencies=[requires(WallboardPermission.ACKNOWLEDGE_ALERTS)])
async def alerts(request: Request, site: CurrentSite, actor: CurrentActor) -> Response:
    """The open alerts, to be acknowledged, and who acknowledged which in the last day."""
    return await _alerts(request, site, actor)


@router.post(
    "/live/alarms/acknowledge", dependencies=[requires(WallboardPermission.ACKNOWLEDGE_ALERTS)]
)
async def acknowledge(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    group_id: AlertGroupId,
    seen: Seen,
) -> Response:
    """Acknowledge the alerts of a group."""
    acting = acknowledge_alert(site.engine, site.redis, actor, group_id, seen)
    return await _act(request, site, actor, acting)


@router.post("/live/alarms/take", dependencies=[requires(WallboardPermission.ACKNOWLEDGE_ALERTS)])
async def take(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    group_id: AlertGroupId,
    seen: Seen,
) -> Response:
    """Say that one sees to the alerts of a group."""
    acting = take_alert(site.engine, site.redis, actor, group_id, seen)
    return await _act(request, site, actor, acting)


async def _act(
    request: Request, site: AppContext, actor: Actor, acting: Awaitable[object]
) -> Response:
    """Back to the alerts, or the alerts with what was refused. Raises Forbidden."""
    return await action(
        acting,
        "/live/alarms",
        lambda refusal: _alerts(request, site, actor, refused=refusal),
        reraise=(),
    )


async def _alerts(
    request: Request, site: AppContext, actor: Actor, *, refused: InvalidRequest | None = None
) -> Response:
    opened = await list_open_alerts(site.redis)
    async with unit_of_work(site.engine) as connection:
        acknowledged = await list_acknowledged(connection, datetime.now(UTC))
    return page(
        request,
        "wallboard/alerts.html",
        status=409 if refused else 200,
        say=WallboardLabels(site.words[language_of(request)]),
        alerts=opened,
        acknowledged=acknowledged,
        role=actor.grantee,
        refused=_words_of(refused),
    )


@router.get(
    "/live/consultants/{extension}", dependencies=[requires(ConsultantPermission.SUPERVISE)]
)
async def consultant(
    request: Request, site: CurrentSite, feed: CurrentFeed, extension: str
) -> Response:
    """One consultant: presence, conversation, and the supervisor's actions."""
    return await _consultant(request, site, feed, extension)


@router.post(
    "/live/consultants/{extension}/duty", dependencies=[requires(ConsultantPermission.SUPERVISE)]
)
async def change_duty(
    request: Request,
    site: CurrentSite,
    presence: CurrentPresenceService,
    actor: CurrentActor,
    feed: CurrentFeed,
    extension: str,
    form: Annotated[PresenceForm, Form()],
) -> Response:
    """Pause a consultant, or sign one out."""
    state = PresenceState(form.state)
    return await action(
        force_state(site.engine, presence, actor, extension, state, form.reason),
        f"/live/consultants/{extension}",
        lambda refusal: _consultant(request, site, feed, extension, refused=refusal),
    )


@router.post(
    "/live/consultants/{extension}/supervision",
    dependencies=[requires(WallboardPermission.HEAR_CALLS)],
)
async def supervise(
    request: Request,
    site: CurrentSite,
    commands: CurrentCommands,
    actor: CurrentActor,
    feed: CurrentFeed,
    extension: str,
    form: Annotated[SupervisionForm, Form()],
) -> Response:
    """Join the conversation; the page says that one's own telephone rings."""
    presence = PresenceService(site.redis, site.settings)
    return await run_action(
        join_call.supervise(
            site.engine, presence, commands, actor, extension, form.mode, form.reason
        ),
        lambda answer: _consultant(request, site, feed, extension, form=form, answer=answer),
        lambda refusal: _consultant(request, site, feed, extension, refused=refusal),
        reraise=(),
    )


async def _consultant(
    request: Request,
    site: AppContext,
    feed: LiveFeed,
    extension: str,
    *,
    refused: InvalidRequest | None = None,
    form: SupervisionForm | None = None,
    answer: Answer | None = None,
) -> Response:
    try:
        status = await PresenceService(site.redis, site.settings).of(extension)
    except NotOnRoster:
        raise NotFound from None
    async with unit_of_work(site.engine) as connection:
        reasons = await state_history.pause_reasons(connection)
    reading = await feed.poll()
    talks = reading.board.talks if reading.board else ()
    consultants = reading.figures.acd.consultants if reading.figures.acd else ()
    return page(
        request,
        "wallboard/consultant.html",
        status=400 if refused else 200,
        say=WallboardLabels(site.words[language_of(request)]),
        figures=reading.figures,
        presence=status,
        consultant=next((each for each in consultants if each.extension == extension), None),
        talk=next((each for each in talks if each.consultant == extension), None),
        reasons=reasons,
        mode=form.mode if form else None,
        state=answer["state"] if answer else None,
        reason=form.reason if form else "",
        refused=_words_of(refused),
    )


@router.get("/live/queue", dependencies=[requires(WallboardPermission.DIRECT)])
async def queue(request: Request, site: CurrentSite, feed: CurrentFeed, call: str = "") -> Response:
    """The waiting calls, and the supervisor's actions on queues; with `call`, on that call."""
    return await _queue(request, site, feed, chosen=call)


@router.get("/live/queue/events", dependencies=[requires(WallboardPermission.DIRECT)])
async def queue_events(
    request: Request, site: CurrentSite, actor: CurrentActor, feed: CurrentFeed
) -> EventStream:
    """The waiting calls, as often as they are read."""
    return EventStream(_events(site, feed, "waiting", language_of(request), actor))


@router.post("/live/queue/hold", dependencies=[requires(WallboardPermission.DIRECT)])
async def hold_back(
    request: Request,
    site: CurrentSite,
    queues: CurrentQueueControl,
    actor: CurrentActor,
    feed: CurrentFeed,
    form: Annotated[QueuePauseForm, Form()],
) -> Response:
    """Pause a queue for some minutes."""
    return await action(
        queue_actions.pause_queue(
            site.engine, queues, actor, form.queue, form.minutes, form.reason
        ),
        "/live/queue",
        lambda refusal: _queue(request, site, feed, refused=refusal),
    )


@router.post("/live/queue/let-on", dependencies=[requires(WallboardPermission.DIRECT)])
async def let_on(
    request: Request,
    site: CurrentSite,
    queues: CurrentQueueControl,
    actor: CurrentActor,
    feed: CurrentFeed,
    queue: Annotated[str, Form(max_length=10)],
) -> Response:
    """Resume a queue."""
    return await action(
        queue_actions.resume_queue(site.engine, queues, actor, queue),
        "/live/queue",
        lambda refusal: _queue(request, site, feed, refused=refusal),
    )


@router.post("/live/queue/hand-out", dependencies=[requires(WallboardPermission.DIRECT)])
async def hand_out(
    request: Request,
    site: CurrentSite,
    queues: CurrentQueueControl,
    actor: CurrentActor,
    feed: CurrentFeed,
    call: Annotated[str, Form(max_length=100)],
    extension: Annotated[str, Form(max_length=10)],
) -> Response:
    """Assign a waiting call to a consultant now."""
    return await action(
        queue_actions.assign_call(site.engine, queues, actor, call, extension),
        "/live/queue",
        lambda refusal: _queue(request, site, feed, refused=refusal),
    )


async def _queue(
    request: Request,
    site: AppContext,
    feed: LiveFeed,
    *,
    chosen: str = "",
    refused: InvalidRequest | None = None,
) -> Response:
    reading = await feed.poll()
    waiting = reading.board.waiting if reading.board else ()
    consultants = reading.figures.acd.consultants if reading.figures.acd else ()
    return page(
        request,
        "wallboard/queue.html",
        status=400 if refused else 200,
        say=WallboardLabels(site.words[language_of(request)]),
        board=reading.board,
        figures=reading.figures,
        chosen=next((each for each in waiting if each.call == chosen), None),
        takers=[each for each in consultants if each.group in ("free", "wrap_up")],
        refused=_words_of(refused),
    )


def _words_of(refused: InvalidRequest | None) -> str | None:
    if refused is None:
        return None
    return next(words for family, words in REFUSED if isinstance(refused, family))
