"""Cold-path recovery: what a sell that must go lacks is asked of market-data once, waited for so long, tried once more.

Such a sell is a liquidation, one of a stopped engine, or one that sells all. Its first attempt ends as any other does;
where it ended for want of what the pool's accounts say, a control request goes out (wire contract 1.11 and 2.10) and
the second attempt waits for the answer, or for the end of the wait. Any other sell asks too, at most once in a while
for its mint, and neither waits nor tries again. Nothing here reads the world: whoever is market-data answers.
"""

from ironcrab.dex.address import is_key
from ironcrab.domain.control import ControlRequest
from ironcrab.domain.trade import TradeIntent
from ironcrab.execution.building import UNBUILT
from ironcrab.execution.fees import liquidation
from ironcrab.execution.plan import dex_of
from ironcrab.execution.state import EngineState, Waiting

PREFIX = "execution-engine-"
"""How the engine's own requests are called, before the intent's seq and the attempt."""
KINDS = {
    "pump_amm": "ensure_pump_amm_pool_accounts",
    "pumpfun": "ensure_pumpfun_bonding_curve",
    "raydium": "ensure_raydium_amm_pool_state",
    "raydium_cpmm": "ensure_raydium_cpmm_pool_state",
    "orca": "ensure_orca_whirlpool_pool_state",
    "meteora_dlmm": "ensure_meteora_dlmm_pool_state",
}
"""Control request by venue."""
UNKNOWN = ("QUOTE_UNAVAILABLE", "POOL_NOT_FOUND", UNBUILT)
"""Refusals that say that something about the pool is not known."""
STRUCTURAL = ("6013", "6023", "6024")
"""Simulation errors that say that the accounts of the swap were wrong."""
MOST_COOLING = 4_096
"""Mints whose last request is remembered at most."""


def must_go(intent: TradeIntent, state: EngineState) -> bool:
    """Whether this sell is worth waiting for."""
    if intent.side != "Sell":
        return False
    return liquidation(intent) or state.kill.active or intent.metadata.get("sell_all") == "true"


def lacks(code: str | None, details: str | None, intent: TradeIntent) -> bool:
    """Whether an attempt ended for want of knowledge about its pool: by a check's code or a simulation's error."""
    if code in UNKNOWN:
        return True
    if code != "SIM_FAILED":
        return False
    return liquidation(intent) or any(error in (details or "") for error in STRUCTURAL)


def request(waiting: Waiting, state: EngineState, now_ms: int) -> tuple[ControlRequest, Waiting | None] | None:
    """The request of an attempt that ended for want of knowledge, and the attempt that waits for its answer.

    None: recovery is off, this is the second attempt, no sell, of no known venue, or its mint was asked for lately.
    """
    intent, params = waiting.event, state.params
    kind = KINDS.get(dex_of(intent) or "")
    if not params.recovery_wait_ms or waiting.attempt or intent.side != "Sell" or kind is None:
        return None
    pool, mint = intent.resources.pools[0] if intent.resources.pools else None, intent.resources.input_mint
    told = ControlRequest(
        f"{PREFIX}{waiting.intent}-{waiting.attempt}",
        "market-data",
        kind,
        base_mint=mint,
        force_refresh=True,
        force_refresh_pumpfun=True if kind == KINDS["pumpfun"] else None,
        pool_address_hint=pool if pool is not None and is_key(pool) else None,
    )
    if must_go(intent, state):
        state.recoveries[told.request_id] = now_ms + params.recovery_wait_ms
        return told, Waiting(waiting.intent, waiting.attempt + 1, waiting.said_ms, intent, told.request_id)
    if state.cooling.get(mint, 0) > now_ms:
        return None
    state.cooling.pop(mint, None)
    state.cooling[mint] = now_ms + params.recovery_cooldown_ms
    if len(state.cooling) > MOST_COOLING:
        del state.cooling[next(iter(state.cooling))]
    return told, None


def waits(waiting: Waiting, state: EngineState, now_ms: int) -> bool:
    """Whether this attempt still waits for an answer."""
    return bool(waiting.request) and now_ms <= state.recoveries.get(waiting.request, -1)
