"""Codes that a consultant keys while talking."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.telephony.acd.rules.call_commands import CallCommand
from callcenter.telephony.calls.conversation.in_call_codes import (
    KEY_TIMEOUT,
    LENGTH_LIMIT,
    PLAIN_CODES,
    TARGET_CODES,
    InCallCodeReader,
)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def commands(keys: str, clock: Clock | None = None) -> list[CallCommand]:
    typed = InCallCodeReader("*14", clock or Clock())
    return [order for key in keys if (order := typed.key(key))]


@pytest.mark.parametrize(("code", "order"), PLAIN_CODES.items())
def test_every_code_is_its_order_whatever_was_keyed_before(code: str, order: CallCommand) -> None:
    for before in ("", "1", "*", "**", "*2", "*20", "#", "*1", "*0"):
        assert commands(before + code)[-1:] == [order], before


@pytest.mark.parametrize(("code", "what"), TARGET_CODES.items())
def test_a_code_with_a_target_ends_with_a_hash(code: str, what: str) -> None:
    assert commands(f"{code}204") == []
    assert commands(f"{code}204#") == [CallCommand(what, "self", {"to": "204"})]
    assert commands(f"{code}#") == []
    assert commands(f"{code}2*4#") == []


def test_the_code_of_1414_is_that_of_the_settings() -> None:
    assert commands("5*14") == [CallCommand("redirect", "self")]
    typed = InCallCodeReader("##")
    assert [typed.key(key) for key in "##"] == [None, CallCommand("redirect", "self")]


def test_keys_that_come_late_are_no_code() -> None:
    clock = Clock()
    typed = InCallCodeReader("*14", clock)
    assert typed.key("*") is None
    clock.now += KEY_TIMEOUT + 0.1
    assert typed.key("5") is None
    assert commands("*5") == [PLAIN_CODES["*5"]]


@given(st.text("0123456789*#ABCD", max_size=200))
def test_no_flood_of_keys_prevents_the_next_code(keys: str) -> None:
    typed = InCallCodeReader("*14", Clock())
    for key in keys:
        order = typed.key(key)
        assert order is None or len(order.detail.get("to", "")) < LENGTH_LIMIT
    assert [typed.key(key) for key in "*5"][-1] == PLAIN_CODES["*5"]
