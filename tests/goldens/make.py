"""Make the goldens of recordings/ anew from the inputs beside the checkout.

    python tests/goldens/make.py [NAME ...]

Needs ../shared (or IRONCRAB_SHARED) for the mainnet block and the Whirlpool day; engine-checks and housekeepers
are made of our own events. A golden that changes is a change of decisions: say why with `ironcrab bless`, or in the commit.
"""

import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from msgspec.structs import replace

from ironcrab.log import manifest
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.mode.importing import import_frames, import_whirlpool_day
from ironcrab.mode.run import derive_log_id, run, run_events
from ironcrab.mode.scenario import load
from ironcrab.mode.wiring import Wiring

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("IRONCRAB_SHARED", ROOT.parent / "shared"))
BLOCK = SHARED / "data/geyser/block_332254908_nonvote.subscribe_updates.bin.zst"
DAY = SHARED / "data/whirlpool_2022/whirlpool-transaction-20220406.jsonl.gz"
STATES = SHARED / "data/whirlpool_2022/whirlpool-state-20220406.json.gz"


def block(folder):
    import_frames(BLOCK, folder / "market")
    run(Recording.open(folder / "market"), load(ROOT / "scenarios/mainnet-block.toml"), folder / "golden")


def day(folder):
    import_whirlpool_day(DAY, folder / "market", states=STATES)
    run(Recording.open(folder / "market"), load(ROOT / "scenarios/whirlpool-day.toml"), folder / "golden")


def engine_checks(folder):
    sys.path.insert(0, str(ROOT))
    from tests.goldens.engine_checks import SCENARIO, engine_check_events

    run_events(engine_check_events(), "engine-checks", load(ROOT / SCENARIO), folder / "golden")


def scripted(name, script, events="events_of"):
    def made(folder):
        sys.path.insert(0, str(ROOT))
        from tests.goldens.driving import drive

        events_of = getattr(importlib.import_module(f"tests.goldens.{script}"), events)
        run_events(drive(name, events_of)[0], name, load(ROOT / f"scenarios/{name}.toml"), folder / "golden")

    return made


def housekeepers(folder):
    sys.path.insert(0, str(ROOT))
    from tests.goldens.housekeepers import SCENARIO, housekeeper_events

    run_events(housekeeper_events(), "housekeepers", load(ROOT / SCENARIO), folder / "golden")


def interrupted(folder):
    sys.path.insert(0, str(ROOT))
    from tests.goldens.interrupted import records_of

    scenario = load(ROOT / "scenarios/interrupted.toml")
    log_id = derive_log_id("interrupted", scenario, Wiring(scenario))
    with Recording.create(folder / "golden", log_id, origin=f"runs of interrupted under {scenario.name}") as session:
        for record in records_of(scenario):
            session.append(record)


GOLDENS = {
    "mainnet-block-332254908": block,
    "whirlpool-2022-04-06": day,
    "engine-checks": engine_checks,
    "ema-checks": scripted("ema-checks", "ema_checks"),
    "engine-corners": scripted("engine-corners", "engine_corners"),
    "engine-plans": scripted("engine-plans", "engine_plans"),
    "momentum-checks": scripted("momentum-checks", "momentum_checks"),
    "momentum-switches": scripted("momentum-switches", "momentum_checks", "switched_events_of"),
    "momentum-regimes": scripted("momentum-regimes", "regime_checks"),
    "arbitrage-checks": scripted("arbitrage-checks", "arbitrage_checks"),
    "arbitrage-switches": scripted("arbitrage-switches", "arbitrage_checks"),
    "housekeepers": housekeepers,
    "housekeeper-corners": scripted("housekeeper-corners", "housekeeper_corners"),
    "interrupted": interrupted,
}


ANSWERS = "its world also answers what nobody asked, twice or too late"
FILLS = "its world also fills in part, below the least output"
REPEATS = "its idempotency window is a second, behind which its world says an id again"
SIGNS = "its world signs everything alike"
EXEMPT = {
    "engine-corners": {"answers": ANSWERS, "least-output": FILLS},
    "engine-plans": {"answers": ANSWERS, "least-output": FILLS, "intent-ids": REPEATS},
    "housekeeper-corners": {"answers": ANSWERS, "signatures": SIGNS},
    "momentum-checks": {"answers": ANSWERS, "least-output": FILLS},
    "momentum-regimes": {"least-output": FILLS},
}
"""Checks that the worlds of goldens break so that the reducers show what they do then."""


def main():
    for name in sys.argv[1:] or GOLDENS:
        out = ROOT / "recordings" / name
        with tempfile.TemporaryDirectory() as scratch:
            GOLDENS[name](Path(scratch))
            made = Path(scratch) / "golden"
            seal(made)
            exempt = EXEMPT.get(name, {})
            manifest.edit(made, lambda listed, exempt=exempt: replace(listed, golden=True, exempt=exempt))
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(made, out)
        size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
        print(f"{out.relative_to(ROOT)}: {Recording.open(out).next_seq:,} records, {size:,} bytes")
    if not sys.argv[1:]:
        # the example's golden is cut out of a run over the day
        sys.path.insert(0, str(ROOT))
        from tests.examples.make import main as make_example

        make_example()


if __name__ == "__main__":
    main()
