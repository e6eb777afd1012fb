"""Requests on the page of an appeal: a section, and their steps in the timeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from callcenter.appeals.extensions import AppealReading, TimelineEntry
from callcenter.bodies import store as bodies
from callcenter.bodies.labels import STATES
from callcenter.bodies.rules.directory import BodyContact, BodyName, ContactState
from callcenter.platform.core.errors import N_
from callcenter.platform.core.timezone import ZONE
from callcenter.requests import store
from callcenter.requests.labels import REQUEST_STATES, REQUEST_STEPS
from callcenter.requests.rules.states import LATE, WITH_BODY, RequestState, RequestStep
from callcenter.requests.store import BodyRequest, StoredStep


@dataclass(frozen=True, slots=True)
class RequestsSection:
    """Requests of an appeal, the latest first, with today's names of bodies by code.

    `telephones` are those of bodies that callers are given, by code.
    """

    requests: Sequence[BodyRequest]
    names: Mapping[str, BodyName]
    telephones: Mapping[str, BodyContact]
    is_urgent: bool
    at: datetime

    states: ClassVar[Mapping[RequestState, str]] = REQUEST_STATES
    late: ClassVar[tuple[RequestState, ...]] = LATE
    contact_states: ClassVar[Mapping[ContactState, str]] = STATES

    @property
    def with_body(self) -> Sequence[BodyRequest]:
        """Requests that a body has: it is the source of news of them (R22)."""
        return [each for each in self.requests if each.state in WITH_BODY]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStepEntry(TimelineEntry):
    """A step of a request, with the name of the body that it goes to."""

    body: BodyName
    step: StoredStep

    steps: ClassVar[Mapping[RequestStep, str]] = REQUEST_STEPS


async def read_section(reading: AppealReading) -> RequestsSection:
    """Requests of an appeal. Raises DecryptionFailed."""
    requests = await store.list_of_appeal(reading.connection, reading.keys, reading.appeal_id)
    now = datetime.now(ZONE)
    if not requests:
        return RequestsSection((), {}, {}, False, now)
    directory = (await bodies.read_directory(reading.connection)).bodies
    contacts = {code: body.telephone(now) for code, body in directory.items()}
    return RequestsSection(
        requests,
        {code: body.name_on(now.date()) for code, body in directory.items()},
        {code: contact for code, contact in contacts.items() if contact},
        await store.is_urgent(reading.connection, reading.appeal_id),
        now,
    )


async def read_timeline(reading: AppealReading) -> Sequence[RequestStepEntry]:
    """Steps of the requests of an appeal. Raises DecryptionFailed."""
    section = await reading.once(read_section)
    bodies_of = {each.id: each.body for each in section.requests}
    steps = await store.list_steps(reading.connection, reading.keys, list(bodies_of))
    return [
        RequestStepEntry(
            at=step.at,
            author=step.author,
            text=N_("Request to a state body"),
            template="requests/step_entry.html",
            body=section.names[bodies_of[identity]],
            step=step,
        )
        for identity, step in steps
    ]
