"""A transaction of the feed as the tree of calls that venues read.

Account list: message keys, then loaded writable, then loaded readonly addresses; an instruction names accounts
by u8 index into it. Inner instructions come per outer instruction, flat, in execution order, each with its
stack height (2: called by the outer one); the parent is the nearest earlier one a level up. Legacy, v0 and v1
transactions differ in nothing that matters here.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from ironcrab.dex import base58
from ironcrab.dex.address import is_key
from ironcrab.dex.face import Call, TokenBalance, Transaction
from ironcrab.ingest import logs
from ironcrab.ingest.proto import geyser_pb2 as wire

DEEPEST = 16
"""Stack height that is believed; the runtime allows 5, and 9 with the raised limit."""
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_U64 = 2**64


class Unreadable(Exception):  # noqa: N818 - it stands for a transaction, not for an error
    """A transaction that cannot be believed; its text is the reason to count. Never leaves this module."""


class _Flat:
    """One call before the tree is made: indices into the account list, data, stack height (0 not told)."""

    __slots__ = ("accounts", "data", "depth", "program")

    def __init__(self, program: int, accounts: bytes, data: bytes, depth: int) -> None:
        self.program = program
        self.accounts = accounts
        self.data = data
        self.depth = depth


def account_keys(info: wire.SubscribeUpdateTransactionInfo) -> list[bytes]:
    """The account list of a transaction, raw keys."""
    meta = info.meta
    return [
        *info.transaction.message.account_keys,
        *meta.loaded_writable_addresses,
        *meta.loaded_readonly_addresses,
    ]


def refusal(info: wire.SubscribeUpdateTransactionInfo) -> str | None:
    """Why a transaction is not to be read, told without looking at its calls; None when it is."""
    if info.is_vote:
        return "transaction_vote"
    if not info.HasField("meta"):
        return "transaction_without_meta"
    if info.meta.HasField("err"):
        return "transaction_failed"
    if info.meta.inner_instructions_none:
        return "transaction_without_inner_instructions"
    return None


def transaction_of(info: wire.SubscribeUpdateTransactionInfo, slot: int) -> Transaction | str:
    """The transaction, or the reason why it is not one to read.

    Reasons: `transaction_vote`, `transaction_failed`, `transaction_without_meta`,
    `transaction_without_inner_instructions` (the node did not record them), `transaction_malformed` (keys,
    indices, heights or balances that cannot be), `transaction_without_stack_heights` (and the log cannot
    stand in). Logs that are missing or do not fit leave `Call.logs` empty: venues then read the transfers.
    """
    refused = refusal(info)
    if refused is not None:
        return refused
    try:
        return _read(info, slot)
    except Unreadable as reason:
        return str(reason)


def calls(transaction: Transaction) -> Iterator[Call]:
    """All calls in execution order."""
    waiting = list(reversed(transaction.calls))
    while waiting:
        call = waiting.pop()
        yield call
        waiting.extend(reversed(call.inner))


def _read(info: wire.SubscribeUpdateTransactionInfo, slot: int) -> Transaction:
    raw = account_keys(info)
    header = info.transaction.message.header
    signers = header.num_required_signatures
    if len(info.signature) != _SIGNATURE_BYTES or not 1 <= signers <= len(info.transaction.message.account_keys):
        raise Unreadable("transaction_malformed")
    if any(len(key) != _KEY_BYTES for key in raw):
        raise Unreadable("transaction_malformed")
    keys = [base58.key(key) for key in raw]
    flat = _flatten(info)
    if any(call.program >= len(keys) or (call.accounts and max(call.accounts) >= len(keys)) for call in flat):
        raise Unreadable("transaction_malformed")
    frames = _frames(info, [keys[call.program] for call in flat])
    return Transaction(
        signature=base58.signature(info.signature),
        slot=slot,
        fee_payer=keys[0],
        signers=tuple(keys[:signers]),
        calls=_tree(flat, keys, frames),
        balances=_balances(info.meta, keys),
        lamports=_lamports(info.meta, keys),
    )


def _flatten(info: wire.SubscribeUpdateTransactionInfo) -> list[_Flat]:
    """All calls in execution order."""
    outer = info.transaction.message.instructions
    groups: dict[int, list[_Flat]] = {}
    for group in info.meta.inner_instructions:
        if group.index in groups or group.index >= len(outer):
            raise Unreadable("transaction_malformed")
        groups[group.index] = [
            _Flat(inner.program_id_index, inner.accounts, inner.data, inner.stack_height)
            for inner in group.instructions
        ]
    flat = []
    for place, call in enumerate(outer):
        flat.append(_Flat(call.program_id_index, call.accounts, call.data, 1))
        flat += groups.get(place, [])
    return flat


def _frames(info: wire.SubscribeUpdateTransactionInfo, programs: list[str]) -> list[logs.Frame | None]:
    """The log frame of each call, all None where the log is missing or tells another story."""
    frames = logs.read(info.meta.log_messages)
    found = logs.matched(frames, programs) if frames is not None else None
    return found if found is not None else [None] * len(programs)


def _tree(flat: list[_Flat], keys: Sequence[str], frames: list[logs.Frame | None]) -> tuple[Call, ...]:
    """Hang each call below the nearest earlier one a level up; built from the last call backwards."""
    parents: list[int | None] = []
    path: list[int] = []
    for place, call in enumerate(flat):
        frame = frames[place]
        depth = call.depth or (frame.depth if frame is not None else 0)
        if depth == 0:
            raise Unreadable("transaction_without_stack_heights")
        if depth > min(len(path) + 1, DEEPEST):
            raise Unreadable("transaction_malformed")
        if frame is not None and frame.depth != depth:
            raise Unreadable("transaction_malformed")
        call.depth = depth
        del path[depth - 1 :]
        parents.append(path[-1] if path else None)
        path.append(place)
    below: dict[int | None, list[Call]] = {}
    for place in range(len(flat) - 1, -1, -1):
        call, frame = flat[place], frames[place]
        made = Call(
            program=keys[call.program],
            accounts=tuple(keys[index] for index in call.accounts),
            data=call.data,
            position=place,
            depth=call.depth,
            inner=tuple(reversed(below.pop(place, []))),
            logs=tuple(frame.payloads) if frame is not None else (),
        )
        below.setdefault(parents[place], []).append(made)
    return tuple(reversed(below.pop(None, [])))


def _balances(meta: wire.TransactionStatusMeta, keys: Sequence[str]) -> dict[str, TokenBalance]:
    """Token accounts by address: those of the post balances in their order, then those that were closed."""
    before = {row.account_index: row for row in meta.pre_token_balances}
    after = {row.account_index: row for row in meta.post_token_balances}
    found = {}
    for index in (*after, *(index for index in before if index not in after)):
        if index >= len(keys):
            raise Unreadable("transaction_malformed")
        row = after[index] if index in after else before[index]
        decimals = row.ui_token_amount.decimals
        if decimals > 255 or not _known(row.mint) or not (_told(row.owner) and _told(row.program_id)):
            raise Unreadable("transaction_malformed")
        found[keys[index]] = TokenBalance(
            mint=row.mint,
            owner=row.owner,
            program=row.program_id,
            decimals=decimals,
            before=_amount(before.get(index)),
            after=_amount(after.get(index)),
        )
    return found


@lru_cache(maxsize=65536)
def _known(key: str) -> bool:
    """Whether a text is a key; remembered, for a feed repeats the same mints."""
    return is_key(key)


def _told(key: str) -> bool:
    """A key, or nothing: old nodes tell neither owner nor token program."""
    return not key or _known(key)


def _amount(row: wire.TokenBalance | None) -> int | None:
    if row is None:
        return None
    text = row.ui_token_amount.amount
    if not (text.isascii() and text.isdigit() and len(text) <= 20) or int(text) >= _U64:
        raise Unreadable("transaction_malformed")
    return int(text)


def _lamports(meta: wire.TransactionStatusMeta, keys: Sequence[str]) -> dict[str, tuple[int, int]]:
    if len(meta.pre_balances) != len(keys) or len(meta.post_balances) != len(keys):
        raise Unreadable("transaction_malformed")
    return dict(zip(keys, zip(meta.pre_balances, meta.post_balances, strict=True), strict=True))
