"""Sweeps: rows and windows, the same digests alone and together, interrupted and gone on with, bad input."""

import os
import signal
import tomllib

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ironcrab.domain.fault import InputFault, ScenarioFault
from ironcrab.log.recording import Recording
from ironcrab.mode import sweeping
from ironcrab.mode.anew import Span
from ironcrab.mode.axes import Part, axis, halves, rows, seconds, walk
from ironcrab.mode.generating import generate
from ironcrab.mode.scenario import read
from ironcrab.mode.sweeping import Partial, line_of, plan, run_line, sweep, toml_of
from ironcrab.mode.synthetic import MarketParams

PARAMS = MarketParams(events=8_000, seed=7, coins=6, wallets=60, trades_per_slot=12, launch_every=30)
TREE = {
    "strategies": ["momentum"],
    "momentum": {"early_min_token_age_secs": 2, "early_min_unique_buyers": 2},
    "engine": {"send_enabled": True},
    "wallet": {"native_sol_lamports": 10**11},
}
WHOLE = (Part(0, "whole", Span()),)
BILLION = 1_000_000_000


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweeping") / "market"
    generate(PARAMS, folder)
    return str(folder)


def planned(market, *sets, parts=WHOLE):
    return plan("tests", TREE, rows(tuple(axis(text) for text in sets)), (market,), (parts,))


def test_axes():
    assert axis("a.b=1..5:2").values == ("1", "3", "5")
    assert axis("a.b=-2..0").values == ("-2", "-1", "0")
    assert axis("a.b=true,false").values == ("true", "false")
    assert axis("a.b=7").values == ("7",)


@pytest.mark.parametrize("text", ["a", "=1", "a=", "a=5..1", "a=1..5:0", "a=x..y", "a=1..5:-1", "a=0..99999999"])
def test_bad_axes(text):
    with pytest.raises(InputFault):
        axis(text)


def test_a_grid_is_every_combination_once():
    grid = rows((axis("a=1..3"), axis("b=x,y")))
    assert len(grid) == len(set(grid)) == 6
    assert grid[0] == (("a", "1"), ("b", "x"))
    assert grid[1] == (("a", "1"), ("b", "y"))


def test_drawn_rows_are_different_rows_of_the_grid():
    axes = (axis("a=1..20"), axis("b=1..20"))
    drawn = rows(axes, 50, 3)
    assert len(set(drawn)) == 50
    assert set(drawn) <= set(rows(axes))
    assert rows(axes, 50, 3) == drawn
    assert rows(axes, 50, 4) != drawn
    assert set(rows(axes, 400, 1)) == set(rows(axes))
    with pytest.raises(InputFault, match="more rows than the 400"):
        rows(axes, 401)


def test_bad_grids():
    with pytest.raises(InputFault, match="same key twice"):
        rows((axis("a=1"), axis("a=2")))
    with pytest.raises(InputFault, match="more than 1,000,000"):
        rows((axis("a=1..2000"), axis("b=1..2000")))


def test_windows_walk_forward():
    parts = walk(0, 10 * BILLION, 4, 2)
    assert [(part.window, part.sample) for part in parts] == [(n, s) for n in range(3) for s in ("in", "out")]
    assert parts[2].span == Span(2 * BILLION, 6 * BILLION)
    assert parts[3].span == Span(6 * BILLION, 8 * BILLION)
    for before, after in zip(parts[1::2], parts[3::2], strict=False):
        assert before.span.end == after.span.start
    with pytest.raises(InputFault, match="train for less"):
        walk(0, BILLION, 4, 2)


def test_halves_meet_and_leave_nothing_out():
    one, other = halves(100, 200, 60, Span())
    assert (one.span, other.span) == (Span(None, 160), Span(160, None))
    one, other = halves(100, 200, 60, Span(100, 200))
    assert (one.span, other.span) == (Span(100, 160), Span(160, 200))


@pytest.mark.parametrize(("text", "told"), [("90s", 90), ("2m", 120), ("6h", 21_600), ("1d", 86_400)])
def test_durations(text, told):
    assert seconds(text) == told


@pytest.mark.parametrize("text", ["", "5", "h", "0s", "-1h", "1.5h", "3w"])
def test_bad_durations(text):
    with pytest.raises(InputFault):
        seconds(text)


def test_a_row_run_alone_gives_the_same_digest(market, tmp_path):
    first, last = 1_700_000_000 * BILLION, 1_700_000_100 * BILLION
    made = planned(market, "momentum.take_profit_bps=200..1000:400", parts=halves(first, last, 50, Span()))
    lines = sweep(made, tmp_path / "t.parquet", 1)
    assert len(lines) == 6
    assert any(line.result.trades for line in lines)
    for number in (0, 3, 5):
        its_plan, line = line_of(tmp_path / "t.parquet", number)
        summary = run_line(its_plan, line, tmp_path / f"run{number}")
        assert (summary.digest, summary.derived) == (line["digest"], line["derived"])
        assert Recording.open(tmp_path / f"run{number}").next_seq == line["records"]


def test_two_processes_the_same_table(market, tmp_path):
    made = planned(market, "momentum.take_profit_bps=200..1000:400", "momentum.hard_stop_loss_bps=500,900")
    alone, both = sweep(made, tmp_path / "1.parquet", 1), sweep(made, tmp_path / "2.parquet", 2)
    assert alone == both
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
    assert not list(tmp_path.glob("*.partial"))


def test_duckdb_reads_the_table(market, tmp_path):
    sweep(planned(market, "momentum.take_profit_bps=200,900"), tmp_path / "t.parquet", 1)
    found = duckdb.sql(
        f"""select "momentum.take_profit_bps", trades, length(digest), map_keys(refusals)
        from '{tmp_path / "t.parquet"}' order by row"""
    ).fetchall()
    assert [row[0] for row in found] == [200, 900]
    assert all(row[2] == 32 for row in found)


def test_the_scenario_of_a_row_is_a_scenario(market, tmp_path):
    made = planned(market, "momentum.take_profit_bps=200,900")
    path = tmp_path / "tests.toml"
    path.write_text(toml_of(made, 1))

    again = read("tests", tomllib.loads(path.read_text()), "x")
    told = made.scenario(1)
    assert [(s.key, s.value) for s in again.settings] == [(s.key, s.value) for s in told.settings]
    assert again.strategies[0].params.take_profit_bps == 900


def test_interrupted_and_gone_on_with(market, tmp_path, monkeypatch):
    made = planned(market, "momentum.take_profit_bps=200..1000:200")
    whole = sweep(made, tmp_path / "whole.parquet", 1)
    monkeypatch.setattr(sweeping, "MOST_TOGETHER", 2)
    real, calls = sweeping.work, []

    def work(*task):
        calls.append(task)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*task)

    monkeypatch.setattr(sweeping, "work", work)
    with pytest.raises(KeyboardInterrupt):
        sweep(made, tmp_path / "t.parquet", 1)
    left = tmp_path / "t.parquet.partial"
    assert len(Partial(left, made).lines) == 2
    with left.open("ab") as file:
        file.write(b'{"row":2,"on":0,"part":0,"resu')
    calls.append(None)
    assert sweep(made, tmp_path / "t.parquet", 1) == whole
    assert len(calls) == 2 + 1 + 2
    assert not left.exists()


def test_what_another_sweep_left_is_not_gone_on_with(market, tmp_path):
    Partial(tmp_path / "t.parquet.partial", planned(market, "momentum.take_profit_bps=200"))
    with pytest.raises(InputFault, match="another sweep"):
        sweep(planned(market, "momentum.take_profit_bps=300"), tmp_path / "t.parquet", 1)


def test_an_existing_table_is_not_overwritten(market, tmp_path):
    (tmp_path / "t.parquet").touch()
    with pytest.raises(InputFault, match="exists"):
        sweep(planned(market, "momentum.take_profit_bps=200"), tmp_path / "t.parquet", 1)


def test_a_worker_that_dies_is_one_sentence(market, tmp_path, monkeypatch):
    made = planned(market, "momentum.take_profit_bps=200..1000:200")
    monkeypatch.setattr(sweeping, "_work", die)
    with pytest.raises(InputFault, match=r"a worker died .* with 0 of 5 lines done") as fault:
        sweep(made, tmp_path / "t.parquet", 2)
    assert "\n" not in str(fault.value)
    monkeypatch.undo()
    assert len(sweep(made, tmp_path / "t.parquet", 1)) == 5


def die(_task):
    os.kill(os.getpid(), signal.SIGKILL)


def test_every_row_is_judged_before_any_runs(market):
    with pytest.raises(ScenarioFault, match="row 1"):
        planned(market, "momentum.take_profit_bps=200,-1")
    with pytest.raises(ScenarioFault, match="no such parameter"):
        planned(market, "momentum.take_profits=1")


def test_a_changed_recording_is_told(market, tmp_path):
    made = planned(market, "momentum.take_profit_bps=200")
    sweep(made, tmp_path / "t.parquet", 1)
    its_plan, line = line_of(tmp_path / "t.parquet", 0)

    other = msgspec.structs.replace(its_plan, heads=("00" * 32,))
    with pytest.raises(InputFault, match="has changed since the sweep"):
        run_line(other, line, tmp_path / "run")
    with pytest.raises(InputFault, match="no line 7"):
        line_of(tmp_path / "t.parquet", 7)


def test_another_parquet_file_is_no_table(tmp_path):

    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    with pytest.raises(InputFault, match="no table of a sweep"):
        line_of(tmp_path / "x.parquet", 0)
    (tmp_path / "y.parquet").write_bytes(b"nothing")
    with pytest.raises(InputFault, match="no table of a sweep"):
        line_of(tmp_path / "y.parquet", 0)
