"""Actions on requests to state bodies: each is one transaction with one audit entry."""

import asyncio
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.calls.store import AppealRow
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.followup import attachments, attachments_store
from callcenter.appeals.followup.attachments_store import Attachment, ScanState
from callcenter.appeals.form.store import read_form, read_law
from callcenter.appeals.record import search_index
from callcenter.appeals.record import store as records
from callcenter.appeals.record.service import (
    audit_appeal,
    get_appeal,
    guards_of,
    take_from_bodies,
)
from callcenter.appeals.record.store import Record
from callcenter.appeals.rules.states import ENDED, AppealKind, AppealState
from callcenter.bodies import store as bodies
from callcenter.platform.core.errors import N_, InvalidRequest, NotFound, VersionConflict
from callcenter.platform.core.i18n import Translator
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import joined_unit_of_work, unit_of_work
from callcenter.requests import store
from callcenter.requests.actions import RequestAction
from callcenter.requests.picture_copy import PICTURES, copy_picture
from callcenter.requests.queries import (
    BodyChoice,
    RequestView,
    chosen_codes,
    public_names,
    read_choice,
    read_view,
)
from callcenter.requests.rules.composition import (
    REASON_LIMIT,
    ReleasedFile,
    RequestPackage,
    check_choice,
    find_in_draft,
)
from callcenter.requests.rules.departure import plan_departure, plan_registration
from callcenter.requests.rules.states import (
    NO_OTHER_BODY,
    NOT_NOW,
    NOTICES,
    OF_THE_CLOCK,
    IllegalRequestStep,
    RequestState,
    RequestStep,
    StepFacts,
    check_facts,
    late_step,
    move_request,
)
from callcenter.requests.store import BodyRequest, LateRequest
from callcenter.working_calendar.store import read_calendar

#: The actor of what the clock does.
CLOCK = Actor(None, command="requests")
NOT_WRITTEN = N_("save the record first: a request is composed from it")
NO_BODY = N_(
    "choose a body of the directory that exists today, and a direction of the appeal or the body"
)
NOT_READY = N_("Something stands in the way of this request still: it stands below the preview.")
NO_FILE = N_("this file cannot leave: it is not of this appeal, or cannot be opened")
NO_COPY = N_("this picture cannot be read: save it anew and attach that")
NO_FILE_REASON = N_("say why the body needs this file, in up to 300 characters")
HAS_ENDED = N_("this appeal has ended: open it again before you send a request")
#: Each waits for a process of its own; so many pictures are copied at once.
_COPIERS = ThreadPoolExecutor(2, "picture-copier")


@dataclass(frozen=True, slots=True)
class RequestService:
    """Service of requests: `words` has the languages of bodies."""

    engine: AsyncEngine
    keys: RecordKeys
    words: Mapping[str, Translator]
    settings: Settings

    async def begin(
        self, actor: Actor, number: str, *, body: str, direction: str, language: str
    ) -> UUID:
        """Begin an empty request to a body, in a direction of the appeal or of the body.

        The direction decides which fields need no reason (R23). Raises NotFound, InvalidRequest.
        """
        async with unit_of_work(self.engine) as connection:
            row, record = await self._lock_record(connection, number)
            _require_open(record)
            found = (await bodies.read_directory(connection)).bodies.get(body)
            if (
                found is None
                or not found.is_in_force(_today())
                or direction not in {*chosen_codes(record.content, "direction"), *found.directions}
                or language not in CALLER_LANGUAGES
            ):
                raise InvalidRequest(NO_BODY)
            identity = await store.insert_new(
                connection,
                self.keys,
                record.appeal_id,
                body=body,
                direction=direction,
                language=language,
                author=actor.who,
            )
            await audit_appeal(
                connection,
                actor,
                RequestAction.REQUEST_BEGUN,
                row.number,
                request=str(identity),
                body=body,
                direction=direction,
            )
        return identity

    async def choose_body(self, actor: Actor, number: str) -> BodyChoice:
        """The bodies that a new request of an appeal may go to, audited. Raises NotFound."""
        async with unit_of_work(self.engine) as connection:
            row = await get_appeal(connection, number)
            choice = await read_choice(connection, self.keys, row)
            await audit_appeal(
                connection, actor, AppealAction.APPEAL_VIEWED, number, by="new request"
            )
        return choice

    async def view(self, actor: Actor, number: str, identity: UUID) -> RequestView:
        """Open a request for reading, audited. Raises NotFound, DecryptionFailed."""
        async with unit_of_work(self.engine) as connection:
            row = await get_appeal(connection, number)
            found = await store.find(connection, self.keys, row.id, identity)
            view = await read_view(connection, self.keys, self.words, actor, row, found)
            await audit_appeal(
                connection, actor, RequestAction.REQUEST_VIEWED, number, request=str(identity)
            )
        return view

    async def compose(
        self,
        actor: Actor,
        number: str,
        identity: UUID,
        version: int,
        *,
        words: str,
        reasons: Mapping[str, str],
        cleared: Collection[str],
    ) -> None:
        """Store what was chosen: own words, fields with their reasons, findings that may leave.

        What may identify somebody and was found only now is not cleared yet. Raises NotFound,
        InvalidRequest, VersionConflict.
        """
        async with unit_of_work(self.engine) as connection:
            row, record = await self._lock_record(connection, number)
            request = await self._lock_draft(connection, row.id, identity, version)
            form = await read_form(connection)
            seen = form.visible(record.content, guards_of(actor))
            text, chosen = check_choice(request.direction, words, reasons, seen)
            draft = replace(request.draft, words=text, fields=chosen)
            public = public_names(form, await bodies.read_directory(connection))
            findings = find_in_draft(draft, form, record.content, public)
            draft = replace(
                draft, cleared=frozenset(each for each in findings if each.key in cleared)
            )
            await store.put_draft(connection, self.keys, identity, draft)
            await audit_appeal(
                connection,
                actor,
                RequestAction.REQUEST_COMPOSED,
                number,
                request=str(identity),
                fields=" ".join(sorted(chosen)),
                cleared=len(draft.cleared),
            )

    async def release_file(
        self,
        actor: Actor,
        number: str,
        identity: UUID,
        version: int,
        attachment_id: UUID,
        reason: str,
    ) -> None:
        """Release one file of the appeal into a request, for a reason: no other goes along.

        Of a picture a copy is attached to the appeal, and released. Raises NotFound,
        InvalidRequest, VersionConflict, also when another request gave that copy back meanwhile;
        NoKey and ObjectStoreUnavailable for a picture.
        """
        said = reason.strip()
        if not 0 < len(said) <= REASON_LIMIT or not said.isprintable():
            raise InvalidRequest(NO_FILE_REASON)
        async with unit_of_work(self.engine) as connection:
            row = await get_appeal(connection, number)
            request = await self._lock_draft(connection, row.id, identity, version)
            original = await self._open_file(connection, row.id, attachment_id)
        file = await self._copy(actor, number, original, request.language)
        async with unit_of_work(self.engine) as connection:
            row, _ = await self._lock_record(connection, number)
            request = await self._lock_draft(connection, row.id, identity, version)
            file = await attachments_store.find(connection, self.keys, file.id)
            if file.state is ScanState.ERASED:
                raise VersionConflict
            files = request.draft.files
            if any(each.id == file.id for each in files):
                return
            last = max((int(each.name.partition(".")[0]) for each in files), default=0)
            released = ReleasedFile(
                file.id,
                f"{last + 1}.{file.type}",
                file.bytes,
                file.sha256,
                said,
                actor.who,
                None if file.id == original.id else original.id,
            )
            draft = replace(request.draft, files=(*files, released))
            await store.put_draft(connection, self.keys, identity, draft)
            await audit_appeal(
                connection,
                actor,
                RequestAction.FILE_RELEASED,
                number,
                request=str(identity),
                attachment=str(original.id),
                sha256=file.sha256,
            )

    async def take_out_file(
        self, actor: Actor, number: str, identity: UUID, version: int, attachment_id: UUID
    ) -> None:
        """Take a file out of a request again; a copy that no other request has is erased.

        Raises NotFound, InvalidRequest, VersionConflict.
        """
        async with unit_of_work(self.engine) as connection:
            row, _ = await self._lock_record(connection, number)
            request = await self._lock_draft(connection, row.id, identity, version)
            files = tuple(each for each in request.draft.files if each.id != attachment_id)
            copies = await store.list_copies(connection, self.keys, row.id)
            draft = replace(request.draft, files=files)
            await store.put_draft(connection, self.keys, identity, draft)
            await self._erase_unused(connection, row.id, copies)
            await audit_appeal(
                connection,
                actor,
                RequestAction.FILE_TAKEN_OUT,
                number,
                request=str(identity),
                attachment=str(attachment_id),
            )

    async def make_ready(
        self, actor: Actor, number: str, identity: UUID, version: int, sha256: str
    ) -> None:
        """Store a request as it was previewed, with its hash, and plan when it leaves.

        Raises NotFound, InvalidRequest while something stands in the way, YearNotEntered when the
        body's next working day is in such a year, VersionConflict when it would be another by now
        than what was previewed.
        """
        async with unit_of_work(self.engine) as connection:
            row, record = await self._lock_record(connection, number)
            _require_open(record)
            request = await self._lock_draft(connection, row.id, identity, version)
            view = await read_view(connection, self.keys, self.words, actor, row, request)
            if view.obstacles:
                raise InvalidRequest(NOT_READY)
            if view.package is None or view.package.sha256 != sha256:
                raise VersionConflict
            leaves_at = plan_departure(
                datetime.now(UTC),
                is_urgent=view.is_urgent,
                hours=view.body.hours,
                calendar=await read_calendar(connection),
            )
            await store.put_departure(connection, identity, leaves_at)
            step = RequestStep.READIED
            await self._move(connection, actor, request, step, StepFacts(), package=view.package)
            await _audit_step(connection, actor, number, request, step, sha256=sha256)

    async def take_step(
        self,
        actor: Actor,
        number: str,
        identity: UUID,
        version: int,
        step: RequestStep,
        facts: StepFacts,
    ) -> None:
        """Note a step of a request that is ready, or that a body has.

        Raises NotFound, InvalidRequest, VersionConflict; YearNotEntered when the term of its
        answer cannot be counted.
        """
        async with joined_unit_of_work(self.engine) as connection:
            row, record = await self._lock_record(connection, number)
            request = await store.lock(connection, self.keys, row.id, identity, version)
            if step is RequestStep.READIED or step in OF_THE_CLOCK:
                raise IllegalRequestStep(NOT_NOW)
            begun_on = request.begun_at.astimezone(ZONE).date()
            facts = check_facts(step, facts, request.body, begun_on, _today())
            if facts.competent:
                directory = await bodies.read_directory(connection)
                if facts.competent not in directory.bodies:
                    raise InvalidRequest(NO_OTHER_BODY)
            if step is RequestStep.SENT and request.package is None:  # it was erased
                raise IllegalRequestStep(NOT_NOW)
            if step in NOTICES and request.number is None:  # it was withdrawn before it left
                raise IllegalRequestStep(NOT_NOW)
            due_on = notice_due_on = None
            if facts.dated is not None:
                _require_open(record)
                law = await read_law(connection)
                [body] = (await bodies.read_bodies(connection, [request.body])).values()
                registered_on = plan_registration(
                    facts.dated, datetime.now(UTC), hours=body.hours, calendar=law.calendar
                )
                due_on = law.answer_due(record.kind or AppealKind.STATEMENT, registered_on).on
                notice_due_on = law.calendar.add_days(_today(), 1)
            copies = await store.list_copies(connection, self.keys, row.id)
            await self._move(
                *(connection, actor, request, step, facts),
                due_on=due_on,
                notice_due_on=notice_due_on,
            )
            await self._erase_unused(connection, row.id, copies)
            if facts.number:
                form = await read_form(connection)
                await search_index.index(connection, self.keys, form, row.id, record.content)
            await take_from_bodies(self.engine, self.keys, actor, number)
            detail = {
                "reference": facts.number,
                "competent": facts.competent,
                "sha256": request.sha256 or "",
            }
            await _audit_step(connection, actor, number, request, step, **detail)

    async def take_text(self, actor: Actor, number: str, identity: UUID) -> str:
        """The text of a ready request to hand it over, audited. Raises NotFound."""
        async with unit_of_work(self.engine) as connection:
            package = await self._take(connection, actor, number, identity)
        return package.text

    async def take_file(
        self, actor: Actor, number: str, identity: UUID, name: str
    ) -> tuple[ReleasedFile, str]:
        """The file of this name of a ready request, audited, and the number of its own appeal.

        Raises NotFound.
        """
        async with unit_of_work(self.engine) as connection:
            package = await self._take(connection, actor, number, identity, name)
            file = next(each for each in package.files if each.name == name)
            numbers = await attachments_store.list_numbers(connection, [file.id])
        return file, numbers[file.id]

    async def _take(
        self,
        connection: AsyncConnection,
        actor: Actor,
        number: str,
        identity: UUID,
        name: str = "",
    ) -> RequestPackage:
        row = await get_appeal(connection, number)
        request = await store.find(connection, self.keys, row.id, identity)
        package = request.package
        if package is None or (name and name not in {each.name for each in package.files}):
            raise NotFound(store.NOT_THERE)
        await audit_appeal(
            connection,
            actor,
            RequestAction.REQUEST_TAKEN,
            number,
            request=str(identity),
            body=request.body,
            sha256=package.sha256,
            **({"file": name} if name else {}),
        )
        return package

    async def _lock_record(
        self, connection: AsyncConnection, number: str
    ) -> tuple[AppealRow, Record]:
        """The appeal and its record, locked until this transaction ends.

        Raises NotFound, and InvalidRequest: nothing is written of it, or there was no request.
        """
        row = await get_appeal(connection, number)
        found = await records.find(connection, self.keys, row.id, alone=True)
        if found.version == 0 or found.stage is AppealState.NO_REQUEST:
            raise InvalidRequest(NOT_WRITTEN)
        return row, found

    async def _lock_draft(
        self, connection: AsyncConnection, appeal_id: UUID, identity: UUID, version: int
    ) -> BodyRequest:
        """A request that is composed still, locked. Raises as `store.lock`, IllegalRequestStep."""
        request = await store.lock(connection, self.keys, appeal_id, identity, version)
        if request.state is not RequestState.DRAFTED:
            raise IllegalRequestStep(NOT_NOW)
        return request

    async def _copy(self, actor: Actor, number: str, file: Attachment, language: str) -> Attachment:
        """The copy of a picture, attached beside it; any other file itself. Raises InvalidRequest.

        The same picture has one copy. It leaves when clamd has checked it too.
        """
        if file.type not in PICTURES:
            return file
        of_appeal = (self.engine, self.keys, self.settings, actor, number)
        _, content = await attachments.read(*of_appeal, file.id)
        limit = self.settings.attachment_limit * 1024**2
        loop = asyncio.get_running_loop()
        try:
            copy = await loop.run_in_executor(_COPIERS, copy_picture, content, file.type, limit)
        except ValueError:
            raise InvalidRequest(NO_COPY) from None
        name = file.name.removesuffix(f".{file.type}")
        said = self.words[language].plain(N_("copy without EXIF"))
        return await attachments.add(*of_appeal, f"{name} ({said}).{file.type}", copy)

    async def _erase_unused(
        self, connection: AsyncConnection, appeal_id: UUID, copies: Collection[UUID]
    ) -> None:
        """Erase those of the copies that no request of the appeal has any more."""
        used = await store.list_copies(connection, self.keys, appeal_id)
        for each in copies:
            if each not in used:
                await attachments_store.erase(connection, each)

    async def _open_file(
        self, connection: AsyncConnection, appeal_id: UUID, identity: UUID
    ) -> Attachment:
        """A file of this appeal that can be opened. Raises InvalidRequest."""
        files = await attachments_store.list_of_appeal(connection, self.keys, appeal_id)
        for each in files:
            if each.id == identity and each.state is ScanState.AVAILABLE:
                return each
        raise InvalidRequest(NO_FILE)

    async def _move(
        self,
        connection: AsyncConnection,
        actor: Actor,
        request: BodyRequest,
        step: RequestStep,
        facts: StepFacts,
        *,
        due_on: date | None = None,
        notice_due_on: date | None = None,
        package: RequestPackage | None = None,
    ) -> None:
        """Move a locked request. Raises IllegalRequestStep."""
        after = move_request(request.state, step)
        await store.add_step(
            connection,
            request.id,
            step,
            after,
            facts,
            author=actor.who,
            due_on=due_on,
            notice_due_on=notice_due_on,
            sealed=store.seal_step(self.keys, request.id, facts.reason, package),
        )


async def mark_late(engine: AsyncEngine, today: date) -> int:
    """Mark requests whose answer is late by now; returns how many."""
    async with unit_of_work(engine) as connection:
        calendar = await read_calendar(connection)
        late = [
            (each, step)
            for each in await store.lock_late(connection, today)
            if (step := late_step(each.state, each.due_on, today, calendar))
        ]
        for each, step in late:
            after = move_request(each.state, step)
            await store.add_step(connection, each.id, step, after, StepFacts(), author=CLOCK.who)
            await _audit_step(connection, CLOCK, each.number, each, step)
    return len(late)


async def searchable(connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID) -> list[str]:
    """Numbers that bodies gave the requests of an appeal: it is found by them."""
    requests = await store.list_of_appeal(connection, keys, appeal_id)
    return [each.number for each in requests if each.number]


async def _audit_step(
    connection: AsyncConnection,
    actor: Actor,
    number: str,
    request: BodyRequest | LateRequest,
    step: RequestStep,
    **detail: str,
) -> None:
    """Add the audit entry of a step of a request; what is empty in the detail is left out."""
    await audit_appeal(
        connection,
        actor,
        RequestAction.REQUEST_MOVED,
        number,
        request=str(request.id),
        body=request.body,
        step=step.value,
        **{name: value for name, value in detail.items() if value},
    )


def _require_open(record: Record) -> None:
    """Refuse to send something of an appeal that has ended. Raises InvalidRequest."""
    if record.stage in ENDED:
        raise InvalidRequest(HAS_ENDED)


def _today() -> date:
    return datetime.now(UTC).astimezone(ZONE).date()
