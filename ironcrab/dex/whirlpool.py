"""Orca Whirlpool, both deployments: the venue.

Parsing stands in `whirlpool_calls`, accounts in `whirlpool_state`, a decoded pool and its quotes in
`whirlpool_pool` and `whirlpool_after`, the arithmetic in `whirlpool_swap`, `whirlpool_steps`,
`whirlpool_volatility` and `ticks`.
"""

from collections.abc import Mapping

from ironcrab.dex.address import MEMO, TOKEN, associated, is_key
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
from ironcrab.dex.ticks import swap_starts
from ironcrab.dex.whirlpool_after import After
from ironcrab.dex.whirlpool_calls import discriminator, parse
from ironcrab.dex.whirlpool_pool import Pool, decode, needs
from ironcrab.dex.whirlpool_state import IMMUTABLE, PROGRAM, array_address, decode_whirlpool, oracle_address
from ironcrab.dex.whirlpool_steps import U64


class Held:
    """A pool that cannot be decoded as a whole: once for each mint paid in, for a direction may lack nothing."""

    def __init__(self, pool: str, accounts: Mapping[str, Account]) -> None:
        self.pool = pool
        self.accounts = accounts
        self.known: dict[str, Pool | Refusal] = {}

    def quote(
        self, *, mint_in: str, amount: int, exact: Exact, clock: Clock, limit: int | None = None
    ) -> Quote | Refusal:
        """See `Orca.quote`."""
        known = self.known.get(mint_in)
        if known is None:
            known = self.known[mint_in] = decode(self.pool, self.accounts, mint_in)
        if type(known) is Refusal:
            return known
        return known.quote(mint_in=mint_in, amount=amount, exact=exact, clock=clock, limit=limit)


class Orca:
    """The venue `orca`."""

    id = "orca"
    programs: tuple[str, ...] = (PROGRAM, IMMUTABLE)
    generations: tuple[tuple[str, str], ...] = (("adaptive", "executed"),)

    def parse(self, call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
        """Swaps (two for a two-hop call), a pool creation or liquidity changes that this call made."""
        return parse(call, transaction)

    def needs(self, pool: str, accounts: Mapping[str, Account], mint_in: str) -> tuple[str, ...]:
        """The pool; then mints, oracle (of a pool with adaptive fees), tick arrays ahead. Never vaults."""
        return needs(pool, accounts, mint_in)

    def load(self, pool: str, accounts: Mapping[str, Account], generation: str | None) -> "Pool | Held | Refusal":
        """The pool decoded for both directions; where that fails, each direction at its first quote."""
        del generation  # one generation is quoted
        known = accounts.get(pool)
        if known is None:
            return Refusal(None, f"pool account {pool} is unknown", (pool,))
        state = decode_whirlpool(known)
        if isinstance(state, Refusal):
            return state
        whole = decode(pool, accounts)
        return Held(pool, accounts) if isinstance(whole, Refusal) else whole

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
        """What the program would pay. `limit` is a square-root price, Q64.64; there is one generation."""
        del generation  # one generation is quoted
        known = decode(pool, accounts, mint_in)
        if isinstance(known, Refusal):
            return known
        return known.quote(mint_in=mint_in, amount=amount, exact=exact, clock=clock, limit=limit)

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
        """`swap_v2`, or `swap` as the fallback (SPL Token mints only), without a price limit.

        The tick arrays are the three that the swap can use from the present price.
        """
        del clock  # nothing in the instruction depends on time
        known = decode(pool, accounts, mint_in)
        if isinstance(known, Refusal):
            return known
        a_to_b = mint_in == known.state.mint_a
        if not a_to_b and mint_in != known.state.mint_b:
            return Refusal(None, f"pool {pool} does not hold the mint {mint_in}")
        barred = next((each for each in known.barred if each is not None), None)
        if barred is not None:
            return barred
        if not is_key(user) or not 0 <= amount <= U64 or not 0 <= other_amount <= U64:
            return Refusal(None, f"user {user} is no key, or {amount} or {other_amount} no u64")
        programs = tuple(TOKEN if mint is None else mint.program for mint in known.mints)
        if fallback and programs != (TOKEN, TOKEN):
            return Refusal(None, "the instruction swap moves SPL Token mints only; use swap_v2")
        numbers = amount.to_bytes(8, "little") + other_amount.to_bytes(8, "little") + bytes(16)
        data = numbers + bytes((exact == "in", a_to_b))
        metas = _swap_metas(known, user, a_to_b) if fallback else _swap_v2_metas(known, user, a_to_b, programs)
        head, tail = (_SWAP, b"") if fallback else (_SWAP_V2, b"\0")
        return (Instruction(known.program, metas, head + data + tail),)

    def compute_units(self, quote: Quote) -> int:
        """Units with headroom: a base, and a part for each initialised tick and each tick group passed."""
        after = quote.after
        passed = after.filled.ticks + after.filled.groups if isinstance(after, After) else _MANY
        return min(_MOST_UNITS, 90_000 + 9_500 * passed)


VENUE = Orca()

_MANY = 30
_MOST_UNITS = 1_400_000
"""Compute units that a transaction may use."""
_SWAP = discriminator("swap")
_SWAP_V2 = discriminator("swap_v2")


def _swap_metas(pool: Pool, user: str, a_to_b: bool) -> tuple[Meta, ...]:
    """Accounts of `swap` in order."""
    state = pool.state
    return (
        Meta(TOKEN, False, False),
        Meta(user, True, False),
        _writable(pool.address),
        _writable(associated(user, state.mint_a, TOKEN)),
        _writable(state.vault_a),
        _writable(associated(user, state.mint_b, TOKEN)),
        _writable(state.vault_b),
        *_array_metas(pool, a_to_b),
        _writable(oracle_address(pool.program, pool.address)),
    )


def _swap_v2_metas(pool: Pool, user: str, a_to_b: bool, programs: tuple[str, ...]) -> tuple[Meta, ...]:
    """Accounts of `swap_v2` in order."""
    state = pool.state
    return (
        Meta(programs[0], False, False),
        Meta(programs[1], False, False),
        Meta(MEMO, False, False),
        Meta(user, True, False),
        _writable(pool.address),
        Meta(state.mint_a, False, False),
        Meta(state.mint_b, False, False),
        _writable(associated(user, state.mint_a, programs[0])),
        _writable(state.vault_a),
        _writable(associated(user, state.mint_b, programs[1])),
        _writable(state.vault_b),
        *_array_metas(pool, a_to_b),
        _writable(oracle_address(pool.program, pool.address)),
    )


def _array_metas(pool: Pool, a_to_b: bool) -> tuple[Meta, ...]:
    """Exactly three tick arrays: the program drops duplicates, so the last one is repeated at a range end."""
    starts = swap_starts(pool.state.tick, pool.state.spacing, a_to_b=a_to_b)
    addresses = [array_address(pool.program, pool.address, start) for start in starts]
    return tuple(_writable(address) for address in (addresses + addresses[-1:] * 3)[:3])


def _writable(address: str) -> Meta:
    return Meta(address, False, True)
