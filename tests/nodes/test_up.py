"""`ironcrab up` where it must not start, and where it is itself killed."""

import asyncio
import os
import socket
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from ironcrab.app.cli import cli
from ironcrab.app.noding import ENGINE, FEED, ROLES, Given
from ironcrab.log.hot import lock
from ironcrab.mode import nodes
from ironcrab.shell.bus_server import FOLDER
from ironcrab.shell.endpoint import Endpoint
from tests.live.desk import scenario
from tests.nodes.town import ENV, SCENARIO, Town, children_of, needs_server
from tests.shell.stage import WALLET

UP = ("up", str(SCENARIO), "--endpoint", "http://127.0.0.1:1", "--data")


def said(*words):
    done = CliRunner().invoke(cli, words, env=ENV)
    assert done.exit_code
    return f"{done.output}{done.exception}"


def test_a_second_one_over_the_same_folder_is_refused(tmp_path, monkeypatch):
    needs_server()
    monkeypatch.setattr(nodes, "PREDECESSOR_S", 0.2)
    (tmp_path / FOLDER).mkdir()
    holding = lock(tmp_path / FOLDER)
    try:
        assert "another `ironcrab up` runs over" in said(*UP, str(tmp_path))
        assert not list((tmp_path / FOLDER).iterdir())
    finally:
        os.close(holding)


def test_a_port_that_is_taken_is_told_at_once(tmp_path):
    needs_server()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert f"port {port} of loopback is taken" in said(*UP, str(tmp_path), "--nats-port", str(port))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--key-file", "x"), "go with --armed"),
        (("--armed", "A"), "demands --key-file FILE and --rpc URL"),
        (("--endpoint", "http://127.0.0.1:1"), "stands there twice"),
        (("--set", "momentum.nothing=1"), "nothing"),
    ],
)
def test_what_it_cannot_be_told(tmp_path, words, sentence):
    assert sentence in said(*UP, str(tmp_path), *words)
    assert not list(tmp_path.iterdir())


def test_none_outlives_one_that_is_killed(tmp_path):
    needs_server()
    town = Town(tmp_path, scenario())
    town.endpoint = Endpoint("127.0.0.1:1", tls=False)
    up = town.up()
    try:
        last = time.monotonic() + 40
        while len(children := children_of(up.pid)) < 6:
            assert time.monotonic() < last
            time.sleep(0.05)
        # each asks the kernel to die with its parent before it becomes what it is
        while not all("prctl" not in command for command in children.values()):
            children = children_of(up.pid)
            time.sleep(0.05)
        up.kill()
        up.wait()
        while any(alive(pid) for pid in children):
            assert time.monotonic() < last
            time.sleep(0.05)
        # the folder is free again
        os.close(asyncio.run(nodes._alone(tmp_path)))
    finally:
        up.kill()
        up.stdout.close()
        town.log.close()


def test_each_node_is_told_what_it_needs_and_no_more(tmp_path, monkeypatch):
    """The key, the block engine and the wallet's own stream go to the engine alone, the feed's token to who reads it."""
    found = []
    monkeypatch.setattr(nodes, "up", lambda _, settings: found.append(settings) or {})
    token, key = tmp_path / "token", tmp_path / "key"
    token.write_text("hush")
    words = ("--endpoint", "http://a:1", "--endpoint", "http://b:1", "--token-file", str(token), "--token-file", "-")
    more = ("--rpc", "http://c:1", "--keep-hours", "5", "--set", "momentum.take_profit_bps=120")
    done = CliRunner().invoke(cli, ["up", str(SCENARIO), *words, *more, "--data", str(tmp_path)], env=ENV)
    assert not done.exit_code, done.output
    lines = {role: " ".join(found[0].node(role, "nats://x:1", token)) for role in ROLES}
    assert [role for role, line in lines.items() if "--endpoint http://a:1 --endpoint http://b:1" in line] == [FEED]
    assert [role for role, line in lines.items() if "--token-file" in line] == [FEED]
    assert [role for role, line in lines.items() if "--rpc http://c:1" in line] == [FEED]
    assert [role for role, line in lines.items() if "--keep-hours 5" in line] == ["recorder"]
    assert all("momentum.take_profit_bps=120" in line for line in lines.values())
    given = Given(("http://a:1",), (), None, "http://c:1", WALLET.address, key, "http://j:1", "finalized", None, ())
    armed = {role: " ".join(given.words(role)) for role in ROLES}
    assert [role for role, line in armed.items() if "--key-file" in line or "--jito" in line] == [ENGINE]
    assert [role for role, line in armed.items() if "--rpc" in line] == [FEED, ENGINE]
    assert [role for role, line in armed.items() if "--commitment finalized" in line] == [ENGINE]
    assert all(f"--armed {WALLET.address}" in line for line in armed.values())


def alive(pid):
    """Whether it runs, or is a zombie that init has not yet taken."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
