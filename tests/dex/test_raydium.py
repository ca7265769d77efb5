"""Raydium AMM V4 against executed rows and real mainnet transactions."""

import json

from ironcrab.dex import raydium
from ironcrab.dex.face import Swap


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
                    bare = type(call)(
                        call.program, call.accounts, call.data, call.position, call.depth, (), call.logs
                    )
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
