"""QuoteCalculator: what a pool would pay now, from what is known of it.

Where the accounts are known that the venue's program would read, the quote is the program's own, to the last unit
(`exact`). Where one is unknown it falls back to reserves, less a fee (`executable`), then to the newest trade
(`last_trade`). What the program itself would refuse is not quoted from elsewhere.
"""

from typing import Literal

from msgspec import Struct

from ironcrab.dex.pumpfun import COMPLETE
from ironcrab.domain.units import BPS, Key, Seq, Slot, Word, ceil_div, floor_div
from ironcrab.market.mints import Mints
from ironcrab.market.pools import LivePoolCache, PoolRow

Kind = Literal["exact", "executable", "last_trade"]

FEE_BPS = {
    "pump_amm": 100,
    "pumpfun": 100,
    "raydium": 25,
    "raydium_cpmm": 25,
    "orca": 30,
    "meteora_dlmm": 30,
    "meteora_cpmm": 25,
}
"""Fee of a venue in bps of the amount in, as long as its own maths does not stand here."""

CONSTANT_PRODUCT = ("raydium", "raydium_cpmm", "pump_amm", "pumpfun")
"""Venues whose reserves are the whole price curve (PumpFun: the virtual reserves)."""


class PoolQuote(Struct, frozen=True, gc=False):
    """What the pool would pay.

    Attributes:
        pool_address: the pool.
        amount_in: raw units paid in.
        amount_out: raw units paid out, above zero.
        kind: `exact` from the pool's accounts; `executable` from reserves; `last_trade` from the newest trade's ratio
            less the fee, of any size.
        seq: the record that last told these numbers.
        slot: slot they were told in (of two reserves the older, of a set of accounts the newest).
    """

    pool_address: Key
    amount_in: int
    amount_out: int
    kind: Kind
    seq: Seq
    slot: Slot


class NoQuote(Struct, frozen=True, gc=False):
    """Why there is none: POOL_NOT_FOUND, POOL_STALE, POOL_COMPLETE or QUOTE_UNAVAILABLE."""

    reason: Word


class QuoteCalculator:
    """Quotes from the pool cache; no reducer and no state of its own."""

    def __init__(self, pools: LivePoolCache, mints: Mints) -> None:
        self.pools = pools
        self.mints = mints

    def quote(self, pool_address: str, mint_in: str, amount_in: int) -> PoolQuote | NoQuote:
        """What this pool pays for `amount_in` raw units of `mint_in`, rounded down; never falls as it grows."""
        row = self.pools.get(pool_address)
        if row is not None:
            if row.stale is not None:
                return NoQuote("POOL_STALE")
            if row.complete:
                return NoQuote("POOL_COMPLETE")
            if amount_in <= 0 or mint_in not in (row.base_mint, row.quote_mint):
                return NoQuote("QUOTE_UNAVAILABLE")
        paid = self.pools.accounts.paid(pool_address, mint_in, amount_in)
        if paid is not None:
            if paid.amount_out > 0:
                return PoolQuote(pool_address, amount_in, paid.amount_out, "exact", paid.seq, paid.slot)
            refusal = paid.refusal
            if refusal is None:
                return NoQuote("QUOTE_UNAVAILABLE")
            if not refusal.missing:
                return NoQuote("POOL_COMPLETE" if refusal.code == COMPLETE else "QUOTE_UNAVAILABLE")
        if row is None:
            return NoQuote("POOL_NOT_FOUND")
        sells = mint_in == row.base_mint
        if row.dex in CONSTANT_PRODUCT and row.reserve_base is not None and row.reserve_quote is not None:
            return _executable(row, sells, amount_in)
        return _last_trade(row, sells, amount_in)


def constant_product(reserve_in: int, reserve_out: int, amount_in: int, fee_bps: int) -> int:
    """`x * y = k` with the fee off the amount in, each step rounded down; 0 where a reserve is 0."""
    if reserve_in <= 0 or reserve_out <= 0:
        return 0
    net = floor_div(amount_in * (BPS - fee_bps), BPS)
    return floor_div(net * reserve_out, reserve_in + net)


def raydium_product(reserve_in: int, reserve_out: int, amount_in: int, fee_bps: int) -> int:
    """The same as what is left of the out side: equal for real numbers, one unit more where the rounding differs."""
    if reserve_in <= 0 or reserve_out <= 0:
        return 0
    net = floor_div(amount_in * (BPS - fee_bps), BPS)
    return reserve_out - floor_div(reserve_in * reserve_out, reserve_in + net)


def _executable(row: PoolRow, sells: bool, amount_in: int) -> PoolQuote | NoQuote:
    base, quote = row.reserve_base or 0, row.reserve_quote or 0
    reserve_in, reserve_out = (base, quote) if sells else (quote, base)
    # conservative on every venue: the unit that rounding may give is not promised
    out = constant_product(reserve_in, reserve_out, amount_in, FEE_BPS[row.dex])
    real = row.real_quote if sells else row.real_base
    if out <= 0 or (real is not None and out > real):
        return NoQuote("QUOTE_UNAVAILABLE")
    return PoolQuote(row.pool_address, amount_in, out, "executable", row.seq, row.reserve_slot or 0)


def _last_trade(row: PoolRow, sells: bool, amount_in: int) -> PoolQuote | NoQuote:
    last = row.last_trade
    if last is None:
        return NoQuote("QUOTE_UNAVAILABLE")
    top, bottom = (last.sol_amount, last.token_amount) if sells else (last.token_amount, last.sol_amount)
    fee = ceil_div(amount_in * FEE_BPS.get(row.dex, 100), BPS)
    out = floor_div((amount_in - fee) * top, bottom)
    if out <= 0:
        return NoQuote("QUOTE_UNAVAILABLE")
    return PoolQuote(row.pool_address, amount_in, out, "last_trade", last.seq, last.slot)
