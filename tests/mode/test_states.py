"""States as snapshots carry them."""

import msgspec
import pytest
from msgspec import Struct, field

from ironcrab.dex.address import WSOL
from ironcrab.domain.market import AccountWritten, PoolStateUpdate, Trade
from ironcrab.loop import Now
from ironcrab.market.known import Known
from ironcrab.mode.states import decode_state, encode_state
from tests.pool_sets import key, sets


class Sums(Struct):
    """A user's state: integers of any size, and keys that are numbers."""

    total: int = 0
    by_slot: dict[int, int] = field(default_factory=dict)


def known_pools():
    known = Known.fresh(Now())
    for seq, made in enumerate(sets().values()):
        for address, account in made.accounts.items():
            known.pools.step(seq, AccountWritten(address, account.owner, account.lamports, account.data, slot=1))
        known.pools.step(seq, PoolStateUpdate(made.pool, "raydium", 0, 7, key(200), WSOL, 1))
        trade = Trade(made.pool, key(200), key(201), True, 9, 9, 6, dex="raydium", slot=2)
        known.pools.step(seq, trade)
    return known


def test_a_state_comes_back_as_it_was():
    state = known_pools().pools.state
    back = decode_state(encode_state(state), type(state))
    assert back == state
    assert encode_state(back) == encode_state(state)
    assert list(back.accounts.rows) == list(state.accounts.rows)


@pytest.mark.parametrize("state", [Sums(), Sums(2**63, {-4: 2}), Sums(2**64), Sums(1, {3: -(2**200)})])
def test_integers_of_any_size_are_kept(state):
    assert decode_state(encode_state(state), Sums) == state


def test_states_of_earlier_logs_are_json_and_are_read():
    state = known_pools().pools.state
    assert decode_state(msgspec.json.encode(state), type(state)) == state


def test_account_bytes_are_kept_as_they_are():
    state = known_pools().pools.state
    data = encode_state(state)
    assert all(row.data in data for row in state.accounts.rows.values())
    assert len(data) < 0.85 * len(msgspec.json.encode(state))
