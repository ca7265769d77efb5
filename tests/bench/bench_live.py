"""Figures of a live session: how long an arrival takes until all that follows from it is appended, and how long a restart.

python -m tests.bench.bench_live lag RATE SECONDS     a demo market played by another process, a session here
python -m tests.bench.bench_live restart RECORDS      a log of so many records, states beside it, then a restart
"""

import asyncio
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.mode.beside import leave_states
from ironcrab.mode.live import LiveSettings, live_until
from ironcrab.mode.outlets import paper_outlets
from ironcrab.mode.taking import Live
from ironcrab.shell.clock import now_ns
from ironcrab.shell.endpoint import endpoint
from ironcrab.shell.geyser_demo import demo
from tests.bench.figures import beside
from tests.live.desk import BEGAN, ROOT, frames, read, session

WANTED = {1_000: {"p50": 300, "p99": 1_000}, 5_000: {"p99": 2_000}}
"""Most microseconds of a lag, by updates a second."""


def whole():
    """The demo's scenario with every strategy there is."""
    tree = tomllib.loads((ROOT / "scenarios" / "demo.toml").read_text(encoding="utf-8"))
    return read("demo", tree | {"strategies": ["momentum", "arbitrage"]}, "the bench")


def lag(rate, seconds):
    """p50, p99 and the longest lag of arrivals, microseconds, and the session's own summary."""
    lags = []
    arrive = Live.arrive

    def timed(live, arrival):
        arrive(live, arrival)
        lags.append(now_ns() - arrival[0])

    Live.arrive = timed
    told = whole()

    async def outlets(_):
        return paper_outlets(told)

    with tempfile.TemporaryDirectory() as data, (Path(data) / "capture.frames").open("wb") as capture:
        for update in demo(1, rate, int(seconds / 0.4)):
            capture.write(len(update.body).to_bytes(4, "big") + update.body)
        capture.flush()
        command = [sys.executable, "-m", "ironcrab.app", "feed", capture.name, "--port", "0"]
        feed = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        url = feed.stderr.readline().split(" at ")[1].strip()
        settings = LiveSettings(endpoint(url), Path(data) / "data", seconds=seconds, hot=True)
        summary = asyncio.run(live_until(told, settings, outlets))
        feed.kill()
    lags.sort()
    at = {name: lags[int(len(lags) * share)] // 1000 for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))}
    verdict = " ".join(
        beside(f"{name} <= {most} us", held=at[name] <= most) for name, most in WANTED.get(rate, {}).items()
    )
    print(
        f"{rate}/s: {len(lags):,} arrivals, lag us {at}, longest {lags[-1] // 1000}, decisions {summary.decisions} {verdict}"
    )


def restart(records):
    """Seconds from opening the log to the first new event folded."""
    with tempfile.TemporaryDirectory() as data:
        folder = Path(data) / "demo"
        live = session(folder, whole(), segment_bytes=16 << 20)
        live.open(BEGAN)
        last = BEGAN
        for last, _, frame in frames(rate=2_000, slots=10**9):
            live.arrive((last, frame))
            if live.drive.loop.seq >= records:
                break
        live.session.close()
        seal(folder)
        print(f"{live.drive.loop.seq:,} records made")
        leave_states(Recording.open(folder))
        begin = time.perf_counter()
        again = session(folder, whole())
        again.open(last)
        opened = time.perf_counter() - begin
        own = again.drive.loop.seq - again.first_seq
        print(f"restart {opened:.2f} s, {own} records of its own {beside('<= 3', held=opened <= 3)}")
        again.session.close()


if __name__ == "__main__":
    lag(int(sys.argv[2]), float(sys.argv[3])) if sys.argv[1] == "lag" else restart(int(sys.argv[2]))
