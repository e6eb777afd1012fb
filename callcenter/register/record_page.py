"""The page of an appeal's record: what it shows, and where it says why something is refused."""

from datetime import datetime
from typing import Any, Literal, get_args

from starlette.requests import Request
from starlette.responses import Response

from callcenter.appeals.callers import mask
from callcenter.errors import AskedWrongly
from callcenter.register import reading
from callcenter.register.fields import PEOPLE, WITHIN, Section, Value, WrongContent, people_of
from callcenter.register.merging import Changed
from callcenter.register.stages import Kind, Missing, moves_from
from callcenter.register.wording import (
    FILES,
    KINDS,
    LETTER_FIELDS,
    LETTER_WORDS,
    STAGES,
    STEPS,
    Telling,
)
from callcenter.web.rendering import page
from callcenter.web.site import Site, language_of
from callcenter.web.words import ZONE

SEE_OTHER = 303  # to where a form that was carried out leads
Place = Literal["record", "files", "letters", "reminders", "join"]


def record_page(
    request: Request,
    site: Site,
    read: reading.Read,
    *,
    typed: dict[str, Value] | None = None,
    kind: Kind | None = None,
    refusal: AskedWrongly | None = None,
    place: Place = "record",
) -> Response:
    """The form with what was saved, what was left unsaved, or what was just typed.

    A refusal is said at its place.
    """
    opened = read.opened
    draft = opened.draft
    content = typed if typed is not None else draft.content if draft else opened.visible
    people = dict.fromkeys((*people_of(content), "applicant", "affected1"), True)
    return page(
        request,
        "register/record.html",
        status=409 if isinstance(refusal, Changed) else 400 if refusal else 200,
        row=opened.row,
        record=opened.record,
        caller=mask(opened.row.caller_number or ""),
        say=Telling(site.words[language_of(request)], opened.form),
        questions=[each for each in opened.form.fields if each.active],
        Section=Section,
        WITHIN=WITHIN,
        guards=opened.guards,
        content=content,
        kind=kind if typed is not None else opened.record.kind,
        refused=request.url.path.rpartition("/")[2] if refusal else "",
        people=sorted(people, key=lambda each: (PEOPLE.index(each.rstrip("123456789")), each)),
        more=[each for each in reading.next_people(people) if each not in people],
        draft=draft if typed is None else None,
        kinds=KINDS,
        stages=STAGES,
        steps={each: STEPS[each] for each in moves_from(opened.record.stage) if each in STEPS},
        history=read.history,
        earlier=read.earlier,
        open_earlier=read.open_earlier,
        related=read.related,
        reminders=read.reminders,
        now=datetime.now(ZONE),
        largest=site.settings.attachment_limit,
        today=datetime.now(ZONE).date(),
        **_papers(read),
        **_told(refusal, place),
    )


def _papers(read: reading.Read) -> dict[str, Any]:
    """Files and letters, and by what each is known to people."""
    named = {str(each.id): each.letter.number for each in read.letters}
    return {
        "attachments": read.attachments,
        "letters": read.letters,
        "named": named | {str(each.id): each.name for each in read.attachments},
        "files": FILES,
        "letter_fields": LETTER_FIELDS,
        "letter_words": LETTER_WORDS,
    }


def _told(refusal: AskedWrongly | None, place: Place) -> dict[str, Any]:
    """What the page says of a refusal, and where."""
    here = refusal if place == "record" else None
    said = dict.fromkeys(get_args(Place)) | ({} if refusal is None else {place: str(refusal)})
    return {
        "faults": here.faults if isinstance(here, WrongContent) else {},
        "changed": here if isinstance(here, Changed) else None,
        "letter_changed": refusal if place == "letters" and isinstance(refusal, Changed) else None,
        "missing": here.what if isinstance(here, Missing) else (),
        "refusal": said["record"],
        "files_fault": said["files"],
        "letters_fault": said["letters"],
        "reminders_fault": said["reminders"],
        "join_fault": said["join"],
    }
