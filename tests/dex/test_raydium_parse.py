"""Creations and liquidity of both Raydium programs, and calls too short or broken, from calls made here."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.dex import base58, raydium, raydium_cpmm
from ironcrab.dex.address import TOKEN, TOKEN_2022
from ironcrab.dex.face import Call, Created, Fee, Liquidity, Swap, TokenBalance, Transaction
from ironcrab.dex.transfers import mint_of, transfer_of, transfers, withheld


def key(number):
    return base58.encode(number.to_bytes(32, "big"))


K = [key(number) for number in range(1, 40)]


def transfer(source, destination, amount, *, position=1, program=TOKEN):
    accounts, data = (source, destination, K[30]), b"\3" + struct.pack("<Q", amount)
    return Call(program, accounts, data, position, 2)


def checked(source, destination, amount, *, mint=K[29], fee=None, position=1):
    accounts = (source, mint, destination, K[30])
    data = b"\x0c" + struct.pack("<QB", amount, 6)
    if fee is not None:
        data = b"\x1a\1" + struct.pack("<QBQ", amount, 6, fee)
    return Call(TOKEN_2022, accounts, data, position, 2)


def transaction(call, balances=None):
    return Transaction("sig", 1, K[0], (K[0],), (call,), balances or {}, {})


def balance(mint, before, after, program=TOKEN):
    return TokenBalance(mint, K[31], program, 6, before, after)


def call_of(venue, data, accounts, inner=(), logs=()):
    return Call(venue.PROGRAM, tuple(accounts), data, 0, 1, tuple(inner), tuple(logs))


@pytest.mark.parametrize(("count", "vaults", "mints"), [(21, (10, 11), (8, 9)), (19, (9, 10), (7, 8))])
def test_amm_created(count, vaults, mints):
    a = K[:count]
    data = b"\1\xfe" + struct.pack("<QQQ", 5, 200, 100)
    moves = (transfer(K[30], a[vaults[0]], 90), transfer(K[30], a[vaults[1]], 190))
    for inner, amounts in (((), (100, 200)), (moves, (90, 190))):
        call = call_of(raydium, data, a, inner)
        assert raydium.VENUE.parse(call, transaction(call)) == (
            Created(
                pool=a[4],
                position=0,
                mint_a=a[mints[0]],
                mint_b=a[mints[1]],
                amount_a=amounts[0],
                amount_b=amounts[1],
                creator=a[count - 4],
                accounts=(a[vaults[0]], a[vaults[1]]),
            ),
        )


@pytest.mark.parametrize(
    ("tag", "count", "vaults", "owner"),
    [
        (3, 11, 5, 10),
        (3, 14, 6, 12),
        (3, 15, 6, 12),
        (4, 11, 5, 10),
        (4, 20, 6, 16),
        (4, 21, 6, 16),
        (4, 22, 6, 18),
    ],
)
def test_amm_liquidity(tag, count, vaults, owner):
    a = K[:count]
    coin, pc = a[vaults : vaults + 2]
    ways = ((K[30], coin), (K[30], pc)) if tag == 3 else ((coin, K[30]), (pc, K[30]))
    inner = tuple(transfer(*way, amount) for way, amount in zip(ways, (7, 9), strict=True))
    call = call_of(raydium, bytes((tag,)) + bytes(24), a, inner)
    balances = {coin: balance("COIN", 50, 57), pc: balance("PC", 50, 59)}
    assert raydium.VENUE.parse(call, transaction(call, balances)) == (
        Liquidity(a[1], 0, tag == 3, "COIN", "PC", 7, 9, a[owner]),
    )
    assert raydium.VENUE.parse(call, transaction(call)) == ()
    bare = call_of(raydium, call.data, a)
    assert raydium.VENUE.parse(bare, transaction(bare, balances)) == ()


def test_amm_v2_swap_by_a_router():
    a = K[:8]
    inner = (transfer(a[5], a[4], 10), transfer(a[3], a[6], 4))
    log = struct.pack("<BQQQQQQQ", 4, 99, 4, 1, 0, 500, 1000, 10)
    call = call_of(raydium, b"\x11" + bytes(16), a, inner, (b"other", log))
    balances = {a[3]: balance("COIN", 500, 496), a[4]: balance("PC", 1000, 1010)}
    (swap,) = raydium.VENUE.parse(call, transaction(call, balances))
    assert swap == Swap(a[1], 0, K[0], "PC", "COIN", 10, 4, (), 1010, 496, mint_b="PC")


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (b"", 18),
        (b"\x09", 16),
        (b"\x10", 7),
        (b"\1" + bytes(25), 20),
        (b"\1", 21),
        (b"\3", 13),
        (b"\4", 12),
        (b"\7", 9),
    ],
)
def test_amm_calls_that_are_nothing(data, count):
    call = call_of(raydium, data, K[:count])
    assert raydium.VENUE.parse(call, transaction(call)) == ()


def test_amm_swap_without_mints_or_flow():
    call = call_of(raydium, b"\x10" + bytes(16), K[:8], (transfer(K[5], K[3], 1), transfer(K[4], K[6], 1)))
    assert raydium.VENUE.parse(call, transaction(call)) == ()
    call = call_of(raydium, b"\x10" + bytes(16), K[:8])
    balances = {K[3]: balance("COIN", 0, 0), K[4]: balance("PC", 0, 0)}
    assert raydium.VENUE.parse(call, transaction(call, balances)) == ()


@pytest.mark.parametrize("permitted", [False, True])
def test_cpmm_created(permitted):
    off = int(permitted)
    a = K[: 20 + off]
    head = raydium_cpmm._INITIALIZE_WITH_PERMISSION if permitted else raydium_cpmm._INITIALIZE
    data = head + struct.pack("<QQQ", 100, 200, 5) + b"\1" * off
    inner = (checked(a[7], a[10 + off], 100, fee=3), checked(a[8], a[11 + off], 200))
    for moves, amounts in (((), (100, 200)), (inner, (97, 200))):
        call = call_of(raydium_cpmm, data, a, moves)
        (made,) = raydium_cpmm.VENUE.parse(call, transaction(call))
        assert made == Created(
            pool=a[3 + off],
            position=0,
            mint_a=a[4 + off],
            mint_b=a[5 + off],
            amount_a=amounts[0],
            amount_b=amounts[1],
            creator=a[off],
            accounts=(a[1 + off], a[10 + off], a[11 + off]),
        )


@pytest.mark.parametrize("added", [True, False])
def test_cpmm_liquidity(added):
    a = K[: 13 if added else 14]
    head = raydium_cpmm._DEPOSIT if added else raydium_cpmm._WITHDRAW
    ways = ((a[4], a[6]), (a[5], a[7])) if added else ((a[6], a[4]), (a[7], a[5]))
    inner = tuple(checked(*way, amount) for way, amount in zip(ways, (7, 9), strict=True))
    call = call_of(raydium_cpmm, head + bytes(24), a, inner)
    assert raydium_cpmm.VENUE.parse(call, transaction(call)) == (Liquidity(a[2], 0, added, a[10], a[11], 7, 9, a[0]),)
    bare = call_of(raydium_cpmm, head + bytes(24), a)
    assert raydium_cpmm.VENUE.parse(bare, transaction(bare)) == ()


def cpmm_event(pool, *, old=False, on_input=True, creator=2):
    head = raydium_cpmm._EVENT_HEAD.pack(raydium_cpmm._SWAP_EVENT, base58.decode(pool), 1000, 500, 90, 40, 10, 4, True)
    return head if old else head + raydium_cpmm._EVENT_TAIL.pack(bytes(32), bytes(32), 3, creator, on_input)


def test_cpmm_events():
    a = K[:13]
    data = raydium_cpmm._SWAP_IN + bytes(16)
    transfers_ = (Fee("transfer", a[10], 10), Fee("transfer", a[11], 4))
    for event, fees, reserve in (
        (cpmm_event(a[3], old=True), transfers_, 460),
        (cpmm_event(a[3]), (Fee("trade", a[10], 3), Fee("creator", a[10], 2), *transfers_), 460),
        (
            cpmm_event(a[3], on_input=False),
            (Fee("trade", a[10], 3), Fee("creator", a[11], 2), *transfers_),
            458,
        ),
    ):
        call = call_of(raydium_cpmm, data, a, (), (b"x", cpmm_event(a[4]), event))
        (swap,) = raydium_cpmm.VENUE.parse(call, transaction(call))
        assert swap == Swap(a[3], 0, K[0], a[10], a[11], 90, 40, fees, None, reserve)


def test_cpmm_swap_without_event():
    a = K[:13]
    data = raydium_cpmm._SWAP_OUT + bytes(16)
    call = call_of(raydium_cpmm, data, a)
    assert raydium_cpmm.VENUE.parse(call, transaction(call)) == ()
    call = call_of(raydium_cpmm, data, a, (checked(a[4], a[6], 100), checked(a[7], a[5], 40)))
    balances = {a[6]: balance(a[10], 1000, 1090), a[7]: balance(a[11], 500, 460)}
    (swap,) = raydium_cpmm.VENUE.parse(call, transaction(call, balances))
    assert (swap.amount_in, swap.amount_out) == (90, 40)


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (b"", 13),
        (raydium_cpmm._SWAP_IN, 12),
        (raydium_cpmm._INITIALIZE + bytes(24), 19),
        (raydium_cpmm._INITIALIZE, 20),
        (raydium_cpmm._DEPOSIT, 12),
    ],
)
def test_cpmm_calls_that_are_nothing(data, count):
    call = call_of(raydium_cpmm, data, K[:count])
    assert raydium_cpmm.VENUE.parse(call, transaction(call)) == ()


def test_withheld():
    move = transfers(call_of(raydium, b"", (), (checked(K[1], K[2], 100),)))[0]
    whole = transaction(call_of(raydium, b"", (), (checked(K[1], K[2], 100),)))
    assert withheld(move, whole) == 0  # no balances
    twice = (checked(K[1], K[2], 100), checked(K[1], K[2], 50), checked(K[2], K[3], 20))
    for moves, before, after, fee in (
        (twice[:1], None, 97, 3),
        (twice[::2], 10, 87, 3),
        (twice, 10, 130, 0),  # two arrivals: nobody knows whose fee it was
        (twice[:1], 10, 200, 0),  # more came than was sent
        (twice[:1], 10, None, 0),
    ):
        call = call_of(raydium, b"", (), moves)
        assert withheld(move, transaction(call, {K[2]: balance("M", before, after)})) == fee
    told = transfer_of(checked(K[1], K[2], 100, fee=8))
    assert withheld(told, whole) == 8
    assert mint_of(call_of(raydium, b"", (), twice), K[3], whole) == K[29]


@given(
    st.sampled_from([3, 12, 26, 9]),
    st.binary(max_size=20),
    st.integers(0, 5),
    st.sampled_from([TOKEN, TOKEN_2022, K[0]]),
)
@settings(max_examples=500, derandomize=True, deadline=None)
def test_transfers_never_raise(tag, rest, count, program):
    transfer_of(Call(program, tuple(K[:count]), bytes((tag,)) + rest, 0, 2))


HEADS = [bytes((tag,)) for tag in (1, 3, 4, 9, 11, 16, 17)]
HEADS += [getattr(raydium_cpmm, name) for name in ("_SWAP_IN", "_SWAP_OUT", "_INITIALIZE", "_DEPOSIT", "_WITHDRAW")]


@given(st.data())
@settings(max_examples=1500, derandomize=True, deadline=None)
def test_parse_never_raises(data):
    head = data.draw(st.sampled_from(HEADS))
    accounts = tuple(K[: data.draw(st.integers(0, 24))])
    names = st.sampled_from([*accounts, K[30]])
    inner = tuple(
        data.draw(st.sampled_from([transfer, checked]))(
            data.draw(names), data.draw(names), data.draw(st.integers(0, 2**64 - 1))
        )
        for _ in range(data.draw(st.integers(0, 3)))
    )
    logs = tuple(
        data.draw(st.lists(st.one_of(st.binary(max_size=180), st.binary(min_size=57, max_size=57)), max_size=2))
    )
    balances = {a: balance("M", None, data.draw(st.integers(0, 99))) for a in accounts if data.draw(st.booleans())}
    for venue in (raydium, raydium_cpmm):
        call = call_of(venue, head + data.draw(st.binary(max_size=40)), accounts, inner, logs)
        for parsed in venue.VENUE.parse(call, transaction(call, balances)):
            assert parsed.pool in accounts
