"""Adaptive search: seeded, the same whatever the processes, resumed where it stopped, chosen in sample alone."""

import importlib.util

import duckdb
import pytest

from ironcrab.domain.fault import InputFault, ScenarioFault
from ironcrab.log.contents import time_bounds
from ironcrab.log.recording import Recording
from ironcrab.mode import searching, sweeping
from ironcrab.mode.anew import Span
from ironcrab.mode.axes import Part, axis, halves
from ironcrab.mode.generating import generate
from ironcrab.mode.searching import extremes, search
from ironcrab.mode.sweeping import Search, line_of, plan, run_line
from ironcrab.mode.synthetic import MarketParams

PARAMS = MarketParams(events=3_000, seed=7, coins=6, wallets=60, trades_per_slot=12, launch_every=30)
TREE = {
    "strategies": ["momentum"],
    "momentum": {"early_min_token_age_secs": 2, "early_min_unique_buyers": 2},
    "engine": {"send_enabled": True},
    "wallet": {"native_sol_lamports": 10**11},
}
AXES = tuple(map(axis, ("momentum.take_profit_bps=100..2000:100", "momentum.hard_stop_loss_bps=100..1000:100")))
needs_optuna = pytest.mark.skipif(
    importlib.util.find_spec("optuna") is None, reason="skipped: optuna is not installed (extra `search`)"
)


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searching") / "market"
    generate(PARAMS, folder)
    return str(folder)


WHOLE = (Part(0, "whole", Span()),)


def planned(market, parts=WHOLE):
    return plan("tests", TREE, extremes(AXES), (market,), (parts,))


def in_and_out(market):
    return halves(*time_bounds(Recording.open(market)), 60, Span())


def test_the_ends_of_each_axis_are_judged_before_anything_runs(market):
    found = extremes((axis("a=1..3"), axis("b=x,y"), axis("c=7")))
    assert [tuple(dict(row).values()) for row in found] == [("1", "x", "7"), ("3", "x", "7"), ("1", "y", "7")]
    with pytest.raises(ScenarioFault):
        plan("tests", TREE, extremes((axis("momentum.take_profit_bps=200,-1"),)), (market,), ((),))


def test_without_optuna_it_says_what_to_install(market, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(InputFault, match=r"pip install 'ironcrab\[search\]'"):
        search(planned(market), Search(AXES, 4, 1), tmp_path / "t.parquet", 1)
    assert not list(tmp_path.iterdir())


@needs_optuna
def test_the_same_rows_again_another_seed_others(market, tmp_path):
    tables = []
    for name, seed, jobs in (("a", 1, 1), ("b", 1, 2), ("c", 2, 1)):
        made, lines = search(planned(market), Search(AXES, 12, seed), tmp_path / name, jobs)
        assert len(set(made.rows)) == len(made.rows) == len(lines) == 12
        tables.append((tmp_path / name).read_bytes())
    assert tables[0] == tables[1] != tables[2]


@needs_optuna
def test_interrupted_anywhere_and_gone_on_with(market, tmp_path, monkeypatch):
    whole = search(planned(market), Search(AXES, 12, 1), tmp_path / "whole", 1)
    real = sweeping.work
    for stop in (1, 2):
        calls = []

        def work(*task, calls=calls, stop=stop):
            calls.append(task)
            if len(calls) == stop:
                raise KeyboardInterrupt
            return real(*task)

        monkeypatch.setattr(sweeping, "work", work)
        with pytest.raises(KeyboardInterrupt):
            search(planned(market), Search(AXES, 12, 1), tmp_path / f"t{stop}", 1)
        monkeypatch.setattr(sweeping, "work", real)
        assert search(planned(market), Search(AXES, 12, 1), tmp_path / f"t{stop}", 1) == whole
        assert (tmp_path / f"t{stop}").read_bytes() == (tmp_path / "whole").read_bytes()


@needs_optuna
def test_what_lies_out_of_sample_does_not_choose(market, tmp_path, monkeypatch):
    parts = in_and_out(market)
    made, lines = search(planned(market, parts), Search(AXES, 16, 1), tmp_path / "a", 1)
    assert {made.parts[0][line.part].sample for line in lines} == {"in", "out"}
    told = []
    monkeypatch.setattr(searching._Chosen, "tell", lambda self, row, worth: told.append((row, worth)) or self.wanted)
    monkeypatch.setattr(searching._Chosen, "handful", lambda self: list(made.rows) if not told else [])
    search(planned(market, parts), Search(AXES, 16, 1), tmp_path / "b", 1)
    inside = {line.row: line.result.pnl_lamports for line in lines if made.parts[0][line.part].sample == "in"}
    assert dict(told) == inside


@needs_optuna
def test_a_grid_smaller_than_wanted_is_seen_whole_and_ends(market, tmp_path):
    axes = (axis("momentum.take_profit_bps=200,900"),)
    made, lines = search(planned(market), Search(axes, 50, 1), tmp_path / "t", 1)
    assert len(made.rows) == len(lines) == 2


@needs_optuna
def test_its_table_is_like_any_other(market, tmp_path):
    search(planned(market), Search(AXES, 4, 3), tmp_path / "t.parquet", 1)
    found = duckdb.sql(f"select count(distinct row) from '{tmp_path / 't.parquet'}'").fetchall()
    assert found == [(4,)]
    its_plan, line = line_of(tmp_path / "t.parquet", 2)
    assert its_plan.search == Search(AXES, 4, 3)
    assert run_line(its_plan, line, tmp_path / "run").digest == line["digest"]
