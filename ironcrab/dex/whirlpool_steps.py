"""One step of a Whirlpool swap: amounts between two prices, the price after an amount, the fee.

Integer with the program's own truncations (orca-so/whirlpools `math/token_math.rs`, `math/swap_math.rs`).
Amounts are raw units, square-root prices Q64.64, fee rates in 1e-6.
"""

from ironcrab.dex.ticks import MAX_SQRT_PRICE, MIN_SQRT_PRICE

U64 = 2**64 - 1
U128 = 2**128 - 1
RATE = 1_000_000
"""A fee rate of 100 %."""

DIVIDE_BY_ZERO = 6006
DOWN_CAST = 6008
PRICE_OUT_OF_BOUNDS = 6011
LIQUIDITY_OVERFLOW = 6014
LIQUIDITY_UNDERFLOW = 6015
TOKEN_MAX = 6017
TOKEN_MIN = 6018
SHIFT_OVERFLOW = 6030
MULTIPLY_OVERFLOW = 6033


class Fault(Exception):  # noqa: N818 - a fault is the program's, no error of ours
    """The program would fail: its error number (None where it would panic), and why."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def crossed(liquidity: int, net: int, *, a_to_b: bool) -> int:
    """Active liquidity after a tick is crossed.

    Raises:
        Fault: it would leave a u128.
    """
    after = liquidity - net if a_to_b else liquidity + net
    if after < 0:
        raise Fault(LIQUIDITY_UNDERFLOW, f"net liquidity {net} of a tick exceeds the active {liquidity}")
    if after > U128:
        raise Fault(LIQUIDITY_OVERFLOW, f"net liquidity {net} of a tick overflows the active {liquidity}")
    return after


def step(
    remaining: int, rate: int, liquidity: int, price: int, target: int, exact_in: bool, a_to_b: bool
) -> tuple[int, int, int, int]:
    """One move towards a price: raw units in (without fee), out, the price reached, the fee on the input.

    Raises:
        Fault: the program would fail.
    """
    given_a = exact_in == a_to_b
    given, wanted = (delta_a, delta_b) if given_a else (delta_b, delta_a)
    fixed = given(liquidity, price, target, exact_in)
    budget = remaining * (RATE - rate) // RATE if exact_in else remaining
    if 0 <= fixed <= budget:
        reached = target
    elif given_a:
        reached = _price_after_a(price, liquidity, budget, exact_in)
    else:
        reached = _price_after_b(price, liquidity, budget, exact_in)
    free = wanted(liquidity, price, reached, not exact_in)
    if free < 0:
        raise Fault(-free, "an amount exceeds a u64")
    if reached != target or fixed < 0:
        fixed = given(liquidity, price, reached, exact_in)
        if fixed < 0:
            raise Fault(-fixed, "an amount exceeds a u64")
    if not exact_in:
        return free, min(fixed, remaining), reached, -(-free * rate // (RATE - rate))
    if reached != target:
        return fixed, free, reached, remaining - fixed
    return fixed, free, reached, -(-fixed * rate // (RATE - rate))


def delta_a(liquidity: int, price: int, other: int, up: bool) -> int:
    """Raw units of token A between two prices; minus the error number where they exceed a u64.

    Raises:
        Fault: the product leaves 192 bits, where the program fails at once.
    """
    low, high = (price, other) if price < other else (other, price)
    product = liquidity * (high - low)
    if product >> 192:
        raise Fault(MULTIPLY_OVERFLOW, "liquidity times price difference overflows")
    amount, rest = divmod(product << 64, high * low)
    if up and rest:
        amount += 1
    if amount > U64:
        return -TOKEN_MAX if amount <= U128 else -DOWN_CAST
    return amount


def delta_b(liquidity: int, price: int, other: int, up: bool) -> int:
    """Raw units of token B between two prices; minus the error number where they exceed a u64."""
    product = liquidity * (other - price if price < other else price - other)
    if product > U128:
        return -SHIFT_OVERFLOW
    amount = product >> 64
    if up and product & U64:
        return -MULTIPLY_OVERFLOW if amount == U64 else amount + 1
    return amount


def _price_after_a(price: int, liquidity: int, amount: int, added: bool) -> int:
    """The price once `amount` of token A is added to (or taken from) the pool, rounded up."""
    if amount == 0:
        return price
    product = price * amount
    numerator = liquidity * price
    if numerator >> 192:
        raise Fault(MULTIPLY_OVERFLOW, "liquidity times price overflows")
    denominator = (liquidity << 64) + (product if added else -product)
    if denominator <= 0:
        raise Fault(DIVIDE_BY_ZERO, "more of token A is asked for than the liquidity holds")
    reached = -(-(numerator << 64) // denominator)
    if reached < MIN_SQRT_PRICE:
        raise Fault(TOKEN_MIN, f"the price {reached} would fall out of the range")
    if reached > MAX_SQRT_PRICE:
        raise Fault(TOKEN_MAX, f"the price {reached} would rise out of the range")
    return reached


def _price_after_b(price: int, liquidity: int, amount: int, added: bool) -> int:
    """The price once `amount` of token B is added to (or taken from) the pool, rounded down."""
    reached = price + (amount << 64) // liquidity if added else price - -(-(amount << 64) // liquidity)
    if not 0 <= reached <= U128:
        raise Fault(PRICE_OUT_OF_BOUNDS, f"the price {reached} is none")
    return reached
