"""generate, sweep, branch, step and the scenarios that go with them, from the command line."""

import json
from pathlib import Path

import pytest

from tests.app.test_commands import ROOT, ironcrab, refused

pytestmark = pytest.mark.slow
SCENARIOS = ROOT / "scenarios"
GENERATED = ("crash-day", "gap-day", "two-pools", "regimes", "ema")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small crash day, generated and run."""
    home = tmp_path_factory.mktemp("sweep-commands")
    code, out, err = ironcrab("generate", SCENARIOS / "crash-day.toml", "--events", 20_000, "--out", home / "day")
    assert code == 0, err
    assert "20,000 records of seed 7" in out
    code, out, err = ironcrab("run", home / "day", SCENARIOS / "crash-day.toml", "--out", home / "run")
    assert code == 0, err
    return home


@pytest.mark.parametrize("name", GENERATED)
def test_every_scenario_is_generated_run_and_verified(tmp_path, name):
    scenario = SCENARIOS / f"{name}.toml"
    assert ironcrab("generate", scenario, "--events", 8_000, "--out", tmp_path / "market")[0] == 0
    assert ironcrab("run", tmp_path / "market", scenario, "--out", tmp_path / "run")[0] == 0
    code, out, _ = ironcrab("verify", tmp_path / "run")
    assert (code, "diverged" in out) == (0, False)
    assert ironcrab("check", tmp_path / "run")[0] == 0


def test_the_same_seed_the_same_head_another_another(tmp_path):
    heads = []
    for name, more in (("a", ()), ("b", ("--prove",)), ("c", ("--seed", 8))):
        args = ("generate", SCENARIOS / "gap-day.toml", "--events", 3_000, "--out", tmp_path / name, "--json", *more)
        code, out, err = ironcrab(*args, PYTHONHASHSEED=str(len(heads)))
        assert code == 0, err
        heads.append(json.loads(out)["head"])
    assert heads[0] == heads[1] != heads[2]


def test_sweep_pick_and_row(folder, tmp_path):
    table, scenario = tmp_path / "rows.parquet", SCENARIOS / "crash-day.toml"
    args = ("--set", "momentum.take_profit_bps=200..800:300", "--split", 60, "--jobs", 1, "--out", table)
    code, out, err = ironcrab("sweep", scenario, "--on", folder / "day", *args)
    assert code == 0, err
    assert "3 rows, 6 lines" in out
    assert "in pnl SOL" in out
    assert "out pnl SOL" in out
    code, picked, _ = ironcrab("sweep", "--pick", f"{table}:4")
    assert code == 0
    (tmp_path / "picked.toml").write_text(picked)
    assert "take_profit_bps = 800" in picked
    assert ironcrab("params", tmp_path / "picked.toml")[0] == 0
    code, out, err = ironcrab("sweep", "--row", f"{table}:4", "--out", tmp_path / "row")
    assert code == 0, err
    assert "as in line 4" in out
    assert ironcrab("verify", tmp_path / "row")[0] == 0


def test_walk_forward(folder, tmp_path):
    args = ("--set", "momentum.take_profit_bps=200,800", "--walk-forward", "90s:60s", "--jobs", 1, "--json")
    scenario = SCENARIOS / "crash-day.toml"
    code, out, err = ironcrab("sweep", scenario, "--on", folder / "day", *args, "--out", tmp_path / "w.parquet")
    assert code == 0, err
    told = json.loads(out)
    assert told["rows"] == 2
    assert len(told["lines"]) == 2 * len({line["part"] for line in told["lines"]}) > 8


def test_branch(folder, tmp_path):
    args = ("--set", "engine.max_open_positions=1", "--out", tmp_path / "branch")
    code, out, err = ironcrab("branch", folder / "run", "--at", 9_000, *args)
    assert code == 0, err
    assert "leaves" in out
    assert ironcrab("verify", tmp_path / "branch")[0] == 0
    assert ironcrab("check", tmp_path / "branch")[0] == 0


def test_refusals(folder, tmp_path):
    crash = SCENARIOS / "crash-day.toml"
    on = ("--on", folder / "day")
    assert "no [market]" in refused("generate", SCENARIOS / "whirlpool-day.toml", "--out", tmp_path / "x")
    assert "exists" in refused("generate", crash, "--out", folder / "day")
    out = ("--out", tmp_path / "x.parquet")
    assert "give SCENARIO" in refused("sweep", crash, *out, code=2)
    assert "KEY=A..B:STEP" in refused("sweep", crash, *on, "--set", "a", *out)
    assert "no such parameter" in refused("sweep", crash, *on, "--set", "momentum.x=1", *out)
    assert "no recording" in refused("sweep", crash, "--on", tmp_path, "--set", "momentum.take_profit_bps=1", *out)
    some = ("--set", "momentum.take_profit_bps=1,2")
    assert "more rows than" in refused("sweep", crash, *on, *some, "--random", 3, *out)
    assert "TRAIN:TEST" in refused("sweep", crash, *on, *some, "--walk-forward", "5m", *out)
    assert "train for less" in refused("sweep", crash, *on, *some, "--walk-forward", "5d:1d", *out)
    assert "FILE:N" in refused("sweep", "--pick", "nothing")
    assert "no table" in refused("sweep", "--pick", f"{tmp_path / 'none.parquet'}:1")
    assert "no run is open" in refused("branch", folder / "day", "--at", 5, "--out", tmp_path / "x")
    assert "holds seq" in refused("branch", folder / "run", "--at", 10**9, "--out", tmp_path / "x")
    assert "holds seq" in refused("step", folder / "run", "--at", 10**9)
    assert not Path(tmp_path / "x").exists()


def test_step_prints_the_place_where_there_is_no_terminal(folder):
    wanted = 'type == "DecisionRecord" and outcome == "Confirmed"'
    code, out, err = ironcrab("step", folder / "run", "--break", wanted, "--show", "execution-engine")
    assert code == 0, err
    assert "DecisionRecord" in out.splitlines()[0]
    assert "  state of execution-engine" in out
    code, out, _ = ironcrab("step", folder / "run", "--break", wanted, "--json")
    told = json.loads(out)
    assert told["event"]["outcome"] == "Confirmed"
    code, out, _ = ironcrab("step", folder / "run", "--at", told["seq"], "--break", wanted, "--back", "--json")
    assert code == 3
    cause = json.loads(ironcrab("step", folder / "run", "--at", told["cause"], "--json")[1])
    assert any(word["event"]["type"] == "DecisionRecord" and word["recorded"] for word in cause["said"])
    assert "no such reducer; this run has" in refused("step", folder / "run", "--show", "nobody")


def test_a_sweep_of_a_part(folder, tmp_path):
    """Bounds hold for whole spans, halves and windows."""
    first = json.loads(ironcrab("inspect", folder / "day", "0", "--json")[1])["time"] // 10**9
    args = ("--set", "momentum.take_profit_bps=200,800", "--from", first + 60, "--to", first + 120, "--jobs", 1)
    scenario = SCENARIOS / "crash-day.toml"
    for name, more, lines in (
        ("whole", (), 2),
        ("halves", ("--split", 50), 4),
        ("walk", ("--walk-forward", "30s:15s"), 8),
    ):
        out = tmp_path / f"{name}.parquet"
        code, told, err = ironcrab("sweep", scenario, "--on", folder / "day", *args, *more, "--out", out, "--json")
        assert code == 0, err
        assert len(json.loads(told)["lines"]) == lines
        code, _, err = ironcrab("sweep", "--row", f"{out}:{lines - 1}", "--out", tmp_path / name)
        assert code == 0, err
    late = ("--set", "momentum.take_profit_bps=200", "--from", first + 10**6, "--out", tmp_path / "late")
    assert "lies between --from and --to" in refused("sweep", scenario, "--on", folder / "day", *late)
