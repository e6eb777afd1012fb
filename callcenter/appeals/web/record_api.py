"""JSON API of records of appeals, below /api/v1.

A change names by If-Match the version that was read (its ETag). From an older one it is refused
(412), with what others changed since: look at it, and send it again on top.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Concatenate, Literal, ParamSpec
from uuid import UUID

from fastapi import APIRouter, Depends, Header
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import Response

from callcenter.appeals.contact.ways import RECEIPT_PRINT, RECEIPT_SMS
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.followup.sections import LetterEntry
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record import manual_intake, service, store
from callcenter.appeals.rules.channels import ContactChannel
from callcenter.appeals.rules.new_contacts import NewContact
from callcenter.appeals.rules.states import AppealKind, AppealState, Disposition, moves_from
from callcenter.appeals.web import record_details
from callcenter.appeals.web.downloads import receipt_file
from callcenter.appeals.web.record_keys import record_keys
from callcenter.appeals.web.search_api import Appeal
from callcenter.platform.core.errors import InvalidRequest, PreconditionRequired
from callcenter.platform.identity.actor import Actor
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.idempotency import CurrentOnce, IdempotentRequest

router = APIRouter(tags=["records"], dependencies=[requires(AppealPermission.EDIT_APPEALS)])

_ETAG = re.compile(r'"?(0|[1-9][0-9]{0,8})"?')

Typed = dict[str, str | list[str] | None]
Given = ParamSpec("Given")


class OpenedRecord(BaseModel):
    """An appeal that was opened."""

    number: str = Field(description="ten or eleven digits, the last one checks the others")


class RecordStatus(BaseModel):
    """The status of a record; its content is read with the record."""

    number: str
    version: int = Field(description="give it in If-Match when you change it; 0: nothing is saved")
    kind: AppealKind | None
    stage: AppealState
    owner: str | None = Field(description="name of the user who answers for it")
    disposition: Disposition | None = Field(description="which it was, of what had no request")
    registered_on: date | None
    registered_by: str | None
    forward_due_on: date | None = Field(description="until when it is taken or passed on")
    due_on: date | None = Field(description="the last day of the term that runs")
    due_article: str | None
    notice_due_on: date | None = Field(description="until when to tell of an extension")
    letter_due_on: date | None = Field(description="the earliest answer that a letter waits for")
    extended: bool
    danger_passed_at: datetime | None


class Change(BaseModel):
    """A value before and after a change."""

    before: str | list[str] | None
    after: str | list[str] | None


class HistoryEntry(BaseModel):
    """A change of the content or of a letter, or a step."""

    at: datetime
    author: str
    changes: dict[str, Change]
    before: AppealState | None
    after: AppealState | None
    reason: str
    letter: UUID | None = Field(description="of which letter (see `letters`) it is a change")


class Draft(BaseModel):
    """Your unsaved input on top of a version of the record; it is not validated."""

    version: Annotated[int, Field(ge=0, lt=2**31)]
    content: dict[str, str | list[str]]


class StoredDraft(Draft):
    """A stored draft, and when it was stored."""

    saved_at: datetime


class Reminder(BaseModel):
    """A reminder that is not done."""

    id: UUID
    user: str
    due_at: datetime
    about: str


class Record(RecordStatus):
    """A record with the fields that you may see."""

    channel: str
    language: Literal["kk", "ru"] | None
    received_at: datetime
    content: dict[str, str | list[str]] = Field(
        description="by the code of the field (/api/v1/fields), of a person after who it is: "
        "`applicant.name`, `affected1.age`. `region` and `district` are codes of КАТО"
    )
    moves: list[AppealState] = Field(description="where it can go from here")
    draft: StoredDraft | None
    history: list[HistoryEntry] = Field(description="the newest first")
    earlier: list[Appeal] = Field(description="others of the same person, ten at most")
    part_of: str | None = Field(description="number of the appeal that it was split off from")
    parts: list[str] = Field(description="numbers of what was split off from it")
    joined_to: str | None = Field(description="number of the appeal that it goes on in")
    joined: list[str] = Field(description="numbers of those that go on in it")
    reminders: list[Reminder] = Field(description="the next due first")


class NewAppeal(BaseModel):
    """An appeal that came otherwise than by telephone."""

    channel: ContactChannel
    language: Literal["kk", "ru"]
    received_at: AwareDatetime = Field(description="when it came, not in the future")
    phone: Annotated[str, Field(max_length=40, pattern=NO_NUL)] = ""


class Changes(BaseModel):
    """Fields to change; null empties one, and what is not here stays as it is."""

    kind: AppealKind | None = None
    content: Typed = {}


class Receipt(BaseModel):
    """The receipt (талон), in the applicant's language.

    Its lines in writing are null where the applicant asked for nothing in writing.
    """

    number: str
    received_at: datetime | None
    registered_on: date | None
    accepted_by: str | None
    due_on: date | None = Field(description="also null: it is answered, and no term runs")
    article: str | None
    code: str | None = Field(description="proves, with the number, whose appeal it is")
    language: Literal["kk", "ru"]
    not_printed: str = Field(description="why its lines are null; empty: they are here")
    sms: str = Field(description="empty: the applicant asked not to get text messages")
    spoken: str = Field(description="to be read out: digits one by one")


#: What the printed receipt has beside the number.
WRITTEN_LINES = ("received_at", "registered_on", "accepted_by", "due_on", "article", "code")


def seen_version(
    if_match: Annotated[
        str | None, Header(max_length=20, description="the ETag of the record that you read")
    ] = None,
) -> int:
    """The version in If-Match. Raises PreconditionRequired, InvalidRequest."""
    if if_match is None:
        raise PreconditionRequired
    found = _ETAG.fullmatch(if_match)
    if found is None:
        raise InvalidRequest("If-Match is the ETag of one version, as it came with the record")
    return int(found[1])


Seen = Annotated[int, Depends(seen_version)]


@dataclass(frozen=True, slots=True)
class TransitionRequest:
    """An action on a record from the version that was read, once per Idempotency-Key."""

    site: AppContext
    actor: Actor
    once: IdempotentRequest
    number: str
    seen: int
    response: Response

    @property
    def scope(self) -> tuple[AsyncEngine, RecordKeys, Actor, str]:
        """The first arguments of services of records."""
        return self.site.engine, record_keys(self.site), self.actor, self.number

    async def __call__(
        self,
        call: Callable[
            Concatenate[AsyncEngine, RecordKeys, Actor, str, int, Given], Awaitable[store.Record]
        ],
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> RecordStatus:
        """The status of the record after the call, with its version as the ETag."""

        async def done() -> RecordStatus:
            record = await call(*self.scope, self.seen, *args, **kwargs)
            return record_status(self.number, record)

        now = await self.once(RecordStatus, done)
        self.response.headers["ETag"] = f'"{now.version}"'
        return now


def step(
    site: CurrentSite,
    actor: CurrentActor,
    once: CurrentOnce,
    number: str,
    seen: Seen,
    response: Response,
) -> TransitionRequest:
    """`TransitionRequest` of this request."""
    return TransitionRequest(site, actor, once, number, seen, response)


CurrentStep = Annotated[TransitionRequest, Depends(step)]


@router.post("/api/v1/appeals", status_code=201)
async def open_appeal(
    site: CurrentSite, actor: CurrentActor, once: CurrentOnce, response: Response, new: NewAppeal
) -> OpenedRecord:
    """Open the appeal of a contact without a call. Its record is empty."""

    async def call() -> OpenedRecord:
        contact = NewContact(new.channel, new.language, new.received_at, new.phone)
        number = await manual_intake.register_contact(site.engine, actor, contact)
        return OpenedRecord(number=number)

    opened = await once(OpenedRecord, call)
    response.headers["Location"] = f"/api/v1/appeals/{opened.number}/record"
    return opened


@router.get("/api/v1/appeals/{number}/record")
async def read_record(
    site: CurrentSite, actor: CurrentActor, response: Response, number: str
) -> Record:
    """Read a record with its history and your draft, with an entry in the audit log."""
    read = await record_details.read_details(site, actor, number, with_history=True)
    opened = read.opened
    response.headers["ETag"] = f'"{opened.record.version}"'
    return Record(
        **record_status(number, opened.record).model_dump(),
        channel=opened.row.channel,
        language=opened.row.language,
        received_at=opened.row.received_at,
        content=opened.visible,
        moves=list(moves_from(opened.record.stage)),
        draft=opened.draft and StoredDraft.model_validate(opened.draft, from_attributes=True),
        history=[
            _history_entry(each)
            for each in read.history
            if each.entry is None or isinstance(each.entry, LetterEntry)
        ],
        earlier=[Appeal.model_validate(each, from_attributes=True) for each in read.earlier],
        part_of=read.related.part_of,
        parts=list(read.related.parts),
        joined_to=read.related.joined_to,
        joined=list(read.related.joined),
        reminders=[Reminder.model_validate(each, from_attributes=True) for each in read.reminders],
    )


@router.patch("/api/v1/appeals/{number}/record")
async def change_record(step: CurrentStep, changes: Changes) -> RecordStatus:
    """Change fields of a record, and delete your draft.

    Refused with 412, it says `version`, `theirs` (what others changed since, by field, `before`
    and `after`) and `both` (fields that you change too): send it again on top of that version.
    """
    kind = changes.kind if "kind" in changes.model_fields_set else ...
    return await step(service.change, changes.content, kind)


@router.put("/api/v1/appeals/{number}/record/draft")
async def keep_draft(
    site: CurrentSite, actor: CurrentActor, number: str, draft: Draft
) -> StoredDraft:
    """Store your unsaved input, so that no crash loses it; only you see it."""
    saved_at = await service.save_draft(
        site.engine, record_keys(site), actor, number, draft.version, draft.content
    )
    return StoredDraft(version=draft.version, content=draft.content, saved_at=saved_at)


@router.delete("/api/v1/appeals/{number}/record/draft", status_code=204)
async def discard_draft(site: CurrentSite, actor: CurrentActor, number: str) -> None:
    """Delete your draft; there may be none."""
    await service.discard_draft(site.engine, actor, number)


@router.get("/api/v1/appeals/{number}/receipt")
async def read_receipt(site: CurrentSite, actor: CurrentActor, number: str) -> Receipt:
    """Issue the receipt of a registered appeal, with an entry in the audit log.

    Where the applicant asked for nothing in writing it is read out: a senior, with a reason, hands
    it over on the page.
    """
    issued = await record_details.issue_receipt(site, actor, number)
    given, not_printed = issued.receipt, issued.refusal(RECEIPT_PRINT)
    return Receipt.model_validate(
        {each: None if not_printed else getattr(given, each) for each in WRITTEN_LINES}
        | {
            "number": given.number,
            "language": given.language,
            "sms": "" if issued.refusal(RECEIPT_SMS) else given.sms(),
            "spoken": given.spoken(),
            "not_printed": not_printed or "",
        }
    )


@router.get(
    "/api/v1/appeals/{number}/receipt.pdf",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}},
)
async def read_receipt_pdf(site: CurrentSite, actor: CurrentActor, number: str) -> Response:
    """Issue the receipt as PDF, with an entry in the audit log, if it may be had in writing."""
    issued = await record_details.issue_receipt(site, actor, number, only=RECEIPT_PRINT)
    return await receipt_file(issued.receipt)


def record_status(number: str, record: store.Record) -> RecordStatus:
    """The status of a record by the number of its appeal."""
    values = {name: getattr(record, name) for name in RecordStatus.model_fields if name != "number"}
    return RecordStatus(number=number, **values)


def _history_entry(call: record_details.HistoryEntry) -> HistoryEntry:
    letter = call.entry if isinstance(call.entry, LetterEntry) else None
    differences = call.differences if letter is None else letter.differences
    return HistoryEntry(
        at=call.at,
        author=call.author,
        changes={
            key: Change(before=each.before, after=each.after) for key, each in differences.items()
        },
        before=call.before,
        after=call.after,
        reason=call.reason,
        letter=None if letter is None else letter.letter_id,
    )
