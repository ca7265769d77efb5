"""A set of nodes: which there are, how one is run, and how all are kept alive beside a server of their own."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from ironcrab.domain.fault import Fault, InputFault, LockFault
from ironcrab.log.hot import lock
from ironcrab.mode.live import folder_of
from ironcrab.mode.node import ANNOUNCER, ARBITRAGE, ENGINE, MARKET_DATA, MOMENTUM, RECORDER, ROLES, hosts, tell
from ironcrab.mode.node_announce import Announcer
from ironcrab.mode.node_engine import Engine, Make
from ironcrab.mode.node_feed import MarketData
from ironcrab.mode.node_record import BusRecorder, RecorderSettings
from ironcrab.mode.node_strategy import StrategyNode
from ironcrab.mode.scenario import Scenario
from ironcrab.shell.bus import connected
from ironcrab.shell.bus_login import Login
from ironcrab.shell.bus_server import FOLDER, commands_of, login_file, prepare, server_binary
from ironcrab.shell.children import Child, Children
from ironcrab.shell.control import Reply, Request
from ironcrab.shell.endpoint import Endpoint

SERVER = "nats-server"
PREDECESSOR_S = 3.0
"""Longest wait for the server of a set that was killed."""
TIMEOUT_S = 10.0
"""Longest wait for the engine's reply: its record is on the recorder's disk by then."""


class NodeSettings(Struct, frozen=True):
    """How a node is run.

    Attributes:
        login: where the bus is and who we are there.
        data: folder of recordings, socket, KILL file.
        endpoints: of the feed (market-data).
        outlets: makes the outlets (execution-engine).
        rpc_url: node that unknown accounts are read from (market-data); it may hold a token and is never printed.
        keep_hours: older segments go (recorder); None: none.
    """

    login: Login
    data: Path
    endpoints: tuple[Endpoint, ...] = ()
    outlets: Make | None = None
    rpc_url: str | None = None
    keep_hours: int | None = None


def roles_of(scenario: Scenario) -> tuple[str, ...]:
    """The roles that a scenario needs."""
    return tuple(role for role in ROLES if role not in (MOMENTUM, ARBITRAGE) or hosts(role, scenario))


def run_node(role: str, scenario: Scenario, settings: NodeSettings) -> None:
    """Run one node until SIGTERM or SIGINT.

    Raises:
        InputFault: the login or the endpoint is refused.
        LockFault: another instance of the node speaks.
        LogFault: the log cannot go on here.
    """
    asyncio.run(_until_signal(role, scenario, settings))


async def _until_signal(role: str, scenario: Scenario, settings: NodeSettings) -> None:
    stop = stopped_by_signal()
    await node_until(role, scenario, settings, stop)


def stopped_by_signal() -> asyncio.Event:
    """Set by SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def node_until(role: str, scenario: Scenario, settings: NodeSettings, stop: asyncio.Event) -> None:
    """The same inside a running loop, until `stop` is set."""
    if role == RECORDER:
        name = folder_of(settings.data, scenario).name
        recording = RecorderSettings(settings.data, name, keep_hours=settings.keep_hours)
        await BusRecorder(recording).run(settings.login, stop)
    elif role == ANNOUNCER:
        await Announcer(scenario).run(settings.login, stop)
    elif role == MARKET_DATA:
        assert settings.endpoints
        await MarketData(scenario, settings.endpoints, settings.rpc_url).run(settings.login, stop)
    elif role == ENGINE:
        assert settings.outlets is not None
        await Engine(scenario, settings.data, settings.outlets).run(settings.login, stop)
    else:
        await StrategyNode(role, scenario).run(settings.login, stop)


class UpSettings(Struct, frozen=True):
    """How a set of nodes is run.

    Attributes:
        data: folder of everything.
        port: of the server on loopback; 0: any free one.
        node: the command line of a role, given the bus's URL and the role's login file.
        seconds: stop after so many; None: when told.
    """

    data: Path
    port: int
    node: Callable[[str, str, Path], list[str]]
    seconds: float | None = None


def up(scenario: Scenario, settings: UpSettings) -> dict[str, int]:
    """Run a server, a recorder and the nodes of a scenario until SIGTERM or SIGINT; how often each died.

    Raises:
        InputFault: there is no nats-server, or its port is taken.
        LockFault: another `up` runs over the folder.
        ChildFault: one of them never comes to life.
    """
    return asyncio.run(up_until(scenario, settings, None))


async def up_until(scenario: Scenario, settings: UpSettings, stop: asyncio.Event | None) -> dict[str, int]:
    """The same inside a running loop, until `stop` is set (None: until a signal)."""
    ended = stopped_by_signal() if stop is None else stop
    binary = server_binary()
    port = settings.port or free_port()
    _look_at(port)
    holding = await _alone(settings.data)
    try:
        return await _up(scenario, settings, ended, (binary, port, holding))
    finally:
        os.close(holding)


async def _alone(data: Path) -> int:
    """The descriptor that keeps every other `up` off this folder: two servers over one store would ruin it.

    The server inherits it, so that one which outlives us for a moment is waited for. LockFault.
    """
    (data / FOLDER).mkdir(parents=True, exist_ok=True)
    last = asyncio.get_running_loop().time() + PREDECESSOR_S
    while True:
        try:
            return lock(data / FOLDER)
        except LockFault as fault:
            if asyncio.get_running_loop().time() > last:
                raise LockFault(f"another `ironcrab up` runs over {data}; stop it, or give another --data") from fault
        await asyncio.sleep(0.1)


async def _up(
    scenario: Scenario, settings: UpSettings, ended: asyncio.Event, server: tuple[str, int, int]
) -> dict[str, int]:
    """The same, given the server's binary, its port, and the descriptor that keeps others off."""
    binary, port, holding = server
    roles = roles_of(scenario)
    spoken = {role: hosts(role, scenario) for role in roles if role != RECORDER}
    config = prepare(settings.data, port, spoken)
    url, log = f"nats://127.0.0.1:{port}", str(config.with_suffix(".log"))
    children = Children(tell)
    keeping = [children.keep(Child(SERVER, (binary, "-c", str(config), "-l", log), (holding,), log))]
    tell(f"{SERVER} at {url}, logins in {config.parent}")
    for role in roles:
        command = settings.node(role, url, login_file(settings.data, role))
        keeping.append(children.keep(Child(role, (sys.executable, *command))))
    waiting = asyncio.create_task(ended.wait())
    fault: Fault | None = None
    try:
        done, _ = await asyncio.wait((waiting, *keeping), timeout=settings.seconds, return_when=asyncio.FIRST_COMPLETED)
        fault = next((told for task in done if isinstance(told := task.exception(), Fault)), None)
    finally:
        waiting.cancel()
        # who speaks first stops first, so that the others still hear it; the recorder writes all of it
        for names in ((MARKET_DATA,), (MOMENTUM, ARBITRAGE), (ENGINE,), (RECORDER, ANNOUNCER), (SERVER,)):
            await children.stop(*names)
    if fault is not None:
        raise fault
    return children.deaths


def ask_engine(login: Login, request: Request) -> Reply:
    """The engine's reply to an operator's request over the bus.

    Raises:
        BusFault: the bus is away, or the engine does not answer in time.
        InputFault: no engine listens there.
    """

    async def ask() -> Reply:
        async with connected(login, "operator") as bus:
            told = await bus.ask(commands_of(ENGINE), msgspec.json.encode(request), TIMEOUT_S)
        if told is None:
            raise InputFault(f"no engine listens at {login.url}; start one: ironcrab node execution-engine SCENARIO")
        return msgspec.json.decode(told, type=Reply)

    return asyncio.run(ask())


def _look_at(port: int) -> None:
    """InputFault where the port is taken: whoever listens there is no server of ours."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError as error:
            told = f"port {port} of loopback is taken ({error.strerror}); give another --nats-port"
            raise InputFault(told) from error


def free_port() -> int:
    """A port of loopback that is free now, below those that the system gives to clients.

    A client that tries a port of theirs again and again while nobody listens may once be connected to itself.
    """
    first = 20_000 + os.getpid() % 1_000 * 10
    for port in range(first, 32_000):
        with socket.socket() as one, contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", port))
            return port
    raise InputFault("no port of loopback is free; name one: --nats-port")
