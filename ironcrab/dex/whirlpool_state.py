"""Accounts of the Whirlpool program: decoded once, and written back over the bytes they came from.

Layouts (little-endian, packed, offsets include the discriminator) are those of orca-so/whirlpools `state/`. A
longer account than its layout is read by its known part; what stands behind is kept when it is written back.
Every decoder answers a Refusal with Anchor's error number for bytes that are not what they are taken for.
"""

from functools import lru_cache
from struct import Struct as Layout

from msgspec import Struct

from ironcrab.dex import base58
from ironcrab.dex.address import find_program_address
from ironcrab.dex.face import DECODED, Account, Refusal
from ironcrab.dex.ticks import ARRAY_TICKS, MAX_SQRT_PRICE, MIN_SQRT_PRICE

PROGRAM = "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc"
IMMUTABLE = "iwhrLHdsgrvmnwU8GF2FSmyabSMjfHwFGJAX2ufJ3ZN"
"""The second deployment of the same source, which cannot be upgraded."""

WHIRLPOOL = bytes((63, 149, 209, 12, 225, 128, 99, 9))
FIXED_ARRAY = bytes((69, 97, 189, 190, 110, 7, 66, 187))
DYNAMIC_ARRAY = bytes((17, 216, 246, 142, 225, 199, 218, 56))
ORACLE = bytes((139, 194, 131, 179, 140, 179, 229, 244))
FEE_TIER = bytes((56, 75, 159, 76, 142, 68, 190, 105))
ADAPTIVE_FEE_TIER = bytes((147, 16, 144, 116, 47, 146, 149, 46))
CONFIG = bytes((157, 20, 49, 224, 217, 87, 193, 254))
POSITION = bytes((170, 188, 143, 228, 122, 64, 247, 208))

WRONG_OWNER = 3007
NO_DISCRIMINATOR = 3001
WRONG_DISCRIMINATOR = 3002
NOT_DESERIALISED = 3003

_POOL = Layout("<8s32sBHHHH2Q2QiQQ32s32s2Q32s32s2QQ")
_RATES = Layout("<HH")
_PRICE = Layout("<2Q2QiQQ")
_REWARD = Layout("<32s32s32s2Q2Q")
_REWARDS_AT = 269
_FIXED_BYTES = 9988
_FIXED_TICKS_AT = 12
_TICK_BYTES = 113
_TICK_BODY = Layout("<Qq12Q")
_DYNAMIC_TICKS_AT = 60
_ORACLE = Layout("<8s32sQHHHIIHH16sQQIiI")
_VARIABLES_AT = 82
_VARIABLES = Layout("<QQIiI")
_FEE_TIER = Layout("<8s32sHH")
_ADAPTIVE_TIER = Layout("<8s32sHH32s32sHHHHIIHH")
_CONFIG = Layout("<8s32s32s32sHH")
_POSITION = Layout("<8s32s32s2Qii")
_U64 = 2**64 - 1


class Reward(Struct, frozen=True, gc=False):
    """A liquidity reward of a pool: emissions per second and growth per unit of liquidity, both Q64.64."""

    mint: str
    vault: str
    extension: bytes
    emissions: int
    growth: int


class Whirlpool(Struct, frozen=True, gc=False):
    """A pool account. `fee_rate` in 1e-6 of the input, `protocol_rate` in 1e-4 of the fee; growths Q64.64.

    `sqrt_price` is Q64.64, token B per token A in raw units. `tick` may lie one below the tick of that price,
    so it is never derived from it. `tier` differs from `spacing` for a pool with adaptive fees.
    """

    config: str
    bump: int
    spacing: int
    tier: int
    fee_rate: int
    protocol_rate: int
    liquidity: int
    sqrt_price: int
    tick: int
    protocol_a: int
    protocol_b: int
    mint_a: str
    vault_a: str
    growth_a: int
    mint_b: str
    vault_b: str
    growth_b: int
    rewarded_at: int
    rewards: tuple[Reward, Reward, Reward]


class Tick(Struct, frozen=True, gc=False):
    """An initialised tick: net liquidity added going up, gross liquidity, growths outside (Q64.64)."""

    net: int
    gross: int
    outside_a: int
    outside_b: int
    rewards: tuple[int, int, int]


class TickArray(Struct, frozen=True, gc=False):
    """88 ticks from `start`, one a spacing; `ticks` holds the initialised ones by place, 0 to 87."""

    start: int
    pool: str
    ticks: dict[int, Tick]


class Oracle(Struct, frozen=True, gc=False):
    """Adaptive-fee constants and variables of a pool; times in unix seconds, volatility scaled by 10,000."""

    pool: str
    opens_at: int
    filter_period: int
    decay_period: int
    reduction: int
    control: int
    max_volatility: int
    group_size: int
    major_ticks: int
    referenced_at: int
    major_at: int
    volatility_reference: int
    group_reference: int
    volatility: int


class FeeTier(Struct, frozen=True, gc=False):
    """Default static fee rate (1e-6) of a tick spacing."""

    config: str
    spacing: int
    fee_rate: int


class AdaptiveFeeTier(Struct, frozen=True, gc=False):
    """Defaults of pools with adaptive fees (see `Oracle` for the constants)."""

    config: str
    index: int
    spacing: int
    pool_authority: str
    fee_authority: str
    fee_rate: int
    filter_period: int
    decay_period: int
    reduction: int
    control: int
    max_volatility: int
    group_size: int
    major_ticks: int


class Config(Struct, frozen=True, gc=False):
    """Authorities, default protocol fee rate (1e-4 of the fee) and feature flags shared by many pools."""

    fee_authority: str
    protocol_authority: str
    reward_authority: str
    protocol_rate: int
    flags: int


class Position(Struct, frozen=True, gc=False):
    """Liquidity of one position between two ticks."""

    pool: str
    mint: str
    liquidity: int
    lower: int
    upper: int


@lru_cache(maxsize=65536)
def array_address(program: str, pool: str, start: int) -> str:
    """Address of the tick array of a pool that begins at a tick.

    Raises:
        ValueError: a key is no base58 of at most 32 bytes.
    """
    return find_program_address((b"tick_array", base58.decode(pool), str(start).encode()), program)[0]


@lru_cache(maxsize=65536)
def oracle_address(program: str, pool: str) -> str:
    """Address of the oracle of a pool, whether it exists or not.

    Raises:
        ValueError: a key is no base58 of at most 32 bytes.
    """
    return find_program_address((b"oracle", base58.decode(pool)), program)[0]


@lru_cache(maxsize=DECODED)
def decode_whirlpool(account: Account) -> Whirlpool | Refusal:
    """The pool of an account (653 bytes or more). Never raises."""
    data = account.data
    wrong = _wrong(account, WHIRLPOOL, 653, "Whirlpool")
    if wrong is not None:
        return wrong
    key = base58.key
    (
        _, config, bump, spacing, tier, fee_rate, protocol_rate, l0, l1, p0, p1, tick, owed_a, owed_b,
        mint_a, vault_a, a0, a1, mint_b, vault_b, b0, b1, rewarded_at,
    ) = _POOL.unpack_from(data)  # fmt: skip
    sqrt_price = p1 << 64 | p0
    if spacing == 0 or not MIN_SQRT_PRICE <= sqrt_price <= MAX_SQRT_PRICE:
        wanted = "tick spacing above 0 at byte 41, sqrt price in range at byte 65"
        return Refusal(None, f"no Whirlpool: wanted {wanted}, found {spacing} and {sqrt_price}")
    return Whirlpool(
        key(config), bump, spacing, tier, fee_rate, protocol_rate,
        l1 << 64 | l0, sqrt_price, tick, owed_a, owed_b,
        key(mint_a), key(vault_a), a1 << 64 | a0, key(mint_b), key(vault_b), b1 << 64 | b0, rewarded_at,
        (_reward(data, 269), _reward(data, 397), _reward(data, 525)),
    )  # fmt: skip


def _reward(data: bytes, at: int) -> Reward:
    mint, vault, extension, e0, e1, g0, g1 = _REWARD.unpack_from(data, at)
    return Reward(base58.key(mint), base58.key(vault), extension, e1 << 64 | e0, g1 << 64 | g0)


def encode_whirlpool(pool: Whirlpool, over: bytes) -> bytes:
    """The numbers of a pool written over the bytes of its account (config, mints and vaults never change)."""
    data = bytearray(over)
    _RATES.pack_into(data, 45, pool.fee_rate, pool.protocol_rate)
    _PRICE.pack_into(
        data,
        49,
        *_halves(pool.liquidity),
        *_halves(pool.sqrt_price),
        pool.tick,
        pool.protocol_a,
        pool.protocol_b,
    )
    data[165:181] = pool.growth_a.to_bytes(16, "little")
    data[245:261] = pool.growth_b.to_bytes(16, "little")
    data[261:269] = pool.rewarded_at.to_bytes(8, "little")
    for place, reward in enumerate(pool.rewards):
        at = _REWARDS_AT + 128 * place + 96
        data[at : at + 32] = (reward.growth << 128 | reward.emissions).to_bytes(32, "little")
    return bytes(data)


def _halves(number: int) -> tuple[int, int]:
    return number & _U64, number >> 64


@lru_cache(maxsize=512)
def decode_array(account: Account) -> TickArray | Refusal:
    """The tick array of an account, fixed (9,988 bytes) or dynamic (148 and 112 a tick). Never raises.

    Remembered, for a swap's instructions look at the arrays that its quote looked at.
    """
    data = account.data
    if data[:8] == DYNAMIC_ARRAY:
        return _dynamic(account)
    wrong = _wrong(account, FIXED_ARRAY, _FIXED_BYTES, "TickArray")
    if wrong is not None:
        return wrong
    ticks = {}
    flags = data[_FIXED_TICKS_AT : _FIXED_TICKS_AT + ARRAY_TICKS * _TICK_BYTES : _TICK_BYTES]
    for place, flag in enumerate(flags):
        if flag:
            ticks[place] = _tick(data, _FIXED_TICKS_AT + 1 + _TICK_BYTES * place)
    start = int.from_bytes(data[8:12], "little", signed=True)
    return TickArray(start, base58.key(data[9956:9988]), ticks)


def _dynamic(account: Account) -> TickArray | Refusal:
    wrong = _wrong(account, DYNAMIC_ARRAY, _DYNAMIC_TICKS_AT, "DynamicTickArray")
    if wrong is not None:
        return wrong
    data = account.data
    bitmap = int.from_bytes(data[44:60], "little")
    needed = _DYNAMIC_TICKS_AT + ARRAY_TICKS + 112 * (bitmap & (1 << ARRAY_TICKS) - 1).bit_count()
    if len(data) < needed:
        return Refusal(None, f"no DynamicTickArray: {len(data)} bytes, its bitmap at byte 44 wants {needed}")
    ticks = {}
    at = _DYNAMIC_TICKS_AT
    for place in range(ARRAY_TICKS):
        if bitmap >> place & 1:
            ticks[place] = _tick(data, at + 1)
            at += _TICK_BYTES
        else:
            at += 1
    start = int.from_bytes(data[8:12], "little", signed=True)
    return TickArray(start, base58.key(data[12:44]), ticks)


def _tick(data: bytes, at: int) -> Tick:
    n0, n1, g0, g1, a0, a1, b0, b1, *rewards = _TICK_BODY.unpack_from(data, at)
    r0, r1, r2, r3, r4, r5 = rewards
    growths = (r1 << 64 | r0, r3 << 64 | r2, r5 << 64 | r4)
    return Tick(n1 << 64 | n0, g1 << 64 | g0, a1 << 64 | a0, b1 << 64 | b0, growths)


def encode_array(array: TickArray, over: bytes) -> bytes:
    """The ticks written over the bytes of an array in which the same ticks are initialised.

    A swap never changes which ticks are initialised, so the length of a dynamic array stays.
    """
    data = bytearray(over)
    dynamic = over[:8] == DYNAMIC_ARRAY
    bitmap = int.from_bytes(over[44:60], "little")
    for place, tick in array.ticks.items():
        at = _FIXED_TICKS_AT + _TICK_BYTES * place
        if dynamic:
            at = _DYNAMIC_TICKS_AT + place + 112 * (bitmap & (1 << place) - 1).bit_count()
        _TICK_BODY.pack_into(
            data, at + 1, tick.net & _U64, tick.net >> 64, *_halves(tick.gross), *_halves(tick.outside_a),
            *_halves(tick.outside_b), *(half for growth in tick.rewards for half in _halves(growth)),
        )  # fmt: skip
    return bytes(data)


def decode_oracle(account: Account) -> Oracle | Refusal:
    """The oracle of a pool with adaptive fees (254 bytes or more; 110 are read). Never raises."""
    wrong = _wrong(account, ORACLE, 254, "Oracle")
    if wrong is not None:
        return wrong
    _, pool, opens, *numbers = _ORACLE.unpack_from(account.data)
    constants, variables = numbers[:7], numbers[8:]
    if constants[5] == 0:
        return Refusal(None, "no Oracle: tick group size 0 at byte 62")
    return Oracle(base58.key(pool), opens, *constants, *variables)


def encode_oracle(oracle: Oracle, over: bytes) -> bytes:
    """The variables of an oracle written over the bytes of its account (a swap changes nothing else)."""
    data = bytearray(over)
    _VARIABLES.pack_into(
        data, _VARIABLES_AT, oracle.referenced_at, oracle.major_at, oracle.volatility_reference,
        oracle.group_reference, oracle.volatility,
    )  # fmt: skip
    return bytes(data)


def decode_fee_tier(account: Account) -> FeeTier | Refusal:
    """The static fee tier of an account (44 bytes or more). Never raises."""
    wrong = _wrong(account, FEE_TIER, _FEE_TIER.size, "FeeTier")
    if wrong is not None:
        return wrong
    _, config, spacing, fee_rate = _FEE_TIER.unpack_from(account.data)
    return FeeTier(base58.key(config), spacing, fee_rate)


def decode_adaptive_fee_tier(account: Account) -> AdaptiveFeeTier | Refusal:
    """The adaptive fee tier of an account (256 bytes; 128 are read). Never raises."""
    wrong = _wrong(account, ADAPTIVE_FEE_TIER, _ADAPTIVE_TIER.size, "AdaptiveFeeTier")
    if wrong is not None:
        return wrong
    _, config, index, spacing, opener, delegate, *rest = _ADAPTIVE_TIER.unpack_from(account.data)
    return AdaptiveFeeTier(base58.key(config), index, spacing, base58.key(opener), base58.key(delegate), *rest)


def decode_config(account: Account) -> Config | Refusal:
    """The configuration of an account (108 bytes or more). Never raises."""
    wrong = _wrong(account, CONFIG, _CONFIG.size, "WhirlpoolsConfig")
    if wrong is not None:
        return wrong
    _, fees, protocol, rewards, rate, flags = _CONFIG.unpack_from(account.data)
    return Config(base58.key(fees), base58.key(protocol), base58.key(rewards), rate, flags)


def decode_position(account: Account) -> Position | Refusal:
    """The position of an account (216 bytes; 96 are read). Never raises."""
    wrong = _wrong(account, POSITION, _POSITION.size, "Position")
    if wrong is not None:
        return wrong
    _, pool, mint, l0, l1, lower, upper = _POSITION.unpack_from(account.data)
    return Position(base58.key(pool), base58.key(mint), l1 << 64 | l0, lower, upper)


def _wrong(account: Account, expected: bytes, size: int, name: str) -> Refusal | None:
    """Why an account is not of this kind: owner, discriminator, length, with Anchor's numbers."""
    data = account.data
    if account.owner not in (PROGRAM, IMMUTABLE):
        return Refusal(WRONG_OWNER, f"no {name}: owned by {account.owner}, not by a Whirlpool program")
    if len(data) < 8:
        return Refusal(NO_DISCRIMINATOR, f"no {name}: {len(data)} bytes")
    if data[:8] != expected:
        return Refusal(WRONG_DISCRIMINATOR, f"no {name}: it begins with {data[:8].hex()}")
    if len(data) < size:
        return Refusal(NOT_DESERIALISED, f"no {name}: {len(data)} bytes, it needs {size}")
    return None
