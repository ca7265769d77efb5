"""Base58 as Solana spells keys and signatures (Bitcoin alphabet). Pure, exact, without dependencies."""

from functools import lru_cache

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUE = {char: value for value, char in enumerate(ALPHABET)}


def encode(raw: bytes) -> str:
    """Bytes to base58; leading zero bytes become leading `1`s."""
    number = int.from_bytes(raw, "big")
    chars = []
    while number:
        number, digit = divmod(number, 58)
        chars.append(ALPHABET[digit])
    zeros = len(raw) - len(raw.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(chars))


def decode(text: str) -> bytes:
    """Base58 to bytes.

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
