"""Quotes for people: account files of RPC shape, or the accounts that a recording holds at a seq."""

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ironcrab.dex import ABSENT, Account, Clock, Quote, Refusal, venue_of
from ironcrab.dex.face import Exact
from ironcrab.domain.fault import InputFault
from ironcrab.log.recording import Recording
from ironcrab.loop import Loop, Now
from ironcrab.market.accounts import CLOCK_SYSVAR, SLOTS_PER_EPOCH
from ironcrab.market.pools import LivePoolCache
from ironcrab.mode.states import restore_states, start_of
from ironcrab.mode.verify import never_append


def accounts_of(path: Path) -> tuple[dict[str, Account], int | None]:
    """Accounts by address, and the context slot where the file tells it.

    Shapes: a getMultipleAccounts answer beside its keys (`{"keys": [...], "result": {...}}`, or the request's
    `params`), entries that carry their own `pubkey`, or an object from address to account; null is an account
    known not to exist.

    Raises:
        InputFault: no file, no JSON, or another shape.
    """
    try:
        tree = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise InputFault(f"cannot read {path}: {error.strerror}; give a JSON file of accounts") from error
    except msgspec.DecodeError as error:
        raise InputFault(f"{path} is no JSON: {error}") from error
    slot = _dig(tree, "result", "context", "slot") or _dig(tree, "context", "slot")
    accounts = {}
    for key, entry in _entries(tree, path):
        accounts[key] = ABSENT if entry is None else _account(entry, f"{path}, account {key}")
    return accounts, slot if isinstance(slot, int) else None


def _dig(tree: Any, *keys: str) -> Any:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _entries(tree: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """(address, account or None) pairs of any of the shapes."""
    if isinstance(tree, list):
        values: Any = tree
    else:
        values = next(
            (found for found in (_dig(tree, "result", "value"), _dig(tree, "value"), _dig(tree, "result")) if found),
            None,
        )
    keys = next((found for found in (_dig(tree, "keys"), _dig(tree, "pubkeys"), _params(tree)) if found), None)
    if isinstance(values, list) and keys is not None and len(keys) == len(values):
        yield from zip(keys, values, strict=True)
    elif isinstance(values, list) and all(isinstance(entry, dict) and "pubkey" in entry for entry in values):
        yield from ((entry["pubkey"], entry.get("account", entry)) for entry in values)
    elif isinstance(tree, dict) and tree and all(isinstance(entry, dict | None) for entry in tree.values()):
        yield from (tree if values is None else values if isinstance(values, dict) else tree).items()
    else:
        raise InputFault(
            f"{path}: addresses are missing; give getMultipleAccounts' answer with its keys beside it "
            '({"keys": [...], "result": {"value": [...]}}), or an object from address to account'
        )


def _params(tree: Any) -> list[str] | None:
    params = _dig(tree, "params")
    return params[0] if isinstance(params, list) and params and isinstance(params[0], list) else None


def _account(entry: Any, where: str) -> Account:
    """One account of RPC shape: data as base64 text or [text, encoding]."""
    data = _dig(entry, "data")
    text = data[0] if isinstance(data, list) and data else data
    encoding = data[1] if isinstance(data, list) and len(data) > 1 else "base64"
    owner, lamports = _dig(entry, "owner"), _dig(entry, "lamports")
    if not isinstance(text, str) or not isinstance(owner, str) or not isinstance(lamports, int):
        raise InputFault(f"{where}: it needs owner (text), lamports (integer) and data ([base64, encoding])")
    try:
        if encoding == "base64+zstd":
            import zstandard  # noqa: PLC0415 - only this encoding pays for it

            raw = zstandard.ZstdDecompressor().decompress(base64.b64decode(text, validate=True), 1 << 24)
        else:
            raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputFault(f"{where}: data is no {encoding}: {error}") from error
    return Account(owner, lamports, raw)


def clock_of(accounts: dict[str, Account], slot: int | None, unix_timestamp: int | None, epoch: int | None) -> Clock:
    """The clock of a quote: what was given, else the clock sysvar among the accounts, else derived from the slot."""
    sysvar = accounts.get(CLOCK_SYSVAR)
    if sysvar is not None and len(sysvar.data) >= 40:
        slot = slot if slot is not None else int.from_bytes(sysvar.data[0:8], "little")
        epoch = epoch if epoch is not None else int.from_bytes(sysvar.data[16:24], "little")
        if unix_timestamp is None:
            unix_timestamp = int.from_bytes(sysvar.data[32:40], "little", signed=True)
    if slot is None:
        raise InputFault("the quote's slot is unknown; give --slot (and --time, --epoch where fees depend on them)")
    return Clock(slot, unix_timestamp or 0, slot // SLOTS_PER_EPOCH if epoch is None else epoch)


def pools_at(recording: Recording, seq: int) -> LivePoolCache:
    """The pool cache as it stood once record `seq` was folded: what deciders could know then.

    Raises:
        InputFault: the recording has no record `seq`.
    """
    if not recording.first_seq <= seq < recording.next_seq:
        raise InputFault(f"{recording.path} holds seqs {recording.first_seq}..{recording.next_seq - 1}, not {seq}")
    now = Now()
    pools = LivePoolCache(now)
    opening = start_of(recording)
    if opening is not None:
        restore_states((pools,), now, opening[0].states)
    loop = Loop((pools,), never_append, now)
    for record in recording.records(types=pools.wants, seq_to=seq + 1):
        for _ in loop.fold(record):
            pass
    now.time = max(now.time, recording.record(seq).time)
    return pools


def quote_at(
    recording: Recording,
    seq: int,
    pool: str,
    *,
    mint_in: str,
    amount: int,
    exact: Exact,
    limit: int | None = None,
    generation: str | None = None,
    clock: tuple[int | None, int | None, int | None] = (None, None, None),
) -> Quote | Refusal:
    """The exact quote that the pool cache gave as of record `seq`.

    `clock` (slot, unix seconds, epoch) and `generation` win over the recording's where they are given.
    """
    accounts = pools_at(recording, seq).accounts
    account = accounts.get(pool)
    venue = None if account is None else venue_of(account.owner)
    if account is None:
        return Refusal(None, f"pool account {pool} is unknown at record {seq}", (pool,))
    if venue is None:
        return Refusal(None, f"no venue is known for the owner {account.owner} of {pool}")
    if generation is not None:
        if generation not in (name for name, _ in venue.generations):
            return Refusal(None, f"venue {venue.id} has no generation {generation!r}")
        accounts.opened((f"{venue.id}={generation}",))
    told = accounts.clock()
    slot, unix_timestamp, epoch = (
        held if given is None else given
        for given, held in zip(clock, (told.slot, told.unix_timestamp, told.epoch), strict=True)
    )
    found = accounts.quote(pool, mint_in, amount, exact, clock=Clock(slot, unix_timestamp, epoch), limit=limit)
    assert found is not None, "the pool's account is known and a venue's"
    return found.found
