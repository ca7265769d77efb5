"""A crash costs nothing: a log cut anywhere goes on, and no word of it changes."""

import shutil

import pytest
from msgspec.structs import replace

from ironcrab.domain.control import GapClosed, GapOpened, LogRecovered, RunEnded, RunStarted, WordsAbandoned
from ironcrab.domain.trade import DecisionRecord
from ironcrab.log import manifest, snapshot
from ironcrab.log.recording import Recording
from ironcrab.mode.beside import leave_states
from ironcrab.mode.cutting import cut
from ironcrab.mode.explain import explain
from ironcrab.mode.verify import follow
from tests.live.desk import BEGAN, frames, judged, play, scenario, session

SECOND = 10**9


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A hot log of one session, its folder; and the lines of its only segment."""
    folder = tmp_path_factory.mktemp("log") / "demo"
    play(session(folder), frames(slots=30))
    return folder


def lines_of(folder):
    (segment,) = sorted((folder / "segments").glob("*.jsonl"))
    return segment, segment.read_bytes().splitlines(keepends=True)


def cut_at(log, folder, records, extra=0):
    """A copy whose segment ends behind so many records and `extra` bytes of the next one, as a crash leaves it."""
    shutil.copytree(log, folder)
    manifest.edit(folder, lambda listed: replace(listed, segments=()))
    segment, lines = lines_of(folder)
    whole = b"".join(lines[: records + 1])
    segment.write_bytes(whole + lines[records + 1][:extra])


def turns(log):
    """Seqs of records inside turns that say more than verdicts: where a cut hurts most."""
    found = []
    for record in Recording.open(log).records():
        if record.cause is not None and record.by == "execution-engine":
            found += [record.seq - 1, record.seq, record.seq + 1]
    return sorted(set(found))


def test_the_session_itself(log):
    report = judged(log)
    assert report.runs[0].derived > 50
    assert sum(1 for _ in Recording.open(log).records((DecisionRecord,))) >= 5


@pytest.mark.parametrize("most", [24, pytest.param(10_000, marks=pytest.mark.slow)])
def test_every_cut_goes_on(log, tmp_path, most):
    spots = turns(log)
    spots = spots[:: max(1, len(spots) // most)]
    finished = 0
    for number, seq in enumerate(spots):
        folder = tmp_path / str(number) / "demo"
        cut_at(log, folder, seq, extra=number % 3 * 20)
        before = list(Recording.open(folder).records())
        assert follow(Recording.open(folder)).verdict == "identical"
        live = session(folder)
        time = live.drive.wiring.now.time
        play(live, [], max(time, BEGAN + 20 * SECOND))
        finished += live.finished
        after = list(Recording.open(folder).records())
        assert after[: len(before)] == before
        report = judged(folder)
        assert [run.unfinished for run in report.runs] == [0, 0]
        assert any(isinstance(record.event, LogRecovered) for record in after) == bool(number % 3)
        shutil.rmtree(folder)
    assert finished > 5


@pytest.mark.parametrize("records", [0, 1, 2, 3])
def test_a_log_cut_in_its_first_words_goes_on(log, tmp_path, records):
    folder = tmp_path / "demo"
    cut_at(log, folder, records, extra=10)
    live = session(folder)
    play(live, frames(slots=8), BEGAN + 20 * SECOND)
    judged(folder)
    assert live.engine.state.capital.assets, "the wallet is told"


def test_the_feed_goes_on_without_telling_twice(log, tmp_path):
    """The same frames again, as a replay brings them: what the log holds is not told again."""
    folder = tmp_path / "demo"
    count = Recording.open(log).next_seq
    cut_at(log, folder, count // 2)
    live = session(folder)
    play(live, frames(slots=34), BEGAN + 15 * SECOND)
    report = judged(folder)
    assert len(report.runs) == 2
    trades = [
        (record.event.signature, record.event.position)
        for record in Recording.open(folder).records()
        if type(record.event).__name__ == "Trade"
    ]
    assert len(trades) == len(set(trades))
    assert live.decisions
    opened = [record.seq for record in Recording.open(folder).records((GapOpened,))]
    closed = [record.event.opened for record in Recording.open(folder).records((GapClosed,))]
    assert closed == opened[:1]


def test_a_changed_strategy_does_not_speak_for_the_past(log, tmp_path):
    folder = tmp_path / "demo"
    seq = next(record.seq for record in Recording.open(log).records() if type(record.event).__name__ == "SimulateAsk")
    cut_at(log, folder, seq)
    live = session(folder, scenario(("momentum.take_profit_bps", "70")))
    play(live, frames(slots=34), BEGAN + 15 * SECOND)
    abandoned = list(Recording.open(folder).records((WordsAbandoned,)))
    assert [(record.seq, record.event.run) for record in abandoned] == [(seq, 0)]
    assert live.finished == 0
    report = judged(folder)
    assert report.runs[0].unfinished > 0
    assert report.runs[1].unfinished == 0
    assert report.runs[1].derived > 0


def test_a_clean_end_abandons_nothing(log, tmp_path):
    folder = tmp_path / "demo"
    shutil.copytree(log, folder)
    play(session(folder, scenario(("momentum.take_profit_bps", "70"))), [], BEGAN + 20 * SECOND)
    assert not list(Recording.open(folder).records((WordsAbandoned,)))
    assert [record.event.run for record in Recording.open(folder).records((RunEnded,))] == [0, 1]
    judged(folder)


def test_states_left_beside_give_the_same_restart(log, tmp_path):
    """From the newest states or from the beginning: the same words, byte for byte; and lost records take theirs along."""
    heads = []
    for name, states in (("with", True), ("without", False)):
        folder = tmp_path / name / "demo"
        cut_at(log, folder, Recording.open(log).next_seq - 40)
        if states:
            assert leave_states(Recording.open(folder)) is not None
            segment, lines = lines_of(folder)
            segment.write_bytes(b"".join(lines[:-25]))
            assert leave_states(Recording.open(folder)) is not None
        else:
            segment, lines = lines_of(folder)
            segment.write_bytes(b"".join(lines[:-25]))
        assert len(snapshot.files(folder)) == (2 if states else 0)
        live = session(folder)
        play(live, frames(slots=34), BEGAN + 15 * SECOND)
        assert all(int(path.stem[5:].partition(".")[0]) <= live.first_seq for path in snapshot.files(folder))
        heads.append(Recording.open(folder).head)
        judged(folder)
    assert heads[0] == heads[1]


def test_many_crashes_of_one_log(log, tmp_path):
    """Cut, go on, cut again: five runs, each judged as its own."""
    folder = tmp_path / "demo"
    cut_at(log, folder, Recording.open(log).next_seq // 3)
    for number in range(4):
        live = session(folder)
        play(live, frames(slots=14 + 4 * number), BEGAN + (8 + 3 * number) * SECOND, end=number == 3)
        if number < 3:
            live.session.close()
    report = judged(folder)
    assert [run.run for run in report.runs] == [0, 1, 2, 3, 4]
    assert [record.event.run for record in Recording.open(folder).records((RunStarted,))] == [0, 1, 2, 3, 4]
    decided = [record.event.intent for record in Recording.open(folder).records((DecisionRecord,))]
    assert len(decided) == len(set(decided))


def test_a_decision_of_a_later_run_is_explained_and_cut_out(log, tmp_path):
    """States, start states and slices: each run of a log of several is folded from where it can be."""
    folder = tmp_path / "demo"
    cut_at(log, folder, Recording.open(log).next_seq // 2)
    live = session(folder)
    play(live, frames(slots=36), BEGAN + 15 * SECOND)
    leave_states(Recording.open(folder))
    report = judged(folder)
    decisions = [record.seq for record in Recording.open(folder).records((DecisionRecord,))]
    assert decisions[-1] > report.runs[1].first_seq
    told = explain(Recording.open(folder), decisions[-1])
    assert told.reproduction.equal
    out = tmp_path / "slice"
    summary = cut(Recording.open(folder), decisions[-1] - 60, decisions[-1] + 30, out, golden=True)
    assert summary.diverged == 0
    report = follow(Recording.open(out))
    assert report.verdict == "identical"
    assert report.runs[0].derived > 0
