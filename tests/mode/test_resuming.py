"""Killed at any record, a log goes on without a trade twice and without a hole that no gap tells.

The road of `record` without a process, a network or a clock: a chain, what a client does with the order of its updates,
a recorder. A kill is a copy of the log cut at an instant of our choice.
"""

import random
import shutil

import pytest

from ironcrab.domain.control import GapClosed, GapOpened
from ironcrab.domain.market import AccountWritten, DexPoolAccounts, SlotUpdate, Trade
from ironcrab.ingest.normalise import Normaliser
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.log.recording import Recording
from ironcrab.mode.record import Recorder, wanted_of
from ironcrab.mode.resuming import Tail
from ironcrab.shell.endpoint import request_of
from ironcrab.shell.geyser_chain import Chain
from ironcrab.shell.geyser_client import BELOW
from ironcrab.shell.geyser_filters import Filters
from ironcrab.shell.geyser_order import Passage, peek
from ironcrab.shell.inbox import Connected, Lost
from tests.shell.playing import demo_updates, events_of, imported

WANTED = wanted_of(())


class Link:
    """One connection to a chain: what a client lets through, in its order."""

    def __init__(self, chain, from_slot, *, is_first):
        oldest = chain.first_available
        self.chain = chain
        self.from_slot = None if oldest is None or from_slot is None else max(from_slot, oldest)
        self.passage = Passage(heals=is_first or oldest is not None)
        self.subscriber = chain.join()
        chain.subscribe(self.subscriber, Filters(request_of(WANTED, self.from_slot)))

    def frames(self):
        waiting, passage = self.subscriber.waiting, self.passage
        while waiting:
            frame = waiting.popleft()
            yield from passage.take(*peek(frame), frame)
            if passage.is_ripe:
                yield from passage.release(self._fetched(tuple(passage.partial)))
                if passage.is_holding:
                    passage.heals = False
                    yield from passage.release()

    def _fetched(self, slots):
        filters = Filters(request_of(WANTED, min(slots)))
        try:
            replay = self.chain._replay(filters)
        except LookupError:
            return []
        return [body for update in replay for body in filters.said(update) if peek(body)[1] in slots]


class Stage:
    """Updates, how many of them the chain has played, and a recording of them."""

    def __init__(self, updates, folder, *, ring=150):
        self.updates = updates
        self.folder = folder
        self.chain = Chain(iter(()), ring=ring)
        self.played = 0

    def play(self, until, read=None):
        """Let the chain go on to a position, read by a recorder or by nobody."""
        while self.played < until:
            self.chain.publish(self.updates[self.played])
            self.played += 1
            if read is not None:
                read()

    def record(self, until, drops=()):
        """A session up to a position of the chain; the connection is lost at some; the log is left as a kill does.

        Gives the seq behind the last record of each position.
        """
        normaliser, tail = Normaliser(), None
        if self.folder.exists():
            session = Recording.resume(self.folder, commit_interval_s=None)
            tail = Tail(Recording.open(self.folder), normaliser)
        else:
            session = Recording.create(self.folder, "0" * 32, origin="test", commit_interval_s=None)
        recorder = Recorder(session, normaliser, tail, None)
        floor = from_slot = None if tail is None else tail.from_slot
        whole = None
        marks = {}
        for number, end in enumerate((*sorted(drops), until)):
            link = Link(self.chain, from_slot, is_first=number == 0)
            recorder.take((normaliser.time + 1, Connected(link.from_slot)))

            def read(link=link):
                for frame in link.frames():
                    recorder.take((normaliser.time + 1, frame))
                marks[self.played] = session.next_seq

            read()
            self.play(end, read)
            floor = link.passage.first if floor is None else floor
            whole = link.passage.whole or whole
            from_slot = floor if whole is None else max(whole - BELOW, floor or 0)
            if end != until:
                recorder.take((normaliser.time + 1, Lost("reset")))
        session.commit()
        killed = self.folder.with_name("killed")
        shutil.copytree(self.folder, killed)
        session.close()
        shutil.rmtree(self.folder)
        killed.rename(self.folder)
        return marks

    def tear(self, seq, more=0):
        """Leave the records below a seq, and some bytes of the next one."""
        path = max((self.folder / "segments").glob("*.jsonl"))
        lines = path.read_bytes().splitlines(keepends=True)
        first = int(path.name.split("-")[-1].split(".")[0])
        kept = 1 + max(seq - first, 0)
        path.write_bytes(b"".join(lines[:kept]) + b"".join(lines[kept : kept + 1])[:more])


def gaps_of(folder):
    """(first slot, last slot, filled) of each gap; None: still open."""
    found = []
    for record in Recording.open(folder).records((GapOpened, GapClosed)):
        event = record.event
        if isinstance(event, GapOpened):
            assert not found or found[-1][2] is not None
            found.append([event.from_slot, None, None, record.seq])
        else:
            assert event.opened == found[-1][3]
            found[-1][1:3] = event.to_slot, event.filled
    return [tuple(gap[:3]) for gap in found]


def key_of(event):
    """What an event says that does not depend on what was told before: parents and a pool's accounts are told once."""
    if isinstance(event, SlotUpdate):
        return event.slot, event.status
    return event.pool_address if isinstance(event, DexPoolAccounts) else repr(event)


def assert_no_silent_hole(told, folder):
    """Nothing twice, nothing made up, and what is missing behind the first record lies in a gap that says so."""
    found = [key_of(event) for event in events_of(folder)]
    assert len(found) == len(set(found))
    wanted = {key_of(event): event for event in told}
    assert set(found) <= set(wanted)
    gaps = gaps_of(folder)
    kinds = (Trade, AccountWritten)
    begin = min(place for place, (key, event) in enumerate(wanted.items()) if key in found and isinstance(event, kinds))
    missing = [event for key, event in list(wanted.items())[begin:] if key not in set(found)]
    for event in missing:
        slot = getattr(event, "slot", None)
        # a slot's later statuses are told live alone: a replay has frozen slots, and those of what was lost are lost
        if isinstance(event, SlotUpdate) and event.status in ("confirmed", "finalized"):
            continue
        assert any(first <= slot and (last is None or slot <= last) for first, last, filled in gaps if not filled), (
            f"{event} is missing, the gaps are {gaps}"
        )
    return missing, gaps


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    updates = demo_updates(slots=8)
    return updates, imported(updates, (), tmp_path_factory.mktemp("told"))[0]


@pytest.mark.parametrize(
    ("begin", "lag", "step"),
    [
        (0, 0, 19),
        (0, 61, 19),
        (88, 9, 19),
        *(pytest.param(*case, 1, marks=pytest.mark.slow) for case in ((0, 7), (88, 0))),
    ],
)
def test_cut_at_any_record_nothing_is_missing(begin, lag, step, market, tmp_path):
    """Whatever the kill left of the log: the session that goes on makes it what it would have been without."""
    updates, _ = market
    stage = Stage(updates, tmp_path / "whole")
    stage.play(begin)
    marks = stage.record(len(updates))
    reached = {}
    for position, seq in marks.items():
        reached.setdefault(seq, position)
    told = events_of(stage.folder)
    start = min(seq for seq in marks.values())
    for seq in range(start + 1, max(marks.values()), step):
        again = Stage(updates, tmp_path / "torn")
        shutil.copytree(stage.folder, again.folder)
        again.tear(seq, more=seq % 90)
        played = min(position for mark, position in reached.items() if mark >= seq)
        again.play(min(played + lag, len(updates)))
        again.record(len(updates))
        assert events_of(again.folder) == told, seq
        gaps = gaps_of(again.folder)
        assert all(filled for _, last, filled in gaps if last is not None), (seq, gaps)
        shutil.rmtree(again.folder)


@pytest.mark.parametrize("ring", [150, 2, 0])
@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 40))])
def test_killed_and_cut_again_and_again(ring, seed, market, tmp_path):
    """Several kills, lost connections and pauses, with rings that hold all, little and nothing of what was missed."""
    updates, told = market
    draw = random.Random(seed)
    stage = Stage(updates, tmp_path / "r", ring=ring)
    # an endpoint that has frozen no slot yet replays none: a connection lost there is a gap that stays
    first = 1 + next(
        place
        for place, update in enumerate(updates)
        if update.message.slot.status == wire.SLOT_PROCESSED and update.kind == "slot"
    )
    begin = draw.choice([0, draw.randrange(150)])
    stage.play(begin)
    while stage.played < len(updates) - 20:
        until = min(stage.played + draw.randrange(1, 160), len(updates))
        drops = [draw.randrange(stage.played, until) for _ in range(draw.randrange(3))] if stage.played > first else []
        marks = stage.record(until, drops)
        seqs = range(min(marks.values()), max(marks.values()) + 1)
        stage.tear(draw.choice([seqs[-1], draw.choice(seqs)]), draw.choice([0, draw.randrange(80)]))
        stage.play(min(stage.played + draw.choice([0, 0, draw.randrange(90)]), len(updates)))
    stage.record(len(updates))
    missing, gaps = assert_no_silent_hole(told, stage.folder)
    if ring == 150:
        assert missing == []
        assert all(filled for _, last, filled in gaps if last is not None)
