"""Import: foreign files become recordings. Reading files happens here; turning bytes into events is pure."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from blake3 import blake3
from msgspec import Struct

from ironcrab import __version__
from ironcrab.dex.generations import generations_at
from ironcrab.domain.control import InputCounted, ReducerInfo, RunStarted
from ironcrab.domain.event import Event
from ironcrab.domain.fault import InputFault
from ironcrab.ingest import whirlpool_day
from ironcrab.ingest.frames import frames
from ironcrab.ingest.normalise import Normaliser
from ironcrab.ingest.whirlpool_states import NOT_REBUILT, Rebuilt, rebuild
from ironcrab.log.contract import Header, import_line
from ironcrab.log.recording import Recording
from ironcrab.loop import Loop, Now
from ironcrab.mode.code import path_of, source_digest
from ironcrab.shell.files import chunks, lines

Progress = Callable[[int], None] | None
"""Told the number of records so far."""


class ImportSummary(Struct, frozen=True):
    """What an import wrote: records, counts by type, and what it met and could not turn into events."""

    log_id: str
    records: int
    counts: dict[str, int]
    refused: dict[str, int]


def digest_of(paths: Iterable[Path]) -> str:
    """Digest of the plain bytes of some files, in order."""
    hasher = blake3()
    for path in paths:
        for piece in chunks(path):
            hasher.update(piece)
    return hasher.hexdigest(length=16)


def import_frames(path: Path, out: Path, progress: Progress = None) -> ImportSummary:
    """Geyser frames (`u32 big-endian length + SubscribeUpdate`) -> a recording of MarketEvents, still hot."""
    normaliser = Normaliser()
    counts = normaliser.counts

    def events() -> Iterator[tuple[int, Event]]:
        for frame in frames(chunks(path), counts):
            yield from normaliser.feed(frame)
        yield from normaliser.finish()

    return _write("frames", (path,), out, events(), lambda: counts, Normaliser, progress)


def import_whirlpool_day(path: Path, out: Path, progress: Progress = None, states: Path | None = None) -> ImportSummary:
    """A day of decoded Whirlpool transactions (JSON lines) -> a recording, still hot.

    Args:
        path: the day.
        out: the folder to write.
        progress: told the records so far.
        states: all Whirlpool accounts at the day's end, from which those of the whole day are rebuilt; None: trades
            and reserves only.
    """
    files = (path,) if states is None else (path, states)
    told = Rebuilt() if states is None else rebuild(lines(path), b"".join(chunks(states)), str(states))
    day = whirlpool_day.Day(states=told)
    if states is not None:
        # what cannot be read is counted once, by the day
        day.counts.update({why: many for why, many in told.counts.items() if why == NOT_REBUILT})
    return _write("whirlpool-day", files, out, day.events(lines(path)), lambda: day.counts, whirlpool_day.Day, progress)


def import_ironcrab(path: Path, out: Path, progress: Progress = None) -> ImportSummary:
    """The original's JSONL folders or files -> a recording; records in time order, ids as they came.

    Each process (component, build, run id) that wrote records opens a run, so that export can put its header back.
    """
    files = _jsonl_files(path)
    counts: dict[str, int] = {}
    rows: list[tuple[int, int, Header, Event]] = []
    for file in files:
        for line in lines(file):
            if not line.strip():
                continue
            try:
                header, event = import_line(line)
            except InputFault as fault:
                reason = f"{file.name}: {fault}"
                counts[reason] = counts.get(reason, 0) + 1
                continue
            rows.append((header.ts_unix_ms * 1_000_000, len(rows), header, event))
    rows.sort(key=lambda row: row[:2])
    return _write("ironcrab", files, out, _with_runs(rows), lambda: counts, Header, progress)


def _with_runs(rows: list[tuple[int, int, Header, Event]]) -> Iterator[tuple[int, Event]]:
    """The events, with a run-started event wherever a component's build or run id is new."""
    known: dict[str, tuple[str, str]] = {}
    run = 1
    for time, _, header, event in rows:
        if known.get(header.component) != (header.build, header.run_id):
            known[header.component] = (header.build, header.run_id)
            yield (
                time,
                RunStarted(
                    run, "import-ironcrab", header.build, header.component, (), (), (), run_id=header.run_id or None
                ),
            )
            run += 1
        yield time, event


def _jsonl_files(path: Path) -> tuple[Path, ...]:
    """The file itself, or every JSONL file below the folder, by name."""
    if path.is_file():
        return (path,)
    found = tuple(sorted(file for file in path.rglob("*.jsonl*") if file.is_file())) if path.is_dir() else ()
    if not found:
        raise InputFault(f"{path} holds no .jsonl file; give a file or folder of the original's JSONL logs")
    return found


def _write(
    kind: str,
    files: tuple[Path, ...],
    out: Path,
    events: Iterable[tuple[int, Event]],
    refused: Callable[[], dict[str, int]],
    made_by: type,
    progress: Progress,
) -> ImportSummary:
    """Write events as world records after a run-started event; the counts of what was refused close it.

    The run-started event names the program generations that held when the first event happened.
    """
    digest = digest_of(files)
    info = ReducerInfo(f"import-{kind}", path_of(made_by), source_digest(made_by))
    log_id = blake3(f"ironcrab import {kind}\0{digest}\0{info.source_digest}".encode()).hexdigest(length=16)
    counts: dict[str, int] = {}
    with Recording.create(out, log_id, origin=f"import {kind} of {digest}") as writer:
        loop = Loop((), writer.append, Now())
        is_open = False
        for time, event in events:
            if not is_open:
                generations = generations_at(time // 1_000_000_000) if time else ()
                started = RunStarted(0, f"import-{kind}", __version__, "market-data", (), (), (), generations)
                loop.take(started, time)
                is_open = True
            loop.take(event, time)
            name = type(event).__name__
            counts[name] = counts.get(name, 0) + 1
            if progress is not None:
                progress(loop.seq)
        if not is_open:
            raise InputFault(f"{files[0]} holds nothing to import: {refused() or 'it is empty'}")
        loop.take(InputCounted(digest, refused()), loop.now.time)
    return ImportSummary(log_id, loop.seq, counts, refused())
