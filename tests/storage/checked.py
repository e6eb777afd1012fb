"""Calls for the comparison of the register with the switch: what either says of them."""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import text

from callcenter.appeals.calls import outbound_calls
from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.store import EventRow
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.recordings import store as recordings
from callcenter.recordings.sealing.spool import name_for
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from callcenter.telephony.reconciliation.jobs import CHECK_WINDOW, check_calls
from callcenter.telephony.reconciliation.rules import Discrepancy, DiscrepancyKind
from tests.appeals import opened

BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
IN, DIALLED, CODE = "1795600000.1", "1795600100.2", "1795600200.3"
CALLED, NOT_REACHED = "called-a-line-1", "called-b-line-1"
CALLER, NETWORK = "PJSIP/operator-0000000a", "PJSIP/network-0000000b"
CONSULTANT = "PJSIP/201-0000000c"
SOME = UUID(int=111)  # names of tests are the same in every process that runs them
TEN_SECONDS = bytes(320_000)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def line(
    seconds: float, event: str, leg: str, channel: str, call: str, extra: str = "", peer: str = ""
) -> bytes:
    fields = {
        "eventtime": at(seconds).timestamp(),
        "eventtype": event,
        "uniqueid": leg,
        "linkedid": call,
        "channame": channel,
        "peer": peer,
        "eventextra": extra,
    }
    return json.dumps(fields).encode() + b"\n"


def talk(seconds: float, call: str, outside: tuple[str, str], inside: tuple[str, str]) -> bytes:
    """Ten seconds in which the two hear each other."""
    bridge = json.dumps({"bridge_id": f"talk-{call}"})
    return b"".join(
        line(seconds + after, event, leg, channel, call, bridge, peer)
        for after, event in ((0, "BRIDGE_ENTER"), (10, "BRIDGE_EXIT"))
        for (leg, channel), peer in ((outside, ""), (inside, outside[1]))
    )


CAME_IN = b"".join(
    [
        line(0, "CHAN_START", IN, CALLER, IN),
        line(0, "RECEIVED", IN, CALLER, IN, '{"extra":"+77010000001"}'),
        line(0, "ANSWER", IN, CALLER, IN),
        line(5, "CHAN_START", "called-c", CONSULTANT, IN),
        talk(6, IN, (IN, CALLER), ("called-c", CONSULTANT)),
        line(16, "CHAN_END", "called-c", CONSULTANT, IN),
        line(20, "CHAN_END", IN, CALLER, IN),
    ]
)
WENT_OUT = b"".join(
    [
        line(100, "CHAN_START", DIALLED, CONSULTANT, DIALLED),
        line(100, "APP_START", DIALLED, CONSULTANT, DIALLED),
        line(101, "CHAN_START", CALLED, NETWORK, DIALLED),
        talk(105, DIALLED, (CALLED, NETWORK), (DIALLED, CONSULTANT)),
        line(115, "CHAN_END", DIALLED, CONSULTANT, DIALLED),
        line(115, "CHAN_END", CALLED, NETWORK, DIALLED),
        line(150, "CHAN_START", NOT_REACHED, NETWORK, NOT_REACHED),
        line(170, "CHAN_END", NOT_REACHED, NETWORK, NOT_REACHED),
        line(200, "CHAN_START", CODE, CONSULTANT, CODE),
        line(200, "APP_START", CODE, CONSULTANT, CODE),
        line(202, "CHAN_END", CODE, CONSULTANT, CODE),
    ]
)


@dataclass
class CheckedCalls:
    """A call that came in and was recorded, one that was dialled, one that nobody answered."""

    tools: WorkerResources
    appeal: UUID
    recording: UUID

    def write(self, lines: bytes) -> None:
        with cel_file_of(self.tools.settings).open("ab") as file:
            file.write(lines)

    def spool(self, name: str, seconds: float = 16) -> None:
        """Ten seconds of silence, of which the last were written then."""
        file = self.tools.settings.spool / name
        file.write_bytes(TEN_SECONDS)
        os.utime(file, (at(seconds).timestamp(),) * 2)

    async def sql(self, statement: str, **values: object) -> None:
        async with unit_of_work(self.tools.engine) as connection:
            await connection.execute(text(statement), values)

    async def check(self, *, mending: bool = False) -> tuple[list[Discrepancy], list[Discrepancy]]:
        until = datetime.now(UTC)
        since = until - CHECK_WINDOW
        return await check_calls(self.tools, since=since, until=until, repair=mending)

    async def found(self) -> list[tuple[DiscrepancyKind, str]]:
        return [(each.kind, each.subject) for each in (await self.check())[0]]

    async def mend(self) -> list[DiscrepancyKind]:
        """What was mended; a second look finds nothing of it."""
        found, mended = await self.check(mending=True)
        left = [each for each in found if each not in mended]
        assert (await self.check(mending=True)) == (left, [])
        return [each.kind for each in mended]

    async def moments(self) -> list[tuple[str, object]]:
        async with unit_of_work(self.tools.engine) as connection:
            row = await appeals.find_by_call(connection, IN)
            assert row is not None
            events = await appeals.events(connection, row.id)
        return [(event.kind, event.detail.get("difference")) for event in events]


async def make_checked_calls(tools: WorkerResources) -> CheckedCalls:
    """Calls of which the register and the switch agree."""
    for file in tools.settings.spool.iterdir():
        file.unlink()
    made = CheckedCalls(tools, uuid4(), uuid4())
    made.write(CAME_IN + WENT_OUT)
    called = uuid4()
    async with unit_of_work(tools.engine) as connection:
        await opened(connection, at(0.1), call_id=IN, appeal_id=made.appeal)
        moments = [(1, 0.1, "received"), (2, 6, "connected"), (10_001, 105, "connected")]
        await appeals.add_events(
            connection,
            [EventRow(made.appeal, seq, at(when), kind, {}) for seq, when, kind in moments],
        )
        await appeals.close_appeal(
            connection, appeal_id=made.appeal, outcome="talked", ended_at=at(20.2)
        )
        for call_id, began, ended, outcome in (
            (CALLED, 100.1, 115.3, "talked"),
            ("callback-1", 149.9, 170.5, "not_reached"),
            ("outgoing-1", 300, 310, "given_up"),
        ):
            call = await outbound_calls.begin(
                connection,
                appeal_id=made.appeal,
                call_id=call_id,
                number="+77010000001",
                consultant_id=None,
                began_at=at(began),
            )
            await outbound_calls.close(connection, call.id, outcome=outcome, ended_at=at(ended))
        for recording_id, name, began in (
            (made.recording, name_for(IN, made.recording), 6),
            (called, name_for(CALLED, called), 105),
        ):
            await recordings.begin(
                connection,
                recording_id=recording_id,
                appeal_id=made.appeal,
                consultant_id=None,
                spool_name=name,
                started_at=at(began),
            )
            await recordings.close(connection, recording_id=recording_id, ended_at=at(began + 10))
            made.spool(name, began + 10)
    return made
