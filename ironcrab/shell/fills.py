"""What a landed transaction did to the own wallet: fills, fees, balance of SOL. Pure; unknown is never guessed.

A token's fill is the change of all own accounts of its mint. A SOL fill is the change of lamports in the wallet and in
all own token accounts together, network fee and tip put back: so wrapping, unwrapping and the rent of own accounts
cancel out. Where another account was created or closed, whose rent was it? Then the SOL fill is told only if the
wallet itself paid nothing but fee and tip. A plan that names NATIVE_SOL wraps or unwraps: there the two are told
apart, and what left the wallet includes the rent of the wrapped account. A plan that gives nothing closes an account.
"""

import base64
from typing import Any

import msgspec
from msgspec import Struct
from solders.transaction import VersionedTransaction

from ironcrab.dex import base58
from ironcrab.domain.ask import Plan
from ironcrab.domain.market import ExplicitAmount
from ironcrab.domain.trade import ResultFees
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell.rpc import BalanceRow, LandedTransaction, LoadedAddresses

FETCH_FAILED = "rpc_tx_fetch_failed"
META_MISSING = "tx_meta_missing"
WALLET_MISSING = "wallet_account_index_missing"
NOISE = "lamport_delta_gated_account_lifecycle_noise"
DELTA_MISSING = "token_balance_delta_missing"
SOL_DECIMALS = 9
_U64 = 2**64
_CUSTOM = 25
_INSTRUCTION_ERROR = 8


class TokenRow(Struct, frozen=True):
    """A token balance: place in the account list, mint, owner, decimals, raw amount."""

    index: int
    mint: str
    owner: str
    decimals: int
    amount: int


class Landed(Struct, frozen=True):
    """A landed transaction, by RPC or by feed: account list, lamports and token balances before and after.

    `err` None: it succeeded. `block_time` unix seconds, where it was told.
    """

    signature: str
    slot: int
    err: str | None
    fee: int
    units: int
    keys: tuple[str, ...]
    lamports_before: tuple[int, ...]
    lamports_after: tuple[int, ...]
    tokens_before: tuple[TokenRow, ...]
    tokens_after: tuple[TokenRow, ...]
    block_time: int | None = None


class Fills(Struct, frozen=True):
    """What went in and out (None: unknown, then `reason` says why), and the change of the own SOL in lamports."""

    fill_in: ExplicitAmount | None
    fill_out: ExplicitAmount | None
    reason: str | None
    sol_delta: int | None


def fills(landed: Landed, plan: Plan, wallet: str) -> Fills:
    """The fills of a plan in a landed transaction of this wallet."""
    if wallet not in landed.keys:
        return Fills(None, None, WALLET_MISSING, None)
    sent, noise_in = _changed(landed, plan.input_mint, plan, wallet)
    got, noise_out = _changed(landed, plan.output_mint, plan, wallet)
    fill_in = None if sent is None or sent.raw >= 0 else _amount(-sent.raw, sent.decimals)
    if plan.amount_in == 0 and (sent is None or sent.raw == 0):
        fill_in = ExplicitAmount(0, 0 if sent is None else sent.decimals)
    fill_out = None if got is None or got.raw <= 0 else _amount(got.raw, got.decimals)
    reason = None
    if fill_in is None or fill_out is None:
        reason = NOISE if noise_in or noise_out else DELTA_MISSING
    return Fills(fill_in, fill_out, reason, sol_delta(landed, wallet))


def received(landed: Landed, plan: Plan, wallet: str) -> int | None:
    """Raw units of the output mint that the wallet gains (a loss is 0), None where that is not told."""
    got = _changed(landed, plan.output_mint, plan, wallet)[0] if wallet in landed.keys else None
    return None if got is None else max(got.raw, 0)


def result_fees(landed: Landed, plan: Plan) -> ResultFees:
    """Network fee as charged, tip as planned where the transaction succeeded, units as used."""
    return ResultFees(landed.fee, plan.tip_lamports if landed.err is None else 0, landed.units)


def sol_delta(landed: Landed, wallet: str) -> int:
    """Change of the wallet's own lamports and wrapped SOL, fees included."""
    place = landed.keys.index(wallet)
    native = landed.lamports_after[place] - landed.lamports_before[place]
    return native + (_token_change(landed, SOL_MINT, wallet) or _Change(0, SOL_DECIMALS)).raw


class _Change(Struct, frozen=True):
    raw: int
    decimals: int


def _changed(landed: Landed, mint: str, plan: Plan, wallet: str) -> tuple[_Change | None, bool]:
    """Change of a mint in the wallet's hands, and whether it is None because of others' account rents."""
    cost = landed.fee + (plan.tip_lamports if landed.err is None else 0)
    place = landed.keys.index(wallet)
    native = landed.lamports_after[place] - landed.lamports_before[place] + cost
    if mint == NATIVE_SOL:
        return _Change(native, SOL_DECIMALS), False
    if mint != SOL_MINT or NATIVE_SOL in (plan.input_mint, plan.output_mint):
        return _token_change(landed, mint, wallet), False
    own = {wallet: None, **{landed.keys[row.index]: None for row in _own(landed, wallet)}}
    moved = cost
    noise = False
    for place, key in enumerate(landed.keys):
        before, after = landed.lamports_before[place], landed.lamports_after[place]
        if key in own:
            moved += after - before
        elif (before == 0) != (after == 0):
            noise = True
    if not noise:
        return _Change(moved, SOL_DECIMALS), False
    if native == 0:
        return _token_change(landed, mint, wallet), False
    return None, True


def _own(landed: Landed, wallet: str) -> list[TokenRow]:
    return [row for row in (*landed.tokens_before, *landed.tokens_after) if row.owner == wallet]


def _token_change(landed: Landed, mint: str, wallet: str) -> _Change | None:
    """Sum over the own accounts of a mint; None where the transaction names none."""
    before = [row for row in landed.tokens_before if row.owner == wallet and row.mint == mint]
    after = [row for row in landed.tokens_after if row.owner == wallet and row.mint == mint]
    if not before and not after:
        return None
    raw = sum(row.amount for row in after) - sum(row.amount for row in before)
    return _Change(raw, (after or before)[0].decimals)


def _amount(raw: int, decimals: int) -> ExplicitAmount | None:
    return ExplicitAmount(raw, decimals) if raw < _U64 else None


def landed_of_rpc(signature: str, told: LandedTransaction) -> Landed | str:
    """The view of a getTransaction answer, or the reason why there is none."""
    meta = told.meta
    if meta is None:
        return META_MISSING
    try:
        transaction = VersionedTransaction.from_bytes(base64.b64decode(told.transaction[0], validate=True))
        if str(transaction.signatures[0]) != signature:
            return META_MISSING
        static = [str(key) for key in transaction.message.account_keys]
        rows = (token_rows(meta.pre_token_balances), token_rows(meta.post_token_balances))
    except (ValueError, IndexError):
        return META_MISSING
    loaded = meta.loaded_addresses or LoadedAddresses()
    keys = (*static, *loaded.writable, *loaded.readonly)
    return checked(
        Landed(
            signature=signature,
            slot=told.slot,
            err=error_text(meta.err),
            fee=meta.fee,
            units=meta.compute_units_consumed or 0,
            keys=keys,
            lamports_before=tuple(meta.pre_balances),
            lamports_after=tuple(meta.post_balances),
            tokens_before=rows[0],
            tokens_after=rows[1],
            block_time=told.block_time,
        )
    )


def landed_of_feed(info: wire.SubscribeUpdateTransactionInfo, slot: int) -> Landed | str:
    """The view of a transaction of the feed, or the reason why there is none."""
    if not info.HasField("meta"):
        return META_MISSING
    meta = info.meta
    raw = (
        *info.transaction.message.account_keys,
        *meta.loaded_writable_addresses,
        *meta.loaded_readonly_addresses,
    )
    try:
        rows = (_feed_rows(meta.pre_token_balances), _feed_rows(meta.post_token_balances))
    except ValueError:
        return META_MISSING
    return checked(
        Landed(
            signature=base58.encode(info.signature),
            slot=slot,
            err=_bincode_text(meta.err.err) if meta.HasField("err") else None,
            fee=meta.fee,
            units=meta.compute_units_consumed,
            keys=tuple(base58.key(key) for key in raw),
            lamports_before=tuple(meta.pre_balances),
            lamports_after=tuple(meta.post_balances),
            tokens_before=rows[0],
            tokens_after=rows[1],
        )
    )


def checked(landed: Landed) -> Landed | str:
    """The view, if its lists belong together."""
    count = len(landed.keys)
    rows = (*landed.tokens_before, *landed.tokens_after)
    if len(landed.lamports_before) != count or len(landed.lamports_after) != count:
        return META_MISSING
    return META_MISSING if any(row.index >= count for row in rows) else landed


def token_rows(rows: list[BalanceRow] | None) -> tuple[TokenRow, ...]:
    """Token balances of an RPC meta; ValueError where an amount is no number of raw units."""
    told = ((row, row.ui_token_amount) for row in rows or [])
    return tuple(
        TokenRow(row.account_index, row.mint, row.owner or "", amount.decimals, _raw(amount.amount))
        for row, amount in told
    )


def _feed_rows(rows: Any) -> tuple[TokenRow, ...]:
    return tuple(
        TokenRow(row.account_index, row.mint, row.owner, row.ui_token_amount.decimals, _raw(row.ui_token_amount.amount))
        for row in rows
    )


def _raw(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20) or int(text) >= _U64:
        raise ValueError(f"{text[:40]!r} is no amount of raw units")
    return int(text)


def error_text(err: Any) -> str | None:
    """A transaction error as one text: its JSON, or the plain word."""
    if err is None:
        return None
    return err if isinstance(err, str) else msgspec.json.encode(err).decode()


def _bincode_text(raw: bytes) -> str:
    """A feed's error in the RPC's words for instruction errors with a custom code, else by its variant's number."""
    variant = int.from_bytes(raw[:4], "little")
    if variant == _INSTRUCTION_ERROR and len(raw) >= 13 and int.from_bytes(raw[5:9], "little") == _CUSTOM:
        told = {"InstructionError": [raw[4], {"Custom": int.from_bytes(raw[9:13], "little")}]}
        return msgspec.json.encode(told).decode()
    if variant == _INSTRUCTION_ERROR and len(raw) >= 9:
        return f"InstructionError {raw[4]} variant {int.from_bytes(raw[5:9], 'little')}"
    return f"TransactionError variant {variant}"
