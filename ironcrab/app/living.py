"""Commands of a live session: live, kill, reset, set, unit."""

import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ironcrab.app.settings import environment
from ironcrab.app.text import emit_json
from ironcrab.domain.fault import InputFault

if TYPE_CHECKING:
    from ironcrab.mode.live import LiveSummary, Make
    from ironcrab.mode.outlets import Outlets
    from ironcrab.mode.scenario import Scenario
    from ironcrab.mode.taking import Status
    from ironcrab.shell.control import Request
    from ironcrab.shell.endpoint import Endpoint

PATH = click.Path(path_type=Path)
DATA = click.option(
    "--data", type=PATH, default=Path("data"), show_default=True, help="Folder of the logs, sockets and the KILL file."
)


BUS = (
    click.option("--nats", "bus_url", metavar="URL", help="Ask the engine of this bus instead: nats://host:port."),
    click.option("--login", type=PATH, help="File: `user password`, or NATS credentials; with --nats."),
    click.option("--nats-ca", type=PATH, help="PEM of the certificate authority to trust; with tls://host:port."),
)


def _over_bus(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(BUS):
        command = option(command)
    return command


@click.command("live")
@click.argument("scenario", type=PATH)
@click.option(
    "--endpoint", "urls", required=True, multiple=True, metavar="URL", help="https://host:port, or http://host:port."
)
@click.option("--token-file", "tokens", multiple=True, type=PATH, help="The token of an endpoint, in their order.")
@click.option("--ca-file", type=PATH, help="PEM of the certificate authority to trust, where it is not a usual one.")
@DATA
@click.option("--armed", allow_from_autoenv=False, metavar="ADDRESS", help="Real money: the wallet, typed in full.")
@click.option("--key-file", allow_from_autoenv=False, type=PATH, help="Its key, readable by its owner alone.")
@click.option("--rpc", "rpc_url", metavar="URL", help="A node for unknown accounts; armed, it simulates and sends too.")
@click.option("--jito", "jito_url", metavar="URL", help="A block engine for intents that tip.")
@click.option(
    "--commitment",
    type=click.Choice(["confirmed", "finalized"]),
    default="confirmed",
    show_default=True,
    help="Armed: what counts as confirmed.",
)
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after so many seconds.")
@click.option("--keep-hours", type=click.IntRange(1), help="Drop segments of the log older than this.")
@click.option("--hot", is_flag=True, help="Leave the segments as JSONL; do not seal.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Parameter over the scenario's value.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def live_command(
    scenario: Path,
    urls: tuple[str, ...],
    tokens: tuple[Path, ...],
    ca_file: Path | None,
    data: Path,
    armed: str | None,
    key_file: Path | None,
    rpc_url: str | None,
    jito_url: str | None,
    commitment: Literal["confirmed", "finalized"],
    seconds: float | None,
    keep_hours: int | None,
    hot: bool,
    sets: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run SCENARIO on the feed at URL: paper, unless --armed names the wallet. Goes on where its log ended.

    With several --endpoint what comes first is taken, and a loss of one of them is no gap.

    Stop it with ctrl-C or SIGTERM: the log is closed in order, and the next `live` goes on with it.
    """
    from ironcrab.app.writing import pairs  # noqa: PLC0415 - only here
    from ironcrab.mode.live import LiveSettings, folder_of, live  # noqa: PLC0415 - gRPC and the venues load only here
    from ironcrab.mode.scenario import load  # noqa: PLC0415 - as above
    from ironcrab.shell.endpoint import endpoints  # noqa: PLC0415 - as above
    from ironcrab.shell.wallet import refuse_if_key_in_reach  # noqa: PLC0415 - as above

    refuse_if_key_in_reach(environment(), "live")
    loaded = load(scenario, pairs(sets))
    first, *more = endpoints(urls, tokens, ca_file)
    settings = LiveSettings(first, data, seconds, hot, keep_hours, more=tuple(more), rpc_url=rpc_url)
    if armed is not None:
        loaded, outlets = armed_session(loaded, armed, key_file, rpc_url, jito_url, commitment, settings.endpoint)
    else:
        if key_file is not None or jito_url is not None:
            raise click.UsageError("--key-file and --jito go with --armed ADDRESS; else it is paper")
        outlets = paper_make(loaded)
    summary = live(loaded, settings, outlets, status_line())
    _tell(folder_of(data, loaded), summary, as_json=as_json)


def paper_make(scenario: "Scenario") -> "Make":
    """Makes the outlets of a paper session."""
    from ironcrab.mode.outlets import paper_outlets  # noqa: PLC0415 - as above

    async def outlets(_: Callable[[], int]) -> "Outlets":
        return paper_outlets(scenario)

    return outlets


def armed_session(
    loaded: "Scenario",
    address: str,
    key_file: Path | None,
    rpc_url: str | None,
    jito_url: str | None,
    commitment: Literal["confirmed", "finalized"] = "confirmed",
    own: "Endpoint | None" = None,
) -> "tuple[Scenario, Make]":
    """The scenario and the outlets of an armed session; every refusal comes before anything is begun."""
    from ironcrab.mode.arming import Arms, armed, armed_outlets, key_of  # noqa: PLC0415 - as above
    from ironcrab.shell.sender import SenderParams  # noqa: PLC0415 - as above

    if key_file is None or rpc_url is None:
        raise click.UsageError("--armed demands --key-file FILE and --rpc URL")
    arms = Arms(address, key_file, rpc_url, jito_url, SenderParams(commitment=commitment), own)
    scenario = armed(loaded, address)
    wallet = key_of(arms)

    async def outlets(durable: Callable[[], int]) -> "Outlets":
        return await armed_outlets(scenario, arms, wallet, durable)

    return scenario, outlets


def _tell(folder: Path, summary: "LiveSummary", *, as_json: bool) -> None:
    if as_json:
        emit_json({"recording": str(folder), **{key: getattr(summary, key) for key in summary.__struct_fields__}})
        return
    click.echo(f"{folder}: run {summary.run}, {summary.added:,} records ({summary.records:,} in all)")
    counts = ", ".join(f"{outcome} {count}" for outcome, count in summary.decisions.items()) or "none"
    click.echo(f"  decisions {sum(summary.decisions.values())}: {counts}; gaps {summary.gaps}")
    if summary.finished:
        click.echo(f"  an interrupted turn was finished with {summary.finished} record(s)")
    for reason, count in summary.refused.items():
        click.echo(f"  not turned into events: {count:,} {reason}")
    click.echo(f"next: ironcrab verify {folder}")


def status_line() -> Callable[["Status"], None]:
    """Prints a session's status on stderr: in place on a terminal, else a line every half minute."""
    from ironcrab.shell.skew import MOST_SKEW_S, sentence_of  # noqa: PLC0415 - as above

    is_terminal = sys.stderr.isatty()
    looks, before, is_skewed = 0, 0, False

    def show(status: "Status") -> None:
        nonlocal looks, before, is_skewed
        looks += 1
        if abs(status.skew_s) > MOST_SKEW_S and not is_skewed:
            is_skewed = True
            click.echo(f"warning: {sentence_of(status.skew_s)}", err=True)
        rate, before = status.records - max(before, status.first), status.records
        states = (
            ("DOWN ", not status.is_up),
            ("GAP ", status.is_up and status.is_gap),
            ("KILLED ", status.is_killed),
            ("DISK LOW ", status.is_low),
        )
        flags = "".join(word for word, holds in states if holds)
        lag = status.lag_ns // 1_000_000
        text = (
            f"{flags}slot {status.slot:,}  lag {lag} ms  {rate:,} events/s  pools {status.pools:,}"
            f"  positions {status.positions}  gaps {status.gaps}  {status.last}"
        )
        if is_terminal:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
        elif looks % 30 == 1:
            click.echo(text, err=True)

    return show


@click.command("kill")
@click.option("--reason", default="operator", show_default=True, help="Recorded, and told by every refusal.")
@click.option("--liquidate", is_flag=True, help="Ask for the positions to be sold.")
@DATA
@_over_bus
def kill_command(
    reason: str, liquidate: bool, data: Path, bus_url: str | None, login: Path | None, nats_ca: Path | None
) -> None:
    """Turn the kill switch on in every session of the data folder: no buy is sent until `ironcrab reset`.

    Where no session listens a KILL file is made: the next session begins killed.
    """
    from ironcrab.shell.control import KILL_FILE, Request  # noqa: PLC0415 - only here

    request = Request("kill", reason, liquidate)
    if bus_url is not None:
        _ask_bus(bus_url, login, nats_ca, request)
    elif not _all(data, request):
        path = data / KILL_FILE
        if not data.is_dir():
            raise InputFault(f"{data} is no folder; give that of the sessions: --data DIR")
        path.write_text(f"{reason}\n", encoding="utf-8")
        click.echo(f"no session listens in {data}; made {path}: the next session begins killed")


@click.command("reset")
@DATA
@_over_bus
def reset_command(data: Path, bus_url: str | None, login: Path | None, nats_ca: Path | None) -> None:
    """Turn the kill switch off in every session of the data folder."""
    from ironcrab.shell.control import Request  # noqa: PLC0415 - only here

    if bus_url is not None:
        _ask_bus(bus_url, login, nats_ca, Request("reset"))
    elif not _all(data, Request("reset")):
        raise InputFault(f"no session listens in {data}; start one: ironcrab live SCENARIO --endpoint URL")


@click.command("set")
@click.argument("settings", nargs=-1, required=True, metavar="KEY=VALUE...")
@DATA
@_over_bus
def set_command(
    settings: tuple[str, ...], data: Path, bus_url: str | None, login: Path | None, nats_ca: Path | None
) -> None:
    """Change parameters of the sessions of the data folder while they run; `ironcrab params` lists them.

    KEY is `momentum.take_profit_bps`, `wsol_manager.cooldown_ms`, ...; without a table it is the engine's.
    """
    from ironcrab.app.writing import pairs  # noqa: PLC0415 - only here
    from ironcrab.shell.control import Request  # noqa: PLC0415 - only here

    wanted = Request("set", settings=dict(pairs(settings)))
    if bus_url is not None:
        _ask_bus(bus_url, login, nats_ca, wanted)
    elif not _all(data, wanted):
        raise InputFault(f"no session listens in {data}; start one: ironcrab live SCENARIO --endpoint URL")


def _all(data: Path, request: "Request") -> bool:
    """Put a request to every session and tell the replies; exit 3 where one is a no; False: none listens."""
    from ironcrab.shell.control import ask, listening  # noqa: PLC0415 - only here

    replies = [(path, reply) for path in listening(data) if (reply := ask(path, request)) is not None]
    for path, reply in replies:
        at = "" if reply.seq is None else f" (record {reply.seq})"
        click.echo(f"{path.stem}: {reply.text}{at}")
    if not all(reply.ok for _, reply in replies):
        raise click.exceptions.Exit(3)
    return bool(replies)


def _ask_bus(url: str, login: Path | None, nats_ca: Path | None, request: "Request") -> None:
    """Put a request to the engine of a bus and tell the reply; exit 3 where it is a no."""
    from ironcrab.mode.nodes import ask_engine  # noqa: PLC0415 - NATS loads only here
    from ironcrab.shell.bus_login import read_login  # noqa: PLC0415 - as above

    if login is None:
        raise click.UsageError("--nats goes with --login FILE")
    reply = ask_engine(read_login(url, login, nats_ca), request)
    at = "" if reply.seq is None else f" (record {reply.seq})"
    click.echo(f"execution-engine: {reply.text}{at}")
    if not reply.ok:
        raise click.exceptions.Exit(3)


@click.command("unit")
@click.argument("scenario", type=PATH)
@click.option("--endpoint", "url", required=True, metavar="URL", help="As of live.")
@click.option("--token-file", type=PATH, help="As of live.")
@click.argument("more", nargs=-1, type=click.UNPROCESSED)
@DATA
def unit_command(scenario: Path, url: str, token_file: Path | None, more: tuple[str, ...], data: Path) -> None:
    """Print a systemd unit that runs SCENARIO live and resumes it after a reboot; MORE options of live behind `--`."""
    from ironcrab.mode.scenario import load  # noqa: PLC0415 - as above

    loaded = load(scenario)
    words = [sys.executable, "-m", "ironcrab.app", "live", str(scenario.resolve()), "--endpoint", url]
    words += [] if token_file is None else ["--token-file", str(token_file.resolve())]
    click.echo(unit_text(loaded.name, [*words, *more, "--data", str(data.resolve())]))


UNIT = """\
# Put this at /etc/systemd/system/ironcrab-{name}.service, then: systemctl enable --now ironcrab-{name}
[Unit]
Description=ironcrab live {name}
Wants=network-online.target
After=network-online.target
# an endpoint may be away for hours: tried again every few seconds, for ever; the journal says why
StartLimitIntervalSec=0

[Service]
Type=exec
User={user}
ExecStartPre=+/usr/bin/install -d -o {user} {data}
ExecStart={command}
WorkingDirectory={folder}
# the log goes on where it ended, whatever ended it
Restart=on-failure
RestartPreventExitStatus=2
RestartSec=5
KillSignal=SIGTERM
TimeoutStopSec=60
UMask=0077
NoNewPrivileges=true
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=true
ReadWritePaths={data}
LimitCORE=0

[Install]
WantedBy=multi-user.target
"""


def unit_text(name: str, command: list[str]) -> str:
    """The unit that runs `command` (its last word is the data folder)."""
    quoted = " ".join(_quoted(word) for word in command)
    data = command[-1]
    user = pwd.getpwuid(os.geteuid()).pw_name
    return UNIT.format(name=name, command=quoted, folder=Path.cwd(), data=_quoted(data), user=user).rstrip("\n")


def _quoted(word: str) -> str:
    """A word of a unit file: per cent signs and dollars are its own, blanks need quotes."""
    plain = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    return f'"{plain}"' if any(sign in plain for sign in " \t\"'") else plain
