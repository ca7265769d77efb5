"""Quote side, direction and decimals of what venues read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.dex import base58
from ironcrab.dex.face import Created, Fee, Liquidity, Migrated, Swap, TokenBalance, Transaction
from ironcrab.domain.market import (
    BondingCurveProgress,
    DexPoolAccounts,
    LiquidityRemoved,
    PoolCreated,
    PoolStateUpdate,
    Trade,
)
from ironcrab.domain.units import SOL_MINT, USDC_MINT, USDT_MINT
from ironcrab.ingest.names import CANONICAL, SPELLINGS, dex_name
from ironcrab.ingest.trades import POOLS_KEPT, Place, events_of, quote_of, sol_text

LOW, HIGH = (base58.encode(bytes([first]) * 32) for first in (1, 2))


def place(*mints, program="T"):
    balances = {f"vault of {mint}": TokenBalance(mint, "pool", program, 4, 1, 2) for mint in mints}
    return Place("orca", Transaction("sig", 7, "payer", ("payer",), (), balances, {}), 3)


def told(parsed, *mints):
    counts = {}
    return events_of(parsed, place(*mints), {}, counts), counts


@pytest.mark.parametrize(
    ("mint_a", "mint_b", "quote"),
    [
        (SOL_MINT, USDC_MINT, SOL_MINT),
        (USDC_MINT, SOL_MINT, SOL_MINT),
        (USDC_MINT, USDT_MINT, USDC_MINT),
        (USDT_MINT, USDC_MINT, USDC_MINT),
        (USDT_MINT, LOW, USDT_MINT),
        (LOW, HIGH, HIGH),
        (HIGH, LOW, LOW),
    ],
)
def test_the_quote_side(mint_a, mint_b, quote):
    assert quote_of(mint_a, mint_b) == quote


def test_a_buy_pays_the_quote_in():
    fees = (Fee("lp", SOL_MINT, 1), Fee("lp", SOL_MINT, 2), Fee("creator", SOL_MINT, 4))
    swap = Swap("pool", 5, "me", SOL_MINT, LOW, 100, 9, fees, 1000, 90, "maker")
    (trade, state), counts = told(swap, SOL_MINT, LOW)
    assert trade == Trade(
        "pool", LOW, "me", True, 100, 9, 4, "orca", SOL_MINT, "sig", "maker", "T", 7,
        index=3, position=5, lp_fee=3, protocol_fee=None, creator_fee=4,
    )  # fmt: skip
    assert state == PoolStateUpdate("pool", "orca", 90, 1000, LOW, SOL_MINT, 7, slot=7)
    back = Swap("pool", 5, "me", LOW, SOL_MINT, 9, 100)
    [trade], counts = told(back, SOL_MINT, LOW)
    assert (trade.is_buy, trade.sol_amount, trade.token_amount, trade.mint) == (False, 100, 9, LOW)
    assert counts == {}


@pytest.mark.parametrize("second", [None, LOW, HIGH])
def test_both_directions_of_a_pool_share_one_quote(second):
    quotes = []
    for mint_in, mint_out in ((LOW, HIGH), (HIGH, LOW)):
        [trade], _ = told(Swap("pool", 0, "me", mint_in, mint_out, 1, 2, mint_b=second), LOW, HIGH)
        quotes.append((trade.quote_mint, trade.mint))
        assert trade.is_buy == (mint_in == trade.quote_mint)
    wanted = second or HIGH
    assert quotes == [(wanted, LOW if wanted == HIGH else HIGH)] * 2


def test_what_cannot_be_a_trade_is_counted():
    assert told(Swap("pool", 0, "me", SOL_MINT, LOW, 1, 2), SOL_MINT) == ([], {"trade_without_decimals": 1})
    for swap in (
        Swap("pool", 0, "me", SOL_MINT, SOL_MINT, 1, 2),
        Swap("pool", 0, "me", SOL_MINT, LOW, 2**64, 2),
        Swap("pool", 0, "me", SOL_MINT, LOW, 1, -2),
        Swap("pool", 0, "me", LOW, HIGH, 1, 2, mint_b=USDC_MINT),
    ):
        assert told(swap, SOL_MINT, LOW) == ([], {"trade_absurd": 1})


def test_creation_removal_and_completion():
    created, _ = told(Created("pool", 1, SOL_MINT, LOW, 1_500_000_000, 7, "maker", ("a", "b")))
    assert created == [
        PoolCreated("pool", LOW, SOL_MINT, "orca", "1.5", 7, signature="sig", index=3, position=1, creator="maker"),
        DexPoolAccounts("orca", "pool", LOW, SOL_MINT, ("a", "b"), 7),
    ]
    [pool], _ = told(Created("pool", 1, LOW, USDC_MINT, 5, 7, "maker"))
    assert (pool.quote_mint, pool.initial_liquidity_sol) == (USDC_MINT, None)
    [removed], _ = told(Liquidity("pool", 2, False, SOL_MINT, LOW, 10, 20, "me"))
    assert removed == LiquidityRemoved("pool", LOW, 10, 20, "sig", 7, index=3, position=2)
    assert told(Liquidity("pool", 2, True, SOL_MINT, LOW, 10, 20, "me")) == ([], {})
    assert told(Migrated("curve", 2, LOW, "pool"))[0] == [BondingCurveProgress(LOW, "curve", 10_000, True, 7)]


@given(st.integers(0, 2**64 - 1))
@settings(derandomize=True, deadline=None)
def test_sol_text_is_exact_and_canonical(lamports):
    text = sol_text(lamports)
    whole, _, rest = text.partition(".")
    assert int(whole) * 10**9 + int(rest.ljust(9, "0")) == lamports
    assert not rest.endswith("0")
    assert "." not in text or rest


def test_dex_names():
    assert [dex_name(name) for name in CANONICAL] == list(CANONICAL)
    assert set(SPELLINGS.values()) <= set(CANONICAL)
    assert dex_name("PumpFunAmm") == "pump_amm"
    assert dex_name("pump.fun") == "pumpfun"
    assert dex_name("raydium_amm_v4") == "raydium"
    assert dex_name("pump_swap_amm") == "pump_amm"
    assert dex_name("Meteora-DLMM") == "meteora_dlmm"
    assert dex_name("Lifinity") == "Lifinity"


def test_the_accounts_of_a_pool_are_told_once():
    swap, met = Swap("pool", 5, "me", SOL_MINT, LOW, 100, 9, accounts=("a", "b")), {}
    first = events_of(swap, place(SOL_MINT, LOW), met, {})
    assert first[0] == DexPoolAccounts("orca", "pool", LOW, SOL_MINT, ("a", "b"), 7)
    assert events_of(swap, place(SOL_MINT, LOW), met, {}) == first[1:]
    met.update({str(number): None for number in range(POOLS_KEPT)})
    events_of(Swap("next", 5, "me", SOL_MINT, LOW, 1, 9, accounts=("a",)), place(SOL_MINT, LOW), met, {})
    assert "pool" not in met
    assert "next" in met
