"""Requests on the page of an appeal: a section, and their steps in the timeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from callcenter.appeals.extensions import AppealReading, TimelineEntry
from callcenter.bodies import store as bodies
from callcenter.bodies.rules.directory import BodyName
from callcenter.platform.core.errors import N_
from callcenter.platform.core.timezone import ZONE
from callcenter.requests import store
from callcenter.requests.labels import REQUEST_STATES, REQUEST_STEPS
from callcenter.requests.rules.states import LATE, RequestState, RequestStep
from callcenter.requests.store import BodyRequest, StoredStep


@dataclass(frozen=True, slots=True)
class RequestsSection:
    """Requests of an appeal, the latest first, with today's names of bodies by code."""

    requests: Sequence[BodyRequest]
    names: Mapping[str, BodyName]

    states: ClassVar[Mapping[RequestState, str]] = REQUEST_STATES
    late: ClassVar[tuple[RequestState, ...]] = LATE


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStepEntry(TimelineEntry):
    """A step of a request, with the name of the body that it goes to."""

    body: BodyName
    step: StoredStep

    steps: ClassVar[Mapping[RequestStep, str]] = REQUEST_STEPS


async def read_section(reading: AppealReading) -> RequestsSection:
    """Requests of an appeal. Raises DecryptionFailed."""
    requests = await store.list_of_appeal(reading.connection, reading.keys, reading.appeal_id)
    if not requests:
        return RequestsSection((), {})
    today = datetime.now(ZONE).date()
    directory = await bodies.read_directory(reading.connection)
    return RequestsSection(
        requests, {code: body.name_on(today) for code, body in directory.bodies.items()}
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
