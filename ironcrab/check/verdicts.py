"""Checks of what strategies think: a reject is terminal, a verdict is a change, an intent has its ground."""

from collections.abc import Iterator
from typing import Any

from ironcrab.check.finding import Finding
from ironcrab.domain.control import ConfigChanged, RunStarted
from ironcrab.domain.market import PoolCreated, Trade
from ironcrab.domain.trade import TradeIntent, Verdict
from ironcrab.log.recording import Recording
from ironcrab.loop import Record

Row = tuple[str, str, str]
SECOND = 1_000_000_000
"""Nanoseconds."""


class Memory:
    """How long strategies remember a pool row, by their settings: seconds of a reject, of silence, and rows at most.

    Where several strategies have such a setting, what they forget soonest counts.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.settings: dict[str, int] = {}

    def follow(self, event: RunStarted | ConfigChanged) -> None:
        """Settings that a run opens with, or that an operator changed."""
        told: dict[str, int] = {}
        for setting in event.settings:
            key = setting.key.rpartition(".")[2]
            if key in MEMORY and setting.value.isdigit():
                told[key] = min(int(setting.value), told.get(key, NEVER))
        self.settings |= told

    def lasts(self, key: str) -> int:
        """A time among the settings, in nanoseconds."""
        return self.settings.get(key, NEVER) * SECOND

    def is_lost(self, row: Row, since: Record, now: Record) -> bool:
        """Whether the row may have been forgotten in between: it was silent for long, or many others were traded."""
        pools: dict[str, None] = {}
        last, silent = since.time, 0
        for record in self.recording.records(types=TOUCHES, seq_from=since.seq, seq_to=now.seq):
            event: Any = record.event
            pools[event.pool_address] = None
            if event.pool_address == row[2]:
                silent, last = max(silent, record.time - last), record.time
        # the trade that brought the new verdict stands before it
        silent = max(silent, now.time - last)
        return silent >= self.lasts("idle_secs") or len(pools) >= self.settings.get("max_rows", NEVER)


MEMORY = ("terminal_secs", "idle_secs", "max_rows")
TOUCHES = (Trade, PoolCreated)
"""What makes a strategy watch a pool."""
NEVER = 2**31


def terminal_reject(recording: Recording) -> Iterator[Finding]:
    """After a reject a pool row is not judged again for the strategy's `terminal_secs`, unless it is tracked anew."""
    rejected: dict[Row, Record] = {}
    memory = Memory(recording)
    for record in recording.records(types=(RunStarted, ConfigChanged, Verdict)):
        event: Any = record.event
        if not isinstance(event, Verdict):
            memory.follow(event)
            continue
        row = (event.source, event.mint, event.pool_address)
        if event.verdict == "reject":
            rejected[row] = record
        elif row in rejected:
            before = rejected.pop(row)
            is_over = record.time >= before.time + memory.lasts("terminal_secs")
            if event.verdict in ("wait", "enter") and not is_over and not memory.is_lost(row, before, record):
                yield Finding(record.seq, f"{event.code} after the reject #{before.seq} of the same pool row")


def changes(recording: Recording) -> Iterator[Finding]:
    """A verdict is recorded only when its code changes, or when the row was forgotten and is tracked anew."""
    last: dict[Row, Record] = {}
    memory = Memory(recording)
    for record in recording.records(types=(RunStarted, ConfigChanged, Verdict)):
        event: Any = record.event
        if not isinstance(event, Verdict):
            memory.follow(event)
            continue
        row = (event.source, event.mint, event.pool_address)
        before, last[row] = last.get(row), record
        if before is None or event.verdict not in ("wait", "reject"):
            continue
        told: Any = before.event
        if (told.verdict, told.code) == (event.verdict, event.code) and not memory.is_lost(row, before, record):
            yield Finding(record.seq, f"{event.code} was said already for this pool row")


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
