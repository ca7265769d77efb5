"""A set of nodes in a test: a real server, a feed in this process, nodes as tasks or as processes that never outlive it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from ironcrab.domain.fault import InputFault
from ironcrab.domain.trade import DecisionRecord, TradeIntent
from ironcrab.log.recording import Recording
from ironcrab.mode.node import RECORDER, hosts
from ironcrab.mode.nodes import NodeSettings, free_port, node_until, roles_of
from ironcrab.mode.outlets import paper_outlets
from ironcrab.shell.bus_login import Login, read_login
from ironcrab.shell.bus_server import OPERATOR, login_file, prepare, server_binary
from ironcrab.shell.children import bound
from ironcrab.shell.endpoint import Endpoint
from ironcrab.shell.geyser_chain import Chain
from ironcrab.shell.geyser_demo import demo
from ironcrab.shell.geyser_server import GeyserServer

ROOT = Path(__file__).parents[2]
SCENARIO = ROOT / "scenarios" / "demo.toml"
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
IRONCRAB = (sys.executable, "-m", "ironcrab.app")
SEED, RATE, SLOTS = 3, 300, 45


def needs_server():
    """Skip where there is no nats-server."""
    try:
        return server_binary()
    except InputFault as fault:
        pytest.skip(f"skipped: {fault}")


class Town:
    """A server and what runs beside it. `async with Town(folder, scenario)`."""

    def __init__(self, data, scenario):
        self.data = data
        self.scenario = scenario
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.endpoint = None
        self.rpc_url = None
        self.tasks = {}
        self.processes = {}
        self.stops = {}

    async def __aenter__(self):
        self.start_server()
        return self

    async def __aexit__(self, *_):
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        for process in self.processes.values():
            process.kill()
            process.wait()

    def start_server(self, spoken=None):
        roles = [role for role in roles_of(self.scenario) if role != RECORDER]
        config = prepare(self.data, self.port, spoken or {role: hosts(role, self.scenario) for role in roles})
        self.processes["server"] = subprocess.Popen(
            bound([needs_server(), "-c", str(config), "-l", str(self.data / "server.log")])
        )

    async def listens(self):
        """Until the server does."""
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            await asyncio.sleep(0.02)

    def kill(self, name):
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def size(self):
        """Bytes that the recorder has written."""
        return sum(path.stat().st_size for path in self.data.glob("demo/segments/*.jsonl"))

    async def derived(self, count):
        """Until so many derived records are in the recording."""
        segments = self.data / "demo" / "segments"
        while sum(path.read_bytes().count(b',"by":"') for path in segments.glob("*.jsonl")) < count:  # noqa: ASYNC110 - a test may poll
            await asyncio.sleep(0.1)

    async def grown(self, size):
        """Until the recorder has written so many bytes more than now."""
        size += self.size()
        while self.size() < size:
            for task in self.tasks.values():
                if task.done():
                    task.result()
            await asyncio.sleep(0.05)

    def login(self, role) -> Login:
        return read_login(self.url, login_file(self.data, role))

    def operator(self) -> Login:
        return self.login(OPERATOR)

    async def paper(self, _durable):
        return paper_outlets(self.scenario)

    def start(self, role, name=None, scenario=None):
        """A node as a task of this loop."""
        told = scenario or self.scenario
        settings = NodeSettings(
            self.login(role), self.data, () if self.endpoint is None else (self.endpoint,), self.paper, self.rpc_url
        )
        name = name or role
        self.stops[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(node_until(role, told, settings, self.stops[name]))
        return self.tasks[name]

    def start_all(self):
        for role in roles_of(self.scenario):
            self.start(role)

    async def stop(self, *names):
        for name in names:
            self.stops[name].set()
        await asyncio.gather(*(self.tasks.pop(name) for name in names))

    async def stop_all(self):
        """In the order of `up`: who speaks first stops first."""
        order = ["market-data", "momentum-bot", "arb-strategy", "execution-engine", "recorder"]
        for name in [name for name in order if name in self.tasks]:
            await self.stop(name)

    def up(self, *words, scenario=SCENARIO):
        """`ironcrab up` as a user runs it."""
        self.log = (self.data / "up.log").open("w")
        url = f"http://{self.endpoint.target}"
        return subprocess.Popen(
            bound([*IRONCRAB, "up", str(scenario), "--endpoint", url, "--data", str(self.data), *words]),
            env=ENV, cwd=ROOT, stdout=subprocess.PIPE, stderr=self.log, text=True,
        )  # fmt: skip

    def down(self, up):
        """Stop it in order; its stdout."""
        up.send_signal(signal.SIGTERM)
        out, _ = up.communicate(timeout=20)
        self.log.close()
        assert up.returncode == 0, (self.data / "up.log").read_text()
        return out

    def node_process(self, role, *words, scenario=SCENARIO):
        """A node in a process of its own."""
        process = subprocess.Popen(
            bound([*IRONCRAB, "node", role, str(scenario), "--nats", self.url,
                   "--login", str(login_file(self.data, role)), "--data", str(self.data), *words]),
            env=ENV, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.processes[role] = process
        return process


@contextlib.asynccontextmanager
async def fed(town, speed=4.0, slots=SLOTS, **settings):
    """A demo feed that the town's market-data reads."""
    chain = Chain(demo(SEED, RATE, slots), speed=speed, **settings)
    async with GeyserServer(chain) as server:
        town.endpoint = Endpoint(f"127.0.0.1:{server.port}", tls=False)
        yield chain


async def decisions(folder, count):
    """Until so many decisions are in the recording."""
    mark = b'"type":"DecisionRecord"'
    while sum(path.read_bytes().count(mark) for path in folder.glob("segments/*.jsonl")) < count:  # noqa: ASYNC110 - a test may poll
        await asyncio.sleep(0.1)


async def quiet(folder, seconds=0.4):
    """Wait until the recording does not grow any more."""
    last, since = -1, 0.0
    clock = asyncio.get_running_loop().time
    while True:
        size = sum(path.stat().st_size for path in folder.glob("segments/*.jsonl"))
        if size != last:
            last, since = size, clock()
        elif clock() - since > seconds:
            return
        await asyncio.sleep(0.05)


def decided(folder):
    """What was decided on which intent, with the row of every check."""
    intents, found = {}, []
    for record in Recording.open(folder).records((TradeIntent, DecisionRecord)):
        event = record.event
        if isinstance(event, TradeIntent):
            bare = replace(event, trigger_event_id=None)
            intents[record.seq] = (bare.source, bare.side, bare.resources, bare.required_capital)
            continue
        rows = tuple((row.check_name, row.passed, row.reason_code) for row in event.checks)
        found.append((intents[event.intent], event.outcome, event.primary_reject_reason, rows))
    return found


def children_of(pid):
    """pid -> command line of the processes that `pid` started."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            with contextlib.suppress(OSError):
                found[int(child)] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def kill_9(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
