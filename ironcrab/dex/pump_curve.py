"""The constant product of both pump programs, with fees on the quote side, each fee rounded up on its own.

Verified against official SDK results, observed trades and the executed fee program (see the venue tests); the
two AMM programs themselves were not executed.
"""

from msgspec import Struct

BPS = 10_000
U64 = 2**64 - 1


class Priced(Struct, frozen=True, gc=False):
    """What a price follows from: reserves in raw units (virtual or effective ones) and the fee bps in force.

    All amounts below are raw units; a quote amount is what enters or leaves the reserve, fees aside.
    """

    base: int
    quote: int
    lp: int
    protocol: int
    creator: int

    def fees(self, quote: int) -> tuple[int, int, int]:
        """LP, protocol and creator fee on a quote amount."""
        return (
            -(-quote * self.lp // BPS),
            -(-quote * self.protocol // BPS),
            -(-quote * self.creator // BPS),
        )

    def sell(self, base: int) -> tuple[int, int]:
        """(quote that leaves the reserve, quote that the seller gets) for a base amount paid in."""
        gross = base * self.quote // (self.base + base)
        return gross, (
            gross - -(-gross * self.lp // BPS) - -(-gross * self.protocol // BPS) - -(-gross * self.creator // BPS)
        )

    def spend(self, budget: int) -> tuple[int, int, int, int, int]:
        """(base bought, quote that enters the reserve, LP, protocol, creator fee) for a budget with fees.

        The fees are those of the rounded-down net amount; what they exceed the budget by comes off the net. A
        budget that leaves no net buys nothing and pays nothing. Not to be asked where `divides_by_zero`.
        """
        net = budget * BPS // (BPS + self.lp + self.protocol + self.creator)
        lp = -(-net * self.lp // BPS)
        protocol = -(-net * self.protocol // BPS)
        creator = -(-net * self.creator // BPS)
        if net + lp + protocol + creator > budget:
            net = budget - lp - protocol - creator
        if net < 1:
            return 0, 0, 0, 0, 0
        return (net - 1) * self.base // (self.quote + net - 1), net, lp, protocol, creator

    def divides_by_zero(self, budget: int) -> bool:
        """Whether a budget meets an empty quote side with a net of one unit: the programs take one off the net."""
        if self.quote:
            return False
        net = budget * BPS // (BPS + self.lp + self.protocol + self.creator)
        lp, protocol, creator = self.fees(net)
        return min(net, budget - lp - protocol - creator) == 1

    def sold_for(self, wanted: int) -> int | None:
        """The least base amount that pays the seller at least `wanted` after fees; None when none does.

        Fees round up one by one, so a larger quote amount may pay a unit or two less: from the least quote
        amount that can do, each amount that is reached is tried in turn.
        """
        kept = BPS - self.lp - self.protocol - self.creator
        if kept <= 0 or self.base == 0:
            return None
        gross = -(-wanted * BPS // kept)
        while gross < self.quote:
            base = -(-gross * self.base // (self.quote - gross))
            reached, net = self.sell(base)
            if net >= wanted:
                return base
            gross = reached + 1
        return None

    def impact_of_buy(self, quote: int, base: int) -> int:
        """Bps by which `base` bought for `quote` stays below what the price before the trade would give."""
        ideal = quote * self.base
        return (ideal - base * self.quote) * BPS // ideal if ideal else 0

    def impact_of_sell(self, base: int, quote: int) -> int:
        """Bps by which `quote` got for `base` stays below what the price before the trade would give."""
        ideal = base * self.quote
        return (ideal - quote * self.base) * BPS // ideal if ideal else 0
