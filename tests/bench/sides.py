"""The two that are compared, each a whole copy under a folder of its own, with the same telephones.

`Plain` is Asterisk alone with a dialplan, app_queue and CDR in PostgreSQL. `Product` is all of
ours as `callcenter up` runs it.
"""

import asyncio
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import psycopg

from callcenter.launcher.managed_process import LaunchContext, ManagedProcess, ProcessSpec
from callcenter.launcher.port_check import ports
from callcenter.launcher.postgres import OWNER, postgres
from callcenter.launcher.process_plan import asterisk, product
from callcenter.launcher.supervisor import LaunchPlan, LaunchStep, ProcessSupervisor
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.database_roles import password_file
from callcenter.platform.storage.redis import open_redis
from callcenter.telephony.asterisk.config.binary import cli_command
from callcenter.telephony.asterisk.config.renderer import make_switch_secrets, render, write
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from tests.asterisk.switch import PASSWORD, account, with_free_ports
from tests.bench.facts import Ring, Stored, legs_of_callers, legs_of_rings
from tests.bench.stock import extensions
from tests.bench.telephones import RungLeg
from tests.polling import NotInTime

RAW_SECOND = 2 * 2 * 8000  # bytes of a second in two channels of 16 bits
SETTLED = 30.0  # seconds within which everything of the calls must be written down
#: Of ours: whom the dialplan's fallback served is registered from CEL by a job of every minute,
#: half a minute after the end of the call; and many may be.
BACKFILLED = 180.0
READY = 60.0
UNLOADED = (
    *("res_ari", "res_stasis", "app_stasis", "res_websocket_client", "res_manager_devicestate"),
    *("app_celgenuserevent", "res_cdrel", "cel_custom", "res_hep"),
)
CDR_TABLE = """
    CREATE TABLE cdr (calldate timestamptz, clid text, src text, dst text, dcontext text,
        channel text, dstchannel text, lastapp text, lastdata text, duration int, billsec int,
        disposition text, amaflags int, accountcode text, uniqueid text, userfield text)
"""
# Only the latest: callers are no key of the register, and asking must not cost what is measured.
MOMENTS = """
    SELECT a.caller_number, e.detail->>'consultant', extract(epoch FROM e.at)
    FROM appeal a JOIN appeal_event e ON e.appeal_id = a.id AND e.kind = 'ringing'
    WHERE a.caller_number = ANY(%s) AND a.received_at > now() - interval '1 hour'
"""
STORED = """
    SELECT a.caller_number, a.outcome, r.state, r.duration_ms, r.bytes
    FROM appeal a LEFT JOIN recording r ON r.appeal_id = a.id
    WHERE a.caller_number = ANY(%s) AND a.received_at > now() - interval '1 hour'
"""
STORIES = """
    SELECT a.caller_number, string_agg(format('%%s %%s %%s',
        round(extract(epoch FROM e.at - a.received_at), 2), e.kind, e.detail), '; ' ORDER BY e.seq)
    FROM appeal a JOIN appeal_event e ON e.appeal_id = a.id
    WHERE a.caller_number = ANY(%s) AND a.received_at > now() - interval '1 hour'
    GROUP BY a.id, a.caller_number
"""
UNFINISHED = """
    SELECT count(*) FROM unnest(%s::text[]) AS n (number)
    LEFT JOIN appeal a ON a.caller_number = n.number AND a.received_at > now() - interval '1 hour'
    LEFT JOIN recording r ON r.appeal_id = a.id
    WHERE a.outcome IS NULL OR r.state IN ('recording', 'closed')
"""


class Side(Protocol):
    """One of the two. `start` it, measure, `stop` it."""

    name: str
    settings: Settings

    async def start(self) -> None:
        """Everything runs when this returns; consultants may register."""

    async def stop(self) -> None:
        """Nothing of it runs when this returns. May be called twice."""

    async def cli(self, command: str) -> str:
        """What the switch's console answers."""

    async def consultants_free(self) -> None:
        """Returns when all consultants, registered before, count as free."""

    def roots(self) -> dict[str, int]:
        """Process ids by name."""

    async def settled(self, numbers: Sequence[str]) -> None:
        """Returns when all that is kept of the calls of these callers is kept."""

    async def legs(
        self, numbers: Sequence[str], legs: Sequence[RungLeg]
    ) -> dict[str, list[RungLeg]]:
        """The consultants' legs by the caller they were rung for."""

    async def stored(self, numbers: Sequence[str]) -> dict[str, Stored]:
        """What was kept of the calls, by caller."""

    async def reached_queue(self, numbers: Sequence[str]) -> set[str]:
        """Which of these callers came into the queue of the dialplan, met somebody or not."""

    async def stories(self, numbers: Sequence[str]) -> list[str]:
        """A line for each of these callers: what happened to them, in seconds, as it is kept."""


@dataclass
class Stock:
    """What stands ready before the first call."""

    consultants: int
    appeals: int = 0


class _Copy(ABC):
    """What both sides have in common: a supervisor, a database, the switch's console."""

    name = ""

    def __init__(self, folder: Path, prompts: Path, stock: Stock) -> None:
        """`prompts` are built already; `folder` must have a short path, for its sockets."""
        self.stock = stock
        # A consultant is free once registered, and again at once after a call, as with app_queue.
        settings = Settings(
            _env_file=None,
            var=folder,
            recordings=folder / "recordings",
            wrap_up=0,
            sign_in_required=False,
        )
        # Ports of RTP for a thousand calls and more, below those that the kernel gives out, and
        # whose open files (`open_files.py`) a machine allows that allows 20 000.
        self.settings = with_free_ports(settings, rtp_start=10000, rtp_end=15999)
        folder.mkdir(parents=True)
        self.settings.prompts.symlink_to(prompts)
        self.settings.spool.mkdir(parents=True)
        self.said: list[str] = []
        self._supervisor = ProcessSupervisor(self.settings, self.plan, self.said.append)
        self._database: psycopg.AsyncConnection | None = None

    @abstractmethod
    def plan(self, settings: Settings, around: LaunchContext) -> LaunchPlan:
        """What this side starts."""

    @property
    def accounts(self) -> list[Any]:
        return [account(each, PASSWORD) for each in extensions(self.stock.consultants)]

    async def start(self) -> None:
        await self._supervisor.start()

    async def stop(self) -> None:
        if self._database is not None:
            await self._database.close()
        await self._supervisor.stop()

    def part(self, name: str) -> ManagedProcess:
        """A process of it, which is started again when it dies."""
        return self._supervisor.child(name)

    def pid(self, name: str) -> int:
        return self.part(name).pid

    async def query(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """By one connection: making each costs the server 3.5 ms, which are not the side's."""
        if self._database is None:
            self._database = await psycopg.AsyncConnection.connect(
                self.settings.database, autocommit=True
            )
        cursor = await self._database.execute(query.encode(), values)
        return await cursor.fetchall()

    async def cli(self, command: str) -> str:
        """What the switch's console answers."""
        process = await asyncio.create_subprocess_exec(
            *cli_command(self.settings, command),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        answer, _ = await process.communicate()
        return answer.decode(errors="replace")


class Plain(_Copy):
    """Asterisk alone: the rendered configuration, with the benchmark's own dialplan."""

    name = "plain"

    def plan(self, settings: Settings, around: LaunchContext) -> LaunchPlan:
        switch = replace(asterisk(settings, around), prepare=self._prepare)
        return LaunchPlan(stages=([postgres(settings, around)], [switch]), ports=ports(settings))

    async def _prepare(self) -> None:
        async with await psycopg.AsyncConnection.connect(self.settings.database) as connection:
            await connection.execute(CDR_TABLE)
        make_switch_secrets(self.settings)
        write(self.settings, plain_files(self.settings, render(self.settings, self.accounts)))

    def roots(self) -> dict[str, int]:
        return {name: self.pid(name) for name in ("asterisk", "postgres")}

    async def consultants_free(self) -> None:
        async def free() -> bool:
            shown = await self.cli("queue show bench")
            return shown.count("(Not in use)") == self.stock.consultants

        await until(free, "all consultants are free", READY)

    async def settled(self, numbers: Sequence[str]) -> None:
        async def written() -> bool:
            rows = await self.query(
                "SELECT count(DISTINCT src) FROM cdr WHERE src = ANY(%s)", list(numbers)
            )
            return bool(rows[0][0] == len(numbers)) and not self._open_recordings()

        await until(written, "every call has its CDR", SETTLED)

    def _open_recordings(self) -> bool:
        spool = str(self.settings.spool)
        for each in Path(f"/proc/{self.pid('asterisk')}/fd").iterdir():
            try:
                if os.readlink(each).startswith(spool):
                    return True
            except FileNotFoundError:
                continue
        return False

    async def legs(
        self, numbers: Sequence[str], legs: Sequence[RungLeg]
    ) -> dict[str, list[RungLeg]]:
        return legs_of_callers(legs)

    async def stored(self, numbers: Sequence[str]) -> dict[str, Stored]:
        rows = await self.query("SELECT DISTINCT src FROM cdr WHERE src = ANY(%s)", list(numbers))
        stored = {}
        for (number,) in rows:
            file = self.settings.spool / f"{number}.raw"
            size = file.stat().st_size if file.exists() else 0
            stored[number] = Stored(size / RAW_SECOND if size else None, size)
        return stored

    async def reached_queue(self, numbers: Sequence[str]) -> set[str]:
        rows = await self.query(
            "SELECT DISTINCT src FROM cdr WHERE src = ANY(%s) AND lastapp = 'Queue'", list(numbers)
        )
        return {number for (number,) in rows}

    async def stories(self, numbers: Sequence[str]) -> list[str]:
        return []


def plain_files(settings: Settings, rendered: dict[str, str]) -> dict[str, str]:
    """The rendered files, changed to those of a switch without any software of ours."""
    files = dict(rendered)
    dialplan = (Path(__file__).parent / "plain" / "extensions.conf").read_text()
    files["extensions.conf"] = dialplan.replace("@PROMPTS@", str(settings.prompts)).replace(
        "@RECORDINGS@", str(settings.spool)
    )
    modules = [
        line
        for line in files["modules.conf"].splitlines()
        if not line.startswith(tuple(f"load = {name}" for name in UNLOADED))
    ]
    files["modules.conf"] = "\n".join([*modules, "load = app_read.so", "load = cdr_pgsql.so", ""])
    files["queues.conf"] = files["queues.conf"].replace("[fallback]", "[bench]")
    files["cel.conf"] = "[general]\nenable = no\n"
    files["cdr.conf"] = "[general]\nenable = yes\n"
    owner = password_file(settings.secrets_folder, OWNER)
    password = owner.read_text().strip().rpartition(":")[2]
    files["cdr_pgsql.conf"] = (
        f"[global]\nhostname = {settings.postgres_folder}\nport = 5432\n"
        f"dbname = callcenter\nuser = postgres\npassword = {password}\ntable = cdr\n"
    )
    return files


class Product(_Copy):
    """All of ours."""

    name = "ours"

    def plan(self, settings: Settings, around: LaunchContext) -> LaunchPlan:
        plan = product(settings, around)
        stock = (
            *(sys.executable, "-m", "tests.bench.stock"),
            *("--consultants", str(self.stock.consultants), "--appeals", str(self.stock.appeals)),
        )
        stages: list[Sequence[ProcessSpec | LaunchStep]] = []
        for stage in plan.stages:
            if any(member.name == "render" for member in stage):
                stages.append([LaunchStep("stock", stock)])
            stages.append(stage)
        return replace(plan, stages=stages)

    def roots(self) -> dict[str, int]:
        lines = [f"line-{number + 1}" for number in range(self.settings.controllers)]
        names = ("asterisk", "postgres", "redis", *lines, "web", "worker")
        return {name: self.pid(name) for name in names}

    async def consultants_free(self) -> None:
        redis = open_redis(self.settings)

        async def free() -> bool:
            return bool(await redis.zcard("desk:idle") == self.stock.consultants)

        try:
            await until(free, "all consultants are free", READY)
        finally:
            await redis.aclose()

    async def settled(self, numbers: Sequence[str]) -> None:
        async def written() -> bool:
            return bool((await self.query(UNFINISHED, list(numbers)))[0][0] == 0)

        await until(written, "every call has its outcome and its recording", BACKFILLED)

    async def legs(
        self, numbers: Sequence[str], legs: Sequence[RungLeg]
    ) -> dict[str, list[RungLeg]]:
        offset = time.monotonic() - time.time()
        rings = [
            Ring(number, extension, float(at) + offset)
            for number, extension, at in await self.query(MOMENTS, list(numbers))
        ]
        return legs_of_rings(rings, legs)

    async def stored(self, numbers: Sequence[str]) -> dict[str, Stored]:
        rows = await self.query(STORED, list(numbers))
        return {number: Stored.of(*row) for number, *row in rows}

    async def reached_queue(self, numbers: Sequence[str]) -> set[str]:
        return queued_by_cel(cel_file_of(self.settings).read_bytes()) & set(numbers)

    async def stories(self, numbers: Sequence[str]) -> list[str]:
        rows = await self.query(STORIES, list(numbers))
        return [f"{number}: {events}" for number, events in rows]


def queued_by_cel(lines: bytes) -> set[str]:
    """The callers who waited in the dialplan's fallback, by the lines of CEL."""
    number_of: dict[str, str] = {}
    waited = set()
    for line in lines.splitlines():
        if b"RECEIVED" in line or b"FALLBACK_WAITING" in line:
            event = json.loads(line)
            if event["eventtype"] == "RECEIVED":
                number_of[event["linkedid"]] = json.loads(event["eventextra"])["extra"]
            elif event["eventtype"] == "FALLBACK_WAITING":
                waited.add(event["linkedid"])
    return {number_of[each] for each in waited if each in number_of}


async def until(true: Callable[[], Awaitable[bool]], what: str, limit: float) -> None:
    """Poll seldom, which disturbs what is measured less; raises NotInTime after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not await true():
        if time.monotonic() > deadline:
            raise NotInTime(f"not within {limit:g} s: {what}")
        await asyncio.sleep(0.2)
