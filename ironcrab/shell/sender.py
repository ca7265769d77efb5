"""The outlet that signs, sends and confirms.

The road of one SendAsk, each stop a record before the next step:

    SignedAnswer    signature, bytes, blockhash, last valid height: in the log, and durable before a byte leaves
    SendAnswer      the bytes left the host (or certainly did not)
    ConfirmAnswer   confirmed or failed on the chain with its fills, or `expired`: it can never land any more

Until the end is known the same bytes are sent again. A restart shows the outlet its records again (`see`, then
`start`): an ask that was signed is looked up and its bytes are sent again; it is signed anew only when every node says
that the finalized height has passed the last valid one and that no history holds the signature. An ask that was never
signed left no byte; it is signed only while it is young.
"""

import asyncio
import base64
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from ironcrab.domain.ask import ConfirmAnswer, SendAnswer, SendAsk, SignedAnswer
from ironcrab.domain.event import Event
from ironcrab.domain.fault import Fault
from ironcrab.domain.market import LatestBlockhash, SlotUpdate
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.loop import Record
from ironcrab.shell.clock import now_ns
from ironcrab.shell.fills import Landed, landed_of_feed
from ironcrab.shell.landing import EXPIRED, confirm_answer, expired, fetched, found
from ironcrab.shell.routes import Handed, Route
from ironcrab.shell.rpc import Commitment, Rpc, RpcFault, Status
from ironcrab.shell.samples import HASH_BLOCKS, read_blockhash
from ironcrab.shell.transaction import Tables, message_of, signed
from ironcrab.shell.wallet import Wallet

MS = 1_000_000
"""Nanoseconds."""
HASH_AGE_NS = 8_000_000_000
"""A blockhash that the feed told longer ago is read anew: the feed may stand still while the chain goes on."""
FED_NS = 5_000_000_000
"""Without a block meta for so long the feed is not believed to tell heights."""
HASH_BEHIND = 50
"""Blocks that a blockhash may be old when it is signed with."""
ROUNDS = 3
"""Times that all nodes are asked for a blockhash before an ask is given up unsigned."""
ROUND_PAUSE_S = 0.1
DURABLE_POLL_S = 0.001
KEPT_SIGNATURES = 4096
KEPT_HASHES = 64


class SenderParams(Struct, frozen=True, kw_only=True):
    """How a transaction is sent and watched; milliseconds.

    Attributes:
        resend_ms: between two submissions of the same bytes.
        poll_ms: between two looks at the signature's status.
        sign_within_ms: age of an ask up to which it may be signed, for the first time or anew.
        commitment: what counts as confirmed.
    """

    resend_ms: int = 1_000
    poll_ms: int = 500
    sign_within_ms: int = 30_000
    commitment: Commitment = "confirmed"


class Work(Struct):
    """An open SendAsk: how far it came.

    `signed` holds the newest signing, `recorded` the seq of its record, `handed` how often its bytes were handed on,
    `found` what a node said of it when it was found on the chain.
    """

    seq: int
    ask: SendAsk
    asked_ms: int
    signed: SignedAnswer | None = None
    recorded: int | None = None
    is_sent: bool = False
    handed: int = 0
    ordinal: int = 0
    bundle: str | None = None
    found: Status | None = None
    noted: asyncio.Event = field(default_factory=asyncio.Event)
    heard: Landed | None = None
    stirred: asyncio.Event = field(default_factory=asyncio.Event)


class Sender:
    """See the module. An outlet: `see` takes asks on, `due` gives answers, `arrived` is set when there are some.

    Args:
        wallet: the signer.
        routes: ways to send; bundle routes carry the plans that tip, the others the rest.
        nodes: where statuses are asked; the first is the preferred one, all must agree that nothing landed.
        tables: the lookup tables that the log told.
        durable: the seq up to which the log is on the disk.
        arrived: set when an answer is there.
        params: see SenderParams.

    Attributes:
        broken: asks that stay open because of an error nobody foresaw, for the shell to report.
    """

    asks: tuple[type[Event], ...] = (SendAsk,)

    def __init__(
        self,
        wallet: Wallet,
        routes: tuple[Route, ...],
        nodes: tuple[Rpc, ...],
        tables: Tables,
        durable: Callable[[], int],
        arrived: asyncio.Event,
        *,
        params: SenderParams | None = None,
    ) -> None:
        self.wallet = wallet
        self.routes = routes
        self.nodes = nodes
        self.tables = tables
        self.durable = durable
        self.arrived = arrived
        self.params = params or SenderParams()
        self.answers: deque[Event] = deque()
        self.open: dict[int, Work] = {}
        self.by_signature: dict[str, Work] = {}
        self.issued: dict[str, None] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.broken: dict[int, Exception] = {}
        self.running = False
        self.slot = 0
        self.height = 0
        self.fed_ns = 0
        self.hashes: dict[int, tuple[LatestBlockhash, int]] = {}
        self.newest: tuple[LatestBlockhash, int] | None = None

    # the outlet's face

    @property
    def is_due(self) -> bool:
        """Whether an answer is to be taken at once."""
        return bool(self.answers)

    def see(self, record: Record) -> None:
        """Be told every record: asks are taken on, answers note how far they came, blockhashes are kept."""
        event: Any = record.event
        if isinstance(event, SendAsk):
            self.open[record.seq] = Work(record.seq, event, record.time // MS)
            if self.running:
                self._begin(record.seq)
        elif isinstance(event, SignedAnswer):
            self._noted(event, record.seq)
        elif isinstance(event, SendAnswer | ConfirmAnswer):
            self._answered(event)
        elif isinstance(event, LatestBlockhash):
            self._blockhash(event, record.time)
        elif isinstance(event, SlotUpdate) and event.slot is not None:
            self.slot = max(self.slot, event.slot)
            if event.status == "confirmed" and event.slot in self.hashes:
                self.newest = self.hashes[event.slot]

    def due(self, slot: int | None) -> Iterator[Event]:
        """The answers that are there."""
        del slot
        while self.answers:
            yield self.answers.popleft()

    def start(self) -> None:
        """Begin; what the log holds open is resolved first by what was signed."""
        self.running = True
        for seq in self.open:
            self._begin(seq)

    async def stop(self) -> None:
        """End all that is under way; the log holds what a restart needs."""
        self.running = False
        tasks = list(self.tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def hear(self, info: wire.SubscribeUpdateTransactionInfo, slot: int) -> None:
        """A transaction of the own wallet's feed, at the commitment that counts as confirmed."""
        landed = landed_of_feed(info, slot)
        work = None if isinstance(landed, str) else self.by_signature.get(landed.signature)
        if work is not None and not isinstance(landed, str):
            work.heard = landed
            work.stirred.set()

    # what records say

    def _noted(self, answer: SignedAnswer, seq: int) -> None:
        self.issued[answer.signature] = None
        if len(self.issued) > KEPT_SIGNATURES:
            del self.issued[next(iter(self.issued))]
        work = self.open.get(answer.ask)
        if work is not None:
            if work.signed is not None:
                self.by_signature.pop(work.signed.signature, None)
            work.signed, work.recorded = answer, seq
            work.ordinal = max(work.ordinal, answer.ordinal + 1)
            self.by_signature[answer.signature] = work
            work.noted.set()

    def _answered(self, answer: SendAnswer | ConfirmAnswer) -> None:
        work = self.open.get(answer.ask)
        if work is None:
            return
        work.ordinal = max(work.ordinal, answer.ordinal + 1)
        if isinstance(answer, SendAnswer):
            work.is_sent = work.is_sent or answer.ok
            work.bundle = answer.bundle_id or work.bundle
        if answer.last:
            del self.open[answer.ask]
            if work.signed is not None:
                self.by_signature.pop(work.signed.signature, None)

    def _blockhash(self, event: LatestBlockhash, time: int) -> None:
        if event.block_height is None or event.slot is None:
            return
        self.height = max(self.height, event.block_height)
        if event.source == "rpc":  # read at confirmed
            if self.newest is None or (self.newest[0].block_height or 0) <= event.block_height:
                self.newest = (event, time)
            return
        self.fed_ns = max(self.fed_ns, time)
        self.hashes[event.slot] = (event, time)
        if len(self.hashes) > KEPT_HASHES:
            del self.hashes[next(iter(self.hashes))]

    # one ask

    def _begin(self, seq: int) -> None:
        task = asyncio.create_task(self._attend(self.open[seq]))
        self.tasks[seq] = task
        task.add_done_callback(lambda _: self.tasks.pop(seq, None))

    def _say(self, answer: Event) -> None:
        self.answers.append(answer)
        self.arrived.set()

    async def _attend(self, work: Work) -> None:
        """Bring one ask to its end. What no step foresaw leaves a signed ask open: silence is safer than a guess."""
        try:
            await self._bring(work)
        except Exception as error:  # noqa: BLE001 - whatever a builder or a library raises must not end the others
            self._unsigned(work, f"{type(error).__name__}: {error}")
            self.broken[work.seq] = error

    async def _bring(self, work: Work) -> None:
        is_new = work.signed is None
        while True:
            if work.signed is None and self._is_old(work):
                self._unsigned(work, f"the ask is older than {self.params.sign_within_ms} ms; nothing was signed")
                return
            if work.signed is None and not await self._sign(work):
                return
            answer = await self._pursue(work, look_first=not is_new)
            if answer is not None:
                self._say(answer)
                return
            # expired for certain: signing anew is safe, and wanted only while the ask is young
            is_new = True
            self._outdate(work.signed)
            again = max(work.handed - 1, 0)
            if self._is_old(work) or not await self._sign(work):
                told = ConfirmAnswer(work.seq, "expired", error_code=EXPIRED, ordinal=work.ordinal, rebroadcasts=again)
                self._say(told)
                return

    def _outdate(self, expired_one: SignedAnswer | None) -> None:
        """A blockhash that is no younger than an expired one is not signed with again."""
        known = None if self.newest is None else self.newest[0].block_height
        if expired_one is not None and known is not None and known + HASH_BLOCKS <= expired_one.last_valid_block_height:
            self.newest = None

    def _is_old(self, work: Work) -> bool:
        return now_ns() // MS - work.asked_ms > self.params.sign_within_ms

    async def _sign(self, work: Work) -> bool:
        """Sign, say so, and wait until the log holds it; False: not signed, and why was said unless it was once."""
        try:
            blockhash, last = await self._fresh_hash()
            answer = self._signing(work, blockhash, last)
        except Fault as fault:
            self._unsigned(work, str(fault))
            return False
        work.noted.clear()
        work.handed = 0
        self._say(answer)
        await work.noted.wait()
        return True

    def _unsigned(self, work: Work, why: str) -> None:
        """Say that nothing was signed, unless something was before."""
        if work.signed is None:
            refused = SendAnswer(work.seq, False, now_ns() // MS, "none", self.slot or None, error=why)
            self._say(replace(refused, ordinal=work.ordinal, last=True))

    def _signing(self, work: Work, blockhash: str, last: int) -> SignedAnswer:
        """The recorded plan, signed. Fault: another ask was signed with the same message and blockhash."""
        message = message_of(work.ask.plan, self.wallet.address, self.tables)
        transaction = signed(message, blockhash, self.wallet)
        if transaction.signature in self.issued:
            raise Fault(f"transaction {transaction.signature} is under way for another ask; nothing was signed")
        text = base64.b64encode(transaction.raw).decode()
        return SignedAnswer(work.seq, transaction.signature, text, blockhash, last, work.ordinal)

    async def _fresh_hash(self) -> tuple[str, int]:
        """The newest confirmed blockhash of the feed; where that is none or old, a node is asked."""
        known = self.newest
        behind = 0 if known is None else self.height - (known[0].block_height or 0)
        if known is None or now_ns() - known[1] > HASH_AGE_NS or behind > HASH_BEHIND:
            event = await self._first(read_blockhash)
            self._say(event)
            known = (event, now_ns())
        height = known[0].block_height
        assert height is not None
        return known[0].blockhash, height + HASH_BLOCKS

    async def _first(self, ask: Callable[[Rpc], Any]) -> Any:
        """The answer of the first node that gives one, all asked a few times; the last one's fault otherwise."""
        last: Fault = Fault("no node is configured")
        for _ in range(ROUNDS):
            for node in self.nodes:
                try:
                    return await ask(node)
                except RpcFault as fault:
                    last = fault
            await asyncio.sleep(ROUND_PAUSE_S)
        raise last

    async def _pursue(self, work: Work, *, look_first: bool) -> ConfirmAnswer | SendAnswer | None:
        """Send the signed bytes until their end is known; None: expired for certain."""
        told = work.signed
        assert told is not None
        assert work.recorded is not None
        while self.durable() < work.recorded:  # noqa: ASYNC110 - the writer's thread has no event to wait for
            await asyncio.sleep(DURABLE_POLL_S)
        clock = asyncio.get_running_loop().time
        # what an earlier life signed it may have handed on: no refusal of now takes that back
        is_ours = not look_first
        next_send, next_look = 0.0, 0.0 if look_first else clock() + self.params.poll_ms / 1000
        handing: asyncio.Task[SendAnswer | None] | None = None
        try:
            while True:
                if work.heard is not None:
                    return await self._ended(work)
                if clock() >= next_look:
                    if await self._look(work, told, history=look_first):
                        return await self._ended(work)
                    if await self._is_expired(told):
                        return None
                    next_look, look_first = clock() + self.params.poll_ms / 1000, False
                if handing is not None and handing.done():
                    refused, handing = handing.result(), None
                    if refused is not None and is_ours:
                        return refused
                if handing is None and clock() >= next_send:
                    next_send = clock() + self.params.resend_ms / 1000
                    handing = asyncio.create_task(self._hand(work, told))
                    handing.add_done_callback(lambda _: work.stirred.set())
                await _stirred(work.stirred, min(next_send if handing is None else next_look, next_look) - clock())
                work.stirred.clear()
        finally:
            if handing is not None:
                handing.cancel()

    async def _hand(self, work: Work, told: SignedAnswer) -> SendAnswer | None:
        """Hand the bytes to all routes at once; an answer only where none of them can have taken them."""
        bundled = work.ask.plan.tip_lamports > 0 and any(route.is_bundle for route in self.routes)
        routes = [route for route in self.routes if route.is_bundle == bundled]
        work.handed += 1
        first: Handed | None = None
        refusals: list[str] = []
        sent_ms = now_ns() // MS
        pending = [asyncio.ensure_future(_handed(route, told)) for route in routes]
        try:
            for done in asyncio.as_completed(pending):
                route, handed = await done
                if handed.receipt == "refused":
                    refusals.append(handed.error or "refused")
                    continue
                first = first or handed
                if not work.is_sent:
                    self._sent(work, told, route, handed, sent_ms)
        finally:
            for task in pending:
                task.cancel()
        if first is not None or work.is_sent:
            return None
        error = "; ".join(refusals) or "no route is configured"
        method = routes[0].method if routes else "none"
        answer = SendAnswer(work.seq, False, sent_ms, method, self.slot or None, told.signature, error=error)
        return replace(answer, ordinal=work.ordinal, last=True)

    def _sent(self, work: Work, told: SignedAnswer, route: Route, handed: Handed, sent_ms: int) -> None:
        answer = SendAnswer(
            ask=work.seq,
            ok=True,
            sent_at_ms=sent_ms,
            method=route.method,
            slot=self.slot or None,
            signature=told.signature,
            bundle_id=handed.bundle_id,
            error=handed.error,
            ordinal=work.ordinal,
        )
        work.is_sent, work.bundle = True, handed.bundle_id
        work.ordinal += 1
        self._say(answer)

    async def _look(self, work: Work, told: SignedAnswer, *, history: bool) -> bool:
        """Whether the transaction is on the chain at the wanted commitment, by a node or a bundle's route."""
        work.found = await found(self.nodes, told.signature, self.params.commitment, history=history)
        if work.found is not None:
            return True
        bundle = work.bundle
        if bundle is None:
            return False
        routes = [route for route in self.routes if route.is_bundle]
        return any(await asyncio.gather(*(route.has_landed(bundle) for route in routes)))

    async def _is_expired(self, told: SignedAnswer) -> bool:
        """Whether it can never land. While the feed tells heights up to the last valid one, no node is asked."""
        if self.height <= told.last_valid_block_height and now_ns() - self.fed_ns < FED_NS:
            return False
        return await expired(self.nodes, told)

    async def _ended(self, work: Work) -> ConfirmAnswer:
        """The end as the feed told it, else as a node tells it."""
        assert work.signed is not None
        landed = work.heard or await fetched(self.nodes, work.signed.signature, self.params.commitment, work.found)
        told = confirm_answer(work.seq, work.ordinal, work.ask.plan, self.wallet.address, work.signed, landed)
        return replace(told, rebroadcasts=max(work.handed - 1, 0))


async def _handed(route: Route, told: SignedAnswer) -> tuple[Route, Handed]:
    return route, await route.hand(told.transaction, told.signature)


async def _stirred(event: asyncio.Event, seconds: float) -> None:
    """Wait for the feed's word, at most so long."""
    try:
        async with asyncio.timeout(max(seconds, 0)):
            await event.wait()
    except TimeoutError:
        return
