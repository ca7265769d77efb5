import marimo

app = marimo.App(width="medium")


@app.cell
def _():
    import tempfile
    from pathlib import Path

    import altair as alt
    import marimo as mo
    import polars as pl

    from ironcrab.log.recording import Recording
    from ironcrab.mode.backtest import HONEST, Span, backtest
    from ironcrab.mode.differing import compare
    from ironcrab.mode.ledger import ledger_of
    from ironcrab.mode.scenario import load

    return HONEST, Path, Recording, Span, alt, backtest, compare, ledger_of, load, mo, pl, tempfile


@app.cell
def _(mo):
    mo.md(
        """
        # Compare two runs

        The same market, one parameter changed: how far the price may move against an open position before it is sold.
        Which decision is the first that differs, and what did the change cost or bring?
        """
    )


@app.cell
def _(HONEST, Path, Recording, Span, backtest, load, mo, tempfile):
    root = mo.notebook_dir().parent
    market = Recording.open(root / "recordings" / "whirlpool-2022-04-06")
    span = Span(market, 0, 30_000)
    folder = Path(tempfile.mkdtemp())

    def run(name, *sets):
        scenario = load(root / "scenarios" / "whirlpool-day.toml", sets, HONEST)
        backtest([span], scenario, folder / name)
        return Recording.open(folder / name)

    runs = {"as shipped": run("a"), "hard stop 20 bps": run("b", ("momentum.hard_stop_loss_bps", "20"))}
    return (runs,)


@app.cell
def _(compare, mo, runs):
    one, other = runs.values()
    found = compare(one, other)
    assert not found.equal
    first = found.divergences[0]
    fields = "".join(f"\n- `{f.field}`: {f.recorded!r} and {f.recomputed!r}" for f in first.fields[:6])
    mo.md(f"First difference: **#{first.seq}** {first.type} by {first.by} ({first.kind}){fields}")


@app.cell
def _(ledger_of, mo, runs):
    ledgers = {name: ledger_of(recording) for name, recording in runs.items()}
    mo.ui.table(
        [
            {
                "run": name,
                "trades": sum(row.got is not None for row in ledger.rows),
                "equity, SOL": ledger.equity / 1e9,
                "drawdown, SOL": ledger.drawdown / 1e9,
                "failed cost, SOL": ledger.failed_cost / 1e9,
            }
            for name, ledger in ledgers.items()
        ]
    )
    return (ledgers,)


@app.cell
def _(alt, ledgers, pl):
    curve = pl.concat(
        pl.DataFrame({"run": name, "time": [t for t, _ in ledger.points], "SOL": [e / 1e9 for _, e in ledger.points]})
        for name, ledger in ledgers.items()
    ).with_columns(pl.from_epoch("time", time_unit="ns"))
    alt.Chart(curve).mark_line().encode(x="time:T", y="SOL:Q", color="run:N").properties(title="equity", width=640)


@app.cell
def _(ledgers, mo):
    exits = [
        {"run": name, "exit": row.reason, "net, SOL": (row.net or 0) / 1e9}
        for name, ledger in ledgers.items()
        for row in ledger.rows
        if row.net is not None
    ]
    mo.ui.table(exits)


if __name__ == "__main__":
    app.run()
