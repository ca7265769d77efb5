"""A feed on loopback, a recorder that reads it, and what both must agree on."""

import asyncio
import os
from contextlib import asynccontextmanager
from pathlib import Path

from ironcrab.domain.control import (
    FeedConnected,
    FeedDisconnected,
    GapClosed,
    GapOpened,
    InputCounted,
    LogRecovered,
    RunEnded,
    RunStarted,
)
from ironcrab.log.recording import Recording
from ironcrab.mode.importing import import_frames
from ironcrab.mode.record import RecordSettings, record_until, wanted_of
from ironcrab.shell import geyser_faults
from ironcrab.shell.endpoint import Endpoint, request_of
from ironcrab.shell.geyser_chain import Chain
from ironcrab.shell.geyser_filters import Filters
from ironcrab.shell.geyser_server import GeyserServer

SHARED = Path(os.environ.get("IRONCRAB_SHARED", Path(__file__).parents[2] / ".." / "shared")).resolve()
ABOUT_THE_FEED = (
    RunStarted, RunEnded, InputCounted, LogRecovered, FeedConnected, FeedDisconnected, GapOpened, GapClosed,
)  # fmt: skip


def events_of(path):
    """The events of a recording that are about the chain, not about the feed, in order."""
    return [record.event for record in Recording.open(path).records() if not isinstance(record.event, ABOUT_THE_FEED)]


def imported(updates, faults, folder, wanted=None):
    """Events of importing the same frames: as the faults of the chain make them, and as the subscription lets pass."""
    filters = Filters(request_of(wanted or wanted_of(())))
    script = [geyser_faults.read(text) for text in faults]
    bodies = [body for update in geyser_faults.told(iter(updates), script) for body in filters.said(update)]
    capture = folder / "capture.frames"
    capture.write_bytes(b"".join(len(body).to_bytes(4, "big") + body for body in bodies))
    import_frames(capture, folder / "imported")
    return events_of(folder / "imported"), len(bodies)


async def recorded(updates, folder, *, faults=(), until, seconds=15.0, ring=150, **settings):
    """Serve the updates, record them until the chain is at its end and `until(status)` holds; the summary."""
    chain = Chain(iter(updates), script=[geyser_faults.read(text) for text in faults], ring=ring, ahead=40)
    stop = asyncio.Event()
    settings = {"silence_s": 1.0, "hot": False, "most_tracked": 0, **settings}
    async with GeyserServer(chain, ping_s=0.3) as server:
        endpoint = Endpoint(f"127.0.0.1:{server.port}", tls=False)
        recording = asyncio.create_task(record_until(folder, RecordSettings(endpoint, **settings), stop))

        async def settle():
            await chain.finished.wait()
            while not until():  # noqa: ASYNC110 - the recording is a folder, it has no event
                await asyncio.sleep(0.05)

        done = asyncio.create_task(settle())
        await asyncio.wait((recording, done), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        is_done = done.done()
        done.cancel()
        stop.set()
        summary = await recording
        assert is_done, f"not at the end after {seconds} s: {summary}, {chain.position} updates played"
        return summary, server


@asynccontextmanager
async def leg(folder, endpoint, until, seconds=15.0):
    """One session of a recording until `until()` holds; inside it, the recorder is still at work."""
    stop = asyncio.Event()
    recording = asyncio.create_task(record_until(folder, RecordSettings(endpoint, hot=True, most_tracked=0), stop))
    async with asyncio.timeout(seconds):
        while not until():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
    yield
    stop.set()
    await recording


def last_event(folder, wanted):
    """Whether a hot recording holds as many events about the chain as are wanted."""
    return lambda: (folder / "manifest.json").exists() and len(events_of(folder)) >= wanted


def record_and_compare(updates, faults, tmp_path, **settings):
    told, _ = imported(updates, faults, tmp_path)
    folder = tmp_path / "recorded"
    summary, server = asyncio.run(
        recorded(updates, folder, faults=faults, until=last_event(folder, len(told)), **settings)
    )
    assert events_of(folder) == told
    recording = Recording.open(folder)
    assert all(part.entry is not None and part.entry.files for part in recording.parts)
    assert recording.verify_bytes(deep=True).faults == ()
    return summary, server


def demo_updates(seed=3, rate=150, slots=18):
    """A short demo whose accounts are each written at most once a slot, so that a replay loses no write."""
    from ironcrab.shell.geyser_demo import demo

    seen = set()
    kept = []
    for update in demo(seed, rate, slots):
        if update.kind == "account":
            place = update.slot, update.message.account.account.pubkey
            if place in seen:
                continue
            seen.add(place)
        kept.append(update)
    return kept
