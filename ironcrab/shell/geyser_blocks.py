"""Whole blocks of a subscription: put together from the parts of a slot, as the Yellowstone plugin tells them.

A block is told behind its block meta, once for each filter; also where nothing that the filter lets pass is in it.
Transactions are in it unless the filter says no, accounts and entries only where it says yes (facts: geyser section 2).
"""

from collections.abc import Iterable, Sequence
from typing import Any

from ironcrab.ingest.proto import geyser_pb2 as wire

_OF_META = ("slot", "blockhash", "parent_slot", "parent_blockhash", "executed_transaction_count", "entries_count")
_NESTED = ("rewards", "block_time", "block_height")


def block_of(
    told: wire.SubscribeRequestFilterBlocks, keys: frozenset[bytes], parts: Iterable[Any], slices: Sequence[Any]
) -> wire.SubscribeUpdate | None:
    """The block that a filter is told; None: its meta is not among the parts.

    Args:
        told: the filter.
        keys: its `account_include`.
        parts: decoded updates of the slot, in order.
        slices: (offset, length) parts of account data; (): whole.
    """
    update = wire.SubscribeUpdate()
    block = update.block
    accounts: dict[bytes, wire.SubscribeUpdateAccountInfo] = {}
    is_whole = False
    for part in parts:
        kind = part.WhichOneof("update_oneof")
        if kind == "block_meta":
            is_whole = True
            _take_meta(update, part)
        elif kind == "transaction":
            info = part.transaction.transaction
            if (told.include_transactions or not told.HasField("include_transactions")) and _names(info, keys):
                block.transactions.append(info)
        elif kind == "account":
            info = part.account.account
            before = accounts.get(info.pubkey)
            if before is None or before.write_version <= info.write_version:
                accounts[info.pubkey] = info
        elif kind == "entry" and told.include_entries:
            block.entries.append(part.entry)
    block.updated_account_count = len(accounts)
    if told.include_accounts:
        block.accounts.extend(info for key, info in accounts.items() if not keys or key in keys)
        for info in block.accounts if slices else ():
            info.data = sliced(info.data, slices)
    return update if is_whole else None


def _take_meta(update: wire.SubscribeUpdate, part: wire.SubscribeUpdate) -> None:
    update.created_at.CopyFrom(part.created_at)
    meta = part.block_meta
    for field in _OF_META:
        setattr(update.block, field, getattr(meta, field))
    for field in _NESTED:
        if meta.HasField(field):
            getattr(update.block, field).CopyFrom(getattr(meta, field))


def _names(info: wire.SubscribeUpdateTransactionInfo, keys: frozenset[bytes]) -> bool:
    return not keys or bool(keys & keys_of(info))


def keys_of(info: wire.SubscribeUpdateTransactionInfo) -> set[bytes]:
    """The accounts that a transaction names, those of lookup tables included."""
    return {
        *info.transaction.message.account_keys,
        *info.meta.loaded_writable_addresses,
        *info.meta.loaded_readonly_addresses,
    }


def sliced(data: bytes, slices: Sequence[tuple[int, int]]) -> bytes:
    """These parts of an account's data, joined; one that ends beyond it is dropped."""
    return b"".join(data[start : start + size] for start, size in slices if start + size <= len(data))
