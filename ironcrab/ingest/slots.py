"""The tree of slots as the feed tells it: statuses, forks, bank resets, and gaps.

Rules (facts: behaviour of the Yellowstone plugin):
- A minority fork is not announced: when a slot is confirmed or finalized, every tracked slot below it that is
  not its ancestor is orphaned. A dead slot is orphaned. A second CREATED_BANK of a slot on one connection means
  that the node replays it with other content: what it said before is orphaned.
- A slot is *whole* when its CREATED_BANK was seen on the connection that told its content, and *sealed* when it
  was PROCESSED after that. A skipped slot has no messages, so numbers tell no gap: parent links do. A parent
  that is not whole is a gap, from behind the last whole slot up to that parent.
- After connecting, the slot in progress is partial, unless a replay brings its CREATED_BANK again.
"""

from collections.abc import Iterable

from ironcrab.domain.control import FeedConnected, FeedDisconnected, ForkOrphaned, GapClosed, GapOpened
from ironcrab.domain.event import Event
from ironcrab.domain.market import LatestBlockhash, SlotUpdate
from ironcrab.ingest.counts import Counts, count

KEPT = 256
"""Slots remembered (about 100 s); finality takes 32, and a client asks to replay few."""
_REASON = 200


class Node:
    """What is known of one slot.

    Attributes:
        parent: parent slot, None not told.
        told: statuses already said.
        connection: number of the connection on which CREATED_BANK was seen last, 0 never.
        sealed: whole and PROCESSED.
        final: sealed and finalized; what it held is forgotten, for all of it was told.
        judged: its wholeness was settled by a gap event.
        rooted: confirmed, or ancestor of a confirmed slot.
        orphaned: said to be off the chain.
        blockhash: from its block meta.
        signatures: transactions already told, raw.
        writes: account writes already told: raw key and write version.
    """

    __slots__ = (
        "blockhash", "connection", "final", "judged", "orphaned", "parent", "rooted", "sealed", "signatures", "told",
        "writes",
    )  # fmt: skip

    def __init__(self) -> None:
        self.parent: int | None = None
        self.judged = False
        self.connection = 0
        self.wipe()

    def wipe(self) -> None:
        """Forget the content: the node's bank was made anew."""
        self.told: list[str] = []
        self.sealed = False
        self.final = False
        self.rooted = False
        self.orphaned = False
        self.blockhash: str | None = None
        self.signatures: set[bytes] = set()
        self.writes: set[tuple[bytes, int]] = set()


class SlotTree:
    """Slots of one feed, the last `KEPT` that were met.

    Attributes:
        connection: number of the connection, from 1.
        created: highest slot whose CREATED_BANK was seen on this connection.
        gap: first slot of the open gap, None when none is open.
        lost: the open gap came from a lost connection, so that a replay can fill it.
        until: slot that a replay has to tell to its end before the gap is over: what it tells until then is old.
        holed: the chain that was told since the gap opened is broken, so that it cannot be filled any more.

    Args:
        feed: name of the feed in gap events.
        counts: where to count `slot_status_repeated`, `slot_parent_absurd`, `transaction_repeated`,
            `transaction_of_orphaned_slot`, `account_repeated`, `account_of_orphaned_slot`, `block_meta_repeated`.
    """

    def __init__(self, feed: str, counts: Counts) -> None:
        self.feed = feed
        self.counts = counts
        self.nodes: dict[int, Node] = {}
        self.connection = 1
        self.created = 0
        self.gap: int | None = None
        self.lost = False
        self.until = -1
        self.holed = False

    def status(self, slot: int, parent: int | None, status: str, error: str = "") -> list[Event]:
        """A slot reached a status: created, processed, confirmed, finalized or dead (`error`: why)."""
        node = self._node(slot)
        self._link(slot, node, parent)
        said = self._created(slot, node) if status == "created" else []
        if status in node.told:
            count(self.counts, "slot_status_repeated")
            return said + self._caught_up(slot, status)
        node.told.append(status)
        said.append(SlotUpdate(current_slot=slot, slot=slot, status=status, parent=node.parent))
        if status == "processed":
            node.sealed = node.sealed or node.connection == self.connection
            said += self._caught_up(slot, status)
        elif status == "dead":
            said += self._orphan(slot, f"the slot is dead: {error[:_REASON]}" if error else "the slot is dead")
        elif status in ("confirmed", "finalized") and not node.rooted:
            said += self._root(slot)
        if status == "finalized" and node.sealed:
            node.final = True
            node.signatures, node.writes = set(), set()
        return said

    def meta(self, event: LatestBlockhash) -> list[Event]:
        """The block meta of a slot, once for each block hash."""
        assert event.slot is not None
        node = self._node(event.slot)
        self._link(event.slot, node, event.parent_slot)
        if node.blockhash == event.blockhash:
            count(self.counts, "block_meta_repeated")
            return []
        said = self._orphan(event.slot, "another block took the slot's place") if node.blockhash is not None else []
        node.blockhash = event.blockhash
        return [*said, *self._content(event.slot, node), event]

    def transaction(self, slot: int, signature: bytes) -> list[Event] | None:
        """Let a transaction pass: the gap it shows, or None when it was told before or its slot is orphaned."""
        node = self._node(slot)
        if node.orphaned or node.final or signature in node.signatures:
            count(self.counts, "transaction_of_orphaned_slot" if node.orphaned else "transaction_repeated")
            return None
        node.signatures.add(signature)
        return self._content(slot, node)

    def write(self, slot: int, pubkey: bytes, version: int) -> list[Event] | None:
        """Let an account write pass, as `transaction` does."""
        node = self._node(slot)
        if node.orphaned or node.final or (pubkey, version) in node.writes:
            count(self.counts, "account_of_orphaned_slot" if node.orphaned else "account_repeated")
            return None
        node.writes.add((pubkey, version))
        return self._content(slot, node)

    def connected(self, from_slot: int | None, to_slot: int | None = None) -> list[Event]:
        """A new connection begins; `from_slot` where a replay was asked for, `to_slot` the newest slot it will tell.

        Where nobody knows the newest one, the highest slot that was begun before the loss stands for it.
        """
        begun = max((slot for slot, node in self.nodes.items() if node.connection), default=-1)
        self.until = -1 if from_slot is None else begun if to_slot is None else to_slot
        self.connection += 1
        self.created = 0
        return [FeedConnected(self.feed, from_slot)]

    def disconnected(self, reason: str) -> list[Event]:
        """The connection is lost: from the first slot that is not sealed on, records may be missing."""
        return [FeedDisconnected(self.feed, reason), *self._broken(reason)]

    def resumed(self, reason: str, *, was_up: bool) -> list[Event]:
        """A log goes on whose last connection may have ended without a word, or between its end and its gap."""
        return self.disconnected(reason) if was_up else self._broken(reason)

    def finished(self) -> list[Event]:
        """The feed is at its end: a gap, when a slot above the last sealed one was begun."""
        last = max((slot for slot, node in self.nodes.items() if node.sealed), default=-1)
        begun = any(slot > last and node.connection and not node.orphaned for slot, node in self.nodes.items())
        return self._broken("the feed ended inside a slot") if begun else []

    def restore(self, told: Iterable[Event]) -> None:
        """Fold what a log already tells of this feed, in its order, into a fresh tree: it goes on where that ended.

        Which transactions and writes a slot held is not restored; who resumes a log drops what it holds already.
        """
        for event in told:
            if isinstance(event, SlotUpdate) and event.slot is not None:
                self._restore_status(event.slot, event)
            elif isinstance(event, LatestBlockhash) and event.slot is not None:
                self._node(event.slot).blockhash = event.blockhash
            elif isinstance(event, ForkOrphaned):
                self._node(event.orphaned_slot).orphaned = True
            elif isinstance(event, FeedConnected):
                self.connection += 1
                self.created = 0
            elif isinstance(event, GapOpened):
                self.gap, self.holed = event.from_slot, False
            elif isinstance(event, GapClosed):
                self.gap, self.lost = None, False
                self._node(event.to_slot).judged = True
            elif isinstance(event, FeedDisconnected):
                self.lost = self.behind is not None

    def _restore_status(self, slot: int, event: SlotUpdate) -> None:
        node = self._node(slot)
        self._link(slot, node, event.parent)
        if event.status == "created" and (node.orphaned or "created" in node.told):
            node.wipe()
        node.told.append(event.status)
        if event.status == "created":
            parent = slot - 1 if node.parent is None else node.parent
            self.holed = self.holed or (self.gap is not None and not self._is_whole(parent, known=node.sealed))
            node.connection = self.connection
            self.created = max(self.created, slot)
        elif event.status == "processed":
            node.sealed = node.connection == self.connection
        else:
            node.rooted = node.rooted or event.status in ("confirmed", "finalized")

    def _broken(self, reason: str) -> list[Event]:
        """Open a gap behind the last sealed slot, unless nothing is known or one is open: a replay can fill either."""
        start = self.behind
        self.lost = start is not None
        return [] if start is None or self.gap is not None else self._open(start, None, reason)

    @property
    def behind(self) -> int | None:
        """The slot behind the last sealed one; where none is, that of the open gap, else the first begun, else None."""
        sealed = max((slot for slot, node in self.nodes.items() if node.sealed), default=None)
        if sealed is not None:
            return sealed + 1
        begun = min((slot for slot, node in self.nodes.items() if node.connection), default=None)
        return begun if self.gap is None else self.gap

    def _node(self, slot: int) -> Node:
        node = self.nodes.get(slot)
        if node is None:
            if len(self.nodes) >= KEPT:
                del self.nodes[next(iter(self.nodes))]
            node = self.nodes[slot] = Node()
        return node

    def _link(self, slot: int, node: Node, parent: int | None) -> None:
        if parent is None:
            return
        if parent >= slot:
            count(self.counts, "slot_parent_absurd")
        else:
            node.parent = parent

    def _created(self, slot: int, node: Node) -> list[Event]:
        """CREATED_BANK: a reset when it was seen on this connection; then judge the parent link."""
        said: list[Event] = []
        if node.connection == self.connection or node.orphaned:
            said = self._orphan(slot, "the slot's bank was made anew")
            node.wipe()
        first = not any(other.connection or other.judged for other in self.nodes.values())
        node.connection = self.connection
        self.created = max(self.created, slot)
        # a bank without a parent link may hang on anything: only the slot right below it is surely no gap
        parent = node.parent if node.parent is not None else slot - 1
        return said + self._judge(slot, parent, known=node.sealed, first=first) if parent >= 0 else said

    def _judge(self, slot: int, parent: int, *, known: bool, first: bool) -> list[Event]:
        """Whether the chain is unbroken down to a parent: closes an open gap, or tells one that is over.

        While a replay tells what was whole before, or has not come to the present, the gap stays open.
        """
        node = self.nodes.get(parent)
        whole = self._is_whole(parent, known=known)
        if self.gap is not None:
            if self.lost and whole and parent + 1 < self.gap:
                return []
            self.holed = self.holed or not whole
            if self.lost and slot <= self.until:
                return []
            self._node(parent).judged = True
            return self._close(parent if self.lost else max(parent, self.gap), filled=self.lost and not self.holed)
        if whole or first or (node is not None and node.judged):
            return []
        met = (slot for slot, other in self.nodes.items() if slot < parent and (other.connection or other.judged))
        said = self._open(max(met, default=parent - 1) + 1, parent, f"slot {parent} is a parent and was not told")
        self._node(parent).judged = True
        return [*said, *self._close(parent, filled=False)]

    def _is_whole(self, parent: int, *, known: bool) -> bool:
        """Whether nothing is missing between a slot (`known`: itself whole before) and its parent.

        Nothing is missing too where the parent lies below an open gap: a replay from its first slot, or from below it.
        """
        node = self.nodes.get(parent)
        below = self.gap is not None and parent < self.gap
        return known or below or (node is not None and (node.sealed or node.connection == self.connection))

    def _caught_up(self, slot: int, status: str) -> list[Event]:
        """A replay has told the newest slot there was to its end: the gap it fills is over."""
        is_over = status == "processed" and self.gap is not None and self.lost and slot >= max(self.until, self.gap)
        if not is_over or self.until < 0 or not self.nodes[slot].sealed:
            return []
        self.nodes[slot].judged = True
        return self._close(slot, filled=not self.holed)

    def _content(self, slot: int, node: Node) -> list[Event]:
        """Content of a slot (0: not told) whose beginning was not seen opens a gap, unless one is open."""
        if slot == 0 or node.connection == self.connection or node.sealed or node.judged or self.gap is not None:
            return []
        node.judged = True
        reason = "the beginning of the slot was not told"
        if slot > self.created:
            return self._open(slot, None, reason)
        return [*self._open(slot, slot, reason), *self._close(slot, filled=False)]

    def _open(self, start: int, end: int | None, reason: str) -> list[Event]:
        self.gap, self.holed = start, False
        return [GapOpened(self.feed, start, end, reason)]

    def _close(self, end: int, *, filled: bool) -> list[Event]:
        self.gap, self.lost, self.until = None, False, -1
        return [GapClosed(self.feed, None, end, filled=filled)]

    def _orphan(self, slot: int, reason: str) -> list[Event]:
        node = self.nodes[slot]
        if node.orphaned:
            return []
        node.orphaned = True
        return [ForkOrphaned(slot, reason)]

    def _root(self, slot: int) -> list[Event]:
        """Root a slot's ancestors and orphan what lies between them; below an unknown ancestor nothing is judged."""
        path = [slot]
        here = self.nodes[slot].parent
        while here is not None and here in self.nodes:
            path.append(here)
            here = None if self.nodes[here].rooted else self.nodes[here].parent
        for ancestor in path:
            self.nodes[ancestor].rooted = True
        lowest = path[-1]
        said: list[Event] = []
        for other in sorted(self.nodes):
            if lowest < other < slot and not self.nodes[other].rooted:
                said += self._orphan(other, f"confirmed slot {slot} does not descend from it")
        return said
