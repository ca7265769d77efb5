"""Landing: in how many slots a sent transaction lands, or that it never does. Drawn, never random.

Each draw hashes (seed, what is sent, k): k 0 asks whether the transaction is lost, k 1 how long it takes. What is sent
is told by the market (slot, pool, how many were sent there in that slot), not by seqs: other parameters shift those,
and the same trade then has the same fate in every row of a sweep and in a branch.
"""

from typing import Literal

from blake3 import blake3
from msgspec import Struct

from ironcrab.domain.market import PriorityFeePercentiles

Latency = Literal["fixed", "measured", "by_fee"]
FEE_STEPS = 5
"""Latencies by fee: at or above p90, p75, p50, p25, and below."""


class Landing(Struct, frozen=True, gc=False):
    """Slots from the ask to the landing, or why the transaction never lands (then `slots` is when that is known)."""

    slots: int
    lost: str | None = None


def draw(seed: int, sent: str, k: int, below: int) -> int:
    """A number in 0..below-1 that follows from seed, what is sent and k alone, evenly spread."""
    digest = blake3(f"ironcrab paper {seed} {sent} {k}".encode()).digest(length=16)
    return int.from_bytes(digest, "big") * below >> 128


def by_fee(slots: tuple[int, ...], fee: int, seen: PriorityFeePercentiles) -> int:
    """Slots of the highest percentile that the fee (micro-lamports per cu) reaches."""
    steps = (seen.p90, seen.p75, seen.p50, seen.p25)
    reached = next((place for place, step in enumerate(steps) if fee >= step), FEE_STEPS - 1)
    return slots[reached]
