"""Snapshots are caches: any changed byte is told, and the next older sound one serves."""

import pytest

from ironcrab.domain.fault import DamageFault
from ironcrab.log import snapshot
from ironcrab.log.snapshot import Snapshot

STATES = {"pools": b'{"a":[1,2,3]}' * 40, "flow": b"{}", "empty": b""}


def test_round_trip_and_choice(tmp_path):
    for seq in (10, 20, 30):
        snapshot.save(tmp_path, Snapshot(seq, bytes([seq]) * 32, STATES, {"code": str(seq)}))
    assert snapshot.nearest(tmp_path, 9) is None
    assert snapshot.nearest(tmp_path, 10).seq == 10
    found = snapshot.nearest(tmp_path, 29)
    assert found == Snapshot(20, bytes([20]) * 32, STATES, {"code": "20"})
    assert snapshot.nearest(tmp_path, 99, {"code": "10"}).seq == 10
    assert snapshot.nearest(tmp_path, 99, {"code": "40"}) is None
    assert snapshot.damaged(tmp_path) == []


def test_every_flipped_bit_shows():
    data = snapshot.encode(Snapshot(7, b"\1" * 32, STATES, {"a": "b"}))
    assert snapshot.decode(data, "x").states == STATES
    for at in range(len(data)):
        for bit in range(8):
            bad = bytearray(data)
            bad[at] ^= 1 << bit
            with pytest.raises(DamageFault, match="snap-7"):
                snapshot.decode(bytes(bad), "snap-7")
    for length in range(len(data)):
        with pytest.raises(DamageFault):
            snapshot.decode(data[:length], "x")


def test_a_damaged_one_is_told_and_passed_over(tmp_path):
    snapshot.save(tmp_path, Snapshot(10, b"\0" * 32, STATES, {}))
    path = snapshot.save(tmp_path, Snapshot(20, b"\0" * 32, STATES, {}))
    path.write_bytes(path.read_bytes()[:-1])
    assert snapshot.nearest(tmp_path, 99).seq == 10
    (fault,) = snapshot.damaged(tmp_path)
    assert path.name in str(fault)
    assert "delete it" in str(fault)
    path.rename(path.with_name("snap-00000000000000000030.zst"))
    assert len(snapshot.damaged(tmp_path)) == 1


def test_a_snapshot_under_another_name_is_not_believed(tmp_path):
    path = snapshot.save(tmp_path, Snapshot(10, b"\0" * 32, STATES, {}))
    path.rename(path.with_name("snap-00000000000000000030.zst"))
    assert snapshot.nearest(tmp_path, 99) is None
    assert len(snapshot.damaged(tmp_path)) == 1


def test_equal_states_give_equal_bytes():
    one, two = (snapshot.encode(Snapshot(7, b"\1" * 32, dict(STATES), {})) for _ in range(2))
    assert one == two


def test_start_states_halt_when_damaged_or_missing(tmp_path):
    start = snapshot.save_start(tmp_path, Snapshot(7, b"\1" * 32, STATES, {}), "the-log")
    assert (start.seq, start.head, start.log_id) == (7, "01" * 32, "the-log")
    assert snapshot.load_start(tmp_path, start).states == STATES
    path = tmp_path / start.file
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(DamageFault, match="start state"):
        snapshot.load_start(tmp_path, start)
    path.unlink()
    with pytest.raises(DamageFault, match="missing"):
        snapshot.load_start(tmp_path, start)


def chain(path, count):
    """Snapshots that stand on one another, of states that change a little."""
    base = None
    for number in range(1, count + 1):
        states = {"pools": bytes(range(256)) * 20 + b"%d" % number, "flow": b"{}" * number}
        here = Snapshot(number * 10, bytes([number]) * 32, states, {}, number - 1)
        snapshot.save(path, here, base)
        base = here
        yield here


def test_one_that_stands_on_another_holds_the_same_states_in_less(tmp_path):
    told = list(chain(tmp_path, 5))
    files = snapshot.files(tmp_path)
    assert [snapshot.load(path) for path in files] == told
    assert snapshot.nearest(tmp_path, 999) == told[-1]
    assert all(path.stat().st_size < files[0].stat().st_size for path in files[1:])
    assert snapshot.damaged(tmp_path) == []


@pytest.mark.parametrize("lost", [0, 2])
def test_who_lost_its_base_is_passed_over(tmp_path, lost):
    """Deleted or damaged: what stood on it is not there any more, and is no damage of its own."""
    told = list(chain(tmp_path, 5))
    path = snapshot.files(tmp_path)[lost]
    before = told[lost - 1] if lost else None
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert snapshot.nearest(tmp_path, 999) == before
    assert [path.name in str(fault) for fault in snapshot.damaged(tmp_path)] == [True]
    path.unlink()
    assert snapshot.nearest(tmp_path, 999) == before
    assert snapshot.damaged(tmp_path) == []


def test_a_base_replaced_by_other_states_is_no_base(tmp_path):
    """A run of other code may write at the same seq."""
    list(chain(tmp_path, 2))
    snapshot.save(tmp_path, Snapshot(10, b"\1" * 32, {"pools": b"other", "flow": b""}, {}))
    assert snapshot.nearest(tmp_path, 999).seq == 10


def test_too_many_on_one_another_are_not_believed(tmp_path):
    told = list(chain(tmp_path, snapshot.DEEPEST + 1))
    assert snapshot.nearest(tmp_path, 9_999) == told[snapshot.DEEPEST - 1]
