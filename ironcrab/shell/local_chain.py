"""The local chain: the virtual machine, and in front of it what a chain has and the machine lacks.

Slots that advance (by timer or by command), blocks with hashes that live 150 blocks, a ledger of what landed with
balances before and after, the ladder processed, confirmed, finalized, size and gate limits, and fates by script.
Transactions are executed at once, in the slot that is being built; there are no forks, so an account read at any
commitment shows the newest state.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Literal

from msgspec import Struct
from solders.account import Account
from solders.clock import Clock
from solders.compute_budget import set_compute_unit_price
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from ironcrab.dex import base58
from ironcrab.dex.address import COMPUTE_BUDGET, TOKEN, WSOL
from ironcrab.shell import local_frames as frames
from ironcrab.shell.fates import Fates
from ironcrab.shell.vm import PACKET_BYTES, V1_BYTES, V1_GATE, Ran, Vm, decode

Commitment = Literal["processed", "confirmed", "finalized"]
HASH_BLOCKS = 150
"""Blocks that a blockhash lives (MAX_PROCESSING_AGE)."""
CONFIRM_AFTER = 2
"""Slots from processed to confirmed."""
FINALIZE_AFTER = 32
"""Slots from processed to finalized."""
SKIPPED = 21_800_000
"""Slots before the first one that made no block: height and slot differ, as they do on the real chain."""
SOME_DAY_MS = 1_760_000_000_000
"""LocalChain time of a chain that is told none: a day of October 2025."""
KEPT_BLOCKS = 1024
KEPT_LANDINGS = 100_000
FAUCET_LAMPORTS = 500_000_000 * 10**9


class Block(Struct, frozen=True):
    """A closed block; `time` unix seconds, `signatures` how many transactions."""

    slot: int
    height: int
    hash: str
    previous_hash: str
    time: int
    signatures: int


class Landing(Struct, frozen=True):
    """A transaction on the chain: what it did, in which slot, at which place; `number` counts all that landed."""

    ran: Ran
    slot: int
    index: int
    time: int
    number: int
    price: int


class Refused(Exception):  # noqa: N818 - a JSON-RPC refusal, not an error of ours
    """A request the chain's node refuses: JSON-RPC code, message, data."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class LocalChain:
    """The chain and its one node.

    Args:
        vm: the machine, with programs and accounts loaded.
        slot_ms: chain time that a slot takes, milliseconds.
        unix_ms: chain time at the start, milliseconds since 1970.
        fates: what goes wrong.
    """

    def __init__(self, vm: Vm, slot_ms: int = 400, unix_ms: int = SOME_DAY_MS, fates: Fates | None = None) -> None:
        self.vm = vm
        self.slot_ms = slot_ms
        self.unix_ms = unix_ms
        self.fates = fates or Fates()
        self.slot: int = vm.svm.get_clock().slot
        self.first_slot: int = self.slot
        self.blocks: dict[int, Block] = {}
        self.heights: dict[str, int] = {}
        self.ledger: dict[str, Landing] = {}
        self.pending: list[tuple[int, VersionedTransaction]] = []
        self.listeners: list[Callable[[bytes], object]] = []
        self.landed = 0
        self.index = 0
        self.writes = 0
        self.hash = base58.encode(sha256(b"ironcrab local chain").digest())
        self.faucet = Keypair.from_seed(sha256(b"ironcrab local faucet").digest())
        self.drops = 0
        self._genesis()
        self.advance(FINALIZE_AFTER + 1)

    def _genesis(self) -> None:
        """What every chain has and the machine lacks: the native mint, and somebody who has SOL."""
        mint = Pubkey.from_string(WSOL)
        if self.vm.account(mint) is None:
            data = bytes(44) + bytes((9, 1)) + bytes(36)
            rent = self.vm.svm.minimum_balance_for_rent_exemption(len(data))
            self.vm.svm.set_account(mint, Account(rent, data, Pubkey.from_string(TOKEN)))
        self.vm.svm.set_account(self.faucet.pubkey(), Account(FAUCET_LAMPORTS, b"", Pubkey.default()))

    # time

    @property
    def height(self) -> int:
        """Height of the block that is being built."""
        return self.slot - SKIPPED

    @property
    def block_time(self) -> int:
        """Unix seconds of the slot that is being built."""
        return self.unix_ms // 1000

    def slot_at(self, commitment: Commitment) -> int:
        """The newest slot of a commitment."""
        behind = {"processed": 0, "confirmed": CONFIRM_AFTER, "finalized": FINALIZE_AFTER}[commitment]
        reached: int = max(self.slot - behind, self.first_slot)
        return reached

    def commitment_of(self, slot: int) -> Commitment:
        """How settled a slot is."""
        age = self.slot - slot
        return "finalized" if age >= FINALIZE_AFTER else "confirmed" if age >= CONFIRM_AFTER else "processed"

    def blockhash_at(self, commitment: Commitment) -> tuple[str, int]:
        """Newest blockhash of a commitment, and the last block height it is valid at."""
        block = self.blocks[min(self.slot_at(commitment), self.slot - 1)]
        return block.hash, block.height + HASH_BLOCKS

    def is_fresh(self, blockhash: str) -> bool:
        """Whether a transaction with this blockhash may land in the block that is being built."""
        height = self.heights.get(blockhash)
        return height is not None and self.height <= height + HASH_BLOCKS

    def advance(self, slots: int = 1) -> None:
        """Close blocks and open the next slots; delayed transactions land when theirs begins."""
        for _ in range(slots):
            self._close()
            self.slot += 1
            self.index = 0
            self.unix_ms += self.slot_ms
            self._set_clock()
            self._say(lambda: frames.slot(self.slot, self.slot - 1, "created", self.unix_ms))
            due = [transaction for slot, transaction in self.pending if slot <= self.slot]
            self.pending = [(slot, transaction) for slot, transaction in self.pending if slot > self.slot]
            for transaction in due:
                self._land(transaction)

    def _close(self) -> None:
        parent = self.hash
        self.hash = base58.encode(sha256(base58.decode(parent) + self.slot.to_bytes(8, "little")).digest())
        block = Block(self.slot, self.height, self.hash, parent, self.block_time, self.index)
        self.blocks[self.slot] = block
        self.heights[self.hash] = self.height
        if len(self.blocks) > KEPT_BLOCKS:
            oldest = next(iter(self.blocks))
            del self.heights[self.blocks.pop(oldest).hash]
        self._say(lambda: frames.block_meta(block, self.unix_ms))
        for status, behind in (("processed", 0), ("confirmed", CONFIRM_AFTER), ("finalized", FINALIZE_AFTER)):
            reached = self.slot - behind
            if reached >= self.first_slot:
                self._say(lambda at=reached, named=status: frames.slot(at, at - 1, named, self.unix_ms))  # type: ignore[misc]

    def _set_clock(self) -> None:
        schedule = self.vm.svm.get_epoch_schedule()
        epoch = schedule.get_epoch(self.slot)
        self.vm.svm.set_clock(Clock(self.slot, 0, epoch, epoch + 1, self.block_time))

    # transactions

    def submit(self, raw: bytes, *, skip_preflight: bool) -> str:
        """Take a transaction as a node does: the signature, which is a receipt and no landing.

        Raises:
            Refused: not a transaction, too large, or the preflight found an error.
        """
        transaction = self.decoded(raw)
        signature = str(transaction.signatures[0])
        if not skip_preflight:
            self._preflight(transaction)
        self.fates.submitted(signature)
        if self.fates.is_lost("drop", signature):
            self.drops += 1
            return signature
        waiting = any(str(other.signatures[0]) == signature for _, other in self.pending)
        if signature in self.ledger or waiting:
            return signature
        delay = self.fates.amount("delay", signature)
        if delay:
            self.pending.append((self.slot + delay, transaction))
        else:
            self._land(transaction)
        return signature

    def decoded(self, raw: bytes) -> VersionedTransaction:
        """The transaction of these bytes, within the limits that hold on this chain; Refused otherwise."""
        transaction = decode(raw)
        if transaction is None:
            raise Refused(-32602, f"failed to deserialize transaction of {len(raw)} bytes")
        is_v1 = transaction.version() == 1
        most = V1_BYTES if is_v1 else PACKET_BYTES
        if len(raw) > most:
            raise Refused(-32602, f"transaction too large: {len(raw)} bytes (max: {most} bytes)")
        if is_v1 and not self.is_active(V1_GATE):
            raise Refused(-32602, "transaction version 1 is not active on this chain")
        if len(transaction.signatures) != transaction.message.header.num_required_signatures:
            raise Refused(-32013, "transaction signature count does not match its message")
        return transaction

    def is_active(self, gate: str) -> bool:
        """Whether a feature gate's account says that it is active."""
        account = self.vm.account(Pubkey.from_string(gate))
        return account is not None and bytes(account.data[:1]) == b"\x01"

    def early_error(self, transaction: VersionedTransaction) -> str | None:
        """What is wrong before anything is executed: known already, or its blockhash has expired."""
        if str(transaction.signatures[0]) in self.ledger:
            return "AlreadyProcessed"
        blockhash = str(transaction.message.recent_blockhash)
        if self.is_fresh(blockhash) or self._is_nonce(transaction):
            return None
        return "BlockhashNotFound"

    def _is_nonce(self, transaction: VersionedTransaction) -> bool:
        """A durable nonce stands in place of the blockhash, and it is the one that its account holds."""
        if not transaction.uses_durable_nonce():
            return False
        message = transaction.message
        account = self.vm.account(message.account_keys[bytes(message.instructions[0].accounts)[0]])
        return account is not None and bytes(account.data)[40:72] == bytes(message.recent_blockhash)

    def _preflight(self, transaction: VersionedTransaction) -> None:
        err: Any = self.early_error(transaction)
        logs: tuple[str, ...] = ()
        units = 0
        if err is None:
            ran = self.vm.simulate(transaction, verify=True)
            if ran.err == "SignatureFailure":
                raise Refused(-32003, "Transaction signature verification failure")
            err, logs, units = ran.err, ran.logs, ran.units
        if err is not None:
            data = {"err": err, "logs": list(logs), "unitsConsumed": units, "accounts": None, "returnData": None}
            raise Refused(-32002, f"Transaction simulation failed: {err}", data)

    def _land(self, transaction: VersionedTransaction) -> None:
        """Execute in this slot; what is rejected before it is charged a fee leaves no trace."""
        if self.early_error(transaction) is not None:
            return
        signature = str(transaction.signatures[0])
        ran = self.vm.fail(transaction) if self.fates.amount("fail", signature) else self.vm.execute(transaction)
        if not ran.executed:
            return
        landing = Landing(ran, self.slot, self.index, self.block_time, self.landed, price_of(transaction))
        self.ledger[signature] = landing
        self.index += 1
        self.landed += 1
        if len(self.ledger) > KEPT_LANDINGS:
            del self.ledger[next(iter(self.ledger))]
        for place, key in enumerate(ran.accounts.keys):
            if ran.accounts.writable[place] and ran.before[place] != ran.after[place]:
                self.writes += 1
                self._say(lambda at=place, key=key: frames.account(key, ran.after[at], self, ran.signature))  # type: ignore[misc]
        self._say(lambda: frames.transaction(landing, self.unix_ms))

    def airdrop(self, key: Pubkey, lamports: int) -> str:
        """Send lamports from the faucet; the signature of a transaction like any other."""
        sent = transfer(TransferParams(from_pubkey=self.faucet.pubkey(), to_pubkey=key, lamports=lamports))
        price = set_compute_unit_price(self.landed + 1)  # no two airdrops have one signature
        blockhash = Hash.from_string(self.blockhash_at("processed")[0])
        message = MessageV0.try_compile(self.faucet.pubkey(), [price, sent], [], blockhash)
        return self.submit(bytes(VersionedTransaction(message, [self.faucet])), skip_preflight=False)

    def set_account(self, key: Pubkey, account: Account) -> None:
        """Put an account on the chain, subverting all rules; the feed tells it as a write of this slot."""
        self.vm.svm.set_account(key, account)
        self.writes += 1
        self._say(lambda: frames.account(key, account, self, None))

    def _say(self, make: Callable[[], bytes]) -> None:
        """Tell the feed's listeners; a frame nobody listens to is not made."""
        if self.listeners:
            frame = make()
            for listener in self.listeners:
                listener(frame)


def price_of(transaction: VersionedTransaction) -> int:
    """Micro-lamports a compute unit that a transaction offers, 0 where it says none."""
    message = transaction.message
    for call in message.instructions:
        data = bytes(call.data)
        if str(message.account_keys[call.program_id_index]) == COMPUTE_BUDGET and len(data) == 9 and data[0] == 3:
            return int.from_bytes(data[1:], "little")
    return 0
