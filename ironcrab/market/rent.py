"""What an account must hold so that the chain keeps it: by the Rent sysvar as it was recorded, never by a constant.

Rent sysvar (SysvarRent111...): u64 lamports a byte and year at 0, f64 years at 8, u8 burn share at 16. The least
balance of an account is (128 + its bytes) x lamports x years. The years are 1 or 2 on every chain; others are unknown.
"""

from ironcrab.dex import Account

RENT_SYSVAR = "SysvarRent111111111111111111111111111111111"
SYSVARS = "Sysvar1111111111111111111111111111111111111"
"""Who owns sysvars."""
OVERHEAD_BYTES = 128
"""Bytes that every account is charged for beside its data."""
YEARS = {bytes.fromhex("000000000000f03f"): 1, bytes.fromhex("0000000000000040"): 2}
"""The sysvar's f64 threshold by its bytes: nothing here computes with floats."""


def lamports_per_byte(sysvar: Account | None) -> int | None:
    """Lamports that a byte costs for good; None: the sysvar was not told or is none."""
    if sysvar is None or len(sysvar.data) < 16:
        return None
    years = YEARS.get(sysvar.data[8:16])
    return None if years is None else int.from_bytes(sysvar.data[:8], "little") * years


def least_lamports(sysvar: Account | None, size: int) -> int | None:
    """Least balance of an account of `size` bytes; None: the rent is not known."""
    rate = lamports_per_byte(sysvar)
    return None if rate is None else (OVERHEAD_BYTES + size) * rate


def rent_data(rate: int) -> bytes:
    """The sysvar's bytes for a rate in lamports a byte, exempt for good after 1 year, half of it burnt."""
    return rate.to_bytes(8, "little") + bytes.fromhex("000000000000f03f") + bytes((50,))
