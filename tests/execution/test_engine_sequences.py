"""Random sequences against the engine: duplicates, reordering, lost and late answers, restarts from any point."""

import os
from collections import Counter

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ironcrab.domain.ask import ConfirmAnswer, SendAnswer, SendAsk, SignedAnswer, SimulateAnswer, SimulateAsk
from ironcrab.domain.control import ClockTick, ConfigUpdate, ControlRequest, RunStarted
from ironcrab.domain.market import DexPoolAccounts, ExplicitAmount, WalletBalanceSnapshot, WalletSnapshotComplete
from ironcrab.domain.trade import DecisionRecord, ResultFees, TradeIntent
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT, TOKEN_PROGRAM
from ironcrab.execution.engine import ExecutionEngine
from ironcrab.execution.params import EngineParams
from ironcrab.loop import Loop, Now
from ironcrab.market.known import Known
from tests.execution.stage import Stage, buy, mint_info, sell, trade

MINTS = ("M0", "M1", "M2")
SEQUENCES = int(os.environ.get("IRONCRAB_SEQUENCES", "150"))
"""The nightly sets it to 100,000."""

PHASES = tuple(phase for phase in Phase if phase is not Phase.shrink or os.environ.get("IRONCRAB_SHRINK"))
"""Shrinking 70 operations takes minutes: only on demand."""

small = st.integers(0, 9)
intents = st.builds(
    lambda is_buy, mint, raw, tier, told, ttl, urgency, value, imported: (
        (buy if is_buy else sell)(
            raw * 20_000_000 + 1 if is_buy else raw * 300 + 300,
            mint=MINTS[mint], pool=f"P{mint}", tier=tier, intent_id=f"id{told}" if imported else None, ttl_ms=ttl,
            hint_urgency=urgency, expected_value_lamports=value,
            metadata={"dex": "pumpfun", "creator": "C"} if mint == 2 and not is_buy else {"dex": "pump_amm"},
        )
    ),
    st.booleans(), st.integers(0, 2), small, st.sampled_from(["Tier0", "Tier1", "Tier1", "Arb"]), st.integers(0, 5),
    st.sampled_from([None, 1000, 20_000]), st.integers(0, 3), small, st.booleans(),
)  # fmt: skip
good = st.tuples(st.just("answer"), st.tuples(small, st.just("good"), small))
OPS = st.one_of(
    *[st.tuples(st.just("say"), intents)] * 4,
    *[good] * 6,
    *[st.tuples(st.just("answer"), st.tuples(small, st.sampled_from(["bad", "6005", "lost", "again", "timeout"]), small))] * 2,
    *[st.tuples(st.just("trade"), st.tuples(st.integers(0, 2), small))] * 3,
    *[st.tuples(st.just("tick"), st.sampled_from([0, 0, 0, 1, 400, 5000, 16_000, 100_000]))] * 2,
    st.tuples(st.just("kill"), st.sampled_from([True, False, False])),
    st.tuples(st.just("wallet"), st.tuples(st.sampled_from([NATIVE_SOL, SOL_MINT, *MINTS]), small, st.integers(-2, 2))),
    st.tuples(st.just("complete"), st.lists(st.sampled_from(MINTS), unique=True, max_size=3)),
    st.tuples(st.just("config"), st.sampled_from([("max_open_positions", "1"), ("max_open_positions", "9"), ("send_enabled", "false"), ("send_enabled", "true"), ("send_enabled", "true"), ("colour", "1")])),
    st.tuples(st.just("run"), st.none()),
)  # fmt: skip


class World(Stage):
    """The stage with a world that answers as drawn, and the invariants after every operation."""

    def __init__(self, **params):
        super().__init__(None, **{"send_enabled": True, "idempotency_window_ms": 10_000_000, **params})
        self.slot = 10
        for index, mint in enumerate(MINTS):
            self.take(mint_info(mint))
            self.take(trade(10, pool=f"P{index}", mint=mint, dex="pumpfun" if index == 2 else "pump_amm"))
        self.take(DexPoolAccounts("pump_amm", "P3", MINTS[2], SOL_MINT, ("K",), slot=10))
        self.take(trade(10, pool="P3", mint=MINTS[2]))
        for mint in MINTS:
            self.take(WalletBalanceSnapshot(mint, 3_000, 6, TOKEN_PROGRAM))

    def act(self, op, told):
        getattr(self, f"on_{op}")(told)
        self.holds()

    def on_say(self, intent):
        self.take(intent)

    def on_tick(self, ms):
        self.take(ClockTick(), ms)

    def on_trade(self, told):
        index, price = told
        self.slot += 1
        self.take(
            trade(
                self.slot,
                10**9 + price,
                pool=f"P{index}",
                mint=MINTS[index],
                dex="pumpfun" if index == 2 else "pump_amm",
            ),
            400,
        )

    def on_kill(self, active):
        self.take(ControlRequest("r", "all", "kill_switch" if active else "reset_kill_switch", active=active or None))

    def on_wallet(self, told):
        asset, amount, ahead = told
        unit = 300 if asset in MINTS else 10**8
        self.take(WalletBalanceSnapshot(asset, amount * unit, 6, TOKEN_PROGRAM, slot=self.slot + ahead))

    def on_complete(self, mints):
        self.take(WalletSnapshotComplete("W", tuple(mints)))

    def on_config(self, told):
        self.take(ConfigUpdate("execution-engine", {told[0]: told[1]}))

    def on_run(self, _told):
        self.take(RunStarted(1, "s", "0", "ironcrab", (), (), ()))

    def on_answer(self, told):
        """Answer one of the asks that were ever made: rightly, wrongly, twice, or too late."""
        which, how, share = told
        asks = [record for record in self.records if isinstance(record.event, SimulateAsk | SendAsk)]
        awaited = [record for record in asks if record.seq in self.engine.state.asks]
        recent = awaited if awaited and which < 8 else asks[-6:]
        if not recent or how == "lost":
            return
        record = recent[which % len(recent)]
        if isinstance(record.event, SimulateAsk):
            error = {"bad": "Custom(1)", "6005": "Custom(6005)", "timeout": "sim_timeout"}.get(how)
            self.take(SimulateAnswer(record.seq, error is None, error))
        elif share < 3:
            self.take(SignedAnswer(record.seq, f"sig{record.seq}", "AA==", "h", 1))
            self.take(SendAnswer(record.seq, how != "bad", self.time_ms, "rpc", self.slot, ordinal=1))
        else:
            self.confirm(record, how, share)

    def confirm(self, record, how, share):
        plan = record.event.plan
        status = {"bad": "failed", "timeout": "timeout", "6005": "odd"}.get(how, "confirmed")
        fills = (ExplicitAmount(plan.amount_in, 9), ExplicitAmount(1000 * share, 6)) if share != 4 else (None, None)
        answer = ConfirmAnswer(
            record.seq, status, self.slot + share % 3, None, *fills, fees=ResultFees(5200, 0, 1), ordinal=2
        )
        for _ in range(2 if how == "again" else 1):
            self.take(answer)

    def holds(self):
        """The invariants."""
        state = self.engine.state
        self.capital_is_conserved(state)
        assert set(state.capital.locks) <= set(state.attempts)
        simulating = {seq for seq, attempt in state.attempts.items() if attempt.phase == "simulating"}
        assert {holder.intent for holder in state.pools.locks.values()} <= simulating
        assert set(state.asks.values()) <= set(state.attempts)
        for seq, attempt in state.attempts.items():
            lock = state.capital.locks[seq]
            assert (lock.until_ms is None) == (attempt.phase != "simulating")
        self.decisions_are_sound(state)

    @staticmethod
    def capital_is_conserved(state):
        for name, row in state.capital.assets.items():
            assert row.available >= 0 <= row.locked
            assert row.available + row.locked == row.total
            assert row.locked == sum(lock.amount for lock in state.capital.locks.values() if lock.asset == name)
        assert all(position.balance_raw >= 0 for position in state.authority.positions.values())

    def decisions_are_sound(self, state):
        decided = Counter(
            (record.event.intent, record.event.attempt)
            for record in self.records
            if isinstance(record.event, DecisionRecord)
        )
        assert all(count == 1 for count in decided.values()), "one outcome an attempt"
        said = [record.seq for record in self.records if isinstance(record.event, TradeIntent)]
        waiting = {(one.intent, one.attempt) for one in state.waiting}
        open_ = {(seq, one.number) for seq, one in state.attempts.items() if one.phase != "unknown"}
        for seq in said:
            assert (seq, 0) in decided or (seq, 0) in waiting or (seq, 0) in open_, "nothing is dropped"
        assert not (waiting | open_) & set(decided)

    def sends_are_sound(self):
        """Simulated before sent, sent once, no id simulated twice, the kill switch always wins."""
        passed, sent, ids, active, asks = set(), set(), set(), False, {}
        for record in self.records:
            event = record.event
            if isinstance(event, ControlRequest):
                active = event.kind == "kill_switch" or (active and event.kind != "reset_kill_switch")
            elif isinstance(event, SimulateAsk):
                asks[record.seq] = (event.intent, event.attempt)
                told = self.records[event.intent].event.intent_id
                assert told is None or (told, event.attempt) not in ids, "no id reaches simulation twice"
                ids.add((told, event.attempt))
            elif isinstance(event, SimulateAnswer) and event.success:
                passed.add(asks.get(event.ask))
            elif isinstance(event, SendAsk):
                key = (event.intent, event.attempt)
                assert key in passed
                assert key not in sent
                assert not (active and event.plan.side == "Buy")
                sent.add(key)

    def restart(self):
        """Forget everything but the snapshots, as after a crash."""
        states = [msgspec.json.encode(reducer.state) for reducer in self.loop.reducers]
        now = Now()
        now.time, now.slot = self.now.time, self.now.slot
        known = Known.fresh(now)
        engine = ExecutionEngine(self.engine.params, known)
        for reducer, state in zip((*known.reducers, engine), states, strict=True):
            reducer.state = msgspec.json.decode(state, type=type(reducer.state))
            getattr(reducer, "restored", lambda: None)()
        self.now, self.known, self.engine = now, known, engine
        self.loop = Loop((*known.reducers, engine), self._append, now, self.loop.seq)

    def settle(self):
        """Let all time pass: whatever was open ends."""
        for ms in (6_000, 16_000, 100_000, 100_000, 100_000):
            self.take(ClockTick(), ms)
            self.take(ClockTick())
        state = self.engine.state
        assert not state.waiting
        assert not state.attempts
        assert not state.asks
        assert not state.capital.locks
        assert not state.pools.locks


sequences = st.lists(OPS, min_size=40, max_size=70)
sizes = st.sampled_from([{}, {"max_concurrent_intents": 1}, {"max_open_positions": 1}])


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=SEQUENCES, phases=PHASES, report_multiple_bugs=False)
@given(sequences, sizes)
def test_any_sequence(ops, params):
    world = World(**params)
    for op, told in ops:
        world.act(op, told)
    world.sends_are_sound()
    world.settle()
    world.holds()


@pytest.mark.slow
@settings(
    derandomize=True, deadline=None, max_examples=max(SEQUENCES // 3, 1), phases=PHASES, report_multiple_bugs=False
)
@given(sequences, sizes, st.sets(st.integers(0, 59), max_size=4))
def test_restart_anywhere_is_never_restarted(ops, params, restarts):
    straight, broken = World(**params), World(**params)
    for index, (op, told) in enumerate(ops):
        straight.act(op, told)
        if index in restarts:
            broken.restart()
        broken.act(op, told)
    straight.settle()
    broken.settle()
    assert msgspec.json.encode(broken.records) == msgspec.json.encode(straight.records)
    assert msgspec.json.encode(broken.engine.state) == msgspec.json.encode(straight.engine.state)


def test_state_is_one_struct_that_json_carries():
    world = World()
    world.take(buy(mint="M0", pool="P0", intent_id="x"))
    world.take(ClockTick())
    state = world.engine.state
    assert msgspec.json.decode(msgspec.json.encode(state), type=type(state)) == state
    assert EngineParams() == ExecutionEngine.Params()
