"""Every row of the check table, passing and failing, through the engine."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.control import ClockTick, ConfigUpdate, ControlRequest, ForkOrphaned, GapOpened
from ironcrab.domain.market import (
    BondingCurveProgress,
    ExplicitAmount,
    PoolStateUpdate,
    PriorityFeePercentiles,
    WalletBalanceSnapshot,
    WalletSnapshotComplete,
)
from ironcrab.domain.trade import Execution, TradeResources
from ironcrab.domain.units import SOL_MINT, TOKEN_PROGRAM
from ironcrab.execution.checks import CHECKS
from tests.execution.stage import MINT, POOL, T0, Stage, buy, mint_info, sell, trade

FULL_BUY = [
    "idempotency", "ttl_valid", "kill_switch", "max_position_size", "max_slippage", "max_open_positions",
    "daily_loss_limit", "fee_compute_limit", "fee_priority_limit", "fee_max_cost", "fee_profitability",
    "resource_locks", "capital_lock", "tx_plan", "simulation", "send_enabled",
]  # fmt: skip


def ready(**params):
    stage = Stage(**params)
    stage.take(mint_info())
    stage.take(trade(10))
    return stage


def decide(stage, intent, ms=0):
    """Say an intent and let a tick decide it; the decision, or None when it asked for a simulation."""
    before = len(stage.decisions)
    stage.take(intent)
    stage.take(ClockTick(), ms)
    return stage.decisions[before] if len(stage.decisions) > before else None


def holding(stage, raw=1_000_000, mint=MINT):
    stage.take(WalletBalanceSnapshot(mint, raw, 6, TOKEN_PROGRAM))
    return stage


def last_row(decision):
    row = decision.checks[-1]
    return row.check_name, row.reason_code, row.details


def test_a_buy_passes_every_row_and_stops_at_the_send_switch():
    stage = ready()
    assert decide(stage, buy()) is None
    stage.take(ClockTick())
    decision = stage.decisions[0]
    assert [row.check_name for row in decision.checks] == FULL_BUY
    assert [row.passed for row in decision.checks] == [True] * 15 + [False]
    assert last_row(decision) == ("send_enabled", "send_disabled", "execution-engine config.send_enabled=false")
    assert (decision.outcome, decision.primary_reject_reason) == ("Rejected", "send_disabled")
    assert decision.simulate.success
    assert not stage.results
    details = {row.check_name: row.details for row in decision.checks}
    assert details["kill_switch"] == "inactive (buy_only)"
    assert details["max_position_size"] == "required=10000000 <= max=500000000"
    assert details["daily_loss_limit"] == "ok (buy_only)"
    assert details["fee_compute_limit"] == "compute_units=200000"
    assert details["fee_max_cost"] == "total_cost=5200 (base=5000, priority=200)"
    assert details["fee_profitability"] == "skipped_for_speculative_buy"
    assert details["capital_lock"] == "buy:reserve_lamports_from_native_sol_fallback=10000000"
    assert details["simulation"] == "CU consumed: Some(150000)"


def test_a_sell_skips_what_is_for_buys():
    stage = holding(ready())
    assert decide(stage, sell(400_000)) is None
    stage.take(ClockTick())
    details = {row.check_name: row.details for row in stage.decisions[0].checks}
    for name in ("kill_switch", "max_position_size", "max_slippage", "max_open_positions", "daily_loss_limit"):
        assert details[name] == "skipped_for_sell"
    assert details["sell_token_balance"] == "available=1000000 >= required=400000 (wallet=1000000, authority=1000000)"
    assert details["capital_lock"] == f"token:{MINT}"
    assert details["fee_profitability"] == "skipped_for_sell"


def config(stage, **values):
    stage.take(ConfigUpdate("execution-engine", {key: str(value) for key, value in values.items()}))


def kill(active=True):
    return ControlRequest("r-1", "execution-engine", "kill_switch", active=active, reason="drill")


def arb(**fields):
    told = {"source": "arb-strategy", "tier": "Arb", "regime": "NotApplicable"}
    return buy(**{**told, **fields})


def unanswered(stage):
    """From here on nobody answers asks."""
    stage.outlet = None


def two_pools():
    return arb(resources=TradeResources(SOL_MINT, MINT, (POOL, "Pool2")), expected_roi_bps=300)


REFUSALS = {
    "ttl": (lambda s: decide(s, buy(ttl_ms=1000), 1001), "ttl_valid", "TTL_EXPIRED", f"now={T0 + 1001} > ts={T0} + ttl=1000"),
    "default ttl": (lambda s: decide(s, buy(), 5001), "ttl_valid", "TTL_EXPIRED", f"now={T0 + 5001} > ts={T0} + ttl=5000"),
    "deadline": (lambda s: decide(s, buy(deadline_slot=9)), "ttl_valid", "DEADLINE_SLOT_PASSED", "slot=10 > deadline_slot=9"),
    "kill": (lambda s: (s.take(kill()), decide(s, buy()))[1], "kill_switch", "KILL_SWITCH_ACTIVE", "drill"),
    "size": (lambda s: decide(s, buy(500_000_001)), "max_position_size", "RISK_MAX_POSITION", "required=500000001 > max=500000000"),
    "slippage": (lambda s: decide(s, buy(max_slippage_bps=1000)), "max_slippage", "SIM_SLIPPAGE_EXCEEDED", "intent_slippage=1000bps > max=500bps"),
    "told positions": (lambda s: decide(holding(s), buy(mint="M2", metadata={"dex": "pump_amm", "current_open_positions": "5"})), "max_open_positions", "RISK_MAX_OPEN_POSITIONS", "current=5 >= max=5 (metadata=5, authority=1, wallet=1, buying=0)"),
    "held positions": (lambda s: ([holding(s, 1, f"M{i}") for i in range(5)], decide(s, buy(metadata={"dex": "pump_amm", "current_open_positions": "1"})))[1], "max_open_positions", "RISK_MAX_OPEN_POSITIONS", "current=5 >= max=5 (metadata=1, authority=5, wallet=5, buying=0)"),
    "scale in without balance": (lambda s: ([holding(s, 1, f"M{i}") for i in range(5)], decide(s, buy(metadata={"dex": "pump_amm", "entry_kind": "scale_in"})))[1], "max_open_positions", "RISK_MAX_OPEN_POSITIONS", "current=5 >= max=5 (metadata=0, authority=5, wallet=5, buying=0)"),
    "no wallet": (lambda s: (setattr(s.engine.state, "wallet", ""), decide(holding(s), sell(1)))[1], "sell_token_balance", "INTERNAL_ERROR", "wallet unknown"),
    "balance": (lambda s: decide(holding(s), sell(1_000_001)), "sell_token_balance", "SIM_INSUFFICIENT_BALANCE", "available=1000000 < required=1000001 (wallet=1000000, authority=1000000)"),
    "untracked": (lambda s: decide(s, sell(1)), "sell_token_balance", "SIM_INSUFFICIENT_BALANCE", "available=0 < required=1 (wallet=0, authority=untracked)"),
    "compute": (lambda s: (config(s, max_compute_units=100_000), decide(s, buy()))[1], "fee_compute_limit", "FEE_COMPUTE_EXCEEDS_LIMIT", "compute_units=200000 > max=100000"),
    "priority": (lambda s: (s.take(PriorityFeePercentiles(5, 10, 1, 100_000, 3, 4, 6, 120_000, 5)), decide(s, buy()))[1], "fee_priority_limit", "FEE_PRIORITY_EXCEEDS_LIMIT", "priority_fee_micro_lamports=120000 > max=100000 source=dynamic"),
    "tip": (
        lambda s: decide(s, buy(require_bundle=True, bundle_tip_lamports=49_994_601)),
        "fee_max_cost", "FEE_EXCEEDS_MAX_COST", "total_cost=5400 (base=5000, priority=400) + tip=49994601 > max=50000000",
    ),
    "cost": (lambda s: (config(s, max_tx_cost_lamports=5199), decide(s, buy()))[1], "fee_max_cost", "FEE_EXCEEDS_MAX_COST", "total_cost=5200 (base=5000, priority=200) > max=5199"),
    "profit": (lambda s: decide(s, arb(raw=100_000, expected_roi_bps=100, tier="Tier1")), "fee_profitability", "FEE_UNPROFITABLE", "profit_after_fees=-420bps < min=10bps"),
    "no capital": (lambda s: decide(s, arb(raw=0, expected_roi_bps=100)), "fee_profitability", "FEE_UNPROFITABLE", "profit_after_fees=unknown < min=10bps"),
    "capital": (lambda s: (unanswered(s), decide(s, buy(500_000_000)), s.take(trade(10, pool="P2")), decide(s, buy(500_000_000, pool="P2")), decide(s, buy(200_000_000, pool="P3")))[-1], "capital_lock", "LOCK_CAPITAL_CONFLICT", "available=0 < requested=200000000 asset=NATIVE_SOL"),
    "pool": (lambda s: decide_both(s, buy(1, intent_id="first"), buy(1)), "resource_lock", "LOCK_RESOURCE_CONFLICT", "pool locked by first"),
    "no handler": (lambda s: (config(s, cross_dex_enabled="false"), decide(s, two_pools()))[1], "cross_dex_handler", "ARB_HANDLER_NOT_CONFIGURED", "cross_dex_enabled=false"),
    "dex missing": (lambda s: decide(s, buy(metadata={})), "tx_plan", "UNSUPPORTED_INTENT", "missing metadata.dex"),
    "dex unknown": (lambda s: decide(s, buy(metadata={"dex": "unknown"})), "tx_plan", "UNSUPPORTED_INTENT", "dex=unknown"),
    "dex differs": (lambda s: decide(s, buy(metadata={"dex": "orca"})), "tx_plan", "INVALID_INTENT", "dex=orca but the pool is of pump_amm"),
    "not sol": (lambda s: decide(holding(s, 10**9, "X"), buy(resources=TradeResources("X", MINT, (POOL,)))), "tx_plan", "UNSUPPORTED_INTENT", f"Buy of X for {MINT}: one side must be SOL"),
    "nothing": (lambda s: decide(s, buy(0)), "tx_plan", "INVALID_INTENT", "required_capital=0"),
    "pool unknown": (lambda s: decide(s, buy(pool="Nowhere")), "tx_plan", "POOL_NOT_FOUND", "pool=Nowhere"),
    "gap": (lambda s: (s.take(GapOpened("geyser", 10, 11, "drill")), decide(s, buy()))[1], "tx_plan", "QUOTE_UNAVAILABLE", "pool unknown since record 3"),
    "other mint": (lambda s: decide(s, buy(mint="Other")), "tx_plan", "INVALID_MINT", f"pool holds {MINT} and {SOL_MINT}"),
    "decimals": (lambda s: decide(s, buy(execution=Execution(ExplicitAmount(1, 9)))), "tx_plan", "INVALID_MINT", "decimals=9 but the mint has 6"),
    "no decimals": (lambda s: (s.take(trade(10, pool="P2", mint="M2")), decide(s, buy(mint="M2", pool="P2", execution=None, metadata={"dex": "pump_amm", "min_out_raw": "5"})))[1], "tx_plan", "MISSING_DECIMALS", "mint=M2"),
    "no min out": (lambda s: decide(s, buy(execution=None)), "tx_plan", "UNSUPPORTED_INTENT", "missing execution.min_out"),
    "bad min out": (lambda s: decide(s, buy(execution=None, metadata={"dex": "pump_amm", "min_out_raw": "1e3"})), "tx_plan", "INVALID_INTENT", "metadata.min_out_raw='1e3'"),
    "zero min out": (lambda s: decide(s, buy(min_out=0)), "tx_plan", "INVALID_INTENT", "execution.min_out=0"),
    "no creator": (lambda s: (s.take(trade(10, pool="Curve", dex="pumpfun")), decide(s, buy(pool="Curve", metadata={"dex": "pumpfun"})))[1], "tx_plan", "UNSUPPORTED_INTENT", "missing metadata.creator"),
    "curve complete": (lambda s: (s.take(BondingCurveProgress(MINT, "Curve", 10_000, complete=True, slot=10)), decide(s, buy(pool="Curve", metadata={"creator": "C"})))[1], "tx_plan", "QUOTE_UNAVAILABLE", "curve complete"),
    "no bundles": (lambda s: (config(s, send_enabled="true"), decide(s, buy(require_bundle=True)))[1], "bundle_config", "BUNDLE_NOT_CONFIGURED", "jito_enabled=false"),
    "small tip": (lambda s: decide(s, buy(require_bundle=True, bundle_tip_lamports=999)), "bundle_tip_ix", "INTERNAL_ERROR", "tip_lamports=999 < floor=1000"),
    "no quote": (lambda s: (s.take(PoolStateUpdate("P2", "pump_amm", 0, 0, MINT, SOL_MINT, 10, slot=10)), decide(holding(s), sell(1, pool="P2")))[1], "pump_amm_quote_ready", "QUOTE_UNAVAILABLE", "pool=P2 reason=QUOTE_UNAVAILABLE"),
}  # fmt: skip


def decide_both(stage, first, second):
    """Two intents of one turn; the decision on the second, which is refused at once."""
    before = len(stage.decisions)
    stage.loop.take(msgspec.structs.replace(first, intent_id=first.intent_id), stage.time_ms * 1_000_000)
    stage.engine.state.waiting.append(
        msgspec.structs.replace(stage.engine.state.waiting[0], intent=10**6, event=second)
    )
    stage.take(ClockTick())
    return stage.decisions[before]


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    act, check, code, details = REFUSALS[name]
    stage = ready()
    decision = act(stage)
    assert last_row(decision) == (check, code, details)
    assert decision.outcome == ("Expired" if check == "ttl_valid" else "Rejected")
    assert decision.primary_reject_reason == code
    assert decision.config_snapshot_id == stage.engine.state.config_id
    capital = stage.engine.state.capital
    assert decision.intent not in capital.locks
    assert all(holder.intent != decision.intent for holder in stage.engine.state.pools.locks.values())
    if check == "kill_switch":
        assert decision.kill_switch.request_id == "r-1"
    else:
        assert decision.kill_switch is None


def test_every_check_was_refused_somewhere():
    named = {check for _, check, _, _ in REFUSALS.values()}
    own = {"cross_dex": "cross_dex_handler", "bundle": "bundle_tip_ix", "resource_locks": "resource_lock"}
    later = {"idempotency", "daily_loss_limit", "drawdown_limit", "cooldown", "quantile_slippage"}
    later |= {"housekeeping", "bundle_auction"}
    for check in CHECKS:
        name = own.get(check.__name__, check.__name__)
        assert name in named or name in later, name


def test_repeat_of_an_id_that_reached_simulation():
    stage = ready()
    decide(stage, buy(intent_id="a"))
    stage.take(ClockTick())
    again = decide(stage, buy(intent_id="a"))
    assert last_row(again) == ("idempotency", "LOCK_DUPLICATE_INTENT", "intent=a")
    assert [row.check_name for row in again.checks] == ["idempotency"]


def test_a_plain_rejection_may_be_repeated():
    stage = ready()
    assert last_row(decide(stage, buy(intent_id="a", max_slippage_bps=501)))[1] == "SIM_SLIPPAGE_EXCEEDED"
    assert decide(stage, buy(intent_id="a")) is None


def test_a_repeat_while_the_first_is_under_way():
    stage = ready()
    unanswered(stage)
    assert decide(stage, buy(intent_id="a")) is None
    assert last_row(decide(stage, buy(intent_id="a", pool="P2")))[1] == "LOCK_DUPLICATE_INTENT"


def test_scale_in_with_balance_is_no_new_position():
    stage = ready(max_open_positions=1)
    holding(stage, 7)
    assert decide(stage, buy(metadata={"dex": "pump_amm", "entry_kind": "scale_in"})) is None
    stage.take(ClockTick())
    assert "skipped_for_scale_in balance=7" in [row.details for row in stage.decisions[0].checks]


def test_market_orders_carry_no_slippage():
    stage = ready()
    assert decide(stage, buy(max_slippage_bps=9999, metadata={"dex": "pump_amm", "market_order": "true"})) is None
    stage.take(ClockTick())
    assert "skipped_for_market_order" in [row.details for row in stage.decisions[0].checks]


def test_liquidation_sells_say_so():
    stage = holding(ready())
    assert decide(stage, sell(1, metadata={"dex": "pump_amm", "purpose": "liquidation"})) is None
    stage.take(ClockTick())
    decision = stage.decisions[0]
    assert "skipped_for_liquidation_sell" in [row.details for row in decision.checks]
    assert decision.input_snapshots["fee_policy"] == "liquidation"


def test_sells_pass_the_kill_switch_and_a_reset_lets_buys_pass():
    stage = holding(ready())
    stage.take(kill())
    assert decide(stage, sell(1000)) is None
    stage.take(ControlRequest("r-2", "all", "reset_kill_switch"))
    assert decide(stage, buy(pool="P9", intent_id="x")).checks[2].passed


def test_requests_of_other_kinds_and_targets_are_ignored():
    stage = ready()
    stage.take(ControlRequest("r", "market-data", "kill_switch", active=True))
    stage.take(ControlRequest("r", "execution-engine", "burn_token_accounts"))
    assert not stage.engine.state.kill.active
    stage.take(kill(active=False))
    assert not stage.engine.state.kill.active


def test_the_wallet_is_learned_from_a_complete_snapshot():
    stage = ready(wallet="")
    holding(stage)
    assert last_row(decide(stage, sell(1)))[2] == "wallet unknown"
    stage.take(WalletSnapshotComplete("W", (MINT,)))
    assert decide(stage, sell(1000)) is None


def test_a_fork_makes_the_pool_unknown():
    stage = ready()
    stage.take(ForkOrphaned(10, "drill"))
    assert last_row(decide(stage, buy()))[1] == "QUOTE_UNAVAILABLE"


def test_wsol_pays_once_it_was_seen():
    stage = ready()
    stage.take(WalletBalanceSnapshot(SOL_MINT, 0, 9, TOKEN_PROGRAM))
    assert stage.engine.state.capital.sol() == "NATIVE_SOL"
    stage.take(WalletBalanceSnapshot(SOL_MINT, 400_000_000, 9, TOKEN_PROGRAM))
    stage.take(WalletBalanceSnapshot(SOL_MINT, 300_000_000, 9, TOKEN_PROGRAM))
    assert decide(stage, buy(300_000_000)) is None
    stage.take(ClockTick())
    details = [row.details for row in stage.decisions[0].checks]
    assert "buy:reserve_lamports_from_wsol_ata=300000000" in details
    assert [read.what for read in stage.decisions[0].reads] == ["balance", "pool", "mint"]


def test_reads_name_the_records():
    stage = holding(ready())
    config(stage, max_open_positions=7)
    assert decide(stage, sell(5)) is None
    stage.take(ClockTick())
    decision = stage.decisions[0]
    for read in decision.reads:
        event = stage.records[read.seq].event
        name = type(event).__name__
        assert (read.what, name) in (
            ("config", "ConfigUpdate"), ("balance", "WalletBalanceSnapshot"), ("pool", "Trade"),
            ("mint", "TokenMintInfo"), ("quote", "Trade"),
        )  # fmt: skip
    assert [read.what for read in decision.reads] == ["config", "balance", "pool", "mint", "quote"]


def test_config_is_judged_key_by_key():
    stage = ready()
    before = stage.engine.state.config_id
    stage.take(
        ConfigUpdate(
            "execution-engine", {"max_open_positions": "7", "max_slippage_bps": "0", "wallet": "x", "colour": "red"}
        )
    )
    told = stage.records[-1].event
    assert [(one.key, one.value) for one in told.settings] == [("max_open_positions", "7")]
    assert [(one.key, one.origin) for one in told.rejected] == [
        ("max_slippage_bps", "Expected `int` >= 1"), ("wallet", "takes effect at a restart only"), ("colour", "unknown key"),
    ]  # fmt: skip
    assert told.config_snapshot_id == stage.engine.state.config_id != before
    assert stage.engine.state.params.max_open_positions == 7
    stage.take(ConfigUpdate("momentum-bot", {"max_open_positions": "9"}))
    assert stage.engine.state.params.max_open_positions == 7


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.integers(0, 2**63),
    st.integers(0, 20_000),
    st.sampled_from(["Buy", "Sell"]),
    st.dictionaries(
        st.sampled_from(["dex", "min_out_raw", "current_open_positions", "creator", "spread_bps"]), st.text(max_size=24)
    ),
)
def test_any_intent_ends_in_a_decision_or_an_ask(raw, slippage, side, metadata):
    stage = holding(ready())
    make = buy if side == "Buy" else sell
    stage.take(make(raw, metadata=metadata, execution=None, max_slippage_bps=slippage))
    stage.take(ClockTick())
    stage.take(ClockTick())
    assert len(stage.decisions) == 1
