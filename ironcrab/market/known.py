"""What deciders may read: one object per run, built by whoever wires it, read-only for them."""

from ironcrab.loop import Now, Reducer
from ironcrab.market.flow import Flow
from ironcrab.market.mints import Mints
from ironcrab.market.pools import LivePoolCache
from ironcrab.market.quotes import QuoteCalculator
from ironcrab.market.slippage import Slippage


class Known:
    """Everything that is known, behind one name.

    Attributes:
        now: highest time and slot folded so far.
        mints: what is known of mints.
        pools: what is known of pools.
        flow: the trades of every pool.
        quotes: what a pool would pay; reads pools and mints.
        slippage: by how much own fills fell short of their quotes.
        reducers: the reducers among them in folding order.
    """

    def __init__(self, now: Now, mints: Mints, pools: LivePoolCache, flow: Flow) -> None:
        self.now = now
        self.mints = mints
        self.pools = pools
        self.flow = flow
        self.quotes = QuoteCalculator(pools, mints)
        self.slippage = Slippage(now, pools)
        self.reducers: tuple[Reducer, ...] = (mints, pools, flow, self.slippage)

    @classmethod
    def fresh(cls, now: Now) -> "Known":
        """Nothing known yet; `now` is the clock that the loop advances."""
        return cls(now, Mints(now), LivePoolCache(now), Flow(now))
