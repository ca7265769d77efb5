"""feed -> record -> sealed, event for event equal to the import of the same frames, whatever goes wrong between."""

import asyncio
import shutil

import pytest

from ironcrab.log.recording import Recording
from ironcrab.shell.endpoint import Endpoint
from ironcrab.shell.geyser_chain import Chain
from ironcrab.shell.geyser_server import GeyserServer
from tests.shell.playing import demo_updates, events_of, imported, last_event, leg, record_and_compare, recorded


@pytest.mark.shared
def test_block(block_frames, tmp_path):
    record_and_compare(block_frames, (), tmp_path)


@pytest.mark.parametrize(
    "faults",
    [
        (),
        ("cut@300:lose=20",),
        ("lag@411:lose=50",),
        ("end@350:lose=3",),
        ("refuse@500:times=3,lose=10",),
        ("silence@640:lose=10",),
        ("replay@700:slots=3",),
        ("fork@300",),
        ("dead@300",),
        ("recreate@450",),
        ("swap@320",),
        ("cut@280:lose=40", "fork@380", "dead@600", "replay@700", "swap@400", "lag@800:lose=9", "recreate@500"),
    ],
    ids=lambda faults: "+".join(faults) or "none",
)
def test_demo_under_every_fault(faults, tmp_path):
    record_and_compare(demo_updates(), faults, tmp_path)


def from_slot(slot, events):
    """Events of a slot and later ones; without the accounts that a pool's swaps name, told with the first one met."""
    return [event for event in events if type(event).__name__ != "DexPoolAccounts" and event.slot >= slot]


def test_first_slot_partial(tmp_path):
    """Who comes too late is told the slot in progress from its beginning all the same."""
    updates = demo_updates()
    slot = updates[0].slot + 6
    middle = next(place for place, update in enumerate(updates) if update.slot == slot) + 12
    faults = (f"partial@0:lose={middle}",)
    told, _ = imported(updates, (), tmp_path)
    start = next(place for place, event in enumerate(told) if getattr(event, "slot", None) == slot)
    folder = tmp_path / "recorded"
    until = last_event(folder, len(told) - start)
    summary, _ = asyncio.run(recorded(updates, folder, faults=faults, until=until))
    assert from_slot(slot, events_of(folder)) == from_slot(slot, told[start:])
    assert summary.refused["slot_fetched"] == 1
    assert summary.gaps == 1  # the one that the end of the recording opens


@pytest.mark.parametrize("position", [700, 800, 900])
def test_a_replay_tells_the_last_write_of_each_account(position, tmp_path):
    """Of a slot that was lost in part a replay tells the last write of each account, and everything else whole."""
    from ironcrab.domain.market import AccountWritten
    from ironcrab.shell.geyser_demo import demo

    updates = list(demo(5, 400, 8))
    faults = (f"cut@{position}:lose=60",)
    told, _ = imported(updates, (), tmp_path)
    folder = tmp_path / "recorded"

    def others(events):
        return [event for event in events if not isinstance(event, AccountWritten)]

    def until():
        return (folder / "manifest.json").exists() and len(others(events_of(folder))) >= len(others(told))

    asyncio.run(recorded(updates, folder, faults=faults, until=until))
    found = events_of(folder)
    assert others(found) == others(told)

    def last_writes(events):
        return {(e.slot, e.pubkey): e for e in events if isinstance(e, AccountWritten)}

    assert last_writes(found) == last_writes(told)
    writes = [event for event in told if isinstance(event, AccountWritten)]
    assert all(event in writes for event in found if isinstance(event, AccountWritten))


def test_without_replay_a_gap_says_so(tmp_path):
    """An endpoint that keeps nothing: what was lost is lost, and the log says from where to where."""
    from ironcrab.domain.control import GapClosed, GapOpened

    updates = demo_updates()
    told, _ = imported(updates, (), tmp_path)
    folder = tmp_path / "recorded"

    def until():
        return (folder / "manifest.json").exists() and events_of(folder)[-1:] == told[-1:]

    asyncio.run(recorded(updates, folder, faults=("cut@400:lose=150",), until=until, ring=0))
    kinds = ("Trade", "AccountWritten", "LatestBlockhash")
    told, found = ([e for e in events if type(e).__name__ in kinds] for events in (told, events_of(folder)))
    assert all(event in told for event in found)
    assert len(found) < len(told)
    gaps = [record.event for record in Recording.open(folder).records((GapOpened, GapClosed))]
    lost_slots = {event.slot for event in told if event not in found}
    opened, closed = gaps[0], gaps[1]
    assert opened.from_slot <= min(lost_slots)
    assert max(lost_slots) <= closed.to_slot
    assert not closed.filled


def test_a_gap_is_over_when_its_replay_has_come_to_the_present(tmp_path):
    """What a replay tells first is long over: until it has told the endpoint's newest slot the gap stays open."""
    from ironcrab.domain.control import GapClosed

    updates = demo_updates()
    told, _ = imported(updates, (), tmp_path)
    folder = tmp_path / "recorded"
    asyncio.run(recorded(updates, folder, faults=("cut@400:lose=150",), until=last_event(folder, len(told))))
    closed = next(Recording.open(folder).records((GapClosed,))).event
    assert closed.filled
    assert closed.to_slot >= updates[550].slot - 1


def test_raw_frames_import_to_the_same_events(tmp_path):
    """Frames kept beside a recording of many cuts give the same events again."""
    from ironcrab.mode.importing import import_frames
    from ironcrab.shell.files import capture_files

    updates = demo_updates()
    folder = tmp_path / "recorded"
    told, _ = imported(updates, (), tmp_path)
    asyncio.run(
        recorded(updates, folder, faults=("cut@150:every=97,lose=5",), until=last_event(folder, len(told)), raw=True)
    )
    joined = tmp_path / "joined.frames"
    joined.write_bytes(b"".join(path.read_bytes() for path in capture_files(folder)))
    import_frames(joined, tmp_path / "again")
    assert events_of(tmp_path / "again") == told == events_of(folder)


@pytest.mark.parametrize("position", [150, 290, 431, 577])
def test_resume_after_a_crash(position, tmp_path):
    """A log that is resumed tells nothing twice and lacks nothing, wherever it was torn."""
    updates = demo_updates()
    told, _ = imported(updates, (), tmp_path)
    folder, torn = tmp_path / "recorded", tmp_path / "torn"

    async def legs():
        chain = Chain(iter(updates), ahead=40)
        async with GeyserServer(chain) as server:
            endpoint = Endpoint(f"127.0.0.1:{server.port}", tls=False)
            async with leg(folder, endpoint, last_event(folder, position)):
                shutil.copytree(folder, torn)
            hot = max((torn / "segments").glob("*.jsonl"))
            hot.write_bytes(hot.read_bytes()[: -(1 + position % 97)])
            async with leg(torn, endpoint, last_event(torn, len(told))):
                pass
            async with leg(torn, endpoint, chain.finished.is_set):
                pass

    asyncio.run(legs())
    assert events_of(torn) == told
    names = [type(record.event).__name__ for record in Recording.open(torn).records()]
    assert names.count("RunStarted") in (2, 3)  # the last leg may end before anything comes
    assert names.count("RunEnded") == names.count("RunStarted") - 1
    assert names.count("LogRecovered") == 1
