"""The engine and its housekeepers under any sequence of events: rules, faults, and what must hold after each of them.

Two worlds are told the same events; one of them is restarted from its snapshots at any point and must not differ in a
byte. Beside them stands a true wallet (`chain`): the world's answers and snapshots are true, but late, repeated, out of
order or lost, as a chain's are.
"""

from collections import Counter

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ironcrab.dex import base58
from ironcrab.dex.address import TOKEN, associated
from ironcrab.domain.ask import ConfirmAnswer, SendAnswer, SendAsk, SignedAnswer, SimulateAnswer, SimulateAsk
from ironcrab.domain.control import (
    ClockTick,
    ConfigUpdate,
    ControlRequest,
    ForkOrphaned,
    GapClosed,
    GapOpened,
    RunStarted,
)
from ironcrab.domain.market import (
    AccountWritten,
    DexPoolAccounts,
    TokenMintInfo,
    Trade,
    WalletBalanceSnapshot,
    WalletSnapshotComplete,
)
from ironcrab.domain.trade import DecisionRecord, TradeIntent
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT, TOKEN_PROGRAM
from ironcrab.execution.account_janitor import AccountJanitor, JanitorParams
from ironcrab.execution.engine import ExecutionEngine
from ironcrab.execution.housekeeping import purpose_of
from ironcrab.execution.liquidation import Liquidation, LiquidationParams
from ironcrab.execution.params import PAPER_WALLET, EngineParams
from ironcrab.execution.wsol_manager import WsolManager, WsolParams
from ironcrab.loop import Loop, Now
from ironcrab.market.known import Known
from ironcrab.market.rent import RENT_SYSVAR, SYSVARS, rent_data
from ironcrab.mode.purse import account_data
from tests.execution.chain import RENT, Truth
from tests.execution.stage import T0, buy, sell

STEPS = 60
"""Events of a sequence, at least 50."""
MINTS = tuple(base58.encode(bytes([number]) * 32) for number in (31, 32, 33))
POOLS = tuple(base58.encode(bytes([number]) * 32) for number in (41, 42, 43, 44))
MONEY = (NATIVE_SOL, SOL_MINT)
SOL = 10**9
KEEPERS = (
    (WsolManager, WsolParams(
        enabled=True, dry_run=False, min_wsol_lamports=100_000_000, target_wsol_lamports=300_000_000,
        max_wsol_lamports=600_000_000, cooldown_ms=1_000, pending_timeout_ms=20_000,
    )),
    (AccountJanitor, JanitorParams(
        enabled=True, dry_run=False, interval_ms=1_000, min_age_ms=2_000, burn_enabled=True, burn_min_age_ms=3_000,
    )),
    (Liquidation, LiquidationParams(enabled=True)),
)  # fmt: skip


class Twin:
    """One world: market, housekeepers and engine, which may be torn down and put together from their snapshots."""

    def __init__(self, params, keeps):
        self.params = EngineParams(wallet=PAPER_WALLET, send_enabled=True, idempotency_window_ms=10_000_000, **params)
        self.keepers = KEEPERS if keeps else ()
        self.records = []
        self.wire(Now(), 0)

    def wire(self, now, seq):
        self.now, self.known = now, Known.fresh(now)
        self.engine = ExecutionEngine(self.params, self.known)
        keepers = [kind(told, self.known, PAPER_WALLET) for kind, told in self.keepers]
        self.loop = Loop((*self.known.reducers, *keepers, self.engine), self.records.append, now, seq)

    def restart(self):
        states = [msgspec.json.encode(reducer.state) for reducer in self.loop.reducers]
        now = Now()
        now.time, now.slot = self.now.time, self.now.slot
        self.wire(now, self.loop.seq)
        for reducer, state in zip(self.loop.reducers, states, strict=True):
            reducer.state = msgspec.json.decode(state, type=type(reducer.state))
            getattr(reducer, "restored", lambda: None)()

    def states(self):
        return [msgspec.json.encode(reducer.state) for reducer in self.loop.reducers]


intents = st.tuples(
    st.booleans(), st.integers(0, 2), st.integers(0, 9), st.sampled_from(["Tier0", "Tier1", "Tier1", "Arb"]),
    st.integers(0, 5), st.sampled_from([None, 1000, 20_000]), st.integers(0, 3), st.integers(0, 9),
    st.sampled_from([True, False, False]), st.sampled_from([None, None, -1, 0, 3]),
)  # fmt: skip
CONFIGS = (
    ("max_open_positions", "1"), ("max_open_positions", "9"), ("send_enabled", "false"), ("send_enabled", "true"),
    ("send_enabled", "true"), ("colour", "1"), ("max_position_size_lamports", "0"), ("cooldown_ms", "3000"),
    ("drawdown_limit_lamports", "1000"), ("drawdown_limit_lamports", "0"), ("daily_loss_limit_lamports", "20000"),
    ("daily_loss_limit_lamports", "5000000000"), ("fairness_max_preemptions_per_source", "1"),
    ("min_wsol_lamports", "200000000"), ("min_age_ms", "0"), ("max_per_round", "1"), ("ttl_ms", "1000"),
)  # fmt: skip
COUNTS = Counter()
"""How often each rule ran and each fault was made, over all sequences of this process."""


class EngineMachine(RuleBasedStateMachine):
    """See the module."""

    def __init__(self):
        super().__init__()
        self.time_ms = T0
        self.decided = {}
        self.passed, self.sent, self.ids = set(), set(), set()
        self.active = False
        self.seen = 0
        self.asks = {}
        self.plans = {}
        self.buckets = {}
        self.told = set()
        self.untrusted = set()
        self.orphans = False

    @initialize(
        sizes=st.sampled_from([{}, {}, {"max_concurrent_intents": 1}, {"max_open_positions": 1}]),
        keeps=st.booleans(), wsol=st.sampled_from([0, 300_000_000, 900_000_000]),
    )  # fmt: skip
    def open(self, sizes, keeps, wsol):
        COUNTS["rule open"] += 1
        self.a, self.b = Twin(sizes, keeps), Twin(sizes, keeps)
        self.truth = Truth(**{NATIVE_SOL: SOL, SOL_MINT: wsol, **dict.fromkeys(MINTS, 3_000)})
        self.take(AccountWritten(RENT_SYSVAR, SYSVARS, 1, rent_data(5080)))
        for index, mint in enumerate(MINTS):
            self.take(TokenMintInfo(mint, TOKEN_PROGRAM, 6, 10**15, None, None, slot=1))
            self.trade(index, 0)
        self.take(DexPoolAccounts("pump_amm", POOLS[3], MINTS[2], SOL_MINT, ("K",), slot=10))
        self.trade(3, 0)
        for asset in (*MONEY, *MINTS):
            self.snapshot(asset, 0)
        self.b.restart()

    # telling

    def take(self, event, ms=0):
        """One world event for both worlds; what was said about it is judged at once."""
        self.time_ms += ms
        for twin in (self.a, self.b):
            twin.loop.take(event, self.time_ms * 1_000_000)
        self.judge()

    def fault(self, name):
        COUNTS[f"fault {name}"] += 1

    def trade(self, index, price):
        mint = MINTS[min(index, 2)]
        dex = "pumpfun" if index == 2 else "pump_amm"
        self.take(Trade(POOLS[index], mint, "T", True, SOL + price, SOL, 6, dex, slot=self.truth.slot))

    def snapshot(self, asset, back):
        """What the wallet held at the end of a slot; of the newest one this ends it."""
        slot = max(self.truth.slot - back, 0)
        raw = self.truth.at(slot)[asset]
        if not back:
            self.truth.slot += 1
            self.untrusted.discard(asset)
        self.take(WalletBalanceSnapshot(asset, raw, 9, TOKEN_PROGRAM, slot=slot))
        if asset in MINTS and not back:
            address = associated(PAPER_WALLET, asset, TOKEN)
            data = account_data(asset, PAPER_WALLET, raw)
            self.take(AccountWritten(address, TOKEN, RENT, data, slot=slot))

    # rules

    @rule(
        told=intents,
        far=st.integers(0, 5),
        which=st.integers(0, 9),
        share=st.integers(0, 9),
        kills=st.sampled_from([False, False, False, False, True]),
    )
    def through(self, told, far, which, share, kills):
        """An intent that goes some way, so that the later phases are reached often; sometimes it is killed on the way."""
        COUNTS["rule through"] += 1
        self.say(told)
        self.take(ClockTick(), 1)
        if kills:
            self.fault("killed on the way")
            self.kill(active=True, liquidate=False)
        if far > 0 and self.open_asks(SimulateAsk):
            self.simulated(which, "good")
        if kills:
            self.kill(active=False, liquidate=False)
        if far > 1 and self.open_asks(SendAsk):
            self.left(which, "good")
        if far > 2 and self.plans:
            self.land(which, share, fails=False)
        if far > 3 and self.truth.landed:
            self.confirm(which, 1, known=True)

    @rule(told=intents)
    def say(self, told):
        COUNTS["rule say"] += 1
        is_buy, mint, raw, tier, name, ttl, urgency, value, imported, ahead = told
        metadata = {"dex": "pumpfun", "creator": "C"} if mint == 2 and not is_buy else {"dex": "pump_amm"}
        pool = POOLS[3 if mint == 2 and is_buy else mint]
        amount = raw * 20_000_000 + 1 if is_buy else raw * 300 + 300
        self.take((buy if is_buy else sell)(
            amount, mint=MINTS[mint], pool=pool, tier=tier, intent_id=f"id{name}" if imported else None, ttl_ms=ttl,
            hint_urgency=urgency, expected_value_lamports=value, metadata=metadata,
            deadline_slot=None if ahead is None else self.truth.slot + ahead,
        ))  # fmt: skip

    @rule(ms=st.sampled_from([0, 0, 1, 400, 400, 600, 600, 2_000, 5_000, 16_000, 100_000]))
    def tick(self, ms):
        COUNTS["rule tick"] += 1
        self.take(ClockTick(), ms)

    @rule(index=st.integers(0, 3), price=st.integers(0, 9))
    def market(self, index, price):
        COUNTS["rule market"] += 1
        self.truth.slot += 1
        self.time_ms += 400
        self.trade(index, price)

    def open_asks(self, kind):
        waits = self.a.engine.state.asks
        return [seq for seq in self.asks if isinstance(self.asks[seq], kind) and seq in waits]

    @precondition(lambda self: self.open_asks(SimulateAsk))
    @rule(which=st.integers(0, 9), how=st.sampled_from(["good"] * 6 + ["bad", "6005", "timeout", "short"]))
    def simulated(self, which, how):
        COUNTS["rule simulated"] += 1
        asks = self.open_asks(SimulateAsk)
        ask = asks[which % len(asks)]
        if how != "good":
            self.fault(f"simulation {how}")
        error = {"bad": "Custom(1)", "6005": "Custom(6005)", "timeout": "sim_timeout"}.get(how)
        out = self.asks[ask].plan.min_out - 1 if how == "short" else None
        self.take(SimulateAnswer(ask, error is None, error, amount_out=out))

    @precondition(lambda self: self.open_asks(SendAsk))
    @rule(which=st.integers(0, 9), how=st.sampled_from(["good"] * 6 + ["refused", "unsaid"]))
    def left(self, which, how):
        COUNTS["rule left"] += 1
        asks = self.open_asks(SendAsk)
        ask = asks[which % len(asks)]
        if how == "unsaid":
            self.fault("send answer lost")
            return
        self.take(SignedAnswer(ask, f"sig{ask}", "AA==", "h", 1))
        if how == "refused" and ask in self.truth.landed:
            return
        if how == "refused":
            self.fault("send refused")
            self.plans.pop(ask, None)
        self.take(SendAnswer(ask, how != "refused", self.time_ms, "rpc", self.truth.slot, ordinal=1))

    @precondition(lambda self: self.plans)
    @rule(which=st.integers(0, 9), share=st.integers(0, 9), fails=st.sampled_from([False, False, False, True]))
    def land(self, which, share, fails):
        """The chain executes something that was sent; nobody is told yet."""
        COUNTS["rule land"] += 1
        asks = [ask for ask in self.plans if ask not in self.truth.landed]
        if asks:
            ask = asks[which % len(asks)]
            if fails:
                self.fault("landed and failed")
            self.truth.land(ask, self.plans[ask], self.buckets[ask], share, fails)

    @precondition(lambda self: self.truth.landed)
    @rule(
        which=st.integers(0, 9), times=st.sampled_from([1, 1, 1, 2]), known=st.sampled_from([True, True, True, False])
    )
    def confirm(self, which, times, known):
        COUNTS["rule confirm"] += 1
        fresh = [ask for ask in self.truth.landed if ask not in self.told]
        asks = fresh or list(self.truth.landed)
        ask = asks[which % len(asks)]
        self.fault("confirmation repeated") if times > 1 or not fresh else None
        answer = self.truth.landed[ask]
        if not known and answer.status == "confirmed":
            self.fault("fills unknown")
            answer = msgspec.structs.replace(answer, fill_in=None, fill_out=None)
            self.distrust(ask)
        if ask not in self.a.engine.state.asks and ask not in self.told:
            self.fault("confirmation too late")
            self.distrust(ask)
        self.told.add(ask)
        for _ in range(times):
            self.take(msgspec.structs.replace(answer, ordinal=2))

    def distrust(self, ask):
        """Until the next snapshot the engine cannot know what this ask moved."""
        plan = self.plans[ask]
        self.untrusted |= {NATIVE_SOL, self.buckets[ask], plan.input_mint, plan.output_mint}

    @precondition(lambda self: self.open_asks(SendAsk))
    @rule(which=st.integers(0, 9), status=st.sampled_from(["timeout", "timeout", "odd", "expired"]))
    def give_up(self, which, status):
        COUNTS["rule give up"] += 1
        asks = self.open_asks(SendAsk)
        ask = asks[which % len(asks)]
        if status == "expired":
            if ask in self.truth.landed:
                return
            self.plans.pop(ask, None)
        self.fault(f"confirmation {status}")
        self.take(ConfirmAnswer(ask, status, ordinal=2, last=status == "expired"))

    @rule(asset=st.sampled_from([*MONEY, *MINTS]), back=st.sampled_from([0, 0, 0, 1, 2, 5]))
    def wallet(self, asset, back):
        COUNTS["rule wallet"] += 1
        if back:
            self.fault("snapshot out of order")
        self.snapshot(asset, back)

    def complete(self, drops):
        slot = self.truth.slot
        held = self.truth.at(slot)
        self.truth.slot += 1
        mints = tuple(mint for mint in MINTS if held[mint] > 0 and mint not in drops)
        if drops:
            self.fault("mint left out of a complete snapshot")
            self.untrusted |= set(drops)
        self.take(WalletSnapshotComplete(PAPER_WALLET, mints, slot=slot))

    @rule(
        what=st.sampled_from(["kill", "config", "run", "gap", "fork", "complete"]), active=st.sampled_from([True, False, False]),
        liquidate=st.booleans(), config=st.sampled_from(CONFIGS), drops=st.lists(st.sampled_from(MINTS), max_size=1),
    )  # fmt: skip
    def disturb(self, what, active, liquidate, config, drops):
        """What comes seldom, in one rule: each of them alone would come as often as the trades."""
        COUNTS[f"rule {what}"] += 1
        if what == "kill":
            self.kill(active, liquidate)
        elif what == "config":
            self.take(ConfigUpdate("all", dict([config])))
        elif what == "run":
            self.take(RunStarted(1, "s", "0", "ironcrab", (), (), ()))
        elif what == "complete":
            self.complete(drops)
        else:
            self.feed(what)

    def kill(self, active, liquidate):
        kind = "kill_switch" if active else "reset_kill_switch"
        self.active = active
        self.take(ControlRequest("r", "all", kind, active=active or None, liquidate_positions=liquidate))

    def feed(self, what):
        """A gap or a fork; the pools are read anew, but for the last one."""
        self.fault(what)
        if what == "fork":
            self.take(ForkOrphaned(self.truth.slot, "drill"))
        else:
            self.take(GapOpened("geyser", self.truth.slot, None, "drill"))
            self.take(GapClosed("geyser", None, self.truth.slot, filled=False))
        self.truth.slot += 1
        for index in range(3):
            self.trade(index, 0)

    @rule()
    def restart(self):
        COUNTS["rule restart"] += 1
        self.fault("restart")
        self.b.restart()

    # what must hold

    def judge(self):
        """Look at the records that are new."""
        records, others = self.a.records, self.b.records
        assert msgspec.json.encode(records[self.seen :]) == msgspec.json.encode(others[self.seen :]), (
            "restarted differs"
        )
        for record in records[self.seen :]:
            event = record.event
            if isinstance(event, SimulateAsk):
                self.simulate_asked(record.seq, event)
            elif isinstance(event, SimulateAnswer) and event.success:
                ask = self.asks.get(event.ask)
                if ask is not None:
                    self.passed.add((ask.intent, ask.attempt, ask.plan.plan_hash))
            elif isinstance(event, SendAsk):
                self.send_asked(record.seq, event)
            elif isinstance(event, DecisionRecord):
                key = (event.intent, event.attempt)
                assert key not in self.decided, "one outcome an attempt"
                self.decided[key] = event
                COUNTS[f"outcome {event.outcome}"] += 1
                purpose = purpose_of(records[event.intent].event)
                if purpose is not None:
                    COUNTS[f"action {purpose} {event.outcome}"] += 1
                if event.outcome == "Rejected":
                    COUNTS[f"reason {event.primary_reject_reason}"] += 1
        self.seen = len(records)

    def simulate_asked(self, seq, ask):
        self.asks[seq] = ask
        intent = self.a.records[ask.intent].event
        told = (intent.intent_id, ask.attempt)
        assert intent.intent_id is None or told not in self.ids, "no id reaches simulation twice"
        self.ids.add(told)
        self.buckets[ask.intent, ask.attempt] = self.a.engine.state.capital.sol()

    def send_asked(self, seq, ask):
        key = (ask.intent, ask.attempt)
        assert (*key, ask.plan.plan_hash) in self.passed, "no send without a passed simulation"
        assert key not in self.sent, "sent once"
        wraps = purpose_of(self.a.records[ask.intent].event) == "wrap"
        assert not (self.active and (ask.plan.side == "Buy" or wraps)), "the kill switch wins"
        self.sent.add(key)
        self.asks[seq] = ask
        self.plans[seq] = ask.plan
        lock = self.a.engine.state.capital.locks[ask.intent]
        self.buckets[seq] = lock.asset if ask.plan.input_mint == SOL_MINT else self.buckets[key]

    @invariant()
    def capital_is_conserved(self):
        if not hasattr(self, "a"):
            return
        state = self.a.engine.state
        locked = Counter()
        for lock in state.capital.locks.values():
            locked[lock.asset] += lock.amount
        for name, row in state.capital.assets.items():
            assert row.available >= 0 <= row.locked, "no negative balance"
            assert row.available + row.locked == row.total, "capital is conserved"
            assert row.locked == locked[name], "no lock leaks"
        assert all(position.balance_raw >= 0 for position in state.authority.positions.values())

    @invariant()
    def locks_belong_to_attempts(self):
        if not hasattr(self, "a"):
            return
        state = self.a.engine.state
        assert set(state.capital.locks) == set(state.attempts), "every attempt has its lock, and no lock leaks"
        simulating = {seq for seq, attempt in state.attempts.items() if attempt.phase == "simulating"}
        holders = {holder.intent for holder in state.pools.locks.values()}
        assert holders <= simulating, "a pool is held before the send only"
        assert set(state.asks.values()) <= set(state.attempts), "an ask belongs to an attempt"
        for seq, attempt in state.attempts.items():
            expires = state.capital.locks[seq].until_ms is not None
            assert expires == (attempt.phase == "simulating"), "a lock expires until it is sent, and never after"

    def teardown(self):
        """Let all time pass, so that whatever was open ends; then hold the books against the chain."""
        if not hasattr(self, "a"):
            return
        COUNTS["sequences"] += 1
        COUNTS["records"] += len(self.a.records)
        self.confirm_all()
        for ms in (6_000, 16_000, 100_000, 100_000, 100_000):
            self.take(ClockTick(), ms)
            self.take(ClockTick())
        self.nothing_is_left()
        self.the_books_are_true()
        assert self.a.states() == self.b.states(), "restarted differs"

    def confirm_all(self):
        for ask, answer in list(self.truth.landed.items()):
            if ask not in self.told:
                if ask not in self.a.engine.state.asks:
                    self.distrust(ask)
                self.told.add(ask)
                self.take(msgspec.structs.replace(answer, ordinal=2))

    def nothing_is_left(self):
        state = self.a.engine.state
        said = [record.seq for record in self.a.records if isinstance(record.event, TradeIntent)]
        open_ = {seq for seq, _ in ((seq, 0) for seq in state.attempts)} | {one.intent for one in state.waiting}
        assert all((seq, 0) in self.decided for seq in said if seq not in open_), "nothing is dropped"
        if self.a.keepers:
            # housekeepers go on wishing as time passes; what they wished in the last tick may be open
            assert all(state.attempts[seq].event.source != "momentum-bot" for seq in state.attempts)
        else:
            assert not state.waiting
            assert not state.attempts
            assert not state.asks
            assert not state.capital.locks
            assert not state.pools.locks

    def the_books_are_true(self):
        """What is known of each asset is what the chain knows, but where an answer was lost since the last snapshot."""
        now, capital = self.truth.now, self.a.engine.state.capital
        for asset in (*MONEY, *MINTS):
            if asset not in self.untrusted and not capital.asset(asset).locked:
                assert capital.asset(asset).total == now[asset], f"{asset}: {capital.asset(asset)} but {now[asset]}"
