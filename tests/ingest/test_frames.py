"""Frames: any chunking gives the same frames; whatever else is counted, never raised."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.ingest.frames import LONGEST, frames


def framed(*bodies: bytes) -> bytes:
    return b"".join(len(body).to_bytes(4, "big") + body for body in bodies)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.integers(1, 17))
@settings(derandomize=True, deadline=None)
def test_any_chunking_gives_the_same_frames(bodies, size):
    data = framed(*bodies)
    counts = {}
    assert list(frames((data[at : at + size] for at in range(0, len(data), size)), counts)) == bodies
    assert counts == {}


@given(st.binary(max_size=200))
@settings(derandomize=True, deadline=None)
def test_garbage_is_counted_to_the_last_byte(data):
    counts = {}
    found = list(frames([data], counts))
    taken = sum(len(frame) + 4 for frame in found) + 4 * counts.get("frame_empty", 0)
    assert taken + counts.get("frame_bytes_lost", 0) == len(data)


def test_a_truncated_capture_gives_its_whole_frames():
    data = framed(b"one", b"three")
    for cut in range(len(data)):
        counts = {}
        found = list(frames([data[:cut]], counts))
        assert found == [body for body, end in ((b"one", 7), (b"three", 16)) if end <= cut]
        assert ("frame_truncated" in counts) == (cut not in (0, 7, 16))


def test_an_absurd_length_ends_the_capture():
    counts = {}
    data = framed(b"one") + (LONGEST + 1).to_bytes(4, "big") + b"rest"
    assert list(frames([data, b"more"], counts)) == [b"one"]
    assert counts == {"frame_length_absurd": 1, "frame_bytes_lost": 12}


def test_the_real_captures_are_whole(plain):
    for name, number in (
        ("block_332254908_nonvote", 485),
        ("single_transactions", 61),
        ("slot_lifecycle_2026-02-05", 40_186),
    ):
        counts = {}
        assert sum(1 for _ in frames([plain(f"geyser/{name}.subscribe_updates.bin.zst")], counts)) == number
        assert counts == {}
