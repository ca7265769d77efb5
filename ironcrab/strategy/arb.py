"""Arbitrage: wishes round trips from SOL to SOL that earn more than they cost.

A word about a pool leads to one look at its mint, on event time: first for a pair (two venues, one mint), then for a
cycle through it. Both take their quotes from one quoter and pass the same gates. Why a mint is not traded is said when
that changes. What is wished holds its path until its end is known.

    wait      no trip, or one that earns too little       ARB_INSUFFICIENT_POOLS .. ARB_PROFIT_BELOW_LANDING
    suppress  a trip that must not be wished now          ARB_FEED_GAP, ARB_IN_FLIGHT, ARB_COOLDOWN,
                                                          ARB_LAST_TRADE_ONLY, ARB_POOL_ACCOUNTS
    enter     it is wished                                ARB_TWO_HOP, ARB_MULTI_HOP
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct, field

from ironcrab.domain import settings
from ironcrab.domain.control import ConfigUpdate, RunStarted
from ironcrab.domain.event import Event
from ironcrab.domain.market import ExplicitAmount, PoolStateUpdate, Trade
from ironcrab.domain.trade import (
    DecisionRecord,
    Execution,
    ExecutionResult,
    Measure,
    SwapHop,
    TradeIntent,
    TradeResources,
    Verdict,
)
from ironcrab.domain.units import BPS, SOL_MINT, TOKEN_2022_PROGRAM, TOKEN_PROGRAM, Bps, Key, Nanos, Seq, Word
from ironcrab.market.bound import forget_oldest
from ironcrab.market.decimals import decimal_text
from ironcrab.market.known import Known
from ironcrab.market.pools import PoolRow
from ironcrab.market.quotes import CONSTANT_PRODUCT
from ironcrab.strategy.arb_cycles import Cycles
from ironcrab.strategy.arb_flights import Flight, Flights
from ironcrab.strategy.arb_legs import Gates, Number, Quoter, Trip, known_liquidity, price_of
from ironcrab.strategy.arb_pairs import best_pair, gap_bps
from ironcrab.strategy.arb_params import ArbParams
from ironcrab.strategy.config import config_id
from ironcrab.strategy.routes import PUMP_AMM_ACCOUNTS, has_accounts

PUMP_AMM = "pump_amm"
MILLI = 1_000_000
"""Nanoseconds."""
MOST_MARKS = 8_192
"""Pools whose price at the last search is remembered at most."""
FOLLOW_SLOTS = 2
"""Reserves told so lately before a trade are told after it too: the look waits for them."""

NOTHING: tuple[Event, ...] = ()
Thought = tuple[str, str, tuple[Number, ...]]
"""A verdict in the making: verdict, code, numbers."""


class MintRow(Struct, gc=False):
    """One mint that is looked at.

    Attributes:
        mint: the mint.
        pool: the pool it was first met on; its verdicts name it.
        seq: the last look.
        verdict: the last verdict said, "" none.
        code: its code.
        until: no wish before.
        searched: when its cycles were searched last.
    """

    mint: Key
    pool: Key
    seq: Seq
    verdict: Word = ""
    code: Word = ""
    until: Nanos = 0
    searched: Nanos = 0


class Mark(Struct, gc=False):
    """The price of a pool when cycles through it were searched last: raw base for raw quote; `seq` that look."""

    seq: Seq
    base: int
    quote: int


class ArbState(Struct):
    """Everything arbitrage remembers: mints, prices of the last search by pool, wishes under way by path.

    `changes` are the parameters that an operator changed.
    """

    rows: dict[str, MintRow] = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)
    flights: dict[str, Flight] = field(default_factory=dict)
    changes: dict[str, settings.Change] = field(default_factory=dict)


class Arbitrage:
    """The arbitrage reducer."""

    name = "arb-strategy"
    Params = ArbParams
    wants: tuple[type[Event], ...] = (
        Trade,
        PoolStateUpdate,
        TradeIntent,
        DecisionRecord,
        ExecutionResult,
        RunStarted,
        ConfigUpdate,
    )

    def __init__(self, params: ArbParams, known: Known) -> None:
        self.scenario = params
        self.known = known
        self.now = known.now
        self.pools = known.pools
        self.state = ArbState()
        self.restored()

    def restored(self) -> None:
        """Take the state that was put back."""
        self.rows = self.state.rows
        self.flights = Flights(self.state.flights)
        self._put_in_force()

    def _put_in_force(self) -> None:
        """The scenario's parameters with an operator's changes."""
        params = self.params = settings.in_force(self.scenario, self.state.changes)
        self.config_id = config_id(params) if settings.changed(self.scenario, self.state.changes) else None
        # nothing larger than the largest position is compared, for it could not be wished
        self.probe = min(params.probe_lamports, params.max_position_lamports)
        self.quoter = Quoter(self.known, params)
        self.gates = Gates(params)
        self.cycles = Cycles(self.pools, self.quoter, params.multi_hop_max_hops, params.multi_hop_max_quotes)

    def step(self, seq: int, event: Any) -> Iterable[Event]:
        """Fold one event; says verdicts and intents. Trades come by the million, so their path is laid out flat."""
        kind = type(event)
        if kind is Trade:
            pools = self.pools
            row = pools.rows.get(event.pool_address)
            if row is None:
                return NOTHING
            mint = row.base_mint
            if mint in self.rows and len(pools.by_mint[mint]) == 1 and mint not in pools.by_quote:
                return NOTHING
            if event.sol_amount < self.params.min_trade_lamports or self._follow_reserves(row):
                return NOTHING
            return self._look(seq, row)
        if kind is PoolStateUpdate:
            row = self.pools.rows.get(event.pool_address)
            return NOTHING if row is None else self._look(seq, row)
        if kind is RunStarted or kind is ConfigUpdate:
            return self._settings(event)
        if event.source == self.name:
            self._answer(seq, event)
        return NOTHING

    def _settings(self, event: RunStarted | ConfigUpdate) -> Iterable[Event]:
        """A run opens, or an operator wishes other parameters: what holds from here on is said."""
        changes = self.state.changes
        if isinstance(event, ConfigUpdate):
            said = settings.update(self.name, self.scenario, changes, event, config_id)
        else:
            told = settings.of_table(event, "arbitrage", ArbParams)
            said = settings.reopened(self.name, self.scenario, changes, told, config_id)
        self._put_in_force()
        return NOTHING if said is None else (said,)

    def _follow_reserves(self, row: PoolRow) -> bool:
        """Whether reserves follow this pool's trades, and have not yet followed the last one."""
        slot = row.reserve_slot
        return slot is not None and row.dex in CONSTANT_PRODUCT and row.trade_slot <= slot + FOLLOW_SLOTS

    def _answer(self, seq: int, event: TradeIntent | DecisionRecord | ExecutionResult) -> None:
        """What became of a wish."""
        if isinstance(event, TradeIntent):
            self.flights.said(seq, " ".join(event.resources.pools))
        elif isinstance(event, DecisionRecord):
            self.flights.decided(event)
        else:
            self.flights.executed(event)

    # looking

    def _look(self, seq: int, touched: PoolRow) -> Iterable[Event]:
        """Is there a trip through this pool's mint?"""
        row = self.rows.get(touched.base_mint)
        if row is None:
            row = self.rows[touched.base_mint] = MintRow(touched.base_mint, touched.pool_address, seq)
            forget_oldest(self.rows, self.params.max_rows)
        row.seq = seq
        if self.pools.gap_open:
            return self._say(row, ("suppress", "ARB_FEED_GAP", (("open_gaps", len(self.pools.state.gaps), 0),)))
        found = self._pair(row)
        if found[0] == "enter":
            return self._wish(row, found)
        has_pair = found[1] != "ARB_INSUFFICIENT_POOLS"
        if self.params.multi_hop_enabled and self.cycles.has_neighbours(row.mint):
            cycle = self._cycle(seq, row, touched)
            if cycle is None and not has_pair and row.code:
                return NOTHING
            if cycle is not None and (cycle[0] != "wait" or not has_pair):
                found = cycle
        return self._wish(row, found)

    def _pair(self, row: MintRow) -> "Found":
        params = self.params
        rivals = self.pools.by_mint.get(row.mint, [])
        if not params.two_hop_enabled or len(rivals) < 2:
            return ("wait", "ARB_INSUFFICIENT_POOLS", (("pools", len(rivals), 2),), None)
        gap = gap_bps(rivals) if params.screen_bps else None
        if gap is not None and gap < params.screen_bps:
            return ("wait", "ARB_ROUND_TRIP_UNPROFITABLE", (("gap_bps", gap, params.screen_bps),), None)
        found = best_pair(self.quoter, rivals, self.probe, params.max_leg_slot_delta)
        if not isinstance(found, Trip):
            return ("wait", *found, None)
        return self._judged(row, found, params.min_spread_bps, "ARB_TWO_HOP")

    def _cycle(self, seq: int, row: MintRow, touched: PoolRow) -> "Found | None":
        """None: it was searched a moment ago, or at about this price."""
        params = self.params
        if self.now.time < row.searched + params.multi_hop_cooldown_ms * MILLI or not self._moved(seq, touched):
            return None
        row.searched = self.now.time
        before = self.quoter.asked
        trip = self.cycles.best(row.mint, self.probe)
        if trip is None:
            asked = ("quotes", self.quoter.asked - before, params.multi_hop_max_quotes)
            return ("wait", "ARB_NO_CYCLE", (asked,), None)
        if params.max_leg_slot_delta and trip.slot_delta > params.max_leg_slot_delta:
            numbers = (("slot_delta", trip.slot_delta, params.max_leg_slot_delta),)
            return ("wait", "ARB_SLOT_DELTA_EXCEEDED", numbers, None)
        return self._judged(row, trip, params.multi_hop_min_profit_bps, "ARB_MULTI_HOP")

    def _moved(self, seq: int, pool: PoolRow) -> bool:
        """Whether the pool's price has moved far enough since cycles were searched; if so it is marked anew."""
        price, mark = price_of(pool), self.state.marks.get(pool.pool_address)
        if price is None:
            return mark is None
        base, quote = price
        if mark is not None:
            before, after = mark.quote * base, quote * mark.base
            if abs(after - before) * BPS < self.params.multi_hop_min_move_bps * before:
                return False
        self.state.marks[pool.pool_address] = Mark(seq, base, quote)
        forget_oldest(self.state.marks, MOST_MARKS)
        return True

    # judging

    def _judged(self, row: MintRow, trip: Trip, least: Bps, code: str) -> "Found":
        """The trip against the gates: at the probe first, then, if it may be wished, at its best size."""
        params, now = self.params, self.now.time
        refusal = self.gates.spread(trip, least)
        if refusal is not None:
            return ("wait", *refusal, None)
        spread = (("spread_bps", trip.spread_bps, least),)
        if trip.kind == "last_trade" and not params.trade_on_last_trade:
            return ("suppress", "ARB_LAST_TRADE_ONLY", spread, None)
        blind = [leg.row for leg in trip.legs if leg.row.dex == PUMP_AMM and not has_accounts(leg.row)]
        if params.require_pool_accounts and blind:
            told = ("accounts", len(blind[0].accounts), PUMP_AMM_ACCOUNTS)
            return ("suppress", "ARB_POOL_ACCOUNTS", (told,), None)
        if self.flights.holds(trip.path, now):
            return ("suppress", "ARB_IN_FLIGHT", spread, None)
        if now < row.until:
            return ("suppress", "ARB_COOLDOWN", spread, None)
        most = params.max_position_lamports
        if trip.kind == "last_trade":
            # the last trade's price holds for any size, so that only what is known to be there may be asked for
            most = min(most, known_liquidity(trip) or self.probe)
        trip = self.quoter.sized(trip, most, least)
        refusal = self.gates.profit(trip)
        if refusal is not None:
            return ("wait", *refusal, None)
        return ("enter", code, self._numbers(trip, least), trip)

    def _numbers(self, trip: Trip, least: Bps) -> tuple[Number, ...]:
        return (
            ("spread_bps", trip.spread_bps, least),
            ("profit_lamports", trip.gross - self.gates.cost, self.params.min_profit_lamports),
            ("trade_lamports", trip.amount_in, self.params.max_position_lamports),
            ("cost_lamports", self.gates.cost, None),
            ("slot_delta", trip.slot_delta, self.params.max_leg_slot_delta or None),
            ("legs", len(trip.legs), None),
        )

    def _wish(self, row: MintRow, found: "Found") -> Iterable[Event]:
        verdict, code, numbers, trip = found
        said = self._say(row, (verdict, code, numbers))
        if trip is None:
            return said
        now, params = self.now.time, self.params
        row.until = now + params.intent_cooldown_ms * MILLI
        self.flights.begin(trip.path, now, now + (params.intent_ttl_ms + params.in_flight_grace_ms) * MILLI)
        return (*said, self._intent(row, trip, code))

    def _intent(self, row: MintRow, trip: Trip, code: str) -> TradeIntent:
        """The wish, as the wire contract writes a cycle: SOL in, SOL out, one hop a leg."""
        params, profit = self.params, trip.gross - self.gates.cost
        first, last = trip.legs[0], trip.legs[-1]
        mint = self.known.mints.get(row.mint)
        program = mint.token_program if mint is not None else None
        return TradeIntent(
            source=self.name,
            tier="Arb",
            origin_type="StrategyA",
            required_capital=_lamports(trip.amount_in),
            resources=TradeResources(
                input_mint=SOL_MINT,
                output_mint=SOL_MINT,
                pools=tuple(leg.row.pool_address for leg in trip.legs),
                token_program=program if program in (TOKEN_PROGRAM, TOKEN_2022_PROGRAM) else None,
            ),
            expected_roi_bps=trip.spread_bps,
            max_slippage_bps=params.max_slippage_bps,
            side="Buy",
            regime="NotApplicable",
            ttl_ms=params.intent_ttl_ms,
            require_bundle=params.require_bundle,
            bundle_tip_lamports=params.bundle_tip_lamports if params.require_bundle else None,
            hint_compute_units=params.hint_compute_units,
            hint_priority_fee_micro_lamports=params.hint_priority_fee_micro_lamports,
            hint_urgency=1,
            metadata={
                "cross_dex_arb": "true",
                "reason_code": code,
                "buy_dex": first.row.dex,
                "buy_pool": first.row.pool_address,
                "sell_dex": last.row.dex,
                "sell_pool": last.row.pool_address,
                "mint": row.mint,
                "spread_bps": str(trip.spread_bps),
                "estimated_profit_lamports": str(profit),
                "expected_token_output": str(first.amount_out),
                "slot": str(self.now.slot),
                **({} if self.config_id is None else {"config_snapshot_id": self.config_id}),
            },
            execution=Execution(_lamports(self.gates.least_out(trip))),
            swap_path=tuple(
                SwapHop(leg.row.pool_address, leg.row.dex, leg.mint_in, leg.mint_out, leg.amount_out)
                for leg in trip.legs
            ),
            expected_value_lamports=profit,
        )

    def _say(self, row: MintRow, thought: Thought) -> tuple[Event, ...]:
        """The verdict, if it is another than the last one about this mint; every wish has one."""
        verdict, code, numbers = thought
        if row.verdict == verdict and row.code == code and verdict != "enter":
            return NOTHING
        row.verdict, row.code = verdict, code
        measures = tuple(Measure(*number) for number in numbers)
        return (Verdict(self.name, row.mint, row.pool, verdict, code, "NotApplicable", self.now.slot, measures),)


Found = tuple[str, str, tuple[Number, ...], Trip | None]
"""Verdict, code, numbers, and the trip to wish."""


def _lamports(raw: int) -> ExplicitAmount:
    return ExplicitAmount(raw, 9, decimal_text(raw, 9))
