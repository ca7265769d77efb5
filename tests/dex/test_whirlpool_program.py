"""The real Whirlpool program beside the quote: built instructions executed in solders.litesvm.

Runs where `IRONCRAB_PROGRAMS` names a folder with `PROGRAM_ID.so`. Account sets come from the vectors; amounts,
directions, limits and clocks are varied by a counter-based hash, so that what is compared here is in no file.
Compared are amounts or the error number, and after a success every changed account, byte for byte.
"""

import os
import re
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from ironcrab.dex import ABSENT, Account, Clock, Refusal, base58, quote
from ironcrab.dex.address import TOKEN, associated
from ironcrab.dex.ticks import MAX_SQRT_PRICE, MIN_SQRT_PRICE, swap_starts
from ironcrab.dex.whirlpool import VENUE
from ironcrab.dex.whirlpool_state import IMMUTABLE, array_address, decode_whirlpool
from tests.nightly.fuzz_dex import rounds

SPEC = spec_from_file_location("whirlpool_rows", Path(__file__).with_name("whirlpool_rows.py"))
shape = module_from_spec(SPEC)
SPEC.loader.exec_module(shape)
litesvm = pytest.importorskip("solders.litesvm", reason="skipped: solders is not installed")
FOLDER = os.environ.get("IRONCRAB_PROGRAMS")
PROGRAM = Path(FOLDER or ".") / f"{IMMUTABLE}.so"
pytestmark = pytest.mark.skipif(
    FOLDER is None or not PROGRAM.is_file(), reason="skipped: IRONCRAB_PROGRAMS holds no Whirlpool program"
)
RUNS = rounds() // 50


def number(seed, below):
    """A number below a bound, from a counter."""
    return int.from_bytes(sha256(repr(seed).encode()).digest()[:16], "little") % below


def test_program_agrees(vectors, truth_table):
    """Chains of up to four trades, each on the accounts that the one before it left."""
    rows = vectors("orca_whirlpool")
    refs = shape.book(rows)
    seeds = [row for row in rows if row["kind"] == "vector" and row["result"]["ok"]]
    wrong, judged, paid = [], 0, 0
    chain = Chain()
    for run in range(RUNS):
        row = seeds[number(("row", run), len(seeds))]
        accounts = shape.accounts_of(row, refs)
        for turn in range(4):
            case = varied((run, turn), row, accounts)
            told = chain.run(row["pool"], accounts, **case)
            limit = case.pop("limit")
            answer = quote(row["pool"], accounts, **case, limit=limit or None)
            judged += 1
            if isinstance(answer, Refusal):
                if told != answer.code:
                    wrong.append((run, turn, row["variant"], case, limit, told, answer))
                break
            paid += 1
            same = isinstance(told, dict) and all(told.get(at) == account for at, account in answer.after.items())
            if not same:
                wrong.append((run, turn, row["variant"], case, limit, None if isinstance(told, dict) else told))
                break
            accounts |= answer.after
    truth_table.add("orca", f"program in litesvm, varied ({paid} paid)", judged, judged - len(wrong))
    assert not wrong, (len(wrong), wrong[:3])


def varied(run, row, accounts):
    """A trade on the accounts of a row, and in `accounts` every tick array that it can use."""
    pool = decode_whirlpool(accounts[row["pool"]])
    a_to_b = number(("way", run), 2) == 0
    for start in swap_starts(pool.tick, pool.spacing, a_to_b=a_to_b):
        accounts.setdefault(array_address(IMMUTABLE, row["pool"], start), ABSENT)
    bits = number(("bits", run), 46) + 1
    amount = number(("amount", run), 1 << bits)
    limit = 0
    if number(("limited", run), 4) == 0:
        low, high = (MIN_SQRT_PRICE, pool.sqrt_price) if a_to_b else (pool.sqrt_price, MAX_SQRT_PRICE)
        near = (high - low) >> number(("near", run), 40)
        limit = (high - near) if a_to_b else (low + near)
    clock = row["clock"]
    return {
        "mint_in": pool.mint_a if a_to_b else pool.mint_b,
        "amount": amount,
        "exact": ("in", "out")[number(("exact", run), 2)],
        "limit": limit,
        "clock": Clock(
            clock["slot"],
            clock["unix_timestamp"] + number(("time", run), 5000),
            clock["epoch"] + number(("epoch", run), 3),
        ),
    }


class Chain:
    """One litesvm with the program; accounts are set anew for each run."""

    def __init__(self):
        from solders.keypair import Keypair

        self.svm = litesvm.LiteSVM().with_sigverify(False).with_blockhash_check(False)
        self.svm.add_program_from_file(key(IMMUTABLE), PROGRAM)
        self.payer = Keypair.from_seed(bytes(32))
        self.user = str(self.payer.pubkey())
        self.nonce = 0

    def run(self, pool, accounts, *, mint_in, amount, exact, limit, clock):
        """Accounts afterwards by address, or the error number; the program's panic is None."""
        from solders.account import Account as Raw

        for address, account in accounts.items():
            self.set(address, account)
        self.set(self.user, Account("1" * 32, 10**12, b""))
        state = decode_whirlpool(accounts[pool])
        for mint, vault in ((state.mint_a, state.vault_a), (state.mint_b, state.vault_b)):
            data = bytearray(accounts[vault].data)
            data[32:64] = base58.decode(self.user)
            data[64:72] = (2**60).to_bytes(8, "little")
            program = accounts[mint].owner
            # Wrapped SOL moves with its lamports, so they are there for every account.
            self.set(associated(self.user, mint, program), Account(program, 2**60 + 2_039_280, bytes(data)))
        self.time(clock)
        fallback = all(accounts[mint].owner == TOKEN for mint in (state.mint_a, state.mint_b)) and amount % 2 == 0
        other = 0 if exact == "in" else 2**64 - 1
        (built,) = VENUE.instructions(
            pool, accounts, user=self.user, mint_in=mint_in, amount=amount, other_amount=other, exact=exact,
            clock=clock, fallback=fallback,
        )  # fmt: skip
        result = self.send(built, limit)
        if isinstance(result, int) or result is None:
            return result
        found = {}
        for address in (*accounts, *(meta.pubkey for meta in built.metas)):
            raw = self.svm.get_account(key(address))
            if isinstance(raw, Raw):
                found[address] = Account(str(raw.owner), raw.lamports, bytes(raw.data))
        return found

    def set(self, address, account):
        from solders.account import Account as Raw

        self.svm.set_account(key(address), Raw(account.lamports, account.data, key(account.owner), False, 0))

    def time(self, clock):
        from solders.clock import Clock as Raw

        self.svm.set_clock(Raw(clock.slot, 0, clock.epoch, clock.epoch, clock.unix_timestamp))

    def send(self, built, limit):
        from solders.compute_budget import set_compute_unit_limit
        from solders.instruction import AccountMeta
        from solders.instruction import Instruction as RawInstruction
        from solders.message import Message
        from solders.transaction import Transaction
        from solders.transaction_metadata import FailedTransactionMetadata

        data = built.data[:24] + limit.to_bytes(16, "little") + built.data[40:]
        metas = [AccountMeta(key(meta.pubkey), meta.signer, meta.writable) for meta in built.metas]
        self.nonce += 1
        # The priority price makes each transaction another one: the same twice would be refused.
        budget = set_compute_unit_limit(1_400_000 - self.nonce % 1000)
        message = Message([budget, RawInstruction(key(built.program), data, metas)], self.payer.pubkey())
        self.svm.expire_blockhash()
        blockhash = self.svm.latest_blockhash()
        result = self.svm.send_transaction(Transaction([self.payer], message, blockhash))
        if isinstance(result, FailedTransactionMetadata):
            found = re.search(r"Custom\((\d+)\)", str(result.err()))
            return int(found[1]) if found else None
        return result


def key(address):
    from solders.pubkey import Pubkey

    return Pubkey.from_string(address)
