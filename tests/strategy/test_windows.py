from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.control import ForkOrphaned
from ironcrab.domain.market import Trade
from ironcrab.loop import Now
from ironcrab.market import flow as flow_module
from ironcrab.market.flow import MOST_TICKS, Flow, FlowRow, Tick, dearest
from ironcrab.market.price import UNKNOWN, gain_bps
from ironcrab.strategy import candles as candles_module
from ironcrab.strategy import windows as windows_module
from ironcrab.strategy.candles import Candles
from ironcrab.strategy.policy import breakout
from ironcrab.strategy.windows import Windows

STEPS = st.lists(
    st.tuples(
        st.integers(0, 12),  # slots forward
        st.integers(0, 3),  # slots late
        st.booleans(),
        st.integers(0, 50),
        st.integers(0, 50),
        st.sampled_from("ABCDEF"),
        st.booleans(),  # ask now
        st.integers(0, 60),  # 0: a fork orphans the slot before
    ),
    min_size=1,
    max_size=200,
)


def counted(ticks):
    """The same numbers, counted."""
    buys = [tick for tick in ticks if tick.is_buy]
    volumes, counts = {}, {}
    for tick in buys:
        volumes[tick.trader] = volumes.get(tick.trader, 0) + tick.quote
        counts[tick.trader] = counts.get(tick.trader, 0) + 1
    tops = sorted(volumes.values(), reverse=True)
    return {
        "trades": len(ticks),
        "buys": len(buys),
        "bought": sum(tick.quote for tick in buys),
        "sold": sum(tick.quote for tick in ticks) - sum(tick.quote for tick in buys),
        "small": sum(tick.quote < 10 for tick in buys),
        "counts": counts,
        "repeats": sum(count > 1 for count in counts.values()),
        "shares": (sum(tops[:1]), sum(tops[:3])),
    }


@settings(derandomize=True, deadline=None, max_examples=120)
@given(STEPS, st.sampled_from([8, 2_048]))
def test_windows_equal_a_count(steps, most):
    flow_module.MOST_TICKS = windows_module.MOST_TICKS = most
    try:
        check(steps, most)
    finally:
        flow_module.MOST_TICKS = windows_module.MOST_TICKS = MOST_TICKS


def check(steps, most):
    now = Now()
    flow = Flow(now)
    windows, everything = None, []
    for seq, (forward, late, buy, sol, tokens, trader, ask, fork) in enumerate(steps):
        now.slot += forward
        slot = max(0, now.slot - late)
        flow.step(seq, Trade("P", "M", trader, buy, sol, tokens, 6, "raydium", slot=slot))
        everything.append(Tick(slot, buy, sol, tokens, trader))
        if not fork:
            flow.step(seq, ForkOrphaned(now.slot - 1, "test"))
            everything = [tick for tick in everything if tick.slot != now.slot - 1]
        windows = windows or Windows(flow.get("P"))
        if not ask or not everything:
            continue
        for span in (10, 40):
            oldest = now.slot - span
            start = next((n for n, tick in enumerate(everything) if tick.slot >= oldest), len(everything))
            inside = everything[max(start, len(everything) - most) :]
            expect = counted(inside)
            sums, buyers = windows.sums_of(span, now.slot), windows.buyers_of(str(span), span, 10, now.slot)
            for name in ("trades", "buys", "bought", "sold"):
                assert getattr(sums, name) == expect[name], name
            for name in ("trades", "buys", "bought", "small", "counts", "repeats"):
                assert getattr(buyers, name) == expect[name], name
            one, three = expect["shares"]
            for cap1, cap3 in ((3_500, 6_000), (2_000, 9_000), (10_000, 5_000)):
                assert buyers.within(cap1, cap3, 10_000) == (
                    one * 10_000 <= cap1 * expect["bought"] and three * 10_000 <= cap3 * expect["bought"]
                )
            assert buyers.shares() == expect["shares"]
            assert windows.ticks_of(span, now.slot) == inside
    if all(fork for *_, fork in steps):
        assert flow.get("P").best.known == dearest(UNKNOWN, everything).known
        assert not gain_bps(flow.get("P").best, dearest(UNKNOWN, everything))


def test_buyer_quality_of_the_sheet():
    """A 50+30+20, B 50, C 50, a sell ignored: 3 buyers, volume 200, top1 0.5, top3 1.0, repeat 1/3."""
    row = FlowRow("P", "M", 0, 0)
    for trader, quote in (("A", 50), ("A", 30), ("A", 20), ("B", 50), ("C", 50)):
        row.ticks.append(Tick(5, True, quote, 1, trader))
    row.ticks.append(Tick(5, False, 70, 1, "A"))
    buyers = Windows(row).buyers_of("Early", 300, 0, 5)
    assert (len(buyers.counts), buyers.bought, buyers.shares(), buyers.repeats) == (3, 200, (100, 200), 1)


def test_a_window_of_ten_seconds_sees_one_of_five():
    row = FlowRow("P", "M", 0, 0)
    row.ticks += [Tick(slot, True, 1, 1, f"W{slot}") for slot in (0, 10_000, 20_000, 30_000, 40_000)]
    assert len(Windows(row).buyers_of("Early", 25, 0, 40_005).counts) == 1


def test_dominance_counts_in_the_window_only():
    row = FlowRow("P", "M", 0, 0)
    row.ticks += [Tick(10 + n, True, 1, 1, "W") for n in range(20)]
    row.ticks += [Tick(1_000 + n, False, 1, 1, "W") for n in range(8)]
    sums = Windows(row).sums_of(300, 1_010)
    assert (sums.buys, sums.trades) == (0, 8)


def test_trades_since_an_entry():
    row = FlowRow("P", "M", 0, 0)
    row.ticks += [Tick(slot, True, 1, 1, "W") for slot in range(100)]
    windows = Windows(row)
    assert windows.since(95, 75, 99).trades == 4
    assert windows.since(10, 75, 99).trades == 76
    row.ticks.append(Tick(100, True, 1, 1, "W"))
    assert windows.since(10, 75, 100).trades == 76


@settings(derandomize=True, deadline=None, max_examples=120)
@given(STEPS, st.sampled_from([8, 2_048]))
def test_candles_that_follow_equal_candles_made_anew(steps, most):
    flow_module.MOST_TICKS = windows_module.MOST_TICKS = candles_module.MOST_TICKS = most
    try:
        now, flow, follows = Now(), Flow(Now()), Candles(10)
        flow.now = now
        for seq, (forward, late, buy, sol, tokens, trader, ask, fork) in enumerate(steps):
            now.slot += forward
            flow.step(seq, Trade("P", "M", trader, buy, sol, tokens, 6, "raydium", slot=max(0, now.slot - late)))
            if not fork:
                flow.step(seq, ForkOrphaned(now.slot - 1, "test"))
            if ask:
                told = [breakout(each, flow.get("P"), now.slot, 8) for each in candles(follows, flow, now)]
                assert told[0] == told[1]
    finally:
        flow_module.MOST_TICKS = windows_module.MOST_TICKS = candles_module.MOST_TICKS = MOST_TICKS


def candles(follows, flow, now):
    """The candles that follow, and others made of what the flow remembers now."""
    return follows.follow(flow.get("P"), now.slot), Candles(10).follow(flow.get("P"), now.slot)


def test_a_candle_that_lost_a_trade_is_left_out():
    """The flow keeps the newest ticks: of the candle that the cut goes through nothing is said."""
    row = FlowRow("P", "M", 0, 0)
    row.ticks = [Tick(n // 1_000, True, 10, 10, "W") for n in range(4_000)]
    made = Candles(1).follow(row, 3)
    assert [made.at(slot) is not None for slot in range(4)] == [False, False, True, True]
    del row.ticks[: 4_000 - MOST_TICKS]
    row.dropped = 4_000 - MOST_TICKS
    again = Candles(1).follow(row, 3)
    assert [again.at(slot) is not None for slot in range(4)] == [False, False, True, True]
