"""A transaction of the wire as the message that a feed sends."""

from solders.transaction import VersionedTransaction

from ironcrab.ingest.proto import geyser_pb2 as wire


def fill_message(info: wire.SubscribeUpdateTransactionInfo, transaction: VersionedTransaction) -> None:
    """Write signatures and message."""
    message = transaction.message
    info.signature = bytes(transaction.signatures[0])
    info.transaction.signatures.extend(bytes(signature) for signature in transaction.signatures)
    header, out = message.header, info.transaction.message
    out.header.num_required_signatures = header.num_required_signatures
    out.header.num_readonly_signed_accounts = header.num_readonly_signed_accounts
    out.header.num_readonly_unsigned_accounts = header.num_readonly_unsigned_accounts
    out.account_keys.extend(bytes(key) for key in message.account_keys)
    out.recent_blockhash = bytes(message.recent_blockhash)
    out.versioned = isinstance(transaction.version(), int)
    for call in message.instructions:
        out.instructions.add(
            program_id_index=call.program_id_index, accounts=bytes(call.accounts), data=bytes(call.data)
        )
    for lookup in getattr(message, "address_table_lookups", ()):
        out.address_table_lookups.add(
            account_key=bytes(lookup.account_key),
            writable_indexes=bytes(lookup.writable_indexes),
            readonly_indexes=bytes(lookup.readonly_indexes),
        )
