"""Whom a consultant asks for: an extension, or a skill."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.telephony.acd.rules.transfer_target import TransferTarget, parse_target


@pytest.mark.parametrize(
    ("written", "whom"),
    [
        ("204", TransferTarget("204")),
        ("skill:lawyer", TransferTarget(skill="lawyer", level=1)),
        ("skill:lawyer:3", TransferTarget(skill="lawyer", level=3)),
    ],
)
def test_a_target_is_an_extension_or_skill_with_level(written: str, whom: TransferTarget) -> None:
    assert parse_target(written) == whom


@pytest.mark.parametrize(
    "written",
    [
        *("", "20", "2040000", "204 205", "204\n", "@204", "lawyer", "skill:", "skill:Lawyer"),
        *("skill:lawyer:0", "skill:lawyer:6", "skill:lawyer:33", "skill:lawyer lawyer"),
        "skill:lawyer\n",
    ],
)
def test_what_means_nobody_is_not_guessed(written: str) -> None:
    assert parse_target(written) is None


@given(st.text("skil:aw_0123456789@ \n", max_size=60))
def test_whatever_is_written_the_target_can_be_dialled_for_it(written: str) -> None:
    whom = parse_target(written)
    if whom is not None:
        assert (whom.extension is None) != (whom.skill is None)
        assert whom.level in range(1, 6)
        assert " " not in "".join(whom.detail().values())
