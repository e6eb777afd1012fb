"""How an appeal stands, for a machine such as the portal whose visitor proves whose it is (R13)."""

import logging
from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from callcenter.appeals.number import parse
from callcenter.audit.actions import Action
from callcenter.register import progress
from callcenter.register.handling import note
from callcenter.register.stages import Stage
from callcenter.register.wording import STAGES
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.errors import NotFound, TooManyTries
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

log = logging.getLogger(__name__)

router = APIRouter(tags=["status"])


class StatusAsked(BaseModel):
    """Who asks, and the proof: each is counted, and tries are few."""

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
            "as a hash of the address: ten wrong tries a day",
        ),
    ]


class Status(BaseModel):
    """How an appeal stands, or the one that it goes on in. Nothing of what it is about."""

    number: str
    stage: Literal["registered", "in_work", "forwarded", "answered", "closed"]
    stage_name: str = Field(description="the stage in the language that was asked for")
    registered_on: date | None
    due_on: date | None = Field(description="the last day for the answer; none: no term runs")


@router.post(
    "/api/v1/status",
    dependencies=[needs(Permission.ASK_STATUS)],
    responses={
        404: {"description": "no such appeal, or another proof, or too many tries: never which"},
        429: {"description": "too many wrong tries of all your visitors today"},
    },
)
async def ask_status(site: CurrentSite, visit: CurrentVisit, asked: StatusAsked) -> Status:
    """How an appeal stands, for who knows its number and its proof.

    A number whose check digit is wrong is refused at once (400); it is no try.
    """
    number, machine = parse(asked.number), visit.machine or ""
    try:
        async with unit_of_work(site.engine) as connection:
            standing = await progress.told_by_machine(
                connection,
                machine,
                asked.visitor,
                number,
                asked.proof,
                tries_of_machine=site.settings.status_tries,
            )
            if standing is not None:
                await note(connection, visit, Action.STATUS_TOLD, number)
    except TooManyTries:
        log.warning("machine %s has no tries left today to learn how appeals stand", machine)
        raise
    if standing is None:
        raise NotFound("nothing is known by this number and this code, or it was tried too often")
    return Status(
        number=number,
        stage=standing.stage,
        stage_name=site.words[asked.language].plain(STAGES[Stage(standing.stage)]),
        registered_on=standing.registered_on,
        due_on=standing.due_on,
    )
