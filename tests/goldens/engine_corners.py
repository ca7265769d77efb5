"""More intents against the engine alone: what `engine_checks` leaves equal on both sides of a comparison.

The golden `engine-corners`. A value shows only where something is refused, so `probe` asks for more capital than there
is: its refusal tells what is free.
"""

from msgspec.structs import replace

from ironcrab.domain.ask import SendAsk
from ironcrab.domain.control import ClockTick
from ironcrab.domain.market import (
    ExplicitAmount,
    PoolStateUpdate,
    TokenMintInfo,
    WalletBalanceSnapshot,
    WalletSnapshotComplete,
)
from ironcrab.domain.trade import Execution, SwapHop, TradeResources
from ironcrab.domain.units import SOL_MINT, TOKEN_PROGRAM, USDC_MINT
from tests.goldens import engine_checks
from tests.goldens.engine_checks import MINTS, POOLS

ROUND = ("CheckPoolR", "CheckPoolS", "CheckPoolT", "CheckPoolU")
DEXES = {"CheckPoolR": "raydium", "CheckPoolS": "raydium_cpmm", "CheckPoolT": "pump_amm", "CheckPoolU": "orca"}
DEEP = 10**15


def events_of(records):
    """(time in ns, event) of every world record; `records` is what came of them so far."""
    return Script(records).events()


class Script(engine_checks.Script):
    """What the world says, act by act, with the words of the golden `engine-checks`."""

    def events(self):
        """Every act in turn."""
        acts = (
            self.market, self.midnight, self.numbers, self.words, self.ranks, self.rounds, self.native, self.fills, self.wallets,
            self.wrapped, self.fee_terms, self.preempted, self.same_slot, self.forgotten,
            self.sold_meanwhile, self.counted, self.full_house, self.completed,
        )  # fmt: skip
        for act in acts:
            for event in act():
                yield self.ms * 1_000_000, event

    def market(self):
        """Four pools, a wallet without tokens; nobody can sign before it is told."""
        yield self.config(send_enabled="false")
        yield self.config(send_enabled="false")
        yield self.config(send_enabled="true", cooldown_ms=5_001)
        yield WalletSnapshotComplete("CheckWallet", (), slot=self.slot)
        for mint in MINTS:
            yield TokenMintInfo(mint, TOKEN_PROGRAM, 6, 10**15, None, None, slot=self.slot)
            yield self.trade(mint)
        yield self.config(max_open_positions=9, drawdown_limit_lamports=0, send_enabled="true", cooldown_ms=5_000)

    def midnight(self):
        """Losses of a day count until its last millisecond; two mints rest at once."""
        for mint in MINTS[1:3]:
            yield from self.filled(self.buy(80_000_000, mint=mint), 80_000_000, 8_000_000)
            yield from self.filled(self.sell(8_000_000, mint=mint), 8_000_000, 40_000_000)
        yield from self.stopped_or_not(self.buy(mint=MINTS[1]))
        yield self.config(daily_loss_limit_lamports=30_000_000)
        for at in (19_999, 20_000):
            self.ms = engine_checks.START_MS + at
            yield from self.stopped_or_not(self.buy(mint=MINTS[3]))
        yield self.config(daily_loss_limit_lamports=5_000_000_000)

    def probe(self, side="Buy", mint=MINTS[3]):
        """More than there is; the refusal says how much there is."""
        yield self.config(max_position_size_lamports=10**15)
        yield self.buy(10**14, mint=mint) if side == "Buy" else self.sell(10**14, mint=mint)
        yield self.config(max_position_size_lamports=500_000_000)

    def numbers(self):
        """Counts and least outputs as text: of twenty digits and more, signed, nought, at 64 bits and beside."""
        for told in ("0" * 19 + "7", "0" * 20 + "7", "0" * 18 + "7", "-5", "--5", "-", "7-7"):
            yield from self.stopped_or_not(self.buy(metadata={"dex": "pump_amm", "current_open_positions": told}))
        least = ("0", "1", "2", str(2**63), str(2**64 - 1), str(2**64), "0" * 19 + "7", "0" * 20 + "7", "0" * 18 + "7")
        for told in (*least, str(3**64), str(2**65 - 1)):
            yield from self.stopped_or_not(self.buy(execution=None, metadata={"dex": "pump_amm", "min_out_raw": told}))
        for raw in (1, 0):
            yield from self.stopped_or_not(self.buy(raw))
        for tip in (50_000_000 - 5_200, 50_000_000 - 5_200 + 1):
            bundled = {"require_bundle": True, "hint_compute_units": 200_000, "bundle_tip_lamports": tip}
            yield from self.stopped_or_not(self.buy(**bundled))

    def stopped_or_not(self, intent):
        """An intent, and a failed simulation where it comes so far."""
        before = len([record for record in self.records if type(record.event).__name__ == "SimulateAsk"])
        yield intent
        yield ClockTick()
        if len([record for record in self.records if type(record.event).__name__ == "SimulateAsk"]) > before:
            yield self.simulated("Custom(6001)")

    def words(self):
        """Sides that are not SOL, paths of one hop, several pools."""
        for side, paid, got in (
            ("Buy", USDC_MINT, MINTS[0]), ("Sell", MINTS[0], USDC_MINT), ("Buy", SOL_MINT, SOL_MINT), ("Sell", SOL_MINT, SOL_MINT),
        ):  # fmt: skip
            resources = TradeResources(paid, got, (POOLS[MINTS[0]],))
            make = self.buy if side == "Buy" else self.sell
            yield from self.stopped_or_not(make(resources=resources))
        hop = SwapHop(POOLS[MINTS[0]], "pump_amm", SOL_MINT, MINTS[0], 1)
        for hops, pools in (((hop,), 1), ((), 2), ((hop, hop), 1), ((hop, hop, hop), 3)):
            resources = TradeResources(SOL_MINT, MINTS[0], tuple(POOLS.values())[:pools])
            yield from self.stopped_or_not(self.buy(resources=resources, swap_path=hops))

    def ranks(self):
        """Three attempts take all the room; what waits goes in order of worth, urgency and time left."""
        for mint in MINTS[:3]:
            yield self.buy(mint=mint, ttl_ms=60_000)
        rows = [(value, urgency) for value in (None, 0, 1, 2, 3) for urgency in (None, 1, 2, 3)]
        for value, urgency in rows:
            yield self.buy(0, metadata={}, ttl_ms=50_000, hint_urgency=urgency, expected_value_lamports=value)
        yield self.sell(0, metadata={}, ttl_ms=50_000, expected_value_lamports=9)
        yield self.buy(1, metadata={}, ttl_ms=50_000, expected_roi_bps=10_000)
        yield self.buy(2, metadata={}, ttl_ms=50_000, expected_roi_bps=10_000)
        for ahead in (0, 1, 5, 200):
            yield self.buy(0, metadata={}, ttl_ms=50_000, deadline_slot=self.slot + ahead, expected_value_lamports=2)
        for ttl in (1_000, 1_001, 1_002, 1_003, 2_000):
            yield self.buy(0, metadata={}, ttl_ms=ttl, expected_value_lamports=4)
        yield self.trade(MINTS[3])
        self.ms += 900
        yield self.simulated("Custom(6001)")
        yield ClockTick()
        self.ms += 40_000
        yield ClockTick()
        for later, slots, fields in (
            (1_000, 0, {"ttl_ms": 1_000}), (1_001, 0, {"ttl_ms": 1_000}),
            (1_000, 0, {"deadline_slot": self.slot}), (1_000, 1, {"deadline_slot": self.slot}),
        ):  # fmt: skip
            # what expires while it is simulated is not sent
            yield self.buy(**fields)
            yield ClockTick()
            self.ms += later - 100
            yield self.trade(MINTS[0], slots=slots)
            yield self.simulated()
            if later == 1_000 and not slots:
                yield self.sent("refused")

    def rounds(self):
        """Round trips: what is wrong with a path, spreads and profits at their least, fills."""
        self.slot += 1
        for pool, quote in zip(ROUND, (DEEP, DEEP * 103 // 100, 1_000, DEEP), strict=True):
            yield PoolStateUpdate(pool, DEXES[pool], DEEP, quote, "CheckMintR", SOL_MINT, self.slot, slot=self.slot)
        yield self.trade("CheckMintR", "orca", "CheckPoolU")
        good = (ROUND[0], ROUND[1])
        paths = [
            good,
            (ROUND[0],),
            (ROUND[0], ROUND[0]),
            (ROUND[0], ROUND[1], ROUND[0]),
            (ROUND[0], ROUND[3]),
            (ROUND[0], ROUND[2]),
        ]
        for path in (*paths, (ROUND[1], ROUND[0]), (ROUND[0], "CheckPoolNowhere")):
            yield from self.stopped_or_not(self.round(path))
        hops = self.round(good).swap_path
        wrong = (
            {"swap_path": (replace(hops[0], dex="orca"), hops[1])},
            {"swap_path": (hops[0], replace(hops[1], input_mint=SOL_MINT, output_mint="CheckMintR"))},
            {"swap_path": (replace(hops[0], output_mint=USDC_MINT), hops[1])},
            {"swap_path": (hops[1], hops[0])},
            {"resources": TradeResources(SOL_MINT, SOL_MINT, (ROUND[1], ROUND[0]))},
            {"side": "Sell"},
            {"swap_path": hops[:1]},
        )
        for more in wrong:
            yield from self.stopped_or_not(replace(self.round(good), **more))
        for raw in (0, 1, 2, 3, 4, 5, 6, 110, 120, 130, 140, 400):
            yield from self.stopped_or_not(self.round(good, raw, source="other"))
        for least in (102_383_136, 102_383_137, 102_383_138):
            yield from self.stopped_or_not(self.round(good, execution=Execution(ExplicitAmount(least, 9))))
        yield self.config(cross_dex_max_hops=2)
        yield from self.stopped_or_not(self.round(good))
        for spread in (237, 238, 239):
            yield self.config(cross_dex_min_spread_bps=spread)
            yield from self.stopped_or_not(self.round(good))
        yield self.config(cross_dex_min_spread_bps=0, min_profit_after_fees_bps=-5)
        yield from self.stopped_or_not(self.round(good))
        yield from self.stopped_or_not(self.round((ROUND[0], ROUND[1]), expected_roi_bps=0))
        for paid, got in (
            (100_000_000, 101_000_000),
            (None, 101_000_000),
            (100_000_000, None),
            (100_000_000, 99_000_000),
        ):
            yield self.round(good)
            yield self.simulated(out=10**9)
            yield self.signed()
            yield self.sent()
            fills = [None if raw is None else ExplicitAmount(raw, 9) for raw in (paid, got)]
            yield replace(self.ended("confirmed"), fill_in=fills[0], fill_out=fills[1])
            yield from self.probe()
        yield self.config(min_profit_after_fees_bps=10, cross_dex_min_spread_bps=30)

    def round(self, pools, raw=100_000_000, **more):
        """A path from SOL over CheckMintR and back."""
        mints = (SOL_MINT, "CheckMintR")
        hops = tuple(
            SwapHop(pool, DEXES.get(pool, "raydium"), mints[n % 2], mints[(n + 1) % 2], 0)
            for n, pool in enumerate(pools)
        )
        told = {
            "resources": TradeResources(SOL_MINT, SOL_MINT, pools),
            "swap_path": hops,
            "execution": Execution(ExplicitAmount(max(raw, 1), 9)),
        }
        return self.arb(raw, **{**told, **more})

    def native(self):
        """What a fill and its fees leave of native SOL."""
        yield from self.probe()
        yield from self.filled(self.buy(), 10_000_000, 8_000_000)
        yield from self.probe()
        yield from self.filled(self.sell(1_000_000), 1_000_000, 1_300_000)
        yield from self.probe()

    def fills(self):
        """Sells whose fills are told in part, and sells that end a few lamports about nothing."""
        for paid, got in ((0, 1_000), (None, 1_000), (1_000_000, None), (1_000_000, 0), (6_000_001, 900)):
            yield from self.filled(self.sell(1_000_000), paid, got)
            yield from self.probe("Sell", MINTS[0])
        for beside in (-1, 0, 1):
            yield from self.filled(self.buy(mint=MINTS[1]), 10_000_000, 8_000_000)
            yield from self.filled(self.sell(8_000_000, mint=MINTS[1]), 8_000_000, 10_010_400 + beside)
            yield from self.stopped_or_not(self.buy(mint=MINTS[1]))
            self.ms += 5_000
            yield from self.stopped_or_not(self.buy(mint=MINTS[1]))
        self.ms += 10_000
        yield from self.filled(self.buy(mint=MINTS[1]), 10_000_000, 1)
        yield self.config(max_open_positions=1)
        yield self.buy(mint=MINTS[2])
        yield self.config(max_open_positions=9)
        yield from self.filled(self.sell(1, mint=MINTS[1]), 1, 1_000)

    def wallets(self):
        """Snapshots against fills: older, of the same slot, newer, of the same amount; two sells of one balance."""
        yield from self.filled(self.buy(mint=MINTS[2]), 10_000_000, 8_000_000)
        for ago, raw in (
            (5, 1),
            (0, 8_000_000),
            (-1, 8_000_001),
            (-1, 8_000_001),
            (-2, 7_000_000),
            (-2, 7_000_000),
            (-3, 1),
        ):
            yield WalletBalanceSnapshot(MINTS[2], raw, 6, TOKEN_PROGRAM, slot=self.slot - ago)
            yield from self.probe("Sell", MINTS[2])
        yield self.sell(1, mint=MINTS[2])
        yield self.sell(1, mint=MINTS[2], pool="CheckPoolX")
        yield self.simulated("Custom(6001)")
        yield WalletBalanceSnapshot(MINTS[3], 1, 6, TOKEN_PROGRAM, slot=self.slot)
        yield self.config(max_open_positions=1)
        for mint in (MINTS[2], MINTS[3], MINTS[1]):
            yield from self.stopped_or_not(self.buy(mint=mint, metadata={"dex": "pump_amm", "entry_kind": "scale_in"}))
        yield self.config(max_open_positions=9)
        yield self.buy(mint=MINTS[2])
        yield self.simulated()
        yield self.signed()
        yield self.sent()
        yield WalletBalanceSnapshot(MINTS[2], 9_000_001, 6, TOKEN_PROGRAM, slot=self.slot + 1)
        yield self.ended("confirmed", 10_000_000, 9_000_000)
        yield from self.probe("Sell", MINTS[2])
        yield WalletBalanceSnapshot(MINTS[2], 0, 6, TOKEN_PROGRAM, slot=self.slot + 1)
        yield WalletBalanceSnapshot(MINTS[2], 0, 6, TOKEN_PROGRAM, slot=self.slot + 2)
        yield WalletBalanceSnapshot("CheckMintY", 0, 6, TOKEN_PROGRAM, slot=self.slot)
        for mint, raw in ((MINTS[0], 3), (MINTS[3], 1)):
            yield WalletBalanceSnapshot(mint, raw, 6, TOKEN_PROGRAM, slot=self.slot + 2)
        for later, ahead in ((89_999, 3), (1, 3), (1, 2), (1, 3)):
            self.ms += later
            yield WalletSnapshotComplete("CheckWallet", (MINTS[0],), slot=self.slot + ahead)
        yield WalletSnapshotComplete("CheckWallet", ())

    def wrapped(self):
        """WSOL is seen while a buy that native SOL pays is under way."""
        yield WalletBalanceSnapshot(SOL_MINT, 0, 9, TOKEN_PROGRAM, slot=self.slot)
        yield from self.probe()
        yield self.buy(100_000_000, mint=MINTS[1])
        yield self.simulated()
        yield self.signed()
        yield self.sent()
        yield WalletBalanceSnapshot(SOL_MINT, 1, 9, TOKEN_PROGRAM, slot=self.slot)
        yield from self.probe()
        yield WalletBalanceSnapshot(SOL_MINT, 2_000_000_000, 9, TOKEN_PROGRAM, slot=self.slot)
        yield self.ended("confirmed", 100_000_000, 8_000_000)
        yield from self.probe()
        for status, told in (("confirmed", 100_000_000), ("confirmed", None)):
            yield self.buy(100_000_000, mint=MINTS[1])
            yield self.simulated()
            yield self.signed()
            yield self.sent()
            yield WalletBalanceSnapshot(SOL_MINT, 1_700_000_000, 9, TOKEN_PROGRAM, slot=self.slot + 1)
            yield replace(self.ended(status, told, None), slot=None if told is None else self.slot + 1)
            yield from self.probe()

    def fee_terms(self):
        """Hints above and below the caps; recommendations at the static fee; liquidations with terms of their own."""
        for units in (1_400_001, 1_399_999, 100):
            yield from self.stopped_or_not(self.buy(hint_compute_units=units))
        for fee in (99_999, 100_001):
            yield from self.stopped_or_not(self.buy(hint_priority_fee_micro_lamports=fee))
        for urgency in (0, 1, 2, 3):
            yield from self.stopped_or_not(self.buy(hint_urgency=urgency))
        yield self.config(
            liquidation_priority_fee_micro_lamports=7_000,
            liquidation_max_priority_fee_micro_lamports=8_000,
            liquidation_max_tx_cost_lamports=9_000,
        )
        told = {"dex": "pump_amm", "purpose": "liquidation"}
        yield from self.stopped_or_not(self.sell(1, metadata=told))
        for roi, raw in ((10, 1), (10, 0), (100_000, 2)):
            yield from self.stopped_or_not(self.arb(raw, roi=roi))

    def preempted(self):
        """Better tiers take pools; at the edges of the window and of the protection."""
        for pause in (0, 0, 0, 12_000, 47_999, 1, 1, 30_000, 0):
            self.ms += pause
            yield self.arb()
            yield from self.stopped_or_not(self.buy())
        for _ in range(4):
            yield self.arb()
            yield from self.stopped_or_not(self.buy())
        for later in (29_999, 1):
            yield self.arb()
            self.ms += later
            yield from self.stopped_or_not(self.buy())
            yield from self.stopped_or_not(self.arb())
        yield self.buy()
        yield self.simulated()
        yield self.signed()
        yield self.sent()
        assert self.ask(SendAsk)
        self.ms += 15_000
        yield ClockTick()
        self.ms += 1
        yield ClockTick()
        self.ms += 90_000
        yield ClockTick()
        yield from self.probe()
        self.ms += 1
        yield ClockTick()
        yield from self.probe()

    def same_slot(self):
        """Snapshots of the very slot that a fill is told of afterwards; a sale of one unit; one of more than is known."""
        yield self.config(max_open_positions=9, cooldown_ms=0)
        self.slot += 10
        for intent, raw, paid, got in (
            (self.buy(mint=MINTS[3]), 8_000_000, 10_000_000, 8_000_000),
            (self.sell(1_000_000, mint=MINTS[3]), 7_000_000, 1_000_000, 1_200_000),
            (self.sell(2, mint=MINTS[3]), None, 1, 1_000),
            (self.sell(2, mint=MINTS[3]), None, 90_000_000, 1_000),
            (self.buy(mint=MINTS[3]), None, 10_000_000, 8_000_000),
        ):
            yield intent
            yield self.simulated()
            yield self.signed()
            yield self.sent()
            self.slot += 1
            if raw is not None:
                yield WalletBalanceSnapshot(MINTS[3], raw, 6, TOKEN_PROGRAM, slot=self.slot)
            yield replace(self.ended("confirmed", paid, got), slot=self.slot)
            yield from self.probe("Sell", MINTS[3])

    def forgotten(self):
        """Rows of nothing are forgotten 9,000 slots later and after the grace time; then an older word is believed."""
        self.slot += 10
        start = self.slot
        for mint, raw, ago in (("CheckMintP", 0, 0), ("CheckMintV", 1, 0), ("CheckMintW", 5, 1), ("CheckMintW", 0, 0)):
            yield WalletBalanceSnapshot(mint, raw, 6, TOKEN_PROGRAM, slot=start - ago)
        for later in (9_000, 9_001):
            self.slot = start + later
            yield WalletBalanceSnapshot("CheckMintZ", 0, 6, TOKEN_PROGRAM, slot=self.slot)
            yield from self.probe("Sell", "CheckMintW")
            yield from self.probe("Sell", "CheckMintP")
            yield WalletBalanceSnapshot("CheckMintP", 7, 6, TOKEN_PROGRAM, slot=start - 1)
            for mint in ("CheckMintP", "CheckMintV"):
                yield from self.probe("Sell", mint)
            told = {"dex": "pump_amm", "entry_kind": "scale_in"}
            yield from self.stopped_or_not(self.buy(mint="CheckMintP", metadata=told))
        yield from self.filled(self.buy(mint=MINTS[1]), 10_000_000, 8_000_000)
        yield from self.filled(self.sell(8_000_000, mint=MINTS[1]), 8_000_000, 10_100_000)
        yield WalletBalanceSnapshot(MINTS[1], 0, 6, TOKEN_PROGRAM, slot=self.slot + 5)
        self.slot += 9_100
        for later in (90_000, 1):
            self.ms += later
            yield WalletBalanceSnapshot("CheckMintZ", 0, 6, TOKEN_PROGRAM, slot=self.slot)
            yield from self.probe("Sell", MINTS[1])

    def sold_meanwhile(self):
        """The wallet tells less than a sale under way has locked."""
        yield from self.filled(self.buy(mint=MINTS[1]), 10_000_000, 8_000_000)
        yield self.sell(5_000_000, mint=MINTS[1])
        yield WalletBalanceSnapshot(MINTS[1], 1, 6, TOKEN_PROGRAM, slot=self.slot + 20)
        yield from self.probe("Sell", MINTS[1])
        yield self.simulated("Custom(6001)")

    def counted(self):
        """A preemption that is just as long ago as the window reaches counts no more."""
        yield self.config(fairness_max_preemptions_per_source=2, fairness_preemption_window_ms=10_000)
        for pause in (200_000, 10_000, 200_000, 9_999):
            self.ms += pause
            for _ in range(2 if pause < 200_000 else 1):
                yield self.arb()
                yield from self.stopped_or_not(self.buy())
        yield self.simulated("Custom(6001)")

    def full_house(self):
        """With every place taken: deadlines and ttls that pass one after the other, and a Tier0 that needs no place."""
        self.ms += 200_000
        self.slot += 200
        yield self.trade(MINTS[3])
        for mint in MINTS[:3]:
            yield self.buy(mint=mint, ttl_ms=60_000)
        yield self.buy(0, mint=MINTS[3], metadata={}, tier="Tier0")
        yield ClockTick()
        for ahead in (1, 9):
            yield self.buy(0, metadata={}, ttl_ms=50_000, deadline_slot=self.slot + ahead)
        yield self.trade(MINTS[3], slots=2)
        for ttl in (1_000, 9_000):
            yield self.buy(0, metadata={}, ttl_ms=ttl)
        self.ms += 1_001
        yield ClockTick()
        yield self.buy(0, metadata={})
        self.ms += 1_000
        yield ClockTick()
        yield self.config(intent_ttl_ms=1_500)
        for ms in (500, 1):
            self.ms += ms
            yield ClockTick()
        yield self.config(intent_ttl_ms=5_000)
        self.ms += 60_000
        yield ClockTick()

    def completed(self):
        """A curve turns out complete: its sell goes on in the pool that pays most, not by a last trade, not on a curve."""
        for number, pools in enumerate(
            (
                ((10**9, True), (2 * 10**9, True), (10**9, True)),
                ((10**9, True), (9 * 10**9, False)),
                ((0, True), (10**9, True)),
                ((10**9, False),),
            )
        ):
            mint, curve = f"CheckMintK{number}", f"CheckCurveK{number}"
            self.slot += 1
            yield TokenMintInfo(mint, TOKEN_PROGRAM, 6, 10**15, None, None, slot=self.slot)
            yield self.trade(mint, "pumpfun", curve, 20 * 10**9)
            for n, (quote, told) in enumerate(pools):
                pool = f"CheckPoolK{number}{n}"
                if told:
                    yield PoolStateUpdate(pool, "pump_amm", 10**12, quote, mint, SOL_MINT, self.slot, slot=self.slot)
                else:
                    yield self.trade(mint, "pump_amm", pool, quote)
            yield WalletBalanceSnapshot(mint, 5_000_000, 6, TOKEN_PROGRAM, slot=self.slot)
            yield self.sell(mint=mint, pool=curve, metadata={"dex": "pumpfun", "creator": "CheckCreator"})
            yield ClockTick()
            for error in ("InstructionError(2, Custom(6005))", "Custom(6001)"):
                yield self.simulated(error)
                yield ClockTick()
