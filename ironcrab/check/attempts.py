"""Checks of the life of attempts: one outcome, simulated before sent, sent once, refused for one reason."""

from collections.abc import Iterator
from typing import Any

from ironcrab.check.finding import Finding
from ironcrab.domain.ask import ConfirmAnswer, SendAnswer, SendAsk, SignedAnswer, SimulateAnswer, SimulateAsk
from ironcrab.domain.control import ControlRequest, WordsAbandoned
from ironcrab.domain.trade import DecisionRecord, TradeIntent
from ironcrab.domain.units import SOL_MINT
from ironcrab.execution.checks import CHECKS
from ironcrab.execution.housekeeping import VENUE
from ironcrab.log.recording import Recording
from ironcrab.loop import Record

MILLI = 1_000_000
"""Nanoseconds."""
DEFAULT_TTL_MS = 5000
"""The wire contract's default where an intent names neither ttl nor deadline (section 2.2, row 2)."""
TRADED = ("Confirmed", "Sent")
OWN_CODES = ("SimFailed", "FailedConfirmed")
"""Outcomes whose primary reason is the venue's own text."""


def one_outcome(recording: Recording) -> Iterator[Finding]:
    """An attempt has exactly one decision, and an intent at most one that traded."""
    decided: dict[tuple[int | str | None, int], int] = {}
    traded: dict[int | str | None, int] = {}
    for record in recording.records(types=(DecisionRecord,)):
        event: Any = record.event
        intent = event.intent if event.intent is not None else event.intent_id
        attempt = (intent, event.attempt)
        if event.intent is not None and attempt in decided:
            yield Finding(record.seq, f"attempt {event.attempt} of intent #{intent} was decided at #{decided[attempt]}")
        decided[attempt] = record.seq
        if event.outcome in TRADED:
            if intent in traded:
                yield Finding(record.seq, f"intent #{intent} had traded at #{traded[intent]}")
            traded[intent] = record.seq


def simulate_gate(recording: Recording) -> Iterator[Finding]:
    """Nothing is sent without a passed simulation of the same plan."""
    asks: dict[int, Any] = {}
    passed: dict[tuple[int, int], str] = {}
    for record in recording.records(types=(SimulateAsk, SimulateAnswer, SendAsk)):
        event: Any = record.event
        if isinstance(event, SimulateAsk):
            asks[record.seq] = event
        elif isinstance(event, SimulateAnswer):
            ask = asks.get(event.ask)
            if ask is not None and event.success:
                passed[ask.intent, ask.attempt] = ask.plan.plan_hash
        elif passed.get((event.intent, event.attempt)) != event.plan.plan_hash and event.intent >= recording.first_seq:
            yield Finding(record.seq, f"intent #{event.intent} is sent without a passed simulation of this plan")


def sent_once(recording: Recording) -> Iterator[Finding]:
    """No attempt is sent twice."""
    sent: dict[tuple[int, int], int] = {}
    for record in recording.records(types=(SendAsk,)):
        event: Any = record.event
        key = (event.intent, event.attempt)
        if key in sent:
            yield Finding(record.seq, f"attempt {event.attempt} of intent #{event.intent} was sent at #{sent[key]}")
        sent[key] = record.seq


def kill_switch(recording: Recording) -> Iterator[Finding]:
    """While the kill switch is on no buy and no wrap is sent.

    Of several processes the engine may ask for one before it knows of a kill that stands before the ask: then nobody
    signs or sends it.
    """
    active: int | None = None
    late: dict[int, Finding] = {}
    for record in recording.records(types=(ControlRequest, SendAsk, SignedAnswer, SendAnswer)):
        event: Any = record.event
        if isinstance(event, SendAsk):
            wraps = event.plan.dex == VENUE and event.plan.output_mint == SOL_MINT
            if active is not None and (event.plan.side == "Buy" or wraps):
                what = "a wrap" if wraps else "a buy"
                found = Finding(record.seq, f"{what} is sent while the kill switch is on since #{active}")
                if record.cause is None or record.cause >= active:
                    yield found
                else:
                    late[record.seq] = found
        elif isinstance(event, SignedAnswer | SendAnswer):
            found_late = late.pop(event.ask, None)
            if found_late is not None and (isinstance(event, SignedAnswer) or event.ok):
                yield found_late
        elif event.kind == "kill_switch":
            active = record.seq if event.active is not False else None
        elif event.kind == "reset_kill_switch":
            active = None


def ttl(recording: Recording) -> Iterator[Finding]:
    """No intent is simulated or sent after its time to live, in whole milliseconds, or its deadline slot."""
    intents: dict[int, Record] = {}
    slot = 0
    for record in recording.records():
        event: Any = record.event
        if record.cause is None:
            slot = max(slot, getattr(event, "slot", None) or 0)
        if isinstance(event, TradeIntent):
            intents[record.seq] = record
        elif isinstance(event, SendAsk) or (isinstance(event, SimulateAsk) and event.attempt == 0):
            intent = intents.get(event.intent)
            if intent is None:
                continue
            wish: Any = intent.event
            past = record.time // MILLI - intent.time // MILLI - (wish.ttl_ms or DEFAULT_TTL_MS)
            if past > 0 and (wish.ttl_ms is not None or wish.deadline_slot is None):
                yield Finding(record.seq, f"intent #{event.intent} is {past} ms past its ttl")
            if wish.deadline_slot is not None and slot > wish.deadline_slot:
                yield Finding(record.seq, f"intent #{event.intent} is past its deadline slot {wish.deadline_slot}")


def reasons(recording: Recording) -> Iterator[Finding]:
    """A refusal has one failed check, its last (but for rebroadcast), and bears that check's code."""
    for record in recording.records(types=(DecisionRecord,)):
        event: Any = record.event
        if event.intent is None:
            continue
        rows = [row for row in event.checks if row.check_name != "rebroadcast"]
        failed = [index for index, row in enumerate(rows) if not row.passed]
        if event.outcome in TRADED:
            late = [index for index in failed if rows[index].check_name != "confirm"]
            if late:
                yield Finding(record.seq, f"outcome {event.outcome} with failed check {rows[late[0]].check_name}")
        elif len(failed) != 1 or failed[0] != len(rows) - 1:
            yield Finding(record.seq, f"outcome {event.outcome} with {len(failed)} failed checks, not one at the end")
        elif event.outcome not in OWN_CODES and event.primary_reject_reason != rows[-1].reason_code:
            code = rows[-1].reason_code
            yield Finding(record.seq, f"primary reason {event.primary_reject_reason} is not the check's code {code}")


def pool_locks(recording: Recording) -> Iterator[Finding]:
    """Two attempts before their send never share a pool (the lock ends when the transaction left).

    What a housekeeper does trades on no pool: the wallet's own account stands in its place.
    """
    held: dict[str, tuple[int, int]] = {}
    for record in recording.records(types=(SimulateAsk, SendAnswer, ConfirmAnswer, SendAsk, DecisionRecord)):
        event: Any = record.event
        if isinstance(event, SimulateAsk):
            plan, mine = event.plan, (event.intent, event.attempt)
            if plan.dex == VENUE:
                continue
            for pool in [leg.pool_address for leg in plan.hops] or [plan.pool_address]:
                if held.get(pool, mine) != mine:
                    yield Finding(record.seq, f"pool {pool} is held by intent #{held[pool][0]}")
                held[pool] = mine
        elif isinstance(event, SendAsk | DecisionRecord):
            for pool in [pool for pool, by in held.items() if by == (event.intent, event.attempt)]:
                del held[pool]


OTHERWISE = {
    "resource_locks": ("resource_lock", "resource_locks"),
    "cross_dex": ("cross_dex_handler", "cross_dex_validation"),
    "bundle": ("bundle_config", "bundle_tip_ix"),
}
"""Rows of a check that are not called as it is."""
LAST = ("simulation", "simulation_profit", "send_enabled", "send", "confirm", "rebroadcast")
"""Rows that follow the check table."""
TABLE = (*(OTHERWISE.get(one.__name__, (one.__name__,)) for one in CHECKS), *((row,) for row in LAST))
"""Names of the rows, place by place."""
ORDER = {name: place for place, names in enumerate(TABLE) for name in names}
"""Place of each row."""
LATE = ("ttl_valid", "kill_switch", "resource_lock")
"""Rows that may end an attempt at any time after its checks."""


def rows(recording: Recording) -> Iterator[Finding]:
    """The rows of a decision stand in the order of the table; its time, a kill or a preemption may end it late."""
    for record in recording.records(types=(DecisionRecord,)):
        event: Any = record.event
        if event.intent is None:
            continue
        named = [row.check_name for row in event.checks]
        if named and named[-1] in LATE and not event.checks[-1].passed:
            named.pop()
        places = [ORDER[name] for name in named if name in ORDER]
        strange = [name for name in named if name not in ORDER]
        if strange:
            yield Finding(record.seq, f"row {strange[0]} is none of the check table")
        elif places != sorted(places):
            at = next(place for place in range(1, len(places)) if places[place] < places[place - 1])
            yield Finding(record.seq, f"row {named[at]} stands after {named[at - 1]}")


def decided(recording: Recording) -> Iterator[Finding]:
    """Every intent whose time has passed has a decision, an open ask, or stands at the end of the log."""
    waiting: dict[int, tuple[int, str]] = {}
    now = 0
    for record in recording.records():
        event: Any = record.event
        now = record.time
        if isinstance(event, TradeIntent):
            ttl = (event.ttl_ms or DEFAULT_TTL_MS) * MILLI
            waiting[record.seq] = (record.time + ttl, event.source)
        elif isinstance(event, DecisionRecord | SimulateAsk) and event.intent is not None:
            waiting.pop(event.intent, None)
        elif isinstance(event, WordsAbandoned):
            waiting.clear()
    for seq, (until, source) in waiting.items():
        if now > until + GRACE_MS * MILLI:
            yield Finding(seq, f"this intent of {source} was never decided")


GRACE_MS = 60_000
"""Beyond its ttl an intent may have waited for a free place: until the next world record."""
