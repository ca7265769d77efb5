"""Sessions without a network: the demo market's frames at times of their own, into a real log."""

from pathlib import Path

from ironcrab.check import check
from ironcrab.log.recording import Recording
from ironcrab.mode.outlets import paper_outlets
from ironcrab.mode.scenario import load, read
from ironcrab.mode.taking import Live
from ironcrab.mode.verify import follow
from ironcrab.shell.disk import Room
from ironcrab.shell.geyser_demo import demo
from ironcrab.shell.inbox import Connected

ROOT = Path(__file__).parents[2]
BEGAN = 1_800_000_000 * 10**9


def scenario(*overrides):
    """The shipped demo scenario."""
    return load(ROOT / "scenarios" / "demo.toml", overrides)


def frames(seed=1, rate=120, slots=40):
    """(time, slot, frame) of the first slots."""
    first = None
    for update in demo(seed, rate, slots):
        first = update.created if first is None else first
        yield BEGAN + update.created - first, update.slot, update.body


def session(folder, told=None, **settings):
    """A Live over a new or resumed log, hot, without syncs."""
    if folder.exists():
        log = Recording.resume(folder, commit_interval_s=None, **settings)
    else:
        folder.parent.mkdir(parents=True, exist_ok=True)
        log = Recording.create(folder, "ab" * 16, **settings)
    told = told or scenario()
    return Live(told, log, paper_outlets(told), Room(folder.parent, 0, 0, 0))


def play(live, arrivals, time=BEGAN, end=True):
    """Open, take the arrivals from the slot on that is asked for, close; the last time."""
    from_slot = live.open(time)
    live.arrive((time, Connected(from_slot)))
    for at, slot, frame in arrivals:
        if from_slot is None or slot >= from_slot:
            time = max(time, at)
            live.arrive((time, frame))
    if end:
        live.close(time, "the test ended", {})
        live.session.close()
    return time


def judged(folder, verdict="identical"):
    """The report of verify, which says so; every check holds."""
    report = follow(Recording.open(folder))
    assert report.verdict == verdict, report.runs
    findings = {name: found for name, found in check(Recording.open(folder)).items() if found}
    assert not findings, findings
    return report


__all__ = ["BEGAN", "frames", "judged", "play", "read", "scenario", "session"]
