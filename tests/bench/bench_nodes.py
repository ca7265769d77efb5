"""Nodes over NATS: milliseconds from a frame received to its record in the stream, and from a cause to what follows.

python -m tests.bench.bench_nodes [RATE] [SECONDS]

Feed, server and all nodes run on this machine's cores, each in a process of its own, as under `ironcrab up`.
"""

import asyncio
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec
from nats.js.api import AckPolicy, ConsumerConfig

from ironcrab.shell.bus import connected
from ironcrab.shell.bus_message import STREAM
from ironcrab.shell.endpoint import endpoint
from tests.live.desk import scenario
from tests.nodes.test_words import connected_when
from tests.nodes.town import ENV, IRONCRAB, Town

NS_PER_MS = 1e6
READING = ConsumerConfig(ack_policy=AckPolicy.NONE)


class Body(msgspec.Struct):
    cause: int | None
    time: int


def quantiles(values):
    """p50, p90 and p99 in milliseconds."""
    values = sorted(values)
    return "  ".join(
        f"p{q} {values[min(len(values) - 1, len(values) * q // 100)] / NS_PER_MS:8.2f}" for q in (50, 90, 99)
    )


async def read(login, seconds):
    """(subject, cause seq, record time, stream time) of every message, in order."""
    found = []
    async with connected(login, "bench") as bus:
        while await bus.find() is None:  # noqa: ASYNC110 - a bench may poll
            await asyncio.sleep(0.1)
        reader = await bus.client.jetstream().pull_subscribe(
            "ironcrab.log.>", durable=None, stream=STREAM, config=READING
        )
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            with suppress(TimeoutError):
                for message in await reader.fetch(100, timeout=1):
                    body = msgspec.json.decode(message.data, type=Body)
                    words = message.reply.split(".")
                    when = int(words[7] if len(words) == 9 else words[9])
                    found.append((message.subject, body.cause, body.time, when))
    return found


async def main(rate, seconds):
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
            [*IRONCRAB, "feed", "demo", "--port", "0", "--rate", str(rate)], env=ENV, stderr=subprocess.PIPE, text=True
        ) as feed:
            town = Town(data, scenario())
            town.endpoint = endpoint(feed.stderr.readline().split(" at ")[1].strip())
            up = town.up("--nats-port", str(town.port))
            try:
                while not (data / "nats" / "recorder.login").exists():  # noqa: ASYNC110 - a bench may poll
                    await asyncio.sleep(0.1)
                async with connected_when(town.login("recorder")):
                    pass
                found = await read(town.login("recorder"), seconds)
                town.down(up)
            finally:
                up.kill()
                feed.kill()
    report(found, rate)


def report(found, rate):
    late = found[len(found) // 4 :]  # the feed's first burst fills the pools
    first = len(found) - len(late)
    world = [
        when - time for subject, cause, time, when in late if "world.market-data" in subject and "Tick" not in subject
    ]
    said = {}
    for subject, cause, _, when in late:
        if cause is not None and cause + 1 > first:
            said.setdefault(subject.rpartition(".")[2], []).append(when - found[cause][3])
    seconds = (late[-1][3] - late[0][3]) / 1e9
    print(f"{rate} updates/s: {len(found)} records, {len(late) / seconds:.0f}/s in the stream")
    print(f"frame received -> in the stream   {quantiles(world)} ms")
    for kind in ("TradeIntent", "DecisionRecord", "SimulateAsk", "SendAsk"):
        if said.get(kind):
            print(f"cause in the stream -> {kind:<15}{quantiles(said[kind])} ms ({len(said[kind])})")


if __name__ == "__main__":
    words = [int(word) for word in sys.argv[1:]]
    asyncio.run(main(*(words + [200, 20][len(words) :])))
