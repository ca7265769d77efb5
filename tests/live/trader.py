"""A strategy that buys once what a pool gives, and sells all of it: for tests of the whole road to the chain."""

from typing import Annotated

from msgspec import Meta, Struct

from ironcrab.domain.market import ExplicitAmount, SlotUpdate
from ironcrab.domain.trade import Execution, ExecutionResult, TradeIntent, TradeResources, Verdict
from ironcrab.domain.units import SOL_MINT


class TraderParams(Struct, frozen=True):
    """What is traded, and for how much."""

    pool: Annotated[str, Meta(description="the pool", extra={"unit": "key"})] = ""
    mint: Annotated[str, Meta(description="its coin", extra={"unit": "key"})] = ""
    dex: Annotated[str, Meta(description="its venue", extra={"unit": "word"})] = ""
    lamports: Annotated[int, Meta(ge=1, le=10**12, description="spent", extra={"unit": "lamports"})] = 10**7


class TraderState(Struct):
    """How many wishes it had: the buy, then the sell."""

    wishes: int = 0


class Trader:
    """Buys as soon as the pool can be quoted exactly; sells what it got."""

    name = "trader"
    wants = (SlotUpdate, ExecutionResult)
    Params = TraderParams

    def __init__(self, params, known):
        self.params = params
        self.known = known
        self.state = TraderState()

    def step(self, seq, event):
        """A processed slot may bring the buy; the buy's end brings the sell."""
        state, told = self.state, self.params
        if isinstance(event, ExecutionResult):
            if state.wishes == 1 and event.status == "confirmed":
                return self._wish("Sell", event.fill_out.raw, 6, (told.mint, SOL_MINT))
            return ()
        pools = self.known.pools
        if state.wishes or event.status != "processed" or told.pool not in pools.rows:
            return ()
        if pools.accounts.lacks(told.pool, SOL_MINT):
            return ()
        return self._wish("Buy", told.lamports, 9, (SOL_MINT, told.mint))

    def _wish(self, side, raw, decimals, mints):
        told = self.params
        self.state.wishes += 1
        intent = TradeIntent(
            source=self.name,
            tier="Tier1",
            origin_type="StrategyA",
            required_capital=ExplicitAmount(raw, decimals),
            resources=TradeResources(*mints, (told.pool,)),
            expected_roi_bps=50,
            max_slippage_bps=100,
            side=side,
            regime="Early",
            metadata={"dex": told.dex},
            execution=Execution(ExplicitAmount(1, 15 - decimals)),
        )
        action = "enter" if side == "Buy" else "exit"
        return (Verdict(self.name, told.mint, told.pool, action, f"REAL_{side.upper()}", "Early"), intent)
