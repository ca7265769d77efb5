"""WsolManager: keeps wrapped SOL within a band, for buys are paid from it, and native SOL above what fees need.

    WSOL below `min_wsol_lamports`    wrap up to the target, as far as native SOL stays at `min_native_lamports`
    WSOL above `max_wsol_lamports`    unwrap down to the target
    native SOL below its least        unwrap what WSOL has above the target

It judges by wallet snapshots alone. A snapshot older than the last action is stale and would make it act twice, so
after a confirmed action it waits until snapshots of that slot or a later one tell both balances, or a timeout passes.
One action at a time, a rest after each, no wrap while the kill switch is on. See `housekeeping` for an action's road.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from ironcrab.dex.address import TOKEN, WSOL, associated
from ironcrab.domain.control import ClockTick, ConfigUpdate, ControlRequest, RunStarted
from ironcrab.domain.event import Event
from ironcrab.domain.market import ExplicitAmount, SlotUpdate, WalletBalanceSnapshot, WalletSnapshotComplete
from ironcrab.domain.settings import Change, in_force
from ironcrab.domain.trade import DecisionRecord, TradeIntent, TradeResources
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT, Lamports, Slot
from ironcrab.execution.housekeeping import action
from ironcrab.execution.keeping import PASSING_TIME, UnderWay, settings_now
from ironcrab.execution.limits import KillSwitch
from ironcrab.market.known import Known
from ironcrab.market.rent import RENT_SYSVAR, least_lamports

ACCOUNT_BYTES = 165
"""Bytes of a wrapped account (SPL Token)."""
BLOCKHASH_SLOTS = 150
"""A transaction whose end is not known lands within so many slots or never."""
_MOST = 10**18


def _amount(what: str) -> Meta:
    return Meta(ge=0, le=_MOST, description=what, extra={"unit": "lamports"})


class WsolParams(Struct, frozen=True, kw_only=True):
    """The band of wrapped SOL.

    Raises:
        ValueError: the target does not lie between the least and the most.
    """

    enabled: Annotated[bool, Meta(description="keep the band", extra={"unit": "flag", "restart": True})] = False
    dry_run: Annotated[bool, Meta(description="simulate actions only", extra={"unit": "flag"})] = True
    min_wsol_lamports: Annotated[int, _amount("wrap below it")] = 500_000_000
    target_wsol_lamports: Annotated[int, _amount("wrap and unwrap to it")] = 1_000_000_000
    max_wsol_lamports: Annotated[int, _amount("unwrap above it")] = 2_000_000_000
    min_native_lamports: Annotated[int, _amount("native SOL that stays for fees and rent")] = 100_000_000
    min_action_lamports: Annotated[int, _amount("smaller wraps and unwraps are left")] = 10_000_000
    cooldown_ms: Annotated[int, Meta(ge=0, le=86_400_000, description="rest after an action", extra={"unit": "ms"})] = (
        30_000
    )
    pending_timeout_ms: Annotated[
        int, Meta(ge=1_000, le=86_400_000, description="longest wait for fresh snapshots", extra={"unit": "ms"})
    ] = 120_000

    def __post_init__(self) -> None:
        if not self.min_wsol_lamports <= self.target_wsol_lamports <= self.max_wsol_lamports:
            raise ValueError("target_wsol_lamports must lie between min_wsol_lamports and max_wsol_lamports")


class Told(Struct):
    """A balance as the newest snapshot told it: lamports (None: never told), and its slot."""

    lamports: Lamports | None = None
    slot: Slot = -1


class Expected(Struct, frozen=True):
    """An action that snapshots must show: those of `slot` or later do; given up at `until_ms`."""

    slot: Slot
    until_ms: int


class WsolState(Struct):
    """Everything the manager remembers.

    Attributes:
        wallet: the own wallet; empty: unknown.
        native: native SOL.
        wsol: wrapped SOL.
        kill: the kill switch.
        action: the one under way.
        expected: the action that snapshots do not show yet.
        rests_until_ms: no action before.
        changes: settings that an operator changed.
    """

    wallet: str = ""
    native: Told = field(default_factory=Told)
    wsol: Told = field(default_factory=Told)
    kill: KillSwitch = field(default_factory=KillSwitch)
    action: UnderWay = field(default_factory=UnderWay)
    expected: Expected | None = None
    rests_until_ms: int = 0
    changes: dict[str, Change] = field(default_factory=dict)


class WsolManager:
    """See the module. Args: the scenario's settings, what is known, the own wallet (empty: told by a snapshot)."""

    Params = WsolParams
    name = "wsol-manager"
    wants: tuple[type[Event], ...] = (
        WalletBalanceSnapshot,
        WalletSnapshotComplete,
        TradeIntent,
        DecisionRecord,
        ClockTick,
        SlotUpdate,
        ControlRequest,
        ConfigUpdate,
        RunStarted,
    )
    reads = ("pools",)
    fields: Mapping[type[Event], tuple[str, ...]] = PASSING_TIME

    def __init__(self, params: WsolParams, known: Known, wallet: str) -> None:
        self.scenario = params
        self.known = known
        self.state = WsolState(wallet)
        self.restored()

    def restored(self) -> None:
        """Put the settings in force that the state knows; call it after the state was put back."""
        self.params = in_force(self.scenario, self.state.changes)

    @property
    def now_ms(self) -> int:
        """Time now in milliseconds."""
        return self.known.now.time // 1_000_000

    def step(self, seq: int, event: Any) -> Iterable[Event]:
        """Fold one event; what may follow is one intent, or the answer to a change of settings."""
        state, kind = self.state, type(event)
        if kind is TradeIntent or kind is DecisionRecord:
            if state.action.follow(self.name, seq, event):
                self._decided(event)
            return ()
        said: tuple[Event, ...] = ()
        if kind is ConfigUpdate or kind is RunStarted:
            self.params, said = settings_now(self.name, "wsol_manager", self.scenario, state.changes, event)
        if kind is ConfigUpdate:
            return said
        if kind is RunStarted:
            state.action.reopen()
        elif kind is WalletSnapshotComplete:
            state.wallet = event.wallet
        elif kind is ControlRequest:
            self._control(seq, event)
        elif kind is WalletBalanceSnapshot:
            self._told(event)
        intent = self._wish()
        return said if intent is None else (*said, intent)

    def _told(self, event: WalletBalanceSnapshot) -> None:
        state = self.state
        row = {NATIVE_SOL: state.native, SOL_MINT: state.wsol}.get(event.mint)
        slot = self.known.now.slot if event.slot is None else event.slot
        if row is None or slot < row.slot:
            return
        row.lamports, row.slot = event.balance_raw, slot
        if state.expected is not None and min(state.native.slot, state.wsol.slot) >= state.expected.slot:
            state.expected = None

    def _control(self, seq: int, event: ControlRequest) -> None:
        if event.target in ("execution-engine", "all") and event.kind in ("kill_switch", "reset_kill_switch"):
            self.state.kill.turn(seq, event)
            if not self.state.kill.active:
                self.state.rests_until_ms = 0

    def _decided(self, decision: DecisionRecord) -> None:
        """The action ended: wait for snapshots that show it where it landed or may still land."""
        state = self.state
        slot = self.known.now.slot
        state.rests_until_ms = self.now_ms + self.params.cooldown_ms
        until = self.now_ms + self.params.pending_timeout_ms
        if decision.outcome == "Sent":
            state.expected = Expected(slot + BLOCKHASH_SLOTS, until)
        elif decision.outcome == "Confirmed":
            told = None if decision.confirm is None else decision.confirm.slot
            state.expected = Expected(slot if told is None else told, until)

    def _wish(self) -> TradeIntent | None:
        """The action that is called for now, if any."""
        state, params = self.state, self.params
        if state.expected is not None and self.now_ms > state.expected.until_ms:
            state.expected = None
        if state.action.said or state.expected is not None or self.now_ms < state.rests_until_ms or not state.wallet:
            return None
        native, wsol = state.native.lamports, state.wsol.lamports
        if native is None or wsol is None:
            return None
        if wsol < params.min_wsol_lamports:
            return self._wrap(native, wsol)
        excess = wsol - params.target_wsol_lamports
        if wsol > params.max_wsol_lamports:
            return self._unwrap(native, wsol, excess, "wsol_above_max")
        return self._unwrap(native, wsol, min(excess, params.min_native_lamports - native), "native_below_min")

    def _wrap(self, native: int, wsol: int) -> TradeIntent | None:
        params, rent = self.params, self._rent()
        if rent is None or self.state.kill.active:
            return None
        spare = native - params.min_native_lamports - rent
        amount = min(params.target_wsol_lamports - wsol, spare)
        if amount < max(params.min_action_lamports, 1):
            return None
        more = {"reason": "wsol_below_min", "rent_lamports": str(rent)}
        return self._say("wrap", amount, (NATIVE_SOL, SOL_MINT), self._numbers(native, wsol) | more)

    def _unwrap(self, native: int, wsol: int, amount: int, reason: str) -> TradeIntent | None:
        if amount < max(self.params.min_action_lamports, 1):
            return None
        whole = {"whole": "true"} if amount == wsol else {}
        metadata = self._numbers(native, wsol) | {"reason": reason, **whole}
        return self._say("unwrap", amount, (SOL_MINT, NATIVE_SOL), metadata)

    def _say(self, purpose: str, amount: int, pair: tuple[str, str], metadata: dict[str, str]) -> TradeIntent:
        self.state.action.said = True
        return action(self.name, purpose, ExplicitAmount(amount, 9), TradeResources(*pair), metadata)

    def _numbers(self, native: int, wsol: int) -> dict[str, str]:
        dry = "true" if self.params.dry_run else "false"
        return {"sol_before_lamports": str(native), "wsol_before_lamports": str(wsol), "dry_run": dry}

    def _rent(self) -> int | None:
        """What the wrapped account costs: nothing where it is known to exist; None: the rent was not told."""
        accounts = self.known.pools.accounts
        held = accounts.get(associated(self.state.wallet, WSOL, TOKEN))
        if self.state.wsol.lamports or (held is not None and held.owner == TOKEN):
            return 0
        return least_lamports(accounts.get(RENT_SYSVAR), ACCOUNT_BYTES)
