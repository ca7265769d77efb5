"""The reasons to leave a position, in their order.

Price exits (stop, take profit, trailing, and a fade that asks for a loss) need an executable quote of all of it, on the
pool it would then be sold on: its own, or where that is switched on the one of its `routes` that pays most. Without one
they are suppressed, and what suppresses them is named. Time passes anyhow.
"""

from typing import NamedTuple

from ironcrab.domain.units import BPS, SLOT_MS, TOKEN_2022_PROGRAM, TOKEN_PROGRAM, Word
from ironcrab.market.known import Known
from ironcrab.market.pools import PoolRow
from ironcrab.market.price import Price, drawdown_bps, drawdown_reaches, gain_at_most, gain_bps, gain_reaches
from ironcrab.market.quotes import NoQuote, PoolQuote
from ironcrab.strategy.gates import Gates
from ironcrab.strategy.params import Shared, slots
from ironcrab.strategy.policy import Policy
from ironcrab.strategy.routes import PUMP_AMM_ACCOUNTS, Routes
from ironcrab.strategy.rows import NANOS, MomentumState, Position, Row
from ironcrab.strategy.shape import Number

BEHIND_MARK = "QUOTE_SLOT_BEFORE_LAST_POSITION_MARK_SLOT"
"""Guard: the pool traded after its reserves were told."""


class Exit(NamedTuple):
    """A reason to leave: code, exit type of the wire contract, numbers."""

    code: Word
    exit_type: Word
    numbers: tuple[Number, ...]


class Look(NamedTuple):
    """A position as it stands now.

    Attributes:
        hold_secs: seconds held.
        quote: executable quote of all of it; None: there is none.
        guard: why there is none; "" there is.
        guarded: the numbers behind that: seconds held, and the slot it was quoted in (-1 none) with the least one.
        routes: the pools that were asked, the first where it is sold if there is no quote; () none is known.
        own_out: lamports that its own pool would pay; None: it is not quoted.
    """

    hold_secs: int
    quote: PoolQuote | None
    guard: Word
    guarded: tuple[Number, ...] = ()
    routes: tuple[PoolRow, ...] = ()
    own_out: int | None = None

    @property
    def price(self) -> Price:
        """What the quote pays, as tokens per SOL."""
        return Price(self.quote.amount_in, self.quote.amount_out) if self.quote is not None else Price(0, 0)

    @property
    def pool(self) -> PoolRow | None:
        """Where it is sold: on the pool of the quote."""
        if self.quote is not None:
            return next((row for row in self.routes if row.pool_address == self.quote.pool_address), None)
        return self.routes[0] if self.routes else None


class Exits:
    """Judges whether a position should be left now."""

    def __init__(self, known: Known, shared: Shared, gates: Gates) -> None:
        self.now = known.now
        self.known = known
        self.shared = shared
        self.gates = gates
        self.routes = Routes(known, shared)
        self.fade_span = slots(shared.momentum_exit_window_secs)
        self.ttl_slots = max(1, shared.exit_quote_ttl_ms // SLOT_MS) if shared.exit_quote_ttl_ms else 0

    def look(self, position: Position) -> Look:
        """The position as it stands now.

        Another pool may only raise what it is worth: while it could be sold on its own pool, whose quote may not
        decide, no other's does.
        """
        hold = (self.now.time - position.time) // NANOS
        routes = tuple(self.routes.of(position))
        best: PoolQuote | None = None
        own_out: int | None = None
        for row in routes:
            quote = self.known.quotes.quote(row.pool_address, position.mint, position.held)
            is_own = row.pool_address == position.pool
            why = self._guard(position, row, quote, is_own=is_own)
            if isinstance(quote, NoQuote) or why:
                if is_own:
                    told = -1 if isinstance(quote, NoQuote) else quote.slot
                    numbers = (
                        ("hold_secs", hold, None),
                        ("quote_slot", told, max(position.slot + 1, position.mark_slot)),
                    )
                    return Look(hold, None, why, numbers, routes)
                continue
            if is_own:
                own_out = quote.amount_out
            if best is None or quote.amount_out > best.amount_out:
                best = quote
        if best is None:
            return Look(hold, None, "NO_EXECUTABLE_QUOTE", (("hold_secs", hold, None),), routes)
        return Look(hold, best, "", (), routes, own_out)

    def _guard(self, position: Position, row: PoolRow, quote: PoolQuote | NoQuote, *, is_own: bool) -> Word:
        """Why this quote may not decide; "" it may. Entry and marks are its own pool's, and judge no other."""
        if isinstance(quote, NoQuote):
            return "NO_EXECUTABLE_QUOTE"
        if quote.kind == "last_trade" and not (is_own and self.shared.exits_use_last_trade):
            return "NOT_POOL_SOURCED_OR_INVALID_TPS"
        if quote.pool_address in (TOKEN_PROGRAM, TOKEN_2022_PROGRAM):
            return "PSEUDOPOOL_TOKEN_PROGRAM_ADDRESS"
        if self.ttl_slots and self.now.slot - quote.slot > self.ttl_slots:
            return "STALE_CACHE_AGE_MS"
        if is_own and quote.slot <= position.slot:
            return "QUOTE_SLOT_NOT_AFTER_ENTRY_CONFIRM"
        if quote.slot < (position.mark_slot if is_own else row.trade_slot):
            return BEHIND_MARK
        if len(row.accounts) == PUMP_AMM_ACCOUNTS and not (
            row.base_mint in row.accounts and row.quote_mint in row.accounts
        ):
            return "QUOTE_POOL_ACCOUNTS_NOT_VERIFIED_SOL_PAIR"
        return ""

    def judge(
        self, state: MomentumState, row: Row, pool: PoolRow | None, policy: Policy, *, position: Position, look: Look
    ) -> Exit | None:
        """The first reason to leave; None: hold. The trailing stop is switched on here and stays on."""
        return (
            self._hard(state, row, position)
            or (self._price(position, look) if look.quote is not None else None)
            or self._curve(pool)
            or (self._trailing(position) if look.quote is not None else None)
            or self._time(row, policy, look)
            or self._fade(position, look)
        )

    def _hard(self, state: MomentumState, row: Row, position: Position) -> Exit | None:
        """Removed liquidity and sells of the creator, after the entry."""
        head = self.now.slot
        if self.gates.removed(state, position.mint, position.slot):
            age = head - state.removals[position.mint]
            return Exit("EXIT_LP_REMOVAL", "LP_REMOVAL", (("slots_since_removal", age, self.gates.removal_span),))
        if row.dev_sell_slot is not None and row.dev_sell_slot > position.slot:
            return Exit("EXIT_DEV_SELL", "DEV_SELL", (("slots_since_dev_sell", head - row.dev_sell_slot, None),))
        return None

    def _price(self, position: Position, look: Look) -> Exit | None:
        """Stop and take profit, on what all of it would fetch."""
        shared, price = self.shared, look.price
        young = look.hold_secs < shared.hard_stop_min_hold_secs
        limit = shared.catastrophic_stop_loss_bps if young else shared.hard_stop_loss_bps
        if gain_at_most(position.paid, price, -limit):
            return Exit(
                "EXIT_HARD_STOP",
                "STOP_LOSS",
                (("pnl_bps", gain_bps(position.paid, price), -limit), ("hold_secs", look.hold_secs, None)),
            )
        if look.hold_secs >= shared.take_profit_min_hold_secs and gain_reaches(
            position.paid, price, shared.take_profit_bps
        ):
            pnl = gain_bps(position.paid, price)
            return Exit("EXIT_TAKE_PROFIT", "TAKE_PROFIT", (("pnl_bps", pnl, shared.take_profit_bps),))
        return None

    def _curve(self, pool: PoolRow | None) -> Exit | None:
        limit = self.shared.bonding_curve_exit_bps
        if not limit or pool is None or pool.progress_bps is None or pool.progress_bps < limit:
            return None
        return Exit("EXIT_BONDING_CURVE", "BONDING_CURVE_EXIT", (("progress_bps", pool.progress_bps, limit),))

    def _trailing(self, position: Position) -> Exit | None:
        """On trade marks of the position's pool: reserves never move the best price."""
        shared = self.shared
        if not position.best.known:
            return None
        if not position.trailing:
            position.trailing = gain_reaches(position.paid, position.best, shared.trailing_activation_bps)
        if not position.trailing or not drawdown_reaches(position.mark, position.best, shared.trailing_stop_bps):
            return None
        fall = drawdown_bps(position.mark, position.best)
        peak = gain_bps(position.paid, position.best)
        return Exit(
            "EXIT_TRAILING_STOP",
            "TRAILING_STOP",
            (
                ("drawdown_bps", fall, shared.trailing_stop_bps),
                ("peak_pnl_bps", peak, shared.trailing_activation_bps),
            ),
        )

    def _time(self, row: Row, policy: Policy, look: Look) -> Exit | None:
        shared, hold = self.shared, look.hold_secs
        cap = shared.max_hold_absolute_cap_secs
        if cap and hold >= cap:
            return Exit("EXIT_MAX_HOLD_TIME", "TIME_EXIT", (("hold_secs", hold, cap),))
        if not shared.max_hold_time_secs or hold < shared.max_hold_time_secs:
            return None
        windows, trades = self.gates.features.windows_of(row.pool), 0
        if windows is not None:
            trades = policy.buyers_of(windows, self.now.slot).trades
        if shared.time_exit_requires_low_velocity and not policy.too_slow(trades):
            return None
        rate = ("trades_per_min_milli", policy.per_min_milli(trades), policy.entry.min_trades_per_min_milli)
        return Exit("EXIT_MAX_HOLD_TIME", "TIME_EXIT", (("hold_secs", hold, shared.max_hold_time_secs), rate))

    def _fade(self, position: Position, look: Look) -> Exit | None:
        """The trades since the entry, within the window: buys by volume against all volume."""
        shared = self.shared
        if look.hold_secs < max(shared.momentum_exit_min_hold_secs, shared.hard_stop_min_hold_secs):
            return None
        windows = self.gates.features.windows_of(position.pool)
        if windows is None:
            return None
        sums = windows.since(position.slot, self.fade_span, self.now.slot)
        if sums.trades < shared.momentum_exit_min_trades:
            return None
        good, whole = sums.bought, sums.bought + sums.sold
        if not whole:
            good, whole = sums.buys, max(1, sums.trades)
        if good * BPS >= shared.momentum_exit_buy_ratio_bps * whole:
            return None
        if shared.momentum_exit_only_when_losing and (
            look.quote is None or not gain_at_most(position.paid, look.price, shared.momentum_exit_max_pnl_bps)
        ):
            return None
        return Exit(
            "EXIT_MOMENTUM_FADE",
            "MOMENTUM_EXIT",
            (
                ("buy_ratio_bps", good * BPS // whole, shared.momentum_exit_buy_ratio_bps),
                ("trades", sums.trades, shared.momentum_exit_min_trades),
            ),
        )
