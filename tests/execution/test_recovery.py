"""Cold-path recovery: one request, one wait, one more attempt; other sells ask without waiting."""

import pytest

from ironcrab.domain.ask import ConfirmAnswer, SendAnswer, SendAsk, SignedAnswer, SimulateAnswer, SimulateAsk
from ironcrab.domain.control import ClockTick, ControlRequest, ControlResponse
from ironcrab.domain.market import SlotUpdate
from tests.execution.stage import Stage
from tests.execution.test_plans import ACCOUNTS, SETS, SLOT, coin_of, last_row, ready, told, wish

WAIT = {"recovery_wait_ms": 5_000, "plans": "required"}


def lacking(venue="raydium", **params):
    """A stage that knows the pool but for one account that its quote reads."""
    made = SETS[venue]
    left_out = next(address for address in made.accounts if address != made.pool)
    return ready(venue, leave_out=(left_out,), **{**WAIT, **params}), left_out


def liquidate(venue="raydium", **fields):
    return wish(venue, "Sell", **{"metadata": {"dex": venue, "purpose": "liquidation"}, "ttl_ms": 60_000, **fields})


def requests(stage):
    return stage.of(ControlRequest)


@pytest.mark.parametrize(
    "fields",
    [{}, {"metadata": {"dex": "raydium", "sell_all": "true"}}],
)
def test_a_sell_that_must_go_waits_for_its_answer(fields):
    stage, left_out = lacking()
    stage.take(liquidate(**fields))
    stage.take(ClockTick())
    (first,), (asked,) = stage.decisions, requests(stage)
    assert last_row(first)[:2] == ("tx_plan", "PLAN_UNBUILT")
    pool = SETS["raydium"].pool
    assert (asked.target, asked.kind) == ("market-data", "ensure_raydium_amm_pool_state")
    assert (asked.base_mint, asked.pool_address_hint, asked.force_refresh) == (coin_of("raydium"), pool, True)
    assert not stage.engine.undecided
    stage.take(told(left_out, ACCOUNTS["raydium"][left_out]), 1_000)
    stage.take(ControlResponse(asked.request_id, "market-data", "busy"))
    stage.take(ControlResponse("another", "market-data", "ok"))
    assert len(stage.decisions) == 1
    stage.take(SlotUpdate(SLOT, slot=SLOT))
    stage.take(ControlResponse(asked.request_id, "market-data", "ok"))
    (ask,) = stage.of(SimulateAsk)
    assert (ask.attempt, bool(ask.plan.calls)) == (1, True)
    assert stage.engine.state.recoveries == {}


def test_the_wait_ends_and_nothing_is_asked_twice():
    stage, _ = lacking()
    stage.take(liquidate())
    stage.take(ClockTick())
    stage.take(ClockTick(), 5_000)
    assert len(stage.decisions) == 1
    stage.take(ClockTick(), 1)
    assert [decision.attempt for decision in stage.decisions] == [0, 1]
    assert len(requests(stage)) == 1
    stage.take(ClockTick(), 10_000)
    assert len(stage.decisions) == 2


def test_an_intent_that_expires_does_not_wait_longer():
    stage, _ = lacking()
    stage.take(liquidate(ttl_ms=2_000))
    stage.take(ClockTick())
    stage.take(ClockTick(), 2_001)
    assert [decision.outcome for decision in stage.decisions] == ["Rejected", "Expired"]


def test_any_other_sell_asks_once_in_a_while_and_does_not_wait():
    stage, _ = lacking(recovery_cooldown_ms=10_000)
    for wanted in (1, 1, 2):
        stage.take(wish("raydium", "Sell"))
        stage.take(ClockTick(), 5_000)
        assert len(requests(stage)) == wanted
    assert [decision.attempt for decision in stage.decisions] == [0, 0, 0]


def test_off_by_default_and_never_for_a_buy():
    stage, _ = lacking(recovery_wait_ms=0)
    stage.take(liquidate())
    stage.take(ClockTick())
    bought, _ = lacking()
    bought.take(wish("raydium"))
    bought.take(ClockTick())
    assert requests(stage) == requests(bought) == []


@pytest.mark.parametrize(
    ("intent", "error", "again"),
    [
        (liquidate(), "Custom(1)", True),
        (wish("raydium", "Sell", metadata={"dex": "raydium", "sell_all": "true"}), "Custom(6023)", True),
        (wish("raydium", "Sell", metadata={"dex": "raydium", "sell_all": "true"}), "Custom(1)", False),
    ],
)
def test_a_simulation_that_fails_for_its_accounts_is_tried_once_more(intent, error, again):
    stage = ready("raydium", **WAIT)
    stage.take(intent)
    stage.take(ClockTick())
    for turn in range(2):
        seqs = [record.seq for record in stage.records if type(record.event) is SimulateAsk]
        stage.take(SimulateAnswer(seqs[-1], False, error))
        if turn == 0 and again:
            (asked,) = requests(stage)
            stage.take(ControlResponse(asked.request_id, "market-data", "not_found"))
    assert [decision.outcome for decision in stage.decisions] == ["SimFailed"] * (1 + again)
    assert len(requests(stage)) == again


def test_recovery_waits_in_a_state_that_is_put_back():
    import msgspec

    from ironcrab.execution.state import EngineState

    stage, _ = lacking()
    stage.take(liquidate())
    stage.take(ClockTick())
    state = stage.engine.state
    assert state.waiting[0].request in state.recoveries
    assert msgspec.json.decode(msgspec.json.encode(state), type=EngineState) == state


# the life of an attempt


def sent(**params):
    """A stage whose attempt was signed and sent; the stage, its ask."""
    stage = ready("raydium", **params)
    stage.take(wish("raydium"))
    stage.take(ClockTick())
    seqs = [record.seq for record in stage.records if type(record.event) is SimulateAsk]
    assert stage.engine.state.attempts[stage.of(SimulateAsk)[-1].intent].phase == "simulating"
    stage.take(SimulateAnswer(seqs[-1], True))
    ask = [record.seq for record in stage.records if type(record.event) is SendAsk][-1]
    assert phases(stage) == ["sending"]
    stage.take(SignedAnswer(ask, "sig", "AA==", "hash", 100))
    assert phases(stage) == ["signed"]
    stage.take(SendAnswer(ask, True, 5, "rpc", SLOT, "sig", ordinal=1))
    assert phases(stage) == ["sent"]
    return stage, ask


def phases(stage):
    return [attempt.phase for attempt in stage.engine.state.attempts.values()]


def test_certain_expiry_frees_the_capital_at_once():
    stage, ask = sent()
    before = stage.engine.state.capital.assets["NATIVE_SOL"].locked
    assert before > 0
    stage.take(ConfirmAnswer(ask, "expired", error_code="expired: ..", ordinal=2, rebroadcasts=3))
    assert (phases(stage), stage.engine.state.capital.assets["NATIVE_SOL"].locked) == ([], 0)
    decision, result = stage.decisions[-1], stage.results[-1]
    assert (decision.outcome, decision.confirm.status, decision.primary_reject_reason) == ("Sent", "expired", None)
    assert [row.reason_code for row in decision.checks if not row.passed] == ["confirm_timeout"]
    assert (decision.checks[-1].check_name, decision.checks[-1].details) == ("rebroadcast", "count=3")
    assert (result.status, result.metadata["rebroadcast_count"]) == ("timeout", "3")


def test_a_timeout_is_no_failure_and_expiry_may_follow_it():
    stage, ask = sent(unknown_hold_ms=60_000)
    stage.take(ClockTick(), 15_001)
    assert phases(stage) == ["unknown"]
    assert stage.engine.state.capital.assets["NATIVE_SOL"].locked > 0
    assert stage.decisions[-1].outcome == "Sent"
    stage.take(ConfirmAnswer(ask, "expired", ordinal=2))
    assert (phases(stage), stage.engine.state.capital.assets["NATIVE_SOL"].locked) == ([], 0)
    assert len(stage.decisions) == 1


def test_what_is_signed_and_never_said_to_be_sent_may_confirm():
    stage = ready("raydium")
    stage.take(wish("raydium"))
    stage.take(ClockTick())
    seqs = [record.seq for record in stage.records if type(record.event) is SimulateAsk]
    stage.take(SimulateAnswer(seqs[-1], True))
    ask = [record.seq for record in stage.records if type(record.event) is SendAsk][-1]
    stage.take(SignedAnswer(ask, "sig", "AA==", "hash", 100))
    stage.take(ConfirmAnswer(ask, "confirmed", SLOT + 1, "sig", ordinal=1))
    assert stage.decisions[-1].outcome == "Confirmed"
    assert isinstance(stage, Stage)
