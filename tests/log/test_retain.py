"""Retention: whole old segments go, the chain still links, a start state takes their place."""

import pytest
from msgspec.structs import replace

from ironcrab.domain.fault import LogFault
from ironcrab.log import manifest, retain, snapshot
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal


@pytest.fixture
def path(recorded):
    path = recorded(200, segment_bytes=12_000)
    seal(path)
    for seq in (5, 60, 150):
        snapshot.save(path, snapshot.Snapshot(seq, b"\0" * 32, {}, {}))
    return path


def sizes(path):
    return [sum(file.size for file in segment.files) for segment in manifest.load(path).segments]


def test_a_plan_changes_nothing_and_says_what_would_go(path):
    listed = manifest.load(path)
    total = sum(sizes(path))
    planned = retain.plan(path, max_bytes=total - 1)
    assert planned.segments == (listed.segments[0].name,)
    assert planned.frees == sizes(path)[0]
    assert planned.first_seq == listed.segments[1].first_seq
    assert retain.plan(path, max_bytes=total).segments == ()
    assert retain.plan(path).segments == ()
    everything = retain.plan(path, max_bytes=0)
    assert len(everything.segments) == len(listed.segments) - 1
    assert "last segment" in everything.because
    assert manifest.load(path) == listed


def test_age_counts_in_log_time(path):
    listed = manifest.load(path)
    cut = listed.segments[2].first_seq
    planned = retain.plan(path, max_age_ns=199 - cut)
    assert planned.segments == tuple(segment.name for segment in listed.segments[:2])
    assert retain.plan(path, max_age_ns=10_000).segments == ()


def test_what_stays_links_verifies_and_goes_on(path, history):
    planned = retain.plan(path, max_bytes=sum(sizes(path)) // 2)
    first = planned.first_seq
    assert first > 0
    retain.drop(path, planned, {"pools": b"{}"}, {"code": "1"})
    recording = Recording.open(path)
    assert (recording.first_seq, recording.next_seq) == (first, 200)
    assert list(recording.records()) == history.records(200, first)
    assert recording.verify_bytes(deep=True).faults == ()
    assert recording.manifest.start.seq == first
    assert snapshot.load_start(path, recording.manifest.start).states == {"pools": b"{}"}
    assert all(int(file.name[5:25]) >= first for file in snapshot.files(path))
    assert len(list((path / "segments").iterdir())) == len(recording.parts)
    with Recording.resume(path) as session:
        for seq in range(200, 260):
            session.append(history.record(seq))
    seal(path)
    assert list(Recording.open(path).records()) == history.records(260, first)
    again = retain.plan(path, max_bytes=0)
    retain.drop(path, again, {}, {})
    assert len(list(path.glob("start-*"))) == 1
    assert Recording.open(path).verify_bytes(deep=True).faults == ()


def test_pinned_and_golden_recordings_never_shrink(path):
    for mark, word in (({"pinned": True}, "pinned"), ({"pinned": False, "golden": True}, "golden")):
        planned = retain.plan(path, max_bytes=0)
        manifest.edit(path, lambda listed, mark=mark: replace(listed, **mark))
        with pytest.raises(LogFault, match="nothing was dropped"):
            retain.drop(path, planned if planned.segments else replace(planned, segments=("x",)), {}, {})
        refused = retain.plan(path, max_bytes=0)
        assert (refused.segments, word in refused.because) == ((), True)
    assert Recording.open(path).first_seq == 0


def test_a_crash_before_the_files_go_leaves_a_sound_recording(path, history, monkeypatch):
    planned = retain.plan(path, max_bytes=sum(sizes(path)) // 2)

    def crash(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(retain, "clear", crash)
        with pytest.raises(KeyboardInterrupt):
            retain.drop(path, planned, {}, {})
    recording = Recording.open(path)
    assert list(recording.records()) == history.records(200, planned.first_seq)
    assert recording.verify_bytes(deep=True).faults == ()
    retain.clear(path, recording.manifest)
    assert len(list((path / "segments").iterdir())) == len(recording.parts)


def test_hot_segments_never_go(recorded):
    path = recorded(200, segment_bytes=12_000)
    assert retain.plan(path, max_bytes=0).segments == ()
