"""What a Whirlpool swap leaves behind: pool, tick arrays, oracle and vaults, byte for byte.

Sources: orca-so/whirlpools `state/whirlpool.rs`, `manager/tick_manager.rs`, `manager/whirlpool_manager.rs`.
"""

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from ironcrab.dex.address import SYSTEM
from ironcrab.dex.face import Account
from ironcrab.dex.mint import moved
from ironcrab.dex.ticks import array_start
from ironcrab.dex.whirlpool_state import (
    Reward,
    Tick,
    TickArray,
    Whirlpool,
    array_address,
    encode_array,
    encode_oracle,
    encode_whirlpool,
    oracle_address,
)
from ironcrab.dex.whirlpool_steps import U64, U128
from ironcrab.dex.whirlpool_swap import Filled, Path

_NO_MINT = SYSTEM
"""A reward that is not initialised names the key of 32 zeros."""


class After(Mapping[str, Account]):
    """Changed accounts by address; they are made at the first look, a quote alone does not pay for them.

    Args:
        filled: what the swap did at the pool.
        work: makes the accounts.
    """

    __slots__ = ("_accounts", "_work", "filled")

    def __init__(self, filled: Filled, work: Callable[[], dict[str, Account]]) -> None:
        self.filled = filled
        self._work = work
        self._accounts: dict[str, Account] | None = None

    def __getitem__(self, address: str) -> Account:
        return self._made()[address]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made())

    def __len__(self) -> int:
        return len(self._made())

    def __or__(self, other: Mapping[str, Account]) -> dict[str, Account]:
        return {**self, **other}

    def __ror__(self, other: Mapping[str, Account]) -> dict[str, Account]:
        return {**other, **self}

    def __repr__(self) -> str:
        return f"After({self._made()!r})"

    def _made(self) -> dict[str, Account]:
        if self._accounts is None:
            self._accounts = self._work()
        return self._accounts


class Changed(Struct, frozen=True, gc=False):
    """What the accounts afterwards are made of.

    Attributes:
        address: the pool's address.
        program: the deployment that owns it.
        state: the pool before.
        arrays: tick arrays before, by start.
        raw: the accounts before, by address: only what is here is written.
        path: the path the swap took.
        a_to_b: direction.
        now: unix second of the swap.
        withheld: transfer fee that the input vault keeps, raw units.
    """

    address: str
    program: str
    state: Whirlpool
    arrays: dict[int, TickArray | None]
    raw: dict[str, Account]
    path: Path
    a_to_b: bool
    now: int
    withheld: int


def accounts_after(before: Changed, filled: Filled) -> dict[str, Account]:
    """The accounts that a swap changes, as they stand afterwards, by address: those that are known.

    The protocol fees owed wrap around a u64, as the executed program's do.
    """
    state, raw, a_to_b = before.state, before.raw, before.a_to_b
    rewards = _rewards(state, before.now)
    later = replace(
        state,
        liquidity=filled.liquidity,
        sqrt_price=filled.sqrt_price,
        tick=filled.tick,
        protocol_a=state.protocol_a + (filled.protocol if a_to_b else 0) & U64,
        protocol_b=state.protocol_b + (0 if a_to_b else filled.protocol) & U64,
        growth_a=filled.growth if a_to_b else state.growth_a,
        growth_b=state.growth_b if a_to_b else filled.growth,
        rewarded_at=before.now,
        rewards=rewards,
    )
    data = {before.address: encode_whirlpool(later, raw[before.address].data)}
    for start, array in _crossed(before, filled, rewards).items():
        where = array_address(before.program, before.address, start)
        data[where] = encode_array(array, raw[where].data)
    if filled.oracle is not None:
        where = oracle_address(before.program, before.address)
        data[where] = encode_oracle(filled.oracle, raw[where].data)
    changed = {where: Account(raw[where].owner, raw[where].lamports, new) for where, new in data.items()}
    vault_in, vault_out = (state.vault_a, state.vault_b) if a_to_b else (state.vault_b, state.vault_a)
    if vault_in in raw:
        changed[vault_in] = moved(raw[vault_in], filled.amount_in, before.withheld)
    if vault_out in raw:
        changed[vault_out] = moved(raw[vault_out], -filled.amount_out)
    return changed


def _rewards(state: Whirlpool, now: int) -> tuple[Reward, Reward, Reward]:
    """Reward growths brought up to a second (`whirlpool_manager.rs`); an overflow halts a reward."""
    elapsed = now - state.rewarded_at
    if state.liquidity == 0 or elapsed == 0:
        return state.rewards
    first, second, third = (_grown(reward, elapsed, state.liquidity) for reward in state.rewards)
    return first, second, third


def _grown(reward: Reward, elapsed: int, liquidity: int) -> Reward:
    emitted = elapsed * reward.emissions
    if reward.mint == _NO_MINT or emitted > U128:
        return reward
    return replace(reward, growth=reward.growth + emitted // liquidity & U128)


def _crossed(before: Changed, filled: Filled, rewards: tuple[Reward, ...]) -> dict[int, TickArray]:
    """The tick arrays in which ticks were crossed: each crossing turns the growths outside round."""
    passed = zip(before.path.stops[: filled.passed], before.path.legs, strict=False)
    crossings = [(tick, leg.growth) for (tick, net), leg in passed if net is not None]
    arrays: dict[int, TickArray] = {}
    state = before.state
    spacing = state.spacing
    for index, growth in (*crossings, *filled.crossed):
        start = array_start(index, spacing)
        array = before.arrays[start]
        assert array is not None, "a tick was crossed where no array is"
        if start not in arrays:
            arrays[start] = replace(array, ticks=dict(array.ticks))
        array = arrays[start]
        place = (index - start) // spacing
        tick = array.ticks[place]
        growth_a, growth_b = (growth, state.growth_b) if before.a_to_b else (state.growth_a, growth)
        first, second, third = (
            old if reward.mint == _NO_MINT else reward.growth - old & U128
            for reward, old in zip(rewards, tick.rewards, strict=True)
        )
        outside = (growth_a - tick.outside_a & U128, growth_b - tick.outside_b & U128)
        array.ticks[place] = Tick(tick.net, tick.gross, *outside, (first, second, third))
    return arrays
