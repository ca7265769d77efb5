"""A strategy that wants something every few slots, whatever the market does: for tests of what comes after a wish."""

from typing import Annotated

from msgspec import Meta, Struct

from ironcrab.domain.market import ExplicitAmount, PoolCreated, SlotUpdate
from ironcrab.domain.trade import Execution, TradeIntent, TradeResources, Verdict
from ironcrab.domain.units import SOL_MINT

LEAST = 1_000_000


class WisherParams(Struct, frozen=True):
    """How often."""

    every_slots: Annotated[
        int, Meta(ge=1, le=1_000, description="slots between two wishes", extra={"unit": "slots"})
    ] = 10
    most: Annotated[int, Meta(ge=0, le=10_000, description="wishes in all", extra={"unit": "count"})] = 1_000


class WisherState(Struct):
    """The pool it knows, and how many wishes it had, the last one in which slot."""

    pool: str = ""
    mint: str = ""
    creator: str = ""
    count: int = 0
    slot: int = 0


class Wisher:
    """Buys a little more each time, so that every wish has an amount of its own."""

    name = "wisher"
    wants = (PoolCreated, SlotUpdate)
    Params = WisherParams

    def __init__(self, params, known):
        self.params = params
        self.state = WisherState()

    def step(self, seq, event):
        """A pool is noted; a processed slot may bring a wish."""
        state = self.state
        if isinstance(event, PoolCreated):
            if not state.pool:
                state.pool, state.mint, state.creator = event.pool_address, event.base_mint, event.creator or ""
            return ()
        due = state.slot + self.params.every_slots
        if not state.pool or event.status != "processed" or event.slot < due or state.count >= self.params.most:
            return ()
        state.count += 1
        state.slot = event.slot
        intent = TradeIntent(
            source=self.name,
            tier="Tier1",
            origin_type="StrategyA",
            required_capital=ExplicitAmount(LEAST + state.count, 9),
            resources=TradeResources(SOL_MINT, state.mint, (state.pool,)),
            expected_roi_bps=50,
            max_slippage_bps=100,
            side="Buy",
            regime="Early",
            metadata={"dex": "pumpfun", "creator": state.creator},
            execution=Execution(ExplicitAmount(1, 6)),
        )
        verdict = Verdict(self.name, state.mint, state.pool, "enter", f"WISH_{state.count}", "Early", event.slot)
        return (verdict, intent)
