import marimo

app = marimo.App(width="medium")


@app.cell
def _():
    import marimo as mo

    from ironcrab.domain.trade import DecisionRecord
    from ironcrab.log.recording import Recording
    from ironcrab.mode.explain import explain

    return DecisionRecord, Recording, explain, mo


@app.cell
def _(mo):
    mo.md(
        """
        # Read a decision

        Every attempt of an intent ends in exactly one DecisionRecord. It says which checks were made, in their order,
        with the numbers they used, and which records it read. Pick a refusal and a trade, and read both.
        """
    )


@app.cell
def _(DecisionRecord, Recording, mo):
    recording = Recording.open(mo.notebook_dir().parent / "recordings" / "whirlpool-2022-04-06")
    decisions = list(recording.records((DecisionRecord,)))
    firsts = {}
    for record in decisions:
        firsts.setdefault((record.event.outcome, record.event.primary_reject_reason), record)
    mo.ui.table(
        [
            {"outcome": outcome, "reason": reason, "first seq": record.seq}
            for (outcome, reason), record in firsts.items()
        ]
    )
    return decisions, firsts, recording


@app.cell
def _(firsts, mo):
    refused = next(record for (outcome, _), record in firsts.items() if outcome == "Rejected")
    failed = refused.event.checks[-1]
    assert not failed.passed
    mo.vstack(
        [
            mo.md(f"Decision **#{refused.seq}** was refused by `{failed.check_name}`: {failed.details}"),
            mo.ui.table(
                [
                    {"check": c.check_name, "passed": c.passed, "code": c.reason_code, "details": c.details}
                    for c in refused.event.checks
                ]
            ),
        ]
    )
    return (refused,)


@app.cell
def _(mo, refused):
    mo.ui.table([{"read": read.what, "of": read.of, "said by record": read.seq} for read in refused.event.reads])


@app.cell
def _(explain, mo, recording, refused):
    road = explain(recording, refused.seq)
    assert road.reproduction is not None
    assert road.reproduction.equal
    mo.vstack(
        [
            mo.md(
                f"The road to it, oldest first; said anew it gives identical bytes ({road.reproduction.folded:,} records folded)."
            ),
            mo.ui.table(
                [{"seq": s.record.seq, "role": s.role, "type": type(s.record.event).__name__} for s in road.stops]
            ),
        ]
    )


@app.cell
def _(decisions, mo):
    traded = next(record for record in decisions if record.event.outcome == "Confirmed")
    mo.vstack(
        [
            mo.md(f"Decision **#{traded.seq}** traded. The same rows, all passed, and what came of the sending:"),
            mo.ui.table([{"check": c.check_name, "details": c.details} for c in traded.event.checks]),
        ]
    )
    return (traded,)


if __name__ == "__main__":
    app.run()
