import marimo

app = marimo.App(width="medium")


@app.cell
def _():
    import altair as alt
    import marimo as mo
    import polars as pl

    from ironcrab.log.recording import Recording
    from ironcrab.mode.fidelity import fidelity
    from ironcrab.mode.ledger import ledger_of

    return Recording, alt, fidelity, ledger_of, mo, pl


@app.cell
def _(mo):
    mo.md(
        """
        # Slippage

        Two questions. How far was what a run got from what its simulation expected? And how far is the fill model
        itself from the swaps that really happened?
        """
    )


@app.cell
def _(Recording, ledger_of, mo, pl):
    day = Recording.open(mo.notebook_dir().parent / "recordings" / "whirlpool-2022-04-06")
    ledger = ledger_of(day)
    fills = pl.DataFrame(
        [
            {
                "side": row.side,
                "venue": row.dex,
                "in": row.amount_in,
                "expected": row.expected,
                "got": row.got,
                "bps": row.slippage_bps,
            }
            for row in ledger.rows
            if row.slippage_bps is not None
        ]
    )
    fills.group_by("side").agg(
        pl.len().alias("fills"),
        pl.col("bps").min().alias("worst"),
        pl.col("bps").median().alias("median"),
        pl.col("bps").max().alias("best"),
    )
    return day, fills, ledger


@app.cell
def _(alt, fills):
    alt.Chart(fills).mark_bar().encode(
        x=alt.X("bps:Q", bin=alt.Bin(maxbins=40), title="got against expected, bps"), y="count()", color="side:N"
    ).properties(width=640)


@app.cell
def _(ledger, mo):
    failed = [row for row in ledger.rows if row.outcome == "FailedConfirmed"]
    mo.md(
        f"{len(failed)} attempts fell below their least output while they were on the way: "
        f"they got nothing and cost {ledger.failed_cost:,} lamports."
    )


@app.cell
def _(day, fidelity, mo):
    tables = []
    for behind in (0, 1, 5, 25):
        for (venue, basis), row in fidelity([day], behind).errors.items():
            told = {name: ppm / 100 for name, ppm in row.quantiles().items()}
            tables.append({"slots behind": behind, "venue": venue, "basis": basis, "swaps": row.swaps, **told})
    assert tables[0]["swaps"] > 9_000
    mo.vstack([mo.md("The fill model against the recorded swaps of the day, error in bps:"), mo.ui.table(tables)])


if __name__ == "__main__":
    app.run()
