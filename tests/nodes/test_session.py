"""A session over a real server: the recording is one like any other, and decides as one process does."""

import asyncio
from itertools import islice

from msgspec.structs import replace

from ironcrab.domain.trade import TradeIntent, Verdict
from ironcrab.log.recording import Recording
from ironcrab.mode.generating import market_of
from ironcrab.mode.node import Node, hosts
from ironcrab.mode.node_engine import Engine
from ironcrab.mode.node_strategy import StrategyNode
from ironcrab.mode.run import run_events, source, with_ticks
from ironcrab.mode.scenario import load
from ironcrab.mode.synthetic import events as market_events
from tests.live import desk
from tests.live.desk import judged, scenario
from tests.nodes.town import ROOT, Town, decided, quiet

TWO_POOLS = ROOT / "scenarios" / "two-pools.toml"


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
            await asyncio.sleep(0.0002)

    async def run(self, others):
        await self.node.attend(self.town.login("market-data"), (self._work(others),))


def one_by_one(folder, told, events):
    """A session in which each event is told when nobody has anything more to say; the recording's folder."""

    async def go():
        async with Town(folder, told) as town:
            strategies = [StrategyNode(role, told) for role in ("momentum-bot", "arb-strategy") if hosts(role, told)]
            deciders = [*strategies, Engine(told, town.data, town.paper)]
            stop = asyncio.Event()
            town.start("recorder")
            tasks = [asyncio.create_task(node.run(town.login(node.node.role), stop)) for node in deciders]
            steps = asyncio.create_task(Steps(town, events).run([one.node for one in deciders]))
            async with asyncio.timeout(60):
                done, _ = await asyncio.wait((steps, *tasks), return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            stop.set()
            await asyncio.gather(*tasks)
            await quiet(next(folder.glob("*/segments")).parent)
            await town.stop("recorder")

    asyncio.run(go())
    return next(folder.glob("*/manifest.json")).parent


def market(count, coins=2):
    """The first events of a market with a pool on two venues for each coin, from a time ahead of any clock's."""
    found = list(islice(market_events(replace(market_of(TWO_POOLS, count), coins=coins)), count))
    return list(with_ticks((desk.BEGAN + time - found[0][0], event) for time, event in found))


def judgements(folder):
    """What strategies said of pools, in order."""
    found = (record.event for record in Recording.open(folder).records((Verdict,)))
    return [
        (event.source, event.mint, event.pool_address, event.verdict, event.code, event.measures) for event in found
    ]


def test_it_decides_as_live_does_on_the_same_market_records(tmp_path):
    """Told one turn at a time, the nodes' derived records are those of one process, in content and order."""
    folder = tmp_path / "live" / "demo"
    alone = desk.session(folder)
    desk.play(alone, desk.frames(slots=15))
    events = list(with_ticks(source(Recording.open(folder).records())))
    many = one_by_one(tmp_path / "many", scenario(), events)
    judged(many)
    assert len(decided(folder)) >= 5
    assert decided(many) == decided(folder)


def test_arbitrage_over_the_bus_decides_as_one_process_does(tmp_path):
    """Two coins with a pool on two venues each: what arbitrage sees, wishes and gets is that of a plain run."""
    told = load(TWO_POOLS)
    events = market(300)
    run_events(iter(events), "synthetic", told, tmp_path / "alone")
    many = one_by_one(tmp_path / "many", told, events)
    judged(many)
    outcomes = {outcome for _, outcome, _, _ in decided(many)}
    assert {"Confirmed", "FailedConfirmed"} <= outcomes
    assert decided(many) == decided(tmp_path / "alone")
    assert judgements(many) == judgements(tmp_path / "alone")
    assert len(judgements(many)) > 20
    said = {record.by for record in Recording.open(many).records((TradeIntent,))}
    assert said == {"arb-strategy"}


def test_housekeepers_speak_through_the_engine(tmp_path):
    """SOL is wrapped into its band by the wsol-manager, whose words the engine's node says."""
    told = load(ROOT / "scenarios" / "housekeepers.toml")
    events = market(40)
    run_events(iter(events), "synthetic", told, tmp_path / "alone")
    many = one_by_one(tmp_path / "many", told, events)
    judged(many)
    kept = [
        [(record.by, record.event.required_capital) for record in Recording.open(folder).records((TradeIntent,))]
        for folder in (many, tmp_path / "alone")
    ]
    assert kept[0] == kept[1]
    assert kept[0][0][0] == "wsol-manager"
