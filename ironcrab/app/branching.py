"""Commands of time travel: branch, step."""

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from ironcrab.app.text import body_of, emit_json, head_of, progress, shorten
from ironcrab.app.writing import JSON, pairs
from ironcrab.domain.fault import InputFault
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.mode.output import fresh_folder


@click.command("branch")
@click.argument("recording", type=click.Path(path_type=Path))
@click.option("--at", "seq", required=True, type=click.IntRange(0), help="Seq from which on it is another story.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Parameter that holds from there on.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder to write; must not exist.")
@click.option("--hot", is_flag=True, help="Leave the last segment as JSONL; do not seal.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def branch_command(recording: Path, seq: int, sets: tuple[str, ...], out: Path, hot: bool, as_json: bool) -> None:
    """What if, from --at on, the parameters of the run in RECORDING had been others; writes a recording."""
    from ironcrab.mode.branching import branch  # noqa: PLC0415 - the engine loads only here

    with fresh_folder(out) as folder, progress("branch") as show:
        summary = branch(Recording.open(recording), seq, pairs(sets), folder, show)
        if not hot:
            seal(folder)
    if as_json:
        emit_json({"out": str(out), **msgspec.to_builtins(summary)})
        return
    click.echo(
        f"{out}: leaves {recording} before #{summary.branched_at}, {summary.records:,} records, "
        f"{summary.derived:,} derived, digest {summary.digest}"
    )
    click.echo(f"next: ironcrab verify {out}")


@click.command("step")
@click.argument("recording", type=click.Path(path_type=Path))
@click.option("--at", "seq", type=click.IntRange(0), help="Seq to stand at; by default the first.")
@click.option("--break", "wanted", metavar="CONDITION", help="Go on to the next record for which this holds.")
@click.option("--back", "backwards", is_flag=True, help="With --break: back to the last one before.")
@click.option("--show", "shown", metavar="REDUCER", help="The reducer whose state is shown.")
@JSON
@click.pass_context
def step_command(
    context: click.Context,
    recording: Path,
    seq: int | None,
    wanted: str | None,
    backwards: bool,
    shown: str | None,
    as_json: bool,
) -> None:
    """Step through RECORDING in the terminal, forwards and backwards, with every reducer's state in sight.

    Where stdout is no terminal, and with --json, the place is printed: the record, what is said about it, the state.
    """
    from ironcrab.mode.condition import condition  # noqa: PLC0415 - the engine loads only here
    from ironcrab.mode.stepping import Stepper  # noqa: PLC0415 - as above

    stepper = Stepper(Recording.open(recording), seq)
    if shown is not None and shown not in stepper.reducers:
        raise InputFault(f"--show {shown}: no such reducer; this run has {', '.join(stepper.reducers)}")
    if wanted is not None and not stepper.search(condition(wanted), backwards=backwards):
        where = "before" if backwards else "after"
        click.echo(f"no record {where} #{stepper.seq} for which {wanted} holds", err=True)
        context.exit(3)
    if as_json or not sys.stdout.isatty():
        _print_place(stepper, shown, as_json=as_json)
        return
    _debugger()(stepper, shown, wanted).run()


def _debugger() -> Any:
    """The terminal debugger, if textual is installed."""
    try:
        from ironcrab.app.debugger import Debugger  # noqa: PLC0415 - textual loads only here
    except ImportError as error:
        raise InputFault(f"ironcrab step needs textual ({error}); install it: pip install 'ironcrab[step]'") from error
    return Debugger


def _print_place(stepper: Any, shown: str | None, *, as_json: bool) -> None:
    record, states = stepper.record, {} if shown is None else {shown: stepper.state(shown)}
    if as_json:
        said = [
            {"by": word.by, "recorded": word.recorded, "event": msgspec.to_builtins(word.event)}
            for word in stepper.said
        ]
        told = {"seq": record.seq, "cause": record.cause, "by": record.by, "time": record.time}
        emit_json({**told, "event": msgspec.to_builtins(record.event), "said": said, "states": states})
        return
    click.echo(head_of(record))
    for line in body_of(record):
        click.echo(f"    {line}")
    for word in stepper.said:
        kept = "" if word.recorded else "  (not recorded)"
        click.echo(f"  {word.by} says {type(word.event).__name__}{kept}")
    for name, state in states.items():
        click.echo(f"  state of {name}")
        for key, value in state.items():
            click.echo(f"    {key} = {shorten(msgspec.json.encode(value).decode())}")
