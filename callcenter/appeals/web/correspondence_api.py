"""JSON API of letters and requests of appeals, below /api/v1."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record import letters_store
from callcenter.appeals.rules.letters import (
    Letter,
)
from callcenter.appeals.search import service
from callcenter.appeals.web.letter_requests import CurrentLetters, LetterContent, NewLetter
from callcenter.appeals.web.record_api import CurrentStep
from callcenter.appeals.web.search_query import Cursor, Limit
from callcenter.platform.core import pagination as cursors
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor
from callcenter.platform.web.idempotency import CurrentOnce

router = APIRouter(tags=["letters"], dependencies=[requires(AppealPermission.SEE_PERSONAL)])


class StoredLetterModel(BaseModel):
    """A letter that was entered or changed."""

    id: UUID
    version: int = Field(description="give it in If-Match when you change it")


class LetterAppeal(StoredLetterModel, LetterContent):
    """A letter of an appeal; once personal data were erased, `whom` and `about` are empty."""

    at: datetime = Field(description="when it was entered")
    answered_by: UUID | None = Field(description="the first letter that answers it")


class Letters(BaseModel):
    """A page of letters."""

    letters: list[LetterAppeal]
    next: str | None = Field(description="give it as `cursor` for the next page; none at the end")


@router.get("/api/v1/appeals/{number}/letters")
async def list_letters(
    letters: CurrentLetters,
    actor: CurrentActor,
    number: str,
    cursor: Cursor = "",
    limit: Limit = service.PAGE,
) -> Letters:
    """List the letters of an appeal, the latest first, with an entry in the audit log."""
    after = cursors.read(cursor) if cursor else None
    some = await letters.view(actor, number, after, limit + 1)
    shown = some[:limit]
    following = cursors.write((shown[-1].at, shown[-1].id)) if len(some) > limit else None
    return Letters(letters=[_letter_model(each) for each in shown], next=following)


@router.post("/api/v1/appeals/{number}/letters", status_code=201)
async def add_letter(
    letters: CurrentLetters, actor: CurrentActor, once: CurrentOnce, number: str, new: NewLetter
) -> StoredLetterModel:
    """Enter a letter of an appeal whose record is saved; an equal one is entered once.

    When an awaited answer is late, the appeal is on the list `overdue` and raises an alert.
    """

    async def call() -> StoredLetterModel:
        return _stored_model(await letters.add(actor, number, new.letter, new.despite_wish))

    return await once(StoredLetterModel, call)


@router.put("/api/v1/appeals/{number}/letters/{letter_id}")
async def change_letter(
    letters: CurrentLetters, step: CurrentStep, letter_id: UUID, changed: NewLetter
) -> StoredLetterModel:
    """Replace a letter. Refused with 412 as a change of the record is."""

    async def call() -> StoredLetterModel:
        return _stored_model(
            await letters.change(
                step.actor,
                step.number,
                letter_id,
                step.seen,
                changed.letter,
                changed.despite_wish,
            )
        )

    stored = await step.once(StoredLetterModel, call)
    step.response.headers["ETag"] = f'"{stored.version}"'
    return stored


def _stored_model(stored: letters_store.StoredLetter) -> StoredLetterModel:
    return StoredLetterModel(id=stored.id, version=stored.version)


def _letter_model(stored: letters_store.StoredLetter) -> LetterAppeal:
    letter = {name: getattr(stored.letter, name) for name in Letter.__slots__}
    return LetterAppeal(
        id=stored.id, version=stored.version, at=stored.at, answered_by=stored.answered_by, **letter
    )
