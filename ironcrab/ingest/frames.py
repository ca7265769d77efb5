"""A capture is frames: u32 big-endian length, then that many bytes of one protobuf SubscribeUpdate."""

from collections.abc import Iterable, Iterator

from ironcrab.ingest.counts import Counts, count

LONGEST = 128 * 1024 * 1024
"""Bytes in the longest frame that is believed: what a Geyser client receives (a block with accounts is 24 MB)."""


def frames(chunks: Iterable[bytes], counts: Counts) -> Iterator[bytes]:
    """The frames of a capture, given as byte chunks of any sizes.

    Nothing marks where a frame begins, so after an absurd length the rest cannot be believed: it is counted,
    not searched. Counted reasons: `frame_empty`, `frame_length_absurd`, `frame_truncated` (the capture ends
    inside a frame) and `frame_bytes_lost` (bytes behind an absurd length or of a truncated frame).

    Args:
        chunks: the capture's bytes, decompressed, in order.
        counts: where to count.

    Yields:
        the bytes of each frame, without its length; whether they are a SubscribeUpdate is not looked at.
    """
    held = bytearray()
    source = iter(chunks)
    for chunk in source:
        held += chunk
        start = 0
        while len(held) - start >= 4:
            size = int.from_bytes(held[start : start + 4], "big")
            if size > LONGEST:
                count(counts, "frame_length_absurd")
                count(counts, "frame_bytes_lost", len(held) - start + sum(len(rest) for rest in source))
                return
            if len(held) - start - 4 < size:
                break
            if size:
                yield bytes(held[start + 4 : start + 4 + size])
            else:
                count(counts, "frame_empty")
            start += 4 + size
        del held[:start]
    if held:
        count(counts, "frame_truncated")
        count(counts, "frame_bytes_lost", len(held))
