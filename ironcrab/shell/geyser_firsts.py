"""Several streams of one chain as one: of what each of them tells, what came first is let through. No network here.

The same thing is known by its identity: a status by slot and name, a transaction by its signature, a block meta by its
hash, an account write by account and transaction (one without, by its content). Nodes count `write_version` each for
themselves, so that within a slot the writes of one account are ordered by the stream that told it first, its *leader*.
What others tell of that account waits, the newest of it; it is let through when they have told the slot to its end
(what is newest then is what the slot left), or when the leader is lost. Versions are counted on over such a change.

A slot whose bank is made anew is told again by each stream. What a stream still says of the older bank is dropped.
"""

from blake3 import blake3
from google.protobuf.message import DecodeError

from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell.geyser_order import ACCOUNT, BLOCK_META, SLOT, TRANSACTION, peek

KEPT = 256
"""Slots remembered."""


class _Write:
    """A write of one stream: its version there, its identity, its update."""

    __slots__ = ("frame", "identity", "version")

    def __init__(self, version: int, identity: bytes, frame: wire.SubscribeUpdate) -> None:
        self.version = version
        self.identity = identity
        self.frame = frame


class _Account:
    """One account in one slot: its leader, what is added to the leader's versions, the highest one let through."""

    __slots__ = ("highest", "leader", "offset", "waiting")

    def __init__(self, leader: int) -> None:
        self.leader = leader
        self.offset = 0
        self.highest = 0
        self.waiting: dict[int, _Write] = {}


class _Slot:
    """One slot: the number of its bank, and that of the bank that each stream tells; what was let through."""

    __slots__ = ("accounts", "bank", "banks", "is_over", "seen")

    def __init__(self, streams: int) -> None:
        self.banks = [0] * streams
        self.bank = 0
        self.renew()

    def renew(self) -> None:
        """Another bank: nothing of it was told."""
        self.is_over = False
        self.seen: dict[bytes, None] = {}
        self.accounts: dict[bytes, _Account] = {}

    def is_new(self, identity: bytes) -> bool:
        """Whether this comes first; it is remembered."""
        is_new = identity not in self.seen
        self.seen[identity] = None
        return is_new


class Firsts:
    """See the module.

    Attributes:
        up: the streams that are open.

    Args:
        streams: how many there are; they are numbered from 0.
    """

    def __init__(self, streams: int) -> None:
        self.streams = streams
        self.up: dict[int, None] = {}
        self.slots: dict[int, _Slot] = {}

    def connected(self, stream: int) -> bool:
        """A stream is open; whether it is the only one. What it begins to tell of a slot is the newest bank of it."""
        self.up[stream] = None
        for slot in self.slots.values():
            slot.banks[stream] = max(slot.bank - 1, 0)
        return len(self.up) == 1

    def lost(self, stream: int) -> tuple[list[bytes], bool]:
        """A stream is lost: what waited for it, and whether nobody tells the rest of a slot that it was telling."""
        self.up.pop(stream, None)
        said: list[bytes] = []
        is_hole = not self.up
        for slot in self.slots.values():
            for account in slot.accounts.values():
                account.waiting.pop(stream, None)
                if account.leader == stream:
                    heir = next((other for other in self.up if other in account.waiting), None)
                    if heir is not None:
                        said += self._inherit(slot, account, heir)
                    elif self.up:
                        account.leader = -1
            others = any(slot.banks[other] == slot.bank for other in self.up)
            is_hole = is_hole or (slot.bank > 0 and not slot.is_over and slot.banks[stream] == slot.bank and not others)
            slot.banks[stream] = 0
        return said, is_hole

    def take(self, stream: int, frame: bytes) -> list[bytes]:
        """What is let through now that a stream told this update."""
        kind, number = peek(frame)
        if kind not in (ACCOUNT, SLOT, TRANSACTION, BLOCK_META):
            return [frame]
        try:
            update = wire.SubscribeUpdate.FromString(frame)
        except DecodeError:
            return [frame]
        slot = self._slot(number)
        if kind == SLOT:
            return self._status(slot, stream, update, frame)
        if 0 < slot.banks[stream] < slot.bank:
            return []
        if kind == ACCOUNT:
            return self._write(slot, stream, update)
        told = update.transaction.transaction.signature if kind == TRANSACTION else update.block_meta.blockhash.encode()
        return [frame] if slot.is_new(bytes((kind,)) + told) else []

    def _slot(self, number: int) -> _Slot:
        slot = self.slots.get(number)
        if slot is None:
            while len(self.slots) >= KEPT:
                del self.slots[next(iter(self.slots))]
            slot = self.slots[number] = _Slot(self.streams)
        return slot

    def _status(self, slot: _Slot, stream: int, update: wire.SubscribeUpdate, frame: bytes) -> list[bytes]:
        status = update.slot.status
        if status == wire.SLOT_CREATED_BANK:
            slot.banks[stream] += 1
            if slot.banks[stream] <= slot.bank:
                return []
            slot.bank = slot.banks[stream]
            slot.renew()
            return [frame]
        if 0 < slot.banks[stream] < slot.bank:
            return []
        said: list[bytes] = []
        if status == wire.SLOT_PROCESSED:
            slot.is_over = True
            for account in slot.accounts.values():
                if stream in account.waiting:
                    said += self._inherit(slot, account, stream)
        return [*said, frame] if slot.is_new(b"\3%d" % status) else said

    def _write(self, slot: _Slot, stream: int, update: wire.SubscribeUpdate) -> list[bytes]:
        info = update.account.account
        key = info.pubkey
        identity = bytes((ACCOUNT,)) + key + (info.txn_signature or _content(info))
        account = slot.accounts.get(key)
        if account is None:
            account = slot.accounts[key] = _Account(stream)
        if account.leader == -1:
            account.leader, account.offset = stream, account.highest + 1 - info.write_version
        if account.leader == stream:
            return [self._numbered(account, update)] if slot.is_new(identity) else []
        waiting = account.waiting.get(stream)
        if waiting is None or waiting.version < info.write_version:
            account.waiting[stream] = _Write(info.write_version, identity, update)
        return []

    def _inherit(self, slot: _Slot, account: _Account, heir: int) -> list[bytes]:
        """What a stream told last of an account, unless it was let through; the account is its own from here on."""
        write = account.waiting.pop(heir)
        account.leader, account.offset = heir, account.highest + 1 - write.version
        return [self._numbered(account, write.frame)] if slot.is_new(write.identity) else []

    def _numbered(self, account: _Account, update: wire.SubscribeUpdate) -> bytes:
        """The update with a version that orders it among all of its account and slot that were let through."""
        info = update.account.account
        version = max(info.write_version + account.offset, 0)
        account.highest = max(account.highest, version)
        info.write_version = version
        return bytes(update.SerializeToString())


def _content(info: wire.SubscribeUpdateAccountInfo) -> bytes:
    return blake3(info.owner + info.lamports.to_bytes(8, "big") + info.data).digest(16)
