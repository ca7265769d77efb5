"""Charts as inline SVG, drawn by integers: lines over time, bars, histograms. No script, no network, no font."""

from collections.abc import Sequence
from html import escape

Points = Sequence[tuple[int, int]]
WIDE, HIGH, LEFT, TOP = 920, 220, 90, 12
"""Size of a line chart's frame in pixels, and the room left and above for labels."""
BAR = 260
"""Pixels of the longest bar."""


def lines(series: Sequence[tuple[str, Points]], label: str, unit: str, ends: tuple[str, str], *, filled: bool) -> str:
    """Line chart of named series over time; values in 1e-9 of `unit`; `filled` down from zero."""
    times = [time for _, points in series for time, _ in points] or [0]
    values = [0, *(value for _, points in series for _, value in points)]
    first, last, low, high = min(times), max(times), min(values), max(values)

    def x(time: int) -> int:
        return LEFT + (time - first) * WIDE // max(last - first, 1)

    def y(value: int) -> int:
        return TOP + (high - value) * HIGH // max(high - low, 1)

    drawn = []
    for place, (name, points) in enumerate(series):
        path = " ".join(f"{px},{py}" for px, py in _thinned([(x(time), y(value)) for time, value in points]))
        if filled and points:
            path = f"{x(points[0][0])},{y(0)} {path} {x(points[-1][0])},{y(0)}"
        shape = "polygon" if filled else "polyline"
        drawn.append(f'<{shape} class="s{place}" points="{path}"><title>{escape(name)}</title></{shape}>')
    marks = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{LEFT + WIDE}" y1="{y(value)}" y2="{y(value)}"/>'
        f'<text class="tick" x="{LEFT - 6}" y="{y(value) + 4}" text-anchor="end">{_short(value)}</text>'
        for value in _levels(low, high)
    )
    return (
        f'<svg viewBox="0 0 {LEFT + WIDE + 10} {TOP + HIGH + 24}" role="img" aria-label="{escape(label)}">'
        f"{marks}{''.join(drawn)}"
        f'<text class="tick" x="{LEFT}" y="{TOP + HIGH + 18}">{escape(ends[0])}</text>'
        f'<text class="tick" x="{LEFT + WIDE}" y="{TOP + HIGH + 18}" text-anchor="end">{escape(ends[1])}</text>'
        f'<text class="tick" x="4" y="{TOP + HIGH + 18}">{escape(unit)}</text></svg>'
    )


def bar(value: int, most: int, sign: str = "") -> str:
    """A bar of this share of `most`; green, and red where the value is negative, if no class is given."""
    width = abs(value) * BAR // max(most, 1)
    sign = sign or ("down" if value < 0 else "up")
    return (
        f'<svg class="bar" viewBox="0 0 {BAR} 12" aria-hidden="true">'
        f'<rect class="{sign}" width="{max(width, 1)}" height="12"/></svg>'
    )


def histogram(values: Sequence[int], label: str, unit: str) -> str:
    """Counts of values in up to 40 steps between the 1st and the 99th percentile; what lies beyond is in the ends."""
    ordered = sorted(values)
    low, high = ordered[len(ordered) // 100], ordered[-1 - len(ordered) // 100]
    step = max(1, -(-(high - low + 1) // 40))
    places = (high - low) // step + 1
    counts = [0] * places
    for value in ordered:
        counts[(min(max(value, low), high) - low) // step] += 1
    most, width = max(counts), min(WIDE // places, 48)
    drawn = "".join(
        f'<rect class="up" x="{LEFT + place * width}" y="{TOP + HIGH - count * HIGH // most}" '
        f'width="{max(width - 1, 1)}" height="{count * HIGH // most}">'
        f"<title>{low + place * step} to {low + place * step + step - 1} {escape(unit)}: {count}</title></rect>"
        for place, count in enumerate(counts)
    )
    return (
        f'<svg viewBox="0 0 {LEFT + WIDE + 10} {TOP + HIGH + 24}" role="img" aria-label="{escape(label)}">{drawn}'
        f'<text class="tick" x="{LEFT - 6}" y="{TOP + 10}" text-anchor="end">{most:,}</text>'
        f'<text class="tick" x="{LEFT}" y="{TOP + HIGH + 18}">{low:,} {escape(unit)} or less</text>'
        f'<text class="tick" x="{LEFT + places * width}" y="{TOP + HIGH + 18}">{high:,} or more</text></svg>'
    )


def _thinned(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Per pixel column the first, the extremes and the last point, in the order they came."""
    kept: list[tuple[int, int]] = []
    column: list[int] = []
    for place, (px, py) in enumerate(points):
        column.append(py)
        if place + 1 == len(points) or points[place + 1][0] != px:
            picked = dict.fromkeys((column[0], min(column), max(column), column[-1]))
            kept.extend((px, level) for level in picked)
            column = []
    return kept


def _levels(low: int, high: int) -> list[int]:
    """Zero, the ends, and the middle between them where there is room."""
    span = max(high - low, 1)
    wanted = [low, high, 0, (low + high) // 2]
    kept: list[int] = []
    for value in wanted:
        if all(abs(value - other) * 12 >= span for other in kept):
            kept.append(value)
    return kept


def _short(nano: int) -> str:
    """A value in 1e-9 with three digits that say something."""
    sign, digits = "-" if nano < 0 else "", abs(nano)
    whole, rest = divmod(digits, 10**9)
    places = 2 if whole >= 10 else 4 if digits >= 10**6 else 9
    text = f"{whole:,}.{rest:09d}"[: len(f"{whole:,}") + 1 + places]
    return f"{sign}{text}".rstrip("0").rstrip(".") or "0"
