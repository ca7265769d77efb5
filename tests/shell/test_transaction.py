"""From a recorded plan to bytes: exactly its calls, its hash, its tables, its size, its signer."""

from hashlib import sha256

import pytest
from msgspec.structs import replace
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from ironcrab.dex import base58
from ironcrab.dex.face import Instruction, Meta
from ironcrab.dex.message import LOOKUP_TABLES, Table, calls_of, compiled
from ironcrab.domain.market import AccountWritten, SlotUpdate
from ironcrab.loop import Record
from ironcrab.shell.local_chain import price_of
from ironcrab.shell.transaction import MOST_TABLES, BuildFault, Tables, message_of, signed, unsigned
from tests.shell.stage import KEYPAIR, OTHER, WALLET, plan

HASH = str(Pubkey.default())
TABLE = str(Keypair.from_seed(sha256(b"table").digest()).pubkey())


def keys(count):
    return [str(Pubkey.from_bytes(sha256(b"key %d" % n).digest())) for n in range(count)]


def calls(names, data=b"x"):
    return calls_of((Instruction(OTHER, tuple(Meta(name, signer=False, writable=False) for name in names), data),))


def told(address=TABLE, names=(), slot=5, dead=2**64 - 1, owner=LOOKUP_TABLES):
    head = (1).to_bytes(4, "little") + dead.to_bytes(8, "little") + (3).to_bytes(8, "little") + bytes(36)
    return AccountWritten(address, owner, 1, head + b"".join(map(base58.decode, names)), slot=slot)


def tables(*events):
    outlet = Tables()
    for seq, event in enumerate(events):
        outlet.see(Record(seq, None, None, 0, event))
    assert not outlet.is_due
    assert list(outlet.due(None)) == []
    return outlet


def of(names, **fields):
    made = calls(names)
    return replace(plan("wrap", 5), calls=made, **{"plan_hash": compiled(WALLET.address, made).plan_hash, **fields})


def test_the_bytes_are_those_of_the_recorded_calls():
    recorded = plan("wrap", 5, tip=1234, price=107)
    message = message_of(recorded, WALLET.address, Tables())
    made = signed(message, HASH, WALLET)
    read = VersionedTransaction.from_bytes(made.raw)
    assert price_of(read) == 107
    assert isinstance(read.message, MessageV0)
    assert [str(key) for key in read.message.account_keys] == list(message.keys)
    assert made.raw == bytes(VersionedTransaction(read.message, [KEYPAIR]))
    assert made.signature == str(read.signatures[0])
    assert to_bytes_versioned(read.message) == message.with_blockhash(HASH)
    assert signed(message, HASH, WALLET) == made
    assert unsigned(message) == bytes((1,)) + bytes(64) + message.raw


def test_what_was_not_decided_is_not_signed():
    recorded = plan("wrap", 5)
    with pytest.raises(BuildFault, match="PLAN_UNBUILT: the plan has its terms"):
        message_of(replace(recorded, calls=()), WALLET.address, Tables())
    with pytest.raises(BuildFault, match="decided was"):
        message_of(replace(recorded, calls=recorded.calls[1:]), WALLET.address, Tables())
    with pytest.raises(BuildFault, match="decided was"):
        message_of(recorded, OTHER, Tables())
    with pytest.raises(BuildFault, match="no message"):
        message_of(replace(recorded, calls=calls(["nonsense"])), WALLET.address, Tables())
    with pytest.raises(BuildFault, match="1232 fit a packet"):
        message_of(of(keys(40)), WALLET.address, Tables())
    with pytest.raises(BuildFault, match="may be locked"):
        message_of(of(keys(80)), WALLET.address, Tables())
    message = message_of(recorded, WALLET.address, Tables())
    with pytest.raises(BuildFault, match="blockhash"):
        signed(message, "abc", WALLET)


def test_the_named_tables_are_those_that_the_log_told():
    names = keys(60)
    made = calls(names)
    message = compiled(WALLET.address, made, (Table(TABLE, tuple(names)),))
    recorded = replace(plan("wrap", 5), calls=made, tables=(TABLE,), plan_hash=message.plan_hash)
    now = SlotUpdate(6, slot=6)
    assert message_of(recorded, WALLET.address, tables(told(names=names), now)) == message
    assert message_of(recorded, WALLET.address, tables(told(names=names), told(names=(), slot=4), now)) == message
    for outlet in (Tables(), tables(told(names=names, dead=3), now), tables(told(names=names), told(owner=OTHER), now)):
        with pytest.raises(BuildFault, match="was not told or is closed"):
            message_of(recorded, WALLET.address, outlet)
    with pytest.raises(BuildFault, match="decided was"):
        message_of(recorded, WALLET.address, tables(told(names=names[::-1]), now))
    many = [told(address=name) for name in keys(MOST_TABLES + 1)]
    assert len(tables(*many).accounts) == MOST_TABLES


def test_only_this_wallet_signs():
    other = str(Keypair.from_seed(bytes(32)).pubkey())
    with pytest.raises(BuildFault, match="wants another signer"):
        signed(compiled(other, calls(keys(1))), HASH, WALLET)
    metas = (Meta(other, signer=True, writable=False),)
    with pytest.raises(BuildFault, match="wants another signer"):
        signed(compiled(WALLET.address, calls_of((Instruction(OTHER, metas, b""),))), HASH, WALLET)
