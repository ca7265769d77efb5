"""What calls of the PumpSwap program did: trades, new pools, deposits, withdrawals, read from its events.

Layouts: Anchor IDL of the program up to September 2026; the events seen since 2025 are prefixes of it.
"""

from struct import Struct as Layout

from ironcrab.dex import base58, pump_fees
from ironcrab.dex.address import associated, find_program_address
from ironcrab.dex.face import Call, Created, Liquidity, Parsed, Swap
from ironcrab.dex.pump_events import NO_KEY, Body, emitted, fees_told, key_or_none

PROGRAM = "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA"

_BUY_EVENT = bytes.fromhex("67f4521f2cf57777")
_SELL_EVENT = bytes.fromhex("3e2f370aa503dc2a")
_CREATE_EVENT = bytes.fromhex("b1310cd2a076a774")
_DEPOSIT_EVENT = bytes.fromhex("78f83d531f8e6b90")
_WITHDRAW_EVENT = bytes.fromhex("1609851aa02c47c0")
_BUY = bytes.fromhex("66063d1201daebea")
_BUY_EXACT_QUOTE = bytes.fromhex("c62e1552b4d9e870")
_SELL = bytes.fromhex("33e685a4017f83ad")
_PLAIN_ACCOUNTS = 17
_MULTI_HOP = bytes.fromhex("2b644913e9f66f94")

_TRADE = Layout("<16xQ24xQQ16xQ8xQQ8x32s32s64x32s32x")
_CREATED = Layout("<18x32s32s32s2xQQ41x32s")
_LIQUIDITY = Layout("<72xQQ8x32s32s")
_CREATOR_AT = 312
_BUY_NAME_AT = 401
_HOP_ACCOUNTS = 16
_HOP_SIZE = 5


def parse_call(call: Call) -> tuple[Parsed, ...]:
    """What one call did, in the order of its events; () for a call without events that are tracked."""
    found: list[Parsed] = []
    swaps = 0
    for position, event in emitted(call):
        tag = event[:8]
        parsed: Parsed | None = None
        if tag in (_BUY_EVENT, _SELL_EVENT):
            parsed = _swap(event, call, position if swaps else call.position)
            swaps += 1
        elif tag == _CREATE_EVENT:
            parsed = _created(event, call)
        elif tag in (_DEPOSIT_EVENT, _WITHDRAW_EVENT):
            parsed = _liquidity(event, call)
        if parsed is not None:
            found.append(parsed)
    return tuple(found)


def _swap(event: bytes, call: Call, position: int) -> Swap | None:
    """A BuyEvent or SellEvent as the pool's vaults saw it; the event's reserves are those before the trade.

    A buy brings in the LP fee and not the protocol and creator fees; a sell pays those out beside the user's
    share. Where the event names no protocol fee recipient (accumulating form of October 2026) some fees stay
    in the vault, and the reserves afterwards are left open.
    """
    if len(event) < _TRADE.size:
        return None
    base, base_vault, quote_vault, lp, protocol, quote, pool_key, user, recipient = _TRADE.unpack_from(event)
    pool = base58.key(pool_key)
    mints = _mints(call, pool)
    if mints is None:
        return None
    buys = event[:8] == _BUY_EVENT
    sign = 1 if buys else -1
    accumulates = recipient == NO_KEY
    base_after = None if accumulates else base_vault - sign * base
    quote_after = None if accumulates else quote_vault + sign * quote
    body = Body(event, _CREATOR_AT)
    creator = body.key()
    body.skip(8)
    creator_fee = body.u64()
    if buys:
        body.at = _BUY_NAME_AT
        body.text()
    body.skip(8)
    cashback = body.u64()
    body.skip(49)
    always = (("lp", lp), ("protocol", protocol), ("creator", creator_fee))
    return Swap(
        pool=pool,
        position=position,
        trader=base58.key(user),
        mint_in=mints[1] if buys else mints[0],
        mint_out=mints[0] if buys else mints[1],
        amount_in=quote if buys else base,
        amount_out=base if buys else quote,
        fees=fees_told(mints[1], always, (("cashback", cashback), ("holder", body.u64()))),
        reserve_in=quote_after if buys else base_after,
        reserve_out=base_after if buys else quote_after,
        creator=key_or_none(creator),
        mint_b=mints[1],
        accounts=_accounts(call, pool, creator),
    )


def _accounts(call: Call, pool: str, creator: bytes) -> tuple[str, ...]:
    """The 14 accounts of the wire contract, from a plain buy or sell; () for other calls.

    Pool, global config, base and quote mint, base and quote vault, protocol fee recipient and its quote account,
    event authority, the coin creator vault's quote account and its authority, global volume accumulator, fee
    config, fee program. Calls older than one of the last five do not name it; it follows from the pool then.
    """
    at = call.accounts
    if len(at) < _PLAIN_ACCOUNTS or at[0] != pool or call.data[:8] not in (_BUY, _SELL, _BUY_EXACT_QUOTE):
        return ()
    authority = find_program_address((b"creator_vault", creator), PROGRAM)[0]
    vault = at[17:19] if len(at) > 18 else (associated(authority, at[4], at[12]), authority)
    volume = find_program_address((b"global_volume_accumulator",), PROGRAM)[0]
    fee_config = find_program_address((b"fee_config", base58.decode(PROGRAM)), pump_fees.PROGRAM)[0]
    return (pool, *at[2:5], *at[7:11], at[15], *vault, volume, fee_config, pump_fees.PROGRAM)


def _mints(call: Call, pool: str) -> tuple[str, str] | None:
    """Base and quote mint of a pool that a call names: 3 and 4 of a plain call, just before it in a route."""
    accounts = call.accounts
    if len(accounts) > 4 and accounts[0] == pool:
        return accounts[3], accounts[4]
    if call.data[:8] == _MULTI_HOP:
        for at in range(_HOP_ACCOUNTS + 2, len(accounts), _HOP_SIZE):
            if accounts[at] == pool:
                return accounts[at - 2], accounts[at - 1]
    return None


def _created(event: bytes, call: Call) -> Created | None:
    """A CreatePoolEvent; `creator` is the coin's where it is told, else the pool's.

    No accounts: the call does not name the protocol fee recipient, one of the contract's 14.
    """
    if len(event) < _CREATED.size:
        return None
    creator, base_mint, quote_mint, base, quote, pool = _CREATED.unpack_from(event)
    return Created(
        pool=base58.key(pool),
        position=call.position,
        mint_a=base58.key(base_mint),
        mint_b=base58.key(quote_mint),
        amount_a=base,
        amount_b=quote,
        creator=key_or_none(event[301:333]) or base58.key(creator),
    )


def _liquidity(event: bytes, call: Call) -> Liquidity | None:
    """A DepositEvent or WithdrawEvent (same shape)."""
    if len(event) < _LIQUIDITY.size:
        return None
    base, quote, pool_key, user = _LIQUIDITY.unpack_from(event)
    pool = base58.key(pool_key)
    mints = _mints(call, pool)
    if mints is None:
        return None
    added = event[:8] == _DEPOSIT_EVENT
    return Liquidity(pool, call.position, added, *mints, base, quote, base58.key(user))
