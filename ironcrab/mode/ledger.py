"""Ledger: what a run traded, what it cost and what it was worth, read off its records in one pass.

Money is lamports. Equity is the change of the wallet's SOL by every landed transaction (fees, tips, rent and failed
attempts included) plus what it holds, at the last recorded trade of the pool it came from.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from ironcrab.domain.ask import ConfirmAnswer, PricedAnswer, SendAnswer, SendAsk, SimulateAnswer, SimulateAsk
from ironcrab.domain.control import RunStarted
from ironcrab.domain.market import Trade, WalletBalanceSnapshot
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, TradeIntent, Verdict
from ironcrab.domain.units import BPS, NATIVE_SOL, SOL_MINT, floor_div
from ironcrab.log.recording import Recording
from ironcrab.loop import Record

MONEY = (SOL_MINT, NATIVE_SOL)
"""Wrapped and native SOL: a housekeeper's plan names either."""
MOST_POINTS = 8_192
"""Points of the equity curve; beyond it every second one goes, and later ones come half as often."""
TYPES = (
    *(RunStarted, Trade, WalletBalanceSnapshot, TradeIntent, DecisionRecord, ExecutionResult, Verdict),
    *(SimulateAsk, SendAsk, SimulateAnswer, SendAnswer, PricedAnswer, ConfirmAnswer),
)
"""What the ledger reads."""
REFUSED = ("Rejected", "Expired", "SimFailed")
"""Outcomes of attempts that were never sent."""


class Row(Struct):
    """One attempt that was decided; amounts raw, money in lamports, times in nanoseconds since 1970.

    Attributes:
        decision: seq of its DecisionRecord.
        intent: seq of its intent.
        attempt: counts from 0.
        time, slot: of the decision; the slot it landed in, where it did.
        reason: reason code of the intent.
        outcome: as decided; `refused` names the failed check's code.
        expected: what the simulation said it would receive; `got` what it received.
        basis: what the paper world priced the landing on.
        network, tip, rent: what it cost beside the trade.
        gross, net: profit of a sell as the engine realised it.
    """

    decision: int
    intent: int
    attempt: int
    time: int
    source: str
    side: str
    dex: str
    pool: str
    mint: str
    regime: str
    reason: str
    outcome: str
    refused: str = ""
    slot: int | None = None
    amount_in: int = 0
    expected: int | None = None
    got: int | None = None
    basis: str = ""
    network: int = 0
    tip: int = 0
    rent: int = 0
    gross: int | None = None
    net: int | None = None

    @property
    def slippage_bps(self) -> int | None:
        """Got against expected, rounded down; negative: less than expected."""
        if not self.expected or self.got is None:
            return None
        return floor_div((self.got - self.expected) * BPS, self.expected)


class Trip(Struct):
    """An attempt under way: its intent, plan, when it was asked and sent, how it was priced and how it ended."""

    intent: int
    said: int
    event: TradeIntent | None
    plan: Any = None
    asked: int = 0
    sent: int = 0
    sent_slot: int | None = None
    basis: str = ""
    expected: int | None = None
    confirm: ConfirmAnswer | None = None


class Ledger(Struct):
    """What a run did; see the module.

    Attributes:
        rows: every decided attempt in order.
        points: (time, equity) of the curve.
        verdicts: how often a strategy said what, by `verdict code`.
        stops: latencies by stop: milliseconds, and `landing_slots`.
        wallet: lamports of native and wrapped SOL at the start.
    """

    scenario: str = ""
    settings: dict[str, tuple[str, str]] = field(default_factory=dict)
    first_time: int = 0
    last_time: int = 0
    trades_seen: int = 0
    rows: list[Row] = field(default_factory=list)
    points: list[tuple[int, int]] = field(default_factory=list)
    verdicts: dict[str, int] = field(default_factory=dict)
    stops: dict[str, list[int]] = field(default_factory=dict)
    wallet: int = 0
    cash: int = 0
    held: int = 0
    peak: int = 0
    drawdown: int = 0

    @property
    def equity(self) -> int:
        """Profit or loss at the end, what is held included."""
        return self.cash + self.held

    @property
    def landed(self) -> list[Row]:
        """Attempts that paid on the chain: confirmed or failed there."""
        return [row for row in self.rows if row.network]

    @property
    def realised(self) -> int:
        """Net profit of all sells."""
        return sum(row.net for row in self.rows if row.net is not None)

    @property
    def failed_cost(self) -> int:
        """What attempts cost that failed on the chain."""
        return sum(row.network + row.tip for row in self.landed if row.got is None)

    @property
    def rent(self) -> int:
        """What new token accounts cost."""
        return sum(row.rent for row in self.rows)

    @property
    def unsold(self) -> int:
        """What no sell has realised: what is held less what it cost, and housekeeping. The parts add up to `equity`."""
        return self.equity - self.realised + self.failed_cost + self.rent


class Reading:
    """Fills a ledger, record by record."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.trips: dict[tuple[int, int], Trip] = {}
        self.asks: dict[int, tuple[int, int]] = {}
        self.rows: dict[tuple[int, int], Row] = {}
        self.holds: dict[str, tuple[str, int]] = {}
        self.prices: dict[str, tuple[int, int]] = {}
        self.every, self.skipped = 1, 0
        self.folds: dict[type, Callable[[Record, Any], None]] = {
            RunStarted: self._started,
            Trade: self._trade,
            WalletBalanceSnapshot: self._wallet,
            TradeIntent: self._intent,
            Verdict: self._verdict,
            SimulateAsk: self._asked,
            SendAsk: self._asked,
            SimulateAnswer: self._simulated,
            SendAnswer: self._sent,
            PricedAnswer: self._priced,
            ConfirmAnswer: self._confirmed,
            DecisionRecord: self._decided,
            ExecutionResult: self._result,
        }

    def see(self, record: Record) -> None:
        """Take one record."""
        ledger = self.ledger
        ledger.first_time = ledger.first_time or record.time
        ledger.last_time = record.time
        fold = self.folds.get(type(record.event))
        if fold is not None:
            fold(record, record.event)

    def finish(self) -> Ledger:
        """The ledger, with its last point."""
        self._mark(self.ledger.last_time, always=True)
        return self.ledger

    def _started(self, _: Record, event: RunStarted) -> None:
        self.ledger.scenario = event.scenario
        self.ledger.settings = {setting.key: (setting.value, setting.origin) for setting in event.settings}

    def _wallet(self, _: Record, event: WalletBalanceSnapshot) -> None:
        if event.source == "scenario" and event.mint in MONEY:
            self.ledger.wallet += event.balance_raw

    def _trade(self, record: Record, event: Trade) -> None:
        self.ledger.trades_seen += 1
        if not event.token_amount or event.quote_mint != SOL_MINT:
            return
        self.prices[event.pool_address] = (event.sol_amount, event.token_amount)
        if self.holds and any(pool == event.pool_address for pool, _ in self.holds.values()):
            self._mark(record.time)

    def _verdict(self, _: Record, event: Verdict) -> None:
        key = f"{event.verdict} {event.code}"
        self.ledger.verdicts[key] = self.ledger.verdicts.get(key, 0) + 1

    def _intent(self, record: Record, event: TradeIntent) -> None:
        self.trips[record.seq, 0] = Trip(record.seq, record.time, event)

    def _asked(self, record: Record, event: Any) -> None:
        key = (event.intent, event.attempt)
        self.asks[record.seq] = key
        trip = self.trips.get(key)
        if trip is None:
            first = self.trips.get((event.intent, 0))
            said, intent = (record.time, None) if first is None else (first.said, first.event)
            trip = self.trips[key] = Trip(event.intent, said, intent)
        trip.plan = event.plan
        if isinstance(event, SimulateAsk):
            self._stop("intent to checked", record.time - trip.said)
        trip.asked = record.time

    def _trip(self, ask: int) -> Trip | None:
        key = self.asks.get(ask)
        return None if key is None else self.trips.get(key)

    def _simulated(self, record: Record, event: SimulateAnswer) -> None:
        trip = self._trip(event.ask)
        if trip is not None:
            trip.expected = event.amount_out
            self._stop("checked to simulated", record.time - trip.asked)

    def _sent(self, record: Record, event: SendAnswer) -> None:
        trip = self._trip(event.ask)
        if trip is not None:
            trip.sent, trip.sent_slot = record.time, event.slot
            self._stop("simulated to sent", record.time - trip.asked)

    def _priced(self, _: Record, event: PricedAnswer) -> None:
        trip = self._trip(event.ask)
        if trip is not None:
            trip.basis = event.basis

    def _confirmed(self, record: Record, event: ConfirmAnswer) -> None:
        trip, ledger = self._trip(event.ask), self.ledger
        if trip is None or trip.plan is None:
            return
        trip.confirm = event
        if event.status not in ("confirmed", "failed"):
            return
        self._stop("sent to landed", record.time - trip.sent)
        if event.slot is not None and trip.sent_slot is not None:
            ledger.stops.setdefault("landing_slots", []).append(max(0, event.slot - trip.sent_slot))
        delta = event.wallet_sol_delta_lamports
        ledger.cash += _told_delta(trip.plan, event) if delta is None else delta
        self._hold(trip.plan, event)
        self._mark(record.time, always=True)
        row = self.rows.get(self.asks[event.ask])
        if row is not None:
            _landed(row, trip)

    def _hold(self, plan: Any, event: ConfirmAnswer) -> None:
        """The wallet's tokens after a fill."""
        for fill, mint, sign in ((event.fill_in, plan.input_mint, -1), (event.fill_out, plan.output_mint, 1)):
            if fill is None or mint in MONEY:
                continue
            amount = self.holds.pop(mint, ("", 0))[1] + sign * fill.raw
            if amount > 0:
                self.holds[mint] = (plan.pool_address, amount)

    def _mark(self, time: int, *, always: bool = False) -> None:
        """Value what is held; a point of the curve, and how far it lies below its peak."""
        ledger = self.ledger
        ledger.held = 0
        for pool, amount in self.holds.values():
            quoted, base = self.prices.get(pool, (0, 1))
            ledger.held += floor_div(amount * quoted, base)
        equity = ledger.equity
        ledger.peak = max(ledger.peak, equity)
        ledger.drawdown = max(ledger.drawdown, ledger.peak - equity)
        self.skipped += 1
        if always or self.skipped >= self.every:
            ledger.points.append((time, equity))
            self.skipped = 0
        if len(ledger.points) > MOST_POINTS:
            del ledger.points[1:-1:2]
            self.every *= 2

    def _decided(self, record: Record, event: DecisionRecord) -> None:
        if event.intent is None:
            return
        key = (event.intent, event.attempt)
        trip = self.trips.get(key) or self.trips.get((event.intent, 0)) or Trip(event.intent, record.time, None)
        row = _row(record, event, trip)
        self.rows[key] = row
        self.ledger.rows.append(row)
        if trip.confirm is not None:
            _landed(row, trip)

    def _result(self, _: Record, event: ExecutionResult) -> None:
        row = self.rows.get((event.intent or 0, event.attempt))
        if row is not None and event.pnl is not None:
            row.gross, row.net = event.pnl.gross_lamports, event.pnl.net_lamports

    def _stop(self, name: str, nanoseconds: int) -> None:
        self.ledger.stops.setdefault(name, []).append(max(0, nanoseconds) // 1_000_000)


def ledger_of(recording: Recording) -> Ledger:
    """The ledger of a run."""
    reading = Reading()
    for record in recording.records(types=TYPES):
        reading.see(record)
    return reading.finish()


def _row(record: Record, event: DecisionRecord, trip: Trip) -> Row:
    intent, plan = trip.event, trip.plan
    failed = next((check for check in reversed(event.checks) if not check.passed), None)
    metadata = {} if intent is None else intent.metadata
    mint = ""
    if intent is not None:
        mint = intent.resources.output_mint if intent.side == "Buy" else intent.resources.input_mint
    pools = ("",) if intent is None or not intent.resources.pools else intent.resources.pools
    return Row(
        decision=record.seq,
        intent=trip.intent,
        attempt=event.attempt,
        time=record.time,
        source=event.source,
        side="" if intent is None else intent.side,
        dex=metadata.get("dex", "") if plan is None else plan.dex,
        pool=pools[0] if plan is None else plan.pool_address,
        mint=mint,
        regime=event.regime,
        reason=metadata.get("reason_code", ""),
        outcome=event.outcome,
        refused="" if failed is None else failed.reason_code or failed.check_name,
        amount_in=0 if intent is None else intent.required_capital.raw,
        expected=trip.expected,
        basis=trip.basis,
    )


def _landed(row: Row, trip: Trip) -> None:
    """Write into a row how its attempt landed, and what that cost."""
    event, plan = trip.confirm, trip.plan
    assert event is not None, "it landed"
    row.slot, row.basis = event.slot, trip.basis
    if event.fees is not None:
        row.network, row.tip = event.fees.network_fee_lamports, event.fees.tip_lamports
    if event.status != "confirmed":
        return
    row.got = None if event.fill_out is None else event.fill_out.raw
    if event.wallet_sol_delta_lamports is not None:
        row.rent = max(0, _told_delta(plan, event) - event.wallet_sol_delta_lamports)


def _told_delta(plan: Any, event: ConfirmAnswer) -> int:
    """The change of the wallet's SOL as fills and fees tell it, rent left aside."""
    delta = 0
    if event.fees is not None:
        delta -= event.fees.network_fee_lamports + event.fees.tip_lamports
    if event.fill_in is not None and plan.input_mint in MONEY:
        delta -= event.fill_in.raw
    if event.fill_out is not None and plan.output_mint in MONEY:
        delta += event.fill_out.raw
    return delta
