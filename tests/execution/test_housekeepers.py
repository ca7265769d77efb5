"""The housekeepers on the stage: what they wish, when, how it travels to its one decision, what it leaves behind."""

import itertools
from struct import pack

import msgspec
import pytest

from ironcrab.dex import base58
from ironcrab.dex.address import TOKEN, TOKEN_2022, associated
from ironcrab.dex.message import MOST_BYTES, compiled, instructions_of
from ironcrab.domain.ask import ConfirmAnswer, SendAsk, SimulateAsk
from ironcrab.domain.control import (
    ClockTick,
    ConfigChanged,
    ConfigUpdate,
    ControlRequest,
    ControlResponse,
    ForkOrphaned,
    GapOpened,
    RunStarted,
    Setting,
)
from ironcrab.domain.market import (
    AccountWritten,
    BondingCurveProgress,
    DexPoolAccounts,
    ExplicitAmount,
    PoolStateUpdate,
    SlotUpdate,
    TokenMintInfo,
    WalletBalanceSnapshot,
)
from ironcrab.domain.settings import KEPT
from ironcrab.domain.trade import DecisionRecord, TradeIntent, TradeResources
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT, TOKEN_PROGRAM
from ironcrab.execution.account_janitor import AccountJanitor, JanitorParams
from ironcrab.execution.engine import ExecutionEngine
from ironcrab.execution.housekeeping import MOST_CLOSED, action
from ironcrab.execution.liquidation import Liquidation, LiquidationParams
from ironcrab.execution.params import PAPER_WALLET, EngineParams, config_snapshot_id
from ironcrab.execution.wsol_manager import WsolManager, WsolParams
from ironcrab.loop import Loop, Now
from ironcrab.market.known import Known
from ironcrab.market.rent import RENT_SYSVAR, SYSVARS, least_lamports, rent_data
from ironcrab.mode.paper import PaperParams
from ironcrab.mode.purse import account_data
from tests.execution.stage import Stage, buy, sell, trade

SOL = 10**9
RATE = 5080
"""Mainnet's lamports a byte since slot 446256000: a token account of 165 bytes holds 1,488,440."""
RENT = (128 + 165) * RATE
MINT = base58.encode(bytes([7]) * 32)
MINT_22 = base58.encode(bytes([9]) * 32)
POOL = base58.encode(bytes([8]) * 32)
WSOL_ACCOUNT = associated(PAPER_WALLET, SOL_MINT, TOKEN)


class House(Stage):
    """The stage with housekeepers before the engine; the paper world keeps the wallet."""

    def __init__(self, *keepers, wsol=0, native=10 * SOL, rate=RATE, paper=True, **params):
        told = PaperParams(tell_wallet=True, latency_slots=1, token_account_rent_lamports=RENT) if paper else None
        super().__init__(told, native, send_enabled=True, **params)
        self.keepers = keepers
        self.wire()
        self.slot = 10
        self.take(
            RunStarted(0, "s", "0", "ironcrab", (), (Setting("engine.wallet", f'"{PAPER_WALLET}"', "default"),), ())
        )
        if rate:
            self.take(AccountWritten(RENT_SYSVAR, SYSVARS, 1, rent_data(rate)))
        self.balances(native, wsol)

    def wire(self):
        self.reducers = [kind(told, self.known, PAPER_WALLET) for kind, told in self.keepers]
        self.loop = Loop((*self.known.reducers, *self.reducers, self.engine), self._append, self.now, self.loop.seq)

    def balances(self, native, wsol, slot=None):
        self.take(WalletBalanceSnapshot(NATIVE_SOL, native, 9, TOKEN_PROGRAM, slot))
        self.take(WalletBalanceSnapshot(SOL_MINT, wsol, 9, TOKEN_PROGRAM, slot))

    def pass_slots(self, count=3, ms=400):
        for _ in range(count):
            self.slot += 1
            self.take(SlotUpdate(self.slot, self.slot), ms)
            self.take(ClockTick())
        if self.outlet is not None:
            for answer in self.outlet.due(None):
                self.loop.take(answer, self.now.time)

    @property
    def intents(self):
        return [record.event for record in self.records if isinstance(record.event, TradeIntent) and record.by]

    def total(self, asset):
        row = self.engine.state.capital.assets[asset]
        assert row.locked == 0
        return row.total


def house(kind=WsolManager, told=None, **more):
    params = {WsolManager: WsolParams(enabled=True, dry_run=False), AccountJanitor: JANITOR}
    return House((kind, told or params[kind]), **more)


JANITOR = JanitorParams(enabled=True, dry_run=False, interval_ms=1_000, min_age_ms=5_000)


def test_a_wrap_goes_all_the_way_with_one_decision():
    stage = house()
    stage.pass_slots(5)
    (intent,) = stage.intents
    assert intent.metadata["purpose"] == "wrap"
    assert intent.required_capital.raw == SOL
    assert (intent.metadata["wsol_before_lamports"], intent.metadata["rent_lamports"]) == ("0", str(RENT))
    (decision,) = stage.decisions
    assert decision.outcome == "Confirmed"
    rows = [row.check_name for row in decision.checks]
    assert rows.index("housekeeping") < rows.index("tx_plan") < rows.index("simulation") < rows.index("send")
    (ask,) = stage.of(SendAsk)
    assert ask.plan.dex == "wallet"
    assert ask.plan.pool_address == WSOL_ACCOUNT
    assert [call.program for call in ask.plan.calls][2:] == [
        "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL", "11111111111111111111111111111111", TOKEN,
    ]  # fmt: skip
    (answer,) = stage.of(ConfirmAnswer)
    network = answer.fees.network_fee_lamports
    assert answer.wallet_sol_delta_lamports == -RENT - network
    assert stage.total(SOL_MINT) == SOL
    assert stage.total(NATIVE_SOL) == 9 * SOL - RENT - network
    told = {event.mint: event.balance_raw for event in stage.of(WalletBalanceSnapshot) if event.source == "paper"}
    assert told == {NATIVE_SOL: 9 * SOL - RENT - network, SOL_MINT: SOL}
    assert stage.engine.state.capital.sol() == SOL_MINT
    stage.pass_slots(200)
    assert len(stage.intents) == 1, "within the band nothing is done"


def test_a_stale_snapshot_does_not_wrap_twice():
    stage = house(paper=False, native=3_249_257_656)
    stage.pass_slots(1)
    (intent,) = stage.intents
    assert intent.required_capital.raw == SOL
    stage.engine.state.params = msgspec.structs.replace(stage.engine.state.params, send_enabled=True)
    seq = next(record.seq for record in stage.records if isinstance(record.event, TradeIntent))
    stage.loop.take(decision_of(seq, slot=20), stage.now.time)
    stage.slot = 25
    stage.balances(3_249_257_656, 0, slot=19)
    stage.take(ClockTick(), 70_000)
    assert len(stage.intents) == 1, "the snapshot is older than the action, though the rest is over"
    stage.balances(2_247_213_376, SOL, slot=20)
    stage.take(ClockTick(), 70_000)
    assert len(stage.intents) == 1
    assert stage.reducers[0].state.expected is None


def test_what_never_shows_is_given_up():
    stage = house(paper=False)
    stage.pass_slots(1)
    seq = next(record.seq for record in stage.records if isinstance(record.event, TradeIntent))
    stage.loop.take(decision_of(seq, slot=20), stage.now.time)
    stage.take(ClockTick(), 119_000)
    assert len(stage.intents) == 1
    stage.take(ClockTick(), 2_000)
    assert len(stage.intents) == 2


def decision_of(seq, outcome="Confirmed", slot=None):
    from ironcrab.domain.trade import ConfirmInfo

    return DecisionRecord(
        "wsol-manager",
        "ExecutionMevB",
        "NotApplicable",
        (),
        outcome,
        intent=seq,
        confirm=ConfirmInfo("confirmed", slot),
    )


def test_too_much_is_unwrapped_and_the_account_stays():
    stage = house(wsol=3 * SOL)
    stage.pass_slots(5)
    (intent,) = stage.intents
    assert (intent.metadata["purpose"], intent.required_capital.raw) == ("unwrap", 2 * SOL)
    assert stage.decisions[0].outcome == "Confirmed"
    assert stage.total(SOL_MINT) == SOL
    assert stage.of(SendAsk)[0].plan.calls[-1].data == "LQEAlDV3AAAAAA=="


def test_a_band_of_nothing_closes_the_wrapped_account():
    told = WsolParams(enabled=True, dry_run=False, min_wsol_lamports=0, target_wsol_lamports=0, max_wsol_lamports=SOL)
    stage = house(told=told, wsol=2 * SOL)
    stage.pass_slots(5)
    (intent,) = stage.intents
    assert intent.metadata["whole"] == "true"
    assert stage.of(ConfirmAnswer)[0].fill_out.raw == 2 * SOL + RENT, "the reserve comes back too"
    assert stage.total(SOL_MINT) == 0


def test_the_whole_is_not_closed_under_a_buy():
    told = WsolParams(enabled=True, dry_run=False, min_wsol_lamports=0, target_wsol_lamports=0, max_wsol_lamports=SOL)
    stage = house(told=told, wsol=0, paper=False)
    stage.take(trade(10))
    stage.balances(10 * SOL, SOL)
    stage.take(buy(100_000_000))
    stage.balances(10 * SOL, 2 * SOL)
    stage.take(ClockTick())
    refused = [decision for decision in stage.decisions if decision.source == "wsol-manager"]
    assert refused[0].primary_reject_reason in ("LOCK_CAPITAL_CONFLICT", "SIM_INSUFFICIENT_BALANCE")


def test_native_sol_is_topped_up_from_what_is_above_the_target():
    stage = house(native=40_000_000, wsol=1_500_000_000)
    stage.pass_slots(5)
    (intent,) = stage.intents
    assert (intent.metadata["reason"], intent.required_capital.raw) == ("native_below_min", 60_000_000)


@pytest.mark.parametrize(
    ("native", "wsol", "wishes"),
    [
        (10 * SOL, 500_000_000, 0), (10 * SOL, 499_999_999, 1), (10 * SOL, 2 * SOL, 0), (10 * SOL, 2 * SOL + 1, 1),
        (100_000_000 + RENT + 9_999_999, 0, 0), (100_000_000 + RENT + 10_000_000, 0, 1),
    ],
)  # fmt: skip
def test_the_edges_of_the_band(native, wsol, wishes):
    stage = house(native=native, wsol=wsol, paper=False)
    assert len(stage.intents) == wishes


def test_without_a_recorded_rent_nothing_is_wrapped_into_a_new_account():
    stage = house(rate=0, paper=False)
    stage.pass_slots(2)
    assert not stage.intents
    stage.take(AccountWritten(RENT_SYSVAR, SYSVARS, 1, rent_data(6960)))
    stage.pass_slots(1)
    assert stage.intents[0].metadata["rent_lamports"] == "2039280"


def test_no_wrap_while_the_kill_switch_is_on_and_one_when_it_is_reset():
    stage = house(wsol=0, rate=0, paper=False)
    stage.take(ControlRequest("k", "execution-engine", "kill_switch", active=True))
    stage.take(AccountWritten(RENT_SYSVAR, SYSVARS, 1, rent_data(RATE)))
    stage.pass_slots(3)
    assert not stage.intents
    stage.take(ControlRequest("r", "execution-engine", "reset_kill_switch"))
    assert len(stage.intents) == 1


def test_a_kill_stops_a_wrap_that_was_wished_before():
    stage = house()
    stage.records.clear()
    stage = house(paper=False)
    assert len(stage.intents) == 1
    stage.take(ControlRequest("k", "all", "kill_switch", active=True))
    assert stage.decisions[0].primary_reject_reason == "KILL_SWITCH_ACTIVE"


def test_a_dry_run_is_simulated_and_not_sent():
    stage = house(told=WsolParams(enabled=True))
    stage.pass_slots(5)
    (decision,) = stage.decisions
    assert (decision.outcome, decision.primary_reject_reason) == ("Rejected", "dry_run")
    assert decision.simulate.success
    assert not stage.of(SendAsk)
    assert stage.total(NATIVE_SOL) == 10 * SOL


def test_settings_change_key_by_key():
    stage = house(wsol=SOL, paper=False)
    stage.take(ConfigUpdate("wsol-manager", {
        "max_wsol_lamports": "900000000", "min_wsol_lamports": "1000000000", "enabled": "false", "colour": "1",
        "cooldown_ms": "1000",
    }))  # fmt: skip
    (said,) = stage.of(ConfigChanged)
    assert {setting.key for setting in said.settings} == {"min_wsol_lamports", "cooldown_ms"}
    reasons = {setting.key: setting.origin for setting in said.rejected}
    assert "between" in reasons["max_wsol_lamports"]
    assert reasons["enabled"] == "takes effect at a restart only"
    assert reasons["colour"] == "unknown key"


CHANGED = (
    (WsolManager, WsolParams(enabled=True, dry_run=False), "cooldown_ms", 1_234),
    (AccountJanitor, JANITOR, "min_age_ms", 1_234),
    (Liquidation, LiquidationParams(enabled=True), "max_slippage_bps", 1_234),
)
OPENING = RunStarted(1, "s", "0", "ironcrab", (), (), ())


@pytest.mark.parametrize(("kind", "told", "key", "value"), CHANGED)
def test_changed_settings_stand_in_the_state_and_a_run_that_opens_says_so(kind, told, key, value):
    stage = House((kind, told), paper=False)
    stage.take(ConfigUpdate(kind.name, {key: str(value), "enabled": "false", "colour": "1"}))
    changed = stage.of(ConfigChanged)[-1]
    assert changed.settings == (Setting(key, str(value), "operator"),)
    assert [setting.key for setting in changed.rejected] == ["enabled", "colour"]
    assert changed.config_snapshot_id == config_snapshot_id(msgspec.structs.replace(told, **{key: value}))
    assert getattr(stage.reducers[0].params, key) == value
    restart(stage)
    assert getattr(stage.reducers[0].params, key) == value, "a restored one has them in force"
    stage.take(OPENING)
    kept = stage.of(ConfigChanged)[-1]
    assert kept.settings == (Setting(key, str(value), KEPT),)
    assert kept.config_snapshot_id == changed.config_snapshot_id
    assert getattr(stage.reducers[0].params, key) == value
    stage.keepers = ((kind, msgspec.structs.replace(told, **{key: 2_000})),)
    count = len(stage.of(ConfigChanged))
    restart(stage)
    stage.take(OPENING)
    assert getattr(stage.reducers[0].params, key) == 2_000, "an edited scenario has the last word"
    assert len(stage.of(ConfigChanged)) == count


def test_a_liquidation_takes_its_terms_from_what_was_changed():
    stage = liquidating(paper=False)
    stage.take(ConfigUpdate("liquidation", {"max_slippage_bps": "700", "ttl_ms": "9000"}))
    stage.take(kill())
    assert {(intent.max_slippage_bps, intent.ttl_ms) for intent in stage.intents} == {(700, 9_000)}


def test_wishes_that_fit_together_are_taken_in_any_order():
    wishes = {"min_wsol_lamports": 3 * SOL, "target_wsol_lamports": 4 * SOL, "max_wsol_lamports": 5 * SOL}
    for keys in itertools.permutations(wishes):
        stage = house(wsol=SOL, paper=False)
        stage.take(ConfigUpdate("wsol-manager", {key: str(wishes[key]) for key in keys}))
        assert not stage.of(ConfigChanged)[-1].rejected
        params = stage.reducers[0].params
        assert {key: getattr(params, key) for key in keys} == {key: wishes[key] for key in keys}
        restart(stage)
        assert stage.reducers[0].params == params


def test_a_busy_feed_lets_time_pass_too():
    """Ticks come in silent seconds alone: here slots are all that is told."""
    stage = house(paper=False, simulation_timeout_ms=100, capital_lock_ttl_buffer_ms=0)
    own(stage, MINT)
    for slot in range(11, 11 + 90):
        stage.take(SlotUpdate(slot, slot), 400)
    assert len(stage.intents) == 2, "the first is never simulated; the next comes when the rest of 30 s is over"
    stage = house(AccountJanitor, paper=False)
    own(stage, MINT)
    for slot in range(11, 11 + 20):
        stage.take(SlotUpdate(slot, slot), 400)
    assert [intent.metadata["purpose"] for intent in stage.intents] == ["close"]
    stage = liquidating(paper=False, simulation_timeout_ms=100, capital_lock_ttl_buffer_ms=0)
    stage.take(kill())
    for slot in range(11, 11 + 20):
        stage.take(SlotUpdate(slot, slot), 400)
    assert len(stage.intents) == 4, "each was tried twice"


# the janitor


def own(stage, mint, amount=0, program=TOKEN, lamports=RENT, **more):
    address = associated(PAPER_WALLET, mint, program)
    data = account_data(mint, PAPER_WALLET, amount)
    if program == TOKEN_2022:
        data += b"\x02" + pack("<HH", 7, 0)
        if more.get("withheld"):
            data += pack("<HHQ", 2, 8, more["withheld"])
    stage.take(TokenMintInfo(mint, program, 6, 10**15, None, None, slot=1))
    stage.take(WalletBalanceSnapshot(mint, amount, 6, program))
    stage.take(AccountWritten(address, program, lamports, data, slot=more.get("slot", stage.slot)))
    return address


@pytest.mark.parametrize(("program", "mint"), [(TOKEN, MINT), (TOKEN_2022, MINT_22)])
def test_an_empty_account_is_closed_when_it_is_old(program, mint):
    stage = house(AccountJanitor)
    address = own(stage, mint, program=program, lamports=1_513_840)
    stage.pass_slots(11)
    assert not stage.intents, "not old enough"
    stage.pass_slots(10)
    (intent,) = stage.intents
    assert (intent.metadata["purpose"], intent.metadata["lamports"]) == ("close", "1513840")
    (decision,) = stage.decisions
    assert decision.outcome == "Confirmed"
    (answer,) = stage.of(ConfirmAnswer)
    assert answer.fill_out.raw == 1_513_840
    assert stage.total(NATIVE_SOL) == 10 * SOL + 1_513_840 - answer.fees.network_fee_lamports
    assert stage.of(SendAsk)[0].plan.calls[-1].program == program
    assert address not in stage.reducers[0].state.rows
    stage.pass_slots(30)
    assert len(stage.intents) == 1


def test_withheld_fees_are_harvested_first():
    stage = house(AccountJanitor, paper=False)
    own(stage, MINT_22, program=TOKEN_2022, withheld=5)
    stage.pass_slots(16)
    (ask,) = stage.of(SimulateAsk)
    assert [one.data for one in instructions_of(ask.plan.calls[2:])] == [b"\x1a\x04", b"\x09"]


def test_accounts_that_are_not_ours_to_close_stay():
    stage = house(AccountJanitor, paper=False)
    frozen = bytearray(account_data(MINT, PAPER_WALLET, 0))
    frozen[108] = 2
    closer = bytearray(account_data(MINT_22, PAPER_WALLET, 0))
    closer[129:133] = pack("<I", 1)
    native = account_data(SOL_MINT, PAPER_WALLET, 0, RENT)
    foreign = account_data(MINT, POOL, 0)
    for number, data in enumerate((bytes(frozen), bytes(closer), native, foreign, b"", bytes(165))):
        address = base58.encode(bytes([number + 20]) * 32)
        stage.take(AccountWritten(address, TOKEN, RENT, data, slot=stage.slot))
    stage.pass_slots(40)
    assert not stage.intents


def many(stage, count, first=40, program=TOKEN, **more):
    return [
        own(stage, base58.encode(bytes([number]) * 32), program=program, **more)
        for number in range(first, first + count)
    ]


def closes(stage):
    """The accounts of each closing intent."""
    return [intent.resources.accounts for intent in stage.intents if intent.metadata["purpose"] == "close"]


def test_a_round_closes_its_accounts_in_one_transaction():
    stage = house(AccountJanitor, told=msgspec.structs.replace(JANITOR, max_per_round=3, interval_ms=60_000))
    accounts = many(stage, 4)
    stage.take(ClockTick(), 61_000)
    stage.pass_slots(12)
    assert closes(stage) == [tuple(accounts[:3])]
    (intent,) = stage.intents
    mints = [base58.encode(bytes([number]) * 32) for number in (40, 41, 42)]
    assert (intent.metadata["mints"], intent.metadata["lamports"]) == (" ".join(mints), str(3 * RENT))
    assert intent.resources.input_mint == mints[0]
    (ask,) = stage.of(SendAsk)
    assert [(call.accounts[0], call.data) for call in ask.plan.calls[2:]] == [(one, "CQ==") for one in accounts[:3]]
    assert ask.plan.min_out == 3 * RENT
    (answer,) = stage.of(ConfirmAnswer)
    assert answer.fill_out.raw == 3 * RENT
    assert stage.total(NATIVE_SOL) == 10 * SOL + 3 * RENT - answer.fees.network_fee_lamports
    gone = [event.pubkey for event in stage.of(AccountWritten) if event.source == "paper" and not event.lamports]
    assert sorted(gone) == sorted(accounts[:3])
    assert list(stage.reducers[0].state.rows) == accounts[3:]
    stage.take(ClockTick(), 61_000)
    stage.pass_slots(12)
    assert closes(stage)[1:] == [tuple(accounts[3:])]
    assert "mints" not in stage.intents[1].metadata


def test_one_action_is_under_way_and_programs_do_not_mix():
    told = msgspec.structs.replace(JANITOR, max_per_round=100, interval_ms=60_000)
    stage = house(AccountJanitor, told=told)
    old = many(stage, 25)
    new = many(stage, 3, first=90, program=TOKEN_2022)
    held_back = many(stage, 2, first=100, program=TOKEN_2022, withheld=5)
    stage.take(ClockTick(), 61_000)
    open_at_once = 0
    for _ in range(40):
        stage.pass_slots(1)
        open_at_once = max(open_at_once, len(stage.engine.state.attempts))
    assert open_at_once == 1
    alone = [(one,) for one in held_back]
    assert closes(stage) == [tuple(old[:MOST_CLOSED]), tuple(old[MOST_CLOSED:]), tuple(new), *alone]
    assert {decision.outcome for decision in stage.decisions} == {"Confirmed"}
    assert max(compiled(PAPER_WALLET, ask.plan.calls).size for ask in stage.of(SendAsk)) <= MOST_BYTES


def test_what_is_refused_together_is_closed_alone():
    """One account of a mint that an attempt uses must not hold up the others."""
    stage = house(AccountJanitor, paper=False, idempotency_window_ms=10_000)
    accounts = many(stage, 2)
    mint = base58.encode(bytes([41]) * 32)
    stage.take(trade(11, pool=POOL, mint=mint))
    stage.pass_slots(12)
    stage.take(buy(10_000_000, mint=mint, pool=POOL))
    for _ in range(12):
        stage.take(ClockTick(), 300)
    told = [decision for decision in stage.decisions if decision.source == "account-janitor"]
    assert closes(stage) == [tuple(accounts), (accounts[0],)]
    assert told[0].primary_reject_reason == "LOCK_RESOURCE_CONFLICT"
    assert [row.alone for row in stage.reducers[0].state.rows.values()] == [True, True]
    own(stage, base58.encode(bytes([40]) * 32), amount=1)
    assert not stage.reducers[0].state.rows[accounts[0]].alone, "it is another amount"


@pytest.mark.parametrize(
    ("outcome", "reason", "alone", "waits"),
    [
        ("SimFailed", "x", True, False), ("Rejected", "LOCK_RESOURCE_CONFLICT", True, False), ("FailedConfirmed", "x", True, False),
        ("Rejected", "dry_run", False, True), ("Sent", "confirm_timeout", False, True), ("Expired", "TTL_EXPIRED", False, False),
    ],
)  # fmt: skip
def test_what_an_end_of_several_means(outcome, reason, alone, waits):
    stage = house(AccountJanitor, paper=False)
    many(stage, 2)
    stage.take(ClockTick(), 6_000)
    seq = next(record.seq for record in stage.records if isinstance(record.event, TradeIntent))
    state = stage.reducers[0].state
    since = next(iter(state.rows.values())).since_ms
    ended = msgspec.structs.replace(decision_of(seq, outcome), primary_reject_reason=reason)
    stage.loop.take(ended, stage.now.time + 1_000_000)
    assert [(row.alone, row.since_ms > since) for row in state.rows.values()] == [(alone, waits)] * 2
    assert not state.taken


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"mints": "A B"}, "INVALID_INTENT"), ({"mints": MINT_22 + " " + MINT}, "INVALID_INTENT"), ({"mints": f"{MINT} x"}, "INVALID_MINT"),
        ({"mints": f"{MINT} {SOL_MINT}"}, "INVALID_MINT"), ({"mints": f"{MINT} {MINT_22}", "withheld": "true"}, "INVALID_INTENT"),
        ({"mints": f"{MINT} {MINT_22} {MINT_22}"}, "INVALID_INTENT"), ({"mints": MINT}, "INVALID_INTENT"), ({}, "INVALID_INTENT"),
    ],
)  # fmt: skip
def test_a_close_of_several_that_does_not_fit_together_is_refused(changes, code):
    stage = house(AccountJanitor, paper=False)
    accounts = tuple(associated(PAPER_WALLET, mint, TOKEN) for mint in (MINT, MINT_22))
    resources = TradeResources(MINT, NATIVE_SOL, accounts=accounts, token_program=TOKEN)
    metadata = {"lamports": str(2 * RENT), "dry_run": "false", **changes}
    stage.take(action("account-janitor", "close", ExplicitAmount(0, 6), resources, metadata))
    stage.take(ClockTick())
    assert stage.decisions[-1].primary_reject_reason == code


def test_tokens_that_came_meanwhile_are_not_lost():
    stage = house(AccountJanitor)
    own(stage, MINT)
    stage.pass_slots(12)
    own(stage, MINT, amount=5)
    stage.pass_slots(20)
    assert not stage.intents
    own(stage, MINT, amount=0, slot=1)
    assert stage.reducers[0].state.rows[associated(PAPER_WALLET, MINT, TOKEN)].amount == 5, "an older write"
    stage.take(ForkOrphaned(stage.reducers[0].state.rows[associated(PAPER_WALLET, MINT, TOKEN)].slot, "fork"))
    assert not stage.reducers[0].state.rows


BURNER = msgspec.structs.replace(JANITOR, burn_enabled=True, burn_min_age_ms=5_000)


def test_dust_without_a_route_is_burnt_and_its_position_closed():
    stage = house(AccountJanitor, told=BURNER)
    own(stage, MINT, amount=77)
    stage.pass_slots(20)
    (intent,) = stage.intents
    assert (intent.metadata["purpose"], intent.required_capital.raw) == ("burn", 77)
    assert [decision.outcome for decision in stage.decisions] == ["Confirmed"]
    assert not stage.engine.state.authority.balance(MINT)
    assert stage.total(MINT) == 0
    burn = instructions_of(stage.of(SendAsk)[0].plan.calls)[2]
    assert burn.data == b"\x0f" + pack("<QB", 77, 6)


def test_what_a_pool_pays_for_is_not_burnt():
    stage = house(AccountJanitor, told=BURNER)
    own(stage, MINT, amount=77_000_000)
    stage.take(trade(11, pool=POOL, mint=MINT))
    stage.pass_slots(20)
    assert not stage.intents
    address = associated(PAPER_WALLET, MINT, TOKEN)
    stage.take(
        ControlRequest(
            "b", "execution-engine", "burn_token_accounts", owner_pubkey=PAPER_WALLET, token_accounts=(address,)
        )
    )
    stage.pass_slots(2)
    assert stage.of(ControlResponse)[-1].status == "ok"
    assert stage.decisions[-1].primary_reject_reason == "refused_route_exists"


USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ((trade(11, pool=POOL, mint=MINT), GapOpened("geyser", 1, 12, "drill")), f"pool={POOL} is not known now"),
        ((GapOpened("geyser", 1, None, "drill"),), "the feed has a gap"),
        ((DexPoolAccounts("orca", POOL, MINT, SOL_MINT, (), slot=11),), f"pool={POOL} is not known now"),
        ((PoolStateUpdate(POOL, "orca", 10**12, 10**9, MINT, USDC, 11, slot=11),), f"pool={POOL} trades {MINT} for {USDC}"),
        ((PoolStateUpdate(POOL, "raydium", 10**12, 10**9, USDC, MINT, 11, slot=11),), f"pool={POOL} trades {MINT} for {USDC}"),
        ((PoolStateUpdate(POOL, "raydium", 10**12, 1, MINT, SOL_MINT, 11, slot=11),), None),
        ((PoolStateUpdate(POOL, "raydium", 10**12, 10**9, MINT, SOL_MINT, 11, slot=11),), None),
        ((BondingCurveProgress(MINT, POOL, 10_000, True, slot=11),), None),
    ],
)  # fmt: skip
def test_what_may_be_worth_something_is_not_burnt(told, why):
    """A pool that pays 0 for 77 units pays nothing; one of which it is not known may pay."""
    stage = house(AccountJanitor, told=BURNER)
    address = own(stage, MINT, amount=77)
    for event in told:
        stage.take(event)
    stage.pass_slots(30)
    if why is None:
        assert [intent.metadata["purpose"] for intent in stage.intents] == ["burn"]
        return
    assert not stage.intents
    stage.take(
        ControlRequest(
            "b", "execution-engine", "burn_token_accounts", owner_pubkey=PAPER_WALLET, token_accounts=(address,)
        )
    )
    stage.pass_slots(2)
    assert [decision.primary_reject_reason for decision in stage.decisions] == ["refused_route_exists"]
    assert stage.decisions[0].checks[-1].details == why


@pytest.mark.parametrize(
    ("owner", "accounts", "closes", "status"),
    [(POOL, ("x",), None, "error"), (PAPER_WALLET, ("x",), None, "not_found"), (PAPER_WALLET, (), None, "not_found"), (PAPER_WALLET, ("x",), False, "error")],
)  # fmt: skip
def test_a_request_that_cannot_be_done_is_answered(owner, accounts, closes, status):
    stage = house(AccountJanitor)
    stage.take(
        ControlRequest(
            "b", "all", "burn_token_accounts", owner_pubkey=owner, token_accounts=accounts, close_accounts=closes
        )
    )
    assert [answer.status for answer in stage.of(ControlResponse)] == [status]


def test_a_request_for_what_cannot_be_burnt_says_so():
    stage = house(AccountJanitor, told=BURNER)
    frozen = bytearray(account_data(MINT, PAPER_WALLET, 7))
    frozen[108] = 2
    for number, (data, why) in enumerate((
        (bytes(frozen), "frozen, wrapped SOL or not ours to close"),
        (account_data(SOL_MINT, PAPER_WALLET, 7, RENT), "frozen, wrapped SOL or not ours to close"),
        (account_data(POOL, PAPER_WALLET, 7), "its mint was not told"),
    )):  # fmt: skip
        address = base58.encode(bytes([number + 20]) * 32)
        stage.take(AccountWritten(address, TOKEN, RENT, data, slot=stage.slot))
        stage.take(
            ControlRequest(
                "b", "execution-engine", "burn_token_accounts", owner_pubkey=PAPER_WALLET, token_accounts=(address,)
            )
        )
        answer = stage.of(ControlResponse)[-1]
        assert (answer.status, answer.message) == ("error", f"{address}: {why}")
    stage.pass_slots(2)
    assert not stage.intents


def test_an_account_in_use_is_not_closed():
    stage = house(AccountJanitor, paper=False, idempotency_window_ms=10_000)
    own(stage, MINT)
    stage.take(trade(11, pool=POOL, mint=MINT))
    stage.pass_slots(12)
    stage.take(buy(10_000_000, mint=MINT, pool=POOL))
    for _ in range(8):
        stage.take(ClockTick(), 300)
    told = [decision for decision in stage.decisions if decision.source == "account-janitor"]
    assert told[0].primary_reject_reason == "LOCK_RESOURCE_CONFLICT"


# liquidation


def liquidating(paper=True, **more):
    stage = House((Liquidation, LiquidationParams(enabled=True)), paper=paper, **more)
    for number, mint in enumerate((MINT, MINT_22)):
        stage.take(TokenMintInfo(mint, TOKEN, 6, 10**15, None, None, slot=1))
        stage.take(trade(10, pool=base58.encode(bytes([60 + number]) * 32), mint=mint))
        stage.take(WalletBalanceSnapshot(mint, 1_000_000 * (number + 1), 6, TOKEN_PROGRAM))
    return stage


def kill(liquidate=True, **more):
    return ControlRequest("k", "execution-engine", "kill_switch", active=True, liquidate_positions=liquidate, **more)


def test_a_kill_sells_everything_if_it_is_asked_to():
    stage = liquidating()
    stage.take(kill())
    stage.pass_slots(5)
    assert len(stage.intents) == 2
    assert [decision.outcome for decision in stage.decisions] == ["Confirmed"] * 2
    assert stage.engine.state.authority.held() == 0
    assert {intent.metadata["purpose"] for intent in stage.intents} == {"liquidation"}
    assert stage.intents[0].max_slippage_bps == 9_900
    details = {row.check_name: row.details for row in stage.decisions[0].checks}
    assert details["kill_switch"] == "skipped_for_sell"
    assert details["max_slippage"] == "skipped_for_liquidation_sell"
    stage.take(buy(mint=MINT, pool=POOL))
    stage.pass_slots(1)
    assert stage.decisions[-1].primary_reject_reason == "KILL_SWITCH_ACTIVE"


def test_a_kill_without_the_word_sells_nothing():
    stage = liquidating()
    stage.take(kill(liquidate=None))
    stage.pass_slots(5)
    assert not stage.intents


def test_a_failed_sell_is_said_once_more_and_a_reset_ends_the_job():
    stage = liquidating(paper=False)
    stage.take(kill(max_slippage_bps=100, ttl_ms=1_000))
    stage.take(ClockTick())
    assert len(stage.intents) == 2
    stage.take(ClockTick(), 600)
    stage.take(ClockTick(), 30_000)
    stage.take(ClockTick(), 30_000)
    assert len(stage.intents) == 4, "each twice"
    for _ in range(5):
        stage.take(ClockTick(), 30_000)
    assert len(stage.intents) == 4
    stage.take(ControlRequest("r", "all", "reset_kill_switch"))
    assert stage.reducers[0].state.job is None


def test_a_sell_that_another_attempt_stands_in_the_way_of_is_said_until_it_goes():
    stage = liquidating(paper=False)
    stage.take(sell(1_000_000, mint=MINT, pool=base58.encode(bytes([60]) * 32)))
    stage.take(ClockTick())
    stage.take(kill())
    for _ in range(12):
        stage.take(ClockTick(), 1_000)
    told = [(decision.source, decision.outcome, decision.primary_reject_reason) for decision in stage.decisions]
    assert told[0] == ("liquidation", "Rejected", "SIM_INSUFFICIENT_BALANCE")
    assert [one for one in told if one[0] == "momentum-bot"] == [("momentum-bot", "SimFailed", "sim_timeout")]
    asks = [ask for ask in stage.of(SimulateAsk) if stage.records[ask.intent].event.source == "liquidation"]
    assert MINT in {ask.plan.input_mint for ask in asks}, "the other one failed, and now it is sold"
    assert len([intent for intent in stage.intents if intent.resources.input_mint == MINT]) == 2


def test_the_rests_of_a_blocked_sell_grow():
    """A position of which the wallet holds nothing is wished seldom, and not for ever more often."""
    stage = liquidating(paper=False)
    stage.engine.state.capital.asset(MINT).available = 0
    stage.take(kill())
    begun, said = stage.now.time, []
    for _ in range(1_500):
        stage.take(ClockTick(), 1_000)
    said = [
        (record.time - begun) // 10**9
        for record in stage.records
        if isinstance(record.event, TradeIntent) and record.event.resources.input_mint == MINT
    ]
    gaps = [later - earlier for earlier, later in itertools.pairwise(said)]
    assert gaps[:7] == [11, 21, 41, 81, 161, 321, 321], "it is refused a tick after it was said"


def test_the_curve_is_sold_on_first_as_long_as_it_is_not_complete():
    stage = liquidating(paper=False)
    curve = base58.encode(bytes([70]) * 32)
    stage.take(trade(11, sol=1, token=10**9, pool=curve, mint=MINT, dex="pumpfun"))
    stage.take(trade(12, sol=10**9, token=10**6, pool=curve, mint=MINT, dex="pumpfun"))
    stage.take(kill())
    pools = {intent.resources.input_mint: intent.resources.pools[0] for intent in stage.intents}
    assert pools[MINT] == curve


# all


@pytest.mark.parametrize(
    ("size", "rate", "least"),
    [(165, 6960, 2_039_280), (165, 5080, 1_488_440), (170, 5080, 1_513_840), (182, 5080, 1_574_800)],
)
def test_rent_follows_from_the_recorded_sysvar(size, rate, least):
    from ironcrab.dex import Account

    assert least_lamports(Account(SYSVARS, 1, rent_data(rate)), size) == least
    old = (rate // 2).to_bytes(8, "little") + bytes.fromhex("0000000000000040") + b"\x32"
    assert least_lamports(Account(SYSVARS, 1, old), size) == least
    for data in (b"", bytes(17), rent_data(rate)[:15], rent_data(rate)[:15] + b"\x01\x01"):
        assert least_lamports(Account(SYSVARS, 1, data), size) is None
    assert least_lamports(None, size) is None


def test_restart_anywhere_is_never_restarted():
    def run(restarts):
        stage = House(
            (WsolManager, WsolParams(enabled=True, dry_run=False, cooldown_ms=1_000)), (AccountJanitor, BURNER),
            (Liquidation, LiquidationParams(enabled=True)),
        )  # fmt: skip
        own(stage, MINT, amount=77)
        own(stage, MINT_22, program=TOKEN_2022)
        many(stage, 3)
        stage.take(trade(11, pool=POOL, mint=MINT_22))
        for step in range(40):
            if step in restarts:
                restart(stage)
            if step == 10:
                stage.take(ConfigUpdate("all", {"cooldown_ms": "900", "min_age_ms": "4000", "max_slippage_bps": "800"}))
            if step == 20:
                stage.balances(9 * SOL, 3 * SOL)
            if step == 30:
                own(stage, MINT_22, amount=10_000_000, program=TOKEN_2022)
                stage.take(kill())
            stage.pass_slots(1)
        return stage

    straight = run(())
    assert max(map(len, closes(straight))) == 3
    assert {intent.metadata["purpose"] for intent in straight.intents} == {
        "wrap",
        "unwrap",
        "burn",
        "close",
        "liquidation",
    }
    for restarts in ((1, 2, 3), (5, 13, 21, 31), tuple(range(40))):
        again = run(restarts)
        assert msgspec.json.encode(again.records) == msgspec.json.encode(straight.records)


def restart(stage):
    states = [msgspec.json.encode(reducer.state) for reducer in stage.loop.reducers]
    now = Now()
    now.time, now.slot = stage.now.time, stage.now.slot
    known = Known.fresh(now)
    stage.now, stage.known = now, known
    stage.engine = ExecutionEngine(stage.engine.params, known)
    stage.wire()
    for reducer, state in zip(stage.loop.reducers, states, strict=True):
        reducer.state = msgspec.json.decode(state, type=type(reducer.state))
        getattr(reducer, "restored", lambda: None)()


def test_defaults_are_off():
    assert not WsolParams().enabled
    assert not JanitorParams().enabled
    assert not LiquidationParams().enabled
    assert WsolParams().dry_run
    assert JanitorParams().dry_run
    assert EngineParams().wallet == PAPER_WALLET
