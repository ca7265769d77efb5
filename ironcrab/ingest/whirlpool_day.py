"""One day of decoded Whirlpool transactions (JSON lines, one block a line) -> market events.

A line is `{slot, blockHeight, blockTime, transactions}`; a transaction has `index` (place in its block), `signature`,
`payer`, `balances` (vault amounts before and after) and `instructions`, only those of the Whirlpool program, in
execution order, each with the amounts of its token transfers.

What the file does not tell is not made up:
- Mints of a pool stand only in `initializePool`; the pools traded on 2022-04-06 are in `POOLS`, taken from their
  accounts (offsets 101 and 181). A swap on any other pool is counted, `instruction_of_unknown_pool`.
- Supply and authorities of mints: no TokenMintInfo, except of WSOL, which has none of them. Trades carry decimals.
- When a pool was created: a pool that is simply there is told as DexPoolAccounts, not as PoolCreated.
- `position` counts the transaction's Whirlpool instructions; calls of other programs are not in the file.

Vault amounts between the instructions of one transaction follow by continuity: amounts before, plus transfers.
With the accounts rebuilt from the day's end (`whirlpool_states`), each transaction's writes stand before what it did:
pools and tick arrays as it left them, vaults with the balances that the file tells.

A SlotUpdate is told for each slot with content and for the first slot of each second, after the content, as a feed
tells `processed`. Time is the block time, whole seconds.
"""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import DecodeError, Struct, field
from msgspec.json import Decoder

from ironcrab.dex import Account
from ironcrab.domain.control import GapClosed, GapOpened
from ironcrab.domain.event import Event
from ironcrab.domain.market import (
    AccountWritten,
    DexPoolAccounts,
    LiquidityRemoved,
    PoolCreated,
    PoolStateUpdate,
    SlotUpdate,
    TokenMintInfo,
    Trade,
)
from ironcrab.domain.units import SOL_MINT, TOKEN_PROGRAM, USDC_MINT, USDT_MINT
from ironcrab.ingest.counts import Counts, count
from ironcrab.ingest.trades import quote_of
from ironcrab.ingest.whirlpool_states import Rebuilt, vault_account

_DEX = "orca"
_SOURCE = "whirlpool-day"
_SECOND = 1_000_000_000
_U64 = 2**64
_ORCA = "orcaEKTdK7LKz57vaAYr9QeNsVEPfiu6QeMU1kektZE"
_MSOL = "mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So"
_UST = "9vMJfxuKxXBoEa7rM12mYLMwTacLMLDJqHozw96WQL8i"

POOLS: dict[str, tuple[str, str]] = {
    "65shmpuYmxx5p7ggNCZbyrGLCXVqbBR1ZD5aAocRBUNG": (SOL_MINT, USDC_MINT),
    "24WZto6BNjNamZFUPf3nQZZaFpuvBwdqT5B8QQjpNjGb": (_MSOL, USDC_MINT),
    "FSBDeuLQ19Hse2jzhHfDwTvEoeRWD7UKK4BM1zgbV7pY": (_ORCA, USDC_MINT),
    "HJPjoWUrhoZzkNfRpHuieeFk9WcZWjwy6PBjZ81ngndJ": (SOL_MINT, USDC_MINT),
    "AiMZS5U3JMvpdvsr1KeaMiS354Z1DeSg5XjA4yYRxtFf": (_MSOL, USDC_MINT),
    "5Z66YYYaTmmx1R4mATAGLSc8aV4Vfy5tNdJQzk1GP9RF": (_ORCA, USDC_MINT),
    "4fuUiYxTQ6QCrdSq9ouBYcTM7bqSwYTSyLueGZLTy4T4": (USDC_MINT, USDT_MINT),
    "HyBtxWGiYKzHG5WERyA6Ks9tq6k33UyXrU9Aj1BUFK2J": (_UST, USDC_MINT),
}
"""Pool -> mints A and B, of every pool traded on 2022-04-06."""

DECIMALS = {SOL_MINT: 9, USDC_MINT: 6, USDT_MINT: 6, _MSOL: 9, _ORCA: 6, _UST: 6}
"""Decimals of those pools' mints (their mint accounts, byte 44)."""


class _Balance(Struct, frozen=True, gc=False):
    account: str
    pre: str
    post: str


class _Instruction(Struct, frozen=True, gc=False):
    name: str
    payload: dict[str, str | int]


class _Transaction(Struct, frozen=True, gc=False):
    index: int
    signature: str
    payer: str
    balances: tuple[_Balance, ...]
    instructions: tuple[_Instruction, ...]


class _Block(Struct, frozen=True, gc=False):
    slot: int
    height: int = field(name="blockHeight")
    time: int = field(name="blockTime")
    transactions: tuple[_Transaction, ...] = ()


class _Place(Struct, frozen=True, gc=False):
    """Where an instruction stands."""

    slot: int
    transaction: _Transaction
    position: int


class Day:
    """Reads one day's file.

    Args:
        pools: pool -> mints A and B.
        decimals: mint -> decimals.
        states: the accounts of the day; None: they are not known, trades and reserves alone are told.

    Attributes:
        counts: `line_unreadable` (with all that it held), `line_out_of_order` (dropped), `instruction_malformed`,
            `instruction_of_unknown_pool`, `transaction_amounts_discontinuous` (transfers do not lead from the amounts
            before to those after: no state of its pools is told).
    """

    def __init__(
        self,
        pools: Mapping[str, tuple[str, str]] = POOLS,
        decimals: Mapping[str, int] = DECIMALS,
        states: Rebuilt | None = None,
    ) -> None:
        self.states = states or Rebuilt()
        self.opened: dict[str, None] = {}
        self.writes = 0
        self.pools = dict(pools)
        self.decimals = dict(decimals)
        self.counts: Counts = {}
        self.met: dict[str, None] = {}
        self.last: _Block | None = None

    def events(self, lines: Iterable[bytes]) -> Iterator[tuple[int, Event]]:
        """The events of the day with their times in nanoseconds since 1970, in the file's order. Never raises."""
        decoder = Decoder(_Block)
        for line in lines:
            if not line.strip():
                continue
            try:
                block = decoder.decode(line)
            except (DecodeError, UnicodeDecodeError):
                count(self.counts, "line_unreadable")
                continue
            last = self.last
            if (last is not None and (block.slot <= last.slot or block.time < last.time)) or block.time < 0:
                count(self.counts, "line_out_of_order")
                continue
            for event in self._block(block, last):
                yield block.time * _SECOND, event
            self.last = block

    def _block(self, block: _Block, last: _Block | None) -> Iterator[Event]:
        follows = last is not None and block.height == last.height + 1
        if last is not None and not follows:
            yield GapOpened(_SOURCE, last.slot + 1, block.slot - 1, "the block height jumps")
            yield GapClosed(_SOURCE, None, block.slot - 1, filled=False)
        for transaction in block.transactions:
            yield from self._transaction(block.slot, transaction)
        if block.transactions or last is None or block.time > last.time:
            parent = last.slot if last is not None and follows else None
            yield SlotUpdate(block.slot, slot=block.slot, source=_SOURCE, parent=parent)

    def _transaction(self, slot: int, transaction: _Transaction) -> Iterator[Event]:
        amounts = _amounts(transaction)
        steady = amounts is not None and _steady(transaction, amounts)
        if not steady:
            count(self.counts, "transaction_amounts_discontinuous")
        yield from self._opened(slot, transaction)
        if steady:
            yield from self._written(slot, transaction)
        for position, instruction in enumerate(transaction.instructions):
            place = _Place(slot, transaction, position)
            if instruction.name == "initializePool":
                yield from self._created(instruction, place)
            elif instruction.name in _MOVES:
                yield from self._moved(instruction, place, amounts if steady else None)

    def _opened(self, slot: int, transaction: _Transaction) -> Iterator[Event]:
        """Accounts that the day meets for the first time, as they stood before."""
        for instruction in transaction.instructions:
            pool = _text(instruction, "keyWhirlpool")
            if pool not in self.opened:
                self.opened[pool] = None
                for address, account in self.states.opening.get(pool, {}).items():
                    yield self._write(slot, None, address, account)
        for row in transaction.balances:
            held, amount = self.states.vaults.get(row.account), _amount(row.pre)
            if held is not None and amount is not None and row.account not in self.opened:
                self.opened[row.account] = None
                yield self._write(slot, None, row.account, vault_account(*held, amount))

    def _written(self, slot: int, transaction: _Transaction) -> Iterator[Event]:
        """What a transaction left in the accounts."""
        for address, account in self.states.left.get((slot, transaction.index), {}).items():
            yield self._write(slot, transaction.signature, address, account)
        for row in transaction.balances:
            held = self.states.vaults.get(row.account)
            if held is not None and row.pre != row.post:
                account = vault_account(*held, _amount(row.post) or 0)
                yield self._write(slot, transaction.signature, row.account, account)

    def _write(self, slot: int, signature: str | None, address: str, account: Account) -> AccountWritten:
        self.writes += 1
        return AccountWritten(
            address, account.owner, account.lamports, account.data, slot, self.writes, signature, _SOURCE
        )

    def _created(self, instruction: _Instruction, place: _Place) -> Iterator[Event]:
        named = [_text(instruction, key) for key in ("keyWhirlpool", "keyTokenMintA", "keyTokenMintB", "keyFunder")]
        if not all(named):
            count(self.counts, "instruction_malformed")
            return
        pool, mint_a, mint_b, funder = named
        self.pools[pool] = (mint_a, mint_b)
        base, quote = _sides(mint_a, mint_b)
        yield PoolCreated(
            pool_address=pool,
            base_mint=base,
            quote_mint=quote,
            dex=_DEX,
            initial_liquidity_sol="0" if quote == SOL_MINT else None,
            slot=place.slot,
            source=_SOURCE,
            signature=place.transaction.signature,
            index=place.transaction.index,
            position=place.position,
            creator=funder,
        )

    def _moved(self, instruction: _Instruction, place: _Place, amounts: dict[str, int] | None) -> Iterator[Event]:
        """A swap, a change of liquidity or a collection of fees: what it was, then the reserves after it."""
        pool = _text(instruction, "keyWhirlpool")
        moved = _transfers(instruction)
        if moved is None or not 0 <= place.transaction.index < 2**32:
            count(self.counts, "instruction_malformed")
            return
        vaults = _vaults(instruction)
        if amounts is not None:
            for vault, change in zip(vaults, moved, strict=True):
                amounts[vault] = amounts.get(vault, 0) + change
        mints = self.pools.get(pool)
        if mints is None or not all(mint in self.decimals for mint in mints):
            count(self.counts, "instruction_of_unknown_pool")
            return
        yield from self._met(pool, mints, vaults, place.slot)
        base, quote = _sides(*mints)
        turned = quote == mints[0]
        by_base, by_quote = (moved[1], moved[0]) if turned else moved
        if instruction.name == "swap":
            yield self._trade(instruction, place, (abs(by_base), abs(by_quote)))
        elif instruction.name == "decreaseLiquidity" and any(moved):
            yield LiquidityRemoved(
                pool_address=pool,
                mint=base,
                sol_amount=-by_quote,
                token_amount=-by_base,
                signature=place.transaction.signature,
                slot=place.slot,
                source=_SOURCE,
                index=place.transaction.index,
                position=place.position,
            )
        if amounts is not None and any(moved):
            after = (amounts[vaults[0]], amounts[vaults[1]])
            yield PoolStateUpdate(
                pool_address=pool,
                dex=_DEX,
                reserve_base=after[1] if turned else after[0],
                reserve_quote=after[0] if turned else after[1],
                base_mint=base,
                quote_mint=quote,
                update_slot=place.slot,
                slot=place.slot,
                source=_SOURCE,
            )

    def _trade(self, instruction: _Instruction, place: _Place, amounts: tuple[int, int]) -> Trade:
        """A swap; `amounts` are the raw amounts of base and quote."""
        pool = _text(instruction, "keyWhirlpool")
        base, quote = _sides(*self.pools[pool])
        return Trade(
            pool_address=pool,
            mint=base,
            trader=_text(instruction, "keyTokenAuthority"),
            is_buy=bool(instruction.payload["dataAToB"]) == (quote == self.pools[pool][0]),
            sol_amount=amounts[1],
            token_amount=amounts[0],
            token_decimals=self.decimals[base],
            dex=_DEX,
            quote_mint=quote,
            signature=place.transaction.signature,
            token_program=_text(instruction, "keyTokenProgram") or None,
            slot=place.slot,
            source=_SOURCE,
            index=place.transaction.index,
            position=place.position,
        )

    def _met(self, pool: str, mints: tuple[str, str], vaults: tuple[str, str], slot: int) -> Iterator[Event]:
        """A pool's accounts the first time that it is met, and WSOL's mint with the first pool that trades it."""
        if SOL_MINT in mints and SOL_MINT not in self.met:
            self.met[SOL_MINT] = None
            yield TokenMintInfo(SOL_MINT, TOKEN_PROGRAM, 9, 0, slot=slot, source=_SOURCE)
        if pool not in self.met:
            self.met[pool] = None
            yield DexPoolAccounts(_DEX, pool, *_sides(*mints), vaults, slot=slot, source=_SOURCE)


_MOVES = ("swap", "increaseLiquidity", "decreaseLiquidity", "collectFees")
"""Instructions that move amounts of a pool's vaults."""


def _sides(mint_a: str, mint_b: str) -> tuple[str, str]:
    """Base and quote mint."""
    quote = quote_of(mint_a, mint_b)
    return (mint_b if quote == mint_a else mint_a), quote


def _text(instruction: _Instruction, key: str) -> str:
    """A text of the payload, "" where there is none."""
    value = instruction.payload.get(key)
    return value if isinstance(value, str) else ""


def _vaults(instruction: _Instruction) -> tuple[str, str]:
    """Both vaults; `swap` spells them without `Token`."""
    a, b = (_text(instruction, f"keyTokenVault{side}") or _text(instruction, f"keyVault{side}") for side in "AB")
    return a, b


def _transfers(instruction: _Instruction) -> tuple[int, int] | None:
    """What the two vaults gained (lost: negative); None where the payload does not tell it."""
    first, second = (_amount(_text(instruction, f"transferAmount{place}")) for place in (0, 1))
    if first is None or second is None or not all(_vaults(instruction)) or not _text(instruction, "keyWhirlpool"):
        return None
    if instruction.name == "increaseLiquidity":
        return first, second
    if instruction.name != "swap":
        return -first, -second
    a_to_b = instruction.payload.get("dataAToB")
    if a_to_b not in (0, 1) or not _text(instruction, "keyTokenAuthority"):
        return None
    return (first, -second) if a_to_b else (-second, first)


def _amount(text: str) -> int | None:
    """A u64 in decimal digits."""
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        return None
    number = int(text)
    return number if number < _U64 else None


def _amounts(transaction: _Transaction) -> dict[str, int] | None:
    """Vault amounts before the transaction; None where one is no number."""
    amounts = {row.account: _amount(row.pre) for row in transaction.balances}
    told = {account: amount for account, amount in amounts.items() if amount is not None}
    return told if len(told) == len(amounts) else None


def _steady(transaction: _Transaction, amounts: Mapping[str, int]) -> bool:
    """Whether the transfers lead from the amounts before to those after, never below zero or beyond a u64."""
    running = dict(amounts)
    for instruction in transaction.instructions:
        if instruction.name == "collectReward":
            moves = [(_text(instruction, "keyRewardVault"), -(_amount(_text(instruction, "transferAmount0")) or 0))]
        elif instruction.name in _MOVES:
            moved = _transfers(instruction)
            if moved is None:
                return False
            moves = list(zip(_vaults(instruction), moved, strict=True))
        else:
            continue
        for vault, change in moves:
            running[vault] = running.get(vault, -1 if change else 0) + change
            if not 0 <= running[vault] < _U64:
                return False
    return all(running[row.account] == _amount(row.post) for row in transaction.balances)
