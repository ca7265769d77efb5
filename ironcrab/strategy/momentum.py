"""Momentum: buys what many buy, in a probe and a scale-in, and sells it again.

Rows are pools, positions are mints. Each event that touches a row leads to one judgement of it, on event time; the
verdict is said only when its code changes. A position exists from confirmed fills only.
"""

from collections.abc import Callable, Iterable
from typing import Any

from ironcrab.domain import settings
from ironcrab.domain.control import ClockTick, ConfigUpdate, ForkOrphaned, RunStarted
from ironcrab.domain.event import Event
from ironcrab.domain.market import (
    BondingCurveProgress,
    DevWalletIdentified,
    LiquidityRemoved,
    PoolCreated,
    PoolStateUpdate,
    SlotUpdate,
    TokenMintInfo,
    Trade,
    WalletBalanceSnapshot,
    event_id_of,
)
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, Measure, Regime, TradeIntent, Verdict
from ironcrab.domain.units import SLOT_MS, SOL_MINT
from ironcrab.market.bound import forget_oldest
from ironcrab.market.flow import dearest
from ironcrab.market.known import Known
from ironcrab.market.pools import PoolRow
from ironcrab.market.price import Price, dearer, gain_at_most, gain_bps
from ironcrab.market.quotes import PoolQuote
from ironcrab.strategy import intents
from ironcrab.strategy import policy as policies
from ironcrab.strategy.book import Answer, Book
from ironcrab.strategy.config import config_id
from ironcrab.strategy.exits import BEHIND_MARK, Exit, Exits, Look
from ironcrab.strategy.gates import Gates
from ironcrab.strategy.params import MomentumParams, early_of, entry_of, established_of, shared_of
from ironcrab.strategy.policy import Policy
from ironcrab.strategy.rows import FOREVER, NANOS, Entering, MomentumState, Position, Row
from ironcrab.strategy.shape import Finding, Number

MOST_REMOVALS = 4_096
"""Mints whose last removal of liquidity is remembered at most."""

NOTHING: tuple[Event, ...] = ()

DATA_CODES = ("WAIT_INSUFFICIENT_LIQUIDITY", "WAIT_FEED_GAP", "WAIT_NO_EXECUTABLE_QUOTE")
"""Codes that a pool's state alone may change; the others wait for a trade."""


class Momentum:
    """The momentum reducer."""

    name = intents.SOURCE
    Params = MomentumParams
    wants: tuple[type[Event], ...] = (
        Trade,
        PoolStateUpdate,
        PoolCreated,
        TokenMintInfo,
        DevWalletIdentified,
        LiquidityRemoved,
        BondingCurveProgress,
        SlotUpdate,
        ClockTick,
        ForkOrphaned,
        WalletBalanceSnapshot,
        TradeIntent,
        DecisionRecord,
        ExecutionResult,
        RunStarted,
        ConfigUpdate,
    )

    def __init__(self, params: Any, known: Known) -> None:
        self.scenario = params
        self.known = known
        self.pools = known.pools
        self.now = known.now
        self.state = MomentumState()
        self.folds: dict[type[Event], Callable[[int, Any], Iterable[Event]]] = {
            PoolStateUpdate: self._pool_state,
            PoolCreated: self._pool_created,
            TokenMintInfo: self._mint_told,
            DevWalletIdentified: self._dev_told,
            LiquidityRemoved: self._removed,
            BondingCurveProgress: self._progress,
            SlotUpdate: self._due,
            ClockTick: self._due,
            ForkOrphaned: self._orphaned,
            WalletBalanceSnapshot: lambda _, event: self._answer(self.book.snapshot(event)),
            TradeIntent: self._intended,
            DecisionRecord: lambda _, event: self._answer(self.book.decided(event)),
            ExecutionResult: lambda _, event: self._answer(self.book.executed(event)),
            RunStarted: self._run_started,
            ConfigUpdate: self._config_update,
        }
        self.restored()

    def restored(self) -> None:
        """Take the state that was put back; windows are built again when they are asked for."""
        self.rows = self.state.rows
        self.positions = self.state.positions
        self.entering = self.state.entering
        self._put_in_force()

    def _put_in_force(self) -> None:
        """The scenario's parameters with an operator's changes."""
        changes, known = self.state.changes, self.known
        params = settings.in_force(self.scenario, changes)
        self.config_id = config_id(params) if settings.changed(self.scenario, changes) else None
        self.shared = shared_of(params)
        self.early = policies.early(entry_of(params, "early_"), early_of(params))
        self.established = policies.established(entry_of(params, "established_"), established_of(params))
        self.never = tuple(self.shared.not_tradeable.split())
        self.gates = Gates(known, self.shared)
        self.exits = Exits(known, self.shared, self.gates)
        self.book = Book(self.now, self.shared, self.state)

    def _run_started(self, _seq: int, event: RunStarted) -> Iterable[Event]:
        """A run opens: changes that its scenario leaves in force go on, and that is said."""
        told = settings.of_table(event, "momentum", type(self.scenario))
        kept = settings.reopened(self.name, self.scenario, self.state.changes, told, config_id)
        self._put_in_force()
        return NOTHING if kept is None else (kept,)

    def _config_update(self, _seq: int, event: ConfigUpdate) -> Iterable[Event]:
        """An operator wishes other parameters; those in range hold from here on."""
        answer = settings.update(self.name, self.scenario, self.state.changes, event, config_id)
        if answer is None:
            return NOTHING
        self._put_in_force()
        return (answer,)

    def step(self, seq: int, event: Event) -> Iterable[Event]:
        """Fold one event; says verdicts and intents."""
        if type(event) is Trade:
            return self._trade(seq, event)
        return self.folds[type(event)](seq, event)

    # what the market says

    def _trade(self, seq: int, event: Trade) -> Iterable[Event]:
        row = self.rows.get(event.pool_address)
        if row is None:
            row = self._born(seq, event.mint, event.pool_address)
            if event.quote_mint != SOL_MINT or event.mint in self.never:
                row.until = FOREVER
                why = "REJECT_NOT_TRADEABLE" if event.quote_mint == SOL_MINT else "REJECT_QUOTE_NOT_SOL"
                return self._say(row, "reject", why, (("tradeable", 0, 1),), "NotApplicable")
        row.seq = seq
        row.time = self.now.time
        if row.until == FOREVER or row.mint != event.mint:
            return NOTHING
        if row.decimals is None:
            row.decimals = event.token_decimals
        if row.dev is None:
            row.dev = event.creator
        if event.trader == row.dev and not event.is_buy:
            row.dev_sell_slot = self.now.slot if event.slot is None else event.slot
            row.dev_sell_time = self.now.time
        if (self.positions or self.entering) and (row.mint in self.positions or row.mint in self.entering):
            if not event.is_buy and event.sol_amount > self._policy(row.pool).entry.max_single_dump_lamports:
                # refused as ever: what is held gets no scale-in
                row.until = self.now.time + self.shared.terminal_secs * NANOS
            return self._busy(row, event)
        if row.until > self.now.time:
            return NOTHING
        return self._consider(row, event)

    def _pool_state(self, _seq: int, event: PoolStateUpdate) -> Iterable[Event]:
        row = self.rows.get(event.pool_address)
        if row is None or row.until == FOREVER:
            return NOTHING
        position = self.positions.get(row.mint)
        if position is not None:
            return self._routed(position, row, event)
        if row.code in DATA_CODES and row.until <= self.now.time and row.mint not in self.entering:
            return self._consider(row, event)
        return NOTHING

    def _pool_created(self, seq: int, event: PoolCreated) -> Iterable[Event]:
        pool = self.pools.get(event.pool_address)
        if pool is None or pool.quote_mint != SOL_MINT or pool.base_mint in self.never:
            return NOTHING
        row = self.rows.get(event.pool_address) or self._born(seq, pool.base_mint, event.pool_address)
        row.dev = row.dev or event.creator
        return self._reconsider(row, event)

    def _mint_told(self, _seq: int, event: TokenMintInfo) -> Iterable[Event]:
        for row in self._rows_of(event.mint):
            if row.code.startswith("WAIT_MINT_INFO"):
                yield from self._reconsider(row, event)

    def _dev_told(self, _seq: int, event: DevWalletIdentified) -> Iterable[Event]:
        """The creator is known now: what he sold before counts, and how much he holds."""
        dev = self.known.mints.dev(event.mint)
        for row in self._rows_of(event.mint):
            row.dev = event.dev_wallet
            flow = self.known.flow.get(row.pool)
            sells = [] if flow is None else [t for t in flow.ticks if t.trader == event.dev_wallet and not t.is_buy]
            if sells and (row.dev_sell_slot is None or sells[-1].slot > row.dev_sell_slot):
                row.dev_sell_slot = sells[-1].slot
                row.dev_sell_time = self.now.time - (self.now.slot - sells[-1].slot) * SLOT_MS * 1_000_000
            if dev is not None and dev.supply_bps is not None:
                yield from self._reconsider(row, event)

    def _removed(self, _seq: int, event: LiquidityRemoved) -> Iterable[Event]:
        """Liquidity left: every pool of the mint is refused, a position is left."""
        if event.sol_amount < self.shared.lp_removal_min_lamports:
            return
        pool = self.pools.get(event.pool_address)
        mint = event.mint if pool is None else pool.base_mint
        removals = self.state.removals
        slot = max(removals.pop(mint, 0), self.now.slot if event.slot is None else event.slot)
        removals[mint] = slot
        while len(removals) > MOST_REMOVALS:
            del removals[next(iter(removals))]
        for row in self._rows_of(mint):
            if mint in self.positions or mint in self.entering:
                yield from self._busy(row, event)
            elif self.gates.removed(self.state, mint, -1):
                numbers = (("removed_lamports", event.sol_amount, self.shared.lp_removal_min_lamports),)
                yield from self._held_back(row, self._policy(row.pool), ("REJECT_LP_REMOVED", numbers))

    def _progress(self, _seq: int, event: BondingCurveProgress) -> Iterable[Event]:
        row = self.rows.get(event.bonding_curve)
        if row is None:
            return NOTHING
        return self._reconsider(row, event)

    def _orphaned(self, _seq: int, event: ForkOrphaned) -> Iterable[Event]:
        """Marks from a slot that is not on the chain are read again from the flow, which has dropped its trades."""
        for position in self.positions.values():
            if position.slot < event.orphaned_slot <= position.mark_slot:
                flow = self.known.flow.get(position.pool)
                ticks = [] if flow is None else [tick for tick in flow.ticks if tick.slot > position.slot]
                position.best = dearest(position.paid, ticks)
                position.trailing = False
                position.mark = Price(ticks[-1].base, ticks[-1].quote) if ticks else position.paid
        return NOTHING

    def _due(self, _seq: int, event: Event) -> Iterable[Event]:
        """Time passed: what waited too long, what was held too long, what fell silent."""
        if not (self.positions or self.entering or self.now.time >= self.state.tidy_time):
            return NOTHING
        said: list[Event] = []
        for answer in tuple(self.book.overdue()):
            said += self._answer(answer)
        for position in tuple(self.positions.values()):
            said += self._attend(position, self._row_of(position.mint, position.pool), event)
        if self.now.time >= self.state.tidy_time:
            self._tidy()
        return said

    def _tidy(self) -> None:
        self.state.tidy_time = self.now.time + 60 * NANOS
        oldest = self.now.time - self.shared.idle_secs * NANOS
        # what is never traded stays, so that its verdict is said once
        for row in [row for row in self.rows.values() if row.time < oldest and row.until != FOREVER]:
            if row.mint not in self.positions and row.mint not in self.entering:
                del self.rows[row.pool]
                self.gates.features.forget(row.pool)

    # judging

    def _reconsider(self, row: Row, event: Event) -> Iterable[Event]:
        """Judge a row after an event that is no trade."""
        if row.until == FOREVER:
            return NOTHING
        if row.mint in self.positions or row.mint in self.entering:
            return self._busy(row, event)
        return self._consider(row, event) if row.until <= self.now.time else NOTHING

    def _consider(self, row: Row, event: Event) -> Iterable[Event]:
        """May it be bought?"""
        pool = self.pools.rows.get(row.pool)
        if pool is None:
            return NOTHING
        age = self.now.slot - pool.first_seen_slot
        policy = self.early if age < self.shared.early_slot_threshold else self.established
        limit = policy.entry.max_single_dump_lamports
        if type(event) is Trade and not event.is_buy and event.sol_amount > limit:
            dump = ("single_sell_lamports", event.sol_amount, limit)
            return self._held_back(row, policy, ("REJECT_LARGE_DUMP", (dump,)))
        found = self.gates.judge(self.state, row, pool, policy)
        if found[0] == row.code and row.verdict == "wait":
            return NOTHING
        if not found[0]:
            return self._enter(row, pool, policy, "probe", event)
        return self._held_back(row, policy, found)

    def _held_back(self, row: Row, policy: Policy, found: Finding) -> tuple[Event, ...]:
        code, numbers = found
        if not code.startswith("REJECT"):
            return self._say(row, "wait", code, numbers, policy.regime)
        row.until = self.now.time + self.shared.terminal_secs * NANOS
        return self._say(row, "reject", code, numbers, policy.regime)

    def _enter(self, row: Row, pool: PoolRow, policy: Policy, kind: str, event: Event) -> tuple[Event, ...]:
        """Wish to buy on this pool: a probe for speed, a scale-in because marks and stops are of this pool alone."""
        lamports = self.book.probe if kind == "probe" else self.book.scale_in
        mint = self.known.mints.get(row.mint)
        decimals = row.decimals or 0 if mint is None else mint.decimals
        slippage = policy.entry.max_slippage_bps
        expected = self._expected(pool, policy, lamports)
        min_out = intents.least(expected, slippage)
        if not min_out:
            why = "WAIT_NO_EXECUTABLE_QUOTE" if policy.entry.require_executable_quote else "WAIT_TRADE_PRICE"
            held_back = "wait" if kind == "probe" else "hold"
            return self._say(row, held_back, why, (("lamports", lamports, None),), policy.regime)
        code = "ENTER_PROBE_BUY" if kind == "probe" else "ENTER_SCALE_IN"
        numbers = self.gates.summary(row, pool, policy)
        self.entering[row.mint] = Entering(row.pool, kind, lamports, self.now.time)
        intent = intents.buy(
            pool,
            mint,
            self._why(code, numbers, event),
            kind=kind,
            lamports=lamports,
            min_out=intents.amount(min_out, decimals),
            terms=intents.Terms(
                policy.regime,
                slippage_bps=slippage,
                roi_bps=self.shared.entry_expected_roi_bps,
                ttl_ms=self.shared.entry_ttl_ms,
            ),
        )
        return (*self._say(row, "enter", code, numbers, policy.regime), intent)

    def _expected(self, pool: PoolRow, policy: Policy, lamports: int) -> int:
        """What a buy should give: by an executable quote where the regime asks for one, else by the last trade."""
        if not policy.entry.require_executable_quote:
            return lamports * pool.trade_base // max(1, pool.trade_quote)
        quote = self.known.quotes.quote(pool.pool_address, pool.quote_mint, lamports)
        return quote.amount_out if isinstance(quote, PoolQuote) and quote.kind != "last_trade" else 0

    def _busy(self, row: Row, event: Event) -> Iterable[Event]:
        """The mint is held or being bought: only the position's own pool goes on."""
        position = self.positions.get(row.mint)
        if position is None:
            entering = self.entering[row.mint]
            if entering.pool == row.pool:
                return NOTHING
            secs = (self.now.time - entering.time) // NANOS
            return self._waits(row, "WAIT_ENTRY_PENDING", ("pending_secs", secs, self.shared.pending_timeout_secs))
        if position.pool != row.pool:
            said = self._waits(row, "WAIT_POSITION_ELSEWHERE", ("held_raw", position.held, None))
            return [*said, *self._routed(position, row, event)]
        if type(event) is Trade:
            self._mark(position, event)
        return self._attend(position, row, event)

    def _waits(self, row: Row, code: str, number: Number) -> tuple[Event, ...]:
        """Another pool of the mint is busy; of a pool that is refused for now that says nothing new."""
        if row.verdict == "reject" and row.until > self.now.time:
            return ()
        return self._say(row, "wait", code, (number,), self._policy(row.pool).regime)

    def _routed(self, position: Position, row: Row, event: Event) -> Iterable[Event]:
        """Look at a position after a word about this pool: its own, or one that it may be sold on."""
        if position.pool == row.pool:
            return self._attend(position, row, event)
        if not self.shared.exit_multi_pool_routing:
            return NOTHING
        return self._attend(position, self._row_of(position.mint, position.pool), event)

    def _mark(self, position: Position, event: Trade) -> None:
        """A trade on the position's pool after its entry, in chain order, moves the mark."""
        slot = self.now.slot if event.slot is None else event.slot
        place = (slot, event.index or 0, event.position or 0)
        if slot <= position.slot or place < (position.mark_slot, position.mark_index, position.mark_position):
            return
        mark = Price(event.token_amount, event.sol_amount)
        if not mark.known:
            return
        position.mark_slot, position.mark_index, position.mark_position = place
        position.mark = mark
        position.best = dearer(position.best, mark)

    def _attend(self, position: Position, row: Row, event: Event) -> Iterable[Event]:
        """Leave it, add to it, or hold it."""
        if position.exit_time or position.retry_time > self.now.time:
            return NOTHING
        pool = self.pools.get(position.pool)
        policy = self._policy(position.pool)
        if pool is None:
            secs = (self.now.time - position.time) // NANOS
            return self._say(row, "suppress", "POOL_NOT_FOUND", (("hold_secs", secs, None),), policy.regime)
        look = self.exits.look(position)
        found = self.exits.judge(self.state, row, pool, policy, position=position, look=look)
        if found is not None:
            return self._leave(position, row, pool, policy, found=found, look=look, event=event)
        if not position.full:
            said = self._scale_in(position, row, pool, policy, look=look, event=event)
            if said is not None:
                return said
        if look.guard:
            # within the slot of the last trade its reserves may still come: that is no reason yet
            coming = look.guard == BEHIND_MARK and self.now.slot == position.mark_slot
            return NOTHING if coming else self._say(row, "suppress", look.guard, look.guarded, policy.regime)
        numbers = (("hold_secs", look.hold_secs, None), ("pnl_bps", gain_bps(position.paid, look.price), None))
        return self._say(row, "hold", "HOLD_FULL" if position.full else "HOLD_PROBE", numbers, policy.regime)

    def _scale_in(
        self, position: Position, row: Row, pool: PoolRow, policy: Policy, *, look: Look, event: Event
    ) -> Iterable[Event] | None:
        """Buy the rest once the probe earns and all gates pass again; None: nothing to say of it."""
        if position.mint in self.entering:
            return NOTHING
        if look.hold_secs > self.shared.scale_in_confirm_window_secs:
            position.full = True
        if position.full or look.quote is None:
            return None
        if row.until > self.now.time:
            refused = ("refused_secs", (row.until - self.now.time) // NANOS, None)
            return self._say(row, "hold", "SCALE_IN_REFUSED", (refused,), policy.regime)
        limit = self.shared.scale_in_min_probe_pnl_bps
        if gain_at_most(position.paid, look.price, limit):
            pnl = ("pnl_bps", gain_bps(position.paid, look.price), limit)
            return self._say(row, "hold", "SCALE_IN_PNL", (pnl,), policy.regime)
        code, numbers = self.gates.judge(self.state, row, pool, policy)
        if code:
            return self._say(row, "hold", code, numbers, policy.regime)
        return self._enter(row, pool, policy, "scale_in", event)

    def _leave(
        self, position: Position, row: Row, pool: PoolRow, policy: Policy, *, found: Exit, look: Look, event: Event
    ) -> tuple[Event, ...]:
        """Wish to sell all of it. A buy still pending is struck from the book; should it land, its fill counts."""
        self.entering.pop(position.mint, None)
        position.exit_time, position.exit_intent = self.now.time, None
        shared, target = self.shared, look.pool or pool
        last, slippage = target.last_trade, self.book.exit_slippage(position)
        if look.quote is not None:
            expected = look.quote.amount_out
        elif last is not None:
            expected = position.held * last.sol_amount // last.token_amount
        else:
            expected = position.held * position.paid.quote // position.paid.base
        numbers = found.numbers
        if target is not pool:
            numbers = (*numbers, ("routes", len(look.routes), None), ("quote_out_lamports", expected, look.own_out))
        intent = intents.sell(
            target,
            self.known.mints.get(position.mint),
            self._why(found.code, numbers, event),
            exit_type=found.exit_type,
            held=intents.amount(position.held, position.decimals),
            min_out=intents.least(expected, slippage),
            terms=intents.Terms(policy.regime, slippage_bps=slippage, roi_bps=0, ttl_ms=shared.exit_ttl_ms),
            routing=intents.Routing(pool, checked=len(look.routes), expected=expected),
        )
        return (*self._say(row, "exit", found.code, numbers, policy.regime), intent)

    # what becomes of it

    def _intended(self, seq: int, event: TradeIntent) -> Iterable[Event]:
        self.book.intended(seq, event)
        return NOTHING

    def _answer(self, answer: Answer | None) -> Iterable[Event]:
        """Say what became of a mint."""
        if answer is None:
            return NOTHING
        row = self._row_of(answer.mint, answer.pool)
        pause = {"reject": self.shared.terminal_secs, "wait": self.shared.reentry_cooldown_secs}.get(answer.verdict)
        if pause is not None:
            row.until = self.now.time + pause * NANOS
        if answer.verdict == "wait":
            # the mint rests, not this pool of it alone
            for other in self._rows_of(answer.mint):
                other.until = max(other.until, row.until)
        return self._say(row, answer.verdict, answer.code, answer.numbers, self._policy(answer.pool).regime)

    # rows

    def _born(self, seq: int, mint: str, pool: str) -> Row:
        dev = self.known.mints.dev(mint)
        # a mint that rests does so on a pool that is met only now, too
        until = next((row.until for row in self._rows_of(mint) if row.code == "WAIT_REENTRY_COOLDOWN"), 0)
        row = self.rows[pool] = Row(
            mint, pool, seq, self.now.time, dev=dev.dev_wallet if dev is not None else None, until=until
        )
        for gone in forget_oldest(self.rows, self.shared.max_rows):
            self.gates.features.forget(gone)
        return row

    def _row_of(self, mint: str, pool: str) -> Row:
        """The row of this pool, made again if it was forgotten."""
        return self.rows.get(pool) or self._born(0, mint, pool)

    def _rows_of(self, mint: str) -> list[Row]:
        """The watched pools of a mint that may be traded, in first-seen order."""
        rows = [self.rows.get(pool.pool_address) for pool in self.pools.of_mint(mint)]
        return [row for row in rows if row is not None and row.until != FOREVER]

    def _policy(self, pool: str) -> Policy:
        """The regime by the pool's age in slots; an unknown pool is EARLY."""
        known = self.pools.get(pool)
        if known is None or self.now.slot - known.first_seen_slot < self.shared.early_slot_threshold:
            return self.early
        return self.established

    def _why(self, code: str, numbers: tuple[Number, ...], event: Event) -> intents.Why:
        return intents.Why(
            code,
            numbers,
            slot=self.now.slot,
            positions=len(self.positions),
            trigger=event_id_of(event),
            config_id=self.config_id,
        )

    def _say(self, row: Row, verdict: str, code: str, numbers: tuple[Number, ...], regime: Regime) -> tuple[Event, ...]:
        """The verdict, if it is another than the last one about this pool."""
        if row.verdict == verdict and row.code == code:
            return NOTHING
        row.verdict, row.code = verdict, code
        measures = tuple(Measure(*number) for number in numbers)
        return (Verdict(self.name, row.mint, row.pool, verdict, code, regime, self.now.slot, measures),)
