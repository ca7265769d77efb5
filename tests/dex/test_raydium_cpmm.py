"""Raydium CPMM against executed rows and real mainnet transactions."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab import dex
from ironcrab.dex import address, base58, raydium_cpmm
from ironcrab.dex.face import ABSENT, Account, Call, Clock, Fee, Quote, Refusal
from ironcrab.dex.mint import FeeSchedule, amount_of, decode_token
from ironcrab.dex.raydium_cpmm_swap import Terms


def test_the_real_swap(shared, build_transaction, walk_calls, truth_table):
    row = json.loads((shared / "data/geyser/tx_json/OKXDEX_swap_0.json").read_text())[0]
    transaction = build_transaction(row)
    calls = [call for call in walk_calls(transaction.calls) if call.program == raydium_cpmm.PROGRAM]
    rows = equal = 0
    for call in calls:
        (swap,) = raydium_cpmm.VENUE.parse(call, transaction)
        rows += 1
        vault_in, vault_out = (transaction.balances[vault] for vault in call.accounts[6:8])
        assert swap.pool == call.accounts[3]
        assert (swap.mint_in, swap.mint_out) == (vault_in.mint, vault_out.mint)
        equal += (swap.amount_in, -swap.amount_out) == (
            vault_in.after - vault_in.before,
            vault_out.after - vault_out.before,
        )
        bare = Call(call.program, call.accounts, call.data, call.position, call.depth, call.inner)
        (unlogged,) = raydium_cpmm.VENUE.parse(bare, transaction)
        assert (unlogged.amount_in, unlogged.amount_out) == (swap.amount_in, swap.amount_out)
    truth_table.add("raydium_cpmm", "single transactions (parse)", rows, equal)
    assert rows == equal > 0


POOL = "AXTq4JHNYHSnooqjoDmtL9WW5eEgnkkMSWq76Kznidnz"
SLIPPAGE, FUNDS = 6005, 1


def row_accounts(row):
    data = {role: base64.b64decode(text) for role, text in row["before"].items()}
    state = data["pool_state"]
    accounts = {
        POOL: Account(raydium_cpmm.PROGRAM, 1, state),
        base58.encode(state[8:40]): Account(raydium_cpmm.PROGRAM, 1, data["amm_config"]),
    }
    for side, program in enumerate(row["token_programs"]):
        vault, mint = state[72 + 32 * side : 104 + 32 * side], state[168 + 32 * side : 200 + 32 * side]
        accounts[base58.encode(vault)] = Account(program, 1, data[f"vault{side}"])
        accounts[base58.encode(mint)] = Account(program, 1, data[f"mint{side}"])
    return accounts


def quote_row(row, generation):
    accounts = row_accounts(row)
    state = accounts[POOL].data
    side = 0 if row["direction"] == "0to1" else 1
    return dex.quote(
        POOL,
        accounts,
        mint_in=base58.encode(state[168 + 32 * side : 200 + 32 * side]),
        amount=row["amount"],
        exact="in" if row["ix"] == "swap_base_input" else "out",
        clock=Clock(0, row["unix_timestamp"], row["epoch"]),
        generation=generation,
    )


def agrees(row, found):
    """Whether a quote says what the row shows; balance (1) and limit (6005) of the user are beyond a quote."""
    if row["ok"]:
        return isinstance(found, Quote) and (found.amount_in, found.amount_out) == (
            row["amount_in_actual"],
            row["amount_out_actual"],
        )
    if row["err_code"] not in (SLIPPAGE, FUNDS):
        return isinstance(found, Refusal) and found.code == row["err_code"]
    if isinstance(found, Refusal):
        return False
    if row["err_code"] == FUNDS:
        owned = int.from_bytes(base64.b64decode(row["before"]["user_source"])[64:72], "little")
        return owned < found.amount_in
    exact_in = row["ix"] == "swap_base_input"
    return found.amount_out < row["limit"] if exact_in else found.amount_in > row["limit"]


def after_differs(row, found):
    """Names of the accounts after the swap that are not the row's."""
    state = base64.b64decode(row["before"]["pool_state"])
    sides = (72, 104) if row["direction"] == "0to1" else (104, 72)
    wrong = []
    for role, at in zip(("vault_in_after", "vault_out_after"), sides, strict=True):
        if amount_of(found.after[base58.encode(state[at : at + 32])]) != row[role]:
            wrong.append(role)
    pool = found.after[POOL].data
    if "pool_state_after" in row and pool != base64.b64decode(row["pool_state_after"]):
        wrong.append("pool_state_after")
    for at, owed in zip((341, 357, 397), row.get("fees_after", ()), strict=False):
        if [int.from_bytes(pool[at + k : at + k + 8], "little") for k in (0, 8)] != owed:
            wrong.append(f"fees owed at {at}")
    if "detail" in row:
        told = {key: row["detail"][key] for key in ("tfee", "cfee", "pfee", "ffee")}
        named = dict.fromkeys(("lp", "protocol", "fund", "creator"), 0)
        named |= {fee.name: fee.amount for fee in found.fees if fee.name != "transfer"}
        trade = named["lp"] + named["protocol"] + named["fund"]
        if list(told.values()) != [trade, named["creator"], named["protocol"], named["fund"]]:
            wrong.append("fees")
    return wrong


@pytest.mark.parametrize(
    ("name", "generation", "truth"),
    [("raydium_cpmm_executed", "legacy", "executed"), ("raydium_cpmm_derived", "joint", "derived")],
)
def test_rows(vectors, truth_table, name, generation, truth):
    rows = vectors(name)
    missed = []
    for row in rows:
        found = quote_row(row, generation)
        if not agrees(row, found):
            missed.append((row["id"], row["ix"], row["err_code"], found))
        elif row["ok"] and after_differs(row, found):
            missed.append((row["id"], after_differs(row, found)))
    truth_table.add("raydium_cpmm", f"{name} ({truth})", len(rows), len(rows) - len(missed))
    assert not missed, (len(missed), missed[:8])


def accounts_file(shared):
    held = json.loads((shared / "data/raydium/cpmm_accounts_mainnet.json").read_text())
    return {a["pubkey"]: Account(a["owner"], a["lamports"], base64.b64decode(a["data_b64"])) for a in held}


OFFSETS = {
    "config": 8,
    "vault_0": 72,
    "vault_1": 104,
    "mint_0": 168,
    "mint_1": 200,
    "program_0": 232,
    "program_1": 264,
    "observation": 296,
    "status": 329,
    "protocol_0": 341,
    "protocol_1": 349,
    "open_time": 373,
    "creator_fee_on": 389,
    "creator_fee_enabled": 390,
    "creator_1": 405,
}


def patched(account, **fields):
    data = bytearray(account.data)
    for name, value in fields.items():
        size = 1 if name in ("status", "creator_fee_on", "creator_fee_enabled") else 8
        raw = base58.decode(value) if isinstance(value, str) else value.to_bytes(size, "little")
        data[OFFSETS[name] : OFFSETS[name] + len(raw)] = raw
    return Account(account.owner, account.lamports, bytes(data))


def hooked_mint(base, *, paused=False):
    """The token-0 mint did not survive its trip: one with a hook extension and no program stands for it."""
    data = base.data[:165] + b"\1" + (14).to_bytes(2, "little") + (64).to_bytes(2, "little") + bytes(64)
    if paused:
        data += (26).to_bytes(2, "little") + (33).to_bytes(2, "little") + bytes(32) + b"\1"
    return Account(base.owner, 1, data)


@pytest.fixture
def real(shared):
    accounts = accounts_file(shared)
    cpmm = raydium_cpmm.decode(accounts[POOL])
    return accounts | {cpmm.mint_0: hooked_mint(accounts[cpmm.mint_1])}


def ask(accounts, amount=10**7, *, zero_in=True, exact="in", clock=None, mint_in=None, **more):
    cpmm = raydium_cpmm.decode(accounts[POOL])
    mint_in = mint_in or (cpmm.mint_0 if zero_in else cpmm.mint_1)
    clock = clock or Clock(0, 1_800_000_000, 1100)
    return raydium_cpmm.VENUE.quote(POOL, accounts, mint_in=mint_in, amount=amount, exact=exact, clock=clock, **more)


def test_the_worked_real_pool(real):
    """Creator fee of 1 % on token 0, transfer fee of 3 % on token 1 (computed, not executed)."""
    cpmm = raydium_cpmm.decode(real[POOL])
    found = ask(real)
    assert (found.amount_in, found.amount_out) == (10_000_000, 63_230_757)
    assert found.fees == (
        Fee("lp", cpmm.mint_0, 21_000),
        Fee("protocol", cpmm.mint_0, 3_000),
        Fee("fund", cpmm.mint_0, 1_000),
        Fee("creator", cpmm.mint_0, 100_000),
        Fee("transfer", cpmm.mint_1, 65_186_348 - 63_230_757),
    )
    back = ask(real, found.amount_out, exact="out")
    assert back.amount_in <= 10_000_000
    sold = ask(real, 10**9, zero_in=False)
    names = [(fee.name, fee.mint) for fee in sold.fees]
    assert ("transfer", cpmm.mint_1) in names
    assert ("creator", cpmm.mint_0) in names
    vault = decode_token(sold.after[cpmm.vault_1])
    assert vault.withheld == decode_token(real[cpmm.vault_1]).withheld + 30_000_000


def test_addresses_of_the_real_pool(real):
    cpmm = raydium_cpmm.decode(real[POOL])
    raw = {name: base58.decode(getattr(cpmm, name)) for name in ("config", "mint_0", "mint_1")}
    pool = base58.decode(POOL)

    def derived(*seeds):
        return address.find_program_address(seeds, raydium_cpmm.PROGRAM)[0]

    assert derived(b"pool_vault", pool, raw["mint_0"]) == cpmm.vault_0
    assert derived(b"pool_vault", pool, raw["mint_1"]) == cpmm.vault_1
    assert derived(b"pool_lp_mint", pool) == cpmm.lp_mint
    assert derived(b"observation", pool) == cpmm.observation
    assert derived(b"amm_config", (11).to_bytes(2, "big")) == cpmm.config
    assert raydium_cpmm.decode_config(real[cpmm.config]).index == 11


def test_instruction_of_the_real_swap(shared, real, build_transaction, walk_calls, truth_table):
    row = json.loads((shared / "data/geyser/tx_json/OKXDEX_swap_0.json").read_text())[0]
    transaction = build_transaction(row)
    (call,) = (c for c in walk_calls(transaction.calls) if c.program == raydium_cpmm.PROGRAM)
    a = call.accounts
    pool = patched(
        real[POOL],
        config=a[2],
        vault_0=a[6],
        vault_1=a[7],
        program_0=a[8],
        program_1=a[9],
        mint_0=a[10],
        mint_1=a[11],
        observation=a[12],
    )
    amounts = [int.from_bytes(call.data[at : at + 8], "little") for at in (8, 16)]
    (built,) = raydium_cpmm.VENUE.instructions(
        a[3],
        {a[3]: pool},
        user=a[0],
        mint_in=a[10],
        amount=amounts[0],
        other_amount=amounts[1],
        exact="in",
        clock=Clock(0, 0, 0),
    )
    assert built.data == call.data
    ours = [meta.pubkey for meta in built.metas]
    # the real swap paid out to a temporary wrapped account
    assert [at for at in range(13) if ours[at] != a[at]] == [5]
    assert [m.writable for m in built.metas] == [at in (3, 4, 5, 6, 7, 12) for at in range(13)]
    assert [m.signer for m in built.metas] == [at == 0 for at in range(13)]
    truth_table.add("raydium_cpmm", "single transactions (instruction)", 1, 1)


USER = base58.encode(bytes(range(32)))


def test_instructions_both_ways(real):
    cpmm = raydium_cpmm.decode(real[POOL])
    asked = {"user": USER, "amount": 5, "other_amount": 9, "clock": Clock(0, 0, 0)}
    (built,) = raydium_cpmm.VENUE.instructions(POOL, real, mint_in=cpmm.mint_1, exact="out", **asked)
    assert built.data.hex() == "37d96256a34ab4ad" + "0900000000000000" + "0500000000000000"
    assert built.metas[6].pubkey == cpmm.vault_1
    assert built.metas[4].pubkey == address.associated(USER, cpmm.mint_1, cpmm.program_1)
    for change in ({"mint_in": USER}, {"user": ""}, {"amount": 2**64}, {"other_amount": -1}):
        found = raydium_cpmm.VENUE.instructions(
            POOL, real, **({"mint_in": cpmm.mint_1, "exact": "in"} | asked | change)
        )
        assert isinstance(found, Refusal)
    found = raydium_cpmm.VENUE.instructions(POOL, {}, mint_in=cpmm.mint_1, exact="in", **asked)
    assert found.missing == (POOL,)
    assert raydium_cpmm.VENUE.compute_units(None) > 53_300


def test_missing_accounts_are_all_named(real):
    cpmm = raydium_cpmm.decode(real[POOL])
    venue, only = raydium_cpmm.VENUE, {POOL: real[POOL]}
    wanted = (cpmm.config, cpmm.vault_0, cpmm.vault_1, cpmm.mint_0, cpmm.mint_1)
    assert venue.needs(POOL, {}, cpmm.mint_0) == (POOL,)
    assert venue.needs(POOL, only, cpmm.mint_0) == wanted
    assert venue.needs(POOL, {POOL: ABSENT}, cpmm.mint_0) == ()
    assert ask(only).missing == wanted
    classic = {POOL: patched(real[POOL], program_0=address.TOKEN)}
    assert ask(classic).missing == wanted[:3] + wanted[4:]
    assert venue.quote(POOL, {}, mint_in="", amount=1, clock=Clock(0, 0, 0)).missing == (POOL,)


def test_refusals(real):
    cpmm = raydium_cpmm.decode(real[POOL])
    vault = real[cpmm.vault_0]
    config = real[cpmm.config]
    rates = {
        "no fees": config.data[:12] + bytes(8) + config.data[20:108] + bytes(8) + config.data[116:],
        "all": config.data[:12] + (2 * 10**6).to_bytes(8, "little") + config.data[20:],
        "creator": config.data[:108] + (2 * 10**6).to_bytes(8, "little") + config.data[116:],
        "shares": config.data[:12] + (999_999).to_bytes(8, "little") + b"\xff" * 16 + config.data[36:],
    }

    def code(pool=None, accounts=None, rate=None, **asked):
        held = real | {POOL: patched(real[POOL], **(pool or {}))} | (accounts or {})
        if rate is not None:
            held[cpmm.config] = Account(config.owner, 1, rates[rate])
        found = ask(held, **asked)
        assert isinstance(found, Refusal), found
        return found.code

    frozen = Account(vault.owner, vault.lamports, vault.data[:108] + b"\2" + vault.data[109:])
    assert code({"status": 4}) == 6000
    assert code({"open_time": 2**62}) == 6000
    assert code(amount=0) == 2505
    assert code(amount=0, exact="out") == 2505
    assert code(amount=0, exact="out", generation="legacy") == 6003
    assert code(amount=-1) is None
    assert code(amount=2**64) is None
    assert code(limit=5) is None
    assert code(mint_in=USER) == 6008
    assert code({"creator_fee_on": 3}) == 6013
    assert code({"protocol_0": 2**64 - 1}) == 6011
    assert code({"protocol_0": 2**62}) == 6012
    assert code({"protocol_0": 2**62}, generation="legacy") is None
    assert code({"protocol_0": amount_of(vault) - cpmm.fund_0 - cpmm.creator_0}) is None
    assert code(rate="no fees") == 6006
    assert code(rate="no fees", exact="out") == 6006
    assert code(rate="all") == 6006
    assert code(rate="all", exact="out") is None
    assert code(rate="creator", zero_in=False) == 6006
    assert code(rate="creator", zero_in=False, exact="out") == 6006
    assert code(amount=2**64 - 1) == 14
    assert code(amount=2**60, exact="out") is None
    assert code(amount=2**64 - 1, exact="out") is None
    assert code(accounts={cpmm.vault_0: frozen}) == 17
    assert code(accounts={cpmm.vault_0: ABSENT}) == 3012
    assert code(accounts={cpmm.vault_0: Account(USER, 1, b"")}) == 3007
    assert code(accounts={cpmm.vault_0: Account(vault.owner, 1, b"")}) is None
    assert code(accounts={cpmm.config: ABSENT}) == 3012
    assert code(accounts={cpmm.mint_1: ABSENT}) is None
    assert code(accounts={cpmm.mint_0: hooked_mint(real[cpmm.mint_0], paused=True)}) == 67
    paused = {cpmm.mint_0: hooked_mint(real[cpmm.mint_0], paused=True)}
    assert code(accounts=paused | {cpmm.vault_0: frozen}) == 17
    other = real[cpmm.vault_1]
    frozen_1 = Account(other.owner, other.lamports, other.data[:108] + b"\2" + other.data[109:])
    assert code(accounts=paused | {cpmm.vault_1: frozen_1}) == 67
    assert code(accounts=paused | {cpmm.vault_1: frozen_1}, zero_in=False) == 17
    assert code({"creator_1": 2**64 - 2}) == 6011
    for account, number in (
        (ABSENT, 3012),
        (Account(USER, 1, b""), 3007),
        (Account(raydium_cpmm.PROGRAM, 1, b"1234567"), 3001),
        (Account(raydium_cpmm.PROGRAM, 1, bytes(637)), 3002),
        (Account(raydium_cpmm.PROGRAM, 1, real[POOL].data[:636]), 3003),
    ):
        assert raydium_cpmm.decode(account).code == number
        assert (
            raydium_cpmm.VENUE.quote(POOL, {POOL: account}, mint_in=USER, amount=1, clock=Clock(0, 0, 0)).code == number
        )


def terms(reserve_in=10**9, reserve_out=10**9, **more):
    given_ = {
        "trade_rate": 2500,
        "protocol_rate": 120_000,
        "fund_rate": 40_000,
        "creator_rate": 0,
        "creator_on_input": True,
        "fee_in": None,
        "fee_out": None,
        "generation": "joint",
    }
    return Terms(reserve_in=reserve_in, reserve_out=reserve_out, **(given_ | more))


def test_real_swap_events(shared, truth_table):
    """Amounts and trade fee of real events of 2026, from the reserves that they tell. None had a creator fee."""
    told = json.loads((shared / "data/raydium/events_and_ray_logs_mainnet.json").read_text())
    rows = equal = 0
    for entry in told["cpmm_swap_events"]:
        event = base64.b64decode(entry["b64"])
        _, _, before_in, before_out, amount_in, amount_out, *_ = raydium_cpmm._EVENT_HEAD.unpack_from(event)
        _, _, trade, creator, _ = raydium_cpmm._EVENT_TAIL.unpack_from(event, 89)
        found = terms(before_in, before_out, trade_rate=entry["trade_fee_rate"]).swap(amount_in, "in")
        rows += 1
        equal += (found.left, found.trade, found.creator) == (amount_out, trade, creator)
    truth_table.add("raydium_cpmm", "mainnet SwapEvents", rows, equal)
    assert rows == equal == 3


def test_arithmetic_at_its_edges():
    """Refusals and roundings that need numbers no real pool has."""
    assert terms(fee_in=FeeSchedule(0, 2**63, 10_000)).swap(5, "in").code == 2505
    assert terms(fee_out=FeeSchedule(0, 2**63, 10_000)).swap(500, "in").code == 2505
    assert terms(2**63, 2**63, fee_out=FeeSchedule(0, 2**64 - 1, 10_000)).swap(5, "out").code is None
    assert terms(fee_in=FeeSchedule(0, 2**64 - 1, 10_000)).swap(5, "out").code is None
    assert terms(2**64 - 1, 2**63).swap(2**63 - 1, "out").code is None
    assert terms(2**63, 2**63, trade_rate=0, creator_on_input=False).swap(2**62 * 2 - 1, "out").code is None
    assert terms(2**62, 2**62, trade_rate=999_999, protocol_rate=2**64 - 1).swap(2**61, "out").code == 6006
    assert terms(trade_rate=0, generation="creator").swap(100, "in").left == 99
    split, apart = terms(creator_rate=3), terms(creator_rate=3, generation="creator")
    assert (split.swap(100, "in").creator, apart.swap(100, "in").creator) == (0, 1)
    half = terms(1, 1000, generation="legacy", creator_on_input=False)
    assert half.swap(10, "out").code == 2505
    assert terms(1, 1000).swap(10, "out").paid == 2


@given(st.integers(1, 2**40), st.integers(0, 9_999), st.integers(0, 2**40))
@settings(max_examples=500, derandomize=True, deadline=None)
def test_the_inverse_fee_always_matches(net, bps, maximum):
    """What the program guards with 6010: the fee of the sum is the fee added."""
    fee = FeeSchedule(0, maximum, bps)
    added = fee.fee_on(fee.before_fee(net))
    assert net + added == fee.before_fee(net)
    assert fee.fee_on(net + added) == added
