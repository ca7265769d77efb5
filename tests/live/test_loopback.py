"""The whole thing as a user runs it: a feed served by gRPC in one process, a live session in another, kill -9."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from ironcrab.domain.control import RunEnded
from ironcrab.domain.fault import DiskFault
from ironcrab.domain.trade import DecisionRecord
from ironcrab.log.hot import SegmentFiles
from ironcrab.log.recording import Recording
from ironcrab.mode.live import LiveSettings, live_until
from ironcrab.mode.outlets import paper_outlets
from ironcrab.mode.run import run as rerun
from ironcrab.shell import geyser_faults
from ironcrab.shell.endpoint import Endpoint
from ironcrab.shell.geyser_chain import Chain
from ironcrab.shell.geyser_demo import demo
from ironcrab.shell.geyser_server import GeyserServer
from tests.live.desk import ROOT, judged, play, scenario
from tests.live.desk import session as resumed

IRONCRAB = (sys.executable, "-m", "ironcrab.app")
SCENARIO = str(ROOT / "scenarios" / "demo.toml")
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}


@contextmanager
def demo_feed(*options):
    """The URL of a demo feed in a process of its own."""
    with subprocess.Popen(
        [*IRONCRAB, "feed", "demo", "--port", "0", *options], env=ENV, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process.stderr.readline().split(" at ")[1].strip()
        finally:
            process.kill()


def live(url, data, *options):
    return subprocess.Popen(
        [*IRONCRAB, "live", SCENARIO, "--endpoint", url, "--data", str(data), *options],
        env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


def run(*words):
    return subprocess.run([*IRONCRAB, *words], env=ENV, capture_output=True, text=True, cwd=ROOT, check=False)


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


def lines(folder):
    """(seq, head) of the whole lines that stand in the log, as bytes on the disk."""
    return [(record.seq, record.event) for record in Recording.open(folder).records()]


def test_four_commands_from_nothing_to_a_golden(tmp_path):
    data, golden = tmp_path / "data", tmp_path / "golden"
    with demo_feed("--rate", "250") as url:
        session = live(url, data, "--seconds", "16")
        out, _ = session.communicate(timeout=60)
    assert session.returncode == 0, out
    decisions = [record.seq for record in Recording.open(data / "demo").records((DecisionRecord,))]
    assert len(decisions) >= 10, out
    assert judged(data / "demo").records > 1_000
    cut = run("slice", str(data / "demo"), "--around", str(decisions[-2]), "--golden", "--out", str(golden))
    assert cut.returncode == 0, cut.stderr
    assert run("verify", str(golden)).returncode == 0


@pytest.mark.slow
def test_kill_9_and_go_on(tmp_path):
    """Killed at random moments, four times: what stood in the log stands there, and every run verifies."""
    data = tmp_path / "data"
    folder = data / "demo"
    chance = random.Random(5)
    with demo_feed("--rate", "250") as url:
        before = []
        for _ in range(4):
            session = live(url, data)
            count = len(before)
            until(lambda count=count: folder.exists() and _count(folder) > count + 300)
            time.sleep(chance.random())
            session.kill()
            session.communicate()
            after = lines(folder)
            assert after[: len(before)] == before
            before = after
        session = live(url, data, "--seconds", "2")
        _, err = session.communicate(timeout=60)
    assert session.returncode == 0, err
    assert lines(folder)[: len(before)] == before
    report = judged(folder)
    assert [found.run for found in report.runs] == [0, 1, 2, 3, 4]
    decided = [record.event.intent for record in Recording.open(folder).records((DecisionRecord,))]
    assert decided
    assert len(decided) == len(set(decided))


def _count(folder):
    return sum(path.read_bytes().count(b"\n") for path in (folder / "segments").glob("*.jsonl"))


def test_control_by_commands(tmp_path):
    data = tmp_path / "data"
    with demo_feed() as url:
        session = live(url, data)
        until((data / "demo.sock").exists)
        assert (data / "demo.sock").stat().st_mode & 0o077 == 0
        second = live(url, data)
        assert "another writer holds the log" in second.communicate(timeout=20)[1]
        killed = run("kill", "--reason", "lunch", "--data", str(data))
        assert killed.returncode == 0, killed.stderr
        assert "killed" in killed.stdout
        changed = run("set", "max_open_positions=3", "--data", str(data))
        assert "max_open_positions=3" in changed.stdout
        assert run("set", "wallet=x", "--data", str(data)).returncode == 3
        assert run("reset", "--data", str(data)).returncode == 0
        session.send_signal(signal.SIGTERM)
        _, err = session.communicate(timeout=30)
        assert session.returncode == 0, err
    assert not (data / "demo.sock").exists()
    assert isinstance(list(Recording.open(data / "demo").records())[-1].event, RunEnded)
    judged(data / "demo")
    late = run("kill", "--data", str(data))
    assert (data / "KILL").exists()
    assert "begins killed" in late.stdout
    assert run("reset", "--data", str(data)).returncode == 1


def test_nothing_is_left_of_a_session_that_cannot_start(tmp_path):
    data = tmp_path / "data"
    session = live("http://127.0.0.1:9", data)
    _, err = session.communicate(timeout=30)
    assert session.returncode == 1
    assert "cannot reach 127.0.0.1:9" in err
    assert not (data / "demo").exists()


def test_the_unit_names_everything(tmp_path):
    told = run(
        "unit",
        SCENARIO,
        "--endpoint",
        "https://one.example:443",
        "--data",
        str(tmp_path / "da ta"),
        "--",
        "--keep-hours",
        "9",
    )
    assert told.returncode == 0, told.stderr
    assert f'ReadWritePaths="{tmp_path}/da ta"' in told.stdout
    assert f'--keep-hours 9 --data "{tmp_path}/da ta"' in told.stdout
    assert "Restart=on-failure" in told.stdout
    if shutil.which("systemd-analyze"):
        unit = tmp_path / "ironcrab-demo.service"
        unit.write_text(told.stdout)
        judged_by = subprocess.run(
            ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False, timeout=30
        )
        assert "ironcrab-demo" not in judged_by.stderr, judged_by.stderr


def served(session):
    """Run `session(url)` beside a demo feed in this process."""

    async def go():
        chain = Chain(demo(3, 300, 60), speed=4.0)
        async with GeyserServer(chain) as server:
            return await session(Endpoint(f"127.0.0.1:{server.port}", tls=False), chain)

    return asyncio.run(go())


async def paper(_durable):
    return paper_outlets(scenario())


@pytest.mark.slow
def test_segments_rotate_and_are_sealed_and_states_are_left_beside(tmp_path):
    folder = tmp_path / "demo"

    async def session(endpoint, _chain):
        stop = asyncio.Event()
        settings = LiveSettings(endpoint, tmp_path, segment_bytes=400_000, states_every=700, hot=True)
        running = asyncio.create_task(live_until(scenario(), settings, paper, stop))
        async with asyncio.timeout(60):
            while not (list(folder.glob("segments/*/trade.parquet")) and list(folder.glob("snapshots/snap-*"))):
                assert not running.done(), running.result()
                await asyncio.sleep(0.05)
        stop.set()
        return await running

    summary = served(session)
    assert summary.records > 700
    judged(folder)
    before = list(Recording.open(folder).records())
    again = resumed(folder)
    play(again, [], before[-1].time + 1)
    assert list(Recording.open(folder).records())[: len(before)] == before
    judged(folder)


def test_a_full_disk_halts(tmp_path, monkeypatch):
    """Nothing more is said once the disk refuses; what is durable goes on with the next session."""
    written = SegmentFiles.write
    left = [1_500_000]

    def write(files, data):
        left[0] -= len(data)
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        written(files, data)

    async def session(endpoint, _chain):
        monkeypatch.setattr(SegmentFiles, "write", write)
        return await live_until(scenario(), LiveSettings(endpoint, tmp_path), paper, asyncio.Event())

    with pytest.raises(DiskFault, match="No space left"):
        served(session)
    monkeypatch.undo()
    folder = tmp_path / "demo"
    before = list(Recording.open(folder).records())
    assert len(before) > 100
    assert not any(isinstance(record.event, RunEnded) for record in before)
    play(resumed(folder), [], before[-1].time + 10**9)
    assert list(Recording.open(folder).records())[: len(before)] == before
    judged(folder)


@pytest.mark.slow
def test_under_faults_of_the_feed_it_decides_as_a_run_over_its_recording(tmp_path):
    """Cuts, a fork, a dead slot, a replay, a silence of two seconds: recorded, verified, and run anew with equal words."""
    script = ("cut@900:lose=5", "fork@1300", "dead@1700", "replay@2000", "silence@2300", "cut@2700")

    async def go():
        chain = Chain(demo(3, 300, 45), speed=3.0, script=[geyser_faults.read(text) for text in script])
        async with GeyserServer(chain, ping_s=0.3) as server:
            stop = asyncio.Event()
            settings = LiveSettings(Endpoint(f"127.0.0.1:{server.port}", tls=False), tmp_path, silence_s=1.0)
            running = asyncio.create_task(live_until(scenario(), settings, paper, stop))
            async with asyncio.timeout(60):
                await chain.finished.wait()
            await asyncio.sleep(0.5)
            stop.set()
            return await running

    summary = asyncio.run(go())
    report = judged(tmp_path / "demo")
    assert summary.gaps >= 2
    assert sum(summary.decisions.values()) > 3
    again = rerun(Recording.open(tmp_path / "demo"), scenario(), tmp_path / "again")
    assert again.digest == report.runs[0].digest
