"""Opening and closing lines of a hot segment, and the names of segments.

Both lines take no seq and are never folded. Each carries a check over its own bytes; the opening line repeats the
whole 32-byte head before the segment, so that bytes of another log or of an older file never fit.
"""

from binascii import hexlify

import msgspec
from blake3 import blake3
from msgspec import Struct

from ironcrab.domain.event import SCHEMA_VERSION
from ironcrab.domain.fault import DamageFault, SchemaFault
from ironcrab.log.line import CHAIN, TAIL_BYTES
from ironcrab.log.shape import schema_digest

FORMAT = 1
"""Format of folders, lines and manifests."""

PREFIX = "seg-"
SUFFIX = ".jsonl"
ANCHOR_START = b'{"segment":"'
"""How an opening or closing line starts; a record starts with `{"seq":`."""


class Opening(Struct, frozen=True, tag="opening", tag_field="segment"):
    """First line of a segment; `previous` is the head (64 hex digits) before `first_seq`."""

    log: str
    format: int
    version: int
    schema: str
    first_seq: int
    previous: str


class Closing(Struct, frozen=True, tag="closing", tag_field="segment"):
    """Last line of a segment: how many records it holds and the head (64 hex digits) after the last."""

    count: int
    head: str


_decode = msgspec.json.Decoder(Opening | Closing).decode


def opening(log_id: str, first_seq: int, previous: bytes) -> Opening:
    """The opening line's content for a segment that this code writes."""
    return Opening(log_id, FORMAT, SCHEMA_VERSION, schema_digest(), first_seq, previous.hex())


def write(anchor: Opening | Closing) -> bytes:
    """The line of an anchor, newline included."""
    body = msgspec.json.encode(anchor)[:-1]
    return b'%b%b%b"}\n' % (body, CHAIN, hexlify(blake3(body).digest(8)))


def read(line: bytes) -> Opening | Closing:
    """The anchor of a line.

    Raises:
        DamageFault: not what was written.
        SchemaFault: a format or schema newer than this code.
    """
    body = line[:-TAIL_BYTES]
    if line[-TAIL_BYTES:] != b'%b%b"}\n' % (CHAIN, hexlify(blake3(body).digest(8))):
        raise DamageFault("an opening or closing line is not what was written (its check does not fit)")
    try:
        anchor: Opening | Closing = _decode(line)
    except msgspec.DecodeError as error:
        raise DamageFault(f"an opening or closing line cannot be read: {error}") from error
    if isinstance(anchor, Opening) and anchor.format > FORMAT:
        raise SchemaFault(
            f"the segment has format {anchor.format}, this version reads up to {FORMAT}; use a newer version"
        )
    return anchor


def newer_schema(what: str, version: int) -> str:
    """The sentence for records of a schema that this code does not know."""
    return (
        f"{what} was written under schema {version}, this version knows up to {SCHEMA_VERSION}; "
        f"open the log with a newer version (inspect and query go on)"
    )


def segment_name(first_seq: int) -> str:
    """Name of the segment that starts at `first_seq`, without suffix; names sort by seq."""
    return f"{PREFIX}{first_seq:020d}"
