"""Who may go where: every route of the site, as every role and as nobody."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.permissions import AppealPermission
from callcenter.audit_log.permissions import AuditLogPermission
from callcenter.bodies.permissions import BodyPermission
from callcenter.configuration.permissions import ConfigurationPermission
from callcenter.consultants.permissions import ConsultantPermission
from callcenter.demands import service
from callcenter.demands.permissions import DemandPermission
from callcenter.demands.rules.matching import SearchCriteria
from callcenter.intake.permissions import IntakePermission
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import api_clients, invitations
from callcenter.platform.identity.permissions import (
    NonUser,
    Role,
    SessionPermission,
    permissions_of,
)
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import READING, route_permissions
from callcenter.recordings.permissions import RecordingPermission
from callcenter.reports.permissions import ReportPermission
from callcenter.requests.permissions import RequestPermission
from callcenter.telephony.callers.blocklist.permissions import BlocklistPermission
from callcenter.telephony.callers.care_plans.permissions import CarePlanPermission
from callcenter.telephony.callers.sealed_numbers.permissions import SealedNumberPermission
from callcenter.telephony.outbound.permissions import OutboundPermission
from callcenter.urgent_notifications.permissions import NotificationPermission
from callcenter.users.permissions import UserPermission
from callcenter.wallboard.permissions import WallboardPermission
from callcenter.working_calendar.permissions import CalendarPermission
from tests.demands.conftest import OFFICER, demand_form
from tests.web.browser import form_token
from tests.web.callback_factories import leave_message, owe
from tests.web.conftest import CALLER, Call, Enter, add_user, browse
from tests.web.factories import (
    attached,
    block_somebody,
    booked_follow_up,
    booked_talk,
    contact_of_a_body,
    key_of_somebody,
    notification_that_is_open,
    plan_for_somebody,
    reminder,
    request_that_is_ready,
)

#: A caller's number in full: masked ones have points within.
WHOLE_NUMBER = re.compile(r"\+7\d{10}")

#: The permission of every route, told again: a slip in one place is found in the other.
EXPECTED = {
    ("GET", "/"): SessionPermission.SIGNED_IN,
    ("GET", "/sign-in"): SessionPermission.OPEN,
    ("POST", "/sign-in"): SessionPermission.OPEN,
    ("GET", "/sign-in/provider"): SessionPermission.OPEN,
    ("GET", "/sign-in/provider/back"): SessionPermission.OPEN,
    ("GET", "/signed-out"): SessionPermission.OPEN,
    ("GET", "/invitations/{token}"): SessionPermission.OPEN,
    ("POST", "/invitations/{token}"): SessionPermission.OPEN,
    ("GET", "/password"): SessionPermission.SIGNED_IN,
    ("POST", "/password"): SessionPermission.SIGNED_IN,
    ("GET", "/second-factor"): SessionPermission.COMPLETE_SIGN_IN,
    ("POST", "/second-factor"): SessionPermission.COMPLETE_SIGN_IN,
    ("POST", "/sign-out"): SessionPermission.SIGNED_IN,
    ("POST", "/language"): SessionPermission.OPEN,
    ("GET", "/guides/{room}/{page_name}"): SessionPermission.SIGNED_IN,
    ("GET", "/static/{name}"): SessionPermission.OPEN,
    ("GET", "/health/live"): SessionPermission.OPEN,
    ("GET", "/health/ready"): SessionPermission.OPEN,
    ("GET", "/appeals"): AppealPermission.VIEW_APPEALS,
    ("GET", "/live"): WallboardPermission.VIEW_LIVE,
    ("GET", "/live/events"): WallboardPermission.VIEW_LIVE,
    ("GET", "/api/v1/live"): WallboardPermission.VIEW_LIVE,
    ("GET", "/api/v1/live/events"): WallboardPermission.VIEW_LIVE,
    ("POST", "/api/v1/conversations/{extension}/supervision"): WallboardPermission.HEAR_CALLS,
    ("GET", "/api/v1/floor"): WallboardPermission.DIRECT,
    ("POST", "/api/v1/queues/{queue}/hold"): WallboardPermission.DIRECT,
    ("POST", "/api/v1/queues/{queue}/let-on"): WallboardPermission.DIRECT,
    ("POST", "/api/v1/waiting/{call_id}/hand-out"): WallboardPermission.DIRECT,
    ("GET", "/live/consultants/{extension}"): ConsultantPermission.SUPERVISE,
    ("POST", "/live/consultants/{extension}/duty"): ConsultantPermission.SUPERVISE,
    ("POST", "/live/consultants/{extension}/supervision"): WallboardPermission.HEAR_CALLS,
    ("GET", "/figures"): ReportPermission.VIEW_FIGURES,
    ("GET", "/figures/calls"): ReportPermission.VIEW_FIGURES,
    ("POST", "/live/alarms/take"): WallboardPermission.ACKNOWLEDGE_ALERTS,
    ("GET", "/live/alarms"): WallboardPermission.ACKNOWLEDGE_ALERTS,
    ("POST", "/live/alarms/acknowledge"): WallboardPermission.ACKNOWLEDGE_ALERTS,
    ("POST", "/api/v1/alarms/acknowledge"): WallboardPermission.ACKNOWLEDGE_ALERTS,
    ("GET", "/audit"): AuditLogPermission.READ_AUDIT_LOG,
    ("POST", "/audit/export"): AuditLogPermission.EXPORT_AUDIT_LOG,
    ("GET", "/live/queue"): WallboardPermission.DIRECT,
    ("GET", "/live/queue/events"): WallboardPermission.DIRECT,
    ("POST", "/live/queue/hold"): WallboardPermission.DIRECT,
    ("POST", "/live/queue/let-on"): WallboardPermission.DIRECT,
    ("POST", "/live/queue/hand-out"): WallboardPermission.DIRECT,
    ("GET", "/api/v1/pause-reasons"): SessionPermission.SIGNED_IN,
    ("POST", "/api/v1/pause-reasons"): ConsultantPermission.MANAGE_CONSULTANTS,
    ("GET", "/api/v1/skills"): SessionPermission.SIGNED_IN,
    ("POST", "/api/v1/skills"): ConsultantPermission.MANAGE_CONSULTANTS,
    ("GET", "/api/v1/consultants"): ConsultantPermission.MANAGE_CONSULTANTS,
    ("POST", "/api/v1/consultants/{extension}"): ConsultantPermission.MANAGE_CONSULTANTS,
    ("GET", "/consultants"): ConsultantPermission.MANAGE_CONSULTANTS,
    ("GET", "/consultants/{extension}"): ConsultantPermission.MANAGE_CONSULTANTS,
    ("POST", "/consultants/{extension}"): ConsultantPermission.MANAGE_CONSULTANTS,
    ("GET", "/users"): UserPermission.MANAGE_USERS,
    ("POST", "/users"): UserPermission.MANAGE_USERS,
    ("GET", "/users/{user}"): UserPermission.MANAGE_USERS,
    ("GET", "/settings"): ConfigurationPermission.VIEW_SETTINGS,
    ("GET", "/calendar"): CalendarPermission.MANAGE_CALENDAR,
    ("GET", "/calendar/{year}"): CalendarPermission.MANAGE_CALENDAR,
    ("POST", "/calendar/{year}"): CalendarPermission.MANAGE_CALENDAR,
    ("GET", "/bodies"): BodyPermission.VIEW_BODIES,
    ("GET", "/bodies/{body_code}"): BodyPermission.VIEW_BODIES,
    ("POST", "/bodies/{body_code}"): BodyPermission.EDIT_BODIES,
    ("POST", "/bodies/{body_code}/contacts/{body_contact_id}/failure"): BodyPermission.VIEW_BODIES,
    (
        "POST",
        "/bodies/{body_code}/contacts/{body_contact_id}/verified",
    ): BodyPermission.VERIFY_CONTACTS,
    ("GET", "/new-body"): BodyPermission.EDIT_BODIES,
    ("POST", "/new-body"): BodyPermission.EDIT_BODIES,
    ("GET", "/bodies-file"): BodyPermission.EDIT_BODIES,
    ("POST", "/bodies-file"): BodyPermission.EDIT_BODIES,
    ("POST", "/bodies-file/preview"): BodyPermission.EDIT_BODIES,
    ("POST", "/bodies-file/export"): BodyPermission.EDIT_BODIES,
    ("GET", "/competence"): BodyPermission.VIEW_BODIES,
    ("GET", "/competence/answers"): BodyPermission.VIEW_BODIES,
    ("POST", "/appeals/{number}/referrals"): AppealPermission.EDIT_APPEALS,
    ("GET", "/urgent-notifications/choice"): NotificationPermission.NOTIFY_BODIES,
    ("POST", "/appeals/{number}/urgent-notifications"): NotificationPermission.NOTIFY_BODIES,
    (
        "POST",
        "/appeals/{number}/urgent-notifications/{notification_id}/next",
    ): NotificationPermission.NOTIFY_BODIES,
    (
        "POST",
        "/appeals/{number}/urgent-notifications/{notification_id}/steps",
    ): NotificationPermission.NOTIFY_BODIES,
    ("GET", "/appeals/{number}/requests"): RequestPermission.MAKE_REQUESTS,
    ("POST", "/appeals/{number}/requests"): RequestPermission.MAKE_REQUESTS,
    ("GET", "/appeals/{number}/requests/{request_id}"): RequestPermission.MAKE_REQUESTS,
    ("POST", "/appeals/{number}/requests/{request_id}"): RequestPermission.MAKE_REQUESTS,
    (
        "POST",
        "/appeals/{number}/requests/{request_id}/files/{attachment_id}",
    ): RequestPermission.MAKE_REQUESTS,
    (
        "POST",
        "/appeals/{number}/requests/{request_id}/files/{attachment_id}/out",
    ): RequestPermission.MAKE_REQUESTS,
    ("POST", "/appeals/{number}/requests/{request_id}/ready"): RequestPermission.MAKE_REQUESTS,
    ("POST", "/appeals/{number}/requests/{request_id}/steps"): RequestPermission.MAKE_REQUESTS,
    ("GET", "/appeals/{number}/requests/{request_id}/text"): RequestPermission.MAKE_REQUESTS,
    (
        "GET",
        "/appeals/{number}/requests/{request_id}/released/{file_name}",
    ): RequestPermission.MAKE_REQUESTS,
    ("GET", "/people-table"): UserPermission.MANAGE_USERS,
    ("POST", "/people-table"): UserPermission.MANAGE_USERS,
    ("POST", "/people-table/preview"): UserPermission.MANAGE_USERS,
    ("POST", "/users/{user}/person"): UserPermission.MANAGE_USERS,
    ("POST", "/users/{user}/softphone"): UserPermission.MANAGE_USERS,
    ("POST", "/users/{user}/password"): UserPermission.MANAGE_USERS,
    ("POST", "/users/{user}/second-factor/{reset_id}/decision"): UserPermission.MANAGE_USERS,
    ("POST", "/users/{user}/{action}"): UserPermission.MANAGE_USERS,
    ("GET", "/api/v1/users"): UserPermission.MANAGE_USERS,
    ("POST", "/api/v1/users"): UserPermission.MANAGE_USERS,
    ("GET", "/api/v1/users/{user}"): UserPermission.MANAGE_USERS,
    ("PATCH", "/api/v1/users/{user}"): UserPermission.MANAGE_USERS,
    ("POST", "/api/v1/users/{user}/password"): UserPermission.MANAGE_USERS,
    ("DELETE", "/api/v1/users/{user}/second-factor"): UserPermission.MANAGE_USERS,
    ("GET", "/lists"): ConsultantPermission.MANAGE_CONSULTANTS,
    ("POST", "/lists/{kind}"): ConsultantPermission.MANAGE_CONSULTANTS,
    ("GET", "/design"): SessionPermission.SIGNED_IN,
    ("GET", "/duty"): ConsultantPermission.OWN_DUTY,
    ("POST", "/duty"): ConsultantPermission.OWN_DUTY,
    ("POST", "/duty/call/{what}"): ConsultantPermission.OWN_DUTY,
    ("GET", "/duty/events"): ConsultantPermission.OWN_DUTY,
    ("GET", "/duty/telephone"): ConsultantPermission.OWN_DUTY,
    ("GET", "/workspace"): ConsultantPermission.OWN_DUTY,
    ("GET", "/workspace/colleagues"): ConsultantPermission.OWN_DUTY,
    ("GET", "/workspace/day"): ConsultantPermission.OWN_DUTY,
    ("POST", "/workspace/help"): ConsultantPermission.OWN_DUTY,
    ("POST", "/workspace/written/next"): ConsultantPermission.OWN_DUTY,
    ("POST", "/workspace/longer"): ConsultantPermission.OWN_DUTY,
    ("POST", "/workspace"): ConsultantPermission.OWN_DUTY,
    ("POST", "/workspace/call/{what}"): ConsultantPermission.OWN_DUTY,
    ("GET", "/workspace/events"): ConsultantPermission.OWN_DUTY,
    ("GET", "/workspace/telephone"): ConsultantPermission.OWN_DUTY,
    ("GET", "/api/v1/duty"): ConsultantPermission.OWN_DUTY,
    ("POST", "/api/v1/duty"): ConsultantPermission.OWN_DUTY,
    ("GET", "/api/v1/calls/mine"): ConsultantPermission.OWN_DUTY,
    ("POST", "/api/v1/calls/mine/{what}"): ConsultantPermission.OWN_DUTY,
    ("POST", "/api/v1/calls"): OutboundPermission.CALL_OUT,
    ("POST", "/api/v1/appeals/{number}/ring-back"): OutboundPermission.CALL_OUT,
    ("POST", "/api/v1/appeals/{number}/no-calls"): OutboundPermission.CALL_OUT,
    ("POST", "/appeals/{number}/ring-back"): OutboundPermission.CALL_OUT,
    ("POST", "/appeals/{number}/no-calls"): OutboundPermission.CALL_OUT,
    ("GET", "/api/v1/consultants/duty"): ConsultantPermission.SUPERVISE,
    ("POST", "/api/v1/consultants/{extension}/duty"): ConsultantPermission.SUPERVISE,
    ("GET", "/api/v1/consultants/{extension}/hours"): ConsultantPermission.SUPERVISE,
    ("GET", "/appeals/{number}"): AppealPermission.VIEW_APPEALS,
    ("GET", "/appeals/{number}/record"): AppealPermission.VIEW_APPEALS,
    ("GET", "/appeals/{number}/panel"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record/draft"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record/draft/discard"): AppealPermission.EDIT_APPEALS,
    ("DELETE", "/api/v1/appeals/{number}/record/draft"): AppealPermission.EDIT_APPEALS,
    ("GET", "/api/v1/search/views"): AppealPermission.EDIT_APPEALS,
    ("POST", "/api/v1/search/views"): AppealPermission.EDIT_APPEALS,
    ("DELETE", "/api/v1/search/views/{view_id}"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record/move"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record/no-request"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record/extend"): AppealPermission.EXTEND_TERMS,
    ("POST", "/appeals/{number}/record/notice"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record/danger"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record/split"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record/join"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/contact-wishes"): AppealPermission.SEE_PERSONAL,
    ("GET", "/api/v1/appeals/{number}/contact-wishes"): AppealPermission.SEE_PERSONAL,
    ("POST", "/api/v1/appeals/{number}/contact-wishes"): AppealPermission.SEE_PERSONAL,
    ("POST", "/appeals/{number}/letters"): AppealPermission.SEE_PERSONAL,
    ("POST", "/appeals/{number}/letters/{letter_id}"): AppealPermission.SEE_PERSONAL,
    ("GET", "/api/v1/appeals/{number}/letters"): AppealPermission.SEE_PERSONAL,
    ("POST", "/api/v1/appeals/{number}/letters"): AppealPermission.SEE_PERSONAL,
    ("PUT", "/api/v1/appeals/{number}/letters/{letter_id}"): AppealPermission.SEE_PERSONAL,
    ("POST", "/appeals/{number}/attachments"): AppealPermission.SEE_SENSITIVE,
    ("GET", "/appeals/{number}/attachments/{attachment_id}"): AppealPermission.SEE_SENSITIVE,
    ("GET", "/api/v1/appeals/{number}/attachments"): AppealPermission.SEE_SENSITIVE,
    ("POST", "/api/v1/appeals/{number}/attachments"): AppealPermission.SEE_SENSITIVE,
    ("GET", "/api/v1/appeals/{number}/attachments/{attachment_id}"): AppealPermission.SEE_SENSITIVE,
    ("POST", "/appeals/{number}/record/similar"): AppealPermission.EDIT_APPEALS,
    ("GET", "/answers/{code}"): AppealPermission.EDIT_APPEALS,
    ("GET", "/questions/{person}"): AppealPermission.EDIT_APPEALS,
    ("POST", "/search/views"): AppealPermission.EDIT_APPEALS,
    ("POST", "/search/views/{view_id}/drop"): AppealPermission.EDIT_APPEALS,
    ("GET", "/masking"): AppealPermission.MASK,
    ("POST", "/masking"): AppealPermission.MASK,
    ("POST", "/masking/{masking_id}/decision"): AppealPermission.MASK,
    ("POST", "/masking/{masking_id}/end"): AppealPermission.MASK,
    ("POST", "/appeals/{number}/record/mask"): AppealPermission.MASK,
    ("GET", "/api/v1/maskings"): AppealPermission.MASK,
    ("POST", "/api/v1/maskings"): AppealPermission.MASK,
    ("POST", "/api/v1/maskings/{masking_id}/decision"): AppealPermission.MASK,
    ("POST", "/api/v1/maskings/{masking_id}/end"): AppealPermission.MASK,
    ("POST", "/api/v1/appeals/{number}/masking"): AppealPermission.MASK,
    ("GET", "/appeals/{number}/receipt"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/receipt"): AppealPermission.OVERRIDE_WISH,
    ("POST", "/appeals/{number}/receipt.pdf"): AppealPermission.OVERRIDE_WISH,
    ("GET", "/appeals/{number}/receipt.pdf"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record/remind"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/reminders/{reminder_id}/done"): AppealPermission.EDIT_APPEALS,
    ("GET", "/form"): AppealPermission.EDIT_FORM,
    ("POST", "/form"): AppealPermission.EDIT_FORM,
    ("GET", "/form/{section}/{code}"): AppealPermission.EDIT_FORM,
    ("POST", "/form/{section}/{code}"): AppealPermission.EDIT_FORM,
    ("GET", "/terms"): AppealPermission.EDIT_FORM,
    ("POST", "/terms"): AppealPermission.EDIT_FORM,
    ("GET", "/api/v1/session"): SessionPermission.SIGNED_IN,
    ("POST", "/api/v1/appeals"): AppealPermission.EDIT_APPEALS,
    ("GET", "/api/v1/appeals/{number}/record"): AppealPermission.EDIT_APPEALS,
    ("PATCH", "/api/v1/appeals/{number}/record"): AppealPermission.EDIT_APPEALS,
    ("PUT", "/api/v1/appeals/{number}/record/draft"): AppealPermission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/record/moves"): AppealPermission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/record/no-request"): AppealPermission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/record/extension"): AppealPermission.EXTEND_TERMS,
    ("POST", "/api/v1/appeals/{number}/record/extension/notice"): AppealPermission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/record/danger-passed-on"): AppealPermission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/record/parts"): AppealPermission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/record/join"): AppealPermission.EDIT_APPEALS,
    ("GET", "/api/v1/appeals/{number}/receipt"): AppealPermission.EDIT_APPEALS,
    ("GET", "/api/v1/appeals/{number}/receipt.pdf"): AppealPermission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/record/similar"): AppealPermission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/reminders"): AppealPermission.EDIT_APPEALS,
    (
        "POST",
        "/api/v1/appeals/{number}/reminders/{reminder_id}/done",
    ): AppealPermission.EDIT_APPEALS,
    ("GET", "/api/v1/search"): AppealPermission.EDIT_APPEALS,
    ("GET", "/api/v1/search/export"): AppealPermission.EDIT_APPEALS,
    ("POST", "/search/export"): AppealPermission.EDIT_APPEALS,
    ("GET", "/api/v1/work-lists"): AppealPermission.EDIT_APPEALS,
    ("GET", "/api/v1/work-lists/{which}"): AppealPermission.EDIT_APPEALS,
    ("GET", "/api/v1/fields"): SessionPermission.SIGNED_IN,
    ("GET", "/api/v1/fields/{section}/{code}"): SessionPermission.SIGNED_IN,
    ("POST", "/api/v1/fields"): AppealPermission.EDIT_FORM,
    ("PUT", "/api/v1/fields/{section}/{code}"): AppealPermission.EDIT_FORM,
    ("GET", "/api/v1/terms"): SessionPermission.SIGNED_IN,
    ("POST", "/api/v1/terms"): AppealPermission.EDIT_FORM,
    ("POST", "/api/v1/status"): AppealPermission.ASK_STATUS,
    ("GET", "/search"): AppealPermission.VIEW_APPEALS,
    ("GET", "/search/recordings"): RecordingPermission.LISTEN,
    ("POST", "/assign-appeals"): AppealPermission.ASSIGN_APPEALS,
    ("POST", "/appeals/{number}/record/assign"): AppealPermission.ASSIGN_APPEALS,
    ("GET", "/work"): AppealPermission.EDIT_APPEALS,
    ("GET", "/appeals/{number}/written"): AppealPermission.SEE_SENSITIVE,
    ("POST", "/appeals/{number}/written/{message_id}/phone"): AppealPermission.SEE_CALLER_NUMBER,
    ("POST", "/appeals/{number}/written/take"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/written/give-back"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/written/done"): AppealPermission.EDIT_APPEALS,
    ("POST", "/api/v1/intake/messages"): IntakePermission.SEND,
    ("POST", "/api/v1/intake/messages/{message_id}/files"): IntakePermission.SEND,
    ("GET", "/new-appeal"): AppealPermission.EDIT_APPEALS,
    ("POST", "/new-appeal"): AppealPermission.EDIT_APPEALS,
    ("GET", "/promises"): ConsultantPermission.SUPERVISE,
    ("POST", "/promises/{promise_id}/close"): ConsultantPermission.SUPERVISE,
    ("POST", "/appeals/{number}/oral-contacts"): AppealPermission.EDIT_APPEALS,
    ("GET", "/appeals/{number}/psychological-notes"): AppealPermission.SEE_SENSITIVE,
    ("POST", "/appeals/{number}/psychological-notes"): AppealPermission.SEE_SENSITIVE,
    ("POST", "/appeals/{number}/follow-ups"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/follow-ups/declined"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/follow-ups/{follow_up_id}"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/talks"): AppealPermission.SEE_SENSITIVE,
    ("POST", "/appeals/{number}/talks/{talk_id}/done"): AppealPermission.SEE_SENSITIVE,
    ("POST", "/appeals/{number}/caller-number"): AppealPermission.SEE_CALLER_NUMBER,
    ("POST", "/api/v1/appeals/{number}/caller-number"): AppealPermission.SEE_CALLER_NUMBER,
    ("POST", "/blocked/{block_id}/number"): BlocklistPermission.BLOCK_NUMBERS,
    ("POST", "/plans/{plan_id}/number"): CarePlanPermission.MANAGE_PLANS,
    ("POST", "/demands/{demand_number}/number"): DemandPermission.HANDLE_DEMANDS,
    ("GET", "/presets"): AppealPermission.EDIT_FORM,
    ("POST", "/presets"): AppealPermission.EDIT_FORM,
    ("GET", "/presets/{preset_id}"): AppealPermission.EDIT_FORM,
    ("POST", "/presets/{preset_id}"): AppealPermission.EDIT_FORM,
    ("POST", "/appeals/{number}/record/preset"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/call"): OutboundPermission.CALL_OUT,
    ("POST", "/appeals/{number}/messages/{message_id}/done"): RecordingPermission.LISTEN,
    ("GET", "/api/v1/promises"): ConsultantPermission.SUPERVISE,
    ("POST", "/api/v1/promises/{promise_id}/close"): ConsultantPermission.SUPERVISE,
    ("GET", "/api/v1/cut-off-calls"): AppealPermission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/not-called-back"): AppealPermission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/not-called-back"): AppealPermission.EDIT_APPEALS,
    ("GET", "/plans"): CarePlanPermission.MANAGE_PLANS,
    ("POST", "/plans"): CarePlanPermission.MANAGE_PLANS,
    ("POST", "/plans/{plan_id}/review"): CarePlanPermission.MANAGE_PLANS,
    ("POST", "/plans/{plan_id}/end"): CarePlanPermission.MANAGE_PLANS,
    ("GET", "/api/v1/plans"): CarePlanPermission.MANAGE_PLANS,
    ("GET", "/api/v1/calls/mine/caller"): ConsultantPermission.OWN_DUTY,
    ("GET", "/demands"): DemandPermission.HANDLE_DEMANDS,
    ("POST", "/demands"): DemandPermission.HANDLE_DEMANDS,
    ("GET", "/demands/{demand_number}"): DemandPermission.HANDLE_DEMANDS,
    ("GET", "/demands/{demand_number}/scan"): DemandPermission.HANDLE_DEMANDS,
    ("POST", "/demands/{demand_number}/search"): DemandPermission.HANDLE_DEMANDS,
    ("POST", "/demands/{demand_number}/check"): DemandPermission.HANDLE_DEMANDS,
    ("POST", "/demands/{demand_number}/withdraw"): DemandPermission.HANDLE_DEMANDS,
    ("POST", "/demands/{demand_number}/acknowledge"): DemandPermission.HANDLE_DEMANDS,
    ("POST", "/demands/{demand_number}/carrier"): DemandPermission.HANDLE_DEMANDS,
    ("POST", "/demands/{demand_number}/return"): DemandPermission.RELEASE_DEMANDS,
    ("POST", "/demands/{demand_number}/refuse"): DemandPermission.RELEASE_DEMANDS,
    ("POST", "/demands/{demand_number}/release"): DemandPermission.RELEASE_DEMANDS,
    ("GET", "/demands/{demand_number}/letter"): DemandPermission.HANDLE_DEMANDS,
    ("POST", "/demands/{demand_number}/hold"): DemandPermission.RELEASE_DEMANDS,
    ("GET", "/authority/demands/{demand_number}/letter"): DemandPermission.FILE_DEMANDS,
    ("POST", "/demand-keys"): DemandPermission.HANDLE_DEMANDS,
    ("POST", "/demand-keys/{key_id}/confirm"): DemandPermission.RELEASE_DEMANDS,
    ("POST", "/demand-keys/{key_id}/revoke"): DemandPermission.RELEASE_DEMANDS,
    ("GET", "/authority/demands"): DemandPermission.FILE_DEMANDS,
    ("POST", "/authority/demands"): DemandPermission.FILE_DEMANDS,
    ("POST", "/authority/demands/{demand_number}/withdraw"): DemandPermission.FILE_DEMANDS,
    ("POST", "/authority/demands/{demand_number}/acknowledge"): DemandPermission.FILE_DEMANDS,
    ("POST", "/authority/demands/{demand_number}/download"): DemandPermission.FILE_DEMANDS,
    ("POST", "/authority/keys"): DemandPermission.FILE_DEMANDS,
    ("GET", "/authority/center.pem"): DemandPermission.FILE_DEMANDS,
    ("GET", "/authority/verify_bundle.py"): DemandPermission.FILE_DEMANDS,
    ("GET", "/records-office"): DemandPermission.WORK_IN_RECORDS_OFFICE,
    ("GET", "/authority/demands/{demand_number}/open"): DemandPermission.FILE_DEMANDS,
    ("POST", "/authority/address"): DemandPermission.FILE_DEMANDS,
    ("GET", "/api/v1/demands"): DemandPermission.HANDLE_DEMANDS,
    ("GET", "/api/v1/demands/{demand_number}"): DemandPermission.HANDLE_DEMANDS,
    ("GET", "/api/v1/authority/demands"): DemandPermission.FILE_DEMANDS,
    ("GET", "/blocked"): BlocklistPermission.BLOCK_NUMBERS,
    ("POST", "/blocked"): BlocklistPermission.BLOCK_NUMBERS,
    ("POST", "/blocked/{block_id}/lift"): BlocklistPermission.BLOCK_NUMBERS,
    ("GET", "/api/v1/blocked"): BlocklistPermission.BLOCK_NUMBERS,
    ("GET", "/api/openapi.json"): SessionPermission.SIGNED_IN,
    ("GET", "/api/v1/appeals"): AppealPermission.VIEW_APPEALS,
    ("GET", "/api/v1/appeals/{number}"): AppealPermission.VIEW_APPEALS,
    ("GET", "/recordings"): RecordingPermission.LISTEN,
    ("GET", "/recordings/{recording_id}"): RecordingPermission.LISTEN,
    ("GET", "/api/v1/recordings/{recording_id}/audio"): RecordingPermission.LISTEN,
    ("GET", "/sealed-numbers"): SealedNumberPermission.TRACE_NUMBERS,
    ("POST", "/appeals/{number}/sealed-number"): SealedNumberPermission.TRACE_NUMBERS,
    ("POST", "/sealed-numbers/{opening_id}/decision"): SealedNumberPermission.TRACE_NUMBERS,
    ("POST", "/sealed-numbers/{opening_id}/number"): SealedNumberPermission.TRACE_NUMBERS,
    ("GET", "/quarantine"): RecordingPermission.SETTLE_QUARANTINE,
    ("POST", "/quarantine/{recording_id}"): RecordingPermission.SETTLE_QUARANTINE,
    ("GET", "/erasures"): RecordingPermission.ERASE,
    ("POST", "/recordings/{recording_id}/erasure"): RecordingPermission.ERASE,
    ("POST", "/erasures/{erasure_id}/decision"): RecordingPermission.ERASE,
    ("POST", "/recordings/{recording_id}/hold"): RecordingPermission.ERASE,
    ("POST", "/recordings/{recording_id}/hold/end"): RecordingPermission.ERASE,
    ("GET", "/api/v1/erasures"): RecordingPermission.ERASE,
    ("POST", "/api/v1/recordings/{recording_id}/erasure"): RecordingPermission.ERASE,
    ("POST", "/api/v1/erasures/{erasure_id}/decision"): RecordingPermission.ERASE,
}


def test_every_route_has_the_permission_that_is_expected(app: FastAPI) -> None:
    assert {
        (method, path): permission
        for path, methods, permission in route_permissions(app)
        for method in methods
    } == EXPECTED


@pytest.mark.parametrize("role", [None, *Role], ids=lambda role: role.value if role else "nobody")
async def test_every_route_lets_in_whom_it_should(
    app: FastAPI,
    enter: Enter,
    engine: AsyncEngine,
    redis: Redis,
    settings: Settings,
    call: Call,
    filled_in: dict[str, str],
    role: Role | None,
) -> None:
    await redis.hset("desk:roster", "2001", "kk ru")
    grantee = role or NonUser.VISITOR
    async for client, token, method, route in everywhere(app, enter, role):
        # Two routes close a promise, and where there was no request files and reminders go.
        if "{promise_id}" in route:
            filled_in["promise_id"] = str(await owe(engine, call))
        elif "{talk_id}" in route:
            filled_in["talk_id"] = str(await booked_talk(engine, call))
        elif "{follow_up_id}" in route:
            filled_in["follow_up_id"] = str(await booked_follow_up(engine, call))
        elif "{reminder_id}" in route:
            filled_in["reminder_id"] = await reminder(settings, engine, call)
        elif "{attachment_id}" in route:
            filled_in["attachment_id"] = await attached(enter, call.number)
        data = None if method in READING else {"form_token": token}
        answer = await client.request(method, route.format(**filled_in), data=data)
        where = f"{method} {route}"
        if grantee in EXPECTED[method, route].granted_to:
            assert answer.status_code not in (403, 404, 500, 503), where
            assert not is_to_sign_in(answer.headers.get("location")) or route == "/sign-out"
            assert answer.status_code != 401 or route == "/sign-in", where
        elif role is not None:
            assert answer.status_code == 403, where
        elif route.startswith("/api/"):
            assert answer.status_code == 401, where
        else:
            assert is_to_sign_in(answer.headers.get("location")), where


async def test_no_page_shows_a_whole_number_unasked(
    app: FastAPI,
    enter: Enter,
    engine: AsyncEngine,
    redis: Redis,
    filled_in: dict[str, str],
) -> None:
    now = datetime.now(UTC)
    criteria = SearchCriteria(caller_number=CALLER, since=now - timedelta(days=1), until=now)
    demand = await service.register(engine, OFFICER, demand_form(criteria=criteria))
    filled_in["demand_number"] = demand.number
    shown = set[str]()
    async for client, _, method, route in everywhere(app, enter, Role.HEAD):
        if method != "GET":
            continue
        answer = await client.get(route.format(**filled_in))
        if WHOLE_NUMBER.search(answer.text):
            shown.add(route)
    assert shown == set()


async def everywhere(
    app: FastAPI, enter: Enter, role: Role | None
) -> AsyncIterator[tuple[httpx.AsyncClient, str, str, str]]:
    """A browser signed in with this role, the token of its forms, and each method and route.

    Last come those after which nothing personal is left: files and reminders are not there then.
    """
    routes = [context.original_route for context in iter_route_contexts(app.routes)]
    async with AsyncExitStack() as stack:
        client: httpx.AsyncClient | None = None
        for route in sorted(routes, key=lambda route: "no-request" in getattr(route, "path", "")):
            assert isinstance(route, APIRoute)
            for method in route.methods or ():
                if client is None:
                    client = await stack.enter_async_context(enter(role))
                    # A page that everybody gets: not found, not permitted, or the sign-in.
                    token = await form_token(client, "/appeals/0")
                yield client, token, method, route.path
                if route.path == "/sign-out":
                    client = None


async def invite_somebody(engine: AsyncEngine) -> str:
    """The token of an open invitation."""
    user = await add_user(engine, "invited", Role.CONSULTANT)
    async with unit_of_work(engine) as connection:
        return (await invitations.invite(connection, user))[0]


@pytest.fixture
async def filled_in(
    enter: Enter, engine: AsyncEngine, settings: Settings, call: Call
) -> dict[str, str]:
    """Something that is there for every name in a route."""
    file = await attached(enter, call.number)
    return {
        "user": (await add_user(engine, "somebody", Role.CONSULTANT)).name,
        "action": "enable",
        "year": "2027",
        "token": await invite_somebody(engine),
        "number": call.number,
        "attachment_id": file,
        "request_id": str(await request_that_is_ready(settings, engine, call, UUID(file))),
        "file_name": "1.txt",
        "notification_id": str(await notification_that_is_open(engine, call)),
        "reminder_id": await reminder(settings, engine, call),
        "recording_id": str(call.recording),
        "preset_id": "00000000-0000-4000-8000-000000000001",
        "talk_id": str(await booked_talk(engine, call)),
        "follow_up_id": str(await booked_follow_up(engine, call)),
        "message_id": str(await leave_message(engine, call)),
        "erasure_id": str(UUID(int=0)),
        "opening_id": str(UUID(int=0)),
        "reset_id": str(UUID(int=0)),
        "masking_id": str(UUID(int=0)),
        "view_id": str(UUID(int=0)),
        "letter_id": str(UUID(int=0)),
        "name": "style.css",
        "room": "wallboard",
        "page_name": "live",
        "what": "hold",
        "which": "mine",
        "extension": "2001",  # of the consultant who talked in the call
        "kind": "skill",
        "queue": "kk",
        "section": "appeal",
        "code": "content",
        "person": "affected2",
        "call_id": "1.1",
        "plan_id": str(await plan_for_somebody(engine)),
        "block_id": str(await block_somebody(engine)),
        "demand_number": (await service.register(engine, OFFICER, demand_form())).number,
        "key_id": str(await key_of_somebody(engine)),
        "body_code": "internal_affairs",
        "body_contact_id": str(await contact_of_a_body(engine)),
    }


def is_to_sign_in(location: str | None) -> bool:
    return location is not None and location.startswith("/sign-in")


async def test_a_machine_goes_nowhere_but_where_it_may(
    app: FastAPI, engine: AsyncEngine, call: Call
) -> None:
    async with unit_of_work(engine) as connection:
        await api_clients.add(connection, "portal", "token", permissions_of(NonUser.MACHINE))
    async with browse(app, headers={"Authorization": "Bearer token"}) as client:
        for (method, route), permission in EXPECTED.items():
            path = re.sub(r"{\w+}", call.number, route)
            answer = await client.request(method, path)
            allowed = NonUser.MACHINE in permission.granted_to
            assert (answer.status_code == 403) is not allowed, f"{method} {route}"


def test_who_listens_to_whom() -> None:
    own, team, everybody = (
        permission.granted_to
        for permission in (
            RecordingPermission.LISTEN,
            RecordingPermission.LISTEN_TO_TEAM,
            RecordingPermission.LISTEN_TO_ALL_TEAMS,
        )
    )
    assert own == {Role.CONSULTANT, Role.SENIOR, Role.RECORDS_OFFICER, Role.HEAD}
    assert everybody == {Role.RECORDS_OFFICER, Role.HEAD}
    assert team | everybody == own - {Role.CONSULTANT}


async def test_unknown_and_foreign_recordings_look_the_same(enter: Enter) -> None:
    async with enter(Role.AUDITOR) as client:
        answer = await client.get(f"/api/v1/recordings/{uuid4()}/audio?reason=work")
    assert answer.status_code == 403
