"""Raydium CPMM against executed rows and real mainnet transactions."""

import base64
import json

import pytest

from ironcrab import dex
from ironcrab.dex import base58, raydium_cpmm
from ironcrab.dex.face import Account, Call, Clock, Quote, Refusal
from ironcrab.dex.mint import amount_of


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
