"""The recorded CEL log, and a worker's tools to account for its calls."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from callcenter.telephony.reconciliation.jobs import account_for_calls

RECORDED = Path(__file__).parent.parent / "protocol" / "recorded" / "cel.jsonl"


LINES = RECORDED.read_bytes().splitlines(keepends=True)


TALKED, LEFT_A_TALK, REDIRECTED = "1795534963.0", "1795534966.2", "1795534969.4"


BUSY, LEFT, KILLED = "1795534973.6", "1795534976.8", "1795534977.9"


ENDED = {
    TALKED: "fallback",
    LEFT_A_TALK: "fallback",
    REDIRECTED: "redirected",
    BUSY: "fallback",
    LEFT: "fallback",
}


AUDIO = bytes(range(256)) * 100


NOW = timedelta()


def raw(settings: Settings, call_id: str) -> Path:
    return settings.spool / f"fallback-{call_id}.raw"


def lines_of(*call_ids: str) -> list[bytes]:
    return [each for each in LINES if json.loads(each)["linkedid"] in call_ids]


def write(tools: WorkerResources, lines: list[bytes]) -> None:
    with cel_file_of(tools.settings).open("ab") as file:
        file.write(b"".join(lines))


async def account(tools: WorkerResources) -> None:
    await account_for_calls(tools, NOW)


async def everything(tools: WorkerResources) -> dict[str, list[Any]]:
    """All that may come of a CEL log, without what is made anew each time."""
    queries = {
        "appeals": "SELECT call_id, number, channel, language, caller_kind, caller_number,"
        " consultant_id, received_at, ended_at, outcome FROM appeal ORDER BY call_id",
        "events": "SELECT call_id, seq, at, kind, detail FROM appeal_event"
        " JOIN appeal ON appeal.id = appeal_id ORDER BY call_id, seq",
        "recordings": "SELECT * FROM recording ORDER BY spool_name",
        "open": "SELECT call_id, call FROM ledger_call ORDER BY call_id",
        "position": "SELECT bytes_read FROM ledger_position",
    }
    async with unit_of_work(tools.engine) as connection:
        found = {
            name: list(await connection.execute(text(query))) for name, query in queries.items()
        }
    files = sorted((file.name, file.stat().st_size) for file in tools.settings.spool.iterdir())
    return found | {"files": files}


async def outcomes(tools: WorkerResources) -> dict[str, str]:
    rows = (await everything(tools))["appeals"]
    return {call_id: outcome for call_id, *_, outcome in rows}
