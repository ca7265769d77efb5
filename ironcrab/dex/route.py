"""Routes: quotes of two and more hops, one after the other, as one."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from ironcrab.dex.curve import BPS
from ironcrab.dex.face import Account, Clock, Exact, Quote, Refusal
from ironcrab.dex.quoting import quote, venue_of


class Hop(Struct, frozen=True, gc=False):
    """One swap of a route: the pool, the mint paid in, the program generation (None is the newest)."""

    pool: str
    mint_in: str
    generation: str | None = None


class Route(Struct, frozen=True, gc=False):
    """A quoted route: each hop, and the whole as one quote.

    The whole's price impact compounds those of its hops; `after` holds every account that any hop changes;
    it is `partial` where a hop is, and then units of a mint between stay with the user.
    """

    whole: Quote
    hops: tuple[Quote, ...]


def quote_route(
    hops: Sequence[Hop],
    accounts: Mapping[str, Account],
    *,
    amount: int,
    exact: Exact = "in",
    clock: Clock,
) -> Route | Refusal:
    """What a user gets who takes these hops in one transaction.

    Args:
        hops: at least one; the mint that a hop pays out is the next one's `mint_in`.
        accounts: what is known, by base58 address.
        amount: raw units: paid into the first hop (`exact` "in") or wanted from the last (`exact` "out").
        exact: which end `amount` fixes. "in": each hop is quoted on the accounts as the hops before it leave
            them, for what arrived. "out": from the last hop to the first, each for what the next one costs.
        clock: chain time.

    Returns:
        the Route, or the Refusal of the first hop that refuses, naming its place and all unknown accounts.
    """
    if not hops:
        return Refusal(None, "a route needs a hop")
    pools = [hop.pool for hop in hops]
    if exact == "out" and len(dict.fromkeys(pools)) < len(pools):
        return Refusal(None, "a route that visits a pool twice has no quote for an exact output")
    state = dict(accounts)
    quotes: list[Quote] = []
    places = range(len(hops)) if exact == "in" else reversed(range(len(hops)))
    for place in places:
        hop = hops[place]
        found = quote(
            hop.pool,
            state,
            mint_in=hop.mint_in,
            amount=amount,
            exact=exact,
            clock=clock,
            generation=hop.generation,
        )
        if isinstance(found, Refusal):
            return _refused(place, found, hops, state)
        state.update(found.after)
        quotes.append(found)
        amount = found.amount_out if exact == "in" else found.amount_in
    ordered = tuple(quotes if exact == "in" else reversed(quotes))
    return Route(_whole(ordered), ordered)


def _refused(place: int, refusal: Refusal, hops: Sequence[Hop], state: Mapping[str, Account]) -> Refusal:
    """The refusal of one hop; where accounts are unknown, with those that the other hops lack too."""
    hop = hops[place]
    missing = refusal.missing
    if missing:
        missing += tuple(key for other in hops for key in _needs(other, state))
    return Refusal(
        refusal.code,
        f"hop {place + 1} of {len(hops)}, pool {hop.pool}: {refusal.reason}",
        tuple(dict.fromkeys(missing)),
    )


def _needs(hop: Hop, state: Mapping[str, Account]) -> tuple[str, ...]:
    if hop.pool not in state:
        return (hop.pool,)
    venue = venue_of(state[hop.pool].owner)
    return () if venue is None else venue.needs(hop.pool, state, hop.mint_in)


def _whole(quotes: tuple[Quote, ...]) -> Quote:
    kept = BPS
    after: dict[str, Account] = {}
    for found in quotes:
        kept = kept * (BPS - found.price_impact_bps) // BPS
        after.update(found.after)
    return Quote(
        amount_in=quotes[0].amount_in,
        amount_out=quotes[-1].amount_out,
        fees=tuple(fee for found in quotes for fee in found.fees),
        price_impact_bps=BPS - kept,
        partial=any(found.partial for found in quotes),
        after=after,
    )
