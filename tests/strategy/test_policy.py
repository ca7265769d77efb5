"""The gates that only one regime has: EARLY's on thin data, ESTABLISHED's on a breakout."""

import pytest

from ironcrab.domain.market import DevWalletIdentified
from ironcrab.domain.trade import Verdict
from ironcrab.market.price import Price
from ironcrab.strategy import policy as policies
from ironcrab.strategy.candles import Candle
from ironcrab.strategy.params import EARLY, ESTABLISHED, EarlyOnly, EstablishedOnly

SOL = 1_000_000_000
BASE = {
    "early_slot_threshold": 0,
    "established_breakout_candles": 4,
    "established_breakout_min_candles": 3,
    "established_breakout_min_rise_bps": 100,
}


def last(world):
    return world.verdicts()[-1]


def numbers(world):
    said = [record.event for record in world.log if isinstance(record.event, Verdict)][-1]
    return {m.name: (m.value, m.limit) for m in said.measures}


def regime(world):
    return [record.event for record in world.log if isinstance(record.event, Verdict)][-1].regime


def test_by_default_neither_regime_has_gates_of_its_own():
    assert policies.early(EARLY, EarlyOnly()).gates == ()
    assert policies.established(ESTABLISHED, EstablishedOnly()).gates == ()


# EARLY


def test_a_creator_whose_share_is_not_told_holds_back(world):
    w = world(early_require_dev_supply_known=True)
    w.trade(100)
    assert last(w) == ("wait", "WAIT_DEV_UNKNOWN")
    w.take(DevWalletIdentified("M", "D", "no number", slot=100))
    assert last(w) == ("wait", "WAIT_DEV_UNKNOWN")
    w.take(DevWalletIdentified("M", "D", "5", slot=100))
    assert last(w) == ("enter", "ENTER_PROBE_BUY")
    assert numbers(w)["dev_supply_known"] == (1, 1)


def test_a_thin_sample_waits_where_the_other_gates_are_silent(world):
    w = world(early_min_sample_buys=3, top1_buyer_share_cap_bps=3_000)
    for n in range(2):
        w.trade(100 + n, trader="A")
    assert last(w) == ("wait", "WAIT_THIN_SAMPLE")
    assert numbers(w) == {"buys": (1, 3)}
    w.trade(102, trader="A", buy=False)
    assert last(w) == ("wait", "WAIT_THIN_SAMPLE")
    w.trade(103, trader="B")
    assert last(w) == ("enter", "ENTER_PROBE_BUY")


def test_who_buys_and_sells_washes(world):
    """Six buyers of one SOL each; of two that sold as well 3,334 bps of the volume came, rounded up."""
    w = world(min_unique_buyers=6, early_wash_volume_cap_bps=3_333)
    for name in "ABCDE":
        w.trade(100, trader=name)
    w.trade(101, trader="A", buy=False, sol=SOL // 10)
    w.trade(101, trader="B", buy=False, sol=SOL // 10)
    w.trade(101, trader="Z", buy=False, sol=SOL // 10)
    w.trade(102, trader="F")
    assert last(w) == ("reject", "REJECT_WASH_TRADING")
    assert numbers(w) == {"wash_volume_bps": (3_334, 3_333)}


def test_buys_of_one_slot_are_bundled(world):
    w = world(min_unique_buyers=6, early_same_slot_buyers_cap_bps=8_333)
    for name in "AABCDE":
        w.trade(100, trader=name)
    w.trade(101, trader="F")
    assert last(w) == ("reject", "REJECT_BUNDLED_BUYS")
    assert numbers(w) == {"same_slot_buyers_bps": (8_334, 8_333)}


def test_both_caps_are_silent_below_the_sample(world):
    w = world(min_unique_buyers=4, early_wash_volume_cap_bps=1, early_same_slot_buyers_cap_bps=1)
    for name in "ABC":
        w.trade(100, trader=name)
    w.trade(100, trader="A", buy=False)
    w.trade(100, trader="D")
    assert last(w) == ("enter", "ENTER_PROBE_BUY")


def test_an_established_pool_is_not_asked_what_a_new_one_is(world):
    w = world(early_slot_threshold=10, early_min_sample_buys=10**6)
    w.trade(100)
    assert last(w) == ("wait", "WAIT_THIN_SAMPLE")
    w.trade(110)
    assert (last(w), regime(w)) == (("enter", "ENTER_PROBE_BUY"), "Established")


# ESTABLISHED. Candles of 75 slots: slot 1,200 begins one.


def based(world, *highs, **overrides):
    """A pool whose first candle began in slot 900; in each candle the price rises to `high` thousandths and falls back.

    A thousand raw units for a thousand lamports are par. While the base is made the pool is not judged.
    """
    w = world(**{**BASE, **overrides})
    w.trade(900, sol=1_000 * SOL, tokens=1_000 * SOL)
    w.row().until = 10**18
    for n, high in enumerate(highs):
        if n:
            w.trade(900 + 75 * n, sol=1_000 * SOL, tokens=1_000 * SOL)
        w.trade(900 + 75 * n + 1, sol=high * SOL, tokens=1_000 * SOL)
        w.trade(900 + 75 * n + 2, sol=1_000 * SOL, tokens=1_000 * SOL)
    w.row().until = 0
    return w


def priced(w, slot, price, volume=1_000):
    """A trade at `price` thousandths for about `volume` SOL."""
    return w.trade(slot, sol=price * SOL * volume // 1_000, tokens=SOL * volume)


def test_without_a_base_it_waits(world):
    w = world(**BASE)
    w.trade(1_200)
    assert (last(w), regime(w)) == (("wait", "WAIT_HISTORY"), "Established")
    assert numbers(w) == {"base_candles": (0, 3)}


def test_a_breakout_enters_and_says_its_numbers(world):
    w = based(world, 1_010, 1_020, 1_010, 1_000)
    priced(w, 1_200, 1_020)
    assert last(w) == ("wait", "WAIT_BREAKOUT")
    assert numbers(w) == {"rise_bps": (0, 100)}
    priced(w, 1_201, 1_031)
    assert last(w) == ("enter", "ENTER_PROBE_BUY")
    assert numbers(w)["base_candles"] == (4, 3)
    assert numbers(w)["rise_bps"] == (107, 100)


def test_below_the_base_the_rise_is_negative(world):
    w = based(world, 1_010, 1_020, 1_010, 1_000)
    priced(w, 1_200, 1_000)
    assert numbers(w) == {"rise_bps": (-197, 100)}


def test_what_has_run_away_is_not_chased(world):
    w = based(world, 1_000, 1_000, 1_000, 1_000, established_breakout_max_rise_bps=500)
    priced(w, 1_200, 1_051)
    assert last(w) == ("wait", "WAIT_OVEREXTENDED")
    assert numbers(w) == {"rise_bps": (510, 500)}
    priced(w, 1_201, 1_050)
    assert last(w) == ("enter", "ENTER_PROBE_BUY")


def test_volatility_expands_against_the_mean_of_the_base(world):
    """Base ranges 100, 200, 100 and 0 bps: mean 100. The running range counts the close before it."""
    w = based(world, 1_010, 1_020, 1_010, 1_000, established_volatility_min_expansion_bps=40_000)
    priced(w, 1_200, 1_035)
    assert last(w) == ("wait", "WAIT_VOLATILITY_EXPANSION")
    assert numbers(w) == {"range_expansion_bps": (35_000, 40_000)}
    priced(w, 1_201, 1_040)
    assert last(w) == ("enter", "ENTER_PROBE_BUY")


def test_volume_expands_against_the_mean_of_the_base(world):
    """A base candle moves 3,000 SOL and a little."""
    w = based(world, 1_000, 1_000, 1_000, 1_000, established_volume_min_expansion_bps=20_000)
    priced(w, 1_200, 1_050, 5_000)
    assert last(w) == ("wait", "WAIT_VOLUME_EXPANSION")
    assert numbers(w) == {"volume_expansion_bps": (17_500, 20_000)}
    priced(w, 1_201, 1_050, 5_000)
    assert last(w) == ("enter", "ENTER_PROBE_BUY")


def test_a_base_that_stood_still_expands_with_any_move(world):
    w = based(world, 1_000, 1_000, 1_000, 1_000, established_volatility_min_expansion_bps=10**6)
    priced(w, 1_200, 1_010)
    assert last(w) == ("enter", "ENTER_PROBE_BUY")
    assert numbers(w)["range_expansion_bps"] == (policies.FROM_NOTHING, 10**6)


def test_a_new_pool_needs_no_breakout(world):
    w = world(**{**BASE, "early_slot_threshold": 10_000})
    w.trade(1_200)
    assert (last(w), regime(w)) == (("enter", "ENTER_PROBE_BUY"), "Early")


def test_the_base_reaches_as_far_as_the_flow_is_remembered(world):
    """Candles of 75 slots: nine of them and the running one lie within 750 slots."""
    w = based(world, 2_000, *[1_000] * 9, established_breakout_candles=64)
    priced(w, 1_650, 1_020)
    assert last(w) == ("enter", "ENTER_PROBE_BUY")
    assert numbers(w)["base_candles"] == (9, 3)
    nearer = based(world, 2_000, *[1_000] * 8, established_breakout_candles=64)
    priced(nearer, 1_575, 1_020)
    assert last(nearer) == ("wait", "WAIT_BREAKOUT")


def test_a_scale_in_asks_the_own_gates_again(world):
    w = based(world, 1_000, 1_000, 1_000, 1_000, established_breakout_max_rise_bps=500)
    w.reserves(1_199)
    priced(w, 1_200, 1_020)
    w.fill(1_000_000, slot=1_200, paid=1_250_000)
    priced(w, 1_201, 1_060)
    w.reserves(1_202, base=10**18, quote=126 * 10**16)
    assert last(w) == ("hold", "WAIT_OVEREXTENDED")


@pytest.mark.parametrize("price", [Price(100, 100), Price(0, 5)])
def test_one_price_is_no_range(price):
    candle = Candle(0)
    candle.traded(price)
    assert policies.true_range_bps(candle, Price(0, 0)) == 0
