"""Account sets of our own making: one pool of every venue, with all that an exact quote reads.

`sets()` gives {venue id: PoolSet}; figures are round and every amount below fits the pool.
"""

import struct
from dataclasses import dataclass

from ironcrab.dex import (
    ABSENT,
    Account,
    Clock,
    base58,
    bins,
    dlmm_state,
    pump_fees,
    pumpfun,
    pumpswap,
    raydium,
    raydium_cpmm,
)
from ironcrab.dex.address import TOKEN, WSOL
from ironcrab.dex.pump_fees import FeeConfig, Fees, Tier
from ironcrab.dex.ticks import sqrt_price_at
from ironcrab.dex.whirlpool_state import FIXED_ARRAY, WHIRLPOOL, array_address
from ironcrab.dex.whirlpool_state import PROGRAM as WHIRLPOOLS

CLOCK = Clock(400_000_000, 1_790_000_000, 925)
COIN = "6rR1V4h4BncYbyR7M1ZEtLYFQguCPwuS7L8j53bDpump"


@dataclass
class PoolSet:
    """One pool: its address, its accounts by address, its two mints, and what a swap on it writes."""

    pool: str
    accounts: dict[str, Account]
    mints: tuple[str, str]


def key(number):
    return base58.encode(bytes((number,)) * 32)


def vault(mint, amount, program=TOKEN):
    data = base58.decode(mint) + bytes(32) + struct.pack("<Q", amount) + bytes(36) + b"\1" + bytes(56)
    return Account(program, 2_039_280, data)


def amm_v4():
    pool, coin, vaults = key(11), key(12), (key(13), key(14))
    data = bytearray(raydium.POOL_BYTES)
    names = (*vaults, coin, WSOL, key(15), key(16), key(17), key(18), key(19))
    raydium._POOL.pack_into(data, 0, 6, 254, 25, 10_000, 0, 0, 0, 0, *map(base58.decode, names))
    accounts = {pool: Account(raydium.PROGRAM, 1, bytes(data))}
    accounts |= {vaults[0]: vault(coin, 10**15), vaults[1]: vault(WSOL, 5 * 10**12)}
    return PoolSet(pool, accounts, (WSOL, coin))


def cpmm():
    pool, config, coin, vaults = key(21), key(22), key(23), (key(24), key(25))
    data = bytearray(raydium_cpmm.POOL_BYTES)
    names = (config, *vaults, key(26), WSOL, coin, TOKEN, TOKEN, key(27))
    numbers = (0, 10**9, 5, 6, 7, 8, 0, 0, 0, 0, 0)
    raydium_cpmm._POOL.pack_into(data, 0, *map(base58.decode, names), *numbers)
    data[:8] = raydium_cpmm._POOL_MARK
    rates = bytearray(raydium_cpmm.CONFIG_BYTES)
    raydium_cpmm._CONFIG.pack_into(rates, 0, 0, 2500, 120_000, 40_000, 0)
    rates[:8] = raydium_cpmm._CONFIG_MARK
    accounts = {
        pool: Account(raydium_cpmm.PROGRAM, 1, bytes(data)),
        config: Account(raydium_cpmm.PROGRAM, 1, bytes(rates)),
    }
    accounts |= {vaults[0]: vault(WSOL, 3 * 10**12), vaults[1]: vault(coin, 10**15)}
    return PoolSet(pool, accounts, (WSOL, coin))


def orca(spacing=8):
    """A tick initialised at each spacing of the two arrays above the price."""
    pool, coin, vaults = key(31), key(33), (key(34), key(36))
    raw, u = base58.decode, int.to_bytes
    numbers = ((spacing, 2), (spacing, 2), (3000, 2), (300, 2), (10**12, 16), (sqrt_price_at(4), 16), (4, 4))
    data = WHIRLPOOL + raw(key(32)) + b"\xff" + b"".join(u(number, size, "little") for number, size in numbers)
    data += bytes(16) + raw(WSOL) + raw(vaults[0]) + bytes(16) + raw(coin) + raw(vaults[1]) + bytes(408)
    accounts = {pool: Account(WHIRLPOOLS, 1, data)}
    span = 88 * spacing
    for start in (0, span, 2 * span, -span, -2 * span):
        array = bytearray(9988)
        array[:12] = FIXED_ARRAY + u(start, 4, "little", signed=True)
        array[9956:] = raw(pool)
        for place in range(1, 88):
            at = 12 + 113 * place
            array[at : at + 33] = b"\1" + u(10**9, 16, "little") * 2
        accounts[array_address(WHIRLPOOLS, pool, start)] = (
            Account(WHIRLPOOLS, 1, bytes(array)) if start >= 0 else ABSENT
        )
    accounts |= {vaults[0]: vault(WSOL, 2**60), vaults[1]: vault(coin, 2**60)}
    return PoolSet(pool, accounts, (WSOL, coin))


def dlmm(step=10, width=60, amount=10**9, arrays=(-1, 0)):
    """`width` bins on either side of the active one, each with the same amounts, in these bin arrays."""
    pool, coin, vaults = key(41), key(42), (key(43), key(44))
    data = bytearray(904)
    data[:8] = dlmm_state.PAIR
    struct.pack_into("<HHHHII", data, 8, 10_000, 30, 600, 5000, 40_000, 350_000)
    struct.pack_into("<iiHBBB", data, 24, -443_636, 443_636, 500, 0, 1, 0)
    struct.pack_into("<iH", data, 76, 0, step)
    struct.pack_into("<32s32s32s32s", data, 88, *map(base58.decode, (WSOL, coin, *vaults)))
    struct.pack_into(
        "<32s128s",
        data,
        552,
        base58.decode(dlmm_state.oracle_address(pool)),
        sum(1 << (index + dlmm_state.EDGE) for index in arrays).to_bytes(128, "little"),
    )
    accounts = {pool: Account(dlmm_state.PROGRAM, 1, bytes(data))}
    for index in arrays:
        array = bytearray(dlmm_state.ARRAY_BYTES)
        array[:8] = dlmm_state.ARRAY
        struct.pack_into("<qB7x32s", array, 8, index, 2, base58.decode(pool))
        held = {}
        for bin_id in range(max(-width, index * 70), min(width + 1, index * 70 + 70)):
            price = bins.price_of(bin_id, step)
            x, y = amount * (bin_id >= 0), amount * (bin_id <= 0)
            held[bin_id % 70] = dlmm_state.Bin(x, y, price & bins.U64, price >> 64, 7, amount, *(0,) * 13)
        whole = dlmm_state.encode_bins(bytes(array), held)
        accounts[dlmm_state.bin_array_address(pool, index)] = Account(dlmm_state.PROGRAM, 1, whole)
    mint = bytearray(82)
    mint[44], mint[45] = 9, 1
    accounts |= {WSOL: Account(TOKEN, 1, bytes(mint)), coin: Account(TOKEN, 1, bytes(mint))}
    accounts |= {vaults[0]: vault(WSOL, 2**60), vaults[1]: vault(coin, 2**60)}
    return PoolSet(pool, accounts, (WSOL, coin))


def one_tier(lp, protocol, creator):
    fees = Fees(lp, protocol, creator)
    config = FeeConfig(fees, (Tier(0, fees),), (Tier(0, fees),), Fees(0, 0, 0))
    return Account(pump_fees.PROGRAM, 1, pump_fees.encode_fee_config(config, 4097))


def pump_curve():
    pool = pumpfun.pumpfun_parse.curve_of(base58.decode(COIN))
    numbers = (1_000_000_000_000_000, 32_000_000_000, 720_000_000_000_000, 2_000_000_000, 10**15)
    curve = pumpfun.Curve(*numbers, False, key(51), False, False, WSOL, 0, False, False, 0, 0, 0, 0, 0, 0, 151)
    accounts = {
        pool: Account(pumpfun.PROGRAM, 4 * 10**9, pumpfun.encode_curve(curve)),
        pumpfun.FEE_CONFIG: one_tier(0, 95, 30),
    }
    return PoolSet(pool, accounts, (WSOL, COIN))


def pump_pool():
    pool, vaults = key(61), (key(62), key(63))
    names = (key(64), COIN, WSOL, key(65), *vaults)
    state = pumpswap.Pool(255, 0, *names, 10**9, key(66), False, False, 0, 0, False, False, 0, 0, 301)
    switches = bytearray(949)
    switches[:8] = pumpswap._CONFIG_TAG
    accounts = {
        pool: Account(pumpswap.PROGRAM, 1, pumpswap.encode_pool(state)),
        vaults[0]: vault(COIN, 2 * 10**14),
        vaults[1]: vault(WSOL, 9 * 10**10),
        pumpswap.GLOBAL_CONFIG: Account(pumpswap.PROGRAM, 1, bytes(switches)),
        pumpswap.FEE_CONFIG: one_tier(20, 5, 5),
    }
    return PoolSet(pool, accounts, (WSOL, COIN))


def sets():
    """One pool of every venue."""
    return {
        "raydium": amm_v4(),
        "raydium_cpmm": cpmm(),
        "orca": orca(),
        "meteora_dlmm": dlmm(),
        "pumpfun": pump_curve(),
        "pump_amm": pump_pool(),
    }
