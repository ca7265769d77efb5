"""Words on the terminal: tables, records, times. Text is for people; --json is for programs."""

import datetime as dt
import sys
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
import msgspec

from ironcrab.domain.ask import SendAsk, SimulateAsk
from ironcrab.domain.trade import DecisionRecord, Verdict
from ironcrab.domain.units import LAMPORTS_PER_SOL
from ironcrab.loop import Record

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
BLOCKS = "▁▂▃▄▅▆▇█"
SHORT = 44
"""Widest text of a field in one line; longer ones lose their middle."""


def utc(time: int) -> str:
    """Nanoseconds since 1970 as UTC text with milliseconds."""
    moment = EPOCH + dt.timedelta(microseconds=time // 1000)
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{time // 1_000_000 % 1000:03d}"


def parse_time(text: str) -> int:
    """UTC text (`2022-04-06 14:03:07`, with or without T, Z and fraction) or unix seconds, to nanoseconds.

    Raises:
        click.BadParameter: it is neither.
    """
    if text.isdigit():
        return int(text) * 1_000_000_000
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no UTC time such as 2022-04-06T14:03:07") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    delta = moment - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1000


def emit_json(value: Any) -> None:
    """One JSON object on stdout."""
    click.echo(msgspec.json.encode(value, order=None).decode())


def table(rows: Iterable[Sequence[Any]], head: Sequence[str]) -> Iterator[str]:
    """Lines of a table; numbers stand right."""
    body = [[_cell(cell) for cell in row] for row in rows]
    widths = [max(len(head[i]), *(len(row[i]) for row in body)) if body else len(head[i]) for i in range(len(head))]
    yield "  ".join(title.ljust(width) for title, width in zip(head, widths, strict=True)).rstrip()
    for row in body:
        cells = (
            cell.rjust(width) if cell.replace(",", "").lstrip("-").isdigit() else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        )
        yield "  ".join(cells).rstrip()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else str(value)


def shorten(value: Any) -> str:
    """A value as one short text."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= SHORT else f"{text[: SHORT // 2]}..{text[-SHORT // 2 + 2 :]}"


def head_of(record: Record) -> str:
    """`#seq  time  Type  by whom  (cause #n)`."""
    who = f"by {record.by}, cause #{record.cause}" if record.by else "the world"
    return f"#{record.seq}  {utc(record.time)}  {type(record.event).__name__}  ({who})"


def body_of(record: Record) -> Iterator[str]:
    """The record's fields that say something, some to a line; checks and measures as rows."""
    event: Any = record.event
    if isinstance(event, DecisionRecord):
        yield from _fields(event, skip=("checks", "reads", "input_snapshots"))
        for check in event.checks:
            mark = "pass" if check.passed else "FAIL"
            yield "  ".join(part for part in (mark, check.check_name, check.reason_code, check.details) if part)
        for read in event.reads:
            yield f"read  {read.what} of {shorten(read.of)} = #{read.seq}"
        for key, value in event.input_snapshots.items():
            yield f"input  {key} = {value}"
    elif isinstance(event, Verdict):
        yield from _fields(event, skip=("measures",))
        for measure in event.measures:
            limit = f"  (limit {measure.limit:,})" if measure.limit is not None else ""
            yield f"{measure.name} = {measure.value:,}{limit}"
    elif isinstance(event, SimulateAsk | SendAsk):
        yield f"intent=#{event.intent}  attempt={event.attempt}"
        yield from _fields(event.plan, skip=("calls",))
        for call in event.plan.calls:
            writes = len([flag for flag in call.flags if flag in "wb"])
            data = b64decode(call.data).hex()
            yield f"call  {call.program}  accounts={len(call.accounts)} writes={writes}  data={shorten(data)}"
    else:
        yield from _fields(event, skip=("settings", "reducers"))


def _fields(event: Any, skip: tuple[str, ...]) -> Iterator[str]:
    line = ""
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if name in skip or value is None or value in ((), {}, ""):
            continue
        part = f"{name}={_value(value)}"
        if line and len(line) + len(part) > 100:
            yield line
            line = ""
        line = f"{line}  {part}" if line else part
    if line:
        yield line


def _value(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, msgspec.Struct):
        inner = (
            f"{name}:{_value(getattr(value, name))}"
            for name in value.__struct_fields__
            if getattr(value, name) not in (None, (), {}, "")
        )
        return "{" + " ".join(inner) + "}"
    if isinstance(value, dict):
        return "{" + " ".join(f"{key}:{shorten(item)}" for key, item in value.items()) + "}"
    return shorten(value)


@contextmanager
def progress(label: str) -> Iterator[Callable[[int], None] | None]:
    """A counter on stderr while long work runs; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return

    def show(count: int) -> None:
        if count % 4096 == 0:
            sys.stderr.write(f"\r{label} {count:,} records")
            sys.stderr.flush()

    yield show
    sys.stderr.write("\r\x1b[K")


@contextmanager
def bar(label: str, total: int) -> Iterator[Callable[[int], None] | None]:
    """A bar on stderr that fills as `total` records are read; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return

    def show(count: int) -> None:
        if count % 1024 == 0:
            done = min(count, total) * 30 // max(total, 1)
            sys.stderr.write(f"\r{label} [{'#' * done}{'.' * (30 - done)}] {count:,} of {total:,} records")
            sys.stderr.flush()

    yield show
    sys.stderr.write("\r\x1b[K")


def sol(lamports: int) -> str:
    """Lamports as SOL, without trailing zeros."""
    whole, rest = divmod(abs(lamports), LAMPORTS_PER_SOL)
    return f"{'-' if lamports < 0 else ''}{whole:,}.{rest:09d}".rstrip("0").rstrip(".")


def sparkline(values: Sequence[int], width: int = 60) -> str:
    """The values as one line of blocks, lowest to highest; each block the last value of its share."""
    if not values:
        return ""
    places = min(width, len(values))
    shown = [values[(place + 1) * len(values) // places - 1] for place in range(places)]
    low, high = min(shown), max(shown)
    return "".join(BLOCKS[(value - low) * (len(BLOCKS) - 1) // max(high - low, 1)] for value in shown)
