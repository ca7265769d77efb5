"""Why: what each strategy thought of a mint, and why it did or did not trade."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from ironcrab.domain.control import ControlRequest, ForkOrphaned, GapClosed, GapOpened, RunStarted
from ironcrab.domain.fault import InputFault
from ironcrab.domain.market import DexPoolAccounts, PoolCreated, PoolStateUpdate, TokenMintInfo, Trade
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, Measure, TradeIntent, Verdict
from ironcrab.log.recording import Recording
from ironcrab.loop import Record

KINDS = (
    RunStarted,
    ControlRequest,
    GapOpened,
    GapClosed,
    ForkOrphaned,
    PoolCreated,
    DexPoolAccounts,
    PoolStateUpdate,
    TokenMintInfo,
    Trade,
    Verdict,
    TradeIntent,
    DecisionRecord,
    ExecutionResult,
)
LOST = ("LOST_ARBITRATION", "LOCK_CAPITAL_CONFLICT", "LOCK_RESOURCE_CONFLICT", "FAIRNESS_BLOCKED", "FAIRNESS_STARVED")
"""Codes of an intent that another intent stood in the way of."""


class Thought(Struct, frozen=True):
    """What one strategy last thought of the mint on one pool."""

    source: str
    pool_address: str
    verdict: str
    code: str
    seq: int
    slot: int | None
    measures: tuple[Measure, ...]


class Refusal(Struct, frozen=True):
    """One reason for which the engine ended intents on this mint without a trade, and how often."""

    code: str
    outcome: str
    count: int
    last_seq: int
    details: str


class Why(Struct, frozen=True):
    """The answer: one word (`answer`), one sentence, and the records it rests on.

    `answer` is never seen, pool incomplete, gap, gate, engine refusal, lost arbitration, kill switch, traded or
    undecided.
    """

    mint: str
    answer: str
    sentence: str
    until_seq: int
    trades_seen: int
    pools: tuple[str, ...]
    thoughts: tuple[Thought, ...]
    refusals: tuple[Refusal, ...]
    confirmed: tuple[int, ...]


class Mint:
    """What the log told about one mint so far."""

    def __init__(self, mint: str) -> None:
        self.mint = mint
        self.trades = 0
        self.pools: dict[str, bool] = {}
        self.thoughts: dict[tuple[str, str], Thought] = {}
        self.refusals: dict[str, Refusal] = {}
        self.confirmed: list[int] = []


class Scan:
    """Folds the records that `why` needs, for every mint that starts with a prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.mints: dict[str, Mint] = {}
        self.mint_of: dict[int | str, str] = {}
        self.gap: int | None = None
        self.gap_slot = 0
        self.kill: int | None = None
        self.until = 0
        self.strategies: tuple[str, ...] = ()

    def fold(self, record: Record) -> None:
        """Take one record in."""
        event: Any = record.event
        self.until = record.seq
        match event:
            case RunStarted():
                self.strategies = tuple(
                    info.name for info in event.reducers if not info.path.startswith("ironcrab.market.")
                )
            case GapOpened():
                self.gap, self.gap_slot = record.seq, event.from_slot
            case GapClosed():
                self.gap = None
            case ControlRequest():
                self._control(event, record.seq)
            case Trade() | PoolCreated() | DexPoolAccounts() | PoolStateUpdate() | TokenMintInfo():
                self._market(event)
            case Verdict():
                self._verdict(event, record.seq)
            case TradeIntent():
                self._intent(event, record.seq)
            case DecisionRecord():
                self._decision(event, record.seq)
            case ExecutionResult():
                row = self._of_intent(event)
                if row is not None and event.status == "confirmed":
                    row.confirmed.append(record.seq)
            case _:
                pass

    def _row(self, mint: str) -> Mint | None:
        if not mint.startswith(self.prefix):
            return None
        return self.mints.setdefault(mint, Mint(mint))

    def _control(self, event: ControlRequest, seq: int) -> None:
        if event.kind == "kill_switch":
            self.kill = seq if event.active is not False else None
        elif event.kind == "reset_kill_switch":
            self.kill = None

    def _market(self, event: Any) -> None:
        row = self._row(str(getattr(event, "mint", None) or getattr(event, "base_mint", "")))
        if row is None:
            return
        if isinstance(event, TokenMintInfo):
            return
        if isinstance(event, Trade):
            row.trades += 1
        is_whole = isinstance(event, PoolStateUpdate) and event.reserve_base > 0 and event.reserve_quote > 0
        row.pools[event.pool_address] = row.pools.get(event.pool_address, False) or is_whole

    def _verdict(self, event: Verdict, seq: int) -> None:
        row = self._row(event.mint)
        if row is not None:
            row.thoughts[event.source, event.pool_address] = Thought(
                event.source, event.pool_address, event.verdict, event.code, seq, event.slot, event.measures
            )

    def _intent(self, event: TradeIntent, seq: int) -> None:
        mint = event.resources.output_mint if event.side == "Buy" else event.resources.input_mint
        row = self._row(mint)
        if row is not None:
            self.mint_of[seq] = mint
            if event.intent_id is not None:
                self.mint_of[event.intent_id] = mint

    def _of_intent(self, event: DecisionRecord | ExecutionResult) -> Mint | None:
        keys = [key for key in (event.intent, event.intent_id) if key is not None and key in self.mint_of]
        return self.mints[self.mint_of[keys[0]]] if keys else None

    def _decision(self, event: DecisionRecord, seq: int) -> None:
        row = self._of_intent(event)
        if row is None or event.outcome in ("Confirmed", "Sent"):
            return
        failed = next((check for check in event.checks if not check.passed), None)
        code = (failed.reason_code if failed else None) or event.primary_reject_reason or event.outcome
        before = row.refusals.pop(code, None)
        details = (failed.details if failed else None) or ""
        row.refusals[code] = Refusal(code, event.outcome, (before.count if before else 0) + 1, seq, details)


def why(recording: Recording, prefix: str, until_slot: int | None = None, until_time: int | None = None) -> Why:
    """Why a mint (a unique prefix is enough) was or was not traded, as of a slot, a time (ns) or the end.

    Raises:
        InputFault: the prefix fits several mints.
    """
    scan = Scan(prefix)
    for record in _until(recording.records(types=KINDS), until_slot, until_time):
        scan.fold(record)
    if prefix in scan.mints:
        return _answer(scan, scan.mints[prefix])
    if len(scan.mints) > 1:
        some = ", ".join(list(scan.mints)[:4])
        raise InputFault(f"mint prefix {prefix!r} fits {len(scan.mints)} mints ({some} ...); type more of it")
    row = next(iter(scan.mints.values()), Mint(prefix))
    return _answer(scan, row)


def _until(records: Iterator[Record], until_slot: int | None, until_time: int | None) -> Iterator[Record]:
    for record in records:
        slot = getattr(record.event, "slot", None)
        if until_slot is not None and record.cause is None and slot is not None and slot > until_slot:
            return
        if until_time is not None and record.time > until_time:
            return
        yield record


def _answer(scan: Scan, row: Mint) -> Why:
    answer, sentence = _judge(scan, row)
    return Why(
        mint=row.mint,
        answer=answer,
        sentence=sentence,
        until_seq=scan.until,
        trades_seen=row.trades,
        pools=tuple(row.pools),
        thoughts=tuple(row.thoughts.values()),
        refusals=tuple(row.refusals.values()),
        confirmed=tuple(row.confirmed),
    )


def _judge(scan: Scan, row: Mint) -> tuple[str, str]:
    """The answer's word and sentence; the first ground that holds wins."""
    thought = max(row.thoughts.values(), key=lambda found: found.seq, default=None)
    refusal = max(row.refusals.values(), key=lambda found: found.last_seq, default=None)
    newest_trade = row.confirmed[-1] if row.confirmed else -1
    if row.mint not in scan.mints:
        return "never seen", f"no record up to seq {scan.until} names a mint that starts with {row.mint!r}"
    if refusal is not None and refusal.last_seq > newest_trade:
        if refusal.code == "KILL_SWITCH_ACTIVE":
            return "kill switch", f"the kill switch refused its intents (last: #{refusal.last_seq})"
        if refusal.code in LOST:
            return "lost arbitration", f"another intent stood in the way: {refusal.code} (last: #{refusal.last_seq})"
        return "engine refusal", f"the engine refused: {refusal.code} {refusal.details} (last: #{refusal.last_seq})"
    if row.confirmed:
        return "traded", f"{len(row.confirmed)} confirmed trade(s), the last is #{newest_trade}"
    if scan.kill is not None:
        return "kill switch", f"the kill switch is on since #{scan.kill}; buys are refused"
    if scan.gap is not None or (thought is not None and "GAP" in thought.code):
        opened = f" since #{scan.gap} (slot {scan.gap_slot})" if scan.gap is not None else ""
        return "gap", f"the feed has a gap{opened}; its pools are unknown until they are read anew"
    if thought is None:
        return "pool incomplete", _incomplete(scan, row)
    if thought.verdict in ("wait", "reject", "track", "suppress"):
        return "gate", f"{thought.source} says {thought.code} on pool {thought.pool_address} since #{thought.seq}"
    return "undecided", f"{thought.source} says {thought.code} since #{thought.seq}; no outcome is recorded yet"


def _incomplete(scan: Scan, row: Mint) -> str:
    lacking = []
    if not row.pools:
        lacking.append("no pool of it is known")
    elif not any(row.pools.values()):
        lacking.append("no pool of it has both reserves known")
    if not row.trades:
        lacking.append("no trade was seen")
    if not scan.strategies:
        lacking.append("no strategy ran over this recording (run: ironcrab run)")
    return "; ".join(lacking) or "no strategy has judged it yet"
