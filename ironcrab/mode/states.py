"""States of reducers as snapshots carry them: JSON bytes by reducer name, and the clock beside them."""

from collections.abc import Mapping, Sequence

import msgspec

from ironcrab.loop import Now, Reducer

SNAPSHOT_EVERY = 10_000
"""Records between two snapshots of a run; a snapshot stands at the end of a turn."""
NOW = "now"
"""Key of the clock among the states; no reducer bears this name."""


def encode_states(reducers: Sequence[Reducer], now: Now) -> dict[str, bytes]:
    """Every reducer's state and the clock."""
    states = {reducer.name: msgspec.json.encode(reducer.state) for reducer in reducers}
    return {NOW: msgspec.json.encode([now.time, now.slot]), **states}


def restore_states(reducers: Sequence[Reducer], now: Now, states: Mapping[str, bytes]) -> None:
    """Put states back; a reducer that has no state there stays as it was made."""
    now.time, now.slot = msgspec.json.decode(states[NOW], type=tuple[int, int])
    for reducer in reducers:
        if reducer.name in states:
            reducer.state = msgspec.json.decode(states[reducer.name], type=type(reducer.state))
            restored = getattr(reducer, "restored", None)
            if restored is not None:
                restored()
