"""What we ask of the world, and what it answers.

An ask is a record first; an outlet performs it; its answer is a new world record that carries `ask`, the seq that
it answers. An ask may have several numbered answers (`ordinal` from 0), the last one marked.
"""

from msgspec import Struct

from ironcrab.domain.market import ExplicitAmount
from ironcrab.domain.trade import ResultFees, Side
from ironcrab.domain.units import I64, I128, U32, U64, Bps, Key, Lamports, Millis, Seq, Signature, Slot, Word


class PlanHop(Struct, frozen=True, gc=False):
    """One leg of a path: raw units in, and the least out of this leg; what is more than the next leg takes remains."""

    dex: Word
    pool_address: Key
    input_mint: Key
    output_mint: Key
    amount_in: U64
    min_out: U64


class PlanCall(Struct, frozen=True, gc=False):
    """One instruction of the transaction, in order.

    `flags` is one character an account: `-` only read, `w` writable, `s` signer, `b` signer and writable; `data` is
    base64.
    """

    program: Key
    accounts: tuple[Key, ...]
    flags: str
    data: str


class Plan(Struct, frozen=True, gc=False):
    """The trade as it is to be done: raw amounts, the least output, the fees it may cost.

    A path of more than one leg stands in `hops`, all of which land or none; `dex` and `pool_address` are then those
    of the first leg, and `must_earn_lamports` is what must be left of the output after input and all costs.
    `expected_out` is the quote that slippage is learned against.

    `calls` are the instructions of the whole transaction, compute budget and tip among them; () where the accounts
    that they name were not told, or no wallet was: such a plan is terms only, and nobody signs it. `tables` are the
    lookup tables that its message uses. `quote_slot` is the slot up to which the feed had told the pool when the least
    output was quoted, `quote_age_slots` and `quote_age_ms` how long ago that was; None: no quote was used.
    """

    side: Side
    dex: Word
    pool_address: Key
    input_mint: Key
    output_mint: Key
    amount_in: U64
    min_out: U64
    max_slippage_bps: Bps
    compute_units: U32
    priority_fee_micro_lamports: U64
    tip_lamports: Lamports
    plan_hash: str
    hops: tuple[PlanHop, ...] = ()
    must_earn_lamports: I64 | None = None
    expected_out: U64 | None = None
    calls: tuple[PlanCall, ...] = ()
    tables: tuple[Key, ...] = ()
    quote_slot: Slot | None = None
    quote_age_slots: U32 | None = None
    quote_age_ms: U64 | None = None


class SimulateAsk(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """Simulate the plan of this intent's attempt."""

    intent: Seq
    attempt: U32
    plan: Plan


class SimulateAnswer(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """What the simulation did, as far as it tells.

    `amount_out` are the raw units the user would receive, `wallet_sol_delta_lamports` by how much all his SOL would
    change: native and wrapped, after fees and tip.
    """

    ask: Seq
    success: bool
    error_code: str | None = None
    logs_preview: str | None = None
    compute_units_consumed: U64 | None = None
    amount_out: U64 | None = None
    ordinal: U32 = 0
    last: bool = True
    wallet_sol_delta_lamports: I128 | None = None


class SendAsk(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """Sign, send and confirm the simulated plan."""

    intent: Seq
    attempt: U32
    plan: Plan


class SignedAnswer(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """The transaction is signed and not yet sent: signature, bytes (base64), blockhash and its last valid height."""

    ask: Seq
    signature: Signature
    transaction: str
    blockhash: str
    last_valid_block_height: U64
    ordinal: U32 = 0
    last: bool = False


class SendAnswer(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """The transaction left the host (`ok`) or could not be sent (`error`); method tpu, rpc, jito or paper."""

    ask: Seq
    ok: bool
    sent_at_ms: Millis
    method: Word
    slot: Slot | None = None
    signature: Signature | None = None
    bundle_id: str | None = None
    error: str | None = None
    ordinal: U32 = 0
    last: bool = False


class PricedAnswer(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """What the paper world prices a landing on; the chain itself never says so.

    `basis`: program (the venue's own binary executed the swap), exact (its maths on recorded accounts), executable
    (reserves less a fee) or last_trade; `state`: record that last told these numbers, of slot `state_slot`;
    `amount_out` raw units, whatever the plan demanded. None where there is no price; `basis` is then the code that says
    why.
    """

    ask: Seq
    basis: Word
    state: Seq | None = None
    state_slot: Slot | None = None
    amount_out: U64 | None = None
    ordinal: U32 = 0
    last: bool = False


class ConfirmAnswer(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """How the transaction ended; fills from token balance deltas.

    `status`: confirmed, failed, expired (it is certain that it never lands) or timeout (nobody knows). `rebroadcasts`
    counts how often the same bytes were handed on again.
    """

    ask: Seq
    status: Word
    slot: Slot | None = None
    signature: Signature | None = None
    fill_in: ExplicitAmount | None = None
    fill_out: ExplicitAmount | None = None
    fill_unavailable_reason: Word | None = None
    fees: ResultFees | None = None
    wallet_sol_delta_lamports: I128 | None = None
    error_code: str | None = None
    block_time_unix_ms: Millis | None = None
    ordinal: U32 = 0
    last: bool = True
    rebroadcasts: U32 = 0


ASK = (SimulateAsk, SendAsk)
"""Every ask, written by hand."""
ANSWER = (SimulateAnswer, SignedAnswer, SendAnswer, PricedAnswer, ConfirmAnswer)
"""Every answer, written by hand."""
