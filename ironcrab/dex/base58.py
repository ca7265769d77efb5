"""Base58 as Solana spells keys and signatures (Bitcoin alphabet). Pure, exact, without dependencies."""

from functools import lru_cache

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUE = {char: value for value, char in enumerate(ALPHABET)}
_PAIRS = tuple(high + low for high in ALPHABET for low in ALPHABET)
_PAIR = 58**2
_CHUNK = 58**10
"""Ten digits fit a machine word: dividing the long number by them at once is what makes a signature cheap."""


def encode(raw: bytes) -> str:
    """Bytes to base58; leading zero bytes become leading `1`s."""
    number = int.from_bytes(raw, "big")
    chunks = []
    while number:
        number, chunk = divmod(number, _CHUNK)
        chunks.append(chunk)
    digits: list[str] = []
    for chunk in reversed(chunks):
        left, last = divmod(chunk, _PAIR)
        left, fourth = divmod(left, _PAIR)
        left, third = divmod(left, _PAIR)
        first, second = divmod(left, _PAIR)
        digits += (_PAIRS[first], _PAIRS[second], _PAIRS[third], _PAIRS[fourth], _PAIRS[last])
    zeros = len(raw) - len(raw.lstrip(b"\0"))
    return "1" * zeros + "".join(digits).lstrip("1")


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


@lru_cache(maxsize=4096)
def signature(raw: bytes) -> str:
    """A signature's base58, remembered for a while: a transaction and each write it made name it."""
    return encode(raw)
