"""Composed recordings: the same chain and the same records as a hot log that was sealed."""

import pytest

from ironcrab.domain.fault import LogFault
from ironcrab.log import manifest, parquet, sealed
from ironcrab.log.composing import compose
from ironcrab.log.recording import Recording
from ironcrab.loop import Record


def test_composed_and_sealed_are_the_same(tmp_path, history):
    records = list(history.records(3_000))
    with Recording.create(tmp_path / "hot", "log", segment_bytes=100_000) as session:
        for record in records:
            session.append(record)
    sealed.seal(tmp_path / "hot")
    listed = compose(tmp_path / "made", "log", iter(records), segment_bytes=100_000, prove=True)
    hot, made = Recording.open(tmp_path / "hot"), Recording.open(tmp_path / "made")
    assert made.head == hot.head
    assert list(made.records()) == records
    assert len(listed.segments) > 2
    assert made.verify_bytes(deep=True).faults == ()
    assert not list((tmp_path / "made").rglob("*.jsonl"))


def test_nothing_to_compose_is_an_empty_recording(tmp_path):
    listed = compose(tmp_path / "made", "log", iter(()))
    assert listed.segments == ()
    assert list(Recording.open(tmp_path / "made").records()) == []


def test_a_skipped_seq_is_refused(tmp_path, history):
    first, _, third = history.records(3)
    with pytest.raises(LogFault, match="record 2 was composed where 1 is next"):
        compose(tmp_path / "made", "log", iter((first, third)))


def test_an_existing_folder_is_refused(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "file").touch()
    with pytest.raises(LogFault, match="not empty"):
        compose(tmp_path / "made", "log", iter(()))


def test_a_wrong_column_is_found_by_the_proof(tmp_path, history, monkeypatch):
    real = parquet.to_table
    monkeypatch.setattr(
        parquet,
        "to_table",
        lambda kind, rows: real(kind, [Record(r.seq, r.cause, r.by, r.time + 1, r.event) for r in rows]),
    )
    with pytest.raises(LogFault, match="it was not taken in"):
        compose(tmp_path / "made", "log", history.records(10), prove=True)
    assert manifest.load(tmp_path / "made").segments == ()
