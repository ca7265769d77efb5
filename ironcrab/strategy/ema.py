"""EMA cross: the smallest strategy there is, for benchmarks and for learning the shape of one.

Every pool has a fast and a slow average of its price. When the fast one rises above the slow one, an intent to buy
is said, at most so many a pool.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated

from msgspec import Meta, Struct, field

from ironcrab.domain.event import Event
from ironcrab.domain.market import ExplicitAmount, Trade
from ironcrab.domain.trade import Execution, TradeIntent, TradeResources
from ironcrab.domain.units import BPS
from ironcrab.market.known import Known

SCALE = 1_000_000_000_000
"""Prices are raw quote units for so many raw units of the coin: digits enough to cross where exact averages do."""


class EmaParams(Struct, frozen=True, kw_only=True):
    """How the averages run and how much an intent is for."""

    fast: Annotated[int, Meta(ge=1, le=10_000, description="length of the fast average", extra={"unit": "trades"})] = 10
    slow: Annotated[int, Meta(ge=1, le=10_000, description="length of the slow average", extra={"unit": "trades"})] = 20
    most_orders: Annotated[
        int, Meta(ge=0, le=1_000_000, description="intents said on one pool at most", extra={"unit": "intents"})
    ] = 20
    order_lamports: Annotated[
        int, Meta(ge=1, le=10**15, description="what an intent spends", extra={"unit": "lamports"})
    ] = 1_000_000
    max_slippage_bps: Annotated[
        int, Meta(ge=0, le=10_000, description="slippage an intent allows", extra={"unit": "bps"})
    ] = 100
    pools: Annotated[
        tuple[str, ...], Meta(description="the only pools it looks at; none: all", extra={"unit": "addresses"})
    ] = ()


class Averages(Struct, gc=False):
    """Of one pool: both averages (scaled prices), whether the fast one was above, crosses seen, intents said."""

    fast: int
    slow: int
    is_above: bool = False
    crosses: int = 0
    orders: int = 0


class EmaState(Struct):
    """Averages by pool."""

    pools: dict[str, Averages] = field(default_factory=dict)


class EmaCross:
    """Says an intent to buy at a cross. `pools` tells a reader what need not be read (`wiring.pools_of`)."""

    Params = EmaParams
    name = "ema"
    wants: tuple[type[Event], ...] = (Trade,)
    reads: tuple[str, ...] = ()
    fields: Mapping[type[Event], tuple[str, ...]] = {
        Trade: ("pool_address", "mint", "quote_mint", "dex", "sol_amount", "token_amount", "token_decimals")
    }

    def __init__(self, params: EmaParams, _known: Known) -> None:
        self.params = params
        self.pools = params.pools
        self.only = dict.fromkeys(params.pools)
        self.state = EmaState()

    def step(self, _seq: int, event: Trade) -> Iterable[Event]:
        """Fold one trade. An average moves by 2 / (length + 1) of its distance, rounded down."""
        if not event.token_amount or not event.sol_amount or (self.only and event.pool_address not in self.only):
            return ()
        price = event.sol_amount * SCALE // event.token_amount
        row = self.state.pools.get(event.pool_address)
        if row is None:
            self.state.pools[event.pool_address] = Averages(price, price)
            return ()
        params = self.params
        row.fast += (price - row.fast) * 2 // (params.fast + 1)
        row.slow += (price - row.slow) * 2 // (params.slow + 1)
        is_above = row.fast > row.slow
        if is_above == row.is_above:
            return ()
        row.is_above = is_above
        row.crosses += 1
        if not is_above or row.orders >= params.most_orders:
            return ()
        row.orders += 1
        least = params.order_lamports * event.token_amount // event.sol_amount
        least = least * (BPS - params.max_slippage_bps) // BPS
        return (
            TradeIntent(
                source=self.name,
                tier="Tier1",
                origin_type="StrategyA",
                required_capital=ExplicitAmount(params.order_lamports, 9),
                resources=TradeResources(event.quote_mint, event.mint, (event.pool_address,)),
                expected_roi_bps=0,
                max_slippage_bps=params.max_slippage_bps,
                side="Buy",
                regime="NotApplicable",
                metadata={"dex": event.dex},
                execution=Execution(ExplicitAmount(max(1, least), event.token_decimals)),
            ),
        )
