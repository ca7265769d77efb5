"""Momentum's parameters: name, unit, range, default, meaning.

Every gate that both regimes have has a value for each (`early_...`, `established_...`): `Entry` is one regime's set.
`EarlyOnly` and `EstablishedOnly` are the gates that only one of them has, under its prefix; `Shared` is the rest.
Percentages are bps, rates are thousandths. Defaults are those of the original's documented TOML; what the original did
not have is off.
"""

from typing import Annotated, Any, TypeVar

from msgspec import Meta, Struct, defstruct
from msgspec.structs import fields

from ironcrab.domain.units import BPS, NATIVE_SOL, SLOT_MS, SOL_MINT, USDC_MINT, USDT_MINT
from ironcrab.market.flow import LONGEST_WINDOW

MOST_LAMPORTS = 2**63 - 1
LONGEST_WINDOW_SECS = LONGEST_WINDOW * SLOT_MS // 1000
SYSTEM_PROGRAM = "11111111111111111111111111111111"

Part = TypeVar("Part", bound=Struct)


def _lamports(text: str) -> Meta:
    return Meta(ge=0, le=MOST_LAMPORTS, description=text, extra={"unit": "lamports"})


def _secs(text: str, most: int = 86_400) -> Meta:
    return Meta(ge=0, le=most, description=text, extra={"unit": "seconds"})


def _window(text: str) -> Meta:
    return Meta(ge=1, le=LONGEST_WINDOW_SECS, description=text, extra={"unit": "seconds"})


def _bps(text: str, most: int = BPS) -> Meta:
    return Meta(ge=0, le=most, description=text, extra={"unit": "bps"})


def _profit(text: str) -> Meta:
    return Meta(ge=-BPS, le=10**9, description=text, extra={"unit": "bps"})


def _count(text: str, least: int = 0, most: int = 1_000_000) -> Meta:
    return Meta(ge=least, le=most, description=text, extra={"unit": "count"})


def _flag(text: str) -> Meta:
    return Meta(description=text, extra={"unit": "flag"})


class Entry(Struct, frozen=True):
    """What a mint must show before it is bought, for one regime."""

    max_slippage_bps: Annotated[int, _bps("slippage a buy allows")] = 500
    max_dev_supply_bps: Annotated[int, _bps("most of the supply its creator may hold")] = 9_500
    require_mint_authority_renounced: Annotated[bool, _flag("refuse mints that can still be minted")] = False
    require_freeze_authority_none: Annotated[bool, _flag("refuse mints whose accounts can be frozen")] = False
    min_liquidity_lamports: Annotated[int, _lamports("least quote side of the pool; unknown is not enough; 0 off")] = (
        3_000_000_000
    )
    min_token_age_secs: Annotated[int, _secs("least age of the pool in chain time; 0 off")] = 60
    dev_sell_revalidation_delay_secs: Annotated[int, _secs("pause after a sell by the creator")] = 30
    buyer_window_secs: Annotated[int, _window("window of buyers, velocity, dominance and shares")] = 120
    min_unique_buyers: Annotated[int, _count("least distinct buyers in the window")] = 3
    min_trades_per_min_milli: Annotated[
        int, Meta(ge=0, le=10**9, description="least trades per minute", extra={"unit": "1/1000 per minute"})
    ] = 30_000
    min_buy_dominance_bps: Annotated[int, _bps("least share of buys among trades, by count")] = 4_500
    min_trade_size_lamports: Annotated[int, _lamports("a buy below this is small")] = 10_000_000
    small_buy_ratio_cap_bps: Annotated[int, _bps("most small buys among buys")] = 8_500
    top1_buyer_share_cap_bps: Annotated[int, _bps("most of the buy volume one wallet may hold")] = 3_500
    top3_buyer_share_cap_bps: Annotated[int, _bps("most of the buy volume three wallets may hold")] = 6_000
    repeat_buyer_min_ratio_bps: Annotated[int, _bps("least share of buyers with two buys or more")] = 500
    inflow_window_secs: Annotated[int, _window("window of the net inflow")] = 60
    min_sol_inflow_lamports: Annotated[int, _lamports("least buys minus sells in the window")] = 500_000_000
    max_single_dump_lamports: Annotated[int, _lamports("a single sell above this refuses the mint")] = 20_000_000_000
    price_trend_filter_enabled: Annotated[bool, _flag("wait while the price trends down")] = True
    price_trend_window_secs: Annotated[int, _secs("window of the trend; 0 off", LONGEST_WINDOW_SECS)] = 120
    price_trend_min_trades: Annotated[int, _count("fewer trades than this show no trend")] = 18
    price_trend_min_tps_rise_bps: Annotated[int, _bps("rise of tokens per SOL that is a trend", 10**6)] = 800
    price_trend_max_drawdown_bps: Annotated[int, _bps("rise of tokens per SOL over the session best", 10**6)] = 2_500
    price_trend_bucket_count: Annotated[int, _count("buckets the window is cut into", 3, 8)] = 5
    price_trend_lower_highs_max_breaks: Annotated[int, _count("bucket pairs that may break the chain", 0, 7)] = 0
    price_trend_recovery_min_buy_dominance_bps: Annotated[int, _bps("least share of buys in a recovery")] = 6_000
    price_trend_recovery_min_inflow_lamports: Annotated[int, _lamports("least inflow in a recovery")] = 500_000_000
    price_trend_recovery_min_positive_buckets: Annotated[int, _count("newest buckets that must rise", 0, 7)] = 2
    price_trend_recovery_min_secs: Annotated[int, _secs("how long a recovery must hold")] = 15
    price_trend_recovery_requires_no_lower_highs: Annotated[bool, _flag("no recovery inside a falling chain")] = True
    dump_recovery_window_secs: Annotated[int, _window("window of the dump, and how long it is remembered")] = 30
    dump_recovery_min_buy_dominance_bps: Annotated[int, _bps("least share of buys after a dump")] = 5_500
    dump_recovery_min_net_inflow_lamports: Annotated[int, _lamports("least inflow after a dump")] = 1_000_000_000
    dump_recovery_min_recovery_secs: Annotated[int, _secs("how long that must hold")] = 10
    require_executable_quote: Annotated[
        bool, _flag("a buy's least output comes from an executable quote of its size; without one it waits")
    ] = False


class EarlyOnly(Struct, frozen=True):
    """EARLY's own gates: of a new pool little is known, so the unknown holds back, and what looks made is refused.

    Both caps are silent below the sample size of the other gates on buyers.
    """

    require_dev_supply_known: Annotated[bool, _flag("wait until the creator and his share of the supply are told")] = (
        False
    )
    min_sample_buys: Annotated[int, _count("fewer buys in the window are too thin a sample to judge; 0 off")] = 0
    wash_volume_cap_bps: Annotated[
        int, _bps("most of the buy volume that wallets may hold which also sold in the window; all of it: off")
    ] = BPS
    same_slot_buyers_cap_bps: Annotated[
        int, _bps("most of the buyers that may have bought in one and the same slot; all of them: off")
    ] = BPS


class EstablishedOnly(Struct, frozen=True):
    """ESTABLISHED's own gates: the price breaks out of its base, on more volatility and volume than the base had.

    The base are so many whole candles before the one that runs, as far as 300 s reach.
    """

    candle_secs: Annotated[int, Meta(ge=1, le=100, description="length of a candle", extra={"unit": "seconds"})] = 30
    breakout_candles: Annotated[int, _count("whole candles that are the base; 0: none of these gates", 0, 64)] = 0
    breakout_min_candles: Annotated[int, _count("so many of them must have traded", 0, 64)] = 3
    breakout_min_rise_bps: Annotated[int, _bps("least rise of the last price over the base's dearest", 10**6)] = 100
    breakout_max_rise_bps: Annotated[int, _bps("most of it: what has run away is not chased; 0 off", 10**6)] = 0
    volatility_min_expansion_bps: Annotated[
        int, _bps("least true range of the running candle against the base's mean; 0 off", 10**6)
    ] = 0
    volume_min_expansion_bps: Annotated[
        int, _bps("least volume of the running candle against the base's mean; 0 off", 10**6)
    ] = 0


EARLY = Entry()
ESTABLISHED = Entry(min_liquidity_lamports=10_000_000_000, max_slippage_bps=200)


class Shared(Struct, frozen=True):
    """What both regimes share: sizes, exits, lives."""

    early_slot_threshold: Annotated[int, _count("a pool seen for fewer slots is EARLY", 0, 2**40)] = 1_000
    not_tradeable: Annotated[
        str, Meta(description="mints never traded, separated by spaces", extra={"unit": "mints", "restart": True})
    ] = f"{SOL_MINT} {NATIVE_SOL} {SYSTEM_PROGRAM} {USDC_MINT} {USDT_MINT}"
    position_lamports: Annotated[int, _lamports("size of a whole position")] = 5_000_000
    probe_buy_bps: Annotated[int, _bps("part of it that the probe buys; the scale-in buys the rest")] = 2_500
    scale_in_confirm_window_secs: Annotated[int, _secs("how long after the probe's fill it may scale in")] = 30
    scale_in_min_probe_pnl_bps: Annotated[int, _profit("profit the probe must exceed")] = 0
    lp_removal_window_secs: Annotated[int, _secs("how long a removal of liquidity counts; 0 for ever")] = 60
    lp_removal_min_lamports: Annotated[int, _lamports("smaller removals do not count")] = 0
    hard_stop_min_hold_secs: Annotated[int, _secs("until then only the catastrophic stop holds")] = 45
    catastrophic_stop_loss_bps: Annotated[int, _bps("loss that ends a young position")] = 4_500
    hard_stop_loss_bps: Annotated[int, _bps("loss that ends a position")] = 1_500
    take_profit_bps: Annotated[int, _bps("profit that ends a position", 10**9)] = 10_000
    take_profit_min_hold_secs: Annotated[int, _secs("not before")] = 5
    bonding_curve_exit_bps: Annotated[int, _bps("curve progress that ends a PumpFun position; 0 off")] = 9_800
    trailing_activation_bps: Annotated[int, _bps("best profit from which the trailing stop is on", 10**9)] = 1_000
    trailing_stop_bps: Annotated[int, _bps("rise of tokens per SOL over the best since entry", 10**9)] = 2_000
    max_hold_time_secs: Annotated[int, _secs("time that ends a position; 0 off", 10**8)] = 300
    time_exit_requires_low_velocity: Annotated[bool, _flag("only while few trade it")] = True
    max_hold_absolute_cap_secs: Annotated[int, _secs("time that ends it in any case; 0 off", 10**8)] = 0
    momentum_exit_min_hold_secs: Annotated[int, _secs("not before")] = 60
    momentum_exit_window_secs: Annotated[int, _window("window of the fade")] = 30
    momentum_exit_min_trades: Annotated[int, _count("fewer trades show no fade")] = 5
    momentum_exit_buy_ratio_bps: Annotated[int, _bps("share of buys, by volume, below which it faded")] = 4_000
    momentum_exit_only_when_losing: Annotated[bool, _flag("only at or below the next value")] = True
    momentum_exit_max_pnl_bps: Annotated[int, _profit("profit up to which a fade ends it")] = 0
    exits_use_last_trade: Annotated[bool, _flag("price exits accept the last trade's price as a quote")] = False
    exit_max_slippage_bps: Annotated[int, _bps("slippage a sell allows")] = 9_500
    exit_slippage_escalates: Annotated[
        bool, _flag("after sells that failed by slippage allow at least 500, 800, then 1500 bps")
    ] = False
    exit_quote_ttl_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=86_400_000,
            description="greatest age of an executable quote, in slots of 400 ms; 0: a quiet pool is not stale",
            extra={"unit": "milliseconds"},
        ),
    ] = 0
    exit_multi_pool_routing: Annotated[bool, _flag("sell on the pool of the mint whose quote is highest")] = False
    exit_route_max_fails: Annotated[int, _count("sells that may fail on a pool before it is left out", 1, 100)] = 3
    exit_route_fail_window_secs: Annotated[int, _secs("how long after the last of them")] = 120
    exit_retry_cooldown_secs: Annotated[int, _secs("pause after a failed sell; doubles up to eightfold")] = 15
    entry_ttl_ms: Annotated[
        int, Meta(ge=1, le=600_000, description="life of a buy intent", extra={"unit": "milliseconds"})
    ] = 5_000
    exit_ttl_ms: Annotated[
        int, Meta(ge=1, le=600_000, description="life of a sell intent", extra={"unit": "milliseconds"})
    ] = 3_000
    entry_expected_roi_bps: Annotated[int, _bps("return a buy claims to expect")] = 50
    pending_timeout_secs: Annotated[int, _secs("an intent without an answer is given up")] = 120
    terminal_secs: Annotated[int, _secs("how long a refused mint stays refused")] = 300
    reentry_cooldown_secs: Annotated[int, _secs("pause after a position closed")] = 300
    idle_secs: Annotated[int, _secs("a pool without trades is forgotten")] = 1_800
    max_rows: Annotated[int, _count("pools tracked at most", 16, 65_536)] = 8_192


PARTS: tuple[tuple[str, Any], ...] = (
    ("early_", EARLY),
    ("early_", EarlyOnly()),
    ("established_", ESTABLISHED),
    ("established_", EstablishedOnly()),
    ("", Shared()),
)
"""The parts of the parameters with their prefixes, in the order they are listed."""


MomentumParams: Any = defstruct(
    "MomentumParams",
    [(prefix + f.name, f.type, getattr(part, f.name)) for prefix, part in PARTS for f in fields(type(part))],
    frozen=True,
    module=__name__,
)
"""All of it flat, as a scenario writes it: `early_min_liquidity_lamports`, ..., `max_rows`."""


def entry_of(params: Any, prefix: str) -> Entry:
    """What one regime asks of the gates that both have; `prefix` is `early_` or `established_`."""
    return _part(params, prefix, Entry)


def early_of(params: Any) -> EarlyOnly:
    """EARLY's own."""
    return _part(params, "early_", EarlyOnly)


def established_of(params: Any) -> EstablishedOnly:
    """ESTABLISHED's own."""
    return _part(params, "established_", EstablishedOnly)


def shared_of(params: Any) -> Shared:
    """What both regimes share."""
    return _part(params, "", Shared)


def _part(params: Any, prefix: str, kind: type[Part]) -> Part:
    return kind(**{f.name: getattr(params, prefix + f.name) for f in fields(kind)})


def slots(secs: int) -> int:
    """Seconds as slots of 0.4 s, rounded down: at least two where it is not 0."""
    return secs * 1000 // SLOT_MS
