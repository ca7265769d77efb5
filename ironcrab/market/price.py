"""A price as tokens per SOL, kept as the two raw amounts it came from: lower is dearer, nothing is ever rounded.

Both amounts are raw units, on both sides of every comparison, so that decimals cancel. Comparisons multiply
crosswise. An amount that is not positive makes every percentage zero.
"""

from msgspec import Struct

from ironcrab.domain.units import BPS, Raw, SignedBps, floor_div


class Price(Struct, frozen=True, gc=False):
    """`base` raw token units for `quote` raw quote units (lamports for WSOL)."""

    base: Raw
    quote: int

    @property
    def known(self) -> bool:
        """Whether both amounts are positive."""
        return self.base > 0 and self.quote > 0


UNKNOWN = Price(0, 0)
"""No price."""


def dearer(one: Price, other: Price) -> Price:
    """The price with fewer tokens per SOL; the known one where the other is unknown; on a tie the first."""
    if not one.known:
        return other
    if not other.known or one.base * other.quote <= other.base * one.quote:
        return one
    return other


def gain_reaches(entry: Price, current: Price, bps: int) -> bool:
    """Whether the profit entry/current - 1 (tokens per SOL) is at least `bps`, which may be negative."""
    if not (entry.known and current.known):
        return bps <= 0
    return entry.base * current.quote * BPS >= entry.quote * current.base * (BPS + bps)


def gain_at_most(entry: Price, current: Price, bps: int) -> bool:
    """Whether the profit entry/current - 1 is at most `bps`."""
    if not (entry.known and current.known):
        return bps >= 0
    return entry.base * current.quote * BPS <= entry.quote * current.base * (BPS + bps)


def gain_bps(entry: Price, current: Price) -> SignedBps:
    """The profit entry/current - 1 in bps, rounded down; 0 where a price is unknown."""
    if not (entry.known and current.known):
        return 0
    return floor_div(entry.base * current.quote * BPS, entry.quote * current.base) - BPS


def drawdown_reaches(current: Price, best: Price, bps: int) -> bool:
    """Whether current/best - 1 (tokens per SOL, so a rise is a fall in price) is at least `bps`."""
    if not (current.known and best.known):
        return bps <= 0
    return current.base * best.quote * BPS >= current.quote * best.base * (BPS + bps)


def drawdown_bps(current: Price, best: Price) -> SignedBps:
    """current/best - 1 in bps, rounded down; 0 where a price is unknown."""
    if not (current.known and best.known):
        return 0
    return floor_div(current.base * best.quote * BPS, current.quote * best.base) - BPS
