"""The life of attempts: answers good, bad, late and lost; preemption; the second attempt; the accounts."""

import msgspec
import pytest

from ironcrab.domain.ask import ConfirmAnswer, SendAnswer, SendAsk, SignedAnswer, SimulateAnswer, SimulateAsk
from ironcrab.domain.control import ClockTick, ControlRequest, ControlResponse, RunStarted
from ironcrab.domain.market import DexPoolAccounts, ExplicitAmount, PoolStateUpdate, WalletBalanceSnapshot
from ironcrab.domain.trade import PositionUpdate, ResultFees
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT, TOKEN_PROGRAM
from ironcrab.mode.paper import PaperParams
from tests.execution.stage import MINT, POOL, Stage, buy, mint_info, sell, trade

SOL = 1_000_000_000


def ready(paper=None, **params):
    stage = Stage(paper, **{"send_enabled": True, **params})
    stage.take(mint_info())
    stage.take(trade(10))
    return stage


def ask(stage, kind, index=-1):
    return [record.seq for record in stage.records if type(record.event) is kind][index]


def simulate(stage, intent, ms=0):
    stage.take(intent)
    stage.take(ClockTick(), ms)
    return ask(stage, SimulateAsk)


def simulated(stage, success=True, error=None, out=None, units=150_000):
    stage.take(SimulateAnswer(ask(stage, SimulateAsk), success, error, None, units, out))


def sent(stage, slot=10, ok=True, error=None):
    stage.take(SendAnswer(ask(stage, SendAsk), ok, stage.time_ms, "rpc", slot, "sig", None, error))


def confirmed(stage, fill_in=None, fill_out=None, status="confirmed", slot=12, fee=5200, error=None):
    fills = (
        None if fill_in is None else ExplicitAmount(*fill_in),
        None if fill_out is None else ExplicitAmount(*fill_out),
    )
    stage.take(
        ConfirmAnswer(
            ask(stage, SendAsk), status, slot, "sig", *fills, fees=ResultFees(fee, 0, 1), error_code=error, ordinal=1
        )
    )


def bought(stage, raw=10_000_000, got=7_000_000):
    simulate(stage, buy(raw))
    simulated(stage)
    sent(stage)
    confirmed(stage, (raw, 9), (got, 6))


def nothing_is_held(stage):
    state = stage.engine.state
    assert not state.attempts
    assert not state.asks
    assert not state.capital.locks
    assert not state.pools.locks
    assert all(row.locked == 0 for row in state.capital.assets.values())


def test_a_confirmed_buy():
    stage = ready()
    bought(stage)
    decision = stage.decisions[0]
    assert (decision.outcome, decision.primary_reject_reason) == ("Confirmed", None)
    assert [row.check_name for row in decision.checks[-3:]] == ["simulation", "send", "confirm"]
    assert decision.checks[-2].details == "signature=sig method=rpc"
    assert (decision.confirm.status, decision.confirm.slot) == ("confirmed", 12)
    assert decision.input_snapshots == {
        "fee_policy": "standard", "priority_fee_source": "static_floor", "slot_at_send": "10", "confirmed_slot_delta": "2",
    }  # fmt: skip
    first, last = stage.results
    assert (first.status, last.status, last.fill_status) == ("sent", "confirmed", "complete")
    assert last.fees == ResultFees(5200, 0, 1)
    assert last.metadata["side"] == "BUY"
    update = stage.of(PositionUpdate)[0]
    assert (update.balance_raw, update.status) == (7_000_000, "Open")
    capital = stage.engine.state.capital
    assert capital.available(NATIVE_SOL) == SOL - 10_005_200
    assert capital.available(MINT) == 7_000_000
    nothing_is_held(stage)


def test_profit_of_a_sell_counts_all_fees():
    stage = ready()
    bought(stage)
    simulate(stage, sell(3_500_000))
    simulated(stage)
    sent(stage)
    confirmed(stage, (3_500_000, 6), (6_000_000, 9), slot=14)
    pnl = stage.results[-1].pnl
    assert (pnl.gross_lamports, pnl.net_lamports) == (1_000_000, 1_000_000 - 2600 - 5200)
    assert stage.engine.state.losses.realised_lamports == pnl.net_lamports
    assert stage.engine.state.authority.balance(MINT) == 3_500_000
    assert stage.engine.state.capital.available(NATIVE_SOL) == SOL - 10_005_200 + 6_000_000 - 5200


def test_a_loss_ends_the_day_rests_the_mint_and_a_new_day_opens():
    stage = ready(daily_loss_limit_lamports=1_000_000, drawdown_limit_lamports=3_000_000, cooldown_ms=60_000)
    bought(stage)
    simulate(stage, sell(7_000_000))
    simulated(stage)
    sent(stage)
    confirmed(stage, (7_000_000, 6), (8_000_000, 9), slot=14)
    assert stage.engine.state.losses.lost_lamports == 2_010_400
    stage.take(buy())
    stage.take(ClockTick())
    row = stage.decisions[-1].checks[-1]
    assert (row.reason_code, row.details) == ("RISK_DAILY_LOSS_LIMIT", "lost=2010400 >= max=1000000")
    stage.take(ClockTick(), 10_000)
    stage.engine.state.losses.day -= 1
    stage.take(buy())
    stage.take(ClockTick())
    assert stage.decisions[-1].checks[-1].reason_code == "RISK_COOLDOWN_ACTIVE"
    stage.take(ClockTick(), 60_000)
    simulate(stage, buy())
    simulated(stage)
    sent(stage)
    confirmed(stage, status="failed", fee=999_999, error="Custom(6004)")
    stage.engine.state.losses.day -= 1
    stage.take(buy())
    stage.take(ClockTick())
    row = stage.decisions[-1].checks[-1]
    assert (row.reason_code, row.details) == ("RISK_DRAWDOWN_LIMIT", "drawdown=3010399 >= max=3000000")


def test_a_failed_transaction_pays_its_fee_and_returns_the_capital():
    stage = ready()
    simulate(stage, buy())
    simulated(stage)
    sent(stage)
    confirmed(stage, status="failed", error="Custom(6004)")
    decision = stage.decisions[0]
    assert (decision.outcome, decision.primary_reject_reason) == ("FailedConfirmed", "confirmed_err")
    result = stage.results[-1]
    assert (result.status, result.error_code, result.fill_status) == ("failed", "Custom(6004)", None)
    assert stage.engine.state.capital.available(NATIVE_SOL) == SOL - 5200
    assert stage.engine.state.losses.lost_lamports == 5200
    nothing_is_held(stage)


def test_fills_are_never_guessed():
    stage = ready()
    simulate(stage, buy())
    simulated(stage)
    sent(stage)
    confirmed(stage)
    result = stage.results[-1]
    assert (result.fill_status, result.fill_unavailable_reason) == ("unavailable", "token_balance_delta_missing")
    assert not stage.of(PositionUpdate)
    assert stage.engine.state.capital.available(NATIVE_SOL) == SOL - 10_005_200, "spent until the wallet says better"
    nothing_is_held(stage)


def test_half_a_fill_is_partial():
    stage = ready()
    simulate(stage, buy())
    simulated(stage)
    sent(stage)
    confirmed(stage, fill_out=(5, 6))
    assert stage.results[-1].fill_status == "partial"
    assert stage.of(PositionUpdate)[0].balance_raw == 5


def test_simulation_failed():
    stage = ready()
    simulate(stage, buy(intent_id="a"))
    simulated(stage, False, "Custom(1)")
    decision, result = stage.decisions[0], stage.results[0]
    assert (decision.outcome, decision.primary_reject_reason) == ("SimFailed", "Custom(1)")
    assert decision.checks[-1].reason_code == "SIM_FAILED"
    assert (result.status, result.error_message, result.error_code) == ("failed", "execution_failed", "Custom(1)")
    nothing_is_held(stage)
    stage.take(buy(intent_id="a"))
    stage.take(ClockTick())
    assert stage.decisions[1].primary_reject_reason == "LOCK_DUPLICATE_INTENT"


def test_an_outlet_may_say_that_simulating_took_too_long():
    stage = ready()
    simulate(stage, buy())
    simulated(stage, False, "sim_timeout")
    assert stage.decisions[0].checks[-1].reason_code == "SIM_TIMEOUT"


def test_a_lost_simulation_ends_by_time():
    stage = ready()
    simulate(stage, buy())
    stage.take(ClockTick(), 10_500)
    assert not stage.decisions
    stage.take(ClockTick(), 1)
    decision = stage.decisions[0]
    assert (decision.outcome, decision.checks[-1].reason_code) == ("SimFailed", "SIM_TIMEOUT")
    nothing_is_held(stage)
    simulated(stage)
    assert not stage.of(SendAsk), "an answer after the end changes nothing"


def test_a_passed_simulation_is_no_profit():
    stage = ready()
    simulate(stage, buy(min_out=100))
    simulated(stage, out=99)
    row = stage.decisions[0].checks[-1]
    assert (row.check_name, row.reason_code, row.details) == (
        "simulation_profit",
        "SIM_UNPROFITABLE",
        "amount_out=99 < min_out=100",
    )
    assert stage.decisions[0].outcome == "Rejected"


def test_the_kill_switch_stops_a_simulated_buy():
    stage = ready()
    simulate(stage, buy())
    stage.take(ControlRequest("r", "all", "kill_switch", active=True, reason="now"))
    assert stage.of(ControlResponse)[0].status == "ok"
    simulated(stage)
    decision = stage.decisions[0]
    assert decision.primary_reject_reason == "KILL_SWITCH_ACTIVE"
    assert decision.kill_switch.reason == "now"
    assert not stage.of(SendAsk)
    nothing_is_held(stage)


def test_a_send_that_failed():
    stage = ready()
    simulate(stage, buy(intent_id="a"))
    simulated(stage)
    sent(stage, ok=False, error="no route")
    decision = stage.decisions[0]
    assert (decision.outcome, decision.primary_reject_reason) == ("Rejected", "SEND_FAILED")
    assert decision.simulate.success
    assert stage.results[0].error_message == "send_failed"
    nothing_is_held(stage)


def test_a_bundle_that_failed():
    stage = ready(jito_enabled=True)
    simulate(stage, buy(require_bundle=True))
    simulated(stage)
    sent(stage, ok=False, error="rate limited")
    assert stage.decisions[0].primary_reject_reason == stage.decisions[0].checks[-1].reason_code == "BUNDLE_FAILED"


def test_the_signature_is_kept_from_signing():
    stage = ready()
    simulate(stage, buy())
    simulated(stage)
    stage.take(SignedAnswer(ask(stage, SendAsk), "signed", "AA==", "hash", 9))
    stage.take(SendAnswer(ask(stage, SendAsk), True, 1, "tpu", ordinal=1))
    assert stage.results[0].signature == "signed"


def test_a_sent_attempt_frees_its_pool_and_keeps_its_capital():
    stage = ready()
    simulate(stage, buy())
    assert list(stage.engine.state.pools.locks) == [POOL]
    simulated(stage)
    state = stage.engine.state
    assert not state.pools.locks
    assert state.capital.locks[next(iter(state.capital.locks))].until_ms is None
    stage.take(ClockTick(), 14_000)
    assert state.capital.assets[NATIVE_SOL].locked == 10_000_000


def test_a_lost_confirmation_is_sent_and_settles_when_it_comes_late():
    stage = ready()
    simulate(stage, buy())
    simulated(stage)
    sent(stage)
    stage.take(ClockTick(), 15_001)
    decision = stage.decisions[0]
    assert (decision.outcome, decision.primary_reject_reason) == ("Sent", None)
    assert decision.checks[-1].reason_code == "confirm_timeout"
    assert stage.results[-1].status == "timeout"
    assert stage.engine.state.capital.assets[NATIVE_SOL].locked == 10_000_000, "it may still land"
    confirmed(stage, (10_000_000, 9), (7, 6))
    assert len(stage.decisions) == 1
    assert stage.results[-1].status == "confirmed"
    assert stage.engine.state.authority.balance(MINT) == 7
    nothing_is_held(stage)


def test_a_lost_confirmation_frees_its_capital_when_it_cannot_land_any_more():
    stage = ready()
    simulate(stage, buy())
    simulated(stage)
    stage.take(ClockTick(), 15_001)
    assert stage.decisions[0].outcome == "Sent", "without a send answer nobody knows whether it left"
    stage.take(ClockTick(), 90_001)
    nothing_is_held(stage)
    assert stage.engine.state.capital.available(NATIVE_SOL) == SOL
    confirmed(stage, (10_000_000, 9), (7, 6))
    assert stage.engine.state.authority.balance(MINT) is None


def test_an_outlet_that_gives_up_is_a_timeout():
    stage = ready(jito_enabled=True)
    simulate(stage, buy(require_bundle=True))
    simulated(stage)
    sent(stage)
    confirmed(stage, status="timeout", slot=None)
    assert stage.decisions[0].checks[-1].reason_code == "BUNDLE_TIMEOUT"
    confirmed(stage, status="timeout", slot=None)
    assert (len(stage.decisions), len(stage.results)) == (1, 2)


def test_an_unknown_end_is_an_rpc_error_and_stays_sent():
    stage = ready()
    simulate(stage, buy())
    simulated(stage)
    sent(stage)
    confirmed(stage, status="rpc_error", slot=None)
    decision = stage.decisions[0]
    assert (decision.outcome, decision.checks[-1].reason_code, stage.results[-1].status) == (
        "Sent",
        "confirm_rpc_error",
        "timeout",
    )


def two_of_one_turn(stage, first, second):
    """Two intents that a strategy says in one turn (no ids, so neither is a world record that decides)."""
    for intent in (first, second):
        stage.loop.take(intent, stage.time_ms * 1_000_000)


def test_the_better_of_two_goes_first_and_the_loser_is_decided():
    stage = ready()
    two_of_one_turn(stage, buy(expected_value_lamports=5), buy(expected_value_lamports=6))
    assert stage.engine.undecided
    stage.take(ClockTick())
    assert stage.of(SimulateAsk)[0].intent == 4
    decision = stage.decisions[0]
    assert (decision.intent, decision.primary_reject_reason, decision.checks[-1].details) == (
        3,
        "LOCK_RESOURCE_CONFLICT",
        "pool locked by 4",
    )
    assert decision.decided_at == 5


def test_tier0_preempts_and_the_victim_is_decided_and_freed():
    stage = ready(native=20_000_000)
    simulate(stage, buy(15_000_000))
    victim = stage.of(SimulateAsk)[0].intent
    simulate(stage, buy(15_000_000, tier="Tier0", intent_id="urgent"))
    decision = stage.decisions[0]
    assert (decision.intent, decision.outcome, decision.primary_reject_reason) == (
        victim,
        "Rejected",
        "LOCK_RESOURCE_CONFLICT",
    )
    assert decision.checks[-1].details == "preempted by urgent"
    state = stage.engine.state
    assert list(state.attempts) == list(state.capital.locks) != [victim]
    stage.take(SimulateAnswer(ask(stage, SimulateAsk, 0), True))
    assert not stage.of(SendAsk), "the victim's answer is nobody's"
    simulated(stage)
    assert len(stage.of(SendAsk)) == 1


@pytest.mark.parametrize(
    ("fields", "later", "slots", "code"),
    [
        ({"ttl_ms": 300}, 300, 0, None),
        ({"ttl_ms": 300}, 301, 0, "TTL_EXPIRED"),
        ({"deadline_slot": 10}, 0, 0, None),
        ({"deadline_slot": 10}, 0, 1, "DEADLINE_SLOT_PASSED"),
    ],
)
def test_what_expires_while_it_is_simulated_is_not_sent(fields, later, slots, code):
    stage = ready()
    simulate(stage, buy(**fields))
    stage.take(trade(10 + slots), later)
    simulated(stage)
    assert len(stage.of(SendAsk)) == (code is None)
    if code is not None:
        (decision,) = stage.decisions
        assert (decision.outcome, decision.primary_reject_reason) == ("Expired", code)
        assert (decision.checks[-1].check_name, decision.simulate.success) == ("ttl_valid", True)
        state = stage.engine.state
        assert [*state.attempts, *state.capital.locks, *state.pools.locks, *state.asks] == []


def test_what_was_sent_is_not_preempted():
    stage = ready()
    simulate(stage, buy())
    simulated(stage)
    simulate(stage, buy(tier="Tier0"))
    assert not stage.decisions
    assert len(stage.engine.state.attempts) == 2


def test_a_full_engine_lets_intents_wait_and_tier0_pass():
    stage = ready(max_concurrent_intents=1)
    simulate(stage, buy())
    stage.take(buy(pool="P2"))
    stage.take(ClockTick())
    assert (len(stage.of(SimulateAsk)), stage.engine.undecided) == (1, False)
    simulate(stage, buy(tier="Tier0"))
    assert len(stage.of(SimulateAsk)) == 2
    assert stage.decisions[0].checks[-1].reason_code == "LOCK_RESOURCE_CONFLICT"
    stage.take(ClockTick(), 5_001)
    assert stage.decisions[1].primary_reject_reason == "TTL_EXPIRED"


def curve(stage):
    stage.take(WalletBalanceSnapshot(MINT, 1_000_000, 6, TOKEN_PROGRAM))
    stage.take(trade(10, pool="Curve", dex="pumpfun"))
    return sell(1000, pool="Curve", metadata={"dex": "pumpfun", "creator": "C"}, intent_id="a")


def test_a_sell_on_a_complete_curve_is_tried_on_pump_swap():
    stage = ready()
    stage.take(DexPoolAccounts("pump_amm", POOL, MINT, SOL_MINT, ("K1", "K2"), slot=10))
    simulate(stage, curve(stage))
    simulated(stage, False, "Error processing Instruction 2: custom program error: 0x1775")
    again = stage.of(SimulateAsk)[1]
    assert (again.intent, again.attempt, again.plan.pool_address, again.plan.dex) == (
        stage.of(SimulateAsk)[0].intent,
        1,
        POOL,
        "pump_amm",
    )
    simulated(stage, False, "Custom(6005)")
    assert [(one.outcome, one.attempt, one.intent_id) for one in stage.decisions] == [
        ("SimFailed", 0, "a"),
        ("SimFailed", 1, "a"),
    ]
    assert all(one.checks[0].passed for one in stage.decisions), "the second attempt is no repeat"
    assert [one.attempt for one in stage.results] == [0, 1]
    nothing_is_held(stage)


def test_the_second_attempt_goes_where_most_is_paid():
    """Anybody may open a pool of the mint: the first one seen may be next to empty, or never have been quoted."""
    stage = ready()
    stage.take(DexPoolAccounts("pump_amm", "Unquoted", MINT, SOL_MINT, (), slot=9))
    for pool, reserve in (("Poor", 10**6), ("Rich", 10**12), ("AsRich", 10**12)):
        stage.take(PoolStateUpdate(pool, "pump_amm", 10**12, reserve, MINT, SOL_MINT, 10, slot=10))
    simulate(stage, curve(stage))
    simulated(stage, False, "Custom(6005)")
    again = stage.of(SimulateAsk)[1]
    assert (again.attempt, again.plan.pool_address) == (1, "Rich")


def test_no_second_attempt_without_a_pool_or_for_other_errors():
    for pool, error in ((True, "Custom(6004)"), (False, "Custom(6005)")):
        stage = ready()
        if not pool:
            stage.known.pools.state.rows.clear()
            stage.known.pools.restored()
        simulate(stage, curve(stage))
        simulated(stage, False, error)
        assert (len(stage.decisions), stage.engine.state.waiting) == (1, [])


def test_a_run_that_starts_puts_its_params_in_force():
    stage = ready()
    state = stage.engine.state
    state.params = msgspec.structs.replace(state.params, max_open_positions=1)
    stage.take(RunStarted(1, "s", "0", "ironcrab", (), (), ()))
    assert state.params == stage.engine.params
    assert state.config_seq == stage.records[-1].seq


def test_asks_that_nobody_here_made_are_ignored():
    stage = ready()
    simulate(stage, buy())
    plan = stage.of(SimulateAsk)[0].plan
    for told in (SimulateAsk(99, 0, plan), SendAsk(3, 0, plan), SimulateAsk(3, 7, plan)):
        stage.take(told)
    assert len(stage.engine.state.asks) == 1
    for told in (
        SimulateAnswer(99, True),
        SendAnswer(99, True, 1, "x"),
        SignedAnswer(99, "", "", "", 1),
        ConfirmAnswer(99, "confirmed"),
    ):
        stage.take(told)
    assert not stage.decisions


def test_paper_round_trip():
    stage = ready(PaperParams(fee_bps=100, slippage_bps=50, latency_slots=2))
    stage.take(buy())
    for slot in range(11, 16):
        stage.take(trade(slot), 400)
    decision = stage.decisions[0]
    assert decision.outcome == "Confirmed"
    assert stage.results[-1].fill_out.raw == 10_000_000 * 9900 // 10_000 * 9950 // 10_000
    assert stage.results[-1].confirmed_slot == 13
