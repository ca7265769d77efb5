"""Commands that speak Geyser: feed serves one, record writes one."""

import asyncio
import itertools
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ironcrab.app.settings import environment
from ironcrab.app.text import emit_json
from ironcrab.domain.fault import InputFault

if TYPE_CHECKING:
    from ironcrab.mode.record import Status

PATH = click.Path(path_type=Path)


@click.command("feed")
@click.argument("capture")
@click.option("--port", required=True, type=click.IntRange(0, 65535), help="Port on loopback; 0: any free one.")
@click.option(
    "--speed", default="1", show_default=True, help="1: recorded pace, N: N times as fast, max: as the client reads."
)
@click.option("--faults", "script", type=PATH, help="A TOML script of faults.")
@click.option("--fault", "typed", multiple=True, metavar="KIND@AFTER[:KEY=N,..]", help="One fault, as cut@120:lose=5.")
@click.option("--ring", type=click.IntRange(0), default=150, show_default=True, help="Slots kept for replays; 0: none.")
@click.option("--token-file", type=PATH, help="The x-token clients must send.")
@click.option("--tls-key", type=PATH, help="Private key, PEM.")
@click.option("--tls-cert", type=PATH, help="Certificate chain, PEM.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of demo: same seed, same frames.")
@click.option("--rate", type=click.IntRange(1, 100_000), default=200, show_default=True, help="Of demo: updates/s.")
def feed_command(
    capture: str,
    port: int,
    speed: str,
    script: Path | None,
    typed: tuple[str, ...],
    ring: int,
    token_file: Path | None,
    tls_key: Path | None,
    tls_cert: Path | None,
    seed: int,
    rate: int,
) -> None:
    """Serve CAPTURE as a Yellowstone endpoint on loopback.

    CAPTURE is a file of frames (plain, .zst or .gz), a recording made with --raw, or the word demo: a market of all
    six venues made from a seed, without end.

    Kinds of faults: cut, lag, end, refuse, replay, silence, partial, fork, dead, recreate, swap; AFTER counts updates.
    """
    from ironcrab.shell import geyser_faults  # noqa: PLC0415 - gRPC and the venues load only here
    from ironcrab.shell.endpoint import read_token  # noqa: PLC0415 - as above
    from ironcrab.shell.geyser_chain import Chain  # noqa: PLC0415 - as above
    from ironcrab.shell.geyser_server import GeyserServer, read_tls  # noqa: PLC0415 - as above
    from ironcrab.shell.wallet import refuse_if_key_in_reach  # noqa: PLC0415 - as above

    refuse_if_key_in_reach(environment(), "feed")
    faults = (*(geyser_faults.load(script) if script else ()), *(geyser_faults.read(text) for text in typed))
    updates = _updates(capture, seed, rate)
    token = None if token_file is None else read_token(token_file)
    tls = read_tls(tls_key, tls_cert)

    async def serve() -> None:
        chain = Chain(updates, speed=_speed(speed), ring=ring, script=faults)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with GeyserServer(chain, port=port, token=token, tls=tls) as server:
            url = f"{'http' if tls is None else 'https'}://{server.host}:{server.port}"
            click.echo(f"feed of {capture} at {url}", err=True)
            click.echo(f"next: ironcrab record NAME --endpoint {url}", err=True)
            ended = asyncio.create_task(chain.finished.wait())
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not stop.is_set():
                click.echo(f"{capture} is at its end after {chain.position:,} updates; streams stay open", err=True)
                await stopped
            ended.cancel()

    asyncio.run(serve())


def _updates(capture: str, seed: int, rate: int) -> Iterator:  # type: ignore[type-arg]  # of updates, loaded late
    from ironcrab.shell.files import capture as frames_of  # noqa: PLC0415 - as above
    from ironcrab.shell.files import capture_files  # noqa: PLC0415 - as above
    from ironcrab.shell.geyser_filters import update_of  # noqa: PLC0415 - as above

    if capture == "demo":
        from ironcrab.shell.geyser_demo import demo  # noqa: PLC0415 - as above

        return demo(seed, rate)
    path = Path(capture)
    capture_files(path)
    updates = (update for frame in frames_of(path, {}) if (update := update_of(frame)) is not None)
    first = next(updates, None)
    if first is None:
        raise InputFault(f"{path} holds no frame: u32 big-endian length + SubscribeUpdate; is it a capture?")
    return itertools.chain((first,), updates)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0
    if not 0 < speed < 1e6:
        raise click.BadParameter(f"{text!r} is neither a number above 0 nor max", param_hint="--speed")
    return speed


@click.command("record")
@click.argument("name")
@click.option(
    "--endpoint", "urls", required=True, multiple=True, metavar="URL", help="https://host:port, or http://host:port."
)
@click.option("--token-file", "tokens", multiple=True, type=PATH, help="The token of an endpoint, in their order.")
@click.option("--ca-file", type=PATH, help="PEM of the certificate authority to trust, where it is not a usual one.")
@click.option("--raw", is_flag=True, help="Keep the frames beside the recording.")
@click.option("--pools", multiple=True, metavar="POOL[,POOL..]", help="Accounts of these pools alone.")
@click.option("--data", type=PATH, default=Path("data"), show_default=True, help="Folder of recordings.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after so many seconds.")
@click.option(
    "--tracked", type=click.IntRange(0), default=20_000, show_default=True, help="Most vaults, mints.. of found pools."
)
@click.option("--hot", is_flag=True, help="Leave the segments as JSONL; do not seal.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def record_command(
    name: str,
    urls: tuple[str, ...],
    tokens: tuple[Path, ...],
    ca_file: Path | None,
    raw: bool,
    pools: tuple[str, ...],
    data: Path,
    seconds: float | None,
    tracked: int,
    hot: bool,
    as_json: bool,
) -> None:
    """Write the feed at URL into the recording NAME, run no strategy; goes on where NAME ended before.

    With several --endpoint what comes first is taken, and a loss of one of them is no gap.

    Stop it with ctrl-C or SIGTERM: the log is closed in order.
    """
    from ironcrab.mode.record import RecordSettings, record  # noqa: PLC0415 - gRPC and the venues load only here
    from ironcrab.shell.endpoint import endpoints  # noqa: PLC0415 - as above
    from ironcrab.shell.wallet import refuse_if_key_in_reach  # noqa: PLC0415 - as above

    refuse_if_key_in_reach(environment(), "record")
    if Path(name).name != name or name.startswith("."):
        raise click.BadParameter(f"{name!r} is no plain name; the folder stands in --data", param_hint="NAME")
    folder = data / name
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputFault(f"cannot make {data}: {error.strerror}; name another folder: --data DIR") from error
    first, *more = endpoints(urls, tokens, ca_file)
    settings = RecordSettings(
        first,
        raw=raw,
        pools=keys_of(pools, "--pools"),
        seconds=seconds,
        hot=hot,
        most_tracked=tracked,
        more=tuple(more),
    )
    summary = record(folder, settings, status_line())
    if as_json:
        emit_json({"recording": str(folder), **{key: getattr(summary, key) for key in summary.__struct_fields__}})
        return
    click.echo(
        f"{folder}: {summary.records:,} records ({summary.added:,} new), {summary.gaps} gap(s), log {summary.log_id}"
    )
    for reason, count in summary.refused.items():
        click.echo(f"  not turned into events: {count:,} {reason}")
    click.echo(f"next: ironcrab inspect {folder}")


def keys_of(texts: tuple[str, ...], option: str) -> tuple[str, ...]:
    """The addresses in the values of an option, each once; a usage error where one is none."""
    from ironcrab.dex.address import is_key  # noqa: PLC0415 - only here

    found = tuple(dict.fromkeys(key for text in texts for key in text.split(",") if key))
    for key in found:
        if not is_key(key):
            raise click.BadParameter(f"{key!r} is no base58 address", param_hint=option)
    return found


def status_line() -> Callable[["Status"], None]:
    """Prints a feed's status on stderr: in place on a terminal, else a line every half minute."""
    is_terminal = sys.stderr.isatty()
    looks, before = 0, 0

    def show(status: "Status") -> None:
        nonlocal looks, before
        looks += 1
        rate, before = status.records - max(before, status.first), status.records
        gap = ", one open" if status.open_gap else ""
        up = "" if status.is_up else "DOWN  "
        lag = status.lag_ns // 1_000_000
        text = f"{up}slot {status.slot:,}  lag {lag} ms  {rate:,} events/s  gaps {status.gaps}{gap}"
        if is_terminal:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
        elif looks % 30 == 1:
            click.echo(text, err=True)

    return show
