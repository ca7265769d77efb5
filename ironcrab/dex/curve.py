"""The constant product x * y = k in integers, and the price impact of a swap on it."""

BPS = 10_000
U64 = 2**64 - 1
U128 = 2**128 - 1


def ceil_div(a: int, b: int) -> int:
    """Rounds a / b up, for b > 0."""
    return -(-a // b)


def half_up_ceil(a: int, b: int) -> int:
    """Rounds a / b up, but a quotient of zero half up: both Raydium programs did so before August 2025."""
    return int(2 * a >= b) if a < b else -(-a // b)


def out_for(amount_in: int, reserve_in: int, reserve_out: int) -> int:
    """Raw units paid out for `amount_in` after fees, rounded down. Wants reserve_in + amount_in > 0."""
    return reserve_out * amount_in // (reserve_in + amount_in)


def impact_bps(amount_in: int, amount_out: int, reserve_in: int, reserve_out: int) -> int:
    """Loss of a swap against the price before it, in bps rounded down, for amounts without their fees.

    At the price before, `amount_in` would buy amount_in * reserve_out / reserve_in.
    """
    ideal = amount_in * reserve_out
    lost = ideal - amount_out * reserve_in
    return BPS * lost // ideal if lost > 0 < ideal else 0
