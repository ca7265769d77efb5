"""Whirlpool: refusals with the program's numbers, what a quote needs, the instructions it would send."""

import base64
import json

import pytest
from msgspec.structs import replace

from ironcrab.dex import ABSENT, Account, Clock, Fee, Quote, Refusal, base58, quote, venue_of
from ironcrab.dex import whirlpool_steps as steps
from ironcrab.dex import whirlpool_swap as swaps
from ironcrab.dex.address import MEMO, TOKEN, TOKEN_2022, associated
from ironcrab.dex.ticks import MAX_SQRT_PRICE, MIN_SQRT_PRICE, sqrt_price_at
from ironcrab.dex.whirlpool import VENUE
from ironcrab.dex.whirlpool_pool import decode
from ironcrab.dex.whirlpool_state import (
    FIXED_ARRAY,
    IMMUTABLE,
    ORACLE,
    PROGRAM,
    WHIRLPOOL,
    array_address,
    decode_oracle,
    decode_whirlpool,
    oracle_address,
)
from ironcrab.dex.whirlpool_steps import Fault

POOL, CONFIG, MINT_A, VAULT_A, MINT_B, VAULT_B, USER = (base58.encode(bytes([n]) * 32) for n in range(11, 18))
NOW = Clock(1, 1_760_000_000, 900)


def u(number, size):
    return number.to_bytes(size, "little", signed=number < 0)


def pool_account(*, spacing=64, tier=None, price=1 << 64, tick=0, liquidity=10**12, owed=0, at=0):
    raw = base58.decode
    data = WHIRLPOOL + raw(CONFIG) + b"\xff" + u(spacing, 2) + u(spacing if tier is None else tier, 2)
    data += u(3000, 2) + u(300, 2) + u(liquidity, 16) + u(price, 16) + u(tick, 4) + u(owed, 8) * 2
    data += raw(MINT_A) + raw(VAULT_A) + bytes(16) + raw(MINT_B) + raw(VAULT_B) + bytes(16) + u(at, 8)
    return Account(PROGRAM, 1, data + bytes(384))


def array_account(start, nets, spacing=64, pool=POOL):
    data = bytearray(9988)
    data[:12] = FIXED_ARRAY + u(start, 4)
    data[9956:] = base58.decode(pool)
    for tick, net in nets.items():
        at = 12 + 113 * ((tick - start) // spacing)
        data[at : at + 33] = b"\1" + u(net, 16) + u(abs(net), 16)
    return Account(PROGRAM, 1, bytes(data))


def vault(mint, amount, *, state=1, program=TOKEN):
    data = base58.decode(mint) + base58.decode(POOL) + u(amount, 8) + bytes(36) + bytes([state]) + bytes(56)
    return Account(program, 2_039_280, data)


def mint_account(*, program=TOKEN, extension=b""):
    data = bytes(44) + b"\6\1" + bytes(36)
    return Account(program, 1, data.ljust(165, b"\0") + b"\1" + extension if extension else data)


def where(start):
    return array_address(PROGRAM, POOL, start)


def known(**more):
    """A pool of spacing 64 at price 1 with one position from -6400 to 6400."""
    return {
        POOL: pool_account(**more),
        where(0): ABSENT,
        where(-5632): ABSENT,
        where(5632): array_account(5632, {6400: -(10**12)}),
        where(11264): ABSENT,
        where(-11264): array_account(-11264, {-6400: 10**12}),
        VAULT_A: vault(MINT_A, 10**12),
        VAULT_B: vault(MINT_B, 10**12),
    }


def ask(accounts, amount=1000, **more):
    given = {"mint_in": MINT_A, "clock": NOW} | more
    return quote(POOL, accounts, amount=amount, **given)


def test_quote():
    answer = ask(known(), 10**9)
    assert isinstance(answer, Quote)
    assert answer.amount_in == 10**9
    assert {fee.name for fee in answer.fees} == {"lp", "protocol"}
    assert sum(fee.amount for fee in answer.fees) == 3_000_000
    assert answer.price_impact_bps == 9  # 1e9 of 1e12: a tenth of a percent, rounded down
    assert not answer.partial
    assert list(answer.after) == [POOL, VAULT_A, VAULT_B]
    assert len(answer.after) == 3
    assert repr(answer.after).startswith("After({")
    later = known() | answer.after
    assert later == {**known(), **answer.after} == dict(known()) | dict(answer.after)
    assert answer.after | known() == known() | {}
    assert venue_of(IMMUTABLE) is venue_of(PROGRAM) is VENUE


def test_fees_are_in_the_input_mint():
    answer = ask(known(), 10**6, mint_in=MINT_B, exact="out")
    assert answer.amount_out == 10**6
    assert {fee.mint for fee in answer.fees} == {MINT_B}


def test_unknown_accounts_are_named():
    accounts = known()
    assert ask({}).missing == (POOL,)
    assert VENUE.quote(
        POOL, {}, mint_in=MINT_A, amount=1, exact="in", clock=NOW, limit=None, generation=None
    ).missing == (POOL,)
    assert decode("nonsense", {}).missing == ("nonsense",)
    assert decode(POOL, {POOL: ABSENT}).code == 3007
    for missing, code in ((where(0), 6023), (where(-5632), 6038), (where(-11264), 6038)):
        answer = ask({key: value for key, value in accounts.items() if key != missing}, 10**12)
        assert (answer.code, answer.missing) == (code, (missing,))
    without = {key: value for key, value in accounts.items() if key not in (VAULT_A, VAULT_B)}
    answer = ask(without)
    assert (answer.code, answer.missing) == (None, (MINT_A, MINT_B))
    answer = ask(without | {MINT_A: mint_account(), MINT_B: mint_account()})
    assert list(answer.after) == [POOL]
    adaptive = accounts | {POOL: pool_account(tier=1025)}
    assert ask(adaptive).missing == (oracle_address(PROGRAM, POOL),)
    assert isinstance(ask(adaptive | {oracle_address(PROGRAM, POOL): ABSENT}), Quote)


def test_needs():
    accounts = known(tier=1025)
    assert VENUE.needs(POOL, {}, MINT_A) == (POOL,)
    alone = {POOL: accounts[POOL]}
    arrays = tuple(map(where, (0, -5632, -11264)))
    assert VENUE.needs(POOL, alone, MINT_A) == (MINT_A, MINT_B, oracle_address(PROGRAM, POOL), *arrays)
    assert VENUE.needs(POOL, accounts, MINT_B) == (oracle_address(PROGRAM, POOL),)
    assert VENUE.needs(POOL, accounts | {oracle_address(PROGRAM, POOL): ABSENT}, MINT_B) == ()
    assert VENUE.needs(POOL, {POOL: ABSENT}, MINT_A) == ()
    assert VENUE.needs(POOL, known(), MINT_A) == ()
    assert VENUE.needs("nonsense", {"nonsense": accounts[POOL]}, MINT_A) == ()
    assert VENUE.needs(POOL, alone, "other") == (MINT_A, MINT_B, oracle_address(PROGRAM, POOL))


PAUSED = mint_account(program=TOKEN_2022, extension=b"\x1a\0\x21\0" + bytes(32) + b"\1")
HOOKED = mint_account(program=TOKEN_2022, extension=b"\x0e\0\x40\0" + bytes(32) + bytes([9]) * 32)


def test_fees_owed_wrap_around():
    """The executed program adds them without a check (an overflow would take 2**64 raw units unswept)."""
    answer = ask(known() | {POOL: pool_account(owed=2**64 - 1)}, 10**9)
    protocol = next(fee.amount for fee in answer.fees if fee.name == "protocol")
    assert protocol > 0
    assert decode_whirlpool(answer.after[POOL]).protocol_a == protocol - 1


@pytest.mark.parametrize(
    ("code", "change", "asked"),
    [
        (None, {}, {"mint_in": CONFIG}),
        (None, {}, {"amount": 2**64}),
        (None, {}, {"limit": 2**128}),
        (6011, {}, {"limit": 1}),
        (6034, {}, {"limit": 1 << 64}),
        (6034, {}, {"limit": 1 << 64, "mint_in": MINT_B}),
        (6035, {}, {"amount": 0}),
        (6021, {}, {"clock": Clock(0, -1, 0)}),
        (6021, {}, {"clock": Clock(0, 2**63, 0)}),
        (6022, {POOL: pool_account(at=2**40)}, {}),
        (6057, {}, {"amount": 10**9, "exact": "out"}),
        (3002, {POOL: Account(PROGRAM, 1, bytes(653))}, {}),
        (3007, {where(0): Account(TOKEN, 1, b"x")}, {}),
        (3001, {where(0): Account(PROGRAM, 1, b"x")}, {}),
        (6056, {where(0): array_account(0, {}, pool=CONFIG)}, {}),
        (None, {where(0): array_account(5632, {})}, {}),
        (None, {VAULT_A: Account(TOKEN, 1, b"")}, {}),
        (None, {VAULT_B: Account(TOKEN, 1, b"")}, {}),
        (None, {MINT_A: ABSENT}, {}),
        (None, {MINT_B: ABSENT}, {}),
        (17, {VAULT_B: vault(MINT_B, 10**12, state=2)}, {}),
        (17, {VAULT_A: vault(MINT_A, 10**12, state=2)}, {}),
        (1, {VAULT_B: vault(MINT_B, 10)}, {}),
        (14, {VAULT_A: vault(MINT_A, 2**64 - 10)}, {}),
        (1, {VAULT_B: vault(MINT_B, 10), MINT_B: PAUSED}, {}),
        (17, {VAULT_A: vault(MINT_A, 10**12, state=2), MINT_A: PAUSED}, {}),
        (67, {VAULT_A: vault(MINT_A, 2**64 - 10), MINT_A: PAUSED}, {}),
        (67, {VAULT_B: vault(MINT_B, 10**12, state=2), MINT_A: PAUSED}, {}),
        (6050, {VAULT_A: vault(MINT_A, 10**12, state=2), MINT_A: HOOKED}, {}),
        (6050, {VAULT_B: vault(MINT_B, 10), MINT_B: HOOKED}, {}),
        (67, {MINT_A: PAUSED}, {}),
        (67, {MINT_B: PAUSED}, {}),
        (3001, {oracle_address(PROGRAM, POOL): Account(PROGRAM, 1, b"short")}, {}),
    ],
)  # fmt: skip
def test_refusals(code, change, asked):
    accounts = known()
    if asked.get("exact") == "out":
        # Nothing lies beyond the position: the range of prices itself ends the swap.
        accounts = known(spacing=32896, liquidity=10**6)
        accounts |= {where(start): ABSENT for start in (0, -2894848)}
    answer = ask(accounts | change, **asked)
    assert isinstance(answer, Refusal), answer
    assert answer.code == code
    assert answer.reason
    assert answer.missing == ()


def test_oracle_of_another_pool(vectors):
    row = next(r for r in vectors("orca_whirlpool") if r.get("variant") == "fab-adaptive00")
    ref = row["accounts"]["oracle"]["ref"]
    data = next(base64.b64decode(r["data"]) for r in vectors("orca_whirlpool") if r.get("ref") == ref)
    accounts = known() | {oracle_address(PROGRAM, POOL): Account(PROGRAM, 1, data)}
    assert f"is that of the pool {row['pool']}" in ask(accounts).reason


def test_partial_fill_at_a_limit():
    limit = sqrt_price_at(-100)
    answer = ask(known(), 10**12, limit=limit)
    assert answer.partial
    assert decode_whirlpool(answer.after[POOL]).sqrt_price == limit
    assert answer.amount_in < 10**12
    assert ask(known(), 10**12, exact="out", limit=limit).partial


def test_two_hooks_and_fees():
    hook = b"\x0e\0\x40\0" + bytes(32) + bytes([9]) * 32
    answer = ask(known() | {MINT_B: mint_account(program=TOKEN_2022, extension=hook)})
    assert "hook" in answer.reason
    assert isinstance(
        VENUE.instructions(
            POOL, known() | {MINT_B: mint_account(program=TOKEN_2022, extension=hook)}, user=USER, mint_in=MINT_A,
            amount=1, other_amount=0, exact="in", clock=NOW,
        ),
        Refusal,
    )  # fmt: skip


def test_gross_amount_beyond_a_u64():
    tax = b"\1\0\x6c\0" + bytes(72) + (u(0, 8) + u(2**64 - 1, 8) + u(10_000, 2)) * 2
    taxed = {MINT_B: mint_account(program=TOKEN_2022, extension=tax)}
    assert ask(known() | taxed, 5, exact="out").code == 6052


# --- steps -------------------------------------------------------------------------------------------------


def test_amounts_beyond_a_u64():
    assert steps.delta_a(2**100, MIN_SQRT_PRICE, MIN_SQRT_PRICE + 10**6, True) == -6017
    assert steps.delta_a(2**127, MIN_SQRT_PRICE, 1 << 60, True) == -6008
    with pytest.raises(Fault, match="overflows"):
        steps.delta_a(2**127, MIN_SQRT_PRICE, MAX_SQRT_PRICE, False)
    assert steps.delta_b(2**120, 1 << 64, 1 << 65, True) == -6030
    assert steps.delta_b(2**64 - 1, 0, 2**64 + 1, True) == -6033
    assert steps.delta_b(2**64 - 1, 0, 2**64 + 1, False) == 2**64 - 1
    assert steps.delta_b(3, 1 << 64, 1 << 65, True) == 3


@pytest.mark.parametrize(
    ("code", "call"),
    [
        (6033, lambda: steps._price_after_a(MAX_SQRT_PRICE, 2**120, 1, True)),
        (6006, lambda: steps._price_after_a(1 << 64, 10, 11, False)),
        (6018, lambda: steps._price_after_a(MIN_SQRT_PRICE, 1, 2**63, True)),
        (6017, lambda: steps._price_after_a(MAX_SQRT_PRICE, 2**62, 2**29, False)),
        (6011, lambda: steps._price_after_b(1 << 64, 10, 11, False)),
        (6014, lambda: steps.crossed(2**128 - 1, 1, a_to_b=False)),
        (6015, lambda: steps.crossed(1, 2, a_to_b=True)),
        (6039, lambda: swaps._check(2**64)),
    ],
)
def test_faults(code, call):
    with pytest.raises(Fault) as caught:
        call()
    assert caught.value.code == code


def test_no_amount_moves_no_price():
    assert steps._price_after_a(1 << 64, 10, 0, True) == 1 << 64


# --- instructions ------------------------------------------------------------------------------------------


def build(accounts, **more):
    given = {
        "user": USER,
        "mint_in": MINT_A,
        "amount": 1000,
        "other_amount": 990,
        "exact": "in",
        "clock": NOW,
    }
    return VENUE.instructions(POOL, accounts, **given | more)


def test_swap_v2():
    (built,) = build(known())
    assert built.program == PROGRAM
    assert built.data.hex() == "2b04ed0b1ac91e62" + "e803000000000000" + "de03000000000000" + "00" * 16 + "0101" + "00"
    own = associated(USER, MINT_A, TOKEN), associated(USER, MINT_B, TOKEN)
    arrays = [where(start) for start in (0, -5632, -11264)]
    keys = [TOKEN, TOKEN, MEMO, USER, POOL, MINT_A, MINT_B, own[0], VAULT_A, own[1], VAULT_B, *arrays]
    assert [meta.pubkey for meta in built.metas] == [*keys, oracle_address(PROGRAM, POOL)]
    assert [meta.signer for meta in built.metas] == [False] * 3 + [True] + [False] * 11
    assert [place for place, meta in enumerate(built.metas) if not meta.writable] == [0, 1, 2, 3, 5, 6]


def test_swap_is_the_fallback():
    (built,) = build(known(), fallback=True, mint_in=MINT_B, exact="out")
    assert built.data.hex() == "f8c69e91e17587c8" + "e803000000000000" + "de03000000000000" + "00" * 16 + "0000"
    assert [meta.pubkey for meta in built.metas][7:10] == [where(start) for start in (0, 5632, 11264)]
    newer = known() | {MINT_A: mint_account(program=TOKEN_2022, extension=b"\x12\0\x40\0" + bytes(64))}
    assert isinstance(build(newer, fallback=True), Refusal)
    (other,) = build(newer)
    assert other.metas[0].pubkey == TOKEN_2022
    assert other.metas[7].pubkey == associated(USER, MINT_A, TOKEN_2022)


def test_the_last_array_is_repeated_at_the_end_of_the_range():
    accounts = known(tick=-443000, price=sqrt_price_at(-443000))
    (built,) = build(accounts)
    assert [meta.pubkey for meta in built.metas][11:14] == [where(-444928)] * 3


def test_what_cannot_be_built():
    assert isinstance(build(known(), mint_in=CONFIG), Refusal)
    assert isinstance(build(known(), user="nobody"), Refusal)
    assert isinstance(build(known(), amount=-1), Refusal)
    assert build({POOL: pool_account(tier=7)}).missing == (oracle_address(PROGRAM, POOL), MINT_A, MINT_B)
    assert build({}).missing == (POOL,)


@pytest.mark.parametrize("name", ["swap", "swap_v2"])
def test_real_instruction_meta_by_meta(shared, truth_table, name):
    """A real instruction rebuilt from its pool; spacing and tick are those whose tick arrays it names.

    Left aside, since they cannot be compared: the user's token accounts (the mints of `swap` are not in it; the
    authority of `swap_v2` is a program's own account without associated accounts), the flags of the authority (there
    the payer, here a program), the price limit (we set none). Two of ours differ by intent: the oracle of `swap` is
    writable, as pools with adaptive fees need it, and `swap_v2` takes tick arrays in any order.
    """
    row = json.loads((shared / f"data/orca/instructions/{name}_ix.json").read_text())
    roles = {each["role"]: each["pubkey"] for each in row["accounts"]}
    pool, data = roles["whirlpool"], bytes.fromhex(row["data"])
    a_to_b = data[41] == 1
    spacing, tick = found(pool, roles["tickArray2" if name == "swap_v2" else "tickArray0"])
    assert spacing == 8
    account = pool_account(spacing=spacing, price=sqrt_price_at(tick), tick=tick)
    raw = bytearray(account.data)
    roles = {"tokenMintA": MINT_A, "tokenMintB": MINT_B} | roles
    for at, role in ((101, "tokenMintA"), (133, "tokenVaultA"), (181, "tokenMintB"), (213, "tokenVaultB")):
        raw[at : at + 32] = base58.decode(roles[role])
    accounts = {pool: Account(PROGRAM, 1, bytes(raw))}
    accounts |= {roles["tokenMintA"]: mint_account(), roles["tokenMintB"]: mint_account()}
    (built,) = VENUE.instructions(
        pool, accounts, user=roles["tokenAuthority"], mint_in=roles["tokenMintA" if a_to_b else "tokenMintB"],
        exact="in", clock=NOW, amount=int.from_bytes(data[8:16], "little"),
        other_amount=int.from_bytes(data[16:24], "little"), fallback=name == "swap",
    )  # fmt: skip
    same = {}
    for meta, each in zip(built.metas, row["accounts"], strict=True):
        same[each["role"]] = (meta.pubkey, meta.writable) == (each["pubkey"], each["writable"])
    for aside in ("tokenOwnerAccountA", "tokenOwnerAccountB", "tokenAuthority"):
        del same[aside]
    arrays = [each for each in same if each.startswith("tickArray")]
    ours = {meta.pubkey for meta in built.metas}
    for each in arrays:
        same[each] = roles[each] in ours
    if name == "swap":
        assert same.pop("oracle") is False
        assert built.metas[10].pubkey == roles["oracle"]
    truth_table.add("orca", f"real {name}: metas compared", len(same), sum(same.values()))
    assert all(same.values()), same
    assert (built.data[:24], built.data[40:42]) == (data[:24], data[40:42])


def found(pool, address):
    """Tick spacing and start of the tick array at an address."""
    for spacing in (64, 128, 96, 16, 8, 4, 2, 256):
        span = 88 * spacing
        for start in range(-443636 // span * span, 443637, span):
            if array_address(PROGRAM, pool, start) == address:
                return spacing, start
    raise AssertionError(address)


def test_a_trade_reckons_fees_and_remembers_paths():
    pool = decode(POOL, known())
    small = pool.quote(mint_in=MINT_A, amount=1000, exact="in", clock=NOW)
    assert pool.quote(mint_in=MINT_A, amount=1000, exact="in", clock=NOW) == small
    assert list(pool.paths) == [True]
    paused = replace(pool, barred=(Refusal(67, "paused"), None))
    assert paused.quote(mint_in=MINT_A, amount=1000, exact="in", clock=NOW).code == 67


def test_transfer_fees_by_name():
    tax = b"\1\0\x6c\0" + bytes(72) + u(0, 8) + u(50, 8) + u(100, 2) + u(901, 8) + u(7, 8) + u(100, 2)
    mints = {mint: mint_account(program=TOKEN_2022, extension=tax) for mint in (MINT_A, MINT_B)}
    tail = b"\2\2\0\x08\0" + bytes(8)
    vaults = {key: Account(TOKEN_2022, 1, known()[key].data + tail) for key in (VAULT_A, VAULT_B)}
    answer = ask(known() | mints | vaults, 10**6)
    assert Fee("transfer", MINT_A, 50) in answer.fees
    assert Fee("transfer", MINT_B, 50) in answer.fees
    assert int.from_bytes(answer.after[VAULT_A].data[-8:], "little") == 50
    later = ask(known() | mints | vaults, 10**6, clock=Clock(1, NOW.unix_timestamp, 901))
    assert Fee("transfer", MINT_A, 7) in later.fees


# --- adaptive fees -----------------------------------------------------------------------------------------


def oracle_account(*, size=1, peak=2**32 - 1, control=1, volatility=0, age=10, period=(30, 600)):
    constants = u(period[0], 2) + u(period[1], 2) + u(5000, 2) + u(control, 4) + u(peak, 4) + u(size, 2) + u(64, 2)
    variables = u(NOW.unix_timestamp - age, 8) + u(0, 8) + u(volatility, 4) + u(0, 4) + u(volatility, 4)
    return Account(PROGRAM, 1, ORACLE + base58.decode(POOL) + bytes(8) + constants + bytes(16) + variables + bytes(144))


def adaptive(spacing=64, **more):
    return known(spacing=spacing, tier=1025) | {oracle_address(PROGRAM, POOL): oracle_account(**more)}


def test_volatility_above_its_maximum():
    assert "above its maximum" in ask(adaptive(volatility=100, peak=99)).reason


def test_a_swap_through_endless_groups_is_given_up():
    """One tick a group over more than a thousand of them: no transaction could pay for it."""
    wide = {where(start): ABSENT for start in (11264, 22528)}
    wide |= {where(0): array_account(0, {11136: 1}, spacing=128)}
    answer = ask(adaptive(spacing=128) | wide, 10**13, mint_in=MINT_B)
    assert "more than 1000 tick groups" in answer.reason


def test_time_of_the_oracle():
    assert ask(adaptive(age=-10)).code == 6022
    where_oracle = oracle_address(PROGRAM, POOL)
    for age, reference in ((10, 50_000), (100, 25_000), (1000, 0), (4000, 0)):
        answer = ask(adaptive(size=64, volatility=50_000, age=age))
        assert decode_oracle(answer.after[where_oracle]).volatility_reference == reference


def test_an_amount_out_that_rounding_lifts_beyond_a_u64():
    with pytest.raises(Fault) as caught:
        steps.step(2**64 - 1, 0, 2**100, 1 << 90, 1 << 89, False, True)
    assert caught.value.code == 6030
