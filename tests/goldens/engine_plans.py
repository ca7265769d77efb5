"""Intents whose plans have instructions, built from accounts of our own making: the golden `engine-plans`.

Quotes stand at both sides of their greatest age, equal messages at both sides of their end, sells wait for what they
lack; what a simulation used and what a wallet of native or wrapped SOL receives shows in later intents.
"""

from struct import pack

from msgspec.structs import replace

from ironcrab.dex import Account, base58
from ironcrab.dex.address import TOKEN, TOKEN_2022, WSOL, associated
from ironcrab.dex.message import LOOKUP_TABLES
from ironcrab.dex.pumpfun_parse import curve_of
from ironcrab.domain.ask import SendAsk, SimulateAnswer, SimulateAsk
from ironcrab.domain.control import ClockTick, ControlRequest, ControlResponse
from ironcrab.domain.market import (
    AccountWritten,
    BondingCurveProgress,
    ExplicitAmount,
    PoolCreated,
    PoolStateUpdate,
    PriorityFeePercentiles,
    SlotUpdate,
    TokenMintInfo,
    Trade,
    WalletBalanceSnapshot,
    WalletSnapshotComplete,
)
from ironcrab.domain.trade import Execution, SwapHop, TradeResources
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT, TOKEN_PROGRAM
from ironcrab.execution.params import PAPER_WALLET
from ironcrab.execution.recovery import PREFIX
from tests.execution.test_plans import ACCOUNTS, MINT_ACCOUNT, SETS
from tests.execution.test_round_plans import A, B, pools, remade, two_legs
from tests.goldens import engine_corners
from tests.pool_sets import CLOCK, key, vault

COINS = {venue: made.mints[1] for venue, made in SETS.items()}
RAYDIUM = SETS["raydium"].pool
VAULT = next(address for address, account in SETS["raydium"].accounts.items() if account.owner == TOKEN)
RAW = 10_000_000
ELSEWHERE = {RAYDIUM: key(104), key(13): key(105), key(14): key(106)}
"""Keys of a second Raydium pool, by those of the first."""


def back(legs):
    """The same two legs the other way round."""
    (first, *here, mints), (second, *there, _) = legs
    return (second, *there, mints), (first, *here, mints[::-1])


def cpmm_of(number, base, quote):
    """A CPMM pool of its own keys, of these mints: (venue, pool, accounts, mints)."""
    made = SETS["raydium_cpmm"]
    keys = {made.pool: key(number), key(24): key(number + 1), key(25): key(number + 2)}
    return (
        "raydium_cpmm",
        key(number),
        remade("raydium_cpmm", **{WSOL: base, made.mints[1]: quote, **keys}),
        (base, quote),
    )


def events_of(records):
    """(time in ns, event) of every world record; `records` is what came of them so far."""
    return Script(records).events()


class Script(engine_corners.Script):
    """What the world says, act by act, with the words of the golden `engine-checks`."""

    def __init__(self, records):
        super().__init__(records)
        self.slot = CLOCK.slot
        self.version = 1

    def events(self):
        """Every act in turn."""
        acts = (
            self.market, self.venues, self.settings_and_prices, self.ages, self.lags, self.limits, self.least, self.unknown, self.tips, self.programs,
            self.rounds, self.equals, self.recoveries, self.cooling, self.repeats, self.never_landed, self.counted_buys, self.curves, self.receipts, self.burns, self.wrapped_receipts,
        )  # fmt: skip
        for act in acts:
            for event in act():
                yield self.ms * 1_000_000, event

    # words

    def told(self, address, account, signature=None, slot=None):
        self.version += 1
        return AccountWritten(
            address, account.owner, account.lamports, account.data, slot=self.slot if slot is None else slot,
            write_version=self.version, signature=signature,
        )  # fmt: skip

    def fed(self, slots=1):
        """A slot that ended: whatever is quoted now is fresh."""
        self.slot += slots
        return SlotUpdate(self.slot, slot=self.slot)

    def pool(self, venue, leave_out=(), accounts=None):
        made, coin = SETS[venue], COINS[venue]
        yield PoolCreated(made.pool, coin, WSOL, venue, "0", creator=key(51), slot=self.slot)
        yield TokenMintInfo(coin, TOKEN, 6, 10**15, None, None, slot=self.slot)
        for address, account in (ACCOUNTS[venue] if accounts is None else accounts).items():
            if address not in leave_out:
                yield self.told(address, account)

    def has(self, mint, raw, decimals=6):
        return WalletBalanceSnapshot(mint, raw, decimals, TOKEN_PROGRAM, slot=self.slot)

    def wish(self, venue, side="Buy", raw=RAW, **more):
        make = self.buy if side == "Buy" else self.sell
        told = {
            "metadata": {"dex": venue, "creator": key(51)},
            "execution": Execution(ExplicitAmount(1, 6 if side == "Buy" else 9)),
        }
        return make(raw, **{"mint": COINS[venue], "pool": SETS[venue].pool, **told, **more})

    def path(self, *legs, raw=RAW, **more):
        swaps = tuple(SwapHop(pool, venue, mints[0], mints[1], 0) for venue, pool, _, mints in legs)
        told = {
            "roi": 9_000,
            "resources": TradeResources(SOL_MINT, SOL_MINT, tuple(leg[1] for leg in legs)),
            "swap_path": swaps,
            "execution": Execution(ExplicitAmount(1, 9)),
            "metadata": {},
        }
        return self.arb(raw, **{**told, **more})

    def plan(self):
        """The newest plan that was asked to be simulated."""
        return self.records[self.ask(SimulateAsk)].event.plan

    def fresh_try(self, intent, ms=0):
        """A slot ends, so much later the intent is said."""
        yield self.fed()
        self.ms += ms
        yield from self.stopped_or_not(intent)

    # acts

    def market(self):
        """Every venue's pool, a wallet of native SOL and every coin."""
        yield WalletSnapshotComplete(PAPER_WALLET, (), slot=self.slot)
        yield self.has(NATIVE_SOL, 10**12, 9)
        for venue in SETS:
            yield from self.pool(venue)
            yield self.has(COINS[venue], 10**12)

    def venues(self):
        """Either side on each venue: with all known, without each word of its own, and as terms only."""
        for venue in SETS:
            for side in ("Buy", "Sell"):
                yield from self.fresh_try(self.wish(venue, side))
        yield from self.fresh_try(self.wish("raydium", hint_compute_units=99_999))
        yield from self.fresh_try(
            self.wish("raydium", max_slippage_bps=500, execution=Execution(ExplicitAmount(10**12, 6)))
        )
        for plans in ("terms", "required"):
            yield self.config(plans=plans)
            yield from self.fresh_try(self.wish("raydium"))
            yield from self.fresh_try(self.arb(RAW, pools=1, roi=9_000))
        yield self.config(plans="built")
        yield from self.fresh_try(self.wish("raydium", metadata={}))

    def settings_and_prices(self):
        """What a running engine refuses to change; a recommended fee that is the static one, and one beside."""
        yield self.config(wallet="CheckWallet", tip_accounts="", max_concurrent_intents=7, plans="maybe", colour="red")
        for told in (833, 834, 835):
            yield PriorityFeePercentiles(64, self.slot, told, told, told, told, 0, 0, 0)
            yield from self.fresh_try(self.wish("raydium"))
        yield PriorityFeePercentiles(64, self.slot, 1, 1, 1, 1, 0, 0, 0)

    def ages(self):
        """A silent feed: one millisecond before the greatest age, at it, after it."""
        for ms in (49, 50, 51):
            yield from self.fresh_try(self.wish("raydium"), ms)
        yield self.config(quote_max_age_ms=0, quote_max_age_slots=0)
        for ms in (0, 1):
            yield from self.fresh_try(self.wish("raydium"), ms)
        yield self.config(quote_max_age_ms=50, quote_max_age_slots=2)

    def lags(self):
        """A write whose transaction has not been told to its end: so many slots ago, and so much time."""
        yield self.config(quote_max_age_ms=1_000)
        for ahead in (1, 2, 3):
            yield self.fed()
            yield self.told(VAULT, ACCOUNTS["raydium"][VAULT], f"Lag{ahead}", self.slot + 1)
            self.ms += 100
            self.slot += 1 + ahead
            yield Trade("CheckPoolX", "CheckMintX", "CheckTrader", True, 10**9, 10**9, 6, "pump_amm", slot=self.slot)
            self.ms += 30
            yield from self.stopped_or_not(self.wish("raydium"))
            yield from self.stopped_or_not(self.wish("orca"))
        yield self.config(quote_max_age_ms=50)
        yield self.fed()

    def limits(self):
        """Compute limits: by the venue, by what simulations taught (at the cap and beside), by what ran out."""
        for used in (50_000, 20_000, 46_875, 46_876, 0, None):
            yield self.fed()
            yield self.wish("raydium")
            yield self.simulated("Custom(6001)") if used == 46_876 else self.simulated(out=10**15, units=used)
            yield self.signed()
            yield self.sent("all endpoints refused")
        for error in ("ComputationalBudgetExceeded", "ProgramFailedToComplete", "Custom(1)"):
            for _ in range(2):
                yield self.fed()
                yield self.wish("orca", "Sell")
                yield self.simulated(error)
        for _ in range(7):
            yield self.fed()
            yield self.wish("meteora_dlmm")
            yield self.simulated("exceeded CUs")
        yield self.config(learned_compute_enabled="false")
        yield from self.fresh_try(self.wish("raydium"))
        yield self.config(max_compute_units=60_000)
        yield from self.fresh_try(self.wish("raydium"))
        yield self.config(max_compute_units=1_400_000, plans="terms")
        yield self.wish("raydium")
        yield self.simulated("exceeded CUs")
        yield self.config(plans="built", learned_compute_enabled="true")
        yield from self.fresh_try(self.wish("raydium"))

    def least(self):
        """Least outputs: the quote less its slippage, the intent's, what was learned; a quote of nothing, of a part."""
        yield from self.fresh_try(self.wish("raydium"))
        expected = self.plan().expected_out
        for least, bps in (
            (expected * 97 // 100, 300),
            (expected, 300),
            (2 * expected, 0),
            (expected * 97 // 100 - 1, 300),
        ):
            told = Execution(ExplicitAmount(least, 6))
            yield from self.fresh_try(self.wish("raydium", execution=told, max_slippage_bps=bps))
        for raw in (10**9, 201, 401, 1):
            for bps in (10_000, 9_999, 300):
                yield from self.fresh_try(self.wish("raydium", "Sell", raw=raw, max_slippage_bps=bps))
        yield self.config(quantile_slippage_enabled="true", quantile_fallback_slippage_bps=40)
        for bps in (30, 40, 41, 300):
            told = Execution(ExplicitAmount(10**15, 6))
            yield from self.fresh_try(self.wish("raydium", max_slippage_bps=bps, execution=told))
        yield from self.fresh_try(self.wish("raydium", "Sell", raw=1, max_slippage_bps=10_000))
        yield self.config(plans="terms")
        yield from self.fresh_try(self.wish("raydium"))
        yield from self.fresh_try(self.wish("raydium", execution=Execution(ExplicitAmount(0, 6))))
        yield self.config(plans="built", quantile_slippage_enabled="false")
        for least in (1, 2, 9):
            told = Execution(ExplicitAmount(least, 9))
            yield from self.fresh_try(self.wish("raydium", "Sell", max_slippage_bps=10_000, execution=told))
        for venue in SETS:
            for side in ("Buy", "Sell"):
                yield from self.fresh_try(self.wish(venue, side, raw=1))
        for venue in ("orca", "meteora_dlmm", "raydium_cpmm", "pumpfun", "pump_amm"):
            yield self.config(max_position_size_lamports=10**12)
            yield from self.fresh_try(self.wish(venue, raw=9 * 10**11))
            yield from self.fresh_try(self.wish(venue, "Sell", raw=10**12))
            yield self.config(max_position_size_lamports=500_000_000)

    def unknown(self):
        """Accounts that were not told leave terms only, or are refused where instructions are required."""
        cpmm = SETS["raydium_cpmm"]
        yield self.fed()
        for address, account in (*ACCOUNTS["raydium_cpmm"].items(), *ACCOUNTS["pumpfun"].items()):
            yield self.told(address, Account("CheckOwner", 0, b""))
            venue = "raydium_cpmm" if address in ACCOUNTS["raydium_cpmm"] else "pumpfun"
            for plans in ("built", "required"):
                yield self.config(plans=plans)
                yield from self.stopped_or_not(self.wish(venue))
            yield self.config(plans="built")
            yield self.told(address, account)
        second = remade("raydium", **ELSEWHERE)
        yield PoolCreated(key(104), COINS["raydium"], WSOL, "raydium", "0", slot=self.slot)
        yield self.told(key(104), second[key(104)])
        for plans in ("built", "required"):
            yield self.config(plans=plans)
            yield from self.fresh_try(self.wish("raydium", pool=key(104)))
            yield from self.fresh_try(self.wish("raydium", "Sell", pool=key(104)))
        other = base58.encode(bytes((5, 6)) * 16)
        curve = curve_of(base58.decode(other))
        coin = {COINS["pumpfun"]: other, SETS["pumpfun"].pool: curve}
        yield PoolCreated(curve, other, WSOL, "pumpfun", "0", creator=key(51), slot=self.slot)
        yield self.told(curve, remade("pumpfun", **coin)[curve])
        for plans in ("built", "required"):
            yield self.config(plans=plans)
            yield from self.fresh_try(self.wish("pumpfun", mint=other, pool=curve))
        fresh = key(97)
        yield PoolCreated(fresh, COINS["raydium_cpmm"], WSOL, "raydium_cpmm", "0", slot=self.slot)
        for plans in ("built", "required"):
            yield self.config(plans=plans)
            yield from self.fresh_try(
                self.buy(RAW, mint=COINS["raydium_cpmm"], pool=fresh, metadata={"dex": "raydium_cpmm"})
            )
            yield from self.fresh_try(self.wish("raydium_cpmm", metadata={"dex": "raydium"}))
        yield self.config(plans="built")
        yield from self.fresh_try(
            replace(
                self.wish("raydium_cpmm"),
                resources=TradeResources(SOL_MINT, COINS["raydium_cpmm"], (cpmm.pool, RAYDIUM)),
            )
        )
        yield from self.fresh_try(
            replace(self.wish("raydium_cpmm"), resources=TradeResources(SOL_MINT, COINS["raydium_cpmm"], ()))
        )

    def tips(self):
        """A tip stands behind, and goes to an account chosen by the intent."""
        for tip in (5_000, 1_000, 999, None):
            yield from self.fresh_try(self.wish("raydium", require_bundle=True, bundle_tip_lamports=tip))
        yield from self.fresh_try(self.path(*two_legs(), require_bundle=True, bundle_tip_lamports=1_000))
        yield self.config(bundle_auction_enabled="true")
        for roi in (9_000, 100, 1_000, 0, -100):
            yield from self.fresh_try(self.wish("raydium", require_bundle=True, expected_roi_bps=roi))
        yield from self.fresh_try(self.path(*two_legs(), require_bundle=True))
        for least in (8_999_999, 9_000_000, 9_000_001):
            yield self.config(bundle_min_profit_lamports=least)
            yield from self.fresh_try(self.wish("raydium", require_bundle=True, expected_roi_bps=9_000))
        yield self.config(bundle_auction_enabled="false", bundle_min_profit_lamports=0)

    def programs(self):
        """The token program that the intent tells, the mint's, and the one that the pool pays into."""
        coin = COINS["raydium"]
        for told in (TOKEN, TOKEN_2022, "CheckProgram"):
            for side in ("Buy", "Sell"):
                pair = (SOL_MINT, coin) if side == "Buy" else (coin, SOL_MINT)
                yield from self.fresh_try(
                    self.wish("raydium", side, resources=TradeResources(*pair, (RAYDIUM,), (), told))
                )
        cpmm = {}
        for address, account in ACCOUNTS["raydium_cpmm"].items():
            data = account.data
            if address == SETS["raydium_cpmm"].pool:
                at = data.rindex(base58.decode(TOKEN))
                data = data[:at] + base58.decode(TOKEN_2022) + data[at + 32 :]
            cpmm[address] = Account(account.owner, account.lamports, data)
        coin = COINS["raydium_cpmm"]
        yield from self.pool("raydium_cpmm", accounts=cpmm)
        for told in (None, TOKEN, TOKEN_2022):
            for side in ("Buy", "Sell"):
                pair = (SOL_MINT, coin) if side == "Buy" else (coin, SOL_MINT)
                resources = TradeResources(*pair, (SETS["raydium_cpmm"].pool,), (), told)
                yield from self.fresh_try(self.wish("raydium_cpmm", side, resources=resources))
        yield from self.pool("raydium_cpmm")

    def rounds(self):
        """Paths of two and three pools: old, inexact, too large without a table, through SOL."""
        two, three = two_legs(), pools()
        yield from self.fresh_try(self.path(*two))
        yield from self.cheap_pool(two)
        yield from self.fresh_try(self.path(*two, hint_compute_units=77_777))
        for units in (300_000, 340_300, 340_299):
            yield self.config(max_compute_units=units)
            yield from self.fresh_try(self.path(*two))
        yield self.config(max_compute_units=1_400_000)
        for ms in (50, 51):
            yield from self.fresh_try(self.path(*two), ms)
        yield from self.lagging_legs(two)
        yield from self.inexact_legs(two)
        for mint in (A, B):
            yield self.told(mint, MINT_ACCOUNT)
        middle, last = cpmm_of(110, A, B), cpmm_of(120, A, WSOL)
        three = (three[0], middle, three[2])
        for venue, pool, accounts, mints in (*three, last):
            base, quote = mints if mints[1] == SOL_MINT else mints[::-1]
            yield PoolCreated(pool, base, quote, venue, "0", creator=key(51), slot=self.slot)
            for address, account in accounts.items():
                yield self.told(address, account)
        yield from self.fresh_try(self.path(*three, raw=100_000))
        names = [three[0][1], three[1][1], three[2][1], A, B, *three[2][2]]
        head = pack("<IQQBB", 1, 2**64 - 1, 5, 0, 0) + bytes(34)
        yield self.told(key(91), Account(LOOKUP_TABLES, 1, head + b"".join(map(base58.decode, names))))
        yield from self.fresh_try(self.path(*three, raw=100_000))
        yield from self.fresh_try(self.path(*two))
        yield from self.fresh_try(self.path(*two, three[0], last, raw=100_000))
        strange = (*two[:1], ("pump_amm", key(107), {}, two[1][3]))
        yield from self.fresh_try(self.path(*strange))
        yield from self.fresh_try(self.path(two[0]))
        yield from self.fresh_try(
            self.arb(
                RAW,
                pools=2,
                resources=TradeResources(SOL_MINT, COINS["pumpfun"], (two[0][1], two[1][1])),
                metadata={"buy_dex": "pumpfun", "sell_dex": "pump_amm"},
            )
        )

    def cheap_pool(self, legs):
        """The coin is cheaper in its pool than on its curve, so the way leads back to lamports."""
        yield self.told(key(63), vault(WSOL, 5 * 10**9))
        yield from self.fresh_try(self.path(*back(legs)))
        yield from self.fresh_try(self.path(*legs))
        yield self.told(key(63), ACCOUNTS["pump_amm"][key(63)])

    def lagging_legs(self, legs):
        """One leg lags by slots, the other by time."""
        yield self.config(quote_max_age_ms=1_000)
        vaults = [
            next(
                address
                for address, account in ACCOUNTS[venue].items()
                if address in (pool, *SETS[venue].accounts) and account.owner != TOKEN
            )
            for venue, pool, *_ in legs
        ]
        for number, address in enumerate(vaults):
            for slots in (2, 3):
                yield self.fed()
                venue = legs[number][0]
                yield self.told(address, ACCOUNTS[venue][address], f"Leg{number}{slots}", self.slot + 1)
                self.slot += 1 + slots
                self.ms += 40
                yield Trade(
                    "CheckPoolX", "CheckMintX", "CheckTrader", True, 10**9, 10**9, 6, "pump_amm", slot=self.slot
                )
                self.ms += 7
                yield from self.stopped_or_not(self.path(*legs))
        yield self.config(quote_max_age_ms=50)
        yield self.fed()

    def inexact_legs(self, legs):
        """A leg that is quoted by reserves, not by its program."""
        pool, coin = key(107), COINS["pump_amm"]
        yield PoolCreated(pool, coin, WSOL, "pump_amm", "0", creator=key(51), slot=self.slot)
        yield self.told(pool, remade("pump_amm", **{SETS["pump_amm"].pool: pool, key(62): key(108)})[pool])
        other = ("pump_amm", pool, {}, legs[1][3])
        for quote in (9 * 10**10, 5 * 10**9):
            yield PoolStateUpdate(pool, "pump_amm", 2 * 10**14, quote, coin, SOL_MINT, self.slot, slot=self.slot)
            for plans in ("built", "required"):
                yield self.config(plans=plans, cross_dex_last_trade_quotes="true")
                yield from self.fresh_try(self.path(legs[0], other))
                yield from self.fresh_try(self.path(*back((legs[0], other))))
                yield from self.fresh_try(self.wish("pump_amm", pool=pool))
        yield self.config(plans="built", cross_dex_last_trade_quotes="false")

    def equals(self):
        """A limit of one unit cannot vary: an equal message is refused until the first one cannot land any more."""
        yield self.config(quote_max_age_ms=60_000)
        for units in (2, 256):
            yield from self.fresh_try(self.wish("raydium", hint_compute_units=units))
        start = self.ms
        for later in (0, 0, 105_499, 105_500, 105_501):
            self.ms = start + later
            if later == 105_500:
                yield from self.signed_only("orca")
            yield from self.signed_only("raydium")
        yield self.config(quote_max_age_ms=50)

    def signed_only(self, venue):
        """A message that nothing varies is signed, if it may be, and sent in vain: it may land all the same."""
        before = len([record for record in self.records if type(record.event) is SimulateAsk])
        yield self.fed()
        yield self.wish(venue, hint_compute_units=1)
        yield ClockTick()
        if len([record for record in self.records if type(record.event) is SimulateAsk]) > before:
            yield self.simulated(out=10**15)
            yield self.signed()
            yield self.sent("refused")

    def recoveries(self):
        """A sell that must go waits for an answer: not one busy, not another's; until the wait ends, or it expires."""
        account = ACCOUNTS["raydium"][VAULT]
        yield self.config(
            plans="required", recovery_wait_ms=5_000, recovery_cooldown_ms=10_000, quote_max_age_ms=60_000
        )
        liquidation = {"dex": "raydium", "purpose": "liquidation"}
        sells_all = {"dex": "raydium", "sell_all": "true"}
        for metadata in (liquidation, sells_all):
            yield self.fed()
            yield self.told(VAULT, Account("CheckOwner", 0, b""))
            yield self.wish("raydium", "Sell", metadata=metadata, ttl_ms=60_000)
            yield ClockTick()
            yield self.told(VAULT, account)
            yield self.fed()
            yield ControlResponse(self.request(), "market-data", "busy")
            yield ControlResponse("another", "market-data", "ok")
            yield ControlResponse(self.request(), "market-data", "ok")
            yield ClockTick()
            yield self.simulated("Custom(6001)")
        yield self.told(VAULT, Account("CheckOwner", 0, b""))
        for ttl, waits in (
            (60_000, (5_000, 1, 10_000)),
            (2_000, (2_000, 1)),
            (5_000, (5_000, 1)),
            (4_999, (4_999, 1, 1)),
        ):
            yield self.fed()
            yield self.wish("raydium", "Sell", metadata=liquidation, ttl_ms=ttl)
            yield ClockTick()
            for ms in waits:
                self.ms += ms
                yield ClockTick()
        yield ControlRequest("check-stop", "execution-engine", "kill_switch", active=True, reason="drill")
        yield self.fed()
        yield self.wish("raydium", "Sell", ttl_ms=60_000)
        yield ClockTick()
        yield self.told(VAULT, account)
        self.ms += 5_001
        yield self.fed()
        yield ClockTick()
        yield ControlRequest("check-go", "execution-engine", "reset_kill_switch")
        yield from self.stopped_or_not(self.wish("raydium", "Sell", metadata=sells_all))
        for metadata, errors in (
            (liquidation, ("Custom(1)", "Custom(6013)")), (sells_all, ("Custom(6013)", "Custom(6023)")),
            (sells_all, ("Custom(6024)", "Custom(1)")), (sells_all, ("Custom(1)",)), ({"dex": "raydium"}, ("Custom(6013)",)),
            (sells_all, ("sim_timeout",)),
        ):  # fmt: skip
            yield self.fed()
            yield self.wish("raydium", "Sell", metadata=metadata, ttl_ms=60_000)
            yield ClockTick()
            yield self.simulated(errors[0])
            yield ControlResponse(self.request(), "market-data", "not_found")
            self.slot += 1
            yield self.fed()
            if len(errors) > 1:
                yield self.simulated(errors[1])
        yield self.config(recovery_wait_ms=0)
        yield self.told(VAULT, Account("CheckOwner", 0, b""))
        yield from self.fresh_try(self.wish("raydium", "Sell", metadata=liquidation))
        yield self.config(recovery_wait_ms=5_000)

    def request(self):
        """The id of the newest request of the engine's."""
        asked = [record.event.request_id for record in self.records if type(record.event) is ControlRequest]
        return [one for one in asked if one.startswith(PREFIX)][-1]

    def cooling(self):
        """Any other sell asks too, once in a while for its mint; buys never; nobody for an unknown venue."""
        self.ms += 60_000
        for ms in (0, 9_999, 1, 0, 10_000):
            self.ms += ms
            yield from self.fresh_try(self.wish("raydium", "Sell"))
        yield from self.fresh_try(self.wish("raydium"))
        self.ms += 10_000
        for metadata in ({"dex": "raydium", "purpose": "liquidation"}, {"dex": "raydium", "sell_all": "true"}):
            yield self.wish("raydium", metadata=metadata, ttl_ms=1_000)
            yield ClockTick()
        yield self.told(VAULT, ACCOUNTS["raydium"][VAULT])
        self.ms += 10_000
        for venue in SETS:
            coin = COINS[venue]
            yield self.sell(1, mint=coin, pool=key(96), metadata={"dex": venue, "creator": key(51)})
            yield ClockTick()
            self.ms += 20_000
        yield self.sell(1, mint=COINS["raydium_cpmm"], pool="CheckPoolNowhere", metadata={"dex": "orca"})
        yield ClockTick()
        self.ms += 20_000
        yield self.sell(1, mint=COINS["orca"], pool="CheckPoolX", metadata={"dex": "orca"})
        yield ClockTick()
        yield self.sell(1, mint=COINS["pump_amm"], pool="CheckPoolX", metadata={"dex": "unknown"})
        yield self.sell(1, mint=COINS["pump_amm"], pool="CheckPoolX", metadata={})
        yield self.sell(
            1,
            mint=COINS["pumpfun"],
            resources=TradeResources(COINS["pumpfun"], SOL_MINT, ()),
            metadata={"dex": "pumpfun"},
        )
        yield ClockTick()
        yield self.config(recovery_wait_ms=0, plans="built", quote_max_age_ms=50)

    def repeats(self):
        """An id is refused until nobody could want it any more, to the millisecond; others let it be forgotten."""
        yield self.config(idempotency_window_ms=1_000, quote_max_age_ms=60_000)
        yield self.fed()
        for ms in (0, 1_500, 1):
            self.ms += ms
            yield from self.stopped_or_not(self.wish("orca", raw=1_000_000 + ms))
            yield from self.stopped_or_not(self.wish("raydium", intent_id="check-same", ttl_ms=500))
        yield self.config(idempotency_window_ms=600_000, quote_max_age_ms=50)

    def wrapped_on_the_way(self):
        """The first unit is wrapped while a sell is under way: what this brings is native still."""
        yield self.wish("raydium", "Sell", raw=1_000_000)
        yield ClockTick()
        yield self.simulated(out=10**15)
        yield self.signed()
        yield self.sent()
        ended = replace(
            self.ended("confirmed"), fill_in=ExplicitAmount(1_000_000, 6), fill_out=ExplicitAmount(1_234_567, 9)
        )
        yield from self.done(self.action("wrap", 1_000_000, NATIVE_SOL, SOL_MINT), 1_000_000, 1)
        yield from self.purse()
        yield ended
        yield from self.purse()
        yield self.has(SOL_MINT, 10**10, 9)

    def never_landed(self):
        """It is certain that it never lands: after the wait for its end was given up, and before."""
        for ends in (("timeout", "expired"), ("expired",)):
            yield self.fed()
            yield self.wish("raydium")
            yield ClockTick()
            yield self.simulated(out=10**15)
            yield self.signed()
            yield self.sent()
            for end in ends:
                yield self.ended(end)
                yield from self.purse()

    def counted_buys(self):
        """What is being bought counts as a position to come: no sell, no round trip, no mint that is held."""
        yield self.fed()
        for one in (self.wish("raydium", "Sell"), self.path(*two_legs()), self.wish("orca")):
            yield one
            yield self.wish("meteora_dlmm", tier="Tier0", raw=0)
            yield ClockTick()
            yield self.simulated("Custom(6001)")
        yield self.has(COINS["orca"], 0)
        yield self.wish("orca")
        for name in ("orca", "meteora_dlmm"):
            yield self.wish(name, tier="Tier0", raw=0)
        yield ClockTick()
        yield self.simulated("Custom(6001)")
        yield self.has(COINS["orca"], 10**12)

    def curves(self):
        """A curve that turns out complete: the sell goes on in the coin's pool, where one is known and not unknown."""
        for venue, side, metadata, error in (
            ("pumpfun", "Sell", {}, "InstructionError(2, Custom(6005))"), ("pumpfun", "Buy", {}, "InstructionError(2, Custom(6005))"),
            ("pumpfun", "Sell", {"purpose": "liquidation"}, "InstructionError(2, Custom(6004))"),
            ("pump_amm", "Sell", {}, "InstructionError(2, Custom(6005))"),
        ):  # fmt: skip
            yield self.fed()
            yield self.wish(venue, side, metadata={"dex": venue, "creator": key(51), **metadata})
            yield ClockTick()
            yield self.simulated(error)
            yield self.fed(0)
            if self.records[self.ask(SimulateAsk)].event.attempt:
                yield self.simulated(error)
        yield BondingCurveProgress(COINS["pumpfun"], SETS["pumpfun"].pool, 9_000, complete=False, slot=self.slot)
        yield from self.fresh_try(self.wish("pumpfun"))

    def receipts(self):
        """What sells on each venue bring, and into which account; what buys of a part take."""
        for venue in ("pumpfun", "raydium", "pump_amm"):
            yield self.fed()
            yield from self.done(self.wish(venue, "Sell", raw=1_000_000), 1_000_000, 1_234_567)
            yield from self.purse()
            yield self.fed()
            yield from self.done(self.wish(venue), RAW, 7_000_000)
            yield from self.purse()
        yield self.fed()
        yield from self.done(self.path(*two_legs()), RAW, RAW + 77_777)
        yield from self.purse()
        yield self.fed()
        yield self.told(key(63), vault(WSOL, 5 * 10**9))
        yield from self.done(self.path(*back(two_legs())), RAW, RAW - 77_777)
        yield self.told(key(63), ACCOUNTS["pump_amm"][key(63)])
        yield from self.purse()

    def wrapped_receipts(self):
        """The same, SOL kept wrapped: the curve still pays and takes lamports themselves."""
        yield from self.done(self.action("wrap", 1_000_000, NATIVE_SOL, SOL_MINT), 1_000_000, 0)
        yield from self.purse()
        yield self.fed()
        yield from self.wrapped_on_the_way()
        yield from self.purse()
        for venue in SETS:
            for side in ("Buy", "Sell"):
                yield from self.fresh_try(self.wish(venue, side))
        yield from self.fresh_try(self.path(*two_legs()))
        yield from self.cheap_pool(two_legs())
        yield from self.receipts()
        yield self.config(plans="terms")
        yield self.fed()
        yield from self.done(self.wish("pumpfun", "Sell", raw=1_000_000), 1_000_000, 1_234_567)
        yield from self.purse()
        yield self.config(plans="built")

    def burns(self):
        """Tokens that a fill bought are burnt: one unit, some; a close of nothing that still took some."""
        coin, pool = key(140), key(141)
        account = associated(PAPER_WALLET, coin, TOKEN)
        yield TokenMintInfo(coin, TOKEN, 6, 10**15, None, None, slot=self.slot)
        yield Trade(pool, coin, "CheckTrader", True, 10**9, 10**9, 6, "pump_amm", slot=self.slot)
        yield from self.done(self.buy(RAW, mint=coin, pool=pool), RAW, 7_000_000)
        for purpose, raw, taken in (("burn", 1, 1), ("burn", 1_000, 1_000), ("close", 0, 1_000)):
            more = {"lamports": "1488440", "max_value_lamports": "9" * 18}
            yield from self.done(
                self.action(purpose, raw, coin, NATIVE_SOL, 6, (account,), TOKEN, **more), taken, 1_488_440
            )
        yield from self.purse()

    def done(self, intent, fill_in, fill_out):
        """An intent that goes all the way, where it is asked to be simulated."""
        before = len([record for record in self.records if type(record.event) is SimulateAsk])
        yield intent
        yield ClockTick()
        if len([record for record in self.records if type(record.event) is SimulateAsk]) == before:
            return
        yield SimulateAnswer(self.ask(SimulateAsk), True, None, None, 90_000, 10**15, wallet_sol_delta_lamports=10**12)
        yield self.signed()
        yield self.sent()
        digits = (9, 9) if intent.swap_path else (9, 6) if intent.side == "Buy" else (6, 9)
        fills = [ExplicitAmount(raw, d) for raw, d in zip((fill_in, fill_out), digits, strict=True)]
        yield replace(self.ended("confirmed"), fill_in=fills[0], fill_out=fills[1])
        self.slot += 1
        assert self.ask(SendAsk)

    def purse(self):
        """What is free of wrapped and of native SOL."""
        yield from self.probe()
        yield self.action("wrap", 10**17, NATIVE_SOL, SOL_MINT)
        yield ClockTick()
