"""Quotes of PumpFun and PumpSwap against the vectors, the mainnet block and the fee program as executed.

Account sets are built from the rows' numbers; the accounts of the fee program are real ones.
"""

import base64
import gzip
import json
import struct
from dataclasses import dataclass

import pytest

from ironcrab.dex import ABSENT, Account, Clock, Quote, Refusal, base58, pump_fees, pumpfun, pumpswap, quote
from ironcrab.dex.address import SYSTEM, TOKEN, TOKEN_2022, WSOL, find_program_address
from ironcrab.dex.pump_fees import FeeConfig, Fees, Tier

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
    fields = struct.pack("<QQQQQ?", vt, vq, rt, rq, 10**15, False) + (name(3) and bytes((3,)) * 32 if creator else bytes(32))
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
        got = ask(CURVE, accounts, COIN if row["op"] == "sell" else WSOL, row["amount"] if "spent_total" not in row or row["op"] != "buy_exact_quote_in" else row["spent_total"], exact)
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
        assert ask(CURVE, curve_accounts(complete.data, rq, real.pump_config, real.global_), mint, 9, exact).code == 6005


# --- PumpSwap --------------------------------------------------------------------------------------------------


def pool_accounts(data: bytes, base: int, quote_amount: int, supply: int, config: Account, house: Account) -> dict:
    pool = pumpswap.decode_pool(Account(AMM, 1, data))
    return {
        POOL: Account(AMM, 1, data),
        pool.base_vault: token_account(pool.base_mint, POOL, base),
        pool.quote_vault: token_account(pool.quote_mint, POOL, quote_amount),
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
        accounts = pool_accounts(bytes(data), int(row["b"]), int(row["q"]), int(row["base_supply"]), config, house)
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
        accounts = pool_accounts(data, before["b"], before["q"], 10**15, one_tier(*rates), real.global_config)
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
