"""What must hold of every Raydium quote, and that no bytes make one raise."""

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab import dex
from ironcrab.dex import base58, openbook, raydium, raydium_cpmm
from ironcrab.dex.address import TOKEN, TOKEN_2022
from ironcrab.dex.curve import U64, half_up_ceil, impact_bps, out_for
from ironcrab.dex.face import ABSENT, Account, Clock, Quote, Refusal
from ironcrab.dex.mint import amount_of, decode_token

POOL = base58.encode(b"pool".rjust(32, b"p"))
KEYS = [base58.encode(bytes((number,)) * 32) for number in range(1, 40)]
VAULTS, MINTS, CONFIG, OBSERVATION, MARKET, ORDERS, PROGRAM, QUEUE = KEYS[:2], KEYS[2:4], *KEYS[4:10]
CLOCK = Clock(1, 1_800_000_000, 7)


def raw(key):
    return base58.decode(key)


def vault(mint, amount, *, program=TOKEN, tail=b""):
    data = raw(mint) + raw(KEYS[20]) + struct.pack("<Q", amount) + bytes(36) + b"\1" + bytes(56)
    return Account(program, 2_039_280, data + tail)


def amm_account(*, status=6, fee=(25, 10_000), owed=(0, 0), open_time=0):
    data = bytearray(752)
    for at, value in ((0, status), (8, 254), (176, fee[0]), (184, fee[1]), (192, owed[0]), (200, owed[1])):
        struct.pack_into("<Q", data, at, value)
    struct.pack_into("<Q", data, 224, open_time)
    for at, key in zip((336, 368, 400, 432, 496, 528, 560), (*VAULTS, *MINTS, ORDERS, MARKET, PROGRAM), strict=True):
        data[at : at + 32] = raw(key)
    return Account(raydium.PROGRAM, 1, bytes(data))


def amm_set(coin, pc, **more):
    return {POOL: amm_account(**more), VAULTS[0]: vault(MINTS[0], coin), VAULTS[1]: vault(MINTS[1], pc)}


def fee_tail(withheld=0):
    return b"\2" + struct.pack("<HHQ", 2, 8, withheld)


def fee_mint(bps, maximum):
    data = bytes(36) + struct.pack("<QBB", 0, 6, 1) + bytes(36)
    schedule = struct.pack("<QQH", 0, maximum, bps)
    extension = struct.pack("<HH", 1, 108) + bytes(72) + schedule + schedule
    return Account(TOKEN_2022, 1, data.ljust(165, b"\0") + b"\1" + extension)


def cpmm_set(reserve_0, reserve_1, *, creator=None, rates=(2500, 120_000, 40_000, 500), transfer=None):
    """Pool, configuration, vaults and mints; `creator` the side of its fee, `transfer` a Token-2022 fee on mint 1."""
    programs = (TOKEN, TOKEN if transfer is None else TOKEN_2022)
    data = bytearray(raydium_cpmm.POOL_BYTES)
    data[:8] = bytes.fromhex("f7ede3f5d7c3de46")
    keys = (CONFIG, KEYS[20], *VAULTS, KEYS[21], *MINTS, *programs, OBSERVATION)
    for at, key in zip(range(8, 328, 32), keys, strict=True):
        data[at : at + 32] = raw(key)
    if creator is not None:
        data[389:391] = bytes((creator, 1))
    config = bytearray(236)
    config[:8] = bytes.fromhex("daf42168cbcb2b6f")
    struct.pack_into("<QQQ", config, 12, *rates[:3])
    struct.pack_into("<Q", config, 108, rates[3])
    tail = b"" if transfer is None else fee_tail()
    return {
        POOL: Account(raydium_cpmm.PROGRAM, 1, bytes(data)),
        CONFIG: Account(raydium_cpmm.PROGRAM, 1, bytes(config)),
        VAULTS[0]: vault(MINTS[0], reserve_0),
        VAULTS[1]: vault(MINTS[1], reserve_1, program=programs[1], tail=tail),
        MINTS[1]: fee_mint(*(transfer or (0, 0))),
    }


def ask(accounts, amount, *, zero_in=True, exact="in", generation=None):
    return dex.quote(
        POOL,
        accounts,
        mint_in=MINTS[0 if zero_in else 1],
        amount=amount,
        exact=exact,
        clock=CLOCK,
        generation=generation,
    )


AMOUNT = st.one_of(st.integers(1, 1000), st.integers(1, 2**40), st.integers(1, 2**62))
AMM = st.builds(
    amm_set,
    AMOUNT,
    AMOUNT,
    fee=st.sampled_from([(25, 10_000), (0, 10_000), (1, 3), (30, 10_000)]),
    status=st.sampled_from([1, 6, 7]),
)
CPMM = st.builds(
    cpmm_set,
    AMOUNT,
    AMOUNT,
    creator=st.sampled_from([None, 0, 1, 2]),
    rates=st.sampled_from([(2500, 120_000, 40_000, 500), (10_000, 120_000, 40_000, 10_000), (1, 0, 0, 1)]),
    transfer=st.sampled_from([None, None, (0, 0), (300, 2**60), (300, 5), (10_000, 2**63)]),
)
POOLS = st.one_of(AMM, CPMM)
GENERATIONS = {raydium.PROGRAM: [None, "strict", "legacy"], raydium_cpmm.PROGRAM: [None, "creator", "legacy"]}
RUNS = settings(max_examples=250, derandomize=True, deadline=None)


@given(POOLS, st.tuples(AMOUNT, AMOUNT), st.booleans(), st.sampled_from(["in", "out"]), st.integers(0, 2))
@RUNS
def test_more_in_pays_no_less_out(accounts, amounts, zero_in, exact, which):
    generation = GENERATIONS[accounts[POOL].owner][which]
    few, many = (ask(accounts, n, zero_in=zero_in, exact=exact, generation=generation) for n in sorted(amounts))
    if isinstance(few, Quote) and isinstance(many, Quote):
        assert few.amount_in <= many.amount_in
        assert few.amount_out <= many.amount_out
        assert 0 <= few.price_impact_bps <= 10_000


@given(POOLS, AMOUNT, st.booleans(), st.sampled_from(["in", "out"]), st.integers(0, 2))
@RUNS
def test_vaults_and_fees_balance(accounts, amount, zero_in, exact, which):
    generation = GENERATIONS[accounts[POOL].owner][which]
    found = ask(accounts, amount, zero_in=zero_in, exact=exact, generation=generation)
    if isinstance(found, Refusal):
        return
    source, destination = VAULTS if zero_in else reversed(VAULTS)
    fees = {}
    for fee in found.fees:
        fees[fee.name, fee.mint] = fees.get((fee.name, fee.mint), 0) + fee.amount
    mint_in, mint_out = MINTS if zero_in else reversed(MINTS)
    entered = found.amount_in - fees.get(("transfer", mint_in), 0)
    left = found.amount_out + fees.get(("transfer", mint_out), 0)
    assert amount_of(found.after[source]) == amount_of(accounts[source]) + entered
    assert amount_of(found.after[destination]) == amount_of(accounts[destination]) - left
    assert 0 < found.amount_out <= left < amount_of(accounts[destination])
    withheld = decode_token(found.after[source]).withheld - decode_token(accounts[source]).withheld
    assert withheld == fees.get(("transfer", mint_in), 0)
    assert (found.amount_in if exact == "in" else found.amount_out) >= amount
    assert set(found.after) == {POOL, *VAULTS}


@given(POOLS, AMOUNT, st.booleans())
@RUNS
def test_exact_out_of_an_exact_in_quote_asks_no_more(accounts, amount, zero_in):
    found = ask(accounts, amount, zero_in=zero_in)
    if isinstance(found, Quote):
        back = ask(accounts, found.amount_out, zero_in=zero_in, exact="out")
        assert isinstance(back, Quote)
        assert back.amount_in <= amount
        assert back.amount_out >= found.amount_out


@given(POOLS, AMOUNT, st.booleans())
@RUNS
def test_a_round_trip_never_gains(accounts, amount, zero_in):
    found = ask(accounts, amount, zero_in=zero_in)
    if isinstance(found, Quote):
        home = ask(accounts | found.after, found.amount_out, zero_in=not zero_in)
        assert isinstance(home, Refusal) or home.amount_out <= amount


def told(found):
    return found if isinstance(found, Refusal) else (found.amount_in, found.amount_out, found.fees)


@given(AMM, AMOUNT, AMOUNT, st.booleans())
@RUNS
def test_the_next_quote_starts_from_after(accounts, a, b, zero_in):
    """Two AMM V4 swaps in a row: the second sees the reserves that the first left."""
    first = ask(accounts, a, zero_in=zero_in)
    if isinstance(first, Quote):
        side = (1, -1) if zero_in else (-1, 1)
        amounts = (first.amount_in, first.amount_out) if zero_in else (first.amount_out, first.amount_in)
        reserves = [
            amount_of(accounts[key]) + sign * moved for key, sign, moved in zip(VAULTS, side, amounts, strict=True)
        ]
        data = accounts[POOL].data
        fresh = amm_set(*reserves, fee=struct.unpack_from("<QQ", data, 176))
        one, two = ask(accounts | first.after, b), ask(fresh, b)
        assert told(one) == told(two)


def test_price_impact():
    assert impact_bps(0, 0, 5, 5) == 0
    assert impact_bps(100, 50, 100, 100) == 5000
    assert impact_bps(1, 5, 1, 1) == 0
    assert [half_up_ceil(a, 4) for a in range(6)] == [0, 0, 1, 1, 1, 2]
    whole = ask(amm_set(10**12, 10**12, fee=(0, 1)), 10**12)
    assert whole.price_impact_bps == 5000
    assert ask(cpmm_set(10**12, 10**12), 10**6).price_impact_bps == 0


def market_set(*, fills=(), coin_held=300, pc_held=400, status=1):
    market = bytearray(388)
    market[:5] = b"serum"
    market[253:285] = raw(QUEUE)
    orders = bytearray(3228)
    orders[:5] = b"serum"
    struct.pack_into("<Q", orders, 85, coin_held)
    struct.pack_into("<Q", orders, 101, pc_held)
    queue = bytearray(37 + 88 * 4 + 7)
    queue[:5] = b"serum"
    struct.pack_into("<QQ", queue, 13, 3, len(fills))
    for index, (flags, received, paid, owner) in enumerate(fills):
        at = 37 + 88 * ((3 + index) % 4)
        struct.pack_into("<B7xQQ", queue, at, flags, received, paid)
        queue[at + 48 : at + 80] = raw(owner)
    return amm_set(10_000, 20_000, status=status) | {
        MARKET: Account(PROGRAM, 1, bytes(market)),
        ORDERS: Account(PROGRAM, 1, bytes(orders)),
        QUEUE: Account(PROGRAM, 1, bytes(queue)),
    }


def test_orders_of_a_legacy_pool_count():
    """Reserves are vaults plus what the open orders hold, as fills in the queue will change it."""
    plain = market_set()
    assert (
        ask(plain, 1000, generation="legacy").amount_out
        == ask(amm_set(10_300, 20_400), 1000, generation="legacy").amount_out
    )
    fills = [
        (1 | 4 | 8, 50, 70, ORDERS),
        (1 | 8, 5, 10, ORDERS),
        (1 | 4, 9, 9, ORDERS),
        (1 | 4 | 8, 9, 9, PROGRAM),
    ]
    assert openbook.held(ORDERS, market_set(fills=fills)[ORDERS], market_set(fills=fills)[QUEUE]) == (
        340,
        335,
    )
    opened = ask(market_set(status=5), 1000, generation="legacy")
    assert opened.after[POOL].data[0] == 1
    assert isinstance(ask(market_set(status=5), 1000), Refusal)
    book = market_set(coin_held=0, pc_held=10**9)
    settled = ask(book, 10_000, generation="legacy")
    assert settled.code is None
    assert "market" in settled.reason
    broken = {
        MARKET: (Account(TOKEN, 1, bytes(388)), openbook.NO_MARKET),
        ORDERS: (Account(PROGRAM, 1, bytes(9)), None),
        QUEUE: (Account(PROGRAM, 1, bytes(9)), None),
    }
    for key, (account, code) in broken.items():
        found = ask(plain | {key: account}, 1000, generation="legacy")
        assert isinstance(found, Refusal)
        assert found.code == code
    too_much = market_set(fills=[(1 | 4 | 8, 0, 500, ORDERS)])
    assert ask(too_much, 1000, generation="legacy").code is None
    unknown = {key: account for key, account in plain.items() if key != QUEUE}
    assert ask(unknown, 1000, generation="legacy").missing == (QUEUE,)


OWNERS = (TOKEN, TOKEN_2022, raydium.PROGRAM, raydium_cpmm.PROGRAM, PROGRAM, "1" * 32)


def mutated(dice, account):
    """A few bytes flipped; one time in ten cut, one in ten of another owner, one in twenty known to be absent."""
    data = bytearray(account.data)
    for _ in range(dice.randrange(4)):
        data[dice.randrange(len(data))] = dice.choice((0, 1, 255, dice.randrange(256)))
    if dice.randrange(10) == 0:
        data = data[: dice.randrange(len(data) + 1)]
    if dice.randrange(20) == 0:
        return ABSENT
    owner = dice.choice(OWNERS) if dice.randrange(10) == 0 else account.owner
    return Account(owner, account.lamports, bytes(data))


def bases(venue):
    """Sound sets of accounts that reach every part of a venue's decoding."""
    if venue is raydium.VENUE:
        fills = [(13, 5, 5, ORDERS)]
        return [market_set(fills=fills, status=status) for status in (1, 5, 6, 7)]
    transfers = (None, (300, 2**60), (10_000, 2**63))
    return [cpmm_set(10**9, 10**9, creator=side, transfer=fee) for side in (None, 0, 2) for fee in transfers]


@pytest.mark.parametrize("venue", [raydium.VENUE, raydium_cpmm.VENUE], ids=lambda venue: venue.id)
def test_mutated_accounts_never_raise(venue, fuzz_rounds):
    """Wherever bytes flip, fields are cut, owners change, accounts lack: a quote or a typed refusal."""
    dice = random.Random(venue.id)
    sets = bases(venue)
    generations = [None, *(name for name, _ in venue.generations)]
    quotes = 0
    for _ in range(fuzz_rounds):
        mutants = {key: mutated(dice, account) for key, account in dice.choice(sets).items() if dice.randrange(30)}
        asked = {
            "mint_in": dice.choice([*MINTS, *MINTS, "", POOL]),
            "amount": dice.choice((0, 1, 10**3, 10**6, dice.randrange(2**64), 2**64 - 1, -1, 2**64)),
            "exact": dice.choice(("in", "out")),
            "clock": Clock(0, dice.choice((-1, 0, 2**40)), dice.choice((0, 7, 2**64))),
        }
        found = venue.quote(POOL, mutants, **asked, limit=None, generation=dice.choice(generations))
        assert isinstance(found, Quote | Refusal)
        quotes += isinstance(found, Quote)
        if dice.randrange(4) == 0:
            venue.needs(POOL, mutants, asked["mint_in"])
            fallback = dice.randrange(2) == 0
            built = venue.instructions(POOL, mutants, **asked, user=KEYS[0], other_amount=1, fallback=fallback)
            assert isinstance(built, tuple | Refusal)
    assert quotes > fuzz_rounds // 100


@given(st.binary(max_size=800), st.sampled_from([raydium, raydium_cpmm]))
@settings(max_examples=400, derandomize=True, deadline=None)
def test_random_bytes_never_raise(data, venue):
    account = Account(venue.PROGRAM, 1, data)
    assert isinstance(venue.decode(account), Refusal) or len(data) >= 637
    raydium_cpmm.decode_config(account)
    openbook.decode_market(MARKET, account, venue.PROGRAM)
    openbook.held(ORDERS, account, account)
    found = dex.quote(POOL, {POOL: account}, mint_in=MINTS[0], amount=1, clock=CLOCK)
    assert isinstance(found, Refusal)


@pytest.mark.parametrize("name", ["nothing", ""])
def test_an_unknown_generation_is_refused(name):
    found = ask(amm_set(10**6, 10**6), 100, generation=name)
    assert isinstance(found, Refusal)


@given(st.integers(1, U64), st.integers(1, U64), st.integers(1, U64))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_the_constant_product_never_falls(amount, reserve_in, reserve_out):
    out = out_for(amount, reserve_in, reserve_out)
    assert 0 <= out < reserve_out
    assert (reserve_in + amount) * (reserve_out - out) >= reserve_in * reserve_out
