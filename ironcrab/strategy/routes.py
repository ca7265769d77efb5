"""Routes: the pools that a position may be sold on.

Pool matching: the position's own pool moves its marks, and no other does. A quote of another pool of the mint may
decide only because the sell then goes to that very pool. So another pool must trade the same two mints, must not be a
curve that is sold out or one whose swap could not be built, and what sells lately failed on is left out. A position on
a curve that is not known to be complete is not sold on PumpSwap: before the curve is complete there is no such pool.
"""

from collections.abc import Iterator

from ironcrab.market.known import Known
from ironcrab.market.pools import PoolRow
from ironcrab.strategy.params import Shared
from ironcrab.strategy.rows import NANOS, Position

PUMP_AMM_ACCOUNTS = 14
"""Accounts that a PumpSwap swap cannot do without."""
MOST_ROUTES = 16
"""Pools of one mint that are looked at, in first-seen order."""


class Routes:
    """Finds them. Args: what is known, the parameters both regimes share."""

    def __init__(self, known: Known, shared: Shared) -> None:
        self.now = known.now
        self.pools = known.pools
        self.shared = shared
        self.fail_window = shared.exit_route_fail_window_secs * NANOS

    def of(self, position: Position) -> list[PoolRow]:
        """The pools it may be sold on, its own first; [] where its own is not known (any more)."""
        own = self.pools.get(position.pool)
        if own is None:
            return []
        if not self.shared.exit_multi_pool_routing:
            return [own]
        found = list(self._matching(position, own))
        good = [row for row in found if not self.failed(position, row.pool_address)]
        return good or found or [own]

    def failed(self, position: Position, pool: str) -> bool:
        """Whether too many sells of it failed there, the last of them lately."""
        failure = position.failed.get(pool)
        if failure is None or failure.count < self.shared.exit_route_max_fails:
            return False
        return self.now.time - failure.time <= self.fail_window

    def _matching(self, position: Position, own: PoolRow) -> Iterator[PoolRow]:
        sold_out = bool(own.complete) or position.migrated
        if not sold_out:
            yield own
        for row in self.pools.of_mint(position.mint)[:MOST_ROUTES]:
            if row is own or row.quote_mint != own.quote_mint or row.complete:
                continue
            if row.dex == "pump_amm" and (not has_accounts(row) or (own.dex == "pumpfun" and not sold_out)):
                continue
            if row.dex == "pumpfun" and row.creator is None:
                continue
            yield row


def has_accounts(row: PoolRow) -> bool:
    """Whether a PumpSwap pool's accounts are known and are its own."""
    return len(row.accounts) == PUMP_AMM_ACCOUNTS and row.accounts[0] == row.pool_address
