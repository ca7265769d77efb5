"""Fixtures of the ingest tests: the shared captures, and small made-up transactions."""

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from ironcrab.dex import base58
from ironcrab.ingest.frames import frames
from ironcrab.ingest.proto import geyser_pb2 as wire

REASON = "skipped: shared inputs are not beside the checkout"


def key(number: int) -> bytes:
    """A made-up key: its number, padded; never one of a program."""
    return number.to_bytes(32, "big")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the shared inputs; the test is skipped where it is absent."""
    folder = Path(os.environ.get("IRONCRAB_SHARED", Path(__file__).parents[2] / ".." / "shared")).resolve()
    if not folder.is_dir():
        pytest.skip(REASON)
    return folder


@pytest.fixture(scope="session")
def plain(shared: Path) -> Callable[[str], bytes]:
    """`plain(path below data)`: the decompressed bytes of one file."""

    def read(name: str) -> bytes:
        path = shared / "data" / name
        if path.suffix == ".gz":
            return gzip.decompress(path.read_bytes())
        with path.open("rb") as raw:
            return zstandard.ZstdDecompressor().stream_reader(raw).read()

    return read


@pytest.fixture(scope="session")
def block(plain) -> list[bytes]:
    """Frames of the mainnet block 332254908 without votes."""
    return list(frames([plain("geyser/block_332254908_nonvote.subscribe_updates.bin.zst")], {}))


@pytest.fixture(scope="session")
def singles(plain) -> list[bytes]:
    """Frames of the 61 single transactions."""
    return list(frames([plain("geyser/single_transactions.subscribe_updates.bin.zst")], {}))


@pytest.fixture(scope="session")
def lifecycle(plain) -> list[bytes]:
    """Frames of the captured slot lifecycle."""
    return list(frames([plain("geyser/slot_lifecycle_2026-02-05.subscribe_updates.bin.zst")], {}))


@pytest.fixture
def made() -> Callable[..., wire.SubscribeUpdate]:
    """`made(outer, inner, logs)`: a successful transaction; a call is (program, accounts, data[, height])."""

    def build(outer, inner=None, logs=(), *, slot=7, index=3, keys=12, signature=b"\1" * 64) -> wire.SubscribeUpdate:
        update = wire.SubscribeUpdate()
        update.transaction.slot = slot
        info = update.transaction.transaction
        info.signature = signature
        info.index = index
        message = info.transaction.message
        message.header.num_required_signatures = 1
        message.account_keys.extend(key(number) for number in range(1, keys + 1))
        for program, accounts, data in outer:
            message.instructions.add(program_id_index=program, accounts=bytes(accounts), data=data)
        for place, calls in (inner or {}).items():
            group = info.meta.inner_instructions.add(index=place)
            for program, accounts, data, height in calls:
                added = group.instructions.add(program_id_index=program, accounts=bytes(accounts), data=data)
                if height:
                    added.stack_height = height
        info.meta.log_messages.extend(logs)
        info.meta.pre_balances.extend([5] * keys)
        info.meta.post_balances.extend([4] * keys)
        return update

    return build


def names(keys: int = 12) -> Iterator[str]:
    """The made-up keys as texts, in account order."""
    return (base58.encode(key(number)) for number in range(1, keys + 1))
