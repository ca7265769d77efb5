"""A session over a real server: the recording is one like any other, and decides as one process does."""

import asyncio

from ironcrab.domain.control import FeedConnected, RunStarted
from ironcrab.log.recording import Recording
from ironcrab.mode.node import Node
from ironcrab.mode.node_engine import Engine
from ironcrab.mode.node_strategy import StrategyNode
from ironcrab.mode.run import source, with_ticks
from tests.live import desk
from tests.live.desk import judged, scenario
from tests.nodes.town import Town, decided, fed, quiet


def session(folder, told=None, **settings):
    """One whole session of the demo feed; the recording's folder."""

    async def go():
        async with Town(folder, told or scenario()) as town, fed(town, **settings) as chain:
            town.start_all()
            async with asyncio.timeout(25):
                await chain.finished.wait()
            await quiet(folder / "demo")
            await town.stop_all()

    asyncio.run(go())
    return folder / "demo"


def test_a_session_verifies(tmp_path):
    folder = session(tmp_path)
    report = judged(folder)
    assert report.records > 1_500
    assert report.runs[0].unfinished == 0
    events = [record.event for record in Recording.open(folder).records()]
    assert isinstance(events[0], RunStarted)
    assert sum(isinstance(event, FeedConnected) for event in events) == 1
    assert len(decided(folder)) > 5


class Steps:
    """Market-data that tells recorded events, each when nobody has anything more to say about the one before."""

    def __init__(self, town, events):
        self.town = town
        self.node = Node("market-data", town.scenario)
        self.events = events

    async def _work(self, others):
        while not (self.node.is_level and self.node.run is not None):  # noqa: ASYNC110 - a test may poll
            await asyncio.sleep(0.01)
        for time, event in self.events:
            await self._rest(others)
            self.node.say(event, time)
        await self._rest(others)

    async def _rest(self, others):
        nodes = [self.node, *others]
        while True:
            stands = [node.next for node in nodes]
            if len(set(stands)) == 1 and not any(voice.waiting for node in nodes for voice in node.by_speaker.values()):
                return
            await asyncio.sleep(0)

    async def run(self, others):
        await self.node.attend(self.town.login("market-data"), (self._work(others),))


def test_it_decides_as_live_does_on_the_same_market_records(tmp_path):
    """Told one turn at a time, the nodes' derived records are those of one process, in content and order."""
    folder = tmp_path / "live" / "demo"
    alone = desk.session(folder)
    desk.play(alone, desk.frames(slots=20))
    events = list(with_ticks(source(Recording.open(folder).records())))

    async def go():
        async with Town(tmp_path / "many", scenario()) as town:
            strategy = StrategyNode("momentum-bot", town.scenario)
            engine = Engine(town.scenario, town.data, town.paper)
            stop = asyncio.Event()
            town.start("recorder")
            tasks = [asyncio.create_task(node.run(town.login(node.node.role), stop)) for node in (strategy, engine)]
            steps = asyncio.create_task(Steps(town, events).run([strategy.node, engine.node]))
            async with asyncio.timeout(28):
                done, _ = await asyncio.wait((steps, *tasks), return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            stop.set()
            await asyncio.gather(*tasks)
            await quiet(tmp_path / "many" / "demo")
            await town.stop("recorder")

    asyncio.run(go())
    many = tmp_path / "many" / "demo"
    judged(many)
    assert len(decided(folder)) > 5
    assert decided(many) == decided(folder)
