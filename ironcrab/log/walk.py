"""Reading hot segments: whole lines only, each held against the chain."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from ironcrab.domain.event import BY_NAME, SCHEMA_VERSION
from ironcrab.domain.fault import DamageFault, LogFault, SchemaFault
from ironcrab.log import anchor, line
from ironcrab.log.anchor import ANCHOR_START, Closing, Opening, newer_schema
from ironcrab.log.shape import schema_digest
from ironcrab.loop import Record


class Hot(Struct, frozen=True):
    """What a walk through a hot segment found.

    Attributes:
        path: the file.
        opening: its first line; None: not even that is complete.
        next_seq: seq after the last complete record (-1 without an opening).
        head: 32-byte head there.
        end: bytes up to and with the last complete line.
        size: bytes of the file; more than `end` means an incomplete tail.
        closed: the closing line stands.
    """

    path: Path
    opening: Opening | None
    next_seq: int
    head: bytes
    end: int
    size: int
    closed: bool


def hot_files(folder: Path) -> list[Path]:
    """The hot segments of a `segments` folder in seq order."""
    return sorted(folder.glob(f"{anchor.PREFIX}*{anchor.SUFFIX}"))


def read_opening(path: Path) -> Opening | None:
    """The opening line of a hot segment; None while it is incomplete. DamageFault, SchemaFault."""
    with path.open("rb") as file:
        first = file.readline()
    if not first.endswith(b"\n"):
        return None
    return _opening(path, first)


def read_closing(path: Path) -> Closing | None:
    """The closing line of a hot segment, held against its own check alone; None while there is none."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 512))
        last = file.read()
    start = last.rfind(b"\n", 0, -1) + 1
    if not last.endswith(b"\n") or not last.startswith(b'{"segment":"closing"', start):
        return None
    try:
        close = anchor.read(last[start:])
    except DamageFault as fault:
        raise DamageFault(f"{path.name} at byte {path.stat().st_size - len(last) + start}: {fault}") from fault
    return close if isinstance(close, Closing) else None


def tail_bytes(folder: Path) -> int:
    """Length of an incomplete line at the end of the newest hot segment of a `segments` folder; 0: there is none."""
    files = hot_files(folder)
    if not files:
        return 0
    with files[-1].open("rb") as file:
        size = at = file.seek(0, 2)
        while at:
            start = max(0, at - (1 << 16))
            file.seek(start)
            newline = file.read(at - start).rfind(b"\n")
            if newline >= 0:
                return size - (start + newline + 1)
            at = start
    return size


def walk(path: Path) -> Hot:
    """Walk a whole hot segment, chain checked, nothing decoded.

    Raises:
        DamageFault: anything but an incomplete last line; names file, seq and byte offset.
    """
    with path.open("rb") as file:
        first = file.readline()
        if not first.endswith(b"\n"):
            _refuse_whole_anchor(path, first)
            return Hot(path, None, -1, b"", 0, len(first), closed=False)
        start = _opening(path, first)
        steps = _steps(path, file, start, len(first))
        seq, head, end, closed = start.first_seq, bytes.fromhex(start.previous), len(first), False
        for seq_after, head_after, raw, end_after in steps:
            seq, head, end, closed = seq_after, head_after, end_after, raw.startswith(ANCHOR_START)
        return Hot(path, start, seq, head, end, path.stat().st_size, closed=closed)


def link_fault(before: Hot, after: Hot) -> DamageFault | None:
    """What is wrong between two segments that should follow each other; None: nothing."""
    if not before.closed or before.end != before.size:
        return DamageFault(
            f"{before.path.name} at byte {before.end}: records from seq {before.next_seq} on are missing"
        )
    if after.opening is None:
        return None
    if after.opening.previous != before.head.hex() or after.opening.log != (before.opening and before.opening.log):
        return DamageFault(f"{after.path.name} at byte 0: it does not go on where {before.path.name} closed")
    return None


def records(
    path: Path,
    seq_from: int = 0,
    seq_to: int | None = None,
    *,
    types: frozenset[str] | None = None,
    end_seq: int | None = None,
) -> Iterator[Record]:
    """The records `seq_from` <= seq < `seq_to` of a hot segment whose complete lines stand.

    From the segment's start the chain is checked all along; a start further in seeks, and checks only that no seq is
    missing.

    Args:
        path: the file.
        seq_from: lowest seq, inclusive.
        seq_to: highest seq, exclusive.
        types: tags of the event types to decode; None: all.
        end_seq: seq at which the segment is known to end; None: it may end anywhere.

    Raises:
        DamageFault: a line is not what was written, or records are missing.
        SchemaFault: an event type unknown to this code, wanted or not.
    """
    seq = -1
    for raw in raw_lines(path, seq_from, seq_to):
        seq = raw.seq
        if types is None:
            yield raw.decode()
            continue
        name = line.type_of(raw.line)
        if name in types or name not in BY_NAME:
            yield raw.decode()
    wanted = end_seq if end_seq is None or seq_to is None else min(end_seq, seq_to)
    if wanted is not None and seq < wanted - 1 and seq_from < wanted:
        missing = max(seq + 1, seq_from)
        raise DamageFault(
            f"{path.name}, seq {missing}: records {missing} to {wanted - 1} are missing, the file was cut short"
        )


class RawLine(Struct, frozen=True, gc=False):
    """A record's line as it stands: seq, the bytes, whether another schema than ours wrote it, and its version."""

    seq: int
    line: bytes
    foreign: bool
    version: int

    def decode(self) -> Record:
        """The record; SchemaFault where the schema is newer, or type or fields are unknown to this code."""
        if not self.foreign:
            return line.decode(self.line)
        if self.version > SCHEMA_VERSION:
            raise SchemaFault(newer_schema(f"record {self.seq}", self.version))
        return line.decode_strict(self.line)


def raw_lines(path: Path, seq_from: int = 0, seq_to: int | None = None) -> Iterator[RawLine]:
    """The lines behind `records`, not decoded; DamageFault."""
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise DamageFault(f"{path.name} is gone: sealed meanwhile? open the recording again, or restore it") from error
    with file:
        first = file.readline()
        if not first.endswith(b"\n"):
            return
        start = _opening(path, first)
        foreign = start.schema != schema_digest() or start.version > SCHEMA_VERSION
        if seq_from > start.first_seq:
            for seq, raw in _unchained(path, file, seq_from, seq_to):
                yield RawLine(seq, raw, foreign, start.version)
            return
        for seq, _, raw, _ in _steps(path, file, start, len(first)):
            if raw.startswith(ANCHOR_START) or (seq_to is not None and seq > seq_to):
                return
            yield RawLine(seq - 1, raw, foreign, start.version)


def _steps(path: Path, file: BinaryIO, start: Opening, offset: int) -> Iterator[tuple[int, bytes, bytes, int]]:
    """(next seq, head, line, end offset) after each complete line; DamageFault with file, seq, offset."""
    seq, head, closed = start.first_seq, bytes.fromhex(start.previous), False
    for raw in file:
        if not raw.endswith(b"\n"):
            _refuse_whole(path, raw, head, seq, offset)
            return
        if closed:
            raise DamageFault(f"{path.name} at byte {offset}: more follows after the closing line of record {seq - 1}")
        try:
            if raw.startswith(ANCHOR_START):
                _close(raw, seq - start.first_seq, head)
                closed = True
            else:
                head = line.check(raw, head, seq)
                seq += 1
        except DamageFault as fault:
            raise DamageFault(f"{path.name} at byte {offset}, seq {seq}: {fault}") from fault
        offset += len(raw)
        yield seq, head, raw, offset


def _close(raw: bytes, count: int, head: bytes) -> None:
    close = anchor.read(raw)
    if not isinstance(close, Closing) or close.count != count or close.head != head.hex():
        raise DamageFault(f"the closing line does not fit the {count} records before it")


def _opening(path: Path, first: bytes) -> Opening:
    try:
        start = anchor.read(first)
    except DamageFault as fault:
        raise DamageFault(f"{path.name} at byte 0: {fault}") from fault
    if not isinstance(start, Opening) or anchor.segment_name(start.first_seq) != path.name.removesuffix(anchor.SUFFIX):
        raise DamageFault(f"{path.name} at byte 0: the opening line belongs to another segment")
    return start


def _refuse_whole(path: Path, tail: bytes, head: bytes, seq: int, offset: int) -> None:
    """A tail that is a whole line with a wrong byte for its newline was not cut off: it was damaged."""
    whole = tail[:-1] + b"\n"
    if whole.startswith(ANCHOR_START):
        _refuse_whole_anchor(path, tail, offset)
        return
    try:
        line.check(whole, head, seq)
    except DamageFault:
        return
    raise DamageFault(f"{path.name} at byte {offset}, seq {seq}: the newline after record {seq} is damaged")


def _refuse_whole_anchor(path: Path, tail: bytes, offset: int = 0) -> None:
    try:
        anchor.read(tail[:-1] + b"\n")
    except LogFault:
        return
    raise DamageFault(f"{path.name} at byte {offset}: the newline after an opening or closing line is damaged")


def _unchained(path: Path, file: BinaryIO, seq_from: int, seq_to: int | None) -> Iterator[tuple[int, bytes]]:
    """Lines from a seq in the middle: seek by halving, then demand dense seqs."""
    file.seek(_offset_of(path, file, seq_from))
    seq = seq_from
    for raw in file:
        if not raw.endswith(b"\n") or raw.startswith(ANCHOR_START) or (seq_to is not None and seq >= seq_to):
            return
        if not raw.startswith(b'{"seq":%d,' % seq):
            raise DamageFault(f"{path.name}, seq {seq}: record {seq} is missing (another line stands in its place)")
        yield seq, raw
        seq += 1


def _offset_of(path: Path, file: BinaryIO, seq: int) -> int:
    """Byte offset of the first complete line with a seq of at least `seq` (the end where there is none)."""
    low, high = 0, path.stat().st_size
    while low < high:
        middle = (low + high) // 2
        file.seek(middle)
        if middle:
            file.readline()
        at = file.tell()
        raw = file.readline()
        if raw.endswith(b"\n") and _seq_of(raw) < seq:
            low = at + len(raw)
        else:
            high = middle
    # Halving looks at the line after the middle, so the line at `low` itself is still unseen.
    file.seek(low)
    raw = file.readline()
    while raw.endswith(b"\n") and _seq_of(raw) < seq:
        low += len(raw)
        raw = file.readline()
    return low


def _seq_of(raw: bytes) -> int:
    """The seq at the start of a line; -1 for the opening line, beyond all for the closing line."""
    if raw.startswith(b'{"seq":'):
        digits = raw[7 : raw.find(b",")]
        return int(digits) if digits.isdigit() else -1
    return -1 if raw.startswith(b'{"segment":"opening"') else 1 << 64
