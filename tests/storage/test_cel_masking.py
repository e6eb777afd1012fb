"""Numbers of callers whose appeals are masked are masked in CEL too, and nothing else is."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from sqlalchemy import insert, select

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.tables import masked, masking
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.telephony.reconciliation.cel_rotation import rotate
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from callcenter.telephony.reconciliation.jobs import mask_cel
from tests.storage.recorded import BUSY, LEFT, TALKED, account, everything, lines_of, write

NOW = datetime(2026, 11, 26, 20, 15, tzinfo=UTC)  # days after the recorded calls
TERM = timedelta(days=30)


def numbers(cel_file: Path) -> dict[str, str]:
    """What the file says of callers, by the call."""
    events = [json.loads(each) for each in cel_file.read_text().splitlines()]
    return {
        each["linkedid"]: json.loads(each["eventextra"])["extra"]
        for each in events
        if each["eventtype"] == "RECEIVED"
    }


async def masked_appeal(tools: WorkerResources, call_id: str) -> None:
    """The appeal of this call is masked, as two people would."""
    by_two = {"asked_by": "user:a", "asked_at": NOW, "decided_by": "user:b", "decided_at": NOW}
    async with unit_of_work(tools.engine) as connection:
        query = select(appeal.c.id).where(appeal.c.call_id == call_id)
        appeal_id = (await connection.execute(query)).scalar_one()
        values = {"id": uuid4(), "appeal_id": appeal_id, "reason": "заявление", "decision": "да"}
        await connection.execute(insert(masking).values(state="approved", **values, **by_two))
        row = {"appeal_id": appeal_id, "masking_id": values["id"], "at": NOW - timedelta(hours=1)}
        await connection.execute(insert(masked).values(**row))


async def test_a_masked_appeals_number_is_masked_in_cel(tools: WorkerResources) -> None:
    cel_file = cel_file_of(tools.settings)
    write(tools, lines_of(TALKED, BUSY))
    await account(tools)
    rotate(cel_file, TERM, NOW)
    (rotated,) = cel_file.parent.iterdir()
    write(tools, lines_of(LEFT))
    before, written_today = rotated.stat(), numbers(cel_file)
    await masked_appeal(tools, TALKED)
    assert await mask_cel(tools, NOW) == 0, "reading stands there: another night"
    await account(tools)
    before_masking = await everything(tools)
    assert await mask_cel(tools, NOW) == 1
    assert numbers(rotated) == {TALKED: "x" * 12, BUSY: "+77010000003"}
    assert numbers(cel_file) == written_today
    assert (rotated.stat().st_size, rotated.stat().st_mtime_ns) == (
        before.st_size,
        before.st_mtime_ns,
    )
    await account(tools)
    assert await everything(tools) == before_masking
    assert await mask_cel(tools, NOW) == 0, "once"


async def test_packed_files_are_left_to_their_term(tools: WorkerResources) -> None:
    cel_file = cel_file_of(tools.settings)
    write(tools, lines_of(TALKED))
    await account(tools)
    packed = cel_file.with_name(f"{cel_file.name}.1.gz")
    packed.write_bytes(gzip.compress(cel_file.read_bytes()))
    await masked_appeal(tools, TALKED)
    assert await mask_cel(tools, NOW) == 0
    assert gzip.decompress(packed.read_bytes()) == cel_file.read_bytes()
