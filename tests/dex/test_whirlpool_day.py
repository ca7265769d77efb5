"""A whole day of real Whirlpool swaps: rebuilt backwards from its end, quoted forwards, every amount compared."""

from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

SPEC = spec_from_file_location("whirlpool_day", Path(__file__).with_name("whirlpool_day.py"))
day = module_from_spec(SPEC)
SPEC.loader.exec_module(day)

LARGE = (
    "24WZto6BNjNamZFUPf3nQZZaFpuvBwdqT5B8QQjpNjGb",
    "65shmpuYmxx5p7ggNCZbyrGLCXVqbBR1ZD5aAocRBUNG",
)
SWAPS = 9_466


def judge(shared, wanted):
    """Counts over the pools that `wanted` says yes to."""
    pools, ranges = day.read(shared / "data/whirlpool_2022")
    total = Counter()
    for address, pool in pools.items():
        if not wanted(address) or not pool.happened:
            continue
        low, high = day.rewind(pool, ranges)
        counts = day.forward(pool, (low + high) // 2, ranges)
        print(address, len(pool.happened), dict(counts), f"start {low} + {high - low}", f"drift {pool.drift}")
        total.update(counts)
        total.update(pools=1, unsolved=pool.unsolved, narrowed=pool.narrowed)
    return total


def test_small_pools(shared):
    """Six pools, among them two created on the day: the initial prices come out to the last bit."""
    total = judge(shared, lambda address: address not in LARGE)
    assert total["exact"] == total["swaps"] == 961
    assert total["end reached"] == total["pools"] == 6
    assert total["unsolved"] == 0


@pytest.mark.slow
def test_whole_day(shared, truth_table):
    """All 9,466 swaps come out exact, and each pool ends at its recorded price, tick and liquidity.

    One number a pool is free: its price in the morning, an interval of less than 1e-9 of it. In 66 swaps that
    crossed a tick, the swap's own amounts were needed to find the price before; the outputs of the other 9,400
    are foretold. Nothing of the day remains unjudged: the ranges of the 118 positions that were closed follow from
    the amounts they paid out, each in exactly one way. Two pools carry a constant liquidity error (their `drift`).
    """
    total = judge(shared, lambda _: True)
    truth_table.add("orca", "whirlpool day 2022-04-06: swaps", total["swaps"], total["exact"])
    truth_table.add("orca", "whirlpool day 2022-04-06: pools at their end", total["pools"], total["end reached"])
    assert total["exact"] == total["swaps"] == SWAPS
    assert total["end reached"] == total["pools"] == 8
    assert (total["unsolved"], total["narrowed"]) == (0, 66)
    # Tick arrays 1 and 2: the clients of 2022 repeated the first one where no further array existed. Token accounts:
    # wrapped SOL was held in accounts made for one swap.
    assert {name.removeprefix("meta "): total[name] for name in total if name.startswith("meta")} == {
        "TokenProgram": SWAPS,
        "TokenAuthority": SWAPS,
        "Whirlpool": SWAPS,
        "TokenOwnerAccountA": 9_069,
        "VaultA": SWAPS,
        "TokenOwnerAccountB": SWAPS,
        "VaultB": SWAPS,
        "TickArray0": SWAPS,
        "TickArray1": 6_858,
        "TickArray2": 6_856,
        "Oracle": SWAPS,
    }
    assert total["meta TickArray1"] + total["repeated TickArray1"] == SWAPS
    assert total["meta TickArray2"] + total["repeated TickArray2"] == SWAPS
    assert total["data"] == SWAPS
