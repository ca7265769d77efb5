"""Canonical dex names: the wire contract's strings, and the other spellings met in logs of the original."""

CANONICAL = ("raydium", "raydium_cpmm", "orca", "meteora_dlmm", "meteora_cpmm", "pumpfun", "pump_amm")
"""Every dex of the wire contract (facts: its MarketEvent.dex)."""

SPELLINGS = {
    "raydium_amm_v4": "raydium",
    "raydium_amm": "raydium",
    "raydium_v4": "raydium",
    "raydiumamm": "raydium",
    "raydium_cp": "raydium_cpmm",
    "raydiumcpmm": "raydium_cpmm",
    "orca_whirlpool": "orca",
    "whirlpool": "orca",
    "orcawhirlpool": "orca",
    "meteora": "meteora_dlmm",
    "meteoradlmm": "meteora_dlmm",
    "dlmm": "meteora_dlmm",
    "pump_swap_amm": "pump_amm",
    "pump_swap": "pump_amm",
    "pumpswap": "pump_amm",
    "pumpfunamm": "pump_amm",
    "pump_fun_amm": "pump_amm",
    "pump.fun": "pumpfun",
    "pump_fun": "pumpfun",
}
"""Other spellings in lower case with `-` as `_` -> canonical name."""


def dex_name(spelled: str) -> str:
    """The canonical dex name of any known spelling; an unknown one comes back as it was spelled."""
    plain = spelled.strip().lower().replace("-", "_").replace(" ", "_")
    if plain in CANONICAL:
        return plain
    return SPELLINGS.get(plain, spelled)
