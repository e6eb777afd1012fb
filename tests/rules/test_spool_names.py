from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from callcenter.recordings.sealing.spool import name_for, read_name

CALL_IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True)


@given(CALL_IDS, st.uuids())
def test_a_name_tells_the_call_and_the_recording(call_id: str, recording_id: UUID) -> None:
    assert read_name(name_for(call_id, recording_id)) == (call_id, recording_id)


@given(st.from_regex(r"([a-z]{1,9}-)?[0-9]{1,10}[.][0-9]{1,9}", fullmatch=True))
def test_a_file_of_the_fallback_tells_its_call(call_id: str) -> None:
    assert read_name(f"fallback-{call_id}.raw") == (call_id, None)


@given(st.text())
def test_any_other_name_tells_nothing_and_breaks_nothing(name: str) -> None:
    call_id, recording_id = read_name(name)
    if call_id is None:
        assert recording_id is None
    else:
        assert name in (f"fallback-{call_id}.raw", f"{call_id}-{recording_id}.raw")
