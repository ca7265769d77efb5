"""What an operator, a file, the disk and the clock say to a session is recorded, latched, and replays."""

import asyncio

import pytest

from ironcrab.domain.control import ClockTick, ConfigChanged, ConfigUpdate, ControlRequest, RunStarted, Setting
from ironcrab.domain.market import LatestBlockhash
from ironcrab.domain.settings import KEPT
from ironcrab.domain.trade import DecisionRecord, TradeIntent
from ironcrab.log.compare import Digest
from ironcrab.log.recording import Recording
from ironcrab.mode.beside import leave_states
from ironcrab.mode.run import run, with_ticks
from ironcrab.mode.seconds import Seconds
from ironcrab.shell.control import Control, Request
from ironcrab.shell.disk import Room
from ironcrab.shell.inbox import Connected
from tests.live.desk import BEGAN, frames, judged, play, scenario, session

SECOND = 10**9


def requests(folder):
    return [record.event for record in Recording.open(folder).records((ControlRequest,))]


def reasons(live):
    return {
        record.event.primary_reject_reason for record in Recording.open(live.session.path).records((DecisionRecord,))
    }


def asked(live, request):
    """Perform a request; nothing syncs here, so what was appended counts as durable."""
    live.operator.durable = lambda: live.drive.loop.seq
    return asyncio.run(live.operator.answer(request))


def test_a_session_decides_as_a_run_over_its_recording(tmp_path):
    live = session(tmp_path / "data" / "demo")
    play(live, frames(slots=30))
    digest = Digest()
    for record in Recording.open(live.session.path).records():
        if record.by is not None:
            digest.add(record.by, record.event)
    summary = run(Recording.open(live.session.path), scenario(), tmp_path / "again")
    assert summary.digest == digest.text()
    assert sum(live.decisions.values()) >= 5


def test_kill_is_latched_across_a_restart_until_reset(tmp_path):
    folder = tmp_path / "data" / "demo"
    live = session(folder)
    live.open(BEGAN)
    reply = asked(live, Request("kill", "enough", liquidate=True))
    assert reply.ok
    live.session.close()
    assert Recording.open(folder).record(reply.seq).event.reason == "enough"

    again = session(folder)
    play(again, frames(slots=25), BEGAN + SECOND, end=False)
    assert again.engine.state.kill.active
    assert reasons_of(again) == {"KILL_SWITCH_ACTIVE"}
    assert asked(again, Request("reset")).ok
    assert not again.engine.state.kill.active
    again.close(again.drive.wiring.now.time, "the test ended", {})
    again.session.close()
    judged(folder)


def reasons_of(live):
    live.session.commit()
    return reasons(live)


def test_the_kill_file_kills_and_blocks_a_reset(tmp_path):
    folder = tmp_path / "data" / "demo"
    live = session(folder)
    live.open(BEGAN)
    (folder.parent / "KILL").write_text("fire in the house\n")
    live.look()
    live.look()
    assert [request.reason for request in requests_of(live)] == ["fire in the house"]
    assert not asked(live, Request("reset")).ok
    (folder.parent / "KILL").unlink()
    assert asked(live, Request("reset")).ok
    live.look()
    assert not live.engine.state.kill.active
    live.close(live.drive.wiring.now.time, "the test ended", {})
    live.session.close()
    judged(folder)


def requests_of(live):
    live.session.commit()
    return requests(live.session.path)


def test_a_low_disk_refuses_buys_and_takes_it_back(tmp_path, monkeypatch):
    folder = tmp_path / "data" / "demo"
    live = session(folder)
    live.open(BEGAN)
    free = [10_000]
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free[0]}))
    live.operator.room = Room(folder.parent, 1_000, 2_000, 100)
    for left, active in ((10_000, False), (900, True), (1_500, True), (50, True), (2_000, False)):
        free[0] = left
        live.look()
        assert live.engine.state.kill.active is active, left
        assert (folder.parent / "reserve").exists() == (left != 50)
    assert [request.kind for request in requests_of(live)] == ["kill_switch", "reset_kill_switch"]
    asked(live, Request("kill", "mine"))
    free[0] = 10
    live.look()
    free[0] = 10_000
    live.look()
    assert live.engine.state.kill.active, "the operator's kill is the operator's to take back"
    live.close(live.drive.wiring.now.time, "the test ended", {})
    live.session.close()
    judged(folder)


def test_with_a_low_disk_buys_are_refused_and_exits_go_on(tmp_path, monkeypatch):
    folder = tmp_path / "data" / "demo"
    live = session(folder)
    live.open(BEGAN)
    live.arrive((BEGAN, Connected(None)))
    live.operator.room = Room(folder.parent, 1_000, 2_000, 100)
    free = [10_000]
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free[0]}))
    low_from = None
    for time, _, frame in frames(slots=70):
        live.arrive((time, frame))
        if low_from is None and live.engine.state.authority.held():
            low_from, free[0] = live.drive.loop.seq, 500
            live.look()
    live.close(live.drive.wiring.now.time, "the test ended", {})
    live.session.close()
    assert low_from is not None
    intents, outcomes = {}, {}
    for record in Recording.open(folder).records((TradeIntent, DecisionRecord)):
        if isinstance(record.event, TradeIntent):
            intents[record.seq] = record.event
        elif record.event.intent >= low_from:
            place = intents[record.event.intent].side, record.event.outcome
            outcomes[place] = outcomes.get(place, 0) + 1
    assert outcomes.get(("Sell", "Confirmed"), 0) >= 1, outcomes
    assert ("Buy", "Confirmed") not in outcomes, outcomes
    judged(folder)


def test_a_clock_that_is_off_is_told_once(tmp_path, capsys):
    from ironcrab.app.living import status_line

    live = session(tmp_path / "data" / "demo")
    live.open(BEGAN)
    show = status_line()
    for behind, skew in ((0, 0), (7, 7), (9, 9), (10**6, 0)):
        block = LatestBlockhash(
            "4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi", slot=5, block_time=BEGAN // SECOND - behind
        )
        live.take(BEGAN, block)
        assert live.look().skew_s == skew
        show(live.status)
    said = capsys.readouterr().err
    assert said.count("warning: host and chain differ by 7 s; set the host's clock") == 1
    assert said.count("warning") == 1
    live.close(BEGAN, "the test ended", {})
    live.session.close()


def test_settings_outlive_a_crash_and_bad_ones_are_refused(tmp_path):
    folder = tmp_path / "data" / "demo"
    live = session(folder)
    live.open(BEGAN)
    reply = asked(live, Request("set", settings={"max_open_positions": "2", "wallet": "x", "no_such": "1"}))
    assert not reply.ok
    assert "max_open_positions=2" in reply.text
    assert "no_such: unknown key" in reply.text
    live.session.close()
    again = session(folder)
    play(again, [], BEGAN + SECOND)
    assert again.engine.state.params.max_open_positions == 2
    assert len(list(Recording.open(folder).records((ConfigUpdate,)))) == 1
    kept = list(Recording.open(folder).records((ConfigChanged,)))[-1]
    assert isinstance(record_at(folder, kept.cause).event, RunStarted)
    assert kept.event.settings == (Setting("max_open_positions", "2", KEPT),)
    # a scenario edited elsewhere leaves it in force, one edited here ends it
    elsewhere = session(folder, scenario(("engine.max_slippage_bps", "77"), ("momentum.take_profit_bps", "70")))
    play(elsewhere, [], BEGAN + 2 * SECOND)
    assert elsewhere.engine.state.params.max_open_positions == 2
    assert elsewhere.engine.state.params.max_slippage_bps == 77
    other = session(folder, scenario(("engine.max_open_positions", "7")))
    play(other, [], BEGAN + 3 * SECOND)
    assert other.engine.state.params.max_open_positions == 7
    judged(folder)


def record_at(folder, seq):
    return next(iter(Recording.open(folder).records(seq_from=seq, seq_to=seq + 1)))


@pytest.mark.parametrize("states", [False, True])
def test_an_edited_scenario_has_the_last_word_of_every_component(states, tmp_path):
    """What an operator changed ends with the scenario that says something else, also where it is folded anew."""
    folder = tmp_path / "data" / "demo"
    first = (("wsol_manager.enabled", "true"),)
    live = session(folder, scenario(*first))
    live.open(BEGAN)
    wishes = {
        "momentum.take_profit_bps": "77",
        "momentum.hard_stop_loss_bps": "99",
        "wsol_manager.cooldown_ms": "77",
        "max_open_positions": "2",
        "max_slippage_bps": "30",
    }
    assert asked(live, Request("set", settings=wishes)).ok
    live.session.close()
    edited = (
        *first,
        ("momentum.take_profit_bps", "70"),
        ("wsol_manager.cooldown_ms", "70"),
        ("engine.max_open_positions", "7"),
    )
    for second, told in enumerate((edited, edited, first)):
        if states:
            leave_states(Recording.open(folder))
        again = session(folder, scenario(*told))
        play(again, [], BEGAN + (1 + second) * SECOND)
        momentum, keeper = (
            next(reducer for reducer in again.drive.wiring.reducers if reducer.name == name)
            for name in ("momentum-bot", "wsol-manager")
        )
        params = again.engine.state.params
        assert (momentum.shared.hard_stop_loss_bps, params.max_slippage_bps) == (99, 30)
        scenarios = {one.key: one.value for one in again.scenario.settings}
        assert str(momentum.shared.take_profit_bps) == scenarios["momentum.take_profit_bps"]
        assert str(keeper.params.cooldown_ms) == scenarios["wsol_manager.cooldown_ms"]
        assert str(params.max_open_positions) == scenarios["engine.max_open_positions"]
        told_by = [record.by for record in Recording.open(folder).records((ConfigChanged,), seq_from=again.first_seq)]
        assert told_by == ["momentum-bot", "execution-engine"]
    judged(folder)


def test_settings_of_a_strategy_outlive_a_crash_and_say_so(tmp_path):
    folder = tmp_path / "data" / "demo"
    live = session(folder)
    live.open(BEGAN)
    wishes = {"momentum.take_profit_bps": "77", "momentum.no_such": "1", "max_open_positions": "3"}
    reply = asked(live, Request("set", settings=wishes))
    assert not reply.ok
    assert reply.text == "take_profit_bps=77; refused no_such: unknown key; max_open_positions=3"
    assert not asked(live, Request("set", settings={"ema.fast": "3"})).ok
    live.session.close()
    again = session(folder)
    play(again, frames(slots=20), BEGAN + SECOND)
    momentum = next(reducer for reducer in again.drive.wiring.reducers if reducer.name == "momentum-bot")
    assert momentum.shared.take_profit_bps == 77
    told = [record.event for record in Recording.open(folder).records((ConfigChanged,)) if record.by == "momentum-bot"]
    assert [[(s.key, s.value, s.origin) for s in changed.settings] for changed in told] == [
        [("take_profit_bps", "77", "operator")],
        [("take_profit_bps", "77", "operator, kept over a restart")],
    ]
    assert told[0].config_snapshot_id == told[1].config_snapshot_id
    wished = [record.event for record in Recording.open(folder).records((TradeIntent,))]
    assert {intent.metadata["config_snapshot_id"] for intent in wished} == {told[1].config_snapshot_id}
    judged(folder)


def test_settings_of_a_housekeeper_outlive_a_crash_and_say_so(tmp_path):
    folder, on = tmp_path / "data" / "demo", scenario(("wsol_manager.enabled", "true"))
    live = session(folder, on)
    live.open(BEGAN)
    reply = asked(live, Request("set", settings={"wsol_manager.cooldown_ms": "77", "wsol_manager.enabled": "false"}))
    assert not reply.ok
    assert reply.text == "cooldown_ms=77; refused enabled: takes effect at a restart only"
    reply = asked(live, Request("set", settings={"account_janitor.min_age_ms": "3"}))
    assert not reply.ok
    assert "nobody here takes settings of account_janitor; known: engine, momentum, wsol_manager" in reply.text
    live.session.close()
    again = session(folder, on)
    play(again, frames(slots=20), BEGAN + SECOND)
    keeper = next(reducer for reducer in again.drive.wiring.reducers if reducer.name == "wsol-manager")
    assert keeper.params.cooldown_ms == 77
    told = [record.event for record in Recording.open(folder).records((ConfigChanged,)) if record.by == "wsol-manager"]
    assert [[(s.key, s.value, s.origin) for s in changed.settings] for changed in told] == [
        [("cooldown_ms", "77", "operator")],
        [("cooldown_ms", "77", "operator, kept over a restart")],
    ]
    judged(folder)


def test_silent_seconds_tick_live_as_in_a_run():
    """However often the clock looks in between, the ticks are those of `with_ticks`."""
    times = [5 * SECOND + 7, 5 * SECOND + 9, 8 * SECOND, 8 * SECOND + 1, 13 * SECOND - 1, 14 * SECOND]
    wanted = [time for time, event in with_ticks((time, None) for time in times) if isinstance(event, ClockTick)]
    for looks in ([], range(0, 15 * SECOND, SECOND // 3), range(SECOND // 2, 15 * SECOND, SECOND)):
        seconds, found = Seconds(), []
        pending = sorted([*((time, "event") for time in times), *((time, "look") for time in looks)])
        for time, what in pending:
            if what == "look" and time >= times[-1]:
                break
            ticks = seconds.before(time) if what == "event" else seconds.silent(time)
            found += [tick_time for tick_time, _ in ticks]
        assert found == wanted


def test_a_request_too_long_is_answered(tmp_path):
    async def put():
        async def answer(_request):
            raise AssertionError

        control = Control(tmp_path / "s.sock", answer)
        await control.open()
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s.sock")
        writer.write(b"x" * 100_000 + b"\n")
        line = await reader.readline()
        writer.close()
        await control.close()
        return line

    assert b"more than 65536 bytes" in asyncio.run(put())


def test_the_status_line_counts_this_session_and_says_what_is_wrong(capsys):
    from ironcrab.app.living import status_line
    from ironcrab.mode.taking import Status

    status_line()(Status(first=20_000, records=20_010, is_up=True, is_gap=True))
    told = capsys.readouterr().err
    assert told.startswith("GAP slot")
    assert " 10 events/s" in told
