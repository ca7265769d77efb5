"""Which accounts a feed is asked for beside those of the six programs: what quoting the pools that were found needs."""

from ironcrab.dex.metaplex import metadata_address
from ironcrab.domain.event import Event
from ironcrab.domain.market import AccountWritten, DexPoolAccounts, PoolCreated, Trade
from ironcrab.domain.trade import TradeIntent
from ironcrab.domain.units import SOL_MINT, USDC_MINT, USDT_MINT
from ironcrab.ingest.discovery import MOST_POOLS, GeyserPoolDiscovery, Need
from ironcrab.market.pools import LivePoolCache
from ironcrab.market.tracked import PRIORITIES, Priority, TrackedSet

MOST_TRACKED = 20_000
"""Accounts tracked by default: a request of less than 1 MB, and endpoints take 4 MB."""
MONEY = (SOL_MINT, USDC_MINT, USDT_MINT)
"""Mints whose accounts change with nothing that matters here."""
TABLES = "lookup tables"
"""Name of their group; no pool is called so."""
_FOUND_BY = (AccountWritten, Trade, PoolCreated, DexPoolAccounts)


class Following:
    """See the module.

    Attributes:
        discovery: which pools there are.
        tracked: what is asked for.

    Args:
        pools: follow these alone; (): all.
        cap: most accounts; 0: nothing is followed.
    """

    def __init__(self, pools: tuple[str, ...] = (), cap: int = MOST_TRACKED) -> None:
        self.discovery = GeyserPoolDiscovery(pools)
        self.tracked = TrackedSet(cap)
        self._raised: dict[str, Priority] = {}
        self._tables: tuple[str, ...] = ()
        for pool in pools:
            self.tracked.put(pool, "wallet", (pool,))

    @property
    def keys(self) -> tuple[str, ...]:
        """The accounts to ask for."""
        return self.tracked.keys

    def see(self, event: Event) -> None:
        """Follow the pools that this event is about. A pool that somebody wants to trade matters more than others."""
        if not self.tracked.cap:
            return
        if isinstance(event, _FOUND_BY):
            for need in self.discovery.see(event):
                self._put(need)
            for pool in self.discovery.forgotten():
                self.tracked.drop(pool)
                self._raised.pop(pool, None)
        elif isinstance(event, TradeIntent):
            self._raise(event)

    def known(self, pools: LivePoolCache) -> None:
        """Follow the pools that a log which goes on told of last."""
        for row in tuple(pools.rows.values())[-MOST_POOLS:]:
            mints = row.base_mint, row.quote_mint
            for need in self.discovery.named(row.pool_address, row.dex, mints):
                self._put(need)
        for pool in self.discovery.forgotten():
            self.tracked.drop(pool)

    def use(self, tables: tuple[str, ...]) -> None:
        """Follow the lookup tables that plans may use, and no others."""
        if self.tracked.cap and tables != self._tables:
            self._tables = tables
            self.tracked.drop(TABLES)
            if tables:
                self.tracked.put(TABLES, "wallet", tables)

    def by_priority(self) -> tuple[str, ...]:
        """The accounts, those first that matter most; among equals those that came in last."""
        groups = tuple(reversed(self.tracked.state.groups.values()))
        ranked = [group for priority in PRIORITIES for group in groups if group.priority == priority]
        return tuple(dict.fromkeys(key for group in ranked for key in group.keys))

    def _put(self, need: Need) -> None:
        """Its accounts and its mints; where somebody wants to trade it, what its mints are called too."""
        pool = need.pool
        priority: Priority = "wallet" if pool in self.discovery.only else self._raised.get(pool, "tracker")
        mints = [mint for mint in self.discovery.mints(pool) if mint not in MONEY]
        names = [metadata_address(mint) for mint in mints] if priority != "tracker" else []
        self.tracked.put(pool, priority, (*need.keys, *mints, *names))

    def _raise(self, intent: TradeIntent) -> None:
        priority: Priority = "arb" if intent.source.startswith("arb") else "momentum"
        for pool in _pools_of(intent):
            group = self.tracked.state.groups.get(pool)
            if group is not None and PRIORITIES.index(priority) < PRIORITIES.index(group.priority):
                self._move(pool, priority, group.keys)

    def rank(self, pool: str, priority: Priority, whose: Priority) -> None:
        """A strategy whose pools are of priority `whose` says how much this one matters to it now."""
        group = self.tracked.state.groups.get(pool)
        if group is None or group.priority == priority:
            return
        if PRIORITIES.index(priority) < PRIORITIES.index(group.priority) or group.priority == whose:
            self._move(pool, priority, group.keys)

    def _move(self, pool: str, priority: Priority, keys: tuple[str, ...]) -> None:
        self._raised[pool] = priority
        self._put(Need(pool, keys))


def _pools_of(intent: TradeIntent) -> tuple[str, ...]:
    return (*intent.resources.pools, *(hop.pool_address for hop in intent.swap_path))
