"""feed -> record -> sealed, event for event equal to the import of the same frames, whatever goes wrong between."""

import asyncio

import pytest

from ironcrab.log.recording import Recording
from tests.shell.playing import events_of, imported, recorded


def last_event(folder, wanted):
    """Whether a hot recording holds as many events about the chain as are wanted."""
    return lambda: (folder / "manifest.json").exists() and len(events_of(folder)) >= wanted


def record_and_compare(updates, faults, tmp_path, **settings):
    told, _ = imported(updates, faults, tmp_path)
    folder = tmp_path / "recorded"
    summary, server = asyncio.run(recorded(updates, folder, faults=faults, until=last_event(folder, len(told)), **settings))
    assert events_of(folder) == told
    recording = Recording.open(folder)
    assert all(part.entry is not None and part.entry.files for part in recording.parts)
    assert recording.verify_bytes(deep=True).faults == ()
    return summary, server


@pytest.mark.shared
def test_block(block_frames, tmp_path):
    record_and_compare(block_frames, (), tmp_path)
