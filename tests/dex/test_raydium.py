"""Raydium AMM V4 against executed rows and real mainnet transactions."""

import base64
import json

import pytest

from ironcrab import dex
from ironcrab.dex import base58, raydium
from ironcrab.dex.address import TOKEN
from ironcrab.dex.face import ABSENT, Account, Clock, Quote, Refusal, Swap
from ironcrab.dex.mint import amount_of


def block(shared):
    return json.loads((shared / "data/raydium/amm_v4_txs_mainnet_332254908.json").read_text())


def rpc_files(shared):
    for path in sorted((shared / "data/geyser/tx_json").glob("*.json")):
        if raydium.PROGRAM in path.read_text():
            found = json.loads(path.read_text())
            yield path.name, found[0] if isinstance(found, list) else found["result"]


def swaps(row, build_transaction, walk_calls):
    transaction = build_transaction(row)
    for call in walk_calls(transaction.calls):
        if call.program == raydium.PROGRAM:
            yield call, transaction, raydium.VENUE.parse(call, transaction)


def test_every_swap_of_the_block(shared, build_transaction, walk_calls, truth_table):
    """Amounts equal the vaults' balance changes where a vault is touched once, and the ray_log always."""
    rows = equal = judged_by_balance = 0
    for row in block(shared):
        if row["err"] is not None:
            continue
        found = list(swaps(row, build_transaction, walk_calls))
        assert found
        for call, transaction, parsed in found:
            rows += 1
            (swap,) = parsed
            assert isinstance(swap, Swap)
            assert swap.pool == call.accounts[1]
            assert swap.position == call.position
            assert len(call.logs) == 1
            _, amount_in, amount_out, *_ = raydium._swap_log(call)
            assert (swap.amount_in, swap.amount_out) == (amount_in, amount_out)
            vaults = call.accounts[-13:-11]
            assert {transaction.balances[v].mint for v in vaults} == {swap.mint_in, swap.mint_out}
            if len(found) == 1:
                change = {}
                for vault in vaults:
                    balance = transaction.balances[vault]
                    change[balance.mint] = balance.after - balance.before
                    # these pools owe no profit: reserves are the vaults' amounts
                    told = swap.reserve_in if balance.mint == swap.mint_in else swap.reserve_out
                    assert told == balance.after
                assert change == {swap.mint_in: swap.amount_in, swap.mint_out: -swap.amount_out}
                judged_by_balance += 1
            equal += 1
    truth_table.add("raydium", "mainnet block 332254908 (parse)", rows, equal)
    assert rows == equal == 40
    assert judged_by_balance > 30


def test_a_lost_log_changes_no_amount(shared, build_transaction, walk_calls):
    for row in block(shared):
        if row["err"] is None:
            with_log = [s for _, _, s in swaps(row, build_transaction, walk_calls)]
            without = [s for _, _, s in swaps(row | {"log_messages": []}, build_transaction, walk_calls)]
            for (logged,), (bare,) in zip(with_log, without, strict=True):
                assert (logged.amount_in, logged.amount_out) == (bare.amount_in, bare.amount_out)
                assert (logged.mint_in, logged.mint_out) == (bare.mint_in, bare.mint_out)
                assert bare.reserve_in is bare.reserve_out is None


def test_lost_transfers_leave_the_log(shared, build_transaction, walk_calls):
    for row in block(shared):
        if row["err"] is None:
            transaction = build_transaction(row)
            for call in walk_calls(transaction.calls):
                if call.program == raydium.PROGRAM:
                    bare = type(call)(call.program, call.accounts, call.data, call.position, call.depth, (), call.logs)
                    assert raydium.VENUE.parse(bare, transaction) == raydium.VENUE.parse(call, transaction)


def test_swaps_of_single_transactions(shared, build_transaction, walk_calls, truth_table):
    rows = equal = 0
    for name, row in rpc_files(shared):
        for _, _, parsed in swaps(row, build_transaction, walk_calls):
            rows += 1
            equal += len(parsed) == 1 and isinstance(parsed[0], Swap)
            assert parsed, name
    truth_table.add("raydium", "single transactions (parse)", rows, equal)
    assert rows == equal > 3


POOL = "58oQChx4yWmvKdwLLZzBi4ChoCc2fqCUWBkwMihLYQo2"
SLIPPAGE, FUNDS = 30, 40


def row_accounts(row):
    """Accounts of an executed row. No market and no open orders exist there."""
    data = {role: base64.b64decode(text) for role, text in row["before"].items()}
    amm = raydium.decode(Account(raydium.PROGRAM, 1, data["amm"]))
    accounts = {POOL: Account(raydium.PROGRAM, 1, data["amm"])}
    for role in ("coin_vault", "pc_vault"):
        at = 336 if role == "coin_vault" else 368
        accounts[base58.encode(data["amm"][at : at + 32])] = Account(TOKEN, 1, data[role])
    if not isinstance(amm, Refusal):
        accounts |= {amm.market: ABSENT, amm.open_orders: ABSENT}
    return accounts


def quote_row(row, generation="legacy"):
    accounts = row_accounts(row)
    coin, pc = (base58.encode(base64.b64decode(row["before"]["amm"])[at : at + 32]) for at in (400, 432))
    return accounts, dex.quote(
        POOL,
        accounts,
        mint_in=coin if row["direction"] == "coin2pc" else pc,
        amount=row["amount"],
        exact="in" if row["ix"] == "swap_base_in" else "out",
        clock=Clock(0, row["unix_timestamp"], 787),
        generation=generation,
    )


def agrees(row, found):
    """Whether a quote says what the executed row shows.

    The quote knows neither the user's balance (40) nor his limit (30): there it must be beyond them, or refuse
    for a reason that the program looks at later (29, 40 of the reserves).
    """
    if row["ok"]:
        return isinstance(found, Quote) and (found.amount_in, found.amount_out) == (
            row["amount_in_actual"],
            row["amount_out_actual"],
        )
    if row["err_code"] not in (SLIPPAGE, FUNDS):
        return isinstance(found, Refusal) and found.code == row["err_code"]
    owned = int.from_bytes(base64.b64decode(row["before"]["user_source"])[64:72], "little")
    exact_in = row["ix"] == "swap_base_in"
    if isinstance(found, Refusal):
        if row["err_code"] == FUNDS and exact_in and row["amount"] > owned:
            return found.code in (29, 40, None)
        return found.code == row["err_code"] or (found.code == 29 and row["limit"] > 0 and exact_in)
    if row["err_code"] == FUNDS:
        return owned < found.amount_in
    return found.amount_out < row["limit"] if exact_in else found.amount_in > row["limit"]


@pytest.mark.parametrize("name", ["raydium_amm_v4", "raydium_amm_v4_realpool"])
def test_executed_rows(vectors, truth_table, name):
    rows = vectors(name)
    missed = []
    for row in rows:
        accounts, found = quote_row(row)
        if not agrees(row, found):
            missed.append((row["id"], row["err_code"], found))
        elif row["ok"]:
            for role, (address, account) in zip(
                ("amm_after", "coin_vault_after", "pc_vault_after"),
                ((a, found.after[a]) for a in accounts if a in found.after),
                strict=True,
            ):
                if role == "amm_after":
                    if role in row and account.data != base64.b64decode(row[role]):
                        missed.append((row["id"], role, address))
                elif amount_of(account) != row[role]:
                    missed.append((row["id"], role, address))
    truth_table.add("raydium", f"{name} (executed)", len(rows), len(rows) - len(missed))
    assert not missed, missed[:5]
