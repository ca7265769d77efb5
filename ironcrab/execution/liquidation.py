"""Liquidation: when the kill switch is thrown with `liquidate_positions`, sells every position by what pays best now.

Each mint is sold by one intent at a time, said as soon as a pool quotes it: on its PumpFun curve as long as that is not
complete, else where the quote is best. A sell that did not confirm is said once more on the route that is best then;
one that another attempt stood in the way of, which holds the tokens or the pool, is said again after a rest, as often
as it takes. The job ends when the switch is reset. A kill without `liquidate_positions` sells nothing.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from ironcrab.domain.control import ClockTick, ConfigUpdate, ControlRequest, RunStarted
from ironcrab.domain.event import Event
from ironcrab.domain.market import ExplicitAmount, SlotUpdate, Trade
from ironcrab.domain.settings import Change, in_force
from ironcrab.domain.trade import DecisionRecord, Execution, PositionUpdate, TradeIntent, TradeResources
from ironcrab.domain.units import BPS, SOL_MINT, Bps, Millis, floor_div
from ironcrab.execution.housekeeping import routes
from ironcrab.execution.keeping import PASSING_TIME, settings_now
from ironcrab.market.known import Known

TRIES = 2
"""Intents of one mint in one job."""
IN_THE_WAY = ("SIM_INSUFFICIENT_BALANCE", "LOCK_CAPITAL_CONFLICT", "LOCK_RESOURCE_CONFLICT", "FAIRNESS_BLOCKED")
"""Refusals that another attempt is the reason of: they are no try."""
REST_MS = 10_000
"""After the first such refusal of a mint; it doubles up to thirty-two-fold."""
MOST_DOUBLINGS = 5
MOST_MINTS = 4_096
"""Positions remembered at most; the one told longest ago goes first."""


class LiquidationParams(Struct, frozen=True, kw_only=True):
    """How positions are sold after a kill that asks for it."""

    enabled: Annotated[
        bool, Meta(description="sell all when the kill switch asks for it", extra={"unit": "flag", "restart": True})
    ] = False
    max_slippage_bps: Annotated[
        int, Meta(ge=1, le=10_000, description="where the request names none", extra={"unit": "bps"})
    ] = 9_900
    ttl_ms: Annotated[int, Meta(ge=1, le=3_600_000, description="of an intent", extra={"unit": "ms"})] = 60_000


class Job(Struct):
    """A liquidation under way.

    Attributes:
        request_id: of the kill.
        max_slippage_bps, ttl_ms: of its intents.
        tries: intents by mint, those that others stood in the way of left out.
        said: seq of the intent that is not decided, by mint; None: it is not recorded yet.
        rests: no intent before, in milliseconds by mint.
        blocked: refusals that others were the reason of, by mint.
    """

    request_id: str
    max_slippage_bps: Bps
    ttl_ms: Millis
    tries: dict[str, int] = field(default_factory=dict)
    said: dict[str, int | None] = field(default_factory=dict)
    rests: dict[str, int] = field(default_factory=dict)
    blocked: dict[str, int] = field(default_factory=dict)


class LiquidationState(Struct):
    """Everything it remembers: positions (raw units, decimals) by mint, the job (None: none), settings changed."""

    positions: dict[str, tuple[int, int]] = field(default_factory=dict)
    job: Job | None = None
    changes: dict[str, Change] = field(default_factory=dict)


class Liquidation:
    """See the module. Args: the scenario's settings, what is known, the own wallet (the engine knows it)."""

    Params = LiquidationParams
    name = "liquidation"
    wants: tuple[type[Event], ...] = (
        PositionUpdate,
        ControlRequest,
        TradeIntent,
        DecisionRecord,
        Trade,
        ClockTick,
        SlotUpdate,
        ConfigUpdate,
        RunStarted,
    )
    reads = ("mints", "pools")
    fields: Mapping[type[Event], tuple[str, ...]] = MappingProxyType({Trade: (), **PASSING_TIME})

    def __init__(self, params: LiquidationParams, known: Known, wallet: str) -> None:
        del wallet
        self.scenario = params
        self.known = known
        self.state = LiquidationState()
        self.restored()

    def restored(self) -> None:
        """Put the settings in force that the state knows; call it after the state was put back."""
        self.params = in_force(self.scenario, self.state.changes)

    @property
    def now_ms(self) -> int:
        """Time now in milliseconds."""
        return self.known.now.time // 1_000_000

    def step(self, seq: int, event: Any) -> Iterable[Event]:
        """Fold one event; while a job is under way, intents to sell follow."""
        kind, state = type(event), self.state
        said: tuple[Event, ...] = ()
        if kind is ConfigUpdate or kind is RunStarted:
            self.params, said = settings_now(self.name, "liquidation", self.scenario, state.changes, event)
        elif kind is PositionUpdate:
            self._position(event)
        elif kind is ControlRequest:
            self._control(event)
        job = state.job
        if job is None or kind is ConfigUpdate:
            return said
        if kind is TradeIntent:
            mint = event.resources.input_mint
            if event.source == self.name and job.said.get(mint, 0) is None:
                job.said[mint] = seq
            return ()
        if kind is DecisionRecord:
            for mint in [mint for mint, intent in job.said.items() if intent == event.intent]:
                self._decided(job, mint, event)
            return ()
        if kind is RunStarted:
            # a wish that an interrupted run did not write was never said
            for mint in [mint for mint, intent in job.said.items() if intent is None]:
                del job.said[mint]
        return (*said, *self._sells(job))

    def _decided(self, job: Job, mint: str, decision: DecisionRecord) -> None:
        del job.said[mint]
        if decision.outcome == "Rejected" and decision.primary_reject_reason in IN_THE_WAY:
            before = job.blocked.get(mint, 0)
            job.tries[mint] -= 1
            job.blocked[mint] = before + 1
            job.rests[mint] = self.now_ms + (REST_MS << min(before, MOST_DOUBLINGS))

    def _position(self, event: PositionUpdate) -> None:
        positions = self.state.positions
        positions.pop(event.mint, None)
        if event.balance_raw > 0:
            positions[event.mint] = (event.balance_raw, event.decimals)
            if len(positions) > MOST_MINTS:
                del positions[next(iter(positions))]

    def _control(self, event: ControlRequest) -> None:
        """A kill that liquidates begins a job, any other word on the switch ends it."""
        if event.target not in ("execution-engine", "all") or event.kind not in ("kill_switch", "reset_kill_switch"):
            return
        self.state.job = None
        if event.kind == "kill_switch" and event.active is not False and event.liquidate_positions:
            self.state.job = Job(
                event.request_id,
                event.max_slippage_bps or self.params.max_slippage_bps,
                event.ttl_ms or self.params.ttl_ms,
            )

    def _sells(self, job: Job) -> list[Event]:
        said: list[Event] = []
        for mint, (raw, decimals) in self.state.positions.items():
            if mint in job.said or job.tries.get(mint, 0) >= TRIES or self.now_ms < job.rests.get(mint, 0):
                continue
            intent = self._sell(job, mint, raw, decimals)
            if intent is not None:
                job.tries[mint] = job.tries.get(mint, 0) + 1
                job.said[mint] = None
                said.append(intent)
        return said

    def _sell(self, job: Job, mint: str, raw: int, decimals: int) -> TradeIntent | None:
        """The intent that sells a position; None: no pool quotes it now."""
        quotes = routes(mint, raw, self.known)
        if not quotes:
            return None
        rows = {quote.pool_address: self.known.pools.get(quote.pool_address) for quote in quotes}
        curve = next((quote for quote in quotes if _is_curve(rows[quote.pool_address])), None)
        best = quotes[0] if curve is None else curve
        row = rows[best.pool_address]
        if row is None:
            return None
        least = max(floor_div(best.amount_out * (BPS - job.max_slippage_bps), BPS), 1)
        creator = {"creator": row.creator} if row.creator else {}
        return TradeIntent(
            source=self.name,
            tier="Tier0",
            origin_type="ExecutionMevB",
            required_capital=ExplicitAmount(raw, decimals),
            resources=TradeResources(
                mint, SOL_MINT, (best.pool_address,), row.accounts, self.known.token_program(mint)
            ),
            expected_roi_bps=0,
            max_slippage_bps=job.max_slippage_bps,
            side="Sell",
            regime="NotApplicable",
            ttl_ms=job.ttl_ms,
            trigger_event_id=job.request_id,
            hint_urgency=2,
            metadata={"dex": row.dex, "purpose": "liquidation", "sell_all": "true", **creator},
            execution=Execution(ExplicitAmount(least, 9)),
        )


def _is_curve(row: Any) -> bool:
    return row is not None and row.dex == "pumpfun" and not row.complete
