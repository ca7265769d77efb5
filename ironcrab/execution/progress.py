"""The words about an attempt: the rows of its later stages, its decision, its results."""

from ironcrab.domain.ask import ConfirmAnswer, Plan, SendAnswer, SimulateAnswer
from ironcrab.domain.trade import (
    CheckResult,
    ConfirmInfo,
    DecisionRecord,
    ExecutionResult,
    Outcome,
    Pnl,
    Read,
    ResultFees,
    SendInfo,
    SimulateInfo,
)
from ironcrab.execution.checks import Case
from ironcrab.execution.housekeeping import is_dry, purpose_of
from ironcrab.execution.plan import token_mint
from ironcrab.execution.state import Attempt, EngineState

SIM_TIMEOUT_ERROR = "sim_timeout"
"""The error text of a simulation that took too long; an outlet may say it, the engine says it for a lost answer."""


def curve_is_complete(error: str | None) -> bool:
    """Whether a simulation error says that a PumpFun curve is sold out (custom error 6005)."""
    return error is not None and ("6005" in error or "0x1775" in error)


def simulation_row(answer: SimulateAnswer) -> CheckResult:
    """Row 20 of the table."""
    if answer.success:
        told = answer.compute_units_consumed
        text = "CU consumed: None" if told is None else f"CU consumed: Some({told})"
        return CheckResult("simulation", passed=True, details=text)
    code = "SIM_TIMEOUT" if answer.error_code == SIM_TIMEOUT_ERROR else "SIM_FAILED"
    return CheckResult("simulation", passed=False, reason_code=code, details=answer.error_code)


def simulate_info(answer: SimulateAnswer) -> SimulateInfo:
    """What the decision says of the simulation."""
    return SimulateInfo(answer.success, answer.error_code, answer.logs_preview, answer.compute_units_consumed)


def before_send(attempt: Attempt, answer: SimulateAnswer, state: EngineState) -> CheckResult | None:
    """What may still stop a simulated attempt; None: nothing does, it may be sent.

    A passed simulation is no profit: what it would receive is held against the plan, and of a round trip what it
    would leave in the wallet against what must be earned. Buys stop when the kill switch was turned on since the
    checks.
    """
    text = _unprofitable(attempt.plan, answer)
    if text is not None:
        return CheckResult("simulation_profit", passed=False, reason_code="SIM_UNPROFITABLE", details=text)
    earned = earned_row(attempt, answer)
    if earned is not None:
        attempt.rows.append(earned)
    stops_when_killed = attempt.event.side == "Buy" or purpose_of(attempt.event) == "wrap"
    if stops_when_killed and state.kill.active:
        return CheckResult("kill_switch", passed=False, reason_code="KILL_SWITCH_ACTIVE", details=state.kill.reason)
    if is_dry(attempt.event):
        return CheckResult("send_enabled", passed=False, reason_code="dry_run", details="simulated, not to be sent")
    if not state.params.send_enabled:
        text = "execution-engine config.send_enabled=false"
        return CheckResult("send_enabled", passed=False, reason_code="send_disabled", details=text)
    return None


def earned_row(attempt: Attempt, answer: SimulateAnswer) -> CheckResult | None:
    """The row of a round trip whose simulation earns what it must; None: it is none."""
    plan = attempt.plan
    if plan.must_earn_lamports is None:
        return None
    delta, out = answer.wallet_sol_delta_lamports, answer.amount_out
    told = f"amount_out={out} >= min_out={plan.min_out}"
    if delta is not None:
        told = f"wallet_delta={delta} >= must_earn={plan.must_earn_lamports}"
    return CheckResult("simulation_profit", passed=True, details=told)


def _unprofitable(plan: Plan, answer: SimulateAnswer) -> str | None:
    """By which numbers the simulated balances fall short of the plan; None: they do not.

    A round trip whose simulation tells neither output nor wallet is refused: unknown is no profit.
    """
    out, delta, must_earn = answer.amount_out, answer.wallet_sol_delta_lamports, plan.must_earn_lamports
    if out is not None and out < plan.min_out:
        return f"amount_out={out} < min_out={plan.min_out}"
    if must_earn is None:
        return None
    if delta is not None:
        return f"wallet_delta={delta} < must_earn={must_earn}" if delta < must_earn else None
    return "the simulation tells no balances" if out is None else None


def send_row(attempt: Attempt, answer: SendAnswer) -> CheckResult:
    """Row 21 of the table."""
    bundled = bool(attempt.event.require_bundle)
    if not answer.ok:
        code = "BUNDLE_FAILED" if bundled else "SEND_FAILED"
        return CheckResult("send", passed=False, reason_code=code, details=answer.error)
    text = f"signature={answer.signature or attempt.signature} method={answer.method}"
    if bundled:
        text = f"bundle_id={answer.bundle_id} tip_lamports={attempt.plan.tip_lamports}"
    return CheckResult("send", passed=True, details=text)


def send_info(attempt: Attempt, answer: SendAnswer) -> SendInfo:
    """What the decision says of the sending."""
    return SendInfo(answer.sent_at_ms, answer.signature or attempt.signature, answer.bundle_id, answer.method)


def confirm_row(attempt: Attempt, answer: ConfirmAnswer) -> CheckResult:
    """Row 22 of the table."""
    if answer.status == "confirmed":
        return CheckResult("confirm", passed=True, details=f"slot={answer.slot}")
    bundled = bool(attempt.event.require_bundle)
    if answer.status == "failed":
        code = "BUNDLE_FAILED" if bundled else "confirmed_err"
    elif answer.status in ("timeout", "expired"):
        code = "BUNDLE_TIMEOUT" if bundled else "confirm_timeout"
    else:
        code = "confirm_rpc_error"
    return CheckResult("confirm", passed=False, reason_code=code, details=answer.error_code)


def rebroadcast_rows(answer: ConfirmAnswer) -> tuple[CheckResult, ...]:
    """Row 23 of the table: only where the bytes were sent again."""
    if not answer.rebroadcasts:
        return ()
    return (CheckResult("rebroadcast", passed=True, details=f"count={answer.rebroadcasts}"),)


def refused(case: Case, rows: list[CheckResult], decided_at: int) -> DecisionRecord:
    """The decision on an attempt that failed a check before it asked anything."""
    state, last = case.state, rows[-1]
    return DecisionRecord(
        source=case.intent.source,
        origin_type=case.intent.origin_type,
        regime=case.intent.regime,
        checks=tuple(rows),
        outcome="Expired" if last.check_name == "ttl_valid" else "Rejected",
        intent=case.waiting.intent,
        attempt=case.waiting.attempt,
        decided_at=decided_at,
        intent_id=case.intent.intent_id,
        primary_reject_reason=last.reason_code,
        kill_switch=state.kill.info() if last.check_name == "kill_switch" else None,
        plan_hash=None if case.plan is None else case.plan.plan_hash,
        config_snapshot_id=state.config_id,
        input_snapshots=snapshots_of(case),
        reads=reads_of(case),
    )


def snapshots_of(case: Case) -> dict[str, str]:
    """What the decision says of its inputs."""
    return {"fee_policy": case.policy.name, "priority_fee_source": case.fee_source}


def reads_of(case: Case) -> tuple[Read, ...]:
    """What the checks read, the config first, each once."""
    state = case.state
    config = [] if state.config_seq is None else [Read("config", state.config_id, state.config_seq)]
    return tuple(dict.fromkeys((*config, *case.reads)))


def decision(attempt: Attempt, outcome: Outcome, state: EngineState, confirm: ConfirmAnswer | None) -> DecisionRecord:
    """The one decision on an attempt that had passed its checks; one of the last rows failed or all passed."""
    last = next((row for row in reversed(attempt.rows) if not row.passed), attempt.rows[-1])
    reason = None if last.passed else last.reason_code
    if outcome == "SimFailed":
        reason = last.details or last.reason_code
    elif outcome in ("Sent", "Confirmed"):
        reason = None
    return DecisionRecord(
        source=attempt.event.source,
        origin_type=attempt.event.origin_type,
        regime=attempt.event.regime,
        checks=tuple(attempt.rows),
        outcome=outcome,
        intent=attempt.intent,
        attempt=attempt.number,
        decided_at=attempt.decided_at,
        intent_id=attempt.event.intent_id,
        primary_reject_reason=reason,
        kill_switch=state.kill.info() if last.check_name == "kill_switch" else None,
        plan_hash=attempt.plan.plan_hash,
        simulate=attempt.simulate,
        send=attempt.send,
        confirm=None if confirm is None else ConfirmInfo(confirm.status, confirm.slot),
        config_snapshot_id=attempt.config_id,
        input_snapshots=attempt.snapshots,
        reads=tuple(attempt.reads),
    )


def failed_result(attempt: Attempt, message: str, error: str | None) -> ExecutionResult:
    """The result of an attempt that never reached the chain."""
    return ExecutionResult(
        source=attempt.event.source,
        status="failed",
        intent=attempt.intent,
        attempt=attempt.number,
        intent_id=attempt.event.intent_id,
        token_mint=_traded(attempt),
        error_message=message,
        error_code=error,
        metadata=metadata_of(attempt),
    )


def sent_result(attempt: Attempt, answer: SendAnswer) -> ExecutionResult:
    """The result said as soon as the transaction left, before its end is known."""
    return ExecutionResult(
        source=attempt.event.source,
        status="sent",
        intent=attempt.intent,
        attempt=attempt.number,
        intent_id=attempt.event.intent_id,
        token_mint=_traded(attempt),
        signature=answer.signature or attempt.signature,
        bundle_id=answer.bundle_id,
        metadata=metadata_of(attempt),
    )


def confirm_result(attempt: Attempt, answer: ConfirmAnswer, pnl: Pnl | None, now_ms: int) -> ExecutionResult:
    """The result when the end is known (or given up: timeout)."""
    status, reason = fill_status(answer)
    return ExecutionResult(
        source=attempt.event.source,
        status=answer.status if answer.status in ("confirmed", "failed") else "timeout",
        intent=attempt.intent,
        attempt=attempt.number,
        intent_id=attempt.event.intent_id,
        token_mint=_traded(attempt),
        signature=answer.signature or attempt.signature,
        bundle_id=None if attempt.send is None else attempt.send.bundle_id,
        fill_in=answer.fill_in,
        fill_out=answer.fill_out,
        fill_status=status,
        fill_unavailable_reason=reason,
        confirmed_slot=answer.slot,
        fees=answer.fees,
        pnl=pnl,
        wallet_sol_delta_lamports=answer.wallet_sol_delta_lamports,
        error_message=None if answer.status == "confirmed" else f"confirm_{answer.status}",
        error_code=answer.error_code,
        latency_ms=max(now_ms - attempt.asked_ms, 0),
        block_time_unix_ms=answer.block_time_unix_ms,
        metadata=metadata_of(attempt) | _sent_again(answer),
    )


def fill_status(answer: ConfirmAnswer) -> tuple[str | None, str | None]:
    """complete, partial or unavailable with its reason; nothing for an end without fills."""
    if answer.status != "confirmed":
        return None, None
    told = [fill for fill in (answer.fill_in, answer.fill_out) if fill is not None]
    if len(told) == 2:
        return "complete", None
    reason = answer.fill_unavailable_reason or "token_balance_delta_missing"
    return ("partial" if told else "unavailable"), reason


def metadata_of(attempt: Attempt) -> dict[str, str]:
    """The intent's metadata, the side, and what is known of the slots."""
    kept = ("slot_at_send", "confirmed_slot_delta", "priority_fee_source")
    told = {key: attempt.snapshots[key] for key in kept if key in attempt.snapshots}
    return {**attempt.event.metadata, "side": attempt.event.side.upper(), **told}


def _sent_again(answer: ConfirmAnswer) -> dict[str, str]:
    """How often the same bytes were sent again; nothing where they were not."""
    return {"rebroadcast_count": str(answer.rebroadcasts)} if answer.rebroadcasts else {}


def _traded(attempt: Attempt) -> str | None:
    """The mint whose holding the attempt changes; None: a round trip changes none."""
    return None if attempt.plan.hops else token_mint(attempt.event)


def cost_lamports(fees: ResultFees | None) -> int:
    """Network fee and tip; 0 where they were not told."""
    return 0 if fees is None else fees.network_fee_lamports + fees.tip_lamports
