"""Pages of requests to state bodies: beginning, composing with a preview, files, steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from callcenter.appeals.followup import attachments
from callcenter.appeals.labels import FILES, RecordLabels
from callcenter.appeals.rules.filetypes import TYPES
from callcenter.appeals.web.record_keys import record_keys
from callcenter.bodies.labels import BodyLabels
from callcenter.bodies.referrals import callers_language
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.errors import N_, InvalidRequest, NotFound, VersionConflict
from callcenter.platform.core.working_calendar import YearNotEntered
from callcenter.platform.identity.actor import Actor
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite, language_of
from callcenter.platform.web.errors import status_of
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.page_actions import action
from callcenter.platform.web.templating import page
from callcenter.requests.labels import FINDINGS, REQUEST_STATES, REQUEST_STEPS
from callcenter.requests.notice_text import compose_notice
from callcenter.requests.permissions import RequestPermission
from callcenter.requests.rules.allowed_fields import is_allowed
from callcenter.requests.rules.composition import REASON_LIMIT, WORDS_LIMIT, RequestDraft
from callcenter.requests.rules.states import (
    NOTICES,
    WITH_BODY,
    RequestState,
    RequestStep,
    StepFacts,
    steps_from,
)
from callcenter.requests.service import RequestService

router = APIRouter(
    include_in_schema=False, dependencies=[requires(RequestPermission.MAKE_REQUESTS)]
)

Code = Annotated[str, Field(max_length=40, pattern=NO_NUL)]
Text = Annotated[str, Field(max_length=20_000, pattern=NO_NUL)]
Version = Annotated[int, Form(ge=1, lt=2**31)]


CHANGED_MEANWHILE = N_(
    "Nothing was stored: it was changed meanwhile. Compare what you typed with the preview below."
)
#: Each has a form of its own; the others are what a body says.
OF_THE_CENTER = frozenset({RequestStep.READIED, RequestStep.RETURNED, RequestStep.SENT, *NOTICES})


class NewRequestForm(BaseModel):
    """A request that is begun: the body, the direction of point 10, and its language."""

    body: Code = ""
    direction: Code = ""
    language: Code = ""


class RequestStepForm(BaseModel):
    """A step as it is typed; the day is that of the body's number."""

    version: Annotated[int, Field(ge=1, lt=2**31)]
    step: RequestStep
    reason: Text = ""
    reference: Annotated[str, Field(max_length=200, pattern=NO_NUL)] = ""
    dated: date | Literal[""] = ""
    competent: Code = ""

    @property
    def facts(self) -> StepFacts:
        return StepFacts(self.reason, self.reference, self.dated or None, self.competent)


@dataclass(frozen=True, slots=True)
class ComposedForm:
    """The choice of words, fields and findings, as it is typed; all reasons are in it."""

    words: str
    fields: frozenset[str]
    reasons: Mapping[str, str]
    cleared: frozenset[str]

    @classmethod
    async def of_request(cls, request: Request) -> "ComposedForm":
        """The form that was sent."""
        sent = await request.form()
        keys, reasons = (map(str, sent.getlist(name)) for name in ("key", "reason"))
        return cls(
            str(sent.get("words", "")),
            frozenset(map(str, sent.getlist("field"))),
            dict(zip(keys, reasons, strict=False)),
            frozenset(map(str, sent.getlist("cleared"))),
        )

    @classmethod
    def of_draft(cls, draft: RequestDraft) -> "ComposedForm":
        """The form of what is stored."""
        cleared = frozenset(each.key for each in draft.cleared)
        return cls(draft.words, frozenset(draft.fields), draft.fields, cleared)

    @property
    def chosen(self) -> dict[str, str]:
        """The chosen fields, each with its reason."""
        return {key: self.reasons.get(key, "") for key in self.fields}


@dataclass(frozen=True)
class RequestPage:
    """The page of one request, as one person asks for it."""

    request: Request
    site: CurrentSite
    actor: CurrentActor
    number: str
    request_id: UUID

    @property
    def service(self) -> RequestService:
        return service_of(self.site)

    @property
    def scope(self) -> tuple[Actor, str, UUID]:
        """The first arguments of the actions on a request."""
        return self.actor, self.number, self.request_id

    @property
    def path(self) -> str:
        return f"/appeals/{self.number}/requests/{self.request_id}"

    async def show(
        self, refusal: InvalidRequest | None = None, typed: ComposedForm | None = None
    ) -> Response:
        """The request as it is, with a refusal and what was typed."""
        view = await self.service.view(*self.scope)
        stage, words = view.request.state, self.site.words
        language, of_applicant = language_of(self.request), callers_language(view.row.language)
        notice = (
            compose_notice(words[of_applicant], self.number, view.body, view.request, view.at)
            if not view.has_appeal_ended and (view.request.is_notice_due or stage in WITH_BODY)
            else None
        )
        return page(
            self.request,
            "requests/request.html",
            status=200 if refusal is None else status_of(refusal),
            say=RecordLabels(words[language], view.form),
            say_body=BodyLabels(words[language], view.form, view.at.date()),
            notice=notice,
            notice_language=of_applicant,
            mask=mask,
            view=view,
            path=self.path,
            states=REQUEST_STATES,
            steps=REQUEST_STEPS,
            finding_kinds=FINDINGS,
            file_states=FILES,
            composed=typed or ComposedForm.of_draft(view.request.draft),
            is_composed=stage is RequestState.DRAFTED,
            noted=[each for each in steps_from(stage) if each not in OF_THE_CENTER],
            allowed=[key for key in view.content if is_allowed(view.request.direction, key)],
            fault=_fault(refusal),
            year_not_entered=refusal.year if isinstance(refusal, YearNotEntered) else None,
            limits={"reason": REASON_LIMIT, "words": WORDS_LIMIT},
        )


CurrentPage = Annotated[RequestPage, Depends()]


def service_of(site: CurrentSite) -> RequestService:
    """The service of requests of this site."""
    return RequestService(site.engine, record_keys(site), site.words, site.settings)


@router.get("/appeals/{number}/requests")
async def new_form(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    number: str,
    form: Annotated[NewRequestForm, Query()],
) -> Response:
    """The form of a new request: the competent bodies first."""
    return await _new(request, site, actor, number, form)


@router.post("/appeals/{number}/requests")
async def begin(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    number: str,
    form: Annotated[NewRequestForm, Form()],
) -> Response:
    """Begin an empty request, and go to it."""
    return await action(
        service_of(site).begin(actor, number, **form.model_dump()),
        lambda identity: f"/appeals/{number}/requests/{identity}",
        lambda refusal: _new(request, site, actor, number, form, refusal),
    )


@router.get("/appeals/{number}/requests/{request_id}")
async def request_page(shown: CurrentPage) -> Response:
    """One request: what was chosen, the preview, and its steps."""
    return await shown.show()


@router.post("/appeals/{number}/requests/{request_id}")
async def compose(shown: CurrentPage, version: Version) -> Response:
    """Store what was chosen, and show the preview of it."""
    typed = await ComposedForm.of_request(shown.request)
    call = shown.service.compose(
        *shown.scope, version, words=typed.words, reasons=typed.chosen, cleared=typed.cleared
    )
    return await action(call, f"{shown.path}#preview", lambda refusal: shown.show(refusal, typed))


@router.post("/appeals/{number}/requests/{request_id}/files/{attachment_id}")
async def release_file(
    shown: CurrentPage,
    attachment_id: UUID,
    version: Version,
    reason: Annotated[str, Form(max_length=2000, pattern=NO_NUL)] = "",
) -> Response:
    """Release one file, for a reason."""
    call = shown.service.release_file(*shown.scope, version, attachment_id, reason)
    return await action(call, f"{shown.path}#files", shown.show)


@router.post("/appeals/{number}/requests/{request_id}/files/{attachment_id}/out")
async def take_out_file(shown: CurrentPage, attachment_id: UUID, version: Version) -> Response:
    """Take a file out again."""
    call = shown.service.take_out_file(*shown.scope, version, attachment_id)
    return await action(call, f"{shown.path}#files", shown.show)


@router.post("/appeals/{number}/requests/{request_id}/ready")
async def make_ready(
    shown: CurrentPage, version: Version, sha256: Annotated[str, Form(max_length=64)]
) -> Response:
    """Make the request ready as it was previewed."""
    call = shown.service.make_ready(*shown.scope, version, sha256)
    return await action(call, shown.path, shown.show)


@router.post("/appeals/{number}/requests/{request_id}/steps")
async def take_step(shown: CurrentPage, form: Annotated[RequestStepForm, Form()]) -> Response:
    """Note a step: handed over by hand, or what the body said."""
    call = shown.service.take_step(*shown.scope, form.version, form.step, form.facts)
    return await action(call, shown.path, shown.show)


@router.get("/appeals/{number}/requests/{request_id}/text")
async def text(shown: CurrentPage) -> Response:
    """The text as it leaves, byte for byte; audited."""
    content = (await shown.service.take_text(*shown.scope)).encode()
    headers = {"Content-Disposition": f'attachment; filename="{shown.number}.txt"'}
    return Response(content, media_type=TYPES["txt"], headers=headers)


@router.get("/appeals/{number}/requests/{request_id}/released/{file_name}")
async def released(shown: CurrentPage, file_name: str) -> Response:
    """A released file as it leaves, byte for byte; audited."""
    file, number = await shown.service.take_file(*shown.scope, file_name)
    site = shown.site
    stored, content = await attachments.read(
        site.engine, record_keys(site), site.settings, shown.actor, number, file.id
    )
    if stored.sha256 != file.sha256:
        raise NotFound("this file is another one by now")
    headers = {
        "Content-Disposition": f'attachment; filename="{file.name}"',
        "Content-Security-Policy": "sandbox",
    }
    return Response(content, media_type=TYPES[stored.type], headers=headers)


def _fault(refusal: InvalidRequest | None) -> str | None:
    """The words for a refusal."""
    if isinstance(refusal, VersionConflict):
        return CHANGED_MEANWHILE
    return None if refusal is None else str(refusal)


async def _new(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    number: str,
    form: NewRequestForm,
    refusal: InvalidRequest | None = None,
) -> Response:
    choice = await service_of(site).choose_body(actor, number)
    return page(
        request,
        "requests/new.html",
        status=200 if refusal is None else status_of(refusal),
        say=RecordLabels(site.words[language_of(request)], choice.form),
        choice=choice,
        values=form,
        fault=_fault(refusal),
    )
