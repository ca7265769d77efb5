"""Policies: what each regime asks. The gates that both have stand in `gates`; here are those that one of them has.

A gate is a row of a table: a number measured of the pool, its limit, and which side of it passes; equality passes.
Numbers that have a floor are rounded down and those that have a cap up, so that the rounded number decides as the exact
one would. EARLY measures how a new pool's buyers look; ESTABLISHED how the price leaves its base.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec import Struct

from ironcrab.domain.trade import Regime
from ironcrab.domain.units import BPS, ceil_div
from ironcrab.market.flow import FlowRow
from ironcrab.market.known import Known
from ironcrab.market.price import UNKNOWN, Price, dearer, drawdown_bps, gain_bps
from ironcrab.strategy.candles import Candle, Candles, cheaper
from ironcrab.strategy.params import EarlyOnly, Entry, EstablishedOnly, slots
from ironcrab.strategy.rows import Row
from ironcrab.strategy.shape import PASS, Finding, Number
from ironcrab.strategy.windows import Buyers, Windows

NO_CAP = 2**63 - 1
"""A cap that is off."""
FROM_NOTHING = 10**9
"""bps of an expansion whose base stood still."""


class Gate(NamedTuple):
    """One gate: its code, the name of its number, the limit, whether that is a floor (else a cap), how to take it."""

    code: str
    name: str
    limit: int
    is_floor: bool
    value: Callable[[Any], int]


class Seen(NamedTuple):
    """What a policy measures from: what is known, the row, its windows, slot of now."""

    known: Known
    row: Row
    windows: Windows
    head: int


class Policy:
    """One regime with its parameters, spans in slots, and its own gates.

    Args:
        regime: which.
        entry: limits of the gates that both regimes have.
        gates: its own, in order.
        measure: takes their numbers, from what is seen and this policy.
    """

    def __init__(
        self, regime: Regime, entry: Entry, gates: tuple[Gate, ...], measure: Callable[[Seen, "Policy"], Struct]
    ) -> None:
        self.regime = regime
        self.entry = entry
        self.gates = gates
        self.measure = measure
        self.buyers = slots(entry.buyer_window_secs)
        self.inflow = slots(entry.inflow_window_secs)
        self.trend = slots(entry.price_trend_window_secs) if entry.price_trend_filter_enabled else 0
        self.dump = slots(entry.dump_recovery_window_secs)
        self.longest = max(self.buyers, self.inflow, self.trend, self.dump)
        self.enough = max(entry.min_unique_buyers, 5)

    def per_min_milli(self, trades: int) -> int:
        """Trades of the buyer window as thousandths per minute, rounded down."""
        return trades * 60_000 // self.entry.buyer_window_secs

    def too_slow(self, trades: int) -> bool:
        """Whether that is below the least rate."""
        return trades * 60_000 < self.entry.min_trades_per_min_milli * self.entry.buyer_window_secs

    def buyers_of(self, windows: Windows, head: int) -> Buyers:
        """The buyers of its window."""
        return windows.buyers_of(self.regime, self.buyers, self.entry.min_trade_size_lamports, head)

    def own(self, seen: Seen) -> Finding:
        """The first of its own gates that holds back."""
        if not self.gates:
            return PASS
        measured = self.measure(seen, self)
        for gate in self.gates:
            value = gate.value(measured)
            if value < gate.limit if gate.is_floor else value > gate.limit:
                return gate.code, ((gate.name, value, gate.limit),)
        return PASS

    def numbers(self, seen: Seen) -> tuple[Number, ...]:
        """The numbers of its own gates, each with its limit."""
        if not self.gates:
            return ()
        measured = self.measure(seen, self)
        return tuple((gate.name, gate.value(measured), gate.limit) for gate in self.gates)


def early(entry: Entry, own: EarlyOnly) -> Policy:
    """The policy of a new pool."""
    table = (
        Gate("WAIT_DEV_UNKNOWN", "dev_supply_known", int(own.require_dev_supply_known), True, lambda thin: thin.dev),
        Gate("WAIT_THIN_SAMPLE", "buys", own.min_sample_buys, True, lambda thin: thin.buys),
        Gate("REJECT_WASH_TRADING", "wash_volume_bps", own.wash_volume_cap_bps, False, lambda thin: thin.wash_bps),
        Gate(
            "REJECT_BUNDLED_BUYS",
            "same_slot_buyers_bps",
            own.same_slot_buyers_cap_bps,
            False,
            lambda thin: thin.same_slot_bps,
        ),
    )
    # a floor of nothing and a cap of everything hold nobody back
    asked = tuple(gate for gate in table if (gate.limit > 0 if gate.is_floor else gate.limit < BPS))
    return Policy("Early", entry, asked, thin_data)


def established(entry: Entry, own: EstablishedOnly) -> Policy:
    """The policy of a pool that has been seen for a while."""
    table = (
        Gate("WAIT_HISTORY", "base_candles", own.breakout_min_candles, True, lambda found: found.candles),
        Gate("WAIT_BREAKOUT", "rise_bps", own.breakout_min_rise_bps, True, lambda found: found.rise_bps),
        Gate(
            "WAIT_OVEREXTENDED",
            "rise_bps",
            own.breakout_max_rise_bps or NO_CAP,
            False,
            lambda found: found.rise_up_bps,
        ),
        Gate(
            "WAIT_VOLATILITY_EXPANSION",
            "range_expansion_bps",
            own.volatility_min_expansion_bps,
            True,
            lambda found: found.range_bps,
        ),
        Gate(
            "WAIT_VOLUME_EXPANSION",
            "volume_expansion_bps",
            own.volume_min_expansion_bps,
            True,
            lambda found: found.volume_bps,
        ),
    )
    span, count = slots(own.candle_secs), own.breakout_candles
    asked = tuple(gate for gate in table if gate.limit < NO_CAP) if count else ()

    def measure(seen: Seen, _policy: Policy) -> Breakout:
        flow = seen.windows.flow
        return breakout(seen.windows.candles_of(span, seen.head), flow, seen.head, count)

    return Policy("Established", entry, asked, measure)


class Thin(Struct, frozen=True, gc=False):
    """How a new pool's buyers look.

    Attributes:
        dev: 1: the creator and his share of the supply are told, else 0.
        buys: buys in the window.
        wash_bps: share of the volume bought by wallets that also sold in the window; 0 while the sample is too small.
        same_slot_bps: share of the buyers that bought in the one slot with the most of them; 0 likewise.
    """

    dev: int
    buys: int
    wash_bps: int
    same_slot_bps: int


def thin_data(seen: Seen, policy: Policy) -> Thin:
    """Measure a new pool."""
    dev = seen.known.mints.dev(seen.row.mint)
    told = int(dev is not None and dev.supply_bps is not None)
    buyers = policy.buyers_of(seen.windows, seen.head)
    unique = len(buyers.counts)
    if unique < policy.enough:
        return Thin(told, buyers.buys, 0, 0)
    wash = ceil_div(buyers.washed() * BPS, max(1, buyers.bought))
    return Thin(told, buyers.buys, wash, ceil_div(buyers.most_in_a_slot() * BPS, unique))


class Breakout(Struct, frozen=True, gc=False):
    """How the price leaves its base.

    Attributes:
        candles: candles of the base that traded.
        rise_bps: rise of the last price over the base's dearest, rounded down; negative below it.
        rise_up_bps: the same rounded up.
        range_bps: true range of the running candle against the mean of the base's.
        volume_bps: volume of the running candle against the mean of the base's.
    """

    candles: int
    rise_bps: int = 0
    rise_up_bps: int = 0
    range_bps: int = 0
    volume_bps: int = 0


def breakout(candles: Candles, flow: FlowRow, head: int, count: int) -> Breakout:
    """Measure the running candle against the `count` whole ones before it, of which the flow may remember fewer."""
    running, span = candles.running(head), candles.span
    starts = range(running - min(count, candles.most()) * span, running, span)
    base = [candle for start in starts if (candle := candles.at(start)) is not None]
    last = Price(flow.ticks[-1].base, flow.ticks[-1].quote) if flow.ticks else UNKNOWN
    if not base or not last.known:
        return Breakout(len(base))
    high = UNKNOWN
    ranges = volume = 0
    close = UNKNOWN
    for candle in base:
        high = dearer(high, candle.dearest)
        ranges += true_range_bps(candle, close)
        volume += candle.volume
        close = candle.close
    now = candles.at(running)
    up = ceil_div(high.base * last.quote * BPS, high.quote * last.base) - BPS
    if now is None:
        return Breakout(len(base), gain_bps(high, last), up)
    return Breakout(
        len(base),
        gain_bps(high, last),
        up,
        _expansion(true_range_bps(now, close), ranges, len(base)),
        _expansion(now.volume, volume, len(base)),
    )


def true_range_bps(candle: Candle, close: Price) -> int:
    """From the dearest price to the cheapest, the close before among them, in bps of tokens per SOL, rounded down."""
    return drawdown_bps(cheaper(candle.cheapest, close), dearer(candle.dearest, close))


def _expansion(value: int, total: int, count: int) -> int:
    if not total:
        return FROM_NOTHING if value else 0
    return value * count * BPS // total
