"""Everything the engine remembers, in one Struct: a snapshot encodes it, a restore puts it back."""

from typing import Literal

from msgspec import Struct, field

from ironcrab.domain.ask import Plan
from ironcrab.domain.market import PriorityFeePercentiles
from ironcrab.domain.settings import Change
from ironcrab.domain.trade import CheckResult, Read, SendInfo, SimulateInfo, TradeIntent
from ironcrab.domain.units import Nanos, Slot
from ironcrab.execution.limits import KillSwitch, Losses
from ironcrab.execution.locks import Capital, Pools
from ironcrab.execution.params import EngineParams
from ironcrab.execution.positions import PositionAuthority

Phase = Literal["simulating", "sending", "signed", "sent", "unknown"]
"""Where an attempt is: asked to simulate, asked to send, signed and recorded, left the host, decided although its end
is not known. What waits is planned next; confirmed, failed and expired are ends, and an end forgets the attempt."""


class Waiting(Struct, frozen=True, gc=False):
    """An attempt of an intent that is not decided yet; `said_ms` is the time of the intent's record.

    `request` is the control request whose answer it waits for; "": none.
    """

    intent: int
    attempt: int
    said_ms: int
    event: TradeIntent
    request: str = ""


class Attempt(Struct):
    """An attempt that passed its checks: what was decided at record `decided_at`, and how far it came.

    `until_ms` ends the phase: no simulation answer, no confirmation, or no landing any more. `snapshots` is replaced
    when it grows, never changed in place: a decision that was said holds the same map. `sol` is the asset that its SOL
    comes from and goes to, as the plan was made: wrapped or native.
    """

    intent: int
    number: int
    said_ms: int
    event: TradeIntent
    decided_at: int
    plan: Plan
    rows: list[CheckResult]
    reads: list[Read]
    snapshots: dict[str, str]
    config_id: str
    until_ms: int
    phase: Phase = "simulating"
    simulate: SimulateInfo | None = None
    send: SendInfo | None = None
    asked_ms: int = 0
    signature: str | None = None
    slot_at_send: int | None = None
    sol: str = ""


class EngineState(Struct):
    """The state of one engine.

    Attributes:
        params: the settings in force.
        changes: settings that an operator changed.
        config_id: their id.
        config_seq: the record that set them; None: none since the log began.
        waiting: attempts to decide at the next world record, in the order they were said.
        attempts: attempts under way, by intent seq (one attempt of an intent at a time).
        asks: intent seq by the seq of an ask that is not answered to the end.
        processed: intent ids that reached simulation, until which time (ms) a repeat is refused.
        capital: balances and capital locks.
        pools: pool locks and fairness.
        authority: the positions.
        kill: the kill switch.
        losses: realised losses.
        wallet: the own wallet, empty: unknown.
        fees: the newest recorded priority fees.
        fed_ns: log time of the newest market record: the feed's position.
        fed_slot: the highest slot at that record.
        units: the most compute units that simulations lately used, by pools and side.
        recoveries: control requests that attempts wait for, until which time (ms).
        cooling: mints for which nothing is asked again until this time (ms).
        hashes: messages that may still be under way, until which time (ms): no other plan is one of them.
    """

    params: EngineParams
    config_id: str
    config_seq: int | None = None
    waiting: list[Waiting] = field(default_factory=list)
    attempts: dict[int, Attempt] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    processed: dict[str, int] = field(default_factory=dict)
    capital: Capital = field(default_factory=Capital)
    pools: Pools = field(default_factory=Pools)
    authority: PositionAuthority = field(default_factory=PositionAuthority)
    kill: KillSwitch = field(default_factory=KillSwitch)
    losses: Losses = field(default_factory=Losses)
    wallet: str = ""
    fees: PriorityFeePercentiles | None = None
    fed_ns: Nanos = 0
    fed_slot: Slot = 0
    units: dict[str, int] = field(default_factory=dict)
    hashes: dict[str, int] = field(default_factory=dict)
    recoveries: dict[str, int] = field(default_factory=dict)
    cooling: dict[str, int] = field(default_factory=dict)
    changes: dict[str, Change] = field(default_factory=dict)
