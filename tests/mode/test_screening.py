"""The pre-screen of EMA sweeps gives what the exact reducer gives, compiled or not."""

import importlib.util
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.fault import InputFault
from ironcrab.domain.market import Trade
from ironcrab.log.recording import Recording
from ironcrab.mode.anew import decide_anew
from ironcrab.mode.generating import generate
from ironcrab.mode.run import run_events
from ironcrab.mode.scenario import read
from ironcrab.mode.screening import LARGEST, Ticks, count, intents_of, screen, ticks_of
from ironcrab.mode.synthetic import MarketParams
from ironcrab.strategy.ema import SCALE, EmaCross, EmaParams

needs_numba = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason="skipped: numba is not installed (extra `kernels`)"
)
PARAMS = MarketParams(
    events=6_000, seed=4, coins=9, venues=("raydium",), trades_per_slot=40, states=False, failed_bps=0, launch_every=0
)
POOLS = [f"Pool{place}" for place in range(4)]
ROWS = st.builds(
    EmaParams,
    fast=st.integers(1, 40),
    slow=st.integers(1, 40),
    most_orders=st.integers(0, 5),
    pools=st.sampled_from([(), ("Pool1",), ("Pool0", "Pool3"), ("Other",)]),
)
TRADES = st.lists(
    st.tuples(
        st.sampled_from(POOLS),
        st.one_of(st.integers(0, 50), st.integers(0, LARGEST // SCALE - 1), st.sampled_from((1, LARGEST // SCALE - 1))),
    ),
    max_size=80,
)
HUGE = st.lists(
    st.tuples(st.sampled_from(POOLS), st.one_of(st.integers(1, 50), st.integers(LARGEST // SCALE, 2**64 - 1))),
    min_size=20,
    max_size=60,
)


def exact(trades, row):
    ema, intents = EmaCross(row, None), 0
    for seq, (pool, sol) in enumerate(trades):
        intents += len(ema.step(seq, Trade(pool, "Mint", "Trader", True, sol, 1, 6, "raydium")))
    return sum(averages.crosses for averages in ema.state.pools.values()), intents


def columns(trades):
    pools, prices, names, large = array("q"), array("q"), {}, {}
    for pool, sol in trades:
        if sol:
            if sol * SCALE >= LARGEST:
                large[len(prices)] = sol * SCALE
            pools.append(names.setdefault(pool, len(names)))
            prices.append(sol * SCALE if sol * SCALE < LARGEST else 0)
    return Ticks(pools, prices, names, large)


def plainly(ticks, row):
    averages = tuple([0] * len(ticks.names) for _ in range(3))
    folded = [not row.pools or name in row.pools for name in ticks.names]
    return count(ticks.pools, ticks.prices, folded, (row.fast, row.slow, row.most_orders), averages)


@given(TRADES, ROWS)
@settings(derandomize=True, deadline=None, max_examples=300)
def test_the_kernel_says_what_the_reducer_says(trades, row):
    assert plainly(columns(trades), row) == exact(trades, row)


@needs_numba
@given(TRADES, st.lists(ROWS, min_size=1, max_size=4))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_compiled_as_well(trades, rows):
    found = screen(columns(trades), rows)
    assert [(one.crosses, one.intents) for one in found] == [exact(trades, row) for row in rows]


@needs_numba
@given(HUGE, st.lists(ROWS, min_size=1, max_size=2))
@settings(derandomize=True, deadline=None, max_examples=40)
def test_prices_beyond_64_bits_as_well(trades, rows):
    found = screen(columns(trades), rows)
    assert [(one.crosses, one.intents) for one in found] == [exact(trades, row) for row in rows]


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    folder = tmp_path_factory.mktemp("screening") / "market"
    generate(PARAMS, folder)
    return folder


def scenarios():
    pairs = [(fast, slow) for fast in (2, 5, 9) for slow in (10, 30)]
    return [read("ema", {"strategies": ["ema"], "ema": {"fast": fast, "slow": slow}}, "ema") for fast, slow in pairs]


def test_over_a_recording(market):
    ticks = ticks_of(Recording.open(market))
    told = [plainly(ticks, one.strategies[0].params)[1] for one in scenarios()]
    assert told == [result.intents for result in decide_anew(Recording.open(market), scenarios())]
    assert len(set(told)) > 1


@needs_numba
def test_over_a_recording_compiled(market):
    told = intents_of([str(market)], scenarios())
    assert told == [result.intents for result in decide_anew(Recording.open(market), scenarios())]


def test_what_it_cannot_judge_it_refuses(market, tmp_path):
    with pytest.raises(InputFault, match="ema alone"):
        intents_of([str(market)], [read("m", {"strategies": ["momentum"]}, "m")])
    large = Trade("Pool", "Mint", "Trader", True, 2**63, 1, 6, "raydium", slot=1)
    run_events([(10**18, large)], "large", scenarios()[0], tmp_path / "large")
    assert ticks_of(Recording.open(tmp_path / "large")).large == {0: 2**63 * SCALE}


def test_without_numba_it_says_what_to_install(market, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "numba", None)
    with pytest.raises(InputFault, match=r"pip install 'ironcrab\[kernels\]'"):
        intents_of([str(market)], scenarios())
