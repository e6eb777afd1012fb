"""Plots of bars as shapes of SVG: drawn on the server, with a table beside each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

#: The box of the bars in a picture of 400 by 190, of which the template has the same measures.
WIDTH, LEFT, TOP, BASE = 400.0, 56.0, 10.0, 164.0
LABEL_WIDTH = 46.0  #: of five digits: the last one would end beyond the picture
LABELS_LIMIT = 6  #: below the bars; more would not be readable
TICKS_LIMIT = 5
GAP = 0.2  #: of the place of a bar


@dataclass(frozen=True, slots=True)
class PlotColumn:
    """One bar: values by their kind, from the base upwards, and a line across it."""

    label: str
    title: str
    values: Mapping[str, float]
    line: float | None = None


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A part of a bar."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class DrawnColumn:
    """A bar in its place; `line` is the height of the line across it."""

    x: float
    width: float
    label: str
    title: str
    parts: Sequence[Rectangle]
    line: float | None


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot: bars, and values of the scale with their heights. Of `kinds` is its legend."""

    name: str
    kinds: Sequence[tuple[str, str]]
    columns: Sequence[DrawnColumn]
    ticks: Sequence[tuple[float, str]]


def draw(
    name: str,
    kinds: Sequence[tuple[str, str]],
    columns: Sequence[PlotColumn],
    scale: Sequence[float],
    write: Callable[[float], str],
) -> Plot:
    """Draw bars beside each other; `write` says a value of the scale, which begins at zero."""
    room = (WIDTH - LEFT) / max(len(columns), 1)
    width = room * (1 - GAP)
    every = -(-len(columns) // LABELS_LIMIT) or 1
    top = scale[-1]

    def height(value: float) -> float:
        return round((BASE - TOP) * value / top, 1)

    drawn, half = [], LABEL_WIDTH / 2
    for n, column in enumerate(columns):
        center = LEFT + (n + 0.5) * room
        parts, base = [], BASE
        for kind, value in column.values.items():
            parts.append(Rectangle(kind, round(base - height(value), 1), height(value)))
            base -= height(value)
        drawn.append(
            DrawnColumn(
                x=round(LEFT + n * room + room * GAP / 2, 1),
                width=round(width, 1),
                label=column.label if n % every == 0 and center + half <= WIDTH else "",
                title=column.title,
                parts=[each for each in parts if each.height],
                line=None if column.line is None else round(BASE - height(column.line), 1),
            )
        )
    return Plot(name, kinds, drawn, [(BASE - height(each), write(each)) for each in scale])


def make_scale(highest: float, steps: Sequence[float]) -> list[float]:
    """Round values from zero to the first that is not below the highest.

    `steps` are the distances to choose from, the smallest first; ten times the last and so on.
    """
    step = next((each for each in steps if each * (TICKS_LIMIT - 1) >= highest), None)
    if step is None:
        return make_scale(highest, [each * 10 for each in steps])
    count = max(1, -(-highest // step))
    return [step * n for n in range(int(count) + 1)]
