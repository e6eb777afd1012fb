"""Rendering of the page of an appeal and of its panel, with refusals at their places."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from callcenter.appeals.calls import queries
from callcenter.appeals.calls.labels import NO_CALLBACK_REASONS, AppealLabels
from callcenter.appeals.labels import DISPOSITIONS, FILES, KINDS, STAGES, STEPS, RecordLabels
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.rules.edit_conflict import EditConflict
from callcenter.appeals.rules.fields import (
    WITHIN,
    AccessRule,
    Field,
    Form,
    Section,
    Value,
    WrongContent,
    people_of,
)
from callcenter.appeals.rules.risk import proposes_urgency
from callcenter.appeals.rules.states import (
    ENDED,
    FORMAL,
    MOVES,
    AppealKind,
    AppealState,
    MissingRequirements,
    moves_from,
)
from callcenter.appeals.web import record_details
from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.core.working_calendar import YearNotEntered
from callcenter.platform.identity.actor import Actor
from callcenter.platform.web.context import AppContext, language_of
from callcenter.platform.web.templating import page

#: Where a refusal is shown; the others are anchors of sections.
PLACES = ("record", "files", "reminders", "join", "assign")
#: Fields of an ordinary consultation, in their order; the panel shows them unfolded.
ORDINARY = (
    "topics",
    "region",
    "content",
    "help",
    "decision",
    "decision_reason",
    "danger",
    "danger_reason",
)
#: Kinds for which a person is needed: their fold is open then.
PEOPLE_OF_KIND = {
    "applicant": [kind.value for kind in FORMAL],
    "affected1": [AppealKind.DANGER.value],
}
#: The field that a missing requirement of a stage is about.
REQUIRED_FIELDS = {
    "its kind": "kind",
    "a kind that is registered (statement or complaint)": "kind",
    "its substance": "content",
    "the kinds of help given": "help",
    "the decision how much help it needs, and why": "decision",
    "what is urgent or dangerous": "danger_reason",
    "who the applicant is (name, and IIN, BIN or address)": "applicant.name",
}


@dataclass(frozen=True, slots=True)
class PanelState:
    """State after an action: the typed content, a refusal and its place, or success."""

    typed: Mapping[str, Value] | None = None
    kind: AppealKind | None = None
    refusal: InvalidRequest | None = None
    place: str = "record"
    is_done: bool = False

    @property
    def status(self) -> int:
        """The HTTP status of what shows it."""
        return 409 if isinstance(self.refusal, EditConflict) else 400 if self.refusal else 200


UNTOUCHED = PanelState()


async def panel(
    request: Request, site: AppContext, actor: Actor, number: str, state: PanelState = UNTOUCHED
) -> Response:
    """Render the panel of an appeal alone, audited. Raises NotFound."""
    read = await record_details.read_details(site, actor, number, with_history=False)
    values = _panel_values(request, site, read, state)
    return page(request, "appeals/panel.html", status=state.status, **values)


async def appeal_page(
    request: Request,
    site: AppContext,
    actor: Actor,
    number: str,
    state: PanelState = UNTOUCHED,
    problem: str | None = None,
    caller_number: str | None = None,
) -> Response:
    """Render the page of an appeal, audited.

    `problem` says why an action on its call was refused, `caller_number` is shown whole. Those who
    may not edit records see its call, recordings and timeline. Raises NotFound.
    """
    values: dict[str, Any] = {}
    by = "page"
    if actor.may(AppealPermission.EDIT_APPEALS):
        read = await record_details.read_details(site, actor, number, with_history=True)
        values = _panel_values(request, site, read, state)
        values |= {"history": read.history, "earlier": read.earlier}
        by = ""
    viewed = await queries.view(site.engine, actor, number, by=by)
    return page(
        request,
        "appeals/appeal.html",
        status=400 if problem else state.status,
        call_say=labels_for(request, site),
        problem=problem,
        caller_number=caller_number,
        events=viewed.events,
        recordings=viewed.recordings,
        audible=viewed.audible,
        calls_unwanted=viewed.calls_unwanted,
        caller_details=viewed.caller_details,
        call_sections=viewed.sections,
        not_called=NO_CALLBACK_REASONS if viewed.is_cut_off else {},
        **{"row": viewed.row} | values,
    )


def labels_for(request: Request, site: AppContext) -> AppealLabels:
    """Return labels in the language of this page."""
    return AppealLabels(site.words[language_of(request)])


def visible_questions(form: Form, guards: Collection[AccessRule]) -> list[Field]:
    """Return the questions in use that may be seen with these guards, in their order."""
    return [each for each in form.fields if each.active and each.guard in guards]


def _panel_values(
    request: Request, site: AppContext, read: record_details.RecordDetails, state: PanelState
) -> dict[str, Any]:
    """The saved content, the draft, or what was just typed, and all that may be done with it."""
    opened, record = read.opened, read.opened.record
    draft = opened.draft if state.typed is None else None
    content = state.typed or (draft.content if draft else opened.visible)
    kind = record.kind if state.typed is None else state.kind
    theirs = state.refusal.theirs if isinstance(state.refusal, EditConflict) else {}
    people = people_of((*content, *theirs, "applicant.name", "affected1.name"))
    steps = {each: STEPS[each] for each in moves_from(record.stage) if each in STEPS}
    questions = visible_questions(opened.form, opened.guards)
    return {
        "row": opened.row,
        "record": record,
        "say": RecordLabels(site.words[language_of(request)], opened.form),
        "ordinary": [
            each
            for code in ORDINARY
            for each in questions
            if (each.section, each.code) == (Section.APPEAL, code)
        ],
        "further_questions": [
            each
            for each in questions
            if each.section is Section.APPEAL
            and each.proposing is None
            and (each.code not in ORDINARY or each.code == "topics")
        ],
        "risk_questions": [each for each in questions if each.proposing is not None],
        "proposes_urgency": proposes_urgency(opened.form, kind, content),
        "of_people": [each for each in questions if each.section is Section.PERSON],
        "WITHIN": WITHIN,
        "content": content,
        "kind": kind,
        "people": people,
        "people_of_kind": PEOPLE_OF_KIND,
        "more": list(record_details.next_people(people)),
        "draft": draft,
        "kinds": KINDS,
        "stages": STAGES,
        "is_ended": record.stage in ENDED,
        # Nothing is entered where there was no request; what was typed before is not lost.
        "has_form": record.stage is not AppealState.NO_REQUEST or state.typed is not None,
        "dispositions": DISPOSITIONS,
        "presets": read.presets if record.stage is AppealState.CONTACT else (),
        "steps": steps,
        "closes": any(
            (move.before, move.after, move.reasoned) == (record.stage, AppealState.CLOSED, False)
            for move in MOVES
        ),
        "open_earlier": read.open_earlier,
        "related": read.related,
        "sections": read.sections,
        "reminders": read.reminders,
        "now": datetime.now(ZONE),
        "today": datetime.now(ZONE).date(),
        "largest": site.settings.attachment_limit,
        "attachments": read.attachments,
        "assignees": [each for each in read.assignees if each != record.owner],
        "files": FILES,
        "place": state.place,
        "is_done": state.is_done,
        "refused": request.url.path.rpartition("/")[2] if state.refusal else "",
        **_refusal_values(state.refusal, state.place),
    }


def _refusal_values(refusal: InvalidRequest | None, place: str) -> dict[str, Any]:
    """The values of the template for a refusal, by place."""
    here = refusal if place == "record" else None
    texts = dict.fromkeys(PLACES) | ({} if refusal is None else {place: str(refusal)})
    conflict = refusal if isinstance(refusal, EditConflict) else None
    missing = here.what if isinstance(here, MissingRequirements) else ()
    lacking = [REQUIRED_FIELDS[each] for each in missing if each in REQUIRED_FIELDS]
    return {
        "faults": here.faults
        if isinstance(here, WrongContent)
        else dict.fromkeys(lacking, N_("Fill this in.")),
        "changed": conflict if place == "record" else None,
        "year_not_entered": refusal.year if isinstance(refusal, YearNotEntered) else None,
        "section_faults": {each: text for each, text in texts.items() if each not in PLACES},
        "section_conflicts": {} if conflict is None or place in PLACES else {place: conflict},
        "missing": missing,
        "refusal": texts["record"],
        "files_fault": texts["files"],
        "reminders_fault": texts["reminders"],
        "join_fault": texts["join"],
        "assign_fault": texts["assign"],
    }
