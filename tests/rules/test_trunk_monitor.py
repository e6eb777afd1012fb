"""Which trunks have failed, by what two looks in a row find."""

from hypothesis import given
from hypothesis import strategies as st

from callcenter.telephony.controller.trunk_monitor import compare

LOOKS = st.dictionaries(st.sampled_from(("beeline", "kcell", "tele2")), st.booleans())


@given(before=LOOKS, now=LOOKS)
def test_a_trunk_has_failed_when_it_is_missing_twice(
    before: dict[str, bool], now: dict[str, bool]
) -> None:
    found = compare(now, compare(before, frozenset()).missing)
    assert found.failed == {name for name in now if not (now[name] or before.get(name, True))}
    assert found.present == {name for name in now if now[name]}
    assert found.missing == now.keys() - found.present


@given(now=LOOKS)
def test_one_look_finds_no_trunk_failed(now: dict[str, bool]) -> None:
    assert compare(now, frozenset()).failed == frozenset()
