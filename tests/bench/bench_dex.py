"""How fast decoded pools quote, as ratios to a bare Python call with three integer operations in the same run.

    python tests/bench/bench_dex.py

Every figure is the best of many short rounds, taken in turn with the bare call, so that a busy machine slows both.
The pools are of our own making (tests/pool_sets.py). "Amounts" is what the swap takes and gives; "quote" adds every
fee by name, the price impact and the accounts afterwards (made when they are looked at).
"""

import sys
import time
from pathlib import Path
from timeit import Timer

sys.path.insert(0, str(Path(__file__).parents[2]))

from ironcrab import dex
from ironcrab.dex import dlmm_state, pumpfun, pumpswap, raydium, raydium_cpmm, whirlpool_state
from ironcrab.dex.address import WSOL
from ironcrab.domain.market import AccountWritten, PoolStateUpdate, Trade
from ironcrab.loop import Now
from ironcrab.market.known import Known
from ironcrab.mode.states import encode_state
from tests.pool_sets import CLOCK, key, sets

ROUNDS = 60
CALLS = 400


def bare(a, b, c):
    return (a + b) * c - a


def ratio(statement, names):
    """Cost of a statement in bare calls, and its seconds."""
    unit = Timer("bare(12345, 678, 9)", globals={"bare": bare})
    ours = Timer(statement, globals=names)
    pairs = [(unit.timeit(CALLS) / CALLS, ours.timeit(CALLS) / CALLS) for _ in range(ROUNDS)]
    best = [min(column) for column in zip(*pairs, strict=True)]
    return best[1] / best[0], best[1]


def tell(what, statement, bound=None, **names):
    cost, each = ratio(statement, names)
    held = "" if bound is None else f"   figure 1/{bound}: {'held' if cost <= bound else 'MISSED'}"
    print(f"{what:<58} 1/{cost:<7.1f} {each * 1e9:>9,.0f} ns{held}", flush=True)
    return each


def loaded(made):
    return dex.venue_of(made.accounts[made.pool].owner).load(made.pool, made.accounts, None)


def quotes(pools):
    ask = {"exact": "in", "clock": CLOCK, "limit": None}
    statement = 'r.quote(mint_in=mint, amount=amount, exact="in", clock=clock, limit=None)'
    amm = loaded(pools["raydium"])
    amm.quote(mint_in=WSOL, amount=10**6, **ask)
    reserves = amm.sides[WSOL].reserves
    tell("constant product, amounts (Raydium AMM V4)", 'r.swap(1000000, "in")', 15, r=reserves)
    priced = loaded(pools["pumpfun"]).priced
    tell("constant product, amounts (both pump venues)", "r.spend(1000000)", 15, r=priced)
    ready = loaded(pools["raydium_cpmm"])
    ready.quote(mint_in=WSOL, amount=10**6, **ask)
    terms = ready.terms[WSOL][1]
    tell("constant product, amounts (Raydium CPMM)", 'r.swap(1000000, "in")', 15, r=terms)
    for venue in ("raydium", "raydium_cpmm", "pumpfun", "pump_amm"):
        ready = loaded(pools[venue])
        tell(f"quote, {venue}", statement, r=ready, mint=WSOL, amount=10**6, clock=CLOCK)
    for venue, unit in (("orca", "tick"), ("meteora_dlmm", "bin")):
        ready, mint = loaded(pools[venue]), pools[venue].mints[1]
        names = {"r": ready, "mint": mint, "clock": CLOCK}
        inside = tell(f"quote inside one {unit}, {venue}", statement, 80, amount=10**6, **names)
        for amount in (2 * 10**9, 10**10, 4 * 10**10):
            after = ready.quote(mint_in=mint, amount=amount, **ask).after
            passed = after.filled.ticks if venue == "orca" else len(after.bins) - 1
            if passed:
                each = tell(f"  {passed} crossed", statement, amount=amount, **names)
                print(
                    f"    each adds {(each - inside) / inside / passed:.1%} of a quote that crosses none (figure: 15 %)"
                )


def decoding(pools):
    decoders = {
        "raydium": raydium.decode,
        "raydium_cpmm": raydium_cpmm.decode,
        "orca": whirlpool_state.decode_whirlpool.__wrapped__,
        "meteora_dlmm": lambda account: dlmm_state.decode_pair.__wrapped__(account.data),
        "pumpfun": pumpfun.decode_curve,
        "pump_amm": pumpswap.decode_pool,
    }
    for venue, decode in decoders.items():
        account = pools[venue].accounts[pools[venue].pool]
        tell(f"decode of a pool account, {venue}", "decode(account)", 50, decode=decode, account=account)


def cache(pools):
    known = Known.fresh(Now())
    for made in pools.values():
        for address, account in made.accounts.items():
            known.pools.step(1, AccountWritten(address, account.owner, account.lamports, account.data, slot=1))
    for venue, made in pools.items():
        assert known.quotes.quote(made.pool, WSOL, 10**6).kind == "exact"
        tell(
            f"QuoteCalculator, {venue}",
            "quote(pool, mint, 1000000)",
            quote=known.quotes.quote,
            pool=made.pool,
            mint=WSOL,
        )
    pool, account = pools["raydium"].pool, pools["raydium"].accounts[pools["raydium"].pool]
    write = AccountWritten(pool, account.owner, account.lamports, account.data, slot=1)
    tell("an account write folded", "step(2, write)", step=known.pools.step, write=write)


def snapshot(pools):
    """What 10,000 pools cost in a snapshot, every amount of their rows told: at most 10 ms are wanted."""
    for venue, own in (("pumpfun", 1), ("raydium", 3)):
        known, made = Known.fresh(Now()), pools[venue]
        for number in range(10_000):
            name = f"{venue}{number:036d}"
            for place, account in enumerate(list(made.accounts.values())[:own]):
                write = AccountWritten(f"{name}{place}", account.owner, account.lamports, account.data, slot=1)
                known.pools.step(number, write)
            known.pools.step(number, PoolStateUpdate(f"{name}0", venue, 1, 1, key(200), WSOL, 1))
            told = {"is_buy": True, "sol_amount": 9, "token_amount": 9, "token_decimals": 6, "creator": key(202)}
            known.pools.step(number, Trade(f"{name}0", key(200), key(201), dex=venue, slot=2, **told))
        took = []
        for _ in range(9):
            started = time.perf_counter()
            data = encode_state(known.pools.state)
            took.append(time.perf_counter() - started)
        held = sum(len(account.data) for account in list(made.accounts.values())[:own])
        verdict = "held" if min(took) <= 0.010 else "MISSED"
        print(
            f"snapshot of 10,000 {venue} pools, {held} bytes of accounts each: {min(took) * 1e3:.1f} ms, "
            f"{len(data):,} bytes   figure 10 ms: {verdict}"
        )


def main():
    pools = sets()
    quotes(pools)
    decoding(pools)
    cache(pools)
    snapshot({venue: pools[venue] for venue in ("pumpfun", "raydium")})


if __name__ == "__main__":
    main()
