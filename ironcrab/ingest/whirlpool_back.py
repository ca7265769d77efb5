"""A Whirlpool pool backwards through a day: from its state at the end to the prices that the day can have begun with.

Known are every successful instruction of the day with its token transfers, and all accounts at its end; not known are
the prices between, and the ranges of positions closed on the day.

- A liquidity change is undone by its range. That of a closed position is the one, within the tick arrays that the
  instruction names, whose amounts at the price of the moment are those that were transferred.
- A swap is undone by the prices before it from which the swap takes and pays the recorded amounts and ends where the
  later ones begin. All three are monotone in the price before, so that these prices are one interval.

Amounts are raw units, prices square roots in Q64.64, as the program holds them (orca-so/whirlpools,
`state/whirlpool.rs`).
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from ironcrab.dex.ticks import (
    MAX_SQRT_PRICE,
    MAX_TICK,
    MIN_SQRT_PRICE,
    MIN_TICK,
    array_start,
    sqrt_price_at,
    tick_at,
)
from ironcrab.dex.whirlpool_state import PROGRAM, Tick, TickArray, Whirlpool, array_address
from ironcrab.dex.whirlpool_steps import Fault, delta_a, delta_b
from ironcrab.dex.whirlpool_swap import Path, fill

Range = tuple[int, int]
"""Lower and upper tick of a position."""
WIDEST = 1 << 100
"""Prices are looked for no farther than this from a guess."""


class Moved(Struct, frozen=True, gc=False):
    """A swap or a liquidity change as it happened.

    Attributes:
        slot: of its block.
        index: the transaction's place in the block.
        time: unix seconds of the block.
        kind: what it was.
        amounts: raw units transferred: of a swap in and out, of a change A and B.
        amount: of a swap the amount it names, of a change the liquidity.
        exact_in: of a swap whether it names what goes in.
        a_to_b: of a swap its direction.
        limit: of a swap its price limit.
        position: of a change the position's address.
        arrays: of a change the tick arrays of its lower and upper tick.
    """

    slot: int
    index: int
    time: int
    kind: Literal["swap", "increase", "decrease"]
    amounts: tuple[int, int]
    amount: int
    exact_in: bool = True
    a_to_b: bool = True
    limit: int = 0
    position: str = ""
    arrays: tuple[str, str] = ("", "")

    @property
    def liquidity(self) -> int:
        """By how much a change moved the liquidity of its range."""
        return self.amount if self.kind == "increase" else -self.amount


class Ladder(Struct):
    """A pool with the net liquidity of its ticks, as it stands at some moment of the day.

    Attributes:
        address: the pool.
        state: its account at the end of the day; what does not move a price is taken from it.
        nets: net liquidity by tick.
        gross: liquidity of all positions that begin or end at a tick; above zero where the tick is initialised.
        drift: by how much the pool's liquidity lies off the sum of its ticks (two pools of 2022 do).
        order: initialised ticks, ascending; None: to be sorted again.
        sums: liquidity below the first of them, and above each.
    """

    address: str
    state: Whirlpool
    nets: dict[int, int]
    gross: dict[int, int]
    drift: int = 0
    order: list[int] | None = None
    sums: list[int] = field(default_factory=list)

    def settle(self) -> None:
        """Measure the drift, once all ticks are told."""
        self.drift = self.state.liquidity - self.liquidity(self.state.sqrt_price)

    def ticks(self) -> list[int]:
        """Initialised ticks, ascending."""
        if self.order is None:
            self.order = sorted(tick for tick, gross in self.gross.items() if gross)
            self.sums = [0]
            for tick in self.order:
                self.sums.append(self.sums[-1] + self.nets[tick])
        return self.order

    def liquidity(self, price: int) -> int:
        """Active liquidity at a price."""
        place = bisect_right(self.ticks(), tick_at(price))
        return self.sums[place] + self.drift

    def change(self, reach: Range, liquidity: int) -> None:
        """Add liquidity to a range (or, negative, take it away)."""
        lower, upper = reach
        self.nets[lower] = self.nets.get(lower, 0) + liquidity
        self.nets[upper] = self.nets.get(upper, 0) - liquidity
        for tick in reach:
            self.gross[tick] = self.gross.get(tick, 0) + liquidity
        self.order = None

    def arrays(self) -> dict[int, TickArray]:
        """The tick arrays with initialised ticks, by start; growth of fees and rewards is not known and zero."""
        made: dict[int, TickArray] = {}
        for tick in self.ticks():
            start = array_start(tick, self.state.spacing)
            array = made.setdefault(start, TickArray(start, self.address, {}))
            here = Tick(self.nets.get(tick, 0), self.gross[tick], 0, 0, (0, 0, 0))
            array.ticks[(tick - start) // self.state.spacing] = here
        return made

    def at(self, price: int) -> Whirlpool:
        """The pool's state at another price."""
        return replace(
            self.state, sqrt_price=price, tick=tick_at(price), liquidity=self.liquidity(price), rewarded_at=0
        )

    def ends(self, price: int, swap: Moved) -> tuple[int, int, int] | None:
        """Price after, amounts in and out of a swap from a price; None where the program would fail.

        The path goes on over all ticks: the real swap had those that it needed.
        """
        state, ticks = self.at(price), self.ticks()
        place = bisect_right(ticks, state.tick)
        ahead = ticks[:place][::-1] if swap.a_to_b else ticks[place:]
        stops: list[tuple[int, int | None]] = [(tick, self.nets[tick]) for tick in ahead]
        path = Path([*stops, (MIN_TICK if swap.a_to_b else MAX_TICK, None)])
        try:
            filled = fill(
                state,
                path,
                None,
                swap.amount,
                exact_in=swap.exact_in,
                a_to_b=swap.a_to_b,
                limit=swap.limit,
                now=swap.time,
            )
        except Fault:
            return None
        return filled.sqrt_price, filled.amount_in, filled.amount_out


def rewind(pool: Ladder, moves: Sequence[Moved], ranges: dict[str, Range]) -> Range | None:
    """Undo a day.

    Args:
        pool: as it stands at the end; it stands as in the morning afterwards.
        moves: what happened, in order.
        ranges: ranges of positions by address; those that follow are added.

    Returns:
        Lowest and highest price of the morning that lead to all recorded amounts; None where there is none, or where
        the range of a position stays open.
    """
    low = high = pool.state.sqrt_price
    for move in reversed(moves):
        if move.kind == "swap":
            found = before(pool, move, low, high)
            if found is None:
                return None
            low, high = found
            continue
        reach = ranges.get(move.position) or _reach(pool, move, low)
        if reach is None:
            return None
        ranges[move.position] = reach
        pool.change(reach, -move.liquidity)
    return low, high


def before(pool: Ladder, swap: Moved, low: int, high: int) -> Range | None:
    """The prices before a swap from which it ends within [low, high] with the recorded amounts."""

    def side(price: int) -> int:
        """-1 where a price before is too low, 1 where too high, 0 where it fits."""
        if not MIN_SQRT_PRICE <= price <= MAX_SQRT_PRICE:
            return -1 if price < MIN_SQRT_PRICE else 1
        ended = pool.ends(price, swap)
        if ended is None:
            return -1 if swap.a_to_b else 1
        after, paid, got = ended
        if after != min(max(after, low), high):
            return -1 if after < low else 1
        if paid != swap.amounts[0]:
            return 1 if (paid > swap.amounts[0]) == swap.a_to_b else -1
        if got != swap.amounts[1]:
            return 1 if (got > swap.amounts[1]) == swap.a_to_b else -1
        return 0

    inside = _meet(side, _guess(pool, swap, (low + high) // 2))
    if inside is None:
        return None
    return _border(side, inside, -1), _border(side, inside, 1)


def _guess(pool: Ladder, swap: Moved, price: int) -> int:
    """The price before a swap, if no tick was crossed."""
    liquidity = pool.liquidity(price)
    if liquidity <= 0:
        return price
    net = swap.amounts[0] * (1_000_000 - pool.state.fee_rate) // 1_000_000
    if not swap.a_to_b:
        return price - (net << 64) // liquidity
    left = (liquidity << 64) - net * price
    return (liquidity * price << 64) // left if left > 0 else price


def _meet(side: Callable[[int], int], start: int) -> int | None:
    """A price that fits, looked for from a guess in doubling strides, then by halves; None when there is none."""
    here = side(start)
    if here == 0:
        return start
    stride, near = 1, start
    while (there := side(near - here * stride)) == here:
        near, stride = near - here * stride, stride * 2
        if stride >= WIDEST:
            return None
    far = near - here * stride
    if there == 0:
        return far
    low, high = min(near, far), max(near, far)
    while high - low > 1:
        middle = (low + high) // 2
        where = side(middle)
        if where == 0:
            return middle
        low, high = (middle, high) if where < 0 else (low, middle)
    return None


def _border(side: Callable[[int], int], inside: int, direction: int) -> int:
    """The last price that fits, going from one that does in a direction."""
    stride, near = 1, inside
    while side(near + direction * stride) == 0:
        near, stride = near + direction * stride, stride * 2
    while stride > 1:
        stride //= 2
        if side(near + direction * stride) == 0:
            near += direction * stride
    return near


def _reach(pool: Ladder, change: Moved, price: int) -> Range | None:
    """The range of a position of which only liquidity, amounts and tick arrays are known; None: none, or several."""
    lowers, uppers = (_candidates(pool, array) for array in change.arrays)
    up = change.kind == "increase"
    found = [
        (lower, upper)
        for lower in lowers
        for upper in uppers
        if lower < upper and _owed(change.amount, price, (lower, upper), up=up) == change.amounts
    ]
    return found[0] if len(found) == 1 else None


def _candidates(pool: Ladder, array: str) -> range:
    """The ticks of a tick array, found by its address; none where no start has this address."""
    spacing = pool.state.spacing
    span = 88 * spacing
    for start in range(array_start(MIN_TICK, spacing), MAX_TICK + 1, span):
        if array_address(PROGRAM, pool.address, start) == array:
            return range(start, start + span, spacing)
    return range(0)


def _owed(liquidity: int, price: int, reach: Range, *, up: bool) -> tuple[int, int]:
    """Amounts A and B of a liquidity change at a price."""
    bottom, top = sqrt_price_at(max(reach[0], MIN_TICK)), sqrt_price_at(min(reach[1], MAX_TICK))
    middle = min(max(price, bottom), top)
    return delta_a(liquidity, middle, top, up), delta_b(liquidity, bottom, middle, up)
