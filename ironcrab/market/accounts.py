"""Accounts as the chain wrote them, so held that whoever quotes reads a coherent set.

A transaction writes several accounts, each told by a record of its own, and a feed promises no order among the
transactions of a slot. Its writes (same `signature`) are therefore *staged* and become visible together, when

- a record that is no write tells of the same transaction (its Trade, PoolCreated, LiquidityRemoved): validators
  report a transaction once its writes are stored; a write that comes still later joins the others at once, or
- another transaction writes one of the accounts: the chain's locks let it begin after the first one's end, or
- the slot ends: it is processed, its block meta is told, or a write of a later slot comes.

A write without signature (read by RPC, or none of a transaction) is visible at once. Among writes of one account
the highest (slot, write_version) holds, whatever the order they come in.

Unknown is neither zero nor absent: an account never told, one whose slot was orphaned, and one from before a gap
are unknown; a closed account is known to be empty. After a gap every account is stale until it is told anew, or
until the gap is filled by a replay.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, cast

from msgspec import Struct, field

from ironcrab.dex import Account, Clock, Quote, Refusal, venue_of
from ironcrab.dex.face import Exact, Ready
from ironcrab.dex.pumpfun import FEE_CONFIG as PUMP_FEES
from ironcrab.dex.pumpfun import GLOBAL as PUMP_GLOBAL
from ironcrab.dex.pumpswap import FEE_CONFIG as SWAP_FEES
from ironcrab.dex.pumpswap import GLOBAL_CONFIG as SWAP_GLOBAL
from ironcrab.domain.market import AccountWritten, LatestBlockhash, SlotUpdate
from ironcrab.domain.units import U64, Key, Lamports, Nanos, Seq, Signature, Slot, floor_div
from ironcrab.loop import Now
from ironcrab.market.bound import forget_oldest
from ironcrab.market.rent import RENT_SYSVAR

MOST_ACCOUNTS = 65_536
"""Accounts remembered at most; beyond it those written longest ago are forgotten."""
MOST_BYTES = 96 << 20
"""Bytes of account data remembered at most; the same."""
MOST_STAGED = 4_096
"""Transactions staged at most; beyond it what the oldest one wrote becomes unknown."""
MOST_READY = 4_096
"""Pools decoded until all of them are decoded anew at their next quote, which bounds who is noted to read what."""
MOST_TOLD = 24
"""Answers remembered of one decoded pool, the oldest goes first."""
SHARED = (PUMP_GLOBAL, PUMP_FEES, SWAP_GLOBAL, SWAP_FEES, RENT_SYSVAR)
"""Accounts that many need and that are hardly ever written: never forgotten for their age."""
CLOCK_SYSVAR = "SysvarC1ock11111111111111111111111111111111"
"""Clock sysvar: u64 slot at 0, i64 epoch start at 8, u64 epoch at 16, u64 schedule epoch at 24, i64 unix time at 32."""
SLOTS_PER_EPOCH = 432_000
"""Mainnet's epoch length; a clock sysvar wins over it."""
SLOT_ENDS = ("processed", "confirmed", "finalized")
"""Statuses of a slot that all its writes come before."""


class AccountRow(Struct, gc=False, array_like=True):
    """One account as the chain holds it, visible unless stale.

    Attributes:
        owner: program that owns it.
        lamports: its balance.
        data: its bytes.
        slot: slot of the write.
        write_version: order of the write within one connection.
        seq: record of the write.
        stale: record of the gap since which it is unknown; None: known.
    """

    owner: Key
    lamports: Lamports
    data: bytes
    slot: Slot
    write_version: U64
    seq: Seq
    stale: Seq | None = None


class Staged(Struct, gc=False, array_like=True):
    """What a transaction of `slot` wrote so far, by address; `time` is log time of its first write."""

    slot: Slot
    rows: dict[str, AccountRow] = field(default_factory=dict)
    time: Nanos = 0


class AccountsState(Struct):
    """Everything `Accounts` remembers.

    Attributes:
        rows: accounts by address, in the order they were first told.
        staged: transactions by signature, in the order of their first write.
        told: transactions of the newest slot whose writes are visible already.
        size: bytes of data in `rows`.
        slot: highest slot that writes, block metas or slot updates told.
        ended: highest slot that is over: no write of it is staged any more.
        block_time: unix seconds of the newest block meta; None: none was told.
        block_slot: its slot.
        generations: program generation by venue, as the recording's runs say; a venue not named: the newest.
    """

    rows: dict[str, AccountRow] = field(default_factory=dict)
    staged: dict[Signature, Staged] = field(default_factory=dict)
    told: dict[Signature, None] = field(default_factory=dict)
    size: int = 0
    slot: Slot = 0
    ended: Slot = -1
    block_time: int | None = None
    block_slot: Slot = 0
    generations: dict[str, str] = field(default_factory=dict)


class Reading(Mapping[str, Account]):
    """The known accounts as a pool's decoder sees them; every address it asks for is noted in `asked`."""

    def __init__(self, rows: dict[str, AccountRow], asked: dict[str, None]) -> None:
        self.rows = rows
        self.asked = asked

    def __getitem__(self, address: str) -> Account:
        self.asked[address] = None
        row = self.rows[address]
        if row.stale is not None:
            raise KeyError(address)
        return Account(row.owner, row.lamports, row.data)

    def __contains__(self, address: object) -> bool:
        self.asked[address] = None  # type: ignore[index]  # only addresses are asked for
        row = self.rows.get(address)  # type: ignore[call-overload]  # the same
        return row is not None and row.stale is None

    def __iter__(self) -> Iterator[str]:
        return iter([address for address in self.asked if address in self])

    def __len__(self) -> int:
        return len(list(iter(self)))


class Exactly(Struct, frozen=True, gc=False):
    """What the venue's program would do, and the newest record and slot among the accounts that say so."""

    found: Quote | Refusal
    seq: Seq
    slot: Slot


class Paid(Struct, frozen=True, gc=False):
    """What a swap of an exact input comes to; `seq` and `slot` as of `Exactly`.

    Attributes:
        amount_out: raw units paid out; 0 where there is a refusal, or where a part of the input stays unused.
        refusal: why the program would not.
    """

    amount_out: int
    refusal: Refusal | None
    seq: Seq
    slot: Slot


class NotedClock:
    """A clock that notes what is read of it: `noted`, in the order of `Clock`, None what was not read."""

    __slots__ = ("_clock", "noted")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.noted: tuple[int | None, int | None, int | None] = (None, None, None)

    @property
    def slot(self) -> int:
        """As `Clock` has it, noted; so are the others."""
        slot = self._clock.slot
        self.noted = (slot, self.noted[1], self.noted[2])
        return slot

    @property
    def unix_timestamp(self) -> int:
        """See `slot`."""
        time = self._clock.unix_timestamp
        self.noted = (self.noted[0], time, self.noted[2])
        return time

    @property
    def epoch(self) -> int:
        """See `slot`."""
        epoch = self._clock.epoch
        self.noted = (self.noted[0], self.noted[1], epoch)
        return epoch


class Told(NamedTuple):
    """An answer, and the clock fields it was made of; None: it did not read it."""

    paid: Paid
    slot: int | None
    unix_timestamp: int | None
    epoch: int | None


class Loaded:
    """A decoded pool (or why it is none) with the addresses it asked for.

    Attributes:
        ready: the pool.
        asked: every address that it asked for, when it was decoded or by any quote since.
        first: those of its decoding.
        expected: those that the state says its quotes read, in the directions that were asked for.
        newest: (seq, slot) of the newest record among what a quote of a direction reads, by mint that is paid in.
        counted: how many of `asked` are noted.
        is_beyond: a quote read what was not expected.
        told: what was answered, with what it read of the clock, by mint and amount that are paid in.
    """

    __slots__ = ("asked", "counted", "expected", "first", "is_beyond", "newest", "ready", "told")

    def __init__(self, ready: Ready | Refusal, asked: dict[str, None]) -> None:
        self.ready = ready
        self.asked = asked
        self.first = tuple(asked)
        self.expected = dict(asked)
        self.newest: dict[str, tuple[Seq, Slot]] = {}
        self.counted = 0
        self.is_beyond = False
        self.told: dict[tuple[str, int], Told] = {}


class Accounts:
    """Folds account writes for `LivePoolCache` and quotes from them; `now` gives the time where no block told one."""

    def __init__(self, now: Now) -> None:
        self.now = now
        self.take(AccountsState())

    def take(self, state: AccountsState) -> None:
        """Go on from this state."""
        self.state = state
        self.rows = state.rows
        self.staged = state.staged
        self.loaded: dict[str, Loaded] = {}
        self.users: dict[str, dict[str, None]] = {}
        self.loads = 0
        self.writers = {key: signature for signature, by in self.staged.items() for key in by.rows}

    # what the world says

    def wrote(self, seq: int, event: AccountWritten) -> tuple[str, ...]:
        """One write; the addresses whose visible bytes changed by it."""
        state = self.state
        slot = state.slot if event.slot is None else event.slot
        changed = self._advance(slot, slot - 1)
        row = AccountRow(event.owner, event.lamports, event.data, slot, event.write_version, seq)
        signature = event.signature
        if signature is None:
            return changed + self._show({event.pubkey: row})
        before = self.writers.get(event.pubkey, signature)
        if before != signature:
            changed += self._close(before)
        if slot <= state.ended or (signature in state.told and signature not in self.staged):
            return changed + self._show({event.pubkey: row})
        staged = self.staged.get(signature)
        if staged is None:
            staged = self.staged[signature] = Staged(slot, time=self.now.time)
            if len(self.staged) > MOST_STAGED:
                self._abandon(next(iter(self.staged)))
        known = staged.rows.get(event.pubkey)
        if known is None or (known.slot, known.write_version) <= (slot, row.write_version):
            staged.rows[event.pubkey] = row
        self.writers[event.pubkey] = signature
        return changed

    def transaction(self, signature: str | None) -> tuple[str, ...]:
        """A record that is no write tells of this transaction; the addresses that changed by it."""
        if signature is None or signature not in self.staged:
            return ()
        if len(self.state.told) >= MOST_STAGED:
            self.state.told.clear()
        self.state.told[signature] = None
        return self._close(signature)

    def slot_told(self, event: SlotUpdate) -> tuple[str, ...]:
        """A slot's status; the addresses that changed by it. Slots come by the thousand: laid out flat."""
        slot, state = event.current_slot, self.state
        if event.status in SLOT_ENDS:
            if slot > state.slot:
                state.slot = slot
                if state.told:
                    state.told.clear()
            if slot > state.ended:
                state.ended = slot
                return self._end(slot) if self.staged else ()
        elif event.status == "created":
            self._advance(slot, None)
        return ()

    def block_told(self, event: LatestBlockhash) -> tuple[str, ...]:
        """A block's meta; the addresses that changed by it."""
        slot = event.slot
        if slot is None:
            return ()
        if event.block_time is not None and slot >= self.state.block_slot:
            self.state.block_time, self.state.block_slot = event.block_time, slot
        return self._advance(slot, slot)

    def gap_opened(self, seq: int) -> None:
        """Nothing is known until it is told anew; what a second gap meets still stale is forgotten for good."""
        for signature in list(self.staged):
            self._abandon(signature)
        for address in [address for address, row in self.rows.items() if row.stale is not None]:
            self._forget(address)
        for row in self.rows.values():
            row.stale = seq
        self._unload()

    def gap_filled(self, opened: int) -> None:
        """A replay brought all that the gap had hidden: what it did not tell anew did not change."""
        for row in self.rows.values():
            if row.stale == opened:
                row.stale = None
        self._unload()

    def orphaned(self, slot: int) -> tuple[str, ...]:
        """What this slot wrote is unknown; the addresses concerned."""
        for signature in [signature for signature, by in self.staged.items() if by.slot == slot]:
            for address in self.staged.pop(signature).rows:
                del self.writers[address]
        gone = tuple(address for address, row in self.rows.items() if row.slot == slot)
        for address in gone:
            self._forget(address)
        self.state.ended = min(self.state.ended, slot - 1)
        if self.state.block_slot == slot:
            self.state.block_time = None
        return gone

    def opened(self, generations: tuple[str, ...]) -> None:
        """A run opens and says which program generations its recording is of: `venue=generation`."""
        for told in generations:
            venue, _, generation = told.partition("=")
            self.state.generations[venue] = generation
        self._unload()

    # what is known

    def get(self, address: str) -> Account | None:
        """The account at this address; None: unknown."""
        row = self.rows.get(address)
        return None if row is None or row.stale is not None else Account(row.owner, row.lamports, row.data)

    def clock(self) -> Clock:
        """Chain time: the highest slot told, unix seconds of the newest block (else log time), the epoch.

        A clock sysvar among the accounts that is at least as new as the newest block tells time and epoch itself.
        """
        state = self.state
        slot, time = state.slot, state.block_time
        epoch = floor_div(slot, SLOTS_PER_EPOCH)
        sysvar = self.get(CLOCK_SYSVAR)
        if sysvar is not None and len(sysvar.data) >= 40:
            told = int.from_bytes(sysvar.data[0:8], "little")
            epoch = max(epoch, int.from_bytes(sysvar.data[16:24], "little"))
            if time is None or told >= state.block_slot:
                time = int.from_bytes(sysvar.data[32:40], "little", signed=True)
        return Clock(slot, floor_div(self.now.time, 1_000_000_000) if time is None else time, epoch)

    def seen(self, *named: str) -> Reading:
        """The known accounts for whoever builds from them; who looks through finds those `named`."""
        return Reading(self.rows, dict.fromkeys(named))

    def behind(self, pool: str, mint_in: str) -> Staged | None:
        """The oldest transaction that wrote what this pool's quote reads and is not visible yet; None: none did.

        What it reads is told by the pool's account alone, so that it does not depend on quotes taken before.
        """
        account, writers = self.get(pool), self.writers
        venue = None if account is None or not writers else venue_of(account.owner)
        if account is None or venue is None:
            return None
        read = (pool, *venue.needs(pool, {pool: account}, mint_in))
        open_ones = [self.staged[writers[address]] for address in read if address in writers]
        return min(open_ones, key=lambda staged: (staged.time, staged.slot)) if open_ones else None

    def lacks(self, pool: str, mint_in: str) -> tuple[str, ...]:
        """Addresses that an exact quote of this pool still needs; (): none, or no venue's pool."""
        account = self.get(pool)
        if account is None:
            return (pool,)
        venue = venue_of(account.owner)
        return () if venue is None else venue.needs(pool, Reading(self.rows, {}), mint_in)

    def quote(
        self,
        pool: str,
        mint_in: str,
        amount: int,
        exact: Exact = "in",
        *,
        clock: Clock | None = None,
        limit: int | None = None,
    ) -> Exactly | None:
        """What the venue's program would do now; None where no venue's pool account is known at this address."""
        loaded = self.loaded.get(pool) or self._load(pool)
        if loaded is None:
            return None
        newest = loaded.newest.get(mint_in) or self._expect(pool, loaded, mint_in)
        ready = loaded.ready
        if type(ready) is Refusal:
            return Exactly(ready, *newest)
        clock = clock or self.clock()
        found = ready.quote(mint_in=mint_in, amount=amount, exact=exact, clock=clock, limit=limit)
        if loaded.counted != len(loaded.asked):
            self._note(pool, loaded)
        if loaded.is_beyond:
            # this quote or one before it: what this one reads by itself shows when it is asked of a fresh pool
            fresh, asked = self._decoded(pool)
            if not isinstance(fresh, Refusal):
                found = fresh.quote(mint_in=mint_in, amount=amount, exact=exact, clock=clock, limit=limit)
            newest = max(newest, self._newest(asked))
        return Exactly(found, *newest)

    def paid(self, pool: str, mint_in: str, amount: int) -> Paid | None:
        """What the program would pay for this input now; None where no venue's pool account is known at this address.

        An answer is remembered until an account that the pool read changes, or what it read of the clock: a pool of a
        busy mint is asked the same again and again.
        """
        loaded = self.loaded.get(pool)
        clock = self.clock()
        if loaded is not None and not loaded.is_beyond:
            told = loaded.told.get((mint_in, amount))
            if (
                told is not None
                and told.unix_timestamp in (None, clock.unix_timestamp)
                and told.epoch in (None, clock.epoch)
                and told.slot in (None, clock.slot)
            ):
                return told.paid
        noted = NotedClock(clock)
        exact = self.quote(pool, mint_in, amount, clock=cast("Clock", noted))
        if exact is None:
            return None
        found = exact.found
        if type(found) is Refusal:
            paid = Paid(0, found, exact.seq, exact.slot)
        else:
            paid = Paid(0 if found.partial else found.amount_out, None, exact.seq, exact.slot)
        memory = self.loaded[pool].told
        memory[mint_in, amount] = Told(paid, *noted.noted)
        if len(memory) > MOST_TOLD:
            del memory[next(iter(memory))]
        return paid

    # inside

    def _load(self, pool: str) -> Loaded | None:
        account = self.get(pool)
        if account is None or venue_of(account.owner) is None:
            return None
        ready, asked = self._decoded(pool)
        self.loads += 1
        if self.loads > MOST_READY:
            self._unload()
        loaded = self.loaded[pool] = Loaded(ready, asked)
        self._note(pool, loaded)
        return loaded

    def _decoded(self, pool: str) -> tuple[Ready | Refusal, dict[str, None]]:
        """The pool, whose account is known and a venue's, and the addresses it asks for from now on."""
        asked: dict[str, None] = {}
        venue = venue_of(self.rows[pool].owner)
        assert venue is not None
        return venue.load(pool, Reading(self.rows, asked), self.state.generations.get(venue.id)), asked

    def _expect(self, pool: str, loaded: Loaded, mint_in: str) -> tuple[Seq, Slot]:
        """Newest record of what a quote of this direction reads: what the state says, not what was quoted before.

        That is what decoding asks for, and all that the venue says a quote needs.
        """
        venue = venue_of(self.rows[pool].owner)
        assert venue is not None
        read: dict[str, None] = {}
        known: dict[str, Account] = {}
        more: Iterable[str] = loaded.first
        while more:
            read.update(dict.fromkeys(more))
            known |= {address: account for address in more if (account := self.get(address)) is not None}
            more = [address for address in venue.needs(pool, known, mint_in) if address not in read]
        for address in read:
            self.users.setdefault(address, {})[pool] = None
        loaded.expected.update(read)
        newest = loaded.newest[mint_in] = self._newest(read)
        return newest

    def _newest(self, addresses: Iterable[str]) -> tuple[Seq, Slot]:
        """Seq and slot of the newest record among these accounts."""
        newest = (0, 0)
        for address in addresses:
            row = self.rows.get(address)
            if row is not None and row.seq > newest[0]:
                newest = (row.seq, row.slot)
        return newest

    def _note(self, pool: str, loaded: Loaded) -> None:
        """Remember who reads what, and whether that is more than the state says."""
        for address in loaded.asked:
            self.users.setdefault(address, {})[pool] = None
            loaded.is_beyond = loaded.is_beyond or address not in loaded.expected
        loaded.counted = len(loaded.asked)

    def _unload(self) -> None:
        self.loaded.clear()
        self.users.clear()
        self.loads = 0

    def _advance(self, slot: int, ended: int | None) -> tuple[str, ...]:
        """The chain reached `slot`, and all slots up to `ended` are over."""
        state = self.state
        if slot > state.slot:
            state.slot = slot
            state.told.clear()
        if ended is None or ended <= state.ended:
            return ()
        state.ended = ended
        return self._end(ended)

    def _end(self, slot: int) -> tuple[str, ...]:
        """All slots up to this one are over."""
        changed: tuple[str, ...] = ()
        for signature in [signature for signature, by in self.staged.items() if by.slot <= slot]:
            changed += self._close(signature)
        return changed

    def _close(self, signature: str) -> tuple[str, ...]:
        """Show all that a transaction wrote."""
        rows = self.staged.pop(signature).rows
        for address in rows:
            del self.writers[address]
        return self._show(rows)

    def _abandon(self, signature: str) -> None:
        """A staged transaction whose end will not be told: what it wrote is unknown."""
        for address in self.staged.pop(signature).rows:
            del self.writers[address]
            self._forget(address)

    def _show(self, rows: dict[str, AccountRow]) -> tuple[str, ...]:
        """Put rows in that are not older than those known; the addresses that changed."""
        changed = []
        for address, row in rows.items():
            known = self.rows.get(address)
            if known is not None and (known.slot, known.write_version) > (row.slot, row.write_version):
                continue
            self.state.size += len(row.data) - (0 if known is None else len(known.data))
            self.rows[address] = row
            self._changed(address)
            changed.append(address)
        if len(self.rows) > MOST_ACCOUNTS or self.state.size > MOST_BYTES:
            self._forget_oldest()
        return tuple(changed)

    def _forget(self, address: str) -> None:
        row = self.rows.pop(address, None)
        if row is not None:
            self.state.size -= len(row.data)
            self._changed(address)

    def _changed(self, address: str) -> None:
        """Pools that read this account are decoded anew."""
        for pool in self.users.pop(address, ()):
            self.loaded.pop(pool, None)

    def _forget_oldest(self) -> None:
        shared = {address: self.rows.pop(address) for address in SHARED if address in self.rows}
        forget_oldest(self.rows, min(MOST_ACCOUNTS, len(self.rows) - 1))
        self.rows.update(shared)
        self.state.size = sum(len(row.data) for row in self.rows.values())
        self._unload()
