"""Fills from balance changes: exact where told, silent with a reason where not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.units import NATIVE_SOL, SOL_MINT
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell import fills as module
from ironcrab.shell.fills import Landed, TokenRow, fills, landed_of_feed, received, result_fees
from tests.shell.stage import MINT, OTHER, plan

ME, ATA, WRAPPED, VAULT, NEW = "me", "ata", "wrapped", "vault", "new"
FEE, RENT = 5000, 2_039_280


def swap(side="Buy", tip=0):
    told = plan("transfer", 1, tip=tip)
    mints = (SOL_MINT, MINT) if side == "Buy" else (MINT, SOL_MINT)
    from msgspec.structs import replace

    return replace(told, side=side, input_mint=mints[0], output_mint=mints[1])


def landed(before, after, tokens_before=(), tokens_after=(), err=None):
    """`before` and `after`: lamports by key; tokens: (key, mint, owner, raw)."""
    keys = tuple(before)

    def rows(told):
        return tuple(TokenRow(keys.index(key), mint, owner, 6, raw) for key, mint, owner, raw in told)

    lamports = tuple(before.values()), tuple(after[key] for key in keys)
    return Landed("s", 9, err, FEE, 100, keys, *lamports, rows(tokens_before), rows(tokens_after))


def test_a_buy_that_wraps_swaps_and_closes_in_one_transaction():
    seen = landed(
        {ME: 10**9, ATA: 0, WRAPPED: 0, VAULT: 50},
        {ME: 10**9 - FEE - RENT - 700, ATA: RENT, WRAPPED: 0, VAULT: 750},
        (),
        [(ATA, MINT, ME, 33)],
    )
    told = fills(seen, swap(), ME)
    assert (told.fill_in.raw, told.fill_out.raw, told.fill_out.decimals) == (700, 33, 6)
    assert told.sol_delta == -FEE - RENT - 700


def test_a_sell_into_a_wrapped_account_that_stays():
    seen = landed(
        {ME: 10**9, ATA: RENT, WRAPPED: RENT + 10, VAULT: 5000},
        {ME: 10**9 - FEE - 300, ATA: RENT, WRAPPED: RENT + 910, VAULT: 4100},
        [(ATA, MINT, ME, 33), (WRAPPED, SOL_MINT, ME, 10)],
        [(ATA, MINT, ME, 3), (WRAPPED, SOL_MINT, ME, 910)],
    )
    told = fills(seen, swap("Sell", tip=300), ME)
    assert (told.fill_in.raw, told.fill_out.raw, told.reason) == (30, 900, None)
    assert received(seen, swap("Sell", tip=300), ME) == 900
    assert result_fees(seen, swap("Sell", tip=300)).tip_lamports == 300


def test_the_rent_of_somebody_s_new_account_makes_a_native_fill_unknown():
    told = fills(
        landed(
            {ME: 10**9, ATA: RENT, NEW: 0},
            {ME: 10**9 - FEE - 1_000_000 + 900, ATA: RENT, NEW: 1_000_000},
            [(ATA, MINT, ME, 33)],
            [(ATA, MINT, ME, 3)],
        ),
        swap("Sell"),
        ME,
    )
    assert (told.fill_in.raw, told.fill_out, told.reason) == (30, None, module.NOISE)


def test_the_rent_that_another_paid_leaves_the_wrapped_fill_known():
    seen = landed(
        {ME: 10**9, WRAPPED: RENT, NEW: 0},
        {ME: 10**9 - FEE, WRAPPED: RENT + 900, NEW: 77},
        [(WRAPPED, SOL_MINT, ME, 0)],
        [(WRAPPED, SOL_MINT, ME, 900)],
    )
    assert fills(seen, swap("Sell"), ME).fill_out.raw == 900


def test_a_failed_transaction_s_tip_was_not_paid():
    seen = landed({ME: 10**9}, {ME: 10**9 - FEE}, err="x")
    assert result_fees(seen, swap(tip=300)).tip_lamports == 0
    assert fills(seen, swap(tip=300), ME).sol_delta == -FEE


def test_a_wallet_that_is_not_in_the_list_and_tokens_that_are_not_named():
    assert fills(landed({OTHER: 1}, {OTHER: 1}), swap(), ME).reason == module.WALLET_MISSING
    assert received(landed({OTHER: 1}, {OTHER: 1}), swap(), ME) is None
    told = fills(landed({ME: 10}, {ME: 10 - FEE}), swap(), ME)
    assert (told.fill_in, told.fill_out, told.reason) == (None, None, module.DELTA_MISSING)
    assert received(landed({ME: 10}, {ME: 10 - FEE}), swap(), ME) is None


def test_the_mints_of_two_accounts_are_summed():
    seen = landed(
        {ME: 10**9, ATA: RENT, NEW: RENT},
        {ME: 10**9 - FEE - 8, ATA: RENT, NEW: RENT},
        [(ATA, MINT, ME, 1), (NEW, MINT, ME, 5)],
        [(ATA, MINT, ME, 4), (NEW, MINT, ME, 9)],
    )
    assert fills(seen, swap(), ME).fill_out.raw == 7


def test_wrapping_names_native_sol_apart():
    from msgspec.structs import replace

    seen = landed(
        {ME: 10**9, WRAPPED: 0}, {ME: 10**9 - FEE - RENT - 50, WRAPPED: RENT + 50}, (), [(WRAPPED, SOL_MINT, ME, 50)]
    )
    told = fills(seen, replace(swap(), input_mint=NATIVE_SOL, output_mint=SOL_MINT), ME)
    assert (told.fill_in.raw, told.fill_out.raw) == (50 + RENT, 50)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.integers(0, 10**12),
    st.integers(1, 10**12),
    st.integers(1, 10**12),
    st.booleans(),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_sol_is_neither_made_nor_lost_by_wrapping(start, paid, got, kept, fresh, tip):
    """However much is wrapped before and left wrapped afterwards, the fill is what the vault received."""
    wallet = start + paid + FEE + tip + 2 * RENT
    wrapped_before = 0 if fresh else RENT + start
    wrapped_after = (wrapped_before or RENT) + start if kept else 0
    spent = paid + FEE + tip
    after = wallet + wrapped_before - wrapped_after - spent
    seen = landed(
        {ME: wallet, ATA: RENT, WRAPPED: wrapped_before, VAULT: 10},
        {ME: after, ATA: RENT, WRAPPED: wrapped_after, VAULT: 10 + paid},
        [(ATA, MINT, ME, 0), *([] if fresh else [(WRAPPED, SOL_MINT, ME, start)])],
        [(ATA, MINT, ME, got), *([(WRAPPED, SOL_MINT, ME, start)] if kept else [])],
    )
    told = fills(seen, swap(tip=tip), ME)
    assert told.fill_out.raw == got
    if fresh and not kept:
        # an account that is opened and closed again names no owner: it is somebody's, but nothing was left in it
        assert told.fill_in.raw == paid
    else:
        assert told.fill_in.raw == paid


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_no_frame_breaks_the_view(data):
    info = wire.SubscribeUpdateTransactionInfo(signature=data.draw(st.binary(max_size=70)))
    info.transaction.message.account_keys.extend(data.draw(st.lists(st.binary(max_size=33), max_size=4)))
    if data.draw(st.booleans()):
        info.meta.fee = 5
        info.meta.pre_balances.extend(data.draw(st.lists(st.integers(0, 2**64 - 1), max_size=4)))
        info.meta.post_balances.extend(data.draw(st.lists(st.integers(0, 2**64 - 1), max_size=4)))
        row = info.meta.post_token_balances.add(account_index=data.draw(st.integers(0, 5)), mint="m", owner="o")
        row.ui_token_amount.amount = data.draw(st.one_of(st.text(max_size=25), st.integers(0, 2**70).map(str)))
        if data.draw(st.booleans()):
            info.meta.err.err = data.draw(st.binary(max_size=20))
    told = landed_of_feed(info, 5)
    if isinstance(told, Landed):
        assert len(told.keys) == len(told.lamports_before) == len(told.lamports_after)
    else:
        assert told == module.META_MISSING


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("08000000031900000071170000", '{"InstructionError":[3,{"Custom":6001}]}'),
        ("080000000219000000", "InstructionError 2 variant 25"),
        ("080000000104000000", "InstructionError 1 variant 4"),
        ("05000000", "TransactionError variant 5"),
        ("", "TransactionError variant 0"),
    ],
)
def test_errors_of_the_feed_are_told_as_the_rpc_tells_them(raw, text):
    info = wire.SubscribeUpdateTransactionInfo()
    info.meta.err.err = bytes.fromhex(raw)
    assert landed_of_feed(info, 1).err == text
