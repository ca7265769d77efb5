"""What the local chain tells its feed: SubscribeUpdate messages, whole, in the order a Geyser plugin sends them.

Of a transaction first the accounts it wrote, then itself with meta; at the end of a slot its block meta and status.
"""

from typing import TYPE_CHECKING, Any

from solders.account import Account
from solders.pubkey import Pubkey

from ironcrab.dex import base58
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell.messages import fill_message

if TYPE_CHECKING:
    from ironcrab.shell.local_chain import Block, Landing, LocalChain
    from ironcrab.shell.vm import Holding, Ran

STATUS = {
    "processed": wire.SLOT_PROCESSED,
    "confirmed": wire.SLOT_CONFIRMED,
    "finalized": wire.SLOT_FINALIZED,
    "created": wire.SLOT_CREATED_BANK,
}
ALL_FILTERS = "localnet"
"""Filter name on every frame: the server that filters them writes its own."""


def _update(unix_ms: int) -> wire.SubscribeUpdate:
    update = wire.SubscribeUpdate(filters=[ALL_FILTERS])
    update.created_at.seconds, update.created_at.nanos = unix_ms // 1000, unix_ms % 1000 * 1_000_000
    return update


def slot(number: int, parent: int, status: str, unix_ms: int) -> bytes:
    """A slot's status: created, processed, confirmed or finalized."""
    update = _update(unix_ms)
    update.slot.slot, update.slot.parent, update.slot.status = number, parent, STATUS[status]
    return bytes(update.SerializeToString())


def block_meta(block: "Block", unix_ms: int) -> bytes:
    """A closed block without its transactions."""
    update = _update(unix_ms)
    meta = update.block_meta
    meta.slot, meta.blockhash = block.slot, block.hash
    meta.parent_slot, meta.parent_blockhash = block.slot - 1, block.previous_hash
    meta.block_time.timestamp, meta.block_height.block_height = block.time, block.height
    meta.executed_transaction_count = block.signatures
    return bytes(update.SerializeToString())


def account(key: Pubkey, state: Account | None, chain: "LocalChain", signature: str | None) -> bytes:
    """An account as a write left it; a deleted one has no lamports, no data, and belongs to the system program."""
    update = _update(chain.unix_ms)
    update.account.slot = chain.slot
    info = update.account.account
    info.pubkey, info.write_version = bytes(key), chain.writes
    info.owner = bytes(32) if state is None else bytes(state.owner)
    if state is not None:
        info.lamports, info.data = state.lamports, bytes(state.data)
        info.executable, info.rent_epoch = state.executable, state.rent_epoch
    if signature is not None:
        info.txn_signature = base58.decode(signature)
    return bytes(update.SerializeToString())


def transaction(landing: "Landing", unix_ms: int) -> bytes:
    """A landed transaction with meta."""
    update = _update(unix_ms)
    update.transaction.slot = landing.slot
    info = update.transaction.transaction
    info.index = landing.index
    fill(info, landing.ran)
    return bytes(update.SerializeToString())


def fill(info: wire.SubscribeUpdateTransactionInfo, ran: "Ran") -> None:
    """Write signature, message and meta of what ran."""
    fill_message(info, ran.transaction)
    _fill_meta(info.meta, ran)


def _fill_meta(meta: wire.TransactionStatusMeta, ran: "Ran") -> None:
    if ran.err is not None:
        meta.err.err = ran.err_bytes
    meta.fee, meta.compute_units_consumed = ran.fee, ran.units
    meta.pre_balances.extend(0 if state is None else state.lamports for state in ran.before)
    meta.post_balances.extend(0 if state is None else state.lamports for state in ran.after)
    meta.log_messages.extend(ran.logs)
    for place, calls in enumerate(ran.inner):
        if calls:
            group = meta.inner_instructions.add(index=place)
            for program, accounts, data, height in calls:
                group.instructions.add(program_id_index=program, accounts=accounts, data=data, stack_height=height)
    for held, rows in ((ran.holdings_before, meta.pre_token_balances), (ran.holdings_after, meta.post_token_balances)):
        for place, holding in held.items():
            _fill_balance(rows.add(account_index=place), holding)
    meta.loaded_writable_addresses.extend(bytes(key) for key in ran.accounts.loaded_writable)
    meta.loaded_readonly_addresses.extend(bytes(key) for key in ran.accounts.loaded_readonly)
    if ran.returned is None:
        meta.return_data_none = True
    else:
        meta.return_data.program_id, meta.return_data.data = bytes(ran.returned[0]), ran.returned[1]


def _fill_balance(row: Any, holding: "Holding") -> None:
    row.mint, row.owner, row.program_id = holding.mint, holding.owner, holding.program
    row.ui_token_amount.decimals, row.ui_token_amount.amount = holding.decimals, str(holding.amount)
    row.ui_token_amount.ui_amount_string = ui_text(holding.amount, holding.decimals)


def ui_text(amount: int, decimals: int) -> str:
    """Raw units as decimal text in whole tokens, without trailing zeros."""
    whole, part = divmod(amount, 10**decimals)
    digits = str(part).rjust(decimals, "0").rstrip("0") if decimals and part else ""
    return f"{whole}.{digits}" if digits else str(whole)
