"""The words of momentum's intents, as the wire contract writes them."""

from collections.abc import Sequence

from ironcrab.domain.market import ExplicitAmount
from ironcrab.domain.trade import Execution, Regime, TradeIntent, TradeResources
from ironcrab.domain.units import BPS, SOL_MINT, TOKEN_2022_PROGRAM, TOKEN_PROGRAM, floor_div
from ironcrab.market.decimals import decimal_text
from ironcrab.market.mints import MintRow
from ironcrab.market.pools import PoolRow
from ironcrab.strategy.shape import Number

SOURCE = "momentum-bot"


class Why:
    """What an intent says of its reason: code, numbers, and the state it was wished in.

    `config_id` names the parameters in force where they are not the scenario's.
    """

    def __init__(
        self,
        code: str,
        numbers: Sequence[Number],
        *,
        slot: int,
        positions: int,
        trigger: str | None,
        config_id: str | None = None,
    ) -> None:
        self.code = code
        self.numbers = numbers
        self.slot = slot
        self.positions = positions
        self.trigger = trigger
        self.config_id = config_id

    def metadata(self, pool: PoolRow) -> dict[str, str]:
        """The keys that buys and sells share."""
        said = {
            "reason_code": self.code,
            "reason_detail": f"{self.code}: {', '.join(number_text(number) for number in self.numbers)}",
            "dex": pool.dex,
            "pool_address": pool.pool_address,
            "current_open_positions": str(self.positions),
            "slot": str(self.slot),
        }
        if pool.creator is not None:
            said["creator"] = pool.creator
        if self.config_id is not None:
            said["config_snapshot_id"] = self.config_id
        return said


def number_text(number: Number) -> str:
    """`unique_buyers=12 (limit 3)`."""
    name, value, limit = number
    return f"{name}={value}" if limit is None else f"{name}={value} (limit {limit})"


def amount(raw: int, decimals: int) -> ExplicitAmount:
    """Raw units with their text."""
    return ExplicitAmount(raw, decimals, decimal_text(raw, decimals))


def least(expected: int, slippage_bps: int) -> int:
    """What remains of the expected amount after the slippage allowed, rounded down; all of it is 0."""
    return floor_div(expected * max(0, BPS - slippage_bps), BPS)


def resources(pool: PoolRow, mint: MintRow | None, *, buys: bool) -> TradeResources:
    """What the trade touches; the token program only where it is one of the two known."""
    program = mint.token_program if mint is not None else None
    return TradeResources(
        input_mint=SOL_MINT if buys else pool.base_mint,
        output_mint=pool.base_mint if buys else SOL_MINT,
        pools=(pool.pool_address,),
        accounts=pool.accounts,
        token_program=program if program in (TOKEN_PROGRAM, TOKEN_2022_PROGRAM) else None,
    )


def buy(
    pool: PoolRow, mint: MintRow | None, why: Why, *, kind: str, lamports: int, min_out: ExplicitAmount, terms: "Terms"
) -> TradeIntent:
    """Buy for `lamports`; `kind` is probe or scale_in."""
    return TradeIntent(
        source=SOURCE,
        tier="Tier1",
        origin_type="StrategyA",
        required_capital=amount(lamports, 9),
        resources=resources(pool, mint, buys=True),
        expected_roi_bps=terms.roi_bps,
        max_slippage_bps=terms.slippage_bps,
        side="Buy",
        regime=terms.regime,
        ttl_ms=terms.ttl_ms,
        trigger_event_id=why.trigger,
        metadata={**why.metadata(pool), "entry_kind": kind, "min_out_raw": str(min_out.raw)},
        execution=Execution(min_out),
    )


def sell(
    pool: PoolRow,
    mint: MintRow | None,
    why: Why,
    *,
    exit_type: str,
    held: ExplicitAmount,
    min_out: int,
    terms: "Terms",
    routing: "Routing",
) -> TradeIntent:
    """Sell `held` on `pool` for at least `min_out` lamports."""
    return TradeIntent(
        source=SOURCE,
        tier="Tier1",
        origin_type="StrategyA",
        required_capital=held,
        resources=resources(pool, mint, buys=False),
        expected_roi_bps=terms.roi_bps,
        max_slippage_bps=terms.slippage_bps,
        side="Sell",
        regime=terms.regime,
        ttl_ms=terms.ttl_ms,
        trigger_event_id=why.trigger,
        metadata={
            **why.metadata(pool),
            "exit_type": exit_type,
            **routing.metadata(pool),
            "min_out_raw": str(min_out),
        },
        execution=Execution(amount(min_out, 9)),
    )


class Routing:
    """How the pool of a sell was found: the position's own pool, how many were asked, lamports expected."""

    def __init__(self, own: PoolRow, *, checked: int, expected: int) -> None:
        self.own = own
        self.checked = checked
        self.expected = expected

    def metadata(self, pool: PoolRow) -> dict[str, str]:
        """The keys of the wire contract; of a sell on the own pool the plain word."""
        if pool.pool_address == self.own.pool_address:
            return {"sell_routing": "primary"}
        moved = self.own.dex == "pumpfun" and pool.dex == "pump_amm"
        return {
            "sell_routing": "pumpswap_fallback" if moved else "multi_pool",
            "multi_pool_alternatives_checked": str(self.checked),
            "multi_pool_original_pool": self.own.pool_address,
            "multi_pool_expected_sol": decimal_text(self.expected, 9),
        }


class Terms:
    """Regime, slippage and return in bps, life in milliseconds."""

    def __init__(self, regime: Regime, *, slippage_bps: int, roi_bps: int, ttl_ms: int) -> None:
        self.regime = regime
        self.slippage_bps = slippage_bps
        self.roi_bps = roi_bps
        self.ttl_ms = ttl_ms
