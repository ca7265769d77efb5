"""Raydium AMM V4 against executed rows and real mainnet transactions."""

import base64
import json

import pytest

from ironcrab import dex
from ironcrab.dex import address, base58, raydium
from ironcrab.dex.address import TOKEN
from ironcrab.dex.face import ABSENT, Account, Call, Clock, Quote, Refusal, Swap
from ironcrab.dex.mint import amount_of, with_amount


def block(shared):
    return json.loads((shared / "data/raydium/amm_v4_txs_mainnet_332254908.json").read_text())


def rpc_files(shared):
    for path in sorted((shared / "data/geyser/tx_json").glob("*.json")):
        if raydium.PROGRAM in path.read_text():
            found = json.loads(path.read_text())
            yield path.name, found[0] if isinstance(found, list) else found["result"]


def swaps(row, build_transaction, walk_calls):
    transaction = build_transaction(row)
    for call in walk_calls(transaction.calls):
        if call.program == raydium.PROGRAM:
            yield call, transaction, raydium.VENUE.parse(call, transaction)


def test_every_swap_of_the_block(shared, build_transaction, walk_calls, truth_table):
    """Amounts equal the vaults' balance changes where a vault is touched once, and the ray_log always."""
    rows = equal = judged_by_balance = 0
    for row in block(shared):
        if row["err"] is not None:
            continue
        found = list(swaps(row, build_transaction, walk_calls))
        assert found
        for call, transaction, parsed in found:
            rows += 1
            (swap,) = parsed
            assert isinstance(swap, Swap)
            assert swap.pool == call.accounts[1]
            assert swap.position == call.position
            assert len(call.logs) == 1
            _, amount_in, amount_out, *_ = raydium._swap_log(call)
            assert (swap.amount_in, swap.amount_out) == (amount_in, amount_out)
            vaults = call.accounts[-13:-11]
            assert {transaction.balances[v].mint for v in vaults} == {swap.mint_in, swap.mint_out}
            if len(found) == 1:
                change = {}
                for vault in vaults:
                    balance = transaction.balances[vault]
                    change[balance.mint] = balance.after - balance.before
                    # these pools owe no profit: reserves are the vaults' amounts
                    told = swap.reserve_in if balance.mint == swap.mint_in else swap.reserve_out
                    assert told == balance.after
                assert change == {swap.mint_in: swap.amount_in, swap.mint_out: -swap.amount_out}
                judged_by_balance += 1
            equal += 1
    truth_table.add("raydium", "mainnet block 332254908 (parse)", rows, equal)
    assert rows == equal == 40
    assert judged_by_balance > 30


def test_a_lost_log_changes_no_amount(shared, build_transaction, walk_calls):
    for row in block(shared):
        if row["err"] is None:
            with_log = [s for _, _, s in swaps(row, build_transaction, walk_calls)]
            without = [s for _, _, s in swaps(row | {"log_messages": []}, build_transaction, walk_calls)]
            for (logged,), (bare,) in zip(with_log, without, strict=True):
                assert (logged.amount_in, logged.amount_out) == (bare.amount_in, bare.amount_out)
                assert (logged.mint_in, logged.mint_out) == (bare.mint_in, bare.mint_out)
                assert bare.reserve_in is bare.reserve_out is None


def test_lost_transfers_leave_the_log(shared, build_transaction, walk_calls):
    for row in block(shared):
        if row["err"] is None:
            transaction = build_transaction(row)
            for call in walk_calls(transaction.calls):
                if call.program == raydium.PROGRAM:
                    bare = type(call)(call.program, call.accounts, call.data, call.position, call.depth, (), call.logs)
                    assert raydium.VENUE.parse(bare, transaction) == raydium.VENUE.parse(call, transaction)


def test_swaps_of_single_transactions(shared, build_transaction, walk_calls, truth_table):
    rows = equal = 0
    for name, row in rpc_files(shared):
        for _, _, parsed in swaps(row, build_transaction, walk_calls):
            rows += 1
            equal += len(parsed) == 1 and isinstance(parsed[0], Swap)
            assert parsed, name
    truth_table.add("raydium", "single transactions (parse)", rows, equal)
    assert rows == equal > 3


POOL = "58oQChx4yWmvKdwLLZzBi4ChoCc2fqCUWBkwMihLYQo2"
SLIPPAGE, FUNDS = 30, 40


def row_accounts(row):
    """Accounts of an executed row. No market and no open orders exist there."""
    data = {role: base64.b64decode(text) for role, text in row["before"].items()}
    amm = raydium.decode(Account(raydium.PROGRAM, 1, data["amm"]))
    accounts = {POOL: Account(raydium.PROGRAM, 1, data["amm"])}
    for role in ("coin_vault", "pc_vault"):
        at = 336 if role == "coin_vault" else 368
        accounts[base58.encode(data["amm"][at : at + 32])] = Account(TOKEN, 1, data[role])
    if not isinstance(amm, Refusal):
        accounts |= {amm.market: ABSENT, amm.open_orders: ABSENT}
    return accounts


def quote_row(row, generation="legacy"):
    accounts = row_accounts(row)
    coin, pc = (base58.encode(base64.b64decode(row["before"]["amm"])[at : at + 32]) for at in (400, 432))
    return accounts, dex.quote(
        POOL,
        accounts,
        mint_in=coin if row["direction"] == "coin2pc" else pc,
        amount=row["amount"],
        exact="in" if row["ix"] == "swap_base_in" else "out",
        clock=Clock(0, row["unix_timestamp"], 787),
        generation=generation,
    )


def agrees(row, found):
    """Whether a quote says what the executed row shows.

    The quote knows neither the user's balance (40) nor his limit (30): there it must be beyond them, or refuse
    for a reason that the program looks at later (29, 40 of the reserves).
    """
    if row["ok"]:
        return isinstance(found, Quote) and (found.amount_in, found.amount_out) == (
            row["amount_in_actual"],
            row["amount_out_actual"],
        )
    if row["err_code"] not in (SLIPPAGE, FUNDS):
        return isinstance(found, Refusal) and found.code == row["err_code"]
    owned = int.from_bytes(base64.b64decode(row["before"]["user_source"])[64:72], "little")
    exact_in = row["ix"] == "swap_base_in"
    if isinstance(found, Refusal):
        if row["err_code"] == FUNDS and exact_in and row["amount"] > owned:
            return found.code in (29, 40, None)
        return found.code == row["err_code"] or (found.code == 29 and row["limit"] > 0 and exact_in)
    if row["err_code"] == FUNDS:
        return owned < found.amount_in
    return found.amount_out < row["limit"] if exact_in else found.amount_in > row["limit"]


@pytest.mark.parametrize("name", ["raydium_amm_v4", "raydium_amm_v4_realpool"])
def test_executed_rows(vectors, truth_table, name):
    rows = vectors(name)
    missed = []
    for row in rows:
        accounts, found = quote_row(row)
        if not agrees(row, found):
            missed.append((row["id"], row["err_code"], found))
        elif row["ok"]:
            for role, (address, account) in zip(
                ("amm_after", "coin_vault_after", "pc_vault_after"),
                ((a, found.after[a]) for a in accounts if a in found.after),
                strict=True,
            ):
                if role == "amm_after":
                    if role in row and account.data != base64.b64decode(row[role]):
                        missed.append((row["id"], role, address))
                elif amount_of(account) != row[role]:
                    missed.append((row["id"], role, address))
    truth_table.add("raydium", f"{name} (executed)", len(rows), len(rows) - len(missed))
    assert not missed, missed[:5]


def accounts_file(shared, name):
    held = json.loads((shared / f"data/raydium/{name}.json").read_text())
    return {a["pubkey"]: Account(a["owner"], a["lamports"], base64.b64decode(a["data_b64"])) for a in held}


@pytest.fixture
def real(shared):
    return accounts_file(shared, "amm_v4_accounts_mainnet")


def patched(account, **fields):
    """A pool account with other fields: keys by base58, numbers by u64."""
    offsets = {
        "status": 0,
        "fee_numerator": 176,
        "fee_denominator": 184,
        "owed_coin": 192,
        "owed_pc": 200,
        "open_time": 224,
        "order_book_time": 248,
        "coin_vault": 336,
        "pc_vault": 368,
        "coin_mint": 400,
        "pc_mint": 432,
        "open_orders": 496,
        "market": 528,
        "market_program": 560,
    }
    data = bytearray(account.data)
    for name, value in fields.items():
        raw = base58.decode(value) if isinstance(value, str) else value.to_bytes(8, "little")
        data[offsets[name] : offsets[name] + len(raw)] = raw
    return Account(account.owner, account.lamports, bytes(data))


def market_account(keys, program):
    """A market that names these keys (bids, asks, queue, coin vault, pc vault) and derives this signer."""
    market, bids, asks, queue, coin, pc, signer = keys
    data = bytearray(388)
    data[:5] = b"serum"
    for at, key in ((117, coin), (165, pc), (253, queue), (285, bids), (317, asks)):
        data[at : at + 32] = base58.decode(key)
    for nonce in range(256):
        seeds = (base58.decode(market), nonce.to_bytes(8, "little"))
        if address.create_program_address(seeds, program) == signer:
            data[45:53] = nonce.to_bytes(8, "little")
            return Account(program, 1, bytes(data))
    return None


def rebuilt(call, transaction, real):
    """The fallback form of a real call, from a pool account that names the call's own keys."""
    a = call.accounts
    off = len(a) - 17
    coin, pc, market_program, market = a[4 + off], a[5 + off], a[6 + off], a[7 + off]
    (swap,) = raydium.VENUE.parse(call, transaction)
    pool = patched(
        real[POOL],
        coin_vault=coin,
        pc_vault=pc,
        coin_mint=transaction.balances[coin].mint,
        pc_mint=transaction.balances[pc].mint,
        open_orders=a[3],
        market=market,
        market_program=market_program,
    )
    accounts = {a[1]: pool}
    if market != a[1]:
        known = market_account((market, *a[8 + off : 14 + off]), market_program)
        if known is not None:
            accounts[market] = known
    first, second = (int.from_bytes(call.data[at : at + 8], "little") for at in (1, 9))
    (built,) = raydium.VENUE.instructions(
        a[1],
        accounts,
        user=a[-1],
        mint_in=swap.mint_in,
        amount=first,
        other_amount=second,
        exact="in",
        clock=Clock(0, 0, 0),
        fallback=True,
    )
    return built, len(accounts) > 1


def test_fallback_instruction_of_real_swaps(shared, real, build_transaction, walk_calls, truth_table):
    """Meta by meta; the optional target orders and user accounts that are not associated are left out."""
    rows = equal = with_market = strange = filler = 0
    for row in block(shared):
        if row["err"] is not None:
            continue
        for call, transaction, (swap,) in swaps(row, build_transaction, walk_calls):
            rows += 1
            built, market_known = rebuilt(call, transaction, real)
            ours, theirs = [m.pubkey for m in built.metas], list(call.accounts)
            if len(theirs) == 18:
                del theirs[4]
            assert built.data == call.data[:17]
            assert len(ours) == 17
            for place in (14, 15):
                if ours[place] != theirs[place]:
                    balance = transaction.balances.get(theirs[place])
                    strange += 1
                    # a temporary or router-owned account, of the right mint where the meta names it
                    assert balance is None or balance.mint == (swap.mint_in, swap.mint_out)[place - 14]
                    theirs[place] = ours[place]
            with_market += market_known
            if not market_known and theirs[3] != call.accounts[1]:
                filler += 1
                theirs[3], theirs[6:14] = ours[3], ours[6:14]
            assert ours == theirs
            equal += 1
            keys = row["account_keys"] + row["loaded_writable"] + row["loaded_readonly"]
            signers, silent, closed = row["header"]
            writable = {
                *keys[: signers - silent],
                *keys[signers : len(row["account_keys"]) - closed],
                *row["loaded_writable"],
            }
            for meta in built.metas:
                if meta.pubkey in call.accounts:
                    assert not meta.writable or meta.pubkey in writable
                    if call.depth == 1:
                        assert not meta.signer or meta.pubkey in transaction.signers
    truth_table.add("raydium", "mainnet block (fallback instruction)", rows, equal)
    assert rows == equal == 40
    assert (with_market, filler, strange) == (33, 2, 26)


OTHERS = {"user": base58.encode(bytes(range(32))), "clock": Clock(0, 0, 0)}


def test_newest_instruction(real):
    amm = raydium.decode(real[POOL])
    (built,) = raydium.VENUE.instructions(
        POOL, real, mint_in=amm.pc_mint, amount=7, other_amount=3, exact="in", **OTHERS
    )
    user = OTHERS["user"]
    assert [(m.pubkey, m.signer, m.writable) for m in built.metas] == [
        (TOKEN, False, False),
        (POOL, False, True),
        (raydium.AUTHORITY, False, False),
        (amm.coin_vault, False, True),
        (amm.pc_vault, False, True),
        (address.associated(user, amm.pc_mint, TOKEN), False, True),
        (address.associated(user, amm.coin_mint, TOKEN), False, True),
        (user, True, False),
    ]
    assert built.data == bytes((16,)) + (7).to_bytes(8, "little") + (3).to_bytes(8, "little")
    (built,) = raydium.VENUE.instructions(
        POOL, real, mint_in=amm.pc_mint, amount=7, other_amount=9, exact="out", **OTHERS
    )
    assert built.data == bytes((17,)) + (9).to_bytes(8, "little") + (7).to_bytes(8, "little")
    (built,) = raydium.VENUE.instructions(
        POOL, real, mint_in=amm.pc_mint, amount=7, other_amount=9, exact="out", fallback=True, **OTHERS
    )
    assert built.data[0] == 11
    assert raydium.VENUE.compute_units(None) > 32_500


def test_instructions_refuse(real):
    amm = raydium.decode(real[POOL])
    good = {"mint_in": amm.coin_mint, "amount": 1, "other_amount": 1, "exact": "in", **OTHERS}
    for change, code in (
        ({"mint_in": OTHERS["user"]}, 42),
        ({"user": "0"}, None),
        ({"amount": -1}, None),
        ({"other_amount": 2**64}, None),
    ):
        found = raydium.VENUE.instructions(POOL, real, **(good | change))
        assert isinstance(found, Refusal)
        assert found.code == code
    assert raydium.VENUE.instructions(POOL, {}, **good).missing == (POOL,)


def ask(accounts, amount=10**6, *, coin_in=True, exact="in", clock=None, mint_in=None, **more):
    amm = raydium.decode(accounts[POOL])
    if mint_in is None:
        mint_in = amm.coin_mint if coin_in else amm.pc_mint
    clock = clock or Clock(0, 1_800_000_000, 951)
    return raydium.VENUE.quote(POOL, accounts, mint_in=mint_in, amount=amount, exact=exact, clock=clock, **more)


def test_missing_accounts_are_all_named(real):
    amm = raydium.decode(real[POOL])
    only = {POOL: real[POOL]}
    assert raydium.VENUE.needs(POOL, {}, amm.coin_mint) == (POOL,)
    assert raydium.VENUE.needs(POOL, only, amm.coin_mint) == (amm.coin_vault, amm.pc_vault)
    assert raydium.VENUE.needs(POOL, real, amm.coin_mint) == ()
    assert raydium.VENUE.needs(POOL, {POOL: ABSENT}, amm.coin_mint) == ()
    assert ask(only).missing == (amm.coin_vault, amm.pc_vault)
    assert raydium.VENUE.quote(POOL, {}, mint_in="", amount=1, clock=Clock(0, 0, 0)).missing == (POOL,)
    book = {POOL: patched(real[POOL], status=1)}
    assert ask(book, generation="legacy").missing == (
        amm.coin_vault,
        amm.pc_vault,
        amm.open_orders,
        amm.market,
    )
    assert ask(book).missing == (amm.coin_vault, amm.pc_vault)


def test_refusals(real):
    amm = raydium.decode(real[POOL])
    coin, pc = real[amm.coin_vault], real[amm.pc_vault]
    frozen = Account(coin.owner, coin.lamports, coin.data[:108] + b"\2" + coin.data[109:])
    empty = Account(coin.owner, coin.lamports, coin.data[:108] + b"\0" + coin.data[109:])

    def code(changes=None, accounts=None, **asked):
        found = ask(real | {POOL: patched(real[POOL], **(changes or {}))} | (accounts or {}), **asked)
        assert isinstance(found, Refusal), found
        return found.code

    assert code({"status": 2}) == 22
    assert code({"status": 5}) == 22
    assert code({"status": 8}) is None
    assert code({"status": 8}, generation="legacy") is None
    assert code({"status": 5, "order_book_time": 2**40}, generation="legacy") == 22
    assert code({"status": 7, "open_time": 1_800_000_001}) == 22
    assert code({"pc_mint": amm.coin_mint}) == 59
    assert code({"owed_coin": 2**63}) == 32
    assert code({"owed_pc": 2**63}) == 32
    assert code(mint_in=OTHERS["user"]) == 42
    assert code(amount=0) == 29
    assert code(amount=0, exact="out") == 29
    assert code(amount=1) == 29
    assert code(amount=amount_of(pc), exact="out") is None
    assert code({"fee_denominator": 0}) is None
    assert code({"fee_numerator": 20_000}) is None
    assert code({"fee_numerator": 10_000}, exact="out") is None
    assert code({"owed_coin": amount_of(coin)}) == 40
    assert code(amount=amount_of(pc) - 1, exact="out") is None
    assert code(amount=2**64 - 1) == 14
    assert code(amount=2**64) is None
    assert code(amount=-1) is None
    assert code(limit=1) is None
    assert code(accounts={amm.coin_vault: frozen}) == 17
    assert code({"owed_pc": 2**63}, accounts={amm.coin_vault: frozen}) == 32
    assert code(amount=1, accounts={amm.coin_vault: frozen}) == 29
    assert code(amount=2**64 - 1, accounts={amm.coin_vault: frozen}) == 17
    assert code(accounts={amm.pc_vault: empty}) == 3
    assert code(accounts={amm.pc_vault: ABSENT}) == 38
    assert raydium.decode(ABSENT).code == 27
    assert raydium.decode(Account(raydium.PROGRAM, 1, b"")).code == 3
    assert raydium.decode(patched(real[POOL], status=0)).code == 22
    assert (
        raydium.VENUE.quote(
            POOL, real | {POOL: patched(real[POOL], status=0)}, mint_in="", amount=1, clock=Clock(0, 0, 0)
        ).code
        == 22
    )
    instructions = raydium.VENUE.instructions(
        POOL, {POOL: ABSENT}, mint_in="", amount=1, other_amount=1, exact="in", **OTHERS
    )
    assert instructions.code == 27


@pytest.mark.parametrize(("at", "size", "coin_in"), [
    (256, 16, True), (272, 16, True), (328, 8, True), (296, 16, False), (312, 16, False), (288, 8, False),
])  # fmt: skip
def test_a_full_counter_stops_the_legacy_program(real, at, size, coin_in):
    """It unwraps a checked sum after the transfers (executed); the strict generation counts nothing."""
    pool = real[POOL]
    full = Account(pool.owner, pool.lamports, pool.data[:at] + b"\xff" * size + pool.data[at + size :])
    amount = 10**9
    found = ask(real | {POOL: full}, amount, coin_in=coin_in, generation="legacy")
    assert (found.code, "counter" in found.reason) == (None, True)
    assert isinstance(ask(real | {POOL: full}, amount, coin_in=not coin_in, generation="legacy"), Quote)
    assert isinstance(ask(real | {POOL: full}, amount, coin_in=coin_in), Quote)


def test_a_waiting_pool_opens(real):
    waiting = real | {POOL: patched(real[POOL], status=7, open_time=1_800_000_000)}
    found = ask(waiting)
    assert isinstance(found, Quote)
    assert found.after[POOL].data[0] == 6
    assert found == ask(waiting | {POOL: patched(waiting[POOL], status=6)})


def test_real_ray_logs(shared, real, truth_table):
    """Reserves, amounts and direction of real logs, put into the real pool's accounts."""
    amm = raydium.decode(real[POOL])
    told = json.loads((shared / "data/raydium/events_and_ray_logs_mainnet.json").read_text())
    rows = equal = 0
    for entry in told["amm_v4_ray_logs_type3"]:
        log = base64.b64decode(entry["b64"])
        to_pc, amount_in, amount_out, coin, pc = raydium._swap_log(Call("", (), b"", 0, 1, (), (log,)))
        accounts = real | {
            amm.coin_vault: with_amount(real[amm.coin_vault], coin),
            amm.pc_vault: with_amount(real[amm.pc_vault], pc),
        }
        found = ask(accounts, amount_in, coin_in=to_pc)
        rows += 1
        equal += isinstance(found, Quote) and found.amount_out == amount_out
    truth_table.add("raydium", "mainnet ray_logs", rows, equal)
    assert rows == equal == 7


def test_swaps_of_the_block_are_quoted(shared, real, build_transaction, walk_calls, truth_table):
    """Each real swap from the reserves that its log tells; all these pools had the usual fee of 25 bps."""
    amm = raydium.decode(real[POOL])
    rows = equal = 0
    for row in block(shared):
        if row["err"] is None:
            for call, _, (swap,) in swaps(row, build_transaction, walk_calls):
                to_pc, _, _, coin, pc = raydium._swap_log(call)
                accounts = real | {
                    amm.coin_vault: with_amount(real[amm.coin_vault], coin),
                    amm.pc_vault: with_amount(real[amm.pc_vault], pc),
                }
                for generation in ("legacy", "strict"):
                    found = ask(accounts, swap.amount_in, coin_in=to_pc, generation=generation)
                    rows += 1
                    equal += found.amount_out == swap.amount_out
    truth_table.add("raydium", "mainnet block 332254908 (quote)", rows, equal)
    assert rows == equal == 80
