"""Program derived and associated addresses against the chain's own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.dex import address, base58

AMM_V4 = "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8"
CPMM = "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C"


def test_known_program_addresses():
    found = address.find_program_address((b"amm authority",), AMM_V4)
    assert found == ("5Q544fKrFoe6tsEbD7S8EmxGTJYAKtTVhAW5Q5pge4j1", 254)
    found = address.find_program_address((b"vault_and_lp_mint_auth_seed",), CPMM)
    assert found == ("GpMZbSM2GgvTKHJirzeGfMFoaZ8UR2X7F4v8vHTvxFbL", 253)
    found = address.find_program_address((b"amm_config", (11).to_bytes(2, "big")), CPMM)
    assert found[0] == "CRRS5ieQmBrZjWhcj99JuGrT5tyuWDaGAXLXLFjbAtjQ"


def test_associated_accounts_of_both_token_programs(vectors, truth_table):
    rows = [
        instruction["accounts"]
        for row in vectors("token_programs")
        for instruction in row["instructions"]
        if row["ok"]
        and instruction["program_id"] == address.ASSOCIATED_TOKEN
        and instruction["data"] in ("", "00", "01")
    ]
    equal = sum(address.associated(metas[2][0], metas[3][0], metas[5][0]) == metas[1][0] for metas in rows)
    truth_table.add("address", "token_programs (associated)", len(rows), equal)
    assert equal == len(rows) > 30


def test_curve_points():
    generator = (4 * pow(5, -1, address._P) % address._P).to_bytes(32, "little")
    assert address.on_curve(generator)
    assert address.on_curve(bytes(31) + b"\x80")  # y = 0 with the sign bit set
    assert address.on_curve(b"\1" + bytes(31))  # the neutral point: x = 0
    assert not address.on_curve(b"\2" + bytes(31))
    assert address.on_curve(base58.decode("7fVFRR69jPgmV5HBwHmDyBcxHXy3JNhYdid3L8svBuWo"))


@given(st.binary(min_size=32, max_size=32))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_curve_agrees_with_solders(raw):
    solders = pytest.importorskip("solders.pubkey")
    assert address.on_curve(raw) == solders.Pubkey.from_bytes(raw).is_on_curve()


@given(st.lists(st.binary(max_size=32), max_size=15), st.binary(min_size=32, max_size=32))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_find_agrees_with_solders(seeds, program):
    solders = pytest.importorskip("solders.pubkey")
    key, bump = solders.Pubkey.find_program_address(seeds, solders.Pubkey.from_bytes(program))
    assert address.find_program_address(tuple(seeds), base58.encode(program)) == (str(key), bump)


def test_create_answers_none_on_the_curve():
    seeds = next(
        seeds for seeds in ((bytes((n,)),) for n in range(256)) if address.create_program_address(seeds, AMM_V4) is None
    )
    assert address.on_curve(address.sha256(seeds[0] + base58.decode(AMM_V4) + b"ProgramDerivedAddress").digest())


@pytest.mark.parametrize("seeds", [(b"",) * 16, (bytes(33),)])
def test_seeds_out_of_bounds_are_refused(seeds):
    with pytest.raises(ValueError, match="seeds"):
        address.find_program_address(seeds, AMM_V4)


@given(st.text(max_size=50))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_is_key_never_raises(text):
    assert isinstance(address.is_key(text), bool)


def test_is_key():
    assert address.is_key(AMM_V4)
    assert address.is_key("1" * 32)
    assert not address.is_key("1" * 33)
    assert not address.is_key(AMM_V4[:-2] + "0O")
    assert not address.is_key("z" * 44)
