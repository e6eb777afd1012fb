"""The section of an appeal that says who is competent, and notes that the caller was told."""

from typing import Annotated

from fastapi import APIRouter, Form, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.web.record_actions import CurrentRecord
from callcenter.bodies import referrals
from callcenter.bodies.competence_pages import MatterForm
from callcenter.bodies.pages import labels_for
from callcenter.bodies.permissions import BodyPermission
from callcenter.bodies.queries import view_directory
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentSite
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.templating import page

FOUND_LIMIT = 10  # bodies that are found by typing

router = APIRouter(include_in_schema=False, dependencies=[requires(BodyPermission.VIEW_BODIES)])
referring = APIRouter(
    include_in_schema=False, dependencies=[requires(AppealPermission.EDIT_APPEALS)]
)


class AppealMatterForm(MatterForm):
    """The matter of an appeal, or words to find a body by, and in which language to answer."""

    number: Annotated[str, Field(max_length=20, pattern="^[0-9]+$")]
    language: Annotated[str, Field(max_length=2)] = ""
    q: Annotated[str, Field(max_length=200)] = ""


@router.get("/competence/answers")
async def answers(
    request: Request, site: CurrentSite, form: Annotated[AppealMatterForm, Query()]
) -> Response:
    """A fragment of the panel of an appeal: who is competent, with what to read out."""
    view = await view_directory(site.engine)
    return page(
        request,
        "bodies/answers.html",
        say=labels_for(request, site, view),
        view=view,
        answers=form.competences(view),
        found=view.directory.find(form.q)[:FOUND_LIMIT] if form.q.strip() else None,
        number=form.number,
        reading=labels_for(request, site, view, referrals.callers_language(form.language)),
    )


@referring.post("/appeals/{number}/referrals")
async def refer(
    record: CurrentRecord,
    body: Annotated[str, Form(max_length=40, pattern=NO_NUL)],
    contact: Annotated[str, Form(max_length=40, pattern=NO_NUL)] = "",
) -> Response:
    """Note that the body was named to the caller."""
    site = record.site
    call = referrals.refer(site.engine, record.actor, record.number, body, contact, site.words)
    return await record.run(call, place="bodies")
