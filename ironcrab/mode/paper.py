"""The paper outlet: answers asks from the recorded market, deterministically, and never reaches the world.

A simulation and a sending are answered at once, that is at the next world record: a simulation on the pool as it
stands then. The transaction lands some slots later (`landing`) and is filled by the pool as it was last recorded up to
the end of that slot: an answer due in slot L is taken just before the first record of a slot above L, in the order
(due, ask seq, ordinal). Below the least output it fails and still pays its fee; a lost one is told once it can no
longer land. At the end of the source open asks stay open.

Two ways to price (`fill`): `last_trade`, the ratio of the pool's newest trade less a fee, of any size; `venue`, the
program's own maths on the recorded accounts where they are known (`fills`), of which a PricedAnswer tells the basis.
Real programs, where they are given, stand before the maths.

All it knows follows from the records it saw: show them again and it stands where it stood.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from ironcrab.domain.ask import (
    ConfirmAnswer,
    Plan,
    PlanHop,
    PricedAnswer,
    SendAnswer,
    SendAsk,
    SimulateAnswer,
    SimulateAsk,
)
from ironcrab.domain.control import ForkOrphaned, RunStarted
from ironcrab.domain.event import Event
from ironcrab.domain.market import (
    MARKET,
    AccountWritten,
    ExplicitAmount,
    PriorityFeePercentiles,
    TokenMintInfo,
    Trade,
    WalletBalanceSnapshot,
)
from ironcrab.domain.trade import ResultFees
from ironcrab.domain.units import BPS, NATIVE_SOL, SOL_MINT, USDC_MINT, USDT_MINT, ceil_div, floor_div
from ironcrab.execution.housekeeping import VENUE
from ironcrab.loop import Record
from ironcrab.mode.fills import Fill, Fills, Impact, NoFill
from ironcrab.mode.landing import FEE_STEPS, Landing, Latency, by_fee, draw
from ironcrab.mode.purse import MONEY, Purse
from ironcrab.shell.programs import Programs

QUOTE_DECIMALS = {SOL_MINT: 9, USDC_MINT: 6, USDT_MINT: 6}
"""Decimals of the mints a trade is paid in (their mints never change)."""
SIGNATURE_LAMPORTS = 5_000
MOST_POOLS = 262_144
"""Pools whose last trade is remembered at most; beyond it the one that traded longest ago is forgotten."""

TELLING = (WalletBalanceSnapshot, AccountWritten, TokenMintInfo, RunStarted)
"""What tells of the wallet and of mints."""

USED: Mapping[type[Event], tuple[str, ...]] = {
    Trade: ("pool_address", "mint", "quote_mint", "sol_amount", "token_amount", "token_decimals", "slot"),
    WalletBalanceSnapshot: ("mint",),
    PriorityFeePercentiles: ("p25", "p50", "p75", "p90"),
}
"""What the outlet itself uses of market events."""
PURSE_USED: Mapping[type[Event], tuple[str, ...]] = {
    kind: kind.__struct_fields__ for kind in (WalletBalanceSnapshot, AccountWritten, TokenMintInfo)
}
"""What it uses beyond where it keeps the wallet."""

NO_TRADE = "PAPER_NO_TRADE"
BELOW_MIN_OUT = "PAPER_BELOW_MIN_OUT"
NO_DECIMALS = "PAPER_NO_DECIMALS"
POOL_TWICE = "PAPER_POOL_TWICE"
BASES = ("program", "exact", "executable", "last_trade")
"""What a fill may rest on, the surest first."""
NO_WALLET = "PAPER_WALLET: not kept, set paper.tell_wallet = true"
LOST = "PAPER_LOST"
EXPIRED = "PAPER_EXPIRED"


class PaperParams(Struct, frozen=True, kw_only=True):
    """How the paper world fills.

    Raises:
        ValueError: measured latency without quantiles, or by_fee without one latency a step.
    """

    fee_bps: Annotated[
        int, Meta(ge=0, le=10_000, description="last_trade: taken off the amount in", extra={"unit": "bps"})
    ] = 100
    slippage_bps: Annotated[
        int, Meta(ge=0, le=10_000, description="last_trade: taken off the amount out", extra={"unit": "bps"})
    ] = 50
    latency_slots: Annotated[
        int, Meta(ge=0, le=10_000, description="fixed: from the ask to the fill", extra={"unit": "slots"})
    ] = 2
    compute_units_consumed: Annotated[
        int, Meta(ge=0, le=1_400_000, description="told by every simulation", extra={"unit": "cu"})
    ] = 150_000
    fill: Annotated[
        Literal["last_trade", "venue"], Meta(description="priced by the newest trade, or by the venue's own maths")
    ] = "last_trade"
    impact: Annotated[
        Impact, Meta(description="venue: own trades move the pool none, until its next_state, or as an overlay")
    ] = "none"
    latency: Annotated[
        Latency, Meta(description="fixed, measured (drawn from quantiles) or by_fee (recorded fee percentiles)")
    ] = "fixed"
    latency_quantiles_slots: Annotated[
        tuple[int, ...], Meta(description="measured: equally likely latencies", extra={"unit": "slots"})
    ] = ()
    latency_by_fee_slots: Annotated[
        tuple[int, ...], Meta(description="by_fee: at or above p90, p75, p50, p25, and below", extra={"unit": "slots"})
    ] = (1, 1, 2, 3, 6)
    loss_bps: Annotated[
        int, Meta(ge=0, le=10_000, description="chance that a transaction never lands", extra={"unit": "bps"})
    ] = 0
    expiry_slots: Annotated[
        int, Meta(ge=1, le=10_000, description="what has not landed by then never does", extra={"unit": "slots"})
    ] = 150
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1, description="of every draw")] = 0
    token_account_rent_lamports: Annotated[
        int, Meta(ge=0, le=10**10, description="paid with the first buy of a mint", extra={"unit": "lamports"})
    ] = 0
    tell_wallet: Annotated[
        bool, Meta(description="keep the wallet: housekeepers act on it, each landing tells its balances and accounts")
    ] = False

    def __post_init__(self) -> None:
        if self.latency == "measured" and not self.latency_quantiles_slots:
            raise ValueError("latency measured needs latency_quantiles_slots, a list of slots")
        if len(self.latency_by_fee_slots) != FEE_STEPS:
            raise ValueError(f"latency_by_fee_slots needs {FEE_STEPS} latencies")
        if any(not 0 <= slots <= 10_000 for slots in (*self.latency_quantiles_slots, *self.latency_by_fee_slots)):
            raise ValueError("a latency lies between 0 and 10,000 slots")


class Open(Struct, frozen=True, gc=False):
    """An answer that is owed: to which ask, which kind, due above which slot (None: at once); why it is lost."""

    kind: type[Event]
    ask: int
    plan: Plan
    asked_ms: int
    due: int | None
    lost: str | None = None


class Paper:
    """See the module. Args: how it fills; real programs, None: none are at hand.

    `unrun` counts the fills that no program executed by (venue, why).
    """

    asks: tuple[type[Event], ...] = (SimulateAsk, SendAsk)

    def __init__(self, params: PaperParams, programs: Programs | None = None) -> None:
        self.params = params
        self.unrun: dict[tuple[str, str], int] = {}
        self.slot = 0
        self.trades: dict[str, Trade] = {}
        self.open: dict[tuple[int, int, int], Open] = {}
        self.plans: dict[int, Plan] = {}
        self.sent: dict[str, int] = {}
        self.held: dict[str, None] = {}
        self.percentiles: PriorityFeePercentiles | None = None
        self.purse = Purse(params.token_account_rent_lamports) if params.tell_wallet else None
        self.told: list[Event] = []
        self.fills = Fills(params.impact, programs) if params.fill == "venue" else None
        folded = () if self.fills is None else self.fills.wants
        used = USED if self.purse is None else {**USED, **PURSE_USED}
        self.fields: Mapping[type[Event], tuple[str, ...]] = {
            kind: used.get(kind, ()) for kind in MARKET if kind not in folded
        }

    def see(self, record: Record) -> None:
        """Take note of a record: trades set prices, asks are taken on, answers end what was owed."""
        event: Any = record.event
        slot = getattr(event, "slot", None)
        if record.cause is None and slot is not None and slot > self.slot:
            self.slot = slot
            self.sent.clear()
        kind = type(event)
        if kind is ConfirmAnswer:
            self._landed(event)
        if self.fills is not None:
            self.fills.see(record)
        if kind is Trade:
            self._traded(event)
        elif kind is SimulateAsk:
            self._owe(Open(SimulateAnswer, record.seq, event.plan, record.time // 1_000_000, None), 0)
        elif kind is SendAsk:
            self._sent(record.seq, event.plan, record.time // 1_000_000)
        elif kind in (SimulateAnswer, SendAnswer, PricedAnswer, ConfirmAnswer):
            self._answered(event.ask, event.ordinal)
        elif kind is ForkOrphaned:
            self._orphaned(event.orphaned_slot)
        elif kind is PriorityFeePercentiles:
            self.percentiles = event
        elif kind in TELLING:
            self._told(event)

    @property
    def is_due(self) -> bool:
        """Whether an answer is owed at once."""
        return bool(self.told) or any(owed.due is None for owed in self.open.values())

    def due(self, slot: int | None) -> Iterator[Event]:
        """Answers to take before the first record of `slot`; None: only those that are owed at once."""
        while self.open or self.told:
            if self.told:
                yield self.told.pop(0)
                continue
            ready = [
                key for key, owed in self.open.items() if owed.due is None or (slot is not None and slot > owed.due)
            ]
            if not ready:
                return
            key = min(ready)
            owed = self.open.pop(key)
            if owed.due is not None and self.fills is not None:
                self.fills.slot_ended(owed.due)
            yield self._answer(owed, key[2])

    def _sent(self, ask: int, plan: Plan, asked_ms: int) -> None:
        """Owe all answers to a sending: left at once, priced and ended where it lands."""
        landing = self._landing(plan)
        due, ordinal = self.slot + landing.slots, 1
        self.plans[ask] = plan
        self._owe(Open(SendAnswer, ask, plan, asked_ms, None), 0)
        if self.fills is not None and landing.lost is None:
            self._owe(Open(PricedAnswer, ask, plan, asked_ms, due), ordinal)
            ordinal = 2
        self._owe(Open(ConfirmAnswer, ask, plan, asked_ms, due, landing.lost), ordinal)

    def _landing(self, plan: Plan) -> Landing:
        """When this transaction lands, or that it never does."""
        params, pool = self.params, plan.pool_address
        place = self.sent[pool] = self.sent.get(pool, -1) + 1
        sent = f"{self.slot} {pool} {place}"
        if draw(params.seed, sent, 0, BPS) < params.loss_bps:
            return Landing(params.expiry_slots, LOST)
        slots = params.latency_slots
        if params.latency == "measured":
            told = params.latency_quantiles_slots
            slots = told[draw(params.seed, sent, 1, len(told))]
        elif params.latency == "by_fee" and self.percentiles is not None:
            slots = by_fee(params.latency_by_fee_slots, plan.priority_fee_micro_lamports, self.percentiles)
        return Landing(params.expiry_slots, EXPIRED) if slots > params.expiry_slots else Landing(slots)

    def _landed(self, answer: ConfirmAnswer) -> None:
        """An own swap ended: its account exists, and the pool moves as the scenario says."""
        plan = self.plans.pop(answer.ask, None)
        if plan is not None and self.purse is not None:
            self.told += self.purse.landed(plan, answer)
        if plan is None or plan.dex == VENUE or answer.status != "confirmed" or answer.slot is None:
            return
        self._holds(plan.output_mint)
        if self.fills is not None:
            self.fills.slot_ended(answer.slot)
            legs: tuple[Plan | PlanHop, ...] = plan.hops or (plan,)
            for leg in legs:
                self.fills.filled(leg)

    def _told(self, event: Any) -> None:
        """Something of the wallet or of a mint was told; by ourselves: it is owed no more."""
        if event in self.told:
            self.told.remove(event)
        if self.purse is not None:
            self.purse.see(event)
        if type(event) is WalletBalanceSnapshot and event.mint not in (NATIVE_SOL, SOL_MINT):
            self._holds(event.mint)

    def _holds(self, mint: str) -> None:
        """The wallet has an account of this mint."""
        self.held[mint] = None
        if len(self.held) > MOST_POOLS:
            del self.held[next(iter(self.held))]

    def _owe(self, owed: Open, ordinal: int) -> None:
        self.open[(-1 if owed.due is None else owed.due, owed.ask, ordinal)] = owed

    def _answered(self, ask: int, ordinal: int) -> None:
        for key in [key for key in self.open if key[1:] == (ask, ordinal)]:
            del self.open[key]

    def _traded(self, trade: Trade) -> None:
        if not trade.sol_amount or not trade.token_amount or trade.quote_mint not in QUOTE_DECIMALS:
            return
        self.trades.pop(trade.pool_address, None)
        self.trades[trade.pool_address] = trade
        if len(self.trades) > MOST_POOLS:
            del self.trades[next(iter(self.trades))]

    def _orphaned(self, slot: int) -> None:
        """Trades of an orphaned slot did not happen: the price of such a pool is unknown until it trades again."""
        for pool in [pool for pool, trade in self.trades.items() if trade.slot == slot]:
            del self.trades[pool]

    def _answer(self, owed: Open, ordinal: int) -> Event:
        if owed.kind is SimulateAnswer:
            return self._simulate(owed)
        if owed.kind is SendAnswer:
            return SendAnswer(ask=owed.ask, ok=True, sent_at_ms=owed.asked_ms, method="paper", slot=self.slot)
        if owed.lost is not None:
            return ConfirmAnswer(ask=owed.ask, status="timeout", error_code=owed.lost, ordinal=ordinal)
        fill = self._fill(owed.plan)
        if owed.kind is PricedAnswer:
            if isinstance(fill, NoFill):
                return PricedAnswer(owed.ask, fill.error.partition(":")[0], ordinal=ordinal)
            for key in fill.unrun:
                self.unrun[key] = self.unrun.get(key, 0) + 1
            return PricedAnswer(owed.ask, fill.basis, fill.seq, fill.slot, fill.amount_out, ordinal)
        return self._confirm(owed, fill, ordinal)

    def _simulate(self, owed: Open) -> SimulateAnswer:
        """The fill as it would be now."""
        fill, plan = self._fill(owed.plan), owed.plan
        used = min(self.params.compute_units_consumed, plan.compute_units)
        if isinstance(fill, NoFill):
            why = f"{NO_TRADE}: no trade recorded on pool {plan.pool_address}" if self.fills is None else fill.error
            return SimulateAnswer(owed.ask, False, why, None, used, None)
        # decisions by a program that pays as quoted are then those by the quote, to the byte
        basis = "exact" if fill.basis == "program" else fill.basis
        told = None if self.fills is None else f"{basis}, as of slot {fill.slot}"
        error = _below(fill, plan) if fill.amount_out < plan.min_out else None
        delta = _sol_delta(plan, fill, _network(plan) + plan.tip_lamports + self._rent(plan))
        return SimulateAnswer(
            owed.ask, error is None, error, told, used, fill.amount_out, wallet_sol_delta_lamports=delta
        )

    def _confirm(self, owed: Open, fill: Fill | NoFill, ordinal: int) -> ConfirmAnswer:
        """The fill in the due slot; a failed transaction still pays its fees."""
        plan, slot = owed.plan, owed.due
        used = min(self.params.compute_units_consumed, plan.compute_units)
        network = _network(plan)
        paid, got = self._decimals(plan, plan.input_mint), self._decimals(plan, plan.output_mint)
        error = None
        if isinstance(fill, NoFill):
            error = fill.error
        elif fill.amount_out < plan.min_out:
            error = _below(fill, plan)
        elif paid is None or got is None:
            error = NO_DECIMALS
        if error is not None or isinstance(fill, NoFill) or paid is None or got is None:
            # the tip is an instruction of the failed transaction: it was not paid
            return ConfirmAnswer(
                ask=owed.ask,
                status="failed",
                slot=slot,
                fees=ResultFees(network, 0, used),
                wallet_sol_delta_lamports=-network,
                error_code=error,
                ordinal=ordinal,
            )
        return ConfirmAnswer(
            ask=owed.ask,
            status="confirmed",
            slot=slot,
            fill_in=ExplicitAmount(fill.amount_in, paid),
            fill_out=ExplicitAmount(fill.amount_out, got),
            fees=ResultFees(network, plan.tip_lamports, used),
            wallet_sol_delta_lamports=_sol_delta(plan, fill, network + plan.tip_lamports + self._rent(plan)),
            ordinal=ordinal,
        )

    def _rent(self, plan: Plan) -> int:
        """What the first buy of a mint pays for the account that holds it."""
        is_new = plan.dex != VENUE and plan.output_mint != SOL_MINT and plan.output_mint not in self.held
        return self.params.token_account_rent_lamports if is_new else 0

    def _fill(self, plan: Plan) -> Fill | NoFill:
        """What the whole plan takes and pays now, on its weakest basis; 0: a leg before the last pays too little."""
        if plan.dex == VENUE:
            return NoFill(NO_WALLET) if self.purse is None else self.purse.fill(plan, self.slot)
        fills: list[Fill] = []
        legs: tuple[Plan | PlanHop, ...] = plan.hops or (plan,)
        if self.fills is not None and len({leg.pool_address: None for leg in legs}) < len(legs):
            return NoFill(POOL_TWICE)
        for place, leg in enumerate(legs):
            fill = self._leg(leg)
            if isinstance(fill, NoFill):
                return fill
            fills.append(fill)
            # the last leg's least output is the plan's, which the caller judges
            if fill.amount_out < leg.min_out and place < len(legs) - 1:
                fills.append(Fill(0, 0, fill.basis, fill.seq, fill.slot))
                break
        if len(fills) == 1:
            return fills[0]
        weakest = max(fills, key=lambda fill: BASES.index(fill.basis))
        newest = max(fills, key=lambda fill: fill.seq)
        unrun = tuple(key for fill in fills for key in fill.unrun)
        return Fill(fills[0].amount_in, fills[-1].amount_out, weakest.basis, newest.seq, newest.slot, unrun)

    def _leg(self, leg: Plan | PlanHop) -> Fill | NoFill:
        """What one pool takes and pays as it stands."""
        if self.fills is not None:
            return self.fills.fill(leg)
        return self._at_last_price(leg)

    def _at_last_price(self, leg: Plan | PlanHop) -> Fill | NoFill:
        """Raw units out at the last trade's price, fee and slippage off, floored."""
        trade = self.trades.get(leg.pool_address)
        if trade is None:
            return NoFill(NO_TRADE)
        if (leg.input_mint, leg.output_mint) == (trade.quote_mint, trade.mint):
            top, bottom = trade.token_amount, trade.sol_amount
        elif (leg.input_mint, leg.output_mint) == (trade.mint, trade.quote_mint):
            top, bottom = trade.sol_amount, trade.token_amount
        else:
            return NoFill(NO_TRADE)
        net = floor_div(leg.amount_in * (BPS - self.params.fee_bps), BPS)
        out = floor_div(floor_div(net * top, bottom) * (BPS - self.params.slippage_bps), BPS)
        return Fill(leg.amount_in, out, "last_trade", 0, trade.slot or 0) if out < 2**64 else NoFill(NO_TRADE)

    def _decimals(self, plan: Plan, mint: str) -> int | None:
        """Decimals of a mint: those that never change, else as told by the mint, else by the pool's newest trade."""
        trade = self.trades.get(plan.pool_address)
        if trade is not None and mint == trade.mint and self.fills is None:
            return trade.token_decimals
        if plan.dex == VENUE:
            return None if self.purse is None else self.purse.decimals(mint)
        told = QUOTE_DECIMALS.get(mint)
        if told is None and self.fills is not None:
            told = self.fills.decimals(mint)
        if told is None and trade is not None and mint == trade.mint:
            told = trade.token_decimals
        return told


def _below(fill: Fill, plan: Plan) -> str:
    return f"{BELOW_MIN_OUT}: amount_out={fill.amount_out} min_out={plan.min_out}"


def _network(plan: Plan) -> int:
    """Lamports for signature and priority fee."""
    rounded = ceil_div if plan.calls else floor_div
    return SIGNATURE_LAMPORTS + rounded(plan.priority_fee_micro_lamports * plan.compute_units, 1_000_000)


def _sol_delta(plan: Plan, fill: Fill, cost: int) -> int:
    """By how much the fill changes the wallet's SOL, native and wrapped."""
    delta = -cost - (fill.amount_in if plan.input_mint in MONEY else 0)
    return delta + (fill.amount_out if plan.output_mint in MONEY else 0)
