"""From a recorded plan to transaction bytes: exactly its calls, compiled, checked against its hash, signed.

A transaction's signature is known when it is signed, before anything is sent. Ed25519 is deterministic, so two equal
messages are one transaction; that no two plans are one message was decided with the plan.
"""

from collections.abc import Iterator

from msgspec import Struct

from ironcrab.dex import base58
from ironcrab.dex.face import Account
from ironcrab.dex.message import LOOKUP_TABLES, SIGNATURE_BYTES, Message, Table, compiled, table_of
from ironcrab.domain.ask import Plan
from ironcrab.domain.event import Event
from ironcrab.domain.fault import Fault
from ironcrab.domain.market import AccountWritten
from ironcrab.loop import Record
from ironcrab.shell.wallet import Wallet

UNBUILT = "PLAN_UNBUILT"
"""How the fault of a plan without instructions begins: nobody signs terms."""
NO_HASH = "11111111111111111111111111111111"
MOST_TABLES = 256
"""Lookup tables remembered; beyond it the one written longest ago is forgotten."""


class BuildFault(Fault):
    """A plan cannot be made into a transaction."""


class Signed(Struct, frozen=True):
    """A signed transaction: base58 signature and bytes."""

    signature: str
    raw: bytes


class Tables:
    """The lookup tables that the log told, as an outlet that sees every record and performs nothing."""

    asks: tuple[type[Event], ...] = ()

    def __init__(self) -> None:
        self.slot = 0
        self.accounts: dict[str, tuple[int, Account]] = {}

    def see(self, record: Record) -> None:
        """Keep the newest write of each table, and the highest slot told."""
        event = record.event
        slot = getattr(event, "slot", None)
        if record.cause is None and slot is not None:
            self.slot = max(self.slot, slot)
        if not isinstance(event, AccountWritten) or (
            event.owner != LOOKUP_TABLES and event.pubkey not in self.accounts
        ):
            return
        known = self.accounts.pop(event.pubkey, None)
        told = (event.slot or 0, Account(event.owner, event.lamports, event.data))
        self.accounts[event.pubkey] = told if known is None or told[0] >= known[0] else known
        if len(self.accounts) > MOST_TABLES:
            del self.accounts[next(iter(self.accounts))]

    @property
    def is_due(self) -> bool:
        """Nothing is asked of it."""
        return False

    def due(self, slot: int | None) -> Iterator[Event]:
        """Nothing is asked of it."""
        del slot
        return iter(())

    def named(self, keys: tuple[str, ...]) -> tuple[Table, ...]:
        """The tables of these addresses. BuildFault: one was not told, or is being closed."""
        found = []
        for key in keys:
            held = self.accounts.get(key)
            table = None if held is None else table_of(key, held[1], self.slot)
            if table is None:
                raise BuildFault(f"lookup table {key} was not told or is closed; the plan that names it is not signed")
            found.append(table)
        return tuple(found)


def message_of(plan: Plan, payer: str, tables: Tables) -> Message:
    """The message of a recorded plan.

    Raises:
        BuildFault: the plan has no instructions, its message is not the one that was decided, or no leader takes it.
    """
    if not plan.calls:
        raise BuildFault(f"{UNBUILT}: the plan has its terms and no instructions")
    try:
        message = compiled(payer, plan.calls, tables.named(plan.tables) if plan.tables else ())
    except ValueError as error:
        raise BuildFault(f"the plan's calls make no message: {error}") from None
    if message.fault is not None:
        raise BuildFault(message.fault)
    if message.plan_hash != plan.plan_hash:
        raise BuildFault(f"the plan's calls make the message {message.plan_hash}, decided was {plan.plan_hash}")
    return message


def unsigned(message: Message, blockhash: str = NO_HASH) -> bytes:
    """The transaction with zeros for signatures, for a simulation that does not check them."""
    return bytes((message.signers,)) + bytes(SIGNATURE_BYTES * message.signers) + message.with_blockhash(blockhash)


def signed(message: Message, blockhash: str, wallet: Wallet) -> Signed:
    """The transaction signed by its only signer; BuildFault where the message wants another, or the hash is none."""
    if message.signers != 1 or message.keys[0] != wallet.address:
        raise BuildFault(f"the message wants another signer than {wallet.address}; build it for this wallet")
    try:
        raw = message.with_blockhash(blockhash)
    except ValueError as error:
        raise BuildFault(str(error)) from None
    signature = wallet.sign(raw)
    return Signed(base58.encode(signature), bytes((1,)) + signature + raw)
