"""Compose: write a whole recording sealed at once, for records that need not be durable before the next one is made.

The chain is the hot log's, line by line, and so are the Parquet files: every record is encoded as the line it would
have been, the line is chained and dropped, the record goes into its column file. What stands in the files can then be
read back, encoded again and held against the chain, as sealing does.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec.structs import replace

from ironcrab.domain.event import SCHEMA_VERSION
from ironcrab.domain.fault import DiskFault, LogFault
from ironcrab.log import line, manifest, parquet, sealed
from ironcrab.log.anchor import segment_name
from ironcrab.log.hot import SEGMENT_BYTES, sync_folder
from ironcrab.log.manifest import SEGMENTS, Manifest, Segment
from ironcrab.log.recording import Recording
from ironcrab.log.shape import schema_digest
from ironcrab.loop import Record


def compose(
    path: str | os.PathLike[str],
    log_id: str,
    records: Iterable[Record],
    *,
    origin: str = "",
    prove: bool = True,
    segment_bytes: int = SEGMENT_BYTES,
) -> Manifest:
    """Write these records, seq 0 first, as a new sealed recording; memory holds one row group per event type.

    Args:
        path: a folder that does not exist yet or is empty.
        log_id: identity of the log.
        records: in seq order, dense.
        origin: what they are made from, in words.
        prove: read every segment back and hold it against the chain; without, `verify --deep` can do it later.
        segment_bytes: a segment ends once its lines would take this many bytes.

    Raises:
        LogFault: the folder holds something, a seq is not the next one, a value does not fit, or a proof fails.
        DiskFault: the disk refused.
    """
    folder = Path(path)
    Recording.create(folder, log_id, origin=origin).close()
    listed = manifest.load(folder)
    stream = Stream(iter(records), listed.head, segment_bytes)
    try:
        while stream.has_more():
            segment = _segment(folder / SEGMENTS, stream, prove=prove)
            listed = replace(listed, segments=(*listed.segments, segment))
            manifest.save(folder, listed)
    except OSError as error:
        raise DiskFault(f"the disk refused to write {folder} ({error.strerror or error}); make room") from error
    return listed


class Stream:
    """Records on their way into segments: the next seq, and the 32-byte head of the chain."""

    def __init__(self, records: Iterator[Record], head: bytes, segment_bytes: int) -> None:
        self.records = records
        self.head = head
        self.seq = 0
        self.limit = segment_bytes
        self.waiting: Record | None = None

    def has_more(self) -> bool:
        """Whether a record follows."""
        if self.waiting is None:
            self.waiting = next(self.records, None)
        return self.waiting is not None

    def lines(self) -> Iterator[tuple[Record, int]]:
        """The records of one segment, chained, each with the length of its line."""
        size, encode, head = 0, line.encode, self.head
        while size < self.limit and self.has_more():
            record, self.waiting = self.waiting, None
            assert record is not None
            if record.seq != self.seq:
                raise LogFault(f"record {record.seq} was composed where {self.seq} is next; nothing more was written")
            text, head = encode(record, head)
            self.seq, self.head = record.seq + 1, head
            size += len(text)
            yield record, len(text)


def _segment(folder: Path, stream: Stream, *, prove: bool) -> Segment:
    """Write, prove and rename in one segment; the entry to list."""
    first, previous, name = stream.seq, stream.head.hex(), segment_name(stream.seq)
    draft = folder / f"{name}.tmp"
    draft.mkdir()
    files = parquet.write(draft, stream.lines())
    last, head = stream.seq - 1, stream.head.hex()
    segment = Segment(name, first, last, previous, head, SCHEMA_VERSION, schema_digest(), files)
    if prove:
        proof = sealed.chain_of(draft, segment).hex()
        if proof != head:
            raise LogFault(f"{name}: the sealed files give the head {proof}, the chain {head}; it was not taken in")
    draft.rename(folder / name)
    sync_folder(folder)
    return segment
