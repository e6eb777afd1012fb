"""Records of appeals in JSON, below /api/v1: opened, read and changed as by the pages.

Who changes a record says by If-Match which version was read (its ETag). Made from an older one the
change is refused (412), with what others changed since: look at it, and send it again on top.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Concatenate, Literal, ParamSpec
from uuid import UUID

from fastapi import APIRouter, Depends, Header
from pydantic import AwareDatetime, BaseModel, Field
from starlette.responses import Response

from callcenter.errors import AskedWrongly
from callcenter.register import handling, opening, reading, store
from callcenter.register import receipt as receipts
from callcenter.register.lists_api import Appeal
from callcenter.register.opening import Channel
from callcenter.register.receipt_pdf import printed
from callcenter.register.stages import Kind, Stage, moves_from
from callcenter.web.access import needs
from callcenter.web.errors import VersionNeeded
from callcenter.web.once import CurrentOnce, Once
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit, Site, Visit

router = APIRouter(tags=["records"], dependencies=[needs(Permission.EDIT_APPEALS)])

_ETAG = re.compile(r'"?(0|[1-9][0-9]{0,8})"?')

Typed = dict[str, str | list[str] | None]
Given = ParamSpec("Given")


class Opened(BaseModel):
    """An appeal that was opened."""

    number: str = Field(description="ten digits, the last one checks the others")


class Standing(BaseModel):
    """How a record stands; its content is read with the record."""

    number: str
    version: int = Field(description="give it in If-Match when you change it; 0: nothing is saved")
    kind: Kind | None
    stage: Stage
    owner: str | None = Field(description="name of the user who answers for it")
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
    """What a value was and became."""

    before: str | list[str] | None
    after: str | list[str] | None


class Deed(BaseModel):
    """A change of the content or of a letter, or a step."""

    at: datetime
    author: str
    changes: dict[str, Change]
    before: Stage | None
    after: Stage | None
    reason: str
    letter: UUID | None = Field(description="of which letter (see `letters`) it is a change")


class Draft(BaseModel):
    """What you typed and did not save, on top of a version of the record; it is not checked."""

    version: Annotated[int, Field(ge=0, lt=2**31)]
    content: dict[str, str | list[str]]


class KeptDraft(Draft):
    """When it was kept."""

    saved_at: datetime


class Reminder(BaseModel):
    """Of what somebody wants to be reminded, and is not done."""

    id: UUID
    user: str
    due_at: datetime
    about: str


class Record(Standing):
    """A record as you see it."""

    channel: str
    language: Literal["kk", "ru"] | None
    received_at: datetime
    content: dict[str, str | list[str]] = Field(
        description="by the code of the field (/api/v1/fields), of a person after who it is: "
        "`applicant.name`, `affected1.age`. `region` and `district` are codes of КАТО"
    )
    moves: list[Stage] = Field(description="where it can go from here")
    draft: KeptDraft | None
    history: list[Deed] = Field(description="the newest first")
    earlier: list[Appeal] = Field(description="others of the same person, ten at most")
    part_of: str | None = Field(description="number of the appeal that it was split off from")
    parts: list[str] = Field(description="numbers of what was split off from it")
    joined_to: str | None = Field(description="number of the appeal that it goes on in")
    joined: list[str] = Field(description="numbers of those that go on in it")
    reminders: list[Reminder] = Field(description="the next due first")


class NewAppeal(BaseModel):
    """An appeal that came otherwise than by telephone."""

    channel: Channel
    language: Literal["kk", "ru"]
    received_at: AwareDatetime = Field(description="when it came, not in the future")
    phone: Annotated[str, Field(max_length=40, pattern=r"^[^\x00]*$")] = ""


class Changes(BaseModel):
    """Fields to change; null empties one, and what is not here stays as it is."""

    kind: Kind | None = None
    content: Typed = {}


class Receipt(BaseModel):
    """The receipt (талон), in the applicant's language."""

    number: str
    received_at: datetime
    registered_on: date
    accepted_by: str
    due_on: date | None = Field(description="none: it is answered, and no term runs")
    article: str
    code: str = Field(description="proves, with the number, whose appeal it is")
    language: Literal["kk", "ru"]
    sms: str
    spoken: str = Field(description="to be read out: digits one by one")


def seen_version(
    if_match: Annotated[
        str | None, Header(max_length=20, description="the ETag of the record that you read")
    ] = None,
) -> int:
    """The version that a change is made from. Raises VersionNeeded, AskedWrongly."""
    if if_match is None:
        raise VersionNeeded
    found = _ETAG.fullmatch(if_match)
    if found is None:
        raise AskedWrongly("If-Match is the ETag of one version, as it came with the record")
    return int(found[1])


Seen = Annotated[int, Depends(seen_version)]


@dataclass(frozen=True, slots=True)
class Step:
    """Takes a record further, once for each Idempotency-Key, from the version that was seen."""

    site: Site
    visit: Visit
    once: Once
    number: str
    seen: int
    response: Response

    async def __call__(
        self,
        deed: Callable[Concatenate[Site, Visit, str, int, Given], Awaitable[store.Record]],
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Standing:
        """How the record stands after the deed, with its version as the ETag."""

        async def done() -> Standing:
            record = await deed(self.site, self.visit, self.number, self.seen, *args, **kwargs)
            return standing(self.number, record)

        now = await self.once(Standing, done)
        self.response.headers["ETag"] = f'"{now.version}"'
        return now


def step(
    site: CurrentSite,
    visit: CurrentVisit,
    once: CurrentOnce,
    number: str,
    seen: Seen,
    response: Response,
) -> Step:
    """`Step` for this request: to be called with what is done."""
    return Step(site, visit, once, number, seen, response)


CurrentStep = Annotated[Step, Depends(step)]


@router.post("/api/v1/appeals", status_code=201)
async def open_appeal(
    site: CurrentSite, visit: CurrentVisit, once: CurrentOnce, response: Response, new: NewAppeal
) -> Opened:
    """Open the appeal of a contact that no call of ours opened. Its record is empty."""

    async def deed() -> Opened:
        number = await opening.open_by_hand(
            site,
            visit,
            channel=new.channel,
            language=new.language,
            received_at=new.received_at,
            phone=new.phone,
        )
        return Opened(number=number)

    opened = await once(Opened, deed)
    response.headers["Location"] = f"/api/v1/appeals/{opened.number}/record"
    return opened


@router.get("/api/v1/appeals/{number}/record")
async def read_record(
    site: CurrentSite, visit: CurrentVisit, response: Response, number: str
) -> Record:
    """A record with its history and your draft; that you read it is in the audit log."""
    read = await reading.read(site, visit, number)
    opened = read.opened
    response.headers["ETag"] = f'"{opened.record.version}"'
    return Record(
        **standing(number, opened.record).model_dump(),
        channel=opened.row.channel,
        language=opened.row.language,
        received_at=opened.row.received_at,
        content=opened.visible,
        moves=list(moves_from(opened.record.stage)),
        draft=opened.draft and KeptDraft.model_validate(opened.draft, from_attributes=True),
        history=[_deed(each) for each in read.history],
        earlier=[Appeal.model_validate(each, from_attributes=True) for each in read.earlier],
        part_of=read.related.part_of,
        parts=list(read.related.parts),
        joined_to=read.related.joined_to,
        joined=list(read.related.joined),
        reminders=[Reminder.model_validate(each, from_attributes=True) for each in read.reminders],
    )


@router.patch("/api/v1/appeals/{number}/record")
async def change_record(step: CurrentStep, changes: Changes) -> Standing:
    """Change fields of a record; your draft is done with.

    Refused with 412, it tells `version`, `theirs` (what others changed since, by field, `before`
    and `after`) and `both` (fields that you change too): send it again on top of that version.
    """
    kind = changes.kind if "kind" in changes.model_fields_set else ...
    return await step(handling.change, changes.content, kind)


@router.put("/api/v1/appeals/{number}/record/draft")
async def keep_draft(
    site: CurrentSite, visit: CurrentVisit, number: str, draft: Draft
) -> KeptDraft:
    """Keep what is being typed, so that no crash takes it; only you see it."""
    saved_at = await handling.keep_draft(site, visit, number, draft.version, draft.content)
    return KeptDraft(version=draft.version, content=draft.content, saved_at=saved_at)


@router.delete("/api/v1/appeals/{number}/record/draft", status_code=204)
async def discard_draft(site: CurrentSite, visit: CurrentVisit, number: str) -> None:
    """Let go what you typed and did not save; there may be nothing."""
    await handling.discard_draft(site, visit, number)


@router.get("/api/v1/appeals/{number}/receipt")
async def read_receipt(site: CurrentSite, visit: CurrentVisit, number: str) -> Receipt:
    """The receipt of a registered appeal; that you gave it is in the audit log."""
    given = await reading.receipt(site, visit, number)
    return Receipt.model_validate(
        {name: getattr(given, name) for name in Receipt.model_fields if name in given.__slots__}
        | {"sms": given.sms(), "spoken": given.spoken()}
    )


@router.get(
    "/api/v1/appeals/{number}/receipt.pdf",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}},
)
async def read_receipt_pdf(site: CurrentSite, visit: CurrentVisit, number: str) -> Response:
    """The receipt to be printed or sent; that you gave it is in the audit log."""
    return await receipt_file(await reading.receipt(site, visit, number))


async def receipt_file(given: receipts.Receipt) -> Response:
    """A receipt as a browser keeps it."""
    made = await asyncio.to_thread(printed, given)
    headers = {"Content-Disposition": f'attachment; filename="{given.number}.pdf"'}
    return Response(made, media_type="application/pdf", headers=headers)


def standing(number: str, record: store.Record) -> Standing:
    """How this record of that appeal stands."""
    values = {name: getattr(record, name) for name in Standing.model_fields if name != "number"}
    return Standing(number=number, **values)


def _deed(deed: reading.Deed) -> Deed:
    return Deed(
        at=deed.at,
        author=deed.author,
        changes={
            key: Change(before=each.before, after=each.after)
            for key, each in deed.differences.items()
        },
        before=deed.before,
        after=deed.after,
        reason=deed.reason,
        letter=deed.letter,
    )
