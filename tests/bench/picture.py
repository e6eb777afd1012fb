"""The picture of a comparison: 95th percentile of the answer against the rate, as SVG by hand."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from tests.bench.results import ANSWER_LIMIT, Middle, Sample

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 56, 48
LEAST, MOST = 1.0, 10_000.0  # milliseconds
COLOURS = {"plain": "#8a6d3b", "ours": "#1f5fa8"}
NAMES = {"plain": "plain dialplan", "ours": "callcenter"}


def picture(samples: Sequence[Sample], about: Mapping[str, str]) -> str:
    """An SVG: for each side the medians at each rate, and a bar from the least to the most."""
    rates = [sample.rate for sample in samples]
    widest = math.ceil(max(rates, default=10.0) / 10) * 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" role="img">',
        "<title>Latency of the answer against the rate of new calls</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(LEFT, 20, "INVITE to 200 OK, 95th percentile, against new calls a second", size=14),
        _text(LEFT, 38, "; ".join(about.get(key, "") for key in ("machine", "when"))),
        *_grid(widest),
    ]
    for order, side in enumerate(NAMES):
        parts += _curve([sample for sample in samples if sample.side == side], side, widest)
        at = LEFT + 16 + 150 * order
        parts.append(_line(at, TOP + 14, at + 24, TOP + 14, COLOURS[side], 2))
        parts.append(_text(at + 30, TOP + 18, NAMES[side]))
    return "\n".join([*parts, "</svg>", ""])


def _grid(widest: int) -> list[str]:
    parts = []
    for rate in range(0, widest + 1, 10):
        parts.append(_line(_x(rate, widest), TOP, _x(rate, widest), HEIGHT - BOTTOM, "#e6e6e6"))
        parts.append(_text(_x(rate, widest) - 6, HEIGHT - BOTTOM + 18, str(rate)))
    for power in range(5):
        value = 10.0**power
        parts.append(_line(LEFT, _y(value), WIDTH - RIGHT, _y(value), "#e6e6e6"))
        parts.append(_text(8, _y(value) + 4, f"{value:g} ms"))
    limit = _y(ANSWER_LIMIT)
    parts.append(_line(LEFT, limit, WIDTH - RIGHT, limit, "#b03030", dashes="4 4"))
    parts.append(_text(WIDTH - RIGHT - 96, limit - 5, f"limit {ANSWER_LIMIT:g} ms"))
    parts.append(_text(WIDTH // 2 - 60, HEIGHT - 10, "new calls a second"))
    return parts


def _curve(samples: Sequence[Sample], side: str, widest: int) -> list[str]:
    colour, parts, points = COLOURS[side], [], []
    for rate in sorted({sample.rate for sample in samples}):
        middle = Middle.of(each.answer.p95 for each in samples if each.rate == rate)
        if math.isnan(middle.median):
            continue
        x = _x(rate, widest)
        points.append(f"{x:.1f},{_y(middle.median):.1f}")
        parts.append(_line(x, _y(middle.least), x, _y(middle.most), colour))
        parts.append(f'<circle cx="{x:.1f}" cy="{_y(middle.median):.1f}" r="3" fill="{colour}"/>')
    if points:
        along = " ".join(points)
        parts.append(f'<polyline points="{along}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return parts


def _x(rate: float, widest: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * rate / widest


def _y(milliseconds: float) -> float:
    share = math.log10(min(max(milliseconds, LEAST), MOST) / LEAST) / math.log10(MOST / LEAST)
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share


def _line(
    x1: float, y1: float, x2: float, y2: float, colour: str, width: int = 1, dashes: str = ""
) -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{colour}" stroke-width="{width}"{dashed}/>'
    )


def _text(x: float, y: float, words: str, size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="#333333">{escape(words)}</text>'
