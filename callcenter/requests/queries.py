"""Read models of requests: one with its preview, and the bodies that a new one may go to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.store import AppealRow
from callcenter.appeals.contact.rules import ContactVerdict
from callcenter.appeals.contact.sections import ContactSection, read_call_verdicts
from callcenter.appeals.contact.sections import read_section as read_contact
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.extensions import AppealReading
from callcenter.appeals.followup import attachments_store
from callcenter.appeals.followup.attachments_store import Attachment, ScanState
from callcenter.appeals.form.store import read_form, read_law
from callcenter.appeals.labels import RecordLabels
from callcenter.appeals.record import store as records
from callcenter.appeals.record.service import guards_of
from callcenter.appeals.rules.deadlines import DeadlineKind, NoTerm
from callcenter.appeals.rules.fields import Content, Form
from callcenter.appeals.rules.states import ENDED
from callcenter.bodies import store as bodies
from callcenter.bodies.rules.competence import find_competence, matters_of
from callcenter.bodies.rules.directory import Body, Directory
from callcenter.platform.core.errors import N_
from callcenter.platform.core.i18n import Translator
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.core.working_calendar import YearNotEntered
from callcenter.platform.identity.actor import Actor
from callcenter.requests import store
from callcenter.requests.request_text import compose
from callcenter.requests.rules.composition import (
    RequestPackage,
    find_in_draft,
    list_obstacles,
)
from callcenter.requests.rules.states import RequestState
from callcenter.requests.rules.text_scan import TextFinding
from callcenter.requests.store import BodyRequest, StoredStep

#: Names that are nobody's, beside those of places and bodies, which are so where they stand whole.
_PUBLIC = (
    *("Республика Казахстан", "Қазақстан Республикасы", "Контакт-центр", "Байланыс орталығы"),
    *("Конституция", "Кодекс", "Закон", "Правила", "Заң", "Ереже", "Акимат", "Әкімдік", "Интернет"),
    *("Министерство", "Министрлік", "Департамент", "Управление", "Басқарма", "Полиция", "Суд"),
    *("Комитет", "Прокуратура", "Уполномоченный", "Уәкіл", "Фонд", "Казахстан", "Қазақстан"),
    *("Астана", "Алматы", "Шымкент", "Актау", "Актобе", "Атырау", "Жезказган", "Караганда"),
    *("Кокшетау", "Костанай", "Кызылорда", "Павлодар", "Петропавловск", "Петропавл"),
    *("Талдыкорган", "Туркестан", "Түркістан", "Уральск", "Усть-Каменогорск", "Өскемен"),
)
_ON_ITS_WAY = {ScanState.ARRIVING, ScanState.WAITING}
BODY_ENDED = N_(
    "This body does not exist any more: withdraw this, and begin a request to the one that does its"
    " work now."
)
NOT_CHECKED = N_("A file is being checked for viruses: look again in a minute.")
NOT_OPENED = N_("A released file cannot be opened: take it out.")


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request with all that its page shows.

    `package` is what leaves, or would: none once it is masked, and of what was withdrawn before.
    """

    row: AppealRow
    request: BodyRequest
    form: Form
    content: Content  #: as far as the reader sees it
    directory: Directory
    findings: Sequence[TextFinding]
    obstacles: Sequence[str]  #: to be ready, or to leave once it is
    package: RequestPackage | None
    attachments: Sequence[Attachment]  #: that can be opened, without copies
    released: Mapping[UUID, Attachment]  #: by id
    numbers: Mapping[UUID, str]  #: of appeals, by released file: it may be of one that was joined
    steps: Sequence[StoredStep]
    contact: ContactSection  #: how whoever got in touch may be reached now
    calls: Mapping[str, ContactVerdict]  #: to each number on the appeal
    has_appeal_ended: bool
    is_urgent: bool
    forward_due_on: date | None  #: until when a registered appeal is passed on (APPC, 65(1))
    at: datetime

    @property
    def body(self) -> Body:
        return self.directory.bodies[self.request.body]

    @property
    def leaves_too_late(self) -> bool:
        """Whether it would leave after the day until which it is to be passed on still."""
        leaves_at = self.request.leaves_at
        return (
            leaves_at is not None
            and self.forward_due_on is not None
            and self.at.date() <= self.forward_due_on < leaves_at.astimezone(ZONE).date()
        )

    @property
    def is_due(self) -> bool:
        """Whether it is to be handed over by now, once it waits."""
        return self.is_urgent or self.request.is_due(self.at)


@dataclass(frozen=True, slots=True)
class BodyChoice:
    """The bodies that a request of an appeal may go to.

    `competent` are those of its topics, directions and place, and the commissioners beside them;
    `others` exist today too.
    """

    row: AppealRow
    form: Form
    competent: Sequence[Body]
    others: Sequence[Body]
    directions: Sequence[str]  #: of the appeal
    today: date


async def read_view(
    connection: AsyncConnection,
    keys: RecordKeys,
    words: Mapping[str, Translator],
    actor: Actor,
    row: AppealRow,
    request: BodyRequest,
) -> RequestView:
    """A request as it is, with what would leave while it is composed. Raises DecryptionFailed."""
    reading = AppealReading(connection, keys, actor, row.id)
    record, now = await records.find(connection, keys, row.id), datetime.now(ZONE)
    content = record.content
    form, directory = await read_form(connection), await bodies.read_directory(connection)
    findings: list[TextFinding] = []
    is_gone = not directory.bodies[request.body].is_in_force(now.date())
    obstacles = [BODY_ENDED] if is_gone else []
    package = request.package
    draft = request.draft
    released = {
        each.id: await attachments_store.find(connection, keys, each.id) for each in draft.files
    }
    if request.state is RequestState.DRAFTED:
        findings = find_in_draft(draft, form, content, public_names(form, directory))
        obstacles += list_obstacles(draft, findings, content) + _obstacles_of_files(released)
        say = RecordLabels(words[request.language], form)
        body = directory.bodies[request.body]
        package = compose(say, body, row.number, row.received_at, draft, content, now.date())
    files = await attachments_store.list_of_appeal(connection, keys, row.id)
    copies = await store.list_copies(connection, keys, row.id)
    return RequestView(
        row=row,
        request=request,
        form=form,
        content=form.visible(content, guards_of(actor)),
        directory=directory,
        findings=findings,
        obstacles=obstacles,
        package=package,
        attachments=[
            each for each in files if each.state is ScanState.AVAILABLE and each.id not in copies
        ],
        released=released,
        numbers=await attachments_store.list_numbers(connection, released),
        steps=[step for _, step in await store.list_steps(connection, keys, [request.id])],
        contact=await read_contact(reading),
        calls=await read_call_verdicts(reading),
        has_appeal_ended=record.stage in ENDED,
        is_urgent=await store.is_urgent(connection, row.id),
        forward_due_on=await _forward_due_on(connection, record.registered_on),
        at=now,
    )


async def read_choice(connection: AsyncConnection, keys: RecordKeys, row: AppealRow) -> BodyChoice:
    """The bodies that a request may go to, the competent ones first. Raises DecryptionFailed."""
    content = (await records.find(connection, keys, row.id)).content
    form, directory = await read_form(connection), await bodies.read_directory(connection)
    now = datetime.now(ZONE)
    topics, directions = chosen_codes(content, "topics"), chosen_codes(content, "direction")
    place = [str(content.get(each, "")) for each in ("region", "district")]
    matters = matters_of(form, topics, directions, *place)
    found = [find_competence(directory, form, matter, now) for matter in matters]
    competent = dict.fromkeys(
        body for each in found for body in (*each.bodies, *each.named, *each.commissioners)
    )
    in_force = [body for body in directory.bodies.values() if body.is_in_force(now.date())]
    return BodyChoice(
        row,
        form,
        list(competent),
        [body for body in in_force if body not in competent],
        directions,
        now.date(),
    )


async def _forward_due_on(connection: AsyncConnection, registered_on: date | None) -> date | None:
    """The last day to pass a registered appeal on; none that can be counted.

    That of the record ends when somebody takes the appeal into work, which a request needs not.
    """
    if registered_on is None:
        return None
    try:
        return (await read_law(connection)).due(DeadlineKind.FORWARD, registered_on).on
    except (NoTerm, YearNotEntered):
        return None


def _obstacles_of_files(released: Mapping[UUID, Attachment]) -> list[str]:
    """Obstacles of released files: all that leaves can be opened, so clamd has checked it."""
    states = {each.state for each in released.values()} - {ScanState.AVAILABLE}
    if not states:
        return []
    return [NOT_CHECKED if states <= _ON_ITS_WAY else NOT_OPENED]


def public_names(form: Form, directory: Directory) -> list[str]:
    """Names of places and bodies, which are nobody's where they stand whole."""
    places = [*form.options("region"), *form.options("district")]
    names = [name for body in directory.bodies.values() for name in body.names]
    return [
        *_PUBLIC,
        *chain.from_iterable((each.kk, each.ru) for each in places),
        *chain.from_iterable((each.kk, each.ru) for each in names),
    ]


def chosen_codes(content: Content, key: str) -> list[str]:
    """The codes that a field of choices has in a record."""
    value = content.get(key, [])
    return [value] if isinstance(value, str) else value
