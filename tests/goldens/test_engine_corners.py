"""The goldens that only stand beside comparisons: deterministic, every intent decided."""

import pytest

from ironcrab.domain.ask import SimulateAsk
from ironcrab.domain.control import RunStarted
from ironcrab.domain.trade import DecisionRecord, TradeIntent
from ironcrab.mode.scenario import load
from tests.goldens import ema_checks, engine_corners, engine_plans, housekeeper_corners, interrupted
from tests.goldens.driving import ROOT, drive

SCRIPTS = [
    ("engine-corners", engine_corners),
    ("engine-plans", engine_plans),
    ("ema-checks", ema_checks),
    ("housekeeper-corners", housekeeper_corners),
]


@pytest.mark.parametrize(("name", "script"), SCRIPTS)
def test_every_intent_is_decided_and_the_script_is_deterministic(name, script):
    events, records = drive(name, script.events_of)
    assert drive(name, script.events_of)[0] == events
    intents = {record.seq for record in records if isinstance(record.event, TradeIntent)}
    decided = {record.event.intent for record in records if isinstance(record.event, DecisionRecord)}
    assert intents <= decided
    assert intents


def test_plans_of_every_venue_have_instructions_and_some_a_table():
    plans = [
        record.event.plan
        for record in drive("engine-plans", engine_plans.events_of)[1]
        if isinstance(record.event, SimulateAsk)
    ]
    assert {plan.dex for plan in plans if plan.calls} == {*engine_plans.SETS, "wallet"}
    assert {len(plan.hops) for plan in plans if plan.calls} == {0, 2, 3}
    assert any(plan.tables for plan in plans)


def test_what_a_cut_run_did_not_write_is_said_by_the_next():
    records = interrupted.records_of(load(ROOT / "scenarios/interrupted.toml"))
    assert [record.seq for record in records] == list(range(len(records)))
    starts = [record.seq for record in records if isinstance(record.event, RunStarted)]
    assert len(starts) == 6
    wishes = [(record.by, record.seq) for record in records if isinstance(record.event, TradeIntent) and record.by]
    # two accounts together, which is refused, then each alone; two positions
    assert [name for name, _ in wishes] == ["account-janitor"] * 3 + ["liquidation"] * 2
    assert all(seq > starts[1 if name == "account-janitor" else 4] for name, seq in wishes)
