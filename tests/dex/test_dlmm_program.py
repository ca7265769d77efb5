"""Meteora DLMM against the program itself, run in a local virtual machine, where its binary is given.

IRONCRAB_PROGRAMS names a folder that holds `LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo.so`. Each try patches
the accounts of an executed row (fees, bins, orders, farms, vaults), runs the swap, and compares amounts or error
code, and every account the program leaves behind, byte by byte.
"""

import base64
import os
import random
import re
import struct
from pathlib import Path

import pytest
from msgspec import structs

from ironcrab.dex import dlmm_pool, dlmm_state
from ironcrab.dex.address import MEMO
from ironcrab.dex.base58 import encode
from ironcrab.dex.dlmm import EVENT_AUTHORITY
from ironcrab.dex.face import Account, Clock, Refusal
from tests.nightly.fuzz_dex import rounds

PROGRAM = dlmm_state.PROGRAM
BINARY = Path(os.environ.get("IRONCRAB_PROGRAMS", "/nowhere")) / f"{PROGRAM}.so"
TRIES = rounds() * 3 // 20
ROOM = 2**62

pytestmark = pytest.mark.skipif(not BINARY.is_file(), reason="skipped: IRONCRAB_PROGRAMS has no DLMM binary")


@pytest.fixture(scope="module")
def machine():
    litesvm = pytest.importorskip("solders.litesvm")
    from solders.pubkey import Pubkey

    found = litesvm.LiteSVM().with_sigverify(False)
    found.add_program_from_file(Pubkey.from_string(PROGRAM), str(BINARY))
    return found


def execute(machine, accounts, role, data, down, clock, arrays):
    """Error code (None is success) and all accounts afterwards."""
    from solders.account import Account as Stored
    from solders.clock import Clock as Time
    from solders.compute_budget import set_compute_unit_limit
    from solders.instruction import AccountMeta, Instruction
    from solders.message import Message
    from solders.pubkey import Pubkey
    from solders.signature import Signature
    from solders.transaction import Transaction
    from solders.transaction_metadata import FailedTransactionMetadata

    name = Pubkey.from_string
    for address, account in accounts.items():
        machine.set_account(name(address), Stored(account.lamports, account.data, name(account.owner)))
    machine.set_clock(Time(clock.slot, 0, clock.epoch, clock.epoch, clock.unix_timestamp))
    payer = encode(accounts[role["user_x"]].data[32:64])
    machine.set_account(name(payer), Stored(10**12, b"", name("1" * 32)))
    users = [role["user_x"], role["user_y"]][:: 1 if down else -1]
    extension = role.get("bitmap_extension")
    programs = [accounts[role["mint_x"]].owner, accounts[role["mint_y"]].owner]
    written = [role["reserve_x"], role["reserve_y"], *users]
    order = [
        (role["lb_pair"], 1),
        (extension or PROGRAM, int(extension is not None)),
        *((n, 1) for n in written),
    ]
    order += [(role["mint_x"], 0), (role["mint_y"], 0), (role["oracle"], 1), (PROGRAM, 0), (payer, 0)]
    order += [(n, 0) for n in (*programs, MEMO, EVENT_AUTHORITY, PROGRAM)] + [(n, 1) for n in arrays]
    metas = [AccountMeta(name(n), n == payer, bool(writable)) for n, writable in order]
    machine.expire_blockhash()
    calls = [set_compute_unit_limit(1_400_000), Instruction(name(PROGRAM), data, metas)]
    message = Message.new_with_blockhash(calls, name(payer), machine.latest_blockhash())
    found = machine.send_transaction(Transaction.populate(message, [Signature.default()]))
    if isinstance(found, FailedTransactionMetadata):
        code = re.search(r"Custom\((\d+)\)", str(found.err()))
        return int(code.group(1)) if code else str(found.err()), {}
    after = {address: machine.get_account(name(address)) for address in accounts}
    return None, {a: Account(str(s.owner), s.lamports, bytes(s.data)) for a, s in after.items()}


def patch(dice, accounts, role, now):
    """The accounts of a row with parameters, bins, orders, farms and vaults changed at random."""
    accounts = dict(accounts)

    def write(address, *changes):
        data = bytearray(accounts[address].data)
        for layout, at, *values in changes:
            struct.pack_into(layout, data, at, *values)
        accounts[address] = structs.replace(accounts[address], data=bytes(data))

    choices = [
        ("<B", 36, [0, 1]), ("<B", 35, [0, 1, 2]), ("<H", 32, [0, 500, 2500, 10_000]), ("<H", 8, [0, 1, 65_535]),
        ("<I", 16, [0, 7500, 500_000, 2_000_000]), ("<I", 20, [0, 10_000, 350_000]), ("<H", 14, [0, 5000, 10_000]),
        ("<I", 40, [0, 90_000, 200_000]), ("<I", 44, [0, 70_000]),
    ]  # fmt: skip
    pair = role["lb_pair"]
    write(pair, *((layout, at, dice.choice(values)) for layout, at, values in choices if dice.random() < 0.4))
    (active,) = struct.unpack_from("<i", accounts[pair].data, 76)
    if dice.random() < 0.2:
        active += dice.randint(-40, 40)
        write(pair, ("<i", 76, active))
    if dice.random() < 0.2:
        write(pair, ("<ii", 24, *(active + dice.choice([-9, 0, 1, 9]) for _ in (0, 1))))
    for place in (0, 1):
        if dice.random() < 0.2:
            at = 264 + 144 * place
            rate = dice.getrandbits(64), dice.choice([0, 5, 10**6])
            until = now - dice.choice([0, 40, 60, 1000])
            write(pair, ("<32s", at, b"\7" * 32), ("<QQQQ", at + 104, now + dice.choice([0, 500]), *rate, until))
    for name, address in role.items():
        if name.startswith("bin_array_"):
            write(address, *bins(dice, int(name[10:]), active))
    for name in ("reserve_x", "reserve_y", "user_x", "user_y"):
        amount = dice.choice([ROOM, ROOM, dice.randrange(10**15)]) if name.startswith("reserve") else ROOM
        write(role[name], ("<Q", 64, amount))
        write(role[name], ("<B", 108, 1 if name.startswith("user") or dice.random() < 0.97 else 2))
        if accounts[role[name]].data[109]:
            accounts[role[name]] = structs.replace(accounts[role[name]], lamports=amount + 2_039_280)
    return accounts


def bins(dice, index, active):
    """Changes of one array: amounts, orders and shares of the bins near the active one."""
    for slot in range(70):
        bin_id, at = index * 70 + slot, 56 + 144 * slot
        if abs(bin_id - active) < 12 and dice.random() < 0.7:
            most = 10 ** dice.choice([0, 1, 3, 6, 9, 15])
            yield "<Q", at, dice.randint(0, most) if bin_id >= active else dice.choice([0, 7])
            yield "<Q", at + 8, dice.randint(0, most) if bin_id <= active else dice.choice([0, 7])
            if dice.random() < 0.7:
                opened, remaining = (dice.choice([0, 1, dice.randint(0, most)]) for _ in (0, 1))
                yield "<QQQ", at + 112, opened, dice.randint(0, most), remaining
                yield "<IB", at + 136, dice.choice([0, 3]), dice.choice([0, 1, 2])
            if dice.random() < 0.1:
                yield "<QQ", at + 32, dice.choice([0, 5]), dice.choice([0, 1, 1000])


def test_the_program_agrees(vectors, machine, truth_table):
    known, rows = {}, []
    for row in vectors("meteora_dlmm"):
        if row["kind"] == "account":
            known[row["ref"]] = Account(row["owner"], row["lamports"], base64.b64decode(row["data"]))
        elif row["ix"] in ("swap2", "swap_exact_out2") and "host_fee_in" not in row["accounts"]:
            rows.append(row)
    dice, wrong = random.Random(4), []
    for number in range(TRIES):
        row = dice.choice(rows)
        role = {name: a["pubkey"] for name, a in row["accounts"].items()}
        clock = Clock(**row["clock"])
        clock = structs.replace(clock, unix_timestamp=clock.unix_timestamp + dice.choice([0, 1, -3, 200, 700, 2000]))
        accounts = {a["pubkey"]: known[a["ref"]] for a in row["accounts"].values()}
        accounts = patch(dice, accounts, role, clock.unix_timestamp)
        down, exact = dice.random() < 0.5, dice.choice(["in", "out"])
        amount = int(10 ** dice.uniform(0, 13))
        fields = (amount, 0) if exact == "in" else (ROOM, amount)
        opening = "414b3f4ceb5b5b88" if exact == "in" else "2bd7f784893cf351"
        data = bytes.fromhex(opening) + struct.pack("<QQI", *fields, 0)
        places = sorted((name for name in role if name.startswith("bin_array_")), key=lambda n: int(n[10:]))
        arrays = [role[name] for name in (reversed(places) if down else places)]
        pool = dlmm_pool.decode(row["pool"], accounts)
        other = None if exact == "in" else ROOM
        mine = pool.quote(
            mint_in=role["mint_x" if down else "mint_y"], amount=amount, exact=exact, clock=clock, other=other
        )
        code, after = execute(machine, accounts, role, data, down, clock, arrays)
        if not agrees(mine, code, accounts, after, role, down):
            wrong.append((number, row["id"], mine, code))
    truth_table.add("meteora_dlmm", "the program on patched pools, every byte", TRIES, TRIES - len(wrong))
    assert wrong == []


def agrees(mine, code, accounts, after, role, down):
    if isinstance(mine, Refusal) or code is not None:
        return isinstance(mine, Refusal) and mine.code == code
    users = [role["user_x"], role["user_y"]][:: 1 if down else -1]
    held = [[int.from_bytes(a[u].data[64:72], "little") for u in users] for a in (accounts, after)]
    if (mine.amount_in, mine.amount_out) != (held[0][0] - held[1][0], held[1][1] - held[0][1]):
        return False
    others = [address for address in after if address not in users]
    return all(after[address] == mine.after.get(address, accounts[address]) for address in others)
