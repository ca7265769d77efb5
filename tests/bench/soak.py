"""A soak of a live paper session: many updates a second, a fault every so often, memory and latency watched.

    python -m tests.bench.soak                           an hour at 5,000 updates a second
    python -m tests.bench.soak --minutes 2 --rate 2000   what CI runs; IRONCRAB_SOAK_MINUTES=10 .ci/run for longer
    python -m tests.bench.soak --calm                    without faults: latencies of a quiet connection (replays are
                                                         swallowed at full speed, and their updates wait for one another)

The feed is the demo market, filled up with small account writes to the wanted rate; streams are cut off, told twice and
left by lag errors by script. The session runs the demo's scenario with every strategy there is. Each quarter of a
minute (of a short soak each sixth of it) a line says how it goes: latency is from the frame's receipt until all that
follows from it is appended. In the end the recording is read back: every slot told from its beginning to its end, no
gap unfilled, every byte as written, every decision the same when it is folded again, every invariant
held. A gap is unfilled in truth where the feed's ring had moved on when the session asked for it, for the feed notes
what it was asked: a slow host is no fault. Nor is a session that is stopped before its replay has come to the present:
what lies behind its open gap is not judged. Exit code 1 where that does not hold, or where memory climbed by more than 1 MB a minute in the second half (a
soak of 10 minutes and longer; before that caches are still filling).
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

from ironcrab.check import check
from ironcrab.dex import base58, raydium
from ironcrab.domain.control import GapClosed, GapOpened
from ironcrab.domain.market import SlotUpdate
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.log.recording import Recording
from ironcrab.mode.live import LiveSettings, folder_of, live_until
from ironcrab.mode.outlets import paper_outlets
from ironcrab.mode.taking import Live
from ironcrab.mode.verify import follow
from ironcrab.shell import geyser_faults
from ironcrab.shell.clock import now_ns
from ironcrab.shell.endpoint import endpoint
from ironcrab.shell.geyser_chain import Chain
from ironcrab.shell.geyser_demo import SLOT_NS, demo
from ironcrab.shell.geyser_filters import Update
from ironcrab.shell.geyser_server import GeyserServer
from tests.bench.bench_live import whole

DEMO_RATE = 400
LOOK_S = 15
LOOKS = 6
FAULTS = ("cut@30000:every=150000,lose=40", "lag@90000:every=150000,lose=10", "replay@60000:every=150000,slots=3")


def filled(rate):
    """The demo with small writes of many accounts in every slot, up to the rate."""
    owner = base58.decode(raydium.PROGRAM)
    extra = max(0, rate - DEMO_RATE) * SLOT_NS // 10**9
    version = 2**40
    for update in demo(1, DEMO_RATE):
        yield update
        if update.kind == "slot" and update.message.slot.status == wire.SLOT_CREATED_BANK:
            for place in range(extra):
                version += 1
                small = wire.SubscribeUpdate()
                small.account.slot = update.slot
                info = small.account.account
                info.pubkey, info.owner = (2**200 + place).to_bytes(32, "little"), owner
                info.lamports, info.data, info.write_version = 2_039_280, bytes(165), version
                created = update.created + SLOT_NS * place // (extra + 1)
                small.created_at.seconds, small.created_at.nanos = divmod(created, 10**9)
                yield Update("account", update.slot, created, small, small.SerializeToString())


class Noting(Chain):
    """A chain that notes when it was asked for a replay, and the oldest slot it had then: (ns, slot)."""

    def __init__(self, *told, **settings):
        super().__init__(*told, **settings)
        self.asked = []

    def subscribe(self, subscriber, filters):
        if filters.from_slot is not None:
            self.asked.append((now_ns(), self.first_available or 0))
        super().subscribe(subscriber, filters)


def serve(rate, faults, pipe):
    async def run():
        chain = Noting(filled(rate), speed=1, ring=20, script=[geyser_faults.read(text) for text in faults])
        async with GeyserServer(chain) as server:
            pipe.send(server.port)
            await asyncio.to_thread(pipe.recv)
            pipe.send(chain.asked)

    asyncio.run(run())


def resident_mb():
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def slope(samples):
    """MB a minute over the second half, least squares; samples are (minute, MB)."""
    half = samples[len(samples) // 2 :]
    mean_x = sum(x for x, _ in half) / len(half)
    mean_y = sum(y for _, y in half) / len(half)
    spread = sum((x - mean_x) ** 2 for x, _ in half)
    return sum((x - mean_x) * (y - mean_y) for x, y in half) / spread if spread else 0.0


def timed(latencies):
    """Every arrival of a session from now on adds its latency."""
    arrive = Live.arrive

    def arrive_and_tell(live, arrival):
        arrive(live, arrival)
        latencies.append(now_ns() - arrival[0])

    Live.arrive = arrive_and_tell


async def soak(told, port, data, minutes):
    """The session's summary, (minute, MB) and p99 of each look."""
    latencies, samples, all_p99, statuses = [], [], [], []
    timed(latencies)
    stop = asyncio.Event()

    async def outlets(_):
        return paper_outlets(told)

    settings = LiveSettings(endpoint(f"http://127.0.0.1:{port}"), data, segment_age_ns=60 * 10**9)
    task = asyncio.create_task(live_until(told, settings, outlets, stop, statuses.append))
    began, look_s = now_ns(), min(LOOK_S, minutes * 60 / LOOKS)
    while not task.done() and now_ns() - began < minutes * 60e9:
        await asyncio.wait((task,), timeout=look_s)
        samples.append(((now_ns() - began) / 60e9, resident_mb()))
        seen, latencies[:] = sorted(latencies), []
        status, statuses[:] = statuses[-1:], []
        if seen and status:
            all_p99.append(seen[len(seen) * 99 // 100])
            print(
                f"{samples[-1][0]:6.2f} min  {len(seen) / look_s:8.0f} arrivals/s  p50 {seen[len(seen) // 2] / 1e6:6.2f} ms"
                f"  p99 {all_p99[-1] / 1e6:6.2f} ms  {samples[-1][1]:6.1f} MB  {status[0].records:,} records"
                f"  {status[0].pools} pools  {status[0].positions} positions  {status[0].gaps} gaps",
                flush=True,
            )
    stop.set()
    return await task, samples, all_p99


def gaps_of(opened):
    """(GapOpened record, GapClosed record or None) of each gap."""
    gaps = {}
    for record in opened.records((GapOpened, GapClosed)):
        if isinstance(record.event, GapOpened):
            gaps[record.seq] = (record, None)
        elif record.event.opened in gaps:
            gaps[record.event.opened] = (gaps[record.event.opened][0], record)
    return list(gaps.values())


def is_truth(gap, asked):
    """Whether what an unfilled gap lacks was gone from the ring when the session asked for it."""
    opened, closed = gap
    before = [oldest for time, oldest in asked if time <= closed.time]
    within = [oldest for time, oldest in asked if opened.time <= time <= closed.time]
    return max(within or before[-1:], default=0) > opened.event.from_slot


def judged(folder, asked):
    """What is wrong with the recording (slots that are not whole, gaps, bytes, decisions, invariants); its gaps in short.

    Args:
        folder: of the recording.
        asked: (ns, oldest slot of the ring) of each replay that the feed was asked for.
    """
    opened = Recording.open(folder)
    gaps = gaps_of(opened)
    unfilled = [gap for gap in gaps if gap[1] is not None and not gap[1].event.filled]
    true = [gap for gap in unfilled if is_truth(gap, asked)]
    wrong = [f"unfilled gap up to {gap[1].event.to_slot}" for gap in unfilled if gap not in true]
    end = min((gap[0].event.from_slot for gap in gaps if gap[1] is None), default=2**63)
    told = {}
    for record in opened.records((SlotUpdate,)):
        told.setdefault(record.event.slot, []).append(record.event.status)
    excused = {slot for gap in true for slot in range(gap[0].event.from_slot, gap[1].event.to_slot + 1)}
    slots = [slot for slot in sorted(told) if "created" in told[slot] and slot < end]
    wanted = [slot for slot in range(min(slots, default=0), max(slots, default=-1) + 1) if slot not in excused]
    wrong += [f"slot {slot} is missing" for slot in wanted if slot not in told]
    wrong += [
        f"slot {slot} was not processed" for slot in wanted if slot in told and told[slot].count("processed") != 1
    ]
    wrong += [str(fault) for fault in opened.verify_bytes().faults]
    wrong += [str(found) for run in follow(opened).runs for found in run.divergences]
    wrong += [f"{name}: {found[0]}" for name, found in check(opened).items() if found]
    return wrong, {"filled": sum(gap[1] is not None for gap in gaps) - len(unfilled), "passed_by_the_ring": len(true)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--calm", action="store_true")
    asked = parser.parse_args()
    here, there = multiprocessing.get_context("spawn").Pipe()
    faults = () if asked.calm else FAULTS
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(asked.rate, faults, there))
    server.start()
    with tempfile.TemporaryDirectory() as scratch:
        told = whole()
        summary, samples, all_p99 = asyncio.run(soak(told, here.recv(), Path(scratch), asked.minutes))
        here.send(None)
        asked_of_feed = here.recv()
        server.join()
        folder = folder_of(Path(scratch), told)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        began = time.monotonic()
        wrong, gaps = judged(folder, asked_of_feed)
    climb = slope(samples)
    if asked.minutes >= 10 and climb > 1:
        wrong.append(f"memory climbed by {climb:.2f} MB a minute")
    answer = {
        "records": summary.records, "gaps": {**gaps, "at_end": summary.gaps - sum(gaps.values())}, "decisions": summary.decisions,
        "mb_per_minute": round(climb, 3), "peak_mb": round(max(mb for _, mb in samples), 1),
        "worst_p99_ms": round(max(all_p99, default=0) / 1e6, 3),
        "median_p99_ms": round(sorted(all_p99)[len(all_p99) // 2] / 1e6, 3) if all_p99 else None,
        "sealed_mb": round(size / 2**20, 1), "judged_s": round(time.monotonic() - began, 1), "counts": summary.refused,
        "wrong": wrong[:5],
    }  # fmt: skip
    print(json.dumps(answer))
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
