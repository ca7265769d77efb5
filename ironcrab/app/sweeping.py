"""Commands over many runs: generate, sweep."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from ironcrab.app.text import emit_json, parse_time, progress, table
from ironcrab.domain.fault import InputFault
from ironcrab.log.contents import time_bounds
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.mode.output import fresh_folder

SHOWN = 12
"""Rows of a summary."""


@click.command("generate")
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder to write; must not exist.")
@click.option("--events", type=click.IntRange(1), help="How many events, over the scenario's value.")
@click.option("--seed", type=click.IntRange(0), help="Another market of the same kind.")
@click.option("--prove", is_flag=True, help="Read every segment back and hold it against the chain.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def generate_command(
    scenario: Path, out: Path, events: int | None, seed: int | None, prove: bool, as_json: bool
) -> None:
    """Write the synthetic market of SCENARIO's [market] table as a recording; the same seed gives the same bytes."""
    from ironcrab.mode.generating import generate, market_of  # noqa: PLC0415 - the venues load only here

    params = market_of(scenario, events, seed)
    with fresh_folder(out) as folder, progress("generate") as show:
        summary = generate(params, folder, prove=prove, progress=show)
    if as_json:
        emit_json({"out": str(out), **msgspec.to_builtins(summary)})
        return
    click.echo(f"{out}: {summary.records:,} records of seed {summary.seed}, head {summary.head[:16]}")
    click.echo("  " + ", ".join(f"{name} {count:,}" for name, count in summary.counts.items()))
    click.echo(f"next: ironcrab run {out} {scenario} --out DIR")


@click.command("sweep")
@click.argument("scenario", required=False, type=click.Path(path_type=Path))
@click.option("--on", "on", multiple=True, metavar="RECORDING", help="The market; several make several lines a row.")
@click.option("--set", "sets", multiple=True, metavar="KEY=A..B:STEP", help="Values of a parameter; or KEY=A,B,C.")
@click.option("--random", "drawn", type=click.IntRange(1), metavar="N", help="N different rows of the grid.")
@click.option("--adaptive", "chosen", type=click.IntRange(1), metavar="N", help="N rows, each chosen by those before.")
@click.option("--screen", metavar="LOW..HIGH", help="Only rows of ema that say so many intents, counted by a kernel.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of --random and --adaptive.")
@click.option("--from", "begin", metavar="X", help="UTC time of the first event.")
@click.option("--to", "end", metavar="Y", help="UTC time before which the last event lies.")
@click.option("--split", type=click.IntRange(1, 99), metavar="PERCENT", help="In sample so much; the rest out.")
@click.option("--walk-forward", "walked", metavar="TRAIN:TEST", help="Windows such as 6h:2h; each begins TEST later.")
@click.option("--jobs", type=click.IntRange(1), help="Processes; by default one for each core.")
@click.option("--ray", "address", metavar="ADDRESS", help="A Ray cluster that carries it out; local: one of its own.")
@click.option("--out", type=click.Path(path_type=Path), help="The Parquet file to write, or with --row the folder.")
@click.option("--row", "row", metavar="FILE:N", help="Run line N of FILE again into a full recording.")
@click.option("--pick", metavar="FILE:N", help="Print the scenario of line N of FILE.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def sweep_command(
    scenario: Path | None,
    on: tuple[str, ...],
    sets: tuple[str, ...],
    drawn: int | None,
    chosen: int | None,
    screen: str | None,
    seed: int,
    begin: str | None,
    end: str | None,
    split: int | None,
    walked: str | None,
    jobs: int | None,
    address: str | None,
    out: Path | None,
    row: str | None,
    pick: str | None,
    as_json: bool,
) -> None:
    """Run many rows of parameters of SCENARIO over recordings; one table of results, in sample and out of it."""
    if pick is not None:
        _pick(pick, out)
        return
    if out is None:
        raise click.UsageError("give --out")
    if row is not None:
        _row(row, out, as_json=as_json)
        return
    if scenario is None or not on or not sets:
        raise click.UsageError("give SCENARIO, at least one --on RECORDING and at least one --set KEY=A..B:STEP")
    if split is not None and walked is not None:
        raise click.UsageError("--split and --walk-forward exclude each other")
    if drawn is not None and chosen is not None:
        raise click.UsageError("--random and --adaptive exclude each other")
    if screen is not None and (chosen, begin, end, split, walked) != (None,) * 5:
        raise click.UsageError("--screen counts over whole recordings, and before any row is run")
    from ironcrab.mode.anew import Span  # noqa: PLC0415 - the engine loads only here

    bounds = Span(*(None if text is None else parse_time(text) for text in (begin, end)))
    parting = (bounds, split, walked)
    _sweep(
        scenario,
        on,
        (sets, drawn, chosen, seed),
        parting,
        screen,
        (jobs or os.cpu_count() or 1, address),
        out,
        as_json=as_json,
    )


def _sweep(
    scenario: Path,
    on: tuple[str, ...],
    wanted: tuple[tuple[str, ...], int | None, int | None, int],
    parting: tuple[Any, int | None, str | None],
    screen: str | None,
    by: tuple[int, str | None],
    out: Path,
    *,
    as_json: bool,
) -> None:
    from ironcrab.mode import axes, cluster, searching, sweeping  # noqa: PLC0415 - the engine loads only here
    from ironcrab.mode.scenario import read_tree  # noqa: PLC0415 - as above

    sets, drawn, chosen, seed = wanted
    jobs, executor = by[0], None if by[1] is None else cluster.over_ray(by[1])
    along = tuple(axes.axis(text) for text in sets)
    rows = axes.rows(along, drawn, seed) if chosen is None else searching.extremes(along)
    parts = tuple(_parts(path, *parting) for path in on)
    planned = sweeping.plan(scenario.stem, read_tree(scenario), rows, on, parts)
    counted: list[int] = []
    if screen is not None:
        planned, counted = _screened(planned, screen)
    show = _show((chosen or len(planned.rows)) * sum(len(found) for found in parts))
    try:
        if chosen is None:
            lines = sweeping.sweep(planned, out, jobs, show, executor)
        else:
            wish = sweeping.Search(along, chosen, seed)
            planned, lines = searching.search(planned, wish, out, jobs, show, executor)
    except KeyboardInterrupt as error:
        raise InputFault(f"interrupted; what is done stands in {out}.partial: run the same command again") from error
    _hold_against(counted, lines, out)
    if as_json:
        emit_json({"out": str(out), "rows": len(planned.rows), "lines": [msgspec.to_builtins(line) for line in lines]})
        return
    click.echo(f"{out}: {len(planned.rows):,} rows, {len(lines):,} lines")
    for line in summary_of(planned, lines):
        click.echo(line)
    best = _best(planned, lines)
    click.echo(f"next: ironcrab sweep --pick {out}:{best}   or: ironcrab sweep --row {out}:{best} --out DIR")


def _screened(planned: Any, told: str) -> tuple[Any, list[int]]:
    """The plan with those rows alone that say from LOW to HIGH intents, and how many each of them says."""
    from ironcrab.mode.screening import intents_of  # noqa: PLC0415 - as above

    low, dots, high = told.partition("..")
    if not dots or not low.isdigit() or not high.isdigit():
        raise InputFault(f"--screen {told!r} is not LOW..HIGH, such as 10..500")
    counted = intents_of(planned.on, [planned.scenario(row) for row in range(len(planned.rows))])
    left = [row for row, intents in enumerate(counted) if int(low) <= intents <= int(high)]
    click.echo(
        f"screened: {len(left):,} of {len(counted):,} rows say {told} intents; all: {_spread(counted)}", err=True
    )
    if not left:
        raise InputFault(f"--screen {told} leaves no row; the rows say {_spread(counted)} intents")
    kept = msgspec.structs.replace(planned, rows=tuple(planned.rows[row] for row in left))
    return kept, [counted[row] for row in left]


def _spread(counted: list[int]) -> str:
    return f"{min(counted):,} to {max(counted):,}"


def _hold_against(counted: list[int], lines: list[Any], out: Path) -> None:
    """InputFault where the exact reducer did not say what the kernel counted: the pre-screen would have lied."""
    said: dict[int, int] = {}
    for line in lines:
        said[line.row] = said.get(line.row, 0) + line.result.intents
    for row, wanted in enumerate(counted):
        if said[row] != wanted:
            raise InputFault(f"row {row} of {out} says {said[row]} intents and the kernel counted {wanted}; report it")


def _show(total: int) -> Callable[[int], None] | None:
    if not sys.stderr.isatty():
        return None

    def show(done: int) -> None:
        sys.stderr.write(f"\rsweep {done:,} of {total:,} lines" if done < total else "\r\x1b[K")
        sys.stderr.flush()

    return show


def _parts(path: str, bounds: Any, split: int | None, walked: str | None) -> Any:
    """The spans of one recording, all within `bounds`."""
    from ironcrab.mode import axes  # noqa: PLC0415 - as above

    first, end = time_bounds(Recording.open(path))
    first = first if bounds.start is None else max(first, bounds.start)
    end = end if bounds.end is None else min(end, bounds.end)
    if first >= end:
        raise InputFault(f"nothing of {path} lies between --from and --to; run: ironcrab inspect {path}")
    if split is None and walked is None:
        return (axes.Part(0, "whole", bounds),)
    if split is not None:
        return axes.halves(first, end, split, bounds)
    train, colon, test = (walked or "").partition(":")
    if not colon:
        raise InputFault(f"--walk-forward {walked!r} is not TRAIN:TEST, such as 6h:2h")
    return axes.walk(first, end, axes.seconds(train), axes.seconds(test))


def _best(planned: Any, lines: list[Any]) -> int:
    """The line with the highest profit among those that may be chosen by: whole or in sample."""
    may = [place for place, line in enumerate(lines) if planned.parts[line.on][line.part].sample != "out"]
    return max(may, key=lambda place: _worth(lines[place].result))


def _worth(result: Any) -> tuple[int, int]:
    """What rows are ranked by: what sells realised, then what the wallet came to."""
    return result.pnl_lamports, result.wallet_lamports


def summary_of(planned: Any, lines: list[Any]) -> list[str]:
    """The best rows with what they came to; where samples differ, in sample and out of sample side by side."""
    return [*_ranking(planned, lines), *_overfit(planned, lines), *_refused(lines)]


def _ranking(planned: Any, lines: list[Any]) -> list[str]:
    told: dict[tuple[int, int, int], dict[str, Any]] = {}
    for place, line in enumerate(lines):
        part = planned.parts[line.on][line.part]
        told.setdefault((line.on, part.window, line.row), {})[part.sample] = (place, line.result)
    chosen_by = "whole" if any("whole" in samples for samples in told.values()) else "in"
    ranked = sorted(told.items(), key=lambda item: _worth(item[1][chosen_by][1]), reverse=True)
    ranked.sort(key=lambda item: item[0][:2])
    shown: dict[tuple[int, int], int] = {}
    body = []
    for (on, window, row), samples in ranked:
        shown[on, window] = shown.get((on, window), 0) + 1
        if shown[on, window] > max(1, SHOWN // len({key[:2] for key in told})):
            continue
        values = " ".join(f"{key}={value}" for key, value in planned.rows[row])
        cells = [cell for sample in (chosen_by, "out") if sample in samples for cell in _cells(samples[sample][1])]
        body.append((str(samples[chosen_by][0]), Path(planned.on[on]).name, str(window), values, *cells))
    heads = ["trades", "pnl SOL", "wallet SOL"]
    if chosen_by == "in":
        heads = [f"{sample} {head}" for sample in ("in", "out") for head in heads]
    return list(table(body, ("line", "on", "window", "set", *heads)))


def _cells(result: Any) -> tuple[str, str, str]:
    return str(result.trades), _sol(result.pnl_lamports), _sol(result.wallet_lamports)


def _sol(lamports: int) -> str:
    sign = "-" if lamports < 0 else ""
    return f"{sign}{abs(lamports) // 10**9}.{abs(lamports) % 10**9:09d}"


def _overfit(planned: Any, lines: list[Any]) -> list[str]:
    """What the rows that were best in sample made out of it, and what an average row did: choosing may be in vain."""
    inside: dict[tuple[int, int], Any] = {}
    outside: dict[tuple[int, int, int], int] = {}
    for line in lines:
        part = planned.parts[line.on][line.part]
        key = line.on, part.window
        if part.sample == "out":
            outside[*key, line.row] = line.result.pnl_lamports
        elif part.sample == "in" and (key not in inside or _worth(line.result) > _worth(inside[key].result)):
            inside[key] = line
    if not outside:
        return []
    chosen = sum(line.result.pnl_lamports for line in inside.values())
    kept = sum(outside[*key, line.row] for key, line in inside.items())
    average = sum(outside.values()) // len(planned.rows)
    best = f"pnl of the best row of each window: {_sol(chosen)} SOL in sample, {_sol(kept)} SOL out of it"
    return [f"{best}; an average row made {_sol(average)} SOL out of it"]


def _refused(lines: list[Any]) -> list[str]:
    """What was refused over all lines."""
    found: dict[str, int] = {}
    for line in lines:
        for code, count in line.result.refusals.items():
            found[code] = found.get(code, 0) + count
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return ["refused: " + ", ".join(f"{code} {count:,}" for code, count in ranked)] if ranked else []


def _place(told: str, file: Path | None) -> tuple[Path, int]:
    """FILE:N, or N alone where the file is known."""
    name, colon, number = told.rpartition(":")
    path = Path(name) if colon else file
    if path is None or not number.isdigit():
        raise InputFault(f"{told!r} is not FILE:N, a sweep's table and a line of it")
    return path, int(number)


def _pick(told: str, file: Path | None) -> None:
    from ironcrab.mode import sweeping  # noqa: PLC0415 - the engine loads only here

    path, number = _place(told, file)
    planned, found = sweeping.line_of(path, number)
    click.echo(sweeping.toml_of(planned, found["row"]), nl=False)


def _row(told: str, out: Path, *, as_json: bool) -> None:
    from ironcrab.mode import sweeping  # noqa: PLC0415 - as above

    path, number = _place(told, None)
    planned, found = sweeping.line_of(path, number)
    with fresh_folder(out) as folder:
        summary = sweeping.run_line(planned, found, folder)
        seal(folder)
    if summary.digest != found["digest"]:
        raise InputFault(f"line {number} of {path} has digest {found['digest']}, the run {summary.digest}: other code?")
    if as_json:
        emit_json({"out": str(out), **msgspec.to_builtins(summary)})
        return
    click.echo(f"{out}: {summary.records:,} records, digest {summary.digest} as in line {number} of {path}")
    click.echo(f"next: ironcrab verify {out}")
