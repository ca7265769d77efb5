"""The benchmark's strategy: an EMA 10/20 cross on every pool, an intent of at most 20 a pool. Integers only."""

from msgspec import Struct, field

from ironcrab.domain.market import ExplicitAmount, Trade
from ironcrab.domain.trade import TradeIntent, TradeResources

SCALE = 1_000_000


class Params(Struct, frozen=True):
    """None: the workload is fixed."""


class State(Struct):
    """By pool: fast and slow average (scaled prices), whether fast was above, intents said."""

    pools: dict[str, list[int]] = field(default_factory=dict)


class EmaCross:
    """Says an intent at a cross."""

    Params = Params
    name = "ema-cross"
    wants = (Trade,)
    reads = ()
    fields = {Trade: ("pool_address", "mint", "quote_mint", "sol_amount", "token_amount")}

    def __init__(self, params, known):
        self.state = State()

    def step(self, seq, event):
        price = event.sol_amount * SCALE // event.token_amount
        row = self.state.pools.get(event.pool_address)
        if row is None:
            self.state.pools[event.pool_address] = [price, price, 0, 0]
            return ()
        row[0] += (price - row[0]) * 2 // 11
        row[1] += (price - row[1]) * 2 // 21
        above = row[0] > row[1]
        if above == row[2]:
            return ()
        row[2] = above
        if row[3] >= 20 or not above:
            return ()
        row[3] += 1
        resources = TradeResources(event.quote_mint, event.mint, (event.pool_address,))
        return (
            TradeIntent(
                self.name, "Tier1", "StrategyA", ExplicitAmount(1_000_000, 9), resources, 0, 100, "Buy", "NotApplicable"
            ),
        )
