"""v0 messages: byte for byte what solders compiles, with and without lookup tables."""

import base64
from hashlib import sha256
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta
from solders.instruction import Instruction as Theirs
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from ironcrab.dex import base58
from ironcrab.dex.address import SYSTEM
from ironcrab.dex.face import Account
from ironcrab.dex.message import (
    LOOKUP_TABLES,
    MOST_KEYS,
    Table,
    calls_of,
    compiled,
    instructions_of,
    table_of,
)
from ironcrab.domain.ask import PlanCall

PAYER = base58.encode(bytes((7,)) * 32)
BLOCKHASH = base58.encode(bytes(range(32)))


def key(number):
    return base58.encode(sha256(number.to_bytes(4, "little")).digest())


def theirs(payer, calls, tables=(), blockhash=BLOCKHASH):
    """The same by solders."""
    instructions = [
        Theirs(
            Pubkey.from_string(call.program),
            base64.b64decode(call.data),
            [
                AccountMeta(Pubkey.from_string(k), f in "sb", f in "wb")
                for k, f in zip(call.accounts, call.flags, strict=True)
            ],
        )
        for call in calls
    ]
    luts = [
        AddressLookupTableAccount(Pubkey.from_string(table.key), [Pubkey.from_string(k) for k in table.addresses])
        for table in tables
    ]
    return MessageV0.try_compile(Pubkey.from_string(payer), instructions, luts, Hash.from_string(blockhash))


def equal(payer, calls, tables=()):
    mine = compiled(payer, calls, tables)
    used = tuple(table for table in tables if table.key in mine.tables)
    his = theirs(payer, calls, used)
    assert mine.with_blockhash(BLOCKHASH) == to_bytes_versioned(his)
    assert mine.keys == tuple(str(one) for one in his.account_keys)
    assert mine.signers == his.header.num_required_signatures
    unsigned = VersionedTransaction.populate(his, [Signature.default()] * mine.signers)
    assert mine.size == len(bytes(unsigned))
    return mine


@st.composite
def plans(draw, most_keys=40):
    names = [key(number) for number in range(most_keys)]
    count = draw(st.integers(0, 8))
    calls = []
    for _ in range(count):
        accounts = draw(st.lists(st.sampled_from([*names, PAYER]), max_size=20))
        flags = "".join(draw(st.sampled_from("--www-sb")) for _ in accounts)
        data = draw(st.binary(max_size=200))
        calls.append(PlanCall(draw(st.sampled_from(names)), tuple(accounts), flags, base64.b64encode(data).decode()))
    tables = []
    for number in range(draw(st.integers(0, 3))):
        held = draw(st.lists(st.sampled_from(names), max_size=30))
        tables.append(Table(key(1000 + number), tuple(held)))
    return tuple(calls), tuple(tables)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(plans())
def test_messages_are_those_of_solders(plan):
    calls, tables = plan
    equal(PAYER, calls)
    mine = equal(PAYER, calls, tables)
    assert calls_of(instructions_of(calls)) == calls
    named = {name for call in calls for name in (call.program, *call.accounts)} | {PAYER}
    assert mine.locks == len(named)


def test_a_table_is_used_only_where_it_saves_bytes():
    names = tuple(key(number) for number in range(5))
    sizes = {}
    for count in range(5):
        calls = (PlanCall(SYSTEM, names[:count], "w" * count, ""),)
        plain, short = equal(PAYER, calls), equal(PAYER, calls, (Table(key(99), names),))
        sizes[count] = plain.size - short.size
        assert bool(short.tables) == (count > 1)
    assert sizes == {0: 0, 1: 0, 2: 28, 3: 59, 4: 90}


def test_the_hash_is_over_the_message_without_its_blockhash():
    calls = (PlanCall(SYSTEM, (PAYER, key(1)), "bw", base64.b64encode(pack("<IQ", 2, 5)).decode()),)
    message = compiled(PAYER, calls)
    raw = bytearray(message.with_blockhash(BLOCKHASH))
    raw[message.hash_at : message.hash_at + 32] = bytes(32)
    assert message.plan_hash == base58.encode(sha256(bytes(raw)).digest())
    other = compiled(PAYER, (PlanCall(SYSTEM, (PAYER, key(1)), "bw", base64.b64encode(pack("<IQ", 2, 6)).decode()),))
    assert other.plan_hash != message.plan_hash
    with pytest.raises(ValueError, match="blockhash"):
        message.with_blockhash("abc")


def test_what_no_leader_takes_says_why():
    many = tuple(key(number) for number in range(MOST_KEYS))
    call = PlanCall(SYSTEM, many, "w" * len(many), "")
    assert "66 accounts" in str(compiled(PAYER, (call,)).fault)
    some = tuple(key(number) for number in range(40))
    call = PlanCall(SYSTEM, some, "w" * len(some), "")
    assert "1232 fit a packet" in str(compiled(PAYER, (call,)).fault)
    assert compiled(PAYER, (call,), (Table(key(99), some),)).fault is None
    with pytest.raises(ValueError, match="no base58"):
        compiled(PAYER, (PlanCall(SYSTEM, ("1",), "w", ""),))


def table_bytes(addresses, dead=2**64 - 1, extended=10, before=0):
    head = pack("<IQQB", 1, dead, extended, before) + b"\0" * 35
    return head + b"".join(base58.decode(address) for address in addresses)


def test_a_lookup_table_tells_what_may_be_used_now():
    names = tuple(key(number) for number in range(4))
    account = Account(LOOKUP_TABLES, 1, table_bytes(names, before=3))
    assert table_of("T", account, 11) == Table("T", names)
    assert table_of("T", account, 10) == Table("T", names[:3])
    assert table_of("T", account, 9) == Table("T", names[:3])
    assert table_of("T", Account(SYSTEM, 1, account.data), 11) is None
    assert table_of("T", Account(LOOKUP_TABLES, 1, table_bytes(names, dead=5)), 11) is None
    assert table_of("T", Account(LOOKUP_TABLES, 1, account.data[:55]), 11) is None


@settings(derandomize=True, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_table_or_none(raw):
    found = table_of("T", Account(LOOKUP_TABLES, 1, raw), 5)
    assert found is None or len(found.addresses) <= 13


@pytest.mark.parametrize("size", [127, 128, 300, 16_384])
def test_long_data_counts_its_bytes_as_solders_does(size):
    """A compact-u16 of one, two and three bytes; whether it fits a packet is another question."""
    equal(PAYER, (PlanCall(key(1), (PAYER,), "b", base64.b64encode(bytes(size)).decode()),))
