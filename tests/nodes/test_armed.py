"""Armed nodes on the local chain: no byte leaves before the recorder has its record, and nothing is done twice."""

import asyncio

import pytest

from ironcrab.domain.ask import SignedAnswer
from ironcrab.execution import checks
from ironcrab.log.recording import Recording
from ironcrab.mode.arming import Arms, armed_outlets, key_of
from ironcrab.shell.clock import now_ns
from ironcrab.shell.endpoint import endpoint
from ironcrab.shell.hosted import served
from tests.live.armed_process import FAST, built, scenario
from tests.live.desk import judged
from tests.live.test_armed import SLOT_MS, coin, explained, give_wrapped, key_file, landings
from tests.nodes.test_words import run
from tests.nodes.town import Town, quiet
from tests.shell.stage import SOL, WALLET, new_chain


@pytest.fixture(autouse=True)
def _plans(monkeypatch):
    """What the local chain can do, in place of the venues' swaps."""
    monkeypatch.setattr(checks, "_built", built)


class ArmedTown(Town):
    """Its engine holds the key."""

    def arm(self, feed_url, rpc_url):
        self.endpoint = endpoint(feed_url)
        self.arms = Arms(WALLET.address, key_file(self.data), rpc_url, params=FAST)

    async def paper(self, durable):
        return await armed_outlets(self.scenario, self.arms, key_of(self.arms), durable)


async def landed(chain, count):
    while len(landings(chain)) < count:  # noqa: ASYNC110 - a test may poll
        await asyncio.sleep(0.02)


def session(folder, story):
    """Armed nodes while `story(town, chain)` goes on; the chain."""

    async def go():
        chain = new_chain("", slot_ms=SLOT_MS, unix_ms=now_ns() // 10**6)
        give_wrapped(chain, 50 * SOL)
        async with served(chain, 0, 0, tick=True) as (rpc_url, feed_url), ArmedTown(folder, scenario()) as town:
            town.arm(feed_url, rpc_url)
            telling = asyncio.create_task(coin(chain))
            try:
                town.start_all()
                await story(town, chain)
                await town.stop_all()
                await quiet(folder / "wishes-armed")
            finally:
                telling.cancel()
            return chain

    return run(go())


def test_no_recorder_no_sends(tmp_path):
    async def story(town, chain):
        await landed(chain, 3)
        town.tasks.pop("recorder").cancel()
        await asyncio.sleep(0.8)
        before = len(landings(chain))
        await asyncio.sleep(1.2)
        assert len(landings(chain)) == before
        town.start("recorder")
        await landed(chain, before + 3)

    chain = session(tmp_path, story)
    folder = tmp_path / "wishes-armed"
    judged(folder)
    explained(chain, folder)
    signed = list(Recording.open(folder).records((SignedAnswer,)))
    assert len(signed) > len(landings(chain)) - 1


@pytest.mark.slow
def test_an_engine_that_ends_in_between_does_nothing_twice(tmp_path):
    async def story(town, chain):
        for count in (2, 4, 6, 8):
            await landed(chain, count)
            task = town.tasks.pop("execution-engine")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            town.start("execution-engine")
        await landed(chain, 11)

    chain = session(tmp_path, story)
    report = judged(tmp_path / "wishes-armed")
    assert len(report.runs) == 1
    _, executed, _ = explained(chain, tmp_path / "wishes-armed")
    assert len(executed) >= 10
