"""Make the golden of examples/ema_cross anew, from the shipped day: its first buy, 200 records before and after.

    python tests/examples/make.py

Run it after tests/goldens/make.py: it cuts the golden out of a run over recordings/whirlpool-2022-04-06.
"""

import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "ema_cross"
GOLDEN = EXAMPLE / "goldens" / "first-buy"
DAY = ROOT / "recordings" / "whirlpool-2022-04-06"
SPREAD = 200


def main():
    sys.path[:0] = [str(ROOT), str(EXAMPLE)]
    from ironcrab.domain.trade import DecisionRecord
    from ironcrab.log.recording import Recording
    from ironcrab.log.sealed import seal
    from ironcrab.mode.cutting import around, cut
    from ironcrab.mode.run import run
    from ironcrab.mode.scenario import load

    shutil.rmtree(GOLDEN, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        run(Recording.open(DAY), load(EXAMPLE / "scenario.toml"), Path(scratch) / "day")
        day = Recording.open(Path(scratch) / "day")
        first = next(day.records(types=(DecisionRecord,)))
        cut(day, *around(day, first.seq, SPREAD), GOLDEN, golden=True)
    seal(GOLDEN)
    print(f"{GOLDEN.relative_to(ROOT)}: {Recording.open(GOLDEN).next_seq - Recording.open(GOLDEN).first_seq} records")


if __name__ == "__main__":
    main()
