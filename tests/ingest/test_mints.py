"""Mints made by instructions: both programs, any depth, batches, what followed in the same transaction."""

import pytest

from ironcrab.dex import base58
from ironcrab.dex.face import Call
from ironcrab.domain.units import TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from ironcrab.ingest.mints import mint_infos
from ironcrab.ingest.normalise import Normaliser

MINTER, FREEZER, HEIR = (bytes([first]) * 32 for first in (3, 4, 5))
INIT = bytes([20, 6]) + MINTER + b"\1" + FREEZER


def call(data, *accounts, program=TOKEN_2022_PROGRAM):
    return Call(program, accounts, data, 0, 1)


def u64(number):
    return number.to_bytes(8, "little")


@pytest.mark.parametrize("tag", [0, 20])
@pytest.mark.parametrize("program", [TOKEN_PROGRAM, TOKEN_2022_PROGRAM])
def test_both_inits_of_both_programs(tag, program):
    [info] = mint_infos([call(bytes([tag]) + INIT[1:], "mint", "rent", program=program)], 9)
    assert (info.mint, info.token_program, info.decimals, info.supply, info.slot) == ("mint", program, 6, 0, 9)
    assert (info.mint_authority, info.freeze_authority) == (base58.encode(MINTER), base58.encode(FREEZER))
    [info] = mint_infos([call(bytes([tag, 0]) + MINTER + b"\0", "mint", program=program)], 9)
    assert (info.decimals, info.freeze_authority) == (0, None)


def test_what_follows_in_the_transaction_counts():
    spoken = [
        call(INIT, "mint"),
        call(b"\x07" + u64(1000), "mint", "account", "minter"),
        call(b"\x0e" + u64(500) + b"\6", "mint", "account", "minter"),
        call(b"\x08" + u64(300), "account", "mint", "owner"),
        call(b"\x0f" + u64(100) + b"\6", "account", "mint", "owner"),
        call(b"\x07" + u64(5), "other", "account", "minter"),
        call(b"\x06\0\1" + HEIR, "mint", "minter"),
        call(b"\x06\1\0", "mint", "freezer"),
    ]
    [info] = mint_infos(spoken, 9)
    assert (info.supply, info.mint_authority, info.freeze_authority) == (1100, base58.encode(HEIR), None)


def test_extensions_are_named_in_their_order():
    spoken = [
        call(b"\x27\0" + bytes(64), "mint"),
        call(b"\x1a\0" + bytes(20), "mint"),
        call(b"\x23" + bytes(32), "mint"),
        call(b"\x1a\1" + bytes(20), "mint", "mint", "x", "y"),
        call(INIT, "mint"),
        call(bytes.fromhex("d2e11ea258b84d8d") + b"\1", "mint", "a"),
    ]
    [info] = mint_infos(spoken, 9)
    assert info.extensions == ("MetadataPointer", "TransferFeeConfig", "PermanentDelegate", "TokenMetadata")


def test_a_batch_is_opened():
    inner = [(1, b"\x27\0"), (2, bytes([0]) + INIT[1:]), (3, b"\x07" + u64(8))]
    data = b"\xff" + b"".join(bytes([accounts, len(body)]) + body for accounts, body in inner)
    [info] = mint_infos([call(data, "mint", "mint", "rent", "mint", "account", "minter")], 9)
    assert (info.mint, info.supply, info.extensions) == ("mint", 8, ("MetadataPointer",))
    assert mint_infos([call(data[:40], "mint", "mint", "rent")], 9) == []
    assert mint_infos([call(b"\xff\0\0\0", "mint")], 9) == []


@pytest.mark.parametrize("length", range(35))
def test_short_inits_are_none(length):
    assert mint_infos([call(INIT[:length], "mint")], 9) == []
    assert mint_infos([call(INIT)], 9) == []


def test_a_mint_made_two_calls_down_is_found(made):
    update = made([(1, [], b"x")], {0: [(2, [], b"y", 2), (3, [4], INIT, 3)]})
    keys = update.transaction.transaction.transaction.message.account_keys
    keys[3] = base58.decode(TOKEN_PROGRAM)
    [(_, gap), (_, info)] = Normaliser().feed(update.SerializeToString(), 1)
    assert info.mint == base58.encode(keys[4])
    assert gap.from_slot == 7
