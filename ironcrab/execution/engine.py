"""ExecutionEngine: the reducer between an intent and its outcome.

Intents said in a turn are queued and decided at the next world record, ranked (`arbitrate`). An attempt passes the
check table (`checks`), asks for a simulation, then for sending, and ends in exactly one outcome with exactly one
DecisionRecord. All that is remembered stands in `state`; time is record time, told by `known.now`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from ironcrab.dex.address import is_key
from ironcrab.dex.pump_send import standing
from ironcrab.domain.ask import ConfirmAnswer, SendAnswer, SendAsk, SignedAnswer, SimulateAnswer, SimulateAsk
from ironcrab.domain.control import (
    ClockTick,
    ConfigChanged,
    ConfigUpdate,
    ControlRequest,
    ControlResponse,
    FeedConnected,
    FeedDisconnected,
    ForkOrphaned,
    GapClosed,
    GapOpened,
    RunStarted,
    Setting,
)
from ironcrab.domain.event import Event
from ironcrab.domain.market import MARKET, PriorityFeePercentiles, WalletBalanceSnapshot, WalletSnapshotComplete
from ironcrab.domain.settings import Changes, in_force, of_table, reopened, update
from ironcrab.domain.trade import CheckResult, Outcome, Pnl, TradeIntent
from ironcrab.execution import progress, recovery
from ironcrab.execution.accounts import settle_confirmed, settle_failed
from ironcrab.execution.arbitrate import Soonest, expired, expires_ms, ranked, soonest_of
from ironcrab.execution.checks import CHECKS, Case, Check, judge, ttl_valid
from ironcrab.execution.learned import learn_units, series_of
from ironcrab.execution.locks import ASSETS_KEPT_SLOTS
from ironcrab.execution.params import EngineParams, config_snapshot_id
from ironcrab.execution.plan import token_mint
from ironcrab.execution.positions import Fill
from ironcrab.execution.state import Attempt, EngineState, Waiting
from ironcrab.market.known import Known
from ironcrab.market.quotes import NoQuote

Said = list[Event]
MOST_HASHES = 4_096
"""Messages under way that are remembered at most."""
FOLDED = (WalletBalanceSnapshot, WalletSnapshotComplete, PriorityFeePercentiles)
"""Market events whose numbers the engine keeps; of the others it reads no field, they only let time pass."""
UNFOLDED: Mapping[type[Event], tuple[str, ...]] = {kind: () for kind in MARKET if kind not in FOLDED}


def waiting_of(attempt: Attempt) -> Waiting:
    """The attempt as it waited."""
    return Waiting(attempt.intent, attempt.number, attempt.said_ms, attempt.event)


class ExecutionEngine:
    """Decides on every intent; see the module.

    Args:
        params: the scenario's settings; a run that starts puts them in force, an operator may change them.
        known: what is known of the market, and the clock.
        checks: the check table.
    """

    Params = EngineParams
    name = "execution-engine"
    wants: tuple[type[Event], ...] = (
        *MARKET,
        TradeIntent,
        SimulateAsk,
        SendAsk,
        SimulateAnswer,
        SignedAnswer,
        SendAnswer,
        ConfirmAnswer,
        RunStarted,
        ConfigUpdate,
        ClockTick,
        FeedConnected,
        FeedDisconnected,
        GapOpened,
        GapClosed,
        ForkOrphaned,
        ControlRequest,
        ControlResponse,
    )
    reads = ("mints", "pools", "slippage")
    fields = UNFOLDED

    def __init__(self, params: EngineParams, known: Known, checks: tuple[Check, ...] = CHECKS) -> None:
        self.params = params
        self.known = known
        self.checks = checks
        self.state = EngineState(params=params, config_id=config_snapshot_id(params), wallet=params.wallet)
        self.soonest: Soonest | None = None
        self.folds: dict[type[Event], Callable[[int, Any], Said]] = {
            SimulateAnswer: self._simulated,
            SignedAnswer: self._signed,
            SendAnswer: self._sent,
            ConfirmAnswer: self._confirmed,
            RunStarted: self._run_started,
            ConfigUpdate: self._config_update,
            ControlRequest: self._control,
            WalletBalanceSnapshot: self._balance,
            WalletSnapshotComplete: self._wallet_complete,
            PriorityFeePercentiles: self._fees,
        }

    @property
    def now_ms(self) -> int:
        """Time now in milliseconds."""
        return self.known.now.time // 1_000_000

    @property
    def undecided(self) -> bool:
        """Whether a world record now would decide a waiting intent; a shell then supplies a tick."""
        under_way = self._under_way()
        if not self.state.waiting or self._all_wait(under_way):
            return False
        return any(self._may_go(waiting, under_way) for waiting in self.state.waiting)

    def step(self, seq: int, event: Any) -> Iterable[Event]:
        """Fold one event. Intents are queued and asks noted; everything else is the world's and may decide."""
        state, kind = self.state, type(event)
        if kind in UNFOLDED:
            now = self.known.now
            state.fed_ns, state.fed_slot = now.time, now.slot
            return self._world(seq) if state.waiting or state.attempts else ()
        if kind is TradeIntent:
            # an id stands only on an intent that was imported, and such a record is the world's
            said = [] if event.intent_id is None else self._world(seq)
            self._await(Waiting(seq, 0, self.now_ms, event))
            return said
        if kind is SimulateAsk or kind is SendAsk:
            self._asked(seq, event)
            return ()
        if kind is ControlResponse:
            return self._recovered(event) + self._world(seq) if event.request_id in state.recoveries else ()
        if kind is ControlRequest and event.request_id.startswith(recovery.PREFIX):
            return ()
        fold = self.folds.get(kind)
        if fold is None:
            return self._world(seq)
        return [*fold(seq, event), *self._world(seq)]

    def _world(self, seq: int) -> Said:
        """What time and the queue say at a world record, after its own meaning was taken."""
        said = self._expire(seq) if self.state.attempts else []
        if self.state.waiting:
            said += self._decide(seq)
        return said

    # deciding

    def _decide(self, seq: int) -> Said:
        """Judge the waiting attempts in order; those without a free place wait on, unless they expired."""
        state, said = self.state, Said()
        under_way = self._under_way()
        if self._all_wait(under_way):
            return said
        for waiting in ranked(state.waiting, state.params, self.now_ms, self.known.now.slot):
            if self._may_go(waiting, under_way):
                state.waiting.remove(waiting)
                self.soonest = None
                state.recoveries.pop(waiting.request, None)
                said += self._judge(seq, Case(waiting, state, self.known))
                under_way = self._under_way()
        return said

    def _under_way(self) -> int:
        """How many places are taken."""
        return sum(1 for attempt in self.state.attempts.values() if attempt.phase != "unknown")

    def _may_go(self, waiting: Waiting, under_way: int) -> bool:
        """Whether there is a place for it: Tier0 never waits, and what expired needs no place."""
        state = self.state
        if recovery.waits(waiting, state, self.now_ms):
            return expired(waiting, state.params, self.now_ms, self.known.now.slot)
        if under_way < state.params.max_concurrent_intents or waiting.event.tier == "Tier0":
            return True
        return expired(waiting, state.params, self.now_ms, self.known.now.slot)

    def _await(self, waiting: Waiting) -> None:
        """Queue an attempt for the next world record."""
        self.state.waiting.append(waiting)
        self.soonest = None

    def _all_wait(self, under_way: int) -> bool:
        """Whether the house is full and none of the waiting attempts may go, by what they have in common.

        A market record with a full house comes by the thousand, and nothing about those who wait has changed.
        """
        state, soonest = self.state, self.soonest
        if under_way < state.params.max_concurrent_intents:
            return False
        if soonest is None or soonest.waiting is not state.waiting or soonest.params is not state.params:
            soonest = self.soonest = soonest_of(state, self.now_ms)
        slot = self.known.now.slot
        if self.now_ms > soonest.until_ms or (soonest.until_slot is not None and slot > soonest.until_slot):
            self.soonest = None
            return False
        return not soonest.passes

    def _judge(self, seq: int, case: Case) -> Said:
        """One attempt: the check table, then a refusal or the ask to simulate."""
        state, intent = self.state, case.waiting.intent
        rows = judge(self.checks, case)
        said: Said = [self._preempt(holder.intent, case.label) for holder in case.preempted]
        if not rows[-1].passed or case.plan is None:
            self._release(intent)
            said.append(progress.refused(case, rows, seq))
            return said + self._recover(case.waiting, rows[-1])
        attempt = Attempt(
            intent=intent,
            number=case.waiting.attempt,
            said_ms=case.waiting.said_ms,
            event=case.intent,
            decided_at=seq,
            plan=case.plan,
            rows=rows,
            reads=list(progress.reads_of(case)),
            snapshots=progress.snapshots_of(case),
            config_id=state.config_id,
            sol=state.capital.sol(),
            until_ms=case.now_ms + state.params.simulation_timeout_ms + state.params.capital_lock_ttl_buffer_ms,
        )
        state.attempts[intent] = attempt
        self._mark_processed(case)
        self._note_hash(case)
        return [*said, SimulateAsk(intent, attempt.number, attempt.plan)]

    def _mark_processed(self, case: Case) -> None:
        """From here on a repeat of the id is refused, until nobody could want it any more."""
        processed = self.state.processed
        for old in [key for key, until in processed.items() if until < case.now_ms]:
            del processed[old]
        if case.intent.intent_id is not None:
            until = expires_ms(case.waiting, case.params) + case.params.idempotency_window_ms
            processed[case.intent.intent_id] = until

    def _note_hash(self, case: Case) -> None:
        """No other plan is the same message while this one may still land."""
        hashes, params = self.state.hashes, case.params
        for old in [key for key, until in hashes.items() if until < case.now_ms]:
            del hashes[old]
        if case.plan is not None and case.plan.calls:
            waits = params.simulation_timeout_ms + params.confirmation_timeout_ms + params.unknown_hold_ms
            hashes[case.plan.plan_hash] = case.now_ms + waits
            if len(hashes) > MOST_HASHES:
                del hashes[next(iter(hashes))]

    def _preempt(self, intent: int, winner: str) -> Event:
        """End an attempt that lost its pools to a smaller tier; only attempts that were not sent hold pools.

        The last preemption that its source suffers, before it is protected for a while, is told by its own code.
        """
        attempt, state = self.state.attempts[intent], self.state
        code, text = "LOCK_RESOURCE_CONFLICT", f"preempted by {winner}"
        if state.pools.protects(attempt.event.source, self.now_ms, state.params):
            most = state.params.fairness_max_preemptions_per_source
            code, text = "FAIRNESS_STARVED", f"{text}, {most} times in the window: {attempt.event.source} is protected"
        row = CheckResult("resource_lock", passed=False, reason_code=code, details=text)
        return self._end(attempt, row, "Rejected", None)

    # asks and answers

    def _asked(self, seq: int, ask: SimulateAsk | SendAsk) -> None:
        """Learn the seq of an own ask, by which its answers name it."""
        attempt = self.state.attempts.get(ask.intent)
        phase = "simulating" if isinstance(ask, SimulateAsk) else "sending"
        if attempt is not None and attempt.number == ask.attempt and attempt.phase == phase:
            self.state.asks[seq] = ask.intent

    def _attempt_of(self, ask: int, phases: tuple[str, ...]) -> Attempt | None:
        """The attempt that waits for an answer to this ask; None: nobody waits, the answer came too late."""
        intent = self.state.asks.get(ask)
        attempt = None if intent is None else self.state.attempts.get(intent)
        return attempt if attempt is not None and attempt.phase in phases else None

    def _simulated(self, _seq: int, answer: SimulateAnswer) -> Said:
        attempt = self._attempt_of(answer.ask, ("simulating",))
        if attempt is None:
            return []
        del self.state.asks[answer.ask]
        attempt.simulate = progress.simulate_info(answer)
        learn_units(self.state, series_of(attempt.event), attempt.plan, answer)
        row = progress.simulation_row(answer)
        if not row.passed:
            return self._simulation_failed(attempt, row)
        attempt.rows.append(row)
        stop = progress.before_send(attempt, answer, self.state)
        if stop is not None:
            return [self._end(attempt, stop, "Rejected", None)]
        late = self._outlived(attempt)
        if late is not None:
            return [self._end(attempt, late, "Expired", None)]
        attempt.phase, attempt.asked_ms = "sending", self.now_ms
        attempt.until_ms = self.now_ms + self.state.params.confirmation_timeout_ms
        self.state.capital.sent(attempt.intent)
        self.state.pools.release(attempt.intent)
        return [SendAsk(attempt.intent, attempt.number, attempt.plan)]

    def _outlived(self, attempt: Attempt) -> CheckResult | None:
        """The failed row of an intent that expired while it was simulated: what is no longer wanted is not sent."""
        row = ttl_valid(Case(waiting_of(attempt), self.state, self.known))
        return None if row.passed else row

    def _simulation_failed(self, attempt: Attempt, row: CheckResult) -> Said:
        said = [
            self._end(attempt, row, "SimFailed", None),
            progress.failed_result(attempt, "execution_failed", row.details),
        ]
        if not self._retry(attempt, row.details):
            said += self._recover(waiting_of(attempt), row)
        return said

    def _recover(self, waiting: Waiting, row: CheckResult) -> Said:
        """Ask for what an attempt lacked; where its sell must go, a second attempt waits for the answer."""
        if not recovery.lacks(row.reason_code, row.details, waiting.event):
            return []
        found = recovery.request(waiting, self.state, self.now_ms)
        if found is None:
            return []
        told, again = found
        if again is not None:
            self._await(again)
        return [told]

    def _recovered(self, answer: ControlResponse) -> Said:
        """An answer to an own request; a busy one is not the last."""
        if answer.status != "busy":
            self.state.recoveries.pop(answer.request_id, None)
            self.soonest = None
        return []

    def _retry(self, attempt: Attempt, error: str | None) -> bool:
        """A sell on a curve that turned out complete is tried once more, on the PumpSwap pool that pays most for it.

        Anybody may open a pool of the mint, and a plan's least output follows its own pool's quote.
        """
        event = attempt.event
        if attempt.number or event.side != "Sell" or attempt.plan.dex != "pumpfun":
            return False
        if not progress.curve_is_complete(error):
            return False
        pools = self.known.pools.of_mint(event.resources.input_mint)
        usable = [row for row in pools if row.dex == "pump_amm" and row.stale is None]
        if not usable:
            return False
        pool = max(usable, key=lambda row: self._pays(row.pool_address, event))
        resources = msgspec.structs.replace(event.resources, pools=(pool.pool_address,), accounts=pool.accounts)
        metadata = {**event.metadata, "dex": "pump_amm"}
        again = msgspec.structs.replace(event, resources=resources, metadata=metadata)
        self._await(Waiting(attempt.intent, attempt.number + 1, attempt.said_ms, again))
        return True

    def _pays(self, pool: str, event: TradeIntent) -> tuple[bool, int]:
        """What a pool would pay for an intent's capital, 0 without a quote; a last trade, of any size, counts less."""
        quote = self.known.quotes.quote(pool, event.resources.input_mint, event.required_capital.raw)
        return (False, 0) if isinstance(quote, NoQuote) else (quote.kind != "last_trade", quote.amount_out)

    def _signed(self, _seq: int, answer: SignedAnswer) -> Said:
        attempt = self._attempt_of(answer.ask, ("sending", "signed"))
        if attempt is not None:
            attempt.phase, attempt.signature = "signed", answer.signature
        return []

    def _sent(self, _seq: int, answer: SendAnswer) -> Said:
        attempt = self._attempt_of(answer.ask, ("sending", "signed"))
        if attempt is None:
            return []
        attempt.send = progress.send_info(attempt, answer)
        row = progress.send_row(attempt, answer)
        if not row.passed:
            return [
                self._end(attempt, row, "Rejected", None),
                progress.failed_result(attempt, "send_failed", answer.error),
            ]
        attempt.rows.append(row)
        attempt.phase, attempt.signature = "sent", answer.signature or attempt.signature
        attempt.until_ms = self.now_ms + self.state.params.confirmation_timeout_ms
        if answer.slot is not None:
            attempt.slot_at_send = answer.slot
            attempt.snapshots = {**attempt.snapshots, "slot_at_send": str(answer.slot)}
        return [progress.sent_result(attempt, answer)]

    def _confirmed(self, seq: int, answer: ConfirmAnswer) -> Said:
        attempt = self._attempt_of(answer.ask, ("sending", "signed", "sent", "unknown"))
        if attempt is None:
            return []
        if answer.status == "expired":
            return self._expired(attempt, answer)
        if answer.status not in ("confirmed", "failed"):
            return [] if attempt.phase == "unknown" else self._give_up(attempt, answer)
        slot = self.known.now.slot if answer.slot is None else answer.slot
        if answer.slot is not None and attempt.slot_at_send is not None:
            delta = str(answer.slot - attempt.slot_at_send)
            attempt.snapshots = {**attempt.snapshots, "confirmed_slot_delta": delta}
        at = Fill(token_mint(attempt.event), 0, 0, slot, self.now_ms)
        pnl: Pnl | None = None
        updates = Said()
        if answer.status == "confirmed":
            pnl, updates = settle_confirmed(attempt, answer, self.state, seq, at)
        else:
            settle_failed(attempt, answer, self.state, seq, at)
        result = progress.confirm_result(attempt, answer, pnl, self.now_ms)
        if attempt.phase == "unknown":
            # decided as Sent when the wait ended; only the accounts follow
            self._forget(attempt)
            return [result, *updates]
        outcome: Outcome = "Confirmed" if answer.status == "confirmed" else "FailedConfirmed"
        return [self._end(attempt, progress.confirm_row(attempt, answer), outcome, answer), result, *updates]

    def _give_up(self, attempt: Attempt, answer: ConfirmAnswer) -> Said:
        """Decide without knowing the end: it may still land, so the capital stays locked for a while."""
        attempt.rows += (progress.confirm_row(attempt, answer), *progress.rebroadcast_rows(answer))
        attempt.phase = "unknown"
        attempt.until_ms = self.now_ms + self.state.params.unknown_hold_ms
        return [
            progress.decision(attempt, "Sent", self.state, answer),
            progress.confirm_result(attempt, answer, None, self.now_ms),
        ]

    def _expired(self, attempt: Attempt, answer: ConfirmAnswer) -> Said:
        """It is certain that it never lands: the capital is free at once."""
        result = progress.confirm_result(attempt, answer, None, self.now_ms)
        if attempt.phase == "unknown":
            self._forget(attempt)
            return [result]
        return [self._end(attempt, progress.confirm_row(attempt, answer), "Sent", answer), result]

    # ends

    def _end(self, attempt: Attempt, row: CheckResult, outcome: Outcome, answer: ConfirmAnswer | None) -> Event:
        """The attempt is over: free what it holds and decide."""
        attempt.rows += (row, *(() if answer is None else progress.rebroadcast_rows(answer)))
        self._forget(attempt)
        return progress.decision(attempt, outcome, self.state, answer)

    def _forget(self, attempt: Attempt) -> None:
        state = self.state
        self._release(attempt.intent)
        del state.attempts[attempt.intent]
        for ask in [ask for ask, intent in state.asks.items() if intent == attempt.intent]:
            del state.asks[ask]

        if attempt.phase == "simulating":
            # it never was signed: another plan may be this message
            state.hashes.pop(attempt.plan.plan_hash, None)
        self._prune()

    def _prune(self) -> None:
        """Keep the maps of balances and positions bounded by what happened lately."""
        state, slot = self.state, self.known.now.slot
        state.capital.prune(slot)
        state.authority.prune(self.now_ms, slot, state.params.position_grace_ms, ASSETS_KEPT_SLOTS)

    def _release(self, intent: int) -> None:
        self.state.capital.release(intent)
        self.state.pools.release(intent)

    def _expire(self, _seq: int) -> Said:
        """End phases whose time has passed: lost answers, and locks of what will not land any more."""
        said = Said()
        for attempt in list(self.state.attempts.values()):
            if self.now_ms <= attempt.until_ms:
                continue
            if attempt.phase == "simulating":
                late = progress.SIM_TIMEOUT_ERROR
                row = CheckResult("simulation", passed=False, reason_code="SIM_TIMEOUT", details=late)
                said += self._simulation_failed(attempt, row)
            elif attempt.phase == "unknown":
                self._forget(attempt)
            else:
                said += self._give_up(attempt, ConfirmAnswer(ask=0, status="timeout"))
        return said

    # control, wallet, fees

    def _run_started(self, seq: int, event: RunStarted) -> Said:
        """A run opens: what an operator changed and its scenario leaves in force goes on, and that is said."""
        told = of_table(event, "engine", type(self.params))
        kept = reopened(self.name, self.params, self.state.changes, told, config_snapshot_id)
        self._put_in_force(seq)
        self.state.wallet = self.params.wallet or self.state.wallet
        self._derive()
        return [] if kept is None else [kept]

    def _derive(self) -> None:
        """Addresses of the wallet are derived when it is known: no decision waits for them."""
        if is_key(self.state.wallet):
            standing(self.state.wallet)

    def _put_in_force(self, seq: int) -> None:
        """The scenario's parameters with an operator's changes."""
        state = self.state
        params = in_force(self.params, state.changes)
        state.params, state.config_id, state.config_seq = params, config_snapshot_id(params), seq

    def _config_update(self, seq: int, event: ConfigUpdate) -> Said:
        state = self.state
        before = dict(state.changes)
        answer = update(self.name, self.params, state.changes, event, config_snapshot_id)
        if answer is None:
            return []
        wishes_to_send = any(one.key == "send_enabled" and one.value == "true" for one in answer.settings)
        if wishes_to_send and not (state.params.send_enabled or state.wallet):
            refused = Setting("send_enabled", event.config["send_enabled"], "own wallet unknown: nobody could sign")
            answer = self._taken_back(answer, refused, before)
        if answer.settings:
            self._put_in_force(seq)
        return [answer]

    def _taken_back(self, answer: ConfigChanged, refused: Setting, before: Changes) -> ConfigChanged:
        """Take one applied wish back; the answer without it."""
        changes = self.state.changes
        changes.pop(refused.key, None)
        if refused.key in before:
            changes[refused.key] = before[refused.key]
        applied = tuple(setting for setting in answer.settings if setting.key != refused.key)
        config_id = config_snapshot_id(in_force(self.params, changes))
        return ConfigChanged(self.name, applied, (*answer.rejected, refused), config_id)

    def _control(self, seq: int, event: ControlRequest) -> Said:
        if event.target not in (self.name, "all") or event.kind not in ("kill_switch", "reset_kill_switch"):
            return []
        self.state.kill.turn(seq, event)
        return [ControlResponse(event.request_id, self.name, "ok")]

    def _balance(self, seq: int, event: WalletBalanceSnapshot) -> Said:
        slot = self.known.now.slot if event.slot is None else event.slot
        state = self.state
        state.capital.reported(event.mint, event.balance_raw, slot, seq)
        update = state.authority.reported(event.mint, event.balance_raw, event.decimals, slot)
        self._prune()
        return [] if update is None else [update]

    def _wallet_complete(self, seq: int, event: WalletSnapshotComplete) -> Said:
        state = self.state
        state.wallet = event.wallet
        self._derive()
        slot = self.known.now.slot if event.slot is None else event.slot
        gone = state.authority.complete(event.mints_in_wallet, slot, self.now_ms, state.params.position_grace_ms)
        for told in gone:
            state.capital.reported(told.mint, 0, slot, seq)
        return [*gone]

    def _fees(self, _seq: int, event: PriorityFeePercentiles) -> Said:
        self.state.fees = event
        return []
