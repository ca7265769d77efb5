"""The scenarios that trade generated markets show what they promise: two regimes, and arbitrage between pools."""

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from ironcrab.check import CHECKS
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, TradeIntent, Verdict
from ironcrab.log.recording import Recording
from ironcrab.mode.generating import market_of
from ironcrab.mode.run import run_events
from ironcrab.mode.scenario import load
from ironcrab.mode.synthetic import events
from ironcrab.mode.verify import follow

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def played(name, count, folder):
    """A recording of the scenario over the first `count` events of its market, and what was said in it."""
    path = SCENARIOS / f"{name}.toml"
    market = islice(events(market_of(path)), count)
    run_events(market, name, load(path), folder / name)
    recording = Recording.open(folder / name)
    return recording, [record.event for record in recording.records()]


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    return played("two-pools", 8_000, tmp_path_factory.mktemp("pools"))


@pytest.fixture(scope="module")
def regimes(tmp_path_factory):
    return played("regimes", 30_000, tmp_path_factory.mktemp("regimes"))


def test_arbitrage_trades_between_generated_pools(pools):
    _, said = pools
    ended = [event for event in said if isinstance(event, ExecutionResult) and event.status != "sent"]
    by = Counter(event.status for event in ended)
    assert by["confirmed"] >= 30
    assert by["failed"] >= 10, "others are faster now and then"
    assert min(event.pnl.net_lamports for event in ended if event.status == "confirmed") > 0
    # a bundle lands whole or not at all: a failure costs its fee
    assert min(event.wallet_sol_delta_lamports for event in ended) >= -50_000
    assert sum(event.wallet_sol_delta_lamports for event in ended) > 0
    codes = {event.code for event in said if isinstance(event, Verdict)}
    assert {
        "ARB_TWO_HOP", "ARB_ROUND_TRIP_UNPROFITABLE", "ARB_SPREAD_BELOW_MIN", "ARB_PROFIT_BELOW_MIN", "ARB_IN_FLIGHT",
        "ARB_COOLDOWN", "ARB_QUOTE_STALE", "ARB_SLOT_DELTA_EXCEEDED",
    } <= codes  # fmt: skip
    assert all(event.measures for event in said if isinstance(event, Verdict))


def test_both_regimes_trade_and_say_their_own_codes(regimes):
    _, said = regimes
    codes = {(event.regime, event.code) for event in said if isinstance(event, Verdict)}
    assert {("Early", "ENTER_PROBE_BUY"), ("Established", "ENTER_PROBE_BUY"), ("Early", "ENTER_SCALE_IN")} <= codes
    own = {"WAIT_BREAKOUT", "WAIT_VOLATILITY_EXPANSION"}
    assert own <= {code for regime, code in codes if regime == "Established"}
    assert not own & {code for regime, code in codes if regime == "Early"}
    assert ("Early", "REJECT_BUNDLED_BUYS") in codes
    sells = [event for event in said if isinstance(event, TradeIntent) and event.side == "Sell"]
    assert {event.metadata["sell_routing"] for event in sells} >= {"primary", "multi_pool"}
    assert len({event.metadata["exit_type"] for event in sells}) >= 4
    assert {event.regime for event in sells} == {"Early", "Established"}
    outcomes = Counter(event.outcome for event in said if isinstance(event, DecisionRecord))
    assert outcomes["Confirmed"] >= 40


@pytest.mark.parametrize("name", ["pools", "regimes"])
def test_it_verifies_and_every_check_holds(name, request):
    recording, _ = request.getfixturevalue(name)
    assert follow(recording).verdict == "identical"
    for check in CHECKS:
        assert list(check.ask(recording)) == [], check.name
