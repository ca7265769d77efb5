"""Windows over a pool's flow: counters that follow the trades instead of counting them again.

A window begins at the first tick whose slot is at least `oldest` and holds the newest MOST_TICKS at most. It numbers
ticks by `FlowRow.dropped`, so it survives trims, and starts anew when ticks were rewritten. Its counters always equal a
count over `FlowRow.ticks`, so they are a cache and no state: after a restore they are simply built again.
"""

from heapq import nlargest

from ironcrab.market.flow import MOST_TICKS, FlowRow, Tick
from ironcrab.strategy.candles import Candles


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
        least = end - MOST_TICKS
        while low < end and ((tick := ticks[low]).slot < oldest or low < least):
            low += 1
            if tick.is_buy:
                self.buys -= 1
                self.bought -= tick.quote
            else:
                self.sold -= tick.quote
        self.high, self.low, self.trades = high + dropped, low + dropped, high - low
        return self


class Buyers:
    """The buyers of a window.

    Attributes:
        trades: ticks in it, sells too.
        buys: buys.
        small: buys below `small_below` raw quote units.
        bought: raw quote units that came in.
        counts: buys by wallet, of the wallets with a buy in the window.
        repeats: wallets with two buys or more.
    """

    __slots__ = (
        "bought",
        "buys",
        "counts",
        "edition",
        "flow",
        "high",
        "low",
        "repeats",
        "small",
        "small_below",
        "surplus",
        "top",
        "trades",
    )

    def __init__(self, flow: FlowRow, small_below: int) -> None:
        self.flow = flow
        self.small_below = small_below
        self.clear()

    def clear(self) -> None:
        """Empty it; all ticks are to come in anew."""
        self.edition = self.flow.edition
        self.low = self.high = self.flow.dropped
        self.trades = self.buys = self.small = self.bought = self.repeats = 0
        self.counts: dict[str, int] = {}
        self.top = (0, 0)
        self.surplus = 0

    def follow(self, oldest: int) -> "Buyers":
        """Take in what is new and let go what is older than slot `oldest`; itself. `oldest` must never fall."""
        flow = self.flow
        dropped = flow.dropped
        if self.low < dropped or self.edition != flow.edition:
            self.clear()
        ticks, counts, small_below = flow.ticks, self.counts, self.small_below
        high, low, end = self.high - dropped, self.low - dropped, len(ticks)
        while high < end:
            tick = ticks[high]
            high += 1
            if tick.is_buy:
                count = counts[tick.trader] = counts.get(tick.trader, 0) + 1
                if count == 2:
                    self.repeats += 1
                quote = tick.quote
                if quote < small_below:
                    self.small += 1
                self.buys += 1
                self.bought += quote
                self.surplus += quote
        least = end - MOST_TICKS
        while low < end and ((tick := ticks[low]).slot < oldest or low < least):
            low += 1
            if tick.is_buy:
                count = counts[tick.trader] = counts[tick.trader] - 1
                if count == 1:
                    self.repeats -= 1
                elif not count:
                    del counts[tick.trader]
                quote = tick.quote
                if quote < small_below:
                    self.small -= 1
                self.buys -= 1
                self.bought -= quote
        self.high, self.low, self.trades = end + dropped, low + dropped, end - low
        return self

    def within(self, top1: int, top3: int, whole: int) -> bool:
        """Whether the largest wallet holds at most top1/whole of the volume and the three largest top3/whole.

        A buy lifts either sum by at most its own size, so the last count plus what was bought since is a ceiling;
        only where that does not suffice the shares are counted again. A cap of the whole holds always.
        """
        if top1 >= whole and top3 >= whole:
            return True
        bought, surplus = self.bought, self.surplus
        one, three = self.top
        if (one + surplus) * whole <= top1 * bought and (three + surplus) * whole <= top3 * bought:
            return True
        one, three = self.shares()
        return one * whole <= top1 * bought and three * whole <= top3 * bought

    def shares(self) -> tuple[int, int]:
        """Raw quote units bought by the largest wallet and by the three largest."""
        volumes: dict[str, int] = {}
        for tick in self.flow.ticks[self.low - self.flow.dropped :]:
            if tick.is_buy:
                volumes[tick.trader] = volumes.get(tick.trader, 0) + tick.quote
        largest = nlargest(3, volumes.values())
        self.surplus = 0
        self.top = ((largest[0] if largest else 0), sum(largest))
        return self.top

    def washed(self) -> int:
        """Raw quote units bought by wallets that also sold in the window."""
        ticks = self.flow.ticks[self.low - self.flow.dropped :]
        sellers = {tick.trader for tick in ticks if not tick.is_buy}
        return sum(tick.quote for tick in ticks if tick.is_buy and tick.trader in sellers)

    def most_in_a_slot(self) -> int:
        """Wallets that bought in the one slot in which most of them did."""
        slots: dict[int, dict[str, None]] = {}
        for tick in self.flow.ticks[self.low - self.flow.dropped :]:
            if tick.is_buy:
                slots.setdefault(tick.slot, {})[tick.trader] = None
        return max((len(traders) for traders in slots.values()), default=0)


class Windows:
    """The windows over one pool that were asked for so far.

    Attributes:
        flow: the pool's flow; another object means that the row was forgotten and began anew.
    """

    __slots__ = ("after", "buyers", "candles", "flow", "since_slot", "sums")

    def __init__(self, flow: FlowRow) -> None:
        self.flow = flow
        self.sums: dict[int, Sums] = {}
        self.buyers: dict[str, Buyers] = {}
        self.candles: dict[int, Candles] = {}
        self.since_slot = -1
        self.after = Sums()

    def sums_of(self, span: int, head: int) -> Sums:
        """The trades of the last `span` slots."""
        sums = self.sums.get(span)
        if sums is None:
            sums = self.sums[span] = Sums()
        return sums.follow(self.flow, head - span)

    def buyers_of(self, regime: str, span: int, small_below: int, head: int) -> Buyers:
        """The buyers of the last `span` slots, as this regime sees them."""
        buyers = self.buyers.get(regime)
        if buyers is None:
            buyers = self.buyers[regime] = Buyers(self.flow, small_below)
        return buyers.follow(head - span)

    def candles_of(self, span: int, head: int) -> Candles:
        """The candles of `span` slots."""
        candles = self.candles.get(span)
        if candles is None:
            candles = self.candles[span] = Candles(span)
        return candles.follow(self.flow, head)

    def since(self, slot: int, span: int, head: int) -> Sums:
        """The trades after `slot`, of the last `span` slots at most."""
        if self.since_slot != slot:
            self.since_slot, self.after = slot, Sums()
        return self.after.follow(self.flow, max(head - span, slot + 1))

    def ticks_of(self, span: int, head: int) -> list[Tick]:
        """The trades of the last `span` slots one by one, in the order they arrived."""
        return self.flow.ticks[self.sums_of(span, head).low - self.flow.dropped :]
