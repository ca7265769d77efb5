"""How far the fill model is from recorded swaps: not at all where the state before is known."""

import os
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import msgspec
import pytest

from ironcrab import dex, testing
from ironcrab.dex import Account, Clock
from ironcrab.dex.whirlpool_state import PROGRAM, decode_whirlpool, encode_whirlpool
from ironcrab.domain.control import GapOpened
from ironcrab.domain.market import AccountWritten, Trade
from ironcrab.domain.units import SOL_MINT
from ironcrab.log.recording import Recording
from ironcrab.mode.fidelity import fidelity
from tests.pool_sets import sets

ROOT = Path(__file__).parents[2]
SETS = sets()


def traded(venues, steps=40):
    """Swaps both ways on one pool of each venue, several a slot."""
    market = testing.Market(slot=400_000_000)
    for venue in venues:
        market.accounts(SETS[venue].accounts)
    market.slot()
    for step in range(steps):
        for venue in venues:
            pools = SETS[venue]
            market.swap(pools.pool, pools.mints[1], 10**7 + step * 12_345, is_buy=step % 5 < 3)
        if step % 3 == 0:
            market.slot()
    return market.slot()


def test_every_swap_is_equal_where_the_state_before_is_known(tmp_path):
    found = fidelity([testing.record(traded(SETS), tmp_path / "log")])
    assert found.unjudged == {}
    assert {key: (row.swaps, row.equal, row.ppm) for key, row in found.errors.items()} == {
        (venue, "exact"): (40, 40, {0: 40}) for venue in SETS
    }
    assert found.swaps == 240


def test_a_lagging_state_is_not_equal(tmp_path):
    recording = testing.record(traded(["raydium"]), tmp_path / "log")
    row = fidelity([recording], behind=4).errors["raydium", "exact"]
    assert row.swaps > 30
    assert row.equal < row.swaps
    assert row.within(10_000) == row.swaps


def test_two_swaps_of_a_transaction_are_judged_one_after_the_other(tmp_path):
    """The second begins where the first ended, on the same pool and on another one of the route."""
    market = testing.Market(slot=400_000_000)
    pools = [SETS["raydium"], SETS["pump_amm"]]
    for each in pools:
        market.accounts(each.accounts)
    market.slot()
    begin = len(market.told)
    for turn in range(4):
        market.swap(pools[turn % 2].pool, pools[turn % 2].mints[1], 10**8)
    one = [(time, msgspec.structs.replace(event, signature="one")) for time, event in market.told[begin:]]
    writes = [pair for pair in one if not isinstance(pair[1], Trade)]
    trades = [pair for pair in one if isinstance(pair[1], Trade)]
    market.told[begin:] = writes + trades
    found = fidelity([testing.record(market.slot(), tmp_path / "log")])
    assert [(row.swaps, row.equal) for row in found.errors.values()] == [(2, 2), (2, 2)]


def test_what_cannot_be_judged_is_counted_and_named(tmp_path):
    market = traded(["orca", "pump_amm"], steps=10)
    market.say(GapOpened("feed", market.at_slot, None, "test"))
    for venue in ("orca", "pump_amm"):
        market.swap(SETS[venue].pool, SETS[venue].mints[1], 10**7)
    nothing = [(time, event) for time, event in market if isinstance(event, Trade)][:2]
    found = fidelity([testing.record(market, tmp_path / "log"), testing.record(nothing, tmp_path / "bare")])
    assert sum(row.equal for row in found.errors.values()) == 20
    assert sum(found.unjudged.values()) == 4
    assert all(why for _, why in found.unjudged)


def test_the_shipped_day_is_judged_on_its_last_trades():
    """No account is recorded of that day: nothing is exact, and the report says so in numbers."""
    found = fidelity([Recording.open(ROOT / "recordings" / "whirlpool-2022-04-06")])
    assert found.swaps == 9_466
    row = found.errors["orca", "last_trade"]
    assert (row.swaps, row.equal) == (9_457, 0)
    assert sum(found.unjudged.values()) == 9
    told = row.quantiles()
    assert -3_100 < told["p05"] < told["p50"] < told["p95"] < 0


# --- the real day, with its pool states rebuilt -------------------------------------------------------------

SPEC = spec_from_file_location("whirlpool_day", ROOT / "tests" / "dex" / "whirlpool_day.py")
day = module_from_spec(SPEC)
SPEC.loader.exec_module(day)
LARGE = (
    "24WZto6BNjNamZFUPf3nQZZaFpuvBwdqT5B8QQjpNjGb",
    "65shmpuYmxx5p7ggNCZbyrGLCXVqbBR1ZD5aAocRBUNG",
)


def rebuilt(pool, price, ranges):
    """(time, event) of a pool's day: its accounts in the morning, then what each instruction wrote, and its Trade.

    The day's own prices and tick arrays, carried on by the recorded instructions; vaults are full.
    """
    state = pool.at(price)
    accounts = {pool.address: Account(PROGRAM, 10**9, encode_whirlpool(state, pool.account.data))}
    mints = (state.mint_a, state.mint_b)
    for vault, mint in zip((state.vault_a, state.vault_b), mints, strict=True):
        accounts[vault] = day.vault_account(mint, pool.address)
    day.write(accounts, pool)
    known = {}

    def news(happened, signature=None):
        for address, account in accounts.items():
            if known.get(address) != account:
                known[address] = account
                yield (
                    happened.time * 10**9,
                    AccountWritten(
                        address, account.owner, account.lamports, account.data, happened.slot, len(known), signature
                    ),
                )

    yield from news(pool.happened[0])
    for number, happened in enumerate(pool.happened):
        if happened.name != "swap":
            amount = int(happened.payload["dataLiquidityAmount"])
            signed = amount if happened.name == "increaseLiquidity" else -amount
            lower, upper = ranges[happened.payload["keyPosition"]]
            pool.change(lower, upper, signed)
            day.write(accounts, pool)
            now = decode_whirlpool(accounts[pool.address])
            if lower <= now.tick < upper:
                now = msgspec.structs.replace(now, liquidity=now.liquidity + signed)
            data = encode_whirlpool(now, accounts[pool.address].data)
            accounts[pool.address] = Account(PROGRAM, 10**9, data)
            yield from news(happened)
            continue
        sides = mints if happened.a_to_b else mints[::-1]
        clock = Clock(happened.slot, happened.time, 300)
        answer = dex.quote(
            pool.address, accounts, mint_in=sides[0], amount=happened.amount, clock=clock, limit=happened.limit
        )
        accounts.update(answer.after)
        for vault, mint in zip((state.vault_a, state.vault_b), mints, strict=True):
            accounts[vault] = day.vault_account(mint, pool.address)
        signature = f"{pool.address[:8]}-{number}"
        yield from news(happened, signature)
        yield happened.time * 10**9, trade_of(pool.address, sides, happened, signature)


def trade_of(address, sides, happened, signature):
    """The recorded amounts, whatever the rebuilt state says."""
    money = SOL_MINT if SOL_MINT in sides else sides[0]
    is_buy = sides[0] == money
    paid, got = happened.amounts
    return Trade(
        address, sides[1] if is_buy else sides[0], "T", is_buy, paid if is_buy else got, got if is_buy else paid, 6,
        "orca", quote_mint=money, signature=signature, slot=happened.slot,
    )  # fmt: skip


def judged(shared, folder, wanted):
    pools, ranges = day.read(shared / "data/whirlpool_2022")
    events = []
    for address, pool in pools.items():
        if wanted(address) and pool.happened:
            low, high = day.rewind(pool, ranges)
            events += rebuilt(pool, (low + high) // 2, ranges)
    events.sort(key=lambda pair: pair[1].slot)
    return fidelity([testing.record(events, folder)])


@pytest.fixture(scope="session")
def shared():
    folder = Path(os.environ.get("IRONCRAB_SHARED", ROOT / ".." / "shared")).resolve()
    if not folder.is_dir():
        pytest.skip("skipped: shared inputs are not beside the checkout")
    return folder


def test_six_real_pools_are_equal_to_the_last_unit(shared, tmp_path):
    found = judged(shared, tmp_path / "log", lambda address: address not in LARGE)
    (row,) = found.errors.values()
    print(found.errors.keys(), row.swaps, row.equal, row.quantiles(), found.unjudged)
    assert row.swaps + sum(found.unjudged.values()) == 961
    assert row.equal == row.swaps == 961


@pytest.mark.slow
def test_the_whole_real_day_is_equal_to_the_last_unit(shared, tmp_path):
    found = judged(shared, tmp_path / "log", lambda _: True)
    row = found.errors["orca", "exact"]
    print(row.swaps, row.equal, row.quantiles(), found.unjudged)
    assert found.swaps == 9_466
    assert row.equal == row.swaps
