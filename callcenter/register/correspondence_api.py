"""Letters and requests of appeals in JSON, below /api/v1."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from callcenter.appeals import cursor as cursors
from callcenter.audit.actions import Action
from callcenter.register import correspondence, finding, letters_store
from callcenter.register.api import Seen
from callcenter.register.handling import found, note
from callcenter.register.letters import LONGEST, Direction, Kind, Letter, Party
from callcenter.register.lists_api import Limit
from callcenter.register.private import Keys
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.once import CurrentOnce
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(tags=["letters"], dependencies=[needs(Permission.SEE_PERSONAL)])

NO_NUL = r"^[^\x00]*$"


class Written(BaseModel):
    """What a letter or request says."""

    direction: Direction
    kind: Kind
    party: Party = Field(description="with whom; authority: the authorised body, of R17")
    whom: Annotated[str, Field(max_length=LONGEST["whom"], pattern=NO_NUL)] = Field(
        description="the body or person"
    )
    number: Annotated[str, Field(max_length=LONGEST["number"], pattern=NO_NUL)] = Field(
        description="as it stands on it"
    )
    dated: date = Field(description="the day that stands on it")
    about: Annotated[str, Field(max_length=LONGEST["about"], pattern=NO_NUL)]
    answer_due_on: date | None = Field(
        None, description="until when an answer is wanted; what is no working day becomes the next"
    )
    answers: UUID | None = Field(None, description="the letter of this appeal that it answers")
    scan: UUID | None = Field(None, description="a file of this appeal")

    @property
    def letter(self) -> Letter:
        """The same as the register knows it."""
        return Letter(**{name: getattr(self, name) for name in Letter.__slots__})


class Kept(BaseModel):
    """A letter that was entered or changed."""

    id: UUID
    version: int = Field(description="give it in If-Match when you change it")


class OfAppeal(Kept, Written):
    """A letter of an appeal; once personal data were erased, `whom` and `about` are empty."""

    at: datetime = Field(description="when it was entered")
    answered_by: UUID | None = Field(description="the first letter that answers it")


class Letters(BaseModel):
    """A page of letters."""

    letters: list[OfAppeal]
    next: str | None = Field(description="give it as `cursor` for the next page; none at the end")


@router.get("/api/v1/appeals/{number}/letters")
async def list_letters(
    site: CurrentSite,
    visit: CurrentVisit,
    number: str,
    cursor: finding.Cursor = "",
    limit: Limit = finding.PAGE,
) -> Letters:
    """The letters of an appeal, the last entered first; that you read them is in the audit log."""
    after, keys = cursors.read(cursor) if cursor else None, Keys.read(site.settings)
    async with unit_of_work(site.engine) as connection:
        row = await found(connection, number)
        some = await letters_store.of_appeal(connection, keys, row.id, after=after, limit=limit + 1)
        await note(connection, visit, Action.APPEAL_VIEWED, number, by="letters")
    shown = some[:limit]
    following = cursors.write((shown[-1].at, shown[-1].id)) if len(some) > limit else None
    return Letters(letters=[_of_appeal(each) for each in shown], next=following)


@router.post("/api/v1/appeals/{number}/letters", status_code=201)
async def add_letter(
    site: CurrentSite, visit: CurrentVisit, once: CurrentOnce, number: str, new: Written
) -> Kept:
    """Enter a letter of an appeal whose record is saved; the one that is there, if it is the same.

    When the answer that it wants is late, the appeal is on the list `overdue` and alarms.
    """

    async def deed() -> Kept:
        return _known(await correspondence.add(site, visit, number, new.letter))

    return await once(Kept, deed)


@router.put("/api/v1/appeals/{number}/letters/{letter_id}")
async def change_letter(
    site: CurrentSite,
    visit: CurrentVisit,
    once: CurrentOnce,
    number: str,
    letter_id: UUID,
    seen: Seen,
    response: Response,
    changed: Written,
) -> Kept:
    """Put a letter right, whole. Refused with 412 as a change of the record is."""

    async def deed() -> Kept:
        return _known(
            await correspondence.change(site, visit, number, letter_id, seen, changed.letter)
        )

    kept = await once(Kept, deed)
    response.headers["ETag"] = f'"{kept.version}"'
    return kept


def _known(kept: letters_store.Kept) -> Kept:
    return Kept(id=kept.id, version=kept.version)


def _of_appeal(kept: letters_store.Kept) -> OfAppeal:
    letter = {name: getattr(kept.letter, name) for name in Letter.__slots__}
    return OfAppeal(
        id=kept.id, version=kept.version, at=kept.at, answered_by=kept.answered_by, **letter
    )
