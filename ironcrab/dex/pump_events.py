"""Events of the two pump programs: how they are emitted, how a body that only grew at its end is read.

Both programs emit every event twice: as a `Program data:` log and as a call to themselves, whose data is an
eight-byte tag, the event's discriminator and its body. The call is preferred, for logs may be cut; the log
counts only where no such call was recorded, so that an event is never counted twice.
"""

from struct import Struct as Layout

from ironcrab.dex import base58
from ironcrab.dex.address import WSOL
from ironcrab.dex.face import Call, Fee

EVENT_TAG = bytes.fromhex("e445a52e51cb9a1d")
"""First eight bytes of a self-call that carries an event (Anchor's `event_cpi`)."""

NO_KEY = bytes(32)
_U64 = Layout("<Q")


def emitted(call: Call) -> tuple[tuple[int, bytes], ...]:
    """The events of one call, each as (position, discriminator and body), in order.

    The position is that of the event's own call; for an event known from a log only, that of the call.
    """
    if call.data[:8] == EVENT_TAG:
        return ()
    own = [
        (inner.position, inner.data[8:])
        for inner in call.inner
        if inner.program == call.program and inner.data[:8] == EVENT_TAG
    ]
    return tuple(own) if own else tuple((call.position, log) for log in call.logs)


def quote_mint_of(raw: bytes) -> str:
    """The quote mint that an account or event names: all zero means native lamports, spoken of as WSOL."""
    return WSOL if raw == NO_KEY else base58.key(raw)


def key_or_none(raw: bytes) -> str | None:
    """A key, or None where it is all zero or absent."""
    return None if raw == NO_KEY or len(raw) != 32 else base58.key(raw)


def fees_told(mint: str, always: tuple[tuple[str, int], ...], seldom: tuple[tuple[str, int], ...]) -> tuple[Fee, ...]:
    """Fees by name in one mint: those of `always` even at zero, those of `seldom` where they were taken."""
    return tuple(Fee(name, mint, amount) for name, amount in always) + tuple(
        Fee(name, mint, amount) for name, amount in seldom if amount
    )


class Body:
    """Reads an event's body field by field; what lies beyond its end reads as zero, as in an old event."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def u64(self) -> int:
        """The next unsigned 64-bit integer, or 0."""
        at = self.at
        self.at = at + 8
        return int(_U64.unpack_from(self.data, at)[0]) if at + 8 <= len(self.data) else 0

    def skip(self, size: int) -> None:
        """Passes over `size` bytes."""
        self.at += size

    def key(self) -> bytes:
        """The next 32 bytes, or the zero key."""
        at = self.at
        self.at = at + 32
        return self.data[at : at + 32] if at + 32 <= len(self.data) else NO_KEY

    def length(self) -> int:
        """The next unsigned 32-bit count, or 0."""
        at = self.at
        self.at = at + 4
        return int.from_bytes(self.data[at : at + 4], "little") if at + 4 <= len(self.data) else 0

    def text(self) -> None:
        """Passes over a string (u32 length, bytes)."""
        size = self.length()
        self.at += size
