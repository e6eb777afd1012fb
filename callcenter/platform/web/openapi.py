"""The OpenAPI 3.1 description: FastAPI's, with permissions and errors of all routes.

Every operation says which permission it needs and how it tells errors, so that nobody has to repeat
it at each route.
"""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from callcenter.platform.identity.permissions import NonUser, Permission
from callcenter.platform.web.authorization import READING, TOKEN_HEADER, route_permissions

PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457). Members beside these are told at the operation.",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what was wrong, and what to do"},
        "faults": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "what was wrong with each value, by where it stood",
        },
    },
}
SCHEMES = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-callcenter",
        "description": "of a person who signed in by the page",
    },
    "machine": {
        "type": "http",
        "scheme": "bearer",
        "description": "of a program that `callcenter api-clients add` made cached",
    },
}
FORM_TOKEN = {
    "name": TOKEN_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "of a session: `form_token` of /api/v1/session, unless it is in the form",
}
METHODS = frozenset({"get", "post", "put", "patch", "delete"})


def describe(app: FastAPI) -> dict[str, Any]:
    """The complete description; made once."""
    cached: dict[str, Any] | None = getattr(app.state, "description", None)
    if cached is not None:
        return cached
    described = app.openapi()
    permissions = {
        (path, method.lower()): permission
        for path, methods, permission in route_permissions(app)
        for method in methods
    }
    for path, item in described["paths"].items():
        for method in METHODS & item.keys():
            _complete(item[method], method, path, permissions[path, method])
    components = described.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = PROBLEM
    components["securitySchemes"] = SCHEMES
    app.state.description = described
    return described


def _complete(operation: dict[str, Any], method: str, path: str, permission: Permission) -> None:
    operation["x-permission"] = permission.value
    text = operation.get("description", "")
    operation["description"] = f"{text}\n\nNeeds the permission `{permission.value}`.".strip()
    machine = permission.granted_to == {NonUser.MACHINE}
    operation["security"] = [{"machine": []} if machine else {"session": []}]
    responses = operation["responses"]
    responses.pop("422", None)  # FastAPI's own, which is never given: a wrong value is 400
    changes = method.upper() not in READING
    if changes and not machine:
        operation.setdefault("parameters", []).append(FORM_TOKEN)
    names = {each["name"].lower() for each in operation.get("parameters", [])}
    statuses = {400, 401, 403, 500, 503}
    statuses |= {404} if "{" in path else set()
    statuses |= {409, 413} if changes else set()
    statuses |= {422} if "idempotency-key" in names else set()
    statuses |= {412, 428} if "if-match" in names else set()
    for status in sorted(statuses):
        problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        response = {"description": HTTPStatus(status).phrase, "content": problem}
        responses[str(status)] = response | responses.get(str(status), {})
