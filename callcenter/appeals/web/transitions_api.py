"""JSON API of transitions of records: moves, terms, splitting and merging."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record import manual_intake, service
from callcenter.appeals.rules.states import AppealState, Disposition
from callcenter.appeals.web.record_api import CurrentStep, OpenedRecord, RecordStatus
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.form_fields import NO_NUL

router = APIRouter(tags=["records"], dependencies=[requires(AppealPermission.EDIT_APPEALS)])
extending = APIRouter(tags=["records"], dependencies=[requires(AppealPermission.EXTEND_TERMS)])

Said = Annotated[str, Field(max_length=2000, pattern=NO_NUL)]


class Move(BaseModel):
    """A move to another stage; some need a reason."""

    after: AppealState
    reason: Said = ""


class Extension(BaseModel):
    """An extension of a term, because facts must be established."""

    until: date
    reason: Said


class Notice(BaseModel):
    """The notice of an extension to the applicant: the way, and when."""

    how: Said


class DangerReported(BaseModel):
    """The body that was notified of danger, and the name of the person on duty."""

    whom: Said


class SplitPart(BaseModel):
    """Keys of the fields that the new part gets."""

    keys: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=500)]


class ClosingWithoutRequest(BaseModel):
    """Which contact without a request it was."""

    disposition: Disposition


class MergeRequest(BaseModel):
    """The target of a merge, and its reason."""

    into: Annotated[str, Field(max_length=20, pattern=NO_NUL)]
    reason: Said


@router.post("/api/v1/appeals/{number}/record/moves")
async def move(step: CurrentStep, to: Move) -> RecordStatus:
    """Move an appeal to another stage; `missing` (400) says what it lacks for that."""
    return await step(service.move, to.after, to.reason)


@router.post("/api/v1/appeals/{number}/record/no-request")
async def close_without_request(step: CurrentStep, closing: ClosingWithoutRequest) -> RecordStatus:
    """Close an appeal without a request in one step, and erase its personal data."""
    return await step(service.close_without_request, closing.disposition)


@extending.post("/api/v1/appeals/{number}/record/extension")
async def extend(step: CurrentStep, extension: Extension) -> RecordStatus:
    """Extend the term of the answer, once."""
    return await step(service.extend, extension.until, extension.reason)


# `name` keeps the id of the operation in the description of the API: clients may be made of it.
@router.post("/api/v1/appeals/{number}/record/extension/notice", name="tell_of_extension")
async def confirm_extension_notice(step: CurrentStep, notice: Notice) -> RecordStatus:
    """Record that the applicant was notified of the extension, until `notice_due_on`."""
    return await step(service.confirm_extension_notice, notice.how)


@router.post("/api/v1/appeals/{number}/record/danger-passed-on", name="pass_danger_on")
async def mark_danger_reported(step: CurrentStep, reported: DangerReported) -> RecordStatus:
    """Record that a service that can help at once was notified of danger."""
    return await step(service.mark_danger_reported, reported.whom)


@router.post("/api/v1/appeals/{number}/record/parts", status_code=201)
async def split(step: CurrentStep, part: SplitPart) -> OpenedRecord:
    """Split these fields off as an appeal of its own."""

    async def call() -> OpenedRecord:
        return OpenedRecord(number=await manual_intake.split(*step.scope, step.seen, part.keys))

    opened = await step.once(OpenedRecord, call)
    step.response.headers["Location"] = f"/api/v1/appeals/{opened.number}/record"
    return opened


@router.post("/api/v1/appeals/{number}/record/join")
async def join(step: CurrentStep, joining: MergeRequest) -> RecordStatus:
    """Merge it into another appeal; the answer is the status of this one."""
    return await step(manual_intake.merge, joining.into, joining.reason)
