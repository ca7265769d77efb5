"""Meteora DLMM accounts: layouts, decoding, and writing back the fields that a swap changes.

Source: IDL 0.12.0 of program LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo; integers are little-endian, offsets
count the eight discriminator bytes. Bytes behind a known layout may follow and are kept as they are. The
discriminator of Oracle is that of another program's account too: the owner decides first, which is the
caller's part.

Before 0.12 the limit order fields of a bin (48..80 and 112..144) held rewards per token and amounts in.
Nothing in an account tells the two apart for certain, and the program does not look. In a farm (`function` 1)
48..80 still hold rewards per token.
"""

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct as Layout
from struct import pack_into, unpack_from

from msgspec import Struct, structs

from ironcrab.dex import base58
from ironcrab.dex.address import find_program_address
from ironcrab.dex.face import DECODED

PROGRAM = "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo"
BINS = 70
"""Bins of one array: bin `b` lies in array `b // 70`, slot `b % 70`."""
EDGE = 512
"""Array indices -512..511 stand in the pool's own bitmap."""
REACH = EDGE * 13
"""Array indices -6656..6655 stand in the pool's bitmap or its extension."""

PAIR = bytes((33, 11, 49, 98, 181, 101, 177, 13))
ARRAY = bytes((92, 142, 92, 220, 5, 148, 70, 181))
EXTENSION = bytes((80, 111, 124, 113, 55, 237, 18, 5))
ORACLE = bytes((139, 194, 131, 179, 140, 179, 229, 244))
PRESET = bytes((242, 62, 244, 34, 181, 112, 58, 170))
PRESET2 = bytes((171, 236, 148, 115, 162, 113, 222, 174))

_PAIR = Layout("<8xHHHHIIiiHBBB3xIIi4xq8x3xBiHB3xBx32s32s32s32sQQ32x32s112x32s112x32s128s40x32s32xQQ16x32sBBB21x")
_MOVING = Layout("<IIi4xq")
_ARRAY = Layout("<8xqB7x32s")
_BIN = Layout("<QQQQQQQQQQQQQQQQQIB")
"""141 of the 144 bytes of a bin: 3 of padding follow."""
_ORACLE = Layout("<8xQQQ")
_PRESET = Layout("<8xHHHHHIIiiH")
_PRESET2 = Layout("<8xHHHHIIHHHBBB")

PAIR_BYTES = 904
ARRAY_BYTES = 10136
EXTENSION_BYTES = 1576
ORACLE_HEAD = 32
OBSERVATION = 32


class Pair(Struct, frozen=True, gc=False):
    """An LbPair account; keys are 32 raw bytes, amounts raw units, times unix seconds.

    Attributes:
        base_factor: part of the base fee (see `bins.base_rate`), with `base_fee_power`.
        filter_period: seconds within which the volatility references stay.
        decay_period: seconds after which the volatility is forgotten.
        reduction_factor: bps of the volatility kept between the two.
        variable_fee_control: weight of the volatility in the fee; 0 is no variable fee.
        max_volatility: cap of the accumulator.
        min_bin_id, max_bin_id: the bins that a swap may step to.
        protocol_share: bps of the market makers' fee.
        function: 0 undetermined, 1 farming, 2 limit orders.
        fee_mode: 0 fee on the input, 1 fee always on Y.
        volatility, volatility_reference, index_reference, updated_at: the moving fee parameters.
        kind: 0 permissionless, 1 permission, 2 customizable permissionless, 3 permissionless v2.
        active_id: bin of the current price; `bin_step` in bps.
        status: 0 enabled, 1 disabled.
        activation_type: `activation_point` counts 0 slots, 1 unix seconds.
        reward_a, reward_b: mints of the farming rewards, zero where there is none.
        bitmap: 1024 bits, bit `index + 512` set where the array `index` has liquidity.
        early_swapper: who may swap before activation.
        program_x, program_y: 0 SPL Token, 1 Token-2022.
        version: layout hint: 0 and 1 are found in accounts made before 0.12.
    """

    base_factor: int
    filter_period: int
    decay_period: int
    reduction_factor: int
    variable_fee_control: int
    max_volatility: int
    min_bin_id: int
    max_bin_id: int
    protocol_share: int
    base_fee_power: int
    function: int
    fee_mode: int
    volatility: int
    volatility_reference: int
    index_reference: int
    updated_at: int
    kind: int
    active_id: int
    bin_step: int
    status: int
    activation_type: int
    mint_x: bytes
    mint_y: bytes
    reserve_x: bytes
    reserve_y: bytes
    protocol_fee_x: int
    protocol_fee_y: int
    reward_a: bytes
    reward_b: bytes
    oracle: bytes
    bitmap: bytes
    early_swapper: bytes
    activation_point: int
    early_duration: int
    creator: bytes
    program_x: int
    program_y: int
    version: int

    def holds(self, bin_id: int) -> bool:
        """Whether a step from one bin to the next may lead to this one: it is within the pool's bounds."""
        return self.min_bin_id <= bin_id <= self.max_bin_id


@lru_cache(maxsize=DECODED)
def decode_pair(data: bytes) -> Pair | None:
    """An LbPair, or None when these bytes are none."""
    if data[:8] != PAIR or len(data) < PAIR_BYTES:
        return None
    return Pair(*_PAIR.unpack_from(data))


class Bin(Struct, frozen=True, gc=False):
    """One bin of an array; amounts in raw units, u128 fields as two u64 halves, the low one first.

    `price` is Y per X in raw units, Q64.64; 0 is a price not stored yet. `supply` counts liquidity shares,
    also Q64.64. An order is open until a swap reaches it; then all open ones become the processing ones,
    `age` goes up, and `remaining` falls as they are filled. `ask` 1: the orders sell X. In a farm `filled_x`,
    `filled_y` and `ask_fee`, `bid_fee` are the halves of two rewards per token instead.
    """

    amount_x: int
    amount_y: int
    price_low: int
    price_high: int
    supply_low: int
    supply_high: int
    filled_x: int
    filled_y: int
    ask_fee: int
    bid_fee: int
    fee_x_low: int
    fee_x_high: int
    fee_y_low: int
    fee_y_high: int
    opened: int
    processing: int
    remaining: int
    age: int
    ask: int


class Farm(Struct, frozen=True, gc=False):
    """A reward of a farm.

    `place` is 0 or 1, `rate` raw units << 64 a second, `end` and `paid_until` are unix seconds.
    """

    place: int
    end: int
    rate: int
    paid_until: int


class BinArray(Struct, frozen=True, gc=False):
    """The head of a BinArray account: its index, a layout version, the pool's 32 raw bytes."""

    index: int
    version: int
    pair: bytes


class Extension(Struct, frozen=True, gc=False):
    """A bitmap extension: the pool's 32 raw bytes, then the arrays beyond the pool's bitmap as two numbers.

    Bit k of `above` is array 512 + k, bit k of `below` is array -513 - k.
    """

    pair: bytes
    above: int
    below: int


class Oracle(Struct, frozen=True, gc=False):
    """The head of an Oracle account: place of the newest observation, observations in use, places."""

    newest: int
    used: int
    length: int


class Preset(Struct, frozen=True, gc=False):
    """Parameters that new pools copy, of PresetParameter (36 bytes) and PresetParameter2 (192 bytes).

    The first kind has bin ids but no index, power, function, fee mode (None there), the second the reverse.
    """

    bin_step: int
    base_factor: int
    filter_period: int
    decay_period: int
    reduction_factor: int
    variable_fee_control: int
    max_volatility: int
    protocol_share: int
    min_bin_id: int | None = None
    max_bin_id: int | None = None
    index: int | None = None
    base_fee_power: int | None = None
    function: int | None = None
    fee_mode: int | None = None


def decode_farms(data: bytes) -> tuple[Farm, ...]:
    """The rewards that an LbPair account has set up (mint not zero)."""
    found = []
    for place in (0, 1):
        at = 264 + 144 * place
        if any(data[at : at + 32]):
            end, low, high, paid_until = unpack_from("<QQQQ", data, at + 104)
            found.append(Farm(place, end, low | high << 64, paid_until))
    return tuple(found)


def decode_array(data: bytes) -> BinArray | None:
    """The head of a BinArray of all its 70 bins, or None when these bytes are none."""
    if data[:8] != ARRAY or len(data) < ARRAY_BYTES:
        return None
    return BinArray(*_ARRAY.unpack_from(data))


def decode_bin(data: bytes, slot: int) -> Bin:
    """A bin (slot 0..69) of an account that `decode_array` took."""
    return Bin(*_BIN.unpack_from(data, 56 + 144 * slot))


def decode_extension(data: bytes) -> Extension | None:
    """A bitmap extension, or None when these bytes are none."""
    if data[:8] != EXTENSION or len(data) < EXTENSION_BYTES:
        return None
    above, below = data[40:808], data[808:1576]
    return Extension(data[8:40], int.from_bytes(above, "little"), int.from_bytes(below, "little"))


def decode_oracle(data: bytes) -> Oracle | None:
    """The head of an Oracle with all its places, or None when these bytes are none or its head is absurd."""
    if data[:8] != ORACLE or len(data) < ORACLE_HEAD:
        return None
    found = Oracle(*_ORACLE.unpack_from(data))
    whole = len(data) >= ORACLE_HEAD + OBSERVATION * found.length
    return found if whole and found.used <= found.length and found.newest < max(found.length, 1) else None


def decode_preset(data: bytes) -> Preset | None:
    """Parameters of a PresetParameter of either kind, or None when these bytes are none."""
    if data[:8] == PRESET and len(data) >= _PRESET.size:
        step, factor, filters, decay, reduction, control, top, low, high, share = _PRESET.unpack_from(data)
        return Preset(step, factor, filters, decay, reduction, control, top, share, low, high)
    if data[:8] == PRESET2 and len(data) >= _PRESET2.size:
        step, factor, filters, decay, control, top, reduction, share, *rest = _PRESET2.unpack_from(data)
        return Preset(step, factor, filters, decay, reduction, control, top, share, None, None, *rest)
    return None


def encode_pair(data: bytes, pair: Pair) -> bytes:
    """An LbPair account with those fields of `pair` that a swap moves; all else is taken from `data`."""
    raw = bytearray(data)
    _MOVING.pack_into(raw, 40, pair.volatility, pair.volatility_reference, pair.index_reference, pair.updated_at)
    pack_into("<i", raw, 76, pair.active_id)
    pack_into("<QQ", raw, 216, pair.protocol_fee_x, pair.protocol_fee_y)
    return bytes(raw)


def encode_farms(data: bytes, farms: tuple[Farm, ...]) -> bytes:
    """An LbPair account with the seconds until which these rewards are paid."""
    raw = bytearray(data)
    for farm in farms:
        pack_into("<Q", raw, 264 + 144 * farm.place + 128, farm.paid_until)
    return bytes(raw)


def encode_bins(data: bytes, bins: Mapping[int, Bin]) -> bytes:
    """A BinArray account with some bins (by slot) replaced."""
    raw = bytearray(data)
    for slot, one in bins.items():
        _BIN.pack_into(raw, 56 + 144 * slot, *structs.astuple(one))
    return bytes(raw)


@lru_cache(maxsize=65536)
def bin_array_address(pool: str, index: int) -> str:
    """Address of a pool's bin array by its index (i64)."""
    seeds = (b"bin_array", base58.decode(pool), index.to_bytes(8, "little", signed=True))
    return find_program_address(seeds, PROGRAM)[0]


@lru_cache(maxsize=65536)
def extension_address(pool: str) -> str:
    """Address of a pool's bitmap extension."""
    return find_program_address((b"bitmap", base58.decode(pool)), PROGRAM)[0]


def oracle_address(pool: str) -> str:
    """Address of a pool's oracle."""
    return find_program_address((b"oracle", base58.decode(pool)), PROGRAM)[0]


def reserve_address(pool: str, mint: str) -> str:
    """Address of a pool's vault for one of its mints."""
    return find_program_address((base58.decode(pool), base58.decode(mint)), PROGRAM)[0]
