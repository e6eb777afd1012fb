"""Pages of the presets of ordinary consultations; and filling one in on a record."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from callcenter.appeals.form import presets, service
from callcenter.appeals.form.presets import FIELDS
from callcenter.appeals.form.presets_store import Preset
from callcenter.appeals.labels import KINDS, RecordLabels
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record import service as record_service
from callcenter.appeals.rules.fields import WITHIN, Section, WrongContent
from callcenter.appeals.rules.states import AppealKind
from callcenter.appeals.web.appeal_view import PanelState
from callcenter.appeals.web.record_actions import CurrentRecord
from callcenter.appeals.web.record_pages import EnteredContent, Version
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite, language_of
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.page_actions import action
from callcenter.platform.web.templating import page

router = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.EDIT_FORM)])
filling = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.EDIT_APPEALS)])

Name = Annotated[str, Field(max_length=100, pattern=NO_NUL)]


class PresetForm(BaseModel):
    """Names, kind and use of a preset; its answers are those of the form's fields."""

    kk: Name
    ru: Name
    en: Name
    kind: AppealKind
    active: bool = False

    @property
    def names(self) -> tuple[str, str, str]:
        """The names in three languages."""
        return self.kk, self.ru, self.en


@router.get("/presets")
async def list_presets(request: Request, site: CurrentSite) -> Response:
    """Show all presets, and the form of a new one."""
    return await _page(request, site)


@router.post("/presets")
async def add(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    content: EnteredContent,
    form: Annotated[PresetForm, Form()],
) -> Response:
    """Add a preset; a refusal is shown beside its form."""

    async def show(refusal: InvalidRequest) -> Response:
        return await _page(request, site, refusal=refusal)

    call = presets.put(site.engine, actor, form.names, form.kind, content)
    return await action(call, "/presets", show, reraise=())


@router.get("/presets/{preset_id}")
async def preset(request: Request, site: CurrentSite, preset_id: UUID) -> Response:
    """Show one preset, to change it."""
    return await _page(request, site, await presets.read(site.engine, preset_id))


@router.post("/presets/{preset_id}")
async def change(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    preset_id: UUID,
    content: EnteredContent,
    form: Annotated[PresetForm, Form()],
) -> Response:
    """Change a preset, or put it out of use."""

    async def show(refusal: InvalidRequest) -> Response:
        shown = await presets.read(site.engine, preset_id)
        return await _page(request, site, shown, refusal=refusal)

    call = presets.put(
        site.engine,
        actor,
        form.names,
        form.kind,
        content,
        preset_id=preset_id,
        active=form.active,
    )
    return await action(call, "/presets", show)


@filling.post("/appeals/{number}/record/preset")
async def fill(
    record: CurrentRecord,
    version: Version,
    content: EnteredContent,
    preset_id: Annotated[UUID, Form()],
) -> Response:
    """Fill a preset in where nothing was typed; it is a draft until it is saved."""
    chosen = await presets.read(record.site.engine, preset_id)
    filled = presets.fill(chosen, content)
    await record_service.save_draft(*record.scope, version, filled)
    return await record.show(PanelState(typed=filled, kind=chosen.kind))


async def _page(
    request: Request,
    site: AppContext,
    shown: Preset | None = None,
    refusal: InvalidRequest | None = None,
) -> Response:
    form = await service.read_form(site.engine)
    questions = {(each.section, each.code): each for each in form.fields}
    return page(
        request,
        "appeals/presets.html",
        status=400 if refusal else 200,
        say=RecordLabels(site.words[language_of(request)], form),
        presets=await presets.read_all(site.engine),
        shown=shown,
        questions=[questions[Section.APPEAL, code] for code in FIELDS],
        content=shown.answers if shown else {},
        kinds={each: KINDS[each] for each in KINDS if each is not AppealKind.NO_REQUEST},
        refusal=str(refusal) if refusal else "",
        faults=refusal.faults if isinstance(refusal, WrongContent) else {},
        WITHIN=WITHIN,
    )
