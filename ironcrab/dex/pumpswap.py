"""PumpSwap, the pools that completed curves migrate to: a constant product with fees on the quote side.

Program `pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA`. Prices follow from the effective quote reserve: the
quote vault plus the pool's signed virtual reserve, never the vault alone. Accounts only ever grew at their
end: what an old account lacks reads as zero.
"""

from collections.abc import Mapping
from struct import Struct as Layout

from msgspec import Struct

from ironcrab.dex import base58, pump_fees, pump_send, pumpfun_parse, pumpswap_parse
from ironcrab.dex.address import TOKEN_PROGRAMS, find_program_address, is_key
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
from ironcrab.dex.mint import Mint, TokenAccount, decode_mint, decode_token, moved, schedule, transfer_refusal
from ironcrab.dex.pump_curve import U64, Priced
from ironcrab.dex.pump_events import NO_KEY, key_or_none

PROGRAM = pumpswap_parse.PROGRAM
GLOBAL_CONFIG = "ADyA8hdefvWN2dbGGWFotbzWxrAvLW83WG6QCVXvJKqw"
FEE_CONFIG = "5PHirr8joyTMp9JMm6nW7hNDVyEYdkzDqazxPD7RaTjx"
FEE_PROGRAM_AGE, GLOBAL_AGE = "fee_program", "global_fees"

ZERO_BASE, ZERO_QUOTE, ALL_RESERVES, BUY_DISABLED, SELL_DISABLED = 6001, 6002, 6016, 6020, 6021
OVERFLOW, TRUNCATION, DIVISION_BY_ZERO, SHORT_OF_REAL_QUOTE = 6023, 6024, 6025, 6063
_FROZEN = 17

_POOL_TAG = bytes.fromhex("f19a6d0411b16dbc")
_CONFIG_TAG = bytes.fromhex("95089ccaa0fcb0d9")
_POOL = Layout("<8xBH32s32s32s32s32s32sQ32s??QqQ??QQ")
_OLDEST = 211
_INSIDE_A_FIELD = ((212, 242), (246, 260))
_CONFIG_BYTES = 949
_MAYHEM_SUPPLY = 1_000_000_000_000_000
_NO_BUY, _NO_SELL = 8, 16


class Pool(Struct, frozen=True, gc=False):
    """A decoded Pool; amounts in raw units.

    Attributes:
        bump: bump of the pool's address.
        index: number of the pool among those of its creator.
        creator: who created it; the pool authority of PumpFun for a migrated coin.
        base_mint: the coin.
        quote_mint: what it is priced in.
        lp_mint: mint of its LP tokens (Token-2022).
        base_vault: token account of the base reserve.
        quote_vault: token account of the quote reserve.
        lp_supply: LP tokens, burnt ones included.
        coin_creator: who gets the creator fee; None where no fee is taken for one.
        mayhem: a mayhem coin, whose market cap reckons with the fixed supply.
        cashback: the creator fee goes back to the trader.
        virtual_quote: added to the quote vault for pricing; negative where the vault keeps unswept fees.
        creator_fee_bps: the coin's own creator fee; in force where the config allows it and it is not 0.
        can_edit_creator_fee: the creator may change it.
        holder_reward: the creator fee goes to holders.
        protocol_fees: unswept protocol fees in the quote vault.
        creator_fees: unswept creator fees in the quote vault.
        size: bytes of the account.
    """

    bump: int
    index: int
    creator: str
    base_mint: str
    quote_mint: str
    lp_mint: str
    base_vault: str
    quote_vault: str
    lp_supply: int
    coin_creator: str | None
    mayhem: bool
    cashback: bool
    virtual_quote: int
    creator_fee_bps: int
    can_edit_creator_fee: bool
    holder_reward: bool
    protocol_fees: int
    creator_fees: int
    size: int


class Config(Struct, frozen=True):
    """What quotes and instructions need of `GlobalConfig`: switches, old fee rates, and who may be paid."""

    fees: pump_fees.Fees
    disable_flags: int
    fee_recipients: tuple[str, ...]
    reserved_recipients: tuple[str, ...]
    buyback_recipients: tuple[str, ...]
    creator_fee_configurable: bool


class Ready(Struct, frozen=True, gc=False):
    """A pool that can be quoted again and again: decoded, with vaults, switches and the fees in force.

    `held_base` and `held_quote` are in the vaults; `payable` is the quote there beyond unswept fees.
    """

    pool: Pool
    base_account: Account
    quote_account: Account
    priced: Priced
    disable_flags: int
    held_base: int
    held_quote: int
    payable: int


def decode_pool(account: Account) -> Pool | Refusal:
    """A Pool, or the refusal that says why these bytes are none. Never raises."""
    data = account.data
    size = len(data)
    if account.owner != PROGRAM or data[:8] != _POOL_TAG:
        return Refusal(None, f"no PumpSwap pool: owner {account.owner}, discriminator {data[:8].hex()}")
    if size < _OLDEST or any(first <= size <= last for first, last in _INSIDE_A_FIELD):
        return Refusal(None, f"no PumpSwap pool: {size} bytes end inside a field")
    fields = _POOL.unpack_from(data if size >= _POOL.size else data.ljust(_POOL.size, b"\0"))
    bump, index, creator, base, quote, lp, base_vault, quote_vault, supply, coin_creator = fields[:10]
    mayhem, cashback, low, high, own_fee, editable, holders, protocol_fees, creator_fees = fields[10:]
    return Pool(
        bump,
        index,
        base58.key(creator),
        base58.key(base),
        base58.key(quote),
        base58.key(lp),
        base58.key(base_vault),
        base58.key(quote_vault),
        supply,
        None if coin_creator == NO_KEY else base58.key(coin_creator),
        mayhem,
        cashback,
        (high << 64) + low,
        own_fee,
        editable,
        holders,
        protocol_fees,
        creator_fees,
        size,
    )


def encode_pool(pool: Pool) -> bytes:
    """The bytes of a Pool of the pool's own size; what lies beyond the known fields is zero."""
    out = bytearray(max(_POOL.size, pool.size))
    keys = (pool.creator, pool.base_mint, pool.quote_mint, pool.lp_mint, pool.base_vault, pool.quote_vault)
    coin_creator = NO_KEY if pool.coin_creator is None else base58.decode(pool.coin_creator)
    high, low = divmod(pool.virtual_quote, 2**64)
    head = (pool.bump, pool.index, *(base58.decode(key) for key in keys), pool.lp_supply, coin_creator)
    tail = (pool.creator_fee_bps, pool.can_edit_creator_fee, pool.holder_reward)
    kept = (pool.protocol_fees, pool.creator_fees)
    _POOL.pack_into(out, 0, *head, pool.mayhem, pool.cashback, low, high, *tail, *kept)
    out[:8] = _POOL_TAG
    return bytes(out[: pool.size])


def decode_config(account: Account) -> Config | Refusal:
    """`GlobalConfig`, or the refusal that says why these bytes are none; old accounts lack later fields."""
    if account.owner != PROGRAM or account.data[:8] != _CONFIG_TAG or len(account.data) < 313:
        return Refusal(None, f"no GlobalConfig: owner {account.owner}, {len(account.data)} bytes")
    data = account.data.ljust(_CONFIG_BYTES, b"\0")

    def number(at: int) -> int:
        return int.from_bytes(data[at : at + 8], "little")

    def keys(*offsets: int) -> tuple[str, ...]:
        found = (key_or_none(data[at : at + 32]) for at in offsets)
        return tuple(key for key in found if key is not None)

    return Config(
        fees=pump_fees.Fees(number(40), number(48), number(313)),
        disable_flags=data[56],
        fee_recipients=keys(*range(57, 313, 32)),
        reserved_recipients=keys(385, *range(418, 642, 32)),
        buyback_recipients=keys(*range(643, 899, 32)),
        creator_fee_configurable=data[940] != 0,
    )


def canonical(pool: Pool) -> bool:
    """Whether a bonding curve migrated to this pool: its creator is PumpFun's authority for the coin."""
    seeds = (b"pool-authority", base58.decode(pool.base_mint))
    return pool.creator == find_program_address(seeds, pumpfun_parse.PROGRAM)[0]


def load(address: str, accounts: Mapping[str, Account], clock: Clock, generation: str | None) -> Ready | Refusal:
    """The pool with vaults and the fees in force, decoded once for many quotes. Never raises."""
    if address not in accounts:
        return Refusal(None, f"pool {address} is unknown", (address,))
    pool = decode_pool(accounts[address])
    if isinstance(pool, Refusal):
        return pool
    missing = _missing(pool, accounts, generation)
    if missing:
        return Refusal(None, f"a quote on {address} needs accounts that are unknown", missing)
    base = _vault(pool.base_vault, pool.base_mint, accounts, clock)
    if isinstance(base, Refusal):
        return base
    quote = _vault(pool.quote_vault, pool.quote_mint, accounts, clock)
    if isinstance(quote, Refusal):
        return quote
    config = decode_config(accounts[GLOBAL_CONFIG])
    if isinstance(config, Refusal):
        return config
    effective = quote.amount + pool.virtual_quote
    if not 0 <= effective <= U64:
        return Refusal(OVERFLOW, f"an effective quote reserve of {effective} is no u64")
    if base.amount == 0:
        return Refusal(DIVISION_BY_ZERO, "the base reserve is zero: prices divide by it")
    fees = _fees(pool, config, accounts, (base.amount, effective), generation)
    if isinstance(fees, Refusal):
        return fees
    if fees.lp + fees.protocol + fees.creator >= 10_000:
        return Refusal(OVERFLOW, f"{fees} leave nothing")
    return Ready(
        pool,
        accounts[pool.base_vault],
        accounts[pool.quote_vault],
        Priced(base.amount, effective, fees.lp, fees.protocol, fees.creator),
        config.disable_flags,
        base.amount,
        quote.amount,
        quote.amount - pool.protocol_fees - pool.creator_fees,
    )


def _missing(pool: Pool, accounts: Mapping[str, Account], generation: str | None) -> tuple[str, ...]:
    """Addresses that a quote needs and that are unknown.

    The base mint is one where its supply picks among several tiers, or where a vault says that transfers of
    the mint are not plain.
    """
    wanted = [pool.base_vault, pool.quote_vault, GLOBAL_CONFIG]
    if generation != GLOBAL_AGE:
        wanted.append(FEE_CONFIG)
        if not pool.mayhem and _several_tiers(pool, accounts):
            wanted.append(pool.base_mint)
    for vault, mint in ((pool.base_vault, pool.base_mint), (pool.quote_vault, pool.quote_mint)):
        if vault in accounts and _not_plain(accounts[vault]):
            wanted.append(mint)
    return tuple(dict.fromkeys(address for address in wanted if address not in accounts))


def _several_tiers(pool: Pool, accounts: Mapping[str, Account]) -> bool:
    """Whether the market cap decides about the fees, as far as is known."""
    if not canonical(pool):
        return False
    if FEE_CONFIG not in accounts:
        return True
    config = pump_fees.decode_fee_config(accounts[FEE_CONFIG].data)
    return config is not None and len(pump_fees.tiers_for(config, pool.quote_mint, canonical=True)) > 1


def _not_plain(account: Account) -> bool:
    """Whether a vault's extensions say that transfers of its mint cost a fee or call a hook."""
    vault = decode_token(account)
    extensions = () if isinstance(vault, Refusal) else vault.extensions
    return "TransferFeeAmount" in extensions or "TransferHookAccount" in extensions


def _vault(address: str, mint: str, accounts: Mapping[str, Account], clock: Clock) -> TokenAccount | Refusal:
    """A vault's token account. How the program reckons with a transfer fee was never seen: refused."""
    vault = decode_token(accounts[address])
    if isinstance(vault, Refusal):
        return Refusal(None, f"vault {address}: {vault.reason}")
    if vault.frozen:
        return Refusal(_FROZEN, f"vault {address} is frozen")
    if mint in accounts:
        decoded = decode_mint(accounts[mint])
        if isinstance(decoded, Refusal):
            return decoded
        untradable = transfer_refusal(decoded, mint)
        if untradable is not None:
            return untradable
        fee = schedule(decoded, clock.epoch)
        if fee is not None and fee.bps and fee.maximum:
            return Refusal(None, f"mint {mint} charges a transfer fee of {fee.bps} bps, which is not modelled")
    return vault


def _fees(
    pool: Pool,
    config: Config,
    accounts: Mapping[str, Account],
    reserves: tuple[int, int],
    generation: str | None,
) -> pump_fees.Fees | Refusal:
    """The fee bps in force at (base, effective quote) reserves; no creator fee without a coin creator."""
    if generation == GLOBAL_AGE:
        fees = config.fees
    else:
        tariff = pump_fees.decode_fee_config(accounts[FEE_CONFIG].data)
        if tariff is None or accounts[FEE_CONFIG].owner != pump_fees.PROGRAM:
            return Refusal(None, f"no FeeConfig of the fee program at {FEE_CONFIG}")
        tiers = pump_fees.tiers_for(tariff, pool.quote_mint, canonical=canonical(pool))
        supply = _MAYHEM_SUPPLY
        if len(tiers) > 1 and not pool.mayhem:
            mint = decode_mint(accounts[pool.base_mint])
            assert isinstance(mint, Mint)  # the base vault was read with it
            supply = mint.supply
        fees = pump_fees.fees_at(tiers, reserves[1] * supply // reserves[0])
    creator = fees.creator
    if config.creator_fee_configurable and pool.creator_fee_bps and generation != GLOBAL_AGE:
        creator = pool.creator_fee_bps
    return pump_fees.Fees(fees.lp, fees.protocol, creator if pool.coin_creator else 0)


def quote_ready(ready: Ready, mint_in: str, amount: int, exact: Exact) -> Quote | Refusal:
    """What the program would pay on a loaded pool.

    Exact out, a sale pays at least `amount`: the program has no such instruction, the least sufficient base
    amount is found.
    """
    pool = ready.pool
    if mint_in not in (pool.base_mint, pool.quote_mint):
        return Refusal(None, f"{mint_in} is neither {pool.base_mint} nor {pool.quote_mint}")
    buys = mint_in == pool.quote_mint
    if ready.disable_flags & (_NO_BUY if buys else _NO_SELL):
        return Refusal(BUY_DISABLED if buys else SELL_DISABLED, "the config has disabled it")
    if amount == 0:
        return Refusal(ZERO_QUOTE if buys and exact == "in" else ZERO_BASE, "the amount is zero")
    return _buy(ready, amount, exact) if buys else _sell(ready, amount, exact)


def _buy(ready: Ready, amount: int, exact: Exact) -> Quote | Refusal:
    priced = ready.priced
    if exact == "in":
        if priced.divides_by_zero(amount):
            return Refusal(DIVISION_BY_ZERO, "the effective quote reserve is zero: the price divides by it")
        base, net, lp, protocol, creator = priced.spend(amount)
    else:
        base = amount
        if base >= priced.base:
            return Refusal(ALL_RESERVES, f"{base} wanted, the pool holds {priced.base}")
        net = -(-priced.quote * base // (priced.base - base))
        lp, protocol, creator = priced.fees(net)
    if base >= priced.base:
        return Refusal(ALL_RESERVES, f"{base} wanted, the pool holds {priced.base}")
    paid = net + lp + protocol + creator
    if paid > U64:
        return Refusal(TRUNCATION, f"a price of {paid} is no u64")
    after = _after(ready, -base, net + lp)
    if after is None:
        return Refusal(OVERFLOW, "a vault would leave the range of a u64")
    fees = _named(ready.pool, lp, protocol, creator)
    return Quote(paid, base, fees, priced.impact_of_buy(net, base), False, after)


def _sell(ready: Ready, amount: int, exact: Exact) -> Quote | Refusal:
    priced = ready.priced
    base = amount if exact == "in" else priced.sold_for(amount)
    if base is None:
        return Refusal(None, f"no sale on this pool pays {amount}")
    gross, net = priced.sell(base)
    if net < 0:
        return Refusal(OVERFLOW, f"the fees exceed the {gross} that the tokens bring")
    lp, protocol, creator = priced.fees(gross)
    if gross - lp > ready.payable:
        return Refusal(SHORT_OF_REAL_QUOTE, f"{gross - lp} to pay out, the vault has {ready.payable} to give")
    after = _after(ready, base, lp - gross)
    if after is None:
        return Refusal(OVERFLOW, "a vault would leave the range of a u64")
    fees = _named(ready.pool, lp, protocol, creator)
    return Quote(base, net, fees, priced.impact_of_sell(base, gross), False, after)


def _named(pool: Pool, lp: int, protocol: int, creator: int) -> tuple[Fee, ...]:
    """The fees by name; a cashback coin gives the creator's part back to the trader."""
    mint = pool.quote_mint
    name = "cashback" if pool.cashback else "creator"
    return Fee("lp", mint, lp), Fee("protocol", mint, protocol), Fee(name, mint, creator)


def _after(ready: Ready, base: int, quote: int) -> Later | None:
    """Both vaults after amounts entered them (negative: left); None where a u64 would break."""
    fit = 0 <= ready.held_base + base <= U64 and 0 <= ready.held_quote + quote <= U64
    return Later(_vaults, (ready, base, quote)) if fit else None


def _vaults(ready: Ready, base: int, quote: int) -> dict[str, Account]:
    pool = ready.pool
    return {pool.base_vault: moved(ready.base_account, base), pool.quote_vault: moved(ready.quote_account, quote)}


class Held:
    """A pool whose accounts are held for many quotes; decoded anew when an epoch, which sets transfer fees, begins."""

    def __init__(self, pool: str, accounts: Mapping[str, Account], generation: str | None) -> None:
        self.pool = pool
        self.accounts = accounts
        self.generation = generation
        self.epoch: int | None = None
        self.ready: Ready | Refusal = Refusal(None, "not looked at")

    def quote(
        self, *, mint_in: str, amount: int, exact: Exact, clock: Clock, limit: int | None = None
    ) -> Quote | Refusal:
        """See `PumpSwap.quote`."""
        if limit is not None:
            return Refusal(None, "a PumpSwap pool takes no price limit")
        if not 0 <= amount <= U64:
            return Refusal(None, f"the amount {amount} is no u64")
        if self.epoch != clock.epoch:
            self.ready = load(self.pool, self.accounts, clock, self.generation)
            self.epoch = clock.epoch
        if type(self.ready) is Refusal:
            return self.ready
        return quote_ready(self.ready, mint_in, amount, exact)


class PumpSwap:
    """The venue `pump_amm`; see `ironcrab.dex.face.Venue`.

    Generations differ in where the fee bps stand: `fee_program` since September 2025 (FeeConfig) and
    `global_fees` before it (GlobalConfig). The arithmetic is the same. Fees told are `lp`, `protocol`
    (buyback included) and `creator`, named `cashback` on pools that give it back. `after` holds both vaults,
    as the forms leave them that pay fees at once; those that keep fees raise the quote vault and lower the
    virtual reserve by the same amount, so that the next price is the same.
    """

    id = "pump_amm"
    programs: tuple[str, ...] = (PROGRAM,)
    generations: tuple[tuple[str, str], ...] = ((FEE_PROGRAM_AGE, "observed"), (GLOBAL_AGE, "observed"))

    def parse(self, call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
        """Trades, pool creations, deposits and withdrawals of one call; swap reserves are the vaults'."""
        del transaction
        return pumpswap_parse.parse_call(call)

    def needs(self, pool: str, accounts: Mapping[str, Account], mint_in: str) -> tuple[str, ...]:
        """The pool, its vaults, both configs, and the mints whose supply or extensions matter."""
        del mint_in
        if pool not in accounts:
            return tuple(key for key in (pool, GLOBAL_CONFIG, FEE_CONFIG) if key not in accounts)
        decoded = decode_pool(accounts[pool])
        return () if isinstance(decoded, Refusal) else _missing(decoded, accounts, None)

    def load(self, pool: str, accounts: Mapping[str, Account], generation: str | None) -> "Held | Refusal":
        """See `ironcrab.dex.face.Venue`."""
        account = accounts.get(pool)
        decoded = Refusal(None, f"pool {pool} is unknown", (pool,)) if account is None else decode_pool(account)
        if isinstance(decoded, Refusal):
            return decoded
        # quotes look at these where they are known, and whoever notes what is read is to see that now
        accounts.get(decoded.base_mint), accounts.get(decoded.quote_mint)
        return Held(pool, accounts, generation)

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
        """See `load` and `quote_ready`."""
        return Held(pool, accounts, generation).quote(
            mint_in=mint_in, amount=amount, exact=exact, clock=clock, limit=limit
        )

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
        """The v2 form; the older one as fallback and for cashback pools.

        Exact out, a sale sells `other_amount` for at least `amount`. Recipients rotate with the slot.
        """
        if not (0 <= amount <= U64 and 0 <= other_amount <= U64):
            return Refusal(None, f"the amounts {amount} and {other_amount} are no u64")
        if not is_key(user):
            return Refusal(None, f"the user {user!r} is no key")
        trade = _trade(pool, accounts, user, mint_in, clock)
        if isinstance(trade, Refusal):
            return trade
        form = "legacy" if fallback or trade.cashback else "v2"
        return (pump_send.pool_trade(trade, form, exact, amount, other_amount),)

    def compute_units(self, quote: Quote) -> int:
        """A flat 150,000, with headroom over the trades that were observed."""
        del quote
        return 150_000


VENUE = PumpSwap()


def _trade(
    address: str, accounts: Mapping[str, Account], user: str, mint_in: str, clock: Clock
) -> pump_send.PoolTrade | Refusal:
    """Everything that the metas of a trade follow from."""
    missing = tuple(key for key in (address, GLOBAL_CONFIG) if key not in accounts)
    if missing:
        return Refusal(None, f"instructions for {address} need accounts that are unknown", missing)
    pool, config = decode_pool(accounts[address]), decode_config(accounts[GLOBAL_CONFIG])
    if isinstance(pool, Refusal):
        return pool
    if isinstance(config, Refusal):
        return config
    if mint_in not in (pool.base_mint, pool.quote_mint):
        return Refusal(None, f"{mint_in} is neither {pool.base_mint} nor {pool.quote_mint}")
    missing = tuple(key for key in (pool.base_vault, pool.quote_vault) if key not in accounts)
    if missing:
        return Refusal(None, "the token programs of the vaults are unknown", missing)
    odd = [key for key in (pool.base_vault, pool.quote_vault) if accounts[key].owner not in TOKEN_PROGRAMS]
    if odd:
        return Refusal(None, f"the owner of vault {odd[0]} is no token program")
    takers = config.reserved_recipients if pool.mayhem else config.fee_recipients
    if not takers:
        return Refusal(None, "GlobalConfig names no fee recipient")
    buyback = config.buyback_recipients
    return pump_send.PoolTrade(
        user=user,
        pool=address,
        base_mint=pool.base_mint,
        quote_mint=pool.quote_mint,
        base_vault=pool.base_vault,
        quote_vault=pool.quote_vault,
        base_program=accounts[pool.base_vault].owner,
        quote_program=accounts[pool.quote_vault].owner,
        creator=pool.coin_creator,
        cashback=pool.cashback,
        fee_recipient=takers[clock.slot % len(takers)],
        buyback_recipient=buyback[clock.slot % len(buyback)] if buyback else None,
        buys=mint_in == pool.quote_mint,
    )
