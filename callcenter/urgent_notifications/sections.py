"""Urgent notifications on the page of an appeal: a section, and steps in the timeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID

from callcenter.appeals.calls.outbound_calls import OutboundCallRow
from callcenter.appeals.extensions import AppealReading, TimelineEntry
from callcenter.bodies import store as bodies
from callcenter.bodies.rules.directory import Body, BodyName
from callcenter.platform.core.errors import N_
from callcenter.platform.core.i18n import length
from callcenter.platform.core.timezone import ZONE
from callcenter.urgent_notifications import store
from callcenter.urgent_notifications.labels import RESULT_BUTTONS, STATES, STEPS
from callcenter.urgent_notifications.rules.numbers import list_numbers
from callcenter.urgent_notifications.rules.states import (
    ATTEMPTS,
    NotificationState,
    NotificationStep,
)
from callcenter.urgent_notifications.store import StoredNotificationStep, UrgentNotification


@dataclass(frozen=True, slots=True)
class NotificationView:
    """A notification with today's name of its body, its steps, and its calls in the register."""

    notification: UrgentNotification
    name: BodyName
    steps: Sequence[StoredNotificationStep]
    calls: Sequence[OutboundCallRow]

    @property
    def is_calling(self) -> bool:
        """Whether nobody of the body has taken it yet."""
        return self.notification.state is NotificationState.CALLING

    @property
    def is_taken(self) -> bool:
        """Whether it is taken, and nobody knows what came of it."""
        return self.notification.state is NotificationState.TAKEN

    @property
    def attempts(self) -> int:
        """How many presses called, or noted that somebody did not take it."""
        return sum(each.step in ATTEMPTS for each in self.steps)

    @property
    def last_called(self) -> str | None:
        """The number that was called last."""
        made = [(each.began_at, each.number) for each in self.calls]
        ordered = [(each.at, each.called) for each in self.steps if each.called]
        return max([*made, *ordered], default=(None, None))[1]

    @property
    def time_to_take(self) -> str | None:
        """The time from the press until a person of the body took it, as 3:20."""
        return self._time_until(self.notification.taken_at)

    @property
    def time_to_end(self) -> str | None:
        """The time from the press until somebody knew what came of it, if a body took it."""
        return self._time_until(self.notification.taken_at and self.notification.ended_at)

    def _time_until(self, at: datetime | None) -> str | None:
        return None if at is None else length(at - self.notification.begun_at)


@dataclass(frozen=True, slots=True)
class NotificationsSection:
    """Urgent notifications of an appeal, the latest first."""

    views: Sequence[NotificationView]

    states: ClassVar[Mapping[NotificationState, str]] = STATES
    steps: ClassVar[Mapping[NotificationStep, str]] = STEPS
    buttons: ClassVar[Mapping[NotificationStep, str]] = RESULT_BUTTONS


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationEntry(TimelineEntry):
    """A step of an urgent notification, with the name of its body."""

    body: BodyName
    step: StoredNotificationStep

    steps: ClassVar[Mapping[NotificationStep, str]] = STEPS


async def read_section(reading: AppealReading) -> NotificationsSection:
    """Urgent notifications of an appeal. Raises DecryptionFailed."""
    found = await store.list_of_appeal(reading.connection, reading.appeal_id)
    if not found:
        return NotificationsSection(())
    connection, now = reading.connection, datetime.now(UTC)
    of_bodies = await bodies.read_bodies(connection, {each.body for each in found})
    steps: dict[UUID, list[StoredNotificationStep]] = {each.id: [] for each in found}
    for identity, step in await store.list_steps(connection, reading.keys, list(steps)):
        steps[identity].append(step)
    return NotificationsSection(
        [
            NotificationView(
                each,
                of_bodies[each.body].name_on(now.astimezone(ZONE).date()),
                steps[each.id],
                await store.list_calls(
                    connection, each, _numbers(of_bodies[each.body], steps[each.id], now)
                ),
            )
            for each in found
        ]
    )


async def read_timeline(reading: AppealReading) -> Sequence[NotificationEntry]:
    """Steps of the urgent notifications of an appeal. Raises DecryptionFailed."""
    section = await reading.once(read_section)
    return [
        NotificationEntry(
            at=step.at,
            author=step.author,
            text=N_("Urgent notification"),
            template="urgent_notifications/step_entry.html",
            body=view.name,
            step=step,
        )
        for view in section.views
        for step in view.steps
    ]


def _numbers(body: Body, steps: Sequence[StoredNotificationStep], now: datetime) -> set[str]:
    """Numbers of a body, and those that were called though they are reported as wrong now."""
    called = {step.called for step in steps if step.called}
    return {*list_numbers(body, now, lambda _: True), *called}
