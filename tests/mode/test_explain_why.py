"""Explain walks a road back to the world; why gives the ground for every silence."""

import shutil
from pathlib import Path

import pytest

from ironcrab.domain.control import ControlRequest, GapOpened
from ironcrab.domain.fault import InputFault
from ironcrab.domain.market import PoolCreated, Trade
from ironcrab.domain.trade import DecisionRecord, TradeIntent, Verdict
from ironcrab.domain.units import SOL_MINT
from ironcrab.log.recording import Recording
from ironcrab.mode.explain import explain, find
from ironcrab.mode.run import run_events
from ironcrab.mode.why import why
from tests.mode.conftest import MINT, POOL, SECOND, make, market, scenario


def first(recording, kind, **fields):
    return next(
        record
        for record in recording.records((kind,))
        if all(getattr(record.event, name) == value for name, value in fields.items())
    )


def test_the_road_of_a_decision_leads_to_the_trade_that_caused_it(small):
    decision = first(small, DecisionRecord, outcome="Confirmed")
    told = explain(small, decision.seq)
    kinds = [type(stop.record.event).__name__ for stop in told.stops]
    for kind in ("Trade", "Verdict", "TradeIntent", "SimulateAsk", "SimulateAnswer", "SendAsk", "SendAnswer",
                 "ConfirmAnswer", "DecisionRecord", "ExecutionResult", "PositionUpdate"):  # fmt: skip
        assert kind in kinds, f"the road has no {kind}"
    assert told.stops[0].record.cause is None
    assert told.reproduction is not None
    assert told.reproduction.equal


def test_the_road_of_a_confirmed_buy_goes_on_to_its_exit(small):
    exits = 0
    for decision in small.records((DecisionRecord,)):
        told = explain(small, decision.seq)
        later = {stop.role: stop.record for stop in told.stops if stop.role.startswith("exit")}
        bought = small.record(decision.event.intent).event
        if bought.side == "Sell" or decision.event.outcome != "Confirmed":
            assert later == {}
        if not later:
            continue
        exits += 1
        assert list(later) == ["exit: intent", "exit: decided", "exit: result", "exit: position"]
        assert all(record.seq > decision.seq for record in later.values())
        sold = later["exit: intent"].event
        assert (sold.side, sold.resources.input_mint) == ("Sell", bought.resources.output_mint)
        assert later["exit: decided"].event.intent == later["exit: intent"].seq
        assert later["exit: position"].event.mint == bought.resources.output_mint
    assert exits


def test_every_derived_record_is_reproduced(small):
    for record in small.records():
        if record.cause is not None and record.seq % 7 == 0:
            again = explain(small, record.seq).reproduction
            assert again is not None
            assert again.equal, record


def test_from_a_snapshot_and_from_the_start_the_same(day, tmp_path):
    decisions = [record.seq for record in day.records((DecisionRecord,))]
    seq = decisions[len(decisions) * 3 // 4]
    near = explain(day, seq).reproduction
    copy = Path(shutil.copytree(day.path, tmp_path / "day"))
    shutil.rmtree(copy / "snapshots")
    far = explain(Recording.open(copy), seq).reproduction
    assert near.equal
    assert far.equal
    assert near.folded < far.folded


def test_addresses(small):
    decision = first(small, DecisionRecord)
    log8 = small.log_id[:8]
    assert find(small, str(decision.seq)) == decision.seq
    assert find(small, f"dec-{log8}-{decision.seq}") == decision.seq
    intent = first(small, TradeIntent)
    assert find(small, f"int-{log8}-{intent.seq}") == intent.seq
    trade = first(small, Trade)
    assert find(small, trade.event.signature) == trade.seq
    for absent in ("nobody", "999999999"):
        with pytest.raises(InputFault, match=absent):
            find(small, absent)


def asked(tmp_path, events, **tables):
    run_events(events, "a-market", scenario(**tables), tmp_path / "asked")
    return Recording.open(tmp_path / "asked")


def test_never_seen(small):
    assert why(small, "Nowhere").answer == "never seen"


def test_traded(small):
    answer = why(small, MINT[:6])
    assert answer.answer in ("traded", "gate", "engine refusal")
    assert answer.confirmed
    assert answer.trades_seen == 240


def test_gate_names_the_numbers(tmp_path):
    recording, _ = make(tmp_path / "r", momentum={"early_min_liquidity_lamports": 10**15})
    answer = why(recording, MINT)
    assert answer.answer == "gate"
    assert answer.thoughts[0].code == "WAIT_INSUFFICIENT_LIQUIDITY"
    assert answer.thoughts[0].measures[0].limit == 10**15


def test_engine_refusal(tmp_path):
    recording, _ = make(tmp_path / "r", engine={"max_position_size_lamports": 1})
    answer = why(recording, MINT)
    assert answer.answer == "engine refusal"
    assert answer.refusals[0].code == "RISK_MAX_POSITION"


def test_pool_incomplete(tmp_path):
    events = [(SECOND, PoolCreated(POOL, MINT, SOL_MINT, "raydium", slot=5))]
    answer = why(asked(tmp_path, events), MINT)
    assert answer.answer in ("pool incomplete", "gate")
    assert answer.trades_seen == 0


def test_kill_switch(tmp_path):
    events = list(market(60))
    events.insert(1, (events[0][0], ControlRequest("r1", "execution-engine", "kill_switch", active=True)))
    answer = why(asked(tmp_path, events), MINT)
    assert answer.answer == "kill switch"


def test_gap(tmp_path):
    events = list(market(60))
    slot = events[-1][1].slot
    events.append((events[-1][0], GapOpened("geyser", slot, None, "cut")))
    assert why(asked(tmp_path, events), MINT).answer in ("gap", "traded")
    quiet = [(events[0][0], GapOpened("geyser", 1, None, "cut")), *events[:2]]
    assert why(asked(tmp_path / "b", quiet), MINT).answer == "gap"


def test_as_of_a_slot(small):
    early = why(small, MINT, until_slot=1003)
    assert early.trades_seen == 4
    assert not early.confirmed


def test_works_on_a_log_that_is_still_written(small):
    """An incomplete last line is left aside."""
    path = next((small.path / "segments").glob("*.jsonl"))
    data = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(data[:500]) + data[500][:40])
    import msgspec

    from ironcrab.log import manifest

    listed = manifest.load(small.path)
    manifest.save(small.path, msgspec.structs.replace(listed, segments=()))
    answer = why(Recording.open(small.path), MINT)
    assert 0 < answer.trades_seen < 240


def test_a_prefix_must_be_unique(day):
    with pytest.raises(InputFault, match="type more"):
        why(day, "")


def test_verdicts_are_said_on_change_only(small):
    last = {}
    for record in small.records((Verdict,)):
        key = record.event.mint, record.event.pool_address
        assert last.get(key) != (record.event.verdict, record.event.code) or record.event.verdict == "hold"
        last[key] = record.event.verdict, record.event.code
