"""What an armed session would sign: each plan of a demo session becomes a transaction that fits a packet."""

from ironcrab.domain.ask import SendAsk
from ironcrab.log.recording import Recording
from ironcrab.mode.building import Building
from ironcrab.mode.code import load_class
from ironcrab.shell.transaction import compiled, dressed
from tests.live.desk import frames, play, session

USER = "4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi"
BLOCKHASH = "4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi"


def test_every_plan_becomes_a_transaction(tmp_path):
    play(session(tmp_path / "demo"), frames(slots=30))
    building = Building(USER)
    built = {}
    for record in Recording.open(tmp_path / "demo").records():
        building.see(record)
        if isinstance(record.event, SendAsk):
            plan = record.event.plan
            instructions = dressed(building.instructions(plan), plan, USER)
            message = compiled(instructions, USER, BLOCKHASH)
            assert message.header.num_required_signatures == 1
            built.setdefault((plan.dex, plan.side), len(instructions))
    assert len({dex for dex, _ in built}) >= 2, built
    assert {side for _, side in built} == {"Buy", "Sell"}


def test_a_strategy_in_folders_without_init_is_found_before_it_is_imported(tmp_path, monkeypatch):
    folder = tmp_path / "outer_of_tests" / "inner"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text("class Mine:\n    name = 'mine'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_class("outer_of_tests.inner.mine:Mine").name == "mine"
