"""Pages of a record: its form, its transitions and its receipt."""

from datetime import date, datetime
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from callcenter.appeals.contact.service import REASON_LIMIT
from callcenter.appeals.contact.ways import RECEIPT_PRINT, RECEIPT_SMS
from callcenter.appeals.followup import reminders
from callcenter.appeals.form import service as form_service
from callcenter.appeals.labels import STAGES, RecordLabels
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record import assignment, manual_intake
from callcenter.appeals.record import service as record_service
from callcenter.appeals.record.store import Record
from callcenter.appeals.rules.fields import WITHIN, Section, Value, people_of
from callcenter.appeals.rules.risk import proposes_urgency
from callcenter.appeals.rules.states import AppealKind, AppealState, Disposition
from callcenter.appeals.search import similar
from callcenter.appeals.web import record_details
from callcenter.appeals.web.appeal_view import PanelState, panel, visible_questions
from callcenter.appeals.web.downloads import receipt_file
from callcenter.appeals.web.record_actions import CurrentRecord
from callcenter.appeals.web.record_details import IssuedReceipt
from callcenter.appeals.web.record_keys import record_keys
from callcenter.platform.core.errors import InvalidRequest, NotFound
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.actor import Actor
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite, language_of
from callcenter.platform.web.page_actions import run_action
from callcenter.platform.web.templating import page

CONTENT_PREFIX = "f."  # how the names of a form's fields begin that are the record's content

router = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.EDIT_APPEALS)])
overriding = APIRouter(
    include_in_schema=False, dependencies=[requires(AppealPermission.OVERRIDE_WISH)]
)
assigning = APIRouter(
    include_in_schema=False, dependencies=[requires(AppealPermission.ASSIGN_APPEALS)]
)
extending = APIRouter(
    include_in_schema=False, dependencies=[requires(AppealPermission.EXTEND_TERMS)]
)


async def read_content(request: Request) -> dict[str, Value]:
    """The values of the form's fields, as they were typed."""
    content: dict[str, Value] = {}
    form = await request.form()
    for name in form:
        if name.startswith(CONTENT_PREFIX):
            # A box that is not ticked sends nothing, so an empty value goes before each.
            values = [value for value in form.getlist(name) if value and isinstance(value, str)]
            content[name.removeprefix(CONTENT_PREFIX)] = (
                values if len(values) > 1 else "".join(values)
            )
    return content


EnteredContent = Annotated[dict[str, Value], Depends(read_content)]
Version = Annotated[int, Form(ge=0)]
Reason = Annotated[str, Field(max_length=2000)]


class ReasonForm(BaseModel):
    """A step on top of the version that was seen, in words."""

    version: Annotated[int, Field(ge=0)]
    reason: Reason = ""


class MoveForm(ReasonForm):
    """A step to another stage."""

    after: AppealState


class ExtensionForm(ReasonForm):
    """An extension of the term of the answer."""

    until: date


class AssignmentForm(ReasonForm):
    """The person who answers for the appeal from now on."""

    owner: Annotated[str, Field(max_length=40)]


class MergeForm(ReasonForm):
    """The appeal that this one goes on in."""

    into: Annotated[str, Field(max_length=20)]


class SplitForm(BaseModel):
    """Keys of the fields that the new part gets."""

    version: Annotated[int, Field(ge=0)]
    key: list[str]


class ReminderForm(BaseModel):
    """A reminder; a time without an offset is that of the center."""

    at: datetime
    about: Reason = ""


@router.get("/appeals/{number}/panel")
async def show_panel(
    request: Request, site: CurrentSite, actor: CurrentActor, number: str
) -> Response:
    """The working part of an appeal alone, with the saved record or this person's draft."""
    return await panel(request, site, actor, number)


@router.post("/appeals/{number}/record")
async def save(
    record: CurrentRecord,
    version: Version,
    content: EnteredContent,
    kind: Annotated[AppealKind | None, Form()] = None,
    after: Annotated[AppealState | None, Form()] = None,
    reason: Annotated[Reason, Form()] = "",
) -> Response:
    """Save a record, then take the appeal to the stage `after` if one is chosen.

    Wrong values, edit conflicts and what the stage lacks are shown on its form.
    """
    meant = (await form_service.read_form(record.site.engine)).resolve_names(content)

    async def go_on(saved: Record) -> Response:
        if after is None:
            return await record.finish(record.number)
        return await record.run(record_service.move(*record.scope, saved.version, after, reason))

    return await run_action(
        record_service.save(*record.scope, version, kind, meant),
        go_on,
        lambda refusal: record.show(PanelState(typed=content, kind=kind, refusal=refusal)),
    )


@router.post("/appeals/{number}/record/draft")
async def draft(
    site: CurrentSite, actor: CurrentActor, number: str, version: Version, content: EnteredContent
) -> JSONResponse:
    """Store a draft; the page sends it every few seconds."""
    saved_at = await record_service.save_draft(
        site.engine, record_keys(site), actor, number, version, content
    )
    return JSONResponse({"kept": f"{saved_at.astimezone(ZONE):%H:%M:%S}"})


@router.post("/appeals/{number}/record/draft/discard")
async def discard_draft(record: CurrentRecord) -> Response:
    """Delete this person's draft."""
    call = record_service.discard_draft(record.site.engine, record.actor, record.number)
    return await record.run(call)


@router.post("/appeals/{number}/record/similar")
async def alike(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    number: str,
    content: EnteredContent,
    kind: Annotated[AppealKind | None, Form()] = None,
) -> Response:
    """A fragment of the page: similar appeals to what is being typed, and what it proposes."""
    found = await similar.similar(site.engine, record_keys(site), actor, number, content)
    form = await form_service.read_form(site.engine)
    return page(
        request,
        "appeals/similar.html",
        found=found,
        stages=STAGES,
        proposes_urgency=proposes_urgency(form, kind, content),
    )


@router.get("/answers/{code}")
async def list_answers(request: Request, site: CurrentSite, code: str) -> Response:
    """A fragment of the panel: answers of a question that has hundreds."""
    form = await form_service.read_form(site.engine)
    field = form_service.find_field(form, Section.APPEAL, code)
    say = RecordLabels(site.words[language_of(request)], form)
    return page(request, "appeals/answers.html", key=code, field=field, say=say, WITHIN=WITHIN)


@router.get("/questions/{person}")
async def list_questions(
    request: Request, site: CurrentSite, actor: CurrentActor, person: str
) -> Response:
    """A fragment of the panel: the questions about a person of whom nothing is written yet."""
    if people_of([f"{person}.name"]) != [person]:
        raise NotFound("a record has no such person")
    form = await form_service.read_form(site.engine)
    visible = visible_questions(form, record_service.guards_of(actor))
    return page(
        request,
        "appeals/person_questions.html",
        person=person,
        questions=[each for each in visible if each.section is Section.PERSON],
        say=RecordLabels(site.words[language_of(request)], form),
        WITHIN=WITHIN,
    )


@router.post("/appeals/{number}/record/move")
async def move(record: CurrentRecord, form: Annotated[MoveForm, Form()]) -> Response:
    """Take the appeal to another stage as it is saved; the page says what it lacks for that."""
    call = record_service.move(*record.scope, form.version, form.after, form.reason)
    return await record.run(call)


@router.post("/appeals/{number}/record/no-request")
async def no_request(
    record: CurrentRecord, version: Version, disposition: Annotated[Disposition, Form()]
) -> Response:
    """Close an appeal without a request in one step, keeping which it was."""
    call = record_service.close_without_request(*record.scope, version, disposition)
    return await record.run(call)


@extending.post("/appeals/{number}/record/extend")
async def extend(record: CurrentRecord, form: Annotated[ExtensionForm, Form()]) -> Response:
    """Extend the term of the answer."""
    call = record_service.extend(*record.scope, form.version, form.until, form.reason)
    return await record.run(call)


@assigning.post("/appeals/{number}/record/assign")
async def assign(record: CurrentRecord, form: Annotated[AssignmentForm, Form()]) -> Response:
    """Give the appeal to somebody."""
    call = assignment.assign(*record.scope, form.version, form.owner, form.reason)
    return await record.run(call, place="assign")


@router.post("/appeals/{number}/record/notice")
async def confirm_notice(record: CurrentRecord, form: Annotated[ReasonForm, Form()]) -> Response:
    """Note that the applicant was notified of the extension."""
    call = record_service.confirm_extension_notice(*record.scope, form.version, form.reason)
    return await record.run(call)


@router.post("/appeals/{number}/record/danger")
async def report_danger(record: CurrentRecord, form: Annotated[ReasonForm, Form()]) -> Response:
    """Note that a service that can help at once was notified."""
    call = record_service.mark_danger_reported(*record.scope, form.version, form.reason)
    return await record.run(call)


@router.post("/appeals/{number}/record/remind")
async def remind(record: CurrentRecord, form: Annotated[ReminderForm, Form()]) -> Response:
    """Set a reminder of the appeal for this person."""
    at = form.at.replace(tzinfo=form.at.tzinfo or ZONE)
    call = reminders.remind(*record.scope, at, form.about)
    return await record.run(call, place="reminders")


@router.post("/appeals/{number}/reminders/{reminder_id}/done")
async def close_reminder(record: CurrentRecord, reminder_id: UUID) -> Response:
    """Mark a reminder as done."""
    call = reminders.finish(record.site.engine, record.actor, record.number, reminder_id)
    return await record.run(call, place="reminders")


@router.post("/appeals/{number}/record/split")
async def split(record: CurrentRecord, form: Annotated[SplitForm, Form()]) -> Response:
    """Split a part of it off as an appeal of its own, and go to that."""
    call = manual_intake.split(*record.scope, form.version, form.key)
    return await record.run(call, str)


@router.post("/appeals/{number}/record/join")
async def join(record: CurrentRecord, form: Annotated[MergeForm, Form()]) -> Response:
    """Merge it into another appeal; an unknown number is refused beside it."""
    call = manual_intake.merge(*record.scope, form.version, form.into, form.reason)
    return await record.run(call, lambda _: form.into, place="join")


@router.get("/appeals/{number}/receipt")
async def receipt(
    request: Request, site: CurrentSite, actor: CurrentActor, number: str
) -> Response:
    """Show the receipt, to be printed or read out, in the applicant's language."""
    return _receipt(request, site, await record_details.issue_receipt(site, actor, number))


@overriding.post("/appeals/{number}/receipt")
async def receipt_despite_wish(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    number: str,
    reason: Annotated[str, Form(max_length=REASON_LIMIT)],
) -> Response:
    """Show the receipt with the text message that the applicant did not want."""

    async def show_text(issued: IssuedReceipt) -> Response:
        return _receipt(request, site, issued)

    return await run_action(
        record_details.issue_receipt(site, actor, number, only=RECEIPT_SMS, despite=reason),
        show_text,
        partial(_show_receipt_again, request, site, actor, number),
    )


async def _show_receipt_again(
    request: Request, site: AppContext, actor: Actor, number: str, refusal: InvalidRequest
) -> Response:
    issued = await record_details.issue_receipt(site, actor, number, is_given=False)
    return _receipt(request, site, issued, refusal)


def _receipt(
    request: Request,
    site: AppContext,
    issued: IssuedReceipt,
    refusal: InvalidRequest | None = None,
) -> Response:
    # All of the page is in the applicant's language: it may be turned towards them.
    words = site.words[issued.receipt.language]
    return page(
        request,
        "appeals/receipt.html",
        status=200 if refusal is None else 400,
        problem=None if refusal is None else str(refusal),
        receipt=issued.receipt,
        words=words,
        not_texted=issued.refusal(RECEIPT_SMS),
        not_printed=issued.refusal(RECEIPT_PRINT),
    )


@router.get("/appeals/{number}/receipt.pdf")
async def receipt_pdf(site: CurrentSite, actor: CurrentActor, number: str) -> Response:
    """Download the receipt as PDF."""
    issued = await record_details.issue_receipt(site, actor, number, only=RECEIPT_PRINT)
    return await receipt_file(issued.receipt)


@overriding.post("/appeals/{number}/receipt.pdf")
async def receipt_pdf_despite_wish(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    number: str,
    reason: Annotated[str, Form(max_length=REASON_LIMIT)],
) -> Response:
    """Download the receipt that the applicant did not want in writing."""

    async def send(issued: IssuedReceipt) -> Response:
        return await receipt_file(issued.receipt)

    return await run_action(
        record_details.issue_receipt(site, actor, number, only=RECEIPT_PRINT, despite=reason),
        send,
        partial(_show_receipt_again, request, site, actor, number),
    )
