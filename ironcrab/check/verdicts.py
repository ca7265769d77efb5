"""Checks of what strategies think: a reject is terminal, a verdict is a change, an intent has its ground."""

from collections.abc import Iterator
from typing import Any

from ironcrab.check.finding import Finding
from ironcrab.domain.control import ConfigChanged, RunStarted
from ironcrab.domain.trade import TradeIntent, Verdict
from ironcrab.log.recording import Recording

Row = tuple[str, str, str]
SECOND = 1_000_000_000
"""Nanoseconds."""


def terminal_reject(recording: Recording) -> Iterator[Finding]:
    """After a reject a pool row is not judged again for the strategy's `terminal_secs`, unless it is tracked anew."""
    rejected: dict[Row, tuple[int, int | None]] = {}
    terminal_ns: int | None = None
    for record in recording.records(types=(RunStarted, ConfigChanged, Verdict)):
        event: Any = record.event
        if isinstance(event, ConfigChanged):
            told = [setting.value for setting in event.settings if setting.key == "terminal_secs"]
            terminal_ns = max((int(value) * SECOND for value in told), default=terminal_ns)
            continue
        if isinstance(event, RunStarted):
            told = [setting.value for setting in event.settings if setting.key.endswith(".terminal_secs")]
            terminal_ns = max((int(value) * SECOND for value in told), default=terminal_ns)
            continue
        row = (event.source, event.mint, event.pool_address)
        if event.verdict == "reject":
            rejected[row] = record.seq, None if terminal_ns is None else record.time + terminal_ns
        elif row in rejected:
            seq, until = rejected.pop(row)
            is_over = until is not None and record.time >= until
            if event.verdict in ("wait", "enter") and not is_over:
                yield Finding(record.seq, f"{event.code} after the reject #{seq} of the same pool row")


def changes(recording: Recording) -> Iterator[Finding]:
    """A verdict is recorded only when its code changes."""
    last: dict[Row, tuple[str, str]] = {}
    for record in recording.records(types=(Verdict,)):
        event: Any = record.event
        row = (event.source, event.mint, event.pool_address)
        said = (event.verdict, event.code)
        if last.get(row) == said and event.verdict in ("wait", "reject"):
            yield Finding(record.seq, f"{event.code} was said already for this pool row")
        last[row] = said


def grounds(recording: Recording) -> Iterator[Finding]:
    """A strategy that gives verdicts says one at the same cause as each intent."""
    speaks: dict[str, None] = {}
    said: dict[tuple[int, str], None] = {}
    for record in recording.records(types=(Verdict, TradeIntent)):
        if record.by is None or record.cause is None:
            continue
        if isinstance(record.event, Verdict):
            speaks[record.by] = None
            said[record.cause, record.by] = None
        elif record.by in speaks and (record.cause, record.by) not in said:
            yield Finding(record.seq, f"an intent by {record.by} without a verdict at its cause #{record.cause}")
