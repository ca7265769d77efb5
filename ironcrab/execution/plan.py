"""From an intent to the terms of a plan; its instructions follow in `building`.

The least output is the intent's. Where a fresh exact quote of the pool is had, it is that quote less the slippage that
the intent allows, or less what was learned where that is tighter, and never above the intent's: a price that moved
against the intent since it was said is still traded at, within its slippage of the price that now holds.
"""

from hashlib import sha256

import msgspec

from ironcrab.dex import base58
from ironcrab.domain.ask import Plan, PlanHop
from ironcrab.domain.trade import Read, TradeIntent
from ironcrab.domain.units import SOL_MINT, Lamports
from ironcrab.execution.exact import Fresh
from ironcrab.execution.fees import Fees
from ironcrab.execution.refusal import Refusal
from ironcrab.market.known import Known
from ironcrab.market.pools import PoolRow

DEXES = ("raydium", "raydium_cpmm", "orca", "meteora_dlmm", "pumpfun", "pump_amm")
"""Venues a plan can be built for, in the wire contract's canonical spelling."""


def dex_of(intent: TradeIntent) -> str | None:
    """The venue an intent names: `metadata.dex`; a creator alone means pumpfun; never guessed otherwise."""
    told = intent.metadata.get("dex")
    return told or ("pumpfun" if intent.metadata.get("creator") else None)


def token_mint(intent: TradeIntent) -> str:
    """The traded token: what a buy receives, what a sell gives."""
    return intent.resources.output_mint if intent.side == "Buy" else intent.resources.input_mint


def make_plan(
    intent: TradeIntent,
    fees: Fees,
    known: Known,
    reads: list[Read],
    fresh: Fresh | None = None,
    learned: int | None = None,
) -> Plan | Refusal:
    """The terms of a one-pool swap, not hashed yet, from the intent and what is known; appends what it read to `reads`.

    Args:
        intent: what is wanted.
        fees: what it may cost.
        known: what is known of the market.
        reads: notes what was read.
        fresh: the pool's exact quote; None: none, the least output is the intent's.
        learned: the least output by what own fills taught; None: nothing, or none are asked.
    """
    refusal = _terms(intent)
    if refusal is not None:
        return refusal
    pool = intent.resources.pools[0]
    row = known.pools.get(pool)
    if row is None:
        return Refusal("POOL_NOT_FOUND", f"pool={pool}")
    reads.append(Read("pool", pool, row.seq))
    refusal = _pool(intent, row) or _decimals(intent, known, reads)
    if refusal is not None:
        return refusal
    out = least_out(intent)
    if isinstance(out, Refusal):
        return out
    if fresh is not None:
        reads.append(Read("quote", pool, fresh.seq))
        # an order at any price, or of a few units, still wants something
        out = min(out, max(fresh.least(intent.max_slippage_bps), learned or 1))
    return Plan(
        side=intent.side,
        dex=row.dex,
        pool_address=pool,
        input_mint=intent.resources.input_mint,
        output_mint=intent.resources.output_mint,
        amount_in=intent.required_capital.raw,
        min_out=out,
        max_slippage_bps=intent.max_slippage_bps,
        compute_units=fees.compute_units,
        priority_fee_micro_lamports=fees.priority_fee_micro_lamports,
        tip_lamports=fees.tip_lamports,
        plan_hash="",
        expected_out=None if fresh is None else fresh.amount_out,
        quote_slot=None if fresh is None else fresh.slot,
        quote_age_slots=None if fresh is None else fresh.age_slots,
        quote_age_ms=None if fresh is None else fresh.age_ms,
    )


def plan_of_round(intent: TradeIntent, fees: Fees, legs: tuple[PlanHop, ...], must_earn: Lamports) -> Plan:
    """The terms of a path that was quoted and found good, not hashed yet."""
    first, last = legs[0], legs[-1]
    return Plan(
        side=intent.side,
        dex=first.dex,
        pool_address=first.pool_address,
        input_mint=first.input_mint,
        output_mint=last.output_mint,
        amount_in=first.amount_in,
        min_out=last.min_out,
        max_slippage_bps=intent.max_slippage_bps,
        compute_units=fees.compute_units,
        priority_fee_micro_lamports=fees.priority_fee_micro_lamports,
        tip_lamports=fees.tip_lamports,
        plan_hash="",
        hops=legs,
        must_earn_lamports=must_earn,
    )


def hashed(plan: Plan) -> Plan:
    """The plan with the hash of its terms."""
    return msgspec.structs.replace(plan, plan_hash=plan_hash(plan))


def plan_hash(plan: Plan) -> str:
    """Base58 of sha256 over the plan's terms as one JSON array: the fields before the hash, then the legs, if any."""
    names = Plan.__struct_fields__
    fields = [getattr(plan, name) for name in names[: names.index("plan_hash")]]
    if plan.hops:
        fields += [plan.hops, plan.must_earn_lamports]
    return base58.encode(sha256(msgspec.json.encode(fields)).digest())


def least_out(intent: TradeIntent) -> int | Refusal:
    """The least output: `execution.min_out`, else `metadata.min_out_raw`. Raw units of the output mint."""
    if intent.execution is not None:
        return intent.execution.min_out.raw or Refusal("INVALID_INTENT", "execution.min_out=0")
    told = intent.metadata.get("min_out_raw")
    if told is None:
        return Refusal("UNSUPPORTED_INTENT", "missing execution.min_out")
    if not (told.isascii() and told.isdigit()) or len(told) > 20 or not 0 < int(told) < 2**64:
        return Refusal("INVALID_INTENT", f"metadata.min_out_raw={told[:40]!r}")
    return int(told)


def _terms(intent: TradeIntent) -> Refusal | None:
    """What the intent itself must say."""
    resources = intent.resources
    if len(resources.pools) != 1:
        return Refusal("UNSUPPORTED_INTENT", f"pools={len(resources.pools)} hops={len(intent.swap_path)}, one is built")
    dex = dex_of(intent)
    if dex is None:
        return Refusal("UNSUPPORTED_INTENT", "missing metadata.dex")
    if dex not in DEXES:
        return Refusal("UNSUPPORTED_INTENT", f"dex={dex}")
    paid, got = resources.input_mint, resources.output_mint
    if (got if intent.side == "Sell" else paid) != SOL_MINT or paid == got:
        return Refusal("UNSUPPORTED_INTENT", f"{intent.side} of {paid} for {got}: one side must be SOL")
    if intent.required_capital.raw <= 0:
        return Refusal("INVALID_INTENT", f"required_capital={intent.required_capital.raw}")
    return None


def _pool(intent: TradeIntent, row: PoolRow) -> Refusal | None:
    """What the cache must say of the pool."""
    dex = dex_of(intent)
    if row.dex != dex:
        return Refusal("INVALID_INTENT", f"dex={dex} but the pool is of {row.dex}")
    pair = (intent.resources.input_mint, intent.resources.output_mint)
    if pair not in ((row.base_mint, row.quote_mint), (row.quote_mint, row.base_mint)):
        return Refusal("INVALID_MINT", f"pool holds {row.base_mint} and {row.quote_mint}")
    if row.stale is not None:
        return Refusal("QUOTE_UNAVAILABLE", f"pool unknown since record {row.stale}")
    if dex == "pumpfun" and row.complete:
        return Refusal("QUOTE_UNAVAILABLE", "curve complete")
    if dex == "pumpfun" and not (intent.metadata.get("creator") or row.creator):
        return Refusal("UNSUPPORTED_INTENT", "missing metadata.creator")
    return None


def _decimals(intent: TradeIntent, known: Known, reads: list[Read]) -> Refusal | None:
    """The token's decimals, told by its mint and by the intent, must agree; one of them must be told."""
    mint = token_mint(intent)
    told: int | None = intent.required_capital.decimals
    if intent.side == "Buy":
        told = None if intent.execution is None else intent.execution.min_out.decimals
    row = known.mints.get(mint)
    if row is None:
        return Refusal("MISSING_DECIMALS", f"mint={mint}") if told is None else None
    reads.append(Read("mint", mint, row.seq))
    if told is not None and told != row.decimals:
        return Refusal("INVALID_MINT", f"decimals={told} but the mint has {row.decimals}")
    return None
