"""Pools of the demo market, account by account: the state that each venue's program would have left behind.

Layouts are those of the venues' decoders. Every base mint has six decimals and a supply of a billion; everything is
priced in WSOL. Prices begin near 0.00005 SOL a token.
"""

from struct import pack

from blake3 import blake3
from msgspec import Struct

from ironcrab.dex import (
    base58,
    dlmm_state,
    pump_fees,
    pumpfun,
    pumpfun_parse,
    pumpswap,
    raydium,
    raydium_cpmm,
    whirlpool_state,
)
from ironcrab.dex.address import SYSTEM, TOKEN, WSOL, associated
from ironcrab.dex.bins import price_of
from ironcrab.dex.face import Account
from ironcrab.dex.ticks import array_start, sqrt_price_at
from ironcrab.dex.whirlpool_state import array_address

DECIMALS = 6
"""Of every base mint."""
SUPPLY = 10**15
"""Raw units of every base mint."""
PRICE = (1, 20)
"""Lamports for a raw unit of a token where a pool begins, as a ratio."""
QUOTE = 500 * 10**9
"""Lamports on the quote side of a pool that begins with tokens and lamports."""
BASE = QUOTE * PRICE[1] // PRICE[0]
RENT = 2_000_000
_SPACING = 64
_TICK = -29_952
_BIN_STEP = 25


class Listing(Struct, frozen=True):
    """A pool of the market: venue id, address, base mint, its two vaults (base, quote), who owns those.

    `knows` are the accounts that a quote and a swap of this pool read.
    """

    venue: str
    pool: str
    mint: str
    vaults: tuple[str, str]
    authority: str
    knows: tuple[str, ...]


class Chain(Struct):
    """All accounts of the demo, by address."""

    seed: int
    accounts: dict[str, Account] = {}

    def key(self, *words: object) -> str:
        """An address that follows from the seed and these words."""
        text = "\0".join(str(word) for word in ("ironcrab demo", self.seed, *words))
        return base58.key(blake3(text.encode()).digest())

    def put(self, address: str, owner: str, data: bytes) -> str:
        """Make an account; returns its address."""
        self.accounts[address] = Account(owner, RENT, data)
        return address


def mint_data(supply: int = SUPPLY) -> bytes:
    """A mint whose authorities were given up."""
    return pack("<I32sQBB", 0, b"", supply, DECIMALS, 1) + bytes(36)


def token_data(mint: str, owner: str, amount: int) -> bytes:
    """An initialised token account."""
    head = base58.decode(mint) + base58.decode(owner) + pack("<Q", amount)
    return (head + bytes(36) + b"\x01").ljust(165, b"\0")


def placed(size: int, parts: dict[int, bytes]) -> bytes:
    """Zeros with bytes at offsets."""
    data = bytearray(size)
    for at, part in parts.items():
        data[at : at + len(part)] = part
    return bytes(data)


def _keys(*keys: str) -> bytes:
    return b"".join(base58.decode(key) for key in keys)


def _vaults(chain: Chain, pool: str, mint: str, owner: str, amounts: tuple[int, int]) -> tuple[str, str]:
    base = chain.put(chain.key(pool, "base"), TOKEN, token_data(mint, owner, amounts[0]))
    quote = chain.put(chain.key(pool, "quote"), TOKEN, token_data(WSOL, owner, amounts[1]))
    return base, quote


def found(chain: Chain) -> None:
    """The accounts that many pools share: mints of money, fee configurations."""
    chain.put(WSOL, TOKEN, pack("<I32sQBB", 0, b"", 0, 9, 1) + bytes(36))
    taker = base58.decode(chain.key("fees"))
    chain.put(
        pumpfun.GLOBAL,
        pumpfun.PROGRAM,
        placed(1088, {0: bytes.fromhex("a7e8e8b1c86c727f"), 41: taker, 105: pack("<Q", 95), 154: pack("<Q", 5)}),
    )
    chain.put(
        pumpswap.GLOBAL_CONFIG,
        pumpswap.PROGRAM,
        placed(949, {0: bytes.fromhex("95089ccaa0fcb0d9"), 40: pack("<QQ", 20, 5), 57: taker, 313: pack("<Q", 5)}),
    )
    fees = pump_fees.Fees(2, 93, 30)
    flat = pump_fees.Fees(25, 5, 0)
    tariff = pump_fees.FeeConfig(flat, (pump_fees.Tier(0, fees),), (), flat)
    for address in (pumpfun.FEE_CONFIG, pumpswap.FEE_CONFIG):
        chain.put(address, pump_fees.PROGRAM, pump_fees.encode_fee_config(tariff, 400))
    chain.put(
        chain.key("cpmm config"),
        raydium_cpmm.PROGRAM,
        placed(236, {0: bytes.fromhex("daf42168cbcb2b6f"), 12: pack("<QQQ", 2_500, 120_000, 40_000)}),
    )


def mint(chain: Chain, name: object) -> str:
    """A new base mint."""
    return chain.put(chain.key("mint", name), TOKEN, mint_data())


def raydium_pool(chain: Chain, base: str) -> Listing:
    """A Raydium AMM V4 pool: status 6 (swaps only), fee 25 of 10,000."""
    pool = chain.key("raydium", base)
    vaults = _vaults(chain, pool, base, raydium.AUTHORITY, (BASE, QUOTE))
    rest = [chain.key(pool, word) for word in ("lp", "orders", "market", "market program", "targets")]
    parts = {0: pack("<QQ", 6, 254), 176: pack("<QQ", 25, 10_000), 336: _keys(*vaults, base, WSOL, *rest)}
    chain.put(pool, raydium.PROGRAM, placed(raydium.POOL_BYTES, parts))
    return Listing("raydium", pool, base, vaults, raydium.AUTHORITY, (pool, *vaults))


def cpmm_pool(chain: Chain, base: str) -> Listing:
    """A Raydium CPMM pool with a trade fee of 0.25 %."""
    pool, config = chain.key("cpmm", base), chain.key("cpmm config")
    vaults = _vaults(chain, pool, base, raydium_cpmm.AUTHORITY, (BASE, QUOTE))
    parts = {
        0: bytes.fromhex("f7ede3f5d7c3de46"),
        8: _keys(config),
        72: _keys(*vaults, chain.key(pool, "lp"), base, WSOL, TOKEN, TOKEN, chain.key(pool, "observation")),
        333: pack("<Q", 10**12),
    }
    chain.put(pool, raydium_cpmm.PROGRAM, placed(raydium_cpmm.POOL_BYTES, parts))
    return Listing("raydium_cpmm", pool, base, vaults, raydium_cpmm.AUTHORITY, (pool, config, *vaults, base, WSOL))


def whirlpool(chain: Chain, base: str) -> Listing:
    """A Whirlpool with one range of liquidity over five tick arrays, fee 0.3 %."""
    pool = chain.key("whirlpool", base)
    root = sqrt_price_at(_TICK)
    vaults = _vaults(chain, pool, base, pool, (BASE, QUOTE))
    liquidity = (QUOTE << 64) // root
    parts = {
        0: whirlpool_state.WHIRLPOOL,
        8: _keys(chain.key("whirlpool config")),
        41: pack("<HHHH", _SPACING, _SPACING, 3_000, 1_300),
        49: liquidity.to_bytes(16, "little") + root.to_bytes(16, "little") + pack("<i", _TICK),
        101: _keys(base, vaults[0]),
        181: _keys(WSOL, vaults[1]),
    }
    chain.put(pool, whirlpool_state.PROGRAM, placed(653, parts))
    first = array_start(_TICK, _SPACING)
    arrays = []
    for step in range(-2, 3):
        start = first + step * _SPACING * 88
        data = placed(9988, {0: whirlpool_state.FIXED_ARRAY, 8: pack("<i", start), 9956: _keys(pool)})
        arrays.append(chain.put(array_address(whirlpool_state.PROGRAM, pool, start), whirlpool_state.PROGRAM, data))
    return Listing("orca", pool, base, vaults, pool, (pool, *vaults, base, WSOL, *arrays))


def dlmm_pool(chain: Chain, base: str) -> Listing:
    """A DLMM pool: bins of 25 bps, three arrays of liquidity round the active bin."""
    pool = chain.key("dlmm", base)
    active = _bin_at((PRICE[0] << 64) // PRICE[1])
    home = active // dlmm_state.BINS
    vaults = _vaults(chain, pool, base, pool, (BASE, QUOTE))
    indices = range(home - 1, home + 2)
    oracle = dlmm_state.oracle_address(pool)
    parts = {
        0: dlmm_state.PAIR,
        8: pack("<HHHHII", 10_000, 30, 600, 5_000, 0, 350_000),
        24: pack("<iiHBBB", -443_636, 443_636, 500, 0, 0, 0),
        76: pack("<iH", active, _BIN_STEP),
        88: _keys(base, WSOL, *vaults),
        552: _keys(oracle) + sum(1 << (index + dlmm_state.EDGE) for index in indices).to_bytes(128, "little"),
    }
    chain.put(pool, dlmm_state.PROGRAM, placed(dlmm_state.PAIR_BYTES, parts))
    arrays = []
    for index in indices:
        head = pack("<qB7x32s", index, 2, base58.decode(pool))
        empty = placed(dlmm_state.ARRAY_BYTES, {0: dlmm_state.ARRAY, 8: head})
        bins = {place: _bin(index * dlmm_state.BINS + place, active) for place in range(dlmm_state.BINS)}
        address = dlmm_state.bin_array_address(pool, index)
        arrays.append(chain.put(address, dlmm_state.PROGRAM, dlmm_state.encode_bins(empty, bins)))
    extension = dlmm_state.extension_address(pool)
    chain.accounts[extension] = Account(SYSTEM, 0, b"")
    return Listing("meteora_dlmm", pool, base, vaults, pool, (pool, *vaults, base, WSOL, extension, *arrays))


def _bin_at(price: int) -> int:
    bin_id = 0
    while price_of(bin_id, _BIN_STEP) > price:
        bin_id -= 1
    return bin_id


def _bin(bin_id: int, active: int) -> dlmm_state.Bin:
    """About five SOL a bin: tokens above the active bin, lamports below it, both in it."""
    price = price_of(bin_id, _BIN_STEP)
    lamports = 5 * 10**9
    base, quote = (lamports << 64) // price if bin_id >= active else 0, lamports if bin_id <= active else 0
    supply = lamports + (lamports if bin_id == active else 0)
    return dlmm_state.Bin(
        base, quote, price & (2**64 - 1), price >> 64, 0, supply, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    )


def pumpswap_pool(chain: Chain, base: str) -> Listing:
    """A PumpSwap pool of a coin with a creator, not migrated from a curve: flat fees."""
    pool = chain.key("pumpswap", base)
    vaults = _vaults(chain, pool, base, pool, (BASE, QUOTE))
    state = pumpswap.Pool(
        bump=255, index=0, creator=chain.key(pool, "creator"), base_mint=base, quote_mint=WSOL,
        lp_mint=chain.key(pool, "lp"), base_vault=vaults[0], quote_vault=vaults[1], lp_supply=10**12,
        coin_creator=chain.key(base, "creator"), mayhem=False, cashback=False, virtual_quote=0, creator_fee_bps=0,
        can_edit_creator_fee=False, holder_reward=False, protocol_fees=0, creator_fees=0, size=301,
    )  # fmt: skip
    chain.put(pool, pumpswap.PROGRAM, pumpswap.encode_pool(state))
    knows = (pool, *vaults, pumpswap.GLOBAL_CONFIG, pumpswap.FEE_CONFIG, base, WSOL)
    return Listing("pump_amm", pool, base, vaults, pool, knows)


def curve(chain: Chain, number: int) -> Listing:
    """A fresh PumpFun coin with its bonding curve."""
    base = mint(chain, f"coin {number}")
    pool = pumpfun_parse.curve_of(base58.decode(base))
    creator = chain.key("coin creator", number)
    state = pumpfun.Curve(
        virtual_token=1_073_000_000_000_000, virtual_quote=30 * 10**9, real_token=793_100_000_000_000, real_quote=0,
        supply=SUPPLY, complete=False, creator=creator, mayhem=False, cashback=False, quote_mint=WSOL,
        creator_fee_bps=0, can_edit_creator_fee=False, holder_reward=False, creator_fee=0, protocol_fees=0, depth=0,
        initial_virtual_quote=0, post_complete_base=0, post_complete_quote=0, size=151,
    )  # fmt: skip
    chain.put(pool, pumpfun.PROGRAM, pumpfun.encode_curve(state))
    vault = chain.put(associated(pool, base, TOKEN), TOKEN, token_data(base, pool, SUPPLY))
    knows = (pool, pumpfun.GLOBAL, pumpfun.FEE_CONFIG, base)
    return Listing("pumpfun", pool, base, (vault, pool), pool, knows)
