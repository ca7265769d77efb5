"""Units. A name ends in its unit; an integer declares its width, and the log refuses what its column cannot hold.

`Meta.extra` is read by the log: `width` chooses the column, `repeats` a dictionary column, `wire` how export
spells the value ("decimal": JSON string, "float": JSON number, "null": written as null when absent,
"omit": ours, never exported).
"""

from typing import Annotated

from msgspec import Meta

U8 = Annotated[int, Meta(extra={"width": "u8"})]
U16 = Annotated[int, Meta(extra={"width": "u16"})]
U32 = Annotated[int, Meta(extra={"width": "u32"})]
U64 = Annotated[int, Meta(extra={"width": "u64"})]
U128 = Annotated[int, Meta(extra={"width": "u128"})]
I32 = Annotated[int, Meta(extra={"width": "i32"})]
I64 = Annotated[int, Meta(extra={"width": "i64"})]
I128 = Annotated[int, Meta(extra={"width": "i128"})]

Seq = Annotated[int, Meta(extra={"width": "u64"})]
"""Position of a record in its log, dense from 0."""
Slot = Annotated[int, Meta(extra={"width": "u64"})]
"""A Solana slot number."""
Lamports = Annotated[int, Meta(extra={"width": "u64"})]
"""1e-9 SOL."""
Raw = Annotated[int, Meta(extra={"width": "u64"})]
"""Smallest unit of a token."""
Bps = Annotated[int, Meta(extra={"width": "u32"})]
"""1/10,000, never negative."""
SignedBps = Annotated[int, Meta(extra={"width": "i32"})]
"""1/10,000, may be negative."""
Millis = Annotated[int, Meta(extra={"width": "u64"})]
"""Milliseconds; a `*_unix_ms` field counts them since 1970."""
Nanos = Annotated[int, Meta(extra={"width": "u64"})]
"""Nanoseconds since 1970: log time."""

Key = Annotated[str, Meta(extra={"repeats": True})]
"""Base58 of a mint, pool, wallet or program; opaque to the log (imported records may hold any text)."""
Word = Annotated[str, Meta(extra={"repeats": True})]
"""A text out of a small vocabulary: dex, source, code, status."""
Signature = str
"""Base58 of a transaction signature (88 characters, never repeats)."""
DecimalText = Annotated[str, Meta(extra={"wire": "decimal"})]
"""Canonical decimal digits; the wire contract writes a JSON string and reads a string or a number."""
FloatText = Annotated[str, Meta(extra={"wire": "float"})]
"""Canonical decimal digits; the wire contract writes a JSON number."""

LAMPORTS_PER_SOL = 1_000_000_000
SLOT_MS = 400
"""Nominal length of a slot in ms: ages are counted in slots, because a slot is what the feed tells."""
BPS = 10_000

SOL_MINT = "So11111111111111111111111111111111111111112"
USDC_MINT = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
USDT_MINT = "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB"
NATIVE_SOL = "NATIVE_SOL"
"""The wire contract's sentinel: a WalletBalanceSnapshot of this mint carries native lamports."""
TOKEN_PROGRAM = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"  # noqa: S105 - a program id, no secret
TOKEN_2022_PROGRAM = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"  # noqa: S105 - a program id, no secret


def floor_div(numerator: int, denominator: int) -> int:
    """Quotient rounded toward minus infinity; the name says that the rounding was meant."""
    return numerator // denominator


def ceil_div(numerator: int, denominator: int) -> int:
    """Quotient rounded toward plus infinity."""
    return -(-numerator // denominator)
