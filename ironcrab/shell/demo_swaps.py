"""One swap of the demo market: quoted by the venue itself, told as its program would tell it.

What the quote says that the accounts are afterwards is what the demo writes: reserves, trades and later quotes agree
to the last unit, for they all come from the same arithmetic.
"""

from collections.abc import Callable
from struct import pack

from msgspec import Struct

from ironcrab.dex import VENUES, base58, dlmm_parse, pumpfun, pumpfun_parse, pumpswap, raydium, raydium_cpmm
from ironcrab.dex.address import TOKEN, WSOL, associated
from ironcrab.dex.face import Account, Clock, Instruction, Quote, Refusal
from ironcrab.dex.mint import amount_of, with_amount
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell.demo_calls import Held, Made, data_log, event, ray_log, told, transfer
from ironcrab.shell.demo_pools import DECIMALS, SUPPLY, Chain, Listing

_BY_ID = {venue.id: venue for venue in VENUES}
_PUMP_EVENTS = "Ce6TQqeHC9p8KetsN6JsjHK7UTZk7nasjjnr7XxXp9F1"
_AMM_EVENTS = "GS4CU59F31iL7aR2Q8zVS8DRrcRnXX1yjQ66TqNVQnaR"
_DLMM_EVENTS = "D1ZN9Wj1fRSUQfCjhvnu1hqDMT7hzjzBBpi12nVniYD6"
_CREATE = bytes.fromhex("181ec828051c0777")


class Swapped(Struct, frozen=True):
    """A swap that is about to be told: what was paid, what came out, in a pool as it was before."""

    listing: Listing
    instruction: Instruction
    quote: Quote
    before: dict[str, Account]
    user: str
    is_buy: bool
    clock: Clock

    def fee(self, name: str) -> int:
        """Raw units of the fees of one name."""
        return sum(fee.amount for fee in self.quote.fees if fee.name == name)

    @property
    def vaults(self) -> tuple[str, str]:
        """The vaults that money enters and leaves."""
        base, quote = self.listing.vaults
        return (quote, base) if self.is_buy else (base, quote)

    @property
    def moved(self) -> tuple[int, int]:
        """Raw units that enter and leave the vaults of a pool whose fees stay inside."""
        return self.quote.amount_in, self.quote.amount_out

    def held_before(self, vault: str) -> int:
        """Raw units in a vault before."""
        return amount_of(self.before[vault])


def swap(
    chain: Chain, listing: Listing, user: str, amount: int, *, is_buy: bool, clock: Clock
) -> tuple[Swapped, dict[str, Account]] | None:
    """Quote a swap of `amount` raw units paid; what it leaves behind, or None where the venue refuses."""
    venue = _BY_ID[listing.venue]
    known = {key: chain.accounts[key] for key in listing.knows}
    mint_in = WSOL if is_buy else listing.mint
    quote = venue.quote(
        listing.pool, known, mint_in=mint_in, amount=amount, exact="in", clock=clock, limit=None, generation=None
    )
    if isinstance(quote, Refusal) or quote.partial:
        return None
    made = venue.instructions(
        listing.pool, known, user=user, mint_in=mint_in, amount=amount, other_amount=quote.amount_out, exact="in",
        clock=clock, fallback=listing.venue == "pump_amm",
    )  # fmt: skip
    if isinstance(made, Refusal):
        return None
    before = {key: chain.accounts[key] for key in (*listing.knows, *listing.vaults)}
    done = Swapped(listing, made[-1], quote, before, user, is_buy, clock)
    after = dict(quote.after)
    if listing.venue == "pumpfun":
        vault = listing.vaults[0]
        tokens = -quote.amount_out if is_buy else quote.amount_in
        after[vault] = with_amount(before[vault], amount_of(before[vault]) + tokens)
    elif listing.venue == "orca":
        for vault, delta in zip(done.vaults, (done.moved[0], -done.moved[1]), strict=True):
            after[vault] = with_amount(before[vault], amount_of(before[vault]) + delta)
    return done, after


def tell(done: Swapped, after: dict[str, Account], slot: int, index: int, signature: bytes) -> wire.SubscribeUpdate:
    """The transaction of a swap."""
    listing = done.listing
    inner, lines = _TOLD[listing.venue](done)
    made = done.instruction
    call = Made(made.program, tuple(meta.pubkey for meta in made.metas), made.data, inner, lines)
    held = [
        Held(vault, mint, listing.authority, decimals, amount_of(done.before[vault]), amount_of(after[vault]))
        for vault, mint, decimals in zip(listing.vaults, (listing.mint, WSOL), (DECIMALS, 9), strict=True)
        if vault in after and done.before[vault].owner == TOKEN
    ]
    return told(slot, index, signature, done.user, (call,), held)


def _transfers(done: Swapped, amounts: tuple[int, int]) -> tuple[Made, Made]:
    """What the user pays into one vault, and what the other pays to him."""
    mints = (WSOL, done.listing.mint) if done.is_buy else (done.listing.mint, WSOL)
    accounts = tuple(associated(done.user, mint, TOKEN) for mint in mints)
    return (
        transfer(accounts[0], done.vaults[0], done.user, amounts[0]),
        transfer(done.vaults[1], accounts[1], done.listing.authority, amounts[1]),
    )


def _raydium(done: Swapped) -> tuple[tuple[Made, ...], tuple[str, ...]]:
    base, quote = (done.held_before(vault) for vault in done.listing.vaults)
    paid, out = done.moved
    log = pack("<BQQQQQQQ", 3, paid, out, 1 if done.is_buy else 2, paid, base, quote, out)
    return _transfers(done, done.moved), (ray_log(log),)


def _cpmm(done: Swapped) -> tuple[tuple[Made, ...], tuple[str, ...]]:
    state = raydium_cpmm.decode(done.before[done.listing.pool])
    assert not isinstance(state, Refusal)
    owed = (state.protocol_0 + state.fund_0, state.protocol_1 + state.fund_1)
    base, quote = (done.held_before(vault) - kept for vault, kept in zip(done.listing.vaults, owed, strict=True))
    before = (quote, base) if done.is_buy else (base, quote)
    mints = (WSOL, done.listing.mint) if done.is_buy else (done.listing.mint, WSOL)
    trade = sum(done.fee(name) for name in ("lp", "protocol", "fund"))
    log = bytes.fromhex("40c6cde8260871e2") + base58.decode(done.listing.pool)
    log += pack("<QQQQQQ?", *before, *done.moved, 0, 0, True)
    log += base58.decode(mints[0]) + base58.decode(mints[1]) + pack("<QQ?", trade, 0, True)
    return _transfers(done, done.moved), (data_log(log),)


def _orca(done: Swapped) -> tuple[tuple[Made, ...], tuple[str, ...]]:
    return _transfers(done, done.moved), ()


def _dlmm(done: Swapped) -> tuple[tuple[Made, ...], tuple[str, ...]]:
    pool, user = base58.decode(done.listing.pool), base58.decode(done.user)
    protocol = done.fee("protocol")
    fee = protocol + done.fee("lp")
    body = pack("<32s32siiQQ?QQQQQ", pool, user, 0, 0, *done.moved, not done.is_buy, fee, protocol, 0, 0, 0)
    said = event(done.instruction.program, _DLMM_EVENTS, dlmm_parse.SWAP + body)
    return (*_transfers(done, done.moved), said), ()


def _pumpfun(done: Swapped) -> tuple[tuple[Made, ...], tuple[str, ...]]:
    state = pumpfun.decode_curve(done.quote.after[done.listing.pool])
    assert not isinstance(state, Refusal)
    protocol, creator = done.fee("protocol"), done.fee("creator")
    quote = done.quote
    paid = quote.amount_in - protocol - creator if done.is_buy else quote.amount_out + protocol + creator
    tokens = quote.amount_out if done.is_buy else quote.amount_in
    mint, user = base58.decode(done.listing.mint), base58.decode(done.user)
    body = bytes.fromhex("bddb7fd34ee661ee") + mint
    body += pack("<QQ?32sq", paid, tokens, done.is_buy, user, done.clock.unix_timestamp)
    body += pack("<QQQQ", state.virtual_quote, state.virtual_token, state.real_quote, state.real_token)
    taker = base58.decode(done.instruction.metas[0].pubkey)
    maker = base58.decode(state.creator) if state.creator else bytes(32)
    body += pack("<32sQQ32sQQ", taker, 93, protocol, maker, 30, creator)
    vault, purse = done.listing.vaults[0], associated(done.user, done.listing.mint, TOKEN)
    ends = (vault, purse, done.listing.pool) if done.is_buy else (purse, vault, done.user)
    return (transfer(*ends, tokens), event(pumpfun.PROGRAM, _PUMP_EVENTS, body)), ()


def _pumpswap(done: Swapped) -> tuple[tuple[Made, ...], tuple[str, ...]]:
    state = pumpswap.decode_pool(done.before[done.listing.pool])
    assert not isinstance(state, Refusal)
    lp, protocol, creator = (done.fee(name) for name in ("lp", "protocol", "creator"))
    quote = done.quote
    if done.is_buy:
        base, money = quote.amount_out, quote.amount_in - protocol - creator
        amounts = money, base
    else:
        base, money = quote.amount_in, quote.amount_out + protocol + creator
        amounts = base, money
    vaults = tuple(done.held_before(vault) for vault in done.listing.vaults)
    tag = bytes.fromhex("67f4521f2cf57777" if done.is_buy else "3e2f370aa503dc2a")
    body = tag + pack("<qQ24xQQ16xQ8xQQ8x", done.clock.unix_timestamp, base, *vaults, lp, protocol, money)
    body += base58.decode(done.listing.pool) + base58.decode(done.user) + bytes(64)
    body += base58.decode(done.instruction.metas[9].pubkey) + bytes(32)
    body += (base58.decode(state.coin_creator) if state.coin_creator else bytes(32)) + pack("<QQ", 0, creator)
    return (*_transfers(done, amounts), event(pumpswap.PROGRAM, _AMM_EVENTS, body)), ()


_TOLD: dict[str, Callable[[Swapped], tuple[tuple[Made, ...], tuple[str, ...]]]] = {
    raydium.VENUE.id: _raydium,
    raydium_cpmm.VENUE.id: _cpmm,
    "orca": _orca,
    "meteora_dlmm": _dlmm,
    pumpfun.VENUE.id: _pumpfun,
    pumpswap.VENUE.id: _pumpswap,
}


def birth(listing: Listing, creator: str, slot: int, index: int, signature: bytes, time: int) -> wire.SubscribeUpdate:
    """The transaction that creates a PumpFun coin: mint made, supply minted, authority given up, curve opened."""
    mint, pool, vault = listing.mint, listing.pool, listing.vaults[0]
    texts = (f"Demo {mint[:4]}", f"D{mint[:4]}", "")
    body = bytes.fromhex("1b72a94ddeeb6376") + b"".join(pack("<I", len(text)) + text.encode() for text in texts)
    body += b"".join(base58.decode(key) for key in (mint, pool, creator, creator))
    body += pack("<qQQQQ", time, 1_073_000_000_000_000, 30 * 10**9, 793_100_000_000_000, SUPPLY)
    inner = (
        Made(TOKEN, (mint,), b"\x14" + bytes((DECIMALS,)) + base58.decode(pool) + b"\0"),
        Made(TOKEN, (mint, vault, pool), b"\x07" + SUPPLY.to_bytes(8, "little")),
        Made(TOKEN, (mint, pool), b"\x06\0\0"),
        event(pumpfun_parse.PROGRAM, _PUMP_EVENTS, body),
    )
    call = Made(pumpfun.PROGRAM, (mint, pumpfun.GLOBAL, pool, vault, creator), _CREATE, inner)
    held = Held(vault, mint, pool, DECIMALS, None, SUPPLY)
    return told(slot, index, signature, creator, (call,), (held,))
