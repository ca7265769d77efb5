"""Raydium CPMM against executed rows and real mainnet transactions."""

import json

from ironcrab.dex import raydium_cpmm
from ironcrab.dex.face import Call


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
