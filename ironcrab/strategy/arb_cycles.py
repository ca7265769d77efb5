"""Cycles: from SOL over two or more mints back to SOL, through a mint whose price has moved.

The search is whole up to its budget and exact: the amount itself is carried along, in raw units of each mint, so that
a cycle is valued in lamports and nothing is compared across mints. Output grows with input on every pool, so the pool
that gives most for a step is the right one for every cycle that takes it, and only ways over mints are enumerated.
"""

from collections.abc import Iterator
from itertools import islice, pairwise

from ironcrab.domain.units import SOL_MINT, Key
from ironcrab.market.pools import LivePoolCache, PoolRow
from ironcrab.strategy.arb_legs import DEXES, Leg, Quoter, Trip

MOST_NEIGHBOURS = 64
"""Pools of one mint that are looked at for its neighbours; a mint that many are priced in has thousands."""

Way = tuple[Key, ...]
"""Mints from the one in focus to SOL, without the focus, with SOL."""


class Cycles:
    """Finds the best cycle. Args: the pools, the quoter, legs at most, quotes at most."""

    def __init__(self, pools: LivePoolCache, quoter: Quoter, most_hops: int, most_quotes: int) -> None:
        self.pools = pools
        self.quoter = quoter
        self.most_hops = most_hops
        self.most_quotes = most_quotes

    def has_neighbours(self, mint: str) -> bool:
        """Whether the mint shares a pool with any mint but SOL: without one there is no cycle."""
        if self.pools.by_quote.get(mint):
            return True
        return any(row.quote_mint != SOL_MINT for row in self.pools.by_mint.get(mint, ()))

    def best(self, focus: str, probe: int) -> Trip | None:
        """The cycle through `focus` that gives most for `probe` lamports; the first found wins a tie.

        Shorter cycles come first, then those whose mints the cache saw first; None: none with all its quotes.
        """
        ways = list(islice(self._ways(focus), self.most_quotes))
        stop = self.quoter.asked + self.most_quotes
        best: Trip | None = None
        heads: dict[Way, tuple[Leg, ...] | None] = {}
        for hops in range(3, self.most_hops + 1):
            for inward in ways:
                outs = [way for way in ways if len(way) + len(inward) == hops and _is_disjoint(inward, way)]
                if not outs:
                    continue
                if inward not in heads:
                    heads[inward] = self._walk((*reversed(inward), focus), probe)
                head = heads[inward]
                if head is None:
                    continue
                for outward in outs:
                    if self.quoter.asked >= stop:
                        return best
                    tail = self._walk((focus, *outward), head[-1].amount_out)
                    if tail is None:
                        continue
                    trip = Trip((*head, *tail))
                    if best is None or trip.gross > best.gross:
                        best = trip
        return best

    def _ways(self, focus: str) -> Iterator[Way]:
        """Every way over distinct mints from the focus to SOL, short ones first."""
        fronts: list[Way] = [()]
        for _ in range(self.most_hops - 1):
            longer: list[Way] = []
            for front in fronts:
                for mint in self._neighbours(front[-1] if front else focus):
                    if mint == SOL_MINT:
                        yield (*front, mint)
                    elif mint != focus and mint not in front:
                        longer.append((*front, mint))
                if len(longer) >= self.most_quotes:
                    break
            fronts = longer

    def _neighbours(self, mint: str) -> list[Key]:
        """Mints that share a pool with this one, each once, in the order the cache saw the pools."""
        priced = [row.quote_mint for row in self.pools.by_mint.get(mint, ()) if row.dex in DEXES]
        pricing = [row.base_mint for row in islice(self.pools.by_quote.get(mint, ()), MOST_NEIGHBOURS)]
        return list(dict.fromkeys(priced + pricing))

    def _walk(self, mints: Way, amount: int) -> tuple[Leg, ...] | None:
        """The legs along these mints, on each the pool that gives most; None: a step has no fresh quote."""
        legs: list[Leg] = []
        for mint_in, mint_out in pairwise(mints):
            leg = self._step(mint_in, mint_out, amount)
            if leg is None:
                return None
            legs.append(leg)
            amount = leg.amount_out
        return tuple(legs)

    def _step(self, mint_in: str, mint_out: str, amount: int) -> Leg | None:
        """The leg that gives most; of equal ones that of the lowest pool address. Last trades do not count."""
        best: Leg | None = None
        for row in self._between(mint_in, mint_out):
            leg = self.quoter.leg(row, mint_in, amount)
            if isinstance(leg, str) or leg.kind != "marginal":
                continue
            if best is None or leg.amount_out > best.amount_out:
                best = leg
        return best

    def _between(self, one: str, other: str) -> list[PoolRow]:
        """The pools that two mints share, by address."""
        listed = [row for row in self.pools.by_mint.get(one, ()) if row.quote_mint == other]
        listed += [row for row in self.pools.by_mint.get(other, ()) if row.quote_mint == one]
        return sorted((row for row in listed if row.dex in DEXES), key=lambda row: row.pool_address)


def _is_disjoint(inward: Way, outward: Way) -> bool:
    """Whether the two ways share no mint but SOL."""
    return all(mint not in outward for mint in inward[:-1])
