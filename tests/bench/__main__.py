"""All figures, one after the other: `python -m tests.bench [RECORDS]`. Each script says what it measures and how.

What has a size of its own takes it from there: the figures wanted are for 1,000,000 records, the default. A busy machine moves
seconds, and ratios little. Missed figures are listed at the end; only a script that failed makes the command fail (exit 1).
"""

import subprocess
import sys

from tests.bench.figures import MISSED

RECORDS = sys.argv[1] if len(sys.argv) > 1 else "1000000"
SCRIPTS = (
    ("bench_spine",),
    ("bench_log",),
    ("bench_loop", RECORDS),
    ("bench_reads", RECORDS),
    ("bench_dex",),
    ("bench_arb",),
    ("bench_engine",),
    ("bench_feed",),
    ("bench_live", "lag", "1000", "20"),
    ("bench_live", "lag", "5000", "20"),
    ("bench_live", "restart", RECORDS),
    ("bench_nodes",),
)


def run(scripts):
    """Run each, its lines passed on as they come; the lines of missed figures, and the scripts that failed."""
    missed, failed = [], []
    for name, *more in scripts:
        script = " ".join((name, *more))
        print(f"== {script}", flush=True)
        command = [sys.executable, "-u", "-m", f"tests.bench.{name}", *more]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            for line in running.stdout:
                print(line, end="", flush=True)
                if MISSED in line:
                    missed.append(f"{script}: {' '.join(line.split())}")
        if running.returncode:
            failed.append(f"{script}: exit {running.returncode}")
    return missed, failed


def main():
    missed, failed = run(SCRIPTS)
    print(f"== {len(missed)} figures missed, {len(failed)} scripts failed")
    for line in (*missed, *failed):
        print(f"  {line}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
