"""Where calls are, as a version before wrote it: it is gone on with, and read the other way too."""

import pytest

from callcenter.telephony.calls.call_state import CallStage, from_json
from tests.persisted.calls import CALLS
from tests.persisted.write import WHERE, read_written

WRITTEN_CALLS: dict[str, str] = read_written(WHERE)


@pytest.mark.parametrize("leg", WRITTEN_CALLS)
def test_call_state_is_read_and_written_as_before(leg: str) -> None:
    where = from_json(WRITTEN_CALLS[leg])
    assert where == CALLS[leg]
    assert where.to_json() == WRITTEN_CALLS[leg]


def test_every_stage_was_written() -> None:
    assert {where.stage for where in CALLS.values()} == set(CallStage)
