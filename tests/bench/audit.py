"""How long a long audit log takes to be verified: `python -m tests.bench audit`."""

import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from psycopg.types.json import Jsonb

from callcenter.launcher.supervisor import environment
from callcenter.platform.audit.rules.hash_chain import GENESIS, Entry, next_hash
from tests.postgres import durable_server
from tests.services import CALLCENTER

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = "id, at, who, action, subject, detail, from_address, hash"


def verifying(folder: Path, count: int, say: Callable[[str], None]) -> str:
    """What `callcenter audit verify` says of so many entries, its seconds and its memory."""
    with durable_server(folder) as settings:
        begun = time.monotonic()
        with (
            psycopg.connect(settings.database) as connection,
            connection.cursor() as cursor,
            cursor.copy(f"COPY audit_entry ({COLUMNS}) FROM STDIN") as copy,
        ):
            for row in _rows(count):
                copy.write_row(row)
        say(f"{count} entries were made in {time.monotonic() - begun:.0f} s")
        begun = time.monotonic()
        done = subprocess.run(
            (*CALLCENTER, "audit", "verify"),
            env={**os.environ, **environment(settings)},
            check=True,
            capture_output=True,
            text=True,
        )
        taken = time.monotonic() - begun
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return f"{done.stdout}{taken:.1f} s; {largest:.0f} MB at most"


def _rows(count: int) -> Iterator[tuple[object, ...]]:
    """As the product writes them: who looked at which appeal, from where."""
    last = GENESIS
    for number in range(1, count + 1):
        at = BEGAN + timedelta(seconds=30 * number)
        detail = {"by": "page", "filters": "Айгүл"}
        subject, action = f"appeal:{number % 5000:010}", "web:appeal:viewed"
        entry = Entry(number, at, "user:aigul", action, subject, detail, "127.0.0.1")
        last = next_hash(last, entry)
        yield (number, at, entry.who, action, subject, Jsonb(detail), entry.from_address, last)
