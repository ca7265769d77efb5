"""`decide`: the original's replay semantics, on intents of our own with its markers."""

import json

import msgspec
import pytest

from ironcrab.domain.fault import DiskFault, InputFault, ScenarioFault
from ironcrab.domain.units import SOL_MINT
from ironcrab.execution.params import EngineParams
from ironcrab.mode.decide import REPLAY_CHECKS, decide, decide_file

BUY_ROWS = [
    "idempotency", "ttl_valid", "kill_switch", "max_position_size", "max_slippage", "max_open_positions",
    "daily_loss_limit", "fee_compute_limit", "fee_priority_limit", "fee_max_cost", "fee_profitability", "resource_locks",
    "capital_lock", "simulation",
]  # fmt: skip
SELL_ROWS = [*BUY_ROWS[:7], "sell_token_balance", *BUY_ROWS[7:]]
BASE, CURVE = "TokenOfTheCase", "PoolOfTheCase"


def line(number=1, mint="SIMSUCCx", side="Buy", **changes):
    capital = {"raw": 40_000_000, "decimals": 9, "ui": 0.04} if side == "Buy" else {"raw": 900, "decimals": 6}
    mints = (SOL_MINT, mint) if side == "Buy" else (BASE, mint)
    told = {
        "schema_version": 1, "ts_unix_ms": 1_700_000_000_000 + number, "component": "test", "build": "0", "run_id": "run-of-tests",
        "intent_id": f"case-{number}", "source": "test", "tier": "Tier1", "origin_type": "StrategyA", "required_capital": capital,
        "resources": {"input_mint": mints[0], "output_mint": mints[1], "pools": [f"Pool{number}"], "accounts": []},
        "expected_roi_bps": 100, "max_slippage_bps": 200, "side": side, "regime": "Early", "ttl_ms": 5000, "urgency": 5,
    }  # fmt: skip
    return json.dumps({**told, **changes}).encode() + b"\n"


def curve_line():
    return line(9, "SIMFAIL6005", "Sell", metadata={"dex": "pumpfun", "purpose": "liquidation"})


def fixture(**changes):
    told = {
        "base_mint": BASE,
        "pool_market": CURVE,
        "quote_mint": SOL_MINT,
        "initial_token_balance": 900,
        "pool_accounts": [CURVE, "K"],
    }
    return {**told, **changes}


def told(lines, **more):
    return [json.loads(one) for one in decide(lines, **more)]


def rows(decision):
    return [(row["check_name"], row["passed"], row["reason_code"]) for row in decision["checks"]]


def test_a_marked_success_stops_at_the_send_switch():
    decision = told([line()])[0]
    assert rows(decision) == [*((name, True, None) for name in BUY_ROWS), ("send_enabled", False, "send_disabled")]
    assert (decision["outcome"], decision["primary_reject_reason"], decision["plan_hash"]) == (
        "Rejected",
        "send_disabled",
        "replay-simsucc",
    )
    assert decision["simulate"] == {"success": True, "compute_units_consumed": 150_000}
    assert (decision["decision_id"], decision["ts_unix_ms"], decision["run_id"]) == (
        "dec-run-of-t-000000",
        1_700_000_000_001,
        "run-of-tests",
    )
    assert {row["check_name"]: row["details"] for row in decision["checks"]}["ttl_valid"] == "replay mode"


def test_a_marked_failure():
    decision = told([line(mint="SIMFAILx")])[0]
    assert rows(decision) == [*((name, True, None) for name in BUY_ROWS[:-1]), ("simulation", False, "SIM_FAILED")]
    assert (decision["outcome"], decision["primary_reject_reason"], decision["plan_hash"]) == (
        "SimFailed",
        "Custom program error: 0x1",
        "replay-simfail",
    )
    assert decision["simulate"] == {"success": False, "error_code": "Custom program error: 0x1"}


def test_a_complete_curve_is_tried_again():
    first, second = told([curve_line()], fixture=fixture())
    for decision in (first, second):
        assert rows(decision) == [*((name, True, None) for name in SELL_ROWS[:-1]), ("simulation", False, "SIM_FAILED")]
        assert (decision["intent_id"], decision["outcome"]) == ("case-9", "SimFailed")
        assert decision["input_snapshots"]["fee_policy"] == "liquidation"
    assert (first["primary_reject_reason"], first["plan_hash"]) == (
        "Simulation failed: Custom(6005)",
        "replay-simfail-6005",
    )
    assert (second["primary_reject_reason"], second["plan_hash"]) == ("Custom program error: 0x1", "replay-simfail")
    assert [first["decision_id"][-6:], second["decision_id"][-6:]] == ["000000", "000001"]


def test_without_its_fixture_a_curve_case_has_no_balance():
    decision = told([curve_line()])[0]
    assert rows(decision)[-1] == ("sell_token_balance", False, "SIM_INSUFFICIENT_BALANCE")


def test_limits_refuse():
    big = line(1, required_capital={"raw": 600_000_000, "decimals": 9})
    slipping = line(2, max_slippage_bps=1000)
    first, second = told([big, slipping])
    assert rows(first)[-1] == ("max_position_size", False, "RISK_MAX_POSITION")
    assert first["checks"][-1]["details"] == "required=600000000 > max=500000000"
    assert rows(second)[-1] == ("max_slippage", False, "SIM_SLIPPAGE_EXCEEDED")
    assert second["checks"][-1]["details"] == "intent_slippage=1000bps > max=500bps"
    assert rows(told([big], config=EngineParams(max_position_size_lamports=700_000_000))[0])[-1][0] == "send_enabled"


def test_capital_is_back_after_each_case_and_repeats_are_refused():
    half = {"raw": 500_000_000, "decimals": 9}
    decisions = told([line(number, required_capital=half) for number in (1, 2, 3, 1)])
    assert [one["primary_reject_reason"] for one in decisions] == ["send_disabled"] * 3 + ["LOCK_DUPLICATE_INTENT"]


def test_an_unmarked_mint_goes_to_plan_building():
    assert rows(told([line(mint="Real")])[0])[-1] == ("tx_plan", False, "UNSUPPORTED_INTENT")
    assert rows(told([line(mint="Real", metadata={"dex": "orca"})])[0])[-1] == ("tx_plan", False, "POOL_NOT_FOUND")


def test_an_unmarked_plan_has_no_simulator():
    sell = line(
        1,
        SOL_MINT,
        "Sell",
        resources={"input_mint": BASE, "output_mint": SOL_MINT, "pools": [CURVE]},
        metadata={"dex": "pump_amm", "min_out_raw": "1"},
    )
    decision = told([sell], fixture=fixture())[0]
    assert (decision["outcome"], decision["primary_reject_reason"]) == (
        "SimFailed",
        "replay has no simulator for an unmarked intent",
    )


def test_an_old_intent_is_not_expired_and_the_output_is_the_input_alone():
    lines = [line(2), b"\n", line(1, ttl_ms=1)]
    assert [one["primary_reject_reason"] for one in told(lines)] == ["send_disabled"] * 2
    assert decide(lines) == decide(lines)


def test_send_stays_off_whatever_the_config_says():
    assert told([line()], config=EngineParams(send_enabled=True))[0]["primary_reject_reason"] == "send_disabled"


def test_the_replay_table_is_the_engine_table_with_markers():
    assert len(REPLAY_CHECKS) == len(set(REPLAY_CHECKS))


def test_files(tmp_path):
    intents, out, config = tmp_path / "x_intents.jsonl", tmp_path / "out.jsonl", tmp_path / "c.toml"
    intents.write_bytes(curve_line() + line())
    assert decide_file(intents, None, out) == {"Rejected": 2}
    (tmp_path / "x_fixture.json").write_bytes(msgspec.json.encode(fixture()))
    config.write_text("[engine]\nmax_position_size_lamports = 1\n")
    assert decide_file(intents, config, out) == {"SimFailed": 2, "Rejected": 1}
    assert [json.loads(one)["outcome"] for one in out.read_bytes().splitlines()] == [
        "SimFailed",
        "SimFailed",
        "Rejected",
    ]


def test_bad_files(tmp_path):
    intents, out = tmp_path / "x_intents.jsonl", tmp_path / "out.jsonl"
    with pytest.raises(InputFault, match="cannot read"):
        decide_file(intents, None, out)
    intents.write_bytes(line() + b'{"intent_id":"x"}\n')
    with pytest.raises(InputFault, match="line 2: "):
        decide_file(intents, None, out)
    intents.write_bytes(curve_line())
    for text in (b"{", b"[]", b"{}"):
        (tmp_path / "x_fixture.json").write_bytes(text)
        with pytest.raises(InputFault, match=r"no JSON|fixture lacks"):
            decide_file(intents, None, out)
    (tmp_path / "x_fixture.json").write_bytes(msgspec.json.encode(fixture()))
    with pytest.raises(DiskFault):
        decide_file(intents, None, tmp_path / "nowhere" / "out.jsonl")
    for text in ("=", "colour = 1", "max_open_positions = 0", "[engine]\nmax_slippage_bps = 'x'"):
        config = tmp_path / "c.toml"
        config.write_text(text)
        with pytest.raises(ScenarioFault):
            decide_file(intents, config, out)
