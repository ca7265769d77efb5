"""Plans with instructions: each venue's, meta by meta; what is not told, too old, too large; least outputs; limits."""

import base64
from struct import pack

import msgspec
import pytest

from ironcrab.dex import VENUES, Account, Quote, base58, pumpfun, pumpswap
from ironcrab.dex import address as addresses
from ironcrab.dex.address import ASSOCIATED_TOKEN, COMPUTE_BUDGET, SYSTEM, TOKEN, TOKEN_2022, WSOL, associated
from ironcrab.dex.message import LOOKUP_TABLES, Table, calls_of, compiled, instructions_of
from ironcrab.domain.ask import Plan, SimulateAnswer, SimulateAsk
from ironcrab.domain.control import ClockTick, ConfigUpdate, RunStarted
from ironcrab.domain.market import (
    AccountWritten,
    ExplicitAmount,
    PoolCreated,
    SlotUpdate,
    TokenMintInfo,
    WalletBalanceSnapshot,
)
from ironcrab.domain.trade import Execution, TradeResources
from ironcrab.domain.units import SOL_MINT, TOKEN_PROGRAM
from ironcrab.execution.building import TOO_LARGE, UNBUILT, VARIATIONS, fitted, means_of, tables_of, with_message
from ironcrab.execution.exact import Fresh
from ironcrab.execution.params import PAPER_WALLET
from ironcrab.execution.refusal import Refusal
from tests.execution.stage import Stage, buy, sell
from tests.pool_sets import CLOCK, key, sets

SLOT = CLOCK.slot
RAW = 10_000_000
MINT_ACCOUNT = Account(TOKEN, 1_461_600, bytes(36) + pack("<Q", 10**15) + bytes((6, 1)) + bytes(36))


def with_recipients(made):
    """What instructions read beyond quotes: fee recipients of the pump programs, the coin's mint."""
    accounts = dict(made.accounts)
    if made.pool in pump_pools():
        house = bytearray(1088)
        house[:8] = pumpfun._GLOBAL_TAG
        house[41:73] = base58.decode(key(71))
        house[741:773] = base58.decode(key(72))
        accounts[pumpfun.GLOBAL] = Account(pumpfun.PROGRAM, 1, bytes(house))
        config = bytearray(949)
        config[:8] = pumpswap._CONFIG_TAG
        config[57:89] = base58.decode(key(73))
        config[643:675] = base58.decode(key(74))
        accounts[pumpswap.GLOBAL_CONFIG] = Account(pumpswap.PROGRAM, 1, bytes(config))
    for mint in made.mints:
        if mint != WSOL:
            accounts.setdefault(mint, MINT_ACCOUNT)
    return accounts


def pump_pools():
    made = sets()
    return made["pumpfun"].pool, made["pump_amm"].pool


SETS = sets()
ACCOUNTS = {venue: with_recipients(made) for venue, made in SETS.items()}
BY_ID = {venue.id: venue for venue in VENUES}


def told(address, account, slot=SLOT, signature=None):
    return AccountWritten(
        address, account.owner, account.lamports, account.data, slot=slot, write_version=1, signature=signature
    )


def coin_of(venue):
    return SETS[venue].mints[1]


def ready(*venues, leave_out=(), wrapped=0, tokens=10**12, **params):
    """A stage that knows these venues' pools."""
    stage = Stage(paper=None, **{"send_enabled": True, "plans": "built", **params})
    if wrapped:
        stage.take(WalletBalanceSnapshot(SOL_MINT, wrapped, 9, TOKEN_PROGRAM))
    for venue in venues:
        made = SETS[venue]
        coin = coin_of(venue)
        stage.take(PoolCreated(made.pool, coin, WSOL, venue, "0", creator=key(51), slot=SLOT))
        stage.take(TokenMintInfo(coin, TOKEN, 6, 10**15, None, None, slot=SLOT))
        for address, account in ACCOUNTS[venue].items():
            if address not in leave_out:
                stage.take(told(address, account))
        if tokens:
            stage.take(WalletBalanceSnapshot(coin, tokens, 6, TOKEN_PROGRAM, slot=SLOT))
    stage.take(SlotUpdate(SLOT, slot=SLOT))
    return stage


def wish(venue, side="Buy", raw=RAW, **fields):
    made, coin = SETS[venue], coin_of(venue)
    metadata = {"dex": venue, "creator": key(51)}
    return (buy if side == "Buy" else sell)(raw, mint=coin, pool=made.pool, **{"metadata": metadata, **fields})


def decide(stage, intent, ms=0):
    """The plan of an intent, or the decision that refused it."""
    decisions, asks = len(stage.decisions), len(stage.of(SimulateAsk))
    stage.take(intent)
    stage.take(ClockTick(), ms)
    if len(stage.of(SimulateAsk)) > asks:
        return stage.of(SimulateAsk)[-1].plan
    return stage.decisions[decisions]


def last_row(decision):
    row = decision.checks[-1]
    return row.check_name, row.reason_code, row.details


def kinds(plan):
    """What each call does, in words."""
    names = []
    for call in plan.calls:
        data = base64.b64decode(call.data)
        if call.program == COMPUTE_BUDGET:
            names.append({2: "limit", 3: "price"}[data[0]])
        elif call.program == ASSOCIATED_TOKEN:
            names.append("make")
        elif call.program == SYSTEM:
            names.append("transfer")
        elif call.program in (TOKEN, TOKEN_2022):
            names.append({0x11: "sync", 9: "close", 0x2D: "unwrap"}[data[0]])
        else:
            names.append("swap")
    return names


@pytest.mark.parametrize("side", ["Buy", "Sell"])
@pytest.mark.parametrize("wrapped", [0, 10**9])
@pytest.mark.parametrize("venue", SETS)
def test_the_swap_is_the_venue_builders(venue, wrapped, side):
    stage = ready(venue, wrapped=wrapped)
    plan = decide(stage, wish(venue, side))
    made, coin = SETS[venue], coin_of(venue)
    mint_in = WSOL if side == "Buy" else coin
    (expected,) = BY_ID[venue].instructions(
        made.pool, ACCOUNTS[venue], user=PAPER_WALLET, mint_in=mint_in, amount=RAW, other_amount=plan.min_out,
        exact="in", clock=stage.known.pools.accounts.clock(),
    )  # fmt: skip
    (swap,) = [one for one in instructions_of(plan.calls) if one.program == expected.program]
    assert swap == expected
    native = venue == "pumpfun"
    around = {
        (True, "Buy"): ["make", *(["unwrap"] if wrapped else []), "swap"],
        (True, "Sell"): ["swap"],
        (False, "Buy"): ["make", "swap"] if wrapped else ["make", "make", "transfer", "sync", "swap", "close"],
        (False, "Sell"): ["make", "swap"] if wrapped else ["make", "swap", "close"],
    }[native, side]
    assert kinds(plan) == ["limit", "price", *around]
    message = compiled(PAPER_WALLET, plan.calls)
    assert plan.plan_hash == message.plan_hash
    assert (message.fault, plan.tables, message.signers) == (None, (), 1)
    limit = base64.b64decode(plan.calls[0].data)
    assert int.from_bytes(limit[1:], "little") == plan.compute_units
    assert calls_of(instructions_of(plan.calls)) == plan.calls
    assert (plan.quote_age_slots, plan.quote_age_ms, plan.quote_slot) == (0, 0, SLOT)
    assert associated(PAPER_WALLET, coin, TOKEN) in swap_accounts(swap)


def swap_accounts(swap):
    return [meta.pubkey for meta in swap.metas]


@pytest.mark.parametrize("venue", SETS)
def test_what_is_not_told_leaves_terms_that_only_paper_takes(venue):
    made = SETS[venue]
    for left_out in ACCOUNTS[venue]:
        stage = ready(venue, leave_out=(left_out,))
        plan = decide(stage, wish(venue, min_out=7))
        if plan.calls:
            others = {pumpfun.GLOBAL, pumpswap.GLOBAL_CONFIG} - {
                "pumpfun": {pumpfun.GLOBAL},
                "pump_amm": {pumpswap.GLOBAL_CONFIG},
            }.get(venue, set())
            assert left_out in (*made.mints, *made.accounts, *others), left_out
            continue
        assert (plan.min_out, plan.tables) == (7, ())
        strict = ready(venue, leave_out=(left_out,), plans="required")
        assert last_row(decide(strict, wish(venue)))[:2] == ("tx_plan", UNBUILT)
    pool_unknown = ready(venue, leave_out=(made.pool,), plans="required")
    assert last_row(decide(pool_unknown, wish(venue))) == ("tx_plan", UNBUILT, f"not told: account of pool {made.pool}")
    walletless = ready(venue, wallet="", plans="required")
    assert last_row(decide(walletless, wish(venue))) == ("tx_plan", UNBUILT, "not told: own wallet")


def test_a_plan_of_terms_says_what_was_not_told():
    stage = ready("raydium", leave_out=(SETS["raydium"].pool,))
    plan = decide(stage, wish("raydium"))
    assert plan.calls == ()
    stage.take(SimulateAnswer(len(stage.records) - 1, False, "late"))
    (row,) = [row for row in stage.decisions[-1].checks if row.check_name == "tx_plan"]
    assert row.details.endswith(f"terms only, not told: account of pool {SETS['raydium'].pool}")
    off = ready("raydium", plans="terms")
    assert decide(off, wish("raydium")).calls == ()


def test_the_least_output_is_the_quotes_and_never_above_the_intents():
    expected = decide(ready("raydium"), wish("raydium")).expected_out
    for told, bps, least in (
        (1, 300, 1),
        (expected * 97 // 100 - 5, 300, expected * 97 // 100 - 5),
        (expected, 300, expected * 9_700 // 10_000),
        (2 * expected, 0, expected),
        (expected, 500, expected * 9_500 // 10_000),
    ):
        plan = decide(ready("raydium"), wish("raydium", min_out=told, max_slippage_bps=bps))
        assert (plan.min_out, plan.expected_out) == (least, expected)


def test_what_was_learned_tightens_the_slippage_of_a_built_plan():
    stage = ready("raydium", quantile_slippage_enabled=True, quantile_fallback_slippage_bps=40)
    plan = decide(stage, wish("raydium", min_out=10**15))
    assert plan.min_out == plan.expected_out * 9_960 // 10_000
    loose = decide(
        ready("raydium", quantile_slippage_enabled=True), wish("raydium", min_out=10**15, max_slippage_bps=50)
    )
    assert loose.min_out == loose.expected_out * 9_950 // 10_000, "never looser than the intent allows"


def test_a_quiet_pool_is_not_stale_and_a_silent_feed_is():
    stage = ready("raydium")
    for slot in range(SLOT + 1, SLOT + 200):
        stage.take(SlotUpdate(slot, slot=slot), 400)
    plan = decide(stage, wish("raydium", "Buy"), ms=50)
    assert (plan.quote_age_slots, plan.quote_age_ms, plan.quote_slot) == (0, 50, SLOT + 199)
    late = ready("raydium")
    assert last_row(decide(late, wish("raydium"), ms=51)) == (
        "tx_plan", "QUOTE_UNAVAILABLE",
        f"pool={SETS['raydium'].pool} quote_age=0slots/51ms > max=2slots/50ms",
    )  # fmt: skip
    assert decide(ready("raydium", quote_max_age_ms=60), wish("raydium"), ms=51).calls


def test_a_write_whose_transaction_has_not_ended_makes_the_quote_old():
    made = SETS["raydium"]
    vault = next(address for address, account in made.accounts.items() if account.owner == TOKEN)
    stage = ready("raydium")
    stage.take(told(vault, made.accounts[vault], SLOT + 1, "sig"))
    stage.take(SlotUpdate(SLOT + 1, slot=SLOT + 1, status="created"), 30)
    plan = decide(stage, wish("raydium"))
    assert (plan.quote_age_slots, plan.quote_age_ms) == (0, 30)
    stage = ready("raydium")
    stage.take(told(vault, made.accounts[vault], SLOT + 1, "sig"))
    for _ in range(6):
        stage.take(SlotUpdate(SLOT + 1, slot=SLOT + 1, status="created"), 10)
    refused = decide(stage, wish("raydium"))
    assert last_row(refused)[1] == "QUOTE_UNAVAILABLE"
    assert "quote_age=0slots/60ms" in last_row(refused)[2]
    stage.take(SlotUpdate(SLOT + 1, slot=SLOT + 1))
    assert decide(stage, wish("raydium")).quote_age_ms == 0


def test_equal_wishes_are_never_one_message():
    stage = ready("raydium", max_concurrent_intents=1000, native=10**12, send_enabled=True)
    hashes = {}
    for _ in range(40):
        plan = decide(stage, wish("raydium"))
        asks = [record.seq for record in stage.records if type(record.event) is SimulateAsk]
        stage.take(SimulateAnswer(asks[-1], True, amount_out=10**15))
        hashes[plan.plan_hash] = plan.compute_units
    assert len(hashes) == 40
    assert max(hashes.values()) - min(hashes.values()) <= 255
    # numbers that repeat after 256 are told apart by what may still be under way
    assert set(hashes) <= set(stage.engine.state.hashes)


@pytest.mark.parametrize(("bps", "least"), [(100, 99_000), (0, 100_000), (500, 95_000), (10_000, 0), (10_001, 0)])
def test_the_router_s_least_output(bps, least):
    """The contract's numbers: 100,000 at 100 bps is 99,000; slippage of the whole leaves nothing."""
    quote = Quote(1, 100_000, (), 0, partial=False, after={})
    assert Fresh(key(1), quote, 1, 1, 0, 0).least(bps) == least


@pytest.mark.parametrize("bps", [9_999, 10_000, 10_001, 65_535])
def test_an_order_at_any_price_wants_something(bps):
    """What the contract calls a market order: exact SOL in, least output 1."""
    metadata = {**wish("raydium").metadata, "market_order": "true"}
    told = {"max_slippage_bps": bps, "metadata": metadata, "execution": Execution(ExplicitAmount(1, 6))}
    assert decide(ready("raydium"), wish("raydium", **told)).min_out == 1
    few = decide(ready("raydium"), wish("raydium", "Sell", required_capital=ExplicitAmount(10**6, 6), **told))
    assert few.min_out == 1


def test_what_never_was_signed_bars_no_other_message():
    """A strategy that says the same again and again, each time refused by the simulation, is judged each time."""
    stage = ready("raydium", max_concurrent_intents=1000, native=10**12)
    for _ in range(VARIATIONS + 4):
        decide(stage, wish("raydium"))
        asks = [record.seq for record in stage.records if type(record.event) is SimulateAsk]
        stage.take(SimulateAnswer(asks[-1], False, "refused"))
    assert {decision.outcome for decision in stage.decisions} == {"SimFailed"}
    assert len(stage.decisions) == VARIATIONS + 4
    assert not stage.engine.state.hashes


def test_a_limit_is_the_hints_or_learned_or_the_venues():
    stage = ready("raydium", wrapped=10**9)
    number = 255
    assert 75_300 - number <= decide(stage, wish("raydium")).compute_units <= 75_300
    asks = [record.seq for record in stage.records if type(record.event) is SimulateAsk]
    stage.take(SimulateAnswer(asks[-1], True, compute_units_consumed=50_000, amount_out=10**15))
    pool = SETS["raydium"].pool
    assert stage.engine.state.units == {f"{pool} Buy": 50_000}
    assert 85_000 - number <= decide(stage, wish("raydium")).compute_units <= 85_000
    assert (
        99_999 - number <= decide(ready("raydium"), wish("raydium", hint_compute_units=99_999)).compute_units <= 99_999
    )
    asks = [record.seq for record in stage.records if type(record.event) is SimulateAsk]
    stage.take(SimulateAnswer(asks[-1], False, "ComputationalBudgetExceeded"))
    assert stage.engine.state.units[f"{pool} Buy"] > 150_000
    stage.take(ConfigUpdate("execution-engine", {"learned_compute_enabled": "false"}))
    assert decide(stage, wish("raydium")).compute_units <= 75_300


def test_the_token_program_is_the_one_the_pool_pays_into():
    stage = ready("raydium")
    resources = TradeResources(SOL_MINT, coin_of("raydium"), (SETS["raydium"].pool,), (), TOKEN_2022)
    plan = decide(stage, wish("raydium", resources=resources))
    made = [call for call in plan.calls if call.program == ASSOCIATED_TOKEN]
    assert made[0].accounts[-1] == TOKEN


def test_a_tip_stands_behind_and_goes_to_a_named_account():
    stage = ready("raydium", jito_enabled=True)
    plan = decide(stage, wish("raydium", require_bundle=True, bundle_tip_lamports=5_000))
    call = plan.calls[-1]
    assert (call.program, base64.b64decode(call.data)) == (SYSTEM, pack("<IQ", 2, 5_000))
    intent = next(r.seq for r in stage.records if r.seq == stage.of(SimulateAsk)[-1].intent)
    assert call.accounts == (PAPER_WALLET, stage.engine.params.tip_accounts.split()[intent % 8])
    nobody = decide(ready("raydium", jito_enabled=True, tip_accounts=""), wish("raydium", require_bundle=True))
    assert last_row(nobody)[1:] == ("INTERNAL_ERROR", "tip_lamports=10000 and no tip account is named")


def table_account(addresses, extended=5):
    head = pack("<IQQBB", 1, 2**64 - 1, extended, 0, 0) + bytes(34)
    return Account(LOOKUP_TABLES, 1, head + b"".join(base58.decode(address) for address in addresses))


def test_tables_are_used_when_size_asks_for_it_and_too_much_is_refused():
    stage = ready("raydium", lookup_tables=f"{key(90)} {key(91)}")
    plan = decide(stage, wish("raydium"))
    assert plan.tables == ()
    names = tuple(base58.encode(bytes((9, number)) * 16) for number in range(45))
    many = plan.calls[0].__class__(key(95), names, "w" * 45, "")
    grown = msgspec.structs.replace(plan, calls=(*plan.calls[:2], many))
    assert with_message(grown, PAPER_WALLET, ()).code == TOO_LARGE
    stage.take(told(key(91), table_account(names)))
    tables = tables_of(means_of(stage.engine.params, PAPER_WALLET, wrapped=False, number=0).tables, stage.known)
    assert tables == (Table(key(91), names),)
    fits = with_message(grown, PAPER_WALLET, tables)
    assert fits.tables == (key(91),)
    assert fits.plan_hash == compiled(PAPER_WALLET, grown.calls, tables).plan_hash != plan.plan_hash
    crowd = tuple(base58.encode(bytes((8, number)) * 16) for number in range(70))
    crowded = msgspec.structs.replace(plan, calls=(plan.calls[0].__class__(key(95), crowd, "-" * 70, ""),))
    refused = fitted(crowded, PAPER_WALLET, (Table(key(92), crowd),))
    assert isinstance(refused, Refusal)
    assert "64 may be locked" in refused.details


@pytest.mark.parametrize("venue", SETS)
def test_what_a_wallet_names_in_every_plan_is_derived_before_its_first(venue, monkeypatch):
    """What is left for the first plan of a coin belongs to the coin: no address of the wallet alone."""
    stage = ready(venue)
    addresses.find_program_address.cache_clear()
    addresses.associated.cache_clear()
    stage.engine.step(0, RunStarted(0, "t", "0", "x", (), (), (), ()))
    intent, derived = wish(venue), []
    made = addresses.create_program_address
    monkeypatch.setattr(
        addresses, "create_program_address", lambda seeds, program: derived.append(seeds) or made(seeds, program)
    )
    assert isinstance(decide(stage, intent), Plan)
    wallet, coin = base58.decode(stage.engine.state.wallet), base58.decode(coin_of(venue))
    of_wallet = [seeds for seeds in derived if wallet in seeds]
    assert of_wallet, "the account for the coin"
    assert all(coin in seeds for seeds in of_wallet)
