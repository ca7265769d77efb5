"""Slots: statuses once each, forks, bank resets, and gaps only where records may be missing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.control import FeedConnected, FeedDisconnected, ForkOrphaned, GapClosed, GapOpened
from ironcrab.domain.market import LatestBlockhash, SlotUpdate
from ironcrab.ingest.normalise import Normaliser
from ironcrab.ingest.slots import KEPT, SlotTree


class Feed:
    """A tree and all that it said, in short words."""

    def __init__(self):
        self.counts = {}
        self.tree = SlotTree("feed", self.counts)
        self.said = []

    def status(self, slot, status, parent=None, error=""):
        return self.take(self.tree.status(slot, parent, status, error))

    def whole(self, slot, parent):
        self.status(slot, "created", parent)
        self.content(slot)
        return self.status(slot, "processed", parent)

    def content(self, slot, signature=None):
        return self.take(self.tree.transaction(slot, signature or slot.to_bytes(8, "big")) or [])

    def take(self, events):
        self.said += events
        return events

    def of(self, *kinds):
        return [event for event in self.said if isinstance(event, kinds)]

    def orphans(self):
        return [event.orphaned_slot for event in self.of(ForkOrphaned)]

    def gaps(self):
        return [
            (event.from_slot, event.to_slot)
            if isinstance(event, GapOpened)
            else ("closed", event.to_slot, event.filled)
            for event in self.of(GapOpened, GapClosed)
        ]


def test_a_status_is_told_once():
    feed = Feed()
    feed.whole(10, 9)
    feed.status(10, "confirmed")
    feed.status(10, "confirmed", 9)
    feed.status(10, "finalized", 9)
    assert [(event.slot, event.status, event.parent) for event in feed.of(SlotUpdate)] == [
        (10, "created", 9),
        (10, "processed", 9),
        (10, "confirmed", 9),
        (10, "finalized", 9),
    ]
    assert feed.counts == {"slot_status_repeated": 1}
    assert feed.gaps() == feed.orphans() == []


def test_a_skipped_slot_is_no_gap():
    feed = Feed()
    feed.whole(10, 9)
    feed.whole(14, 10)
    assert feed.gaps() == []


def test_a_parent_that_was_not_told_is_a_gap():
    feed = Feed()
    feed.whole(10, 9)
    feed.whole(14, 12)
    feed.whole(15, 12)
    feed.whole(16, 15)
    assert feed.gaps() == [(11, 12), ("closed", 12, False)]


def test_the_slot_in_progress_when_connecting_is_partial():
    feed = Feed()
    feed.content(10)
    feed.content(10, b"other")
    assert feed.gaps() == [(10, None)]
    feed.status(10, "processed", 9)
    feed.whole(11, 10)
    feed.whole(12, 11)
    assert feed.gaps() == [(10, None), ("closed", 10, False)]


def test_late_content_of_a_partial_slot_is_a_gap_of_that_slot():
    feed = Feed()
    feed.status(11, "created", 10)
    feed.content(10)
    feed.content(10, b"other")
    feed.content(11)
    feed.whole(12, 11)
    assert feed.gaps() == [(10, 10), ("closed", 10, False)]


def test_a_partial_slot_is_never_filled():
    feed = Feed()
    feed.whole(11, 10)
    feed.content(12)
    feed.whole(13, 11)
    assert feed.gaps() == [(12, None), ("closed", 12, False)]


def test_a_minority_fork_is_orphaned_when_another_is_confirmed():
    feed = Feed()
    feed.whole(10, 9)
    feed.whole(11, 10)
    feed.whole(12, 10)
    feed.whole(13, 12)
    feed.status(13, "confirmed")
    assert feed.orphans() == [11]
    feed.status(13, "finalized", 12)
    feed.whole(14, 13)
    feed.status(14, "confirmed")
    assert feed.orphans() == [11]
    assert feed.tree.transaction(11, b"late") is None
    assert feed.counts["transaction_of_orphaned_slot"] == 1


def test_below_an_unknown_ancestor_nothing_is_judged():
    feed = Feed()
    feed.whole(10, 9)
    feed.whole(20, 15)
    feed.whole(21, 20)
    feed.status(21, "confirmed")
    assert feed.orphans() == []


def test_a_dead_slot_is_orphaned_and_lives_again_when_made_anew():
    feed = Feed()
    feed.status(10, "created", 9)
    feed.content(10, b"one")
    feed.status(10, "dead", error="bad block")
    assert feed.of(ForkOrphaned) == [ForkOrphaned(10, "the slot is dead: bad block")]
    feed.status(10, "created", 9)
    assert feed.tree.transaction(10, b"one") == []
    assert feed.orphans() == [10]
    assert [event.status for event in feed.of(SlotUpdate)] == ["created", "dead", "created"]


def test_a_second_bank_orphans_what_the_first_said():
    feed = Feed()
    feed.whole(10, 9)
    feed.status(10, "created", 9)
    assert feed.orphans() == [10]
    assert feed.tree.transaction(10, (10).to_bytes(8, "big")) == []
    feed.status(10, "processed", 9)
    assert [event.status for event in feed.of(SlotUpdate)] == ["created", "processed"] * 2


def test_a_replay_after_a_reconnect_fills_the_gap_without_repeating():
    feed = Feed()
    feed.whole(10, 9)
    feed.whole(11, 10)
    feed.status(12, "created", 11)
    feed.content(12, b"before")
    feed.take(feed.tree.disconnected("reset"))
    assert feed.gaps() == [(12, None)]
    feed.take(feed.tree.connected(11))
    told = len(feed.said)
    feed.whole(11, 10)
    assert feed.said[told:] == []
    feed.status(12, "created", 11)
    assert feed.tree.transaction(12, b"before") is None
    assert feed.tree.transaction(12, b"after") == []
    assert feed.said[told:] == []
    feed.status(12, "processed", 11)
    assert feed.said[-1] == GapClosed("feed", None, 12, filled=True)
    feed.whole(13, 12)
    assert len(feed.gaps()) == 2
    assert feed.orphans() == []
    assert feed.of(FeedConnected, FeedDisconnected) == [FeedDisconnected("feed", "reset"), FeedConnected("feed", 11)]


def test_a_gap_stays_open_until_its_replay_has_come_to_the_present():
    feed = Feed()
    feed.whole(10, 9)
    feed.take(feed.tree.disconnected("reset"))
    feed.take(feed.tree.connected(9, 14))
    for slot in range(9, 14):
        feed.whole(slot, slot - 1)
    assert feed.gaps() == [(11, None)]
    feed.status(14, "created", 13)
    assert feed.gaps() == [(11, None)]
    feed.status(14, "processed")
    assert feed.gaps() == [(11, None), ("closed", 14, True)]


def test_a_replay_that_is_cut_and_goes_on_fills_the_gap_and_one_with_a_hole_never():
    feed = Feed()
    feed.whole(10, 9)
    feed.take(feed.tree.disconnected("reset"))
    feed.take(feed.tree.connected(9, 14))
    feed.whole(11, 10)
    told = list(feed.said)
    for again in (feed, restored(told)):
        again.take(again.tree.disconnected("reset"))
        again.take(again.tree.connected(10, 16))
        for slot in range(10, 17):
            again.whole(slot, slot - 1)
        assert again.gaps()[-1] == ("closed", 16, True)
    holed = restored(told)
    holed.take(holed.tree.resumed("killed", was_up=True))
    holed.take(holed.tree.connected(13, 16))
    holed.whole(13, 12)
    twice = restored([*told, *holed.said])
    for again in (holed, twice):
        again.take(again.tree.disconnected("reset"))
        again.take(again.tree.connected(12, 16))
        for slot in (14, 15, 17):
            again.whole(slot, slot - 1 if slot < 17 else 15)
        assert again.gaps()[-1] == ("closed", 15, False)


def test_a_reconnect_without_replay_leaves_the_gap_unfilled():
    feed = Feed()
    feed.whole(10, 9)
    feed.status(11, "created", 10)
    feed.take(feed.tree.disconnected("lagged"))
    feed.take(feed.tree.connected(None))
    feed.content(14)
    feed.whole(15, 14)
    feed.whole(16, 15)
    assert feed.gaps() == [(11, None), ("closed", 14, False)]


def test_the_hole_between_replay_and_live_is_told():
    feed = Feed()
    feed.whole(10, 9)
    feed.take(feed.tree.disconnected("lagged"))
    feed.take(feed.tree.connected(10))
    feed.whole(10, 9)
    feed.whole(11, 10)
    feed.content(12)
    feed.whole(13, 12)
    assert feed.gaps() == [(11, None), ("closed", 10, True), (12, None), ("closed", 12, False)]


def test_another_block_in_the_slots_place_orphans_it():
    feed = Feed()
    feed.whole(10, 9)
    meta = LatestBlockhash("one", slot=10, parent_slot=9)
    assert feed.tree.meta(meta) == [meta]
    assert feed.tree.meta(meta) == []
    other = LatestBlockhash("two", slot=10, parent_slot=9)
    assert feed.tree.meta(other) == [ForkOrphaned(10, "another block took the slot's place"), other]


def test_a_feed_that_ends_inside_a_slot_says_so():
    feed = Feed()
    feed.whole(10, 9)
    assert feed.tree.finished() == []
    feed.status(11, "created", 10)
    assert [event.from_slot for event in feed.tree.finished()] == [11]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["created", "processed", "confirmed", "finalized", "dead", "content", "cut"]),
            st.integers(0, 12) | st.integers(0, 2**64 - 1),
            st.none() | st.integers(0, 12),
        ),
        max_size=60,
    )
)
@settings(derandomize=True, deadline=None)
def test_any_order_keeps_the_laws(moves):
    feed = Feed()
    opened = 0
    for kind, slot, parent in moves:
        if kind == "content":
            said = feed.content(slot)
        elif kind == "cut":
            said = feed.take(feed.tree.disconnected("cut")) + feed.take(feed.tree.connected(None))
        else:
            said = feed.status(slot, kind, parent)
        for event in said:
            opened += isinstance(event, GapOpened)
            opened -= isinstance(event, GapClosed)
            assert opened in (0, 1)
    assert (feed.tree.gap is None) == (opened == 0)


def test_the_state_is_bounded_in_slots():
    feed = Feed()
    for slot in range(5 * KEPT):
        feed.whole(slot + 1, slot)
        feed.status(slot + 1, "confirmed")
    assert len(feed.tree.nodes) <= KEPT
    assert feed.gaps() == feed.orphans() == []


def test_the_captured_lifecycle(lifecycle):
    """49 whole slots after a partial first one; no fork; each of the statuses that were sent once."""
    normaliser = Normaliser()
    said = [event for frame in lifecycle for _, event in normaliser.feed(frame)]
    closing = [event for _, event in normaliser.finish()]
    assert [event for event in said if isinstance(event, GapOpened | GapClosed)] == [
        GapOpened("geyser", 398202772, None, "the beginning of the slot was not told"),
        GapClosed("geyser", None, 398202772, filled=False),
    ]
    assert closing == [GapOpened("geyser", 398202821, None, "the feed ended inside a slot")]
    assert not any(isinstance(event, ForkOrphaned) for event in said)
    statuses = [(event.slot, event.status) for event in said if isinstance(event, SlotUpdate)]
    assert len(statuses) == len(set(statuses))
    metas = [event for event in said if isinstance(event, LatestBlockhash)]
    assert len(metas) == 50
    assert all(meta.parent_slot < meta.slot and meta.block_height and meta.block_time for meta in metas)
    assert normaliser.counts == {"update_entry": 39_840, "slot_status_4": 50, "slot_status_3": 49, "update_ping": 1}


def test_the_lifecycle_twice_says_nothing_anew(lifecycle):
    """A replay of all of it on a second connection: no status, no block meta is told again."""
    normaliser = Normaliser()
    for frame in lifecycle:
        normaliser.feed(frame)
    normaliser.disconnected(1, "cut")
    normaliser.connected(2, 398202772, 398202820)
    again = [event for frame in lifecycle for _, event in normaliser.feed(frame)]
    assert again == [GapClosed("geyser", None, 398202820, filled=True)]


def restored(told):
    """A fresh tree that folded what a log tells."""
    feed = Feed()
    feed.tree.restore(told)
    return feed


def test_a_replay_from_the_first_slot_fills_a_gap_that_began_there():
    feed = Feed()
    feed.status(10, "created", 9)
    feed.content(10)
    again = restored(feed.said)
    again.take(again.tree.resumed("killed", was_up=True))
    assert again.gaps() == [(10, None)]
    again.take(again.tree.connected(10))
    again.whole(10, 9)
    again.whole(11, 10)
    assert again.gaps() == [(10, None), ("closed", 10, True)]


def test_a_log_torn_between_a_loss_and_its_gap_opens_it():
    feed = Feed()
    feed.whole(10, 9)
    feed.status(11, "created", 10)
    feed.take(feed.tree.disconnected("reset"))
    assert isinstance(feed.said[-1], GapOpened)
    again = restored(feed.said[:-1])
    assert again.take(again.tree.resumed("killed", was_up=False)) == [GapOpened("feed", 11, None, "killed")]
    whole = restored(feed.said)
    assert whole.take(whole.tree.resumed("killed", was_up=False)) == []


def test_a_restored_bank_that_was_made_anew_is_neither_orphaned_nor_whole():
    feed = Feed()
    feed.whole(10, 9)
    feed.status(10, "created", 9)
    again = restored(feed.said)
    assert again.tree.transaction(10, b"of the new bank") is not None
    assert again.take(again.tree.disconnected("killed"))[-1].from_slot == 10


def test_a_bank_without_a_parent_link_proves_nothing():
    feed = Feed()
    feed.whole(10, 9)
    feed.status(14, "created")
    assert feed.gaps() == [(11, 13), ("closed", 13, False)]
