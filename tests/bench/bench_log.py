"""Figures of the log, as ratios beside a bare loop in the same run.

    PYTHONPATH=. python tests/bench/bench_log.py [RECORDS]

Appending with the chain against encoding plus one blake3; merged reading of sealed files against the largest type
alone; bytes per record once sealed. Keys and signatures are random base58, so nothing compresses that would not on the
chain.
"""

import random
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from blake3 import blake3

from ironcrab.domain.market import ExplicitAmount, PoolStateUpdate, SlotUpdate, Trade
from ironcrab.domain.trade import CheckResult, DecisionRecord, Read, TradeIntent, TradeResources
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.loop import Record
from tests.bench.figures import beside

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
CHECKS = tuple(f"CHECK_{n}" for n in range(15))


def history(count):
    """Records in the proportions of a busy feed: 60 % trades, 30 % pool states, slots, intents, decisions."""
    dice = random.Random(1)

    def text(length):
        return "".join(dice.choices(ALPHABET, k=length))

    pools, mints, traders = ([text(44) for _ in range(n)] for n in (400, 400, 3_000))
    records = []
    for seq in range(count):
        slot = 300_000_000 + seq // 300
        turn, n = seq % 100, dice.randrange(400)
        cause, by = None, None
        if turn < 60:
            event = Trade(
                pools[n],
                mints[n],
                dice.choice(traders),
                n % 2 == 0,
                dice.randrange(10**10),
                dice.randrange(10**13),
                6,
                "pumpswap",
                signature=text(88),
                slot=slot,
                index=seq % 1200,
                position=dice.randrange(4),
                lp_fee=dice.randrange(10**6),
                protocol_fee=dice.randrange(10**6),
            )
        elif turn < 92:
            event = PoolStateUpdate(
                pools[n],
                "pumpswap",
                dice.randrange(10**15),
                dice.randrange(10**12),
                mints[n],
                mints[n],
                slot,
                slot=slot,
            )
        elif turn < 96:
            event = SlotUpdate(slot, slot=slot, parent=slot - 1)
        elif turn < 98:
            amount = ExplicitAmount(dice.randrange(10**9), 9)
            event = TradeIntent(
                "momentum",
                "Tier1",
                "StrategyA",
                amount,
                TradeResources(mints[0], mints[n], (pools[n],)),
                300,
                500,
                "Buy",
                "Early",
                ttl_ms=5_000,
            )
            cause, by = seq - 1, "momentum"
        else:
            checks = tuple(CheckResult(name, passed=True) for name in CHECKS)
            event = DecisionRecord(
                "engine",
                "StrategyA",
                "Early",
                checks,
                "Sent",
                intent=seq - 1,
                decided_at=seq - 1,
                reads=(Read("pool", pools[n], seq - 2),),
            )
            cause, by = seq - 1, "engine"
        records.append(Record(seq, cause, by, 1_700_000_000_000_000_000 + seq * 1_000_003, event))
    return records


def best(*works, repeats=5):
    """Fewest seconds of some runs of each; they take turns, so that a neighbour's load meets all alike."""
    times = [[] for _ in works]
    for _ in range(repeats):
        for work, seconds in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
    return [min(seconds) for seconds in times]


def appended(folder, records):
    """Write a hot recording without syncs."""
    with Recording.create(folder, "bench") as session:
        append = session.append
        for record in records:
            append(record)


def main(count):
    """Print the figures."""
    records = history(count)
    encode = msgspec.json.Encoder().encode

    def bare():
        for record in records:
            blake3(encode(record)).digest()

    with tempfile.TemporaryDirectory() as scratch:
        folders = iter(range(100))
        append_s, bare_s = best(lambda: appended(Path(scratch) / str(next(folders)), records), bare)
        print(
            f"append with chain   {count / append_s:>12,.0f} records/s   {bare_s / append_s:6.1%} of encode + one blake3 "
            f"{beside('>= 40 %', held=bare_s / append_s >= 0.4)}"
        )
        path = Path(scratch) / "0"
        hot_bytes = sum(file.stat().st_size for file in (path / "segments").iterdir())
        start = time.perf_counter()
        seal(path)
        print(f"seal with proof     {count / (time.perf_counter() - start):>12,.0f} records/s")
        recording = Recording.open(path)
        trades = sum(1 for _ in recording.records((Trade,)))
        alone_s, merged_s = best(
            lambda: sum(1 for _ in recording.records((Trade,))), lambda: sum(1 for _ in recording.records())
        )
        alone, merged = trades / alone_s, count / merged_s
        print(f"read trades alone   {alone:>12,.0f} records/s")
        print(
            f"read all, merged    {merged:>12,.0f} records/s   {merged / alone:6.1%} of the largest type alone "
            f"{beside('>= 50 %', held=merged / alone >= 0.5)}"
        )
        (seek,) = best(lambda: recording.record(count // 2))
        print(f"one record by seq   {seek * 1e3:>12.1f} ms")
        sizes = {}
        for segment in recording.manifest.segments:
            for file in segment.files:
                size, rows = sizes.get(file.type, (0, 0))
                sizes[file.type] = (size + file.size, rows + file.rows)
        total = sum(size for size, _ in sizes.values())
        print(f"hot {hot_bytes / count:.0f} bytes a record, sealed {total / count:.0f}")
        for name, (size, rows) in sizes.items():
            most = {"Trade": 100, "PoolStateUpdate": 60, "SlotUpdate": 60}.get(name)
            verdict = "" if most is None else beside(f"<= {most}", held=size / rows <= most)
            print(f"  {name:<18}{size / rows:>8.1f} bytes {verdict}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
