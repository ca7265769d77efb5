"""Each check has a recording that passes and one that fails: the same log, tampered with and chained anew."""

import msgspec
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from ironcrab.app.judging import check_command
from ironcrab.check import CHECKS, check
from ironcrab.domain.ask import ConfirmAnswer, SendAnswer, SendAsk, SignedAnswer, SimulateAnswer, SimulateAsk
from ironcrab.domain.control import ConfigChanged, ConfigUpdate, ControlRequest, RunStarted, Setting
from ironcrab.domain.market import ExplicitAmount, Trade
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, PositionUpdate, TradeIntent, Verdict
from ironcrab.domain.units import SOL_MINT
from ironcrab.log import manifest
from ironcrab.log.recording import Recording
from ironcrab.loop import Record
from tests.goldens.engine_checks import drive


@pytest.fixture(scope="module")
def log():
    """Every check, code and outcome of the engine, and a strategy's verdicts."""
    records = drive()[1]
    seq, time = len(records), records[-1].time
    for number, (verdict, code) in enumerate((("wait", "A"), ("reject", "B"))):
        said = Verdict("watcher", "M", "P", verdict, code, "Early")
        records.append(Record(seq + number, seq - 1, "watcher", time, said))
    return records


def written(records, folder):
    """The log of these records, as a recording whose chain is whole."""
    with Recording.create(folder, "ab" * 16) as session:
        for record in records:
            session.append(record)
    return Recording.open(folder)


class Tampering:
    """A log that is changed in places and gets more at its end; seqs stay dense."""

    def __init__(self, log):
        self.records = list(log)

    def place(self, kind, holds=lambda _event: True, last=False):
        found = [r.seq for r in self.records if isinstance(r.event, kind) and holds(r.event)]
        assert found, f"no {kind.__name__} as wanted"
        return found[-1 if last else 0]

    def change(self, seq, **fields):
        self.records[seq] = replace(self.records[seq], event=replace(self.records[seq].event, **fields))

    def head(self, seq, **fields):
        self.records[seq] = replace(self.records[seq], **fields)

    def add(self, event, by=None, cause=None, time=None):
        seq = len(self.records)
        self.records.append(Record(seq, cause, by, time or self.records[-1].time, event))
        return seq

    def event(self, kind, holds=lambda _event: True, last=False):
        return self.records[self.place(kind, holds, last)].event


def is_buy(event):
    return event.plan.side == "Buy"


def big(told, raw):
    ask = told.event(SendAsk, is_buy)
    told.add(replace(ask, plan=replace(ask.plan, amount_in=raw), attempt=7))


def no_gate(told):
    sent = told.event(SendAsk)
    ask = told.place(SimulateAsk, lambda event: (event.intent, event.attempt) == (sent.intent, sent.attempt))
    told.change(told.place(SimulateAnswer, lambda event: event.ask == ask), success=False)


def killed(told):
    told.add(ControlRequest("x", "all", "kill_switch", active=True))
    told.add(replace(told.event(SendAsk, is_buy), attempt=7))


def killed_wrap(told):
    told.add(ControlRequest("x", "all", "kill_switch", active=True))
    told.add(
        replace(
            told.event(SendAsk, lambda event: event.plan.output_mint == SOL_MINT and event.plan.dex == "wallet"),
            attempt=7,
        )
    )


def late(told):
    ask = told.event(SimulateAsk)
    told.change(ask.intent, deadline_slot=1)


def pools_shared(told):
    ask = told.event(SimulateAsk, is_buy)
    told.add(replace(ask, attempt=7))
    told.add(replace(ask, attempt=8))


def crowded(told):
    for number in range(12):
        told.add(PositionUpdate(f"Mint{number}", 5, 6, "Open", "Execution"))


def below_least(told):
    seq = told.place(ConfirmAnswer, lambda event: event.status == "confirmed" and event.fill_out is not None)
    told.change(seq, fill_out=ExplicitAmount(0, 6))


def oversold(told):
    update = told.event(PositionUpdate, lambda event: event.balance_raw > 0)
    told.add(update)
    ask = told.event(SendAsk, is_buy)
    plan = replace(ask.plan, side="Sell", input_mint=update.mint, amount_in=update.balance_raw + 1)
    told.add(replace(ask, plan=plan, attempt=7))


def wrong_position(told):
    """A mint that nothing else speaks of: bought once, and one unit more is held."""
    intent = told.add(told.event(TradeIntent, lambda event: event.side == "Buy"))
    result = told.event(ExecutionResult, lambda event: event.fill_status == "complete")
    told.add(replace(result, intent=intent, token_mint="OnlyHere", fill_out=ExplicitAmount(100, 6)))
    told.add(PositionUpdate("OnlyHere", 101, 6, "Open", "Execution"))


def forgotten(told):
    for seq, record in enumerate(told.records):
        if isinstance(record.event, DecisionRecord | SimulateAsk) and record.event.intent == told.first_intent:
            told.change(seq, intent=0)


def undecided(told):
    told.first_intent = told.place(TradeIntent)
    forgotten(told)


def swapped_rows(told):
    seq = told.place(DecisionRecord, lambda event: len(event.checks) > 4)
    checks = told.records[seq].event.checks
    told.change(seq, checks=(checks[1], checks[0], *checks[2:]))


def id_twice(told):
    first = told.event(SimulateAsk, lambda event: told.records[event.intent].event.intent_id is not None)
    intent = told.add(told.records[first.intent].event)
    told.add(replace(first, intent=intent))


def signed_twice(told):
    first = told.event(SignedAnswer)
    told.change(told.place(SignedAnswer, last=True), signature=first.signature)


def other_pool(told):
    seq = told.place(
        SimulateAsk, lambda event: event.attempt == 0 and not event.plan.hops and event.plan.dex != "wallet"
    )
    told.change(seq, plan=replace(told.records[seq].event.plan, pool_address="Elsewhere"))


def no_parent(told):
    seq = told.place(TradeIntent, lambda event: event.origin_type == "ExecutionMevB")
    told.change(seq, intent_id=None)


def sent_dry(told):
    intent = told.place(TradeIntent, lambda event: event.metadata.get("dry_run") == "true")
    told.add(replace(told.event(SendAsk), intent=intent))


def lost_too_much(told):
    lost = told.event(ExecutionResult, lambda event: event.pnl is not None)
    told.add(replace(lost, pnl=replace(lost.pnl, net_lamports=-(10**12))))
    told.add(replace(told.event(SimulateAsk, is_buy), attempt=7))


def verdicts_again(told):
    told.add(Verdict("watcher", "M", "P", "enter", "C", "Early"))


def same_verdict(told):
    told.add(Verdict("watcher", "M", "P", "reject", "B", "Early"))


def groundless(told):
    told.add(told.event(TradeIntent), by="watcher", cause=told.place(ConfigUpdate))


def derived(told):
    return next(record.seq for record in told.records if record.cause is not None)


def too_dear(told):
    seq = told.place(SimulateAsk, lambda event: event.plan.dex != "wallet")
    told.change(seq, plan=replace(told.records[seq].event.plan, compute_units=1_400_001))


def simulated_less(told):
    sent = told.event(SendAsk)
    ask = told.place(SimulateAsk, lambda event: (event.intent, event.attempt) == (sent.intent, sent.attempt))
    told.change(told.place(SimulateAnswer, lambda event: event.ask == ask), amount_out=sent.plan.min_out - 1)


def losing_round(told):
    seq = told.place(SendAsk, lambda event: event.plan.hops)
    plan = told.records[seq].event.plan
    told.change(seq, plan=replace(plan, min_out=plan.amount_in + max(plan.must_earn_lamports, 0) - 1))


def asks_more(told):
    seq = told.place(SimulateAsk, lambda event: not event.plan.hops and event.plan.dex != "wallet")
    least = told.records[told.records[seq].event.intent].event.execution.min_out.raw
    told.change(seq, plan=replace(told.records[seq].event.plan, min_out=least + 1))


def few_digits(told):
    intent = replace(told.event(TradeIntent, lambda event: event.side == "Buy"), intent_id=None)
    told.add(replace(intent, required_capital=ExplicitAmount(1, 6)), by="watcher", cause=0)


def other_voice(told):
    told.add(told.event(PositionUpdate), by="watcher", cause=0)


def other_class(told):
    told.change(told.place(DecisionRecord, lambda event: event.intent is not None), regime="Established")


def better_loser(told):
    seq = told.place(
        DecisionRecord, lambda event: event.checks and (event.checks[-1].details or "").startswith("preempted by ")
    )
    told.change(told.records[seq].event.intent, tier="Tier0")


def wished_twice(told):
    intent = replace(told.event(TradeIntent), metadata={"cross_dex_arb": "true"})
    for number in range(2):
        told.add(replace(intent, intent_id=f"twice-{number}"), by="arb-strategy", cause=0)


def sold_elsewhere(told):
    bought = told.add(replace(told.event(TradeIntent, lambda e: e.side == "Buy" and len(e.resources.pools) == 1)))
    intent = told.records[bought].event
    told.add(replace(told.event(ExecutionResult, lambda event: event.status == "confirmed"), intent=bought))
    resources = replace(intent.resources, input_mint=intent.resources.output_mint, pools=("Elsewhere",))
    metadata = {"exit_type": "STOP_LOSS"}
    told.add(replace(intent, side="Sell", resources=resources, metadata=metadata))


TAMPERINGS = {
    "fees": too_dear,
    "simulated-profit": simulated_less,
    "round-trips": losing_round,
    "plan-terms": asks_more,
    "amounts": few_digits,
    "one-voice": other_voice,
    "classes": other_class,
    "preemptions": better_loser,
    "in-flight": wished_twice,
    "pool-matching": sold_elsewhere,
    "causes": lambda told: told.head(derived(told), cause=None),
    "clock": lambda told: told.head(derived(told), time=told.records[-1].time + 1),
    "answers": lambda told: told.change(told.place(SignedAnswer), ordinal=9),
    "references": lambda told: told.change(told.place(DecisionRecord), decided_at=10**6),
    "one-outcome": lambda told: told.add(told.event(DecisionRecord)),
    "simulate-gate": no_gate,
    "sent-once": lambda told: told.add(told.event(SendAsk)),
    "kill-switch": killed,
    "ttl": late,
    "reasons": lambda told: told.change(
        told.place(DecisionRecord, lambda e: e.outcome == "Rejected"), primary_reject_reason="OTHER"
    ),
    "pool-locks": pools_shared,
    "capital": lambda told: big(told, 10**15),
    "max-position": lambda told: big(told, 10**15),
    "open-positions": crowded,
    "least-output": below_least,
    "positions": wrong_position,
    "exit-size": oversold,
    "fills": lambda told: told.change(
        told.place(ExecutionResult, lambda e: e.fill_status == "complete"), fill_status="partial"
    ),
    "terminal-reject": verdicts_again,
    "verdict-changes": same_verdict,
    "intent-ground": groundless,
    "decided": undecided,
    "rows": swapped_rows,
    "intent-ids": id_twice,
    "signatures": signed_twice,
    "plan-pools": other_pool,
    "origin": no_parent,
    "dry-run": sent_dry,
    "config": lambda told: told.change(
        told.place(DecisionRecord, last=True), config_snapshot_id="cfg-0000000000000000"
    ),
    "daily-loss": lost_too_much,
}


@pytest.fixture(scope="module")
def sound(log, tmp_path_factory):
    return written(log, tmp_path_factory.mktemp("sound") / "log")


def test_every_check_has_its_tampering():
    assert sorted(TAMPERINGS) == sorted(one.name for one in CHECKS)
    assert all(one.says for one in CHECKS)


@pytest.mark.parametrize("name", list(TAMPERINGS))
def test_the_sound_log_passes(name, sound):
    assert check(sound, (name,)) == {name: []}


@pytest.mark.parametrize("name", list(TAMPERINGS))
def test_the_tampered_log_fails(name, log, tmp_path):
    told = Tampering(log)
    TAMPERINGS[name](told)
    found = check(written(told.records, tmp_path / "log"), (name,))[name]
    assert found, name
    assert found[0].sentence
    assert msgspec.json.encode(found)


def test_a_wrap_while_killed_is_found(log, tmp_path):
    told = Tampering(log)
    killed_wrap(told)
    found = check(written(told.records, tmp_path / "log"), ("kill-switch",))["kill-switch"]
    assert found[-1].sentence.startswith("a wrap is sent")


SECOND = 10**9


def settings_of(**told):
    settings = tuple(Setting(f"momentum.{key}", str(value), "scenario") for key, value in told.items())
    return RunStarted(0, "s", "0", "ironcrab", (), settings, ())


def watched(log, folder, between, **told):
    """A verdict, what happens between, and the same verdict again 100 s later."""
    records = [Record(0, None, None, SECOND, settings_of(**told))]

    def add(event, secs, by=None):
        seq = len(records)
        records.append(Record(seq, None if by is None else seq - 1, by, secs * SECOND, event))

    def trade(pool):
        return Trade(pool, "M", "W", True, 1, 1, 6, "orca", slot=1)

    said = Verdict("watcher", "M", "P", "reject", "B", "Early")
    add(trade("P"), 1)
    add(said, 1, "watcher")
    for secs, pool in between:
        add(trade(pool), secs)
    add(trade("P"), 101)
    add(said, 101, "watcher")
    add(trade("P"), 102)
    add(replace(said, verdict="wait", code="A"), 102, "watcher")
    return check(written(records, folder), ("verdict-changes", "terminal-reject"))


@pytest.mark.parametrize(
    ("between", "told", "changes", "rejects"),
    [
        ((), {}, 1, 1), ((), {"idle_secs": 100}, 0, 1), ((), {"idle_secs": 101}, 1, 1),
        (((51, "P"),), {"idle_secs": 60}, 1, 1), (((51, "P"),), {"idle_secs": 50}, 0, 1),
        (((51, "Q"), (51, "R")), {"max_rows": 3}, 0, 1), (((51, "Q"), (51, "R")), {"max_rows": 4}, 1, 1),
        ((), {"terminal_secs": 1}, 1, 0), ((), {"terminal_secs": 2}, 1, 1), ((), {"idle_secs": 1}, 0, 0),
    ],
)  # fmt: skip
def test_a_row_that_was_forgotten_may_be_told_anew(log, tmp_path, between, told, changes, rejects):
    found = watched(log, tmp_path / "log", between, **told)
    assert [len(found["verdict-changes"]), len(found["terminal-reject"])] == [changes, rejects]


def test_what_a_recording_is_exempt_from_is_not_asked(log, tmp_path):
    told = Tampering(log)
    TAMPERINGS["answers"](told)
    recording = written(told.records, tmp_path / "log")
    assert check(recording)["answers"]
    manifest.edit(recording.path, lambda listed: replace(listed, exempt={"answers": "a drill"}))
    found = check(Recording.open(recording.path))
    assert "answers" not in found
    assert len(found) == len(CHECKS) - 1
    result = CliRunner().invoke(check_command, [str(recording.path)])
    assert result.output.splitlines()[1] == "  answers is not asked: a drill"
    assert check(Recording.open(recording.path), ("answers",))["answers"], "asked by name it is"


@pytest.mark.parametrize(
    ("ok", "signed", "is_found"), [(False, False, False), (True, False, True), (False, True, True)]
)
def test_a_buy_that_was_asked_for_before_a_kill_and_stands_behind_it(log, tmp_path, ok, signed, is_found):
    """Several processes: the ask may come late, but nobody may perform it."""
    told = Tampering(log)
    cause = len(told.records) - 1
    told.add(ControlRequest("x", "all", "kill_switch", active=True))
    ask = told.add(replace(told.event(SendAsk, is_buy), attempt=7), by="execution-engine", cause=cause)
    if signed:
        told.add(SignedAnswer(ask, "s", "t", "b", 1))
    told.add(SendAnswer(ask, ok, 1, "none", last=True))
    found = check(written(told.records, tmp_path / "log"), ("kill-switch",))["kill-switch"]
    assert [finding.seq for finding in found] == ([ask] if is_found else [])


def test_a_limit_that_is_lowered_ends_no_attempt_under_way(log, tmp_path):
    """What was decided under the old limit may still be sent and open a position; what is decided after may not."""
    told = Tampering(log)
    ask = told.event(SimulateAsk, is_buy)
    for number, amount in enumerate((10**10, 10**10 + 1)):
        intent = 10**6 + number
        lowered = ConfigChanged("execution-engine", _limits(10**10, 1_000), (), "cfg-a")
        told.add(lowered)
        plan = replace(ask.plan, amount_in=amount)
        told.add(replace(ask, intent=intent, plan=plan))
        told.add(replace(lowered, settings=_limits(5, 1)))
        sent = told.add(SendAsk(intent, 0, plan))
        answer = told.add(ConfirmAnswer(sent, "confirmed", last=True))
        told.add(PositionUpdate(f"Mint{number}", 5, 6, "Open", "Execution"), cause=answer)
        if number == 0:
            held = check(written(told.records, tmp_path / "log"), ("max-position", "open-positions"))
            assert held == {"max-position": [], "open-positions": []}
    told.add(replace(ask, intent=10**7))
    sent = told.add(SendAsk(10**7, 0, ask.plan))
    answer = told.add(ConfirmAnswer(sent, "confirmed", last=True))
    last = told.add(PositionUpdate("Mint9", 5, 6, "Open", "Execution"), cause=answer)
    found = check(written(told.records, tmp_path / "more"), ("max-position", "open-positions"))
    assert len(found["max-position"]) == 2
    assert [one.seq for one in found["open-positions"]] == [last]


def _limits(lamports, positions):
    told = (("max_position_size_lamports", lamports), ("max_open_positions", positions))
    return tuple(Setting(key, str(value), "operator") for key, value in told)
