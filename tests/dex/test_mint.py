"""Mints, token accounts, extensions and transfer fees against executed token programs."""

import base64
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.dex import base58, mint
from ironcrab.dex.address import MEMO, SYSTEM, TOKEN, TOKEN_2022, WSOL
from ironcrab.dex.face import ABSENT, Account, Refusal

KEY = base58.encode(bytes(range(32)))


def account_of(entry):
    held = entry["account"]
    if held is None:
        return ABSENT
    return Account(held["owner"], held["lamports"], base64.b64decode(held["data"]))


def account_states(vectors):
    for row in vectors("token_programs"):
        for when in ("accounts_before", "accounts_after"):
            for role, entry in row[when].items():
                yield row, role, account_of(entry)


def test_every_account_of_the_vectors_decodes(vectors, truth_table):
    rows = equal = 0
    for row, role, account in account_states(vectors):
        if account.owner not in (TOKEN, TOKEN_2022):
            continue
        rows += 1
        decode = mint.decode_mint if role in ("mint", "native_mint") else mint.decode_token
        found = decode(account)
        assert not isinstance(found, Refusal), (row["id"], role, found)
        equal += not any(name.startswith("Unknown") for name in found.extensions)
    truth_table.add("mint", "token_programs (layouts)", rows, equal)
    assert equal == rows > 300


def test_amounts_of_the_vectors(vectors, truth_table):
    rows = equal = 0
    for row in vectors("token_programs"):
        for role, amounts in row.get("amounts", {}).items():
            for when in ("before", "after"):
                if role not in row[f"accounts_{when}"]:
                    continue
                account = account_of(row[f"accounts_{when}"][role])
                rows += 1
                equal += mint.balance(account) == amounts[f"amount_{when}"]
    truth_table.add("mint", "token_programs (amounts)", rows, equal)
    assert equal == rows > 300


def test_extension_names_and_sizes(vectors):
    rows = [row for row in vectors("token_programs") if "mint_extensions" in (row.get("result") or {})]
    assert len(rows) > 15
    for row in rows:
        names = tuple(row["result"]["mint_extensions"])
        found = mint.decode_mint(account_of(row["accounts_after"]["mint"]))
        # a confidential mint is created together with what the program demands beside it
        assert found.extensions == names or set(names) <= set(found.extensions), row["id"]
        made = mint.decode_token(account_of(row["accounts_after"]["account"]))
        assert made.extensions[0] == "ImmutableOwner"
        assert made.mint == row["accounts_after"]["mint"]["pubkey"]


def transfers(vectors):
    """Executed single transfers between two accounts: row, roles, amount, epoch."""
    for row in vectors("token_programs"):
        before, after = row["accounts_before"], row["accounts_after"]
        if not row["ok"] or not {"source", "destination", "mint"} <= set(before):
            continue
        if before["source"]["pubkey"] == before["destination"]["pubkey"]:
            continue
        moved = [i for i in row["instructions"] if i["data"][:2] in ("03", "0c") or i["data"][:4] == "1a01"]
        others = [i for i in row["instructions"] if i not in moved and i["program_id"] != MEMO]
        if others or len(moved) != 1 or moved[0]["accounts"][0][0] != before["source"]["pubkey"]:
            continue
        at = 4 if moved[0]["data"].startswith("1a01") else 2
        amount = int.from_bytes(bytes.fromhex(moved[0]["data"][at : at + 16]), "little")
        yield row, before, after, amount, row["clock"]["epoch"]


def test_transfers_of_the_vectors_byte_for_byte(vectors, truth_table):
    rows = equal = 0
    for row, before, after, amount, epoch in transfers(vectors):
        decoded = mint.decode_mint(account_of(before["mint"]))
        fee = mint.fee_on(decoded, amount, epoch)
        source, destination = account_of(before["source"]), account_of(before["destination"])
        if mint.decode_token(source).delegate is not None:
            continue  # the delegate's allowance shrinks too
        same = mint.moved(source, -amount) == account_of(after["source"])
        same &= mint.moved(destination, amount - fee, fee) == account_of(after["destination"])
        rows += 1
        equal += same
        assert same, row["id"]
    truth_table.add("mint", "token_programs (transfers)", rows, equal)
    assert equal == rows > 40


def test_refused_transfers_of_the_vectors(vectors):
    codes = set()
    for row in vectors("token_programs"):
        code = (row["err"] or {}).get("custom")
        if code in (37, 67) and "mint" in row["accounts_before"] and row["group"] == "extension":
            if row["instructions"][-1]["data"][:2] != "0c":
                continue
            found = mint.decode_mint(account_of(row["accounts_before"]["mint"]))
            codes.add(code)
            assert mint.transfer_refusal(found, KEY).code == code
    assert codes == {37, 67}


def test_metadata_in_the_mint(vectors):
    row = next(row for row in vectors("token_programs") if row["group"] == "metadata")
    found = mint.decode_mint(account_of(row["accounts_after"]["mint"]))
    assert found.metadata is not None
    assert found.metadata.mint == row["accounts_after"]["mint"]["pubkey"]
    assert found.metadata.name
    assert found.metadata.symbol
    assert found.metadata.uri


def tlv(*entries):
    return b"".join(struct.pack("<HH", number, len(value)) + value for number, value in entries)


def base_mint(supply=10, decimals=6, *, authority=bytes(36), freeze=bytes(36), initialised=1):
    return authority + struct.pack("<QBB", supply, decimals, initialised) + freeze


def mint_account(*entries, owner=TOKEN_2022, base=None):
    data = base or base_mint()
    if entries:
        data = data.ljust(165, b"\0") + b"\1" + tlv(*entries)
    return Account(owner, 1, data)


def fees(bps, maximum, *, epoch=0, older=(0, 0, 0)):
    return 1, bytes(64) + bytes(8) + struct.pack("<QQH", *older) + struct.pack("<QQH", epoch, maximum, bps)


def fee_mint(bps, maximum, **more):
    return mint.decode_mint(mint_account(fees(bps, maximum, **more)))


def test_fields_of_a_mint():
    key = bytes(range(32))
    some = b"\1\0\0\0" + key
    found = mint.decode_mint(mint_account(base=base_mint(7, 9, authority=some), owner=TOKEN))
    assert (found.mint_authority, found.freeze_authority, found.supply, found.decimals) == (KEY, None, 7, 9)
    found = mint.decode_mint(
        mint_account((3, key), (6, b"\2"), (12, key), (14, bytes(32) + key), (26, key + b"\1"), (99, b"?"))
    )
    assert found.extensions == (
        "MintCloseAuthority",
        "DefaultAccountState",
        "PermanentDelegate",
        "TransferHook",
        "Pausable",
        "Unknown99",
    )
    assert found.close_authority == found.permanent_delegate == found.transfer_hook == KEY
    assert found.pause_authority == KEY
    assert found.paused
    assert found.born_frozen
    assert mint.decode_mint(mint_account((14, bytes(64)))).transfer_hook is None


@pytest.mark.parametrize(
    ("account", "word"),
    [
        (ABSENT, "no token program"),
        (Account(TOKEN, 0, bytes(81)), "81 bytes"),
        (Account(TOKEN, 0, bytes(200)), "200 bytes, wanted 82"),
        (Account(TOKEN_2022, 0, bytes(165)), "extended"),
        (Account(TOKEN_2022, 0, bytes(355)), "355 bytes"),
        (Account(TOKEN_2022, 0, bytes(200)), "account type 0"),
        (mint_account(base=base_mint(initialised=0)), "byte 45 is 0"),
        (mint_account((1, bytes(107))), "TransferFeeConfig"),
        (mint_account(fees(10_001, 5)), "10000 bps"),
        (Account(TOKEN_2022, 0, base_mint().ljust(165, b"\0") + b"\1\1\0"), "runs beyond"),
        (Account(TOKEN_2022, 0, base_mint().ljust(165, b"\0") + b"\1\1\0\x6c\0"), "runs beyond"),
    ],
)
def test_what_is_no_mint(account, word):
    found = mint.decode_mint(account)
    assert isinstance(found, Refusal)
    assert word in found.reason


def token_account(amount=5, *, state=1, native=None, entries=(), owner=TOKEN):
    tag = bytes(12) if native is None else struct.pack("<IQ", 1, native)
    data = bytes(range(32)) + bytes(range(32)) + struct.pack("<Q", amount) + bytes(36)
    data += bytes((state,)) + tag + bytes(8) + bytes(36)
    if entries:
        data += b"\2" + tlv(*entries)
    return Account(owner, 100, data)


def test_fields_of_a_token_account():
    found = mint.decode_token(token_account(9, state=2, entries=((2, struct.pack("<Q", 4)),), owner=TOKEN_2022))
    assert (found.mint, found.owner, found.amount, found.frozen, found.withheld) == (KEY, KEY, 9, True, 4)
    assert found.delegate is found.reserve is found.close_authority is None
    assert mint.decode_token(token_account(native=77)).reserve == 77


@pytest.mark.parametrize(
    ("account", "word"),
    [
        (ABSENT, "no token program"),
        (token_account(state=0), "state 0"),
        (token_account(state=3), "state 3"),
        (token_account(entries=((2, b""),), owner=TOKEN_2022), "TransferFeeAmount"),
        (mint_account(), "82 bytes"),
    ],
)
def test_what_is_no_token_account(account, word):
    found = mint.decode_token(account)
    assert isinstance(found, Refusal)
    assert word in found.reason
    assert mint.balance(account) is None or "Fee" in word


def test_moved_amounts():
    plain = token_account(5)
    assert mint.balance(mint.with_amount(plain, 8)) == 8
    assert mint.with_amount(plain, 8).lamports == 100
    native = mint.moved(token_account(5, native=50), 3)
    assert (mint.balance(native), native.lamports) == (8, 103)
    fee = token_account(5, entries=((7, b""), (2, struct.pack("<Q", 4))), owner=TOKEN_2022)
    assert mint.decode_token(mint.moved(fee, 3, 2)).withheld == 6


def test_transfer_refusals():
    plain = mint.decode_mint(mint_account())
    assert mint.transfer_refusal(plain, WSOL) is None
    hooked = mint.decode_mint(mint_account((14, bytes(32) + bytes(range(32)))))
    assert KEY in mint.transfer_refusal(hooked, WSOL).reason
    unknown = mint.decode_mint(mint_account((500, b"x")))
    assert "Unknown500" in mint.transfer_refusal(unknown, WSOL).reason
    assert mint.transfer_refusal(mint.decode_mint(mint_account((9, b""))), WSOL).code == 37


def test_fee_by_epoch():
    found = fee_mint(200, 10**9, epoch=12, older=(10, 10**9, 100))
    assert [mint.fee_on(found, 10_000, epoch) for epoch in (0, 11, 12, 13)] == [100, 100, 200, 200]
    assert mint.fee_on(found, 1, 12) == 1
    assert mint.fee_on(found, 0, 12) == 0
    assert mint.fee_on(mint.decode_mint(mint_account()), 10_000, 12) == 0
    assert mint.schedule(mint.decode_mint(mint_account()), 0) is None


@given(st.integers(0, 2**64 - 1), st.integers(0, 10_000), st.integers(0, 2**64 - 1))
@settings(max_examples=500, derandomize=True, deadline=None)
def test_inverse_fee_delivers(net, bps, maximum):
    found = fee_mint(bps, maximum)
    gross = mint.amount_before_fee(found, net, 0)
    fee = mint.fee_on(found, gross, 0)
    assert fee <= maximum
    if bps < 10_000:
        assert gross - fee >= net
        assert gross == net or gross - 1 - mint.fee_on(found, gross - 1, 0) < net
    assert mint.amount_before_fee(found, 0, 0) == 0


def test_inverse_fee_at_the_ends():
    assert mint.amount_before_fee(fee_mint(10_000, 7), 5, 0) == 12
    assert mint.amount_before_fee(fee_mint(1_000, 10**9), 9, 0) == 10
    assert mint.amount_before_fee(fee_mint(1_000, 0), 9, 0) == 9


@pytest.mark.parametrize("cut", [0, 63, 64, 67, 68, 72, 80])
def test_metadata_cut_short_has_no_value(cut):
    text = b"\3\0\0\0abc"
    whole = bytes(range(32)) + bytes(range(32)) + text * 3
    assert mint.decode_mint(mint_account((19, whole))).metadata.symbol == "abc"
    assert mint.decode_mint(mint_account((19, whole[:cut]))).metadata is None


OWNERS = st.sampled_from([TOKEN, TOKEN_2022, SYSTEM])


@given(st.binary(max_size=500), OWNERS)
@settings(max_examples=500, derandomize=True, deadline=None)
def test_random_bytes_never_raise(data, owner):
    account = Account(owner, 0, data)
    for decode in (mint.decode_mint, mint.decode_token, mint.balance):
        decode(account)


@given(st.data())
@settings(max_examples=2000, derandomize=True, deadline=None)
def test_mutated_accounts_never_raise(data):
    real = mint_account(fees(100, 5), (14, bytes(64)), (19, bytes(64) + b"\1\0\0\0a" * 3), (26, bytes(33)))
    if data.draw(st.booleans()):
        real = token_account(entries=((7, b""), (2, bytes(8))), owner=TOKEN_2022)
    raw = bytearray(real.data)
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), max_size=6)):
        raw[at] = value
    account = Account(
        TOKEN_2022, 1, bytes(raw[: data.draw(st.integers(0, len(raw)))] + data.draw(st.binary(max_size=9)))
    )
    for decode in (mint.decode_mint, mint.decode_token):
        found = decode(account)
        if isinstance(found, mint.TokenAccount):
            mint.moved(account, -found.amount)
        if isinstance(found, mint.Mint):
            mint.transfer_refusal(found, KEY)
            mint.fee_on(found, 2**64 - 1, 3)
            mint.amount_before_fee(found, 2**64 - 1, 3)
