"""Backtest: a run over one recording or several in their order, or a part of them, in the honest paper world.

The same run as `mode.run`: the source is cut out of recordings, the outlet is the paper world. Where the scenario is
silent about it, fills are the venue's own (`HONEST`).
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from blake3 import blake3
from msgspec import Struct

from ironcrab.domain.ask import ConfirmAnswer, SendAnswer
from ironcrab.domain.event import Event
from ironcrab.domain.fault import InputFault
from ironcrab.log.contents import runs_of
from ironcrab.log.recording import Recording
from ironcrab.loop import Outlet, Record
from ironcrab.mode.opening import opening_of
from ironcrab.mode.run import Progress, RunSummary, run_events, source, source_head
from ironcrab.mode.scenario import Pairs, Scenario

HONEST: Pairs = (("paper.fill", "venue"), ("paper.impact", "overlay"), ("paper.token_account_rent_lamports", "2039280"))
"""Paper parameters of a backtest whose scenario does not name them. Rent: 165 bytes, exempt for good."""
QUANTILES = 20
"""Equally likely latencies that a recording's results are condensed to."""


class Span(Struct, frozen=True):
    """Records `first` <= seq < `end` of a recording."""

    recording: Recording
    first: int
    end: int


def backtest(
    spans: Sequence[Span],
    scenario: Scenario,
    out: Path,
    progress: Progress = None,
    outlets: tuple[Outlet, ...] | None = None,
) -> RunSummary:
    """Write the run of `scenario` over `spans` to the new folder `out`, still hot; `progress` counts source records.

    What a span does not begin with is told first, as a live session reads it before it trades (`opening`). `outlets`
    are those that the scenario names; None: they are made here.

    Raises:
        InputFault: no world record, or a span begins before the one above it ended.
        LogFault: `out` exists or cannot be written.
    """
    generations = next((told for span in spans for told in _generations(span.recording)), ())
    return run_events(_events(spans, progress), source_name(spans), scenario, out, generations, outlets=outlets)


def source_name(spans: Sequence[Span]) -> str:
    """What identifies the source: of one whole recording what `run` says, else a digest of heads and bounds."""
    only = spans[0]
    if len(spans) == 1 and (only.first, only.end) == (only.recording.first_seq, only.recording.next_seq):
        return source_head(only.recording)
    hasher = blake3(b"ironcrab spans\0")
    for span in spans:
        hasher.update(f"{source_head(span.recording)} {span.recording.head.hex()} {span.first} {span.end}\0".encode())
    return hasher.hexdigest()


def _generations(recording: Recording) -> Iterator[tuple[str, ...]]:
    for _, started in runs_of(recording):
        if started.generations:
            yield started.generations


def _events(spans: Sequence[Span], progress: Progress) -> Iterator[tuple[int, Event]]:
    """World events of all spans in order, each after what is known where it begins."""
    last, done = 0, 0
    for span in spans:
        told = source(_counted(span, done, progress))
        begun = next(told, None)
        if begun is None:
            continue
        if begun[0] < last:
            raise InputFault(
                f"{span.recording.path} begins before the recording named above it ends; name them in their order"
            )
        if span.first > span.recording.first_seq:
            yield from opening_of(span.recording, span.first)
        for time, event in chain((begun,), told):
            last = max(last, time)
            yield time, event
        done += span.end - span.first


def _counted(span: Span, done: int, progress: Progress) -> Iterator[Record]:
    for record in span.recording.records(seq_from=span.first, seq_to=span.end):
        if progress is not None:
            progress(done + record.seq - span.first)
        yield record


def latencies_of(recording: Recording) -> tuple[int, ...]:
    """Quantiles of the slots between sending and landing in a recording's own results, for `measured` latency.

    Raises:
        InputFault: the recording holds no landed result.
    """
    sent: dict[int, int] = {}
    slots: list[int] = []
    for record in recording.records(types=(SendAnswer, ConfirmAnswer)):
        event = record.event
        if isinstance(event, SendAnswer) and event.slot is not None:
            sent[event.ask] = event.slot
        elif isinstance(event, ConfirmAnswer) and event.slot is not None and event.ask in sent:
            slots.append(max(0, event.slot - sent.pop(event.ask)))
    if not slots:
        raise InputFault(f"{recording.path} holds no transaction that landed; name one that traded live")
    slots.sort()
    return tuple(slots[(2 * place + 1) * len(slots) // (2 * QUANTILES)] for place in range(QUANTILES))
