"""The goldens of arbitrage say of every code and verdict that it happens."""

import re
from pathlib import Path

from ironcrab.domain.trade import DecisionRecord, Verdict
from ironcrab.strategy.arb_legs import UNAVAILABLE
from tests.goldens.arbitrage_checks import events_of
from tests.goldens.driving import ROOT, drive

CODE = re.compile(r'"(ARB_[A-Z_]+[A-Z])"')


def test_every_code_of_arbitrage_is_said():
    records = [record for name in ("checks", "switches") for record in drive(f"arbitrage-{name}", events_of)[1]]
    said = [record.event for record in records if isinstance(record.event, Verdict)]
    files = sorted((ROOT / "ironcrab/strategy").glob("arb*.py"))
    written = {code for file in files for code in CODE.findall(Path(file).read_text())}
    assert sorted(written - {verdict.code for verdict in said}) == [UNAVAILABLE], "a leg's reason, no verdict"
    assert {verdict.verdict for verdict in said} == {"wait", "suppress", "enter"}
    outcomes = {record.event.outcome for record in records if isinstance(record.event, DecisionRecord)}
    assert outcomes >= {"Rejected", "SimFailed", "FailedConfirmed", "Sent"}


def test_the_script_is_deterministic():
    assert drive("arbitrage-checks", events_of)[0] == drive("arbitrage-checks", events_of)[0]
