"""States of reducers as snapshots carry them: bytes by reducer name, the clock and the run beside them.

A state is MessagePack, which takes the bytes of accounts as they are; one that holds an integer beyond 64 bits, as a
user's own strategy may, is JSON. The first byte tells which: JSON opens with a bracket, which in MessagePack is a bare
number and so no state.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from blake3 import blake3

from ironcrab.domain.control import RunStarted
from ironcrab.log import snapshot
from ironcrab.log.recording import Recording
from ironcrab.log.snapshot import Snapshot
from ironcrab.loop import Now, Reducer

SNAPSHOT_EVERY = 3_000
"""Least records between two snapshots of a run; a snapshot stands at the end of a turn."""
RECORDS_PER_BYTE = (5, 8)
"""Records that a byte of snapshots wants, so that they stay below a tenth of a sealed log (some 18 bytes a record)."""
NOW = "now"
"""Key of the clock among the states; no reducer bears this name."""
RUN = "run"
"""Key of the run-started event among the states of a start state."""


def encode_state(state: Any) -> bytes:
    """One reducer's state."""
    try:
        return msgspec.msgpack.encode(state)
    except OverflowError:
        return msgspec.json.encode(state)


def decode_state(data: bytes, kind: type[Any]) -> Any:
    """The state of these bytes; msgspec.ValidationError: they are no state of this kind."""
    module = msgspec.json if data[:1] in (b"{", b"[") else msgspec.msgpack
    return module.decode(data, type=kind)


def encode_states(reducers: Sequence[Reducer], now: Now) -> dict[str, bytes]:
    """Every reducer's state and the clock."""
    states = {reducer.name: encode_state(reducer.state) for reducer in reducers}
    return {NOW: msgspec.json.encode([now.time, now.slot]), **states}


def restore_states(reducers: Sequence[Reducer], now: Now, states: Mapping[str, bytes]) -> None:
    """Put states back; a reducer that has no state there stays as it was made."""
    now.time, now.slot = msgspec.json.decode(states[NOW], type=tuple[int, int])
    for reducer in reducers:
        if reducer.name in states:
            reducer.state = decode_state(states[reducer.name], type(reducer.state))
            restored = getattr(reducer, "restored", None)
            if restored is not None:
                restored()


def made_by(started: RunStarted) -> dict[str, str]:
    """What a snapshot's states belong to: the digest of a run's reducers and settings."""
    body = msgspec.json.encode((started.run, started.reducers, started.settings))
    return {"made_by": blake3(body).hexdigest(length=16)}


def start_of(recording: Recording) -> tuple[Snapshot, RunStarted] | None:
    """The start state that a slice or a shortened log opens with, and the run that goes on in it.

    Raises:
        DamageFault: it is not what was written: it is no cache, so nothing goes on without it.
    """
    start = recording.manifest.start
    if start is None:
        return None
    found = snapshot.load_start(recording, start)
    return found, msgspec.json.decode(found.states[RUN], type=RunStarted)
