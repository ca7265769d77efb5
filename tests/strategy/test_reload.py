"""Parameters that an operator changes while a strategy runs: judged key by key, answered, in force, kept."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.control import ConfigChanged, ConfigUpdate, RunStarted, Setting
from ironcrab.domain.settings import KEPT, in_force, judged, text_of
from ironcrab.loop import Loop, Now
from ironcrab.market.known import Known
from ironcrab.strategy.arb import Arbitrage
from ironcrab.strategy.arb_params import ArbParams
from ironcrab.strategy.momentum import Momentum
from ironcrab.strategy.params import MomentumParams

OPENING = RunStarted(1, "s", "v", "ironcrab", (), (), ())


def told(world, **config):
    said = world.take(ConfigUpdate("momentum-bot", {key: str(value) for key, value in config.items()}))
    return next(event for event in said if isinstance(event, ConfigChanged))


def test_each_key_is_judged_alone(world):
    w = world()
    before = w.momentum.shared
    changed = told(w, take_profit_bps=700, hard_stop_loss_bps=10_001, no_such=1, not_tradeable="X", max_rows="many")
    assert changed.component == "momentum-bot"
    assert changed.settings == (Setting("take_profit_bps", "700", "operator"),)
    assert [(setting.key, setting.value) for setting in changed.rejected] == [
        ("hard_stop_loss_bps", "10001"),
        ("no_such", "1"),
        ("not_tradeable", "X"),
        ("max_rows", "many"),
    ]
    reasons = [setting.origin for setting in changed.rejected]
    assert reasons[1:3] == ["unknown key", "takes effect at a restart only"]
    assert "10000" in reasons[0]
    assert w.momentum.shared == msgspec.structs.replace(before, take_profit_bps=700)
    assert changed.config_snapshot_id == w.momentum.config_id


def test_what_is_meant_for_others_is_not_answered(world):
    w = world()
    assert w.take(ConfigUpdate("execution-engine", {"take_profit_bps": "1"})) == []
    assert [type(event) for event in w.take(ConfigUpdate("all", {"take_profit_bps": "1"}))] == [ConfigChanged]
    assert w.momentum.shared.take_profit_bps == 1


def test_a_gate_changes_with_the_next_event(world):
    w = world(min_unique_buyers=2)
    w.trade(100)
    assert w.verdicts()[-1] == ("wait", "WAIT_BUYER_WINDOW")
    told(w, early_min_unique_buyers=1)
    _, intent = w.trade(101, trader="W1")
    assert intent.metadata["config_snapshot_id"] == w.momentum.config_id
    told(w, early_min_unique_buyers=2)
    assert w.momentum.config_id is None, "that is the scenario's own again"


def test_an_exit_changes_too(world):
    w = world(momentum_exit_min_trades=10**6, take_profit_min_hold_secs=0)
    w.held(100, tokens=1_000_000, lamports=5_000_000)
    w.position().full = True
    w.reserves(101, base=10**15, quote=55 * 10**14)
    assert w.verdicts()[-1][0] == "hold"
    told(w, take_profit_bps=500)
    w.tick(102)
    assert w.verdicts()[-1] == ("exit", "EXIT_TAKE_PROFIT")


def test_sizes_follow(world):
    w = world()
    told(w, position_lamports=8_000, probe_buy_bps=5_000)
    assert (w.momentum.book.probe, w.momentum.book.scale_in) == (4_000, 4_000)


def test_the_own_gates_of_a_regime_are_switched_on(world):
    w = world()
    told(w, early_min_sample_buys=3, established_breakout_candles=4)
    assert [gate.code for gate in w.momentum.early.gates] == ["WAIT_THIN_SAMPLE"]
    assert len(w.momentum.established.gates) == 4


def restored(momentum, scenario=None):
    """A new reducer with the state of this one; `scenario` other parameters."""
    new = Momentum(momentum.scenario if scenario is None else scenario, Known.fresh(Now()))
    new.state = msgspec.json.decode(msgspec.json.encode(momentum.state), type=type(momentum.state))
    new.restored()
    return new


def test_a_restored_strategy_has_them_in_force(world):
    w = world()
    told(w, take_profit_bps=700, early_require_freeze_authority_none="true")
    new = restored(w.momentum)
    assert (new.shared.take_profit_bps, new.early.entry.require_freeze_authority_none) == (700, True)
    assert new.config_id == w.momentum.config_id


def test_a_run_that_opens_keeps_them_and_says_so(world):
    w = world()
    assert w.take(OPENING) == []
    changed = told(w, take_profit_bps=700)
    said = w.take(OPENING)
    assert said == [
        ConfigChanged("momentum-bot", (Setting("take_profit_bps", "700", KEPT),), (), changed.config_snapshot_id)
    ]
    assert w.momentum.shared.take_profit_bps == 700


def test_a_scenario_that_was_edited_has_the_last_word(world):
    w = world()
    told(w, take_profit_bps=700, hard_stop_loss_bps=99)
    edited = msgspec.structs.replace(w.momentum.scenario, take_profit_bps=800)
    new = restored(w.momentum, edited)
    assert (new.shared.take_profit_bps, new.shared.hard_stop_loss_bps) == (800, 99)
    said = list(new.step(1, OPENING))
    assert [setting.key for setting in said[0].settings] == ["hard_stop_loss_bps"]
    assert list(new.state.changes) == ["hard_stop_loss_bps"]
    gone = restored(new, msgspec.structs.replace(edited, hard_stop_loss_bps=98))
    assert list(gone.step(1, OPENING)) == []
    assert gone.config_id is None


def arbitrage(**params):
    known = Known.fresh(Now())
    arb = Arbitrage(ArbParams(**params), known)
    log = []
    return arb, log, Loop((*known.reducers, arb), log.append, known.now)


def test_arbitrage_takes_its_own(world):
    arb, log, loop = arbitrage()
    loop.take(ConfigUpdate("arb-strategy", {"min_spread_bps": "7", "multi_hop_max_hops": "9"}), 0)
    changed = log[-1].event
    assert [setting.key for setting in changed.settings] == ["min_spread_bps"]
    assert [setting.key for setting in changed.rejected] == ["multi_hop_max_hops"]
    assert arb.params.min_spread_bps == 7
    assert arb.gates.params is arb.params
    loop.take(OPENING, 0)
    assert log[-1].event.settings == (Setting("min_spread_bps", "7", KEPT),)
    new = Arbitrage(ArbParams(), Known.fresh(Now()))
    new.state = msgspec.json.decode(msgspec.json.encode(arb.state), type=type(arb.state))
    new.restored()
    assert (new.params, new.config_id) == (arb.params, arb.config_id)
    loop.take(ConfigUpdate("momentum-bot", {"min_spread_bps": "8"}), 0)
    assert isinstance(log[-1].event, ConfigUpdate)


@pytest.mark.parametrize(
    ("key", "text", "good"),
    [
        ("take_profit_bps", "0", True),
        ("take_profit_bps", "-1", False),
        ("take_profit_bps", "1000000000", True),
        ("take_profit_bps", "1000000001", False),
        ("take_profit_bps", "1.5", False),
        ("exits_use_last_trade", "true", True),
        ("exits_use_last_trade", "maybe", False),
        ("established_candle_secs", "100", True),
        ("established_candle_secs", "101", False),
    ],
)
def test_the_range_of_a_parameter_holds(key, text, good):
    _, applied, rejected = judged(MomentumParams(), {key: text}, "operator")
    assert (len(applied), len(rejected)) == ((1, 0) if good else (0, 1))


TEXTS = st.one_of(st.integers(-5, 2**64).map(str), st.sampled_from(["true", "false", "", "x", "1e3", "0x1"]))


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.dictionaries(st.sampled_from([*MomentumParams.__struct_fields__, "other"]), TEXTS, max_size=8))
def test_any_wish_is_applied_or_rejected_and_what_holds_is_in_range(config):
    params, applied, rejected = judged(MomentumParams(), config, "operator")
    assert [setting.key for setting in (*applied, *rejected)].sort() == list(config).sort()
    assert msgspec.convert(msgspec.to_builtins(params), MomentumParams) == params
    for setting in applied:
        assert text_of(getattr(params, setting.key)) == setting.value
    momentum = Momentum(MomentumParams(), Known.fresh(Now()))
    momentum.step(1, ConfigUpdate("momentum-bot", config))
    assert in_force(momentum.scenario, momentum.state.changes) == params
