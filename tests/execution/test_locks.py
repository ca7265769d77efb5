"""Locks: capital never overbooks and is conserved, pools have one holder, fairness protects the preempted."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.units import NATIVE_SOL, SOL_MINT
from ironcrab.execution.locks import Asset, Capital, PoolLock, Pools, Refused
from ironcrab.execution.params import EngineParams

PARAMS = EngineParams()
SOL = 1_000_000_000
ASSETS = (NATIVE_SOL, SOL_MINT, "A", "B")


def capital(**balances):
    told = Capital()
    for name, raw in balances.items():
        told.reported(name, raw, 1, 0)
    return told


def test_half_a_sol():
    told = capital(NATIVE_SOL=SOL)
    assert told.lock(1, NATIVE_SOL, SOL // 2, 100)
    assert told.assets[NATIVE_SOL].available == SOL // 2
    assert told.assets[NATIVE_SOL].total == SOL
    assert not told.lock(1, NATIVE_SOL, 1, 100), "an intent holds one lock"
    told.release(1)
    assert told.assets[NATIVE_SOL] == msgspec.structs.replace(told.assets[NATIVE_SOL], available=SOL, locked=0)


def test_a_snapshot_keeps_what_is_locked():
    told = capital(**{SOL_MINT: SOL})
    told.lock(1, SOL_MINT, 400_000_000, 100)
    told.reported(SOL_MINT, SOL, 2, 5)
    assert told.assets[SOL_MINT].available == 600_000_000
    assert told.assets[SOL_MINT].total == SOL
    assert told.assets[SOL_MINT].seq == 5


def test_a_wrap_conserves_the_sum():
    told = capital(**{NATIVE_SOL: 3 * SOL, SOL_MINT: 0})
    told.reported(NATIVE_SOL, SOL, 2, 1)
    assert told.available(SOL_MINT) == 0
    told.reported(SOL_MINT, 2 * SOL, 2, 2)
    assert (told.available(NATIVE_SOL), told.available(SOL_MINT)) == (SOL, 2 * SOL)


def test_tokens_held():
    held = capital(
        **{f"M{index}": raw for index, raw in enumerate((100_000, 200_000, 0, 500_000, 300_000))}, NATIVE_SOL=1
    )
    assert held.tokens_held() == 4


def test_a_fill_is_counted_once_in_either_order():
    first, second = capital(A=0), capital(A=0)
    first.asset("A").receive(70, 9, 1)
    first.reported("A", 70, 9, 2)
    second.reported("A", 70, 9, 1)
    second.asset("A").receive(70, 9, 2)
    assert first.available("A") == second.available("A") == 70


def test_a_stale_snapshot_is_ignored():
    told = capital(A=100)
    told.lock(1, "A", 100, 9)
    told.settle(1, "A", 100, 20, 5)
    told.reported("A", 100, 19, 6)
    assert told.available("A") == 0
    told.reported("A", 3, 20, 7)
    assert told.available("A") == 3


def test_a_confirmed_sell_does_not_restore_what_was_sold():
    told = capital(A=100)
    told.lock(1, "A", 100, 9)
    told.settle(1, "A", 60, 20, 5)
    assert (told.available("A"), told.assets["A"].locked) == (40, 0)


def test_the_snapshot_of_a_landed_buy_does_not_spend_twice():
    told = capital(NATIVE_SOL=SOL)
    told.lock(1, NATIVE_SOL, SOL // 2, 9)
    told.reported(NATIVE_SOL, SOL // 2, 20, 5)
    assert told.available(NATIVE_SOL) == 0
    told.settle(1, NATIVE_SOL, SOL // 2, 20, 6)
    assert told.available(NATIVE_SOL) == SOL // 2


def test_empty_assets_are_forgotten():
    told = capital(A=0, B=5, NATIVE_SOL=0)
    told.prune(9_002)
    assert list(told.assets) == ["B", NATIVE_SOL]


def test_an_empty_asset_is_not_forgotten_while_a_lock_names_it():
    told = Capital()
    assert told.lock(1, "C", 0, 10)
    told.prune(9_002)
    told.release(1)
    told.prune(9_002)
    assert not told.assets


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.data())
def test_capital_is_conserved_under_any_sequence(data):
    told = Capital()
    slot = 0
    for seq in range(data.draw(st.integers(1, 40))):
        slot += data.draw(st.integers(0, 2))
        name = data.draw(st.sampled_from(ASSETS))
        amount = data.draw(st.integers(0, 200))
        intent = data.draw(st.integers(0, 5))
        what = data.draw(st.sampled_from(["report", "lock", "release", "settle", "receive", "sent", "prune"]))
        if what == "report":
            told.reported(name, amount, slot - data.draw(st.integers(0, 3)), seq)
        elif what == "lock":
            free, held = told.available(name), intent in told.locks
            assert told.lock(intent, name, amount, 10) == (not held and amount <= free)
        elif what == "release":
            told.release(intent)
        elif what == "settle":
            lock = told.locks.get(intent)
            told.settle(intent, lock.asset if lock else name, amount, slot, seq)
            assert intent not in told.locks
        elif what == "receive":
            told.asset(name).receive(amount, slot, seq)
        elif what == "sent" and intent in told.locks:
            told.sent(intent)
        elif what == "prune":
            told.prune(slot)
        for asset, row in told.assets.items():
            assert row.available >= 0 <= row.locked
            assert row.available + row.locked == row.total
            assert row.locked == sum(lock.amount for lock in told.locks.values() if lock.asset == asset)
    assert msgspec.json.decode(msgspec.json.encode(told), type=Capital) == told


def holder(intent, tier="Tier1", source="s"):
    return PoolLock(intent, f"i{intent}", source, tier)


def test_all_pools_or_none():
    pools = Pools()
    assert pools.lock(("A",), holder(1), 0, PARAMS) == ()
    got = pools.lock(("B", "A"), holder(2), 0, PARAMS)
    assert isinstance(got, Refused)
    assert (got.pool, got.holder.intent, got.protected) == ("A", 1, False)
    assert list(pools.locks) == ["A"]
    assert pools.lock(("A", "C"), holder(1), 0, PARAMS) == (), "an intent may ask again for what it holds"
    pools.release(1)
    assert not pools.locks


def test_a_smaller_tier_preempts_and_never_the_reverse():
    for strong, weak in (("Tier0", "Tier1"), ("Tier0", "Arb"), ("Tier1", "Arb")):
        pools = Pools()
        pools.lock(("A", "B"), holder(1, weak), 0, PARAMS)
        assert pools.lock(("A",), holder(2, strong), 0, PARAMS) == (holder(1, weak),)
        assert list(pools.locks) == ["A"], "the victim loses every pool"
        assert isinstance(pools.lock(("A",), holder(3, weak), 0, PARAMS), Refused)
        assert isinstance(pools.lock(("A",), holder(4, strong), 0, PARAMS), Refused), "equal tiers conflict"


def test_fairness_protects_after_five_preemptions():
    pools = Pools()
    for time in range(5):
        pools.lock(("A",), holder(2 * time), time * 1000, PARAMS)
        assert len(pools.lock(("A",), holder(2 * time + 1, "Tier0"), time * 1000, PARAMS)) == 1
        pools.release(2 * time + 1)
    pools.lock(("A",), holder(50), 5000, PARAMS)
    got = pools.lock(("A",), holder(51, "Tier0"), 5000, PARAMS)
    assert isinstance(got, Refused)
    assert got.protected
    assert len(pools.lock(("A",), holder(51, "Tier0"), 34_000, PARAMS)) == 1, "protection ends after 30 s"


def test_fairness_counts_within_its_window_and_forgets():
    pools = Pools()
    for time in range(9):
        pools.lock(("A",), holder(2 * time), time * 20_000, PARAMS)
        assert len(pools.lock(("A",), holder(2 * time + 1, "Tier0"), time * 20_000, PARAMS)) == 1
        pools.release(2 * time + 1)
        assert len(pools.sources["s"].times) <= 3
    pools.lock(("A",), holder(98, source="other"), 10**7, PARAMS)
    pools.lock(("A",), holder(99, "Tier0"), 10**7, PARAMS)
    assert list(pools.sources) == ["other"]


def test_an_asset_names_its_numbers_when_it_breaks():
    row = Asset(available=1, locked=0, total=1)
    row.total = 2
    with pytest.raises(AssertionError, match="capital not conserved"):
        row.hold(1)


def test_fills_of_two_slots_told_in_the_wrong_order_are_both_spent():
    told = capital(A=1_000)
    for intent in (1, 2):
        told.lock(intent, "A", 100, 9)
    told.reported("A", 900, 7, 3)
    told.settle(2, "A", 100, 8, 4)
    assert told.assets["A"].total == 800
    told.settle(1, "A", 100, 5, 5)
    assert told.assets["A"].total == 800, "slot 7 shows the fill of slot 5, and not that of slot 8"
    assert told.available("A") == 800


def test_what_is_freed_is_no_more_than_the_wallet_holds():
    told = capital(A=1_000)
    told.lock(1, "A", 700, 9)
    told.reported("A", 500, 7, 3)
    assert (told.assets["A"].total, told.available("A")) == (700, 0)
    told.release(1)
    assert told.available("A") == 500


def test_a_state_from_before_goes_on_with_what_it_had():
    old = msgspec.json.decode(b'{"available": 5, "locked": 2, "total": 7}', type=Asset)
    old.free(2)
    assert (old.available, old.total) == (7, 7)
