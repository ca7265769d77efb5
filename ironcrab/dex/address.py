"""Addresses: program ids that several venues share, program derived addresses, associated token accounts.

A program derived address is a SHA-256 of seeds that is no point of the Ed25519 curve. The curve test here is
the decompression rule of the runtime: y is read modulo p, and its x squared must have a square root.
"""

from functools import lru_cache
from hashlib import sha256

from ironcrab.dex import base58

SYSTEM = "11111111111111111111111111111111"
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"  # noqa: S105  a public id
TOKEN_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"  # noqa: S105  a public id
TOKEN_PROGRAMS = (TOKEN, TOKEN_2022)
ASSOCIATED_TOKEN = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"  # noqa: S105  a public id
COMPUTE_BUDGET = "ComputeBudget111111111111111111111111111111"
MEMO = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"
WSOL = "So11111111111111111111111111111111111111112"
"""Native mint of SPL Token, 9 decimals."""

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_LOW_255 = 2**255 - 1
_MARKER = b"ProgramDerivedAddress"
_MAX_SEEDS = 15
_MAX_SEED = 32
_TWOS = (8, *((low & -low).bit_length() - 1 for low in range(1, 256)))
"""How often 2 divides a number, by its lowest byte: at least 8 times where that is 0."""


def is_key(text: str) -> bool:
    """Whether a text is the base58 of 32 bytes, spelled as the chain spells it."""
    if not 32 <= len(text) <= 44:
        return False
    try:
        raw = base58.decode(text)
    except ValueError:
        return False
    return len(raw) == 32


def on_curve(raw: bytes) -> bool:
    """Whether 32 bytes are a point of Ed25519, as the runtime decides it (sign and range ignored)."""
    y2 = pow(int.from_bytes(raw, "little") & _LOW_255, 2, _P)
    return _jacobi((y2 - 1) * (_D * y2 + 1) % _P, _P) >= 0


def _jacobi(top: int, bottom: int) -> int:
    """The Jacobi symbol (`bottom` odd): of a prime 1 for squares, -1 for others, 0 for 0.

    A power would tell the same in eight times the time. Every step keeps its sign in bit 1 of `turns`, whatever else
    stands there: that is cheaper than cutting the bit out.
    """
    turns = 0
    while top:
        while not top & 1:
            twos = _TWOS[top & 255]
            top >>= twos
            if twos & 1:
                turns ^= bottom ^ bottom >> 1
        turns ^= top & bottom
        top, bottom = bottom % top, top
    return 0 if bottom != 1 else -1 if turns & 2 else 1


def create_program_address(seeds: tuple[bytes, ...], program: str) -> str | None:
    """The address of exactly these seeds (bump included), or None when it would be a curve point.

    Raises:
        ValueError: the program id is no base58.
    """
    digest = sha256(b"".join(seeds) + base58.decode(program) + _MARKER).digest()
    return None if on_curve(digest) else base58.encode(digest)


@lru_cache(maxsize=65536)
def find_program_address(seeds: tuple[bytes, ...], program: str) -> tuple[str, int]:
    """The address of a program for these seeds and its bump: the highest bump that is off the curve.

    Args:
        seeds: at most 15 seeds of at most 32 bytes (the bump is the sixteenth).
        program: base58 program id.

    Raises:
        ValueError: too many seeds, a seed too long, or a program id that is no base58.
    """
    if len(seeds) > _MAX_SEEDS or any(len(seed) > _MAX_SEED for seed in seeds):
        raise ValueError(f"{len(seeds)} seeds: at most {_MAX_SEEDS}, each of at most {_MAX_SEED} bytes")
    for bump in range(255, -1, -1):
        found = create_program_address((*seeds, bytes((bump,))), program)
        if found is not None:
            return found, bump
    raise ValueError(f"no bump of these seeds is off the curve for {program}")  # pragma: no cover


@lru_cache(maxsize=65536)
def associated(owner: str, mint: str, token_program: str) -> str:
    """The associated token account of an owner for a mint; the token program is one of its seeds.

    Raises:
        ValueError: a key is no base58 of at most 32 bytes.
    """
    seeds = (base58.decode(owner), base58.decode(token_program), base58.decode(mint))
    return find_program_address(seeds, ASSOCIATED_TOKEN)[0]
