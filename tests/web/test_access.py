"""Who may go where: every route of the site, as every role and as nobody."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.demands import deeds
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.web import machines
from callcenter.web.access import READING, demands
from callcenter.web.permissions import GRANTS, MACHINE, Permission, Role
from tests.demands.conftest import OFFICER, filing
from tests.web.browser import form_token
from tests.web.conftest import Call, Enter, add_user, browse
from tests.web.promised import owe
from tests.web.somebody import (
    attached,
    block_somebody,
    key_of_somebody,
    plan_for_somebody,
    reminder,
)

#: The permission of every route, told again: a slip in one place is found in the other.
EXPECTED = {
    ("GET", "/"): Permission.SIGNED_IN,
    ("GET", "/sign-in"): Permission.OPEN,
    ("POST", "/sign-in"): Permission.OPEN,
    ("GET", "/sign-in/provider"): Permission.OPEN,
    ("GET", "/sign-in/provider/back"): Permission.OPEN,
    ("GET", "/signed-out"): Permission.OPEN,
    ("GET", "/password"): Permission.SIGNED_IN,
    ("POST", "/password"): Permission.SIGNED_IN,
    ("GET", "/second-factor"): Permission.ENTERING,
    ("POST", "/second-factor"): Permission.ENTERING,
    ("POST", "/sign-out"): Permission.SIGNED_IN,
    ("POST", "/language"): Permission.OPEN,
    ("GET", "/static/{name}"): Permission.OPEN,
    ("GET", "/health/live"): Permission.OPEN,
    ("GET", "/health/ready"): Permission.OPEN,
    ("GET", "/appeals"): Permission.VIEW_APPEALS,
    ("GET", "/live"): Permission.VIEW_LIVE,
    ("GET", "/live/events"): Permission.VIEW_LIVE,
    ("GET", "/api/v1/live"): Permission.VIEW_LIVE,
    ("GET", "/api/v1/live/events"): Permission.VIEW_LIVE,
    ("POST", "/api/v1/conversations/{extension}/supervision"): Permission.HEAR_CALLS,
    ("GET", "/api/v1/floor"): Permission.DIRECT,
    ("POST", "/api/v1/queues/{queue}/hold"): Permission.DIRECT,
    ("POST", "/api/v1/queues/{queue}/let-on"): Permission.DIRECT,
    ("POST", "/api/v1/waiting/{call_id}/hand-out"): Permission.DIRECT,
    ("GET", "/live/consultants/{extension}"): Permission.SUPERVISE,
    ("POST", "/live/consultants/{extension}/duty"): Permission.SUPERVISE,
    ("POST", "/live/consultants/{extension}/supervision"): Permission.HEAR_CALLS,
    ("GET", "/live/queue"): Permission.DIRECT,
    ("POST", "/live/queue/hold"): Permission.DIRECT,
    ("POST", "/live/queue/let-on"): Permission.DIRECT,
    ("POST", "/live/queue/hand-out"): Permission.DIRECT,
    ("GET", "/api/v1/pause-reasons"): Permission.SIGNED_IN,
    ("POST", "/api/v1/pause-reasons"): Permission.MANAGE_CONSULTANTS,
    ("GET", "/api/v1/skills"): Permission.SIGNED_IN,
    ("POST", "/api/v1/skills"): Permission.MANAGE_CONSULTANTS,
    ("GET", "/api/v1/consultants"): Permission.MANAGE_CONSULTANTS,
    ("POST", "/api/v1/consultants/{extension}"): Permission.MANAGE_CONSULTANTS,
    ("GET", "/consultants"): Permission.MANAGE_CONSULTANTS,
    ("GET", "/consultants/{extension}"): Permission.MANAGE_CONSULTANTS,
    ("POST", "/consultants/{extension}"): Permission.MANAGE_CONSULTANTS,
    ("GET", "/users"): Permission.MANAGE_USERS,
    ("POST", "/users"): Permission.MANAGE_USERS,
    ("GET", "/users/{user}"): Permission.MANAGE_USERS,
    ("POST", "/users/{user}/password"): Permission.MANAGE_USERS,
    ("POST", "/users/{user}/{deed}"): Permission.MANAGE_USERS,
    ("GET", "/api/v1/users"): Permission.MANAGE_USERS,
    ("POST", "/api/v1/users"): Permission.MANAGE_USERS,
    ("GET", "/api/v1/users/{user}"): Permission.MANAGE_USERS,
    ("PATCH", "/api/v1/users/{user}"): Permission.MANAGE_USERS,
    ("POST", "/api/v1/users/{user}/password"): Permission.MANAGE_USERS,
    ("DELETE", "/api/v1/users/{user}/second-factor"): Permission.MANAGE_USERS,
    ("GET", "/lists"): Permission.MANAGE_CONSULTANTS,
    ("POST", "/lists/{kind}"): Permission.MANAGE_CONSULTANTS,
    ("GET", "/duty"): Permission.OWN_DUTY,
    ("POST", "/duty"): Permission.OWN_DUTY,
    ("POST", "/duty/call/{what}"): Permission.OWN_DUTY,
    ("GET", "/duty/events"): Permission.OWN_DUTY,
    ("GET", "/duty/telephone"): Permission.OWN_DUTY,
    ("GET", "/api/v1/duty"): Permission.OWN_DUTY,
    ("POST", "/api/v1/duty"): Permission.OWN_DUTY,
    ("GET", "/api/v1/calls/mine"): Permission.OWN_DUTY,
    ("POST", "/api/v1/calls/mine/{what}"): Permission.OWN_DUTY,
    ("POST", "/api/v1/calls"): Permission.CALL_OUT,
    ("POST", "/api/v1/appeals/{number}/ring-back"): Permission.CALL_OUT,
    ("POST", "/api/v1/appeals/{number}/no-calls"): Permission.CALL_OUT,
    ("POST", "/appeals/{number}/ring-back"): Permission.CALL_OUT,
    ("POST", "/appeals/{number}/no-calls"): Permission.CALL_OUT,
    ("GET", "/api/v1/consultants/duty"): Permission.SUPERVISE,
    ("POST", "/api/v1/consultants/{extension}/duty"): Permission.SUPERVISE,
    ("GET", "/api/v1/consultants/{extension}/hours"): Permission.SUPERVISE,
    ("GET", "/appeals/{number}"): Permission.VIEW_APPEALS,
    ("GET", "/appeals/{number}/record"): Permission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record"): Permission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record/draft"): Permission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record/draft/discard"): Permission.EDIT_APPEALS,
    ("DELETE", "/api/v1/appeals/{number}/record/draft"): Permission.EDIT_APPEALS,
    ("GET", "/api/v1/search/views"): Permission.EDIT_APPEALS,
    ("POST", "/api/v1/search/views"): Permission.EDIT_APPEALS,
    ("DELETE", "/api/v1/search/views/{view_id}"): Permission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record/move"): Permission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record/no-request"): Permission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record/extend"): Permission.EXTEND_TERMS,
    ("POST", "/appeals/{number}/record/notice"): Permission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record/danger"): Permission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record/split"): Permission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record/join"): Permission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/letters"): Permission.SEE_PERSONAL,
    ("POST", "/appeals/{number}/letters/{letter_id}"): Permission.SEE_PERSONAL,
    ("GET", "/api/v1/appeals/{number}/letters"): Permission.SEE_PERSONAL,
    ("POST", "/api/v1/appeals/{number}/letters"): Permission.SEE_PERSONAL,
    ("PUT", "/api/v1/appeals/{number}/letters/{letter_id}"): Permission.SEE_PERSONAL,
    ("POST", "/appeals/{number}/attachments"): Permission.SEE_SENSITIVE,
    ("GET", "/appeals/{number}/attachments/{attachment_id}"): Permission.SEE_SENSITIVE,
    ("GET", "/api/v1/appeals/{number}/attachments"): Permission.SEE_SENSITIVE,
    ("POST", "/api/v1/appeals/{number}/attachments"): Permission.SEE_SENSITIVE,
    ("GET", "/api/v1/appeals/{number}/attachments/{attachment_id}"): Permission.SEE_SENSITIVE,
    ("POST", "/appeals/{number}/record/similar"): Permission.EDIT_APPEALS,
    ("POST", "/search/views"): Permission.EDIT_APPEALS,
    ("POST", "/search/views/{view_id}/drop"): Permission.EDIT_APPEALS,
    ("GET", "/masking"): Permission.MASK,
    ("POST", "/masking"): Permission.MASK,
    ("POST", "/masking/{masking_id}/decision"): Permission.MASK,
    ("POST", "/masking/{masking_id}/end"): Permission.MASK,
    ("POST", "/appeals/{number}/record/mask"): Permission.MASK,
    ("GET", "/api/v1/maskings"): Permission.MASK,
    ("POST", "/api/v1/maskings"): Permission.MASK,
    ("POST", "/api/v1/maskings/{masking_id}/decision"): Permission.MASK,
    ("POST", "/api/v1/maskings/{masking_id}/end"): Permission.MASK,
    ("POST", "/api/v1/appeals/{number}/masking"): Permission.MASK,
    ("GET", "/appeals/{number}/receipt"): Permission.EDIT_APPEALS,
    ("GET", "/appeals/{number}/receipt.pdf"): Permission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/record/remind"): Permission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/reminders/{reminder_id}/done"): Permission.EDIT_APPEALS,
    ("GET", "/form"): Permission.EDIT_FORM,
    ("POST", "/form"): Permission.EDIT_FORM,
    ("GET", "/form/{section}/{code}"): Permission.EDIT_FORM,
    ("POST", "/form/{section}/{code}"): Permission.EDIT_FORM,
    ("GET", "/terms"): Permission.EDIT_FORM,
    ("POST", "/terms"): Permission.EDIT_FORM,
    ("GET", "/api/v1/session"): Permission.SIGNED_IN,
    ("POST", "/api/v1/appeals"): Permission.EDIT_APPEALS,
    ("GET", "/api/v1/appeals/{number}/record"): Permission.EDIT_APPEALS,
    ("PATCH", "/api/v1/appeals/{number}/record"): Permission.EDIT_APPEALS,
    ("PUT", "/api/v1/appeals/{number}/record/draft"): Permission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/record/moves"): Permission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/record/no-request"): Permission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/record/extension"): Permission.EXTEND_TERMS,
    ("POST", "/api/v1/appeals/{number}/record/extension/notice"): Permission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/record/danger-passed-on"): Permission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/record/parts"): Permission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/record/join"): Permission.EDIT_APPEALS,
    ("GET", "/api/v1/appeals/{number}/receipt"): Permission.EDIT_APPEALS,
    ("GET", "/api/v1/appeals/{number}/receipt.pdf"): Permission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/record/similar"): Permission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/reminders"): Permission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/reminders/{reminder_id}/done"): Permission.EDIT_APPEALS,
    ("GET", "/api/v1/search"): Permission.EDIT_APPEALS,
    ("GET", "/api/v1/search/export"): Permission.EDIT_APPEALS,
    ("POST", "/search/export"): Permission.EDIT_APPEALS,
    ("GET", "/api/v1/work-lists"): Permission.EDIT_APPEALS,
    ("GET", "/api/v1/work-lists/{which}"): Permission.EDIT_APPEALS,
    ("GET", "/api/v1/fields"): Permission.SIGNED_IN,
    ("GET", "/api/v1/fields/{section}/{code}"): Permission.SIGNED_IN,
    ("POST", "/api/v1/fields"): Permission.EDIT_FORM,
    ("PUT", "/api/v1/fields/{section}/{code}"): Permission.EDIT_FORM,
    ("GET", "/api/v1/terms"): Permission.SIGNED_IN,
    ("POST", "/api/v1/terms"): Permission.EDIT_FORM,
    ("POST", "/api/v1/status"): Permission.ASK_STATUS,
    ("GET", "/search"): Permission.EDIT_APPEALS,
    ("GET", "/work"): Permission.EDIT_APPEALS,
    ("GET", "/new-appeal"): Permission.EDIT_APPEALS,
    ("POST", "/new-appeal"): Permission.EDIT_APPEALS,
    ("GET", "/promises"): Permission.SUPERVISE,
    ("POST", "/promises/{promise_id}/close"): Permission.SUPERVISE,
    ("GET", "/api/v1/promises"): Permission.SUPERVISE,
    ("POST", "/api/v1/promises/{promise_id}/close"): Permission.SUPERVISE,
    ("GET", "/hang-ups"): Permission.SUPERVISE,
    ("GET", "/api/v1/hang-ups"): Permission.SUPERVISE,
    ("POST", "/api/v1/appeals/{number}/hang-up-reason"): Permission.OWN_DUTY,
    ("POST", "/appeals/{number}/hang-up-reason"): Permission.OWN_DUTY,
    ("GET", "/api/v1/cut-off-calls"): Permission.EDIT_APPEALS,
    ("POST", "/api/v1/appeals/{number}/not-called-back"): Permission.EDIT_APPEALS,
    ("POST", "/appeals/{number}/not-called-back"): Permission.EDIT_APPEALS,
    ("GET", "/plans"): Permission.MANAGE_PLANS,
    ("POST", "/plans"): Permission.MANAGE_PLANS,
    ("POST", "/plans/{plan_id}/review"): Permission.MANAGE_PLANS,
    ("POST", "/plans/{plan_id}/end"): Permission.MANAGE_PLANS,
    ("GET", "/api/v1/plans"): Permission.MANAGE_PLANS,
    ("GET", "/api/v1/calls/mine/caller"): Permission.OWN_DUTY,
    ("GET", "/demands"): Permission.HANDLE_DEMANDS,
    ("POST", "/demands"): Permission.HANDLE_DEMANDS,
    ("GET", "/demands/{demand_number}"): Permission.HANDLE_DEMANDS,
    ("GET", "/demands/{demand_number}/scan"): Permission.HANDLE_DEMANDS,
    ("POST", "/demands/{demand_number}/search"): Permission.HANDLE_DEMANDS,
    ("POST", "/demands/{demand_number}/check"): Permission.HANDLE_DEMANDS,
    ("POST", "/demands/{demand_number}/withdraw"): Permission.HANDLE_DEMANDS,
    ("POST", "/demands/{demand_number}/acknowledge"): Permission.HANDLE_DEMANDS,
    ("POST", "/demands/{demand_number}/carrier"): Permission.HANDLE_DEMANDS,
    ("POST", "/demands/{demand_number}/return"): Permission.RELEASE_DEMANDS,
    ("POST", "/demands/{demand_number}/refuse"): Permission.RELEASE_DEMANDS,
    ("POST", "/demands/{demand_number}/release"): Permission.RELEASE_DEMANDS,
    ("GET", "/demands/{demand_number}/letter"): Permission.HANDLE_DEMANDS,
    ("POST", "/demands/{demand_number}/hold"): Permission.RELEASE_DEMANDS,
    ("GET", "/authority/demands/{demand_number}/letter"): Permission.FILE_DEMANDS,
    ("POST", "/demand-keys"): Permission.HANDLE_DEMANDS,
    ("POST", "/demand-keys/{key_id}/confirm"): Permission.RELEASE_DEMANDS,
    ("POST", "/demand-keys/{key_id}/revoke"): Permission.RELEASE_DEMANDS,
    ("GET", "/authority/demands"): Permission.FILE_DEMANDS,
    ("POST", "/authority/demands"): Permission.FILE_DEMANDS,
    ("POST", "/authority/demands/{demand_number}/withdraw"): Permission.FILE_DEMANDS,
    ("POST", "/authority/demands/{demand_number}/acknowledge"): Permission.FILE_DEMANDS,
    ("POST", "/authority/demands/{demand_number}/download"): Permission.FILE_DEMANDS,
    ("POST", "/authority/keys"): Permission.FILE_DEMANDS,
    ("GET", "/authority/center.pem"): Permission.FILE_DEMANDS,
    ("GET", "/api/v1/demands"): Permission.HANDLE_DEMANDS,
    ("GET", "/api/v1/demands/{demand_number}"): Permission.HANDLE_DEMANDS,
    ("GET", "/api/v1/authority/demands"): Permission.FILE_DEMANDS,
    ("GET", "/blocked"): Permission.BLOCK_NUMBERS,
    ("POST", "/blocked"): Permission.BLOCK_NUMBERS,
    ("POST", "/blocked/{block_id}/lift"): Permission.BLOCK_NUMBERS,
    ("GET", "/api/v1/blocked"): Permission.BLOCK_NUMBERS,
    ("GET", "/api/openapi.json"): Permission.SIGNED_IN,
    ("GET", "/api/v1/appeals"): Permission.VIEW_APPEALS,
    ("GET", "/api/v1/appeals/{number}"): Permission.VIEW_APPEALS,
    ("GET", "/recordings"): Permission.LISTEN,
    ("GET", "/recordings/{recording_id}"): Permission.LISTEN,
    ("GET", "/api/v1/recordings/{recording_id}/audio"): Permission.LISTEN,
    ("GET", "/erasures"): Permission.ERASE,
    ("POST", "/recordings/{recording_id}/erasure"): Permission.ERASE,
    ("POST", "/erasures/{erasure_id}/decision"): Permission.ERASE,
    ("POST", "/recordings/{recording_id}/hold"): Permission.ERASE,
    ("POST", "/recordings/{recording_id}/hold/end"): Permission.ERASE,
    ("GET", "/api/v1/erasures"): Permission.ERASE,
    ("POST", "/api/v1/recordings/{recording_id}/erasure"): Permission.ERASE,
    ("POST", "/api/v1/erasures/{erasure_id}/decision"): Permission.ERASE,
}


def test_every_route_has_the_permission_that_is_expected(app: FastAPI) -> None:
    assert {
        (method, path): permission
        for path, methods, permission in demands(app)
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
    granted = GRANTS[role] if role else {Permission.OPEN}
    async for client, token, method, route in everywhere(app, enter, role):
        # Two routes close a promise, and where there was no request files and reminders go.
        if "{promise_id}" in route:
            filled_in["promise_id"] = str(await owe(engine, call))
        elif "{reminder_id}" in route:
            filled_in["reminder_id"] = await reminder(settings, engine, call)
        elif "{attachment_id}" in route:
            filled_in["attachment_id"] = await attached(enter, call.number)
        data = None if method in READING else {"form_token": token}
        answer = await client.request(method, route.format(**filled_in), data=data)
        where = f"{method} {route}"
        if EXPECTED[method, route] in granted:
            assert answer.status_code not in (403, 404, 500, 503), where
            assert not is_to_sign_in(answer.headers.get("location")) or route == "/sign-out"
            assert answer.status_code != 401 or route == "/sign-in", where
        elif role is not None:
            assert answer.status_code == 403, where
        elif route.startswith("/api/"):
            assert answer.status_code == 401, where
        else:
            assert is_to_sign_in(answer.headers.get("location")), where


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


@pytest.fixture
async def filled_in(
    enter: Enter, engine: AsyncEngine, settings: Settings, call: Call
) -> dict[str, str]:
    """Something that is there for every name in a route."""
    return {
        "user": (await add_user(engine, "somebody", Role.CONSULTANT)).name,
        "deed": "enable",
        "number": call.number,
        "attachment_id": await attached(enter, call.number),
        "reminder_id": await reminder(settings, engine, call),
        "recording_id": str(call.recording),
        "erasure_id": str(UUID(int=0)),
        "masking_id": str(UUID(int=0)),
        "view_id": str(UUID(int=0)),
        "letter_id": str(UUID(int=0)),
        "name": "style.css",
        "what": "hold",
        "which": "mine",
        "extension": "2001",  # of the consultant who talked in the call
        "kind": "skill",
        "queue": "kk",
        "section": "appeal",
        "code": "content",
        "call_id": "1.1",
        "plan_id": str(await plan_for_somebody(engine)),
        "block_id": str(await block_somebody(engine)),
        "demand_number": (await deeds.register(engine, OFFICER, filing())).number,
        "key_id": str(await key_of_somebody(engine)),
    }


def is_to_sign_in(location: str | None) -> bool:
    return location is not None and location.startswith("/sign-in")


async def test_a_machine_goes_nowhere_but_where_it_may(
    app: FastAPI, engine: AsyncEngine, call: Call
) -> None:
    async with unit_of_work(engine) as connection:
        await machines.add(connection, "portal", "token")
    async with browse(app, headers={"Authorization": "Bearer token"}) as client:
        for (method, route), permission in EXPECTED.items():
            path = re.sub(r"{\w+}", call.number, route)
            answer = await client.request(method, path)
            allowed = permission in MACHINE
            assert (answer.status_code == 403) is not allowed, f"{method} {route}"


def test_who_listens_to_whom() -> None:
    own, team, everybody = (
        {role for role, granted in GRANTS.items() if permission in granted}
        for permission in (
            Permission.LISTEN,
            Permission.LISTEN_TO_TEAM,
            Permission.LISTEN_TO_ALL_TEAMS,
        )
    )
    assert own == {Role.CONSULTANT, Role.SENIOR, Role.RECORDS_OFFICER, Role.HEAD}
    assert everybody == {Role.RECORDS_OFFICER, Role.HEAD}
    assert team | everybody == own - {Role.CONSULTANT}


async def test_an_unknown_recording_is_the_same_as_one_that_is_not_yours(enter: Enter) -> None:
    async with enter(Role.AUDITOR) as client:
        answer = await client.get(f"/api/v1/recordings/{uuid4()}/audio?reason=work")
    assert answer.status_code == 403
