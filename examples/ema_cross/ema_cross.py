"""EMA cross: buys a mint when the fast average of its price crosses above the slow one, sells when it crosses back."""

from msgspec import Struct

from ironcrab.domain.market import Trade
from ironcrab.domain.trade import ExecutionResult
from ironcrab.domain.units import SOL_MINT
from ironcrab.strategy.wish import buy, sell


class Params(Struct, frozen=True):
    lamports: int = 100_000_000
    fast: int = 20
    slow: int = 100
    slippage_bps: int = 50


class State(Struct):
    averages: dict[str, tuple[float, float]] = {}
    held: dict[str, int] = {}


class EmaCross:
    name, Params, wants = "ema-cross", Params, (Trade, ExecutionResult)

    def __init__(self, params, known):
        self.params, self.state = params, State()

    def step(self, seq, event):
        params, averages, held = self.params, self.state.averages, self.state.held
        if isinstance(event, ExecutionResult):
            if event.source == self.name and event.status == "confirmed":
                held[event.token_mint] = event.fill_out.raw if event.metadata["side"] == "BUY" else 0
            return
        if event.quote_mint != SOL_MINT or not event.sol_amount * event.token_amount:
            return
        price = event.sol_amount / event.token_amount
        fast, slow = averages.get(event.pool_address, (price, price))
        was_above = fast > slow
        fast, slow = fast + (price - fast) * 2 / (params.fast + 1), slow + (price - slow) * 2 / (params.slow + 1)
        averages[event.pool_address] = (fast, slow)
        if fast > slow and not was_above and not held.get(event.mint):
            yield buy(self.name, event, params.lamports, params.slippage_bps)
        elif fast <= slow and was_above and held.get(event.mint):
            yield sell(self.name, event, held[event.mint], params.slippage_bps)
