"""Venues: account bytes -> pool, pool + amount -> quote, quote -> instruction, call -> swap.

Everything here is pure and integer. A newcomer adds a DEX by one file and one entry in `VENUES`.
"""

from ironcrab.dex.face import (
    ABSENT,
    Account,
    Call,
    Clock,
    Created,
    Fee,
    Instruction,
    Liquidity,
    Meta,
    Migrated,
    Parsed,
    Quote,
    Refusal,
    Swap,
    TokenBalance,
    Transaction,
    Venue,
)
from ironcrab.dex.quoting import VENUES, quote, venue_of

__all__ = [
    "ABSENT",
    "VENUES",
    "Account",
    "Call",
    "Clock",
    "Created",
    "Fee",
    "Instruction",
    "Liquidity",
    "Meta",
    "Migrated",
    "Parsed",
    "Quote",
    "Refusal",
    "Swap",
    "TokenBalance",
    "Transaction",
    "Venue",
    "quote",
    "venue_of",
]
