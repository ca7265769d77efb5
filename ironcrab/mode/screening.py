"""Screen: how many intents each row of an EMA sweep would say, by compiled arithmetic, before any row is run.

One reading of the trades, one compiled pass for each row (numba, extra `kernels`). The kernel only sorts rows out;
those that are left are run by the exact reducer as in any sweep, and a row whose intents are not as many as the
kernel counted is a fault. The arithmetic is that of `strategy.ema.EmaCross`, in 64-bit integers; a pool with a price
too large for them goes through the same lines uncompiled, in whole numbers of any size.
"""

from array import array
from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field

from ironcrab.domain.fault import InputFault
from ironcrab.domain.market import Trade
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import Columns
from ironcrab.mode.scenario import Scenario
from ironcrab.strategy.ema import SCALE, EmaCross, EmaParams

LARGEST = 1 << 61
"""Prices below it keep every difference, doubled, within 64 bits."""


class Ticks(Struct):
    """Trades as columns: of each its pool's number and its scaled price, in the order of the log.

    `large` holds the prices that 64 bits are too small for, by place; there the column holds 0.
    """

    pools: Any
    prices: Any
    names: dict[str, int]
    large: dict[int, int] = field(default_factory=dict)


class Screened(Struct, frozen=True):
    """What a row came to: crosses of all pools, intents said."""

    crosses: int
    intents: int


def ticks_of(recording: Recording) -> Ticks:
    """The trades of a recording's market that have a price."""
    pools, prices, names, large = array("q"), array("q"), dict[str, int](), dict[int, int]()
    columns: Columns = {Trade: ("pool_address", "sol_amount", "token_amount")}
    for record in recording.records((Trade,), columns=columns):
        event: Any = record.event
        if record.cause is not None or not event.token_amount or not event.sol_amount:
            continue
        price = event.sol_amount * SCALE // event.token_amount
        if price >= LARGEST:
            large[len(prices)], price = price, 0
        pools.append(names.setdefault(event.pool_address, len(names)))
        prices.append(price)
    return Ticks(pools, prices, names, large)


def count(pools: Any, prices: Any, folded: Any, params: tuple[int, int, int], averages: tuple[Any, Any, Any]) -> Any:
    """(crosses, intents) of one row: what `EmaCross.step` does, over columns.

    Args:
        pools: number of each trade's pool.
        prices: of each trade.
        folded: by pool, whether the row looks at it.
        params: lengths of the fast and the slow average, intents on one pool at most.
        averages: by pool, room for fast, slow, and 4 x intents + 2 x whether fast is above + 1 once begun; zeros.
    """
    fast_length, slow_length, most = params
    fast, slow, marks = averages
    crosses, intents = 0, 0
    for place in range(len(prices)):
        pool, price = pools[place], prices[place]
        if not folded[pool]:
            continue
        mark = marks[pool]
        if mark == 0:
            fast[pool], slow[pool], marks[pool] = price, price, 1
            continue
        fast[pool] += (price - fast[pool]) * 2 // (fast_length + 1)
        slow[pool] += (price - slow[pool]) * 2 // (slow_length + 1)
        is_above = fast[pool] > slow[pool]
        if is_above == (mark & 2 == 2):
            continue
        crosses += 1
        mark ^= 2
        if is_above and mark >> 2 < most:
            intents += 1
            mark += 4
        marks[pool] = mark
    return crosses, intents


def compiled() -> Any:
    """`count`, compiled; InputFault where numba is not installed."""
    try:
        import numba  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise InputFault("--screen needs numba; install it: pip install 'ironcrab[kernels]'") from error
    return numba.njit(cache=True)(count)


def screen(ticks: Ticks, rows: Sequence[EmaParams]) -> list[Screened]:
    """What each row comes to, by the compiled kernel. InputFault where numba is not installed."""
    kernel = compiled()
    import numpy as np  # noqa: PLC0415 - comes with numba

    pools, prices = np.frombuffer(ticks.pools, np.int64), np.frombuffer(ticks.prices, np.int64)
    wide = dict.fromkeys(ticks.pools[place] for place in ticks.large)
    places = [place for place, pool in enumerate(ticks.pools) if pool in wide] if wide else []
    apart = [ticks.pools[place] for place in places], [ticks.large.get(place, ticks.prices[place]) for place in places]
    found = []
    for row in rows:
        lengths = row.fast, row.slow, row.most_orders
        looked = [not row.pools or name in row.pools for name in ticks.names]
        folded = np.array([at and pool not in wide for pool, at in enumerate(looked)], np.bool_)
        averages: tuple[Any, ...] = tuple(np.zeros(len(ticks.names), np.int64) for _ in range(3))
        crosses, intents = kernel(pools, prices, folded, lengths, averages)
        more = count(*apart, looked, lengths, ([0] * len(looked), [0] * len(looked), [0] * len(looked)))
        found.append(Screened(int(crosses) + more[0], int(intents) + more[1]))
    return found


def intents_of(paths: Sequence[str], scenarios: Sequence[Scenario]) -> list[int]:
    """Intents that each scenario says on these recordings together.

    Raises:
        InputFault: EMA is not its only strategy, or numba is not installed.
    """
    rows = []
    for scenario in scenarios:
        if [strategy.kind for strategy in scenario.strategies] != [EmaCross]:
            raise InputFault("--screen knows the arithmetic of ema alone; sweep other strategies without it")
        rows.append(scenario.strategies[0].params)
    found = [0] * len(rows)
    for path in paths:
        for place, told in enumerate(screen(ticks_of(Recording.open(path)), rows)):
            found[place] += told.intents
    return found
