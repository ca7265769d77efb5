"""How fast a sealed recording is followed, decided anew, run and generated, as ratios to a bare loop in the same run.

    python tests/bench/bench_loop.py [TICKS]        default 200,000; the figures of the design are for 1,000,000

The bare loop: the same sealed Parquet -> Structs -> one plain function that does the strategy's arithmetic.
Every figure is the best of three, in one process; peak memory is that of the whole process at the end of each part.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from ironcrab.domain.market import Trade
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.mode.anew import decide_anew
from ironcrab.mode.generating import generate
from ironcrab.mode.run import run, run_events
from ironcrab.mode.scenario import read
from ironcrab.mode.synthetic import MarketParams
from ironcrab.mode.verify import follow
from ironcrab.strategy.ema import EmaCross, EmaParams
from tests.bench.figures import beside

SECOND = 1_000_000_000
POOLS = [f"Pool{index:040d}" for index in range(50)]
MINTS = [f"Mint{index:040d}" for index in range(50)]
TRADERS = [f"Trader{index:038d}" for index in range(997)]


def ticks(count):
    """A deterministic walk of 50 pools, 2,500 ticks a second."""
    word = 88172645463325252
    prices = [1_000_000 + 1000 * index for index in range(50)]
    for number in range(count):
        word ^= (word << 13) & 0xFFFFFFFFFFFFFFFF
        word ^= word >> 7
        word ^= (word << 17) & 0xFFFFFFFFFFFFFFFF
        index = number % 50
        prices[index] += word % 2001 - 1000
        yield (
            1_700_000_000 * SECOND + number * 400_000,
            Trade(
                POOLS[index], MINTS[index], TRADERS[word % 997], word & 1 == 1,
                max(1, prices[index]), 1_000_000, 6, "raydium", slot=1000 + number // 1000, index=number % 1000, position=0,
            ),
        )  # fmt: skip


def best(what, job, count):
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - began)
    rate = count / min(seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{what:<52} {rate:>12,.0f} records/s   peak {peak} MB", flush=True)
    return rate


def share(ours, bare, percent):
    """What part of the bare loop's speed this is, beside the least that is wanted."""
    return f"  = {ours / bare:.0%} of the bare loop {beside(f'>= {percent} %', held=ours / bare >= percent / 100)}"


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # an empty wallet: every intent is decided at once, and no ask waits for an answer that nobody gives
        trivial = read("ema", {"strategies": ["ema"], "outlets": [], "wallet": {"native_sol_lamports": 0}}, "ema")
        full = read("full", {"strategies": ["momentum", "arbitrage"]}, "full")
        run_events(ticks(count), "ticks", trivial, folder / "market")
        seal(folder / "market")
        market = Recording.open(folder / "market")

        def bare():
            step = EmaCross(EmaParams(), None).step
            for record in market.records((Trade,)):
                step(record.seq, record.event)

        rate = best("bare loop: sealed -> Structs -> plain function", bare, count)
        reports = []
        followed = best("follow (verify), trivial strategy, engine on", lambda: reports.append(follow(market)), count)
        print(share(followed, rate, 60), f"{reports[0].verdict}, {reports[0].runs[0].derived} derived")
        anew = best("decide anew, derived records hashed", lambda: decide_anew(market, [trivial]), count)
        print(share(anew, rate, 40))
        rows = best("decide anew, eight rows from one reading", lambda: decide_anew(market, [trivial] * 8), 8 * count)
        print(f"  = {rows / anew:.2f} times as many records a second as one row alone")
        outs = iter(range(9))
        ran = best("run: a whole new hot log", lambda: run(market, trivial, folder / f"run{next(outs)}"), count)
        print(share(ran, rate, 15))
        params = MarketParams(events=count)
        made = best("generate a market, sealed", lambda: generate(params, folder / f"made{next(outs)}"), count)
        minute = made * 60 / 1e6
        print(
            f"  = {made / rate:.0%} of the bare loop, {minute:.1f} million events a minute {beside('>= 5', held=minute >= 5)}"
        )
        run(market, full, folder / "full")
        seal(folder / "full")
        made = Recording.open(folder / "full")
        whole = best(
            "follow, market reducers, momentum, arbitrage, engine", lambda: reports.append(follow(made)), made.next_seq
        )
        print(share(whole, rate, 15), reports[-1].verdict)


if __name__ == "__main__":
    main()
