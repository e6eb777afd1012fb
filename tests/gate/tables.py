"""Rows of the Markdown tables in `docs/testing` that the gate writes and reads."""

from collections.abc import Iterable

TEXT_LENGTH = 200  # letters of a message that are kept


def row_of(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def cells_of(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().removeprefix("|").removesuffix("|").split("|")]


def text_cell(text: str) -> str:
    """As much of a message as fits into one cell."""
    return text.replace("|", " ").replace("\n", " ")[:TEXT_LENGTH]


def node_cell(test: str) -> str:
    """A test as the tables name it, from its node id: `tests/FILE.py` `NAME`."""
    file, *names = test.split("[")[0].split("::")
    return f"`{file}` `{names[-1]}`" if names else f"`{file}`"
