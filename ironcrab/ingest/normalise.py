"""Geyser updates -> market events, one feed at a time.

Arrival order is kept: live, a swap must be known when it is told, so nothing waits for its slot to close. Each
trade carries its transaction's `index`, from which a reader can put a slot in block order.

Time of an event: the receive time where the caller has one (live), else the server's `created_at` (a capture),
else that of the update before.

A transaction without a slot (a capture made from single transactions) is told with slot None; any other update
without one is refused.

What is told: transactions (swaps, creations, removals, completions, mints), slots with forks and gaps, block
metas, account writes. Every account write that the subscription delivers is told whole, closed accounts too:
the filters of the subscription choose, for only they know oracles, fee configs and vaults by their keys.
"""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError

from ironcrab.dex import VENUES, Venue, base58
from ironcrab.dex.address import is_key
from ironcrab.domain.event import Event
from ironcrab.domain.market import AccountWritten, LatestBlockhash
from ironcrab.ingest.accounts import told_by
from ironcrab.ingest.counts import Counts, count
from ironcrab.ingest.mints import mint_infos
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.ingest.slots import SlotTree
from ironcrab.ingest.trades import Place, events_of
from ironcrab.ingest.transaction import account_keys, calls, refusal, transaction_of

_STATUSES = {
    wire.SLOT_PROCESSED: "processed",
    wire.SLOT_CONFIRMED: "confirmed",
    wire.SLOT_FINALIZED: "finalized",
    wire.SLOT_CREATED_BANK: "created",
    wire.SLOT_DEAD: "dead",
}
_MINT_INITS = (0, 20, 255)
_U32 = 2**32
_LATEST = 2**63 - 1


class Normaliser:
    """The state of one feed: its slots (bounded in slots), the pools whose accounts it told, what it could not use.

    Args:
        feed: name of the feed in connection and gap events.
        venues: whose calls are read.
    """

    def __init__(self, feed: str = "geyser", venues: tuple[Venue, ...] = VENUES) -> None:
        self.counts: Counts = {}
        self.slots = SlotTree(feed, self.counts)
        self.venues = {program: venue for venue in venues for program in venue.programs}
        self.watched = {base58.decode(program): None for program in self.venues}
        self.pools: dict[str, None] = {}
        self.time = 0
        self._readers: dict[str, Callable[[Any], list[Event]]] = {
            "transaction": lambda told: self._transaction(told.transaction, told.slot),
            "account": lambda told: self._account(told.account, told.slot),
            "slot": self._slot,
            "block_meta": self._meta,
            "block": self._block,
        }

    def feed(self, update: bytes, received_ns: int | None = None) -> list[tuple[int, Event]]:
        """Events of one SubscribeUpdate with their time; [] for one that says nothing to us. Never raises.

        Args:
            update: protobuf bytes.
            received_ns: when it arrived, nanoseconds since 1970; None or 0 where nobody knows (a capture).

        Counted reasons: `update_unreadable`, `update_unknown`, `update_<kind>` for kinds that are not read,
        `update_without_slot`, `transaction_of_others`, `account_malformed`, `block_meta_malformed`,
        `slot_status_<number>`, and those of `SlotTree`, `transaction_of` and `events_of`.
        """
        try:
            message = wire.SubscribeUpdate.FromString(update)
        except DecodeError:
            count(self.counts, "update_unreadable")
            return []
        kind = message.WhichOneof("update_oneof")
        if kind not in self._readers:
            count(self.counts, f"update_{kind}" if kind else "update_unknown")
            return []
        told = getattr(message, kind)
        if told.slot == 0 and kind != "transaction":
            count(self.counts, "update_without_slot")
            return []
        self.time = received_ns or _created(message) or self.time
        return [(self.time, event) for event in self._readers[kind](told)]

    def connected(self, time: int, from_slot: int | None = None, to_slot: int | None = None) -> list[tuple[int, Event]]:
        """A connection begins, with a replay `from_slot` to the newest slot where one was asked for."""
        return [(time, event) for event in self.slots.connected(from_slot, to_slot)]

    def disconnected(self, time: int, reason: str) -> list[tuple[int, Event]]:
        """The connection is lost; a gap opens behind the last whole slot."""
        return [(time, event) for event in self.slots.disconnected(reason)]

    def resumed(self, time: int, reason: str, *, was_up: bool) -> list[tuple[int, Event]]:
        """A log goes on: a gap is open from behind its last whole slot, whatever its end still told."""
        return [(time, event) for event in self.slots.resumed(reason, was_up=was_up)]

    def finish(self) -> list[tuple[int, Event]]:
        """The capture is at its end: a gap opens where it ended inside a slot."""
        return [(self.time, event) for event in self.slots.finished()]

    def _transaction(self, info: wire.SubscribeUpdateTransactionInfo, slot: int) -> list[Event]:
        refused = refusal(info)
        if refused is None and not self._of_interest(info):
            refused = "transaction_of_others"
        if refused is None and info.index >= _U32:
            refused = "transaction_malformed"
        transaction = refused or transaction_of(info, slot)
        if isinstance(transaction, str):
            count(self.counts, transaction)
            return []
        said = self.slots.transaction(slot, info.signature)
        if said is None:
            return []
        flat = tuple(calls(transaction))
        said += mint_infos(flat, slot or None)
        for call in flat:
            venue = self.venues.get(call.program)
            if venue is not None:
                place = Place(venue.id, transaction, info.index)
                for parsed in venue.parse(call, transaction):
                    said += events_of(parsed, place, self.pools, self.counts)
        return said

    def _of_interest(self, info: wire.SubscribeUpdateTransactionInfo) -> bool:
        """Whether it can hold a call of a venue or the birth of a mint, told without building the tree."""
        if not self.watched.keys().isdisjoint(account_keys(info)):
            return True
        data = [call.data for call in info.transaction.message.instructions]
        data += [call.data for group in info.meta.inner_instructions for call in group.instructions]
        return any(body and body[0] in _MINT_INITS for body in data)

    def _account(self, info: wire.SubscribeUpdateAccountInfo, slot: int) -> list[Event]:
        signature = info.txn_signature
        if len(info.pubkey) != 32 or len(info.owner) != 32 or len(signature) not in (0, 64):
            count(self.counts, "account_malformed")
            return []
        said = self.slots.write(slot, info.pubkey, info.write_version)
        if said is None:
            return []
        return said + told_by(
            AccountWritten(
                pubkey=base58.key(info.pubkey),
                owner=base58.key(info.owner),
                lamports=info.lamports,
                data=info.data,
                slot=slot,
                write_version=info.write_version,
                signature=base58.signature(signature) if signature else None,
            )
        )

    def _slot(self, update: wire.SubscribeUpdateSlot) -> list[Event]:
        status = _STATUSES.get(update.status)
        if status is None:
            count(self.counts, f"slot_status_{update.status}")
            return []
        parent = update.parent if update.HasField("parent") else None
        return self.slots.status(update.slot, parent, status, update.dead_error)

    def _meta(self, meta: wire.SubscribeUpdateBlockMeta | wire.SubscribeUpdateBlock) -> list[Event]:
        if not is_key(meta.blockhash):
            count(self.counts, "block_meta_malformed")
            return []
        return self.slots.meta(
            LatestBlockhash(
                blockhash=meta.blockhash,
                slot=meta.slot,
                block_height=meta.block_height.block_height if meta.HasField("block_height") else None,
                block_time=meta.block_time.timestamp if meta.HasField("block_time") else None,
                parent_slot=meta.parent_slot,
            )
        )

    def _block(self, block: wire.SubscribeUpdateBlock) -> list[Event]:
        """A whole block: its transactions, its accounts, its meta."""
        said: list[Event] = []
        for info in block.transactions:
            said += self._transaction(info, block.slot)
        for account in block.accounts:
            said += self._account(account, block.slot)
        return said + self._meta(block)


def _created(message: wire.SubscribeUpdate) -> int | None:
    """The server's time of an update in nanoseconds since 1970, None where it tells none that can be."""
    if not message.HasField("created_at"):
        return None
    seconds, nanos = message.created_at.seconds, message.created_at.nanos
    time = seconds * 1_000_000_000 + nanos
    return time if 0 <= nanos < 1_000_000_000 and 0 < time <= _LATEST else None
