"""Export: the wire contract's JSONL files, in the original's folders, one line a record."""

import datetime as dt
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from ironcrab.domain.control import CONTROL
from ironcrab.domain.fault import DiskFault
from ironcrab.domain.market import MARKET
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, TradeIntent
from ironcrab.log.contents import runs_of
from ironcrab.log.contract import Exporter
from ironcrab.log.recording import Recording

FOLDERS: tuple[tuple[tuple[type, ...], str, str], ...] = (
    (MARKET, "market_events", "market_events"),
    ((TradeIntent,), "intents", "trade_intents"),
    ((DecisionRecord,), "decisions", "decision_records"),
    ((ExecutionResult,), "executions", "execution_results"),
    (CONTROL, "control", "control_requests"),
)
"""Event types, folder and file stem of the original's layout (facts: storage conventions)."""
DAY_NS = 86_400_000_000_000
EPOCH = dt.date(1970, 1, 1)


def export(recording: Recording, out: Path) -> dict[str, int]:
    """Write a recording as the original's JSONL into the folder `out`; returns lines by file, relative to it.

    Raises:
        DiskFault: it cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    decisions = {
        (record.event.intent, record.event.attempt): record.seq  # type: ignore[attr-defined]  # only decisions are read
        for record in recording.records((DecisionRecord,))
    }
    exporter = Exporter(recording.log_id, runs_of(recording), recording.record, decisions)
    counts: dict[str, int] = {}
    files: dict[str, IO[bytes]] = {}
    try:
        with ExitStack() as open_files:
            for name, line in _lines(recording, exporter):
                if name not in files:
                    path = out / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    files[name] = open_files.enter_context(path.open("wb"))
                files[name].write(line)
                counts[name] = counts.get(name, 0) + 1
    except OSError as error:
        raise DiskFault(f"cannot write {out}: {error.strerror}; free space or name another folder") from error
    return counts


def _lines(recording: Recording, exporter: Exporter) -> Iterator[tuple[str, bytes]]:
    """(file name, line) of every record that the wire contract knows."""
    for record in recording.records():
        line = exporter.line(record)
        if line is None:
            continue
        for kinds, folder, stem in FOLDERS:
            if isinstance(record.event, kinds):
                yield f"{folder}/{stem}-{_day(record.time)}.jsonl", line
                break


def _day(time: int) -> str:
    """UTC day of a time (ns) as YYYYMMDD."""
    return (EPOCH + dt.timedelta(days=time // DAY_NS)).strftime("%Y%m%d")
