"""Every gate of an entry, one at a time and in order."""

import pytest

from ironcrab.domain.control import GapClosed, GapOpened
from ironcrab.domain.market import (
    BondingCurveProgress,
    DevWalletIdentified,
    DexPoolAccounts,
    LiquidityRemoved,
    PoolCreated,
    TokenMintInfo,
)
from ironcrab.domain.trade import TradeIntent, Verdict
from ironcrab.domain.units import SOL_MINT, TOKEN_PROGRAM, USDC_MINT

SOL = 1_000_000_000


def last(world):
    return world.verdicts()[-1]


def numbers(world):
    said = [record.event for record in world.log if isinstance(record.event, Verdict)][-1]
    return {m.name: (m.value, m.limit) for m in said.measures}


def test_with_all_gates_open_the_first_trade_enters(world):
    w = world()
    w.reserves(99)
    verdict, intent = w.trade(100)
    assert (verdict.verdict, verdict.code, verdict.regime) == ("enter", "ENTER_PROBE_BUY", "Early")
    assert isinstance(intent, TradeIntent)


def test_liquidity(world):
    w = world(min_liquidity_lamports=3 * SOL)
    w.trade(100)
    assert last(w) == ("wait", "WAIT_INSUFFICIENT_LIQUIDITY")
    assert numbers(w) == {"liquidity_lamports": (-1, 3 * SOL)}
    assert w.trade(101) == []
    w.reserves(102, quote=3 * SOL - 1)
    assert w.verdicts() == [("wait", "WAIT_INSUFFICIENT_LIQUIDITY")]
    w.reserves(103, quote=3 * SOL)
    assert last(w) == ("enter", "ENTER_PROBE_BUY")


def test_liquidity_of_a_new_pool_and_of_a_curve(world):
    w = world(min_liquidity_lamports=3 * SOL)
    w.take(PoolCreated("P", "M", SOL_MINT, "raydium", "2.999999999", slot=10))
    assert last(w) == ("wait", "WAIT_INSUFFICIENT_LIQUIDITY")
    w.take(PoolCreated("Q", "N", SOL_MINT, "raydium", "3.0", slot=10))
    assert last(w) == ("wait", "WAIT_BUYER_WINDOW")
    w.trade(11, pool="C", mint="K", dex="pumpfun", creator="D")
    assert last(w) == ("enter", "ENTER_PROBE_BUY")


def test_mint_authorities(world):
    w = world(require_mint_authority_renounced=True, require_freeze_authority_none=True)
    w.trade(100)
    assert last(w) == ("wait", "WAIT_MINT_INFO")
    w.take(TokenMintInfo("M", TOKEN_PROGRAM, 6, 10, "A", "F", slot=100))
    assert last(w) == ("reject", "REJECT_MINT_AUTHORITY_NOT_RENOUNCED")
    w.trade(100, pool="Q", mint="N")
    w.take(TokenMintInfo("N", TOKEN_PROGRAM, 6, 10, None, "F", slot=100))
    assert last(w) == ("reject", "REJECT_FREEZE_AUTHORITY_SET")
    w.trade(100, pool="R", mint="O")
    w.take(TokenMintInfo("O", TOKEN_PROGRAM, 6, 10, None, None, slot=100))
    assert last(w) == ("enter", "ENTER_PROBE_BUY")


def test_removed_liquidity_refuses_every_pool_of_the_mint(world):
    w = world(min_unique_buyers=9, lp_removal_min_lamports=10)
    w.trade(100)
    w.trade(100, pool="Q")
    assert w.take(LiquidityRemoved("P", "M", 9, 1, slot=101)) == []
    said = w.take(LiquidityRemoved("P", "M", 10, 1, slot=101))
    assert [(v.pool_address, v.code) for v in said] == [("P", "REJECT_LP_REMOVED"), ("Q", "REJECT_LP_REMOVED")]
    w.trade(102, pool="R")
    assert last(w) == ("reject", "REJECT_LP_REMOVED")
    w.trade(101 + 151, pool="S")
    assert last(w) == ("wait", "WAIT_BUYER_WINDOW")


def test_token_age_in_chain_time(world):
    first = 423_500_100
    w = world(min_token_age_secs=60)
    w.trade(first)
    w.trade(first + 85)
    assert last(w) == ("wait", "WAIT_TOKEN_AGE")
    assert w.momentum.gates.judge(w.momentum.state, w.row(), w.known.pools.get("P"), w.momentum.early) == (
        "WAIT_TOKEN_AGE",
        (("age_secs", 34, 60),),
    )
    w.trade(first + 149)
    assert last(w) == ("wait", "WAIT_TOKEN_AGE")
    w.trade(first + 150)
    assert last(w) == ("enter", "ENTER_PROBE_BUY")


def test_a_sell_of_the_creator_pauses_and_another_starts_anew(world):
    w = world(min_unique_buyers=9)
    w.take(DevWalletIdentified("M", "D", "5", slot=1))
    w.trade(100)
    w.trade(101, trader="D", buy=False)
    assert last(w) == ("wait", "WAIT_DEV_SELL_REVALIDATION")
    w.trade(101 + 74, trader="D", buy=False)
    w.trade(101 + 75)
    assert last(w) == ("wait", "WAIT_DEV_SELL_REVALIDATION")
    w.trade(101 + 74 + 75)
    assert last(w) == ("wait", "WAIT_BUYER_WINDOW")


def test_a_creator_told_late_has_sold_before(world):
    w = world(min_unique_buyers=9)
    w.trade(100, trader="D", buy=False)
    w.take(DevWalletIdentified("M", "D", "5", slot=102))
    assert last(w) == ("wait", "WAIT_DEV_SELL_REVALIDATION")
    assert w.row().dev_sell_slot == 100
    w.trade(176)
    assert last(w) == ("wait", "WAIT_BUYER_WINDOW")


def test_the_creators_share(world):
    w = world(min_unique_buyers=9)
    w.trade(100)
    w.take(DevWalletIdentified("M", "D", "95", slot=100))
    assert last(w) == ("wait", "WAIT_BUYER_WINDOW")
    w.take(DevWalletIdentified("M", "D", "95.01", slot=101))
    assert last(w) == ("reject", "REJECT_DEV_SUPPLY_TOO_HIGH")


def test_two_buyers_wait_and_are_not_refused(world):
    w = world(min_unique_buyers=3)
    w.trade(100, sol=9 * SOL // 10, trader="A")
    w.trade(101, sol=SOL // 20, trader="B")
    w.trade(102, trader="C", buy=False)
    w.trade(103, trader="A")
    assert w.verdicts() == [("wait", "WAIT_BUYER_WINDOW")]
    w.trade(104, trader="C")
    assert last(w) == ("enter", "ENTER_PROBE_BUY")


def test_velocity_counts_trades_per_minute(world):
    w = world(buyer_window_secs=60, min_trades_per_min_milli=2_000)
    w.trade(100)
    assert numbers(w) == {"trades_per_min_milli": (1_000, 2_000)}
    w.trade(101)
    assert last(w) == ("enter", "ENTER_PROBE_BUY")


def test_dominance(world):
    w = world(min_buy_dominance_bps=5_001)
    w.trade(100, buy=False)
    assert numbers(w) == {"buy_dominance_bps": (0, 5_001)}
    w.trade(101)
    assert w.verdicts() == [("wait", "WAIT_BUYER_WINDOW")]
    w.trade(102)
    assert last(w) == ("enter", "ENTER_PROBE_BUY")


def test_after_the_dev_pause_the_ordinary_gates_decide(world):
    """Delay over, six sells only, dominance 0.60 asked: waits."""
    w = world(min_buy_dominance_bps=6_000)
    w.take(DevWalletIdentified("M", "D", "5", slot=1))
    for n in range(6):
        w.trade(100 + n, trader="D", buy=False)
    w.trade(200, buy=False)
    assert last(w) == ("wait", "WAIT_BUYER_WINDOW")


def test_micro_buys(world):
    """Seven buys of 50 and three of 200 at a size of 100: 0.7 > 0.6."""
    w = world(min_trade_size_lamports=100, small_buy_ratio_cap_bps=6_000, min_sol_inflow_lamports=SOL)
    for n, sol in enumerate([200, 200, 200, 50, 50, 50, 50]):
        w.trade(100 + n, sol=sol)
    assert last(w) == ("wait", "WAIT_NET_SOL_INFLOW")
    for n in range(3):
        w.trade(110 + n, sol=50)
    assert last(w) == ("reject", "REJECT_MICRO_BUY_SPAM")
    assert w.row().until > w.now.time


def test_concentration_is_silent_below_five_buyers(world):
    caps = {"top1_buyer_share_cap_bps": 3_500, "top3_buyer_share_cap_bps": 6_000}
    w = world(**caps, min_sol_inflow_lamports=100 * SOL)
    for n in range(4):
        w.trade(100 + n, sol=10 * SOL if n == 0 else SOL)
    assert last(w) == ("wait", "WAIT_NET_SOL_INFLOW")
    w.trade(105)
    assert last(w) == ("reject", "REJECT_BOT_CONCENTRATION")
    assert numbers(w)["top1_share_bps"] == (7_142, 3_500)


def test_repeat_buyers(world):
    w = world(repeat_buyer_min_ratio_bps=2_000, min_sol_inflow_lamports=100 * SOL)
    for n in range(5):
        w.trade(100 + n, trader=f"R{n}")
    assert last(w) == ("reject", "REJECT_BOT_CONCENTRATION")
    w = world(repeat_buyer_min_ratio_bps=2_000, min_sol_inflow_lamports=100 * SOL)
    for n in range(5):
        w.trade(100 + n, trader=f"R{max(n, 1)}")
    w.trade(106, trader="R9")
    assert last(w) == ("wait", "WAIT_NET_SOL_INFLOW")


def test_inflow_is_never_below_zero(world):
    w = world(min_sol_inflow_lamports=1)
    w.trade(100, buy=False)
    assert numbers(w) == {"net_inflow_lamports": (0, 1)}


def test_a_downtrend_waits(world):
    w = world(price_trend_filter_enabled=True, price_trend_min_trades=20)
    w.reserves(1)
    for k, price in enumerate([100, 105, 110, 115, 120]):
        for i in range(4):
            w.trade(700 + 60 * k + i, tokens=price * 1_000, buy=(k, i) != (0, 0))
            if k == 0 and i == 0:
                w.row().until = 0
            w.momentum.entering.clear()
    assert last(w) == ("wait", "WAIT_DOWNTREND")


def test_a_dump_waits_for_confirmation(world):
    w = world(max_single_dump_lamports=100 * SOL)
    for n in range(5):
        w.trade(100 + n, buy=False)
        w.momentum.entering.clear()
    assert last(w) == ("wait", "WAIT_CONFIRMATION")
    assert w.row().memory.dump_slot == 104


def test_a_single_large_sell_is_terminal(world):
    w = world(max_single_dump_lamports=5 * SOL, min_unique_buyers=9)
    w.trade(100, buy=False, sol=5 * SOL)
    assert last(w) == ("wait", "WAIT_BUYER_WINDOW")
    w.trade(101, buy=False, sol=5 * SOL + 1)
    assert last(w) == ("reject", "REJECT_LARGE_DUMP")
    assert w.trade(102) == []
    w.trade(101 + 751)
    assert last(w) == ("wait", "WAIT_BUYER_WINDOW")


def test_routing_data(world):
    w = world()
    w.trade(100, dex="pump_amm")
    assert last(w) == ("wait", "WAIT_POOL_ACCOUNTS")
    accounts = ("P", *(f"a{n}" for n in range(13)))
    w.take(DexPoolAccounts("pump_amm", "P", "M", SOL_MINT, accounts, slot=101))
    w.trade(102, dex="pump_amm")
    assert last(w) == ("enter", "ENTER_PROBE_BUY")
    w.trade(103, pool="C", mint="K", dex="pumpfun")
    assert last(w) == ("wait", "WAIT_MISSING_CREATOR")
    w.trade(104, pool="C", mint="K", dex="pumpfun", creator="D")
    assert last(w) == ("enter", "ENTER_PROBE_BUY")
    w.take(TokenMintInfo("X", "Unknown", 6, 1, slot=104))
    w.trade(105, pool="Q", mint="X")
    assert last(w) == ("reject", "REJECT_UNSUPPORTED_TOKEN_PROGRAM")


def test_a_complete_curve_is_terminal(world):
    w = world(min_unique_buyers=9)
    w.trade(100, dex="pumpfun")
    w.take(BondingCurveProgress("M", "P", 9_999, False, slot=101))
    assert last(w) == ("wait", "WAIT_BUYER_WINDOW")
    w.take(BondingCurveProgress("M", "P", 10_000, True, slot=102))
    assert last(w) == ("reject", "REJECT_PUMPFUN_BONDING_COMPLETE")


def test_a_gap_waits_until_no_window_reaches_it(world):
    w = world(min_unique_buyers=9)
    w.trade(100)
    w.take(GapOpened("geyser", 101, None, "test"), 41_000_000_000)
    w.trade(120)
    assert last(w) == ("wait", "WAIT_FEED_GAP")
    w.take(GapClosed("geyser", None, 110, filled=False), 49_000_000_000)
    w.trade(110 + 300)
    assert last(w) == ("wait", "WAIT_FEED_GAP")
    w.trade(110 + 301)
    assert last(w) == ("wait", "WAIT_BUYER_WINDOW")


def test_what_is_never_traded_says_so_once(world):
    w = world()
    w.trade(100, mint=USDC_MINT)
    w.trade(101, pool="Q", quote_mint=USDC_MINT)
    assert w.verdicts() == [("reject", "REJECT_NOT_TRADEABLE"), ("reject", "REJECT_QUOTE_NOT_SOL")]
    for slot in range(102, 60_000, 1_000):
        assert w.trade(slot, mint=USDC_MINT) == w.trade(slot, pool="Q", quote_mint=USDC_MINT) == w.tick(slot) == []
    w = world(not_tradeable=SOL_MINT)
    w.trade(100, mint=USDC_MINT)
    assert last(w) == ("enter", "ENTER_PROBE_BUY")


def test_the_regimes_have_own_parameters(world):
    from ironcrab.strategy.params import MomentumParams, entry_of

    params = MomentumParams()
    early, established = entry_of(params, "early_"), entry_of(params, "established_")
    assert (early.min_liquidity_lamports, established.min_liquidity_lamports) == (3 * SOL, 10 * SOL)
    assert (early.max_slippage_bps, established.max_slippage_bps) == (500, 200)
    w = world(min_unique_buyers=9)
    assert w.trade(100)[0].regime == "Early"
    assert w.momentum._policy("P").regime == "Early"
    w.now.slot = 1_099
    assert w.momentum._policy("P").regime == "Early"
    w.now.slot = 1_100
    assert w.momentum._policy("P").regime == "Established"
    assert w.momentum._policy("unknown").regime == "Early"


ORDER = [
    ("min_liquidity_lamports", 2_000 * SOL, "WAIT_INSUFFICIENT_LIQUIDITY"),
    ("min_token_age_secs", 86_400, "WAIT_TOKEN_AGE"),
    ("min_unique_buyers", 1_000, "WAIT_BUYER_WINDOW"),
    ("small_buy_ratio_cap_bps", 0, "REJECT_MICRO_BUY_SPAM"),
    ("top1_buyer_share_cap_bps", 0, "REJECT_BOT_CONCENTRATION"),
    ("min_sol_inflow_lamports", 10**18, "WAIT_NET_SOL_INFLOW"),
]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_the_first_gate_that_holds_gives_the_code(world, first):
    """All gates from `first` on are shut; the one that stands first speaks."""
    shut = {name: value for name, value, _ in ORDER[first:]}
    w = world(min_trade_size_lamports=10 * SOL, **shut)
    w.reserves(99)
    for n in range(6):
        w.trade(100 + n)
        w.momentum.entering.clear()
        w.row().until = 0
    assert last(w)[1] == ORDER[first][2]
