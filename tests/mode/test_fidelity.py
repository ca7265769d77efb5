"""How far the fill model is from recorded swaps: not at all where the state before is known."""

import base64
import gzip
import json
import os
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from ironcrab import testing
from ironcrab.app.backtesting import fidelity_command
from ironcrab.dex import Account, Refusal, quote, raydium, raydium_cpmm
from ironcrab.dex.address import TOKEN
from ironcrab.dex.dlmm_state import PROGRAM as DLMM
from ironcrab.domain.control import GapOpened
from ironcrab.domain.fault import InputFault
from ironcrab.domain.market import DexPoolAccounts, PoolCreated, PoolStateUpdate, Trade
from ironcrab.log.recording import Recording
from ironcrab.mode.fidelity import fidelity, within_pool
from ironcrab.shell.programs import Programs
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


DAY = ROOT / "recordings" / "whirlpool-2022-04-06"


def test_the_shipped_day_is_equal_to_the_last_unit():
    """Its accounts are recorded. One swap got nothing for what it paid, which is no price to be compared."""
    found = fidelity([Recording.open(DAY)])
    assert found.swaps == 9_466
    row = found.errors["orca", "exact"]
    assert (row.swaps, row.equal) == (9_465, 9_465)
    assert found.unjudged == {("orca", "an amount of zero"): 1}


def test_the_same_day_without_its_accounts_is_judged_on_its_last_trades(tmp_path):
    """Nothing is exact then, and the report says so in numbers."""
    told = [
        (record.time, record.event)
        for record in Recording.open(DAY).records(types=(DexPoolAccounts, PoolCreated, PoolStateUpdate, Trade))
    ]
    found = fidelity([testing.record(told, tmp_path / "bare")])
    assert found.swaps == 9_466
    row = found.errors["orca", "last_trade"]
    assert (row.swaps, row.equal) == (9_457, 0)
    assert sum(found.unjudged.values()) == 9
    quantiles = row.quantiles()
    assert -3_100 < quantiles["p05"] < quantiles["p50"] < quantiles["p95"] < 0


def folder_of_programs(*programs):
    """Where the binaries are; the test is skipped where one is missing."""
    folder = os.environ.get("IRONCRAB_PROGRAMS")
    if folder is None or not all((Path(folder) / f"{program}.so").is_file() for program in programs):
        pytest.skip("skipped: IRONCRAB_PROGRAMS names no folder with these programs")
    return Path(folder)


def executed_pools():
    """(venue, pool, accounts, clock, the mint that is not SOL) of rows that real programs executed; one of each."""
    shared = Path(os.environ.get("IRONCRAB_SHARED", ROOT / ".." / "shared")).resolve() / "vectors"
    if not shared.is_dir():
        pytest.skip("skipped: shared inputs are not beside the checkout")

    def rows(name):
        with gzip.open(shared / f"{name}.jsonl.gz", "rt") as lines:
            yield from map(json.loads, lines)

    pool = SETS["raydium"].pool
    row = next(r for r in rows("raydium_amm_v4") if r["ok"] and r["fields"]["status"] == 6)
    data = {role: base64.b64decode(text) for role, text in row["before"].items()}
    amm = raydium.decode(Account(raydium.PROGRAM, 1, data["amm"]))
    accounts = {pool: Account(raydium.PROGRAM, 10**9, data["amm"])}
    accounts |= {getattr(amm, role): Account(TOKEN, 10**10, data[role]) for role in ("coin_vault", "pc_vault")}
    yield "raydium", pool, accounts, (amm.coin_mint, amm.pc_mint)
    row = next(r for r in rows("raydium_cpmm_executed") if r["ok"])
    data = {role: base64.b64decode(text) for role, text in row["before"].items()}
    cpmm = raydium_cpmm.decode(Account(raydium_cpmm.PROGRAM, 1, data["pool_state"]))
    first, second = row["token_programs"]
    accounts = {
        pool: Account(raydium_cpmm.PROGRAM, 10**9, data["pool_state"]),
        cpmm.config: Account(raydium_cpmm.PROGRAM, 10**9, data["amm_config"]),
        cpmm.vault_0: Account(first, 10**10, data["vault0"]),
        cpmm.vault_1: Account(second, 10**10, data["vault1"]),
        cpmm.mint_0: Account(first, 10**10, data["mint0"]),
        cpmm.mint_1: Account(second, 10**10, data["mint1"]),
    }
    yield "raydium_cpmm", pool, accounts, (cpmm.mint_0, cpmm.mint_1)
    known = {}
    for row in rows("meteora_dlmm"):
        if row["kind"] == "account":
            known[row["ref"]] = Account(row["owner"], row["lamports"], base64.b64decode(row["data"]))
        elif row["ix"] == "swap2" and "host_fee_in" not in row["accounts"]:
            role = {name: each["pubkey"] for name, each in row["accounts"].items()}
            told = {each["pubkey"]: known[each["ref"]] for each in row["accounts"].values()}
            yield "meteora_dlmm", role["lb_pair"], told, (role["mint_x"], role["mint_y"])
            return


def swapped(market, venue, pool, sides, amount):
    """One swap as the program would leave it behind; nothing where it refuses."""
    found = quote(pool, market.state, mint_in=sides[0], amount=amount, clock=market.clock)
    if isinstance(found, Refusal):
        return
    paid, got = within_pool(venue, found, *sides)
    market.accounts(found.after, f"{pool}{market.count}")
    money, coin = sides
    market.say(
        Trade(pool, coin, "trader", True, paid, got, 6, venue, money, f"{pool}{market.count}", slot=market.at_slot)
    )


def test_the_real_programs_pay_as_quoted(tmp_path):
    """Pools that were on the chain: each swap is quoted, told, and executed by the program's binary."""
    programs = folder_of_programs(raydium.PROGRAM, raydium_cpmm.PROGRAM, DLMM)
    market = testing.Market(slot=400_000_000, unix=1_790_000_000)
    for venue, pool, accounts, mints in executed_pools():
        market.accounts(accounts).slot()
        for step in range(8):
            swapped(market, venue, pool, mints[:: 1 if step % 3 else -1], 10_000 + 777 * step)
            market.slot()
    told = testing.record(market, tmp_path / "log")
    found = fidelity([told], programs=Programs(programs))
    assert found.unrun == {}
    assert set(found.executed) == {"raydium", "raydium_cpmm", "meteora_dlmm"}
    for row in found.executed.values():
        assert (row.equal, row.first) == (row.swaps, "")
        assert row.swaps >= 6
    said = CliRunner().invoke(fidelity_command, [str(told.path), "--programs", str(programs)])
    assert "real program of raydium: 8 swaps executed, 8 paid as quoted" in said.output


def test_what_no_program_can_execute_is_named(tmp_path):
    programs = folder_of_programs(raydium.PROGRAM)
    told = testing.record(traded(["raydium", "pumpfun"], steps=2), tmp_path / "log")
    found = fidelity([told], programs=Programs(programs))
    assert found.executed == {}
    assert [(venue, count) for (venue, _), count in found.unrun.items()] == [("raydium", 2), ("pumpfun", 2)]
    whys = [why for _, why in found.unrun]
    assert whys[0].startswith("the program refuses: ")  # the vaults of this set belong to nobody
    assert whys[1].startswith("no binary of program ")


def test_a_folder_without_programs_is_one_sentence(tmp_path):
    pytest.importorskip("solders")
    for folder, word in ((tmp_path, "holds no <program id>.so"), (tmp_path / "none", "is no folder")):
        with pytest.raises(InputFault, match=word):
            Programs(folder)


@pytest.mark.slow
def test_the_program_of_that_day_pays_its_real_swaps_as_quoted(tmp_path):
    """The binary that was deployed on 6 April 2022, on the recorded accounts; it refuses 24, whose arrays it wants."""
    pytest.importorskip("solders")
    shared = Path(os.environ.get("IRONCRAB_SHARED", ROOT / ".." / "shared")).resolve()
    if not shared.is_dir():
        pytest.skip("skipped: shared inputs are not beside the checkout")
    with gzip.open(shared / "data/whirlpool_2022/whirlpool-state-20220406.json.gz") as file:
        elf = base64.b64decode(json.load(file)["programData"])
    (tmp_path / "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc.so").write_bytes(elf)
    found = fidelity([Recording.open(DAY)], programs=Programs(tmp_path))
    row = found.executed["orca"]
    assert (row.swaps, row.equal, row.first) == (9_441, 9_441, "")
    assert sum(found.unrun.values()) == 24
