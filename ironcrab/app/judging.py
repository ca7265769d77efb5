"""Commands that judge a recording: replay, verify, bless, diff."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import click
from msgspec.structs import replace

from ironcrab.app.opening import mend_snapshots, open_recording
from ironcrab.app.settings import recordings_home
from ironcrab.app.text import emit_json, progress, table
from ironcrab.check import CHECKS, check
from ironcrab.domain.fault import DamageFault, InputFault
from ironcrab.log.compare import Divergence
from ironcrab.log.contents import counts
from ironcrab.log.manifest import NAME
from ironcrab.log.recording import Recording
from ironcrab.mode.blessing import bless
from ironcrab.mode.cutting import seq_at_slot
from ironcrab.mode.differing import Comparison, compare
from ironcrab.mode.verify import Report, RunReport, follow

MOST = 12
"""Groups, and fields of one, that the text tells; --json tells all."""
WIDEST = 120
"""Characters of a value that the text tells."""
NO = 3
"""Exit code: ran well, the answer is no."""


@click.command("replay")
@click.argument("recording", type=click.Path(path_type=Path))
@click.option("--until", "until_seq", type=int, help="Stop after this seq.")
@click.option("--slot", "until_slot", type=int, help="Stop after the last record of this slot.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def replay_command(recording: Path, until_seq: int | None, until_slot: int | None, as_json: bool) -> None:
    """Follow RECORDING: fold it again, compare every decision, print the summary."""
    opened = open_recording(recording)
    end = _end(opened, until_seq, until_slot)
    mend_snapshots(opened)
    with progress("replay") as show:
        report = replace(follow(opened, end - 1, None, show), records=end - opened.first_seq)
    if as_json:
        emit_json(report)
    else:
        _print_report(report)
        _print_contents(opened, end)
    raise click.exceptions.Exit(NO if report.verdict == "diverged" else 0)


def _end(recording: Recording, until_seq: int | None, until_slot: int | None) -> int:
    """The seq after the last record to fold; InputFault where nothing is left to fold."""
    end = recording.next_seq
    if until_slot is not None:
        end = min(end, seq_at_slot(recording, until_slot + 1))
    if until_seq is not None:
        end = min(end, until_seq + 1)
    if end <= recording.first_seq < recording.next_seq:
        raise InputFault(f"recording {recording.path} begins at seq {recording.first_seq}, after what was asked for")
    return end


@click.command("verify")
@click.argument("recordings", nargs=-1, type=click.Path(path_type=Path))
@click.option("--seeds", is_flag=True, help="Verify twice, under PYTHONHASHSEED 0 and 1.")
@click.option("--deep", is_flag=True, help="Recompute the chain over every byte of the sealed files too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a recording.")
def verify_command(recordings: tuple[Path, ...], seeds: bool, deep: bool, as_json: bool) -> None:
    """Check every byte of RECORDINGS, follow them and compare; without an argument: all goldens."""
    paths = recordings or goldens()
    if seeds:
        raise click.exceptions.Exit(_under_seeds(paths, deep=deep, as_json=as_json))
    worst = 0
    for path in paths:
        worst = max(worst, _verify_one(path, deep=deep, as_json=as_json), key=(0, NO, 1).index)
    raise click.exceptions.Exit(worst)


def goldens() -> tuple[Path, ...]:
    """Every golden recording below the recordings folder, by name."""
    home = recordings_home()
    if not home.is_dir():
        raise InputFault(f"there is no folder {home}; name a recording, or set IRONCRAB_RECORDINGS")
    found = tuple(path for path in sorted(home.iterdir()) if (path / NAME).exists() and _is_golden(path))
    if not found:
        raise InputFault(f"{home} holds no golden; cut one with: ironcrab slice RECORDING --golden --out DIR")
    return found


def _is_golden(path: Path) -> bool:
    """Whether a recording is marked golden; one that cannot be opened is taken for one, and verify says why."""
    try:
        return Recording.open(path).manifest.golden
    except DamageFault:
        return True


def _verify_one(path: Path, *, deep: bool, as_json: bool) -> int:
    """Verify one recording; returns its exit code."""
    try:
        opened = Recording.open(path)
        audit = opened.verify_bytes(deep=deep)
    except DamageFault as fault:
        click.echo(f"error: {path}: {fault}", err=True)
        return 1
    for damage in (*audit.faults, *audit.snapshots):
        click.echo(f"error: {path}: {damage}", err=True)
    if audit.tail_bytes:
        click.echo(f"{path}: {audit.tail_bytes} bytes of an incomplete last line are left aside", err=True)
    if audit.faults:
        return 1
    with progress(f"verify {path.name}") as show:
        report = follow(opened, progress=show)
    if as_json:
        emit_json(report)
    else:
        _print_report(report)
    return 1 if audit.snapshots else NO if report.verdict == "diverged" else 0


def _under_seeds(paths: tuple[Path, ...], *, deep: bool, as_json: bool) -> int:
    """Verify in two processes with two hash seeds; the worst exit code wins."""
    flags = [*(["--deep"] if deep else []), *(["--json"] if as_json else [])]
    worst = 0
    for seed in ("0", "1"):
        click.echo(f"PYTHONHASHSEED={seed}", err=True)
        command = [sys.executable, "-m", "ironcrab.app", "verify", *flags, *(str(path) for path in paths)]
        environment = {**os.environ, "PYTHONHASHSEED": seed}  # noqa: TID251 - the child gets ours and a seed
        code = subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 - our own command
        worst = max(worst, code if code in (0, NO) else 1, key=(0, NO, 1).index)
    return worst


@click.command("bless")
@click.argument("recording", type=click.Path(path_type=Path))
@click.option("--because", required=True, help="Why the change is intended; kept in the manifest.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def bless_command(recording: Path, because: str, as_json: bool) -> None:
    """Decide RECORDING anew with the code at hand, print every divergence, keep the reason in its manifest."""
    blessing = bless(open_recording(recording), because)
    if as_json:
        emit_json(blessing)
        return
    for divergence in blessing.divergences:
        _print_divergence(divergence)
    click.echo(f"{recording}: blessed, {blessing.derived:,} derived records, digest {blessing.digest}")


@click.command("check")
@click.argument("recordings", nargs=-1, type=click.Path(path_type=Path))
@click.option("--list", "lists", is_flag=True, help="Name every check and what it says.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a recording.")
def check_command(recordings: tuple[Path, ...], lists: bool, as_json: bool) -> None:
    """Ask all invariants of finished RECORDINGS; exit 3 where one does not hold."""
    if lists:
        for line in table(((one.name, one.says, one.of) for one in CHECKS), ("check", "holds where", "of")):
            click.echo(line)
        return
    if not recordings:
        raise click.UsageError("name a recording, or --list")
    holds = True
    for path in recordings:
        recording = open_recording(path)
        found, exempt = check(recording), recording.manifest.exempt
        broken = {name: findings for name, findings in found.items() if findings}
        holds = holds and not broken
        if as_json:
            emit_json({"recording": str(path), "checks": len(found), "broken": broken, "not_asked": exempt})
            continue
        click.echo(f"{path}: {len(found) - len(broken)} of {len(found)} checks hold")
        for name, why in exempt.items():
            click.echo(f"  {name} is not asked: {why}")
        for name, findings in broken.items():
            for finding in findings[:5]:
                click.echo(f"  {name}: #{finding.seq} {finding.sentence}")
    raise click.exceptions.Exit(0 if holds else NO)


@click.command("diff")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def diff_command(a: Path, b: Path, as_json: bool) -> None:
    """First difference of recordings A and B and all independent ones, field by field."""
    comparison = compare(open_recording(a), open_recording(b))
    if as_json:
        emit_json(comparison)
    else:
        _print_comparison(comparison, a, b)
    raise click.exceptions.Exit(0 if comparison.equal else NO)


def _print_comparison(comparison: Comparison, a: Path, b: Path) -> None:
    for line in comparison.notes:
        click.echo(line)
    if comparison.equal:
        click.echo(f"equal: {comparison.compared:,} records, digest {comparison.digest}")
        return
    for index, found in enumerate(comparison.divergences[:MOST]):
        click.echo("first difference:" if index == 0 else "independent:" if index == 1 else "", nl=index < 2)
        _print_divergence(found, ("in A", "in B"))
    _print_rest(len(comparison.divergences))
    decision = comparison.decision
    if decision is None:
        click.echo("no decision differs as far as they were compared")
        click.echo(f"next: ironcrab inspect {a}   and: ironcrab inspect {b}")
        return
    places = [
        f"#{seq} in {name}" if seq is not None else f"not said in {name}"
        for name, seq in (("A", decision.in_a), ("B", decision.in_b))
    ]
    after = "" if decision.market is None else f", after #{decision.market} {decision.market_type} of A"
    click.echo(f"first decision that differs: {decision.type} by {decision.by}, {', '.join(places)}{after}")
    steps = [
        f"ironcrab explain {path} {seq}" for path, seq in ((a, decision.in_a), (b, decision.in_b)) if seq is not None
    ]
    click.echo(f"next: {'   and: '.join(steps)}")


def _print_report(report: Report) -> None:
    """The summary of a followed recording."""
    derived = sum(run.derived for run in report.runs)
    recomputed = sum(run.recomputed for run in report.runs)
    digest = report.runs[-1].digest if report.runs else "none"
    click.echo(
        f"{report.recording}: {report.verdict}, {report.records:,} records, "
        f"recomputed {recomputed:,} of {derived:,} derived, digest {digest}"
    )
    for run in report.runs:
        _print_run(run)
    firsts = [found for run in report.runs for found in run.divergences]
    if firsts:
        click.echo(f"next: ironcrab explain {report.recording} {firsts[0].seq}")


def _print_run(run: RunReport) -> None:
    for name in run.code_differs:
        click.echo(f"  code of {name} differs from the code that made run {run.run} (decisions are judged)")
    for name, count in run.not_judged.items():
        click.echo(f"  not judged: {count:,} records by {name}, whose reducer is not loaded")
    if run.unfinished:
        click.echo(f"  unfinished: {run.unfinished:,} words said after the last record of their reducer")
    for index, found in enumerate(run.divergences[:MOST]):
        if index == 0:
            click.echo(f"  first divergence, at seq {found.seq}:")
        elif index == 1:
            click.echo("  first of each other reducer and subject:")
        _print_divergence(found)
    _print_rest(len(run.divergences))


def _print_rest(count: int) -> None:
    if count > MOST:
        click.echo(f"  and {count - MOST:,} more reducers and subjects; --json tells all")


def _print_divergence(found: Divergence, sides: tuple[str, str] = ("recorded", "recomputed")) -> None:
    label = ", numbers only" if found.numbers_only else ""
    click.echo(f"    #{found.seq} {found.type} by {found.by} ({found.subject}): {found.kind}{label}")
    if found.kind == "differs":
        for field in found.fields[:MOST]:
            recorded, recomputed = _brief(field.recorded), _brief(field.recomputed)
            click.echo(f"      {field.field}: {sides[0]} {recorded}, {sides[1]} {recomputed}")
        if len(found.fields) > MOST:
            click.echo(f"      and {len(found.fields) - MOST:,} more fields; --json tells all")
    else:
        for field in found.fields[:8]:
            click.echo(
                f"      {field.field}: {_brief(field.recorded if field.recomputed is None else field.recomputed)}"
            )
    if found.following:
        click.echo(f"      and {found.following:,} more of this reducer and subject follow")


def _brief(value: object) -> str:
    """A value as Python writes it, its middle left out where it is long."""
    text = repr(value)
    return text if len(text) <= WIDEST else f"{text[: WIDEST // 2]} .. {text[-WIDEST // 2 :]}"


def _print_contents(recording: Recording, end: int) -> None:
    """Records by type up to `end`; the manifest tells those of the whole."""
    if end == recording.next_seq:
        told = counts(recording)
    else:
        told = Counter(type(record.event).__name__ for record in recording.records(seq_to=end))
    click.echo("  " + ", ".join(f"{name} {count:,}" for name, count in told.items()))
