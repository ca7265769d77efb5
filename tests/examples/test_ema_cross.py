"""The example lives outside the project: copied away, it runs, verifies, gives a golden, and guards it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DAY = ROOT / "recordings" / "whirlpool-2022-04-06"
SHIPPED = ROOT / "examples" / "ema_cross" / "goldens" / "first-buy"


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outside") / "ema"
    shutil.copytree(ROOT / "examples" / "ema_cross", folder)
    shutil.rmtree(folder / "goldens", ignore_errors=True)
    return folder


@pytest.mark.skipif(not SHIPPED.exists(), reason="skipped: python tests/examples/make.py was not run")
def test_the_shipped_golden_holds_outside(tmp_path):
    """The folder as it is, copied away: its goldens decide what they decided, as its CI file asks, twice."""
    folder = tmp_path / "mine"
    shutil.copytree(ROOT / "examples" / "ema_cross", folder)
    for seed in ("0", "1"):
        assert "1 passed" in pytest_on(folder, seed=seed)
    assert "identical" in told(folder, "verify", "goldens/first-buy")
    asked = (folder / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert [line.strip() for line in asked.splitlines() if "pytest" in line] == [
        f"- run: PYTHONPATH=. PYTHONHASHSEED={seed} pytest goldens" for seed in (0, 1)
    ]


def told(folder, *args, module="ironcrab.app", seed="0", expected=0):
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, args)], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONHASHSEED": seed, "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == expected, done.stdout + done.stderr
    return done.stdout


def pytest_on(folder, seed="0", expected=0):
    plugin = () if installed() else ("-p", "ironcrab.app.pytest_plugin")
    return told(folder, *plugin, "-q", "goldens", module="pytest", seed=seed, expected=expected)


def installed():
    from importlib.metadata import entry_points

    return any(entry.name == "ironcrab" for entry in entry_points(group="pytest11"))


def test_from_a_copy_to_a_guarded_golden(repository):
    ran = told(repository, "run", DAY, "scenario.toml", "--out", "runs/day")
    assert "derived" in ran
    assert "identical" in told(repository, "verify", "runs/day")
    lines = told(repository, "query", "runs/day", "select seq, outcome from decision_record", "--json").splitlines()
    rows = [json.loads(line) for line in lines]
    first = rows[0]["seq"]
    assert len(rows) > 20
    explained = told(repository, "explain", "runs/day", first)
    assert "by ema-cross" in explained
    assert "reproduced: identical bytes" in explained
    told(repository, "slice", "runs/day", "--around", first, "--spread", 200, "--golden", "--out", "goldens/first-buy")
    assert "1 passed" in pytest_on(repository)
    assert "1 passed" in pytest_on(repository, seed="1")
    again = told(repository, "run", DAY, "scenario.toml", "--out", "runs/again", seed="1")
    assert re.search(r"digest (\w+)", again)[1] == re.search(r"digest (\w+)", ran)[1]


def test_an_edit_that_changes_a_decision_is_found(repository):
    if not (repository / "goldens").exists():
        pytest.skip("the golden was not made")
    source = repository / "ema_cross.py"
    whole = source.read_text(encoding="utf-8")
    source.write_text(whole.replace("fast > slow and not was_above", "fast < slow and was_above"), encoding="utf-8")
    try:
        said = pytest_on(repository, expected=1)
    finally:
        source.write_text(whole, encoding="utf-8")
    assert "TradeIntent by ema-cross" in said
    assert "ironcrab verify" in said


def test_the_step_is_about_17_lines():
    text = (ROOT / "examples" / "ema_cross" / "ema_cross.py").read_text(encoding="utf-8")
    body = text[text.index("    def step") :].splitlines()[1:]
    assert len([line for line in body if line.strip()]) <= 18


def test_the_readme_shows_it_whole():
    shown = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("ema_cross.py", "scenario.toml"):
        assert (ROOT / "examples" / "ema_cross" / name).read_text(encoding="utf-8").strip() in shown, name
    assert ".github/workflows/ci.yml" in shown
