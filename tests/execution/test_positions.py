"""PositionAuthority: confirmed fills own a position, snapshots reconcile, cost is averaged."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.units import NATIVE_SOL, SOL_MINT
from ironcrab.execution.positions import Fill, PositionAuthority


def fill(raw, slot=10, mint="M", time=0):
    return Fill(mint, raw, 6, slot, time)


def test_selling_more_than_is_held_needs_reconciling():
    told = PositionAuthority()
    told.bought(fill(100), 5, 0)
    share, update = told.sold(fill(150))
    assert (update.balance_raw, update.status, update.sold_raw_total) == (0, "ReconcileNeeded", 150)
    assert share.cost_lamports is None


def test_snapshots():
    told = PositionAuthority()
    update = told.reported("M", 250, 6, 5)
    assert (update.balance_raw, update.status, update.last_update_source) == (250, "ReconcileNeeded", "WalletSnapshot")
    assert told.reported("M", 250, 6, 6).status == "Open", "an equal one settles the doubt"
    assert told.reported("M", 250, 6, 7) is None
    update = told.reported("M", 0, 6, 8)
    assert (update.balance_raw, update.status) == (0, "Closed")
    assert told.held() == 0
    assert told.reported("N", 0, 6, 9) is None


def test_money_is_no_position():
    told = PositionAuthority()
    for mint in (SOL_MINT, NATIVE_SOL):
        assert told.reported(mint, 5, 9, 1) is None
        assert told.bought(fill(5, mint=mint), 1, 1) is None
        assert told.sold(fill(5, mint=mint))[1] is None
    assert not told.positions


def test_a_partial_sell_leaves_the_rest_open():
    told = PositionAuthority()
    told.bought(fill(25_313_868_645), 1_250_000, 0)
    told.bought(fill(56_323_355_801), 3_750_000, 0)
    _, update = told.sold(fill(25_313_868_645))
    assert (update.status, update.balance_raw) == ("Open", 56_323_355_801)


def test_average_cost_is_floored_and_nothing_is_lost():
    told = PositionAuthority()
    told.bought(fill(3), 10, 4)
    told.bought(fill(4), 11, 3)
    shares = [told.sold(fill(raw))[0] for raw in (2, 2, 3)]
    assert [share.cost_lamports for share in shares] == [6, 6, 9]
    assert [share.fee_lamports for share in shares] == [2, 2, 3]


def test_a_fill_that_a_snapshot_shows_is_not_added_again():
    told = PositionAuthority()
    told.reported("M", 100, 6, 10)
    update = told.bought(fill(100, slot=10), 50, 1)
    assert (update.balance_raw, update.status, update.last_update_source) == (100, "Open", "Execution")
    told.reported("M", 0, 6, 20)
    share, update = told.sold(fill(100, slot=20))
    assert (share.cost_lamports, update.balance_raw, update.status) == (50, 0, "Closed")


def test_a_late_snapshot_does_not_bring_sold_tokens_back():
    told = PositionAuthority()
    told.bought(fill(100, slot=10), 50, 1)
    told.sold(fill(100, slot=20))
    assert told.reported("M", 100, 6, 19) is None
    assert told.held() == 0


def test_a_complete_snapshot_closes_what_it_lacks_after_the_grace():
    told = PositionAuthority()
    told.bought(fill(100, time=1000), 50, 1)
    told.reported("N", 5, 6, 1)
    gone = told.complete((), 30, 91_000, 90_000)
    assert [update.mint for update in gone] == ["N"]
    gone = told.complete((), 30, 91_001, 90_000)
    assert [(update.mint, update.status) for update in gone] == [("M", "Closed")]
    assert told.complete((), 30, 91_001, 90_000) == []


def test_a_complete_snapshot_of_an_earlier_slot_takes_nothing_away():
    told = PositionAuthority()
    told.reported("M", 100, 6, 50)
    assert told.complete((), 49, 10**6, 90_000) == []
    assert told.balance("M") == 100
    (update,) = told.complete((), 50, 10**6, 90_000)
    assert (update.mint, update.status) == ("M", "Closed")
    assert told.reported("M", 100, 6, 49) is None, "nor does a late word bring it back"
    assert told.held() == 0


def test_an_empty_account_settles_the_doubt_about_a_position_sold_twice():
    told = PositionAuthority()
    told.bought(fill(100), 5, 0)
    told.sold(fill(150))
    update = told.reported("M", 0, 6, 11)
    assert (update.balance_raw, update.status, update.last_update_source) == (0, "Closed", "WalletSnapshot")
    assert told.reported("M", 0, 6, 12) is None


def test_closed_positions_are_forgotten():
    told = PositionAuthority()
    told.bought(fill(1), 1, 0)
    told.sold(fill(1))
    told.prune(90_000, 9_010, 90_000, 9_000)
    assert told.positions
    told.prune(90_001, 9_011, 90_000, 9_000)
    assert not told.positions


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 1000), st.integers(0, 10**6)), max_size=30))
def test_cost_is_conserved(moves):
    told = PositionAuthority()
    paid = carried = held = 0
    for is_buy, raw, cost in moves:
        if is_buy:
            paid += cost
            held += raw
            told.bought(fill(raw), cost, 0)
        elif raw <= held:
            share, _ = told.sold(fill(raw))
            held -= raw
            carried += share.cost_lamports
        position = told.positions.get("M")
        assert position is None or position.balance_raw == held
        assert position is None or carried + position.cost_lamports == paid
        assert position is None or held or position.cost_lamports == 0
    assert msgspec.json.decode(msgspec.json.encode(told), type=PositionAuthority) == told
