"""Requests about letters of an appeal, shared by pages and API."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Depends
from pydantic import BaseModel, Field

from callcenter.appeals.contact.service import REASON_LIMIT
from callcenter.appeals.followup.correspondence import LetterService
from callcenter.appeals.rules.letters import (
    LENGTH_LIMITS,
    Direction,
    Letter,
    LetterKind,
    LetterParty,
)
from callcenter.appeals.web.record_keys import record_keys
from callcenter.platform.web.context import CurrentSite
from callcenter.platform.web.form_fields import NO_NUL


def letter_service(site: CurrentSite) -> LetterService:
    """`LetterService` of this site."""
    return LetterService(site.engine, record_keys(site))


CurrentLetters = Annotated[LetterService, Depends(letter_service)]


class LetterContent(BaseModel):
    """A letter or request, as it is entered and shown."""

    direction: Direction
    kind: LetterKind
    party: LetterParty = Field(description="with whom; authority: the authorised body, of R17")
    whom: Annotated[str, Field(max_length=LENGTH_LIMITS["whom"], pattern=NO_NUL)] = Field(
        description="the body or person"
    )
    number: Annotated[str, Field(max_length=LENGTH_LIMITS["number"], pattern=NO_NUL)] = Field(
        description="as it stands on it"
    )
    dated: date = Field(description="the day that stands on it")
    about: Annotated[str, Field(max_length=LENGTH_LIMITS["about"], pattern=NO_NUL)]
    answer_due_on: date | None = Field(
        None, description="until when an answer is wanted; what is no working day becomes the next"
    )
    answers: UUID | None = Field(None, description="the letter of this appeal that it answers")
    scan: UUID | None = Field(None, description="a file of this appeal")

    @property
    def letter(self) -> Letter:
        """The letter of the domain."""
        return Letter(**{name: getattr(self, name) for name in Letter.__slots__})


class NewLetter(LetterContent):
    """A letter or request to enter."""

    despite_wish: Annotated[str, Field(max_length=REASON_LIMIT, pattern=NO_NUL)] = Field(
        "", description="a senior's reason to write to an applicant who asked for no letters"
    )
