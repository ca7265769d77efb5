"""Base58 as Solana spells keys and signatures (Bitcoin alphabet). Pure, exact, without dependencies."""

from functools import lru_cache

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
_CHUNK_PAIRS = 5
_CHUNK = 58 ** (2 * _CHUNK_PAIRS)
_VALUE = {char: value for value, char in enumerate(ALPHABET)}


def encode(raw: bytes) -> str:
    """Bytes to base58; leading zero bytes become leading `1`s."""
    number = int.from_bytes(raw, "big")
    pairs = []
    while number:
        # a few divisions of the long number, the rest of small ones
        number, part = divmod(number, _CHUNK)
        for _ in range(_CHUNK_PAIRS):
            part, pair = divmod(part, 58 * 58)
            pairs.append(_PAIRS[pair])
    zeros = len(raw) - len(raw.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(pairs)).lstrip("1")


@lru_cache(maxsize=65536)
def decode(text: str) -> bytes:
    """Base58 to bytes, remembered: the same keys are met again and again.

    Raises:
        ValueError: a character is not of the alphabet.
    """
    number = 0
    for char in text:
        if char not in _VALUE:
            raise ValueError(f"{char!r} in {text!r} is no base58 character")
        number = number * 58 + _VALUE[char]
    zeros = len(text) - len(text.lstrip("1"))
    body = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return b"\0" * zeros + body


@lru_cache(maxsize=65536)
def key(raw: bytes) -> str:
    """A public key's base58, remembered: a feed repeats the same keys."""
    return encode(raw)
