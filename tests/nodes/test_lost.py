"""What is gone: the stream, its beginning, the server, the recorder. What is recorded stays, and all goes on."""

import asyncio
import shutil

import pytest

from ironcrab.domain.control import FeedDisconnected, RunStarted, WordsAbandoned
from ironcrab.domain.fault import LogFault
from ironcrab.log.recording import Recording
from ironcrab.mode.node_record import BusRecorder, RecorderSettings
from ironcrab.mode.verify import follow
from tests.live.desk import judged, scenario
from tests.nodes.test_words import connected_when, run
from tests.nodes.town import Town, decided, decisions, fed, quiet


def test_a_lost_stream_begins_a_new_log_from_a_start_state(tmp_path):
    async def go():
        async with Town(tmp_path, scenario()) as town, fed(town, speed=4.0, slots=1_000):
            town.start_all()
            await town.derived(60)
            town.kill("server")
            shutil.rmtree(tmp_path / "nats" / "store")
            town.start_server()
            nodes = [town.tasks.pop(name) for name in list(town.tasks) if name != "recorder"]
            ends = await asyncio.gather(*nodes, return_exceptions=True)
            for role in ("market-data", "momentum-bot", "execution-engine"):
                town.start(role)
            await decisions(tmp_path / "demo-2", 2)
            await town.stop("market-data")
            await quiet(tmp_path / "demo-2")
            await town.stop_all()
            return ends

    ends = run(go())
    assert all(isinstance(end, LogFault) and "start anew" in str(end) for end in ends), ends
    judged(tmp_path / "demo")
    judged(tmp_path / "demo-2")
    old, new = Recording.open(tmp_path / "demo"), Recording.open(tmp_path / "demo-2")
    assert new.first_seq == old.next_seq
    assert new.manifest.start.log_id == old.log_id
    opened = list(new.records((RunStarted,)))
    assert 0 < opened[0].seq - new.first_seq < 50
    assert opened[0].event.run == 1
    assert new.next_seq - new.first_seq > 100
    assert decided(tmp_path / "demo-2")


@pytest.mark.slow
def test_a_node_that_comes_late_begins_with_the_states_on_the_bus(tmp_path):
    async def go():
        async with Town(tmp_path, scenario()) as town, fed(town, speed=3.0, slots=60) as chain:
            settings = RecorderSettings(tmp_path, "demo", states_every=500, kept_messages=200)
            town.stops["recorder"] = asyncio.Event()
            recorder = BusRecorder(settings).run(town.login("recorder"), town.stops["recorder"])
            town.tasks["recorder"] = asyncio.create_task(recorder)
            for role in ("market-data", "momentum-bot", "execution-engine"):
                town.start(role)
            async with connected_when(town.login("recorder")) as bus:
                while True:
                    found = await bus.find()
                    if found is not None and found.first > 1:
                        break
                    await asyncio.sleep(0.1)
            for role in ("momentum-bot", "execution-engine", "market-data"):
                town.tasks[role].cancel()
                await asyncio.sleep(0.1)
                town.start(role)
            await chain.finished.wait()
            await quiet(tmp_path / "demo")
            await town.stop_all()

    run(go())
    report = judged(tmp_path / "demo")
    assert len(report.runs) == 1
    assert report.runs[0].unfinished == 0


@pytest.mark.slow
def test_the_server_is_away(tmp_path, capfd):
    """Nodes start before it, wait for it, say so, and lose nothing while it is away."""

    async def go():
        async with Town(tmp_path, scenario()) as town, fed(town, speed=3.0, slots=45) as chain:
            town.kill("server")
            town.start_all()
            await asyncio.sleep(1.5)
            assert not any(task.done() for task in town.tasks.values())
            town.start_server()
            await town.grown(300_000)
            town.kill("server")
            await asyncio.sleep(1.5)
            town.start_server()
            await chain.finished.wait()
            await quiet(tmp_path / "demo")
            await town.stop_all()

    run(go())
    report = judged(tmp_path / "demo")
    assert len(report.runs) == 1
    events = [record.event for record in Recording.open(tmp_path / "demo").records((FeedDisconnected,))]
    assert len(events) == 1  # at the stop: the feed stood all the time
    err = capfd.readouterr().err
    assert "market-data: no bus at" in err
    assert "the bus is gone; waiting" in err


@pytest.mark.slow
def test_other_settings_open_another_run(tmp_path):
    """A strategy node of the old settings only listens; the words of the old run are given up by a record."""

    async def go():
        async with Town(tmp_path, scenario()) as town, fed(town, speed=4.0, slots=60) as chain:
            town.start_all()
            await town.derived(60)
            await town.stop("market-data", "execution-engine")
            changed = scenario(("momentum.position_lamports", "90000000"))
            old = town.tasks.pop("momentum-bot")
            town.scenario = changed
            for role in ("execution-engine", "market-data"):
                town.start(role)
            await asyncio.sleep(1.0)
            town.start("momentum-bot")
            await town.derived(120)
            assert not old.done()
            old.cancel()
            await chain.finished.wait()
            await quiet(tmp_path / "demo")
            await town.stop_all()

    run(go())
    report = judged(tmp_path / "demo")
    assert [one.run for one in report.runs] == [0, 1]
    assert all(one.derived for one in report.runs)
    given_up = [record.event for record in Recording.open(tmp_path / "demo").records((WordsAbandoned,))]
    assert [event.run for event in given_up] == [0]


@pytest.mark.slow
def test_a_slice_of_a_log_of_many_verifies(tmp_path):
    from ironcrab.mode.cutting import cut

    async def go():
        async with Town(tmp_path, scenario()) as town, fed(town, speed=6.0, slots=40) as chain:
            town.start_all()
            await chain.finished.wait()
            await quiet(tmp_path / "demo")
            await town.stop_all()

    run(go())
    recording = Recording.open(tmp_path / "demo")
    for number, first in enumerate(range(300, recording.next_seq, 700)):
        out = tmp_path / f"cut-{number}"
        cut(recording, first, first + 500, out, golden=False)
        assert follow(Recording.open(out)).verdict in ("identical", "not judged")


def test_a_recorder_refuses_a_log_that_is_not_its_own(tmp_path):
    async def go():
        async with Town(tmp_path, scenario()) as town:
            town.start("recorder")
            async with connected_when(town.login("recorder")) as bus:
                while await bus.find() is None:  # noqa: ASYNC110 - the server has no event
                    await asyncio.sleep(0.05)
            await town.stop("recorder")
            other = tmp_path / "other"
            Recording.create(other / "demo", "cd" * 16).close()
            with pytest.raises(LogFault, match="not recorded from a bus"):
                await BusRecorder(RecorderSettings(other, "demo")).run(town.login("recorder"), asyncio.Event())

    run(go())
