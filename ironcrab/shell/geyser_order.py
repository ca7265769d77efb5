"""What a client does with the order in which updates arrive, one connection at a time. Nothing here touches a network.

Three things are not as they should be when a stream begins anew:
- The slot in progress is partial: what it said before the subscription is neither replayed (only frozen slots are)
- nor told again. Its updates and all behind them are held until it is processed; then it can be fetched whole by a
  second subscription from that slot. So a reader gets every slot whole and in order, or a gap that says so.
- A slot that was told whole may be told again (a replay overlaps). A second CREATED_BANK would say that its bank was
  made anew: so from there on it is set aside until its block meta tells. Same blockhash: told before, dropped.
"""

from collections.abc import Iterable

from google.protobuf.message import DecodeError

from ironcrab.ingest.proto import geyser_pb2 as wire

ACCOUNT, SLOT, TRANSACTION, BLOCK, PING, BLOCK_META, ENTRY, PONG, STATUS = 2, 3, 4, 5, 6, 7, 8, 9, 10
"""Field numbers of SubscribeUpdate: what an update carries."""
KEPT = 256
"""Slots remembered of one connection."""
MOST_HELD = 100_000
"""Updates held for a partial slot; beyond, it stays partial."""
OVERDUE = 20
"""Slots (8 s of the chain) after which a partial slot that was not processed is waited for no longer."""
_NESTED = (ACCOUNT, TRANSACTION)
_AROUND = (1, 11)
_CONTENT = (ACCOUNT, TRANSACTION, BLOCK, BLOCK_META, ENTRY, STATUS)


def peek(frame: bytes) -> tuple[int, int]:
    """(field number of what it carries, slot) of a SubscribeUpdate without decoding it; (0, 0) where it is none."""
    try:
        at = 0
        while True:
            tag = frame[at]
            size, at = _varint(frame, at + 1)
            if tag & 7 != 2 or at + size > len(frame):
                return 0, 0
            kind = tag >> 3
            if kind not in _AROUND:
                break
            at += size
        if kind in (PING, PONG):
            return kind, 0
        end = at + size
        wanted = 2 if kind in _NESTED else 1
        while at < end:
            tag = frame[at]
            value, at = _varint(frame, at + 1)
            if tag & 7 == 2:
                at += value
            elif tag & 7 != 0:
                return 0, 0
            elif tag >> 3 == wanted:
                return kind, value
    except IndexError:
        return 0, 0
    return kind, 0


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise IndexError


class Passage:
    """Lets the updates of one connection through, in the order in which they are to be told.

    Attributes:
        whole: highest slot that was told from its CREATED_BANK to PROCESSED; None: none yet.
        partial: slots whose beginning this connection did not tell, and whether they are processed by now.
        dropped: updates dropped because their slot was told whole before.

    Args:
        heals: whether partial slots are held, to be fetched whole.
    """

    def __init__(self, *, heals: bool) -> None:
        self.heals = heals
        self.whole: int | None = None
        self.partial: dict[int, bool] = {}
        self.dropped = 0
        self._begun: dict[int, None] = {}
        self._sealed: dict[int, str] = {}
        self._metas: dict[int, str] = {}
        self._aside: dict[int, list[bytes]] = {}
        self._held: list[bytes] | None = None
        self._settled = -1

    @property
    def first(self) -> int | None:
        """The first slot whose beginning was told; None: none yet."""
        return next(iter(self._begun), None)

    @property
    def is_holding(self) -> bool:
        """Whether updates are held for a partial slot."""
        return self._held is not None

    @property
    def is_ripe(self) -> bool:
        """Whether what is held can be released: all partial slots are processed, or it is too much."""
        return self._held is not None and (all(self.partial.values()) or len(self._held) > MOST_HELD)

    @property
    def is_overdue(self) -> bool:
        """Whether a partial slot will hardly be processed any more: slots far above it were begun."""
        if self._held is None:
            return False
        newest = next(reversed(self._begun), -1)
        return any(not is_processed and newest > slot + OVERDUE for slot, is_processed in self.partial.items())

    def take(self, kind: int, slot: int, frame: bytes) -> list[bytes]:
        """The updates to tell now that this one arrived."""
        if self._held is not None:
            self._hold(kind, slot, frame)
            return []
        told = _slot_of(frame) if kind == SLOT else None
        if slot in self._aside:
            return self._doubt(kind, slot, frame, told)
        if told is not None:
            return self._status(told, frame)
        if kind in _CONTENT and self._is_partial(slot):
            return self._begin_hold(kind, slot, frame)
        if kind == BLOCK_META:
            self._seal(slot, _blockhash_of(frame))
        return [frame]

    def release(self, fetched: Iterable[bytes] = ()) -> list[bytes]:
        """End the hold: what was `fetched` of the partial slots is told first, then what was held.

        Content that was held of a slot that was fetched is dropped: the replay has it, or a later write of the same
        account, behind which an older one must not come.
        """
        held, self._held = self._held or [], None
        partial, self.partial = self.partial, {}
        self._settled = max(partial, default=self._settled)
        said: list[bytes] = []
        for frame in fetched:
            said += self.take(*peek(frame), frame)
        for frame in held:
            kind, slot = peek(frame)
            if kind not in _CONTENT or slot not in partial or slot not in self._begun:
                said += self.take(kind, slot, frame)
        return said

    def _is_partial(self, slot: int) -> bool:
        return self.heals and slot not in self._begun and slot > self._settled and slot > (self.whole or -1)

    def _begin_hold(self, kind: int, slot: int, frame: bytes) -> list[bytes]:
        self._held = []
        self.partial[slot] = False
        self._hold(kind, slot, frame)
        return []

    def _hold(self, kind: int, slot: int, frame: bytes) -> None:
        assert self._held is not None
        self._held.append(frame)
        told = _slot_of(frame) if kind == SLOT else None
        if told is not None:
            if told.status == wire.SLOT_CREATED_BANK:
                self._begun[slot] = None
            elif slot in self.partial and told.status in (wire.SLOT_PROCESSED, wire.SLOT_DEAD):
                self.partial[slot] = True
        elif kind in _CONTENT and slot not in self.partial and self._is_partial(slot):
            self.partial[slot] = False

    def _status(self, told: wire.SubscribeUpdateSlot, frame: bytes) -> list[bytes]:
        slot = told.slot
        if told.status == wire.SLOT_CREATED_BANK:
            if slot in self._sealed:
                self._aside[slot] = [frame]
                return []
            self._begun.pop(slot, None)
            self._begun[slot] = None
            self._forget()
        elif told.status == wire.SLOT_PROCESSED:
            if self._is_partial(slot):
                return self._begin_hold(SLOT, slot, frame)
            if slot in self._begun:
                self.whole = max(self.whole or slot, slot)
                if slot in self._metas:
                    self._sealed[slot] = self._metas[slot]
        elif told.status == wire.SLOT_DEAD:
            self._metas.pop(slot, None)
            self._sealed.pop(slot, None)
        return [frame]

    def _seal(self, slot: int, blockhash: str) -> None:
        self._metas[slot] = blockhash
        if self.whole is not None and slot <= self.whole and slot in self._begun:
            self._sealed[slot] = blockhash

    def _doubt(self, kind: int, slot: int, frame: bytes, told: wire.SubscribeUpdateSlot | None) -> list[bytes]:
        """A slot that was whole is told again: the block meta says whether it is another block."""
        aside = self._aside[slot]
        aside.append(frame)
        if kind == BLOCK_META and _blockhash_of(frame) == self._sealed[slot]:
            self.dropped += len(aside)
            del self._aside[slot]
            return []
        is_other = kind == BLOCK_META or (told is not None and told.status == wire.SLOT_DEAD)
        if not is_other and len(aside) <= MOST_HELD:
            return []
        del self._aside[slot], self._sealed[slot]
        self._metas.pop(slot, None)
        if kind == BLOCK_META:
            self._metas[slot] = _blockhash_of(frame)
        return aside

    def _forget(self) -> None:
        while len(self._begun) > KEPT:
            old = next(iter(self._begun))
            del self._begun[old]
            for kept in (self._sealed, self._metas, self._aside):
                kept.pop(old, None)


def _slot_of(frame: bytes) -> wire.SubscribeUpdateSlot | None:
    try:
        told: wire.SubscribeUpdateSlot = wire.SubscribeUpdate.FromString(frame).slot
    except DecodeError:
        return None
    return told


def _blockhash_of(frame: bytes) -> str:
    try:
        return str(wire.SubscribeUpdate.FromString(frame).block_meta.blockhash)
    except DecodeError:
        return ""
