import json
import os
from pathlib import Path

import pytest

from ironcrab.market.flow import Tick, dearest
from ironcrab.market.price import UNKNOWN, Price
from ironcrab.strategy.params import Entry, slots
from ironcrab.strategy.shape import PASS, Memory, dump_recovery, price_trend
from ironcrab.strategy.shape import _below as below
from ironcrab.strategy.shape import _median as median

SHARED = Path(os.environ.get("IRONCRAB_SHARED", Path(__file__).parents[2] / ".." / "shared")).resolve()
VECTORS = SHARED / "data" / "ironcrab_samples" / "price_trend_vectors.jsonl"


def entry_of(cfg):
    return Entry(
        price_trend_window_secs=cfg["window"],
        price_trend_min_trades=cfg["min_trades"],
        price_trend_min_tps_rise_bps=round(cfg["rise"] * 100),
        price_trend_max_drawdown_bps=round(cfg["dd"] * 100),
        price_trend_bucket_count=cfg["buckets"],
        price_trend_lower_highs_max_breaks=cfg["breaks"],
        price_trend_recovery_min_buy_dominance_bps=round(cfg["r_dom"] * 10_000),
        price_trend_recovery_min_inflow_lamports=cfg["r_inflow"],
        price_trend_recovery_min_positive_buckets=cfg["r_pos"],
        price_trend_recovery_min_secs=cfg["r_secs"],
        price_trend_recovery_requires_no_lower_highs=cfg["r_nolh"],
    )


@pytest.mark.skipif(not VECTORS.exists(), reason="skipped: shared inputs are not beside the checkout")
def test_price_trend_vectors():
    memory = Memory()
    seen = 0
    for line in VECTORS.read_text().splitlines():
        case = json.loads(line)
        if "step2" not in case["name"]:
            memory = Memory()
        entry, head, expect = entry_of(case["cfg"]), case["head"], case["expect"]
        ticks = [Tick(slot, buy, quote, base, "W") for slot, quote, base, buy in case["trades"]]
        inside = [tick for tick in ticks if head - tick.slot <= slots(entry.price_trend_window_secs)]
        code, numbers = price_trend(inside, head, dearest(UNKNOWN, ticks), entry, memory)
        measured = {name: value for name, value, _ in numbers}
        assert code == ("WAIT_DOWNTREND" if expect[0] == "wait" else ""), case["name"]
        if expect[:2] == ["wait", "lower_highs"]:
            assert measured == {"rise_bps": int(expect[2] * 100), "breaks": expect[3]}
        elif expect[0] == "wait":
            assert measured["drawdown_bps"] == int(expect[2] * 100)
            assert measured["slope_bps"] == int(expect[3] * 100)
            assert (measured["recovery_slots"] >= 0) == (expect[4] == "stabilizing")
        seen += 1
    assert seen == 10


def rising(prices, head=1_000):
    """Four buys each, newest bucket first: tokens per SOL of the buckets of a 300-slot window."""
    return [
        Tick(head - 30 - 60 * k + i, True, 1_000_000, price * 1_000_000, "W")
        for k, price in enumerate(prices)
        for i in range(4)
    ]


def test_an_unbroken_chain_of_lower_highs_waits_and_a_break_passes():
    entry = Entry()
    falling = rising([120, 115, 110, 105, 100])
    code, numbers = price_trend(falling, 1_000, Price(100, 1), entry, Memory())
    assert (code, numbers) == ("WAIT_DOWNTREND", (("rise_bps", 2_000, 800), ("breaks", 0, 0)))
    assert price_trend(rising([100, 105, 110, 115, 120]), 1_000, Price(100, 1), entry, Memory()) is PASS
    assert price_trend(falling[:17], 1_000, Price(100, 1), entry, Memory()) is PASS
    broken = rising([120, 115, 118, 105, 100])
    assert price_trend(broken, 1_000, Price(118, 1), entry, Memory()) is PASS
    lenient = Entry(price_trend_lower_highs_max_breaks=1)
    assert price_trend(broken, 1_000, Price(118, 1), lenient, Memory())[0] == "WAIT_DOWNTREND"


def test_equality_is_a_trend():
    exact = rising([108, 106, 104, 102, 100])
    assert price_trend(exact, 1_000, Price(108, 1), Entry(), Memory())[0] == "WAIT_DOWNTREND"
    assert price_trend(exact, 1_000, Price(108, 1), Entry(price_trend_min_tps_rise_bps=801), Memory()) is PASS


def test_medians_are_exact():
    ticks = [Tick(1, True, quote, base, "W") for quote, base in ((3, 1), (3, 2), (7, 3), (1, 5))]
    assert median([]) == UNKNOWN
    assert median(ticks[:3]) == Price(3, 7)
    middle = median(ticks)  # the mean of 3/7 and 2/3
    assert middle.base * 21 * 2 == middle.quote * (9 + 14)
    close = [Tick(1, True, 2**64 - 1, 2**64 - 2, "W"), Tick(1, True, 2**64 - 2, 2**64 - 3, "W")]
    assert median([*close, *close, close[1]]) == Price(2**64 - 3, 2**64 - 2)


def test_newest_buckets_must_rise():
    """Medians (120, 130, none) are one rise of two, (115, 125, 135) are two."""
    one, two = [Price(120, 1), Price(130, 1), UNKNOWN], [Price(115, 1), Price(125, 1), Price(135, 1)]
    assert [all(below(m[k], m[k + 1]) for k in range(2)) for m in (one, two)] == [False, True]


class Flow:
    """Counts over a list, as the window would have them."""

    def __init__(self, ticks, head, span):
        inside = [tick for tick in ticks if head - tick[0] <= span]
        self.trades = len(inside)
        self.buys = sum(buy for _, buy, _ in inside)
        self.bought = sum(amount for _, buy, amount in inside if buy)
        self.sold = sum(amount for _, buy, amount in inside if not buy)


def test_dump_recovery():
    """The sheet's sequence; at 5100 the window is empty, and an empty window does not clear a dump."""
    entry = Entry(
        dump_recovery_window_secs=30,
        dump_recovery_min_buy_dominance_bps=6_000,
        dump_recovery_min_net_inflow_lamports=100,
        dump_recovery_min_recovery_secs=10,
    )
    memory = Memory()
    sells = [(5_001 + n, False, 200) for n in range(5)]
    buys = [(5_010 + n, True, 300) for n in range(8)]

    def judge(ticks, head):
        return dump_recovery(Flow(ticks, head, 75), head, entry, memory)

    assert judge(sells, 5_050) == ("WAIT_CONFIRMATION", (("net_inflow_lamports", -1_000, 100),))
    assert judge(sells + buys, 5_070) == ("WAIT_CONFIRMATION", (("recovery_slots", 0, 25),))
    assert judge(sells + buys, 5_085) == ("WAIT_CONFIRMATION", (("recovery_slots", 15, 25),))
    assert judge(sells + buys, 5_100) == ("WAIT_CONFIRMATION", (("trades", 0, 5),))
    assert judge(sells + buys, 5_125) == ("WAIT_CONFIRMATION", (("trades", 0, 5),))
    assert judge(sells + buys, 5_126) is PASS
    assert memory == Memory()


def test_dump_recovery_passes_once_it_held_long_enough():
    entry = Entry(dump_recovery_min_net_inflow_lamports=100)
    memory = Memory()
    ticks = [(1_000 + n, False, 200) for n in range(5)]
    assert dump_recovery(Flow(ticks, 1_005, 75), 1_005, entry, memory)[0] == "WAIT_CONFIRMATION"
    ticks += [(1_010 + n, True, 300) for n in range(8)]
    assert dump_recovery(Flow(ticks, 1_020, 75), 1_020, entry, memory)[0] == "WAIT_CONFIRMATION"
    assert dump_recovery(Flow(ticks, 1_044, 75), 1_044, entry, memory)[0] == "WAIT_CONFIRMATION"
    assert dump_recovery(Flow(ticks, 1_045, 75), 1_045, entry, memory) is PASS


def test_slots_of_seconds():
    assert [slots(secs) for secs in (0, 1, 10, 15, 30, 60, 120)] == [0, 2, 25, 37, 75, 150, 300]
