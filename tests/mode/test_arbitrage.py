"""Arbitrage under the paper world: it trades with profit, verifies, explains, and gives the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.check import CHECKS
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, TradeIntent, Verdict
from ironcrab.log.recording import Recording
from ironcrab.mode.explain import explain
from ironcrab.mode.paper import Paper
from ironcrab.mode.run import Drive, run_events, with_ticks
from ironcrab.mode.scenario import load, read
from ironcrab.mode.verify import follow
from ironcrab.mode.why import why
from tests.drifting import MINT, POOLS, ROUND, drifting, events

ROOT = Path(__file__).parents[2]
SCENARIO = ROOT / "scenarios" / "arbitrage.toml"


def drive(market, scenario=None, **arbitrage):
    """Every record of a run, in memory."""
    if scenario is None:
        scenario = load(SCENARIO, tuple((f"arbitrage.{key}", str(value).lower()) for key, value in arbitrage.items()))
    records = []
    paper = Paper(scenario.paper)

    def append(record):
        records.append(record)
        paper.see(record)

    stage = Drive(scenario, append, (paper,))
    for time, event in with_ticks(market):
        if stage.loop.seq == 0:
            stage.open(time)
        stage.take(event, time)
    stage.close()
    return records


def results(records):
    return [
        record.event
        for record in records
        if isinstance(record.event, ExecutionResult) and record.event.status != "sent"
    ]


@pytest.fixture(scope="module", params=["pair", "cycle"])
def made(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("arbitrage") / request.param
    market = events(drifting(3), POOLS if request.param == "pair" else ROUND)
    run_events(market, "drifting", load(SCENARIO), out)
    return request.param, Recording.open(out)


def test_it_trades_with_profit(made):
    name, recording = made
    records = list(recording.records())
    ended = results(records)
    assert len(ended) >= 6
    assert {result.status for result in ended} == {"confirmed"}
    assert min(result.pnl.net_lamports for result in ended) > 500_000
    assert all(result.wallet_sol_delta_lamports == result.pnl.net_lamports for result in ended)
    said = {record.event.code for record in records if isinstance(record.event, Verdict)}
    assert ("ARB_TWO_HOP" if name == "pair" else "ARB_MULTI_HOP") in said
    legs = {len(record.event.swap_path) for record in records if isinstance(record.event, TradeIntent)}
    assert legs == {2 if name == "pair" else 3}


def test_it_verifies_and_every_check_holds(made):
    report = follow(made[1])
    assert not any(run.divergences for run in report.runs)
    for check in CHECKS:
        assert list(check.ask(made[1])) == [], check.name


def test_a_decision_explains_itself(made):
    recording = made[1]
    decided = next(record for record in recording.records() if isinstance(record.event, DecisionRecord))
    names = {type(stop.record.event).__name__ for stop in explain(recording, decided.seq).stops}
    assert {
        "PoolStateUpdate",
        "Verdict",
        "TradeIntent",
        "SimulateAsk",
        "SimulateAnswer",
        "SendAsk",
        "ConfirmAnswer",
    } <= names
    quoted = [read.of for read in decided.event.reads if read.what == "quote"]
    intent = recording.record(decided.event.intent).event
    assert quoted == list(intent.resources.pools)


def test_why_says_traded(made):
    found = why(made[1], MINT)
    assert len(found.confirmed) >= 3
    assert "arb-strategy" in {thought.source for thought in found.thoughts}


def test_the_same_bytes_under_two_hash_seeds():
    script = (
        "import msgspec\nfrom blake3 import blake3\nfrom tests.mode.test_arbitrage import *\n"
        "told = blake3()\n"
        "for pools in (POOLS, ROUND):\n"
        "    for record in drive(events(drifting(1), pools)):\n"
        "        told.update(msgspec.json.encode(record))\n"
        "print(told.hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        ).stdout
        for seed in ("0", "1")
    }  # fmt: skip
    assert len(digests) == 1


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.sampled_from([POOLS, ROUND]),
    st.lists(st.tuples(st.integers(0, 2), st.integers(-400, 400)), min_size=1, max_size=4),
)
def test_profit_is_never_below_zero_where_the_market_stands_still(pools, gaps):
    """Prices lie apart by any amounts from the start and do not move: what is sent earns, after all costs."""
    names = list(pools)
    told = {name: list(pool) for name, pool in pools.items()}
    for which, bps in gaps:
        pool = told[names[which % len(names)]]
        pool[4] = pool[4] * (10_000 + bps) // 10_000
    records = drive(events([None] * 20, told))
    for result in results(records):
        assert result.status == "confirmed"
        assert result.pnl.net_lamports > 0
        assert result.wallet_sol_delta_lamports > 0


def test_a_market_that_moves_on_refuses_or_fails_and_loses_fees_at_most():
    """The gap closes while the bundle is on its way: it lands whole or not at all."""
    moves = [None] * 5
    for _ in range(4):
        moves += [("DriftPoolA", 300), ("DriftPoolA", -300), *[None] * 15]
    ended = results(drive(events(moves)))
    assert "failed" in {result.status for result in ended}
    for result in ended:
        assert result.wallet_sol_delta_lamports >= -50_000


def test_without_an_answer_paper_refuses_a_path_that_costs_too_much():
    tree = {
        "strategies": ["arbitrage"],
        "arbitrage": {"max_position_lamports": 400_000_000, "min_profit_lamports": 1, "require_bundle": False},
        "engine": {"send_enabled": True},
        "paper": {"fee_bps": 400},
    }
    records = drive(events(drifting(1)), read("dear", tree, "test"))
    decisions = [record.event for record in records if isinstance(record.event, DecisionRecord)]
    assert {decision.outcome for decision in decisions} == {"SimFailed"}
    assert not [result for result in results(records) if result.status == "confirmed"]


def restored(stage, scenario, records, append, paper):
    """The run goes on in new reducers, with the states of a snapshot; the outlet is shown its records again."""
    from ironcrab.mode.states import encode_states, restore_states

    states = encode_states(stage.wiring.reducers, stage.wiring.now)
    new = Drive(scenario, append, (paper,))
    restore_states(new.wiring.reducers, new.wiring.now, states)
    new.loop.seq, new.started = stage.loop.seq, stage.started
    for record in records:
        paper.see(record)
    return new


def whole(market, cuts):
    """Every record of a run that is put back from a snapshot at each of the cuts (counted in world events)."""
    scenario = load(SCENARIO, (("engine.quantile_slippage_enabled", "true"),))
    records, paper = [], [Paper(scenario.paper)]

    def append(record):
        records.append(record)
        paper[0].see(record)

    stage = Drive(scenario, append, (paper[0],))
    for number, (time, event) in enumerate(with_ticks(market)):
        if stage.loop.seq == 0:
            stage.open(time)
        if number in cuts:
            paper[0] = Paper(scenario.paper)
            stage = restored(stage, scenario, records, append, paper[0])
        stage.take(event, time)
    stage.close()
    return records


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.sampled_from([POOLS, ROUND]), st.integers(-90, 90), st.sets(st.integers(1, 180), max_size=4))
def test_restored_anywhere_equals_never_restored(pools, apart, cuts):
    moves = drifting(1, next(iter(pools)), apart, 5, 10)
    assert whole(events(moves, pools), cuts) == whole(events(moves, pools), set())
