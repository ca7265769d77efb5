"""The one public quote function, and the tuple of venues that stands behind it."""

from collections.abc import Mapping

from ironcrab.dex import dlmm, pumpfun, pumpswap, raydium, raydium_cpmm, whirlpool
from ironcrab.dex.face import Account, Clock, Exact, Quote, Refusal, Venue

VENUES: tuple[Venue, ...] = (
    raydium.VENUE,
    raydium_cpmm.VENUE,
    whirlpool.VENUE,
    dlmm.VENUE,
    pumpfun.VENUE,
    pumpswap.VENUE,
)
"""Every venue, written by hand. Order is the order of listings."""


def venue_of(program: str) -> Venue | None:
    """The venue whose program id this is, or None."""
    return next((venue for venue in VENUES if program in venue.programs), None)


def quote(
    pool: str,
    accounts: Mapping[str, Account],
    *,
    mint_in: str,
    amount: int,
    exact: Exact = "in",
    clock: Clock,
    limit: int | None = None,
    generation: str | None = None,
) -> Quote | Refusal:
    """What the on-chain program would pay for this swap, to the last unit, or why it would refuse.

    Args:
        pool: base58 address of the pool account.
        accounts: what is known, by base58 address; an address that is no key here is unknown.
        mint_in: base58 mint that the user pays in.
        amount: raw units: paid in (`exact` "in") or wanted out (`exact` "out").
        exact: which side `amount` fixes.
        clock: chain time the swap is quoted for.
        limit: the venue's own price limit where it has one (Whirlpool: sqrt price, Q64.64).
        generation: program generation; None is the newest.

    Returns:
        a Quote, or a Refusal that names the program's error number and the unknown addresses.
    """
    if pool not in accounts:
        return Refusal(None, f"pool account {pool} is unknown", (pool,))
    venue = venue_of(accounts[pool].owner)
    if venue is None:
        return Refusal(None, f"no venue is known for the owner {accounts[pool].owner} of {pool}")
    if generation is not None and generation not in (name for name, _ in venue.generations):
        return Refusal(None, f"venue {venue.id} has no generation {generation!r}")
    return venue.quote(
        pool,
        accounts,
        mint_in=mint_in,
        amount=amount,
        exact=exact,
        clock=clock,
        limit=limit,
        generation=generation,
    )
