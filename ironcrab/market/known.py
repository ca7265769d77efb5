"""What deciders may read: one object per run, built by whoever wires it, read-only for them."""

from ironcrab.loop import Now, Reducer
from ironcrab.market.flow import Flow
from ironcrab.market.mints import Mints
from ironcrab.market.pools import LivePoolCache
from ironcrab.market.quotes import QuoteCalculator


class Known:
    """Everything that is known, behind one name.

    Attributes:
        now: highest time and slot folded so far.
        mints: what is known of mints.
        pools: what is known of pools.
        flow: the trades of every pool.
        quotes: what a pool would pay; reads pools and mints.
        reducers: the reducers among them in folding order.
    """

    def __init__(self, now: Now, mints: Mints, pools: LivePoolCache, flow: Flow) -> None:
        self.now = now
        self.mints = mints
        self.pools = pools
        self.flow = flow
        self.quotes = QuoteCalculator(pools, mints)
        self.reducers: tuple[Reducer, ...] = (mints, pools, flow)

    @classmethod
    def fresh(cls, now: Now) -> "Known":
        """Nothing known yet; `now` is the clock that the loop advances."""
        return cls(now, Mints(now), LivePoolCache(now), Flow(now))

    def keep(self, names: tuple[str, ...]) -> tuple[Reducer, ...]:
        """The reducers of these names, in folding order; what is left out refuses to be read."""
        for reducer in self.reducers:
            if reducer.name not in names:
                setattr(self, reducer.name, LeftOut(reducer.name))
        self.reducers = tuple(reducer for reducer in self.reducers if reducer.name in names)
        return self.reducers


class LeftOut:
    """Stands for a reducer that this run does not fold, because no decider names it in its `reads`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, attribute: str) -> object:
        raise AttributeError(f"{self.name}.{attribute}: name {self.name} in the `reads` of the strategy that uses it")
