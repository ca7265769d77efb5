"""Commands that write: import, run, params, seal, retain, export, slice, decide."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from ironcrab.app.opening import open_recording
from ironcrab.app.settings import environment
from ironcrab.app.text import emit_json, parse_time, progress, shorten, table
from ironcrab.domain.fault import InputFault, LockFault
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.log.session import recover
from ironcrab.mode.cutting import around, cut, seq_at_slot, seq_at_time
from ironcrab.mode.output import fresh_folder

OUT = click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder to write; must not exist.")
HOT = click.option("--hot", is_flag=True, help="Leave the last segment as JSONL; do not seal.")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
SET = click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Parameter over the scenario's value.")


@click.group("import")
def import_command() -> None:
    """Turn foreign files (plain, .zst or .gz) into a recording."""


def told(out: Path, summary: Any) -> dict[str, Any]:
    """A summary as JSON tells it: where it lies, then what it says."""
    return {"out": str(out), **msgspec.to_builtins(summary)}


def _import(kind: str, path: Path, out: Path, *, hot: bool, as_json: bool, **more: Path) -> None:
    from ironcrab.mode import importing  # noqa: PLC0415 - protobuf and the venues load only here

    importers: dict[str, Callable[..., Any]] = {
        "frames": importing.import_frames,
        "whirlpool-day": importing.import_whirlpool_day,
        "ironcrab": importing.import_ironcrab,
    }
    with fresh_folder(out) as folder, progress("import") as show:
        summary = importers[kind](path, folder, show, **more)
        if not hot:
            seal(folder)
    _tell_import(out, summary, as_json=as_json)


def _tell_import(out: Path, summary: Any, *, as_json: bool) -> None:
    if as_json:
        emit_json(told(out, summary))
        return
    click.echo(f"{out}: {summary.records:,} records, log {summary.log_id}")
    click.echo("  " + ", ".join(f"{name} {count:,}" for name, count in summary.counts.items()))
    for reason, count in summary.refused.items():
        click.echo(f"  not turned into events: {count:,} {reason}")
    click.echo(f"next: ironcrab inspect {out}")


@import_command.command("frames")
@click.argument("file", type=click.Path(path_type=Path))
@OUT
@HOT
@JSON
def import_frames_command(file: Path, out: Path, hot: bool, as_json: bool) -> None:
    """Geyser frames: u32 big-endian length + SubscribeUpdate."""
    _import("frames", file, out, hot=hot, as_json=as_json)


@import_command.command("whirlpool-day")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--states",
    type=click.Path(path_type=Path),
    help="All Whirlpool accounts at the day's end: rebuild those of the day.",
)
@OUT
@HOT
@JSON
def import_whirlpool_day_command(file: Path, states: Path | None, out: Path, hot: bool, as_json: bool) -> None:
    """A day of decoded Whirlpool transactions, one JSON line a slot."""
    more = {} if states is None else {"states": states}
    _import("whirlpool-day", file, out, hot=hot, as_json=as_json, **more)


@import_command.command("ironcrab")
@click.argument("dir", type=click.Path(path_type=Path))
@OUT
@HOT
@JSON
def import_ironcrab_command(dir: Path, out: Path, hot: bool, as_json: bool) -> None:  # noqa: A002 - the argument's name in --help
    """The original's JSONL folders or files."""
    _import("ironcrab", dir, out, hot=hot, as_json=as_json)


@import_command.command("rpc")
@click.option("--pools", multiple=True, metavar="POOL[,POOL..]", help="These pools and what quoting them needs ...")
@click.option("--program", metavar="ADDRESS", help="... or all that a program owns.")
@click.option("--slots", metavar="A..B", help="Before that, what happened in these slots.")
@click.option("--rpc-url", "url", required=True, metavar="URL", help="The node to ask; it is never printed.")
@OUT
@HOT
@JSON
def import_rpc_command(
    pools: tuple[str, ...], program: str | None, slots: str | None, url: str, out: Path, hot: bool, as_json: bool
) -> None:
    """Accounts and blocks as a node tells them by RPC: to begin with, and to fill in what a feed missed."""
    import asyncio  # noqa: PLC0415 - only here

    from ironcrab.app.feeding import keys_of  # noqa: PLC0415 - only here
    from ironcrab.mode.rpc_importing import Wish, import_rpc  # noqa: PLC0415 - HTTP and the venues load only here
    from ironcrab.shell.rpc import Rpc  # noqa: PLC0415 - as above
    from ironcrab.shell.wallet import refuse_if_key_in_reach  # noqa: PLC0415 - as above

    refuse_if_key_in_reach(environment(), "import rpc")
    named = keys_of(pools, "--pools")
    if bool(named) == (program is not None):
        raise click.UsageError("give --pools POOL[,POOL..] or --program ADDRESS")
    wish = Wish(named, None if program is None else keys_of((program,), "--program")[0], _span(slots))

    async def read(folder: Path, show: Callable[[int], None] | None) -> Any:
        async with Rpc(url) as rpc:
            return await import_rpc(rpc, wish, folder, show)

    with fresh_folder(out) as folder, progress("import") as show:
        summary = asyncio.run(read(folder, show))
        if not hot:
            seal(folder)
    _tell_import(out, summary, as_json=as_json)


def _span(text: str | None) -> tuple[int, int] | None:
    """First and last slot of `A..B`; a usage error where it is none."""
    if text is None:
        return None
    first, dots, last = text.partition("..")
    if not dots or not first.isascii() or not first.isdigit() or not last.isascii() or not last.isdigit():
        raise click.BadParameter(f"{text[:60]!r} is not A..B, two slots", param_hint="--slots")
    return int(first), int(last)


def pairs(sets: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """(key, value) of each --set; a usage error where one has no `=`."""
    found = []
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--set")
        found.append((key, value))
    return tuple(found)


@click.command("run")
@click.argument("recording", type=click.Path(path_type=Path))
@click.argument("scenario", type=click.Path(path_type=Path))
@OUT
@SET
@HOT
@JSON
def run_command(recording: Path, scenario: Path, out: Path, sets: tuple[str, ...], hot: bool, as_json: bool) -> None:
    """Fold the market events of RECORDING through the strategies and the engine of SCENARIO into a new recording."""
    from ironcrab.mode.run import run  # noqa: PLC0415 - the engine loads only here
    from ironcrab.mode.scenario import load  # noqa: PLC0415 - as above

    loaded = load(scenario, pairs(sets))
    with fresh_folder(out) as folder, progress("run") as show:
        summary = run(open_recording(recording), loaded, folder, show)
        if not hot:
            seal(folder)
    if as_json:
        emit_json(told(out, summary))
        return
    click.echo(f"{out}: {summary.records:,} records, {summary.derived:,} derived, digest {summary.digest}")
    click.echo("  " + ", ".join(f"{name} {count:,}" for name, count in summary.counts.items()))
    click.echo(f"next: ironcrab verify {out}")


@click.command("params")
@click.argument("scenario", type=click.Path(path_type=Path))
@SET
@JSON
def params_command(scenario: Path, sets: tuple[str, ...], as_json: bool) -> None:
    """List every parameter of SCENARIO with value, unit, default, range, and where the value came from."""
    from ironcrab.mode.scenario import load, rows  # noqa: PLC0415 - the engine loads only here

    found = rows(load(scenario, pairs(sets)))
    if as_json:
        emit_json(found)
        return
    body = [
        (row.key, shorten(row.value), row.unit, shorten(row.default), row.range, row.origin, row.meaning)
        for row in found
    ]
    for line in table(body, ("key", "value", "unit", "default", "range", "origin", "meaning")):
        click.echo(line)


@click.command("seal")
@click.argument("recording", type=click.Path(path_type=Path))
@JSON
def seal_command(recording: Path, as_json: bool) -> None:
    """Turn the hot segments of RECORDING into Parquet; the chain is proven before the JSONL goes.

    A last segment that a crash or a cut left open is closed after its last whole record first; what was lost is told.
    """
    _mend(recording)
    count = seal(recording)
    if as_json:
        emit_json({"recording": str(recording), "sealed": count})
    else:
        click.echo(f"{recording}: sealed {count} segment(s)")


def _mend(recording: Path) -> None:
    """Close what a crash left open and tell what it took; a log that is being written is left to its writer."""
    try:
        recovered = recover(recording)
    except LockFault:
        return
    if recovered is None:
        return
    if recovered.lost_bytes:
        kept = f"{recovered.lost_bytes} bytes of an incomplete last line were cut off and kept in {recovered.kept_in}"
        click.echo(f"warning: {recording}: {kept}", err=True)
    if recovered.lost_records:
        last = recovered.next_seq + recovered.lost_records - 1
        gone = f"records {recovered.next_seq} to {last}, which the manifest listed, are gone"
        click.echo(f"warning: {recording}: {gone}", err=True)


@click.command("retain")
@click.argument("recording", type=click.Path(path_type=Path))
@click.option("--max-age-hours", type=click.IntRange(1), help="Drop segments older than this (log time).")
@click.option("--max-bytes", type=click.IntRange(1), help="Drop the oldest segments above this size.")
@click.option("--dry-run", is_flag=True, help="Say what would go.")
@click.option("--pin/--unpin", "pins", default=None, help="Keep RECORDING whole from now on, or no longer.")
@JSON
def retain_command(
    recording: Path, max_age_hours: int | None, max_bytes: int | None, dry_run: bool, pins: bool | None, as_json: bool
) -> None:
    """Drop old segments of RECORDING; it then opens with a start state. A pinned recording is left whole."""
    from ironcrab.mode.retaining import pin, retain  # noqa: PLC0415 - the engine loads only here

    if pins is not None and (max_age_hours, max_bytes, dry_run) != (None, None, False):
        raise click.UsageError("--pin and --unpin stand alone")
    if pins is not None:
        pin(open_recording(recording), pinned=pins)
        if as_json:
            emit_json({"recording": str(recording), "pinned": pins})
        else:
            click.echo(f"{recording}: {'pinned' if pins else 'no longer pinned'}")
        return
    if max_age_hours is None and max_bytes is None:
        raise click.UsageError("give --max-age-hours or --max-bytes, or --pin")
    planned = retain(open_recording(recording), max_age_hours=max_age_hours, max_bytes=max_bytes, dry_run=dry_run)
    if as_json:
        emit_json(
            {"recording": str(recording), "dropped": planned.segments, "frees": planned.frees, "dry_run": dry_run}
        )
        return
    done = "would drop" if dry_run else "dropped"
    click.echo(f"{recording}: {done} {len(planned.segments)} segment(s), {planned.frees:,} bytes")
    for name in planned.segments:
        click.echo(f"  {name}")
    if planned.because:
        click.echo(f"  {planned.because}")


@click.command("export")
@click.argument("recording", type=click.Path(path_type=Path))
@OUT
@JSON
def export_command(recording: Path, out: Path, as_json: bool) -> None:
    """Write the wire contract's JSONL folders: market_events, intents, decisions, executions, control."""
    from ironcrab.mode.exporting import export  # noqa: PLC0415 - only here

    with fresh_folder(out) as folder:
        counts = export(open_recording(recording), folder)
    if as_json:
        emit_json({"out": str(out), "lines": counts})
        return
    for name, count in counts.items():
        click.echo(f"{out / name}: {count:,} lines")


@click.command("slice")
@click.argument("recording", type=click.Path(path_type=Path))
@click.option(
    "--around", "target", metavar="DECISION_ID", help="Records round this decision (or seq, intent, signature)."
)
@click.option("--spread", type=click.IntRange(1), default=500, show_default=True, help="Records each side of --around.")
@click.option("--from", "begin", metavar="X", help="First seq, slot (s123, or beyond every seq) or UTC time.")
@click.option("--to", "end", metavar="Y", help="End (excluded): seq, slot or UTC time.")
@click.option("--golden", is_flag=True, help="Mark the slice golden.")
@OUT
@JSON
def slice_command(
    recording: Path,
    target: str | None,
    spread: int,
    begin: str | None,
    end: str | None,
    golden: bool,
    out: Path,
    as_json: bool,
) -> None:
    """Cut a part out of RECORDING into a recording of its own, verified as it is written."""
    from ironcrab.mode.explain import find  # noqa: PLC0415 - the engine loads only here

    opened = open_recording(recording)
    if (target is None) == (begin is None and end is None):
        raise click.UsageError("give --around, or --from and --to")
    if target is not None:
        first, last = around(opened, find(opened, target), spread)
    else:
        first = bound(opened, begin) if begin is not None else opened.first_seq
        last = bound(opened, end) if end is not None else opened.next_seq
    with fresh_folder(out) as folder:
        summary = cut(opened, first, last, folder, golden=golden)
        seal(folder)
    if as_json:
        emit_json(told(out, summary))
    else:
        click.echo(f"{out}: records {summary.first_seq:,} to {summary.next_seq - 1:,} ({summary.records:,})")
        if summary.diverged:
            click.echo(f"  diverged while it was written: {summary.diverged} group(s); run: ironcrab verify {out}")
        click.echo(f"next: ironcrab verify {out}")
    raise click.exceptions.Exit(3 if summary.diverged else 0)


def bound(recording: Recording, text: str) -> int:
    """A seq (digits), a slot (`s` or `slot:` and digits, or digits beyond every seq) or a UTC time, as a seq."""
    if text.isdigit() and int(text) <= recording.next_seq:
        return int(text)
    digits = text.removeprefix("slot:").removeprefix("s")
    if digits.isdigit():
        return seq_at_slot(recording, int(digits))
    return seq_at_time(recording, parse_time(text))


@click.command("decide")
@click.argument("intents", type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), help="TOML: engine limits over the replay defaults.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File for the DecisionRecord lines.")
@JSON
def decide_command(intents: Path, config: Path | None, out: Path, as_json: bool) -> None:
    """The engine alone over the original's TradeIntent lines, in its replay semantics; ids and times from the input."""
    from ironcrab.mode.decide import decide_file  # noqa: PLC0415 - the engine loads only here

    if out.exists() and out.is_dir():
        raise InputFault(f"--out {out} is a folder; name a file")
    outcomes = decide_file(intents, config, out)
    if as_json:
        emit_json({"out": str(out), "outcomes": outcomes})
        return
    click.echo(f"{out}: {sum(outcomes.values()):,} decisions")
    for outcome, count in outcomes.items():
        click.echo(f"  {outcome} {count:,}")
