"""Legs and trips: one quoter for pairs and cycles, and the gates a round trip passes.

A quote is *marginal* when it comes from the pool's own state with the program's rules (`exact`, `executable`), else
it is the last trade's price. Legs of one trip are of one kind.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from ironcrab.domain.units import (
    BPS,
    SLOT_MS,
    USDC_MINT,
    USDT_MINT,
    Bps,
    Key,
    Lamports,
    SignedBps,
    Slot,
    ceil_div,
)
from ironcrab.market.known import Known
from ironcrab.market.pools import PoolRow
from ironcrab.market.quotes import CONSTANT_PRODUCT, NoQuote
from ironcrab.strategy.arb_params import ArbParams

Kind = Literal["marginal", "last_trade"]
Number = tuple[str, int, int | None]
"""A measure in the making: name, value, limit."""
Step = tuple[PoolRow, Key]
"""A pool and the mint that goes into it."""

DEXES = ("raydium", "raydium_cpmm", "orca", "meteora_dlmm", "pump_amm")
"""Venues of a trip; a PumpFun curve is the only pool of its mint while it lives."""
UNKNOWN_LIQUIDITY = 5
"""The least profit is so many times larger where the liquidity of no pool is known."""
SIZE_STEPS = 3
"""How often the size is refined after it was doubled as far as that pays."""

STALE = "ARB_QUOTE_STALE"
UNAVAILABLE = "ARB_QUOTE_UNAVAILABLE"


class Leg(Struct, frozen=True, gc=False):
    """One swap of a trip: raw units in and out, the kind of its quote, and the slot that was told in."""

    row: PoolRow
    mint_in: Key
    mint_out: Key
    amount_in: int
    amount_out: int
    kind: Kind
    slot: Slot


class Trip(Struct, frozen=True, gc=False):
    """Legs from SOL to SOL, each taking all that the one before gave."""

    legs: tuple[Leg, ...]

    @property
    def amount_in(self) -> Lamports:
        """Lamports that go in."""
        return self.legs[0].amount_in

    @property
    def gross(self) -> int:
        """Lamports out less lamports in, before costs."""
        return self.legs[-1].amount_out - self.legs[0].amount_in

    @property
    def spread_bps(self) -> SignedBps:
        """The same in bps of what goes in, toward zero."""
        gross = self.gross
        spread = abs(gross) * BPS // self.amount_in
        return spread if gross >= 0 else -spread

    @property
    def slot_delta(self) -> int:
        """Distance of the oldest leg's slot from the newest's."""
        slots = [leg.slot for leg in self.legs]
        return max(slots) - min(slots)

    @property
    def kind(self) -> Kind:
        """Of its quotes: all are of one."""
        return self.legs[0].kind

    @property
    def path(self) -> str:
        """What identifies it while it is in flight: its pools in order."""
        return " ".join(leg.row.pool_address for leg in self.legs)


class Quoter:
    """Quotes legs from what is known, fresh ones only. Args: known, the parameters."""

    def __init__(self, known: Known, params: ArbParams) -> None:
        self.quotes = known.quotes
        self.now = known.now
        self.state_slots = params.quote_state_ttl_ms // SLOT_MS
        self.trade_slots = params.quote_trade_ttl_ms // SLOT_MS
        self.asked = 0

    def leg(self, row: PoolRow, mint_in: str, amount_in: int) -> Leg | str:
        """The leg, or why there is none: STALE or UNAVAILABLE."""
        self.asked += 1
        quote = self.quotes.quote(row.pool_address, mint_in, amount_in)
        if isinstance(quote, NoQuote):
            return STALE if quote.reason == "POOL_STALE" else UNAVAILABLE
        age = self.now.slot - quote.slot
        if quote.kind == "last_trade":
            if age > self.trade_slots:
                return STALE
        elif (self.state_slots and age > self.state_slots) or (
            quote.kind == "executable" and is_behind(row, quote.slot)
        ):
            return STALE
        kind: Kind = "last_trade" if quote.kind == "last_trade" else "marginal"
        mint_out = row.quote_mint if mint_in == row.base_mint else row.base_mint
        return Leg(row, mint_in, mint_out, amount_in, quote.amount_out, kind, quote.slot)

    def trip(self, steps: Sequence[Step], amount_in: int) -> Trip | None:
        """The trip over these pools at this size; None: a leg has no fresh quote."""
        legs: list[Leg] = []
        amount = amount_in
        for row, mint_in in steps:
            leg = self.leg(row, mint_in, amount)
            if isinstance(leg, str):
                return None
            legs.append(leg)
            amount = leg.amount_out
        return Trip(tuple(legs))

    def sized(self, trip: Trip, most: Lamports, least_spread: Bps) -> Trip:
        """The size that earns most: doubled while that earns more, then refined; spread and size stay in bounds."""
        steps = [(leg.row, leg.mint_in) for leg in trip.legs]
        best = trip

        def try_size(amount: int) -> bool:
            nonlocal best
            if not 0 < amount <= most:
                return False
            other = self.trip(steps, amount)
            if other is None or other.gross <= best.gross or other.spread_bps < least_spread:
                return False
            best = other
            return True

        while try_size(best.amount_in * 2):
            pass
        change = best.amount_in // 2
        for _ in range(SIZE_STEPS):
            if not try_size(best.amount_in + change):
                try_size(best.amount_in - change)
            change //= 2
        return best


def is_behind(row: PoolRow, slot: Slot) -> bool:
    """Whether a trade was told after the reserves of this slot: they are not what the pool holds now."""
    return row.trade_slot > slot or row.seq == row.trade_seq


def price_of(row: PoolRow) -> tuple[int, int] | None:
    """(raw base, raw quote) of the last known price: reserves where they are the curve, else the last trade."""
    if row.reserve_base and row.reserve_quote and row.dex in CONSTANT_PRODUCT:
        return row.reserve_base, row.reserve_quote
    return None if row.trade_seq is None else (row.trade_base, row.trade_quote)


def known_liquidity(trip: Trip) -> Lamports | None:
    """The smallest known liquidity of its pools that are priced in SOL; None: none is known."""
    told = [leg.row.liquidity for leg in trip.legs]
    return min((lamports for lamports in told if lamports), default=None)


def least_profit_to_land(tip: Lamports, priority: Lamports, max_spend_bps: Bps) -> Lamports | None:
    """The profit of which tip and priority fee are the share that may be spent, rounded up; None: no profit is."""
    return ceil_div((tip + priority) * BPS, max_spend_bps) if max_spend_bps else None


class Gates:
    """What a trip must show. Args: the parameters."""

    def __init__(self, params: ArbParams) -> None:
        self.params = params
        self.cost = params.est_tx_cost_lamports + (params.bundle_tip_lamports if params.require_bundle else 0)

    def spread(self, trip: Trip, least: Bps) -> tuple[str, tuple[Number, ...]] | None:
        """Why the trip's return at probe size is refused; None: it is not."""
        params, spread = self.params, trip.spread_bps
        stable = any(leg.mint_in in (USDC_MINT, USDT_MINT) for leg in trip.legs) and len(trip.legs) == 2
        most = params.max_spread_stable_bps if stable else params.max_spread_bps
        if trip.gross <= 0:
            return "ARB_ROUND_TRIP_UNPROFITABLE", (("spread_bps", spread, least),)
        if spread < least:
            return "ARB_SPREAD_BELOW_MIN", (("spread_bps", spread, least),)
        if spread > most:
            return "ARB_SPREAD_ABOVE_MAX", (("spread_bps", spread, most),)
        return None

    def profit(self, trip: Trip) -> tuple[str, tuple[Number, ...]] | None:
        """Why the profit after costs of the sized trip is refused; None: it is not."""
        params, profit = self.params, trip.gross - self.cost
        least = params.min_profit_lamports
        if all(leg.row.liquidity is None for leg in trip.legs):
            least *= UNKNOWN_LIQUIDITY
        numbers = (("profit_lamports", profit, least), ("trade_lamports", trip.amount_in, None))
        if profit <= 0 or profit < least:
            return "ARB_PROFIT_BELOW_MIN", numbers
        if not params.require_bundle:
            return None
        priority = 5_000 + params.hint_priority_fee_micro_lamports * params.hint_compute_units // 1_000_000
        tip = max(params.bundle_tip_lamports, params.bundle_tip_min_lamports)
        lands = least_profit_to_land(tip, priority, params.bundle_max_spend_bps)
        if lands is None or profit < lands:
            return "ARB_PROFIT_BELOW_LANDING", (("profit_lamports", profit, lands or 0),)
        return None

    def least_out(self, trip: Trip) -> Lamports:
        """The least output to accept: what slippage leaves, and never less than what goes in and what it costs."""
        expected = trip.legs[-1].amount_out
        slipped = expected * (BPS - self.params.max_slippage_bps) // BPS
        return max(slipped, trip.amount_in + self.cost + 1)
