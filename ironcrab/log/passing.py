"""Rows that pass: of pools that nobody named, so that they are counted and never become events.

What they do to a run they still do: each takes its seq, time and slot go on. A run of them that stands without a gap
in the log, within one slot and one second, is one record, so that ticks, due answers and seqs fall where they would.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa
from msgspec import Struct

from ironcrab.log.columns import ints, to_records
from ironcrab.loop import Record

Pools = Mapping[type[Struct], tuple[str, ...]]
"""Event type -> the only pools whose events of it are read."""
SECOND = 1_000_000_000
"""Nanoseconds."""


class Passed(Struct, frozen=True, gc=False):
    """So many world records, dense from the record's seq, whose events were not read.

    Attributes:
        slot: of all of them.
        times: of each, nanoseconds; the record bears the last one.
    """

    slot: int | None
    times: Sequence[int]


def one_by_one(record: Record) -> Iterator[Record]:
    """What passed, each by itself: for whom every moment counts."""
    for place, time in enumerate(record.event.times):  # type: ignore[attr-defined]
        event = Passed(record.event.slot, (time,))  # type: ignore[attr-defined]
        yield Record(record.seq + place, None, None, time, event)


def thin(
    kind: type[Struct], table: Any, names: Sequence[str] | None, pools: Sequence[str], windows: tuple[int, int]
) -> list[Record]:
    """The records of these pools in a table of world records, and what passes between them, in order.

    Args:
        kind: the event type.
        table: header columns and event columns, among them pool_address and slot.
        names: as of `to_records`.
        pools: whose events are wanted.
        windows: (first, length): nothing that passes reaches over a multiple of `length` seqs after `first`.
    """
    import pyarrow.compute as pc  # noqa: PLC0415 - it takes as long to load as all else of pyarrow

    table = table.combine_chunks()
    wanted = _wanted(table.column("pool_address"), pools)
    kept = iter(to_records(kind, table.filter(wanted), names))
    seq, time, slot = (table.column(name).combine_chunks() for name in ("seq", "time", "slot"))
    first, length = (pa.scalar(number, pa.uint64()) for number in windows)
    edge = wanted[1:]
    for changes in (
        wanted[:-1],
        pc.not_equal(pc.subtract(seq[1:], seq[:-1]), 1),
        _changes(pc.divide(pc.subtract(seq, first), length)),
        _changes(pc.divide(time, SECOND)),
        _changes(slot.fill_null(0)),
        _changes(slot.is_null()),
    ):
        edge = pc.or_(edge, changes)
    starts = pa.concat_arrays([pa.array([0], pa.uint64()), pc.add(pc.indices_nonzero(edge), 1).cast(pa.uint64())])
    bounds = [*ints(starts, "Q"), table.num_rows]
    flags = ints(wanted.take(starts).cast(pa.uint8()), "B")
    slots = slot.take(starts)
    columns = (flags, ints(seq.take(starts), "Q"), slots.to_pylist() if slots.null_count else ints(slots, "Q"))
    times: Any = memoryview(time.buffers()[1]).cast("B").cast("Q")[time.offset : time.offset + len(time)]
    return [
        next(kept) if is_kept else Record(at, None, None, times[end - 1], Passed(where, times[start:end]))
        for (start, end), is_kept, at, where in zip(pairwise(bounds), *columns, strict=True)
    ]


def _wanted(column: Any, pools: Sequence[str]) -> Any:
    """Which rows are of these pools."""
    import pyarrow.compute as pc  # noqa: PLC0415 - as above

    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0)
    if not isinstance(array, pa.DictionaryArray):
        return pc.is_in(array, value_set=pa.array(pools, pa.string()))
    places = [place for place, word in enumerate(array.dictionary.to_pylist()) if word in pools]
    return pc.is_in(array.indices, value_set=pa.array(places, array.indices.type))


def _changes(array: Any) -> Any:
    """Where a value is not the one before it."""
    import pyarrow.compute as pc  # noqa: PLC0415 - as above

    return pc.not_equal(array[1:], array[:-1])
