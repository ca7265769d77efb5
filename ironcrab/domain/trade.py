"""What we say: intents, verdicts, decisions, results, positions. Field names are the wire contract's.

No event holds its own id (an emitter cannot know its seq): references are seqs, and export writes ids such as
`dec-<log8>-<seq>`. Ids stand only in imported records.
"""

from typing import Annotated, Literal

from msgspec import Struct

from ironcrab.domain.market import ExplicitAmount, Null, Omit
from ironcrab.domain.units import (
    I64,
    I128,
    U8,
    U32,
    U64,
    Bps,
    Key,
    Lamports,
    Millis,
    Raw,
    Seq,
    Signature,
    SignedBps,
    Slot,
    Word,
)

Tier = Literal["Tier0", "Tier1", "Arb"]
Side = Literal["Buy", "Sell"]
Regime = Literal["Early", "Established", "NotApplicable"]
Origin = Literal["StrategyA", "ExecutionMevB"]
Outcome = Literal["Rejected", "Expired", "SimFailed", "Sent", "Confirmed", "FailedConfirmed"]


class TradeResources(Struct, frozen=True, gc=False):
    """What a trade touches; `token_program` is that of the traded token."""

    input_mint: Key
    output_mint: Key
    pools: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    token_program: Key | None = None


class PoolAlternative(Struct, frozen=True, gc=False):
    """Another pool for the same hop; `expected_output` raw, 0 unknown."""

    pool_address: Key
    dex: Word
    expected_output: U64 = 0


class SwapHop(Struct, frozen=True, gc=False):
    """One hop of a path; `expected_output` is indicative."""

    pool_address: Key
    dex: Word
    input_mint: Key
    output_mint: Key
    expected_output: U64
    pool_alternatives: tuple[PoolAlternative, ...] = ()


class Execution(Struct, frozen=True, gc=False):
    """Terms of execution: the least output that is acceptable."""

    min_out: ExplicitAmount


class TradeIntent(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """A wish to trade. `required_capital` is the amount in: lamports for a buy, raw token units for a sell.

    `ttl_ms` counts from the record's time (imported: from `ts_unix_ms`).
    """

    source: Word
    tier: Tier
    origin_type: Origin
    required_capital: ExplicitAmount
    resources: TradeResources
    expected_roi_bps: SignedBps
    max_slippage_bps: Bps
    side: Side
    regime: Regime
    intent_id: str | None = None
    deadline_slot: Slot | None = None
    ttl_ms: Millis | None = None
    trigger_event_id: str | None = None
    require_bundle: bool | None = None
    bundle_tip_lamports: Lamports | None = None
    hint_compute_units: U32 | None = None
    hint_priority_fee_micro_lamports: U64 | None = None
    hint_urgency: U8 | None = None
    metadata: dict[str, str] = {}
    execution: Execution | None = None
    swap_path: tuple[SwapHop, ...] = ()
    expected_value_lamports: Annotated[I64 | None, Omit] = None


class Measure(Struct, frozen=True, gc=False):
    """One number behind a verdict: its name (unit last), its value, and the limit it was held against."""

    name: Word
    value: I128
    limit: I128 | None = None


class Verdict(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """A strategy changed its mind about a mint on a pool; said only when the code changes.

    `verdict` is track, wait, reject, enter, hold, exit or suppress; `code` the strategy's reason code.
    """

    source: Word
    mint: Key
    pool_address: Key
    verdict: Word
    code: Word
    regime: Regime
    slot: Slot | None = None
    measures: tuple[Measure, ...] = ()


class CheckResult(Struct, frozen=True, gc=False):
    """One row of a decision. Nulls are written on the wire."""

    check_name: Word
    passed: bool
    reason_code: Annotated[Word | None, Null] = None
    details: Annotated[str | None, Null] = None


class KillSwitchInfo(Struct, frozen=True, gc=False):
    """The kill switch as it stood when it refused."""

    reason: str | None = None
    source: str | None = None
    liquidate_positions: bool | None = None
    request_id: str | None = None


class SimulateInfo(Struct, frozen=True, gc=False):
    """What the simulation said; `error_code` is the venue's own text."""

    success: bool
    error_code: str | None = None
    logs_preview: str | None = None
    compute_units_consumed: U64 | None = None


class SendInfo(Struct, frozen=True, gc=False):
    """How the transaction left."""

    sent_at_ms: Millis
    signature: Signature | None = None
    bundle_id: str | None = None
    send_method: Word | None = None


class ConfirmInfo(Struct, frozen=True, gc=False):
    """How it ended on the chain: confirmed, failed or timeout, and in which slot."""

    status: Word
    slot: Slot | None = None


class Read(Struct, frozen=True, gc=False):
    """Something a decision read: what (`pool`, `balance`, `config`, `quote`, `mint`), of whom, said by record `seq`."""

    what: Word
    of: Key
    seq: Seq


class DecisionRecord(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """The verdict on one attempt of an intent, with every check in the order it was made.

    `intent` is the intent's seq; `attempt` counts from 0. `primary_reject_reason` equals the failed check's code,
    except SimFailed, where the wire contract carries the raw simulation error. `decided_at` is the world record
    at which the checks were made (the cause is the record that ended the attempt).
    """

    source: Word
    origin_type: Origin
    regime: Regime
    checks: tuple[CheckResult, ...]
    outcome: Outcome
    intent: Annotated[Seq | None, Omit] = None
    attempt: Annotated[U32, Omit] = 0
    decided_at: Annotated[Seq | None, Omit] = None
    intent_id: str | None = None
    decision_id: str | None = None
    primary_reject_reason: Word | None = None
    kill_switch: KillSwitchInfo | None = None
    plan_hash: str | None = None
    simulate: SimulateInfo | None = None
    send: SendInfo | None = None
    confirm: ConfirmInfo | None = None
    config_snapshot_id: Word | None = None
    input_snapshots: dict[str, str] = {}
    reads: Annotated[tuple[Read, ...], Omit] = ()


class ResultFees(Struct, frozen=True, gc=False):
    """What a transaction cost: lamports, lamports, compute units."""

    network_fee_lamports: Lamports
    tip_lamports: Lamports
    compute_units: U64


class Pnl(Struct, frozen=True, gc=False):
    """Realised profit or loss of a sell in lamports, before and after fees."""

    gross_lamports: I64
    net_lamports: I64
    decimals: U8 = 9


class ExecutionResult(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """What the chain did with an attempt. `status`: sent, confirmed, failed or timeout.

    Fills come from token balance deltas only; what is not known is `unavailable` with a reason, never guessed.
    """

    source: Word
    status: Word
    intent: Annotated[Seq | None, Omit] = None
    attempt: Annotated[U32, Omit] = 0
    execution_id: str | None = None
    decision_id: str | None = None
    intent_id: str | None = None
    token_mint: Key | None = None
    signature: Signature | None = None
    bundle_id: str | None = None
    fill_in: ExplicitAmount | None = None
    fill_out: ExplicitAmount | None = None
    fill_status: Word | None = None
    fill_unavailable_reason: Word | None = None
    confirmed_slot: Slot | None = None
    fees: ResultFees | None = None
    pnl: Pnl | None = None
    wallet_sol_delta_lamports: I128 | None = None
    error_message: str | None = None
    error_code: str | None = None
    latency_ms: Millis | None = None
    block_time_unix_ms: Millis | None = None
    metadata: dict[str, str] = {}


class PositionUpdate(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """The position authority's word on one mint after a change.

    `status`: Open, Closed or ReconcileNeeded; `last_update_source`: Execution or WalletSnapshot.
    """

    mint: Key
    balance_raw: Raw
    decimals: U8
    status: Word
    last_update_source: Word
    sold_raw_total: U64 = 0


TRADE = (TradeIntent, Verdict, DecisionRecord, ExecutionResult, PositionUpdate)
"""Every event that we say, written by hand."""
