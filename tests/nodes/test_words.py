"""Who may say what, who is heard, and what is announced."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest
from click.testing import CliRunner

from ironcrab.app.cli import cli
from ironcrab.domain.control import ClockTick, ControlRequest
from ironcrab.domain.fault import DamageFault, InputFault
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, TradeIntent
from ironcrab.log.contract import import_line
from ironcrab.log.recording import Recording
from ironcrab.mode.node import ROLES, first_of
from ironcrab.mode.nodes import ask_engine
from ironcrab.shell.bus import connected
from ironcrab.shell.bus_login import Login, read_login
from ironcrab.shell.bus_message import BusFault, Word, said, world
from ironcrab.shell.bus_server import CONTROL_REQUESTS, KILL, commands_of, login_file, prepare
from ironcrab.shell.control import Reply, Request
from tests.live.desk import judged, scenario
from tests.nodes.town import ENV, SCENARIO, Town, fed, quiet


def run(coroutine, seconds=60):
    async def bounded():
        async with asyncio.timeout(seconds):
            return await coroutine

    return asyncio.run(bounded())


async def made(town):
    """Until the recorder has made the stream."""
    town.start("recorder")
    async with connected_when(town.login("recorder")) as bus:
        while await bus.find() is None:  # noqa: ASYNC110 - a test may poll
            await asyncio.sleep(0.05)


@asynccontextmanager
async def connected_when(login):
    """A bus as soon as the server listens."""
    async with AsyncExitStack() as stack:
        while True:
            try:
                bus = await stack.enter_async_context(connected(login, "test"))
            except BusFault:
                await asyncio.sleep(0.05)
            else:
                break
        yield bus


TICK = Word(None, 1, ClockTick(), "test.1")
WORDS = {
    "a strategy cannot tell the world": ("momentum-bot", world("market-data")),
    "a strategy cannot answer asks": ("momentum-bot", world("execution-engine")),
    "a strategy cannot decide": ("momentum-bot", said("execution-engine")),
    "market-data cannot want": ("market-data", said("momentum-bot")),
    "the engine cannot tell the market": ("execution-engine", world("market-data")),
    "the announcer says nothing": ("announcer", said("execution-engine")),
    "people say nothing": ("operator", world("market-data")),
}


async def _said(bus, speaker, name):
    await bus.publish(speaker, [TICK], 0)
    pytest.fail(name)


def test_permissions(tmp_path):
    async def go():
        async with Town(tmp_path, scenario()) as town:
            await made(town)
            for name, (login, speaker) in WORDS.items():
                async with connected(town.login(login), "test") as bus:
                    with pytest.raises(InputFault, match="denies"):
                        await first_of([_said(bus, speaker, name), bus.lost()])
            async with connected(town.login("momentum-bot"), "test") as bus:
                await bus.tell_durable("any", 10**9)
                with pytest.raises(InputFault, match="denies"):
                    await bus.lost()
            async with connected(town.login("recorder"), "test") as bus:
                found = await bus.find()
                assert found.last == 0
            await town.stop("recorder")

    run(go())


@pytest.mark.slow
def test_the_second_instance_of_a_node_cannot_speak(tmp_path):
    async def go():
        async with Town(tmp_path, scenario()) as town, fed(town, slots=60) as chain:
            town.start_all()
            await town.grown(300_000)
            ends = {}
            for role in ("market-data", "momentum-bot"):
                first, second = town.tasks[role], town.start(role, f"{role} again")
                done, _ = await asyncio.wait((first, second), return_when=asyncio.FIRST_COMPLETED)
                ends[role] = str(done.pop().exception())
            await chain.finished.wait()
            await quiet(tmp_path / "demo")
            for task in town.tasks.values():
                task.cancel()
            return ends

    ends = run(go())
    assert all("another" in text and "stop one of the two" in text for text in ends.values()), ends
    judged(tmp_path / "demo")


@pytest.mark.slow
def test_control_over_the_bus(tmp_path):
    async def go():
        async with Town(tmp_path, scenario()) as town, fed(town) as chain:
            for role in ROLES:
                if role != "arb-strategy":
                    town.start(role)
            heard, streams = {}, {}
            async with connected_when(town.operator()) as bus:

                async def hear(message):
                    heard.setdefault(message.subject, []).append(message.data)

                await bus.client.subscribe("ironcrab.v1.>", cb=hear)
                while True:
                    told = await bus.ask(
                        commands_of("execution-engine"),
                        msgspec.json.encode(Request("set", settings={"max_open_positions": "7"})),
                        5,
                    )
                    reply = msgspec.json.decode(told, type=Reply) if told else None
                    if reply and reply.ok:
                        break
                    await asyncio.sleep(0.1)
                assert "max_open_positions=7" in reply.text
                asked = await asyncio.to_thread(ask_engine, town.operator(), Request("kill", "lunch"))
                assert asked.ok
                contract = {
                    "schema_version": 1,
                    "ts_unix_ms": 1,
                    "component": "control-plane",
                    "request_id": "r-1",
                    "target": "execution-engine",
                    "kind": "reset_kill_switch",
                }
                reset = await bus.ask(CONTROL_REQUESTS, msgspec.json.encode(contract), 5)
                assert msgspec.json.decode(reset, type=Reply).ok
                nonsense = await bus.ask(CONTROL_REQUESTS, b"{", 5)
                assert not msgspec.json.decode(nonsense, type=Reply).ok
                killed = await bus.ask(KILL, b'{"reason":"old word"}', 5)
                assert msgspec.json.decode(killed, type=Reply).ok
                await bus.ask(commands_of("execution-engine"), msgspec.json.encode(Request("reset")), 5)
                await chain.finished.wait()
                await quiet(tmp_path / "demo")
                await asyncio.sleep(0.5)
                for name in ("TRADE_INTENTS", "EXECUTION_RESULTS", "POOL_CACHE", "WALLET_SNAPSHOT", "CONFIG_UPDATES"):
                    streams[name] = (await bus._js.stream_info(name)).state.messages
                one = await bus._js.get_msg("POOL_CACHE", seq=None, subject="ironcrab.pool_cache.*", direct=False)
            town.stops["announcer"].set()
            await town.tasks.pop("announcer")
            await town.stop_all()
            return heard, streams, one

    heard, streams, one = run(go())
    judged(tmp_path / "demo")
    records = list(Recording.open(tmp_path / "demo").records())
    kinds = [
        (record.event.kind, record.event.request_id) for record in records if isinstance(record.event, ControlRequest)
    ]
    assert [kind for kind, _ in kinds] == ["kill_switch", "reset_kill_switch", "kill_switch", "reset_kill_switch"]
    assert kinds[1][1] == "r-1"
    count = {
        kind: sum(isinstance(record.event, kind) for record in records)
        for kind in (TradeIntent, DecisionRecord, ExecutionResult)
    }
    assert count[TradeIntent] > 3
    assert streams["TRADE_INTENTS"] == len(heard["ironcrab.v1.trade_intents"]) == count[TradeIntent]
    assert streams["EXECUTION_RESULTS"] == count[ExecutionResult]
    assert len(heard["ironcrab.v1.decision_records"]) == count[DecisionRecord]
    assert streams["POOL_CACHE"] >= 6
    assert streams["WALLET_SNAPSHOT"] == 2
    assert streams["CONFIG_UPDATES"] == 1
    _, event = import_line(heard["ironcrab.v1.decision_records"][0])
    assert isinstance(event, DecisionRecord)
    assert event.decision_id.startswith("dec-")
    header, event = import_line(heard["ironcrab.v1.market_events"][-1])
    assert header.run_id
    assert heard["ironcrab.v1.market_events.momentum"]
    assert len(heard["ironcrab.v1.control_responses"]) == 4
    assert import_line(heard["ironcrab.v1.control_responses"][1])[1].request_id == "r-1"
    assert import_line(one.data)[1].pool_address == one.subject.rpartition(".")[2]


def test_no_process_but_the_signer_may_see_a_key(tmp_path):
    """A key in the environment: every command that runs long says so, and where, and does not start."""
    env = {**ENV, "IRONCRAB_KEYPAIR_JSON": "[1,2]"}
    login = tmp_path / "login"
    login.write_text("a b")
    node = ("--nats", "nats://127.0.0.1:1", "--login", str(login))
    commands = [
        *(("node", role, str(SCENARIO), *node, "--endpoint", "http://127.0.0.1:1") for role in ROLES),
        ("up", str(SCENARIO), "--endpoint", "http://127.0.0.1:1"),
        ("live", str(SCENARIO), "--endpoint", "http://127.0.0.1:1"),
        ("record", "x", "--endpoint", "http://127.0.0.1:1"),
        ("feed", "demo", "--port", "0"),
    ]
    for words in commands:
        done = CliRunner().invoke(cli, words, env=env)
        text = f"{done.output}{done.exception}"
        assert done.exit_code, words
        assert "IRONCRAB_KEYPAIR_JSON puts a signing key within its reach" in text, (words, text)
        assert "[1,2]" not in text
    done = CliRunner().invoke(cli, ["node", "market-data", str(SCENARIO), *node, "--key-file", str(login)], env=ENV)
    assert done.exit_code == 2
    assert "market-data may hold no key" in done.output


def test_the_server_config_is_for_its_owner_alone(tmp_path):
    config = prepare(tmp_path, 4222, {"market-data": (), "momentum-bot": ("momentum-bot",)})
    told = config.read_text()
    assert config.stat().st_mode & 0o077 == 0
    assert login_file(tmp_path, "market-data").stat().st_mode & 0o077 == 0
    assert prepare(tmp_path, 4222, {"market-data": (), "momentum-bot": ("momentum-bot",)}).read_text() == told
    assert read_login("nats://127.0.0.1:4222", login_file(tmp_path, "recorder")).user == "recorder"
    (tmp_path / "bad").write_text("one")
    with pytest.raises(InputFault, match="one line"):
        read_login("nats://127.0.0.1:4222", tmp_path / "bad")
    with pytest.raises(InputFault, match="cannot be read"):
        read_login("nats://127.0.0.1:4222", tmp_path / "none")


def test_a_wrong_login_is_refused(tmp_path):
    async def go():
        async with Town(tmp_path, scenario()) as town:
            await made(town)
            wrong = Login(town.url, "market-data", "guess")
            with pytest.raises(InputFault, match="refuses the login"):
                async with connected(wrong, "test"):
                    pass
            await town.stop("recorder")

    run(go())


def test_a_message_that_is_no_record_halts_who_reads_it(tmp_path):
    async def go():
        async with Town(tmp_path, scenario()) as town:
            await made(town)
            town.start("momentum-bot")
            async with connected(town.login("market-data"), "test") as bus:
                await bus.client.request("ironcrab.log.world.market-data.ClockTick", b'{"cause":null}', timeout=2)
            ends = await asyncio.gather(*town.tasks.values(), return_exceptions=True)
            town.tasks.clear()
            return ends

    for end in run(go()):
        assert isinstance(end, DamageFault)
        assert "message 1 of stream LOG is no record" in str(end)
