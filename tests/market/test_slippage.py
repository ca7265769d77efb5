"""Slippage: the source's numbers, size classes, bounds, restore."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.ask import ConfirmAnswer, Plan, SendAsk
from ironcrab.domain.market import ExplicitAmount, PoolStateUpdate
from ironcrab.domain.units import SOL_MINT
from ironcrab.loop import Now
from ironcrab.market.known import Known
from ironcrab.market.slippage import CAP_BPS, MOST_FILLS, Learned, Policy, SlippageState, quantile

DAY = 86_400


class World:
    """A pool of 1,000,000 raw units of SOL, and fills on it."""

    def __init__(self):
        self.known = Known.fresh(Now())
        self.slippage = self.known.slippage
        state = PoolStateUpdate("P", "raydium", 10**6, 10**6, "M", SOL_MINT, 1, slot=1)
        self.known.pools.step(1, state)
        self.seq = 10

    def fill(self, expected, actual, amount=1_000, status="confirmed", at=0, pool="P"):
        self.known.now.time = at * 1_000_000_000
        plan = Plan(
            "Buy", "raydium", pool, SOL_MINT, "M", amount, 1, 100, 200_000, 1, 0, "h", expected_out=expected,
        )  # fmt: skip
        self.seq += 2
        assert self.slippage.step(self.seq, SendAsk(1, 0, plan)) == ()
        out = None if actual is None else ExplicitAmount(actual, 6)
        self.slippage.step(self.seq + 1, ConfirmAnswer(self.seq, status, fill_out=out, ordinal=1))

    def learned(self, amount=1_000, **policy):
        return self.slippage.learned("P", SOL_MINT, amount, Policy(**policy))


def test_percentiles_by_the_documented_formula():
    assert quantile([1, 2, 3, 4, 5], 5_000) == 3
    assert quantile([1, 2, 3, 4, 5], 9_500) == 4, "index trunc(0.95 x 4) = 3; the source's own test says 5"


def test_fallback_below_twenty_fills():
    world = World()
    for _ in range(19):
        world.fill(1000, 900)
    learned = world.learned()
    assert (learned.samples, learned.quantile, learned.seq) == (19, None, None)
    assert learned.least(1000) == 990
    world.fill(1000, 900)
    learned = world.learned()
    assert (learned.samples, learned.quantile, learned.allowed) == (20, 100_000, 120_000)
    assert learned.least(1000) == 880
    assert learned.seq == world.seq + 1


def test_min_out_by_slippage():
    for bps, out in ((500, 950), (100, 990), (0, 1000), (10_000, 0)):
        assert Learned("small", 0, None, bps * 100, None).least(1000) == out


def test_the_quantile_is_capped_and_a_better_fill_allows_nothing():
    world = World()
    for _ in range(20):
        world.fill(1000, 300)
    assert world.learned().allowed == CAP_BPS * 100
    world = World()
    for _ in range(20):
        world.fill(1000, 1100)
    assert (world.learned().quantile, world.learned().allowed) == (-100_000, 0)


def test_classes_of_size_are_apart():
    world = World()
    sizes = [world.slippage.size("P", SOL_MINT, amount) for amount in (9_999, 10_000, 49_999, 50_000)]
    assert sizes == ["small", "medium", "medium", "large"]
    assert world.slippage.size("Q", SOL_MINT, 1) == "unknown"
    for _ in range(20):
        world.fill(1000, 900, amount=20_000)
    assert world.learned(1_000).samples == 0
    assert world.learned(30_000).samples == 20
    assert world.slippage.learned("P", "M", 30_000, Policy()).samples == 0, "directions are apart"


def test_old_fills_do_not_count():
    world = World()
    for at in range(20):
        world.fill(1000, 900, at=at)
    world.known.now.time = DAY * 1_000_000_000
    assert world.learned().samples == 20
    world.known.now.time = (DAY + 1) * 1_000_000_000
    assert world.learned().samples == 19
    assert world.learned(max_age_secs=10**6).samples == 20


def test_only_confirmed_fills_that_are_known_teach():
    world = World()
    world.fill(1000, 900, status="failed")
    world.fill(1000, None)
    world.fill(None, 900)
    assert world.slippage.state == SlippageState()
    world.fill(1000, 900, status="timeout")
    assert len(world.slippage.state.sent) == 1, "it may still land"


def test_bounds():
    world = World()
    for _ in range(MOST_FILLS + 7):
        world.fill(1000, 900)
    assert len(next(iter(world.slippage.state.series.values())).fills) == MOST_FILLS
    for number in range(5_000):
        world.fill(1000, 900, pool=f"P{number}")
    assert len(world.slippage.state.series) <= 4_096
    for number in range(2_000):
        world.fill(1000, 900, status="timeout", pool=f"P{number}")
    assert len(world.slippage.state.sent) <= 1_024


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.integers(1, 10**12), st.integers(0, 10**12), st.integers(1, 10**5)), max_size=40),
    st.integers(0, 40),
)
def test_restored_anywhere_and_never_above_the_quote(fills, cut):
    one, other = World(), World()
    for number, (expected, actual, amount) in enumerate(fills):
        for world in (one, other):
            world.fill(expected, actual, amount, at=number)
        if number == cut:
            other.slippage.state = msgspec.json.decode(msgspec.json.encode(other.slippage.state), type=SlippageState)
    assert one.slippage.state == other.slippage.state
    learned = one.learned(min_samples=1)
    assert 0 <= learned.least(10**9) <= 10**9
    assert 0 <= learned.allowed <= CAP_BPS * 100
