"""The tree of calls: nesting, positions, logs, and what is refused."""

import pytest

from ironcrab.dex import base58
from ironcrab.dex.address import is_key
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.ingest.transaction import account_keys, calls, transaction_of

KEYS = [base58.encode(number.to_bytes(32, "big")) for number in range(1, 13)]


def read(update):
    return transaction_of(update.transaction.transaction, update.transaction.slot)


def test_inner_calls_hang_below_the_nearest_earlier_one_a_level_up(made):
    inner = {1: [(3, [1], b"a", 2), (4, [], b"b", 3), (5, [], b"c", 4), (4, [], b"d", 3), (6, [2], b"e", 2)]}
    found = read(made([(1, [], b"x"), (2, [0, 1], b"y")], inner))
    assert [call.data for call in found.calls] == [b"x", b"y"]
    first, second = found.calls[1].inner
    assert (first.data, first.depth, first.position) == (b"a", 2, 2)
    assert [call.data for call in first.inner] == [b"b", b"d"]
    assert first.inner[0].inner[0].data == b"c"
    assert (second.data, second.accounts) == (b"e", (KEYS[2],))
    assert [call.position for call in calls(found)] == list(range(7))
    assert [call.data for call in calls(found)] == [b"x", b"y", b"a", b"b", b"c", b"d", b"e"]
    assert found.signers == (KEYS[0],)
    assert found.lamports[KEYS[11]] == (5, 4)


def logs(*spoken):
    """Log lines from ("in", program, depth), ("out", program) and plain lines."""
    lines = []
    for word in spoken:
        if isinstance(word, str):
            lines.append(word)
        elif word[0] == "in":
            lines.append(f"Program {KEYS[word[1]]} invoke [{word[2]}]")
        else:
            lines += [f"Program {KEYS[word[1]]} consumed 5 of 9 compute units", f"Program {KEYS[word[1]]} success"]
    return lines


SPOKEN = (
    ("in", 2, 1),
    "Program data: AQI= Aw==",
    ("in", 3, 2),
    "Program log: ray_log: BAU=",
    "Program log: Program data: BAU=",
    ("out", 3),
    "Program data: Bg==",
    "Program data: not base64!",
    ("out", 2),
)


def test_a_payload_belongs_to_the_call_that_logged_it(made):
    outer, inner = [(2, [], b"y")], {0: [(3, [], b"a", 2)]}
    call = read(made(outer, inner, logs(*SPOKEN))).calls[0]
    assert call.logs == (b"\1\2", b"\3", b"\6")
    assert call.inner[0].logs == (b"\4\5",)


def test_calls_open_at_the_truncation_lose_their_payloads(made):
    outer, inner = [(2, [], b"y"), (4, [], b"z")], {0: [(3, [], b"a", 2)]}
    found = read(made(outer, inner, [*logs(*SPOKEN[:7]), "Log truncated"]))
    assert found.calls[0].logs == ()
    assert found.calls[0].inner[0].logs == (b"\4\5",)
    assert found.calls[1].logs == ()


def test_precompiles_leave_no_line(made):
    update = made([(1, [], b"p"), (2, [], b"y")], {}, logs(("in", 2, 1), "Program data: AQ==", ("out", 2)))
    update.transaction.transaction.transaction.message.account_keys[1] = base58.decode(
        "Ed25519SigVerify111111111111111111111111111"
    )
    assert read(update).calls[1].logs == (b"\1",)


def test_logs_of_another_story_are_left_aside(made):
    outer = [(2, [], b"y"), (3, [], b"z")]
    for lines in (
        logs(("in", 3, 1), "Program data: AQ==", ("out", 3)),
        logs(("in", 2, 2)),
        logs(("out", 2)),
        logs(("in", 2, 1), ("out", 2), ("in", 3, 1), ("out", 3), ("in", 3, 1), "Program data: AQ==", ("out", 3)),
    ):
        assert all(call.logs == () for call in calls(read(made(outer, {}, lines))))


def test_heights_that_are_not_told_are_read_from_the_log(made):
    outer, inner = [(2, [], b"y")], {0: [(3, [], b"a", 0), (4, [], b"b", 0)]}
    lines = logs(("in", 2, 1), ("in", 3, 2), ("in", 4, 3), ("out", 4), ("out", 3), ("out", 2))
    assert read(made(outer, inner, lines)).calls[0].inner[0].inner[0].data == b"b"
    assert read(made(outer, inner)) == "transaction_without_stack_heights"


@pytest.mark.parametrize(
    "inner",
    [
        {0: [(3, [], b"a", 3)]},
        {0: [(3, [], b"a", 2), (3, [], b"b", 4)]},
        {0: [(99, [], b"a", 2)]},
        {0: [(3, [99], b"a", 2)]},
        {5: [(3, [], b"a", 2)]},
        {0: [(3, [], b"a", height) for height in range(2, 30)]},
    ],
)
def test_impossible_trees_are_refused(made, inner):
    assert read(made([(2, [], b"y")], inner)) == "transaction_malformed"


def test_what_is_not_to_be_read_says_why(made):
    reasons = []
    for spoil in (
        lambda info: setattr(info, "is_vote", True),
        lambda info: info.ClearField("meta"),
        lambda info: info.meta.err.SetInParent(),
        lambda info: setattr(info.meta, "inner_instructions_none", True),
        lambda info: setattr(info, "signature", b"short"),
        lambda info: info.transaction.message.account_keys.append(b"short"),
        lambda info: info.meta.pre_balances.append(1),
        lambda info: setattr(info.transaction.message.header, "num_required_signatures", 0),
        lambda info: info.meta.post_token_balances.add(account_index=1, mint="no key"),
        lambda info: info.meta.post_token_balances.add(account_index=99, mint=KEYS[3]),
    ):
        update = made([(2, [], b"y")])
        spoil(update.transaction.transaction)
        reasons.append(read(update))
    assert reasons[:4] == [
        "transaction_vote",
        "transaction_without_meta",
        "transaction_failed",
        "transaction_without_inner_instructions",
    ]
    assert set(reasons[4:]) == {"transaction_malformed"}


@pytest.mark.parametrize("amount", ["", "-1", "1.5", "18446744073709551616", "٣", "9" * 40])
def test_an_amount_that_is_no_u64_is_refused(made, amount):
    update = made([(2, [], b"y")])
    row = update.transaction.transaction.meta.post_token_balances.add(account_index=1, mint=KEYS[3])
    row.ui_token_amount.amount = amount
    assert read(update) == "transaction_malformed"


def test_token_balances_tell_created_and_closed_accounts(made):
    update = made([(2, [], b"y")])
    meta = update.transaction.transaction.meta
    for rows, index, amount in ((meta.pre_token_balances, 1, "5"), (meta.post_token_balances, 2, "6")):
        row = rows.add(account_index=index, mint=KEYS[3], owner=KEYS[4], program_id=KEYS[5])
        row.ui_token_amount.amount, row.ui_token_amount.decimals = amount, 9
    found = read(update).balances
    assert (found[KEYS[1]].before, found[KEYS[1]].after) == (5, None)
    assert (found[KEYS[2]].before, found[KEYS[2]].after, found[KEYS[2]].decimals) == (None, 6, 9)


def test_loaded_addresses_follow_the_message_keys(made):
    update = made([(13, [12, 13], b"y")])
    meta = update.transaction.transaction.meta
    meta.loaded_writable_addresses.append(b"w" * 32)
    meta.loaded_readonly_addresses.append(b"r" * 32)
    for balances in (meta.pre_balances, meta.post_balances):
        balances.extend([0, 0])
    update.transaction.transaction.transaction.message.versioned = True
    update.transaction.transaction.transaction.message.config.compute_unit_limit = 1
    call = read(update).calls[0]
    assert call.program == base58.encode(b"r" * 32)
    assert call.accounts == (base58.encode(b"w" * 32), base58.encode(b"r" * 32))


def test_every_real_transaction_keeps_its_calls_and_logs(block, singles):
    """All instructions are in the tree once, in order; every log payload of a known line finds its call."""
    told = 0
    for frame in (*block, *singles):
        update = wire.SubscribeUpdate.FromString(frame)
        info = update.transaction.transaction
        if not info.signature or info.meta.HasField("err") or len(info.signature) != 64:
            continue
        found = read(update)
        assert not isinstance(found, str), found
        flat = list(calls(found))
        inner = sum(len(group.instructions) for group in info.meta.inner_instructions)
        assert len(flat) == len(info.transaction.message.instructions) + inner
        assert [call.position for call in flat] == list(range(len(flat)))
        assert all(is_key(call.program) for call in flat)
        assert len(account_keys(info)) == len(info.meta.pre_balances)
        if "Log truncated" not in list(info.meta.log_messages):
            lines = list(info.meta.log_messages)
            fields = sum(len(line.split(" ")) - 2 for line in lines if line.startswith("Program data: "))
            fields += sum(line.startswith("Program log: ray_log: ") for line in lines)
            assert sum(len(call.logs) for call in flat) == fields
            told += fields
    assert told > 100
