"""Nightly: the state machine of the engine over many sequences, and proof that it would notice.

    python tests/nightly/machines.py [SEQUENCES] [--first BATCH] [--planted]

The nightly runs 100,000 sequences of at least 50 events (about 50 ms each on one core: an hour and a half) in batches
of 500, each with its number for a seed, so that a failure is found again by `--first N`. It prints how often each rule
ran, each fault was made and each outcome came. With --planted it applies each patch of tests/nightly/planted to a copy
of the code, runs the machine there and says whether it found the bug: every one must be found.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLANTED = ROOT / "tests/nightly/planted"
SEQUENCES = 100_000
BATCH = 500
ENOUGH = 2_000
"""Sequences within which a planted bug must be found."""


def batch(number, count, shrinks):
    """Run sequences; raises what they find."""
    from hypothesis import HealthCheck, Phase, seed, settings
    from hypothesis.stateful import run_state_machine_as_test

    from tests.execution.machine import STEPS, EngineMachine

    machine = seed(number)(type("EngineMachine", (EngineMachine,), {}))
    phases = (Phase.generate, Phase.shrink) if shrinks else (Phase.generate,)
    told = settings(
        max_examples=count, stateful_step_count=STEPS, deadline=None, database=None, phases=phases,
        suppress_health_check=list(HealthCheck), derandomize=False, report_multiple_bugs=False,
    )  # fmt: skip
    run_state_machine_as_test(machine, settings=told, _min_steps=50)


def run(sequences, first, shrinks=False):
    """All batches; 0 where everything held, 1 and the sequence where not."""
    from tests.execution.machine import COUNTS

    began = time.monotonic()
    done, number = 0, first
    while done < sequences:
        count = min(BATCH, sequences - done)
        try:
            batch(number, count, shrinks)
        except Exception as error:  # noqa: BLE001 - whatever it found is told
            print(f"batch {number}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
            for note in getattr(error, "__notes__", ()):
                print(note)
            return 1
        done += count
        number += 1
    seconds = time.monotonic() - began
    print(f"{done:,} sequences of at least 50 events held, {seconds:,.0f} s")
    for name, count in sorted(COUNTS.items()):
        print(f"  {name:40} {count:>12,}")
    return 0


def planted(names=(), sequences=ENOUGH):
    """For each patch (of these names): the sentence by which the machine found it in a copy; None: it did not."""
    for patch in sorted(PLANTED.glob("*.patch")):
        if names and patch.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / "copy"
            for folder in ("ironcrab", "tests"):
                shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
            subprocess.run(["patch", "-p1", "--quiet", "-i", str(patch)], cwd=copy, check=True)
            told = subprocess.run(
                [sys.executable, "tests/nightly/machines.py", str(sequences)], cwd=copy, capture_output=True, text=True,
                env={"PYTHONPATH": str(copy), "PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"}, check=False,
            )  # fmt: skip
            if told.returncode not in (0, 1) or (told.returncode == 1 and not told.stdout):
                raise RuntimeError(f"{patch.name}: {told.stderr[-2000:]}")
            yield patch.stem, told.stdout.splitlines()[0] if told.returncode else None


def main():
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("sequences", type=int, nargs="?", default=SEQUENCES)
    asked.add_argument("--first", type=int, default=0)
    asked.add_argument("--shrink", action="store_true")
    asked.add_argument("--planted", action="store_true")
    asked.add_argument("--bug", action="append", default=[], help="only this patch, by its name")
    told = asked.parse_args()
    sys.path.insert(0, str(ROOT))
    if not told.planted:
        return run(told.sequences, told.first, told.shrink)
    missed = 0
    for name, sentence in planted(told.bug):
        missed += sentence is None
        print(f"{name:44} {'found: ' + sentence if sentence else 'NOT FOUND'}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
