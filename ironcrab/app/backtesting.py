"""Commands of the backtest: backtest, fidelity, report."""

from collections import Counter
from contextlib import suppress
from pathlib import Path

import click

from ironcrab.app.page import page
from ironcrab.app.text import bar, emit_json, sol, sparkline, table, utc
from ironcrab.app.writing import HOT, JSON, OUT, SET, bound, pairs, told
from ironcrab.domain.fault import DiskFault, InputFault
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.mode.backtest import HONEST, Span, backtest, latencies_of
from ironcrab.mode.fidelity import Fidelity, fidelity
from ironcrab.mode.grounds import Grounds
from ironcrab.mode.ledger import REFUSED, Ledger, Reading, ledger_of
from ironcrab.mode.output import fresh_folder
from ironcrab.mode.paper import Paper
from ironcrab.mode.run import by_programs, outlets_of
from ironcrab.mode.scenario import load
from ironcrab.shell.programs import Programs


@click.command("backtest")
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option(
    "--on", "on", multiple=True, required=True, type=click.Path(path_type=Path), help="Recording; repeat it, in order."
)
@click.option("--from", "begin", metavar="X", help="First seq (one recording), slot (s123) or UTC time.")
@click.option("--to", "end", metavar="Y", help="End (excluded): seq, slot (s123) or UTC time.")
@click.option(
    "--latency-from",
    type=click.Path(path_type=Path),
    metavar="RECORDING",
    help="Land as the results of this recording did (paper.latency measured).",
)
@click.option(
    "--programs",
    "binaries",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of <program id>.so: fills are what the real programs pay on the recorded accounts.",
)
@OUT
@SET
@HOT
@JSON
def backtest_command(
    scenario: Path,
    on: tuple[Path, ...],
    begin: str | None,
    end: str | None,
    latency_from: Path | None,
    binaries: Path | None,
    out: Path,
    sets: tuple[str, ...],
    hot: bool,
    as_json: bool,
) -> None:
    """Run SCENARIO over recordings in the paper world, fills by the venues' own maths, and say what came of it.

    Where the scenario is silent, paper.fill is venue, paper.impact overlay, and new token accounts cost their rent.
    """
    defaults = HONEST
    if latency_from is not None:
        measured = latencies_of(Recording.open(latency_from))
        defaults = (*HONEST, ("paper.latency", "measured"), ("paper.latency_quantiles_slots", str(list(measured))))
    loaded = load(scenario, pairs(sets), defaults)
    programs = None if binaries is None else Programs(binaries)
    if programs is not None:
        loaded = by_programs(loaded, programs)
    outlets = outlets_of(loaded, programs)
    spans = _spans(on, begin, end)
    with fresh_folder(out) as folder, bar("backtest", sum(span.end - span.first for span in spans)) as show:
        summary = backtest(spans, loaded, folder, show, outlets)
        if not hot:
            seal(folder)
    ledger = ledger_of(Recording.open(out))
    unrun = {key: count for outlet in outlets if isinstance(outlet, Paper) for key, count in outlet.unrun.items()}
    if as_json:
        by = {} if programs is None else _programs_json(programs, unrun)
        emit_json({**told(out, summary), **summed(ledger), **by})
        return
    click.echo(f"{out}: {summary.records:,} records, {summary.derived:,} derived, digest {summary.digest}")
    for line in summary_lines(ledger):
        click.echo(line)
    for (dex, why), count in unrun.items():
        click.echo(f"  not executed: {dex} {count:,} {why}")
    click.echo(f"next: ironcrab report {out} --out {out}.html")


def _programs_json(programs: Programs, unrun: dict[tuple[str, str], int]) -> dict[str, object]:
    """Which binaries filled, and what they could not."""
    return {
        "programs": programs.digest,
        "not_executed": [{"venue": dex, "why": why, "fills": count} for (dex, why), count in unrun.items()],
    }


def _spans(on: tuple[Path, ...], begin: str | None, end: str | None) -> list[Span]:

    if len(on) > 1 and any(text is not None and text.isdigit() for text in (begin, end)):
        raise click.UsageError("a seq bounds one recording; give a slot (s123) or a UTC time for several")
    spans = []
    for path in on:
        opened = Recording.open(path)
        first = opened.first_seq if begin is None else max(bound(opened, begin), opened.first_seq)
        last = opened.next_seq if end is None else min(bound(opened, end), opened.next_seq)
        if first < last:
            spans.append(Span(opened, first, last))
    if not spans:
        raise InputFault(f"nothing of {', '.join(map(str, on))} lies between --from and --to; run: ironcrab inspect")
    return spans


def summed(ledger: Ledger) -> dict[str, object]:
    """The summary as JSON tells it; lamports."""
    outcomes = Counter(row.outcome for row in ledger.rows)
    refused = Counter(row.refused for row in ledger.rows if row.outcome in REFUSED)
    return {
        "trades": outcomes["Confirmed"],
        "equity_lamports": ledger.equity,
        "realised_lamports": ledger.realised,
        "held_lamports": ledger.held,
        "unsold_lamports": ledger.unsold,
        "drawdown_lamports": ledger.drawdown,
        "network_lamports": sum(row.network for row in ledger.rows),
        "tip_lamports": sum(row.tip for row in ledger.rows),
        "rent_lamports": ledger.rent,
        "failed": outcomes["FailedConfirmed"],
        "failed_lamports": ledger.failed_cost,
        "outcomes": dict(sorted(outcomes.items())),
        "refused": dict(refused.most_common()),
        "basis": dict(Counter(row.basis for row in ledger.landed if row.basis).most_common()),
    }


def summary_lines(ledger: Ledger) -> list[str]:
    """The summary for people."""
    outcomes = Counter(row.outcome for row in ledger.rows)
    sells = [row.net for row in ledger.rows if row.net is not None]
    refused = Counter(row.refused for row in ledger.rows if row.outcome in REFUSED)
    basis = Counter(row.basis for row in ledger.landed if row.basis)
    rent = ledger.rent
    unsold = f"not sold {sol(ledger.unsold)}, " if ledger.unsold else ""
    rows = [
        (
            "trades",
            (
                f"{outcomes['Confirmed']:,} confirmed, {outcomes['FailedConfirmed']:,} failed, {outcomes['Sent']:,} "
                f"never landed; {len(sells):,} sells, {sum(net > 0 for net in sells):,} of them won"
            ),
        ),
        (
            "PnL",
            (
                f"{sol(ledger.equity)} SOL: sells {sol(ledger.realised)}, failed {sol(-ledger.failed_cost)}, "
                f"rent {sol(-rent)}, {unsold}held {sol(ledger.held)} at the last price"
            ),
        ),
        (
            "fees",
            (
                f"network {sol(sum(row.network for row in ledger.rows))} SOL, "
                f"tips {sol(sum(row.tip for row in ledger.rows))} SOL, both in the PnL"
            ),
        ),
        ("drawdown", f"{sol(ledger.drawdown)} SOL, of {sol(ledger.wallet)} at the start"),
        ("equity", sparkline([equity for _, equity in ledger.points])),
        ("time", f"{utc(ledger.first_time)} to {utc(ledger.last_time)} UTC"),
        ("priced on", ", ".join(f"{name} {count:,}" for name, count in basis.most_common())),
        ("refused", ", ".join(f"{code} {count:,}" for code, count in refused.most_common(6))),
    ]
    return [f"{name:<10} {text}" for name, text in rows if text]


@click.command("fidelity")
@click.argument("recordings", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--behind", type=click.IntRange(0), default=0, help="Slots by which the state that the model sees lags.")
@click.option(
    "--programs",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of <program id>.so: execute each exactly quoted swap by the real program, too.",
)
@JSON
def fidelity_command(recordings: tuple[Path, ...], behind: int, folder: Path | None, as_json: bool) -> None:
    """Each recorded swap of RECORDINGS through the fill model: how far paper fills are from the real ones."""
    programs = None if folder is None else Programs(folder)
    opened = [Recording.open(path) for path in recordings]
    with bar("fidelity", sum(each.next_seq - each.first_seq for each in opened)) as show:
        found = fidelity(opened, behind, show, programs)
    if as_json:
        emit_json(_fidelity_json(found))
        return
    rows = [
        (
            *key,
            row.swaps,
            row.equal,
            *(f"{ppm / 100:.2f}" for ppm in row.quantiles().values()),
            *(row.within(ppm) for ppm in (100, 1_000, 10_000)),
        )
        for key, row in found.errors.items()
    ]
    head = ("venue", "basis", "swaps", "equal", "min", "p05", "p50", "p95", "max bps", "<=1bps", "<=10bps", "<=100bps")
    for line in table(rows, head):
        click.echo(line)
    judged = sum(row.swaps for row in found.errors.values())
    click.echo(f"{found.swaps:,} swaps, {judged:,} judged, {found.swaps - judged:,} not judged")
    for (dex, why), count in found.unjudged.items():
        click.echo(f"  not judged: {dex} {count:,} {why}")
    for dex, ran in found.executed.items():
        click.echo(f"real program of {dex}: {ran.swaps:,} swaps executed, {ran.equal:,} paid as quoted")
        if ran.first:
            click.echo(f"  the first that differs: {ran.first}")
    for (dex, why), count in found.unrun.items():
        click.echo(f"  not executed: {dex} {count:,} {why}")


def _fidelity_json(found: Fidelity) -> dict[str, object]:
    """Errors in millionths."""
    judged = [
        {
            "venue": dex,
            "basis": basis,
            "swaps": row.swaps,
            "equal": row.equal,
            "error_ppm": row.quantiles(),
            "within_1_bps": row.within(100),
            "within_10_bps": row.within(1_000),
            "within_100_bps": row.within(10_000),
        }
        for (dex, basis), row in found.errors.items()
    ]
    unjudged = [{"venue": dex, "why": why, "swaps": count} for (dex, why), count in found.unjudged.items()]
    executed = [
        {"venue": dex, "swaps": row.swaps, "equal": row.equal, "first": row.first or None}
        for dex, row in found.executed.items()
    ]
    unrun = [{"venue": dex, "why": why, "swaps": count} for (dex, why), count in found.unrun.items()]
    return {
        "swaps": found.swaps, "judged": judged, "unjudged": unjudged, "executed": executed, "not_executed": unrun
    }  # fmt: skip


@click.command("report")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The HTML file to write; must not exist.")
def report_command(runs: tuple[Path, ...], out: Path) -> None:
    """One self-contained HTML page about a RUN, or about two side by side."""
    if len(runs) > 2:
        raise click.UsageError("one run, or two to compare")
    if out.exists():
        raise InputFault(f"--out {out} exists; name a new file")
    told = []
    for path in runs:
        opened, reading, grounds = Recording.open(path), Reading(), Grounds()
        with bar(f"report {path.name}", opened.next_seq - opened.first_seq) as show:
            for record in opened.records():
                reading.see(record)
                grounds.see(record)
                if show is not None:
                    show(record.seq - opened.first_seq)
        ledger = reading.finish()
        if not ledger.rows:
            raise InputFault(f"{path} holds no decision of ours; make a run with: ironcrab backtest --help")
        told.append((str(path), ledger, grounds.of))
    try:
        out.write_text(page(told), encoding="utf-8")
    except OSError as error:
        with suppress(OSError):
            out.unlink(missing_ok=True)  # half a page would stand in the way of the next one
        raise DiskFault(f"cannot write {out}: {error.strerror}; free space or name another file") from error
    click.echo(f"{out}: {sum(len(ledger.rows) for _, ledger, _ in told):,} attempts of {len(told)} run(s)")
