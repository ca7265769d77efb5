"""Meteora DLMM: swaps, creations and liquidity changes read from real and from made-up calls."""

import json
import struct

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from ironcrab.dex import dlmm_parse as subject
from ironcrab.dex.address import TOKEN, TOKEN_2022
from ironcrab.dex.base58 import decode, encode
from ironcrab.dex.face import Call, Created, Fee, Liquidity, Swap, TokenBalance, Transaction

# --- real transactions -------------------------------------------------------------------------------------


def fields(raw):
    """Protobuf fields of a message as {number: [values]}; a length-delimited value stays bytes."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = raw[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(raw):
        tag = varint()
        if tag & 7 == 0:
            value = varint()
        elif tag & 7 == 2:
            size = varint()
            value = raw[at : at + size]
            at += size
        else:
            size = 8 if tag & 7 == 1 else 4
            value = raw[at : at + size]
            at += size
        found.setdefault(tag >> 3, []).append(value)
    return found


def tree(outer, inner_of):
    """Calls from [(program, accounts, data)] and {index: [(program, accounts, data, height)]}."""
    position, calls = 0, []
    for index, (program, accounts, data) in enumerate(outer):
        stack = [(1, program, accounts, data, position, [])]
        position += 1
        roots = list(stack)
        for program_, accounts_, data_, height in inner_of.get(index, []):
            node = (height, program_, accounts_, data_, position, [])
            position += 1
            while stack[-1][0] >= height:
                stack.pop()
            stack[-1][5].append(node)
            stack.append(node)
        calls.append(frozen(roots[0]))
    return tuple(calls)


def frozen(node):
    height, program, accounts, data, position, children = node
    return Call(program, accounts, data, position, height, tuple(frozen(child) for child in children))


def geyser_transactions(path):
    raw, at = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read(), 0
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 4], "big")
        update = fields(raw[at + 4 : at + 4 + size])
        at += 4 + size
        if 4 not in update:
            continue
        outer = fields(update[4][0])
        info = fields(outer[1][0])
        meta = fields(info[4][0])
        if 1 in meta:
            continue
        message = fields(fields(info[3][0])[2][0])
        keys = [encode(k) for k in message[2] + meta.get(12, []) + meta.get(13, [])]

        def call(parts, keys=keys):
            accounts = tuple(keys[i] for i in parts.get(2, [b""])[0])
            return keys[parts.get(1, [0])[0]], accounts, bytes(parts.get(3, [b""])[0])

        inner = {}
        for group in map(fields, meta.get(5, [])):
            inner[group.get(1, [0])[0]] = [
                (*call(parts), parts.get(4, [2])[0]) for parts in map(fields, group.get(2, []))
            ]
        calls = tree([call(fields(i)) for i in message.get(4, [])], inner)
        balances = {}
        for place, number in (("before", 7), ("after", 8)):
            for held in map(fields, meta.get(number, [])):
                address = keys[held.get(1, [0])[0]]
                ui = fields(held[3][0])
                row = balances.setdefault(
                    address,
                    {
                        "mint": held[2][0].decode(),
                        "owner": held.get(4, [b""])[0].decode(),
                        "program": held.get(5, [b""])[0].decode(),
                        "decimals": ui.get(2, [0])[0],
                        "before": None,
                        "after": None,
                    },
                )
                row[place] = int(ui[3][0])
        yield Transaction(
            signature=encode(info.get(1, [b""])[0]),
            slot=outer.get(2, [0])[0],
            fee_payer=keys[0],
            signers=(keys[0],),
            calls=calls,
            balances={address: TokenBalance(**row) for address, row in balances.items()},
            lamports={},
        )


def walk(calls):
    for call in calls:
        yield call
        yield from walk(call.inner)


def parsed(transaction):
    return [
        (call, event)
        for call in walk(transaction.calls)
        if call.program == subject.PROGRAM
        for event in subject.parse(call, transaction)
    ]


def test_the_block_has_every_swap_once_and_the_vaults_agree(shared):
    path = shared / "data" / "geyser" / "block_332254908_nonvote.subscribe_updates.bin.zst"
    swaps = judged = 0
    for transaction in geyser_transactions(path):
        for call, event in parsed(transaction):
            if not isinstance(event, Swap):
                continue
            swaps += 1
            ours = [c for c, _ in parsed(transaction) if call.accounts[2] in c.accounts]
            if len(ours) > 1:
                continue
            judged += 1
            for vault in call.accounts[2:4]:
                held = transaction.balances[vault]
                moved = held.after - held.before
                assert moved == (event.amount_in if held.mint == event.mint_in else -event.amount_out)
                assert held.after == (event.reserve_in if held.mint == event.mint_in else event.reserve_out)
    assert (swaps, judged) == (8, 8)


def test_single_transactions_agree_with_their_vaults(shared):
    found = []
    for transaction in geyser_transactions(
        shared / "data" / "geyser" / "single_transactions.subscribe_updates.bin.zst"
    ):
        for call, event in parsed(transaction):
            found.append(event)
            for vault in call.accounts[2:4]:
                held = transaction.balances[vault]
                moved = held.after - held.before
                assert moved == (event.amount_in if held.mint == event.mint_in else -event.amount_out)
    assert found
    assert all(isinstance(event, Swap) for event in found)


@pytest.mark.parametrize("name", ["cpi_tx", "nested_cpi_tx"])
def test_a_swap_behind_other_programs_is_found(shared, name):
    meta = json.loads((shared / "data" / "meteora" / "transactions" / f"{name}.json").read_text())["content"]
    programs = {}
    for group in meta["innerInstructions"]:
        for row in group["instructions"]:
            data = decode(row["data"])
            if data[:8] in subject.SWAPS or data[:8] == subject.EMIT:
                programs[row["programIdIndex"]] = subject.PROGRAM
    found = []
    for group in meta["innerInstructions"]:
        rows = [
            (
                programs.get(row["programIdIndex"], f"p{row['programIdIndex']}"),
                tuple(f"a{i}" for i in row["accounts"]),
                decode(row["data"]),
                row["stackHeight"],
            )
            for row in group["instructions"]
        ]
        calls = tree([("outer", (), b"")], {0: rows})
        balances = {}
        for place, listed in (("before", "preTokenBalances"), ("after", "postTokenBalances")):
            for row in meta[listed]:
                known = balances.setdefault(f"a{row['accountIndex']}", {"before": None, "after": None})
                known[place] = int(row["uiTokenAmount"]["amount"])
        transaction = Transaction(
            "sig",
            1,
            "a0",
            ("a0",),
            calls,
            {k: TokenBalance("m", "o", "p", 6, v["before"], v["after"]) for k, v in balances.items()},
            {},
        )
        for call, event in parsed(transaction):
            found.append(event)
            side = 0 if event.mint_in == call.accounts[6] else 1
            paid, got = (balances[call.accounts[2 + s]] for s in (side, 1 - side))
            assert paid["after"] - paid["before"] == event.amount_in
            assert got["before"] - got["after"] == event.amount_out
            assert event.reserve_in == paid["after"]
            assert sum(fee.amount for fee in event.fees) > 0
    assert len(found) == 1


def test_executed_swaps_are_told_as_the_reserves_saw_them(vectors):
    """Events of the executed rows, where transfer fees and host fees are known from the balances."""
    judged = 0
    for row in vectors("meteora_dlmm"):
        if row["kind"] != "vector" or not row["result"]["ok"]:
            continue
        result, names = row["result"], row["accounts"]
        mints = names["mint_x"]["pubkey"], names["mint_y"]["pubkey"]
        vaults = names["reserve_x"]["pubkey"], names["reserve_y"]["pubkey"]
        gains = result["reserve_x"], result["reserve_y"]
        side = 0 if row["swap_for_y"] else 1
        paid = -(result["user_x"], result["user_y"])[side]
        program = TOKEN_2022 if row["pool"].startswith("B5E") else TOKEN
        accounts = (
            row["pool"],
            "bitmap",
            *vaults,
            "in",
            "out",
            *mints,
            "oracle",
            "host",
            "user",
            program,
            program,
        )
        raws = [bytes.fromhex(event["raw"]) for event in result["events"]]
        inner = tuple(Call(subject.PROGRAM, ("auth",), raw, 1 + i, 2) for i, raw in enumerate(raws))
        call = Call(subject.PROGRAM, accounts, bytes.fromhex(row["ix_data"]), 0, 1, inner)
        balances = {
            vault: TokenBalance("m", "o", program, 6, 10**19, 10**19 + gain)
            for vault, gain in zip(vaults, gains, strict=True)
        }
        transaction = transaction_of(call, balances=balances)
        (swap,) = subject.parse(call, transaction)
        assert (swap.amount_in, swap.amount_out) == (gains[side], -gains[1 - side]), row["id"]
        assert swap.mint_in == mints[side]
        assert swap.reserve_in == 10**19 + gains[side]
        fees = {fee.name: fee.amount for fee in swap.fees}
        assert fees.get("host", 0) == result["host"]
        assert swap.amount_in + fees.get("transfer", 0) + fees.get("host", 0) == paid
        if result["events"][1]["fees_on_input"]:
            old = structs.replace(call, inner=inner[:1])
            assert subject.parse(old, structs.replace(transaction, calls=(old,))) == (swap,)
        judged += 1
    assert judged == 538


def test_real_creations(shared):
    expected = {
        "initialize_lb_pair_ix": 0,
        "initialize_lb_pair2_ix": 0,
        "initialize_customizable_permissionless_lb_pair_ix": 0,
        "initialize_customizable_permissionless_lb_pair2_ix": 0,
        "initialize_permission_lb_pair_ix": 1,
    }
    for name, place in expected.items():
        row = json.loads((shared / "data" / "meteora" / "instructions" / f"{name}.json").read_text())
        roles = {a["role"]: a["pubkey"] for a in row["accounts"]}
        accounts = tuple(a["pubkey"] for a in row["accounts"])
        call = Call(subject.PROGRAM, accounts, bytes.fromhex(row["data"]), 3, 1)
        (made,) = subject.parse(call, transaction_of(call))
        creator = roles.get("funder") or roles["admin"]
        assert made == Created(roles["lbPair"], 3, roles["tokenMintX"], roles["tokenMintY"], 0, 0, creator, accounts)
        assert accounts[place] == made.pool


def test_real_swap_instructions_are_recognised(shared):
    for name in ("swap", "swap2", "swap_exact_out", "swap_exact_out2", "swap_with_price_impact2"):
        row = json.loads((shared / "data" / "meteora" / "instructions" / f"{name}_ix.json").read_text())
        assert subject.SWAPS[bytes.fromhex(row["data"])[:8]] == name


# --- made-up calls -----------------------------------------------------------------------------------------

KEYS = [bytes([n]) * 32 for n in range(1, 25)]
NAMES = tuple(encode(k) for k in KEYS)
DISCRIMINATOR = {name: opening for opening, name in subject.SWAPS.items()}


def transaction_of(*calls, balances=None):
    return Transaction("s", 1, "p", ("p",), calls, balances or {}, {})


def emitted(opening, body, position=9):
    return Call(subject.PROGRAM, ("auth",), subject.EMIT + opening + body, position, 2)


def swap_event(x_to_y=True, host=0, on_input=True):
    return struct.pack(
        "<32s32sii?QQQQQQQQQ??",
        KEYS[0], KEYS[10], 5, 4, x_to_y, 1000, 0, 10_000, 0, 9_000, 80, 15, 5, host, on_input, on_input == x_to_y,
    )  # fmt: skip


def swap_call(*inner, position=0, program="spl", logs=()):
    accounts = (*NAMES[:11], program, program)
    return Call(subject.PROGRAM, accounts, DISCRIMINATOR["swap2"] + bytes(20), position, 1, inner, logs)


def test_host_fee_leaves_the_side_that_pays_the_fees():
    call = swap_call(emitted(subject.SWAP2, swap_event(host=3)))
    (swap,) = subject.parse(call, transaction_of(call))
    assert (swap.amount_in, swap.amount_out) == (9_997, 9_000)
    assert swap.fees == (Fee("lp", NAMES[6], 85), Fee("protocol", NAMES[6], 15), Fee("host", NAMES[6], 3))
    assert (swap.reserve_in, swap.reserve_out) == (None, None)
    call = swap_call(emitted(subject.SWAP2, swap_event(x_to_y=True, host=3, on_input=False)))
    (swap,) = subject.parse(call, transaction_of(call))
    assert (swap.amount_in, swap.amount_out) == (10_000, 9_003)
    assert {fee.mint for fee in swap.fees} == {NAMES[7]}


def test_y_to_x_swaps_mints():
    call = swap_call(emitted(subject.SWAP2, swap_event(x_to_y=False)))
    (swap,) = subject.parse(call, transaction_of(call))
    assert (swap.mint_in, swap.mint_out) == (NAMES[7], NAMES[6])


def test_a_vault_used_twice_tells_its_reserve_to_the_last_call_only():
    first = swap_call(emitted(subject.SWAP2, swap_event()), program=TOKEN_2022)
    last = swap_call(emitted(subject.SWAP2, swap_event()), program=TOKEN_2022, position=5)
    balances = {NAMES[2]: TokenBalance("m", "o", TOKEN_2022, 6, 0, 19_000)}
    transaction = transaction_of(first, last, balances=balances)
    (one,), (two,) = subject.parse(first, transaction), subject.parse(last, transaction)
    assert (one.reserve_in, two.reserve_in) == (None, 19_000)
    assert (one.amount_in, two.amount_in) == (10_000, 10_000)


@pytest.mark.parametrize("balance", [None, (None, 5), (5, None)])
def test_a_transfer_fee_is_told_only_by_whole_balances(balance):
    call = swap_call(emitted(subject.SWAP2, swap_event()), program=TOKEN_2022)
    balances = {NAMES[2]: TokenBalance("m", "o", TOKEN_2022, 6, *balance)} if balance else {}
    (swap,) = subject.parse(call, transaction_of(call, balances=balances))
    assert swap.amount_in == 10_000


def test_events_of_the_log_stand_in_for_missing_self_calls():
    call = swap_call(logs=(subject.SWAP2 + swap_event(),))
    assert len(subject.parse(call, transaction_of(call))) == 1


@pytest.mark.parametrize(
    "call",
    [
        swap_call(),
        swap_call(emitted(subject.SWAP2, swap_event()[:-1])),
        structs.replace(swap_call(emitted(subject.SWAP2, swap_event())), accounts=NAMES[:12]),
        structs.replace(swap_call(emitted(subject.SWAP2, swap_event())), data=b""),
        Call(subject.PROGRAM, NAMES[:8], next(iter(subject.CREATIONS)), 0, 1),
        Call(subject.PROGRAM, NAMES[:8], min(subject.TWO_SIDED), 0, 1),
        Call(subject.PROGRAM, NAMES[:5], min(subject.ONE_SIDED), 0, 1),
    ],
)
def test_calls_that_tell_nothing(call):
    assert subject.parse(call, transaction_of(call)) == ()


def test_creation_believes_its_event():
    body = struct.pack("<32sH32s32s", KEYS[20], 25, KEYS[21], KEYS[22])
    call = Call(subject.PROGRAM, NAMES[:14], min(subject.CREATIONS), 0, 1, (emitted(subject.CREATE, body),))
    (made,) = subject.parse(call, transaction_of(call))
    assert (made.pool, made.mint_a, made.mint_b) == (NAMES[20], NAMES[21], NAMES[22])


def change_event(x, y):
    return struct.pack("<32s32s32sQQi", KEYS[1], KEYS[9], KEYS[0], x, y, 7)


@pytest.mark.parametrize(("opening", "added"), [(subject.ADD, True), (subject.REMOVE, False)])
def test_liquidity_of_two_sides(opening, added):
    inner = (emitted(opening, change_event(5, 6)), emitted(opening, change_event(0, 0)))
    for instruction in sorted(subject.TWO_SIDED):
        call = Call(subject.PROGRAM, NAMES[:16], instruction, 2, 1, inner)
        expected = Liquidity(NAMES[1], 2, added, NAMES[7], NAMES[8], 5, 6, NAMES[9])
        assert subject.parse(call, transaction_of(call)) == (expected,)


@pytest.mark.parametrize(("x", "y", "mints"), [(4, 0, (NAMES[5], "")), (0, 4, ("", NAMES[5]))])
def test_liquidity_of_one_side(x, y, mints):
    for instruction in sorted(subject.ONE_SIDED):
        call = Call(subject.PROGRAM, NAMES[:12], instruction, 2, 1, (emitted(subject.ADD, change_event(x, y)),))
        (change,) = subject.parse(call, transaction_of(call))
        assert (change.mint_a, change.mint_b, change.amount_a, change.amount_b) == (*mints, x, y)


def test_rebalancing_is_a_withdrawal_and_a_deposit():
    body = struct.pack("<32s32s32siQQQQ", KEYS[1], KEYS[0], KEYS[9], 7, 1, 2, 3, 4) + bytes(48)
    call = Call(subject.PROGRAM, NAMES[:17], max(subject.TWO_SIDED), 2, 1, (emitted(subject.REBALANCE, body),))
    assert [(c.added, c.amount_a, c.amount_b) for c in subject.parse(call, transaction_of(call))] == [
        (False, 1, 3),
        (True, 2, 4),
    ]


OPENINGS = [
    *subject.SWAPS, *subject.CREATIONS, *sorted(subject.TWO_SIDED), *sorted(subject.ONE_SIDED), b"", b"12345678",
]  # fmt: skip
EVENTS = [
    subject.SWAP, subject.SWAP2, subject.CREATE, subject.ADD, subject.REMOVE, subject.REBALANCE, b"", b"other678",
]  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=400)
@given(
    st.sampled_from(OPENINGS),
    st.binary(max_size=24),
    st.lists(st.sampled_from(NAMES), max_size=17),
    st.lists(st.tuples(st.sampled_from(EVENTS), st.binary(max_size=170)), max_size=3),
)
def test_any_bytes_are_read_without_raising(opening, tail, accounts, inner):
    calls = tuple(emitted(*event) for event in inner)
    call = Call(subject.PROGRAM, tuple(accounts), opening + tail, 0, 1, calls, tuple(o + b for o, b in inner))
    for event in subject.parse(call, transaction_of(call)):
        assert isinstance(event, Swap | Created | Liquidity)
