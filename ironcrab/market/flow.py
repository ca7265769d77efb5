"""The flow of trades through every pool, kept as long as the longest window needs it."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from msgspec import Struct, field

from ironcrab.domain.control import ForkOrphaned
from ironcrab.domain.event import Event
from ironcrab.domain.market import Trade
from ironcrab.domain.units import Key, Raw, Seq, Slot
from ironcrab.loop import Now
from ironcrab.market.bound import forget_oldest
from ironcrab.market.price import Price

LONGEST_WINDOW = 750
"""Slots of the longest window that anyone may ask for: 300 s of 0.4 s."""

KEEP_SLOTS = LONGEST_WINDOW + 50
"""Slots a trade is kept: the longest window, and room for trades that come late."""

MOST_TICKS = 2_048
"""Trades of one pool that a window holds at most, the newest; no more are kept at a trim."""

MOST_POOLS = 16_384
"""Pools whose flow is kept at most; beyond it those that traded longest ago are forgotten."""


class Tick(Struct, frozen=True, gc=False, array_like=True):
    """One trade as windows see it.

    Attributes:
        slot: slot it landed in. Ticks stand in the order they became known; a window begins at the first one of its
            slots, so a late trade leaves it together with the one before.
        is_buy: the quote side came in.
        quote: raw units of the quote mint (lamports for WSOL).
        base: raw units of the traded mint.
        trader: wallet.
    """

    slot: Slot
    is_buy: bool
    quote: int
    base: Raw
    trader: Key


class FlowRow(Struct, gc=False, omit_defaults=True):
    """The trades of one pool.

    Attributes:
        pool_address: the pool.
        mint: the traded mint.
        seq: record of the newest trade.
        first_slot: slot of the first trade; never moves.
        ticks: the newest trades, oldest first.
        dropped: how many stood before `ticks[0]`; `dropped + i` numbers a tick for good.
        best_base: with `best_quote` the dearest price of all trades so far; (1, 0) none. A fork that takes that trade
            leaves the dearest of the kept ones.
        best_slot: slot of that trade.
        edition: counts the rewrites (a fork took ticks out of the middle): whoever numbered ticks starts anew.
        room: length of `ticks` at which the next trim is due.
    """

    pool_address: Key
    mint: Key
    seq: Seq
    first_slot: Slot
    ticks: list[Tick] = field(default_factory=list)
    dropped: int = 0
    best_base: Raw = 1
    best_quote: int = 0
    best_slot: Slot = 0
    edition: int = 0
    room: int = 64

    @property
    def best(self) -> Price:
        """The dearest price of all trades so far."""
        return Price(self.best_base, self.best_quote)


class FlowState(Struct):
    """Everything `Flow` remembers: rows by pool address, and the slot of the next sweep over all of them."""

    rows: dict[str, FlowRow] = field(default_factory=dict)
    tidy_slot: Slot = 0


class Flow:
    """Reducer of trades. A trade without slot counts at the slot of now; one of another mint is left out."""

    name = "flow"
    wants: tuple[type[Event], ...] = (Trade, ForkOrphaned)
    fields: Mapping[type[Event], tuple[str, ...]] = {
        Trade: ("pool_address", "mint", "trader", "is_buy", "sol_amount", "token_amount", "slot")
    }

    def __init__(self, now: Now) -> None:
        self.now = now
        self.state = FlowState()
        self.restored()

    def restored(self) -> None:
        """Take the state that was put back."""
        self.rows = self.state.rows

    def get(self, pool: str) -> FlowRow | None:
        """The flow of this pool; None: no trade seen, or forgotten."""
        return self.rows.get(pool)

    def step(self, seq: int, event: Event) -> Iterable[Event]:
        """Fold one trade or fork. Trades come by the million, so their path is laid out flat."""
        if type(event) is not Trade:
            self._orphaned(event)
            return ()
        slot = event.slot
        if slot is None:
            slot = self.now.slot
        row = self.rows.get(event.pool_address)
        if row is None:
            row = self._born(seq, event, slot)
        elif row.mint != event.mint:
            return ()
        row.seq = seq
        ticks = row.ticks
        quote, base = event.sol_amount, event.token_amount
        ticks.append(Tick(slot, event.is_buy, quote, base, event.trader))
        if base * row.best_quote < row.best_base * quote and base:
            row.best_base, row.best_quote, row.best_slot = base, quote, slot
        if len(ticks) >= row.room:
            _trim(row, self.now.slot - KEEP_SLOTS)
        return ()

    def _born(self, seq: int, event: Trade, slot: int) -> FlowRow:
        """A new row; before it comes in, whatever fell silent is dropped if that is due."""
        if self.now.slot >= self.state.tidy_slot:
            self.state.tidy_slot = self.now.slot + KEEP_SLOTS
            for row in self.rows.values():
                _trim(row, self.now.slot - KEEP_SLOTS)
        row = self.rows[event.pool_address] = FlowRow(event.pool_address, event.mint, seq, slot)
        forget_oldest(self.rows, MOST_POOLS)
        return row

    def _orphaned(self, event: Any) -> None:
        """The trades of this slot did not happen."""
        slot = event.orphaned_slot
        for row in self.rows.values():
            if any(tick.slot == slot for tick in row.ticks):
                row.ticks = [tick for tick in row.ticks if tick.slot != slot]
                row.edition += 1
                if row.best_slot == slot:
                    _find_best(row)


def dearest(best: Price, ticks: Sequence[Tick]) -> Price:
    """The fewest tokens per SOL among `best` and the ticks; ticks with an amount of zero do not count."""
    base, quote = best.base, best.quote
    for tick in ticks:
        if (tick.base * quote < base * tick.quote or not quote) and tick.quote and tick.base:
            base, quote = tick.base, tick.quote
    return Price(base, quote)


def _find_best(row: FlowRow) -> None:
    """The dearest of the kept trades."""
    row.best_base, row.best_quote, row.best_slot = 1, 0, 0
    for tick in row.ticks:
        if tick.base * row.best_quote < row.best_base * tick.quote and tick.base:
            row.best_base, row.best_quote, row.best_slot = tick.base, tick.quote, tick.slot


def _trim(row: FlowRow, oldest: int) -> None:
    """Drop ticks before slot `oldest` and beyond the count; the next trim is due when twice as many stand here."""
    ticks = row.ticks
    # a trade that came late stands a little out of order: that moves the cut, but never into the longest window
    keep = max(0, len(ticks) - MOST_TICKS, bisect_left(ticks, oldest, key=attrgetter("slot")))
    if keep:
        del ticks[:keep]
        row.dropped += keep
    # twice at least: a window that follows every trade then never loses a tick that it still holds
    row.room = max(64, 2 * len(ticks))
