"""Sweep: many rows of parameters over the same recordings, in several processes; digests and results in one file.

A task is one recording, one part of its time and a few rows: a process reads that part once and drives every row
through it (`anew`). What is done stands at once in `<out>.partial`, so that an interrupted sweep goes on where it
stopped. The world is the paper world of backtests; where the scenario is silent, `backtest.HONEST`. At the end the
table is written as Parquet, the plan in its metadata: any row can be run again from it alone.
"""

import fcntl
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3
from msgspec import Struct

from ironcrab.domain.control import Setting
from ironcrab.domain.fault import DiskFault, InputFault
from ironcrab.log.contents import runs_of
from ironcrab.log.recording import Recording
from ironcrab.mode.anew import Result, Span, decide_anew, market
from ironcrab.mode.axes import Axis, Part, Row
from ironcrab.mode.backtest import HONEST
from ironcrab.mode.run import RunSummary, run_events, source_head
from ironcrab.mode.scenario import Scenario, read
from ironcrab.mode.wiring import Wiring, infos

META = b"ironcrab.sweep"
"""Key of the plan in the table's metadata."""
MOST_TOGETHER = 16
"""Rows that one task drives at most: as many states stand in memory."""


class Search(Struct, frozen=True):
    """Rows that are chosen on the way: axes, how many rows at most, seed."""

    axes: tuple[Axis, ...]
    rows: int
    seed: int


class Plan(Struct, frozen=True):
    """Everything a sweep is made of.

    Attributes:
        name: of the scenario.
        tree: its file, as parsed.
        on: recordings, as named on the command line.
        heads: what each holds (its head), so that a changed one is noticed.
        code: the reducers' digests.
        rows: parameters of each row.
        parts: of each recording, the spans every row goes through.
        search: how the rows were chosen; None: they were given.
    """

    name: str
    tree: dict[str, Any]
    on: tuple[str, ...]
    heads: tuple[str, ...]
    code: tuple[str, ...]
    rows: tuple[Row, ...]
    parts: tuple[tuple[Part, ...], ...]
    search: Search | None = None

    def scenario(self, row: int) -> Scenario:
        """The scenario of a row; InputFault where there is no such row, ScenarioFault where a value is refused."""
        if not 0 <= row < len(self.rows):
            raise InputFault(f"there is no row {row}; the sweep has rows 0 to {len(self.rows) - 1}")
        return read(self.name, self.tree, f"row {row} of the sweep", self.rows[row], HONEST)


class Task(Struct, frozen=True):
    """What one process does in one go: a recording, one of its parts, and rows."""

    on: int
    part: int
    rows: tuple[int, ...]


class Line(Struct, frozen=True):
    """One line of the table: row, recording and part, and what came of it."""

    row: int
    on: int
    part: int
    result: Result


def plan(
    name: str,
    tree: dict[str, Any],
    rows: tuple[Row, ...],
    on: tuple[str, ...],
    parts: tuple[tuple[Part, ...], ...],
) -> Plan:
    """A plan in which every row was judged: a parameter out of range is told before anything runs. ScenarioFault."""
    found = Plan(name, tree, on, tuple(Recording.open(path).head.hex() for path in on), (), rows, parts)
    scenarios = [found.scenario(row) for row in range(len(rows))]
    code = tuple(f"{info.name} {info.source_digest}" for info in infos(Wiring(scenarios[0]).reducers))
    return msgspec.structs.replace(found, code=code)


def tasks(planned: Plan, done: set[tuple[int, int, int]], together: int) -> Iterator[Task]:
    """What is left to do: rows in order, some together, part by part."""
    for on, parts in enumerate(planned.parts):
        for part in range(len(parts)):
            left = [row for row in range(len(planned.rows)) if (row, on, part) not in done]
            for start in range(0, len(left), together):
                yield Task(on, part, tuple(left[start : start + together]))


def work(planned: Plan, task: Task) -> list[Line]:
    """Do one task; runs in a process of its own."""
    recording = Recording.open(planned.on[task.on])
    scenarios = [planned.scenario(row) for row in task.rows]
    results = decide_anew(recording, scenarios, planned.parts[task.on][task.part].span)
    return [Line(row, task.on, task.part, result) for row, result in zip(task.rows, results, strict=True)]


_planned: Plan | None = None


def _take_plan(told: bytes) -> None:
    """A new process takes the plan once, not with every task; the keyboard interrupts its parent alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    global _planned  # noqa: PLW0603 - a process pool offers no other place for what all its tasks share
    _planned = msgspec.json.decode(told, type=Plan)


def _end_with_parent() -> None:
    """A parent that is killed tells nobody: whoever would wait for its tasks for ever ends, too."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(task: Task) -> list[Line]:
    assert _planned is not None
    return work(_planned, task)


Executor = Callable[[Plan, list[Task], int], Iterator[list[Line]]]
"""Carries tasks out in so many processes; lines as they come. A worker that died: BrokenProcessPool."""


def sweep(
    planned: Plan,
    out: Path,
    jobs: int,
    progress: Callable[[int], None] | None = None,
    executor: Executor | None = None,
) -> list[Line]:
    """Do all of a plan that is not done yet, then write the table.

    Args:
        planned: the plan.
        out: the Parquet file to be; `<out>.partial` is gone on with where it is of this very plan.
        jobs: processes; 1: this one.
        progress: told how many lines stand.
        executor: carries the tasks out; None: a pool of processes here, or this one.

    Raises:
        InputFault: `out` exists, the partial file is of another plan or another sweep writes it, or a worker died;
            what was done stands.
        DiskFault: the disk refused.
    """
    with alone(fresh(out)) as path:
        partial = Partial(path, planned)
        lines = partial.lines
        together = max(1, min(MOST_TOGETHER, -(-len(planned.rows) // jobs)))
        todo = list(tasks(planned, {(line.row, line.on, line.part) for line in lines}, together))
        for _ in carry_out(planned, todo, jobs, partial, executor):
            if progress is not None:
                progress(len(lines))
        lines.sort(key=lambda line: (line.row, line.on, line.part))
        write_table(planned, lines, out)
        path.unlink()
    return lines


def fresh(out: Path) -> Path:
    """The partial file of a table to be; InputFault where the table exists."""
    if out.exists():
        raise InputFault(f"--out {out} exists; name a new file")
    return out.with_name(out.name + ".partial")


@contextmanager
def alone(partial: Path) -> Iterator[Path]:
    """Hold the partial file, so that no two sweeps write one table. InputFault where another does; DiskFault."""
    try:
        handle = os.open(partial, os.O_RDONLY | os.O_CREAT, 0o666)
    except OSError as error:
        raise DiskFault(f"cannot write {partial}: {error.strerror}; name another --out") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputFault(f"another sweep writes {partial}; wait for its end, or name another --out") from error
        yield partial
    finally:
        os.close(handle)


def carry_out(
    planned: Plan, todo: list[Task], jobs: int, partial: "Partial", executor: Executor | None = None
) -> Iterator[list[Line]]:
    """Do these tasks in so many processes; what is done stands in the partial file before it is handed on.

    Raises:
        InputFault: a worker died.
        DiskFault: the disk refused.
    """
    try:
        for found in (executor or (_one_by_one if jobs == 1 else _pool))(planned, todo, jobs):
            partial.add(found)
            yield found
    except BrokenProcessPool as error:
        total = sum(len(parts) for parts in planned.parts) * len(planned.rows)
        raise InputFault(
            f"a worker died (out of memory?) with {len(partial.lines)} of {total} lines done; they stand in "
            f"{partial.path}: run the same command again, with fewer --jobs"
        ) from error


def _one_by_one(planned: Plan, todo: list[Task], _jobs: int) -> Iterator[list[Line]]:
    for task in todo:
        yield work(planned, task)


def _pool(planned: Plan, todo: list[Task], jobs: int) -> Iterator[list[Line]]:
    """Results as they come; what was not begun when the caller stops is called off."""
    # spawned, not forked: a child inherits no lock and no thread, and it is the same on every system
    context = multiprocessing.get_context("spawn")
    told = msgspec.json.encode(planned)
    pool = ProcessPoolExecutor(min(jobs, len(todo) or 1), context, _take_plan, (told,))
    whole = False
    try:
        for future in as_completed([pool.submit(_work, task) for task in todo]):
            yield future.result()
        whole = True
    finally:
        # who is interrupted does not wait for rows that nobody will take in
        for child in () if whole else multiprocessing.active_children():
            child.terminate()
        pool.shutdown(cancel_futures=True)


class Partial:
    """The lines done so far, in a file of JSON lines whose first one names the plan.

    Raises:
        InputFault: the file is of another plan.
    """

    def __init__(self, path: Path, planned: Plan) -> None:
        self.path = path
        self.lines: list[Line] = []
        name = blake3(msgspec.json.encode(planned)).hexdigest()
        head = msgspec.json.encode({"sweep": name}) + b"\n"
        data = path.read_bytes() if path.exists() else b""
        if len(data) < len(head) and head.startswith(data):
            # nothing there, or stopped within its first line
            self._write(head[len(data) :])
            return
        if not data.startswith(head):
            raise InputFault(f"{path} is what another sweep left; delete it, or name another --out")
        whole = data[: data.rfind(b"\n") + 1]
        self.lines = [msgspec.json.decode(line, type=Line) for line in whole[len(head) :].splitlines()]
        if len(whole) < len(data):
            os.truncate(path, len(whole))

    def add(self, lines: list[Line]) -> None:
        """Take lines in; they are handed to the disk at once."""
        self._write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        self.lines += lines

    def _write(self, data: bytes) -> None:
        try:
            with self.path.open("ab") as file:
                file.write(data)
        except OSError as error:
            raise DiskFault(
                f"cannot write {self.path}: {error.strerror}; make room and run the same command again"
            ) from error


# the table


def write_table(planned: Plan, lines: list[Line], out: Path) -> None:
    """The table as Parquet, the plan in its metadata. DiskFault."""
    keys = [key for key, _ in planned.rows[0]]
    values = {key: [dict(planned.rows[line.row])[key] for line in lines] for key in keys}
    parts = [planned.parts[line.on][line.part] for line in lines]
    results = [line.result for line in lines]
    columns: dict[str, Any] = {
        "row": pa.array([line.row for line in lines], pa.int64()),
        "on": pa.array([planned.on[line.on] for line in lines], pa.string()),
        "window": pa.array([part.window for part in parts], pa.int64()),
        "sample": pa.array([part.sample for part in parts], pa.string()),
        "from_time": pa.array([part.span.start for part in parts], pa.int64()),
        "to_time": pa.array([part.span.end for part in parts], pa.int64()),
        **{key: _column(texts) for key, texts in values.items()},
    }
    for field in Result.__struct_fields__:
        if field not in ("digest", "refusals"):
            columns[field] = pa.array([getattr(result, field) for result in results], pa.int64())
    columns["digest"] = pa.array([result.digest for result in results], pa.string())
    refusals = [list(result.refusals.items()) for result in results]
    columns["refusals"] = pa.array(refusals, pa.map_(pa.string(), pa.int64()))
    table = pa.table(columns).replace_schema_metadata({META: msgspec.json.encode(planned)})
    draft = out.with_name(out.name + ".tmp")
    try:
        pq.write_table(table, draft, compression="zstd")
        draft.replace(out)
    except OSError as error:
        raise DiskFault(f"cannot write {out}: {error}; make room and run the same command again") from error


def _column(texts: list[str]) -> Any:
    """Whole numbers as such, everything else as text."""
    try:
        return pa.array([int(text) for text in texts], pa.int64())
    except (ValueError, OverflowError):
        return pa.array(texts, pa.string())


def read_plan(path: Path) -> Plan:
    """The plan that a table was made from; InputFault where the file is no sweep's table."""
    try:
        told = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise InputFault(f"{path} is no table of a sweep: {error}") from error
    if META not in told:
        raise InputFault(f"{path} is a Parquet file, but no table of a sweep")
    return msgspec.json.decode(told[META], type=Plan)


# a row on its own


def settings_of(planned: Plan, row: int) -> tuple[Setting, ...]:
    """The settings of a row that do not stand at their default."""
    return tuple(setting for setting in planned.scenario(row).settings if setting.origin != "default")


def toml_of(planned: Plan, row: int) -> str:
    """The scenario of a row as a TOML file."""
    scenario = planned.scenario(row)
    paths = planned.tree.get("strategies", [])
    lines = [f"# row {row} of a sweep of {planned.name}", f"strategies = {_toml(paths)}"]
    lines.append(f"outlets = {_toml(list(scenario.outlets))}")
    table = ""
    for setting in settings_of(planned, row):
        here, _, key = setting.key.partition(".")
        if here != table:
            lines += ["", f"[{here}]"]
            table = here
        lines.append(f"{key} = {_toml(msgspec.json.decode(setting.value))}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """A number, truth value, text or list in TOML, which spells these as JSON does."""
    return msgspec.json.encode(value).decode()


def line_of(path: Path, number: int) -> tuple[Plan, dict[str, Any]]:
    """The plan of a table and its line `number`, by column; InputFault where it has no such line."""
    planned = read_plan(path)
    table = pq.read_table(path)
    if not 0 <= number < table.num_rows:
        raise InputFault(f"{path} has no line {number}; it has lines 0 to {table.num_rows - 1}")
    found: dict[str, Any] = table.slice(number, 1).to_pylist()[0]
    return planned, found


def run_line(planned: Plan, line: dict[str, Any], out: Path) -> RunSummary:
    """Run a line of the table again into the new recording `out`; its digest is the table's.

    Raises:
        InputFault: the recording is not the one that was swept.
    """
    on = planned.on.index(line["on"])
    recording = Recording.open(planned.on[on])
    if recording.head.hex() != planned.heads[on]:
        raise InputFault(f"{planned.on[on]} has changed since the sweep; its rows cannot be run again")
    span = Span(line["from_time"], line["to_time"])
    generations = next((event.generations for _, event in runs_of(recording)), ())
    head = source_head(recording)
    name = head if span == Span() else f"{head}@{span.start or ''}..{span.end or ''}"
    return run_events(market(recording, span), name, planned.scenario(line["row"]), out, generations)
