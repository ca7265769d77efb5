"""kill -9 of any node or of the server, at random, again and again: nothing is lost, nothing is said twice."""

import asyncio
import random
from collections import Counter

import pytest

from ironcrab.domain.market import Trade
from ironcrab.ingest.normalise import Normaliser
from ironcrab.log.recording import Recording
from ironcrab.shell.geyser_demo import demo
from tests.live.desk import judged, scenario
from tests.nodes.town import RATE, SEED, Town, children_of, fed, kill_9, needs_server, quiet

KILLS = 6
NAMES = ("nats-server -c", "node market-data", "node momentum-bot", "node execution-engine", "node recorder")


def told(folder, slot):
    """Whether the recording tells of this slot."""
    return any(f'"current_slot":{slot}'.encode() in path.read_bytes() for path in folder.glob("segments/*.jsonl"))


def told_trades(slots):
    """Every trade of the demo feed: (signature, pool, slot) -> how often."""
    normaliser, found = Normaliser(), Counter()
    normaliser.connected(1, None)
    for update in demo(SEED, RATE, slots):
        for _, event in normaliser.feed(update.body, update.created):
            if isinstance(event, Trade):
                found[event.signature, event.pool_address, event.slot] += 1
    return found


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_kill_9_at_random(tmp_path, seed):
    needs_server()
    chance = random.Random(seed)
    slots = 36
    order = [*NAMES, *chance.choices(NAMES, k=KILLS - len(NAMES))]
    chance.shuffle(order)
    folder = tmp_path / "demo"
    last = max(update.slot for update in demo(SEED, RATE, slots))

    async def go():
        town = Town(tmp_path, scenario())
        async with fed(town, speed=3.0, slots=slots) as chain:
            up = town.up()
            try:
                async with asyncio.timeout(60):
                    while not list(folder.glob("segments/*.jsonl")):
                        assert up.poll() is None
                        await asyncio.sleep(0.1)
                    for name in order:
                        await asyncio.sleep(0.2 + chance.random() / 2)
                        for pid, command in children_of(up.pid).items():
                            if name in command:
                                kill_9(pid)
                    await chain.finished.wait()
                    while len(children_of(up.pid)) < len(NAMES) + 1 or not told(folder, last):  # noqa: ASYNC110 - as above
                        await asyncio.sleep(0.1)
                    await quiet(folder)
                return town.down(up)
            finally:
                up.kill()

    out = asyncio.run(go())
    assert out.count("died") >= 3, out
    report = judged(folder)
    assert len(report.runs) == 1
    assert report.runs[0].unfinished == 0
    recorded = Counter(
        (event.signature, event.pool_address, event.slot)
        for event in (record.event for record in Recording.open(folder).records((Trade,)))
    )
    first = min(slot for _, _, slot in recorded)
    expected = {key: count for key, count in told_trades(slots).items() if first < key[2] < slots_end(recorded)}
    got = {key: count for key, count in recorded.items() if first < key[2] < slots_end(recorded)}
    assert got == expected


def slots_end(recorded):
    """The last slot, which may be told in part."""
    return max(slot for _, _, slot in recorded)
