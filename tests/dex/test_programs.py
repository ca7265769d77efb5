"""The swaps we build, run by the real programs in solders.litesvm on the vectors' accounts: amounts as quoted.

    IRONCRAB_PROGRAMS=DIR pytest tests/dex -k program          DIR holds PROGRAM_ID.so files

Raydium AMM V4 and CPMM stand here, of the generation that their binaries are (named by their sha256, the newest where
it is unknown); Whirlpool and DLMM, which compare every byte left behind, in `test_whirlpool_program.py` and
`test_dlmm_program.py`. The deployment of April 2022 is run from the shared state of the Whirlpool day, without DIR.
PumpFun and PumpSwap call further programs whose accounts no vector holds: not run.
"""

import base64
import gzip
import hashlib
import json
import os
import random
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from ironcrab.dex import ABSENT, Account, Clock, Quote, Refusal, base58, quote, raydium, raydium_cpmm, whirlpool
from ironcrab.dex.address import TOKEN, TOKEN_PROGRAMS, associated
from ironcrab.dex.mint import amount_of, with_amount
from ironcrab.dex.ticks import MAX_SQRT_PRICE, MIN_SQRT_PRICE
from ironcrab.dex.whirlpool_state import PROGRAM as WHIRLPOOLS
from ironcrab.dex.whirlpool_state import oracle_address
from tests.nightly.fuzz_dex import rounds
from tests.pool_sets import key, vault

FOLDER = os.environ.get("IRONCRAB_PROGRAMS")
POOL = key(11)
RUNS = rounds() // 50
LEGACY = (
    "d3f6906a8e2847865f95b0c156b06d05db07778dd1d6c24044bae0b9ac1bb93c",
    "4ec452fc44ad608c638a08355b8f964c92109a646f63ab481f98ee5e90c00e7b",
)
OBSERVATION = hashlib.sha256(b"account:ObservationState").digest()[:8]


def binary(program):
    """The program's bytes; the test is skipped where the folder or the file is absent."""
    path = Path(FOLDER or ".") / f"{program}.so"
    if FOLDER is None or not path.is_file():
        pytest.skip(f"skipped: IRONCRAB_PROGRAMS names no folder with {program}.so")
    return path.read_bytes()


class Machine:
    """One litesvm with one program; accounts are set anew for each run."""

    def __init__(self, program, elf):
        litesvm = pytest.importorskip("solders.litesvm", reason="skipped: solders is not installed")
        from solders.keypair import Keypair

        self.svm = litesvm.LiteSVM().with_sigverify(False).with_blockhash_check(False)
        self.svm.add_program(self.key(program), elf)
        self.payer = Keypair.from_seed(bytes(32))
        self.user = str(self.payer.pubkey())
        self.turn = 0

    def key(self, address):
        from solders.pubkey import Pubkey

        return Pubkey.from_string(address)

    def run(self, accounts, built, clock):
        """All accounts afterwards, or the error number (None: it has none)."""
        from solders.account import Account as Raw
        from solders.clock import Clock as Time
        from solders.compute_budget import set_compute_unit_limit
        from solders.instruction import AccountMeta, Instruction
        from solders.message import Message
        from solders.transaction import Transaction
        from solders.transaction_metadata import FailedTransactionMetadata

        for address, account in {self.user: Account(ABSENT.owner, 10**12, b""), **accounts}.items():
            self.svm.set_account(self.key(address), Raw(account.lamports, account.data, self.key(account.owner)))
        self.svm.set_clock(Time(clock.slot, 0, clock.epoch, clock.epoch, clock.unix_timestamp))
        self.turn += 1  # the same transaction twice would be refused
        metas = [AccountMeta(self.key(meta.pubkey), meta.signer, meta.writable) for meta in built.metas]
        limit = set_compute_unit_limit(1_400_000 - self.turn % 10_000)
        message = Message([limit, Instruction(self.key(built.program), built.data, metas)], self.payer.pubkey())
        self.svm.expire_blockhash()
        done = self.svm.send_transaction(Transaction([self.payer], message, self.svm.latest_blockhash()))
        if isinstance(done, FailedTransactionMetadata):
            found = re.search(r"Custom\((\d+)\)", str(done.err()))
            return int(found[1]) if found else None
        held = {address: self.svm.get_account(self.key(address)) for address in accounts}
        return {
            a: ABSENT if raw is None else Account(str(raw.owner), raw.lamports, bytes(raw.data))
            for a, raw in held.items()
        }


def judge(machine, venue, pool, accounts, ask, generation, limit=None):
    """None where program and quote agree, else what they said; with the quote."""
    mints = ask.pop("mints")
    held = {associated(machine.user, mint, program): holder for mint, (program, holder) in mints.items()}
    sides = {mint: associated(machine.user, mint, program) for mint, (program, _) in mints.items()}
    mint_out = next(mint for mint in mints if mint != ask["mint_in"])
    other = 0 if ask["exact"] == "in" else 2**62
    built = venue.instructions(pool, accounts, user=machine.user, other_amount=other, fallback=True, **ask)
    if limit is not None:
        data = built[0].data
        built = (replace(built[0], data=data[:24] + limit.to_bytes(16, "little") + data[40:]),)
    told = machine.run({**accounts, **held}, built[0], ask["clock"])
    mine = quote(pool, accounts, generation=generation, limit=limit, **ask)
    if isinstance(mine, Refusal) or not isinstance(told, dict):
        return (None if isinstance(mine, Refusal) and told == mine.code else (told, mine)), mine
    paid = amount_of(held[sides[ask["mint_in"]]]) - amount_of(told[sides[ask["mint_in"]]])
    got = amount_of(told[sides[mint_out]]) - amount_of(held[sides[mint_out]])
    tokens = [a for a in mine.after if accounts[a].owner in TOKEN_PROGRAMS]
    vaults = all(told[address].data[64:72] == mine.after[address].data[64:72] for address in tokens)
    return (None if (paid, got) == (mine.amount_in, mine.amount_out) and vaults else ((paid, got), mine)), mine


def holder(user, account):
    """A token account of the user's, like one that is given."""
    data = bytearray(with_amount(account, 2**62).data)
    data[32:64] = base58.decode(user)
    return Account(account.owner, 2**62 + 10**10, bytes(data))


def agree(machine, venue, worlds, truth_table, name, generation):
    dice, wrong, paid = random.Random(name), [], 0
    for _ in range(RUNS):
        pool, accounts, vaults, clock = dice.choice(worlds)
        accounts = dict(accounts)
        for address, _ in vaults:
            if dice.randrange(3):
                accounts[address] = with_amount(accounts[address], dice.getrandbits(dice.randrange(20, 60)))
        mints = {mint: (accounts[at].owner, holder(machine.user, accounts[at])) for at, mint in vaults}
        for _ in range(3):
            amount = dice.choice((1, dice.getrandbits(dice.randrange(1, 50)), 10**6))
            ask = {
                "mint_in": dice.choice(vaults)[1],
                "amount": amount,
                "exact": dice.choice(("in", "out")),
                "clock": clock,
            }
            differs, mine = judge(machine, venue, pool, accounts, ask | {"mints": mints}, generation)
            wrong += [differs] if differs else []
            if isinstance(mine, Refusal):
                break
            paid += 1
            accounts |= mine.after
    truth_table.add(venue.id, f"program in litesvm, varied ({paid} paid)", RUNS, RUNS - len(wrong))
    assert not wrong, (len(wrong), wrong[:3])
    assert paid > RUNS // 2


def generation_of(elf):
    return "legacy" if hashlib.sha256(elf).hexdigest() in LEGACY else None


def test_amm_v4_program_agrees(vectors, truth_table):
    elf = binary(raydium.PROGRAM)
    worlds = []
    for row in vectors("raydium_amm_v4"):
        if not row["ok"] or row["fields"]["status"] != 6:
            continue
        data = {role: base64.b64decode(text) for role, text in row["before"].items()}
        amm = raydium.decode(Account(raydium.PROGRAM, 1, data["amm"]))
        accounts = {POOL: Account(raydium.PROGRAM, 10**9, data["amm"])}
        accounts |= {getattr(amm, role): Account(TOKEN, 10**10, data[role]) for role in ("coin_vault", "pc_vault")}
        vaults = ((amm.coin_vault, amm.coin_mint), (amm.pc_vault, amm.pc_mint))
        worlds.append((POOL, accounts, vaults, Clock(1, row["unix_timestamp"], 1)))
    agree(Machine(raydium.PROGRAM, elf), raydium.VENUE, worlds, truth_table, "amm", generation_of(elf))


def test_cpmm_program_agrees(vectors, truth_table):
    elf = binary(raydium_cpmm.PROGRAM)
    worlds = []
    for row in vectors("raydium_cpmm_executed"):
        if not row["ok"]:
            continue
        data = {role: base64.b64decode(text) for role, text in row["before"].items()}
        cpmm = raydium_cpmm.decode(Account(raydium_cpmm.PROGRAM, 1, data["pool_state"]))
        programs = row["token_programs"]
        seen = OBSERVATION + b"\1" + bytes(2) + base58.decode(POOL) + bytes(4032)
        accounts = {
            POOL: Account(raydium_cpmm.PROGRAM, 10**9, data["pool_state"]),
            cpmm.config: Account(raydium_cpmm.PROGRAM, 10**9, data["amm_config"]),
            cpmm.observation: Account(raydium_cpmm.PROGRAM, 10**10, seen),
            cpmm.vault_0: Account(programs[0], 10**10, data["vault0"]),
            cpmm.vault_1: Account(programs[1], 10**10, data["vault1"]),
            cpmm.mint_0: Account(programs[0], 10**10, data["mint0"]),
            cpmm.mint_1: Account(programs[1], 10**10, data["mint1"]),
        }
        vaults = ((cpmm.vault_0, cpmm.mint_0), (cpmm.vault_1, cpmm.mint_1))
        worlds.append((POOL, accounts, vaults, Clock(1, row["unix_timestamp"], row["epoch"])))
    agree(Machine(raydium_cpmm.PROGRAM, elf), raydium_cpmm.VENUE, worlds, truth_table, "cpmm", generation_of(elf))


def test_whirlpool_of_april_2022_agrees(shared, truth_table):
    """The program as it was deployed on the Whirlpool day, on its own pools at the end of that day.

    That one knew no price limit of zero and no tick array that does not exist, and numbered its errors otherwise:
    it is asked with the farthest limit, where all three arrays exist, and refusals are compared as such. It wrote no
    less than today's does, but the vaults' amounts are what is compared.
    """
    with gzip.open(shared / "data/whirlpool_2022/whirlpool-state-20220406.json.gz") as file:
        day = json.load(file)
    machine = Machine(WHIRLPOOLS, base64.b64decode(day["programData"]))
    held = {each["pubkey"]: Account(WHIRLPOOLS, 10**9, base64.b64decode(each["data"])) for each in day["accounts"]}
    clock = Clock(day["slot"], day["blockTime"] + 5, 297)
    dice, wrong, paid, judged = random.Random(2022), [], 0, 0
    worlds = [made for address in held for made in whirlpool_of(held, address)]
    for _ in range(RUNS):
        pool, accounts, state, vaults, mint = dice.choice(worlds)
        mints = {mint: (TOKEN, holder(machine.user, accounts[address])) for address, mint in vaults}
        limit = MIN_SQRT_PRICE if mint == state.mint_a else MAX_SQRT_PRICE
        amount = dice.getrandbits(dice.randrange(1, 45)) + 1
        ask = {"mint_in": mint, "amount": amount, "exact": dice.choice(("in", "out")), "clock": clock}
        differs, mine = judge(machine, whirlpool.VENUE, pool, accounts, ask | {"mints": mints}, None, limit)
        if differs and isinstance(mine, Refusal) and isinstance(differs[0], int):
            differs = None
        wrong += [differs] if differs else []
        paid += isinstance(mine, Quote)
        judged += 1
    truth_table.add("orca", f"program of April 2022 in litesvm ({paid} paid)", judged, judged - len(wrong))
    assert not wrong, (len(wrong), wrong[:3])
    assert paid > RUNS // 4


def whirlpool_of(held, pool):
    """(pool, accounts, state, vaults, mint in) of each direction whose three tick arrays exist."""
    state = whirlpool.decode_whirlpool(held[pool])
    if isinstance(state, Refusal) or not state.liquidity:
        return
    vaults = ((state.vault_a, state.mint_a), (state.vault_b, state.mint_b))
    for mint in (state.mint_a, state.mint_b):
        accounts = {pool: held[pool]}
        for address, other in vaults:
            data = bytearray(vault(other, 2**60).data)
            data[32:64] = base58.decode(pool)
            accounts[address] = Account(TOKEN, 10**10, bytes(data))
        arrays = whirlpool.VENUE.needs(pool, accounts, mint)
        if len(arrays) == 3 and all(address in held for address in arrays):
            accounts |= {address: held[address] for address in arrays}
            accounts[oracle_address(WHIRLPOOLS, pool)] = ABSENT
            yield pool, accounts, state, vaults, mint
