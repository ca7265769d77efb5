"""Every executed Whirlpool swap through `ironcrab.dex.quote`: amounts, error numbers, and the pool afterwards."""

import base64
from importlib.util import module_from_spec, spec_from_file_location
from itertools import pairwise
from pathlib import Path

from ironcrab.dex import Quote, Refusal, quote
from ironcrab.dex.whirlpool import VENUE
from ironcrab.dex.whirlpool_state import decode_oracle, decode_whirlpool

SPEC = spec_from_file_location("whirlpool_rows", Path(__file__).with_name("whirlpool_rows.py"))
shape = module_from_spec(SPEC)
SPEC.loader.exec_module(shape)
book, accounts_of, asked, clock_of = shape.book, shape.accounts_of, shape.asked, shape.clock_of


def told(row):
    """Amount in and out, or the error number, that the chain answered with."""
    result = row["result"]
    if not result["ok"]:
        return result["err"]["code"]
    paid, got = ("user_a", "user_b") if row["a_to_b"] else ("user_b", "user_a")
    return -result[paid], result[got]


def answered(row, answer):
    """The quote in the same shape; the threshold belongs to the instruction, so it is judged here."""
    if isinstance(answer, Refusal):
        return answer.code
    if row["exact_in"] and answer.amount_out < row["other"]:
        return 6036
    if not row["exact_in"] and answer.amount_in > row["other"]:
        return 6037
    return answer.amount_in, answer.amount_out


def test_single_swaps(vectors, truth_table):
    rows = vectors("orca_whirlpool")
    refs = book(rows)
    judged = [row for row in rows if row["kind"] == "vector"]
    wrong = []
    for row in judged:
        accounts = accounts_of(row, refs)
        answer = quote(row["pool"], accounts, **asked(row, accounts))
        if answered(row, answer) != told(row):
            wrong.append((row["id"], row["variant"], told(row), answered(row, answer), getattr(answer, "reason", "")))
    truth_table.add("orca", "orca_whirlpool (executed)", len(judged), len(judged) - len(wrong))
    assert not wrong, wrong[:5]
    assert len(judged) == 939


def test_state_after(vectors, truth_table):
    """The pool account afterwards, byte for byte; vault balances; the fees that the event told."""
    rows = vectors("orca_whirlpool")
    refs = book(rows)
    judged = [row for row in rows if row["kind"] == "vector" and row["result"]["ok"]]
    wrong = []
    for row in judged:
        accounts = accounts_of(row, refs)
        answer = quote(row["pool"], accounts, **asked(row, accounts))
        result = row["result"]
        traded = bytes.fromhex(result["traded"]["raw"])
        lp, protocol = (int.from_bytes(traded[at : at + 8], "little") for at in (105, 113))
        fees = {(fee.name, fee.mint): fee.amount for fee in answer.fees}
        pool = decode_whirlpool(accounts[row["pool"]])
        ends = (pool.vault_a, pool.vault_b)
        delta = [
            int.from_bytes(answer.after[v].data[64:72], "little") - int.from_bytes(accounts[v].data[64:72], "little")
            for v in ends
        ]
        mint_in = pool.mint_a if row["a_to_b"] else pool.mint_b
        same = (
            answer.after[row["pool"]].data == base64.b64decode(row["post_whirlpool"])
            and delta == [result["vault_a"], result["vault_b"]]
            and (fees["lp", mint_in], fees["protocol", mint_in]) == (lp, protocol)
        )
        if not same:
            wrong.append((row["id"], row["variant"]))
    truth_table.add("orca", "orca_whirlpool pool account after", len(judged), len(judged) - len(wrong))
    assert not wrong, wrong[:5]


def test_two_hops(vectors, truth_table):
    """Two quotes composed: forwards for exact input, backwards for exact output."""
    rows = vectors("orca_two_hop")
    refs = book(rows)
    judged = [row for row in rows if row["kind"] == "vector"]
    wrong = []
    for row in judged:
        accounts = accounts_of(row, refs)
        answer = two_hop(row, accounts)
        result = row["result"]
        told = (result["user_in"], result["user_out"]) if result["ok"] else result["err"]["code"]
        if answer != told:
            wrong.append((row["id"], told, answer))
    truth_table.add("orca", "orca_two_hop (executed)", len(judged), len(judged) - len(wrong))
    assert not wrong, wrong[:5]
    assert len(judged) == 70


def two_hop(row, accounts):
    hops = []
    for name, a_to_b in zip(("pool_one", "pool_two"), row["a_to_b"], strict=True):
        address = row["accounts"][name]["pubkey"]
        pool = decode_whirlpool(accounts[address])
        hops.append((address, pool.mint_a if a_to_b else pool.mint_b))
    exact = "in" if row["exact_in"] else "out"
    if not row["exact_in"]:
        hops.reverse()
    amount, ends = row["amount"], []
    for address, mint_in in hops:
        answer = quote(address, accounts, mint_in=mint_in, amount=amount, exact=exact, clock=clock_of(row))
        if isinstance(answer, Refusal):
            return answer.code
        amount = answer.amount_out if row["exact_in"] else answer.amount_in
        ends.append(answer)
    first, last = ends if row["exact_in"] else ends[::-1]
    return first.amount_in, last.amount_out


def test_compute_units(vectors):
    """The estimate covers what the executed swaps used (the test program builds are metered as on the chain)."""
    rows = vectors("orca_whirlpool")
    refs = book(rows)
    short = []
    for row in rows:
        if row["kind"] != "vector" or not row["result"]["ok"]:
            continue
        accounts = accounts_of(row, refs)
        answer = quote(row["pool"], accounts, **asked(row, accounts))
        assert isinstance(answer, Quote)
        if VENUE.compute_units(answer) < row["result"]["cu"]:
            short.append((row["variant"], row["result"]["cu"], VENUE.compute_units(answer), row["ticks_crossed"]))
    assert not short, (len(short), short[:10])


def test_oracle_after(vectors):
    """In the adaptive sequence a row begins with the oracle that the row before it left, where rows follow."""
    rows = vectors("orca_whirlpool")
    refs = book(rows)
    sequence = [row for row in rows if row.get("variant") == "fab-adaptive-seq"]
    linked = 0
    for row, following in pairwise(sequence):
        if not row["result"]["ok"]:
            continue
        accounts = accounts_of(row, refs)
        answer = quote(row["pool"], accounts, **asked(row, accounts))
        where = row["accounts"]["oracle"]["pubkey"]
        later = accounts_of(following, refs)
        if later[row["pool"]].data == answer.after[row["pool"]].data:
            assert decode_oracle(answer.after[where]) == decode_oracle(later[where])
            linked += 1
    assert linked == 14
