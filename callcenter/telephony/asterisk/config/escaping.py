"""Filters of the templates, which escape values for their place in Asterisk's files.

Asterisk's files know one escape, `\\;`, and no quoting. In an argument of an application a
backslash escapes what would separate or group, and nothing escapes a variable; so what cannot be
escaped is refused by name, never changed in silence.
"""

import re
from collections.abc import Callable
from math import ceil

from callcenter.platform.core.errors import InvalidRequest, OperationFailed


class Escaped(str):
    """Text that a filter has made safe for its place."""

    __slots__ = ()


def only_escaped(value: object) -> str:
    """Jinja's `finalize`: lets nothing out that did not pass a filter. Raises OperationFailed."""
    if isinstance(value, Escaped):
        return value
    # An undefined variable says so itself, by name. A value is not shown: it may be a secret.
    str(value)
    raise OperationFailed("a template writes a value that no filter has made safe")


def conf(value: object) -> Escaped:
    """The value of a `key = value` line, or a part of one."""
    return Escaped(_one_line(value).replace(";", r"\;"))


def item(value: object) -> Escaped:
    """An item of a list that is separated by commas or bars, neither of which can be escaped."""
    return conf(_without(value, ",|"))


def argument(value: object) -> Escaped:
    """A part of an argument of a dialplan application; `&` separates files, `$` is a variable."""
    # A quote or a backslash could be escaped here, but not in CEL, which names the file.
    text = re.sub(r"([,()\[\]])", r"\\\1", _without(value, "$&'\"\\"))
    return conf(text)


def name(value: object) -> Escaped:
    """A section, an endpoint, an event: letters, digits, underscore and hyphen."""
    text = str(value)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        raise InvalidRequest(f"{text!r} cannot be a name in Asterisk's configuration")
    return Escaped(text)


def seconds(value: float) -> Escaped:
    """Round up to whole seconds: Asterisk has no smaller ones, and 0 would mean for ever."""
    return Escaped(ceil(value))


def milliseconds(value: float) -> Escaped:
    return Escaped(ceil(value * 1000))


FILTERS: dict[str, Callable[..., Escaped]] = {
    "conf": conf,
    "item": item,
    "argument": argument,
    "name": name,
    "seconds": seconds,
    "milliseconds": milliseconds,
}


def _one_line(value: object) -> str:
    text = str(value)
    # Asterisk strips blanks at both ends, and reads a line longer than its buffer as two.
    if not text or not text.isprintable() or text != text.strip() or len(text) > 1000:
        raise InvalidRequest(
            f"{text[:80]!r} cannot stand in Asterisk's configuration: it must be one line of "
            "at most 1000 printable characters, with no blank at its ends"
        )
    return text


def _without(value: object, forbidden: str) -> str:
    text = str(value)
    found = sorted(set(text) & set(forbidden))
    if found:
        raise InvalidRequest(
            f"{text!r} cannot stand in Asterisk's configuration: it contains {' '.join(found)}"
        )
    return text
