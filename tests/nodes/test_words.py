"""Who may say what, who is heard, and what is announced."""

import asyncio
import contextlib
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest
from click.testing import CliRunner
from msgspec import structs

from ironcrab.app.cli import cli
from ironcrab.domain.ask import SendAnswer, SendAsk
from ironcrab.domain.control import ClockTick, ControlRequest, ControlResponse, FeedConnected, RunStarted
from ironcrab.domain.fault import DamageFault, InputFault
from ironcrab.domain.market import PoolCreated, PoolStateUpdate, Trade
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, PositionUpdate, TradeIntent
from ironcrab.domain.units import SOL_MINT
from ironcrab.log.contract import import_line
from ironcrab.log.recording import Recording
from ironcrab.loop import Record
from ironcrab.mode.node import ENGINE, ROLES, first_of
from ironcrab.mode.node_engine import Engine
from ironcrab.mode.node_feed import MarketData
from ironcrab.mode.node_record import states_at_end
from ironcrab.mode.node_tracking import (
    ACTIVE_POOLS,
    ActivePool,
    ArbPool,
    ArbTrackRequestsUpdate,
    GonePool,
    MomentumActivePoolsUpdate,
)
from ironcrab.mode.nodes import ask_engine
from ironcrab.mode.outlets import paper_outlets
from ironcrab.mode.states import decode_state
from ironcrab.shell.bus import LogStream, connected
from ironcrab.shell.bus_login import Login, read_login
from ironcrab.shell.bus_message import BusFault, Message, Word, body_of, said, world
from ironcrab.shell.bus_server import CONTROL_REQUESTS, KILL, TRACKING, commands_of, login_file, prepare
from ironcrab.shell.control import Request
from tests.live.desk import judged, scenario
from tests.nodes.town import ENV, SCENARIO, Town, decided, fed, quiet


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


COUNTED = (TradeIntent, DecisionRecord, ExecutionResult, ControlResponse)
WORDED = ("market_events", "market_events.momentum", "trade_intents", "decision_records", "execution_results")
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


HOLDING = scenario(("momentum.max_hold_time_secs", "600"), ("momentum.take_profit_bps", "5000"))
"""Positions stay long enough to be seen."""
HEAD = {"schema_version": 1, "ts_unix_ms": 1, "component": "control-plane"}
STREAMS = {
    # subjects, days, messages a subject, rollup (contract 5.2)
    "TRADE_INTENTS": ("ironcrab.v1.trade_intents", 1, -1, False),
    "EXECUTION_RESULTS": ("ironcrab.v1.execution_results", 7, -1, False),
    "POOL_CACHE": ("ironcrab.pool_cache.*", 7, 1, True),
    "WALLET_SNAPSHOT": ("ironcrab.wallet_snapshot.*.*", 7, 1, True),
    "WALLET_TX_CONFIRM": ("ironcrab.wallet_tx_confirm.*.*", 1, -1, False),
    "CONFIG_UPDATES": ("ironcrab.config.*", 1, 1, False),
    "KV_POSITIONS": ("$KV.POSITIONS.>", 0, 1, True),
    "KV_POSITION_AUTHORITY": ("$KV.POSITION_AUTHORITY.>", 0, 1, True),
}


class Listener:
    """People at the bus, for as long as a session goes on: what they heard, were answered and found in streams."""

    def __init__(self, bus):
        self.bus = bus
        self.heard = {}

    async def hear(self, *subjects):
        async def one(message):
            self.heard.setdefault(message.subject, []).append(message.data)

        for subject in subjects:
            await self.bus.client.subscribe(subject, cb=one)

    async def ask(self, subject, told):
        body = told if isinstance(told, bytes) else msgspec.json.encode(told)
        return msgspec.json.decode(await self.bus.ask(subject, body, 8))

    async def until_ready(self):
        """Until the engine takes the operator's word."""
        while True:
            with contextlib.suppress(TypeError):  # nobody serves the subject yet
                reply = await self.ask(commands_of(ENGINE), Request("set", settings={"max_open_positions": "7"}))
                if reply["ok"]:
                    return reply
            await asyncio.sleep(0.1)

    def has_seen(self, pools):
        """Whether enough went on to be looked at, however slow this machine is."""
        heard = {name: len(self.heard.get(f"ironcrab.v1.{name}", ())) for name in ("decision_records", "trade_intents")}
        stored = any(name.startswith("$KV.POSITIONS.") for name in self.heard)
        return min(heard.values()) > 6 and stored and any(b'"position"' in body for body in pools)

    async def values(self, bucket):
        """What stands in a key-value store."""
        found = {}
        for key in await self.bus.keys(bucket):
            told = await self.bus._js.get_msg(f"KV_{bucket}", subject=f"$KV.{bucket}.{key}", direct=False)
            if not told.headers or "KV-Operation" not in told.headers:
                found[key] = msgspec.json.decode(told.data)
        return found


async def operated(people):
    """What people say in the session; by what they wanted, what they were told."""
    told = {"set": await people.until_ready()}
    told["kill"] = await asyncio.to_thread(ask_engine, people.login, Request("kill", "lunch"))
    engine = {**HEAD, "target": ENGINE}
    told["reset"] = await people.ask(CONTROL_REQUESTS, {**engine, "request_id": "r-1", "kind": "reset_kill_switch"})
    told["nonsense"] = await people.ask(CONTROL_REQUESTS, b"{")
    told["strange"] = await people.ask(CONTROL_REQUESTS, {**engine, "request_id": "r-2", "kind": "dance"})
    told["old kill"] = await people.ask(KILL, b'{"reason":"old word"}')
    told["again"] = await people.ask(commands_of(ENGINE), Request("reset"))
    change = {**HEAD, "command": "config_update", "target_component": "momentum-bot", "timestamp": ""}
    told["config"] = await people.ask(commands_of("momentum-bot"), {**change, "config": {"reentry_cooldown_secs": 2}})
    wrong = {"reentry_cooldown_secs": 1, "no_such_key": 1}
    told["partly"] = await people.ask(commands_of("momentum-bot"), {**change, "config": wrong})
    told["rejected"] = await people.ask(
        commands_of("momentum-bot"), {**change, "config": {"reentry_cooldown_secs": -5}}
    )
    return told


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A whole session of all nodes with people at the bus: (recording, people, what they were told, streams)."""
    folder = tmp_path_factory.mktemp("session")

    async def go():
        async with Town(folder, HOLDING) as town, fed(town, speed=4.0, slots=1_000), AsyncExitStack() as stack:
            for role in ("execution-engine", "recorder", "announcer", "momentum-bot"):
                town.start(role)
            people = Listener(await stack.enter_async_context(connected_when(town.operator())))
            people.login = town.operator()
            await people.hear("ironcrab.v1.>", "ironcrab.pool_cache.*", "$KV.>")
            feed = Listener(await stack.enter_async_context(connected_when(town.login("market-data"))))
            await feed.hear("ironcrab.v1.momentum.active_pools")
            told = await operated(people)
            town.start("market-data")
            ensure = {"request_id": "r-3", "kind": "ensure_pump_amm_pool_accounts", "base_mint": SOL_MINT}
            told["ensure"] = await people.ask(CONTROL_REQUESTS, {**HEAD, "target": "market-data", **ensure})
            while not people.has_seen(feed.heard.get("ironcrab.v1.momentum.active_pools", ())):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.1)
            await town.stop("market-data")
            await quiet(folder / "demo")
            await asyncio.sleep(1.5)  # what is told once a second
            streams = {name: await people.bus._js.stream_info(name) for name in STREAMS}
            people.stored = {name: await people.values(name) for name in ("POSITIONS", "POSITION_AUTHORITY")}
            people.one = await people.bus._js.get_msg("POOL_CACHE", subject="ironcrab.pool_cache.*", direct=False)
            people.heard |= feed.heard
            town.stops["announcer"].set()
            await town.tasks.pop("announcer")
            await town.stop_all()
            return people, told, streams

    return (folder / "demo", *run(go()))


def test_a_session_verifies(session):
    report = judged(session[0])
    assert report.records > 500
    assert report.runs[0].unfinished == 0
    events = [record.event for record in Recording.open(session[0]).records()]
    assert isinstance(events[0], RunStarted)
    assert sum(isinstance(event, FeedConnected) for event in events) == 1
    assert len(decided(session[0])) > 5


def test_people_are_answered(session):
    folder, _, told, _ = session
    assert "max_open_positions=7" in told["set"]["text"]
    assert told["kill"].ok
    assert told["reset"] == {"ok": True, "text": "reset_kill_switch is recorded", "seq": told["reset"]["seq"]}
    assert not told["nonsense"]["ok"]
    assert "dance is nothing" in told["strange"]["text"]
    assert (told["ensure"]["request_id"], told["ensure"]["status"]) == ("r-3", "error")
    assert "--rpc" in told["ensure"]["message"]
    assert told["old kill"]["ok"]
    assert told["again"]["ok"]
    applied = {"status": "Applied", "applied_keys": ["reentry_cooldown_secs"], "rejected_keys": []}
    assert told["config"] == {**applied, "new_snapshot_id": told["config"]["new_snapshot_id"]}
    assert told["partly"]["status"] == "PartiallyApplied"
    assert [key for key, _ in told["partly"]["rejected_keys"]] == ["no_such_key"]
    assert told["rejected"]["status"] == "Rejected"
    kinds = [
        (event.kind, event.request_id)
        for event in (record.event for record in Recording.open(folder).records((ControlRequest,)))
        if event.target == ENGINE
    ]
    assert [kind for kind, _ in kinds] == ["kill_switch", "reset_kill_switch", "kill_switch", "reset_kill_switch"]
    assert kinds[1][1] == "r-1"


def test_the_streams_are_the_contracts(session):
    _, _, _, streams = session
    for name, (subject, days, most, rollup) in STREAMS.items():
        config = streams[name].config
        assert config.subjects == [subject], name
        assert (config.max_age or 0) == days * 86_400, name
        assert config.max_msgs_per_subject == most, name
        assert bool(config.allow_rollup_hdrs) == rollup, name
        assert (config.storage, config.retention, config.discard) == ("file", "limits", "old"), name


def test_what_is_announced_is_what_was_recorded(session):
    folder, people, _, streams = session
    records, heard = list(Recording.open(folder).records()), people.heard
    count = {kind: sum(isinstance(record.event, kind) for record in records) for kind in COUNTED}
    assert count[TradeIntent] > 3
    assert streams["TRADE_INTENTS"].state.messages == len(heard["ironcrab.v1.trade_intents"]) == count[TradeIntent]
    assert streams["EXECUTION_RESULTS"].state.messages == count[ExecutionResult]
    assert len(heard["ironcrab.v1.decision_records"]) == count[DecisionRecord]
    assert streams["WALLET_SNAPSHOT"].state.messages == 2
    assert streams["CONFIG_UPDATES"].state.messages == 2
    _, event = import_line(heard["ironcrab.v1.decision_records"][0])
    assert isinstance(event, DecisionRecord)
    assert event.decision_id.startswith("dec-")
    header, _ = import_line(heard["ironcrab.v1.market_events"][-1])
    assert header.run_id
    assert heard["ironcrab.v1.market_events.momentum"]
    assert len(heard["ironcrab.v1.control_responses"]) == count[ControlResponse]
    for name in (*WORDED, "pool_cache_updates"):
        for line in heard.get(f"ironcrab.v1.{name}", ()):
            header, _ = import_line(line)
            assert (header.schema_version, bool(header.component)) == (1, True)
    ids = [import_line(line)[1].request_id for line in heard["ironcrab.v1.control_responses"]]
    assert {"r-1", "r-3"} <= {*ids}


def test_a_late_listener_recovers_the_pool_cache(session):
    folder, people, _, streams = session
    known = {
        record.event.pool_address for record in Recording.open(folder).records((Trade, PoolCreated, PoolStateUpdate))
    }
    assert streams["POOL_CACHE"].state.messages == len(known)
    assert import_line(people.one.data)[1].pool_address == people.one.subject.rpartition(".")[2]
    assert len(people.heard["ironcrab.v1.pool_cache_updates"]) >= len(known)


def test_market_data_hears_which_pools_matter(session):
    _, people, _, _ = session
    told = [msgspec.json.decode(body) for body in people.heard["ironcrab.v1.momentum.active_pools"]]
    assert all(one["version"] == 1 for one in told)
    assert any(one["full_active_snapshot"] for one in told)
    assert {reason["pin_reason"] for one in told for reason in one["active"]} == {"tracker", "position"}
    assert {*told[0]["active"][0]} == {"mint", "pool", "pin_reason"} if told[0]["active"] else True


def test_positions_stand_in_their_stores(session):
    folder, people, _, _ = session
    recording = Recording.open(folder)
    last = {record.event.mint: record.event for record in recording.records((PositionUpdate,))}
    held = {mint: event.balance_raw for mint, event in last.items() if event.balance_raw}
    assert last
    assert {mint: one["balance_raw"] for mint, one in people.stored["POSITION_AUTHORITY"].items()} == held
    states, _ = states_at_end(recording)
    own = decode_state(states.states["momentum-bot"], dict)["positions"]
    assert {mint: one["token_amount"] for mint, one in people.stored["POSITIONS"].items()} == {
        mint: position["held"] for mint, position in own.items()
    }
    puts = [
        msgspec.json.decode(body)
        for subject, bodies in people.heard.items() if subject.startswith("$KV.POSITIONS.")
        for body in bodies if body
    ]  # fmt: skip
    assert puts
    assert all(one["schema_version"] == 4 and float(one["entry_price"]) > 0 for one in puts)


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


def messages(records):
    """The stream that a recording came from."""
    index = {}
    for record in records:
        speaker = world("market-data") if record.by is None else said(record.by)
        key = record.by, record.cause
        index[key] = index.get(key, -1) + 1
        word = Word(record.cause, record.time, record.event, "")
        name = f"{record.by}.{record.cause}.{index[key]}"
        yield Message(record.seq + 1, speaker, type(record.event).__name__, name, body_of(word))


def test_a_send_that_stands_behind_a_kill_is_not_performed(session, tmp_path):
    """The engine asks before it knows of the kill; the stream has the kill first: the ask is answered with a no."""
    records = list(Recording.open(session[0]).records())
    sent = {record.event.ask for record in records if isinstance(record.event, SendAnswer) and record.event.ok}
    asks = [record for record in records if isinstance(record.event, SendAsk) and record.seq in sent]
    ask = next(record for record in asks if record.event.plan.side == "Buy")
    before = records[: ask.seq]
    kill = ControlRequest("r", ENGINE, "kill_switch", active=True)
    late = [*before, Record(ask.seq, None, None, before[-1].time, kill), structs.replace(ask, seq=ask.seq + 1)]

    async def performed(stream):
        async def paper(_):
            return paper_outlets(HOLDING)

        engine = Engine(HOLDING, tmp_path, paper)
        engine.outlets = await paper(None)
        node = engine.node
        node.log, node._target = LogStream("log", -1, 1, len(stream)), len(stream)
        for message in messages(stream):
            node.take(message)
        assert node.is_level
        told = [word.event for word in node.world.waiting if isinstance(word.event, SendAnswer)]
        return [(answer.ask, answer.ok) for answer in told], told

    assert run(performed([*before, ask]))[0] == [(ask.seq, True)]
    refused, told = run(performed(late))
    assert refused == [(ask.seq + 1, False)]
    assert told[0].last
    assert "KILL_SWITCH_ACTIVE" in told[0].error


def test_market_data_follows_what_quoting_needs_and_what_matters_more(session):
    records = list(Recording.open(session[0]).records())
    feed = MarketData(HOLDING, ())
    feed.node.log, feed.node._target = LogStream("log", -1, 1, len(records)), len(records)
    feed._ready.set()
    for message in messages(records):
        feed.node.take(message)
    groups = feed.following.tracked.state.groups
    pools = {record.event.pool_address for record in records if isinstance(record.event, Trade)}
    assert pools <= groups.keys()
    assert len(feed.following.keys) > len(pools) * 3
    told = MomentumActivePoolsUpdate(1, (ActivePool("mint", pool := min(pools), "position"),))
    run(feed._tracked(ACTIVE_POOLS, msgspec.json.encode(told)))
    assert groups[pool].priority == "momentum"
    gone = MomentumActivePoolsUpdate(1, removed=(GonePool("mint", pool, "any"),))
    run(feed._tracked(ACTIVE_POOLS, msgspec.json.encode(gone)))
    assert groups[pool].priority == "tracker"
    run(feed._tracked(TRACKING["arb-strategy"], b"{"))
    wish = ArbTrackRequestsUpdate(1, (ArbPool(pool, "multi_dex"),))
    run(feed._tracked(TRACKING["arb-strategy"], msgspec.json.encode(wish)))
    assert groups[pool].priority == "arb"
