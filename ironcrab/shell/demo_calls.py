"""Transactions of the demo market as Geyser tells them: calls with inner calls, logs, balances."""

from base64 import b64encode
from collections.abc import Iterator, Sequence

from msgspec import Struct

from ironcrab.dex import base58
from ironcrab.dex.address import TOKEN
from ironcrab.ingest.proto import geyser_pb2 as wire

EMIT = bytes.fromhex("e445a52e51cb9a1d")
"""First eight bytes of a self-call that carries an event (Anchor's `event_cpi`)."""
FEE = 5_000
"""Lamports a transaction costs."""
_LAMPORTS = 10_000_000_000


class Made(Struct, frozen=True):
    """A call to be told: program, accounts, data, the calls it makes, the log lines it writes itself."""

    program: str
    accounts: tuple[str, ...]
    data: bytes
    inner: tuple["Made", ...] = ()
    lines: tuple[str, ...] = ()


class Held(Struct, frozen=True):
    """A token account in a transaction's meta, SPL Token, raw amounts; before None: it is new."""

    account: str
    mint: str
    owner: str
    decimals: int
    before: int | None
    after: int


def transfer(source: str, destination: str, authority: str, amount: int) -> Made:
    """A plain token transfer."""
    return Made(TOKEN, (source, destination, authority), b"\x03" + amount.to_bytes(8, "little"))


def event(program: str, authority: str, body: bytes) -> Made:
    """A program's call to itself that carries an event."""
    return Made(program, (authority,), EMIT + body)


def ray_log(body: bytes) -> str:
    """Raydium's own log line."""
    return f"Program log: ray_log: {b64encode(body).decode()}"


def data_log(body: bytes) -> str:
    """Anchor's log line of an event."""
    return f"Program data: {b64encode(body).decode()}"


def told(
    slot: int, index: int, signature: bytes, payer: str, calls: Sequence[Made], held: Sequence[Held]
) -> wire.SubscribeUpdate:
    """The update that tells of a successful transaction (without `created_at`)."""
    update = wire.SubscribeUpdate()
    update.transaction.slot = slot
    info = update.transaction.transaction
    info.signature, info.index = signature, index
    info.transaction.signatures.append(signature)
    keys = {payer: 0}
    for call in _walk(calls):
        for key in (*call.accounts, call.program):
            keys.setdefault(key, len(keys))
    for row in held:
        keys.setdefault(row.account, len(keys))
    message = info.transaction.message
    message.header.num_required_signatures = 1
    message.account_keys.extend(base58.decode(key) for key in keys)
    message.recent_blockhash = signature[:32]
    for place, call in enumerate(calls):
        accounts = bytes(keys[key] for key in call.accounts)
        message.instructions.add(program_id_index=keys[call.program], accounts=accounts, data=call.data)
        if call.inner:
            group = info.meta.inner_instructions.add(index=place)
            _put_inner(group, call.inner, keys, 2)
    info.meta.log_messages.extend(line for call in calls for line in _lines(call, 1))
    _put_balances(info.meta, keys, held)
    return update


def _walk(calls: Sequence[Made]) -> Iterator[Made]:
    for call in calls:
        yield call
        yield from _walk(call.inner)


def _put_inner(group: wire.InnerInstructions, calls: Sequence[Made], keys: dict[str, int], height: int) -> None:
    for call in calls:
        group.instructions.add(
            program_id_index=keys[call.program],
            accounts=bytes(keys[key] for key in call.accounts),
            data=call.data,
            stack_height=height,
        )
        _put_inner(group, call.inner, keys, height + 1)


def _lines(call: Made, height: int) -> Iterator[str]:
    yield f"Program {call.program} invoke [{height}]"
    yield from call.lines
    for inner in call.inner:
        yield from _lines(inner, height + 1)
    yield f"Program {call.program} success"


def _put_balances(meta: wire.TransactionStatusMeta, keys: dict[str, int], held: Sequence[Held]) -> None:
    meta.fee = FEE
    meta.compute_units_consumed = 60_000
    meta.pre_balances.extend([_LAMPORTS] * len(keys))
    meta.post_balances.extend([_LAMPORTS - FEE, *[_LAMPORTS] * (len(keys) - 1)])
    for row in held:
        for rows, amount in ((meta.pre_token_balances, row.before), (meta.post_token_balances, row.after)):
            if amount is None:
                continue
            made = rows.add(account_index=keys[row.account], mint=row.mint, owner=row.owner, program_id=TOKEN)
            made.ui_token_amount.amount = str(amount)
            made.ui_token_amount.decimals = row.decimals
