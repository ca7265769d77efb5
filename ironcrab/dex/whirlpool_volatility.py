"""The adaptive fee of a Whirlpool while a swap runs: volatility by tick groups, as the oracle keeps it.

Sources: orca-so/whirlpools `manager/fee_rate_manager.rs` and `state/oracle.rs`. Fee rates in 1e-6, volatility
scaled by 10,000, prices Q64.64, times in unix seconds.
"""

from msgspec import Struct
from msgspec.structs import replace

from ironcrab.dex.ticks import MAX_TICK, MIN_TICK, sqrt_price_at, tick_at
from ironcrab.dex.whirlpool_state import Oracle
from ironcrab.dex.whirlpool_steps import Fault

INVALID_TIMESTAMP = 6022

_VOLATILITY = 10_000
_REDUCTION = 10_000
_CONTROL = 100_000
_FEE_LIMIT = 100_000
_REFERENCE_AGE = 3_600
_MOST_GROUPS = 1_000
"""Tick groups after which a swap is given up: each takes about 8,000 compute units of 1.4 million."""


class Volatility(Struct):
    """The adaptive fee while a swap runs: variables of the oracle, and the tick group it stands in.

    `low` and `high` are (group, price) of the borders beyond which volatility is saturated; None where they
    lie outside the tick range.
    """

    oracle: Oracle
    reference: int
    group_reference: int
    referenced_at: int
    accumulated: int
    group: int
    low: tuple[int, int] | None
    high: tuple[int, int] | None
    groups: int = 0


def begin(oracle: Oracle, tick: int, now: int) -> Volatility:
    """The adaptive fee as a swap begins: the references, refreshed by age (`AdaptiveFeeVariables`)."""
    group = tick // oracle.group_size
    latest = max(oracle.referenced_at, oracle.major_at)
    if now < latest:
        raise Fault(INVALID_TIMESTAMP, f"second {now} is before the oracle's last update {latest}")
    elapsed = now - latest
    reference, home, at = oracle.volatility_reference, oracle.group_reference, oracle.referenced_at
    if now - oracle.referenced_at > _REFERENCE_AGE:
        reference, home, at = 0, group, now
    elif elapsed >= oracle.filter_period:
        decayed = oracle.volatility * oracle.reduction // _REDUCTION
        reference, home, at = (decayed if elapsed < oracle.decay_period else 0), group, now
    if reference > oracle.max_volatility:
        raise Fault(None, f"volatility reference {reference} is above its maximum {oracle.max_volatility}")
    reach = -(-(oracle.max_volatility - reference) // _VOLATILITY)
    size = oracle.group_size
    low, high = (home - reach) * size, (home + reach) * size + size
    return Volatility(
        oracle=oracle,
        reference=reference,
        group_reference=home,
        referenced_at=at,
        accumulated=oracle.volatility,
        group=group,
        low=(home - reach, sqrt_price_at(low)) if low > MIN_TICK else None,
        high=(home + reach, sqrt_price_at(high)) if high < MAX_TICK else None,
    )


def _accumulate(volatility: Volatility) -> None:
    distance = abs(volatility.group_reference - volatility.group)
    volatility.accumulated = min(volatility.reference + distance * _VOLATILITY, volatility.oracle.max_volatility)


def total_rate(volatility: Volatility, static: int) -> int:
    """The total fee rate in the group the swap stands in (capped at 10 %)."""
    _accumulate(volatility)
    oracle = volatility.oracle
    crossed = volatility.accumulated * oracle.group_size
    adaptive = -(-oracle.control * crossed * crossed // (_CONTROL * _VOLATILITY * _VOLATILITY))
    return min(static + min(adaptive, _FEE_LIMIT), _FEE_LIMIT)


def nearer(volatility: Volatility, target: int, liquidity: int, *, a_to_b: bool) -> tuple[int, bool]:
    """The nearer of the target and the border of this tick group; True where groups need no subdivision.

    They need none without a control factor or liquidity, and beyond the borders where volatility is
    saturated.
    """
    oracle, group = volatility.oracle, volatility.group
    if oracle.control == 0 or liquidity == 0:
        return target, True
    if volatility.low is not None and group < volatility.low[0]:
        return (target if a_to_b else min(target, volatility.low[1])), True
    if volatility.high is not None and group > volatility.high[0]:
        return (max(target, volatility.high[1]) if a_to_b else target), True
    border = group * oracle.group_size + (0 if a_to_b else oracle.group_size)
    price = sqrt_price_at(max(MIN_TICK, min(MAX_TICK, border)))
    return (max(target, price) if a_to_b else min(target, price)), False


def advance(volatility: Volatility, price: int, stop_price: int, stop: int, *, skipped: bool, a_to_b: bool) -> None:
    """Moves on by one tick group; after a skip, first to the last group that was traversed."""
    if skipped:
        size = volatility.oracle.group_size
        tick = stop if price == stop_price else tick_at(price)
        border = tick % size == 0 and (price == stop_price or price == sqrt_price_at(tick))
        last = tick // size - 1 if border and not a_to_b else tick // size
        if last < volatility.group if a_to_b else last > volatility.group:
            volatility.group = last
            _accumulate(volatility)
    volatility.group += -1 if a_to_b else 1
    volatility.groups += 1
    if volatility.groups > _MOST_GROUPS:
        raise Fault(None, f"the swap goes through more than {_MOST_GROUPS} tick groups")


def settled(volatility: Volatility, before: int, after: int, now: int) -> Oracle:
    """The oracle's variables after the swap; a move of the threshold or more is a major swap."""
    low, high = (before, after) if before < after else (after, before)
    major = high >= low * sqrt_price_at(volatility.oracle.major_ticks) >> 64
    return replace(
        volatility.oracle,
        referenced_at=volatility.referenced_at,
        major_at=now if major else volatility.oracle.major_at,
        volatility_reference=volatility.reference,
        group_reference=volatility.group_reference,
        volatility=volatility.accumulated,
    )
