"""The fee program of the two pump programs: which fee bps a trade pays, by quote mint and market cap.

Program `pfeeUxB6jkeY1Hxd7CsFCAjcbHA9rWtchMGdZ6VojVZ`, account FeeConfig (seeds "fee_config", program id):
offset 41 flat fees, 65 tiers, then stable tiers, then exotic fees; zero padded, so vectors are read by their
counts. Fees are three u64 (lp, protocol, creator bps), a tier is a u128 threshold and fees.
"""

from functools import lru_cache
from struct import Struct as Layout

from msgspec import Struct

from ironcrab.dex.address import WSOL

PROGRAM = "pfeeUxB6jkeY1Hxd7CsFCAjcbHA9rWtchMGdZ6VojVZ"
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
NATIVE_2022 = "9pan9bMn5HatX4EJdBwg9VgCa7Uz5HL8N1m5D3NdXejP"
"""Native mint of Token-2022; with WSOL it makes the quotes that pay by the lamport tiers."""

_TAG = bytes.fromhex("8f3492bbdb7b4c9b")
_FEES = Layout("<QQQ")
_TIER = Layout("<QQQQQ")
_FLAT_AT = 41
_TIERS_AT = 65


class Fees(Struct, frozen=True, gc=False):
    """Fee rates in bps of the quote amount."""

    lp: int
    protocol: int
    creator: int


class Tier(Struct, frozen=True, gc=False):
    """Fees from a market cap on; the threshold is in raw units of the quote mint."""

    threshold: int
    fees: Fees


class FeeConfig(Struct, frozen=True):
    """A decoded FeeConfig.

    Attributes:
        flat: fees of pools that no pump coin migrated to.
        tiers: fees of coins quoted in lamports, thresholds rising.
        stable: fees of coins quoted in USDC; empty in accounts from before June 2026.
        exotic: fees of coins quoted in anything else; all zero means `flat`.
    """

    flat: Fees
    tiers: tuple[Tier, ...]
    stable: tuple[Tier, ...]
    exotic: Fees


@lru_cache(maxsize=64)
def decode_fee_config(data: bytes) -> FeeConfig | None:
    """A FeeConfig, or None when the bytes are none: wrong discriminator, no tier, a count beyond the data."""
    if data[:8] != _TAG or len(data) < _TIERS_AT + 4:
        return None
    tiers, at = _tiers(data, _TIERS_AT)
    if not tiers:
        return None
    stable, at = _tiers(data, at)
    if stable is None:
        return None
    exotic = Fees(*_FEES.unpack_from(data, at)) if at + _FEES.size <= len(data) else Fees(0, 0, 0)
    return FeeConfig(Fees(*_FEES.unpack_from(data, _FLAT_AT)), tiers, stable, exotic)


def encode_fee_config(config: FeeConfig, size: int) -> bytes:
    """The bytes of a FeeConfig with zero bump and admin, zero padded to `size`."""
    out = _TAG + bytes(_FLAT_AT - 8) + _FEES.pack(config.flat.lp, config.flat.protocol, config.flat.creator)
    for tiers in (config.tiers, config.stable):
        out += len(tiers).to_bytes(4, "little")
        for tier in tiers:
            high, low = divmod(tier.threshold, 2**64)
            out += _TIER.pack(low, high, tier.fees.lp, tier.fees.protocol, tier.fees.creator)
    out += _FEES.pack(config.exotic.lp, config.exotic.protocol, config.exotic.creator)
    return out.ljust(size, b"\0")


def tiers_for(config: FeeConfig, quote_mint: str, *, canonical: bool) -> tuple[Tier, ...]:
    """The tiers that hold for a coin quoted in this mint; one tier where the market cap does not matter.

    `canonical` is true for bonding curves and for the pools that they migrated to.
    """
    if not canonical:
        return (Tier(0, config.flat),)
    if quote_mint in (WSOL, NATIVE_2022):
        return config.tiers
    if quote_mint == USDC:
        return config.stable or config.tiers
    exotic = config.exotic
    return (Tier(0, exotic if exotic.lp or exotic.protocol or exotic.creator else config.flat),)


def fees_at(tiers: tuple[Tier, ...], market_cap: int) -> Fees:
    """The last tier whose threshold the market cap (raw quote units) reaches; below all, the first."""
    for tier in reversed(tiers):
        if market_cap >= tier.threshold:
            return tier.fees
    return tiers[0].fees


def _tiers(data: bytes, at: int) -> tuple[tuple[Tier, ...] | None, int]:
    """The vector of tiers at an offset and the offset behind it; None when its count runs beyond the data."""
    count = int.from_bytes(data[at : at + 4], "little")
    at += 4
    end = at + count * _TIER.size
    if end > len(data) and count:
        return None, at
    tiers = []
    for place in range(at, end, _TIER.size):
        low, high, lp, protocol, creator = _TIER.unpack_from(data, place)
        tiers.append(Tier(low + (high << 64), Fees(lp, protocol, creator)))
    return tuple(tiers), end
