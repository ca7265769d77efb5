"""Pools found by what the feed tells: of all six venues, with what quoting them needs."""

from ironcrab.dex import VENUES
from ironcrab.domain.market import AccountWritten, Trade
from ironcrab.ingest import discovery
from ironcrab.ingest.discovery import GeyserPoolDiscovery
from ironcrab.ingest.normalise import Normaliser
from ironcrab.shell.geyser_demo import demo


def events(slots=6, seed=2):
    normaliser = Normaliser()
    return [event for update in demo(seed, 250, slots) for _, event in normaliser.feed(update.body)]


def seen(events, only=()):
    finder = GeyserPoolDiscovery(only)
    needs = {}
    for event in events:
        for need in finder.see(event):
            assert need.keys[0] == need.pool
            assert len(need.keys) == len(set(need.keys)) <= discovery.MOST_KEYS
            needs[need.pool] = need.keys
    return finder, needs


def test_every_traded_pool_is_found_by_transactions_alone():
    told = [event for event in events() if not isinstance(event, AccountWritten)]
    finder, needs = seen(told)
    traded = {event.pool_address: event.dex for event in told if isinstance(event, Trade)}
    assert set(traded) <= set(needs)
    assert {found.venue.id for found in finder.pools.values()} == {venue.id for venue in VENUES}


def test_every_pool_is_found_by_its_account_alone():
    writes = [event for event in events() if isinstance(event, AccountWritten)]
    finder, needs = seen(writes)
    assert {found.venue.id for found in finder.pools.values()} == {venue.id for venue in VENUES}
    traded = {event.pool_address for event in events() if isinstance(event, Trade)}
    assert traded <= set(needs)


def test_with_all_accounts_known_nothing_is_missing():
    """Fed twice over, every account that was asked for has come in: each venue can quote both ways."""
    told = events(40)
    finder, _ = seen([*told, *told])
    ids = set()
    for pool, found in finder.pools.items():
        trades = [e for e in told if isinstance(e, Trade) and e.pool_address == pool]
        if not trades or found.venue.id == "orca":
            continue  # Whirlpool arrays at the end of the range do not exist in the demo
        ids.add(found.venue.id)
        for mint in (trades[0].mint, trades[0].quote_mint):
            assert found.venue.needs(pool, found.accounts, mint) in (
                (),
                tuple(k for k in found.keys if k not in found.accounts),
            )
    assert len(ids) == 5


def test_only_named_pools_are_followed():
    told = events()
    pool = next(event.pool_address for event in told if isinstance(event, Trade))
    finder, needs = seen(told, (pool,))
    assert list(needs) == list(finder.pools) == [pool]


def test_it_forgets_the_oldest(monkeypatch):
    monkeypatch.setattr(discovery, "MOST_POOLS", 5)
    finder = GeyserPoolDiscovery()
    gone = []
    for event in events():
        finder.see(event)
        gone += finder.forgotten()
        assert len(finder.pools) <= 5
    assert gone
    held = {key for found in finder.pools.values() for key in found.keys}
    assert set(finder._holders) == held


def test_same_events_same_needs():
    told = events()
    assert seen(told)[1] == seen(told)[1]
