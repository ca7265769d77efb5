"""The paper outlet: answers asks from the recorded market, deterministically, and never reaches the world.

A simulation and a sending are answered at once, that is at the next world record. The fill is taken `latency_slots`
later, at the price of the last trade on the same pool that was recorded up to then: an answer due in slot L is taken
just before the first record of a slot above L, in the order (due, ask seq, ordinal). At the end of the source open
asks stay open. All it knows follows from the records it saw: show them again and it stands where it stood.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from ironcrab.domain.ask import ConfirmAnswer, Plan, SendAnswer, SendAsk, SimulateAnswer, SimulateAsk
from ironcrab.domain.control import ForkOrphaned
from ironcrab.domain.event import Event
from ironcrab.domain.market import MARKET, ExplicitAmount, Trade
from ironcrab.domain.trade import ResultFees
from ironcrab.domain.units import BPS, SOL_MINT, USDC_MINT, USDT_MINT, floor_div
from ironcrab.loop import Record

QUOTE_DECIMALS = {SOL_MINT: 9, USDC_MINT: 6, USDT_MINT: 6}
"""Decimals of the mints a trade is paid in (their mints never change)."""
SIGNATURE_LAMPORTS = 5_000
MOST_POOLS = 262_144
"""Pools whose last trade is remembered at most; beyond it the one that traded longest ago is forgotten."""

NO_TRADE = "PAPER_NO_TRADE"
BELOW_MIN_OUT = "PAPER_BELOW_MIN_OUT"


class PaperParams(Struct, frozen=True, kw_only=True):
    """How the paper world fills."""

    fee_bps: Annotated[int, Meta(ge=0, le=10_000, description="taken off the amount in", extra={"unit": "bps"})] = 100
    slippage_bps: Annotated[
        int, Meta(ge=0, le=10_000, description="taken off the amount out", extra={"unit": "bps"})
    ] = 50
    latency_slots: Annotated[
        int, Meta(ge=0, le=10_000, description="from the ask to the fill", extra={"unit": "slots"})
    ] = 2
    compute_units_consumed: Annotated[
        int, Meta(ge=0, le=1_400_000, description="told by every simulation", extra={"unit": "cu"})
    ] = 150_000


class Open(Struct, frozen=True, gc=False):
    """An answer that is owed: to which ask, which kind, due above which slot (None: at once)."""

    kind: type[Event]
    ask: int
    plan: Plan
    asked_ms: int
    due: int | None


class Paper:
    """See the module. Args: how it fills."""

    asks: tuple[type[Event], ...] = (SimulateAsk, SendAsk)
    fields: Mapping[type[Event], tuple[str, ...]] = {
        **dict.fromkeys(MARKET, ()),
        Trade: ("pool_address", "mint", "quote_mint", "sol_amount", "token_amount", "token_decimals", "slot"),
    }

    def __init__(self, params: PaperParams) -> None:
        self.params = params
        self.slot = 0
        self.trades: dict[str, Trade] = {}
        self.open: dict[tuple[int, int, int], Open] = {}

    def see(self, record: Record) -> None:
        """Take note of a record: trades set prices, asks are taken on, answers end what was owed."""
        event: Any = record.event
        slot = getattr(event, "slot", None)
        if record.cause is None and slot is not None and slot > self.slot:
            self.slot = slot
        kind = type(event)
        if kind is Trade:
            self._traded(event)
        elif kind is SimulateAsk:
            self._owe(Open(SimulateAnswer, record.seq, event.plan, record.time // 1_000_000, None), 0)
        elif kind is SendAsk:
            asked = record.time // 1_000_000
            self._owe(Open(SendAnswer, record.seq, event.plan, asked, None), 0)
            self._owe(Open(ConfirmAnswer, record.seq, event.plan, asked, self.slot + self.params.latency_slots), 1)
        elif kind in (SimulateAnswer, SendAnswer, ConfirmAnswer):
            self._answered(event.ask, event.ordinal)
        elif kind is ForkOrphaned:
            self._orphaned(event.orphaned_slot)

    @property
    def is_due(self) -> bool:
        """Whether an answer is owed at once."""
        return bool(self.open) and any(owed.due is None for owed in self.open.values())

    def due(self, slot: int | None) -> Iterator[Event]:
        """Answers to take before the first record of `slot`; None: only those that are owed at once."""
        while self.open:
            ready = [
                key for key, owed in self.open.items() if owed.due is None or (slot is not None and slot > owed.due)
            ]
            if not ready:
                return
            key = min(ready)
            yield self._answer(self.open.pop(key))

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

    def _answer(self, owed: Open) -> Event:
        if owed.kind is SimulateAnswer:
            return self._simulate(owed)
        if owed.kind is SendAnswer:
            return SendAnswer(ask=owed.ask, ok=True, sent_at_ms=owed.asked_ms, method="paper", slot=self.slot)
        return self._confirm(owed)

    def _simulate(self, owed: Open) -> SimulateAnswer:
        """The fill as it would be now."""
        out = self._amount_out(owed.plan)
        error = None
        if out is None:
            error = f"{NO_TRADE}: no trade recorded on pool {owed.plan.pool_address}"
        elif out < owed.plan.min_out:
            error = f"{BELOW_MIN_OUT}: amount_out={out} min_out={owed.plan.min_out}"
        used = min(self.params.compute_units_consumed, owed.plan.compute_units)
        return SimulateAnswer(owed.ask, error is None, error, None, used, out)

    def _confirm(self, owed: Open) -> ConfirmAnswer:
        """The fill in the due slot; a failed transaction still pays its fees."""
        plan, slot = owed.plan, owed.due
        used = min(self.params.compute_units_consumed, plan.compute_units)
        network = SIGNATURE_LAMPORTS + floor_div(plan.priority_fee_micro_lamports * plan.compute_units, 1_000_000)
        out, trade = self._amount_out(plan), self.trades.get(plan.pool_address)
        if out is None or trade is None or out < plan.min_out:
            code = NO_TRADE if out is None else f"{BELOW_MIN_OUT}: amount_out={out} min_out={plan.min_out}"
            # the tip is an instruction of the failed transaction: it was not paid
            fees = ResultFees(network, 0, used)
            return ConfirmAnswer(
                ask=owed.ask,
                status="failed",
                slot=slot,
                fees=fees,
                wallet_sol_delta_lamports=-network,
                error_code=code,
                ordinal=1,
            )
        delta = -network - plan.tip_lamports
        delta -= plan.amount_in if plan.input_mint == SOL_MINT else 0
        delta += out if plan.output_mint == SOL_MINT else 0
        return ConfirmAnswer(
            ask=owed.ask,
            status="confirmed",
            slot=slot,
            fill_in=ExplicitAmount(plan.amount_in, _decimals(trade, plan.input_mint)),
            fill_out=ExplicitAmount(out, _decimals(trade, plan.output_mint)),
            fees=ResultFees(network, plan.tip_lamports, used),
            wallet_sol_delta_lamports=delta,
            ordinal=1,
        )

    def _amount_out(self, plan: Plan) -> int | None:
        """Raw units out at the last trade's price, fee and slippage off, floored; None: no price."""
        trade = self.trades.get(plan.pool_address)
        if trade is None:
            return None
        if (plan.input_mint, plan.output_mint) == (trade.quote_mint, trade.mint):
            top, bottom = trade.token_amount, trade.sol_amount
        elif (plan.input_mint, plan.output_mint) == (trade.mint, trade.quote_mint):
            top, bottom = trade.sol_amount, trade.token_amount
        else:
            return None
        net = floor_div(plan.amount_in * (BPS - self.params.fee_bps), BPS)
        out = floor_div(floor_div(net * top, bottom) * (BPS - self.params.slippage_bps), BPS)
        return out if out < 2**64 else None


def _decimals(trade: Trade, mint: str) -> int:
    return trade.token_decimals if mint == trade.mint else QUOTE_DECIMALS[mint]
