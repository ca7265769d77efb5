"""A finding: an exception to an invariant, at a seq, in one sentence."""

from msgspec import Struct


class Finding(Struct, frozen=True):
    """Where (seq) and what."""

    seq: int
    sentence: str
