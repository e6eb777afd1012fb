"""Random samples of stored recordings: unpredictable, and quick among millions.

All have the same chance: ids are a circle, and whatever lies in stretches of one length that begin
at points of chance is taken, twice as much as is needed, of which chance leaves what is needed. So
the index of ids finds them; to sort all of them by chance took a second for each 400 000.
"""

import secrets
from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import Uuid, bindparam, column, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.recordings.store import RecordingRow
from callcenter.recordings.tables import recording

ALL_IDS = 2**128
STRETCHES = 100

_ids = ARRAY(Uuid)
_stretch = (
    func.unnest(bindparam("first", type_=_ids), bindparam("last", type_=_ids))
    .table_valued(column("first", Uuid), column("last", Uuid))
    .render_derived("stretch")
)
_WITHIN = (
    select(*(recording.c[name] for name in RecordingRow.__slots__))
    .join(_stretch, recording.c.id.between(_stretch.c.first, _stretch.c.last))
    .where(recording.c.state == "stored")
)


async def some_stored(connection: AsyncConnection, count: int, total: int) -> list[RecordingRow]:
    """A random sample of `count` of the `total` stored recordings; all when there are no more."""
    share = 2 * count / max(total, 1)
    while True:
        first, last = zip(*_stretches(min(share, 1.0)), strict=True)
        rows = await connection.execute(_WITHIN, {"first": list(first), "last": list(last)})
        found = {row.id: RecordingRow(*row) for row in rows}
        if len(found) >= count or share >= 1:
            return secrets.SystemRandom().sample(list(found.values()), min(count, len(found)))
        share *= 2


def _stretches(share: float) -> Iterator[tuple[UUID, UUID]]:
    """The first and last ids of random stretches that cover this share of all ids."""
    pieces = STRETCHES if share < 1 else 1
    length = int(ALL_IDS * share) // pieces
    for _ in range(pieces):
        begin = secrets.randbelow(ALL_IDS)
        end = begin + length
        yield UUID(int=begin), UUID(int=min(end, ALL_IDS) - 1)
        if end > ALL_IDS:
            yield UUID(int=0), UUID(int=end - ALL_IDS - 1)
