"""Every reason to leave, in order, and what suppresses the price exits."""

import pytest

from ironcrab.domain.control import ForkOrphaned
from ironcrab.domain.market import BondingCurveProgress, DexPoolAccounts, LiquidityRemoved
from ironcrab.domain.units import SOL_MINT
from ironcrab.market.price import Price, gain_bps

SOL = 1_000_000_000
M = 1_000_000


def last(world):
    return world.verdicts()[-1]


def pool_worth(world, slot, lamports, tokens=M):
    """Reserves so large that all of the position fetches `lamports`, before the fee of 25 bps."""
    return world.reserves(slot, base=10**15 * tokens // M, quote=10**9 * lamports)


@pytest.fixture
def held(world):
    """A position of 1,000,000 raw tokens for 5,000,000 lamports, filled in slot 100; a quiet pool sells fast."""

    def build(**overrides):
        w = world(**{"momentum_exit_min_trades": 10**6, "max_hold_time_secs": 0, **overrides})
        w.held(100, tokens=M, lamports=5 * M)
        w.position().full = True
        return w

    return build


def test_an_early_stop_is_catastrophic_only(held):
    w = held()
    pool_worth(w, 101, 4 * M)
    assert last(w) == ("hold", "HOLD_FULL")
    pool_worth(w, 102, 2_757_000)
    assert last(w) == ("hold", "HOLD_FULL")
    said = pool_worth(w, 103, 2_756_000)
    assert [type(event).__name__ for event in said] == ["Verdict", "TradeIntent"]
    assert last(w) == ("exit", "EXIT_HARD_STOP")
    assert said[1].metadata["exit_type"] == "STOP_LOSS"


def test_a_later_stop_is_tighter(held):
    w = held()
    pool_worth(w, 101, 4_200_000)
    w.tick(100 + 112)
    assert last(w) == ("hold", "HOLD_FULL")
    w.tick(100 + 113)
    assert last(w) == ("exit", "EXIT_HARD_STOP")


def test_take_profit_after_its_hold(held):
    w = held()
    pool_worth(w, 101, 10_100_000)
    assert last(w) == ("hold", "HOLD_FULL")
    w.tick(112)
    assert last(w) == ("hold", "HOLD_FULL")
    w.tick(113)
    assert last(w) == ("exit", "EXIT_TAKE_PROFIT")


def test_the_curve_ends_a_position(held):
    w = held()
    w.known.pools.get("P").dex = "pumpfun"
    w.take(BondingCurveProgress("M", "P", 9_799, False, slot=101))
    assert last(w)[0] != "exit"
    w.take(BondingCurveProgress("M", "P", 9_800, False, slot=102))
    assert last(w) == ("exit", "EXIT_BONDING_CURVE")


def test_trailing_stop_follows_trades_and_not_reserves(held):
    w = held(catastrophic_stop_loss_bps=10_000, hard_stop_loss_bps=10_000)
    pool_worth(w, 101, 6 * M)
    assert (w.position().best, w.position().trailing) == (Price(M, 5 * M), False)
    w.trade(102, sol=5_499_999, tokens=M)
    assert not w.position().trailing
    pool_worth(w, 103, 5 * M)
    w.trade(103, sol=5_500_000, tokens=M)
    assert w.position().trailing
    assert last(w)[0] == "hold"
    w.trade(104, sol=5_499_999 * 10 // 12, tokens=M)
    pool_worth(w, 104, 5 * M)
    assert last(w) == ("exit", "EXIT_TRAILING_STOP")


def test_trailing_vectors(held):
    """Entry 100, trade at 95: 5.26 %, on at 5 %; best 90, mark 108: drawdown 20 %, fires at 15 %."""
    w = held(trailing_activation_bps=500, trailing_stop_bps=1_500)
    position = w.position()
    position.paid, position.best = Price(100, 1), Price(95, 1)
    assert gain_bps(position.paid, position.best) == 526
    assert w.momentum.exits._trailing(position) is None
    assert position.trailing
    position.best, position.mark = Price(90, 1), Price(108, 1)
    exit_ = w.momentum.exits._trailing(position)
    assert exit_.code == "EXIT_TRAILING_STOP"
    assert exit_.numbers[0] == ("drawdown_bps", 2_000, 1_500)


def test_max_hold_only_while_few_trade(held):
    w = held(max_hold_time_secs=60, min_trades_per_min_milli=500)
    w.trade(240, sol=5 * M, tokens=M)
    w.trade(251, sol=5 * M, tokens=M)
    assert last(w)[0] != "exit"
    w.tick(551)
    assert last(w)[0] != "exit"
    w.tick(552)
    assert last(w) == ("exit", "EXIT_MAX_HOLD_TIME")


def test_the_absolute_cap_needs_no_silence_and_no_quote(held):
    w = held(max_hold_absolute_cap_secs=60)
    w.tick(249)
    assert last(w) == ("suppress", "QUOTE_SLOT_NOT_AFTER_ENTRY_CONFIRM")
    w.tick(250)
    assert last(w) == ("exit", "EXIT_MAX_HOLD_TIME")


def test_a_fade_weighs_volume_and_asks_for_a_loss(held):
    w = held(momentum_exit_min_trades=5, hard_stop_loss_bps=9_000)
    for n in range(4):
        w.trade(250 + n, sol=M, tokens=2 * M // 10)
    w.trade(254, buy=False, sol=7 * M, tokens=14 * M // 10)
    pool_worth(w, 255, 5_100_000)
    assert last(w)[0] == "hold"
    pool_worth(w, 256, 4_900_000)
    assert last(w) == ("exit", "EXIT_MOMENTUM_FADE")


def test_a_fade_without_a_quote_waits_unless_profit_does_not_matter(held):
    for only, code in ((True, "suppress"), (False, "exit")):
        w = held(momentum_exit_min_trades=5, momentum_exit_only_when_losing=only)
        for n in range(5):
            w.trade(250 + n, buy=False, sol=M, tokens=M // 5)
        assert last(w)[0] == code


def test_hard_events_leave_at_once_without_a_quote(held):
    w = held()
    w.take(LiquidityRemoved("P", "M", 1, 1, slot=100))
    assert last(w)[0] != "exit"
    w.take(LiquidityRemoved("P", "M", 1, 1, slot=101))
    assert last(w) == ("exit", "EXIT_LP_REMOVAL")
    w = held()
    w.row().dev = "D"
    w.trade(101, trader="D", buy=False)
    assert last(w) == ("exit", "EXIT_DEV_SELL")


def test_a_pool_of_the_same_mint_moves_nothing(held):
    w = held()
    before = (w.position().mark, w.position().best)
    w.trade(105, pool="Q", sol=50 * M, tokens=M)
    w.reserves(106, base=1, quote=10**18, pool="Q")
    assert (w.position().mark, w.position().best) == before
    assert w.verdicts("Q")[-1] == ("wait", "WAIT_POSITION_ELSEWHERE")
    assert w.verdicts("P")[-1][0] != "exit"


def test_marks_follow_the_chain_order(held):
    w = held()
    w.trade(99, sol=8 * M, tokens=M)
    w.trade(100, sol=8 * M, tokens=M)
    assert w.position().mark == Price(M, 5 * M)
    w.trade(102, sol=6 * M, tokens=M, index=7, position=3)
    w.trade(102, sol=7 * M, tokens=M, index=6, position=9)
    assert w.position().mark == Price(M, 6 * M)
    w.trade(102, sol=4 * M, tokens=M, index=7, position=4)
    w.trade(101, sol=9 * M, tokens=M)
    assert (w.position().mark, w.position().best) == (Price(M, 4 * M), Price(M, 6 * M))
    w.trade(103, sol=0, tokens=M)
    assert w.position().mark == Price(M, 4 * M)


def test_the_stale_mark_incident(held):
    """Entry 5727593.7 tps, mark 12736430.8 (-55 %), executable quote 3692386 (+55 %): nothing fires."""
    w = held()
    position = w.position()
    position.paid = position.best = Price(57_275_937_064, 10_000)
    position.mark = Price(127_364_308_190, 10_000)
    position.held = 3_692_386_000_000
    w.reserves(101, base=3_692_386 * 10**15, quote=10**15)
    look = w.momentum.exits.look(position)
    assert look.quote.kind == "executable"
    assert 5_400 < gain_bps(position.paid, look.price) < 5_512
    assert last(w)[0] == "hold"


@pytest.mark.parametrize(
    ("slot", "accounts", "code"),
    [
        (100, (), "QUOTE_SLOT_NOT_AFTER_ENTRY_CONFIRM"),
        (104, (), "QUOTE_SLOT_BEFORE_LAST_POSITION_MARK_SLOT"),
        (106, tuple("abcdefghijklmn"), "QUOTE_POOL_ACCOUNTS_NOT_VERIFIED_SOL_PAIR"),
        (106, ("M", SOL_MINT, *"abcdefghijkl"), ""),
    ],
)
def test_guards(held, slot, accounts, code):
    w = held()
    w.trade(105, sol=5 * M, tokens=M)
    w.take(DexPoolAccounts("raydium", "P", "M", SOL_MINT, accounts, slot=105))
    w.reserves(slot, base=10**15, quote=5 * 10**15)
    assert w.momentum.exits.look(w.position()).guard == code


def test_a_last_trade_is_no_executable_quote_unless_the_scenario_says_so(held):
    for accepts, guard in ((False, "NOT_POOL_SOURCED_OR_INVALID_TPS"), (True, "")):
        w = held(exits_use_last_trade=accepts)
        row = w.known.pools.get("P")
        row.reserve_base = row.reserve_quote = None
        w.trade(105, sol=5 * M, tokens=M)
        assert w.momentum.exits.look(w.position()).guard == guard


def test_suppression_is_said_once(held):
    w = held()
    for slot in range(101, 105):
        w.trade(slot, sol=5 * M, tokens=M)
    assert [v for v in w.verdicts() if v[0] == "suppress"] == [("suppress", "QUOTE_SLOT_NOT_AFTER_ENTRY_CONFIRM")]


def test_reserves_that_follow_their_trade_are_awaited_for_its_slot(held):
    w = held()
    pool_worth(w, 101, 5 * M)
    for slot in range(102, 106):
        assert w.trade(slot, sol=5 * M, tokens=M) == []
        assert pool_worth(w, slot, 5 * M) == []
    w.trade(106, sol=5 * M, tokens=M)
    w.tick(107)
    assert last(w) == ("suppress", "QUOTE_SLOT_BEFORE_LAST_POSITION_MARK_SLOT")


def test_an_orphaned_mark_is_read_again(held):
    w = held()
    w.trade(102, sol=6 * M, tokens=M)
    w.trade(103, sol=9 * M, tokens=M)
    w.take(ForkOrphaned(103, "test"), 42 * SOL)
    assert (w.position().mark, w.position().best) == (Price(M, 6 * M), Price(M, 6 * M))


def test_a_trailing_stop_that_only_an_orphaned_mark_switched_on_is_off_again(held):
    w = held(catastrophic_stop_loss_bps=10_000, hard_stop_loss_bps=10_000)
    pool_worth(w, 102, 5 * M)
    w.trade(102, sol=5_400_000, tokens=M)
    w.trade(103, sol=9 * M, tokens=M)
    pool_worth(w, 103, 5 * M)
    assert w.position().trailing
    w.take(ForkOrphaned(103, "test"), 42 * SOL)
    pool_worth(w, 104, 4 * M)
    w.trade(104, sol=4 * M, tokens=M)
    pool_worth(w, 105, 4 * M)
    assert not w.position().trailing
    assert last(w)[0] == "hold", "the best was 8 % above the entry"


def test_the_whole_holding_is_sold(held):
    """Probe 25313868645 and scale-in 56323355801: both go."""
    w = held()
    w.position().held = 25_313_868_645 + 56_323_355_801
    w.row().dev = "D"
    intent = w.trade(101, trader="D", buy=False)[1]
    assert intent.required_capital.raw == 81_637_224_446
    assert intent.max_slippage_bps == 9_500
    assert (intent.side, intent.ttl_ms, intent.expected_roi_bps) == ("Sell", 3_000, 0)
