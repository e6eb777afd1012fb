"""Letters and requests on the page of a record: entering and correcting them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from pydantic import Field
from starlette.responses import Response

from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.web.letter_requests import CurrentLetters, NewLetter
from callcenter.appeals.web.record_actions import CurrentRecord
from callcenter.platform.web.authorization import requires

router = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.SEE_PERSONAL)])


class LetterCorrection(NewLetter):
    """A corrected letter, and the version that it is made from."""

    version: Annotated[int, Field(ge=1, lt=2**31)]


@router.post("/appeals/{number}/letters")
async def add(
    letters: CurrentLetters, record: CurrentRecord, written: Annotated[NewLetter, Form()]
) -> Response:
    """Enter a letter, and go to the letters."""
    call = letters.add(record.actor, record.number, written.letter, written.despite_wish)
    return await record.run(call, place="letters")


@router.post("/appeals/{number}/letters/{letter_id}")
async def change(
    letters: CurrentLetters,
    record: CurrentRecord,
    letter_id: UUID,
    corrected: Annotated[LetterCorrection, Form()],
) -> Response:
    """Correct a letter, and go to the letters."""
    version, letter = corrected.version, corrected.letter
    call = letters.change(
        record.actor, record.number, letter_id, version, letter, corrected.despite_wish
    )
    return await record.run(call, place="letters")
