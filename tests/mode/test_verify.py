"""Replay: identical where nothing changed; the first difference, field by field, where something did."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from ironcrab.log import manifest
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.mode.verify import follow

ROOT = Path(__file__).parents[2]


def command(*args, package=ROOT, seed="0", zone="UTC", cwd=None):
    environment = {**os.environ, "PYTHONPATH": str(package), "PYTHONHASHSEED": seed, "TZ": zone, "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "ironcrab.app", *map(str, args)],
        env=environment, cwd=cwd or package, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_run_is_identical_hot_and_sealed(small):
    hot = follow(small)
    assert hot.verdict == "identical"
    assert hot.runs[0].derived == hot.runs[0].recomputed == hot.runs[0].equal > 100
    assert hot.runs[0].unfinished == 0
    seal(small.path)
    assert follow(Recording.open(small.path)) == hot


def test_follow_stops_where_it_is_told(small):
    report = follow(small, until_seq=300)
    assert report.verdict == "identical"
    assert report.runs[0].derived < follow(small).runs[0].derived
    assert follow(small, until_slot=1100).verdict == "identical"


def test_goldens_are_identical_under_two_hash_seeds(golden):
    for seed in ("0", "1"):
        code, out, _ = command("verify", golden, seed=seed)
        assert code == 0, out
        assert "identical" in out
        derived = re.search(r"recomputed ([\d,]+) of ([\d,]+) derived", out)
        assert derived is not None
        assert derived[1] == derived[2]


def test_snapshots_change_nothing_but_time(day, tmp_path):
    copy = Path(shutil.copytree(day.path, tmp_path / "day"))
    shutil.rmtree(copy / "snapshots")
    assert follow(Recording.open(copy)).runs == follow(day).runs


def edited(tmp_path, file, old, new):
    """A copy of the package with one edit."""
    package = tmp_path / "edited"
    shutil.copytree(ROOT / "ironcrab", package / "ironcrab", ignore=shutil.ignore_patterns("__pycache__"))
    path = package / "ironcrab" / file
    text = path.read_text()
    assert old in text, f"{file} holds no {old!r}"
    path.write_text(text.replace(old, new, 1))
    return package


def test_an_edited_comment_is_no_divergence(golden, tmp_path):
    package = edited(tmp_path, "strategy/gates.py", '"""', '# a comment\n"""')
    code, out, _ = command("verify", golden, package=package)
    assert code == 0, out
    assert "identical" in out
    assert out == command("verify", golden)[1]


def test_an_edited_comparison_is_named_with_its_values(golden, tmp_path):
    package = edited(tmp_path, "strategy/gates.py", "if unique < entry.min_unique_buyers", "if unique > 10**6")
    code, out, err = command("verify", golden, package=package)
    assert code == 3, out + err
    assert "first divergence, at seq " in out
    assert "first of each other reducer and subject" in out
    assert re.search(r"measures\[0\]\.name: recorded 'unique_buyers', recomputed '\w+'", out)
    assert "ironcrab explain" in out
    assert "code of momentum-bot differs" in out


def test_an_edit_that_makes_a_reducer_raise_is_named_with_its_seq(golden, tmp_path):
    package = edited(tmp_path, "strategy/gates.py", "if unique < entry.min_unique_buyers", "if unique < entry.gone")
    code, out, err = command("verify", golden, package=package)
    assert code == 3, out + err
    assert re.search(r"first divergence, at seq \d+:\n    #\d+ \w+ by momentum-bot .*: raised\n", out), out
    assert "raised: \"AttributeError: 'Entry" in out, out


def test_one_changed_record_is_found_field_by_field(small):
    """A decision that was recorded otherwise diverges alone: what others said is not dragged along."""
    from ironcrab.domain.trade import DecisionRecord
    from ironcrab.log.line import encode, genesis

    path = next((small.path / "segments").glob("*.jsonl"))
    opening, *_ = path.read_bytes().splitlines(keepends=True)
    head, lines, changed = genesis(small.log_id), [opening], None
    import msgspec

    for record in small.records():
        written = record
        if changed is None and isinstance(record.event, DecisionRecord):
            event = msgspec.structs.replace(record.event, plan_hash="another")
            written = msgspec.structs.replace(record, event=event)
            changed = record.seq
        line, head = encode(written, head)
        lines.append(line)
    path.write_bytes(b"".join(lines))
    listed = manifest.load(small.path)
    manifest.save(small.path, msgspec.structs.replace(listed, segments=()))
    report = follow(Recording.open(small.path))
    assert report.verdict == "diverged"
    (found,) = report.runs[0].divergences
    assert found.seq == changed
    assert [(field.field, field.recorded) for field in found.fields] == [("plan_hash", "another")]
    assert found.following == 0


def test_same_inputs_give_the_same_folder(golden, tmp_path):
    """Other seeds, time zones, working folders: `diff -r` finds nothing."""
    toml = tmp_path / "s.toml"
    toml.write_text('strategies = ["momentum"]\n[momentum]\nearly_min_token_age_secs = 0\n')
    outs = []
    for seed, zone in (("0", "UTC"), ("1", "Pacific/Auckland"), ("77", "America/New_York")):
        room = tmp_path / seed
        room.mkdir()
        code, out, err = command("run", golden, toml, "--out", room / "r", seed=seed, zone=zone, cwd=room)
        assert code == 0, out + err
        outs.append(room / "r")
    for other in outs[1:]:
        assert subprocess.run(["diff", "-r", outs[0], other], check=False).returncode == 0


def every_file(folder):
    return sorted(path for path in Path(folder).rglob("*") if path.is_file())


@pytest.mark.parametrize("spread", [0, 1, 2, 3])
def test_one_flipped_bit_is_never_accepted(golden, spread):
    """Bits all over every file, manifest included: damage is told, with the file's name."""
    for path in every_file(golden):
        data = path.read_bytes()
        for place in range(spread * len(data) // 4 + spread, len(data), max(1, len(data) // 6)):
            damaged = bytearray(data)
            damaged[place] ^= 1 << (place % 8)
            path.write_bytes(damaged)
            code, text = judged(golden)
            assert code == 1, f"{path.name} byte {place}: accepted"
            assert path.name in text, f"{path.name} byte {place}: {text}"
            path.write_bytes(data)
    assert judged(golden)[0] == 0


def judged(folder):
    """What `verify` says, in this process."""
    from click.testing import CliRunner

    from ironcrab.app.judging import verify_command
    from ironcrab.domain.fault import Fault

    done = CliRunner().invoke(verify_command, [str(folder)])
    if isinstance(done.exception, Fault):
        return 1, str(done.exception)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def test_a_damaged_snapshot_is_told_and_harms_nobody_else(day, tmp_path):
    copy = Path(shutil.copytree(day.path, tmp_path / "day"))
    victim = sorted((copy / "snapshots").iterdir())[3]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 4
    victim.write_bytes(data)
    code, text = judged(copy)
    assert code == 1
    assert victim.name in text
    assert "identical" in text
    assert follow(Recording.open(copy)).verdict == "identical"


@pytest.mark.parametrize("place", [0, 3, -1])
def test_a_damaged_snapshot_is_made_again_byte_for_byte(place, day, tmp_path):
    copy = Path(shutil.copytree(day.path, tmp_path / "day"))
    victim = sorted((copy / "snapshots").iterdir())[place]
    data = victim.read_bytes()
    victim.write_bytes(data[:-9])
    target = str(int(victim.stem.removeprefix("snap-")) + 5)
    code, _, told = command("explain", copy, target)
    assert code == 0
    assert told == f"warning: {copy}: snapshot {victim.name} was damaged and is made again\n"
    assert victim.read_bytes() == data
    assert command("explain", copy, target)[2] == ""
    victim.write_bytes(data[1:])
    assert "made again" in command("replay", copy)[2]
    assert victim.read_bytes() == data


def test_a_missing_segment_is_told(small):
    seal(small.path)
    (folder,) = (path for path in (small.path / "segments").iterdir() if path.is_dir())
    shutil.rmtree(folder)
    code, text = judged(small.path)
    assert code == 1
    assert folder.name in text


def test_a_word_too_many_at_the_end_diverges_where_the_run_came_to_its_end(small):
    """Cut off, it may still have been about to be written; in a run that ended nothing was."""
    records = list(small.records())
    last = next(record.seq for record in reversed(records) if record.cause is not None)
    assert type(records[-1].event).__name__ == "RunEnded"
    cut = follow(small, until_seq=last - 1).runs[0]
    assert (cut.divergences, cut.unfinished) == ((), 1)
    assert cut.recomputed == cut.derived
    package = small.path.parent / "without"
    with Recording.create(package, small.log_id) as writer:
        for record in records:
            if record.seq != last:
                writer.append(replace(record, seq=record.seq - (record.seq > last)))
    found = follow(Recording.open(package)).runs[0].divergences
    assert [(one.kind, one.type) for one in found] == [("not recorded", type(records[last].event).__name__)]
