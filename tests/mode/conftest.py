"""A small market of our own, and the shipped goldens, for tests of what one does with a log."""

import shutil
from pathlib import Path

import pytest

from ironcrab.domain.market import PoolStateUpdate, SlotUpdate, TokenMintInfo, Trade
from ironcrab.domain.units import SOL_MINT, TOKEN_PROGRAM
from ironcrab.log.recording import Recording
from ironcrab.mode.run import run_events
from ironcrab.mode.scenario import read

ROOT = Path(__file__).parents[2]
POOL = "PoolOfTheTests1111111111111111111111111111"
MINT = "MintOfTheTests1111111111111111111111111111"
SECOND = 1_000_000_000
MOMENTUM = {
    "early_min_token_age_secs": 0,
    "early_min_unique_buyers": 3,
    "early_min_trades_per_min_milli": 1_000,
    "early_top1_buyer_share_cap_bps": 10_000,
    "early_top3_buyer_share_cap_bps": 10_000,
    "early_repeat_buyer_min_ratio_bps": 0,
    "early_min_sol_inflow_lamports": 1,
    "take_profit_bps": 300,
    "take_profit_min_hold_secs": 1,
    "reentry_cooldown_secs": 5,
}


def market(seconds=120, start=1_700_000_000):
    """(time, event) pairs: one pool whose price rises, then falls; two slots a second, a trade in each."""
    yield start * SECOND, TokenMintInfo(MINT, TOKEN_PROGRAM, 6, 10**15, slot=1000)
    base, quote = 10**14, 50 * SECOND
    for step in range(2 * seconds):
        slot, time = 1000 + step, start * SECOND + step * SECOND // 2
        yield time, SlotUpdate(slot, slot=slot)
        is_buy = step % 40 < 24
        sol = 200_000_000 + step % 7 * 10_000_000
        token = base * sol // (quote + sol)
        base, quote = (base - token, quote + sol) if is_buy else (base + token, quote - sol)
        yield (
            time,
            Trade(
                POOL, MINT, f"trader{step % 9}", is_buy, sol, token, 6, "raydium",
                slot=slot, signature=f"sig{step}", index=0, position=0,
            ),
        )  # fmt: skip
        yield time, PoolStateUpdate(POOL, "raydium", base, quote, MINT, SOL_MINT, slot, slot=slot)


def scenario(**tables):
    tree = {
        "strategies": ["momentum"],
        "momentum": MOMENTUM | tables.get("momentum", {}),
        "engine": {"send_enabled": True} | tables.get("engine", {}),
        "paper": {"fee_bps": 25, "slippage_bps": 0} | tables.get("paper", {}),
    }
    return read("tests", tree, "tests")


def make(folder, seconds=120, **tables):
    summary = run_events(market(seconds), "a-market", scenario(**tables), folder)
    return Recording.open(folder), summary


@pytest.fixture
def small(tmp_path):
    """A recording of a run over the small market, still hot."""
    return make(tmp_path / "small")[0]


@pytest.fixture
def golden(tmp_path):
    """A copy of the smallest shipped golden that a test may damage."""
    return Path(shutil.copytree(ROOT / "recordings" / "mainnet-block-332254908", tmp_path / "golden"))


@pytest.fixture(scope="session")
def day():
    """The shipped Whirlpool day, read only."""
    return Recording.open(ROOT / "recordings" / "whirlpool-2022-04-06")
