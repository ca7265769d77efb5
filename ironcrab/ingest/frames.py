"""A capture is frames: u32 big-endian length, then that many bytes of one protobuf SubscribeUpdate."""

from collections.abc import Iterable, Iterator

from ironcrab.ingest.counts import Counts, count

LONGEST = 128 * 1024 * 1024
"""Bytes in the longest frame that is believed: what a Geyser client receives (a block with accounts is 24 MB)."""


class FrameReader:
    """Reads one capture and counts what was no frame.

    Nothing marks where a frame begins, so after an absurd length the rest cannot be believed: it is counted, not
    searched. Reasons in `counts`: `frame_empty`, `frame_length_absurd`, `frame_truncated` (the capture ends inside
    a frame) and `frame_bytes_lost` (bytes behind an absurd length or of a truncated frame).
    """

    def __init__(self) -> None:
        self.counts: Counts = {}

    def frames(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The bytes of each frame, without its length; whether they are a SubscribeUpdate is not looked at.

        Args:
            chunks: the capture's plain bytes, in order, in pieces of any sizes.
        """
        held = bytearray()
        source = iter(chunks)
        for chunk in source:
            held += chunk
            start = 0
            while len(held) - start >= 4:
                size = int.from_bytes(held[start : start + 4], "big")
                if size > LONGEST:
                    count(self.counts, "frame_length_absurd")
                    count(self.counts, "frame_bytes_lost", len(held) - start + sum(len(rest) for rest in source))
                    return
                if len(held) - start - 4 < size:
                    break
                if size:
                    yield bytes(held[start + 4 : start + 4 + size])
                else:
                    count(self.counts, "frame_empty")
                start += 4 + size
            del held[:start]
        if held:
            count(self.counts, "frame_truncated")
            count(self.counts, "frame_bytes_lost", len(held))
