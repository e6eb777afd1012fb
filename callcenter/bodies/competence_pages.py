"""The page of competence: who is competent and why, what is covered, and what is not."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from callcenter.bodies.pages import Code, labels_for
from callcenter.bodies.permissions import BodyPermission
from callcenter.bodies.queries import DirectoryView, view_directory
from callcenter.bodies.rules.competence import (
    Competence,
    coverage_table,
    find_competence,
    list_holes,
    matters_of,
    topics_without_body,
)
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentSite
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.templating import page

router = APIRouter(include_in_schema=False, dependencies=[requires(BodyPermission.VIEW_BODIES)])

Name = Annotated[str, Field(max_length=300, pattern=NO_NUL)]


class MatterForm(BaseModel):
    """The matter of an appeal, as the form of its record has it; a district by code or name."""

    topics: Annotated[list[Code], Field(alias="f.topics")] = []
    direction: Annotated[list[Code], Field(alias="f.direction")] = []
    region: Annotated[Code, Field(alias="f.region")] = ""
    district: Annotated[Name, Field(alias="f.district")] = ""

    def competences(self, view: DirectoryView) -> list[Competence]:
        """Competence in each topic and direction."""
        place = view.form.resolve_names({"region": self.region, "district": self.district})
        district = view.form.option("district", place["district"])
        matters = matters_of(
            view.form,
            list(dict.fromkeys(self.topics)),
            list(dict.fromkeys(self.direction)),
            district.parent if district else self.region,
            district.code if district else "",
        )
        return [find_competence(view.directory, view.form, each, view.at) for each in matters]


@router.get("/competence")
async def competence(
    request: Request, site: CurrentSite, form: Annotated[MatterForm, Query()]
) -> Response:
    """The competent bodies of a matter; below them all directions by region, and the holes."""
    view = await view_directory(site.engine)
    table = coverage_table(view.directory, view.form, view.at)
    return page(
        request,
        "bodies/competence.html",
        say=labels_for(request, site, view),
        view=view,
        form=form,
        answers=form.competences(view),
        directions=[each for each in view.form.options("direction") if each.active],
        table=table,
        holes=list_holes(table),
        topics=topics_without_body(view.directory, view.form, view.at),
        reading=None,
    )
