"""Forms of urgent notifications in the panel of an appeal, and whom one press calls."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from callcenter.appeals.web.record_actions import CurrentRecord
from callcenter.appeals.web.record_keys import record_keys
from callcenter.bodies.competence_pages import MatterForm
from callcenter.bodies.pages import labels_for
from callcenter.bodies.queries import view_directory
from callcenter.platform.core.settings import Settings
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentSite
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.templating import page
from callcenter.telephony.acd.dependencies import CurrentCommands
from callcenter.telephony.outbound.rules import NumberPolicy
from callcenter.urgent_notifications.permissions import NotificationPermission
from callcenter.urgent_notifications.rules.numbers import (
    MayCall,
    choose_bodies,
    list_callable,
    list_numbers,
)
from callcenter.urgent_notifications.rules.states import NotificationFacts, NotificationStep
from callcenter.urgent_notifications.service import NextPress, NotificationService

FOUND_LIMIT = 10  # bodies that are found by typing
PLACE = "urgent-notifications"  #: anchor of the section

router = APIRouter(
    include_in_schema=False, dependencies=[requires(NotificationPermission.NOTIFY_BODIES)]
)

Text = Annotated[str, Field(max_length=4000, pattern=NO_NUL)]
Line = Annotated[str, Field(max_length=400, pattern=NO_NUL)]


class ChoiceForm(MatterForm):
    """The matter of an appeal as it is typed, or words to find a body by."""

    number: Annotated[str, Field(max_length=20, pattern="^[0-9]+$")]
    q: Annotated[str, Field(max_length=200)] = ""


class NotificationStepForm(BaseModel):
    """A step as it is typed."""

    step: NotificationStep
    name: Line = ""
    post: Line = ""
    reason: Text = ""


def number_policy(settings: Settings) -> MayCall:
    """Whether the line calls a number, by the center's list."""
    policy = NumberPolicy(
        settings.numbers_allowed, settings.numbers_refused, settings.called_numbers
    )
    return policy.allows


def service_of(record: CurrentRecord, commands: CurrentCommands) -> NotificationService:
    """The service of urgent notifications of this site."""
    site = record.site
    return NotificationService(
        site.engine, record_keys(site), commands, number_policy(site.settings)
    )


@router.get("/urgent-notifications/choice")
async def choice(
    request: Request, site: CurrentSite, form: Annotated[ChoiceForm, Query()]
) -> Response:
    """A fragment of the panel of an appeal: the bodies that one press calls."""
    view, may_call = await view_directory(site.engine), number_policy(site.settings)
    typed = form.q.strip()
    found = [
        each
        for each in (view.directory.find(typed) if typed else ())
        if each.is_in_force(view.today)
    ]
    bodies = (
        list_callable(view.directory, found, view.at, may_call)[:FOUND_LIMIT]
        if typed
        else choose_bodies(view.directory, form.competences(view), view.at, may_call)
    )
    return page(
        request,
        "urgent_notifications/choice.html",
        say=labels_for(request, site, view),
        number=form.number,
        choices=[(body, list_numbers(body, view.at, may_call)) for body in bodies],
        silent=[each for each in found if not list_numbers(each, view.at, may_call)][:FOUND_LIMIT],
        is_found=bool(typed),
    )


@router.post("/appeals/{number}/urgent-notifications")
async def notify(
    record: CurrentRecord,
    commands: CurrentCommands,
    body: Annotated[str, Form(max_length=40, pattern=NO_NUL)],
) -> Response:
    """Notify a body urgently: your telephone calls it."""
    call = service_of(record, commands).notify(record.actor, record.number, body)
    return await record.run(call, place=PLACE)


@router.post("/appeals/{number}/urgent-notifications/{notification_id}/next")
async def call_next(
    record: CurrentRecord,
    commands: CurrentCommands,
    notification_id: UUID,
    attempts: Annotated[int, Form(ge=0)],
    reason: Annotated[str, Form(max_length=4000, pattern=NO_NUL)] = "",
    wrong_number: Annotated[str | None, Form(max_length=20, pattern=NO_NUL)] = None,
) -> Response:
    """Note that it was not taken, and call the next number."""
    call = service_of(record, commands).call_next(
        record.actor, record.number, notification_id, NextPress(attempts, reason, wrong_number)
    )
    return await record.run(call, place=PLACE)


@router.post("/appeals/{number}/urgent-notifications/{notification_id}/steps")
async def take_step(
    record: CurrentRecord,
    commands: CurrentCommands,
    notification_id: UUID,
    form: Annotated[NotificationStepForm, Form()],
) -> Response:
    """Note who took it, or what came of it."""
    call = service_of(record, commands).take_step(
        record.actor,
        record.number,
        notification_id,
        form.step,
        NotificationFacts(form.reason, form.name, form.post),
    )
    return await record.run(call, place=PLACE)
