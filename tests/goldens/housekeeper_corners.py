"""The housekeepers beside each of their limits: the input of the golden `housekeeper-corners`.

Every wish is answered by a simulation that fails, unless an act says otherwise, so that balances stay as they are told.
"""

from struct import pack

from msgspec.structs import replace

from ironcrab.dex import base58
from ironcrab.dex.address import SYSTEM, TOKEN, TOKEN_2022, associated
from ironcrab.domain.ask import SimulateAnswer, SimulateAsk
from ironcrab.domain.control import ClockTick, ConfigUpdate, ControlRequest, ForkOrphaned, GapClosed, GapOpened
from ironcrab.domain.market import (
    AccountWritten,
    BondingCurveProgress,
    ExplicitAmount,
    PoolCreated,
    PoolStateUpdate,
    SlotUpdate,
    TokenMintInfo,
    Trade,
    WalletBalanceSnapshot,
    WalletSnapshotComplete,
)
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT, TOKEN_PROGRAM
from ironcrab.execution.params import PAPER_WALLET
from ironcrab.market.rent import RENT_SYSVAR, SYSVARS, rent_data
from ironcrab.mode.purse import account_data
from tests.execution.test_plans import ACCOUNTS, SETS
from tests.goldens import engine_corners
from tests.pool_sets import key, vault

SOL = 10**9
RENT = (128 + 165) * 5_080
LEAST = 100_000_000
"""Native SOL that stays."""
WRAPPED = associated(PAPER_WALLET, SOL_MINT, TOKEN)


def events_of(records):
    """(time in ns, event) of every world record; `records` is what came of them so far."""
    return Script(records).events()


class Script(engine_corners.Script):
    """What the world says, act by act, with the words of the golden `engine-checks`."""

    def __init__(self, records):
        super().__init__(records)
        self.version = 1
        self.answered_asks = -1

    def events(self):
        """Every act in turn."""
        acts = (
            self.market, self.bands, self.actions, self.rents, self.kills, self.pauses, self.shown, self.shown_late, self.words_of_others,
            self.accounts, self.ages, self.writes, self.gone_meanwhile, self.rounds_of_two, self.dust, self.requests, self.refusals,
            self.in_use, self.liquidations, self.tries, self.curves_first, self.one_unit, self.in_the_way, self.closed_together, self.hardly_known,
        )  # fmt: skip
        for act in acts:
            for event in act():
                yield self.ms * 1_000_000, event

    # words

    def failing(self):
        """Whatever is asked to be simulated fails."""
        yield ClockTick()
        asks = [
            record.seq
            for record in self.records
            if type(record.event) is SimulateAsk and record.seq > self.answered_asks
        ]
        for ask in asks:
            self.answered_asks = ask
            yield SimulateAnswer(ask, False, "Custom(1)", None, 1_000)
        if asks:
            yield ClockTick()

    def settings(self, component="wsol-manager", **values):
        return ConfigUpdate(component, {name: str(value) for name, value in values.items()}, "2025-05-31T23:59:40Z")

    def snapshot(self, mint, raw, slot=None, decimals=9):
        return WalletBalanceSnapshot(mint, raw, decimals, TOKEN_PROGRAM, slot=self.slot if slot is None else slot)

    def balances(self, native, wsol):
        """Both balances of one slot; what is wished fails; then the band is quiet again."""
        self.slot += 1
        yield self.snapshot(NATIVE_SOL, native)
        yield self.snapshot(SOL_MINT, wsol)
        yield from self.failing()
        yield from self.quiet()

    def quiet(self):
        """Both balances within the band; the rest passes."""
        self.slot += 1
        yield self.snapshot(SOL_MINT, SOL)
        yield self.snapshot(NATIVE_SOL, 5 * SOL)
        self.ms += 1_000

    def written(self, address, program, data, lamports=RENT, version=None, slot=None):
        self.version += 1
        return AccountWritten(
            address, program, lamports, data, slot=self.slot if slot is None else slot,
            write_version=self.version if version is None else version,
        )  # fmt: skip

    def own(self, number, amount=0, lamports=RENT, program=TOKEN, tail=b"", **more):
        """The write of an own token account of the mint `key(number)`."""
        mint = key(number)
        return self.written(
            associated(PAPER_WALLET, mint, program),
            program,
            account_data(mint, PAPER_WALLET, amount) + tail,
            lamports,
            **more,
        )

    # acts

    def market(self):
        """The wallet is told."""
        yield WalletSnapshotComplete(PAPER_WALLET, (), slot=self.slot)
        for number in (130, 131, 132):
            yield TokenMintInfo(key(number), TOKEN_PROGRAM, 6, 10**15, None, None, slot=self.slot)

    def bands(self):
        """Wrapped and native SOL at each edge of the band, and beside it."""
        for wsol in (499_999_999, 500_000_000, 2 * SOL, 2 * SOL + 1):
            yield from self.balances(5 * SOL, wsol)
        for native, wsol in (
            (LEAST, 1_500_000_000), (LEAST - 10_000_000, 1_500_000_000), (LEAST - 1, 1_500_000_000),
            (LEAST // 2, SOL), (LEAST // 2, SOL + 1), (LEAST // 2, 1_500_000_000), (1_000_000, SOL + 20_000_000),
        ):  # fmt: skip
            yield from self.balances(native, wsol)
        yield self.settings(min_action_lamports=0)
        for native, wsol in ((LEAST - 1, 1_500_000_000), (LEAST // 2, SOL), (LEAST // 2, SOL + 1)):
            yield from self.balances(native, wsol)
        yield self.settings(min_action_lamports=10_000_000)

    def actions(self):
        """Wraps and unwraps of the smallest amounts, of all there is, and of what is spare."""
        for native, wsol in (
            (LEAST + 9_999_999, 1), (LEAST + 10_000_000, 1), (LEAST + 10_000_001, 1), (5 * SOL, 499_999_998), (LEAST, 1), (LEAST - 5, 1),
        ):  # fmt: skip
            yield from self.balances(native, wsol)
        yield self.settings(min_action_lamports=0)
        for native in (LEAST - 1, LEAST, LEAST + 1, LEAST + 2):
            yield from self.balances(native, 1)
        yield self.settings(min_action_lamports=10_000_000, min_wsol_lamports=0, target_wsol_lamports=0)
        for wsol in (2 * SOL + 1, 2 * SOL):
            yield from self.balances(5 * SOL, wsol)
        yield self.settings(target_wsol_lamports=1)
        yield from self.balances(5 * SOL, 2 * SOL + 1)
        for most in (9_999_999, 10_000_000, 10_000_001):
            yield self.settings(target_wsol_lamports=0, max_wsol_lamports=0)
            yield from self.balances(5 * SOL, most)
        yield self.settings(max_wsol_lamports=2 * SOL, target_wsol_lamports=SOL, min_wsol_lamports=2 * SOL)
        yield self.settings(min_wsol_lamports=SOL)
        yield from self.balances(5 * SOL, SOL)
        yield from self.balances(5 * SOL, SOL - 1)
        yield from self.balances(5 * SOL, SOL - 10_000_000)
        yield self.settings(min_wsol_lamports=500_000_000, dry_run="true")
        yield from self.balances(5 * SOL, 1)
        yield self.settings("all", dry_run="false", colour="red")
        yield self.settings("momentum-bot", dry_run="true")
        yield from self.balances(5 * SOL, 1)

    def rents(self):
        """A wrapped account that is not there costs its rent; an empty one that is there does not; rent unknown."""
        for native in (LEAST + RENT + 9_999_999, LEAST + RENT + 10_000_000):
            yield from self.balances(native, 0)
        for owner in (TOKEN, SYSTEM):
            yield self.written(WRAPPED, owner, account_data(SOL_MINT, PAPER_WALLET, 0, RENT) if owner == TOKEN else b"")
            yield from self.balances(LEAST + RENT + 9_999_999, 0)
            yield from self.balances(LEAST + 10_000_000, 0)
        yield self.written(RENT_SYSVAR, SYSTEM, b"")
        yield from self.balances(5 * SOL, 0)
        yield from self.balances(5 * SOL, 1)
        yield self.written(RENT_SYSVAR, SYSVARS, rent_data(5_080))

    def kills(self):
        """No wrap while the switch is on; unwraps go on; a reset ends the rest."""
        for target, kind, active in (
            ("market-data", "kill_switch", True), ("execution-engine", "burn", True), ("all", "kill_switch", False), ("all", "kill_switch", True),
        ):  # fmt: skip
            yield ControlRequest(f"check-{target}-{kind}-{active}", target, kind, active=active, reason="drill")
            yield from self.balances(5 * SOL, 1)
        yield from self.balances(5 * SOL, 3 * SOL)
        for target, kind in (
            ("market-data", "reset_kill_switch"),
            ("execution-engine", "reset"),
            ("execution-engine", "reset_kill_switch"),
        ):
            yield ControlRequest(f"check-{target}-{kind}", target, kind)
            yield from self.balances(5 * SOL, 1)
        self.slot += 1
        yield self.snapshot(NATIVE_SOL, 5 * SOL)
        yield self.snapshot(SOL_MINT, 1)
        yield from self.failing()
        yield self.snapshot(SOL_MINT, 3 * SOL)
        yield ControlRequest("check-again", "execution-engine", "kill_switch", active=True, reason="drill")
        yield from self.failing()
        yield from self.quiet()
        yield self.snapshot(SOL_MINT, 3 * SOL)
        yield from self.failing()
        yield self.snapshot(SOL_MINT, 1)
        yield ControlRequest("check-reset", "execution-engine", "reset_kill_switch")
        yield from self.failing()
        yield from self.quiet()

    def pauses(self):
        """A rest after an action, to the millisecond; another's decision in between is none of ours."""
        self.slot += 1
        yield self.snapshot(NATIVE_SOL, 5 * SOL)
        yield self.snapshot(SOL_MINT, 1)
        yield from self.failing()
        for ms in (999, 1):
            self.ms += ms
            yield from self.failing()
        self.ms += 1_000
        yield ClockTick()
        yield self.buy(0, metadata={})
        yield ClockTick()
        yield from self.failing()
        yield from self.quiet()
        yield self.action("wrap", 10**17, NATIVE_SOL, SOL_MINT)
        yield ClockTick()
        yield from self.balances(5 * SOL, 1)

    def shown(self):
        """After an action that landed or may land: no other before snapshots of that slot or later tell both balances."""
        for status, told in (("confirmed", 3), ("confirmed", None), ("timeout", None)):
            for late in (None, 120_000):
                self.slot += 1
                yield self.snapshot(NATIVE_SOL, 5 * SOL)
                yield self.snapshot(SOL_MINT, 1)
                yield ClockTick()
                yield from self.landed(status, told)
                self.ms += 1_000 if late is None else late - 1_001
                yield from self.seen(151 if status == "timeout" else 4, late)
                yield from self.failing()
                yield from self.quiet()
                self.ms += 200_000
                self.slot += 200
                yield from self.quiet()

    def shown_late(self):
        """An action that landed in a slot before the newest."""
        self.slot += 1
        yield self.snapshot(NATIVE_SOL, 5 * SOL)
        yield self.snapshot(SOL_MINT, 1)
        yield SlotUpdate(self.slot + 9, slot=self.slot + 9)
        yield from self.landed("confirmed", 4)
        self.ms += 1_000
        yield from self.seen(5, None)
        yield from self.failing()
        self.slot += 9
        yield from self.quiet()

    def landed(self, status, told):
        """The newest ask goes its way: confirmed in the slot `told` ahead (None: of no slot), or never known."""
        ask = self.ask(SimulateAsk)
        self.answered_asks = ask
        plan = self.records[ask].event.plan
        yield SimulateAnswer(ask, True, None, None, 1_000, 10**15)
        yield self.signed()
        yield self.sent()
        fills = (
            (ExplicitAmount(plan.amount_in, 9), ExplicitAmount(plan.amount_in, 9))
            if status == "confirmed"
            else (None, None)
        )
        answer = replace(self.ended(status), fill_in=fills[0], fill_out=fills[1])
        yield replace(answer, slot=None if told is None else self.slot + told)
        yield ClockTick()

    def seen(self, ahead, late):
        """Snapshots of one slot less, of one balance, then of both; or only the time passes."""
        if late is not None:
            for ms in (1_000, 1, 1, 1):
                self.ms += ms
                yield ClockTick()
            return
        start = self.slot
        for slot in (start + ahead - 2, start + ahead - 1, start + ahead):
            for mint, raw in ((NATIVE_SOL, 5 * SOL), (SOL_MINT, 1)):
                yield self.snapshot(mint, raw, slot)
                yield ClockTick()
        self.slot += ahead

    def words_of_others(self):
        """Older snapshots, of another mint, of the same slot, of no slot; another's action under way."""
        for slot, wsol in ((self.slot - 1, 1), (self.slot, 1), (None, 2)):
            yield replace(self.snapshot(SOL_MINT, wsol), slot=slot)
            yield from self.failing()
            yield from self.quiet()
        yield self.snapshot(key(130), 1)
        yield self.snapshot(key(130), 0)
        yield self.snapshot(SOL_MINT, 1)
        yield ClockTick()
        yield self.buy(1_000_000)
        yield self.action("unwrap", 10**17, SOL_MINT, NATIVE_SOL)
        yield ClockTick()
        self.ms += 1_000
        yield ClockTick()
        yield from self.failing()
        self.ms += 1_000
        yield from self.failing()
        yield from self.quiet()

    # the janitor

    def janitor(self, **values):
        return self.settings("account-janitor", **values)

    def accounts(self):
        """What is ours to close: not frozen, no wrapped SOL, nobody else's to close, ours at all; of both programs."""
        yield self.janitor(min_age_ms=4_000)
        frozen = bytearray(account_data(key(130), PAPER_WALLET, 0))
        frozen[108] = 2
        closer, own_closer = (bytearray(account_data(key(130), PAPER_WALLET, 0)) for _ in range(2))
        closer[129:133] = own_closer[129:133] = pack("<I", 1)
        own_closer[133:165] = base58.decode(PAPER_WALLET)
        native = account_data(SOL_MINT, PAPER_WALLET, 0, RENT)
        foreign = account_data(key(130), key(200), 0)
        rows = (bytes(frozen), bytes(closer), native, foreign, b"", bytes(165), bytes(own_closer))
        for number, data in enumerate(rows):
            yield self.written(key(210 + number), TOKEN, data)
        yield self.own(131, program=TOKEN_2022, tail=b"\x02" + pack("<HH", 7, 0))
        yield self.own(132, program=TOKEN_2022, tail=b"\x02" + pack("<HHHHQ", 7, 0, 2, 8, 5))
        yield self.own(130, program=TOKEN_2022, tail=b"\x02" + pack("<HHHHQ", 7, 0, 2, 8, 1))
        for _ in range(8):
            self.ms += 1_000
            yield from self.failing()
        for number in range(len(rows)):
            yield self.written(key(210 + number), SYSTEM, b"")
        for number in (130, 131, 132):
            yield self.written(associated(PAPER_WALLET, key(number), TOKEN_2022), SYSTEM, b"")
        yield self.written(key(220), SYSTEM, b"")

    def ages(self):
        """An account is closed when it has been empty for so long, to the millisecond; and a round begins to it."""
        yield self.own(130)
        for ms in (3_999, 1):
            self.ms += ms
            yield from self.failing()
        for ms in (3_999, 1, 999, 1):
            self.ms += ms
            yield from self.failing()
        self.ms += 10_000
        yield ClockTick()
        yield from self.landed_close(130)
        self.ms += 10_000
        yield from self.failing()
        yield self.own(130)
        self.ms += 2_000
        yield GapOpened("geyser", self.slot, self.slot + 1, "drill")
        self.ms += 3_999
        yield from self.failing()
        self.ms += 1_001
        yield from self.failing()
        yield GapClosed("geyser", None, self.slot + 1, filled=False)
        for slot in (self.slot - 1, self.slot):
            yield ForkOrphaned(slot, "drill")
            self.ms += 10_000
            yield from self.failing()

    def landed_close(self, number):
        """The close under way lands."""
        ask = self.ask(SimulateAsk)
        self.answered_asks = ask
        plan = self.records[ask].event.plan
        yield SimulateAnswer(ask, True, None, None, 1_000, 10**15)
        yield self.signed()
        yield self.sent()
        answer = replace(
            self.ended("confirmed"), fill_in=ExplicitAmount(plan.amount_in, 6), fill_out=ExplicitAmount(plan.min_out, 9)
        )
        yield answer
        assert plan.pool_address == associated(PAPER_WALLET, key(number), TOKEN)

    def writes(self):
        """Writes that are older, of the same order, newer; of the same amount and of another."""
        start = self.slot
        yield self.own(131, version=500)
        for amount, slot, version in ((5, start, 499), (5, start - 1, 900), (0, start, 500), (0, start + 1, 1)):
            self.ms += 1_000
            yield self.own(131, amount, slot=slot, version=version)
            yield from self.failing()
        for _ in range(2):
            self.ms += 1_000
            yield from self.failing()
        self.slot += 2
        yield self.own(131, 5, version=600)
        yield self.own(131, 0, version=600)
        self.ms += 4_000
        yield from self.failing()
        yield self.own(131, 5)
        self.ms += 2_000
        yield self.own(131)
        for ms in (3_999, 1):
            self.ms += ms
            yield from self.failing()
        for slot in (start, start + 1, start + 2):
            yield self.own(131, 1, slot=slot, version=1)
        self.ms += 5_000
        yield from self.failing()
        yield replace(self.own(131), slot=None)
        self.ms += 5_000
        yield from self.failing()
        yield self.own(131, 0, slot=self.slot + 1)
        yield self.written(associated(PAPER_WALLET, key(131), TOKEN), SYSTEM, b"", slot=self.slot + 1)
        self.ms += 5_000
        yield from self.failing()

    def gone_meanwhile(self):
        """The account of an action under way is closed by somebody else, and the action fails."""
        yield self.own(146)
        self.ms += 5_000
        yield ClockTick()
        yield self.written(associated(PAPER_WALLET, key(146), TOKEN), SYSTEM, b"")
        yield from self.failing()

    def rounds_of_two(self):
        """A round takes so many; what changed meanwhile is left; a round waits for its time."""
        yield self.janitor(max_per_round=2, interval_ms=10_000)
        for number in (140, 141, 142, 143):
            yield self.own(number)
        self.ms += 12_000
        yield ClockTick()
        yield self.buy(0, metadata={})
        yield ClockTick()
        yield ClockTick()
        for _ in range(4):
            yield from self.failing()
            self.ms += 1
        yield self.own(142, 5)
        for ms in (9_994, 1, 1, 1, 1):
            self.ms += ms
            yield from self.failing()
        for ms in (9_995, 1, 1, 1, 1):
            self.ms += ms
            yield from self.failing()
        for number in (140, 141, 142, 143):
            yield self.written(associated(PAPER_WALLET, key(number), TOKEN), SYSTEM, b"")
        yield self.janitor(max_per_round=10, interval_ms=1_000, dry_run="true")
        yield self.own(144)
        self.ms += 5_000
        yield from self.failing()
        yield self.written(associated(PAPER_WALLET, key(144), TOKEN), SYSTEM, b"")
        yield self.janitor(dry_run="false")

    def dust(self):
        """Dust is burnt where it is old, its mint known and nobody pays more than so much."""
        yield self.own(132, 77)
        yield self.own(145, 77)
        yield self.snapshot(key(132), 77, decimals=6)
        yield self.snapshot(key(145), 77, decimals=6)
        self.ms += 10_000
        yield from self.failing()
        yield self.janitor(burn_enabled="true", burn_min_age_ms=20_000)
        for ms in (9_999, 1, 19_999, 1):
            self.ms += ms
            yield from self.failing()
        self.slot += 1
        yield Trade(key(150), key(132), "CheckTrader", True, 10**9, 10**9, 6, "pump_amm", slot=self.slot)
        for most in (74, 75, 76, 77, 78):
            yield self.janitor(burn_max_value_lamports=most)
            self.ms += 20_000
            yield from self.failing()
        yield PoolStateUpdate(key(151), "raydium", 10**9, 5 * 10**9, key(132), SOL_MINT, self.slot, slot=self.slot)
        self.ms += 20_000
        yield from self.failing()
        yield self.janitor(burn_max_value_lamports=10**9)
        self.ms += 20_000
        yield from self.failing()

    def requests(self):
        """What an operator may have burnt at once, and what is refused."""
        yield self.janitor(burn_enabled="false")
        account, other = (associated(PAPER_WALLET, key(number), TOKEN) for number in (132, 145))
        for number, (target, kind, owner, accounts, closes) in enumerate(
            (
                ("market-data", "burn_token_accounts", PAPER_WALLET, (account,), None),
                ("all", "burn", PAPER_WALLET, (account,), None),
                ("all", "burn_token_accounts", key(200), (account,), None),
                ("all", "burn_token_accounts", PAPER_WALLET, (account,), False),
                ("all", "burn_token_accounts", PAPER_WALLET, (), None),
                ("all", "burn_token_accounts", PAPER_WALLET, (account, key(201)), None),
                ("execution-engine", "burn_token_accounts", PAPER_WALLET, (account, other), True),
                ("all", "burn_token_accounts", PAPER_WALLET, (account,), None),
            )
        ):
            yield ControlRequest(
                f"check-burn-{number}", target, kind, owner_pubkey=owner, token_accounts=accounts, close_accounts=closes
            )
            if number == 7:
                yield ControlRequest("check-burn-again", target, kind, owner_pubkey=owner, token_accounts=accounts)
            if number != 6:
                yield from self.failing()
                yield from self.failing()
            else:
                yield ControlRequest("check-burn-busy", target, kind, owner_pubkey=owner, token_accounts=accounts)
                yield from self.failing()
        frozen = bytearray(account_data(key(130), PAPER_WALLET, 1))
        frozen[108] = 2
        yield self.written(key(211), TOKEN, bytes(frozen))
        yield ControlRequest(
            "check-frozen", "all", "burn_token_accounts", owner_pubkey=PAPER_WALLET, token_accounts=(key(211),)
        )
        yield from self.failing()
        yield self.own(132)
        yield ControlRequest(
            "check-empty", "all", "burn_token_accounts", owner_pubkey=PAPER_WALLET, token_accounts=(account,)
        )
        yield from self.failing()
        for address in (account, other, key(211)):
            yield self.written(address, SYSTEM, b"")
        yield self.snapshot(key(145), 0, decimals=6)
        yield self.snapshot(key(132), 0, decimals=6)

    def refusals(self):
        """Actions that are worded wrongly, and those just right."""
        account = key(160)
        yield self.snapshot(key(130), 77, decimals=6)
        close, burn = (0, key(130), NATIVE_SOL, 6), (77, key(130), NATIVE_SOL, 6)
        yield from self.said("close", *close, (account,), TOKEN, lamports="9" * 19)
        yield from self.said("close", *close, (account,), TOKEN, lamports="9" * 20)
        yield from self.said("close", *close, (account,), TOKEN, lamports="9" * 18)
        for lamports in ("", "-1", "1.5", "\u0663", "0"):
            yield from self.said("close", *close, (account,), TOKEN, lamports=lamports)
        for accounts, program in (
            ((), TOKEN),
            ((account, account), TOKEN),
            ((account,), "CheckProgram"),
            (("CheckAccount",), TOKEN),
        ):
            yield from self.said("close", *close, accounts, program, lamports="1")
        yield from self.said("close", 0, key(130), SOL_MINT, 6, (account,), TOKEN, lamports="1")
        yield from self.said("close", 0, "CheckMint", NATIVE_SOL, 6, (account,), TOKEN, lamports="1")
        yield from self.said("close", 0, SOL_MINT, NATIVE_SOL, 9, (account,), TOKEN, lamports="1")
        yield from self.said("close", *burn, (account,), TOKEN, lamports="1")
        yield from self.said("burn", *close, (account,), TOKEN, lamports="1")
        yield from self.said("burn", 1, *burn[1:], (account,), TOKEN, lamports="1")
        yield from self.said("burn", *burn, (account,), TOKEN, lamports="1", withheld="true")
        for count in (20, 21):
            many = tuple(key(number) for number in range(1, count + 1))
            yield from self.said("close", *close, many, TOKEN, lamports="1", mints=" ".join([key(130)] * count))
        two = {"lamports": "1", "mints": f"{key(130)} {key(130)}"}
        yield from self.said("burn", *burn, (account, key(161)), TOKEN, **two)
        yield from self.said("close", *close, (account, key(161)), TOKEN, **two, withheld="true")
        yield from self.said("close", *close, (account, key(161)), TOKEN, **two)
        for raw, pair in (
            (0, (NATIVE_SOL, SOL_MINT)), (1, (NATIVE_SOL, SOL_MINT)), (1, (SOL_MINT, NATIVE_SOL)), (1, (NATIVE_SOL, key(130))), (1, (key(130), SOL_MINT)),
        ):  # fmt: skip
            for purpose in ("wrap", "unwrap"):
                yield from self.said(purpose, raw, *pair)
        self.slot += 1
        yield Trade(key(152), key(130), "CheckTrader", True, 10**9, 10**9, 6, "pump_amm", slot=self.slot)
        for most in ("75", "76", "77", "78", "9" * 19, "9" * 20, "9" * 18, "-9", "many", "\u0663" * 3):
            yield from self.said("burn", *burn, (account,), TOKEN, lamports="1", max_value_lamports=most)
        yield from self.said("burn", *burn, (account,), TOKEN, lamports="1")
        yield WalletSnapshotComplete("CheckWallet", (key(130),), slot=self.slot)
        yield from self.said("wrap", 1, NATIVE_SOL, SOL_MINT)
        yield WalletSnapshotComplete(PAPER_WALLET, (key(130),), slot=self.slot)
        for units in (1, 2, 256, 257):
            yield replace(self.action("wrap", 1, NATIVE_SOL, SOL_MINT), hint_compute_units=units)
            yield from self.failing()
        yield from self.said("other", 1, NATIVE_SOL, SOL_MINT)

    def said(self, purpose, raw, paid, got, decimals=9, accounts=(), program=None, **metadata):
        """An action as somebody words it; what passes fails in simulation."""
        told = self.action("wrap", raw, paid, got, decimals, accounts, program, **metadata)
        yield replace(told, metadata={**told.metadata, "purpose": purpose})
        yield from self.failing()

    def in_use(self):
        """An attempt under way uses the account, or another; a whole unwrap under a buy, and under nothing."""
        account = associated(PAPER_WALLET, key(130), TOKEN)
        self.slot += 1
        yield self.snapshot(NATIVE_SOL, 5 * SOL)
        yield self.snapshot(SOL_MINT, SOL)
        for buys in (True, False):
            make = self.buy if buys else self.sell
            yield make(7, mint=key(130), pool=key(152))
            yield ClockTick()
            for number in (130, 131):
                yield self.action("close", 0, key(number), NATIVE_SOL, 6, (account,), TOKEN, lamports="1")
                yield ClockTick()
            for whole in ("true", "false"):
                yield self.action("unwrap", 1_000, SOL_MINT, NATIVE_SOL, whole=whole)
                yield ClockTick()
            yield self.action("wrap", 1_000, NATIVE_SOL, SOL_MINT, whole="true")
            yield from self.failing()
            yield from self.failing()
        yield self.action("unwrap", 1_000, SOL_MINT, NATIVE_SOL, whole="true")
        yield self.action("burn", 77, key(130), NATIVE_SOL, 6, (account,), TOKEN, lamports="1", max_value_lamports="99")
        yield ClockTick()
        yield self.action("close", 0, key(130), NATIVE_SOL, 6, (account,), TOKEN, lamports="1")
        yield from self.failing()
        yield from self.failing()

    # liquidation

    def held(self, number, raw, pools):
        """A position, and pools of its mint: (address, dex, lamports for a billion units)."""
        mint = key(number)
        self.slot += 1
        yield TokenMintInfo(mint, TOKEN_PROGRAM, 6, 10**15, None, None, slot=self.slot)
        for address, dex, sol in pools:
            yield Trade(key(address), mint, "CheckTrader", True, sol, 10**9, 6, dex, slot=self.slot)
        yield self.snapshot(mint, raw, decimals=6)

    def liquidations(self):
        """Kills that liquidate and that do not; the best pool; a position that is closed; nothing quoted yet."""
        yield self.snapshot(key(130), 0, decimals=6)
        yield from self.held(170, 1_000_000, ((180, "pump_amm", 10**9), (181, "raydium", 2 * 10**9)))
        yield PoolStateUpdate(key(187), "raydium", 10**9, 10**12, key(170), key(199), self.slot, slot=self.slot)
        yield from self.held(171, 1, ((182, "pump_amm", 10**10),))
        yield from self.held(172, 5, ())
        yield from self.held(173, 5, ((183, "pump_amm", 10**9),))
        yield self.snapshot(key(173), 0, decimals=6)
        for number, (target, kind, active, sells, more) in enumerate(
            (
                ("market-data", "kill_switch", True, True, {}),
                ("all", "kill", True, True, {}),
                ("all", "kill_switch", False, True, {}),
                ("all", "kill_switch", True, False, {}),
                ("all", "kill_switch", True, None, {}),
                ("all", "kill_switch", True, True, {"max_slippage_bps": 10_000, "ttl_ms": 20_000}),
                ("execution-engine", "kill_switch", None, True, {"max_slippage_bps": 1}),
            )
        ):
            yield ControlRequest(
                f"check-kill-{number}", target, kind, active=active, reason="drill", liquidate_positions=sells, **more
            )
            yield from self.failing()
            self.slot += 1
            yield SlotUpdate(self.slot, slot=self.slot)
            yield from self.failing()
            if number == 5:
                yield ControlRequest("check-end-5", "market-data", "reset_kill_switch")
                yield from self.failing()
                yield ControlRequest("check-end-5", "all", "reset_kill_switch")
                yield from self.failing()
        yield from self.held(172, 5, ((184, "orca", 10**9),))
        yield from self.failing()
        yield ControlRequest("check-end", "all", "reset_kill_switch")

    def tries(self):
        """Each mint twice in a job, whatever other decisions come; a mint that is bought again meanwhile."""
        yield ControlRequest("check-job", "all", "kill_switch", active=True, reason="drill", liquidate_positions=True)
        yield ClockTick()
        yield self.sell(1, mint=key(170), pool=key(180), metadata={"dex": "pump_amm"})
        yield self.sell(0, mint=key(170), pool=key(180), source="liquidation")
        yield ClockTick()
        yield self.sell(10**15, mint=key(171), pool=key(182))
        yield self.sell(0, mint=key(172), pool=key(184))
        for _ in range(5):
            yield ClockTick()
            yield from self.failing()
        yield self.snapshot(key(170), 999, decimals=6)
        for _ in range(3):
            yield from self.failing()
        yield ControlRequest("check-job-end", "all", "reset_kill_switch")
        yield ClockTick()

    def curves_first(self):
        """The curve goes first as long as it is not complete, though a pool pays more."""
        self.slot += 1
        for number in (170, 171, 172):
            yield self.snapshot(key(number), 0, decimals=6)
        yield from self.held(174, 1_000_000, ((185, "pump_amm", 9 * 10**9), (186, "pumpfun", 10**9)))
        for complete in (False, True):
            yield BondingCurveProgress(key(174), key(186), 9_000, complete=complete, slot=self.slot)
            yield ControlRequest(
                f"check-curve-{complete}", "all", "kill_switch", active=True, reason="drill", liquidate_positions=True
            )
            yield from self.failing()
            yield from self.failing()
            yield ControlRequest(f"check-curve-end-{complete}", "all", "reset_kill_switch")
        self.slot += 1
        yield self.snapshot(key(174), 0, decimals=6)

    def one_unit(self):
        """A position of one raw unit, on a pool whose program pays for it."""
        made, coin = SETS["pump_amm"], SETS["pump_amm"].mints[1]
        yield PoolCreated(made.pool, coin, SOL_MINT, "pump_amm", "0", slot=self.slot)
        yield TokenMintInfo(coin, TOKEN_PROGRAM, 6, 10**15, None, None, slot=self.slot)
        for address, account in ACCOUNTS["pump_amm"].items():
            rich = vault(coin, 10**6) if address == key(62) else account
            yield self.written(address, rich.owner, rich.data, rich.lamports)
        yield SlotUpdate(self.slot, slot=self.slot)
        yield self.snapshot(coin, 1, decimals=6)
        yield ControlRequest("check-one", "all", "kill_switch", active=True, reason="drill", liquidate_positions=True)
        yield from self.failing()
        yield from self.failing()
        yield ControlRequest("check-one-end", "all", "reset_kill_switch")
        yield from self.failing()

    def in_the_way(self):
        """What another sell locked is sold after it, asked for again after 10 s, 20 s, to the millisecond."""
        yield from self.held(175, 1_000_000, ((188, "pump_amm", 10**9), (189, "pump_amm", 10**9)))
        yield self.sell(1_000_000, mint=key(175), pool=key(189))
        yield ClockTick()
        self.answered_asks = self.ask(SimulateAsk)
        yield self.simulated()
        yield self.signed()
        yield self.sent()
        yield ControlRequest("check-way", "all", "kill_switch", active=True, reason="drill", liquidate_positions=True)
        yield ClockTick()
        for ms in (9_999, 1, 0, 19_999, 1, 0):
            self.ms += ms
            yield ClockTick()
        yield ControlRequest("check-way-end", "all", "reset_kill_switch")
        yield self.ended("confirmed", 1_000_000, 1_000_000)
        yield from self.failing()

    def closed_together(self):
        """What was refused together is closed alone while it holds the same; a dry run refuses nothing."""
        yield from self.quiet()
        yield self.janitor(min_age_ms=4_000, interval_ms=1_000, max_per_round=10)
        for number in (147, 148):
            yield self.own(number)
        self.ms += 5_000
        yield from self.failing()
        for number in (147, 148):
            yield self.own(number, lamports=RENT + 1)
        self.ms += 1_000
        yield ClockTick()
        yield self.own(148, 5)
        yield self.own(148)
        yield from self.failing()
        for ms in (3_999, 1, 1_000, 1_000):
            self.ms += ms
            yield from self.failing()
        for number in (147, 148):
            yield self.written(associated(PAPER_WALLET, key(number), TOKEN), SYSTEM, b"")
        yield self.janitor(dry_run="true")
        for number in (155, 156):
            yield self.own(number)
        for ms in (5_000, 1_000, 3_000):
            self.ms += ms
            yield ClockTick()
            ask = self.ask(SimulateAsk)
            if ask > self.answered_asks:
                self.answered_asks = ask
                yield SimulateAnswer(ask, True, None, None, 1_000, 10**15)
            yield ClockTick()
        for number in (155, 156):
            yield self.written(associated(PAPER_WALLET, key(number), TOKEN), SYSTEM, b"")
        yield self.janitor(dry_run="false")

    def hardly_known(self):
        """A mint whose only pool was made, is empty, had a price of nothing, or was traded in a slot that is gone."""
        for number in range(4):
            mint, pool = key(190 + number), key(230 + number)
            yield self.snapshot(mint, 77, decimals=6)
            self.slot += 1
            yield (
                PoolCreated(pool, mint, SOL_MINT, "pump_amm", "0", slot=self.slot),
                PoolStateUpdate(pool, "pump_amm", 0, 0, mint, SOL_MINT, self.slot, slot=self.slot),
                Trade(pool, mint, "CheckTrader", True, 1, 10**12, 6, "pump_amm", slot=self.slot),
                Trade(pool, mint, "CheckTrader", True, 10**9, 10**9, 6, "pump_amm", slot=self.slot),
            )[number]
            if number == 3:
                yield ForkOrphaned(self.slot, "drill")
            yield from self.said("burn", 77, mint, NATIVE_SOL, 6, (key(160),), TOKEN, lamports="1")
