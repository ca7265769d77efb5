"""The virtual machine of the local chain: one transaction through solders.litesvm, with what it changed.

litesvm executes real programs and says logs, units, fee, inner instructions, return data and errors; it does not say
what stood in the accounts before and after, and it knows no lookup of loaded addresses for us. This file adds that.
"""

import json
from typing import Any

from msgspec import Struct
from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTable
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.rent import Rent
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

from ironcrab.dex.address import TOKEN_PROGRAMS

TOKEN_ACCOUNT_BYTES = 165
"""Bytes of a token account of either program without extensions (token programs, base layout)."""
MULTISIG_BYTES = 355
"""Nothing of a token program but a multisig has this length."""
MINT_BYTES = 82
PACKET_BYTES = 1232
"""Most bytes of a legacy or v0 transaction."""
V1_BYTES = 4096
"""Most bytes of a v1 transaction (SIMD-0385)."""
V1_GATE = "txv1aq4pp281K9um3tnPgkfX8UqtFT6wcVW3hNezGLL"
"""Feature id of v1 transactions."""


class Holding(Struct, frozen=True):
    """A token account at one moment: mint, owner, token program (base58), decimals, raw amount."""

    mint: str
    owner: str
    program: str
    decimals: int
    amount: int


class Loaded(Struct, frozen=True):
    """The account list of a transaction: keys in index order, which are writable, the loaded ones by kind."""

    keys: tuple[Pubkey, ...]
    writable: tuple[bool, ...]
    loaded_writable: tuple[Pubkey, ...]
    loaded_readonly: tuple[Pubkey, ...]


class Ran(Struct):
    """What one transaction did, or would do.

    Attributes:
        transaction: as it was sent.
        accounts: its account list.
        err: error as JSON-RPC spells it; None: success.
        err_bytes: the same in bincode, as the feed carries it.
        executed: it came as far as being charged a fee (a rejected one leaves no trace on the chain).
        inner: per outer instruction the inner ones as (program index, account indices, data, stack height).
        returned: program and bytes of the return data; None: none.
        before: account per key before it; None: absent.
        after: account per key after it.
    """

    transaction: Any
    accounts: Loaded
    err: Any
    err_bytes: bytes
    executed: bool
    fee: int
    units: int
    logs: tuple[str, ...]
    inner: tuple[tuple[tuple[int, bytes, bytes, int], ...], ...]
    returned: tuple[Pubkey, bytes] | None
    before: tuple[Account | None, ...]
    after: tuple[Account | None, ...]
    holdings_before: dict[int, Holding]
    holdings_after: dict[int, Holding]

    @property
    def signature(self) -> str:
        """Base58 of the first signature."""
        return str(self.transaction.signatures[0])


class Vm:
    """litesvm with the checks that stand in front of it left to the chain: no blockhash window, no history.

    Args:
        lamports_per_byte: rent rate of the Rent sysvar; None: as the machine has it.
    """

    def __init__(self, lamports_per_byte: int | None = None) -> None:
        self.svm = LiteSVM().with_blockhash_check(False).with_transaction_history(0).with_feature_accounts()
        if lamports_per_byte is not None:
            self.set_rent_rate(lamports_per_byte)

    def set_rent_rate(self, lamports_per_byte: int) -> None:
        """Rewrite the Rent sysvar with this rate (lamports a byte, u64)."""
        self.svm.set_rent(Rent.with_lamports_per_byte(lamports_per_byte))

    def account(self, key: Pubkey) -> Account | None:
        """The account, None where it does not exist (an account of no lamports does not)."""
        found = self.svm.get_account(key)
        return None if found is None or found.lamports == 0 else found

    def balance(self, key: Pubkey) -> int:
        """Lamports of an account, 0 where it does not exist."""
        found = self.account(key)
        return 0 if found is None else int(found.lamports)

    def holding(self, account: Account | None) -> Holding | None:
        """What a token account holds; None where the account is none, or its mint is not there."""
        if account is None or str(account.owner) not in TOKEN_PROGRAMS:
            return None
        data = bytes(account.data)
        if len(data) < TOKEN_ACCOUNT_BYTES or len(data) == MULTISIG_BYTES or data[108] == 0:
            return None
        if len(data) > TOKEN_ACCOUNT_BYTES and data[TOKEN_ACCOUNT_BYTES] != 2:
            return None
        mint = str(Pubkey.from_bytes(data[:32]))
        decimals = self.decimals(mint)
        if decimals is None:
            return None
        owner, amount = str(Pubkey.from_bytes(data[32:64])), int.from_bytes(data[64:72], "little")
        return Holding(mint, owner, str(account.owner), decimals, amount)

    def decimals(self, mint: str) -> int | None:
        """Decimal places of a mint; None where it is not there."""
        minted = self.svm.get_account(Pubkey.from_string(mint))
        return None if minted is None or len(minted.data) < MINT_BYTES else bytes(minted.data)[44]

    def loaded(self, transaction: VersionedTransaction) -> Loaded:
        """The account list: static keys, then what the lookup tables add (a missing table adds nothing)."""
        message = transaction.message
        header, static = message.header, tuple(message.account_keys)
        signed, total = header.num_required_signatures, len(static)
        writable = [
            place < signed - header.num_readonly_signed_accounts
            if place < signed
            else place < total - header.num_readonly_unsigned_accounts
            for place in range(total)
        ]
        more: list[Pubkey] = []
        less: list[Pubkey] = []
        for lookup in () if isinstance(message, Message) else getattr(message, "address_table_lookups", ()):
            addresses = self._table(lookup.account_key)
            more += [addresses[place] for place in bytes(lookup.writable_indexes) if place < len(addresses)]
            less += [addresses[place] for place in bytes(lookup.readonly_indexes) if place < len(addresses)]
        flags = (*writable, *(True for _ in more), *(False for _ in less))
        return Loaded((*static, *more, *less), flags, tuple(more), tuple(less))

    def _table(self, key: Pubkey) -> tuple[Pubkey, ...]:
        account = self.svm.get_account(key)
        if account is None:
            return ()
        try:
            return tuple(AddressLookupTable.deserialize(bytes(account.data)).addresses)
        except ValueError:
            return ()

    def simulate(self, transaction: VersionedTransaction, *, verify: bool) -> Ran:
        """What the transaction would do now; changes nothing. `verify`: check the signatures."""
        accounts = self.loaded(transaction)
        before = tuple(self.account(key) for key in accounts.keys)
        held = self._holdings(before)
        self.svm.with_sigverify(verify)
        try:
            result = self.svm.simulate_transaction(transaction)
        finally:
            self.svm.with_sigverify(True)
        if isinstance(result, FailedTransactionMetadata):
            return self._ran(transaction, accounts, result, before, before, held)
        changed = dict(result.post_accounts())
        after = tuple(_alive(changed.get(key, old)) for key, old in zip(accounts.keys, before, strict=True))
        return self._ran(transaction, accounts, result.meta(), before, after, held)

    def execute(self, transaction: VersionedTransaction) -> Ran:
        """Do it. A rejected transaction (bad signature, missing payer) changes nothing and is not `executed`."""
        accounts = self.loaded(transaction)
        before = tuple(self.account(key) for key in accounts.keys)
        held = self._holdings(before)
        result = self.svm.send_transaction(transaction)
        after = tuple(self.account(key) for key in accounts.keys)
        return self._ran(transaction, accounts, result, before, after, held)

    def fail(self, transaction: VersionedTransaction) -> Ran:
        """Let it land with an error it does not have by itself: Custom(1) of instruction 0, fee charged."""
        ran = self.simulate(transaction, verify=True)
        if not ran.executed:
            return ran
        payer = ran.before[0]
        assert payer is not None
        fee = min(ran.fee, payer.lamports)
        rest = Account(payer.lamports - fee, payer.data, payer.owner, payer.executable, payer.rent_epoch)
        self.svm.set_account(ran.accounts.keys[0], rest)
        ran.err = {"InstructionError": [0, {"Custom": 1}]}
        ran.err_bytes = bytes.fromhex("08000000001900000001000000")
        ran.inner, ran.returned = (), None
        ran.logs = (*ran.logs[:1], "scripted failure")
        ran.after = (_alive(rest), *ran.before[1:])
        ran.holdings_after = ran.holdings_before
        return ran

    def _holdings(self, accounts: tuple[Account | None, ...]) -> dict[int, Holding]:
        held = ((place, self.holding(account)) for place, account in enumerate(accounts))
        return {place: holding for place, holding in held if holding is not None}

    def _ran(
        self,
        transaction: VersionedTransaction,
        accounts: Loaded,
        result: Any,
        before: tuple[Account | None, ...],
        after: tuple[Account | None, ...],
        held: dict[int, Holding],
    ) -> Ran:
        failed = isinstance(result, FailedTransactionMetadata)
        meta = result.meta() if failed else result
        data = bytes(meta.return_data().data)
        return Ran(
            transaction=transaction,
            accounts=accounts,
            err=json.loads(result.to_json())["err"] if failed else None,
            err_bytes=_bincode(result) if failed else b"",
            executed=not failed or meta.fee() > 0,
            fee=meta.fee(),
            units=meta.compute_units_consumed(),
            logs=tuple(meta.logs()),
            inner=tuple(tuple(_inner(one) for one in group) for group in meta.inner_instructions()),
            returned=(meta.return_data().program_id, data) if data else None,
            before=before,
            after=after,
            holdings_before=held,
            holdings_after=self._holdings(after),
        )


def decode(raw: bytes) -> VersionedTransaction | None:
    """A transaction's bytes, None where they are none or not to the last byte."""
    try:
        transaction = VersionedTransaction.from_bytes(raw)
    except ValueError:
        return None
    return transaction if transaction.signatures and bytes(transaction) == raw else None


def _alive(account: Account | None) -> Account | None:
    return None if account is None or account.lamports == 0 else account


def _inner(one: Any) -> tuple[int, bytes, bytes, int]:
    call = one.instruction()
    return call.program_id_index, bytes(call.accounts), bytes(call.data), one.stack_height()


def _bincode(failed: Any) -> bytes:
    """The error's bincode: the bytes of the whole begin with it and go on with the signature's text."""
    raw, text = bytes(failed), str(failed.meta().signature()).encode()
    return raw[: raw.index(len(text).to_bytes(8, "little") + text)]
