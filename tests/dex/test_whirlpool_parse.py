"""Orca Whirlpool: what calls did, read from a mainnet block, from real instructions and from made-up trees."""

import json

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.dex import base58
from ironcrab.dex.address import MEMO, TOKEN, TOKEN_2022
from ironcrab.dex.face import Call, Created, Fee, Liquidity, Swap, TokenBalance, Transaction
from ironcrab.dex.whirlpool import VENUE
from ironcrab.dex.whirlpool_calls import _READERS, TRADED, discriminator
from ironcrab.dex.whirlpool_state import PROGRAM

# --- the block ---------------------------------------------------------------------------------------------


def fields(raw):
    """Protobuf fields of a message: {number: [value]}, length-delimited values as bytes."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte, at = raw[at], at + 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(raw):
        tag = varint()
        kind = tag & 7
        if kind == 0:
            value = varint()
        else:
            size = varint() if kind == 2 else {1: 8, 5: 4}[kind]
            value, at = raw[at : at + size], at + size
        found.setdefault(tag >> 3, []).append(value)
    return found


def one(message, number, default=b""):
    return message.get(number, [default])[0]


def tree(outer, inner):
    """Calls of a transaction: outer instructions, and by their index the flat inner ones with stack heights."""
    position, roots = 0, []
    for index, instruction in enumerate(outer):
        flat = [(1, *instruction), *inner.get(index, [])]
        nodes = []
        for height, program, accounts, data in flat:
            nodes.append((height, program, accounts, data, position, []))
            position += 1
        stack = [nodes[0]]
        for node in nodes[1:]:
            while stack[-1][0] >= node[0]:
                stack.pop()
            stack[-1][5].append(node)
            stack.append(node)
        roots.append(frozen(nodes[0]))
    return tuple(roots)


def frozen(node):
    height, program, accounts, data, position, children = node
    return Call(program, accounts, data, position, height, tuple(frozen(each) for each in children))


def read_transaction(raw):
    """A successful transaction of a Geyser frame, or None."""
    update = fields(raw)
    if 4 not in update:
        return None
    info = fields(one(fields(update[4][0]), 1))
    meta, message = fields(one(info, 4)), fields(one(fields(one(info, 3)), 2))
    if 1 in meta and meta[1][0]:
        return None
    keys = [base58.key(key) for key in (*message.get(2, []), *meta.get(12, []), *meta.get(13, []))]

    def instruction(raw):
        parts = fields(raw)
        return keys[one(parts, 1, 0)], tuple(keys[place] for place in one(parts, 2)), one(parts, 3)

    inner = {}
    for group in map(fields, meta.get(5, [])):
        inner[one(group, 1, 0)] = [(one(fields(each), 4, 2), *instruction(each)) for each in group.get(2, [])]
    balances = {}
    for side, number in enumerate((7, 8)):
        for balance in map(fields, meta.get(number, [])):
            amount = fields(one(balance, 3))
            old = balances.setdefault(keys[one(balance, 1, 0)], [one(balance, 2).decode(), None, None])
            old[1 + side] = int(one(amount, 3))
    named = {
        vault: TokenBalance(mint, "", TOKEN, 0, before, after) for vault, (mint, before, after) in balances.items()
    }
    signers = tuple(keys[: one(fields(message[1][0]), 1, 0)])
    calls = tree([instruction(each) for each in message.get(4, [])], inner)
    return Transaction(base58.encode(one(info, 1)), 0, keys[0], signers, calls, named, {})


def walk(calls):
    for call in calls:
        yield call
        yield from walk(call.inner)


def test_block(shared, truth_table):
    """Every swap of the block: amounts are what the vault balances moved by, reserves what they ended at."""
    path = shared / "data/geyser/block_332254908_nonvote.subscribe_updates.bin.zst"
    with zstandard.ZstdDecompressor().stream_reader(path.read_bytes()) as stream:
        raw = stream.read()
    at, calls, judged, wrong = 0, 0, 0, []
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 4], "big")
        transaction = read_transaction(raw[at + 4 : at + 4 + size])
        at += 4 + size
        if transaction is None:
            continue
        for call in walk(transaction.calls):
            if call.program not in VENUE.programs:
                continue
            calls += 1
            for swap in VENUE.parse(call, transaction):
                assert isinstance(swap, Swap)
                judged += 1
                moved = {
                    balance.mint: balance.after - balance.before
                    for vault, balance in transaction.balances.items()
                    if vault in call.accounts and balance.after in (swap.reserve_in, swap.reserve_out)
                }
                if (moved.get(swap.mint_in), moved.get(swap.mint_out)) != (swap.amount_in, -swap.amount_out):
                    wrong.append((transaction.signature, swap, moved))
    truth_table.add("orca", "mainnet block: swaps against vault balances", judged, judged - len(wrong))
    assert not wrong, wrong
    assert (calls, judged) == (6, 6)


# --- made-up trees -----------------------------------------------------------------------------------------

KEYS = [base58.encode(bytes([7] * 31 + [place])) for place in range(64)]
USER, POOL, OTHER, MINT_A, MINT_B, MINT_C = KEYS[:6]
VAULT_A, VAULT_B, VAULT_C, VAULT_D, OWN_A, OWN_B, OWN_C = KEYS[10:17]


def sent(source, target, amount, position, *, mint=None, program=TOKEN):
    """A token transfer, checked where it names a mint."""
    if mint is None:
        return Call(program, (source, target, USER), b"\x03" + amount.to_bytes(8, "little"), position, 2)
    data = b"\x0c" + amount.to_bytes(8, "little") + b"\x06"
    return Call(program, (source, mint, target, USER), data, position, 2)


def memo(text, position):
    return Call(MEMO, (), text, position, 2)


def traded(pool, *amounts, a_to_b=1):
    numbers = b"".join(amount.to_bytes(8, "little") for amount in amounts)
    return TRADED + base58.decode(pool) + bytes([a_to_b]) + bytes(32) + numbers


def transaction_of(*calls, balances=None, signers=(USER,)):
    return Transaction("sig", 1, signers[0], signers, calls, balances or {}, {})


def balance(mint, before, after):
    return TokenBalance(mint, POOL, TOKEN, 6, before, after)


def swap_data(name, a_to_b):
    return discriminator(name) + bytes(33) + bytes([a_to_b])


def swap_call(inner, *, a_to_b=1, logs=(), position=3, pad=()):
    accounts = (TOKEN, USER, POOL, OWN_A, VAULT_A, OWN_B, VAULT_B, *KEYS[20:24], *pad)
    return Call(PROGRAM, accounts, swap_data("swap", a_to_b), position, 1, tuple(inner), tuple(logs))


def swap_v2_call(inner, *, a_to_b=1, logs=(), position=3):
    accounts = (
        TOKEN_2022,
        TOKEN,
        MEMO,
        USER,
        POOL,
        MINT_A,
        MINT_B,
        OWN_A,
        VAULT_A,
        OWN_B,
        VAULT_B,
        *KEYS[20:24],
    )
    data = swap_data("swap_v2", a_to_b) + b"\0"
    return Call(PROGRAM, accounts, data, position, 1, tuple(inner), tuple(logs))


BALANCES = {VAULT_A: balance(MINT_A, 1000, 1100), VAULT_B: balance(MINT_B, 500, 450)}


def test_swap():
    call = swap_call([sent(OWN_A, VAULT_A, 100, 4), sent(VAULT_B, OWN_B, 50, 5)])
    expected = Swap(POOL, 3, USER, MINT_A, MINT_B, 100, 50, (), 1100, 450)
    assert VENUE.parse(call, transaction_of(call, balances=BALANCES)) == (expected,)


def test_swap_the_other_way_with_event():
    log = traded(POOL, 50, 100, 0, 0, 3, 1, a_to_b=0)
    call = swap_call([sent(OWN_B, VAULT_B, 50, 4), sent(VAULT_A, OWN_A, 100, 5)], a_to_b=0, logs=[b"noise", log])
    (swap,) = VENUE.parse(call, transaction_of(call, balances=BALANCES))
    assert (swap.mint_in, swap.amount_in, swap.amount_out) == (MINT_B, 50, 100)
    assert swap.fees == (Fee("lp", MINT_B, 3), Fee("protocol", MINT_B, 1))


def test_event_stands_in_for_transfers_and_is_not_counted_twice():
    log = traded(POOL, 110, 50, 10, 2, 3, 1)
    call = swap_v2_call([], logs=[log, log])
    (swap,) = VENUE.parse(call, transaction_of(call))
    assert (swap.amount_in, swap.amount_out) == (100, 50)
    assert Fee("transfer", MINT_A, 10) in swap.fees
    assert Fee("transfer", MINT_B, 2) in swap.fees


def test_event_of_another_pool_is_not_believed():
    call = swap_v2_call([], logs=[traded(OTHER, 1, 1, 0, 0, 0, 0)])
    assert VENUE.parse(call, transaction_of(call)) == ()


def test_transfer_fee_is_told_by_the_memo():
    inner = [
        memo(b"TFe: 100, 5000", 4),
        sent(OWN_A, VAULT_A, 1001, 5, mint=MINT_A, program=TOKEN_2022),
        memo(b"Orca Trade", 6),
        sent(VAULT_B, OWN_B, 50, 7, mint=MINT_B),
    ]
    call = swap_v2_call(inner)
    (swap,) = VENUE.parse(call, transaction_of(call))
    assert (swap.amount_in, swap.amount_out) == (990, 50)


def test_fee_on_the_output_leaves_the_vault_too():
    inner = [
        sent(OWN_B, VAULT_B, 50, 4, mint=MINT_B),
        memo(b"TFe: 10000, 18446744073709551615", 5),
        sent(VAULT_A, OWN_A, 700, 6, mint=MINT_A, program=TOKEN_2022),
    ]
    call = swap_v2_call(inner, a_to_b=0)
    (swap,) = VENUE.parse(call, transaction_of(call))
    assert (swap.amount_in, swap.amount_out) == (50, 700)


def test_reserves_are_told_only_where_no_later_call_names_the_vault():
    call = swap_call([sent(OWN_A, VAULT_A, 100, 4), sent(VAULT_B, OWN_B, 50, 5)])
    later = sent(OWN_A, VAULT_A, 1, 6)
    (swap,) = VENUE.parse(call, transaction_of(call, later, balances=BALANCES))
    assert (swap.reserve_in, swap.reserve_out) == (None, 450)


def test_mint_from_a_checked_transfer_or_not_at_all():
    inner = [sent(OWN_A, VAULT_A, 100, 4, mint=MINT_A), sent(VAULT_B, OWN_B, 50, 5)]
    call = swap_call(inner)
    assert VENUE.parse(call, transaction_of(call)) == ()
    only_b = {VAULT_B: BALANCES[VAULT_B]}
    (swap,) = VENUE.parse(call, transaction_of(call, balances=only_b))
    assert (swap.mint_in, swap.reserve_in, swap.reserve_out) == (MINT_A, None, 450)


def test_a_router_signs_for_the_payer():
    call = swap_call([sent(OWN_A, VAULT_A, 100, 4), sent(VAULT_B, OWN_B, 50, 5)])
    (swap,) = VENUE.parse(call, transaction_of(call, balances=BALANCES, signers=(KEYS[40],)))
    assert swap.trader == KEYS[40]


def two_hop_data(name, one, two):
    return discriminator(name) + bytes(17) + bytes([one, two]) + bytes(32)


def test_two_hop():
    accounts = (
        TOKEN,
        USER,
        POOL,
        OTHER,
        OWN_A,
        VAULT_A,
        OWN_B,
        VAULT_B,
        OWN_C,
        VAULT_C,
        OWN_B,
        VAULT_D,
        *KEYS[20:28],
    )
    inner = (
        sent(OWN_A, VAULT_A, 100, 4),
        sent(VAULT_B, OWN_B, 50, 5),
        sent(OWN_B, VAULT_D, 50, 6),
        sent(VAULT_C, OWN_C, 7, 7),
    )
    call = Call(PROGRAM, accounts, two_hop_data("two_hop_swap", 1, 0), 3, 1, inner)
    balances = BALANCES | {VAULT_C: balance(MINT_C, 9, 2), VAULT_D: balance(MINT_B, 0, 50)}
    first, second = VENUE.parse(call, transaction_of(call, balances=balances))
    assert first == Swap(POOL, 3, USER, MINT_A, MINT_B, 100, 50, (), 1100, 450)
    assert second == Swap(OTHER, 7, USER, MINT_B, MINT_C, 50, 7, (), 50, 2)


def test_two_hop_v2_moves_the_middle_from_vault_to_vault():
    accounts = (POOL, OTHER, MINT_A, MINT_B, MINT_C, TOKEN, TOKEN_2022, TOKEN, OWN_A)
    accounts += (VAULT_A, VAULT_B, VAULT_D, VAULT_C, OWN_C, USER, *KEYS[20:28], MEMO)
    inner = (
        sent(OWN_A, VAULT_A, 100, 4, mint=MINT_A),
        memo(b"TFe: 1000, 5000", 5),
        sent(VAULT_B, VAULT_D, 50, 6, mint=MINT_B, program=TOKEN_2022),
        sent(VAULT_C, OWN_C, 7, 7, mint=MINT_C),
    )
    call = Call(PROGRAM, accounts, two_hop_data("two_hop_swap_v2", 1, 0) + b"\0", 3, 1, inner)
    first, second = VENUE.parse(call, transaction_of(call))
    assert (first.pool, first.position, first.amount_in, first.amount_out) == (POOL, 3, 100, 50)
    assert (second.pool, second.position, second.amount_in, second.amount_out) == (OTHER, 7, 45, 7)


def test_pool_creations():
    for name, pool, funder, vault in (
        ("initialize_pool", 4, 3, 5),
        ("initialize_pool_v2", 6, 5, 7),
        ("initialize_pool_with_adaptive_fee", 7, 5, 9),
    ):
        call = Call(PROGRAM, tuple(KEYS[:15]), discriminator(name) + bytes(19), 2, 1)
        vaults = (KEYS[vault], KEYS[vault + 1])
        expected = Created(KEYS[pool], 2, KEYS[1], KEYS[2], 0, 0, KEYS[funder], vaults)
        assert VENUE.parse(call, transaction_of(call)) == (expected,)
        short = Call(PROGRAM, tuple(KEYS[: vault + 1]), call.data, 2, 1)
        assert VENUE.parse(short, transaction_of(short)) == ()


def test_real_pool_creations(shared):
    for name in ("initialize_pool", "initialize_pool_v2"):
        row = json.loads((shared / f"data/orca/instructions/{name}_ix.json").read_text())
        roles = {each["role"]: each["pubkey"] for each in row["accounts"]}
        accounts = tuple(each["pubkey"] for each in row["accounts"])
        call = Call(row["program"], accounts, bytes.fromhex(row["data"]), 0, 1)
        (created,) = VENUE.parse(call, transaction_of(call))
        named = ("whirlpool", "tokenMintA", "tokenMintB", "funder")
        assert (created.pool, created.mint_a, created.mint_b, created.creator) == tuple(roles[k] for k in named)
        assert created.accounts == (roles["tokenVaultA"], roles["tokenVaultB"])


def test_real_swaps_name_their_pools(shared):
    """Accounts and directions of the real swap instructions; amounts are not recorded with them."""
    for name, hops in (("swap", 1), ("swap_v2", 1), ("two_hop_swap", 2), ("two_hop_swap_v2", 2)):
        row = json.loads((shared / f"data/orca/instructions/{name}_ix.json").read_text())
        roles = {each["role"]: each["pubkey"] for each in row["accounts"]}
        accounts = tuple(each["pubkey"] for each in row["accounts"])
        pools = [roles.get("whirlpool"), roles.get("whirlpoolOne"), roles.get("whirlpoolTwo")]
        pools = [pool for pool in pools if pool]
        logs = tuple(traded(pool, 5, 4, 0, 0, 0, 0) for pool in pools)
        call = Call(row["program"], accounts, bytes.fromhex(row["data"]), 0, 1, (), logs)
        vaults = [pubkey for role, pubkey in roles.items() if "Vault" in role]
        balances = {vault: balance(f"mint of {vault}", 0, 0) for vault in vaults}
        swaps = VENUE.parse(call, transaction_of(call, balances=balances))
        assert [swap.pool for swap in swaps] == pools
        assert len(swaps) == hops


@pytest.mark.parametrize("name", ["increase_liquidity", "decrease_liquidity"])
def test_liquidity(name):
    accounts = (POOL, TOKEN, USER, KEYS[30], KEYS[31], OWN_A, OWN_B, VAULT_A, VAULT_B, KEYS[32], KEYS[33])
    added = name.startswith("increase")
    pairs = ((OWN_A, VAULT_A), (OWN_B, VAULT_B)) if added else ((VAULT_A, OWN_A), (VAULT_B, OWN_B))
    inner = tuple(sent(*pair, amount, at) for pair, amount, at in zip(pairs, (100, 50), (4, 5), strict=True))
    call = Call(PROGRAM, accounts, discriminator(name) + bytes(32), 3, 1, inner)
    expected = Liquidity(POOL, 3, added, MINT_A, MINT_B, 100, 50, USER)
    assert VENUE.parse(call, transaction_of(call, balances=BALANCES)) == (expected,)
    assert VENUE.parse(call, transaction_of(call)) == ()
    nothing = Call(PROGRAM, accounts, call.data, 3, 1, (sent(*pairs[0], 0, 4),))
    assert VENUE.parse(nothing, transaction_of(nothing, balances=BALANCES)) == ()
    short = Call(PROGRAM, accounts[:8], call.data, 3, 1, inner)
    assert VENUE.parse(short, transaction_of(short, balances=BALANCES)) == ()


def test_reposition_is_a_withdrawal_and_a_deposit():
    accounts = (POOL, TOKEN, TOKEN, MEMO, USER, USER, KEYS[30], KEYS[31], MINT_A, MINT_B, OWN_A, OWN_B)
    accounts += (VAULT_A, VAULT_B, *KEYS[32:37])
    inner = (sent(OWN_A, VAULT_A, 100, 4, mint=MINT_A), sent(VAULT_B, OWN_B, 50, 5, mint=MINT_B))
    call = Call(PROGRAM, accounts, discriminator("reposition_liquidity_v2") + bytes(49), 3, 1, inner)
    left, entered = VENUE.parse(call, transaction_of(call))
    assert left == Liquidity(POOL, 3, False, MINT_A, MINT_B, 0, 50, USER)
    assert entered == Liquidity(POOL, 4, True, MINT_A, MINT_B, 100, 0, USER)


def test_too_short_or_unknown():
    for data in (b"", b"\0" * 8, discriminator("swap"), *(head + bytes(80) for head in _READERS)):
        call = Call(PROGRAM, (), data, 0, 1)
        assert VENUE.parse(call, transaction_of(call)) == ()
    for head in _READERS:
        call = Call(PROGRAM, tuple(KEYS), head, 0, 1)
        assert all(isinstance(each, Created) for each in VENUE.parse(call, transaction_of(call)))


calls = st.builds(
    Call,
    st.sampled_from([PROGRAM, TOKEN, TOKEN_2022, MEMO]),
    st.lists(st.sampled_from(KEYS[:20]), max_size=30).map(tuple),
    st.one_of(
        st.binary(max_size=80),
        st.tuples(st.sampled_from(sorted(_READERS)), st.binary(max_size=80)).map(b"".join),
        st.tuples(st.sampled_from([b"\x03", b"\x0c", b"\x1a\x01", b"TFe: 1, 2"]), st.binary(max_size=30)).map(b"".join),
    ),
    st.integers(0, 100),
    st.integers(1, 5),
    st.just(()),
    st.lists(st.binary(max_size=130).map(lambda tail: TRADED + tail), max_size=2).map(tuple),
)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(calls, st.lists(calls, max_size=5))
def test_no_bytes_raise(call, inner):
    outer = Call(PROGRAM, call.accounts, call.data, call.position, 1, tuple(inner), call.logs)
    found = VENUE.parse(outer, transaction_of(outer, balances=BALANCES))
    assert all(isinstance(each, Swap | Created | Liquidity) for each in found)
