"""Mutated account sets and transactions of every venue (see tests/nightly/fuzz_dex.py): nothing unforeseen escapes."""

import pytest

from ironcrab import dex
from tests.nightly.fuzz_dex import fuzz


@pytest.mark.parametrize("venue", dex.VENUES, ids=lambda venue: venue.id)
def test_only_quotes_refusals_and_events_escape(venue, fuzz_rounds):
    found = fuzz(venue, fuzz_rounds)
    assert found["quotes"] + found["refusals"] == fuzz_rounds
    assert found["quotes"] > fuzz_rounds // 20
    assert found["events"] > fuzz_rounds // 50
