"""The hot end: nothing recorded is lost, nothing half-written is taken, damage halts."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ironcrab.domain.fault import DamageFault, DiskFault, LockFault, LogFault
from ironcrab.log import hot, line, walk
from ironcrab.log.hot import HotWriter, recover

LOG = "log-of-tests"
ROOT = Path(__file__).parents[2]


def fill(folder, records, **arguments):
    folder.mkdir(exist_ok=True)
    arguments = {"commit_interval_s": None} | arguments
    with HotWriter(folder, LOG, records[0].seq, line.genesis(LOG), **arguments) as writer:
        for record in records:
            writer.append(record)
    return writer


def read_all(folder):
    return [record for path in walk.hot_files(folder) for record in walk.records(path)]


def test_what_was_appended_comes_back(tmp_path, history):
    records = history.records(500)
    writer = fill(tmp_path, records, segment_bytes=20_000)
    files = walk.hot_files(tmp_path)
    assert len(files) > 5
    assert read_all(tmp_path) == records
    found = [walk.walk(path) for path in files]
    assert all(segment.closed for segment in found)
    assert (found[-1].next_seq, found[-1].head) == (500, writer.head)
    assert recover(tmp_path).head == writer.head
    assert recover(tmp_path).lost_bytes == 0


@pytest.mark.parametrize("arguments", [{"segment_bytes": 9_000}, {"segment_age_ns": 40}])
def test_bytes_depend_on_the_records_alone(tmp_path, history, arguments):
    records = history.records(200)
    folders = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    for folder, interval in zip(folders, (None, 0.001, 0.02), strict=True):
        fill(folder, records, commit_interval_s=interval, **arguments)
    first = {path.name: path.read_bytes() for path in walk.hot_files(folders[0])}
    assert len(first) > 3
    for folder in folders[1:]:
        assert {path.name: path.read_bytes() for path in walk.hot_files(folder)} == first


def test_seek_reads_any_range(tmp_path, history):
    records = history.records(60)
    fill(tmp_path, records)
    (path,) = walk.hot_files(tmp_path)
    for first in range(62):
        for last in (first, first + 1, first + 7, None):
            assert list(walk.records(path, first, last)) == records[first:last]


def test_a_second_writer_is_refused_until_the_first_lets_go(tmp_path, history):
    with HotWriter(tmp_path, LOG, 0, line.genesis(LOG)) as first:
        with pytest.raises(LockFault, match="another writer holds the log"):
            HotWriter(tmp_path, LOG, 0, line.genesis(LOG))
        with pytest.raises(LockFault):
            recover(tmp_path)
        first.append(history.record(0))
    fill(tmp_path, history.records(2, 1))


def test_a_wrong_seq_or_value_is_refused_and_the_writer_goes_on(tmp_path, history):
    with HotWriter(tmp_path, LOG, 0, line.genesis(LOG), commit_interval_s=None) as writer:
        writer.append(history.record(0))
        with pytest.raises(LogFault, match="1 is next"):
            writer.append(history.record(2))
        writer.append(history.record(1))
    assert read_all(tmp_path) == history.records(2)


def test_the_watermark_never_runs_ahead_of_the_disk(tmp_path, history, monkeypatch):
    synced, real = [0], os.fdatasync

    def sync(handle):
        real(handle)
        synced[0] = os.fstat(handle).st_size

    monkeypatch.setattr(hot.os, "fdatasync", sync)
    with HotWriter(tmp_path, LOG, 0, line.genesis(LOG), commit_interval_s=0.001) as writer:
        assert writer.durable_seq == -1
        for seq in range(300):
            writer.append(history.record(seq))
            durable, size = writer.durable_seq, synced[0]
            data = walk.hot_files(tmp_path)[0].read_bytes()[:size] if durable >= 0 else b""
            assert durable < 0 or b'{"seq":%d,' % durable in data
        writer.commit()
        assert writer.durable_seq == 299


def test_the_caller_does_not_wait_for_the_disk(tmp_path, history, monkeypatch):
    """While a sync hangs, appends go on; nothing new is called durable until it returns."""
    hangs = threading.Event()
    monkeypatch.setattr(hot.os, "fdatasync", lambda handle: hangs.wait(20))
    with HotWriter(tmp_path, LOG, 0, line.genesis(LOG), commit_interval_s=0.001) as writer:
        for seq in range(50):
            writer.append(history.record(seq))
        assert writer.next_seq == 50
        assert writer.durable_seq < 49
        hangs.set()


# ---- damage


def cut_and_recover(folder, data, name):
    for old in folder.iterdir():
        old.unlink()
    (folder / name).write_bytes(data)
    return recover(folder)


@pytest.mark.parametrize("count", [12, pytest.param(40, marks=pytest.mark.slow)])
def test_cut_at_every_byte_recovers_all_complete_records(tmp_path, history, count):
    records = history.records(count)
    fill(tmp_path / "whole", records)
    (path,) = walk.hot_files(tmp_path / "whole")
    data = path.read_bytes()
    folder = tmp_path / "cut"
    folder.mkdir()
    for length in range(len(data) + 1):
        cut = data[:length]
        complete = max(0, min(count, cut.count(b"\n") - 1))
        found = cut_and_recover(folder, cut, path.name)
        tail = len(cut) - (cut.rfind(b"\n") + 1)
        if found is None:
            assert complete == 0
            assert tail == 0
            continue
        assert found.lost_bytes == tail
        assert (folder / found.kept_in).read_bytes() == cut[len(cut) - tail :] if tail else found.kept_in == ""
        assert max(found.next_seq, 0) == complete
        if length % 97 == 0:
            assert read_all(folder) == records[:complete]
            assert recover(folder) is None or recover(folder).lost_bytes == 0


def poke(path, at, value):
    """Change one byte in place."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes([value]))


@pytest.mark.parametrize("count", [12, pytest.param(40, marks=pytest.mark.slow)])
def test_flip_of_every_byte_is_never_taken_for_a_torn_tail(tmp_path, history, count):
    records = history.records(count)
    fill(tmp_path / "whole", records, segment_bytes=count * 120)
    whole = {path.name: path.read_bytes() for path in walk.hot_files(tmp_path / "whole")}
    folder = tmp_path / "bad"
    folder.mkdir()
    for name, data in whole.items():
        (folder / name).write_bytes(data)
    for name, data in whole.items():
        for at in range(len(data)):
            poke(folder / name, at, data[at] ^ (1 << (at % 8)))
            with pytest.raises(LogFault) as fault:
                recover(folder)
            assert name in str(fault.value) or "is missing" in str(fault.value), str(fault.value)
            poke(folder / name, at, data[at])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


@pytest.mark.slow
def test_flip_of_every_bit_of_the_last_records(tmp_path, history):
    fill(tmp_path, history.records(3))
    (path,) = walk.hot_files(tmp_path)
    data = path.read_bytes()
    for at in range(len(data)):
        for bit in range(8):
            poke(path, at, data[at] ^ (1 << bit))
            with pytest.raises(LogFault):
                recover(tmp_path)
        poke(path, at, data[at])


@pytest.mark.parametrize("closed", [True, False])
def test_lines_dropped_swapped_or_doubled_halt(tmp_path, history, closed):
    fill(tmp_path, history.records(10))
    (path,) = walk.hot_files(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines = lines if closed else lines[:-1]
    broken = [
        lines[:3] + lines[4:],
        [*lines[:3], lines[4], lines[3], *lines[5:]],
        lines[:4] + lines[3:],
        [*lines, lines[5]],
        [*lines[:5], b"\x00" * 40 + b"\n", *lines[5:]],
        [*lines[:5], b"\n", *lines[5:]],
        lines[1:],
    ]
    for bad in broken:
        path.write_bytes(b"".join(bad))
        with pytest.raises(DamageFault, match=r"seg-0+\.jsonl at byte \d+"):
            recover(tmp_path)


def test_a_missing_or_open_segment_in_the_middle_halts(tmp_path, history):
    fill(tmp_path, history.records(40), segment_bytes=5_000)
    files = walk.hot_files(tmp_path)
    whole = files[1].read_bytes()
    files[1].unlink()
    with pytest.raises(DamageFault, match=files[2].name):
        recover(tmp_path)
    files[1].write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])
    with pytest.raises(DamageFault, match=files[1].name):
        recover(tmp_path)
    files[1].write_bytes(whole)
    assert recover(tmp_path).next_seq == 40


def test_the_log_goes_on_after_a_recovery(tmp_path, history):
    fill(tmp_path, history.records(10))
    (path,) = walk.hot_files(tmp_path)
    path.write_bytes(path.read_bytes()[:-150])
    found = recover(tmp_path)
    assert found.lost_bytes > 0
    with HotWriter(tmp_path, LOG, found.next_seq, found.head, commit_interval_s=None) as writer:
        for seq in range(found.next_seq, 20):
            writer.append(history.record(seq))
    assert read_all(tmp_path) == history.records(20)
    assert recover(tmp_path).next_seq == 20


# ---- the disk refuses


class Disk:
    """Stands before os.write, os.fdatasync: refuses from the nth call on; counts calls after the refusal."""

    def __init__(self, monkeypatch, *, call, nth, code, partial=False):
        self.left, self.code, self.partial, self.refused, self.after = nth, code, partial, False, 0
        self.real = {"write": os.write, "fdatasync": os.fdatasync}
        monkeypatch.setattr(hot.os, "write", lambda *a: self.step("write", call, *a))
        monkeypatch.setattr(hot.os, "fdatasync", lambda *a: self.step("fdatasync", call, *a))

    def step(self, name, broken, *arguments):
        if self.refused:
            self.after += 1
        if name == broken:
            self.left -= 1
            if self.left < 0:
                if name == "write" and self.partial and not self.refused:
                    self.refused = True
                    return self.real["write"](arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                self.refused = True
                raise OSError(self.code, os.strerror(self.code))
        return self.real[name](*arguments)


def append_until_refused(writer, history, *, every):
    """(last seq that was committed, the fault)."""
    reached = -1
    for seq in range(5_000):
        try:
            writer.append(history.record(seq))
            if seq % every == every - 1:
                writer.commit()
                reached = seq
        except DiskFault as fault:
            return reached, fault
    raise AssertionError("the disk never refused")


@pytest.mark.parametrize("interval", [None, 0.001])
@pytest.mark.parametrize("broken", [(call, part) for call in (0, 1, 3) for part in (False, True)], ids=str)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_refused_write_is_final_and_loses_nothing(tmp_path, history, monkeypatch, interval, broken, code):
    disk = Disk(monkeypatch, call="write", nth=broken[0], code=code, partial=broken[1])
    writer = HotWriter(tmp_path, LOG, 0, line.genesis(LOG), commit_interval_s=interval)
    reached, fault = append_until_refused(writer, history, every=100)
    assert "the disk refused" in str(fault)
    assert "records up to" in str(fault)
    calls = disk.after
    with pytest.raises(DiskFault):
        writer.append(history.record(writer.next_seq))
    with pytest.raises(DiskFault):
        writer.close()
    assert disk.after == calls
    monkeypatch.undo()
    found = recover(tmp_path)
    recovered = 0 if found is None or found.next_seq < 0 else found.next_seq
    assert recovered > reached
    assert read_all(tmp_path) == history.records(recovered)


@pytest.mark.parametrize("nth", [0, 2])
def test_a_failed_sync_is_never_tried_again_and_the_watermark_stays(tmp_path, history, monkeypatch, nth):
    disk = Disk(monkeypatch, call="fdatasync", nth=nth, code=errno.EIO)
    writer = HotWriter(tmp_path, LOG, 0, line.genesis(LOG), commit_interval_s=0.001)
    reached, fault = append_until_refused(writer, history, every=1)
    assert "Input/output error" in str(fault)
    assert writer.durable_seq == reached
    with pytest.raises(DiskFault):
        writer.close()
    assert disk.after == 0


def test_unsynced_writes_may_vanish_in_any_way_and_what_was_durable_stands(tmp_path, history, monkeypatch):
    """The file as a power cut could leave it: the synced part whole, of the rest any prefix."""
    synced = {}
    real = os.fdatasync

    def sync(handle):
        real(handle)
        synced[str(Path(f"/proc/self/fd/{handle}").readlink())] = os.fstat(handle).st_size

    monkeypatch.setattr(hot.os, "fdatasync", sync)
    folder = tmp_path / "log"
    folder.mkdir()
    writer = HotWriter(folder, LOG, 0, line.genesis(LOG), commit_interval_s=60, segment_bytes=8_000)
    for seq in range(100):
        writer.append(history.record(seq))
        if seq % 10 == 9:
            writer.commit()
    durable, at_sync = writer.durable_seq, dict(synced)
    assert durable == 99
    for seq in range(100, 107):
        writer.append(history.record(seq))
    writer.close()
    files = {path: path.read_bytes() for path in walk.hot_files(folder)}
    last = max(files)
    for length in range(at_sync[str(last)], len(files[last]) + 1, 13):
        last.write_bytes(files[last][:length])
        found = recover(folder)
        assert found.next_seq > durable
        assert read_all(folder) == history.records(found.next_seq)
        for torn in folder.glob("*.torn*"):
            torn.unlink()


@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_lost_pages_never_make_a_wrong_record(tmp_path, history, data):
    """Pages of the unsynced end may be lost in any order: recovery keeps all that was durable, or halts."""
    folder = tmp_path / "pages"
    shutil.rmtree(folder, ignore_errors=True)
    writer = fill(folder, history.records(60))
    assert writer.next_seq == 60
    (path,) = walk.hot_files(folder)
    whole = path.read_bytes()
    durable = data.draw(st.integers(0, 59))
    safe = whole.index(b'{"seq":%d,' % durable) if durable else 0
    after = bytearray(whole[: data.draw(st.integers(safe, len(whole)))])
    for page in data.draw(st.lists(st.integers(safe // 512 + 1, len(whole) // 512), max_size=4)):
        after[page * 512 : (page + 1) * 512] = b"\0" * len(after[page * 512 : (page + 1) * 512])
    path.write_bytes(after)
    try:
        found = recover(folder)
    except DamageFault:
        return
    reached = 0 if found is None or found.next_seq < 0 else found.next_seq
    assert reached >= durable
    assert read_all(folder) == history.records(reached)


@settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=300))
def test_garbage_in_place_of_a_segment_is_a_fault_or_a_tail(tmp_path, data):
    path = tmp_path / "seg-00000000000000000000.jsonl"
    path.write_bytes(data)
    try:
        found = walk.walk(path)
    except LogFault:
        return
    assert (found.opening, found.end) == (None, 0)


WRITER = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from ironcrab.domain.market import SlotUpdate
from ironcrab.log.recording import Recording
from ironcrab.loop import Record
path = Path(sys.argv[1])
session = Recording.resume(path, commit_interval_s=0.001, segment_bytes=200_000)
told = -1
for seq in range(session.next_seq, 1 << 40):
    session.append(Record(seq, None, None, seq, SlotUpdate(seq)))
    if session.durable_seq > told:
        told = session.durable_seq
        print(told, flush=True)
"""


def test_kill_minus_nine_loses_nothing_durable(tmp_path):
    from ironcrab.domain.market import SlotUpdate
    from ironcrab.log.recording import Recording, recover
    from ironcrab.loop import Record

    path = tmp_path / "r"
    Recording.create(path, LOG).close()
    durable = -1
    for wait in (0.05, 0.2, 0.4):
        script = WRITER.format(root=str(ROOT))
        child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
        child.stdout.readline()
        time.sleep(wait)
        child.send_signal(signal.SIGKILL)
        told = child.stdout.read().split()
        child.wait()
        child.stdout.close()
        durable = max(durable, *map(int, told[:-1] or [-1]))
        recover(path)
        found = list(Recording.open(path).records())
        assert len(found) > durable
        assert found == [Record(seq, None, None, seq, SlotUpdate(seq)) for seq in range(len(found))]
