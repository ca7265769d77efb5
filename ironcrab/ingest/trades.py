"""What a venue read from a call -> market events: which mint is the quote, which way is a buy."""

from ironcrab.dex import base58
from ironcrab.dex.face import Created, Fee, Liquidity, Migrated, Parsed, Swap, TokenBalance, Transaction
from ironcrab.domain.event import Event
from ironcrab.domain.market import (
    BondingCurveProgress,
    DexPoolAccounts,
    LiquidityRemoved,
    PoolCreated,
    PoolStateUpdate,
    Trade,
)
from ironcrab.domain.units import BPS, LAMPORTS_PER_SOL, SOL_MINT, USDC_MINT, USDT_MINT
from ironcrab.ingest.counts import Counts, count

QUOTES = (SOL_MINT, USDC_MINT, USDT_MINT)
"""Mints that are the quote side wherever they stand, the first one first."""
POOLS_KEPT = 65_536
"""Pools remembered as told."""
_U64 = 2**64


def quote_of(mint_a: str, mint_b: str) -> str:
    """The quote mint of a pool, given its mints in the venue's order: WSOL, else USDC, else USDT, else the second."""
    return next((quote for quote in QUOTES if quote in (mint_a, mint_b)), mint_b)


def sol_text(lamports: int) -> str:
    """Lamports as canonical decimal text in SOL, without trailing zeros."""
    whole, rest = divmod(lamports, LAMPORTS_PER_SOL)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")


class Place:
    """Where events of one call come from: venue's dex name, transaction, its slot (None not told), its index."""

    __slots__ = ("dex", "index", "slot", "transaction")

    def __init__(self, dex: str, transaction: Transaction, index: int | None) -> None:
        self.dex = dex
        self.transaction = transaction
        self.index = index
        self.slot = transaction.slot or None


def events_of(parsed: Parsed, place: Place, met: dict[str, None], counts: Counts) -> list[Event]:
    """The market events of one thing that a venue read.

    Args:
        parsed: what the call did.
        place: dex, transaction and index.
        met: pools whose accounts were told before; those told now are added, the oldest leave beyond `POOLS_KEPT`.
        counts: where to count `trade_without_decimals` (no balance names the mint), `trade_absurd` (amounts or
            mints that cannot be).
    """
    if isinstance(parsed, Swap):
        return _trade(parsed, place, met, counts)
    if isinstance(parsed, Created):
        return _created(parsed, place)
    if isinstance(parsed, Migrated):
        return [BondingCurveProgress(parsed.mint, parsed.pool, BPS, complete=True, slot=place.slot)]
    return [] if parsed.added else _removed(parsed, place)


def _trade(swap: Swap, place: Place, met: dict[str, None], counts: Counts) -> list[Event]:
    transaction = place.transaction
    quote = _quote_side(swap)
    is_buy = swap.mint_in == quote
    mint = swap.mint_out if is_buy else swap.mint_in
    if (
        quote not in (swap.mint_in, swap.mint_out)
        or mint == quote
        or not (0 <= swap.amount_in < _U64 and 0 <= swap.amount_out < _U64)
    ):
        count(counts, "trade_absurd")
        return []
    row = _balance_of(mint, transaction)
    if row is None:
        count(counts, "trade_without_decimals")
        return []
    trade = Trade(
        pool_address=swap.pool,
        mint=mint,
        trader=swap.trader,
        is_buy=is_buy,
        sol_amount=swap.amount_in if is_buy else swap.amount_out,
        token_amount=swap.amount_out if is_buy else swap.amount_in,
        token_decimals=row.decimals,
        dex=place.dex,
        quote_mint=quote,
        signature=transaction.signature,
        creator=swap.creator,
        token_program=row.program or None,
        slot=place.slot,
        index=place.index,
        position=swap.position,
        lp_fee=_fee(swap.fees, "lp"),
        protocol_fee=_fee(swap.fees, "protocol"),
        creator_fee=_fee(swap.fees, "creator"),
    )
    return [*_accounts(swap, trade, met), trade, *_state(swap, trade)]


def _accounts(swap: Swap, trade: Trade, met: dict[str, None]) -> list[Event]:
    """The accounts that swaps on this pool name, the first time that a call tells them."""
    if not swap.accounts or swap.pool in met:
        return []
    met[swap.pool] = None
    if len(met) > POOLS_KEPT:
        del met[next(iter(met))]
    base, quote = trade.mint, trade.quote_mint
    return [DexPoolAccounts(trade.dex, swap.pool, base, quote, swap.accounts, slot=trade.slot)]


def _quote_side(swap: Swap) -> str:
    """The quote mint; where the venue tells no second mint, it sorts its mints by their bytes."""
    both = (swap.mint_in, swap.mint_out)
    usual = next((quote for quote in QUOTES if quote in both), None)
    return usual or swap.mint_b or max(both, key=base58.decode)


def _state(swap: Swap, trade: Trade) -> list[Event]:
    """The pool's reserves after the swap, where the venue knows both."""
    if swap.reserve_in is None or swap.reserve_out is None or trade.slot is None:
        return []
    if not (0 <= swap.reserve_in < _U64 and 0 <= swap.reserve_out < _U64):
        return []
    state = PoolStateUpdate(
        pool_address=swap.pool,
        dex=trade.dex,
        reserve_base=swap.reserve_out if trade.is_buy else swap.reserve_in,
        reserve_quote=swap.reserve_in if trade.is_buy else swap.reserve_out,
        base_mint=trade.mint,
        quote_mint=trade.quote_mint,
        update_slot=trade.slot,
        slot=trade.slot,
    )
    return [state]


def _created(created: Created, place: Place) -> list[Event]:
    quote = quote_of(created.mint_a, created.mint_b)
    base = created.mint_b if quote == created.mint_a else created.mint_a
    paid = created.amount_a if quote == created.mint_a else created.amount_b
    transaction = place.transaction
    pool = PoolCreated(
        pool_address=created.pool,
        base_mint=base,
        quote_mint=quote,
        dex=place.dex,
        initial_liquidity_sol=sol_text(paid) if quote == SOL_MINT else None,
        slot=place.slot,
        signature=transaction.signature,
        index=place.index,
        position=created.position,
        creator=created.creator or None,
    )
    if not created.accounts:
        return [pool]
    accounts = DexPoolAccounts(place.dex, created.pool, base, quote, created.accounts, slot=place.slot)
    return [pool, accounts]


def _removed(removed: Liquidity, place: Place) -> list[Event]:
    quote = quote_of(removed.mint_a, removed.mint_b)
    turned = quote == removed.mint_a
    event = LiquidityRemoved(
        pool_address=removed.pool,
        mint=removed.mint_b if turned else removed.mint_a,
        sol_amount=removed.amount_a if turned else removed.amount_b,
        token_amount=removed.amount_b if turned else removed.amount_a,
        signature=place.transaction.signature,
        slot=place.slot,
        index=place.index,
        position=removed.position,
    )
    return [event]


def _balance_of(mint: str, transaction: Transaction) -> TokenBalance | None:
    """Any token account of the transaction that holds this mint."""
    return next((row for row in transaction.balances.values() if row.mint == mint), None)


def _fee(fees: tuple[Fee, ...], name: str) -> int | None:
    """Sum of the fees of one name; None where the venue does not tell it."""
    told = [fee.amount for fee in fees if fee.name == name]
    return sum(told) if told else None
