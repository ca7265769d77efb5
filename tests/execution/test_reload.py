"""Every parameter of the engine and its housekeepers while they run: each key judged alone, at both ends of its range."""

import msgspec
import pytest

from ironcrab.domain.control import ClockTick, ConfigChanged, ConfigUpdate, RunStarted, Setting
from ironcrab.domain.market import WalletSnapshotComplete
from ironcrab.domain.settings import KEPT, judged, text_of
from ironcrab.execution.housekeepers import HOUSEKEEPERS
from ironcrab.execution.params import EngineParams, config_snapshot_id
from ironcrab.execution.wsol_manager import WsolParams
from tests.execution.stage import Stage, buy, mint_info, trade

KINDS = (EngineParams, *(kind.Params for _, kind in HOUSEKEEPERS))
KEYS = [(kind, field) for kind in KINDS for field in msgspec.structs.fields(kind)]
CONTRACT = {
    "max_position_size_lamports": (1, None), "daily_loss_limit_lamports": (1, None), "max_open_positions": (1, 100),
    "max_slippage_bps": (1, 10_000), "simulation_timeout_ms": (100, 30_000), "confirmation_timeout_ms": (500, 300_000),
}  # fmt: skip
"""Ranges of the wire contract, section 1.15."""


def meta(field):
    return next(m for m in field.type.__metadata__ if isinstance(m, msgspec.Meta))


def named(pair):
    return f"{pair[0].__name__}.{pair[1].name}"


@pytest.mark.parametrize("pair", KEYS, ids=named)
def test_a_key_is_judged_alone(pair):
    kind, field = pair
    told = meta(field)
    ends = [end for end in (told.ge, told.le) if end is not None] or [getattr(kind(), field.name)]
    restart = bool((told.extra or {}).get("restart"))
    for end in ends:
        config = {"colour": "1", field.name: text_of(end)}
        params, applied, rejected = judged(kind(), config, "operator")
        reasons = {setting.key: setting.origin for setting in rejected}
        assert reasons.pop("colour") == "unknown key"
        if restart:
            assert reasons == {field.name: "takes effect at a restart only"}
            assert params == kind()
        elif field.name in reasons:
            assert "must lie between" in reasons[field.name], "in range, but against another parameter"
        elif applied:
            assert (applied[0].key, applied[0].value, applied[0].origin) == (field.name, text_of(end), "operator")
            assert text_of(getattr(params, field.name)) == text_of(end)
    for beyond in (*(() if told.ge is None else (told.ge - 1,)), *(() if told.le is None else (told.le + 1,)), "x", ""):
        params, applied, rejected = judged(kind(), {field.name: str(beyond)}, "operator")
        is_text = isinstance(getattr(kind(), field.name), str)
        if not is_text or restart:
            assert not applied
            assert len(rejected) == 1
            assert params == kind()


@pytest.mark.parametrize("key", list(CONTRACT))
def test_the_contract_ranges(key):
    told = meta(next(field for field in msgspec.structs.fields(EngineParams) if field.name == key))
    low, high = CONTRACT[key]
    assert told.ge == low
    assert high is None or told.le == high


def test_what_holds_is_what_decisions_bear():
    stage = Stage()
    stage.take(mint_info())
    stage.take(trade(10))
    before = stage.engine.state.config_id
    stage.take(ConfigUpdate("execution-engine", {"max_position_size_lamports": "9", "max_slippage_bps": "0", "a": "b"}))
    (said,) = stage.of(ConfigChanged)
    assert [setting.key for setting in said.settings] == ["max_position_size_lamports"]
    assert [setting.key for setting in said.rejected] == ["max_slippage_bps", "a"]
    assert said.config_snapshot_id == config_snapshot_id(stage.engine.state.params) != before
    stage.take(buy(10))
    stage.take(ClockTick())
    (decision,) = stage.decisions
    assert decision.primary_reject_reason == "RISK_MAX_POSITION"
    assert decision.config_snapshot_id == said.config_snapshot_id
    assert ("config", said.config_snapshot_id) in [(read.what, read.of) for read in decision.reads]
    stage.take(ConfigUpdate("market-data", {"max_position_size_lamports": "1"}))
    assert len(stage.of(ConfigChanged)) == 1
    stage.take(ConfigUpdate("execution-engine", {"a": "b"}))
    assert stage.engine.state.config_id == decision.config_snapshot_id, "nothing was applied"


def test_wishes_of_one_update_are_meant_together():
    params = WsolParams()
    both = {"min_wsol_lamports": str(3 * 10**9), "target_wsol_lamports": str(4 * 10**9)}
    above = {**both, "max_wsol_lamports": str(5 * 10**9)}
    for config in (above, dict(reversed(above.items()))):
        moved, applied, rejected = judged(params, config, "operator")
        assert (moved.min_wsol_lamports, moved.max_wsol_lamports) == (3 * 10**9, 5 * 10**9)
        assert [setting.key for setting in applied] == list(config)
        assert not rejected
    # without room above, those that contradict what holds are rejected, and no other
    moved, applied, rejected = judged(params, {**both, "cooldown_ms": "7", "colour": "1"}, "operator")
    assert moved == msgspec.structs.replace(params, cooldown_ms=7)
    assert [setting.key for setting in applied] == ["cooldown_ms"]
    assert [setting.key for setting in rejected] == ["min_wsol_lamports", "target_wsol_lamports", "colour"]
    assert "must lie between" in rejected[0].origin


@pytest.mark.parametrize("text", ["true", "1"])
def test_sending_is_not_switched_on_where_nobody_could_sign(text):
    stage = Stage(wallet="")
    stage.take(ConfigUpdate("execution-engine", {"max_slippage_bps": "7", "send_enabled": text}))
    (said,) = stage.of(ConfigChanged)
    assert [setting.key for setting in said.settings] == ["max_slippage_bps"]
    assert [(setting.key, setting.value) for setting in said.rejected] == [("send_enabled", text)]
    assert not stage.engine.state.params.send_enabled
    stage.take(WalletSnapshotComplete("W", (), is_periodic=False))
    stage.take(ConfigUpdate("execution-engine", {"send_enabled": text}))
    assert stage.engine.state.params.send_enabled


def opening(**told):
    """A run opens; its scenario says this of the engine."""
    settings = tuple(Setting(f"engine.{key}", text, "scenario") for key, text in told.items())
    return RunStarted(1, "s", "1", "ironcrab", (), settings, ())


def test_a_tightened_limit_holds_when_a_run_opens_and_for_what_waits():
    stage = Stage()
    stage.take(mint_info())
    stage.take(trade(10))
    assert stage.take(opening()).seq is not None
    assert stage.of(ConfigChanged) == [], "nothing was changed"
    stage.take(ConfigUpdate("execution-engine", {"max_position_size_lamports": "9"}))
    stage.take(buy(10))
    started = stage.take(opening())
    changed, kept = stage.of(ConfigChanged)
    assert kept.settings == (Setting("max_position_size_lamports", "9", KEPT),)
    assert kept.config_snapshot_id == changed.config_snapshot_id == stage.engine.state.config_id
    (decision,) = stage.decisions
    assert decision.primary_reject_reason == "RISK_MAX_POSITION"
    assert decision.decided_at == started.seq
    assert decision.config_snapshot_id == changed.config_snapshot_id


def test_a_change_ends_with_the_scenario_it_was_made_in():
    stage = Stage()
    was = stage.engine.params.max_position_size_lamports
    stage.take(opening(max_position_size_lamports="8", max_slippage_bps="7"))
    wishes = {"max_position_size_lamports": "9", "max_slippage_bps": str(stage.engine.params.max_slippage_bps)}
    stage.take(ConfigUpdate("execution-engine", wishes))
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(stage.engine.state), type=type(stage.engine.state))
    stage.take(opening(max_position_size_lamports="8", max_slippage_bps="7"))
    assert stage.engine.state.changes == state.changes, "the same scenario"
    stage.take(opening())
    assert stage.engine.state.params.max_position_size_lamports == was
    assert stage.engine.state.changes == {}
    stage.take(opening(max_position_size_lamports="8"))
    stage.take(ConfigUpdate("execution-engine", {"max_position_size_lamports": "8"}))
    stage.take(opening())
    assert stage.engine.state.params.max_position_size_lamports == was, "no more than its scenario said"


def test_a_wish_to_send_that_is_refused_leaves_what_was_wished_before():
    stage = Stage(wallet="", send_enabled=True)
    stage.take(ConfigUpdate("execution-engine", {"send_enabled": "false"}))
    stage.take(ConfigUpdate("execution-engine", {"send_enabled": "true", "max_slippage_bps": "7"}))
    assert not stage.engine.state.params.send_enabled
    assert stage.engine.state.params.max_slippage_bps == 7
    stage.take(opening())
    assert not stage.engine.state.params.send_enabled
