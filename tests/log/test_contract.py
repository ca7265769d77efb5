"""The wire contract both ways, on real lines of the original and on every event type."""

import contextlib
import json
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain import market
from ironcrab.domain.control import ConfigUpdate, ControlRequest, ControlResponse, RunStarted
from ironcrab.domain.event import EVENTS
from ironcrab.domain.fault import InputFault
from ironcrab.domain.trade import (
    DecisionRecord,
    ExecutionResult,
    Pnl,
    ResultFees,
    SwapHop,
    TradeIntent,
    Verdict,
)
from ironcrab.domain.units import SOL_MINT
from ironcrab.log.contract import Exporter, Header, canonical, export_line, import_line
from ironcrab.log.wire import KINDS, OTHERS, fields_of
from ironcrab.loop import Record

SHARED = Path(os.environ.get("IRONCRAB_SHARED", Path(__file__).parents[2] / ".." / "shared")).resolve()
SAMPLES = SHARED / "data" / "ironcrab_samples"
HEADER = Header(1, 1_768_698_243_062, "market-data", "0.4.0", "3016e6fe-6bba-42b6-8b34-b1a35a03a2af")
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="skipped: shared inputs are not beside the checkout")


def lines(name):
    return (SAMPLES / name).read_bytes().splitlines(keepends=True)


@needs_samples
def test_real_intents_come_back_byte_for_byte():
    for line in lines("latest_intents.jsonl"):
        header, intent = import_line(line)
        assert export_line(header, intent) == line
        assert intent.intent_id == json.loads(line)["intent_id"]


@needs_samples
def test_real_decisions_come_back():
    read = refused = 0
    for line in lines("decisions_sample.jsonl"):
        told = json.loads(line)
        if "outcome" not in told:
            refused += 1
            with pytest.raises(InputFault, match="outcome"):
                import_line(line)
            continue
        header, decision = import_line(line)
        read += 1
        told.get("simulate", {}).pop("_abridged", None)
        assert json.loads(export_line(header, decision)) == told
        assert header.component == "execution-engine"
    assert (read, refused) == (7, 1)


def full(kind):
    """An event with every field set, of the declared types."""
    told = {}
    for row in fields_of(kind):
        field = next(one for one in msgspec.structs.fields(kind) if one.name == row.name)
        told[row.name] = sample(field.type, row)
    return kind(**told)


def sample(kind, row):
    if row.form != "plain":
        return "12.5"
    if row.words:
        return row.words[0]
    if row.inner is not None:
        inner = full(row.inner)
        return (inner,) if "tuple" in str(kind) else inner
    text = str(kind)
    if "dict" in text:
        return {"key": "7" if row.name == "config" else "value"}
    if "tuple" in text:
        return ("one", "two")
    if "bool" in text:
        return True
    return 7 if "int" in text else "word"


@pytest.mark.parametrize(
    "kind", [kind for kind in EVENTS if kind.__name__ in KINDS or kind in OTHERS], ids=lambda kind: kind.__name__
)
def test_every_message_survives_the_round_trip(kind):
    for event in (full(kind), least(kind)):
        line = export_line(HEADER, event, {})
        header, back = import_line(line, kind.__name__)
        assert header == HEADER
        assert wire(back) == wire(event)
        if kind is not ControlResponse:
            assert export_line(*import_line(line)) == line, "the fields tell the message"


def least(kind):
    """An event with required fields only, but for the id that every line bears."""
    required = {row.name for row in fields_of(kind) if row.required}
    event = full(kind)
    ids = {"event_id", "intent_id", "decision_id", "execution_id"} & {row.name for row in fields_of(kind)}
    return kind(**{name: getattr(event, name) for name in required | ids})


def wire(event):
    """The fields that stand on the wire."""
    omit = {row.name for row in fields_of(type(event)) if row.rule == "omit"}
    return {key: value for key, value in msgspec.structs.asdict(event).items() if key not in omit}


def test_what_is_ours_has_no_line():
    assert export_line(HEADER, Verdict("m", "M", "P", "wait", "C", "Early")) is None
    assert export_line(HEADER, market.AccountWritten("K", "O", 1, b"")) is None


def test_a_market_event_is_flat_with_its_tag_in_place():
    event = market.Trade("P", "M", "T", True, 5, 6, 6, "orca", slot=9, index=3, lp_fee=1)
    told = json.loads(export_line(HEADER, event, {"event_id": "9-s-0"}))
    assert list(told) == [
        "schema_version", "ts_unix_ms", "component", "build", "run_id", "event_id", "source", "slot", "kind",
        "pool_address", "mint", "trader", "is_buy", "sol_amount", "token_amount", "token_decimals", "dex", "quote_mint", "signature",
    ]  # fmt: skip
    assert told["kind"] == "Trade"
    assert told["signature"] is None, "null stands where the contract says so"


def test_decimals_are_strings_and_floats_numbers():
    created = market.PoolCreated("P", "B", "Q", "orca", "0.05")
    assert b'"initial_liquidity_sol":"0.05"' in export_line(HEADER, created)
    dev = market.DevWalletIdentified("M", "W", "12")
    assert b'"supply_percentage":12.0' in export_line(HEADER, dev)
    assert import_line(export_line(HEADER, dev, {"event_id": "e"}))[1].supply_percentage == "12"


def intent_line(**changes):
    told = {
        "schema_version": 1, "ts_unix_ms": 5, "component": "c", "build": "b", "run_id": "r", "intent_id": "i", "source": "s",
        "tier": "Tier1", "origin_type": "StrategyA", "required_capital": {"raw": 50_000_000, "decimals": 9, "ui": 0.05},
        "resources": {"input_mint": SOL_MINT, "output_mint": "M", "pools": ["P"], "accounts": []},
        "expected_roi_bps": 100, "max_slippage_bps": 200, "side": "Buy", "regime": "Early", "urgency": 5,
    }  # fmt: skip
    return json.dumps({**told, **changes}).encode()


def test_both_decimal_forms_and_all_spellings_are_read():
    _, intent = import_line(intent_line(tier="tier1", origin_type="strategy_a", side="BUY", regime="not_applicable"))
    assert (intent.required_capital.ui, intent.tier, intent.origin_type) == ("0.05", "Tier1", "StrategyA")
    assert (intent.side, intent.regime) == ("Buy", "NotApplicable")
    _, same = import_line(intent_line(required_capital={"raw": 50_000_000, "decimals": 9, "ui": "0.050"}))
    assert same.required_capital == intent.required_capital
    _, told = import_line(intent_line(metadata={"dex": "PumpFunAmm", "slot": 7, "pnl": 1.50}, execution=None))
    assert told.metadata == {"dex": "pump_amm", "slot": "7", "pnl": "1.5"}


def test_both_status_spellings_are_read_and_lower_is_written():
    for spelled in ("Confirmed", "confirmed", "CONFIRMED"):
        line = json.dumps(
            {
                "ts_unix_ms": 1,
                "schema_version": 1,
                "execution_id": "e",
                "decision_id": "d",
                "intent_id": "i",
                "source": "s",
                "status": spelled,
                "fill_status": "Complete",
                "fill_unavailable_reason": "RpcTxFetchFailed",
            }
        )
        header, result = import_line(line)
        assert (result.status, result.fill_status, result.fill_unavailable_reason) == (
            "confirmed",
            "complete",
            "rpc_tx_fetch_failed",
        )
        assert b'"status":"confirmed"' in export_line(header, result)


def test_amounts_beyond_a_float_stay_exact():
    line = json.dumps(
        {
            "ts_unix_ms": 1,
            "schema_version": 1,
            "execution_id": "e",
            "intent_id": "i",
            "source": "s",
            "status": "failed",
            "wallet_sol_delta_lamports": -(2**100),
        }
    )
    assert import_line(line)[1].wallet_sol_delta_lamports == -(2**100)
    assert (
        import_line(intent_line(required_capital={"raw": 2**64 - 1, "decimals": 9}))[1].required_capital.raw
        == 2**64 - 1
    )


def test_control_messages():
    request = ControlRequest("r", "execution-engine", "kill_switch", active=True, reason="x", liquidate_positions=False)
    told = json.loads(export_line(HEADER, request))
    assert (told["kind"], told["active"], told["liquidate_positions"]) == ("kill_switch", True, False)
    assert "max_slippage_bps" not in told
    line = json.dumps({**json.loads(export_line(HEADER, request)), "kind": "KillSwitch", "future": 1})
    assert import_line(line)[1] == request
    response = json.dumps(
        {"schema_version": 1, "ts_unix_ms": 1, "request_id": "r", "target": "market-data", "status": "NotFound"}
    )
    assert import_line(response)[1] == ControlResponse("r", "market-data", "not_found")
    update = json.dumps(
        {
            "schema_version": 1,
            "ts_unix_ms": 1,
            "command": "config_update",
            "target_component": "e",
            "config": {"a": 1, "b": True, "c": 0.5, "d": "x", "e": [1.5]},
        }
    )
    header, event = import_line(update)
    assert event == ConfigUpdate("e", {"a": "1", "b": "true", "c": "0.5", "d": "x", "e": "[1.5]"})
    assert json.loads(export_line(header, event))["config"] == {"a": 1, "b": True, "c": 0.5, "d": "x", "e": [1.5]}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.sampled_from(["null", "{}", '"x"', "[1]", "", "5 ", "0x5", "tru"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=5,
    )
)  # fmt: skip
@settings(derandomize=True, deadline=None)
def test_any_config_value_comes_out_as_it_came(value):
    head = {"schema_version": 1, "ts_unix_ms": 1, "command": "config_update", "target_component": "e"}
    header, event = import_line(json.dumps({**head, "config": {"key": value}}))
    out = json.loads(export_line(header, event))["config"]
    plain = isinstance(value, str) and value.isascii() and value.isdecimal() and str(int(value)) == value
    assert out == {"key": int(value) if plain else value}


BAD = {
    "no json": b"{",
    "no object": b"[1]",
    "unknown": b'{"ts_unix_ms":1,"schema_version":1,"kind":"NewThing"}',
    "no time": b'{"schema_version":1,"intent_id":"i"}',
    "newer": intent_line(schema_version=2),
    "missing": b'{"ts_unix_ms":1,"schema_version":1,"intent_id":"i"}',
    "wrong type": intent_line(expected_roi_bps="much"),
    "too wide": intent_line(max_slippage_bps=2**32),
    "negative": intent_line(required_capital={"raw": -1, "decimals": 9}),
    "bad word": intent_line(side="Hold"),
    "bad decimal": intent_line(required_capital={"raw": 1, "decimals": 9, "ui": "much"}),
    "fraction": intent_line(expected_roi_bps=1.5),
    "deep": b"[" * 5000,
    "not utf8": b'{"intent_id":"\xff"}',
}


@pytest.mark.parametrize("name", BAD)
def test_bad_lines_are_refused_in_one_sentence(name):
    with pytest.raises(InputFault) as caught:
        import_line(BAD[name])
    assert "\n" not in str(caught.value).strip()


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.data())
def test_any_bytes_are_an_event_or_an_input_fault(data):
    seed = data.draw(
        st.sampled_from(
            [intent_line(), export_line(HEADER, full(market.Trade)), export_line(HEADER, full(DecisionRecord))]
        )
    )
    at = data.draw(st.integers(0, len(seed) - 1))
    noise = data.draw(st.binary(max_size=6))
    with contextlib.suppress(InputFault):
        import_line(seed[:at] + noise + seed[at + data.draw(st.integers(0, 6)) :])


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=None, min_value=-(10**30), max_value=10**30))
def test_canonical_is_exact_and_one_form(number):
    text = canonical(str(number))
    assert type(number)(text) == number
    assert canonical(text) == text
    assert "e" not in text.lower()
    assert not ("." in text and text.endswith(("0", ".")))


@pytest.mark.parametrize(
    ("spelled", "form"),
    [
        ("1e-7", "0.0000001"),
        ("0.0500", "0.05"),
        ("-0.0", "0"),
        ("12E3", "12000"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1.5e1", "15"),
        ("+7", "7"),
        ("00.10", "0.1"),
    ],
)
def test_canonical(spelled, form):
    assert canonical(spelled) == form


@pytest.mark.parametrize("spelled", ["", ".", "e5", "1e9999", "NaN", "0x1", "1_0", "\uff11"])
def test_no_decimal(spelled):
    with pytest.raises(InputFault):
        canonical(spelled)


def test_an_exporter_puts_headers_and_ids_back():
    run = RunStarted(0, "s", "0.1.0", "ironcrab", (), (), ())
    trade = market.Trade("P", "M", "T", True, 5, 6, 6, "orca", signature="sig", slot=9, position=2)
    intent = msgspec.structs.replace(import_line(intent_line())[1], intent_id=None)
    decision = DecisionRecord("s", "StrategyA", "Early", (), "Confirmed", intent=2, decided_at=3)
    result = ExecutionResult("s", "confirmed", intent=2, fees=ResultFees(1, 2, 3), pnl=Pnl(4, 5))
    events = [
        (run, None, None),
        (trade, None, None),
        (intent, 1, "momentum-bot"),
        (result, 1, "execution-engine"),
        (decision, 1, "execution-engine"),
    ]
    records = [
        Record(seq, cause, by, 1_700_000_000_000_000_000 + seq * 1_000_000, event)
        for seq, (event, cause, by) in enumerate(events)
    ]
    exporter = Exporter("abcdef0123456789", [(0, run)], records.__getitem__, {(2, 0): 4})
    assert exporter.line(records[0]) is None
    lines = [json.loads(exporter.line(record)) for record in records[1:]]
    assert [one["component"] for one in lines] == [
        "market-data",
        "momentum-bot",
        "execution-engine",
        "execution-engine",
    ]
    assert {one["run_id"] for one in lines} == {"abcdef0123456789-0"}
    assert [one["ts_unix_ms"] for one in lines] == [
        1_700_000_000_001,
        1_700_000_000_002,
        1_700_000_000_003,
        1_700_000_000_004,
    ]
    assert lines[0]["event_id"] == lines[1]["trigger_event_id"] == "9-sig-2"
    assert lines[1]["intent_id"] == lines[2]["intent_id"] == lines[3]["intent_id"] == "int-abcdef01-2"
    assert lines[2]["decision_id"] == lines[3]["decision_id"] == "dec-abcdef01-4"
    assert lines[2]["execution_id"] == "exe-abcdef01-3"
    assert lines[2]["pnl"] == {"gross_lamports": 4, "net_lamports": 5, "decimals": 9}


def test_swap_paths_keep_their_zeros():
    _, intent = import_line(
        intent_line(
            swap_path=[
                {
                    "pool_address": "P",
                    "dex": "orca",
                    "input_mint": "A",
                    "output_mint": "B",
                    "expected_output": 0,
                    "pool_alternatives": [{"pool_address": "Q", "dex": "whirlpool"}],
                }
            ]
        )
    )
    hop = intent.swap_path[0]
    assert isinstance(hop, SwapHop)
    assert (hop.pool_alternatives[0].dex, hop.pool_alternatives[0].expected_output) == ("orca", 0)
    assert isinstance(intent, TradeIntent)
