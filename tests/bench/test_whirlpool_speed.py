"""Speed of Whirlpool quotes, as ratios to a bare Python function call of three integer operations, same run."""

import sys
from time import perf_counter

import pytest

from ironcrab.dex import Account, Clock, base58
from ironcrab.dex.address import SYSTEM, TOKEN
from ironcrab.dex.ticks import sqrt_price_at
from ironcrab.dex.whirlpool_pool import decode
from ironcrab.dex.whirlpool_state import FIXED_ARRAY, PROGRAM, WHIRLPOOL, array_address, decode_whirlpool

POOL, CONFIG, MINT_A, VAULT_A, MINT_B, VAULT_B = (base58.encode(bytes([n]) * 32) for n in range(31, 37))
CLOCK = Clock(1, 1_760_000_000, 900)


def bare(a, b):
    return (a * b + a) // b


def best(call, times, tries=7):
    """Seconds of one call, the best of several tries."""
    found = []
    for _ in range(tries):
        start = perf_counter()
        for _ in range(times):
            call()
        found.append((perf_counter() - start) / times)
    return min(found)


def known(spacing=8):
    """A pool with a tick initialised at each spacing of the two arrays above the price."""
    raw, u = base58.decode, int.to_bytes
    numbers = ((spacing, 2), (spacing, 2), (3000, 2), (300, 2), (10**12, 16), (sqrt_price_at(4), 16), (4, 4))
    data = WHIRLPOOL + raw(CONFIG) + b"\xff" + b"".join(u(number, size, "little") for number, size in numbers)
    data += bytes(16) + raw(MINT_A) + raw(VAULT_A) + bytes(16) + raw(MINT_B) + raw(VAULT_B) + bytes(408)
    accounts = {POOL: Account(PROGRAM, 1, data)}
    for start in (0, 704, 1408, -704, -1408):
        array = bytearray(9988)
        array[:12] = FIXED_ARRAY + u(start, 4, "little", signed=True)
        array[9956:] = raw(POOL)
        for place in range(1, 88):
            at = 12 + 113 * place
            array[at : at + 33] = b"\1" + u(10**9, 16, "little") * 2
        here = Account(PROGRAM, 1, bytes(array)) if start >= 0 else Account(SYSTEM, 0, b"")
        accounts[array_address(PROGRAM, POOL, start)] = here
    for mint, vault in ((MINT_A, VAULT_A), (MINT_B, VAULT_B)):
        held = raw(mint) + raw(POOL) + u(2**60, 8, "little") + bytes(36) + b"\1" + bytes(56)
        accounts[vault] = Account(TOKEN, 2_039_280, held)
    return accounts


@pytest.mark.slow
@pytest.mark.skipif(sys.gettrace() is not None, reason="skipped: a tracer (coverage) slows Python code alone")
def test_speed(capsys):
    accounts = known()
    pool = decode(POOL, accounts)
    unit = best(lambda: bare(12345, 678), 100_000)
    ask = {"mint_in": MINT_B, "exact": "in", "clock": CLOCK}
    seconds, crossed = {}, {}
    for amount in (10**6, 10**9, 10**10, 5 * 10**10):
        crossed[amount] = pool.quote(amount=amount, **ask).after.filled.ticks
        seconds[amount] = best(lambda amount=amount: pool.quote(amount=amount, **ask), 3_000)
    inside = seconds[10**6]
    decoding = best(lambda: decode_whirlpool(accounts[POOL]), 10_000)
    fresh = best(lambda: decode(POOL, accounts, MINT_B).quote(amount=10**6, **ask), 200)
    with capsys.disabled():
        print(f"\nbare call {unit * 1e9:.0f} ns; pool decoded in {decoding / unit:.0f} of them")
        print(
            f"decoded quote inside a tick: 1/{inside / unit:.0f} of the bare rate; all decoded anew: 1/{fresh / unit:.0f}"
        )
        for amount, ticks in crossed.items():
            share = (seconds[amount] - inside) / inside / max(ticks, 1)
            print(f"  {ticks} ticks crossed: {seconds[amount] / inside:.2f} of a quote inside, {share:+.2%} a tick")
    assert crossed[10**6] == 0
    assert max(crossed.values()) > 50
    assert inside / unit <= 80
    assert decoding / unit <= 50
    for amount, ticks in crossed.items():
        assert seconds[amount] <= inside * (1.25 + 0.15 * ticks)
