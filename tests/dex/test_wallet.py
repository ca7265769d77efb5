"""Wallet instructions against executed ones, byte by byte and meta by meta."""

import pytest

from ironcrab.dex import wallet
from ironcrab.dex.address import ASSOCIATED_TOKEN, SYSTEM, TOKEN, TOKEN_2022, WSOL, associated
from ironcrab.dex.face import Instruction
from ironcrab.dex.wallet import Around

OTHER = "2nuTM6iHe3Kh59xu9rCKiZDf8PyZ1t9troAyfthXqEp6"


def executed(row):
    return [
        (i["program_id"], i["data"], [(key, bool(s), bool(w)) for key, s, w in i["accounts"]])
        for i in row["instructions"]
    ]


def built(*instructions):
    return [(i.program, i.data.hex(), [(m.pubkey, m.signer, m.writable) for m in i.metas]) for i in instructions]


def same(entry):
    """The executed instruction built anew from its own accounts, or None when wallet builds no such one."""
    program, data, metas = entry
    keys = [key for key, _, _ in metas]
    if program == ASSOCIATED_TOKEN and data == "01":
        return wallet.create_account(keys[0], keys[2], keys[3], keys[5])
    if program == TOKEN and data[:2] == "2d" and keys[0] == associated(keys[2], WSOL, TOKEN):
        lamports = None if data == "2d00" else int.from_bytes(bytes.fromhex(data[4:]), "little")
        return wallet.unwrap(keys[2], lamports)
    if program in (TOKEN, TOKEN_2022) and data == "09" and keys[1] == keys[2]:
        return wallet.close_account(keys[0], keys[2], program)
    if program == SYSTEM and data[:8] == "02000000" and keys[1] == associated(keys[0], WSOL, TOKEN):
        return wallet.wrap(keys[0], int.from_bytes(bytes.fromhex(data[8:]), "little"))[0]
    return None


def test_instructions_of_the_vectors(vectors, truth_table):
    rows = equal = 0
    for row in vectors("token_programs"):
        if not row["ok"]:
            continue
        for entry in executed(row):
            ours = same(entry)
            if ours is None:
                continue
            rows += 1
            equal += built(ours) == [entry]
            assert built(ours) == [entry], row["id"]
    truth_table.add("wallet", "token_programs (instructions)", rows, equal)
    assert rows == equal > 40


def test_a_whole_wrap_and_unwrap_of_the_vectors(vectors):
    """Create, transfer, sync, close in one transaction."""
    row = next(row for row in vectors("token_programs") if row["id"] == "wsol/029")
    owner = executed(row)[1][2][0][0]
    lamports = int.from_bytes(bytes.fromhex(executed(row)[1][1][8:]), "little")
    account = associated(owner, WSOL, TOKEN)
    assert executed(row) == built(
        wallet.create_account(owner, owner, WSOL, TOKEN),
        *wallet.wrap(owner, lamports),
        wallet.close_account(account, owner, TOKEN),
    )


def test_compute_budget_bytes():
    limit, price = wallet.compute_budget(200_000, 1_234_567)
    assert (limit.data.hex(), price.data.hex()) == ("02400d0300", "0387d6120000000000")
    assert limit.metas == price.metas == ()


SWAP = (Instruction(OTHER, (), b"swap"),)


@pytest.mark.parametrize(
    ("told", "kinds", "units"),
    [
        (Around(), ["swap"], 300),
        (Around(((OTHER, TOKEN),)), ["01", "swap"], 30_300),
        (Around(((OTHER, TOKEN),), closes=True), ["01", "swap", "09"], 40_300),
        (
            Around(((OTHER, TOKEN_2022), (WSOL, TOKEN)), wraps=5, closes=True),
            ["01", "01", "0200000005", "11", "swap", "09"],
            80_300,
        ),
        (Around(((OTHER, TOKEN),), unwraps=5), ["01", "2d01050000", "swap"], 40_300),
    ],
)
@pytest.mark.parametrize("tip", [None, (OTHER, 7)])
def test_around(told, kinds, units, tip):
    whole = wallet.around(SWAP, told, user=OTHER, units=99, price=7, tip=tip)
    assert whole[:2] == wallet.compute_budget(99, 7)
    found = ["swap" if i.data == b"swap" else i.data.hex()[:10] for i in whole[2:]]
    assert found == kinds + ([] if tip is None else ["0200000007"])
    assert told.units == units
    if told.makes:
        assert whole[2].metas[1].pubkey == associated(OTHER, *told.makes[0])


def test_burning_and_harvesting():
    """BurnChecked: 15, amount u64, decimals u8. HarvestWithheldTokensToMint: 26, 4, signed by nobody."""
    account = associated(OTHER, WSOL, TOKEN_2022)
    assert built(
        wallet.burn_checked(account, WSOL, OTHER, TOKEN_2022, 258, 6), wallet.harvest(account, WSOL, TOKEN_2022)
    ) == [
        (TOKEN_2022, "0f020100000000000006", [(account, False, True), (WSOL, False, True), (OTHER, True, False)]),
        (TOKEN_2022, "1a04", [(WSOL, False, True), (account, False, True)]),
    ]
