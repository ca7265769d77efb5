"""Feed -> record on loopback: is anything lost at 10,000 small updates a second, and how long until it is appended?

    python tests/bench/bench_feed.py [--rate 10000] [--seconds 10] [--json]

Server and recorder run in two processes on the same host. Small updates are account writes of 165 bytes (vaults).
Printed: rates, p50 and p99 from the receive stamp of a frame to its record in the log's buffer, and whether every
update that was sent stands in the recording. Exit 1: some are lost and no gap in the log says so.
"""

import argparse
import asyncio
import json
import multiprocessing
import tempfile
from pathlib import Path

from ironcrab.domain.market import AccountWritten
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.log.recording import Recording
from ironcrab.mode import record as recording
from ironcrab.mode.record import Recorder, RecordSettings, record_until
from ironcrab.shell.clock import now_ns
from ironcrab.shell.endpoint import Endpoint
from ironcrab.shell.geyser_chain import Chain
from ironcrab.shell.geyser_filters import Update
from ironcrab.shell.geyser_server import GeyserServer
from tests.bench.figures import beside

SLOT_NS = 400_000_000
PROGRAM = "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8"


def small_updates(rate, seconds):
    """Slots of small account writes at their pace."""
    from ironcrab.dex import base58

    owner = base58.decode(PROGRAM)
    per_slot = rate * SLOT_NS // 10**9
    version = 0
    for number in range(seconds * 10**9 // SLOT_NS):
        slot = 1_000 + number
        for status in (wire.SLOT_CREATED_BANK, None, wire.SLOT_PROCESSED):
            if status is None:
                for place in range(per_slot):
                    version += 1
                    update = wire.SubscribeUpdate()
                    update.account.slot = slot
                    info = update.account.account
                    info.pubkey, info.owner, info.lamports = version.to_bytes(32, "little"), owner, 2_039_280
                    info.data, info.write_version = bytes(165), version
                    yield made("account", slot, number, place, per_slot, update)
                update = wire.SubscribeUpdate()
                update.block_meta.slot, update.block_meta.parent_slot = slot, slot - 1
                update.block_meta.blockhash = base58.encode(slot.to_bytes(32, "little"))
                yield made("block_meta", slot, number, per_slot, per_slot, update)
                continue
            update = wire.SubscribeUpdate()
            update.slot.slot, update.slot.status, update.slot.parent = slot, status, slot - 1
            yield made("slot", slot, number, 0 if status == wire.SLOT_CREATED_BANK else per_slot, per_slot, update)


def made(kind, slot, number, place, per_slot, update):
    created = number * SLOT_NS + SLOT_NS * place // max(1, per_slot) + 10**18
    update.created_at.seconds, update.created_at.nanos = divmod(created, 10**9)
    return Update(kind, slot, created, update, update.SerializeToString())


def serve(rate, seconds, pipe):
    async def run():
        chain = Chain(iter(list(small_updates(rate, seconds))), speed=1)
        async with GeyserServer(chain) as server:
            pipe.send(server.port)
            await chain.finished.wait()
            pipe.send(chain.position)
            await asyncio.to_thread(pipe.recv)

    asyncio.run(run())


async def measure(port, folder, pipe):
    latencies = []

    class Timed(Recorder):
        def take(self, arrival):
            super().take(arrival)
            latencies.append(now_ns() - arrival[0])

    recording.Recorder = Timed
    stop = asyncio.Event()
    settings = RecordSettings(Endpoint(f"127.0.0.1:{port}", tls=False), hot=True, most_tracked=0)
    task = asyncio.create_task(record_until(folder, settings, stop))
    began = now_ns()
    sent = await asyncio.to_thread(pipe.recv)
    took = (now_ns() - began) / 1e9
    before = -1
    while len(latencies) != before:
        before = len(latencies)
        await asyncio.sleep(0.5)
    stop.set()
    summary = await task
    pipe.send(None)
    return sent, took, latencies, summary


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(asked.rate, asked.seconds, there))
    server.start()
    port = here.recv()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bench"
        sent, took, latencies, summary = asyncio.run(measure(port, folder, here))
        server.join()
        versions = [r.event.write_version for r in Recording.open(folder).records((AccountWritten,))]
    latencies.sort()
    answer = {
        "sent": sent,
        "seconds": round(took, 2),
        "rate": round(sent / took),
        "written": len(versions),
        "lost": asked.seconds * 10**9 // SLOT_NS * (asked.rate * SLOT_NS // 10**9) - len(set(versions)),
        "gaps": summary.gaps - 1,
        "p50_us": latencies[len(latencies) // 2] // 1000,
        "p99_us": latencies[len(latencies) * 99 // 100] // 1000,
        "max_us": latencies[-1] // 1000,
        "refused": summary.refused,
    }
    wanted = {"lost": 0, "gaps": 0}
    told = {key: f" {beside(f'<= {wanted[key]}', held=answer[key] <= wanted[key])}" for key in wanted}
    lines = (f"{key:8} {value}{told.get(key, '')}" for key, value in answer.items())
    print(json.dumps(answer) if asked.json else "\n".join(lines))
    raise SystemExit(1 if answer["lost"] and not answer["gaps"] else 0)


if __name__ == "__main__":
    main()
