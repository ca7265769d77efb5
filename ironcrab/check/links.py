"""Checks of how records hang together: causes, time, answers, references."""

from collections.abc import Iterator
from typing import Any

from ironcrab.check.finding import Finding
from ironcrab.domain.ask import ANSWER, ASK
from ironcrab.log.recording import Recording

KEEP = 65_536
"""Records whose time is remembered: a turn is far shorter."""


def causes(recording: Recording) -> Iterator[Finding]:
    """A cause is an earlier record, and only what a reducer said has one."""
    for record in recording.records():
        if (record.cause is None) != (record.by is None):
            yield Finding(record.seq, f"cause is {record.cause} while by is {record.by}")
        elif record.cause is not None and record.cause >= record.seq:
            yield Finding(record.seq, f"its cause #{record.cause} does not stand before it")


def clock(recording: Recording) -> Iterator[Finding]:
    """Time never decreases, and a derived record bears its cause's time."""
    times: dict[int, int] = {}
    last = 0
    for record in recording.records():
        times[record.seq] = record.time
        times.pop(record.seq - KEEP, None)
        if record.cause is None and record.time < last:
            yield Finding(record.seq, f"time {record.time} is before {last} of the records above it")
        if record.cause is not None and times.get(record.cause, record.time) != record.time:
            yield Finding(record.seq, f"time {record.time} is not that of its cause #{record.cause}")
        last = max(last, record.time)


def answers(recording: Recording) -> Iterator[Finding]:
    """An answer names an earlier ask, its ordinals are dense, the last one is marked and nothing follows it."""
    next_ordinal: dict[int, int] = {}
    for record in recording.records(types=(*ASK, *ANSWER)):
        event: Any = record.event
        if isinstance(event, ASK):
            next_ordinal[record.seq] = 0
        elif event.ask not in next_ordinal:
            if event.ask >= recording.first_seq:
                yield Finding(record.seq, f"it answers #{event.ask}, which is no open ask")
        elif event.ordinal != next_ordinal[event.ask]:
            yield Finding(record.seq, f"it is answer {event.ordinal} of #{event.ask}, not {next_ordinal[event.ask]}")
        elif event.last:
            del next_ordinal[event.ask]
        else:
            next_ordinal[event.ask] += 1


def references(recording: Recording) -> Iterator[Finding]:
    """Every seq that a record names stands before it."""
    for record in recording.records():
        event: Any = record.event
        named = [getattr(event, field, None) for field in ("intent", "ask", "decided_at", "state", "opened")]
        named += [read.seq for read in getattr(event, "reads", ())]
        for seq in named:
            if isinstance(seq, int) and seq >= record.seq:
                yield Finding(record.seq, f"it names #{seq}, which does not stand before it")
