"""Sizes that have a name are called by it, so that all pages change together."""

import re
from collections.abc import Iterator
from pathlib import Path

from callcenter.platform.core.settings import ROOT

NAMED = re.compile(r"--(?P<name>space|text|radius)[a-z-]*: (?P<size>[\d.]+rem);")
USED = re.compile(
    r"^\s+(?P<what>margin|padding|gap|font-size|border-radius)[a-z-]*:(?P<sizes>.+);$"
)
KINDS = {"font-size": "text", "border-radius": "radius"}  # all else is space


def literals(file: Path, named: set[tuple[str, str]]) -> Iterator[str]:
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        used = USED.match(line)
        if used is None:
            continue
        kind = KINDS.get(used["what"], "space")
        if any((kind, size) in named for size in used["sizes"].split()):
            yield f"{file.name}:{number}: {line.strip()}"


def test_a_size_with_a_token_is_never_written_out() -> None:
    files = sorted((ROOT / "callcenter").glob("**/static/*.css"))
    main = next(file for file in files if file.name == "style.css")
    named = {(each["name"], each["size"]) for each in NAMED.finditer(main.read_text("utf-8"))}
    assert len(named) == 6
    assert [line for file in files for line in literals(file, named)] == []
