"""The goldens of momentum say of every gate, exit and phase that it happens, and of every threshold where it lies."""

import re
from functools import cache
from pathlib import Path

import pytest
from msgspec.structs import replace

from ironcrab.domain.control import ConfigChanged
from ironcrab.domain.fault import ScenarioFault
from ironcrab.domain.trade import TradeIntent, Verdict
from ironcrab.loop import Loop
from ironcrab.mode.run import opening
from ironcrab.mode.scenario import load
from ironcrab.mode.wiring import Wiring, started
from tests.goldens import regime_checks
from tests.goldens.driving import ROOT, drive
from tests.goldens.momentum_checks import events_of, switched_events_of

SOURCES = ("gates", "policy", "shape", "exits", "momentum", "book")
SCRIPTS = {
    "momentum-checks": events_of,
    "momentum-switches": switched_events_of,
    "momentum-regimes": regime_checks.events_of,
}
CODE = re.compile(r'"((?:WAIT|STALE|REJECT|ENTER|EXIT|HOLD|SCALE|QUOTE|NOT|NO|PSEUDOPOOL|POOL)_[A-Z_]+[A-Z])"')
ENDINGS = (
    "REJECT_ENTRY_REFUSED",
    "REJECT_ENTRY_SIM_FAILED",
    "REJECT_ENTRY_FAILED",
    "REJECT_ENTRY_TIMEOUT",
    "REJECT_ENTRY_FILL_UNKNOWN",
    "HOLD_EXIT_REFUSED",
    "HOLD_EXIT_SIM_FAILED",
    "HOLD_EXIT_FAILED",
    "HOLD_EXIT_TIMEOUT",
    "HOLD_SCALE_IN_SIM_FAILED",
)
"""Codes that the book makes of an ending."""

OFF_HERE = {
    "momentum-checks": (
        "momentum.max_rows",
        "momentum.momentum_exit_min_hold_secs",
        "momentum.established_min_token_age_secs",
        "momentum.established_price_trend_recovery_min_positive_buckets",
    ),
    "momentum-regimes": (
        "momentum.early_slot_threshold",
        "momentum.hard_stop_min_hold_secs",
        "momentum.hard_stop_loss_bps",
        "momentum.trailing_stop_bps",
        "momentum.max_hold_time_secs",
        "momentum.momentum_exit_min_trades",
        "momentum.terminal_secs",
        "momentum.established_min_token_age_secs",
        "momentum.established_min_trade_size_lamports",
    ),
}
"""Settings that a scenario switches off or hides behind a larger one; another of the scenarios has them."""


@cache
def told(name):
    """Every record of this golden, driven anew."""
    return drive(name, SCRIPTS[name])


def verdicts():
    return [record.event for name in SCRIPTS for record in told(name)[1] if isinstance(record.event, Verdict)]


def test_every_code_of_momentum_is_said():
    said = {verdict.code for verdict in verdicts()}
    written = {
        code for name in SOURCES for code in CODE.findall(Path(ROOT / f"ironcrab/strategy/{name}.py").read_text())
    }
    assert sorted({*written, *ENDINGS} - said) == []


def test_every_phase_and_regime_occurs():
    assert {verdict.verdict for verdict in verdicts()} == {"wait", "reject", "enter", "hold", "exit", "suppress"}
    entered = {(verdict.code, verdict.regime) for verdict in verdicts() if verdict.verdict == "enter"}
    assert entered >= {("ENTER_PROBE_BUY", "Early"), ("ENTER_PROBE_BUY", "Established"), ("ENTER_SCALE_IN", "Early")}
    sells = [record.event for record in told("momentum-checks")[1] if isinstance(record.event, TradeIntent)]
    exits = {intent.metadata["exit_type"] for intent in sells if "exit_type" in intent.metadata}
    assert len(exits) == 8, exits
    fails = [verdict.measures[0].value for verdict in verdicts() if verdict.code == "HOLD_EXIT_FAILED"]
    assert max(fails) >= 5, "a sell fails until its pause is longest"


def test_the_script_is_deterministic():
    for name, script in SCRIPTS.items():
        assert drive(name, script)[0] == told(name)[0]


@cache
def decided(name, changed):
    """Momentum's words over the recorded world with these parameters."""
    scenario = load(ROOT / f"scenarios/{name}.toml", changed)
    wiring = Wiring(scenario)
    records = []
    loop = Loop(wiring.reducers, records.append, wiring.now)
    events = told(name)[0]
    loop.take(started(scenario, wiring, 0), events[0][0])
    for event in opening(scenario):
        loop.take(event, events[0][0])
    for record in told(name)[1][loop.seq :]:
        if record.cause is None:
            loop.take(record.event, record.time)
    words = (record.event for record in records if record.by == "momentum-bot")
    return [without_id(word) for word in words if not isinstance(word, ConfigChanged)]


def without_id(word):
    """The word without the id of the parameters, which any change changes."""
    if not isinstance(word, TradeIntent):
        return word
    told = {key: text for key, text in word.metadata.items() if key != "config_snapshot_id"}
    return replace(word, metadata=told)


def values(name):
    """The numeric settings of momentum that a scenario names."""
    settings = load(ROOT / f"scenarios/{name}.toml").settings
    return {row.key: int(row.value) for row in settings if row.origin == "scenario" and row.value.lstrip("-").isdigit()}


@pytest.mark.slow
@pytest.mark.parametrize("name", OFF_HERE)
def test_a_case_stands_at_every_threshold(name):
    """A threshold moved by one, up or down, changes a decision: a case stands exactly at it."""
    unseen = []
    for key, value in values(name).items():
        if key.startswith("momentum.") and key not in OFF_HERE[name]:
            moved = (((key, str(value + by)),) for by in (1, -1) if in_range(name, key, value + by))
            if all(decided(name, changed) == decided(name, ()) for changed in moved):
                unseen.append(key)
    assert unseen == []


def in_range(name, key, value):
    """Whether the setting takes the value."""
    try:
        load(ROOT / f"scenarios/{name}.toml", ((key, str(value)),))
    except ScenarioFault:
        return False
    return True
