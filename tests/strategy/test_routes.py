"""Where a position is sold: pools of its mint that match, the one that pays most, and what failed is left out."""

import pytest
from msgspec.structs import replace

from ironcrab.domain.market import BondingCurveProgress, DexPoolAccounts, PoolCreated, PoolStateUpdate
from ironcrab.domain.trade import CheckResult, DecisionRecord, ExecutionResult, Verdict
from ironcrab.domain.units import SOL_MINT, USDC_MINT
from ironcrab.strategy.routes import MOST_ROUTES

SOL = 1_000_000_000
M = 1_000_000
SWAP = ("Q", "M", SOL_MINT, *"abcdefghijk")


def last(world):
    return world.verdicts()[-1]


def worth(w, slot, lamports, pool="P", dex="raydium"):
    """Reserves so large that all of the position fetches `lamports` there, before the fee."""
    return w.reserves(slot, base=10**15, quote=10**9 * lamports, pool=pool, dex=dex)


def looked(w):
    return w.momentum.exits.look(w.position())


def routes(w):
    return [row.pool_address for row in w.momentum.exits.routes.of(w.position())]


@pytest.fixture
def held(world):
    """1,000,000 raw tokens for 5,000,000 lamports, bought on P in slot 100."""

    def build(**overrides):
        told = {"exit_multi_pool_routing": True, "momentum_exit_min_trades": 10**6, "max_hold_time_secs": 0}
        w = world(**{**told, **overrides})
        w.held(100, tokens=M, lamports=5 * M)
        w.position().full = True
        return w

    return build


def test_switched_off_only_the_own_pool_counts(held):
    w = held(exit_multi_pool_routing=False, take_profit_min_hold_secs=0)
    worth(w, 101, 5 * M)
    worth(w, 101, 20 * M, pool="Q")
    assert routes(w) == ["P"]
    assert w.intents()[-1][1].side == "Buy"


def test_it_is_sold_where_most_is_paid(held):
    """The quote that decides is of the pool that is sold on: profit 100 % on Q, none on P."""
    w = held(take_profit_min_hold_secs=0)
    worth(w, 101, 5 * M)
    worth(w, 101, 11 * M, pool="Q")
    w.tick(101)
    assert last(w) == ("exit", "EXIT_TAKE_PROFIT")
    verdict = [record.event for record in w.log if isinstance(record.event, Verdict)][-1]
    told = {measure.name: (measure.value, measure.limit) for measure in verdict.measures}
    assert verdict.pool_address == "P"
    assert told["routes"] == (2, None)
    assert told["quote_out_lamports"] == (10_972_499, 4_987_499)
    intent = w.intents()[-1][1]
    assert intent.resources.pools == ("Q",)
    assert intent.metadata["pool_address"] == "Q"
    assert {key: value for key, value in intent.metadata.items() if "multi" in key or "routing" in key} == {
        "sell_routing": "multi_pool",
        "multi_pool_alternatives_checked": "2",
        "multi_pool_original_pool": "P",
        "multi_pool_expected_sol": "0.010972499",
    }
    assert intent.execution.min_out.raw == 10_972_499 * 500 // 10_000


def test_the_own_pool_wins_a_tie_and_says_primary(held):
    w = held(take_profit_min_hold_secs=0)
    worth(w, 100, 11 * M, pool="Q")
    worth(w, 101, 11 * M)
    intent = w.intents()[-1][1]
    assert (intent.side, intent.resources.pools, intent.metadata["sell_routing"]) == ("Sell", ("P",), "primary")
    assert "multi_pool_original_pool" not in intent.metadata


def test_a_word_about_another_pool_moves_no_mark_but_may_sell(held):
    w = held(take_profit_min_hold_secs=0)
    w.trade(101, pool="Q", sol=4 * M, tokens=M)
    before = (w.position().mark, w.position().best)
    worth(w, 101, 5 * M)
    said = worth(w, 102, 11 * M, pool="Q")
    assert [type(event).__name__ for event in said] == ["Verdict", "TradeIntent"]
    assert (w.position().mark, w.position().best) == before


def test_elsewhere_a_last_trade_never_decides(held):
    w = held(exits_use_last_trade=True)
    w.known.pools.get("P").reserve_base = None
    w.trade(101, sol=5 * M, tokens=M)
    w.trade(101, pool="Q", dex="orca", sol=50 * M, tokens=M)
    found = looked(w)
    assert (found.quote.pool_address, found.quote.kind) == ("P", "last_trade")


def test_a_quiet_pool_elsewhere_is_quoted_and_one_behind_its_trades_is_not(held):
    """The entry and the marks are of the own pool: they do not make another pool's reserves old."""
    w = held()
    worth(w, 90, 6 * M, pool="Q")
    worth(w, 90, 7 * M, pool="R")
    w.trade(95, pool="R", sol=7 * M, tokens=M)
    w.trade(105, sol=5 * M, tokens=M)
    worth(w, 105, 5 * M)
    assert looked(w).quote.pool_address == "Q"


def test_another_pool_never_lowers_what_a_position_is_worth(held):
    """While the own pool is behind its trade a small pool would pay half: that is no stop."""
    w = held(hard_stop_min_hold_secs=0)
    worth(w, 101, 5 * M)
    worth(w, 101, 2 * M, pool="Q")
    w.trade(102, sol=5 * M, tokens=M)
    worth(w, 102, 2 * M, pool="Q")
    w.tick(103)
    assert (looked(w).quote, looked(w).guard) == (None, "QUOTE_SLOT_BEFORE_LAST_POSITION_MARK_SLOT")
    assert last(w)[0] == "suppress"
    worth(w, 103, 5 * M)
    assert last(w) == ("hold", "HOLD_FULL")


@pytest.mark.parametrize(
    ("dex", "accounts", "fits"),
    [
        ("raydium_cpmm", (), True),
        ("pump_amm", (), False),
        ("pump_amm", ("X", *SWAP[1:]), False),
        ("pump_amm", SWAP[:13], False),
        ("pump_amm", SWAP, True),
        ("pumpfun", (), False),
    ],
)
def test_which_pools_match(held, dex, accounts, fits):
    w = held()
    w.take(DexPoolAccounts(dex, "Q", "M", SOL_MINT, accounts, slot=100))
    worth(w, 100, 6 * M, pool="Q", dex=dex)
    assert routes(w) == (["P", "Q"] if fits else ["P"])


def test_a_pool_in_another_money_does_not_match(held):
    w = held()
    w.take(PoolStateUpdate("Q", "raydium", 10**15, 10**16, "M", USDC_MINT, 101, slot=101))
    assert routes(w) == ["P"]


def on_a_curve(held):
    w = held()
    w.known.pools.get("P").dex = "pumpfun"
    w.take(DexPoolAccounts("pump_amm", "Q", "M", SOL_MINT, SWAP, slot=100))
    worth(w, 101, 6 * M, pool="Q", dex="pump_amm")
    return w


def test_a_position_on_a_curve_stays_there_until_the_curve_is_complete(held):
    w = on_a_curve(held)
    assert routes(w) == ["P"]
    w.take(BondingCurveProgress("M", "P", 10_000, True, slot=102))
    assert routes(w) == ["Q"]
    assert last(w) == ("exit", "EXIT_BONDING_CURVE")
    intent = w.intents()[-1][1]
    assert (intent.resources.pools, intent.metadata["sell_routing"]) == (("Q",), "pumpswap_fallback")


def test_a_sell_that_found_the_curve_complete_is_tried_elsewhere(held):
    w = on_a_curve(held)
    w.row().dev = "D"
    w.trade(102, trader="D", buy=False, sol=5 * M, tokens=M)
    seq, intent = w.intents()[-1]
    assert intent.resources.pools == ("P",)
    w.take(ExecutionResult("momentum-bot", "failed", intent=seq, error_message="custom program error: 0x1775"))
    assert w.position().migrated
    w.tick(103 + 38)
    assert w.intents()[-1][1].resources.pools == ("Q",)


def sold_badly(w, slot, error="custom program error: 0x1"):
    """Fail the newest sell; the position may be sold again 300 slots on."""
    seq, intent = w.intents()[-1]
    assert intent.side == "Sell"
    w.take(ExecutionResult("momentum-bot", "failed", intent=seq, error_message=error), slot * 400_000_000)
    return intent


def test_three_failures_leave_a_pool_out_and_all_left_out_is_none(held):
    w = held(exit_retry_cooldown_secs=1, exit_route_fail_window_secs=120)
    worth(w, 102, 6 * M)
    worth(w, 101, 5 * M, pool="Q")
    w.row().dev = "D"
    w.trade(102, trader="D", buy=False, sol=6 * M, tokens=M)
    slot, pools = 102, []
    for _ in range(6):
        pools.append(sold_badly(w, slot).resources.pools)
        slot += 25
        w.tick(slot)
    assert pools == [("P",)] * 3 + [("Q",)] * 3
    assert (w.position().failed["P"].count, w.position().failed["Q"].count) == (3, 3)
    assert w.intents()[-1][1].resources.pools == ("P",), "all are left out, so all count again"
    assert w.position().fails == 6


def test_a_refusal_is_not_the_pool_s_doing(held):
    w = held()
    worth(w, 101, 6 * M)
    w.row().dev = "D"
    w.trade(102, trader="D", buy=False)
    w.refuse("Rejected")
    assert (w.position().fails, w.position().failed) == (1, {})


def test_failures_long_ago_begin_anew(held):
    w = held(exit_retry_cooldown_secs=1, exit_route_fail_window_secs=10)
    worth(w, 101, 6 * M)
    w.row().dev = "D"
    w.trade(102, trader="D", buy=False)
    sold_badly(w, 102)
    w.tick(110)
    sold_badly(w, 110)
    assert w.position().failed["P"].count == 2
    w.tick(130)
    sold_badly(w, 140)
    assert w.position().failed["P"].count == 1


@pytest.mark.parametrize(("escalates", "asked"), [(True, [300, 500, 800, 1_500, 1_500]), (False, [300] * 5)])
def test_slippage_escalates_where_it_is_asked_to(held, escalates, asked):
    w = held(exit_retry_cooldown_secs=1, exit_max_slippage_bps=300, exit_slippage_escalates=escalates)
    worth(w, 101, 6 * M)
    w.row().dev = "D"
    w.trade(102, trader="D", buy=False)
    slot, said = 102, []
    for error in ("0x1772", "Custom(6002)", "6002", "0x1772", "other"):
        said.append(sold_badly(w, slot, error).max_slippage_bps)
        slot += 25
        w.tick(slot)
    assert said == asked
    assert w.position().slipped == 4


@pytest.mark.parametrize(
    ("details", "slipped", "migrated"),
    [
        ("Custom(6002)", 1, False),
        ('{"InstructionError":[3,{"Custom":6005}]}', 0, True),
        ("amount_out=16002 < min_out=60050", 0, False),
        ("amount_out=6005 < min_out=6002", 0, False),
        ("0x17722", 0, False),
        (None, 0, False),
    ],
)
def test_the_row_that_failed_tells_the_error(held, details, slipped, migrated):
    """The decision on a transaction that failed comes before its result, and its reason is a word."""
    w = held(exit_retry_cooldown_secs=1)
    worth(w, 101, 6 * M)
    w.row().dev = "D"
    w.trade(102, trader="D", buy=False)
    seq, intent = w.intents()[-1]
    rows = (
        CheckResult("simulate", passed=True, details="0x1772"),
        CheckResult("confirm", passed=False, reason_code="confirmed_err", details=details),
        CheckResult("rebroadcast", passed=True, details="count=6005"),
    )
    decided = DecisionRecord(intent.source, intent.origin_type, intent.regime, rows, "FailedConfirmed", intent=seq)
    w.take(replace(decided, primary_reject_reason="confirmed_err"))
    position = w.position()
    assert (position.fails, position.slipped, position.migrated) == (1, slipped, migrated)


def test_a_partial_sell_forgives(held):
    w = held()
    worth(w, 101, 6 * M)
    w.row().dev = "D"
    w.trade(102, trader="D", buy=False)
    sold_badly(w, 102, "0x1772")
    w.tick(102 + 38)
    w.fill(3 * M, slot=141, paid=M // 2)
    position = w.position()
    assert (position.held, position.failed, position.slipped, position.fails) == (M // 2, {}, 0, 0)


def test_without_any_quote_it_goes_to_the_first_route(held):
    w = held(exit_quote_ttl_ms=400)
    worth(w, 101, 6 * M)
    worth(w, 101, 7 * M, pool="Q")
    w.tick(110)
    assert looked(w).guard == "STALE_CACHE_AGE_MS"
    w.row().dev = "D"
    w.trade(111, trader="D", buy=False, sol=4 * M, tokens=M)
    intent = w.intents()[-1][1]
    assert intent.resources.pools == ("P",)
    assert intent.execution.min_out.raw == 4 * M * 500 // 10_000


def test_a_mint_with_many_pools_has_a_bound(held):
    w = held()
    for n in range(30):
        w.take(PoolCreated(f"X{n}", "M", SOL_MINT, "raydium", "5", slot=101))
    assert len(routes(w)) == MOST_ROUTES


def test_a_buy_may_ask_for_an_executable_quote(world):
    """The last trade says 1,000,000 for a SOL; the reserves say ten times as much, less the fee."""
    w = world(require_executable_quote=True)
    w.trade(100)
    assert last(w) == ("wait", "WAIT_NO_EXECUTABLE_QUOTE")
    w.reserves(101, base=10**16, quote=1000 * SOL)
    assert last(w) == ("enter", "ENTER_PROBE_BUY")
    intent = w.intents()[-1][1]
    quote = w.known.quotes.quote("P", SOL_MINT, 1_250_000)
    assert intent.execution.min_out.raw == quote.amount_out * 9_500 // 10_000 > 11_000_000


def test_a_scale_in_without_its_quote_is_held(world):
    w = world(require_executable_quote=True, exits_use_last_trade=True)
    w.held(100, tokens=M, lamports=1_250_000)
    w.known.pools.get("P").reserve_base = None
    w.trade(101, sol=3 * M, tokens=M)
    assert last(w) == ("hold", "WAIT_NO_EXECUTABLE_QUOTE")
