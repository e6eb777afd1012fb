"""Every word of ours that is kept, or by which others know us: of rows, of Redis, of the switch,
of whoever calls the API, looks at the metrics, writes the settings or types the commands.
"""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import psycopg
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel

import callcenter
from callcenter.appeals.calls.labels import HANGUP_REASONS
from callcenter.appeals.calls.outbound_calls import CHANNEL as OUTGOING_CHANNEL
from callcenter.appeals.record.personal_data import CHANGES as CHANGES_OF_RECORDS
from callcenter.appeals.record.personal_data import PersonalDataPart
from callcenter.bootstrap.metrics import WorkerMetrics
from callcenter.bootstrap.web import application
from callcenter.cli import ALIASES, COMMANDS
from callcenter.consultants.accounts import REALM
from callcenter.consultants.presence import CHANGES
from callcenter.consultants.rules.states import MISSED, ON_REQUEST, PAGE_GONE, TELEPHONE
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.core.registry import offers, registered_rooms
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.oidc_sign_in import BACK, PROVIDER
from callcenter.platform.monitoring.metrics_server import BESIDE, counter, gauge
from callcenter.platform.storage.engine import open_database
from callcenter.platform.storage.redis import open_redis
from callcenter.platform.web.authorization import TOKEN_HEADER
from callcenter.platform.web.context import DONE_COOKIE, LANGUAGE_COOKIE
from callcenter.platform.web.openapi import describe
from callcenter.recordings.formats import SEALED
from callcenter.recordings.retention.service import BY_ORDER
from callcenter.recordings.sealing.spool import name_for
from callcenter.telephony.acd.command_bus import ANY_CONTROLLER, NO_CALL
from callcenter.telephony.acd.paused_queues import QUEUES
from callcenter.telephony.acd.rules.call_commands import SUPERVISE
from callcenter.telephony.acd.rules.priority import CALLBACK, MESSAGE
from callcenter.telephony.asterisk.cluster.former_heartbeats import (
    CLAIM_PREFIX,
    HEARTBEAT_EVENT,
    heartbeat_variables,
)
from callcenter.telephony.asterisk.cluster.membership import LINE, WATCHDOG
from callcenter.telephony.asterisk.resource_ids import (
    CONVERSATION_BRIDGE_PREFIX,
    ORIGINATED_PREFIX,
    SNOOP_PREFIX,
)
from callcenter.telephony.callers.blocklist.store import CHANNEL as BLOCKS_CHANNEL
from callcenter.telephony.callers.care_plans.store import CHANNEL as PLANS_CHANNEL
from callcenter.telephony.calls.conversation.in_call_codes import PLAIN_CODES, TARGET_CODES
from callcenter.telephony.calls.journal.spool import QUARANTINE_FOLDER, SUFFIX
from callcenter.telephony.outbound.service import CALL
from tests.services import write_secrets

SOURCES = Path(callcenter.__file__).parent
COLUMNS = """
    SELECT table_name, column_name, data_type FROM information_schema.columns
    WHERE table_schema = 'public' AND left(table_name, 13) <> 'procrastinate'
"""
TRIGGERS = """
    SELECT pg_get_triggerdef(pg_trigger.oid) || prosrc
    FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid WHERE NOT tgisinternal
"""
NOTIFY_CHANNEL = re.compile(r"^\w+ = \"(\w+)\"  #: .*PostgreSQL's NOTIFY", re.MULTILINE)
HERE = Path("/nowhere")

#: By what it is: the value that stays, whatever the constant is called.
CONSTANTS: Mapping[str, object] = {
    "notices of blocked numbers": BLOCKS_CHANNEL,
    "notices of plans": PLANS_CHANNEL,
    "channel of an appeal that begins with a call of ours": OUTGOING_CHANNEL,
    "id of a channel that we call": ORIGINATED_PREFIX,
    "id of a bridge of a conversation": CONVERSATION_BRIDGE_PREFIX,
    "id of a channel that overhears": SNOOP_PREFIX,
    "application of a controller": LINE,
    "application of a watchdog": WATCHDOG,
    "id of a bridge that says who takes over": CLAIM_PREFIX,
    "event of a sign of life": HEARTBEAT_EVENT,
    "variables of a sign of life": heartbeat_variables("line-1.0a", 3, "m", 5, "6"),
    "stream of changes": CHANGES,
    "place of a callback": CALLBACK,
    "place of a message": MESSAGE,
    "queues that can be held back": QUEUES,
    "languages": CALLER_LANGUAGES,
    "realm of passwords": REALM,
    "mailbox of any controller": ANY_CONTROLLER,
    "call of an order that begins one": NO_CALL,
    "order to begin a call": CALL,
    "order to supervise": SUPERVISE,
    "orders by codes": {code: [o.what, dict(o.detail)] for code, o in PLAIN_CODES.items()},
    "orders by codes with a target": dict(TARGET_CODES),
    "reasons of states": (MISSED, PAGE_GONE, ON_REQUEST, TELEPHONE),
    "who follows the groups of the provider": PROVIDER.who,
    "where the provider sends people back": BACK,
    "cookie of the language": LANGUAGE_COOKIE,
    "cookie of what is done": DONE_COOKIE,
    "header of the form's token": TOKEN_HEADER,
    "files of the journal": (SUFFIX, QUARANTINE_FOLDER),
    "file of a recording": name_for("1764230400.1", UUID(int=1)),
    "end of a sealed file": SEALED,
    "reasons of hang-ups": tuple(HANGUP_REASONS),
    "hold by an order": BY_ORDER.reason(""),
    "ports of metrics beside the worker's": BESIDE,
}


def words() -> dict[str, Any]:
    """All but columns and the worker's metrics, by kind."""
    app = _site()
    return {
        "enumerations": enumerations(),
        "constants": {name: _plain(value) for name, value in CONSTANTS.items()},
        "settings": sorted(f"CALLCENTER_{name.upper()}" for name in Settings.model_fields),
        "folders": _folders(),
        "commands": sorted({*COMMANDS, *ALIASES}),
        "metrics": sorted(set(_metrics())),
        "routes": sorted(set(_routes(app))),
        "api": sorted(set(_fields(describe(app)))),
    }


def enumerations() -> dict[str, list[str]]:
    """The values of each enumeration, by its name: that may change, the values may not."""
    for module in pkgutil.walk_packages([str(SOURCES)], "callcenter."):
        importlib.import_module(module.name)
    words: dict[type, list[str]] = {
        each: sorted([*each, *offers(each)])  # those of its rooms, when they declare them
        for each in StrEnum.__subclasses__()
    }
    ours = {each: values for each, values in (words | _keys()).items() if _is_ours(each)}
    return {f"{each.__module__}.{each.__name__}": values for each, values in ours.items()}


def _keys() -> dict[type, list[str]]:
    """The keys of what rooms offer to each other, by the class of it."""
    keys: dict[type, list[str]] = {PersonalDataPart: [CHANGES_OF_RECORDS]}
    for room in registered_rooms():
        for each in room.offers:
            if hasattr(each, "key"):
                keys.setdefault(type(each), []).append(each.key)
    return {each: sorted(values) for each, values in keys.items()}


def _is_ours(kind: type) -> bool:
    return kind.__module__.startswith("callcenter.")


def columns(connection: psycopg.Connection[Any]) -> list[str]:
    return sorted(" ".join(row) for row in connection.execute(COLUMNS))


def channels() -> set[str]:
    """Channels of PostgreSQL's NOTIFY, which constants of stores and caches name."""
    return {
        channel
        for path in SOURCES.rglob("*.py")
        for channel in NOTIFY_CHANNEL.findall(path.read_text(encoding="utf-8"))
    }


def notified_by_triggers(connection: psycopg.Connection[Any]) -> set[str]:
    """Channels of ours on which the database itself notifies."""
    found = {
        channel
        for (source,) in connection.execute(TRIGGERS)
        for channel in re.findall(r"notify\w*\('(\w+)'", source)
    }
    return {each for each in found if not each.startswith("procrastinate")}


async def metrics_of_worker(settings: Settings) -> list[str]:
    """What the worker tells, whose names are made as it runs; all of it needs both servers."""
    engine, redis = open_database(settings), open_redis(settings)
    try:
        reported = await WorkerMetrics(settings, engine, redis).figures()
        return sorted(f"{each.name} {each.type}" for each in reported)
    finally:
        await redis.aclose()
        await engine.dispose()


def _plain(value: object) -> Any:
    match value:
        case tuple():
            return list(value)
        case Mapping():
            return dict(value)
    return value


def _site() -> FastAPI:
    """The whole site, which reaches nothing."""
    with TemporaryDirectory() as folder:
        there = Settings(
            _env_file=None,
            var=folder,
            database_url="postgresql://nobody@/nowhere",
            redis_url="unix:///nowhere/redis.sock",
        )
        write_secrets(there)
        return application(there, open_database(there), open_redis(there))


def _folders() -> list[str]:
    """Where this copy keeps what it keeps, below `var`."""
    settings = Settings(_env_file=None, var=HERE)
    paths = (
        getattr(settings, name)
        for name, attribute in vars(Settings).items()
        if isinstance(attribute, property | cached_property) and not name.startswith("model_")
    )
    return sorted({str(path) for path in paths if isinstance(path, Path) and HERE in path.parents})


def _metrics() -> Iterator[str]:
    """Name, kind and label of each, as the sources have it; some names are made as it runs."""
    kinds = {each.__name__: kind for each, kind in ((gauge, "gauge"), (counter, "counter"))}
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(ast.Name(made), [ast.Constant(str(name)), _, _, *label]) if (
                    made in kinds
                ):
                    said = [each.value for each in label if isinstance(each, ast.Constant)]
                    yield " ".join([f"callcenter_{name}", kinds[made], *map(str, said)])


def _routes(app: FastAPI) -> Iterator[str]:
    """Method and path of every route, and the names in the address that it reads."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            for method in route.methods or ():
                yield f"{method} {route.path}"
                yield from (f"{method} {route.path}?{name}" for name in _requested(route.dependant))


def _requested(dependant: Dependant) -> Iterator[str]:
    for each in dependant.query_params:
        model = each.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            yield from (field.alias or name for name, field in model.model_fields.items())
        else:
            yield each.alias
    for dependency in dependant.dependencies:
        yield from _requested(dependency)


def _fields(described: dict[str, Any]) -> Iterator[str]:
    """Every name that the description of the API holds, with its type, by operation."""
    schemas = described["components"]["schemas"]
    for path, item in described["paths"].items():
        for method, operation in item.items():
            where = f"{method.upper()} {path}"
            for each in operation.get("parameters", ()):
                yield from _names(each["schema"], schemas, f"{where} {each['in']}:{each['name']}")
            yield from _contents(operation.get("requestBody", {}), schemas, f"{where} asked")
            for status, body in operation["responses"].items():
                if int(status) < HTTPStatus.BAD_REQUEST:
                    yield from _contents(body, schemas, f"{where} {status}")
                else:
                    yield f"{where} {status}"
    yield from _names(schemas["Problem"], schemas, "problem")


def _contents(body: dict[str, Any], schemas: dict[str, Any], where: str) -> Iterator[str]:
    for kind, content in body.get("content", {}).items():
        yield from _names(content.get("schema", {}), schemas, f"{where} {kind} ")


def _names(
    schema: dict[str, Any], schemas: dict[str, Any], where: str, seen: tuple[str, ...] = ()
) -> Iterator[str]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in seen:
            yield from _names(schemas[name], schemas, where, (*seen, name))
        return
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from _names(choice, schemas, where, seen)
    yield from (f"{where} = {value}" for value in schema.get("enum", ()))
    if "const" in schema:
        yield f"{where} = {schema['const']}"
    if "items" in schema:
        yield from _names(schema["items"], schemas, f"{where}[]", seen)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _names(schema["additionalProperties"], schemas, f"{where}{{}}", seen)
    for name, each in schema.get("properties", {}).items():
        yield from _names(each, schemas, f"{where}.{name}", seen)
    if "type" in schema:
        yield f"{where}: {schema['type']}"
