"""Meteora DLMM: the venue of pools whose liquidity lies in price bins, and its instructions.

Program LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo, IDL 0.12.0. Quotes rest on that program, executed; pools
with a transfer hook are refused (what a hook does is not known), limit orders and farms are quoted.
"""

from collections.abc import Mapping
from struct import pack

from ironcrab.dex.address import MEMO, TOKEN, TOKEN_2022, associated, is_key
from ironcrab.dex.base58 import key
from ironcrab.dex.bins import U64, arrays_ahead
from ironcrab.dex.dlmm_after import After
from ironcrab.dex.dlmm_parse import SWAPS, parse
from ironcrab.dex.dlmm_pool import AHEAD, INVALID_INPUT, Pool, decode
from ironcrab.dex.dlmm_state import (
    BINS,
    PROGRAM,
    Extension,
    Pair,
    bin_array_address,
    decode_extension,
    decode_pair,
    extension_address,
)
from ironcrab.dex.face import (
    Account,
    Call,
    Clock,
    Exact,
    Instruction,
    Meta,
    Parsed,
    Quote,
    Refusal,
    Transaction,
)

EVENT_AUTHORITY = "D1ZN9Wj1fRSUQfCjhvnu1hqDMT7hzjzBBpi12nVniYD6"
"""Signs the program's own event calls: the address of the seed "__event_authority"."""

_OPENING = {name: opening for opening, name in SWAPS.items()}
_NO_SLICES = bytes(4)
"""An empty RemainingAccountsInfo: no transfer hook accounts."""


class MeteoraDlmm:
    """The venue of Meteora DLMM pools."""

    id = "meteora_dlmm"
    programs: tuple[str, ...] = (PROGRAM,)
    generations: tuple[tuple[str, str], ...] = (
        ("0.12", "executed"),
        ("pre-0.12", "refused"),
    )

    def parse(self, call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
        """What this one call did (see `dlmm_parse.parse`)."""
        return parse(call, transaction)

    def needs(self, pool: str, accounts: Mapping[str, Account], mint_in: str) -> tuple[str, ...]:
        """Pool, mints, vaults, then the next `AHEAD` bin arrays in the direction of the swap."""
        found = decode(pool, accounts)
        if isinstance(found, Refusal):
            return found.missing
        return found.lacks(mint_in)

    def load(self, pool: str, accounts: Mapping[str, Account], generation: str | None) -> Pool | Refusal:
        """See `dlmm_pool.decode`. State from before 0.12, named as such, is refused: its bins hold other things."""
        if generation == "pre-0.12":
            return Refusal(None, "bins of a pool from before program 0.12 hold other fields; not quoted")
        return decode(pool, accounts)

    def quote(
        self,
        pool: str,
        accounts: Mapping[str, Account],
        *,
        mint_in: str,
        amount: int,
        exact: Exact,
        clock: Clock,
        limit: int | None,
        generation: str | None,
    ) -> Quote | Refusal:
        """See `Pool.quote`."""
        ready = self.load(pool, accounts, generation)
        if isinstance(ready, Refusal):
            return ready
        return ready.quote(mint_in=mint_in, amount=amount, exact=exact, clock=clock, limit=limit)

    def instructions(
        self,
        pool: str,
        accounts: Mapping[str, Account],
        *,
        user: str,
        mint_in: str,
        amount: int,
        other_amount: int,
        exact: Exact,
        clock: Clock,
        fallback: bool = False,
    ) -> tuple[Instruction, ...] | Refusal:
        """The newest form (`swap2`, `swap_exact_out2`) or `swap`, `swap_exact_out` of SPL Token pools only.

        Only the pool account must be known. Bin arrays follow in the order of travel: the next `AHEAD` that
        have liquidity, or as many as a quote of this swap passes, where one can be made from `accounts`.
        """
        account = accounts.get(pool)
        pair = decode_pair(account.data) if account is not None and account.owner == PROGRAM else None
        if pair is None:
            return Refusal(None, f"account {pool} is unknown or no LbPair", () if pool in accounts else (pool,))
        if max(amount, other_amount) > U64 or min(amount, other_amount) < 0:
            return Refusal(INVALID_INPUT, f"amounts {amount} and {other_amount} do not fit 64 bits")
        if not is_key(user):
            return Refusal(None, f"user {user!r} is no key")
        found = self.quote(
            pool,
            accounts,
            mint_in=mint_in,
            amount=amount,
            exact=exact,
            clock=clock,
            limit=None,
            generation=None,
        )
        last = None
        if not isinstance(found, Refusal) and isinstance(found.after, After):
            last = found.after.bins[-1] // BINS
        name = "swap_exact_out" if exact == "out" else "swap"
        first, second = (other_amount, amount) if exact == "out" else (amount, other_amount)
        extension = _extension(pool, accounts)
        metas = _metas(pool, pair, user=user, mint_in=mint_in, extended=extension is not None, fallback=fallback)
        if isinstance(metas, Refusal):
            return metas
        down = mint_in == key(pair.mint_x)
        arrays = arrays_ahead(pair, extension, down, AHEAD, last)
        metas += tuple(Meta(bin_array_address(pool, index), False, True) for index in arrays)
        opening, slices = (_OPENING[name], b"") if fallback else (_OPENING[name + "2"], _NO_SLICES)
        return (Instruction(PROGRAM, metas, opening + pack("<QQ", first, second) + slices),)

    def compute_units(self, quote: Quote) -> int:
        """Compute units of a swap: about 41,000 and 6,000 a bin were measured; a third more is asked for."""
        bins = len(quote.after.bins) if isinstance(quote.after, After) else 10
        return 60_000 + 8_000 * bins


def _extension(pool: str, accounts: Mapping[str, Account]) -> Extension | None:
    """The pool's bitmap extension where it is known to exist."""
    account = accounts.get(extension_address(pool))
    return decode_extension(account.data) if account is not None and account.owner == PROGRAM else None


def _metas(
    pool: str, pair: Pair, *, user: str, mint_in: str, extended: bool, fallback: bool
) -> tuple[Meta, ...] | Refusal:
    """The fixed accounts of a swap in their order; an account that is not given is the program itself."""
    mints = key(pair.mint_x), key(pair.mint_y)
    if mint_in not in mints:
        return Refusal(None, f"pool {pool} does not hold the mint {mint_in}")
    programs = tuple(TOKEN_2022 if flag else TOKEN for flag in (pair.program_x, pair.program_y))
    if fallback and TOKEN_2022 in programs:
        return Refusal(None, f"pool {pool} has a Token-2022 mint, which the older instruction does not take")
    held = tuple(associated(user, mint, program) for mint, program in zip(mints, programs, strict=True))
    order = held if mint_in == mints[0] else held[::-1]
    written = [key(pair.reserve_x), key(pair.reserve_y), *order]
    extension = Meta(extension_address(pool), False, True) if extended else Meta(PROGRAM, False, False)
    metas = [Meta(pool, False, True), extension, *(Meta(name, False, True) for name in written)]
    metas += [Meta(mints[0], False, False), Meta(mints[1], False, False), Meta(key(pair.oracle), False, True)]
    metas += [Meta(PROGRAM, False, False), Meta(user, True, False)]
    rest = [*programs, EVENT_AUTHORITY, PROGRAM] if fallback else [*programs, MEMO, EVENT_AUTHORITY, PROGRAM]
    return (*metas, *(Meta(name, False, False) for name in rest))


VENUE = MeteoraDlmm()
