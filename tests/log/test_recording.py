"""A recording: one folder that replays anywhere, and in which no changed byte goes unnoticed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from ironcrab.domain.fault import DamageFault, LockFault, LogFault, SchemaFault
from ironcrab.domain.market import SlotUpdate, Trade
from ironcrab.log import manifest, snapshot
from ironcrab.log.manifest import Blessing
from ironcrab.log.recording import Recording, recover
from ironcrab.log.sealed import seal

ROOT = Path(__file__).parents[2]


def files_of(path):
    return {file.relative_to(path): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def test_hot_sealed_and_mixed_give_the_same_records(recorded, history):
    for sealed_first in (0, 1, 2):
        path = recorded(120, name=f"r{sealed_first}", segment_bytes=15_000)
        if sealed_first:
            seal(path, leave_last=sealed_first == 1)
        recording = Recording.open(path)
        assert list(recording.records()) == history.records(120)
        assert (recording.first_seq, recording.next_seq, recording.log_id) == (0, 120, "log-of-tests")
        for seq in range(0, 120, 7):
            assert recording.record(seq) == history.record(seq)
            assert list(recording.records(None, seq, seq + 30)) == history.records(min(seq + 30, 120), seq)
        only = list(recording.records((SlotUpdate, Trade), 10, 90))
        assert only == [record for record in history.records(90, 10) if type(record.event) in (SlotUpdate, Trade)]
        with pytest.raises(LogFault, match="holds no record 120; it holds 0 to 119"):
            recording.record(120)


def test_a_log_still_written_is_read_up_to_its_last_whole_line(tmp_path, history):
    path = tmp_path / "r"
    with Recording.create(path, "x", segment_bytes=9_000, commit_interval_s=0.001) as session:
        for seq in range(100):
            session.append(history.record(seq))
            if seq % 25 == 24:
                session.commit()
                recording = Recording.open(path)
                assert list(recording.records()) == history.records(seq + 1)
                assert (recording.next_seq, recording.head) == (seq + 1, session.head)
                assert recording.record(seq) == history.record(seq)
                assert recording.verify_bytes().faults == ()
        with pytest.raises(LockFault):
            Recording.resume(path)
        assert seal(path) > 2
        assert list(Recording.open(path).records()) == history.records(100)
    assert list(Recording.open(path).records()) == history.records(100)


def test_an_empty_recording_is_one(tmp_path):
    Recording.create(tmp_path / "r", "x").close()
    recording = Recording.open(tmp_path / "r")
    assert list(recording.records()) == []
    assert (recording.first_seq, recording.next_seq) == (0, 0)
    assert recording.verify_bytes(deep=True).faults == ()
    assert seal(recording) == 0


def test_a_copy_elsewhere_is_the_same_recording(recorded, history, tmp_path):
    path = recorded(60)
    seal(path)
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(path, copy)
    shutil.rmtree(path)
    assert list(Recording.open(copy).records()) == history.records(60)
    assert Recording.open(copy).verify_bytes(deep=True).faults == ()


SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
import importlib.util
spec = importlib.util.spec_from_file_location("stage", {tests!r} + "/conftest.py")
stage = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stage)
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
with Recording.create(sys.argv[1], "x", segment_bytes=20_000, config={{"a.toml": b"a = 1"}}) as session:
    for seq in range(150):
        session.append(stage.record_at(seq))
seal(sys.argv[1], leave_last=True)
"""


def test_same_records_give_the_same_folder_on_any_day_under_any_seed(tmp_path):
    script = SCRIPT.format(root=str(ROOT), tests=str(Path(__file__).parent))
    for name, seed, zone in (("a", "0", "UTC"), ("b", "77", "Asia/Tokyo")):
        env = os.environ | {"PYTHONHASHSEED": seed, "TZ": zone}
        subprocess.run([sys.executable, "-c", script, str(tmp_path / name)], check=True, env=env, cwd=tmp_path)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert len(files_of(tmp_path / "a")) > 10
    text = b"".join(files_of(tmp_path / "a").values())
    assert str(tmp_path).encode() not in text
    assert os.uname().nodename.encode() not in (tmp_path / "a" / "manifest.json").read_bytes()


def test_create_refuses_a_folder_in_use(recorded, tmp_path):
    path = recorded(3)
    with pytest.raises(LogFault, match="not empty"):
        Recording.create(path, "x")
    (tmp_path / "file").write_text("x")
    with pytest.raises(LogFault):
        Recording.create(tmp_path / "file", "x")


def test_what_is_no_recording_says_so(tmp_path):
    with pytest.raises(LogFault, match="no recording"):
        Recording.open(tmp_path)
    with pytest.raises(LogFault, match="no recording"):
        Recording.open(tmp_path / "nowhere")


# ---- damage


def test_every_flipped_bit_of_the_manifest_shows(recorded):
    path = recorded(5)
    seal(path)
    data = (path / "manifest.json").read_bytes()
    assert manifest.encode(manifest.decode(data)) == data
    for at in range(len(data)):
        for bit in range(8):
            bad = bytearray(data)
            bad[at] ^= 1 << bit
            with pytest.raises(DamageFault, match="manifest"):
                manifest.decode(bytes(bad))
    for bad in (b"", b"{}", data[:-1], data + b"\n", data.replace(b" ", b""), b"\xff" * 50):
        with pytest.raises(DamageFault):
            manifest.decode(bad)


def test_a_newer_format_is_not_damage(recorded):
    listed = manifest.load(recorded(3))
    with pytest.raises(SchemaFault, match="newer version"):
        manifest.decode(manifest.encode(replace(listed, format=99)))


@pytest.fixture
def whole(recorded):
    """A recording with everything in it: sealed and hot segments, config, start state, snapshot."""
    path = recorded(40, segment_bytes=9_000)
    seal(path, leave_last=True)
    head = Recording.open(path).head
    start = snapshot.save_start(path, snapshot.Snapshot(0, b"\0" * 32, {"pools": b"{}"}, {}), "x")
    manifest.edit(path, lambda listed: replace(listed, start=start))
    snapshot.save(path, snapshot.Snapshot(40, head, {"pools": b'{"a":1}'}, {"code": "1"}))
    assert Recording.open(path).verify_bytes(deep=True).faults == ()
    return path


def test_a_flipped_byte_anywhere_is_named_with_file_and_place(whole):
    for name, data in files_of(whole).items():
        if name.name == "manifest.json":
            continue
        step = max(1, len(data) // 60)
        for at in [*range(0, len(data), step), len(data) - 1]:
            bad = bytearray(data)
            bad[at] ^= 1 << (at % 8)
            (whole / name).write_bytes(bad)
            checked = Recording.open(whole).verify_bytes() if "jsonl" not in name.name or at > 600 else None
            if checked is None:
                continue
            found = checked.snapshots if name.parts[0] == "snapshots" else checked.faults
            assert len(found) == 1, (name, at)
            assert name.name in str(found[0])
            assert "byte" in str(found[0])
            assert not (checked.faults and checked.snapshots)
        (whole / name).write_bytes(data)
    assert Recording.open(whole).verify_bytes().faults == ()


def test_the_opening_line_of_a_listed_hot_segment_is_covered(whole):
    (hot,) = (whole / "segments").glob("*.jsonl")
    data = hot.read_bytes()
    for at in range(data.index(b"\n") + 1):
        bad = bytearray(data)
        bad[at] ^= 4
        hot.write_bytes(bad)
        assert len(Recording.open(whole).verify_bytes().faults) == 1


def test_readers_refuse_damaged_bytes_before_they_decode_them(whole):
    for file in sorted((whole / "segments").rglob("*.parquet")):
        data = file.read_bytes()
        for at in range(0, len(data), max(1, len(data) // 20)):
            bad = bytearray(data)
            bad[at] ^= 16
            file.write_bytes(bad)
            with pytest.raises(DamageFault, match=file.name):
                list(Recording.open(whole).records())
        file.write_bytes(data[:-3])
        with pytest.raises(DamageFault, match=file.name):
            list(Recording.open(whole).records())
        file.write_bytes(data)


@pytest.mark.parametrize(
    "pattern", ["segments/seg-*0", "segments/*.jsonl", "segments/*/trade.parquet", "config/s.toml", "start-*"]
)
def test_anything_missing_is_damage(whole, pattern):
    place = min(whole.glob(pattern))
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    try:
        faults = Recording.open(whole).verify_bytes().faults
    except DamageFault as fault:
        faults = (fault,)
    assert "missing" in str(faults[0])


def test_what_does_not_belong_is_named(whole):
    segment = min((whole / "segments").glob("seg-*0"))
    shutil.copy(segment / "trade.parquet", segment / "trade2.parquet")
    assert "trade2.parquet is not in the manifest" in str(Recording.open(whole).verify_bytes().faults[0])
    with (segment / "trade.parquet").open("ab") as file:
        file.write(b"more")
    assert any("more than was written" in str(fault) for fault in Recording.open(whole).verify_bytes().faults)


def test_deep_finds_what_agrees_with_the_hashes_but_not_with_the_chain(whole):
    def lie(listed):
        segments = list(listed.segments)
        segments[0] = replace(segments[0], head="0" * 64)
        segments[1] = replace(segments[1], previous="0" * 64)
        return replace(listed, segments=tuple(segments))

    manifest.edit(whole, lie)
    assert Recording.open(whole).verify_bytes().faults == ()
    faults = Recording.open(whole).verify_bytes(deep=True).faults
    assert "encoded again they give the head" in str(faults[0])


def test_segments_that_do_not_link_are_refused(whole):
    manifest.edit(whole, lambda listed: replace(listed, segments=(listed.segments[0], *listed.segments[2:])))
    with pytest.raises(DamageFault, match="does not go on"):
        Recording.open(whole)


# ---- recovery


@pytest.mark.parametrize("cleanly", [True, False])
def test_a_cut_recording_says_what_is_missing_and_recovers_the_rest(recorded, history, cleanly):
    path = recorded(40)
    if not cleanly:
        manifest.edit(path, lambda listed: replace(listed, segments=()))
    (hot,) = (path / "segments").glob("*.jsonl")
    data = hot.read_bytes()
    start = data.index(b"\n") + 1
    for cut in (len(data) - 1, len(data) - 200, len(data) // 2, start + 5, start, start - 1, 0):
        hot.write_bytes(data[:cut])
        complete = max(0, min(data[:cut].count(b"\n") - 1, 40))
        tail = cut - (data[:cut].rfind(b"\n") + 1)
        copy = path.with_name(f"cut{cut}")
        shutil.copytree(path, copy)
        if cleanly:
            assert "jsonl at byte" in str(Recording.open(copy).verify_bytes().faults[0])
            losses = " ".join(Recording.open(copy).losses())
            gone = (
                f"records {complete} to 39, which the manifest lists, are" if complete < 40 else "its closing line is"
            )
            assert f"{gone} cut off" in losses
        assert list(Recording.open(copy).records()) == history.records(complete)
        assert Recording.open(copy).next_seq == complete
        assert (f"{tail} bytes of an incomplete last line" in " ".join(Recording.open(copy).losses())) == (tail > 0)
        found = recover(copy)
        assert (found.lost_bytes if found else 0) == tail
        assert (found.lost_records if found else 0) == (40 - complete if cleanly else 0)
        recording = Recording.open(copy)
        assert list(recording.records()) == history.records(complete)
        assert recording.verify_bytes(deep=True).faults == ()
        with Recording.resume(copy) as session:
            assert session.next_seq == complete
            for seq in range(complete, 50):
                session.append(history.record(seq))
        assert list(Recording.open(copy).records()) == history.records(50)
        assert seal(copy) == (2 if complete else 1)
        assert list(Recording.open(copy).records()) == history.records(50)


def test_recovery_leaves_a_sound_recording_as_it_is(whole):
    before = files_of(whole)
    recover(whole)
    assert files_of(whole) == before


def test_damage_in_the_middle_is_not_recovered(recorded):
    path = recorded(40)
    (hot,) = (path / "segments").glob("*.jsonl")
    data = bytearray(hot.read_bytes())
    data[3_000] ^= 1
    hot.write_bytes(data)
    with pytest.raises(DamageFault, match=r"seg-0+\.jsonl at byte \d+, seq \d+"):
        recover(path)
    assert hot.read_bytes() == data


def test_a_blessing_is_kept(recorded):
    path = recorded(3)
    manifest.edit(
        path, lambda listed: replace(listed, blessed=(*listed.blessed, Blessing("wider stop", 7)), pinned=True)
    )
    listed = Recording.open(path).manifest
    assert (listed.blessed, listed.pinned) == ((Blessing("wider stop", 7),), True)


def test_a_newer_schema_halts_reducers_and_not_readers(recorded, monkeypatch):
    with monkeypatch.context() as newer:
        newer.setattr("ironcrab.log.anchor.SCHEMA_VERSION", 2)
        path = recorded(10)
    recording = Recording.open(path)
    with pytest.raises(SchemaFault, match="schema 2"):
        list(recording.records())
    assert [record.seq for record in recording.loose()] == list(range(10))
    assert recording.verify_bytes(deep=True).faults == ()
    with pytest.raises(SchemaFault, match="schema 2"):
        seal(path)


def test_loose_records_are_the_same_hot_and_sealed(recorded):
    path = recorded(40)
    hot = list(Recording.open(path).loose(3, 37))
    seal(path)
    assert list(Recording.open(path).loose(3, 37)) == hot
    assert [record.seq for record in hot] == list(range(3, 37))


def test_a_reader_opened_before_sealing_is_told_to_open_again(recorded):
    path = recorded(60, segment_bytes=9_000)
    recording = Recording.open(path)
    seal(path)
    with pytest.raises(DamageFault, match="open the recording again"):
        list(recording.records())
