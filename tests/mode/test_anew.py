"""Deciding anew, reading fewer columns, following in one piece: faster roads to the same words."""

import pytest

from ironcrab.domain.fault import LogFault
from ironcrab.domain.market import AccountWritten, Trade
from ironcrab.log.contents import time_bounds
from ironcrab.log.passing import Passed, one_by_one
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.loop import Loop, Now
from ironcrab.mode import verify
from ironcrab.mode.anew import Anew, Span, decide_anew, market
from ironcrab.mode.generating import generate
from ironcrab.mode.run import run, run_events
from ironcrab.mode.scenario import read
from ironcrab.mode.synthetic import MarketParams
from ironcrab.mode.verify import follow
from ironcrab.mode.wiring import Wiring, columns_of, pools_of

PARAMS = MarketParams(
    events=12_000, seed=7, coins=6, wallets=60, trades_per_slot=12, launch_every=30, fork_every=90, gap_every=200,
    gap_slots=5,
)  # fmt: skip


def scenario(**momentum):
    tree = {
        "strategies": ["momentum", "ema"],
        "momentum": {"early_min_token_age_secs": 2, "early_min_unique_buyers": 2} | momentum,
        "engine": {"send_enabled": True},
        "wallet": {"native_sol_lamports": 10**11},
    }
    return read("tests", tree, "tests")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("anew")
    generate(PARAMS, folder / "market")
    summary = run(Recording.open(folder / "market"), scenario(), folder / "run")
    seal(folder / "run")
    return Recording.open(folder / "market"), Recording.open(folder / "run"), summary


def test_anew_gives_the_digest_of_the_run(made):
    source, its_run, summary = made
    (result,) = decide_anew(source, [scenario()])
    assert (result.digest, result.records, result.derived) == (summary.digest, summary.records, summary.derived)
    assert result.intents == summary.counts["TradeIntent"]
    assert result.trades > 0
    (again,) = decide_anew(its_run, [scenario()])
    assert again == result


def test_many_at_once_are_each_alone(made):
    source, _, _ = made
    several = [scenario(take_profit_bps=bps) for bps in (100, 1_000, 100)]
    together = decide_anew(source, several)
    assert together == [decide_anew(source, [one])[0] for one in several]
    assert together[0] == together[2]
    assert together[0].digest != together[1].digest


def test_fewer_columns_the_same_report(made, monkeypatch):
    _, its_run, _ = made
    filtered = follow(its_run)
    monkeypatch.setattr(verify, "columns_of", lambda *_: {})
    assert follow(its_run) == filtered
    assert filtered.verdict == "identical"
    assert filtered.runs[0].derived > 100


def test_fewer_columns_the_same_results(made, monkeypatch):
    source, _, _ = made
    filtered = decide_anew(source, [scenario()])
    monkeypatch.setattr("ironcrab.mode.anew.columns_of", lambda *_: {})
    assert decide_anew(source, [scenario()]) == filtered


def test_columns_are_saved_only_where_everybody_declares():
    one = Wiring(read("one", {"strategies": ["ema"]}, "one"))
    assert "trader" not in columns_of(one.reducers)[Trade]
    assert "slot" in columns_of(one.reducers)[Trade]

    class Reads:
        wants = (Trade,)

    assert Trade not in columns_of((*one.reducers, Reads()))


def test_an_undeclared_field_is_refused(made):
    source, _, _ = made
    record = next(source.records((Trade,), columns={Trade: ("slot",)}))
    assert record.event.slot > 0
    for use in (bool, len, hash, str, lambda told: told == "x", lambda told: told + 1, lambda told: told[0]):
        with pytest.raises(LogFault, match=r"Trade\.trader was used but not read"):
            use(record.event.trader)


def test_a_market_reducer_that_nobody_reads_is_left_out():
    wiring = Wiring(read("one", {"strategies": ["ema"]}, "one"))
    assert [reducer.name for reducer in wiring.reducers] == ["mints", "pools", "slippage", "ema", "execution-engine"]
    with pytest.raises(AttributeError, match="name flow in the `reads`"):
        _ = wiring.known.flow.rows


def test_following_in_one_piece_is_folding_one_by_one(made):
    _, its_run, _ = made
    records = list(its_run.records())
    one, other = Wiring(scenario()), Wiring(scenario())
    left = Loop(one.reducers, lambda _: None, one.now)
    right = Loop(other.reducers, lambda _: None, other.now)
    pieces = {record.seq: list(said) for record, said in left.follow(iter(records)) if said}
    singles = {record.seq: list(said) for record in records if (said := right.fold(record))}
    assert pieces == singles
    assert (one.now.time, one.now.slot) == (other.now.time, other.now.slot)
    assert isinstance(one.now, Now)


def test_a_span_is_what_lies_in_it(made):
    source, _, _ = made
    whole = list(market(source, Span()))
    times = [time for time, _ in whole]
    low, high = times[3_000], times[9_000]
    inside = [pair for pair in whole if low <= pair[0] < high]
    told = list(market(source, Span(low, high)))
    opened = told[: -len(inside)]
    assert told == opened + inside
    assert 0 < len(opened) < 1_000
    assert {time for time, _ in opened} == {max(time for time, _ in whole if time < low)}
    assert list(market(source, Span(None, low))) + list(market(source, Span(low, None)))[len(opened) :] == whole
    assert list(market(source, Span(times[-1] + 1, None))) == []


# pools that nobody names pass


EMA = MarketParams(
    events=20_000, seed=5, coins=20, venues=("raydium",), trades_per_slot=40, states=False, failed_bps=0, launch_every=0,
    fork_every=0,
)  # fmt: skip
STATES = MarketParams(
    events=12_000, seed=6, coins=12, wallets=60, trades_per_slot=9, launch_every=40, fork_every=90, gap_every=200,
    gap_slots=5, venues=("raydium", "pumpfun"),
)  # fmt: skip


def named(pools, **paper):
    tree = {
        "strategies": ["ema"],
        "ema": {"pools": list(pools), "max_slippage_bps": 300},
        "engine": {"send_enabled": True, "max_open_positions": 100},
        "wallet": {"native_sol_lamports": 10**12},
        "paper": {"fee_bps": 10, "slippage_bps": 10} | paper,
    }
    return read("named", tree, "named")


def pools_in(recording):
    return list(dict.fromkeys(record.event.pool_address for record in recording.records((Trade,))))


@pytest.fixture(scope="module", params=[EMA, STATES], ids=["trades", "states, gaps and forks"])
def sealed(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("passing")
    generate(request.param, folder / "market")
    market = Recording.open(folder / "market")
    pools = pools_in(market)[1::7]
    run(market, named(pools, latency_slots=3), folder / "run")
    seal(folder / "run")
    return market, Recording.open(folder / "run"), pools


@pytest.mark.parametrize("paper", [{"latency_slots": 0}, {"latency_slots": 3}, {"fill": "venue", "latency_slots": 2}])
@pytest.mark.parametrize("span", [(None, None), (0.21, 0.77)])
def test_fewer_pools_the_same_results(sealed, monkeypatch, paper, span):
    source, _, pools = sealed
    first, end = time_bounds(source)
    part = Span(*(None if share is None else first + int((end - first) * share) for share in span))
    scenarios = [named(pools, **paper), named(pools[:1], **paper)]
    assert set(pools_of(Anew(scenarios[0]).readers, source)[Trade]) == set(pools)
    thin = decide_anew(source, scenarios, part)
    monkeypatch.setattr("ironcrab.mode.anew.pools_of", lambda *_: {})
    assert thin == decide_anew(source, scenarios, part)
    assert thin[0].intents > thin[1].intents > 0
    assert thin[0].trades > 0


def test_fewer_pools_the_same_report(sealed, monkeypatch):
    _, its_run, _ = sealed
    thin = follow(its_run)
    monkeypatch.setattr(verify, "pools_of", lambda *_: {})
    assert follow(its_run) == thin
    assert thin.verdict == "identical"


def test_what_passes_is_dense(sealed):
    source, _, pools = sealed
    records = list(source.records(pools={Trade: tuple(pools)}))
    whole = list(source.records())
    at, passed = 0, 0
    for record in records:
        if type(record.event) is Passed:
            for one in one_by_one(record):
                was = whole[at]
                assert (one.seq, one.time, one.event.slot) == (was.seq, was.time, was.event.slot)
                assert was.event.pool_address not in pools
                at, passed = at + 1, passed + 1
        else:
            assert record == whole[at]
            at += 1
    assert at == len(whole)
    assert passed > 4_000


def test_pools_are_passed_over_only_where_every_strategy_names_its_own(sealed):
    source, its_run, pools = sealed
    assert pools_of(Wiring(named(pools)).reducers, source)[Trade] == tuple(pools)
    assert pools_of(Wiring(named(())).reducers, source) == {}
    assert pools_of(Wiring(scenario()).reducers, source) == {}
    both = (*Wiring(named(pools)).reducers, *Wiring(scenario()).reducers)
    assert pools_of(both, source) == {}
    assert pools_of(Wiring(named(pools)).reducers, its_run)


def test_a_recording_with_account_writes_is_read_whole(tmp_path):
    one = AccountWritten("Key", "Owner", 1, b"x", slot=3)
    run_events([(10**18, one)], "one", named(("Pool",)), tmp_path / "one")
    assert pools_of(Wiring(named(("Pool",))).reducers, Recording.open(tmp_path / "one")) == {}
    seal(tmp_path / "one")
    assert pools_of(Wiring(named(("Pool",))).reducers, Recording.open(tmp_path / "one")) == {}
