"""Commands that price: quote, venues."""

from pathlib import Path

import click

from ironcrab.app.text import emit_json, table
from ironcrab.dex import VENUES, Quote, Refusal, quote
from ironcrab.dex.face import Exact
from ironcrab.log.recording import Recording
from ironcrab.mode.pricing import accounts_of, clock_of, quote_at


@click.command("quote")
@click.argument("where", nargs=-1, required=True, metavar="[RECORDING] POOL")
@click.option("--accounts", type=click.Path(path_type=Path), help="JSON of getMultipleAccounts shape, with its keys.")
@click.option("--at", "at", type=int, help="With RECORDING: as of this seq.")
@click.option("--in", "mint_in", required=True, metavar="MINT", help="The mint paid in.")
@click.option("--amount", required=True, type=click.IntRange(0), help="Raw units paid in (or wanted, --exact-out).")
@click.option("--exact-out", is_flag=True, help="--amount is what is wanted out.")
@click.option("--limit", type=int, help="The venue's own price limit (Whirlpool: sqrt price, Q64.64).")
@click.option("--generation", help="Program generation; run: ironcrab venues")
@click.option("--slot", type=int, help="Slot of the quote; default: the file's context slot.")
@click.option("--time", "unix_timestamp", type=int, help="Unix seconds of the chain clock.")
@click.option("--epoch", type=int, help="Epoch, where Token-2022 transfer fees depend on it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def quote_command(
    where: tuple[str, ...],
    accounts: Path | None,
    at: int | None,
    mint_in: str,
    amount: int,
    exact_out: bool,
    limit: int | None,
    generation: str | None,
    slot: int | None,
    unix_timestamp: int | None,
    epoch: int | None,
    as_json: bool,
) -> None:
    """What the on-chain program would pay on POOL, to the last unit; exit 3 where it would refuse."""
    exact: Exact = "out" if exact_out else "in"
    if accounts is not None and len(where) == 1:
        known, context_slot = accounts_of(accounts)
        clock = clock_of(known, slot if slot is not None else context_slot, unix_timestamp, epoch)
        found = quote(
            where[0],
            known,
            mint_in=mint_in,
            amount=amount,
            exact=exact,
            clock=clock,
            limit=limit,
            generation=generation,
        )
    elif accounts is None and len(where) == 2:
        recording = Recording.open(Path(where[0]))
        found = quote_at(
            recording,
            at if at is not None else recording.next_seq - 1,
            where[1],
            mint_in=mint_in,
            amount=amount,
            exact=exact,
            limit=limit,
            generation=generation,
            clock=(slot, unix_timestamp, epoch),
        )
    else:
        raise click.UsageError("give POOL --accounts FILE, or RECORDING POOL --at SEQ")
    if as_json:
        emit_json(_as_json(found))
    elif isinstance(found, Quote):
        _print_quote(found)
    else:
        _print_refusal(found)
    raise click.exceptions.Exit(0 if isinstance(found, Quote) else 3)


def _as_json(found: Quote | Refusal) -> object:
    """A quote without the bytes of the accounts it changes: their addresses are told."""
    if isinstance(found, Refusal):
        return {"refusal": found}
    return {
        "amount_in": found.amount_in,
        "amount_out": found.amount_out,
        "fees": found.fees,
        "price_impact_bps": found.price_impact_bps,
        "partial": found.partial,
        "changes": list(found.after),
    }


def _print_quote(found: Quote) -> None:
    click.echo(f"in   {found.amount_in:,}")
    click.echo(f"out  {found.amount_out:,}{'  (partially filled)' if found.partial else ''}")
    for fee in found.fees:
        click.echo(f"fee  {fee.name} {fee.amount:,} of {fee.mint}")
    click.echo(f"price impact {found.price_impact_bps} bps")


def _print_refusal(found: Refusal) -> None:
    code = f" (program error {found.code})" if found.code is not None else ""
    click.echo(f"refused: {found.reason}{code}")
    for address in found.missing:
        click.echo(f"missing  {address}")


@click.command("venues")
@click.option("--json", "as_json", is_flag=True, help="A list of objects.")
def venues_command(as_json: bool) -> None:
    """What is supported: venue, program, generation (newest first), status."""
    rows = [
        (venue.id, program, generation, status)
        for venue in VENUES
        for program in venue.programs
        for generation, status in venue.generations
    ]
    if as_json:
        emit_json([dict(zip(("venue", "program", "generation", "status"), row, strict=True)) for row in rows])
        return
    for line in table(rows, ("venue", "program", "generation", "status")):
        click.echo(line)
