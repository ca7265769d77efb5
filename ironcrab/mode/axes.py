"""The rows of a sweep: which values each parameter takes, in which order, and over which spans of time."""

from collections.abc import Iterator
from itertools import product

from blake3 import blake3
from msgspec import Struct

from ironcrab.domain.fault import InputFault
from ironcrab.mode.anew import Span

MOST_ROWS = 1_000_000
"""Rows of a grid at most."""
UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
"""Seconds of each unit of a duration."""

Row = tuple[tuple[str, str], ...]
"""One row: (dotted key, value text) of each axis, in the order the axes were named."""


class Axis(Struct, frozen=True):
    """One parameter and the texts of its values in order."""

    key: str
    values: tuple[str, ...]


class Part(Struct, frozen=True):
    """One span that every row goes through: its number, and `whole`, `in` or `out` of sample."""

    window: int
    sample: str
    span: Span


def axis(text: str) -> Axis:
    """An axis from `key=a..b:step` (integers, both ends included), `key=a,b,c` or `key=value`.

    Raises:
        InputFault: it is none of them, or runs the wrong way.
    """
    key, equals, told = text.partition("=")
    if not equals or not key or not told:
        raise InputFault(f"--set {text!r} is neither KEY=A..B:STEP nor KEY=A,B,C")
    if ".." not in told:
        return Axis(key, tuple(value.strip() for value in told.split(",")))
    try:
        low, _, rest = told.partition("..")
        high, _, step = rest.partition(":")
        values = range(int(low), int(high) + 1, int(step or "1"))
    except ValueError as error:
        raise InputFault(f"--set {text!r}: A..B:STEP wants whole numbers and a step of at least 1") from error
    if not values or values.step < 0:
        raise InputFault(f"--set {text!r} holds no value; the lower end comes first")
    if len(values) > MOST_ROWS:
        raise InputFault(f"--set {text!r} holds {len(values):,} values; give it a larger step")
    return Axis(key, tuple(str(value) for value in values))


def rows(axes: tuple[Axis, ...], drawn: int | None = None, seed: int = 1) -> tuple[Row, ...]:
    """Every combination, the last axis fastest; or so many different ones drawn by the seed, in the order drawn.

    Raises:
        InputFault: the grid is too large, an axis stands twice, or it holds no so many different rows.
    """
    if len({one.key for one in axes}) != len(axes):
        raise InputFault("--set names the same key twice; give all its values at once: KEY=A,B,C")
    size = 1
    for one in axes:
        size *= len(one.values)
    if drawn is None:
        if size > MOST_ROWS:
            raise InputFault(f"the grid has {size:,} rows, more than {MOST_ROWS:,}; take larger steps, or --random N")
        return tuple(
            tuple(zip((one.key for one in axes), values, strict=True))
            for values in product(*(one.values for one in axes))
        )
    if drawn > size:
        raise InputFault(f"--random {drawn} asks for more rows than the {size:,} that the grid holds")
    return tuple(_row(axes, place) for place in _places(size, drawn, seed))


def _places(size: int, drawn: int, seed: int) -> Iterator[int]:
    """Different places below `size`: draw k swaps place k with a later one, as one would shuffle cards."""
    moved: dict[int, int] = {}
    for index in range(drawn):
        draw = int.from_bytes(blake3(b"row %d %d" % (seed, index)).digest(length=16), "little")
        other = index + draw % (size - index)
        yield moved.get(other, other)
        moved[other] = moved.get(index, index)


def _row(axes: tuple[Axis, ...], place: int) -> Row:
    found = []
    for one in reversed(axes):
        place, at = divmod(place, len(one.values))
        found.append((one.key, one.values[at]))
    return tuple(reversed(found))


def seconds(text: str) -> int:
    """Seconds of a duration such as `90s`, `30m`, `6h` or `1d`; InputFault for anything else."""
    number, unit = text[:-1], text[-1:]
    if not number.isdigit() or unit not in UNITS or not int(number):
        raise InputFault(f"{text!r} is no duration; write it as 90s, 30m, 6h or 1d")
    return int(number) * UNITS[unit]


def halves(first: int, end: int, percent: int, bounds: Span) -> tuple[Part, ...]:
    """In sample the first `percent` of the time from `first` to `end` (ns), out of it the rest; `bounds` ends both."""
    cut = first + (end - first) * percent // 100
    return Part(0, "in", Span(bounds.start, cut)), Part(0, "out", Span(cut, bounds.end))


def walk(first: int, end: int, train: int, test: int) -> tuple[Part, ...]:
    """Windows of `train` seconds in sample and the next `test` seconds out of sample; each begins `test` s later.

    Raises:
        InputFault: not even one window lies between `first` and `end` (ns).
    """
    parts: list[Part] = []
    begin, window = first, 0
    while begin + train * 1_000_000_000 < end:
        middle = begin + train * 1_000_000_000
        last = min(middle + test * 1_000_000_000, end)
        parts += [Part(window, "in", Span(begin, middle)), Part(window, "out", Span(middle, last))]
        begin, window = begin + test * 1_000_000_000, window + 1
    if not parts:
        had = (end - first) // 1_000_000_000
        raise InputFault(f"--walk-forward trains for {train} s and the recording holds {had} s; train for less")
    return tuple(parts)
