"""Features: what is measured of a pool for both regimes, once and in one way; the policies hold it against limits."""

from ironcrab.domain.units import BPS, Lamports
from ironcrab.market.known import Known
from ironcrab.market.pools import PoolRow
from ironcrab.strategy.params import Entry
from ironcrab.strategy.shape import Number
from ironcrab.strategy.windows import Buyers, Windows

PUMPFUN_BEGINS_WITH = 30_000_000_000
"""Lamports of virtual liquidity a PumpFun curve begins with, where no event told more."""


class Features:
    """The windows over every pool that was asked about: counters that follow the flow, a cache and no state."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.windows: dict[str, Windows] = {}

    def windows_of(self, pool: str) -> Windows | None:
        """The windows over this pool; None: no trade is known."""
        flow = self.known.flow.rows.get(pool)
        if flow is None:
            return None
        windows = self.windows.get(pool)
        if windows is None or windows.flow is not flow:
            windows = self.windows[pool] = Windows(flow)
        return windows

    def forget(self, pool: str) -> None:
        """Nobody asks about this pool any more."""
        self.windows.pop(pool, None)

    def clear(self) -> None:
        """Count everything anew when it is asked for."""
        self.windows.clear()


def liquidity_of(pool: PoolRow) -> Lamports | None:
    """Lamports on the quote side; a PumpFun curve of which nothing was told begins with its virtual 30 SOL."""
    liquidity = pool.liquidity
    if liquidity is None and pool.dex == "pumpfun":
        return PUMPFUN_BEGINS_WITH
    return liquidity


def dominance_bps(buyers: Buyers) -> int:
    """Buys among trades, by count, rounded down; 0 where there is no trade."""
    return buyers.buys * BPS // buyers.trades if buyers.trades else 0


def concentration(buyers: Buyers, entry: Entry) -> tuple[Number, ...]:
    """Shares of the largest and the three largest buyers in the volume, and of repeat buyers among the buyers."""
    one, three = buyers.shares()
    volume, unique = max(1, buyers.bought), max(1, len(buyers.counts))
    return (
        ("top1_share_bps", one * BPS // volume, entry.top1_buyer_share_cap_bps),
        ("top3_share_bps", three * BPS // volume, entry.top3_buyer_share_cap_bps),
        ("repeat_ratio_bps", buyers.repeats * BPS // unique, entry.repeat_buyer_min_ratio_bps),
    )
