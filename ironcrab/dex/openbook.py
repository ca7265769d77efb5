"""The little of OpenBook v1 that old Raydium AMM V4 pools touch: market, open orders, event queue.

Accounts are wrapped in "serum" (5 bytes in front) and 7 bytes behind. Source: `serum-dex` state layouts; the
error number is the one that the pool program's call of it returned for an account that is no market.
"""

from struct import Struct as Layout

from msgspec import Struct

from ironcrab.dex import base58
from ironcrab.dex.address import create_program_address
from ironcrab.dex.face import Account, Refusal

NO_MARKET = 16_777_369
MARKET_BYTES = 388
_OPEN_ORDERS_BYTES = 3228
_MARK = b"serum"
_MARKET = Layout("<45xQ64x32s16x32s56x32s32s32s")
_TOTALS = Layout("<85xQ8xQ")
_QUEUE_HEAD = Layout("<13xQQ")
_EVENTS = 37
_EVENT = Layout("<B7xQQ24x32s8x")
_TAIL = 7
_FILL, _BID, _MAKER = 1, 4, 8


class Market(Struct, frozen=True, gc=False):
    """A decoded market: the accounts that a swap instruction of an order book pool names."""

    bids: str
    asks: str
    event_queue: str
    coin_vault: str
    pc_vault: str
    vault_signer: str | None


def decode_market(address: str, account: Account, program: str) -> Market | Refusal:
    """A market of an OpenBook program (388 bytes), or the refusal that the program gives. Never raises."""
    if account.owner != program or len(account.data) != MARKET_BYTES or account.data[:5] != _MARK:
        return Refusal(NO_MARKET, f"{address} is no market of {program}")
    nonce, coin_vault, pc_vault, queue, bids, asks = _MARKET.unpack_from(account.data)
    seeds = (base58.decode(address), nonce.to_bytes(8, "little"))
    signer = create_program_address(seeds, program)
    return Market(
        bids=base58.key(bids),
        asks=base58.key(asks),
        event_queue=base58.key(queue),
        coin_vault=base58.key(coin_vault),
        pc_vault=base58.key(pc_vault),
        vault_signer=signer,
    )


def held(owner: str, open_orders: Account, queue: Account) -> tuple[int, int] | Refusal:
    """Coin and pc that the open orders `owner` hold, counting fills still waiting in the event queue.

    A maker's fill takes what he paid and adds what he received. Never raises.
    """
    if len(open_orders.data) != _OPEN_ORDERS_BYTES or open_orders.data[:5] != _MARK:
        return Refusal(None, f"{owner} is no open orders account: {len(open_orders.data)} bytes")
    if len(queue.data) < _EVENTS + _TAIL or queue.data[:5] != _MARK:
        return Refusal(None, f"the event queue of {owner} is none: {len(queue.data)} bytes")
    coin, pc = _TOTALS.unpack_from(open_orders.data)
    head, count = _QUEUE_HEAD.unpack_from(queue.data)
    slots = (len(queue.data) - _EVENTS - _TAIL) // _EVENT.size
    key = base58.decode(owner)
    for index in range(min(count, slots)):
        at = _EVENTS + (head + index) % slots * _EVENT.size
        flags, received, paid, maker = _EVENT.unpack_from(queue.data, at)
        if maker != key or not flags & _FILL or not flags & _MAKER:
            continue
        if flags & _BID:
            coin, pc = coin + received, pc - paid
        else:
            coin, pc = coin - paid, pc + received
    if coin < 0 or pc < 0:
        return Refusal(None, f"the program panics: the fills of {owner} exceed what it holds")
    return coin, pc
