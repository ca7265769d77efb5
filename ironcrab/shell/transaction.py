"""From instructions to transaction bytes: compute budget and tip, lookup tables, compiling, size, signing.

A transaction's signature is known when it is signed, before anything is sent. Ed25519 is deterministic, so two equal
messages are one transaction: what makes each ask's message its own is a small addition to the priority price.
"""

from hashlib import sha256
from struct import pack

from msgspec import Struct
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.errors import SignerError
from solders.hash import Hash
from solders.instruction import AccountMeta
from solders.instruction import Instruction as Compiled
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from ironcrab.dex import base58
from ironcrab.dex.address import COMPUTE_BUDGET, SYSTEM
from ironcrab.dex.face import Instruction, Meta
from ironcrab.dex.wallet import compute_budget
from ironcrab.domain.ask import Plan
from ironcrab.domain.fault import Fault
from ironcrab.shell.wallet import Wallet

MOST_BYTES = 1232
"""Bytes of the largest legacy or v0 transaction."""
MOST_KEYS = 64
"""Accounts a transaction may lock (the raised limit of 128 is not active everywhere)."""
VARIATIONS = 256
"""Micro-lamports a unit that may be added to the price to make messages differ."""
WORTH = 2
"""Keys of a table that a message must name for the table to save bytes (34 bytes a table, 31 saved a key)."""
NO_HASH = "11111111111111111111111111111111"


class BuildFault(Fault):
    """A plan cannot be made into a transaction."""


class Table(Struct, frozen=True):
    """A lookup table: its address, and the addresses in it (base58, in order)."""

    key: str
    addresses: tuple[str, ...]


class Signed(Struct, frozen=True):
    """A signed transaction: base58 signature and bytes."""

    signature: str
    raw: bytes


def plan_hash(instructions: tuple[Instruction, ...]) -> str:
    """Base58 of sha256 over programs, accounts with flags, and data, as the original system hashes a plan.

    Per instruction: program 32 bytes, u32 account count, per account 32 bytes and a byte each for signer and
    writable, u32 data length, data; little-endian (supplement to the wire contract, section 2.9).
    """
    hasher = sha256()
    for one in instructions:
        hasher.update(base58.decode(one.program) + pack("<I", len(one.metas)))
        for meta in one.metas:
            hasher.update(base58.decode(meta.pubkey) + bytes((meta.signer, meta.writable)))
        hasher.update(pack("<I", len(one.data)) + one.data)
    return base58.encode(hasher.digest())


def tip(payer: str, account: str, lamports: int) -> Instruction:
    """A transfer to a tip account; it is undone with the transaction if that fails."""
    metas = (Meta(payer, signer=True, writable=True), Meta(account, signer=False, writable=True))
    return Instruction(SYSTEM, metas, pack("<IQ", 2, lamports))


def dressed(
    instructions: tuple[Instruction, ...], plan: Plan, payer: str, tip_account: str | None = None, variation: int = 0
) -> tuple[Instruction, ...]:
    """The plan's instructions with compute limit and price in front and its tip behind.

    Limit and price that the instructions bring themselves are replaced: the chain refuses either twice.

    Args:
        instructions: what the plan does.
        plan: gives limit, price and tip.
        payer: fee payer.
        tip_account: who gets the tip; None where the plan tips nothing.
        variation: micro-lamports a unit added to the price.

    Raises:
        BuildFault: the plan tips and no tip account is known.
    """
    kept = [one for one in instructions if not _is_budget(one)]
    if plan.tip_lamports:
        if tip_account is None:
            raise BuildFault(f"it tips {plan.tip_lamports} lamports and no tip account is known; set a bundle route")
        kept.append(tip(payer, tip_account, plan.tip_lamports))
    price = plan.priority_fee_micro_lamports + variation
    return *compute_budget(plan.compute_units, price), *kept


def compiled(
    instructions: tuple[Instruction, ...], payer: str, blockhash: str, tables: tuple[Table, ...] = ()
) -> MessageV0:
    """The v0 message; a table is used where it saves bytes, signers and programs stay static.

    Raises:
        BuildFault: a key is none, too many accounts, or the whole is larger than a packet.
    """
    try:
        message = MessageV0.try_compile(
            Pubkey.from_string(payer),
            [_compiled(one) for one in instructions],
            [_table(table) for table in tables if _is_worth(table, instructions)],
            Hash.from_string(blockhash),
        )
    except Exception as error:  # noqa: BLE001 - the binding's own errors share no type that it exports
        raise BuildFault(f"the instructions make no message: {error}") from None
    named = {key for one in instructions for key in (one.program, *(meta.pubkey for meta in one.metas))}
    if len(named | {payer}) > MOST_KEYS:
        raise BuildFault(f"the transaction names {len(named | {payer})} accounts, {MOST_KEYS} may be locked at once")
    size = len(bytes(unsigned(message)))
    if size > MOST_BYTES:
        raise BuildFault(f"the transaction has {size} bytes, {MOST_BYTES} fit a packet; use a lookup table")
    return message


def unsigned(message: MessageV0) -> VersionedTransaction:
    """The transaction with zeros for signatures, for a simulation that does not check them."""
    count = message.header.num_required_signatures
    return VersionedTransaction.populate(message, [Signature.default() for _ in range(count)])


def signed(message: MessageV0, wallet: Wallet) -> Signed:
    """The transaction signed by its only signer; BuildFault where the message wants another."""
    if message.header.num_required_signatures != 1 or str(message.account_keys[0]) != wallet.address:
        raise BuildFault(f"the message wants another signer than {wallet.address}; build it for this wallet")
    signature = Signature.from_bytes(wallet.sign(to_bytes_versioned(message)))
    try:
        transaction = VersionedTransaction.populate(message, [signature])
    except SignerError as error:
        raise BuildFault(f"the message cannot be signed: {error}") from None
    return Signed(str(signature), bytes(transaction))


def _is_budget(one: Instruction) -> bool:
    return one.program == COMPUTE_BUDGET and one.data[:1] in (b"\x02", b"\x03")


def _is_worth(table: Table, instructions: tuple[Instruction, ...]) -> bool:
    programs = {one.program for one in instructions}
    signers = {meta.pubkey for one in instructions for meta in one.metas if meta.signer}
    named = {meta.pubkey for one in instructions for meta in one.metas} - programs - signers
    return len(named & {*table.addresses}) >= WORTH


def _compiled(one: Instruction) -> Compiled:
    metas = [AccountMeta(Pubkey.from_string(meta.pubkey), meta.signer, meta.writable) for meta in one.metas]
    return Compiled(Pubkey.from_string(one.program), one.data, metas)


def _table(table: Table) -> AddressLookupTableAccount:
    addresses = [Pubkey.from_string(address) for address in table.addresses]
    return AddressLookupTableAccount(Pubkey.from_string(table.key), addresses)
