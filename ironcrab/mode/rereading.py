"""Accounts that are unknown, read by RPC: what a gap or a fork made stale, and what nobody has written since we came.

This is the cold path: no turn waits for it. So many accounts a round, those that matter most first, never while a gap
is open, and at a slot behind the last one of which records may be missing (`minContextSlot`): what is read then holds
all that was missed. Each becomes an AccountWritten without signature, `source` rpc. An account that is not there is
told as the feed tells a closed one: of the system program, without lamports and data.

What a control request asks for (`ensure_...`, wire contract 1.11: what a sell lacked) is read at once, known or not,
in the same way, and the request is answered: `ok` where the pool's account is known then, else `not_found`; `error`
where the node or the feed does not let it be read.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from ironcrab.dex import venue_of
from ironcrab.dex.address import SYSTEM
from ironcrab.domain.control import ControlRequest, ControlResponse
from ironcrab.domain.event import Event
from ironcrab.domain.market import AccountWritten
from ironcrab.ingest.accounts import told_by
from ironcrab.ingest.counts import Counts, count
from ironcrab.market.pools import LivePoolCache
from ironcrab.mode.following import Following
from ironcrab.shell.rpc import AccountsAnswer, Rpc, RpcFault
from ironcrab.shell.samples import ACCOUNTS_A_CALL, SOURCE

PAUSE_S = 1.0
"""Seconds between two rounds."""
CALLS_A_ROUND = 5
LONGEST_PAUSE_S = 30.0
"""... which grow up to this while the node says no."""
AGAIN_ROUNDS = 30
"""Rounds after which an account that is still unknown is asked for again."""
LOOK_S, LOOKS = 0.05, 100
"""Seconds between two looks at how far the feed is, and how many are made."""
MARKET_DATA = "market-data"
"""Whose requests are answered here."""
ENSURE = "ensure_"
"""How their kinds begin."""
MOST_REQUESTS = 64
"""Requests that wait; beyond, the oldest one is left to the end of its wait."""
STEPS = 3
"""Reads for one request: what is read may say what else is needed."""
BREATH = 20
"""Accounts taken between two chances for frames to be."""


class Rereading:
    """See the module.

    Attributes:
        counts: `reread` accounts told; `reread_failed`, `reread_ahead_of_the_feed` calls in vain.

    Args:
        rpc: the node.
        following: which accounts matter.
        pools: what is known.
        take: takes an event at the present.
        is_up: whether the feed is.
    """

    def __init__(
        self,
        rpc: Rpc,
        following: Following,
        pools: LivePoolCache,
        take: Callable[[Event], object],
        is_up: Callable[[], bool],
    ) -> None:
        self.rpc = rpc
        self.following = following
        self.pools = pools
        self.take = take
        self.is_up = is_up
        self.counts: Counts = {}
        self._asked: dict[str, int] = {}
        self._round = 0
        self._gap_slot = 0
        self._pause_s = PAUSE_S
        self.requests: deque[ControlRequest] = deque(maxlen=MOST_REQUESTS)
        self._stirred = asyncio.Event()

    def ask(self, request: ControlRequest) -> None:
        """Take on what is asked of market-data, to be read and answered soon; other requests are nobody's here."""
        if request.target == MARKET_DATA and request.kind.startswith(ENSURE):
            self.requests.append(request)
            self._stirred.set()

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await self._pause()
            while self.requests:
                await self.answer(self.requests.popleft())
            if self.is_up() and not self.pools.gap_open:
                await self.round()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._pause_s):
                await self._stirred.wait()
        except TimeoutError:
            return
        finally:
            self._stirred.clear()

    def wanted(self) -> tuple[str, ...]:
        """The unknown accounts of a round, those that matter most first."""
        if self.pools.gap_slot != self._gap_slot:
            self._gap_slot, self._asked = self.pools.gap_slot, {}
        unknown = [
            key
            for key in self.following.by_priority()
            if self._round - self._asked.get(key, -AGAIN_ROUNDS) >= AGAIN_ROUNDS
            and self.pools.accounts.get(key) is None
        ]
        return tuple(unknown[: CALLS_A_ROUND * ACCOUNTS_A_CALL])

    async def round(self) -> None:
        """One round; a call that fails is made again in a later one."""
        self._round += 1
        keys = self.wanted()
        for start in range(0, len(keys), ACCOUNTS_A_CALL):
            if not await self._read(list(keys[start : start + ACCOUNTS_A_CALL])):
                return

    async def _read(self, part: list[str]) -> bool:
        """One call, and what it says; False: nothing of it was taken."""
        gap_slot = self.pools.gap_slot
        try:
            answer = await self.rpc.accounts(part, "confirmed", gap_slot + 1 if gap_slot else None)
            events = events_of(part, answer)
        except RpcFault:
            count(self.counts, "reread_failed")
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
            return False
        is_there = await self._reached(answer.context.slot) and self.is_up()
        if not is_there or self.pools.gap_open or self.pools.gap_slot != gap_slot:
            return False  # what was read may lack what the new gap hid
        self._pause_s = PAUSE_S
        for place, event in enumerate(events):
            self._asked[event.pubkey] = self._round
            for told in told_by(event):
                self.take(told)
            if place % BREATH == BREATH - 1:
                await asyncio.sleep(0)
        count(self.counts, "reread", len(events))
        return True

    async def answer(self, request: ControlRequest) -> None:
        """Read all that quoting the pool of this request needs, then say how it stands."""
        pool = request.pool_address_hint or self._pool_of(request.base_mint)
        if pool is None:
            self._respond(request, "not_found", None, f"no pool of mint {request.base_mint} is known")
            return
        done: dict[str, None] = {}
        for _ in range(STEPS):
            group = self.following.tracked.state.groups.get(pool)
            wanted = dict.fromkeys((pool, *(() if group is None else group.keys)))
            part = [key for key in wanted if key not in done][:ACCOUNTS_A_CALL]
            if not part:
                break
            if not self.is_up() or self.pools.gap_open or not await self._read(part):
                self._respond(request, "error", pool, "the node or the feed does not tell; ask again later")
                return
            done |= dict.fromkeys(part)
        account = self.pools.accounts.get(pool)
        if account is None or venue_of(account.owner) is None:
            self._respond(request, "not_found", pool, "the account is no pool of a known venue")
        else:
            self._respond(request, "ok", pool, None)

    def _pool_of(self, mint: str | None) -> str | None:
        """The pool of this mint that was seen first."""
        return next((row.pool_address for row in self.pools.of_mint(mint)), None) if mint else None

    def _respond(self, request: ControlRequest, status: str, pool: str | None, message: str | None) -> None:
        self.take(ControlResponse(request.request_id, MARKET_DATA, status, pool, message))

    async def _reached(self, slot: int) -> bool:
        """Wait for the feed to reach the slot of an answer: a node ahead of it must not end slots under way."""
        for _ in range(LOOKS):
            if self.pools.accounts.state.slot >= slot:
                return True
            await asyncio.sleep(LOOK_S)
        count(self.counts, "reread_ahead_of_the_feed")
        return False


def events_of(keys: list[str], answer: AccountsAnswer) -> list[AccountWritten]:
    """What a getMultipleAccounts answer says of these accounts. RpcFault where its data is no base64."""
    slot = answer.context.slot
    events = []
    for key, account in zip(keys, answer.value, strict=True):
        owner, lamports, data = (
            (SYSTEM, 0, b"") if account is None else (account.owner, account.lamports, account.raw())
        )
        events.append(
            AccountWritten(
                pubkey=key, owner=owner, lamports=lamports, data=data, slot=slot, write_version=0, source=SOURCE
            )
        )
    return events
