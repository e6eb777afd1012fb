"""API of the status of an appeal for a visitor with a proof, as of the portal (R13)."""

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from callcenter.appeals.labels import STAGES
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.rules.number import parse
from callcenter.appeals.rules.states import AppealState
from callcenter.appeals.status.service import tell_status
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite

router = APIRouter(tags=["status"])


class StatusQuery(BaseModel):
    """A query of a visitor with a proof; attempts are limited."""

    number: Annotated[str, Field(max_length=20, description="as it is on the receipt")]
    proof: Annotated[
        str,
        Field(
            pattern=r"^[0-9]{4}$",
            description="the code of the receipt, or the last four digits of the telephone number "
            "on the appeal",
        ),
    ]
    language: Literal["kk", "ru"]
    visitor: Annotated[
        str,
        Field(
            min_length=1,
            max_length=200,
            description="who asks you, in a way of your own that stays the same for a day, such "
            "as a hash of the address (of IPv6 the first 64 bits): ten wrong tries a day, two when "
            "all your visitors together made too many",
        ),
    ]


class StatusSource(BaseModel):
    """A state body that has the appeal, and tells of its progress."""

    name: str = Field(description="in the language that was asked for")
    number: str = Field(description="that the body gave the appeal")
    dated: date = Field(description="the day of that number")
    telephone: str | None = Field(description="+7..., or a short number; none: nobody vouches")


class Status(BaseModel):
    """The status of an appeal, or of the one that it was merged into, without content."""

    number: str
    stage: Literal["registered", "in_work", "forwarded", "answered", "closed"]
    stage_name: str = Field(description="the stage in the language that was asked for")
    registered_on: date | None
    due_on: date | None = Field(description="the last day for the answer; none: no term runs")
    sources: list[StatusSource] = Field(
        description="bodies that have it, the latest first: ask there how it goes on. A consultant "
        "names them, and this does not, without the code of the receipt, and of what must not be "
        "known at home: violence, danger, wishes not to be contacted"
    )


@router.post(
    "/api/v1/status",
    dependencies=[requires(AppealPermission.ASK_STATUS)],
    responses={
        404: {"description": "no such appeal, or another proof, or too many tries: never which"},
        429: {"description": "of versions before 0.4: too many wrong tries of all your visitors"},
    },
)
async def ask_status(site: CurrentSite, actor: CurrentActor, query: StatusQuery) -> Status:
    """Look up the status of an appeal by its number and a proof.

    A number with a wrong check digit is refused at once (400), and is no attempt.
    """
    number = parse(query.number)
    status = await tell_status(
        site.engine,
        actor,
        query.visitor,
        number,
        query.proof,
        client_attempt_limit=site.settings.status_tries,
    )
    return Status(
        number=number,
        stage=status.stage,
        stage_name=site.words[query.language].plain(STAGES[AppealState(status.stage)]),
        registered_on=status.registered_on,
        due_on=status.due_on,
        sources=[
            StatusSource(
                name=each.names[query.language],
                number=each.number,
                dated=each.dated,
                telephone=each.telephone,
            )
            for each in status.sources
        ],
    )
