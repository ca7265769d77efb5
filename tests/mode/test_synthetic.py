"""The synthetic market: the same seed gives the same bytes, and its reserves obey the venues' mathematics."""

from itertools import islice

import pytest

from ironcrab.domain.control import ForkOrphaned, GapClosed, GapOpened
from ironcrab.domain.fault import ScenarioFault
from ironcrab.domain.market import (
    BondingCurveProgress,
    LiquidityRemoved,
    PoolCreated,
    PoolStateUpdate,
    Trade,
    TransactionDetected,
)
from ironcrab.log.recording import Recording
from ironcrab.mode.generating import generate, market_of
from ironcrab.mode.synthetic import SUPPLY, VENUES, Coin, MarketParams, Pool, draws, events

BUSY = MarketParams(
    seed=5, coins=6, pools_per_coin=2, trades_per_slot=15, launch_every=20, fork_every=70, gap_every=150, gap_slots=10,
    arbitrage_bps=1_000, hype_bps=6_000, wallets=50, crash_at=200, crash_slots=40,
)  # fmt: skip


@pytest.fixture(scope="module")
def busy():
    return list(islice(events(BUSY), 60_000))


def test_the_same_seed_the_same_events(busy):
    assert list(islice(events(BUSY), 5_000)) == busy[:5_000]
    other = MarketParams(seed=6)
    assert [event for _, event in islice(events(other), 500)] != [event for _, event in busy[:500]]


def test_everything_happens(busy):
    kinds = {type(event) for _, event in busy}
    assert kinds >= {
        PoolCreated, Trade, PoolStateUpdate, TransactionDetected, LiquidityRemoved, BondingCurveProgress, ForkOrphaned,
        GapOpened, GapClosed,
    }  # fmt: skip
    assert any(type(event) is BondingCurveProgress and event.complete for _, event in busy)
    assert {event.dex for _, event in busy if type(event) is PoolCreated} == set(VENUES)


def test_time_and_slots_never_go_back(busy):
    times = [time for time, _ in busy]
    assert times == sorted(times)
    slots = [event.slot for _, event in busy if getattr(event, "slot", None) is not None]
    assert slots == sorted(slots)


def test_reserves_move_by_the_trades_and_their_product_never_falls(busy):
    known, product, checked = {}, {}, 0
    for _, event in busy:
        kind = type(event)
        if kind in (ForkOrphaned, GapOpened):
            known, product = {}, {}
        elif kind is LiquidityRemoved:
            known.pop(event.pool_address, None)
        elif kind is Trade and event.pool_address in known:
            base, quote = known[event.pool_address]
            sign = 1 if event.is_buy else -1
            known[event.pool_address] = base - sign * event.token_amount, quote + sign * event.sol_amount
        elif kind is PoolStateUpdate:
            now = event.reserve_base, event.reserve_quote
            assert 0 < now[0] < 2 * SUPPLY
            assert now[1] > 0
            if event.pool_address in known:
                assert known[event.pool_address] == now
                assert now[0] * now[1] >= product[event.pool_address]
                checked += 1
            known[event.pool_address], product[event.pool_address] = now, now[0] * now[1]
    assert checked > 10_000


def test_an_orphaned_slot_leaves_no_trace(busy):
    before, latest, slot_of = {}, {}, 0
    seen = 0
    expect = {}
    for _, event in busy:
        if type(event) is PoolStateUpdate:
            if event.update_slot != slot_of:
                before, slot_of = dict(latest), event.update_slot
            if event.pool_address in expect:
                assert (event.reserve_base, event.reserve_quote) == expect.pop(event.pool_address)
                seen += 1
            latest[event.pool_address] = event.reserve_base, event.reserve_quote
        elif type(event) is ForkOrphaned and event.orphaned_slot == slot_of:
            expect = {pool: before[pool] for pool in before if before[pool] != latest[pool]}
            latest = dict(before)
        elif type(event) is GapOpened:
            expect, before, latest = {}, {}, {}
    assert seen > 20


def test_a_gap_is_silent_and_names_its_opening(busy):
    opened = closed = 0
    for seq, (_, event) in enumerate(busy):
        if type(event) is GapOpened:
            opened, slot = seq, event.from_slot
        elif type(event) is GapClosed:
            closed += 1
            assert event.opened == opened
            assert event.to_slot == slot + BUSY.gap_slots - 1
            assert seq == opened + 2
    assert closed > 1


def test_signatures_never_repeat(busy):
    told = [event.signature for _, event in busy if type(event) is TransactionDetected]
    assert len(set(told)) == len(told)
    assert {len(signature) for signature in told} == {88}


@pytest.mark.parametrize("dex", VENUES)
def test_a_round_trip_never_wins(dex):
    for lamports in (1, 10_000, 10**9, 5 * 10**10):
        pool = Pool("P", dex, Coin("M", "C"), 10**15, 10**12 if dex != "pumpfun" else 60 * 10**9)
        quote, base, *_ = VENUES[dex](pool, True, lamports)
        worth = base * pool.quote // pool.base
        back, *_ = VENUES[dex](pool, False, worth)
        assert back <= quote


def test_draws_are_counted_not_chained():
    assert list(islice(draws(1), 3)) == list(islice(draws(1), 3))
    assert next(draws(1)) != next(draws(2))


def test_generated_twice_the_same_folder(tmp_path):
    params = MarketParams(events=6_000, seed=9)
    first = generate(params, tmp_path / "a")
    second = generate(params, tmp_path / "b", prove=True)
    assert first == second
    assert Recording.open(tmp_path / "a").verify_bytes(deep=True).faults == ()
    files = [path.relative_to(tmp_path / "a") for path in sorted((tmp_path / "a").rglob("*")) if path.is_file()]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no [market] table"),
        ("[market]\ncoin = 3", "no parameter 'coin'; did you mean 'coins'"),
        ("[market]\ncoins = 0", "market"),
        ('[market]\nvenues = ["orca"]', "must be some of raydium"),
        ("market = 3", "must be a table"),
        ("[market", "no TOML"),
    ],
)
def test_bad_tables_are_one_sentence(tmp_path, text, told):
    path = tmp_path / "market.toml"
    path.write_text(text)
    with pytest.raises(ScenarioFault) as fault:
        market_of(path)
    assert told in str(fault.value)
