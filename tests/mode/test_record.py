"""The commands feed and record as processes: signals, resume, kill -9, bad input."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from ironcrab.domain.control import FeedConnected, GapClosed, LogRecovered, RunEnded, RunStarted
from ironcrab.domain.market import SlotUpdate, Trade
from ironcrab.log.recording import Recording

ROOT = Path(__file__).parents[2]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
MODULE = [sys.executable, "-m", "ironcrab.app"]


@contextmanager
def feed(*words):
    """`ironcrab feed` on a free port; gives its URL."""
    process = subprocess.Popen([*MODULE, "feed", *words, "--port", "0"], env=ENV, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stderr.readline()
        found = re.search(r"http://\S+", line)
        assert found, line
        yield found[0]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        process.stderr.close()


def record(url, data, *words):
    command = [*MODULE, "record", "r", "--endpoint", url, "--data", str(data), *words]
    return subprocess.Popen(command, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path, trades, seconds=15):
    """Wait until the recording holds so many trades."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (path / "manifest.json").exists():
            count = sum(1 for _ in Recording.open(path).records((Trade,)))
            if count >= trades:
                return
        time.sleep(0.1)
    raise AssertionError(f"not {trades} trades after {seconds} s")


def of(path, *kinds):
    return [entry.event for entry in Recording.open(path).records(kinds)]


def trades_of(path):
    return [(event.signature, event.position) for event in of(path, Trade)]


def test_stop_by_signal_and_go_on(tmp_path):
    with feed("demo", "--speed", "3") as url:
        first = record(url, tmp_path, "--raw")
        wait_for(tmp_path / "r", 20)
        time.sleep(1.5)  # the status line is looked at each second
        first.send_signal(signal.SIGINT)
        out, err = first.communicate(timeout=20)
        assert first.returncode == 0, err
        assert "next: ironcrab inspect" in out
        assert "slot 400,000,0" in err
        before = len(trades_of(tmp_path / "r"))
        second = record(url, tmp_path, "--seconds", "2.5", "--json")
        out, err = second.communicate(timeout=20)
        assert second.returncode == 0, err
        told = json.loads(out)
    assert told["added"] > 10
    assert told["records"] == Recording.open(tmp_path / "r").next_seq
    trades = trades_of(tmp_path / "r")
    assert len(trades) > before
    assert len(trades) == len(set(trades))
    runs = of(tmp_path / "r", RunStarted, RunEnded)
    assert [type(event).__name__ for event in runs] == ["RunStarted", "RunEnded"] * 2
    assert [event.run for event in runs] == [0, 0, 1, 1]
    assert list((tmp_path / "r" / "raw").glob("*.frames"))
    assert_no_hole(tmp_path / "r")


def assert_no_hole(path):
    """Every slot between the first and the last was told from its beginning to its end; no gap is left unfilled."""
    statuses = {}
    for event in of(path, SlotUpdate):
        statuses.setdefault(event.slot, []).append(event.status)
    slots = [slot for slot, told in sorted(statuses.items()) if "created" in told]
    assert slots == list(range(slots[0], slots[-1] + 1))
    assert all(statuses[slot].count("processed") == 1 for slot in slots[:-1])
    assert all(event.filled for event in of(path, GapClosed))


def test_kill_9_again_and_again(tmp_path):
    """Killed at any instant, the log goes on without a trade twice, without a hole, without an unfilled gap."""
    with feed("demo", "--speed", "3") as url:
        for turn, pause in enumerate((0.0, 0.13, 0.29)):
            recorder = record(url, tmp_path)
            have = len(trades_of(tmp_path / "r")) if turn else 0
            wait_for(tmp_path / "r", have + 12)
            time.sleep(pause)
            recorder.kill()
            recorder.wait(5)
            recorder.stdout.close()
            recorder.stderr.close()
        last = record(url, tmp_path, "--seconds", "2")
        _, err = last.communicate(timeout=20)
        assert last.returncode == 0, err
    path = tmp_path / "r"
    trades = trades_of(path)
    assert len(trades) == len(set(trades)) > 36
    assert_no_hole(path)
    assert [event.run for event in of(path, RunStarted)] == [0, 1, 2, 3]
    assert len(of(path, LogRecovered)) <= 3
    connects = of(path, FeedConnected)
    assert len(connects) == 4
    assert all(event.from_slot is not None for event in connects[1:])
    assert Recording.open(path).verify_bytes(deep=True).faults == ()


@pytest.mark.slow
def test_the_raw_frames_of_a_recording_feed_again(tmp_path):
    with feed("demo", "--speed", "3") as url:
        first = record(url, tmp_path, "--raw", "--seconds", "2.5", "--tracked", "0")
        _, err = first.communicate(timeout=20)
        assert first.returncode == 0, err
    original = trades_of(tmp_path / "r")
    with feed(str(tmp_path / "r"), "--speed", "max") as url:
        again = record(url, tmp_path / "again", "--seconds", "3", "--tracked", "0")
        _, err = again.communicate(timeout=20)
        assert again.returncode == 0, err
    assert trades_of(tmp_path / "again" / "r") == original


@pytest.mark.parametrize(("words", "sentence"), [
    (("--endpoint", "ftp://x"), "is no URL"),
    (("--endpoint", "http://127.0.0.1:1"), "cannot reach"),
    (("--endpoint", "http://127.0.0.1:1", "--token-file", "/nonexistent"), "cannot read"),
])  # fmt: skip
def test_bad_input_of_record(words, sentence, tmp_path):
    command = [*MODULE, "record", "r", "--data", str(tmp_path), *words]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert sentence in lines[0]
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(("words", "code", "sentence"), [
    (("nothing",), 1, "is no capture"),
    (("demo", "--faults", "none.toml"), 1, "cannot read the fault script"),
    (("demo", "--fault", "explode@3"), 1, "write it as cut@120"),
    (("demo", "--speed", "0"), 2, "neither a number above 0 nor max"),
    (("demo", "--tls-key", "k"), 1, "TLS needs both"),
])  # fmt: skip
def test_bad_input_of_feed(words, code, sentence, tmp_path):
    command = [*MODULE, "feed", *words, "--port", "0"]
    done = subprocess.run(command, env=ENV, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == code
    assert sentence in done.stderr


def test_a_name_is_no_path(tmp_path):
    command = [*MODULE, "record", "../r", "--data", str(tmp_path), "--endpoint", "http://127.0.0.1:1"]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "no plain name" in done.stderr
