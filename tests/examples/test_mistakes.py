"""What somebody who writes his first strategy does wrong is told in one sentence."""

import re
import sys

import pytest

from ironcrab.domain.fault import InputFault, LogFault, ScenarioFault
from ironcrab.domain.market import Trade
from ironcrab.domain.units import SOL_MINT
from ironcrab.mode.run import run_events
from ironcrab.mode.scenario import read

STRATEGY = """
from msgspec import Struct
from ironcrab.domain.market import Trade
from ironcrab.strategy.wish import buy

class Params(Struct, frozen=True):
    pass

class State(Struct):
    count: int = 0

class Mine:
    name, Params, wants = "mine", Params, (Trade,)

    def __init__(self, params, known):
        self.params, self.state = params, State()

    def step(self, seq, event):
        WORDS
"""
TRADES = [(10**18, Trade("P", "M", "W", True, 10**9, 10**9, 6, "orca", quote_mint=SOL_MINT, slot=1))]


def ran(text, monkeypatch, tmp_path):
    (tmp_path / "his_own.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "his_own", raising=False)
    scenario = read("his", {"strategies": ["his_own:Mine"], "outlets": ["paper"]}, "a test")
    return run_events(iter(TRADES), "his", scenario, tmp_path / "out")


@pytest.mark.parametrize(
    ("words", "fault", "sentence"),
    [
        ("return buy('mine', event, 10**7, 50)", InputFault, "mine.step returned one TradeIntent: yield it, or return a tuple"),
        ("yield 'hello'", LogFault, "a str is no event; a reducer says events, such as a TradeIntent"),
        ("yield buy('mine', event, 1e7, 50)", LogFault, "required_capital.raw is 10000000.0, which a u64 column cannot hold"),
    ],
)  # fmt: skip
def test_what_step_gives_is_judged(words, fault, sentence, monkeypatch, tmp_path):
    with pytest.raises(fault, match=re.escape(sentence)):
        ran(STRATEGY.replace("WORDS", words), monkeypatch, tmp_path)


def test_a_strategy_without_state_is_refused_before_it_runs(monkeypatch, tmp_path):
    text = STRATEGY.replace("self.params, self.state = params, State()", "self.params = params")
    with pytest.raises(ScenarioFault, match="his_own:Mine sets no state"):
        ran(text.replace("WORDS", "return ()"), monkeypatch, tmp_path)


@pytest.mark.parametrize("words", ["return None", "return [buy('mine', event, 10**7, 50)]", "yield from ()"])
def test_what_is_right_runs(words, monkeypatch, tmp_path):
    ran(STRATEGY.replace("WORDS", words), monkeypatch, tmp_path)
