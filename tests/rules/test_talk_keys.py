"""Codes that a consultant keys while talking."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.consultants.orders import Order
from callcenter.line.talk_keys import BY_ITSELF, KEYS_APART, LONGEST, WITH_TARGET, TalkKeys


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def orders(keys: str, clock: Clock | None = None) -> list[Order]:
    typed = TalkKeys("*14", clock or Clock())
    return [order for key in keys if (order := typed.key(key))]


@pytest.mark.parametrize(("code", "order"), BY_ITSELF.items())
def test_every_code_is_its_order_whatever_was_keyed_before(code: str, order: Order) -> None:
    for before in ("", "1", "*", "**", "*2", "*20", "#", "*1", "*0"):
        assert orders(before + code)[-1:] == [order], before


@pytest.mark.parametrize(("code", "what"), WITH_TARGET.items())
def test_a_code_with_a_target_ends_with_a_hash(code: str, what: str) -> None:
    assert orders(f"{code}204") == []
    assert orders(f"{code}204#") == [Order(what, "self", {"to": "204"})]
    assert orders(f"{code}#") == []
    assert orders(f"{code}2*4#") == []


def test_the_code_of_1414_is_that_of_the_settings() -> None:
    assert orders("5*14") == [Order("redirect", "self")]
    typed = TalkKeys("##")
    assert [typed.key(key) for key in "##"] == [None, Order("redirect", "self")]


def test_keys_that_come_late_are_no_code() -> None:
    clock = Clock()
    typed = TalkKeys("*14", clock)
    assert typed.key("*") is None
    clock.now += KEYS_APART + 0.1
    assert typed.key("5") is None
    assert orders("*5") == [BY_ITSELF["*5"]]


@given(st.text("0123456789*#ABCD", max_size=200))
def test_no_flood_of_keys_prevents_the_next_code(keys: str) -> None:
    typed = TalkKeys("*14", Clock())
    for key in keys:
        order = typed.key(key)
        assert order is None or len(order.detail.get("to", "")) < LONGEST
    assert [typed.key(key) for key in "*5"][-1] == BY_ITSELF["*5"]
