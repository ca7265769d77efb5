"""Commands that read a recording: explain, why, inspect, query."""

from pathlib import Path
from typing import Any

import click
import msgspec

from ironcrab.app.opening import mend_snapshots, open_recording
from ironcrab.app.text import body_of, emit_json, head_of, parse_time, shorten, table, utc
from ironcrab.domain.fault import InputFault
from ironcrab.log.contents import overview
from ironcrab.log.recording import Recording
from ironcrab.mode.explain import Explanation, explain, find
from ironcrab.mode.why import Why, why


@click.command("explain")
@click.argument("recording", type=click.Path(path_type=Path))
@click.argument("target", metavar="SEQ|DECISION_ID|INTENT_ID|SIGNATURE")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def explain_command(recording: Path, target: str, as_json: bool) -> None:
    """The road back from a record: along cause, ask and the records it read, each stop with its numbers."""
    opened = open_recording(recording)
    seq = find(opened, target)
    mend_snapshots(opened, seq)
    explanation = explain(opened, seq)
    if as_json:
        emit_json(explanation)
    else:
        _print_explanation(explanation)


def _print_explanation(explanation: Explanation) -> None:
    for stop in explanation.stops:
        mark = ">" if stop.record.seq == explanation.seq else " "
        click.echo(f"{mark} {stop.role:<12} {head_of(stop.record)}")
        for line in body_of(stop.record):
            click.echo(f"      {line}")
    if explanation.beyond:
        seqs = ", ".join(f"#{seq}" for seq in explanation.beyond)
        click.echo(f"  before this recording's start state: {seqs}")
    again = explanation.reproduction
    if again is not None:
        verdict = "identical bytes" if again.equal else "DIFFERENT; run: ironcrab verify"
        click.echo(f"reproduced: {verdict} (folded {again.folded:,} records from seq {again.from_seq:,})")


@click.command("why")
@click.argument("recording", type=click.Path(path_type=Path))
@click.argument("mint")
@click.option("--slot", "until_slot", type=int, help="As of this slot.")
@click.option("--at", "at", help="As of this UTC time.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def why_command(recording: Path, mint: str, until_slot: int | None, at: str | None, as_json: bool) -> None:
    """What each strategy thought of MINT (a unique prefix is enough), and why it did not trade."""
    answer = why(open_recording(recording), mint, until_slot, parse_time(at) if at else None)
    if as_json:
        emit_json(answer)
    else:
        _print_why(answer)


def _print_why(answer: Why) -> None:
    click.echo(f"{answer.mint}: {answer.answer}")
    click.echo(f"  {answer.sentence}")
    click.echo(f"  {answer.trades_seen:,} trades seen on {len(answer.pools)} pool(s), up to seq {answer.until_seq:,}")
    for thought in answer.thoughts:
        click.echo(
            f"  {thought.source} on {thought.pool_address}: {thought.verdict} {thought.code} "
            f"(#{thought.seq}, slot {thought.slot})"
        )
        for measure in thought.measures:
            limit = f"  (limit {measure.limit:,})" if measure.limit is not None else ""
            click.echo(f"    {measure.name} = {measure.value:,}{limit}")
    for refusal in answer.refusals:
        last = f"{refusal.outcome}, last #{refusal.last_seq}"
        click.echo(f"  refused {refusal.count:,}x {refusal.code} ({last}) {refusal.details}")
    if answer.confirmed:
        click.echo(f"  confirmed: {', '.join(f'#{seq}' for seq in answer.confirmed[-8:])}")


@click.command("inspect")
@click.argument("recording", type=click.Path(path_type=Path))
@click.argument("span", required=False, metavar="[SEQ|A..B]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, or one a record.")
def inspect_command(recording: Path, span: str | None, as_json: bool) -> None:
    """What is in RECORDING: types, slots, times, gaps, runs, digests; or the records of SEQ or A..B."""
    opened = open_recording(recording)
    if span is None:
        _inspect_whole(opened, as_json=as_json)
        return
    first, end = _span(opened, span)
    for record in opened.loose(first, end):
        if as_json:
            emit_json(record)
            continue
        who = f"by {record.by}, cause #{record.cause}" if record.by else "the world"
        click.echo(f"#{record.seq}  {utc(record.time)}  {record.type}  ({who})")
        for key, value in record.fields.items():
            if value not in (None, [], {}, ""):
                click.echo(f"      {key}={shorten(value)}")


def _span(recording: Recording, span: str) -> tuple[int, int]:
    """`A..B` (both included) or `SEQ` as half-open bounds."""
    first, dots, last = span.partition("..")
    if not first.isdigit() or (dots and not last.isdigit()):
        raise click.BadParameter(f"{span!r} is neither SEQ nor A..B", param_hint="SPAN")
    start, end = int(first), int(last if dots else first) + 1
    if end <= start or start >= recording.next_seq or end <= recording.first_seq:
        raise InputFault(
            f"recording {recording.path} holds seq {recording.first_seq} to {recording.next_seq - 1}, not {span}"
        )
    return max(start, recording.first_seq), min(end, recording.next_seq)


def _inspect_whole(recording: Recording, *, as_json: bool) -> None:
    told = overview(recording)
    if as_json:
        emit_json(told)
        return
    for key in ("recording", "log_id", "origin", "golden", "pinned", "records", "first_seq", "head", "start"):
        value = getattr(told, key)
        if value is not None:
            click.echo(f"{key:<10} {_plain(value)}")
    click.echo(f"{'time':<10} {utc(told.first_time)} to {utc(told.last_time)} UTC")
    click.echo(f"{'slots':<10} {_plain(told.first_slot)} to {_plain(told.last_slot)}")
    for line in table(told.runs, ("run", "first seq", "scenario", "code", "reducers")):
        click.echo(line)
    segments = ((row.name, row.form, row.first_seq, row.last_seq, row.bytes) for row in told.segments)
    for line in table(segments, ("segment", "form", "first seq", "last seq", "bytes")):
        click.echo(line)
    for line in table(told.counts.items(), ("type", "records")):
        click.echo(line)
    for gap in told.gaps:
        click.echo(f"gap        {gap}")
    for reason in told.blessed:
        click.echo(f"blessed    {reason}")


def _plain(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@click.command("query")
@click.argument("recording", type=click.Path(path_type=Path))
@click.argument("sql")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a row.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma separated values.")
def query_command(recording: Path, sql: str, as_json: bool, as_csv: bool) -> None:
    """SQL (duckdb) over RECORDING: one view per event type in snake_case, and `log` (seq, cause, by, type, time)."""
    from ironcrab.mode.querying import query  # noqa: PLC0415 - duckdb loads only here

    names, rows = query(open_recording(recording), sql)
    if as_json:
        for row in rows:
            click.echo(msgspec.json.encode(dict(zip(names, row, strict=True)), enc_hook=str).decode())
    elif as_csv:
        import csv  # noqa: PLC0415 - only --csv pays for it
        import sys  # noqa: PLC0415 - as above

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
    else:
        for line in table(rows, names):
            click.echo(line)
