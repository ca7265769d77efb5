"""Backtests over spans of recordings, and the ledger that sums them up."""

import pytest

from ironcrab import testing
from ironcrab.check import check
from ironcrab.domain.ask import ConfirmAnswer, PricedAnswer, SendAnswer
from ironcrab.domain.control import RunStarted
from ironcrab.domain.fault import InputFault
from ironcrab.domain.trade import ExecutionResult
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.mode.backtest import HONEST, Span, backtest, latencies_of, source_name
from ironcrab.mode.differing import compare
from ironcrab.mode.grounds import Grounds
from ironcrab.mode.ledger import TYPES, Reading, ledger_of
from ironcrab.mode.run import run
from ironcrab.mode.scenario import read
from ironcrab.mode.verify import follow
from tests.mode.conftest import MOMENTUM, market

TREE = {"strategies": ["momentum"], "momentum": MOMENTUM, "engine": {"send_enabled": True}}


def whole(recording):
    return Span(recording, recording.first_seq, recording.next_seq)


def done(spans, decided_by, folder):
    backtest(spans, decided_by, folder)
    seal(folder)
    return Recording.open(folder)


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """The small market whole, and in two recordings."""
    folder = tmp_path_factory.mktemp("halves")
    events = list(market(240))
    middle = len(events) // 2
    return (
        testing.record(events, folder / "whole"),
        testing.record(events[:middle], folder / "first"),
        testing.record(events[middle:], folder / "second"),
    )


@pytest.fixture(scope="module")
def honest():
    return read("tests", TREE, "tests", defaults=HONEST)


def test_a_backtest_of_one_whole_recording_is_its_run(halves, tmp_path):
    decided_by = testing.scenario(**{key: TREE[key] for key in ("momentum", "engine")})
    run(halves[0], decided_by, tmp_path / "run")
    backtest([whole(halves[0])], decided_by, tmp_path / "backtest")
    one, other = Recording.open(tmp_path / "run"), Recording.open(tmp_path / "backtest")
    assert (one.log_id, one.head) == (other.log_id, other.head)


def test_recordings_in_their_order_are_as_one(halves, honest, tmp_path):
    one = done([whole(halves[0])], honest, tmp_path / "one")
    two = done([whole(half) for half in halves[1:]], honest, tmp_path / "two")
    assert compare(one, two).equal
    assert one.log_id != two.log_id
    assert [record.event for record in two.records((PricedAnswer,))]
    assert follow(two).verdict == "identical"
    assert not any(check(two).values())
    with pytest.raises(InputFault, match="in their order"):
        backtest([whole(half) for half in halves[:0:-1]], honest, tmp_path / "turned")


def test_a_part_of_a_recording_is_a_source_of_its_own(halves, honest, tmp_path):
    part = Span(halves[0], 300, 900)
    first = done([part], honest, tmp_path / "a")
    assert first.head == done([part], honest, tmp_path / "b").head
    assert source_name([part]) != source_name([whole(halves[0])]) != source_name([Span(halves[0], 300, 901)])
    with pytest.raises(InputFault, match="no world record"):
        backtest([Span(halves[0], 5, 5)], honest, tmp_path / "none")


def test_what_the_scenario_does_not_say_is_honest_and_recorded(halves, honest, tmp_path):
    made = done([whole(halves[0])], honest, tmp_path / "a")
    started = next(record.event for record in made.records((RunStarted,)))
    told = {setting.key: (setting.value, setting.origin) for setting in started.settings}
    assert told["paper.fill"] == ('"venue"', "command")
    assert told["paper.impact"] == ('"overlay"', "command")
    assert told["paper.latency_slots"] == ("2", "default")
    kept = read("tests", {**TREE, "paper": {"fill": "last_trade"}}, "tests", defaults=HONEST)
    assert (kept.paper.fill, kept.paper.impact) == ("last_trade", "overlay")
    assert read("tests", TREE, "t", (("paper.fill", "last_trade"),), HONEST).paper.fill == "last_trade"


def test_measured_latencies_come_from_a_recording(halves, honest, tmp_path):
    made = done([whole(halves[0])], honest, tmp_path / "a")
    assert latencies_of(made) == (2,) * 20
    told = list(made.records((SendAnswer, ConfirmAnswer)))
    assert len(told) > 10
    with pytest.raises(InputFault, match="landed"):
        latencies_of(halves[0])


@pytest.fixture(scope="module")
def costly(halves, tmp_path_factory):
    """A run with failures, losses and rent."""
    paper = {"loss_bps": 1_000, "seed": 5, "expiry_slots": 12}
    loose = MOMENTUM | {"exit_max_slippage_bps": 50}
    decided_by = read("tests", {**TREE, "momentum": loose, "paper": paper}, "tests", defaults=HONEST)
    return done([whole(halves[0])], decided_by, tmp_path_factory.mktemp("costly") / "run")


def test_every_lamport_is_in_the_profit(costly):
    """Equity is the wallet's change plus what is held; it is made of sells, failures, rent and what is open."""
    ledger = ledger_of(costly)
    answers = [record.event for record in costly.records((ConfirmAnswer,))]
    assert ledger.cash == sum(answer.wallet_sol_delta_lamports or 0 for answer in answers)
    assert {answer.status for answer in answers} == {"confirmed", "failed", "timeout"}
    results = [record.event for record in costly.records((ExecutionResult,))]
    assert ledger.realised == sum(result.pnl.net_lamports for result in results if result.pnl is not None)
    rent = sum(row.rent for row in ledger.rows)
    assert rent == 2_039_280
    assert ledger.failed_cost == sum(-a.wallet_sol_delta_lamports for a in answers if a.status == "failed") > 0
    bought = sum(row.amount_in + row.network for row in ledger.rows if row.side == "Buy" and row.got)
    sold = sum(row.got - row.network for row in ledger.rows if row.side == "Sell" and row.got)
    assert ledger.cash == sold - bought - rent - ledger.failed_cost
    if not ledger.held:
        assert ledger.unsold == 0
    peak, deepest = 0, 0
    for _, equity in ledger.points:
        peak = max(peak, equity)
        deepest = max(deepest, peak - equity)
    assert deepest <= ledger.drawdown
    assert ledger.points[-1][1] == ledger.equity


def test_rows_tell_expected_and_got(costly):
    ledger = ledger_of(costly)
    landed = [row for row in ledger.rows if row.got is not None]
    assert landed
    for row in landed:
        assert row.expected > 0
        assert row.slippage_bps == (row.got - row.expected) * 10_000 // row.expected
        assert row.basis == "executable"
        assert row.slot is not None
    lost = [row for row in ledger.rows if row.outcome == "Sent"]
    assert lost
    assert all(row.network == 0 and row.got is None for row in lost)
    assert set(ledger.stops) >= {"intent to checked", "sent to landed", "landing_slots"}
    assert set(ledger.stops["landing_slots"]) == {2}


def test_grounds_hold_what_is_behind_each_decision(costly):
    grounds, reading = Grounds(), Reading()
    for record in costly.records():
        grounds.see(record)
        reading.see(record)
    ledger = reading.finish()
    assert ledger == ledger_of(costly)
    for row in ledger.rows:
        kinds = [type(record.event).__name__ for record in grounds.of[row.decision]]
        assert kinds[:3] == ["Trade", "Verdict", "TradeIntent"] or "TradeIntent" in kinds
        assert "DecisionRecord" in kinds
        if row.got is not None:
            assert {"SimulateAsk", "SimulateAnswer", "SendAsk", "PricedAnswer", "ConfirmAnswer"} <= set(kinds)
            assert "PositionUpdate" in kinds


def test_the_ledger_names_all_it_reads():
    assert set(Reading().folds) == set(TYPES)


def test_twins_in_memory(tmp_path):
    """The same scenario against told answers: confirmed, failed, refused by simulation."""
    decided_by = testing.scenario(**{key: TREE[key] for key in ("momentum", "engine")})
    events = list(market(60))
    for outlet, ends in (
        (testing.Answering(10**12), "confirmed"),
        (testing.Answering(10**12, "failed"), "failed"),
        (testing.Answering(None), "failed"),
    ):
        records = testing.drive(events, decided_by, outlet)
        results = [record.event.status for record in records if isinstance(record.event, ExecutionResult)]
        assert ends in results
        assert outlet.seen
        assert [record.seq for record in records] == list(range(len(records)))


def test_goldens_in_a_line(tmp_path):
    made = testing.run(
        market(60), testing.scenario(**{key: TREE[key] for key in ("momentum", "engine")}), tmp_path / "a"
    )
    golden = testing.make_golden(made, tmp_path / "golden")
    assert golden.manifest.golden
    testing.assert_identical(golden)
    with pytest.raises(InputFault, match="bless"):
        testing.make_golden(made, tmp_path / "golden")
    nothing = testing.record(market(5), tmp_path / "market")
    with pytest.raises(AssertionError, match="not judged"):
        testing.assert_identical(nothing)
    with pytest.raises(InputFault, match="refused"):
        testing.Market().swap("Q", "M", 1)
