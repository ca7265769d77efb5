"""Version 0 messages: the bytes that a transaction's signers sign, made from its instructions, and lookup tables.

Message (version byte 0x80; compact-u16 counts before each list): u8 signers, u8 read-only signers, u8 read-only
others; static keys; 32-byte blockhash; instructions (u8 program, account indices, data); lookups (table key, writable
indices, read-only indices). Accounts stand in four groups, writable signers (payer first), read-only signers,
writable others, read-only others, each in the order of their bytes; then what the tables load, the writable ones of
all tables first. Lookup table (program AddressLookupTab1e1111111111111111111111111, 56-byte header): u32 1 at 0, u64
deactivation slot at 4 (all ones: alive), u64 slot of the last extension at 12, u8 entries before it at 20; from 56 on
32 bytes an address (fact sheet on sending, 2.1 and 2.2).
"""

import binascii
from collections.abc import Iterable
from hashlib import sha256

from msgspec import Struct

from ironcrab.dex import base58
from ironcrab.dex.face import Account, Instruction, Meta
from ironcrab.domain.ask import PlanCall

LOOKUP_TABLES = "AddressLookupTab1e1111111111111111111111111"
MOST_BYTES = 1232
"""Bytes of the largest legacy or v0 transaction."""
MOST_KEYS = 64
"""Accounts a transaction may lock (the raised limit of 128 is not active everywhere)."""
WORTH = 2
"""Keys of a table that a message must name for the table to save bytes (34 bytes a table, 31 saved a key)."""
SIGNATURE_BYTES = 64
HASH_BYTES = 32
_TABLE_BYTES = 56
_ALIVE = 2**64 - 1
_WRITES, _SIGNS = 1, 2
_BITS = {"-": 0, "w": _WRITES, "s": _SIGNS, "b": _SIGNS | _WRITES}
_COUNTS = tuple(bytes((number,)) for number in range(0x80))
_FLAGS = {(False, False): "-", (False, True): "w", (True, False): "s", (True, True): "b"}


class Table(Struct, frozen=True, gc=False):
    """A lookup table: its address, and the addresses in it that may be used (base58, in order)."""

    key: str
    addresses: tuple[str, ...]


class Message(Struct, frozen=True, gc=False):
    """A compiled message.

    Attributes:
        raw: its bytes with 32 zero bytes for the blockhash.
        hash_at: where the blockhash stands in them.
        keys: its static accounts, the fee payer first.
        signers: how many of them sign.
        tables: keys of the lookup tables that it uses.
        locks: accounts it names in all.
    """

    raw: bytes
    hash_at: int
    keys: tuple[str, ...]
    signers: int
    tables: tuple[str, ...]
    locks: int

    @property
    def size(self) -> int:
        """Bytes of the signed transaction."""
        return 1 + SIGNATURE_BYTES * self.signers + len(self.raw)

    @property
    def fault(self) -> str | None:
        """Why no leader takes it; None: nothing is wrong."""
        if self.locks > MOST_KEYS:
            return f"the transaction names {self.locks} accounts, {MOST_KEYS} may be locked at once"
        if self.size > MOST_BYTES:
            return f"the transaction has {self.size} bytes, {MOST_BYTES} fit a packet; name lookup tables"
        return None

    @property
    def plan_hash(self) -> str:
        """Base58 of sha256 over the message with zeros for the blockhash: what is signed, whenever it is."""
        return base58.encode(sha256(self.raw).digest())

    def with_blockhash(self, blockhash: str) -> bytes:
        """The bytes to sign. ValueError: the text is no base58 of 32 bytes."""
        told = base58.decode(blockhash)
        if len(told) != HASH_BYTES:
            raise ValueError(f"blockhash {blockhash!r} has {len(told)} bytes, not {HASH_BYTES}")
        return self.raw[: self.hash_at] + told + self.raw[self.hash_at + HASH_BYTES :]


def calls_of(instructions: Iterable[Instruction]) -> tuple[PlanCall, ...]:
    """Instructions as a plan carries them."""
    return tuple(
        PlanCall(
            one.program,
            tuple([meta.pubkey for meta in one.metas]),
            "".join([_FLAGS[meta.signer, meta.writable] for meta in one.metas]),
            binascii.b2a_base64(one.data, newline=False).decode(),
        )
        for one in instructions
    )


def instructions_of(calls: Iterable[PlanCall]) -> tuple[Instruction, ...]:
    """A plan's calls as instructions. ValueError: data is no base64."""
    return tuple(
        Instruction(
            call.program,
            tuple(Meta(key, flag in "sb", flag in "wb") for key, flag in zip(call.accounts, call.flags, strict=True)),
            binascii.a2b_base64(call.data, strict_mode=True),
        )
        for call in calls
    )


def table_of(key: str, account: Account, slot: int) -> Table | None:
    """A lookup table's usable addresses in this slot; None: the account is none, or it is being closed.

    What was added in the current slot, or in one that is still to come here, can be used from the next slot on.
    """
    data = account.data
    if account.owner != LOOKUP_TABLES or len(data) < _TABLE_BYTES or data[:4] != b"\1\0\0\0":
        return None
    if int.from_bytes(data[4:12], "little") != _ALIVE:
        return None
    count = (len(data) - _TABLE_BYTES) // 32
    if int.from_bytes(data[12:20], "little") >= slot:
        count = min(count, data[20])
    ends = range(_TABLE_BYTES, _TABLE_BYTES + 32 * count, 32)
    return Table(key, tuple([base58.key(data[at : at + 32]) for at in ends]))


def compiled(payer: str, calls: tuple[PlanCall, ...], tables: tuple[Table, ...] = ()) -> Message:
    """The message of these calls; a table is used where it saves bytes, signers and programs stay static.

    Args:
        payer: base58 of the fee payer.
        calls: the instructions.
        tables: lookup tables that may be used, in this order.

    Raises:
        ValueError: a key is no base58 of 32 bytes, or data no base64.
    """
    groups, programs = _groups(payer, calls)
    lookups, loaded = _lookups(groups, programs, tables) if tables else ({}, [])
    static = [*groups[0], *groups[1], *groups[2], *groups[3]]
    order = {key: place for place, key in enumerate(static + loaded)}
    signers = len(groups[0]) + len(groups[1])
    header = bytes((0x80, signers, len(groups[1]), len(groups[3])))
    opening = header + _count(len(static)) + b"".join([_raw(key) for key in static])
    body = [opening, bytes(HASH_BYTES), _count(len(calls))]
    for call in calls:
        data = binascii.a2b_base64(call.data, strict_mode=True)
        places = bytes([order[key] for key in call.accounts])
        body += (bytes((order[call.program],)), _count(len(places)), places, _count(len(data)), data)
    raw = b"".join((*body, _count(len(lookups)), *lookups.values()))
    return Message(raw, len(opening), tuple(static), signers, tuple(lookups), len(order))


def _groups(payer: str, calls: tuple[PlanCall, ...]) -> tuple[tuple[list[str], ...], dict[str, None]]:
    """The four groups of accounts, each in the order of its keys' bytes, and the programs called."""
    flags: dict[str, int] = {payer: _SIGNS | _WRITES}
    programs: dict[str, None] = {}
    for call in calls:
        programs[call.program] = None
        flags.setdefault(call.program, 0)
        for key, flag in zip(call.accounts, call.flags, strict=True):
            flags[key] = flags.get(key, 0) | _BITS[flag]
    groups: tuple[list[str], ...] = ([payer], [], [], [])
    places = (groups[3], groups[2], groups[1], groups[0])
    for key in sorted(flags, key=base58.decode):
        if key != payer:
            places[flags[key]].append(key)
    return groups, programs


def _lookups(
    groups: tuple[list[str], ...], programs: dict[str, None], tables: tuple[Table, ...]
) -> tuple[dict[str, bytes], list[str]]:
    """The lookups by table, and the keys they load; those are taken out of their groups."""
    lookups: dict[str, bytes] = {}
    loaded: tuple[list[str], list[str]] = ([], [])
    for table in tables:
        places: dict[str, int] = {}
        for place, key in enumerate(table.addresses[:256]):
            places.setdefault(key, place)
        found = [[key for key in group if key in places and key not in programs] for group in groups[2:]]
        if len(found[0]) + len(found[1]) < WORTH:
            continue
        entry = _raw(table.key)
        for keys, group, into in zip(found, groups[2:], loaded, strict=True):
            entry += _count(len(keys)) + bytes([places[key] for key in keys])
            into.extend(keys)
            for key in keys:
                group.remove(key)
        lookups[table.key] = entry
    return lookups, [*loaded[0], *loaded[1]]


def _count(number: int) -> bytes:
    """A compact-u16: seven bits a byte, the lowest first."""
    if number < len(_COUNTS):
        return _COUNTS[number]
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def _raw(key: str) -> bytes:
    raw = base58.decode(key)
    if len(raw) != HASH_BYTES:
        raise ValueError(f"{key!r} is no base58 of 32 bytes")
    return raw
