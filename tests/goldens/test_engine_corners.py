"""The goldens that only stand beside comparisons: deterministic, every intent decided."""

import pytest

from ironcrab.domain.trade import DecisionRecord, TradeIntent
from tests.goldens import ema_checks, engine_corners
from tests.goldens.driving import drive


@pytest.mark.parametrize(("name", "script"), [("engine-corners", engine_corners), ("ema-checks", ema_checks)])
def test_every_intent_is_decided_and_the_script_is_deterministic(name, script):
    events, records = drive(name, script.events_of)
    assert drive(name, script.events_of)[0] == events
    intents = {record.seq for record in records if isinstance(record.event, TradeIntent)}
    decided = {record.event.intent for record in records if isinstance(record.event, DecisionRecord)}
    assert intents <= decided
    assert intents
