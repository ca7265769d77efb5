"""All figures, one after the other: `python -m tests.bench [RECORDS]`. Each script says what it measures and how.

What has a size of its own takes it from there: the figures wanted are for 1,000,000 records, the default. A busy machine moves
seconds, and ratios little.
"""

import subprocess
import sys

RECORDS = sys.argv[1] if len(sys.argv) > 1 else "1000000"
SCRIPTS = (
    ("bench_spine",),
    ("bench_log",),
    ("bench_loop", RECORDS),
    ("bench_reads", RECORDS),
    ("bench_dex",),
    ("bench_arb",),
    ("bench_feed",),
    ("bench_live", "lag", "1000", "20"),
    ("bench_live", "lag", "5000", "20"),
    ("bench_live", "restart", RECORDS),
)


def main():
    failed = 0
    for name, *more in SCRIPTS:
        print(f"== {' '.join((name, *more))}", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"tests.bench.{name}", *more], check=False).returncode != 0
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
