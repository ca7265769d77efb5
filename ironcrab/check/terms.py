"""Checks of terms: what a plan costs and asks for, what an intent says of itself, who may say what."""

from collections.abc import Iterator
from typing import Any

import msgspec

from ironcrab.check.finding import Finding
from ironcrab.domain.ask import SendAsk, SimulateAnswer, SimulateAsk
from ironcrab.domain.control import ConfigChanged, RunStarted
from ironcrab.domain.settings import judged
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, PositionUpdate, TradeIntent
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT
from ironcrab.execution.arbitrate import expires_ms
from ironcrab.execution.fees import MICRO, SIGNATURE_LAMPORTS, policy_of
from ironcrab.execution.housekeeping import VENUE
from ironcrab.execution.locks import TIER_RANK
from ironcrab.execution.params import FIELDS, EngineParams
from ironcrab.execution.state import Waiting
from ironcrab.log.recording import Recording

ENGINE = "execution-engine"
MONEY = (SOL_MINT, NATIVE_SOL)
SOL_DIGITS = 9
MS = 1_000_000
"""Nanoseconds."""


def engine_params(event: RunStarted | ConfigChanged, before: EngineParams | None) -> EngineParams | None:
    """The engine's parameters after a run opened or an operator changed them; None: no run has told them."""
    if isinstance(event, RunStarted):
        told = {setting.key: setting.value for setting in event.settings}
        values = {key: msgspec.json.decode(told[f"engine.{key}"]) for key in FIELDS if f"engine.{key}" in told}
        return msgspec.convert(values, EngineParams)
    if before is None or event.component != ENGINE:
        return before
    return judged(before, {setting.key: setting.value for setting in event.settings}, "")[0]


def fees(recording: Recording) -> Iterator[Finding]:
    """No attempt is simulated beyond the largest compute limit, priority fee, network cost, or slippage of a buy."""
    params: EngineParams | None = None
    intents: dict[int, TradeIntent] = {}
    for record in recording.records(types=(RunStarted, ConfigChanged, TradeIntent, SimulateAsk)):
        event: Any = record.event
        if isinstance(event, TradeIntent):
            intents[record.seq] = event
        elif not isinstance(event, SimulateAsk):
            params = engine_params(event, params)
        elif params is not None and event.intent in intents:
            for what, value, most in _costs(event, intents[event.intent], params):
                if value > most:
                    yield Finding(record.seq, f"{what} {value} > {most}")


def _costs(ask: SimulateAsk, intent: TradeIntent, params: EngineParams) -> Iterator[tuple[str, int, int]]:
    """Name, value and limit of what an attempt may cost."""
    plan, policy = ask.plan, policy_of(params, intent)
    cost = SIGNATURE_LAMPORTS + plan.priority_fee_micro_lamports * plan.compute_units // MICRO
    yield "compute_units", plan.compute_units, params.max_compute_units
    yield "priority_fee_micro_lamports", plan.priority_fee_micro_lamports, policy.max_priority_fee_micro_lamports
    yield "network_lamports", cost, policy.max_tx_cost_lamports
    if plan.side == "Buy" and intent.metadata.get("market_order") != "true":
        yield "max_slippage_bps", plan.max_slippage_bps, params.max_slippage_bps


def simulated_profit(recording: Recording) -> Iterator[Finding]:
    """Nothing is sent whose simulation gave less than the plan's least output, or earned less than it must."""
    asks: dict[int, tuple[int, int]] = {}
    simulated: dict[tuple[int, int], SimulateAnswer] = {}
    for record in recording.records(types=(SimulateAsk, SimulateAnswer, SendAsk)):
        event: Any = record.event
        if isinstance(event, SimulateAsk):
            asks[record.seq] = (event.intent, event.attempt)
        elif isinstance(event, SimulateAnswer):
            if event.ask in asks:
                simulated[asks.pop(event.ask)] = event
        else:
            answer, plan = simulated.get((event.intent, event.attempt)), event.plan
            out, earned = (None, None) if answer is None else (answer.amount_out, answer.wallet_sol_delta_lamports)
            if out is not None and out < plan.min_out:
                yield Finding(record.seq, f"its simulation gave {out}, the least output is {plan.min_out}")
            if earned is not None and plan.must_earn_lamports is not None and earned < plan.must_earn_lamports:
                yield Finding(record.seq, f"its simulation earned {earned}, it must earn {plan.must_earn_lamports}")


def round_trips(recording: Recording) -> Iterator[Finding]:
    """A round trip that is sent ends in the mint it began with, and gives back what went in and what it must earn."""
    for record in recording.records(types=(SendAsk,)):
        event: Any = record.event
        plan = event.plan
        if not plan.hops:
            continue
        if plan.input_mint != plan.output_mint or plan.must_earn_lamports is None:
            yield Finding(record.seq, f"a path from {plan.input_mint} to {plan.output_mint} that must earn nothing")
        elif plan.min_out < plan.amount_in + max(plan.must_earn_lamports, 0):
            wanted = f"{plan.amount_in} went in, {plan.must_earn_lamports} must be earned"
            yield Finding(record.seq, f"the least output {plan.min_out} is not enough: {wanted}")


def plan_terms(recording: Recording) -> Iterator[Finding]:
    """A plan takes what its intent gives, and at one pool never asks for more than the intent does."""
    intents: dict[int, TradeIntent] = {}
    for record in recording.records(types=(TradeIntent, SimulateAsk)):
        event: Any = record.event
        if isinstance(event, TradeIntent):
            intents[record.seq] = event
            continue
        intent, plan = intents.get(event.intent), event.plan
        if intent is None:
            continue
        if plan.amount_in != intent.required_capital.raw:
            yield Finding(
                record.seq, f"the plan takes {plan.amount_in}, the intent gives {intent.required_capital.raw}"
            )
        told = None if intent.execution is None else intent.execution.min_out.raw
        if told is not None and not plan.hops and plan.dex != VENUE and plan.min_out > told:
            yield Finding(record.seq, f"the plan asks for {plan.min_out}, the intent for {told}")


def amounts(recording: Recording) -> Iterator[Finding]:
    """An amount of SOL that a reducer wishes has nine decimals."""
    for record in recording.records(types=(TradeIntent,)):
        event: Any = record.event
        if record.by is None:
            continue
        given, least = event.required_capital, event.execution
        if event.resources.input_mint in MONEY and given.decimals != SOL_DIGITS:
            yield Finding(record.seq, f"required_capital is SOL with {given.decimals} decimals")
        if least is not None and event.resources.output_mint in MONEY and least.min_out.decimals != SOL_DIGITS:
            yield Finding(record.seq, f"min_out is SOL with {least.min_out.decimals} decimals")


ONE_VOICE = (SimulateAsk, SendAsk, DecisionRecord, ExecutionResult, PositionUpdate)
"""What only the engine says: it alone decides, asks, and keeps positions."""


def one_voice(recording: Recording) -> Iterator[Finding]:
    """Asks, decisions, results and positions are said by the engine alone."""
    for record in recording.records(types=ONE_VOICE):
        if record.by not in (None, ENGINE):
            yield Finding(record.seq, f"{type(record.event).__name__} said by {record.by}")


def classes(recording: Recording) -> Iterator[Finding]:
    """A decision bears source, origin and regime of its intent."""
    intents: dict[int, TradeIntent] = {}
    for record in recording.records(types=(TradeIntent, DecisionRecord)):
        event: Any = record.event
        if isinstance(event, TradeIntent):
            intents[record.seq] = event
        elif event.intent in intents:
            intent = intents[event.intent]
            wanted = (intent.source, intent.origin_type, intent.regime)
            if (event.source, event.origin_type, event.regime) != wanted:
                yield Finding(record.seq, f"intent #{event.intent} is of {wanted[0]}, {wanted[1]}, {wanted[2]}")


PREEMPTED = "preempted by "


def preemptions(recording: Recording) -> Iterator[Finding]:
    """Only a better tier takes the pools of an attempt: Tier0 those of Tier1, Tier1 those of arbitrage, never back."""
    intents: dict[int, TradeIntent] = {}
    labels: dict[str, TradeIntent] = {}
    for record in recording.records(types=(TradeIntent, DecisionRecord)):
        event: Any = record.event
        if isinstance(event, TradeIntent):
            intents[record.seq] = event
            labels[event.intent_id or str(record.seq)] = event
            continue
        told = event.checks[-1].details or "" if event.checks else ""
        if event.intent not in intents or not told.startswith(PREEMPTED):
            continue
        winner = labels.get(told.removeprefix(PREEMPTED).split(",")[0])
        loser = intents[event.intent]
        if winner is not None and TIER_RANK[winner.tier] >= TIER_RANK[loser.tier]:
            yield Finding(record.seq, f"{winner.tier} took the pools of {loser.tier}")


def in_flight(recording: Recording) -> Iterator[Finding]:
    """Arbitrage wishes a path once until its end is told, or its life and a while beyond have passed."""
    grace_ms = 0
    flying: dict[tuple[str, ...], tuple[int, int]] = {}
    for record in recording.records(types=(RunStarted, ConfigChanged, TradeIntent, DecisionRecord, ExecutionResult)):
        event: Any = record.event
        if isinstance(event, RunStarted | ConfigChanged):
            told = [setting.value for setting in event.settings if setting.key.endswith("in_flight_grace_ms")]
            grace_ms = int(told[-1]) if told else grace_ms
        elif isinstance(event, TradeIntent):
            if event.metadata.get("cross_dex_arb") != "true" or record.by is None:
                continue
            path = event.resources.pools
            before = flying.get(path)
            if before is not None and record.time <= before[1]:
                yield Finding(record.seq, f"its path is under way with intent #{before[0]}")
            life = expires_ms(Waiting(record.seq, 0, record.time // MS, event), EngineParams()) + grace_ms
            flying[path] = (record.seq, life * MS)
        elif isinstance(event, DecisionRecord) or event.status != "sent":
            for path in [path for path, (seq, _) in flying.items() if seq == event.intent]:
                if not isinstance(event, DecisionRecord) or event.outcome != "Sent":
                    del flying[path]


def pool_matching(recording: Recording) -> Iterator[Finding]:
    """An exit sells on the pool that was bought on, or says that it does not."""
    wishes: dict[int, TradeIntent] = {}
    bought: dict[tuple[str, str], str] = {}
    for record in recording.records(types=(TradeIntent, ExecutionResult)):
        event: Any = record.event
        if isinstance(event, ExecutionResult):
            wish = None if event.intent is None else wishes.get(event.intent)
            if (
                wish is not None
                and event.status == "confirmed"
                and wish.side == "Buy"
                and len(wish.resources.pools) == 1
            ):
                bought[wish.source, wish.resources.output_mint] = wish.resources.pools[0]
            continue
        wishes[record.seq] = event
        pool = bought.get((event.source, event.resources.input_mint))
        is_elsewhere = event.side == "Sell" and pool not in (None, *event.resources.pools)
        # the wire contract's words of a strategy that routes; others sell where they like
        says_so = "exit_type" not in event.metadata or event.metadata.get("multi_pool_original_pool") == pool
        if is_elsewhere and not says_so:
            yield Finding(record.seq, f"sold on {' '.join(event.resources.pools)}, bought on {pool}")
