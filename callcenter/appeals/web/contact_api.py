"""JSON API of what people said about being reached (safe contact), below /api/v1."""

from datetime import UTC, datetime, time
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from callcenter.appeals.contact import sections, service
from callcenter.appeals.contact.rules import EVERY, ContactMeans, ContactWish, make_wish
from callcenter.appeals.contact.service import REASON_LIMIT
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.web.record_keys import record_keys
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.idempotency import CurrentOnce

router = APIRouter(tags=["contact"], dependencies=[requires(AppealPermission.SEE_PERSONAL)])

PERSON = r"^(|applicant|representative|reporter|(affected|accused)[1-9])$"


class NewWish(BaseModel):
    """A wish about being reached, as it is sent; hours limit what is allowed."""

    person: Annotated[str, Field(pattern=PERSON)] = Field(
        "", description="as in the keys of the record; empty: who got in touch"
    )
    number: Annotated[str | None, Field(max_length=40, pattern=NO_NUL)] = Field(
        None,
        description="`caller`, a person with a telephone in the record, or a number; "
        "none: all numbers of the person",
    )
    channel: ContactMeans | None = Field(None, description="none: in any way")
    allowed: bool
    start: time | None = Field(None, description="of hours, in Asia/Almaty")
    end: time | None = None
    reason: Annotated[str, Field(max_length=REASON_LIMIT, pattern=NO_NUL)] = Field(
        "", description="how it is known, for the audit log: needed to take a restriction back"
    )

    @property
    def wish(self) -> ContactWish:
        """The wish of the domain."""
        return make_wish(
            self.person,
            self.number or None,
            self.channel or EVERY,
            allowed=self.allowed,
            at=datetime.now(UTC),
            hours=(self.start, self.end),
        )


class Wish(BaseModel):
    """A wish about being reached: what was said, when, and who heard it."""

    person: str = Field(description="empty: who got in touch")
    number: str | None = Field(description="masked, if you may not see the caller's")
    channel: str | None
    allowed: bool
    start: time | None
    end: time | None
    at: datetime
    author: str = Field(description="`caller`: by a key of the telephone")


class Wishes(BaseModel):
    """All that was said about an appeal, the newest first: of each person the latest counts."""

    wishes: list[Wish]


class RecordedWish(BaseModel):
    """A wish that was recorded."""

    number: str = Field(description="of the appeal")


@router.get("/api/v1/appeals/{number}/contact-wishes")
async def list_wishes(site: CurrentSite, actor: CurrentActor, number: str) -> Wishes:
    """List what was said about being reached, with an entry in the audit log."""
    read = await sections.view_wishes(site.engine, record_keys(site), actor, number)
    return Wishes(wishes=[_model(read, each) for each in read.wishes])


@router.post("/api/v1/appeals/{number}/contact-wishes", status_code=201)
async def record_wish(
    site: CurrentSite, actor: CurrentActor, once: CurrentOnce, number: str, new: NewWish
) -> RecordedWish:
    """Record what a person said about being reached: it binds from now on."""

    async def call() -> RecordedWish:
        await service.record_wish(site.engine, actor, number, new.wish, new.reason)
        return RecordedWish(number=number)

    return await once(RecordedWish, call)


def _model(read: sections.ContactSection, wish: ContactWish) -> Wish:
    return Wish(
        person=wish.person,
        number=wish.number and read.shown(wish.number),
        channel=wish.channel or None,
        allowed=wish.allowed,
        start=wish.hours and wish.hours.start,
        end=wish.hours and wish.hours.end,
        at=wish.at,
        author=wish.author,
    )
