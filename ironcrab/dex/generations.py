"""Which program generation of a venue held when: the default that a recording of a date carries.

Dates are those of published source, which a program follows within days; where a recording's own trades tell
otherwise, name the generation. What is not listed here was of the newest generation at all known times.
"""

ENDED: tuple[tuple[str, str, int], ...] = (
    ("raydium", "legacy", 1_756_166_400),
    ("raydium_cpmm", "legacy", 1_755_475_200),
    ("raydium_cpmm", "creator", 1_762_214_400),
    ("meteora_dlmm", "pre-0.12", 1_778_630_400),
    ("pumpfun", "global_fees", 1_756_684_800),
    ("pump_amm", "global_fees", 1_756_684_800),
)
"""(venue, generation, unix second of its end), oldest first within a venue.

26 Aug 2025 strict rounding of AMM V4; 18 Aug and 4 Nov 2025 creator fee of CPMM, taken apart and jointly; 13 May
2026 the oldest known build of DLMM 0.12; September 2025 the fee program of both pump programs.
"""


def generations_at(unix_timestamp: int) -> tuple[str, ...]:
    """`venue=generation` of each venue that was not of its newest generation at this time."""
    held: dict[str, str] = {}
    for venue, generation, end in ENDED:
        if unix_timestamp < end:
            held.setdefault(venue, generation)
    return tuple(f"{venue}={generation}" for venue, generation in held.items())
