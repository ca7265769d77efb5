"""What is in a recording, told from its manifest where that suffices; types this code does not know included."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ironcrab.domain.control import GapClosed, GapOpened, RunStarted
from ironcrab.domain.event import BY_NAME
from ironcrab.domain.fault import SchemaFault
from ironcrab.log import line, walk
from ironcrab.log.line import LooseRecord
from ironcrab.log.manifest import NAME, SEGMENTS
from ironcrab.log.parts import Part
from ironcrab.log.recording import Recording

Runs = list[tuple[int, RunStarted]]


def is_recording(path: Path) -> bool:
    """Whether a folder is a recording."""
    return (path / NAME).is_file() and (path / SEGMENTS).is_dir()


def runs_of(recording: Recording) -> Runs:
    """(seq, event) of each run that opens in the recording, in order."""
    return [(record.seq, record.event) for record in recording.records((RunStarted,))]  # type: ignore[misc]


def sealed_files(recording: Recording) -> dict[str, list[Path]]:
    """Event type -> its sealed files in order; unknown types too."""
    found: dict[str, list[Path]] = {}
    for part in recording.parts:
        if part.entry is not None:
            for file in part.entry.files:
                found.setdefault(file.type, []).append(part.path / file.name)
    return found


def hot_lines(recording: Recording) -> Iterator[LooseRecord]:
    """Every record that is not sealed, decoded loosely."""
    for part in recording.parts:
        if part.entry is None or not part.entry.files:
            for raw in walk.raw_lines(part.path):
                yield line.decode_loose(raw.line)


def counts(recording: Recording) -> dict[str, int]:
    """Records by event type, in the order of the event tables."""
    found: dict[str, int] = {}
    for part in recording.parts:
        if part.entry is not None:
            for file in part.entry.files:
                found[file.type] = found.get(file.type, 0) + file.rows
    for record in hot_lines(recording):
        found[record.type] = found.get(record.type, 0) + 1
    names = [*BY_NAME, *(name for name in found if name not in BY_NAME)]
    return {name: found[name] for name in names if name in found}


def head_before(recording: Recording, seq: int) -> bytes:
    """The 32-byte head of the chain before record `seq`: what a slice that begins there is anchored to."""
    for part in recording.parts:
        if part.entry is not None and part.first_seq <= seq <= part.entry.last_seq:
            head = bytes.fromhex(part.entry.previous)
            for record in recording.records(seq_from=part.first_seq, seq_to=seq):
                _, head = line.encode(record, head)
            return head
        if part.entry is None and part.first_seq <= seq:
            opening = walk.read_opening(part.path)
            assert opening is not None
            head = bytes.fromhex(opening.previous)
            for raw in walk.raw_lines(part.path, part.first_seq, seq):
                head = line.check(raw.line, head, raw.seq)
            if seq < recording.next_seq:
                return head
    return recording.head


class SegmentRow(Struct, frozen=True):
    """One segment: name, hot or sealed, its seqs, its bytes."""

    name: str
    form: str
    first_seq: int
    last_seq: int | None
    bytes: int


class Overview(Struct, frozen=True):
    """What `inspect` tells of a whole recording; times in nanoseconds since 1970."""

    recording: str
    log_id: str
    origin: str
    golden: bool
    pinned: bool
    records: int
    first_seq: int
    head: str
    first_time: int
    last_time: int
    first_slot: int | None
    last_slot: int | None
    runs: tuple[tuple[int, int, str, str, str], ...]
    segments: tuple[SegmentRow, ...]
    counts: dict[str, int]
    gaps: tuple[str, ...]
    blessed: tuple[str, ...]
    start: str | None


def overview(recording: Recording) -> Overview:
    """Everything that `inspect` tells of a whole recording."""
    manifest = recording.manifest
    first, last = _ends(recording)
    slots = _slots(recording)
    start = manifest.start
    return Overview(
        recording=str(recording.path),
        log_id=recording.log_id,
        origin=manifest.origin,
        golden=manifest.golden,
        pinned=manifest.pinned,
        records=recording.next_seq - recording.first_seq,
        first_seq=recording.first_seq,
        head=recording.head.hex(),
        first_time=first.time if first else 0,
        last_time=last.time if last else 0,
        first_slot=min(slots, default=None),
        last_slot=max(slots, default=None),
        runs=tuple(_run_rows(recording)),
        segments=tuple(_segment_row(part) for part in recording.parts),
        counts=counts(recording),
        gaps=tuple(_gaps(recording)),
        blessed=tuple(blessing.because for blessing in manifest.blessed),
        start=None if start is None else f"state before seq {start.seq} of log {start.log_id}, head {start.head}",
    )


def _ends(recording: Recording) -> tuple[LooseRecord | None, LooseRecord | None]:
    """The first and the last record."""
    first_seq, next_seq = recording.first_seq, recording.next_seq
    first = next(recording.loose(first_seq, first_seq + 1), None)
    return first, next(recording.loose(next_seq - 1, next_seq), None)


def _slots(recording: Recording) -> list[int]:
    found = [
        slot
        for part in recording.parts
        if part.entry is not None
        for file in part.entry.files
        for piece in file.pieces
        for slot in (piece.min_slot, piece.max_slot)
        if slot is not None
    ]
    hot = (record.fields.get("slot") for record in hot_lines(recording))
    return found + [slot for slot in hot if isinstance(slot, int)]


def _run_rows(recording: Recording) -> Iterator[tuple[int, int, str, str, str]]:
    for seq, _, told in _told(recording, (RunStarted,)):
        reducers = ", ".join(str(info.get("name")) for info in told.get("reducers") or ())
        yield told.get("run", 0), seq, told.get("scenario", ""), told.get("code_version", ""), reducers or "none"


def _segment_row(part: Part) -> SegmentRow:
    is_sealed = part.entry is not None and bool(part.entry.files)
    size = sum(file.stat().st_size for file in (part.path.iterdir() if is_sealed else (part.path,)))
    last = part.entry.last_seq if part.entry is not None else None
    return SegmentRow(part.path.name, "sealed" if is_sealed else "hot", part.first_seq, last, size)


def _gaps(recording: Recording) -> Iterator[str]:
    for seq, name, told in _told(recording, (GapOpened, GapClosed)):
        if name == "GapOpened":
            yield f"#{seq} {told.get('feed')}: opened at slot {told.get('from_slot')} ({told.get('reason')})"
        else:
            filled = ", filled" if told.get("filled") else ""
            yield f"#{seq} {told.get('feed')}: closed at slot {told.get('to_slot')}{filled}"


def _told(recording: Recording, kinds: tuple[type[Struct], ...]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(seq, type, fields) of the records of some types, also where another schema wrote the log."""
    try:
        found = list(recording.records(kinds))
    except SchemaFault:
        names = {kind.__name__ for kind in kinds}
        yield from ((loose.seq, loose.type, loose.fields) for loose in recording.loose() if loose.type in names)
        return
    for record in found:
        yield record.seq, type(record.event).__name__, msgspec.to_builtins(record.event)
