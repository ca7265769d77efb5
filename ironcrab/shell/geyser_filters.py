"""The filters of a subscription with the semantics of the Yellowstone plugin (facts: geyser section 2).

Between the filters of a request: or. Inside one: and, its lists or. Each update names all filters it matched; of a
block each filter is told its own. What is not served is refused in words when the request is made, never ignored:
cuckoo filters.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from msgspec import Struct

from ironcrab.dex import base58
from ironcrab.dex.address import TOKEN_PROGRAMS, is_key
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell.geyser_blocks import block_of, keys_of, sliced

_LONGEST_NAME = 128
_MOST_CHECKS = 4
_LONGEST_COMPARED = 128
_INTERSLOT = (wire.SLOT_FIRST_SHRED_RECEIVED, wire.SLOT_COMPLETED, wire.SLOT_CREATED_BANK, wire.SLOT_DEAD)
_TOKEN_OWNERS = tuple(base58.decode(program) for program in TOKEN_PROGRAMS)

Check = Callable[[Any], bool]
"""Whether one part of a filter lets an update's content pass."""


class Update(Struct, frozen=True):
    """One update of a feed as a server keeps it.

    Attributes:
        kind: name of what it carries (`account`, `slot`, `transaction`, ...).
        slot: the slot it is about.
        created: the server's time of it, nanoseconds since 1970; 0: not told.
        message: decoded, without filter names.
        body: its bytes, without filter names.
    """

    kind: str
    slot: int
    created: int
    message: Any
    body: bytes


def update_of(frame: bytes) -> Update | None:
    """The update that a frame is; None where it cannot be decoded or says nothing about a slot (ping, pong)."""
    try:
        message = wire.SubscribeUpdate.FromString(frame)
    except DecodeError:
        return None
    kind = message.WhichOneof("update_oneof")
    if kind is None or kind in {"ping", "pong"}:
        return None
    message.ClearField("filters")
    created = message.created_at.seconds * 1_000_000_000 + message.created_at.nanos
    return Update(kind, getattr(message, kind).slot, created, message, message.SerializeToString())


class Refused(Exception):  # noqa: N818 - it is an answer to the client, not an error of ours
    """A request that cannot be served; its text is what the client is told with INVALID_ARGUMENT."""


class Filters:
    """One request, compiled.

    Attributes:
        commitment: level of the stream.
        from_slot: first slot to replay; None: live only.

    Args:
        request: as it came.

    Raises:
        Refused: a filter is malformed or not served.
    """

    def __init__(self, request: wire.SubscribeRequest) -> None:
        if request.commitment not in wire.CommitmentLevel.values():
            raise Refused(f"failed to create filter: no commitment {request.commitment}")
        self.commitment = request.commitment
        self.from_slot = request.from_slot if request.HasField("from_slot") else None
        self.accounts = _named(request.accounts, _account_check)
        self.slots = _named(request.slots, lambda told: _slot_check(told, request.commitment))
        self.transactions = _named(request.transactions, _transaction_check)
        self.statuses = _named(request.transactions_status, _transaction_check)
        self.metas = list(_names(request.blocks_meta))
        self.entries = list(_names(request.entry))
        self.blocks = [
            (name, request.blocks[name], _block_keys(request.blocks[name])) for name in _names(request.blocks)
        ]
        self.slices = _slices(request.accounts_data_slice)

    def said(self, update: Update) -> list[bytes]:
        """The messages this subscription is told of an update: [] nothing; each names the filters that matched."""
        kind = update.kind
        if kind == "transaction":
            return self._of_transaction(update)
        if kind == "account":
            info = update.message.account.account
            names = [name for name, check in self.accounts if check(info)]
            return [_naming(names) + self._sliced(update)] if names else []
        if kind == "slot":
            names = [name for name, check in self.slots if check(update.message.slot)]
        else:
            names = self.metas if kind == "block_meta" else self.entries if kind == "entry" else []
        return [_naming(names) + update.body] if names else []

    def blocks_of(self, updates: Iterable[Update]) -> list[bytes]:
        """The block that each block filter is told, of all updates of its slot."""
        parts = [update.message for update in updates] if self.blocks else []
        told = [(name, block_of(one, keys, parts, self.slices)) for name, one, keys in self.blocks]
        return [_naming([name]) + block.SerializeToString() for name, block in told if block is not None]

    def _of_transaction(self, update: Update) -> list[bytes]:
        info = update.message.transaction.transaction
        said = []
        names = [name for name, check in self.transactions if check(info)]
        if names:
            said.append(_naming(names) + update.body)
        names = [name for name, check in self.statuses if check(info)]
        if names:
            said.append(_naming(names) + _status_of(update.message).SerializeToString())
        return said

    def _sliced(self, update: Update) -> bytes:
        if not self.slices:
            return update.body
        told = wire.SubscribeUpdate()
        told.CopyFrom(update.message)
        told.account.account.data = sliced(told.account.account.data, self.slices)
        return bytes(told.SerializeToString())


def _naming(names: Sequence[str]) -> bytes:
    """The `filters` field on the wire; put before an update's bytes, it is read as one message with them."""
    return bytes(wire.SubscribeUpdate(filters=names).SerializeToString())


def _names(filters: Iterable[str]) -> list[str]:
    found = sorted(filters)
    for name in found:
        if len(name.encode()) > _LONGEST_NAME:
            raise Refused(f"failed to create filter: filter name {name[:16]!r}... is longer than {_LONGEST_NAME} bytes")
    return found


def _named(filters: Any, compiled: Callable[[Any], Check]) -> list[tuple[str, Check]]:
    return [(name, compiled(filters[name])) for name in _names(filters)]


def _keys(texts: Iterable[str]) -> frozenset[bytes]:
    found = []
    for text in texts:
        if not is_key(text):
            raise Refused(f"failed to create filter: invalid pubkey {text!r}")
        found.append(base58.decode(text))
    return frozenset(found)


def _account_check(told: wire.SubscribeRequestFilterAccounts) -> Check:
    if told.HasField("cuckoo_accounts_filter"):
        raise Refused("failed to create filter: cuckoo filters are not served; list the keys")
    if len(told.filters) > _MOST_CHECKS:
        raise Refused(f"failed to create filter: Too many filters provided; max {_MOST_CHECKS}")
    if sum(part.WhichOneof("filter") == "datasize" for part in told.filters) > 1:
        raise Refused("failed to create filter: datasize is used more than once")
    keys, owners = _keys(told.account), _keys(told.owner)
    checks = [_state_check(part) for part in told.filters]
    signed = told.nonempty_txn_signature if told.HasField("nonempty_txn_signature") else None

    def check(info: wire.SubscribeUpdateAccountInfo) -> bool:
        return (
            (not keys or info.pubkey in keys)
            and (not owners or info.owner in owners)
            and (signed is None or signed == bool(info.txn_signature))
            and all(part(info) for part in checks)
        )

    return check


def _state_check(told: wire.SubscribeRequestFilterAccountsFilter) -> Check:
    kind = told.WhichOneof("filter")
    if kind == "memcmp":
        start, wanted = told.memcmp.offset, _compared(told.memcmp)
        return lambda info: bool(info.data[start : start + len(wanted)] == wanted)
    if kind == "datasize":
        size = told.datasize
        return lambda info: len(info.data) == size
    if kind == "lamports":
        return _lamports_check(told.lamports)
    if kind == "token_account_state":
        if not told.token_account_state:
            raise Refused("failed to create filter: token_account_state only allowed to be true")
        return _is_token_account
    raise Refused("failed to create filter: Filter should be defined")


def _compared(told: wire.SubscribeRequestFilterAccountsFilterMemcmp) -> bytes:
    kind = told.WhichOneof("data")
    if kind == "bytes":
        data = told.bytes
    elif kind == "base58":
        try:
            data = base58.decode(told.base58)
        except ValueError as error:
            raise Refused("failed to create filter: memcmp base58 is malformed") from error
    elif kind == "base64":
        try:
            data = base64.b64decode(told.base64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Refused("failed to create filter: memcmp base64 is malformed") from error
    else:
        raise Refused("failed to create filter: memcmp data should be defined")
    if len(data) > _LONGEST_COMPARED:
        raise Refused(f"failed to create filter: memcmp data is longer than {_LONGEST_COMPARED} bytes")
    return data


def _lamports_check(told: wire.SubscribeRequestFilterAccountsFilterLamports) -> Check:
    kind = told.WhichOneof("cmp")
    if kind is None:
        raise Refused("failed to create filter: Lamports filter should be defined")
    value: int = getattr(told, kind)
    checks: dict[str, Check] = {
        "eq": lambda info: info.lamports == value,
        "ne": lambda info: info.lamports != value,
        "lt": lambda info: info.lamports < value,
        "gt": lambda info: info.lamports > value,
    }
    return checks[kind]


def _is_token_account(info: wire.SubscribeUpdateAccountInfo) -> bool:
    """A token account of either program: 165 bytes, longer ones with the account type 2 behind them; state not 0."""
    data = info.data
    return (
        info.owner in _TOKEN_OWNERS
        and len(data) >= 165
        and data[108] in (1, 2)
        and (len(data) == 165 or (len(data) > 165 and data[165] == 2))
    )


def _slot_check(told: wire.SubscribeRequestFilterSlots, commitment: int) -> Check:
    between, only = told.interslot_updates, told.filter_by_commitment

    def check(slot: wire.SubscribeUpdateSlot) -> bool:
        if slot.status in _INTERSLOT:
            return between
        return not only or slot.status == commitment

    return check


def _transaction_check(told: wire.SubscribeRequestFilterTransactions) -> Check:
    if told.HasField("cuckoo_account_include"):
        raise Refused("failed to create filter: cuckoo filters are not served; list the keys")
    owners = told.token_accounts if told.HasField("token_accounts") else None
    vote = told.vote if told.HasField("vote") else None
    failed = told.failed if told.HasField("failed") else None
    signature = _signature(told.signature) if told.HasField("signature") else None
    some, none, every = _keys(told.account_include), _keys(told.account_exclude), _keys(told.account_required)

    def check(info: wire.SubscribeUpdateTransactionInfo) -> bool:
        if vote is not None and info.is_vote != vote:
            return False
        if failed is not None and info.meta.HasField("err") != failed:
            return False
        if signature is not None and info.signature != signature:
            return False
        if not (some or none or every):
            return True
        keys = keys_of(info)
        if owners is not None:
            keys |= _owners(info.meta, only_changed=owners == wire.BALANCE_CHANGED)
        return (not some or bool(some & keys)) and not none & keys and every <= keys

    return check


def _owners(meta: wire.TransactionStatusMeta, *, only_changed: bool) -> set[bytes]:
    """Owners of the token accounts that a transaction tells balances of, or of those whose balance changed."""
    before = {told.account_index: told.ui_token_amount.amount for told in meta.pre_token_balances}
    after = {told.account_index: told.ui_token_amount.amount for told in meta.post_token_balances}
    found = {
        told.owner
        for told in (*meta.pre_token_balances, *meta.post_token_balances)
        if not only_changed or before.get(told.account_index, "0") != after.get(told.account_index, "0")
    }
    return {base58.decode(owner) for owner in found if is_key(owner)}


def _block_keys(told: wire.SubscribeRequestFilterBlocks) -> frozenset[bytes]:
    if told.HasField("cuckoo_account_include"):
        raise Refused("failed to create filter: cuckoo filters are not served; list the keys")
    return _keys(told.account_include)


def _signature(text: str) -> bytes:
    try:
        found = base58.decode(text)
    except ValueError:
        found = b""
    if len(found) != 64:
        raise Refused(f"failed to create filter: invalid signature {text!r}")
    return found


def _status_of(update: wire.SubscribeUpdate) -> wire.SubscribeUpdate:
    info = update.transaction.transaction
    told = wire.SubscribeUpdate()
    told.created_at.CopyFrom(update.created_at)
    status = told.transaction_status
    status.slot, status.signature, status.is_vote = update.transaction.slot, info.signature, info.is_vote
    status.index = info.index
    if info.meta.HasField("err"):
        status.err.CopyFrom(info.meta.err)
    return told


def _slices(told: Iterable[wire.SubscribeRequestAccountsDataSlice]) -> list[tuple[int, int]]:
    found = [(part.offset, part.length) for part in told]
    end = 0
    for start, size in found:
        if start < end:
            raise Refused("failed to create filter: data slices must be sorted by offset and not overlap")
        end = start + size
    return found
