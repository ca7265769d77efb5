"""The flow of trades through every pool, kept as long as the longest window needs it."""

from collections.abc import Iterable

from msgspec import Struct, field

from ironcrab.domain.control import ForkOrphaned
from ironcrab.domain.event import Event
from ironcrab.domain.market import Trade
from ironcrab.domain.units import Key, Raw, Seq, Slot
from ironcrab.loop import Now
from ironcrab.market.bound import forget_oldest

KEEP_SLOTS = 750
"""Slots a trade is kept (300 s of 0.4 s): the longest window that anyone may ask for."""

MOST_TICKS = 4_096
"""Trades of one pool that are kept at most; the oldest go first, and windows then begin later."""

MOST_POOLS = 16_384
"""Pools whose flow is kept at most; beyond it those that traded longest ago are forgotten."""

TIDY_EVERY = 65_536
"""Trades between two sweeps that drop the old trades of pools that fell silent."""


class Tick(Struct, frozen=True, gc=False, array_like=True):
    """One trade as windows see it.

    Attributes:
        slot: slot it counts at, never below that of the tick before it (a late trade counts when it became known).
        is_buy: the quote side came in.
        quote: raw units of the quote mint (lamports for WSOL).
        base: raw units of the traded mint.
        trader: wallet.
        told: slot the trade itself names.
    """

    slot: Slot
    is_buy: bool
    quote: int
    base: Raw
    trader: Key
    told: Slot


class FlowRow(Struct, gc=False):
    """The trades of one pool.

    Attributes:
        pool_address: the pool.
        mint: the traded mint.
        seq: record of the newest trade.
        first_slot: slot of the first trade; never moves.
        ticks: the newest trades, oldest first.
        dropped: how many stood before `ticks[0]`; `dropped + i` numbers a tick for good.
        best: (quote, base) of the trade with the fewest base units per quote unit ever; (0, 0): none.
        best_dropped: the same over the trades before `ticks[0]`.
        edition: counts the rewrites (a fork took ticks out of the middle): whoever numbered ticks starts anew.
        room: length of `ticks` at which the next trim is due.
    """

    pool_address: Key
    mint: Key
    seq: Seq
    first_slot: Slot
    ticks: list[Tick] = field(default_factory=list)
    dropped: int = 0
    best: tuple[int, int] = (0, 0)
    best_dropped: tuple[int, int] = (0, 0)
    edition: int = 0
    room: int = 64


class FlowState(Struct):
    """Everything `Flow` remembers: rows by pool address, and trades folded since the last sweep."""

    rows: dict[str, FlowRow] = field(default_factory=dict)
    since_tidy: int = 0


class Flow:
    """Reducer of trades. A trade without slot counts at the slot of now; one of another mint is left out."""

    name = "flow"
    wants: tuple[type[Event], ...] = (Trade, ForkOrphaned)

    def __init__(self, now: Now) -> None:
        self.now = now
        self.state = FlowState()

    def get(self, pool: str) -> FlowRow | None:
        """The flow of this pool; None: no trade seen, or forgotten."""
        return self.state.rows.get(pool)

    def step(self, seq: int, event: Event) -> Iterable[Event]:
        """Fold one trade or fork."""
        if type(event) is Trade:
            self._trade(seq, event)
        elif type(event) is ForkOrphaned:
            self._orphaned(event)
        return ()

    def _trade(self, seq: int, event: Trade) -> None:
        state = self.state
        row = state.rows.get(event.pool_address)
        told = event.slot
        if told is None:
            told = self.now.slot
        if row is None:
            row = state.rows[event.pool_address] = FlowRow(event.pool_address, event.mint, seq, told)
            forget_oldest(state.rows, MOST_POOLS)
        elif row.mint != event.mint:
            return
        row.seq = seq
        ticks = row.ticks
        slot = told
        if ticks and ticks[-1].slot > told:
            slot = ticks[-1].slot
        quote, base = event.sol_amount, event.token_amount
        ticks.append(Tick(slot, event.is_buy, quote, base, event.trader, told))
        best_quote, best_base = row.best
        # the first trade beats (0, 0) by the second clause; cross multiplication keeps the ratio exact
        if quote and base and (base * best_quote < best_base * quote or not best_quote):
            row.best = (quote, base)
        if len(ticks) >= row.room:
            _trim(row, slot - KEEP_SLOTS)
        state.since_tidy += 1
        if state.since_tidy >= TIDY_EVERY:
            self._tidy()

    def _tidy(self) -> None:
        """Drop what no window can reach any more, in all pools."""
        self.state.since_tidy = 0
        for row in self.state.rows.values():
            _trim(row, self.now.slot - KEEP_SLOTS)

    def _orphaned(self, event: ForkOrphaned) -> None:
        """The trades of this slot did not happen."""
        slot = event.orphaned_slot
        for row in self.state.rows.values():
            if any(tick.told == slot for tick in row.ticks):
                row.ticks = [tick for tick in row.ticks if tick.told != slot]
                row.edition += 1
                row.best = _best(row.best_dropped, row.ticks)


def _best(best: tuple[int, int], ticks: list[Tick]) -> tuple[int, int]:
    """The fewest base units per quote unit among `best` (quote, base) and the ticks."""
    for tick in ticks:
        quote, base = best
        if tick.quote and tick.base and (tick.base * quote < base * tick.quote or not quote):
            best = (tick.quote, tick.base)
    return best


def _trim(row: FlowRow, oldest: int) -> None:
    """Drop ticks before slot `oldest` and beyond the count; the next trim is due when twice as many stand here."""
    ticks = row.ticks
    keep = max(0, len(ticks) - MOST_TICKS)
    while keep < len(ticks) and ticks[keep].slot < oldest:
        keep += 1
    if keep:
        row.best_dropped = _best(row.best_dropped, ticks[:keep])
        del ticks[:keep]
        row.dropped += keep
    row.room = max(64, 2 * len(ticks))
