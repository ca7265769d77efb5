"""Import from a node: the accounts of pools or of a program as they stand, and before them blocks of the past.

Blocks become the updates that a feed would have sent and go through the same normaliser; accounts are told as writes
without signature. A span of a program is whole: every slot that has a block is told. A span of pools tells the slots
alone in which a transaction named one of them; each is linked to the one before, for between them nothing happened
that the recording is about.
"""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from blake3 import blake3
from msgspec import Struct

from ironcrab import __version__
from ironcrab.dex import base58
from ironcrab.dex.generations import generations_at
from ironcrab.domain.control import InputCounted, ReducerInfo, RunStarted
from ironcrab.domain.event import Event
from ironcrab.domain.fault import InputFault
from ironcrab.ingest.accounts import told_by
from ironcrab.ingest.normalise import Normaliser
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.ingest.transaction import account_keys
from ironcrab.log.recording import Recording
from ironcrab.loop import Loop, Now
from ironcrab.market.accounts import CLOCK_SYSVAR
from ironcrab.mode.code import path_of, source_digest
from ironcrab.mode.following import Following
from ironcrab.mode.importing import ImportSummary, Progress
from ironcrab.mode.rereading import events_of
from ironcrab.shell.clock import now_ns
from ironcrab.shell.rpc import AccountsAnswer, OwnedAnswer, Rpc, RpcFault
from ironcrab.shell.rpc_blocks import meta_of, read_block, status_of, transactions_of
from ironcrab.shell.samples import ACCOUNTS_A_CALL, SOURCE

MOST_SLOTS = 100_000
"""Slots of a span (11 hours)."""
MOST_PAGES = 500
"""Pages of 1,000 signatures that are turned back for one pool."""
ROUNDS = 8
"""Times that what was read is asked what else a quote needs."""
SECOND = 10**9


class Wish(Struct, frozen=True):
    """What to import.

    Attributes:
        pools: these pools ...
        program: ... or all that this program owns; None: the pools.
        slots: first and last slot of the past, both told; None: only how it stands.
    """

    pools: tuple[str, ...] = ()
    program: str | None = None
    slots: tuple[int, int] | None = None


async def import_rpc(rpc: Rpc, wish: Wish, out: Path, progress: Progress = None) -> ImportSummary:
    """Read what is wished into the new folder `out`, still hot.

    Raises:
        RpcFault: the node gave no answer, nonsense, or contradicts itself.
        InputFault: the span is too long, or nothing was found.
    """
    reading = Reading(rpc, wish)
    slot = await rpc.slot("confirmed")
    if wish.slots is not None and wish.slots[1] > slot:
        raise InputFault(
            f"slot {wish.slots[1]:,} is not confirmed yet (node {rpc.name}: {slot:,}); end --slots before it"
        )
    info = ReducerInfo("import-rpc", path_of(Normaliser), source_digest(Normaliser))
    log_id = blake3(f"ironcrab import rpc\0{wish}\0{slot}\0{info.source_digest}".encode()).hexdigest(length=16)
    counts: dict[str, int] = {}
    with Recording.create(out, log_id, origin=f"import rpc at slot {slot}") as writer:
        loop = Loop((), writer.append, Now())
        async for time, event in reading.events():
            if loop.seq == 0:
                generations = generations_at(time // SECOND)
                loop.take(RunStarted(0, "import-rpc", __version__, "market-data", (), (), (), generations), time)
            loop.take(event, time)
            name = type(event).__name__
            counts[name] = counts.get(name, 0) + 1
            if progress is not None:
                progress(loop.seq)
        if loop.seq == 0:
            raise InputFault(f"node {rpc.name} tells nothing of what was named; are address and --slots right?")
        loop.take(InputCounted("", reading.normaliser.counts), loop.now.time)
    return ImportSummary(log_id, loop.seq, counts, reading.normaliser.counts)


class Reading:
    """One import.

    Attributes:
        normaliser: that reads the blocks.
        following: which accounts belong to it.

    Args:
        rpc: the node.
        wish: what is read.
    """

    def __init__(self, rpc: Rpc, wish: Wish) -> None:
        self.rpc = rpc
        self.wish = wish
        self.normaliser = Normaliser(SOURCE)
        self.following = Following(wish.pools)
        self.time = 0

    async def events(self) -> AsyncIterator[tuple[int, Event]]:
        """(time, event): the blocks in their order, then the accounts."""
        if self.wish.slots is not None:
            async for told in self._blocks(*self.wish.slots):
                yield told
        async for told in self._accounts():
            yield told

    async def _blocks(self, first: int, last: int) -> AsyncIterator[tuple[int, Event]]:
        slots = await self._slots(first, last)
        before: int | None = None
        for slot, signatures in slots.items():
            for update in await self._block(slot, before, signatures):
                for time, event in self.normaliser.feed(update.SerializeToString(), self.time):
                    self.following.see(event)
                    yield time, event
            before = slot

    async def _slots(self, first: int, last: int) -> dict[int, tuple[str, ...]]:
        """The slots to read in order, with the signatures that must be found in each."""
        if last < first or last - first >= MOST_SLOTS:
            raise InputFault(f"--slots {first}..{last} is no span of 1 to {MOST_SLOTS:,} slots")
        if self.wish.program is not None:
            told = await self.rpc.blocks(first, last)
            if any(not first <= slot <= last for slot in told) or told != sorted(set(told)):
                raise RpcFault(f"node {self.rpc.name} told slots that were not asked for; use another node", "nonsense")
            return dict.fromkeys(told, ())
        found: dict[int, dict[str, None]] = {}
        for pool in self.wish.pools:
            for slot, signature in await self._signatures(pool, first, last):
                found.setdefault(slot, {})[signature] = None
        return {slot: tuple(found[slot]) for slot in sorted(found)}

    async def _signatures(self, pool: str, first: int, last: int) -> list[tuple[int, str]]:
        """(slot, signature) of the successful transactions that named a pool in a span."""
        found: list[tuple[int, str]] = []
        before: str | None = None
        for _ in range(MOST_PAGES):
            rows = await self.rpc.signatures(pool, before)
            found += [(row.slot, row.signature) for row in rows if row.err is None and first <= row.slot <= last]
            if not rows or rows[-1].slot < first:
                return found
            if rows[-1].signature == before:
                break
            before = rows[-1].signature
        raise InputFault(
            f"{pool} has more than {MOST_PAGES:,},000 transactions since slot {first:,}; name a later span"
        )

    async def _block(self, slot: int, before: int | None, signatures: tuple[str, ...]) -> list[wire.SubscribeUpdate]:
        """The updates of one slot: its beginning, what concerns us, its meta, its end."""
        block = await read_block(self.rpc, slot)
        if block.block_time is not None:
            self.time = max(self.time, block.block_time * SECOND)
        named = (self.wish.program,) if self.wish.program is not None else self.wish.pools
        wanted = frozenset(base58.decode(key) for key in named if key is not None)
        told = [
            update
            for update in transactions_of(self.rpc, slot, block)
            if not wanted.isdisjoint(account_keys(update.transaction.transaction))
        ]
        there = {base58.encode(update.transaction.transaction.signature): None for update in told}
        for signature in signatures:
            if signature not in there:
                text = f"node {self.rpc.name} contradicts itself: transaction {signature} is not in its block {slot}"
                raise RpcFault(f"{text}; use another node", "nonsense")
        parent = block.parent_slot if before is None or self.wish.program is not None else before
        ends = (wire.SLOT_PROCESSED, wire.SLOT_CONFIRMED)
        return [
            status_of(slot, parent, wire.SLOT_CREATED_BANK),
            *told,
            meta_of(slot, block),
            *(status_of(slot, parent, status) for status in ends),
        ]

    async def _accounts(self) -> AsyncIterator[tuple[int, Event]]:
        """The accounts as they stand, behind the span; what was read says what else a quote needs."""
        least = None if self.wish.slots is None else self.wish.slots[1]
        self._at(await self.rpc.accounts([CLOCK_SYSVAR], "confirmed", least))
        read: dict[str, None] = {}
        if self.wish.program is not None:
            owned = await self.rpc.program_accounts(self.wish.program, "confirmed", least)
            keys = [row.pubkey for row in owned.value]
            for told in self._told(keys, _listed(owned), read):
                yield told
        for _ in range(ROUNDS):
            keys = [key for key in self.following.by_priority() if key not in read]
            if not keys:
                return
            for start in range(0, len(keys), ACCOUNTS_A_CALL):
                part = keys[start : start + ACCOUNTS_A_CALL]
                for told in self._told(part, await self.rpc.accounts(part, "confirmed", least), read):
                    yield told

    def _told(self, keys: list[str], answer: AccountsAnswer, read: dict[str, None]) -> Iterable[tuple[int, Event]]:
        for written in events_of(keys, answer):
            read[written.pubkey] = None
            for event in told_by(written):
                self.following.see(event)
                yield self.time, event

    def _at(self, answer: AccountsAnswer) -> None:
        """The chain's time where the node tells it, else ours."""
        account = answer.value[0]
        data = b"" if account is None else account.raw()
        told = int.from_bytes(data[32:40], "little", signed=True) * SECOND if len(data) >= 40 else now_ns()
        self.time = max(self.time, told)


def _listed(owned: OwnedAnswer) -> AccountsAnswer:
    return AccountsAnswer(owned.context, [row.account for row in owned.value])
