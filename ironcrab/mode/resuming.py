"""Going on with a log of a feed: what it tells already is not told again, what it lacks is asked for.

The tail of the log says how far each slot was told. The feed is asked to replay from a few slots below the last whole
one; events of that span that stand in the log already are dropped, one for one, by their content without their time.
"""

from collections.abc import Iterable, Sequence
from typing import Self

import msgspec

from ironcrab.domain.control import FeedConnected, FeedDisconnected, ForkOrphaned, GapClosed, GapOpened
from ironcrab.domain.event import Event
from ironcrab.domain.market import DexPoolAccounts, LatestBlockhash, SlotUpdate
from ironcrab.ingest.normalise import Normaliser
from ironcrab.log.contents import runs_of
from ironcrab.log.recording import Recording
from ironcrab.loop import Record

TAIL = 100_000
"""Records read back at most: some 20 s of a busy feed."""
BELOW = 2
"""Slots below the last whole one with which the replay begins."""
_FEED = (SlotUpdate, LatestBlockhash, ForkOrphaned, FeedConnected, FeedDisconnected, GapOpened, GapClosed)


class Tail:
    """What the end of a log tells.

    Attributes:
        run: number of the next run.
        from_slot: where a replay has to begin; None: the log tells of no slot.
        last_slot: highest slot it tells of.
        is_open: the feed was up when the log ended: nobody said that it went down.
        gap: record of the gap that is open; None: none is.

    Args:
        recording: to go on with.
        normaliser: fresh; its tree and the pools it has told are restored.
    """

    def __init__(self, recording: Recording, normaliser: Normaliser) -> None:
        records = list(recording.records(seq_from=max(recording.first_seq, recording.next_seq - TAIL)))
        pools = [getattr(told.event, "pool_address", "") for told in recording.records((DexPoolAccounts,))]
        self.restore(records, pools, normaliser)
        self.run = max((event.run for _, event in runs_of(recording)), default=-1) + 1

    @classmethod
    def of_records(cls, records: Sequence[Record], pools: Iterable[str], run: int, normaliser: Normaliser) -> Self:
        """The same of a log that is no folder: its last records, the pools it has told, the number of the next run."""
        tail = cls.__new__(cls)
        tail.restore(records, pools, normaliser)
        tail.run = run
        return tail

    def restore(self, records: Sequence[Record], pools: Iterable[str], normaliser: Normaliser) -> None:
        """Put the normaliser where these records leave it, and keep what they tell."""
        events = [record.event for record in records]
        for pool in pools:
            normaliser.pools[pool] = None
        normaliser.slots.restore(event for event in events if isinstance(event, _FEED))
        nodes = normaliser.slots.nodes
        whole = max((slot for slot, node in nodes.items() if node.sealed), default=None)
        self.from_slot = normaliser.slots.behind if whole is None else max(whole - BELOW, 0)
        self.last_slot = max((getattr(event, "slot", None) or 0 for event in events), default=-1)
        ends = [event for event in events if isinstance(event, FeedConnected | FeedDisconnected)]
        self.is_open = bool(ends) and isinstance(ends[-1], FeedConnected)
        gaps = [record for record in records if isinstance(record.event, GapOpened | GapClosed)]
        self.gap = gaps[-1].seq if gaps and isinstance(gaps[-1].event, GapOpened) else None
        normaliser.time = records[-1].time if records else 0
        self._held = self._count(events)

    def _count(self, events: Iterable[Event]) -> dict[bytes, int]:
        held: dict[bytes, int] = {}
        for event in events:
            slot = getattr(event, "slot", None)
            if slot is not None and slot >= (self.from_slot or 0) and not isinstance(event, _FEED):
                key = msgspec.json.encode(event)
                held[key] = held.get(key, 0) + 1
        return held

    def holds(self, event: Event) -> bool:
        """Whether the log held this event before it was resumed; each of its records answers once."""
        slot = getattr(event, "slot", None)
        if not self._held or slot is None or isinstance(event, _FEED):
            return False
        if slot > self.last_slot + 32:
            self._held.clear()
            return False
        if slot > self.last_slot:
            return False
        key = msgspec.json.encode(event)
        left = self._held.get(key, 0)
        if left:
            self._held[key] = left - 1
        return left > 0
