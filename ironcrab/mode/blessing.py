"""Bless: accept an intended change. The recording decides anew with the code at hand and replaces itself."""

import shutil
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ironcrab.domain.ask import ANSWER, ASK
from ironcrab.domain.control import RunStarted
from ironcrab.domain.event import Event
from ironcrab.domain.fault import InputFault
from ironcrab.domain.trade import TradeIntent
from ironcrab.log import manifest
from ironcrab.log.compare import Divergence
from ironcrab.log.manifest import Blessing
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.log.session import Session
from ironcrab.loop import Record
from ironcrab.mode.run import RunSummary, Written, run, source_head
from ironcrab.mode.scenario import Scenario, read_back
from ironcrab.mode.states import restore_states, start_of
from ironcrab.mode.verify import follow, runs_within
from ironcrab.mode.wiring import started


class Blessed(Struct, frozen=True):
    """What was blessed: the reason, every divergence accepted, the new digest."""

    because: str
    divergences: tuple[Divergence, ...]
    derived: int
    digest: str


def bless(recording: Recording, because: str) -> Blessed:
    """Decide the recording anew under its own scenario and put the result in its place.

    A whole run with a paper world is run again over its market. A run without outlets, and a slice, whose paper world
    was not cut along, keep all that the world said, answers too. The old folder stays until the new one is whole.

    Raises:
        InputFault: it holds no run or several, or no reason is given.
    """
    if not because.strip():
        raise InputFault("--because is empty; say why the change is intended")
    runs = runs_within(recording)
    if len(runs) != 1 or not runs[0][1].reducers:
        raise InputFault(
            f"recording {recording.path} holds {len(runs)} runs; only one `ironcrab run`, or a slice within one, "
            "can be decided anew: slice it out, or record it again"
        )
    report = follow(recording)
    divergences = tuple(found for judged in report.runs for found in judged.divergences)
    first = divergences[0].seq if divergences else None
    path = recording.path
    fresh = path.with_name(f".{path.name}.blessing")
    if fresh.exists():
        shutil.rmtree(fresh)
    scenario = read_back(runs[0][1])
    is_run = bool(scenario.outlets) and recording.manifest.start is None
    summary = run(recording, scenario, fresh) if is_run else _decided_anew(recording, scenario, fresh)
    seal(fresh)
    before = recording.manifest
    manifest.edit(
        fresh,
        lambda made: replace(
            made, golden=before.golden, pinned=before.pinned, blessed=(*before.blessed, Blessing(because, first))
        ),
    )
    _swap(path, fresh)
    return Blessed(because, divergences, summary.derived, summary.digest)


def _decided_anew(recording: Recording, scenario: Scenario, fresh: Path) -> RunSummary:
    """Everything the world said stays; an answer names the new ask of the same attempt, or goes where none is said."""
    before, after = _Asks(), _Asks()
    with Written(fresh, source_head(recording), scenario, (), _opened(recording, fresh)) as run_to:
        loop, append = run_to.drive.loop, run_to.append
        opening = start_of(recording)
        if opening is not None:
            restore_states(run_to.drive.wiring.reducers, run_to.drive.wiring.now, opening[0].states)
            run_to.drive.started = opening[1]

        def noting(record: Record) -> None:
            append(record)
            after.see(record)

        loop.append = noting
        for record in recording.records():
            if record.cause is None:
                before.turn = after.turn = record.seq
            before.see(record)
            event: Any = record.event
            if record.cause is not None:
                continue
            if isinstance(event, RunStarted):
                run_to.drive.started = event = started(scenario, run_to.drive.wiring, event.run, event.generations)
            elif isinstance(event, ANSWER) and event.ask >= recording.first_seq:
                place = after.seqs.get(before.places.get(event.ask, ()))
                if place is None:
                    continue
                event = replace(event, ask=place)
            loop.take(event, record.time)
            run_to.rest(None)
        return run_to.summary()


def _opened(recording: Recording, fresh: Path) -> Session | None:
    """The session of a slice that opens with the same start state; None: the recording is whole."""
    listed = recording.manifest
    if listed.start is None:
        return None
    fresh.mkdir()
    shutil.copy(recording.path / listed.start.file, fresh)
    return Recording.create(
        fresh,
        recording.log_id,
        first_seq=listed.first_seq,
        head=bytes.fromhex(listed.anchor),
        origin=listed.origin,
        start=listed.start,
    )


class _Asks:
    """Where asks stand, told so that it holds in the old log and in the new one, whose seqs are others.

    An ask's place: its type, its attempt, and its intent's place: the turn in which it was said (seq of the old log's
    world record), by whom, and the how many-eth of them.
    """

    def __init__(self) -> None:
        self.turn = 0
        self.places: dict[int, tuple[object, ...]] = {}
        self.seqs: dict[tuple[object, ...], int] = {}
        self._intents: dict[int, tuple[object, ...]] = {}
        self._said: dict[tuple[int, str | None], int] = {}

    def see(self, record: Record) -> None:
        """One record of the log, in order."""
        event: Event = record.event
        if isinstance(event, TradeIntent):
            by = (self.turn, record.by)
            self._said[by] = self._said.get(by, -1) + 1
            self._intents[record.seq] = (*by, self._said[by])
        elif isinstance(event, ASK):
            # an intent that was said before a slice begins has one seq in both
            intent = self._intents.get(event.intent, (event.intent,))
            place = (type(event).__name__, event.attempt, *intent)
            self.places[record.seq] = place
            self.seqs[place] = record.seq


def _swap(path: Path, fresh: Path) -> None:
    """Put the new folder in the old one's place; at every moment one of the two is whole."""
    aside = path.with_name(f".{path.name}.before-blessing")
    if aside.exists():
        shutil.rmtree(aside)
    path.rename(aside)
    fresh.rename(path)
    shutil.rmtree(aside)
