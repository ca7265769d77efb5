"""The announcer: what the log holds, as JSON of the wire contract on its versioned subjects, for whoever listens.

It folds the log like any node, says nothing into it, and announces only what the recorder has on its disk. Intents and
results go to streams and are announced once, also after a restart; market events and decisions are told to those who
listen now. Of each pool and each balance the newest word stays in a stream of its own (one message a subject), so a
listener that comes late recovers the pool cache.
"""

import asyncio
from collections import deque
from typing import Any

import msgspec

from ironcrab.domain.control import ConfigChanged, ConfigUpdate, ControlRequest, RunStarted
from ironcrab.domain.event import SCHEMA_VERSION, Event
from ironcrab.domain.market import PoolCacheUpdate, PriorityFeePercentiles, WalletBalanceSnapshot, WalletTxConfirmed
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, PositionUpdate, TradeIntent
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT
from ironcrab.log.contract import Exporter, Header, export_line
from ironcrab.log.wire import KINDS
from ironcrab.loop import Record
from ironcrab.market.pools import PoolRow
from ironcrab.mode.node import ANNOUNCER, Node, tell
from ironcrab.mode.scenario import Scenario
from ironcrab.shell.bus import SEQ, Bus, Kept, bucket
from ironcrab.shell.bus_login import Login
from ironcrab.shell.bus_server import AUTHORITY

V1 = "ironcrab.v1"
DAY_S = 86_400
KEPT = (
    Kept("TRADE_INTENTS", f"{V1}.trade_intents", DAY_S, counts=True),
    Kept("EXECUTION_RESULTS", f"{V1}.execution_results", 7 * DAY_S, counts=True),
    Kept("POOL_CACHE", "ironcrab.pool_cache.*", 7 * DAY_S, newest_only=True, rollup=True),
    Kept("WALLET_SNAPSHOT", "ironcrab.wallet_snapshot.*.*", 7 * DAY_S, newest_only=True, rollup=True),
    Kept("WALLET_TX_CONFIRM", "ironcrab.wallet_tx_confirm.*.*", DAY_S),
    Kept("CONFIG_UPDATES", "ironcrab.config.*", DAY_S, newest_only=True),
    bucket(AUTHORITY),
)
"""The contract's streams (section 5.2): name, subjects, age."""
SUBJECTS: dict[type[Event], str] = {
    TradeIntent: "trade_intents",
    ExecutionResult: "execution_results",
    DecisionRecord: "decision_records",
    PriorityFeePercentiles: "priority_fee_samples",
}
ONCE = (TradeIntent, ExecutionResult)
"""What is announced once."""
NOT_MISSED = (*ONCE, WalletBalanceSnapshot, WalletTxConfirmed, ConfigChanged, PositionUpdate)
"""What is announced also where it was recorded while nobody announced."""
QUIET = ("AccountUpdate", "TransactionDetected", "AccountWritten")
"""Market events that are not announced: raw, and by the thousand."""
NOT_MOMENTUM = frozenset(
    (
        *("LatestBlockhash", "BinArrayUpdate", "SlotUpdate", "WalletBalanceSnapshot", "PriceUpdate", "SwapObserved"),
        *("WalletActivity", "EarlyBuyerDetected", "InsiderAlert", "WalletTxConfirmed"),
    )
)
"""Kinds that the copy for momentum leaves out."""
PUMP = ("pumpfun", "pump_amm")
POOLS_S = 0.25
"""Seconds between two looks at the pools that changed: of one pool only the newest word is announced."""
KEEP = 16_384
"""Records kept to look up what triggered an intent, and decisions that a result may name."""
PAPER = "paper"
"""Names the wallet of a session that has none."""


class Announcer:
    """See the module. Args: the scenario of the set of nodes."""

    def __init__(self, scenario: Scenario) -> None:
        self.node = Node(ANNOUNCER, scenario, ("pools",))
        self.wallet = scenario.engine.wallet or PAPER
        self.balances: dict[str, int] = {}
        self.recent: dict[int, Record] = {}
        self.waiting: deque[tuple[Record, bool]] = deque()
        self.looked = -1
        self.announced: dict[str, None] = {}
        self.from_seq = 0
        self.exporter: Exporter | None = None
        self.runs: list[tuple[int, RunStarted]] = []
        self.node.after = self._seen
        self.node.greet = self._greet
        self.node.beside = (self._announce, self._pools)

    async def run(self, login: Login, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. Faults of the log come through."""
        await self.node.attend(login, (_stopped(stop),))
        tell(f"{ANNOUNCER}: stopped")

    async def _greet(self, bus: Bus) -> None:
        """A new connection: make the streams, see what they hold, go on announcing."""
        found = await bus.keep(KEPT, SEQ)
        self.from_seq = max(self.from_seq, found + 1)

    def _seen(self, record: Record) -> None:
        event: Any = record.event
        self.recent[record.seq] = record
        if len(self.recent) > KEEP:
            del self.recent[next(iter(self.recent))]
        if isinstance(event, RunStarted):
            self.runs.append((record.seq, event))
            self.exporter = None
        is_new = self.node.is_level
        if is_new or (type(event) in NOT_MISSED and record.seq >= self.from_seq):
            self.waiting.append((record, is_new))

    async def _announce(self, bus: Bus) -> None:
        while True:
            decisions = self._exporter().decisions
            for old in list(decisions)[:-KEEP]:
                del decisions[old]
            while self.waiting and self.waiting[0][0].seq <= self.node.durable:
                record, _ = self.waiting[0]
                await self._one(bus, record)
                self.waiting.popleft()
                self.from_seq = max(self.from_seq, record.seq + 1)
            await bus.told_durable()

    async def _one(self, bus: Bus, record: Record) -> None:
        event: Any = record.event
        kind = type(event)
        if kind is ConfigChanged:
            told = ConfigUpdate(event.component, {one.key: one.value for one in event.settings})
            line = export_line(self._header(record, event.component), told)
            await bus.announce(f"ironcrab.config.{event.component}", line or b"", self._id(record), {})
            return
        if kind is PositionUpdate:
            await bus.put(AUTHORITY, event.mint, _held(event))
            return
        # requests came from the bus or from people here: whoever asks over the bus hears the answer, not the question
        line = None if kind is ControlRequest else self._exporter().line(record)
        if line is None:
            return
        headers = {SEQ: str(record.seq)}
        if kind in ONCE:
            await bus.announce(f"{V1}.{SUBJECTS[kind]}", line, self._id(record), headers)
        elif kind in SUBJECTS:
            await bus.tell(f"{V1}.{SUBJECTS[kind]}", line, headers)
        elif kind.__name__ in KINDS and kind.__name__ not in QUIET:
            await self._market(bus, record, line, headers)
        elif kind.__name__ == "ControlResponse":
            await bus.tell(f"{V1}.control_responses", line, headers)

    async def _market(self, bus: Bus, record: Record, line: bytes, headers: dict[str, str]) -> None:
        event: Any = record.event
        name = type(event).__name__
        await bus.tell(f"{V1}.market_events", line, headers)
        is_pump = name != "PoolStateUpdate" or (event.dex in PUMP and event.quote_mint == SOL_MINT)
        if name not in NOT_MOMENTUM and is_pump:
            await bus.tell(f"{V1}.market_events.momentum", line, headers)
        if isinstance(event, WalletTxConfirmed):
            subject = f"ironcrab.wallet_tx_confirm.{event.wallet}.{event.signature}"
            await bus.announce(subject, line, self._id(record), headers)
        if isinstance(event, WalletBalanceSnapshot):
            subject = f"ironcrab.wallet_snapshot.{self.wallet}.{event.mint}"
            await bus.announce(subject, line, self._id(record), {**headers, "Nats-Rollup": "sub"})
            self.balances[event.mint] = event.balance_raw
            told = {
                **msgspec.structs.asdict(self._header(record, "market-data")),
                "wallet": self.wallet,
                "sol_lamports": self.balances.get(NATIVE_SOL, 0),
                "wsol_lamports": self.balances.get(SOL_MINT),
                "slot": event.slot or self.node.now.slot,
            }
            await bus.tell(f"{V1}.wallet_balance_updates", msgspec.json.encode(told), headers)

    async def _pools(self, bus: Bus) -> None:
        """Announce the newest word of each pool that changed, once we are level."""
        while True:
            await asyncio.sleep(POOLS_S)
            if not self.node.is_level:
                continue
            rows = self.node.wiring.known.pools.rows
            for pool in [pool for pool in self.announced if pool not in rows]:
                await self._pool(bus, PoolCacheUpdate("POOL_REMOVED", pool, "", "", "", 0, 0, self.node.now.slot))
                del self.announced[pool]
            since, upto = self.looked, self.node.seq - 1
            for row in [row for row in rows.values() if row.seq > since]:
                await self._pool(bus, self._update(row))
                self.announced[row.pool_address] = None
            self.looked = upto

    def _update(self, row: PoolRow) -> PoolCacheUpdate:
        told = {
            "pool_accounts": ",".join(row.accounts) or None,
            "creator": row.creator,
            "complete": None if row.complete is None else str(row.complete).lower(),
            "real_token_reserves": row.real_base,
            "real_sol_reserves": row.real_quote,
        }
        metadata = {key: str(value) for key, value in told.items() if value is not None}
        return PoolCacheUpdate(
            "BALANCE_UPDATED" if row.pool_address in self.announced else "POOL_DISCOVERED",
            row.pool_address,
            row.dex,
            row.base_mint,
            row.quote_mint,
            row.reserve_base or 0,
            row.reserve_quote or 0,
            max(row.reserve_base_slot or 0, row.reserve_quote_slot or 0, row.first_seen_slot),
            row.liquidity,
            metadata,
        )

    async def _pool(self, bus: Bus, update: PoolCacheUpdate) -> None:
        header = Header(SCHEMA_VERSION, self.node.now.time // 1_000_000, "market-data", self._build(), self._run_id())
        line = export_line(header, update)
        await bus.announce(f"ironcrab.pool_cache.{update.pool_address}", line or b"", "", {"Nats-Rollup": "sub"})
        await bus.tell(f"{V1}.pool_cache_updates", line or b"")

    # what stands on each line

    def _exporter(self) -> Exporter:
        if self.exporter is None:
            self.exporter = Exporter(self._log_id(), self.runs, self._record)
        return self.exporter

    def _record(self, seq: int) -> Record:
        # what is older than we remember triggers nothing that we could name
        return self.recent.get(seq) or Record(seq, None, None, 0, RunStarted(0, "", "", "", (), (), ()))

    def _header(self, record: Record, component: str) -> Header:
        return Header(SCHEMA_VERSION, record.time // 1_000_000, component, self._build(), self._run_id())

    def _build(self) -> str:
        return self.runs[-1][1].code_version if self.runs else ""

    def _run_id(self) -> str:
        return f"{self._log_id()}-{self.node.run or 0}"

    def _log_id(self) -> str:
        return "" if self.node.log is None else self.node.log.log_id

    def _id(self, record: Record) -> str:
        return f"{self._log_id()[:8]}-{record.seq}"


async def _stopped(stop: asyncio.Event) -> None:
    await stop.wait()


def _held(event: PositionUpdate) -> bytes | None:
    """What the store says of a mint (contract 1.8); None: it is not held any more."""
    if event.status == "Closed" and not event.balance_raw:
        return None
    return msgspec.json.encode(msgspec.structs.asdict(event))
