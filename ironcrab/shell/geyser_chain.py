"""What a feed server plays: updates in order at their pace, a ring of frozen slots for replays, and its subscribers.

Time of the chain goes on from the first subscription. "As fast as the client reads" is the one exception: then the
chain waits while a subscriber's queue is full, and while there is no subscriber.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence

from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell import geyser_faults
from ironcrab.shell.clock import steady_ns
from ironcrab.shell.geyser_faults import Planned
from ironcrab.shell.geyser_filters import Filters, Update

QUEUE = 250_000
"""Messages that wait for one client before it counts as lagging (the plugin's default)."""
AHEAD = 1_000
"""Messages that wait for one client where the chain goes as fast as clients read."""
RING = 150
"""Frozen slots kept for replays (the plugin's default)."""
_LEVELS = {wire.SLOT_PROCESSED: 0, wire.SLOT_CONFIRMED: 1, wire.SLOT_FINALIZED: 2}
_CONTENT = ("account", "transaction", "entry", "block_meta", "block")
_BREATH = 16
"""Updates played without looking after the streams ..."""
_TURNS = 64
"""... and turns of the event loop that they get then, at most."""


class End:
    """What ends a subscription: gRPC code name and text; no code is a clean end."""

    __slots__ = ("code", "text")

    def __init__(self, code: str, text: str = "") -> None:
        self.code = code
        self.text = text


_ENDS = {
    "cut": End("UNAVAILABLE", "cut by the script"),
    "refuse": End("UNAVAILABLE", "cut by the script"),
    "lag": End("INTERNAL", "lagged to receive geyser messages"),
    "end": End(""),
    "partial": End("UNAVAILABLE", "too early"),
}


class Subscriber:
    """One open stream: its filters and the messages that wait for it."""

    def __init__(self, limit: int, ahead: int) -> None:
        self.filters: Filters | None = None
        self.limit = limit
        self.ahead = ahead
        self.waiting: deque[bytes | End] = deque()
        self.wake = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()
        self.is_open = True
        self.is_silent = False

    def tell(self, messages: Sequence[bytes]) -> None:
        """Queue messages; a client that lags too far behind is cut off, never told less."""
        if not self.is_open or not messages:
            return
        self.waiting.extend(messages)
        if len(self.waiting) > self.limit:
            self.end(End("INTERNAL", "lagged to send an update"))
        self._changed()

    def end(self, end: End) -> None:
        """End the stream behind what waits."""
        if self.is_open:
            self.is_open = False
            self.waiting.append(end)
            self._changed()

    def _changed(self) -> None:
        if not self.is_silent:
            self.wake.set()
        if len(self.waiting) >= self.ahead:
            self.room.clear()

    async def next(self) -> bytes | End:
        """The next message or the end; a subscriber fallen silent is never told anything."""
        while not self.waiting or self.is_silent:
            self.wake.clear()
            await self.wake.wait()
        if len(self.waiting) <= self.ahead // 2:
            self.room.set()
        return self.waiting.popleft()


class _Slot:
    """Content of one slot so far, for commitment batches and replays."""

    __slots__ = ("begun", "frozen", "level", "told")

    def __init__(self) -> None:
        self.told: list[Update] = []
        self.begun = False
        self.frozen = False
        self.level = -1


class Chain:
    """Plays updates to subscribers.

    Attributes:
        position: updates played so far.
        heights: newest block height by commitment level, None until a block meta told one.
        metas: block metas of the slots in the ring.
        finished: set when the source has ended.

    Args:
        updates: in order; may be endless.
        speed: 1 is the recorded pace, 2 twice as fast; None: as fast as clients read.
        ring: frozen slots kept for replays; 0: replay is off.
        queue: messages that may wait for one client.
        ahead: messages that may wait for one client before a chain without pace waits for it.
        script: faults; those of the chain rewrite the updates.
    """

    def __init__(
        self,
        updates: Iterator[Update],
        *,
        speed: float | None = None,
        ring: int = RING,
        queue: int = QUEUE,
        ahead: int = AHEAD,
        script: Sequence[Planned] = (),
    ) -> None:
        self.updates = geyser_faults.told(updates, script)
        self.script = [planned for planned in script if planned.kind in geyser_faults.STREAM]
        self.refusals: deque[str] = deque()
        self.lose_until = 0
        self.speed = speed
        self.ring = ring
        self.queue = queue
        self.ahead = ahead
        self.position = 0
        self.slots: dict[int, _Slot] = {}
        self.order: deque[Update] = deque()
        self.tips = [0, 0, 0]
        self.metas: dict[int, wire.SubscribeUpdateBlockMeta] = {}
        self.subscribers: list[Subscriber] = []
        self.finished = asyncio.Event()
        self._someone = asyncio.Event()

    def join(self) -> Subscriber:
        """A new subscriber, without filters yet."""
        return Subscriber(self.queue, self.ahead)

    def subscribe(self, subscriber: Subscriber, filters: Filters) -> None:
        """Put these filters in force; they replace those before. A replay, if wanted, is queued at once.

        Raises:
            LookupError: the replay cannot be served; its arguments are gRPC code name and text.
        """
        replay = self._replay(filters) if filters.from_slot is not None else []
        subscriber.filters = filters
        if subscriber not in self.subscribers:
            self.subscribers.append(subscriber)
            self._someone.set()
        for update in replay:
            subscriber.tell(self._said(filters, update))

    def leave(self, subscriber: Subscriber) -> None:
        """The stream is over."""
        subscriber.is_open = False
        self._drop(subscriber)

    def _drop(self, subscriber: Subscriber) -> None:
        """Tell it nothing more, and wait for it no more."""
        subscriber.room.set()
        if subscriber in self.subscribers:
            self.subscribers.remove(subscriber)
        if not self.subscribers:
            self._someone.clear()

    @property
    def first_available(self) -> int | None:
        """Lowest slot that a replay can begin with; None: replay is off or nothing is frozen yet."""
        return min(self._frozen, default=None)

    @property
    def _frozen(self) -> list[int]:
        """The slots that a replay can tell, ascending."""
        return sorted(slot for slot, kept in self.slots.items() if kept.frozen)[-self.ring :] if self.ring else []

    async def play(self) -> None:
        """Play to the end of the source."""
        began: tuple[int, int] | None = None
        self._fire()
        for update in self.updates:
            if self.position >= self.lose_until:
                await self._someone.wait()
                if self.speed is None:
                    await self._until_read()
            if self.speed is not None and update.created:
                began = began or (update.created, steady_ns())
                due = began[1] + int((update.created - began[0]) / self.speed)
                if due > steady_ns():
                    await asyncio.sleep((due - steady_ns()) / 1e9)
            self.publish(update)
            self._fire()
            if self.position % _BREATH == 0:
                await self._breathe()
        self.finished.set()

    async def _breathe(self) -> None:
        """Let streams write what waits: a chain that is behind its pace would leave them one message in many."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
            if all(subscriber.is_silent or not subscriber.waiting for subscriber in self.subscribers):
                return

    async def _until_read(self) -> None:
        for subscriber in tuple(self.subscribers):
            await subscriber.room.wait()
        await self._someone.wait()

    def _fire(self) -> None:
        """Let the faults happen that are due behind the updates played so far."""
        for planned in self.script:
            beyond = self.position - planned.after
            if beyond != 0 and not (planned.every and beyond > 0 and beyond % planned.every == 0):
                continue
            if planned.kind == "replay":
                self._tell_again(planned.slots)
                continue
            self.lose_until = self.position + planned.lose
            if planned.kind == "refuse":
                self.refusals.extend([planned.code] * planned.times)
            for subscriber in tuple(self.subscribers):
                if planned.kind == "silence":
                    subscriber.is_silent = True
                else:
                    subscriber.end(_ENDS[planned.kind])
                self._drop(subscriber)

    def _tell_again(self, slots: int) -> None:
        frozen = sorted(slot for slot, kept in self.slots.items() if kept.frozen)[-slots:]
        updates = _last_writes([update for update in self.order if update.slot in frozen])
        for subscriber in self.subscribers:
            if subscriber.filters is not None:
                for update in updates:
                    subscriber.tell(self._said(subscriber.filters, update))

    def publish(self, update: Update) -> None:
        """Tell everybody one update, and keep it."""
        self.position += 1
        level = _LEVELS.get(update.message.slot.status) if update.kind == "slot" else None
        self._keep(update, level)
        for subscriber in self.subscribers:
            filters = subscriber.filters
            if filters is None:
                continue
            if filters.commitment and update.kind in _CONTENT:
                continue
            if level is not None and filters.commitment and level >= filters.commitment:
                self._batch(subscriber, filters, update.slot)
            subscriber.tell(self._said(filters, update))
        if level is not None and update.slot in self.slots:
            kept = self.slots[update.slot]
            kept.level = max(kept.level, level)

    def _said(self, filters: Filters, update: Update) -> list[bytes]:
        """What a subscription is told of an update; the whole block comes behind its meta."""
        if update.kind != "block_meta" or not filters.blocks or update.slot not in self.slots:
            return filters.said(update)
        return [*filters.said(update), *filters.blocks_of(self.slots[update.slot].told)]

    def _keep(self, update: Update, level: int | None) -> None:
        status = update.message.slot.status if update.kind == "slot" else None
        if level and update.slot not in self.slots:
            return
        slot = self.slots.setdefault(update.slot, _Slot())
        if status == wire.SLOT_CREATED_BANK:
            if slot.begun:
                self._forget_content(update.slot)
            slot.begun = True
        slot.told.append(update)
        self.order.append(update)
        if update.kind == "block_meta":
            self.metas[update.slot] = update.message.block_meta
        if level is not None:
            slot.frozen = slot.begun
            self.tips[level] = max(self.tips[level], update.slot)
        while len(self.slots) > max(self.ring, 32) + 32:
            old = next(iter(self.slots))
            del self.slots[old]
            self.metas.pop(old, None)
        while self.order[0].slot not in self.slots:
            self.order.popleft()

    def _forget_content(self, slot: int) -> None:
        """The bank is made anew: what the slot held before is replayed to nobody."""
        kept = self.slots[slot]
        kept.told = [update for update in kept.told if update.kind == "slot"]
        kept.frozen = False
        self.order = deque(update for update in self.order if update.slot != slot or update.kind == "slot")

    def _batch(self, subscriber: Subscriber, filters: Filters, number: int) -> None:
        """Content of a slot that has just reached the stream's level."""
        slot = self.slots.get(number)
        if slot is None or slot.level >= filters.commitment:
            return  # a source may begin with the status of a slot whose content came before it
        for update in _last_writes(slot.told):
            if update.kind in _CONTENT:
                subscriber.tell(self._said(filters, update))

    def _replay(self, filters: Filters) -> list[Update]:
        if not self.ring:
            raise LookupError("INTERNAL", "from_slot is not supported")
        oldest = self.first_available
        first = filters.from_slot
        assert first is not None
        if oldest is not None and first < oldest:
            raise LookupError("OUT_OF_RANGE", f"broadcast from {first} is not available, last available: {oldest}")
        wanted = frozenset(slot for slot in self._frozen if slot >= first)
        return _last_writes([update for update in self.order if update.slot in wanted])


def _last_writes(updates: Sequence[Update]) -> list[Update]:
    """The same updates, but of one account in one slot only the write with the highest version."""
    last: dict[tuple[int, bytes], int] = {}
    for update in updates:
        if update.kind == "account":
            info = update.message.account.account
            place = (update.slot, info.pubkey)
            last[place] = max(last.get(place, 0), info.write_version)
    return [
        update
        for update in updates
        if update.kind != "account"
        or last[update.slot, update.message.account.account.pubkey] == update.message.account.account.write_version
    ]
