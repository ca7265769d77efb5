import marimo

app = marimo.App(width="medium")


@app.cell
def _():
    import altair as alt
    import marimo as mo
    import polars as pl

    from ironcrab.log.contents import overview
    from ironcrab.log.recording import Recording
    from ironcrab.mode.explain import explain
    from ironcrab.mode.verify import follow

    return Recording, alt, explain, follow, mo, overview, pl


@app.cell
def _(mo):
    mo.md(
        """
        # First replay

        A recording is a folder. Open it, fold it again, look at the trades of one pool, then walk back from a
        decision to the feed update that caused it.
        """
    )


@app.cell
def _(Recording, mo, overview):
    path = mo.notebook_dir().parent / "recordings" / "whirlpool-2022-04-06"
    recording = Recording.open(path)
    overview(recording).counts
    return path, recording


@app.cell
def _(follow, mo, recording):
    report = follow(recording)
    assert report.verdict == "identical"
    mo.md(f"Replayed: **{report.verdict}**, {report.records:,} records.")
    return (report,)


@app.cell
def _(path, pl):
    trades = pl.read_parquet(path / "segments" / "*" / "trade.parquet")
    busiest = trades.group_by("pool_address").len().sort("len", descending=True)
    busiest
    return busiest, trades


@app.cell
def _(alt, busiest, pl, trades):
    pool = busiest["pool_address"][0]
    prices = (
        trades.filter(pl.col("pool_address") == pool)
        .with_columns(
            time=pl.from_epoch(pl.col("time"), time_unit="ns"),
            price=pl.col("sol_amount") / pl.col("token_amount"),
        )
        .select("time", "price", "is_buy")
        .gather_every(4)
    )
    alt.Chart(prices).mark_line().encode(x="time:T", y=alt.Y("price:Q").scale(zero=False)).properties(
        title=f"price on {pool}, raw quote units a raw token unit", width=640
    )
    return (prices,)


@app.cell
def _(path, pl):
    decisions = pl.read_parquet(path / "segments" / "*" / "decision_record.parquet")
    decisions.group_by("outcome", "primary_reject_reason").len().sort("len", descending=True)
    return (decisions,)


@app.cell
def _(decisions, explain, mo, pl, recording):
    confirmed = decisions.filter(pl.col("outcome") == "Confirmed")["seq"][0]
    road = explain(recording, confirmed)
    mo.ui.table(
        [{"seq": stop.record.seq, "role": stop.role, "type": type(stop.record.event).__name__} for stop in road.stops]
    )
    return (road,)


@app.cell
def _(mo, road):
    again = road.reproduction
    assert again is not None
    assert again.equal
    mo.md(f"The decision was said anew from seq {again.from_seq:,}: identical bytes.")


if __name__ == "__main__":
    app.run()
