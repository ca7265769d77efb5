"""Plain wishes on the pool of a trade: what a strategy of one's own says to buy or to sell."""

from ironcrab.domain.market import ExplicitAmount, Trade, event_id_of
from ironcrab.domain.trade import Execution, Side, TradeIntent, TradeResources
from ironcrab.domain.units import BPS, Bps, Lamports, Raw, Word, floor_div


def buy(source: Word, trade: Trade, lamports: Lamports, slippage_bps: Bps) -> TradeIntent:
    """Buy the trade's mint for `lamports` at its price or, by the slippage, a worse one."""
    expected = floor_div(lamports * trade.token_amount, max(trade.sol_amount, 1))
    return _wish(source, trade, "Buy", ExplicitAmount(lamports, 9), expected, slippage_bps)


def sell(source: Word, trade: Trade, raw: Raw, slippage_bps: Bps) -> TradeIntent:
    """Sell `raw` units of the trade's mint at its price or, by the slippage, a worse one."""
    expected = floor_div(raw * trade.sol_amount, max(trade.token_amount, 1))
    return _wish(source, trade, "Sell", ExplicitAmount(raw, trade.token_decimals), expected, slippage_bps)


def _wish(
    source: Word, trade: Trade, side: Side, paid: ExplicitAmount, expected: int, slippage_bps: Bps
) -> TradeIntent:
    buys = side == "Buy"
    mints = (trade.quote_mint, trade.mint) if buys else (trade.mint, trade.quote_mint)
    # at least 1: an intent must name a least output, and the engine refuses 0
    least = max(floor_div(expected * max(BPS - slippage_bps, 0), BPS), 1)
    metadata = {"dex": trade.dex, "pool_address": trade.pool_address}
    if trade.creator is not None:
        metadata["creator"] = trade.creator
    return TradeIntent(
        source=source,
        tier="Tier1",
        origin_type="StrategyA",
        required_capital=paid,
        resources=TradeResources(*mints, (trade.pool_address,), token_program=trade.token_program),
        expected_roi_bps=0,
        max_slippage_bps=slippage_bps,
        side=side,
        regime="NotApplicable",
        trigger_event_id=event_id_of(trade),
        metadata=metadata,
        execution=Execution(ExplicitAmount(least, trade.token_decimals if buys else 9)),
    )
