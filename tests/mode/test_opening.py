"""A part of a recording opens with what is known where it begins, and with nothing that is not."""

import pytest

from ironcrab import testing
from ironcrab.domain.control import GapOpened
from ironcrab.domain.market import AccountWritten, PoolStateUpdate, Trade
from ironcrab.mode.fidelity import fidelity
from ironcrab.mode.fills import Fills
from ironcrab.mode.opening import SOURCE, opening_of
from tests.pool_sets import sets

SETS = sets()


def seen(events):
    """A pool cache that was told these (time, event) pairs."""
    fills = Fills("none")
    for seq, (time, event) in enumerate(events):
        fills.see(testing.Record(seq, None, None, time, event))
    return fills


def standing(fills):
    """Every known account, and the reserves of every pool that is known."""
    accounts = {
        address: (row.owner, row.lamports, row.data, row.slot, row.write_version)
        for address, row in fills.pools.accounts.rows.items()
        if row.stale is None
    }
    pools = {
        address: (row.base_mint, row.quote_mint, row.reserve_base, row.reserve_quote, row.first_seen_slot)
        for address, row in fills.pools.state.rows.items()
        if row.stale is None
    }
    return accounts, pools


@pytest.mark.parametrize("seq", [1, 40_000, 85_000, 146_000])
def test_the_day_stands_as_it_did(day, seq):
    """Accounts, reserves and ages of pools are those that the whole way there leads to."""
    way = [(record.time, record.event) for record in day.records(seq_to=seq) if record.cause is None]
    told = opening_of(day, seq)
    assert standing(seen(told)) == standing(seen(way))
    assert len(told) < 400


def test_swaps_of_a_part_are_judged_as_exactly_as_in_the_whole(day, tmp_path):
    seq = 120_000
    rest = [(record.time, record.event) for record in day.records(seq_from=seq) if record.cause is None]
    (row,) = fidelity([testing.record([*opening_of(day, seq), *rest], tmp_path / "part")]).errors.values()
    assert row.equal == row.swaps > 1_000


def test_what_a_gap_hid_is_not_told(tmp_path):
    market = testing.Market(slot=400_000_000)
    for venue in ("raydium", "orca"):
        market.accounts(SETS[venue].accounts)
    market.slot()
    market.say(GapOpened("feed", market.at_slot, None, "test"))
    market.slot()
    market.swap(SETS["orca"].pool, SETS["orca"].mints[1], 10**7)
    events = list(market.slot())
    recording = testing.record(events, tmp_path / "log")
    told = [event for _, event in opening_of(recording, recording.next_seq)]
    written = {event.pubkey for _, event in events[-8:] if isinstance(event, AccountWritten)}
    accounts = [event for event in told if isinstance(event, AccountWritten)]
    assert {event.pubkey for event in accounts} == written
    assert {event.source for event in accounts} == {SOURCE}
    assert not [event for event in told if isinstance(event, Trade)]
    assert {event.pool_address for event in told if isinstance(event, PoolStateUpdate)} <= {SETS["orca"].pool}
