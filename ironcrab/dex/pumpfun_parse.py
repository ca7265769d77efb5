"""What calls of the PumpFun program did: trades, creations, completions, migrations, read from its events.

Layouts: Anchor IDL of the program of October 2026; the events seen since 2024 are prefixes of it.
"""

from struct import Struct as Layout

from ironcrab.dex import base58
from ironcrab.dex.address import WSOL, find_program_address
from ironcrab.dex.face import Call, Created, Fee, Migrated, Parsed, Swap
from ironcrab.dex.pump_events import NO_KEY, Body, emitted, fees_told, key_or_none, quote_mint_of

PROGRAM = "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P"
FIRST_SUPPLY = 1_000_000_000_000_000
"""Raw units minted to every curve whose creation event does not yet tell the supply (`Global` offset 97)."""

_TRADE_EVENT = bytes.fromhex("bddb7fd34ee661ee")
_CREATE_EVENT = bytes.fromhex("1b72a94ddeeb6376")
_COMPLETE_EVENT = bytes.fromhex("5f72619cd42e9808")
_MIGRATION_EVENT = bytes.fromhex("bde95db95c94ea94")

_BEYOND_EVENT = bytes.fromhex("6fb06d8b316cd5fb")

_TRADE = Layout("<8x32sQQ?32sqQQ")
_BEYOND = Layout("<8x32s32s32s32s8xQQ8xQ8xQ24xQQ")
_TRADE_FEES = Layout("<32sQQ32sQQ")
_FEES_AT = 129
_NAME_AT = 258
_COMPLETE_BYTES = 112
_MIGRATION_BYTES = 168


def curve_of(mint: bytes) -> str:
    """Address of the bonding curve of a mint (32 bytes): seeds "bonding-curve", mint."""
    return find_program_address((b"bonding-curve", mint), PROGRAM)[0]


def parse_call(call: Call) -> tuple[Parsed, ...]:
    """What one call did, in the order of its events; () for a call without events that are tracked."""
    found: list[Parsed] = []
    swaps = 0
    for position, event in emitted(call):
        tag = event[:8]
        if tag == _TRADE_EVENT:
            swap = _swap(event, position if swaps else call.position)
            found += [swap] if swap else []
            swaps += 1
        elif tag == _BEYOND_EVENT and len(event) >= _BEYOND.size:
            found.append(_beyond(event, position))
            swaps += 1
        elif tag == _CREATE_EVENT:
            created = _created(event, call)
            found += [created] if created else []
        elif tag == _COMPLETE_EVENT and len(event) >= _COMPLETE_BYTES:
            found.append(Migrated(base58.key(event[72:104]), call.position, base58.key(event[40:72]), None))
        elif tag == _MIGRATION_EVENT and len(event) >= _MIGRATION_BYTES:
            curve, mint, pool = (
                base58.key(event[96:128]),
                base58.key(event[40:72]),
                base58.key(event[136:168]),
            )
            found.append(Migrated(curve, call.position, mint, pool))
    return tuple(found)


def _swap(event: bytes, position: int) -> Swap | None:
    """A TradeEvent as a swap; its reserves are the curve's virtual ones after the trade.

    `sol_amount` is net of fees. For a quote other than SOL it is zero and the amounts stand at the end.
    """
    if len(event) < _TRADE.size:
        return None
    mint, paid, tokens, is_buy, user, _, quote_reserve, token_reserve = _TRADE.unpack_from(event)
    token, quote, creator = base58.key(mint), WSOL, NO_KEY
    fees: tuple[Fee, ...] = ()
    if len(event) >= _FEES_AT + _TRADE_FEES.size:
        _, _, protocol, creator, _, creator_fee = _TRADE_FEES.unpack_from(event, _FEES_AT)
        body = Body(event, _NAME_AT)
        body.text()
        body.skip(9)
        cashback = body.u64()
        body.skip(16)
        body.skip(34 * body.length())
        quote = quote_mint_of(body.key())
        new_paid, new_reserve = body.u64(), body.u64()
        if quote != WSOL:
            paid, quote_reserve = new_paid, new_reserve
        body.skip(16)
        always = (("protocol", protocol), ("creator", creator_fee))
        fees = fees_told(quote, always, (("cashback", cashback), ("holder", body.u64())))
    return Swap(
        pool=curve_of(mint),
        position=position,
        trader=base58.key(user),
        mint_in=quote if is_buy else token,
        mint_out=token if is_buy else quote,
        amount_in=paid if is_buy else tokens,
        amount_out=tokens if is_buy else paid,
        fees=fees,
        reserve_in=quote_reserve if is_buy else token_reserve,
        reserve_out=token_reserve if is_buy else quote_reserve,
        creator=key_or_none(creator),
        mint_b=quote,
    )


def _beyond(event: bytes, position: int) -> Swap:
    """A PostCompleteBuyEvent: what a v3 buy took beyond its curve's end, at the price of the pool to come.

    Its reserves are those that the pool will open with.
    """
    user, mint, curve, quote_key, base, paid, protocol, creator, base_after, quote_after = _BEYOND.unpack_from(event)
    quote = quote_mint_of(quote_key)
    return Swap(
        pool=base58.key(curve),
        position=position,
        trader=base58.key(user),
        mint_in=quote,
        mint_out=base58.key(mint),
        amount_in=paid,
        amount_out=base,
        fees=fees_told(quote, (("protocol", protocol), ("creator", creator)), ()),
        reserve_in=quote_after,
        reserve_out=base_after,
    )


def _created(event: bytes, call: Call) -> Created | None:
    """A CreateEvent: the whole supply goes to the curve's token account, no quote is deposited."""
    body = Body(event, 8)
    for _ in range(3):
        body.text()
    if body.at + 96 > len(event):
        return None
    mint, curve, user, creator = body.key(), body.key(), body.key(), body.key()
    body.skip(32)
    supply = body.u64()
    body.skip(34)
    return Created(
        pool=base58.key(curve),
        position=call.position,
        mint_a=base58.key(mint),
        mint_b=quote_mint_of(body.key()),
        amount_a=supply or FIRST_SUPPLY,
        amount_b=0,
        creator=key_or_none(creator) or base58.key(user),
        accounts=call.accounts[3:4],
    )
