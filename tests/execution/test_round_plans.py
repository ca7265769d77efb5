"""Round trips with instructions: all legs in one transaction, each its venue's, or a clear refusal."""

from struct import pack

from ironcrab.dex import VENUES, Account, base58
from ironcrab.dex.address import TOKEN, WSOL
from ironcrab.dex.message import LOOKUP_TABLES, Table, compiled, instructions_of
from ironcrab.domain.ask import SimulateAnswer
from ironcrab.domain.market import ExplicitAmount, PoolCreated, PoolStateUpdate, SlotUpdate, WalletBalanceSnapshot
from ironcrab.domain.trade import Execution, SwapHop, TradeResources
from ironcrab.domain.units import SOL_MINT
from ironcrab.execution.building import TOO_LARGE, UNBUILT
from ironcrab.execution.params import PAPER_WALLET
from tests.execution.stage import Stage, buy
from tests.execution.test_plans import ACCOUNTS, MINT_ACCOUNT, SETS, SLOT, decide, kinds, last_row, told
from tests.pool_sets import key

BY_ID = {venue.id: venue for venue in VENUES}
A, B = key(12), key(33)
RAW = 10_000_000


def remade(venue, **mints):
    """A pool set with other mints: {old: new} by their keys' bytes."""
    swapped = {}
    for address, account in ACCOUNTS[venue].items():
        data = account.data
        for old, new in mints.items():
            data = data.replace(base58.decode(old), base58.decode(new))
        swapped[mints.get(address, address)] = Account(account.owner, account.lamports, data)
    return swapped


def pools():
    """(venue, pool, accounts, mints) of SOL/A, A/B and B/SOL."""
    cpmm = remade("raydium_cpmm", **{WSOL: A, SETS["raydium_cpmm"].mints[1]: B})
    return (
        ("raydium", SETS["raydium"].pool, ACCOUNTS["raydium"], (SOL_MINT, A)),
        ("raydium_cpmm", SETS["raydium_cpmm"].pool, cpmm, (A, B)),
        ("orca", SETS["orca"].pool, ACCOUNTS["orca"], (B, SOL_MINT)),
    )


def ready(*legs, leave_out=(), extra=(), **params):
    """A stage that knows these pools, and the path over them."""
    quick = {"send_enabled": True, "plans": "required", "cross_dex_min_spread_bps": 0, "min_profit_after_fees_bps": 0}
    stage = Stage(paper=None, **{**quick, **params})
    for venue, pool, accounts, mints in legs:
        base, quote = mints if mints[1] == SOL_MINT else mints[::-1]
        stage.take(PoolCreated(pool, base, quote, venue, "0", creator=key(51), slot=SLOT))
        for address, account in accounts.items():
            if address not in leave_out:
                stage.take(told(address, account))
    for address, account in extra:
        stage.take(told(address, account))
    stage.take(SlotUpdate(SLOT, slot=SLOT))
    return stage


def path(*legs, raw=RAW, **fields):
    swaps = tuple(SwapHop(pool, venue, mints[0], mints[1], 0) for venue, pool, _, mints in legs)
    more = {
        "source": "arb-strategy", "tier": "Arb", "regime": "NotApplicable", "expected_roi_bps": 9_000,
        "resources": TradeResources(SOL_MINT, SOL_MINT, tuple(leg[1] for leg in legs)), "swap_path": swaps,
        "execution": Execution(ExplicitAmount(1, 9)),
    }  # fmt: skip
    return buy(raw, **{**more, **fields})


def two_legs():
    """The coin is cheap on its curve and dear in its pool."""
    coin = SETS["pumpfun"].mints[1]
    return (
        ("pumpfun", SETS["pumpfun"].pool, ACCOUNTS["pumpfun"], (SOL_MINT, coin)),
        ("pump_amm", SETS["pump_amm"].pool, ACCOUNTS["pump_amm"], (coin, SOL_MINT)),
    )


def legs_are_the_builders(stage, plan, legs):
    clock = stage.known.pools.accounts.clock()
    swaps = []
    for hop, (venue, pool, accounts, mints) in zip(plan.hops, legs, strict=True):
        seen = {**{mint: MINT_ACCOUNT for mint in mints if mint != WSOL}, **accounts}
        swaps += BY_ID[venue].instructions(
            pool, seen, user=PAPER_WALLET, mint_in=hop.input_mint, amount=hop.amount_in, other_amount=hop.min_out,
            exact="in", clock=clock,
        )  # fmt: skip
    programs = [swap.program for swap in swaps]
    assert [one for one in instructions_of(plan.calls) if one.program in programs] == swaps


def test_two_legs_are_one_transaction():
    legs = two_legs()
    stage = ready(*legs)
    plan = decide(stage, path(*legs))
    legs_are_the_builders(stage, plan, legs)
    assert kinds(plan) == ["limit", "price", "make", "make", "swap", "swap", "close"]
    units = 120_000 + 150_000 + 300 + 2 * 30_000 + 10_000
    assert units - 255 <= plan.compute_units <= units
    cost = 5_000 - (-5_500 * units // 1_000_000)
    assert plan.min_out == RAW + cost + plan.must_earn_lamports == plan.hops[-1].min_out
    message = compiled(PAPER_WALLET, plan.calls)
    assert (message.plan_hash, message.fault) == (plan.plan_hash, None)
    assert (plan.quote_slot, plan.quote_age_slots, plan.quote_age_ms) == (SLOT, 0, 0)
    stage.take(SimulateAnswer(len(stage.records) - 1, True, amount_out=plan.min_out, wallet_sol_delta_lamports=-1))
    assert stage.decisions[-1].primary_reject_reason == "SIM_UNPROFITABLE"


SMALL = 100_000
MINTS = ((A, MINT_ACCOUNT), (B, MINT_ACCOUNT))


def table(addresses):
    head = pack("<IQQBB", 1, 2**64 - 1, 5, 0, 0) + bytes(34)
    return Account(LOOKUP_TABLES, 1, head + b"".join(map(base58.decode, addresses)))


def test_three_legs_need_a_lookup_table_and_are_refused_without():
    legs = pools()
    refused = decide(ready(*legs, extra=MINTS), path(*legs, raw=SMALL))
    assert last_row(refused)[:2] == ("tx_plan", TOO_LARGE)
    assert "1336 bytes, 1232 fit a packet" in last_row(refused)[2]
    names = [legs[0][1], legs[1][1], legs[2][1], A, B, *legs[2][2]]
    stage = ready(*legs, extra=(*MINTS, (key(91), table(names))), lookup_tables=f"{key(90)} {key(91)}")
    plan = decide(stage, path(*legs, raw=SMALL))
    legs_are_the_builders(stage, plan, legs)
    assert kinds(plan) == ["limit", "price", "make", "make", "make", "transfer", "sync", *["swap"] * 3, "close"]
    assert plan.tables == (key(91),)
    message = compiled(PAPER_WALLET, plan.calls, (Table(key(91), tuple(names)),))
    assert (message.plan_hash, message.fault) == (plan.plan_hash, None)
    assert message.size < 1232


def test_kept_wrapped_neither_wraps_nor_closes():
    legs = two_legs()
    stage = ready(*legs)
    stage.take(WalletBalanceSnapshot(SOL_MINT, 10**9, 9, TOKEN))
    plan = decide(stage, path(*legs))
    assert kinds(plan) == ["limit", "price", "make", "make", "unwrap", "swap", "swap"]


def test_a_leg_that_is_not_exact_leaves_terms_or_is_refused():
    legs = two_legs()
    vault = SETS["pump_amm"].accounts
    lacking = next(address for address, account in vault.items() if account.owner == TOKEN)
    stage = ready(*legs, leave_out=(lacking,), plans="built", cross_dex_last_trade_quotes=True)
    pool, coin = SETS["pump_amm"].pool, SETS["pumpfun"].mints[1]
    reserves = PoolStateUpdate(pool, "pump_amm", 2 * 10**14, 9 * 10**10, coin, SOL_MINT, SLOT, slot=SLOT)
    stage.take(reserves)
    plan = decide(stage, path(*legs))
    assert (plan.calls, len(plan.hops)) == ((), 2)
    strict = ready(*legs, leave_out=(lacking,))
    strict.take(reserves)
    assert last_row(decide(strict, path(*legs))) == ("tx_plan", UNBUILT, f"not told: accounts of pool {pool}")


def test_a_path_of_old_quotes_is_refused():
    legs = two_legs()
    assert last_row(decide(ready(*legs), path(*legs), ms=51))[:2] == ("tx_plan", "QUOTE_UNAVAILABLE")


def test_a_path_through_sol_is_no_transaction_of_ours():
    legs = two_legs()
    raydium = ("raydium", SETS["raydium"].pool, ACCOUNTS["raydium"], (SOL_MINT, A))
    back = (*legs, raydium, ("raydium_cpmm", SETS["raydium_cpmm"].pool, ACCOUNTS["raydium_cpmm"], (A, SOL_MINT)))
    cpmm = remade("raydium_cpmm", **{SETS["raydium_cpmm"].mints[1]: A})
    back = (*back[:3], (*back[3][:2], cpmm, back[3][3]))
    stage = ready(*back)
    refused = decide(stage, path(*back))
    assert last_row(refused)[:2] == ("tx_plan", "UNSUPPORTED_INTENT"), last_row(refused)
