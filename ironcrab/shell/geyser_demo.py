"""A market made from a seed, without end: account and transaction updates of all six venues, slot after slot.

Same seed and rate, same updates, byte for byte, on any machine. Time begins on 1 January 2026 and a slot takes 400 ms.
Five tokens trade on five venues each, so that their prices part and meet; every few seconds a PumpFun coin is born,
bought up by many wallets, and some time later sold off.
"""

from collections.abc import Iterator

from blake3 import blake3
from msgspec import Struct

from ironcrab.dex import base58
from ironcrab.dex.face import Account, Clock
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell import demo_pools, demo_swaps
from ironcrab.shell.demo_pools import Chain, Listing
from ironcrab.shell.geyser_filters import Update

FIRST_SLOT = 400_000_000
"""Slot where the demo begins."""
BEGAN_NS = 1_767_225_600 * 10**9
"""Its time: 1 January 2026."""
SLOT_NS = 400_000_000
"""Nanoseconds of a slot."""
WALLETS = 600
"""Traders."""
TOKENS = 5
COIN_EVERY_SLOTS = 10
COINS = 8
"""PumpFun coins traded at a time."""
RISE_SLOTS = 250
"""Slots for which a coin is mostly bought; then it is mostly sold for as many."""
AGAIN = 4
"""Accounts of a slot that are written again without a change."""
_FINAL_AFTER = 31
_EPOCH = 900
_VERSION = 10**9


class Coin(Struct):
    """A PumpFun coin and the slot it was born in."""

    listing: Listing
    born: int


class Market:
    """The demo's state; `slot` gives one slot after another.

    Args:
        seed: everything follows from it.
        rate: updates a second, slots and metas aside.
    """

    def __init__(self, seed: int, rate: int) -> None:
        self.chain = Chain(seed, {})
        self.quota = max(1, rate * SLOT_NS // 10**9)
        self.draws = 0
        self.version = _VERSION
        self.coins: list[Coin] = []
        self.born = 0
        self.again = 0
        self.purses: dict[tuple[str, str], int] = {}
        demo_pools.found(self.chain)
        self.listings: list[Listing] = []
        for token in range(TOKENS):
            base = demo_pools.mint(self.chain, token)
            makers = (
                demo_pools.raydium_pool, demo_pools.cpmm_pool, demo_pools.whirlpool, demo_pools.dlmm_pool,
                demo_pools.pumpswap_pool,
            )  # fmt: skip
            self.listings += [make(self.chain, base) for make in makers]
        self.wallets = [self.chain.key("wallet", number) for number in range(WALLETS)]

    def draw(self, below: int) -> int:
        """The next number below a bound that the seed gives."""
        self.draws += 1
        digest = blake3(f"{self.chain.seed}:{self.draws}".encode()).digest(8)
        return int.from_bytes(digest, "little") % below

    def first(self, slot: int) -> Iterator[wire.SubscribeUpdate]:
        """Every account as it stands: the demo's stand-in for reading the state when the feed begins."""
        for address in self.chain.accounts:
            yield self._write(address, slot, None)

    def slot(self, slot: int) -> Iterator[wire.SubscribeUpdate]:
        """The content of one slot."""
        told = 0
        index = 0
        clock = Clock(slot, (BEGAN_NS + (slot - FIRST_SLOT) * SLOT_NS) // 10**9, _EPOCH)
        if (slot - FIRST_SLOT) % COIN_EVERY_SLOTS == 1 and len(self.coins) < COINS:
            for update in self._birth(slot, index, clock):
                yield update
                told += 1
            index += 1
        for update in self._again(slot):
            yield update
            told += 1
        self.coins = [coin for coin in self.coins if slot - coin.born < 2 * RISE_SLOTS]
        while told < self.quota:
            updates = self._trade(slot, index, clock)
            index += bool(updates)
            told += max(1, len(updates))
            yield from updates

    def _again(self, slot: int) -> Iterator[wire.SubscribeUpdate]:
        """Writes that change nothing, of a few accounts in turn: who came late learns them all within some time."""
        addresses = list(self.chain.accounts)
        for _ in range(AGAIN):
            self.again = (self.again + 1) % len(addresses)
            yield self._write(addresses[self.again], slot, None)

    def _birth(self, slot: int, index: int, clock: Clock) -> list[wire.SubscribeUpdate]:
        self.born += 1
        listing = demo_pools.curve(self.chain, self.born)
        self.coins.append(Coin(listing, slot))
        creator = self.chain.key("coin creator", self.born)
        signature = self._signature(slot, index)
        update = demo_swaps.birth(listing, creator, slot, index, signature, clock.unix_timestamp)
        return [update, *(self._write(key, slot, signature) for key in (listing.pool, listing.mint, listing.vaults[0]))]

    def _trade(self, slot: int, index: int, clock: Clock) -> list[wire.SubscribeUpdate]:
        """One swap somewhere: its transaction and the writes it makes; [] where the venue refused it."""
        if self.coins and self.draw(2):
            coin = self.coins[self.draw(len(self.coins))]
            listing, rising = coin.listing, slot - coin.born < RISE_SLOTS
            is_buy = self.draw(100) < (78 if rising else 35)
        else:
            listing = self.listings[self.draw(len(self.listings))]
            is_buy = bool(self.draw(2))
        user = self.wallets[self.draw(len(self.wallets))]
        amount = self._amount(listing, user, is_buy=is_buy)
        if amount is None:
            return []
        made = demo_swaps.swap(self.chain, listing, user, amount, is_buy=is_buy, clock=clock)
        if made is None:
            return []
        done, after = made
        if is_buy:
            purse = (user, listing.mint)
            self.purses[purse] = self.purses.get(purse, 0) + done.quote.amount_out
        signature = self._signature(slot, index)
        said = [demo_swaps.tell(done, after, slot, index, signature)]
        self.chain.accounts.update(after)
        return [*said, *(self._write(key, slot, signature) for key in after)]

    def _amount(self, listing: Listing, user: str, *, is_buy: bool) -> int | None:
        """Raw units to pay: lamports of a buy; of a sale tokens that the wallet bought, or that it brought along."""
        if is_buy:
            return (5 + self.draw(120)) * 10_000_000
        if listing.venue != "pumpfun":
            return (5 + self.draw(120)) * 10_000_000 * demo_pools.PRICE[1] // demo_pools.PRICE[0]
        held = self.purses.pop((user, listing.mint), 0)
        return held or None

    def _signature(self, slot: int, index: int) -> bytes:
        return blake3(f"{self.chain.seed}:{slot}:{index}".encode()).digest(64)

    def _write(self, address: str, slot: int, signature: bytes | None) -> wire.SubscribeUpdate:
        account: Account = self.chain.accounts[address]
        self.version += 1
        update = wire.SubscribeUpdate()
        update.account.slot = slot
        info = update.account.account
        info.pubkey, info.owner = base58.decode(address), base58.decode(account.owner)
        info.lamports, info.data, info.write_version = account.lamports, account.data, self.version
        if signature is not None:
            info.txn_signature = signature
        return update


def demo(seed: int, rate: int, slots: int | None = None) -> Iterator[Update]:
    """The updates of a demo market.

    Args:
        seed: same seed, same updates.
        rate: updates a second.
        slots: how many; None: without end.
    """
    market = Market(seed, rate)
    number = 0
    while slots is None or number < slots:
        slot = FIRST_SLOT + number
        content = list(market.slot(slot))
        if number == 0:
            content = [*market.first(slot), *content]
        updates = [
            _status(slot, wire.SLOT_FIRST_SHRED_RECEIVED),
            _status(slot, wire.SLOT_CREATED_BANK, slot - 1),
            *content,
            _status(slot, wire.SLOT_COMPLETED),
            _meta(seed, slot, len(content)),
            _status(slot, wire.SLOT_PROCESSED, slot - 1),
        ]
        if number:
            updates.append(_status(slot - 1, wire.SLOT_CONFIRMED))
        if number >= _FINAL_AFTER:
            updates.append(_status(slot - _FINAL_AFTER, wire.SLOT_FINALIZED, slot - _FINAL_AFTER - 1))
        for place, update in enumerate(updates):
            time = BEGAN_NS + number * SLOT_NS + SLOT_NS * place // len(updates)
            update.created_at.seconds, update.created_at.nanos = divmod(time, 10**9)
            kind = update.WhichOneof("update_oneof")
            assert kind is not None
            yield Update(kind, getattr(update, kind).slot, time, update, update.SerializeToString())
        number += 1


def _status(slot: int, status: wire.SlotStatus, parent: int | None = None) -> wire.SubscribeUpdate:
    update = wire.SubscribeUpdate()
    update.slot.slot, update.slot.status = slot, status
    if parent is not None:
        update.slot.parent = parent
    return update


def _blockhash(seed: int, slot: int) -> str:
    return base58.encode(blake3(f"{seed}:block:{slot}".encode()).digest())


def _meta(seed: int, slot: int, count: int) -> wire.SubscribeUpdate:
    update = wire.SubscribeUpdate()
    meta = update.block_meta
    meta.slot, meta.parent_slot = slot, slot - 1
    meta.blockhash, meta.parent_blockhash = _blockhash(seed, slot), _blockhash(seed, slot - 1)
    meta.block_time.timestamp = (BEGAN_NS + (slot - FIRST_SLOT) * SLOT_NS) // 10**9
    meta.block_height.block_height = slot - 20_000_000
    meta.executed_transaction_count = count
    return update
