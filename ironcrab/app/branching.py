"""Commands of time travel: branch, step."""

import sys
from pathlib import Path

import click
import msgspec

from ironcrab.app.text import emit_json, progress
from ironcrab.app.writing import pairs
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
def step_command(recording: Path, seq: int | None) -> None:
    """Step through RECORDING in the terminal, forwards and backwards, with every reducer's state in sight."""
    try:
        from ironcrab.app.debugger import Debugger  # noqa: PLC0415 - textual loads only here
    except ImportError as error:
        raise InputFault(f"ironcrab step needs textual ({error}); install it: pip install 'ironcrab[step]'") from error
    from ironcrab.mode.stepping import Stepper  # noqa: PLC0415 - the engine loads only here

    stepper = Stepper(Recording.open(recording), seq)
    if not sys.stdout.isatty():
        raise InputFault("ironcrab step wants a terminal; for a script see: ironcrab explain, ironcrab inspect")
    Debugger(stepper).run()
