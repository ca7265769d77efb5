import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.control import ForkOrphaned, GapClosed, GapOpened
from ironcrab.domain.market import (
    BondingCurveProgress,
    DevWalletIdentified,
    DexPoolAccounts,
    PoolCacheUpdate,
    PoolCreated,
    PoolStateUpdate,
    TokenMintInfo,
    Trade,
)
from ironcrab.domain.units import SOL_MINT, TOKEN_PROGRAM, USDC_MINT
from ironcrab.loop import Now
from ironcrab.market import bound, flow, pools
from ironcrab.market.decimals import decimal_text, scaled
from ironcrab.market.flow import Flow, FlowState, dearest
from ironcrab.market.known import Known
from ironcrab.market.mints import Mints
from ironcrab.market.pools import LivePoolCache, PoolsState
from ironcrab.market.price import (
    UNKNOWN,
    Price,
    dearer,
    drawdown_bps,
    drawdown_reaches,
    gain_at_most,
    gain_bps,
    gain_reaches,
)
from ironcrab.market.quotes import NoQuote, PoolQuote, constant_product, raydium_product

CHECKED = settings(derandomize=True, deadline=None, max_examples=200)


def trade(pool="P", mint="M", *, buy=True, sol=100, tokens=1000, slot=10, **more):
    return Trade(
        pool, mint, more.pop("trader", "T"), buy, sol, tokens, 6, more.pop("dex", "raydium"), slot=slot, **more
    )


def reserves(base, quote, slot, *, pool="P", dex="raydium", mints=("M", SOL_MINT)):
    return PoolStateUpdate(pool, dex, base, quote, *mints, slot, slot=slot)


def known():
    return Known.fresh(Now())


# decimals


@pytest.mark.parametrize(
    ("text", "places", "value"),
    [("3.25", 9, 3_250_000_000), ("0", 9, 0), ("-1.5", 2, -150), ("95", 2, 9500), ("0.0000000009", 9, 0)],
)
def test_scaled(text, places, value):
    assert scaled(text, places) == value


@pytest.mark.parametrize("text", [None, "", "1e5", "NaN", " 1", ".5", "1.", "٣"])
def test_scaled_refuses_what_is_no_plain_number(text):
    assert scaled(text, 9) is None


@CHECKED
@given(st.integers(-(10**30), 10**30), st.integers(0, 18))
def test_decimal_text_is_the_inverse(raw, places):
    text = decimal_text(raw, places)
    assert scaled(text, places) == raw
    assert not text.endswith(".")
    assert not ("." in text and text.endswith("0"))


def test_decimal_text_of_the_real_intents():
    assert decimal_text(1_250_000, 9) == "0.00125"
    assert decimal_text(359_066_125, 6) == "359.066125"
    assert decimal_text(5, 0) == "5"


# price: the vectors of the conventions


def test_pnl_vectors():
    assert gain_bps(Price(200, 1), Price(100, 1)) == 10_000
    assert gain_bps(Price(100, 1), Price(200, 1)) == -5_000
    assert dearer(Price(150, 1), Price(120, 1)) == Price(120, 1)
    assert drawdown_bps(Price(100, 1), Price(120, 1)) == -1_667
    assert drawdown_bps(Price(120, 1), Price(100, 1)) == 2_000
    for price in (Price(0, 1), Price(1, 0), UNKNOWN):
        assert gain_bps(price, Price(1, 1)) == gain_bps(Price(1, 1), price) == 0
        assert drawdown_bps(price, Price(1, 1)) == 0
        assert dearer(price, Price(1, 1)) == dearer(Price(1, 1), price) == Price(1, 1)


def test_units_incident():
    """12345.672542 tokens for 0.00125 SOL, then all of it quoted at 418528 lamports: a loss of 66.5 %, no gain."""
    entry, quote = Price(12_345_672_542, 1_250_000), Price(12_345_672_542, 418_528)
    assert gain_bps(entry, quote) == -6_652
    assert entry.base * 1000 // entry.quote == 9_876_538  # UI: 9876538.03 tokens per SOL


@CHECKED
@given(*[st.integers(1, 2**64 - 1)] * 4, st.integers(-9_999, 100_000))
def test_gain_comparisons_are_exact(a, b, c, d, bps):
    entry, current = Price(a, b), Price(c, d)
    exact = a * d * 10_000 - b * c * 10_000 - bps * b * c
    assert gain_reaches(entry, current, bps) == (exact >= 0)
    assert gain_at_most(entry, current, bps) == (exact <= 0)
    assert gain_reaches(entry, current, gain_bps(entry, current))
    assert not gain_reaches(entry, current, gain_bps(entry, current) + 1)
    assert drawdown_reaches(current, entry, drawdown_bps(current, entry))
    assert not drawdown_reaches(current, entry, drawdown_bps(current, entry) + 1)


# mints


def test_a_mint_never_goes_back():
    mints = Mints(Now())
    mints.step(1, TokenMintInfo("M", TOKEN_PROGRAM, 6, 10, "A", None, slot=5))
    mints.step(2, TokenMintInfo("M", TOKEN_PROGRAM, 9, 11, None, None, slot=4))
    assert mints.get("M").seq == 1
    mints.step(3, TokenMintInfo("M", TOKEN_PROGRAM, 6, 11, None, None, slot=6))
    assert (mints.get("M").supply, mints.get("M").mint_authority) == (11, None)
    assert mints.get("N") is None


def test_dev_share_in_bps():
    mints = Mints(Now())
    mints.step(1, DevWalletIdentified("M", "D", "95.019", slot=5))
    assert mints.dev("M").supply_bps == 9_501
    mints.step(2, DevWalletIdentified("M", "D", "NaN", slot=6))
    assert mints.dev("M").supply_bps is None


def test_the_bound_forgets_what_changed_longest_ago():
    rows = {str(k): flow.FlowRow(str(k), "M", 100 - k, 0) for k in range(9)}
    gone = bound.forget_oldest(rows, 8)
    assert gone == ["8", "7", "6"]
    assert list(rows) == ["0", "1", "2", "3", "4", "5"]
    assert bound.forget_oldest(rows, 8) == []


# pools


def test_a_pool_row_is_merged_field_by_field():
    k = known()
    cache = k.pools
    cache.step(1, trade(slot=10))
    row = cache.get("P")
    assert (row.first_seen_slot, row.reserve_base, row.last_trade) == (10, None, (1, 10, 100, 1000))
    cache.step(2, reserves(5, 0, 12))
    assert (row.reserve_base, row.reserve_quote, row.reserve_slot, row.seq) == (5, 0, 12, 2)
    cache.step(3, reserves(6, 1, 11))
    assert (row.reserve_base, row.seq) == (5, 2)
    cache.step(4, DexPoolAccounts("raydium", "P", "M", SOL_MINT, ("a", "b"), slot=12))
    cache.step(5, DexPoolAccounts("raydium", "P", "M", SOL_MINT, (), slot=13))
    assert row.accounts == ("a", "b")
    cache.step(6, PoolCreated("P", "M", SOL_MINT, "raydium", "12.5", slot=9, creator="C"))
    assert (row.initial_liquidity, row.creator, row.created_seq, row.first_seen_slot) == (12_500_000_000, "C", 6, 10)
    cache.step(7, trade(slot=9, sol=7))
    assert row.last_trade.sol_amount == 100
    assert cache.of_mint("M") == (row,)
    assert cache.get("Q") is None
    assert cache.of_mint("Q") == ()


def test_whatever_side_the_event_names_first_the_quote_side_is_sol():
    cache = known().pools
    cache.step(1, reserves(7, 8, 1, mints=(SOL_MINT, "M")))
    row = cache.get("P")
    assert (row.base_mint, row.quote_mint, row.reserve_base, row.reserve_quote) == ("M", SOL_MINT, 8, 7)
    cache.step(2, reserves(9, 10, 2))
    assert (row.reserve_base, row.reserve_quote) == (9, 10)
    cache.step(3, reserves(1, 2, 3, pool="Q", mints=(USDC_MINT, SOL_MINT)))
    cache.step(4, reserves(1, 2, 3, pool="R", mints=(USDC_MINT, "M")))
    assert [r.base_mint for r in cache.rows.values()] == ["M", USDC_MINT, "M"]
    cache.step(5, reserves(1, 2, 9, mints=("X", "Y")))
    cache.step(6, trade(mint="X", slot=9))
    assert (row.reserve_base, row.last_trade) == (9, None)


def test_the_copied_cache_says_zero_for_not_told():
    """POOL_DISCOVERED (0, 0), then BALANCE_UPDATED (691000000000000, 0): one side stays unknown, quoting refuses."""
    k = known()
    told = {"pool_accounts": "a,b", "creator": "C"}
    k.pools.step(1, PoolCacheUpdate("POOL_DISCOVERED", "P", "pump_amm", "M", SOL_MINT, 0, 0, 5, metadata=told))
    k.pools.step(2, PoolCacheUpdate("BALANCE_UPDATED", "P", "pump_amm", "M", SOL_MINT, 691_000_000_000_000, 0, 6))
    row = k.pools.get("P")
    assert (row.reserve_base, row.reserve_quote) == (691_000_000_000_000, None)
    assert (row.accounts, row.creator) == (("a", "b"), "C")
    assert k.quotes.quote("P", "M", 10) == NoQuote("QUOTE_UNAVAILABLE")
    k.pools.step(3, PoolCacheUpdate("POOL_REMOVED", "P", "", "", "", 0, 0, 7))
    assert k.pools.get("P") is None
    assert k.pools.of_mint("M") == ()
    k.pools.step(4, PoolCacheUpdate("POOL_REMOVED", "P", "", "", "", 0, 0, 7))


def test_curve_progress():
    k = known()
    k.pools.step(1, BondingCurveProgress("M", "C", 9_000, False, slot=8))
    k.pools.step(2, BondingCurveProgress("M", "C", 10_000, True))
    row = k.pools.get("C")
    assert (row.progress_bps, row.complete, row.dex) == (9_000, False, "pumpfun")
    k.pools.step(3, BondingCurveProgress("M", "C", 10_000, True, slot=9))
    assert k.quotes.quote("C", "M", 10) == NoQuote("POOL_COMPLETE")


def test_after_a_gap_nothing_is_quoted_until_told_anew():
    k = known()
    k.now.slot = 20
    k.pools.step(1, trade())
    k.pools.step(2, reserves(10**9, 10**9, 10))
    k.pools.step(3, trade("Q", "N"))
    k.pools.step(4, GapOpened("f", 11, None, "test"))
    assert k.pools.get("P").stale == k.pools.get("Q").stale == 4
    assert k.pools.gap_open
    assert k.pools.gap_slot == 20
    assert k.quotes.quote("P", "M", 10) == NoQuote("POOL_STALE")
    k.pools.step(5, trade(slot=30))
    row = k.pools.get("P")
    assert (row.stale, row.reserve_base, row.last_trade.slot) == (None, None, 30)
    k.pools.step(6, GapClosed("f", 4, 29, filled=False))
    assert not k.pools.gap_open
    assert k.pools.gap_slot == 29
    assert k.pools.get("Q").stale == 4
    k.pools.step(7, reserves(1, 1, 31, pool="Q", mints=("N", SOL_MINT)))
    assert (k.pools.get("Q").stale, k.pools.get("Q").last_trade) == (None, None)


def test_a_filled_gap_gives_back_what_it_did_not_touch():
    k = known()
    k.now.slot = 20
    k.pools.step(1, trade())
    k.pools.step(2, GapOpened("f", 11, None, "test"))
    assert k.pools.gap_slot == 20
    k.pools.step(3, GapClosed("f", 2, 12, filled=True))
    assert k.pools.get("P").stale is None
    assert k.pools.gap_slot == 0, "nothing is missing: nobody waits for a window without a hole"
    k.pools.step(4, GapOpened("f", 13, 14, "test"))
    assert not k.pools.gap_open
    assert k.pools.get("P").stale == 4
    k.pools.step(5, GapOpened("f", 22, None, "test"))
    k.pools.step(6, GapClosed("f", 5, 25, filled=True))
    assert k.pools.gap_slot == 14


def test_an_orphaned_slot_makes_the_pools_it_wrote_unknown():
    k = known()
    k.pools.step(1, trade(slot=10))
    k.pools.step(2, trade("Q", "N", slot=11))
    k.pools.step(3, reserves(1, 1, 11, pool="R", mints=("O", SOL_MINT)))
    k.pools.step(4, ForkOrphaned(11, "test"))
    assert [row.stale for row in k.pools.rows.values()] == [None, 4, 4]


def test_the_pool_cache_is_bounded(monkeypatch):
    monkeypatch.setattr(pools, "MOST_POOLS", 8)
    k = known()
    for n in range(9):
        k.pools.step(n, trade(f"P{n}", f"M{n}"))
    assert list(k.pools.rows) == [f"P{n}" for n in range(3, 9)]
    assert k.pools.of_mint("M0") == ()
    assert len(k.pools.of_mint("M8")) == 1


# quotes: the numbers of the sheet


def test_quote_vectors():
    assert constant_product(10**9, 10**12, 10**8, 100) == 90_081_892_629
    assert constant_product(30 * 10**9, 10**15, 10**9, 0) == 32_258_064_516_129
    assert constant_product(10**15, 30 * 10**9, 69_000_000_000, 0) == 2_069_857
    assert constant_product(10**15, 30 * 10**9, 10**14, 0) == 2_727_272_727
    assert raydium_product(10**12, 10**13, 10**9, 25) == 9_965_059_853
    assert raydium_product(10**13, 10**12, 10**10, 25) == 996_505_986
    assert raydium_product(10**12, 2 * 10**12, 10**10, 25) == 19_752_964_183
    assert constant_product(10**12, 10**12, 10**10, 30) == 9_871_580_343


def test_quotes_prefer_reserves_and_name_their_kind():
    k = known()
    assert k.quotes.quote("P", "M", 10) == NoQuote("POOL_NOT_FOUND")
    k.pools.step(1, trade(sol=10**9, tokens=2 * 10**9))
    assert k.quotes.quote("P", "M", 4_000) == PoolQuote("P", 4_000, 1_995, "last_trade", 1, 10)
    assert k.quotes.quote("P", SOL_MINT, 4_000) == PoolQuote("P", 4_000, 7_980, "last_trade", 1, 10)
    k.pools.step(2, reserves(10**12, 10**12, 11))
    assert k.quotes.quote("P", "M", 10**10) == PoolQuote("P", 10**10, 9_876_482_091, "executable", 2, 11)
    assert k.quotes.quote("P", "X", 10) == k.quotes.quote("P", "M", 0) == NoQuote("QUOTE_UNAVAILABLE")
    assert k.quotes.quote("P", "M", 1) == NoQuote("QUOTE_UNAVAILABLE")
    k.pools.step(3, trade("O", "M", dex="orca", sol=10, tokens=10))
    k.pools.step(4, reserves(10**12, 10**12, 11, pool="O", dex="orca"))
    assert k.quotes.quote("O", "M", 10**4).kind == "last_trade"


def test_a_zero_reserve_is_no_quote():
    k = known()
    k.pools.step(1, reserves(0, 10**9, 5))
    assert k.quotes.quote("P", "M", 10**6) == NoQuote("QUOTE_UNAVAILABLE")


@CHECKED
@given(
    st.integers(1, 2**64 - 1), st.integers(1, 2**64 - 1), st.integers(1, 2**63), st.integers(1, 2**63), st.booleans()
)
def test_quotes_never_fall_as_the_amount_grows(base, quote, one, more, sells):
    k = known()
    k.pools.step(1, reserves(base, quote, 5))
    mint = "M" if sells else SOL_MINT
    small, large = (k.quotes.quote("P", mint, amount) for amount in (one, one + more))
    out = [0 if isinstance(q, NoQuote) else q.amount_out for q in (small, large)]
    assert out[0] <= out[1] < (quote if sells else base) + 1


# flow


def test_flow_keeps_what_windows_need_and_the_dearest_of_the_rest(monkeypatch):
    monkeypatch.setattr(flow, "MOST_TICKS", 40)
    k = known()
    for n in range(1_000):
        k.now.slot = n
        k.flow.step(n, trade(slot=n, sol=1_000, tokens=500 if n == 3 else 1_000))
    row = k.flow.get("P")
    assert 40 <= len(row.ticks) < 80
    assert row.dropped + len(row.ticks) == 1_000
    assert row.ticks[-1].slot == 999
    assert row.best == Price(500, 1_000)
    assert row.first_slot == 0


def test_flow_leaves_out_another_mint_and_zero_amounts_set_no_price():
    k = known()
    k.flow.step(1, trade())
    k.flow.step(2, trade(mint="X"))
    k.flow.step(3, trade(sol=0))
    assert len(k.flow.get("P").ticks) == 2
    assert dearest(UNKNOWN, k.flow.get("P").ticks) == Price(1000, 100)
    assert k.flow.get("Q") is None


def test_trades_of_an_orphaned_slot_did_not_happen():
    k = known()
    for slot in (10, 11, 11, 12):
        k.flow.step(slot, trade(slot=slot, tokens=900 if slot == 11 else 1000))
    assert k.flow.get("P").best == Price(900, 100)
    k.flow.step(20, ForkOrphaned(11, "test"))
    row = k.flow.get("P")
    assert ([tick.slot for tick in row.ticks], row.edition) == ([10, 12], 1)
    assert (row.best, row.best_slot) == (Price(1000, 100), 10)
    k.flow.step(21, ForkOrphaned(99, "test"))
    assert row.edition == 1


def test_silent_pools_are_swept_and_pools_are_bounded(monkeypatch):
    monkeypatch.setattr(flow, "MOST_POOLS", 8)
    k = known()
    for n in range(9):
        k.flow.step(n, trade(f"P{n}", slot=n))
    assert len(k.flow.rows) == 6
    k.now.slot = 10_000
    k.flow.step(100, trade("Z", slot=10_000))
    assert all(not row.ticks for row in k.flow.rows.values() if row.pool_address != "Z")


# states


EVENTS = st.one_of(
    st.builds(
        trade,
        st.sampled_from("PQR"),
        st.sampled_from("MN"),
        buy=st.booleans(),
        sol=st.integers(0, 2**64 - 1),
        tokens=st.integers(0, 2**64 - 1),
        slot=st.one_of(st.none(), st.integers(0, 30)),
        quote_mint=st.sampled_from([SOL_MINT, USDC_MINT, "M"]),
        creator=st.sampled_from([None, "C"]),
    ),
    st.builds(
        reserves,
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**64 - 1),
        st.integers(0, 30),
        pool=st.sampled_from("PQR"),
        mints=st.sampled_from([("M", SOL_MINT), (SOL_MINT, "M"), ("N", USDC_MINT), ("N", "M")]),
    ),
    st.builds(
        PoolCacheUpdate,
        st.sampled_from(["POOL_DISCOVERED", "BALANCE_UPDATED", "POOL_REMOVED"]),
        st.sampled_from("PQR"),
        st.sampled_from(["pumpfun", "raydium"]),
        st.sampled_from("MN"),
        st.just(SOL_MINT),
        st.integers(0, 5),
        st.integers(0, 5),
        st.integers(0, 30),
        metadata=st.sampled_from([{}, {"complete": "true"}, {"real_token_reserves": "7", "pool_accounts": "a,b"}]),
    ),
    st.builds(PoolCreated, st.sampled_from("PQR"), st.just("M"), st.just(SOL_MINT), st.just("raydium")),
    st.builds(BondingCurveProgress, st.just("M"), st.sampled_from("PQR"), st.integers(0, 10_000), st.booleans()),
    st.builds(TokenMintInfo, st.sampled_from("MN"), st.just("T"), st.just(6), st.integers(0, 9), slot=st.just(3)),
    st.builds(DevWalletIdentified, st.sampled_from("MN"), st.just("D"), st.sampled_from(["1", "x", "99.99"])),
    st.builds(
        GapOpened, st.sampled_from("fg"), st.integers(0, 9), st.one_of(st.none(), st.integers(0, 30)), st.just("r")
    ),
    st.builds(GapClosed, st.sampled_from("fg"), st.integers(0, 9), st.integers(0, 30), st.booleans()),
    st.builds(ForkOrphaned, st.integers(0, 30), st.just("r")),
)


def fold(k, events, start=0):
    for seq, event in enumerate(events, start):
        k.now.slot = max(k.now.slot, getattr(event, "slot", None) or 0)
        for reducer in k.reducers:
            if type(event) in reducer.wants:
                assert tuple(reducer.step(seq, event)) == ()


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(EVENTS, max_size=40), st.integers(0, 40))
def test_restored_anywhere_equals_never_restored(events, cut):
    straight, cut = known(), min(cut, len(events))
    fold(straight, events)
    first = known()
    fold(first, events[:cut])
    second = known()
    second.now.slot = first.now.slot
    for old, new in zip(first.reducers, second.reducers, strict=True):
        new.state = msgspec.json.decode(msgspec.json.encode(old.state), type=type(old.state))
        if hasattr(new, "restored"):
            new.restored()
    fold(second, events[cut:], cut)
    for one, two in zip(straight.reducers, second.reducers, strict=True):
        assert msgspec.json.encode(one.state) == msgspec.json.encode(two.state)
    assert {m: [r.pool_address for r in straight.pools.of_mint(m)] for m in "MN"} == {
        m: [r.pool_address for r in second.pools.of_mint(m)] for m in "MN"
    }


def test_states_are_structs():
    k = known()
    assert isinstance(k.pools.state, PoolsState)
    assert isinstance(k.flow.state, FlowState)
    assert isinstance(k.pools, LivePoolCache)
    assert isinstance(k.flow, Flow)
    assert [reducer.name for reducer in k.reducers] == ["mints", "pools", "flow", "slippage"]


def test_within_a_slot_the_last_word_wins():
    k = known()
    k.now.slot = 50
    for seq, amount in enumerate((5, 6)):
        k.pools.step(seq, trade(slot=10, sol=amount))
        k.pools.step(seq, reserves(amount, amount, 10))
        k.pools.step(seq, DexPoolAccounts("raydium", "P", "M", SOL_MINT, (str(amount),), slot=10))
        k.pools.step(seq, BondingCurveProgress("N", "C", amount, False, slot=10))
    row = k.pools.get("P")
    assert (row.last_trade.sol_amount, row.reserve_base, row.reserve_quote, row.accounts) == (6, 6, 6, ("6",))
    assert k.pools.get("C").progress_bps == 6
    for seq, amount in enumerate((7, 8)):
        told = {"pool_accounts": f"a{amount}", "complete": "true" if amount == 8 else "false"}
        update = PoolCacheUpdate("BALANCE_UPDATED", "P", "raydium", "M", SOL_MINT, amount, amount, 10, 9, told)
        k.pools.step(seq, update)
    assert (row.reserve_base, row.reserve_quote, row.accounts, row.complete) == (8, 8, ("a8",), True)
    assert row.initial_liquidity == 9
    old = PoolCacheUpdate("BALANCE_UPDATED", "P", "raydium", "M", SOL_MINT, 1, 1, 9, 10, {"complete": "false"})
    k.pools.step(9, old)
    assert (row.reserve_base, row.complete, row.initial_liquidity) == (8, True, 9)


def test_what_names_no_slot_happens_now():
    k = known()
    k.now.slot = 50
    k.pools.step(1, DexPoolAccounts("raydium", "P", "M", SOL_MINT, ("a",)))
    k.pools.step(2, trade(slot=None))
    row = k.pools.get("P")
    assert (row.accounts_slot, row.first_seen_slot, row.last_trade.slot) == (50, 50, 50)
    k.flow.step(3, trade(slot=None))
    assert k.flow.get("P").ticks[0].slot == 50


def test_of_equal_prices_the_first_is_the_best():
    k = known()
    for slot in (10, 11):
        k.flow.step(slot, trade(slot=slot, sol=slot, tokens=10 * slot))
    assert (k.flow.get("P").best, k.flow.get("P").best_slot) == (Price(100, 10), 10)
    assert dearest(UNKNOWN, k.flow.get("P").ticks) == Price(100, 10)


def test_open_gaps_are_bounded():
    k = known()
    for n in range(pools.MOST_GAPS):
        k.pools.step(n, GapOpened(f"f{n}", 1, None, "test"))
    assert len(k.pools.state.gaps) == pools.MOST_GAPS
    k.pools.step(99, GapOpened("g", 1, None, "test"))
    assert len(k.pools.state.gaps) == pools.MOST_GAPS
    assert "f0" not in k.pools.state.gaps
