"""Cuts at many positions, and rings too short for what is lost: nothing wrong, nothing twice, no loss in silence."""

import asyncio

import pytest

from ironcrab.log.recording import Recording
from tests.shell.playing import demo_updates, events_of, imported, record_and_compare, recorded

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("offset", [150, 163, 170, 181, 192])
def test_sweep_of_cut_positions(offset, tmp_path):
    """A cut every 41 updates, with some lost each time: in the middle of slots, at their ends, between meta and status."""
    summary, _ = record_and_compare(demo_updates(), (f"cut@{offset}:every=41,lose={offset % 7}",), tmp_path)
    assert summary.gaps > 5


@pytest.mark.parametrize("ring", [0, 2])
@pytest.mark.parametrize("fault", ["cut@200:every=113,lose=90", "lag@260:every=171,lose=160"])
def test_what_is_missing_lies_in_a_gap_that_says_so(ring, fault, tmp_path):
    """With a ring too short for what is lost: nothing is told twice or wrongly, and no loss is silent."""
    from ironcrab.domain.control import GapClosed, GapOpened

    kinds = ("Trade", "AccountWritten", "LatestBlockhash")
    updates = demo_updates(slots=16)
    told = [event for event in imported(updates, (), tmp_path)[0] if type(event).__name__ in kinds]
    folder = tmp_path / "recorded"

    looks = iter(range(26))
    asyncio.run(recorded(updates, folder, faults=(fault,), until=lambda: next(looks) == 25, ring=ring))
    found = [event for event in events_of(folder) if type(event).__name__ in kinds]
    keys = [repr(event) for event in found]
    assert len(keys) == len(set(keys))
    assert set(keys) <= {repr(event) for event in told}
    unfilled, start, is_open = [], 0, False
    for record in Recording.open(folder).records((GapOpened, GapClosed)):
        if isinstance(record.event, GapOpened):
            start, is_open = record.event.from_slot, True
            continue
        is_open = False
        if not record.event.filled:
            unfilled.append(range(start, record.event.to_slot + 1))
    # the gap that stopping opens has no end: from there on nothing is known
    unfilled += [range(start, updates[-2].slot + 1)] if is_open else []
    missing = {event.slot for event in told if repr(event) not in set(keys)}
    assert missing
    for slot in missing:
        assert any(slot in gap for gap in unfilled), f"slot {slot} is missing and in none of {unfilled}"
