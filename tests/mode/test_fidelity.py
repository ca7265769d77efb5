"""How far the fill model is from recorded swaps: not at all where the state before is known."""

from pathlib import Path

import msgspec

from ironcrab import testing
from ironcrab.domain.control import GapOpened
from ironcrab.domain.market import DexPoolAccounts, PoolCreated, PoolStateUpdate, Trade
from ironcrab.log.recording import Recording
from ironcrab.mode.fidelity import fidelity
from tests.pool_sets import sets

ROOT = Path(__file__).parents[2]
SETS = sets()


def traded(venues, steps=40):
    """Swaps both ways on one pool of each venue, several a slot."""
    market = testing.Market(slot=400_000_000)
    for venue in venues:
        market.accounts(SETS[venue].accounts)
    market.slot()
    for step in range(steps):
        for venue in venues:
            pools = SETS[venue]
            market.swap(pools.pool, pools.mints[1], 10**7 + step * 12_345, is_buy=step % 5 < 3)
        if step % 3 == 0:
            market.slot()
    return market.slot()


def test_every_swap_is_equal_where_the_state_before_is_known(tmp_path):
    found = fidelity([testing.record(traded(SETS), tmp_path / "log")])
    assert found.unjudged == {}
    assert {key: (row.swaps, row.equal, row.ppm) for key, row in found.errors.items()} == {
        (venue, "exact"): (40, 40, {0: 40}) for venue in SETS
    }
    assert found.swaps == 240


def test_a_lagging_state_is_not_equal(tmp_path):
    recording = testing.record(traded(["raydium"]), tmp_path / "log")
    row = fidelity([recording], behind=4).errors["raydium", "exact"]
    assert row.swaps > 30
    assert row.equal < row.swaps
    assert row.within(10_000) == row.swaps


def test_two_swaps_of_a_transaction_are_judged_one_after_the_other(tmp_path):
    """The second begins where the first ended, on the same pool and on another one of the route."""
    market = testing.Market(slot=400_000_000)
    pools = [SETS["raydium"], SETS["pump_amm"]]
    for each in pools:
        market.accounts(each.accounts)
    market.slot()
    begin = len(market.told)
    for turn in range(4):
        market.swap(pools[turn % 2].pool, pools[turn % 2].mints[1], 10**8)
    one = [(time, msgspec.structs.replace(event, signature="one")) for time, event in market.told[begin:]]
    writes = [pair for pair in one if not isinstance(pair[1], Trade)]
    trades = [pair for pair in one if isinstance(pair[1], Trade)]
    market.told[begin:] = writes + trades
    found = fidelity([testing.record(market.slot(), tmp_path / "log")])
    assert [(row.swaps, row.equal) for row in found.errors.values()] == [(2, 2), (2, 2)]


def test_what_cannot_be_judged_is_counted_and_named(tmp_path):
    market = traded(["orca", "pump_amm"], steps=10)
    market.say(GapOpened("feed", market.at_slot, None, "test"))
    for venue in ("orca", "pump_amm"):
        market.swap(SETS[venue].pool, SETS[venue].mints[1], 10**7)
    nothing = [(time, event) for time, event in market if isinstance(event, Trade)][:2]
    found = fidelity([testing.record(market, tmp_path / "log"), testing.record(nothing, tmp_path / "bare")])
    assert sum(row.equal for row in found.errors.values()) == 20
    assert sum(found.unjudged.values()) == 4
    assert all(why for _, why in found.unjudged)


DAY = ROOT / "recordings" / "whirlpool-2022-04-06"


def test_the_shipped_day_is_equal_to_the_last_unit():
    """Its accounts are recorded. One swap got nothing for what it paid, which is no price to be compared."""
    found = fidelity([Recording.open(DAY)])
    assert found.swaps == 9_466
    row = found.errors["orca", "exact"]
    assert (row.swaps, row.equal) == (9_465, 9_465)
    assert found.unjudged == {("orca", "an amount of zero"): 1}


def test_the_same_day_without_its_accounts_is_judged_on_its_last_trades(tmp_path):
    """Nothing is exact then, and the report says so in numbers."""
    told = [
        (record.time, record.event)
        for record in Recording.open(DAY).records(types=(DexPoolAccounts, PoolCreated, PoolStateUpdate, Trade))
    ]
    found = fidelity([testing.record(told, tmp_path / "bare")])
    assert found.swaps == 9_466
    row = found.errors["orca", "last_trade"]
    assert (row.swaps, row.equal) == (9_457, 0)
    assert sum(found.unjudged.values()) == 9
    quantiles = row.quantiles()
    assert -3_100 < quantiles["p05"] < quantiles["p50"] < quantiles["p95"] < 0
