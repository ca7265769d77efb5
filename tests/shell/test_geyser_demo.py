"""The demo market: same seed, same bytes; what it tells agrees with itself to the last unit."""

import subprocess
import sys

from blake3 import blake3

from ironcrab.dex import VENUES
from ironcrab.dex.address import TOKEN
from ironcrab.dex.mint import amount_of
from ironcrab.domain.market import AccountWritten, PoolCreated, PoolStateUpdate, TokenMintInfo, Trade
from ironcrab.ingest.normalise import Normaliser
from ironcrab.shell.geyser_demo import demo
from ironcrab.shell.geyser_faults import CHAIN, read, told


def digest(seed, rate, slots):
    hasher = blake3()
    for update in demo(seed, rate, slots):
        hasher.update(update.body)
    return hasher.hexdigest()


def events(seed, rate, slots):
    normaliser = Normaliser()
    found = [event for update in demo(seed, rate, slots) for _, event in normaliser.feed(update.body)]
    return found, normaliser.counts


def test_same_seed_same_bytes_whatever_the_hash_seed():
    here = digest(7, 150, 4)
    assert here == digest(7, 150, 4) != digest(8, 150, 4)
    code = (
        "from blake3 import blake3; from ironcrab.shell.geyser_demo import demo; h = blake3();"
        "[h.update(u.body) for u in demo(7, 150, 4)]; print(h.hexdigest())"
    )
    for seed in ("0", "99"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == here


def test_everything_it_tells_becomes_events():
    found, counts = events(1, 300, 40)
    assert set(counts) <= {"slot_status_3", "slot_status_4"}
    trades = [event for event in found if isinstance(event, Trade)]
    assert {trade.dex for trade in trades} == {venue.id for venue in VENUES}
    for venue in VENUES:
        assert {trade.is_buy for trade in trades if trade.dex == venue.id} == {True, False}
    born = [event for event in found if isinstance(event, PoolCreated)]
    assert len(born) >= 4
    minted = {event.mint for event in found if isinstance(event, TokenMintInfo) and event.mint_authority is None}
    assert {event.base_mint for event in born} <= minted


def test_reserves_that_swaps_tell_are_those_that_vaults_hold():
    """Each PoolStateUpdate of a venue with vaults is followed by writes of its vaults that hold just that."""
    found, _ = events(2, 300, 30)
    vaults = {}
    checked = 0
    for place, event in enumerate(found):
        if not isinstance(event, PoolStateUpdate) or event.dex == "pumpfun":
            continue
        writes = []
        for later in found[place + 1 :]:
            if not isinstance(later, AccountWritten):
                break
            if later.owner == TOKEN and len(later.data) == 165:
                writes.append(amount_of(later))
        assert set(writes) >= {event.reserve_base, event.reserve_quote}, event.dex
        vaults[event.dex] = vaults.get(event.dex, 0) + 1
        checked += 1
    assert checked > 300
    assert set(vaults) == {"raydium", "orca", "meteora_dlmm", "pump_amm"}


def test_trades_move_reserves_by_their_amounts():
    """From one state of a pool to the next the reserves differ by what the trade between them moved."""
    found, _ = events(3, 300, 30)
    state, trade, checked = {}, None, 0
    for event in found:
        if isinstance(event, Trade):
            trade = event
        elif isinstance(event, PoolStateUpdate):
            assert trade.pool_address == event.pool_address
            before = state.get(event.pool_address)
            if before is not None and trade.dex in ("raydium", "orca", "pump_amm", "pumpfun"):
                sign = 1 if trade.is_buy else -1
                assert event.reserve_quote - before.reserve_quote == sign * trade.sol_amount
                assert before.reserve_base - event.reserve_base == sign * trade.token_amount
                checked += 1
            state[event.pool_address] = event
    assert checked > 500


def test_faults_of_the_chain_leave_the_rest_alone():
    updates = list(demo(4, 100, 12))
    for kind in CHAIN:
        changed = list(told(iter(updates), [read(f"{kind}@300")]))
        first = next(place for place, (a, b) in enumerate(zip(updates, changed, strict=False)) if a.body != b.body)
        assert 300 <= first < 700
        assert [u.body for u in updates[:300]] == [u.body for u in changed[:300]]
    assert list(told(iter(updates), [read("cut@3")])) == updates
