"""Meteora DLMM: laws that hold in every pool, and fuzz over made-up and mutilated accounts."""

import random
import struct

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import structs

from ironcrab.dex import bins as maths
from ironcrab.dex import dlmm, dlmm_parse, dlmm_pool, dlmm_state, quote
from ironcrab.dex.address import TOKEN, TOKEN_2022
from ironcrab.dex.base58 import decode, key
from ironcrab.dex.face import (
    Account,
    Call,
    Clock,
    Created,
    Instruction,
    Liquidity,
    Quote,
    Refusal,
    Swap,
    TokenBalance,
    Transaction,
)
from ironcrab.dex.mint import decode_token
from tests.nightly.fuzz_dex import rounds

POOL = "EtAdVRLFH22rjWh3mcUasKFF27WtHhsaCvK27tPFFWig"
MINT_X, MINT_Y, VAULT_X, VAULT_Y = (bytes([n]) * 32 for n in (1, 2, 3, 4))
ORACLE = dlmm_state.oracle_address(POOL)
NOW = 1_000_000
CLOCK = Clock(500, NOW, 900)
FUZZ = rounds()
"""Mutated worlds to try; a nightly asks for 1000000."""

rules = settings(derandomize=True, deadline=None, max_examples=80)


# --- made-up pools -----------------------------------------------------------------------------------------


def mint(fee):
    base = bytearray(82)
    base[44], base[45] = 6, 1
    if fee is None:
        return Account(TOKEN, 1, bytes(base))
    bps, most = fee
    schedule = struct.pack("<QQH", 0, most, bps)
    tail = bytes(83) + b"\1" + struct.pack("<HH", 1, 108) + bytes(72) + schedule * 2
    return Account(TOKEN_2022, 1, bytes(base) + tail)


def vault(mint_key, amount, taxed):
    base = bytearray(165)
    base[:32] = mint_key
    struct.pack_into("<Q", base, 64, amount)
    base[108] = 1
    if not taxed:
        return Account(TOKEN, 1, bytes(base))
    return Account(TOKEN_2022, 1, bytes(base) + b"\2" + struct.pack("<HHQ", 2, 8, 0))


def pair_bytes(shape, bitmap):
    raw = bytearray(904)
    raw[:8] = dlmm_state.PAIR
    struct.pack_into("<HHHHII", raw, 8, shape["base_factor"], 30, 600, 5000, shape["control"], 350_000)
    struct.pack_into("<iiHBBB", raw, 24, -443_636, 443_636, shape["share"], 0, shape["function"], shape["mode"])
    struct.pack_into("<IIi4xq", raw, 40, shape["volatility"], shape["volatility"] // 2, shape["active"] + 1,
                     NOW - shape["elapsed"])  # fmt: skip
    struct.pack_into("<iH", raw, 76, shape["active"], shape["step"])
    struct.pack_into("<32s32s32s32s", raw, 88, MINT_X, MINT_Y, VAULT_X, VAULT_Y)
    struct.pack_into("<32s128s", raw, 552, decode(ORACLE), bitmap.to_bytes(128, "little"))
    return bytes(raw)


def array_bytes(index, shape):
    raw = bytearray(dlmm_state.ARRAY_BYTES)
    raw[:8] = dlmm_state.ARRAY
    struct.pack_into("<qB7x32s", raw, 8, index, 2, decode(POOL))
    for offset, (x, y, orders, ask) in enumerate(shape["bins"]):
        bin_id = shape["active"] - len(shape["bins"]) // 2 + offset
        if bin_id // 70 != index:
            continue
        price = maths.price_of(bin_id, shape["step"])
        above, below = bin_id >= shape["active"], bin_id <= shape["active"]
        state = dlmm_state.Bin(
            x * above, y * below, price & maths.U64, price >> 64, 7, (x + y) // 2 + 1, 0, 0, 0, 0, 0, 0, 0, 0,
            orders, orders // 2, orders // 3, 4, ask,
        )  # fmt: skip
        if not (above if ask else below):
            state = structs.replace(state, opened=0, processing=0, remaining=0)
        raw = bytearray(dlmm_state.encode_bins(bytes(raw), {bin_id % 70: state}))
    return bytes(raw)


def world(shape):
    """Accounts of a pool whose vaults hold exactly what its bins say (and a little protocol fee)."""
    first = shape["active"] - len(shape["bins"]) // 2
    indices = sorted({(first + place) // 70 for place in range(len(shape["bins"]))})
    bitmap = sum(1 << (index + 512) for index in indices if -512 <= index < 512)
    above = sum(1 << (index - 512) for index in indices if index >= 512)
    below = sum(1 << (-513 - index) for index in indices if index < -512)
    accounts = {POOL: Account(dlmm_state.PROGRAM, 1, pair_bytes(shape, bitmap))}
    if above or below:
        beyond = decode(POOL) + above.to_bytes(768, "little") + below.to_bytes(768, "little")
        name = dlmm_state.extension_address(POOL)
        accounts[name] = Account(dlmm_state.PROGRAM, 1, dlmm_state.EXTENSION + beyond)
    held = [10, 10]
    for index in indices:
        data = array_bytes(index, shape)
        accounts[dlmm_state.bin_array_address(POOL, index)] = Account(dlmm_state.PROGRAM, 1, data)
        for slot in range(70):
            state = dlmm_state.decode_bin(data, slot)
            held[0] += state.amount_x + (state.remaining + state.opened) * state.ask
            held[1] += state.amount_y + (state.remaining + state.opened) * (1 - state.ask)
    for name, place, amount, fee in (
        (MINT_X, VAULT_X, held[0], shape["fee_x"]),
        (MINT_Y, VAULT_Y, held[1], shape["fee_y"]),
    ):
        accounts[key(name)] = mint(fee)
        accounts[key(place)] = vault(name, amount, fee is not None)
    oracle = (
        dlmm_state.ORACLE + struct.pack("<QQQ", 0, 1, 2) + struct.pack("<qqqq", 5, 0, NOW - 200, NOW - 200) + bytes(32)
    )
    accounts[ORACLE] = Account(dlmm_state.PROGRAM, 1, oracle)
    return accounts


amounts = st.one_of(st.integers(0, 50), st.integers(0, 10**6), st.integers(0, 10**15))
taxes = st.one_of(st.none(), st.tuples(st.integers(0, 9_000), st.integers(0, 10**7)))
shapes = st.fixed_dictionaries(
    {
        "base_factor": st.sampled_from([0, 1, 5_000, 20_000]),
        "control": st.sampled_from([0, 7_500, 120_000]),
        "share": st.sampled_from([0, 500, 2_500]),
        "function": st.sampled_from([0, 1, 2]),
        "mode": st.sampled_from([0, 1]),
        "volatility": st.integers(0, 100_000),
        "elapsed": st.sampled_from([-5, 0, 29, 30, 599, 600, 10**6]),
        "active": st.one_of(st.integers(-300, 300), st.sampled_from([-70, -1, 0, 69, 70])),
        "step": st.sampled_from([1, 10, 25, 100, 400]),
        "bins": st.lists(
            st.tuples(amounts, amounts, st.one_of(st.just(0), amounts), st.sampled_from([0, 1])),
            min_size=1,
            max_size=9,
        ),
        "fee_x": taxes,
        "fee_y": taxes,
    }
)
sides = st.sampled_from([(key(MINT_X), key(MINT_Y)), (key(MINT_Y), key(MINT_X))])
inputs = st.one_of(st.integers(1, 100), st.integers(1, 10**7), st.integers(1, 10**16))


def pay(accounts, mint_in, amount, exact="in"):
    return quote(POOL, accounts, mint_in=mint_in, amount=amount, exact=exact, clock=CLOCK)


def vault_amount(accounts, mint_key):
    address = key(VAULT_X if mint_key == key(MINT_X) else VAULT_Y)
    return decode_token(accounts[address]).amount


# --- laws --------------------------------------------------------------------------------------------------


@rules
@given(shapes, sides, inputs, inputs)
def test_more_in_is_never_less_out(shape, side, one, two):
    accounts = world(shape)
    less, more = (pay(accounts, side[0], amount) for amount in sorted((one, two)))
    if isinstance(more, Quote) and isinstance(less, Quote):
        assert less.amount_out <= more.amount_out
    elif isinstance(more, Quote):
        assert less.code == 6039


@rules
@given(shapes, sides, inputs, st.sampled_from(["in", "out"]))
def test_a_vault_never_pays_more_than_it_holds_and_bins_stay_covered(shape, side, amount, exact):
    accounts = world(shape)
    found = pay(accounts, side[0], amount, exact)
    assume(isinstance(found, Quote))
    assert (found.amount_in if exact == "in" else found.amount_out) >= amount
    assert found.amount_out <= vault_amount(accounts, side[1])
    after = {**accounts, **found.after}
    assert vault_amount(after, side[1]) >= 0
    for name, account in after.items():
        assert len(account.data) == len(accounts[name].data)
    covered = [0, 0]
    for account in after.values():
        if account.data[:8] == dlmm_state.ARRAY:
            for slot in range(70):
                state = dlmm_state.decode_bin(account.data, slot)
                covered[0] += state.amount_x + (state.remaining + state.opened) * state.ask
                covered[1] += state.amount_y + (state.remaining + state.opened) * (1 - state.ask)
    assert covered[0] <= vault_amount(after, key(MINT_X))
    assert covered[1] <= vault_amount(after, key(MINT_Y))


@rules
@given(shapes, sides, inputs)
def test_the_output_of_a_swap_never_costs_more_than_was_paid(shape, side, amount):
    accounts = world(shape)
    found = pay(accounts, side[0], amount)
    assume(isinstance(found, Quote))
    back = pay(accounts, side[0], found.amount_out, "out")
    if isinstance(back, Quote):
        assert back.amount_in <= amount
        assert back.amount_out >= found.amount_out
    else:
        assert back.code == 6085


@rules
@given(shapes, sides, inputs)
def test_there_and_back_never_gains(shape, side, amount):
    accounts = world(shape)
    there = pay(accounts, side[0], amount)
    assume(isinstance(there, Quote))
    back = pay({**accounts, **there.after}, side[1], there.amount_out)
    if isinstance(back, Quote):
        assert back.amount_out <= amount


@rules
@given(shapes, sides, inputs, inputs)
def test_the_next_quote_starts_where_the_last_one_ended(shape, side, one, two):
    """Quoting a decoded pool changes nothing in it; the accounts afterwards quote like a pool made from them."""
    accounts = world(shape)
    pool = dlmm_pool.decode(POOL, accounts)
    ask = {"mint_in": side[0], "exact": "in", "clock": CLOCK}
    first = pool.quote(amount=one, **ask)
    assume(isinstance(first, Quote))
    after = {**accounts, **first.after}
    assert pool.quote(amount=one, **ask) == first
    following = pay(after, side[0], two)
    assert following == dlmm_pool.decode(POOL, after).quote(amount=two, **ask)
    together = pay(accounts, side[0], one + two)
    if isinstance(following, Quote) and isinstance(together, Quote) and shape["fee_x"] is shape["fee_y"] is None:
        assert abs(first.amount_out + following.amount_out - together.amount_out) <= together.amount_out // 5 + 50
    pair = dlmm_state.decode_pair(after[POOL].data)
    assert pair.active_id == first.after.bins[-1]
    assert len(first.after) == len(dict(first.after))
    assert repr(first.after).startswith("After({")


@rules
@given(shapes, sides, inputs)
def test_fees_add_up(shape, side, amount):
    accounts = world(shape)
    found = pay(accounts, side[0], amount)
    assume(isinstance(found, Quote))
    entered = vault_amount(found.after, side[0]) - vault_amount(accounts, side[0])
    left = vault_amount(accounts, side[1]) - vault_amount(found.after, side[1])
    taxes = {fee.mint: fee.amount for fee in found.fees if fee.name == "transfer"}
    assert entered + taxes.get(side[0], 0) == found.amount_in
    assert left - taxes.get(side[1], 0) == found.amount_out
    assert all(fee.amount >= 0 for fee in found.fees)
    assert 0 <= found.price_impact_bps <= 10_000


@rules
@given(shapes, st.integers(0, 69), st.lists(st.integers(0, 2**64 - 1), min_size=17, max_size=17))
def test_what_is_written_is_what_is_read(shape, slot, numbers):
    accounts = world(shape)
    data = accounts[POOL].data
    pair = dlmm_state.decode_pair(data)
    assert dlmm_state.encode_pair(data, pair) == data
    moved = structs.replace(pair, active_id=-numbers[0] % 2**31, protocol_fee_x=numbers[1], updated_at=-3)
    assert dlmm_state.decode_pair(dlmm_state.encode_pair(data, moved)) == moved
    array = next(a.data for a in accounts.values() if a.data[:8] == dlmm_state.ARRAY)
    assert dlmm_state.encode_bins(array, {slot: dlmm_state.decode_bin(array, slot)}) == array
    state = dlmm_state.Bin(*numbers, 7, 1)
    assert dlmm_state.decode_bin(dlmm_state.encode_bins(array, {slot: state}), slot) == state


# --- fuzz --------------------------------------------------------------------------------------------------


def mutilated(dice, accounts):
    """The same accounts with something wrong: bytes changed, cut, zeroed, swapped, lost, owners changed."""
    accounts = dict(accounts)
    for _ in range(dice.randint(1, 3)):
        address = dice.choice(sorted(accounts))
        account = accounts[address]
        data = bytearray(account.data)
        kind = dice.randrange(8)
        if kind < 4 and data:
            at = dice.randrange(len(data))
            width = dice.choice([1, 1, 2, 4, 8, 16])
            data[at : at + width] = dice.choice([dice.randbytes(width), b"\xff" * width, bytes(width)])
        elif kind == 4:
            data = data[: dice.randrange(len(data) + 1)]
        elif kind == 5:
            data = bytearray(dice.randbytes(dice.choice([0, 8, 82, 165, 904, 1576])))
        elif kind == 6:
            data = bytearray(accounts[dice.choice(sorted(accounts))].data)
        elif dice.random() < 0.3:
            del accounts[address]
            continue
        owner = dice.choice([account.owner] * 9 + [TOKEN, TOKEN_2022, dlmm_state.PROGRAM, ""])
        accounts[address] = Account(owner, account.lamports, bytes(data))
    return accounts


def shape_of(dice):
    return {
        "base_factor": dice.choice([0, 1, 5_000, 65_535]),
        "control": dice.choice([0, 7_500, 2**32 - 1]),
        "share": dice.choice([0, 2_500, 10_000]),
        "function": dice.choice([0, 1, 2]),
        "mode": dice.choice([0, 1]),
        "volatility": dice.randrange(200_000),
        "elapsed": dice.choice([-5, 0, 30, 600]),
        "active": dice.choice([-35_912, -70, 0, 69, 35_838]),
        "step": dice.choice([1, 100, 400]),
        "bins": [
            (dice.randrange(10**9), dice.randrange(10**9), dice.choice([0, 5, 10**6]), dice.choice([0, 1]))
            for _ in range(dice.randrange(1, 9))
        ],
        "fee_x": dice.choice([None, None, (50, 5_000), (10_000, 2**64 - 1)]),
        "fee_y": dice.choice([None, None, (50, 5_000)]),
    }


def test_mutilated_accounts_are_refused_or_quoted_never_raised():
    dice = random.Random(12)
    worlds = [world(shape_of(dice)) for _ in range(60)]
    quotes = 0
    for _ in range(FUZZ):
        accounts = mutilated(dice, dice.choice(worlds))
        wanted = dice.choice([0, 1, 1000, 10**6, 10**9, 2**64 - 1])
        ask = {
            "mint_in": key(dice.choice([MINT_X, MINT_Y])),
            "amount": wanted,
            "exact": dice.choice(["in", "out"]),
            "clock": Clock(500, NOW + dice.choice([0, 0, -50, 700, 2**40]), dice.choice([0, 900])),
        }
        found = quote(POOL, accounts, **ask, limit=dice.choice([None, None, 50]))
        assert isinstance(found, Quote | Refusal)
        if isinstance(found, Quote):
            quotes += 1
            assert all(isinstance(account, Account) for account in found.after.values())
            assert dlmm.VENUE.compute_units(found) > 0
        assert isinstance(dlmm.VENUE.needs(POOL, accounts, ask["mint_in"]), tuple)
        if dice.random() < 0.1:
            made = dlmm.VENUE.instructions(
                POOL, accounts, user=POOL, other_amount=1, fallback=dice.random() < 0.5, **ask
            )
            assert isinstance(made, Refusal) or all(isinstance(one, Instruction) for one in made)
    assert quotes > FUZZ // 20


def test_mutilated_calls_are_parsed_without_raising():
    dice = random.Random(13)
    names = tuple(key(bytes([n]) * 32) for n in range(1, 22))
    openings = [
        *dlmm_parse.SWAPS,
        *dlmm_parse.CREATIONS,
        *sorted(dlmm_parse.TWO_SIDED | dlmm_parse.ONE_SIDED),
    ]
    events = [
        (dlmm_parse.SWAP, 129), (dlmm_parse.SWAP2, 147), (dlmm_parse.CREATE, 98), (dlmm_parse.ADD, 116),
        (dlmm_parse.REMOVE, 116), (dlmm_parse.REBALANCE, 180), (b"strange!", 20),
    ]  # fmt: skip
    told = 0
    for _ in range(FUZZ):
        inner = []
        for place in range(dice.randrange(3)):
            opening, size = dice.choice(events)
            body = dice.randbytes(size)[: dice.choice([size, size, size + 5, dice.randrange(size)])]
            data = dlmm_parse.EMIT + opening + body
            inner.append(Call(dlmm_state.PROGRAM, names[:1], data, place + 1, 2))
        accounts = list(names[: dice.choice([0, 8, 12, 17, 21])])
        if len(accounts) > 12 and dice.random() < 0.5:
            accounts[11:13] = dice.choice([TOKEN, TOKEN_2022]), TOKEN
        data = dice.choice(openings)[: dice.choice([8, 8, 8, 8, 3])] + dice.randbytes(dice.randrange(30))
        logs = (dice.randbytes(dice.randrange(160)),)
        call = Call(dlmm_state.PROGRAM, tuple(accounts), data, 0, 1, tuple(inner), logs)
        held = dice.choice([None, 0, 5, 2**64 - 1]), dice.choice([None, 0, 5, 2**64 - 1])
        balances = {names[2]: TokenBalance(names[6], names[0], TOKEN_2022, 6, *held)}
        transaction = Transaction("s", 1, names[10], (names[10],), (call,), balances, {})
        found = dlmm.VENUE.parse(call, transaction)
        told += len(found)
        assert all(isinstance(event, Swap | Created | Liquidity) for event in found)
    assert told > FUZZ // 20


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.text(max_size=50), st.binary(max_size=2000))
def test_any_name_and_any_bytes(name, data):
    account = Account(dlmm_state.PROGRAM, 1, data)
    for address in (name, POOL):
        assert isinstance(pay({POOL: account}, name, 1), Refusal)
        assert isinstance(dlmm_pool.decode(address, {address: account}), Refusal)
        dlmm.VENUE.needs(address, {address: account}, name)
    for decoder in (
        dlmm_state.decode_pair, dlmm_state.decode_array, dlmm_state.decode_extension,
        dlmm_state.decode_oracle, dlmm_state.decode_preset,
    ):  # fmt: skip
        for opening in (
            b"",
            dlmm_state.PAIR,
            dlmm_state.ARRAY,
            dlmm_state.ORACLE,
            dlmm_state.PRESET,
            dlmm_state.PRESET2,
        ):
            decoder(opening + data)


@pytest.mark.parametrize("start", [-(2**31), -466_000, 466_000, 2**31 - 1])
def test_active_bins_out_of_the_world(start):
    shape = shape_of(random.Random(1))
    accounts = world(shape)
    raw = bytearray(accounts[POOL].data)
    struct.pack_into("<i", raw, 76, start)
    accounts[POOL] = Account(dlmm_state.PROGRAM, 1, bytes(raw))
    for name in (MINT_X, MINT_Y):
        assert isinstance(pay(accounts, key(name), 1000), Refusal)
