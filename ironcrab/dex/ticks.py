"""Ticks and square-root prices of a concentrated-liquidity pool: price = 1.0001 ** tick, its root in Q64.64.

The constants and every truncation are those of the Whirlpool program (`math/tick_math.rs`): no reciprocal, no
float, so that a price made here is the price that the chain has.
"""

from functools import lru_cache

MIN_TICK = -443636
MAX_TICK = 443636
MIN_SQRT_PRICE = 4295048016
MAX_SQRT_PRICE = 79226673515401279992447579055
ARRAY_TICKS = 88
"""Ticks that one tick array holds."""

_POSITIVE = (
    79232123823359799118286999567,
    79236085330515764027303304731,
    79244008939048815603706035061,
    79259858533276714757314932305,
    79291567232598584799939703904,
    79355022692464371645785046466,
    79482085999252804386437311141,
    79736823300114093921829183326,
    80248749790819932309965073892,
    81282483887344747381513967011,
    83390072131320151908154831281,
    87770609709833776024991924138,
    97234110755111693312479820773,
    119332217159966728226237229890,
    179736315981702064433883588727,
    407748233172238350107850275304,
    2098478828474011932436660412517,
    55581415166113811149459800483533,
    38992368544603139932233054999993551,
)
"""sqrt(1.0001) ** (2 ** k), Q96."""

_NEGATIVE = (
    18445821805675392311,
    18444899583751176498,
    18443055278223354162,
    18439367220385604838,
    18431993317065449817,
    18417254355718160513,
    18387811781193591352,
    18329067761203520168,
    18212142134806087854,
    17980523815641551639,
    17526086738831147013,
    16651378430235024244,
    15030750278693429944,
    12247334978882834399,
    8131365268884726200,
    3584323654723342297,
    696457651847595233,
    26294789957452057,
    37481735321082,
)
"""sqrt(1.0001) ** -(2 ** k), Q64."""

_LOG_STEPS = 14
_LOG_SCALE = 59543866431248
_ERROR_BELOW = 184467440737095516
_ERROR_ABOVE = 15793534762490258745


@lru_cache(maxsize=131072)
def sqrt_price_at(tick: int) -> int:
    """The square-root price, Q64.64, of a tick within +-524287 (a pool's ticks lie within +-443636)."""
    left = abs(tick)
    if tick >= 0:
        ratio, factors, shift = 1 << 96, _POSITIVE, 96
    else:
        ratio, factors, shift = 1 << 64, _NEGATIVE, 64
    for factor in factors:
        if not left:
            break
        if left & 1:
            ratio = ratio * factor >> shift
        left >>= 1
    return ratio >> 32 if tick >= 0 else ratio


def tick_at(sqrt_price: int) -> int:
    """The greatest tick whose price is not above `sqrt_price` (Q64.64, at least 1), as the program finds it.

    A binary logarithm of 14 steps gives two candidates; where they differ, the higher one's price decides.
    """
    top = sqrt_price.bit_length() - 1
    residue = sqrt_price >> top - 63 if top >= 63 else sqrt_price << 63 - top
    fraction = 0
    for _ in range(_LOG_STEPS):
        residue *= residue
        carry = residue >> 127
        residue >>= 63 + carry
        fraction = fraction << 1 | carry
    log2 = (top - 64 << 32) + (fraction << 32 - _LOG_STEPS)
    scaled = log2 * _LOG_SCALE
    low = scaled - _ERROR_BELOW >> 64
    high = scaled + _ERROR_ABOVE >> 64
    if low == high:
        return low
    return high if sqrt_price_at(high) <= sqrt_price else low


def array_start(tick: int, spacing: int) -> int:
    """First tick of the tick array that holds `tick`: the multiple of 88 x spacing at or below it."""
    span = ARRAY_TICKS * spacing
    return tick // span * span


def swap_starts(tick: int, spacing: int, *, a_to_b: bool) -> tuple[int, ...]:
    """Starts of the arrays that a swap may use, at most three, in the order it uses them.

    Going up, the search excludes the current tick, so a price in the last spacing of an array begins with the
    next one (`util/sparse_swap.rs`). Arrays wholly outside the tick range are left out.
    """
    span = ARRAY_TICKS * spacing
    first = array_start(tick, spacing)
    if a_to_b:
        starts: tuple[int, ...] = (first, first - span, first - 2 * span)
    else:
        first += span if tick + spacing >= first + span else 0
        starts = (first, first + span, first + 2 * span)
    return tuple(start for start in starts if MIN_TICK - span < start <= MAX_TICK)
