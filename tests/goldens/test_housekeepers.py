"""The golden `housekeepers`: every action happens, every intent has one decision, and the run verifies from anywhere."""

from collections import Counter
from pathlib import Path

from ironcrab.check import check
from ironcrab.domain.ask import ConfirmAnswer
from ironcrab.domain.market import WalletBalanceSnapshot
from ironcrab.domain.trade import DecisionRecord, PositionUpdate, TradeIntent
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT
from ironcrab.log.recording import Recording
from ironcrab.mode.ledger import ledger_of
from ironcrab.mode.run import run, run_events
from ironcrab.mode.scenario import load, read_back
from ironcrab.mode.verify import follow
from tests.goldens.housekeepers import SCENARIO, housekeeper_events

ROOT = Path(__file__).parents[2]


def made(folder):
    run_events(housekeeper_events(), "housekeepers", load(ROOT / SCENARIO), folder)
    return Recording.open(folder)


def test_every_action_happens_and_verifies(tmp_path):
    recording = made(tmp_path / "golden")
    assert follow(recording).verdict == "identical"
    assert not [name for name, found in check(recording).items() if found]
    records = list(recording.records())
    outcomes = {
        record.event.intent: record.event.outcome for record in records if isinstance(record.event, DecisionRecord)
    }
    intents = {record.seq: record.event for record in records if isinstance(record.event, TradeIntent)}
    assert [seq for seq in intents if seq not in outcomes] == []
    told = Counter((intent.metadata.get("purpose", intent.side), outcomes[seq]) for seq, intent in intents.items())
    assert told == {
        ("wrap", "Confirmed"): 1, ("unwrap", "Confirmed"): 1, ("burn", "Confirmed"): 2, ("close", "Confirmed"): 4,
        ("liquidation", "Confirmed"): 1, ("Buy", "Confirmed"): 2, ("Sell", "Confirmed"): 1,
    }  # fmt: skip
    held = {
        record.event.mint: record.event.balance_raw for record in records if isinstance(record.event, PositionUpdate)
    }
    assert set(held.values()) == {0}
    last = {r.event.mint: r.event.balance_raw for r in records if isinstance(r.event, WalletBalanceSnapshot)}
    assert 500_000_000 <= last[SOL_MINT] <= 2_000_000_000
    assert last[NATIVE_SOL] > 4 * 10**9


def test_a_run_of_the_run_gives_the_same_bytes(tmp_path):
    first = made(tmp_path / "first")
    again = run(first, load(ROOT / SCENARIO), tmp_path / "again")
    assert again.derived == sum(1 for record in first.records() if record.by is not None)
    bodies = [[(r.by, r.event) for r in log.records()] for log in (first, Recording.open(tmp_path / "again"))]
    assert bodies[0] == bodies[1]


def test_the_scenario_is_read_back_from_the_log(tmp_path):
    recording = made(tmp_path / "golden")
    started = next(iter(recording.records())).event
    told = read_back(started)
    assert [one.params.enabled for one in told.housekeepers] == [True, True, True]
    assert told.settings == load(ROOT / SCENARIO).settings


def test_the_ledger_counts_a_wrap_as_no_trade(tmp_path):
    recording = made(tmp_path / "golden")
    ledger = ledger_of(recording)
    rows = {(row.source, row.side): row for row in ledger.rows}
    assert rows["wsol-manager", "Sell"].rent == 0
    ends = [record.event for record in recording.records((ConfirmAnswer,))]
    assert ledger.cash == sum(event.wallet_sol_delta_lamports for event in ends)
    assert ledger.held == 0, "everything was sold, closed or burnt"
