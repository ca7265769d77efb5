"""Building: plan hash, budget, tip, tables, size, signing."""

from hashlib import sha256

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from ironcrab.dex import base58
from ironcrab.dex.address import COMPUTE_BUDGET, SYSTEM
from ironcrab.dex.face import Instruction, Meta
from ironcrab.shell.local_chain import price_of
from ironcrab.shell.transaction import BuildFault, Table, compiled, dressed, plan_hash, signed, tip, unsigned
from tests.shell.stage import KEYPAIR, OTHER, WALLET, build, plan

HASH = str(Hash.default())


def keys(count):
    return [str(Pubkey.from_bytes(sha256(b"key %d" % n).digest())) for n in range(count)]


def call(names, data=b"x"):
    return Instruction(OTHER, tuple(Meta(name, signer=False, writable=False) for name in names), data)


def test_the_plan_hash_is_over_programs_flags_and_data():
    one = Instruction(SYSTEM, (Meta(OTHER, signer=True, writable=False),), b"\x01\x02")
    raw = bytes(32) + b"\x01\0\0\0" + base58.decode(OTHER) + b"\x01\x00" + b"\x02\0\0\0" + b"\x01\x02"
    assert plan_hash((one,)) == base58.encode(sha256(raw).digest())
    assert plan_hash((one, one)) == base58.encode(sha256(raw + raw).digest())
    assert plan_hash((Instruction(SYSTEM, (Meta(OTHER, signer=True, writable=True),), b"\x01\x02"),)) != plan_hash(
        (one,)
    )


def test_budget_stands_in_front_once_and_the_tip_behind():
    told = plan("wrap", 5, tip=1234, price=100)
    budget = dressed((), told, WALLET.address, OTHER)[:2]
    made = dressed((*budget, *build(told)), told, WALLET.address, OTHER, variation=7)
    assert [one.program for one in made].count(COMPUTE_BUDGET) == 2
    assert made[0].data == b"\x02" + (100_000).to_bytes(4, "little")
    assert made[1].data == b"\x03" + (107).to_bytes(8, "little")
    assert made[-1] == tip(WALLET.address, OTHER, 1234)
    assert price_of(unsigned(compiled(made, WALLET.address, HASH))) == 107
    with pytest.raises(BuildFault, match="no tip account"):
        dressed((), told, WALLET.address)


def test_tables_are_used_only_where_they_save_bytes():
    names = keys(6)
    table = Table(keys(7)[6], tuple(names))
    sizes = {}
    for used in (1, 2, 6):
        plain = compiled((call(names[:used]),), WALLET.address, HASH)
        short = compiled((call(names[:used]),), WALLET.address, HASH, (table,))
        sizes[used] = len(bytes(unsigned(plain))) - len(bytes(unsigned(short)))
    assert sizes[1] == 0
    assert sizes[2] > 0
    assert sizes[6] > sizes[2]


def test_what_does_not_fit_is_refused_with_its_size():
    with pytest.raises(BuildFault, match="1232 fit a packet"):
        compiled((call(keys(40)),), WALLET.address, HASH)
    table = Table(keys(90)[89], tuple(keys(80)))
    with pytest.raises(BuildFault, match="may be locked"):
        compiled((call(keys(80)),), WALLET.address, HASH, (table,))
    assert compiled((call(keys(60)),), WALLET.address, HASH, (table,))
    with pytest.raises(BuildFault, match="no message"):
        compiled((call(["nonsense"]),), WALLET.address, HASH)
    with pytest.raises(BuildFault, match="no message"):
        compiled((call(keys(1)),), WALLET.address, "nonsense")


def test_signing_is_what_solders_signs_and_for_this_wallet_only():
    told = plan("wrap", 5)
    message = compiled(dressed(build(told), told, WALLET.address), WALLET.address, HASH)
    made = signed(message, WALLET)
    assert made.raw == bytes(VersionedTransaction(message, [KEYPAIR]))
    assert signed(message, WALLET) == made
    assert made.signature == str(VersionedTransaction.from_bytes(made.raw).signatures[0])
    other = str(Keypair.from_seed(bytes(32)).pubkey())
    with pytest.raises(BuildFault, match="wants another signer"):
        signed(compiled((call(keys(1)),), other, HASH), WALLET)
    metas = (Meta(other, signer=True, writable=False),)
    with pytest.raises(BuildFault, match="wants another signer"):
        signed(compiled((Instruction(OTHER, metas, b""),), WALLET.address, HASH), WALLET)
