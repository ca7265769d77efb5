"""Commands of a set of processes over NATS: node runs one, up runs all."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ironcrab.app.living import DATA, PATH, armed_session, paper_make
from ironcrab.app.settings import environment
from ironcrab.domain.fault import InputFault

if TYPE_CHECKING:
    from ironcrab.mode.live import Make

NEEDED = "NATS is not here ({}); install it: pip install 'ironcrab[nats]'"
ROLES = ("market-data", "momentum-bot", "arb-strategy", "execution-engine", "recorder", "announcer")


def _feed_options(command: Callable[..., None]) -> Callable[..., None]:
    options = (
        click.option("--endpoint", "url", metavar="URL", help="Of the feed: https://host:port, or http://host:port."),
        click.option("--token-file", type=PATH, help="The endpoint's token, on one line."),
        click.option("--ca-file", type=PATH, help="PEM of the certificate authority to trust."),
        click.option(
            "--armed", allow_from_autoenv=False, metavar="ADDRESS", help="Real money: the wallet, typed in full."
        ),
        click.option("--key-file", type=PATH, help="Its key, readable by its owner alone; only the engine reads it."),
        click.option("--rpc", "rpc_url", metavar="URL", help="The node that simulates, sends and confirms."),
        click.option("--jito", "jito_url", metavar="URL", help="A block engine for intents that tip."),
        click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Parameter over the scenario's value."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("node")
@click.argument("role", type=click.Choice(ROLES))
@click.argument("scenario", type=PATH)
@click.option("--nats", "nats_url", required=True, metavar="URL", help="The bus: nats://host:port.")
@click.option("--login", "login_path", required=True, type=PATH, help="File with one line: user password.")
@DATA
@_feed_options
def node_command(
    role: str,
    scenario: Path,
    nats_url: str,
    login_path: Path,
    data: Path,
    url: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    armed: str | None,
    key_file: Path | None,
    rpc_url: str | None,
    jito_url: str | None,
    sets: tuple[str, ...],
) -> None:
    """Run one process of SCENARIO over NATS: it folds the log's stream and publishes what its reducers say.

    `market-data` needs --endpoint. Only `execution-engine` may be armed. All processes must be told the same scenario
    and settings, --armed included; in any order. `ironcrab up` starts them all.
    """
    _look_for_nats()
    from ironcrab.app.writing import pairs  # noqa: PLC0415 - only here
    from ironcrab.mode.arming import armed as armed_scenario  # noqa: PLC0415 - as above
    from ironcrab.mode.nodes import NodeSettings, run_node  # noqa: PLC0415 - gRPC, NATS and the venues load only here
    from ironcrab.mode.scenario import load  # noqa: PLC0415 - as above
    from ironcrab.shell.bus import read_login  # noqa: PLC0415 - as above
    from ironcrab.shell.endpoint import endpoint  # noqa: PLC0415 - as above
    from ironcrab.shell.wallet import refuse_if_key_in_reach  # noqa: PLC0415 - as above

    refuse_if_key_in_reach(environment(), role)
    if role != "execution-engine" and (key_file is not None or rpc_url is not None or jito_url is not None):
        raise click.UsageError(f"--key-file, --rpc and --jito are the execution-engine's; {role} may hold no key")
    if role == "market-data" and url is None:
        raise click.UsageError("market-data needs --endpoint URL")
    loaded = load(scenario, pairs(sets))
    settings = NodeSettings(
        read_login(nats_url, login_path),
        data,
        None if url is None or role != "market-data" else endpoint(url, token_file, ca_file),
    )
    outlets: Make | None = None
    if armed is None:
        if key_file is not None or rpc_url is not None or jito_url is not None:
            raise click.UsageError("--key-file, --rpc and --jito go with --armed ADDRESS; else it is paper")
        outlets = paper_make(loaded)
    elif role == "execution-engine":
        loaded, outlets = armed_session(loaded, armed, key_file, rpc_url, jito_url)
    else:
        loaded = armed_scenario(loaded, armed)
    run_node(role, loaded, NodeSettings(settings.login, data, settings.endpoint, outlets))


@click.command("up")
@click.argument("scenario", type=PATH)
@click.option("--nats-port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0: any free one.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after so many seconds.")
@DATA
@_feed_options
def up_command(
    scenario: Path,
    nats_port: int,
    seconds: float | None,
    data: Path,
    url: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    armed: str | None,
    key_file: Path | None,
    rpc_url: str | None,
    jito_url: str | None,
    sets: tuple[str, ...],
) -> None:
    """Run SCENARIO as separate processes over a NATS server of their own; what dies is started again.

    Paper, unless --armed names the wallet. The recorder writes the log into the data folder; `kill`, `reset` and `set`
    work as with `live`. Stop it with ctrl-C or SIGTERM; the next `up` goes on with the log.
    """
    _look_for_nats()
    from ironcrab.app.writing import pairs  # noqa: PLC0415 - only here
    from ironcrab.mode.arming import armed as armed_scenario  # noqa: PLC0415 - as above
    from ironcrab.mode.live import folder_of  # noqa: PLC0415 - as above
    from ironcrab.mode.nodes import UpSettings, up  # noqa: PLC0415 - as above
    from ironcrab.mode.scenario import load  # noqa: PLC0415 - as above
    from ironcrab.shell.wallet import refuse_if_key_in_reach  # noqa: PLC0415 - as above

    refuse_if_key_in_reach(environment(), "up")
    if url is None:
        raise click.UsageError("up needs --endpoint URL, for market-data")
    if armed is None and (key_file is not None or rpc_url is not None or jito_url is not None):
        raise click.UsageError("--key-file, --rpc and --jito go with --armed ADDRESS; else it is paper")
    loaded = load(scenario, pairs(sets))
    if armed is not None:
        loaded = armed_scenario(loaded, armed)
    feed = _words(("--endpoint", url), ("--token-file", token_file), ("--ca-file", ca_file))
    arms = _words(("--key-file", key_file), ("--rpc", rpc_url), ("--jito", jito_url))
    same = [*_words(("--data", data), ("--armed", armed)), *(word for one in sets for word in ("--set", one))]

    def node(role: str, nats_url: str, login: Path) -> list[str]:
        own = feed if role == "market-data" else arms if role == "execution-engine" else []
        bus = ["--nats", nats_url, "--login", str(login)]
        return ["-m", "ironcrab.app", "node", role, str(scenario), *bus, *same, *own]

    deaths = up(loaded, UpSettings(data, nats_port, node, seconds))
    for name, count in deaths.items():
        click.echo(f"{name} died {count} time(s) and was started again")
    click.echo(f"next: ironcrab verify {folder_of(data, loaded)}")


def _look_for_nats() -> None:
    """InputFault where the extra is not installed."""
    try:
        importlib.import_module("nats")
    except ImportError as error:
        raise InputFault(NEEDED.format(error)) from error


def _words(*options: tuple[str, object]) -> list[str]:
    """Options that were given, as words of a command line."""
    return [word for name, value in options if value is not None for word in (name, str(value))]
