"""Starting, asking and sweeping: how long until a replay's first event, SQL beside a raw scan, rows a process.

    python -m tests.bench.bench_reads [RECORDS]        default 200,000 of a generated market

- first event: a process is started, opens the recording and folds its first record (`ironcrab replay --until 0`).
- SQL: one aggregate over all trades through `ironcrab query`'s views, beside DuckDB on the Parquet files alone; and over
  `log`, the view of everything, beside the raw scan of the columns that it shows.
- pools: the EMA scenario decided anew over a market of trades on 50 pools when it names five of them, against all.
- screen: 40 pairs of averages of the EMA scenario counted by the compiled kernel, against one bare loop over the trades.
- sweep: rows a second of all processes together, against one process alone times the number of processes.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import msgspec

from ironcrab.domain.market import Trade
from ironcrab.log.contents import sealed_files
from ironcrab.log.recording import Recording
from ironcrab.mode.anew import Span, decide_anew
from ironcrab.mode.axes import Part, axis, rows
from ironcrab.mode.generating import generate, market_of
from ironcrab.mode.querying import query
from ironcrab.mode.scenario import read, read_tree
from ironcrab.mode.screening import screen, ticks_of
from ironcrab.mode.sweeping import plan, sweep
from ironcrab.mode.synthetic import MarketParams
from ironcrab.strategy.ema import EmaCross, EmaParams
from tests.bench.figures import beside

EMA = Path(__file__).parents[2] / "scenarios" / "ema.toml"
TREE = {"strategies": ["ema"], "engine": {"send_enabled": True}}


def least(job, times=5):
    """Seconds of the quickest of some goes."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        job()
        found.append(time.perf_counter() - began)
    return min(found)


def first_event(folder):
    command = [sys.executable, "-m", "ironcrab.app", "replay", str(folder), "--until", "0"]
    bare = least(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
    took = least(lambda: subprocess.run(command, check=False, capture_output=True))
    print(
        f"first event of a replay: {took:.3f} s after process start, a bare interpreter {bare:.3f} "
        f"{beside('<= 0.4', held=took <= 0.4)}"
    )


def sql(folder):
    recording = Recording.open(folder)
    files = sealed_files(recording)
    trades = [str(path) for path in files["Trade"]]
    ours = least(lambda: query(recording, "select pool_address, sum(sol_amount) from trade group by 1"))
    raw = least(
        lambda: (
            duckdb.connect()
            .execute("select pool_address, sum(sol_amount) from read_parquet(?) group by 1", [trades])
            .fetchall()
        )
    )
    print(f"SQL over trades: {ours:.3f} s, {ours / raw:.1f} x the raw scan of {raw:.3f} s")
    ours = least(lambda: query(recording, "select count(*), max(time) from log"))
    every = [str(path) for paths in files.values() for path in paths]
    raw = least(
        lambda: (
            duckdb.connect()
            .execute("select count(*), max(time) from read_parquet(?, union_by_name=true)", [every])
            .fetchall()
        )
    )
    verdict = beside("<= 3", held=ours / raw <= 3)
    print(f"SQL over the full log: {ours:.3f} s, {ours / raw:.1f} x the raw scan of {raw:.3f} s {verdict}")


def efficiency(folder, scratch):
    processes = os.cpu_count() or 1
    many = rows((axis("ema.fast=2..9"), axis(f"ema.slow=20..{19 + 4 * processes}")))
    planned = plan("ema", TREE, many, (str(folder),), ((Part(0, "whole", Span()),),))
    began = time.perf_counter()
    sweep(planned, scratch / "one.parquet", 1)
    one = time.perf_counter() - began
    began = time.perf_counter()
    sweep(planned, scratch / "all.parquet", processes)
    every = time.perf_counter() - began
    each = one / every / processes
    print(
        f"sweep of {len(many)} rows: {one:.1f} s in one process, {every:.1f} s in {processes}, which need as many free "
        f"cores: efficiency {each:.2f} a process {beside('>= 0.9', held=each >= 0.9)}"
    )


def pools(folder):
    recording = Recording.open(folder)
    found = dict.fromkeys(record.event.pool_address for record in recording.records((Trade,), seq_to=50_000))
    shipped = read_tree(EMA)
    poor = {"strategies": ["ema"], "outlets": [], "wallet": {"native_sol_lamports": 0}}
    for what, tree, times in (("every intent refused", poor, 3), ("the shipped scenario", shipped, 1)):
        some = tree | {"ema": tree.get("ema", {}) | {"pools": list(found)[:5]}}
        took = {True: [], False: []}
        # in turn, and by the processor's clock: a busy machine moves seconds
        for is_few in (False, True) * times:
            began = time.process_time()
            decide_anew(recording, [read("few", some, "few") if is_few else read("every", tree, "every")])
            took[is_few].append(time.process_time() - began)
        few, every = min(took[True]), min(took[False])
        print(
            f"5 of {len(found)} pools, {what}: {few:.2f} s, {few / every:.0%} of the {every:.2f} s of all "
            f"{beside('<= 20 %', held=few / every <= 0.2)}"
        )


def screened(folder):
    if importlib.util.find_spec("numba") is None:
        print("screen: skipped: numba is not installed (extra `kernels`)")
        return
    recording = Recording.open(folder)

    def scan():
        step = EmaCross(EmaParams(), None).step
        for record in recording.records((Trade,)):
            step(record.seq, record.event)

    pairs = [EmaParams(fast=fast, slow=slow) for fast in range(5, 13) for slow in (15, 20, 25, 30, 40)]
    one, every = least(scan, 3), least(lambda: screen(ticks_of(recording), pairs), 3)
    verdict = beside("<= 4", held=every / one <= 4)
    print(f"screen of {len(pairs)} rows: {every:.2f} s, {every / one:.1f} scans of {one:.2f} s {verdict}")


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        generate(MarketParams(events=count), scratch / "market")
        first_event(Path(__file__).parents[2] / "recordings" / "whirlpool-2022-04-06")
        sql(scratch / "market")
        generate(msgspec.structs.replace(market_of(EMA, None, None), events=count), scratch / "ticks")
        pools(scratch / "ticks")
        screened(scratch / "ticks")
        efficiency(scratch / "market", scratch)


if __name__ == "__main__":
    main()
