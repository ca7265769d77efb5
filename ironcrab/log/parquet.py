"""Parquet files of a sealed segment, one per event type: how they are written, and how their bytes are held to account.

Columns seq, cause, by, time and the fields, sorted by seq, zstd, row groups of at most ROWS rows, statistics and page
index for pushdown. Encodings are those that pyarrow, polars and duckdb all read.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3
from msgspec import Struct

from ironcrab.domain.event import BY_NAME, EVENTS, snake
from ironcrab.domain.fault import DamageFault
from ironcrab.log.columns import event_schema, leaves, to_table
from ironcrab.log.manifest import Piece, SealedFile, hash_file
from ironcrab.log.shape import Shape
from ironcrab.loop import Record

ROWS = 16_384
"""Most rows in a row group."""
GROUP_BYTES = 16 << 20
"""A row group ends early once its records took this many bytes as lines."""
_OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 3,
    "version": "2.6",
    "store_schema": False,
    "write_page_index": True,
}


def _encoding(path: str, shape: Shape) -> str | None:
    """The Parquet encoding of a leaf column; None: dictionary, or the default."""
    if shape.kind == "text":
        return None if shape.repeats else "DELTA_LENGTH_BYTE_ARRAY"
    if shape.kind != "int":
        return None
    name = path.rpartition(".")[2]
    ordered = name in {"seq", "cause", "time"} or "slot" in name or name.endswith("_ms")
    # Split bytes only on 64-bit columns: on fixed-length ones polars and duckdb cannot read them.
    split = shape.width in {"u64", "i64", "u128", "i128"} and not ordered
    return "BYTE_STREAM_SPLIT" if split else "DELTA_BINARY_PACKED"


def _parquet_options(kind: type[Struct]) -> dict[str, Any]:
    paths = dict(leaves(kind))
    encodings = {path: _encoding(path, shape) for path, shape in paths.items()}
    return {
        **_OPTIONS,
        "use_dictionary": [path for path, shape in paths.items() if shape.kind == "text" and shape.repeats],
        "column_encoding": {path: encoding for path, encoding in encodings.items() if encoding is not None},
    }


class _TypeFile:
    """The Parquet file of one event type while it is written."""

    def __init__(self, folder: Path, kind: type[Struct]) -> None:
        self.kind = kind
        self.path = folder / f"{snake(kind.__name__)}.parquet"
        self.writer = pq.ParquetWriter(self.path, event_schema(kind), **_parquet_options(kind))
        self.records: list[Record] = []
        self.bytes = 0
        self.groups: list[Piece] = []

    def add(self, record: Record, size: int) -> None:
        """Take a record whose line has `size` bytes."""
        self.records.append(record)
        self.bytes += size
        if len(self.records) >= ROWS or self.bytes >= GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what has gathered as one row group."""
        if not self.records:
            return
        rows = self.records
        self.writer.write_table(to_table(self.kind, rows), row_group_size=len(rows))
        slots = [slot for row in rows if (slot := getattr(row.event, "slot", None)) is not None]
        self.groups.append(
            Piece(
                start=0,
                end=0,
                digest="",
                rows=len(rows),
                first_seq=rows[0].seq,
                last_seq=rows[-1].seq,
                min_time=min(row.time for row in rows),
                max_time=max(row.time for row in rows),
                min_slot=min(slots, default=None),
                max_slot=max(slots, default=None),
            )
        )
        self.records, self.bytes = [], 0

    def finish(self) -> SealedFile:
        """Close the file, make it durable, and say what it holds."""
        self.flush()
        self.writer.close()
        handle = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        size, digest = hash_file(self.path)
        rows = sum(group.rows for group in self.groups)
        return SealedFile(self.path.name, self.kind.__name__, rows, size, digest, _pieces(self.path, self.groups, size))


def _pieces(path: Path, groups: list[Piece], size: int) -> tuple[Piece, ...]:
    """Byte ranges that cover the file: one per row group, the last for the footer."""
    metadata = pq.read_metadata(path)
    starts = [_start_of(metadata.row_group(index)) for index in range(metadata.num_row_groups)]
    last = metadata.row_group(metadata.num_row_groups - 1)
    end = max(_chunk_end(last.column(index)) for index in range(last.num_columns))
    edges = [0, *starts[1:], end, size]
    pieces = []
    with path.open("rb") as file:
        for start, stop, group in zip(edges, edges[1:], [*groups, None], strict=False):
            digest = blake3(file.read(stop - start)).hexdigest()
            blank = group or Piece(0, 0, "")
            pieces.append(msgspec.structs.replace(blank, start=start, end=stop, digest=digest))
    return tuple(pieces)


def _start_of(group: Any) -> int:
    return min(_chunk_start(group.column(index)) for index in range(group.num_columns))


def _chunk_start(chunk: Any) -> int:
    start: int = chunk.data_page_offset
    return min(start, chunk.dictionary_page_offset) if chunk.has_dictionary_page else start


def _chunk_end(chunk: Any) -> int:
    return _chunk_start(chunk) + int(chunk.total_compressed_size)


def write(folder: Path, records: Iterator[tuple[Record, int]]) -> tuple[SealedFile, ...]:
    """Write records (in seq order, each with the length of its line) as the files of a segment, durably.

    Args:
        folder: an empty folder.
        records: memory holds one row group per event type.
    """
    files: dict[type[Struct], _TypeFile] = {}
    for record, size in records:
        kind = type(record.event)
        file = files.get(kind)
        if file is None:
            file = files[kind] = _TypeFile(folder, kind)
        file.add(record, size)
    return tuple(files[kind].finish() for kind in EVENTS if kind in files)


def open_sealed(path: Path, file: SealedFile) -> Any:
    """Open a sealed file once its footer is what was written; DamageFault naming the byte range."""
    footer = file.pieces[-1]
    check_piece(path, footer)
    repeats = (
        [name for name, shape in leaves(BY_NAME[file.type]) if shape.repeats and "." not in name]
        if file.type in BY_NAME
        else []
    )
    try:
        return pq.ParquetFile(path, read_dictionary=repeats, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise _damage(path, footer, str(error)) from error


def read_group(path: Path, source: Any, index: int, piece: Piece, names: list[str] | None = None) -> Any:
    """One row group as a table, once its bytes are what was written; DamageFault naming the byte range."""
    check_piece(path, piece)
    try:
        return source.read_row_group(index, columns=names, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise _damage(path, piece, str(error)) from error


def check_piece(path: Path, piece: Piece) -> None:
    """Hold a byte range of a file against its hash. DamageFault naming file, range and seqs."""
    try:
        with path.open("rb") as file:
            file.seek(piece.start)
            data = file.read(piece.end - piece.start)
    except FileNotFoundError as error:
        raise DamageFault(f"{_place(path)} is missing; restore it from a copy") from error
    if blake3(data).hexdigest() != piece.digest:
        raise _damage(path, piece, "they are not what was written")


def _damage(path: Path, piece: Piece, reason: str) -> DamageFault:
    what = f"records {piece.first_seq} to {piece.last_seq}" if piece.rows else "the footer"
    return DamageFault(
        f"{_place(path)}, bytes {piece.start}..{piece.end} ({what}): {reason}; restore the file from a copy"
    )


def _place(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
