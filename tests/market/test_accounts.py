"""Exact quotes from recorded accounts: replayed equal to asked, coherent sets only, unknown after gaps and forks."""

import base64

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab import dex
from ironcrab.dex import ABSENT, Account, Clock, Quote, Refusal, base58, raydium
from ironcrab.dex.address import TOKEN, TOKEN_2022, WSOL
from ironcrab.dex.mint import amount_of, with_amount
from ironcrab.domain.control import ForkOrphaned, GapClosed, GapOpened, RunStarted
from ironcrab.domain.market import (
    AccountWritten,
    BondingCurveProgress,
    LatestBlockhash,
    LiquidityRemoved,
    PoolCreated,
    PoolStateUpdate,
    SlotUpdate,
    TokenMintInfo,
    Trade,
)
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.loop import Loop, Now
from ironcrab.market import accounts as accounts_module
from ironcrab.market.known import Known
from ironcrab.market.pools import PoolsState
from ironcrab.market.quotes import NoQuote, PoolQuote
from ironcrab.mode.pricing import quote_at
from tests.pool_sets import CLOCK, COIN, amm_v4, key, pump_curve, sets, vault

SECOND = 1_000_000_000
SETS = sets()


def written(address, account, slot=1000, version=0, signature=None):
    return AccountWritten(
        address, account.owner, account.lamports, account.data, slot=slot, write_version=version, signature=signature
    )


def block(slot=1000, time=CLOCK.unix_timestamp):
    return LatestBlockhash("h", slot=slot, block_time=time)


class World:
    """A market that is told events one by one."""

    def __init__(self):
        self.known = Known.fresh(Now())
        self.loop = Loop(self.known.reducers, lambda _: None, self.known.now)

    def tell(self, *events):
        for event in events:
            self.loop.take(event, CLOCK.unix_timestamp * SECOND)
        return self

    def restored(self):
        """The same market after its states went through JSON."""
        other = World()
        other.loop.seq, other.known.now.slot = self.loop.seq, self.known.now.slot
        other.known.now.time = self.known.now.time
        for reducer, twin in zip(self.known.reducers, other.known.reducers, strict=True):
            twin.state = msgspec.json.decode(msgspec.json.encode(reducer.state), type=type(reducer.state))
            getattr(twin, "restored", lambda: None)()
        return other

    def quote(self, pool, mint, amount=10**6):
        return self.known.quotes.quote(pool, mint, amount)

    @property
    def accounts(self):
        return self.known.pools.accounts


def told(made, slot=1000, signature=None):
    """The accounts of a set as writes, the shared ones first."""
    return [written(*item, slot=slot, version=i, signature=signature) for i, item in enumerate(made.accounts.items())]


# --- replayed quote == asked quote ------------------------------------------------------------------------


@pytest.mark.parametrize("venue", SETS)
@pytest.mark.parametrize("sealed", [False, True])
def test_a_replayed_recording_quotes_what_the_accounts_say(venue, sealed, tmp_path):
    made = SETS[venue]
    with Recording.create(tmp_path / "log", "f" * 32, origin="test") as writer:
        loop = Loop((), writer.append, Now())
        for event in (*told(made), block(CLOCK.slot)):
            loop.take(event, 1)
    if sealed:
        seal(tmp_path / "log")
    recording = Recording.open(tmp_path / "log")
    world = World().tell(*told(made), block(CLOCK.slot))
    for mint in made.mints:
        for amount, exact in ((10**6, "in"), (999, "out"), (0, "in"), (2**64, "in")):
            asked = dex.quote(made.pool, made.accounts, mint_in=mint, amount=amount, exact=exact, clock=CLOCK)
            replayed = quote_at(recording, recording.next_seq - 1, made.pool, mint_in=mint, amount=amount, exact=exact)
            assert replayed == asked
            cached = world.accounts.quote(made.pool, mint, amount, exact)
            assert cached.found == asked
            assert isinstance(asked, Quote) == (0 < amount < 2**64)
        asked = dex.quote(made.pool, made.accounts, mint_in=mint, amount=10**6, clock=CLOCK)
        newest = len(made.accounts) - 1
        assert world.quote(made.pool, mint) == PoolQuote(made.pool, 10**6, asked.amount_out, "exact", newest, 1000)
        assert world.restored().quote(made.pool, mint) == world.quote(made.pool, mint)
        assert world.accounts.lacks(made.pool, mint) == ()


@pytest.mark.parametrize("venue", SETS)
def test_a_swap_is_followed_account_by_account(venue):
    """The accounts that a swap leaves, told as one transaction, give the next quote of the chain."""
    made = SETS[venue]
    world = World().tell(*told(made), block(CLOCK.slot))
    accounts = dict(made.accounts)
    for turn in range(6):
        mint, slot = made.mints[turn % 2], CLOCK.slot + turn
        clock = Clock(slot, CLOCK.unix_timestamp, slot // 432_000)
        asked = dex.quote(made.pool, accounts, mint_in=mint, amount=10**7, clock=clock)
        assert world.quote(made.pool, mint, 10**7).amount_out == asked.amount_out
        accounts |= asked.after
        for address, account in asked.after.items():
            world.tell(written(address, account, slot, 7, f"sig{turn}"))
        world.tell(SlotUpdate(slot, slot=slot), SlotUpdate(slot + 1, slot=slot + 1, status="created"))


def test_an_unknown_account_is_named_and_the_quote_falls_back():
    for made in SETS.values():
        for left_out in made.accounts:
            world = World()
            few = {address: account for address, account in made.accounts.items() if address != left_out}
            world.tell(*(written(*item) for item in few.items()), block(CLOCK.slot))
            for mint in made.mints:
                asked = dex.quote(made.pool, few, mint_in=mint, amount=10**6, clock=CLOCK)
                found = world.quote(made.pool, mint)
                if isinstance(asked, Quote):
                    assert found.kind == "exact"
                    assert found.amount_out == asked.amount_out
                else:
                    assert asked.missing
                    assert set(asked.missing) <= set(world.accounts.lacks(made.pool, mint))
                    assert found == NoQuote("POOL_NOT_FOUND")
            if left_out != made.pool:
                world.tell(Trade(made.pool, made.mints[1], "T", True, 10**6, 10**9, 6, "x", slot=1000))
                world.tell(written(left_out, made.accounts[left_out]))
                assert world.quote(made.pool, WSOL).kind == "exact"


# --- the executed vectors, through the cache --------------------------------------------------------------


def judge(world_of, rows):
    """Rows replayed through the cache that equal the public function; how many there were."""
    equal = 0
    for pool, accounts, ask, clock, generation in rows:
        world = World()
        if generation:
            world.tell(RunStarted(0, "t", "0", "x", (), (), (), (generation,)))
        world.tell(*(written(*item) for item in accounts.items()))
        name = generation.partition("=")[2] if generation else None
        asked = dex.quote(pool, accounts, clock=clock, generation=name, **ask)
        found = world.accounts.quote(
            pool, ask["mint_in"], ask["amount"], ask["exact"], clock=clock, limit=ask.get("limit")
        )
        assert found.found == asked
        equal += 1
    return equal


def concentrated(vectors, name, pool_mints):
    refs, rows = {}, []
    for row in vectors(name):
        if row["kind"] == "account":
            refs[row["ref"]] = Account(row["owner"], int(row["lamports"]), base64.b64decode(row["data"]))
            continue
        accounts = {each["pubkey"]: refs[each["ref"]] if each["ref"] else ABSENT for each in row["accounts"].values()}
        ask = {
            "mint_in": pool_mints(row, accounts),
            "amount": row["amount"],
            "exact": "in" if row["exact_in"] else "out",
        }
        if name == "orca_whirlpool":
            ask["limit"] = int(row["sqrt_price_limit"]) or None
        rows.append((row["pool"], accounts, ask, Clock(**row["clock"]), None))
    return rows


def test_whirlpool_vectors_through_the_cache(vectors):
    def mint(row, accounts):
        state = dex.whirlpool_state.decode_whirlpool(accounts[row["pool"]])
        return state.mint_a if row["a_to_b"] else state.mint_b

    rows = concentrated(vectors, "orca_whirlpool", mint)
    assert judge(World, rows[::3]) == len(rows[::3]) > 300


def test_dlmm_vectors_through_the_cache(vectors):
    def mint(row, accounts):
        return row["accounts"]["mint_x" if row["swap_for_y"] else "mint_y"]["pubkey"]

    rows = concentrated(vectors, "meteora_dlmm", mint)
    assert judge(World, rows[::3]) == len(rows[::3]) > 200


def test_amm_v4_vectors_through_the_cache(vectors):
    pool, rows = key(11), []
    for row in vectors("raydium_amm_v4"):
        data = {role: base64.b64decode(text) for role, text in row["before"].items()}
        accounts = {pool: Account(raydium.PROGRAM, 1, data["amm"])}
        for role, at in (("coin_vault", 336), ("pc_vault", 368)):
            accounts[base58.encode(data["amm"][at : at + 32])] = Account(TOKEN, 1, data[role])
        amm = raydium.decode(accounts[pool])
        if isinstance(amm, Refusal):
            continue
        accounts |= {amm.market: ABSENT, amm.open_orders: ABSENT}
        ask = {"mint_in": amm.coin_mint, "amount": row["amount"], "exact": "in"}
        rows.append((pool, accounts, ask, Clock(1, 1_700_000_000, 700), "raydium=legacy"))
    assert judge(World, rows) == len(rows) > 700


# --- coherent sets ----------------------------------------------------------------------------------------


def after_swap(made, amount=10**9):
    asked = dex.quote(made.pool, made.accounts, mint_in=WSOL, amount=amount, clock=CLOCK)
    return {**made.accounts, **asked.after}, list(asked.after)


def trade(made, signature, slot=1000):
    return Trade(made.pool, made.mints[1], "T", True, 1, 1, 6, "raydium", slot=slot, signature=signature)


def closings(made):
    """Records after which what transaction `s` of slot 1000 wrote must be visible."""
    any_vault = list(made.accounts)[1]
    return {
        "its trade": trade(made, "s"),
        "its creation": PoolCreated(made.pool, made.mints[1], WSOL, "raydium", slot=1000, signature="s"),
        "its withdrawal": LiquidityRemoved(made.pool, made.mints[1], 1, 1, "s", slot=1000),
        "the slot processed": SlotUpdate(1000, slot=1000),
        "a later slot confirmed": SlotUpdate(1001, slot=1001, status="confirmed"),
        "the block meta": block(1000),
        "a write of a later slot": written(key(99), ABSENT, 1001),
        "the next lock": written(any_vault, made.accounts[any_vault], 1000, 0, "other"),
    }


NOT_YET = {
    "another's trade": lambda made: trade(made, "other"),
    "another's write": lambda _: written(key(98), ABSENT, 1000, 3, "other"),
    "a write of nobody": lambda _: written(key(98), ABSENT, 1000, 3),
    "a mint": lambda _: TokenMintInfo("M", TOKEN, 6, 1, slot=1000),
    "the slot before": lambda _: SlotUpdate(999, slot=999, status="finalized"),
    "the next slot begins": lambda _: SlotUpdate(1001, slot=1001, status="created"),
    "a trade without signature": lambda made: trade(made, None),
    "a block without slot": lambda _: LatestBlockhash("h"),
}


@pytest.mark.parametrize("why", closings(amm_v4()))
def test_all_writes_of_a_transaction_appear_together(why):
    made = amm_v4()
    world = World().tell(*told(made, 900))
    before = world.quote(made.pool, WSOL).amount_out
    accounts, changed = after_swap(made)
    for place, address in enumerate(changed):
        world.tell(written(address, accounts[address], 1000, place, "s"))
        for between in NOT_YET.values():
            world.tell(between(made))
            assert world.quote(made.pool, WSOL).amount_out == before
            assert world.restored().quote(made.pool, WSOL).amount_out == before
    world.tell(closings(made)[why])
    expected = dex.quote(made.pool, accounts, mint_in=WSOL, amount=10**6, clock=world.accounts.clock()).amount_out
    assert expected != before
    assert world.quote(made.pool, WSOL).amount_out == expected
    assert not world.accounts.staged
    assert not world.accounts.writers


def test_what_comes_late_joins_at_once():
    made = amm_v4()
    world = World().tell(*told(made, 900))
    accounts, changed = after_swap(made)
    world.tell(written(changed[0], accounts[changed[0]], 1000, 1, "s"), trade(made, "s"))
    for address in changed[1:]:
        world.tell(written(address, accounts[address], 1000, 1, "s"))
    assert not world.accounts.staged
    assert {address: world.accounts.get(address) for address in accounts} == accounts
    world.tell(SlotUpdate(1000, slot=1000), written(changed[1], made.accounts[changed[1]], 1000, 9, "t"))
    assert world.accounts.get(changed[1]) == made.accounts[changed[1]]


def test_the_newest_write_holds_whatever_the_order():
    one, two, three = (vault(WSOL, amount) for amount in (1, 2, 3))
    address = key(70)
    world = World().tell(written(address, two, 10, 5), written(address, one, 10, 4), written(address, one, 9, 8))
    assert world.accounts.get(address) == two
    world.tell(written(address, three, None, 5))
    assert world.accounts.get(address) == three
    world.tell(written(address, one, 11, 1, "s"), written(address, two, 11, 0, "s"), SlotUpdate(11, slot=11))
    assert world.accounts.get(address) == one


# --- gaps and forks ---------------------------------------------------------------------------------------


def test_after_a_gap_everything_is_read_anew():
    made = amm_v4()
    world = World().tell(*told(made), trade(made, "x"))
    assert world.quote(made.pool, WSOL).kind == "exact"
    world.tell(written(made.pool, made.accounts[made.pool], 1000, 9, "cut"))
    world.tell(GapOpened("f", 1001, None, "lost"))
    gap = world.loop.seq - 1
    assert world.accounts.get(made.pool) is None
    assert world.accounts.lacks(made.pool, WSOL) == (made.pool,)
    assert world.quote(made.pool, WSOL) == NoQuote("POOL_STALE")
    assert not world.accounts.staged
    filled = world.restored().tell(GapClosed("f", gap, 1003, filled=True))
    assert filled.accounts.get(made.pool) is None, "the end of the transaction under way was never told"
    assert all(filled.accounts.get(address) is not None for address in made.accounts if address != made.pool)
    world.tell(*told(made, 1002))
    assert world.quote(made.pool, WSOL).kind == "exact"
    assert world.quote(made.pool, WSOL).slot == 1002
    world.tell(GapClosed("f", gap, 1003, filled=False))
    assert world.quote(made.pool, WSOL).kind == "exact"


def test_a_filled_gap_changed_only_what_was_told():
    made = amm_v4()
    world = World().tell(*told(made), GapOpened("f", 1001, None, "lost"))
    gap = world.loop.seq - 1
    world.tell(GapClosed("f", gap, 1003, filled=True))
    assert world.quote(made.pool, WSOL).kind == "exact"
    world.tell(GapOpened("f", 1005, None, "lost"), GapOpened("g", 1005, None, "lost"))
    world.tell(
        GapClosed("f", world.loop.seq - 2, 1006, filled=True), GapClosed("g", world.loop.seq - 1, 1006, filled=True)
    )
    assert world.quote(made.pool, WSOL) == NoQuote("POOL_NOT_FOUND"), "two gaps at once leave nothing known"


def test_an_orphaned_slot_leaves_its_accounts_unknown():
    made = amm_v4()
    accounts, changed = after_swap(made)
    world = World().tell(*told(made, 900), trade(made, "x", 900))
    for address in changed:
        world.tell(written(address, accounts[address], 1000, 1, "s"))
    staged = world.restored().tell(ForkOrphaned(1000, "test"))
    assert staged.quote(made.pool, WSOL).kind == "exact"
    assert not staged.accounts.writers
    world.tell(SlotUpdate(1000, slot=1000), block(1000), ForkOrphaned(1000, "test"))
    assert world.quote(made.pool, WSOL) == NoQuote("POOL_STALE")
    assert set(world.accounts.lacks(made.pool, WSOL)) == {made.pool}
    assert world.accounts.state.block_time is None
    world.tell(*told(made, 1001))
    assert world.quote(made.pool, WSOL).kind == "exact"


def test_a_slot_played_again_is_staged_again():
    made = amm_v4()
    accounts, changed = after_swap(made)
    world = World().tell(*told(made, 900), SlotUpdate(1000, slot=1000), ForkOrphaned(1000, "dead"))
    world.tell(written(changed[1], accounts[changed[1]], 1000, 1, "s"))
    assert world.accounts.get(changed[1]) == made.accounts[changed[1]]


# --- bounds, clock, generations, programs -----------------------------------------------------------------


def test_bounds(monkeypatch):
    monkeypatch.setattr(accounts_module, "MOST_ACCOUNTS", 8)
    monkeypatch.setattr(accounts_module, "MOST_STAGED", 2)
    monkeypatch.setattr(accounts_module, "MOST_READY", 2)
    world = World()
    shared = accounts_module.SHARED[0]
    world.tell(written(shared, ABSENT), *(written(key(number), vault(WSOL, 1)) for number in range(100, 120)))
    assert len(world.accounts.rows) <= 9
    assert world.accounts.get(shared) == ABSENT
    assert world.accounts.state.size == sum(len(row.data) for row in world.accounts.rows.values())
    monkeypatch.setattr(accounts_module, "MOST_BYTES", 400)
    world.tell(written(key(130), vault(WSOL, 1)))
    assert world.accounts.state.size <= 600
    world.tell(*(written(key(119), vault(WSOL, 2), 1000, 1, f"s{number}") for number in range(3)))
    assert len(world.accounts.staged) <= 2
    world.tell(*(written(key(number), vault(WSOL, 2), 1000, 1, f"t{number}") for number in range(140, 144)))
    assert len(world.accounts.staged) == 2
    assert world.accounts.get(key(140)) is None
    for number in range(140, 144):
        world.tell(trade(amm_v4(), f"t{number}"))
    assert len(world.accounts.state.told) <= 2
    for made in SETS.values():
        monkeypatch.undo()
        world = World().tell(*told(made))
        monkeypatch.setattr(accounts_module, "MOST_READY", 1)
        for _ in range(3):
            assert world.quote(made.pool, WSOL).kind == "exact"
            world.tell(written(made.pool, made.accounts[made.pool]))
            assert sum(map(len, world.accounts.users.values())) <= 2 * len(made.accounts)


def test_the_clock_of_the_chain():
    world = World()
    assert world.accounts.clock() == Clock(0, 0, 0)
    world.tell(SlotUpdate(864_001, slot=864_001))
    assert world.accounts.clock() == Clock(864_001, CLOCK.unix_timestamp, 2)
    world.tell(block(864_002, 55), block(864_000, 44), LatestBlockhash("h", slot=864_003))
    assert world.accounts.clock() == Clock(864_003, 55, 2)
    sysvar = (
        (864_002).to_bytes(8, "little") + bytes(8) + (7).to_bytes(8, "little") + bytes(8) + (66).to_bytes(8, "little")
    )
    world.tell(
        written(accounts_module.CLOCK_SYSVAR, Account("Sysvar1111111111111111111111111111111111111", 1, sysvar), 5)
    )
    assert world.accounts.clock() == Clock(864_003, 66, 7)
    world.tell(block(864_004, 77))
    assert world.accounts.clock() == Clock(864_004, 77, 7)
    world.tell(written(accounts_module.CLOCK_SYSVAR, ABSENT, 6))
    assert world.accounts.clock() == Clock(864_004, 77, 2)


def test_a_recording_carries_its_generations():
    made = pump_curve()
    world = World().tell(RunStarted(0, "t", "0", "x", (), (), (), ("pumpfun=global_fees",)), *told(made))
    assert world.quote(made.pool, WSOL) == NoQuote("POOL_NOT_FOUND")
    assert world.restored().accounts.quote(made.pool, WSOL, 1).found.missing == (dex.pumpfun.GLOBAL,)
    world.tell(RunStarted(1, "t", "0", "x", (), (), (), ("pumpfun=fee_program",)))
    assert world.quote(made.pool, WSOL).kind == "exact"


def test_what_the_program_refuses_is_not_quoted_from_elsewhere():
    made = pump_curve()
    world = World().tell(
        *told(made), PoolStateUpdate(made.pool, "pumpfun", 10**15, 10**11, COIN, WSOL, 1000, slot=1000)
    )
    assert world.quote(made.pool, WSOL).kind == "exact"
    assert world.quote(made.pool, WSOL, 10**14) == NoQuote("QUOTE_UNAVAILABLE"), "only a part could be bought"
    assert world.quote(made.pool, WSOL, 0) == NoQuote("QUOTE_UNAVAILABLE")
    done = bytearray(made.accounts[made.pool].data)
    done[48] = 1
    world.tell(written(made.pool, Account(dex.pumpfun.PROGRAM, 1, bytes(done)), 1001))
    assert world.quote(made.pool, WSOL) == NoQuote("POOL_COMPLETE")
    world.tell(BondingCurveProgress(COIN, made.pool, 10_000, True, slot=1001))
    assert world.quote(made.pool, WSOL) == NoQuote("POOL_COMPLETE")
    made = amm_v4()
    world = World().tell(*told(made), PoolStateUpdate(made.pool, "raydium", 10**12, 10**12, made.mints[1], WSOL, 1000))
    assert world.quote(made.pool, WSOL).kind == "exact"
    shut = bytearray(made.accounts[made.pool].data)
    shut[0] = 4
    world.tell(written(made.pool, Account(raydium.PROGRAM, 1, bytes(shut)), 1001))
    assert world.quote(made.pool, WSOL) == NoQuote("QUOTE_UNAVAILABLE")
    world.tell(written(made.pool, ABSENT, 1002))
    assert world.quote(made.pool, WSOL).kind == "executable", "no venue's account: what else is known"


def test_token_program_by_priority():
    world, mint = World(), key(80)
    known = world.known
    assert known.token_program(mint) == TOKEN
    assert known.token_program(mint, hint=TOKEN_2022) == TOKEN_2022
    world.tell(TokenMintInfo(mint, TOKEN, 6, 1, slot=1))
    assert known.token_program(mint, hint=TOKEN_2022) == TOKEN
    world.tell(written(mint, Account(TOKEN_2022, 1, bytes(82))))
    assert known.token_program(mint) == TOKEN_2022
    assert known.token_program(mint, told=TOKEN) == TOKEN
    assert known.token_program(mint, told="Other") == TOKEN_2022


# --- any sequence, restored anywhere ----------------------------------------------------------------------

ADDRESSES = tuple(amm_v4().accounts)
BALANCES = {address: amm_v4().accounts[address] for address in ADDRESSES[1:]}


@st.composite
def slots(draw):
    """Slots of transactions that write both vaults to one amount, told in any order the feed allows."""
    events, amount = [], 10**12
    for slot in range(1000, 1000 + draw(st.integers(1, 4))):
        queue = []
        for number in range(draw(st.integers(0, 3))):
            amount += 1
            signature = f"{slot}-{number}"
            queue += [
                written(address, with_amount(account, amount), slot, 10 * number + place, signature)
                for place, (address, account) in enumerate(BALANCES.items())
            ]
            if draw(st.booleans()):
                queue.append(Trade(key(11), key(12), "T", True, 1, 1, 6, "raydium", slot=slot, signature=signature))
            if draw(st.booleans()):
                queue.append(
                    written(key(97), ABSENT, slot, draw(st.integers(0, 99)), draw(st.sampled_from([None, "z"])))
                )
        events += queue
        events.append(
            draw(
                st.sampled_from(
                    [SlotUpdate(slot, slot=slot), block(slot), SlotUpdate(slot, slot=slot, status="created")]
                )
            )
        )
        if draw(st.integers(0, 5)) == 0:
            events.append(ForkOrphaned(slot, "fork"))
        if draw(st.integers(0, 7)) == 0:
            events.append(GapOpened("f", slot, slot, "gap"))
    return events


@settings(derandomize=True, deadline=None, max_examples=150)
@given(slots(), st.data())
def test_no_half_transaction_is_ever_seen_and_any_restart_goes_on_the_same(events, data):
    made = amm_v4()
    world = World().tell(*told(made, 900))
    cut = data.draw(st.integers(0, len(events)))
    twin = None
    for place, event in enumerate(events):
        if place == cut:
            twin = world.restored()
        world.tell(event)
        found = [world.accounts.get(address) for address in BALANCES]
        if found[0] != BALANCES[ADDRESSES[1]] and found[0] is not None and found[1] is not None:
            assert amount_of(found[0]) == amount_of(found[1])
        if twin is not None:
            twin.tell(event)
            assert twin.quote(made.pool, WSOL) == world.quote(made.pool, WSOL)
    if twin is not None:
        assert msgspec.json.encode(twin.known.pools.state) == msgspec.json.encode(world.known.pools.state)


def test_a_state_goes_through_json():
    world = World()
    for made in SETS.values():
        world.tell(*told(made), written(made.pool, made.accounts[made.pool], 1000, 99, "open"))
    text = msgspec.json.encode(world.known.pools.state)
    assert msgspec.json.encode(msgspec.json.decode(text, type=PoolsState)) == text
