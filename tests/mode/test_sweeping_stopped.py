"""A sweep that stops at any point: one sentence, what is done stands, the same command gives the same table."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ironcrab.domain.fault import DiskFault, InputFault
from ironcrab.mode import sweeping
from ironcrab.mode.anew import Span
from ironcrab.mode.axes import Part, axis, rows
from ironcrab.mode.generating import generate
from ironcrab.mode.sweeping import Partial, plan, sweep
from ironcrab.mode.synthetic import MarketParams

TREE = {"strategies": ["ema"], "outlets": [], "wallet": {"native_sol_lamports": 0}}
WHOLE = (Part(0, "whole", Span()),)


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopped") / "market"
    generate(MarketParams(events=1_500, coins=4, venues=("raydium",), states=False, launch_every=0), folder)
    return str(folder)


@pytest.fixture(scope="module")
def made(market):
    return plan("tests", TREE, rows((axis("ema.fast=2..7"),)), (market,), (WHOLE,))


@pytest.fixture(scope="module")
def done(made, tmp_path_factory):
    """The lines of a sweep that nothing stopped, and its partial file as it stood at the end."""
    home = tmp_path_factory.mktemp("done")
    lines = sweep(made, home / "t.parquet", 1)
    partial = Partial(home / "left", made)
    partial.add(lines)
    return lines, partial.path.read_bytes()


@pytest.fixture
def two_together(monkeypatch):
    monkeypatch.setattr(sweeping, "MOST_TOGETHER", 2)


def test_the_partial_file_cut_at_any_byte_is_gone_on_with(made, done, tmp_path):
    lines, data = done
    for length in range(len(data) + 1):
        path = tmp_path / str(length)
        path.write_bytes(data[:length])
        partial = Partial(path, made)
        assert partial.lines == lines[: max(0, data[:length].count(b"\n") - 1)]
        partial.add(lines[len(partial.lines) :])
        assert path.read_bytes() == data


def test_a_byte_of_another_is_another_sweeps(made, done, tmp_path):
    (tmp_path / "x").write_bytes(b"{}\n")
    with pytest.raises(InputFault, match="another sweep"):
        Partial(tmp_path / "x", made)


def full(monkeypatch, room):
    """A disk with so many bytes of room: the write that does not fit writes what does."""
    real = Path.open
    left = [room]

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            self.file.write(data[: left[0]])
            if len(data) > left[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            left[0] -= len(data)

    def opened(self, mode="r", *more, **named):
        file = real(self, mode, *more, **named)
        return Full(file) if mode == "ab" else file

    monkeypatch.setattr(Path, "open", opened)


@pytest.mark.parametrize("room", [0, 20, 90, 500, 1_500])
def test_a_full_disk(made, done, tmp_path, monkeypatch, two_together, room):
    lines, data = done
    assert room < len(data)
    with monkeypatch.context() as patch:
        full(patch, room)
        with pytest.raises(DiskFault, match=r"cannot write .*: No space left on device; make room") as fault:
            sweep(made, tmp_path / "t.parquet", 1)
    assert "\n" not in str(fault.value)
    assert (tmp_path / "t.parquet.partial").stat().st_size == room
    assert sweep(made, tmp_path / "t.parquet", 1) == lines


def test_no_room_for_the_table(made, done, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(sweeping.pq, "write_table", refuse)
        with pytest.raises(DiskFault, match="No space left on device; make room"):
            sweep(made, tmp_path / "t.parquet", 1)
    monkeypatch.setattr(sweeping, "work", None)
    assert sweep(made, tmp_path / "t.parquet", 1) == done[0]


def die_late(task):
    """The first task is done; the process of the next one is killed."""
    if task.rows[0]:
        time.sleep(1.5)
        os.kill(os.getpid(), signal.SIGKILL)
    return REAL(task)


REAL = sweeping._work


def test_a_worker_that_dies_leaves_what_others_did(made, done, tmp_path, monkeypatch, two_together):
    with monkeypatch.context() as patch:
        patch.setattr(sweeping, "_work", die_late)
        with pytest.raises(InputFault, match=r"a worker died .* with 2 of 6 lines done"):
            sweep(made, tmp_path / "t.parquet", 2)
    assert Partial(tmp_path / "t.parquet.partial", made).lines == done[0][:2]
    assert sweep(made, tmp_path / "t.parquet", 1) == done[0]


def children_of(pid):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except (OSError, ValueError):
            continue
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="skipped: there is no /proc to see processes in")
@pytest.mark.parametrize("word", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_whole_sweep_killed(market, tmp_path, word):
    (tmp_path / "s.toml").write_text('strategies = ["ema"]\noutlets = []\n')
    out = tmp_path / "t.parquet"
    command = [sys.executable, "-m", "ironcrab.app", "sweep", tmp_path / "s.toml", "--on", market, "--jobs", "2"]
    command = list(map(str, [*command, "--set", "ema.fast=2..600", "--out", out]))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    partial, began = out.with_name(out.name + ".partial"), time.monotonic()
    while not partial.exists() or partial.read_bytes().count(b"\n") < 3:
        assert time.monotonic() - began < 60
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    workers = children_of(process.pid)
    assert workers
    process.send_signal(word)
    told = process.communicate(timeout=60)[1]
    assert process.returncode
    if word == signal.SIGINT:
        assert told.count("\n") == 1
        assert "run the same command again" in told
    began = time.monotonic()
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() - began < 20, "a worker lives on"
        time.sleep(0.05)
    assert not out.exists()
    kept = partial.read_bytes().count(b"\n") - 1
    assert 2 <= kept < 599
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert not partial.exists()
    other = [*command[:-1], str(tmp_path / "other.parquet")]
    assert subprocess.run(other, capture_output=True, check=False).returncode == 0
    assert out.read_bytes() == (tmp_path / "other.parquet").read_bytes()


def test_two_sweeps_do_not_write_one_table(made, done, tmp_path):
    with sweeping.alone(tmp_path / "t.parquet.partial"), pytest.raises(InputFault, match="another sweep writes"):
        sweep(made, tmp_path / "t.parquet", 1)
    assert sweep(made, tmp_path / "t.parquet", 1) == done[0]
    with pytest.raises(DiskFault, match="name another --out"):
        sweep(made, tmp_path / "nowhere" / "t.parquet", 1)
