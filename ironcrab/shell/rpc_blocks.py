"""Blocks as a node's getBlock tells them, as the updates a feed would have sent: one normaliser reads both."""

import base64
from collections.abc import Iterator
from typing import Annotated, Any

from msgspec import Meta, Struct
from solders.transaction import VersionedTransaction

from ironcrab.dex import base58
from ironcrab.dex.address import is_key
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell.messages import fill_message
from ironcrab.shell.rpc import U63, BalanceRow, LoadedAddresses, Rpc, RpcFault, Slot

U8 = Annotated[int, Meta(ge=0, le=255)]
U32 = Annotated[int, Meta(ge=0, lt=2**32)]


class InnerCall(Struct, frozen=True, rename="camel"):
    """A call that a program made; `data` in base58, `stack_height` missing on old nodes."""

    program_id_index: U8
    accounts: list[U8]
    data: str
    stack_height: U32 | None = None


class InnerGroup(Struct, frozen=True):
    """The calls below one call of the transaction."""

    index: U8
    instructions: list[InnerCall]


class TokenRow(BalanceRow, frozen=True, rename="camel"):
    """A token balance with its token program."""

    program_id: str | None = None


class BlockMeta(Struct, frozen=True, rename="camel"):
    """What a transaction of a block did."""

    fee: U63
    pre_balances: list[U63]
    post_balances: list[U63]
    err: Any = None
    inner_instructions: list[InnerGroup] | None = None
    log_messages: list[str] | None = None
    pre_token_balances: list[TokenRow] | None = None
    post_token_balances: list[TokenRow] | None = None
    loaded_addresses: LoadedAddresses | None = None
    compute_units_consumed: U63 | None = None


class BlockRow(Struct, frozen=True):
    """A transaction of a block in base64."""

    transaction: tuple[str, str]
    meta: BlockMeta | None = None


class BlockAnswer(Struct, frozen=True, rename="camel"):
    """Result of getBlock with full details."""

    blockhash: str
    previous_blockhash: str
    parent_slot: Slot
    transactions: list[BlockRow]
    block_height: U63 | None = None
    block_time: int | None = None


async def read_block(rpc: Rpc, slot: int) -> BlockAnswer:
    """The confirmed block of a slot. RpcFault, also where the node says that there is none."""
    config = {
        "encoding": "base64",
        "transactionDetails": "full",
        "maxSupportedTransactionVersion": 1,
        "rewards": False,
        "commitment": "confirmed",
    }
    kind: Any = BlockAnswer | None
    told: BlockAnswer | None = await rpc.call("getBlock", [slot, config], kind)
    if told is None:
        raise RpcFault(f"node {rpc.name} tells no block of slot {slot}; use a node that keeps it", "nonsense")
    if not is_key(told.blockhash) or told.parent_slot >= slot:
        text = f"node {rpc.name} told a block of slot {slot} that can be none (parent {told.parent_slot}); use another"
        raise RpcFault(text, "nonsense")
    return told


def transactions_of(rpc: Rpc, slot: int, block: BlockAnswer) -> Iterator[wire.SubscribeUpdate]:
    """The block's transactions that succeeded, in order. RpcFault where one is no transaction."""
    for index, row in enumerate(block.transactions):
        if row.meta is None:
            text = f"node {rpc.name} tells transactions of slot {slot} without metadata; use a node that records them"
            raise RpcFault(text, "nonsense")
        if row.meta.err is None:
            update = wire.SubscribeUpdate()
            update.transaction.slot = slot
            info = update.transaction.transaction
            info.index = index
            try:
                raw = base64.b64decode(row.transaction[0], validate=True)
                fill_message(info, VersionedTransaction.from_bytes(raw))
                _fill_meta(info.meta, row.meta)
            except ValueError as error:
                text = f"node {rpc.name} told transaction {index} of slot {slot} that is none ({str(error)[:80]})"
                raise RpcFault(text, "nonsense") from None
            yield update


def status_of(slot: int, parent: int, status: wire.SlotStatus) -> wire.SubscribeUpdate:
    """A slot's status as a feed tells it."""
    update = wire.SubscribeUpdate()
    update.slot.slot, update.slot.parent, update.slot.status = slot, parent, status
    return update


def meta_of(slot: int, block: BlockAnswer) -> wire.SubscribeUpdate:
    """A block's meta as a feed tells it."""
    update = wire.SubscribeUpdate()
    meta = update.block_meta
    meta.slot, meta.blockhash = slot, block.blockhash
    meta.parent_slot, meta.parent_blockhash = block.parent_slot, block.previous_blockhash
    if block.block_time is not None:
        meta.block_time.timestamp = block.block_time
    if block.block_height is not None:
        meta.block_height.block_height = block.block_height
    meta.executed_transaction_count = len(block.transactions)
    return update


def _fill_meta(meta: wire.TransactionStatusMeta, told: BlockMeta) -> None:
    """Write the meta. ValueError where a text is no base58."""
    meta.fee, meta.compute_units_consumed = told.fee, told.compute_units_consumed or 0
    meta.pre_balances.extend(told.pre_balances)
    meta.post_balances.extend(told.post_balances)
    meta.log_messages.extend(told.log_messages or ())
    meta.log_messages_none = told.log_messages is None
    meta.inner_instructions_none = told.inner_instructions is None
    for group in told.inner_instructions or ():
        calls = meta.inner_instructions.add(index=group.index).instructions
        for call in group.instructions:
            made = calls.add(
                program_id_index=call.program_id_index, accounts=bytes(call.accounts), data=base58.decode(call.data)
            )
            if call.stack_height is not None:
                made.stack_height = call.stack_height
    for rows, balances in (
        (told.pre_token_balances, meta.pre_token_balances),
        (told.post_token_balances, meta.post_token_balances),
    ):
        for row in rows or ():
            balance = balances.add(account_index=row.account_index, mint=row.mint, owner=row.owner or "")
            balance.program_id = row.program_id or ""
            balance.ui_token_amount.amount = row.ui_token_amount.amount
            balance.ui_token_amount.decimals = row.ui_token_amount.decimals
    loaded = told.loaded_addresses or LoadedAddresses()
    meta.loaded_writable_addresses.extend(base58.decode(key) for key in loaded.writable)
    meta.loaded_readonly_addresses.extend(base58.decode(key) for key in loaded.readonly)
