"""Bless: accept an intended change. The recording decides anew with the code at hand and replaces itself."""

import shutil
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ironcrab.domain.ask import ANSWER, ASK
from ironcrab.domain.control import RunStarted
from ironcrab.domain.fault import InputFault
from ironcrab.log import manifest
from ironcrab.log.compare import Divergence
from ironcrab.log.contents import runs_of
from ironcrab.log.manifest import Blessing
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.loop import Record
from ironcrab.mode.run import RunSummary, Written, run, source_head
from ironcrab.mode.scenario import Scenario, read_back
from ironcrab.mode.verify import follow
from ironcrab.mode.wiring import started


class Blessed(Struct, frozen=True):
    """What was blessed: the reason, every divergence accepted, the new digest."""

    because: str
    divergences: tuple[Divergence, ...]
    derived: int
    digest: str


def bless(recording: Recording, because: str) -> Blessed:
    """Run the recording's market anew under its own scenario and put the result in its place.

    The old folder stays beside it until the new one is whole.

    Raises:
        InputFault: it is no whole run of its own, or no reason is given.
    """
    if not because.strip():
        raise InputFault("--because is empty; say why the change is intended")
    runs = runs_of(recording)
    if len(runs) != 1 or not runs[0][1].reducers or recording.first_seq != 0:
        raise InputFault(
            f"recording {recording.path} was not made whole by one `ironcrab run`; "
            "only such a recording can be decided anew: bless the run it was cut from, or record it again"
        )
    report = follow(recording)
    divergences = tuple(found for judged in report.runs for found in judged.divergences)
    first = divergences[0].seq if divergences else None
    path = recording.path
    fresh = path.with_name(f".{path.name}.blessing")
    if fresh.exists():
        shutil.rmtree(fresh)
    scenario = read_back(runs[0][1])
    summary = run(recording, scenario, fresh) if scenario.outlets else _decided_anew(recording, scenario, fresh)
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
    """A run without outlets: everything the world said stays, answers too, which then name the new asks in order."""
    asked = [record.seq for record in recording.records(ASK)]
    with Written(fresh, source_head(recording), scenario, ()) as run_to:
        asks: list[int] = []
        loop, append = run_to.drive.loop, run_to.append

        def noting(record: Record) -> None:
            append(record)
            if isinstance(record.event, ASK):
                asks.append(record.seq)

        loop.append = noting
        for record in recording.records():
            event: Any = record.event
            if record.cause is not None:
                continue
            if isinstance(event, RunStarted):
                run_to.drive.started = event = started(scenario, run_to.drive.wiring, event.run, event.generations)
            elif isinstance(event, ANSWER):
                place = asked.index(event.ask)
                event = replace(event, ask=asks[place] if place < len(asks) else event.ask)
            loop.take(event, record.time)
            run_to.rest(None)
        return run_to.summary()


def _swap(path: Path, fresh: Path) -> None:
    """Put the new folder in the old one's place; at every moment one of the two is whole."""
    aside = path.with_name(f".{path.name}.before-blessing")
    if aside.exists():
        shutil.rmtree(aside)
    path.rename(aside)
    fresh.rename(path)
    shutil.rmtree(aside)
