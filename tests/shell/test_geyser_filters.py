"""Filters with the semantics of the plugin: tri-state flags, and / or, names, slices, refusals."""

import pytest

from ironcrab.dex import base58
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell.geyser_demo import demo
from ironcrab.shell.geyser_filters import Filters, Refused, update_of

UPDATES = list(demo(1, 200, 3))
ACCOUNTS = [update for update in UPDATES if update.kind == "account"]
TRADES = [update for update in UPDATES if update.kind == "transaction"]


def said(filters, update):
    return [wire.SubscribeUpdate.FromString(message) for message in filters.said(update)]


def names(request, update):
    return [list(message.filters) for message in said(Filters(request), update)]


def account(**changes):
    update = wire.SubscribeUpdate()
    info = update.account.account
    info.pubkey, info.owner, info.lamports, info.data = bytes([1]) * 32, bytes([2]) * 32, 50, b"abcdefgh"
    update.account.slot = 9
    for field, value in changes.items():
        setattr(info, field, value)
    return update_of(update.SerializeToString())


def transaction(vote=False, failed=False, keys=(3, 4)):
    update = wire.SubscribeUpdate()
    info = update.transaction.transaction
    info.signature, info.is_vote = bytes([7]) * 64, vote
    info.transaction.message.account_keys.extend(bytes([key]) * 32 for key in keys)
    info.meta.loaded_readonly_addresses.append(bytes([99]) * 32)
    if failed:
        info.meta.err.err = b"\1"
    return update_of(update.SerializeToString())


def key(number):
    return base58.encode(bytes([number]) * 32)


def test_an_empty_request_says_nothing():
    filters = Filters(wire.SubscribeRequest())
    assert all(filters.said(update) == [] for update in UPDATES)


@pytest.mark.parametrize("flag", ["vote", "failed"])
@pytest.mark.parametrize(("wanted", "is_set", "passes"), [
    (None, False, True), (None, True, True), (False, False, True), (False, True, False), (True, True, True),
    (True, False, False),
])  # fmt: skip
def test_flags_have_three_states(flag, wanted, is_set, passes):
    request = wire.SubscribeRequest()
    request.transactions["t"].SetInParent()
    if wanted is not None:
        setattr(request.transactions["t"], flag, wanted)
    assert names(request, transaction(**{flag: is_set})) == ([["t"]] if passes else [])


def test_accounts_of_a_transaction():
    def passes(**lists):
        request = wire.SubscribeRequest()
        told = request.transactions["t"]
        for field, numbers in lists.items():
            getattr(told, f"account_{field}").extend(key(number) for number in numbers)
        return bool(names(request, transaction()))

    assert passes(include=[3, 50])
    assert passes(include=[99])  # loaded by a lookup table
    assert not passes(include=[50])
    assert passes(required=[3, 4])
    assert not passes(required=[3, 50])
    assert not passes(include=[3], exclude=[4])


def test_names_of_all_filters_that_match_stand_in_one_message():
    request = wire.SubscribeRequest()
    request.accounts["all"].SetInParent()
    request.accounts["mine"].account.append(key(1))
    request.accounts["others"].account.append(key(9))
    request.accounts["owned"].owner.append(key(2))
    assert names(request, account()) == [["all", "mine", "owned"]]


def test_a_transaction_and_its_status_are_two_messages():
    request = wire.SubscribeRequest()
    request.transactions["t"].SetInParent()
    request.transactions_status["s"].SetInParent()
    whole, status = said(Filters(request), transaction(failed=True))
    assert (whole.WhichOneof("update_oneof"), list(whole.filters)) == ("transaction", ["t"])
    assert (status.WhichOneof("update_oneof"), list(status.filters)) == ("transaction_status", ["s"])
    assert status.transaction_status.err.err == b"\1"


def test_state_of_accounts():
    def passes(change, **fields):
        request = wire.SubscribeRequest()
        change(request.accounts["a"].filters.add())
        return bool(names(request, account(**fields)))

    def memcmp(offset, data):
        def change(told):
            told.memcmp.offset, told.memcmp.bytes = offset, data

        return change

    def lamports(kind, value):
        return lambda told: setattr(told.lamports, kind, value)

    assert passes(memcmp(2, b"cd"))
    assert not passes(memcmp(2, b"ce"))
    assert not passes(memcmp(7, b"hi"))
    assert passes(lambda told: setattr(told.memcmp, "base64", "YWI="))
    assert passes(lambda told: setattr(told, "datasize", 8))
    assert not passes(lambda told: setattr(told, "datasize", 7))
    assert [passes(lamports(kind, 50)) for kind in ("eq", "ne", "lt", "gt")] == [True, False, False, False]
    assert passes(lamports("lt", 51))
    assert passes(lamports("gt", 49))
    assert not passes(lambda told: setattr(told, "token_account_state", True))
    vault = next(update for update in ACCOUNTS if len(update.message.account.account.data) == 165)
    request = wire.SubscribeRequest()
    request.accounts["a"].filters.add().token_account_state = True
    assert names(request, vault) == [["a"]]


def test_writes_with_and_without_a_transaction():
    request = wire.SubscribeRequest()
    request.accounts["a"].nonempty_txn_signature = True
    assert names(request, account()) == []
    assert names(request, account(txn_signature=b"\1" * 64)) == [["a"]]
    request.accounts["a"].nonempty_txn_signature = False
    assert names(request, account()) == [["a"]]


def test_slices_are_joined_and_those_beyond_the_end_dropped():
    request = wire.SubscribeRequest()
    request.accounts["a"].SetInParent()
    for offset, length in ((1, 2), (4, 1), (6, 9)):
        request.accounts_data_slice.add(offset=offset, length=length)
    filters = Filters(request)
    assert said(filters, account())[0].account.account.data == b"bce"
    assert account().message.account.account.data == b"abcdefgh"


def test_slots_between_and_by_commitment():
    def statuses(between, only, commitment=wire.PROCESSED):
        request = wire.SubscribeRequest(commitment=commitment)
        told = request.slots["s"]
        told.interslot_updates, told.filter_by_commitment = between, only
        filters = Filters(request)
        return {m.slot.status for u in UPDATES if u.kind == "slot" for m in said(filters, u)}

    whole = {wire.SLOT_PROCESSED, wire.SLOT_CONFIRMED}
    between = {wire.SLOT_FIRST_SHRED_RECEIVED, wire.SLOT_CREATED_BANK, wire.SLOT_COMPLETED}
    assert statuses(False, False) == whole
    assert statuses(True, False) == whole | between
    assert statuses(False, True) == {wire.SLOT_PROCESSED}
    assert statuses(True, True, wire.CONFIRMED) == {wire.SLOT_CONFIRMED} | between


def test_nothing_but_the_names_is_changed():
    request = wire.SubscribeRequest()
    request.transactions["t"].SetInParent()
    request.accounts["a"].SetInParent()
    request.slots["s"].interslot_updates = True
    request.blocks_meta["m"].SetInParent()
    filters = Filters(request)
    for update in UPDATES:
        (message,) = said(filters, update)
        message.ClearField("filters")
        assert message == update.message


def refuse(change):
    request = wire.SubscribeRequest()
    change(request)
    with pytest.raises(Refused) as refused:
        Filters(request)
    return str(refused.value)


@pytest.mark.parametrize(("change", "word"), [
    (lambda r: r.accounts["a"].account.append("xyz"), "invalid pubkey"),
    (lambda r: r.accounts["a"].owner.append("0" * 44), "invalid pubkey"),
    (lambda r: r.transactions["t"].account_include.append(""), "invalid pubkey"),
    (lambda r: setattr(r.transactions["t"], "signature", "abc"), "invalid signature"),
    (lambda r: r.blocks["b"].cuckoo_account_include.SetInParent(), "cuckoo"),
    (lambda r: [setattr(r.accounts["a"].filters.add(), "datasize", 8) for _ in "ab"], "more than once"),
    (lambda r: setattr(r.accounts["a"].filters.add().memcmp, "base64", "="), "base64"),
    (lambda r: r.accounts["a"].cuckoo_accounts_filter.SetInParent(), "cuckoo"),
    (lambda r: r.transactions["t"].cuckoo_account_include.SetInParent(), "cuckoo"),
    (lambda r: [r.accounts["a"].filters.add(datasize=1) for _ in range(5)], "Too many"),
    (lambda r: r.accounts["a"].filters.add(), "should be defined"),
    (lambda r: r.accounts["a"].filters.add().lamports.SetInParent(), "Lamports"),
    (lambda r: setattr(r.accounts["a"].filters.add().memcmp, "bytes", b"x" * 129), "longer than"),
    (lambda r: r.accounts["a"].filters.add().memcmp.SetInParent(), "should be defined"),
    (lambda r: setattr(r.accounts["a"].filters.add(), "token_account_state", False), "true"),
    (lambda r: r.slots["x" * 129].SetInParent(), "longer than"),
    (lambda r: [r.accounts_data_slice.add(offset=5, length=2), r.accounts_data_slice.add(offset=6, length=1)], "overlap"),
])  # fmt: skip
def test_refusals_say_why(change, word):
    told = refuse(change)
    assert told.startswith("failed to create filter: ")
    assert word in told


def test_owners_of_token_accounts_count_as_accounts_where_asked():
    update = transaction().message
    meta = update.transaction.transaction.meta
    for place, (before, after) in enumerate((("5", "5"), ("5", "6"), (None, "1"))):
        for amount, rows in ((before, meta.pre_token_balances), (after, meta.post_token_balances)):
            if amount is not None:
                row = rows.add(account_index=place, owner=key(40 + place))
                row.ui_token_amount.amount = amount
    told = update_of(update.SerializeToString())

    def passes(owner, flag):
        request = wire.SubscribeRequest()
        request.transactions["t"].account_include.append(key(owner))
        if flag is not None:
            request.transactions["t"].token_accounts = flag
        return bool(said(Filters(request), told))

    assert [passes(owner, None) for owner in (40, 41, 42)] == [False] * 3
    assert [passes(owner, wire.ALL) for owner in (40, 41, 42, 43)] == [True, True, True, False]
    assert [passes(owner, wire.BALANCE_CHANGED) for owner in (40, 41, 42)] == [False, True, True]


def test_a_block_is_its_parts():
    """Each filter is told its own block: transactions by default, of accounts the last write, of nobody else's keys."""
    slot = UPDATES[0].slot + 1
    parts = [update for update in UPDATES if update.slot == slot]
    trades = [update.message.transaction.transaction for update in parts if update.kind == "transaction"]
    writes = {update.message.account.account.pubkey: update for update in parts if update.kind == "account"}
    one = next(iter(writes))
    request = wire.SubscribeRequest()
    request.accounts_data_slice.add(offset=0, length=4)
    request.blocks["all"].SetInParent()
    request.blocks["bare"].include_transactions = False
    request.blocks["mine"].account_include.append(base58.encode(one))
    request.blocks["mine"].include_accounts = True
    told = {m.filters[0]: m.block for m in map(wire.SubscribeUpdate.FromString, Filters(request).blocks_of(parts))}
    meta = next(update.message.block_meta for update in parts if update.kind == "block_meta")
    assert {name: (block.slot, block.blockhash) for name, block in told.items()} == dict.fromkeys(
        ("all", "bare", "mine"), (slot, meta.blockhash)
    )
    assert list(told["all"].transactions) == trades
    assert not told["all"].accounts
    assert not told["bare"].transactions
    assert told["bare"].updated_account_count == len(writes)
    assert [info.pubkey for info in told["mine"].accounts] == [one]
    assert all(len(info.data) == 4 for info in told["mine"].accounts)
    assert 0 < len(told["mine"].transactions) < len(trades)
    assert Filters(request).blocks_of(part for part in parts if part.kind != "block_meta") == []
