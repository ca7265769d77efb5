"""The tracked set: cap, priorities, atomic groups, shared keys; against a model that keeps it all by hand."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.market.tracked import PRIORITIES, Admitted, Refused, TrackedSet

NAMES = st.sampled_from([f"g{number}" for number in range(9)])
KEYS = st.lists(st.sampled_from([f"k{number}" for number in range(14)]), max_size=6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAMES, st.sampled_from(PRIORITIES), KEYS),
        st.tuples(st.just("drop"), NAMES),
        st.tuples(st.just("touch"), NAMES),
    ),
    max_size=40,
)


def held(tracked):
    return {key for group in tracked.state.groups.values() for key in group.keys}


def apply(tracked, step):
    if step[0] == "put":
        return tracked.put(*step[1:])
    return tracked.drop(step[1]) if step[0] == "drop" else tracked.touch(step[1])


@settings(derandomize=True, deadline=None, max_examples=400)
@given(cap=st.integers(0, 10), steps=STEPS)
def test_laws(cap, steps):
    tracked = TrackedSet(cap)
    for step in steps:
        before, groups = tracked.keys, dict(tracked.state.groups)
        answer = apply(tracked, step)
        assert len(tracked) <= cap
        assert set(tracked.keys) == held(tracked)
        if isinstance(answer, Refused):
            assert (tracked.keys, tracked.state.groups) == (before, groups)
            assert list(tracked.state.groups) == list(groups)
        if isinstance(answer, Admitted):
            assert tracked.state.groups[step[1]].keys == tuple(dict.fromkeys(step[3]))
            assert set(answer.added) == set(tracked.keys) - set(before)
            assert set(answer.removed) == set(before) - set(tracked.keys)
            gone = [groups[name] for name in answer.evicted]
            ranks = [PRIORITIES.index(group.priority) for group in gone]
            assert ranks == sorted(ranks, reverse=True)
            assert all(rank >= max(1, PRIORITIES.index(step[2])) for rank in ranks)
            # nobody that mattered less was spared
            lowest = min(ranks, default=len(PRIORITIES))
            spared = [g for g in tracked.state.groups.values() if g.name != step[1]]
            assert all(PRIORITIES.index(group.priority) <= lowest for group in spared) or not gone


@settings(derandomize=True, deadline=None, max_examples=200)
@given(cap=st.integers(0, 10), smaller=st.integers(0, 10), steps=STEPS)
def test_restore(cap, smaller, steps):
    tracked = TrackedSet(cap)
    for step in steps:
        apply(tracked, step)
    same = TrackedSet(cap)
    same.state.groups = dict(tracked.state.groups)
    same.restored()
    assert same.state == tracked.state
    assert set(same.keys) == set(tracked.keys)
    less = TrackedSet(smaller)
    less.state.groups = dict(tracked.state.groups)
    less.restored()
    assert len(less) <= smaller
    assert set(less.keys) == held(less)
    again = TrackedSet(smaller)
    again.state.groups = dict(tracked.state.groups)
    again.restored()
    assert (again.keys, again.state) == (less.keys, less.state)


def test_wallets_are_never_put_out():
    tracked = TrackedSet(4)
    assert isinstance(tracked.put("w1", "wallet", ["a", "b"]), Admitted)
    assert isinstance(tracked.put("t", "tracker", ["c", "d"]), Admitted)
    answer = tracked.put("w2", "wallet", ["e", "f"])
    assert answer == Admitted(("e", "f"), ("c", "d"), ("t",))
    assert isinstance(tracked.put("w3", "wallet", ["g"]), Refused)
    assert isinstance(tracked.put("m", "momentum", ["g"]), Refused)
    assert tracked.keys == ("a", "b", "e", "f")


def test_shared_keys_stay_while_one_group_holds_them():
    tracked = TrackedSet(10)
    tracked.put("one", "arb", ["x", "y"])
    tracked.put("two", "momentum", ["y", "z"])
    assert tracked.drop("one") == ("x",)
    assert tracked.keys == ("y", "z")


def test_among_equals_the_one_touched_longest_ago_goes():
    tracked = TrackedSet(3)
    for name in ("a", "b", "c"):
        tracked.put(name, "tracker", [name])
    tracked.touch("a")
    assert tracked.put("d", "tracker", ["d"]).evicted == ("b",)
    assert isinstance(tracked.put("e", "arb", ["e", "f"]), Admitted)
    assert list(tracked.state.groups) == ["d", "e"]
