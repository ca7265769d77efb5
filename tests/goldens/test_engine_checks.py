"""The golden `engine-checks` says of every check, code and outcome that it happens."""

from ironcrab.domain.trade import DecisionRecord, ExecutionResult, TradeIntent
from ironcrab.execution.checks import CHECKS
from tests.goldens.engine_checks import drive, engine_check_events

CODES = [
    "TTL_EXPIRED",
    "DEADLINE_SLOT_PASSED",
    "RISK_DAILY_LOSS_LIMIT",
    "RISK_MAX_POSITION",
    "RISK_MAX_OPEN_POSITIONS",
    "RISK_DRAWDOWN_LIMIT",
    "RISK_COOLDOWN_ACTIVE",
    "SIM_FAILED",
    "SIM_SLIPPAGE_EXCEEDED",
    "SIM_INSUFFICIENT_BALANCE",
    "SIM_TIMEOUT",
    "LOCK_CAPITAL_CONFLICT",
    "LOCK_RESOURCE_CONFLICT",
    "LOCK_DUPLICATE_INTENT",
    "MISSING_DECIMALS",
    "INVALID_MINT",
    "POOL_NOT_FOUND",
    "QUOTE_UNAVAILABLE",
    "INVALID_INTENT",
    "UNSUPPORTED_INTENT",
    "KILL_SWITCH_ACTIVE",
    "INTERNAL_ERROR",
    "SEND_FAILED",
    "BUNDLE_FAILED",
    "BUNDLE_TIMEOUT",
    "BUNDLE_NOT_CONFIGURED",
    "FEE_COMPUTE_EXCEEDS_LIMIT",
    "FEE_PRIORITY_EXCEEDS_LIMIT",
    "FEE_EXCEEDS_MAX_COST",
    "FEE_UNPROFITABLE",
    "FAIRNESS_BLOCKED",
    "FAIRNESS_STARVED",
    "ARB_SPREAD_INSUFFICIENT",
    "ARB_VALIDATION_ERROR",
    "ARB_HANDLER_NOT_CONFIGURED",
    "ARB_QUOTE_UNAVAILABLE",
    "SIM_UNPROFITABLE",
    "dry_run",
    "refused_route_exists",
    "PLAN_UNBUILT",
    "PLAN_TOO_LARGE",
    "send_disabled",
    "confirmed_err",
    "confirm_timeout",
    "confirm_rpc_error",
]
"""The wire contract's codes that this engine can say, and its own: SIM_UNPROFITABLE, PLAN_UNBUILT, PLAN_TOO_LARGE."""
ROWS = {"cross_dex": "cross_dex_validation", "bundle": None, "pump_amm_quote_ready": None}
"""Rows of a check where they are named otherwise; None: it has no row when it passes."""


def test_every_check_code_and_outcome_occurs():
    events, records = drive()
    decisions = [record.event for record in records if isinstance(record.event, DecisionRecord)]
    rows = [row for decision in decisions for row in decision.checks]
    passed = {row.check_name for row in rows if row.passed}
    for check in CHECKS:
        name = ROWS.get(check.__name__, check.__name__)
        assert name is None or name in passed, f"{name} never passes"
    assert {"simulation", "send", "confirm", "rebroadcast"} <= passed
    assert sorted({row.reason_code for row in rows if not row.passed}) == sorted(CODES)
    assert {decision.outcome for decision in decisions} == {
        "Rejected",
        "Expired",
        "SimFailed",
        "Sent",
        "Confirmed",
        "FailedConfirmed",
    }
    results = [record.event for record in records if isinstance(record.event, ExecutionResult)]
    assert {result.status for result in results} == {"sent", "confirmed", "failed", "timeout"}
    assert {result.fill_status for result in results} == {None, "complete", "partial", "unavailable"}
    assert any(decision.attempt == 1 for decision in decisions)
    intents = [record.seq for record in records if isinstance(record.event, TradeIntent)]
    assert sorted({decision.intent for decision in decisions}) == intents, "every intent is decided"
    assert len(events) > len(intents)


def test_the_script_is_deterministic():
    assert engine_check_events() == engine_check_events()


def test_bytes_sent_again_are_the_last_row_and_no_reason():
    decisions = [record.event for record in drive()[1] if isinstance(record.event, DecisionRecord)]
    again = [decision for decision in decisions if decision.checks[-1].check_name == "rebroadcast"]
    assert [(one.outcome, one.primary_reject_reason, one.checks[-1].details) for one in again] == [
        ("FailedConfirmed", "confirmed_err", "count=2"),
        ("Sent", None, "count=1"),
        ("Confirmed", None, "count=1"),
    ]
    results = [record.event for record in drive()[1] if isinstance(record.event, ExecutionResult)]
    assert [one.metadata["rebroadcast_count"] for one in results if "rebroadcast_count" in one.metadata] == [*"211"]
