"""The engine's parameters with their ranges; `domain/settings` is the rule by which an operator changes them.

Names and defaults are the wire contract's (sections 1.12, 1.13, 1.15); a multiplier is written in basis points and
a missing optional number as 0, because nothing decides on floats and every value has one form.
"""

from typing import Annotated, Literal

import msgspec
from blake3 import blake3
from msgspec import Meta, Struct

from ironcrab.domain.settings import text_of


def _meta(what: str, unit: str, low: int | None = None, high: int | None = None, *, restart: bool = False) -> Meta:
    """The range, meaning and unit of one parameter; `restart`: a running engine refuses to change it."""
    return Meta(ge=low, le=high, description=what, extra={"unit": unit, "restart": restart})


def _text(what: str) -> Meta:
    return Meta(description=what, extra={"unit": "text", "restart": True})


_BIG = 2**63 - 1

TIP_ACCOUNTS = (
    "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5 HFqU5x63VTqvQss8hp11i4wVV8bD44PvwucfZ2bU7gRe "
    "Cw8CFyM9FkoMi7K7Crf6HNQqf4uEMzpKw6QNghXLvLkY ADaUMid9yfUytqMBgopwjb2DTLSokTSzL1zt6iGPaS49 "
    "DfXygSm4jCyNCybVYYK6DwvWqjKee8pbDmJGcLWNDXjh ADuUkR4vqLUMWXxW9gh6D6L8pMSawimctcNZ5pGwDcEt "
    "DttWaMuVvTiduZRnguLF7jNxTgiMBZ1hyAumKUiL2KRL 3AVi9Tg9Uo68tJfuvoKvqKNWKkC5wPdSSdeBnizKZ6jT"
)
"""The block engine's eight tip accounts (fact sheet on sending, section 6); an armed session asks whether they are."""

PAPER_WALLET = "4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi"
"""Base58 of 32 bytes 0x01: the wallet that the original's replay pretends to have."""


class EngineParams(Struct, frozen=True, kw_only=True):
    """Limits, timeouts, fees and fairness of one execution engine."""

    wallet: Annotated[str, _text("own wallet; empty: sells wait until a wallet snapshot names it")] = PAPER_WALLET
    max_concurrent_intents: Annotated[
        int, _meta("attempts under way at once; Tier0 passes", "attempts", 1, 1000, restart=True)
    ] = 4
    send_enabled: Annotated[bool, Meta(description="false: stop after a passed simulation", extra={"unit": "flag"})] = (
        False
    )

    plans: Annotated[
        Literal["terms", "built", "required"],
        Meta(
            description="terms: no instructions; built: with instructions, and least outputs by fresh exact quotes, "
            "where the accounts are known; required: what cannot be built so is refused",
            extra={"unit": "word"},
        ),
    ] = "terms"
    quote_max_age_slots: Annotated[
        int, _meta("a plan's quote may be so far behind the feed's position", "slots", 0, 1_000)
    ] = 2
    quote_max_age_ms: Annotated[int, _meta("the same in time", "ms", 0, 60_000)] = 50
    lookup_tables: Annotated[str, _text("lookup tables a plan may use, addresses with spaces between")] = ""
    tip_accounts: Annotated[str, _text("who may be tipped, addresses with spaces between")] = TIP_ACCOUNTS

    max_position_size_lamports: Annotated[int, _meta("largest capital of one buy", "lamports", 1, _BIG)] = 500_000_000
    daily_loss_limit_lamports: Annotated[int, _meta("realised losses that end a UTC day", "lamports", 1, _BIG)] = (
        5_000_000_000
    )
    drawdown_limit_lamports: Annotated[
        int, _meta("fall of realised profit from its peak that stops buys; 0 off", "lamports", 0, _BIG)
    ] = 0
    cooldown_ms: Annotated[int, _meta("rest of a mint after a losing sell; 0 off", "ms", 0, 86_400_000)] = 0
    max_open_positions: Annotated[int, _meta("positions at once", "positions", 1, 100)] = 5
    max_slippage_bps: Annotated[int, _meta("largest slippage of a buy", "bps", 1, 10_000)] = 500

    intent_ttl_ms: Annotated[int, _meta("life of an intent that names no ttl", "ms", 1, 3_600_000)] = 5_000
    simulation_timeout_ms: Annotated[int, _meta("time a simulation may take", "ms", 100, 30_000)] = 500
    capital_lock_ttl_buffer_ms: Annotated[
        int, _meta("time beyond the simulation before a lock that was not sent expires", "ms", 0, 600_000)
    ] = 10_000
    confirmation_timeout_ms: Annotated[int, _meta("wait for a confirmation", "ms", 500, 300_000)] = 15_000
    unknown_hold_ms: Annotated[
        int, _meta("capital stays locked after a confirmation timeout: the life of a blockhash", "ms", 0, 600_000)
    ] = 90_000
    idempotency_window_ms: Annotated[
        int, _meta("an id that reached simulation is refused for at least so long", "ms", 1_000, 2_592_000_000)
    ] = 600_000
    position_grace_ms: Annotated[
        int, _meta("a complete wallet snapshot does not remove a mint traded so recently", "ms", 0, 3_600_000)
    ] = 90_000

    recovery_wait_ms: Annotated[
        int, _meta("a sell that must go waits so long for market-data and is tried again; 0 off", "ms", 0, 120_000)
    ] = 0
    recovery_cooldown_ms: Annotated[
        int, _meta("rest of a mint between requests of other sells", "ms", 0, 3_600_000)
    ] = 60_000

    default_compute_units: Annotated[int, _meta("compute limit without a hint", "cu", 1, 1_400_000)] = 200_000
    max_compute_units: Annotated[int, _meta("largest compute limit", "cu", 1, 1_400_000)] = 1_400_000
    arb_compute_units: Annotated[int, _meta("compute limit of a bundle without a hint", "cu", 1, 1_400_000)] = 400_000
    learned_compute_enabled: Annotated[
        bool, Meta(description="built plans take the limit that simulations taught", extra={"unit": "flag"})
    ] = True
    learned_compute_margin_bps: Annotated[int, _meta("more than simulations used", "bps", 0, 100_000)] = 1_000
    default_priority_fee_micro_lamports: Annotated[int, _meta("static fee of Tier1", "micro-lamports/cu", 0, _BIG)] = (
        1_000
    )
    max_priority_fee_micro_lamports: Annotated[int, _meta("largest priority fee", "micro-lamports/cu", 0, _BIG)] = (
        100_000
    )
    tier0_priority_fee_micro_lamports: Annotated[int, _meta("static fee of Tier0", "micro-lamports/cu", 0, _BIG)] = (
        10_000
    )
    urgency_multiplier_elevated_bps: Annotated[int, _meta("fee multiplier at urgency 1", "bps", 0, 1_000_000)] = 20_000
    urgency_multiplier_urgent_bps: Annotated[int, _meta("fee multiplier at urgency 2+", "bps", 0, 1_000_000)] = 50_000
    tier1_fee_percentile: Annotated[int, _meta("recorded percentile that Tier1 follows", "%", 25, 90)] = 50
    tier1_fee_multiplier_bps: Annotated[int, _meta("multiplier on that percentile", "bps", 0, 1_000_000)] = 12_000
    max_tx_cost_lamports: Annotated[int, _meta("largest network cost of a transaction", "lamports", 0, _BIG)] = (
        50_000_000
    )
    min_profit_after_fees_bps: Annotated[int, _meta("least profit of arbitrage after fees", "bps", -10_000, 10_000)] = (
        10
    )
    liquidation_priority_fee_micro_lamports: Annotated[
        int, _meta("static fee of a liquidation; 0: as its tier", "micro-lamports/cu", 0, _BIG)
    ] = 0
    liquidation_max_priority_fee_micro_lamports: Annotated[
        int, _meta("largest fee of a liquidation; 0: as all", "micro-lamports/cu", 0, _BIG)
    ] = 0
    liquidation_max_tx_cost_lamports: Annotated[
        int, _meta("largest cost of a liquidation; 0: as all", "lamports", 0, _BIG)
    ] = 0

    jito_enabled: Annotated[bool, Meta(description="bundles can be sent", extra={"unit": "flag"})] = False
    jito_tip_lamports: Annotated[int, _meta("tip of a bundle that names none", "lamports", 0, _BIG)] = 10_000
    jito_bundle_tip_floor_lamports: Annotated[int, _meta("least tip a bundle may carry", "lamports", 0, _BIG)] = 1_000
    bundle_auction_enabled: Annotated[
        bool, Meta(description="tips are a share of the profit, and spending is capped by it", extra={"unit": "flag"})
    ] = False
    bundle_tip_min_lamports: Annotated[int, _meta("auction: least tip", "lamports", 0, _BIG)] = 100_000
    bundle_tip_max_lamports: Annotated[int, _meta("auction: largest tip", "lamports", 0, _BIG)] = 2_000_000
    bundle_tip_default_bps: Annotated[
        int, _meta("auction: tip where none is named, of the profit", "bps", 0, 10_000)
    ] = 1_000
    bundle_auction_max_spend_bps: Annotated[
        int, _meta("auction: tip and priority fee at most, of the profit; 0: nothing may be spent", "bps", 0, 10_000)
    ] = 1_500
    bundle_min_profit_lamports: Annotated[
        int, _meta("auction: least profit of a bundle; 0: what the spending needs", "lamports", 0, _BIG)
    ] = 0
    cross_dex_enabled: Annotated[bool, Meta(description="two-pool arbitrage is judged", extra={"unit": "flag"})] = True
    cross_dex_min_spread_bps: Annotated[int, _meta("least spread of a two-pool arbitrage", "bps", 0, 10_000)] = 30
    cross_dex_min_profit_lamports: Annotated[
        int, _meta("least profit of a round trip after all costs", "lamports", 0, _BIG)
    ] = 0
    cross_dex_leg_slippage_bps: Annotated[
        int, _meta("a leg may give so much less than its quote; the next leg takes only what is left", "bps", 0, 10_000)
    ] = 10
    cross_dex_max_hops: Annotated[int, _meta("legs of a round trip at most", "legs", 2, 8)] = 5
    cross_dex_last_trade_quotes: Annotated[
        bool, Meta(description="a leg may be quoted by its pool's last trade", extra={"unit": "flag"})
    ] = False

    quantile_slippage_enabled: Annotated[
        bool, Meta(description="own fills raise the least output of a swap", extra={"unit": "flag"})
    ] = False
    quantile_confidence_bps: Annotated[int, _meta("rank of the shortfall that is allowed for", "bps", 0, 10_000)] = (
        9_500
    )
    quantile_min_samples: Annotated[int, _meta("fewer fills than this teach nothing", "fills", 1, 500)] = 20
    quantile_max_sample_age_secs: Annotated[int, _meta("older fills teach nothing", "seconds", 1, 2_592_000)] = 86_400
    quantile_fallback_slippage_bps: Annotated[
        int, _meta("slippage allowed while nothing is taught", "bps", 0, 10_000)
    ] = 100

    fairness_enabled: Annotated[bool, Meta(description="protect a source often preempted", extra={"unit": "flag"})] = (
        True
    )
    fairness_max_preemptions_per_source: Annotated[int, _meta("preemptions a source suffers", "times", 1, 1_000)] = 5
    fairness_preemption_window_ms: Annotated[int, _meta("sliding window they are counted in", "ms", 1, 3_600_000)] = (
        60_000
    )
    fairness_starvation_block_ms: Annotated[int, _meta("protection after that many", "ms", 0, 3_600_000)] = 30_000


FIELDS = {field.name: field for field in msgspec.structs.fields(EngineParams)}
"""Field by key, in the order of the class: the one list of what can be set."""


LATER = (
    *(key for key in FIELDS if key.startswith("quantile_")),
    *(key for key in FIELDS if key.startswith(("quote_max_age_", "learned_compute_", "bundle_", "recovery_"))),
    "plans",
    "lookup_tables",
    "tip_accounts",
    "cross_dex_min_profit_lamports",
    "cross_dex_leg_slippage_bps",
    "cross_dex_max_hops",
    "cross_dex_last_trade_quotes",
)
"""Keys that came after logs were written: at its default such a key does not count, so that their ids stand."""


def config_snapshot_id(params: Struct) -> str:
    """The id of a config in force: `cfg-` and 16 hex digits of blake3 over `key=value` lines in field order."""
    fields = {field.name: field for field in msgspec.structs.fields(type(params))}
    told = [key for key in fields if key not in LATER or getattr(params, key) != fields[key].default]
    lines = "".join(f"{key}={text_of(getattr(params, key))}\n" for key in told)
    return f"cfg-{blake3(lines.encode()).hexdigest()[:16]}"
