"""Checks of limits and ids: the config a decision bears, daily losses, ids and signatures that come once, dry runs."""

from collections.abc import Iterator
from typing import Any

import msgspec

from ironcrab.check.finding import Finding
from ironcrab.check.money import limit_of
from ironcrab.domain.ask import SendAsk, SignedAnswer, SimulateAsk
from ironcrab.domain.control import ConfigChanged, RunStarted
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, TradeIntent
from ironcrab.domain.units import SOL_MINT
from ironcrab.execution.housekeeping import VENUE, is_dry
from ironcrab.execution.params import FIELDS, EngineParams, config_snapshot_id
from ironcrab.log.recording import Recording

ENGINE = "execution-engine"
DAY_NS = 86_400_000_000_000
"""Nanoseconds of a UTC day."""


def config_ids(recording: Recording) -> Iterator[Finding]:
    """A decision bears the id of the config that was in force at the record at which its checks were made."""
    changes: list[tuple[int, str]] = []
    for record in recording.records(types=(RunStarted, ConfigChanged, DecisionRecord)):
        event: Any = record.event
        if isinstance(event, RunStarted):
            changes.append((record.seq, _id_of(event)))
        elif isinstance(event, ConfigChanged):
            if event.component == ENGINE:
                # in force from the record on that asked for it: its cause
                changes.append((record.seq if record.cause is None else record.cause, event.config_snapshot_id))
        elif event.decided_at is not None and record.by == ENGINE and changes:
            held = [told for seq, told in changes if seq <= event.decided_at]
            if held and event.config_snapshot_id != held[-1]:
                told = event.config_snapshot_id
                yield Finding(record.seq, f"decided under {told}, in force at #{event.decided_at} was {held[-1]}")


def _id_of(started: RunStarted) -> str:
    """The id of the engine's config that a run opens with."""
    told = {setting.key.partition(".")[2]: setting.value for setting in started.settings if _is_engine(setting.key)}
    values = {key: msgspec.json.decode(value) for key, value in told.items() if key in FIELDS}
    return config_snapshot_id(msgspec.convert(values, EngineParams))


def _is_engine(key: str) -> bool:
    return key.startswith("engine.")


def daily_loss(recording: Recording) -> Iterator[Finding]:
    """No buy passes its checks once the losses of the UTC day have reached the limit; told losses are the least."""
    limit: int | None = None
    day, lost = 0, 0
    for record in recording.records(types=(RunStarted, ConfigChanged, ExecutionResult, SimulateAsk)):
        event: Any = record.event
        if record.time // DAY_NS != day:
            day, lost = record.time // DAY_NS, 0
        if isinstance(event, ExecutionResult):
            lost += _loss(event) if event.intent is not None else 0
        elif isinstance(event, SimulateAsk):
            if limit is not None and event.plan.side == "Buy" and lost >= limit:
                yield Finding(record.seq, f"a buy after losses of {lost} lamports, the limit is {limit}")
        else:
            limit = limit_of(event, "daily_loss_limit_lamports", limit)


def _loss(result: ExecutionResult) -> int:
    """Lamports that a result lost: a sell's net loss, or the fees of a transaction that failed."""
    if result.pnl is not None:
        return max(-result.pnl.net_lamports, 0)
    if result.status != "failed" or result.fees is None:
        return 0
    return result.fees.network_fee_lamports + result.fees.tip_lamports


def ids_once(recording: Recording) -> Iterator[Finding]:
    """An intent id reaches simulation once; the engine's own second attempt is no repeat."""
    ids: dict[int, str] = {}
    seen: dict[str, int] = {}
    for record in recording.records(types=(TradeIntent, SimulateAsk)):
        event: Any = record.event
        if isinstance(event, TradeIntent):
            if event.intent_id is not None:
                ids[record.seq] = event.intent_id
        elif event.attempt == 0 and event.intent in ids:
            told = ids[event.intent]
            if told in seen:
                yield Finding(record.seq, f"intent id {told} was simulated at #{seen[told]}")
            seen[told] = record.seq


def signatures_once(recording: Recording) -> Iterator[Finding]:
    """A signature belongs to one ask: no two asks are one transaction."""
    seen: dict[str, int] = {}
    for record in recording.records(types=(SignedAnswer,)):
        event: Any = record.event
        if seen.setdefault(event.signature, event.ask) != event.ask:
            yield Finding(record.seq, f"signature {event.signature} was that of ask #{seen[event.signature]}")


def dry_runs(recording: Recording) -> Iterator[Finding]:
    """A dry run is never sent."""
    dry: dict[int, None] = {}
    for record in recording.records(types=(TradeIntent, SendAsk)):
        event: Any = record.event
        if isinstance(event, TradeIntent):
            if is_dry(event):
                dry[record.seq] = None
        elif event.intent in dry:
            yield Finding(record.seq, f"intent #{event.intent} is a dry run")


def plan_pools(recording: Recording) -> Iterator[Finding]:
    """A plan trades the mint and, at its first attempt, the pools that its intent names."""
    intents: dict[int, TradeIntent] = {}
    for record in recording.records(types=(TradeIntent, SimulateAsk)):
        event: Any = record.event
        if isinstance(event, TradeIntent):
            intents[record.seq] = event
            continue
        intent, plan = intents.get(event.intent), event.plan
        if intent is None or plan.dex == VENUE:
            continue
        resources = intent.resources
        pools = [leg.pool_address for leg in plan.hops] or [plan.pool_address]
        strange = [pool for pool in pools if pool not in resources.pools]
        if strange and event.attempt == 0:
            yield Finding(record.seq, f"the plan trades on {strange[0]}, which intent #{event.intent} does not name")
        mints = (resources.input_mint, resources.output_mint, SOL_MINT)
        if plan.input_mint not in mints or plan.output_mint not in mints:
            yield Finding(record.seq, f"the plan trades {plan.input_mint} for {plan.output_mint}, the intent does not")


def origins(recording: Recording) -> Iterator[Finding]:
    """What the engine's own side wishes (ExecutionMevB) names its parent: a cause, or the event that triggered it."""
    for record in recording.records(types=(TradeIntent,)):
        event: Any = record.event
        told = record.cause is not None or event.trigger_event_id is not None or event.intent_id is not None
        if event.origin_type == "ExecutionMevB" and not told:
            yield Finding(record.seq, f"an intent of {event.source} without a parent")
