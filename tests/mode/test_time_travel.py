"""Branch and step: another story from a moment on, and every moment again, forwards and backwards."""

import pytest

from ironcrab.domain.ask import ConfirmAnswer
from ironcrab.domain.control import RunEnded, RunStarted
from ironcrab.domain.fault import InputFault, ScenarioFault
from ironcrab.log import snapshot
from ironcrab.log.compare import field_differences
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.mode.branching import branch
from ironcrab.mode.condition import condition
from ironcrab.mode.differing import REFERENCES, compare
from ironcrab.mode.explain import explain
from ironcrab.mode.generating import generate
from ironcrab.mode.run import run
from ironcrab.mode.scenario import read
from ironcrab.mode.standing import stand
from ironcrab.mode.states import encode_states
from ironcrab.mode.stepping import Stepper
from ironcrab.mode.synthetic import MarketParams
from ironcrab.mode.verify import follow

PARAMS = MarketParams(events=10_000, seed=7, coins=6, wallets=60, trades_per_slot=12, launch_every=30, fork_every=90)
TREE = {
    "strategies": ["momentum"],
    "momentum": {"early_min_token_age_secs": 2, "early_min_unique_buyers": 2, "take_profit_bps": 400},
    "engine": {"send_enabled": True},
    "wallet": {"native_sol_lamports": 10**11},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("travel")
    generate(PARAMS, folder / "market")
    run(Recording.open(folder / "market"), read("tests", TREE, "tests"), folder / "run")
    seal(folder / "run")
    return Recording.open(folder / "run")


def derived(recording, seq_from=0):
    return [record for record in recording.records(None, seq_from) if record.by is not None]


def is_the_same(left, right):
    """Equal but for the seqs that they name."""
    found = [d.field.split(".")[0].split("[")[0] for d in field_differences(left.event, right.event)]
    return left.by == right.by and left.time == right.time and set(found) <= {*REFERENCES, "input_snapshots"}


@pytest.mark.parametrize("at", [1, 2_000, 5_555, 9_000])
def test_a_branch_that_changes_nothing_tells_the_same_story(made, tmp_path, at):
    summary = branch(made, at, (), tmp_path / "branch")
    seal(tmp_path / "branch")
    branched = Recording.open(tmp_path / "branch")
    first = summary.branched_at
    assert first >= at
    assert branched.first_seq == first
    old, new = derived(made, first), derived(branched)
    assert len(old) == len(new) == summary.derived
    assert all(is_the_same(left, right) for left, right in zip(old, new, strict=True))


def test_what_was_drawn_is_drawn_again_in_a_branch(made, tmp_path):
    """Lost and late transactions are so in the branch, whose seqs are others; only a change of parameters is one."""
    paper = {"loss_bps": 3_000, "latency": "measured", "latency_quantiles_slots": [0, 1, 2, 5]}
    run(made, read("tests", {**TREE, "paper": paper}, "tests"), tmp_path / "run")
    seal(tmp_path / "run")
    whole = Recording.open(tmp_path / "run")
    lost = [record for record in whole.records((ConfirmAnswer,)) if record.event.status == "timeout"]
    assert len(lost) > 1
    for name, changed in (("same", ()), ("other", (("momentum.take_profit_bps", "50"),))):
        branch(whole, 2_000, changed, tmp_path / name)
        seal(tmp_path / name)
    assert compare(whole, Recording.open(tmp_path / "same")).equal
    first = compare(whole, Recording.open(tmp_path / "other")).divergences[0]
    assert [(field.field, field.recorded, field.recomputed) for field in first.fields] == [
        ("settings.momentum.take_profit_bps.value", "400", "50"),
        ("settings.momentum.take_profit_bps.origin", "scenario", "set"),
    ]


def test_a_branch_is_a_recording_like_any_other(made, tmp_path):
    summary = branch(made, 4_000, (("momentum.take_profit_bps", "50"),), tmp_path / "branch")
    seal(tmp_path / "branch")
    branched = Recording.open(tmp_path / "branch")
    opening = next(branched.records())
    assert isinstance(opening.event, RunStarted)
    assert opening.event.run == 1
    assert ("momentum.take_profit_bps", "50", "set") in [(s.key, s.value, s.origin) for s in opening.event.settings]
    assert branched.record(branched.next_seq - 1).event == RunEnded(1, "the source ended")
    assert branched.verify_bytes(deep=True).faults == ()
    report = follow(branched)
    assert (report.verdict, report.runs[0].digest) == ("identical", summary.digest)
    assert report.runs[0].derived == summary.derived
    assert [r.event for r in derived(branched)] != [r.event for r in derived(made, summary.branched_at)]
    last = derived(branched)[-1]
    assert explain(branched, last.seq).reproduction.equal
    assert branched.log_id != made.log_id


def test_the_same_branch_twice_the_same_bytes(made, tmp_path):
    sets = (("engine.max_open_positions", "1"),)
    assert branch(made, 3_000, sets, tmp_path / "a") == branch(made, 3_000, sets, tmp_path / "b")
    assert Recording.open(tmp_path / "a").head == Recording.open(tmp_path / "b").head


def test_a_branch_is_compared_from_where_it_leaves(made, tmp_path):
    """The market before is not missing in it, and a shifted seq is no difference of its own."""
    branch(made, 3_000, (), tmp_path / "same")
    same = compare(made, Recording.open(tmp_path / "same"))
    assert same.divergences == ()
    assert same.decision is None
    branch(made, 3_000, (("momentum.take_profit_bps", "50"),), tmp_path / "other")
    other = Recording.open(tmp_path / "other")
    found = compare(made, other)
    assert any("leaves A before #" in note for note in found.notes)
    parted = found.decision
    mine = None if parted.in_a is None else made.record(parted.in_a).event
    its = None if parted.in_b is None else other.record(parted.in_b).event
    assert mine != its
    assert type(mine or its).__name__ == parted.type in ("Verdict", "TradeIntent", "DecisionRecord")
    assert parted.market >= 3_000
    back = compare(other, made)
    assert (back.decision.in_a, back.decision.in_b) == (parted.in_b, parted.in_a)


def test_a_branch_of_a_branch(made, tmp_path):
    branch(made, 3_000, (("momentum.take_profit_bps", "50"),), tmp_path / "a")
    one = Recording.open(tmp_path / "a")
    summary = branch(one, 6_000, (("momentum.take_profit_bps", "900"),), tmp_path / "b")
    other = Recording.open(tmp_path / "b")
    assert next(other.records()).event.run == 2
    assert follow(other).runs[0].digest == summary.digest


@pytest.mark.parametrize(
    ("at", "sets", "fault", "told"),
    [
        (10**9, (), InputFault, "holds seq 0 to"),
        (5, (("momentum.nothing", "1"),), ScenarioFault, "no such parameter"),
        (5, (("momentum.take_profit_bps", "-1"),), ScenarioFault, "take_profit_bps"),
        (5, (("wallet.native_sol_lamports", "1"),), ScenarioFault, "when a run opens"),
    ],
)
def test_bad_branches(made, tmp_path, at, sets, fault, told):
    with pytest.raises(fault, match=told):
        branch(made, at, sets, tmp_path / "branch")


def test_a_branch_needs_a_market_that_goes_on(made, tmp_path):
    with pytest.raises(InputFault, match="no market event follows"):
        branch(made, made.next_seq - 1, (), tmp_path / "branch")


def test_a_branch_needs_a_run(made, tmp_path):
    with pytest.raises(InputFault, match="no run is open"):
        branch(Recording.open(made.path.parent / "market"), 5, (), tmp_path / "branch")


def states(stepper):
    return encode_states(stepper.follower.loop.reducers, stepper.follower.wiring.now)


def test_standing_from_a_snapshot_is_standing_from_the_start(made, monkeypatch):
    near = stand(made, 9_500)
    assert snapshot.files(made)
    monkeypatch.setattr(snapshot, "nearest", lambda *_: None)
    far = stand(made, 9_500)
    assert encode_states(near.wiring.reducers, near.wiring.now) == encode_states(far.wiring.reducers, far.wiring.now)


def test_forwards_and_backwards_meet(made):
    stepper = Stepper(made, 4_990)
    seen = {}
    for _ in range(40):
        seen[stepper.seq] = states(stepper), stepper.said
        assert stepper.forward()
    for _ in range(40):
        assert stepper.back()
        assert (states(stepper), stepper.said) == seen[stepper.seq]
    stepper.go(9_000)
    stepper.go(5_000)
    assert (states(stepper), stepper.said) == seen[5_000]


def test_what_is_said_is_held_against_the_recording(made):
    stepper = Stepper(made, 0)
    assert stepper.search(condition('by == "momentum-bot"'))
    stepper.go(stepper.record.cause)
    assert stepper.said
    assert all(word.recorded for word in stepper.said)


def test_the_ends(made):
    stepper = Stepper(made)
    assert stepper.seq == 0
    assert not stepper.back()
    stepper.go(made.next_seq - 1)
    assert not stepper.forward()
    assert stepper.state("pools")["rows"]
    with pytest.raises(InputFault):
        stepper.go(made.next_seq)
    with pytest.raises(InputFault):
        Stepper(made, made.next_seq)


def test_search_both_ways(made):
    stepper = Stepper(made, 0)
    holds = condition('type == "DecisionRecord" and outcome != "Confirmed"')
    places = [record.seq for record in made.records() if holds(record)]
    assert len(places) > 2
    for place in places:
        assert stepper.search(holds)
        assert stepper.seq == place
    assert not stepper.search(holds)
    assert stepper.search(holds, backwards=True)
    assert stepper.seq == places[-2]


def test_a_branch_steps_from_its_start_state(made, tmp_path):
    branch(made, 6_000, (), tmp_path / "branch")
    stepper = Stepper(Recording.open(tmp_path / "branch"))
    assert stepper.state("pools")["rows"]
    assert stepper.forward(200)
    assert all(word.recorded for word in stepper.said)
