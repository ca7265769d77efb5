"""Pairs: two pools of one mint on different venues, bought on one and sold on the other."""

from collections.abc import Sequence

from msgspec import Struct

from ironcrab.domain.units import BPS, SOL_MINT
from ironcrab.market.pools import PoolRow
from ironcrab.strategy.arb_legs import DEXES, STALE, Leg, Number, Quoter, Trip, price_of

Finding = tuple[str, tuple[Number, ...]]
"""A code and the numbers behind it."""


class Missed(Struct):
    """Why the pairs that were tried did not fit; slot distance is that of the nearest one."""

    stale: int = 0
    unavailable: int = 0
    other_kind: int = 0
    slot_delta: int | None = None


def candidates_of(rows: Sequence[PoolRow]) -> list[PoolRow]:
    """The pools of a mint that a pair can be made of, by address."""
    fit = [row for row in rows if row.quote_mint == SOL_MINT and row.dex in DEXES]
    return sorted(fit, key=lambda row: row.pool_address)


def gap_bps(rows: Sequence[PoolRow]) -> int | None:
    """How far the dearest last known price lies above the cheapest, in bps; None: a price is unknown, or it is one.

    The cheap look before anything is quoted: a pool's marginal price bounds what any size gets there.
    """
    cheapest = dearest = None
    dexes: dict[str, None] = {}
    for row in rows:
        if row.quote_mint != SOL_MINT or row.dex not in DEXES:
            continue
        dexes[row.dex] = None
        price = price_of(row)
        if price is None:
            return None
        base, quote = price
        if cheapest is None or quote * cheapest[0] < cheapest[1] * base:
            cheapest = price
        if dearest is None or quote * dearest[0] > dearest[1] * base:
            dearest = price
    if cheapest is None or dearest is None or len(dexes) < 2:
        return None
    return dearest[1] * cheapest[0] * BPS // (dearest[0] * cheapest[1]) - BPS


def best_pair(quoter: Quoter, rows: Sequence[PoolRow], probe: int, max_slot_delta: int) -> Trip | Finding:
    """The pair that gives most back for `probe` lamports, or why there is none.

    Each venue stands with one pool: of its fresh quotes the one of the newest slot, then of the greatest liquidity,
    then of the lowest address. A tie between pairs goes to the first by address of the buying pool.
    """
    candidates = candidates_of(rows)
    dexes = dict.fromkeys(row.dex for row in candidates)
    if len(dexes) < 2:
        return "ARB_INSUFFICIENT_POOLS", (("pools", len(candidates), 2), ("venues", len(dexes), 2))
    missed = Missed()
    buys = _one_a_venue(quoter, candidates, probe, missed)
    best: Trip | None = None
    # a pool never pays less for more: once a pair gives less than the best one, no smaller purchase has to be tried
    largest = sorted(buys, key=lambda buy: -buy.amount_out)
    for seller in buys:
        for buy in largest:
            if seller.row.dex == buy.row.dex:
                continue
            trip = _pair(quoter, buy, seller.row, max_slot_delta, missed)
            if trip is None:
                continue
            if best is not None and trip.gross < best.gross:
                break
            if best is None or _order(trip) < _order(best):
                best = trip
    return best if best is not None else _why_none(missed, len(buys), max_slot_delta)


def _order(trip: Trip) -> tuple[int, str, str]:
    """Pairs from the best one on."""
    buy, sell = trip.legs
    return -trip.gross, buy.row.pool_address, sell.row.pool_address


def _one_a_venue(quoter: Quoter, candidates: Sequence[PoolRow], probe: int, missed: Missed) -> list[Leg]:
    """The buying leg of each venue that has a fresh quote, by pool address."""
    chosen: dict[str, Leg] = {}
    for row in candidates:
        leg = quoter.leg(row, SOL_MINT, probe)
        if isinstance(leg, str):
            missed.stale += leg == STALE
            missed.unavailable += leg != STALE
            continue
        before = chosen.get(row.dex)
        if before is None or _rank(leg) > _rank(before):
            chosen[row.dex] = leg
    return sorted(chosen.values(), key=lambda leg: leg.row.pool_address)


def _rank(leg: Leg) -> tuple[int, int]:
    return leg.slot, leg.row.liquidity or 0


def _pair(quoter: Quoter, buy: Leg, seller: PoolRow, max_slot_delta: int, missed: Missed) -> Trip | None:
    sell = quoter.leg(seller, buy.mint_out, buy.amount_out)
    if isinstance(sell, str):
        missed.stale += sell == STALE
        missed.unavailable += sell != STALE
        return None
    if sell.kind != buy.kind:
        missed.other_kind += 1
        return None
    trip = Trip((buy, sell))
    delta = trip.slot_delta
    if max_slot_delta and delta > max_slot_delta:
        missed.slot_delta = delta if missed.slot_delta is None else min(missed.slot_delta, delta)
        return None
    return trip


def _why_none(missed: Missed, venues: int, max_slot_delta: int) -> Finding:
    """The reason that came furthest."""
    if missed.slot_delta is not None:
        return "ARB_SLOT_DELTA_EXCEEDED", (("slot_delta", missed.slot_delta, max_slot_delta),)
    if missed.other_kind:
        return "ARB_INCOMPATIBLE_QUOTE_KIND", (("pairs", missed.other_kind, None),)
    if missed.stale:
        return STALE, (("stale_quotes", missed.stale, None), ("venues", venues, 2))
    return "ARB_INSUFFICIENT_POOLS", (("venues_with_quote", venues, 2), ("missing_quotes", missed.unavailable, None))
