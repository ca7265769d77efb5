"""Swap instructions of the two pump programs: ordered metas with their flags, data bytes.

Sources: the Anchor IDLs of May 2026 and, for the v3 forms of PumpFun, of October 2026; the official document
on the v2 forms of PumpSwap (October 2026), whose discriminators follow from their names; and the remaining
accounts of observed transactions. Each form's function says how far it was observed.
"""

from functools import lru_cache
from hashlib import sha256

from msgspec import Struct

from ironcrab.dex import base58, pump_fees
from ironcrab.dex.address import (
    ASSOCIATED_TOKEN,
    SYSTEM,
    TOKEN,
    WSOL,
    associated,
    find_program_address,
)
from ironcrab.dex.face import Exact, Instruction, Meta

PUMP = "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P"
AMM = "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA"
_PUMP_GLOBAL = "4wTV1YmiEkRvAtNtsSGPtUrqRYQMe5SKy2uB4Jjaxnjf"
_PUMP_FEES = "8Wf5TiAheLUqBrKXeYg2JtAFFMWtKdG2BSFgqUcPVwTt"
_PUMP_EVENTS = "Ce6TQqeHC9p8KetsN6JsjHK7UTZk7nasjjnr7XxXp9F1"
_AMM_GLOBAL = "ADyA8hdefvWN2dbGGWFotbzWxrAvLW83WG6QCVXvJKqw"
_AMM_FEES = "5PHirr8joyTMp9JMm6nW7hNDVyEYdkzDqazxPD7RaTjx"
_AMM_EVENTS = "GS4CU59F31iL7aR2Q8zVS8DRrcRnXX1yjQ66TqNVQnaR"
_NO_TRACKING = b"\0"
"""The optional `track_volume` of the older forms: volume incentives are idle."""

Form = str
Row = tuple[str, str]
"""An address and its flags: `w` writable, `s` signer."""


class CurveTrade(Struct, frozen=True):
    """What the metas of a bonding curve trade follow from."""

    user: str
    curve: str
    coin: str
    coin_program: str
    quote_mint: str
    quote_program: str
    creator: str | None
    cashback: bool
    fee_recipient: str
    buyback_recipient: str | None
    buys: bool


class PoolTrade(Struct, frozen=True):
    """What the metas of a PumpSwap trade follow from."""

    user: str
    pool: str
    base_mint: str
    quote_mint: str
    base_vault: str
    quote_vault: str
    base_program: str
    quote_program: str
    creator: str | None
    cashback: bool
    fee_recipient: str
    buyback_recipient: str | None
    buys: bool


@lru_cache(maxsize=64)
def discriminator(name: str) -> bytes:
    """The first eight bytes of an Anchor instruction: SHA-256 of its name in the `global` namespace."""
    return sha256(f"global:{name}".encode()).digest()[:8]


def curve_trade(trade: CurveTrade, form: Form, exact: Exact, amount: int, other: int) -> Instruction:
    """A buy or sale on a bonding curve in one of the forms `v3`, `v2`, `legacy` (SOL quotes only)."""
    rows = {"v3": _curve_v3, "v2": _curve_v2, "legacy": _curve_legacy}[form](trade)
    exact_in = "buy_exact_sol_in" if form == "legacy" else "buy_exact_quote_in"
    name, tail = _name(exact_in, form, exact, buys=trade.buys)
    return Instruction(PUMP, _metas(rows), discriminator(name) + _amounts(trade.buys, exact, amount, other) + tail)


def pool_trade(trade: PoolTrade, form: Form, exact: Exact, amount: int, other: int) -> Instruction:
    """A buy or sale on a PumpSwap pool in one of the forms `v2`, `legacy`."""
    rows = {"v2": _pool_v2, "legacy": _pool_legacy}[form](trade)
    name, tail = _name("buy_exact_quote_in", form, exact, buys=trade.buys)
    return Instruction(AMM, _metas(rows), discriminator(name) + _amounts(trade.buys, exact, amount, other) + tail)


def _name(exact_in: str, form: Form, exact: Exact, *, buys: bool) -> tuple[str, bytes]:
    """Instruction name and what follows its two amounts."""
    name = (exact_in if exact == "in" else "buy") if buys else "sell"
    if form == "legacy":
        return name, _NO_TRACKING if buys else b""
    return f"{name}_{form}", b""


def _amounts(buys: bool, exact: Exact, amount: int, other: int) -> bytes:
    """The two amounts: of a buy the fixed side first, of a sale the tokens first and the least output."""
    first, second = (amount, other) if buys or exact == "in" else (other, amount)
    return first.to_bytes(8, "little") + second.to_bytes(8, "little")


def _metas(rows: tuple[Row, ...]) -> tuple[Meta, ...]:
    return tuple(Meta(address, "s" in flags, "w" in flags) for address, flags in rows)


def _at(program: str, seed: bytes, *keys: str | None) -> str:
    """An address of a program: a word and keys; None stands for the zero key."""
    seeds = tuple(bytes(32) if key is None else base58.decode(key) for key in keys)
    return find_program_address((seed, *seeds), program)[0]


def standing(user: str) -> tuple[str, ...]:
    """What a user's trades on both Pump programs name whatever the coin: derived before the first one, it is known."""
    volumes = (_at(PUMP, b"user_volume_accumulator", user), _at(AMM, b"user_volume_accumulator", user))
    owned = (associated(owner, WSOL, TOKEN) for owner in (user, *volumes))
    return *volumes, *owned, _at(PUMP, b"global_volume_accumulator"), _at(AMM, b"global_volume_accumulator")


def _curve_legacy(trade: CurveTrade) -> tuple[Row, ...]:
    """`buy`, `buy_exact_sol_in` (18 accounts), `sell` (16, cashback 17): observed until October 2026."""
    creator_vault = (_at(PUMP, b"creator-vault", trade.creator), "w")
    token_program = (trade.coin_program, "")
    volume = (_at(PUMP, b"user_volume_accumulator", trade.user), "w")
    head: tuple[Row, ...] = (
        (_PUMP_GLOBAL, ""),
        (trade.fee_recipient, "w"),
        (trade.coin, ""),
        (trade.curve, "w"),
        (associated(trade.curve, trade.coin, trade.coin_program), "w"),
        (associated(trade.user, trade.coin, trade.coin_program), "w"),
        (trade.user, "ws"),
        (SYSTEM, ""),
        *((token_program, creator_vault) if trade.buys else (creator_vault, token_program)),
        (_PUMP_EVENTS, ""),
        (PUMP, ""),
    )
    global_volume = (_at(PUMP, b"global_volume_accumulator"), "")
    fees = ((_PUMP_FEES, ""), (pump_fees.PROGRAM, ""))
    body = (global_volume, volume, *fees) if trade.buys else fees
    cashback = (volume,) if trade.cashback and not trade.buys else ()
    buyback = ((trade.buyback_recipient, "w"),) if trade.buyback_recipient else ()
    return (*head, *body, *cashback, (_at(PUMP, b"bonding-curve-v2", trade.coin), ""), *buyback)


def _curve_v2(trade: CurveTrade) -> tuple[Row, ...]:
    """`buy_v2`, `buy_exact_quote_in_v2` (27 accounts), `sell_v2` (26, no global accumulator): observed."""
    buyback = trade.buyback_recipient
    vault = _at(PUMP, b"creator-vault", trade.creator)
    volume = _at(PUMP, b"user_volume_accumulator", trade.user)

    def quote_of(owner: str | None) -> str:
        return associated(owner or SYSTEM, trade.quote_mint, trade.quote_program)

    global_volume = ((_at(PUMP, b"global_volume_accumulator"), ""),) if trade.buys else ()
    return (
        (_PUMP_GLOBAL, ""),
        (trade.coin, ""),
        (trade.quote_mint, ""),
        (trade.coin_program, ""),
        (trade.quote_program, ""),
        (ASSOCIATED_TOKEN, ""),
        (trade.fee_recipient, "w"),
        (quote_of(trade.fee_recipient), "w"),
        (buyback or SYSTEM, "w"),
        (quote_of(buyback), "w"),
        (trade.curve, "w"),
        (associated(trade.curve, trade.coin, trade.coin_program), "w"),
        (quote_of(trade.curve), "w"),
        (trade.user, "ws"),
        (associated(trade.user, trade.coin, trade.coin_program), "w"),
        (quote_of(trade.user), "w"),
        (vault, "w"),
        (quote_of(vault), "w"),
        (_at(pump_fees.PROGRAM, b"sharing-config", trade.coin), ""),
        *global_volume,
        (volume, "w"),
        (quote_of(volume), "w"),
        (_PUMP_FEES, ""),
        (pump_fees.PROGRAM, ""),
        (SYSTEM, ""),
        (_PUMP_EVENTS, ""),
        (PUMP, ""),
    )


def _curve_v3(trade: CurveTrade) -> tuple[Row, ...]:
    """`buy_v3`, `buy_exact_quote_in_v3`, `sell_v3` (17 accounts): published, not observed."""
    buyback = trade.buyback_recipient or SYSTEM
    if trade.quote_mint != WSOL:
        buyback = associated(buyback, trade.quote_mint, trade.quote_program)
    return (
        (_PUMP_GLOBAL, ""),
        (trade.coin, ""),
        (trade.quote_mint, ""),
        (trade.coin_program, ""),
        (trade.quote_program, ""),
        (trade.curve, "w"),
        (associated(trade.curve, trade.coin, trade.coin_program), "w"),
        (associated(trade.curve, trade.quote_mint, trade.quote_program), "w"),
        (trade.user, "ws"),
        (associated(trade.user, trade.coin, trade.coin_program), "w"),
        (associated(trade.user, trade.quote_mint, trade.quote_program), "w"),
        (_at(PUMP, b"user_volume_accumulator", trade.user), "w"),
        (_PUMP_FEES, ""),
        (buyback, "w"),
        (SYSTEM, ""),
        (_PUMP_EVENTS, ""),
        (PUMP, ""),
    )


def _pool_head(trade: PoolTrade) -> tuple[Row, ...]:
    """The nine accounts that every form of a PumpSwap trade begins with."""
    return (
        (trade.pool, "w"),
        (trade.user, "ws"),
        (_AMM_GLOBAL, ""),
        (trade.base_mint, ""),
        (trade.quote_mint, ""),
        (associated(trade.user, trade.base_mint, trade.base_program), "w"),
        (associated(trade.user, trade.quote_mint, trade.quote_program), "w"),
        (trade.base_vault, "w"),
        (trade.quote_vault, "w"),
    )


def _pool_legacy(trade: PoolTrade) -> tuple[Row, ...]:
    """`buy`, `buy_exact_quote_in` (23 accounts and remaining), `sell` (21 and remaining): observed.

    Remaining, in order: the accumulator's quote account on cashback pools (and the accumulator itself on a
    sale), the "pool-v2" address where there is a coin creator, the buyback recipient and its quote account.
    """
    authority = _at(AMM, b"creator_vault", trade.creator)
    volume = (_at(AMM, b"user_volume_accumulator", trade.user), "w")

    def quote_of(owner: str) -> Row:
        return associated(owner, trade.quote_mint, trade.quote_program), "w"

    back = (quote_of(volume[0]), *(() if trade.buys else (volume,))) if trade.cashback else ()
    second = ((_at(AMM, b"pool-v2", trade.base_mint), ""),) if trade.creator else ()
    buyback = trade.buyback_recipient
    paid_back = ((buyback, ""), quote_of(buyback)) if buyback else ()
    volumes = ((_at(AMM, b"global_volume_accumulator"), ""), volume) if trade.buys else ()
    return (
        *_pool_head(trade),
        (trade.fee_recipient, ""),
        quote_of(trade.fee_recipient),
        (trade.base_program, ""),
        (trade.quote_program, ""),
        (SYSTEM, ""),
        (ASSOCIATED_TOKEN, ""),
        (_AMM_EVENTS, ""),
        (AMM, ""),
        quote_of(authority),
        (authority, ""),
        *volumes,
        (_AMM_FEES, ""),
        (pump_fees.PROGRAM, ""),
        *back,
        *second,
        *paid_back,
    )


def _pool_v2(trade: PoolTrade) -> tuple[Row, ...]:
    """`buy_v2`, `buy_exact_quote_in_v2`, `sell_v2` (17 accounts): published, not observed."""
    buyback = trade.buyback_recipient or SYSTEM
    return (
        *_pool_head(trade),
        (trade.base_program, ""),
        (trade.quote_program, ""),
        (SYSTEM, ""),
        (_at(AMM, b"user_volume_accumulator", trade.user), "w"),
        (_AMM_FEES, ""),
        (associated(buyback, trade.quote_mint, trade.quote_program), "w"),
        (_AMM_EVENTS, ""),
        (AMM, ""),
    )
