"""The filters, held against what Asterisk does with a line and with arguments.

`line_of` and `arguments_of` follow `process_text_line` of main/config.c and
`__ast_app_separate_args` of main/app.c; tests/asterisk plays such a path on the real switch.
"""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.platform.core.errors import InvalidRequest
from callcenter.telephony.asterisk.config.escaping import (
    Escaped,
    argument,
    conf,
    item,
    milliseconds,
    name,
    seconds,
)

HOSTILE = st.text(alphabet=st.sampled_from("ab /.\\;,$[](){}\"'&|<>=^%#-é\n\r\t\0")) | st.text()


def line_of(text: str) -> str:
    """The value of the line `key = text`, its comment taken away and its escapes undone."""
    start = 0
    while (at := text.find(";", start)) >= 0:
        if at > 0 and text[at - 1] == "\\":
            text, start = text[: at - 1] + text[at:], at
        else:
            text = text[:at]
    return text.strip()


def arguments_of(text: str) -> list[str]:
    """The arguments of an application, as most applications take them apart."""
    found, depth, quoted, at = [""], {"(": 0, "[": 0}, False, 0
    while at < len(text):
        char = text[at]
        if char == "\\" and at + 1 < len(text):
            at += 1
            found[-1] += text[at]
        elif char == '"':
            quoted = not quoted
        elif char == "," and not quoted and not any(depth.values()):
            found.append("")
        else:
            opens = {")": "(", "]": "["}.get(char, char)
            if opens in depth:
                depth[opens] = max(0, depth[opens] + (1 if char == opens else -1))
            found[-1] += char
        at += 1
    return found


def made(filter_: Callable[[object], Escaped], text: str) -> Escaped | None:
    try:
        return filter_(text)
    except InvalidRequest:
        return None


@given(HOSTILE)
def test_a_value_stays_one_value_of_one_line(text: str) -> None:
    value = made(conf, text)
    if value is None:
        assert text != text.strip() or not text or not text.isprintable() or len(text) > 1000
    else:
        assert len(value.splitlines()) == 1
        assert line_of(value) == text


@given(HOSTILE)
def test_an_argument_stays_one_argument_without_variables(text: str) -> None:
    value = made(argument, text)
    if value is not None:
        assert "$" not in value
        assert arguments_of(line_of(f"{value}/kk/greeting,next")) == [f"{text}/kk/greeting", "next"]


@given(HOSTILE)
def test_an_item_stays_one_item_of_a_list(text: str) -> None:
    value = made(item, text)
    if value is not None:
        assert line_of(f"{value},{value}").split(",") == [text, text]


@given(HOSTILE)
def test_a_name_is_one_word(text: str) -> None:
    value = made(name, text)
    if value is not None:
        assert value.isascii()
        assert value.replace("-", "").replace("_", "").isalnum() or not value.strip("-_")


@pytest.mark.parametrize(
    "text",
    [
        "a\nexten => 111,1,System(id)",
        "a\r[operator]",
        "a\0b",
        "a\u2028b",
        " a",
        "a ",
        "",
        "a" * 1001,
    ],
)
@pytest.mark.parametrize("filter_", [conf, item, argument, name])
def test_what_would_break_a_line_is_refused(
    filter_: Callable[[object], Escaped], text: str
) -> None:
    with pytest.raises(InvalidRequest):
        filter_(text)


@pytest.mark.parametrize("text", ["${SHELL(id)}", "$[1+1]", "a&b", "a'b", 'a"b', "a\\b"])
def test_what_no_argument_can_hold_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="contains"):
        argument(text)


def test_a_path_with_brackets_and_semicolon_is_escaped() -> None:
    assert argument("/srv/a (1) [x];y") == r"/srv/a \(1\) \[x\]\;y"


def test_times_are_rounded_up_and_never_to_zero() -> None:
    assert (seconds(0.01), seconds(15), seconds(15.5)) == ("1", "15", "16")
    assert (milliseconds(0.0001), milliseconds(0.5)) == ("1", "500")
