"""The room of urgent notifications of state bodies: what it registers."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select

from callcenter.appeals.extensions import AppealSection, MovesWithAppeal, TimelineSource
from callcenter.appeals.masking.retention import RetentionReason
from callcenter.appeals.record.personal_data import PersonalDataPart
from callcenter.platform.core.errors import N_
from callcenter.platform.core.registry import Room
from callcenter.platform.storage.table_rights import TableRights
from callcenter.urgent_notifications import sections, store
from callcenter.urgent_notifications.actions import NotificationAction
from callcenter.urgent_notifications.alerts import ALERTS
from callcenter.urgent_notifications.permissions import NotificationPermission
from callcenter.urgent_notifications.rules.states import OPEN
from callcenter.urgent_notifications.tables import urgent_notification, urgent_notification_step
from callcenter.urgent_notifications.work_lists import NOTIFICATION_LISTS


def _is_open(_now: datetime) -> ColumnElement[bool]:
    """An urgent notification of the appeal has not ended."""
    return store.is_notified(*OPEN)


def _of_notifications(appeals: Select[tuple[UUID]]) -> ColumnElement[bool]:
    found = select(urgent_notification.c.id).where(urgent_notification.c.appeal_id.in_(appeals))
    return urgent_notification_step.c.notification_id.in_(found)


ROOM = Room(
    name="urgent_notifications",
    web="callcenter.urgent_notifications.web_module",
    jobs=("callcenter.urgent_notifications.jobs",),
    offers=(
        *NotificationPermission,
        *NotificationAction,
        *NOTIFICATION_LISTS,
        *ALERTS,
        AppealSection(
            N_("Urgent: notify a body at once"),
            "urgent_notifications/section.html",
            NotificationPermission.NOTIFY_BODIES,
            sections.read_section,
            anchor="urgent-notifications",
            summary="urgent_notifications/summary.html",
            has_digit=False,
            helps=True,
        ),
        TimelineSource(NotificationPermission.NOTIFY_BODIES, sections.read_timeline),
        MovesWithAppeal(joined=store.move_notifications, entered=store.refuse_without_request),
        RetentionReason(
            "notified",
            N_("They stay: nobody knows yet what came of an urgent notification."),
            _is_open,
        ),
        PersonalDataPart(
            urgent_notification_step,
            ("called", "sealed"),
            key="notification_steps",
            label=N_("Steps of urgent notifications: %(count)s"),
            of=_of_notifications,
            is_personal=or_(
                urgent_notification_step.c.called.is_not(None),
                urgent_notification_step.c.sealed.is_not(None),
            ),
            erased={"called": None, "sealed": None},
        ),
        TableRights(urgent_notification, worker="su", web="siu"),
        TableRights(urgent_notification_step, worker="siu", web="siu"),
    ),
)
