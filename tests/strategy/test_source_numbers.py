"""Numbers of the original's tests and incidents that concern strategies and stand in no other test.

Elsewhere: price trend, drawdown and recovery, dump recovery, medians, slots of seconds (test_shape); micro buys, two buyers,
age, dev sells, velocity (test_gates); windows, buyer quality, dominance (test_windows); stale mark, trailing, whole
holding (test_exits); sizes, blend, real intents, partial sells (test_life); pair, cycle, least profit, in flight
(test_arb); conventions, units incident, quotes, PumpSwap merge (tests/market).
"""

import pytest

from ironcrab.domain.market import BondingCurveProgress, PoolStateUpdate, WalletBalanceSnapshot
from ironcrab.domain.units import SOL_MINT, USDC_MINT
from ironcrab.market.price import Price, gain_bps
from ironcrab.strategy.intents import least
from ironcrab.strategy.routes import Routes
from ironcrab.strategy.rows import NANOS, Failure, Position

SOL = 1_000_000_000
M = 1_000_000


def held(world, slot, price, **overrides):
    """A position on P bought in `slot` at `price` tokens per SOL (6 decimals) for 1 SOL."""
    w = world(max_hold_time_secs=0, hard_stop_loss_bps=10_000, catastrophic_stop_loss_bps=10_000, **overrides)
    w.reserves(slot - 1)
    w.trade(slot, sol=SOL, tokens=price * M)
    w.fill(price * M, slot=slot, paid=SOL)
    w.position().full = True
    return w


def tps(price):
    """Tokens per SOL in thousandths."""
    return price.base * SOL * 1_000 // (price.quote * M)


def test_trailing_is_not_switched_on_by_reserves(world):
    """Entry 100: a reserve mark of 90 leaves the session high at 100, a trade at 95 is a peak of 5.263 %."""
    w = held(world, 500, 100, trailing_activation_bps=100)
    w.reserves(501, base=90 * M, quote=SOL)
    assert (tps(w.position().best), w.position().trailing) == (100_000, False)
    w.trade(502, sol=SOL, tokens=95 * M)
    assert tps(w.position().best) == 95_000
    assert 526 <= gain_bps(w.position().paid, w.position().best) < 527
    w.reserves(502, base=95 * M, quote=SOL)
    assert w.position().trailing


def test_a_quote_of_150_on_an_entry_of_100_is_a_loss_of_a_third():
    assert gain_bps(Price(100, 1), Price(150, 1)) == -3_334, "-33.33 %, rounded down"


def test_the_slot_gate(world):
    """Entry slot 500 at 10: 400 is ignored, 501 gives 8.0, 502 gives 6.5. In one slot both trades count: that differs."""
    w = held(world, 500, 10)
    marks = []
    for slot, thousandths in ((400, 9_000), (501, 8_000), (501, 7_500), (502, 6_500)):
        w.trade(slot, sol=SOL, tokens=thousandths * 1_000)
        marks.append(tps(w.position().mark))
    assert marks == [10_000, 8_000, 7_500, 6_500]


def test_the_reserve_mark(world):
    """2000000 raw of 6 decimals beside 1 SOL are 2.0 tokens per SOL."""
    w = held(world, 200, 10)
    w.position().held = 1
    told = [
        PoolStateUpdate("P", "raydium", 2_000_000, SOL, "M", SOL_MINT, 300, slot=300),
        PoolStateUpdate("P", "raydium", 9_000_000, SOL, "M", SOL_MINT, 100, slot=300),
        PoolStateUpdate("Q", "raydium", 9_000_000, SOL, "M", SOL_MINT, 301, slot=301),
        PoolStateUpdate("R", "raydium", 9_000_000, SOL, "M", USDC_MINT, 301, slot=301),
    ]
    for event in told:
        w.take(event)
        pool = w.known.pools.get("P")
        assert tps(Price(pool.reserve_base, pool.reserve_quote)) == 2_000
        assert w.momentum.exits.routes.of(w.position()) == [pool]
    assert tps(w.position().mark) == 10_000, "reserves move no mark"


def test_of_three_words_about_a_curve_the_one_of_the_newest_slot_holds(world):
    w = world()
    for slot, bps in ((10, 1_000), (12, 2_000), (11, 1_500)):
        w.take(BondingCurveProgress("M", "C", bps, False, slot=slot))
    w.take(BondingCurveProgress("M", "C", 9_000, False))
    assert (w.known.pools.get("C").progress_bps, w.known.pools.get("C").progress_slot) == (2_000, 12)


def test_of_three_words_about_a_pool_the_one_of_the_newest_slot_holds(world):
    w = world()
    for slot, base in ((10, 1), (30, 2), (20, 3)):
        w.take(PoolStateUpdate("P", "raydium", base, SOL, "M", SOL_MINT, slot, slot=slot))
    assert (w.known.pools.get("P").reserve_base, w.known.pools.get("P").reserve_slot) == (2, 30)


def position_on(w, pool):
    return Position("M", pool, 6, M, Price(M, SOL), 0, 1, True)


def test_a_pool_with_three_failures_ten_seconds_ago_is_skipped(world):
    w = world(exit_multi_pool_routing=True)
    w.take(PoolStateUpdate("P", "raydium", M, SOL, "M", SOL_MINT, 10, slot=10))
    w.take(PoolStateUpdate("Q", "orca", M, SOL, "M", SOL_MINT, 10, slot=10), 100 * NANOS)
    position = position_on(w, "P")
    position.failed["P"] = Failure(3, 90 * NANOS)
    routes = Routes(w.known, w.momentum.shared)
    assert [row.pool_address for row in routes.of(position)] == ["Q"]
    position.failed["P"] = Failure(2, 90 * NANOS)
    assert [row.pool_address for row in routes.of(position)] == ["P", "Q"]


def test_an_active_curve_at_1e_9_beats_pumpswap_at_50e_9(world):
    """Without evidence of a migration the better price there is no pool of this coin."""
    w = world(exit_multi_pool_routing=True)
    w.take(PoolStateUpdate("C", "pumpfun", 10**15, M, "M", SOL_MINT, 10, slot=10))
    w.take(PoolStateUpdate("A", "pump_amm", 10**15, 50 * M, "M", SOL_MINT, 10, slot=10))
    w.known.pools.get("A").accounts = ("A", "M", SOL_MINT, *"abcdefghijk")
    routes = Routes(w.known, w.momentum.shared)
    assert [row.pool_address for row in routes.of(position_on(w, "C"))] == ["C"]
    w.take(BondingCurveProgress("M", "C", 10_000, True, slot=11))
    assert [row.pool_address for row in routes.of(position_on(w, "C"))] == ["A"]


def test_a_balance_makes_no_position(world):
    """Only PumpSwap known: nothing to reconcile. Here no snapshot ever makes a position: there is no entry to tell."""
    w = world()
    w.take(PoolStateUpdate("A", "pump_amm", 10**15, 50 * M, "M", SOL_MINT, 10, slot=10))
    w.take(WalletBalanceSnapshot("M", 5 * M, 6, "T", slot=11))
    assert w.position() is None


@pytest.mark.parametrize(("expected", "out"), [(377_964_342, 359_066_124), (377_964_343, 359_066_125)])
def test_the_least_output_of_the_real_intents(expected, out):
    assert least(expected, 500) == out


@pytest.mark.parametrize(("bps", "out"), [(500, 950), (100, 990), (0, 1_000), (10_000, 0), (10_001, 0)])
def test_slippage_of_a_thousand(bps, out):
    assert least(1_000, bps) == out


def test_a_sell_of_five_sol_with_a_limit_of_one_lamport_is_terminal(world):
    w = world(max_single_dump_lamports=1)
    w.trade(100, buy=False, sol=5 * SOL)
    assert w.verdicts() == [("reject", "REJECT_LARGE_DUMP")]
    assert w.trade(101) == []


def test_six_sells_in_a_window_that_asks_for_dominance(world):
    """20 old buys and 8 recent sells: 0 in the window, over the whole life 0.714."""
    w = world(buyer_window_secs=10, min_buy_dominance_bps=1, min_unique_buyers=0)
    w.take(PoolStateUpdate("P", "raydium", 10**15, 1_000 * SOL, "M", SOL_MINT, 1, slot=1))
    for n in range(20):
        w.trade(10 + n // 10)
        w.momentum.entering.clear()
    for n in range(8):
        w.trade(1_000 + n, buy=False)
    assert w.verdicts()[-1] == ("wait", "WAIT_BUYER_WINDOW")
    ticks = w.known.flow.get("P").ticks
    assert sum(tick.is_buy for tick in ticks) * 10_000 // len(ticks) == 7_142
