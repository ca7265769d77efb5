"""Candles of a pool's flow: price extremes, the last price and the volume of each span of slots.

A candle begins at a slot that is a multiple of its span. Like the windows they are a cache and no state: what they say
equals a count over `FlowRow.ticks`. So a candle of which the flow may have let a trade go is left out.
"""

from msgspec import Struct

from ironcrab.market.flow import LONGEST_WINDOW, MOST_TICKS, FlowRow
from ironcrab.market.price import UNKNOWN, Price, dearer

SPARE = 16
"""Candles that may stand beside those anyone asks for before the old ones are let go."""


class Candle(Struct, gc=False):
    """One span.

    Attributes:
        first: number of its first tick.
        dearest: the dearest price; trades with an amount of zero have none.
        cheapest: the cheapest.
        close: the price that became known last.
        volume: raw quote units, both ways.
    """

    first: int
    dearest: Price = UNKNOWN
    cheapest: Price = UNKNOWN
    close: Price = UNKNOWN
    volume: int = 0

    def traded(self, price: Price) -> None:
        """A trade at this price."""
        self.close = price
        self.dearest = dearer(self.dearest, price)
        self.cheapest = cheaper(self.cheapest, price)


class Candles:
    """The candles of one pool.

    Args:
        span: slots of a candle, at least 1.
    """

    __slots__ = ("candles", "edition", "next", "span")

    def __init__(self, span: int) -> None:
        self.span = span
        self.clear(0, 0)

    def clear(self, edition: int, start: int) -> None:
        """Empty it; the next tick to come in is number `start`."""
        self.edition = edition
        self.next = start
        self.candles: dict[int, Candle] = {}

    def most(self) -> int:
        """Whole candles before the running one that the flow is sure to remember."""
        return (LONGEST_WINDOW - self.span + 1) // self.span

    def follow(self, flow: FlowRow, head: int) -> "Candles":
        """Take in what is new; itself. `head` must never fall."""
        if self.next < flow.dropped or self.edition != flow.edition:
            self.clear(flow.edition, flow.dropped)
        span, candles = self.span, self.candles
        for number, tick in enumerate(flow.ticks[self.next - flow.dropped :], self.next):
            start = tick.slot - tick.slot % span
            candle = candles.get(start)
            if candle is None:
                candle = candles[start] = Candle(number)
            candle.volume += tick.quote
            if tick.base and tick.quote:
                candle.traded(Price(tick.base, tick.quote))
        self.next = flow.dropped + len(flow.ticks)
        most = self.most()
        if len(candles) > most + SPARE:
            oldest = self.running(head) - most * span
            self.candles = {start: candle for start, candle in candles.items() if start >= oldest}
        return self

    def running(self, head: int) -> int:
        """The slot that the running candle began in."""
        return head - head % self.span

    def at(self, start: int) -> Candle | None:
        """The candle that began in this slot; None: nothing traded, or not all of it is remembered."""
        candle = self.candles.get(start)
        if candle is None or not candle.dearest.known or candle.first <= self.next - MOST_TICKS:
            return None
        return candle


def cheaper(one: Price, other: Price) -> Price:
    """The price with more tokens per SOL; the known one where the other is unknown; on a tie the first."""
    if not one.known:
        return other
    if not other.known or one.base * other.quote >= other.base * one.quote:
        return one
    return other
