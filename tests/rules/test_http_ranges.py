import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.platform.core.errors import NotSatisfiable
from callcenter.platform.web.http_ranges import read_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, range(100)),
        ("bytes=0-", range(100)),
        ("bytes=4-11", range(4, 12)),
        ("bytes=90-1000", range(90, 100)),
        ("bytes=-5", range(95, 100)),
        ("bytes=-500", range(100)),
        ("bytes=99-99", range(99, 100)),
        # No range, or more than one part: all of it.
        *(
            (each, range(100))
            for each in ("", "bytes=-", "bytes=9-1", "lines=1-2", "bytes=1-2,4-5")
        ),
        ("bytes=" + "9" * 400 + "-", range(100)),
    ],
)
def test_a_range_is_read_as_the_rfc_says(header: str | None, expected: range) -> None:
    assert read_range(header, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_beyond_the_end_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(NotSatisfiable):
        read_range(header, 100)


@given(st.text("bytes=-,0123456789 ", max_size=30), st.integers(0, 100))
def test_whatever_is_requested_is_within_the_file(header: str, size: int) -> None:
    try:
        part = read_range(header, size)
    except NotSatisfiable:
        return
    assert 0 <= part.start <= part.stop <= size
