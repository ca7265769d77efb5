"""Fees and arbitration: the original's numbers, and orders that follow from the documented formula."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.ask import SimulateAnswer, SimulateAsk
from ironcrab.domain.control import ClockTick
from ironcrab.domain.market import PriorityFeePercentiles
from ironcrab.execution.arbitrate import ranked
from ironcrab.execution.fees import fees_of, min_profit_for_landing, policy_of, profit_after_fees_bps, tip_of
from ironcrab.execution.params import EngineParams, config_snapshot_id
from ironcrab.execution.state import Waiting
from tests.execution.stage import T0, Stage, buy, mint_info, sell, trade

PARAMS = EngineParams()
SEEN = PriorityFeePercentiles(100, 7, 25, 5_000, 75, 90, 13_500, 6_000, 9_000)


def fees(params=PARAMS, seen=None, **fields):
    return fees_of(params, buy(**fields), seen)


def test_static_fees_by_tier_and_urgency():
    plain = fees()
    assert (plain.compute_units, plain.priority_fee_micro_lamports, plain.network_lamports) == (200_000, 1_000, 5_200)
    assert fees(tier="Arb").priority_fee_micro_lamports == 5_500
    assert fees(tier="Tier0").priority_fee_micro_lamports == 10_000
    assert fees(tier="Tier0", hint_urgency=1).priority_fee_micro_lamports == 20_000
    assert fees(tier="Tier0", hint_urgency=2).priority_fee_micro_lamports == 50_000
    assert fees(tier="Tier0", hint_urgency=9).priority_fee_micro_lamports == 50_000


def test_hints_are_capped():
    told = fees(hint_compute_units=2_000_000, hint_priority_fee_micro_lamports=200_000)
    assert (told.compute_units, told.priority_fee_micro_lamports) == (1_400_000, 100_000)
    real = fees(hint_compute_units=400_000, hint_priority_fee_micro_lamports=100_000)
    assert real.network_lamports == 45_000, "the arbitrage records of January 2026"


def test_bundles():
    told = fees(require_bundle=True)
    assert (told.compute_units, told.tip_lamports) == (400_000, 10_000)
    assert fees(require_bundle=True, bundle_tip_lamports=100_000).tip_lamports == 100_000
    assert fees(bundle_tip_lamports=100_000).tip_lamports == 0, "no bundle, no tip"


def test_recommended_fees():
    told = fees(seen=SEEN)
    assert (told.priority_fee_micro_lamports, told.source) == (6_000, "dynamic")
    assert fees(seen=SEEN, tier="Tier0").priority_fee_micro_lamports == 13_500
    assert fees(seen=SEEN, tier="Arb").priority_fee_micro_lamports == 9_000
    low = msgspec.structs.replace(PARAMS, tier1_fee_percentile=25)
    assert fees(low, SEEN).priority_fee_micro_lamports == 1_000
    assert fees(low, SEEN).source == "static_floor"
    assert fees(msgspec.structs.replace(PARAMS, tier1_fee_percentile=60), SEEN).priority_fee_micro_lamports == 6_000


def test_profit_after_fees():
    assert profit_after_fees_bps(100, 5_200, 100_000) == -420
    for roi, left in ((814, 810), (110, 106), (129, 125)):
        assert profit_after_fees_bps(roi, 45_000, 100_000_000) == left
    assert profit_after_fees_bps(100, 1, 0) is None


def test_liquidation_policy():
    params = msgspec.structs.replace(
        PARAMS,
        liquidation_priority_fee_micro_lamports=7,
        liquidation_max_priority_fee_micro_lamports=9,
        liquidation_max_tx_cost_lamports=11,
    )
    told = policy_of(params, sell(1, metadata={"purpose": "liquidation"}))
    assert (
        told.name,
        told.static_fee_micro_lamports,
        told.max_priority_fee_micro_lamports,
        told.max_tx_cost_lamports,
    ) == ("liquidation", 7, 9, 11)
    assert policy_of(params, sell(1)).name == "standard"


def test_the_config_id_follows_the_values():
    assert config_snapshot_id(PARAMS) == config_snapshot_id(EngineParams())
    assert config_snapshot_id(PARAMS) != config_snapshot_id(EngineParams(max_open_positions=6))
    assert len(config_snapshot_id(PARAMS)) == 20


def order(*intents, now=T0, slot=100):
    return [
        one.intent
        for one in ranked([Waiting(seq, 0, T0, intent) for seq, intent in enumerate(intents)], PARAMS, now, slot)
    ]


def test_tier_goes_before_value():
    assert order(
        buy(tier="Arb", expected_value_lamports=10**9), buy(expected_value_lamports=5), sell(1, tier="Tier0")
    ) == [2, 1, 0]


def test_value_times_urgency_times_nearness():
    assert order(buy(expected_value_lamports=100), buy(expected_value_lamports=101)) == [1, 0]
    assert order(buy(expected_value_lamports=100), buy(expected_value_lamports=60, hint_urgency=1)) == [1, 0]
    assert order(buy(expected_value_lamports=100), buy(expected_value_lamports=60, ttl_ms=2500)) == [1, 0]
    assert order(buy(expected_value_lamports=100), buy(expected_value_lamports=60, deadline_slot=101)) == [1, 0]
    assert order(buy(), buy(), sell(1)) == [0, 1, 2], "equal ones in the order they were said"
    assert order(buy(10**8, expected_roi_bps=100), buy(10**8, expected_roi_bps=101)) == [1, 0]


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.permutations(range(6)))
def test_order_does_not_depend_on_the_order_of_asking(places):
    made = [
        Waiting(seq, 0, T0, buy(tier=("Tier0", "Tier1", "Arb")[seq % 3], expected_value_lamports=seq // 3))
        for seq in range(6)
    ]
    first = ranked(made, PARAMS, T0, 1)
    assert ranked([made[place] for place in places], PARAMS, T0, 1) == first


AUCTION = EngineParams(bundle_auction_enabled=True)


def test_the_auction_s_numbers_are_the_contract_s():
    assert min_profit_for_landing(AUCTION, 100_000, 45_000) == 966_667
    assert min_profit_for_landing(AUCTION, 1, 45_000) == 966_667, "the least tip counts where less is offered"
    assert min_profit_for_landing(EngineParams(bundle_auction_max_spend_bps=0), 100_000, 45_000) is None
    assert min_profit_for_landing(EngineParams(bundle_min_profit_lamports=7), 100_000, 45_000) == 7


def test_a_tip_that_nobody_names_is_a_share_of_the_profit_between_two_bounds():
    def tip(roi, raw=1_000_000_000, **fields):
        return tip_of(AUCTION, buy(raw, require_bundle=True, expected_roi_bps=roi, **fields))

    assert (tip(10), tip(-5)) == (100_000, 100_000)
    assert tip(200) == 2_000_000
    assert tip(150) == 1_500_000
    assert tip(9_000) == 2_000_000
    assert tip(150, bundle_tip_lamports=5) == 5
    assert tip_of(EngineParams(), buy(require_bundle=True)) == 10_000
    assert tip_of(AUCTION, buy()) == 0
    assert (
        tip_of(EngineParams(bundle_auction_enabled=True, bundle_tip_min_lamports=0), buy(1, require_bundle=True))
        == 1_000
    )


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 10**12), st.integers(0, 10**10), st.integers(1, 10_000))
def test_what_lands_spends_no_more_than_its_share(tip, priority, spend):
    params = EngineParams(bundle_auction_max_spend_bps=spend)
    least = min_profit_for_landing(params, tip, priority)
    assert (tip + priority) * 10_000 <= spend * least
    assert (max(tip, 100_000) + priority) * 10_000 > spend * (least - 1)


def test_of_a_plan_with_instructions_the_fee_is_rounded_up_as_the_chain_charges_it():
    odd = {"hint_compute_units": 200_001, "hint_priority_fee_micro_lamports": 1}
    assert fees(**odd).priority_lamports == 0
    assert fees(EngineParams(plans="built"), **odd).priority_lamports == 1


def test_an_estimate_is_taken_where_no_hint_is_given_and_may_break_the_cap():
    assert fees_of(PARAMS, buy(), None, 77).compute_units == 77
    assert fees_of(PARAMS, buy(), None, 2_000_000).compute_units == 2_000_000
    assert fees_of(PARAMS, buy(hint_compute_units=5), None, 77).compute_units == 5


def auctioned(roi, raw=100_000_000, **params):
    """The rows of an arbitrage that is auctioned, in the end."""
    stage = Stage(paper=None, **{"jito_enabled": True, "bundle_auction_enabled": True, **params})
    stage.take(trade(5))
    stage.take(mint_info())
    stage.take(buy(raw, require_bundle=True, expected_roi_bps=roi, min_out=1))
    stage.take(ClockTick())
    asks = [record.seq for record in stage.records if type(record.event) is SimulateAsk]
    if asks:
        stage.take(SimulateAnswer(asks[0], False, "x"))
    return {row.check_name: row for row in stage.decisions[0].checks}


def test_a_bundle_that_would_spend_too_much_of_its_profit_is_refused():
    row = auctioned(60)["bundle_auction"]
    assert (row.passed, row.reason_code) == (False, "FEE_UNPROFITABLE")
    assert row.details == "profit=600000 tip=100000 priority=400 < min=669334"
    assert auctioned(70)["bundle_auction"].details == "profit=700000 tip=100000 priority=400 >= min=669334"
    told = auctioned(100, 42_380_200)["bundle_auction"]
    assert (told.passed, told.details) == (False, "profit=423802 tip=100000 priority=400 < min=669334"), "theirs, 1.12"
    assert auctioned(9_000, bundle_auction_max_spend_bps=0)["bundle_auction"].details.endswith("< min=none")
    assert "bundle_auction" not in auctioned(60, bundle_auction_enabled=False)
