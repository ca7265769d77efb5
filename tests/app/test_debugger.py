"""The terminal debugger, driven by textual's pilot."""

import asyncio

import pytest

from ironcrab.log.recording import Recording
from ironcrab.mode.generating import generate
from ironcrab.mode.run import run
from ironcrab.mode.scenario import read
from ironcrab.mode.stepping import Stepper
from ironcrab.mode.synthetic import MarketParams

pytest.importorskip("textual", reason="skipped: textual (the extra `step`) is not installed")

from textual.widgets import Static

from ironcrab.app.debugger import Debugger

PARAMS = MarketParams(events=3_000, seed=7, coins=6, trades_per_slot=12, launch_every=0)
TREE = {"strategies": ["ema"], "engine": {"send_enabled": True}, "wallet": {"native_sol_lamports": 10**11}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("debugger")
    generate(PARAMS, folder / "market")
    run(Recording.open(folder / "market"), read("tests", TREE, "tests"), folder / "run")
    return folder / "run"


def drive(folder, *keys, size=(140, 40), at=100):
    """Press keys; what the panes show afterwards, and the debugger."""
    debugger = Debugger(Stepper(Recording.open(folder), at))

    async def session():
        async with debugger.run_test(size=size) as pilot:
            for key in keys:
                if key.startswith("type:"):
                    for letter in key.removeprefix("type:"):
                        await pilot.press({" ": "space"}.get(letter, letter))
                else:
                    await pilot.press(key)
            await pilot.pause()
            panes = {one.id: str(one.render()) for one in debugger.query(Static) if one.id}
            await pilot.press("q")
            return panes

    return asyncio.run(session()), debugger


def test_steps_both_ways(folder):
    panes, debugger = drive(folder, "right", "right", "n", "left")
    assert debugger.stepper.seq == 102
    assert "#102 of" in panes["line"]
    assert "102" in panes["list"]
    panes, debugger = drive(folder, "pagedown", "pageup", "pageup", "pageup")
    assert debugger.stepper.seq == 0
    assert "the beginning" in panes["line"]


def test_breaks_on_a_condition_both_ways(folder):
    panes, debugger = drive(folder, "b", 'type:by=="ema"', "enter", "c")
    first = debugger.stepper.seq
    assert debugger.stepper.record.by == "ema"
    assert "TradeIntent" in panes["record"]
    panes, debugger = drive(folder, "b", 'type:by=="ema"', "enter", "c", "c", "r")
    assert debugger.stepper.seq == first
    assert 'break at: by=="ema"' in panes["line"]


def test_what_is_no_condition_is_told(folder):
    panes, _ = drive(folder, "b", "type:print(1)", "enter")
    assert "is not understood" in panes["line"]
    panes, _ = drive(folder, "c")
    assert "no condition" in panes["line"]
    panes, _ = drive(folder, "b", "type:seq<0", "enter", "c")
    assert "nothing more matches" in panes["line"]


def test_every_reducer_s_state(folder):
    panes, debugger = drive(folder)
    names = debugger.stepper.reducers
    for presses in range(len(names)):
        panes, debugger = drive(folder, *["tab"] * presses)
        assert f"state of {debugger.shown}" in panes["state"]
    assert "state of pools" in drive(folder, *["tab"] * 2)[0]["state"]


def test_goes_anywhere_and_finds(folder):
    panes, debugger = drive(folder, "g", "type:2000", "enter", "slash", "type:config_id", "enter")
    assert debugger.stepper.seq == 2_000
    assert "config_id" in panes["state"]
    assert "capital" not in panes["state"]
    panes, debugger = drive(folder, "g", "type:99999999", "enter")
    assert debugger.stepper.seq == 100
    assert "holds seq 0 to" in panes["line"]
    panes, _ = drive(folder, "g", "type:x", "enter")
    assert "no seq" in panes["line"]


def test_a_small_terminal(folder):
    panes, _ = drive(folder, "right", size=(40, 10))
    assert "#101" in panes["line"]
