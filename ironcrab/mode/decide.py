"""Decide: the engine alone over the original's TradeIntent lines, in the original's replay semantics (section 2.6).

One intent at a time, in order; nothing is sent; the ttl is not judged; markers in the output mint say what a
simulation would have said. The engine is the real one: only its check table is the replay's, and its outlet reads
markers. Ids and times come from the input, never from a clock.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ironcrab import __version__
from ironcrab.domain.ask import Plan, SimulateAnswer, SimulateAsk
from ironcrab.domain.control import ClockTick
from ironcrab.domain.event import SCHEMA_VERSION, Event
from ironcrab.domain.fault import DiskFault, InputFault, ScenarioFault
from ironcrab.domain.market import DexPoolAccounts, PoolStateUpdate, WalletBalanceSnapshot
from ironcrab.domain.trade import CheckResult, DecisionRecord, TradeIntent
from ironcrab.domain.units import LAMPORTS_PER_SOL, NATIVE_SOL, TOKEN_PROGRAM
from ironcrab.execution.checks import CHECKS, Case, Check, capital_lock, ttl_valid
from ironcrab.execution.engine import ExecutionEngine
from ironcrab.execution.params import FIELDS, EngineParams
from ironcrab.log.contract import Header, export_line, import_line
from ironcrab.loop import Loop, Now, Record
from ironcrab.market.known import Known

MILLI = 1_000_000
"""Nanoseconds."""
CURVE_COMPLETE = "replay-simfail-6005"
SIMFAIL = "replay-simfail"
SIMSUCC = "replay-simsucc"
ANSWERS: dict[str, tuple[bool, str | None, int | None]] = {
    CURVE_COMPLETE: (False, "Simulation failed: Custom(6005)", None),
    SIMFAIL: (False, "Custom program error: 0x1", None),
    SIMSUCC: (True, None, 150_000),
}
"""What the simulation says by plan hash: success, error text, compute units."""
RESERVES = (1_000_000_000_000, 50_000_000_000)
"""Raw reserves of the fixture's pool, base and quote."""
LONGEST_MS = 2_592_000_000
"""Nothing is forgotten within one file."""


def marker(intent: TradeIntent) -> str | None:
    """The plan hash of a marked intent: what its output mint says the simulation would do; None: unmarked."""
    mint = intent.resources.output_mint
    if mint == "SIMFAIL6005" and intent.metadata.get("dex") == "pumpfun":
        return CURVE_COMPLETE
    if mint.startswith("SIMFAIL"):
        return SIMFAIL
    return SIMSUCC if mint.startswith("SIMSUCC") else None


def replay_ttl(_case: Case) -> CheckResult:
    """The input's clock is not ours: an intent never expires in a replay."""
    return CheckResult("ttl_valid", passed=True, details="replay mode")


def marked_plan(case: Case) -> None:
    """A marked intent gets its marker for a plan, and no row."""
    told, intent = marker(case.intent), case.intent
    if told is not None:
        resources = intent.resources
        case.plan = Plan(
            side=intent.side,
            dex=intent.metadata.get("dex", ""),
            pool_address=resources.pools[0] if resources.pools else "",
            input_mint=resources.input_mint,
            output_mint=resources.output_mint,
            amount_in=intent.required_capital.raw,
            min_out=0,
            max_slippage_bps=intent.max_slippage_bps,
            compute_units=case.fees.compute_units,
            priority_fee_micro_lamports=case.fees.priority_fee_micro_lamports,
            tip_lamports=case.fees.tip_lamports,
            plan_hash=told,
        )


def _unmarked(check: Check) -> Check:
    """The check, for intents without a marker only."""

    def judged(case: Case) -> CheckResult | None:
        return None if case.plan is not None and case.plan.plan_hash in ANSWERS else check(case)

    return judged


def _replay_checks() -> tuple[Check, ...]:
    """The engine's table with the replay's ttl row, and markers read right after the capital lock."""
    last = CHECKS.index(capital_lock) + 1
    before = (replay_ttl if check is ttl_valid else check for check in CHECKS[:last])
    return (*before, marked_plan, *(_unmarked(check) for check in CHECKS[last:]))


REPLAY_CHECKS = _replay_checks()


class Markers:
    """The outlet of a replay: answers each ask to simulate by its plan's marker."""

    asks: tuple[type[Event], ...] = (SimulateAsk,)

    def __init__(self) -> None:
        self.open: list[SimulateAnswer] = []

    def see(self, record: Record) -> None:
        """Take on an ask to simulate."""
        if isinstance(record.event, SimulateAsk):
            unknown = (False, "replay has no simulator for an unmarked intent", None)
            success, error, units = ANSWERS.get(record.event.plan.plan_hash, unknown)
            self.open.append(SimulateAnswer(record.seq, success, error, None, units))

    def due(self, _slot: int | None) -> Iterator[Event]:
        """Every answer, at once."""
        while self.open:
            yield self.open.pop(0)


class Replay:
    """The engine alone: one intent in, its decisions out."""

    def __init__(self, params: EngineParams) -> None:
        now = Now()
        known = Known.fresh(now)
        engine = ExecutionEngine(params, known, REPLAY_CHECKS)
        self.outlet = Markers()
        self.decided: list[DecisionRecord] = []
        self.loop = Loop((*known.reducers, engine), self._append, now)

    def _append(self, record: Record) -> None:
        self.outlet.see(record)
        if isinstance(record.event, DecisionRecord):
            self.decided.append(record.event)

    def decide(self, intent: TradeIntent, time: int) -> list[DecisionRecord]:
        """Every decision on this intent: one, or two when a complete curve is tried again on PumpSwap."""
        self.decided = []
        self.loop.take(intent, time)
        self.loop.take(ClockTick(), time)
        for answer in self.outlet.due(None):
            self.loop.take(answer, time)
        return self.decided


def decide(
    lines: Iterable[bytes], config: EngineParams | None = None, fixture: Mapping[str, Any] | None = None
) -> list[bytes]:
    """The contract's DecisionRecord lines for the original's TradeIntent lines.

    Args:
        lines: TradeIntents, one JSON object a line.
        config: engine limits; None: the replay's defaults.
        fixture: the pool and balance of a curve-complete case (`base_mint`, `pool_market`, `quote_mint`,
            `pool_accounts`, `initial_token_balance`); None: none.

    Raises:
        InputFault: a line is no TradeIntent (names its number), or the fixture lacks a field.
    """
    told = config or EngineParams()
    replay = Replay(
        msgspec.structs.replace(told, max_concurrent_intents=1, send_enabled=False, idempotency_window_ms=LONGEST_MS)
    )
    out: list[bytes] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        header, intent = _intent(line, number)
        time = header.ts_unix_ms * MILLI
        if not replay.loop.seq:
            for event in (*_wallet(), *(() if fixture is None else _seeds(fixture))):
                replay.loop.take(event, time)
        for decision in replay.decide(intent, time):
            ids = {"decision_id": f"dec-{header.run_id[:8]}-{len(out):06d}"}
            head = Header(SCHEMA_VERSION, header.ts_unix_ms, ExecutionEngine.name, __version__, header.run_id)
            line_out = export_line(head, decision, ids)
            assert line_out is not None, "a DecisionRecord has a line in the contract"
            out.append(line_out)
    return out


def _intent(line: bytes, number: int) -> tuple[Header, TradeIntent]:
    try:
        header, event = import_line(line, "TradeIntent")
    except InputFault as fault:
        raise InputFault(f"line {number}: {fault}") from fault
    assert isinstance(event, TradeIntent), "import_line gives what it was asked for"
    return header, event


def _wallet() -> tuple[Event, ...]:
    return (WalletBalanceSnapshot(NATIVE_SOL, LAMPORTS_PER_SOL, 9, TOKEN_PROGRAM),)


def _seeds(fixture: Mapping[str, Any]) -> tuple[Event, ...]:
    """The pool and the token balance that a curve-complete case starts from."""
    try:
        base, pool, quote = (str(fixture[key]) for key in ("base_mint", "pool_market", "quote_mint"))
        accounts = tuple(str(key) for key in fixture["pool_accounts"])
        balance = int(fixture.get("initial_token_balance", 0))
    except (KeyError, TypeError, ValueError) as error:
        raise InputFault(
            f"the fixture lacks or misspells {error}; see base_mint, pool_market, pool_accounts"
        ) from error
    return (
        DexPoolAccounts("pump_amm", pool, base, quote, accounts, slot=0),
        PoolStateUpdate(pool, "pump_amm", *RESERVES, base, quote, 0, slot=0),
        WalletBalanceSnapshot(base, balance, 6, TOKEN_PROGRAM, slot=0),
    )


def decide_file(intents: Path, config: Path | None, out: Path) -> dict[str, int]:
    """Decide a file of intents into a file of decisions; returns how many decisions of each outcome.

    A neighbouring `*_fixture.json` (for `*_intents.jsonl`) is loaded when an intent bears the curve-complete marker.

    Raises:
        InputFault: the intents or the fixture cannot be read.
        ScenarioFault: the config cannot be used.
        DiskFault: `out` cannot be written.
    """
    lines = _read(intents).splitlines()
    fixture_path = intents.with_name(intents.name.replace("_intents.jsonl", "_fixture.json"))
    fixture = None
    is_marked = any(b'"SIMFAIL6005"' in line for line in lines)
    if is_marked and fixture_path != intents and fixture_path.is_file():
        fixture = _json(fixture_path)
    try:
        decided = decide(lines, None if config is None else _config(config), fixture)
    except InputFault as fault:
        raise InputFault(f"{intents}, {fault}") from fault
    try:
        out.write_bytes(b"".join(decided))
    except OSError as error:
        raise DiskFault(f"cannot write {out}: {error.strerror}; free space or name another file") from error
    outcomes: dict[str, int] = {}
    for line in decided:
        outcome = msgspec.json.decode(line)["outcome"]
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputFault(f"cannot read {path}: {error.strerror}; is it the file you meant?") from error


def _json(path: Path) -> Mapping[str, Any]:
    try:
        told = msgspec.json.decode(_read(path))
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InputFault(f"{path} is no JSON: {error}") from error
    if not isinstance(told, dict):
        raise InputFault(f"{path} is no JSON object")
    return told


def _config(path: Path) -> EngineParams:
    """Engine limits from TOML: the keys of a scenario's [engine] table, in that table or at the top."""
    try:
        tree = tomllib.loads(_read(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise ScenarioFault(f"{path} is no TOML: {error}") from error
    table = tree.get("engine", tree)
    unknown = [key for key in table if key not in FIELDS]
    if unknown:
        raise ScenarioFault(f"{path}: unknown key {unknown[0]!r}; known: {', '.join(FIELDS)}")
    try:
        return msgspec.convert(table, EngineParams)
    except msgspec.ValidationError as error:
        raise ScenarioFault(f"{path}: {error}") from error
