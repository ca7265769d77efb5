"""Our own intents that hit every check of the engine, pass and fail: the input of the golden `engine-checks`.

World records only. An answer must name its ask's seq, so the script is driven once through the same loop as the
run that records it, and reads the seq of each ask from there. It opens 20 s before midnight UTC, so that a day of
losses ends on its way.
"""

import re

from msgspec.structs import replace

from ironcrab.dex import base58
from ironcrab.dex.address import associated
from ironcrab.domain.ask import ConfirmAnswer, SendAnswer, SendAsk, SignedAnswer, SimulateAnswer, SimulateAsk
from ironcrab.domain.control import ClockTick, ConfigUpdate, ControlRequest, ForkOrphaned, GapClosed, GapOpened
from ironcrab.domain.market import (
    AccountWritten,
    BondingCurveProgress,
    DexPoolAccounts,
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
from ironcrab.domain.trade import DecisionRecord, Execution, ResultFees, SwapHop, TradeIntent, TradeResources
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT, TOKEN_PROGRAM
from ironcrab.execution.housekeeping import action
from ironcrab.execution.params import PAPER_WALLET as HOUSE_WALLET
from tests.execution.test_round_plans import MINTS as ROUND_MINTS
from tests.execution.test_round_plans import SMALL, path
from tests.execution.test_round_plans import pools as round_pools
from tests.goldens import driving

SCENARIO = "scenarios/engine-checks.toml"
START_MS = 1_748_735_980_000
"""2025-05-31 23:59:40 UTC."""
SLOT = 343_000_000
MINTS = ("CheckMintA", "CheckMintB", "CheckMintC", "CheckMintD")
POOLS = {mint: f"CheckPool{mint[-1]}" for mint in MINTS}
CURVE = "CheckCurveA"
HOUSE_MINT, HOUSE_POOL = base58.encode(bytes([121]) * 32), base58.encode(bytes([122]) * 32)
ARB_POOLS = (
    ("CheckPoolR", "raydium", 1_000_000_000_000, 1_000_000_000_000),
    ("CheckPoolS", "raydium_cpmm", 1_000_000_000_000, 1_030_000_000_000),
    ("CheckPoolT", "pump_amm", 0, 0),
)
"""Pools of CheckMintR: address, dex, raw reserves of the mint and of SOL."""


def engine_check_events():
    """(time in ns, event) of every world record of the golden, in order."""
    return drive()[0]


def drive():
    """The events, and every record that came of them."""
    return driving.drive("engine-checks", lambda records: Script(records).events())


class Script:
    """What the world says, act by act; `records` is what came of it so far."""

    def __init__(self, records):
        self.records = records
        self.ms = START_MS
        self.slot = SLOT
        self.count = 0

    def events(self):
        acts = (
            self.market, self.without_wallet, self.size_and_words, self.fees_and_arbitrage, self.plans, self.locks, self.fairness,
            self.simulations, self.edges, self.at_limits, self.sends, self.confirmations, self.positions, self.losses, self.curve, self.time, self.kill, self.too_large, self.housekeeping,
        )  # fmt: skip
        for act in acts:
            for event in act():
                yield self.ms * 1_000_000, event

    # words

    def later(self, ms):
        self.ms += ms
        return ClockTick()

    def trade(self, mint, dex="pump_amm", pool=None, sol=1_000_000_000, slots=1):
        self.slot += slots
        self.ms += 100
        return Trade(pool or POOLS[mint], mint, "CheckTrader", True, sol, 1_000_000_000, 6, dex, slot=self.slot)

    def intent(self, side, raw, mint, **more):
        self.count += 1
        paid = (SOL_MINT, mint) if side == "Buy" else (mint, SOL_MINT)
        told = {
            "source": "momentum-bot", "tier": "Tier1", "origin_type": "StrategyA",
            "required_capital": ExplicitAmount(raw, 9 if side == "Buy" else 6),
            "resources": TradeResources(*paid, (more.pop("pool", POOLS.get(mint, "CheckPoolX")),)),
            "expected_roi_bps": 50, "max_slippage_bps": 300, "side": side, "regime": "Early", "intent_id": f"check-{self.count:03d}",
            "metadata": {"dex": "pump_amm"}, "execution": Execution(ExplicitAmount(1_000, 6 if side == "Buy" else 9)),
        }  # fmt: skip
        return TradeIntent(**{**told, **more})

    def buy(self, raw=10_000_000, mint=MINTS[0], **more):
        return self.intent("Buy", raw, mint, **more)

    def sell(self, raw=1_000_000, mint=MINTS[0], **more):
        return self.intent("Sell", raw, mint, **more)

    def arb(self, raw=100_000_000, roi=300, pools=1, **more):
        resources = TradeResources(SOL_MINT, MINTS[0], tuple(POOLS.values())[:pools])
        told = {
            "source": "arb-strategy",
            "tier": "Arb",
            "regime": "NotApplicable",
            "expected_roi_bps": roi,
            "resources": resources,
        }
        return self.buy(raw, **{**told, **more})

    def config(self, **values):
        return ConfigUpdate(
            "execution-engine", {key: str(value) for key, value in values.items()}, "2025-05-31T23:59:40Z"
        )

    def balance(self, mint, raw):
        return WalletBalanceSnapshot(mint, raw, 6, TOKEN_PROGRAM, slot=self.slot)

    def ask(self, kind):
        return [record.seq for record in self.records if type(record.event) is kind][-1]

    def simulated(self, error=None, out=None, units=142_000, delta=None):
        return SimulateAnswer(
            self.ask(SimulateAsk), error is None, error, None, units, out, wallet_sol_delta_lamports=delta
        )

    def signed(self):
        return SignedAnswer(
            self.ask(SendAsk), f"CheckSignature{self.count}", "AA==", "CheckBlockhash", 5, ordinal=self.answered()
        )

    def sent(self, error=None, method="rpc", bundle=None):
        return SendAnswer(
            self.ask(SendAsk),
            error is None,
            self.ms,
            method,
            self.slot,
            bundle_id=bundle,
            error=error,
            ordinal=self.answered(),
        )

    def ended(self, status="confirmed", fill_in=None, fill_out=None, error=None, reason=None, again=0):
        self.ms += 400
        decimals = (9, 6) if self.side() == "Buy" else (6, 9)
        fills = [
            None if raw is None else ExplicitAmount(raw, digits)
            for raw, digits in zip((fill_in, fill_out), decimals, strict=True)
        ]
        known = status in ("confirmed", "failed")
        fees = ResultFees(5_200, 0, 142_000) if known else None
        return ConfirmAnswer(
            self.ask(SendAsk), status, self.slot + 1 if known else None, None, *fills, reason, fees,
            error_code=error, ordinal=self.answered(), last=known, rebroadcasts=again,
        )  # fmt: skip

    def answered(self):
        """How many answers the newest ask to send has: the next one's ordinal."""
        ask = self.ask(SendAsk)
        return sum(1 for record in self.records if getattr(record.event, "ask", None) == ask)

    def side(self):
        return self.records[self.ask(SendAsk)].event.plan.side

    def filled(self, intent, fill_in, fill_out):
        """An intent that goes all the way."""
        yield intent
        yield self.simulated()
        yield self.signed()
        yield self.sent()
        yield self.ended("confirmed", fill_in, fill_out)

    def stopped(self, intent, error="Custom(6001)"):
        """An intent that passes its checks and fails in simulation."""
        yield intent
        yield self.simulated(error)

    # acts

    def market(self):
        for mint in MINTS:
            yield TokenMintInfo(mint, TOKEN_PROGRAM, 6, 10**15, None, None, slot=self.slot)
            yield self.trade(mint)
        yield self.trade(MINTS[0], "pumpfun", CURVE)
        yield DexPoolAccounts(
            "pump_amm", POOLS[MINTS[0]], MINTS[0], SOL_MINT, ("CheckKey1", "CheckKey2"), slot=self.slot
        )

    def without_wallet(self):
        yield self.balance(MINTS[3], 5_000_000)
        yield self.sell(mint=MINTS[3])
        yield WalletSnapshotComplete("CheckWallet", (MINTS[3],), slot=self.slot)
        yield self.sell(6_000_000, mint=MINTS[3])
        yield from self.stopped(self.sell(mint=MINTS[3]))
        yield self.balance(MINTS[3], 0)

    def size_and_words(self):
        yield self.buy(500_000_001)
        yield self.buy(max_slippage_bps=501)
        yield from self.stopped(self.buy(max_slippage_bps=9_999, metadata={"dex": "pump_amm", "market_order": "true"}))
        yield self.buy(metadata={"dex": "pump_amm", "current_open_positions": "2"})
        yield self.buy(metadata={})
        yield self.buy(metadata={"dex": "unknown"})
        yield self.buy(metadata={"dex": "orca"})
        yield self.buy(0)

    def fees_and_arbitrage(self):
        yield self.config(max_compute_units=100_000, max_slippage_bps=0, colour="red")
        yield self.buy()
        yield self.config(max_compute_units=1_400_000, max_tx_cost_lamports=5_199)
        yield self.buy()
        yield self.config(max_tx_cost_lamports=50_000_000)
        yield PriorityFeePercentiles(64, self.slot, 500, 100_000, 120_000, 150_000, 9_000, 120_000, 8_000)
        yield self.buy()
        yield PriorityFeePercentiles(64, self.slot, 500, 2_000, 3_000, 5_000, 9_000, 2_400, 8_000)
        yield from self.stopped(self.buy())
        yield self.arb(100_000, roi=100)
        yield from self.stopped(self.arb())
        yield self.config(cross_dex_enabled="false")
        yield self.arb(pools=2)
        yield self.config(cross_dex_enabled="true")
        yield self.arb(pools=2)
        yield from self.round_trips()
        yield self.config(jito_enabled="false")
        yield self.buy(require_bundle=True)
        yield self.config(jito_enabled="true")
        yield self.buy(require_bundle=True, bundle_tip_lamports=999)
        yield from self.instructions_and_tips()

    def instructions_and_tips(self):
        """Plans that cannot be built, taken and not; a bundle's share of its profit, within the cap and beyond."""
        yield self.config(plans="required")
        yield self.buy()
        yield self.config(plans="built")
        yield from self.stopped(self.buy())
        yield self.config(plans="terms", bundle_auction_enabled="true")
        yield self.buy(require_bundle=True)
        yield from self.stopped(self.buy(require_bundle=True, expected_roi_bps=9_000))
        yield self.config(bundle_auction_enabled="false")

    def round_trips(self):
        """Two pools of one mint that lie 3 % apart, and one that is empty."""
        self.slot += 1
        for pool, dex, base, quote in ARB_POOLS:
            yield PoolStateUpdate(pool, dex, base, quote, "CheckMintR", SOL_MINT, self.slot, slot=self.slot)
        cheap, dear, empty = (pool for pool, *_ in ARB_POOLS)
        yield self.path(dear, cheap)
        yield self.path(cheap, empty)
        yield from self.stopped(self.path(cheap, dear))
        yield self.path(cheap, dear)
        yield self.simulated(out=102_000_000, delta=99_999)
        yield self.path(cheap, dear)
        yield self.simulated(out=102_000_000, delta=100_000)
        yield self.sent("all endpoints refused")
        yield self.path(cheap, dear)
        yield self.simulated()
        yield self.config(quantile_slippage_enabled="true")
        yield from self.stopped(self.buy())
        yield self.config(quantile_slippage_enabled="false")

    def path(self, first, second, raw=100_000_000):
        """An arbitrage from SOL over CheckMintR to SOL."""
        dexes = {pool: dex for pool, dex, *_ in ARB_POOLS}
        hops = (
            SwapHop(first, dexes[first], SOL_MINT, "CheckMintR", 0),
            SwapHop(second, dexes[second], "CheckMintR", SOL_MINT, 0),
        )
        return self.arb(
            raw,
            resources=TradeResources(SOL_MINT, SOL_MINT, (first, second)),
            swap_path=hops,
            execution=Execution(ExplicitAmount(raw, 9)),
        )

    def plans(self):
        yield self.buy(pool="CheckPoolNowhere")
        yield self.buy(mint="CheckMintZ", pool=POOLS[MINTS[0]])
        yield self.buy(execution=Execution(ExplicitAmount(1_000, 9)))
        yield self.buy(execution=None)
        yield self.buy(execution=None, metadata={"dex": "pump_amm", "min_out_raw": "many"})
        yield Trade("CheckPoolE", "CheckMintE", "CheckTrader", True, 10**9, 10**9, 6, "pump_amm", slot=self.slot)
        yield self.buy(
            mint="CheckMintE", pool="CheckPoolE", execution=None, metadata={"dex": "pump_amm", "min_out_raw": "1000"}
        )
        yield self.buy(pool=CURVE, metadata={"dex": "pumpfun"})
        yield GapOpened("geyser", self.slot, self.slot + 2, "drill")
        yield self.buy()
        yield GapClosed("geyser", None, self.slot + 2, filled=False)
        for mint in MINTS:
            yield self.trade(mint)
        yield ForkOrphaned(self.slot, "drill")
        yield self.buy(mint=MINTS[3])
        yield self.trade(MINTS[3])
        yield self.balance(MINTS[3], 5_000_000)
        yield PoolStateUpdate("CheckPoolF", "pump_amm", 0, 0, MINTS[3], SOL_MINT, self.slot, slot=self.slot)
        yield self.sell(mint=MINTS[3], pool="CheckPoolF")
        yield self.balance(MINTS[3], 0)

    def locks(self):
        yield self.config(max_open_positions=9)
        yield self.buy(450_000_000)
        yield self.buy(450_000_000, mint=MINTS[1])
        yield self.buy(450_000_000, mint=MINTS[2])
        yield self.buy()
        yield self.buy(tier="Tier0", hint_urgency=2)
        yield self.simulated("Custom(6001)")
        yield self.buy(450_000_000, mint=MINTS[2])
        yield self.later(11_000)
        yield self.config(max_open_positions=2)

    def fairness(self):
        for _ in range(5):
            yield self.arb()
            yield from self.stopped(self.buy())
        yield self.arb()
        yield self.buy()
        yield self.simulated("sim_timeout")

    def simulations(self):
        for mint in MINTS:
            yield self.trade(mint)
        yield self.buy(intent_id="check-twice")
        yield self.simulated(out=999)
        yield self.buy(intent_id="check-twice")
        yield self.config(send_enabled="false")
        yield self.buy()
        yield self.simulated(out=5_000)
        yield self.config(send_enabled="true")

    def edges(self):
        """The value that stands exactly on each limit: one comparison read the other way changes a decision."""
        yield from self.stopped(self.buy(500_000_000))
        yield from self.stopped(self.buy(max_slippage_bps=500))
        yield from self.stopped(self.buy(deadline_slot=self.slot))
        yield self.config(max_compute_units=200_000, max_tx_cost_lamports=5_480)
        yield from self.stopped(self.buy())
        yield self.config(max_compute_units=1_400_000, max_tx_cost_lamports=50_000_000)
        yield PriorityFeePercentiles(64, self.slot, 500, 83_334, 120_000, 150_000, 9_000, 100_000, 8_000)
        yield from self.stopped(self.buy())
        yield PriorityFeePercentiles(64, self.slot, 500, 2_000, 3_000, 5_000, 9_000, 2_400, 8_000)
        yield from self.stopped(self.buy(require_bundle=True, bundle_tip_lamports=1_000))
        yield from self.stopped(self.arb(roi=10))
        yield self.arb(pools=2, metadata={"spread_bps": "30", "estimated_profit_lamports": "900000"})
        yield self.arb(pools=2, metadata={"spread_bps": "120", "estimated_profit_lamports": "6600"})
        yield self.config(max_open_positions=9)
        for mint in MINTS[1:]:
            yield self.buy(mint=mint)
        yield self.buy(ttl_ms=1_000)
        yield self.buy(deadline_slot=self.slot)
        yield self.later(1_000)
        yield self.simulated("Custom(6001)")
        yield ClockTick()
        yield self.simulated("Custom(6001)")
        yield ClockTick()
        yield self.later(11_000)
        yield self.config(max_open_positions=2)

    def at_limits(self):
        """One to each side of limits that move: what is held, positions, losses, the rest of a mint."""
        yield self.balance(MINTS[3], 5_000_000)
        yield from self.stopped(self.sell(5_000_000, mint=MINTS[3]))
        yield self.sell(5_000_001, mint=MINTS[3])
        yield self.balance(MINTS[3], 0)
        yield from self.stopped(self.buy(metadata={"dex": "pump_amm", "current_open_positions": "1"}))
        yield self.buy(metadata={"dex": "pump_amm", "current_open_positions": "2"})
        yield self.config(max_position_size_lamports=10**12)
        yield self.buy(10**12)
        yield ClockTick()
        free = self.measured("available")
        yield from self.stopped(self.buy(free))
        yield self.buy(free + 1)
        yield self.config(max_position_size_lamports=500_000_000)
        yield self.buy(expected_value_lamports=1, ttl_ms=1_000)
        yield self.later(1_001)
        yield self.simulated("Custom(6001)")

    def measured(self, word):
        """The number that the newest refusal told after `word=`."""
        said = [record.event for record in self.records if isinstance(record.event, DecisionRecord)][-1]
        return int(re.search(rf"{word}=(\d+)", said.checks[-1].details)[1])

    def action(self, purpose, raw, paid, got, decimals=9, accounts=(), program=None, **metadata):
        """An action on the own wallet, as a housekeeper wishes it."""
        self.count += 1
        told = action(
            "account-janitor" if accounts else "wsol-manager",
            purpose,
            ExplicitAmount(raw, decimals),
            TradeResources(paid, got, accounts=accounts, token_program=program),
            {"dry_run": "false", **metadata},
        )
        return replace(told, intent_id=f"check-{self.count:03d}")

    def too_large(self):
        """Three legs with all their instructions: more than a packet holds where no lookup table is named."""
        legs = round_pools()
        yield WalletSnapshotComplete(HOUSE_WALLET, (), slot=self.slot)
        yield self.config(plans="required", cross_dex_min_spread_bps=0, min_profit_after_fees_bps=0)
        for venue, pool, accounts, mints in legs:
            base, quote = mints if mints[1] == SOL_MINT else mints[::-1]
            yield PoolCreated(pool, base, quote, venue, "0", slot=self.slot)
            for address, account in accounts.items():
                yield AccountWritten(address, account.owner, account.lamports, account.data, slot=self.slot)
        for address, account in ROUND_MINTS:
            yield AccountWritten(address, account.owner, account.lamports, account.data, slot=self.slot)
        yield SlotUpdate(self.slot, slot=self.slot)
        self.count += 1
        yield replace(path(*legs, raw=SMALL), intent_id=f"check-{self.count:03d}")
        yield ClockTick()
        yield self.config(plans="terms", cross_dex_min_spread_bps=30, min_profit_after_fees_bps=10)

    def housekeeping(self):
        """Wrap, unwrap, close, burn: dry, refused, and all the way; each is a sell with a purpose."""
        account = associated(HOUSE_WALLET, HOUSE_MINT, TOKEN_PROGRAM)
        yield WalletSnapshotComplete("CheckWallet", (), slot=self.slot)
        yield self.action("wrap", 10_000_000, NATIVE_SOL, SOL_MINT)
        yield WalletSnapshotComplete(HOUSE_WALLET, (), slot=self.slot)
        yield self.action("wrap", 10_000_000, SOL_MINT, NATIVE_SOL)
        yield self.action("wrap", 10_000_000, NATIVE_SOL, SOL_MINT, dry_run="true")
        yield self.simulated(out=10_000_000)
        yield self.action("wrap", 10_000_000, NATIVE_SOL, SOL_MINT)
        yield ControlRequest("check-kill-2", "all", "kill_switch", active=True, reason="drill")
        yield self.simulated(out=10_000_000)
        yield self.action("wrap", 10_000_000, NATIVE_SOL, SOL_MINT)
        yield ControlRequest("check-reset-2", "all", "reset_kill_switch")
        yield from self.acted(self.action("wrap", 10_000_000, NATIVE_SOL, SOL_MINT), 11_488_440, 10_000_000, -1_493_640)
        yield from self.acted(self.action("unwrap", 4_000_000, SOL_MINT, NATIVE_SOL), 4_000_000, 4_000_000, -5_200)
        yield self.buy(1_000_000)
        yield self.action("unwrap", 5_000_000, SOL_MINT, NATIVE_SOL, whole="true")
        yield self.simulated("Custom(6001)")
        yield TokenMintInfo(HOUSE_MINT, TOKEN_PROGRAM, 6, 10**15, None, None, slot=self.slot)
        yield self.balance(HOUSE_MINT, 77)
        burn = (77, HOUSE_MINT, NATIVE_SOL, 6, (account,), TOKEN_PROGRAM)
        yield self.trade(HOUSE_MINT, pool=HOUSE_POOL)
        yield self.action("burn", *burn, lamports="1488440", max_value_lamports="50")
        yield self.action("burn", *burn, lamports="1488440", max_value_lamports="100")
        yield self.simulated(out=1_488_439)
        burns = self.action("burn", *burn, lamports="1488440", max_value_lamports="100")
        yield from self.acted(burns, 77, 1_488_440, 1_483_240, (6, 9))
        close = (0, HOUSE_MINT, NATIVE_SOL, 6, (account,), TOKEN_PROGRAM)
        yield self.action("close", *close, lamports="many")
        yield self.action("close", 0, SOL_MINT, NATIVE_SOL, 9, (account,), TOKEN_PROGRAM, lamports="1")
        yield self.buy(1_000_000, mint=HOUSE_MINT, pool=HOUSE_POOL)
        yield self.action("close", *close, lamports="1488440")
        yield self.simulated("Custom(6001)")
        yield from self.acted(self.action("close", *close, lamports="1488440"), 0, 1_488_440, 1_483_240, (6, 9))

    def acted(self, intent, given, got, delta, decimals=(9, 9)):
        """An action that goes all the way."""
        yield intent
        yield self.simulated(out=got)
        yield self.signed()
        yield self.sent()
        self.ms += 400
        fills = (ExplicitAmount(given, decimals[0]), ExplicitAmount(got, decimals[1]))
        fees = ResultFees(5_200, 0, 42_000)
        yield ConfirmAnswer(
            self.ask(SendAsk), "confirmed", self.slot + 1, None, *fills, None, fees, delta, ordinal=self.answered()
        )

    def sends(self):
        yield self.buy()
        yield self.simulated(out=1_000)
        yield self.sent("all endpoints refused")
        yield self.buy(require_bundle=True)
        yield self.simulated()
        yield self.sent("rate limited", "jito")

    def confirmations(self):
        yield self.buy()
        yield self.simulated()
        yield self.signed()
        yield self.sent()
        yield self.ended("failed", error="Custom(6004)", again=2)
        yield self.buy(require_bundle=True, bundle_tip_lamports=100_000)
        yield self.simulated()
        yield self.sent(method="jito", bundle="check-bundle-1")
        yield self.ended("failed", error="dropped")
        yield self.buy(require_bundle=True)
        yield self.simulated()
        yield self.sent(method="jito", bundle="check-bundle-2")
        yield self.ended("timeout", again=1)
        yield self.ended("failed", error="late")
        yield self.buy()
        yield self.simulated()
        yield self.sent()
        yield self.ended("rpc_error")
        yield self.ended("failed", error="late")
        yield self.buy()
        yield self.simulated()
        yield self.sent()
        yield self.later(15_001)
        yield self.ended("confirmed", 10_000_000, None, reason="rpc_tx_fetch_failed")
        yield self.buy(mint=MINTS[1])
        yield self.simulated()
        yield self.sent()
        yield self.ended("confirmed", None, None, reason="tx_meta_missing")

    def positions(self):
        yield from self.filled(self.buy(), 10_000_000, 8_000_000)
        yield from self.filled(self.buy(mint=MINTS[1]), 10_000_000, 8_000_000)
        yield self.buy(mint=MINTS[2])
        scale_in = {"dex": "pump_amm", "entry_kind": "scale_in"}
        yield self.buy(mint=MINTS[2], metadata=scale_in)
        yield from self.filled(self.buy(metadata=scale_in), 10_000_000, 9_000_000)
        yield from self.filled(self.sell(8_500_000), 8_500_000, 12_000_000)
        yield self.sell(6_000_000, mint=MINTS[1])
        yield self.sell(6_000_000, mint=MINTS[1])
        yield self.simulated("Custom(6001)")
        yield from self.filled(self.sell(8_000_000, mint=MINTS[1]), 8_000_000, 11_000_000)
        yield self.balance(MINTS[0], 8_600_000)
        yield self.balance(MINTS[0], 8_500_000)

    def losses(self):
        yield from self.filled(self.buy(80_000_000, mint=MINTS[1]), 80_000_000, 8_000_000)
        yield from self.filled(self.sell(8_000_000, mint=MINTS[1]), 8_000_000, 40_000_000)
        yield self.buy(mint=MINTS[1])
        yield self.config(daily_loss_limit_lamports=40_000_000)
        yield self.buy(mint=MINTS[2])
        yield ClockTick()
        lost = self.measured("lost")
        yield self.config(daily_loss_limit_lamports=lost)
        yield self.buy(mint=MINTS[2])
        yield self.config(daily_loss_limit_lamports=lost + 1)
        yield from self.stopped(self.buy(mint=MINTS[2]))
        yield self.config(daily_loss_limit_lamports=5_000_000_000)
        yield from self.filled(self.buy(50_000_000, mint=MINTS[2]), 50_000_000, 8_000_000)
        yield from self.filled(self.sell(8_000_000, mint=MINTS[2]), 8_000_000, 30_000_000)
        yield self.buy(mint=MINTS[3])
        yield ClockTick()
        fallen = self.measured("drawdown")
        yield self.config(drawdown_limit_lamports=fallen)
        yield self.buy(mint=MINTS[3])
        yield self.config(drawdown_limit_lamports=fallen + 1)
        yield from self.stopped(self.buy(mint=MINTS[3]))
        yield self.config(drawdown_limit_lamports=0)
        yield self.buy(mint=MINTS[2])
        yield ClockTick()
        now, until = self.measured("now"), self.measured("until")
        yield self.later(until - now - 1)
        yield self.buy(mint=MINTS[2])
        yield self.later(1)
        yield from self.stopped(self.buy(mint=MINTS[2]))
        yield self.later(5_001)
        yield from self.stopped(self.buy(mint=MINTS[1]))

    def curve(self):
        told = {"dex": "pumpfun", "creator": "CheckCreator", "purpose": "liquidation"}
        yield self.trade(MINTS[0], "pumpfun", CURVE)
        yield self.trade(MINTS[0])
        yield self.sell(pool=CURVE, metadata=told)
        yield self.simulated("InstructionError(2, Custom(6005))")
        yield self.simulated()
        yield self.sent()
        yield self.ended("confirmed", 1_000_000, 1_500_000, again=1)
        yield BondingCurveProgress(MINTS[0], CURVE, 10_000, complete=True, slot=self.slot)
        yield self.sell(pool=CURVE, metadata=told)

    def time(self):
        yield self.buy(deadline_slot=self.slot - 1)
        yield self.config(max_open_positions=9)
        for mint in MINTS[1:]:
            yield self.buy(mint=mint, expected_value_lamports=1_000_000)
        yield self.buy(ttl_ms=1_500)
        yield self.later(1_000)
        yield self.later(1_000)
        yield self.later(11_000)
        yield self.buy(mint=MINTS[1])
        yield self.simulated()
        yield self.later(15_001)
        yield self.later(90_001)

    def kill(self):
        yield self.buy(mint=MINTS[1])
        yield ControlRequest(
            "check-kill", "execution-engine", "kill_switch", active=True, reason="drill", liquidate_positions=False
        )
        yield self.simulated()
        yield self.buy(mint=MINTS[1])
        yield from self.stopped(self.sell())
        yield ControlRequest("check-reset", "execution-engine", "reset_kill_switch")
        yield from self.stopped(self.buy(mint=MINTS[1]))
