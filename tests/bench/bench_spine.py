"""The spine's figures: start of the command line, one explanation, memory of verify, sealed bytes a record.

    python tests/bench/bench_spine.py

Whole processes are timed from outside (best of five) beside a bare interpreter in the same run; peak memory is what
the operating system accounts to the child. Explanations are timed in this process after imports, best of five, with
the snapshots that the recording ships; each is also checked to be equal to what was recorded.
"""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
DAY = ROOT / "recordings" / "whirlpool-2022-04-06"


def process(*args):
    """Best wall seconds of five runs."""
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(
            args, cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True
        )
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def peak(*args):
    """Peak memory in MB of one child."""
    child = subprocess.Popen(args, cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})
    _, _, usage = os.wait4(child.pid, 0)
    return usage.ru_maxrss // 1024


def main():
    from tests.bench.figures import beside

    bare = process(sys.executable, "-c", "pass")
    told = process(sys.executable, "-m", "ironcrab.app", "--help")
    print(f"ironcrab --help: {told:.3f} s, a bare interpreter {bare:.3f} s {beside('<= 0.15', held=told <= 0.15)}")
    most = peak(sys.executable, "-m", "ironcrab.app", "verify", str(DAY))
    print(f"verify of the day: peak memory {most} MB {beside('<= 300', held=most <= 300)}")

    from ironcrab.domain.trade import DecisionRecord
    from ironcrab.log.recording import Recording
    from ironcrab.mode.explain import explain

    seqs = [record.seq for record in Recording.open(DAY).records((DecisionRecord,))]
    for seq in (seqs[0], seqs[len(seqs) // 2], seqs[-1]):
        best = 9.0
        for _ in range(5):
            began = time.perf_counter()
            told = explain(Recording.open(DAY), seq)
            best = min(best, time.perf_counter() - began)
        again = told.reproduction
        print(
            f"explain #{seq}: {best:.3f} s, {len(told.stops)} stops, folded {again.folded:,}, equal {again.equal} "
            f"{beside('<= 0.1', held=best <= 0.1 and again.equal)}"
        )
    manifest = Recording.open(DAY).manifest
    for segment in manifest.segments:
        for file in segment.files:
            if file.rows >= 1000:
                each, most = file.size / file.rows, 100 if file.type == "Trade" else 60
                print(
                    f"sealed {file.type}: {each:.1f} bytes a record, {file.rows:,} {beside(f'<= {most}', held=each <= most)}"
                )
    print(f"this process: peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
