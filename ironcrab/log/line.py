"""One record <-> one line, and the chain that binds the lines.

    {"seq":7,"cause":null,"by":null,"time":...,"event":{"type":"Trade",...},"chain":"<16 hex>"}

The body is everything before `,"chain"`. head_n = blake3(head_{n-1} || body); 32 bytes are carried, the first 8 are
shown. A line that was changed, dropped, swapped or put into another log does not fit its neighbours. msgspec is the
only encoder, because the chain runs over exact bytes.
"""

from binascii import hexlify
from typing import Any

import msgspec
from blake3 import blake3
from msgspec import Struct

from ironcrab.domain.event import BY_NAME, AnyEvent
from ironcrab.domain.fault import DamageFault, LogFault, SchemaFault
from ironcrab.log.shape import shape_of
from ironcrab.log.width import width_check
from ironcrab.loop import Record

CHAIN = b',"chain":"'
TAIL_BYTES = len(CHAIN) + 16 + 3
"""Bytes of a line after its body."""

_END = b'"}\n'
_encode = msgspec.json.Encoder().encode
_TypedLine = msgspec.defstruct(
    "_TypedLine",
    [("seq", int), ("cause", int | None), ("by", str | None), ("time", int), ("event", AnyEvent)],
    gc=False,
)
_decode = msgspec.json.Decoder(_TypedLine).decode


class LooseRecord(Struct, frozen=True):
    """A record whose type this code need not know: what `inspect` and `query` go on with.

    Attributes:
        seq, cause, by, time: as of a Record.
        type: the event's tag as written.
        fields: every other field as written (JSON values).
    """

    seq: int
    cause: int | None
    by: str | None
    time: int
    type: str
    fields: dict[str, Any]


def genesis(log_id: str) -> bytes:
    """The head (32 bytes) before the first record of a log that starts anew."""
    return blake3(b"ironcrab log " + log_id.encode()).digest()


def encode(record: Record, previous: bytes) -> tuple[bytes, bytes]:
    """The line of a record, newline included, and the new head; `previous` is the 32-byte head before it.

    Raises:
        LogFault: an integer does not fit its column, or a value that JSON cannot carry.
    """
    event = record.event
    seq, cause = record.seq, record.cause
    width_check(event.__class__)(event)
    try:
        if seq >> 64 or record.time >> 64 or (cause is not None and not 0 <= cause < seq):
            raise LogFault(_misplaced(record))
        body = _encode(record)[:-1]
    except (TypeError, ValueError, UnicodeError) as error:
        kind = event.__class__.__name__
        raise LogFault(f"record {seq} ({kind}) cannot be written as JSON: {error}; nothing was appended") from error
    head = blake3(previous + body).digest()
    return b"".join((body, CHAIN, hexlify(head[:8]), _END)), head


def _misplaced(record: Record) -> str:
    return (
        f"record {record.seq} has cause {record.cause} and time {record.time}; a cause lies before its record, seq and "
        f"time between 0 and 2^64 - 1; nothing was appended"
    )


def check(line: bytes, previous: bytes, seq: int) -> bytes:
    """The new head, if the line is record `seq` after the head `previous`.

    Raises:
        DamageFault: it is not; names the seq.
    """
    body = line[:-TAIL_BYTES]
    head = blake3(previous + body).digest()
    if line[-TAIL_BYTES:] != b'%b%b"}\n' % (CHAIN, hexlify(head[:8])):
        raise DamageFault(f"record {seq} is not what was written (its chain does not fit)")
    if not body.startswith(b'{"seq":%d,' % seq):
        raise DamageFault(f"record {seq} is missing (another stands in its place)")
    return head


def decode(line: bytes) -> Record:
    """The record of a line.

    Raises:
        SchemaFault: an event type or a field that this code does not know.
        DamageFault: not a line of a log.
    """
    try:
        typed: Any = _decode(line)
    except (msgspec.DecodeError, UnicodeError) as error:
        loose = decode_loose(line)
        raise SchemaFault(_unknown(loose, str(error))) from error
    return Record(typed.seq, typed.cause, typed.by, typed.time, typed.event)


def decode_strict(line: bytes) -> Record:
    """As `decode`, and refuses fields that this code does not know: for lines that another schema wrote."""
    record = decode(line)
    loose = decode_loose(line)
    known = {field.name for field in shape_of(type(record.event)).fields}
    stray = [name for name in loose.fields if name not in known]
    if stray:
        raise SchemaFault(_unknown(loose, f"unknown field {stray[0]}"))
    return record


def decode_loose(line: bytes) -> LooseRecord:
    """The record of a line without knowing its type; DamageFault where it is not a line of a log at all."""
    try:
        whole = msgspec.json.decode(line)
        event = whole["event"]
        fields = {name: value for name, value in event.items() if name != "type"}
        return LooseRecord(whole["seq"], whole["cause"], whole["by"], whole["time"], event["type"], fields)
    except (msgspec.DecodeError, UnicodeError, KeyError, TypeError, AttributeError) as error:
        raise DamageFault(f"{line[:60]!r} is not a line of a log ({error})") from error


def type_of(line: bytes) -> str:
    """The event's tag, cut out without decoding; empty where the line has no such place."""
    start = line.find(b'"event":{"type":"')
    if start < 0:
        return ""
    return line[start + 17 : line.find(b'"', start + 17)].decode("utf-8", "replace")


def _unknown(loose: LooseRecord, reason: str) -> str:
    if loose.type not in BY_NAME:
        return (
            f"record {loose.seq} is a {loose.type}, an event type this version does not know; "
            f"open the log with the version that wrote it (inspect and query go on)"
        )
    return (
        f"record {loose.seq} ({loose.type}) was written by another schema: {reason}; "
        f"open the log with the version that wrote it (inspect and query go on)"
    )
