"""What an armed session would sign: each plan of a demo session becomes a transaction that fits a packet."""

from collections import Counter

from ironcrab.domain.ask import SendAsk
from ironcrab.execution.params import PAPER_WALLET
from ironcrab.log.recording import Recording
from ironcrab.mode.code import load_class
from ironcrab.shell.transaction import Tables, message_of
from tests.live.desk import frames, judged, play, scenario, session


def test_every_plan_becomes_a_transaction(tmp_path):
    play(session(tmp_path / "demo", scenario(("engine.plans", "required"))), frames(slots=40))
    built = Counter()
    for record in Recording.open(tmp_path / "demo").records((SendAsk,)):
        plan = record.event.plan
        message = message_of(plan, PAPER_WALLET, Tables())
        assert message.signers == 1
        assert plan.quote_age_ms <= 50
        built[plan.dex, plan.side] += 1
    assert len({dex for dex, _ in built}) == 6, built
    assert {side for _, side in built} == {"Buy", "Sell"}
    judged(tmp_path / "demo")


def test_a_strategy_in_folders_without_init_is_found_before_it_is_imported(tmp_path, monkeypatch):
    folder = tmp_path / "outer_of_tests" / "inner"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text("class Mine:\n    name = 'mine'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_class("outer_of_tests.inner.mine:Mine").name == "mine"
