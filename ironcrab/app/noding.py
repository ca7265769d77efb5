"""Commands of a set of processes over NATS: node runs one, up runs all."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from msgspec import Struct

from ironcrab.app.living import DATA, PATH, armed_session, paper_make
from ironcrab.app.settings import environment
from ironcrab.domain.fault import InputFault

if TYPE_CHECKING:
    from ironcrab.mode.live import Make
    from ironcrab.mode.scenario import Scenario
    from ironcrab.shell.endpoint import Endpoint

NEEDED = "NATS is not here ({}); install it: pip install 'ironcrab[nats]'"
FEED, ENGINE = "market-data", "execution-engine"
ROLES = (FEED, "momentum-bot", "arb-strategy", ENGINE, "recorder", "announcer")


class Given(Struct, frozen=True):
    """The options that `node` and `up` share, as they were given."""

    urls: tuple[str, ...]
    tokens: tuple[Path, ...]
    ca_file: Path | None
    rpc_url: str | None
    armed: str | None
    key_file: Path | None
    jito_url: str | None
    commitment: Literal["confirmed", "finalized"]
    keep_hours: int | None
    sets: tuple[str, ...]

    def endpoints(self) -> "tuple[Endpoint, ...]":
        """Of the feed. InputFault."""
        from ironcrab.shell.endpoint import endpoints  # noqa: PLC0415 - loads the feed's messages

        return endpoints(self.urls, self.tokens, self.ca_file) if self.urls else ()

    def words(self, role: str) -> list[str]:
        """The command line of this role's node, as far as it follows from these."""
        feed = [
            *(word for url in self.urls for word in ("--endpoint", url)),
            *(word for token in self.tokens for word in ("--token-file", str(token))),
            *_words(("--ca-file", self.ca_file)),
        ]
        arms = _words(("--key-file", self.key_file), ("--jito", self.jito_url), ("--commitment", self.commitment))
        node = _words(("--rpc", self.rpc_url))
        own = {FEED: [*feed, *node], "recorder": _words(("--keep-hours", self.keep_hours))}
        if self.armed is not None:
            own[ENGINE] = [*feed, *node, *arms]
        same = [*_words(("--armed", self.armed)), *(word for one in self.sets for word in ("--set", one))]
        return [*same, *own.get(role, ())]


SHARED = (
    click.option("--endpoint", "urls", multiple=True, metavar="URL", help="Of the feed; several: what comes first."),
    click.option("--token-file", "tokens", multiple=True, type=PATH, help="An endpoint's token, in their order."),
    click.option("--ca-file", type=PATH, help="PEM of the certificate authority to trust for the feed."),
    click.option("--rpc", "rpc_url", metavar="URL", help="A node for unknown accounts; armed, it simulates and sends."),
    click.option("--armed", allow_from_autoenv=False, metavar="ADDRESS", help="Real money: the wallet, typed in full."),
    click.option(
        "--key-file",
        allow_from_autoenv=False,
        type=PATH,
        help="Its key, readable by its owner alone; only the engine reads it.",
    ),
    click.option("--jito", "jito_url", metavar="URL", help="A block engine for intents that tip."),
    click.option(
        "--commitment",
        type=click.Choice(["confirmed", "finalized"]),
        default="confirmed",
        show_default=True,
        help="Armed: what counts as confirmed.",
    ),
    click.option("--keep-hours", type=click.IntRange(1), help="The recorder drops segments older than this."),
    click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Parameter over the scenario's value."),
)
"""The options of Given, in the order of its fields."""


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(SHARED):
        command = option(command)
    return command


@click.command("node")
@click.argument("role", type=click.Choice(ROLES))
@click.argument("scenario", type=PATH)
@click.option("--nats", "nats_url", required=True, metavar="URL", help="The bus: nats://host:port, tls://host:port.")
@click.option("--login", "login_path", required=True, type=PATH, help="File: `user password`, or NATS credentials.")
@click.option("--nats-ca", type=PATH, help="PEM of the certificate authority to trust for the bus.")
@DATA
@_shared
def node_command(
    role: str, scenario: Path, nats_url: str, login_path: Path, nats_ca: Path | None, data: Path, **told: Any
) -> None:
    """Run one process of SCENARIO over NATS: it folds the log's stream and publishes what its reducers say.

    `market-data` needs --endpoint. Only `execution-engine` may be armed. All processes must be told the same scenario
    and settings, --armed included; in any order. `ironcrab up` starts them all.
    """
    _look_for_nats()
    from ironcrab.app.writing import pairs  # noqa: PLC0415 - only here
    from ironcrab.mode.nodes import NodeSettings, run_node  # noqa: PLC0415 - gRPC, NATS and the venues load only here
    from ironcrab.mode.scenario import load  # noqa: PLC0415 - as above
    from ironcrab.shell.bus_login import read_login  # noqa: PLC0415 - as above
    from ironcrab.shell.wallet import refuse_if_key_in_reach  # noqa: PLC0415 - as above

    given = Given(**told)
    refuse_if_key_in_reach(environment(), role)
    if role != ENGINE and (given.key_file is not None or given.jito_url is not None):
        raise click.UsageError(f"--key-file and --jito are the {ENGINE}'s; {role} may hold no key")
    _refuse_arms(given)
    if given.rpc_url is not None and role != FEED and (role != ENGINE or given.armed is None):
        raise click.UsageError(f"--rpc is of {FEED} and, armed, of {ENGINE}; {role} asks no node")
    if role == FEED and not given.urls:
        raise click.UsageError(f"{FEED} needs --endpoint URL")
    login = read_login(nats_url, login_path, nats_ca)
    loaded, outlets = _outlets(role, load(scenario, pairs(given.sets)), given)
    endpoints = given.endpoints() if role == FEED else ()
    run_node(role, loaded, NodeSettings(login, data, endpoints, outlets, given.rpc_url, given.keep_hours))


def _outlets(role: str, scenario: "Scenario", given: Given) -> "tuple[Scenario, Make | None]":
    """The scenario as it is recorded, and what makes this role's outlets."""
    from ironcrab.mode.arming import armed  # noqa: PLC0415 - as above

    if given.armed is None:
        return scenario, paper_make(scenario)
    if role != ENGINE:
        return armed(scenario, given.armed), None
    own = next(iter(given.endpoints()), None)
    return armed_session(scenario, given.armed, given.key_file, given.rpc_url, given.jito_url, given.commitment, own)


def _refuse_arms(given: Given) -> None:
    if given.armed is None and (given.key_file is not None or given.jito_url is not None):
        raise click.UsageError("--key-file and --jito go with --armed ADDRESS; else it is paper")


@click.command("up")
@click.argument("scenario", type=PATH)
@click.option("--nats-port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0: any free one.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after so many seconds.")
@DATA
@_shared
def up_command(scenario: Path, nats_port: int, seconds: float | None, data: Path, **told: Any) -> None:
    """Run SCENARIO as separate processes over a NATS server of their own; what dies is started again.

    Paper, unless --armed names the wallet. The recorder writes the log into the data folder; `kill`, `reset` and `set`
    work as with `live`. Stop it with ctrl-C or SIGTERM; the next `up` goes on with the log.
    """
    _look_for_nats()
    from ironcrab.app.writing import pairs  # noqa: PLC0415 - only here
    from ironcrab.mode.arming import armed  # noqa: PLC0415 - as above
    from ironcrab.mode.live import folder_of  # noqa: PLC0415 - as above
    from ironcrab.mode.nodes import UpSettings, up  # noqa: PLC0415 - as above
    from ironcrab.mode.scenario import load  # noqa: PLC0415 - as above
    from ironcrab.shell.wallet import refuse_if_key_in_reach  # noqa: PLC0415 - as above

    given = Given(**told)
    refuse_if_key_in_reach(environment(), "up")
    _refuse_arms(given)
    if not given.endpoints():
        raise click.UsageError(f"up needs --endpoint URL, for {FEED}")
    loaded = load(scenario, pairs(given.sets))
    if given.armed is not None:
        if given.key_file is None or given.rpc_url is None:
            raise click.UsageError("--armed demands --key-file FILE and --rpc URL")
        loaded = armed(loaded, given.armed)

    def node(role: str, nats_url: str, login: Path) -> list[str]:
        bus = ["--nats", nats_url, "--login", str(login), "--data", str(data)]
        return ["-m", "ironcrab.app", "node", role, str(scenario), *bus, *given.words(role)]

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
