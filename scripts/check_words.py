"""Fails on identifiers that are words of no field: `scripts/retired-words` has them, and why.

Usage: check_words.py [FOLDER ...]; all of callcenter and tests without one. Identifiers of Python,
JavaScript, Lua, and of the expressions of templates; ids, classes and data attributes of templates,
style sheets and scripts; paths of files. Words in strings and comments may be any. No part of an
identifier is such a word either (`is_kept`, `KeptDraft`).
"""

import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

from jinja2 import Environment

LIST = Path(__file__).with_name("retired-words")

_NAME = r"(?P<name>[A-Za-z_$][\w$]*)"
_QUOTED = r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
_LUA = re.compile(rf"--\[\[.*?\]\]|--[^\n]*|\[\[.*?\]\]|{_QUOTED}|{_NAME}", re.DOTALL)
#: A regular expression is told from a division by the character before it.
_SCRIPT = re.compile(
    r"//[^\n]*|/\*.*?\*/"
    r"|(?<=[(,=:\[!&|?{};])\s*/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/"
    rf"|{_QUOTED}|(?P<template>`(?:\\.|[^`\\])*`)|{_NAME}",
    re.DOTALL,
)
_EXPRESSION = re.compile(r"{#.*?#}|{{.*?}}|{%.*?%}", re.DOTALL)
_ATTRIBUTE = re.compile(
    r"\s(?:(?:id|class|for|list|headers|aria-(?:describedby|labelledby|controls))=\"(?P<value>[^\"]*)\""
    r"|href=\"#(?P<anchor>[^\"]*)\"|(?P<data>data-[\w-]+))"
)
_STYLE_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_SELECTOR = re.compile(r"[^{};]+(?=\{)")
_SELECTED = re.compile(r"(?:[.#]|\[data-)(?P<name>[A-Za-z_][\w-]*)")
_LOOKUP = re.compile(
    r"(?:querySelector|querySelectorAll|closest|matches|getElementById|getElementsByClassName"
    r"|classList\.\w+|toggleAttribute)\(\s*[\"'`](?P<selector>[^\"'`]*)"
)
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_INSERTED = re.compile(r"\$\{([^{}]*)\}")


def read_list() -> tuple[set[str], dict[str, set[str]]]:
    """The words, and by file (or * for all) the names that stay: they are stored or sent."""
    words: set[str] = set()
    stays: dict[str, set[str]] = {}
    for line in LIST.read_text(encoding="utf-8").splitlines():
        content = line.partition("#")[0].split()
        if len(content) == 1:
            words.add(content[0])
        elif content:
            stays.setdefault(content[0], set()).update(content[1:])
    return words, stays


def _of_python(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string


def _of_template(source: str) -> Iterator[tuple[int, str]]:
    for line, kind, text in Environment(autoescape=True).lex(source):
        if kind == "name":
            yield line, text
    markup = _EXPRESSION.sub(lambda match: "\n" * match[0].count("\n"), source)
    for match in _ATTRIBUTE.finditer(markup):
        names = match["value"] or match["anchor"] or match["data"] or ""
        for name in names.split():
            yield _line_of(markup, match.start()), name


def _line_of(source: str, position: int) -> int:
    return 1 + source.count("\n", 0, position)


def _of_style(source: str) -> Iterator[tuple[int, str]]:
    rules = _STYLE_COMMENT.sub(lambda match: "\n" * match[0].count("\n"), source)
    for selector in _SELECTOR.finditer(rules):
        for match in _SELECTED.finditer(selector[0]):
            yield _line_of(rules, selector.start() + match.start()), match["name"]


def _of_lua(source: str) -> Iterator[tuple[int, str]]:
    for match in _LUA.finditer(source):
        if match["name"]:
            yield _line_of(source, match.start()), match["name"]


def _of_script(source: str) -> Iterator[tuple[int, str]]:
    for match in _LOOKUP.finditer(source):
        yield _line_of(source, match.start()), match["selector"]
    for match in _SCRIPT.finditer(source):
        line = _line_of(source, match.start())
        if match["name"]:
            yield line, match["name"]
        for inserted in _INSERTED.findall(match["template"] or ""):
            for _, name in _of_script(inserted):
                yield line, name


_READERS: dict[str, Callable[[str], Iterator[tuple[int, str]]]] = {
    ".py": _of_python,
    ".html": _of_template,
    ".lua": _of_lua,
    ".js": _of_script,
    ".css": _of_style,
}


def find(file: Path, words: set[str], stays: set[str]) -> list[tuple[int, str]]:
    """Line and name of each identifier in a file that is, or has, one of these words.

    Its own path counts as one of line 1.
    """

    def is_retired(name: str) -> bool:
        parts = {part.lower() for part in _PART.findall(name)}
        return name not in stays and not words.isdisjoint(parts)

    names: list[tuple[int, str]] = [(1, str(file))]
    if file.suffix in _READERS:
        names += _READERS[file.suffix](file.read_text(encoding="utf-8"))
    return [(line, name) for line, name in names if is_retired(name)]


def main(folders: list[str]) -> int:
    """The exit status: 1 when there is one."""
    words, stays = read_list()
    failed = 0
    for folder in folders or ["callcenter", "tests"]:
        for file in sorted(Path(folder).rglob("*")):
            if not file.is_file() or not {"node_modules", "__pycache__"}.isdisjoint(file.parts):
                continue
            for line, word in find(file, words, stays.get(str(file), set()) | stays["*"]):
                print(f"{file}:{line}: {word}: not a word of the field, see {LIST.name}")  # noqa: T201
                failed += 1
    if failed:
        print(f"{failed} identifiers to rename: docs/glossary.md has the terms")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
