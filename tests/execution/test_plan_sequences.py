"""Plans under any sequence of events: what is built is exact, fresh, its own message, and restarts change nothing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.dex.message import compiled
from ironcrab.domain.ask import ConfirmAnswer, SendAsk, SignedAnswer, SimulateAsk
from ironcrab.domain.control import ControlRequest, ControlResponse, GapClosed, GapOpened
from ironcrab.domain.market import PoolCreated, SlotUpdate, TokenMintInfo, WalletBalanceSnapshot
from ironcrab.domain.trade import DecisionRecord, TradeIntent
from ironcrab.domain.units import SOL_MINT, TOKEN_PROGRAM
from ironcrab.execution.params import PAPER_WALLET
from tests.execution import test_engine_sequences as sequences
from tests.execution.test_plans import ACCOUNTS, SETS, SLOT, coin_of, told, wish
from tests.pool_sets import key

VENUES = ("raydium", "pumpfun", "pump_amm")
small = st.integers(0, 9)
wishes = st.builds(
    lambda venue, is_buy, raw, out, purpose, ttl, tier: wish(
        venue, "Buy" if is_buy else "Sell", 1_000_000 * (raw + 1), min_out=10**out, ttl_ms=ttl, tier=tier,
        metadata={"dex": venue, "creator": "C", **purpose},
    ),
    st.sampled_from(VENUES), st.booleans(), small, st.integers(0, 15),
    st.sampled_from([{}, {}, {"purpose": "liquidation"}, {"sell_all": "true"}]), st.sampled_from([None, 60_000]),
    st.sampled_from(["Tier0", "Tier1"]),
)  # fmt: skip
answers = st.tuples(
    small, st.sampled_from(["good", "good", "good", "bad", "6023", "again", "timeout", "expired"]), small
)
OPS = st.one_of(
    *[st.tuples(st.just("say"), wishes)] * 4,
    *[st.tuples(st.just("answer"), answers)] * 5,
    *[st.tuples(st.just("write"), st.tuples(st.sampled_from(VENUES), small, st.sampled_from([None, "s1", "s2"])))] * 3,
    *[st.tuples(st.just("slot"), st.sampled_from(["processed", "created"]))] * 3,
    *[st.tuples(st.just("tick"), st.sampled_from([0, 0, 0, 10, 51, 400, 5_000]))] * 2,
    st.tuples(st.just("gap"), st.sampled_from([True, True, True, False])),
    st.tuples(st.just("respond"), st.sampled_from(["ok", "busy", "not_found"])),
    st.tuples(st.just("config"), st.sampled_from([("plans", "built"), ("plans", "built"), ("plans", "required"), ("plans", "terms"), ("quote_max_age_ms", "5000")])),
)  # fmt: skip


class World(sequences.World):
    """The stage with account sets that are written anew, torn by gaps, and told late."""

    def __init__(self):
        super().__init__(
            plans="built", recovery_wait_ms=3_000, recovery_cooldown_ms=10_000, max_open_positions=100,
            max_concurrent_intents=4,
        )  # fmt: skip
        self.slot = SLOT
        for venue in VENUES:
            made, coin = SETS[venue], coin_of(venue)
            self.take(PoolCreated(made.pool, coin, SOL_MINT, venue, "0", creator=key(51), slot=SLOT))
            self.take(TokenMintInfo(coin, TOKEN_PROGRAM, 6, 10**15, None, None, slot=SLOT))
            for address, account in ACCOUNTS[venue].items():
                self.take(told(address, account))
            self.take(WalletBalanceSnapshot(coin_of(venue), 10**9, 6, TOKEN_PROGRAM, slot=SLOT))
        self.take(SlotUpdate(SLOT, slot=SLOT))

    def on_write(self, drawn):
        venue, which, signature = drawn
        made = SETS[venue]
        address = list(made.accounts)[which % len(made.accounts)]
        self.take(told(address, ACCOUNTS[venue][address], self.slot + 1, signature), 5)

    def on_slot(self, status):
        self.slot += 1
        self.take(SlotUpdate(self.slot, slot=self.slot, status=status), 20)

    def on_gap(self, is_filled):
        opened = self.take(GapOpened("f", self.slot, None, "x"))
        self.take(GapClosed("f", opened.seq, self.slot, is_filled))

    def on_respond(self, status):
        asked = self.of(ControlRequest)
        if asked:
            self.take(ControlResponse(asked[-1].request_id, "market-data", status))

    def on_answer(self, drawn):
        if drawn[1] != "expired":
            super().on_answer(drawn)
            return
        asks = [record for record in self.records if isinstance(record.event, SendAsk)]
        signed = {record.event.ask for record in self.records if isinstance(record.event, SignedAnswer)}
        open_ = [record.seq for record in asks if record.seq in self.engine.state.asks and record.seq in signed]
        if open_:
            self.take(ConfirmAnswer(open_[0], "expired", ordinal=2, rebroadcasts=drawn[0]))

    def plans_are_sound(self):
        hashes, refused = {}, {}
        for record in self.records:
            event = record.event
            if isinstance(event, SimulateAsk):
                self.plan_is_sound(event, hashes)
            elif isinstance(event, DecisionRecord):
                refused[event.intent, event.attempt] = event.outcome
            elif isinstance(event, ControlRequest):
                intent = self.records[int(event.request_id.split("-")[2])].event
                assert isinstance(intent, TradeIntent)
                assert intent.side == "Sell"
        assert all(attempt <= 1 for _, attempt in refused)

    def plan_is_sound(self, ask, hashes):
        plan = ask.plan
        intent = self.records[ask.intent].event
        assert plan.min_out <= intent.execution.min_out.raw
        if not plan.calls:
            return
        assert plan.plan_hash == compiled(PAPER_WALLET, plan.calls).plan_hash
        assert plan.plan_hash not in hashes, "two plans are never one message"
        hashes[plan.plan_hash] = ask.intent
        assert 0 < plan.min_out <= plan.expected_out
        assert plan.quote_age_slots <= 2
        assert plan.quote_age_ms <= 5_000


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(OPS, min_size=30, max_size=60), st.integers(0, 59))
def test_plans_hold_under_any_sequence(ops, restart_at):
    world, other = World(), World()
    for place, (op, drawn) in enumerate(ops):
        if place == restart_at:
            other.restart()
        world.act(op, drawn)
        other.act(op, drawn)
    assert [record.event for record in world.records] == [record.event for record in other.records]
    world.sends_are_sound()
    world.plans_are_sound()
