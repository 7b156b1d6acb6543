"""Curves as inline SVG: axes, a legend, and nothing that must be loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

Point = tuple[float, float]
Series = Mapping[str, Sequence[Point]]

WIDTH, PLOT = 420, 150  # of the drawing; height of the plot in it
LEFT, RIGHT, BOTTOM = 44, 14, 36  # margins
POINTS = 600  # of one curve, at most
HUGE = 1e100  # larger values are drawn as if they were infinite: not at all
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "currentColor")  # Okabe-Ito
DASHES = ("", "6 3", "2 2.5", "9 3 2 3", "1 3", "12 4", "4 2 1 2")
MARKERS = 5  # on one curve, so that it is told apart without its colour


@dataclass(frozen=True)
class Frame:
    """Where the values of both axes lie in the drawing; y is the logarithm on a log scale."""

    x: tuple[float, float]
    y: tuple[float, float]
    top: float
    log: bool

    def at(self, point: Point) -> Point:
        """The place of a point in the drawing, in its units."""
        across = (point[0] - self.x[0]) / (self.x[1] - self.x[0])
        value = math.log10(point[1]) if self.log else point[1]
        up = (value - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), self.top + (1 - up) * (self.bottom - self.top)

    @property
    def bottom(self) -> float:
        """Of the plot's area, in the drawing's units."""
        return self.top + PLOT


def curve_svg(
    series: Series, title: str, x_label: str, log_scale: bool = False, *, ends: bool = True, border: float | None = None
) -> str:
    """An SVG element with one curve for each name: points (x, y), in the order of x.

    Values that are not finite are left out, as are those at or below 0 on a log scale. A long curve is thinned to 600
    points that keep each stretch's least and greatest value. The text takes the page's colour. `ends` tells the last
    value of each in the legend, `border` draws a line at this x, if it lies inside.
    """
    kept = {name: decimate(_drawable(points, log_scale)) for name, points in series.items()}
    legend, top = _legend(kept, ends)
    frame = _frame(kept, top, log_scale)
    lines = "".join(_curve(name, points, i, frame) for i, (name, points) in enumerate(kept.items()) if points)
    empty = "" if lines else _text(WIDTH / 2, (top + frame.bottom) / 2, "no values yet", "middle", 0.6)
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {frame.bottom + BOTTOM + 2:.0f}" class="curve" font-size="11.5" '
        f'aria-label="{escape(_summary(kept, title))}"><title>{escape(title)}</title>'
        f'<text x="2" y="14" font-size="13" font-weight="600" fill="currentColor">{escape(title)}</text>'
        f"{legend}{_axes(frame, x_label)}{_border(border, frame)}{lines}{empty}</svg>"
    )


def decimate(points: Sequence[Point], most: int = POINTS) -> list[Point]:
    """At most `most` points (4 or more) of a curve: the first, the last, and each bucket's least and greatest."""
    if len(points) <= most:
        return list(points)
    buckets = (most - 2) // 2
    edges = [1 + (len(points) - 2) * i // buckets for i in range(buckets + 1)]
    kept = [points[0]]
    for start, end in pairwise(edges):
        indices = range(start, end)
        low, high = min(indices, key=lambda i: points[i][1]), max(indices, key=lambda i: points[i][1])
        kept += [points[i] for i in sorted({low, high})]
    return [*kept, points[-1]]


def short(value: float) -> str:
    """A number for people: 1.5M, 50k, 0.0312, 2.1e-06."""
    size = abs(value)
    if not math.isfinite(value):
        return str(value)
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= unit:
            unit = 1e3 if letter == "k" else unit
            return f"{value / unit:.4g}{letter}" if size < 1e15 else f"{value:.2e}"
    return f"{value:.1e}" if 0 < size < 1e-3 else f"{value:.4g}"


def _drawable(points: Sequence[Point], log: bool) -> list[Point]:
    return [(x, y) for x, y in points if abs(x) < HUGE and abs(y) < HUGE and (y > 1 / HUGE or not log)]


def _frame(series: Mapping[str, list[Point]], top: float, log: bool) -> Frame:
    xs = [x for points in series.values() for x, _ in points] or [0.0, 1.0]
    ys = [math.log10(y) if log else y for points in series.values() for _, y in points] or [0.0, 1.0]
    low, high = min(ys), max(ys)
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    start, end = min(xs), max(xs)
    if 0 <= start <= end / 2 or start == end:
        start, end = min(0.0, start), end or 1.0
    return Frame((start, end if end > start else start + 1), (low - margin, high + margin), top, log)


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten) inside low..high, about `count`."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw)) if raw > 0 and math.isfinite(raw) else 1.0
    step = next((m * power for m in (1, 2, 5) if raw <= m * power), 10 * power)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, min(last, first + 20) + 1)]


def _value_ticks(frame: Frame) -> list[float]:
    """Values of y, not their logarithms."""
    low, high = frame.y
    if not frame.log:
        return _ticks(low, high, 5)
    step = max(1, math.ceil((high - low) / 5))
    factors = (1, 2, 5) if high - low < 2.2 else (1,)
    ticks = [m * 10.0**e for e in range(math.floor(low), math.floor(high) + 1) if e % step == 0 for m in factors]
    inside = [tick for tick in ticks if low <= math.log10(tick) <= high]
    return inside if len(inside) > 1 else [t for t in _ticks(10**low, 10**high, 3) if t > 0]


def _axes(frame: Frame, x_label: str) -> str:
    parts = []
    for value in _value_ticks(frame):
        y = frame.at((frame.x[0], value))[1]
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y, 0.13))
        parts.append(_text(LEFT - 6, y + 4, short(value), "end", 0.75))
    for value in _ticks(*frame.x, 5):
        x = frame.at((value, 1.0))[0]
        parts.append(_line(x, frame.bottom, x, frame.bottom + 4, 0.5))
        parts.append(_text(x, frame.bottom + 16, short(value), "middle", 0.75))
    parts.append(_line(LEFT, frame.bottom, WIDTH - RIGHT, frame.bottom, 0.5))
    label = x_label + (" · log scale" if frame.log else "")
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, frame.bottom + 32, label, "middle", 0.75))
    return "".join(parts)


def _border(at: float | None, frame: Frame) -> str:
    if at is None or not frame.x[0] < at < frame.x[1]:
        return ""
    x = LEFT + (at - frame.x[0]) / (frame.x[1] - frame.x[0]) * (WIDTH - LEFT - RIGHT)
    return _line(x, frame.top, x, frame.bottom, 0.55)


def _curve(name: str, points: list[Point], index: int, frame: Frame) -> str:
    places = [frame.at(point) for point in points]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    marks = [places[round(i * (len(places) - 1) / MARKERS)] for i in range(1, MARKERS + 1)]
    marks = marks if len(places) > 3 * MARKERS else places
    width = 1.6 if len(points) < 100 else 1.2  # noise is not bold
    title = f"<title>{escape(name)}: {short(points[-1][1])} at {short(points[-1][0])}</title>"
    return (
        f"<g>{title}{_stroke(path, index, width)}{''.join(_marker(x, y, index) for x, y in dict.fromkeys(marks))}</g>"
    )


def _stroke(path: str, index: int, width: float = 1.6) -> str:
    dash = f' stroke-dasharray="{DASHES[index % len(DASHES)]}"' if index % len(DASHES) else ""
    return (
        f'<path d="{path}" fill="none" {_ink("stroke", index)} stroke-width="{width}" stroke-linejoin="round"{dash}/>'
    )


def _marker(x: float, y: float, index: int) -> str:
    """A circle, square, triangle or diamond around (x, y)."""
    r = 2.6
    shapes = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}"',
        f'<path d="M{x - r:.1f} {y - r:.1f}h{2 * r}v{2 * r}h{-2 * r}z"',
        f'<path d="M{x:.1f} {y - r - 1:.1f}l{r + 0.8} {2 * r + 0.8}h{-2 * r - 1.6}z"',
        f'<path d="M{x:.1f} {y - r - 1:.1f}l{r + 1} {r + 1}l{-r - 1} {r + 1}l{-r - 1} {-r - 1}z"',
    )
    return f"{shapes[index % len(shapes)]} {_ink('fill', index)}/>"


def _legend(series: Mapping[str, list[Point]], ends: bool) -> tuple[str, float]:
    """The entries, as many in a row as fit, and the y below them."""
    parts: list[str] = []
    x, y = 2.0, 33.0
    for i, (name, points) in enumerate(series.items()):
        label = name if len(name) <= 36 else name[:35] + "…"
        label += f"\u2002{short(points[-1][1])}" if points and ends else ""
        width = 30 + 6.2 * len(label) + 12
        if x > 2 and x + width > WIDTH:
            x, y = 2.0, y + 17
        parts.append(_stroke(f"M{x} {y - 4}h24", i) + _marker(x + 12, y - 4, i) + _text(x + 30, y, label, "start"))
        x += width
    return "".join(parts), y + 16


def _summary(series: Mapping[str, list[Point]], title: str) -> str:
    words = [f"{n} from {short(p[0][1])} to {short(p[-1][1])}" for n, p in series.items() if p]
    return f"{title}: {', '.join(words) or 'no values yet'}"


def _ink(attribute: str, index: int) -> str:
    at = index % len(COLOURS)
    return f'style="{attribute}:var(--curve-{at},{COLOURS[at]})"'


def _line(x1: float, y1: float, x2: float, y2: float, opacity: float) -> str:
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="currentColor" stroke-opacity="{opacity}"/>'


def _text(x: float, y: float, words: str, anchor: str, opacity: float = 0.9) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="currentColor" fill-opacity="{opacity}">{escape(words)}</text>'
