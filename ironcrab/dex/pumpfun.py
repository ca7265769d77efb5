"""PumpFun, the bonding curve: a constant product over virtual reserves, complete when its tokens are sold.

Program `6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P`. Accounts only ever grew at their end: what an old
account lacks reads as zero. The curve does not name its mint; the mint names the curve (seeds
"bonding-curve", mint).
"""

from collections.abc import Mapping
from struct import Struct as Layout

from msgspec import Struct

from ironcrab.dex import base58, pump_fees, pump_send, pumpfun_parse
from ironcrab.dex.address import TOKEN, TOKEN_PROGRAMS, WSOL, is_key
from ironcrab.dex.face import (
    Account,
    Call,
    Clock,
    Exact,
    Fee,
    Instruction,
    Parsed,
    Quote,
    Refusal,
    Transaction,
)
from ironcrab.dex.later import Later
from ironcrab.dex.pump_curve import U64, Priced
from ironcrab.dex.pump_events import NO_KEY, key_or_none, quote_mint_of

PROGRAM = pumpfun_parse.PROGRAM
GLOBAL = "4wTV1YmiEkRvAtNtsSGPtUrqRYQMe5SKy2uB4Jjaxnjf"
FEE_CONFIG = "8Wf5TiAheLUqBrKXeYg2JtAFFMWtKdG2BSFgqUcPVwTt"
FEE_PROGRAM_AGE, GLOBAL_AGE = "fee_program", "global_fees"

COMPLETE, BUY_ZERO, NOT_ENOUGH_TOKENS, SELL_ZERO, OVERFLOW, TRUNCATION = 6005, 6020, 6021, 6022, 6024, 6025
MINT_MISMATCH, DIVISION_BY_ZERO = 6004, 6026

_CURVE_TAG = bytes.fromhex("17b7f83760d8ac60")
_GLOBAL_TAG = bytes.fromhex("a7e8e8b1c86c727f")
_CURVE = Layout("<8xQQQQQ?32s??32sQ??QQBQQQ")
_RESERVES = Layout("<QQQQ")
_OLDEST = 49
_INSIDE_A_KEY = ((50, 80), (84, 114))
_GLOBAL_BYTES = 1088


class Curve(Struct, frozen=True, gc=False):
    """A decoded BondingCurve; reserves in raw units.

    Attributes:
        virtual_token: tokens that the price reckons with.
        virtual_quote: quote that the price reckons with.
        real_token: tokens still for sale.
        real_quote: quote that was paid in, fees aside.
        supply: token supply at creation.
        complete: nothing is sold or bought any more; the coin migrates or has migrated.
        creator: who gets the creator fee; None where no fee is taken for one.
        mayhem: a mayhem coin, whose agent trades at reserves of its own.
        cashback: the creator fee goes back to the trader.
        quote_mint: mint paid with; WSOL stands for lamports.
        creator_fee_bps: the coin's own creator fee; in force where `Global` allows it and it is not 0.
        can_edit_creator_fee: the creator may change it.
        holder_reward: the creator fee goes to holders.
        creator_fee: raw quote units of creator fees not yet swept.
        protocol_fees: raw quote units of protocol fees not yet swept.
        depth: how many curves away from SOL or USDC the quote is.
        initial_virtual_quote: virtual quote at creation.
        post_complete_base: tokens sold beyond the end of the curve.
        post_complete_quote: quote paid for them.
        size: bytes of the account.
    """

    virtual_token: int
    virtual_quote: int
    real_token: int
    real_quote: int
    supply: int
    complete: bool
    creator: str | None
    mayhem: bool
    cashback: bool
    quote_mint: str
    creator_fee_bps: int
    can_edit_creator_fee: bool
    holder_reward: bool
    creator_fee: int
    protocol_fees: int
    depth: int
    initial_virtual_quote: int
    post_complete_base: int
    post_complete_quote: int
    size: int


class Global(Struct, frozen=True):
    """What quotes and instructions need of `Global`: fee rates, switches, and who may be paid."""

    fee_bps: int
    creator_fee_bps: int
    fee_recipients: tuple[str, ...]
    reserved_recipients: tuple[str, ...]
    buyback_recipients: tuple[str, ...]
    creator_fee_configurable: bool


class Ready(Struct, frozen=True, gc=False):
    """A curve that can be quoted again and again: decoded, with the fees in force.

    `coin` is the mint among the accounts whose curve this is, None where none is proven to be.
    """

    account: Account
    curve: Curve
    priced: Priced
    pool: str
    coin: str | None

    def quote(
        self, *, mint_in: str, amount: int, exact: Exact, clock: Clock, limit: int | None = None
    ) -> Quote | Refusal:
        """See `PumpFun.quote`."""
        del clock
        if limit is not None:
            return Refusal(None, "a bonding curve takes no price limit")
        if not 0 <= amount <= U64:
            return Refusal(None, f"the amount {amount} is no u64")
        if self.coin is not None and mint_in not in (self.coin, self.curve.quote_mint):
            return Refusal(MINT_MISMATCH, f"{mint_in} is neither {self.coin} nor {self.curve.quote_mint}")
        return quote_ready(self.pool, self, mint_in, amount, exact)


def decode_curve(account: Account) -> Curve | Refusal:
    """A BondingCurve, or the refusal that says why these bytes are none. Never raises."""
    data = account.data
    size = len(data)
    if account.owner != PROGRAM or data[:8] != _CURVE_TAG:
        return Refusal(None, f"no bonding curve: owner {account.owner}, discriminator {data[:8].hex()}")
    if size < _OLDEST or any(first <= size <= last for first, last in _INSIDE_A_KEY):
        return Refusal(None, f"no bonding curve: {size} bytes end inside a field")
    fields = _CURVE.unpack_from(data if size >= _CURVE.size else data.ljust(_CURVE.size, b"\0"))
    vt, vq, rt, rq, supply, complete, creator, mayhem, cashback, quote = fields[:10]
    own_fee, editable, holders, creator_fee, protocol_fees, depth, initial, beyond_out, beyond_in = fields[10:]
    return Curve(
        vt,
        vq,
        rt,
        rq,
        supply,
        complete,
        None if creator == NO_KEY else base58.key(creator),
        mayhem,
        cashback,
        quote_mint_of(quote),
        own_fee,
        editable,
        holders,
        creator_fee,
        protocol_fees,
        depth,
        initial,
        beyond_out,
        beyond_in,
        size,
    )


def encode_curve(curve: Curve) -> bytes:
    """The bytes of a BondingCurve of the curve's own size; what lies beyond the known fields is zero."""
    out = bytearray(max(_CURVE.size, curve.size))
    creator = NO_KEY if curve.creator is None else base58.decode(curve.creator)
    quote = NO_KEY if curve.quote_mint == WSOL else base58.decode(curve.quote_mint)
    head = (curve.virtual_token, curve.virtual_quote, curve.real_token, curve.real_quote, curve.supply)
    flags = (curve.complete, creator, curve.mayhem, curve.cashback, quote)
    fee = (curve.creator_fee_bps, curve.can_edit_creator_fee, curve.holder_reward)
    kept = (curve.creator_fee, curve.protocol_fees, curve.depth, curve.initial_virtual_quote)
    beyond = (curve.post_complete_base, curve.post_complete_quote)
    _CURVE.pack_into(out, 0, *head, *flags, *fee, *kept, *beyond)
    out[:8] = _CURVE_TAG
    return bytes(out[: curve.size])


def decode_global(account: Account) -> Global | Refusal:
    """`Global`, or the refusal that says why these bytes are none; old accounts lack later fields."""
    if account.owner != PROGRAM or account.data[:8] != _GLOBAL_TAG or len(account.data) < 113:
        return Refusal(None, f"no pump Global: owner {account.owner}, {len(account.data)} bytes")
    data = account.data.ljust(_GLOBAL_BYTES, b"\0")

    def keys(*offsets: int) -> tuple[str, ...]:
        found = (key_or_none(data[at : at + 32]) for at in offsets)
        return tuple(key for key in found if key is not None)

    return Global(
        fee_bps=int.from_bytes(data[105:113], "little"),
        creator_fee_bps=int.from_bytes(data[154:162], "little"),
        fee_recipients=keys(41, *range(162, 386, 32)),
        reserved_recipients=keys(483, *range(516, 740, 32)),
        buyback_recipients=keys(*range(741, 997, 32)),
        creator_fee_configurable=data[1045] != 0,
    )


def load(pool: str, accounts: Mapping[str, Account], generation: str | None) -> Ready | Refusal:
    """The curve with the fees in force, decoded once for many quotes. Never raises."""
    if pool not in accounts:
        return Refusal(None, f"bonding curve {pool} is unknown", (pool,))
    curve = decode_curve(accounts[pool])
    if isinstance(curve, Refusal):
        return curve
    if curve.complete:
        return Refusal(COMPLETE, f"bonding curve {pool} is complete")
    missing = _missing(curve, accounts, generation)
    if missing:
        return Refusal(None, f"fees of {pool} need accounts that are unknown", missing)
    rates = _rates(curve, accounts, generation)
    if isinstance(rates, Refusal):
        return rates
    if sum(rates) >= 10_000:
        return Refusal(OVERFLOW, f"fees of {sum(rates)} bps leave nothing")
    priced = Priced(curve.virtual_token, curve.virtual_quote, 0, *rates)
    return Ready(accounts[pool], curve, priced, pool, coin_of(pool, accounts))


def _missing(curve: Curve, accounts: Mapping[str, Account], generation: str | None) -> tuple[str, ...]:
    """Addresses that the fees follow from and that are unknown."""
    old = generation == GLOBAL_AGE
    own_fee = curve.creator is not None and curve.creator_fee_bps != 0
    wanted = (() if old else (FEE_CONFIG,)) + ((GLOBAL,) if old or own_fee else ())
    return tuple(address for address in wanted if address not in accounts)


def _rates(curve: Curve, accounts: Mapping[str, Account], generation: str | None) -> tuple[int, int] | Refusal:
    """Protocol and creator fee bps. A coin without creator pays none, whatever the rate.

    The market cap reckons with the stored supply. For mayhem coins published clients disagree about it,
    without effect as long as the curve has one tier.
    """
    house = decode_global(accounts[GLOBAL]) if GLOBAL in accounts else Refusal(None, "unknown", (GLOBAL,))
    if generation == GLOBAL_AGE:
        if isinstance(house, Refusal):
            return house
        return house.fee_bps, house.creator_fee_bps if curve.creator else 0
    config = pump_fees.decode_fee_config(accounts[FEE_CONFIG].data)
    if config is None or accounts[FEE_CONFIG].owner != pump_fees.PROGRAM:
        return Refusal(None, f"no FeeConfig of the fee program at {FEE_CONFIG}")
    if curve.virtual_token == 0:
        return Refusal(DIVISION_BY_ZERO, "virtual token reserves are zero: the market cap divides by them")
    tiers = pump_fees.tiers_for(config, curve.quote_mint, canonical=True)
    fees = pump_fees.fees_at(tiers, curve.virtual_quote * curve.supply // curve.virtual_token)
    if curve.creator is None:
        return fees.protocol, 0
    if curve.creator_fee_bps == 0:
        return fees.protocol, fees.creator
    if isinstance(house, Refusal):
        return house
    return fees.protocol, curve.creator_fee_bps if house.creator_fee_configurable else fees.creator


def quote_ready(pool: str, ready: Ready, mint_in: str, amount: int, exact: Exact) -> Quote | Refusal:
    """What the program would pay on a loaded curve. Any mint but the quote mint is taken for the coin's.

    Exact in, a buy beyond the end takes what is left (`partial`), as the program does for buyers who ask it
    to; to send it, spend the quote's `amount_in`. Since October 2026 a v3 buy may instead go on at the price
    of the pool to come, which is not quoted here. Exact out, a sale pays at least `amount`: the program has
    no such instruction, the least sufficient token amount is found.
    """
    curve = ready.curve
    buys = mint_in == curve.quote_mint
    if amount == 0:
        return Refusal(BUY_ZERO if buys else SELL_ZERO, "the amount is zero")
    return _buy(pool, ready, amount, exact) if buys else _sell(pool, ready, amount, exact)


def _buy(pool: str, ready: Ready, amount: int, exact: Exact) -> Quote | Refusal:
    curve, priced = ready.curve, ready.priced
    left = curve.real_token
    if exact == "in" and priced.divides_by_zero(amount):
        return Refusal(DIVISION_BY_ZERO, "virtual quote reserves are zero: the price divides by them")
    tokens, cost, _, protocol, creator = priced.spend(amount) if exact == "in" else (amount, 0, 0, 0, 0)
    partial = exact == "in" and tokens > left
    if left == 0 or (tokens > left and not partial):
        return Refusal(NOT_ENOUGH_TOKENS, f"{tokens} tokens wanted, {left} left")
    if partial:
        tokens = left
    if partial or exact == "out":
        if tokens >= priced.base:
            return Refusal(OVERFLOW, "the real token reserve is not below the virtual one")
        cost = tokens * priced.quote // (priced.base - tokens) + 1
        _, protocol, creator = priced.fees(cost)
    paid = cost + protocol + creator
    if paid > U64:
        return Refusal(TRUNCATION, f"a price of {paid} is no u64")
    after = _after(pool, ready, -tokens, cost)
    if after is None:
        return Refusal(OVERFLOW, "the reserves would leave the range of a u64")
    fees = _fees(curve, protocol, creator)
    impact = priced.impact_of_buy(cost, tokens)
    return Quote(paid, tokens, fees, impact, partial, after)


def _sell(pool: str, ready: Ready, amount: int, exact: Exact) -> Quote | Refusal:
    curve, priced = ready.curve, ready.priced
    tokens = amount if exact == "in" else priced.sold_for(amount)
    if tokens is None:
        return Refusal(None, f"no sale on {pool} pays {amount}")
    gross, net = priced.sell(tokens)
    if net < 0:
        return Refusal(OVERFLOW, f"the fees exceed the {gross} that the tokens bring")
    after = _after(pool, ready, tokens, -gross)
    if after is None:
        return Refusal(OVERFLOW, f"the curve holds {curve.real_quote}, the sale would take {gross}")
    _, protocol, creator = priced.fees(gross)
    fees = _fees(curve, protocol, creator)
    return Quote(tokens, net, fees, priced.impact_of_sell(tokens, gross), False, after)


def _fees(curve: Curve, protocol: int, creator: int) -> tuple[Fee, ...]:
    """The fees by name; a cashback coin gives the creator's part back to the trader."""
    name = "cashback" if curve.cashback else "creator"
    return Fee("protocol", curve.quote_mint, protocol), Fee(name, curve.quote_mint, creator)


def _after(pool: str, ready: Ready, tokens: int, quote: int) -> Later | None:
    """The curve's account after `tokens` and `quote` entered it (negative: left); None where a u64 breaks."""
    curve = ready.curve
    reserves = (
        curve.virtual_token + tokens,
        curve.virtual_quote + quote,
        curve.real_token + tokens,
        curve.real_quote + quote,
    )
    return Later(_written, (pool, ready, reserves, quote)) if min(reserves) >= 0 and max(reserves) <= U64 else None


def _written(pool: str, ready: Ready, reserves: tuple[int, int, int, int], quote: int) -> dict[str, Account]:
    """The account with other reserves. Lamports move with a SOL quote; with its last token sold it is complete."""
    account = ready.account
    data = bytearray(account.data)
    _RESERVES.pack_into(data, 8, *reserves)
    if reserves[2] == 0:
        data[48] = 1
    lamports = account.lamports + (quote if ready.curve.quote_mint == WSOL else 0)
    return {pool: Account(account.owner, max(lamports, 0), bytes(data))}


class PumpFun:
    """The venue `pumpfun`; see `ironcrab.dex.face.Venue`.

    Generations differ in where the fee bps stand: `fee_program` since September 2025 (FeeConfig) and
    `global_fees` before it (Global). The arithmetic is the same. Fees told are `protocol` (buyback included)
    and `creator`, which is named `cashback` on coins that give it back. `after` holds the curve's account.
    """

    id = "pumpfun"
    programs: tuple[str, ...] = (PROGRAM,)
    generations: tuple[tuple[str, str], ...] = ((FEE_PROGRAM_AGE, "observed"), (GLOBAL_AGE, "observed"))

    def parse(self, call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
        """Trades, creations, completions and migrations of one call; swap reserves are the virtual ones."""
        del transaction
        return pumpfun_parse.parse_call(call)

    def needs(self, pool: str, accounts: Mapping[str, Account], mint_in: str) -> tuple[str, ...]:
        """The curve, the fee config, and `Global` where the coin sets its own creator fee."""
        del mint_in
        if pool not in accounts:
            return tuple(address for address in (pool, FEE_CONFIG, GLOBAL) if address not in accounts)
        curve = decode_curve(accounts[pool])
        return () if isinstance(curve, Refusal) else _missing(curve, accounts, None)

    def load(self, pool: str, accounts: Mapping[str, Account], generation: str | None) -> Ready | Refusal:
        """See `ironcrab.dex.face.Venue`; all that a quote needs is looked up at once."""
        return load(pool, accounts, generation)

    def quote(
        self,
        pool: str,
        accounts: Mapping[str, Account],
        *,
        mint_in: str,
        amount: int,
        exact: Exact,
        clock: Clock,
        limit: int | None,
        generation: str | None,
    ) -> Quote | Refusal:
        """See `load` and `quote_ready`. A mint that is proven not to be the coin's is refused."""
        ready = load(pool, accounts, generation)
        if isinstance(ready, Refusal):
            return ready
        return ready.quote(mint_in=mint_in, amount=amount, exact=exact, clock=clock, limit=limit)

    def instructions(
        self,
        pool: str,
        accounts: Mapping[str, Account],
        *,
        user: str,
        mint_in: str,
        amount: int,
        other_amount: int,
        exact: Exact,
        clock: Clock,
        fallback: bool = False,
    ) -> tuple[Instruction, ...] | Refusal:
        """v3 (v2 for cashback coins); as fallback the legacy form (v2 for a quote other than SOL).

        The coin's mint must be among `accounts`: the curve does not name it. Exact out, a sale sells
        `other_amount` and asks for at least `amount`. Recipients rotate with the slot.
        """
        if not (0 <= amount <= U64 and 0 <= other_amount <= U64):
            return Refusal(None, f"the amounts {amount} and {other_amount} are no u64")
        if not is_key(user):
            return Refusal(None, f"the user {user!r} is no key")
        trade = _trade(pool, accounts, user, mint_in, clock)
        if isinstance(trade, Refusal):
            return trade
        form = "v2" if trade.cashback else "v3"
        if fallback:
            form = "legacy" if trade.quote_mint == WSOL else "v2"
        return (pump_send.curve_trade(trade, form, exact, amount, other_amount),)

    def compute_units(self, quote: Quote) -> int:
        """A flat 120,000: a buy that completed its curve used 78,599 with a token account made beside it."""
        del quote
        return 120_000


VENUE = PumpFun()


def coin_of(pool: str, accounts: Mapping[str, Account]) -> str | None:
    """The mint among `accounts` whose bonding curve this pool is, or None."""
    mints = (key for key, account in accounts.items() if account.owner in TOKEN_PROGRAMS and is_key(key))
    return next((mint for mint in mints if pumpfun_parse.curve_of(base58.decode(mint)) == pool), None)


def _trade(
    pool: str, accounts: Mapping[str, Account], user: str, mint_in: str, clock: Clock
) -> pump_send.CurveTrade | Refusal:
    """Everything that the metas of a trade follow from."""
    missing = tuple(address for address in (pool, GLOBAL) if address not in accounts)
    if missing:
        return Refusal(None, f"instructions for {pool} need accounts that are unknown", missing)
    curve, house = decode_curve(accounts[pool]), decode_global(accounts[GLOBAL])
    if isinstance(curve, Refusal):
        return curve
    if isinstance(house, Refusal):
        return house
    coin = coin_of(pool, accounts)
    if coin is None:
        named = () if mint_in == curve.quote_mint else (mint_in,)
        return Refusal(None, f"the mint of the coin of {pool} is unknown", named)
    if mint_in not in (coin, curve.quote_mint):
        return Refusal(MINT_MISMATCH, f"{mint_in} is neither {coin} nor {curve.quote_mint}")
    quote_program = TOKEN
    if curve.quote_mint not in (WSOL, pump_fees.USDC):
        if curve.quote_mint not in accounts:
            return Refusal(None, "the token program of the quote mint is unknown", (curve.quote_mint,))
        quote_program = accounts[curve.quote_mint].owner
        if quote_program not in TOKEN_PROGRAMS:
            return Refusal(None, f"the owner {quote_program} of {curve.quote_mint} is no token program")
    takers = house.reserved_recipients if curve.mayhem else house.fee_recipients
    if not takers:
        return Refusal(None, "Global names no fee recipient")
    buyback = house.buyback_recipients
    return pump_send.CurveTrade(
        user=user,
        curve=pool,
        coin=coin,
        coin_program=accounts[coin].owner,
        quote_mint=curve.quote_mint,
        quote_program=quote_program,
        creator=curve.creator,
        cashback=curve.cashback,
        fee_recipient=takers[clock.slot % len(takers)],
        buyback_recipient=buyback[clock.slot % len(buyback)] if buyback else None,
        buys=mint_in == curve.quote_mint,
    )
