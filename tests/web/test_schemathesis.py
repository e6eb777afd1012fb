"""The whole API, as it describes itself, asked what nobody would think of: nothing breaks."""

from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.identity import api_clients
from callcenter.platform.identity.permissions import NonUser, Role, permissions_of
from callcenter.platform.storage.engine import unit_of_work
from tests.web.conftest import Call, Enter, add_user, browse
from tests.web.test_record_api import authorized

EXAMPLES, MORE = 3, 30  # of each operation
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
SOMEBODY = "somebody"
#: Streams that go on for a minute have tests of their own.
ENDLESS = "/api/v1/live/events"


def cases(described: dict[str, Any], call: Call, examples: int) -> list[Case[Any]]:
    """Some requests for every operation; half of those about an appeal are about one that is,
    and so of those about a person."""
    requested: list[Case[Any]] = []
    for found in schemathesis.openapi.from_dict(described).get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        if operation.path == ENDLESS:
            continue

        @settings(
            max_examples=examples,
            database=None,
            derandomize=True,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy())
        def ask(case: Case[Any]) -> None:
            if "number" in case.path_parameters and len(requested) % 2:
                case.path_parameters["number"] = call.number
            if "user" in case.path_parameters and len(requested) % 2:
                case.path_parameters["user"] = SOMEBODY
            if any(each.name.lower() == "if-match" for each in case.operation.headers):
                case.headers["If-Match"] = f'"{len(requested) % 3}"'
            requested.append(case)

        ask()
    return requested


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_whatever_the_description_permits_is_sent_and_nothing_breaks(
    app: FastAPI, engine: AsyncEngine, enter: Enter, call: Call, at_length: bool
) -> None:
    async with unit_of_work(engine) as connection:
        await api_clients.add(connection, "portal", "token", permissions_of(NonUser.MACHINE))
    await add_user(engine, SOMEBODY, Role.CONSULTANT)
    async with (
        enter(Role.HEAD) as head,
        enter(Role.SENIOR) as senior,
        enter(Role.AUTHORITY) as authority,
        enter(Role.ADMINISTRATOR) as administrator,
        browse(app, headers={"Authorization": "Bearer token"}) as portal,
    ):
        people = {
            Role.HEAD: head,
            Role.SENIOR: senior,
            Role.AUTHORITY: authority,
            Role.ADMINISTRATOR: administrator,
        }
        for client in people.values():
            await authorized(client)
        described = (await head.get("/api/openapi.json")).json()
        requested = cases(described, call, MORE if at_length else EXAMPLES)
        assert {case.operation.label for case in requested} == operations(described)
        broken = []
        for case in requested:
            permission = case.operation.definition.raw["x-permission"]
            sender = next(
                (each for role, each in people.items() if permission in permissions_of(role)),
                portal,
            )
            answer = await send(sender, case)
            assert answer.status_code not in (401, 403), case.operation.label
            try:
                case.validate_response(answer, checks=CHECKS)
            except BaseExceptionGroup as failures:
                broken += [f"{case.operation.label}: {each}" for each in failures.exceptions]
        assert not broken, "\n\n".join(broken)


async def send(client: httpx.AsyncClient, case: Case[Any]) -> httpx.Response:
    """Send it as it was generated, but signed in and with the token of our forms."""
    arguments = case.as_transport_kwargs(base_url=str(client.base_url))
    own = {name.lower() for name in ("X-Form-Token", "Authorization", "Cookie")}
    headers = {
        name.encode(): str(value).encode()
        for name, value in arguments["headers"].items()
        if name.lower() not in own
    }
    body = arguments.get("data")
    return await client.request(
        arguments["method"],
        arguments["url"],
        params=arguments.get("params"),
        headers=headers,
        json=arguments.get("json"),
        content=body if isinstance(body, (bytes, str)) else None,
        data=body if isinstance(body, dict) else None,
    )


def operations(described: dict[str, Any]) -> set[str]:
    return {
        f"{method.upper()} {path}"
        for path, item in described["paths"].items()
        for method in item
        if path != ENDLESS
    }
