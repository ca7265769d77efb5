"""Windows over a pool's flow: counters that follow the trades instead of counting them again.

A window holds the ticks whose slot is at least `oldest`. It numbers ticks by `FlowRow.dropped`, so it survives
trims, and starts anew when ticks it held were dropped or rewritten. Its counters always equal a count over
`FlowRow.ticks`, so they are a cache and no state: after a restore they are simply built again.
"""

from heapq import nlargest

from ironcrab.market.flow import FlowRow, Tick, dearest
from ironcrab.market.price import Price


class Sums:
    """Counts and volumes of a window.

    Attributes:
        trades: ticks in it.
        buys: those that bought.
        bought: raw quote units that came in.
        sold: raw quote units that went out.
    """

    __slots__ = ("bought", "buys", "edition", "high", "low", "sold", "trades")

    def __init__(self) -> None:
        self.clear(0, 0)

    def clear(self, edition: int, start: int) -> None:
        """Empty it; the next tick to come in is number `start`."""
        self.edition = edition
        self.low = self.high = start
        self.trades = self.buys = self.bought = self.sold = 0

    def follow(self, flow: FlowRow, oldest: int) -> "Sums":
        """Take in what is new and let go what is older than slot `oldest`; itself. `oldest` must never fall."""
        dropped = flow.dropped
        if self.low < dropped or self.edition != flow.edition:
            self.clear(flow.edition, dropped)
        ticks = flow.ticks
        high, low, end = self.high - dropped, self.low - dropped, len(ticks)
        while high < end:
            tick = ticks[high]
            high += 1
            if tick.is_buy:
                self.buys += 1
                self.bought += tick.quote
            else:
                self.sold += tick.quote
        while low < end and (tick := ticks[low]).slot < oldest:
            low += 1
            if tick.is_buy:
                self.buys -= 1
                self.bought -= tick.quote
            else:
                self.sold -= tick.quote
        self.high, self.low, self.trades = high + dropped, low + dropped, high - low
        return self


class Wallet:
    """What one wallet bought in a window: how often, and for how many raw quote units."""

    __slots__ = ("bought", "buys")

    def __init__(self) -> None:
        self.buys = self.bought = 0


class Buyers:
    """The buyers of a window.

    Attributes:
        trades: ticks in it, sells too.
        buys: buys.
        small: buys below `small_below` raw quote units.
        bought: raw quote units that came in.
        wallets: by wallet, those with a buy in the window.
        repeats: wallets with two buys or more.
    """

    __slots__ = (
        "bought",
        "buys",
        "ceiling1",
        "ceiling3",
        "edition",
        "high",
        "low",
        "repeats",
        "small",
        "small_below",
        "trades",
        "wallets",
    )

    def __init__(self, small_below: int) -> None:
        self.small_below = small_below
        self.clear(0, 0)

    def clear(self, edition: int, start: int) -> None:
        """Empty it; the next tick to come in is number `start`."""
        self.edition = edition
        self.low = self.high = start
        self.trades = self.buys = self.small = self.bought = self.repeats = 0
        self.ceiling1 = self.ceiling3 = 0
        self.wallets: dict[str, Wallet] = {}

    def follow(self, flow: FlowRow, oldest: int) -> "Buyers":
        """Take in what is new and let go what is older than slot `oldest`; itself. `oldest` must never fall."""
        dropped = flow.dropped
        if self.low < dropped or self.edition != flow.edition:
            self.clear(flow.edition, dropped)
        ticks = flow.ticks
        high, low, end = self.high - dropped, self.low - dropped, len(ticks)
        while high < end:
            tick = ticks[high]
            high += 1
            if tick.is_buy:
                self._add(tick.trader, tick.quote)
        while low < end and (tick := ticks[low]).slot < oldest:
            low += 1
            if tick.is_buy:
                self._take(tick.trader, tick.quote)
        self.high, self.low, self.trades = high + dropped, low + dropped, high - low
        return self

    def _add(self, trader: str, quote: int) -> None:
        wallet = self.wallets.get(trader)
        if wallet is None:
            wallet = self.wallets[trader] = Wallet()
        wallet.buys += 1
        wallet.bought += quote
        if wallet.buys == 2:
            self.repeats += 1
        if quote < self.small_below:
            self.small += 1
        self.buys += 1
        self.bought += quote
        self.ceiling1 = max(self.ceiling1, wallet.bought)
        self.ceiling3 += quote

    def _take(self, trader: str, quote: int) -> None:
        wallet = self.wallets[trader]
        wallet.buys -= 1
        wallet.bought -= quote
        if wallet.buys == 1:
            self.repeats -= 1
        elif wallet.buys == 0:
            del self.wallets[trader]
        if quote < self.small_below:
            self.small -= 1
        self.buys -= 1
        self.bought -= quote

    def within(self, top1: int, top3: int, whole: int) -> bool:
        """Whether the largest wallet holds at most top1/whole of the volume and the three largest top3/whole.

        Decided on ceilings where they suffice (one buy lifts the true value by at most its own size), counted
        otherwise.
        """
        bought = self.bought
        if self.ceiling1 * whole <= top1 * bought and self.ceiling3 * whole <= top3 * bought:
            return True
        one, three = self.shares()
        self.ceiling1, self.ceiling3 = one, three
        return one * whole <= top1 * bought and three * whole <= top3 * bought

    def shares(self) -> tuple[int, int]:
        """Raw quote units bought by the largest wallet and by the three largest."""
        largest = nlargest(3, [wallet.bought for wallet in self.wallets.values()])
        return (largest[0] if largest else 0), sum(largest)


class Windows:
    """The windows over one pool that were asked for so far.

    Attributes:
        flow: the pool's flow; another object means that the row was forgotten and began anew.
    """

    __slots__ = ("after", "best", "buyers", "edition", "flow", "seen", "since_slot", "sums")

    def __init__(self, flow: FlowRow) -> None:
        self.flow = flow
        self.sums: dict[int, Sums] = {}
        self.buyers: dict[tuple[int, int], Buyers] = {}
        self.since_slot = -1
        self.after = Sums()
        self.edition = flow.edition
        self.seen = flow.dropped
        self.best = flow.best_dropped

    def sums_of(self, span: int, head: int) -> Sums:
        """The trades of the last `span` slots."""
        sums = self.sums.get(span)
        if sums is None:
            sums = self.sums[span] = Sums()
        return sums.follow(self.flow, head - span)

    def buyers_of(self, span: int, small_below: int, head: int) -> Buyers:
        """The buyers of the last `span` slots."""
        buyers = self.buyers.get((span, small_below))
        if buyers is None:
            buyers = self.buyers[span, small_below] = Buyers(small_below)
        return buyers.follow(self.flow, head - span)

    def since(self, slot: int, span: int, head: int) -> Sums:
        """The trades after `slot`, of the last `span` slots at most."""
        if self.since_slot != slot:
            self.since_slot, self.after = slot, Sums()
        return self.after.follow(self.flow, max(head - span, slot + 1))

    def ticks_of(self, span: int, head: int) -> list[Tick]:
        """The trades of the last `span` slots one by one, in the order they arrived."""
        return self.flow.ticks[self.sums_of(span, head).low - self.flow.dropped :]

    def session_best(self) -> Price:
        """The dearest price of all trades of the pool."""
        flow = self.flow
        if self.seen < flow.dropped or self.edition != flow.edition:
            self.edition, self.seen, self.best = flow.edition, flow.dropped, flow.best_dropped
        new = flow.ticks[self.seen - flow.dropped :]
        if new:
            self.best = dearest(self.best, new)
            self.seen += len(new)
        return self.best
