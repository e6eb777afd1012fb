"""Parses the Range header (RFC 9110, 14): one part of a file, or all of it."""

import re

from callcenter.platform.core.errors import NotSatisfiable

_ONE = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*")


def read_range(header: str | None, size: int) -> range:
    """The offsets to send; an invalid or multiple range gives all, as the RFC permits.

    Raises NotSatisfiable.
    """
    found = _ONE.fullmatch(header or "")
    if found is None or found[1] == found[2] == "":
        return range(size)
    if found[1] == "":  # the last so many bytes
        start, stop = max(size - int(found[2]), 0), size
    else:
        start, stop = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
        if found[2] and int(found[2]) < start:
            return range(size)
    if start >= stop:
        raise NotSatisfiable
    return range(start, stop)
