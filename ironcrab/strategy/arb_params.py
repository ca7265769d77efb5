"""Arbitrage's parameters: name, unit, range, default, meaning. Defaults are the original's, where it has one."""

from typing import Annotated

from msgspec import Meta, Struct

MOST_LAMPORTS = 2**63 - 1


def _lamports(text: str, least: int = 0) -> Meta:
    return Meta(ge=least, le=MOST_LAMPORTS, description=text, extra={"unit": "lamports"})


def _bps(text: str, most: int = 10_000) -> Meta:
    return Meta(ge=0, le=most, description=text, extra={"unit": "bps"})


def _ms(text: str) -> Meta:
    return Meta(ge=0, le=86_400_000, description=text, extra={"unit": "milliseconds"})


def _count(text: str, least: int, most: int) -> Meta:
    return Meta(ge=least, le=most, description=text, extra={"unit": "count"})


def _flag(text: str) -> Meta:
    return Meta(description=text, extra={"unit": "flag"})


class ArbParams(Struct, frozen=True, kw_only=True):
    """What a round trip must show before it is wished."""

    two_hop_enabled: Annotated[bool, _flag("look for two pools of one mint on different venues")] = True
    multi_hop_enabled: Annotated[bool, _flag("look for cycles of three legs and more")] = True

    probe_lamports: Annotated[int, _lamports("size at which pairs and cycles are compared", 1)] = 10_000_000
    max_position_lamports: Annotated[int, _lamports("largest size of a round trip", 1)] = 1_000_000_000
    min_trade_lamports: Annotated[int, _lamports("a trade below this is no reason to look")] = 100_000

    quote_state_ttl_ms: Annotated[int, _ms("greatest age of a quote from state, in slots of 400 ms; 0 off")] = 120_000
    quote_trade_ttl_ms: Annotated[int, _ms("greatest age of a last trade, in slots of 400 ms")] = 30_000
    max_leg_slot_delta: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="greatest distance of the slots that two legs were told in; 0 off: quiet pools pair too",
            extra={"unit": "slots"},
        ),
    ] = 2
    require_pool_accounts: Annotated[
        bool, _flag("no wish over a PumpSwap pool whose accounts are not known: the engine could not build its swap")
    ] = False
    trade_on_last_trade: Annotated[bool, _flag("wish also where all that is known is the last trades' price")] = False

    screen_bps: Annotated[
        int, _bps("pools whose last known prices lie nearer than this are not quoted; 0: always quoted", 100_000)
    ] = 30
    min_spread_bps: Annotated[int, _bps("least return of a pair before costs", 100_000)] = 50
    max_spread_bps: Annotated[int, _bps("a return above this is an error of the data", 1_000_000)] = 1_000
    max_spread_stable_bps: Annotated[int, _bps("the same where the mint is USDC or USDT", 1_000_000)] = 200
    min_profit_lamports: Annotated[int, _lamports("least profit after costs")] = 10_000_000
    est_tx_cost_lamports: Annotated[int, _lamports("network cost that profit is judged after")] = 50_000
    max_slippage_bps: Annotated[int, _bps("slippage of the whole trip; never below input and costs")] = 100

    multi_hop_max_hops: Annotated[int, _count("legs of a cycle at most", 3, 5)] = 4
    multi_hop_min_profit_bps: Annotated[int, _bps("least return of a cycle before costs", 100_000)] = 30
    multi_hop_min_move_bps: Annotated[
        int, _bps("a pool's price must have moved so far since the last search; 0: always", 100_000)
    ] = 10
    multi_hop_cooldown_ms: Annotated[int, _ms("pause of a mint between two searches")] = 100
    multi_hop_max_quotes: Annotated[
        int, _count("quotes of one search at most; short cycles come first", 1, 100_000)
    ] = 400

    intent_cooldown_ms: Annotated[int, _ms("pause of a mint after a wish")] = 5_000
    intent_ttl_ms: Annotated[
        int, Meta(ge=1, le=600_000, description="life of a wish", extra={"unit": "milliseconds"})
    ] = 1_000
    in_flight_grace_ms: Annotated[int, _ms("a wish without an answer holds its path so long beyond its life")] = 5_000

    require_bundle: Annotated[bool, _flag("all legs in one bundle, or refused")] = True
    bundle_tip_lamports: Annotated[int, _lamports("tip of the bundle, a cost")] = 100_000
    bundle_tip_min_lamports: Annotated[int, _lamports("least tip that is thought to land")] = 100_000
    bundle_max_spend_bps: Annotated[
        int, _bps("share of the profit that tip and priority fee may take; 0: no bundle is worth it")
    ] = 1_500
    hint_compute_units: Annotated[
        int, Meta(ge=1, le=1_400_000, description="compute limit asked for", extra={"unit": "cu"})
    ] = 400_000
    hint_priority_fee_micro_lamports: Annotated[
        int, Meta(ge=0, le=MOST_LAMPORTS, description="priority fee asked for", extra={"unit": "micro-lamports/cu"})
    ] = 100_000

    max_rows: Annotated[int, _count("mints remembered at most", 16, 65_536)] = 16_384
