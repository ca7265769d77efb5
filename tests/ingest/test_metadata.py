"""What a token is called: from a Metaplex account and from a Token-2022 mint, nowhere else."""

from struct import pack

from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.dex import base58
from ironcrab.dex.address import TOKEN, TOKEN_2022
from ironcrab.dex.face import Account
from ironcrab.dex.metaplex import PROGRAM, decode_metadata, metadata_address
from ironcrab.domain.market import AccountWritten, TokenMetadata, TokenMintInfo
from ironcrab.ingest.accounts import told_by

MINT = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
AUTHORITY = "4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi"


def text(value, size=None):
    raw = value.encode()
    return pack("<I", size or len(raw)) + raw.ljust(size or 0, b"\0")


def metaplex(name="USD Coin", symbol="USDC", uri="https://x.test/u.json", mint=MINT, padded=True):
    sizes = (32, 10, 200) if padded else (None,) * 3
    texts = b"".join(text(value, size) for value, size in zip((name, symbol, uri), sizes, strict=True))
    return b"\4" + base58.decode(AUTHORITY) + base58.decode(mint) + texts + bytes(4)


def mint_of_2022(mint=MINT):
    told = base58.decode(AUTHORITY) + base58.decode(mint) + text("Two") + text("T22") + text("ipfs://q") + bytes(4)
    entry = pack("<HH", 19, len(told)) + told
    base = bytes(36) + pack("<QBB", 10**15, 6, 1) + bytes(36)
    return base.ljust(165, b"\0") + b"\1" + entry


def written(owner, data, key=MINT):
    return AccountWritten(key, owner, 1, data, slot=7, source="rpc")


def test_the_address_of_a_known_mint():
    assert metadata_address(MINT) == "5x38Kp4hvdomTCnCrAny4UtMUt5rQBdB6px2K1Ui45Wq"


def test_a_metaplex_account_is_told_padded_or_not():
    for padded in (True, False):
        event = written(PROGRAM, metaplex(padded=padded), metadata_address(MINT))
        assert told_by(event)[1:] == [
            TokenMetadata(MINT, "USD Coin", "USDC", "https://x.test/u.json", event.pubkey, AUTHORITY, 7, "rpc")
        ]


def test_a_2022_mint_that_names_itself_is_told():
    said = told_by(written(TOKEN_2022, mint_of_2022()))
    assert [type(event) for event in said] == [AccountWritten, TokenMintInfo, TokenMetadata]
    assert (said[2].name, said[2].symbol, said[2].uri, said[2].account) == ("Two", "T22", "ipfs://q", MINT)
    # an entry that names another mint is a claim of this one's issuer
    assert len(told_by(written(TOKEN_2022, mint_of_2022(AUTHORITY)))) == 2


def test_others_say_nothing():
    for event in (written(TOKEN, metaplex()), written(PROGRAM, b""), written(PROGRAM, b"\5" + metaplex()[1:])):
        assert told_by(event) == [event]
    too_long = b"\4" + bytes(64) + pack("<I", 33) + bytes(400)
    assert decode_metadata(Account(PROGRAM, 1, too_long)) is None


@given(st.binary(max_size=400), st.sampled_from([PROGRAM, TOKEN, TOKEN_2022]))
@settings(derandomize=True, deadline=None)
def test_no_bytes_raise(data, owner):
    event = written(owner, data)
    assert told_by(event)[0] == event
    decode_metadata(Account(owner, 1, b"\4" + data))


@given(st.integers(0, 322), st.integers(0, 255))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_a_flipped_byte_is_none_or_texts(place, value):
    data = bytearray(metaplex())
    data[place] = value
    told = decode_metadata(Account(PROGRAM, 1, bytes(data)))
    assert told is None or len(told.name) <= 32
