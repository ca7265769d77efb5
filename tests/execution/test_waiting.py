"""Who waits: what is known of all of them at once is what would be said of each."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ironcrab.domain.ask import SimulateAsk
from ironcrab.domain.control import ClockTick, ConfigUpdate
from ironcrab.execution.state import Waiting
from tests.execution.stage import T0, Stage, buy, mint_info, trade

ASKED = "execution-engine-1-0"
waiting = st.builds(
    lambda said, tier, ttl, deadline, asked: Waiting(
        1, 0, T0 + said, buy(tier=tier, ttl_ms=ttl, deadline_slot=deadline), ASKED if asked else ""
    ),
    st.integers(0, 40),
    st.sampled_from(("Tier0", "Tier1", "Arb")),
    st.sampled_from((None, 0, 10, 30)),
    st.sampled_from((None, 5, 9)),
    st.booleans(),
)
moments = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12), st.booleans()), min_size=1, max_size=8)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.lists(waiting, min_size=1, max_size=4), moments, st.booleans(), st.integers(0, 90))
def test_undecided_says_what_each_of_them_says(rows, times, under_way, until):
    stage = Stage(None, max_concurrent_intents=1, intent_ttl_ms=20)
    engine = stage.engine
    stage.take(mint_info())
    stage.take(trade(1))
    if under_way:
        stage.take(buy())
        stage.take(ClockTick())
        assert engine._under_way()
    engine.state = replace(engine.state, waiting=rows, recoveries={ASKED: T0 + until})
    for later, slot, answered in times:
        stage.now.time += later * 1_000_000
        stage.now.slot = max(stage.now.slot, slot)
        if answered:
            engine.state.recoveries.clear()
            engine.soonest = None
        taken = engine._under_way()
        assert engine.undecided == any(engine._may_go(one, taken) for one in rows)


def test_a_free_place_a_shorter_life_and_a_state_put_back_are_noticed():
    stage = Stage(None, max_concurrent_intents=1)
    stage.take(mint_info())
    stage.take(trade(1))
    stage.take(buy())
    stage.take(buy(pool="P2"))
    stage.take(ClockTick())
    assert not stage.engine.undecided
    # a state that is put back, without the attempt that took the place
    kept = stage.engine.state
    stage.engine.state = replace(kept, attempts={}, waiting=list(kept.waiting))
    assert stage.engine.undecided
    stage.engine.state = kept
    assert not stage.engine.undecided
    # ttl is shortened while it waits
    stage.take(ConfigUpdate("execution-engine", {"intent_ttl_ms": "1"}), 2)
    assert stage.decisions[0].outcome == "Expired"
    assert len(stage.of(SimulateAsk)) == 1
