"""GeyserPoolDiscovery: which pools there are, and which accounts quoting them needs, from what the feed tells.

A pool is found by a transaction (it was created, or a swap on it was seen) or by its account (a write of one of the
six programs that decodes as a pool). What quoting it needs is asked of its venue, again whenever an account of it
comes in: the pool names its vaults, the price says which tick or bin arrays lie ahead.
"""

from msgspec import Struct

from ironcrab.dex import VENUES, Venue
from ironcrab.dex.address import WSOL, is_key
from ironcrab.dex.face import Account
from ironcrab.domain.event import Event
from ironcrab.domain.market import AccountWritten, DexPoolAccounts, PoolCreated, Trade

MOST_POOLS = 4_096
"""Pools remembered; beyond, the one that was concerned longest ago is forgotten."""
MOST_KEYS = 64
"""Accounts of one pool at most."""


class Need(Struct, frozen=True, gc=False):
    """A pool and the accounts that quoting it needs, itself first."""

    pool: str
    keys: tuple[str, ...]


class _Found(Struct):
    """What is known of one pool: venue, mints that trades named, accounts that came in, keys asked for."""

    venue: Venue
    mints: tuple[str, ...]
    accounts: dict[str, Account]
    keys: dict[str, None]


class GeyserPoolDiscovery:
    """Finds pools.

    Attributes:
        pools: what was found, by pool address, the one concerned longest ago first.

    Args:
        only: the only pools to follow; (): every one.
        venues: whose pools.
    """

    def __init__(self, only: tuple[str, ...] = (), venues: tuple[Venue, ...] = VENUES) -> None:
        self.only = dict.fromkeys(only)
        self.by_id = {venue.id: venue for venue in venues}
        self.by_program = {program: venue for venue in venues for program in venue.programs}
        self.pools: dict[str, _Found] = {}
        self._holders: dict[str, dict[str, None]] = {}

    def see(self, event: Event) -> tuple[Need, ...]:
        """The pools that were found, or that need other accounts than before, now that this was told."""
        if isinstance(event, Trade):
            return self.named(event.pool_address, event.dex, (event.mint, event.quote_mint))
        if isinstance(event, PoolCreated | DexPoolAccounts):
            return self.named(event.pool_address, event.dex, (event.base_mint, event.quote_mint))
        if isinstance(event, AccountWritten):
            return self._written(event)
        return ()

    def mints(self, pool: str) -> tuple[str, ...]:
        """The mints that trades of a pool named; (): none were."""
        found = self.pools.get(pool)
        return () if found is None else tuple(mint for mint in found.mints if mint)

    def forgotten(self) -> tuple[str, ...]:
        """Forget the pools beyond `MOST_POOLS`; their addresses."""
        gone = []
        while len(self.pools) > MOST_POOLS:
            pool = next(iter(self.pools))
            for key in self.pools.pop(pool).keys:
                holders = self._holders.get(key, {})
                holders.pop(pool, None)
                if not holders:
                    self._holders.pop(key, None)
            gone.append(pool)
        return tuple(gone)

    def named(self, pool: str, dex: str, mints: tuple[str, str]) -> tuple[Need, ...]:
        """The same for a pool of this venue (canonical name) that trades these mints."""
        if self.only and pool not in self.only:
            return ()
        found = self.pools.pop(pool, None)
        if found is None:
            venue = self.by_id.get(dex)
            if venue is None:
                return ()
            found = _Found(venue, mints, {}, {})
        self.pools[pool] = found
        if found.mints == mints and found.keys:
            return ()
        found.mints = mints
        return self._asked(pool, found)

    def _written(self, event: AccountWritten) -> tuple[Need, ...]:
        key = event.pubkey
        account = Account(event.owner, event.lamports, event.data)
        if key not in self.pools and event.owner in self.by_program and (not self.only or key in self.only):
            venue = self.by_program[event.owner]
            if venue.needs(key, {key: account}, ""):
                found = self.pools[key] = _Found(venue, ("", ""), {key: account}, {})
                return self._asked(key, found)
        needs: list[Need] = []
        for pool in tuple(self._holders.get(key, ())):
            found = self.pools[pool]
            is_first = key not in found.accounts
            found.accounts[key] = account
            if is_first or key == pool:
                needs += self._asked(pool, found)
        return tuple(needs)

    def _asked(self, pool: str, found: _Found) -> tuple[Need, ...]:
        keys = {pool: None, **found.keys}
        # instructions are built for a mint's token program, which is the owner of its account
        keys |= dict.fromkeys(mint for mint in found.mints if mint != WSOL and is_key(mint))
        for mint in found.mints:
            keys |= dict.fromkeys(found.venue.needs(pool, found.accounts, mint))
        if len(keys) > MOST_KEYS:
            # arrays that the price has left behind go; what was asked for first (pool, vaults, configs) stays
            kept = list(keys)
            keys = dict.fromkeys((*kept[: MOST_KEYS // 2], *kept[-(MOST_KEYS // 2) :]))
        if keys.keys() == found.keys.keys():
            return ()
        for key in found.keys:
            if key not in keys:
                self._holders[key].pop(pool, None)
                found.accounts.pop(key, None)
        found.keys = keys
        for key in keys:
            self._holders.setdefault(key, {})[pool] = None
        return (Need(pool, tuple(keys)),)
