"""No bytes make Whirlpool code raise: account sets and calls, mutated from real ones.

A nightly run sets `IRONCRAB_FUZZ_ROUNDS=1000000`.
"""

import random
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from ironcrab.dex import (
    ABSENT,
    Account,
    Call,
    Clock,
    Created,
    Liquidity,
    Quote,
    Refusal,
    Swap,
    TokenBalance,
    Transaction,
    quote,
)
from ironcrab.dex.address import MEMO, TOKEN, TOKEN_2022
from ironcrab.dex.whirlpool import VENUE
from ironcrab.dex.whirlpool_calls import _READERS, TRADED
from ironcrab.dex.whirlpool_state import PROGRAM, decode_whirlpool
from tests.nightly.fuzz_dex import rounds

SPEC = spec_from_file_location("whirlpool_rows", Path(__file__).with_name("whirlpool_rows.py"))
shape = module_from_spec(SPEC)
SPEC.loader.exec_module(shape)

FUZZ = rounds()
"""Mutated account sets; the nightly run asks for a million."""


def test_no_bytes_raise(vectors):
    """Accounts of the vectors with bytes changed, cut, added, swapped: a quote or a refusal, nothing else."""
    rows = vectors("orca_whirlpool")
    refs = shape.book(rows)
    cases = [row for row in rows if row["kind"] == "vector"]
    chance = random.Random(20260826)
    quoted = 0
    for _ in range(FUZZ):
        row = chance.choice(cases)
        accounts = shape.accounts_of(row, refs)
        state = decode_whirlpool(accounts[row["pool"]])
        for _ in range(chance.choice((1, 1, 2, 4))):
            mutate(chance, accounts, row)
        answer = quote(
            row["pool"],
            accounts,
            mint_in=state.mint_a if row["a_to_b"] else state.mint_b,
            amount=chance.choice((row["amount"], chance.getrandbits(64), chance.getrandbits(20))),
            exact="in" if row["exact_in"] else "out",
            clock=Clock(1, chance.choice((row["clock"]["unix_timestamp"], chance.getrandbits(34))), chance.getrandbits(10)),
            limit=chance.choice((None, None, int(row["sqrt_price_limit"]), chance.getrandbits(97))),
        )  # fmt: skip
        assert isinstance(answer, Quote | Refusal)
        if isinstance(answer, Quote):
            quoted += 1
            assert all(isinstance(account, Account) for account in answer.after.values())
        if chance.random() < 0.1:
            assert isinstance(VENUE.needs(row["pool"], accounts, state.mint_a), tuple)
            VENUE.instructions(
                row["pool"],
                accounts,
                user=row["pool"],
                mint_in=state.mint_b,
                amount=1,
                other_amount=0,
                exact="in",
                clock=Clock(0, 0, 0),
            )
    assert quoted > FUZZ // 20


def mutate(chance, accounts, row):
    """Changes one account of a set in one of several ways; the pool's more often than another."""
    address = chance.choice((row["pool"], *accounts))
    account = accounts[address]
    data = bytearray(account.data)
    kind = chance.randrange(7)
    if kind == 0:
        data = data[: chance.randrange(len(data) + 1)]
    elif kind == 1:
        data += chance.randbytes(chance.randrange(1, 200))
    elif kind == 2 and len(data) > 8:
        at = chance.randrange(8, len(data))
        data[at : at + 16] = chance.choice((b"\xff" * 16, bytes(16), chance.randbytes(16)))[: len(data) - at]
    elif kind == 3:
        account = Account(chance.choice((PROGRAM, TOKEN, TOKEN_2022, ABSENT.owner)), account.lamports, b"")
    elif kind == 4:
        if address != row["pool"]:
            del accounts[address]
            return
    elif data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    accounts[address] = Account(account.owner, account.lamports, bytes(data))


def test_no_call_raises():
    """Calls of every kind with accounts, data, inner calls and logs of any length and content."""
    chance = random.Random(20260827)
    keys = [f"key{number}" for number in range(24)]
    balances = {name: TokenBalance(f"mint of {name}", "", TOKEN, 6, 1, 2) for name in keys[::2]}
    read = 0
    for _ in range(FUZZ):
        inner = tuple(any_call(chance, keys, (TOKEN, TOKEN_2022, MEMO, PROGRAM)) for _ in range(chance.randrange(5)))
        call = any_call(chance, keys, (PROGRAM,), inner)
        found = VENUE.parse(call, Transaction("sig", 1, "payer", ("payer",), (call,), balances, {}))
        assert all(isinstance(each, Swap | Created | Liquidity) for each in found)
        read += bool(found)
    assert read > FUZZ // 50


def any_call(chance, keys, programs, inner=()):
    accounts = tuple(chance.choices(keys, k=chance.choice((0, 3, 4, 11, 15, 20, 24, 40))))
    head = chance.choice((*_READERS, b"\x03", b"\x0c", b"\x1a\x01", b"TFe: 12, 345", chance.randbytes(8)))
    data = head + chance.randbytes(chance.choice((0, 8, 34, 51, 90))) if chance.random() < 0.9 else head[:4]
    logs = tuple(TRADED + chance.randbytes(chance.choice((0, 40, 113, 120))) for _ in range(chance.randrange(2)))
    return Call(chance.choice(programs), accounts, data, chance.randrange(60), 1, inner, logs)
