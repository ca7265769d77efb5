"""The edges of every comparison: equality passes a gate, `at least` and `at most` mean what they say."""

import pytest

from ironcrab.domain.market import LiquidityRemoved
from ironcrab.domain.units import TOKEN_PROGRAM
from ironcrab.market.flow import FlowRow, Tick, dearest
from ironcrab.market.mints import MintRow
from ironcrab.market.price import UNKNOWN
from ironcrab.strategy import policy as policies
from ironcrab.strategy.params import EARLY, ESTABLISHED, EarlyOnly, Entry, EstablishedOnly
from ironcrab.strategy.shape import PASS, Memory, dump_recovery, price_trend
from ironcrab.strategy.windows import Windows

SOL = 1_000_000_000
M = 1_000_000
TREND = {
    "price_trend_recovery_min_inflow_lamports": 0,
    "price_trend_recovery_min_buy_dominance_bps": 0,
    "price_trend_recovery_min_secs": 2,
    "price_trend_min_trades": 5,
}


def last(world):
    return world.verdicts()[-1]


def test_a_removal_counts_through_the_last_slot_of_its_window(world):
    w = world(min_unique_buyers=9)
    w.take(LiquidityRemoved("P", "M", 10, 1, slot=100))
    w.trade(250)
    assert last(w) == ("reject", "REJECT_LP_REMOVED")
    w.trade(251, pool="Q")
    assert last(w) == ("wait", "WAIT_BUYER_WINDOW")
    for_ever = world(lp_removal_window_secs=0)
    for_ever.take(LiquidityRemoved("P", "M", 10, 1, slot=100))
    for_ever.trade(100_000)
    assert last(for_ever) == ("reject", "REJECT_LP_REMOVED")


def test_five_small_buys_are_enough_to_judge(world):
    w = world(min_trade_size_lamports=100, small_buy_ratio_cap_bps=6_000, min_sol_inflow_lamports=SOL)
    for n in range(4):
        w.trade(100 + n, sol=50)
    assert last(w) == ("wait", "WAIT_NET_SOL_INFLOW")
    w.trade(104, sol=50)
    assert last(w) == ("reject", "REJECT_MICRO_BUY_SPAM")


def test_decimals_come_from_the_mint_or_from_a_trade(world):
    w = world(min_unique_buyers=9)
    w.trade(100)
    row, pool = w.row(), w.known.pools.get("P")
    assert w.momentum.gates._route(row, pool) is PASS
    row.decimals = None
    assert w.momentum.gates._route(row, pool)[0] == "WAIT_TRADE_PRICE"
    w.known.mints.state.rows["M"] = MintRow(1, TOKEN_PROGRAM, 6, 1, None, None, 1)
    assert w.momentum.gates._route(row, pool) is PASS


def test_a_flow_that_began_anew_gets_new_windows(world):
    w = world(min_unique_buyers=2)
    w.trade(100)
    first = w.momentum.gates.features.windows_of("P")
    assert w.momentum.gates.features.windows_of("P") is first
    w.known.flow.rows["P"] = FlowRow("P", "M", 1, 100)
    assert w.momentum.gates.features.windows_of("P") is not first
    assert w.momentum.gates.features.windows_of("unknown") is None


def exit_at(world, slot, **overrides):
    """A whole position of slot 100, looked at in `slot` with a price of par; the last verdict."""
    w = world(
        **{"momentum_exit_min_trades": 10**6, "max_hold_time_secs": 0, "max_hold_absolute_cap_secs": 0, **overrides}
    )
    w.held(100, tokens=M, lamports=5 * M)
    w.position().full = True
    return w


@pytest.mark.parametrize(("slot", "verdict"), [(249, "hold"), (250, "exit")])
def test_a_hold_ends_with_its_last_second(world, slot, verdict):
    w = exit_at(world, slot, max_hold_time_secs=60, time_exit_requires_low_velocity=False)
    w.reserves(slot, base=10**15, quote=5 * 10**15)
    assert last(w)[0] == verdict


@pytest.mark.parametrize(
    ("slot", "sold", "verdict"),
    [(249, 7 * M, "hold"), (250, 7 * M, "exit"), (250, 6 * M, "hold"), (250, 6 * M + 1, "exit")],
)
def test_a_fade_begins_with_its_hold_and_below_its_ratio(world, slot, sold, verdict):
    """Bought 4,000,000; a ratio of exactly 40 % is no fade."""
    w = exit_at(world, slot, momentum_exit_min_trades=5, hard_stop_loss_bps=9_000)
    for n in range(4):
        w.trade(slot - 10 + n, sol=M, tokens=M // 5)
    w.trade(slot - 5, buy=False, sol=sold, tokens=sold // 5)
    w.reserves(slot, base=10**15, quote=49 * 10**14)
    assert last(w)[0] == verdict


def test_a_sell_of_the_creator_in_the_slot_of_the_entry_is_no_exit(world):
    w = exit_at(world, 101)
    w.row().dev_sell_slot = 100
    w.reserves(101, base=10**15, quote=5 * 10**15)
    assert last(w)[0] == "hold"
    w.row().dev_sell_slot = 101
    w.reserves(102, base=10**15, quote=5 * 10**15)
    assert last(w) == ("exit", "EXIT_DEV_SELL")


def sums_of(*flow):
    """A window over trades given as signed quote amounts."""
    row = FlowRow("P", "M", 0, 0)
    row.ticks += [Tick(10, amount >= 0, abs(amount), 1, "W") for amount in flow]
    return Windows(row).sums_of(75, 10)


def test_as_much_sold_as_bought_is_no_dump():
    assert dump_recovery(sums_of(-30, 10, 10, 5, 5), 10, Entry(), Memory()) is PASS
    assert dump_recovery(sums_of(-31, 10, 10, 5, 5), 10, Entry(), Memory()) is not PASS


@pytest.mark.parametrize(
    ("flow", "good"),
    [
        ((100, 100, 100, -50, -50), True),  # net 200, dominance 6,000
        ((100, 100, 99, -50, -50), False),
        ((100, 100, 100, -50, -25, -25), False),
    ],
)
def test_calm_after_a_dump_is_at_least_what_is_asked(flow, good):
    entry = Entry(dump_recovery_min_net_inflow_lamports=200, dump_recovery_min_buy_dominance_bps=6_000)
    memory = Memory(dump_slot=5)
    assert dump_recovery(sums_of(*flow), 10, entry, memory)[0] == "WAIT_CONFIRMATION"
    assert (memory.calm_slot == 10) == good


def bucketed(head, *buckets):
    """Three ticks a bucket of 60 slots, newest bucket first; each bucket a price or a triple of prices."""
    ticks = []
    for k, prices in reversed(list(enumerate(buckets))):
        for i, price in enumerate(prices if isinstance(prices, tuple) else (prices,) * 3):
            ticks.append(Tick(head - 60 * k - 30 + i, True, 1_000, price * 1_000, "W"))
    return ticks


RECOVERING = (130, 140, 150, 70, 70)


def test_a_recovery_is_confirmed_with_its_last_slot():
    entry, memory = Entry(**TREND), Memory()
    for head, code in ((1_000, "WAIT_DOWNTREND"), (1_004, "WAIT_DOWNTREND"), (1_005, "")):
        ticks = bucketed(head, *RECOVERING)
        assert price_trend(ticks, head, dearest(UNKNOWN, ticks), entry, memory)[0] == code
    # a miss in between begins it anew
    ticks = bucketed(1_006, 140, 140, 150, 70, 70)
    assert price_trend(ticks, 1_006, dearest(UNKNOWN, ticks), entry, memory)[0] == "WAIT_DOWNTREND"
    assert memory.recovery_slot is None


def recovers(ticks, **overrides):
    memory = Memory()
    price_trend(ticks, 1_000, dearest(UNKNOWN, ticks), Entry(**{**TREND, **overrides}), memory)
    return memory.recovery_slot is not None


def test_a_recovery_needs_at_least_its_flow():
    ticks = bucketed(1_000, *RECOVERING)
    assert recovers(ticks, price_trend_recovery_min_inflow_lamports=15_000)
    assert not recovers(ticks, price_trend_recovery_min_inflow_lamports=15_001)
    mixed = [Tick(t.slot, n % 3 != 0, t.quote, t.base, "W") for n, t in enumerate(ticks)]
    assert recovers(mixed, price_trend_recovery_min_buy_dominance_bps=6_666)
    assert not recovers(mixed, price_trend_recovery_min_buy_dominance_bps=6_667)


def test_a_recovery_rises_strictly_in_its_newest_buckets():
    assert recovers(bucketed(1_000, 130, 140, 150, 70, 70))
    assert not recovers(bucketed(1_000, 130, 140, 140, 70, 70))
    assert recovers(bucketed(1_000, 130, 140, 140, 70, 70), price_trend_recovery_min_positive_buckets=1)
    assert not recovers(bucketed(1_000, 140, 140, 140, 70, 70), price_trend_recovery_min_positive_buckets=1)


def test_no_recovery_inside_a_falling_chain():
    """The dearest of each bucket stays, the medians fall from bucket to bucket."""
    ticks = bucketed(1_000, (100, 190, 190), (100, 180, 180), (100, 170, 170), (100, 140, 140), (100, 130, 130))
    none = {"price_trend_recovery_min_positive_buckets": 0}
    assert not recovers(ticks, **none)
    assert recovers(ticks, **none, price_trend_recovery_requires_no_lower_highs=False)


def test_the_middle_slot_belongs_to_the_newer_half():
    """Head 1000, half 150: a tick of slot 850 is new. With it the newer median is 100, without it 150."""
    entry = Entry(price_trend_min_trades=5, price_trend_min_tps_rise_bps=800)
    old = [Tick(800, True, 1, 100, "W")]
    at = [Tick(850, True, 1, 90, "W"), Tick(850, True, 1, 90, "W"), Tick(850, True, 1, 90, "W")]
    new = [Tick(999, True, 1, 150, "W"), Tick(1_000, True, 1, 150, "W")]
    best = dearest(UNKNOWN, at)
    assert price_trend([*old, *at, *new], 1_000, best, entry, Memory()) is PASS
    before = [Tick(849, True, 1, 90, "W")] * 3
    assert price_trend([*old, *before, *new], 1_000, best, entry, Memory())[0] == "WAIT_DOWNTREND"


def test_the_regime_changes_with_its_slot(world):
    w = world(min_unique_buyers=9)
    w.trade(100)
    w.trade(1_099, pool="Q")
    row = w.row()
    for slot, regime in ((1_099, "Early"), (1_100, "Established")):
        row.verdict = row.code = ""
        assert w.trade(slot)[0].regime == regime


def test_marks_without_a_place_follow_their_arrival(world):
    w = exit_at(world, 101)
    for sol in (6 * M, 7 * M):
        w.trade(102, sol=sol, tokens=M)
        assert w.position().mark.quote == sol
    w.trade(None, sol=8 * M, tokens=M)
    assert (w.position().mark.quote, w.position().mark_slot) == (8 * M, 102)


def test_events_without_a_slot_happen_now(world):
    w = world(min_unique_buyers=9)
    w.trade(100)
    w.row().dev = "D"
    w.trade(None, trader="D", buy=False)
    assert w.row().dev_sell_slot == 100
    w.take(LiquidityRemoved("P", "M", 10, 1), 41 * SOL)
    assert w.momentum.state.removals == {"M": 100}
    w.take(LiquidityRemoved("P", "M", 10, 1, slot=90), 41 * SOL)
    assert w.momentum.state.removals == {"M": 100}


def test_a_refusal_ends_with_its_time_for_events_of_every_kind(world):
    w = world(terminal_secs=60, min_unique_buyers=9)
    w.take(LiquidityRemoved("P", "M", 10, 1, slot=100))
    w.trade(100)
    assert last(w) == ("reject", "REJECT_LP_REMOVED")
    w.momentum.state.removals.clear()
    w.row().code = "WAIT_FEED_GAP"
    w.reserves(249)
    assert w.row().code == "WAIT_FEED_GAP"
    w.reserves(250)
    assert last(w) == ("wait", "WAIT_BUYER_WINDOW")


@pytest.mark.parametrize(("last_trade", "min_out"), [(True, 4_500_000), (False, 4_750_000)])
def test_without_a_quote_a_sell_asks_the_last_trade_then_the_entry(world, last_trade, min_out):
    w = exit_at(world, 101, exit_max_slippage_bps=500)
    w.row().dev = "D"
    w.known.pools.get("P").dex = "orca"
    w.trade(101, sol=4_736_843, tokens=M)
    if not last_trade:
        w.known.pools.get("P").trade_seq = None
        w.row().dev_sell_slot = 101
        intent = w.tick(102)[1]
    else:
        intent = w.trade(102, trader="D", buy=False, sol=4_736_843, tokens=M)[1]
    assert intent.execution.min_out.raw == min_out


def own(world, policy, measured):
    """What a policy's own gates say to these numbers."""
    w = world()
    w.trade(100)
    seen = policies.Seen(w.known, w.row(), w.momentum.gates.features.windows_of("P"), 100)
    policy.measure = lambda *_: measured
    return policy.own(seen)


@pytest.mark.parametrize(
    ("limits", "passes", "fails", "code"),
    [
        ({"require_dev_supply_known": True}, (1, 0, 0, 0), (0, 0, 0, 0), "WAIT_DEV_UNKNOWN"),
        ({"min_sample_buys": 8}, (0, 8, 0, 0), (0, 7, 0, 0), "WAIT_THIN_SAMPLE"),
        ({"wash_volume_cap_bps": 400}, (0, 0, 400, 0), (0, 0, 401, 0), "REJECT_WASH_TRADING"),
        ({"same_slot_buyers_cap_bps": 400}, (0, 0, 0, 400), (0, 0, 0, 401), "REJECT_BUNDLED_BUYS"),
        ({"wash_volume_cap_bps": 0}, (0, 0, 0, 0), (0, 0, 1, 0), "REJECT_WASH_TRADING"),
    ],
)
def test_the_own_gates_of_early_pass_at_their_limit(world, limits, passes, fails, code):
    policy = policies.early(EARLY, EarlyOnly(**limits))
    assert [gate.code for gate in policy.gates] == [code]
    assert own(world, policy, policies.Thin(*passes)) is PASS
    assert own(world, policy, policies.Thin(*fails))[0] == code


@pytest.mark.parametrize(
    ("limits", "passes", "fails", "code"),
    [
        ({"breakout_min_candles": 3}, (3, 100, 100, 0, 0), (2, 100, 100, 0, 0), "WAIT_HISTORY"),
        ({"breakout_min_rise_bps": 100}, (3, 100, 100, 0, 0), (3, 99, 100, 0, 0), "WAIT_BREAKOUT"),
        ({"breakout_min_rise_bps": 0}, (3, 0, 0, 0, 0), (3, -1, 0, 0, 0), "WAIT_BREAKOUT"),
        ({"breakout_max_rise_bps": 500}, (3, 500, 500, 0, 0), (3, 500, 501, 0, 0), "WAIT_OVEREXTENDED"),
        (
            {"volatility_min_expansion_bps": 15_000},
            (3, 100, 100, 15_000, 0),
            (3, 100, 100, 14_999, 0),
            "WAIT_VOLATILITY_EXPANSION",
        ),
        (
            {"volume_min_expansion_bps": 20_000},
            (3, 100, 100, 0, 20_000),
            (3, 100, 100, 0, 19_999),
            "WAIT_VOLUME_EXPANSION",
        ),
    ],
)
def test_the_own_gates_of_established_pass_at_their_limit(world, limits, passes, fails, code):
    policy = policies.established(ESTABLISHED, EstablishedOnly(**{"breakout_candles": 4, **limits}))
    assert own(world, policy, policies.Breakout(*passes)) is PASS
    assert own(world, policy, policies.Breakout(*fails))[0] == code


def test_a_rise_is_judged_exactly():
    """100.5 bps over the base: enough for a floor of 100, too much for a cap of 100, neither for 101 and 101."""
    from ironcrab.strategy.candles import Candles

    flow = FlowRow("P", "M", 0, 0)
    flow.ticks += [Tick(10, True, 20_000, 20_000, "W"), Tick(20, True, 20_201, 20_000, "W")]
    found = policies.breakout(Candles(10).follow(flow, 20), flow, 20, 1)
    assert (found.candles, found.rise_bps, found.rise_up_bps) == (1, 100, 101)


@pytest.mark.parametrize(("slot", "start"), [(149, 75), (150, 150), (224, 150)])  # a candle begins with its first slot
def test_a_candle_begins_at_a_multiple_of_its_span(slot, start):
    from ironcrab.strategy.candles import Candles

    assert Candles(75).running(slot) == start


@pytest.mark.parametrize(("slot", "guard"), [(111, ""), (112, "STALE_CACHE_AGE_MS")])
def test_a_quote_is_stale_after_its_last_slot(world, slot, guard):
    """4,000 ms are ten slots: told in slot 101, it is used through slot 111."""
    w = exit_at(world, 101, exit_quote_ttl_ms=4_000)
    w.reserves(101, base=10**15, quote=5 * 10**15)
    w.tick(slot)
    assert w.momentum.exits.look(w.position()).guard == guard


@pytest.mark.parametrize(("after", "left_out"), [(120, True), (121, False)])
def test_a_route_is_left_out_for_its_whole_window(world, after, left_out):
    from ironcrab.strategy.rows import NANOS, Failure

    w = exit_at(world, 101, exit_multi_pool_routing=True)
    w.reserves(101, pool="Q")
    position = w.position()
    for count, expected in ((2, ["P", "Q"]), (3, ["Q"] if left_out else ["P", "Q"])):
        position.failed["P"] = Failure(count, w.now.time - after * NANOS)
        assert [row.pool_address for row in w.momentum.exits.routes.of(position)] == expected
