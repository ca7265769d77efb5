"""What a transaction will cost: compute limit, priority fee, network cost (wire contract, section 1.12).

Everything is integer; a multiplier is in basis points and products are floored, as the original truncates.
Deviation: the original estimates the cost on the static fee and pays the recommended one; here the cost is that
of the fee which will be paid.
"""

from msgspec import Struct

from ironcrab.domain.market import PriorityFeePercentiles
from ironcrab.domain.trade import TradeIntent
from ironcrab.domain.units import BPS, ceil_div, floor_div
from ironcrab.execution.params import EngineParams

SIGNATURE_LAMPORTS = 5_000
"""Base fee of one signature."""
MICRO = 1_000_000


class Fees(Struct, frozen=True, gc=False):
    """The fee terms of one attempt: cu, micro-lamports per cu, where the fee came from, lamports, tip apart."""

    compute_units: int
    priority_fee_micro_lamports: int
    source: str
    base_lamports: int
    priority_lamports: int
    tip_lamports: int

    @property
    def network_lamports(self) -> int:
        """Signature and priority fee; the tip is a transfer and stands apart."""
        return self.base_lamports + self.priority_lamports


class FeePolicy(Struct, frozen=True, gc=False):
    """The caps that hold for one intent: `standard`, or `liquidation` where its own caps are set."""

    name: str
    max_priority_fee_micro_lamports: int
    max_tx_cost_lamports: int
    static_fee_micro_lamports: int


def liquidation(intent: TradeIntent) -> bool:
    """Whether the intent closes positions on an operator's order (`metadata.purpose`)."""
    return intent.metadata.get("purpose") == "liquidation"


def policy_of(params: EngineParams, intent: TradeIntent) -> FeePolicy:
    """The policy that holds for this intent: static fee by tier, caps by purpose (0 in a liquidation cap: as all)."""
    default = params.default_priority_fee_micro_lamports
    tier0 = params.tier0_priority_fee_micro_lamports
    static = {"Tier0": tier0, "Tier1": default, "Arb": floor_div(default + tier0, 2)}[intent.tier]
    if not liquidation(intent):
        return FeePolicy("standard", params.max_priority_fee_micro_lamports, params.max_tx_cost_lamports, static)
    return FeePolicy(
        "liquidation",
        params.liquidation_max_priority_fee_micro_lamports or params.max_priority_fee_micro_lamports,
        params.liquidation_max_tx_cost_lamports or params.max_tx_cost_lamports,
        params.liquidation_priority_fee_micro_lamports or static,
    )


def compute_units(params: EngineParams, intent: TradeIntent, estimate: int | None = None) -> int:
    """Compute limit: the capped hint, else the estimate (which may exceed the cap: a check), else a default."""
    if intent.hint_compute_units is not None:
        return min(intent.hint_compute_units, params.max_compute_units)
    if estimate is not None:
        return estimate
    return params.arb_compute_units if intent.require_bundle else params.default_compute_units


def static_fee(params: EngineParams, policy: FeePolicy, intent: TradeIntent) -> int:
    """Priority fee from tier and urgency, or the hint; capped. Micro-lamports per cu."""
    if intent.hint_priority_fee_micro_lamports is not None:
        return min(intent.hint_priority_fee_micro_lamports, policy.max_priority_fee_micro_lamports)
    urgency = min(intent.hint_urgency or 0, 2)
    multiplier = (BPS, params.urgency_multiplier_elevated_bps, params.urgency_multiplier_urgent_bps)[urgency]
    scaled = floor_div(policy.static_fee_micro_lamports * multiplier, BPS)
    return min(scaled, policy.max_priority_fee_micro_lamports)


def recommended_fee(params: EngineParams, intent: TradeIntent, seen: PriorityFeePercentiles | None) -> int:
    """What the recorded percentiles recommend for this tier, 0 when none were recorded. Micro-lamports per cu."""
    if seen is None:
        return 0
    if intent.tier == "Tier0":
        return seen.tier0_recommended
    if intent.tier == "Arb":
        return seen.arb_recommended
    told = ((90, seen.p90), (75, seen.p75), (50, seen.p50), (25, seen.p25))
    percentile = next(fee for rank, fee in told if rank <= params.tier1_fee_percentile)
    return floor_div(percentile * params.tier1_fee_multiplier_bps, BPS)


def price_of(params: EngineParams, intent: TradeIntent, seen: PriorityFeePercentiles | None) -> tuple[int, str]:
    """Micro-lamports per cu and where they come from: the larger of static and recommended fee (may exceed the cap)."""
    static = static_fee(params, policy_of(params, intent), intent)
    recommended = recommended_fee(params, intent, seen)
    return max(static, recommended), "dynamic" if recommended > static else "static_floor"


def fees_of(
    params: EngineParams, intent: TradeIntent, seen: PriorityFeePercentiles | None, estimate: int | None = None
) -> Fees:
    """The fee terms of an attempt; `estimate` is the compute limit that its venue or simulations tell, if any does.

    The priority fee is floored as the wire contract has it; of plans with instructions it is rounded up, as the chain
    charges it.
    """
    units = compute_units(params, intent, estimate)
    fee, source = price_of(params, intent, seen)
    rounded = floor_div if params.plans == "terms" else ceil_div
    return Fees(
        compute_units=units,
        priority_fee_micro_lamports=fee,
        source=source,
        base_lamports=SIGNATURE_LAMPORTS,
        priority_lamports=rounded(fee * units, MICRO),
        tip_lamports=tip_of(params, intent),
    )


def profit_lamports(intent: TradeIntent) -> int:
    """The profit that an intent expects, before all costs: its return on its capital, never below 0."""
    return max(floor_div(intent.expected_roi_bps * intent.required_capital.raw, BPS), 0)


def tip_of(params: EngineParams, intent: TradeIntent) -> int:
    """The tip: what a bundle names, else a fixed one, else in an auction a share of the profit between two bounds."""
    if not intent.require_bundle:
        return 0
    if intent.bundle_tip_lamports is not None:
        return intent.bundle_tip_lamports
    if not params.bundle_auction_enabled:
        return params.jito_tip_lamports
    least = max(params.bundle_tip_min_lamports, params.jito_bundle_tip_floor_lamports)
    share = floor_div(profit_lamports(intent) * params.bundle_tip_default_bps, BPS)
    return max(min(share, params.bundle_tip_max_lamports), least)


def min_profit_for_landing(params: EngineParams, tip_lamports: int, priority_lamports: int) -> int | None:
    """The least profit of which tip and priority fee are no larger a share than may be spent; None: no profit is.

    ceil((tip + priority) x 10,000 / max_spend_bps), where the tip is at least the least one (wire contract, 1.12).
    """
    if params.bundle_min_profit_lamports:
        return params.bundle_min_profit_lamports
    spend = params.bundle_auction_max_spend_bps
    if not spend:
        return None
    tip = max(params.bundle_tip_min_lamports, tip_lamports, params.jito_bundle_tip_floor_lamports)
    return ceil_div((tip + priority_lamports) * BPS, spend)


def profit_after_fees_bps(expected_roi_bps: int, network_lamports: int, capital_raw: int) -> int | None:
    """Expected return less the network cost in bps of the capital; None where the capital is zero."""
    if capital_raw <= 0:
        return None
    return expected_roi_bps - floor_div(network_lamports * BPS, capital_raw)
