"""The swap of a Whirlpool: the stops ahead of a price, and the loop that passes them.

Source: orca-so/whirlpools `manager/swap_manager.rs` and `util/swap_tick_sequence.rs`. Amounts are raw units
at the pool (transfer fees stand outside), square-root prices and growths Q64.64. A `Fault` carries the error
number that the program would answer with.
"""

from bisect import bisect_left, bisect_right

from msgspec import Struct, field

from ironcrab.dex.ticks import (
    ARRAY_TICKS,
    MAX_SQRT_PRICE,
    MAX_TICK,
    MIN_SQRT_PRICE,
    MIN_TICK,
    sqrt_price_at,
    swap_starts,
    tick_at,
)
from ironcrab.dex.whirlpool_state import Oracle, TickArray, Whirlpool
from ironcrab.dex.whirlpool_steps import (
    PRICE_OUT_OF_BOUNDS,
    RATE,
    TOKEN_MAX,
    U64,
    U128,
    Fault,
    crossed,
    delta_a,
    delta_b,
    step,
)
from ironcrab.dex.whirlpool_volatility import (
    INVALID_TIMESTAMP,
    Volatility,
    advance,
    begin,
    nearer,
    settled,
    total_rate,
)

NO_FIRST_ARRAY = 6023
LIMIT_DIRECTION = 6034
ZERO_AMOUNT = 6035
ARRAYS_EXHAUSTED = 6038
AMOUNT_OVERFLOW = 6039
PARTIAL_FILL = 6057

_PROTOCOL = 10_000


class Path(Struct):
    """Where a swap in one direction stops, and what it costs to pass each stop with the static fee.

    `stops` are (tick, net liquidity or None where nothing is initialised) in the order they are met;
    `unknown` is the start of the first array that is not known, if that ended the path. The lists hold
    running sums over the stops passed so far reckoned: what went in (fee included), what came out, the signed
    price. They grow on demand, so that a small swap pays for no more than it needs and a repeated one for
    nothing.
    """

    stops: list[tuple[int, int | None]]
    unknown: int | None = None
    paid: list[int] = field(default_factory=list)
    out: list[int] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    legs: list["Leg"] = field(default_factory=list)
    closed: bool = False


class Leg(Struct, frozen=True, gc=False):
    """State just after a stop was passed: price, liquidity, growth of the input, sums of fee and protocol."""

    sqrt_price: int
    liquidity: int
    growth: int
    fee: int
    protocol: int


class Filled(Struct, frozen=True, gc=False):
    """What a swap did at the pool.

    Attributes:
        amount_in: raw units that entered, swap fee included.
        amount_out: raw units that left.
        remaining: raw units of the given amount that were not used.
        fee: the swap fee in `amount_in`, LP and protocol part together.
        protocol: the protocol's part of it.
        sqrt_price: price afterwards.
        stop: current tick if the price rests at a stop of the path or never moved.
        moved: whether the price rests between stops instead.
        liquidity: active liquidity afterwards.
        growth: fee growth of the input token afterwards.
        passed: stops of the path that were passed by its running sums.
        crossed: ticks crossed after those, each with the growth at that moment.
        oracle: adaptive-fee variables afterwards, None with a static fee.
        groups: tick groups gone through, 0 with a static fee.
    """

    amount_in: int
    amount_out: int
    remaining: int
    fee: int
    protocol: int
    sqrt_price: int
    stop: int
    moved: bool
    liquidity: int
    growth: int
    passed: int
    crossed: tuple[tuple[int, int], ...]
    oracle: Oracle | None
    groups: int

    @property
    def tick(self) -> int:
        """Current tick afterwards, reckoned when asked: a quote alone does not need the logarithm."""
        return tick_at(self.sqrt_price) if self.moved else self.stop

    @property
    def ticks(self) -> int:
        """Stops passed, nearly all of them initialised ticks."""
        return self.passed + len(self.crossed)


class Course(Struct):
    """A swap under way; `moved` when the price has left the stop that `tick` was taken from."""

    price: int
    liquidity: int
    growth: int
    tick: int
    remaining: int
    other: int = 0
    fee: int = 0
    protocol: int = 0
    moved: bool = False
    crossed: list[tuple[int, int]] = field(default_factory=list)


def path_of(pool: Whirlpool, arrays: dict[int, TickArray | None], *, a_to_b: bool) -> Path:
    """The stops ahead of a pool: initialised ticks of at most three arrays, then the edge of the last one.

    Args:
        pool: the decoded pool.
        arrays: tick arrays by start; None for one that does not exist (empty), no key for an unknown one.
        a_to_b: direction.
    """
    stops: list[tuple[int, int | None]] = []
    spacing, span = pool.spacing, ARRAY_TICKS * pool.spacing
    last = None
    for start in swap_starts(pool.tick, spacing, a_to_b=a_to_b):
        if start not in arrays:
            return Path(_edge(stops, last, spacing, a_to_b=a_to_b), start)
        array = arrays[start]
        ticks = {} if array is None else array.ticks
        places = sorted(ticks, reverse=a_to_b)
        at = ((start + place * spacing, ticks[place].net) for place in places)
        stops.extend(stop for stop in at if (stop[0] <= pool.tick if a_to_b else stop[0] > pool.tick))
        last = start
        if start <= MIN_TICK if a_to_b else start + span > MAX_TICK:
            stops.append((MIN_TICK if a_to_b else MAX_TICK, None))
            return Path(stops)
    return Path(_edge(stops, last, spacing, a_to_b=a_to_b))


def _edge(
    stops: list[tuple[int, int | None]], last: int | None, spacing: int, *, a_to_b: bool
) -> list[tuple[int, int | None]]:
    """The stops with the edge of the last known array, unless a tick in its last place already ends it."""
    if last is None:
        return stops
    edge = last if a_to_b else last + ARRAY_TICKS * spacing - 1
    final = last if a_to_b else last + (ARRAY_TICKS - 1) * spacing
    return stops if stops and stops[-1][0] == final else [*stops, (edge, None)]


def fill(
    pool: Whirlpool,
    path: Path,
    oracle: Oracle | None,
    amount: int,
    *,
    exact_in: bool,
    a_to_b: bool,
    limit: int,
    now: int,
) -> Filled:
    """Runs a swap of `amount` raw units (in or out) down to a price limit (0: none) at unix second `now`.

    Raises:
        Fault: the program would fail.
    """
    bound = limit or (MIN_SQRT_PRICE if a_to_b else MAX_SQRT_PRICE)
    _gate(pool, amount, bound, now, a_to_b=a_to_b)
    volatility = None if oracle is None else begin(oracle, pool.tick, now)
    passed = 0 if oracle is not None else _passed(pool, path, amount, bound, exact_in=exact_in, a_to_b=a_to_b)
    course = _course(pool, path, amount, passed, exact_in=exact_in, a_to_b=a_to_b)
    place = passed
    while course.remaining and course.price != bound:
        if place == len(path.stops):
            raise Fault(*_ended(path))
        _travel(pool, course, volatility, path.stops[place], bound, exact_in, a_to_b)
        place += 1
    used = amount - course.remaining
    if course.remaining and not exact_in and limit == 0:
        raise Fault(PARTIAL_FILL, f"only {used} of {amount} can be paid out")
    return Filled(
        used if exact_in else course.other,
        course.other if exact_in else used,
        course.remaining,
        course.fee,
        course.protocol,
        course.price,
        course.tick,
        course.moved,
        course.liquidity,
        course.growth,
        passed,
        tuple(course.crossed),
        None if volatility is None else settled(volatility, pool.sqrt_price, course.price, now),
        0 if volatility is None else volatility.groups,
    )


def _gate(pool: Whirlpool, amount: int, bound: int, now: int, *, a_to_b: bool) -> None:
    """What the program looks at before the loop, in its order."""
    if not MIN_SQRT_PRICE <= bound <= MAX_SQRT_PRICE:
        raise Fault(PRICE_OUT_OF_BOUNDS, f"price limit {bound} lies outside the range of prices")
    if bound >= pool.sqrt_price if a_to_b else bound <= pool.sqrt_price:
        raise Fault(LIMIT_DIRECTION, f"price limit {bound} is already passed by the price {pool.sqrt_price}")
    if amount == 0:
        raise Fault(ZERO_AMOUNT, "nothing to swap")
    if now < pool.rewarded_at:
        raise Fault(INVALID_TIMESTAMP, f"second {now} is before the pool's last update {pool.rewarded_at}")


def _passed(pool: Whirlpool, path: Path, amount: int, bound: int, *, exact_in: bool, a_to_b: bool) -> int:
    """How many stops the amount passes at the static fee: the running sums below it, down to the price limit.

    A whole leg costs ceil(in * 1e6 / (1e6 - rate)), which is also the least remainder that reaches its stop,
    so that comparing sums is what the program's loop does leg by leg.
    """
    sums = path.paid if exact_in else path.out
    while not path.closed and (not sums or sums[-1] < amount):
        _extend(pool, path, a_to_b=a_to_b)
    count = bisect_left(sums, amount)
    if count < len(sums) and sums[count] == amount:
        count += 1
    return min(count, bisect_right(path.marks, -bound if a_to_b else bound))


def _extend(pool: Whirlpool, path: Path, *, a_to_b: bool) -> None:
    """Reckons one leg more; closes the path at its end, or where a leg would fail or exceed a u64."""
    place = len(path.legs)
    before = path.legs[-1] if place else None
    if before is None:
        growth = pool.growth_a if a_to_b else pool.growth_b
        before = Leg(pool.sqrt_price, pool.liquidity, growth, 0, 0)
    if place == len(path.stops):
        path.closed = True
        return
    tick, net = path.stops[place]
    price = sqrt_price_at(tick)
    try:
        took, gave = _whole(before.liquidity, before.sqrt_price, price, a_to_b=a_to_b)
        after = before.liquidity if net is None else crossed(before.liquidity, net, a_to_b=a_to_b)
    except Fault:
        path.closed = True
        return
    rate = pool.fee_rate
    fee = -(-took * rate // (RATE - rate))
    protocol = fee * pool.protocol_rate // _PROTOCOL
    growth = _grown(before.growth, fee - protocol, before.liquidity)
    path.legs.append(Leg(price, after, growth, before.fee + fee, before.protocol + protocol))
    path.paid.append((path.paid[-1] if place else 0) + took + fee)
    path.out.append((path.out[-1] if place else 0) + gave)
    path.marks.append(-price if a_to_b else price)


def _whole(liquidity: int, price: int, target: int, *, a_to_b: bool) -> tuple[int, int]:
    """Raw units in (rounded up, no fee) and out (rounded down) of a move from a price right to a stop."""
    a = delta_a(liquidity, price, target, a_to_b)
    b = delta_b(liquidity, price, target, not a_to_b)
    if a < 0 or b < 0:
        raise Fault(TOKEN_MAX, "more than a token account can hold")
    return (a, b) if a_to_b else (b, a)


def _grown(growth: int, fee: int, liquidity: int) -> int:
    return growth + (fee << 64) // liquidity & U128 if liquidity else growth


def _course(pool: Whirlpool, path: Path, amount: int, passed: int, *, exact_in: bool, a_to_b: bool) -> Course:
    """Where the loop begins: at the pool's price, or just after the stops that the running sums passed."""
    if not passed:
        growth = pool.growth_a if a_to_b else pool.growth_b
        return Course(pool.sqrt_price, pool.liquidity, growth, pool.tick, amount)
    leg, took, gave = path.legs[passed - 1], path.paid[passed - 1], path.out[passed - 1]
    remaining, other = (amount - took, gave) if exact_in else (amount - gave, took)
    _check(other)
    tick = path.stops[passed - 1][0] - a_to_b
    return Course(leg.sqrt_price, leg.liquidity, leg.growth, tick, remaining, other, leg.fee, leg.protocol)


def _travel(
    pool: Whirlpool,
    course: Course,
    volatility: Volatility | None,
    stop: tuple[int, int | None],
    bound: int,
    exact_in: bool,
    a_to_b: bool,
) -> None:
    """Goes on to the next stop, or as far as the amount or the limit allows, a tick group at a time."""
    tick, net = stop
    stop_price = sqrt_price_at(tick)
    target = max(bound, stop_price) if a_to_b else min(bound, stop_price)
    rate, near, skipped = pool.fee_rate, target, False
    while True:
        if volatility is not None:
            rate = total_rate(volatility, pool.fee_rate)
            near, skipped = nearer(volatility, target, course.liquidity, a_to_b=a_to_b)
        before = course.price
        _book(pool, course, rate, near, exact_in, a_to_b)
        if course.price == stop_price:
            if net is not None:
                course.liquidity = crossed(course.liquidity, net, a_to_b=a_to_b)
                course.crossed.append((tick, course.growth))
            course.tick, course.moved = tick - a_to_b, False
        elif course.price != before:
            course.moved = True
        if volatility is not None:
            advance(volatility, course.price, stop_price, tick, skipped=skipped, a_to_b=a_to_b)
        if not course.remaining or course.price == target:
            return


def _book(pool: Whirlpool, course: Course, rate: int, target: int, exact_in: bool, a_to_b: bool) -> None:
    """Makes one step and books its amounts and fees."""
    took, gave, reached, fee = step(course.remaining, rate, course.liquidity, course.price, target, exact_in, a_to_b)
    if exact_in:
        course.remaining -= took + fee
        course.other += gave
    else:
        course.remaining -= gave
        course.other += took + fee
    _check(course.other)
    protocol = fee * pool.protocol_rate // _PROTOCOL
    course.fee += fee
    course.protocol += protocol
    course.growth = _grown(course.growth, fee - protocol, course.liquidity)
    course.price = reached


def _check(other: int) -> None:
    if other > U64:
        raise Fault(AMOUNT_OVERFLOW, "the other amount exceeds a u64")


def _ended(path: Path) -> tuple[int, str]:
    """Error number and reason of a path that is at its end while an amount is left."""
    known = "" if path.unknown is None else f", the one that starts at tick {path.unknown} is not known"
    return ARRAYS_EXHAUSTED, f"the amount goes beyond the tick arrays{known}"
