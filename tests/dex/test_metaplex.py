"""Metaplex metadata accounts: texts padded or not, and every way to be none."""

from struct import pack

import pytest

from ironcrab.dex import base58
from ironcrab.dex.address import TOKEN
from ironcrab.dex.face import Account
from ironcrab.dex.metaplex import PROGRAM, decode_metadata, metadata_address

MINT = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
AUTHORITY = "4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi"
AUTHORITY_BYTES = base58.decode(AUTHORITY)
SIZES = (32, 10, 200)


def data_of(texts, sizes=(0, 0, 0), authority=AUTHORITY_BYTES):
    """Key, authority, mint, and each text filled up to its size."""
    filled = [text.encode().ljust(size, b"\0") for text, size in zip(texts, sizes, strict=True)]
    return b"\4" + authority + base58.decode(MINT) + b"".join(pack("<I", len(raw)) + raw for raw in filled)


@pytest.mark.parametrize("sizes", [SIZES, (0, 0, 0)])
def test_texts_are_read_padded_or_not(sizes):
    told = decode_metadata(Account(PROGRAM, 1, data_of(("USD Coin", "USDC", "https://x.test"), sizes)))
    assert (told.update_authority, told.mint, told.name, told.symbol, told.uri) == (
        AUTHORITY, MINT, "USD Coin", "USDC", "https://x.test",
    )  # fmt: skip


def test_an_authority_of_zeros_is_none():
    assert decode_metadata(Account(PROGRAM, 1, data_of(("a", "b", "c"), SIZES, bytes(32)))).update_authority is None


@pytest.mark.parametrize(
    ("owner", "data"),
    [
        (TOKEN, data_of(("a", "b", "c"), SIZES)),
        (PROGRAM, b""),
        (PROGRAM, b"\5" + data_of(("a", "b", "c"))[1:]),
        (PROGRAM, data_of(("a" * 33, "b", "c"))),
        (PROGRAM, data_of(("a", "b", "c"))[:-1]),
    ],
)
def test_everything_else_is_none(owner, data):
    assert decode_metadata(Account(owner, 1, data)) is None


def test_the_address_of_a_known_mint():
    assert metadata_address(MINT) == "5x38Kp4hvdomTCnCrAny4UtMUt5rQBdB6px2K1Ui45Wq"
