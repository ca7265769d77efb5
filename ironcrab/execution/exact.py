"""A plan's quote: what the venue's program would pay now, to the last unit, and how far that lags the feed.

Age counts from the feed's position, not from the pool's last change: a pool that nobody trades is as fresh as the
newest record of the feed. It grows while the feed is silent, and while a transaction that wrote what the quote reads
has not been told to its end.
"""

from msgspec import Struct

from ironcrab.dex.face import Quote
from ironcrab.dex.pumpfun import COMPLETE
from ironcrab.domain.units import BPS, Bps, Key, Millis, Raw, Seq, Slot, floor_div
from ironcrab.execution.params import EngineParams
from ironcrab.execution.refusal import Refusal, Untold
from ironcrab.execution.state import EngineState
from ironcrab.market.known import Known

MS = 1_000_000
"""Nanoseconds."""


class Fresh(Struct, frozen=True, gc=False):
    """A usable quote.

    Attributes:
        pool: the pool.
        quote: the program's own answer.
        seq: the newest record among the accounts that say so.
        slot: the slot up to which the feed had told the pool.
        age_slots: slots between that and now.
        age_ms: the same in milliseconds.
    """

    pool: Key
    quote: Quote
    seq: Seq
    slot: Slot
    age_slots: int
    age_ms: Millis

    @property
    def amount_out(self) -> Raw:
        """Raw units paid out."""
        return self.quote.amount_out

    def least(self, bps: Bps) -> Raw:
        """The least output under so much slippage, rounded down."""
        return floor_div(self.amount_out * max(BPS - bps, 0), BPS)


def exact_quote(known: Known, state: EngineState, pool: str, mint_in: str, amount: int) -> Fresh | Refusal | Untold:
    """The pool's exact quote: fresh, refused (stale, or the program itself would refuse), or not to be had."""
    found = known.pools.accounts.quote(pool, mint_in, amount)
    if found is None:
        return Untold(f"account of pool {pool}")
    quote = found.found
    if not isinstance(quote, Quote):
        if quote.missing:
            return Untold(", ".join(quote.missing[:4]))
        told = "curve complete" if quote.code == COMPLETE else f"pool={pool} {quote.reason}"
        return Refusal("QUOTE_UNAVAILABLE", told)
    if quote.partial or quote.amount_out <= 0:
        return Refusal("QUOTE_UNAVAILABLE", f"pool={pool} takes a part of amount_in={amount} only, or pays nothing")
    age_slots, age_ms = age(known, state, pool, mint_in)
    stale = too_old(age_slots, age_ms, state.params)
    if stale is not None:
        return Refusal("QUOTE_UNAVAILABLE", f"pool={pool} {stale}")
    return Fresh(pool, quote, found.seq, known.now.slot - age_slots, age_slots, age_ms)


def age(known: Known, state: EngineState, pool: str, mint_in: str) -> tuple[int, int]:
    """How far what is known of a pool lags: slots and milliseconds since the position up to which the feed told it."""
    slot, time = state.fed_slot, state.fed_ns
    staged = known.pools.accounts.behind(pool, mint_in)
    if staged is not None:
        slot, time = min(slot, staged.slot), min(time, staged.time)
    return max(known.now.slot - slot, 0), max(known.now.time - time, 0) // MS


def too_old(age_slots: int, age_ms: int, params: EngineParams) -> str | None:
    """By which numbers a quote is too old; None: it is fresh."""
    slots, millis = params.quote_max_age_slots, params.quote_max_age_ms
    if age_slots <= slots and age_ms <= millis:
        return None
    return f"quote_age={age_slots}slots/{age_ms}ms > max={slots}slots/{millis}ms"
