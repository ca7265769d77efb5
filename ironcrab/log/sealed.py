"""Sealed segments: read in seq order over all types, and made from hot ones with proof.

A segment's folder holds `<event type in snake_case>.parquet` and is readable with nothing of ours. Reading merges all
types by seq and holds one row group of each file at a time; every row group is held against its hash before it is
decoded. Sealing re-encodes what stands in the Parquet files and compares the chain before the hot file may go.
"""

import os
import shutil
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ironcrab.domain.event import BY_NAME, SCHEMA_VERSION
from ironcrab.domain.fault import DamageFault, DiskFault, LogFault, SchemaFault
from ironcrab.log import anchor, line, manifest, walk
from ironcrab.log.columns import HEADER, column_names, to_records
from ironcrab.log.hot import sync_folder
from ironcrab.log.line import LooseRecord
from ironcrab.log.manifest import SEGMENTS, HotFile, Manifest, Piece, SealedFile, Segment
from ironcrab.log.parquet import open_sealed, read_group, write
from ironcrab.log.passing import Pools, thin
from ironcrab.log.shape import schema_digest, shape_of
from ironcrab.loop import Record

Columns = Mapping[type[Struct], Sequence[str]]
"""Event type -> the only fields of it that are read."""
BATCH = 4_096
"""Rows decoded at a time: small enough for the cache."""


def read(
    folder: Path,
    segment: Segment,
    types: Sequence[type[Struct]] | None = None,
    *,
    seq_from: int | None = None,
    seq_to: int | None = None,
    columns: Columns | None = None,
    pools: Pools | None = None,
) -> Iterator[Record]:
    """The records of a sealed segment in seq order.

    Args:
        folder: where the segment's files are.
        segment: its entry in the manifest.
        types: event types to read; None: all, and then a missing seq is damage.
        seq_from: lowest seq, inclusive.
        seq_to: highest seq, exclusive.
        columns: event type -> the only fields to read of it; the others hold an `Unread`, which refuses every use. A
            row group in which a reducer said something comes whole, because its records will be compared.
        pools: event type -> the only pools to read of it; what is told of others comes as `Passed`. The same holds.

    Raises:
        DamageFault: a byte range is not what was written, or a record is missing; names file and range or seq.
        SchemaFault: an event type or column unknown to this code.
    """
    if segment.version > SCHEMA_VERSION:
        raise SchemaFault(anchor.newer_schema(f"segment {segment.name}", segment.version))
    first = segment.first_seq if seq_from is None else max(seq_from, segment.first_seq)
    end = segment.last_seq + 1 if seq_to is None else min(seq_to, segment.last_seq + 1)
    return chain.from_iterable(_batches(folder, segment, types, (first, end), columns or {}, pools or {}))


def _batches(
    folder: Path,
    segment: Segment,
    types: Sequence[type[Struct]] | None,
    span: tuple[int, int],
    columns: Columns,
    pools: Pools,
) -> Iterator[list[Record]]:
    first, end = span
    cursors = []
    for file in segment.files:
        if all(piece.rows == 0 or piece.last_seq < first or piece.first_seq >= end for piece in file.pieces):
            continue
        kind = _known_type(file)
        if types is None or kind in types:
            cursors.append(_Cursor(folder / file.name, file, span, columns.get(kind), pools.get(kind)))
    if len(cursors) == 1 and types is not None:
        yield from cursors[0].batches()
        return
    if types is None and pools:
        # what passes is not counted record by record: the files together hold the segment
        _hold_all(segment)
    yield from _merge(cursors, first, end, segment, whole=types is None and not pools)


def read_loose(folder: Path, segment: Segment, seq_from: int, seq_to: int | None) -> Iterator[LooseRecord]:
    """The records of a sealed segment in seq order, of types known or not; fields as a line has them. DamageFault."""
    end = segment.last_seq + 1 if seq_to is None else seq_to
    streams = [_loose_file(folder / file.name, file, seq_from, end) for file in segment.files]
    return merge(*streams, key=attrgetter("seq"))


def _loose_file(path: Path, file: SealedFile, first: int, end: int) -> Iterator[LooseRecord]:
    with open_sealed(path, file) as source:
        for index, piece in enumerate(file.pieces):
            if piece.rows == 0 or piece.last_seq < first or piece.first_seq >= end:
                continue
            for loose in _loose_rows(read_group(path, source, index, piece), file.type):
                if first <= loose.seq < end:
                    yield loose


def _loose_rows(table: Any, name: str) -> Iterator[LooseRecord]:
    """As the event type says where it is known and fits, else column by column."""
    try:
        records = to_records(BY_NAME[name], table)
    except (KeyError, SchemaFault):
        for row in table.to_pylist():
            yield LooseRecord(row.pop("seq"), row.pop("cause"), row.pop("by"), row.pop("time"), name, row)
        return
    for record in records:
        fields = msgspec.json.decode(msgspec.json.encode(record.event))
        del fields["type"]
        yield LooseRecord(record.seq, record.cause, record.by, record.time, name, fields)


def _known_type(file: SealedFile) -> type[Struct]:
    """The event type of a sealed file; SchemaFault where this code does not know it."""
    if file.type not in BY_NAME:
        raise SchemaFault(
            f"{file.name} holds {file.rows} records of {file.type}, an event type this version does not know; "
            f"open the log with the version that wrote it (inspect and query go on)"
        )
    return BY_NAME[file.type]


def _merge(cursors: list["_Cursor"], first: int, end: int, segment: Segment, *, whole: bool) -> Iterator[list[Record]]:
    """Window by window each file gives its part, which is in order; sorting ordered parts costs next to nothing."""
    for start in range(first, end, BATCH):
        stop = min(start + BATCH, end)
        window: list[Record] = []
        for cursor in cursors:
            window += cursor.up_to(stop)
        window.sort(key=_seq)
        if whole and len(window) != stop - start:
            raise _missing(segment, window, start)
        yield window


def _hold_all(segment: Segment) -> None:
    """DamageFault where the files hold more or fewer rows than the segment has records."""
    rows, records = sum(file.rows for file in segment.files), segment.last_seq + 1 - segment.first_seq
    if rows != records:
        raise DamageFault(f"segment {segment.name}: its files hold {rows} records, not {records}")


def _missing(segment: Segment, window: list[Record], start: int) -> DamageFault:
    """Which record of a window is in none of the files, or in two."""
    found = [record.seq for record in window]
    lacking = next((seq for seq, place in enumerate(found, start) if place != seq), start + len(found))
    return DamageFault(f"segment {segment.name}: record {lacking} is in none of its files")


class _Cursor:
    """One file read forward, a row group in memory, a batch of it decoded."""

    def __init__(
        self,
        path: Path,
        file: SealedFile,
        span: tuple[int, int],
        names: Sequence[str] | None,
        pools: Sequence[str] | None,
    ) -> None:
        self.path = path
        self.file = file
        self.kind = _known_type(file)
        self.first, self.end = span
        self.names = names
        self.pools = pools
        self.stream = self.batches()
        # a file whose first record comes late is opened late: whoever reads a little waits for little
        self.opens = next(piece.first_seq for piece in file.pieces if piece.rows and piece.last_seq >= self.first)
        self.batch: list[Record] = []
        self.at = 0

    def up_to(self, stop: int) -> list[Record]:
        """The own records that are left below seq `stop`."""
        found: list[Record] = []
        if self.opens >= stop:
            return found
        while True:
            if self.at == len(self.batch):
                following = next(self.stream, None)
                if following is None:
                    return found
                self.batch, self.at = following, 0
            batch = self.batch
            cut = len(batch) if batch[-1].seq < stop else bisect_left(batch, stop, lo=self.at, key=_seq)
            found += batch[self.at : cut]
            self.at = cut
            if cut < len(batch):
                return found

    def batches(self) -> Iterator[list[Record]]:
        """The wanted records, batch by batch; DamageFault, SchemaFault."""
        names = None if self.names is None else _wanted_columns(self.kind, self.names)
        with open_sealed(self.path, self.file) as source:
            for index, piece in enumerate(self.file.pieces):
                if piece.rows == 0 or piece.last_seq < self.first or piece.first_seq >= self.end:
                    continue
                low, high = self._rows(source, index, piece)
                if low == high:
                    continue
                table, wanted = read_group(self.path, source, index, piece, names), self.names
                is_world = table.column("by").null_count == piece.rows
                if names is not None and not is_world:
                    table, wanted = read_group(self.path, source, index, piece), None
                if self.pools is not None and is_world:
                    yield thin(self.kind, table.slice(low, high - low), wanted, self.pools, (self.first, BATCH))
                    continue
                for start in range(low, high, BATCH):
                    yield to_records(self.kind, table.slice(start, min(BATCH, high - start)), wanted)

    def _rows(self, source: Any, index: int, piece: Piece) -> tuple[int, int]:
        """The rows of a group that are wanted; at the edges of the range the seqs alone tell."""
        if self.first <= piece.first_seq and piece.last_seq < self.end:
            return 0, piece.rows
        seqs = read_group(self.path, source, index, piece, ["seq"]).column("seq").to_pylist()
        return bisect_left(seqs, self.first), bisect_left(seqs, self.end)


_seq = attrgetter("seq")


def _wanted_columns(kind: type[Struct], names: Sequence[str]) -> list[str]:
    fields = [*HEADER, *(field for field in shape_of(kind).fields if field.name in names)]
    return [name for field in fields for name in column_names(field)]


def seal(recording: str | os.PathLike[str], *, keep_hot: bool = False, leave_last: bool = False) -> int:
    """Seal the closed hot segments of a recording, oldest first; returns how many.

    A segment is written beside, read back, encoded again and compared with its chain; then renamed in, listed, and only
    then the hot file goes. A crash between any two steps loses nothing: the next call starts that segment anew.

    Args:
        recording: its folder.
        keep_hot: the hot files stay, listed beside the sealed ones.
        leave_last: the last segment stays hot.

    Raises:
        DamageFault: the hot file is not what was written; nothing of it is sealed.
        LogFault: what stands in the Parquet files does not give the same chain; the hot file stays.
        DiskFault: the disk refused the manifest.
    """
    folder = Path(recording)
    done = 0
    try:
        while _seal_next(folder, keep_hot=keep_hot, leave_last=leave_last):
            done += 1
    except OSError as error:
        raise DiskFault(f"the disk refused to seal {folder} ({error.strerror or error}); the hot file stays") from error
    return done


def _seal_next(folder: Path, *, keep_hot: bool, leave_last: bool) -> bool:
    """Seal the oldest closed hot segment; False where none is left to seal."""
    with manifest.held(folder):
        listed = manifest.load(folder)
        _clear_leavings(folder, listed)
        waiting = _waiting(folder, listed)
        if len(waiting) <= (1 if leave_last else 0):
            return False
        path = waiting[0]
        segment = _proven(folder / SEGMENTS, path)
        if keep_hot:
            segment = replace(segment, hot=HotFile(*manifest.hash_file(path)))
        before = [old for old in listed.segments if old.last_seq < segment.first_seq]
        after = [old for old in listed.segments if old.first_seq > segment.last_seq]
        if segment.previous != (before[-1].head if before else listed.anchor):
            raise DamageFault(f"{path.name} at byte 0: it does not go on where the segments before it end")
        listed = replace(listed, segments=(*before, segment, *after))
        manifest.save(folder, listed)
        _clear_leavings(folder, listed)
        return True


def _waiting(folder: Path, listed: Manifest) -> list[Path]:
    """Closed hot segments that are not sealed, oldest first."""
    sealed = {segment.name for segment in listed.segments if segment.files or segment.dropped}
    files = [path for path in walk.hot_files(folder / SEGMENTS) if _name(path) not in sealed]
    return [path for path in files if walk.read_closing(path) is not None]


def _proven(folder: Path, path: Path) -> Segment:
    """Write the sealed files of a hot segment, prove them, and rename them in; the entry to list."""
    name = _name(path)
    draft = folder / f"{name}.tmp"
    for stale in (draft, folder / name):
        if stale.exists():
            shutil.rmtree(stale)
    draft.mkdir()
    # Walking the lines holds each, and the closing line at the end, against the chain.
    files = write(draft, ((raw.decode(), len(raw.line)) for raw in walk.raw_lines(path)))
    start, close = walk.read_opening(path), walk.read_closing(path)
    assert start is not None
    assert close is not None
    first, head = start.first_seq, close.head
    segment = Segment(name, first, first + close.count - 1, start.previous, head, start.version, start.schema, files)
    if start.schema == schema_digest():
        proof = chain_of(draft, segment).hex()
        if proof != head:
            raise LogFault(f"{path.name}: the sealed files give the head {proof}, the log {head}; the hot file stays")
    else:
        _compare(draft, segment, path)
    sync_folder(draft)
    draft.rename(folder / name)
    sync_folder(folder)
    return segment


def chain_of(folder: Path, segment: Segment) -> bytes:
    """The 32-byte head that a sealed segment's records give when they are encoded again. DamageFault, SchemaFault."""
    head = bytes.fromhex(segment.previous)
    for record in read(folder, segment):
        _, head = line.encode(record, head)
    return head


def _compare(folder: Path, segment: Segment, path: Path) -> None:
    """The proof where another schema wrote the lines, which this code cannot write again: record by record."""
    for old, new in zip(walk.records(path), read(folder, segment), strict=True):
        if old != new:
            raise LogFault(f"{path.name}: record {old.seq} is not the same once sealed; the hot file stays")


def _clear_leavings(folder: Path, listed: Manifest) -> None:
    """Remove what an interrupted call leaves: drafts, and hot files whose sealed files are listed."""
    for draft in (folder / SEGMENTS).glob(f"{anchor.PREFIX}*.tmp"):
        shutil.rmtree(draft)
    for segment in listed.segments:
        if segment.files and segment.hot is None:
            (folder / SEGMENTS / f"{segment.name}{anchor.SUFFIX}").unlink(missing_ok=True)
    sync_folder(folder / SEGMENTS)


def _name(path: Path) -> str:
    return path.name.removesuffix(anchor.SUFFIX)
