"""Quotes of PumpFun and PumpSwap against the vectors, the mainnet block and the fee program as executed.

Account sets are built from the rows' numbers; the accounts of the fee program are real ones.
"""

import base64
import json
import struct
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.dex import ABSENT, Account, Clock, Quote, Refusal, base58, pump_fees, pumpfun, pumpswap, quote
from ironcrab.dex.address import SYSTEM, TOKEN, TOKEN_2022, WSOL, find_program_address
from ironcrab.dex.pump_fees import FeeConfig, Fees, Tier
from tests.nightly.fuzz_dex import rounds

PUMP, AMM, USDC = pumpfun.PROGRAM, pumpswap.PROGRAM, pump_fees.USDC
CLOCK = Clock(400_000_000, 1_790_000_000, 900)
COIN = "6rR1V4h4BncYbyR7M1ZEtLYFQguCPwuS7L8j53bDpump"
CURVE = pumpfun.pumpfun_parse.curve_of(base58.decode(COIN))
POOL = "933VZLqtaeVadcn6uRYcgpGNr8hEmaof72ns9pABtukx"
AUTHORITY = find_program_address((b"pool-authority", base58.decode(COIN)), PUMP)[0]


def name(number: int) -> str:
    return base58.encode(bytes((number,)) * 32)


def token_account(mint: str, owner: str, amount: int, program: str = TOKEN, extra: bytes = b"") -> Account:
    native = mint == WSOL
    data = base58.decode(mint) + base58.decode(owner) + struct.pack("<Q", amount) + bytes(36) + b"\1"
    data += struct.pack("<IQ", native, 2_039_280 if native else 0) + bytes(44)
    return Account(program, 2_039_280 + (amount if native else 0), data + extra)


def mint_account(supply: int, program: str = TOKEN, extra: bytes = b"") -> Account:
    return Account(program, 1_461_600, bytes(36) + struct.pack("<QBB", supply, 6, 1) + bytes(36) + extra)


def one_tier(lp: int, protocol: int, creator: int) -> Account:
    fees = Fees(lp, protocol, creator)
    config = FeeConfig(fees, (Tier(0, fees),), (Tier(0, fees),), Fees(0, 0, 0))
    return Account(pump_fees.PROGRAM, 1, pump_fees.encode_fee_config(config, 4097))


@dataclass
class Real:
    """Real accounts of September 2026: fee configs of both programs and both globals."""

    pump_config: Account
    amm_config: Account
    exotic_config: Account
    global_: Account
    global_config: Account


@pytest.fixture(scope="module")
def real(shared) -> Real:
    rows = json.loads((shared / "data/pump/accounts_2026-09.json").read_text())
    templates = json.loads((shared / "data/pump/account_templates.json").read_text())

    def account(row: dict) -> Account:
        return Account(row["owner"], 1, base64.b64decode(row["data_b64"]))

    amm = account(rows[pumpswap.FEE_CONFIG])
    decoded = pump_fees.decode_fee_config(amm.data)
    exotic = FeeConfig(decoded.flat, decoded.tiers, decoded.stable, Fees(5, 300, 25))
    return Real(
        account(rows[pumpfun.FEE_CONFIG]),
        amm,
        Account(amm.owner, 1, pump_fees.encode_fee_config(exotic, 4097)),
        account(templates["global"]),
        account(templates["global_config"]),
    )


def with_switch(account: Account, at: int, size: int, on: bool) -> Account:
    data = bytearray(account.data.ljust(size, b"\0"))
    data[at] = on
    return Account(account.owner, account.lamports, bytes(data))


def ask(pool, accounts, mint_in, amount, exact="in", **kw):
    return quote(pool, accounts, mint_in=mint_in, amount=amount, exact=exact, clock=CLOCK, **kw)


# --- the fee program -------------------------------------------------------------------------------------------


def test_tiers_as_the_fee_program_chose_them(shared, vectors, truth_table):
    """Executed `get_fees` on the FeeConfig of February 2026, which both programs were given."""
    rows = json.loads((shared / "data/pump/accounts_k13_2026-02-17.json").read_text())
    config = pump_fees.decode_fee_config(base64.b64decode(rows["accounts"][pumpswap.FEE_CONFIG]["data_b64"]))
    equal = 0
    for row in vectors("pump_fees"):
        tiers = pump_fees.tiers_for(config, WSOL, canonical=row["is_pump_pool"])
        fees = pump_fees.fees_at(tiers, int(row["market_cap"]))
        equal += [fees.lp, fees.protocol, fees.creator] == row["result"]
    truth_table.add("pump fees", "executed pump_fees.so", len(vectors("pump_fees")), equal)
    assert equal == 186


# --- PumpFun ---------------------------------------------------------------------------------------------------


def curve_bytes(vq, vt, rq, rt, *, creator=True, quote_mint=SYSTEM, cashback=False, size=151) -> bytes:
    fields = struct.pack("<QQQQQ?", vt, vq, rt, rq, 10**15, False) + (
        name(3) and bytes((3,)) * 32 if creator else bytes(32)
    )
    fields += struct.pack("<??", False, cashback) + base58.decode(quote_mint)
    return (bytes.fromhex("17b7f83760d8ac60") + fields).ljust(size, b"\0")


def curve_accounts(data: bytes, rq: int, config: Account, house: Account) -> dict[str, Account]:
    return {
        CURVE: Account(PUMP, 1_231_920 + rq, data),
        pumpfun.FEE_CONFIG: config,
        pumpfun.GLOBAL: house,
    }


def test_curve_rows_of_the_official_sdk(vectors, real, truth_table):
    """All rows. Where the SDK and the program's own exact-in arithmetic differ, the program's number holds."""
    rows = [row for row in vectors("pumpfun") if row["label"].startswith("official")]
    equal, unpayable = 0, []
    for row in rows:
        config = real.pump_config if row["config"] == "pump_mainnet" else real.amm_config
        house = with_switch(real.global_, 1045, 1088, row["gate"])
        accounts = curve_accounts(base64.b64decode(row["curve_account_b64"]), int(row["rq"]), config, house)
        quote_mint = WSOL if row["quote"] == SYSTEM else row["quote"]
        exact = "out" if row["op"] == "buy" else "in"
        got = ask(CURVE, accounts, COIN if row["op"] == "sell" else quote_mint, int(row["amount"]), exact)
        value = int(row["result"]["value"])
        if isinstance(got, Refusal):
            gross = int(row["amount"]) * int(row["vq"]) // (int(row["vt"]) + int(row["amount"]))
            assert (row["op"], got.code, gross > int(row["rq"])) == ("sell", 6024, True), row["id"]
            unpayable.append(row["id"])
        elif row["op"] == "buy":
            equal += (got.amount_in, got.amount_out) == (value, int(row["amount"]))
        elif row["op"] == "sell":
            equal += (got.amount_in, got.amount_out) == (int(row["amount"]), value)
        else:
            program = int(row["program_exact_in_tokens"])
            equal += got.amount_out == program
            assert got.amount_in <= int(row["amount"])
            assert got.partial == (program == int(row["rt"]) and got.amount_in < int(row["amount"]))
    truth_table.add("pumpfun", "official SDK, curve can pay", len(rows) - len(unpayable), equal)
    truth_table.add("pumpfun", "official SDK, beyond real quote: refused", len(unpayable), len(unpayable))
    assert len(unpayable) == 17
    assert equal == len(rows) - 17 == 219


def test_observed_trades_on_curves(vectors, real, truth_table):
    """Trades seen on chain, from the reserves before them. The mayhem agent's own trade is the named exception."""
    rows = [row for row in vectors("pumpfun") if not row["label"].startswith("official")]
    rows = [row for row in rows if row.get("model_reproduces", True)]
    equal = 0
    for row in rows:
        before, told = row["curve_before"], row["result"]
        protocol, creator = row["fee_bps"]
        data = curve_bytes(**before, cashback=bool(told.get("cashback")))
        accounts = curve_accounts(data, before["rq"], one_tier(0, protocol, creator), real.global_)
        exact = "out" if row["op"] == "buy" else "in"
        got = ask(
            CURVE,
            accounts,
            COIN if row["op"] == "sell" else WSOL,
            row["amount"] if "spent_total" not in row or row["op"] != "buy_exact_quote_in" else row["spent_total"],
            exact,
        )
        assert isinstance(got, Quote), got
        fees = {fee.name: fee.amount for fee in got.fees}
        if "tokens" in told:
            equal += got.amount_out == told["tokens"]
            continue
        if "net" in told:
            equal += (got.amount_in, fees) == (
                told["net"] + told["fee"] + told["creator_fee"],
                {"protocol": told["fee"], "creator": told["creator_fee"]},
            )
            continue
        after = pumpfun.decode_curve(got.after[CURVE])
        reserves = (after.virtual_quote, after.virtual_token, after.real_quote, after.real_token)
        want = tuple(told[f"{key}_after"] for key in ("virtual_quote", "virtual_token", "real_quote", "real_token"))
        assert fees.get("protocol") == (told["fee"] or 0)
        assert fees.get("cashback", 0) == (told["cashback"] or 0)
        assert fees.get("creator", 0) == (told["creator_fee"] or 0)
        paid = got.amount_out if row["op"] == "sell" else got.amount_in
        net = told["net_quote"] - sum(fees.values()) if row["op"] == "sell" else row["spent_total"]
        equal += (reserves, paid) == (want, net)
    truth_table.add("pumpfun", "observed trades and constants", len(rows), equal)
    assert equal == len(rows) == 6


def test_the_native_mint_of_token_2022_pays_by_the_lamport_tiers(real):
    """The address is not written off anything: it is the program address of its seed."""
    native = find_program_address((b"native-mint",), TOKEN_2022)[0]
    assert native == pump_fees.NATIVE_2022
    config = pump_fees.decode_fee_config(real.amm_config.data)
    assert pump_fees.tiers_for(config, native, canonical=True) == config.tiers != ()


def test_a_complete_curve_needs_no_fees_to_refuse(real):
    curve = pumpfun.Curve(
        279_900_000_000_000, 115_005_359_057, 0, 85_005_359_057, 10**15, True, None, False, False, WSOL, 0, False,
        False, 0, 0, 0, 0, 0, 0, 150,
    )  # fmt: skip
    pool = base58.key(bytes([7]) * 32)
    accounts = {pool: Account(PUMP, 1, pumpfun.encode_curve(curve))}
    for amount in (0, 1, 10**9):
        refusal = quote(pool, accounts, mint_in=WSOL, amount=amount, clock=Clock(1, 1, 1))
        assert (refusal.code, refusal.missing) == (6005, ())


def test_the_buy_that_completes_a_curve(shared, real):
    """Transaction of October 2026: lamports and tokens of all parties, and the curve is complete."""
    row = json.loads((shared / "data/pump/transactions_2026-10.json").read_text())[0]
    before, after = row["lamports"]["curve 2oGS.."]
    tokens = row["tokens"]["curve ata"][0] - row["tokens"]["curve ata"][1]
    vq, rq = 30_000_000_000, 85_005_359_557 - (after - before)
    data = curve_bytes(vq + rq, 279_900_000_000_000 + tokens, rq, tokens)
    got = ask(CURVE, curve_accounts(data, rq, real.pump_config, real.global_), WSOL, tokens, "out")
    recipient = row["lamports"]["fee_recipient CebN.."]
    buyback = row["lamports"]["buyback 3BpX.."]
    creator = row["lamports"]["creator_vault J5t8.."]
    assert [fee.amount for fee in got.fees] == [
        recipient[1] - recipient[0] + buyback[1] - buyback[0],
        creator[1] - creator[0],
    ]
    assert got.amount_in - sum(fee.amount for fee in got.fees) == after - before
    complete = got.after[CURVE]
    assert pumpfun.decode_curve(complete).complete
    assert complete.lamports == 1_231_920 + 85_005_359_557
    for mint, exact in ((WSOL, "in"), (COIN, "in"), (WSOL, "out"), (COIN, "out")):
        assert (
            ask(CURVE, curve_accounts(complete.data, rq, real.pump_config, real.global_), mint, 9, exact).code == 6005
        )


# --- PumpSwap --------------------------------------------------------------------------------------------------


def pool_accounts(data: bytes, reserves: tuple[int, int], supply: int, config: Account, house: Account) -> dict:
    pool = pumpswap.decode_pool(Account(AMM, 1, data))
    return {
        POOL: Account(AMM, 1, data),
        pool.base_vault: token_account(pool.base_mint, POOL, reserves[0]),
        pool.quote_vault: token_account(pool.quote_mint, POOL, reserves[1]),
        pool.base_mint: mint_account(supply),
        pumpswap.FEE_CONFIG: config,
        pumpswap.GLOBAL_CONFIG: house,
    }


def pool_bytes(*, quote_mint=WSOL, creator=True, migrated=True, virtual=0, cashback=False, mayhem=False, kept=(0, 0)):
    keys = (AUTHORITY if migrated else name(9), COIN, quote_mint, name(20), name(21), name(22))
    data = bytes.fromhex("f19a6d0411b16dbc") + b"\xff\0\0" + b"".join(map(base58.decode, keys)) + bytes(8)
    data += bytes((3,)) * 32 if creator else bytes(32)
    data += struct.pack("<??", mayhem, cashback) + virtual.to_bytes(16, "little", signed=True) + bytes(10)
    return data + struct.pack("<QQ", *kept)


def test_pool_rows_of_the_official_sdk(vectors, real, truth_table):
    """All rows. Prices beyond a u64, which the SDK reckons with, are the named exception: no program can take them."""
    rows = [row for row in vectors("pumpswap") if row["label"].startswith("official")]
    equal, beyond = 0, []
    for row in rows:
        config = real.amm_config if row["config"] == "amm_mainnet" else real.exotic_config
        house = with_switch(real.global_config, 940, 949, row["gate"])
        data = bytearray(base64.b64decode(row["pool_account_b64"]))
        data[75:107] = base58.decode(row["quote"])
        data[139:203] = bytes((21,)) * 32 + bytes((22,)) * 32
        accounts = pool_accounts(bytes(data), (int(row["b"]), int(row["q"])), int(row["base_supply"]), config, house)
        amount, told = int(row["amount"]), row["result"]
        exact = "out" if row["op"] == "buy" else "in"
        base_mint = base58.encode(bytes(data[43:75]))
        got = ask(POOL, accounts, base_mint if row["op"] == "sell" else row["quote"], amount, exact)
        if "error" in told:
            equal += isinstance(got, Refusal) and got.code == 6063
            continue
        if isinstance(got, Refusal):
            assert (row["op"], got.code) == ("buy", 6024), (row["id"], got)
            assert int(told["uiQuote"]) >= 2**64
            beyond.append(row["id"])
            continue
        bps = {fee.name: fee.amount for fee in got.fees}
        if row["op"] == "buy":
            assert got.amount_in - sum(bps.values()) == int(told["internalQuoteAmount"])
            equal += (got.amount_in, got.amount_out) == (int(told["uiQuote"]), amount)
        elif row["op"] == "sell":
            assert got.amount_out + sum(bps.values()) == int(told["internalQuoteAmountOut"])
            equal += (got.amount_in, got.amount_out) == (amount, int(told["uiQuote"]))
        else:
            assert got.amount_in - sum(bps.values()) == int(told["internalQuoteWithoutFees"])
            equal += got.amount_out == int(told["base"]) and got.amount_in <= amount
    truth_table.add("pump_amm", "official SDK, prices of a u64", len(rows) - len(beyond), equal)
    truth_table.add("pump_amm", "official SDK, beyond a u64: refused", len(beyond), len(beyond))
    assert (len(beyond), equal) == (11, 272)


def test_observed_trades_on_pools(vectors, real, truth_table):
    rows = [row for row in vectors("pumpswap") if row["label"] == "observed on chain"]
    equal = 0
    for row in rows:
        before, told = row["pool_before"], row["result"]
        cashback = told.get("cashback", 0)
        lp, protocol, creator = row["fee_bps"]
        rates = (lp, protocol, 30 if cashback else creator)
        data = pool_bytes(virtual=before["virtual"], cashback=bool(cashback))
        accounts = pool_accounts(data, (before["b"], before["q"]), 10**15, one_tier(*rates), real.global_config)
        exact = "out" if row["op"] == "buy" else "in"
        got = ask(POOL, accounts, COIN if row["op"] == "sell" else WSOL, row["amount"], exact)
        assert isinstance(got, Quote), got
        fees = {fee.name: fee.amount for fee in got.fees}
        assert (fees["lp"], fees["protocol"]) == (told["lp_fee"], told["protocol_fee"])
        assert fees.get("creator", 0) == told.get("coin_creator_fee", 0)
        assert fees.get("cashback", 0) == cashback
        if row["op"] == "buy":
            equal += (got.amount_in, got.amount_out) == (told["user_quote_amount_in"], row["amount"])
        else:
            equal += (got.amount_in, got.amount_out) == (row["amount"], told["user_quote_amount_out"])
    truth_table.add("pump_amm", "observed trades", len(rows), equal)
    assert equal == len(rows) == 8


def test_a_trade_with_its_real_accounts(vectors, shared, real, truth_table):
    """The pool, configs and mint of February 2026 with the reserves of the trade's event."""
    (row,) = (row for row in vectors("pumpswap") if row.get("name") == "k13_full")
    rows = json.loads((shared / "data/pump/accounts_k13_2026-02-17.json").read_text())["accounts"]
    accounts = {key: Account(v["owner"], v["lamports"], base64.b64decode(v["data_b64"])) for key, v in rows.items()}
    pool = pumpswap.decode_pool(accounts[POOL])
    accounts[pool.base_vault] = token_account(COIN, POOL, row["pool_before"]["b"], TOKEN_2022, b"\2" + bytes(4))
    accounts[pool.quote_vault] = token_account(WSOL, POOL, row["pool_before"]["q"])
    told = row["result"]
    got = ask(POOL, accounts, WSOL, row["amount"])
    fees = [fee.amount for fee in got.fees]
    equal = (got.amount_in, got.amount_out) == (told["total"], told["base_out"])
    truth_table.add("pump_amm", "observed trade with account bytes", 1, int(equal))
    assert equal
    assert fees == [told["lp_fee"], told["protocol_fee"], told["coin_creator_fee"]]
    vault = got.after[pool.quote_vault]
    assert int.from_bytes(vault.data[64:72], "little") == row["pool_before"]["q"] + told["to_pool_vault"]
    assert vault.lamports == accounts[pool.quote_vault].lamports + told["to_pool_vault"]
    assert got.price_impact_bps == 48


# --- accounts of our own making --------------------------------------------------------------------------------


def a_curve(vq=30_000_000_000, vt=1_073_000_000_000_000, rq=0, rt=793_100_000_000_000, own_fee=0, **kw) -> dict:
    data = bytearray(curve_bytes(vq, vt, rq, rt, **kw))
    if own_fee:
        data[115:123] = own_fee.to_bytes(8, "little")
    house = Account(PUMP, 1, bytes.fromhex("a7e8e8b1c86c727f") + bytes(1080))
    return curve_accounts(bytes(data), rq, one_tier(0, 95, 30), house)


def a_pool(base=200_000_000_000_000, amount=80_000_000_000, rates=(20, 5, 30), **kw) -> dict:
    house = Account(AMM, 1, bytes.fromhex("95089ccaa0fcb0d9") + bytes(941))
    return pool_accounts(pool_bytes(**kw), (base, amount), 10**15, one_tier(*rates), house)


def code(got) -> int | None:
    assert isinstance(got, Refusal), got
    return got.code


# --- refusals ---------------------------------------------------------------------------------------------------


def test_curve_refusals():
    accounts = a_curve(rt=1000)
    assert code(ask(CURVE, accounts, WSOL, 0)) == 6020
    assert code(ask(CURVE, accounts, COIN, 0)) == 6022
    assert code(ask(CURVE, accounts, WSOL, 1001, "out")) == 6021
    assert code(ask(CURVE, a_curve(rt=0), WSOL, 10**9)) == 6021
    assert code(ask(CURVE, accounts, WSOL, -1)) is None
    assert code(ask(CURVE, accounts, WSOL, 2**64)) is None
    assert code(ask(CURVE, accounts, WSOL, 1, limit=1)) is None
    assert code(ask(CURVE, accounts, WSOL, 1, generation="v9")) is None
    assert code(ask(CURVE, a_curve(rq=0), COIN, 10**12)) == 6024
    assert code(ask(CURVE, a_curve(rq=10**9), COIN, 40_000)) == 6024
    assert code(ask(CURVE, a_curve(rq=10**9, vt=2**64 - 5), COIN, 10**12)) == 6024
    assert code(ask(CURVE, a_curve(rq=10**9), COIN, 10**12, "out")) is None
    assert code(ask(CURVE, a_curve(rt=10**15, vt=10**15), WSOL, 10**15, "out")) == 6024
    assert code(ask(CURVE, a_curve(vq=2**63, vt=10**15, rt=10**15), WSOL, 10**15 - 1, "out")) == 6025
    assert code(ask(CURVE, a_curve(vq=2**64 - 10, rt=10**14), WSOL, 10**12, "out")) == 6024
    assert code(ask(CURVE, a_curve(vt=0), WSOL, 10)) == 6026
    assert code(ask(CURVE, a_curve(vt=0), COIN, 10, "out", generation="global_fees")) is None


def test_unknown_is_named():
    empty = ask(CURVE, {}, WSOL, 1)
    assert empty.missing == (CURVE,)
    assert pumpfun.load(CURVE, {}, None).missing == (CURVE,)
    accounts = a_curve(own_fee=100)
    for gone in (pumpfun.FEE_CONFIG, pumpfun.GLOBAL):
        less = {key: account for key, account in accounts.items() if key != gone}
        assert ask(CURVE, less, WSOL, 1).missing == (gone,)
        assert pumpfun.VENUE.needs(CURVE, less, WSOL) == (gone,)
    assert pumpfun.VENUE.needs(CURVE, {}, WSOL) == (CURVE, pumpfun.FEE_CONFIG, pumpfun.GLOBAL)
    assert pumpfun.VENUE.needs(CURVE, {CURVE: ABSENT}, WSOL) == ()
    without = {CURVE: a_curve()[CURVE]}
    assert ask(CURVE, without, WSOL, 1, generation="global_fees").missing == (pumpfun.GLOBAL,)
    pool = a_pool()
    wanted = (name(21), name(22), pumpswap.GLOBAL_CONFIG, pumpswap.FEE_CONFIG)
    assert ask(POOL, {POOL: pool[POOL]}, WSOL, 1).missing == (*wanted, COIN)
    assert pumpswap.VENUE.needs(POOL, {POOL: pool[POOL]}, WSOL) == (*wanted, COIN)
    assert pumpswap.VENUE.needs(POOL, {}, WSOL) == (POOL, pumpswap.GLOBAL_CONFIG, pumpswap.FEE_CONFIG)
    assert pumpswap.VENUE.needs(POOL, {POOL: ABSENT}, WSOL) == ()
    assert pumpswap.load(POOL, {}, CLOCK, None).missing == (POOL,)
    stranger = a_pool(migrated=False)
    assert ask(POOL, {POOL: stranger[POOL]}, WSOL, 1).missing == wanted
    old = ask(POOL, {POOL: pool[POOL]}, WSOL, 1, generation="global_fees")
    assert old.missing == wanted[:3]


def test_the_creators_own_fee_needs_the_switch():
    accounts = a_curve(own_fee=100)
    accounts[pumpfun.GLOBAL] = with_switch(accounts[pumpfun.GLOBAL], 1045, 1088, True)
    before = ask(CURVE, a_curve(), WSOL, 10**12, "out").fees
    after = ask(CURVE, accounts, WSOL, 10**12, "out").fees
    assert before[0] == after[0]
    assert (before[1].amount, after[1].amount) == (83_956, 279_851)


def test_a_mint_that_is_not_the_coins_is_refused():
    accounts = {**a_curve(rq=10**10), COIN: mint_account(10**15)}
    assert code(ask(CURVE, accounts, name(9), 10**9)) == 6004
    assert isinstance(ask(CURVE, accounts, COIN, 10**9), Quote)
    assert isinstance(ask(CURVE, accounts, WSOL, 10**9), Quote)
    assert code(ask(POOL, a_pool(), name(9), 10**9)) is None


def test_accounts_that_are_none_are_refused():
    for size, fault in ((48, 1), (60, 1), (100, 1), (49, 0), (81, 0), (82, 0), (83, 0), (115, 0), (300, 0)):
        accounts = a_curve(size=300)
        accounts[CURVE] = Account(PUMP, 10**10, accounts[CURVE].data[:size])
        assert isinstance(ask(CURVE, accounts, WSOL, 10**9), Refusal if fault else Quote), size
    for size, fault in (
        (210, 1),
        (220, 1),
        (250, 1),
        (211, 0),
        (243, 0),
        (244, 0),
        (245, 0),
        (261, 0),
        (301, 0),
    ):
        accounts = a_pool()
        accounts[POOL] = Account(AMM, 1, accounts[POOL].data.ljust(301, b"\0")[:size])
        assert isinstance(ask(POOL, accounts, WSOL, 10**9), Refusal if fault else Quote), size
    junk = Account(PUMP, 1, bytes(400))
    assert "discriminator" in ask(CURVE, {CURVE: junk}, WSOL, 1).reason
    assert "discriminator" in ask(POOL, {POOL: Account(AMM, 1, bytes(400))}, WSOL, 1).reason
    for gone, generation in (
        (pumpfun.FEE_CONFIG, None),
        (pumpfun.GLOBAL, "global_fees"),
        (pumpfun.GLOBAL, None),
    ):
        accounts = a_curve(own_fee=1)
        accounts[gone] = ABSENT
        assert code(ask(CURVE, accounts, WSOL, 10**9, generation=generation)) is None
    for gone in (pumpswap.FEE_CONFIG, pumpswap.GLOBAL_CONFIG, name(21), name(22)):
        accounts = a_pool()
        accounts[gone] = ABSENT
        assert code(ask(POOL, accounts, WSOL, 10**9)) is None


def test_fees_that_leave_nothing_are_refused():
    accounts = a_curve()
    accounts[pumpfun.FEE_CONFIG] = one_tier(0, 9_000, 1_000)
    assert code(ask(CURVE, accounts, WSOL, 10**9)) == 6024
    assert code(ask(POOL, a_pool(rates=(1, 9_000, 999)), WSOL, 10**9)) == 6023


def test_pool_refusals():
    pool = a_pool()
    assert code(ask(POOL, pool, WSOL, 0)) == 6002
    assert code(ask(POOL, pool, WSOL, 0, "out")) == 6001
    assert code(ask(POOL, pool, COIN, 0)) == 6001
    assert code(ask(POOL, pool, WSOL, 200_000_000_000_000, "out")) == 6016
    assert code(ask(POOL, a_pool(amount=0), WSOL, 10**9)) == 6016
    assert code(ask(POOL, pool, WSOL, -1)) is None
    assert code(ask(POOL, pool, WSOL, 1, limit=5)) is None
    assert code(ask(POOL, pool, COIN, 10**11, "out")) is None
    assert code(ask(POOL, pool, COIN, 5_000)) == 6023
    assert code(ask(POOL, a_pool(base=0), COIN, 5_000)) == 6025
    assert code(ask(POOL, a_pool(virtual=-80_000_000_001), COIN, 5_000)) == 6023
    assert code(ask(POOL, a_pool(virtual=2**64), COIN, 5_000)) == 6023
    assert code(ask(POOL, a_pool(amount=1000, virtual=10**9), COIN, 10**14)) == 6063
    assert code(ask(POOL, a_pool(amount=10**9, virtual=-(10**8), kept=(5 * 10**7, 5 * 10**8)), COIN, 10**15)) == 6063
    assert code(ask(POOL, a_pool(base=2**64 - 10), COIN, 10**14)) == 6023
    assert code(ask(POOL, a_pool(amount=2**64 - 10, virtual=-(2**63)), WSOL, 10**14)) == 6023
    for mint, flag, wanted in ((WSOL, 8, 6020), (COIN, 16, 6021)):
        house = pool[pumpswap.GLOBAL_CONFIG]
        off = {**pool, pumpswap.GLOBAL_CONFIG: with_switch(house, 56, 949, flag)}
        assert code(ask(POOL, off, mint, 10**9)) == wanted
        on = {**pool, pumpswap.GLOBAL_CONFIG: with_switch(house, 56, 949, 7)}
        assert isinstance(ask(POOL, on, mint, 10**9), Quote)


def test_one_unit_net_meets_an_empty_quote_side():
    """Nothing net buys nothing; one unit net divides by zero; more asks for the whole base side."""
    pool = [ask(POOL, a_pool(amount=0), WSOL, budget) for budget in range(1, 9)]
    told = [0 if isinstance(got, Quote) else got.code for got in pool]
    assert told == sorted(told, key=[0, 6025, 6016].index)
    assert {0, 6025, 6016} == set(told)
    curve = [ask(CURVE, a_curve(vq=0), WSOL, budget) for budget in range(1, 9)]
    assert next(got.code for got in curve if isinstance(got, Refusal)) == 6026


def extension(kind: int, value: bytes) -> bytes:
    return struct.pack("<HH", kind, len(value)) + value


def test_mints_that_do_not_move_plainly():
    fee_config = bytes(72) + struct.pack("<QQHQQH", 0, 10**9, 0, 901, 10**9, 50)
    mint = mint_account(10**15, TOKEN_2022, bytes(83) + b"\1" + extension(1, fee_config))
    vault = token_account(COIN, POOL, 10**14, TOKEN_2022, b"\2" + extension(2, bytes(8)))
    accounts = {**a_pool(migrated=False), name(21): vault}
    del accounts[COIN]
    assert ask(POOL, accounts, WSOL, 10**9).missing == (COIN,)
    accounts[COIN] = mint
    assert isinstance(ask(POOL, accounts, WSOL, 10**9), Quote)
    later = Clock(CLOCK.slot, CLOCK.unix_timestamp, 901)
    got = quote(POOL, accounts, mint_in=WSOL, amount=10**9, clock=later)
    assert "transfer fee of 50 bps" in got.reason
    accounts[COIN] = mint_account(10**15, TOKEN_2022, bytes(83) + b"\1" + extension(14, bytes((5,)) * 64))
    assert "hook" in ask(POOL, accounts, WSOL, 10**9).reason
    accounts[COIN] = ABSENT
    assert "no mint" in ask(POOL, accounts, WSOL, 10**9).reason
    frozen = bytearray(token_account(COIN, POOL, 10**14).data)
    frozen[108] = 2
    assert code(ask(POOL, {**a_pool(), name(21): Account(TOKEN, 1, bytes(frozen))}, WSOL, 10**9)) == 17


def test_supply_is_asked_for_where_it_decides(real):
    pool = a_pool()
    pool[pumpswap.FEE_CONFIG] = real.amm_config
    small = {**pool, COIN: mint_account(10**12)}
    large = {**pool, COIN: mint_account(10**18)}
    assert ask(POOL, small, WSOL, 10**9).fees[0].amount < ask(POOL, large, WSOL, 10**9).fees[0].amount
    assert "no mint" in ask(POOL, {**pool, COIN: Account(TOKEN, 1, b"")}, WSOL, 10**9).reason
    del pool[COIN]
    assert ask(POOL, pool, WSOL, 10**9).missing == (COIN,)
    mayhem = a_pool(mayhem=True)
    mayhem[pumpswap.FEE_CONFIG] = real.amm_config
    del mayhem[COIN]
    assert isinstance(ask(POOL, mayhem, WSOL, 10**9), Quote)


def test_fee_config_that_is_none(real):
    assert pump_fees.decode_fee_config(b"") is None
    assert pump_fees.decode_fee_config(real.amm_config.data[:68]) is None
    assert pump_fees.decode_fee_config(real.amm_config.data[:100]) is None
    assert pump_fees.decode_fee_config(real.amm_config.data[:65] + bytes(200)) is None
    decoded = pump_fees.decode_fee_config(real.amm_config.data)
    cut = pump_fees.encode_fee_config(decoded, 0)
    assert pump_fees.decode_fee_config(cut[:-24]) == decoded
    assert pump_fees.decode_fee_config(cut[:-30]) is None
    assert pump_fees.decode_fee_config(pump_fees.encode_fee_config(decoded, 4097)) == decoded
    high = (Tier(100, Fees(1, 1, 1)), Tier(200, Fees(2, 2, 2)))
    assert pump_fees.fees_at(high, 5) == Fees(1, 1, 1)
    old = FeeConfig(decoded.flat, decoded.tiers, (), Fees(0, 0, 0))
    assert pump_fees.tiers_for(old, USDC, canonical=True) == decoded.tiers
    assert pump_fees.tiers_for(old, name(3), canonical=True) == (Tier(0, decoded.flat),)


def test_a_usdc_curve_leaves_its_lamports():
    accounts = a_curve(quote_mint=USDC, vq=4_292_000_000)
    got = ask(CURVE, accounts, USDC, 10**7)
    assert got.fees[0].mint == USDC
    assert got.after[CURVE].lamports == accounts[CURVE].lamports


# --- properties -------------------------------------------------------------------------------------------------

U64S = st.integers(1, 2**64 - 1)
AMOUNTS = st.one_of(st.integers(1, 10**6), st.integers(1, 10**12), st.integers(1, 2**64 - 1))
RATES = st.tuples(*[st.integers(0, 400)] * 3)
CASES = rounds() // 60
STEADY = settings(derandomize=True, deadline=None, max_examples=CASES)


@st.composite
def venues(draw):
    """(pool address, accounts, coin, quote mint): a curve or a pool with reserves of any size."""
    lp, protocol, creator = draw(RATES)
    if draw(st.booleans()):
        vt, rt = sorted((draw(AMOUNTS), draw(AMOUNTS)), reverse=True)
        vq, rq = sorted((draw(AMOUNTS), draw(AMOUNTS)), reverse=True)
        accounts = a_curve(vq, vt, rq, rt, creator=draw(st.booleans()), cashback=draw(st.booleans()))
        accounts[pumpfun.FEE_CONFIG] = one_tier(lp, protocol, creator)
        return CURVE, accounts
    amount = draw(AMOUNTS)
    virtual = draw(st.integers(-amount, 2**63))
    return POOL, a_pool(draw(AMOUNTS), amount, (lp, protocol, creator), virtual=virtual)


def held(pool: str, accounts: dict) -> dict[str, int]:
    """What a pool can pay out, by mint."""
    if pool == CURVE:
        curve = pumpfun.decode_curve(accounts[CURVE])
        return {COIN: curve.real_token, WSOL: curve.real_quote}
    return {
        mint: int.from_bytes(accounts[key].data[64:72], "little") for mint, key in ((COIN, name(21)), (WSOL, name(22)))
    }


@STEADY
@given(venues(), AMOUNTS, st.sampled_from((COIN, WSOL)), st.sampled_from(("in", "out")))
def test_a_quote_is_payable_and_its_state_is_the_next(venue, amount, mint, exact):
    pool, accounts = venue
    got = ask(pool, accounts, mint, amount, exact)
    if isinstance(got, Refusal):
        assert not got.missing
        return
    out = COIN if mint == WSOL else WSOL
    before = held(pool, accounts)
    after = held(pool, {**accounts, **got.after})
    assert 0 <= got.amount_out <= before[out]
    assert before[out] - after[out] >= got.amount_out
    assert after[mint] - before[mint] <= got.amount_in
    assert 0 <= got.price_impact_bps <= 10_000
    assert got.amount_in <= amount if exact == "in" else got.amount_out >= amount
    assert not got.partial or after[COIN] == 0
    moved_in = got.amount_in - (sum(fee.amount for fee in got.fees) if mint == WSOL else 0)
    assert moved_in <= after[mint] - before[mint]


@STEADY
@given(venues(), AMOUNTS, AMOUNTS, st.sampled_from((COIN, WSOL)))
def test_more_in_never_gives_less_out(venue, one, two, mint):
    """Each of three fees rounds up on its own, so a sale may pay up to two units less for more; nothing else may."""
    pool, accounts = venue
    less, more = (ask(pool, accounts, mint, amount) for amount in sorted((one, two)))
    if isinstance(less, Quote) and isinstance(more, Quote):
        assert more.amount_out >= less.amount_out - (2 if mint == COIN else 0)
    less, more = (ask(pool, accounts, mint, amount, "out") for amount in sorted((one, two)))
    if isinstance(less, Quote) and isinstance(more, Quote):
        assert more.amount_in >= less.amount_in


@STEADY
@given(venues(), AMOUNTS, st.sampled_from((COIN, WSOL)))
def test_exact_out_of_an_exact_in_quote_asks_for_no_more(venue, amount, mint):
    pool, accounts = venue
    there = ask(pool, accounts, mint, amount)
    if isinstance(there, Quote) and there.amount_out:
        back = ask(pool, accounts, mint, there.amount_out, "out")
        assert isinstance(back, Quote), back
        assert back.amount_in <= there.amount_in
        assert back.amount_out >= there.amount_out


@STEADY
@given(venues(), AMOUNTS)
def test_a_sale_for_an_amount_is_the_least_that_does(venue, wanted):
    pool, accounts = venue
    got = ask(pool, accounts, COIN, wanted, "out")
    if isinstance(got, Quote):
        assert got.amount_out >= wanted
        one_less = ask(pool, accounts, COIN, got.amount_in - 1)
        assert isinstance(one_less, Refusal) or one_less.amount_out < wanted


@STEADY
@given(venues(), AMOUNTS, st.sampled_from((COIN, WSOL)))
def test_a_round_trip_never_gains(venue, amount, mint):
    pool, accounts = venue
    there = ask(pool, accounts, mint, amount)
    if isinstance(there, Quote) and there.amount_out:
        back = ask(pool, {**accounts, **there.after}, COIN if mint == WSOL else WSOL, there.amount_out)
        if isinstance(back, Quote):
            assert back.amount_out <= there.amount_in


@STEADY
@given(venues(), AMOUNTS, AMOUNTS, st.sampled_from((COIN, WSOL)))
def test_a_loaded_pool_quotes_as_its_accounts_do(venue, amount, next_amount, mint):
    """Quote, apply `after`, quote again: the second equals the quote on a pool made with those reserves."""
    pool, accounts = venue
    first = ask(pool, accounts, mint, amount)
    if isinstance(first, Refusal):
        return
    later = {**accounts, **first.after}
    second = ask(pool, later, mint, next_amount)
    if pool == CURVE:
        curve = pumpfun.decode_curve(later[CURVE])
        remade = {**accounts, CURVE: Account(PUMP, later[CURVE].lamports, pumpfun.encode_curve(curve))}
        ready = pumpfun.load(CURVE, later, None)
        if isinstance(ready, pumpfun.Ready):
            assert second == pumpfun.quote_ready(CURVE, ready, mint, next_amount, "in")
    else:
        reserves = held(pool, later)
        remade = {
            **accounts,
            name(21): token_account(COIN, POOL, reserves[COIN]),
            name(22): token_account(WSOL, POOL, reserves[WSOL]),
        }
        assert later[name(22)] == remade[name(22)]
    assert second == ask(pool, remade, mint, next_amount)


KEYS = st.binary(min_size=32, max_size=32).filter(any).map(base58.encode)
MAYBE = st.one_of(st.none(), KEYS)
U64_OR_0 = st.integers(0, 2**64 - 1)
CURVES = st.builds(
    pumpfun.Curve,
    **dict.fromkeys(("virtual_token", "virtual_quote", "real_token", "real_quote", "supply"), U64_OR_0),
    **dict.fromkeys(("creator_fee_bps", "creator_fee", "protocol_fees", "initial_virtual_quote"), U64_OR_0),
    **dict.fromkeys(("post_complete_base", "post_complete_quote"), U64_OR_0),
    **dict.fromkeys(("complete", "mayhem", "cashback", "can_edit_creator_fee", "holder_reward"), st.booleans()),
    creator=MAYBE,
    quote_mint=st.one_of(st.just(WSOL), KEYS),
    depth=st.integers(0, 255),
    size=st.integers(166, 200),
)
POOLS = st.builds(
    pumpswap.Pool,
    bump=st.integers(0, 255),
    index=st.integers(0, 2**16 - 1),
    **dict.fromkeys(("creator", "base_mint", "quote_mint", "lp_mint", "base_vault", "quote_vault"), KEYS),
    coin_creator=MAYBE,
    **dict.fromkeys(("lp_supply", "creator_fee_bps", "protocol_fees", "creator_fees"), U64_OR_0),
    **dict.fromkeys(("mayhem", "cashback", "can_edit_creator_fee", "holder_reward"), st.booleans()),
    virtual_quote=st.integers(-(2**127), 2**127 - 1),
    size=st.integers(287, 310),
)


@STEADY
@given(CURVES, POOLS)
def test_decode_of_encode_is_identity(curve, pool):
    assert pumpfun.decode_curve(Account(PUMP, 1, pumpfun.encode_curve(curve))) == curve
    assert pumpswap.decode_pool(Account(AMM, 1, pumpswap.encode_pool(pool))) == pool


def test_real_accounts_encode_to_themselves(shared):
    row = json.loads((shared / "data/pump/raw/chainstack_raw_bonding_curve_from_getaccountinfo.json").read_text())
    data = base64.b64decode(row["result"]["value"]["data"][0])
    assert pumpfun.encode_curve(pumpfun.decode_curve(Account(PUMP, 1, data))) == data
    rows = json.loads((shared / "data/pump/accounts_k13_2026-02-17.json").read_text())["accounts"]
    data = base64.b64decode(rows[POOL]["data_b64"])
    assert pumpswap.encode_pool(pumpswap.decode_pool(Account(AMM, 1, data))) == data


# --- fuzz -------------------------------------------------------------------------------------------------------


def mutated(data: bytes, cuts: list, size: int) -> bytes:
    out = bytearray(data)
    for at, value in cuts:
        if out:
            out[at % len(out)] = value
    return bytes(out[:size]) if size < len(out) else bytes(out)


CUTS = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=12)


@STEADY
@given(
    venues(),
    st.lists(st.tuples(st.integers(0, 5), CUTS, st.integers(0, 6000)), max_size=4),
    AMOUNTS,
    st.data(),
)
def test_mutated_accounts_are_quoted_or_refused(venue, changes, amount, data):
    pool, accounts = venue
    names = list(accounts)
    for which, cuts, size in changes:
        key = names[which % len(names)]
        account = accounts[key]
        accounts[key] = Account(account.owner, account.lamports, mutated(account.data, cuts, size))
    mint, exact = data.draw(st.sampled_from((COIN, WSOL))), data.draw(st.sampled_from(("in", "out")))
    generation = data.draw(st.sampled_from((None, "fee_program", "global_fees")))
    got = ask(pool, accounts, mint, amount, exact, generation=generation)
    assert isinstance(got, Quote | Refusal)


@STEADY
@given(st.sampled_from((PUMP, AMM)), st.binary(max_size=500), st.binary(max_size=300), AMOUNTS)
def test_random_accounts_are_refused(owner, data, other, amount):
    tags = (b"", bytes.fromhex("17b7f83760d8ac60"), bytes.fromhex("f19a6d0411b16dbc"))
    for tag in tags:
        accounts = {
            POOL: Account(owner, 1, tag + data),
            pumpfun.FEE_CONFIG: Account(pump_fees.PROGRAM, 1, bytes.fromhex("8f3492bbdb7b4c9b") + other),
            pumpfun.GLOBAL: Account(owner, 1, bytes.fromhex("a7e8e8b1c86c727f") + other),
        }
        assert isinstance(ask(POOL, accounts, WSOL, amount), Quote | Refusal)
